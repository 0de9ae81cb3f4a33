/*
 * map.c - from bytes to a number: open addressing with linear probing.
 *
 * A slot holds the hash, so that most misses compare no key, and keys of up to eight bytes themselves; longer keys lie in
 * the arena. Removing moves the slots behind it back (no tombstones: Knuth, TAOCP 3, 6.4, algorithm R), so a map that lives
 * long does not slow down. Keys of removed entries stay in the arena until they are most of it; then it is copied.
 *
 * M1  At most three quarters of the slots are taken; the number of slots is a power of two.
 * M2  Between the home of an entry and its slot no slot is empty.
 *
 * One thread at a time.
 */
#include "engine/base/memory.h"

enum { INLINE_KEY = sizeof(uint64_t), SLOTS_SMALLEST = 16, KEPT_MOST = 1024, DEAD_SMALLEST = 4096 };

typedef struct map_slot {
    uint64_t hash; /* 0: the slot is empty */
    union {
        uint8_t here[INLINE_KEY]; /* size <= INLINE_KEY */
        const uint8_t *data;      /* else: in the arena */
    } key;
    size_t size;
    uint64_t value;
} map_slot;

void map_init(map *m)
{
    *m = (map){0};
    arena_init(&m->keys);
}

void map_deinit(map *m)
{
    if (!m) return;
    mem_free(m->slots);
    arena_deinit(&m->keys);
    map_init(m);
}

void map_clear(map *m)
{
    if (m->capacity > KEPT_MOST && m->count < m->capacity / 16) { /* it was large once: clearing it each time would cost that */
        map_deinit(m);
        map_init(m);
        return;
    }
    if (m->slots) memset(m->slots, 0, m->capacity * sizeof *m->slots);
    arena_reset(&m->keys);
    m->count = 0;
    m->dead = 0;
}

static uint64_t hash_of(bytes key)
{
    uint64_t hash = hash_short(key.data, key.size);
    return hash ? hash : 1;
}

static bytes key_of(const map_slot *slot)
{
    return bytes_of(slot->size <= INLINE_KEY ? slot->key.here : slot->key.data, slot->size);
}

/* The slot of the key, or the empty one where it would go. There must be an empty slot. */
static map_slot *find(const map *m, bytes key, uint64_t hash)
{
    size_t mask = m->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        map_slot *slot = &m->slots[i];
        if (slot->hash == 0) return slot;
        if (slot->hash == hash && bytes_equal(key_of(slot), key)) return slot;
    }
}

uint64_t *map_get(const map *m, bytes key)
{
    if (m->count == 0) return NULL;
    map_slot *slot = find(m, key, hash_of(key));
    return slot->hash ? &slot->value : NULL;
}

static bool rehash(map *m, size_t capacity)
{
    map_slot *slots = mem_zero(capacity, sizeof *slots);
    if (!slots) return false;
    for (size_t from = 0; from < m->capacity; from++) {
        if (m->slots[from].hash == 0) continue;
        size_t to = m->slots[from].hash & (capacity - 1);
        while (slots[to].hash != 0) to = (to + 1) & (capacity - 1);
        slots[to] = m->slots[from];
    }
    mem_free(m->slots);
    m->slots = slots;
    m->capacity = capacity;
    return true;
}

static bool grow(map *m)
{
    if (m->count + 1 <= m->capacity / 4 * 3) return true;
    return rehash(m, m->capacity ? m->capacity * 2 : SLOTS_SMALLEST);
}

bool map_reserve(map *m, size_t count)
{
    size_t capacity = m->capacity ? m->capacity : SLOTS_SMALLEST;
    while (capacity / 4 * 3 < count) {
        if (capacity > SIZE_MAX / 2 / sizeof *m->slots) return false;
        capacity *= 2;
    }
    return capacity == m->capacity || rehash(m, capacity);
}

static bool keep_key(mem_arena *arena, map_slot *slot, bytes key)
{
    slot->size = key.size;
    if (key.size <= INLINE_KEY) {
        if (key.size > 0) memcpy(slot->key.here, key.data, key.size);
        return true;
    }
    slot->key.data = arena_bytes(arena, key).data;
    return slot->key.data != NULL;
}

uint64_t *map_put(map *m, bytes key, bool *added)
{
    if (added) *added = false;
    if (!grow(m)) return NULL;
    uint64_t hash = hash_of(key);
    map_slot *slot = find(m, key, hash);
    if (slot->hash) return &slot->value;
    if (!keep_key(&m->keys, slot, key)) {
        m->keys.failed = false; /* told by the return value; the map is whole */
        return NULL;
    }
    slot->hash = hash;
    slot->value = 0;
    m->count++;
    if (added) *added = true;
    return &slot->value;
}

/* Copies the living keys into one piece of a new arena. Without memory for that, things stay as they are. */
static void drop_dead_keys(map *m)
{
    size_t living = 0;
    for (size_t i = 0; i < m->capacity; i++)
        if (m->slots[i].hash && m->slots[i].size > INLINE_KEY) living += m->slots[i].size;
    mem_arena keys;
    arena_init(&keys);
    uint8_t *to = arena_alloc(&keys, living);
    if (!to) return;
    for (size_t i = 0; i < m->capacity; i++) {
        map_slot *slot = &m->slots[i];
        if (!slot->hash || slot->size <= INLINE_KEY) continue;
        memcpy(to, slot->key.data, slot->size);
        slot->key.data = to;
        to += slot->size;
    }
    arena_deinit(&m->keys);
    m->keys = keys;
    m->dead = 0;
}

void map_remove(map *m, bytes key)
{
    if (m->count == 0) return;
    map_slot *slot = find(m, key, hash_of(key));
    if (slot->hash == 0) return;
    if (slot->size > INLINE_KEY) m->dead += slot->size;
    m->count--;

    /* Close the hole: an entry behind it moves in unless its home lies after the hole. */
    size_t mask = m->capacity - 1;
    size_t hole = (size_t)(slot - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].hash != 0; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole].hash = 0;
    if (m->dead > DEAD_SMALLEST && m->dead > m->keys.used / 3) drop_dead_keys(m);
}

bool map_next(const map *m, size_t *at, bytes *key, uint64_t *value)
{
    for (; *at < m->capacity; (*at)++) {
        const map_slot *slot = &m->slots[*at];
        if (slot->hash == 0) continue;
        if (key) *key = key_of(slot);
        if (value) *value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}
