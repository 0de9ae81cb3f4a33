/*
 * declare_ports.c - inputs, outputs, and the {{placeholders}} in paths and commands.
 *
 * An output's path is expanded here, from params; a command stays as it is written (model/key.h
 * expands it for each run), only
 * its names are checked. `{{{{` stands for `{{`.
 */
#include <ctype.h>
#include <stdio.h>

#include "engine/script/declare.h"
#include "engine/world/scan.h"

/* --- inputs ----------------------------------------------------------------------------------- */

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
        declare_complain(d, group, "use letters, digits and _", "%s: '%s' is no name of a port",
                         group, text);
        return false;
    }
    if (declare_is_one_of(text, taken, 4)) {
        declare_complain(
            d, text, NULL,
            "%s: the name '%s' is taken (value, path, params and name mean something else)", group,
            text);
        return false;
    }
    if (value_member(d->given, text, &ignored)) {
        declare_complain(d, text, NULL, "'%s' is the name of a param and in %s", text, group);
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
        spec_member *larger = declare_room(d, capacity, sizeof *larger);
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
    static const item_kind items[] = {[HANDLE_FILE] = ITEM_FILE,
                                      [HANDLE_ENV] = ITEM_ENV,
                                      [HANDLE_VALUE] = ITEM_VALUE,
                                      [HANDLE_TOOL] = ITEM_TOOL,
                                      [HANDLE_KEY] = ITEM_FILE,
                                      [HANDLE_FOLDER] = ITEM_FOLDER,
                                      [HANDLE_TREE] = ITEM_TREE,
                                      [HANDLE_LINK] = ITEM_LINK};
    bytes path;
    if (h->kind == HANDLE_BROKEN) {
        d->broken = true;
        return;
    }
    if (h->kind == HANDLE_EFFECT) {
        declare_complain(d, port, "declare a node with it: EFFECT \"name\" {...}",
                         "inputs.%s: %s is an effect, not a node", port, h->text);
        return;
    }
    spec_member *m = add_member(d, list);
    m->name = handle_name(h);
    m->kind = h->kind == HANDLE_NODE     ? MEMBER_NODE
              : h->kind == HANDLE_OUTPUT ? MEMBER_OUTPUT
              : h->kind == HANDLE_CHILDREN ? MEMBER_EXPAND
                                         : MEMBER_ITEM;
    if (m->kind == MEMBER_ITEM) m->item = items[h->kind];
    if (m->kind == MEMBER_OUTPUT) handle_output(h, &m->port, &path);
    if (h->kind == HANDLE_KEY) m->port = handle_extra(h);
    if (h->kind == HANDLE_VALUE) /* its default is part of the declaration */
        m->port = bytes_of(handle_extra(h).data + h->number, handle_extra(h).size - h->number);
}

static void add_value(declaration *d, const char *port, int idx, member_list *list, int depth);

static void add_table(declaration *d, const char *port, int idx, member_list *list, int depth)
{
    lua_State *L = d->L;
    size_t length = lua_rawlen(L, idx), seen = 0;
    if (depth > 32 || !lua_checkstack(L, 8)) {
        declare_complain(d, port, NULL, "inputs.%s: lists nested too deep (a cycle?)", port);
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
        declare_complain(d, port, "a list of handles is written { a, b, c }",
                         "inputs.%s: the list has keys that are not 1..n", port);
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
        declare_complain(
            d, port,
            arena_printf(&d->ld->scratch,
                         "a file is weir.file \"%.200s\"; plain data belongs into params", text),
            "inputs.%s: a string is no handle", port);
    } else {
        declare_complain(
            d, port,
            "inputs are handles: weir.file, weir.glob, weir.env, nodes; plain data belongs into params",
            "inputs.%s: a %s is no handle", port, luaL_typename(d->L, idx));
    }
}

void declare_inputs(declaration *d)
{
    lua_State *L = d->L;
    if (!declare_group(d, "inputs")) return;
    int idx = lua_gettop(L);
    d->spec.inputs = declare_room(d, declare_count(L, idx), sizeof *d->spec.inputs);
    bool unnamed = false;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            if (!unnamed)
                declare_complain(d, "inputs", "write inputs = { text = ... }", "inputs have names");
            unnamed = true;
        } else if (check_port(d, "inputs", declare_text(L, -2))) {
            spec_input *in = &d->spec.inputs[d->spec.input_count++];
            member_list list = {NULL, 0, 0};
            in->port = declare_text(L, -2);
            const handle *given = luahandle_at(L, lua_gettop(L));
            in->is_list = lua_type(L, -1) == LUA_TTABLE || (given && given->kind == HANDLE_CHILDREN);
            add_value(d, (const char *)in->port.data, lua_gettop(L), &list, 0);
            in->members = list.members;
            in->count = list.count;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* --- outputs ---------------------------------------------------------------------------------- */

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
        for (size_t i = 0; i < head.count && count < most && value_key(&reader, &key) &&
                           value_skip(&reader, NULL);
             i++)
            names[count++] = (const char *)arena_bytes(&d->ld->scratch, key).data;
    for (size_t i = 0; ports && i < d->spec.input_count && count < most; i++)
        names[count++] = (const char *)d->spec.inputs[i].port.data;
    for (size_t i = 0; ports && i < d->spec.output_count && count < most; i++)
        names[count++] = (const char *)d->spec.outputs[i].port.data;
    return count;
}

static void unknown_placeholder(declaration *d, const char *where, bytes name, bool ports)
{
    const char *names[128];
    const char *text = (const char *)arena_bytes(&d->ld->scratch, name).data;
    if (!text || d->has_bad_params) return;
    size_t count = placeholder_names(d, ports, names, 128);
    declare_complain(d, text, declare_suggest(d->ld, text, names, count),
                     "%s: nothing is called {{%s}}", where, text);
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
            declare_complain(d, key, NULL, "%s: the param %s is not text or a number", where, key);
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
        declare_complain(d, key, NULL, "%s: %s", where, err.message);
        return false;
    }
    *path = arena_bytes(&d->ld->scratch, buf_bytes(&d->ld->text));
    if (path->size >= 5 && memcmp(path->data, ".weir", 5) == 0 &&
        (path->size == 5 || path->data[5] == '/')) {
        declare_complain(d, key, NULL, "%s: %s is in weir's state folder", where,
                         (const char *)path->data);
        return false;
    }
    return true;
}

bool declare_path(declaration *d, const char *where, const char *key, bytes text, bool ports,
                  bytes *path)
{
    return expand_path(d, where, text, ports) && normalise(d, where, key, path);
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
        declare_complain(d, name,
                         "an output is a path: outputs = { html = \"public/{{post}}.html\" }",
                         "%s is a path, not a %s", where, luaL_typename(d->L, -1));
        return;
    }
    if (spec_input_index(&d->spec, port) >= 0) {
        declare_complain(d, name, NULL, "'%s' is the name of an input and of an output", name);
        return;
    }
    bytes path;
    bytes text = declare_text(d->L, -1);
    bool is_folder = text.size > 0 && text.data[text.size - 1] == '/';
    if (!declare_path(d, where, name, text, false, &path)) return;
    const char *folder = is_folder ? arena_printf(&d->ld->scratch, "%s/", (const char *)path.data) : NULL;
    if (folder) path = bytes_str(folder);
    d->spec.outputs[d->spec.output_count++] = (spec_output){.port = port, .path = path};
}

void declare_outputs(declaration *d)
{
    lua_State *L = d->L;
    if (!declare_group(d, "outputs")) return;
    int idx = lua_gettop(L);
    d->spec.outputs = declare_room(d, declare_count(L, idx), sizeof *d->spec.outputs);
    bool unnamed = false;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            if (!unnamed)
                declare_complain(d, "outputs", "write outputs = { html = \"public/a.html\" }",
                                 "outputs have names");
            unnamed = true;
        } else if (check_port(d, "outputs", declare_text(L, -2))) {
            read_output(d, declare_text(L, -2));
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void declare_placeholders(declaration *d, bytes text)
{
    size_t at = 0;
    bytes name, ignored;
    while (next_placeholder(text, &at, &name, NULL)) {
        bytes port = name;
        if (port.size > 5 && memcmp(port.data + port.size - 5, ":file", 5) == 0) port.size -= 5;
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)port.size, (const char *)port.data);
        if (spec_input_index(&d->spec, port) >= 0) continue;
        if (port.size == name.size &&
            (spec_output_index(&d->spec, port) >= 0 || value_member(d->spec.params, key, &ignored)))
            continue;
        unknown_placeholder(d, "cmd", name, true);
    }
}
