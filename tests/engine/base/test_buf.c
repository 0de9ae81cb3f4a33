/*
 * test_buf.c - growing byte strings, and packed records that survive any damage without a read out of bounds.
 */
#include "engine/base/memory.h"
#include "tests/check.h"

static void test_text(void)
{
    buf b;
    buf_init(&b);
    CHECK_STR("", buf_cstr(&b));
    buf_text(&b, "abc");
    buf_text(&b, NULL);
    buf_byte(&b, 'd');
    buf_append(&b, NULL, 0);
    buf_printf(&b, "%d", 42);
    CHECK_STR("abcd42", buf_cstr(&b));
    CHECK_INT(6, b.size);
    for (int i = 0; i < 1000; i++) buf_printf(&b, "%0200d", i);
    CHECK_INT(6 + 200 * 1000, b.size);
    CHECK(memcmp(b.data + b.size - 4, "0999", 4) == 0);
    buf_clear(&b);
    CHECK_INT(0, b.size);
    buf_deinit(&b);
    buf_deinit(NULL);
}

/* Text of exactly the size that is left: the NUL of vsnprintf must not be lost or written behind the end. */
static void test_printf_at_the_edge(void)
{
    for (size_t before = 0; before < 70; before++) {
        buf b;
        buf_init(&b);
        for (size_t i = 0; i < before; i++) buf_byte(&b, 'x');
        buf_printf(&b, "%s", "0123456789");
        CHECK_INT(before + 10, b.size);
        CHECK(memcmp(b.data + before, "0123456789", 10) == 0);
        buf_deinit(&b);
    }
}

static void test_reserve_and_commit(void)
{
    buf b;
    buf_init(&b);
    uint8_t *at = buf_reserve(&b, 100);
    CHECK_OR_STOP(at != NULL);
    memcpy(at, "hey", 3);
    buf_commit(&b, 3);
    CHECK_STR("hey", buf_cstr(&b));
    CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
    CHECK(b.failed);
    CHECK(buf_cstr(&b) == NULL);
    buf_deinit(&b);
}

static void test_failure_is_remembered(void)
{
    buf b;
    buf_init(&b);
    mem_fail_at(1, false);
    buf_text(&b, "lost");
    buf_put_u64(&b, 300);
    buf_printf(&b, "%d", 1);
    CHECK(b.failed);
    CHECK_INT(0, b.size);
    buf_clear(&b);
    buf_text(&b, "back");
    CHECK_STR("back", buf_cstr(&b));
    buf_deinit(&b);
}

/* --- packed records --------------------------------------------------------------------------------------------- */

static void test_numbers_round_trip(void)
{
    buf b;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int64_t delta = -2; delta <= 2; delta++) {
            uint64_t number = (UINT64_C(1) << bit) + (uint64_t)delta;
            buf_init(&b);
            buf_put_u64(&b, number);
            buf_put_i64(&b, (int64_t)number);
            buf_put_i64(&b, (int64_t)(0 - number));
            unpack u = unpack_of(buf_bytes(&b));
            CHECK(unpack_u64(&u) == number);
            CHECK_INT((int64_t)number, unpack_i64(&u));
            CHECK_INT((int64_t)(0 - number), unpack_i64(&u));
            CHECK(unpack_done(&u));
            buf_deinit(&b);
        }
    }
}

static void put_record(buf *b)
{
    buf_put_u64(b, 3);
    buf_put_str(b, "name");
    buf_put_str(b, NULL);
    buf_put_bytes(b, bytes_of("a\0b", 3));
    buf_put_i64(b, -1234567890123);
    buf_put_hash(b, hash_bytes("x", 1));
    buf_put_u64(b, UINT64_MAX);
}

static void test_record_round_trip(void)
{
    buf b;
    buf_init(&b);
    put_record(&b);
    unpack u = unpack_of(buf_bytes(&b));
    CHECK_INT(3, unpack_count(&u));
    CHECK(bytes_equal(bytes_str("name"), unpack_bytes(&u)));
    CHECK_INT(0, unpack_bytes(&u).size);
    CHECK(bytes_equal(bytes_of("a\0b", 3), unpack_bytes(&u)));
    CHECK_INT(-1234567890123, unpack_i64(&u));
    hash128 expected = hash_bytes("x", 1);
    hash128 got = unpack_hash(&u);
    CHECK_HASH(expected, got);
    CHECK(!unpack_done(&u)); /* one is left */
    CHECK(unpack_u64(&u) == UINT64_MAX);
    CHECK(unpack_done(&u));
    CHECK_INT(0, unpack_u64(&u));
    CHECK(u.failed);
    buf_deinit(&b);
}

static bool read_record(bytes from)
{
    unpack u = unpack_of(from);
    size_t sum = unpack_count(&u);
    for (int i = 0; i < 3; i++) {
        bytes field = unpack_bytes(&u);
        for (size_t at = 0; at < field.size; at++) sum += field.data[at];
    }
    sum += (size_t)unpack_i64(&u) + unpack_hash(&u).bytes[0] + (size_t)unpack_u64(&u);
    (void)sum;
    return unpack_done(&u);
}

/* Each record is copied to a heap block of its size, so that a read behind the end shows under the sanitizer. */
static bool read_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_dup(data, size);
    bool is_whole = read_record(bytes_of(copy, size));
    mem_free(copy);
    return is_whole;
}

static void test_damaged_records(void)
{
    buf b;
    buf_init(&b);
    put_record(&b);
    CHECK(read_copy(b.data, b.size));
    for (size_t size = 0; size < b.size; size++) CHECK(!read_copy(b.data, size));
    for (size_t at = 0; at < b.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[at] ^= (uint8_t)(1u << bit);
            (void)read_copy(b.data, b.size);
            b.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    CHECK(read_copy(b.data, b.size));
    buf_deinit(&b);
    CHECK(!read_record((bytes){NULL, 0}));
}

static bool is_number(const char *data, size_t size)
{
    unpack u = unpack_of(bytes_of(data, size));
    (void)unpack_u64(&u);
    return unpack_done(&u);
}

static void test_one_spelling(void)
{
    CHECK(is_number("\x00", 1));
    CHECK(!is_number("\x80\x00", 2));                                  /* longer than needed */
    CHECK(!is_number("\x80", 1));                                      /* goes on behind the end */
    CHECK(is_number("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10));  /* 2^64 - 1 */
    CHECK(!is_number("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10)); /* more than 64 bits */
    CHECK(!is_number("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11));
}

static void test_counts_are_bounded(void)
{
    buf b;
    buf_init(&b);
    buf_put_u64(&b, 1000000);
    buf_text(&b, "only a few bytes");
    unpack u = unpack_of(buf_bytes(&b));
    CHECK_INT(0, unpack_count(&u));
    CHECK(u.failed);
    u = unpack_of(buf_bytes(&b));
    CHECK_INT(0, unpack_bytes(&u).size);
    CHECK(u.failed);
    buf_deinit(&b);
}

int main(void)
{
    test_text();
    test_printf_at_the_edge();
    test_reserve_and_commit();
    test_failure_is_remembered();
    test_numbers_round_trip();
    test_record_round_trip();
    test_damaged_records();
    test_one_spelling();
    test_counts_are_bounded();
    return check_done();
}
