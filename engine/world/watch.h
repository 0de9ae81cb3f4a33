/*
 * watch.h - which paths may have changed since they were last looked at.
 *
 * A watch is told about folders (watch_folder) and gathers what the kernel says about them (inotify): names in folders. It never
 * decides that something changed: it makes paths suspicious, hashes decide. What was gathered is handed out by watch_take.
 *
 * Folders are known by the path they were asked for. When a folder, or one above it, is moved, removed or replaced, the path is given up
 * and reported as suspicious with all that was below; the owner looks again and asks anew for what is there now. So no path
 * is ever guessed from an old one.
 *
 * Where events cannot be had (limit of watches, a file system without them: each is probed once), the folder is polled: it is suspicious
 * again every WATCH_POLL_MS. Loop thread only.
 */
#ifndef WEIR_WORLD_WATCH_H
#define WEIR_WORLD_WATCH_H

#include <uv.h>

#include "engine/base/error.h"
#include "engine/base/memory.h"

enum {
    WATCH_OPEN_MS = 100,    /* how long a file that is open for writing, or went away, is waited for */
    WATCH_COOKIE_MS = 1000, /* how long a barrier waits for its event */
    WATCH_POLL_MS = 1000,   /* how often a folder without events is looked at */
    WATCH_NAMES_MOST = 256  /* names told one by one in a folder; above: the folder as a whole */
};

#define WATCH_COOKIES ".weir/tmp/cookies" /* below the root; made when needed */

typedef struct watch watch;

/**
 * @param root   absolute path of the project; copied
 * @param ripe   called when something is to be taken and no file of it is still being written; not called again before
 *               watch_take. NULL: nobody is called.
 * @return 0; WEIR_LIMIT when the system has no inotify instance left: the watch works all the same, by polling.
 */
int watch_new(watch **out, uv_loop_t *loop, const char *root, void (*ripe)(void *ctx), void *ctx, weir_error *err);
/** A file went away: does the owner rely on it (with the ctx of watch_new)? Then a moment is waited for its return. Without this: no file. */
void watch_ask_reliance(watch *w, bool (*is_relied_on)(void *ctx, const char *folder, const char *name));
/** Closes its handles; the memory goes once the loop has run their callbacks. NULL is ignored. */
void watch_free(watch *w);

/**
 * From now on `folder` is watched, and every folder above it up to the root. Of an absent one the nearest folder above that exists
 * is watched, so that its appearance is seen.
 * @param folder  below the root ("" is the root itself), or absolute
 * @param fresh   out: it, or of an absent one the folder above, was not watched before: whatever was seen in it earlier must be looked at
 *                once more
 */
int watch_folder(watch *w, const char *folder, bool *fresh, weir_error *err);
/** Forget every folder for which watch_folder was not called since the last call of this. */
void watch_sweep(watch *w);

typedef struct watch_name {
    const char *name;
    bool written; /* its content may be another one although its signature is the same (a store through mmap, twice in one tick) */
    bool listing; /* it came or went */
    bool folder;  /* it is, or was, a folder */
} watch_name;

/** A folder with something suspicious in it. Borrowed during the callback. */
typedef struct watch_change {
    const char *folder;      /* as it was asked for */
    bool whole;              /* anything in it */
    bool listing;            /* names came or went */
    const watch_name *names; /* unless whole: the entries that may have changed */
    size_t count;
} watch_change;

/**
 * Hand out what was gathered, and forget it. What is still waited for stays, unless `waiting_too`.
 * @param all  out: the kernel dropped events, everything is suspicious; `change` is not called
 */
int watch_take(watch *w, bool waiting_too, bool *all, int (*change)(void *ctx, const watch_change *c), void *ctx, weir_error *err);
/** Is there anything to take, also what is still waited for? */
bool watch_is_ripe(const watch *w);
/**
 * `seen` is called, from the loop, once everything that was done before this call is noted; not at all if the watch is freed before. Takes
 * the time that the kernel needs to hand over an event; at most WATCH_COOKIE_MS, after which everything is suspicious.
 */
int watch_barrier(watch *w, void (*seen)(void *ctx), void *ctx, weir_error *err);
/** Read what the kernel has ready, without waiting. */
void watch_read(watch *w);

typedef struct watch_counts {
    uint64_t events, overflows;
    uint64_t lost; /* folders that were given up because another one may be at their path */
    size_t folders, polled; /* under watch now, and those of them that are polled */
} watch_counts;
watch_counts watch_stats(const watch *w);

#endif
