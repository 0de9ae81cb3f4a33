/*
 * scan_internal.h - what the files of scan share: signatures, the clock, and folders cut into slices.
 */
#ifndef WEIR_WORLD_SCAN_INTERNAL_H
#define WEIR_WORLD_SCAN_INTERNAL_H

#include "engine/world/scan.h"

scan_sig scan_sig_of(const os_stat *st);

static inline bool scan_sig_equal(const scan_sig *a, const scan_sig *b)
{
    return a->ino == b->ino && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->size == b->size && a->mode == b->mode && a->dev == b->dev;
}

/** Must it be read although its signature is the known one? */
static inline bool scan_is_distrusted(const scan_config *config, const scan_sig *sig)
{
    return config->distrust || (config->distrust_from_ns != 0 && sig->mode != 0 && sig->mtime_ns >= config->distrust_from_ns);
}

/** The clock that the kernel stamps files with, to be read before the first stat. */
int64_t scan_clock_ns(void);

/** Observed since scan_clock_ns gave `before_ns`, until now: may a later change leave the same signature? */
bool scan_is_racy(const scan_sig *sig, int64_t before_ns);

/** Nobody but the user can help here: no permission, a circle of links: WEIR_WORKFLOW. The call has just failed with `rc`. */
int scan_judge(int rc, weir_error *err);

/** Add to what scan_stats tells. */
void scan_count(uint64_t stats, uint64_t hashed, uint64_t hashed_bytes);

/* --- a folder in slices, so that a large one keeps every thread busy --------------------------------------------- */

enum { SCAN_SLICE = 256 }; /* entries */

/** Some entries of one folder, looked at by one thread. */
typedef struct scan_slice {
    scan_folder *folder;
    size_t first, count; /* `first` is a multiple of SCAN_SLICE */
    size_t *moved;       /* owned, mem_free: indices of the entries to read again, in order */
    size_t moved_count, moved_capacity;
    uint64_t checked;
    int code;
} scan_slice;

/** Clears the results and reads the header; how many entries there are. A damaged row sets folder->code. */
size_t scan_folder_begin(scan_folder *folder);
/** Compare with the disk; reads nothing and writes to the slice only. Any thread. */
void scan_slice_check(const scan_config *config, scan_slice *slice);
/** All slices of one folder are checked: make folder->changed, to be handed to scan_one. */
void scan_folder_collect(scan_folder *folder, const scan_slice *slices, size_t count);
/** scan_one has seen all of folder->changed: bring folder->entries up to date. */
void scan_folder_finish(scan_folder *folder, const scan_slice *slices, size_t count);

#endif
