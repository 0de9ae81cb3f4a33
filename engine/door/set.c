/*
 * set.c - weir set: named values that stay. A watch that works on the project is asked to set
 * them, and runs what hangs on them.
 *
 * A name that nothing uses is set all the same, since the workflow may be about to declare it, and is
 * told: mostly it is a slip.
 */
#include "engine/door/commands.h"
#include "engine/door/holder.h"
#include "engine/door/print.h"
#include "engine/door/query.h"
#include "engine/door/remote.h"
#include "engine/door/request.h"
#include "engine/model/near.h"

/* All words are read before anything is set. json NULL: forget it. */
static int read_words(const options *o, mem_arena *arena, weir_assignment *values, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->word_count; i++) {
        values[i].name = o->words[i];
        if (!o->unset) rc = session_assignment(arena, o->words[i], &values[i], err);
        else if (strchr(o->words[i], '='))
            rc = error_set(err, WEIR_USAGE, "--unset takes names alone, not \"%s\"", o->words[i]);
    }
    return rc;
}

/* 0: done; WEIR_NOTFOUND: there is no watch. */
static int ask_watch(const options *o, session *s, const weir_request *request)
{
    remote *r = NULL;
    int rc = 0;
    weir_summary summary;
    remote_patience patience = o->quiet ? REMOTE_WAITS_QUIETLY : REMOTE_WAITS;
    int end = remote_open(&r, &s->project, patience, &s->err);
    if (end == 0) {
        error_clear(&s->err);
        end = remote_ask(r, &(remote_question){.ask = "set", .request = request, .quiet = true},
                         &summary, &rc, &s->err);
    }
    remote_close(r);
    return end == 0 ? rc : end;
}

static int set_here(session *s, const weir_request *request)
{
    int rc = session_start(s, 0, NULL, NULL);
    for (size_t i = 0; rc == 0 && i < request->value_count; i++)
        rc = weir_set(s->engine, request->values[i].name, request->values[i].json, &s->err);
    return rc;
}

static int set(const options *o, session *s, const weir_request *request)
{
    int rc = session_find(s, o);
    if (rc != 0) return rc;
    weir_error locked = {0};
    holder_wait wait = {.quiet = o->quiet};
    for (;;) {
        rc = ask_watch(o, s, request);
        if (rc != WEIR_NOTFOUND) return rc;
        s->err = locked;
        if (locked.code != 0 && !holder_will_change(&wait, s)) return s->err.code;
        rc = set_here(s, request);
        if (rc != WEIR_LOCKED) return rc;
        locked = s->err;
    }
}

/* --- names that nothing uses ------------------------------------------------------------------- */

typedef struct names {
    const char **name; /* in the query's arena */
    size_t count, capacity;
} names;

static int values_in_use(query *q, names *in_use)
{
    int rc;
    db_stmt *s = QUERY_ASK(q, SQL_VALUES_IN_USE, ITEM_VALUE);
    if (!s) return q->err.code;
    while ((rc = query_step(q, s)) == 1) {
        bytes name = query_bytes(q, s, 0);
        if (!name.data || !MEM_GROW(in_use->name, in_use->capacity, in_use->count + 1))
            return error_nomem(&q->err, "looking at values");
        in_use->name[in_use->count++] = (const char *)name.data;
    }
    return rc;
}

static void tell_unless_used(const names *in_use, const char *name)
{
    for (size_t i = 0; i < in_use->count; i++)
        if (strcmp(in_use->name[i], name) == 0) return;
    const char *near = in_use->count ? near_name(name, in_use->name, in_use->count) : NULL;
    print_message("nothing uses the value \"%s\", as the workflow was loaded last; it is set all the same", name);
    if (near) print_hint("did you mean \"%s\"? weir set --unset %s forgets this one", near, name);
    else print_hint("weir.value { name = \"%s\" } declares it; weir set --unset %s forgets it", name, name);
}

/* A workflow that was never loaded may use anything. What cannot be asked now is not worth an error: the values are set. */
static void tell_unused(const options *o, const weir_request *request)
{
    query q = {0};
    names in_use = {0};
    int rc = query_open_as_is(&q, o);
    db_stmt *s = rc == 0 ? query_get(&q, SQL_DOOR_IS_DEFINED) : NULL;
    bool is_defined = s && query_step(&q, s) == 1 && db_int(s, 0) != 0;
    if (is_defined && values_in_use(&q, &in_use) == 0)
        for (size_t i = 0; i < request->value_count; i++) tell_unless_used(&in_use, request->values[i].name);
    mem_free(in_use.name);
    query_close(&q);
}

int command_set(const options *o)
{
    session s = {0};
    mem_arena arena;
    arena_init(&arena);
    weir_assignment *values = arena_zero(&arena, o->word_count + 1, sizeof *values);
    weir_request request = {.size = sizeof request, .values = values, .value_count = o->word_count};
    int rc = values ? read_words(o, &arena, values, &s.err)
                    : error_nomem(&s.err, "reading the command line");
    bool words_hold = rc == 0;
    if (words_hold) rc = set(o, &s, &request);
    else snprintf(s.hint, sizeof s.hint, "weir set NAME=VALUE, or weir set --unset NAME");
    int code = rc == 0                ? EXIT_DONE
               : rc == WEIR_CANCELLED ? reporting_exit_code(rc)
                                      : print_failure(&s.err, s.hint);
    session_close(&s);
    if (code == EXIT_DONE && !o->unset && !o->quiet) tell_unused(o, &request);
    arena_deinit(&arena);
    return code;
}
