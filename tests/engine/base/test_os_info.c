/*
 * test_os_info.c - time, random bytes, identity, and threads.
 */
#include <signal.h>

#include "engine/base/os.h"
#include "tests/check.h"

static weir_error err;

static void test_time(void)
{
    int64_t wall = os_wall_us();
    CHECK(wall > INT64_C(1700000000000000));
    int64_t before = os_monotonic_ns();
    usleep(2000);
    CHECK(os_monotonic_ns() - before >= 2000000);
}

static void test_random(void)
{
    unsigned char a[600] = {0};
    unsigned char b[600] = {0};
    CHECK_OK(os_random(a, sizeof a, &err), err);
    CHECK_OK(os_random(b, sizeof b, &err), err);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_OK(os_random(a, 0, &err), err);
}

static void test_identity(void)
{
    char first[40];
    char second[40];
    os_boot_id(first);
    os_boot_id(second);
    CHECK_STR(first, second);
    CHECK(strlen(first) == 36 || first[0] == '\0');
    uint64_t start = os_process_start(getpid());
    CHECK(start > 0);
    CHECK(start == os_process_start(getpid()));
    CHECK_INT(0, os_process_start(0));
    CHECK_INT(0, os_process_start(-1));
    CHECK_INT(0, os_process_start(INT32_MAX));
    CHECK(os_cpu_count() >= 1);
    CHECK(os_peak_memory() > 100000);
}

static void test_filesystem(void)
{
    char name[16];
    bool is_network = true;
    os_filesystem("/proc", name, &is_network);
    CHECK(name[0] != '\0');
    CHECK(!is_network);
    os_filesystem("/does/not/exist", name, &is_network);
    CHECK_STR("", name);
    CHECK(!is_network);
    os_filesystem(check_scratch(), name, &is_network);
    CHECK(strlen(name) > 2);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

typedef struct shared {
    os_mutex *mutex;
    os_cond *changed;
    int count;         /* under mutex */
    bool takes_signal; /* under mutex */
} shared;

static void count_up(void *ctx)
{
    shared *s = ctx;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int i = 0; i < 1000; i++) {
        os_mutex_lock(s->mutex);
        s->count++;
        if (!sigismember(&blocked, SIGCHLD)) s->takes_signal = true;
        os_cond_signal(s->changed);
        os_mutex_unlock(s->mutex);
    }
}

static void test_threads(void)
{
    shared s = {.mutex = os_mutex_new(), .changed = os_cond_new()};
    os_thread *threads[4];
    for (int i = 0; i < 4; i++) CHECK_OK(os_thread_start(&threads[i], count_up, &s, &err), err);
    os_mutex_lock(s.mutex);
    while (s.count < 4000) os_cond_wait(s.changed, s.mutex);
    CHECK_INT(4000, s.count);
    CHECK(!s.takes_signal);
    os_mutex_unlock(s.mutex);
    for (int i = 0; i < 4; i++) os_thread_join(threads[i]);
    os_thread_join(NULL);
    os_cond_free(s.changed);
    os_mutex_free(s.mutex);
    os_cond_free(NULL);
    os_mutex_free(NULL);
}

static void test_without_memory(void)
{
    os_thread *thread;
    mem_fail_at(1, true);
    CHECK(os_mutex_new() == NULL);
    CHECK(os_cond_new() == NULL);
    CHECK_CODE(WEIR_NOMEM, os_thread_start(&thread, count_up, NULL, &err), err);
    mem_fail_at(0, false);
}

int main(void)
{
    test_time();
    test_random();
    test_identity();
    test_filesystem();
    test_threads();
    test_without_memory();
    return check_done();
}
