# common.sh - what the shell tests of a watch share; sourced, not run. Needs `name`, what the scratch folder is called.
#
#   $work      scratch, removed at the end       $pid       the watch that is running, ended at the end; empty: none
#   $failures  how many checks failed            fail WHAT EXPECTED GOT
#   $work/out  what the watch says with --json   $work/err  and on its standard error
#   until_so WHAT CONDITION, await N, run N WHAT PATTERN: wait, two minutes at most; no test asserts a time

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

: > "$work/out"
: > "$work/err"

# until_so WHAT CONDITION: waits for it; the test ends here if it never comes
until_so() {
    tries=0
    until eval "$2"; do
        tries=$((tries + 1))
        if [ $tries -gt 2400 ]; then
            fail "$1" "$2" "$(tail -n 3 "$work/out" "$work/err")"
            exit 1
        fi
        sleep 0.05
    done
}

# runs: how many were told
runs() {
    grep -c '"run_finished"' "$work/out"
}

# await N: the N-th run is told; its last line is in $line
await() {
    until_so "${2:-waiting for run $1}" "[ \$(runs) -ge $1 ]"
    line=$(grep '"run_finished"' "$work/out" | sed -n "$1p")
}

# run N WHAT PATTERN: the N-th run is told, and its last line says so
run() {
    await "$1" "$2"
    case $line in
    *$3*) ;;
    *) fail "$2" "$3" "$line" ;;
    esac
}
