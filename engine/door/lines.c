/*
 * lines.c - run --json: one object a line, as things happen.
 *
 * The shapes are promised (design.md section 9): fields are only ever added. A line is written whole.
 */
#include "engine/door/report.h"
#include "engine/store/jsonout.h"

struct lines {
    const options *o;
    buf line;
};

lines *lines_new(const options *o)
{
    lines *l = mem_zero(1, sizeof *l);
    if (l) l->o = o;
    return l;
}

void lines_free(lines *l)
{
    if (!l) return;
    buf_deinit(&l->line);
    mem_free(l);
}

static void begin(buf *to, const char *event)
{
    jsonout_open(to, '{');
    jsonout_key(to, "event");
    jsonout_string(to, event);
}

static void end(lines *l)
{
    jsonout_close(&l->line, '}');
    buf_byte(&l->line, '\n');
    print_out(&l->line);
    print_flush();
}

static void put_text(buf *to, const char *name, const char *text)
{
    if (text && *text) jsonout_member(to, name, bytes_str(text));
}

static void put_number(buf *to, const char *name, uint64_t number)
{
    jsonout_key(to, name);
    jsonout_number(to, number);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static void put_hash(buf *to, const char *name, const char *hex)
{
    hash128 hash = HASH_NONE;
    if (hex && *hex) (void)hash_parse(hex, &hash);
    print_json_hash(to, name, hash);
}

void lines_put_reasons(buf *to, const weir_event *e)
{
    if (e->reason_count == 0) return;
    jsonout_member(to, "reason", bytes_str(e->reasons[0].reason));
    jsonout_key(to, "because");
    jsonout_open(to, '[');
    for (size_t i = 0; i < e->reason_count; i++) {
        const weir_reason *r = &e->reasons[i];
        jsonout_open(to, '{');
        jsonout_member(to, "reason", bytes_str(r->reason));
        jsonout_member(to, "input", bytes_str(r->input ? r->input : ""));
        jsonout_member(to, "name", bytes_str(r->name ? r->name : ""));
        put_hash(to, "old", r->old_hash);
        put_hash(to, "new", r->new_hash);
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void put_failure(buf *to, const weir_event *e)
{
    jsonout_key(to, "exit");
    jsonout_signed(to, e->exit_code);
    jsonout_key(to, "signal");
    jsonout_signed(to, e->signal);
    put_text(to, "message", e->message);
    if (e->tried_us) print_json_time(to, "tried", e->tried_us);
}

static void put_node(buf *to, const weir_event *e, const char *name)
{
    begin(to, name);
    put_text(to, "node", e->node);
    put_text(to, "effect", e->effect);
    put_text(to, "outcome", e->outcome);
    lines_put_reasons(to, e);
    put_text(to, "cause", e->cause);
    if (e->kind == WEIR_EVENT_FINISHED || e->kind == WEIR_EVENT_SETTLED) print_json_seconds(to, "seconds", e->seconds);
    bool is_accepted = e->kind == WEIR_EVENT_SETTLED && e->outcome && strcmp(e->outcome, "accepted") == 0;
    if (e->kind == WEIR_EVENT_FINISHED || is_accepted) {
        jsonout_key(to, "changed");
        jsonout_bool(to, e->changed != 0);
    }
    if (e->outcome && strcmp(e->outcome, "failed") == 0) put_failure(to, e);
    if (e->log && e->log_size) jsonout_member(to, "log", bytes_of(e->log, e->log_size));
}

static void put_diagnostic(buf *to, const weir_diagnostic *d)
{
    begin(to, "diagnostic");
    put_text(to, "file", d->file);
    if (d->line > 0) put_number(to, "line", (uint64_t)d->line);
    if (d->column > 0) put_number(to, "column", (uint64_t)d->column);
    put_text(to, "message", d->message);
    put_text(to, "hint", d->hint);
    put_text(to, "source", d->source);
}

static const char *settled_name(const weir_event *e)
{
    const char *what = e->outcome ? e->outcome : "";
    if (strcmp(what, "restored") == 0) return "node_restored";
    if (strcmp(what, "blocked") == 0) return "node_blocked";
    if (strcmp(what, "accepted") == 0) return "node_accepted";
    if (strcmp(what, "failed") == 0) return "node_failed"; /* it failed before, and nothing has changed since */
    return strcmp(what, "unchanged") == 0 ? "node_unchanged" : "node_settled";
}

bool lines_put_event(buf *to, const weir_event *e)
{
    switch (e->kind) {
    case WEIR_EVENT_STARTED: put_node(to, e, "execution_started"); return true;
    case WEIR_EVENT_FINISHED: put_node(to, e, "execution_finished"); return true;
    case WEIR_EVENT_SETTLED: put_node(to, e, settled_name(e)); return true;
    case WEIR_EVENT_VOIDED: put_node(to, e, "node_voided"); return true;
    case WEIR_EVENT_WOULD_RUN: put_node(to, e, "would_run"); return true;
    case WEIR_EVENT_MAYBE: put_node(to, e, "maybe"); return true;
    case WEIR_EVENT_DIAGNOSTIC:
        if (e->diagnostic) put_diagnostic(to, e->diagnostic);
        return e->diagnostic != NULL;
    case WEIR_EVENT_MESSAGE:
        begin(to, "message");
        put_text(to, "node", e->node);
        put_text(to, "message", e->message);
        return true;
    case WEIR_EVENT_PLAN:
        begin(to, "plan");
        put_number(to, "added", e->added);
        put_number(to, "removed", e->removed);
        put_number(to, "altered", e->altered);
        return true;
    case WEIR_EVENT_PROGRESS: return false;
    }
    return false;
}

void lines_event(void *ctx, const weir_event *e)
{
    lines *l = ctx;
    buf_clear(&l->line);
    if (lines_put_event(&l->line, e)) end(l);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void put_stats(buf *to, const weir_counters *c)
{
    jsonout_key(to, "stats");
    jsonout_open(to, '{');
#define X(name) put_number(to, #name, c->name);
    WEIR_COUNTERS(X)
#undef X
    jsonout_close(to, '}');
}

static const char *status_of(const weir_summary *s, int rc)
{
    if (s->interrupted || rc == WEIR_CANCELLED) return "interrupted";
    return rc == 0 ? "done" : rc == WEIR_FAILED ? "failed" : rc == WEIR_WORKFLOW ? "broken" : "error";
}

void lines_put_summary(buf *to, const weir_summary *s, int rc, bool dry, bool stats)
{
    put_number(to, "run", s->run);
    jsonout_key(to, "status");
    jsonout_string(to, status_of(s, rc));
    put_number(to, "ran", s->ran);
    put_number(to, "unchanged", s->unchanged);
    put_number(to, "restored", s->restored);
    put_number(to, "cut_off", s->cut_off);
    put_number(to, "failed", s->failed);
    put_number(to, "blocked", s->blocked);
    put_number(to, "raced", s->raced);
    put_number(to, "removed", s->removed);
    put_number(to, "errors", s->errors);
    put_number(to, "due", s->due);
    put_number(to, "accepted", s->accepted);
    put_number(to, "superseded", s->superseded);
    if (dry) {
        put_number(to, "would_run", s->would_run);
        put_number(to, "maybe", s->maybe);
    }
    print_json_seconds(to, "seconds", s->seconds);
    put_number(to, "nodes", s->nodes);
    if (stats) put_stats(to, &s->counters);
}

void lines_finish(lines *l, const weir_summary *s, int rc)
{
    buf_clear(&l->line);
    begin(&l->line, "run_finished");
    lines_put_summary(&l->line, s, rc, l->o->dry, l->o->stats);
    end(l);
}

void lines_error(lines *l, const weir_error *err)
{
    buf_clear(&l->line);
    begin(&l->line, "error");
    put_text(&l->line, "code", error_name(err->code));
    put_text(&l->line, "message", err->message);
    end(l);
}
