/*
 * declare_effect.c - weir.effect: registers a Lua function as an effect. Its code is hashed when
 * loading has ended.
 */
#include "engine/script/declare.h"

static void effect_finding(loader *ld, source_position where, bytes name, const char *key,
                           const char *hint, const char *what)
{
    diagnose(ld, where, key, hint, "effect \"%.*s\": %s", (int)name.size, (const char *)name.data,
             what);
}

static void check_effect_keys(lua_State *L, loader *ld, source_position where, bytes name, int idx)
{
    static const char *const keys[] = {"run", "version", "always", "code", "doc", "inflight"};
    enum { KEYS = sizeof keys / sizeof *keys };
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (key && declare_is_one_of(key, keys, KEYS)) continue;
        const char *what =
            key ? arena_printf(&ld->scratch, "unknown key '%s'", key) : "an entry without a name";
        const char *hint =
            key ? declare_suggest(ld, key, keys, KEYS) : "write run = function(i, o) ... end";
        if (key && (strcmp(key, "inputs") == 0 || strcmp(key, "outputs") == 0 ||
                    strcmp(key, "params") == 0))
            hint =
                "inputs, outputs and params belong to the node: EFFECT \"name\" { inputs = ... }";
        effect_finding(ld, where, name, key, hint, what ? what : "unknown key");
    }
}

code_policy declare_policy(lua_State *L, loader *ld, int idx,
                           void (*tell)(void *ctx, const char *hint, const char *what), void *ctx)
{
    static const char *const words[] = {"track", "warn", "pin"};
    const char *what = "code is \"track\", \"warn\" or \"pin\"", *hint = NULL;
    size_t i = 3;
    lua_pushliteral(L, "code");
    int type = lua_rawget(L, idx);
    const char *word = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (type == LUA_TNIL) i = CODE_TRACK;
    for (size_t k = 0; word && k < 3; k++)
        if (strcmp(word, words[k]) == 0) i = k;
    if (i == 3 && word) {
        hint = declare_suggest(ld, word, words, 3);
        const char *unknown = arena_printf(&ld->scratch, "unknown code = '%.40s' (track, warn, pin)", word);
        if (unknown) what = unknown;
    }
    if (i == 3) tell(ctx, hint, what);
    lua_pop(L, 1);
    return i < 3 ? (code_policy)i : CODE_TRACK;
}

bool declare_inflight(lua_State *L, loader *ld, int idx, uint32_t *flags,
                      void (*tell)(void *ctx, const char *hint, const char *what), void *ctx)
{
    static const char *const words[] = {"queue", "restart", "ignore"};
    static const uint32_t meanings[] = {0, SPEC_RESTART, SPEC_IGNORE};
    lua_pushliteral(L, "inflight");
    int type = lua_rawget(L, idx);
    const char *word = type == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    size_t i = 0;
    while (word && i < 3 && strcmp(word, words[i]) != 0) i++;
    bool is_good = type == LUA_TNIL || (word && i < 3);
    if (word && i < 3) *flags = meanings[i];
    if (!is_good)
        tell(ctx, word ? declare_suggest(ld, word, words, 3) : NULL,
             "inflight is \"queue\", \"restart\" or \"ignore\"");
    lua_pop(L, 1);
    return is_good;
}

typedef struct effect_place {
    loader *ld;
    source_position where;
    bytes name;
} effect_place;

static void inflight_finding(void *ctx, const char *hint, const char *what)
{
    const effect_place *at = ctx;
    effect_finding(at->ld, at->where, at->name, "inflight", hint, what);
}

static void policy_finding(void *ctx, const char *hint, const char *what)
{
    const effect_place *at = ctx;
    effect_finding(at->ld, at->where, at->name, "code", hint, what);
}

int luadeclare_effect(lua_State *L, loader *ld, bytes name, int idx)
{
    loader_need_loading(L, "weir.effect");
    loader_scratch(ld);
    source_position where = diagnose_position(L);
    size_t before = ld->errors;
    idx = lua_absindex(L, idx);
    int known = loader_find_effect(ld, name);
    if (known >= 0 || registry_find(ld->registry, name)) {
        const char *what = "the name is that of a built-in effect";
        if (known >= 0 && ld->effects[known].kind == EFFECT_LUA)
            what = arena_printf(&ld->scratch, "was registered before, at %s:%d",
                                ld->effects[known].file, ld->effects[known].line);
        effect_finding(ld, where, name, NULL, "effects have different names",
                       what ? what : "was registered before");
    }
    if (name.size == 0) effect_finding(ld, where, name, NULL, NULL, "a name must not be empty");
    check_effect_keys(L, ld, where, name, idx);
    lua_pushliteral(L, "run");
    if (lua_rawget(L, idx) != LUA_TFUNCTION || lua_iscfunction(L, -1))
        effect_finding(ld, where, name, "run", "write run = function(i, o) ... end",
                       lua_isnil(L, -1) ? "needs a function run" : "run is not a Lua function");
    lua_pushliteral(L, "version");
    int version = lua_rawget(L, idx);
    if (version != LUA_TNIL && version != LUA_TSTRING && version != LUA_TNUMBER)
        effect_finding(ld, where, name, "version", NULL, "version is a string");
    lua_pushliteral(L, "always");
    int always = lua_rawget(L, idx);
    if (always != LUA_TNIL && always != LUA_TBOOLEAN)
        effect_finding(ld, where, name, "always", NULL, "always is true or false");
    code_policy policy =
        declare_policy(L, ld, idx, policy_finding, &(effect_place){ld, where, name});
    uint32_t inflight = 0;
    declare_inflight(L, ld, idx, &inflight, inflight_finding, &(effect_place){ld, where, name});
    int index = ld->errors == before ? loader_add_effect(ld, name, EFFECT_LUA) : 0;
    if (ld->errors != before) {
        luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
        return 1;
    }
    if (index < 0) return luaL_error(L, "out of memory");
    script_effect *e = &ld->effects[index];
    if (version != LUA_TNIL)
        e->version = (const char *)arena_bytes(&ld->kept, declare_text(L, -2)).data;
    if (lua_toboolean(L, -1)) e->always = "declared always";
    e->policy = policy;
    e->inflight = inflight;
    e->file = arena_strdup(&ld->kept, where.file ? where.file : "?");
    e->line = where.line;
    if (!e->version || !e->file) return luaL_error(L, "out of memory");
    lua_pop(L, 2);
    e->run = luaL_ref(L, LUA_REGISTRYINDEX);
    luahandle_push(L, HANDLE_EFFECT, name, bytes_of("", 0), (uint32_t)index);
    return 1;
}
