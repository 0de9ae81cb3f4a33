#!/bin/sh
# test_why.sh - weir why, for random nodes and past runs of a real book, against hashes computed from the files.
#
#   WEIR_WHY_SEED=n  repeat a choice of pairs (the seed is printed)   WEIR_WHY_PAIRS=n  how many (default 20)
set -u
. "$WEIR_SOURCE/tests/book/common.sh"
command -v xxh128sum > /dev/null || skip "xxh128sum is missing (package xxhash)"
book_prepare

seed=${WEIR_WHY_SEED:-$(date +%s)}
pairs=${WEIR_WHY_PAIRS:-20}
say "seed $seed"

# Several steps between runs in the beginning and single ones later; 97 and 184 change the table of contents.
for step in 0 3 8 16 17 18 30 60 96 97 98 110 130 131 132 150 183 184 185; do
    [ "$step" -le "$last" ] || continue
    book_lay "$step"
    book_run "step-$step" || exit 1
    printf '%s %s\n' "$step" "$(book_events "step-$step" get run)" >> "$work/runs"
done

if ! lua5.4 "$WEIR_SOURCE/tests/why/check_why.lua" "$work" "$here/layout.html" "$WEIR_BIN" "$seed" "$pairs"; then
    say "repeat with WEIR_WHY_SEED=$seed"
    exit 1
fi
