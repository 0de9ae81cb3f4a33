/*
 * run.c - weir run, accept, void: opens the engine, asks for one run, and tells what happened.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/door/commands.h"
#include "engine/door/query.h"
#include "engine/door/report.h"
#include "engine/door/session.h"
#include "engine/world/jobserver.h"

typedef struct request_words {
    mem_arena arena;
    const char **targets;
    size_t target_count;
    weir_assignment *values;
    size_t value_count;
} request_words;

/* Words into targets and values. */
static int sort_words(const options *o, request_words *r, weir_error *err)
{
    int rc = 0;
    r->targets = arena_zero(&r->arena, o->word_count + 1, sizeof *r->targets);
    r->values = arena_zero(&r->arena, o->word_count + 1, sizeof *r->values);
    if (!r->targets || !r->values) return error_nomem(err, "reading the command line");
    for (size_t i = 0; rc == 0 && i < o->word_count; i++) {
        if (session_is_assignment(o->words[i])) rc = session_assignment(&r->arena, o->words[i], &r->values[r->value_count++], err);
        else r->targets[r->target_count++] = o->words[i];
    }
    return rc;
}

/* --- targets written in a folder below the project ----------------------------------------------------------------- */

static bool has_outputs_below(query *q, const char *folder)
{
    buf first;
    buf last;
    buf_init(&first);
    buf_init(&last);
    buf_printf(&first, "%s/", folder);
    buf_printf(&last, "%s0", folder); /* '0' comes after '/' */
    db_stmt *s = query_get(q, SQL_DOOR_OUTPUTS_BELOW);
    if (s) db_bind_bytes(s, 1, buf_bytes(&first));
    if (s) db_bind_bytes(s, 2, buf_bytes(&last));
    bool has = s && query_step(q, s) == 1;
    if (s) db_reset(s);
    buf_deinit(&first);
    buf_deinit(&last);
    return has;
}

/* The path below the root, if `word` means an output or a folder of outputs as seen from the working folder. */
static const char *as_path(query *q, mem_arena *arena, const char *word)
{
    uint64_t id = 0;
    item_row item;
    const char *result = NULL;
    if (query_node_id(q, word, &id) != 0 || id != 0) return NULL;
    char *path = project_path(&q->project, word);
    if (path && *path && ((query_item_named(q, ITEM_FILE, bytes_str(path), &item) == 1 && item.node) || has_outputs_below(q, path)))
        result = arena_strdup(arena, path);
    mem_free(path);
    return result;
}

/* Paths that are plain to see need no database; other words are looked up in what was recorded. */
static void resolve_targets(const options *o, request_words *r)
{
    query q;
    bool is_open = r->target_count > 0 && query_open(&q, o) == 0;
    bool is_below = is_open && *q.project.prefix;
    for (size_t i = 0; i < r->target_count; i++) {
        const char *word = r->targets[i];
        bool is_plain = word[0] == '/' || strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0;
        const char *path = is_open && (is_below || is_plain) ? as_path(&q, &r->arena, word) : NULL;
        if (path) r->targets[i] = path;
        else if (is_open && is_plain) {
            char *inside = project_path(&q.project, word);
            if (inside && *inside) r->targets[i] = arena_strdup(&r->arena, inside);
            mem_free(inside);
        }
        if (!r->targets[i]) r->targets[i] = word; /* no memory: as written */
    }
    if (r->target_count > 0) query_close(&q);
}

/* --- the run ------------------------------------------------------------------------------------------------------- */

typedef struct reporting {
    present *present;
    lines *lines;
} reporting;

static void listen(void *ctx, const weir_event *event)
{
    reporting *to = ctx;
    if (to->lines) lines_event(to->lines, event);
    else if (to->present) present_event(to->present, event);
}

static unsigned run_flags(const options *o)
{
    return (o->dry ? WEIR_RUN_DRY : 0u) | (o->force ? WEIR_RUN_FORCE : 0u) | (o->stop_first ? WEIR_RUN_STOP_FIRST : 0u);
}

static int exit_code(int rc)
{
    if (rc == WEIR_CANCELLED || (rc != 0 && session_signal())) return EXIT_SIGNAL + (session_signal() ? session_signal() : 2);
    return print_exit_code(rc);
}

/* Failures of nodes were told as they happened; everything else is an error of this command. */
static void tell_error(reporting *to, int rc, const weir_summary *summary, const session *s)
{
    bool told = rc == WEIR_FAILED && summary->failed + summary->blocked > 0;
    if (rc == 0 || told || rc == WEIR_CANCELLED) return;
    weir_error err = s->err;
    if (rc == WEIR_WORKFLOW && summary->errors > 0 && !err.message[0])
        error_set(&err, rc, "%llu errors in %s; nothing ran", (unsigned long long)summary->errors, s->project.workflow);
    if (to->lines) lines_error(to->lines, &err);
    print_failure(&err, s->hint);
}

typedef struct asking {
    int make_found, make_slots, make_fds[2]; /* jobserver_find */
    unsigned flags;
    const char *trigger;
    bool voids, stays;
} asking;

static int void_nodes(const options *o, request_words *words, reporting *to, session *s)
{
    weir_summary summary = {.size = sizeof summary};
    int rc = weir_void(s->engine, words->targets, words->target_count, &summary, &s->err);
    if (rc == 0 && !o->json && !o->quiet)
        print_message("%llu voided; the next run makes %s anew", (unsigned long long)summary.voided, summary.voided == 1 ? "it" : "them");
    tell_error(to, rc, &summary, s);
    return exit_code(rc);
}

/* Below a make that shares its jobs we take part. */
static void take_part(const asking *ask, weir_request *request)
{
    if (ask->make_found > 0) {
        request->jobserver[0] = ask->make_fds[0];
        request->jobserver[1] = ask->make_fds[1];
        request->jobs = ask->make_slots;
    } else if (ask->make_found < 0) {
        request->jobs = 1; /* as make does */
        print_message("make's jobserver is not open here, so one node at a time; begin the line of the recipe with +");
    }
}

/* --- a watch ------------------------------------------------------------------------------------------------------- */

typedef struct watching_report {
    reporting *to;
    const options *o;
    session *s;
} watching_report;

static void turned(void *ctx, const weir_summary *summary, int rc, const weir_error *err)
{
    watching_report *r = ctx;
    r->s->err = *err;
    if (r->to->present) {
        present_finish(r->to->present, summary, rc);
        present_free(r->to->present);
        r->to->present = present_new(r->o); /* a run of its own; NULL: the next one tells nothing */
    }
    tell_error(r->to, rc, summary, r->s);
    if (r->to->lines) lines_finish(r->to->lines, summary, rc);
}

static void waits(void *ctx, size_t folders)
{
    const watching_report *r = ctx;
    if (!r->to->lines && !r->o->quiet)
        fprintf(stderr, "weir: watching %zu folder%s; ^C ends it\n", folders, folders == 1 ? "" : "s");
}

static int watch(const options *o, const weir_request *request, reporting *to, session *s)
{
    watching_report report = {to, o, s};
    weir_watcher watcher = {.size = sizeof watcher, .turned = turned, .waits = waits, .ctx = &report};
    int rc = weir_watch(s->engine, request, &watcher, &s->err);
    return exit_code(rc);
}

static int run(const options *o, const asking *ask, request_words *words, reporting *to, session *s)
{
    weir_summary summary = {.size = sizeof summary};
    weir_request request = {.size = sizeof request,
                            .targets = words->targets,
                            .target_count = words->target_count,
                            .values = words->values,
                            .value_count = words->value_count,
                            .jobs = o->jobs,
                            .flags = run_flags(o) | ask->flags,
                            .trigger = ask->trigger,
                            .mem_bytes = o->mem_bytes,
                            .has_load = o->has_load,
                            .load = o->load};
    take_part(ask, &request);
    int rc = session_open(s, o, o->dry ? WEIR_OPEN_READER : 0, listen, to);
    if (rc != 0) {
        tell_error(to, rc, &summary, s);
        return exit_code(rc);
    }
    if (ask->voids) return void_nodes(o, words, to, s);
    if (ask->stays) return watch(o, &request, to, s);
    rc = weir_run(s->engine, &request, &summary, &s->err);
    if (to->present) present_finish(to->present, &summary, rc);
    tell_error(to, rc, &summary, s);
    if (to->lines) lines_finish(to->lines, &summary, rc);
    return exit_code(rc);
}

static int ask_engine(const options *o, const asking *given)
{
    asking own = *given, *ask = &own;
    /* before anything is opened: a number in MAKEFLAGS could be a descriptor of ours then */
    if (o->jobs == 0) own.make_found = jobserver_find(getenv("MAKEFLAGS"), own.make_fds, &own.make_slots);
    session s = {0};
    request_words words = {0};
    reporting to = {0};
    arena_init(&words.arena);
    int rc = sort_words(o, &words, &s.err);
    if (o->json) to.lines = lines_new(o);
    else to.present = present_new(o);
    if (rc == 0 && !to.lines && !to.present) rc = error_nomem(&s.err, "starting");
    int code;
    if (rc == 0 && ask->voids && words.value_count > 0)
        rc = error_set(&s.err, WEIR_USAGE, "weir void takes nodes, not values (%s)", words.values[0].name);
    if (rc == 0) {
        resolve_targets(o, &words);
        code = run(o, ask, &words, &to, &s);
        session_close(&s);
    } else {
        code = print_failure(&s.err, "");
    }
    present_free(to.present);
    lines_free(to.lines);
    arena_deinit(&words.arena);
    return print_end(code);
}

int command_accept(const options *o)
{
    return ask_engine(o, &(asking){.flags = WEIR_RUN_ACCEPT, .trigger = "accept"});
}

int command_void(const options *o)
{
    return ask_engine(o, &(asking){.trigger = "void", .voids = true});
}

int command_run(const options *o)
{
    return ask_engine(o, &(asking){.trigger = "command"});
}

int command_watch(const options *o)
{
    return ask_engine(o, &(asking){.trigger = "watch", .stays = true});
}
