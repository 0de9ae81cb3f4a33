#!/bin/sh
# run.sh [OPTION...] - weir beside ninja, make and tup on the same graphs, in turn (A B A B): a table, the budgets, and a JSON file.
#
#   --quick             small sizes, few repetitions: within two minutes       --list          the workloads
#   --huge              a million nodes, ten million events: an hour, 12 GB below TMPDIR (set it to a folder on a disk) and 8 GB of memory
#   --only a,b          these workloads                                        --sizes n,n     these sizes
#   --tools a,b         of: weir weir-sh weir-c weir-lua ninja make tup        --json FILE     (default: build/bench.json)
#   --first n --repeat n   repetitions of a first build (3) and of the other cases (7)
#   --limit n           seconds for one run (600); a tool that fails or takes longer takes no further part in a workload
#
# weir is one tool in four forms: commands as lists of words (weir), as shell texts (weir-sh), effects in C (weir-c) and in Lua (weir-lua).
# Ratios are of the minima, to ninja's. Processor seconds are user and system of all processes; MiB is that of the largest process
# and, from one more run that is traced and not timed, of all processes together; so are processes and threads. What the
# tools made is compared before a number counts. Nothing is asserted about time: a budget that is missed is said, and is no failure.
#
#   WEIR_BIN=FILE   a release build of weir (default: weir on the PATH)     TMPDIR=DIR  where to work (default /dev/shm)
#
# tup needs FUSE (package fuse3) and a file system with a disk below: on tmpfs version 0.7.11 sees no edit.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
weir=${WEIR_BIN:-$(command -v weir || true)}
[ -n "$weir" ] && [ -x "$weir" ] || { echo "weir: not found; build it and set WEIR_BIN" >&2; exit 2; }
weir=$(realpath "$weir")
for tool in lua5.4 "${CC:-cc}"; do
    command -v "$tool" > /dev/null || { echo "$tool is missing; install it and start again" >&2; exit 2; }
done
scratch=${TMPDIR:-/dev/shm}
[ -d "$scratch" ] || scratch=/tmp
work=$(mktemp -d "$scratch/weir-bench-XXXXXX") || exit 2

# A tup that was stopped leaves its file system mounted.
leave() {
    for folder in "$work"/tup-*; do
        ! grep -q " $folder/.tup/mnt " /proc/mounts || { umount -l "$folder/.tup/mnt" || fusermount3 -uz "$folder/.tup/mnt"; } 2> /dev/null
    done
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM PIPE

${CC:-cc} -O2 -o "$work/measure" "$here/measure.c" || exit 2
${CC:-cc} -O2 -shared -fPIC -I"$root" -o "$work/tiny.so" "$here/tiny.c" || exit 2
${CC:-cc} -O2 -o "$work/floor" "$here/floor.c" -lsqlite3 -lpthread || { echo "without floors: they need the headers of SQLite and xxHash" >&2; }
mkdir -p "$root/build"
LC_ALL=C lua5.4 "$here/run.lua" "$here" "$work" "$weir" "$root/build/bench.json" "$@"
