/*
 * hash.h - the one content hash of weir: XXH3 with 128 bits (scheme 1).
 *
 * Detects local change; not collision resistant against an adversary. Stored big-endian
 * (XXH128_canonical_t), so databases move between machines. Any thread; nothing allocates.
 */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HASH_SIZE = 16, HASH_SCHEME = 1, HASH_HEX = 33 };

typedef struct hash128 {
    uint8_t bytes[HASH_SIZE];
} hash128;

/** All zero bytes: "no hash". Never the result of hashing in practice; never stored as a real one. */
extern const hash128 HASH_NONE;

/** The fingerprint of a path where nothing is. A fixed constant, distinct from HASH_NONE. */
extern const hash128 HASH_ABSENT;

/** The fingerprint of a path that cannot be read: a FIFO, no permission. A fixed constant. */
extern const hash128 HASH_UNREADABLE;

hash128 hash_bytes(const void *data, size_t size);

/** 64 bits for tables in memory (XXH3-64). Never stored: it carries no scheme. */
uint64_t hash_short(const void *data, size_t size);

/** Incremental hashing; equals hash_bytes of the concatenation. The struct is owned by the caller (stack). */
typedef struct hash_stream {
    _Alignas(64) unsigned char state[640];
} hash_stream;

void hash_begin(hash_stream *stream);
void hash_update(hash_stream *stream, const void *data, size_t size);
hash128 hash_end(const hash_stream *stream);

static inline bool hash_equal(hash128 a, hash128 b)
{
    return memcmp(a.bytes, b.bytes, HASH_SIZE) == 0;
}
static inline bool hash_is_none(hash128 a)
{
    return hash_equal(a, HASH_NONE);
}

/** 32 lower-case hex digits and a NUL into `text`; returns `text`. */
char *hash_hex(hash128 hash, char text[HASH_HEX]);
/** Parses exactly 32 hex digits; false if they are not. */
bool hash_parse(const char *text, hash128 *hash);

#endif
