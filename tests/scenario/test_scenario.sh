#!/bin/sh
# test_scenario.sh - plays every tests/scenario/*.scn, several files at a time; run.lua tells the steps.
#
#   WEIR_SCENARIO=text  only scenarios whose title contains the text      WEIR_KEEP=1  leave the folders
set -u
lua5.4 -e 'require "cjson"' 2>/dev/null || {
    echo "skipped: lua5.4 with cjson is missing"
    exit 77
}
[ -x "${WEIR_BIN:-}" ] || {
    echo "skipped: there is no weir program at '${WEIR_BIN:-}'"
    exit 77
}
failed=0
folder=$PWD
for file in "$WEIR_SOURCE"/tests/scenario/*.scn; do
    name=$(basename "$file" .scn)
    mkdir "$folder/$name"
    (
        cd "$folder/$name" || exit 99
        lua5.4 "$WEIR_SOURCE/tests/scenario/run.lua" "$file" > ../"$name.txt" 2>&1
        echo $? > ../"$name.code"
    ) &
done
wait
for file in "$WEIR_SOURCE"/tests/scenario/*.scn; do
    name=$(basename "$file" .scn)
    cat "$folder/$name.txt"
    [ "$(cat "$folder/$name.code")" = 0 ] || failed=1
done
exit $failed
