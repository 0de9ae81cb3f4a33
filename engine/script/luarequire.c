/*
 * luarequire.c - `require`: weir's library, files of the project, LUA_PATH, the system's modules, C
 * modules.
 *
 * While loading, every candidate looked at is a read of the definition, also those that are absent
 * before the one that is found: a file that appears
 * there later re-plans. Inside an effect a module that came with the workflow is there (the code
 * hash of an effect that says `require`
 * covers all of them); any other is loaded for this job alone, each candidate a recorded read, and
 * forgotten at the job's end.
 *
 * C modules: cjson and lpeg are known to be pure: the code hash takes their build and how cjson is
 * set. Any other one makes the definition evaluate on
 * every run, with this reason.
 */
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/script/luarequire.h"
#include "engine/world/scan.h"
#include "generated/lua_sources.h"

/* Their addresses are registry keys. */
static const char modules_key = 1, job_modules_key = 2, loadlib_key = 3, pure_key = 4;

static const char project_path[] = "./?.lua;./?/init.lua;lua/?.lua;lua/?/init.lua";
static const char system_path[] =
    "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua";
static const char system_cpath[] =
    "/usr/local/lib/lua/5.4/?.so;/usr/lib/x86_64-linux-gnu/lua/5.4/?.so;/usr/lib/aarch64-linux-gnu/lua/5.4/?.so;/usr/lib/lua/5.4/?.so";
static const char *const pure_modules[] = {"cjson", "cjson.safe", "lpeg"};

typedef struct search {
    lua_State *L;
    loader *ld;
    const char *name;
    char path[1024]; /* the candidate */
    hash128 fingerprint;
} search;

int luarequire_chunkname(lua_State *L, const char *path)
{
    while (path[0] == '.' && path[1] == '/') path += 2;
    lua_pushfstring(L, "@%s", path);
    return 1;
}

void luarequire_modules(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
}

void luarequire_job(lua_State *L, bool begins)
{
    if (begins) lua_newtable(L);
    else lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &job_modules_key);
}

/* The table that this require fills. */
static void push_cache(lua_State *L, const loader *ld)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, ld->job ? &job_modules_key : &modules_key);
}

/* --- candidates ------------------------------------------------------------------------------- */

/* "lua/?.lua" with the name in it, dots as slashes; "./" is dropped. false: too long. */
static bool fill_template(search *s, const char *template, size_t size)
{
    size_t used = 0;
    if (size > 2 && template[0] == '.' && template[1] == '/') {
        template += 2;
        size -= 2;
    }
    for (size_t i = 0; i < size; i++) {
        const char *name = template[i] == '?' ? s->name : NULL;
        size_t need = name ? strlen(name) : 1;
        if (used + need + 1 > sizeof s->path) return false;
        for (size_t k = 0; name && k < need; k++)
            s->path[used + k] = name[k] == '.' ? '/' : name[k];
        if (!name) s->path[used] = template[i];
        used += need;
    }
    s->path[used] = '\0';
    return used > 0;
}

/* Is the candidate there? Its content in ld->text; recorded for the job or the definition. */
static bool look(search *s)
{
    weir_error err = {0};
    loader *ld = s->ld;
    bytes path = bytes_str(s->path);
    buf_clear(&ld->text);
    if (ld->job) {
        bytes content;
        int rc = s->path[0] == '/' ? job_read_system(ld->job, path, &content)
                                   : job_read_file(ld->job, path, &content);
        if (rc != 0) luaL_error(s->L, "require \"%s\": %s", s->name, job_error(ld->job));
        if (!content.data) return false;
        buf_append(&ld->text, content.data, content.size);
        s->fingerprint = hash_bytes(content.data, content.size);
        return true;
    }
    if (loader_file(ld, s->path, &ld->text, &s->fingerprint, &err) != 0)
        luaL_error(s->L, "require \"%s\": %s", s->name, err.message);
    loader_read(ld, ITEM_FILE, path, s->fingerprint);
    bool may = true;
    if (s->path[0] != '/' && !hash_equal(s->fingerprint, HASH_ABSENT))
        (void)ld->link->may_read(ld->link->ctx, path, &may, &err);
    if (!may) luaL_error(s->L, "require \"%s\": %s is made by a node", s->name, s->path);
    return !hash_equal(s->fingerprint, HASH_ABSENT) &&
           !hash_equal(s->fingerprint, hash_bytes("weir dir", 8));
}

/* Tries the templates of a search path in order. */
static bool try_path(search *s, const char *list)
{
    while (*list) {
        const char *end = strchr(list, ';');
        size_t size = end ? (size_t)(end - list) : strlen(list);
        if (size > 0 && fill_template(s, list, size) && look(s)) return true;
        list += size;
        if (*list == ';') list++;
    }
    return false;
}

/* A variable's path; an empty piece (";;") stands for the usual one. The read is recorded (while loading). */
static bool try_variable(search *s, const char *versioned, const char *plain, const char *usual)
{
    const char *names[] = {versioned, plain};
    const char *value = NULL;
    for (int i = 0; i < 2 && !value; i++) {
        value = getenv(names[i]);
        if (!s->ld->job)
            loader_read(s->ld, ITEM_ENV, bytes_str(names[i]),
                        value ? hash_bytes(value, strlen(value)) : HASH_ABSENT);
    }
    if (!value) return try_path(s, usual);
    const char *twice = strstr(value, ";;");
    if (!twice && value[0] != ';') return try_path(s, value);
    const char *gap = twice ? twice : value;
    lua_pushlstring(s->L, value, (size_t)(gap - value));
    bool found = try_path(s, lua_tostring(s->L, -1)) || try_path(s, usual) ||
                 try_path(s, gap + (twice ? 2 : 1));
    lua_pop(s->L, 1);
    return found;
}

/* --- loading ---------------------------------------------------------------------------------- */

static bool is_foreign(const char *path)
{
    return path[0] == '/';
}

static void remember(search *s)
{
    if (s->ld->job) return;
    if (!loader_add_file(s->ld, s->path, s->fingerprint, is_foreign(s->path)))
        luaL_error(s->L, "out of memory");
}

/* What a module gave (true where that is nothing) stays on top, and is kept in the cache. */
static void keep_result(lua_State *L, loader *ld, const char *name)
{
    push_cache(L, ld);
    if (lua_isnil(L, -2)) {
        lua_pushboolean(L, 1);
        lua_replace(L, -3);
    }
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Runs the chunk on top with the module's name. */
static void run_chunk(lua_State *L, loader *ld, const char *name)
{
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    keep_result(L, ld, name);
}

static void load_lua(search *s)
{
    lua_State *L = s->L;
    remember(s);
    luarequire_chunkname(L, s->path);
    lua_pushlstring(L, (const char *)s->ld->text.data,
                    s->ld->text.size); /* ld->text is used by nested calls */
    bytes text;
    text.data = (const uint8_t *)lua_tolstring(L, -1, &text.size);
    luavm_compile(L, text, lua_tostring(L, -2), is_foreign(s->path));
    run_chunk(L, s->ld, s->name);
}

/* Functions of a C module get names, so that the code hash can tell them apart. */
static void name_module(lua_State *L, const char *prefix, int depth)
{
    if (!lua_istable(L, -1) || depth > 3) return;
    luaL_checkstack(L, 8, NULL);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            lua_pushfstring(L, "%s.%s", prefix, lua_tostring(L, -2));
            if (lua_iscfunction(L, -2) && !luavm_builtin_name(L, -2)) {
                lua_pushfstring(L, "C %s", lua_tostring(L, -1));
                luavm_name_builtin(L, -3, lua_tostring(L, -1));
                lua_pop(L, 1);
            }
            lua_insert(L, -2);
            name_module(L, lua_tostring(L, -2), depth + 1);
            lua_remove(L, -2);
        }
        lua_pop(L, 1);
    }
}

/* Calls the opener on top with the module's name. Some set a global: they see those of foreign modules. */
static void open_c(lua_State *L, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_insert(L, -2);
    luastrict_push_globals(L, true);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushstring(L, name);
    int status = lua_pcall(L, 1, 1, 0);
    lua_insert(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    if (status != LUA_OK) lua_error(L);
}

/* The build of a pure module, for the code hash. */
static void keep_build(search *s)
{
    lua_State *L = s->L;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pure_key);
    lua_pushlstring(L, (const char *)s->fingerprint.bytes, HASH_SIZE);
    lua_setfield(L, -2, s->name);
    lua_pop(L, 1);
}

static void load_c(search *s)
{
    lua_State *L = s->L;
    if (s->ld->job)
        luaL_error(L,
                   "require \"%s\": a C module is loaded with the workflow, not inside an effect",
                   s->name);
    remember(s);
    const char *mark = strchr(s->name, '-');
    luaL_gsub(L, mark ? mark + 1 : s->name, ".", "_");
    const char *symbol = lua_pushfstring(L, "luaopen_%s", lua_tostring(L, -1));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loadlib_key);
    lua_pushfstring(L, s->path[0] == '/' ? "%s" : "./%s", s->path);
    lua_pushstring(L, symbol);
    lua_call(L, 2, 2);
    if (!lua_isfunction(L, -2)) luaL_error(L, "require \"%s\": %s", s->name, lua_tostring(L, -1));
    lua_pop(L, 1);
    open_c(L, s->name);
    keep_result(L, s->ld, s->name);
    name_module(L, s->name, 0);
    for (size_t i = 0; i < sizeof pure_modules / sizeof *pure_modules; i++)
        if (strcmp(pure_modules[i], s->name) == 0) {
            keep_build(s);
            return;
        }
    loader_always(s->ld, "loads C module %s", s->name);
}

/* cjson.encode_max_depth() and the like: called without arguments they tell how they are set, and every later call obeys. */
static void hash_settings(lua_State *L, const char *module, hash_stream *to)
{
    static const char *const settings[] = {
        "encode_sparse_array",   "encode_max_depth",       "decode_max_depth",        "encode_number_precision",
        "encode_keep_buffer",    "encode_invalid_numbers", "decode_invalid_numbers",  "decode_array_with_array_mt",
        "encode_escape_forward_slash", "encode_empty_table_as_object", "encode_skip_unsupported_value_types"};
    luaL_checkstack(L, 16, NULL);
    luarequire_modules(L);
    lua_getfield(L, -1, module);
    int table = lua_gettop(L);
    for (size_t i = 0; lua_istable(L, table) && i < sizeof settings / sizeof *settings; i++) {
        if (lua_getfield(L, table, settings[i]) == LUA_TFUNCTION && lua_pcall(L, 0, LUA_MULTRET, 0) == LUA_OK)
            for (int k = table + 1; k <= lua_gettop(L); k++) {
                const char *text = luaL_tolstring(L, k, NULL);
                hash_update(to, text, strlen(text) + 1);
                lua_pop(L, 1);
            }
        lua_settop(L, table);
        hash_update(to, "", 1);
    }
    lua_pop(L, 2);
}

bool luarequire_pure(lua_State *L, const char *function, hash128 *state)
{
    char name[220];
    bool found = false;
    snprintf(name, sizeof name, "%s", function);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pure_key);
    for (char *dot = strrchr(name, '.'); dot && !found; dot = strrchr(name, '.')) { /* cjson.safe before cjson */
        *dot = '\0';
        size_t size = 0;
        lua_getfield(L, -1, name);
        const char *build = lua_tolstring(L, -1, &size);
        if (build) {
            hash_stream all;
            hash_begin(&all);
            hash_update(&all, build, size);
            hash_settings(L, name, &all);
            *state = hash_end(&all);
            found = true;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

/* The C file of a module: its own, or for a.b also that of a. */
static bool find_c(search *s)
{
    char root[256];
    if (try_variable(s, "LUA_CPATH_5_4", "LUA_CPATH", system_cpath)) return true;
    const char *whole = s->name, *dot = strchr(whole, '.');
    if (!dot) return false;
    snprintf(root, sizeof root, "%.*s", (int)(dot - whole), whole);
    s->name = root;
    bool found = try_variable(s, "LUA_CPATH_5_4", "LUA_CPATH", system_cpath);
    s->name = whole;
    return found;
}

/* Lua's own libraries by name. What a project file must not see is there as stubs for foreign modules. */
static bool push_standard(lua_State *L, const char *name)
{
    static const char *const safe[] = {"string", "table", "math", "utf8", "coroutine", "_G"};
    static const char *const withheld[] = {"io", "os", "debug", "package"};
    lua_Debug ar;
    bool foreign = false;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "S", &ar);
        if (ar.what[0] == 'C') continue;
        foreign = ar.source[0] == '@' && ar.source[1] == '/';
        break;
    }
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(name, safe[i]) != 0) continue;
        luastrict_push_globals(L, foreign);
        lua_getfield(L, -1, name);
        lua_remove(L, -2);
        return true;
    }
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(name, withheld[i]) != 0) continue;
        luastrict_push_globals(L, foreign);
        lua_getfield(L, -1, name); /* raises for project files */
        lua_remove(L, -2);
        return true;
    }
    return false;
}

/* A module of weir itself; from the folder given for development, or embedded. */
bool luarequire_own(lua_State *L, loader *ld, const char *name)
{
    weir_error err = {0};
    const lua_source *found = NULL;
    for (size_t i = 0; i < lua_source_count && !found; i++)
        if (strcmp(lua_sources[i].name, name) == 0) found = &lua_sources[i];
    if (!found || strcmp(name, "weir_defs") == 0) return false;
    bytes text = bytes_of(found->text, found->size);
    if (ld->lua_folder) {
        lua_pushfstring(L, "%s/%s.lua", ld->lua_folder, luaL_gsub(L, name, ".", "/"));
        buf_clear(&ld->text);
        if (os_read_file(ld->rootfd, lua_tostring(L, -1), 16 * 1024 * 1024, &ld->text, &err) != 0)
            luaL_error(L, "%s", err.message);
        lua_pushlstring(L, (const char *)ld->text.data, ld->text.size);
        text.data = (const uint8_t *)lua_tolstring(L, -1, &text.size);
    }
    lua_pushfstring(L, "=%s", name);
    luavm_compile(L, text, lua_tostring(L, -1), false);
    return true;
}

static int find_and_load(lua_State *L, loader *ld, const char *name)
{
    search s = {.L = L, .ld = ld, .name = name};
    if (luarequire_own(L, ld, name)) {
        run_chunk(L, ld, name);
        return 1;
    }
    if (try_path(&s, project_path) || try_variable(&s, "LUA_PATH_5_4", "LUA_PATH", system_path)) {
        load_lua(&s);
        return 1;
    }
    if (find_c(&s)) {
        load_c(&s);
        return 1;
    }
    return luavm_raise(
        L,
        "modules are looked for below the project and in lua/, along LUA_PATH, and where the system keeps Lua modules",
        "module '%s' not found", name);
}

static bool is_module_name(const char *name)
{
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > 200) return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               strlen(name) &&
           !strstr(name, "..");
}

static int require(lua_State *L)
{
    static const char in_progress = 1;
    loader *ld = loader_of(L);
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (!is_module_name(name))
        return luavm_raise(L, "write dots between folders: require \"lib.text\"",
                           "'%s' is no name of a module", name);
    if (push_standard(L, name)) return 1;
    luarequire_modules(L);
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_touserdata(L, -1) == (void *)(uintptr_t)&in_progress)
            return luavm_raise(L, NULL, "modules require each other: '%s'", name);
        if (ld->job && ld->current && !ld->current->uses_require && strcmp(name, "weir") != 0)
            job_impure(ld->job, "reached require in a way that its code hash does not see");
        return 1;
    }
    lua_settop(L, 1);
    push_cache(L, ld);
    if (lua_isnil(L, 2))
        return luavm_raise(L, NULL, "require \"%s\": nothing can be loaded now", name);
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_touserdata(L, -1) == (void *)(uintptr_t)&in_progress)
            return luavm_raise(L, NULL, "modules require each other: '%s'", name);
        return 1;
    }
    lua_settop(L, 2);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&in_progress);
    lua_setfield(L, 2, name);
    find_and_load(L, ld, name);
    return 1;
}

/* pcall(require, "x"): after a failure the module can be asked for again. */
static int guarded_require(lua_State *L)
{
    loader *ld = loader_of(L);
    lua_settop(L, 1);
    lua_pushcfunction(L, require);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) return 1;
    if (lua_type(L, 1) == LUA_TSTRING) {
        push_cache(L, ld);
        if (lua_istable(L, -1)) {
            lua_pushvalue(L, 1);
            lua_rawget(L, -2);
            if (lua_type(L, -1) == LUA_TLIGHTUSERDATA && lua_touserdata(L, -1)) {
                lua_pushvalue(L, 1);
                lua_pushnil(L);
                lua_rawset(L, -4);
            }
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return lua_error(L);
}

void luarequire_install(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &pure_key);
    /* Lua's package library, for its loadlib. It sets globals: of a table that nobody sees. */
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushcfunction(L, luaopen_package);
    lua_pushliteral(L, "package");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "loadlib");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loadlib_key);
    lua_pop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    luastrict_set(L, "require", guarded_require);
}
