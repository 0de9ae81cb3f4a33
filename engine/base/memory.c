/*
 * memory.c - the only door to the heap.
 *
 * Every allocation of the engine comes through here, so that a test can fail the n-th one and see whether the code
 * above keeps its promises. Unarmed, the hook costs one relaxed load. Arenas, buffers and maps live in files of their own.
 *
 * Any thread.
 */
#include "engine/base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_bool fault_armed;
static atomic_bool fault_sticky;
static _Atomic int64_t fault_left; /* allocations until the one that fails, itself included */

void mem_fail_at(int64_t countdown, bool sticky)
{
    atomic_store(&fault_armed, false);
    atomic_store(&fault_left, countdown);
    atomic_store(&fault_sticky, sticky);
    atomic_store(&fault_armed, countdown > 0);
}

static bool must_fail(void)
{
    if (!atomic_load_explicit(&fault_armed, memory_order_relaxed)) return false;
    int64_t left = atomic_fetch_sub(&fault_left, 1);
    return left == 1 || (left < 1 && atomic_load(&fault_sticky));
}

void *mem_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *mem_zero(size_t count, size_t size)
{
    if (count == 0 || size == 0) count = size = 1;
    return must_fail() ? NULL : calloc(count, size);
}

void *mem_resize(void *old, size_t size)
{
    return must_fail() ? NULL : realloc(old, size ? size : 1);
}

char *mem_strdup(const char *text)
{
    assert(text);
    return mem_dup(text, strlen(text) + 1);
}

void *mem_dup(const void *data, size_t size)
{
    void *copy = mem_alloc(size);
    if (copy && size > 0) memcpy(copy, data, size);
    return copy;
}

void mem_free(void *old)
{
    free(old);
}

bool mem_grow(void **array, size_t *capacity, size_t need, size_t element_size)
{
    if (need <= *capacity) return true;
    size_t room = *capacity < 8 ? 8 : *capacity;
    while (room < need) {
        if (room > SIZE_MAX / 2) return false;
        room *= 2;
    }
    size_t size;
    if (__builtin_mul_overflow(room, element_size, &size)) return false;
    /* The caller's pointer has another type than void *: memcpy reads and writes it as bytes, which is always allowed. */
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = mem_resize(old, size);
    if (!grown) return false;
    memcpy(array, &grown, sizeof grown);
    *capacity = room;
    return true;
}

int bytes_compare(bytes a, bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}
