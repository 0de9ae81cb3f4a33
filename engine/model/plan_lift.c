/*
 * plan_lift.c - heights that rise during a turn, and the circles that would let them rise for ever.
 *
 * A node that waits for a higher one moves above it, and so do its users, and theirs, as far as they are not higher already. They
 * are taken in the order of their old heights: an order in which every edge but the new one points upwards, so each is
 * raised for good before its own users are looked at. A new edge closes a circle if its head already reaches its tail;
 * as edges rise, only nodes lower than the tail need to be looked at.
 *
 * H1  After plan_lift_spread the height of a user is above that of its node, for all nodes of the turn, if the heights that the
 *     source gives have this property.
 *
 * Loop thread only. No I/O.
 * After: Pearce and Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic Graphs", 2006.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/model/plan_parts.h"

int plan_lift_raise(plan *p, uint32_t at, uint32_t height, weir_error *err)
{
    plan_node *node = &p->nodes[at];
    if (height <= node->height) return 0;
    uint32_t old = node->height;
    node->height = height;
    p->counts.lifted++;
    int rc = 0;
    if (node->state == PLAN_DUE) {
        plan_heap_drop(p, &p->ready, at); /* shown for the old height; judged again at the new one */
        rc = plan_heap_push(p, &p->queue, at, height, node->order, err);
    }
    if (rc == 0 && node->state == PLAN_RUNNING) rc = plan_heap_push(p, &p->running, at, height, 0, err);
    if (rc == 0 && (node->flags & IN_FRONT)) rc = plan_heap_push(p, &p->front, at, height, 0, err);
    if (rc == 0 && !(node->flags & IN_LIFT)) rc = plan_heap_push(p, &p->lift, at, old, 0, err);
    return rc;
}

static int raise_users(plan *p, uint32_t at, weir_error *err)
{
    const plan_user *users;
    size_t count;
    int rc = plan_table_users(p, at, &users, &count, err);
    uint32_t least = plan_above(p->nodes[at].height);
    for (size_t i = 0; i < count && rc == 0; i++) {
        uint32_t user;
        bool is_known = plan_table_find(p, users[i].node, &user);
        if (!is_known && users[i].height >= least) continue;
        if (!is_known) rc = plan_table_add(p, users[i].node, users[i].height, &user, err);
        if (rc == 0) rc = plan_lift_raise(p, user, least, err);
    }
    for (uint32_t e = p->nodes[at].edge_at; e && rc == 0; e = p->edges[e - 1].next)
        rc = plan_lift_raise(p, p->edges[e - 1].to, least, err);
    return rc;
}

int plan_lift_spread(plan *p, weir_error *err)
{
    int rc = 0;
    size_t steps = 0;
    while (rc == 0 && plan_heap_top(p, &p->lift)) {
        uint32_t at = plan_heap_take(p, &p->lift);
        rc = raise_users(p, at, err);
        /* Each node once, if the heights of the source rise along its edges; a circle in it would never end. */
        if (++steps > 1000 + 16 * p->node_count)
            return error_set(err, WEIR_CORRUPT, "plan: the users of node %" PRIu64 " form a circle", p->nodes[at].id);
    }
    return rc;
}

/* --- circles ----------------------------------------------------------------------------------------------------- */

typedef struct trail {
    struct trail_step {
        uint32_t node, parent; /* parent: index of a step */
    } *steps; /* owned */
    size_t count, capacity;
} trail;

static int trail_add(plan *p, trail *t, uint32_t node, size_t parent, weir_error *err)
{
    if (p->nodes[node].flags & IN_LIFT) return 0;
    if (!MEM_GROW(t->steps, t->capacity, t->count + 1)) return error_nomem(err, "looking for a circle");
    p->nodes[node].flags |= IN_LIFT;
    t->steps[t->count++] = (struct trail_step){node, (uint32_t)parent};
    return 0;
}

/* "from -> ... -> to -> from"; a long way loses its middle at whole ids. */
static void format_circle(const uint64_t *ids, size_t count, char *text, size_t size)
{
    enum { SHOWN = 8 };
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_gap = count > 2 * SHOWN && i == SHOWN;
        if (is_gap) i = count - SHOWN - 1;
        int wrote = is_gap ? snprintf(text + used, size - used, " -> ...")
                           : snprintf(text + used, size - used, "%s%" PRIu64, i ? " -> " : "", ids[i]);
        used += (size_t)wrote;
    }
}

static int say_circle(plan *p, const trail *t, size_t last, weir_error *err)
{
    size_t count = 2;
    for (size_t i = last; i != 0; i = t->steps[i].parent) count++;
    uint64_t *ids = mem_alloc(count * sizeof *ids);
    if (!ids) return error_nomem(err, "naming a circle");
    ids[0] = ids[count - 1] = p->nodes[t->steps[0].node].id;
    size_t place = count - 2;
    for (size_t i = last; i != 0; i = t->steps[i].parent) ids[place--] = p->nodes[t->steps[i].node].id;
    char text[440];
    format_circle(ids, count, text, sizeof text);
    mem_free(p->circle);
    p->circle = ids;
    p->circle_count = count;
    return error_set(err, WEIR_WORKFLOW, "%s", text);
}

/* Adds the users of a step that can still lead to a node: those that are lower than `below`, and itself. */
static int follow(plan *p, trail *t, size_t step, uint32_t to, uint32_t below, weir_error *err)
{
    uint32_t at = t->steps[step].node;
    const plan_user *users;
    size_t count;
    int rc = plan_table_users(p, at, &users, &count, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        uint32_t user;
        if (!plan_table_find(p, users[i].node, &user)) {
            if (users[i].height >= below) continue; /* the tail itself is known */
            rc = plan_table_add(p, users[i].node, users[i].height, &user, err);
        }
        if (rc == 0 && (user == to || p->nodes[user].height < below))
            rc = trail_add(p, t, user, step, err);
    }
    for (uint32_t e = p->nodes[at].edge_at; e && rc == 0; e = p->edges[e - 1].next)
        rc = trail_add(p, t, p->edges[e - 1].to, step, err);
    return rc;
}

int plan_lift_check(plan *p, uint32_t from, uint32_t to, weir_error *err)
{
    if (from != to && p->nodes[to].height <= p->nodes[from].height) return 0; /* edges rise */
    trail t = {0};
    int rc = trail_add(p, &t, from, 0, err);
    for (size_t i = 0; i < t.count && rc == 0; i++) {
        if (t.steps[i].node == to) rc = say_circle(p, &t, i, err);
        else rc = follow(p, &t, i, to, p->nodes[to].height, err);
    }
    for (size_t i = 0; i < t.count; i++) p->nodes[t.steps[i].node].flags &= (uint8_t)~IN_LIFT;
    mem_free(t.steps);
    return rc;
}

/* The first step is not marked, so that the way back to it is one. */
int plan_lift_returns(plan *p, uint32_t at, uint32_t below, weir_error *err)
{
    trail t = {0};
    int rc = trail_add(p, &t, at, 0, err);
    p->nodes[at].flags &= (uint8_t)~IN_LIFT;
    for (size_t i = 0; i < t.count && rc == 0; i++) {
        if (i > 0 && t.steps[i].node == at) rc = say_circle(p, &t, t.steps[i].parent, err);
        else rc = follow(p, &t, i, at, below, err);
    }
    for (size_t i = 0; i < t.count; i++) p->nodes[t.steps[i].node].flags &= (uint8_t)~IN_LIFT;
    mem_free(t.steps);
    return rc;
}
