#!/bin/sh
# test_polling.sh - no watches left, no inotify instance left: the folders are looked at from time to time, and that is said once.
#
# The limits are those of a user namespace of our own; where none can be had there is nothing to see.
set -u
unshare -r true 2> /dev/null && unshare -r sh -c 'echo 5 > /proc/sys/user/max_inotify_watches' 2> /dev/null || exit 77
name=polling
. "$WEIR_SOURCE/tests/watch/common.sh"

# story LIMIT VALUE: with this limit of the user namespace
story() {
    rm -rf "$work/project"
    mkdir -p "$work/project/src" && cd "$work/project" || exit 99
    cat > weir.lua <<'LUA'
local weir = require "weir"
for _, f in ipairs(weir.glob "src/**/*.txt") do
  weir.copy "copy" { params = { n = f.rel }, inputs = { from = f }, outputs = { to = "build/{{n}}.out" } }
end
LUA
    for d in 1 2 3 4 5 6; do
        mkdir src/d$d
        echo one > src/d$d/f.txt
    done
    : > "$work/out"
    unshare -r sh -c "echo $2 > /proc/sys/user/$1 && exec \"\$0\" watch --json" "$WEIR_BIN" > "$work/out" 2> "$work/err" &
    pid=$!
    run 1 "$1: the first run" '"ran":6,'
    echo two > src/d1/f.txt
    run 2 "$1: an edit" '"ran":1,'
    echo two > src/d6/f.txt
    run 3 "$1: an edit elsewhere" '"ran":1,'
    mkdir src/new && echo two > src/new/f.txt
    run 4 "$1: a new folder" '"ran":1,'
    echo three > src/new/f.txt
    run 5 "$1: an edit in it" '"ran":1,'
    rm -r src/d3
    run 6 "$1: a folder removed" '"ran":0,'
    [ "$(grep -c 'send no events' "$work/out")" -eq 1 ] || fail "$1" "one message" "$(grep -c 'send no events' "$work/out")"
    kill -TERM "$pid"
    wait "$pid"
    code=$?
    pid=
    [ $code -eq 143 ] || fail "$1: ended by TERM" "exit code 143" "$code"
}

story max_inotify_watches 5
story max_inotify_instances 0
[ $failures -eq 0 ] && echo "ok: two limits, 6 runs each"
exit $((failures > 0))
