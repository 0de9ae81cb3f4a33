/*
 * edges.c - edges that a run discovers: a node turned out to read what another one makes.
 *
 * E1  Every stored edge between live nodes leads upwards: the user is higher than the node. So the stored graph has no circle.
 * E2  What is declared, and what a current result was made from, is an edge. What a node that is to be looked at again read
 *     before is only history: where it would close a circle it is dropped, and the node says again what it reads. So is what was found to
 *     be read on the way to a node that a list declares anew: its reader is to be looked at, be it due by now or not.
 * E3  A circle of what is left is a failed node, and its message shows the way by names.
 *
 * The planner holds the edges of the turn and finds circles (L3) among the nodes that take part in the run. The state gets the new
 * heights, as far up as they rise: there a circle may also lead through nodes that a run with targets is not about.
 *
 * Loop thread only.
 */
#include <stdio.h>

#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "following what was read";

/* --- dropping ------------------------------------------------------------------------------------------------------ */

/* The strongest origin of what leads from one to the other in the state: 0 and 2 are declared, 1 only found; -1: nothing. */
static int stored_origin(weir *w, uint64_t from, uint64_t to, int *origin, weir_error *err)
{
    *origin = -1;
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_EDGE_ORIGIN, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)from);
    db_bind_int(s, 2, (int64_t)to);
    int rc = db_step(s, err);
    if (rc == 1) *origin = (int)db_int(s, 0);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int edge_is_found(weir *w, uint64_t from, bool *found, weir_error *err)
{
    *found = false;
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_NODE_IS_FOUND, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)from);
    int rc = db_step(s, err);
    *found = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int edge_is_history(weir *w, uint64_t from, uint64_t to, bool *is_history, weir_error *err)
{
    int origin;
    int rc = stored_origin(w, from, to, &origin, err);
    *is_history = origin == 1;
    return rc;
}

void edge_say_dropped(weir *w, uint64_t from, cat_node *to)
{
    buf *body = catalog_body(w->catalog);
    event_put_edge_dropped(body, &(event_edge_dropped){.from = from, .to = to->id});
    journal_say(w->journal, EVENT_EDGE_DROPPED, body);
    if (to->status != CAT_SETTLED) return;
    to->status = CAT_DUE;
    to->due = REASON_INPUTS_REMOVED;
}

/* Is something above a node still open that it does not take in by way of `from` or `asker` alone? Then it may be looked at again. */
static int is_reached(weir *w, uint64_t asker, uint64_t from, uint64_t to, bool *reached, weir_error *err)
{
    node_walk back;
    uint64_t at = 0;
    walk_init(&back);
    int rc = walk_rows(&back, w, SQL_NODE_SOURCES, to, err);
    while (rc == 0 && !*reached && walk_pop(&back, &at)) {
        plan_state state = plan_state_of(w->plan, at);
        if (at == asker || at == from || at == to) continue;
        *reached = state == PLAN_DUE || state == PLAN_RUNNING;
        rc = walk_rows(&back, w, SQL_NODE_SOURCES, at, err);
    }
    walk_deinit(&back);
    return rc;
}

/*
 * Is this step of a circle only history: of a node that is to be looked at again, or, where a job would have to fail for it, that may be
 * yet? Or a wait of a lookup, that can as well be a miss? Then it is taken away. A lookup does not take away the wait of another
 * one: they would take turns for ever. That a node comes after the one on whose list it was until now is no more than an order.
 */
static int drop_step(weir *w, uint64_t asker, uint64_t from, uint64_t to, bool waits, bool *dropped, weir_error *err)
{
    int origin;
    bool is_due_soon = false;
    plan_state state = w->plan ? plan_state_of(w->plan, to) : PLAN_DUE; /* a definition is compared before the first turn: nothing was looked at yet */
    *dropped = false;
    if (w->plan && plan_has_edge(w->plan, from, to)) return 0;
    int rc = stored_origin(w, from, to, &origin, err);
    bool is_open = state == PLAN_DUE || state == PLAN_RUNNING;
    cat_node *node = rc == 0 ? catalog_node(w->catalog, to, err) : NULL;
    if (!node) return err->code ? err->code : WEIR_BUG;
    is_open |= !targets_wanted(w, to); /* the next run that is about it looks at it */
    if (origin == 1 && waits && w->plan && !is_open && state == PLAN_IDLE) rc = is_reached(w, asker, from, to, &is_due_soon, err);
    if (rc != 0) return rc;
    is_open |= is_due_soon;
    bool is_listed = origin < 0 && node->spec.parent == from && node->waited != w->turns + 1;
    if (origin == 0 || origin == 2 || (origin == 1 && !is_open) || (origin < 0 && !waits && !is_listed)) return 0;
    if (origin == 1) edge_say_dropped(w, from, node);
    if (node->spec.parent == from) node->apart = w->turns + 1;
    *dropped = true;
    rc = w->plan ? plan_forget(w->plan, from, to, err) : 0;
    return rc == 0 && is_due_soon ? plan_due(w->plan, to, node->height, err) : rc;
}

/* A circle: from a node along its users and back to it. The last step is the new one that closes it. */
static int drop_any(weir *w, const uint64_t *ids, size_t count, bool waits, bool *broken, weir_error *err)
{
    *broken = false;
    int rc = w->dry ? 0 : catalog_refresh(w->catalog, err); /* what was settled in this turn reads what it reads now */
    for (size_t i = 0; rc == 0 && !w->dry && !*broken && i + 2 < count; i++)
        rc = drop_step(w, ids[0], ids[i], ids[i + 1], waits, broken, err);
    return rc == 0 && *broken ? catalog_refresh(w->catalog, err) : rc;
}

/* The circle that the planner has just found. */
static int break_circle(weir *w, bool waits, bool *broken, weir_error *err)
{
    size_t count = 0;
    const uint64_t *found = plan_circle(w->plan, &count);
    uint64_t *ids = mem_dup(found, count * sizeof *ids);
    *broken = false;
    if (!ids) return error_nomem(err, doing);
    int rc = drop_any(w, ids, count, waits, broken, err);
    mem_free(ids);
    return rc;
}

/* --- adding -------------------------------------------------------------------------------------------------------- */

/* "a -> b -> a"; a long circle loses its middle. */
static int say_circle(weir *w, const uint64_t *ids, size_t count, weir_error *err)
{
    enum { SHOWN = 6 };
    char text[380] = "";
    size_t used = 0, size = sizeof text;
    for (size_t i = 0; i < count && used < size; i++) {
        if (count > 2 * SHOWN + 1 && i == SHOWN) {
            i = count - SHOWN;
            used += (size_t)snprintf(text + used, size - used, " -> ...");
        }
        const cat_node *node = used < size ? catalog_node(w->catalog, ids[i], NULL) : NULL;
        if (node) used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " -> " : "", (const char *)node->spec.name.data);
    }
    return error_set(err, WEIR_FAILED, "nodes wait for one another: %s", text);
}

/* Runs `try` until it works or the circle cannot be broken: then WEIR_WORKFLOW. */
static int try_edge(weir *w, int (*try)(plan *, uint64_t, uint64_t, uint32_t, weir_error *), uint64_t node, const cat_node *on,
                    weir_error *err)
{
    for (;;) {
        bool broken = false;
        int rc = try(w->plan, node, on->id, on->height, err);
        if (rc != WEIR_WORKFLOW) return rc;
        int end = break_circle(w, try == plan_edge, &broken, err);
        if (end != 0 || !broken) return end != 0 ? end : rc;
        error_clear(err);
    }
}

int edge_wait(weir *w, uint64_t node, const cat_node *on, weir_error *err)
{
    return try_edge(w, plan_wait, node, on, err);
}

int edge_check(weir *w, const cat_node *node, const cat_node *on, weir_error *err)
{
    if (on->height < node->height) return 0;
    return try_edge(w, plan_check, node->id, on, err);
}

int edge_add(weir *w, const cat_node *node, const cat_node *on, weir_error *err)
{
    int rc = try_edge(w, plan_edge, node->id, on, err);
    if (rc != WEIR_WORKFLOW) return rc;
    size_t count = 0;
    const uint64_t *ids = plan_circle(w->plan, &count);
    return say_circle(w, ids, count, err);
}

/* What was not wanted until now was no part of the circles that were looked for before. */
int edge_enters(weir *w, const cat_node *node, uint64_t on, weir_error *err)
{
    for (;;) {
        bool broken = false;
        int rc = plan_new_user(w->plan, node->id, node->height, on, err);
        if (rc != WEIR_WORKFLOW) return rc;
        size_t count = 0;
        rc = break_circle(w, true, &broken, err);
        if (rc != 0) return rc;
        const uint64_t *ids = plan_circle(w->plan, &count);
        if (!broken) return say_circle(w, ids, count, err);
        error_clear(err);
    }
}

/* The node behind a read that was not declared; NULL: none. */
static int edge_source(weir *w, const read_record *r, const cat_node **maker, weir_error *err)
{
    *maker = NULL;
    const cat_item *item = catalog_item(w->catalog, r->ref.item, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    if (item->kind == ITEM_NODE) {
        cat_node *node = NULL;
        int rc = need_node(w, item->name, &node, err);
        *maker = node;
        return rc;
    }
    if (item->node == 0) return 0;
    *maker = catalog_node(w->catalog, item->node, err);
    return *maker ? 0 : err->code ? err->code : WEIR_BUG;
}

/* --- the way of a circle ------------------------------------------------------------------------------------------- */

typedef struct trail {
    struct trail_step {
        uint64_t node;
        size_t parent; /* index of a step */
    } *steps;
    size_t count, capacity;
    map seen;
} trail;

static int trail_add(trail *t, uint64_t node, size_t parent, weir_error *err)
{
    bool added = false;
    if (!map_put(&t->seen, map_key_u64(&node), &added)) return error_nomem(err, doing);
    if (!added) return 0;
    if (!MEM_GROW(t->steps, t->capacity, t->count + 1)) return error_nomem(err, doing);
    t->steps[t->count++] = (struct trail_step){node, parent};
    return 0;
}

/*
 * The users of a step that can still lead to `on`: those that are not higher, and itself. In a turn for E1, before the first one for
 * the order in which edge_clear is asked.
 */
static int trail_follow(weir *w, trail *t, size_t step, const cat_node *on, weir_error *err)
{
    const plan_user *users = NULL;
    plan_user found;
    uint64_t id = t->steps[step].node;
    size_t count = 0, at = 0;
    int rc = targets_all_users(w, id, &users, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (users[i].height <= on->height || users[i].node == on->id)
            rc = trail_add(t, users[i].node, step, err);
    while (rc == 0 && w->plan && plan_each_edge(w->plan, id, &at, &found)) rc = trail_add(t, found.node, step, err);
    return rc;
}

/* The circle that an edge from `on` to `node` would close, from `node` along its users; mem_free(*ids). *count 0: none. */
static int find_circle(weir *w, const cat_node *on, const cat_node *node, uint64_t **ids, size_t *count, weir_error *err)
{
    trail t = {0};
    size_t last = 0;
    map_init(&t.seen);
    *ids = NULL;
    *count = 0;
    int rc = trail_add(&t, node->id, 0, err);
    for (size_t i = 0; rc == 0 && last == 0 && i < t.count; i++) {
        if (t.steps[i].node == on->id) last = i;
        else rc = trail_follow(w, &t, i, on, err);
    }
    if (last) {
        size_t steps = 2;
        for (size_t i = last; i != 0; i = t.steps[i].parent) steps++;
        *ids = mem_alloc(steps * sizeof **ids);
        if (!*ids) rc = error_nomem(err, doing);
        for (size_t i = last, place = steps - 2; rc == 0 && i != 0; i = t.steps[i].parent) (*ids)[place--] = t.steps[i].node;
        if (rc == 0) (*ids)[0] = (*ids)[steps - 1] = node->id;
        *count = rc == 0 ? steps : 0;
    }
    map_deinit(&t.seen);
    mem_free(t.steps);
    return rc;
}

/* WEIR_FAILED: what is left of the circle is none of history. */
int edge_clear(weir *w, const cat_node *on, const cat_node *node, weir_error *err)
{
    for (bool is_fresh = false;; is_fresh = true) {
        uint64_t *ids = NULL;
        size_t count = 0;
        bool broken = false;
        int rc = find_circle(w, on, node, &ids, &count, err);
        if (rc == 0 && count > 0 && !is_fresh) { /* what is stored may be behind what was said in this turn */
            mem_free(ids);
            rc = catalog_refresh(w->catalog, err);
            if (rc != 0) return rc;
            continue;
        }
        if (rc == 0 && count > 0) rc = drop_any(w, ids, count, false, &broken, err);
        if (rc == 0 && count > 0 && !broken) rc = say_circle(w, ids, count, err);
        mem_free(ids);
        if (rc != 0 || count == 0) return rc;
    }
}

/* --- a list that closes circles ------------------------------------------------------------------------------------- */

/*
 * What was made from something that is declared anew holds no more, although nobody has looked at it yet: the first such read is
 * dropped, and its node looked at again.
 */
static int drop_found(weir *w, const uint64_t *ids, size_t count, map *again, bool *broken, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && !*broken && i + 1 < count; i++) {
        bool is_found = false;
        rc = edge_is_history(w, ids[i], ids[i + 1], &is_found, err);
        if (rc != 0 || !is_found) continue;
        cat_node *to = catalog_node(w->catalog, ids[i + 1], err);
        if (!to) return err->code ? err->code : WEIR_BUG;
        if (!map_put(again, map_key_u64(&to->id), NULL)) return error_nomem(err, doing);
        edge_say_dropped(w, ids[i], to);
        rc = plan_forget(w->plan, ids[i], to->id, err);
        *broken = true;
    }
    return rc == 0 && *broken ? catalog_refresh(w->catalog, err) : rc;
}

/* That a node comes after its list has no meaning any more: this is the list. */
static int drop_order(weir *w, uint64_t list, const uint64_t *ids, size_t count, bool *broken, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && !*broken && i + 1 < count; i++) {
        int origin = 0;
        cat_node *to = ids[i] == list ? catalog_node(w->catalog, ids[i + 1], err) : NULL;
        rc = to ? stored_origin(w, ids[i], to->id, &origin, err) : err->code;
        if (rc != 0 || !to || origin >= 0 || to->spec.parent != list) continue;
        to->apart = w->turns + 1;
        rc = plan_forget(w->plan, ids[i], to->id, err);
        *broken = true;
    }
    return rc;
}

static int part(weir *w, uint64_t list, const uint64_t *ids, size_t count, map *again, weir_error *err)
{
    weir_error why = {0};
    bool broken = false;
    int rc = drop_order(w, list, ids, count, &broken, err);
    if (rc == 0 && !broken) rc = drop_any(w, ids, count, true, &broken, err);
    if (rc != 0 || broken) return rc;
    say_circle(w, ids, count, &why);
    rc = need_end_circle(w, ids, count, why.message, &broken, err);
    if (rc == 0 && !broken) rc = drop_found(w, ids, count, again, &broken, err);
    if (rc != 0 || broken) return rc;
    *err = why;
    return WEIR_FAILED;
}

/* A circle from the node along its users and back to it, as the state has them; mem_free(*ids). *ids NULL: none. */
static int find_return(weir *w, const cat_node *node, uint64_t **ids, size_t *count, weir_error *err)
{
    const plan_user *users = NULL;
    size_t user_count = 0;
    *ids = NULL;
    *count = 0;
    int rc = targets_all_users(w, node->id, &users, &user_count, err);
    if (rc != 0 || user_count == 0) return rc;
    plan_user *copy = mem_dup(users, user_count * sizeof *users);
    if (!copy) return error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && *count == 0 && i < user_count; i++) {
        const cat_node *user = copy[i].height <= node->height ? catalog_node(w->catalog, copy[i].node, err) : NULL;
        if (user) rc = find_circle(w, node, user, ids, count, err);
        else rc = err->code;
    }
    if (*count) { /* it begins with its first user */
        memmove(*ids + 1, *ids, (*count - 1) * sizeof **ids);
        **ids = node->id;
    }
    mem_free(copy);
    return rc;
}

int edge_part(weir *w, const cat_node *node, uint32_t height_before, uint32_t height, map *again, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    int rc;
    while ((rc = find_return(w, node, &ids, &count, err)) == 0 && count > 0) {
        rc = part(w, node->spec.parent, ids, count, again, err);
        mem_free(ids);
        if (rc != 0) return rc;
    }
    if (rc != 0) return rc;
    while ((rc = plan_returns(w->plan, node->id, height_before, height, err)) == WEIR_WORKFLOW) {
        error_clear(err);
        const uint64_t *found = plan_circle(w->plan, &count);
        ids = mem_dup(found, count * sizeof *ids);
        rc = ids ? part(w, node->spec.parent, ids, count, again, err) : error_nomem(err, doing);
        mem_free(ids);
        if (rc != 0) return rc;
    }
    return rc;
}

/* --- heights ------------------------------------------------------------------------------------------------------- */

typedef struct lifting {
    weir *w;
    uint64_t *queue;
    size_t count, capacity;
} lifting;

static int raise_node(lifting *l, uint64_t from, uint64_t id, uint32_t height, weir_error *err)
{
    weir *w = l->w;
    cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    if (node->height >= height) return 0;
    if (!MEM_GROW(l->queue, l->capacity, l->count + 1)) return error_nomem(err, doing);
    l->queue[l->count++] = id;
    node->height = height;
    buf *body = catalog_body(w->catalog);
    event_put_edge_found(body, &(event_edge_found){.from = from, .to = id, .to_height = height});
    journal_say(w->journal, EVENT_EDGE_FOUND, body);
    return w->plan ? plan_raise(w->plan, id, height, err) : 0;
}

/* Users as the state has them, and those found in this turn. */
static int raise_users(lifting *l, uint64_t id, weir_error *err)
{
    const cat_node *low = catalog_node(l->w->catalog, id, err);
    const plan_user *users = NULL;
    plan_user found;
    size_t count = 0, at = 0;
    if (!low) return err->code ? err->code : WEIR_BUG;
    int rc = targets_all_users(l->w, id, &users, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (users[i].height <= low->height) rc = raise_node(l, 0, users[i].node, low->height + 1, err);
    while (rc == 0 && l->w->plan && plan_each_edge(l->w->plan, id, &at, &found)) rc = raise_node(l, 0, found.node, low->height + 1, err);
    return rc;
}

int edge_lift(weir *w, const cat_node *on, const cat_node *node, weir_error *err)
{
    lifting l = {.w = w};
    if (on->height < node->height) return 0;
    int rc = w->dry ? 0 : edge_clear(w, on, node, err);
    if (rc == 0) rc = raise_node(&l, on->id, node->id, on->height + 1, err);
    for (size_t i = 0; rc == 0 && i < l.count; i++) rc = raise_users(&l, l.queue[i], err);
    mem_free(l.queue);
    return rc;
}

/* --- results of before --------------------------------------------------------------------------------------------- */

static int restore_edge(task *t, const read_record *r, weir_error *err)
{
    weir *w = t->w;
    const cat_node *maker = NULL;
    int rc = edge_source(w, r, &maker, err);
    if (rc != 0 || !maker || maker->id == t->node->id) return rc;
    rc = edge_add(w, t->node, maker, err);
    return rc == 0 ? edge_lift(w, maker, t->node, err) : rc;
}

/* The same result as before has its edges already, unless they were dropped. The lookup that led to a result has asked for all that it read. */
int edge_restore(task *t, uint64_t execution, weir_error *err)
{
    bool has_edges = execution == t->node->execution && t->node->status == CAT_SETTLED;
    read_record *reads = NULL;
    size_t count = 0;
    if (has_edges || t->w->dry || !t->asks_found) return 0;
    int rc = catalog_reads(t->w->catalog, execution, &t->arena, &reads, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (reads[i].ref.port < 0 && reads[i].ref.item != 0) rc = restore_edge(t, &reads[i], err);
    return rc;
}
