#!/bin/sh
# test_inflight.sh - an input changes while a node that uses it runs: inflight = "queue", "restart", "ignore".
#
# The commands write down each time they begin, wait until they are let go on, and then make their output from what they read at first.
set -u
name=inflight
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project" && cd "$work/project" || exit 99

# Has a worker computed for a while? Then it has read what it computes with.
computes() {
    for child in $(cat "/proc/$pid/task/$pid/children"); do
        ticks=$(awk '{ sub(/.*\) /, ""); print $12 }' "/proc/$child/stat" 2> /dev/null)
        [ "${ticks:-0}" -lt 50 ] || return 0
    done
    return 1
}

begun() {
    grep -c "^$1" "$work/begun"
}

cat > weir.lua <<LUA
local weir = require "weir"
local function node(policy)
  weir.sh(policy) {
    inputs = { from = weir.file(policy .. ".txt") }, outputs = { to = policy .. ".out" },
    inflight = policy ~= "plain" and policy or nil,
    cmd = [[text=\$(cat {{from}}); echo "]] .. policy .. [[ \$text \$(ls {{to}} 2> /dev/null)" >> $work/begun
            echo half > {{to}}; until [ "\$text" != slow ] || [ -e $work/go ]; do sleep 0.02; done; echo "\$text" > {{to}}]],
  }
end
node "plain" node "restart" node "ignore"
local count = weir.effect "count" {
  inflight = "restart",
  run = function(i, o)
    local text = i.from:read()
    if text == "slow\\n" then while true do end end
    o.to:write(text)
  end,
}
count "lua" { inputs = { from = weir.file "lua.txt" }, outputs = { to = "lua.out" } }
LUA
for name in plain restart ignore lua; do echo one > $name.txt; done
: > "$work/begun"
: > "$work/out"
"$WEIR_BIN" watch --json > "$work/out" 2> "$work/err" &
pid=$!
run 1 "the first run" '"ran":4,'
sleep 0.5

# queue: the attempt goes on, another turn follows
echo slow > plain.txt
until_so "plain begins" "[ \$(begun plain) -eq 2 ]"
echo three > plain.txt
sleep 0.3
[ "$(begun plain)" -eq 2 ] || fail "queue" "the attempt goes on" "$(cat "$work/begun")"
touch "$work/go"
run 2 "queue" '"ran":2,'
rm "$work/go"
[ "$(cat plain.out)" = three ] || fail "queue" three "$(cat plain.out)"

# restart: it ends at once, what it had written is gone when the next one begins; the old output was put aside
echo slow > restart.txt
until_so "restart begins" "[ \$(begun restart) -eq 2 ]"
touch restart.txt # nothing changed: it goes on
sleep 0.3
[ "$(begun restart)" -eq 2 ] || fail "a touch restarts nothing" "2 attempts" "$(cat "$work/begun")"
echo three > restart.txt
run 3 "restart" '"ran":1,'
run 3 "restart" '"superseded":1,'
[ "$(cat restart.out)" = three ] || fail "restart" three "$(cat restart.out)"
[ "$(grep -c '^restart three $' "$work/begun")" -eq 1 ] || fail "restart" "it began without an output" "$(cat "$work/begun")"

# the same for a worker that would never end by itself
echo slow > lua.txt
until_so "lua begins" computes
echo three > lua.txt
run 4 "restart of a worker" '"ran":1,'
run 4 "restart of a worker" '"superseded":1,'
[ "$(cat lua.out)" = three ] || fail "restart of a worker" three "$(cat lua.out)"

# ignore: it goes on, and is due, but that starts nothing
echo slow > ignore.txt
until_so "ignore begins" "[ \$(begun ignore) -eq 2 ]"
echo three > ignore.txt
sleep 0.3
touch "$work/go"
run 5 "ignore" '"ran":1,'
rm "$work/go"
sleep 0.5
[ "$(runs)" -eq 5 ] || fail "ignore" "no run of its own" "$(tail -n 1 "$work/out")"
[ "$(cat ignore.out)" = slow ] || fail "ignore" slow "$(cat ignore.out)"
echo four > ignore.txt
run 6 "the next change" '"ran":1,'
[ "$(cat ignore.out)" = four ] || fail "ignore" four "$(cat ignore.out)"

# the attempts that were superseded are no results
echo slow > lua.txt
until_so "lua begins again" computes
echo one > lua.txt
run 7 "back to what it was first" '"ran":0,'
run 7 "back to what it was first" '"superseded":1,'

# a policy is in no key
sed -i 's/inflight = policy ~= "plain" and policy or nil/inflight = "restart"/' weir.lua
run 8 "other policies" '"ran":0,"unchanged":4,'
echo five > plain.txt
run 9 "an edit" '"ran":1,'

kill -TERM "$pid"
wait "$pid"
pid=
"$WEIR_BIN" db check > "$work/check" 2>&1 || fail "db check" "exit code 0" "$(cat "$work/check")"
[ $failures -eq 0 ] && echo "ok: 9 runs"
exit $((failures > 0))
