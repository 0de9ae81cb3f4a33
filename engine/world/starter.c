/*
 * starter.c - threads that start commands side by side.
 *
 *     submit --queue, semaphore--> a thread: run --ended, async--> loop: done
 *
 * What it gives is in process.c.
 *
 * The mutex guards both lists. A job belongs to its thread from the moment it leaves the queue until it is among the ended.
 */
#include "engine/world/starter.h"

#include "engine/base/memory.h"
#include "engine/base/os.h"
#include "engine/world/spawn.h"

enum { THREADS_MOST = 16, THREADS_LEAST = 2 };

typedef struct job_list {
    starter_job *first, **last;
} job_list;

struct starter {
    void (*run)(starter_job *job, void *stack);
    void (*done)(starter_job *job);
    void (*closed)(void *ctx);
    void *closed_ctx;
    uv_async_t wake;
    uv_sem_t work; /* counts what is queued */
    uv_mutex_t mutex;
    job_list queued, ended;
    size_t busy; /* jobs that were queued and have not ended */
    bool is_closing;
    os_thread *threads[THREADS_MOST];
    size_t thread_count, thread_most;
    void *stack; /* of the loop thread; NULL until it is needed */
};

static void put(job_list *l, starter_job *job)
{
    job->next = NULL;
    *l->last = job;
    l->last = &job->next;
}

static starter_job *take(job_list *l)
{
    starter_job *job = l->first;
    if (!job) return NULL;
    l->first = job->next;
    if (!l->first) l->last = &l->first;
    return job;
}

/* --- threads ------------------------------------------------------------------------------------------------------- */

static void finish_job(starter *s, starter_job *job)
{
    uv_mutex_lock(&s->mutex);
    job->was_run = true;
    s->busy--;
    put(&s->ended, job);
    uv_mutex_unlock(&s->mutex);
    uv_async_send(&s->wake);
}

static starter_job *next_job(starter *s)
{
    uv_sem_wait(&s->work);
    uv_mutex_lock(&s->mutex);
    starter_job *job = s->is_closing ? NULL : take(&s->queued);
    uv_mutex_unlock(&s->mutex);
    return job;
}

typedef struct thread_start {
    starter *s;
    void *stack;
} thread_start;

static void thread_main(void *ctx)
{
    thread_start own = *(thread_start *)ctx;
    mem_free(ctx);
    for (starter_job *job; (job = next_job(own.s)) != NULL;) {
        own.s->run(job, own.stack);
        finish_job(own.s, job);
    }
    mem_free(own.stack);
}

static void add_thread(starter *s)
{
    thread_start *own = mem_zero(1, sizeof *own);
    void *stack = mem_alloc(SPAWN_STACK);
    if (own && stack) {
        *own = (thread_start){.s = s, .stack = stack};
        if (os_thread_start(&s->threads[s->thread_count], thread_main, own, NULL) == 0) {
            s->thread_count++;
            return;
        }
    }
    mem_free(own);
    mem_free(stack);
    s->thread_most = s->thread_count; /* not tried again: those that are there do */
}

/* --- the loop thread ----------------------------------------------------------------------------------------------- */

static void on_wake(uv_async_t *handle)
{
    starter *s = handle->data;
    uv_mutex_lock(&s->mutex);
    starter_job *job = s->ended.first;
    s->ended = (job_list){.last = &s->ended.first};
    uv_mutex_unlock(&s->mutex);
    for (starter_job *next; job; job = next) {
        next = job->next;
        s->done(job);
    }
}

int starter_open(starter **out, uv_loop_t *loop, void (*run)(starter_job *job, void *stack), void (*done)(starter_job *job), weir_error *err)
{
    *out = NULL;
    starter *s = mem_zero(1, sizeof *s);
    if (!s) return error_nomem(err, "preparing to start commands");
    s->stack = mem_alloc(SPAWN_STACK);
    if (!s->stack || uv_sem_init(&s->work, 0) != 0) {
        mem_free(s->stack);
        mem_free(s);
        return error_nomem(err, "preparing to start commands");
    }
    uv_mutex_init(&s->mutex);
    uv_async_init(loop, &s->wake, on_wake);
    uv_unref((uv_handle_t *)&s->wake); /* the commands keep the loop turning */
    s->wake.data = s;
    s->run = run;
    s->done = done;
    s->queued.last = &s->queued.first;
    s->ended.last = &s->ended.first;
    size_t cpus = (size_t)os_cpu_count();
    s->thread_most = cpus < THREADS_LEAST ? THREADS_LEAST : cpus > THREADS_MOST ? THREADS_MOST : cpus;
    *out = s;
    return 0;
}

void starter_submit(starter *s, starter_job *job)
{
    job->was_run = false;
    uv_mutex_lock(&s->mutex);
    size_t busy = ++s->busy;
    uv_mutex_unlock(&s->mutex);
    if (busy > s->thread_count && s->thread_count < s->thread_most) add_thread(s);
    if (s->thread_count == 0) {
        s->run(job, s->stack);
        finish_job(s, job);
        return;
    }
    uv_mutex_lock(&s->mutex);
    put(&s->queued, job);
    uv_mutex_unlock(&s->mutex);
    uv_sem_post(&s->work);
}

static void on_closed(uv_handle_t *handle)
{
    starter *s = handle->data;
    void (*closed)(void *ctx) = s->closed;
    void *ctx = s->closed_ctx;
    uv_mutex_destroy(&s->mutex);
    uv_sem_destroy(&s->work);
    mem_free(s->stack);
    mem_free(s);
    closed(ctx);
}

void starter_close(starter *s, void (*closed)(void *ctx), void *ctx)
{
    if (!s) return;
    s->closed = closed;
    s->closed_ctx = ctx;
    uv_mutex_lock(&s->mutex);
    s->is_closing = true;
    uv_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < s->thread_count; i++) uv_sem_post(&s->work);
    for (size_t i = 0; i < s->thread_count; i++) os_thread_join(s->threads[i]);
    uv_close((uv_handle_t *)&s->wake, on_closed);
}
