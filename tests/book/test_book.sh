#!/bin/sh
# test_book.sh - replays how a real book was edited, and compares what ran with what had to run.
#
# At every checked step: the nodes executed are exactly those that expected.lua works out from the files alone, and the
# output tree equals that of a clean run in another folder. At the end the book goes back to step 0: nothing may run.
#
#   WEIR_BOOK_STEP=n  apply n steps between two runs (default 8); 1 or all: run after every step
#   WEIR_BOOK_JOBS=n  run with -j n
#   WEIR_BOOK_KILL=n  in every n-th checked step a run is killed in its middle first (default 5; 0: none): what it had recorded and
#                     what the next run does are together what had to run, and no node is in both
#   WEIR_SHARED=DIR   where data/book-*.tar.xz are      WEIR_KEEP=1  leave the scratch folder
set -u
. "$WEIR_SOURCE/tests/book/common.sh"
book_prepare

every=${WEIR_BOOK_STEP:-8}
[ "$every" = all ] && every=1
steps=$(seq 0 "$every" "$last")
[ $((last % every)) -eq 0 ] || steps="$steps $last"
# shellcheck disable=SC2086
lua5.4 "$here/expected.lua" "$work/data" "$work/render" "$here/layout.html" "$work/expected" $steps 0 || exit 99

kill_every=${WEIR_BOOK_KILL:-5}
jobs=${WEIR_BOOK_JOBS:+-j $WEIR_BOOK_JOBS}

# The nodes executed by run $1 are those in file $2.
check_ran() {
    book_events "$1" ran > "$work/$1.ran"
    cmp -s "$2" "$work/$1.ran" && return
    fail "$1: other nodes ran than had to (< had to, > ran)"
    diff "$2" "$work/$1.ran" | grep '^[<>]' | head -n 40
}

# What run $1 counted is what happened: its own number of executions, and every node has one outcome.
check_counts() {
    # shellcheck disable=SC2046
    set -- "$1" "$2" $(book_events "$1" get ran restored unchanged failed blocked)
    [ "$3" = "$(grep -c . "$work/$1.ran")" ] || fail "$1: run_finished says $3 ran, the events $(grep -c . "$work/$1.ran")"
    [ $(($3 + $4 + $5)) -eq "$2" ] || fail "$1: ran $3 + restored $4 + unchanged $5 is not the number of nodes, $2"
    [ "$6 $7" = "0 0" ] || fail "$1: failed $6, blocked $7"
}

# The output tree equals that of a clean run on a copy of the inputs.
check_clean() {
    rm -rf "$work/clean"
    mkdir "$work/clean"
    (cd "$tree" && cp -r src listings weir.lua layout.html "$work/clean/")
    if ! (cd "$work/clean" && "$WEIR_BIN" run -q > "$work/clean.log" 2>&1); then
        fail "$1: the clean run failed"
        tail -n 20 "$work/clean.log"
        return
    fi
    diff -rq "$work/clean/public" "$tree/public" > "$work/difference" && return
    fail "$1: the outputs differ from those of a clean run"
    head -n 20 "$work/difference"
}

# A run for the nodes in `wanted` that is killed about half way, at one point after the other. What it had recorded as done goes
# to `recorded`, and out of `wanted`.
kill_points="output_after_rename log_before_commit output_before_rename log_after_commit"
killed=0
kill_half() {
    # shellcheck disable=SC2086
    set -- $kill_points
    kill_points="$2 $3 $4 $1"
    case $1 in log*) half=3 ;; *) half=$((1 + $(grep -c '^page' "$work/wanted") / 2)) ;; esac
    newest=$(cd "$tree" && "$WEIR_BIN" sql --csv 'SELECT max(run) FROM weir_runs' | tail -n 1 | tr -d '\r')
    # A shell of its own, so that its word about the killed process does not come between the rows.
    (cd "$tree" && WEIR_KILL_AT=$1:$half "$WEIR_BIN" run -q $jobs; [ $? -eq 137 ]) > "$work/kill.log" 2>&1 && killed=$((killed + 1))
    (cd "$tree" && "$WEIR_BIN" sql --csv "SELECT node FROM weir_executions WHERE run > $newest AND result = 'ok'") |
        tr -d '\r' | sed '1d; s/^"\(.*\)"$/\1/; s/""/"/g' | sort > "$work/recorded"
    LC_ALL=C sort -o "$work/recorded" "$work/recorded"
    LC_ALL=C comm -13 "$work/wanted" "$work/recorded" > "$work/difference"
    [ -s "$work/difference" ] && fail "step $step: the killed run did more than had to be done: $(cat "$work/difference")"
    LC_ALL=C comm -23 "$work/wanted" "$work/recorded" > "$work/left"
    mv "$work/left" "$work/wanted"
}

row() { # STEP RUN NODES
    # shellcheck disable=SC2046
    printf '%10s %6s %8s %8s %8s %8s %9s\n' "$1" $(book_events "$2" get ran) "$(grep -c . "$work/wanted")" "$3" \
        $(book_events "$2" get restored cut_off seconds)
}

# --- the first run, and runs that have nothing to do --------------------------------------------------------------------

printf '%10s %6s %8s %8s %8s %8s %9s\n' step ran minimum rebuild restored cut_off seconds
position=0
for step in $steps; do
    position=$((position + 1))
    book_lay "$step"
    cp "$work/expected/$step-$position.expected" "$work/wanted"
    nodes=$(cat "$work/expected/$step-$position.nodes")
    run=step-$step
    : > "$work/recorded"
    [ "$step" -eq 0 ] || [ "$kill_every" -eq 0 ] || [ $((position % kill_every)) -ne 0 ] || kill_half
    book_run "$run" $jobs || break
    row "$step" "$run" "$nodes"
    check_ran "$run" "$work/wanted"
    check_counts "$run" "$nodes"
    check_clean "$run"
    [ "$step" -eq 0 ] || continue

    cp -r "$tree/public" "$work/public-0"
    : > "$work/wanted"
    pages=$(find "$tree/public" -type f | wc -l)
    [ "$pages" -eq $(((nodes - 1) / 3)) ] || fail "first run: $pages pages for $nodes nodes"

    sleep 0.1 # beyond the clock tick in which a file may have been written again after it was looked at
    book_run again --stats
    book_run noop --stats
    row noop noop "$nodes"
    check_ran noop "$work/wanted"
    idle=$(book_events noop get hosts_started files_hashed)
    [ "$idle" = "0 0" ] || fail "no-op: script hosts started and files hashed: expected 0 0, got $idle"

    find "$tree/src" "$tree/listings" -type f -exec touch {} +
    book_run touched
    row touched touched "$nodes"
    check_ran touched "$work/wanted"

    printf -- '-- a comment\n' >> "$tree/weir.lua"
    book_run comment
    row comment comment "$nodes"
    check_ran comment "$work/wanted"
    cp "$here/weir.lua" "$tree/weir.lua"

    printf '<!-- end -->\n' >> "$tree/layout.html"
    grep '^page' "$work/expected/0-1.expected" > "$work/wanted"
    book_run layout
    row layout layout "$nodes"
    check_ran layout "$work/wanted"
    cp "$here/layout.html" "$tree/layout.html"
    : > "$work/wanted"
    book_run layout-back
    row layout-back layout-back "$nodes"
    check_ran layout-back "$work/wanted"
done

# --- back to the start: everything is restored --------------------------------------------------------------------------

if [ "$failures" -eq 0 ]; then
    book_lay 0
    cp "$work/expected/0-$((position + 1)).expected" "$work/wanted"
    nodes=$(cat "$work/expected/0-$((position + 1)).nodes")
    book_run back
    row 'back to 0' back "$nodes"
    check_ran back "$work/wanted"
    diff -rq "$work/public-0" "$tree/public" > "$work/difference" || {
        fail "back at step 0 the outputs are not what they were"
        head -n 20 "$work/difference"
    }
fi

if [ "$failures" -ne 0 ]; then
    say "$failures checks failed"
    exit 1
fi
if [ "$kill_every" -gt 0 ]; then
    say "$killed runs were killed half way"
    [ "$killed" -gt 0 ] || { say "expected some runs to be killed half way, got none"; exit 1; }
fi
say "every step ran exactly what it had to"
