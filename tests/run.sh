#!/bin/sh
# run.sh - sets up, builds with the address and undefined-behaviour sanitizers, and runs every test.
#
#   sh tests/run.sh [preset] [arguments of ctest]     preset: asan (if none is named), tsan or release
#
# Works from any folder and without a terminal. Closes with the summary of ctest and has its exit code.
set -u
exec </dev/null

root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
cd "$root" || exit 2
preset=asan
case ${1:-} in
asan | tsan | release) preset=$1 && shift ;;
esac
jobs=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

sh tests/setup.sh || exit $?
cmake --preset "$preset" -DWEIR_TESTS=ON || exit $?
cmake --build --preset "$preset" --parallel "$jobs" || exit $?
exec ctest --preset "$preset" --output-on-failure --parallel "$jobs" "$@"
