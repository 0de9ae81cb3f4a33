# common.sh - what the shell tests of a watch share; sourced, not run. Needs `name`, what the scratch folder is called.
#
#   $work      scratch, removed at the end       $pid       the watch that is running, ended at the end; empty: none
#   $failures  how many checks failed            fail WHAT EXPECTED GOT

scratch=${TMPDIR:-/dev/shm}
[ -d "$scratch" ] || scratch=/tmp
work=$(mktemp -d "$scratch/weir-$name-XXXXXX") || exit 99
pid=
leave() {
    if [ -n "$pid" ]; then kill -TERM "$pid" 2> /dev/null; fi
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failures=0

fail() {
    echo "FAILED: $1: expected $2, got: $3"
    failures=$((failures + 1))
}
