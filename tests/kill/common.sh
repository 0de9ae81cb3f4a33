# common.sh - what the shell tests of kills share; sourced, not run. Needs `name`, what the scratch folder is called.
#
#   $work      scratch, left by `leave` at the end; WEIR_KEEP=1 keeps it
#   need TOOL  skips the test where that is missing        killer  compiles killer.c to $work/killer

scratch=${TMPDIR:-/dev/shm}
[ -d "$scratch" ] || scratch=/tmp
work=$(mktemp -d "$scratch/weir-$name-XXXXXX") || exit 99
leave() {
    if [ -n "${WEIR_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

skip() {
    echo "skipped: $1 is missing"
    exit 77
}

need() {
    command -v "$1" > /dev/null 2>&1 || skip "$1"
}

need_lua_with_cjson() {
    command -v lua5.4 > /dev/null 2>&1 && lua5.4 -e 'require "cjson"' 2> /dev/null || skip "lua5.4 with cjson"
}

killer() {
    ${CC:-cc} -O1 -o "$work/killer" "$WEIR_SOURCE/tests/kill/killer.c" || exit 99
}
