/*
 * trace.h - the hashes of a trace's chain of prefixes.
 *
 * h0 = H("weir trace 1", key); h(n+1) = H("weir step 1", h(n), the hashes seen in group n, in order). Frozen. The fold writes the
 * chain, the planner walks it; both call these two functions.
 */
#ifndef WEIR_STORE_TRACE_H
#define WEIR_STORE_TRACE_H

#include "engine/base/hash.h"

static inline hash128 trace_begin(hash128 key)
{
    uint8_t text[12 + HASH_SIZE];
    memcpy(text, "weir trace 1", 12);
    memcpy(text + 12, key.bytes, HASH_SIZE);
    return hash_bytes(text, sizeof text);
}

/** Feed the hashes of one group between begin and end: hash_begin via trace_group, hash_update each, hash_end. */
static inline void trace_group(hash_stream *stream, hash128 prefix)
{
    hash_begin(stream);
    hash_update(stream, "weir step 1", 11);
    hash_update(stream, prefix.bytes, HASH_SIZE);
}

#endif
