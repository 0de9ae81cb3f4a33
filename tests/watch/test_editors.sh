#!/bin/sh
# test_editors.sh - each way in which editors save a file gives exactly one run of the node that uses it.
#
# The glob takes every name that has no dot in front, so that backups, probes and autosaves are its business too: what is there for a moment only
# makes no node.
set -u
name=editors
. "$WEIR_SOURCE/tests/watch/common.sh"
mkdir -p "$work/project/src" && cd "$work/project" || exit 99
saves=0 text=

cat > weir.lua <<'LUA'
local weir = require "weir"
for _, f in ipairs(weir.glob "src/*.txt") do
  weir.sh "one" { params = { n = f.stem }, inputs = { from = f }, outputs = { to = "build/{{n}}.out" }, cmd = "cp {{from}} {{to}}" }
end
LUA
echo begin > src/a.txt
echo other > src/b.txt
"$WEIR_BIN" watch --json > "$work/out" 2> "$work/err" &
pid=$!
await 1
sleep 0.5

# saved WHAT: it was saved just now, with $text in it
saved() {
    saves=$((saves + 1))
    await $((saves + 1)) "$1"
    sleep 0.4
    [ "$(runs)" -eq $((saves + 1)) ] || fail "$1" "one run" "$(tail -n +$((saves + 1)) "$work/out" | grep -c run_finished)"
    saves=$(($(runs) - 1))
    line=$(grep '"run_finished"' "$work/out" | tail -n 1)
    case $line in
    *'"ran":1,"unchanged":1,'*) ;;
    *) fail "$1" "one node" "$line" ;;
    esac
    [ "$(cat build/a.out)" = "$text" ] || fail "$1" "$text" "$(cat build/a.out)"
}

next() {
    text="$1 $saves"
}

next "in place"
echo "$text" > src/a.txt
saved "in place"

next "in two writes"
{ printf '%s' "${text%?}"; sleep 0.03; printf '%s\n' "${text#"${text%?}"}"; } > src/a.txt
saved "in two writes, open between them"

next "emptied, then written"
{ sleep 0.03; echo "$text"; } > src/a.txt
saved "emptied, then written, with one open"

next "temporary file"
echo "$text" > src/.a.txt.tmp; mv src/.a.txt.tmp src/a.txt
saved "a temporary file, renamed"

next "temporary elsewhere"
echo "$text" > "$work/temp"; mv "$work/temp" src/a.txt
saved "a temporary file from elsewhere"

next "stamps set"
echo "$text" > src/goutputstream-X1; chmod 600 src/goutputstream-X1; touch -r src/b.txt src/goutputstream-X1; mv src/goutputstream-X1 src/a.txt
saved "a temporary file with the stamps of another one"

next "backup by copy"
cp -p src/a.txt src/a.txt~; echo "$text" > src/a.txt
saved "a backup by copy"

next "backup by rename"
mv src/a.txt src/a.txt.bak; sleep 0.02; echo "$text" > src/a.txt
saved "a backup by rename"

next "removed and made anew"
rm src/a.txt; sleep 0.02; echo "$text" > src/a.txt
saved "removed and made anew"

# vim: swap file, a probe whether the folder can be written, backup by rename, written, synced, backup removed
next "vim"
echo swap > src/.a.txt.swp; : > src/.a.txt.swx; rm src/.a.txt.swx; echo more >> src/.a.txt.swp
: > src/4913; chmod 644 src/4913; rm src/4913
mv src/a.txt src/a.txt~; echo "$text" > src/a.txt; sync src/a.txt; chmod 644 src/a.txt; rm src/a.txt~
rm src/.a.txt.swp
saved "as vim does"

# vim with backupcopy=yes: in place behind a backup
next "vim in place"
echo swap > src/.a.txt.swp
cp -p src/a.txt src/a.txt~; { echo "$text"; sync; } > src/a.txt; rm src/a.txt~
rm src/.a.txt.swp
saved "as vim does with backupcopy=yes"

# emacs: a lock that is a link to nowhere, autosaves, backup by rename
next "emacs"
ln -s "user@host.1234:5678" 'src/.#a.txt'
echo auto > 'src/#a.txt#'; echo autosave >> 'src/#a.txt#'
mv src/a.txt src/a.txt~; echo "$text" > src/a.txt; chmod 644 src/a.txt
rm 'src/.#a.txt' 'src/#a.txt#'
saved "as emacs does"

next "sed"
sed -i "s/.*/$text/" src/a.txt
saved "as sed -i does"

next "copied over, stamps kept"
echo "$text" > "$work/temp"; touch -d '2001-01-01' "$work/temp"; cp -p "$work/temp" src/a.txt
saved "copied over with its stamps"

next "linked over"
echo "$text" > src/.new; ln -f src/.new src/a.txt; rm src/.new
saved "another file linked into its place"

# the same ones, if they are here
if command -v vim > /dev/null; then
    next "vim itself"
    vim -u NONE -es -c 'set swapfile backup backupcopy=no' -c "call setline(1, '$text')" -c wq src/a.txt < /dev/null > /dev/null 2>&1
    rm -f src/a.txt~
    saved "by vim"
fi
if command -v emacs > /dev/null; then
    next "emacs itself"
    emacs -Q --batch src/a.txt --eval "(progn (erase-buffer) (insert \"$text\\n\") (save-buffer))" > /dev/null 2>&1
    saved "by emacs"
fi
if command -v ed > /dev/null; then
    next "ed itself"
    printf '1c\n%s\n.\nw\nq\n' "$text" | ed -s src/a.txt
    saved "by ed"
fi

# nothing of it is news
touch src/a.txt src/b.txt; : > src/4913; rm src/4913; chmod 600 src/b.txt; chmod 644 src/b.txt
next "last"
echo "$text" > src/a.txt
saved "after a touch, a probe, other permissions"

kill -TERM "$pid"
wait "$pid"
pid=
[ $failures -eq 0 ] && echo "ok: $saves saves, $saves runs"
exit $((failures > 0))
