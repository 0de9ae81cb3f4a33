/*
 * oracle.h - what a turn must do, worked out the slow and plain way.
 *
 * Shares nothing with the planner: a matrix of edges, no heights, a depth-first walk for every question. Nodes are
 * numbered from 0.
 */
#ifndef WEIR_TESTS_ORACLE_H
#define WEIR_TESTS_ORACLE_H

#include <stdbool.h>

enum { ORACLE_NODES = 48 };

typedef enum oracle_state { ORACLE_IDLE, ORACLE_DUE, ORACLE_RUNNING, ORACLE_SETTLED } oracle_state;

typedef struct oracle {
    int count;
    bool edge[ORACLE_NODES][ORACLE_NODES]; /* [input][user] */
    bool wait[ORACLE_NODES][ORACLE_NODES]; /* edges of this turn only */
    oracle_state state[ORACLE_NODES];
    bool again[ORACLE_NODES];
    int started; /* and not given back */
} oracle;

void oracle_init(oracle *o, int count);
/** Forget the turn, keep the edges. */
void oracle_turn(oracle *o);
void oracle_due(oracle *o, int node);
void oracle_start(oracle *o, int node);
void oracle_settle(oracle *o, int node, bool changed);
void oracle_wait(oracle *o, int node, int on);
/** A way of at least one edge; `through_settled`: also over settled nodes. */
bool oracle_reaches(const oracle *o, int from, int to, bool through_settled);
/** Due, and nothing due or running can still change what it needs. */
bool oracle_ready(const oracle *o, int node);
int oracle_count(const oracle *o, oracle_state state);

#endif
