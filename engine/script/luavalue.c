/*
 * luavalue.c - see luavalue.h.
 */
#include "engine/script/luavalue.h"

#include <stdio.h>
#include <stdlib.h>

static const char array_key = 1, object_key = 2; /* their addresses are registry keys */

typedef struct encoder {
    lua_State *L;
    mem_arena *arena;
    buf *to;
    weir_error *err;
    char path[128]; /* where we are, for messages */
    size_t path_size;
} encoder;

static int put(encoder *e, int idx, int depth);

int luavalue_mark(lua_State *L, int idx)
{
    if (!lua_getmetatable(L, idx)) return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &object_key);
    int mark = lua_rawequal(L, -3, -2) ? 1 : lua_rawequal(L, -3, -1) ? 2 : 0;
    lua_pop(L, 3);
    return mark;
}

static int fail(encoder *e, const char *what)
{
    return error_set(e->err, WEIR_WORKFLOW, "%s%s%s", e->path, e->path_size ? ": " : "", what);
}

/* Adds a step to the path; gives the length to go back to. */
static size_t step(encoder *e, const char *key, size_t index)
{
    size_t back = e->path_size;
    size_t room = sizeof e->path - e->path_size;
    int n = key ? snprintf(e->path + back, room, ".%s", key)
                : snprintf(e->path + back, room, "[%zu]", index);
    if (n > 0) e->path_size += (size_t)n < room ? (size_t)n : room - 1;
    return back;
}

static void unstep(encoder *e, size_t back)
{
    e->path_size = back;
    e->path[back] = '\0';
}

static int put_array(encoder *e, int idx, size_t count, int depth)
{
    value_put_array(e->to, count);
    int rc = 0;
    for (size_t i = 1; i <= count && rc == 0; i++) {
        size_t back = step(e, NULL, i);
        lua_rawgeti(e->L, idx, (lua_Integer)i);
        rc = lua_isnil(e->L, -1) ? fail(e, "a hole in an array; use weir.null")
                                 : put(e, lua_gettop(e->L), depth + 1);
        lua_pop(e->L, 1);
        unstep(e, back);
    }
    return rc;
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(*(const bytes *)a, *(const bytes *)b);
}

static int put_object(encoder *e, int idx, size_t count, int depth)
{
    bytes *keys = arena_alloc(e->arena, (count + 1) * sizeof *keys);
    if (!keys) return error_nomem(e->err, "encoding a value");
    size_t n = 0;
    lua_pushnil(e->L);
    while (lua_next(e->L, idx)) {
        lua_pop(e->L, 1);
        keys[n].data = (const uint8_t *)lua_tolstring(e->L, -1, &keys[n].size);
        n++;
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    value_put_object(e->to, n);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t back = step(e, (const char *)keys[i].data, 0);
        value_put_key(e->to, keys[i]);
        lua_pushlstring(e->L, (const char *)keys[i].data, keys[i].size);
        lua_rawget(e->L, idx);
        rc = put(e, lua_gettop(e->L), depth + 1);
        lua_pop(e->L, 1);
        unstep(e, back);
    }
    return rc;
}

static int put_table(encoder *e, int idx, int depth)
{
    size_t total = 0, strings = 0, length = lua_rawlen(e->L, idx);
    int mark = luavalue_mark(e->L, idx);
    lua_pushnil(e->L);
    while (lua_next(e->L, idx)) {
        lua_pop(e->L, 1);
        total++;
        if (lua_type(e->L, -1) == LUA_TSTRING) strings++;
    }
    bool sequence = strings == 0 && total == length;
    if (mark == 1 && !sequence) return fail(e, "marked as an array, but its keys are not 1..n");
    if (mark != 2 && sequence && (total > 0 || mark == 1)) return put_array(e, idx, length, depth);
    if (strings != total)
        return fail(e, "a table must have keys 1..n without holes, or strings only");
    return put_object(e, idx, total, depth);
}

static int put_string(encoder *e, int idx)
{
    bytes text;
    text.data = (const uint8_t *)lua_tolstring(e->L, idx, &text.size);
    if (value_is_utf8(text)) value_put_string(e->to, text);
    else value_put_bytes(e->to, text);
    return 0;
}

static int put(encoder *e, int idx, int depth)
{
    lua_State *L = e->L;
    if (depth >= VALUE_DEPTH) return fail(e, "nested too deep (a cycle?)");
    if (!lua_checkstack(L, 8)) return error_nomem(e->err, "encoding a value");
    if (e->to->size > VALUE_LIMIT)
        return error_set(e->err, WEIR_LIMIT,
                         "a value of more than %d MiB; write an output file instead",
                         VALUE_LIMIT >> 20);
    switch (lua_type(L, idx)) {
    case LUA_TNIL: value_put_null(e->to); return 0;
    case LUA_TBOOLEAN: value_put_bool(e->to, lua_toboolean(L, idx)); return 0;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx)) value_put_int(e->to, lua_tointeger(L, idx));
        else value_put_float(e->to, lua_tonumber(L, idx));
        return 0;
    case LUA_TSTRING: return put_string(e, idx);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, idx)) return fail(e, "a light userdata is not a value");
        value_put_null(e->to);
        return 0;
    case LUA_TTABLE: return put_table(e, idx, depth);
    case LUA_TFUNCTION: return fail(e, "a function is not a value");
    case LUA_TUSERDATA: return fail(e, "a handle or userdata is not a value");
    default: return fail(e, "a thread is not a value");
    }
}

int luavalue_put(lua_State *L, int idx, mem_arena *arena, buf *to, weir_error *err)
{
    encoder e = {.L = L, .arena = arena, .to = to, .err = err};
    size_t start = to->size;
    int top = lua_gettop(L);
    int rc = put(&e, lua_absindex(L, idx), 0);
    lua_settop(L, top);
    if (rc == 0 && to->size - start > VALUE_LIMIT)
        rc = error_set(err, WEIR_LIMIT, "a value of %.1f MiB, above the limit of %d; write an output file instead",
                       (double)(to->size - start) / (1 << 20), VALUE_LIMIT >> 20);
    if (to->failed) return error_nomem(err, "encoding a value");
    if (rc != 0) to->size = start;
    return rc;
}

/* --- decoding --------------------------------------------------------------------------------- */

static bool push_next(lua_State *L, value_reader *r, bool top);

static void push_array(lua_State *L, value_reader *r, size_t count)
{
    lua_createtable(L, count < 4096 ? (int)count : 4096, 0);
    for (size_t i = 1; i <= count; i++) {
        if (!push_next(L, r, false)) luaL_error(L, "a damaged value");
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
    lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, value_reader *r, size_t count)
{
    lua_createtable(L, 0, count < 4096 ? (int)count : 4096);
    for (size_t i = 0; i < count; i++) {
        bytes key;
        if (!value_key(r, &key)) luaL_error(L, "a damaged value");
        lua_pushlstring(L, (const char *)key.data, key.size);
        if (!push_next(L, r, false)) luaL_error(L, "a damaged value");
        lua_rawset(L, -3);
    }
}

static bool push_next(lua_State *L, value_reader *r, bool top)
{
    value_item item;
    if (!value_next(r, &item)) return false;
    luaL_checkstack(L, 6, "value nested too deep");
    switch (item.type) {
    case VALUE_NULL:
        if (top) lua_pushnil(L);
        else lua_pushlightuserdata(L, NULL);
        return true;
    case VALUE_FALSE: lua_pushboolean(L, 0); return true;
    case VALUE_TRUE: lua_pushboolean(L, 1); return true;
    case VALUE_INT: lua_pushinteger(L, item.integer); return true;
    case VALUE_FLOAT: lua_pushnumber(L, item.number); return true;
    case VALUE_STRING:
    case VALUE_BYTES: lua_pushlstring(L, (const char *)item.text.data, item.text.size); return true;
    case VALUE_ARRAY: push_array(L, r, item.count); return true;
    case VALUE_OBJECT: push_object(L, r, item.count); return true;
    }
    return false;
}

void luavalue_push(lua_State *L, bytes encoded)
{
    value_reader reader = value_read(encoded);
    if (!push_next(L, &reader, true)) luaL_error(L, "a damaged value");
}

/* --- marks ------------------------------------------------------------------------------------ */

static int mark_table(lua_State *L, const char *key, const char *name)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    if (!lua_istable(L, 1))
        return luavm_raise(L, NULL, "weir.%s takes a table, not a %s", name, luaL_typename(L, 1));
    if (lua_getmetatable(L, 1) && luavalue_mark(L, 1) == 0)
        return luavm_raise(L, NULL, "weir.%s: the table has a metatable of its own", name);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
    lua_setmetatable(L, 1);
    return 1;
}

int luavalue_array(lua_State *L)
{
    return mark_table(L, &array_key, "array");
}

int luavalue_object(lua_State *L)
{
    return mark_table(L, &object_key, "object");
}

static void make_mark(lua_State *L, const char *key, const char *name)
{
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    luavm_name_builtin(L, -1, name);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void luavalue_install(lua_State *L)
{
    make_mark(L, &array_key, "weir.array");
    make_mark(L, &object_key, "weir.object");
}
