#!/bin/sh
# test_suspects.sh - what a running watch looks at is what events named, however many files there are.
#
# A tree of 10,000 files; the counters of each run (--stats) are held to a small number, no time is. What is not seen by a signature (a store
# through mmap leaves all stamps as they are) is seen all the same.
set -u
name=suspects
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project/src" && cd "$work/project" || exit 99

number() {
    echo "$line" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"
}

# most NAME N WHAT: a counter of the last run is at most this
most() {
    [ "$(number "$1")" -le "$2" ] || fail "$3: $1" "at most $2" "$(number "$1")"
}

# ran N WHAT: so many ran, and next to nothing was looked at
ran() {
    [ "$(number ran)" -eq "$1" ] || fail "$2" "$1 ran" "$line"
    most files_stated 12 "$2"
    most files_hashed 4 "$2"
    most rows_read 200 "$2"
}

cat > weir.lua <<'LUA'
local weir = require "weir"
for _, f in ipairs(weir.glob "src/**/*.txt") do
  weir.copy "copy" { params = { n = f.rel }, inputs = { from = f }, outputs = { to = "build/{{n}}.txt" } }
end
LUA
folder=0
while [ $folder -lt 100 ]; do
    mkdir "src/d$folder"
    echo "$folder" | awk '{ for (i = 0; i < 100; i++) { f = "src/d" $1 "/f" i ".txt"; print $1, i > f; close(f) } }'
    folder=$((folder + 1))
done
"$WEIR_BIN" watch --json --stats > "$work/out" 2> "$work/err" &
pid=$!
await 1
[ "$(number ran)" -eq 10000 ] || fail "the first run" "10000 ran" "$line"
echo marker > src/d0/f0.txt # what was new to the watch is looked at once more, before or with this
await 2
echo edit > src/d5/f5.txt
await 3
ran 1 "an edit"
echo temp > src/d5/temp && mv src/d5/temp src/d5/f6.txt
await 4
ran 1 "saved by rename"
mv src/d7/f7.txt src/d7/f7.txt~ && echo backup > src/d7/f7.txt
await 5
ran 1 "saved with a backup"
echo 4913 > src/d8/4913 && rm src/d8/4913 && echo probe > src/d8/f8.txt
await 6
ran 1 "saved after a probe"
"$WEIR_BUILD/tests/watch_tool_mapped" src/d9/f9.txt || fail "a store through mmap" "exit code 0" "$?"
await 7
ran 1 "a store through mmap"
await 8
ran 1 "one more under the same signature"
[ "$(cat build/d9/f9.txt)" = "mapped" ] || fail "a store through mmap" "mapped" "$(cat build/d9/f9.txt)"
rm build/d3/f3.txt
await 9
[ "$(number restored)" -eq 1 ] || fail "an output removed" "restored" "$line"
most files_stated 12 "an output removed"
mkdir src/new && echo new > src/new/f.txt
await 10
[ "$(number ran)" -eq 1 ] || fail "a new folder" "1 ran" "$line"
most files_stated 1000 "a new folder: the folders of the glob, and nothing in them"
most files_hashed 4 "a new folder"
echo last > src/new/f.txt
await 11
ran 1 "an edit in the new folder"

# Signatures are written at the end, or, after a kill, as far as they are needed: what follows has nothing to do either way.
afterwards() {
    line=$("$WEIR_BIN" run --json --stats | tail -n 1)
    case $line in
    *'"ran":0,"unchanged":10001,"restored":0,'*) ;;
    *) fail "a run after $1" "nothing to do for 10001 nodes" "$line" ;;
    esac
    most files_hashed 100 "a run after $1"
}

kill -TERM "$pid"
wait "$pid"
pid=
afterwards "the end"
mkdir src/flat
awk 'BEGIN { for (i = 0; i < 3000; i++) { f = "src/flat/n" i ".no"; print i > f; close(f) } }'
sed -i 's|^for _, f in|weir.concat "flat" { inputs = { parts = weir.glob "src/flat/*.no" }, outputs = { to = "build/flat" } }\n&|' weir.lua
"$WEIR_BIN" run -q || fail "a large folder" "exit code 0" "$?"
: > "$work/out"
"$WEIR_BIN" watch --json --stats > "$work/out" 2> "$work/err" &
pid=$!
await 1
sleep 1
echo edit > src/flat/n5.no
await 2
[ "$(number ran)" -eq 1 ] || fail "an edit in a large folder" "1 ran" "$line"
sleep 1
echo edit > src/flat/n7.no
await 3
most rows_written 100 "an edit in a large folder"
"$WEIR_BUILD/tests/watch_tool_mapped" src/flat/n9.no || fail "a store through mmap" "exit code 0" "$?"
await 5
kill -KILL "$pid"
wait "$pid" 2> /dev/null
pid=
grep -q '^mapped$' build/flat || fail "a store through mmap" "mapped" "$(grep -c . build/flat)"
line=$("$WEIR_BIN" run --json --stats | tail -n 1)
case $line in
*'"ran":0,'*'"restored":0,'*) ;;
*) fail "a run after a kill" "nothing to do" "$line" ;;
esac
most files_hashed 100 "a run after a kill"
echo last > src/flat/n11.no
"$WEIR_BIN" run -q && grep -q '^last$' build/flat || fail "an edit after a kill" "last" "$(grep -c . build/flat)"
[ $failures -eq 0 ] && echo "ok: 11 runs in a tree of 10,000 files"
exit $((failures > 0))
