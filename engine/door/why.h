/*
 * why.h - an answer to "why did this node run, or not, in run N?", gathered from stored rows alone.
 *
 *   settled in run N         outcome and reasons as they were written then
 *   not looked at in run N   "unchanged": what it reads, none of which has changed since the run that settled it
 */
#ifndef WEIR_DOOR_WHY_H
#define WEIR_DOOR_WHY_H

#include "engine/door/query.h"

typedef struct why_reason {
    reason_kind kind;
    bytes input, name;
    hash128 old_hash, new_hash;
} why_reason;

typedef struct why_read {
    bytes what;        /* name of what was read, or of the port of a list */
    const char *aspect;
    hash128 hash;
} why_read;

typedef struct why {
    node_row node;
    run_row run;               /* asked for */
    bool settled_in_run;
    settlement_row last;       /* in that run, or the one that still held */
    settlement_row before;     /* the one before those; seq 0: none */
    execution_row execution;   /* whose result held; id 0: none */
    bytes cause, message;
    const char *outcome;
    code_policy policy;        /* of the effect then */
    bool older_code;           /* the result was of other code than the effect had then */
    why_reason *reasons;       /* in the arena of the query */
    size_t reason_count, reason_capacity;
    why_read *reads;           /* only when it was not settled in that run */
    size_t read_count, read_capacity;
} why;

/** WEIR_NOTFOUND: no such node or run, or the node was not there yet. */
int why_gather(query *q, const char *name, int64_t run, why *w);

#endif
