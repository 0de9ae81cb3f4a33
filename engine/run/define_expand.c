/*
 * define_expand.c - the list of an expand node against the nodes it declared before.
 *
 * The same comparison as a workflow's, over these nodes alone: what is not among them is asked of the stored graph, and only raises
 * heights. Names, claims and cycles across the border are checked here.
 *
 *   height   x            1   2   3
 *            expand node  rows ------------> nodes of the list ------> readers of rows:nodes()
 *                              other node -/                            all of them higher than the highest of the list
 *
 * Loop thread only.
 */
#include <stdlib.h>

#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "comparing the list of an expand node";

/* --- what is not of the list -------------------------------------------------------------------------------------- */

static void raise_floor(comparison *c, size_t number, uint32_t height)
{
    if (c->nodes[number].floor <= height) c->nodes[number].floor = height + 1;
}

static int highest_child(comparison *c, uint64_t parent, uint32_t *height, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(c->w->catalog), SQL_CHILDREN, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)parent);
    int rc;
    while ((rc = db_step(s, err)) == 1)
        if ((uint32_t)db_int(s, 1) > *height) *height = (uint32_t)db_int(s, 1);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* 1: the member is a node that is stored, and its user is higher; 0: there is none. */
int resolve_floor(comparison *c, size_t number, const spec_member *m, weir_error *err)
{
    uint64_t id = 0;
    int rc = 0;
    if (m->kind == MEMBER_EXPAND) {
        uint32_t height = 0;
        rc = highest_child(c, m->id, &height, err);
        if (rc == 0 && height) raise_floor(c, number, height);
        return rc < 0 ? rc : 1;
    }
    if (m->kind == MEMBER_ITEM) rc = catalog_maker(c->w->catalog, m, &id, err);
    else if (c->parent) rc = catalog_node_named(c->w->catalog, c->graph, m->name, &id, err);
    if (rc != 0) return rc;
    const cat_node *node = id ? catalog_node(c->w->catalog, id, err) : NULL;
    if (!node || node->status == CAT_GONE || node->graph != c->graph) return 0;
    if (c->parent ? node->spec.parent == c->parent : node->spec.parent == 0) return 0;
    bytes below;
    if (m->kind == MEMBER_OUTPUT && spec_member_output(&node->spec, m->port, &below) < 0) return 0;
    raise_floor(c, number, node->height);
    if (m->kind != MEMBER_ITEM) ((spec_member *)(uintptr_t)m)->id = id;
    return 1;
}

/* Nodes of expansions whose expand node stays; the others go with it. Of a list: names that others have. */
int resolve_children(comparison *c, const uint64_t *ids, size_t count, weir_error *err)
{
    map stays;
    int rc = 0;
    map_init(&stays);
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        if (c->nodes[i].is_known && (c->nodes[i].spec->flags & SPEC_EXPAND) && !map_put(&stays, map_key_u64(&c->nodes[i].id), NULL))
            rc = error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && i < count; i += 2) {
        bool ok = map_get(&stays, map_key_u64(&ids[i + 1])) ? map_put(&c->kept, map_key_u64(&ids[i]), NULL) != NULL
                                                             : MEM_GROW(c->gone, c->gone_capacity, c->gone_count + 1) != 0;
        if (!ok) rc = error_nomem(err, doing);
        else if (!map_get(&stays, map_key_u64(&ids[i + 1]))) c->gone[c->gone_count++] = ids[i];
    }
    map_deinit(&stays);
    for (size_t i = 0; rc == 0 && c->parent && i < c->count; i++) {
        declared_node *n = &c->nodes[i];
        uint64_t id = 0;
        if (n->is_known) continue;
        rc = catalog_node_named(c->w->catalog, c->graph, n->spec->name, &id, err);
        const cat_node *other = rc == 0 && id ? catalog_node(c->w->catalog, id, err) : NULL;
        if (!other) continue;
        n->id = id;
        n->is_known = true;
        n->old_status = other->status;
        n->old_height = other->height;
        if (other->status != CAT_GONE)
            tell_static(c->w, c->def, &n->spec->position, NULL, "node \"%s\" is declared already", define_text(c, n->spec->name));
    }
    return rc;
}

/* --- heights across the border ------------------------------------------------------------------------------------ */

int resolve_found(comparison *c, size_t number, uint64_t maker, weir_error *err)
{
    const cat_node *node = maker ? catalog_node(c->w->catalog, maker, err) : NULL;
    bool is_circle = false;
    if (!node) return maker ? err->code : 0;
    if (node->status == CAT_GONE || node->graph != c->graph || node->spec.parent == c->parent) return 0;
    int rc = define_depends(c->w, maker, c->nodes[number].id, &is_circle, err);
    cat_node *to = rc == 0 && is_circle && !c->w->dry ? catalog_node(c->w->catalog, c->nodes[number].id, err) : NULL;
    if (to) edge_say_dropped(c->w, maker, to);
    else if (rc == 0 && !is_circle) raise_floor(c, number, node->height);
    return rc ? rc : err->code;
}

/* Kept nodes of lists that are not above what they take in any more, with that. */
static int find_low(comparison *c, weir_error *err)
{
    weir *w = c->w;
    id_list sources = {0};
    size_t at = 0;
    bytes key;
    int rc = catalog_refresh(w->catalog, err);
    while (rc == 0 && map_next(&c->kept, &at, &key, NULL)) {
        uint64_t id;
        memcpy(&id, key.data, sizeof id);
        rc = catalog_ids(w->catalog, SQL_NODE_SOURCES, id, 0, 1, &sources, err);
        for (size_t i = 0; rc == 0 && i < sources.count; i++) {
            const cat_node *node = catalog_node(w->catalog, id, err), *on = catalog_node(w->catalog, sources.ids[i], err);
            if (!node || !on) rc = err->code ? err->code : WEIR_BUG;
            else if (on->status == CAT_GONE || on->height < node->height) continue;
            else if (MEM_GROW(c->low, c->low_capacity, c->low_count + 1))
                c->low[c->low_count++] = (low_child){.node = id, .on = on->id};
            else rc = error_nomem(err, doing);
        }
    }
    mem_free(sources.ids);
    return rc;
}

/* All that is declared to lead to what is on the stack. */
static int walk_back(weir *w, node_walk *back, weir_error *err)
{
    uint64_t at = 0;
    int rc = 0;
    while (rc == 0 && walk_pop(back, &at)) rc = walk_rows(back, w, SQL_NODE_SOURCES_DECLARED, at, err);
    return rc;
}

/*
 * It takes in what is made from it. What it was only found to read is history; else it goes, and its
 * list says whether it comes again.
 */
static int leave_circle(comparison *c, low_child *low, weir_error *err)
{
    bool is_history = false;
    int rc = edge_is_history(c->w, low->on, low->node, &is_history, err);
    cat_node *node = rc == 0 ? catalog_node(c->w->catalog, low->node, err) : NULL;
    if (!node) return err->code ? err->code : WEIR_BUG;
    if (is_history) edge_say_dropped(c->w, low->on, node);
    else if (map_get(&c->kept, map_key_u64(&low->node))) {
        if (!MEM_GROW(c->gone, c->gone_capacity, c->gone_count + 1)) return error_nomem(err, doing);
        c->gone[c->gone_count++] = low->node;
        map_remove(&c->kept, map_key_u64(&low->node));
    }
    low->on = 0;
    return 0;
}

static int by_source(const void *a, const void *b)
{
    const low_child *x = a, *y = b;
    return (x->on > y->on) - (x->on < y->on);
}

static int leave_circles(comparison *c, weir_error *err)
{
    node_walk back;
    uint64_t on = 0;
    int rc = 0;
    walk_init(&back);
    qsort(c->low, c->low_count, sizeof *c->low, by_source);
    for (size_t i = 0; rc == 0 && i < c->low_count; i++) {
        low_child *low = &c->low[i];
        if (low->on != on) {
            on = low->on;
            map_clear(&back.seen);
            rc = walk_push(&back, on, err);
            if (rc == 0) rc = walk_back(c->w, &back, err);
        }
        if (rc == 0 && walk_met(&back, low->node)) rc = leave_circle(c, low, err);
    }
    walk_deinit(&back);
    return rc;
}

int define_part_circles(comparison *c, weir_error *err)
{
    node_walk back;
    bool is_circle = false;
    int rc = c->parent || c->w->dry || c->kept.count == 0 ? 0 : find_low(c, err);
    walk_init(&back);
    for (size_t i = 0; rc == 0 && i < c->low_count; i++) rc = walk_push(&back, c->low[i].on, err);
    if (rc == 0) rc = walk_back(c->w, &back, err); /* all at once: mostly there is none */
    for (size_t i = 0; rc == 0 && i < c->low_count; i++)
        if (walk_met(&back, c->low[i].node)) is_circle = true;
    walk_deinit(&back);
    return rc == 0 && is_circle ? leave_circles(c, err) : rc;
}

typedef int step_work(weir *w, const cat_node *on, const cat_node *node, weir_error *err);

/* For each of them that is left. */
static int each_low(comparison *c, step_work *work, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->low_count; i++) {
        const low_child *low = &c->low[i];
        if (low->on == 0) continue;
        const cat_node *node = catalog_node(c->w->catalog, low->node, err);
        const cat_node *on = catalog_node(c->w->catalog, low->on, err);
        if (!node || !on) rc = err->code ? err->code : WEIR_BUG;
        else if (node->status != CAT_GONE) rc = work(c->w, on, node, err);
    }
    return rc;
}

int define_lift_children(comparison *c, weir_error *err)
{
    if (c->low_count == 0) return 0;
    int rc = catalog_refresh(c->w->catalog, err); /* what has gone leads nowhere */
    if (rc == 0) rc = each_low(c, edge_clear, err);
    return rc == 0 ? each_low(c, edge_lift, err) : rc;
}

/* --- into the turn ------------------------------------------------------------------------------------------------ */

/* A run with targets is about the nodes of a list when it is about somebody who reads them all, or about the expand node itself. */
static int want(comparison *c, const node_walk *readers, weir_error *err)
{
    weir *w = c->w;
    bool wanted = false;
    if (!w->limited) return 0;
    for (size_t i = 0; i < readers->count; i++) wanted = wanted || targets_wanted(w, readers->stack[i]);
    for (size_t i = 0; i < w->target_node_count; i++) wanted = wanted || w->target_nodes[i] == c->parent;
    if (!wanted || c->count == 0) return 0;
    uint64_t *ids = arena_alloc(&c->arena, c->count * sizeof *ids);
    if (!ids) return error_nomem(err, doing);
    for (size_t i = 0; i < c->count; i++) ids[i] = c->nodes[i].id;
    return targets_take_in_all_now(w, ids, c->count, err);
}

/* What they take in now was perhaps not wanted until now. */
static int want_sources(comparison *c, const declared_node *n, weir_error *err)
{
    int rc = 0;
    for (size_t j = 0; rc == 0 && j < n->spec->input_count; j++)
        for (size_t k = 0; rc == 0 && k < n->spec->inputs[j].count; k++) {
            uint64_t on = 0;
            rc = catalog_maker(c->w->catalog, &n->spec->inputs[j].members[k], &on, err);
            if (on && !targets_wanted(c->w, on)) rc = targets_take_in_now(c->w, on, err);
        }
    return rc;
}

static int lift_readers(comparison *c, const node_walk *readers, weir_error *err)
{
    weir *w = c->w;
    const cat_node *top = NULL;
    int rc = 0;
    for (size_t i = 0; i < c->count; i++)
        if (!top || c->nodes[i].height > top->height) top = catalog_node(w->catalog, c->nodes[i].id, err);
    for (size_t i = 0; rc == 0 && top && i < readers->count; i++) {
        const cat_node *reader = catalog_node(w->catalog, readers->stack[i], err);
        rc = reader ? edge_lift(w, top, reader, err) : err->code;
        if (rc == 0 && plan_state_of(w->plan, reader->id) == PLAN_DUE) rc = plan_due(w->plan, reader->id, reader->height, err);
    }
    return rc;
}

/* The planner may have asked who uses what these nodes take in before they were there. */
static int tell_sources(comparison *c, const declared_node *n, weir_error *err)
{
    int rc = 0;
    for (size_t j = 0; rc == 0 && j < n->spec->input_count; j++)
        for (size_t k = 0; rc == 0 && k < n->spec->inputs[j].count; k++) {
            uint64_t on = 0;
            rc = catalog_maker(c->w->catalog, &n->spec->inputs[j].members[k], &on, err);
            const cat_node *node = on ? catalog_node(c->w->catalog, n->id, err) : NULL;
            if (node) rc = edge_enters(c->w, node, on, err);
            else if (on) rc = err->code ? err->code : WEIR_BUG;
        }
    return rc;
}

/* Whoever needed, or looked for, a name that has come or gone is looked at in this turn, before its users. */
static int enter_seekers(weir *w, const map *said, weir_error *err)
{
    size_t at = 0;
    bytes key;
    int rc = 0;
    while (rc == 0 && map_next(said, &at, &key, NULL)) {
        uint64_t id;
        memcpy(&id, key.data, sizeof id);
        const cat_node *node = targets_wanted(w, id) ? catalog_node(w->catalog, id, err) : NULL;
        rc = node ? plan_due(w->plan, id, node->height, err) : err->code;
    }
    return rc;
}

/*
 * Declared anew, or higher than before: are those that take in what it makes above it? Who takes in the whole list is lifted with
 * lift_readers. A way back needs a user that is lower, as what it leads to is; or one that the planner alone knows.
 */
static int look_over(comparison *c, declared_node *n, const map *said, const node_walk *readers, uint32_t lifted, weir_error *err)
{
    const plan_user *users = NULL;
    size_t count = 0;
    bool is_lifted = n->is_known && n->old_status != CAT_GONE && n->height > n->old_height;
    if (!is_lifted && !map_get(said, map_key_u64(&n->id))) return 0;
    n->may_return = n->is_over = plan_height_of(c->w->plan, n->id) > 0;
    int rc = targets_all_users(c->w, n->id, &users, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        n->may_return |= users[i].height < n->height + lifted;
        n->is_over |= users[i].height <= n->height && !walk_met(readers, users[i].node);
    }
    return rc;
}

/* A user of a node of the list is not above it any more: above it again, with its own users. Of one another they are in order. */
static int lift_user(comparison *c, size_t number, uint64_t id, const node_walk *readers, bool lifts, weir_error *err)
{
    weir *w = c->w;
    const cat_node *node = catalog_node(w->catalog, c->nodes[number].id, err);
    const cat_node *user = node ? catalog_node(w->catalog, id, err) : NULL;
    if (!user) return err->code ? err->code : WEIR_BUG;
    if (user->spec.parent == c->parent || user->height > node->height || walk_met(readers, id)) return 0;
    if (!lifts) return edge_clear(w, node, user, err);
    int rc = targets_wanted(w, id) ? edge_enters(w, user, node->id, err) : 0;
    return rc == 0 ? edge_lift(w, node, user, err) : rc;
}

/* The users of a node of the list; with `lifts` they are lifted, before that the ways of all of them are cleared. */
static int lift_users(comparison *c, size_t number, const node_walk *readers, bool lifts, weir_error *err)
{
    const plan_user *users = NULL;
    size_t count = 0;
    int rc = targets_all_users(c->w, c->nodes[number].id, &users, &count, err);
    plan_user *copy = rc == 0 && count > 0 ? mem_dup(users, count * sizeof *users) : NULL;
    if (rc == 0 && count > 0 && !copy) rc = error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && i < count; i++) rc = lift_user(c, number, copy[i].node, readers, lifts, err);
    mem_free(copy);
    return rc;
}

/* How much higher than stored something is in this turn that they take in. */
static int find_lifted(comparison *c, uint32_t *lifted, weir_error *err)
{
    *lifted = 0;
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < c->nodes[i].spec->input_count; j++)
            for (size_t k = 0; k < c->nodes[i].spec->inputs[j].count; k++) {
                uint64_t on = 0;
                int rc = catalog_maker(c->w->catalog, &c->nodes[i].spec->inputs[j].members[k], &on, err);
                const cat_node *node = on ? catalog_node(c->w->catalog, on, err) : NULL;
                if (rc != 0 || (on && !node && err->code)) return err->code;
                uint32_t height = node && node->spec.parent != c->parent ? plan_height_of(c->w->plan, on) : 0;
                if (node && height > node->height + *lifted) *lifted = height - node->height;
            }
    return 0;
}

/*
 * What the nodes of the list take in now may be made from others that found or took in what these make: circles are parted
 * first, as nothing may be lifted around them; then whoever is not above its source any more (E1) rises.
 */
static int settle_heights(comparison *c, const map *said, const node_walk *readers, map *again, weir_error *err)
{
    uint32_t lifted = 0;
    int rc = find_lifted(c, &lifted, err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) rc = look_over(c, &c->nodes[i], said, readers, lifted, err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const declared_node *n = &c->nodes[i];
        const cat_node *node = n->may_return ? catalog_node(c->w->catalog, n->id, err) : NULL;
        bool was_live = n->is_known && n->old_status != CAT_GONE;
        if (node) rc = edge_part(c->w, node, was_live ? n->old_height : n->height, n->height + lifted, again, err);
        else rc = err->code;
    }
    for (int lifts = 0; lifts < 2; lifts++)
        for (size_t i = 0; rc == 0 && i < c->count; i++)
            if (c->nodes[i].is_over) rc = lift_users(c, i, readers, lifts, err);
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        if (c->nodes[i].is_over) rc = plan_raise(c->w->plan, c->nodes[i].id, c->nodes[i].height, err);
    return rc;
}

int define_enter_turn(comparison *c, const map *said, weir_error *err)
{
    weir *w = c->w;
    node_walk readers;
    map again; /* what circles were parted at */
    walk_init(&readers);
    map_init(&again);
    int rc = catalog_refresh(w->catalog, err);
    for (size_t i = 0; rc == 0 && i < c->gone_count; i++) rc = plan_gone(w->plan, c->gone[i], err); /* what read it may wait for its list alone */
    if (rc == 0) rc = walk_rows(&readers, w, SQL_EXPANSION_READERS, c->parent, err);
    if (rc == 0) rc = settle_heights(c, said, &readers, &again, err);
    if (rc == 0) rc = enter_seekers(w, &again, err);
    if (rc == 0) rc = want(c, &readers, err);
    for (size_t i = 0; rc == 0 && w->limited && i < c->count; i++)
        if (targets_wanted(w, c->nodes[i].id)) rc = want_sources(c, &c->nodes[i], err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const declared_node *n = &c->nodes[i];
        bool is_due = map_get(said, map_key_u64(&n->id)) || plan_state_of(w->plan, n->id) == PLAN_DUE;
        const cat_node *node = is_due && targets_wanted(w, n->id) ? catalog_node(w->catalog, n->id, err) : NULL;
        rc = node ? plan_due(w->plan, n->id, node->height, err) : err->code;
        if (rc == 0 && is_due && targets_wanted(w, n->id)) rc = tell_sources(c, n, err);
    }
    if (rc == 0) rc = enter_seekers(w, said, err);
    if (rc == 0) rc = lift_readers(c, &readers, err);
    map_deinit(&again);
    walk_deinit(&readers);
    return rc;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int say_expanded(comparison *c, hash128 value, weir_error *err)
{
    buf *body = catalog_body(c->w->catalog);
    uint64_t *ids = arena_zero(&c->arena, c->count + 1, sizeof *ids);
    if (!ids) return error_nomem(err, doing);
    for (size_t i = 0; i < c->count; i++) ids[i] = c->nodes[i].id;
    event_put_expanded(body, &(event_expanded){.node = c->parent, .value = value, .children = ids, .child_count = c->count});
    journal_say(c->w->journal, EVENT_EXPANDED, body);
    return catalog_refresh(c->w->catalog, err);
}

static int compare_list(comparison *c, bool *changed, weir_error *err)
{
    int rc = comparison_resolve(c, "the list", err);
    if (rc == 0) rc = resolve_parted(c, err);
    if (rc != 0) return rc;
    size_t before = c->gone_count;
    for (size_t i = 0; i < c->count; i++) before += c->nodes[i].is_known && c->nodes[i].old_status != CAT_GONE;
    event_put_expanded(catalog_body(c->w->catalog), &(event_expanded){.node = c->parent, .value = HASH_NONE}); /* a log cut off here has a list to compare */
    journal_say(c->w->journal, EVENT_EXPANDED, catalog_body(c->w->catalog));
    rc = define_apply(c, changed, err);
    if (*changed) c->w->claims_moved = true;
    c->w->summary->nodes += c->count - before;
    return rc;
}

int define_expansion(weir *w, definition *def, cat_node *parent, hash128 value, weir_error *err)
{
    comparison c = {.w = w, .def = def, .graph = parent->graph, .parent = parent->id, .has_others = true, .count = def->node_count};
    bool changed = false;
    comparison_open(&c);
    c.nodes = arena_zero(&c.arena, c.count + 1, sizeof *c.nodes);
    int rc = c.nodes ? catalog_refresh(w->catalog, err) : error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && i < c.count; i++) c.nodes[i].floor = parent->height + 1;
    if (rc == 0) rc = compare_list(&c, &changed, err);
    if (rc == 0) rc = say_expanded(&c, value, err);
    comparison_close(&c);
    return rc;
}
