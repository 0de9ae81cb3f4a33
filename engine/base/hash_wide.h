/*
 * hash_wide.h - the same hash, compiled for 256-bit vectors; for hash.c alone.
 */
#ifndef WEIR_BASE_HASH_WIDE_H
#define WEIR_BASE_HASH_WIDE_H

#include "engine/base/hash.h"

/* HASH_WIDE is defined by the build where hash_wide.c is compiled for AVX2. Ask the processor before calling these. */
hash128 hash_wide_bytes(const void *data, size_t size);
void hash_wide_update(hash_stream *stream, const void *data, size_t size);

#endif
