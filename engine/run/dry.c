/*
 * dry.c - what would run: the planner without the work. `weir run -n` and `weir status --check` are this.
 *
 * The turn is the same as that of a run, node by node in order of height. A node that must run is told and takes the state "planned"; what it
 * will make is unknown from then on. A user whose lookup comes upon something unknown is told as maybe and is planned too; one
 * that misses before that will run whatever comes out above it; one that hits does not read what is unknown.
 *
 * D1  Nothing is written: the journal is silent, and without a state folder the state is an empty database in memory.
 * D2  What is told as due runs in the next run, unless a node above it fails. What is not told does not run, except what
 *     executions discover then.
 *
 * New declarations are in memory alone, so the users of a node are those that are stored, without the edges that the new
 * declarations took back, and those that the new declarations name.
 *
 * Loop thread only. Memory: the dry_run, until the run ends.
 */
#include <stdlib.h>

#include "engine/run/engine.h"
#include "generated/schema.h"

static const char doing[] = "planning";

typedef struct pair {
    uint64_t source, user;
} pair;

struct dry_run {
    map changed;   /* nodes whose declaration is in memory alone */
    pair *declared; /* their edges, by source */
    size_t declared_count, declared_capacity;
    map seen;      /* of one question */
    map keys;      /* of nodes that would run -> the first one */
};

void dry_free(weir *w)
{
    dry_run *d = w->dry_run;
    if (!d) return;
    map_deinit(&d->changed);
    map_deinit(&d->seen);
    map_deinit(&d->keys);
    mem_free(d->declared);
    mem_free(d);
    w->dry_run = NULL;
}

/* --- edges of new declarations ----------------------------------------------------------------------------------- */

static int add_edge(dry_run *d, uint64_t source, uint64_t user, weir_error *err)
{
    if (source == 0) return 0;
    if (!MEM_GROW(d->declared, d->declared_capacity, d->declared_count + 1)) return error_nomem(err, doing);
    d->declared[d->declared_count++] = (pair){source, user};
    return 0;
}

static int add_edges(weir *w, const cat_node *node, weir_error *err)
{
    for (size_t i = 0; i < node->spec.input_count; i++)
        for (size_t j = 0; j < node->spec.inputs[i].count; j++) {
            const spec_member *m = &node->spec.inputs[i].members[j];
            const cat_item *item = m->kind == MEMBER_ITEM ? catalog_item(w->catalog, m->id, err) : NULL;
            if (m->kind == MEMBER_ITEM && !item) return err->code ? err->code : WEIR_BUG;
            int rc = add_edge(w->dry_run, item ? item->node : m->id, node->id, err);
            if (rc != 0) return rc;
        }
    return 0;
}

static int by_source(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->source != y->source) return x->source > y->source ? 1 : -1;
    return (x->user > y->user) - (x->user < y->user);
}

int dry_begin(weir *w, weir_error *err)
{
    dry_free(w);
    dry_run *d = w->dry_run = mem_zero(1, sizeof *d);
    if (!d) return error_nomem(err, doing);
    map_init(&d->changed);
    map_init(&d->seen);
    map_init(&d->keys);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->changed_count; i++) {
        const cat_node *node = catalog_node(w->catalog, w->changed_nodes[i], err);
        if (!node) rc = err->code ? err->code : WEIR_BUG;
        else if (!map_put(&d->changed, map_key_u64(&node->id), NULL)) rc = error_nomem(err, doing);
        else rc = add_edges(w, node, err);
    }
    if (d->declared_count > 1) qsort(d->declared, d->declared_count, sizeof *d->declared, by_source);
    return rc;
}

uint64_t dry_same_work(weir *w, hash128 key, uint64_t node)
{
    bool added = false;
    uint64_t *first = hash_is_none(key) ? NULL : map_put(&w->dry_run->keys, bytes_of(key.bytes, HASH_SIZE), &added);
    if (!first) return 0; /* no memory: it is told as due */
    if (added) *first = node;
    return added ? 0 : *first;
}

/* --- users ------------------------------------------------------------------------------------------------------- */

static bool is_changed(const weir *w, uint64_t node)
{
    return map_get(&w->dry_run->changed, map_key_u64(&node)) != NULL;
}

/* A stored edge that a new declaration took back may lead down: it is none any more. */
static int add_user(weir *w, const cat_node *node, uint64_t id, bool stored, size_t *count, weir_error *err)
{
    bool added = false;
    if (id == node->id || !targets_wanted(w, id)) return 0;
    const cat_node *user = catalog_node(w->catalog, id, err);
    if (!user) return err->code;
    if (user->status == CAT_GONE || user->graph != w->graph) return 0;
    if (stored && user->height <= node->height && (is_changed(w, id) || is_changed(w, node->id))) return 0;
    if (!map_put(&w->dry_run->seen, map_key_u64(&id), &added)) return error_nomem(err, doing);
    if (!added) return 0;
    if (!MEM_GROW(w->users, w->users_capacity, *count + 1)) return error_nomem(err, doing);
    w->users[(*count)++] = (plan_user){id, user->height};
    return 0;
}

/* The first column. Ids first: a statement is done before the next one begins. `second` 0: the statement has one parameter. */
static int add_ids(weir *w, int statement, uint64_t first, uint64_t second, uint64_t **ids, size_t *count, weir_error *err)
{
    size_t capacity = *count; /* an array that is full grows */
    db_stmt *s = db_get(catalog_db(w->catalog), statement, err);
    if (!s) return err->code;
    if (first) db_bind_int(s, 1, (int64_t)first);
    if (second) db_bind_int(s, 2, (int64_t)second);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        if (!MEM_GROW(*ids, capacity, *count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        (*ids)[(*count)++] = (uint64_t)db_int(s, 0);
    }
    db_reset(s);
    return rc;
}

static int stored_users(weir *w, const cat_node *node, int statement, uint64_t first, size_t *count, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t found = 0;
    int rc = add_ids(w, statement, first, w->graph, &ids, &found, err);
    for (size_t i = 0; rc == 0 && i < found; i++) rc = add_user(w, node, ids[i], true, count, err);
    mem_free(ids);
    return rc;
}

static int declared_users(weir *w, const cat_node *node, size_t *count, weir_error *err)
{
    const dry_run *d = w->dry_run;
    size_t low = 0, high = d->declared_count;
    int rc = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->declared[middle].source < node->id) low = middle + 1;
        else high = middle;
    }
    for (; rc == 0 && low < d->declared_count && d->declared[low].source == node->id; low++)
        rc = add_user(w, node, d->declared[low].user, false, count, err);
    return rc;
}

int dry_users(weir *w, uint64_t id, size_t *count, weir_error *err)
{
    *count = 0;
    map_clear(&w->dry_run->seen);
    const cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    int rc = stored_users(w, node, SQL_NODE_USERS, id, count, err);
    for (size_t i = 0; rc == 0 && is_changed(w, id) && i < node->spec.output_count; i++) /* paths that it takes over */
        rc = stored_users(w, node, SQL_ITEM_USERS, node->spec.outputs[i].id, count, err);
    return rc == 0 ? declared_users(w, node, count, err) : rc;
}

/* --- outputs that a full run removes ------------------------------------------------------------------------------- */

/* Nodes behind those in `queue`, and these themselves, may run. */
static int spread_maybe(weir *w, uint64_t *queue, size_t count, weir_error *err)
{
    uint64_t *all = NULL;
    size_t total = 0, capacity = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!MEM_GROW(all, capacity, total + 1)) rc = error_nomem(err, doing);
        else all[total++] = queue[i];
    }
    for (size_t at = 0; rc == 0 && at < total; at++) {
        cat_node *node = catalog_node(w->catalog, all[at], err);
        size_t users = 0;
        if (!node || node->planned || node->status == CAT_GONE || node->graph != w->graph) {
            rc = err->code;
            continue;
        }
        node->planned = true;
        w->summary->maybe++;
        tell(w, &(weir_event){.kind = WEIR_EVENT_MAYBE, .node = (const char *)node->spec.name.data,
                              .effect = (const char *)node->spec.effect.data});
        rc = dry_users(w, node->id, &users, err);
        for (size_t i = 0; rc == 0 && i < users; i++) {
            if (!MEM_GROW(all, capacity, total + 1)) rc = error_nomem(err, doing);
            else all[total++] = w->users[i].node;
        }
    }
    mem_free(all);
    return rc;
}

static int readers_of(weir *w, uint64_t item, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    const cat_item *known = catalog_item(w->catalog, item, err);
    if (!known || known->node != 0) return err->code;
    int rc = add_ids(w, SQL_ITEM_USERS, item, w->graph, &ids, &count, err);
    if (rc == 0) rc = spread_maybe(w, ids, count, err);
    mem_free(ids);
    return rc;
}

/* The last step of a full run without failures removes what nobody makes any more: who read it undeclared is due then. */
int dry_vanished(weir *w, weir_error *err)
{
    uint64_t *items = NULL;
    size_t count = 0;
    int rc = add_ids(w, SQL_VANISHED_OUTPUTS, 0, 0, &items, &count, err);
    for (size_t i = 0; rc == 0 && i < w->gone_count + w->changed_count; i++)
        rc = add_ids(w, SQL_FOLD_CLAIMS, i < w->gone_count ? w->gone_nodes[i] : w->changed_nodes[i - w->gone_count], 0, &items, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) rc = readers_of(w, items[i], err);
    mem_free(items);
    return rc;
}
