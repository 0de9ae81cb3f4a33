#!/bin/sh
# test_links.sh - files that are relied on through links: an edit where the link leads to is seen, also over several hops and outside of the project.
set -u
name=links
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project/src" "$work/project/other" "$work/outside/a" "$work/outside/b" && cd "$work/project" || exit 99

# made NAME TEXT WHAT: the output comes to hold this
made() {
    until_so "$3: $2" "[ \"\$(cat 'build/$1.out' 2> /dev/null)\" = '$2' ]"
}

cat > weir.lua <<'LUA'
local weir = require "weir"
for _, name in ipairs { "file", "hops", "folder", "late" } do
  weir.copy(name) { inputs = { from = weir.file("src/" .. name .. (name == "folder" and "/f.txt" or ".txt")) }, outputs = { to = "build/" .. name .. ".out" } }
end
LUA
echo one > other/real.txt
echo one > "$work/outside/a/deep.txt"
ln -s "$work/outside/a/deep.txt" "$work/outside/b/hop.txt"
mkdir "$work/outside/v1" "$work/outside/v2"
echo one > "$work/outside/v1/f.txt"
echo two > "$work/outside/v2/f.txt"
ln -s ../other/real.txt src/file.txt
ln -s "$work/outside/b/hop.txt" src/hops.txt
ln -s "$work/outside/v1" src/folder
echo one > src/late.txt
"$WEIR_BIN" watch --json > "$work/out" 2> "$work/err" &
pid=$!
made late one "the first run"
sleep 0.5
echo two > other/real.txt
made file two "behind a link"
echo three > other/.temp && mv other/.temp other/real.txt
made file three "behind a link, by rename"
echo two > "$work/outside/a/deep.txt"
made hops two "behind two links"
echo three > "$work/outside/a/new.txt"
ln -sf ../a/new.txt "$work/outside/b/hop.txt"
made hops three "a link on the way leads elsewhere"
echo four > "$work/outside/a/new.txt"
made hops four "and what it leads to now is edited"
ln -sfn "$work/outside/v2" src/folder
made folder two "a folder that is a link leads elsewhere"
echo three > "$work/outside/v2/f.txt"
made folder three "and a file in it is edited"
ln -sf ../other/late.txt src/late.txt
echo two > other/late.txt
made late two "a file became a link, and then what it leads to came"
echo three > other/late.txt
made late three "and was edited"
kill -TERM "$pid"
wait "$pid"
pid=
[ $failures -eq 0 ] && echo "ok: 10 edits"
exit $((failures > 0))
