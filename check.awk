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
    if (header in home && index(FILENAME, home[header]) != 1) wrong("<" header "> has its home in " home[header])
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
