/*
 * define_circles.c - circles that the list of an expand node closes across its border.
 *
 *   rows ------> one ----------------> two      two takes in what somebody outside made from what one makes: in the order of
 *                  \-> others ... ->/           the list, two comes after one. A way from one back to itself is an error.
 *
 * Only what is declared counts: what was found to be read is history where it closes a circle (edge_part).
 *
 * Loop thread only.
 */
#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "comparing the list of an expand node";

/* --- walking ------------------------------------------------------------------------------------------------------- */

int walk_push(node_walk *k, uint64_t id, weir_error *err)
{
    bool added = false;
    if (!map_put(&k->seen, map_key_u64(&id), &added)) return error_nomem(err, doing);
    if (!added) return 0;
    if (!MEM_GROW(k->stack, k->capacity, k->count + 1)) return error_nomem(err, doing);
    k->stack[k->count++] = id;
    return 0;
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


/* --- readers of the list --------------------------------------------------------------------------------------------- */

/* Nodes outside the list that one of its nodes takes in, back to their sources: a reader of the list among them is a circle. */
int check_circles(comparison *c, weir_error *err)
{
    node_walk readers = {0}, back = {0};
    map_init(&readers.seen);
    map_init(&back.seen);
    int rc = walk_rows(&readers, c->w, SQL_EXPANSION_READERS, c->parent, err);
    for (size_t i = 0; rc == 0 && readers.count && i < c->count; i++) {
        const node_spec *spec = c->nodes[i].spec;
        for (size_t j = 0; rc == 0 && j < spec->input_count; j++)
            for (size_t k = 0; rc == 0 && k < spec->inputs[j].count; k++) {
                const spec_member *m = &spec->inputs[j].members[k];
                const cat_item *item = m->kind == MEMBER_ITEM ? catalog_item(c->w->catalog, m->id, err) : NULL;
                uint64_t id = item ? item->node : m->kind == MEMBER_ITEM ? 0 : m->id;
                const cat_node *node = id ? catalog_node(c->w->catalog, id, err) : NULL;
                if (!node || node->spec.parent == c->parent) continue;
                rc = walk_push(&back, id, err);
                while (rc == 0 && back.count > 0) {
                    uint64_t at = back.stack[--back.count];
                    if (map_get(&readers.seen, map_key_u64(&at))) {
                        const cat_node *reader = catalog_node(c->w->catalog, at, err);
                        tell_static(c->w, c->def, &spec->position, NULL, "nodes wait for one another: %s takes in what %s makes, and that needs the nodes of this list",
                                    define_text(c, spec->name), reader ? (const char *)reader->spec.name.data : "");
                        back.count = 0;
                        break;
                    }
                    rc = walk_rows(&back, c->w, SQL_NODE_SOURCES, at, err);
                }
            }
    }
    map_deinit(&readers.seen);
    map_deinit(&back.seen);
    mem_free(readers.stack);
    mem_free(back.stack);
    return rc;
}

/* --- ways around the list -------------------------------------------------------------------------------------------- */

typedef struct ways {
    comparison *c;
    map by_id;       /* nodes of the list that there were before -> number + 1 */
    node_walk readers;    /* of the list as a whole: check_circles */
    node_walk back;       /* what one or all of them take in, back to the list */
    uint32_t lowest; /* height of what nothing of the list leads to */
    id_list list;    /* scratch */
    size_t to;       /* edges are added to this one */
    bool adds, any;
} ways;

static void lower(ways *s, uint32_t height)
{
    if (height < s->lowest) s->lowest = height;
}

/* Who takes in a path that one of the list makes from now on. */
static int lowest_user(ways *s, const declared_node *n, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n->spec->output_count; i++) {
        const cat_item *item = n->spec->outputs[i].id ? catalog_item(s->c->w->catalog, n->spec->outputs[i].id, err) : NULL;
        if (!item || item->node == n->id) continue;
        rc = catalog_ids(s->c->w->catalog, SQL_ITEM_DECLARED, item->id, 0, 1, &s->list, err);
        for (size_t k = 0; rc == 0 && k < s->list.count; k++) {
            const cat_node *user = catalog_node(s->c->w->catalog, s->list.ids[k], err);
            if (user && user->height > 0) lower(s, user->height - 1);
            else if (!user) rc = err->code;
        }
    }
    return rc == 0 ? err->code : rc;
}

static int begin(ways *s, weir_error *err)
{
    int rc = 0;
    s->lowest = UINT32_MAX;
    for (size_t i = 0; rc == 0 && i < s->c->count; i++) {
        const declared_node *n = &s->c->nodes[i];
        bool was_live = n->is_known && n->old_status != CAT_GONE;
        if (was_live) lower(s, n->old_height);
        uint64_t *slot = was_live ? map_put(&s->by_id, map_key_u64(&n->id), NULL) : NULL;
        if (was_live && !slot) return error_nomem(err, doing);
        if (slot) *slot = i + 1;
        rc = lowest_user(s, n, err);
    }
    return rc;
}

/* A node of the list leads to what is walked back from. */
static int meet(ways *s, uint64_t slot, weir_error *err)
{
    comparison *c = s->c;
    s->any = true;
    if (!s->adds) return 0;
    if (!MEM_GROW(c->edges, c->edge_capacity, c->edge_count + 1)) return error_nomem(err, doing);
    c->edges[c->edge_count++] = (declared_edge){(uint32_t)slot - 1, (uint32_t)s->to};
    return 0;
}

/* A node outside the list, if it can have been made from one of the list. */
static int go_back(ways *s, uint64_t id, weir_error *err)
{
    const cat_node *node = id ? catalog_node(s->c->w->catalog, id, err) : NULL;
    if (!node) return id ? err->code : 0;
    bool is_outside = node->status != CAT_GONE && node->id != s->c->parent && node->spec.parent != s->c->parent;
    if (!is_outside || node->height <= s->lowest || map_get(&s->readers.seen, map_key_u64(&id))) return 0;
    return walk_push(&s->back, id, err);
}

static int walk_sources(ways *s, uint64_t at, weir_error *err)
{
    comparison *c = s->c;
    int rc = catalog_ids(c->w->catalog, SQL_NODE_SOURCE_NODES, at, 0, 1, &s->list, err);
    for (size_t i = 0; rc == 0 && i < s->list.count; i++) {
        const uint64_t *slot = map_get(&s->by_id, map_key_u64(&s->list.ids[i]));
        rc = slot ? meet(s, *slot, err) : go_back(s, s->list.ids[i], err);
    }
    if (rc == 0) rc = catalog_ids(c->w->catalog, SQL_NODE_DECLARED_ITEMS, at, 0, 1, &s->list, err);
    for (size_t i = 0; rc == 0 && i < s->list.count; i++) {
        const uint64_t *slot = map_get(&c->by_item, map_key_u64(&s->list.ids[i]));
        const cat_item *item = slot ? NULL : catalog_item(c->w->catalog, s->list.ids[i], err);
        if (slot) rc = meet(s, *slot, err);
        else rc = item ? go_back(s, item->node, err) : err->code;
    }
    return rc;
}

static int walk_all(ways *s, weir_error *err)
{
    int rc = 0;
    while (rc == 0 && s->back.count > 0 && (s->adds || !s->any)) rc = walk_sources(s, s->back.stack[--s->back.count], err);
    return rc;
}

static int begin_at(ways *s, const node_spec *spec, weir_error *err)
{
    int rc = 0;
    for (size_t j = 0; rc == 0 && j < spec->input_count; j++)
        for (size_t k = 0; rc == 0 && k < spec->inputs[j].count; k++) {
            const spec_member *m = &spec->inputs[j].members[k];
            const cat_item *item = m->kind == MEMBER_ITEM && m->id ? catalog_item(s->c->w->catalog, m->id, err) : NULL;
            bool is_listed = item && map_get(&s->c->by_item, map_key_u64(&item->id));
            uint64_t id = m->kind != MEMBER_ITEM ? m->id : item && !is_listed ? item->node : 0;
            rc = err->code ? err->code : go_back(s, id, err);
        }
    return rc;
}

/* All at once: mostly there is none. */
static int look_for_any(ways *s, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->c->count; i++) rc = begin_at(s, s->c->nodes[i].spec, err);
    return rc == 0 ? walk_all(s, err) : rc;
}

static int add_ways(ways *s, weir_error *err)
{
    int rc = 0;
    s->adds = true;
    for (s->to = 0; rc == 0 && s->to < s->c->count; s->to++) {
        map_clear(&s->back.seen);
        s->back.count = 0;
        rc = begin_at(s, s->c->nodes[s->to].spec, err);
        if (rc == 0) rc = walk_all(s, err);
    }
    return rc;
}

int resolve_around(comparison *c, weir_error *err)
{
    ways s = {.c = c};
    if (c->w->dry) return 0;
    map_init(&s.by_id);
    map_init(&s.readers.seen);
    map_init(&s.back.seen);
    int rc = begin(&s, err);
    if (rc == 0 && s.lowest < UINT32_MAX) rc = walk_rows(&s.readers, c->w, SQL_EXPANSION_READERS, c->parent, err);
    if (rc == 0 && s.lowest < UINT32_MAX) rc = look_for_any(&s, err);
    if (rc == 0 && s.any) rc = add_ways(&s, err);
    map_deinit(&s.by_id);
    map_deinit(&s.readers.seen);
    map_deinit(&s.back.seen);
    mem_free(s.readers.stack);
    mem_free(s.back.stack);
    mem_free(s.list.ids);
    return rc;
}
