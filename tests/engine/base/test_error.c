/*
 * test_error.c - messages are one line of UTF-8, keep their beginning and their cause, and name their code.
 */
#include <errno.h>

#include "engine/base/error.h"
#include "tests/check.h"

static void test_set_and_clear(void)
{
    weir_error err = {0};
    CHECK_INT(WEIR_BUSY, error_set(&err, WEIR_BUSY, "node %d of %s", 7, "x"));
    CHECK_INT(WEIR_BUSY, err.code);
    CHECK_STR("node 7 of x", err.message);
    error_clear(&err);
    CHECK_INT(0, err.code);
    CHECK_STR("", err.message);
}

static void test_null_is_allowed(void)
{
    CHECK_INT(WEIR_IO, error_set(NULL, WEIR_IO, "x"));
    CHECK_INT(WEIR_IO, error_errno(NULL, EACCES, "x"));
    CHECK_INT(WEIR_NOMEM, error_errno(NULL, ENOMEM, "x"));
    CHECK_INT(WEIR_CORRUPT, error_context(NULL, WEIR_CORRUPT, "x"));
    CHECK_INT(WEIR_NOMEM, error_nomem(NULL, "x"));
    error_clear(NULL);
}

static void test_errno_gives_the_cause(void)
{
    weir_error err = {0};
    CHECK_INT(WEIR_IO, error_errno(&err, EACCES, "cannot open %s", "a.c"));
    CHECK_STR("cannot open a.c: Permission denied", err.message);
    CHECK_INT(WEIR_NOMEM, error_errno(&err, ENOMEM, "cannot open %s", "a.c"));
    CHECK_INT(WEIR_NOMEM, error_nomem(&err, "packing a record"));
    CHECK_STR("out of memory while packing a record", err.message);
}

static void test_context_goes_in_front(void)
{
    weir_error err = {0};
    error_set(&err, WEIR_CORRUPT, "short read");
    CHECK_INT(WEIR_CORRUPT, error_context(&err, WEIR_IO, "blob %s", "9f3c"));
    CHECK_STR("blob 9f3c: short read", err.message);
    CHECK_INT(WEIR_CORRUPT, err.code);

    weir_error fresh = {0};
    CHECK_INT(WEIR_IO, error_context(&fresh, WEIR_IO, "blob %s", "9f3c"));
    CHECK_STR("blob 9f3c", fresh.message);
    CHECK_INT(WEIR_IO, fresh.code);
}

static void test_a_message_can_quote_itself(void)
{
    weir_error err = {0};
    error_set(&err, WEIR_IO, "inner");
    error_set(&err, WEIR_FAILED, "outer(%s)", err.message);
    CHECK_STR("outer(inner)", err.message);
}

static void test_long_messages_keep_both_ends(void)
{
    static char path[20000];
    memset(path, 'p', sizeof path - 1);
    weir_error err = {0};
    error_errno(&err, ENOSPC, "cannot write %.4000s", path);
    CHECK_INT(sizeof err.message - 1, strlen(err.message));
    CHECK(strncmp(err.message, "cannot write ppp", 16) == 0);
    CHECK_HAS(" ... ", err.message);
    CHECK_HAS("ppp: No space left on device", err.message);
    error_errno(&err, ENOSPC, "cannot write %s", path); /* longer than any buffer */
    CHECK_HAS("ppp: No space left on device", err.message);
}

/* Every size around the limit, with characters of several bytes: the result is never cut inside one. */
static void test_cuts_at_characters(void)
{
    static const char *const letters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x8c\x8a"};
    for (size_t kind = 0; kind < 3; kind++) {
        char text[2048];
        for (size_t offset = 0; offset < 4; offset++) {
            size_t size = offset;
            memset(text, 'a', offset);
            while (size < 900) {
                memcpy(text + size, letters[kind], strlen(letters[kind]));
                size += strlen(letters[kind]);
            }
            text[size] = '\0';
            weir_error err = {0};
            error_set(&err, WEIR_IO, "%s", text);
            CHECK(strchr(err.message, '?') == NULL);
            char copy[sizeof err.message];
            strcpy(copy, err.message);
            error_set(&err, WEIR_IO, "%s", copy); /* a cut character would become '?' now */
            CHECK_STR(copy, err.message);
        }
    }
}

static void test_one_line_of_utf8(void)
{
    weir_error err = {0};
    error_set(&err, WEIR_IO,
              "a\nb\tc\x7f"
              "d \xff\xfe \xc3\xa4 \xc0\xaf \xed\xa0\x80 \xe2\x82");
    CHECK_STR("a b c d ?? \xc3\xa4 ?? ??? ??", err.message);
}

static void test_names(void)
{
    CHECK_STR("WEIR_OK", error_name(0));
    CHECK_STR("WEIR_IO", error_name(WEIR_IO));
    CHECK_STR("WEIR_BUG", error_name(WEIR_BUG));
    CHECK_STR("WEIR_UNKNOWN", error_name(-9999));
    CHECK_STR("not found", weir_error_text(WEIR_NOTFOUND));
    CHECK_STR("unknown error", weir_error_text(1));
}

int main(void)
{
    test_set_and_clear();
    test_null_is_allowed();
    test_errno_gives_the_cause();
    test_context_goes_in_front();
    test_a_message_can_quote_itself();
    test_long_messages_keep_both_ends();
    test_cuts_at_characters();
    test_one_line_of_utf8();
    test_names();
    return check_done();
}
