/*
 * blob_list.c - one hash for a list of many: a tree of chunks, so that a list can be stored and compared piece by piece.
 *
 *   chunk = "weirlist", level (1 byte), count (2 bytes, little-endian), count hashes      its name: hash_bytes of that
 *   level 0 holds members, level n the names of chunks of level n-1; 256 to a chunk; the top chunk names the list
 *
 * An empty list is a chunk of level 0 with none. Frozen: roots are part of trace hashes. Any thread.
 */
#include "engine/store/blob.h"

enum { FAN = 256, HEAD = 11, LEVEL_MAX = 7 };

static size_t chunk_put(uint8_t to[HEAD + FAN * HASH_SIZE], uint8_t level, const hash128 *members, size_t count)
{
    memcpy(to, "weirlist", 8);
    to[8] = level;
    to[9] = (uint8_t)(count & 0xff);
    to[10] = (uint8_t)(count >> 8);
    if (count) memcpy(to + HEAD, members, count * HASH_SIZE);
    return HEAD + count * HASH_SIZE;
}

/* One level: the names of its chunks into `up`, which may be `members` itself. */
static int put_level(const hash128 *members, size_t count, uint8_t level, hash128 *up,
                     int (*keep)(void *ctx, hash128 hash, bytes chunk), void *ctx)
{
    uint8_t chunk[HEAD + FAN * HASH_SIZE];
    size_t at = 0;
    do {
        size_t here = count - at < FAN ? count - at : FAN;
        size_t size = chunk_put(chunk, level, members + at, here);
        *up = hash_bytes(chunk, size);
        int rc = keep ? keep(ctx, *up, bytes_of(chunk, size)) : 0;
        if (rc != 0) return rc;
        up++;
        at += here;
    } while (at < count);
    return 0;
}

int blob_list_root(const hash128 *members, size_t count, hash128 *root,
                   int (*keep)(void *ctx, hash128 hash, bytes chunk), void *ctx, weir_error *err)
{
    if (count <= FAN) return put_level(members, count, 0, root, keep, ctx);
    size_t chunks = (count + FAN - 1) / FAN;
    hash128 *names = mem_alloc(chunks * sizeof *names);
    if (!names) return error_nomem(err, "hashing a list");
    int rc = put_level(members, count, 0, names, keep, ctx);
    for (uint8_t level = 1; rc == 0 && chunks > 1; level++) {
        rc = put_level(names, chunks, level, names, keep, ctx);
        chunks = (chunks + FAN - 1) / FAN;
    }
    *root = names[0];
    mem_free(names);
    return rc;
}

typedef struct list_reader {
    blob_store *store;
    db *d;
    hash128 *members;
    size_t count, capacity;
} list_reader;

static int read_chunk(list_reader *r, hash128 name, int level, weir_error *err);

static int read_members(list_reader *r, const uint8_t *at, size_t count, int level, weir_error *err)
{
    if (level == 0) {
        if (!MEM_GROW(r->members, r->capacity, r->count + count + 1)) return error_nomem(err, "reading a list");
        if (count) memcpy(r->members + r->count, at, count * HASH_SIZE);
        r->count += count;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        hash128 name;
        memcpy(name.bytes, at + i * HASH_SIZE, HASH_SIZE);
        int rc = read_chunk(r, name, level - 1, err);
        if (rc != 0) return rc;
    }
    return 0;
}

/* `level` -1: the top, whose own word counts. */
static int read_chunk(list_reader *r, hash128 name, int level, weir_error *err)
{
    buf chunk;
    buf_init(&chunk);
    char hex[HASH_HEX];
    int rc = blob_read(r->store, r->d, name, HEAD + FAN * HASH_SIZE, &chunk, err);
    size_t count = rc == 0 && chunk.size >= HEAD ? (size_t)(chunk.data[9] | chunk.data[10] << 8) : 0;
    if (rc == 0 && (chunk.size < HEAD || memcmp(chunk.data, "weirlist", 8) != 0 || chunk.data[8] > LEVEL_MAX ||
                    (level >= 0 && chunk.data[8] != level) || count > FAN || chunk.size != HEAD + count * HASH_SIZE))
        rc = error_set(err, WEIR_CORRUPT, "blob %s: not a part of a list", hash_hex(name, hex));
    if (rc == 0) rc = read_members(r, chunk.data + HEAD, count, chunk.data[8], err);
    buf_deinit(&chunk);
    return rc;
}

int blob_list_members(blob_store *s, db *d, hash128 root, hash128 **members, size_t *count, weir_error *err)
{
    list_reader r = {.store = s, .d = d};
    *members = NULL;
    *count = 0;
    int rc = read_chunk(&r, root, -1, err);
    if (rc != 0) {
        mem_free(r.members);
        return rc;
    }
    *members = r.members;
    *count = r.count;
    return 0;
}
