/*
 * sigcache.h - signatures of every file in use, by folder.
 *
 * C1  An item that has an entry here was seen with this signature, and the entry's fingerprint is what the catalog believes is on
 *     disk. No entry: it must be looked at before its content is relied on.
 * C2  The table cache_folder holds every entry when its row of the folder SIGCACHE_MARK says so (no path begins with that byte); a run
 *     takes the row away before it writes anything else and puts it back at its end. One that dies leaves it away, and the next one
 *     compares the cache with the items in use.
 *
 * C3  What is in memory grows with the folders that something was asked of or has moved in: the row of any other stays in the table until
 *     then, and is what it was, because nobody else writes rows while an engine has the project.
 *
 * Loop thread only.
 */
#ifndef WEIR_RUN_SIGCACHE_H
#define WEIR_RUN_SIGCACHE_H

#include "engine/run/journal.h"
#include "engine/world/scan.h"

typedef struct sigcache sigcache;

#define SIGCACHE_MARK "\x01"

int sigcache_new(sigcache **out, weir_error *err);
void sigcache_free(sigcache *s);
void sigcache_clear(sigcache *s);
/** Does the table say that it is complete? Before its rows are asked for. */
int sigcache_load_mark(sigcache *s, db *reader, weir_error *err);
/** Which folders there are, and the mark. `reader` is borrowed until the cache is cleared: rows are read when they are asked for. */
int sigcache_load(sigcache *s, db *reader, weir_error *err);
/**
 * The same a part at a time, for a scan of everything: the next rows, some MiB of them, in folders[0 .. count) with all that they point to in `arena`.
 * *row begins with 0; *count 0: there are no more.
 */
int sigcache_load_part(sigcache *s, db *reader, int64_t *row, mem_arena *arena, scan_folder **folders, size_t *count, weir_error *err);
/** Take over what a scan of a folder found out about signatures. */
int sigcache_apply(sigcache *s, const scan_folder *scanned, weir_error *err);

/** NULL when there is none. Borrowed until the next change. */
const scan_entry *sigcache_get(sigcache *s, bytes path);
int sigcache_put(sigcache *s, bytes path, uint64_t item, const scan_sig *sig, hash128 hash, bool racy, weir_error *err);
void sigcache_drop(sigcache *s, bytes path);
/** Every folder that has an entry; borrowed during the call. */
void sigcache_each(const sigcache *s, void (*each)(void *ctx, bytes path), void *ctx);
/** Every entry of the folders for which `wanted` says true; borrowed during the call, which must not change them. */
int sigcache_each_entry(sigcache *s, bool (*wanted)(void *ctx, bytes folder), void (*each)(void *ctx, bytes path, const scan_entry *entry),
                        void *ctx, weir_error *err);
/** How many folders there are, and the path of one; new ones come behind the others, until the cache is cleared. */
size_t sigcache_folder_count(const sigcache *s);
bytes sigcache_folder_path(const sigcache *s, size_t index);
/** Bytes that it takes, about; grows with every folder that is unpacked, until the cache is cleared and loaded again. */
size_t sigcache_memory(const sigcache *s);
/** Write the rows of changed folders. */
int sigcache_write(sigcache *s, journal *j, weir_error *err);
bool sigcache_is_dirty(const sigcache *s);
/** How many entries the rows have that would be written. */
size_t sigcache_dirty_entries(const sigcache *s);
/** Is one of them needed after a kill: another content under the signature that the table has? All others only save hashing. */
bool sigcache_is_urgent(const sigcache *s);
/** Does the table say that it holds every item in use? As loaded, or as last marked. */
bool sigcache_is_complete(const sigcache *s);
/** Say so (or not any more) in the table; nothing if it says so already. */
void sigcache_mark(sigcache *s, journal *j, bool complete);

/** Where the name begins in a path: the folder is path[0 .. n-1) or "" */
size_t path_name_at(bytes path);

#endif
