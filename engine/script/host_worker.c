/*
 * host_worker.c - workers, engine side: orders out, reports in, time and memory limits, deaths.
 *
 * A worker announces each job before it begins. So when it dies, the announced job died with it,
 * and all others that were sent
 * are as good as new. The timer looks at the deadline of the announced job, and now and then at the
 * worker's resident memory: Lua has
 * its own budget, this limit is for C.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/script/host_internal.h"

enum { LOOK_MS = 200 }; /* between two looks at the memory */

typedef struct sent_job {
    uint64_t id, timeout_ms;
} sent_job;

struct script_worker {
    channel channel;
    worker_events events;
    void *data;
    script_worker *next; /* in host->forking */
    uint64_t number;
    sent_job *jobs; /* in order; those not yet reported */
    size_t count, capacity;
    uint64_t running;    /* 0: none */
    int64_t deadline_ns; /* 0: none */
    int64_t waits_ns;    /* since when its job waits for an answer; 0: it does not */
    bool is_retiring, is_over;
    char killed[160]; /* why we killed it */
    size_t memory_limit;
    int64_t first_rss; /* bytes, when it was ready */
};

int64_t script_worker_pid(const script_worker *w)
{
    return w->channel.pid;
}

void *script_worker_data(const script_worker *w)
{
    return w->data;
}

void script_worker_set_data(script_worker *w, void *data)
{
    w->data = data;
}

size_t script_worker_load(const script_worker *w)
{
    return w->count;
}

bool script_worker_waits(const script_worker *w)
{
    return w->waits_ns != 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

static int64_t resident_bytes(int64_t pid)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%lld/statm", (long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    os_close(fd);
    if (got <= 0) return 0;
    text[got] = '\0';
    char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

static void arm(script_worker *w)
{
    uint64_t ms = LOOK_MS;
    if (w->deadline_ns) {
        int64_t left = (w->deadline_ns - os_monotonic_ns()) / 1000000 + 1;
        if (left < 0) left = 0;
        if ((uint64_t)left < ms) ms = (uint64_t)left;
    }
    channel_timer(&w->channel, ms);
}

static uint64_t timeout_of(const script_worker *w, uint64_t id)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->jobs[i].id == id) return w->jobs[i].timeout_ms;
    return 0;
}

static void on_tick(void *ctx)
{
    script_worker *w = ctx;
    if (w->running == 0 || w->waits_ns) return;
    if (w->deadline_ns && os_monotonic_ns() >= w->deadline_ns) {
        char why[64];
        snprintf(why, sizeof why, "time limit %g s", (double)timeout_of(w, w->running) / 1000.0);
        script_worker_kill(w, why);
        return;
    }
    if (w->first_rss > 0 &&
        resident_bytes(w->channel.pid) - w->first_rss > (int64_t)w->memory_limit) {
        script_worker_kill(w, "memory limit");
        return;
    }
    arm(w);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void take_began(script_worker *w, bytes payload)
{
    unpack u = unpack_of(payload);
    uint64_t id = unpack_u64(&u);
    uint64_t timeout = timeout_of(w, id);
    w->running = id;
    w->deadline_ns = timeout ? os_monotonic_ns() + (int64_t)timeout * 1000000 : 0;
    arm(w);
    if (w->events.began) w->events.began(w->events.ctx, w, id);
}

static void take_report(script_worker *w, bytes payload)
{
    mem_arena arena;
    job_report report;
    arena_init(&arena);
    if (job_report_get(payload, &arena, &report, NULL) != 0) {
        script_worker_kill(w, "its report cannot be read");
    } else {
        size_t i = 0;
        while (i < w->count && w->jobs[i].id != report.id) i++;
        if (i < w->count) memmove(w->jobs + i, w->jobs + i + 1, (--w->count - i) * sizeof *w->jobs);
        if (w->running == report.id) {
            w->running = 0;
            w->deadline_ns = 0;
            if (w->count == 0) channel_timer_stop(&w->channel);
        }
        if (w->events.report) w->events.report(w->events.ctx, w, &report);
    }
    arena_deinit(&arena);
}

/* Its job waits: the clock stands still, and the others are somebody else's. */
static void take_need(script_worker *w, bytes payload)
{
    mem_arena arena;
    job_request request;
    arena_init(&arena);
    uint64_t *unfinished = mem_zero(w->count + 1, sizeof *unfinished);
    if (!unfinished || job_request_get(payload, &arena, &request, NULL) != 0 || request.id != w->running || w->waits_ns) {
        script_worker_kill(w, "its request cannot be read");
    } else {
        size_t count = 0;
        sent_job own = {.id = w->running, .timeout_ms = timeout_of(w, w->running)};
        for (size_t i = 0; i < w->count; i++)
            if (w->jobs[i].id != w->running) unfinished[count++] = w->jobs[i].id;
        w->jobs[0] = own;
        w->count = 1;
        w->waits_ns = os_monotonic_ns();
        channel_timer_stop(&w->channel);
        if (w->events.need) w->events.need(w->events.ctx, w, &request, unfinished, count);
    }
    mem_free(unfinished);
    arena_deinit(&arena);
}

/* Members of a list: its job goes on at once. */
static void take_list(script_worker *w, bytes payload)
{
    buf frame;
    job_list_request request;
    int64_t before = os_monotonic_ns();
    if (job_list_request_get(payload, &request, NULL) != 0 || request.id != w->running || w->waits_ns || !w->events.list) {
        script_worker_kill(w, "its request cannot be read");
        return;
    }
    buf_init(&frame);
    size_t mark = wire_begin(&frame, WIRE_LISTED);
    w->events.list(w->events.ctx, w, &request, &frame);
    if (w->is_over) buf_deinit(&frame);
    else if (host_send(&w->channel, &frame, mark, -1, NULL) != 0) script_worker_kill(w, "a list for it cannot be sent");
    if (w->deadline_ns) w->deadline_ns += os_monotonic_ns() - before;
}

int script_worker_answer(script_worker *w, const job_answer *answer, weir_error *err)
{
    buf frame;
    if (w->is_over || w->is_retiring) return error_set(err, WEIR_CANCELLED, "the worker has ended");
    buf_init(&frame);
    size_t mark = wire_begin(&frame, WIRE_NEEDED);
    job_answer_put(&frame, answer);
    int rc = host_send(&w->channel, &frame, mark, -1, err);
    if (rc != 0) return rc;
    if (w->deadline_ns) w->deadline_ns += os_monotonic_ns() - w->waits_ns;
    w->waits_ns = 0;
    arm(w);
    return 0;
}

static void on_frame(void *ctx, const wire_frame *frame)
{
    script_worker *w = ctx;
    host_counts.frames++;
    switch (frame->type) {
    case WIRE_READY:
        w->first_rss = resident_bytes(w->channel.pid);
        if (w->events.ready) w->events.ready(w->events.ctx, w);
        break;
    case WIRE_BEGAN: take_began(w, frame->payload); break;
    case WIRE_REPORT: take_report(w, frame->payload); break;
    case WIRE_NEED: take_need(w, frame->payload); break;
    case WIRE_LIST: take_list(w, frame->payload); break;
    default: script_worker_kill(w, "it sent something unknown");
    }
}

/* --- the end ---------------------------------------------------------------------------------- */

static void on_closed(void *ctx)
{
    script_worker *w = ctx;
    mem_free(w->jobs);
    mem_free(w);
}

static void die(script_worker *w, const char *how)
{
    if (w->is_over) return;
    w->is_over = true;
    uint64_t *unfinished = mem_zero(w->count + 1, sizeof *unfinished);
    size_t count = 0;
    for (size_t i = 0; i < w->count && unfinished; i++)
        if (w->jobs[i].id != w->running) unfinished[count++] = w->jobs[i].id;
    channel_close(&w->channel);
    if (w->events.died) w->events.died(w->events.ctx, w, w->running, unfinished, count, how);
    mem_free(unfinished);
}

static void on_ended(void *ctx, const char *how)
{
    script_worker *w = ctx;
    if (w->killed[0]) how = w->killed;
    else if (how[0] == '\0') how = "retired";
    w->channel.is_ended = true;
    die(w, how);
}

/* --- forking ---------------------------------------------------------------------------------- */

static script_worker *take_forking(script_host *host, uint64_t number)
{
    for (script_worker **at = &host->forking; *at; at = &(*at)->next) {
        if ((*at)->number != number) continue;
        script_worker *w = *at;
        *at = w->next;
        w->next = NULL;
        return w;
    }
    return NULL;
}

void host_worker_forked(script_host *host, uint64_t number, int64_t pid, const char *why)
{
    weir_error err = {0};
    script_worker *w = take_forking(host, number);
    if (!w) return;
    if (pid <= 0) {
        die(w, why[0] ? why : "cannot fork a worker");
        return;
    }
    host_counts.workers++;
    if (channel_attach(&w->channel, pid, &err) != 0) {
        channel_kill(&w->channel);
        die(w, err.message);
        return;
    }
    if (w->killed[0]) channel_kill(&w->channel);
}

void host_worker_orphan(script_host *host, const char *why)
{
    char text[200];
    snprintf(text, sizeof text, "script host: %s", why);
    while (host->forking) {
        script_worker *w = host->forking;
        host->forking = w->next;
        w->next = NULL;
        die(w, text);
    }
}

static int ask_for_worker(script_host *host, script_worker *w, int child_fd, weir_error *err)
{
    buf frame;
    buf_init(&frame);
    size_t mark = wire_begin(&frame, WIRE_FORK);
    buf_put_u64(&frame, w->number);
    return host_send(&host->channel, &frame, mark, child_fd, err);
}

int script_worker_fork(script_host *host, const worker_events *events, script_worker **out,
                       weir_error *err)
{
    int pair[2];
    *out = NULL;
    if (host->is_over) return error_set(err, WEIR_CANCELLED, "the script host has ended");
    script_worker *w = mem_zero(1, sizeof *w);
    if (!w) return error_nomem(err, "starting a worker");
    w->events = *events;
    w->number = ++host->next_number;
    w->memory_limit = host->memory_limit;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        mem_free(w);
        return error_errno(err, errno, "cannot start a worker");
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    w->channel = (channel){
        .ctx = w, .frame = on_frame, .ended = on_ended, .tick = on_tick, .closed = on_closed};
    int rc = channel_open(&w->channel, host->channel.loop, pair[0], err);
    if (rc != 0) {
        os_close(pair[1]);
        mem_free(w);
        return rc;
    }
    rc = ask_for_worker(host, w, pair[1], err);
    if (rc != 0) {
        w->is_over = true;
        channel_close(&w->channel);
        return rc;
    }
    w->next = host->forking;
    host->forking = w;
    *out = w;
    return 0;
}

/* --- orders ----------------------------------------------------------------------------------- */

int script_worker_send(script_worker *w, const job_order *orders, size_t count, weir_error *err)
{
    buf frame, one;
    if (w->is_over || w->is_retiring) return error_set(err, WEIR_CANCELLED, "the worker has ended");
    if (!MEM_GROW(w->jobs, w->capacity, w->count + count)) return error_nomem(err, "sending jobs");
    buf_init(&frame);
    buf_init(&one);
    size_t mark = wire_begin(&frame, WIRE_JOBS);
    buf_put_u64(&frame, count);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&one);
        job_order_put(&one, &orders[i]);
        buf_put_bytes(&frame, buf_bytes(&one));
        if (one.failed) frame.failed = true;
    }
    buf_deinit(&one);
    int rc = host_send(&w->channel, &frame, mark, -1, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        w->jobs[w->count++] = (sent_job){orders[i].id, orders[i].timeout_ms};
    return rc;
}

void script_worker_kill(script_worker *w, const char *why)
{
    if (w->is_over) return;
    if (!w->killed[0]) snprintf(w->killed, sizeof w->killed, "%s", why && why[0] ? why : "killed");
    channel_kill(&w->channel);
}

void script_worker_retire(script_worker *w)
{
    buf frame;
    if (w->is_over || w->is_retiring) return;
    w->is_retiring = true;
    buf_init(&frame);
    size_t mark = wire_begin(&frame, WIRE_RETIRE);
    if (host_send(&w->channel, &frame, mark, -1, NULL) != 0) script_worker_kill(w, "retired");
}
