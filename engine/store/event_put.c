/*
 * event_put.c - events to bytes, by the tables of event.c.
 *
 * Small where it is cheap to be small, for every execution is one event: ids in lists are written as the difference from
 * the one before, the source of an undeclared read as its difference from the item read (mostly 0), and the new hash of a
 * reason as the number of the read that saw it. An execution with one read and one output takes about 100 bytes.
 *
 * Any thread.
 */
#include <stdint.h>

#include "engine/store/event_form.h"

_Static_assert(sizeof(reason_kind) == sizeof(int) && sizeof(item_kind) == sizeof(int), "enums are read as int");

static int64_t distance(uint64_t to, uint64_t from)
{
    return (int64_t)(to - from);
}

/* --- lists ----------------------------------------------------------------------------------------------------- */

static uint64_t ref_head(const read_ref *ref)
{
    uint64_t head = (uint64_t)ref->aspect & READ_ASPECT;
    if (ref->port < 0) head |= READ_UNDECLARED;
    if (ref->member >= 0) head |= READ_MEMBER;
    if (ref->sub >= 0) head |= READ_SUB;
    return head;
}

static void put_ref(buf *b, const read_ref *ref, uint64_t head)
{
    buf_put_u64(b, head);
    buf_put_u64(b, ref->port < 0 ? ref->item : (uint64_t)ref->port);
    if (ref->member >= 0) buf_put_u64(b, (uint64_t)ref->member);
    if (ref->sub >= 0) buf_put_u64(b, (uint64_t)ref->sub);
}

void read_refs_put(buf *b, const read_ref *refs, size_t count)
{
    buf_put_u64(b, count);
    for (size_t i = 0; i < count; i++) put_ref(b, &refs[i], ref_head(&refs[i]));
}

static void put_reads(buf *b, const read_record *reads, size_t count)
{
    uint64_t source = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < count; i++) {
        const read_record *r = &reads[i];
        uint64_t head = ref_head(&r->ref) | (r->source_is_node ? READ_OF_NODE : 0);
        put_ref(b, &r->ref, head | (uint64_t)(uint32_t)(r->group - group) << READ_GROUP_SHIFT);
        buf_put_i64(b, distance(r->source, r->ref.port < 0 ? r->ref.item : source));
        buf_put_hash(b, r->hash);
        source = r->source;
        group = r->group;
    }
}

static void put_outputs(buf *b, const output_record *outputs, size_t count)
{
    uint64_t item = 0;
    for (size_t i = 0; i < count; i++) {
        const output_record *o = &outputs[i];
        bool has_hash = !hash_is_none(o->hash);
        buf_put_u64(b, (uint64_t)o->port << OUTPUT_PORT_SHIFT | (has_hash ? OUTPUT_HASH : 0));
        buf_put_i64(b, distance(o->item, item));
        if (has_hash) buf_put_hash(b, o->hash);
        buf_put_u64(b, o->size);
        buf_put_u64(b, o->mode);
        item = o->item;
    }
}

/* Index of the read that saw this hash, or `count`. */
static size_t find_read(const read_record *reads, size_t count, hash128 hash)
{
    size_t i = 0;
    while (i < count && !hash_equal(reads[i].hash, hash)) i++;
    return i;
}

static void put_reason(buf *b, const reason_record *r, const read_record *reads, size_t read_count)
{
    size_t known = read_count < REASON_READS ? read_count : REASON_READS;
    size_t read = hash_is_none(r->new_hash) ? known : find_read(reads, known, r->new_hash);
    unsigned rare = 0;
    if (r->source_is_node) rare |= RARE_OF_NODE;
    if (!hash_is_none(r->old_hash)) rare |= RARE_OLD;
    if (read < known) rare |= RARE_NEW_IS_READ;
    else if (!hash_is_none(r->new_hash)) rare |= RARE_NEW;
    if (r->detail.size) rare |= RARE_DETAIL;
    buf_put_u64(b, ((unsigned)r->kind & REASON_KIND) | (rare ? REASON_RARE : 0) | (r->source ? REASON_SOURCE : 0));
    if (rare) buf_byte(b, (uint8_t)rare);
    if (r->source) buf_put_u64(b, r->source);
    if (rare & RARE_OLD) buf_put_hash(b, r->old_hash);
    if (rare & RARE_NEW) buf_put_hash(b, r->new_hash);
    if (rare & RARE_NEW_IS_READ) buf_put_u64(b, read);
    if (rare & RARE_DETAIL) buf_put_bytes(b, r->detail);
}

static void put_optional_hash(buf *b, hash128 hash)
{
    bool has_hash = !hash_is_none(hash);
    buf_byte(b, has_hash);
    if (has_hash) buf_put_hash(b, hash);
}

static void put_seen(buf *b, const definition_read *reads, size_t count)
{
    uint64_t item = 0;
    for (size_t i = 0; i < count; i++) {
        buf_put_i64(b, distance(reads[i].item, item));
        put_optional_hash(b, reads[i].hash);
        item = reads[i].item;
    }
}

static void put_asides(buf *b, const aside_record *asides, size_t count)
{
    uint64_t item = 0;
    for (size_t i = 0; i < count; i++) {
        buf_put_i64(b, distance(asides[i].item, item));
        buf_put_u64(b, asides[i].number);
        put_optional_hash(b, asides[i].hash);
        buf_put_u64(b, asides[i].mode);
        item = asides[i].item;
    }
}

static void put_ids(buf *b, const uint64_t *ids, size_t count)
{
    uint64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        buf_put_i64(b, distance(ids[i], last));
        last = ids[i];
    }
}

/* --- fields ---------------------------------------------------------------------------------------------------- */

/* What later fields of an event refer to. */
typedef struct putter {
    buf *b;
    const read_record *reads;
    size_t read_count;
} putter;

static size_t count_of(const event_field *f, const char *e)
{
    return *(const size_t *)(const void *)(e + f->count_offset);
}

static bool is_present(const event_field *f, const char *e)
{
    const void *at = e + f->offset;
    switch (f->type) {
    case FIELD_U64: return *(const uint64_t *)at != 0;
    case FIELD_I64: return *(const int64_t *)at != 0;
    case FIELD_U32: return *(const uint32_t *)at != 0;
    case FIELD_BOOL: return *(const bool *)at;
    case FIELD_ENUM: return *(const unsigned *)at != 0;
    case FIELD_HASH: return !hash_is_none(*(const hash128 *)at);
    case FIELD_TEXT:
    case FIELD_NODE_SPEC:
    case FIELD_EFFECT_SPEC:
    case FIELD_VALUE: return ((const bytes *)at)->size != 0;
    default: return count_of(f, e) != 0;
    }
}

static void put_list(putter *p, const event_field *f, const char *e)
{
    size_t count = count_of(f, e);
    const void *list;
    memcpy(&list, e + f->offset, sizeof list);
    buf_put_u64(p->b, count);
    switch (f->type) {
    case FIELD_TEXTS:
        for (size_t i = 0; i < count; i++) buf_put_bytes(p->b, ((const bytes *)list)[i]);
        break;
    case FIELD_IDS: put_ids(p->b, list, count); break;
    case FIELD_READS:
        put_reads(p->b, list, count);
        p->reads = list;
        p->read_count = count;
        break;
    case FIELD_OUTPUTS: put_outputs(p->b, list, count); break;
    case FIELD_REASONS:
        for (size_t i = 0; i < count; i++)
            put_reason(p->b, &((const reason_record *)list)[i], p->reads, p->read_count);
        break;
    case FIELD_SEEN: put_seen(p->b, list, count); break;
    case FIELD_ASIDES: put_asides(p->b, list, count); break;
    default: break;
    }
}

static void put_field(putter *p, const event_field *f, const char *e)
{
    const void *at = e + f->offset;
    switch (f->type) {
    case FIELD_U64: buf_put_u64(p->b, *(const uint64_t *)at); break;
    case FIELD_I64: buf_put_i64(p->b, *(const int64_t *)at); break;
    case FIELD_U32: buf_put_u64(p->b, *(const uint32_t *)at); break;
    case FIELD_BOOL: break;
    case FIELD_ENUM: buf_put_u64(p->b, *(const unsigned *)at); break;
    case FIELD_HASH: buf_put_hash(p->b, *(const hash128 *)at); break;
    case FIELD_TEXT:
    case FIELD_NODE_SPEC:
    case FIELD_EFFECT_SPEC:
    case FIELD_VALUE: buf_put_bytes(p->b, *(const bytes *)at); break;
    default: put_list(p, f, e); break;
    }
}

static void put_event(buf *b, event_kind kind, const void *event)
{
    const event_form *form = event_form_of((int)kind);
    const char *e = event;
    putter p = {.b = b};
    uint64_t present = 0;
    for (unsigned i = 0; i < form->count; i++)
        if (is_present(&form->fields[i], e)) present |= UINT64_C(1) << i;
    buf_byte(b, EVENT_VERSION);
    buf_put_u64(b, present);
    for (unsigned i = 0; i < form->count; i++)
        if (present >> i & 1) put_field(&p, &form->fields[i], e);
}

void event_put_body(buf *b, const event_body *e)
{
    put_event(b, e->kind, &e->session); /* all members of the union begin there */
}

#define PUT(name, kind)                                                                            \
    void event_put_##name(buf *b, const event_##name *e)                                           \
    {                                                                                              \
        put_event(b, EVENT_##kind, e);                                                             \
    }

PUT(session, SESSION)
PUT(run_started, RUN_STARTED)
PUT(run_finished, RUN_FINISHED)
PUT(item_named, ITEM_NAMED)
PUT(item_observed, ITEM_OBSERVED)
PUT(effect, EFFECT)
PUT(node, NODE)
PUT(node_removed, NODE_REMOVED)
PUT(definition, DEFINITION)
PUT(started, STARTED)
PUT(spawned, SPAWNED)
PUT(finished, FINISHED)
PUT(settled, SETTLED)
PUT(output_removed, OUTPUT_REMOVED)
PUT(foreign_kept, FOREIGN_KEPT)
PUT(folder_made, FOLDER_MADE)
PUT(payloads_synced, PAYLOADS_SYNCED)
PUT(edge_found, EDGE_FOUND)
PUT(edge_dropped, EDGE_DROPPED)
PUT(node_due, NODE_DUE)
PUT(value_set, VALUE_SET)
PUT(traces_dropped, TRACES_DROPPED)
PUT(expanded, EXPANDED)
PUT(accepted, ACCEPTED)
PUT(recovered, RECOVERED)
