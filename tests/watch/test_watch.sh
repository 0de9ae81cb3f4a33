#!/bin/sh
# test_watch.sh - weir watch: each edit is followed by one run of what it concerns, and nothing else starts one.
#
# A story at a time is told to a running watch, and the lines of --json are awaited. What must
# not start a run is done before something that does: the next run that is told is that one.
set -u
name=watch
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project/src" "$work/clean"
cd "$work/project" || exit 99

cat > weir.lua <<'LUA'
local weir = require "weir"
local case = require "case"
local up = weir.effect "up" { run = function(i, o) o.to:write(case.other(i.from:read())) end }
local list = {}
for _, f in ipairs(weir.glob "src/**/*.txt") do
  local more = f.stem == "wants" and weir.file((f.path:gsub("wants", "needed"))) or nil
  list[#list + 1] = up "up" { params = { n = f.rel }, inputs = { from = f, more = more }, outputs = { to = "build/{{n}}.up" } }
end
weir.sh "slow" { outputs = { to = "build/slow" }, cmd = "touch started; sleep 1; echo done > {{to}}" }
weir.sh "all" { inputs = { list = list }, outputs = { to = "build/all" }, cmd = "cat {{list}} > {{to}}" }
LUA
cp weir.lua "$work/lua"
echo 'return { other = function(text) return (text:upper()) end }' > case.lua
echo one > src/a.txt
echo two > src/b.txt
"$WEIR_BIN" watch --json > "$work/out" 2> "$work/err" &
pid=$!

# Nothing is watched before the first run has ended: what was edited behind its back is found by the look that follows.
until_so "the first run is under way" '[ -e started ] && [ -e build/a.up ] && [ -e build/all ]'
echo early > src/a.txt
run 1 "the first run" '"ran":4,'
run 2 "an edit during the first run" '"ran":2,'
echo uno > src/a.txt
run 3 "an edit" '"ran":2,'
touch src/a.txt src/b.txt weir.lua
mkdir -p src/deep/er
echo three > src/deep/er/c.txt
run 4 "a touch, then a file in new folders" '"ran":2,'
echo four > "$work/new" && mv "$work/new" src/b.txt
run 5 "saved by rename" '"ran":2,'
mv src/deep src/moved
run 6 "a folder moved: another name" '"ran":2,'
rm build/all
run 7 "an output removed" '"restored":1,'
echo 'nonsense(' >> weir.lua
run 8 "a broken workflow" '"status":"broken"'
cp "$work/lua" weir.lua
echo five > src/a.txt
run 9 "mended, and an edit" '"ran":2,'
rm src/b.txt
run 10 "a file removed" '"ran":1,'
echo 'return { other = function(text) return "<" .. text .. ">" end }' > case.lua
run 11 "a module edited: its users are made by the new code" '"ran":3,'
printf '<five\n>' | cmp -s - build/a.up || fail "a module edited" "<five>" "$(cat build/a.up)"
echo 'return { other = function(text) return (text:upper()) end }' > case.lua
run 12 "and back" '"restored":3,'
echo six > src/a.txt
run 13 "an edit behind that" '"ran":2,'
[ "$(cat build/a.up)" = SIX ] || fail "an edit behind that" "SIX" "$(cat build/a.up)"
mkdir -p src/only/here && echo seven > src/only/here/wants.txt
run 14 "broken: a file is missing in a folder that no valid workflow has seen" '"status":"broken"'
echo eight > src/only/here/needed.txt
until_so "it is there: the workflow is mended" '[ -e build/only/here/wants.up ]'
rm -r src/only

# Many edits while it runs: whatever was seen of them, the last one counts.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    for name in a moved/er/c new$i; do echo "round $i of $name" > "src/$name.txt"; done
    [ $((i % 5)) -ne 0 ] || rm -f src/new*.txt
done
echo last > src/a.txt
cp -r weir.lua case.lua src "$work/clean/"
"$WEIR_BIN" run -q -C "$work/clean" || fail "the clean run" "exit code 0" "$?"
until_so "after many edits: what a clean run makes" 'diff -r build "$work/clean/build" > "$work/diff" 2>&1'

kill -TERM "$pid"
wait "$pid"
code=$?
pid=
[ $code -eq 143 ] || fail "ended by TERM" "exit code 143" "$code"
out=$("$WEIR_BIN" run --json)
case $out in
*'"ran":0,"unchanged":4,"restored":0,'*) ;;
*) fail "a run afterwards" "nothing to do for 4 nodes" "$out" ;;
esac
"$WEIR_BIN" db check > "$work/check" 2>&1 || fail "db check" "exit code 0" "$(cat "$work/check")"
[ ! -s "$work/err" ] || grep -v '^weir: the workflow has\|was removed, no node makes it' "$work/err" | grep . && fail "standard error" "nothing more" "see above"
[ $failures -eq 0 ] && echo "ok: 14 runs, and many edits at once"
exit $((failures > 0))
