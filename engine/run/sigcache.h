/*
 * sigcache.h - signatures of every file in use, by folder.
 *
 * C1  An item that has an entry here was seen with this signature, and the entry's fingerprint is what the catalog believes is on
 *     disk. No entry: it must be looked at before its content is relied on.
 * C2  The table cache_folder holds every entry when the row 'complete' says so; a run that dies leaves it incomplete, and the next one
 *     compares it with the items in use.
 *
 * Folders stay packed until one of their entries is asked for or moves. Loop thread only.
 */
#ifndef WEIR_RUN_SIGCACHE_H
#define WEIR_RUN_SIGCACHE_H

#include "engine/run/journal.h"
#include "engine/world/scan.h"

typedef struct sigcache sigcache;

int sigcache_new(sigcache **out, weir_error *err);
void sigcache_free(sigcache *s);
void sigcache_clear(sigcache *s);
/** Read all rows, packed. */
int sigcache_load(sigcache *s, db *reader, weir_error *err);
/** All folders as scan requests; the array is owned by the caller (mem_free), what it points to is borrowed. */
int sigcache_folders(sigcache *s, scan_folder **folders, size_t *count, weir_error *err);
/** Take over what a scan of a folder found out about signatures. */
int sigcache_apply(sigcache *s, const scan_folder *scanned, weir_error *err);

/** NULL when there is none. Borrowed until the next change. */
const scan_entry *sigcache_get(sigcache *s, bytes path);
int sigcache_put(sigcache *s, bytes path, uint64_t item, const scan_sig *sig, hash128 hash, bool racy, weir_error *err);
void sigcache_drop(sigcache *s, bytes path);
/** Write the rows of changed folders. */
int sigcache_write(sigcache *s, journal *j, weir_error *err);
bool sigcache_is_dirty(const sigcache *s);

/** Where the name begins in a path: the folder is path[0 .. n-1) or "" */
size_t path_name_at(bytes path);

#endif
