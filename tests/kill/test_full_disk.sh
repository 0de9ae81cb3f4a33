#!/bin/sh
# test_full_disk.sh - a project on a disk with little room left: a run either ends well or says that there is no room; nothing that failed
# for want of room is taken for knowledge, the old outputs stay, and with room again one run makes all good.
#
# Each step leaves a little more room than the one before, so that every write on the way fails once: of the log, of the store, of an
# output, of a command. Needs a file system of its own, for which it takes a mount namespace.
#
#   WEIR_DISK_STEP=n  KiB from one step to the next (default 64)     WEIR_KEEP=1  leave the folder
set -u
if [ -z "${WEIR_DISK_OWN:-}" ]; then
    if ! unshare -rm true 2> /dev/null; then
        echo "skipped: no mount namespace of its own (unshare -rm)"
        exit 77
    fi
    WEIR_DISK_OWN=1 exec unshare -rm sh "$0" "$@"
fi
step=${WEIR_DISK_STEP:-64}
name=disk
. "$WEIR_SOURCE/tests/kill/common.sh"
trap 'umount "$work/disk" 2> /dev/null; leave' EXIT
mkdir "$work/disk" "$work/home"
failures=0 short=0 well=0

fail() {
    echo "FAILED: with $room KiB left, $1"
    sed 's/^/    /' "$work/said" | tail -n 12
    failures=$((failures + 1))
}

weir() {
    env HOME="$work/home" "$WEIR_BIN" -C "$work/disk/project" "$@"
}

# define CONTENT: the source, and a project of commands, a Lua effect with a value and a built-in
define() {
    mkdir -p "$work/disk/project/src"
    yes "$1" | head -c 70000 > "$work/disk/project/src/a.txt"
    cat > "$work/disk/project/weir.lua" << 'LUA'
local weir = require "weir"
local a = weir.file "src/a.txt"
local lines = weir.effect "lines" { run = function(i, o)
    o.to:write(i.a:read())
    return select(2, i.a:read():gsub("\n", ""))
end }
local copy = weir.sh "copy" { inputs = { a = a }, outputs = { to = "out/copy" }, cmd = "cat {{a}} > {{to}}" }
local count = lines "count" { inputs = { a = a }, outputs = { to = "out/lines" } }
weir.copy "cp" { inputs = { from = copy }, outputs = { to = "out/cp" } }
weir.sh "wide" { inputs = { a = a }, outputs = { to = "out/wide" }, cmd = "for n in 1 2 3 4 5 6 7 8; do cat {{a}} || exit; done > {{to}}" }
weir.sh "sum" { inputs = { c = copy, n = count }, outputs = { to = "out/sum" }, cmd = "cksum {{c}} > {{to}}" }
LUA
}

# fill ROOM: leaves that many KiB on the disk
fill() {
    free=$(df -k --output=avail "$work/disk" | tail -n 1)
    [ "$free" -gt "$1" ] && fallocate -l $((free - $1))K "$work/disk/filler"
}

# expect CONTENT: what the outputs are then
expect() {
    mkdir -p "$work/$1"
    for name in copy lines cp; do yes "$1" | head -c 70000 > "$work/$1/$name"; done
    for n in 1 2 3 4 5 6 7 8; do cat "$work/$1/copy"; done > "$work/$1/wide"
}

# is NAME CONTENT: an output as it is then
is() {
    cmp -s "$work/$2/$1" "$work/disk/project/out/$1"
}

# attempt: a run with the room that there is
attempt() {
    weir run -q > "$work/said" 2>&1
    rc=$?
    if [ "$rc" = 0 ]; then
        well=$((well + 1))
    else
        short=$((short + 1))
        grep -qi 'no space left\|disk is full\|no room' "$work/said" || fail "the run ended with $rc and did not say why"
        grep -qi 'sanitizer\|runtime error' "$work/said" && fail "the run broke"
    fi
}

# recover CONTENT: with all the room
recover() {
    rm -f "$work/disk/filler"
    weir run -q > "$work/said" 2>&1 || fail "the run with room again ended with $?"
    for name in copy lines cp wide; do is "$name" "$1" || fail "out/$name is not as it should be ($1)"; done
    weir run > "$work/said" 2>&1 || fail "the second run ended with $?"
    grep -q 'nothing to do' "$work/said" || fail "the second run ran something"
    weir db check > "$work/said" 2>&1 || fail "weir db check ended with $?"
}

expect first
expect second
room=0
while [ "$room" -le 1900 ]; do
    mount -t tmpfs -o size=9m weir "$work/disk" || exit 99
    define first
    fill "$room"
    attempt
    recover first
    define second
    fill "$room"
    attempt
    for name in copy lines cp wide; do
        is "$name" first || is "$name" second || fail "out/$name is neither the old one nor the new one"
    done
    recover second
    umount "$work/disk" || exit 99
    room=$((room + step))
done
echo "$short runs had too little room, $well had enough, $failures failures"
[ "$short" -gt 0 ] && [ "$well" -gt 0 ] || {
    echo "FAILED: expected runs of both kinds"
    exit 1
}
[ "$failures" = 0 ]
