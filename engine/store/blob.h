/*
 * blob.h - content-addressed payloads: outputs, values, logs, scripts, lists.
 *
 * Up to BLOB_INLINE bytes a blob is a row of the table `payload` and travels to the writer thread by value; above that it
 * is a file .weir/blobs/ab/cdef..., mode 0444, published by rename. zstd where it pays; the hash is taken before compression.
 * A missing or damaged blob is a miss: WEIR_NOTFOUND or WEIR_CORRUPT, found before a byte of it is used.
 *
 * The `blob_store` functions on files may be called from any thread; those that take a db use that connection's thread.
 */
#ifndef WEIR_STORE_BLOB_H
#define WEIR_STORE_BLOB_H

#include "engine/base/os.h"
#include "engine/store/db.h"

/* Measured: see blob.c. */
enum { BLOB_INLINE = 16 * 1024 };

typedef struct blob_store blob_store;

/** @param dirfd  of .weir; kept open by the caller as long as the store lives */
int blob_store_open(blob_store **out, int dirfd, weir_error *err);
/** To look only: makes no folder, and leaves damaged files where they are. dirfd -1: a store with nothing in it. */
int blob_store_open_reader(blob_store **out, int dirfd, weir_error *err);
void blob_store_close(blob_store *s);

/** A small payload on its way to the writer thread. `stored` is in the form of the payload table; owned, mem_free. */
typedef struct blob_row {
    hash128 hash;
    uint32_t codec; /* 0 plain, 1 zstd */
    uint64_t size;  /* before compression */
    uint8_t *stored;
    size_t stored_size;
} blob_row;

/** Make the row of a payload of at most BLOB_INLINE bytes. */
int blob_row_make(bytes content, hash128 hash, blob_row *row, weir_error *err);
/** Write the row; existing: nothing. Writer thread. */
int blob_row_put(db *d, const blob_row *row, weir_error *err);

/**
 * Read a file once: hash its content and, when `keep`, store it: as *row when it is small (row->stored != NULL), else as
 * a blob file (not synced; see blob_sync). `size` out: bytes read.
 * @param fd  at offset 0; not closed
 */
int blob_take_file(blob_store *s, int fd, const char *name, bool keep, hash128 *content, uint64_t *size, blob_row *row, weir_error *err);
/** Store bytes of any size: small ones as *row, larger ones as a file. */
int blob_take_bytes(blob_store *s, bytes content, hash128 *hash, blob_row *row, weir_error *err);

/** Is it there (row or file)? No check of its content. */
int blob_has(blob_store *s, db *d, hash128 hash, bool *has, weir_error *err);
/** Whole content into `to` (appended), verified. WEIR_NOTFOUND, WEIR_CORRUPT, WEIR_LIMIT above `limit`. */
int blob_read(blob_store *s, db *d, hash128 hash, size_t limit, buf *to, weir_error *err);
/** Write the content to an open file, verified before return; on error the file's content is undefined. */
int blob_write_to(blob_store *s, db *d, hash128 hash, int fd, const char *name, weir_error *err);
/** Path of a blob file relative to the project root, ".weir/blobs/ab/..."; for frames that pass large values. Only if plain (not compressed). */
bool blob_file_path(blob_store *s, hash128 hash, char path[80]);
/** fsync the file of a large blob and its folder; rows: nothing. */
int blob_sync(blob_store *s, hash128 hash, weir_error *err);

/** Visit every blob (rows and files): verify its hash. `bad` is called for each that is damaged. For db check. */
int blob_verify_all(blob_store *s, db *d, void (*bad)(void *ctx, hash128 hash, const char *why), void *ctx, uint64_t *count, weir_error *err);

/* --- lists: one hash for many members, as a tree so that a change costs little ------------------------------------ */

/**
 * Root of the tree over member hashes, 256 to a chunk, levels until one chunk is left. A chunk's bytes are "weirlist", level,
 * count, hashes; its hash is hash_bytes of those; the root of a list is the hash of its top chunk.
 * `keep` (may be NULL) is called for every chunk, to store it: `why` names members from stored chunks.
 */
int blob_list_root(const hash128 *members, size_t count, hash128 *root,
                   int (*keep)(void *ctx, hash128 hash, bytes chunk), void *ctx, weir_error *err);
/** Read back all members of a stored list; owned, mem_free. WEIR_NOTFOUND when a chunk is missing. */
int blob_list_members(blob_store *s, db *d, hash128 root, hash128 **members, size_t *count, weir_error *err);

#endif
