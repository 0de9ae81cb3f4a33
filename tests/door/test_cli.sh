#!/bin/sh
# test_cli.sh - the program from outside: help of every command, wrong use, exit codes, JSON, and what a small project tells.
#
# Runs in a fresh folder. Needs WEIR_BIN; lua5.4 with cjson reads the JSON (without it those checks are left out).
set -u
[ -x "${WEIR_BIN:-}" ] || { echo "skipped: there is no weir program"; exit 77; }
failures=0
here=$PWD
export TERM=dumb
unset NO_COLOR

fail() {
    failures=$((failures + 1))
    printf 'FAILED: %s\n' "$*"
    sed 's/^/  out: /' "$here/out"
    sed 's/^/  err: /' "$here/err"
}

# expect CODE ARGUMENT...: runs weir; its streams go to out and err
expect() {
    wanted=$1
    shift
    "$WEIR_BIN" "$@" > "$here/out" 2> "$here/err"
    code=$?
    [ "$code" -eq "$wanted" ] || fail "weir $*: exit code $code, expected $wanted"
}
has() { # FILE TEXT
    grep -qF -- "$2" "$here/$1" || fail "std$1 lacks: $2"
}
lacks() {
    ! grep -qF -- "$2" "$here/$1" || fail "std$1 has: $2"
}
is_json() { # [LUA CONDITION on `d`]
    lua5.4 -e 'require "cjson"' 2> /dev/null || return 0
    lua5.4 -e "local d = require 'cjson'.decode(io.read 'a'); assert(${1:-true}, 'not so: ${1:-}')" < "$here/out" || fail "JSON: ${1:-}"
}
are_lines() { # LUA CONDITION on `last`, the last line
    lua5.4 -e 'require "cjson"' 2> /dev/null || return 0
    lua5.4 -e "local last; for l in io.lines() do last = require 'cjson'.decode(l); assert(last.event) end; assert($1, 'not so: $1')" \
        < "$here/out" || fail "JSON lines: $1"
}

# --- help, version, wrong use -------------------------------------------------------------------------------------------

expect 0 --version
has out "weir "
expect 0 version --json
is_json 'd.version'
expect 0 help
for command in run check ls status show why log get sql set db help version; do
    grep -q "^  $command " out || fail "help does not list $command"
    expect 0 help "$command"
    has out "Usage: weir $command"
    cp out first
    expect 0 "$command" --help
    cmp -s out first || fail "weir $command --help differs from weir help $command"
    expect 0 -h "$command"
    expect 2 "$command" --no-such-flag
    has err "there is no flag --no-such-flag"
    expect 0 help
done
expect 2
has err "hint: "
expect 2 rum
has err 'did you mean `weir run`?'
expect 2 help rum
expect 2 run --dry-rum
has err "did you mean --dry-run?"
expect 2 status --force
has err "status takes no flag --force"
expect 2 why
expect 2 set novalue
has err 'is not NAME=VALUE'

# --- no project ----------------------------------------------------------------------------------------------------------

for command in run check ls status log "show x" "why x" "get x" "sql x" "set k=v" "db check" "db rebuild"; do
    # shellcheck disable=SC2086
    expect 2 -C / $command
    has err "there is no weir.lua in /"
    has err "hint: "
done

# --- a project ----------------------------------------------------------------------------------------------------------

mkdir -p project/sub
cd project || exit 99
printf 'one\n' > in.txt
cat > weir.lua << 'END'
local weir = require "weir"
local n = weir.param("n", 1)
local up = weir.effect "up" {
  run = function(i, o) o.file:write(i.text:read():upper()) return { n = i.n.value } end,
}
local a = up "a" { inputs = { text = weir.file "in.txt", n = n }, outputs = { file = "out/a.txt" } }
weir.sh "b" { inputs = { from = a.file }, outputs = { to = "out/b.txt" }, cmd = "echo made; cat {{from}} > {{to}}" }
END

expect 2 ls
has err "nothing was recorded"
expect 0 check
has err "weir.lua is sound, 2 nodes"
expect 0 check --json
is_json 'd.ok and d.nodes == 2'
expect 0 run -n
has err "would run a (new)"
[ ! -e out ] || fail "a dry run made out/"
expect 0 run
has err "2 ran (new 2)"
has err "made"
expect 0 run
has err "weir: nothing to do, 2 nodes, "
[ ! -s ../out ] || fail "messages on stdout"
expect 0 run -q
[ ! -s ../err ] || fail "run -q speaks"
expect 0 run --json --stats
are_lines 'last.event == "run_finished" and last.ran == 0 and last.unchanged == 2 and last.stats.hosts_started == 0'
expect 0 run --stats
has err "files stated"

printf 'two\n' > in.txt
expect 0 run --json
are_lines 'last.ran == 2 and last.failed == 0 and last.nodes == 2'
grep -q '"event":"execution_finished","node":"a","effect":"up","outcome":"ran","reason":"input-changed"' ../out || fail "execution_finished is not as promised"
grep -q '"because":\[{"reason":"input-changed","input":"text","name":"in.txt","old":"[0-9a-f]\{32\}","new":"[0-9a-f]\{32\}"}\]' ../out ||
    fail "because is not as promised"
expect 0 why a
has out "input-changed  text  in.txt"
expect 0 why out/a.txt --json
is_json 'd.node == "a" and d.outcome == "ran" and d.reasons[1].name == "in.txt" and d.reasons[1].reason == "input-changed"'
expect 0 run
expect 0 why a --json
is_json 'd.outcome == "unchanged" and #d.reasons == 0 and #d.reads >= 1'
expect 0 why b
has out "nothing that it reads has changed since run"
expect 2 why c
has err "there is no node and no output called c"
expect 2 why a --run 99
has err "there is no run 99"

# --- looking ------------------------------------------------------------------------------------------------------------

expect 0 ls
has out "settled"
expect 0 ls --json
is_json '#d == 2 and d[1].node == "a" and d[1].status == "settled"'
expect 0 ls 'b*' --json
is_json '#d == 1'
expect 0 ls nothing
has err "no node matches nothing"
expect 0 status
has out "2 nodes, all up to date"
expect 0 status --exit-code --json
is_json 'd.nodes == 2 and d.due == 0 and #d.unsettled == 0 and d.last_run.run > 0'
expect 0 show a
has out "out/a.txt"
expect 0 show out/b.txt --json
is_json 'd.node == "b" and d.outputs[1].path == "out/b.txt" and d.inputs[1].members[1].name == "out/a.txt"'
expect 0 log
has out "run 1"
expect 0 log --json -n 2
is_json '#d == 2'
expect 0 log b
has out "made"
expect 0 log b --json -n 1
is_json '#d == 1 and d[1].log == "made\n" and d[1].result == "ok"'
expect 0 log --events
has out "run_finished"
expect 0 log --events --from 1 -n 3 --json
is_json '#d == 3 and d[1].seq == 1 and d[1].kind == "session"'
expect 0 get out/a.txt
[ "$(cat ../out)" = TWO ] || fail "get out/a.txt"
rm out/a.txt
expect 0 get out/a.txt -o saved.txt
[ "$(cat saved.txt)" = TWO ] || fail "get -o"
expect 0 get a
is_json 'd.n == 1'
expect 2 get 00000000
has err "nothing is stored under the hash"
hash=$("$WEIR_BIN" show out/b.txt --json | sed 's/.*"path":"out\/b.txt","hash":"\([0-9a-f]*\)".*/\1/')
expect 0 get "$(printf %.8s "$hash")"
[ "$(cat ../out)" = TWO ] || fail "get by a prefix of the hash $hash"
for view in runs nodes edges inputs outputs events executions reasons; do
    expect 0 sql "SELECT * FROM weir_$view" --json
    is_json '#d > 0'
done
expect 0 sql "SELECT node, path FROM weir_outputs WHERE is_current ORDER BY path" --csv
has out "a,out/a.txt"
echo "SELECT count(*) AS n FROM weir_nodes" | "$WEIR_BIN" sql > ../out 2> ../err || fail "sql from standard input"
expect 2 sql "DELETE FROM node"
expect 2 sql "SELECT nothing"
expect 0 run sub/../out
(cd sub && "$WEIR_BIN" run ../out/b.txt > ../../out 2> ../../err) || fail "a target seen from a folder below"
expect 0 db check
has out "state  sound"
expect 0 db rebuild
expect 0 db check --json
is_json 'd.sound and d.log.events > 0'

# --- values -------------------------------------------------------------------------------------------------------------

expect 0 run n=5
expect 0 get a
is_json 'd.n == 5'
expect 0 run
expect 0 get a
is_json 'd.n == 1'
expect 0 set n=7
expect 0 run
expect 0 get a
is_json 'd.n == 7'
expect 0 set --unset n
expect 0 run
expect 0 get a
is_json 'd.n == 1'

# --- failures -----------------------------------------------------------------------------------------------------------

sed -i 's/echo made;/echo broken >\&2; exit 3;/' weir.lua
expect 1 run
has err "failed    b: "
has err "broken"
has err "1 failed"
expect 6 status --exit-code
has out "failed"
expect 1 run --json
are_lines 'last.event == "run_finished" and last.failed == 1 and last.status == "failed"'
grep -q '"outcome":"failed".*"exit":3' ../out || fail "a failure names its exit code"
expect 0 why b
has out "failed in run"
printf 'weir.sh "c" {\n' >> weir.lua
expect 2 run
has err "weir.lua:"
expect 2 check --json
is_json 'not d.ok and #d.diagnostics == 1'
cat > many.lua << 'END'
local weir = require "weir"
for n = 1, 100 do weir.copy("c" .. n) { inputs = { frm = weir.file "in.txt" }, outputs = { to = "many/" .. n } } end
END
expect 2 run -f many.lua
has err "hint: "
has err "and 180 more" # two for each: one name too many, one missing
[ "$(grep -c '^many.lua:2' ../err)" -eq 20 ] || fail "not 20 errors are told"

# --- interruption, and who holds the lock ---------------------------------------------------------------------------------

cat > slow.lua << 'END'
local weir = require "weir"
weir.sh "slow" { outputs = { to = "slow.txt" }, cmd = "echo begun > begun; sleep 30; echo > {{to}}" }
END
rm -f begun
"$WEIR_BIN" run -f slow.lua > ../slow.out 2>&1 &
slow=$!
tries=0
until [ -e begun ] || [ "$tries" -ge 200 ]; do sleep 0.05; tries=$((tries + 1)); done
expect 4 run
has err "another weir works in"
expect 4 db rebuild
has err "process $slow"
expect 0 status # looking needs no lock
kill -TERM "$slow"
sleep 0.2
kill -TERM "$slow"
wait "$slow"
code=$?
[ "$code" -eq 143 ] || fail "ended by SIGTERM: exit code $code, expected 143"
expect 0 why slow -f slow.lua
has out "interrupted"

# --- streams ------------------------------------------------------------------------------------------------------------

if [ -e /dev/full ]; then
    "$WEIR_BIN" ls > /dev/full 2> ../err
    [ $? -eq 3 ] || fail "a full disk below stdout is exit code 3"
fi
"$WEIR_BIN" ls 0<&- 1>&- 2>&-

cd "$here" || exit 99
[ "$failures" -eq 0 ] || { echo "$failures checks failed"; exit 1; }
echo "all held"
