#!/bin/sh
# test_stubborn.sh - commands and effects that do not want to end, or write without end: all are gone when the run is, the run says what
# became of each, and the memory of the engine stays within 16 MB of what it takes for commands that do nothing.
#
#   WEIR_FLOOD_MB=n  what one command writes to its streams (default 300; 10240 for 10 GB)     WEIR_KEEP=1  leave the folder
set -u
name=stubborn
. "$WEIR_SOURCE/tests/kill/common.sh"
need setsid
killer
flood=${WEIR_FLOOD_MB:-300}
mkdir -p "$work/project" "$work/home"
cd "$work" || exit 99
failures=0

weir() {
    env HOME="$work/home" "$WEIR_BIN" -C project "$@"
}

fail() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}

# outcome NODE RESULT SIGNAL [MESSAGE]: how its last execution ended
outcome() {
    got=$(weir sql --json "SELECT x.result AS r, x.signal AS s FROM weir_executions x WHERE x.node = '$1' ORDER BY x.execution DESC LIMIT 1")
    case $got in
    *"\"$2\""*) ;;
    *) fail "$1: expected $2, got $got" ;;
    esac
    case $got in
    *"$3]"* | *":$3}"*) ;;
    *) fail "$1: expected signal $3, got $got" ;;
    esac
    [ -z "${4:-}" ] || grep -q "\"node\":\"$1\".*$4" out || fail "$1: expected it to say '$4': $(grep "\"node\":\"$1\"" out | cut -c 1-300)"
}

peak() {
    sed -n 's/.*"peak_memory":\([0-9]*\).*/\1/p' "$1"
}

# --- what it takes to run as many commands that do nothing -------------------------------------------------------------------

cat > project/weir.lua <<'E2'
local weir = require "weir"
weir.effect "spin" { run = function(i) local n = #i.text:read() while n < 0 do end return n end } "quiet" { inputs = { text = weir.file "large" } }
for i = 1, 14 do weir.sh "quiet" { params = { i = i }, cmd = "echo {{i}}" } end
E2
head -c 8000000 /dev/zero | tr '\0' x > project/large
weir run -j 20 --json --stats > quiet 2> err || fail "the quiet run: $(cat err)"
quiet=$(peak quiet)

# --- the stubborn ones -------------------------------------------------------------------------------------------------------

cat > project/weir.lua <<'E2'
local weir = require "weir"
local function sh(name, cmd, t)
  t = t or {}
  t.cmd = cmd
  return weir.sh(name)(t)
end
-- these end only by force
sh("ignores", "trap '' TERM INT HUP; while :; do sleep 1; done", { timeout = 2 })
sh("stops", "kill -STOP $$; sleep 300", { timeout = 2 })
sh("stops_again", "trap 'kill -STOP $$' TERM; while :; do sleep 1; done", { timeout = 2 })
sh("blocked_tree", "trap '' TERM; (trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done') & while :; do sleep 1; done", { timeout = 2 })
sh("yes", "yes", { timeout = 2 })
sh("floods_both", "yes out & yes err >&2", { timeout = 2 })
-- these end well, and leave something behind
sh("pipe", "sleep 300 & echo fine")
sh("daemon", "(setsid sh -c 'trap \"\" TERM; echo 1 > up; while :; do sleep 1; done' &) ; while [ ! -s up ]; do sleep 0.02; done; echo fine")
sh("silent_daemon", "(setsid sh -c 'exec 0<&- 1>&- 2>&-; echo 1 > up2; sleep 300' &) ; while [ ! -s up2 ]; do sleep 0.02; done; echo fine")
sh("stopped_child", "sh -c 'echo $$ > up3; kill -STOP $$; sleep 300' & while [ ! -s up3 ]; do sleep 0.02; done; echo fine")
sh("writes_on", "(trap '' TERM; echo 1 > up4; while :; do echo noise; sleep 0.01; done) & while [ ! -s up4 ]; do sleep 0.02; done; echo fine")
sh("descriptors", "ls /proc/self/fd | wc -l; readlink /proc/$$/fd/0") -- the fourth is that of ls
sh("reads", "cat; echo end")
sh("flood", "head -c " .. tonumber(weir.read "flood") .. "000000 /dev/zero | tr '\\0' 'x'; echo; echo the last line", { outputs = { to = "flooded" } })
-- effects: a worker that reads nothing any more, and one that writes without end
weir.effect "spin" { run = function(i) local n = #i.text:read() while n > 0 do end end } "spin" { inputs = { text = weir.file "large" }, timeout = 2 }
weir.effect "prints" { run = function() while true do print(("x"):rep(1000)) end end } "prints" { timeout = 2 }
E2
echo "$flood" > project/flood
weir run -j 20 --json --stats > out 2> err
code=$?
[ $code = 1 ] || fail "exit code: expected 1, got $code: $(cat err)"
if grep -q "Sanitizer\|runtime error" err; then fail "a sanitizer spoke: $(cat err)"; fi

left=$("$work/killer" left "$work/project" "$work/home" 0)
[ -z "$left" ] || fail "processes are left: $left"
outcome ignores transient 9 'time limit of 2 s'
outcome stops transient 15 'time limit of 2 s'
outcome stops_again transient 9 'time limit of 2 s'
outcome blocked_tree transient 9 'time limit of 2 s'
outcome yes transient 15 'time limit of 2 s'
outcome floods_both transient 15 'time limit of 2 s'
for node in pipe daemon silent_daemon stopped_child; do outcome $node ok 0 fine; done
outcome writes_on ok 0
outcome reads ok 0 'end'
outcome descriptors ok 0 '4.u000a/dev/null'
outcome flood failed 0 'did not make its output'
grep -q '"node":"spin".*time limit' out || fail "spin: $(grep '"node":"spin"' out | cut -c 1-300)"
grep -q '"node":"prints".*time limit' out || fail "prints: $(grep '"node":"prints"' out | cut -c 1-300)"

# What is kept of the flood: the first 16 MiB, the notice, the last lines.
hash=$(weir sql --json "SELECT log FROM weir_executions WHERE node = 'flood'" | grep -o '[0-9a-f]\{32\}')
weir get "$hash" > kept || fail "the output of flood is not in the store"
size=$(wc -c < kept)
[ "$size" -gt 16777216 ] && [ "$size" -lt 16800000 ] || fail "$size bytes are kept of the flood"
tail -c 17000 kept | tr -d x > tail
grep -q "this output had $((flood * 1000000 + 15)) bytes; the first 16777216 are kept" tail || fail "no notice: $(cat tail)"
grep -q "the last line" tail || fail "the end of the flood is missing"
weir log flood | tail -n 2 | grep -q "the last line" || fail "weir log does not show the end"
shown=$(grep '"node":"flood"' out | wc -c)
[ "$shown" -lt 100000 ] || fail "$shown bytes of the flood were shown"
grep '"node":"flood"' out | grep -q 'bytes are not shown here' || fail "nothing says that not all of it is shown"

# Memory, in the sanitizers' way of counting too.
more=$((($(peak out) - quiet) / 1000))
[ "$more" -lt 16000 ] || fail "the engine took $more KB more than for commands that do nothing"
[ -z "$(find project/.weir/tmp -mindepth 1)" ] || fail "left in tmp: $(find project/.weir/tmp -mindepth 1)"
weir db check > check || fail "db check: $(cat check)"
echo "flood of $flood MB: $more KB more than $((quiet / 1000)) KB"
[ $failures = 0 ]
