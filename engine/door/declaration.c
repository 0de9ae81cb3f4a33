/*
 * declaration.c - declarations in words, and what differs between two of them.
 */
#include "engine/door/declaration.h"

#include "engine/store/jsonout.h"
#include "engine/store/value.h"

const char *const DECLARATION_NAMES[DECLARATION_PARTS] = {"effect", "version", "params", "inputs", "outputs", "command", "depfile", "env"};

static void put_inputs(query *q, const node_spec *spec, buf *to)
{
    for (size_t i = 0; i < spec->input_count; i++) {
        const spec_input *in = &spec->inputs[i];
        if (i) buf_text(to, "; ");
        buf_append(to, in->port.data, in->port.size);
        buf_text(to, " =");
        for (size_t k = 0; k < in->count; k++) {
            bytes name = query_member_name(q, &in->members[k]);
            buf_byte(to, ' ');
            buf_append(to, name.data, name.size);
        }
    }
}

static void put_outputs(query *q, const node_spec *spec, buf *to)
{
    for (size_t i = 0; i < spec->output_count; i++) {
        bytes path = query_name(q, spec->outputs[i].id, false);
        if (i) buf_text(to, "; ");
        buf_append(to, spec->outputs[i].port.data, spec->outputs[i].port.size);
        buf_text(to, " = ");
        buf_append(to, path.data, path.size);
    }
}

static void put_command(const node_spec *spec, buf *to)
{
    for (size_t i = 0; i < spec->command_count; i++) {
        if (i) buf_byte(to, ' ');
        buf_append(to, spec->command[i].data, spec->command[i].size);
    }
}

static void put_env(const node_spec *spec, buf *to)
{
    for (size_t i = 0; i < spec->env_count; i++) {
        if (i) buf_byte(to, ' ');
        buf_append(to, spec->env[i].name.data, spec->env[i].name.size);
        buf_byte(to, '=');
        buf_append(to, spec->env[i].value.data, spec->env[i].value.size);
    }
}

int declaration_part(query *q, const node_spec *spec, int part, buf *to)
{
    switch (part) {
    case 0: buf_append(to, spec->effect.data, spec->effect.size); return 0;
    case 1: buf_append(to, spec->version.data, spec->version.size); return 0;
    case 2: return spec->params.size ? value_to_json(spec->params, 0, to, &q->err) : 0;
    case 3: put_inputs(q, spec, to); return 0;
    case 4: put_outputs(q, spec, to); return 0;
    case 5: put_command(spec, to); return 0;
    case 6: buf_append(to, spec->depfile.data, spec->depfile.size); return 0;
    default: put_env(spec, to); return 0;
    }
}

/* --- differences --------------------------------------------------------------------------------------------------- */

typedef void (*put_difference)(buf *to, const char *name, bytes old, bytes new);

static void put_line(buf *to, const char *name, bytes old, bytes new)
{
    buf_printf(to, "    %s\n      - ", name);
    print_name(to, old);
    buf_text(to, "\n      + ");
    print_name(to, new);
    buf_byte(to, '\n');
}

static void put_object(buf *to, const char *name, bytes old, bytes new)
{
    jsonout_open(to, '{');
    jsonout_key(to, "part");
    jsonout_string(to, name);
    jsonout_member(to, "old", old);
    jsonout_member(to, "new", new);
    jsonout_close(to, '}');
}

static int differences(query *q, uint64_t old_seq, uint64_t new_seq, put_difference put, buf *to)
{
    node_spec old;
    node_spec new;
    buf before;
    buf after;
    buf_init(&before);
    buf_init(&after);
    int rc = query_spec(q, old_seq, &old);
    if (rc == 0) rc = query_spec(q, new_seq, &new);
    for (int part = 0; rc == 0 && part < DECLARATION_PARTS; part++) {
        buf_clear(&before);
        buf_clear(&after);
        rc = declaration_part(q, &old, part, &before);
        if (rc == 0) rc = declaration_part(q, &new, part, &after);
        if (rc == 0 && !bytes_equal(buf_bytes(&before), buf_bytes(&after)))
            put(to, DECLARATION_NAMES[part], buf_bytes(&before), buf_bytes(&after));
    }
    buf_deinit(&before);
    buf_deinit(&after);
    return rc;
}

int declaration_differences(query *q, uint64_t old_seq, uint64_t new_seq, buf *to)
{
    return differences(q, old_seq, new_seq, put_line, to);
}

int declaration_differences_json(query *q, uint64_t old_seq, uint64_t new_seq, buf *to)
{
    jsonout_open(to, '[');
    int rc = differences(q, old_seq, new_seq, put_object, to);
    jsonout_close(to, ']');
    return rc;
}
