#!/bin/sh
# test_examples.sh - the examples do what their READMEs say: first run, nothing to do, one edit, its reason.
set -u

bad=0
expect() { # what, expected, got
    [ "$2" = "$3" ] && return
    printf '%s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    bad=1
}
ran() { # the nodes that ran, sorted, on one line
    "$WEIR_BIN" run --json 2> err.txt | sed -n 's/.*"event":"execution_finished","node":"\([^"]*\)".*"outcome":"ran".*/\1/p' | LC_ALL=C sort | tr '\n' ' '
}

cp -R "$WEIR_SOURCE/examples/site" site && cd site || exit 1
"$WEIR_BIN" run -q || bad=1
pages=$(ls public/*.html | wc -l)
expect "site: a page per source" "$(ls content/*.md | grep -vc SUMMARY)" "$((pages))"
expect "site: a second run" "" "$(ran)"
printf '\nOne more line.\n' >> content/nodes.md
expect "site: one page edited" "body[post=nodes] expand[post=nodes] page[post=nodes] " "$(ran)"
expect "site: why" "input-changed" "$("$WEIR_BIN" why 'expand[post=nodes]' --json | sed -n 's/.*"reason": *"\([^"]*\)".*/\1/p')"
printf '\n\n' >> content/nodes.md
expect "site: an edit that does not show" "body[post=nodes] expand[post=nodes] " "$(ran)"
"$WEIR_BIN" db check > check.txt || { cat check.txt; bad=1; }
cd ..

cp -R "$WEIR_SOURCE/examples/c-project" c && cd c || exit 1
"$WEIR_BIN" run -q || bad=1
expect "c-project: the program" "0" "$(build/tally < messages.txt > tally.txt; echo $?)"
expect "c-project: a second run" "" "$(ran)"
printf '/* a comment */\n' >> src/words.h
set -- $(ran)
expect "c-project: a comment in a header compiles its users and links nothing" "0" "$(printf '%s\n' "$@" | grep -c link)"
expect "c-project: and something was compiled" "yes" "$(printf '%s\n' "$@" | grep -q 'compile' && echo yes)"
printf 'int words_extra;\n' >> src/words.c
expect "c-project: code" "compile[unit=words] link[program=tally] link[program=test_words] test " "$(ran)"
"$WEIR_BIN" db check > check.txt || { cat check.txt; bad=1; }
cd ..

cp -R "$WEIR_SOURCE/examples/chapters" chapters && cd chapters || exit 1
expect "chapters: a first run" "contents count preview split " "$(ran)"
expect "chapters: the names" "1. the-harbour.md 2. the-hill.md 3. the-letter.md " "$(tr '\n' ' ' < build/contents.txt)"
expect "chapters: a second run" "" "$(ran)"
sed -i 's/since noon/since May/' book.md
expect "chapters: one is rewritten" "count split " "$(ran)"
printf '\n# The end\n\nSo it was.\n' >> book.md
expect "chapters: one more" "contents count split " "$(ran)"
"$WEIR_BIN" db check > check.txt || { cat check.txt; bad=1; }
exit $bad
