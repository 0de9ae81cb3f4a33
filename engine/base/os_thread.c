/*
 * os_thread.c - threads, mutexes and conditions.
 *
 * Our own threads take no signals: those are for the loop thread.
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "engine/base/os.h"
#include "engine/base/os_internal.h"

struct os_thread {
    pthread_t id;
    void (*body)(void *ctx);
    void *ctx; /* kept until the thread ends */
};

struct os_mutex {
    pthread_mutex_t mutex;
};

struct os_cond {
    pthread_cond_t cond;
};

static void *run_thread(void *arg)
{
    os_thread *thread = arg;
    thread->body(thread->ctx);
    return NULL;
}

int os_thread_start(os_thread **out, void (*body)(void *ctx), void *ctx, weir_error *err)
{
    *out = NULL;
    os_thread *thread = mem_alloc(sizeof *thread);
    if (!thread) return error_nomem(err, "starting a thread");
    thread->body = body;
    thread->ctx = ctx;

    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = os_fault_check(OS_OP_SPAWN);
    if (!errnum) errnum = pthread_create(&thread->id, NULL, run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum) {
        mem_free(thread);
        return os_fail(err, errnum, "start", "a thread");
    }
    *out = thread;
    return 0;
}

void os_thread_join(os_thread *thread)
{
    if (!thread) return;
    pthread_join(thread->id, NULL);
    mem_free(thread);
}

os_mutex *os_mutex_new(void)
{
    os_mutex *m = mem_alloc(sizeof *m);
    if (m && pthread_mutex_init(&m->mutex, NULL) == 0) return m;
    mem_free(m);
    return NULL;
}

void os_mutex_free(os_mutex *m)
{
    if (!m) return;
    pthread_mutex_destroy(&m->mutex);
    mem_free(m);
}

void os_mutex_lock(os_mutex *m)
{
    int rc = pthread_mutex_lock(&m->mutex);
    assert(rc == 0);
    (void)rc;
}

void os_mutex_unlock(os_mutex *m)
{
    int rc = pthread_mutex_unlock(&m->mutex);
    assert(rc == 0);
    (void)rc;
}

os_cond *os_cond_new(void)
{
    os_cond *c = mem_alloc(sizeof *c);
    if (c && pthread_cond_init(&c->cond, NULL) == 0) return c;
    mem_free(c);
    return NULL;
}

void os_cond_free(os_cond *c)
{
    if (!c) return;
    pthread_cond_destroy(&c->cond);
    mem_free(c);
}

void os_cond_wait(os_cond *c, os_mutex *m)
{
    pthread_cond_wait(&c->cond, &m->mutex);
}

void os_cond_signal(os_cond *c)
{
    pthread_cond_broadcast(&c->cond);
}
