/*
 * define_found.c - what earlier executions were found to depend on, as edges of a definition.
 *
 * Beside the declared edges these decide heights; where one closes a circle with what is declared now, it is history (define_resolve.c).
 *
 * Loop thread only. Memory: the arena of the comparison.
 */
#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "comparing the definition";

/* The numbers of nodes by their ids, made when the first is asked for: most workflows have nothing discovered that leads among them. */
typedef struct numbers {
    comparison *c;
    map by_id;
} numbers;

static bool is_any_known(const comparison *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->nodes[i].is_known) return true;
    return false;
}

static int fill_numbers(numbers *n, weir_error *err)
{
    const comparison *c = n->c;
    if (!map_reserve(&n->by_id, c->count)) return error_nomem(err, doing);
    for (size_t i = 0; i < c->count; i++) {
        if (!c->nodes[i].is_known) continue;
        uint64_t *slot = map_put(&n->by_id, map_key_u64(&c->nodes[i].id), NULL);
        if (!slot) return error_nomem(err, doing);
        *slot = i;
    }
    return 0;
}

/* *number: of the stored node that is declared again, borrowed; NULL: it is none of them. */
static int number_of(numbers *n, uint64_t node, const uint64_t **number, weir_error *err)
{
    int rc = n->by_id.count == 0 ? fill_numbers(n, err) : 0;
    *number = rc == 0 ? map_get(&n->by_id, map_key_u64(&node)) : NULL;
    return rc;
}

/* One that was needed while another one ran. */
static int needed_edge(numbers *n, uint64_t user, uint64_t source, weir_error *err)
{
    const uint64_t *to = NULL, *from = NULL;
    int rc = number_of(n, user, &to, err);
    if (rc == 0) rc = number_of(n, source, &from, err);
    if (rc != 0 || !to) return rc;
    if (!from) return resolve_found(n->c, *to, source, err);
    return *from != *to ? define_edge(n->c, *from, *to, err) : 0;
}

static int needed_edges(numbers *n, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(n->c->w->catalog), SQL_EDGES_DISCOVERED, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)n->c->graph);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        rc = needed_edge(n, (uint64_t)db_int(s, 0), (uint64_t)db_int(s, 1), err);
        if (rc != 0) break;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* Files that were read when no node made them, or that were not there, and that a node makes from now on. */
static int found_makers(numbers *n, size_t number, weir_error *err)
{
    comparison *c = n->c;
    const node_spec *spec = c->nodes[number].spec;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec->output_count; i++) {
        const cat_item *item = spec->outputs[i].id ? catalog_item(c->w->catalog, spec->outputs[i].id, err) : NULL;
        if (!item || item->node != 0) continue;
        db_stmt *s = db_get(catalog_db(c->w->catalog), SQL_ITEM_DISCOVERED, err);
        if (!s) return err->code;
        db_bind_int(s, 1, (int64_t)item->id);
        while ((rc = db_step(s, err)) == 1) {
            const uint64_t *to = NULL;
            rc = number_of(n, (uint64_t)db_int(s, 0), &to, err);
            if (rc == 0 && to && *to != number) rc = define_edge(c, number, *to, err);
            if (rc != 0) break;
        }
        db_reset(s);
    }
    return rc < 0 ? rc : err->code;
}

/* What a node was found to read, and a node makes. */
static int found_edge(numbers *n, uint64_t user, uint64_t item, weir_error *err)
{
    comparison *c = n->c;
    const uint64_t *to = NULL, *from = map_get(&c->by_item, map_key_u64(&item));
    int rc = number_of(n, user, &to, err);
    if (rc != 0 || !to) return rc;
    if (from) return *from - 1 != *to ? define_edge(c, *from - 1, *to, err) : 0;
    const cat_item *made = catalog_item(c->w->catalog, item, err);
    return made ? resolve_found(c, *to, made->node, err) : err->code;
}

static int found_edges(numbers *n, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(n->c->w->catalog), SQL_USES_DISCOVERED, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)n->c->graph);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        rc = found_edge(n, (uint64_t)db_int(s, 0), (uint64_t)db_int(s, 1), err);
        if (rc != 0) break;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int resolve_discovered(comparison *c, weir_error *err)
{
    numbers n = {.c = c};
    if (!is_any_known(c)) return 0;
    map_init(&n.by_id);
    int rc = found_edges(&n, err);
    if (rc == 0) rc = needed_edges(&n, err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) rc = found_makers(&n, i, err);
    map_deinit(&n.by_id);
    return rc;
}
