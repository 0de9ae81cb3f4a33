/*
 * plan_reach.c - the readiness search: which due nodes can something unsettled still reach?
 *
 * A node is active when it is due or running, or idle and the user of an active node: something on the way to it may
 * still make it due. A settled node passes nothing on any more in this turn. To expand an active node is to count it in
 * each of its users; so, the graph having no circles, a node with count 0 is reached by nothing among the expanded nodes.
 * The search expands in order of height, no higher than needed. When a node settles, its users are counted down; an idle
 * one that comes to 0 is active no more and counts its own users down in turn. So the search is never made anew, and a node
 * is expanded once a turn (again only if it was given up and then became active from outside).
 *
 *      horizon 3            height 1    2    3    4
 *      running a, due x     a --------> b --------> x     a, b: expanded; count of x is 1: waits for a
 *      due y                            c*- - - - > y     count of y is 0: ready, whatever a does
 *
 * R1  count(y) = number of edges from an expanded node to y. Expanded nodes are active.
 * R2  An active node below the horizon is expanded or in `front`.
 * R3  A due node is queued, or ready, or blocked (neither: its count is above 0, its height at most the horizon).
 *     After a drain a count is exact for every node that is at most as high as the horizon.
 * R4  The users that were counted up are kept, and the same ones are counted down, even if the source says otherwise later.
 *
 * Loop thread only. No I/O.
 */
#include "engine/model/plan_parts.h"


static int push_front(plan *p, uint32_t at, weir_error *err)
{
    if (p->nodes[at].flags & (EXPANDED | IN_FRONT)) return 0;
    return plan_heap_push(p, &p->front, at, p->nodes[at].height, 0, err);
}

int plan_reach_enter(plan *p, uint32_t at, weir_error *err)
{
    bool is_later = p->nodes[at].state == PLAN_DUE && p->nodes[at].height >= p->horizon; /* when it is judged */
    return is_later ? 0 : push_front(p, at, err);
}

int plan_reach_count(plan *p, uint32_t user, weir_error *err)
{
    plan_node *node = &p->nodes[user];
    if (node->count++ > 0) return 0;
    if (node->state == PLAN_DUE) plan_heap_drop(p, &p->ready, user);
    if (node->state != PLAN_IDLE) return 0;
    if (!(node->flags & SEARCHED)) p->counts.searched++;
    node->flags |= SEARCHED;
    return push_front(p, user, err);
}

/* Asks the source once and keeps what it said. */
static int remember_users(plan *p, uint32_t at, weir_error *err)
{
    if (p->nodes[at].users_at) return 0;
    const plan_user *users;
    size_t count;
    int rc = plan_table_users(p, at, &users, &count, err);
    if (rc) return rc;
    if (count >= UINT32_MAX - 1 - p->user_count) return error_set(err, WEIR_LIMIT, "plan: more than 4 billion edges in a turn");
    if (!MEM_GROW(p->users, p->user_capacity, p->user_count + count + 1)) return error_nomem(err, "planning");
    uint32_t *to = p->users + p->user_count;
    *to++ = (uint32_t)count;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = plan_table_add(p, users[i].node, users[i].height, &to[i], err);
        uint32_t least = plan_above(p->nodes[at].height);
        if (least < users[i].height) least = users[i].height;
        if (rc == 0) rc = plan_lift_raise(p, to[i], least, err);
    }
    if (rc) return rc;
    p->nodes[at].users_at = (uint32_t)p->user_count + 1;
    p->user_count += count + 1;
    return plan_lift_spread(p, err);
}

static int expand(plan *p, uint32_t at, weir_error *err)
{
    int rc = remember_users(p, at, err);
    if (rc) return rc;
    p->nodes[at].flags |= EXPANDED;
    const uint32_t *run = p->users + p->nodes[at].users_at - 1;
    for (uint32_t i = 1; i <= run[0] && rc == 0; i++) rc = plan_reach_count(p, run[i], err);
    for (uint32_t e = p->nodes[at].edge_at; e && rc == 0; e = p->edges[e - 1].next)
        rc = plan_reach_count(p, p->edges[e - 1].to, err);
    return rc;
}

/* One expanded node less in front of `user`. An idle one that is reached no more goes on the stack. */
static int count_down(plan *p, uint32_t user, size_t *depth, weir_error *err)
{
    plan_node *node = &p->nodes[user];
    if (--node->count > 0) return 0;
    if (node->state == PLAN_DUE && !(node->flags & (IN_QUEUE | IN_READY)))
        return plan_heap_push(p, &p->ready, user, node->order, 0, err);
    if (node->state != PLAN_IDLE) return 0;
    plan_heap_drop(p, &p->front, user);
    if (!(node->flags & EXPANDED)) return 0;
    if (!MEM_GROW(p->stack, p->stack_capacity, *depth + 1)) return error_nomem(err, "planning");
    p->stack[(*depth)++] = user;
    return 0;
}

/* An expanded node is active no more, and then those on the stack. */
static int retreat(plan *p, uint32_t at, size_t depth, weir_error *err)
{
    int rc = 0;
    for (;;) {
        p->nodes[at].flags &= (uint8_t)~EXPANDED;
        const uint32_t *run = p->users + p->nodes[at].users_at - 1;
        for (uint32_t i = 1; i <= run[0] && rc == 0; i++) rc = count_down(p, run[i], &depth, err);
        for (uint32_t e = p->nodes[at].edge_at; e && rc == 0; e = p->edges[e - 1].next)
            rc = count_down(p, p->edges[e - 1].to, &depth, err);
        if (rc || depth == 0) return rc;
        at = p->stack[--depth];
    }
}

int plan_reach_leave(plan *p, uint32_t at, weir_error *err)
{
    plan_heap_drop(p, &p->front, at);
    return p->nodes[at].flags & EXPANDED ? retreat(p, at, 0, err) : 0;
}

int plan_reach_forget(plan *p, uint32_t on, uint32_t to, size_t links, weir_error *err)
{
    uint32_t *run = p->nodes[on].users_at ? p->users + p->nodes[on].users_at - 1 : NULL;
    for (uint32_t i = 1; run && i <= run[0];) {
        if (run[i] == to) {
            run[i] = run[run[0]--];
            links++;
        } else {
            i++;
        }
    }
    size_t depth = 0;
    int rc = 0;
    if (!(p->nodes[on].flags & EXPANDED)) return 0;
    for (; links > 0 && rc == 0; links--) rc = count_down(p, to, &depth, err);
    return rc == 0 && depth > 0 ? retreat(p, p->stack[depth - 1], depth - 1, err) : rc;
}

int plan_reach_drain(plan *p, weir_error *err)
{
    int rc = 0;
    const heap_entry *top;
    while (rc == 0 && (top = plan_heap_top(p, &p->front)) != NULL && top->major < p->horizon)
        rc = expand(p, plan_heap_take(p, &p->front), err);
    return rc;
}

int plan_reach_judge(plan *p, weir_error *err)
{
    int rc = 0;
    const heap_entry *top;
    while (rc == 0 && (top = plan_heap_top(p, &p->queue)) != NULL) {
        if (!p->weighs && p->ready.live > 0 && top->major >= p->horizon) break;
        uint32_t height = top->major;
        if (p->horizon < height) p->horizon = height;
        rc = plan_reach_drain(p, err);
        top = plan_heap_top(p, &p->queue);
        if (rc || !top || top->major != height) continue; /* the drain lifted it */
        uint32_t at = plan_heap_take(p, &p->queue);
        rc = push_front(p, at, err);
        if (rc == 0 && p->nodes[at].count == 0) rc = plan_heap_push(p, &p->ready, at, p->nodes[at].order, 0, err);
    }
    return rc;
}
