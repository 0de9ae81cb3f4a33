#!/bin/sh
# test_folders.sh - a running watch sees what somebody does in a folder that is an output, also in folders that came with it.
set -u
name=folders
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project" && cd "$work/project" || exit 99

cat > weir.lua <<'LUA'
local weir = require "weir"
local site = weir.sh "site" {
  inputs = { pages = weir.file "pages.txt" }, outputs = { site = "public/" },
  cmd = [[while read -r name text; do mkdir -p "$(dirname "{{site}}/$name")"; echo "$text" > "{{site}}/$name"; done < {{pages}}]],
}
weir.sh "list" { inputs = { site = site }, outputs = { list = "list.txt" }, cmd = "cd {{site}} && find . -type f | sort > ../{{list}}" }
LUA
printf 'index.html one\ncss/a.css red\n' > pages.txt
"$WEIR_BIN" watch --json > "$work/out" 2> "$work/err" &
pid=$!
until_so "the first run" 'grep -q css/a.css list.txt 2> /dev/null && grep -q run_finished "$work/out"'
echo blue > public/css/a.css
until_so "a file that was changed by hand" '[ "$(cat public/css/a.css)" = red ]'
printf 'index.html one\ncss/deep/b.css green\n' > pages.txt
until_so "an edit" 'grep -q css/deep/b.css list.txt'
echo mine > public/css/deep/mine.css
until_so "a file in a folder that is new" '[ ! -e public/css/deep/mine.css ]'
mv public/css ../gone
until_so "a folder that was removed" '[ "$(cat public/css/deep/b.css 2> /dev/null)" = green ]'
mkdir -p public/other/deep
until_so "a folder more" '[ ! -e public/other ]'
mv public ../gone2
until_so "all of it gone" '[ "$(cat public/index.html 2> /dev/null)" = one ] && [ -e public/css/deep/b.css ]'
grep -q 'public/css/deep/mine.css was changed by hand; kept' "$work/out" "$work/err" || { echo "FAILED: mine.css was not told: $(cat "$work/out" "$work/err")"; failures=1; }
kill -TERM "$pid"
wait "$pid"
pid=
out=$("$WEIR_BIN" run --json)
case $out in
*'"ran":0,"unchanged":2,"restored":0'*) ;;
*) echo "FAILED: a run after the watch: $out"; failures=1 ;;
esac
"$WEIR_BIN" db check > /dev/null || failures=1
exit $failures
