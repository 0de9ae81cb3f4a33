/*
 * event_json.c - events as JSON objects, by the tables of event.c: every field, by its name.
 *
 * Hashes are hex (null: none), enums are words, names that are not UTF-8 are percent-escaped with their base64 beside
 * them, a declaration or a value is printed as what it says.
 *
 * Any thread.
 */
#include "engine/store/event_form.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"

/* --- lists ----------------------------------------------------------------------------------------------------- */

static void write_number(buf *to, const char *name, uint64_t number)
{
    jsonout_key(to, name);
    jsonout_number(to, number);
}

static void write_hash(buf *to, const char *name, hash128 hash)
{
    jsonout_key(to, name);
    jsonout_hash(to, hash);
}

static void write_bool(buf *to, const char *name, bool truth)
{
    jsonout_key(to, name);
    jsonout_bool(to, truth);
}

static void write_signed(buf *to, const char *name, int64_t number)
{
    jsonout_key(to, name);
    jsonout_signed(to, number);
}

static void write_read(buf *to, const read_record *r)
{
    jsonout_key(to, "aspect");
    jsonout_string(to, EVENT_ASPECTS.names[r->ref.aspect]);
    write_signed(to, "port", r->ref.port);
    write_signed(to, "member", r->ref.member);
    write_signed(to, "sub", r->ref.sub);
    write_number(to, "item", r->ref.item);
    write_number(to, "group", r->group);
    write_number(to, "source", r->source);
    write_bool(to, "source_is_node", r->source_is_node);
    write_hash(to, "hash", r->hash);
}

static void write_output(buf *to, const output_record *o)
{
    write_number(to, "port", o->port);
    write_number(to, "item", o->item);
    write_hash(to, "hash", o->hash);
    write_number(to, "size", o->size);
    write_number(to, "mode", o->mode);
}

static void write_reason(buf *to, const reason_record *r)
{
    jsonout_key(to, "reason");
    jsonout_string(to, reason_name(r->kind));
    write_number(to, "source", r->source);
    write_bool(to, "source_is_node", r->source_is_node);
    write_hash(to, "old", r->old_hash);
    write_hash(to, "new", r->new_hash);
    jsonout_member(to, "detail", r->detail);
}

static void write_aside(buf *to, const aside_record *a)
{
    write_number(to, "item", a->item);
    write_number(to, "number", a->number);
    write_hash(to, "hash", a->hash);
    write_number(to, "mode", a->mode);
}

static void write_record(buf *to, field_type type, const void *list, size_t i)
{
    jsonout_open(to, '{');
    if (type == FIELD_READS) write_read(to, (const read_record *)list + i);
    if (type == FIELD_OUTPUTS) write_output(to, (const output_record *)list + i);
    if (type == FIELD_REASONS) write_reason(to, (const reason_record *)list + i);
    if (type == FIELD_ASIDES) write_aside(to, (const aside_record *)list + i);
    if (type == FIELD_SEEN) {
        const definition_read *read = (const definition_read *)list + i;
        write_number(to, "item", read->item);
        write_hash(to, "hash", read->hash);
    }
    jsonout_close(to, '}');
}

static void write_list(buf *to, const event_field *f, const char *e)
{
    const void *list;
    memcpy(&list, e + f->offset, sizeof list);
    size_t count = *(const size_t *)(const void *)(e + f->count_offset);
    jsonout_open(to, '[');
    for (size_t i = 0; i < count; i++) {
        if (f->type == FIELD_TEXTS) jsonout_text(to, ((const bytes *)list)[i]);
        else if (f->type == FIELD_IDS) jsonout_number(to, ((const uint64_t *)list)[i]);
        else write_record(to, f->type, list, i);
    }
    jsonout_close(to, ']');
}

/* --- what has a language of its own ---------------------------------------------------------------------------- */

static int write_node(buf *to, bytes stored, mem_arena *arena, weir_error *err)
{
    node_spec spec;
    int rc = spec_get_stored(stored, arena, &spec, err);
    return rc == 0 ? spec_to_json(&spec, to, err) : rc;
}

static int write_effect(buf *to, bytes stored, mem_arena *arena, weir_error *err)
{
    effect_spec spec;
    int rc = effect_get(stored, arena, &spec, err);
    return rc == 0 ? effect_to_json(&spec, to, err) : rc;
}

/* An unset value differs from null. */
static int write_value(buf *to, bytes value, weir_error *err)
{
    int rc = 0;
    if (value.size) rc = value_to_json(value, 0, to, err);
    else jsonout_string(to, NULL);
    write_bool(to, "unset", value.size == 0);
    return rc;
}

/* --- fields ---------------------------------------------------------------------------------------------------- */

static int write_field(buf *to, const event_field *f, const char *e, mem_arena *arena, weir_error *err)
{
    const void *at = e + f->offset;
    if (f->type == FIELD_TEXT) {
        jsonout_member(to, f->name, *(const bytes *)at);
        return 0;
    }
    jsonout_key(to, f->name);
    switch (f->type) {
    case FIELD_U64: jsonout_number(to, *(const uint64_t *)at); return 0;
    case FIELD_I64: jsonout_signed(to, *(const int64_t *)at); return 0;
    case FIELD_U32: jsonout_number(to, *(const uint32_t *)at); return 0;
    case FIELD_BOOL: jsonout_bool(to, *(const bool *)at); return 0;
    case FIELD_ENUM: jsonout_string(to, f->names->names[*(const unsigned *)at]); return 0;
    case FIELD_HASH: jsonout_hash(to, *(const hash128 *)at); return 0;
    case FIELD_NODE_SPEC: return write_node(to, *(const bytes *)at, arena, err);
    case FIELD_EFFECT_SPEC: return write_effect(to, *(const bytes *)at, arena, err);
    case FIELD_VALUE: return write_value(to, *(const bytes *)at, err);
    default: write_list(to, f, e); return 0;
    }
}

int event_to_json(int kind, bytes body, buf *to, weir_error *err)
{
    mem_arena arena;
    event_body event;
    size_t start = to->size;
    arena_init(&arena);
    int rc = event_get(kind, body, &arena, &event, err);
    const event_form *form = rc == 0 ? event_form_of(kind) : NULL;
    if (rc == 0) buf_byte(to, '{');
    for (unsigned i = 0; rc == 0 && i < form->count; i++)
        rc = write_field(to, &form->fields[i], (const char *)&event.session, &arena, err);
    if (rc == 0) jsonout_close(to, '}');
    if (rc == 0 && to->failed) rc = error_nomem(err, "printing an event");
    if (rc != 0) to->size = start;
    arena_deinit(&arena);
    return rc;
}
