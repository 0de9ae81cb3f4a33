#!/bin/sh
# quickstart.sh - installs what is needed, builds weir, and shows it at work on a copy of examples/site.
#
#   sh examples/quickstart.sh
#
# Needs no terminal and asks nothing. The copy lives in a temporary folder that is removed at the end; KEEP=1 keeps it.
# Ends with an error when a command of the demonstration does.
set -eu
exec </dev/null

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
jobs=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

step() { printf '\n=== %s\n' "$*"; }

# show COMMAND...: prints the command as one would type it, and runs it; messages and data in one stream
show() {
    printf '\n$ %s\n' "$*"
    "$@" 2>&1
}

# quietly LOG COMMAND...: the output appears only if the command fails
quietly() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || {
        code=$?
        cat "$log" >&2
        printf 'quickstart: failed: %s\n' "$*" >&2
        exit "$code"
    }
}

# shorten N: the first N lines and the last one
shorten() {
    awk -v most="$1" '
        NR <= most { print }
        { last = $0 }
        END {
            if (NR > most + 1) printf "... %d more lines\n", NR - most - 1
            if (NR > most) print last
        }'
}

# edit FILE: makes FILE.new the file, and shows what is different
edit() {
    printf '\n$ edit %s\n' "$1"
    diff -U 0 "$1" "$1.new" | sed '1,2d; /^@@/d; s/^/    /'
    mv "$1.new" "$1"
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/weir-quickstart-XXXXXX")
leave() {
    if [ -n "${KEEP:-}" ]; then
        printf '\nThe project is kept in %s\n' "$scratch/site"
    else
        rm -rf "$scratch"
    fi
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "Installing what is missing"
sh tests/setup.sh && echo "Everything is there."

step "Building weir into build/release"
quietly "$scratch/configure.log" cmake --preset release
quietly "$scratch/build.log" cmake --build --preset release --parallel "$jobs" --target weir
PATH=$root/build/release:$PATH
export PATH
weir --version

cp -R examples/site "$scratch/site"
rm -rf "$scratch/site/.weir" "$scratch/site/public"
cd "$scratch/site"

step "A documentation site: ten pages in Markdown that include snippets, a layout, a table of contents"
ls -d weir.lua SUMMARY.md content/* snippets/* templates/*

step "The first run makes everything. A page is three nodes: expand its includes, make HTML of it, lay it out"
printf '\n$ weir run\n'
weir run >"$scratch/run.log" 2>&1 || { cat "$scratch/run.log" && exit 1; }
shorten 6 <"$scratch/run.log"

step "The second run has nothing to do; the workflow is not even loaded"
show weir run

step "One page is edited: that page is made again, nothing else"
sed 's/with the least work/with as little work as possible/' content/index.md >content/index.md.new
edit content/index.md
show weir run

step "Why?"
show weir why public/index.html
show weir why 'expand[post=index]'

step "A snippet is edited. Which pages include it nobody declared: weir saw it when they were made"
{ cat snippets/hello.lua && echo '-- One more line.'; } >snippets/hello.lua.new
edit snippets/hello.lua
show weir run

step "An edit that does not show: the HTML is equal, so the change stops there (cut off)"
{ cat content/cutoff.md && echo; } >content/cutoff.md.new
edit content/cutoff.md
show weir run

step "All edits are taken back: every result is restored from the store, nothing runs"
cp "$root"/examples/site/content/*.md content/
cp "$root"/examples/site/snippets/* snippets/
show weir run

step "The history, and a check of everything that is stored"
show weir log
show weir db check

step "Done. The workflow is examples/site/weir.lua; the README goes on from here."
