#!/bin/sh
# test_table.sh - the recovery table: every type of job, in every state in which a killed engine may have left it, found by the next
# start, or by the one after one or two that were killed while they recovered. table.lua is the story.
#
#   WEIR_TABLE_CRASHES=n  crashes in a row, from 1 to n (default 3)     WEIR_TABLE_ROUNDS=n  the whole table n times (default 1)
#   WEIR_KEEP=1  leave the folder
set -u
here=$WEIR_SOURCE/tests/kill
command -v lua5.4 >/dev/null 2>&1 && lua5.4 -e 'require "cjson"' 2>/dev/null || {
    echo "skipped: lua5.4 with cjson is missing"
    exit 77
}
command -v flock >/dev/null 2>&1 || {
    echo "skipped: flock is missing"
    exit 77
}
scratch=${TMPDIR:-/dev/shm}
[ -d "$scratch" ] || scratch=/tmp
work=$(mktemp -d "$scratch/weir-table-XXXXXX") || exit 99
trap 'if [ -n "${WEIR_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
${CC:-cc} -O1 -o "$work/killer" "$here/killer.c" || exit 99
lua5.4 "$here/table.lua" "$work" "$WEIR_BIN"
