/*
 * event_get.c - bytes to events, by the tables of event.c.
 *
 * The inverse of event_put.c. A body may be damaged anywhere: the first bad read makes all later ones give zeros (unpack),
 * a number out of its range names its field, and nothing is allocated for more elements than there are bytes left.
 *
 * Any thread.
 */
#include "engine/store/event_form.h"

typedef struct getter {
    unpack u;
    mem_arena *arena;
    const char *fault; /* the field that holds what it must not */
    const char *field; /* being read */
    bool no_memory;
    const read_record *reads; /* what reasons refer to */
    size_t read_count;
} getter;

static bool is_fine(const getter *g)
{
    return !g->u.failed && !g->no_memory && !g->fault;
}

static uint64_t take_most(getter *g, uint64_t most)
{
    uint64_t number = unpack_u64(&g->u);
    if (number <= most) return number;
    g->fault = g->field;
    return 0;
}

static uint64_t take_near(getter *g, uint64_t from)
{
    return from + (uint64_t)unpack_i64(&g->u);
}

static bytes take_text(getter *g)
{
    bytes text = unpack_bytes(&g->u);
    return text.data ? text : bytes_str("");
}

static unsigned take_enum(getter *g, const event_names *names)
{
    uint64_t number = take_most(g, names->count - 1);
    if (!names->names[number]) g->fault = g->field;
    return (unsigned)number;
}

/* A count and as many zeroed elements; NULL and 0 when there are none or something failed. */
static void *take_list(getter *g, size_t size, size_t *count)
{
    *count = unpack_count(&g->u);
    void *list = *count && is_fine(g) ? arena_zero(g->arena, *count, size) : NULL;
    if (!list && *count && is_fine(g)) g->no_memory = true;
    if (!list) *count = 0;
    return list;
}

/* --- lists ----------------------------------------------------------------------------------------------------- */

static void take_ref(getter *g, read_ref *ref, uint64_t head)
{
    unsigned aspect = head & READ_ASPECT;
    if (aspect == 0) g->fault = g->field;
    *ref = (read_ref){.aspect = (read_aspect)aspect, .port = -1, .member = -1, .sub = -1};
    if (head & READ_UNDECLARED) ref->item = unpack_u64(&g->u);
    else ref->port = (int32_t)take_most(g, INT32_MAX);
    if (head & READ_MEMBER) ref->member = (int32_t)take_most(g, INT32_MAX);
    if (head & READ_SUB) ref->sub = (int32_t)take_most(g, INT32_MAX);
}

static read_ref *take_refs(getter *g, size_t *count)
{
    read_ref *refs = take_list(g, sizeof *refs, count);
    for (size_t i = 0; i < *count && is_fine(g); i++) take_ref(g, &refs[i], take_most(g, READ_OF_NODE - 1));
    return refs;
}

static read_record *take_reads(getter *g, size_t *count)
{
    read_record *reads = take_list(g, sizeof *reads, count);
    uint64_t source = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < *count && is_fine(g); i++) {
        read_record *r = &reads[i];
        uint64_t head = take_most(g, (UINT64_C(1) << (32 + READ_GROUP_SHIFT)) - 1);
        take_ref(g, &r->ref, head);
        r->group = group += (uint32_t)(head >> READ_GROUP_SHIFT);
        r->source_is_node = head & READ_OF_NODE;
        r->source = source = take_near(g, r->ref.port < 0 ? r->ref.item : source);
        r->hash = unpack_hash(&g->u);
    }
    return reads;
}

static output_record *take_outputs(getter *g, size_t *count)
{
    output_record *outputs = take_list(g, sizeof *outputs, count);
    uint64_t item = 0;
    for (size_t i = 0; i < *count && is_fine(g); i++) {
        output_record *o = &outputs[i];
        uint64_t head = take_most(g, (uint64_t)UINT32_MAX << OUTPUT_PORT_SHIFT | OUTPUT_HASH);
        o->port = (uint32_t)(head >> OUTPUT_PORT_SHIFT);
        o->item = item = take_near(g, item);
        if (head & OUTPUT_HASH) o->hash = unpack_hash(&g->u);
        o->size = unpack_u64(&g->u);
        o->mode = (uint32_t)take_most(g, UINT32_MAX);
    }
    return outputs;
}

static hash128 hash_of_read(getter *g)
{
    uint64_t read = unpack_u64(&g->u);
    if (read < g->read_count && read < REASON_READS) return g->reads[read].hash;
    g->fault = g->field;
    return HASH_NONE;
}

static void take_reason(getter *g, reason_record *r)
{
    uint64_t head = take_most(g, REASON_KIND | REASON_RARE | REASON_SOURCE);
    uint64_t rare = head & REASON_RARE ? take_most(g, RARE_ALL) : 0;
    unsigned kind = head & REASON_KIND;
    if (kind >= EVENT_REASONS.count || !EVENT_REASONS.names[kind]) g->fault = g->field;
    r->kind = (reason_kind)kind;
    r->source_is_node = rare & RARE_OF_NODE;
    r->detail = bytes_str("");
    if (head & REASON_SOURCE) r->source = unpack_u64(&g->u);
    if (rare & RARE_OLD) r->old_hash = unpack_hash(&g->u);
    if (rare & RARE_NEW) r->new_hash = unpack_hash(&g->u);
    if (rare & RARE_NEW_IS_READ) r->new_hash = hash_of_read(g);
    if (rare & RARE_DETAIL) r->detail = take_text(g);
}

static reason_record *take_reasons(getter *g, size_t *count)
{
    reason_record *reasons = take_list(g, sizeof *reasons, count);
    for (size_t i = 0; i < *count && is_fine(g); i++) take_reason(g, &reasons[i]);
    return reasons;
}

static hash128 take_optional_hash(getter *g)
{
    return take_most(g, 1) ? unpack_hash(&g->u) : HASH_NONE;
}

static definition_read *take_seen(getter *g, size_t *count)
{
    definition_read *reads = take_list(g, sizeof *reads, count);
    uint64_t item = 0;
    for (size_t i = 0; i < *count && is_fine(g); i++) {
        reads[i].item = item = take_near(g, item);
        reads[i].hash = take_optional_hash(g);
    }
    return reads;
}

static aside_record *take_asides(getter *g, size_t *count)
{
    aside_record *asides = take_list(g, sizeof *asides, count);
    uint64_t item = 0;
    for (size_t i = 0; i < *count && is_fine(g); i++) {
        asides[i].item = item = take_near(g, item);
        asides[i].number = (uint32_t)take_most(g, UINT32_MAX);
        asides[i].hash = take_optional_hash(g);
        asides[i].mode = (uint32_t)take_most(g, UINT32_MAX);
    }
    return asides;
}

static uint64_t *take_ids(getter *g, size_t *count)
{
    uint64_t *ids = take_list(g, sizeof *ids, count);
    uint64_t last = 0;
    for (size_t i = 0; i < *count && is_fine(g); i++) ids[i] = last = take_near(g, last);
    return ids;
}

static bytes *take_texts(getter *g, size_t *count)
{
    bytes *texts = take_list(g, sizeof *texts, count);
    for (size_t i = 0; i < *count && is_fine(g); i++) texts[i] = take_text(g);
    return texts;
}

/* --- fields ---------------------------------------------------------------------------------------------------- */

/* A typed pointer per list: the members of the structs are of different pointer types. */
static void take_list_field(getter *g, field_type type, void *at, size_t *count)
{
    switch (type) {
    case FIELD_TEXTS: *(bytes **)at = take_texts(g, count); break;
    case FIELD_IDS: *(uint64_t **)at = take_ids(g, count); break;
    case FIELD_READS:
        g->reads = *(read_record **)at = take_reads(g, count);
        g->read_count = *count;
        break;
    case FIELD_OUTPUTS: *(output_record **)at = take_outputs(g, count); break;
    case FIELD_REASONS: *(reason_record **)at = take_reasons(g, count); break;
    case FIELD_SEEN: *(definition_read **)at = take_seen(g, count); break;
    case FIELD_ASIDES: *(aside_record **)at = take_asides(g, count); break;
    default: break;
    }
}

static void take_field(getter *g, const event_field *f, char *e)
{
    void *at = e + f->offset;
    switch (f->type) {
    case FIELD_U64: *(uint64_t *)at = unpack_u64(&g->u); break;
    case FIELD_I64: *(int64_t *)at = unpack_i64(&g->u); break;
    case FIELD_U32: *(uint32_t *)at = (uint32_t)take_most(g, UINT32_MAX); break;
    case FIELD_BOOL: *(bool *)at = true; break;
    case FIELD_ENUM: *(unsigned *)at = take_enum(g, f->names); break;
    case FIELD_HASH: *(hash128 *)at = unpack_hash(&g->u); break;
    case FIELD_TEXT:
    case FIELD_NODE_SPEC:
    case FIELD_EFFECT_SPEC:
    case FIELD_VALUE: *(bytes *)at = take_text(g); break;
    default: take_list_field(g, f->type, at, (size_t *)(void *)(e + f->count_offset)); break;
    }
}

/* What is not written: zero, but for texts, which point to an empty one, and enums without a zero. */
static void leave_out(getter *g, const event_field *f, char *e)
{
    if (f->type == FIELD_ENUM && !f->names->names[0]) g->fault = f->name;
    if (f->type == FIELD_TEXT) *(bytes *)(void *)(e + f->offset) = bytes_str("");
}

static void take_fields(getter *g, const event_form *form, char *e)
{
    uint64_t present = unpack_u64(&g->u);
    g->field = "fields";
    if (present >> form->count != 0) g->fault = "set of fields";
    for (unsigned i = 0; i < form->count && is_fine(g); i++) {
        g->field = form->fields[i].name;
        if (present >> i & 1) take_field(g, &form->fields[i], e);
        else leave_out(g, &form->fields[i], e);
    }
}

static int finish(getter *g, const char *name, weir_error *err)
{
    if (g->no_memory || g->arena->failed) return error_nomem(err, "reading an event");
    if (g->fault) return error_set(err, WEIR_CORRUPT, "event %s: a wrong %s", name, g->fault);
    if (g->u.failed) return error_set(err, WEIR_CORRUPT, "event %s: cut off or badly sized at %s", name, g->field);
    if (unpack_done(&g->u)) return 0;
    return error_set(err, WEIR_CORRUPT, "event %s: %zu bytes too many", name, (size_t)(g->u.end - g->u.at));
}

int event_get(int kind, bytes body, mem_arena *arena, event_body *out, weir_error *err)
{
    const event_form *form = event_form_of(kind);
    *out = (event_body){0};
    if (!form) return error_set(err, WEIR_NEWER, "event: kind %d is not known", kind);
    if (body.size == 0) return error_set(err, WEIR_CORRUPT, "event %s: empty", form->name);
    getter g = {.u = unpack_of(body), .arena = arena, .field = "version"};
    uint64_t version = unpack_u64(&g.u);
    if (version > EVENT_VERSION)
        return error_set(err, WEIR_NEWER, "event %s: version %llu is not known", form->name, (unsigned long long)version);
    if (version == 0) return error_set(err, WEIR_CORRUPT, "event %s: no version", form->name);
    memset(out, 0, sizeof *out); /* the initializer clears only the first member of the union */
    out->kind = (event_kind)kind;
    take_fields(&g, form, (char *)&out->session);
    return finish(&g, form->name, err);
}

int event_get_reads(int kind, bytes body, mem_arena *arena, read_record **reads, size_t *count, weir_error *err)
{
    event_body event;
    *reads = NULL;
    *count = 0;
    int rc = event_get(kind, body, arena, &event, err);
    if (rc != 0) return rc;
    if (kind != EVENT_FINISHED && kind != EVENT_ACCEPTED)
        return error_set(err, WEIR_CORRUPT, "event %s: it should be the end of an execution", event_kind_name(kind));
    *reads = event.finished.reads; /* as an accepted result */
    *count = event.finished.read_count;
    return 0;
}

int read_refs_get(bytes from, mem_arena *arena, read_ref **refs, size_t *count, weir_error *err)
{
    getter g = {.u = unpack_of(from), .arena = arena, .field = "refs"};
    *refs = take_refs(&g, count);
    return finish(&g, "read", err);
}
