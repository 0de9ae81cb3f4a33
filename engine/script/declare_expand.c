/*
 * declare_expand.c - weir.expand: a node whose value is a list of declarations.
 *
 * While loading, its table is split: what is an effect's is registered as an effect of the node's name, the rest declares the node.
 * In a worker, every entry of the list that `run` returned is read as a declaration of the workflow would be, by the same code, with
 * plain data where handles stand there; what comes out is the value: name, effect, and the declaration packed (spec.h).
 * All findings are one error, each with the number of its entry.
 */
#include <stdio.h>

#include "engine/script/declare.h"

/* --- while loading -------------------------------------------------------------------------------------------- */

/* A new table with the fields of the one at idx that are in `keys`, or that are not. */
static void push_part(lua_State *L, int idx, const char *const *keys, size_t count, bool in)
{
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        bool listed = key && declare_is_one_of(key, keys, count);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        if (listed == in) lua_rawset(L, -4);
        else lua_pop(L, 2);
    }
}

int luadeclare_expand(lua_State *L, loader *ld, bytes name, int idx)
{
    static const char *const keys[] = {"run", "version", "code", "doc", "always"};
    luaL_checkstack(L, 16, NULL);
    idx = lua_absindex(L, idx);
    push_part(L, idx, keys, 5, true);
    luadeclare_effect(L, ld, name, -1);
    const handle *h = luahandle_at(L, -1);
    if (h->kind == HANDLE_BROKEN) return 1;
    uint32_t effect = h->number;
    ld->effects[effect].is_expand = true;
    push_part(L, idx, keys, 5, false);
    return luadeclare(L, ld, effect, name, -1);
}

void luadeclare_applicable(lua_State *L, loader *ld)
{
    bool any = false;
    for (size_t i = 0; i < ld->effect_count; i++) any = any || ld->effects[i].is_expand;
    for (size_t i = 0; any && i < registry_count(ld->registry); i++) {
        const registry_entry *entry = registry_at(ld->registry, i);
        bytes name = bytes_str(entry->effect->name);
        if (loader_find_effect(ld, name) >= 0) continue;
        int index = loader_add_effect(ld, name, EFFECT_C);
        if (index < 0) luaL_error(L, "out of memory");
        ld->effects[index].entry = entry;
    }
    for (size_t i = 0; any && i < ld->effect_count; i++) ld->effects[i].is_used = true;
}

/* --- in a worker ---------------------------------------------------------------------------------------------- */

typedef struct expansion {
    lua_State *L;
    loader *ld;
    lua_Integer entry;
    size_t declared; /* of this entry */
    char findings[3000];
    size_t used, count;
} expansion;

static void complain(expansion *x, const char *message, const char *hint)
{
    size_t room = sizeof x->findings - x->used;
    x->count++;
    int size = snprintf(x->findings + x->used, room, "%sentry %lld: %s%s%s%s", x->used ? "; " : "", (long long)x->entry, message,
                        hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
    if (size > 0) x->used += (size_t)size < room ? (size_t)size : room - 1;
}

static void on_diagnose(void *ctx, const diagnostic *d)
{
    complain(ctx, d->message, d->hint);
}

/* Pushes { name, effect, declaration }. */
static void on_node(void *ctx, node_spec *spec)
{
    expansion *x = ctx;
    lua_State *L = x->L;
    buf *pack = &x->ld->pack;
    spec->position = (source_position){NULL, 0};
    buf_clear(pack);
    spec_put_declared(pack, spec);
    if (pack->failed) luaL_error(L, "out of memory");
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, (const char *)spec->name.data, spec->name.size);
    lua_setfield(L, -2, "name");
    lua_pushlstring(L, (const char *)spec->effect.data, spec->effect.size);
    lua_setfield(L, -2, "effect");
    lua_pushlstring(L, (const char *)pack->data, pack->size);
    lua_setfield(L, -2, "declaration");
    x->declared++;
}

/* The text of a field of the table at idx; data NULL: it is not there, or no text. Borrowed from the table. */
static bytes text_field(lua_State *L, int idx, const char *key)
{
    bytes text = {NULL, 0};
    lua_pushstring(L, key);
    if (lua_rawget(L, idx) == LUA_TSTRING) text = declare_text(L, -1);
    lua_pop(L, 1);
    return text;
}

static void push_broken(lua_State *L)
{
    luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
}

/* { node = ... }, { node = ..., output = ... }, { env = ... }, { value = ... }, { tool = ... } */
static void push_named(expansion *x, int idx)
{
    static const struct { const char *key; handle_kind kind; } kinds[] = {
        {"node", HANDLE_NODE}, {"env", HANDLE_ENV}, {"value", HANDLE_VALUE}, {"tool", HANDLE_TOOL}, {"file", HANDLE_FILE}};
    lua_State *L = x->L;
    bytes none = bytes_of("", 0), output = text_field(L, idx, "output");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bytes name = text_field(L, idx, kinds[i].key);
        if (!name.data) continue;
        if (kinds[i].kind == HANDLE_NODE && output.data) {
            buf *pack = &x->ld->pack;
            buf_clear(pack);
            buf_put_bytes(pack, output);
            buf_put_bytes(pack, none);
            luahandle_push(L, HANDLE_OUTPUT, name, buf_bytes(pack), 0);
        } else {
            luahandle_push(L, kinds[i].kind, name, none, 0);
        }
        return;
    }
    complain(x, "an input is a path, or a table like { node = \"NAME\" }",
             text_field(L, idx, "glob").data ? "a glob belongs into the inputs of the expand node, which then names the files"
                                             : "{ node, output }, { env }, { value }, { tool }, or a list of these");
    push_broken(L);
}

/* Pushes handles for the input at idx. */
static void push_input(expansion *x, int idx, int depth)
{
    lua_State *L = x->L;
    luaL_checkstack(L, 16, NULL);
    if (lua_type(L, idx) == LUA_TSTRING) {
        luahandle_push(L, HANDLE_FILE, declare_text(L, idx), bytes_of("", 0), 0);
        return;
    }
    bool is_list = lua_istable(L, idx) && (lua_rawlen(L, idx) > 0 || declare_count(L, idx) == 0);
    if (!lua_istable(L, idx) || depth > 32) {
        complain(x, "an input is a path, a table like { node = \"NAME\" }, or a list of these", NULL);
        push_broken(L);
        return;
    }
    if (!is_list) {
        push_named(x, idx);
        return;
    }
    lua_newtable(L);
    int to = lua_gettop(L);
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, idx); i++) {
        lua_rawgeti(L, idx, i);
        push_input(x, lua_gettop(L), depth + 1);
        lua_rawseti(L, to, i);
        lua_pop(L, 1);
    }
}

/* The table of inputs on top is replaced by one with handles. */
static void convert_inputs(expansion *x)
{
    lua_State *L = x->L;
    int from = lua_gettop(L);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, from)) {
        int value = lua_gettop(L);
        lua_pushvalue(L, -2);
        push_input(x, value, 0);
        lua_rawset(L, from + 1);
        lua_pop(L, 1);
    }
    lua_remove(L, from);
}

static int find_effect(expansion *x, bytes name)
{
    loader *ld = x->ld;
    int index = loader_find_effect(ld, name);
    if (index >= 0 && !ld->effects[index].is_expand) return index;
    if (index >= 0) {
        complain(x, "an expand node is declared by the workflow alone, not by another one", NULL);
        return -1;
    }
    const char **names = arena_zero(&ld->scratch, ld->effect_count + 1, sizeof *names);
    for (size_t i = 0; names && i < ld->effect_count; i++) names[i] = ld->effects[i].name;
    char message[300];
    snprintf(message, sizeof message, "there is no effect \"%.200s\"", (const char *)name.data);
    complain(x, message, names ? declare_suggest(ld, (const char *)name.data, names, ld->effect_count) : NULL);
    return -1;
}

/* Replaces the entry on top by its value, or by nil. */
static void read_entry(expansion *x)
{
    static const char *const keys[] = {"effect", "name", "inputs"};
    lua_State *L = x->L;
    int entry = lua_gettop(L), table;
    loader_scratch(x->ld);
    bytes effect = lua_istable(L, entry) ? text_field(L, entry, "effect") : (bytes){NULL, 0};
    if (!effect.data) {
        complain(x, "a declaration is a table with the name of an effect", "{ effect = \"page\", params = {...}, outputs = {...} }");
        lua_pop(L, 1);
        lua_pushnil(L);
        return;
    }
    int index = find_effect(x, effect);
    bytes base = text_field(L, entry, "name");
    push_part(L, entry, keys, 3, false);
    table = lua_gettop(L);
    lua_pushliteral(L, "inputs");
    if (lua_rawget(L, entry) == LUA_TTABLE && !luahandle_at(L, -1)) convert_inputs(x);
    lua_setfield(L, table, "inputs");
    x->declared = 0;
    if (index >= 0) {
        luadeclare(L, x->ld, (uint32_t)index, base.data ? base : effect, table); /* on_node's value is on top */
    }
    if (index < 0 || !x->declared) lua_pushnil(L);
    lua_replace(L, entry);
    lua_settop(L, entry);
}

void luadeclare_list(lua_State *L, loader *ld)
{
    int list = lua_gettop(L);
    expansion *x = lua_newuserdatauv(L, sizeof *x, 0);
    *x = (expansion){.L = L, .ld = ld};
    script_link link = {.ctx = x, .node = on_node, .diagnose = on_diagnose};
    const script_link *before = ld->link;
    size_t errors = ld->errors;
    if (!lua_istable(L, list) || declare_count(L, list) != lua_rawlen(L, list)) {
        lua_pushfstring(L, "%s:%d: an expand node returns a list of declarations, not a %s", ld->current->file, ld->current->line,
                        lua_istable(L, list) ? "table with names" : luaL_typename(L, list));
        lua_error(L);
    }
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    lua_createtable(L, (int)count, 0);
    int to = lua_gettop(L);
    map_clear(&ld->node_lines);
    ld->link = &link;
    ld->is_loading = true;
    for (x->entry = 1; x->entry <= count; x->entry++) {
        ld->list_entry = (uint32_t)x->entry;
        lua_rawgeti(L, list, x->entry);
        read_entry(x);
        if (lua_isnil(L, -1)) lua_pop(L, 1);
        else lua_rawseti(L, to, x->entry);
    }
    ld->list_entry = 0;
    ld->is_loading = false;
    ld->link = before;
    ld->errors = errors;
    map_clear(&ld->node_lines);
    if (x->count > 0) {
        lua_pushfstring(L, "the list has %d error%s: %s", (int)x->count, x->count == 1 ? "" : "s", x->findings);
        lua_error(L);
    }
    lua_replace(L, list);
    lua_settop(L, list);
}
