/*
 * buf.c - a growing byte string, and the packed form of our records.
 *
 * The first append that finds no memory sets `failed` and frees nothing; later appends do nothing, so a writer of
 * twenty fields asks once at the end. Packed numbers are LEB128 varints in their shortest form only: a record has one
 * spelling, and most damage shows as a failed read.
 *
 * One thread at a time.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/memory.h"

void buf_init(buf *b)
{
    *b = (buf){0};
}

void buf_deinit(buf *b)
{
    if (!b) return;
    mem_free(b->data);
    buf_init(b);
}

void buf_clear(buf *b)
{
    b->size = 0;
    b->failed = false;
}

uint8_t *buf_reserve(buf *b, size_t size)
{
    if (b->failed) return NULL;
    size_t need;
    if (__builtin_add_overflow(b->size, size, &need)) b->failed = true;
    if (!b->failed && need > b->capacity && need < 64) need = 64;
    if (!b->failed && !MEM_GROW(b->data, b->capacity, need ? need : 1)) b->failed = true;
    return b->failed ? NULL : b->data + b->size;
}

void buf_commit(buf *b, size_t size)
{
    assert(b->failed || size <= b->capacity - b->size);
    if (!b->failed) b->size += size;
}

void buf_append(buf *b, const void *data, size_t size)
{
    uint8_t *to = buf_reserve(b, size);
    if (!to) return;
    if (size > 0) memcpy(to, data, size);
    b->size += size;
}

void buf_text(buf *b, const char *text)
{
    if (text) buf_append(b, text, strlen(text));
}

void buf_printf(buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    uint8_t *to = buf_reserve(b, 1);
    size_t room = to ? b->capacity - b->size : 0;
    int size = to ? vsnprintf((char *)to, room, format, args) : 0;
    if (size < 0) {
        b->failed = true;
    } else if (to && (size_t)size >= room) {
        to = buf_reserve(b, (size_t)size + 1);
        if (to) vsnprintf((char *)to, (size_t)size + 1, format, again);
    }
    if (!b->failed) b->size += (size_t)size;
    va_end(again);
    va_end(args);
}

void buf_byte(buf *b, uint8_t value)
{
    buf_append(b, &value, 1);
}

const char *buf_cstr(buf *b)
{
    uint8_t *end = buf_reserve(b, 1);
    if (!end) return NULL;
    *end = '\0';
    return (const char *)b->data;
}

/* --- packed records: writing ------------------------------------------------------------------------------------ */

void buf_put_u64(buf *b, uint64_t value)
{
    uint8_t packed[10];
    size_t size = 0;
    while (value >= 0x80) {
        packed[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    packed[size++] = (uint8_t)value;
    buf_append(b, packed, size);
}

void buf_put_i64(buf *b, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    buf_put_u64(b, value < 0 ? ~(bits << 1) : bits << 1);
}

void buf_put_bytes(buf *b, bytes value)
{
    buf_put_u64(b, value.size);
    buf_append(b, value.data, value.size);
}

void buf_put_str(buf *b, const char *text)
{
    buf_put_bytes(b, bytes_str(text));
}

void buf_put_hash(buf *b, hash128 hash)
{
    buf_append(b, hash.bytes, HASH_SIZE);
}

/* --- packed records: reading ------------------------------------------------------------------------------------ */

static size_t bytes_left(const unpack *u)
{
    return u->failed ? 0 : (size_t)(u->end - u->at);
}

uint64_t unpack_u64(unpack *u)
{
    uint64_t value = 0;
    size_t left = bytes_left(u);
    for (unsigned i = 0; i < 10 && i < left; i++) {
        uint64_t part = u->at[i] & 0x7f;
        if (i == 9 && part > 1) break; /* more than 64 bits */
        value |= part << (7 * i);
        if (u->at[i] & 0x80) continue;
        if (i > 0 && part == 0) break; /* not the shortest form */
        u->at += i + 1;
        return value;
    }
    u->failed = true;
    return 0;
}

int64_t unpack_i64(unpack *u)
{
    uint64_t bits = unpack_u64(u);
    return (int64_t)((bits >> 1) ^ (0 - (bits & 1)));
}

bytes unpack_bytes(unpack *u)
{
    uint64_t size = unpack_u64(u);
    if (u->failed || size > bytes_left(u)) {
        u->failed = true;
        return (bytes){NULL, 0};
    }
    bytes value = {u->at, (size_t)size};
    u->at += size;
    return value;
}

hash128 unpack_hash(unpack *u)
{
    hash128 hash = HASH_NONE;
    if (bytes_left(u) < HASH_SIZE) {
        u->failed = true;
        return hash;
    }
    memcpy(hash.bytes, u->at, HASH_SIZE);
    u->at += HASH_SIZE;
    return hash;
}

size_t unpack_count(unpack *u)
{
    uint64_t count = unpack_u64(u);
    if (count <= bytes_left(u)) return (size_t)count;
    u->failed = true;
    return 0;
}

bool unpack_done(const unpack *u)
{
    return !u->failed && u->at == u->end;
}
