/*
 * plan_parts.h - what the files of the planner share: its records, heaps and lists. Included by plan*.c only.
 *
 *   plan.c        the turn: due, next, settled, wait
 *   plan_table.c  records by id, the list of edges of this turn
 *   plan_heap.c   the four orders
 *   plan_reach.c  the readiness search
 *   plan_lift.c   greater heights and their users; cycles
 *
 * A record is 32 bytes, its slot in the table 4 to 11, an entry of a heap 12. Records are named by their index, because
 * the array moves when it grows.
 */
#ifndef WEIR_MODEL_PLAN_PARTS_H
#define WEIR_MODEL_PLAN_PARTS_H

#include "engine/model/plan.h"

enum plan_flags {
    IN_QUEUE = 1,   /* due, not judged: waits for the lowest height or for the search */
    IN_READY = 2,   /* due, and the search found nothing that reaches it */
    IN_FRONT = 4,   /* active; the search has not gone through it yet */
    IN_RUNNING = 8, /* running */
    IN_LIFT = 16,   /* its height was raised, its users are not looked at yet; or seen by the search for a cycle */
    EXPANDED = 32,  /* counted by its users */
    SEARCHED = 64,  /* in counts.searched */
    AGAIN = 128     /* for the next turn */
};

typedef struct plan_node {
    uint64_t id;
    uint32_t height;
    uint32_t order;    /* among nodes that may start: smaller first; then the smaller id */
    uint32_t count;    /* expanded nodes of which this one is a user */
    uint32_t users_at; /* 1 + where plan.users has the users that the search saw; 0: not seen */
    uint32_t edge_at;  /* 1 + first edge of this turn to a user; 0: none */
    uint8_t state;     /* plan_state */
    uint8_t flags;
    bool is_asked;     /* due because plan_ask said so, and for nothing else */
} plan_node;

/** An entry is alive while the node has the flag of the heap (and, in those by height, still that height). */
typedef struct heap_entry {
    uint32_t major, minor, node;
} heap_entry;

typedef struct plan_heap {
    heap_entry *entries; /* four children each; smallest first */
    size_t size, capacity;
    size_t live; /* nodes with the flag */
    uint8_t flag;
    bool by_height; /* major is the height */
} plan_heap;

typedef struct turn_edge {
    uint32_t to, next; /* next: like plan_node.edge_at */
    bool is_wait;      /* of plan_wait */
    bool is_stored;    /* of plan_new_user: the source says it too */
} turn_edge;

struct plan {
    plan_source source;
    plan_node *nodes;
    size_t node_count, node_capacity;
    uint32_t *slots; /* 1 + index; 0: empty. A power of two of them, at most three quarters taken */
    size_t slot_count;

    plan_heap queue;   /* by height, then order */
    plan_heap ready;   /* by order */
    plan_heap front;   /* by height */
    plan_heap running; /* by height */
    plan_heap lift;    /* by the height before the lift */
    uint32_t horizon;  /* the search went through all active nodes below, but for those in `front` */

    uint32_t *users; /* runs: a number, then as many indexes */
    size_t user_count, user_capacity;
    turn_edge *edges;
    size_t edge_count, edge_capacity;
    uint64_t *circle; /* ids of the last one */
    size_t circle_count;
    uint32_t *again, *stack; /* indexes */
    size_t again_count, again_capacity, stack_capacity;

    size_t due, open_running;
    bool weighs; /* plan_weigh */
    plan_counts counts;
};

/* --- plan_table.c ------------------------------------------------------------------------------------------------ */

/** Index of a node; false: never met. */
bool plan_table_find(const plan *p, uint64_t id, uint32_t *at);
/** The same; a new one is idle with this height. A known one is not changed. */
int plan_table_add(plan *p, uint64_t id, uint32_t height, uint32_t *at, weir_error *err);
/** Empty; gives back much memory. */
void plan_table_clear(plan *p);
/** `to` waits for `on`, or needs it. */
int plan_table_link(plan *p, uint32_t on, uint32_t to, bool is_wait, weir_error *err);
/** Takes such edges away; how many there were. */
size_t plan_table_unlink(plan *p, uint32_t on, uint32_t to);
/** The users of the source; borrowed until the next call. */
int plan_table_users(plan *p, uint32_t at, const plan_user **users, size_t *count, weir_error *err);

/* --- plan_heap.c ------------------------------------------------------------------------------------------------- */

void plan_heap_init(plan_heap *heap, uint8_t flag, bool by_height);
/** Sets the flag of the heap. */
int plan_heap_push(plan *p, plan_heap *heap, uint32_t at, uint32_t major, uint32_t minor, weir_error *err);
/** The smallest live entry, or NULL. Borrowed until the next push. */
const heap_entry *plan_heap_top(plan *p, plan_heap *heap);
/** Removes the entry that plan_heap_top gave, and its flag. */
uint32_t plan_heap_take(plan *p, plan_heap *heap);
/** The node leaves the heap; its entry dies. */
void plan_heap_drop(plan *p, plan_heap *heap, uint32_t at);
void plan_heap_clear(plan_heap *heap);

/* --- plan_reach.c ------------------------------------------------------------------------------------------------ */

/** A node became due or running: the search will go through it. */
int plan_reach_enter(plan *p, uint32_t at, weir_error *err);
/** A node settled: what only it reached is reached no more. */
int plan_reach_leave(plan *p, uint32_t at, weir_error *err);
/** An expanded node got one more user. */
int plan_reach_count(plan *p, uint32_t user, weir_error *err);
/** `to` is no user of `on` any more; it was told so `links` times by edges of this turn. */
int plan_reach_forget(plan *p, uint32_t on, uint32_t to, size_t links, weir_error *err);
/** Go through all active nodes below the horizon. */
int plan_reach_drain(plan *p, weir_error *err);
/** Look at queued nodes: all below the horizon; then, with rising horizon, until one is ready or none is left. */
int plan_reach_judge(plan *p, weir_error *err);

/* --- plan_lift.c ------------------------------------------------------------------------------------------------- */

/** Give a node at least this height; its users follow in plan_lift_spread, before anything else happens. */
int plan_lift_raise(plan *p, uint32_t at, uint32_t height, weir_error *err);
int plan_lift_spread(plan *p, weir_error *err);
/** WEIR_WORKFLOW with the ids on the way when `to` is reached from `from`. */
int plan_lift_check(plan *p, uint32_t from, uint32_t to, weir_error *err);
/** The same when `at` is reached from itself, over nodes lower than `below`. */
int plan_lift_returns(plan *p, uint32_t at, uint32_t below, weir_error *err);

static inline uint32_t plan_above(uint32_t height)
{
    return height == UINT32_MAX ? height : height + 1;
}

#endif
