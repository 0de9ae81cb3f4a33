/*
 * jobs.c - executions in workers: Lua and C effects.
 *
 * Lua effects get workers forked from the host that loaded the workflow; nodes of C effects alone get them from a bare host. A worker
 * holds a few jobs at a time: as many as fit into a few milliseconds, judged by how long jobs of this run took, so that slow jobs spread
 * over the workers and tiny ones share a frame. Jobs need no intent: their outputs come only through the engine.
 *
 * In a watch the hosts stay from one run to the next, each with one worker that has not had a job: what a job has loaded (a module, a
 * plug-in) may be another one in the next run. A workflow that is loaded anew takes its host and its workers along.
 *
 * J1  A job is with at most one worker. After a death the one that was running has failed, the others are handed out again.
 * J2  Workers are forked and jobs sent by jobs_pump alone, from the loop of schedule.c; callbacks only change states.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/run/engine.h"
#include "engine/store/document.h"

enum { WORKERS_MOST = 640, RUNNING_MOST = 64, FRAME_MOST = 64, QUEUE_US = 4000 };

typedef struct seat {
    script_worker *worker;
    bool ready, bare, stopping;
    bool used;   /* had a job */
    int slots;   /* that it takes while it is busy */
    size_t load; /* jobs it holds */
    bool alone;  /* they are one, with limits of its own */
} seat;

typedef struct job_pool {
    seat seats[WORKERS_MOST];
    size_t count;
    bool host_lost;      /* the end of the host was counted: it takes all workers along that it has not forked yet */
    double mean_us;      /* of a job, smoothed; 0: none ended yet */
    collector collect;   /* of the host of the workflow */
    collector no_collect; /* of a bare one */
    mem_arena values;    /* values of this run that may not be committed yet */
    map value_at;        /* hash -> bytes * */
} job_pool;

static job_pool *pool_of(weir *w)
{
    if (!w->workers) {
        job_pool *p = mem_zero(1, sizeof *p);
        if (!p) return NULL;
        arena_init(&p->values);
        map_init(&p->value_at);
        w->workers = p;
    }
    return w->workers;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

void jobs_remember_value(weir *w, hash128 hash, bytes encoded)
{
    job_pool *p = pool_of(w);
    if (!p) return;
    bool added = false;
    uint64_t *slot = map_put(&p->value_at, bytes_of(hash.bytes, HASH_SIZE), &added);
    if (!slot || !added) return;
    bytes *copy = arena_alloc(&p->values, sizeof *copy);
    if (copy) *copy = arena_bytes(&p->values, encoded);
    if (!copy || p->values.failed) {
        map_remove(&p->value_at, bytes_of(hash.bytes, HASH_SIZE));
        return;
    }
    *slot = (uint64_t)(uintptr_t)copy;
}

static void forget_values(weir *w)
{
    job_pool *p = w->workers;
    if (!p) return;
    map_clear(&p->value_at);
    arena_reset(&p->values);
}

/* The encoding behind a value's hash, from this run or the store. WEIR_NOTFOUND: it must be made again. */
int jobs_value(task *t, hash128 hash, bytes *encoded, weir_error *err)
{
    weir *w = t->w;
    job_pool *p = pool_of(w);
    uint64_t *slot = p ? map_get(&p->value_at, bytes_of(hash.bytes, HASH_SIZE)) : NULL;
    if (slot) {
        *encoded = *(const bytes *)(uintptr_t)*slot;
        return 0;
    }
    buf content;
    buf_init(&content);
    int rc = blob_read(w->blobs, catalog_db(w->catalog), hash, VALUE_LIMIT, &content, err);
    if (rc == WEIR_NOTFOUND && catalog_refresh(w->catalog, err) == 0)
        rc = blob_read(w->blobs, catalog_db(w->catalog), hash, VALUE_LIMIT, &content, err);
    if (rc == 0) *encoded = arena_bytes(&t->arena, buf_bytes(&content));
    if (rc == 0 && content.size < 65536) jobs_remember_value(w, hash, buf_bytes(&content));
    buf_deinit(&content);
    return rc;
}

/* --- seats -------------------------------------------------------------------------------------------------------- */

static task *task_of(weir *w, uint64_t execution)
{
    for (task *t = w->tasks; t; t = t->next)
        if (t->execution == execution && t->effect && t->effect->spec.kind != EFFECT_COMMAND) return t;
    return NULL;
}

static seat *seat_of(weir *w, const script_worker *worker)
{
    job_pool *p = w->workers;
    for (size_t i = 0; p && i < p->count; i++)
        if (p->seats[i].worker == worker) return &p->seats[i];
    return NULL;
}

/* A job has left its worker; the last one gives back the worker's slots. */
static void leave_seat(task *t)
{
    seat *s = t->worker ? seat_of(t->w, t->worker) : NULL;
    t->worker = NULL;
    limits_give(t);
    if (!s || s->load == 0 || --s->load > 0) return;
    limits_give_slots(t->w, s->slots);
    s->slots = 0;
    s->alone = false;
}

void jobs_give_seat(task *t)
{
    seat *s = t->worker ? seat_of(t->w, t->worker) : NULL;
    limits_give(t);
    if (!s) return;
    limits_give_slots(t->w, s->slots);
    s->slots = 0;
}

int jobs_take_seat(task *t, weir_error *err)
{
    seat *s = t->worker ? seat_of(t->w, t->worker) : NULL;
    int rc = limits_take(t->w, t, err);
    if (rc != 0 || !s) return rc;
    s->slots = t->slots;
    t->slots = 0;
    return 0;
}

static void on_report(void *ctx, script_worker *worker, const job_report *report)
{
    weir *w = ctx;
    (void)worker;
    task *t = task_of(w, report->id);
    if (!t) return;
    job_pool *p = pool_of(w);
    double us = (double)report->duration_us;
    if (p) p->mean_us = p->mean_us == 0 ? us : 0.8 * p->mean_us + 0.2 * us;
    leave_seat(t);
    jobs_reported(t, report);
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static void on_ready(void *ctx, script_worker *worker)
{
    seat *s = seat_of(ctx, worker);
    if (s) s->ready = true;
}

static void on_began(void *ctx, script_worker *worker, uint64_t execution)
{
    task *t = task_of(ctx, execution);
    (void)worker;
    if (!t) return;
    t->started_us = os_wall_us();
    t->started_ns = os_monotonic_ns();
}

static void hand_out_again(task *t)
{
    leave_seat(t);
    schedule_ready(t);
    t->w->jobs_running--;
}

/* A value that is gone from the store: the attempt ends, and what makes it runs again first. */
static void list_lost(task *t, uint64_t maker, job_list_answer *answer)
{
    t->brought = true;
    t->lost_maker = maker;
    *answer = (job_list_answer){.is_failure = true, .failure = bytes_str("a value in the list is gone from the store; it is made again")};
}

static void on_list(void *ctx, script_worker *worker, const job_list_request *request, buf *to)
{
    weir *w = ctx;
    weir_error err = {0};
    task *t = task_of(w, request->id);
    job_list_answer answer = {.is_failure = true, .failure = bytes_str("the engine does not know this job")};
    uint64_t missing = 0;
    (void)worker;
    int rc = t ? jobs_list(t, request, &answer, &missing, &err) : 0;
    if (missing) list_lost(t, missing, &answer);
    else if (rc != 0) {
        if (rc != WEIR_FAILED) schedule_fail(w, &err); /* else something is in the way of an output */
        answer = (job_list_answer){.is_failure = true, .failure = bytes_str(err.message)};
    }
    job_list_answer_put(to, &answer);
}

static void on_need(void *ctx, script_worker *worker, const job_request *request, const uint64_t *unfinished, size_t count)
{
    weir *w = ctx;
    weir_error err = {0};
    seat *s = seat_of(w, worker);
    for (size_t i = 0; i < count; i++) {
        task *u = task_of(w, unfinished[i]);
        if (u) hand_out_again(u);
    }
    task *t = task_of(w, request->id);
    if (!t || !s) return;
    if (need_begin(t, request, &err) != 0) schedule_fail(w, &err);
}

void jobs_end_waiting(task *t)
{
    seat *s = seat_of(t->w, t->worker);
    if (!s || s->stopping) return;
    s->stopping = true;
    script_worker_kill(s->worker, "interrupted");
}

static void on_died(void *ctx, script_worker *worker, uint64_t running, const uint64_t *unfinished, size_t unfinished_count, const char *how)
{
    weir *w = ctx;
    job_pool *p = w->workers;
    seat *s = seat_of(w, worker);
    bool stopping = s && s->stopping, was_ready = s && s->ready;
    if (s) {
        limits_give_slots(w, s->slots);
        *s = p->seats[--p->count];
    }
    task *t = running ? task_of(w, running) : NULL;
    if (t && t->superseded && !stopping) {
        t->end.duration_us = (uint64_t)((os_monotonic_ns() - t->started_ns) / 1000);
        jobs_failed(t, EXECUTION_INTERRUPTED, t->superseded);
        t = NULL;
    }
    if (t) {
        char message[200];
        snprintf(message, sizeof message, "the worker died: %s", how);
        if (!stopping && (need_ended(t) == NEED_RESTART || need_ended(t) == NEED_BLOCKED)) {
            jobs_given_up(t, NULL);
            t = NULL;
        }
        if (t && t->started_ns) t->end.duration_us = (uint64_t)((os_monotonic_ns() - t->started_ns) / 1000);
        if (t) jobs_failed(t, stopping ? EXECUTION_INTERRUPTED : EXECUTION_TRANSIENT, stopping ? "interrupted" : message);
    }
    for (size_t i = 0; i < unfinished_count; i++) {
        task *u = task_of(w, unfinished[i]);
        if (u) hand_out_again(u);
    }
    bool by_host = strncmp(how, "script host: ", 13) == 0, is_counted = by_host && p->host_lost;
    p->host_lost = p->host_lost || by_host;
    if (!running && unfinished_count == 0 && !stopping && s && !was_ready && !is_counted && strcmp(how, "retired") != 0) {
        weir_error err = {0};
        error_set(&err, WEIR_IO, "cannot start workers: %s", how);
        if (++w->worker_failures > 3) schedule_fail(w, &err);
    }
}

/* --- hosts -------------------------------------------------------------------------------------------------------- */

static int start_host(weir *w, bool bare, weir_error *err)
{
    job_pool *p = pool_of(w);
    if (!p) return error_nomem(err, "starting the script host");
    script_config config = {.program = w->host_program, .rootfd = w->rootfd, .workflow = bare ? NULL : w->workflow, .stop = &w->interrupts};
    definition_clear(&w->reload);
    definition_init(&w->reload);
    collector *c = bare ? &p->no_collect : &p->collect;
    *c = (collector){.w = w, .def = &w->reload, .quiet = true};
    script_events events = define_events(c);
    script_host **slot = bare ? &w->bare : &w->host;
    int rc = script_host_start(slot, &w->loop, &config, &events, err);
    if (rc == 0) rc = script_host_wait(*slot, err);
    if (rc == 0 && !bare && (w->reload.errors > 0 || w->reload.died)) { /* changed while it ran, or a value was set that does not fit */
        define_tell(w, &w->reload);
        rc = error_set(err, WEIR_WORKFLOW, "%s does not load any more", w->workflow);
    }
    if (rc != 0) {
        script_host_close(*slot);
        *slot = NULL;
        return rc;
    }
    p->host_lost = false;
    if (bare) w->bare_ready = true;
    else w->host_ready = true;
    return 0;
}

static size_t count_workers(const job_pool *p, bool bare)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) n += p->seats[i].bare == bare && !p->seats[i].stopping && !script_worker_waits(p->seats[i].worker);
    return n;
}

static int ensure_host(weir *w, bool bare, weir_error *err)
{
    return (bare ? w->bare_ready : w->host_ready) ? 0 : start_host(w, bare, err);
}

/* It died between two workers (killed, out of memory); its workers go on. */
static int replace_host(weir *w, bool bare, weir_error *err)
{
    script_host **slot = bare ? &w->bare : &w->host;
    bool *ready = bare ? &w->bare_ready : &w->host_ready;
    if (++w->worker_failures > 3) return error_set(err, WEIR_IO, "cannot start workers: the script host ended again and again");
    script_host_close(*slot);
    *slot = NULL;
    *ready = false;
    error_clear(err);
    return start_host(w, bare, err);
}

static int fork_worker(weir *w, bool bare, weir_error *err)
{
    worker_events events = {.ctx = w, .ready = on_ready, .began = on_began, .report = on_report, .need = on_need, .list = on_list, .died = on_died};
    job_pool *p = w->workers;
    seat *s = &p->seats[p->count];
    *s = (seat){.bare = bare};
    int rc = script_worker_fork(bare ? w->bare : w->host, &events, &s->worker, err);
    if (rc == 0) p->count++;
    return rc;
}

/* Enough workers for what waits, at most one a slot. */
static int hire(weir *w, bool bare, size_t waiting, weir_error *err)
{
    job_pool *p = pool_of(w);
    if (!p) return error_nomem(err, "starting workers");
    int ready = ensure_host(w, bare, err);
    if (ready != 0) return ready;
    size_t have = count_workers(p, bare);
    while (have < waiting && have < (size_t)w->slots && have < RUNNING_MOST && p->count < WORKERS_MOST) {
        int rc = fork_worker(w, bare, err);
        if (rc == WEIR_CANCELLED) {
            rc = replace_host(w, bare, err);
            if (rc != 0) return rc;
            continue;
        }
        if (rc != 0) return rc;
        have++;
    }
    return 0;
}

static size_t depth(const job_pool *p)
{
    if (p->mean_us <= 0) return 2;
    double fits = QUEUE_US / p->mean_us;
    return fits < 1 ? 1 : fits > FRAME_MOST ? FRAME_MOST : (size_t)fits;
}

static bool wants_bare(const task *t)
{
    return t->effect->spec.kind == EFFECT_C && !t->w->host_ready;
}

/* A value that is needed and gone from the store: its maker runs again first. */
int jobs_make_again(task *t, uint64_t maker, weir_error *err)
{
    weir *w = t->w;
    cat_node *up = catalog_node(w->catalog, maker, err);
    if (!up) return err->code ? err->code : WEIR_BUG;
    if (plan_state_of(w->plan, maker) == PLAN_SETTLED)
        return error_set(err, WEIR_CORRUPT, "the value of %s cannot be kept", (const char *)up->spec.name.data);
    up->forced = true;
    int rc = plan_wait(w->plan, t->node->id, maker, up->height, err);
    if (rc == 0) rc = plan_due(w->plan, maker, up->height, err);
    if (rc == 0) schedule_free(t);
    return rc;
}

/* Fill one worker's frame with ready tasks of its kind. */
static int feed(weir *w, seat *s, size_t *left, weir_error *err)
{
    job_pool *p = w->workers;
    size_t load = script_worker_load(s->worker), most = depth(p);
    size_t share = *left / (p->count ? p->count : 1) + 1;
    if (load >= most) return 0;
    size_t room = most - load < share ? most - load : share;
    job_order orders[FRAME_MOST];
    size_t count = 0;
    task *next = NULL;
    if (s->alone || (s->load == 0 && limits_full(w))) return 0;
    for (task *t = w->tasks; t && count < room && !s->alone; t = next) {
        next = t->next;
        if (t->state != TASK_READY || t->effect->spec.kind == EFFECT_COMMAND) continue;
        if (t->effect->spec.kind == EFFECT_LUA && s->bare) continue;
        if (limits_is_special(t) && s->load > 0) continue; /* it wants a worker for itself */
        if (s->load == 0 && !limits_may_start(w, t)) continue;
        if (t->execution == 0) t->execution = catalog_new_execution_id(w->catalog);
        uint64_t missing = 0;
        int rc = jobs_order(t, &orders[count], &missing, err);
        if (missing) {
            rc = jobs_make_again(t, missing, err);
            if (rc != 0) return rc;
            continue;
        }
        if (rc != 0) return rc;
        if (s->load == 0) {
            rc = limits_take(w, t, err);
            if (rc != 0) return rc;
            s->alone = limits_is_special(t);
            s->slots = t->slots; /* they are the worker's */
            t->slots = 0;
        }
        s->load++;
        s->used = true;
        t->state = TASK_RUNNING;
        t->worker = s->worker;
        t->started_us = os_wall_us();
        schedule_unready(t);
        w->jobs_running++;
        (*left)--;
        count++;
        tell_started(t);
    }
    int rc = count ? script_worker_send(s->worker, orders, count, err) : 0;
    if (rc != WEIR_CANCELLED) return rc;
    error_clear(err); /* it has ended, `died` is on its way */
    s->ready = false;
    for (size_t i = 0; i < count; i++) {
        task *t = task_of(w, orders[i].id);
        if (t) hand_out_again(t);
    }
    return 0;
}

static bool may_feed(const seat *s)
{
    if (!s->ready || s->stopping || script_worker_waits(s->worker)) return false;
    return s->load == 0 || s->slots > 0; /* without slots: its job was told to end */
}

void jobs_pump(weir *w)
{
    weir_error err = {0};
    size_t lua = 0, bare = 0;
    if (schedule_stopping(w) || w->jobs_ready == 0) return;
    for (task *t = w->tasks; t; t = t->next) {
        if (t->state != TASK_READY || t->effect->spec.kind == EFFECT_COMMAND) continue;
        if (wants_bare(t)) bare++;
        else lua++;
    }
    if (lua + bare == 0) return;
    int rc = lua ? hire(w, false, lua, &err) : 0;
    if (rc == 0 && bare && !w->host_ready) rc = hire(w, true, bare, &err);
    job_pool *p = pool_of(w);
    size_t left = lua + bare;
    for (size_t i = 0; rc == 0 && p && i < p->count && left > 0; i++)
        if (may_feed(&p->seats[i])) rc = feed(w, &p->seats[i], &left, &err);
    if (rc != 0) schedule_fail(w, &err);
}

void jobs_supersede(task *t)
{
    script_worker_kill(t->worker, "superseded");
}

void jobs_stop(weir *w, bool now)
{
    job_pool *p = w->workers;
    for (size_t i = 0; p && i < p->count; i++) {
        if (p->seats[i].stopping && !now) continue;
        p->seats[i].stopping = true;
        if (now) script_worker_kill(p->seats[i].worker, "interrupted");
        else script_worker_retire(p->seats[i].worker);
    }
}

collector *jobs_collector(weir *w)
{
    job_pool *p = pool_of(w);
    return p ? &p->collect : NULL;
}

static void stop_seat(seat *s)
{
    if (s->stopping) return;
    s->stopping = true;
    script_worker_retire(s->worker);
}

static size_t count_stopping(const job_pool *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) n += p->seats[i].stopping;
    return n;
}

/* Until all that were told to end have done so. */
static void await_stopping(weir *w)
{
    job_pool *p = w->workers;
    int64_t limit = os_monotonic_ns() + 2000000000;
    while (p && count_stopping(p) > 0) {
        for (size_t i = 0; os_monotonic_ns() > limit && i < p->count; i++)
            if (p->seats[i].stopping) script_worker_kill(p->seats[i].worker, "interrupted");
        uv_run(&w->loop, UV_RUN_ONCE);
    }
}

void jobs_drop_host(weir *w)
{
    job_pool *p = w->workers;
    for (size_t i = 0; p && i < p->count; i++)
        if (!p->seats[i].bare) stop_seat(&p->seats[i]);
    script_host_close(w->host);
    w->host = NULL;
    w->host_ready = false;
    await_stopping(w);
}

/* One worker that waits for the next run; what has had a job goes. */
static void keep_spare(weir *w, bool bare)
{
    job_pool *p = w->workers;
    bool has = false;
    for (size_t i = 0; i < p->count; i++) {
        seat *s = &p->seats[i];
        if (s->bare != bare) continue;
        if (s->used || has || s->load > 0) stop_seat(s);
        else has |= !s->stopping;
    }
    if (!has && fork_worker(w, bare, &(weir_error){0}) != 0) { /* the next run finds out why */
        script_host_close(bare ? w->bare : w->host);
        if (bare) w->bare = NULL;
        else w->host = NULL;
        *(bare ? &w->bare_ready : &w->host_ready) = false;
    }
}

void jobs_end(weir *w, bool keep)
{
    job_pool *p = w->workers;
    if (!keep || !p) jobs_stop(w, false);
    if (p && w->host_ready && keep) keep_spare(w, false);
    else jobs_drop_host(w);
    if (p && w->bare_ready && keep) {
        keep_spare(w, true);
    } else {
        script_host_close(w->bare);
        w->bare = NULL;
        w->bare_ready = false;
    }
    await_stopping(w);
    forget_values(w);
    definition_clear(&w->reload);
}

void jobs_free(weir *w)
{
    job_pool *p = w->workers;
    if (!p) return;
    map_deinit(&p->value_at);
    arena_deinit(&p->values);
    mem_free(p);
    w->workers = NULL;
}
