/*
 * watch.c - weir watch: a series of runs, and a socket at which other commands ask for theirs.
 */
#include <stdio.h>

#include "engine/door/commands.h"
#include "engine/door/control.h"
#include "engine/door/request.h"

typedef struct watch_report {
    reporting to;
    const options *o;
    session s;
    control *control;
} watch_report;

static void listen(void *ctx, const weir_event *event)
{
    watch_report *r = ctx;
    reporting_listen(&r->to, event);
    if (r->control) control_event(r->control, event);
}

static void turned(void *ctx, const weir_summary *summary, int rc, const weir_error *err)
{
    watch_report *r = ctx;
    r->s.err = *err;
    if (r->to.present) {
        present_finish(r->to.present, summary, rc);
        present_free(r->to.present);
        r->to.present = present_new(r->o); /* a run of its own; NULL: the next one tells nothing */
    }
    reporting_error(&r->to, rc, summary, &r->s);
    if (r->to.lines) lines_finish(r->to.lines, summary, rc);
}

static void waits(void *ctx, size_t folders)
{
    const watch_report *r = ctx;
    if (!r->to.lines && !r->o->quiet)
        fprintf(stderr, "weir: watching %zu folder%s; ^C ends it\n", folders,
                folders == 1 ? "" : "s");
}

static int watch(watch_report *r, const weir_request *request)
{
    weir_watcher watcher = {.size = sizeof watcher, .turned = turned, .waits = waits, .ctx = r};
    int rc = control_open(&r->control, r->s.engine, &r->s.project, request, &r->s.err);
    if (rc == 0) rc = weir_watch(r->s.engine, request, &watcher, &r->s.err);
    else print_failure(&r->s.err, "");
    control_close(r->control);
    r->control = NULL;
    return reporting_exit_code(rc);
}

int command_watch(const options *o)
{
    watch_report r = {.o = o};
    request_words words = {0};
    arena_init(&words.arena);
    int rc = words_sort(o, &words, &r.s.err);
    if (rc == 0) rc = reporting_open(&r.to, o, &r.s.err);
    if (rc != 0) {
        rc = print_failure(&r.s.err, "");
    } else {
        words_resolve(o, &words);
        weir_request request = request_make(o, &words, 0, "watch");
        rc = session_open(&r.s, o, 0, listen, &r);
        if (rc != 0) reporting_error(&r.to, rc, &(weir_summary){0}, &r.s);
        rc = rc == 0 ? watch(&r, &request) : reporting_exit_code(rc);
        session_close(&r.s);
    }
    reporting_close(&r.to);
    arena_deinit(&words.arena);
    return print_end(rc);
}
