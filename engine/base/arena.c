/*
 * arena.c - many small objects with one lifetime.
 *
 * A list of chunks, newest first; objects are cut from the newest one. Chunks double from 4 KiB to 1 MiB, so that a small
 * turn stays small and a large one asks the heap rarely. An object that would waste much of a chunk gets one of its
 * own, put behind the newest, whose rest stays in use. Under the address sanitizer every object has a guard behind it.
 *
 * One thread at a time.
 */
#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "engine/base/memory.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_GUARDED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_GUARDED 1
#endif

#ifdef ARENA_GUARDED
#include <sanitizer/asan_interface.h>
enum { GUARD_SIZE = 16 };
#define GUARD(at, size)   ASAN_POISON_MEMORY_REGION(at, size)
#define UNGUARD(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
enum { GUARD_SIZE = 0 };
#define GUARD(at, size)   ((void)0)
#define UNGUARD(at, size) ((void)0)
#endif

enum { ALIGNMENT = _Alignof(max_align_t), CHUNK_SMALLEST = 4096, CHUNK_LARGEST = 1024 * 1024 };

typedef struct mem_chunk {
    struct mem_chunk *older;
    size_t used, capacity; /* bytes of `data` */
    _Alignas(max_align_t) unsigned char data[];
} mem_chunk;

void arena_init(mem_arena *arena)
{
    *arena = (mem_arena){0};
}

void arena_reset(mem_arena *arena)
{
    for (mem_chunk *chunk = arena->chunk; chunk;) {
        mem_chunk *older = chunk->older;
        UNGUARD(chunk->data, chunk->capacity);
        mem_free(chunk);
        chunk = older;
    }
    arena_init(arena);
}

void arena_deinit(mem_arena *arena)
{
    if (arena) arena_reset(arena);
}

/* A chunk for `size` bytes: the newest one, unless the object is so large that it gets a chunk of its own. */
static mem_chunk *add_chunk(mem_arena *arena, size_t size)
{
    mem_chunk *newest = arena->chunk;
    size_t capacity = newest ? newest->capacity * 2 : CHUNK_SMALLEST - sizeof(mem_chunk);
    if (capacity > CHUNK_LARGEST) capacity = CHUNK_LARGEST;
    bool is_own = newest && size > capacity / 4;
    if (is_own || size > capacity) capacity = size;

    if (capacity > SIZE_MAX - sizeof(mem_chunk)) return NULL;
    mem_chunk *chunk = mem_alloc(sizeof(mem_chunk) + capacity);
    if (!chunk) return NULL;
    chunk->used = 0;
    chunk->capacity = capacity;
    GUARD(chunk->data, capacity);
    mem_chunk **place = is_own ? &newest->older : &arena->chunk;
    chunk->older = *place;
    *place = chunk;
    arena->total += sizeof(mem_chunk) + capacity;
    return chunk;
}

void *arena_alloc(mem_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    size_t rounded = ((size ? size : 1) + GUARD_SIZE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    mem_chunk *chunk = arena->chunk;
    if (!chunk || chunk->capacity - chunk->used < rounded) chunk = add_chunk(arena, rounded);
    if (!chunk) {
        arena->failed = true;
        return NULL;
    }
    void *object = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->used += rounded;
    UNGUARD(object, size);
    return object;
}

void *arena_zero(mem_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) total = SIZE_MAX;
    void *object = arena_alloc(arena, total);
    if (object) memset(object, 0, total);
    return object;
}

char *arena_strdup(mem_arena *arena, const char *text)
{
    assert(text);
    return (char *)(uintptr_t)arena_bytes(arena, bytes_str(text)).data;
}

bytes arena_bytes(mem_arena *arena, bytes from)
{
    char *copy = arena_alloc(arena, from.size + 1);
    if (!copy) return (bytes){NULL, 0};
    if (from.size > 0) memcpy(copy, from.data, from.size);
    copy[from.size] = '\0';
    return bytes_of(copy, from.size);
}

char *arena_printf(mem_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = size < 0 ? NULL : arena_alloc(arena, (size_t)size + 1);
    if (text) vsnprintf(text, (size_t)size + 1, format, again);
    else arena->failed = true;
    va_end(again);
    va_end(args);
    return text;
}
