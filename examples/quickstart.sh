#!/bin/sh
# quickstart.sh - installs what is needed, builds weir, and shows it at work on a copy of examples/site.
#
#   sh examples/quickstart.sh
#
# Needs no terminal and asks nothing. The copy lives in a temporary folder that is removed at the end; KEEP=1 keeps it.
set -eu
exec </dev/null

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
jobs=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

step() { printf '\n=== %s\n' "$*"; }

# show COMMAND...: prints the command as one would type it, runs it, and goes on when it fails
show() {
    printf '\n$ %s\n' "$*"
    "$@" || printf '(exit %d)\n' "$?"
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
sh tests/setup.sh

step "Building weir (build/release)"
quietly "$scratch/configure.log" cmake --preset release -DWEIR_TESTS=OFF
quietly "$scratch/build.log" cmake --build --preset release --parallel "$jobs" --target weir
PATH=$root/build/release:$PATH
export PATH
ls -l build/release/weir | awk '{ printf "build/release/weir, %.1f MB\n", $5 / 1e6 }'

cp -R examples/site "$scratch/site"
rm -rf "$scratch/site/.weir"
cd "$scratch/site"
page=$(find . -name '*.md' ! -path './.weir/*' | sort | head -n 1)

step "A small web site: pages in Markdown, a layout, an index"
find . -type f ! -path './.weir/*' | sort | sed 's/^\.\//  /'

step "The first run makes everything"
show weir run

step "The second run has nothing to do"
show weir run

if [ -z "$page" ]; then
    echo "quickstart: examples/site has no page to edit" >&2
    exit 1
fi
page=${page#./}
step "One page is edited: only what depends on its content runs"
touch "$scratch/before"
sleep 0.05
printf '\nA sentence added by the quickstart.\n' >>"$page"
printf '$ echo "A sentence added by the quickstart." >> %s\n' "$page"
show weir run

step "Why was that made again?"
made=$(find . -type f -newer "$scratch/before" ! -path './.weir/*' ! -path "./$page" | sort | head -n 1)
show weir why "${made#./}"

step "The edit is taken back: everything is restored, nothing runs"
cp "$root/examples/site/$page" "$page"
show weir run

step "Done. The workflow is examples/site/weir.lua; \`weir help\` lists the commands."
