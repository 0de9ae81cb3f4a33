/*
 * test_map.c - the map against a plain table, with keys of all sizes, removals and failing memory.
 */
#include "engine/base/memory.h"
#include "tests/check.h"

enum { KEYS = 3000 };

static bool model_has[KEYS];
static uint64_t model_value[KEYS];

/* Key number i: sizes 0 to 40, all different. */
static bytes make_key(size_t i, char space[64])
{
    int size = i == 0 ? 0
                      : snprintf(space, 64, "%zu%.*s", i, (int)(i % 37),
                                 "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF");
    return bytes_of(space, (size_t)size);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static size_t model_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++) count += model_has[i];
    return count;
}

static void check_against_model(const map *m)
{
    char space[64];
    bool same = true;
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t *value = map_get(m, make_key(i, space));
        same = same && (value != NULL) == model_has[i] && (!value || *value == model_value[i]);
    }
    CHECK(same);
    CHECK_INT(model_count(), m->count);

    size_t at = 0;
    size_t seen = 0;
    bytes key;
    uint64_t value;
    while (map_next(m, &at, &key, &value)) {
        uint64_t *found = map_get(m, key);
        same = same && found && *found == value;
        seen++;
    }
    CHECK(same);
    CHECK_INT(m->count, seen);
}

static void test_against_model(void)
{
    map m;
    char space[64];
    uint32_t random = 12345;
    map_init(&m);
    check_against_model(&m);
    for (int step = 0; step < 200000; step++) {
        size_t i = next_random(&random) % KEYS;
        if (next_random(&random) % 5 < 2) {
            map_remove(&m, make_key(i, space));
            model_has[i] = false;
        } else {
            bool added;
            uint64_t *value = map_put(&m, make_key(i, space), &added);
            CHECK_OR_STOP(value != NULL);
            if (added == model_has[i] || (added && *value != 0))
                CHECK_NEVER("map_put tells wrongly what is new");
            *value = model_value[i] = next_random(&random);
            model_has[i] = true;
        }
        if (step % 20000 == 0) check_against_model(&m);
    }
    check_against_model(&m);
    CHECK(m.keys.total < 2 * 1024 * 1024); /* keys of removed entries were dropped */
    map_clear(&m);
    memset(model_has, 0, sizeof model_has);
    check_against_model(&m);
    map_deinit(&m);
    map_deinit(NULL);
}

static void test_keys_that_are_numbers(void)
{
    map m;
    map_init(&m);
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t *value = map_put(&m, map_key_u64(&i), NULL);
        CHECK_OR_STOP(value != NULL);
        *value = i * 3;
    }
    bool all = true;
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t *value = map_get(&m, map_key_u64(&i));
        all = all && value && *value == i * 3;
    }
    CHECK(all);
    CHECK_INT(0, m.keys.total); /* they live in the slots */
    map_deinit(&m);
}

/* Whichever allocation fails, the put says so, the map stays whole, and the next try works. */
static void test_without_memory(void)
{
    map m;
    char space[64];
    map_init(&m);
    memset(model_has, 0, sizeof model_has);
    size_t failures = 0;
    for (size_t i = 0; i < KEYS; i++) {
        mem_fail_at(1, true);
        uint64_t *value = map_put(&m, make_key(i, space), NULL);
        failures += value == NULL;
        mem_fail_at(0, false);
        if (!value) value = map_put(&m, make_key(i, space), NULL);
        CHECK_OR_STOP(value != NULL);
        *value = model_value[i] = i;
        model_has[i] = true;
    }
    CHECK(failures > 10);
    mem_fail_at(1, true); /* removing needs no memory */
    for (size_t i = 0; i < KEYS - 5; i++) {
        map_remove(&m, make_key(i, space));
        model_has[i] = false;
    }
    mem_fail_at(0, false);
    check_against_model(&m);
    map_deinit(&m);
}

/* What is reserved is enough, and nothing moves; without memory the map stays as it is. */
static void test_reserved(void)
{
    map m;
    char space[64];
    map_init(&m);
    memset(model_has, 0, sizeof model_has);
    for (size_t i = 0; i < 10; i++) {
        *map_put(&m, make_key(i, space), NULL) = model_value[i] = i;
        model_has[i] = true;
    }
    size_t small = m.capacity;
    mem_fail_at(1, true);
    CHECK(!map_reserve(&m, KEYS));
    CHECK(map_reserve(&m, 5)); /* there is room */
    mem_fail_at(0, false);
    CHECK(!map_reserve(&m, SIZE_MAX));
    CHECK_INT(small, m.capacity);
    check_against_model(&m);
    CHECK(map_reserve(&m, KEYS));
    const void *slots = m.slots;
    for (size_t i = 0; i < KEYS; i++) {
        *map_put(&m, make_key(i, space), NULL) = model_value[i] = i + 1;
        model_has[i] = true;
    }
    CHECK(slots == m.slots);
    check_against_model(&m);
    map_deinit(&m);
}

int main(void)
{
    test_against_model();
    test_keys_that_are_numbers();
    test_without_memory();
    test_reserved();
    return check_done();
}
