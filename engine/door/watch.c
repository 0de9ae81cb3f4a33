/*
 * watch.c - weir watch: a series of runs, keys on a terminal, and a socket at which other commands
 * ask for runs of theirs.
 *
 * On a terminal each run is a block, with the nodes that ran and why; below stands one status line.
 * Elsewhere plain lines, or with --json those of all runs.
 */
#include <stdio.h>

#include "engine/door/commands.h"
#include "engine/door/control.h"
#include "engine/door/query.h"
#include "engine/door/remote.h"
#include "engine/door/request.h"
#include "engine/door/terminal.h"
#include "engine/run/watching.h"

enum { LOG_SHOWN = 10, TICK_MS = 1000 };

/* A run that a key asks for. */
typedef struct key_run {
    mem_arena arena;
    weir_request request;
    watching_question question;
    bool is_open;
    bool is_of_failed; /* their users are blocked until the run that follows */
} key_run;

typedef struct watch_report {
    reporting to;
    const options *o;
    session s;
    control *control;
    terminal *terminal; /* NULL: none, and no keys */
    uv_timer_t tick;    /* of it: seconds pass while nothing else happens */
    weir_request own;
    key_run key_run;
    char *last;       /* node that ran last; owned */
    int64_t last_run; /* when it did; 0: in the run that is under way */
    size_t folders;
    uint64_t failed; /* in the last run: failed and blocked */
    uint64_t due;    /* what a cancelled one left */
    bool is_broken, is_running, is_paused, has_tick, has_quit;
} watch_report;

/* --- the status line --------------------------------------------------------------------------------- */

static void put_state(buf *to, const watch_report *r)
{
    if (r->is_broken) buf_printf(to, "%s has errors", r->s.project.workflow);
    else if (r->failed > 0) buf_printf(to, "%llu not made", (unsigned long long)r->failed);
    else if (r->due > 0) buf_printf(to, "%llu still due", (unsigned long long)r->due);
    else buf_text(to, "up to date");
}

static void draw(watch_report *r)
{
    buf line;
    if (!r->terminal || r->is_running) return;
    buf_init(&line);
    buf_text(&line, r->is_paused ? "paused" : "watching, ");
    if (!r->is_paused) put_state(&line, r);
    buf_printf(&line, "  [r]un [a]ll [f]ailed [p]%s [w]hy [l]og [q]uit [h]elp",
               r->is_paused ? "roceed" : "ause");
    print_status(&line);
    buf_deinit(&line);
}

static void on_tick(uv_timer_t *timer)
{
    const watch_report *r = timer->data;
    if (r->is_running && r->to.present)
        present_event(r->to.present, &(weir_event){.kind = WEIR_EVENT_PROGRESS});
}

/* --- runs --------------------------------------------------------------------------------------------- */

static void begin_block(watch_report *r)
{
    char who[48] = "";
    int64_t asker = control_asker(r->control);
    if (asker) snprintf(who, sizeof who, "asked by process %lld", (long long)asker);
    if (r->to.present) present_as_block(r->to.present, who);
}

/* Messages, errors and plans also come when nothing is run after them. */
static bool is_of_work(const weir_event *event)
{
    return event->kind != WEIR_EVENT_MESSAGE && event->kind != WEIR_EVENT_DIAGNOSTIC &&
           event->kind != WEIR_EVENT_PLAN;
}

static void remember(watch_report *r, const weir_event *event)
{
    if (event->kind != WEIR_EVENT_FINISHED || !r->terminal) return;
    char *name = mem_strdup(event->node);
    if (!name) return;
    mem_free(r->last);
    r->last = name;
    r->last_run = 0;
}

static void hear(void *ctx, const weir_event *event)
{
    watch_report *r = ctx;
    if (r->control) begin_block(r);
    r->is_running |= is_of_work(event);
    r->is_broken &= event->kind != WEIR_EVENT_PLAN;
    remember(r, event);
    reporting_listen(&r->to, event);
    if (event->kind == WEIR_EVENT_PLAN) draw(r);
    if (r->control) control_event(r->control, event);
}

/* What a client asked in vain is told to the client. */
static bool is_of_client(const watch_report *r, int rc)
{
    return control_asker(r->control) && rc == WEIR_USAGE;
}

/* Nodes that are due, that failed or are blocked, whatever the last run was about. */
static void count_unsettled(watch_report *r)
{
    query q;
    r->failed = r->due = 0;
    int rc = r->terminal ? query_open_as_is(&q, r->o) : WEIR_NOTFOUND;
    db_stmt *s = rc == 0 ? QUERY_ASK(&q, SQL_DOOR_UNSETTLED_COUNT, q.graph) : NULL;
    while (s && query_step(&q, s) == 1)
        *(db_int(s, 0) >= 2 ? &r->failed : &r->due) += (uint64_t)db_int(s, 1);
    if (r->terminal) query_close(&q);
}

static void turned(void *ctx, const weir_summary *summary, int rc, const weir_error *err)
{
    watch_report *r = ctx;
    r->s.err = *err;
    bool is_told = !is_of_client(r, rc);
    begin_block(r);
    if (is_told && r->to.present) present_finish(r->to.present, summary, rc);
    if (r->to.present) {
        present_free(r->to.present);
        r->to.present = present_new(r->o); /* a run of its own; NULL: the next one tells nothing */
    }
    if (is_told) reporting_error(&r->to, rc, summary, &r->s);
    if (is_told && r->to.lines) lines_finish(r->to.lines, summary, rc);
    r->is_running = false;
    if (r->last && r->last_run == 0) r->last_run = (int64_t)summary->run;
    r->is_broken = rc == WEIR_WORKFLOW;
    count_unsettled(r);
    draw(r);
}

static void waits(void *ctx, size_t folders)
{
    watch_report *r = ctx;
    r->folders = folders;
    if (r->to.lines || r->o->quiet) return;
    if (!r->terminal)
        fprintf(stderr, "weir: watching %zu folder%s; ^C ends it\n", folders,
                folders == 1 ? "" : "s");
    draw(r);
}

/* --- keys: runs ----------------------------------------------------------------------------------------- */

/* One at a time: the request of the last one is lent to the engine. */
static bool begin_request(watch_report *r, unsigned flags)
{
    key_run *k = &r->key_run;
    if (k->is_open) {
        print_message("a run that was asked for comes next already");
        return false;
    }
    arena_reset(&k->arena);
    k->is_of_failed = false;
    k->request = r->own;
    k->request.flags = (r->own.flags & ~(unsigned)WEIR_RUN_FORCE) | flags;
    k->request.trigger = "key";
    return true;
}

static void answered(void *ctx, const weir_summary *summary, int rc, const weir_error *err);

static void ask(watch_report *r)
{
    key_run *k = &r->key_run;
    k->question = (watching_question){.request = &k->request, .answered = answered, .ctx = r};
    k->is_open = watching_ask(r->s.engine, &k->question, &r->s.err) == 0;
    if (!k->is_open) print_message("%s", r->s.err.message);
}

static void answered(void *ctx, const weir_summary *summary, int rc, const weir_error *err)
{
    watch_report *r = ctx;
    bool was_of_failed = r->key_run.is_of_failed;
    (void)summary;
    (void)err;
    r->key_run.is_open = false;
    if (was_of_failed && rc == 0 && begin_request(r, 0)) ask(r);
}

static void run_due(watch_report *r)
{
    if (begin_request(r, 0)) ask(r);
}

static void run_all(watch_report *r)
{
    if (begin_request(r, WEIR_RUN_FORCE)) ask(r);
}

/* Names of nodes that failed, in the arena. */
static int list_failed(query *q, key_run *k)
{
    int rc;
    size_t capacity = 0;
    const char **names = NULL;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_UNSETTLED, q->graph, INT64_MAX);
    if (!s) return q->err.code;
    while ((rc = query_step(q, s)) == 1) {
        if (db_int(s, 2) != 2) continue;
        if (!MEM_GROW(names, capacity, k->request.target_count + 1)) break;
        names[k->request.target_count++] =
            (const char *)arena_bytes(&k->arena, db_bytes(s, 1)).data;
    }
    db_reset(s);
    size_t size = k->request.target_count * sizeof *names;
    const char **copy = arena_alloc(&k->arena, size + sizeof *names);
    if (copy && size) memcpy((void *)copy, (const void *)names, size);
    mem_free((void *)names);
    k->request.targets = copy;
    return rc == 1 || k->arena.failed ? error_nomem(&q->err, "listing what failed") : rc;
}

static void run_failed(watch_report *r)
{
    query q;
    if (!begin_request(r, WEIR_RUN_FORCE)) return;
    r->key_run.request.target_count = 0;
    r->key_run.is_of_failed = true;
    int rc = query_open_as_is(&q, r->o);
    if (rc == 0) rc = list_failed(&q, &r->key_run);
    if (rc != 0) print_message("%s", q.err.message);
    else if (r->key_run.request.target_count == 0) print_message("nothing has failed");
    else ask(r);
    query_close(&q);
}

/* --- keys: looking -------------------------------------------------------------------------------------- */

static void look(int (*show)(const options *o), const options *o)
{
    print_status_hide();
    (void)show(o);
    print_status_show();
}

/* In the run in which it ran: it may have been looked at since. */
static void why(const watch_report *r)
{
    const char *word = r->last;
    options o = *r->o;
    o.words = &word;
    o.word_count = 1;
    if (r->last_run > 0) o.run = r->last_run;
    if (r->last) look(command_why, &o);
    else print_message("nothing has run since this watch began");
}

static void last_runs(const watch_report *r)
{
    options o = *r->o;
    o.words = NULL;
    o.word_count = 0;
    o.count = LOG_SHOWN;
    look(command_log, &o);
}

static void help(void)
{
    buf text;
    buf_init(&text);
    buf_text(&text, "  r  run what is due, also what always runs\n"
                    "  a  run all, whatever is stored\n"
                    "  f  run what failed once more\n"
                    "  p  pause: changes start no run until p again\n"
                    "  w  why did the last node run?\n"
                    "  l  the last runs\n"
                    "  q  quit; q or ^C once more ends what still runs\n");
    print_err(&text);
    buf_deinit(&text);
}

static void pause_or_proceed(watch_report *r)
{
    r->is_paused = !r->is_paused;
    watching_pause(r->s.engine, r->is_paused);
}

static void on_key(void *ctx, int key)
{
    watch_report *r = ctx;
    switch (key) {
    case 'r':
    case '\n':
    case '\r': run_due(r); break;
    case 'a': run_all(r); break;
    case 'f': run_failed(r); break;
    case 'p':
    case ' ': pause_or_proceed(r); break;
    case 'w': why(r); break;
    case 'l': last_runs(r); break;
    case 'q':
        r->has_quit = true;
        weir_interrupt(r->s.engine);
        break;
    case 'h':
    case '?': help(); break;
    default: break;
    }
    draw(r);
}

static void on_changed(void *ctx)
{
    draw(ctx);
}

/* --- all of it ------------------------------------------------------------------------------------------- */

static int open_terminal(watch_report *r)
{
    terminal_events events = {.key = on_key, .changed = on_changed, .ctx = r};
    bool has_keys = !r->o->json && !r->o->quiet && terminal_is_there();
    if (!has_keys) return 0;
    uv_timer_init(watching_loop(r->s.engine), &r->tick);
    r->tick.data = r;
    uv_unref((uv_handle_t *)&r->tick);
    uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
    r->has_tick = true;
    return terminal_open(&r->terminal, watching_loop(r->s.engine), &events, &r->s.err);
}

static int stay(watch_report *r)
{
    weir_watcher watcher = {.size = sizeof watcher, .turned = turned, .waits = waits, .ctx = r};
    remote_is_here();
    int rc = control_open(&r->control, r->s.engine, &r->s.project, &r->own, &r->s.err);
    if (rc == 0) rc = open_terminal(r);
    if (rc != 0) print_failure(&r->s.err, "");
    else rc = weir_watch(r->s.engine, &r->own, &watcher, &r->s.err);
    terminal_close(r->terminal);
    if (r->has_tick) uv_close((uv_handle_t *)&r->tick, NULL);
    control_close(r->control);
    r->control = NULL;
    bool is_done = rc == WEIR_CANCELLED && r->has_quit && !session_signal();
    return is_done ? EXIT_DONE : reporting_exit_code(rc);
}

static int open_and_watch(watch_report *r, request_words *words)
{
    words_resolve(r->o, words);
    r->own = request_make(r->o, words, 0, "watch");
    int rc = session_open(&r->s, r->o, WEIR_OPEN_WATCH, hear, r);
    if (rc != 0) reporting_error(&r->to, rc, &(weir_summary){0}, &r->s);
    rc = rc == 0 ? stay(r) : reporting_exit_code(rc);
    session_close(&r->s);
    return rc;
}

int command_watch(const options *o)
{
    watch_report r = {.o = o};
    request_words words = {0};
    arena_init(&words.arena);
    arena_init(&r.key_run.arena);
    int rc = words_sort(o, &words, &r.s.err);
    if (rc == 0) rc = reporting_open(&r.to, o, &r.s.err);
    rc = rc == 0 ? open_and_watch(&r, &words) : print_failure(&r.s.err, "");
    reporting_close(&r.to);
    mem_free(r.last);
    arena_deinit(&r.key_run.arena);
    arena_deinit(&words.arena);
    return print_end(rc);
}
