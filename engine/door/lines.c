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

static void begin(lines *l, const char *event)
{
    buf_clear(&l->line);
    jsonout_open(&l->line, '{');
    jsonout_key(&l->line, "event");
    jsonout_string(&l->line, event);
}

static void end(lines *l)
{
    jsonout_close(&l->line, '}');
    buf_byte(&l->line, '\n');
    print_out(&l->line);
    print_flush();
}

static void put_text(lines *l, const char *name, const char *text)
{
    if (text && *text) jsonout_member(&l->line, name, bytes_str(text));
}

static void put_number(lines *l, const char *name, uint64_t number)
{
    jsonout_key(&l->line, name);
    jsonout_number(&l->line, number);
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

static void put_failure(lines *l, const weir_event *e)
{
    jsonout_key(&l->line, "exit");
    jsonout_signed(&l->line, e->exit_code);
    jsonout_key(&l->line, "signal");
    jsonout_signed(&l->line, e->signal);
    put_text(l, "message", e->message);
}

static void put_node(lines *l, const weir_event *e, const char *name)
{
    begin(l, name);
    put_text(l, "node", e->node);
    put_text(l, "effect", e->effect);
    put_text(l, "outcome", e->outcome);
    lines_put_reasons(&l->line, e);
    put_text(l, "cause", e->cause);
    if (e->kind == WEIR_EVENT_FINISHED || e->kind == WEIR_EVENT_SETTLED) print_json_seconds(&l->line, "seconds", e->seconds);
    bool is_accepted = e->kind == WEIR_EVENT_SETTLED && e->outcome && strcmp(e->outcome, "accepted") == 0;
    if (e->kind == WEIR_EVENT_FINISHED || is_accepted) {
        jsonout_key(&l->line, "changed");
        jsonout_bool(&l->line, e->changed != 0);
    }
    if (e->outcome && strcmp(e->outcome, "failed") == 0) put_failure(l, e);
    if (e->log && e->log_size) jsonout_member(&l->line, "log", bytes_of(e->log, e->log_size));
    end(l);
}

static void put_diagnostic(lines *l, const weir_diagnostic *d)
{
    if (!d) return;
    begin(l, "diagnostic");
    put_text(l, "file", d->file);
    if (d->line > 0) put_number(l, "line", (uint64_t)d->line);
    if (d->column > 0) put_number(l, "column", (uint64_t)d->column);
    put_text(l, "message", d->message);
    put_text(l, "hint", d->hint);
    put_text(l, "source", d->source);
    end(l);
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

void lines_event(void *ctx, const weir_event *e)
{
    lines *l = ctx;
    switch (e->kind) {
    case WEIR_EVENT_STARTED: put_node(l, e, "execution_started"); return;
    case WEIR_EVENT_FINISHED: put_node(l, e, "execution_finished"); return;
    case WEIR_EVENT_SETTLED: put_node(l, e, settled_name(e)); return;
    case WEIR_EVENT_VOIDED: put_node(l, e, "node_voided"); return;
    case WEIR_EVENT_WOULD_RUN: put_node(l, e, "would_run"); return;
    case WEIR_EVENT_MAYBE: put_node(l, e, "maybe"); return;
    case WEIR_EVENT_DIAGNOSTIC: put_diagnostic(l, e->diagnostic); return;
    case WEIR_EVENT_MESSAGE:
        begin(l, "message");
        put_text(l, "node", e->node);
        put_text(l, "message", e->message);
        end(l);
        return;
    case WEIR_EVENT_PROGRESS: return;
    }
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void put_stats(lines *l, const weir_counters *c)
{
    jsonout_key(&l->line, "stats");
    jsonout_open(&l->line, '{');
#define X(name) put_number(l, #name, c->name);
    WEIR_COUNTERS(X)
#undef X
    jsonout_close(&l->line, '}');
}

static const char *status_of(const weir_summary *s, int rc)
{
    if (s->interrupted || rc == WEIR_CANCELLED) return "interrupted";
    return rc == 0 ? "done" : rc == WEIR_FAILED ? "failed" : rc == WEIR_WORKFLOW ? "broken" : "error";
}

void lines_finish(lines *l, const weir_summary *s, int rc)
{
    begin(l, "run_finished");
    put_number(l, "run", s->run);
    jsonout_key(&l->line, "status");
    jsonout_string(&l->line, status_of(s, rc));
    put_number(l, "ran", s->ran);
    put_number(l, "unchanged", s->unchanged);
    put_number(l, "restored", s->restored);
    put_number(l, "cut_off", s->cut_off);
    put_number(l, "failed", s->failed);
    put_number(l, "blocked", s->blocked);
    put_number(l, "raced", s->raced);
    put_number(l, "removed", s->removed);
    put_number(l, "errors", s->errors);
    put_number(l, "due", s->due);
    put_number(l, "accepted", s->accepted);
    if (l->o->dry) {
        put_number(l, "would_run", s->would_run);
        put_number(l, "maybe", s->maybe);
    }
    print_json_seconds(&l->line, "seconds", s->seconds);
    put_number(l, "nodes", s->nodes);
    if (l->o->stats) put_stats(l, &s->counters);
    end(l);
}

void lines_error(lines *l, const weir_error *err)
{
    begin(l, "error");
    put_text(l, "code", error_name(err->code));
    put_text(l, "message", err->message);
    end(l);
}
