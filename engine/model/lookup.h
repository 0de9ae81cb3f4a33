/*
 * lookup.h - does an earlier execution's result hold for what is seen now?
 *
 * Walks the chain of a key (store/trace.h): the stored next group says what to look at, the hashes seen now give the next
 * prefix, a leaf is the result. Cost: the depth of the chain, not the number of traces. Pure: everything is asked for
 * through three functions.
 *
 * Where a prefix has several next groups (store/trace.h), all of them are ways on: an effect that reads on as what it has read says
 * goes one of them, and only that one leads to a leaf. Two leaves hold at once where the same was read in two forms (a maker
 * that had a value, too, when one of them was recorded): then `current`, else the one whose last group is the newer one.
 */
#ifndef WEIR_MODEL_LOOKUP_H
#define WEIR_MODEL_LOOKUP_H

#include "engine/store/event.h"

typedef enum lookup_result {
    LOOKUP_HIT,     /* `execution` is the result */
    LOOKUP_MISS,    /* no such trace */
    LOOKUP_WAIT,    /* a step asks for what an unsettled node makes: `wait_for` */
    LOOKUP_OBSERVE, /* a step asks for files that were not looked at in this run; the resolver noted which; ask again later */
    LOOKUP_UNMADE   /* a step asks for what a node that failed could not make: `wait_for`; the way there is as before */
} lookup_result;

typedef enum resolve_result { RESOLVE_KNOWN, RESOLVE_IMPOSSIBLE, RESOLVE_WAIT, RESOLVE_OBSERVE, RESOLVE_UNMADE } resolve_result;

typedef struct lookup_source {
    void *ctx;
    /** The step behind a prefix: 1 with *refs (borrowed until the next probe) or *execution != 0 for a leaf; 0: none; or an error. */
    int (*probe)(void *ctx, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *err);
    /** All refs of a step, before they are resolved one by one: what is better asked at once; NULL: nothing is. */
    int (*begin)(void *ctx, const read_ref *refs, size_t count, weir_error *err);
    /** The hash of what `ref` names now; RESOLVE_IMPOSSIBLE when the node has no such thing. */
    int (*resolve)(void *ctx, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err);
    uint64_t current;  /* the execution whose result is in place: it is preferred; 0: none is */
    bool latest_alone; /* only the latest group of a prefix counts: what it stands for may have looked for more than it has read */
} lookup_source;

/** @param scratch  reset by the callee between steps; probes out (may be NULL): steps walked */
int lookup_trace(const lookup_source *source, hash128 key, mem_arena *scratch, lookup_result *result, uint64_t *execution,
                 uint64_t *wait_for, uint64_t *probes, weir_error *err);

#endif
