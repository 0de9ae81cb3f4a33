/* test_read.c - hashes of names, paths and params: what they depend on, and that they stay as they are. */
#include "engine/store/read.h"

#include "tests/check.h"

static hash128 names_of(const char *first, const char *second)
{
    bytes names[2] = {bytes_str(first), bytes_str(second)};
    return read_names_hash(names, second ? 2 : 1);
}

static void test_names_keep_their_borders(void)
{
    CHECK(!hash_equal(names_of("a", "bc"), names_of("ab", "c")));
    CHECK(!hash_equal(names_of("a", "b"), names_of("b", "a")));
    CHECK(!hash_equal(names_of("a", NULL), names_of("a", "")));
    CHECK(!hash_equal(read_names_hash(NULL, 0), names_of("", NULL)));
    CHECK(hash_equal(names_of("a", "b"), names_of("a", "b")));
}

static void test_scheme(void)
{
    static const uint8_t one[] = {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'};
    CHECK(hash_equal(hash_bytes(one, sizeof one), names_of("ab", NULL)));
    CHECK(hash_equal(hash_bytes("a/b", 3), read_path_hash(bytes_str("a/b"))));
    CHECK(hash_equal(hash_bytes("\x08\x00", 2), read_params_hash(bytes_of("\x08\x00", 2))));
}

int main(void)
{
    test_names_keep_their_borders();
    test_scheme();
    return check_done();
}
