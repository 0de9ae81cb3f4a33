/*
 * test_os.c - files: what each call does, and what it says when the system refuses.
 */
#include <signal.h>
#include <sys/time.h>

#include "engine/base/os.h"
#include "tests/check.h"

static weir_error err;

static int open_scratch(void)
{
    int fd = os_openat(AT_FDCWD, check_scratch(), OS_READ | OS_FOLDER, 0, &err);
    CHECK_OR_STOP(fd >= 0);
    return fd;
}

static void check_content(int dir, const char *path, const char *expected)
{
    buf b;
    buf_init(&b);
    CHECK_OK(os_read_file(dir, path, 1 << 20, &b, &err), err);
    CHECK_STR(expected, buf_cstr(&b));
    buf_deinit(&b);
}

static void test_open(int dir)
{
    CHECK_CODE(WEIR_NOTFOUND, os_openat(dir, "none", OS_READ, 0, &err), err);
    CHECK_INT(WEIR_NOTFOUND, err.code);
    CHECK_STR("cannot open none: No such file or directory", err.message);
    int fd = os_openat(dir, "new", OS_WRITE | OS_CREATE | OS_EXCL, 0640, &err);
    CHECK_OR_STOP(fd >= 0);
    CHECK_INT(FD_CLOEXEC, fcntl(fd, F_GETFD));
    CHECK_OK(os_write_all(fd, "12345", 5, "new", &err), err);
    CHECK_OK(os_fsync(fd, "new", &err), err);
    os_close(fd);
    os_close(-1);
    CHECK_CODE(WEIR_IO, os_openat(dir, "new", OS_WRITE | OS_CREATE | OS_EXCL, 0640, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, os_openat(dir, "new/below", OS_READ, 0, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, os_openat(dir, "new", OS_READ | OS_FOLDER, 0, &err), err);

    fd = os_openat(dir, "new", OS_READ | OS_WRITE | OS_APPEND, 0, &err);
    CHECK_OK(os_write_all(fd, "67", 2, "new", &err), err);
    os_close(fd);
    check_content(dir, "new", "1234567");
    fd = os_openat(dir, "new", OS_WRITE | OS_TRUNC, 0, &err);
    os_close(fd);
    check_content(dir, "new", "");
}

static void test_stat(int dir)
{
    os_stat st;
    CHECK_OK(os_statat(dir, "none", true, &st, &err), err);
    CHECK_INT(OS_ABSENT, st.type);
    CHECK_OK(os_write_file(dir, "s", bytes_str("hello"), 0600, &err), err);
    CHECK_OK(os_chmodat(dir, "s", 0751, &err), err);
    CHECK_OK(os_statat(dir, "s", false, &st, &err), err);
    CHECK_INT(OS_FILE, st.type);
    CHECK_INT(0751, st.mode);
    CHECK_INT(5, st.size);
    CHECK_INT(1, st.nlink);
    CHECK(st.ino != 0 && st.mtime_ns > INT64_C(1500000000000000000));
    CHECK_OK(os_statat(dir, "s/below", false, &st, &err), err);
    CHECK_INT(OS_ABSENT, st.type);

    CHECK_OK(os_symlinkat("s", dir, "link", &err), err);
    CHECK_OK(os_symlinkat("nowhere", dir, "dangling", &err), err);
    CHECK_OK(os_symlinkat("loop", dir, "loop", &err), err);
    CHECK_OK(os_statat(dir, "link", false, &st, &err), err);
    CHECK_INT(OS_LINK, st.type);
    CHECK_OK(os_statat(dir, "link", true, &st, &err), err);
    CHECK_INT(OS_FILE, st.type);
    CHECK_OK(os_statat(dir, "dangling", true, &st, &err), err);
    CHECK_INT(OS_ABSENT, st.type);
    CHECK_OK(os_statat(dir, "loop", true, &st, &err), err);
    CHECK_INT(OS_ABSENT, st.type);
    CHECK_CODE(WEIR_IO, os_openat(dir, "link", OS_READ | OS_NOFOLLOW, 0, &err), err);

    os_stat by_fd;
    int fd = os_openat(dir, "s", OS_READ, 0, &err);
    CHECK_OK(os_fstat(fd, &by_fd, &err), err);
    CHECK_OK(os_statat(dir, "s", true, &st, &err), err);
    CHECK_INT(st.ino, by_fd.ino);
    CHECK_INT(st.ctime_ns, by_fd.ctime_ns);
    os_close(fd);
    CHECK_CODE(WEIR_IO, os_fstat(-1, &by_fd, &err), err);
}

/* Times that do not fit into 64 bits of nanoseconds are cut, not wrapped. */
static void test_times_far_away(int dir)
{
    os_stat st;
    CHECK_OK(os_write_file(dir, "far", bytes_str(""), 0600, &err), err);
    struct timespec times[2] = {{.tv_sec = 15000000000}, {.tv_sec = 15000000000}};
    if (utimensat(dir, "far", times, 0) != 0) return;
    CHECK_OK(os_statat(dir, "far", true, &st, &err), err);
    CHECK(st.mtime_ns > INT64_C(4000000000000000000));
    times[0].tv_sec = times[1].tv_sec = -5;
    if (utimensat(dir, "far", times, 0) != 0) return;
    CHECK_OK(os_statat(dir, "far", true, &st, &err), err);
    CHECK_INT(-5000000000, st.mtime_ns);
}

static void test_read_file(int dir)
{
    buf b;
    buf_init(&b);
    CHECK_OK(os_write_file(dir, "r", bytes_str("0123456789"), 0600, &err), err);
    buf_text(&b, "before:");
    CHECK_OK(os_read_file(dir, "r", 10, &b, &err), err);
    CHECK_STR("before:0123456789", buf_cstr(&b));
    CHECK_CODE(WEIR_LIMIT, os_read_file(dir, "r", 9, &b, &err), err);
    CHECK_STR("r is larger than 9 bytes", err.message);
    CHECK_STR("before:0123456789", buf_cstr(&b));
    CHECK_CODE(WEIR_LIMIT, os_read_file(dir, "r", 0, &b, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, os_read_file(dir, "none", 10, &b, &err), err);
    CHECK_CODE(WEIR_IO, os_read_file(dir, ".", 10, &b, &err), err);
    CHECK_HAS("Is a directory", err.message);
    CHECK_INT(0, mkfifo(check_path("fifo"), 0600));
    CHECK_CODE(WEIR_IO, os_read_file(dir, "fifo", 10, &b, &err),
               err); /* and does not wait for a writer */
    CHECK_HAS("no regular file", err.message);
    buf_clear(&b);
    CHECK_OK(os_read_file(AT_FDCWD, "/proc/self/stat", SIZE_MAX, &b, &err), err); /* tells size 0 */
    CHECK(b.size > 10);
    buf_deinit(&b);
}

static void test_large_file_and_copy(int dir)
{
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    uint8_t *data = mem_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) data[i] = (uint8_t)(i * 7 + i / 253);
    CHECK_OK(os_write_file(dir, "large", bytes_of(data, SIZE), 0600, &err), err);
    int from = os_openat(dir, "large", OS_READ, 0, &err);
    int to = os_openat(dir, "copy", OS_READ | OS_WRITE | OS_CREATE, 0600, &err);
    CHECK_OK(os_copy_fd(from, to, "large", &err), err);
    buf b;
    buf_init(&b);
    CHECK_OK(os_read_file(dir, "copy", SIZE, &b, &err), err);
    CHECK_BYTES(data, SIZE, b.data, b.size);
    buf_deinit(&b);
    os_close(to);

    CHECK_INT(SIZE - 5, lseek(from, SIZE - 5, SEEK_SET)); /* starts at the offsets */
    to =
        os_openat(dir, "copy", OS_WRITE | OS_APPEND, 0, &err); /* which the kernel's copy refuses */
    CHECK_OK(os_copy_fd(from, to, "large", &err), err);
    os_stat st;
    CHECK_OK(os_fstat(to, &st, &err), err);
    CHECK_INT(SIZE + 5, st.size);
    os_close(to);
    os_close(from);
    mem_free(data);
}

static void test_copy_from_proc(int dir)
{
    int from = os_openat(AT_FDCWD, "/proc/self/stat", OS_READ, 0, &err);
    int to = os_openat(dir, "proc", OS_WRITE | OS_CREATE, 0600, &err);
    CHECK_OK(os_copy_fd(from, to, "proc", &err), err);
    os_stat st;
    CHECK_OK(os_fstat(to, &st, &err), err);
    CHECK(st.size > 10);
    os_close(to);
    os_close(from);
}

static void test_rename_and_remove(int dir)
{
    CHECK_OK(os_write_file(dir, "a", bytes_str("A"), 0600, &err), err);
    CHECK_OK(os_renameat(dir, "a", dir, "b", &err), err);
    check_content(dir, "b", "A");
    CHECK_CODE(WEIR_NOTFOUND, os_renameat(dir, "a", dir, "c", &err), err);
    CHECK_STR("cannot rename a to c: No such file or directory", err.message);
    CHECK_OK(os_unlinkat(dir, "b", &err), err);
    CHECK_OK(os_unlinkat(dir, "b", &err), err);
    CHECK_OK(os_mkdirat(dir, "folder", 0755, &err), err);
    CHECK(os_unlinkat(dir, "folder", &err) != 0);
}

static void test_links(int dir)
{
    static char target[3000];
    memset(target, 't', sizeof target - 1);
    buf b;
    buf_init(&b);
    CHECK_OK(os_symlinkat(target, dir, "long", &err), err);
    CHECK_OK(os_readlinkat(dir, "long", &b, &err), err);
    CHECK_STR(target, buf_cstr(&b));
    buf_deinit(&b);
    CHECK(os_readlinkat(dir, ".", &b, &err) != 0);
    CHECK_CODE(WEIR_NOTFOUND, os_readlinkat(dir, "none", &b, &err), err);
    buf_deinit(&b);

    char *path = NULL;
    CHECK_OK(os_write_file(dir, "s", bytes_str("x"), 0600, &err), err);
    CHECK_OK(os_realpath(check_path("link"), &path, &err), err);
    CHECK_HAS("/s", path);
    mem_free(path);
    CHECK_CODE(WEIR_NOTFOUND, os_realpath(check_path("none"), &path, &err), err);
    CHECK(path == NULL);
}

static void test_lock(int dir)
{
    int first = os_openat(dir, "lock", OS_READ | OS_WRITE | OS_CREATE, 0600, &err);
    int second = os_openat(dir, "lock", OS_READ | OS_WRITE | OS_CREATE, 0600, &err);
    CHECK_OK(os_lock(first, "lock", &err), err);
    CHECK_OK(os_lock(first, "lock", &err), err);
    CHECK_CODE(WEIR_LOCKED, os_lock(second, "lock", &err), err);
    os_close(first);
    CHECK_OK(os_lock(second, "lock", &err), err);
    os_close(second);
    CHECK_CODE(WEIR_IO, os_lock(-1, "lock", &err), err);
}

/* A reader that is interrupted by signals all the time still gets everything. */
static void on_alarm(int signal)
{
    (void)signal;
}

static void test_interrupted_read(void)
{
    int ends[2];
    CHECK_OR_STOP(pipe(ends) == 0);
    struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    pid_t child = fork();
    if (child == 0) {
        usleep(30000);
        _exit(write(ends[1], "late", 4) == 4 ? 0 : 1);
    }
    struct itimerval often = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &often, NULL);
    char text[8];
    CHECK_INT(4, os_read(ends[0], text, sizeof text, "pipe", &err));
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    os_close(ends[0]);
    os_close(ends[1]);
}

int main(void)
{
    int dir = open_scratch();
    test_open(dir);
    test_stat(dir);
    test_times_far_away(dir);
    test_read_file(dir);
    test_large_file_and_copy(dir);
    test_copy_from_proc(dir);
    test_rename_and_remove(dir);
    test_links(dir);
    test_lock(dir);
    test_interrupted_read();
    os_close(dir);
    return check_done();
}
