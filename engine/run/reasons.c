/*
 * reasons.c - why a node is due: what held before, beside what holds now.
 *
 * Compared are the reads of the execution whose result held (up to the first group with a change: later reads followed from it), the
 * declarations that it was made with, and the outputs on disk. What no comparison shows is taken from the node's state.
 */
#include "engine/run/engine.h"
#include "engine/run/output.h"

#include "generated/schema.h"
#include "engine/store/read.h"

typedef struct reason_list {
    task *t;
    size_t capacity;
    weir_error *err;
} reason_list;

static void add(reason_list *l, reason_record r)
{
    task *t = l->t;
    if (t->reason_count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 8;
        reason_record *more = arena_alloc(&t->arena, capacity * sizeof *more);
        if (!more) return;
        if (t->reason_count) memcpy(more, t->reasons, t->reason_count * sizeof *more);
        t->reasons = more;
        l->capacity = capacity;
    }
    if (!r.detail.data) r.detail = bytes_of("", 0);
    t->reasons[t->reason_count++] = r;
}

static void add_kind(reason_list *l, reason_kind kind, const char *detail)
{
    add(l, (reason_record){.kind = kind, .detail = bytes_str(detail)});
}

/* --- reads ------------------------------------------------------------------------------------------------------- */

static bytes port_name(const node_spec *spec, const read_ref *ref)
{
    if (ref->port < 0 || ref->aspect == ASPECT_OUTPATH || (size_t)ref->port >= spec->input_count) return bytes_of("", 0);
    return spec->inputs[ref->port].port;
}

/* By the thing itself where the read names one, so that it works across changed declarations. false: it cannot be told. */
static bool hash_now(task *t, read_record *r, bool same_spec, bool own, hash128 *now)
{
    weir *w = t->w;
    weir_error err = {0};
    if (own && r->source != 0 && r->source_is_node) {
        const cat_node *n = catalog_node(w->catalog, r->source, &err);
        if (!n) return false;
        *now = r->ref.aspect == ASPECT_PARAMS ? read_params_hash(n->spec.params) : hash_is_none(n->value) ? HASH_ABSENT : n->value;
        return true;
    }
    if (r->source != 0 && r->ref.aspect == ASPECT_CONTENT && (own || r->ref.port < 0)) {
        const cat_item *item = catalog_item(w->catalog, r->source, &err);
        if (!item) return false;
        cat_node *needed = NULL;
        const cat_item *folder = NULL;
        if (item->kind == ITEM_MEMBER && output_member_look(w, catalog_item(w->catalog, r->source, &err), &folder, &err) != 0) return false;
        *now = item->kind == ITEM_NODE ? HASH_ABSENT : item->hash;
        if (item->kind == ITEM_MEMBER && hash_is_none(*now)) return false;
        if (item->kind == ITEM_NODE && need_node(w, item->name, &needed, &err) != 0) return false;
        return !needed || resolve_node_hash(w, needed, now, &err) == 0;
    }
    if (!same_spec) return false;
    uint64_t wait_for = 0, source = 0;
    bool is_node = false;
    resolve_result how = RESOLVE_IMPOSSIBLE;
    size_t asked = t->observe_count;
    uint64_t unsure = t->unsure;
    int rc = settle_resolve(t, &r->ref, now, &wait_for, &how, &source, &is_node, &err);
    t->observe_count = asked;
    t->unsure = unsure;
    r->source = source;
    r->source_is_node = is_node;
    return rc == 0 && how == RESOLVE_KNOWN;
}

/* A list as a whole changed: name its members. false: they could not be told. */
static bool add_members(reason_list *l, const read_record *r, const node_spec *spec)
{
    task *t = l->t;
    weir_error err = {0};
    hash128 *old = NULL;
    size_t count = 0;
    const spec_input *input = &spec->inputs[r->ref.port];
    if (blob_list_members(t->w->blobs, catalog_db(t->w->catalog), r->hash, &old, &count, &err) != 0) return false;
    bool named = false;
    for (size_t i = 0; count == input->count && i < count; i++) {
        hash128 now;
        const spec_member *m = &input->members[i];
        if (resolve_member_hash(t, m, &now, &err) != 0 || hash_equal(now, old[i])) continue;
        cat_item *item = NULL;
        const cat_node *up = m->kind == MEMBER_NODE ? catalog_node(t->w->catalog, m->id, &err) : NULL;
        bool one_file = m->kind != MEMBER_NODE || (up && up->spec.output_count == 1 && hash_is_none(up->value));
        if (one_file) resolve_file(t, m, -1, &item, &err);
        add(l, (reason_record){.kind = REASON_INPUT_CHANGED, .source = item ? item->id : m->id, .source_is_node = !item,
                               .old_hash = old[i], .new_hash = now, .detail = input->port});
        named = true;
    }
    mem_free(old);
    return named;
}

static int compare_reads(reason_list *l, const cat_result *before, bool same_spec)
{
    task *t = l->t;
    bool own = before->node == t->node->id; /* another node's reads hold by position, not by what they named there */
    read_record *reads = NULL;
    size_t count = 0;
    int rc = catalog_reads(t->w->catalog, before->execution, &t->arena, &reads, &count, l->err);
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc != 0) return rc;
    uint32_t changed_group = UINT32_MAX;
    for (size_t i = 0; i < count && reads[i].group <= changed_group; i++) {
        read_record *r = &reads[i];
        hash128 now = HASH_NONE;
        if (!hash_now(t, r, same_spec, own, &now) || hash_equal(now, r->hash)) continue;
        changed_group = r->group;
        if (r->ref.aspect == ASPECT_LIST && add_members(l, r, &t->node->spec)) continue;
        add(l, (reason_record){.kind = REASON_INPUT_CHANGED, .source = r->source, .source_is_node = r->source_is_node,
                               .old_hash = r->hash, .new_hash = now,
                               .detail = same_spec ? port_name(&t->node->spec, &r->ref) : bytes_of("", 0)});
    }
    return 0;
}

/* --- declarations ------------------------------------------------------------------------------------------------ */

int settle_load_event(task *t, uint64_t seq, int kind, event_body *body, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(t->w->catalog), SQL_SPEC_BY_SEQ, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)seq);
    int rc = db_step(q, err);
    if (rc == 1) {
        bytes copy = arena_bytes(&t->arena, db_bytes(q, 0));
        rc = event_get(kind, copy, &t->arena, body, err);
    } else if (rc == 0) {
        rc = WEIR_NOTFOUND;
    }
    db_reset(q);
    return rc;
}

typedef struct member_list {
    const spec_member *first;
    size_t count;
} member_list;

static member_list declared_members(const spec_input *input)
{
    if (input->declared) return (member_list){input->declared, input->declared_count};
    return (member_list){input->members, input->count};
}

/* What makes two members the same; valid until the next one. */
static bytes member_key(buf *key, const spec_member *m)
{
    buf_clear(key);
    buf_byte(key, (uint8_t)m->kind);
    buf_put_u64(key, m->id);
    buf_append(key, m->port.data, m->port.size);
    return buf_bytes(key);
}

/* Members of `list` that `in` does not have. A list may have 100,000: each is looked up, not looked for. */
static int port_missing(reason_list *l, member_list in, member_list list, bytes port, reason_kind kind)
{
    map known;
    buf key;
    bool is_full = true;
    map_init(&known);
    buf_init(&key);
    for (size_t i = 0; is_full && i < in.count; i++) is_full = map_put(&known, member_key(&key, &in.first[i]), NULL) != NULL;
    for (size_t i = 0; is_full && i < list.count; i++) {
        const spec_member *m = &list.first[i];
        if (map_get(&known, member_key(&key, m))) continue;
        add(l, (reason_record){.kind = kind, .source = m->id, .source_is_node = m->kind != MEMBER_ITEM, .detail = port});
    }
    bool failed = !is_full || key.failed;
    buf_deinit(&key);
    map_deinit(&known);
    return failed ? error_nomem(l->err, "comparing declarations") : 0;
}

static int members_missing(reason_list *l, const node_spec *in, const node_spec *from, reason_kind kind)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->input_count; i++) {
        int index = spec_input_index(in, from->inputs[i].port);
        member_list has = index < 0 ? (member_list){NULL, 0} : declared_members(&in->inputs[index]);
        rc = port_missing(l, has, declared_members(&from->inputs[i]), from->inputs[i].port, kind);
    }
    return rc;
}

static bool same_env(const node_spec *a, const node_spec *b)
{
    if (a->env_count != b->env_count) return false;
    for (size_t i = 0; i < a->env_count; i++)
        if (!bytes_equal(a->env[i].name, b->env[i].name) || !bytes_equal(a->env[i].value, b->env[i].value)) return false;
    return true;
}

static bool same_command(const node_spec *a, const node_spec *b)
{
    if (a->command_count != b->command_count || a->flags != b->flags || !bytes_equal(a->depfile, b->depfile)) return false;
    for (size_t i = 0; i < a->command_count; i++)
        if (!bytes_equal(a->command[i], b->command[i])) return false;
    return true;
}

static bool same_outputs(const node_spec *a, const node_spec *b)
{
    if (a->output_count != b->output_count) return false;
    for (size_t i = 0; i < a->output_count; i++)
        if (a->outputs[i].id != b->outputs[i].id || !bytes_equal(a->outputs[i].port, b->outputs[i].port)) return false;
    return true;
}

/*
 * The declaration under which the node itself was settled before: the result may be another node's with the same key, or of an earlier
 * declaration, and have held under a later one since. A failure says nothing about a result of its own.
 */
static int own_spec_seq(task *t, const cat_result *before, uint64_t *seq, weir_error *err)
{
    bool own = before->node == t->node->id;
    *seq = before->spec_seq;
    if (own && before->spec_seq == t->node->spec_seq) return 0; /* it ran under this declaration, so nothing later was under another one */
    db_stmt *q = db_get(catalog_db(t->w->catalog), own ? SQL_SETTLED_WELL_SPEC : SQL_SETTLED_SPEC, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    int rc = db_step(q, err);
    *seq = rc == 1 ? (uint64_t)db_int(q, 0) : own ? before->spec_seq : t->node->spec_seq;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static int compare_spec(reason_list *l, uint64_t seq)
{
    task *t = l->t;
    event_body body;
    node_spec old;
    int rc = settle_load_event(t, seq, EVENT_NODE, &body, l->err);
    t->shows_otherwise = true;
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc == 0) rc = spec_get_stored(body.node.spec, &t->arena, &old, l->err);
    if (rc != 0) return rc;
    const node_spec *now = &t->node->spec;
    size_t found = t->reason_count;
    t->shows_otherwise = !bytes_equal(old.params, now->params) || !same_outputs(&old, now);
    if (!bytes_equal(old.params, now->params))
        add(l, (reason_record){.kind = REASON_PARAMS_CHANGED, .old_hash = hash_bytes(old.params.data, old.params.size),
                               .new_hash = hash_bytes(now->params.data, now->params.size), .detail = bytes_str("params")});
    rc = members_missing(l, &old, now, REASON_INPUTS_ADDED);
    if (rc == 0) rc = members_missing(l, now, &old, REASON_INPUTS_REMOVED);
    if (rc != 0) return rc;
    if (!same_env(&old, now)) add_kind(l, REASON_ENV_CHANGED, "env");
    if (!same_command(&old, now)) add_kind(l, REASON_PARAMS_CHANGED, "command");
    if (!same_outputs(&old, now)) add_kind(l, REASON_PARAMS_CHANGED, "outputs");
    if (!bytes_equal(old.version, now->version)) add_kind(l, REASON_CODE_CHANGED, "version");
    if (found == t->reason_count && !bytes_equal(old.effect, now->effect)) add_kind(l, REASON_CODE_CHANGED, "effect");
    if (found == t->reason_count) add_kind(l, REASON_PARAMS_CHANGED, "inputs");
    return 0;
}

static int compare_effect(reason_list *l, const cat_result *before)
{
    task *t = l->t;
    event_body body;
    effect_spec old;
    int rc = settle_load_event(t, before->effect_seq, EVENT_EFFECT, &body, l->err);
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc == 0) rc = effect_get(body.effect.spec, &t->arena, &old, l->err);
    if (rc != 0) return rc;
    bool has_version = !bytes_equal(old.version, t->effect->spec.version);
    bool decides = t->effect->spec.policy == CODE_TRACK || !has_version; /* code = "pin": the version does */
    if (!hash_equal(old.code, t->effect->spec.code) && decides)
        add(l, (reason_record){.kind = REASON_CODE_CHANGED, .old_hash = old.code, .new_hash = t->effect->spec.code,
                               .detail = bytes_str("code")});
    else if (has_version)
        add_kind(l, REASON_CODE_CHANGED, "version");
    return 0;
}

/* --- outputs and state ------------------------------------------------------------------------------------------- */

static void compare_outputs(reason_list *l)
{
    task *t = l->t;
    for (size_t i = 0; i < t->node->spec.output_count; i++) {
        const cat_item *item = catalog_item(t->w->catalog, t->node->spec.outputs[i].id, NULL);
        if (!item || !item->disk_differs) continue;
        bool absent = hash_equal(item->disk_hash, HASH_ABSENT);
        add(l, (reason_record){.kind = absent ? REASON_OUTPUT_MISSING : REASON_OUTPUT_MODIFIED, .source = item->id,
                               .old_hash = item->hash, .new_hash = item->disk_hash, .detail = t->node->spec.outputs[i].port});
    }
}

/* Nothing has changed: it is asked for, and what it made was dropped. */
static void compare_dropped(reason_list *l)
{
    task *t = l->t;
    for (size_t i = 0; i < t->node->spec.output_count; i++) {
        const cat_item *item = catalog_item(t->w->catalog, t->node->spec.outputs[i].id, NULL);
        os_stat st;
        if (!item || hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT)) continue;
        if (os_statat(t->w->rootfd, (const char *)item->name.data, false, &st, NULL) != 0 || st.type != OS_ABSENT) continue;
        add(l, (reason_record){.kind = REASON_OUTPUT_MISSING, .source = item->id, .old_hash = item->hash, .new_hash = HASH_ABSENT,
                               .detail = t->node->spec.outputs[i].port});
    }
}

/*
 * Does an output hold what another node made there since this one was settled? Users that name the node, not the path, were not told:
 * it was not declared then.
 */
static void compare_claims(task *t, const cat_result *before)
{
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < before->output_count && !t->shows_otherwise; i++) {
        if (before->outputs[i].port >= spec->output_count) continue;
        const cat_item *item = catalog_item(t->w->catalog, spec->outputs[before->outputs[i].port].id, NULL);
        t->shows_otherwise = item && !hash_equal(item->hash, before->outputs[i].hash);
    }
}

int settle_reasons(task *t, weir_error *err)
{
    reason_list l = {.t = t, .err = err};
    const cat_node *n = t->node;
    t->reason_count = 0;
    t->reasons = NULL;
    t->shows_otherwise = false;
    if (n->forced) add_kind(&l, REASON_FORCED, "");
    if ((n->spec.flags & SPEC_ALWAYS)) add_kind(&l, REASON_ALWAYS, "");
    else if (t->effect->spec.always.size) add(&l, (reason_record){.kind = REASON_ALWAYS, .detail = t->effect->spec.always});
    if (n->status == CAT_FAILED) add_kind(&l, REASON_PREVIOUS_FAILED, "");
    bool own_due = n->status == CAT_DUE && (n->due == REASON_INTERRUPTED || n->due == REASON_VOIDED || n->due == REASON_RACED ||
                                            n->due == REASON_IMPURE);
    if (own_due) add_kind(&l, (reason_kind)n->due, "");
    int rc = 0;
    const cat_result *before = NULL;
    if (n->execution != 0) rc = catalog_result(t->w->catalog, n->execution, &before, err);
    if (rc == WEIR_NOTFOUND) rc = 0;
    if (rc == 0 && before) {
        uint64_t seq = 0;
        rc = own_spec_seq(t, before, &seq, err);
        bool same_spec = seq == n->spec_seq;
        if (rc == 0 && !same_spec) rc = compare_spec(&l, seq);
        if (rc == 0 && before->effect_seq != t->effect->seq) rc = compare_effect(&l, before);
        if (rc == 0 && !hash_equal(before->tool, t->tool) && !hash_is_none(t->tool))
            add(&l, (reason_record){.kind = REASON_INPUT_CHANGED, .old_hash = before->tool, .new_hash = t->tool,
                                    .detail = bytes_str("tool")});
        if (rc == 0) rc = compare_reads(&l, before, same_spec);
        if (rc == 0) compare_claims(t, before);
    }
    compare_outputs(&l);
    if (t->reason_count == 0 && (n->spec.flags & SPEC_TRANSIENT) && n->status == CAT_SETTLED) compare_dropped(&l);
    if (t->reason_count == 0 && !t->unsure && !(t->accepting && n->execution != 0)) { /* as it was, and accepted: for no reason */
        bool named = n->status == CAT_DUE && n->due != 0;
        add_kind(&l, named && n->execution != 0 ? (reason_kind)n->due : n->execution == 0 ? REASON_NEW : REASON_INPUT_CHANGED, "");
    }
    return rc;
}
