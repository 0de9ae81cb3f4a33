/*
 * test_memory.c - allocation and its fault hook, arenas and growing arrays.
 */
#include "engine/base/memory.h"
#include "tests/check.h"

static void test_fail_once(void)
{
    mem_fail_at(2, false);
    void *first = mem_alloc(1);
    void *second = mem_alloc(1);
    void *third = mem_alloc(1);
    CHECK(first != NULL);
    CHECK(second == NULL);
    CHECK(third != NULL);
    mem_free(first);
    mem_free(third);
    mem_fail_at(0, false);
}

static void test_fail_for_good(void)
{
    mem_fail_at(1, true);
    CHECK(mem_alloc(1) == NULL);
    CHECK(mem_zero(1, 1) == NULL);
    CHECK(mem_resize(NULL, 1) == NULL);
    CHECK(mem_strdup("x") == NULL);
    CHECK(mem_dup("x", 1) == NULL);
    mem_fail_at(0, false);
    void *after = mem_alloc(1);
    CHECK(after != NULL);
    mem_free(after);
}

static void test_sizes_of_nothing(void)
{
    void *a = mem_alloc(0);
    void *b = mem_zero(0, 8);
    void *c = mem_dup(NULL, 0);
    CHECK(a && b && c);
    a = mem_resize(a, 0);
    CHECK(a != NULL);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(NULL);
}

static void test_grow(void)
{
    uint32_t *array = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK_OR_STOP(MEM_GROW(array, capacity, i + 1));
        array[i] = i;
    }
    CHECK_INT(1024, capacity);
    CHECK_INT(999, array[999]);

    mem_fail_at(1, false);
    uint32_t *before = array;
    CHECK(!MEM_GROW(array, capacity, 5000));
    CHECK(array == before);
    CHECK_INT(1024, capacity);
    mem_fail_at(0, false);
    CHECK(!MEM_GROW(array, capacity, SIZE_MAX));
    CHECK(!MEM_GROW(array, capacity, SIZE_MAX / 4 + 2));
    mem_free(array);
}

static void test_compare_bytes(void)
{
    CHECK(bytes_compare(bytes_str("a"), bytes_str("b")) < 0);
    CHECK(bytes_compare(bytes_str("b"), bytes_str("a")) > 0);
    CHECK(bytes_compare(bytes_str("a"), bytes_str("ab")) < 0);
    CHECK(bytes_compare(bytes_str("\xff"), bytes_str("a")) > 0);
    CHECK_INT(0, bytes_compare(bytes_str(NULL), bytes_str("")));
    CHECK(bytes_equal(bytes_str(""), bytes_of(NULL, 0)));
    CHECK(!bytes_equal(bytes_str("a"), bytes_str("b")));
}

/* --- arenas ----------------------------------------------------------------------------------------------------- */

static void test_arena_objects_do_not_touch(void)
{
    enum { COUNT = 2000 };
    static unsigned char *objects[COUNT];
    mem_arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = i * 37 % 3000;
        objects[i] = arena_alloc(&arena, size);
        CHECK_OR_STOP(objects[i] != NULL);
        CHECK_INT(0, (uintptr_t)objects[i] % _Alignof(max_align_t));
        memset(objects[i], (int)(i % 251), size);
    }
    bool is_whole = true;
    for (size_t i = 0; i < COUNT; i++)
        for (size_t at = 0; at < i * 37 % 3000; at++)
            is_whole = is_whole && objects[i][at] == i % 251;
    CHECK(is_whole);
    CHECK(arena.used > 0 && arena.total >= arena.used);
    CHECK(!arena.failed);
    arena_reset(&arena);
    CHECK_INT(0, arena.total);
    CHECK(arena_alloc(&arena, 10) != NULL);
    arena_deinit(&arena);
    arena_deinit(NULL);
}

static void test_arena_large_objects_spare_the_chunk(void)
{
    mem_arena arena;
    arena_init(&arena);
    char *first = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, 10 * 1024 * 1024);
    char *second = arena_alloc(&arena, 16);
    CHECK(large != NULL);
    CHECK(second > first && second - first < 4096); /* the small one's chunk stayed in use */
    arena_deinit(&arena);
}

static void test_arena_strings(void)
{
    mem_arena arena;
    arena_init(&arena);
    CHECK_STR("hello", arena_strdup(&arena, "hello"));
    CHECK_STR("", arena_strdup(&arena, ""));
    CHECK_STR("7-x", arena_printf(&arena, "%d-%s", 7, "x"));
    bytes copy = arena_bytes(&arena, bytes_of("a\0b", 3));
    CHECK_BYTES("a\0b", 4, copy.data, copy.size + 1);
    unsigned char *zeros = arena_zero(&arena, 100, 10);
    bool all_zero = zeros != NULL;
    for (size_t i = 0; zeros && i < 1000; i++) all_zero = all_zero && zeros[i] == 0;
    CHECK(all_zero);
    arena_deinit(&arena);
}

static void test_arena_remembers_failure(void)
{
    mem_arena arena;
    arena_init(&arena);
    mem_fail_at(1, false);
    CHECK(arena_strdup(&arena, "x") == NULL);
    CHECK(arena.failed);
    CHECK(arena_strdup(&arena, "x") != NULL); /* memory is back, */
    CHECK(arena.failed);                      /* but the turn has a hole */
    arena_reset(&arena);
    CHECK(!arena.failed);
    CHECK(arena_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(arena_zero(&arena, SIZE_MAX / 2, 3) == NULL);
    CHECK(arena.failed);
    mem_fail_at(0, false);
    arena_deinit(&arena);
}

int main(void)
{
    test_fail_once();
    test_fail_for_good();
    test_sizes_of_nothing();
    test_grow();
    test_compare_bytes();
    test_arena_objects_do_not_touch();
    test_arena_large_objects_spare_the_chunk();
    test_arena_strings();
    test_arena_remembers_failure();
    return check_done();
}
