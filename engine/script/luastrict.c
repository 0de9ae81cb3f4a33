/*
 * luastrict.c - the environment that workflow, modules and effects see.
 *
 * Built from nothing, by a list of names that may be seen. What a script reaches are read-only
 * views: an empty table whose metatable leads to the
 * real one, which is never handed out; rawset refuses views, setmetatable refuses finalizers. The
 * registry remembers
 * the name of every built-in, so that the code hash can write "string.format" for it.
 *
 * Modules from outside the project (Debian's lua-* packages) get a second view of the globals, in
 * which they may set names and in which io, os and debug exist as
 * stubs that raise once they are called: libraries mention them in functions that nobody calls
 * here.
 */
#include <lualib.h>
#include <stdio.h>

#include "engine/model/key.h"
#include "engine/script/luavm.h"

/* Their addresses are registry keys. */
static const char builtins_key = 1, frozen_key = 2, globals_key = 3, foreign_key = 4, seed_key = 5;

static const struct {
    const char *name, *hint;
} withheld[] = {
    {"io",
     "files are read with i.x:read() or weir.read(path) and written with o.x:write(), so that weir knows about them"},
    {"os", "an effect depends on declared inputs only; use weir.env, weir.value or weir.sh"},
    {"debug", "the debug library would reach around the rules that make results repeatable"},
    {"dofile", "use require"},
    {"loadfile", "use require"},
    {"loadstring", "use load"},
    {"package", "modules are found with require; set LUA_PATH for further folders"},
    {"collectgarbage", "memory is looked after by weir"},
    {"unpack", "use table.unpack"},
    {"module", "return a table from the module instead"},
};

/* --- names of built-ins ----------------------------------------------------------------------- */

const char *luavm_builtin_name(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &builtins_key);
    lua_pushvalue(L, idx);
    lua_rawget(L, -2);
    const char *name = lua_tostring(L, -1); /* kept alive by the table */
    lua_pop(L, 2);
    return name;
}

void luavm_name_builtin(lua_State *L, int idx, const char *name)
{
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &builtins_key);
    lua_pushvalue(L, idx);
    lua_pushstring(L, name);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* "string.format" and so on, for the functions of the table on top. */
static void name_functions(lua_State *L, const char *prefix)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1) && !luavm_builtin_name(L, -1)) {
            const char *name =
                lua_pushfstring(L, "%s%s%s", prefix, prefix[0] ? "." : "", lua_tostring(L, -3));
            luavm_name_builtin(L, -2, name);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

/* --- read-only views -------------------------------------------------------------------------- */

const char *luavm_near_key(lua_State *L, int idx, const char *name)
{
    const char *names[256];
    size_t count = 0;
    idx = lua_absindex(L, idx);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && count < 256) names[count++] = lua_tostring(L, -1);
    }
    return near_name(name, names, count);
}

int luavm_unknown(lua_State *L, int idx, const char *what, const char *name)
{
    const char *near = luavm_near_key(L, idx, name);
    const char *hint = near ? lua_pushfstring(L, "did you mean '%s'?", near) : NULL;
    return luavm_raise(L, hint, "unknown %s '%s'", what, name);
}

static int refuse_assignment(lua_State *L)
{
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    return luavm_raise(L, NULL, "%s is read-only: '%s' cannot be set", name, key);
}

static int refuse_global(lua_State *L)
{
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    const char *hint = lua_pushfstring(L, "write 'local %s = ...'", key);
    return luavm_raise(L, hint, "globals cannot be assigned: '%s'", key);
}

static int view_next(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_next(L, lua_upvalueindex(1))) return 2;
    lua_pushnil(L);
    return 1;
}

/* pairs(view): over the real table, which itself stays out of reach. */
static int view_pairs(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, view_next, 1);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* Stack: real table -> view. */
static void make_view(lua_State *L, const char *name, lua_CFunction assign)
{
    int real = lua_gettop(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, assign, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, real);
    lua_pushcclosure(L, view_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &frozen_key);
    lua_setmetatable(L, -2);
    luavm_name_builtin(L, -1, name);
    lua_replace(L, real);
}

bool luavm_is_frozen(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx)) return false;
    bool is = lua_rawgetp(L, -1, &frozen_key) == LUA_TBOOLEAN;
    lua_pop(L, 2);
    return is;
}

void luavm_freeze(lua_State *L, const char *name, lua_CFunction missing)
{
    name_functions(L, name);
    if (missing) {
        lua_newtable(L);
        lua_pushcfunction(L, missing);
        lua_setfield(L, -2, "__index");
        lua_setmetatable(L, -2);
    }
    make_view(L, name, refuse_assignment);
}

/* --- functions that differ from Lua's --------------------------------------------------------- */

static int strict_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (luavm_is_frozen(L, 1)) return refuse_global(L);
    lua_rawset(L, 1);
    return 1;
}

static int strict_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luavm_raise(L, NULL, "cannot change a protected metatable");
    if (type == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luavm_raise(L, "use a to-be-closed variable: local x <close> = ...",
                               "finalizers (__gc) are not available");
        lua_pop(L, 1);
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* load(chunk [, name [, mode [, env]]]): text only. */
static int strict_load(lua_State *L)
{
    bool has_env = !lua_isnone(L, 4);
    lua_settop(L, 4);
    const char *mode = luaL_optstring(L, 3, "t");
    if (!strchr(mode, 't'))
        return luavm_raise(L, "compile from source text", "loading bytecode is not available");
    luaL_Buffer text;
    int named = 2;
    if (lua_isfunction(L, 1)) {
        luaL_buffinit(L, &text); /* may keep a value on the stack: pieces are added from the top */
        for (;;) {
            lua_pushvalue(L, 1);
            lua_call(L, 0, 1);
            size_t size = 0;
            if (!lua_isnoneornil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
                return luaL_error(L, "reader function must return a string");
            if (lua_tolstring(L, -1, &size) == NULL || size == 0) break;
            luaL_addvalue(&text);
        }
        lua_pop(L, 1);
        luaL_pushresult(&text);
    } else {
        luaL_checkstring(L, 1);
        lua_pushvalue(L, 1);
    }
    size_t size;
    const char *data = lua_tolstring(L, -1, &size);
    const char *name = luaL_optstring(L, named, lua_isfunction(L, 1) ? "=(load)" : data);
    /* names of files and of weir's own library are for them: positions and rules hang on it */
    if (name[0] == '@' || strncmp(name, "=weir", 5) == 0) name = "=(load)";
    if (luaL_loadbufferx(L, data, size, name, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env) {
        lua_pushvalue(L, 4);
        if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    }
    return 1;
}

/* math.randomseed without a seed would take one from the clock. */
static int strict_randomseed(lua_State *L)
{
    if (lua_isnoneornil(L, 1))
        return luavm_raise(L, "every load and every execution starts with the same sequence anyway",
                           "math.randomseed needs a seed");
    int count = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, 0);
    return 0;
}

static int stub_call(lua_State *L)
{
    return luavm_raise(L, NULL, "%s is not available in a workflow",
                       lua_tostring(L, lua_upvalueindex(1)));
}

/* io.anything in a foreign module: a function that raises when it is called, made once. */
static int stub_index(lua_State *L)
{
    const char *key = luaL_tolstring(L, 2, NULL);
    const char *name = lua_pushfstring(L, "%s.%s", lua_tostring(L, lua_upvalueindex(1)), key);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, stub_call, 1);
    luavm_name_builtin(L, -1, name);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
}

/* debug.traceback(message): the message. */
static int stub_traceback(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

static int missing_global(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    const char *name = lua_tostring(L, 2);
    for (size_t i = 0; i < sizeof withheld / sizeof *withheld; i++)
        if (strcmp(name, withheld[i].name) == 0)
            return luavm_raise(L, withheld[i].hint, "'%s' is not available", name);
    if (strcmp(name, "weir") == 0)
        return luavm_raise(L, "write 'local weir = require \"weir\"'", "unknown global 'weir'");
    return luavm_unknown(L, 1, "global", name);
}

/* --- putting it together ---------------------------------------------------------------------- */

static const char *const base_names[] = {"assert",   "error",    "ipairs",       "next",
                                         "pairs",    "pcall",    "xpcall",       "select",
                                         "tonumber", "tostring", "type",         "rawequal",
                                         "rawget",   "rawlen",   "getmetatable", "_VERSION"};

/* Opens a library of Lua into a table of our own: copies all fields but `without`. Pushes it. */
static void copy_library(lua_State *L, const char *name, lua_CFunction open,
                         const char *const *without)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        bool skip = false;
        for (const char *const *no = without; no && *no; no++)
            if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), *no) == 0)
                skip = true;
        if (skip) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
}

/* Stack: ..., table of globals at `globals`. */
static void add_library(lua_State *L, int globals, const char *name, lua_CFunction open,
                        const char *const *without)
{
    copy_library(L, name, open, without);
    name_functions(L, name);
    make_view(L, name, refuse_assignment);
    lua_setfield(L, globals, name);
}

static void add_base(lua_State *L, int globals)
{
    lua_pushcfunction(L, luaopen_base);
    lua_pushliteral(L, "_G");
    lua_call(L, 1, 1);
    for (size_t i = 0; i < sizeof base_names / sizeof *base_names; i++) {
        lua_getfield(L, -1, base_names[i]);
        lua_setfield(L, globals, base_names[i]);
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, strict_rawset);
    lua_setfield(L, globals, "rawset");
    lua_pushcfunction(L, strict_setmetatable);
    lua_setfield(L, globals, "setmetatable");
    lua_pushcfunction(L, strict_load);
    lua_setfield(L, globals, "load");
}

static void add_math(lua_State *L, int globals)
{
    copy_library(L, "math", luaopen_math, NULL);
    lua_getfield(L, -1, "randomseed"); /* shares its generator with the random beside it */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &seed_key);
    lua_pushcclosure(L, strict_randomseed, 1);
    lua_setfield(L, -2, "randomseed");
    name_functions(L, "math");
    make_view(L, "math", refuse_assignment);
    lua_setfield(L, globals, "math");
}

/* The metatable of strings leads to the real table of functions; getmetatable("") gives false. */
static void add_string(lua_State *L, int globals)
{
    static const char *const without[] = {"dump", NULL};
    copy_library(L, "string", luaopen_string, without);
    lua_pushliteral(L, "");
    if (!lua_getmetatable(L, -1)) luaL_error(L, "strings have no metatable");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    name_functions(L, "string");
    make_view(L, "string", refuse_assignment);
    lua_setfield(L, globals, "string");
}

static void push_stub(lua_State *L, const char *name)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_pushcclosure(L, stub_index, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    luavm_name_builtin(L, -1, name);
    if (strcmp(name, "package") == 0) {
        lua_pushliteral(L, "/\n;\n?\n!\n-\n");
        lua_setfield(L, -2, "config");
    }
    if (strcmp(name, "debug") == 0) {
        lua_pushcfunction(L, stub_traceback);
        luavm_name_builtin(L, -1, "debug.traceback");
        lua_setfield(L, -2, "traceback");
    }
}

/* The globals of modules from outside the project. Stack: the real globals at `globals`. */
static void add_foreign(lua_State *L, int globals)
{
    static const char *const stubs[] = {"io", "os", "debug", "package"};
    lua_newtable(L); /* what it sees beside its own names: everything strict, and stubs */
    lua_pushnil(L);
    while (lua_next(L, globals)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    for (size_t i = 0; i < sizeof stubs / sizeof *stubs; i++) {
        push_stub(L, stubs[i]);
        lua_setfield(L, -2, stubs[i]);
    }
    lua_newtable(L); /* the module's own globals */
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    luavm_name_builtin(L, -1, "_G of modules");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &foreign_key);
    lua_pop(L, 1);
}

void luastrict_install(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &builtins_key);
    lua_newtable(L);
    int globals = lua_gettop(L);
    add_base(L, globals);
    name_functions(L, "");
    add_string(L, globals);
    add_math(L, globals);
    add_library(L, globals, "table", luaopen_table, NULL);
    add_library(L, globals, "utf8", luaopen_utf8, NULL);
    add_library(L, globals, "coroutine", luaopen_coroutine, NULL);
    lua_newtable(L); /* a name that is not there: an error with a hint */
    lua_pushcfunction(L, missing_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, globals);

    lua_pushvalue(L, globals);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_pushvalue(L, globals);
    make_view(L, "_G", refuse_global);
    lua_pushvalue(L, -1);
    lua_setfield(L, globals, "_G");
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); /* what lua_load gives a chunk as _ENV */
    add_foreign(L, globals);
    lua_settop(L, globals - 1);
    luavm_reseed(L);
}

void luastrict_set(lua_State *L, const char *name, lua_CFunction function)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_pushcfunction(L, function);
    luavm_name_builtin(L, -1, name);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &foreign_key);
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

void luastrict_push_globals(lua_State *L, bool foreign)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, foreign ? &foreign_key : &globals_key);
}

void luavm_compile(lua_State *L, bytes text, const char *chunkname, bool foreign)
{
    const char *data = (const char *)text.data;
    size_t size = text.size;
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark, as lua itself skips it */
        data += 3;
        size -= 3;
    }
    if (size > 2 &&
        data[0] ==
            '#') { /* a first line for the shell; its line end stays, so that lines count right */
        const char *end = memchr(data, '\n', size);
        size_t skip = end ? (size_t)(end - data) : size;
        data += skip;
        size -= skip;
    }
    if (size > 0 && data[0] == LUA_SIGNATURE[0])
        luaL_error(L, "%s:1: this is compiled Lua, and weir reads source text only; give it the file it was made from", chunkname + 1);
    if (luaL_loadbufferx(L, data ? data : "", size, chunkname, "t") != LUA_OK) lua_error(L);
    if (!foreign) return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &foreign_key);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
}

void luavm_reseed(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &seed_key);
    lua_pushinteger(L, 20260101);
    lua_call(L, 1, 0);
}
