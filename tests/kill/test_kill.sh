#!/bin/sh
# test_kill.sh - ends the weir program with SIGKILL at random moments and at named points, and looks what is left.
#
# Whatever was killed and when: the next run completes, its outputs equal those of a clean run in another folder, the
# database is sound, no process and no temporary file is left, a further run has nothing to do, and no byte written by
# hand is lost. A failed node's last good output is there. kill.lua is the story, killer.c does the killing.
#
#   WEIR_KILL_ROUNDS=n  random kills (default 12; a campaign: 100)      WEIR_SEED=n  replays them
#   WEIR_KILL_POINT=name  only this point (with WEIR_KILL_ONLY=points)
#   WEIR_KILL_ONLY=random|points|failing|interrupt                      WEIR_KEEP=1  leave the folder
#   WEIR_KILL_VERBOSE=1  print every round
set -u
here=$WEIR_SOURCE/tests/kill
name=kill
. "$here/common.sh"
need_lua_with_cjson
killer
${CC:-cc} -O1 -shared -fPIC -I "$WEIR_SOURCE" -o "$work/half.so" "$here/project/half.c" || exit 99
lua5.4 "$here/kill.lua" "$work" "$WEIR_BIN" "$WEIR_SOURCE"
