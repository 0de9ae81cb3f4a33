#!/bin/sh
# test_torture.sh - eight writers edit a tree at thousands of edits a second under a running watch; when they are quiet, all is as a clean run makes it.
#
# A round is a burst of edits and the peace after it: build/ must come to be right (tool_writers.c says what that is), and no run may follow that
# nothing called for. In every fifth round the watch is stopped (SIGSTOP) while they write, until the kernel has lost events. ROUNDS says how
# many (a small number unless given; a campaign is ROUNDS=1000), SEED where to begin. At the end a clean run beside it makes the same.
set -u
ROUNDS=${ROUNDS:-10}
SEED=${SEED:-1}
tool=$WEIR_BUILD/tests/watch_tool_writers
name=torture
. "$WEIR_SOURCE/tests/watch/common.sh"
leave() { # a watch that is stopped does not end
    if [ -n "$pid" ]; then kill -CONT "$pid" 2> /dev/null; kill -TERM "$pid" 2> /dev/null; fi
    [ -n "${KEEP:-}" ] || rm -rf "$work"
}
mkdir -p "$work/project/src" "$work/project/away" "$work/clean" && cd "$work/project" || exit 99

cat > weir.lua <<'LUA'
local weir = require "weir"
local files = weir.glob "src/**/*.txt"
local upper = weir.effect "copy_in_lua" { run = function(i, o) o.to:copy(i.from) end }
for n, f in ipairs(files) do
  local node = #f.rel % 4 == 0 and upper "lua" or weir.copy "copy"
  node { params = { n = f.rel }, inputs = { from = f }, outputs = { to = "build/{{n}}.out" } }
end
weir.concat "all" { inputs = { parts = files }, outputs = { to = "build/all.out" } }
LUA
echo always > src/always.txt

check() {
    ASAN_OPTIONS=detect_leaks=0 "$tool" check > "$work/check"
}


give_up() {
    echo "FAILED in round $round (SEED=$SEED): $1"
    tail -n 3 "$work/out" "$work/err"
    kill -0 "$pid" 2> /dev/null || echo "the watch has ended"
    exit 1
}

# Until build/ is right; a minute at most.
settle() {
    begin=$(date +%s%N)
    tries=0
    until check; do
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || give_up "not right after a minute of peace: $(cat "$work/check")"
        sleep 0.05
    done
    took=$((($(date +%s%N) - begin) / 1000000))
    [ $took -le $longest ] || longest=$took
}

# Until no run has been told for a while.
come_to_rest() {
    before=-1
    while [ "$(runs)" -ne $before ]; do
        before=$(runs)
        sleep 0.3
    done
}

: > "$work/out"
"$WEIR_BIN" watch --json > "$work/out" 2> "$work/err" &
pid=$!
round=0 edits=0 longest=0 self=0 drowned=0
settle
longest=0
while [ $round -lt "$ROUNDS" ]; do
    round=$((round + 1))
    ms=100
    if [ $((round % 5)) -eq 0 ]; then
        kill -STOP "$pid"
        ms=1200
        drowned=$((drowned + 1))
    fi
    count=$("$tool" write $((SEED + round)) $ms 8) || give_up "the writers failed"
    edits=$((edits + count))
    kill -CONT "$pid"
    settle
    come_to_rest
    check || give_up "right, and then wrong again: $(cat "$work/check")"
    at_rest=$(runs)
    if [ $((round % 10)) -eq 0 ]; then
        sleep 1
        if [ "$(runs)" -ne "$at_rest" ]; then self=$((self + 1)); fi
    fi
done
[ $self -eq 0 ] || give_up "$self runs that nothing called for"
if [ $drowned -gt 0 ]; then grep -q 'lost track of what changed' "$work/out" || echo "note: the kernel's queue never overflowed ($drowned tries)"; fi

kill -TERM "$pid"
wait "$pid"
pid=
cp -r weir.lua src "$work/clean/"
"$WEIR_BIN" run -q -C "$work/clean" || give_up "the clean run failed"
diff -r build "$work/clean/build" > "$work/check" || give_up "not what a clean run makes: $(head -n 5 "$work/check")"
out=$("$WEIR_BIN" run --json 2> /dev/null | tail -n 1)
case $out in
*'"ran":0,'*'"restored":0,'*) ;;
*) give_up "a run afterwards had something to do: $out" ;;
esac
"$WEIR_BIN" db check > "$work/check" 2>&1 || give_up "db check: $(cat "$work/check")"
echo "ok: $ROUNDS rounds, $edits edits, $drowned with the watch stopped, 0 lost, 0 runs by itself; right again after $longest ms at most"
