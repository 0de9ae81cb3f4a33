# common.sh - what the tests on the real book share; sourced, not run. Needs WEIR_SOURCE and WEIR_BIN.
#
#   $work       scratch, removed at the end        $work/data    the unpacked archives (base/, edits/NNN/)
#   $tree       the book as a weir project         $work/render  Markdown to HTML without weir
#   $last       number of the last edit step
#
# Checks print what was expected and what came, and count into $failures.

here=$WEIR_SOURCE/tests/book
failures=0

say() { printf '%s\n' "$*"; }
fail() {
    failures=$((failures + 1))
    printf 'FAILED: %s\n' "$*"
}
skip() {
    say "skipped: $*"
    exit 77
}

book_prepare() {
    archives=${WEIR_SHARED:-$WEIR_SOURCE/../shared}/data
    [ -f "$archives/book-base.tar.xz" ] || skip "the book is not there ($archives/book-base.tar.xz); set WEIR_SHARED"
    [ -x "${WEIR_BIN:-}" ] || skip "there is no weir program at '${WEIR_BIN:-}'"
    lua5.4 -e 'require "cjson"' 2>/dev/null || skip "lua5.4 with cjson is missing"
    scratch=${TMPDIR:-/dev/shm}
    [ -d "$scratch" ] || scratch=/tmp
    work=$(mktemp -d "$scratch/weir-book-XXXXXX") || exit 99
    trap 'if [ -n "${WEIR_KEEP:-}" ]; then say "kept: $work"; else rm -rf "$work"; fi' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    tree=$work/tree
    mkdir -p "$work/data/base" "$work/data/edits" "$work/expected" "$tree"
    tar -xJf "$archives/book-base.tar.xz" -C "$work/data/base" || exit 99
    tar -xJf "$archives/book-edits.tar.xz" -C "$work/data/edits" || exit 99
    last=$(find "$work/data/edits" -mindepth 1 -maxdepth 1 -type d | wc -l)
    ${CC:-cc} -O2 -o "$work/render" "$here/render.c" -lmd4c-html -lmd4c || exit 99
    cp "$here/weir.lua" "$here/layout.html" "$tree/"
}

book_lay() { # STEP
    lua5.4 "$here/lay.lua" "$work/data" "$tree" "$1" || exit 99
}

# book_run NAME [ARGUMENT...]: runs weir in the tree; events go to $work/NAME.json, messages to $work/NAME.log.
book_run() {
    run_name=$1
    shift
    (cd "$tree" && "$WEIR_BIN" run --json "$@") > "$work/$run_name.json" 2> "$work/$run_name.log"
    run_code=$?
    [ "$run_code" -eq 0 ] && return 0
    fail "$run_name: weir run gave exit code $run_code"
    tail -n 20 "$work/$run_name.log"
    grep -v '"outcome":"ran"' "$work/$run_name.json" | tail -n 5
    return 1
}

book_events() { # NAME QUERY...
    events_name=$1
    shift
    lua5.4 "$here/events.lua" "$work/$events_name.json" "$@"
}
