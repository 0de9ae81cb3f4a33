/*
 * test_hash.c - the hash is XXH3-128 in canonical form, streamed hashing equals one-shot, and hex goes both ways.
 *
 * The expected values are those of `xxhsum -H2`: databases hold such hashes, so they must never change.
 */
#include "engine/base/hash.h"
#include "tests/check.h"

static void test_known_values(void)
{
    char hex[HASH_HEX];
    CHECK_STR("99aa06d3014798d86001c324468d497f", hash_hex(hash_bytes("", 0), hex));
    CHECK_STR("99aa06d3014798d86001c324468d497f", hash_hex(hash_bytes(NULL, 0), hex));
    CHECK_STR("06b05ab6733a618578af5f94892f3950", hash_hex(hash_bytes("abc", 3), hex));
}

static void fill(uint8_t *data, size_t size)
{
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (uint8_t)(state >> 24);
    }
}

static void test_stream_equals_one_shot(void)
{
    static uint8_t data[300000];
    static const size_t sizes[] = {0,   1,   16,  17,   128,  129,   240,    241,
                                   255, 256, 257, 1024, 1025, 65536, 299999, 300000};
    static const size_t steps[] = {1, 7, 64, 255, 256, 4096, 65536, 300000};
    fill(data, sizeof data);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hash128 whole = hash_bytes(data, sizes[i]);
        for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) {
            if (steps[j] == 1 && sizes[i] > 70000) continue;
            hash_stream stream;
            hash_begin(&stream);
            for (size_t at = 0; at < sizes[i]; at += steps[j]) {
                size_t left = sizes[i] - at;
                hash_update(&stream, data + at, left < steps[j] ? left : steps[j]);
            }
            hash128 parts = hash_end(&stream);
            CHECK_HASH(whole, parts);
            hash128 again = hash_end(&stream); /* ending does not change the stream */
            CHECK_HASH(whole, again);
        }
    }
}

static void test_every_alignment(void)
{
    static uint8_t data[5000];
    static uint8_t moved[5100];
    fill(data, sizeof data);
    hash128 expected = hash_bytes(data, sizeof data);
    for (size_t offset = 0; offset < 70; offset++) {
        memcpy(moved + offset, data, sizeof data);
        hash128 got = hash_bytes(moved + offset, sizeof data);
        CHECK_HASH(expected, got);
    }
}

static void test_constants(void)
{
    CHECK(hash_is_none(HASH_NONE));
    CHECK(!hash_is_none(HASH_ABSENT));
    CHECK(!hash_equal(HASH_NONE, HASH_ABSENT));
    CHECK(!hash_is_none(hash_bytes("", 0)));
}

static void test_hex(void)
{
    char hex[HASH_HEX];
    hash128 hash = hash_bytes("weir", 4);
    hash128 parsed;
    CHECK(hash_parse(hash_hex(hash, hex), &parsed));
    CHECK_HASH(hash, parsed);
    CHECK(hash_parse("000102030405060708090A0B0C0D0E0F", &parsed));
    CHECK_STR("000102030405060708090a0b0c0d0e0f", hash_hex(parsed, hex));

    static const char *const wrong[] = {"",
                                        "0",
                                        "0001",
                                        "000102030405060708090a0b0c0d0e0",
                                        "000102030405060708090a0b0c0d0e0f0",
                                        "000102030405060708090a0b0c0d0e0g",
                                        " 00102030405060708090a0b0c0d0e0f"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        hash128 kept = hash;
        CHECK(!hash_parse(wrong[i], &kept));
        CHECK_HASH(hash, kept);
    }
}

int main(void)
{
    test_known_values();
    test_stream_equals_one_shot();
    test_every_alignment();
    test_constants();
    test_hex();
    return check_done();
}
