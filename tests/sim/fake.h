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

/* --- processes ------------------------------------------------------------------------------------------------------- */

struct process_table {
    int unused;
};

struct process {
    process_started started;
    process_done done;
    void *ctx;
    char *words[64];
    int count, cwd;
    bool told, stopped, wrote, timed_out; /* told: that it has started, which may be after it has done all */
    int exit_code, signal;
};

static uint64_t fake_spawned;

int process_table_open(process_table **out, uv_loop_t *loop, weir_error *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    fakes.loop = loop;
    uv_idle_init(loop, &fakes.idle);
    uv_idle_start(&fakes.idle, fake_tick);
    return 0;
}

void process_table_close(process_table *t)
{
    if (!t) return;
    uv_idle_stop(&fakes.idle);
    uv_close((uv_handle_t *)&fakes.idle, NULL);
    fakes.count = 0;
    free(t);
}

size_t process_running(const process_table *t)
{
    (void)t;
    return 0;
}

uint64_t process_spawned(const process_table *t)
{
    (void)t;
    return fake_spawned;
}

bool process_find(hash128 token, int64_t *pid, uint64_t *start_ticks)
{
    (void)token;
    (void)pid;
    (void)start_ticks;
    return false;
}

int process_watch(int64_t pid, uint64_t start_ticks)
{
    (void)pid;
    (void)start_ticks;
    return -1;
}

int process_end_leftover(hash128 token, int64_t pid, uint64_t start_ticks, int64_t grace_ms, size_t *found, weir_error *err)
{
    (void)token, (void)pid, (void)start_ticks, (void)grace_ms, (void)err;
    *found = 0;
    return 0;
}

int process_end_begin(process_ending **out, uv_loop_t *loop, hash128 token, int64_t pid,
                      uint64_t start_ticks, int64_t grace_ms, process_ended ended, void *ctx,
                      weir_error *err)
{
    size_t found = 0;
    (void)loop;
    (void)ended;
    (void)ctx;
    *out = NULL;
    return process_end_leftover(token, pid, start_ticks, grace_ms, &found, err);
}

void process_end_hurry(process_ending *e)
{
    (void)e;
}

void process_end_cancel(process_ending *e)
{
    (void)e;
}

static void read_text(int dir, const char *path, char text[TEXT])
{
    snprintf(text, TEXT, "-");
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, TEXT - 1) : -1;
    if (n >= 0) text[n] = '\0';
    if (fd >= 0) close(fd);
}

static void write_text(int dir, const char *path, const char *text)
{
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
    close(fd);
}

static bool command_file(void *ctx, const char *path, char text[TEXT])
{
    read_text(((const process *)ctx)->cwd, path, text);
    return true;
}

/* words: tools/sim <slot> <kind> <variant> <depfile> --in ... --out ... */
static bool command_member(void *ctx, char port, int k, char text[TEXT])
{
    const process *p = ctx;
    (void)port;
    read_text(p->cwd, p->words[6 + k], text);
    return true;
}

static sim_ref path_ref(const char *path)
{
    sim_ref r = {.kind = path[0] == 's' ? REF_FILE : REF_MADE, .index = atoi(path + 2), .port = path[strlen(path) - 1]};
    return r;
}

static void command_perform(process *p)
{
    tracker t;
    sim_result r;
    int slot = atoi(p->words[1]), out = 6;
    sim_io io = {.ctx = p, .member = command_member, .file = command_file};
    sim_node n = {.present = true, .command = true, .kind = atoi(p->words[2]), .variant = atoi(p->words[3]), .has_c = true, .x = -1};
    for (; strcmp(p->words[out], "--out") != 0; out++) n.c[n.c_count++] = path_ref(p->words[out]);
    n.shape = p->count > out + 2 ? SHAPE_AB : SHAPE_A;
    if (!perform(&graph, slot, &n, &io, &t, &r)) abort();
    if (fake_canary == 3 && fake_random() % 32 == 0) strcat(r.a, "?");
    write_text(p->cwd, p->words[out + 1], r.ok ? r.a : "half");
    if (has_b(&n)) write_text(p->cwd, p->words[out + 2], r.b);
    p->wrote = true;
    p->exit_code = r.ok ? 0 : 3;
    fake_performed(slot, &n, &t, r.ok);
    if (strcmp(p->words[4], "-") == 0) return;
    char deps[600] = "x:";
    size_t at = 2;
    for (int i = 0; i < t.count; i++)
        if (t.reads[i].group > 0 && fake_canary != 2) at += (size_t)snprintf(deps + at, sizeof deps - at, " %s", t.reads[i].id);
    write_text(p->cwd, p->words[4], deps);
}

static void fake_tools(int dir)
{
    write_text(dir, "tools/sim", "tool");
}

/* It wrote a part, and ends: by a signal, a time limit, or with a code that says nothing. */
static void command_half(process *p, int how)
{
    int out = 6;
    while (strcmp(p->words[out], "--out") != 0) out++;
    write_text(p->cwd, p->words[out + 1], "half");
    p->wrote = true;
    p->signal = how == 1 ? 11 : how == 2 ? 15 : 0;
    p->timed_out = how == 2;
    p->exit_code = 124;
}

static void process_step(void *object)
{
    process *p = object;
    if (!p->told && (p->wrote || p->stopped || fake_random() % 2)) {
        weir_error none = {0};
        p->told = true;
        p->started(p->ctx, 0, 0, &none);
        fake_add(process_step, p);
        return;
    }
    if (!p->wrote && !p->stopped) {
        int how = fake_chance(atoi(p->words[1]));
        if (how) command_half(p, how);
        else {
            p->signal = fake_crashes() ? 9 : 0;
            command_perform(p);
        }
        fake_add(process_step, p);
        return;
    }
    process_result r = {.exit_code = p->stopped || p->signal ? -1 : p->exit_code, .signal = p->stopped ? 15 : p->signal, .stopped = p->stopped,
                        .timed_out = p->timed_out,
                        .output = bytes_of("", 0), .wall_us = (int64_t)(fake_random() % 3000)};
    for (int i = 0; i < p->count; i++) free(p->words[i]);
    p->done(p->ctx, &r);
    free(p);
}

static void add_words(process *p, const char *text)
{
    char copy[2000];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *rest = copy, *word; (word = strtok_r(rest, " ", &rest)) != NULL;) p->words[p->count++] = strdup(word);
}

int process_start(process_table *t, const process_spec *spec, process_started started, process_done done, void *ctx,
                  process **out, weir_error *err)
{
    (void)t, (void)err;
    process *p = calloc(1, sizeof *p);
    p->started = started;
    p->done = done;
    p->ctx = ctx;
    p->cwd = spec->cwd_fd;
    if (strcmp(spec->argv[0], "/bin/sh") == 0) add_words(p, spec->argv[2]);
    else
        for (int i = 0; spec->argv[i]; i++) p->words[p->count++] = strdup(spec->argv[i]);
    *out = p;
    fake_spawned++;
    fake_add(process_step, p);
    return 0;
}

void process_stop(process *p, int64_t grace_ms)
{
    (void)grace_ms;
    p->stopped = true;
}

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

/* --- the C effects: one per kind, variant and shape ------------------------------------------------------------------ */

typedef struct job_ctx {
    const weir_host *host;
    weir_job *job;
    int slot;
    tracker *t;
} job_ctx;

static void copy_text(char text[TEXT], const char *data, size_t size)
{
    snprintf(text, TEXT, "%.*s", (int)size, data ? data : "");
}

static bool job_member_text(void *ctx, char port, int k, char text[TEXT])
{
    const job_ctx *c = ctx;
    const char name[2] = {port, 0}, *data = NULL;
    size_t size = 0;
    int rc = port == 'v' ? c->host->input_value(c->job, name, (size_t)k, 1, &data, &size)
                         : c->host->input_read(c->job, name, (size_t)k, &data, &size);
    copy_text(text, data, size);
    return rc == 0;
}

static bool job_names(void *ctx, char port)
{
    const job_ctx *c = ctx;
    const char name[2] = {port, 0};
    char text[TEXT], id[32];
    size_t count = 0;
    if (c->host->input_count(c->job, name, &count) != 0) return false;
    fake_names(c->slot, port, text);
    snprintf(id, sizeof id, "names %c", port);
    track(c->t, id, text, true);
    return true;
}

static bool job_file_text(void *ctx, const char *path, char text[TEXT])
{
    const job_ctx *c = ctx;
    const char *data = NULL;
    size_t size = 0;
    if (fake_canary == 1) return read_text(fakes.rootfd, path, text), true;
    if (c->host->read_file(c->job, path, &data, &size) != 0) return false;
    copy_text(text, data ? data : "-", data ? size : 1);
    return true;
}

static bool job_need_texts(void *ctx, char names[NEEDS][32], int count, char texts[NEEDS][TEXT], char ids[NEEDS][TEXT])
{
    const job_ctx *c = ctx;
    const char *list[NEEDS] = {NULL}, *port = NULL, *data[2];
    size_t size[2];
    for (int i = 0; i < count; i++) list[i] = names[i];
    fake_asks(c->slot, c->t);
    if (c->host->need(c->job, list, (size_t)count, &port) != 0) return false;
    for (int i = 0; i < count; i++) {
        bool is_node = names[i][0] == 'n';
        if (c->host->input_part(c->job, port, (size_t)i, WEIR_PART_CONTENT, &data[0], &size[0]) != 0) return false;
        copy_text(texts[i], data[0] ? data[0] : "-", data[0] ? size[0] : 1);
        snprintf(ids[i], TEXT, "%s", texts[i]);
        if (!is_node) continue;
        fake_made(names[i], ids[i]);
        if (c->host->input_part(c->job, port, (size_t)i, WEIR_PART_VALUE, &data[1], &size[1]) != 0) return false;
        bool has = data[1] && data[1][0] == '"'; /* a text in quotes; the list of an expand node is none */
        snprintf(texts[i], TEXT, "%.*s,%.*s", data[0] ? (int)size[0] > 30 ? 30 : (int)size[0] : 1, data[0] ? data[0] : "-", has ? (int)size[1] - 2 : 1, has ? data[1] + 1 : "-");
    }
    return true;
}

static sim_ref member_ref(const job_member *m)
{
    if (m->kind == MEMBER_ITEM) return path_ref((const char *)m->name.data);
    sim_ref r = {.kind = m->kind == MEMBER_OUTPUT ? REF_OUTPUT : REF_NODE, .index = atoi((const char *)m->name.data + 1)};
    if (m->kind == MEMBER_OUTPUT) r.port = m->file_count ? (char)m->files[0].port.data[0] : 'a';
    return r;
}

/* The node as its job tells it: of the project as it was when the job began. */
static sim_node job_node(weir_job *j, int effect)
{
    sim_node n = {.present = true, .kind = effect / (2 * SHAPES), .variant = effect / SHAPES % 2, .shape = effect % SHAPES, .x = -1};
    const job_input *in;
    for (size_t port = 0; (in = job_input_at(j, port)) != NULL; port++) {
        char name = (char)in->port.data[0];
        if (name == 'c') n.has_c = true, n.is_list = in->is_list;
        for (size_t k = 0; k < in->count; k++) {
            sim_ref r = member_ref(&in->members[k]);
            if (name == 'c' && n.c_count < 4) n.c[n.c_count++] = r;
            else if (name == 'v' && n.v_count < 2) n.v[n.v_count++] = r;
            else if (name == 'x') n.x = r.index;
        }
    }
    return n;
}

static int give_list(weir_job *j, int slot, const char *list)
{
    buf value;
    buf_init(&value);
    value_put_array(&value, strlen(list) / 2);
    for (; *list; list += 2) fake_declare_row(slot + list[0] - '0', slot, list[1], &value);
    int rc = job_value(j, buf_bytes(&value));
    buf_deinit(&value);
    return rc;
}

static int fake_effect_number(bytes name);

static int effect_run(const weir_host *host, weir_job *j)
{
    tracker t;
    sim_result r;
    int64_t slot = -1;
    if (host->param_integer(j, "id", -1, &slot) != 0 || slot < 0) return host->fail(j, "no id");
    sim_node n = job_node(j, fake_effect_number(j->order->effect));
    job_ctx c = {host, j, (int)slot, &t};
    sim_io io = {.ctx = &c, .member = job_member_text, .names = job_names, .file = job_file_text, .need = job_need_texts};
    if (!perform(&graph, (int)slot, &n, &io, &t, &r)) return -1;
    fake_performed((int)slot, &n, &t, r.ok);
    if (!r.ok) return host->fail(j, "there is a !");
    if (is_expand(&n)) return give_list(j, (int)slot, r.value);
    int rc = has_a(&n) ? host->output_write(j, "a", r.a, strlen(r.a)) : 0;
    if (rc == 0 && has_b(&n)) rc = host->output_write(j, "b", r.b, strlen(r.b));
    if (rc == 0 && has_value(&n)) rc = host->value_string(j, r.value, strlen(r.value));
    return rc;
}

enum { EFFECTS = KINDS * 2 * SHAPES };
static weir_effect fake_effects[EFFECTS];
static char fake_effect_names[EFFECTS][24];
static const weir_effect *fake_table[EFFECTS + 1];
static registry_entry fake_entries[EFFECTS];

/* A new version of the effects of a kind; for an engine that is opened later. */
static void fake_set_version(int kind, int version)
{
    for (int i = 0; i < EFFECTS; i++)
        if (i / (2 * SHAPES) == kind) fake_effects[i].version = version ? "2" : "1";
}

static bool x_is_file(const sim_node *n)
{
    (void)n;
    return true;
}

static const char *fake_effect_name(const sim_node *n)
{
    return fake_effect_names[(n->kind * 2 + n->variant) * SHAPES + n->shape];
}

static void fake_effects_make(void)
{
    for (int i = 0; i < EFFECTS; i++) {
        snprintf(fake_effect_names[i], sizeof fake_effect_names[i], "effect%d", i);
        fake_effects[i] = (weir_effect){.size = sizeof(weir_effect), .name = fake_effect_names[i], .version = "1", .help = "", .run = effect_run};
        fake_table[i] = &fake_effects[i];
        fake_entries[i] = (registry_entry){.effect = &fake_effects[i], .library = bytes_of("", 0)};
    }
}

static int fake_effect_number(bytes name)
{
    for (int i = 0; i < EFFECTS; i++)
        if (bytes_equal(name, bytes_str(fake_effect_names[i]))) return i;
    abort();
}

static const registry_entry *fake_entry_of(bytes effect)
{
    return &fake_entries[fake_effect_number(effect)];
}

#endif
