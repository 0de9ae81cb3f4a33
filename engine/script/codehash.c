/*
 * codehash.c - see codehash.h.
 *
 * One walk serves both: for the code hash it writes everything; for the state of a worker it writes
 * functions as their address (they cannot change, and
 * are held so that no other object takes the address) and does not look into functions of foreign
 * modules, whose caches are trusted.
 */
#include "engine/script/codehash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/script/bytecode.h"
#include "engine/script/luahandle.h"
#include "engine/script/luarequire.h"

enum { CODE_SCHEME = 1, WALK_DEPTH = 700 };

/* Tags of the stream. Their numbers are part of the hash. */
enum {
    TAG_NIL = 1,
    TAG_FALSE,
    TAG_TRUE,
    TAG_INT,
    TAG_FLOAT,
    TAG_STRING,
    TAG_NULL,
    TAG_BUILTIN,
    TAG_SEEN,
    TAG_TABLE,
    TAG_META,
    TAG_END,
    TAG_FUNCTION,
    TAG_FOREIGN,
    TAG_CFUNCTION,
    TAG_FILE,
    TAG_EFFECT,
    TAG_USERDATA,
    TAG_MODULES,
    TAG_OTHER
};

typedef struct walk {
    lua_State *L;
    loader *ld;
    script_effect *effect;
    hash_stream out;
    int seen;          /* stack index: object -> number */
    lua_Integer count; /* objects seen */
    bool is_state;
    bool has_tables;
    bool uses_require;
    int depth;
    const char *file; /* of the function being walked, for findings */
    char always[200]; /* why it cannot be hashed; "" */
} walk;

static void walk_value(walk *w, int idx);

static void put(walk *w, const void *data, size_t size)
{
    hash_update(&w->out, data, size);
}

static void put_tag(walk *w, uint8_t tag)
{
    put(w, &tag, 1);
}

static void put_number(walk *w, uint64_t number)
{
    uint8_t raw[8];
    for (size_t i = 0; i < 8; i++) raw[i] = (uint8_t)(number >> (8 * i));
    put(w, raw, sizeof raw);
}

static void put_text(walk *w, const char *text, size_t size)
{
    put_number(w, size);
    if (size) put(w, text, size);
}

static void cannot(walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void cannot(walk *w, const char *format, ...)
{
    va_list args;
    if (w->always[0]) return;
    va_start(args, format);
    vsnprintf(w->always, sizeof w->always, format, args);
    va_end(args);
}

/* A finding in code or in what it holds, once per place: several effects share helpers. */
static void finding(walk *w, source_position where, const char *what, const char *hint,
                    const char *key)
{
    loader *ld = w->ld;
    bool added = true;
    char place[700];
    if (w->is_state) return;
    int n =
        snprintf(place, sizeof place, "%s:%d:%s", where.file ? where.file : "", where.line, what);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof place ? (size_t)n : sizeof place - 1;
    (void)map_put(&ld->places_seen, bytes_of(place, size), &added);
    if (added) diagnose(ld, where, key, hint, "effect \"%s\": %s", w->effect->name, what);
}

/* Seen before: writes its number. Else gives it one; `hold` only decides what is kept alive with the state. */
static bool seen_before(walk *w, int idx)
{
    lua_State *L = w->L;
    lua_pushvalue(L, idx);
    if (lua_rawget(L, w->seen) == LUA_TNUMBER) {
        put_tag(w, TAG_SEEN);
        put_number(w, (uint64_t)lua_tointeger(L, -1));
        lua_pop(L, 1);
        return true;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, idx);
    lua_pushinteger(L, ++w->count);
    lua_rawset(L, w->seen);
    return false;
}

static bool put_builtin(walk *w, int idx)
{
    const char *name = luavm_builtin_name(w->L, idx);
    if (!name) return false;
    if (strcmp(name, "require") == 0) w->uses_require = true;
    put_tag(w, TAG_BUILTIN);
    put_text(w, name, strlen(name));
    if (strncmp(name, "C ", 2) == 0) { /* of a C module: unless it is known to be pure, with all that was loaded */
        hash128 all;
        if (!luarequire_pure(w->L, name + 2, &all)) all = loader_all_files(w->ld);
        put(w, all.bytes, HASH_SIZE);
    }
    return true;
}

/* --- functions -------------------------------------------------------------------------------- */

static int append_dump(lua_State *L, const void *data, size_t size, void *to)
{
    (void)L;
    buf_append(to, data, size);
    return ((buf *)to)->failed;
}

static void emit_code(void *ctx, const void *data, size_t size)
{
    put(ctx, data, size);
}

static void found_assignment(void *ctx, bytecode_finding what, bytes name, int line)
{
    walk *w = ctx;
    char text[200], key[100];
    const char *shown = name.data ? (const char *)name.data : "?";
    int size = name.data ? (int)name.size : 1;
    snprintf(key, sizeof key, "%.*s", size, shown);
    if (what == BYTECODE_SETS_GLOBAL) {
        snprintf(text, sizeof text, "assigns the global '%s'; globals cannot be assigned", key);
        finding(w, (source_position){w->file, line}, text, "write 'local' in front of it", key);
        return;
    }
    snprintf(text, sizeof text,
             "assigns '%s', a variable from outside: a job would change what the next one sees",
             key);
    finding(w, (source_position){w->file, line}, text,
            "keep it in a local inside the function, or return it", key);
}

static void walk_code(walk *w, bool checked)
{
    loader *ld = w->ld;
    bytecode_sink sink = {.ctx = w,
                          .emit = emit_code,
                          .found = checked ? found_assignment : NULL,
                          .constant = "require"};
    mem_arena arena;
    buf_clear(&ld->encoded);
    lua_dump(w->L, append_dump, &ld->encoded, 0);
    if (ld->encoded.failed) luaL_error(w->L, "out of memory");
    arena_init(&arena);
    bool ok = bytecode_walk(buf_bytes(&ld->encoded), &arena, &sink);
    arena_deinit(&arena);
    if (!ok) cannot(w, "the bytecode of this Lua version cannot be read");
    if (sink.has_constant) w->uses_require = true;
}

static void walk_upvalues(walk *w, int idx)
{
    for (int i = 1; lua_getupvalue(w->L, idx, i); i++) {
        walk_value(w, lua_gettop(w->L));
        lua_pop(w->L, 1);
    }
    put_tag(w, TAG_END);
}

static void walk_cfunction(walk *w, int idx)
{
    put_tag(w, TAG_CFUNCTION);
    cannot(w, "reaches a C function that has no name");
    walk_upvalues(w, idx);
}

static void walk_lua_function(walk *w, int idx)
{
    lua_Debug ar;
    lua_State *L = w->L;
    const char *outer = w->file;
    lua_pushvalue(L, idx);
    lua_getinfo(L, ">S", &ar);
    bool is_file = ar.source[0] == '@';
    bool is_foreign = is_file && ar.source[1] == '/';
    if (w->is_state) {
        put_number(w, (uint64_t)(uintptr_t)lua_topointer(L, idx));
        if (!is_foreign) walk_upvalues(w, idx);
        return;
    }
    put_tag(w, is_foreign ? TAG_FOREIGN : TAG_FUNCTION);
    if (is_foreign) {
        const loaded_file *file = loader_find_file(w->ld, ar.source + 1);
        put(w, file ? file->fingerprint.bytes : HASH_NONE.bytes, HASH_SIZE);
    }
    if (is_file && !is_foreign) w->file = ar.source + 1;
    lua_pushvalue(L, idx);
    walk_code(w, !is_foreign && strncmp(ar.source, "=weir", 5) != 0);
    lua_pop(L, 1);
    walk_upvalues(w, idx);
    w->file = outer;
}

static void walk_function(walk *w, int idx)
{
    if (put_builtin(w, idx) || seen_before(w, idx)) return;
    if (lua_iscfunction(w->L, idx)) walk_cfunction(w, idx);
    else walk_lua_function(w, idx);
}

/* --- tables ----------------------------------------------------------------------------------- */

typedef struct table_key {
    int type; /* numbers before strings, booleans, then objects by hash */
    lua_Integer integer;
    lua_Number number;
    bytes text;
    hash128 object;
    int at; /* in the list of keys */
} table_key;

static int compare_keys(const void *pa, const void *pb)
{
    const table_key *a = pa, *b = pb;
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    switch (a->type) {
    case 0: return a->integer < b->integer ? -1 : a->integer > b->integer;
    case 1: return a->number < b->number ? -1 : a->number > b->number;
    case 2: return bytes_compare(a->text, b->text);
    default: return memcmp(a->object.bytes, b->object.bytes, HASH_SIZE);
    }
}

/* What a key that is an object hashes to by itself: decides its place only. */
static hash128 lone_hash(walk *w, int idx)
{
    walk alone = *w;
    idx = lua_absindex(w->L, idx);
    lua_newtable(w->L);
    alone.seen = lua_gettop(w->L);
    alone.count = 0;
    hash_begin(&alone.out);
    walk_value(&alone, idx);
    lua_pop(w->L, 1);
    w->uses_require |= alone.uses_require;
    memcpy(w->always, alone.always, sizeof w->always);
    return hash_end(&alone.out);
}

static void describe_key(walk *w, int idx, table_key *key)
{
    lua_State *L = w->L;
    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
        key->type = lua_isinteger(L, idx) ? 0 : 1;
        if (key->type == 0) key->integer = lua_tointeger(L, idx);
        else key->number = lua_tonumber(L, idx);
        return;
    case LUA_TSTRING:
        key->type = 2;
        key->text.data = (const uint8_t *)lua_tolstring(L, idx, &key->text.size);
        return;
    default: key->type = 3; key->object = lone_hash(w, idx);
    }
}

/* Entries in canonical order. The keys lie in a Lua table, their description in a userdata: nothing is lost if something raises. */
static void walk_entries(walk *w, int idx)
{
    lua_State *L = w->L;
    size_t count = 0, n = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        count++;
    }
    table_key *keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0);
    lua_createtable(L, (int)(count < 1u << 20 ? count : 1u << 20), 0);
    int list = lua_gettop(L);
    lua_pushnil(L);
    while (n < count && lua_next(L, idx)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, list, (lua_Integer)n + 1);
        keys[n] = (table_key){.at = (int)n + 1};
        describe_key(w, lua_gettop(L), &keys[n]);
        n++;
    }
    lua_settop(L, list);
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, keys[i].at);
        walk_value(w, list + 1);
        lua_rawget(L, idx);
        walk_value(w, list + 1);
        lua_settop(L, list);
    }
    lua_settop(L, list - 2);
}

static void walk_table(walk *w, int idx)
{
    if (put_builtin(w, idx)) return;
    w->has_tables = true;
    if (seen_before(w, idx)) return;
    put_tag(w, TAG_TABLE);
    if (lua_getmetatable(w->L, idx)) {
        put_tag(w, TAG_META);
        walk_value(w, lua_gettop(w->L));
        lua_pop(w->L, 1);
    }
    walk_entries(w, idx);
    put_tag(w, TAG_END);
}

/* --- handles, others -------------------------------------------------------------------------- */

static void walk_handle(walk *w, const handle *h)
{
    char text[400];
    switch ((handle_kind)h->kind) {
    case HANDLE_FILE:
        put_tag(w, TAG_FILE);
        put_text(w, h->text, h->name_size);
        return;
    case HANDLE_EFFECT:
        put_tag(w, TAG_EFFECT);
        put_text(w, h->text, h->name_size);
        return;
    case HANDLE_BROKEN: return; /* reported already */
    case HANDLE_NODE:
    case HANDLE_CHILDREN:
    case HANDLE_OUTPUT:
    case HANDLE_ENV:
    case HANDLE_VALUE:
    case HANDLE_KEY:
    case HANDLE_FOLDER:
    case HANDLE_TREE:
    case HANDLE_LINK:
    case HANDLE_TOOL: break;
    }
    snprintf(text, sizeof text, "uses %s, which is declared outside of it",
             luahandle_describe(w->L, h));
    lua_pop(w->L, 1);
    finding(w, (source_position){w->effect->file, w->effect->line}, text,
            "add it to inputs, and write i.NAME in run", NULL);
}

static void walk_userdata(walk *w, int idx)
{
    const handle *h = luahandle_at(w->L, idx);
    if (h) {
        walk_handle(w, h);
        return;
    }
    if (seen_before(w, idx)) return;
    put_tag(w, TAG_USERDATA); /* cannot be looked into: stands for everything that was loaded */
    hash128 all = loader_all_files(w->ld);
    put(w, all.bytes, HASH_SIZE);
}

static void walk_number(walk *w, int idx)
{
    uint64_t bits;
    if (lua_isinteger(w->L, idx)) {
        put_tag(w, TAG_INT);
        put_number(w, (uint64_t)lua_tointeger(w->L, idx));
        return;
    }
    lua_Number number = lua_tonumber(w->L, idx);
    memcpy(&bits, &number, sizeof bits);
    put_tag(w, TAG_FLOAT);
    put_number(w, number != number ? 0x7ff8000000000000u : bits);
}

static void walk_string(walk *w, int idx)
{
    size_t size;
    const char *text = lua_tolstring(w->L, idx, &size);
    put_tag(w, TAG_STRING);
    put_text(w, text, size);
}

static void walk_value(walk *w, int idx)
{
    idx = lua_absindex(w->L, idx);
    if (++w->depth > WALK_DEPTH || !lua_checkstack(w->L, 16)) {
        cannot(w, "holds data nested deeper than %d levels", WALK_DEPTH);
        w->depth--;
        return;
    }
    switch (lua_type(w->L, idx)) {
    case LUA_TNIL: put_tag(w, TAG_NIL); break;
    case LUA_TBOOLEAN: put_tag(w, lua_toboolean(w->L, idx) ? TAG_TRUE : TAG_FALSE); break;
    case LUA_TNUMBER: walk_number(w, idx); break;
    case LUA_TSTRING: walk_string(w, idx); break;
    case LUA_TTABLE: walk_table(w, idx); break;
    case LUA_TFUNCTION: walk_function(w, idx); break;
    case LUA_TUSERDATA: walk_userdata(w, idx); break;
    case LUA_TLIGHTUSERDATA:
        put_tag(w, TAG_NULL);
        if (lua_touserdata(w->L, idx)) cannot(w, "reaches a light userdata");
        break;
    default: put_tag(w, TAG_OTHER); cannot(w, "reaches a coroutine");
    }
    w->depth--;
}

/* --- the two uses ----------------------------------------------------------------------------- */

static void begin(walk *w, lua_State *L, loader *ld, script_effect *effect, bool is_state)
{
    *w = (walk){.L = L, .ld = ld, .effect = effect, .is_state = is_state, .file = effect->file};
    hash_begin(&w->out);
    put_number(w, CODE_SCHEME);
    lua_newtable(L);
    w->seen = lua_gettop(L);
}

/* Values of all modules that came with the workflow, by name. */
static void walk_modules(walk *w)
{
    put_tag(w, TAG_MODULES);
    luarequire_modules(w->L);
    walk_entries(w, lua_gettop(w->L));
    lua_pop(w->L, 1);
}

void codehash_effect(lua_State *L, loader *ld, script_effect *effect)
{
    walk w;
    int top = lua_gettop(L);
    begin(&w, L, ld, effect, false);
    lua_rawgeti(L, LUA_REGISTRYINDEX, effect->run);
    walk_value(&w, lua_gettop(L));
    effect->uses_require = w.uses_require;
    if (w.uses_require) walk_modules(&w);
    effect->code = hash_end(&w.out);
    effect->is_opaque = w.always[0] != '\0';
    if (effect->is_opaque) { /* over "declared always": it says more */
        const char *kept = arena_strdup(&ld->kept, w.always);
        effect->always = kept ? kept : "cannot be hashed";
    }
    lua_settop(L, top);
}

/* Hash of everything reachable through upvalue `index` of run; index past the last: the modules. */
static hash128 state_part(walk *w, int run, int index, size_t count)
{
    hash_begin(&w->out);
    if ((size_t)index < count) {
        if (lua_getupvalue(w->L, run, index + 1)) {
            walk_value(w, lua_gettop(w->L));
            lua_pop(w->L, 1);
        }
    } else {
        walk_modules(w);
    }
    return hash_end(&w->out);
}

static size_t count_upvalues(lua_State *L, int run)
{
    size_t count = 0;
    while (lua_getupvalue(L, run, (int)count + 1)) {
        lua_pop(L, 1);
        count++;
    }
    return count;
}

const char *codehash_state(lua_State *L, loader *ld, script_effect *effect)
{
    walk w;
    const char *changed = NULL;
    if (effect->state && !effect->has_state) return NULL;
    begin(&w, L, ld, effect, true);
    lua_rawgeti(L, LUA_REGISTRYINDEX, effect->run);
    int run = lua_gettop(L);
    size_t count = count_upvalues(L, run), parts = count + (effect->uses_require ? 1 : 0);
    bool first = !effect->state;
    if (first) {
        effect->state = mem_zero(parts + 1, sizeof *effect->state);
        if (!effect->state) luaL_error(L, "out of memory");
        effect->state_count = parts;
    }
    for (size_t i = 0; i < parts && !changed; i++) {
        hash128 now = state_part(&w, run, (int)i, count);
        if (first) {
            effect->state[i] = now;
        } else if (!hash_equal(effect->state[i], now)) {
            const char *name = i < count ? lua_getupvalue(L, run, (int)i + 1) : "a required module";
            changed = lua_pushfstring(L, "a table that '%s' leads to", name);
        }
    }
    if (first) {
        effect->has_state = w.has_tables;
        lua_pushvalue(L, w.seen); /* held: no address is used twice */
        (void)luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return changed;
}
