#!/bin/sh
# c_program.sh [FOLDER] - a real C program (zstd, from Debian's source package) built by weir beside ninja: what runs after each edit.
#
# 59 sources, 60 headers, depfiles from the compiler, a library and eleven programs. The same commands in both. After every
# step all objects and programs of the two must be equal. FOLDER keeps the downloaded source for the next time.
#
#   WEIR_BIN=FILE  a release build of weir (default: weir on the PATH)    C_PROGRAM_JOBS=n  at once (default: number of cores)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
weir=${WEIR_BIN:-$(command -v weir)} || { echo "weir: not found; set WEIR_BIN" >&2; exit 2; }
for tool in ninja lua5.4 apt-get git cc ar; do
    command -v $tool > /dev/null || { echo "$tool is missing; install it and start again" >&2; exit 2; }
done
scratch=${TMPDIR:-/dev/shm}
[ -d "$scratch" ] || scratch=/tmp
work=$(mktemp -d "$scratch/weir-c-program-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM PIPE
kept=${1:-$work/source}
mkdir -p "$kept"
kept=$(cd "$kept" && pwd)

# Debian's source package, from where this machine has its packages, without touching its lists.
if ! ls "$kept"/libzstd_*.orig.tar.xz > /dev/null 2>&1; then
    mkdir -p "$work/lists/partial"
    apt-get indextargets --format 'deb-src $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' > "$work/sources.list"
    [ -s "$work/sources.list" ] || { echo "apt-get knows no archive of Debian; run apt-get update and start again" >&2; exit 2; }
    options="-q -o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$work/lists"
    { apt-get $options update && cd "$kept" && apt-get $options source --download-only libzstd; } > "$work/apt.log" 2>&1 || {
        cat "$work/apt.log" >&2
        echo "the source package of libzstd could not be fetched" >&2
        exit 2
    }
fi
for tool in weir ninja; do
    mkdir "$work/$tool"
    tar -xf "$kept"/libzstd_*.orig.tar.xz -C "$work/$tool" --strip-components=1
done
lua5.4 "$here/c_program.lua" "$work" "$weir" "${C_PROGRAM_JOBS:-$(nproc)}"
