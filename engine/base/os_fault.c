/*
 * os_fault.c - where tests make the operating system fail, and where crash tests end the process.
 *
 * Every function of os.h asks os_fault_check first, which also counts the calls. A fault is armed per operation: the n-th
 * call from now gives an errno. Nothing armed costs two relaxed atomic operations.
 *
 * Kill points are named places between two steps that must not be torn apart. WEIR_KILL_AT=publish:3 ends the process
 * with SIGKILL when the point "publish" is passed for the third time; ":1" may be left out.
 *
 * Any thread.
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/os.h"

typedef struct fault {
    _Atomic uint64_t calls;
    _Atomic int64_t left; /* calls until the one that fails, itself included; 0: off */
    atomic_int errnum;
    atomic_bool is_sticky;
} fault;

static fault faults[OS_OP_COUNT];

void os_fault_set(os_op op, int64_t countdown, int errnum, bool sticky)
{
    assert(op < OS_OP_COUNT);
    fault *f = &faults[op];
    atomic_store(&f->left, 0);
    atomic_store(&f->errnum, errnum);
    atomic_store(&f->is_sticky, sticky);
    atomic_store(&f->left, countdown > 0 ? countdown : 0);
}

int os_fault_check(os_op op)
{
    fault *f = &faults[op];
    atomic_fetch_add_explicit(&f->calls, 1, memory_order_relaxed);
    int64_t left = atomic_load_explicit(&f->left, memory_order_relaxed);
    while (left > 0) {
        bool is_now = left == 1;
        int64_t next = is_now && atomic_load(&f->is_sticky) ? 1 : left - 1;
        if (atomic_compare_exchange_weak(&f->left, &left, next))
            return is_now ? atomic_load(&f->errnum) : 0;
    }
    return 0;
}

uint64_t os_count(os_op op)
{
    return atomic_load_explicit(&faults[op].calls, memory_order_relaxed);
}

/* --- kill points ------------------------------------------------------------------------------------------------ */

static pthread_once_t kill_once = PTHREAD_ONCE_INIT;
static char kill_name[64]; /* "": none */
static _Atomic int64_t kill_left;

static void read_kill_point(void)
{
    const char *text = getenv("WEIR_KILL_AT");
    if (!text) return;
    size_t size = strcspn(text, ":");
    if (size >= sizeof kill_name) return;
    memcpy(kill_name, text, size);
    kill_name[size] = '\0';
    atomic_store(&kill_left, text[size] ? strtoll(text + size + 1, NULL, 10) : 1);
}

void os_kill_point(const char *name)
{
    pthread_once(&kill_once, read_kill_point);
    if (kill_name[0] == '\0' || strcmp(kill_name, name) != 0) return;
    if (atomic_fetch_sub(&kill_left, 1) == 1) kill(getpid(), SIGKILL);
}
