/*
 * trace.h - the hashes of a trace's chain of prefixes.
 *
 * h0 = H("weir trace 1", key); h(n+1) = H("weir step 2", h(n), what was read in group n and the hash seen there, in order). The fold
 * writes the chain, the planner walks it; both call these functions. It is in the state alone: another form needs a new DB_STATE_VERSION.
 *
 * One prefix can lead to several groups: reads of declared inputs share a group, and what the first of them held may have decided which
 * came next. The latest group is found at the prefix itself, those before it at trace_other(prefix, 1), (prefix, 2) ..., in the order
 * in which they were last recorded; the ninth is forgotten. A leaf is at the prefix itself, and so is a group without a declared read: it was
 * decided by what lies before it, so another one there takes its place.
 *
 * What was read belongs to the hash: one execution reads a and b, another one a and c, both behind the same prefix. A lookup tries
 * either, and what is in c now may well be what the first one saw in b.
 */
#ifndef WEIR_STORE_TRACE_H
#define WEIR_STORE_TRACE_H

#include "engine/store/event.h"

static inline hash128 trace_begin(hash128 key)
{
    uint8_t text[12 + HASH_SIZE];
    memcpy(text, "weir trace 1", 12);
    memcpy(text + 12, key.bytes, HASH_SIZE);
    return hash_bytes(text, sizeof text);
}

enum { TRACE_GROUPS = 8 };

/** Can another group stand behind the same prefix? */
static inline bool trace_may_differ(const read_ref *refs, size_t count)
{
    bool is_declared = false;
    for (size_t i = 0; i < count && !is_declared; i++) is_declared = refs[i].port >= 0;
    return is_declared;
}

/** Where group `number` (0 to TRACE_GROUPS - 1) behind a prefix is found. */
static inline hash128 trace_other(hash128 prefix, unsigned number)
{
    uint8_t text[12 + HASH_SIZE + 1];
    if (number == 0) return prefix;
    memcpy(text, "weir other 1", 12);
    memcpy(text + 12, prefix.bytes, HASH_SIZE);
    text[12 + HASH_SIZE] = (uint8_t)number;
    return hash_bytes(text, sizeof text);
}

/** A group begins; trace_read for each of its reads, then hash_end. */
static inline void trace_group(hash_stream *stream, hash128 prefix)
{
    hash_begin(stream);
    hash_update(stream, "weir step 2", 11);
    hash_update(stream, prefix.bytes, HASH_SIZE);
}

static inline void trace_read(hash_stream *stream, const read_ref *ref, hash128 seen)
{
    uint64_t item = ref->port < 0 ? ref->item : 0;
    int32_t what[4] = {(int32_t)ref->aspect, ref->port, ref->member, ref->sub};
    uint8_t text[sizeof what + sizeof item + HASH_SIZE];
    memcpy(text, what, sizeof what);
    memcpy(text + sizeof what, &item, sizeof item);
    memcpy(text + sizeof what + sizeof item, seen.bytes, HASH_SIZE);
    hash_update(stream, text, sizeof text);
}

#endif
