/*
 * fold_node.c - declarations into the state: nodes, what they depend on, what they claim.
 *
 * N1  An item has at most one live node that claims it; a claimed item is never waiting for removal.
 * N2  graph.nodes counts the live nodes of a graph.
 * N3  Edges and uses lead to live nodes only. An edge comes from a vanished node when a live one still declares it: a node of a
 *     list, until that list is compared again. With the node comes back who uses it, and nobody else would say so.
 * N4  A pending change of a node is one of its outputs, too, from when it does not claim them any more: who uses the path was
 *     to be told of it, and whoever claims it next may find it as it makes it.
 *
 * Members of a declaration are compared with the stored ones and only the difference is written: a fan-in of a hundred
 * thousand costs what changed in it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/store/fold_internal.h"

/* Sorted ids. */
typedef struct ids {
    uint64_t *items;
    size_t count, capacity;
} ids;

static int out_of_memory(fold *f)
{
    return error_nomem(f->err, "folding an event");
}

static bool ids_add(fold *f, ids *list, uint64_t id)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        uint64_t *items = arena_alloc(f->scratch, capacity * sizeof *items);
        if (!items) return false;
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = id;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void ids_sort(ids *list)
{
    if (list->count < 2) return;
    qsort(list->items, list->count, sizeof *list->items, compare_ids);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++)
        if (list->items[i] != list->items[kept - 1]) list->items[kept++] = list->items[i];
    list->count = kept;
}

static bool ids_have(const ids *list, uint64_t id)
{
    return list->count && bsearch(&id, list->items, list->count, sizeof id, compare_ids);
}

/* --- edges and uses ---------------------------------------------------------------------------------------------- */

/* Ids from the first column of a statement bound to a node. */
static int read_ids(fold *f, int statement, uint64_t node, ids *list)
{
    int rc;
    db_stmt *s = fold_get(f, statement);
    if (!s) return f->err->code;
    bind_u64(s, 1, node);
    while ((rc = db_step(s, f->err)) == 1)
        if (!ids_add(f, list, (uint64_t)db_int(s, 0))) {
            db_reset(s);
            return out_of_memory(f);
        }
    return rc;
}

typedef struct link_kind {
    int list, remove, add;
} link_kind;

static const link_kind DECLARED_USES = {SQL_FOLD_USES_DECLARED, SQL_FOLD_USE_DELETE, SQL_FOLD_USE_DECLARE};
static const link_kind DISCOVERED_USES = {SQL_FOLD_USES_DISCOVERED, SQL_FOLD_USE_DELETE, SQL_FOLD_USE_DISCOVER};
static const link_kind EXPANDED_EDGES = {SQL_FOLD_EDGES_EXPANDED, SQL_FOLD_EDGE_DELETE, SQL_FOLD_EDGE_EXPAND};
static const link_kind DISCOVERED_EDGES = {SQL_FOLD_EDGES_DISCOVERED, SQL_FOLD_EDGE_DELETE, SQL_FOLD_EDGE_DISCOVER};
static const link_kind DECLARED_EDGES = {SQL_FOLD_EDGES_DECLARED, SQL_FOLD_EDGE_DELETE, SQL_FOLD_EDGE_DECLARE};

/* Make the stored links of one kind equal to `wanted` (sorted). A link of the other origin stays. */
static int replace_links(fold *f, const link_kind *kind, uint64_t node, bool is_new, const ids *wanted, bool *any)
{
    ids stored = {0};
    size_t i = 0;
    size_t j = 0;
    int rc = is_new ? 0 : read_ids(f, kind->list, node, &stored);
    if (any) *any = stored.count > 0 || wanted->count > 0;
    while (rc == 0 && (i < stored.count || j < wanted->count)) {
        bool gone = j == wanted->count || (i < stored.count && stored.items[i] < wanted->items[j]);
        bool fresh = !gone && (i == stored.count || wanted->items[j] < stored.items[i]);
        if (gone) rc = FOLD_RUN(f, kind->remove, node, stored.items[i]);
        else if (fresh) rc = FOLD_RUN(f, kind->add, node, wanted->items[j]);
        if (!fresh) i++;
        if (!gone) j++;
    }
    return rc;
}

int fold_discovered(fold *f, uint64_t node, uint64_t *items, size_t count)
{
    ids wanted = {items, count, count}, makers = {0};
    bool any = false;
    ids_sort(&wanted);
    int rc = replace_links(f, &DISCOVERED_USES, node, false, &wanted, &any);
    if (rc != 0 || !any) return rc;
    rc = fold_flush(f);
    if (rc == 0) rc = read_ids(f, SQL_FOLD_NEEDED, node, &makers); /* nodes that were needed: known by an item with their name */
    ids_sort(&makers);
    return rc == 0 ? replace_links(f, &DISCOVERED_EDGES, node, false, &makers, NULL) : rc;
}

static int declare_links(fold *f, uint64_t node, bool is_new, const node_spec *spec)
{
    ids items = {0};
    ids nodes = {0};
    ids lists = {0};
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t j = 0; j < spec->inputs[i].count; j++) {
            const spec_member *m = &spec->inputs[i].members[j];
            ids *to = m->kind == MEMBER_ITEM ? &items : m->kind == MEMBER_EXPAND ? &lists : &nodes;
            if (!ids_add(f, to, m->id)) return out_of_memory(f);
        }
    ids_sort(&items);
    ids_sort(&nodes);
    ids_sort(&lists);
    int rc = replace_links(f, &DECLARED_USES, node, is_new, &items, NULL);
    if (rc == 0) rc = replace_links(f, &DECLARED_EDGES, node, is_new, &nodes, NULL);
    return rc == 0 ? replace_links(f, &EXPANDED_EDGES, node, is_new, &lists, NULL) : rc;
}

/* --- claimed outputs --------------------------------------------------------------------------------------------- */

typedef struct claim {
    uint64_t item;
    hash128 hash;
} claim;

static int read_claims(fold *f, uint64_t node, claim **claims, size_t *count)
{
    size_t capacity = 0;
    int rc;
    *claims = NULL;
    *count = 0;
    if ((rc = fold_flush(f)) != 0) return rc;
    db_stmt *s = fold_get(f, SQL_FOLD_CLAIMS);
    if (!s) return f->err->code;
    bind_u64(s, 1, node);
    while ((rc = db_step(s, f->err)) == 1) {
        if (!MEM_GROW(*claims, capacity, *count + 1)) {
            db_reset(s);
            return out_of_memory(f);
        }
        (*claims)[(*count)++] = (claim){(uint64_t)db_int(s, 0), db_hash(s, 1)};
    }
    return rc;
}

/* Did the declaration of event `seq` keep its payloads out of the store? */
static int had_no_store(fold *f, uint64_t seq, bool *no_store)
{
    event_body event;
    node_spec spec;
    db_stmt *s = fold_get(f, SQL_LOG_EVENT_BODY);
    if (!s) return f->err->code;
    bind_u64(s, 1, seq);
    int rc = db_step(s, f->err);
    if (rc == 0) rc = error_set(f->err, WEIR_CORRUPT, "event %" PRIu64 " with a declaration is not in the log", seq);
    if (rc == 1) rc = event_get((int)db_int(s, 0), db_bytes(s, 1), f->scratch, &event, f->err);
    if (rc == 0 && event.kind != EVENT_NODE) rc = error_set(f->err, WEIR_CORRUPT, "event %" PRIu64 " is no declaration", seq);
    if (rc == 0) rc = spec_get_stored(event.node.spec, f->scratch, &spec, f->err);
    if (rc == 0) *no_store = (spec.flags & SPEC_NO_STORE) != 0;
    db_reset(s);
    return rc;
}

static int vanish(fold *f, const claim *c, uint64_t node, bool keep)
{
    if (hash_is_none(c->hash) || hash_equal(c->hash, HASH_ABSENT)) return 0;
    db_stmt *s = fold_get(f, SQL_FOLD_VANISHED);
    if (!s) return f->err->code;
    bind_u64(s, 1, c->item);
    bind_u64(s, 2, node);
    bind_hash(s, 3, &c->hash);
    db_bind_int(s, 4, keep);
    return db_run(s, f->err);
}

static int release(fold *f, const claim *c, uint64_t node, bool keep)
{
    int rc = FOLD_RUN(f, SQL_FOLD_PENDING_LEFT, c->item, 0);
    db_stmt *s = rc == 0 ? fold_get(f, SQL_FOLD_CLAIM) : NULL;
    if (!s) return f->err->code;
    bind_u64(s, 1, c->item); /* the node stays null */
    rc = db_run(s, f->err);
    return rc == 0 ? vanish(f, c, node, keep) : rc;
}

/* Give up the outputs that `node` claims and that are not in `wanted`; old_spec: seq of the declaration that claimed them. */
static int release_outputs(fold *f, uint64_t node, uint64_t old_spec, const ids *wanted)
{
    claim *claims;
    size_t count;
    bool keep = false;
    bool is_known = false;
    int rc = read_claims(f, node, &claims, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (ids_have(wanted, claims[i].item)) continue;
        if (!is_known) rc = had_no_store(f, old_spec, &keep);
        is_known = true;
        if (rc == 0) rc = release(f, &claims[i], node, keep);
    }
    mem_free(claims);
    return rc;
}

static int claim_outputs(fold *f, uint64_t node, const ids *wanted)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < wanted->count; i++) {
        late_item *waiting = fold_item_waiting(f, wanted->items[i]); /* new: nothing waits for its removal */
        if (waiting) {
            waiting->node = node;
            continue;
        }
        rc = FOLD_RUN(f, SQL_FOLD_PENDING_LEFT, wanted->items[i], node);
        if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_CLAIM, wanted->items[i], node);
        if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_VANISHED_DELETE, wanted->items[i]);
    }
    return rc;
}

static int declare_outputs(fold *f, uint64_t node, uint64_t old_spec, const node_spec *spec)
{
    ids wanted = {0};
    for (size_t i = 0; i < spec->output_count; i++)
        if (!ids_add(f, &wanted, spec->outputs[i].id)) return out_of_memory(f);
    ids_sort(&wanted);
    int rc = old_spec ? release_outputs(f, node, old_spec, &wanted) : 0;
    return rc == 0 ? claim_outputs(f, node, &wanted) : rc;
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

typedef struct node_row {
    bool is_known; /* there is a row */
    uint64_t status, settled, spec, graph;
} node_row;

static int read_node(fold *f, uint64_t node, node_row *row)
{
    *row = (node_row){0};
    db_stmt *s = fold_get(f, SQL_FOLD_NODE_GET);
    if (!s) return f->err->code;
    bind_u64(s, 1, node);
    int rc = db_step(s, f->err);
    if (rc == 1)
        *row = (node_row){true, (uint64_t)db_int(s, 0), (uint64_t)db_int(s, 1), (uint64_t)db_int(s, 2), (uint64_t)db_int(s, 4)};
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static reason_kind due_reason(const node_row *old, bool is_born, uint64_t successor_of)
{
    if (is_born) return successor_of ? REASON_PARAMS_CHANGED : REASON_NEW;
    return old->settled == 0 ? REASON_NEW : REASON_PARAMS_CHANGED;
}

static int write_node(fold *f, const event_node *e, const node_spec *spec, bool is_known, reason_kind due)
{
    db_stmt *s = fold_get(f, is_known ? SQL_FOLD_NODE_DECLARE : SQL_FOLD_NODE_ADD);
    if (!s) return f->err->code;
    bind_u64(s, 1, e->node);
    bind_u64(s, 2, e->graph);
    bind_blob(s, 3, spec->name);
    bind_u64(s, 4, spec->effect_id);
    bind_u64(s, 5, e->height);
    db_bind_int(s, 6, due);
    db_bind_int(s, 7, (spec->flags & SPEC_ALWAYS) != 0);
    bind_u64(s, 8, f->seq);
    bind_u64(s, 9, spec->parent);
    db_bind_int(s, 10, (spec->flags & SPEC_EXPAND) != 0);
    return db_run(s, f->err);
}

int fold_node(fold *f, const event_node *e)
{
    node_spec spec;
    node_row old;
    int rc = spec_get_stored(e->spec, f->scratch, &spec, f->err);
    if (rc == 0) rc = read_node(f, e->node, &old);
    if (rc != 0) return rc;
    bool is_born = !old.is_known || old.status == NODE_VANISHED;
    rc = write_node(f, e, &spec, old.is_known, due_reason(&old, is_born, e->successor_of));
    if (rc == 0 && is_born && e->successor_of) rc = FOLD_RUN(f, SQL_FOLD_NODE_SUCCEED, e->node, e->successor_of);
    if (rc == 0 && !is_born && old.graph != e->graph) rc = fold_count_nodes(f, old.graph, -1);
    if (rc == 0 && (is_born || old.graph != e->graph)) rc = fold_count_nodes(f, e->graph, 1);
    if (rc == 0) rc = declare_links(f, e->node, !old.is_known, &spec);
    return rc == 0 ? declare_outputs(f, e->node, old.spec, &spec) : rc;
}

int fold_node_removed(fold *f, const event_node_removed *e)
{
    static const ids none = {0};
    node_row old;
    int rc = read_node(f, e->node, &old);
    if (rc != 0 || !old.is_known || old.status == NODE_VANISHED) return rc;
    rc = FOLD_RUN(f, SQL_FOLD_NODE_VANISH, e->node);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_GRAPH_REMOVED, e->node, f->seq);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_EDGES_IN_DELETE, e->node);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_EDGES_OUT_DELETE, e->node);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_USES_DELETE, e->node);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_EXPANSION_DELETE, e->node);
    if (rc == 0) rc = release_outputs(f, e->node, old.spec, &none);
    return rc == 0 ? fold_count_nodes(f, old.graph, -1) : rc;
}

/* The order of the nodes is packed as differences of their ids: mostly a byte each. */
int fold_expanded(fold *f, const event_expanded *e)
{
    buf list;
    uint64_t last = 0;
    int rc;
    buf_init(&list);
    for (size_t i = 0; i < e->child_count; i++) {
        buf_put_i64(&list, (int64_t)(e->children[i] - last));
        last = e->children[i];
    }
    db_stmt *s = list.failed ? NULL : fold_get(f, SQL_FOLD_EXPANSION);
    if (s) {
        bind_u64(s, 1, e->node);
        bind_hash(s, 2, &e->value);
        bind_blob(s, 3, buf_bytes(&list));
        rc = db_run(s, f->err);
    } else {
        rc = list.failed ? out_of_memory(f) : f->err->code;
    }
    buf_deinit(&list);
    return rc;
}

/* What it read before is history: it has to be looked at, and then says again what it reads. */
int fold_edge_dropped(fold *f, const event_edge_dropped *e)
{
    int rc = fold_flush(f);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_EDGE_FORGET, e->from, e->to);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_USES_FORGET, e->from, e->to);
    return rc == 0 ? FOLD_RUN(f, SQL_FOLD_NODE_UNSETTLE, e->to, REASON_INPUTS_REMOVED) : rc;
}

/* --- definitions ------------------------------------------------------------------------------------------------- */

/* The row of a graph; nodes may have been declared before it. */
static int write_graph(fold *f, const event_definition *e, int statement)
{
    db_stmt *s = fold_get(f, statement);
    if (!s) return f->err->code;
    bind_u64(s, 1, e->graph);
    bind_blob(s, 2, e->file);
    bind_u64(s, 3, f->seq);
    bind_blob(s, 4, e->always);
    return db_run(s, f->err);
}

static int write_definition_reads(fold *f, const event_definition *e)
{
    int rc = FOLD_RUN(f, SQL_FOLD_DEFINITION_READS_DELETE, e->graph);
    for (size_t i = 0; rc == 0 && i < e->read_count; i++) {
        db_stmt *s = fold_get(f, SQL_FOLD_DEFINITION_READ);
        if (!s) return f->err->code;
        bind_u64(s, 1, e->graph);
        bind_u64(s, 2, e->reads[i].item);
        bind_raw_hash(s, 3, &e->reads[i].hash);
        rc = db_run(s, f->err);
    }
    return rc;
}

static int write_defaults(fold *f, const event_definition *e)
{
    int rc = FOLD_RUN(f, SQL_FOLD_DEFAULTS_DELETE, e->graph);
    for (size_t i = 0; rc == 0 && i < e->default_count; i++) {
        db_stmt *s = fold_get(f, SQL_FOLD_DEFAULT);
        if (!s) return f->err->code;
        bind_u64(s, 1, e->graph);
        bind_u64(s, 2, i);
        bind_blob(s, 3, e->defaults[i]);
        rc = db_run(s, f->err);
    }
    return rc;
}

int fold_definition(fold *f, const event_definition *e)
{
    int rc = fold_flush(f); /* nodes are counted */
    if (rc == 0) rc = write_graph(f, e, SQL_FOLD_GRAPH_SET);
    if (rc == 0 && db_changes(f->d) == 0) rc = write_graph(f, e, SQL_FOLD_GRAPH_ADD);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_EXPANSIONS_RESET, e->graph); /* each list is compared once more */
    if (rc == 0) rc = write_definition_reads(f, e);
    return rc == 0 ? write_defaults(f, e) : rc;
}
