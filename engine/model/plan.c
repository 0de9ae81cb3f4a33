/*
 * plan.c - the turn: what is due, what may start next, and whom a changed result makes due.
 *
 *   idle --due--> DUE (queued | blocked | ready) --next--> RUNNING --settled--> SETTLED --due--> remembered for the next turn
 *                                                   <--wait--
 *
 * A due node waits in `queue`, in order of height. The lowest one starts without a search when nothing that runs is lower: a
 * way to it would have to begin lower still. When that gives nothing and a slot is idle, plan_reach.c searches;
 * what it has shown to be ready is handed out in order of weight, before anything else.
 *
 * Among nodes that may start, the heavier one first; equal weights, and all if there is no weight, in order of ids.
 *
 * An error other than WEIR_WORKFLOW of plan_wait (which changes nothing) leaves the turn half planned: only plan_reset and
 * plan_free are of use then.
 *
 * Loop thread only. No I/O. Memory: 32 bytes a node, 4 to 11 in the table, 12 in each heap it is in; given back by
 * plan_reset when it was much.
 * After: Mokhov, Mitchell, Peyton Jones, "Build Systems a la Carte", 2018 (early cutoff);
 *        Cooper, Krishnamurthi, "Embedding Dynamic Dataflow ...", 2006 (order by height).
 */
#include <inttypes.h>

#include "engine/model/plan_parts.h"

int plan_new(plan **out, const plan_source *source, weir_error *err)
{
    *out = NULL;
    plan *p = mem_zero(1, sizeof *p);
    if (!p) return error_nomem(err, "making a plan");
    p->source = *source;
    plan_heap_init(&p->queue, IN_QUEUE, true);
    plan_heap_init(&p->ready, IN_READY, false);
    plan_heap_init(&p->front, IN_FRONT, true);
    plan_heap_init(&p->running, IN_RUNNING, true);
    plan_heap_init(&p->lift, IN_LIFT, false);
    *out = p;
    return 0;
}

void plan_reset(plan *p)
{
    plan_heap *heaps[] = {&p->queue, &p->ready, &p->front, &p->running, &p->lift};
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++) plan_heap_clear(heaps[i]);
    plan_table_clear(p);
    mem_free(p->users);
    p->users = NULL;
    p->user_count = p->user_capacity = 0;
    p->horizon = 0;
    p->weighs = false;
    p->circle_count = 0;
    p->again_count = 0;
    p->due = p->open_running = 0;
    p->counts = (plan_counts){0};
}

void plan_free(plan *p)
{
    if (!p) return;
    plan_heap *heaps[] = {&p->queue, &p->ready, &p->front, &p->running, &p->lift};
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++) mem_free(heaps[i]->entries);
    mem_free(p->nodes);
    mem_free(p->slots);
    mem_free(p->users);
    mem_free(p->edges);
    mem_free(p->circle);
    mem_free(p->again);
    mem_free(p->stack);
    mem_free(p);
}

/* --- becoming due ------------------------------------------------------------------------------------------------ */

/* Smaller for more weight: the bits of a float that is not negative are ordered like the float. */
static uint32_t order_of(const plan *p, uint64_t node)
{
    if (!p->source.weight) return node < UINT32_MAX ? (uint32_t)node : UINT32_MAX;
    int64_t weight = p->source.weight(p->source.ctx, node);
    float rounded = weight > 0 ? (float)weight : 0.0f;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return ~bits;
}

static int look_again(plan *p, uint32_t at, weir_error *err)
{
    plan_node *node = &p->nodes[at];
    if (node->flags & AGAIN) return 0;
    if (!MEM_GROW(p->again, p->again_capacity, p->again_count + 1)) return error_nomem(err, "planning");
    node->flags |= AGAIN;
    p->again[p->again_count++] = at;
    return 0;
}

static int start_due(plan *p, uint32_t at, weir_error *err)
{
    plan_node *node = &p->nodes[at];
    if (node->flags & SEARCHED) p->counts.searched--;
    node->flags &= (uint8_t)~SEARCHED;
    node->state = PLAN_DUE;
    node->order = order_of(p, node->id);
    p->due++;
    int rc = plan_heap_push(p, &p->queue, at, node->height, node->order, err);
    return rc ? rc : plan_reach_enter(p, at, err);
}

/* Marks a node due; its users, if it was lifted, follow with plan_lift_spread. `changed`: an input of it changed just now. */
static int mark_due(plan *p, uint32_t at, uint32_t height, bool changed, weir_error *err)
{
    int rc = plan_lift_raise(p, at, height, err);
    if (rc) return rc;
    if (changed) p->nodes[at].is_asked = false;
    switch ((plan_state)p->nodes[at].state) {
    case PLAN_IDLE: return start_due(p, at, err);
    case PLAN_DUE: return 0;
    case PLAN_RUNNING: return changed ? look_again(p, at, err) : 0; /* it may have read what was there before */
    case PLAN_SETTLED: return look_again(p, at, err);
    }
    return 0;
}

int plan_due(plan *p, uint64_t node, uint32_t height, weir_error *err)
{
    uint32_t at;
    int rc = plan_table_add(p, node, height, &at, err);
    if (rc == 0) p->nodes[at].is_asked = false;
    if (rc == 0) rc = mark_due(p, at, height, false, err);
    return rc ? rc : plan_lift_spread(p, err);
}

int plan_ask(plan *p, uint64_t node, uint32_t height, weir_error *err)
{
    uint32_t at;
    int rc = plan_due(p, node, height, err);
    if (rc == 0 && plan_table_find(p, node, &at)) p->nodes[at].is_asked = true;
    return rc;
}

bool plan_is_asked(const plan *p, uint64_t node)
{
    uint32_t at;
    return plan_table_find(p, node, &at) && p->nodes[at].is_asked;
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

static int hand_out(plan *p, uint32_t at, uint64_t *node, weir_error *err)
{
    plan_node *chosen = &p->nodes[at];
    chosen->state = PLAN_RUNNING;
    p->due--;
    p->open_running++;
    p->counts.visited++;
    *node = chosen->id;
    int rc = plan_heap_push(p, &p->running, at, chosen->height, 0, err);
    if (rc == 0) rc = plan_reach_enter(p, at, err);
    return rc ? rc : 1;
}

/* Nothing is ready: may the lowest due node start, because nothing that runs is lower? */
static bool is_lowest(plan *p)
{
    const heap_entry *due = plan_heap_top(p, &p->queue);
    const heap_entry *running = plan_heap_top(p, &p->running);
    if (!due || !running) return due != NULL;
    return due->major <= running->major;
}

void plan_weigh(plan *p)
{
    p->weighs = true;
}

int plan_next(plan *p, bool idle, uint64_t *node, weir_error *err)
{
    int rc = 0;
    if (p->due == 0) return 0;
    if (p->weighs) idle = true;
    if (p->ready.live > 0) rc = plan_reach_drain(p, err);
    if (rc == 0 && p->ready.live > 0 && idle) rc = plan_reach_judge(p, err);
    if (rc == 0 && p->ready.live == 0) {
        if (!p->weighs && is_lowest(p)) return hand_out(p, plan_heap_take(p, &p->queue), node, err);
        if (idle) rc = plan_reach_judge(p, err);
    }
    if (rc) return rc;
    if (plan_heap_top(p, &p->ready)) return hand_out(p, plan_heap_take(p, &p->ready), node, err);
    if (p->open_running > 0) return 0;
    return error_set(err, WEIR_CORRUPT, "plan: %zu nodes are due and none can start: their users form a circle", p->due);
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

static int find_running(plan *p, uint64_t node, uint32_t *at, weir_error *err)
{
    if (plan_table_find(p, node, at) && p->nodes[*at].state == PLAN_RUNNING) return 0;
    return error_set(err, WEIR_BUG, "plan: node %" PRIu64 " is not running", node);
}

static int mark_users(plan *p, uint32_t at, weir_error *err)
{
    const plan_user *users;
    size_t count;
    int rc = plan_table_users(p, at, &users, &count, err);
    uint32_t least = plan_above(p->nodes[at].height);
    for (size_t i = 0; i < count && rc == 0; i++) {
        uint32_t user;
        if (users[i].only_after) continue;
        rc = plan_table_add(p, users[i].node, users[i].height, &user, err);
        if (rc == 0) rc = mark_due(p, user, users[i].height < least ? least : users[i].height, true, err);
    }
    for (uint32_t e = p->nodes[at].edge_at; e && rc == 0; e = p->edges[e - 1].next)
        rc = mark_due(p, p->edges[e - 1].to, least, true, err);
    return rc ? rc : plan_lift_spread(p, err);
}

int plan_settled(plan *p, uint64_t node, bool changed, weir_error *err)
{
    uint32_t at;
    int rc = find_running(p, node, &at, err);
    if (rc == 0 && changed) rc = mark_users(p, at, err);
    if (rc) return rc;
    p->nodes[at].state = PLAN_SETTLED;
    p->open_running--;
    plan_heap_drop(p, &p->running, at);
    return plan_reach_leave(p, at, err);
}

int plan_gone(plan *p, uint64_t node, weir_error *err)
{
    uint32_t at;
    if (!plan_table_find(p, node, &at) || p->nodes[at].state == PLAN_RUNNING || p->nodes[at].state == PLAN_SETTLED) return 0;
    if (p->nodes[at].state == PLAN_DUE) {
        plan_heap_drop(p, &p->queue, at);
        plan_heap_drop(p, &p->ready, at);
        p->due--;
    }
    p->nodes[at].state = PLAN_SETTLED;
    return plan_reach_leave(p, at, err);
}

/* Running -> due again, in the queue. */
static int give_back(plan *p, uint32_t at, weir_error *err)
{
    plan_heap_drop(p, &p->running, at);
    p->nodes[at].state = PLAN_DUE;
    p->open_running--;
    p->due++;
    p->counts.visited--;
    return plan_heap_push(p, &p->queue, at, p->nodes[at].height, p->nodes[at].order, err);
}

static int check_edge(plan *p, uint64_t node, uint64_t on, uint32_t on_height, uint32_t *at, uint32_t *first, weir_error *err)
{
    int rc = find_running(p, node, at, err);
    if (rc == 0) rc = plan_table_add(p, on, on_height, first, err);
    if (rc == 0) rc = plan_lift_raise(p, *first, on_height, err);
    if (rc == 0) rc = plan_lift_spread(p, err);
    return rc ? rc : plan_lift_check(p, *at, *first, err);
}

int plan_check(plan *p, uint64_t node, uint64_t on, uint32_t on_height, weir_error *err)
{
    uint32_t at, first;
    return check_edge(p, node, on, on_height, &at, &first, err);
}

/* An edge on -> node for the rest of the turn; nothing happened when it closes a circle. */
static int add_edge(plan *p, uint64_t node, uint64_t on, uint32_t on_height, bool is_wait, uint32_t *at, uint32_t *first,
                    weir_error *err)
{
    int rc = check_edge(p, node, on, on_height, at, first, err);
    if (rc == 0) rc = plan_table_link(p, *first, *at, is_wait, err);
    return rc ? rc : plan_lift_raise(p, *at, plan_above(p->nodes[*first].height), err);
}

int plan_wait(plan *p, uint64_t node, uint64_t on, uint32_t on_height, weir_error *err)
{
    uint32_t at, first;
    int rc = add_edge(p, node, on, on_height, true, &at, &first, err);
    if (rc == 0) rc = give_back(p, at, err);
    if (rc == 0 && (p->nodes[first].flags & EXPANDED)) rc = plan_reach_count(p, at, err);
    return rc ? rc : plan_lift_spread(p, err);
}

int plan_edge(plan *p, uint64_t node, uint64_t on, uint32_t on_height, weir_error *err)
{
    uint32_t at, first;
    if (plan_has_edge(p, on, node)) return 0;
    int rc = add_edge(p, node, on, on_height, false, &at, &first, err);
    if (rc == 0 && (p->nodes[first].flags & EXPANDED)) rc = plan_reach_count(p, at, err);
    return rc ? rc : plan_lift_spread(p, err);
}

/* Only when the source was asked before is there an edge to add: what it says is remembered for the turn. It may have been lifted, too. */
int plan_new_user(plan *p, uint64_t node, uint32_t height, uint64_t on, weir_error *err)
{
    uint32_t first, at;
    if (!plan_table_find(p, on, &first) || plan_has_edge(p, on, node)) return 0;
    for (uint32_t e = p->nodes[first].edge_at; e; e = p->edges[e - 1].next)
        if (p->edges[e - 1].is_stored && p->nodes[p->edges[e - 1].to].id == node) return 0;
    bool is_remembered = p->nodes[first].users_at != 0;
    if (!is_remembered && height > p->nodes[first].height) return 0;
    int rc = plan_table_add(p, node, height, &at, err);
    if (rc == 0) rc = plan_lift_check(p, at, first, err);
    if (rc == 0 && is_remembered) rc = plan_table_link(p, first, at, false, err);
    if (rc == 0 && is_remembered) p->edges[p->nodes[first].edge_at - 1].is_stored = true;
    if (rc == 0) rc = plan_lift_raise(p, at, plan_above(p->nodes[first].height), err);
    if (rc == 0 && (p->nodes[first].flags & EXPANDED)) rc = plan_reach_count(p, at, err);
    return rc ? rc : plan_lift_spread(p, err);
}

int plan_raise(plan *p, uint64_t node, uint32_t height, weir_error *err)
{
    uint32_t at;
    if (!plan_table_find(p, node, &at)) return 0;
    int rc = plan_lift_raise(p, at, height, err);
    return rc ? rc : plan_lift_spread(p, err);
}

int plan_forget(plan *p, uint64_t on, uint64_t node, weir_error *err)
{
    uint32_t first, at;
    if (!plan_table_find(p, on, &first) || !plan_table_find(p, node, &at)) return 0;
    return plan_reach_forget(p, first, at, plan_table_unlink(p, first, at), err);
}

int plan_returns(plan *p, uint64_t node, uint32_t height_before, uint32_t height, weir_error *err)
{
    uint32_t at;
    int rc = plan_table_add(p, node, height_before, &at, err);
    if (rc) return rc;
    if (height < p->nodes[at].height) height = p->nodes[at].height;
    return plan_lift_returns(p, at, plan_above(height), err);
}

const uint64_t *plan_circle(const plan *p, size_t *count)
{
    *count = p->circle_count;
    return p->circle;
}

bool plan_has_edge(const plan *p, uint64_t on, uint64_t node)
{
    size_t at = 0;
    plan_user user;
    while (plan_each_edge(p, on, &at, &user))
        if (user.node == node) return true;
    return false;
}

int plan_each_edge(const plan *p, uint64_t on, size_t *at, plan_user *user)
{
    uint32_t first;
    uint32_t next = 0;
    if (*at != 0) next = p->edges[*at - 1].next;
    else if (plan_table_find(p, on, &first)) next = p->nodes[first].edge_at;
    while (next && (p->edges[next - 1].is_wait || p->edges[next - 1].is_stored)) next = p->edges[next - 1].next;
    if (next == 0) return 0;
    const plan_node *to = &p->nodes[p->edges[next - 1].to];
    *user = (plan_user){.node = to->id, .height = to->height};
    *at = next;
    return 1;
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

uint32_t plan_height_of(const plan *p, uint64_t node)
{
    uint32_t at;
    return plan_table_find(p, node, &at) ? p->nodes[at].height : 0;
}

plan_state plan_state_of(const plan *p, uint64_t node)
{
    uint32_t at;
    return plan_table_find(p, node, &at) ? (plan_state)p->nodes[at].state : PLAN_IDLE;
}

size_t plan_open(const plan *p)
{
    return p->due + p->open_running;
}

size_t plan_running(const plan *p)
{
    return p->open_running;
}

void plan_again(plan *p, void (*each)(void *ctx, uint64_t node), void *ctx)
{
    size_t count = p->again_count;
    for (size_t i = 0; i < count; i++) p->nodes[p->again[i]].flags &= (uint8_t)~AGAIN;
    for (size_t i = 0; i < count; i++) each(ctx, p->nodes[p->again[i]].id);
    p->again_count -= count; /* `each` may have marked some for the turn after */
    if (p->again_count) memmove(p->again, p->again + count, p->again_count * sizeof *p->again);
}

void plan_each_due(plan *p, void (*each)(void *ctx, uint64_t node), void *ctx)
{
    for (size_t i = 0; i < p->node_count; i++)
        if (p->nodes[i].state == PLAN_DUE) each(ctx, p->nodes[i].id);
}

void plan_each_open(plan *p, void (*each)(void *ctx, uint64_t node), void *ctx)
{
    for (size_t i = 0; i < p->node_count; i++)
        if (p->nodes[i].state == PLAN_DUE || p->nodes[i].state == PLAN_RUNNING) each(ctx, p->nodes[i].id);
}

plan_counts plan_stats(const plan *p)
{
    return p->counts;
}
