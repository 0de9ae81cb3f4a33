/*
 * control_job.c - what the clients of a watch ask, and how it is answered.
 *
 *   run, accept   a question to the watch, with a request of its own
 *   set, void     done where a run of the watch begins, which then brings up to date what hangs on it
 *   look          a barrier, and a run of the watch if that showed anything
 *   events        from the database, as it grows
 *
 * A job is kept until its run has ended, also when its client is gone: the engine borrows its
 * request.
 */
#include "engine/door/control_internal.h"

#include <stdio.h>
#include <unistd.h>

#include "engine/door/log.h"
#include "engine/door/relay.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"
#include "generated/schema.h"

enum { EVENTS_KEPT = 256 * 1024, EVENTS_AT_ONCE = 200, PROGRESS_KEPT = 64 * 1024 };

typedef enum job_kind { JOB_RUN, JOB_SET, JOB_VOID, JOB_LOOK } job_kind;

struct job {
    control *control;
    client *from; /* NULL: gone */
    struct job *next, *prev;
    job_kind kind;
    mem_arena arena;
    weir_request request;
    const char **targets;
    weir_assignment *values; /* json NULL: forget it */
    size_t target_count, value_count;
    char **environment; /* NULL: that of the watch */
    bool is_asked;      /* the watch has the question */
    bool has_begun;
    bool is_answered; /* the client has what it wanted; the run goes on */
    watching_question question;
};

/* --- jobs ---------------------------------------------------------------------------------------------------------- */

static job *job_new(client *c, job_kind kind)
{
    control *x = c->control;
    job *j = mem_zero(1, sizeof *j);
    if (!j) return NULL;
    *j = (job){.control = x, .from = c, .next = x->jobs, .kind = kind};
    arena_init(&j->arena);
    if (x->jobs) x->jobs->prev = j;
    x->jobs = j;
    c->job = j;
    return j;
}

static void job_free(job *j)
{
    control *x = j->control;
    if (j->from) j->from->job = NULL;
    if (x->current == j) x->current = NULL;
    if (x->basis == j) x->basis = NULL;
    if (j->prev) j->prev->next = j->next;
    else x->jobs = j->next;
    if (j->next) j->next->prev = j->prev;
    arena_deinit(&j->arena);
    mem_free(j);
}

void control_free_jobs(control *x)
{
    if (x->environment) environ = x->environment;
    while (x->jobs) job_free(x->jobs);
}

/* The client hears no more of it. */
static void let_go(job *j)
{
    if (j->from) j->from->job = NULL;
    j->from = NULL;
}

void control_leave(client *c)
{
    job *j = c->job;
    if (!j) return;
    let_go(j);
    if (j->has_begun) {
        if (j->kind == JOB_RUN) watching_stop(j->control->engine);
    } else if (j->is_asked) {
        watching_withdraw(j->control->engine, &j->question);
        job_free(j);
    }
}

static void send_end(client *c, const char *what, int rc, const weir_error *err)
{
    jsonout_open(&c->out, '{');
    jsonout_member(&c->out, "end", bytes_str(what));
    jsonout_key(&c->out, "code");
    jsonout_signed(&c->out, rc);
    jsonout_member(&c->out, "message", bytes_str(rc != 0 ? err->message : ""));
    buf_text(&c->out, "}\n");
    client_send(c);
}

static void send_look(client *c, bool busy)
{
    uv_timer_stop(&c->timer);
    buf_printf(&c->out, "{\"end\":\"look\",\"busy\":%s}\n", busy ? "true" : "false");
    client_send(c);
}

/* --- the run of a question ----------------------------------------------------------------------------------------- */

/* What somebody's shell exports counts for what is run from it. */
static void put_environment(control *x, const job *j)
{
    if (!x->environment) x->environment = environ;
    environ = j && j->environment ? j->environment : x->environment;
}

/*
 * What was made with other values stays so until somebody asks for a run with others again: the
 * watch goes on with them. A question that was not understood, or taken back, changes nothing.
 */
static void go_on_with(control *x, job *j, int rc)
{
    if (rc != 0 && rc != WEIR_FAILED) {
        put_environment(x, x->basis);
        job_free(j);
        return;
    }
    let_go(j);
    x->current = NULL;
    if (x->basis) job_free(x->basis);
    x->basis = j;
    watching_values(x->engine, j->values, j->value_count);
}

static int set_values(job *j, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < j->value_count; i++)
        rc = weir_set(j->control->engine, j->values[i].name, j->values[i].json, err);
    return rc;
}

/* Between two runs, so the engine is free. */
static void do_set(job *j)
{
    weir_error err = {0};
    int rc = set_values(j, &err);
    watching_wake(j->control->engine);
    client *c = j->from;
    let_go(j);
    if (c) send_end(c, "set", rc, &err);
}

static void do_void(job *j)
{
    weir_error err = {0};
    weir_summary summary = {.size = sizeof summary};
    j->control->current = j;
    int rc = weir_void(j->control->engine, j->targets, j->target_count, &summary, &err);
    j->control->current = NULL;
    watching_wake(j->control->engine);
    client *c = j->from;
    let_go(j);
    if (c) relay_put_end(&c->out, &summary, rc, &err);
    if (c) client_send(c);
}

static void begun(void *ctx)
{
    job *j = ctx;
    j->has_begun = true;
    if (j->kind == JOB_SET) do_set(j);
    if (j->kind == JOB_VOID) do_void(j);
    if (j->kind != JOB_RUN) return;
    j->control->current = j;
    put_environment(j->control, j);
}

static void answered(void *ctx, const weir_summary *summary, int rc, const weir_error *err)
{
    job *j = ctx;
    client *c = j->from;
    bool has_begun = j->has_begun;
    job_kind kind = j->kind;
    if (kind == JOB_RUN && has_begun) go_on_with(j->control, j, rc);
    else job_free(j);
    if (!c) return;
    if (!has_begun) { /* the watch ended before it came to this: the client may do it by itself */
        client_close(c);
    } else if (kind == JOB_LOOK) {
        send_look(c, false);
    } else {
        relay_put_end(&c->out, summary, rc, err);
        client_send(c);
    }
}

static void ask_watch(job *j, const weir_request *request)
{
    weir_error err = {0};
    client *c = j->from;
    j->question =
        (watching_question){.request = request, .begun = begun, .answered = answered, .ctx = j};
    if (watching_ask(j->control->engine, &j->question, &err) == 0) {
        j->is_asked = true;
        return;
    }
    job_free(j);
    if (c) client_refuse(c, "request", "%s", err.message);
}

void control_event(void *ctx, const weir_event *event)
{
    control *x = ctx;
    client *c = x->current ? x->current->from : NULL;
    if (!c) return;
    if (event->kind == WEIR_EVENT_PROGRESS && c->out.size - c->sent > PROGRESS_KEPT) return;
    relay_put_event(&c->out, event);
    client_send(c);
}

int64_t control_asker(const control *x)
{
    return x->current && x->current->from ? x->current->from->pid : 0;
}

/* --- reading a question -------------------------------------------------------------------------------------------- */

/* A list of texts, ended by NULL. */
static const char **read_texts(job *j, bytes object, const char *name, size_t *count)
{
    bytes list, one;
    value_item head;
    *count = 0;
    if (!value_member(object, name, &list)) return arena_zero(&j->arena, 1, sizeof(char *));
    value_reader r = value_read(list);
    if (!value_next(&r, &head) || head.type != VALUE_ARRAY) return NULL;
    const char **texts = arena_zero(&j->arena, head.count + 1, sizeof *texts);
    for (size_t i = 0; texts && i < head.count && value_skip(&r, &one); i++) {
        texts[i] = relay_text_of(&j->arena, one);
        if (!texts[i]) return NULL;
        *count = i + 1;
    }
    return texts;
}

static bool read_values(job *j, bytes object)
{
    bytes list, one;
    value_item head;
    if (!value_member(object, "values", &list)) return true;
    value_reader r = value_read(list);
    if (!value_next(&r, &head) || head.type != VALUE_ARRAY) return false;
    j->values = arena_zero(&j->arena, head.count + 1, sizeof *j->values);
    for (size_t i = 0; j->values && i < head.count && value_skip(&r, &one); i++) {
        j->values[i] = (weir_assignment){relay_text(&j->arena, one, "name"),
                                         relay_text(&j->arena, one, "json")};
        if (!j->values[i].name) return false;
        j->value_count = i + 1;
    }
    return j->values != NULL;
}

static bool has_value(const job *j, const char *name)
{
    for (size_t i = 0; i < j->value_count; i++)
        if (strcmp(j->values[i].name, name) == 0) return true;
    return false;
}

/* Those that the watch was started with count where the question names none. */
static bool add_own_values(job *j)
{
    const weir_request *own = j->control->own;
    weir_assignment *all =
        arena_zero(&j->arena, j->value_count + own->value_count + 1, sizeof *all);
    if (!all) return false;
    if (j->value_count) memcpy(all, j->values, j->value_count * sizeof *all);
    size_t count = j->value_count;
    for (size_t i = 0; i < own->value_count; i++)
        if (!has_value(j, own->values[i].name)) all[count++] = own->values[i];
    j->values = all;
    j->value_count = count;
    return true;
}

static bool read_job(job *j, bytes object)
{
    size_t count = 0;
    j->targets = read_texts(j, object, "targets", &j->target_count);
    const char **variables = read_texts(j, object, "environment", &count);
    if (!j->targets || !variables || !read_values(j, object)) return false;
    if (count > 0) j->environment = (char **)(uintptr_t)variables;
    return !j->arena.failed;
}

/* Limits that the question leaves open are those of the watch. */
static void make_request(job *j, bytes object, unsigned flags, const char *trigger)
{
    const weir_request *own = j->control->own;
    int64_t jobs = relay_number(object, "jobs"), memory = relay_number(object, "mem_bytes");
    bool has_load = value_member(object, "load", &(bytes){0});
    j->request =
        (weir_request){.size = sizeof j->request,
                       .targets = j->targets,
                       .target_count = j->target_count,
                       .values = j->values,
                       .value_count = j->value_count,
                       .jobs = jobs > 0 && jobs <= 10000 ? (int)jobs : own->jobs,
                       .flags = flags | (relay_is_true(object, "force") ? WEIR_RUN_FORCE : 0u) |
                                (relay_is_true(object, "stop_first") ? WEIR_RUN_STOP_FIRST : 0u),
                       .trigger = trigger,
                       .mem_bytes = memory > 0 ? (uint64_t)memory : own->mem_bytes,
                       .has_load = has_load || own->has_load,
                       .load = has_load ? relay_real(object, "load") : own->load};
}

static bool has_other_workflow(client *c, bytes object)
{
    mem_arena arena;
    arena_init(&arena);
    const char *workflow = relay_text(&arena, object, "workflow");
    bool is_other = workflow && strcmp(workflow, c->control->project->workflow) != 0;
    if (is_other)
        client_refuse(c, "workflow", "the watch works on %s, not on %s",
                      c->control->project->workflow, workflow);
    arena_deinit(&arena);
    return is_other;
}

/* --- questions ----------------------------------------------------------------------------------------------------- */

static void ask_run(client *c, bytes object, job_kind kind, unsigned flags, const char *trigger)
{
    if (has_other_workflow(c, object)) return;
    job *j = job_new(c, kind);
    if (!j || !read_job(j, object) || (kind == JOB_RUN && !add_own_values(j))) {
        if (j) job_free(j);
        client_refuse(c, "request", "\"%s\" is not asked like this; see control.h", trigger);
        return;
    }
    make_request(j, object, flags, trigger);
    ask_watch(j, kind == JOB_RUN ? &j->request : NULL);
    if (c->job) uv_timer_start(&c->timer, client_on_time, CONTROL_QUEUED_MS, 0);
}

static void seen(void *ctx)
{
    job *j = ctx;
    client *c = j->from;
    if (!c || !watching_is_suspicious(j->control->engine)) {
        job_free(j);
        if (c) send_look(c, false);
        return;
    }
    ask_watch(j, NULL);
}

static void ask_look(client *c)
{
    weir_error err = {0};
    if (watching_is_paused(c->control->engine)) {
        send_look(c, true);
        return;
    }
    job *j = job_new(c, JOB_LOOK);
    if (j && watching_barrier(c->control->engine, seen, j, &err) == 0) {
        uv_timer_start(&c->timer, client_on_time, CONTROL_LOOK_MS, 0);
        return;
    }
    if (j) job_free(j);
    send_look(c, true);
}

void control_timeout(client *c)
{
    job *j = c->job;
    if (!j || (j->has_begun && j->kind != JOB_LOOK)) return;
    if (j->kind != JOB_LOOK) {
        buf_text(&c->out, "{\"queued\":true}\n");
        client_send(c);
        return;
    }
    control_leave(c);
    send_look(c, true);
}

static void ask_events(client *c, bytes object)
{
    int64_t from = relay_number(object, "from");
    c->follows = from > 0 ? (uint64_t)from : 1;
    control_pump(c);
}

static void cancel(client *c)
{
    job *j = c->job;
    c->follows = 0;
    if (!j) return;
    if (j->kind == JOB_RUN && j->has_begun) {
        watching_stop(j->control->engine);
        return;
    }
    job_kind kind = j->kind;
    weir_error err = {.code = WEIR_CANCELLED, .message = "interrupted"};
    control_leave(c);
    if (kind == JOB_LOOK) send_look(c, true);
    else if (kind == JOB_SET) send_end(c, "set", WEIR_CANCELLED, &err);
    else
        relay_put_end(&c->out, &(weir_summary){.size = sizeof(weir_summary), .interrupted = 1},
                      WEIR_CANCELLED, &err);
    client_send(c);
}

void control_take(client *c, bytes object)
{
    mem_arena arena;
    arena_init(&arena);
    const char *ask = relay_text(&arena, object, "ask");
    if (!ask) ask = "";
    if (strcmp(ask, "cancel") == 0) cancel(c);
    else if (c->job || c->follows) client_refuse(c, "request", "one question at a time");
    else if (strcmp(ask, "run") == 0) ask_run(c, object, JOB_RUN, 0, "command");
    else if (strcmp(ask, "accept") == 0) ask_run(c, object, JOB_RUN, WEIR_RUN_ACCEPT, "accept");
    else if (strcmp(ask, "void") == 0) ask_run(c, object, JOB_VOID, 0, "void");
    else if (strcmp(ask, "set") == 0) ask_run(c, object, JOB_SET, 0, "set");
    else if (strcmp(ask, "look") == 0) ask_look(c);
    else if (strcmp(ask, "events") == 0) ask_events(c, object);
    else client_refuse(c, "request", "\"%s\" cannot be asked", ask);
    arena_deinit(&arena);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static int put_events(client *c, weir_error *err)
{
    control *x = c->control;
    bool stale = false;
    int rc = x->reader ? 0 : db_open(&x->reader, x->project->db_path, DB_READ, &stale, err);
    db_stmt *s = rc == 0 ? db_get(x->reader, SQL_DOOR_EVENTS, err) : NULL;
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)c->follows);
    db_bind_int(s, 2, EVENTS_AT_ONCE);
    while ((rc = db_step(s, err)) == 1) {
        c->follows = (uint64_t)db_int(s, 0) + 1;
        rc = log_put_event(&c->out, s, err);
        buf_byte(&c->out, '\n');
        if (rc != 0) break;
    }
    db_reset(s);
    return rc;
}

void control_pump(client *c)
{
    weir_error err = {0};
    while (!c->is_closed && !c->leaving && c->follows && c->follows <= c->control->recorded &&
           c->out.size - c->sent < EVENTS_KEPT) {
        uint64_t before = c->follows;
        if (put_events(c, &err) != 0) {
            client_refuse(c, "request", "%s", err.message);
            return;
        }
        client_send(c);
        if (c->follows == before) return;
    }
}
