/*
 * single.h - one thread, one clock: what makes a simulated run repeat exactly.
 *
 * Stands in for engine/base/os_thread.c: a thread is a fiber of the main one and runs until it waits, when the main thread waits for it
 * or when fake_tick takes its turn. uv_queue_work does its work in a later tick. So the order of everything follows the seed.
 *
 * Time stands still: what the engine asks about time and what it sees of files is led through a map of intervals. Everything
 * written or asked within one interval has one and the same time; single_later begins the next one, a second away. How long something took is
 * made up: each question finds that a bit more has passed, mostly little, and the same in each repetition.
 *
 * Linked first, these definitions win over the archives; tests.cmake wraps clock_gettime, fstatat and fstat (--wrap).
 */
#ifndef WEIR_TESTS_SIM_SINGLE_H
#define WEIR_TESTS_SIM_SINGLE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <uv.h>

#include "engine/base/os.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

static uint64_t fake_random(void);

/* --- fibers -------------------------------------------------------------------------------------------------------- */

enum { FIBERS = 128, FIBER_STACK = 1 << 20 };

struct os_cond {
    int unused;
};
struct os_mutex {
    int unused;
};
struct os_thread {
    ucontext_t at;
    void (*body)(void *ctx);
    void *ctx, *stack;
    os_cond *waits; /* NULL: it can go on */
    bool done;
#if defined(__SANITIZE_THREAD__)
    void *tsan;
#endif
};

static struct single {
    os_thread *all[FIBERS];
    int count;
    os_thread *now; /* NULL: the main thread */
    ucontext_t main;
    void *spare[4]; /* stacks */
    int spares;
    const void *main_stack;
    size_t main_size;
    void *tsan;
} single;

static void fiber_leave(os_thread *f)
{
    single.now = NULL;
#if defined(__SANITIZE_ADDRESS__)
    void *keep = NULL;
    __sanitizer_start_switch_fiber(f->done ? NULL : &keep, single.main_stack, single.main_size);
    swapcontext(&f->at, &single.main);
    __sanitizer_finish_switch_fiber(keep, &single.main_stack, &single.main_size);
#elif defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(single.tsan, 0);
    swapcontext(&f->at, &single.main);
#else
    swapcontext(&f->at, &single.main);
#endif
}

static void fiber_main(void)
{
    os_thread *f = single.now;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &single.main_stack, &single.main_size);
#endif
    f->body(f->ctx);
    f->done = true;
    fiber_leave(f);
}

/* The main thread lets it go on until it waits or ends. */
static void fiber_enter(os_thread *f)
{
    single.now = f;
#if defined(__SANITIZE_ADDRESS__)
    void *keep = NULL;
    __sanitizer_start_switch_fiber(&keep, f->stack, FIBER_STACK);
    swapcontext(&single.main, &f->at);
    __sanitizer_finish_switch_fiber(keep, NULL, NULL);
#elif defined(__SANITIZE_THREAD__)
    single.tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
    swapcontext(&single.main, &f->at);
#else
    swapcontext(&single.main, &f->at);
#endif
}

/** Let one fiber that can go on do so; false: there is none. */
static bool single_tick(void)
{
    os_thread *ready[FIBERS];
    uint64_t count = 0;
    for (int i = 0; i < single.count; i++)
        if (!single.all[i]->waits && !single.all[i]->done) ready[count++] = single.all[i];
    if (count == 0) return false;
    fiber_enter(ready[count > 1 ? fake_random() % count : 0]);
    return true;
}

int os_thread_start(os_thread **out, void (*body)(void *ctx), void *ctx, weir_error *err)
{
    (void)err;
    os_thread *f = calloc(1, sizeof *f);
    f->stack = single.spares ? single.spare[--single.spares]
                             : mmap(NULL, FIBER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f->stack == MAP_FAILED || single.count == FIBERS) abort();
    f->body = body;
    f->ctx = ctx;
    getcontext(&f->at);
    f->at.uc_stack.ss_sp = f->stack;
    f->at.uc_stack.ss_size = FIBER_STACK;
    makecontext(&f->at, fiber_main, 0);
#if defined(__SANITIZE_THREAD__)
    f->tsan = __tsan_create_fiber(0);
#endif
    single.all[single.count++] = f;
    *out = f;
    return 0;
}

void os_thread_join(os_thread *f)
{
    if (!f) return;
    while (!f->done)
        if (!single_tick()) abort(); /* all wait */
    for (int i = 0; i < single.count; i++)
        if (single.all[i] == f) single.all[i--] = single.all[--single.count];
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(f->tsan);
#endif
    if (single.spares < 4) single.spare[single.spares++] = f->stack;
    else munmap(f->stack, FIBER_STACK);
    free(f);
}

os_mutex *os_mutex_new(void)
{
    return calloc(1, sizeof(os_mutex));
}

void os_mutex_free(os_mutex *m)
{
    free(m);
}

void os_mutex_lock(os_mutex *m)
{
    (void)m;
}

void os_mutex_unlock(os_mutex *m)
{
    (void)m;
}

os_cond *os_cond_new(void)
{
    return calloc(1, sizeof(os_cond));
}

void os_cond_free(os_cond *c)
{
    free(c);
}

void os_cond_wait(os_cond *c, os_mutex *m)
{
    (void)m;
    os_thread *f = single.now;
    if (!f) {
        if (!single_tick()) abort(); /* nobody is left to signal */
        return;
    }
    f->waits = c;
    fiber_leave(f);
}

void os_cond_signal(os_cond *c)
{
    for (int i = 0; i < single.count; i++)
        if (single.all[i]->waits == c) single.all[i]->waits = NULL;
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __real_fstatat(int dir, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

enum { INTERVALS = 1024 };
static struct single_time {
    int64_t real_ns[INTERVALS], told_ns[INTERVALS];
    int count;
} *single_time; /* shared with forked children */

static int64_t whole_ns(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void lead(struct timespec *t)
{
    const struct single_time *s = single_time;
    int64_t real = whole_ns(t), told;
    if (!s || s->count == 0) return;
    int k = s->count - 1;
    while (k >= 0 && real < s->real_ns[k]) k--;
    if (k < 0) told = real - 3600LL * 1000000000;
    else told = s->told_ns[k];
    t->tv_sec = (time_t)(told / 1000000000);
    t->tv_nsec = (long)(told % 1000000000);
}

static int64_t coarse_ns(void)
{
    struct timespec now;
    __real_clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return whole_ns(&now);
}

/** A second passes. Waits for the next tick of the file system's clock, so that no stamp belongs to two intervals. */
static void single_later(void)
{
    struct single_time *s = single_time;
    if (!s) {
        s = single_time = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (s == MAP_FAILED) abort();
    }
    int64_t before = coarse_ns(), now;
    while ((now = coarse_ns()) == before) usleep(200);
    if (s->count == INTERVALS) return;
    s->real_ns[s->count] = now;
    s->told_ns[s->count] = s->count ? s->told_ns[s->count - 1] + 1000000000 : 1700000000LL * 1000000000 + 123456789; /* stamps of full seconds would be coarse ones (scan.c) */
    s->count++;
}

static uint64_t single_passed_ns; /* since the project began */

/** A new project. */
static void single_begin(void)
{
    single_passed_ns = 1;
    if (single_time) single_time->count = 0;
    single_later();
}

/** Is a told time of the interval that runs now? */
static bool single_is_now(const struct timespec *told)
{
    return whole_ns(told) >= single_time->told_ns[single_time->count - 1];
}

/* From a microsecond to 33 milliseconds. */
static void pass(struct timespec *t)
{
    uint64_t mixed = single_passed_ns * 0x9e3779b97f4a7c15ULL;
    single_passed_ns += 1000ULL << ((mixed >> 32) % 4 == 0 ? mixed >> 40 & 15 : mixed >> 40 & 7);
    t->tv_sec = (time_t)(1000 + single_passed_ns / 1000000000);
    t->tv_nsec = (long)(single_passed_ns % 1000000000);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    if (clock == CLOCK_MONOTONIC) {
        pass(t);
        return 0;
    }
    int rc = __real_clock_gettime(clock, t);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) lead(t);
    return rc;
}

static int lead_stat(int rc, struct stat *st)
{
    if (rc != 0) return rc;
    lead(&st->st_mtim);
    lead(&st->st_ctim);
    return 0;
}

int __wrap_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    return lead_stat(__real_fstatat(dir, path, st, flags), st);
}

int __wrap_fstat(int fd, struct stat *st)
{
    return lead_stat(__real_fstat(fd, st), st);
}

#endif
