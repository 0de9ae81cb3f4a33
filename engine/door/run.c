/*
 * run.c - weir run, accept, void: one run, and what happened.
 *
 * A watch that works on the project is asked for it (remote.h); else the engine is opened here.
 * Who comes just when a watch begins or ends waits for it (holder.h).
 */
#include <stdlib.h>

#include "engine/door/commands.h"
#include "engine/door/holder.h"
#include "engine/door/remote.h"
#include "engine/door/request.h"
#include "engine/world/jobserver.h"

typedef struct asking {
    int make_found, make_slots, make_fds[2]; /* jobserver_find */
    unsigned flags;
    const char *trigger;
    bool voids;
} asking;

/* Below a make that shares its jobs we take part. */
static void take_part(const asking *ask, weir_request *request)
{
    if (ask->make_found > 0) {
        request->jobserver[0] = ask->make_fds[0];
        request->jobserver[1] = ask->make_fds[1];
        request->jobs = ask->make_slots;
    } else if (ask->make_found < 0) {
        request->jobs = 1; /* as make does */
        print_message(
            "make's jobserver is not open here, so one node at a time; begin the line of the recipe with +");
    }
}

/* What came of it, here or at the watch. */
static int conclude(const options *o, const asking *ask, const reporting *to, const session *s,
                    const weir_summary *summary, int rc)
{
    if (ask->voids) {
        if (rc == 0 && !o->json && !o->quiet)
            print_message("%llu voided; the next run makes %s anew",
                          (unsigned long long)summary->voided,
                          summary->voided == 1 ? "it" : "them");
        reporting_error(to, rc, summary, s);
        return reporting_exit_code(rc);
    }
    if (to->present) present_finish(to->present, summary, rc);
    reporting_error(to, rc, summary, s);
    if (to->lines) lines_finish(to->lines, summary, rc);
    return reporting_exit_code(rc);
}

static int do_it(const asking *ask, const weir_request *request, session *s, weir_summary *summary)
{
    weir_request own = *request;
    take_part(ask, &own);
    if (ask->voids) return weir_void(s->engine, own.targets, own.target_count, summary, &s->err);
    return weir_run(s->engine, &own, summary, &s->err);
}

/* 0: the watch has done it, and *rc is what came of it; WEIR_NOTFOUND: there is none (any more). */
static int ask_watch(const options *o, const asking *ask, const weir_request *request,
                     reporting *to, session *s, weir_summary *summary, int *rc)
{
    remote *r = NULL;
    const char *what = ask->voids ? "void" : ask->flags & WEIR_RUN_ACCEPT ? "accept" : "run";
    remote_question question = {.ask = what,
                                .request = request,
                                .quiet = o->quiet,
                                .listener = reporting_listen,
                                .listener_ctx = to};
    remote_patience patience = o->quiet ? REMOTE_WAITS_QUIETLY : REMOTE_WAITS;
    int end = remote_open(&r, &s->project, patience, &s->err);
    if (end == 0) {
        error_clear(&s->err);
        end = remote_ask(r, &question, summary, rc, &s->err);
        if (end == WEIR_NOTFOUND && !o->quiet)
            print_message("the watch has ended; going on without it");
    }
    remote_close(r);
    return end;
}

/* Opens the engine, or has the watch do it: *done then. */
static int start(const options *o, const asking *ask, const weir_request *request, reporting *to,
                 session *s, weir_summary *summary, bool *done)
{
    int rc = 0;
    if (o->dry) {
        remote_look(&s->project, o);
        return session_start(s, WEIR_OPEN_READER, reporting_listen, to);
    }
    weir_error locked = {0};
    holder_wait wait = {.quiet = o->quiet};
    for (;;) {
        int end = ask_watch(o, ask, request, to, s, summary, &rc);
        *done = end == 0;
        if (end != WEIR_NOTFOUND) return end == 0 ? rc : end;
        s->err = locked;
        if (locked.code != 0 && !holder_will_change(&wait, s)) return s->err.code;
        rc = session_start(s, 0, reporting_listen, to);
        if (rc != WEIR_LOCKED) return rc;
        locked = s->err;
    }
}

static int run(const options *o, const asking *ask, request_words *words, reporting *to, session *s)
{
    weir_summary summary = {.size = sizeof summary};
    weir_request request = request_make(o, words, ask->flags, ask->trigger);
    bool done = false;
    int rc = session_find(s, o);
    if (rc == 0) rc = start(o, ask, &request, to, s, &summary, &done);
    if (rc != 0 && !done) {
        reporting_error(to, rc, &summary, s);
        return reporting_exit_code(rc);
    }
    if (!done) rc = do_it(ask, &request, s, &summary);
    return conclude(o, ask, to, s, &summary, rc);
}

static int ask_engine(const options *o, const asking *given)
{
    asking own = *given, *ask = &own;
    /* before anything is opened: a number in MAKEFLAGS could be a descriptor of ours then */
    if (o->jobs == 0)
        own.make_found = jobserver_find(getenv("MAKEFLAGS"), own.make_fds, &own.make_slots);
    session s = {0};
    request_words words = {0};
    reporting to = {0};
    arena_init(&words.arena);
    int rc = words_sort(o, &words, &s.err);
    if (rc == 0) rc = reporting_open(&to, o, &s.err);
    int code;
    if (rc == 0 && ask->voids && words.value_count > 0)
        rc = error_set(&s.err, WEIR_USAGE, "weir void takes nodes, not values (%s)",
                       words.values[0].name);
    if (rc == 0) {
        words_resolve(o, &words);
        code = run(o, ask, &words, &to, &s);
        session_close(&s);
    } else {
        code = print_failure(&s.err, "");
    }
    reporting_close(&to);
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
