/*
 * luadeclare.c - from a table in Lua to a checked node_spec.
 *
 *   page "post" { params = {...}, inputs = {...}, outputs = {...} }
 *
 * Every finding is reported and the rest of the table still looked at; a declaration with findings gives a broken handle, which other
 * declarations accept in silence, so that one mistake is one message. Tables are read raw: no metamethod runs, nothing raises but
 * memory. Scratch memory is the loader's.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/model/key.h"
#include "engine/script/luahandle.h"
#include "engine/script/luavalue.h"
#include "engine/world/scan.h"

typedef struct declaration {
    lua_State *L;
    loader *ld;
    script_effect *effect;
    int table; /* stack index */
    source_position where;
    node_spec spec;
    bytes given; /* params as written: for the name */
    size_t errors;
    bool broken; /* uses something broken: no node, no message */
    bool has_bad_params; /* then placeholders cannot be judged */
} declaration;

static const char *const common_keys[] = {"params", "inputs", "outputs", "version", "always", "timeout", "retries", "store"};
static const char *const command_keys[] = {"cmd", "depfile", "env", "update", "job"};
enum { COMMON_KEYS = sizeof common_keys / sizeof *common_keys, COMMAND_KEYS = sizeof command_keys / sizeof *command_keys };

static void complain(declaration *d, const char *key, const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void complain(declaration *d, const char *key, const char *hint, const char *format, ...)
{
    char message[800];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    d->errors++;
    diagnose(d->ld, d->where, key, hint, "%s \"%.*s\": %s", d->effect->name, (int)d->spec.base.size, (const char *)d->spec.base.data, message);
}

/* "did you mean 'x'?" in the scratch arena, or NULL. */
static const char *suggest(loader *ld, const char *wrong, const char *const *names, size_t count)
{
    const char *near = near_name(wrong, names, count);
    return near ? arena_printf(&ld->scratch, "did you mean '%s'?", near) : NULL;
}

static bytes text_at(lua_State *L, int idx)
{
    bytes text;
    text.data = (const uint8_t *)lua_tolstring(L, idx, &text.size);
    return text;
}

/* Pushes table[key]; its type. */
static int field(declaration *d, const char *key)
{
    lua_pushstring(d->L, key);
    return lua_rawget(d->L, d->table);
}

static void *room(declaration *d, size_t count, size_t size)
{
    void *got = arena_zero(&d->ld->scratch, count + 1, size);
    if (!got) luaL_error(d->L, "out of memory");
    return got;
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0) return true;
    return false;
}

/* --- keys ------------------------------------------------------------------------------------------------------------- */

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
    if (is_one_of(key, names, count)) return;
    if (!is_command && is_one_of(key, command_keys, COMMAND_KEYS))
        complain(d, key, NULL, "'%s' is for commands (weir.sh) only", key);
    else
        complain(d, key, suggest(d->ld, key, names, count), "unknown key '%s'", key);
}

static void check_keys(declaration *d)
{
    bool listed = false;
    lua_pushnil(d->L);
    while (lua_next(d->L, d->table)) {
        lua_pop(d->L, 1);
        if (lua_type(d->L, -1) == LUA_TSTRING)
            check_key(d, lua_tostring(d->L, -1));
        else if (!listed) {
            listed = true;
            complain(d, NULL, "everything in a declaration has a name: inputs = { text = ... }", "an entry without a name");
        }
    }
}

/* --- params ------------------------------------------------------------------------------------------------------------ */

static const char *params_hint(const char *message)
{
    if (strstr(message, "function")) return "params are data and decide when to run again; code belongs into weir.effect";
    if (strstr(message, "handle")) return "put handles into inputs";
    return NULL;
}

static void read_params(declaration *d)
{
    weir_error err = {0};
    loader *ld = d->ld;
    size_t before = d->errors;
    d->spec.params = d->given = VALUE_EMPTY_OBJECT;
    int type = field(d, "params");
    if (type == LUA_TTABLE) {
        buf_clear(&ld->encoded);
        if (luavalue_put(d->L, -1, &ld->scratch, &ld->encoded, &err) != 0)
            complain(d, "params", params_hint(err.message), "params%s", err.message);
        else if (ld->encoded.size == 0 || ld->encoded.data[0] != VALUE_EMPTY_OBJECT.data[0])
            complain(d, "params", "write params = { name = value }", "params have names, this is a list");
        else
            d->given = arena_bytes(&ld->scratch, buf_bytes(&ld->encoded));
    } else if (type != LUA_TNIL) {
        complain(d, "params", NULL, "params is a table, not a %s", luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
    d->spec.params = d->given;
    d->has_bad_params = d->errors > before;
    if (d->effect->kind != EFFECT_C || d->has_bad_params) return;
    buf_clear(&ld->encoded);
    if (registry_fill(d->effect->entry, d->given, &ld->encoded, &err) == 0)
        d->spec.params = arena_bytes(&ld->scratch, buf_bytes(&ld->encoded));
    /* else registry_check says what is wrong */
}

/* --- inputs -------------------------------------------------------------------------------------------------------------- */

static bool is_identifier(bytes name)
{
    if (name.size == 0 || (!isalpha(name.data[0]) && name.data[0] != '_')) return false;
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum(name.data[i]) && name.data[i] != '_') return false;
    return true;
}

static bool check_port(declaration *d, const char *group, bytes port)
{
    static const char *const taken[] = {"value", "path", "params", "name"};
    bytes ignored;
    const char *text = (const char *)port.data;
    if (!is_identifier(port)) {
        complain(d, group, "use letters, digits and _", "%s: '%s' is no name of a port", group, text);
        return false;
    }
    if (is_one_of(text, taken, 4)) {
        complain(d, text, NULL, "%s: the name '%s' is taken (value, path, params and name mean something else)", group, text);
        return false;
    }
    if (value_member(d->given, text, &ignored)) {
        complain(d, text, NULL, "'%s' is the name of a param and in %s", text, group);
        return false;
    }
    return true;
}

typedef struct member_list {
    spec_member *members;
    size_t count, capacity;
} member_list;

static spec_member *add_member(declaration *d, member_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        spec_member *larger = room(d, capacity, sizeof *larger);
        if (list->count) memcpy(larger, list->members, list->count * sizeof *larger);
        list->members = larger;
        list->capacity = capacity;
    }
    spec_member *m = &list->members[list->count++];
    *m = (spec_member){.id = 0};
    return m;
}

static void add_handle(declaration *d, const char *port, const handle *h, member_list *list)
{
    static const item_kind items[] = {[HANDLE_FILE] = ITEM_FILE, [HANDLE_ENV] = ITEM_ENV, [HANDLE_VALUE] = ITEM_VALUE, [HANDLE_TOOL] = ITEM_TOOL};
    bytes path;
    if (h->kind == HANDLE_BROKEN) {
        d->broken = true;
        return;
    }
    if (h->kind == HANDLE_EFFECT) {
        complain(d, port, "declare a node with it: EFFECT \"name\" {...}", "inputs.%s: %s is an effect, not a node", port, h->text);
        return;
    }
    spec_member *m = add_member(d, list);
    m->name = handle_name(h);
    m->kind = h->kind == HANDLE_NODE ? MEMBER_NODE : h->kind == HANDLE_OUTPUT ? MEMBER_OUTPUT : MEMBER_ITEM;
    if (m->kind == MEMBER_ITEM) m->item = items[h->kind];
    if (m->kind == MEMBER_OUTPUT) handle_output(h, &m->port, &path);
}

static void add_value(declaration *d, const char *port, int idx, member_list *list, int depth);

static void add_table(declaration *d, const char *port, int idx, member_list *list, int depth)
{
    lua_State *L = d->L;
    size_t length = lua_rawlen(L, idx), seen = 0;
    if (depth > 32 || !lua_checkstack(L, 8)) {
        complain(d, port, NULL, "inputs.%s: lists nested too deep (a cycle?)", port);
        return;
    }
    for (size_t i = 1; i <= length; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i);
        add_value(d, port, lua_gettop(L), list, depth + 1);
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        seen++;
    }
    if (seen != length)
        complain(d, port, "a list of handles is written { a, b, c }", "inputs.%s: the list has keys that are not 1..n", port);
}

static void add_value(declaration *d, const char *port, int idx, member_list *list, int depth)
{
    const handle *h = luahandle_at(d->L, idx);
    if (h) {
        add_handle(d, port, h, list);
    } else if (lua_type(d->L, idx) == LUA_TTABLE) {
        add_table(d, port, idx, list, depth);
    } else if (lua_type(d->L, idx) == LUA_TSTRING) {
        const char *text = lua_tostring(d->L, idx);
        complain(d, port, arena_printf(&d->ld->scratch, "a file is weir.file \"%.200s\"; plain data belongs into params", text),
                 "inputs.%s: a string is no handle", port);
    } else {
        complain(d, port, "inputs are handles: weir.file, weir.glob, weir.env, nodes; plain data belongs into params",
                 "inputs.%s: a %s is no handle", port, luaL_typename(d->L, idx));
    }
}

static size_t count_entries(lua_State *L, int idx)
{
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        count++;
    }
    return count;
}

/* Pushes the table of a group if it is one; false: there is none. */
static bool group(declaration *d, const char *name)
{
    int type = field(d, name);
    if (type == LUA_TTABLE) return true;
    if (type != LUA_TNIL) {
        const char *hint = arena_printf(&d->ld->scratch, "write %s = { name = ... }", name);
        complain(d, name, hint, "%s is a table of names, not a %s", name, luahandle_at(d->L, -1) ? "handle" : luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
    return false;
}

static void read_inputs(declaration *d)
{
    lua_State *L = d->L;
    if (!group(d, "inputs")) return;
    int idx = lua_gettop(L);
    d->spec.inputs = room(d, count_entries(L, idx), sizeof *d->spec.inputs);
    bool unnamed = false;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            if (!unnamed) complain(d, "inputs", "write inputs = { text = ... }", "inputs have names");
            unnamed = true;
        } else if (check_port(d, "inputs", text_at(L, -2))) {
            spec_input *in = &d->spec.inputs[d->spec.input_count++];
            member_list list = {NULL, 0, 0};
            in->port = text_at(L, -2);
            in->is_list = lua_type(L, -1) == LUA_TTABLE;
            add_value(d, (const char *)in->port.data, lua_gettop(L), &list, 0);
            in->members = list.members;
            in->count = list.count;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* --- outputs ------------------------------------------------------------------------------------------------------------- */

/* The text of a scalar param; false: it is a table. */
static bool param_text(bytes encoded, buf *to)
{
    value_reader reader = value_read(encoded);
    value_item item;
    char number[32];
    if (!value_next(&reader, &item)) return false;
    switch (item.type) {
    case VALUE_STRING:
    case VALUE_BYTES: buf_append(to, item.text.data, item.text.size); return true;
    case VALUE_INT: buf_printf(to, "%lld", (long long)item.integer); return true;
    case VALUE_FLOAT:
        value_format_float(item.number, number);
        buf_text(to, number);
        return true;
    case VALUE_TRUE: buf_text(to, "true"); return true;
    case VALUE_FALSE: buf_text(to, "false"); return true;
    default: return false;
    }
}

/* Names that {{...}} can mean: params, and, where `ports`, inputs and outputs. */
static size_t placeholder_names(declaration *d, bool ports, const char **names, size_t most)
{
    size_t count = 0;
    value_reader reader = value_read(d->spec.params);
    value_item head;
    bytes key;
    if (value_next(&reader, &head) && head.type == VALUE_OBJECT)
        for (size_t i = 0; i < head.count && count < most && value_key(&reader, &key) && value_skip(&reader, NULL); i++)
            names[count++] = (const char *)arena_bytes(&d->ld->scratch, key).data;
    for (size_t i = 0; ports && i < d->spec.input_count && count < most; i++) names[count++] = (const char *)d->spec.inputs[i].port.data;
    for (size_t i = 0; ports && i < d->spec.output_count && count < most; i++) names[count++] = (const char *)d->spec.outputs[i].port.data;
    return count;
}

static void unknown_placeholder(declaration *d, const char *where, bytes name, bool ports)
{
    const char *names[128];
    const char *text = (const char *)arena_bytes(&d->ld->scratch, name).data;
    if (!text || d->has_bad_params) return;
    size_t count = placeholder_names(d, ports, names, 128);
    complain(d, text, suggest(d->ld, text, names, count), "%s: nothing is called {{%s}}", where, text);
}

/* The next {{name}} from *at; false: none. {{{{ stands for {{. Text before it is appended to `to` (may be NULL). */
static bool next_placeholder(bytes text, size_t *at, bytes *name, buf *to)
{
    while (*at < text.size) {
        const uint8_t *here = text.data + *at;
        size_t left = text.size - *at;
        if (left >= 4 && memcmp(here, "{{{{", 4) == 0) {
            if (to) buf_text(to, "{{");
            *at += 4;
            continue;
        }
        if (left >= 2 && memcmp(here, "{{", 2) == 0) {
            const uint8_t *end = memmem(here + 2, left - 2, "}}", 2);
            if (end) {
                *name = bytes_of(here + 2, (size_t)(end - here) - 2);
                *at = (size_t)(end - text.data) + 2;
                return true;
            }
        }
        if (to) buf_byte(to, *here);
        (*at)++;
    }
    return false;
}

/* Output paths of earlier ports may be named too where `ports` (depfile). Result in ld->text. */
static bool expand_path(declaration *d, const char *where, bytes text, bool ports)
{
    buf *to = &d->ld->text;
    size_t at = 0;
    bytes name, encoded;
    bool ok = true;
    buf_clear(to);
    while (next_placeholder(text, &at, &name, to)) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)name.size, (const char *)name.data);
        int output = ports ? spec_output_index(&d->spec, name) : -1;
        if (output >= 0) {
            buf_append(to, d->spec.outputs[output].path.data, d->spec.outputs[output].path.size);
        } else if (!value_member(d->spec.params, key, &encoded)) {
            unknown_placeholder(d, where, name, ports);
            ok = false;
        } else if (!param_text(encoded, to)) {
            complain(d, key, NULL, "%s: the param %s is not text or a number", where, key);
            ok = false;
        }
    }
    return ok;
}

static bool normalise(declaration *d, const char *where, const char *key, bytes *path)
{
    weir_error err = {0};
    bytes raw = arena_bytes(&d->ld->scratch, buf_bytes(&d->ld->text));
    buf_clear(&d->ld->text);
    if (scan_normalise(raw, &d->ld->text, &err) != 0) {
        complain(d, key, NULL, "%s: %s", where, err.message);
        return false;
    }
    *path = arena_bytes(&d->ld->scratch, buf_bytes(&d->ld->text));
    if (path->size >= 5 && memcmp(path->data, ".weir", 5) == 0 && (path->size == 5 || path->data[5] == '/')) {
        complain(d, key, NULL, "%s: %s is in weir's state folder", where, (const char *)path->data);
        return false;
    }
    return true;
}

static void read_output(declaration *d, bytes port)
{
    const char *name = (const char *)port.data;
    const char *where = arena_printf(&d->ld->scratch, "outputs.%s", name);
    if (luahandle_at(d->L, -1) && luahandle_at(d->L, -1)->kind == HANDLE_BROKEN) {
        d->broken = true;
        return;
    }
    if (lua_type(d->L, -1) != LUA_TSTRING) {
        complain(d, name, "an output is a path: outputs = { html = \"public/{{post}}.html\" }", "%s is a path, not a %s", where, luaL_typename(d->L, -1));
        return;
    }
    if (spec_input_index(&d->spec, port) >= 0) {
        complain(d, name, NULL, "'%s' is the name of an input and of an output", name);
        return;
    }
    bytes path;
    if (!expand_path(d, where, text_at(d->L, -1), false) || !normalise(d, where, name, &path)) return;
    d->spec.outputs[d->spec.output_count++] = (spec_output){.port = port, .path = path};
}

static void read_outputs(declaration *d)
{
    lua_State *L = d->L;
    if (!group(d, "outputs")) return;
    int idx = lua_gettop(L);
    d->spec.outputs = room(d, count_entries(L, idx), sizeof *d->spec.outputs);
    bool unnamed = false;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            if (!unnamed) complain(d, "outputs", "write outputs = { html = \"public/a.html\" }", "outputs have names");
            unnamed = true;
        } else if (check_port(d, "outputs", text_at(L, -2))) {
            read_output(d, text_at(L, -2));
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* --- commands ------------------------------------------------------------------------------------------------------------- */

static void check_placeholders(declaration *d, bytes text)
{
    size_t at = 0;
    bytes name, ignored;
    while (next_placeholder(text, &at, &name, NULL)) {
        bytes port = name;
        if (port.size > 5 && memcmp(port.data + port.size - 5, ":file", 5) == 0) port.size -= 5;
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)port.size, (const char *)port.data);
        if (spec_input_index(&d->spec, port) >= 0) continue;
        if (port.size == name.size && (spec_output_index(&d->spec, port) >= 0 || value_member(d->spec.params, key, &ignored))) continue;
        unknown_placeholder(d, "cmd", name, true);
    }
}

static void read_words(declaration *d, int idx)
{
    lua_State *L = d->L;
    size_t count = lua_rawlen(L, idx);
    d->spec.command = room(d, count, sizeof(bytes));
    for (size_t i = 1; i <= count; i++) {
        int type = lua_rawgeti(L, idx, (lua_Integer)i);
        if (type == LUA_TSTRING || type == LUA_TNUMBER) {
            bytes word = arena_bytes(&d->ld->scratch, text_at(L, -1)); /* a copy: lua_tolstring changes numbers on the stack only */
            d->spec.command[d->spec.command_count++] = word;
            check_placeholders(d, word);
        } else {
            bool is_handle = luahandle_at(L, -1) != NULL;
            complain(d, "cmd", is_handle ? "put it into inputs and write {{port}}" : NULL, "cmd: word %zu is a %s, not a string", i,
                     is_handle ? "handle" : luaL_typename(L, -1));
        }
        lua_pop(L, 1);
    }
    if (count == 0) complain(d, "cmd", NULL, "cmd is empty");
}

static void read_command(declaration *d)
{
    int type = field(d, "cmd");
    if (type == LUA_TTABLE) {
        read_words(d, lua_gettop(d->L));
    } else if (type == LUA_TSTRING) {
        d->spec.command = room(d, 1, sizeof(bytes));
        d->spec.command[0] = text_at(d->L, -1); /* the declaration's table holds it */
        d->spec.command_count = 1;
        d->spec.flags |= SPEC_SHELL;
        check_placeholders(d, d->spec.command[0]);
    } else if (type == LUA_TNIL) {
        complain(d, NULL, "cmd = { \"cc\", \"-c\", \"{{src}}\" } or a text for the shell", "a command needs cmd");
    } else {
        complain(d, "cmd", NULL, "cmd is a list of words or a text, not a %s", luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

/* The text behind one entry of env: a string, a number, or a variable or value read now. Leaves a string on the stack, or nil. */
static void env_text(declaration *d)
{
    const handle *h = luahandle_at(d->L, -1);
    if (h && (h->kind == HANDLE_ENV || h->kind == HANDLE_VALUE)) {
        lua_getfield(d->L, -1, "value");
        lua_replace(d->L, -2);
    }
    if (lua_type(d->L, -1) == LUA_TNUMBER || lua_type(d->L, -1) == LUA_TSTRING) lua_tostring(d->L, -1);
}

static void read_env(declaration *d)
{
    lua_State *L = d->L;
    if (!group(d, "env")) return;
    int idx = lua_gettop(L);
    d->spec.env = room(d, count_entries(L, idx), sizeof *d->spec.env);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        bytes name = lua_type(L, -2) == LUA_TSTRING ? text_at(L, -2) : (bytes){NULL, 0};
        env_text(d);
        if (!name.data || name.size == 0 || memchr(name.data, '=', name.size) || memchr(name.data, 0, name.size))
            complain(d, "env", "write env = { NAME = \"value\" }", "env: a variable needs a name");
        else if (lua_type(L, -1) == LUA_TSTRING)
            d->spec.env[d->spec.env_count++] = (spec_env){name, arena_bytes(&d->ld->scratch, text_at(L, -1))};
        else if (!lua_isnil(L, -1)) /* an unset variable stays unset */
            complain(d, (const char *)name.data, NULL, "env.%s is a string, not a %s", (const char *)name.data, luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_depfile(declaration *d)
{
    int type = field(d, "depfile");
    if (type == LUA_TSTRING) {
        if (expand_path(d, "depfile", text_at(d->L, -1), true)) (void)normalise(d, "depfile", "depfile", &d->spec.depfile);
    } else if (type != LUA_TNIL) {
        complain(d, "depfile", NULL, "depfile is a path, not a %s", luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

static void read_job_type(declaration *d)
{
    static const char *const types[] = {"pure", "batch", "ops", "daemon", "service"};
    int type = field(d, "job");
    if (type == LUA_TSTRING) {
        const char *text = lua_tostring(d->L, -1);
        size_t i = 0;
        while (i < 5 && strcmp(text, types[i]) != 0) i++;
        if (i == 5)
            complain(d, "job", suggest(d->ld, text, types, 5), "unknown job type '%s' (pure, batch, ops, daemon, service)", text);
        else
            d->spec.job = (job_type)i;
    } else if (type != LUA_TNIL) {
        complain(d, "job", NULL, "job is a string, not a %s", luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

/* --- the rest ---------------------------------------------------------------------------------------------------------------- */

static bool flag(declaration *d, const char *key, bool fallback)
{
    int type = field(d, key);
    bool truth = type == LUA_TNIL ? fallback : lua_toboolean(d->L, -1);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN) complain(d, key, NULL, "%s is true or false, not a %s", key, luaL_typename(d->L, -1));
    lua_pop(d->L, 1);
    return truth;
}

static double number(declaration *d, const char *key, bool integer, double most)
{
    int type = field(d, key);
    double n = 0;
    if (type == LUA_TNUMBER) {
        n = lua_tonumber(d->L, -1);
        if (!(n >= 0 && n <= most) || (integer && n != (double)(int64_t)n)) {
            complain(d, key, NULL, "%s must be %s between 0 and %.0f", key, integer ? "a whole number" : "a number", most);
            n = 0;
        }
    } else if (type != LUA_TNIL) {
        complain(d, key, NULL, "%s is a number, not a %s", key, luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
    return n;
}

/* A version: text or number; "" if none. Copied to the scratch arena. */
static bytes version_text(declaration *d)
{
    bytes version = bytes_of("", 0);
    int type = field(d, "version");
    if (type == LUA_TSTRING || type == LUA_TNUMBER)
        version = arena_bytes(&d->ld->scratch, text_at(d->L, -1));
    else if (type != LUA_TNIL)
        complain(d, "version", NULL, "version is a string, not a %s", luaL_typename(d->L, -1));
    lua_pop(d->L, 1);
    return version;
}

static void read_rest(declaration *d)
{
    if (flag(d, "always", false)) d->spec.flags |= SPEC_ALWAYS;
    if (!flag(d, "store", true)) d->spec.flags |= SPEC_NO_STORE;
    d->spec.version = version_text(d);
    d->spec.retries = (uint32_t)number(d, "retries", true, 1000);
    d->spec.timeout_ms = (uint64_t)(number(d, "timeout", false, 1e9) * 1000.0);
    if (d->effect->kind != EFFECT_COMMAND) return;
    if (flag(d, "update", false)) d->spec.flags |= SPEC_UPDATE;
    read_command(d);
    read_env(d);
    read_depfile(d);
    read_job_type(d);
}

static void registry_finding(void *ctx, const char *message, const char *hint)
{
    complain(ctx, NULL, hint, "%s", message);
}

static uint64_t file_number(loader *ld, const char *file)
{
    if (!file) return 0;
    for (size_t i = ld->file_count; i > 0; i--)
        if (strcmp(ld->files[i - 1], file) == 0) return i;
    const char *kept = arena_strdup(&ld->kept, file);
    if (!kept || !MEM_GROW(ld->files, ld->file_capacity, ld->file_count + 1)) return 0;
    ld->files[ld->file_count++] = kept;
    return ld->file_count;
}

/* The full name; one that is there already is a finding. Names are known by 64 bits of their hash. */
static void name_node(declaration *d)
{
    weir_error err = {0};
    loader *ld = d->ld;
    bool added = false;
    buf_clear(&ld->text);
    if (spec_format_name(d->spec.base, d->given, &ld->text, &err) != 0) {
        complain(d, NULL, NULL, "%s", err.message);
        return;
    }
    d->spec.name = arena_bytes(&ld->scratch, buf_bytes(&ld->text));
    uint64_t hash = hash_short(d->spec.name.data, d->spec.name.size);
    uint64_t *line = map_put(&ld->node_lines, map_key_u64(&hash), &added);
    if (!line) luaL_error(d->L, "out of memory");
    if (added) {
        *line = file_number(ld, d->where.file) << 32 | (uint32_t)d->where.line;
        return;
    }
    uint64_t file = *line >> 32;
    complain(d, NULL, "the params are part of the name: give nodes of one effect different params, or other names",
             "a node %s was declared before, at %s:%d", (const char *)d->spec.name.data, file ? ld->files[file - 1] : "?", (int)(uint32_t)*line);
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
    luahandle_push(d->L, HANDLE_NODE, d->spec.name, buf_bytes(pack), 0);
}

static void check_name(declaration *d)
{
    bytes base = d->spec.base;
    if (base.size == 0 || memchr(base.data, '[', base.size) || memchr(base.data, '*', base.size) || memchr(base.data, '\n', base.size) ||
        memchr(base.data, 0, base.size))
        complain(d, NULL, NULL, "the name of a node must not be empty, and has no '[' or '*'");
}

int luadeclare(lua_State *L, loader *ld, uint32_t effect, bytes base, int idx)
{
    loader_need_loading(L, "declaring a node");
    loader_scratch(ld);
    luaL_checkstack(L, 16, NULL);
    declaration d = {.L = L, .ld = ld, .effect = &ld->effects[effect], .table = lua_absindex(L, idx), .where = diagnose_position(L)};
    d.spec.base = base;
    d.spec.effect = bytes_str(d.effect->name);
    d.spec.position = d.where;
    d.effect->is_used = true;
    check_name(&d);
    check_keys(&d);
    read_params(&d);
    read_inputs(&d);
    read_outputs(&d);
    read_rest(&d);
    if (d.effect->kind == EFFECT_C && !d.errors && !d.broken) (void)registry_check(d.effect->entry, &d.spec, registry_finding, &d);
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

/* --- effects ----------------------------------------------------------------------------------------------------------------- */

static void effect_finding(loader *ld, source_position where, bytes name, const char *key, const char *hint, const char *what)
{
    diagnose(ld, where, key, hint, "effect \"%.*s\": %s", (int)name.size, (const char *)name.data, what);
}

static void check_effect_keys(lua_State *L, loader *ld, source_position where, bytes name, int idx)
{
    static const char *const keys[] = {"run", "version", "always", "doc"};
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (key && is_one_of(key, keys, 4)) continue;
        const char *what = key ? arena_printf(&ld->scratch, "unknown key '%s'", key) : "an entry without a name";
        const char *hint = key ? suggest(ld, key, keys, 4) : "write run = function(i, o) ... end";
        if (key && (strcmp(key, "inputs") == 0 || strcmp(key, "outputs") == 0 || strcmp(key, "params") == 0))
            hint = "inputs, outputs and params belong to the node: EFFECT \"name\" { inputs = ... }";
        effect_finding(ld, where, name, key, hint, what ? what : "unknown key");
    }
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
            what = arena_printf(&ld->scratch, "was registered before, at %s:%d", ld->effects[known].file, ld->effects[known].line);
        effect_finding(ld, where, name, NULL, "effects have different names", what ? what : "was registered before");
    }
    if (name.size == 0) effect_finding(ld, where, name, NULL, NULL, "a name must not be empty");
    check_effect_keys(L, ld, where, name, idx);
    lua_pushliteral(L, "run");
    if (lua_rawget(L, idx) != LUA_TFUNCTION || lua_iscfunction(L, -1))
        effect_finding(ld, where, name, "run", "write run = function(i, o) ... end", lua_isnil(L, -1) ? "needs a function run" : "run is not a Lua function");
    lua_pushliteral(L, "version");
    int version = lua_rawget(L, idx);
    if (version != LUA_TNIL && version != LUA_TSTRING && version != LUA_TNUMBER) effect_finding(ld, where, name, "version", NULL, "version is a string");
    lua_pushliteral(L, "always");
    int always = lua_rawget(L, idx);
    if (always != LUA_TNIL && always != LUA_TBOOLEAN) effect_finding(ld, where, name, "always", NULL, "always is true or false");
    int index = ld->errors == before ? loader_add_effect(ld, name, EFFECT_LUA) : 0;
    if (ld->errors != before) {
        luahandle_push(L, HANDLE_BROKEN, bytes_of("", 0), bytes_of("", 0), 0);
        return 1;
    }
    if (index < 0) return luaL_error(L, "out of memory");
    script_effect *e = &ld->effects[index];
    if (version != LUA_TNIL) e->version = (const char *)arena_bytes(&ld->kept, text_at(L, -2)).data;
    if (lua_toboolean(L, -1)) e->always = "declared always";
    e->file = arena_strdup(&ld->kept, where.file ? where.file : "?");
    e->line = where.line;
    if (!e->version || !e->file) return luaL_error(L, "out of memory");
    lua_pop(L, 2);
    e->run = luaL_ref(L, LUA_REGISTRYINDEX);
    luahandle_push(L, HANDLE_EFFECT, name, bytes_of("", 0), (uint32_t)index);
    return 1;
}
