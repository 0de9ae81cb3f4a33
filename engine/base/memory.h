/*
 * memory.h - allocation (with a fault hook), arenas, byte buffers, and small hash maps.
 *
 * Every allocation of the engine goes through mem_*, so that tests can fail the n-th one. Arenas and buffers remember
 * that memory ran out: twenty appends ask once at the end (`failed`). Objects are used by one thread at a time.
 */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/hash.h"

/** NULL when out of memory (or when a test said so). Freed with mem_free. */
void *mem_alloc(size_t size);
void *mem_zero(size_t count, size_t size);
void *mem_resize(void *old, size_t size);
char *mem_strdup(const char *text);
void *mem_dup(const void *data, size_t size);
void mem_free(void *old);

/** For tests: the allocation number `countdown` from now fails (0: none), and all later ones if `sticky`. */
void mem_fail_at(int64_t countdown, bool sticky);

/** Grow an array so that it holds at least `need` elements; doubles. false: out of memory, array unchanged. */
bool mem_grow(void **array, size_t *capacity, size_t need, size_t element_size);
#define MEM_GROW(array, capacity, need)                                                            \
    mem_grow((void **)&(array), &(capacity), (need), sizeof *(array))

/** A borrowed run of bytes. Not NUL-terminated unless said. */
typedef struct bytes {
    const uint8_t *data;
    size_t size;
} bytes;

static inline bytes bytes_of(const void *data, size_t size)
{
    return (bytes){(const uint8_t *)data, size};
}
static inline bytes bytes_str(const char *text)
{
    return (bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
static inline bool bytes_equal(bytes a, bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/** memcmp order, shorter first on a tie. */
int bytes_compare(bytes a, bytes b);

/* --- arena: many small objects, one lifetime ------------------------------------------------------------------ */

typedef struct mem_arena {
    struct mem_chunk *chunk; /* newest first */
    size_t used, total;      /* bytes handed out; bytes taken from the heap */
    bool failed;             /* an allocation did not succeed */
} mem_arena;

void arena_init(mem_arena *arena);
/** Frees everything; the arena can be used again. */
void arena_reset(mem_arena *arena);
void arena_deinit(mem_arena *arena);
/** Aligned for any type, not cleared; valid until reset. NULL sets `failed`. */
void *arena_alloc(mem_arena *arena, size_t size);
void *arena_zero(mem_arena *arena, size_t count, size_t size);
char *arena_strdup(mem_arena *arena, const char *text);
/** A copy with a NUL behind it (not counted). */
bytes arena_bytes(mem_arena *arena, bytes from);
char *arena_printf(mem_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- buf: a growing byte string, and the packed form of our records ------------------------------------------- */

typedef struct buf {
    uint8_t *data; /* owned */
    size_t size, capacity;
    bool failed; /* an append found no memory; the content is unusable */
} buf;

void buf_init(buf *b);
void buf_deinit(buf *b);
/** Empty and not failed; keeps the memory. */
void buf_clear(buf *b);
void buf_append(buf *b, const void *data, size_t size);
/** NULL is written as "". */
void buf_text(buf *b, const char *text);
void buf_printf(buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_byte(buf *b, uint8_t value);
/** Room for `size` more bytes; NULL on failure. Call buf_commit with what was really written. */
uint8_t *buf_reserve(buf *b, size_t size);
void buf_commit(buf *b, size_t size);
/** Ends with a NUL that is not counted; NULL on failure. Borrowed until the next change. */
const char *buf_cstr(buf *b);
static inline bytes buf_bytes(const buf *b)
{
    return (bytes){b->data, b->size};
}

/* Packed records: LEB128 varints, zig-zag for signed, length-prefixed bytes, raw hashes. */
void buf_put_u64(buf *b, uint64_t value);
void buf_put_i64(buf *b, int64_t value);
void buf_put_bytes(buf *b, bytes value);
void buf_put_str(buf *b, const char *text); /* NULL is written as "" */
void buf_put_hash(buf *b, hash128 hash);

/** Reads what the buf_put_* functions wrote; bounds-checked: the first bad read sets `failed`, later ones give zeros. */
typedef struct unpack {
    const uint8_t *at, *end;
    bool failed;
} unpack;

static inline unpack unpack_of(bytes from)
{
    return (unpack){from.data, from.data ? from.data + from.size : from.data, false};
}
uint64_t unpack_u64(unpack *u);
int64_t unpack_i64(unpack *u);
bytes unpack_bytes(unpack *u); /* borrowed from the source */
hash128 unpack_hash(unpack *u);
/** A count that cannot be larger than the bytes left allow (each element takes at least one byte). */
size_t unpack_count(unpack *u);
/** All read, nothing failed. */
bool unpack_done(const unpack *u);

/* --- map: bytes -> uint64, open addressing; keys are copied --------------------------------------------------- */

typedef struct map {
    struct map_slot *slots;
    size_t count, capacity;
    mem_arena keys; /* those longer than eight bytes */
    size_t dead;    /* bytes in `keys` that belong to removed entries */
} map;

void map_init(map *m);
void map_deinit(map *m);
void map_clear(map *m);
/** NULL when absent; else the value, writable, valid until the next map_put or map_remove. */
uint64_t *map_get(const map *m, bytes key);
/** Finds or inserts (0); `added` may be NULL. NULL: out of memory. */
uint64_t *map_put(map *m, bytes key, bool *added);
/** Room for `count` keys in all, so that putting them moves nothing. false: out of memory; the map is as it was. */
bool map_reserve(map *m, size_t count);
/** Absent is fine. */
void map_remove(map *m, bytes key);
/**
 * Iterate: start with *at = 0; false at the end. Order is not defined; no map_put of a new key and no map_remove on
 * the way. `key` is borrowed until the next map_put or map_remove; it and `value` may be NULL.
 */
bool map_next(const map *m, size_t *at, bytes *key, uint64_t *value);
/** Keys that are numbers. */
static inline bytes map_key_u64(const uint64_t *number)
{
    return (bytes){(const uint8_t *)number, sizeof *number};
}

#endif
