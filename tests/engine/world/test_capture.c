/*
 * test_capture.c - what a command wrote: all of it while it is short, with a notice where something is missing, in bounded memory.
 */
#include <errno.h>

#include "engine/base/os.h"
#include "engine/world/capture.h"
#include "tests/check.h"

static int rootfd;

/* Lines of eight bytes, each with its number. */
static void feed(capture *c, size_t total, size_t piece)
{
    static char text[4 * 1024 * 1024 + 16];
    for (size_t i = 0; i * 8 < total; i++) snprintf(text + i * 8, 9, "%07u\n", (unsigned)i % 10000000u);
    for (size_t at = 0; at < total; at += piece)
        capture_add(c, (const uint8_t *)text + at, piece < total - at ? piece : total - at);
    capture_end(c);
}

/* What is recorded of it: the file, or what is in memory. Static. */
static bytes recorded(const capture *c)
{
    static buf text;
    weir_error err = {0};
    buf_clear(&text);
    if (!capture_in_file(c)) return buf_bytes(&c->head);
    CHECK_OK(os_read_file(rootfd, "out", SIZE_MAX, &text, &err), err);
    return buf_bytes(&text);
}

static void check_whole(size_t total, size_t piece, size_t cap, bool in_file)
{
    capture c;
    capture_init(&c, rootfd, "out", cap);
    feed(&c, total, piece);
    bytes got = recorded(&c);
    CHECK(capture_in_file(&c) == in_file);
    CHECK(!c.is_truncated);
    CHECK_INT(total, c.total);
    CHECK_INT(total, got.size);
    for (size_t i = 0; i * 8 + 8 <= got.size; i++)
        if (strtoul((const char *)got.data + i * 8, NULL, 10) != i) {
            CHECK_INT(i, strtoul((const char *)got.data + i * 8, NULL, 10));
            break;
        }
    CHECK(c.head.size <= CAPTURE_MEMORY);
    capture_deinit(&c);
}

static void test_whole(void)
{
    check_whole(0, 1, 100000, false);
    check_whole(8, 1, 100000, false);
    check_whole(CAPTURE_MEMORY, 4096, 1 << 20, false);
    check_whole(CAPTURE_MEMORY + 1, 4096, 1 << 20, true);
    check_whole(CAPTURE_MEMORY + 8, CAPTURE_MEMORY + 8, 1 << 20, true);
    check_whole(1 << 20, 65536, 1 << 20, true);
    check_whole((1 << 20) + CAPTURE_TAIL, 65536, 1 << 20, true); /* the end closes the gap */
    check_whole((1 << 20) + 40, 7, 1 << 20, true);
}

static void check_cut(size_t total, size_t piece, size_t cap)
{
    capture c;
    buf tail;
    buf_init(&tail);
    capture_init(&c, rootfd, "out", cap);
    feed(&c, total, piece);
    bytes got = recorded(&c);
    CHECK(c.is_truncated && capture_in_file(&c));
    CHECK(got.size < cap + CAPTURE_TAIL + 1024);
    char notice[200], last[20];
    snprintf(notice, sizeof notice, "\n[weir: this output had %zu bytes; the first %zu are kept, the next %zu were dropped here; ", total, cap,
             total - cap - CAPTURE_TAIL);
    CHECK(memcmp(got.data + cap, notice, strlen(notice)) == 0);
    snprintf(last, sizeof last, "%07zu\n", total / 8 - 1);
    CHECK(memcmp(got.data + got.size - 8, last, 8) == 0);
    capture_put_tail(&c, &tail);
    CHECK_INT(CAPTURE_TAIL, tail.size);
    CHECK(memcmp(got.data + got.size - CAPTURE_TAIL, tail.data, CAPTURE_TAIL) == 0);
    buf_deinit(&tail);
    capture_deinit(&c);
}

static void test_cut(void)
{
    check_cut(4 * 1024 * 1024, 65536, 1 << 20);
    check_cut((1 << 20) + CAPTURE_TAIL + 8, 8, 1 << 20);
    check_cut(4 * 1024 * 1024, 4 * 1024 * 1024, 1 << 20);
}

/* The disk takes no more: the command does not end for that, and the record says what is missing and why. */
static void test_full_disk(void)
{
    capture c;
    capture_init(&c, rootfd, "out", 1 << 20);
    os_fault_set(OS_OP_WRITE, 1, ENOSPC, true);
    feed(&c, 2 << 20, 65536);
    os_fault_set(OS_OP_WRITE, 0, 0, false);
    CHECK(!capture_in_file(&c) && c.is_truncated);
    CHECK(c.head.size < CAPTURE_MEMORY + CAPTURE_TAIL + 1024);
    CHECK(memmem(c.head.data, c.head.size, "No space left", 13) != NULL);
    CHECK(memcmp(c.head.data + c.head.size - 8, "0262143\n", 8) == 0);
    capture_deinit(&c);
}

/* A file that somebody else wrote is cut once: looked at again, it stays. */
static void test_trim(void)
{
    capture c;
    weir_error err = {0};
    os_stat st, again;
    capture_init(&c, rootfd, "out", SIZE_MAX);
    feed(&c, 3 << 20, 65536);
    CHECK_OK(capture_trim(c.fd, "out", 1 << 20, &err), err);
    CHECK_OK(os_fstat(c.fd, &st, &err), err);
    CHECK(st.size > 1 << 20 && st.size < (1 << 20) + CAPTURE_TAIL + 1024);
    CHECK_OK(capture_trim(c.fd, "out", 1 << 20, &err), err);
    CHECK_OK(os_fstat(c.fd, &again, &err), err);
    CHECK_INT(st.size, again.size);
    bytes got = recorded(&c);
    CHECK(memcmp(got.data + got.size - 8, "0393215\n", 8) == 0);
    capture_deinit(&c);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    test_whole();
    test_cut();
    test_full_disk();
    test_trim();
    close(rootfd);
    return check_done();
}
