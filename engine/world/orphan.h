/*
 * orphan.h - processes that a command left behind. Used by process.c only. Loop thread.
 */
#ifndef WEIR_WORLD_ORPHAN_H
#define WEIR_WORLD_ORPHAN_H

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/memory.h"

/** A child of ours that process.c did not start. */
typedef struct orphan {
    int64_t pid;
    hash128 token;         /* of its environment; HASH_NONE: another module's child */
    int tries_left;        /* to learn the token; 0: it is known */
    int64_t dead_since_ns; /* first seen dead and not waited for; 0: not */
    bool is_seen;          /* by the scan of now */
} orphan;

typedef struct orphan_watch {
    int fd; /* /proc/self/task/<pid>/children; -1: the kernel has none */
    orphan *known;
    size_t count, capacity;
    int64_t dead_check_ns;                  /* when to look for dead ones next */
    bool (*is_own)(void *ctx, int64_t pid); /* a command that runs */
    void *ctx;
} orphan_watch;

void orphan_open(orphan_watch *w, bool (*is_own)(void *ctx, int64_t pid), void *ctx);
void orphan_close(orphan_watch *w);

/** Reap the dead and send `signal` (0: none) to the living children that carry the token (0: nobody is left); how many there are. */
size_t orphan_end(orphan_watch *w, hash128 token, int signal);

/** Reap the dead children in the group, signal the rest of it (0: only ask): is anybody left? */
bool orphan_end_group(int64_t group, int signal);

#endif
