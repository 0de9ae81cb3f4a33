/*
 * fake.h - stands in for engine/world/process.c and engine/script/host.c: their functions, without any process.
 *
 * A started command and a job handed to a worker become entries of one list. An idle handle of the engine's own loop takes a random
 * entry and does a bit of it: a worker becomes ready, begins a job, performs it with the real job functions of engine/effect, dies when it was told
 * to; a command reads and writes the project's files. So results come back in any order. The sim's main file is told of each
 * execution (fake_performed).
 *
 * Linked first, these definitions win over the members of the archives. Threads and time: single.h.
 */
#ifndef WEIR_TESTS_SIM_FAKE_H
#define WEIR_TESTS_SIM_FAKE_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/effect/job_internal.h"
#include "engine/run/engine.h"
#include "engine/script/host.h"
#include "engine/store/value.h"
#include "engine/world/process.h"
#include "tests/sim/files.h"
#include "tests/sim/graph.h"
#include "tests/sim/single.h"

/* Of the main file. */
static sim_graph graph;
static void fake_performed(int slot, const sim_node *n, const tracker *t, bool ok);
/** It is about to ask for nodes and files, and may not come back. */
static void fake_asks(int slot, const tracker *t);
/** Does the execution that is about to happen end its process? */
static bool fake_crashes(void);
/** Does the attempt of the node that is about to happen fail by chance? 0: no; else in which way. */
static int fake_chance(int slot);
/** Content for the clean names of a list, and of a node that was needed. */
static void fake_names(int slot, char port, char text[TEXT]);
static void fake_made(const char *name, char text[TEXT]);
/** Append one entry of an expand node's list. */
static void fake_declare_row(int slot, int parent, char row, buf *to);

/* A lie that the sim must notice: 1: reads of undeclared files are not recorded; 2: depfiles are empty; 3: outputs get an extra byte at times. */
static int fake_canary;

/* --- the list -------------------------------------------------------------------------------------------------------- */

enum { FAKES = 256 };
typedef struct fake_entry {
    void (*step)(void *object);
    void *object;
} fake_entry;

static struct fake_list {
    uv_idle_t idle;
    uv_loop_t *loop;
    fake_entry entries[FAKES];
    int count, open;
    int rootfd;
} fakes;

static void fake_add(void (*step)(void *object), void *object)
{
    if (fakes.count < FAKES) fakes.entries[fakes.count++] = (fake_entry){step, object};
    else abort();
}

static void fake_remove(const void *object)
{
    for (int i = 0; i < fakes.count; i++)
        if (fakes.entries[i].object == object) fakes.entries[i--] = fakes.entries[--fakes.count];
}

static bool fake_waits(const void *object)
{
    for (int i = 0; i < fakes.count; i++)
        if (fakes.entries[i].object == object) return true;
    return false;
}

static void fake_tick(uv_idle_t *idle)
{
    (void)idle;
    if (fake_random() % 3 == 0 && single_tick()) return;
    if (fakes.count == 0) return;
    int i = (int)(fake_random() % (uint64_t)fakes.count);
    fake_entry e = fakes.entries[i];
    fakes.entries[i] = fakes.entries[--fakes.count];
    e.step(e.object);
}

/* --- the pool of threads ---------------------------------------------------------------------------------------------- */

static void work_after(void *object)
{
    uv_work_t *work = object;
    work->after_work_cb(work, 0);
}

static void work_step(void *object)
{
    uv_work_t *work = object;
    work->work_cb(work);
    fake_add(work_after, work);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb work_cb, uv_after_work_cb after_work_cb)
{
    work->loop = loop;
    work->work_cb = work_cb;
    work->after_work_cb = after_work_cb;
    fake_add(work_step, work);
    return 0;
}

#include "tests/sim/fake_process.h"

/* --- host and workers ------------------------------------------------------------------------------------------------ */

struct script_host {
    script_events events;
    int rootfd;
};

typedef struct fake_job {
    buf frame;
    struct fake_job *next;
} fake_job;

/* A job is performed on a fiber of its own, since it may wait in the middle. */
struct script_worker {
    worker_events events;
    int rootfd;
    bool is_ready, retired, begun;
    const char *killed;
    fake_job *jobs;
    os_thread *fiber; /* NULL: its job was not begun */
    os_cond stands;   /* it goes on when it is told to, not by itself */
    enum { FAKE_RUNS, FAKE_ASKS, FAKE_WAITS, FAKE_ANSWERED } asking;
    buf question, answer, report;
    void *data;
};

static script_counts fake_counts;
static const registry_entry *fake_entry_of(bytes effect);

script_counts script_stats(void)
{
    return fake_counts;
}

int script_host_start(script_host **out, uv_loop_t *loop, const script_config *config, const script_events *events, weir_error *err)
{
    (void)loop, (void)err;
    *out = calloc(1, sizeof **out);
    (*out)->events = *events;
    (*out)->rootfd = fakes.rootfd = config->rootfd;
    fake_counts.hosts++;
    return 0;
}

int script_host_wait(script_host *host, weir_error *err)
{
    (void)err;
    if (host->events.loaded) host->events.loaded(host->events.ctx, 0, bytes_of("", 0));
    return 0;
}

void script_glob_answer(script_host *host, bytes path)
{
    (void)host, (void)path;
}

void script_host_close(script_host *host)
{
    free(host);
}

int64_t script_host_pid(const script_host *host)
{
    (void)host;
    return 1;
}

static uint64_t job_id(const fake_job *f)
{
    mem_arena arena;
    job_order order = {0};
    arena_init(&arena);
    if (job_order_get(buf_bytes(&f->frame), &arena, &order, NULL) != 0) abort();
    arena_deinit(&arena);
    return order.id;
}

static int job_slot(const fake_job *f)
{
    mem_arena arena;
    job_order order = {0};
    arena_init(&arena);
    if (job_order_get(buf_bytes(&f->frame), &arena, &order, NULL) != 0) abort();
    int slot = atoi((const char *)order.node.data + 1);
    arena_deinit(&arena);
    return slot;
}

static void worker_step(void *object);
static void drop_job(script_worker *w)
{
    fake_job *f = w->jobs;
    w->jobs = f->next;
    buf_deinit(&f->frame);
    free(f);
}

/* Of the worker's fiber. */
static int worker_need(void *ctx, const job_request *request, mem_arena *arena, bytes *answer, weir_error *err)
{
    script_worker *w = ctx;
    buf_clear(&w->question);
    job_request_put(&w->question, request);
    w->asking = FAKE_ASKS;
    w->fiber->waits = &w->stands;
    fiber_leave(w->fiber);
    w->asking = FAKE_RUNS;
    if (w->killed) return error_set(err, WEIR_CANCELLED, "%s", w->killed);
    *answer = arena_bytes(arena, buf_bytes(&w->answer));
    return 0;
}

static void worker_body(void *ctx)
{
    script_worker *w = ctx;
    mem_arena arena;
    job_order order = {0};
    job_report report = {0};
    weir_error err = {0};
    weir_job *j = NULL;
    arena_init(&arena);
    if (job_order_get(buf_bytes(&w->jobs->frame), &arena, &order, &err) != 0) abort();
    order.need = worker_need;
    order.ask_ctx = w;
    const registry_entry *entry = fake_entry_of(order.effect);
    if (job_perform(entry, &order, w->rootfd, &j, &report, &err) != 0) abort();
    buf_clear(&w->report);
    job_report_put(&w->report, &report);
    job_free(j);
    arena_deinit(&arena);
}

/* Until it has ended or asks. */
static void worker_go_on(script_worker *w)
{
    weir_error err = {0};
    if (!w->fiber && os_thread_start(&w->fiber, worker_body, w, &err) != 0) abort();
    w->fiber->waits = NULL;
    fiber_enter(w->fiber);
}

static void worker_report(script_worker *w)
{
    mem_arena arena;
    job_report got = {0};
    weir_error err = {0};
    arena_init(&arena);
    os_thread_join(w->fiber);
    w->fiber = NULL;
    w->begun = false;
    drop_job(w);
    if (job_report_get(buf_bytes(&w->report), &arena, &got, &err) != 0) abort();
    w->events.report(w->events.ctx, w, &got);
    arena_deinit(&arena);
}

static void worker_ask(script_worker *w)
{
    mem_arena arena;
    job_request request = {0};
    weir_error err = {0};
    uint64_t unfinished[512];
    size_t count = 0;
    arena_init(&arena);
    for (const fake_job *f = w->jobs->next; f; f = f->next) unfinished[count++] = job_id(f);
    for (fake_job *f = w->jobs->next, *next; f; f = next) {
        next = f->next;
        buf_deinit(&f->frame);
        free(f);
    }
    w->jobs->next = NULL;
    w->asking = FAKE_WAITS;
    if (job_request_get(buf_bytes(&w->question), &arena, &request, &err) != 0) abort();
    w->events.need(w->events.ctx, w, &request, unfinished, count);
    arena_deinit(&arena);
}

static void worker_perform(script_worker *w)
{
    worker_go_on(w);
    if (w->fiber->done) worker_report(w);
    else fake_add(worker_step, w);
}

static void worker_die(script_worker *w, const char *how)
{
    uint64_t unfinished[512], running = 0;
    size_t count = 0;
    for (const fake_job *f = w->jobs; f; f = f->next) {
        if (f == w->jobs && w->begun) running = job_id(f);
        else unfinished[count++] = job_id(f);
    }
    w->killed = how;
    if (w->fiber) { /* it ends by itself, and nobody hears of it */
        worker_go_on(w);
        os_thread_join(w->fiber);
    }
    w->events.died(w->events.ctx, w, running, unfinished, count, how);
    while (w->jobs) drop_job(w);
    fake_remove(w);
    buf_deinit(&w->question);
    buf_deinit(&w->answer);
    buf_deinit(&w->report);
    free(w);
}

/* It says that it failed, and not for what it read. */
static void worker_falls_short(script_worker *w)
{
    job_report short_of = {.id = job_id(w->jobs), .message = bytes_str("no memory")};
    w->begun = false;
    drop_job(w);
    w->events.report(w->events.ctx, w, &short_of);
}

static void worker_step(void *object)
{
    script_worker *w = object;
    int how = 0;
    if (w->killed || (w->retired && !w->jobs)) {
        worker_die(w, w->killed ? w->killed : "retired");
        return;
    }
    if (!w->is_ready) {
        w->is_ready = true;
        w->events.ready(w->events.ctx, w);
    } else if (w->asking == FAKE_ASKS) {
        worker_ask(w);
        return;
    } else if (w->asking == FAKE_WAITS) {
        return;
    } else if (w->jobs && !w->begun) {
        w->begun = true;
        w->events.began(w->events.ctx, w, job_id(w->jobs));
    } else if (w->jobs && fake_crashes()) {
        worker_die(w, "signal 9");
        return;
    } else if (w->jobs && !w->fiber && (how = fake_chance(job_slot(w->jobs))) != 0) {
        if (how < 3) {
            worker_die(w, how == 1 ? "signal 11" : "time limit 5 s");
            return;
        }
        worker_falls_short(w);
    } else if (w->jobs) {
        worker_perform(w);
    }
    if (((w->jobs && w->asking != FAKE_WAITS) || w->retired || w->killed) && !fake_waits(w)) fake_add(worker_step, w);
}

int script_worker_fork(script_host *host, const worker_events *events, script_worker **out, weir_error *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    (*out)->events = *events;
    (*out)->rootfd = host->rootfd;
    buf_init(&(*out)->question);
    buf_init(&(*out)->answer);
    buf_init(&(*out)->report);
    fake_counts.workers++;
    fake_add(worker_step, *out);
    return 0;
}

int script_worker_send(script_worker *w, const job_order *orders, size_t count, weir_error *err)
{
    (void)err;
    fake_job **end = &w->jobs;
    while (*end) end = &(*end)->next;
    for (size_t i = 0; i < count; i++) {
        *end = calloc(1, sizeof **end);
        buf_init(&(*end)->frame);
        job_order_put(&(*end)->frame, &orders[i]);
        end = &(*end)->next;
    }
    if (!fake_waits(w)) fake_add(worker_step, w);
    return 0;
}

bool script_worker_waits(const script_worker *w)
{
    return w->asking == FAKE_WAITS || w->asking == FAKE_ANSWERED;
}

int script_worker_answer(script_worker *w, const job_answer *answer, weir_error *err)
{
    if (w->killed) return error_set(err, WEIR_CANCELLED, "the worker has ended");
    if (w->asking != FAKE_WAITS) return error_set(err, WEIR_BUG, "nobody asked");
    buf_clear(&w->answer);
    job_answer_put(&w->answer, answer);
    w->asking = FAKE_ANSWERED;
    if (!fake_waits(w)) fake_add(worker_step, w);
    return 0;
}

size_t script_worker_load(const script_worker *w)
{
    size_t n = 0;
    for (const fake_job *f = w->jobs; f; f = f->next) n++;
    return n;
}

void script_worker_kill(script_worker *w, const char *why)
{
    w->killed = why;
    if (!fake_waits(w)) fake_add(worker_step, w);
}

void script_worker_retire(script_worker *w)
{
    w->retired = true;
    if (!fake_waits(w)) fake_add(worker_step, w);
}

int64_t script_worker_pid(const script_worker *w)
{
    (void)w;
    return 2;
}

void *script_worker_data(const script_worker *w)
{
    return w->data;
}

void script_worker_set_data(script_worker *w, void *data)
{
    w->data = data;
}

int script_host_main(int argc, char **argv, const weir_effect *const *builtins)
{
    (void)argc, (void)argv, (void)builtins;
    return 2;
}

#include "tests/sim/fake_effects.h"

#endif
