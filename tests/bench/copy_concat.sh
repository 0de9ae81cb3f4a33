#!/bin/sh
# copy_concat.sh [N...] - weir beside ninja, make and tup on one graph: N copies, a join per hundred, a root (1000 10000).
#
# weir twice: with commands (cp, cat) and with effects in C (weir-c). Cases: first build, nothing to do, one source
# edited, one source touched. The tools take turns within each repetition. Ratios are of the minima, to ninja's. A tool that
# is not there is left out. What all tools made is compared before anything is printed.
#
#   WEIR_BIN=FILE      a release build of weir (default: weir on the PATH)
#   BENCH_TOOLS="..."  of: weir weir-c ninja make tup        BENCH_FIRST=n BENCH_REPEAT=n  repetitions (3, 9)
#   TMPDIR=DIR         where to work (default /dev/shm)      BENCH_JOBS=n  at once (default: number of cores)
#   BENCH_LIMIT=n      seconds for one run (300); a tool that fails or takes longer takes no further part
#
# tup needs FUSE (package fuse3) and a file system with a disk below: on tmpfs version 0.7.11 sees no edit.
set -u

here=$(cd "$(dirname "$0")" && pwd)
weir=${WEIR_BIN:-$(command -v weir || true)}
first=${BENCH_FIRST:-3}
repeat=${BENCH_REPEAT:-9}
jobs=${BENCH_JOBS:-$(nproc)}
scratch=${TMPDIR:-/dev/shm}
[ -d "$scratch" ] || scratch=/tmp
[ $# -gt 0 ] || set -- 1000 10000

work=$(mktemp -d "$scratch/weir-bench-XXXXXX") || exit 2
# A tup that was stopped leaves its file system mounted.
unmount() {
    grep -q " $1/.tup/mnt " /proc/mounts && { umount -l "$1/.tup/mnt" || fusermount3 -uz "$1/.tup/mnt"; } 2> /dev/null
}
leave() {
    for folder in "$work"/tup-*; do unmount "$folder"; done
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM PIPE
mkdir "$work/results"
system=$(stat -f -c %T "$scratch")
limit=${BENCH_LIMIT:-300}
${CC:-cc} -O2 -o "$work/measure" "$here/measure.c" || exit 2

bad=0

# --- tools ----------------------------------------------------------------------------------------------------------------

is_there() {
    case $1 in
    weir | weir-c) [ -n "$weir" ] && [ -x "$weir" ] ;;
    tup) command -v tup > /dev/null && command -v fusermount3 > /dev/null && [ -w /dev/fuse ] && [ "$system" != tmpfs ] ;;
    *) command -v "$1" > /dev/null ;;
    esac
}

version() {
    case $1 in
    weir) "$weir" --version ;;
    weir-c) echo "the same, effects in C" ;;
    ninja) ninja --version ;;
    *) "$1" --version | head -n 1 ;;
    esac
}

# build TOOL FOLDER RESULTS
build() {
    [ ! -e "$work/$1.failed" ] || return
    tool_run=$1
    case $1 in
    weir | weir-c) set -- "$2" "$3" "$weir" run -q -j "$jobs" ;;
    ninja) set -- "$2" "$3" ninja --quiet -j "$jobs" ;;
    make) set -- "$2" "$3" make -s -j "$jobs" ;;
    tup) set -- "$2" "$3" tup --quiet "-j$jobs" ;;
    esac
    (cd "$1" && shift && timeout -k 5 "$limit" "$work/measure" "$@") 2> "$work/messages" && return
    echo "FAILED: $*"
    : > "$work/$tool_run.failed"
    bad=1
    tail -n 5 "$work/messages"
}

# Back to a tree that was never built. Folders that the tool does not make itself stay.
forget() {
    case $1 in
    weir | weir-c) rm -rf "$2/.weir" "$2/out" "$2/join" "$2/all.txt" ;;
    tup)
        unmount "$2"
        rm -rf "$2/.tup" "$2/out" "$2/join" "$2/all.txt"
        (cd "$2" && tup init) > /dev/null 2>&1
        ;;
    *)
        rm -f "$2/.ninja_log" "$2/.ninja_deps" "$2/all.txt"
        find "$2/out" "$2/join" -type f -delete
        ;;
    esac
}

tools=
for tool in ${BENCH_TOOLS:-weir weir-c ninja make tup}; do
    if is_there "$tool"; then tools="$tools $tool"; else echo "left out: $tool"; fi
done
[ -n "$tools" ] || exit 77

echo "cores $(nproc), jobs $jobs, load $(cut -d ' ' -f 1-3 /proc/loadavg), kernel $(uname -r)"
echo "file system of $scratch: $system"
for tool in $tools; do printf '%-8s %s\n' "$tool" "$(version "$tool" 2>&1)"; done

# --- cases ----------------------------------------------------------------------------------------------------------------

check() { # N WHAT: every tool's root is the sources in order
    for tool in $tools; do
        [ ! -e "$work/$tool.failed" ] || continue
        folder=$work/$tool-$1
        (cd "$folder" && find src -type f | LC_ALL=C sort | xargs cat) > "$work/wanted"
        cmp -s "$work/wanted" "$folder/all.txt" && continue
        echo "FAILED: $tool, $1 sources, $2: all.txt is not what it should be"
        bad=1
    done
}

for count in "$@"; do
    for tool in $tools; do
        mkdir "$work/$tool-$count"
        lua5.4 "$here/generate.lua" "$tool" "$count" "$work/$tool-$count" || exit 2
    done
    for turn in $(seq "$first"); do
        for tool in $tools; do
            forget "$tool" "$work/$tool-$count"
            build "$tool" "$work/$tool-$count" "$work/results/$count.first.$tool"
        done
    done
    check "$count" first
    for tool in $tools; do build "$tool" "$work/$tool-$count" "$work/results/warm-up"; done
    for case in no-op edit touch; do
        for turn in $(seq "$repeat"); do
            for tool in $tools; do
                folder=$work/$tool-$count
                source=$(printf '%s/src/%03d/%06d.txt' "$folder" $((turn * 7 % ((count + 99) / 100))) $((turn * 7 % ((count + 99) / 100) * 100 + turn)))
                sleep 0.02 # later than the last outputs for tools that go by time
                case $case in
                edit) echo "edit $turn" >> "$source" ;;
                touch) touch "$source" ;;
                esac
                build "$tool" "$folder" "$work/results/$count.$case.$tool"
            done
        done
        check "$count" "$case"
    done
    # shellcheck disable=SC2086
    for case in first no-op edit touch; do lua5.4 "$here/summary.lua" "$work/results" "$count" "$case" $tools; done
    for tool in $tools; do forget "$tool" "$work/$tool-$count"; done
    for tool in $tools; do rm -rf "$work/$tool-$count"; done
done
echo
echo "load at the end $(cut -d ' ' -f 1-3 /proc/loadavg)"
exit $bad
