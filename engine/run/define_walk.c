/*
 * define_walk.c - from node to node through the stored graph, each of them once.
 *
 *   seen    all that were met
 *   stack   those of them whose neighbours are still to be looked at; who looks at none has here what was met
 *
 * A statement of the schema says which neighbours are meant: sources, declared sources, readers of a list.
 *
 * Loop thread only.
 */
#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "walking the graph";

void walk_init(node_walk *k)
{
    *k = (node_walk){0};
    map_init(&k->seen);
}

void walk_deinit(node_walk *k)
{
    map_deinit(&k->seen);
    mem_free(k->stack);
}

int walk_push(node_walk *k, uint64_t id, weir_error *err)
{
    bool added = false;
    if (!map_put(&k->seen, map_key_u64(&id), &added)) return error_nomem(err, doing);
    if (!added) return 0;
    if (!MEM_GROW(k->stack, k->capacity, k->count + 1)) return error_nomem(err, doing);
    k->stack[k->count++] = id;
    return 0;
}

bool walk_pop(node_walk *k, uint64_t *id)
{
    if (k->count == 0) return false;
    *id = k->stack[--k->count];
    return true;
}

bool walk_met(const node_walk *k, uint64_t id)
{
    return map_get(&k->seen, map_key_u64(&id)) != NULL;
}

int walk_rows(node_walk *k, weir *w, int statement, uint64_t id, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), statement, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)id);
    int rc, end = 0;
    while (end == 0 && (rc = db_step(s, err)) == 1) end = walk_push(k, (uint64_t)db_int(s, 0), err);
    db_reset(s);
    return end != 0 ? end : rc < 0 ? rc : 0;
}

int define_depends(weir *w, uint64_t id, uint64_t on, bool *does, weir_error *err)
{
    node_walk back;
    uint64_t at = 0;
    walk_init(&back);
    int rc = walk_push(&back, id, err);
    *does = false;
    while (rc == 0 && !*does && walk_pop(&back, &at)) {
        *does = at == on;
        rc = walk_rows(&back, w, SQL_NODE_SOURCES, at, err);
    }
    walk_deinit(&back);
    return rc;
}
