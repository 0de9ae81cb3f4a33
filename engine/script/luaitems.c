/*
 * luaitems.c - weir.file, weir.glob, weir.env, weir.value, weir.tool, weir.read.
 *
 * Making a handle reads nothing: the engine observes the item when a node uses it. What the
 * definition itself looks at (a glob's names,
 * .value of a variable, weir.read) is reported as its read.
 */
#include "engine/model/key.h"
#include "engine/script/luahandle.h"
#include "engine/script/luavalue.h"
#include "engine/world/scan.h"

static bytes check_text(lua_State *L, int idx, const char *usage)
{
    bytes text;
    if (lua_type(L, idx) != LUA_TSTRING)
        luavm_raise(L, usage, "a string is needed, not a %s", luaL_typename(L, idx));
    text.data = (const uint8_t *)lua_tolstring(L, idx, &text.size);
    return text;
}

static int broken(lua_State *L)
{
    luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
    return 1;
}

int luaitem_file(lua_State *L)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    bytes path = check_text(L, 1, "weir.file \"content/a.md\"");
    loader_scratch(ld);
    if (scan_normalise(path, &ld->text, &err) != 0) {
        if (!ld->is_loading) return luavm_raise(L, NULL, "%s", err.message);
        diagnose(ld, diagnose_position(L), NULL, NULL, "weir.file: %s", err.message);
        return broken(L);
    }
    luahandle_push(L, HANDLE_FILE, buf_bytes(&ld->text), bytes_of("", 0), 0);
    return 1;
}

static int push_folder(lua_State *L, handle_kind kind, const char *what)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    loader_need_loading(L, what);
    bytes path = check_text(L, 1, "weir.tree \"src\"");
    loader_scratch(ld);
    if (scan_normalise(path, &ld->text, &err) != 0) {
        diagnose(ld, diagnose_position(L), NULL, NULL, "%s: %s", what, err.message);
        return broken(L);
    }
    luahandle_push(L, kind, buf_bytes(&ld->text), bytes_of("", 0), 0);
    return 1;
}

int luaitem_folder(lua_State *L)
{
    return push_folder(L, HANDLE_FOLDER, "weir.folder");
}

int luaitem_tree(lua_State *L)
{
    return push_folder(L, HANDLE_TREE, "weir.tree");
}

int luaitem_link(lua_State *L)
{
    return push_folder(L, HANDLE_LINK, "weir.link");
}

int luaitem_glob(lua_State *L)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    bytes *paths = NULL;
    size_t count = 0;
    loader_need_loading(L, "weir.glob");
    bytes pattern = check_text(L, 1, "weir.glob \"content/**/*.md\"");
    loader_scratch(ld);
    int rc = scan_glob_check((const char *)pattern.data, &err);
    if (rc == 0) rc = ld->link->glob(ld->link->ctx, pattern, &ld->scratch, &paths, &count, &err);
    if (rc == WEIR_WORKFLOW) { /* the list is empty, loading goes on */
        diagnose(ld, diagnose_position(L), NULL, NULL, "weir.glob: %s", err.message);
        count = 0;
    } else if (rc != 0) {
        return luaL_error(L, "weir.glob: %s", err.message);
    }
    size_t fixed = rc == 0 ? scan_glob_fixed((const char *)pattern.data) : 0;
    lua_createtable(L, count < (1u << 20) ? (int)count : 1 << 20, 0);
    for (size_t i = 0; i < count; i++) {
        luahandle_push(L, HANDLE_FILE, paths[i], bytes_of("", 0), (uint32_t)fixed);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static bool is_plain_name(bytes name)
{
    return name.size > 0 && !memchr(name.data, 0, name.size) &&
           !memchr(name.data, '=', name.size) && !memchr(name.data, '\n', name.size);
}

int luaitem_env(lua_State *L)
{
    loader *ld = loader_of(L);
    loader_need_loading(L, "weir.env");
    bytes name = check_text(L, 1, "weir.env \"HOME\"");
    if (!is_plain_name(name)) {
        diagnose(ld, diagnose_position(L), NULL, NULL, "weir.env: not the name of a variable");
        return broken(L);
    }
    luahandle_push(L, HANDLE_ENV, name, bytes_of("", 0), 0);
    return 1;
}

int luaitem_tool(lua_State *L)
{
    loader *ld = loader_of(L);
    loader_need_loading(L, "weir.tool");
    bytes name = check_text(L, 1, "weir.tool \"cc\"");
    if (!is_plain_name(name)) {
        diagnose(ld, diagnose_position(L), NULL, NULL, "weir.tool: not the name of a program");
        return broken(L);
    }
    luahandle_push(L, HANDLE_TOOL, name, bytes_of("", 0), 0);
    return 1;
}

/* --- values ----------------------------------------------------------------------------------- */

static const char *const value_types[] = {"string", "integer", "number", "boolean", "any"};

static bool has_type(bytes encoded, const char *type)
{
    value_reader reader = value_read(encoded);
    value_item item;
    if (!value_next(&reader, &item) || strcmp(type, "any") == 0) return true;
    if (strcmp(type, "string") == 0) return item.type == VALUE_STRING || item.type == VALUE_BYTES;
    if (strcmp(type, "integer") == 0) return item.type == VALUE_INT;
    if (strcmp(type, "number") == 0) return item.type == VALUE_INT || item.type == VALUE_FLOAT;
    return item.type == VALUE_TRUE || item.type == VALUE_FALSE;
}

typedef struct value_request {
    bytes name;
    const char *type; /* one of value_types */
    int fallback;     /* stack index of the default; nil: none */
} value_request;

/* The options at idx: default and type; name too where it is not given before. false: a finding. */
static bool read_options(lua_State *L, loader *ld, int idx, value_request *r)
{
    static const char *const keys[] = {"name", "default", "type", "doc"};
    source_position where = diagnose_position(L);
    bool ok = true;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        size_t which = 0;
        while (which < 4 && strcmp(key, keys[which]) != 0) which++;
        if (which == 4) {
            const char *near = near_name(key, keys, 4);
            diagnose(ld, where, key,
                     near ? arena_printf(&ld->scratch, "did you mean '%s'?", near) : NULL,
                     "weir.value: unknown key '%s'", key);
            ok = false;
        } else if ((which == 0 || which == 2) && lua_type(L, -1) != LUA_TSTRING) {
            diagnose(ld, where, key, NULL, "weir.value: %s is a string, not a %s", key,
                     luaL_typename(L, -1));
            ok = false;
        } else if (which == 0) {
            r->name.data =
                (const uint8_t *)lua_tolstring(L, -1, &r->name.size); /* held by the table */
        } else if (which == 2) {
            r->type = lua_tostring(L, -1);
        }
        lua_pop(L, 1);
    }
    size_t t = 0;
    while (t < 5 && strcmp(r->type, value_types[t]) != 0) t++;
    if (t == 5) {
        diagnose(ld, where, "type", "string, integer, number, boolean or any",
                 "weir.value: unknown type '%s'", r->type);
        ok = false;
    }
    lua_pushliteral(L, "default");
    lua_rawget(L, idx);
    r->fallback = lua_gettop(L);
    return ok;
}

/* What the engine says the value is; in ld->text. */
static int ask_value(lua_State *L, loader *ld, value_request *r)
{
    weir_error err = {0};
    if (!lua_isnil(L, r->fallback) &&
        luavalue_put(L, r->fallback, &ld->scratch, &ld->encoded, &err) != 0) {
        diagnose(ld, diagnose_position(L), "default", NULL, "weir.value \"%s\": default%s",
                 (const char *)r->name.data, err.message);
        return broken(L);
    }
    if (ld->encoded.size && !has_type(buf_bytes(&ld->encoded), r->type)) {
        diagnose(ld, diagnose_position(L), "default", NULL,
                 "weir.value \"%s\": the default is not of type %s", (const char *)r->name.data,
                 r->type);
        return broken(L);
    }
    if (ld->link->value(ld->link->ctx, r->name, buf_bytes(&ld->encoded), &ld->text, &err) != 0)
        return luaL_error(L, "weir.value: %s", err.message);
    if (ld->text.size && !has_type(buf_bytes(&ld->text), r->type)) {
        const char *hint =
            arena_printf(&ld->scratch, "weir set %s=...", (const char *)r->name.data);
        diagnose(ld, diagnose_position(L), NULL, hint,
                 "the value \"%s\" is set to something that is not of type %s",
                 (const char *)r->name.data, r->type);
        return broken(L);
    }
    uint32_t given = (uint32_t)ld->text.size; /* at most VALUE_LIMIT */
    buf_append(&ld->text, ld->encoded.data, ld->encoded.size);
    if (ld->text.failed) return luaL_error(L, "out of memory");
    luahandle_push(L, HANDLE_VALUE, r->name, buf_bytes(&ld->text), given);
    return 1;
}

/* weir.value "x", weir.value("x", {default=1}), weir.value("x", 1), weir.value {name="x", default=1} */
int luaitem_value(lua_State *L)
{
    static const char usage[] = "weir.value { name = \"x\", default = 1, type = \"integer\" }";
    loader *ld = loader_of(L);
    value_request r = {.type = "any"};
    loader_need_loading(L, "weir.value");
    lua_settop(L, 2);
    loader_scratch(ld);
    bool ok = true;
    if (lua_type(L, 1) == LUA_TSTRING) r.name = check_text(L, 1, usage);
    if (lua_istable(L, 1)) ok = read_options(L, ld, 1, &r);
    else if (lua_istable(L, 2) && luavalue_mark(L, 2) == 0) ok = read_options(L, ld, 2, &r);
    else r.fallback = 2;
    if (!r.name.data) return luavm_raise(L, usage, "weir.value needs a name");
    if (!is_plain_name(r.name)) {
        diagnose(ld, diagnose_position(L), NULL, NULL, "weir.value: '%s' is no name of a value",
                 (const char *)r.name.data);
        ok = false;
    }
    return ok ? ask_value(L, ld, &r) : broken(L);
}

/* --- weir.read -------------------------------------------------------------------------------- */

static int read_in_job(lua_State *L, loader *ld, bytes path)
{
    bytes content;
    if (job_read_file(ld->job, path, &content) != 0)
        return luavm_raise(L, NULL, "%s", job_error(ld->job));
    if (content.data) lua_pushlstring(L, (const char *)content.data, content.size);
    else lua_pushnil(L);
    return 1;
}

int luaitem_read_path(lua_State *L, loader *ld, bytes path)
{
    weir_error err = {0};
    bool may = true;
    hash128 fingerprint;
    loader_scratch(ld);
    if (ld->job) return read_in_job(L, ld, path);
    loader_need_loading(L, "weir.read");
    if (scan_normalise(path, &ld->text, &err) != 0)
        return luavm_raise(L, NULL, "weir.read: %s", err.message);
    bytes clean = arena_bytes(&ld->scratch, buf_bytes(&ld->text));
    if (!clean.data) return luaL_error(L, "out of memory");
    const char *name = (const char *)clean.data;
    int rc = ld->link->may_read(ld->link->ctx, clean, &may, &err);
    if (rc == 0 && !may)
        return luavm_raise(L, "make it an input of a node, or use weir.read on a source",
                           "%s is made by a node: it cannot be read while the workflow loads",
                           name);
    buf_clear(&ld->text);
    if (rc == 0) rc = loader_file(ld, name, &ld->text, &fingerprint, &err);
    if (rc != 0) return luavm_raise(L, NULL, "weir.read: %s", err.message);
    loader_read(ld, ITEM_FILE, clean, fingerprint);
    if (hash_equal(fingerprint, HASH_ABSENT)) lua_pushnil(L);
    else lua_pushlstring(L, (const char *)ld->text.data, ld->text.size);
    loader_scratch(ld);
    return 1;
}

/* weir.read(path or file handle): content, or nil where nothing is. */
int luaitem_read(lua_State *L)
{
    const handle *h = luahandle_at(L, 1);
    if (h && h->kind == HANDLE_FILE) return luaitem_read_path(L, loader_of(L), handle_name(h));
    if (h && h->kind == HANDLE_BROKEN) {
        lua_pushnil(L);
        return 1;
    }
    if (h)
        return luavm_raise(L, "put it into inputs",
                           "weir.read takes a path, not a handle of a node or item");
    return luaitem_read_path(L, loader_of(L), check_text(L, 1, "weir.read \"data/a.txt\""));
}
