/*
 * pool.c - many paths at once.
 *
 * scan_submit goes through libuv's pool: a few tasks, each taking the next request until none is left, and `done` on
 * the loop thread after the last. The functions that wait run no loop, so libuv could not hand their tasks
 * back; they start threads of their own for the moment (about 20 us each, fewer than one for 64 stats) and work along. A stat
 * costs a third to a quarter with four threads; io_uring was measured slower (platform.md).
 *
 * libuv makes its threads all at once when it is first asked, and aborts where one cannot be had
 * (`ulimit -u`, a limit of processes in a container; commands of ours count). So it is asked only
 * once as many could be had, and some to spare; until then the loop thread looks at the files itself.
 *
 * A folder's slices are jobs of their own, so one folder of 10,000 entries keeps every thread busy; what has changed is
 * hashed afterwards, path by path, so one slice of large files does not either.
 *
 * scan_submit: loop thread. The others: any thread.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/world/scan_internal.h"

enum { THREADS_MOST = 16, STATS_PER_THREAD = 64 };
enum { LIBUV_THREADS = 4, LIBUV_THREADS_MOST = 1024, THREADS_TO_SPARE = 8 };

/* --- a team of threads for the moment ---------------------------------------------------------------------------- */

typedef void (*team_job)(void *ctx, size_t index);

typedef struct team {
    team_job job;
    void *ctx;
    size_t count;
    atomic_size_t next;
} team;

static void team_work(void *ctx)
{
    team *t = ctx;
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (index >= t->count) return;
        t->job(t->ctx, index);
    }
}

/* Does all jobs with up to `threads` threads, this one included; a thread that cannot start is only missed. */
static void team_run(size_t threads, size_t count, team_job job, void *ctx)
{
    team t = {.job = job, .ctx = ctx, .count = count};
    os_thread *helpers[THREADS_MOST] = {NULL};
    size_t cpus = (size_t)os_cpu_count();
    if (threads > cpus) threads = cpus;
    if (threads > count) threads = count;
    if (threads > THREADS_MOST) threads = THREADS_MOST;
    for (size_t i = 1; i < threads; i++)
        if (os_thread_start(&helpers[i], team_work, &t, NULL) != 0) helpers[i] = NULL;
    team_work(&t);
    for (size_t i = 1; i < threads; i++) os_thread_join(helpers[i]);
}

/* --- may libuv be asked for its threads? ------------------------------------------------------------------------- */

static void stand_by(void *ctx)
{
    uv_sem_wait(ctx);
}

/* For a moment all of them are there at once. */
static bool can_have(size_t threads)
{
    uv_sem_t over;
    size_t count = 0;
    os_thread **all = mem_zero(threads, sizeof(os_thread *));
    if (!all) return false;
    if (uv_sem_init(&over, 0) != 0) {
        mem_free(all);
        return false;
    }
    while (count < threads && os_thread_start(&all[count], stand_by, &over, NULL) == 0) count++;
    for (size_t i = 0; i < count; i++) uv_sem_post(&over);
    for (size_t i = 0; i < count; i++) os_thread_join(all[i]);
    uv_sem_destroy(&over);
    mem_free(all);
    return count == threads;
}

/* As libuv reads it. */
static size_t libuv_threads(void)
{
    const char *text = getenv("UV_THREADPOOL_SIZE");
    long count = text ? strtol(text, NULL, 10) : LIBUV_THREADS;
    return count < 1 ? 1 : count > LIBUV_THREADS_MOST ? LIBUV_THREADS_MOST : (size_t)count;
}

/* Its pool is one for the process, and so is this. Looking takes from others for a moment: after a no it is
 * done again at the 2nd, 4th, 8th ... question only. */
static bool may_ask_libuv(void)
{
    static atomic_bool has_threads;
    static atomic_uint asked;
    if (atomic_load(&has_threads)) return true;
    unsigned times = atomic_fetch_add(&asked, 1) + 1;
    if ((times & (times - 1)) != 0 || !can_have(libuv_threads() + THREADS_TO_SPARE)) return false;
    atomic_store(&has_threads, true);
    return true;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

typedef struct wait_job {
    const scan_config *config;
    scan_request *requests;
} wait_job;

static void wait_one(void *ctx, size_t index)
{
    wait_job *w = ctx;
    scan_one(w->config, &w->requests[index]);
}

int scan_wait(uv_loop_t *loop, const scan_config *config, scan_request *requests, size_t count,
              weir_error *err)
{
    (void)loop;
    (void)err;
    wait_job w = {config, requests};
    team_run(count / (STATS_PER_THREAD / 4) + 1, count, wait_one, &w);
    return 0;
}

struct scan_job {
    scan_config config;
    scan_request *requests;
    size_t count;
    atomic_size_t next;
    size_t running; /* tasks; loop thread */
    void (*done)(void *ctx);
    void *ctx;
    union {
        uv_work_t tasks[THREADS_MOST];
        uv_timer_t timer; /* without threads: `done` comes from the loop all the same */
    };
};

static void work(scan_job *job)
{
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (index >= job->count) return;
        scan_one(&job->config, &job->requests[index]);
    }
}

static void submitted_work(uv_work_t *task)
{
    work(task->data);
}

static void finish(scan_job *job)
{
    void (*done)(void *ctx) = job->done;
    void *ctx = job->ctx;
    mem_free(job);
    done(ctx);
}

static void submitted_done(uv_work_t *task, int status)
{
    (void)status; /* nobody cancels */
    scan_job *job = task->data;
    if (--job->running == 0) finish(job);
}

static void on_timer_closed(uv_handle_t *timer)
{
    finish(timer->data);
}

static void on_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, on_timer_closed);
}

static int submit_here(uv_loop_t *loop, scan_job *job)
{
    work(job);
    uv_timer_init(loop, &job->timer);
    job->timer.data = job;
    uv_timer_start(&job->timer, on_timer, 0, 0);
    return 0;
}

/* One thread for each file that is likely to be read; stats alone are not worth waking another one. At least one: done is told by the loop. */
static size_t tasks_for(const scan_request *requests, size_t count)
{
    size_t reads = 0;
    for (size_t i = 0; i < count; i++) reads += !requests[i].known;
    size_t most = reads + (count - reads) / STATS_PER_THREAD;
    if (most <= 1) return 1;
    size_t tasks = (size_t)os_cpu_count();
    if (tasks > most) tasks = most;
    return tasks > THREADS_MOST ? THREADS_MOST : tasks;
}

int scan_submit(uv_loop_t *loop, const scan_config *config, scan_request *requests, size_t count,
                void (*done)(void *ctx), void *ctx, weir_error *err)
{
    scan_job *job = mem_zero(1, sizeof *job);
    if (!job) return error_nomem(err, "scanning files");
    job->config = *config;
    job->requests = requests;
    job->count = count;
    job->done = done;
    job->ctx = ctx;
    if (!may_ask_libuv()) return submit_here(loop, job);
    size_t tasks = tasks_for(requests, count);
    int status = 0;
    for (size_t i = 0; i < tasks && status == 0; i++) {
        job->tasks[i].data = job;
        status = uv_queue_work(loop, &job->tasks[i], submitted_work, submitted_done);
        if (status == 0) job->running++;
    }
    if (job->running > 0) return 0;
    mem_free(job);
    return error_set(err, WEIR_IO, "cannot hand files to the thread pool: %s", uv_strerror(status));
}

/* --- folders ----------------------------------------------------------------------------------------------------- */

typedef struct folder_job {
    const scan_config *config;
    scan_slice *slices;
    scan_request **changed; /* of all folders */
} folder_job;

/* A million files are a second: who interrupts does not wait for that. */
static bool is_stopped(const scan_config *config)
{
    return config->stop && atomic_load(config->stop) != 0;
}

static void check_slice(void *ctx, size_t index)
{
    folder_job *job = ctx;
    if (!is_stopped(job->config)) scan_slice_check(job->config, &job->slices[index]);
}

static void read_changed(void *ctx, size_t index)
{
    folder_job *job = ctx;
    if (!is_stopped(job->config)) scan_one(job->config, job->changed[index]);
}

/* The slices of all folders in one array, those of a folder beside one another. */
static scan_slice *cut(scan_folder *folders, size_t count, size_t *slice_count, size_t *entry_count)
{
    scan_slice *slices = NULL;
    size_t capacity = 0;
    *slice_count = *entry_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t left = scan_folder_begin(&folders[i]);
        *entry_count += left;
        for (size_t first = 0; left > 0;) {
            size_t some = left < SCAN_SLICE ? left : SCAN_SLICE;
            if (!MEM_GROW(slices, capacity, *slice_count + 1)) {
                mem_free(slices);
                return NULL;
            }
            slices[(*slice_count)++] =
                (scan_slice){.folder = &folders[i], .first = first, .count = some};
            first += some;
            left -= some;
        }
    }
    return slices ? slices : mem_alloc(1);
}

/* Calls `merge` for each folder that has slices. */
static void each_folder(const scan_slice *slices, size_t count,
                        void (*merge)(scan_folder *folder, const scan_slice *slices, size_t count))
{
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && slices[to].folder == slices[from].folder; to++) continue;
        merge(slices[from].folder, slices + from, to - from);
    }
}

/* Hashes what has changed, in all folders; -1: no memory. */
static int read_all_changed(folder_job *job, scan_folder *folders, size_t count)
{
    size_t total = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) total += folders[i].changed_count;
    if (total == 0) return 0;
    job->changed = mem_alloc(total * sizeof *job->changed);
    if (!job->changed) return -1;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < folders[i].changed_count; k++)
            job->changed[at++] = &folders[i].changed[k];
    team_run(total / (STATS_PER_THREAD / 4) + 1, total, read_changed, job);
    mem_free(job->changed);
    return 0;
}

int scan_check_folders(uv_loop_t *loop, const scan_config *config, scan_folder *folders,
                       size_t count, weir_error *err)
{
    (void)loop;
    size_t slice_count;
    size_t entry_count;
    folder_job job = {.config = config, .slices = cut(folders, count, &slice_count, &entry_count)};
    if (!job.slices) return error_nomem(err, "checking files");
    team_run(entry_count / STATS_PER_THREAD + 1, slice_count, check_slice, &job);
    bool has_all = !is_stopped(config);
    if (has_all) each_folder(job.slices, slice_count, scan_folder_collect);
    int rc = has_all ? read_all_changed(&job, folders, count) : 0;
    has_all = has_all && !is_stopped(config);
    if (rc == 0 && has_all) each_folder(job.slices, slice_count, scan_folder_finish);
    for (size_t i = 0; i < slice_count; i++) mem_free(job.slices[i].moved);
    mem_free(job.slices);
    if (rc != 0) return error_nomem(err, "checking files");
    return has_all ? 0 : error_set(err, WEIR_CANCELLED, "interrupted");
}
