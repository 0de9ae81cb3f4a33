/*
 * check.h - what a C test needs: checks that say what was expected and what came, and a scratch folder.
 *
 *     int main(void)
 *     {
 *         const char *dir = check_scratch();
 *         CHECK_INT(3, 1 + 2);
 *         return check_done();
 *     }
 *
 * A failed check is printed with its place and counted; the test goes on. CHECK_OR_STOP ends it where going on makes
 * no sense. All of them give true when the check held. Needs libc only. Checks may run in any thread.
 */
#ifndef WEIR_TESTS_CHECK_H
#define WEIR_TESTS_CHECK_H

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition) check_true((condition), #condition, __FILE__, __LINE__)
#define CHECK_INT(expected, got)                                                                   \
    check_int((int64_t)(expected), (int64_t)(got), #got, __FILE__, __LINE__)
#define CHECK_STR(expected, got) check_str((expected), (got), #got, __FILE__, __LINE__)
#define CHECK_BYTES(expected, expected_size, got, got_size)                                        \
    check_bytes((expected), (expected_size), (got), (got_size), #got, __FILE__, __LINE__)
/** For hash128 and other plain structs without padding: compares their bytes. */
#define CHECK_HASH(expected, got)                                                                  \
    check_bytes(&(expected), sizeof(expected), &(got), sizeof(got), #got, __FILE__, __LINE__)
/** A call that gives 0 or a code and fills a weir_error: prints its message. */
#define CHECK_OK(call, err) check_code(0, (int64_t)(call), (err).message, #call, __FILE__, __LINE__)
#define CHECK_CODE(code, call, err)                                                                \
    check_code((code), (int64_t)(call), (err).message, #call, __FILE__, __LINE__)
/** For a place that must not be reached. */
#define CHECK_NEVER(what) check_true(false, what, __FILE__, __LINE__)
/** `got` contains `part`. */
#define CHECK_HAS(part, got) check_has((part), (got), #got, __FILE__, __LINE__)
#define CHECK_OR_STOP(condition)                                                                   \
    do {                                                                                           \
        if (!CHECK(condition)) exit(check_done());                                                 \
    } while (0)

static atomic_int check_count;
static atomic_int check_failures;
static char check_scratch_path[256];

static inline bool check_result(bool held)
{
    atomic_fetch_add(&check_count, 1);
    if (!held) atomic_fetch_add(&check_failures, 1);
    return held;
}

static inline bool check_true(bool held, const char *what, const char *file, int line)
{
    if (!held) fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    return check_result(held);
}

static inline bool check_int(int64_t expected, int64_t got, const char *what, const char *file,
                             int line)
{
    if (expected != got)
        fprintf(stderr, "%s:%d: %s\n  expected %" PRId64 "\n  got      %" PRId64 "\n", file, line,
                what, expected, got);
    return check_result(expected == got);
}

static inline bool check_code(int64_t expected, int64_t got, const char *message, const char *what,
                              const char *file, int line)
{
    if (expected != got)
        fprintf(stderr, "%s:%d: %s\n  expected %" PRId64 "\n  got      %" PRId64 " (%s)\n", file,
                line, what, expected, got, message);
    return check_result(expected == got);
}

static inline bool check_str(const char *expected, const char *got, const char *what,
                             const char *file, int line)
{
    bool held = expected && got ? strcmp(expected, got) == 0 : expected == got;
    if (!held)
        fprintf(stderr, "%s:%d: %s\n  expected \"%s\"\n  got      \"%s\"\n", file, line, what,
                expected ? expected : "(null)", got ? got : "(null)");
    return check_result(held);
}

static inline bool check_has(const char *part, const char *got, const char *what, const char *file,
                             int line)
{
    bool held = got && strstr(got, part) != NULL;
    if (!held)
        fprintf(stderr, "%s:%d: %s\n  expected to contain \"%s\"\n  got      \"%s\"\n", file, line,
                what, part, got ? got : "(null)");
    return check_result(held);
}

static inline void check_print_bytes(const char *label, const unsigned char *data, size_t size)
{
    fprintf(stderr, "  %s %zu bytes:", label, size);
    for (size_t i = 0; i < size && i < 48; i++) fprintf(stderr, " %02x", data[i]);
    fprintf(stderr, "%s\n", size > 48 ? " ..." : "");
}

static inline bool check_bytes(const void *expected, size_t expected_size, const void *got,
                               size_t got_size, const char *what, const char *file, int line)
{
    bool held =
        expected_size == got_size && (got_size == 0 || memcmp(expected, got, got_size) == 0);
    if (!held) {
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
        check_print_bytes("expected", expected, expected_size);
        check_print_bytes("got     ", got, got_size);
    }
    return check_result(held);
}

/* Removes a file or a tree; folders that forbid it are opened first. */
static inline void check_remove(int dirfd, const char *name)
{
    if (unlinkat(dirfd, name, 0) == 0) return;
    (void)fchmodat(dirfd, name, 0700, 0);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            check_remove(fd, entry->d_name);
    closedir(dir);
    (void)unlinkat(dirfd, name, AT_REMOVEDIR);
}

/** An empty folder of this test, made at the first call: below TMPDIR, else /dev/shm, else /tmp. Removed by check_done. */
static inline const char *check_scratch(void)
{
    if (check_scratch_path[0]) return check_scratch_path;
    const char *base = getenv("TMPDIR");
    if (!base || !*base) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(check_scratch_path, sizeof check_scratch_path, "%.200s/weir-test-XXXXXX", base);
    if (!mkdtemp(check_scratch_path)) {
        perror(check_scratch_path);
        exit(99);
    }
    return check_scratch_path;
}

/** "<scratch>/<name>"; one of eight buffers that are used in turn. */
static inline const char *check_path(const char *name)
{
    static _Thread_local char paths[8][512];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", check_scratch(), name);
    return path;
}

/** Make a file with this text; path as given. */
static inline void check_write(const char *path, const char *text)
{
    FILE *out = fopen(path, "wb");
    if (!out || fputs(text, out) < 0 || fclose(out) != 0) {
        perror(path);
        exit(99);
    }
}

/** Removes the scratch folder, prints the count; the exit code of the test. */
static inline int check_done(void)
{
    if (check_scratch_path[0]) check_remove(AT_FDCWD, check_scratch_path);
    int failures = atomic_load(&check_failures);
    fprintf(stderr, "%d checks, %d failed\n", atomic_load(&check_count), failures);
    return failures == 0 ? 0 : 1;
}

#endif
