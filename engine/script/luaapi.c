/*
 * luaapi.c - the `weir` table: C parts, lua/weir.lua on top, C effects by name.
 *
 * lua/weir.lua gets the table of C functions, adds the convenient parts and returns it; then the
 * table is frozen. A name that is
 * not in it is looked for among the C effects: weir.copy, weir.markdown, those of plug-ins.
 */
#include <stdio.h>

#include "engine/model/key.h"
#include "engine/script/declare.h"
#include "engine/script/luarequire.h"
#include "engine/script/luavalue.h"
#include "engine/world/scan.h"

/* --- effects ---------------------------------------------------------------------------------- */

/* weir.effect "page" gives this; {...} registers. */
static int register_effect(lua_State *L)
{
    size_t size;
    const char *name = lua_tolstring(L, lua_upvalueindex(1), &size);
    undone_done(loader_of(L), (uint32_t)lua_tointeger(L, lua_upvalueindex(2)));
    lua_pushinteger(L, 0);
    lua_replace(L, lua_upvalueindex(2));
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TFUNCTION) { /* weir.effect "page" (function(i, o) ... end) */
        lua_newtable(L);
        lua_pushvalue(L, 1);
        lua_setfield(L, -2, "run");
        lua_replace(L, 1);
    }
    if (!lua_istable(L, 1))
        return luavm_raise(L, "weir.effect \"page\" { run = function(i, o) ... end }",
                           "an effect is a table with a function run");
    return luadeclare_effect(L, loader_of(L), bytes_of(name, size), 1);
}

/* weir.expand "rows" gives this; {...} declares. */
static int declare_expand(lua_State *L)
{
    size_t size;
    const char *name = lua_tolstring(L, lua_upvalueindex(1), &size);
    if (!lua_istable(L, 1))
        return luavm_raise(L, "weir.expand \"rows\" { inputs = {...}, run = function(i) ... end }",
                           "an expand node is a table with a function run");
    undone_done(loader_of(L), (uint32_t)lua_tointeger(L, lua_upvalueindex(2)));
    lua_pushinteger(L, 0);
    lua_replace(L, lua_upvalueindex(2));
    lua_settop(L, 1);
    return luadeclare_expand(L, loader_of(L), bytes_of(name, size), 1);
}

static int expand(lua_State *L)
{
    loader_need_loading(L, "weir.expand");
    if (lua_type(L, 1) != LUA_TSTRING)
        return luavm_raise(L, "weir.expand \"rows\" { inputs = {...}, run = function(i) ... end }",
                           "an expand node needs a name");
    lua_settop(L, 1);
    lua_pushinteger(L, undone_begin(L, loader_of(L)));
    lua_pushcclosure(L, declare_expand, 2);
    return 1;
}

static int effect(lua_State *L)
{
    loader_need_loading(L, "weir.effect");
    if (lua_type(L, 1) != LUA_TSTRING)
        return luavm_raise(L, "weir.effect \"page\" { run = function(i, o) ... end }",
                           "an effect needs a name");
    bool has_body = !lua_isnone(L, 2);
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, undone_begin(L, loader_of(L)));
    lua_pushcclosure(L, register_effect, 2);
    if (!has_body) return 1;
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    return 1;
}

/* Pushes the handle of a C effect; the index of its script_effect is made at the first use. */
static void push_c_effect(lua_State *L, loader *ld, const registry_entry *entry)
{
    bytes name = bytes_str(entry->effect->name);
    int index = loader_find_effect(ld, name);
    if (index < 0) {
        index = loader_add_effect(ld, name, EFFECT_C);
        if (index < 0) luaL_error(L, "out of memory");
        ld->effects[index].entry = entry;
    }
    luahandle_push(L, HANDLE_EFFECT, name, bytes_of("", 0), (uint32_t)index);
}

/* Pushes a text that names all effects that need no declaration. */
static const char *effects_hint(lua_State *L, const loader *ld)
{
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    luaL_addstring(&text, "effects that are there: weir.sh");
    for (size_t i = 0; i < registry_count(ld->registry); i++) {
        luaL_addstring(&text, ", weir.");
        luaL_addstring(&text, registry_at(ld->registry, i)->effect->name);
    }
    luaL_addstring(&text, "; your own: weir.effect \"name\" { run = function(i, o) ... end }");
    luaL_pushresult(&text);
    return lua_tostring(L, -1);
}

/* weir.NAME for what is not in the table. Argument 1 is the real table behind the view. */
static int missing(lua_State *L)
{
    loader *ld = loader_of(L);
    const char *names[300];
    size_t count = 0;
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    const char *key = lua_tostring(L, 2);
    const registry_entry *entry = registry_find(ld->registry, bytes_str(key));
    if (entry && !ld->is_loading)
        return luavm_raise(
            L, NULL, "weir.%s declares nodes, which is possible only while the workflow loads",
            key);
    if (entry) {
        push_c_effect(L, ld, entry);
        return 1;
    }
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && count < 100) names[count++] = lua_tostring(L, -1);
    }
    for (size_t i = 0; i < registry_count(ld->registry) && count < 300; i++)
        names[count++] = registry_at(ld->registry, i)->effect->name;
    const char *near = near_name(key, names, count);
    const char *hint = near ? lua_pushfstring(L, "did you mean 'weir.%s'?", near) : effects_hint(L, ld);
    return luavm_raise(L, hint, "there is no 'weir.%s' and no effect of this name", key);
}

/* --- plug-ins, defaults ----------------------------------------------------------------------- */

static void plugin_finding(void *ctx, const char *hint, const char *what)
{
    lua_State *L = ctx;
    diagnose(loader_of(L), diagnose_position(L), "code", hint, "weir.plugin: %s", what);
}

/* The second argument: a table that holds `code` alone. */
static code_policy plugin_policy(lua_State *L, loader *ld)
{
    if (lua_isnoneornil(L, 2)) return CODE_TRACK;
    if (lua_type(L, 2) != LUA_TTABLE) {
        plugin_finding(L, "weir.plugin(\"effects/mine.so\", { code = \"pin\" })",
                       "what follows the path is a table");
        return CODE_TRACK;
    }
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        bool is_code = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "code") == 0;
        if (!is_code) plugin_finding(L, "only code = \"track\", \"warn\" or \"pin\"", "an unknown key");
    }
    return declare_policy(L, ld, 2, plugin_finding, L);
}

/* weir.plugin "x.so": registers its effects; gives a table of them by name. */
static int plugin(lua_State *L)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    size_t first = 0, count = 0;
    hash128 fingerprint = HASH_ABSENT;
    loader_need_loading(L, "weir.plugin");
    if (lua_type(L, 1) != LUA_TSTRING)
        return luavm_raise(L, "weir.plugin \"effects/mine.so\"", "a plug-in is a path");
    loader_scratch(ld);
    bytes given = bytes_str(lua_tostring(L, 1));
    int rc = 0;
    if (given.size > 0 && given.data[0] == '/') buf_append(&ld->text, given.data, given.size);
    else rc = scan_normalise(given, &ld->text, &err);
    bytes path = rc == 0 ? arena_bytes(&ld->scratch, buf_bytes(&ld->text)) : (bytes){NULL, 0};
    buf_clear(&ld->text);
    if (rc == 0)
        rc = path.data ? loader_file(ld, (const char *)path.data, NULL, &fingerprint, &err)
                       : error_nomem(&err, "loading a plug-in");
    if (rc == 0) loader_read(ld, ITEM_FILE, path, fingerprint);
    if (rc == 0) rc = registry_load(ld->registry, (const char *)path.data, &first, &count, &err);
    if (rc != 0) {
        diagnose(ld, diagnose_position(L), NULL, NULL, "weir.plugin: %s", err.message);
        luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
        return 1;
    }
    code_policy policy = plugin_policy(L, ld);
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        const registry_entry *entry = registry_at(ld->registry, first + i);
        int taken = loader_find_effect(ld, bytes_str(entry->effect->name));
        if (taken >= 0 && ld->effects[taken].kind != EFFECT_C)
            diagnose(ld, diagnose_position(L), NULL, "effects have different names",
                     "weir.plugin: the name of its effect \"%s\" is in use", entry->effect->name);
        else push_c_effect(L, ld, entry);
        if (taken >= 0 && ld->effects[taken].kind != EFFECT_C) continue;
        taken = loader_find_effect(ld, bytes_str(entry->effect->name));
        if (taken >= 0) ld->effects[taken].policy = policy;
        lua_setfield(L, -2, entry->effect->name);
    }
    return 1;
}

static void add_target(lua_State *L, loader *ld, int idx)
{
    const handle *h = luahandle_at(L, idx);
    bytes target = {NULL, 0}, port;
    if (h && h->kind == HANDLE_BROKEN) return;
    if (lua_type(L, idx) == LUA_TSTRING)
        target.data = (const uint8_t *)lua_tolstring(L, idx, &target.size);
    if (h && h->kind == HANDLE_NODE) target = handle_name(h);
    if (h && h->kind == HANDLE_OUTPUT) handle_output(h, &port, &target);
    if (target.data && target.size) {
        ld->link->default_target(ld->link->ctx, target);
    } else if (lua_istable(L, idx)) {
        luaL_checkstack(L, 4, "lists nested too deep");
        size_t count = lua_rawlen(L, idx);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, idx, (lua_Integer)i);
            add_target(L, ld, lua_gettop(L));
            lua_pop(L, 1);
        }
    } else {
        diagnose(ld, diagnose_position(L), NULL,
                 "weir.default \"site\", a node, one of its outputs, or a list of these",
                 "weir.default: a %s is no target",
                 h ? "handle of this kind" : luaL_typename(L, idx));
    }
}

static int default_target(lua_State *L)
{
    loader_need_loading(L, "weir.default");
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++) add_target(L, loader_of(L), i);
    return 0;
}

/* --- JSON, print ------------------------------------------------------------------------------ */

static int json_encode(lua_State *L)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    int indent = (int)luaL_optinteger(L, 2, 0);
    luaL_checkany(L, 1);
    loader_scratch(ld);
    int rc = luavalue_put(L, 1, &ld->scratch, &ld->encoded, &err);
    if (rc == 0)
        rc = value_to_json(buf_bytes(&ld->encoded),
                           indent < 0    ? 0
                           : indent > 16 ? 16
                                         : indent,
                           &ld->text, &err);
    if (rc != 0) return luavm_raise(L, NULL, "weir.json.encode: %s", err.message);
    lua_pushlstring(L, (const char *)ld->text.data, ld->text.size);
    return 1;
}

static int json_decode(lua_State *L)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    bytes text;
    text.data = (const uint8_t *)luaL_checklstring(L, 1, &text.size);
    loader_scratch(ld);
    if (value_from_json(text, &ld->encoded, &err) != 0)
        return luavm_raise(L, NULL, "weir.json.decode: %s", err.message);
    luavalue_push(L, buf_bytes(&ld->encoded));
    return 1;
}

/* print: the node's log; while loading, standard error. */
static int print(lua_State *L)
{
    loader *ld = loader_of(L);
    int count = lua_gettop(L);
    luaL_Buffer line;
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
        luaL_tolstring(L, i, NULL);
        lua_rawseti(L, count + 1, i);
    }
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&line, '\t');
        lua_rawgeti(L, count + 1, i);
        luaL_addvalue(&line);
    }
    luaL_addchar(&line, '\n');
    luaL_pushresult(&line);
    bytes text;
    text.data = (const uint8_t *)lua_tolstring(L, -1, &text.size);
    if (ld->job) job_log(ld->job, text);
    else (void)fwrite(text.data, 1, text.size, stderr);
    return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

static void add_command(lua_State *L, loader *ld)
{
    int index = loader_add_effect(ld, bytes_str("sh"), EFFECT_COMMAND);
    if (index < 0) luaL_error(L, "out of memory");
    luahandle_push(L, HANDLE_EFFECT, bytes_str("sh"), bytes_of("", 0), (uint32_t)index);
    lua_setfield(L, -2, "sh");
}

static void add_json(lua_State *L)
{
    static const luaL_Reg json[] = {{"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
    luaL_newlib(L, json);
    luavm_freeze(L, "weir.json", NULL);
    lua_setfield(L, -2, "json");
}

void luaapi_install(lua_State *L, loader *ld)
{
    static const luaL_Reg functions[] = {{"file", luaitem_file},
                                         {"glob", luaitem_glob},
                                         {"folder", luaitem_folder},
                                         {"tree", luaitem_tree},
                                         {"link", luaitem_link},
                                         {"env", luaitem_env},
                                         {"value", luaitem_value},
                                         {"param", luaitem_value},
                                         {"tool", luaitem_tool},
                                         {"read", luaitem_read},
                                         {"effect", effect},
                                         {"expand", expand},
                                         {"plugin", plugin},
                                         {"pool", luadeclare_pool},
                                         {"default", default_target},
                                         {"array", luavalue_array},
                                         {"object", luavalue_object},
                                         {NULL, NULL}};
    luastrict_set(L, "print", print);
    if (!luarequire_own(L, ld, "weir")) luaL_error(L, "weir's Lua library is missing");
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    add_json(L);
    add_command(L, ld);
    lua_call(L, 1, 1);
    luavm_freeze(L, "weir", missing);
    luarequire_modules(L);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "weir");
    lua_settop(L, 0);
}
