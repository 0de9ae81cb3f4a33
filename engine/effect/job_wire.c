/*
 * job_wire.c - orders and reports as bytes, for the frames between engine and workers.
 *
 * Both ends are the same binary, yet a worker that went wild must not take the engine with it: everything is bounds-checked, counts
 * cannot exceed the bytes that are left, kinds and indexes must exist. Names and paths travel with a NUL behind them, so
 * that they can be used in place. A first byte says the version.
 *
 * Any thread. Decoded structs borrow from the frame and the arena.
 */
#include "engine/effect/job_internal.h"

enum { WIRE_VERSION = 1 };
enum { REPORT_OK = 1, REPORT_VALUE = 2, REPORT_IMPURE = 4, REPORT_KNOWN = 8 };
enum { READ_NODE = 1, READ_DIFFERS = 2 };

/* --- pieces ------------------------------------------------------------------------------------------------------- */

static void put_text(buf *b, bytes text)
{
    buf_put_bytes(b, text);
    buf_byte(b, 0);
}

static bytes get_text(unpack *u)
{
    bytes text = unpack_bytes(u);
    if (unpack_u64(u) != 0) u->failed = true;
    return u->failed || !text.data ? bytes_str("") : text;
}

static bool get_flag(unpack *u)
{
    uint64_t flag = unpack_u64(u);
    if (flag > 1) u->failed = true;
    return flag == 1;
}

static uint32_t get_u32(unpack *u)
{
    uint64_t number = unpack_u64(u);
    if (number > UINT32_MAX) u->failed = true;
    return (uint32_t)number;
}

static int32_t get_i32(unpack *u)
{
    int64_t number = unpack_i64(u);
    if (number < INT32_MIN || number > INT32_MAX) u->failed = true;
    return (int32_t)number;
}

static int get_enum(unpack *u, int first, int last)
{
    uint64_t number = unpack_u64(u);
    if (number >= (uint64_t)first && number <= (uint64_t)last) return (int)number;
    u->failed = true;
    return first;
}

/* A list of as many structs as the frame says; the count is 0 once something failed. */
static void *get_list(unpack *u, mem_arena *arena, size_t element_size, size_t *count)
{
    size_t n = unpack_count(u);
    void *list = u->failed ? NULL : arena_zero(arena, n + 1, element_size);
    if (!list) u->failed = true;
    *count = list ? n : 0;
    return list;
}

static int finish(const unpack *u, const mem_arena *arena, const char *what, weir_error *err)
{
    if (arena->failed) return error_nomem(err, "decoding a frame");
    if (!unpack_done(u)) return error_set(err, WEIR_CORRUPT, "a %s is damaged", what);
    return 0;
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

void job_member_put(buf *b, const job_member *m)
{
    buf_put_u64(b, m->kind);
    buf_put_u64(b, m->kind == MEMBER_ITEM ? m->item_type : 0);
    buf_put_u64(b, m->is_key);
    put_text(b, m->name);
    buf_put_u64(b, m->id);
    buf_put_u64(b, m->file_count);
    for (size_t i = 0; i < m->file_count; i++) {
        put_text(b, m->files[i].port);
        put_text(b, m->files[i].path);
        buf_put_hash(b, m->files[i].hash);
        buf_put_u64(b, m->files[i].item);
    }
    buf_put_u64(b, m->has_value);
    buf_put_hash(b, m->value_hash);
    buf_put_bytes(b, m->value);
    put_text(b, m->value_path);
    buf_put_bytes(b, m->params);
}

void job_member_get(unpack *u, mem_arena *arena, job_member *m)
{
    m->kind = (member_kind)get_enum(u, MEMBER_ITEM, MEMBER_OUTPUT);
    int type = get_enum(u, 0, ITEM_LINK);
    if (m->kind == MEMBER_ITEM && type == 0) u->failed = true;
    m->item_type = (item_kind)type;
    m->is_key = get_flag(u);
    m->name = get_text(u);
    m->id = unpack_u64(u);
    m->files = get_list(u, arena, sizeof *m->files, &m->file_count);
    for (size_t i = 0; i < m->file_count && !u->failed; i++) {
        m->files[i].port = get_text(u);
        m->files[i].path = get_text(u);
        m->files[i].hash = unpack_hash(u);
        m->files[i].item = unpack_u64(u);
    }
    m->has_value = get_flag(u);
    m->value_hash = unpack_hash(u);
    m->value = unpack_bytes(u);
    m->value_path = get_text(u);
    m->params = unpack_bytes(u);
}

static void put_input(buf *b, const job_input *input)
{
    put_text(b, input->port);
    buf_put_u64(b, input->is_list);
    buf_put_u64(b, input->members == NULL);
    buf_put_u64(b, input->count);
    if (!input->members) buf_put_hash(b, input->names);
    for (size_t i = 0; input->members && i < input->count; i++) job_member_put(b, &input->members[i]);
}

static void get_input(unpack *u, mem_arena *arena, job_input *input)
{
    input->port = get_text(u);
    input->is_list = get_flag(u);
    if (get_flag(u)) {
        input->count = get_u32(u);
        input->names = unpack_hash(u);
        return;
    }
    input->members = get_list(u, arena, sizeof *input->members, &input->count);
    for (size_t i = 0; i < input->count && !u->failed; i++) job_member_get(u, arena, &input->members[i]);
}

void job_order_put(buf *b, const job_order *order)
{
    buf_byte(b, WIRE_VERSION);
    buf_put_u64(b, order->id);
    put_text(b, order->node);
    put_text(b, order->effect);
    buf_put_u64(b, order->kind);
    put_text(b, order->library);
    buf_put_bytes(b, order->params);
    buf_put_u64(b, order->input_count);
    for (size_t i = 0; i < order->input_count; i++) put_input(b, &order->inputs[i]);
    buf_put_u64(b, order->output_count);
    for (size_t i = 0; i < order->output_count; i++) {
        put_text(b, order->outputs[i].port);
        put_text(b, order->outputs[i].path);
        put_text(b, order->outputs[i].temp);
    }
    buf_put_u64(b, order->timeout_ms);
    buf_put_u64(b, order->keep);
}

int job_order_get(bytes from, mem_arena *arena, job_order *order, weir_error *err)
{
    unpack u = unpack_of(from);
    *order = (job_order){.id = 0};
    if (unpack_u64(&u) != WIRE_VERSION) u.failed = true;
    order->id = unpack_u64(&u);
    order->node = get_text(&u);
    order->effect = get_text(&u);
    order->kind = (effect_kind)get_enum(&u, EFFECT_LUA, EFFECT_COMMAND);
    order->library = get_text(&u);
    order->params = unpack_bytes(&u);
    order->inputs = get_list(&u, arena, sizeof *order->inputs, &order->input_count);
    for (size_t i = 0; i < order->input_count && !u.failed; i++) get_input(&u, arena, &order->inputs[i]);
    order->outputs = get_list(&u, arena, sizeof *order->outputs, &order->output_count);
    for (size_t i = 0; i < order->output_count && !u.failed; i++) {
        order->outputs[i].port = get_text(&u);
        order->outputs[i].path = get_text(&u);
        order->outputs[i].temp = get_text(&u);
    }
    order->timeout_ms = unpack_u64(&u);
    order->keep = get_flag(&u);
    return finish(&u, arena, "job for a worker", err);
}

/* --- reports ------------------------------------------------------------------------------------------------------ */

static void put_read(buf *b, const job_read *r)
{
    buf_put_u64(b, r->ref.aspect);
    buf_put_i64(b, r->ref.port);
    buf_put_i64(b, r->ref.member);
    buf_put_i64(b, r->ref.sub);
    buf_put_u64(b, r->ref.item);
    if (r->ref.port < 0) put_text(b, r->path);
    buf_put_u64(b, r->group);
    buf_put_u64(b, r->source);
    buf_put_u64(b, (r->source_is_node ? READ_NODE : 0u) | (r->differs ? READ_DIFFERS : 0u));
    buf_put_hash(b, r->hash);
}

static void get_read(unpack *u, job_read *r)
{
    r->ref.aspect = (read_aspect)get_enum(u, ASPECT_CONTENT, ASPECT_OUTPATH);
    r->ref.port = get_i32(u);
    r->ref.member = get_i32(u);
    r->ref.sub = get_i32(u);
    if (r->ref.port < -1 || r->ref.member < -1 || r->ref.sub < -1) u->failed = true;
    r->ref.item = unpack_u64(u);
    r->path = r->ref.port < 0 ? get_text(u) : bytes_str("");
    r->group = get_u32(u);
    r->source = unpack_u64(u);
    uint64_t flags = unpack_u64(u);
    if (flags > (READ_NODE | READ_DIFFERS)) u->failed = true;
    r->source_is_node = flags & READ_NODE;
    r->differs = flags & READ_DIFFERS;
    r->hash = unpack_hash(u);
}

static void put_written(buf *b, const job_written *w)
{
    buf_put_u64(b, w->port);
    buf_put_hash(b, w->hash);
    buf_put_hash(b, w->content);
    buf_put_u64(b, w->size);
    buf_put_u64(b, w->mode);
    buf_put_u64(b, w->is_inline);
    if (w->is_inline) buf_put_bytes(b, w->inlined);
}

static void get_written(unpack *u, job_written *w)
{
    w->port = get_u32(u);
    w->hash = unpack_hash(u);
    w->content = unpack_hash(u);
    w->size = unpack_u64(u);
    w->mode = get_u32(u);
    if (w->mode > 07777) u->failed = true;
    w->is_inline = get_flag(u);
    if (w->is_inline) w->inlined = unpack_bytes(u);
    if (w->is_inline && w->inlined.size != w->size) u->failed = true;
}

void job_report_put(buf *b, const job_report *report)
{
    buf_byte(b, WIRE_VERSION);
    buf_put_u64(b, report->id);
    buf_put_u64(b, (report->ok ? REPORT_OK : 0u) | (report->has_value ? REPORT_VALUE : 0u) |
                       (report->impure ? REPORT_IMPURE : 0u) | (report->known ? REPORT_KNOWN : 0u));
    put_text(b, report->message);
    buf_put_bytes(b, report->log);
    buf_put_u64(b, report->read_count);
    for (size_t i = 0; i < report->read_count; i++) put_read(b, &report->reads[i]);
    buf_put_u64(b, report->written_count);
    for (size_t i = 0; i < report->written_count; i++) put_written(b, &report->written[i]);
    if (report->has_value) {
        buf_put_hash(b, report->value_hash);
        buf_put_bytes(b, report->value);
    }
    put_text(b, report->impure_what);
    buf_put_u64(b, report->duration_us);
    buf_put_u64(b, report->cpu_us);
}

static void get_flags(unpack *u, job_report *report)
{
    uint64_t flags = unpack_u64(u);
    if (flags > (REPORT_OK | REPORT_VALUE | REPORT_IMPURE | REPORT_KNOWN)) u->failed = true;
    report->ok = flags & REPORT_OK;
    report->has_value = flags & REPORT_VALUE;
    report->impure = flags & REPORT_IMPURE;
    report->known = flags & REPORT_KNOWN;
}

int job_report_get(bytes from, mem_arena *arena, job_report *report, weir_error *err)
{
    unpack u = unpack_of(from);
    *report = (job_report){.id = 0};
    if (unpack_u64(&u) != WIRE_VERSION) u.failed = true;
    report->id = unpack_u64(&u);
    get_flags(&u, report);
    report->message = get_text(&u);
    report->log = unpack_bytes(&u);
    report->reads = get_list(&u, arena, sizeof *report->reads, &report->read_count);
    for (size_t i = 0; i < report->read_count && !u.failed; i++) get_read(&u, &report->reads[i]);
    report->written = get_list(&u, arena, sizeof *report->written, &report->written_count);
    for (size_t i = 0; i < report->written_count && !u.failed; i++) get_written(&u, &report->written[i]);
    if (report->has_value) {
        report->value_hash = unpack_hash(&u);
        report->value = unpack_bytes(&u);
    }
    report->impure_what = get_text(&u);
    report->duration_us = unpack_u64(&u);
    report->cpu_us = unpack_u64(&u);
    return finish(&u, arena, "report of a worker", err);
}
