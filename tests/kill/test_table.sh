#!/bin/sh
# test_table.sh - the recovery table: every type of job, in every state in which a killed engine may have left it, found by the next
# start, or by the one after one or two that were killed while they recovered. table.lua is the story.
#
#   WEIR_TABLE_CRASHES=n  crashes in a row, from 1 to n (default 3)     WEIR_TABLE_ROUNDS=n  the whole table n times (default 1)
#   WEIR_KEEP=1  leave the folder
set -u
here=$WEIR_SOURCE/tests/kill
name=table
. "$here/common.sh"
need_lua_with_cjson
need flock
killer
lua5.4 "$here/table.lua" "$work" "$WEIR_BIN"
