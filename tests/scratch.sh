#!/bin/sh
# scratch.sh - runs a command in a fresh folder and removes the folder afterwards.
#
# On /dev/shm where there is one: tests make and delete many small files, which is slow on a disk. TMPDIR wins.
# An executable script with a #! line of its own is run by that; the given interpreter is for the others.
set -u

base=${TMPDIR:-}
if [ -z "$base" ]; then
    base=/tmp
    if [ -d /dev/shm ] && [ -w /dev/shm ]; then base=/dev/shm; fi
fi
scratch=$(mktemp -d "$base/weir-test-XXXXXX") || exit 99
leave() {
    chmod -R u+rwx "$scratch" 2>/dev/null
    rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

cd "$scratch" || exit 99
if [ -x "$2" ] && [ "$(head -c 2 "$2")" = '#!' ]; then shift; fi
"$@" </dev/null
