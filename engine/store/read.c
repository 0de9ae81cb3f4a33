/*
 * read.c - what a read of something that is no file content hashes to.
 *
 * Names are length-prefixed, so that ("a", "bc") and ("ab", "c") differ. Pure; any thread.
 */
#include "engine/store/read.h"

static void update_number(hash_stream *stream, uint64_t number)
{
    uint8_t text[8];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(number >> (8 * i));
    hash_update(stream, text, sizeof text);
}

hash128 read_names_hash(const bytes *names, size_t count)
{
    hash_stream stream;
    hash_begin(&stream);
    update_number(&stream, count);
    for (size_t i = 0; i < count; i++) {
        update_number(&stream, names[i].size);
        if (names[i].size) hash_update(&stream, names[i].data, names[i].size);
    }
    return hash_end(&stream);
}

hash128 read_path_hash(bytes path)
{
    return hash_bytes(path.data, path.size);
}

hash128 read_params_hash(bytes params)
{
    return hash_bytes(params.data, params.size);
}
