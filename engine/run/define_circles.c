/*
 * define_circles.c - circles that the list of an expand node closes across its border.
 *
 *   rows ------> one ----------------> two      two takes in what somebody outside made from what one makes: in the order of
 *                  \-> others ... ->/           the list, two comes after one. A way from one back to itself is an error.
 *
 * Where something on the way was only found to be read, that is history: it is dropped together with what the list says, so
 * that a circle is never recorded. What the planner alone knows of is seen to by edge_part.
 *
 * Loop thread only.
 */
#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "comparing the list of an expand node";

/* --- readers of the list --------------------------------------------------------------------------------------------- */

/* Nodes outside the list that one of its nodes takes in, back to their sources: a reader of the list among them is a circle. */
int check_circles(comparison *c, weir_error *err)
{
    node_walk readers, back;
    uint64_t at = 0;
    walk_init(&readers);
    walk_init(&back);
    int rc = walk_rows(&readers, c->w, SQL_EXPANSION_READERS, c->parent, err);
    for (size_t i = 0; rc == 0 && readers.count && i < c->count; i++) {
        const node_spec *spec = c->nodes[i].spec;
        for (size_t j = 0; rc == 0 && j < spec->input_count; j++)
            for (size_t k = 0; rc == 0 && k < spec->inputs[j].count; k++) {
                uint64_t id = 0;
                rc = catalog_maker(c->w->catalog, &spec->inputs[j].members[k], &id, err);
                const cat_node *node = id ? catalog_node(c->w->catalog, id, err) : NULL;
                if (!node || node->spec.parent == c->parent) continue;
                rc = walk_push(&back, id, err);
                while (rc == 0 && walk_pop(&back, &at)) {
                    if (walk_met(&readers, at)) {
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
    walk_deinit(&readers);
    walk_deinit(&back);
    return rc;
}

/* --- ways around the list -------------------------------------------------------------------------------------------- */

/* Something outside the list, met on the way back from what one of its nodes takes in. */
typedef struct way_step {
    uint64_t node;
    size_t user;   /* index + 1 of the step that takes in what it makes; 0: the node of the list does */
    bool is_found; /* it was only found to do so */
} way_step;

typedef struct ways {
    comparison *c;
    map by_id;          /* nodes of the list that there were before -> number + 1 */
    map seen;           /* nodes of steps */
    node_walk readers;  /* of the list as a whole: check_circles */
    way_step *steps;
    size_t count, capacity, next;
    uint32_t lowest;    /* height of what nothing of the list leads to */
    id_list list;       /* scratch */
    bool is_ever;       /* with what was only found to be read */
    bool looks, any;    /* whether there is a way at all */
    size_t to;          /* the node of the list where the walk began */
    bool has_parted;
    uint32_t *first, *users, *mark; /* the edges of the list, and what they lead to from `to` */
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
        rc = catalog_ids(s->c->w->catalog, SQL_ITEM_USES, item->id, 0, 1, &s->list, err);
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
    return rc == 0 && s->lowest < UINT32_MAX ? walk_rows(&s->readers, s->c->w, SQL_EXPANSION_READERS, s->c->parent, err) : rc;
}

static bool is_parted(const comparison *c, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < c->parted_count; i++)
        if (c->parted[i].from == from && c->parted[i].to == to) return true;
    return false;
}

static uint64_t user_of(const ways *s, size_t user)
{
    return user ? s->steps[user - 1].node : s->c->nodes[s->to].id;
}

/* Does the list itself lead from where the walk began to this one of its nodes? */
static bool leads_to(ways *s, size_t number)
{
    uint32_t *stack = s->mark + s->c->count;
    size_t depth = 0, label = s->to + 1;
    if (s->mark[s->to] != label) stack[depth++] = (uint32_t)s->to;
    s->mark[s->to] = (uint32_t)label;
    while (depth > 0) {
        uint32_t at = stack[--depth];
        for (uint32_t u = s->first[at]; u < s->first[at + 1]; u++) {
            if (s->mark[s->users[u]] == label) continue;
            s->mark[s->users[u]] = (uint32_t)label;
            stack[depth++] = s->users[u];
        }
    }
    return s->mark[number] == label;
}

/* The way from a node of the list leads back to it: what was only found to be read there is history. */
static int part_way(ways *s, uint64_t from, size_t user, bool is_found, weir_error *err)
{
    comparison *c = s->c;
    while (!is_found && user) {
        from = s->steps[user - 1].node;
        is_found = s->steps[user - 1].is_found;
        user = s->steps[user - 1].user;
    }
    if (!is_found) return 0; /* all of it is declared: told */
    if (!MEM_GROW(c->parted, c->parted_capacity, c->parted_count + 1)) return error_nomem(err, doing);
    c->parted[c->parted_count++] = (parted_edge){.from = from, .to = user_of(s, user)};
    s->has_parted = true;
    return 0;
}

/* A node of the list leads to what was walked back from. */
static int meet(ways *s, uint64_t slot, size_t user, bool is_found, weir_error *err)
{
    comparison *c = s->c;
    size_t number = (size_t)slot - 1;
    s->any = true;
    if (s->looks || is_parted(c, c->nodes[number].id, user_of(s, user))) return 0;
    if (s->is_ever) return !s->has_parted && leads_to(s, number) ? part_way(s, c->nodes[number].id, user, is_found, err) : 0;
    if (!MEM_GROW(c->edges, c->edge_capacity, c->edge_count + 1)) return error_nomem(err, doing);
    c->edges[c->edge_count++] = (declared_edge){(uint32_t)number, (uint32_t)s->to};
    return 0;
}

/* A node outside the list, if it can have been made from one of the list. */
static int go_back(ways *s, uint64_t id, size_t user, bool is_found, weir_error *err)
{
    const cat_node *node = id ? catalog_node(s->c->w->catalog, id, err) : NULL;
    bool added = false;
    if (!node) return id ? err->code : 0;
    bool is_outside = node->status != CAT_GONE && node->id != s->c->parent && node->spec.parent != s->c->parent;
    if (!is_outside || node->height <= s->lowest || walk_met(&s->readers, id)) return 0;
    if (!s->looks && is_parted(s->c, id, user_of(s, user))) return 0;
    if (!map_put(&s->seen, map_key_u64(&id), &added)) return error_nomem(err, doing);
    if (!added) return 0;
    if (!MEM_GROW(s->steps, s->capacity, s->count + 1)) return error_nomem(err, doing);
    s->steps[s->count++] = (way_step){.node = id, .user = user, .is_found = is_found};
    return 0;
}

/* What a statement says that a node takes in: nodes, or items. */
static int go_all(ways *s, int statement, bool are_items, uint64_t id, size_t user, bool is_found, weir_error *err)
{
    comparison *c = s->c;
    int rc = catalog_ids(c->w->catalog, statement, id, 0, 1, &s->list, err);
    for (size_t i = 0; rc == 0 && i < s->list.count; i++) {
        uint64_t source = s->list.ids[i];
        const uint64_t *slot = map_get(are_items ? &c->by_item : &s->by_id, map_key_u64(&source));
        const cat_item *item = are_items && !slot ? catalog_item(c->w->catalog, source, err) : NULL;
        if (slot) rc = meet(s, *slot, user, is_found, err);
        else if (!are_items) rc = go_back(s, source, user, is_found, err);
        else rc = item ? go_back(s, item->node, user, is_found, err) : err->code;
    }
    return rc;
}

static int go_found(ways *s, uint64_t id, size_t user, weir_error *err)
{
    int rc = s->is_ever ? go_all(s, SQL_NODE_FOUND_NODES, false, id, user, true, err) : 0;
    return rc == 0 && s->is_ever ? go_all(s, SQL_NODE_FOUND_ITEMS, true, id, user, true, err) : rc;
}

static int walk_all(ways *s, weir_error *err)
{
    int rc = 0;
    for (; rc == 0 && s->next < s->count && !(s->looks && s->any) && !s->has_parted; s->next++) {
        uint64_t id = s->steps[s->next].node;
        rc = go_all(s, SQL_NODE_SOURCE_NODES, false, id, s->next + 1, false, err);
        if (rc == 0) rc = go_all(s, SQL_NODE_DECLARED_ITEMS, true, id, s->next + 1, false, err);
        if (rc == 0) rc = go_found(s, id, s->next + 1, err);
    }
    return rc;
}

static int begin_at(ways *s, size_t number, weir_error *err)
{
    const declared_node *n = &s->c->nodes[number];
    const node_spec *spec = n->spec;
    int rc = 0;
    for (size_t j = 0; rc == 0 && j < spec->input_count; j++)
        for (size_t k = 0; rc == 0 && k < spec->inputs[j].count; k++) {
            const spec_member *m = &spec->inputs[j].members[k];
            bool is_listed = m->kind == MEMBER_ITEM && map_get(&s->c->by_item, map_key_u64(&m->id));
            uint64_t id = 0;
            rc = is_listed ? 0 : catalog_maker(s->c->w->catalog, m, &id, err);
            if (rc == 0) rc = go_back(s, id, 0, false, err);
        }
    return rc == 0 && n->is_known ? go_found(s, n->id, 0, err) : rc;
}

/* All at once: mostly there is none. */
static int look_for_any(ways *s, weir_error *err)
{
    int rc = 0;
    s->looks = true;
    for (size_t i = 0; rc == 0 && i < s->c->count; i++) rc = begin_at(s, i, err);
    if (rc == 0) rc = walk_all(s, err);
    s->looks = false;
    return rc;
}

static int walk_each(ways *s, weir_error *err)
{
    int rc = 0;
    for (s->to = 0; rc == 0 && s->to < s->c->count;) {
        map_clear(&s->seen);
        s->count = s->next = 0;
        s->has_parted = false;
        rc = begin_at(s, s->to, err);
        if (rc == 0) rc = walk_all(s, err);
        if (!s->has_parted) s->to++; /* else once more: there may be another way */
    }
    return rc;
}

static int go_ways(comparison *c, bool is_ever, weir_error *err)
{
    ways s = {.c = c, .is_ever = is_ever};
    map_init(&s.by_id);
    map_init(&s.seen);
    walk_init(&s.readers);
    int rc = begin(&s, err);
    if (rc == 0 && s.lowest < UINT32_MAX) rc = look_for_any(&s, err);
    if (rc == 0 && s.any && is_ever) {
        s.mark = arena_zero(&c->arena, 2 * c->count + 1, sizeof *s.mark);
        rc = s.mark ? resolve_users(c, &s.first, &s.users, err) : error_nomem(err, doing);
    }
    if (rc == 0 && s.any) rc = walk_each(&s, err);
    map_deinit(&s.by_id);
    map_deinit(&s.seen);
    walk_deinit(&s.readers);
    mem_free(s.steps);
    mem_free(s.list.ids);
    return rc;
}

int resolve_around(comparison *c, weir_error *err)
{
    return c->w->dry ? 0 : go_ways(c, false, err);
}

int resolve_parted(comparison *c, weir_error *err)
{
    return c->w->dry ? 0 : go_ways(c, true, err);
}
