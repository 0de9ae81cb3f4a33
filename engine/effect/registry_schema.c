/*
 * registry_schema.c - ports and params of C effects: is a schema sound, does a node fit, what are the defaults.
 *
 * Schemas are checked when an effect comes in, so that the rest can trust them; nodes while a workflow loads, each finding with a
 * hint. Lists of names are small: they are searched one by one. Any thread.
 */
#include "engine/effect/registry_schema.h"

#include <stdlib.h>

#include "engine/model/key.h"
#include "engine/store/value.h"

enum { NAMES_LIMIT = 128 }; /* ports or params of one effect */

static const char *const type_names[] = {"string", "integer", "number", "boolean", "any", NULL};

/* --- types ------------------------------------------------------------------------------------------------------ */

static bool type_fits(const char *type, value_type have)
{
    if (strcmp(type, "string") == 0) return have == VALUE_STRING || have == VALUE_BYTES;
    if (strcmp(type, "integer") == 0) return have == VALUE_INT;
    if (strcmp(type, "number") == 0) return have == VALUE_INT || have == VALUE_FLOAT;
    if (strcmp(type, "boolean") == 0) return have == VALUE_TRUE || have == VALUE_FALSE;
    return true;
}

static const char *type_of(value_type have)
{
    switch (have) {
    case VALUE_NULL: return "null";
    case VALUE_FALSE:
    case VALUE_TRUE: return "a boolean";
    case VALUE_INT: return "an integer";
    case VALUE_FLOAT: return "a number with a fraction";
    case VALUE_STRING:
    case VALUE_BYTES: return "a string";
    case VALUE_ARRAY: return "a list";
    case VALUE_OBJECT: return "a table";
    }
    return "something else";
}

static bool first_type(bytes encoded, value_type *type)
{
    value_reader reader = value_read(encoded);
    value_item item;
    if (!value_next(&reader, &item)) return false;
    *type = item.type;
    return true;
}

/* --- is a schema sound? ------------------------------------------------------------------------------------------ */

static bool is_known_type(const char *type)
{
    for (size_t i = 0; type && type_names[i]; i++)
        if (strcmp(type, type_names[i]) == 0) return true;
    return false;
}

static int check_fallback(const weir_effect *effect, const weir_param *param, const char *where, weir_error *err)
{
    value_type type = VALUE_NULL;
    buf encoded;
    if (!param->fallback) return 0;
    buf_init(&encoded);
    int rc = value_from_json(bytes_str(param->fallback), &encoded, err);
    if (rc != 0) {
        (void)error_context(err, rc, "effect \"%s\" of %s: default of param \"%s\"", effect->name, where, param->name);
        if (rc != WEIR_NOMEM) rc = WEIR_WORKFLOW;
        if (err) err->code = rc;
    } else if (!first_type(buf_bytes(&encoded), &type) || !type_fits(param->type, type)) {
        rc = error_set(err, WEIR_WORKFLOW, "effect \"%s\" of %s: the default of param \"%s\" is %s, not of type %s",
                       effect->name, where, param->name, type_of(type), param->type);
    }
    buf_deinit(&encoded);
    return rc;
}

static int check_params(const weir_effect *effect, const char *where, weir_error *err)
{
    int rc = 0;
    size_t count = 0;
    for (const weir_param *p = effect->params; rc == 0 && p && p->name; p++) {
        if (++count > NAMES_LIMIT)
            rc = error_set(err, WEIR_WORKFLOW, "effect \"%s\" of %s: more than %d params", effect->name, where, NAMES_LIMIT);
        else if (!is_known_type(p->type))
            rc = error_set(err, WEIR_WORKFLOW, "effect \"%s\" of %s: param \"%s\" has the unknown type \"%s\"", effect->name,
                           where, p->name, p->type ? p->type : "");
        else
            rc = check_fallback(effect, p, where, err);
    }
    return rc;
}

static int check_ports(const weir_effect *effect, const weir_port *ports, const char *where, weir_error *err)
{
    size_t count = 0;
    while (ports && ports[count].name) count++;
    if (count <= NAMES_LIMIT) return 0;
    return error_set(err, WEIR_WORKFLOW, "effect \"%s\" of %s: more than %d ports", effect->name, where, NAMES_LIMIT);
}

int registry_check_schema(const weir_effect *effect, const char *where, weir_error *err)
{
    if (effect->size < sizeof *effect)
        return error_set(err, WEIR_WORKFLOW, "an effect of %s has a struct of %zu bytes, at least %zu are needed", where,
                         effect->size, sizeof *effect);
    if (!effect->name || !*effect->name) return error_set(err, WEIR_WORKFLOW, "an effect of %s has no name", where);
    if (!effect->run) return error_set(err, WEIR_WORKFLOW, "effect \"%s\" of %s has no function run", effect->name, where);
    int rc = check_ports(effect, effect->inputs, where, err);
    if (rc == 0) rc = check_ports(effect, effect->outputs, where, err);
    if (rc == 0) rc = check_params(effect, where, err);
    return rc;
}

/* --- does a node fit? --------------------------------------------------------------------------------------------- */

typedef struct findings {
    const registry_entry *entry;
    void (*report)(void *ctx, const char *message, const char *hint);
    void *ctx;
    size_t count;
    buf message, hint;
} findings;

/* Hands out what was written into `message` and `hint`. */
static void finding(findings *f)
{
    const char *message = buf_cstr(&f->message);
    const char *hint = f->hint.size ? buf_cstr(&f->hint) : NULL;
    f->report(f->ctx, message ? message : "out of memory while checking a node", hint);
    f->count++;
    buf_clear(&f->message);
    buf_clear(&f->hint);
}

static void hint_names(findings *f, const char *wrong, const char *const *names, size_t count)
{
    const char *near = count ? near_name(wrong, names, count) : NULL;
    if (near) {
        buf_printf(&f->hint, "did you mean \"%s\"?", near);
        return;
    }
    buf_text(&f->hint, count ? "it has " : "it has none");
    for (size_t i = 0; i < count; i++) buf_printf(&f->hint, "%s%s", i ? ", " : "", names[i]);
}

static void unknown_name(findings *f, const char *what, bytes name, const char *const *names, size_t count)
{
    mem_arena scratch;
    arena_init(&scratch);
    const char *wrong = (const char *)arena_bytes(&scratch, name).data;
    buf_printf(&f->message, "effect \"%s\" has no %s \"%s\"", f->entry->effect->name, what, wrong ? wrong : "");
    if (wrong) hint_names(f, wrong, names, count);
    finding(f);
    arena_deinit(&scratch);
}

static size_t port_names(const weir_port *ports, const char *names[NAMES_LIMIT])
{
    size_t count = 0;
    for (; ports[count].name; count++) names[count] = ports[count].name;
    return count;
}

static const weir_port *find_port(const weir_port *ports, bytes name)
{
    for (; ports->name; ports++)
        if (bytes_equal(bytes_str(ports->name), name)) return ports;
    return NULL;
}

static void missing(findings *f, const char *what, const char *name, const char *help)
{
    buf_printf(&f->message, "effect \"%s\" needs the %s \"%s\"", f->entry->effect->name, what, name);
    if (help && *help) buf_printf(&f->hint, "%s: %s", name, help);
    finding(f);
}

static void check_input(findings *f, const weir_port *port, const spec_input *input)
{
    if ((port->flags & WEIR_LIST) || (input->count == 1 && !input->is_list)) return;
    if (input->count == 1) return; /* a list of one is one */
    buf_printf(&f->message, "effect \"%s\" takes one thing as input \"%s\", here is a list of %zu",
               f->entry->effect->name, port->name, input->count);
    finding(f);
}

static void check_inputs(findings *f, const node_spec *node)
{
    const char *names[NAMES_LIMIT];
    const weir_port *ports = f->entry->effect->inputs;
    if (!ports) return;
    size_t count = port_names(ports, names);
    for (size_t i = 0; i < node->input_count; i++) {
        const weir_port *port = find_port(ports, node->inputs[i].port);
        if (port) check_input(f, port, &node->inputs[i]);
        else unknown_name(f, "input", node->inputs[i].port, names, count);
    }
    for (; ports->name; ports++) {
        bool present = false;
        for (size_t i = 0; i < node->input_count; i++)
            present |= bytes_equal(bytes_str(ports->name), node->inputs[i].port);
        if (!present && (ports->flags & WEIR_REQUIRED)) missing(f, "input", ports->name, ports->help);
    }
}

static void check_output(findings *f, const weir_port *port, const spec_output *output)
{
    bytes path = output->path;
    if (path.size == 0 || path.data[path.size - 1] != '/' || (port->flags & WEIR_FOLDER)) return;
    buf_printf(&f->message, "effect \"%s\" writes a file as output \"%s\", here is the folder %.*s", f->entry->effect->name, port->name,
               (int)(path.size < 200 ? path.size : 200), (const char *)path.data);
    buf_text(&f->hint, "a path without the '/' at its end is a file");
    finding(f);
}

static void check_outputs(findings *f, const node_spec *node)
{
    const char *names[NAMES_LIMIT];
    const weir_port *ports = f->entry->effect->outputs;
    if (!ports) return;
    size_t count = port_names(ports, names);
    for (size_t i = 0; i < node->output_count; i++) {
        const weir_port *port = find_port(ports, node->outputs[i].port);
        if (port) check_output(f, port, &node->outputs[i]);
        else unknown_name(f, "output", node->outputs[i].port, names, count);
    }
    for (; ports->name; ports++) {
        bool present = false;
        for (size_t i = 0; i < node->output_count; i++)
            present |= bytes_equal(bytes_str(ports->name), node->outputs[i].port);
        if (!present && (ports->flags & WEIR_REQUIRED)) missing(f, "output", ports->name, ports->help);
    }
}

static const weir_param *find_param(const weir_param *params, bytes name)
{
    for (; params->name; params++)
        if (bytes_equal(bytes_str(params->name), name)) return params;
    return NULL;
}

static void check_type(findings *f, const weir_param *param, bytes encoded)
{
    value_type have = VALUE_NULL;
    if (!first_type(encoded, &have) || type_fits(param->type, have)) return;
    buf_printf(&f->message, "param \"%s\" of effect \"%s\" must be of type %s, here is %s", param->name,
               f->entry->effect->name, param->type, type_of(have));
    if (strcmp(param->type, "integer") == 0 && have == VALUE_FLOAT) buf_text(&f->hint, "write 3, not 3.0 or 7/2");
    else if (param->help && *param->help) buf_printf(&f->hint, "%s: %s", param->name, param->help);
    finding(f);
}

static void check_given_params(findings *f, bytes params)
{
    const char *names[NAMES_LIMIT];
    size_t count = 0;
    bool takes_others = false;
    for (const weir_param *p = f->entry->effect->params; p->name; p++) {
        if (strcmp(p->name, "*") == 0) takes_others = true;
        else names[count++] = p->name;
    }

    value_reader reader = value_read(params);
    value_item head;
    bytes key, encoded;
    if (params.size == 0 || !value_next(&reader, &head) || head.type != VALUE_OBJECT) return;
    for (size_t i = 0; i < head.count && value_key(&reader, &key) && value_skip(&reader, &encoded); i++) {
        const weir_param *param = find_param(f->entry->effect->params, key);
        if (param) check_type(f, param, encoded);
        else if (!takes_others) unknown_name(f, "param", key, names, count);
    }
}

static void check_node_params(findings *f, const node_spec *node)
{
    bytes encoded;
    if (!f->entry->effect->params) return;
    check_given_params(f, node->params);
    for (const weir_param *p = f->entry->effect->params; p->name; p++)
        if ((p->flags & WEIR_REQUIRED) && !p->fallback &&
            (node->params.size == 0 || !value_member(node->params, p->name, &encoded)))
            missing(f, "param", p->name, p->help);
}

size_t registry_check(const registry_entry *entry, const node_spec *node,
                      void (*report)(void *ctx, const char *message, const char *hint), void *ctx)
{
    findings f = {.entry = entry, .report = report, .ctx = ctx};
    buf_init(&f.message);
    buf_init(&f.hint);
    check_inputs(&f, node);
    check_outputs(&f, node);
    check_node_params(&f, node);
    buf_deinit(&f.message);
    buf_deinit(&f.hint);
    return f.count;
}

/* --- defaults ------------------------------------------------------------------------------------------------------ */

typedef struct member {
    bytes key, encoded;
} member;

static int by_key(const void *a, const void *b)
{
    return bytes_compare(((const member *)a)->key, ((const member *)b)->key);
}

static void put_members(buf *to, const member *members, size_t count)
{
    value_put_object(to, count);
    for (size_t i = 0; i < count; i++) {
        value_put_key(to, members[i].key);
        buf_append(to, members[i].encoded.data, members[i].encoded.size);
    }
}

static int fallback_member(const weir_param *param, mem_arena *arena, member *m, weir_error *err)
{
    buf encoded;
    buf_init(&encoded);
    int rc = value_from_json(bytes_str(param->fallback), &encoded, err);
    if (rc == 0) *m = (member){bytes_str(param->name), arena_bytes(arena, buf_bytes(&encoded))};
    buf_deinit(&encoded);
    return rc;
}

int registry_fill(const registry_entry *entry, bytes params, buf *to, weir_error *err)
{
    const weir_param *p = entry->effect->params;
    if (params.size == 0) params = VALUE_EMPTY_OBJECT;
    value_reader reader = value_read(params);
    value_item head;
    if (!value_next(&reader, &head) || head.type != VALUE_OBJECT)
        return error_set(err, WEIR_WORKFLOW, "the params of effect \"%s\" are no table", entry->effect->name);

    mem_arena arena;
    arena_init(&arena);
    member *members = arena_zero(&arena, head.count + NAMES_LIMIT, sizeof *members);
    size_t count = 0;
    int rc = members ? 0 : error_nomem(err, "filling in params");
    for (size_t i = 0; rc == 0 && i < head.count; i++) {
        if (!value_key(&reader, &members[count].key) || !value_skip(&reader, &members[count].encoded))
            rc = error_set(err, WEIR_CORRUPT, "the params of effect \"%s\" are damaged", entry->effect->name);
        count++;
    }
    bytes given;
    for (; rc == 0 && p && p->name; p++)
        if (p->fallback && !value_member(params, p->name, &given))
            rc = fallback_member(p, &arena, &members[count++], err);
    if (rc == 0) {
        qsort(members, count, sizeof *members, by_key);
        put_members(to, members, count);
        if (to->failed || arena.failed) rc = error_nomem(err, "filling in params");
    }
    arena_deinit(&arena);
    return rc;
}
