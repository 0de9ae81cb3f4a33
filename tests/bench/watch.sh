#!/bin/sh
# watch.sh - from the save of a file to the start of what it sets off, beside entr, inotifywait and tup's monitor, in one run.
#
#     sh tests/bench/watch.sh [FILES...]          trees of 100, 10,000 and 100,000 files unless given
#
# WEIR_BIN: the program to measure (a release build), BENCH_WATCH: its tests/bench_bench_watch, ROUNDS: saves (100), SCRATCH: where (/dev/shm).
# weir has a node for every file of the tree: those that are edited have a C effect or a command that sends the time of its start, or a Lua effect,
# which knows no time: there it is the appearance of its output, a little later. The others are copied. The other programs run one command, whatever was edited.
# Idle processor time and memory are those of a program with all that it has started.
# tup hears nothing on a tmpfs: SCRATCH on a disk shows it. Those that are not installed are left out.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
WEIR_BIN=${WEIR_BIN:-$root/build/release/weir}
BENCH_WATCH=${BENCH_WATCH:-$(dirname "$WEIR_BIN")/tests/bench_bench_watch}
ROUNDS=${ROUNDS:-100}
work=$(mktemp -d "${SCRATCH:-/dev/shm}/weir-bench-watch-XXXXXX") || exit 1
pid=
# begin COMMAND...: in a session of its own, so that its end is also that of what it has started
begin() {
    { setsid "$@" <&3 3<&- & } 3<&0 # what runs behind one's back would read nothing
    pid=$!
}
stop() {
    if [ -n "$pid" ]; then
        kill -TERM "-$pid" 2> /dev/null
        wait "$pid" 2> /dev/null
    fi
    pid=
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
socket=$work/socket
stamp=$work/stamp
cc=${CC:-cc}
source=$root/tests/bench/watch_stamp.c
$cc -O2 -DAS_PROGRAM -o "$stamp" "$source" || exit 1
$cc -O2 -shared -fPIC -DAS_EFFECT -I"$root" -o "$work/stamp_effect.so" "$source" || exit 1

make_tree() { # FOLDER FILES
    mkdir -p "$1/src" && cd "$1" || exit 1
    awk -v n="$2" 'BEGIN {
        for (i = 0; i < n; i++) {
            d = "src/d" int(i / 100)
            if (i % 100 == 0) system("mkdir -p " d)
            k = i < 10 ? "lua" : i < 20 ? "c" : i < 30 ? "command" : "plain"
            f = d "/" k i ".txt"; print "file", i > f; close(f)
        } }'
}

measure() { # NAME PID FILE...
    name=$1 who=$2
    shift 2
    "$BENCH_WATCH" "$socket" "$ROUNDS" 150 "$who" "$name" "$@"
}

weir() { # FILES
    make_tree "$work/weir$1" "$1"
    cp "$work/stamp_effect.so" .
    cat > weir.lua << LUA
local weir = require "weir"
weir.plugin "stamp_effect.so"
local told = weir.effect "told" { run = function(i, o) o.to:write((i.from:read())) end }
for _, f in ipairs(weir.glob "src/**/*.txt") do
  local at = { params = { n = f.rel }, inputs = { from = f }, outputs = { to = "build/{{n}}.out" } }
  if f.name:find "^lua" then told "told" (at)
  elseif f.name:find "^c%d" then at.params.socket = "$socket"; weir.stamp "stamp" (at)
  elseif f.name:find "^command" then at.cmd = { "$stamp", "$socket", "{{from}}", "{{to}}" }; weir.sh "sh" (at)
  else weir.copy "copy" (at) end
end
LUA
    sed -i 's/ "{{to}}" }; weir.sh/ }; at.outputs = nil; weir.sh/' weir.lua # a command that only tells has no outputs
    begin "$WEIR_BIN" watch --json > "$work/out" 2> "$work/err"
    until grep -q run_finished "$work/out"; do
        kill -0 "$pid" 2> /dev/null || { cat "$work/out" "$work/err"; return; }
        sleep 0.2
    done
    sleep 3
    "$BENCH_WATCH" "@build/d0" "$ROUNDS" 150 "$pid" "weir, Lua (to its output)" src/d0/lua*
    measure "weir, C" "$pid" src/d0/c[0-9]*
    measure "weir, command" "$pid" src/d0/command*
    stop
    cd "$work" && rm -rf "$work/weir$1"
}

others() { # FILES
    make_tree "$work/plain$1" "$1"
    if command -v inotifywait > /dev/null; then
        begin sh -c 'inotifywait -q -m -r -e close_write src | while read -r _; do "$0" "$1"; done' \
            "$stamp" "$socket"
        sleep $((2 + $1 / 20000))
        measure "inotifywait -m" "$pid" src/d0/plain*
        stop
        begin sh -c 'while inotifywait -q -r -e close_write src > /dev/null; do "$0" "$1"; done' \
            "$stamp" "$socket"
        sleep $((2 + $1 / 20000))
        measure "inotifywait loop" "$pid" src/d0/plain*
        stop
    fi
    if command -v entr > /dev/null; then
        find src -type f > "$work/list"
        begin entr -n -p "$stamp" "$socket" < "$work/list" > /dev/null 2> "$work/entr.err"
        sleep $((3 + $1 / 5000))
        if kill -0 "$pid" 2> /dev/null; then measure "entr" "$pid" src/d0/plain*
        else echo "entr                         does not start: $(head -n 1 "$work/entr.err")"; pid=; fi
        stop
    fi
    if [ "$(stat -f -c %T .)" = tmpfs ]; then echo "tup                          hears nothing on tmpfs"
    elif command -v tup > /dev/null; then
        printf ': foreach src/d0/*.txt |> %s %s; cat %%f > /dev/null |>\n' "$stamp" "$socket" > Tupfile # it runs what has read the file
        tup init > /dev/null 2>&1 && timeout 600 tup > "$work/tup.out" 2>&1
        begin tup monitor -a -f > "$work/tup.out" 2>&1
        sleep $((3 + $1 / 5000))
        if kill -0 "$pid" 2> /dev/null; then measure "tup monitor" "$pid" src/d0/plain*
        else echo "tup                          does not start: $(tail -n 1 "$work/tup.out")"; pid=; fi
        tup stop > /dev/null 2>&1
        stop
    fi
    cd "$work" && rm -rf "$work/plain$1"
}

[ $# -gt 0 ] || set -- 100 10000 100000
for files in "$@"; do
    echo "$files files (median, 99th percentile from the save to the start)"
    weir "$files"
    [ -n "${WEIR_ONLY:-}" ] || others "$files"
done
