/*
 * plan.h - what may start next: due nodes in order of height, early cutoff, exact readiness.
 *
 * Holds only the affected part of the graph; neighbours come through a function. A turn: plan_due marks start nodes,
 * plan_next hands out one ready node at a time, plan_settled says how it ended; users of a changed node become due.
 *
 * P1  A node is handed out at most once a turn (plan_wait gives it back).
 * P2  A node is handed out only when nothing due or running can still reach it (through users, transitively).
 * P3  A node whose height is at most the lowest height of anything due or running is ready without a search. A higher one is
 *     searched for only when `idle` is said: forward from the unsettled nodes, over nodes lower than the highest due one;
 *     the search is remembered and kept up to date as nodes settle, until an edge is added.
 * P4  A node that settles unchanged makes nobody due; one that changed does not make those due that are users only in order.
 *
 * Heights of the source rise along every edge: a user is higher than its node. Lifts of this turn are added to them here,
 * for the node and its users. A settled node passes nothing on any more in this turn: what changes behind its back is for
 * the next one.
 * After an error other than the circle of plan_wait only plan_reset and plan_free are of use.
 *
 * Loop thread only. No I/O.
 * After: Mokhov et al., "Build Systems a la Carte", 2018 (early cutoff); Cooper, Krishnamurthi, 2006 (order by height).
 */
#ifndef WEIR_MODEL_PLAN_H
#define WEIR_MODEL_PLAN_H

#include "engine/base/error.h"
#include "engine/base/memory.h"

typedef struct plan plan;

typedef struct plan_user {
    uint64_t node;
    uint32_t height;
    bool only_after; /* it comes after the node, but is not due because the node has changed */
} plan_user;

typedef struct plan_source {
    void *ctx;
    /** Append the users of `node` (those that take part in this run) to *users (arena of the callee; valid until the next call). */
    int (*users)(void *ctx, uint64_t node, const plan_user **users, size_t *count, weir_error *err);
    /** Expected remaining work of a node in microseconds, for the order among ready nodes; NULL: order of ids. */
    int64_t (*weight)(void *ctx, uint64_t node);
} plan_source;

typedef enum plan_state { PLAN_IDLE, PLAN_DUE, PLAN_RUNNING, PLAN_SETTLED } plan_state;

int plan_new(plan **out, const plan_source *source, weir_error *err);
void plan_free(plan *p);
/** Forget everything: the next turn begins. */
void plan_reset(plan *p);

/**
 * Mark a node due. Already due or running: nothing. Settled in this turn: it is remembered for the next turn.
 * The same node with a greater height: lifted.
 */
int plan_due(plan *p, uint64_t node, uint32_t height, weir_error *err);
/** The same, when it is only asked whether something can still reach the node: idle before. plan_is_asked as long as nothing has. */
int plan_ask(plan *p, uint64_t node, uint32_t height, weir_error *err);
bool plan_is_asked(const plan *p, uint64_t node);
/** For the rest of the turn the heaviest of all that may start comes first, at any height: P3 saves no search any more. */
void plan_weigh(plan *p);
/** 1: *node is ready and now running; 0: nothing can start now; or an error. `idle`: a slot is free and would stay so. */
int plan_next(plan *p, bool idle, uint64_t *node, weir_error *err);
/**
 * A running node ended; `changed`: its users become due; one that is running or settled already is remembered for the
 * next turn.
 */
int plan_settled(plan *p, uint64_t node, bool changed, weir_error *err);
/** It is not declared any more: a due one is not handed out in this turn, and nothing is reached through it. A running one ends by itself. */
int plan_gone(plan *p, uint64_t node, weir_error *err);
/**
 * A running node needs `on` first: it is due again, above `on`, and an edge on -> node holds for the rest of the turn. When
 * `on` is idle or settled the node is due at once. WEIR_WORKFLOW when `on` (transitively, within this turn's edges and users) waits for node: a cycle; the message
 * holds ids joined by " -> ", from node along its users to `on` and back to node; of a long one the middle is "...". Nothing
 * has changed then: node is still running.
 */
int plan_wait(plan *p, uint64_t node, uint64_t on, uint32_t on_height, weir_error *err);
/**
 * A running node turned out to depend on `on`: it is lifted above `on`, and an edge on -> node holds for the rest of the
 * turn. It goes on running. A circle: as in plan_wait.
 */
int plan_edge(plan *p, uint64_t node, uint64_t on, uint32_t on_height, weir_error *err);
/** `node` has been declared anew, in the middle of the turn, as a user of `on`; the source says so from now on. A circle: as in plan_wait. */
int plan_new_user(plan *p, uint64_t node, uint32_t height, uint64_t on, weir_error *err);
/** The source lifted a node in the middle of the turn. One that has not come up yet: nothing. */
int plan_raise(plan *p, uint64_t node, uint32_t height, weir_error *err);
/** Would plan_edge close a circle? Then WEIR_WORKFLOW; else 0, and nothing has changed. */
int plan_check(plan *p, uint64_t node, uint64_t on, uint32_t on_height, weir_error *err);
/**
 * `node` is about to be lifted to a height, and some of its users may be lower until then: is it reached from itself? WEIR_WORKFLOW: yes, as in
 * plan_wait. A node that has not come up yet is taken in with `height_before`.
 */
int plan_returns(plan *p, uint64_t node, uint32_t height_before, uint32_t height, weir_error *err);
/** The ids of the last circle, as in the message of plan_wait, but whole. Borrowed until the next one, or the reset. */
const uint64_t *plan_circle(const plan *p, size_t *count);
/** Is there an edge of this turn that plan_edge made (not a wait)? */
bool plan_has_edge(const plan *p, uint64_t on, uint64_t node);
/** The users that plan_edge gave to `on` in this turn: 1 with *user; 0: no more. *at: 0 at first, not to be touched. */
int plan_each_edge(const plan *p, uint64_t on, size_t *at, plan_user *user);
/** What led from `on` to `node` is no edge any more (the source does not say so any more either); waits end too. */
int plan_forget(plan *p, uint64_t on, uint64_t node, weir_error *err);
/** The height of a node in this turn; 0: it has not come up. */
uint32_t plan_height_of(const plan *p, uint64_t node);
plan_state plan_state_of(const plan *p, uint64_t node);
/** Due or running nodes left. */
size_t plan_open(const plan *p);
size_t plan_running(const plan *p);
/** Nodes that must be looked at again in the next turn: calls `each`, then forgets them. */
void plan_again(plan *p, void (*each)(void *ctx, uint64_t node), void *ctx);
/** All nodes that are due, in no order (for -n and for reports). */
void plan_each_due(plan *p, void (*each)(void *ctx, uint64_t node), void *ctx);

/** All nodes that are due or running, in no order. */
void plan_each_open(plan *p, void (*each)(void *ctx, uint64_t node), void *ctx);

typedef struct plan_counts {
    uint64_t visited;  /* nodes handed out */
    uint64_t searched; /* nodes that only the readiness search looked at */
    uint64_t lifted;
} plan_counts;
plan_counts plan_stats(const plan *p);

#endif
