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
 * Where events cannot be had (limit of watches, a file system without them), the folder is polled: it is suspicious again every
 * WATCH_POLL_MS. Loop thread only.
 */
#ifndef WEIR_WORLD_WATCH_H
#define WEIR_WORLD_WATCH_H

#include <uv.h>

#include "engine/base/error.h"
#include "engine/base/memory.h"

enum {
    WATCH_OPEN_MS = 100,    /* how long a file that is open for writing is waited for */
    WATCH_POLL_MS = 1000,   /* how often a folder without events is looked at */
    WATCH_NAMES_MOST = 256, /* names told one by one in a folder; above: the folder as a whole */
    WATCH_FOLDERS_MOST = 64 /* folders told apart in one round of polling */
};

typedef struct watch watch;

/**
 * @param root   absolute path of the project; copied
 * @param ripe   called when something is to be taken and no file of it is still being written; not called again before
 *               watch_take. NULL: nobody is called.
 * @return 0; WEIR_LIMIT when the system has no inotify instance left: the watch works all the same, by polling.
 */
int watch_new(watch **out, uv_loop_t *loop, const char *root, void (*ripe)(void *ctx), void *ctx, weir_error *err);
/** Closes its handles; the memory goes once the loop has run their callbacks. NULL is ignored. */
void watch_free(watch *w);

/**
 * From now on `folder` is watched, and every folder above it up to the root. Of an absent one the nearest folder above that exists
 * is watched, so that its appearance is seen.
 * @param folder  below the root ("" is the root itself), or absolute
 * @param fresh   out: it was not watched before: whatever was seen in it earlier must be looked at once more
 */
int watch_folder(watch *w, const char *folder, bool *fresh, weir_error *err);
/** Forget every folder for which watch_folder was not called since the last call of this. */
void watch_sweep(watch *w);

/** A folder with something suspicious in it. Borrowed during the callback. */
typedef struct watch_change {
    const char *folder;       /* as it was asked for */
    bool whole;               /* anything in it, and in the folders below that were watched */
    bool listing;             /* names came or went */
    const char *const *names; /* unless whole: the entries that may have changed */
    size_t count;
} watch_change;

/** Hand out all that was gathered, and forget it. `all` is true after the kernel dropped events: everything is suspicious. */
int watch_take(watch *w, bool *all, int (*change)(void *ctx, const watch_change *c), void *ctx, weir_error *err);
/** Is there anything to take? */
bool watch_is_ripe(const watch *w);
/** Read what the kernel has ready, without waiting. */
void watch_read(watch *w);

typedef struct watch_counts {
    uint64_t events, overflows;
    size_t folders, polled; /* under watch now, and those of them that are polled */
} watch_counts;
watch_counts watch_stats(const watch *w);

#endif
