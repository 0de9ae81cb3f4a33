/*
 * spec.c - declarations as bytes: the wire form of the script host, and the stored form of the log.
 *
 *   node    1, form, which parts follow (varint), [position], name, base, effect, [effect id], the parts in the order of
 *           enum part
 *   effect  1, form, kind, which parts follow, name, the parts, [position]
 *
 * What is empty or zero is not written. A base that begins the name is written as its length. The members of a port mostly
 * have one shape (kind and item kind): it is then written once; ids are written as differences, so that a list of
 * thousands of files costs a byte or two for each.
 *
 * Reading trusts nothing: counts are bounded by the bytes left, numbers by their enums, ports must be in order, params a
 * checked object. Any thread.
 */
#include "engine/store/spec.h"

#include <limits.h>
#include <stdlib.h>

#include "engine/store/value.h"

enum { SPEC_VERSION = 1 };

/* The second byte of a record: what it is. */
enum form { FORM_EFFECT = 1, FORM_NAMES = 2, FORM_POSITION = 4 };

/* Which parts of a node follow. Bits never change; the frequent ones first, so that one byte is mostly enough. */
enum part {
    PART_PARAMS = 1, PART_INPUTS = 2, PART_OUTPUTS = 4, PART_COMMAND = 8, PART_FLAGS = 16, PART_ENV = 32,
    PART_VERSION = 64, PART_DEPFILE = 128, PART_JOB = 256, PART_RETRIES = 512, PART_TIMEOUT = 1024,
    PART_LIMITS = 2048, PART_PARENT = 4096,
    PARTS_ALL = 8191
};

enum effect_part { EFFECT_PART_VERSION = 1, EFFECT_PART_CODE = 2, EFFECT_PART_ALWAYS = 4, EFFECT_PART_LIBRARY = 8,
                   EFFECT_PART_POLICY = 16, EFFECT_PARTS_ALL = 31 };

/* Above kind and item kind in the shape of a member: an item with a default (a named value) has it in `port`. */
enum { SHAPE_DEFAULT = 0x40 }; /* below 0x80: read as a varint of one byte */

enum port_flag { PORT_LIST = 1, PORT_UNIFORM = 2, PORT_FLAGS_ALL = 3 };

/* --- order ----------------------------------------------------------------------------------------------------- */

static int compare_inputs(const void *a, const void *b)
{
    return bytes_compare(((const spec_input *)a)->port, ((const spec_input *)b)->port);
}

static int compare_outputs(const void *a, const void *b)
{
    return bytes_compare(((const spec_output *)a)->port, ((const spec_output *)b)->port);
}

static int compare_env(const void *a, const void *b)
{
    return bytes_compare(((const spec_env *)a)->name, ((const spec_env *)b)->name);
}

static void sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 1) qsort(items, count, size, compare);
}

static bool is_sorted(const void *items, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    const char *at = items;
    for (size_t i = 1; i < count; i++, at += size)
        if (compare(at, at + size) > 0) return false;
    return true;
}

int spec_input_index(const node_spec *spec, bytes port)
{
    for (size_t i = 0; i < spec->input_count; i++)
        if (bytes_equal(spec->inputs[i].port, port)) return (int)i;
    return -1;
}

int spec_output_index(const node_spec *spec, bytes port)
{
    for (size_t i = 0; i < spec->output_count; i++)
        if (bytes_equal(spec->outputs[i].port, port)) return (int)i;
    return -1;
}

int spec_member_output(const node_spec *spec, bytes port, bytes *below)
{
    int index = spec_output_index(spec, port);
    const uint8_t *slash = index < 0 && port.size ? memchr(port.data, '/', port.size) : NULL;
    *below = bytes_of("", 0);
    if (!slash) return index;
    size_t size = (size_t)(slash - port.data);
    *below = bytes_of(slash + 1, port.size - size - 1);
    return spec_output_index(spec, bytes_of(port.data, size));
}

/* --- writing a node -------------------------------------------------------------------------------------------- */

static bool has_params(bytes params)
{
    return params.size > 0 && !bytes_equal(params, VALUE_EMPTY_OBJECT);
}

static uint64_t parts_of(const node_spec *s)
{
    uint64_t parts = 0;
    if (has_params(s->params)) parts |= PART_PARAMS;
    if (s->input_count) parts |= PART_INPUTS;
    if (s->output_count) parts |= PART_OUTPUTS;
    if (s->command_count) parts |= PART_COMMAND;
    if (s->flags) parts |= PART_FLAGS;
    if (s->env_count) parts |= PART_ENV;
    if (s->version.size) parts |= PART_VERSION;
    if (s->depfile.size) parts |= PART_DEPFILE;
    if (s->job != JOB_PURE) parts |= PART_JOB;
    if (s->retries) parts |= PART_RETRIES;
    if (s->timeout_ms) parts |= PART_TIMEOUT;
    if (s->pool.size || s->cpus || s->mem_bytes) parts |= PART_LIMITS;
    if (s->parent) parts |= PART_PARENT;
    return parts;
}

static void put_position(buf *b, const source_position *position)
{
    buf_byte(b, position->file ? 1 : 0);
    if (position->file) buf_put_str(b, position->file);
    buf_put_i64(b, position->line);
}

static void put_base(buf *b, const node_spec *s)
{
    bool begins = s->base.size <= s->name.size && bytes_equal(s->base, bytes_of(s->name.data, s->base.size));
    buf_put_u64(b, begins ? s->base.size + 1 : 0);
    if (!begins) buf_put_bytes(b, s->base);
}

static uint8_t shape_of(const spec_member *m)
{
    unsigned item = m->kind == MEMBER_ITEM ? (unsigned)m->item : 0;
    unsigned fallback = m->kind == MEMBER_ITEM && m->port.size ? SHAPE_DEFAULT : 0;
    return (uint8_t)((unsigned)m->kind | item << 2 | fallback);
}

static bool is_uniform(const spec_input *in)
{
    for (size_t i = 1; i < in->count; i++)
        if (shape_of(&in->members[i]) != shape_of(&in->members[0])) return false;
    return in->count > 0;
}

static void put_input(buf *b, const spec_input *in, bool names)
{
    bool uniform = is_uniform(in);
    uint64_t last = 0;
    buf_put_bytes(b, in->port);
    buf_byte(b, (uint8_t)((in->is_list ? PORT_LIST : 0) | (uniform ? PORT_UNIFORM : 0)));
    if (uniform) buf_byte(b, shape_of(&in->members[0]));
    buf_put_u64(b, in->count);
    for (size_t i = 0; i < in->count; i++) {
        const spec_member *m = &in->members[i];
        if (!uniform) buf_byte(b, shape_of(m));
        if (names) buf_put_bytes(b, m->name);
        else buf_put_i64(b, (int64_t)(m->id - last));
        if (m->kind == MEMBER_OUTPUT || shape_of(m) & SHAPE_DEFAULT) buf_put_bytes(b, m->port);
        last = m->id;
    }
}

static void put_inputs(buf *b, const node_spec *s, bool names)
{
    if (!s->input_count) return;
    buf_put_u64(b, s->input_count);
    for (size_t i = 0; i < s->input_count; i++) put_input(b, &s->inputs[i], names);
}

static void put_outputs(buf *b, const node_spec *s, bool names)
{
    if (!s->output_count) return;
    buf_put_u64(b, s->output_count);
    for (size_t i = 0; i < s->output_count; i++) {
        buf_put_bytes(b, s->outputs[i].port);
        if (names) buf_put_bytes(b, s->outputs[i].path);
        else buf_put_u64(b, s->outputs[i].id);
    }
}

static void put_command(buf *b, const node_spec *s)
{
    if (!s->command_count) return;
    buf_put_u64(b, s->command_count);
    for (size_t i = 0; i < s->command_count; i++) buf_put_bytes(b, s->command[i]);
}

static void put_env(buf *b, const node_spec *s)
{
    if (!s->env_count) return;
    buf_put_u64(b, s->env_count);
    for (size_t i = 0; i < s->env_count; i++) {
        buf_put_bytes(b, s->env[i].name);
        buf_put_bytes(b, s->env[i].value);
    }
}

static void put_limits(buf *b, const node_spec *s)
{
    buf_put_bytes(b, s->pool);
    buf_put_u64(b, s->pool_depth);
    buf_put_u64(b, s->cpus);
    buf_put_u64(b, s->mem_bytes);
}

static void put_parts(buf *b, const node_spec *s, uint64_t parts, bool names)
{
    if (parts & PART_PARAMS) buf_put_bytes(b, s->params);
    put_inputs(b, s, names);
    put_outputs(b, s, names);
    put_command(b, s);
    if (parts & PART_FLAGS) buf_put_u64(b, s->flags);
    put_env(b, s);
    if (parts & PART_VERSION) buf_put_bytes(b, s->version);
    if (parts & PART_DEPFILE) buf_put_bytes(b, s->depfile);
    if (parts & PART_JOB) buf_put_u64(b, (uint64_t)s->job);
    if (parts & PART_RETRIES) buf_put_u64(b, s->retries);
    if (parts & PART_TIMEOUT) buf_put_u64(b, s->timeout_ms);
    if (parts & PART_LIMITS) put_limits(b, s);
    if (parts & PART_PARENT) buf_put_u64(b, s->parent);
}

static void put_node(buf *b, node_spec *s, uint8_t form)
{
    uint64_t parts = parts_of(s);
    sort(s->inputs, s->input_count, sizeof *s->inputs, compare_inputs);
    sort(s->outputs, s->output_count, sizeof *s->outputs, compare_outputs);
    sort(s->env, s->env_count, sizeof *s->env, compare_env);
    buf_byte(b, SPEC_VERSION);
    buf_byte(b, form);
    buf_put_u64(b, parts);
    if (form & FORM_POSITION) put_position(b, &s->position);
    buf_put_bytes(b, s->name);
    put_base(b, s);
    buf_put_bytes(b, s->effect);
    if (!(form & FORM_NAMES)) buf_put_u64(b, s->effect_id);
    put_parts(b, s, parts, form & FORM_NAMES);
}

void spec_put_declared(buf *b, node_spec *spec)
{
    put_node(b, spec, FORM_NAMES | FORM_POSITION);
}

void spec_put_stored(buf *b, node_spec *spec)
{
    put_node(b, spec, 0);
}

/* --- reading --------------------------------------------------------------------------------------------------- */

typedef struct reader {
    unpack u;
    mem_arena *arena;
    uint8_t form;
    bool no_memory;
    const char *fault; /* what is wrong, where it is more than "cut off" */
} reader;

static bool is_fine(const reader *r)
{
    return !r->u.failed && !r->no_memory && !r->fault;
}

static uint64_t take_most(reader *r, uint64_t most, const char *what)
{
    uint64_t number = unpack_u64(&r->u);
    if (number <= most) return number;
    r->fault = what;
    return 0;
}

/* A count and as many zeroed elements; NULL and 0 when there are none or something failed. */
static void *take_list(reader *r, size_t size, size_t *count)
{
    *count = unpack_count(&r->u);
    if (*count == 0 || !is_fine(r)) {
        *count = 0;
        return NULL;
    }
    void *list = arena_zero(r->arena, *count, size);
    if (!list) {
        r->no_memory = true;
        *count = 0;
    }
    return list;
}

static bytes take_bytes(reader *r)
{
    bytes text = unpack_bytes(&r->u);
    return text.data ? text : bytes_str("");
}

static uint8_t take_byte(reader *r, uint8_t most, const char *what)
{
    return (uint8_t)take_most(r, most, what);
}

static void take_position(reader *r, source_position *position)
{
    if (take_byte(r, 1, "position")) {
        bytes copy = arena_bytes(r->arena, take_bytes(r));
        if (!copy.data) r->no_memory = true;
        position->file = (const char *)copy.data;
    }
    int64_t line = unpack_i64(&r->u);
    if (line < INT_MIN || line > INT_MAX) r->fault = "line";
    else position->line = (int)line;
}

/* Version and form: that of the record must be `form`, give or take the bits of `free_bits`. */
static int take_head(reader *r, bytes from, uint8_t form, uint8_t free_bits, const char *what, weir_error *err)
{
    r->u = unpack_of(from);
    if (from.size == 0) return error_set(err, WEIR_CORRUPT, "%s: empty", what);
    uint64_t version = unpack_u64(&r->u);
    if (version > SPEC_VERSION)
        return error_set(err, WEIR_NEWER, "%s: version %llu is not known", what, (unsigned long long)version);
    if (version == 0) return error_set(err, WEIR_CORRUPT, "%s: no version", what);
    uint64_t got = unpack_u64(&r->u);
    if (r->u.failed || got > UINT8_MAX || (got & (uint8_t)~free_bits) != form)
        return error_set(err, WEIR_CORRUPT, "%s: not a record of this form", what);
    r->form = (uint8_t)got;
    return 0;
}

static int finish(reader *r, bytes from, const char *what, weir_error *err)
{
    if (r->no_memory || r->arena->failed) return error_nomem(err, what);
    if (r->fault) return error_set(err, WEIR_CORRUPT, "%s: a wrong %s", what, r->fault);
    if (unpack_done(&r->u)) return 0;
    if (r->u.failed) return error_set(err, WEIR_CORRUPT, "%s: cut off or badly sized within %zu bytes", what, from.size);
    return error_set(err, WEIR_CORRUPT, "%s: %zu bytes too many", what, (size_t)(r->u.end - r->u.at));
}

/* --- reading a node -------------------------------------------------------------------------------------------- */

static void take_base(reader *r, node_spec *s)
{
    uint64_t size = unpack_u64(&r->u);
    if (size == 0) s->base = take_bytes(r);
    else if (size - 1 <= s->name.size) s->base = bytes_of(s->name.data, (size_t)(size - 1));
    else r->fault = "base name";
}

static void take_shape(reader *r, spec_member *m, uint8_t shape)
{
    unsigned kind = shape & 3u, item = (shape & ~(unsigned)SHAPE_DEFAULT) >> 2;
    bool well = kind == MEMBER_ITEM ? item >= ITEM_FILE && item <= ITEM_LINK : kind != 0 && item == 0 && !(shape & SHAPE_DEFAULT);
    if (shape == MEMBER_EXPAND) {
        m->kind = MEMBER_EXPAND;
        m->item = (item_kind)0;
        return;
    }
    if (!well) r->fault = "kind of a member";
    m->kind = (member_kind)kind;
    m->item = (item_kind)item;
}

static void take_input(reader *r, spec_input *in)
{
    uint64_t last = 0;
    in->port = take_bytes(r);
    uint8_t flags = take_byte(r, PORT_FLAGS_ALL, "flag of a port");
    uint8_t shape = flags & PORT_UNIFORM ? take_byte(r, UINT8_MAX, "kind of a member") : 0;
    in->is_list = flags & PORT_LIST;
    in->members = take_list(r, sizeof *in->members, &in->count);
    for (size_t i = 0; i < in->count && is_fine(r); i++) {
        spec_member *m = &in->members[i];
        m->name = m->port = bytes_str("");
        uint8_t own = flags & PORT_UNIFORM ? shape : take_byte(r, UINT8_MAX, "kind of a member");
        take_shape(r, m, own);
        if (r->form & FORM_NAMES) m->name = take_bytes(r);
        else m->id = last + (uint64_t)unpack_i64(&r->u);
        if (m->kind == MEMBER_OUTPUT || own & SHAPE_DEFAULT) m->port = take_bytes(r);
        if (own & SHAPE_DEFAULT && m->port.size == 0) r->fault = "default of a member";
        last = m->id;
        in->kinds |= 1u << m->kind;
    }
}

static void take_inputs(reader *r, node_spec *s)
{
    s->inputs = take_list(r, sizeof *s->inputs, &s->input_count);
    for (size_t i = 0; i < s->input_count && is_fine(r); i++) take_input(r, &s->inputs[i]);
    if (is_fine(r) && !is_sorted(s->inputs, s->input_count, sizeof *s->inputs, compare_inputs)) r->fault = "order of inputs";
}

static void take_outputs(reader *r, node_spec *s)
{
    s->outputs = take_list(r, sizeof *s->outputs, &s->output_count);
    for (size_t i = 0; i < s->output_count && is_fine(r); i++) {
        s->outputs[i].port = take_bytes(r);
        s->outputs[i].path = bytes_str("");
        if (r->form & FORM_NAMES) s->outputs[i].path = take_bytes(r);
        else s->outputs[i].id = unpack_u64(&r->u);
    }
    if (is_fine(r) && !is_sorted(s->outputs, s->output_count, sizeof *s->outputs, compare_outputs)) r->fault = "order of outputs";
}

static void take_command(reader *r, node_spec *s)
{
    s->command = take_list(r, sizeof *s->command, &s->command_count);
    for (size_t i = 0; i < s->command_count && is_fine(r); i++) s->command[i] = take_bytes(r);
}

static void take_env(reader *r, node_spec *s)
{
    s->env = take_list(r, sizeof *s->env, &s->env_count);
    for (size_t i = 0; i < s->env_count && is_fine(r); i++) {
        s->env[i].name = take_bytes(r);
        s->env[i].value = take_bytes(r);
    }
    if (is_fine(r) && !is_sorted(s->env, s->env_count, sizeof *s->env, compare_env)) r->fault = "order of env";
}

static void take_params(reader *r, node_spec *s)
{
    s->params = take_bytes(r);
    value_reader value = value_read(s->params);
    value_item head;
    if (value_check(s->params, NULL) == 0 && value_next(&value, &head) && head.type == VALUE_OBJECT) return;
    r->fault = "object of params";
}

static void take_limits(reader *r, node_spec *s)
{
    s->pool = take_bytes(r);
    s->pool_depth = (uint32_t)take_most(r, UINT32_MAX, "depth of a pool");
    s->cpus = (uint32_t)take_most(r, UINT32_MAX, "number of processors");
    s->mem_bytes = unpack_u64(&r->u);
    if (is_fine(r) && (s->pool.size > 0) != (s->pool_depth > 0)) r->fault = "depth of a pool";
}

static void take_parts(reader *r, node_spec *s, uint64_t parts)
{
    if (parts & PART_PARAMS) take_params(r, s);
    if (parts & PART_INPUTS) take_inputs(r, s);
    if (parts & PART_OUTPUTS) take_outputs(r, s);
    if (parts & PART_COMMAND) take_command(r, s);
    if (parts & PART_FLAGS) s->flags = (uint32_t)take_most(r, UINT32_MAX, "set of flags");
    if (parts & PART_ENV) take_env(r, s);
    if (parts & PART_VERSION) s->version = take_bytes(r);
    if (parts & PART_DEPFILE) s->depfile = take_bytes(r);
    if (parts & PART_JOB) s->job = (job_type)take_most(r, JOB_SERVICE, "job type");
    if (parts & PART_RETRIES) s->retries = (uint32_t)take_most(r, UINT32_MAX, "number of retries");
    if (parts & PART_TIMEOUT) s->timeout_ms = unpack_u64(&r->u);
    if (parts & PART_LIMITS) take_limits(r, s);
    if (parts & PART_PARENT) s->parent = unpack_u64(&r->u);
}

static int get_node(bytes from, mem_arena *arena, uint8_t form, node_spec *s, weir_error *err)
{
    const char *what = form & FORM_NAMES ? "declared node" : "stored node";
    reader r = {.arena = arena};
    *s = (node_spec){.params = VALUE_EMPTY_OBJECT, .depfile = bytes_str(""), .version = bytes_str(""), .pool = bytes_str("")};
    int rc = take_head(&r, from, form, 0, what, err);
    if (rc != 0) return rc;
    uint64_t parts = take_most(&r, PARTS_ALL, "set of parts");
    if (form & FORM_POSITION) take_position(&r, &s->position);
    s->name = take_bytes(&r);
    take_base(&r, s);
    s->effect = take_bytes(&r);
    if (!(form & FORM_NAMES)) s->effect_id = unpack_u64(&r.u);
    take_parts(&r, s, parts);
    return finish(&r, from, what, err);
}

int spec_get_declared(bytes from, mem_arena *arena, node_spec *spec, weir_error *err)
{
    return get_node(from, arena, FORM_NAMES | FORM_POSITION, spec, err);
}

int spec_get_stored(bytes from, mem_arena *arena, node_spec *spec, weir_error *err)
{
    return get_node(from, arena, 0, spec, err);
}

/* --- effects --------------------------------------------------------------------------------------------------- */

void effect_put(buf *b, const effect_spec *spec, bool with_position)
{
    uint64_t parts = 0;
    if (spec->version.size) parts |= EFFECT_PART_VERSION;
    if (!hash_is_none(spec->code)) parts |= EFFECT_PART_CODE;
    if (spec->always.size) parts |= EFFECT_PART_ALWAYS;
    if (spec->library.size) parts |= EFFECT_PART_LIBRARY;
    if (spec->policy != CODE_TRACK) parts |= EFFECT_PART_POLICY;
    buf_byte(b, SPEC_VERSION);
    buf_byte(b, (uint8_t)(FORM_EFFECT | (with_position ? FORM_POSITION : 0)));
    buf_put_u64(b, (uint64_t)spec->kind);
    buf_put_u64(b, parts);
    buf_put_bytes(b, spec->name);
    if (parts & EFFECT_PART_VERSION) buf_put_bytes(b, spec->version);
    if (parts & EFFECT_PART_CODE) buf_put_hash(b, spec->code);
    if (parts & EFFECT_PART_ALWAYS) buf_put_bytes(b, spec->always);
    if (parts & EFFECT_PART_LIBRARY) buf_put_bytes(b, spec->library);
    if (parts & EFFECT_PART_POLICY) buf_put_u64(b, (uint64_t)spec->policy);
    if (with_position) put_position(b, &spec->position);
}

int effect_get(bytes from, mem_arena *arena, effect_spec *spec, weir_error *err)
{
    reader r = {.arena = arena};
    bytes none = bytes_str("");
    *spec = (effect_spec){.version = none, .always = none, .library = none};
    int rc = take_head(&r, from, FORM_EFFECT, FORM_POSITION, "effect", err);
    if (rc != 0) return rc;
    uint64_t kind = take_most(&r, EFFECT_COMMAND, "kind");
    if (kind == 0) r.fault = "kind";
    spec->kind = (effect_kind)kind;
    uint64_t parts = take_most(&r, EFFECT_PARTS_ALL, "set of parts");
    spec->name = take_bytes(&r);
    if (parts & EFFECT_PART_VERSION) spec->version = take_bytes(&r);
    if (parts & EFFECT_PART_CODE) spec->code = unpack_hash(&r.u);
    if (parts & EFFECT_PART_ALWAYS) spec->always = take_bytes(&r);
    if (parts & EFFECT_PART_LIBRARY) spec->library = take_bytes(&r);
    if (parts & EFFECT_PART_POLICY) {
        uint64_t policy = take_most(&r, CODE_PIN, "policy");
        if (policy == CODE_TRACK) r.fault = "policy";
        spec->policy = (code_policy)policy;
    }
    if (r.form & FORM_POSITION) take_position(&r, &spec->position);
    return finish(&r, from, "effect", err);
}
