/*
 * read.h - what a read of something that is no file content hashes to.
 *
 * A worker records such reads while an effect runs, and the engine computes the same hashes later to see whether a stored trace
 * still holds: both call these functions. Contents of files are in world/scan.h, values hash as their encoding. Frozen
 * (scheme 1); tests/engine/store/test_read.c has the vectors. Pure; any thread.
 */
#ifndef WEIR_STORE_READ_H
#define WEIR_STORE_READ_H

#include "engine/base/memory.h"

/**
 * ASPECT_NAMES: the names in a list, in order. Paths of file members (items of files, single outputs), names of all others
 * (nodes, variables, values, tools). Over the count and each name with its length (8 bytes each, little-endian).
 */
hash128 read_names_hash(const bytes *names, size_t count);

/** ASPECT_PATH, ASPECT_OUTPATH: the bytes of the path. */
hash128 read_path_hash(bytes path);

/** ASPECT_PARAMS: the canonical encoding of the params. */
hash128 read_params_hash(bytes params);

#endif
