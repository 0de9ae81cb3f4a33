/*
 * test_os_fault.c - injected faults reach the caller as errors that name operation, path and cause; kill points kill.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "engine/base/os.h"
#include "tests/check.h"

static weir_error err;
static int dir;

static void test_countdown(void)
{
    os_fault_set(OS_OP_SPAWN, 3, EAGAIN, false);
    CHECK_INT(0, os_fault_check(OS_OP_SPAWN));
    CHECK_INT(0, os_fault_check(OS_OP_SPAWN));
    CHECK_INT(EAGAIN, os_fault_check(OS_OP_SPAWN));
    CHECK_INT(0, os_fault_check(OS_OP_SPAWN));

    os_fault_set(OS_OP_SPAWN, 2, ENOMEM, true);
    CHECK_INT(0, os_fault_check(OS_OP_SPAWN));
    for (int i = 0; i < 5; i++) CHECK_INT(ENOMEM, os_fault_check(OS_OP_SPAWN));
    os_fault_set(OS_OP_SPAWN, 0, 0, false);
    CHECK_INT(0, os_fault_check(OS_OP_SPAWN));
}

static void test_count(void)
{
    uint64_t before = os_count(OS_OP_STAT);
    os_stat st;
    for (int i = 0; i < 7; i++) os_statat(dir, "x", true, &st, &err);
    CHECK_INT(7, os_count(OS_OP_STAT) - before);
}

/* --- each call under its fault ---------------------------------------------------------------------------------- */

static int do_open(void)
{
    return os_openat(dir, "f", OS_READ, 0, &err);
}
static int do_stat(void)
{
    os_stat st;
    return os_statat(dir, "f", true, &st, &err);
}
static int do_read(void)
{
    buf b;
    buf_init(&b);
    int rc = os_read_file(dir, "f", 100, &b, &err);
    CHECK_INT(0, b.size);
    buf_deinit(&b);
    return rc;
}
static int do_write(void)
{
    return os_write_file(dir, "g", bytes_str("x"), 0600, &err);
}
static int do_copy(void)
{
    int from = os_openat(dir, "f", OS_READ, 0, NULL);
    int to = os_openat(dir, "g", OS_WRITE | OS_CREATE, 0600, NULL);
    int rc = os_copy_fd(from, to, "f", &err);
    os_close(from);
    os_close(to);
    return rc;
}
static int do_fsync(void)
{
    return os_fsync(dir, "f", &err);
}
static int do_rename(void)
{
    return os_renameat(dir, "f", dir, "h", &err);
}
static int do_unlink(void)
{
    return os_unlinkat(dir, "f", &err);
}
static int do_rmdir(void)
{
    bool removed = true;
    int rc = os_rmdirat(dir, "f", &removed, &err);
    CHECK(!removed);
    return rc;
}
static int do_mkdir(void)
{
    return os_mkdirat(dir, "f", 0755, &err);
}
static int do_parents(void)
{
    return os_make_parents(dir, "f2/x", NULL, NULL, &err);
}
static int do_list(void)
{
    mem_arena arena;
    os_entry *entries;
    size_t count;
    arena_init(&arena);
    int rc = os_list(dir, "f", &arena, &entries, &count, &err);
    arena_deinit(&arena);
    return rc;
}
static int do_chmod(void)
{
    return os_chmodat(dir, "f", 0600, &err);
}
static int do_symlink(void)
{
    return os_symlinkat("f", dir, "l", &err);
}
static int do_readlink(void)
{
    buf b;
    buf_init(&b);
    int rc = os_readlinkat(dir, "f", &b, &err);
    buf_deinit(&b);
    return rc;
}
static int do_random(void)
{
    char space[4];
    return os_random(space, sizeof space, &err);
}
static void no_body(void *ctx)
{
    (void)ctx;
}
static int do_thread(void)
{
    os_thread *thread;
    int rc = os_thread_start(&thread, no_body, NULL, &err);
    CHECK(thread == NULL);
    return rc;
}

static void test_each_call(void)
{
    static const struct {
        os_op op;
        int (*call)(void);
        const char *message;
    } cases[] = {
        {OS_OP_OPEN, do_open, "cannot open f: Input/output error"},
        {OS_OP_OPEN, do_read, "cannot open f: Input/output error"},
        {OS_OP_OPEN, do_write, "cannot open g: Input/output error"},
        {OS_OP_STAT, do_stat, "cannot stat f: Input/output error"},
        {OS_OP_READ, do_read, "cannot read f: Input/output error"},
        {OS_OP_READ, do_copy, "cannot copy f: Input/output error"},
        {OS_OP_WRITE, do_write, "cannot write g: Input/output error"},
        {OS_OP_WRITE, do_copy, "cannot copy f: Input/output error"},
        {OS_OP_FSYNC, do_fsync, "cannot sync f: Input/output error"},
        {OS_OP_RENAME, do_rename, "cannot rename f to h: Input/output error"},
        {OS_OP_UNLINK, do_unlink, "cannot remove f: Input/output error"},
        {OS_OP_UNLINK, do_rmdir, "cannot remove the folder f: Input/output error"},
        {OS_OP_MKDIR, do_mkdir, "cannot make the folder f: Input/output error"},
        {OS_OP_MKDIR, do_parents, "cannot make the folder f2: Input/output error"},
        {OS_OP_LIST, do_list, "cannot list f: Input/output error"},
        {OS_OP_CHMOD, do_chmod, "cannot change the mode of f: Input/output error"},
        {OS_OP_LINK, do_symlink, "cannot make the link l: Input/output error"},
        {OS_OP_LINK, do_readlink, "cannot read the link f: Input/output error"},
        {OS_OP_RANDOM, do_random, "cannot read random bytes: Input/output error"},
        {OS_OP_SPAWN, do_thread, "cannot start a thread: Input/output error"},
    };
    CHECK_OK(os_write_file(dir, "f", bytes_str("content"), 0600, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error_clear(&err);
        os_fault_set(cases[i].op, 1, EIO, false);
        CHECK_INT(WEIR_IO, cases[i].call());
        CHECK_STR(cases[i].message, err.message);
        CHECK_INT(WEIR_IO, err.code);
        os_fault_set(cases[i].op, 0, 0, false);
    }
}

static void test_full_disk_in_the_middle(void)
{
    os_fault_set(OS_OP_WRITE, 1, ENOSPC, false);
    CHECK_CODE(WEIR_IO, do_write(), err);
    CHECK_STR("cannot write g: No space left on device", err.message);
    os_fault_set(OS_OP_WRITE, 0, 0, false);
    CHECK_OK(do_write(), err);
}

/* --- kill points ------------------------------------------------------------------------------------------------ */

/* Passes the points "one" and "two" three times; the status of the child that did. */
static int passes(const char *kill_at)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (kill_at) setenv("WEIR_KILL_AT", kill_at, 1);
        else unsetenv("WEIR_KILL_AT");
        for (int i = 0; i < 3; i++) {
            os_kill_point("one");
            if (i == 2) _exit(40); /* before the third "two" */
            os_kill_point("two");
        }
        _exit(0);
    }
    int status = 0;
    CHECK_INT(child, waitpid(child, &status, 0));
    return status;
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_kill_points(void)
{
    CHECK_INT(40, WEXITSTATUS(passes(NULL)));
    CHECK(was_killed(passes("one")));
    CHECK(was_killed(passes("one:1")));
    CHECK(was_killed(passes("one:3")));
    CHECK(was_killed(passes("two:2")));
    CHECK_INT(40, WEXITSTATUS(passes("two:3")));
    CHECK_INT(40, WEXITSTATUS(passes("other")));
    CHECK_INT(40, WEXITSTATUS(passes("")));
}

int main(void)
{
    dir = os_openat(AT_FDCWD, check_scratch(), OS_READ | OS_FOLDER, 0, &err);
    CHECK_OR_STOP(dir >= 0);
    test_countdown();
    test_count();
    test_each_call();
    test_full_disk_in_the_middle();
    test_kill_points();
    os_close(dir);
    return check_done();
}
