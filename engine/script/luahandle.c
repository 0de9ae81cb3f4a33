/*
 * luahandle.c - see luahandle.h.
 */
#include "engine/script/luahandle.h"

#include <stdlib.h>

#include "engine/model/key.h"
#include "engine/script/luavalue.h"
#include "engine/store/document.h"
#include "engine/world/scan.h"

static const char handle_type[] = "weir.handle";

void luahandle_push(lua_State *L, handle_kind kind, bytes name, bytes extra, uint32_t number)
{
    handle *h = lua_newuserdatauv(L, sizeof *h + name.size + extra.size + 1, 0);
    h->kind = (uint8_t)kind;
    h->number = number;
    h->name_size = (uint32_t)name.size;
    h->extra_size = (uint32_t)extra.size;
    if (name.size) memcpy(h->text, name.data, name.size);
    h->text[name.size] = '\0';
    if (extra.size) memcpy(h->text + name.size + 1, extra.data, extra.size);
    luaL_setmetatable(L, handle_type);
}

const handle *luahandle_at(lua_State *L, int idx)
{
    return luaL_testudata(L, idx, handle_type);
}

const char *luahandle_describe(lua_State *L, const handle *h)
{
    static const char *const kinds[] = {"",       "file",   "variable",
                                        "value",  "tool",   "node",
                                        "output", "effect", "key of", "folder", "tree", "link",
                                        "declaration with an error", "the nodes of"};
    bytes port, path;
    if (h->kind == HANDLE_BROKEN) return lua_pushstring(L, kinds[h->kind]);
    if (h->kind != HANDLE_OUTPUT) return lua_pushfstring(L, "%s %s", kinds[h->kind], h->text);
    handle_output(h, &port, &path);
    lua_pushlstring(L, (const char *)path.data, path.size);
    lua_pushfstring(L, "output %s of node %s", lua_tostring(L, -1), h->text);
    lua_remove(L, -2);
    return lua_tostring(L, -1);
}

void handle_output(const handle *h, bytes *port, bytes *path)
{
    unpack u = unpack_of(handle_extra(h));
    *port = unpack_bytes(&u);
    *path = unpack_bytes(&u);
}

static int push_bytes(lua_State *L, bytes text)
{
    lua_pushlstring(L, text.data ? (const char *)text.data : "", text.size);
    return 1;
}

/* --- paths ------------------------------------------------------------------------------------ */

static bytes last_component(bytes path)
{
    size_t at = path.size;
    while (at > 0 && path.data[at - 1] != '/') at--;
    return bytes_of(path.data + at, path.size - at);
}

/* Length of a name without its extension; a leading dot starts no extension. */
static size_t stem_size(bytes name)
{
    for (size_t at = name.size; at > 1; at--)
        if (name.data[at - 1] == '.') return at - 1;
    return name.size;
}

bool luahandle_push_part(lua_State *L, bytes path, size_t fixed, const char *part)
{
    bytes name = last_component(path);
    size_t stem = stem_size(name);
    if (strcmp(part, "name") == 0) return push_bytes(L, name);
    if (strcmp(part, "stem") == 0) return push_bytes(L, bytes_of(name.data, stem));
    if (strcmp(part, "ext") == 0)
        return push_bytes(L, stem < name.size ? bytes_of(name.data + stem + 1, name.size - stem - 1)
                                              : bytes_of("", 0));
    if (strcmp(part, "rel") != 0) return false;
    if (fixed > path.size) fixed = 0;
    return push_bytes(L, bytes_of(path.data + fixed, path.size - fixed - (name.size - stem)));
}

/* --- members of handles ----------------------------------------------------------------------- */

static int unknown_member(lua_State *L, const handle *h, const char *const *names, size_t count)
{
    const char *key = lua_tostring(L, 2);
    const char *near = near_name(key, names, count);
    const char *hint = near ? lua_pushfstring(L, "did you mean '.%s'?", near) : NULL;
    return luavm_raise(L, hint, "%s has no '.%s'", luahandle_describe(L, h), key);
}

static int file_read(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    if (!h || h->kind != HANDLE_FILE)
        return luavm_raise(L, "write file:read(), with a colon", ":read() needs a file handle");
    return luaitem_read_path(L, loader_of(L), handle_name(h));
}

static int line_next(lua_State *L)
{
    size_t size;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &size);
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
    if ((size_t)at >= size) return 0;
    const char *end = memchr(text + at, '\n', size - (size_t)at);
    size_t stop = end ? (size_t)(end - text) : size;
    size_t shown = stop > (size_t)at && text[stop - 1] == '\r' ? stop - 1 : stop;
    lua_pushlstring(L, text + at, shown - (size_t)at);
    lua_pushinteger(L, (lua_Integer)stop + 1);
    lua_replace(L, lua_upvalueindex(2));
    return 1;
}

int luahandle_lines(lua_State *L)
{
    if (lua_isnil(L, -1)) return luavm_raise(L, NULL, ":lines() of a file that is absent");
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, line_next, 2);
    return 1;
}

static int file_lines(lua_State *L)
{
    file_read(L);
    return luahandle_lines(L);
}

int luahandle_json(lua_State *L)
{
    weir_error err = {0};
    loader *ld = loader_of(L);
    bytes text;
    if (lua_isnil(L, -1)) return luavm_raise(L, NULL, ":json() of a file that is absent");
    text.data = (const uint8_t *)lua_tolstring(L, -1, &text.size);
    loader_scratch(ld);
    if (value_from_json(text, &ld->encoded, &err) != 0)
        return luavm_raise(L, NULL, "%s", err.message);
    luavalue_push(L, buf_bytes(&ld->encoded));
    return 1;
}

static int file_json(lua_State *L)
{
    file_read(L);
    return luahandle_json(L);
}

/* --- keys of documents ------------------------------------------------------------------------ */

int luahandle_key(lua_State *L, bytes path)
{
    static const char usage[] = "file:key \"site.title\", or file:key(\"site.title\", DEFAULT)";
    loader *ld = loader_of(L);
    weir_error err = {0};
    loader_need_loading(L, ":key()");
    if (lua_type(L, 2) != LUA_TSTRING)
        return luavm_raise(L, usage, ":key() needs the name of a key, not a %s",
                           luaL_typename(L, 2));
    bytes key;
    key.data = (const uint8_t *)lua_tolstring(L, 2, &key.size);
    const char *wrong = NULL;
    loader_scratch(ld);
    if (!document_is_one(path)) wrong = "only documents (.json, .toml) have keys";
    else if (document_check_key(key, &err) != 0) wrong = err.message;
    else if (!lua_isnoneornil(L, 3) && luavalue_put(L, 3, &ld->scratch, &ld->encoded, &err) != 0)
        wrong = arena_printf(&ld->scratch, "its default%s", err.message);
    if (wrong) {
        diagnose(ld, diagnose_position(L), "key", NULL, "%.*s: %s", (int)path.size,
                 (const char *)path.data, wrong);
        luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
        return 1;
    }
    document_put_port(&ld->pack, key, buf_bytes(&ld->encoded));
    if (ld->pack.failed || ld->encoded.failed) return luaL_error(L, "out of memory");
    luahandle_push(L, HANDLE_KEY, path, buf_bytes(&ld->pack), 0);
    return 1;
}

static int file_key(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    bytes port, path;
    if (!h || (h->kind != HANDLE_FILE && h->kind != HANDLE_OUTPUT))
        return luavm_raise(L, "write file:key \"title\", with a colon",
                           ":key() needs a file or an output");
    if (h->kind == HANDLE_FILE) return luahandle_key(L, handle_name(h));
    handle_output(h, &port, &path);
    return luahandle_key(L, path);
}

static int index_key(lua_State *L, const handle *h, const char *key)
{
    static const char *const names[] = {"name"};
    if (strcmp(key, "name") == 0) return push_bytes(L, handle_name(h));
    if (strcmp(key, "value") == 0)
        return luavm_raise(L, "put it into inputs, or read the whole file: weir.file(...):json()",
                           "the value of a key is known to effects and commands only");
    return unknown_member(L, h, names, 1);
}

static int index_folder(lua_State *L, const handle *h, const char *key)
{
    static const char *const names[] = {"path", "name", "stem", "ext", "rel"};
    if (strcmp(key, "path") == 0) return push_bytes(L, handle_name(h));
    if (luahandle_push_part(L, handle_name(h), 0, key)) return 1;
    if (strcmp(key, "read") == 0 || strcmp(key, "files") == 0 || strcmp(key, "value") == 0)
        return luavm_raise(L, "put it into inputs; while loading there are weir.glob and weir.read",
                           "what is in %s is known to effects and commands only",
                           luahandle_describe(L, h));
    return unknown_member(L, h, names, 5);
}

static int index_file(lua_State *L, const handle *h, const char *key)
{
    static const char *const names[] = {"path", "name", "stem",  "ext",
                                        "rel",  "read", "lines", "json", "key"};
    if (strcmp(key, "path") == 0) return push_bytes(L, handle_name(h));
    if (luahandle_push_part(L, handle_name(h), h->number, key)) return 1;
    lua_CFunction method = strcmp(key, "read") == 0    ? file_read
                           : strcmp(key, "lines") == 0 ? file_lines
                           : strcmp(key, "json") == 0  ? file_json
                           : strcmp(key, "key") == 0   ? file_key
                                                       : NULL;
    if (!method) return unknown_member(L, h, names, sizeof names / sizeof *names);
    lua_pushcfunction(L, method);
    return 1;
}

/* A value that counts as a read of the definition once it is looked at. */
static int index_item(lua_State *L, const handle *h, const char *key)
{
    static const char *const names[] = {"name", "value"};
    loader *ld = loader_of(L);
    if (strcmp(key, "name") == 0) return push_bytes(L, handle_name(h));
    if (strcmp(key, "value") != 0 || h->kind == HANDLE_TOOL) {
        if (h->kind == HANDLE_TOOL && (strcmp(key, "value") == 0 || strcmp(key, "path") == 0))
            return luavm_raise(
                L,
                "put the tool into inputs; a command writes {{port}}, an effect reads i.port.path",
                "where a tool lies is known to effects only");
        return unknown_member(L, h, names, h->kind == HANDLE_TOOL ? 1 : 2);
    }
    loader_need_loading(L, ".value of an item");
    if (h->kind == HANDLE_ENV) {
        const char *value = getenv(h->text);
        loader_read(ld, ITEM_ENV, handle_name(h),
                    value ? hash_bytes(value, strlen(value)) : HASH_ABSENT);
        lua_pushstring(L, value); /* NULL pushes nil */
        return 1;
    }
    bytes encoded = bytes_of(handle_extra(h).data, h->number);
    loader_read(ld, ITEM_VALUE, handle_name(h),
                encoded.size ? hash_bytes(encoded.data, encoded.size) : HASH_ABSENT);
    if (encoded.size) luavalue_push(L, encoded);
    else lua_pushnil(L);
    return 1;
}

/* site.pages:file "css/a.css": one file of an output that is a folder. */
static int output_file(lua_State *L)
{
    static const char usage[] = "node.site:file \"css/a.css\"";
    const handle *h = luahandle_at(L, 1);
    loader *ld = loader_of(L);
    weir_error err = {0};
    bytes port, path, below;
    if (h && h->kind == HANDLE_BROKEN) {
        lua_settop(L, 1);
        return 1;
    }
    if (!h || h->kind != HANDLE_OUTPUT || lua_type(L, 2) != LUA_TSTRING) return luavm_raise(L, usage, ":file() of an output takes a path in it");
    handle_output(h, &port, &path);
    if (path.size == 0 || path.data[path.size - 1] != '/')
        return luavm_raise(L, "a folder as an output ends in '/': outputs = { site = \"public/\" }", "%s is no folder", luahandle_describe(L, h));
    below.data = (const uint8_t *)lua_tolstring(L, 2, &below.size);
    loader_scratch(ld);
    buf_clear(&ld->text);
    if (scan_normalise(below, &ld->text, &err) != 0) return luavm_raise(L, usage, "%s", err.message);
    const char *part = arena_printf(&ld->scratch, "%.*s/%s", (int)port.size, (const char *)port.data, buf_cstr(&ld->text));
    const char *where = arena_printf(&ld->scratch, "%.*s%s", (int)path.size, (const char *)path.data, buf_cstr(&ld->text));
    if (!part || !where) return luaL_error(L, "out of memory");
    buf_clear(&ld->pack);
    buf_put_bytes(&ld->pack, bytes_str(part));
    buf_put_bytes(&ld->pack, bytes_str(where));
    if (ld->pack.failed) return luaL_error(L, "out of memory");
    luahandle_push(L, HANDLE_OUTPUT, handle_name(h), buf_bytes(&ld->pack), 0);
    return 1;
}

static int index_output(lua_State *L, const handle *h, const char *key)
{
    static const char *const names[] = {"path", "name", "stem", "ext", "rel", "key", "file"};
    bytes port, path;
    handle_output(h, &port, &path);
    if (strcmp(key, "path") == 0) return push_bytes(L, path);
    if (luahandle_push_part(L, path, 0, key)) return 1;
    if (strcmp(key, "key") == 0 || strcmp(key, "file") == 0) {
        lua_pushcfunction(L, key[0] == 'k' ? file_key : output_file);
        return 1;
    }
    if (strcmp(key, "read") == 0 || strcmp(key, "lines") == 0 || strcmp(key, "json") == 0)
        return luavm_raise(L,
                           "what is in an output is known only after running: put it into inputs",
                           "%s cannot be read here", luahandle_describe(L, h));
    return unknown_member(L, h, names, sizeof names / sizeof *names);
}

static int node_nodes(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    if (h && h->kind == HANDLE_BROKEN) {
        lua_settop(L, 1);
        return 1;
    }
    if (!h || h->kind != HANDLE_NODE || !h->number)
        return luavm_raise(L, "write rows:nodes(), with a colon", ":nodes() needs an expand node");
    luahandle_push(L, HANDLE_CHILDREN, handle_name(h), bytes_of("", 0), 0);
    return 1;
}

static int index_node(lua_State *L, const handle *h, const char *key)
{
    const char *names[64] = {"name", "params", "path"};
    size_t known = 3;
    unpack u = unpack_of(handle_extra(h));
    bytes params = unpack_bytes(&u), first = {NULL, 0};
    size_t count = unpack_count(&u);
    loader *ld = loader_of(L);
    if (strcmp(key, "name") == 0) return push_bytes(L, handle_name(h));
    if (strcmp(key, "params") == 0) {
        luavalue_push(L, params);
        return 1;
    }
    if (h->number && strcmp(key, "nodes") == 0) {
        lua_pushcfunction(L, node_nodes);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        bytes port = unpack_bytes(&u), path = unpack_bytes(&u);
        if (i == 0) first = path;
        if (bytes_equal(port, bytes_str(key))) {
            loader_scratch(ld);
            buf_put_bytes(&ld->pack, port);
            buf_put_bytes(&ld->pack, path);
            if (ld->pack.failed) return luaL_error(L, "out of memory");
            luahandle_push(L, HANDLE_OUTPUT, handle_name(h), buf_bytes(&ld->pack), 0);
            return 1;
        }
        if (known < 64) {
            lua_pushlstring(L, (const char *)port.data, port.size);
            names[known++] = lua_tostring(L, -1);
            luaL_checkstack(L, 4, NULL);
        }
    }
    if (strcmp(key, "path") == 0) {
        if (count == 1) return push_bytes(L, first);
        return luavm_raise(L, count ? "name one: node.port.path" : NULL,
                           "%s has %d outputs, not one", luahandle_describe(L, h), (int)count);
    }
    if (strcmp(key, "value") == 0 || strcmp(key, "read") == 0)
        return luavm_raise(L, "what a node makes is known only after running: put it into inputs",
                           "%s cannot be read here", luahandle_describe(L, h));
    return unknown_member(L, h, names, known);
}

static int handle_index(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    if (!h) return 0;
    if (h->kind == HANDLE_BROKEN) { /* anything, so that loading goes on */
        lua_pushvalue(L, 1);
        return 1;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        return luavm_raise(L, NULL, "%s is not a list", luahandle_describe(L, h));
    const char *key = lua_tostring(L, 2);
    switch ((handle_kind)h->kind) {
    case HANDLE_FILE: return index_file(L, h, key);
    case HANDLE_ENV:
    case HANDLE_VALUE:
    case HANDLE_TOOL: return index_item(L, h, key);
    case HANDLE_NODE: return index_node(L, h, key);
    case HANDLE_OUTPUT: return index_output(L, h, key);
    case HANDLE_EFFECT: {
        static const char *const names[] = {"name"};
        if (strcmp(key, "name") == 0) return push_bytes(L, handle_name(h));
        return unknown_member(L, h, names, 1);
    }
    case HANDLE_KEY: return index_key(L, h, key);
    case HANDLE_FOLDER:
    case HANDLE_TREE:
    case HANDLE_LINK: return index_folder(L, h, key);
    case HANDLE_CHILDREN:
        return luavm_raise(L, "put it into inputs of a node",
                           "%s are known only after running", luahandle_describe(L, h));
    case HANDLE_BROKEN: break;
    }
    return 0;
}

static int handle_newindex(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    return luavm_raise(L, NULL, "%s cannot be changed", h ? luahandle_describe(L, h) : "a handle");
}

static int handle_tostring(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    if (!h) return 0;
    luahandle_describe(L, h);
    return 1;
}

/* "a" .. handle of a broken declaration; others raise as usual. */
static int handle_concat(lua_State *L)
{
    for (int i = 1; i <= 2; i++) {
        const handle *h = luahandle_at(L, i);
        if (!h) continue;
        if (h->kind != HANDLE_BROKEN)
            return luavm_raise(L, "use its .path or .name", "%s is not text",
                               luahandle_describe(L, h));
        lua_pushvalue(L, i);
        return 1;
    }
    return 0;
}

/* page "name" {...}: upvalues are the effect's index, the name, and the slot of what is not done yet. */
static int declare_call(lua_State *L)
{
    loader *ld = loader_of(L);
    size_t size;
    const char *base = lua_tolstring(L, lua_upvalueindex(2), &size);
    uint32_t effect = (uint32_t)lua_tointeger(L, lua_upvalueindex(1));
    undone_done(ld, (uint32_t)lua_tointeger(L, lua_upvalueindex(3)));
    lua_pushinteger(L, 0);
    lua_replace(L, lua_upvalueindex(3));
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    if (!lua_istable(L, 1))
        return luavm_raise(L, "write EFFECT \"name\" { inputs = {...}, outputs = {...} }",
                           "a node is declared with a table, not a %s", luaL_typename(L, 1));
    return luadeclare(L, ld, effect, bytes_of(base, size), 1);
}

static int handle_call(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    if (!h) return 0;
    if (h->kind == HANDLE_BROKEN) { /* also a broken effect: page "x" {...} gives a broken node */
        lua_settop(L, 1);
        return 1;
    }
    if (h->kind != HANDLE_EFFECT)
        return luavm_raise(L, NULL, "%s cannot be called", luahandle_describe(L, h));
    loader_need_loading(L, "declaring a node");
    if (lua_type(L, 2) != LUA_TSTRING)
        return luavm_raise(L, "write EFFECT \"name\" {...}", "a node needs a name, not a %s",
                           luaL_typename(L, 2));
    lua_pushinteger(L, h->number);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, undone_begin(L, loader_of(L)));
    lua_pushcclosure(L, declare_call, 3);
    if (lua_istable(L, 3)) { /* effect("name", {...}) */
        lua_pushvalue(L, 3);
        lua_call(L, 1, 1);
    }
    return 1;
}

void luahandle_install(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__index", handle_index},
                                       {"__newindex", handle_newindex},
                                       {"__tostring", handle_tostring},
                                       {"__concat", handle_concat},
                                       {"__call", handle_call},
                                       {NULL, NULL}};
    luaL_newmetatable(L, handle_type);
    luaL_setfuncs(L, methods, 0);
    lua_pushliteral(L, "weir handle");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
