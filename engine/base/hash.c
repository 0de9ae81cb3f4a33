/*
 * hash.c - XXH3 with 128 bits, behind our own types.
 *
 * The one place that sees xxhash.h, with hash_wide.c. The implementation is compiled in (XXH_INLINE_ALL): as fast as the
 * shared library, and one library less to load at every start. Large inputs go to the variant of hash_wide.c where the
 * processor has AVX2: the results are the same, 42 instead of 20 GB/s. Hashes are kept in canonical (big-endian) form.
 *
 * Any thread. Nothing allocates.
 */
#include "engine/base/hash.h"

#include "engine/base/hash_wide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) <= sizeof(hash_stream), "hash_stream is too small");
_Static_assert(_Alignof(XXH3_state_t) <= _Alignof(hash_stream),
               "hash_stream is not aligned enough");
_Static_assert(sizeof(XXH128_canonical_t) == HASH_SIZE, "a hash has 16 bytes");

const hash128 HASH_NONE = {{0}};
const hash128 HASH_ABSENT = {
    {'w', 'e', 'i', 'r', ':', 'a', 'b', 's', 'e', 'n', 't', 0, 0, 0, 0, 1}};

const hash128 HASH_UNREADABLE = {
    {'w', 'e', 'i', 'r', ':', 'u', 'n', 'r', 'e', 'a', 'd', 'a', 'b', 'l', 'e', 1}};

static hash128 canonical(XXH128_hash_t value)
{
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, value);
    hash128 hash;
    memcpy(hash.bytes, bytes.digest, HASH_SIZE);
    return hash;
}

enum { WIDE_SMALLEST = 1024 }; /* below, choosing costs more than it gains */

static bool is_wide(size_t size)
{
#ifdef HASH_WIDE
    return size >= WIDE_SMALLEST && __builtin_cpu_supports("avx2");
#else
    (void)size;
    return false;
#endif
}

hash128 hash_bytes(const void *data, size_t size)
{
    if (is_wide(size)) return hash_wide_bytes(data, size);
    return canonical(XXH3_128bits(data, size));
}

uint64_t hash_short(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

/* The state lives in bytes of the caller; these are its only two views. */
static XXH3_state_t *state_of(hash_stream *stream)
{
    return (XXH3_state_t *)(void *)stream->state;
}

static const XXH3_state_t *const_state_of(const hash_stream *stream)
{
    return (const XXH3_state_t *)(const void *)stream->state;
}

void hash_begin(hash_stream *stream)
{
    XXH3_INITSTATE(state_of(stream));
    (void)XXH3_128bits_reset(state_of(stream)); /* fails for NULL only */
}

void hash_update(hash_stream *stream, const void *data, size_t size)
{
    if (is_wide(size)) hash_wide_update(stream, data, size);
    else if (size > 0) (void)XXH3_128bits_update(state_of(stream), data, size);
}

hash128 hash_end(const hash_stream *stream)
{
    return canonical(XXH3_128bits_digest(const_state_of(stream)));
}

char *hash_hex(hash128 hash, char text[HASH_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < HASH_SIZE; i++) {
        text[2 * i] = digits[hash.bytes[i] >> 4];
        text[2 * i + 1] = digits[hash.bytes[i] & 15];
    }
    text[HASH_HEX - 1] = '\0';
    return text;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hash_parse(const char *text, hash128 *hash)
{
    hash128 parsed;
    for (int i = 0; i < HASH_SIZE; i++) {
        int high = digit_value(text[2 * i]);
        if (high < 0) return false; /* also at the end of a short text: nothing behind it is read */
        int low = digit_value(text[2 * i + 1]);
        if (low < 0) return false;
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (text[HASH_HEX - 1] != '\0') return false;
    *hash = parsed;
    return true;
}
