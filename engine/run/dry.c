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
    map observed;  /* what was found to have moved so far: a run has it in the state, as changes that wait for users */
    bool nested;   /* a question within a question */
};

void dry_free(weir *w)
{
    dry_run *d = w->dry_run;
    if (!d) return;
    map_deinit(&d->changed);
    map_deinit(&d->seen);
    map_deinit(&d->keys);
    map_deinit(&d->observed);
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
            uint64_t maker = 0;
            int rc = catalog_maker(w->catalog, &node->spec.inputs[i].members[j], &maker, err);
            if (rc == 0) rc = add_edge(w->dry_run, maker, node->id, err);
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
    map_init(&d->observed);
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

int dry_keep_observed(weir *w, weir_error *err)
{
    size_t at = 0;
    bytes key;
    while (map_next(&w->observe_again, &at, &key, NULL))
        if (!map_put(&w->dry_run->observed, key, NULL)) return error_nomem(err, doing);
    return 0;
}

const map *dry_observed(const weir *w)
{
    return &w->dry_run->observed;
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

/*
 * A stored edge to a node that is declared anew is none any more: what it takes in now is in `declared`, and what it was found to read is forgotten.
 * Who takes in a list has stored edges from its nodes. One that would close a circle now leads down in memory (E1).
 */
static bool is_taken_back(const weir *w, const cat_node *node, const cat_node *user)
{
    return user->height <= node->height || (node->spec.parent == 0 && is_changed(w, user->id));
}

static int add_user(weir *w, const cat_node *node, uint64_t id, bool stored, size_t *count, weir_error *err)
{
    bool added = false;
    if (id == node->id || !targets_wanted(w, id)) return 0;
    const cat_node *user = catalog_node(w->catalog, id, err);
    if (!user) return err->code;
    if (user->status == CAT_GONE || user->graph != w->graph) return 0;
    if (stored && is_taken_back(w, node, user)) return 0;
    if (!map_put(&w->dry_run->seen, map_key_u64(&id), &added)) return error_nomem(err, doing);
    if (!added) return 0;
    if (!MEM_GROW(w->users, w->users_capacity, *count + 1)) return error_nomem(err, doing);
    w->users[(*count)++] = (plan_user){.node = id, .height = user->height};
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

/* Does a change of `from` come to `to`? Takes every path for one that is taken over. */
static int leads_to(weir *w, uint64_t from, uint64_t to, bool *leads, weir_error *err)
{
    map done;
    uint64_t *open = NULL;
    size_t count = 0, capacity = 0;
    map_init(&done);
    int rc = MEM_GROW(open, capacity, 1) ? 0 : error_nomem(err, doing);
    if (rc == 0) open[count++] = from;
    *leads = false;
    while (rc == 0 && count > 0 && !*leads) {
        uint64_t id = open[--count];
        size_t users = 0;
        bool added = false;
        if (!map_put(&done, map_key_u64(&id), &added)) rc = error_nomem(err, doing);
        else if (id == to) *leads = true;
        else if (added) rc = dry_users(w, id, &users, err);
        if (rc == 0 && users > 0 && !MEM_GROW(open, capacity, count + users)) rc = error_nomem(err, doing);
        for (size_t i = 0; rc == 0 && i < users; i++) open[count++] = w->users[i].node;
    }
    mem_free(open);
    map_deinit(&done);
    return rc;
}

/* Who reads what a node makes from now on. One that stands lower will be lifted, unless that closes a circle: what it read is history then. */
static int path_readers(weir *w, const cat_node *node, uint64_t **ids, size_t *count, weir_error *err)
{
    uint64_t *all = NULL;
    size_t found = 0, capacity = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->spec.output_count; i++)
        rc = add_ids(w, SQL_ITEM_USERS, node->spec.outputs[i].id, w->graph, &all, &found, err);
    bool nested = w->dry_run->nested;
    w->dry_run->nested = true;
    for (size_t i = 0; rc == 0 && i < found; i++) {
        const cat_node *user = catalog_node(w->catalog, all[i], err);
        bool circle = false;
        if (!user) rc = err->code ? err->code : WEIR_BUG;
        else if (user->height <= node->height && is_changed(w, user->id)) continue;
        else if (user->height <= node->height && !nested) rc = leads_to(w, user->id, node->id, &circle, err);
        if (rc == 0 && !circle && !MEM_GROW(*ids, capacity, *count + 1)) rc = error_nomem(err, doing);
        if (rc == 0 && !circle) (*ids)[(*count)++] = all[i];
    }
    w->dry_run->nested = nested;
    mem_free(all);
    return rc;
}

int dry_users(weir *w, uint64_t id, size_t *count, weir_error *err)
{
    const cat_node *node = catalog_node(w->catalog, id, err);
    uint64_t *readers = NULL;
    size_t reader_count = 0;
    if (!node) return err->code ? err->code : WEIR_BUG;
    int rc = is_changed(w, id) ? path_readers(w, node, &readers, &reader_count, err) : 0;
    *count = 0;
    map_clear(&w->dry_run->seen);
    if (rc == 0) rc = stored_users(w, node, SQL_NODE_USERS, id, count, err);
    for (size_t i = 0; rc == 0 && i < reader_count; i++) rc = add_user(w, node, readers[i], false, count, err);
    mem_free(readers);
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

/* Its users as they are declared from now on: does one of them name it? */
static int is_declared(weir *w, const uint64_t *users, size_t count, uint64_t item, bool *declared, weir_error *err)
{
    *declared = false;
    for (size_t i = 0; i < w->changed_count + count && !*declared; i++) {
        uint64_t id = i < w->changed_count ? w->changed_nodes[i] : users[i - w->changed_count];
        const cat_node *node = catalog_node(w->catalog, id, err);
        if (!node) return err->code ? err->code : WEIR_BUG;
        if (node->status == CAT_GONE) continue;
        for (size_t j = 0; j < node->spec.input_count && !*declared; j++)
            for (size_t k = 0; k < node->spec.inputs[j].count && !*declared; k++) {
                const spec_member *m = &node->spec.inputs[j].members[k];
                *declared = m->kind == MEMBER_ITEM && m->id == item;
            }
    }
    return 0;
}

typedef struct left {
    uint64_t item;
    hash128 made; /* as weir wrote it */
} left;

/* What somebody declares as an input stays, and so does what was changed by hand (output_vanish.c). */
static int readers_of(weir *w, uint64_t item, hash128 made, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    bool stays = false;
    const cat_item *known = catalog_item(w->catalog, item, err);
    if (!known) return err->code ? err->code : WEIR_BUG;
    if (known->node != 0 || known->disk_differs || !hash_equal(known->hash, made)) return 0;
    int rc = add_ids(w, SQL_ITEM_USERS, item, w->graph, &ids, &count, err);
    if (rc == 0) rc = is_declared(w, ids, count, item, &stays, err);
    if (rc == 0 && !stays) rc = spread_maybe(w, ids, count, err);
    mem_free(ids);
    return rc;
}

/* Rows of item, hash, and in the last column: it is left to lie. */
static int add_left(weir *w, int statement, uint64_t node, left **all, size_t *count, size_t *capacity, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), statement, err);
    if (!s) return err->code;
    if (node) db_bind_int(s, 1, (int64_t)node);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        if (db_int(s, 2) != 0) continue;
        if (!MEM_GROW(*all, *capacity, *count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        (*all)[(*count)++] = (left){(uint64_t)db_int(s, 0), db_hash(s, 1)};
    }
    db_reset(s);
    return rc;
}

/* The last step of a full run without failures removes what nobody makes any more: who read it undeclared is due then. */
int dry_vanished(weir *w, weir_error *err)
{
    left *all = NULL;
    size_t count = 0, capacity = 0;
    int rc = add_left(w, SQL_DRY_VANISHED, 0, &all, &count, &capacity, err);
    for (size_t i = 0; rc == 0 && i < w->gone_count + w->changed_count; i++) {
        uint64_t node = i < w->gone_count ? w->gone_nodes[i] : w->changed_nodes[i - w->gone_count];
        rc = add_left(w, SQL_DRY_CLAIMS, node, &all, &count, &capacity, err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) rc = readers_of(w, all[i].item, all[i].made, err);
    mem_free(all);
    return rc;
}
