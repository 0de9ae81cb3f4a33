/*
 * luadeclare.c - from a table in Lua to a checked node_spec.
 *
 *   page "post" { params = {...}, inputs = {...}, outputs = {...} }
 *
 * Every finding is reported and the rest of the table still looked at; a declaration with findings
 * gives a broken handle, which other
 * declarations accept in silence, so that one mistake is one message. Tables are read raw: no
 * metamethod runs, nothing raises but
 * memory. Scratch memory is the loader's.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/model/key.h"
#include "engine/script/declare.h"

static const char *const common_keys[] = {"params", "inputs",  "outputs", "version",
                                          "always", "timeout", "retries", "store",
                                          "pool",   "cpus",    "mem",     "transient",
                                          "inflight"};
static const char *const command_keys[] = {"cmd", "depfile", "env", "update", "job", "jobserver"};
enum {
    COMMON_KEYS = sizeof common_keys / sizeof *common_keys,
    COMMAND_KEYS = sizeof command_keys / sizeof *command_keys
};

void declare_complain(declaration *d, const char *key, const char *hint, const char *format, ...)
{
    char message[800];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    d->errors++;
    diagnose(d->ld, d->where, key, hint, "%s \"%.*s\": %s", d->effect->name, (int)d->spec.base.size,
             (const char *)d->spec.base.data, message);
}

const char *declare_suggest(loader *ld, const char *wrong, const char *const *names, size_t count)
{
    const char *near = near_name(wrong, names, count);
    return near ? arena_printf(&ld->scratch, "did you mean '%s'?", near) : NULL;
}

bytes declare_text(lua_State *L, int idx)
{
    bytes text;
    text.data = (const uint8_t *)lua_tolstring(L, idx, &text.size);
    return text;
}

int declare_field(declaration *d, const char *key)
{
    lua_pushstring(d->L, key);
    return lua_rawget(d->L, d->table);
}

void *declare_room(declaration *d, size_t count, size_t size)
{
    void *got = arena_zero(&d->ld->scratch, count + 1, size);
    if (!got) luaL_error(d->L, "out of memory");
    return got;
}

bool declare_is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0) return true;
    return false;
}

size_t declare_count(lua_State *L, int idx)
{
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        count++;
    }
    return count;
}

bool declare_group(declaration *d, const char *name)
{
    int type = declare_field(d, name);
    if (type == LUA_TTABLE) return true;
    if (type != LUA_TNIL) {
        const char *hint = arena_printf(&d->ld->scratch, "write %s = { name = ... }", name);
        declare_complain(d, name, hint, "%s is a table of names, not a %s", name,
                         luahandle_at(d->L, -1) ? "handle" : luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
    return false;
}

/* --- keys ------------------------------------------------------------------------------------- */

static void check_key(declaration *d, const char *key)
{
    const char *names[COMMON_KEYS + COMMAND_KEYS];
    bool is_command = d->effect->kind == EFFECT_COMMAND;
    size_t count = COMMON_KEYS;
    memcpy(names, common_keys, sizeof common_keys);
    if (is_command) {
        memcpy(names + count, command_keys, sizeof command_keys);
        count += COMMAND_KEYS;
    }
    if (declare_is_one_of(key, names, count) || declare_is_unnamed(d, bytes_str(key))) return;
    if (!is_command && declare_is_one_of(key, command_keys, COMMAND_KEYS))
        declare_complain(d, key, NULL, "'%s' is for commands (weir.sh) only", key);
    else
        declare_complain(d, key, declare_suggest(d->ld, key, names, count), "unknown key '%s'",
                         key);
}

static void check_keys(declaration *d)
{
    bool listed = false;
    lua_pushnil(d->L);
    while (lua_next(d->L, d->table)) {
        lua_pop(d->L, 1);
        if (lua_type(d->L, -1) == LUA_TSTRING) check_key(d, lua_tostring(d->L, -1));
        else if (!listed) {
            listed = true;
            declare_complain(d, NULL,
                             "everything in a declaration has a name: inputs = { text = ... }",
                             "an entry without a name");
        }
    }
}

/* --- the rest --------------------------------------------------------------------------------- */

static bool flag(declaration *d, const char *key, bool fallback)
{
    int type = declare_field(d, key);
    bool truth = type == LUA_TNIL ? fallback : lua_toboolean(d->L, -1);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        declare_complain(d, key, NULL, "%s is true or false, not a %s", key,
                         luaL_typename(d->L, -1));
    lua_pop(d->L, 1);
    return truth;
}

static double number(declaration *d, const char *key, bool integer, double most)
{
    int type = declare_field(d, key);
    double n = 0;
    if (type == LUA_TNUMBER) {
        n = lua_tonumber(d->L, -1);
        if (!(n >= 0 && n <= most) || (integer && n != (double)(int64_t)n)) {
            declare_complain(d, key, NULL, "%s must be %s between 0 and %.0f", key,
                             integer ? "a whole number" : "a number", most);
            n = 0;
        }
    } else if (type != LUA_TNIL) {
        declare_complain(d, key, NULL, "%s is a number, not a %s", key, luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
    return n;
}

/* A version: text or number; "" if none. Copied to the scratch arena. */
static bytes version_text(declaration *d)
{
    bytes version = bytes_of("", 0);
    int type = declare_field(d, "version");
    if (type == LUA_TSTRING || type == LUA_TNUMBER)
        version = arena_bytes(&d->ld->scratch, declare_text(d->L, -1));
    else if (type != LUA_TNIL)
        declare_complain(d, "version", NULL, "version is a string, not a %s",
                         luaL_typename(d->L, -1));
    lua_pop(d->L, 1);
    return version;
}

static void inflight_finding(void *ctx, const char *hint, const char *what)
{
    declare_complain(ctx, "inflight", hint, "%s", what);
}

static void read_inflight(declaration *d)
{
    uint32_t flags = d->effect->inflight;
    if (declare_inflight(d->L, d->ld, d->table, &flags, inflight_finding, d)) d->spec.flags |= flags;
}

static void read_rest(declaration *d)
{
    if (d->effect->is_expand) d->spec.flags |= SPEC_EXPAND;
    if (flag(d, "always", false)) d->spec.flags |= SPEC_ALWAYS;
    if (!flag(d, "store", true)) d->spec.flags |= SPEC_NO_STORE;
    if (flag(d, "transient", false)) d->spec.flags |= SPEC_TRANSIENT;
    d->spec.version = version_text(d);
    d->spec.retries = (uint32_t)number(d, "retries", true, 1000);
    d->spec.timeout_ms = (uint64_t)(number(d, "timeout", false, 1e9) * 1000.0);
    d->spec.cpus = (uint32_t)number(d, "cpus", true, 10000);
    if (d->spec.cpus == 1) d->spec.cpus = 0; /* what it is anyway */
    declare_limits(d);
    read_inflight(d);
    if (d->effect->kind != EFFECT_COMMAND) return;
    if (flag(d, "update", false)) d->spec.flags |= SPEC_UPDATE;
    if (flag(d, "jobserver", false)) d->spec.flags |= SPEC_JOBSERVER;
    declare_command(d);
}

static void registry_finding(void *ctx, const char *message, const char *hint)
{
    declare_complain(ctx, NULL, hint, "%s", message);
}

/* The full name; one that is there already is a finding. Names are known by 64 bits of their hash. */
static void name_node(declaration *d)
{
    weir_error err = {0};
    loader *ld = d->ld;
    bool added = false;
    buf_clear(&ld->text);
    if (spec_format_name(d->spec.base, declare_naming(d), &ld->text, &err) != 0) {
        declare_complain(d, NULL, NULL, "%s", err.message);
        return;
    }
    d->spec.name = arena_bytes(&ld->scratch, buf_bytes(&ld->text));
    uint64_t hash = hash_short(d->spec.name.data, d->spec.name.size);
    uint64_t *line = map_put(&ld->node_lines, map_key_u64(&hash), &added);
    if (!line) luaL_error(d->L, "out of memory");
    if (added) {
        *line = ld->list_entry ? ld->list_entry
                               : loader_file_number(ld, d->where.file) << 32 | (uint32_t)d->where.line;
        return;
    }
    static const char hint[] = "the params are part of the name: give nodes of one effect different params, or other names";
    uint64_t file = *line >> 32;
    if (ld->list_entry)
        declare_complain(d, NULL, hint, "a node %s was declared before, by entry %d", (const char *)d->spec.name.data, (int)*line);
    else
        declare_complain(d, NULL, hint, "a node %s was declared before, at %s:%d", (const char *)d->spec.name.data,
                         file ? ld->files[file - 1] : "?", (int)(uint32_t)*line);
}

static void push_node(declaration *d)
{
    buf *pack = &d->ld->pack;
    buf_clear(pack);
    buf_put_bytes(pack, d->spec.params);
    buf_put_u64(pack, d->spec.output_count);
    for (size_t i = 0; i < d->spec.output_count; i++) {
        buf_put_bytes(pack, d->spec.outputs[i].port);
        buf_put_bytes(pack, d->spec.outputs[i].path);
    }
    if (pack->failed) luaL_error(d->L, "out of memory");
    luahandle_push(d->L, HANDLE_NODE, d->spec.name, buf_bytes(pack), d->effect->is_expand);
}

static void check_name(declaration *d)
{
    bytes base = d->spec.base;
    if (base.size == 0 || memchr(base.data, '[', base.size) || memchr(base.data, '*', base.size) ||
        memchr(base.data, '\n', base.size) || memchr(base.data, 0, base.size))
        declare_complain(d, NULL, NULL,
                         "the name of a node must not be empty, and has no '[' or '*'");
}

int luadeclare(lua_State *L, loader *ld, uint32_t effect, bytes base, int idx)
{
    loader_need_loading(L, "declaring a node");
    loader_scratch(ld);
    luaL_checkstack(L, 16, NULL);
    declaration d = {.L = L,
                     .ld = ld,
                     .effect = &ld->effects[effect],
                     .table = lua_absindex(L, idx),
                     .where = diagnose_position(L)};
    d.spec.base = base;
    d.spec.effect = bytes_str(d.effect->name);
    d.spec.position = d.where;
    d.effect->is_used = true;
    check_name(&d);
    check_keys(&d);
    declare_params(&d);
    declare_inputs(&d);
    declare_outputs(&d);
    read_rest(&d);
    if (d.effect->is_expand && d.spec.output_count)
        declare_complain(&d, "outputs", "the nodes of its list make files", "an expand node has no outputs, its value is a list");
    if (d.effect->kind == EFFECT_C && !d.errors && !d.broken)
        (void)registry_check(d.effect->entry, &d.spec, registry_finding, &d);
    if (!d.errors) name_node(&d);
    if (ld->scratch.failed) return luaL_error(L, "out of memory");
    if (d.errors || d.broken) {
        luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
        return 1;
    }
    push_node(&d);
    ld->link->node(ld->link->ctx, &d.spec);
    return 1;
}
