#!/bin/sh
# test_floors.sh - reads the #include lines of engine/ and effects/ and compares them with the table of floors.
#
# A file of engine/ sees its own floor, those below, and the public headers. An effect sees engine/weir_effect.h and its
# own folder. Each library has one home. Violations are seeded first, to see that the check catches them.
set -u
export LC_ALL=C

cat >check.awk <<'EOF'
BEGIN {
    count = split("base store model world effect script run door", names, " ")
    for (i = 1; i <= count; i++) rank[names[i]] = i
    # header -> the beginning of the only files that may include it
    home["xxhash.h"] = "engine/base/hash"
    home["xxh_x86dispatch.h"] = "engine/base/hash"
    home["jansson.h"] = "engine/store/value"
    home["sqlite3.h"] = "engine/store/db"
    home["zstd.h"] = "engine/store/blob"
    home["lua.h"] = home["lualib.h"] = home["lauxlib.h"] = "engine/script/"
    home["dlfcn.h"] = "engine/effect/plugin"
    # weir.query is a SELECT over tables that its reads stand behind: the library is its language, not its store
    also["sqlite3.h"] = "effects/query.c"
    home["md4c.h"] = home["md4c-html.h"] = "effects/"
    # the lowest floor that may include it
    lowest["uv.h"] = "world"
    lowest["generated/schema.h"] = "store"
    lowest["generated/lua_sources.h"] = "script"
}

function wrong(why) {
    printf "%s:%d: %s\n    %s\n", FILENAME, FNR, why, $0
    failures++
}

function floor_of(path,   parts) {
    return split(path, parts, "/") >= 3 && parts[1] == "engine" ? parts[2] : ""
}

function check_ours(header, own,   theirs) {
    if (own == "effects") {
        if (header != "engine/weir_effect.h" && header !~ /^effects\//)
            wrong("an effect sees engine/weir_effect.h and nothing else of ours")
        return
    }
    if (header == "engine/weir.h" || header == "engine/weir_effect.h") return
    if (header in lowest) {
        if (rank[own] < rank[lowest[header]]) wrong(header " starts at the floor " lowest[header])
        return
    }
    if (header ~ /^effects\//) {
        if (FILENAME != "engine/door/main.c") wrong("the engine names no effect; only engine/door/main.c hands over the table")
        return
    }
    theirs = floor_of(header)
    if (theirs == "") wrong("write our own headers as \"engine/<floor>/...\"")
    else if (!(theirs in rank)) wrong("there is no floor \"" theirs "\"")
    else if (rank[theirs] > rank[own]) wrong("the floor " own " is below " theirs)
}

function check_foreign(header, own) {
    if (header ~ /^(engine|effects|generated)\//) wrong("our own headers stand in quotes")
    if (header in home && index(FILENAME, home[header]) != 1 && FILENAME != also[header]) wrong("<" header "> has its home in " home[header])
    if (header in lowest && rank[own] < rank[lowest[header]]) wrong("<" header "> starts at the floor " lowest[header])
}

/^[ \t]*#[ \t]*include/ {
    files[FILENAME] = 1
    own = FILENAME ~ /^effects\// ? "effects" : floor_of(FILENAME)
    is_ours = $0 ~ /include[ \t]*"/
    header = $0
    sub(/^[^<"]*[<"]/, "", header)
    sub(/[>"].*$/, "", header)
    if (own == "") {
        if (is_ours) wrong("a file beside the floors includes none of ours")
    } else if (own != "effects" && !(own in rank)) wrong("there is no floor \"" own "\"")
    else if (is_ours) check_ours(header, own)
    else check_foreign(header, own)
}

END {
    for (file in files) seen++
    printf "%d files with includes, %d violations\n", seen, failures
    exit failures > 0
}
EOF

# check_tree DIR: reads all C files of DIR/engine and DIR/effects
check_tree() {
    (cd "$1" && find engine effects -name '*.[ch]' ! -path 'engine/weir*.h' | sort | xargs awk -f "$here/check.awk")
}

# expect good|bad FILE INCLUDE: a tree with this one line must pass, or must be caught
expect() {
    rm -rf seeded
    mkdir -p "seeded/$(dirname "$2")" seeded/engine seeded/effects
    printf '/* seeded */\n#include %s\n' "$3" >"seeded/$2"
    found=good
    check_tree seeded >seeded.out || found=bad
    if [ "$found" != "$1" ]; then
        echo "self-check: #include $3 in $2: expected $1, came out $found"
        exit 1
    fi
    if [ "$1" = bad ] && ! grep -q "^$2:2: " seeded.out; then
        echo "self-check: #include $3 in $2: the report does not name the line"
        exit 1
    fi
}

here=$PWD
expect good engine/store/log.c '"engine/base/os.h"'
expect good engine/store/log.c '"engine/store/db.h"'
expect good engine/store/log.c '"engine/weir.h"'
expect good engine/store/log.c '"generated/schema.h"'
expect good engine/store/db_open.c '<sqlite3.h>'
expect good engine/world/watch.h '<uv.h>'
expect good effects/copy.c '"engine/weir_effect.h"'
expect good effects/markdown.c '<md4c.h>'
expect good effects/query.c '<sqlite3.h>'
expect good engine/door/main.c '"effects/builtins.h"'
expect bad engine/store/log.c '"engine/model/plan.h"'
expect bad engine/base/os.c '"engine/door/query.h"'
expect bad engine/base/os.c '"os.h"'
expect bad engine/base/os.c '"base/os.h"'
expect bad engine/base/os.c '<engine/base/os.h>'
expect bad engine/base/os.c '"generated/schema.h"'
expect bad engine/model/plan.c '"generated/lua_sources.h"'
expect bad engine/run/engine.c '"engine/attic/x.h"'
expect bad engine/run/engine.c '"effects/builtins.h"'
expect bad engine/store/log.c '<sqlite3.h>'
expect bad engine/base/memory.c '<xxhash.h>'
expect bad engine/model/key.c '  <jansson.h>'
expect bad engine/model/plan.c '<uv.h>'
expect bad engine/run/engine.c '<lua.h>'
expect bad engine/run/engine.c '<dlfcn.h>'
expect bad engine/embed.c '"engine/base/os.h"'
expect bad effects/copy.c '"engine/weir.h"'
expect bad effects/copy.c '"engine/base/os.h"'
expect bad effects/copy.c '<lua.h>'
expect bad effects/copy.c '<sqlite3.h>'
expect bad effects/query.c '<lua.h>'

check_tree "$WEIR_SOURCE"
