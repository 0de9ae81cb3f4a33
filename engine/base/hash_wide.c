/*
 * hash_wide.c - XXH3 with 256-bit vectors, for processors that have them.
 *
 * The build compiles this file alone with -mavx2 and defines HASH_WIDE; elsewhere it is never called. The state of a stream
 * is the same in all variants of xxhash, so hash.c can switch from call to call.
 *
 * Any thread. Nothing allocates.
 */
#include "engine/base/hash_wide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

hash128 hash_wide_bytes(const void *data, size_t size)
{
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(data, size));
    hash128 hash;
    memcpy(hash.bytes, bytes.digest, HASH_SIZE);
    return hash;
}

void hash_wide_update(hash_stream *stream, const void *data, size_t size)
{
    (void)XXH3_128bits_update((XXH3_state_t *)(void *)stream->state, data, size);
}
