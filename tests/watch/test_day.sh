#!/bin/sh
# test_day.sh - a day of watching in fast motion: memory and descriptors of the engine stay as they are.
#
# EDITS says how many (a few unless given; a day is EDITS=20000). How much memory may be added is only asked of a long day: MOST_MB (8).
set -u
EDITS=${EDITS:-200}
[ "$EDITS" -ge 5000 ] && MOST_MB=${MOST_MB:-8} || MOST_MB=0
name=day
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project/src" && cd "$work/project" || exit 99
cat > weir.lua <<'LUA'
local weir = require "weir"
local copy = weir.effect "copy_in_lua" { run = function(i, o) o.to:write((i.from:read())) end }
for _, f in ipairs(weir.glob "src/*.txt") do
  local at = { params = { n = f.stem }, inputs = { from = f }, outputs = { to = "build/{{n}}.out" } }
  local last = f.stem:sub(-1)
  if last == "1" then at.cmd = { "cp", "{{from}}", "{{to}}" }; weir.sh "sh" (at)
  elseif last == "2" then weir.copy "copy" (at)
  else copy "lua" (at) end
end
LUA
i=0
while [ $i -lt 40 ]; do
    echo begin > src/f$i.txt
    i=$((i + 1))
done
"$WEIR_BIN" watch > "$work/out" 2> "$work/err" &
pid=$!
until_so "the first run" '[ -e build/f39.out ]'
sleep 1
"$WEIR_BUILD/tests/watch_tool_day" "$pid" "$EDITS" "$MOST_MB" > "$work/day"
code=$?
[ "$EDITS" -lt 5000 ] && [ $code -eq 0 ] || cat "$work/day"
[ $code -eq 0 ] || { tail -n 5 "$work/out" "$work/err"; exit 1; }
kill -TERM "$pid"
wait "$pid"
pid=
"$WEIR_BIN" db check > "$work/check" 2>&1 || { cat "$work/check"; exit 1; }
"$WEIR_BIN" status --check --exit-code > "$work/check" 2>&1 || { cat "$work/check"; exit 1; }
echo "ok: $EDITS edits"
