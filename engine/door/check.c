/*
 * check.c - weir check: load the workflow, tell its errors, run nothing.
 */
#include "engine/door/commands.h"
#include "engine/door/print.h"
#include "engine/door/session.h"
#include "engine/store/jsonout.h"

typedef struct checking {
    bool json, verbose;
    buf list; /* of diagnostics, as JSON */
    size_t errors;
} checking;

static void put_diagnostic(buf *to, const weir_diagnostic *d)
{
    jsonout_open(to, '{');
    if (d->file) jsonout_member(to, "file", bytes_str(d->file));
    jsonout_key(to, "line");
    jsonout_signed(to, d->line);
    jsonout_key(to, "column");
    jsonout_signed(to, d->column);
    jsonout_member(to, "message", bytes_str(d->message ? d->message : ""));
    if (d->hint) jsonout_member(to, "hint", bytes_str(d->hint));
    if (d->source) jsonout_member(to, "source", bytes_str(d->source));
    jsonout_close(to, '}');
}

static void listen(void *ctx, const weir_event *event)
{
    checking *c = ctx;
    if (event->kind == WEIR_EVENT_MESSAGE && !c->json) print_message("%s", event->message ? event->message : "");
    if (event->kind != WEIR_EVENT_DIAGNOSTIC || !event->diagnostic) return;
    c->errors++;
    if (c->json) put_diagnostic(&c->list, event->diagnostic);
    else if (c->errors <= PRINT_DIAGNOSTICS || c->verbose) print_diagnostic(event->diagnostic);
}

static void put_json(checking *c, const session *s, const weir_summary *summary, int rc)
{
    buf text;
    buf_init(&text);
    jsonout_open(&text, '{');
    jsonout_key(&text, "ok");
    jsonout_bool(&text, rc == 0);
    jsonout_member(&text, "workflow", bytes_str(s->project.workflow ? s->project.workflow : ""));
    jsonout_key(&text, "nodes");
    jsonout_number(&text, summary->nodes);
    if (rc != 0) jsonout_member(&text, "message", bytes_str(s->err.message));
    jsonout_key(&text, "diagnostics");
    jsonout_open(&text, '[');
    buf_append(&text, c->list.data, c->list.size);
    jsonout_close(&text, ']');
    jsonout_close(&text, '}');
    buf_byte(&text, '\n');
    print_out(&text);
    buf_deinit(&text);
}

static void say(const checking *c, const options *o, const session *s, const weir_summary *summary, int rc)
{
    weir_error err = s->err;
    buf count;
    buf_init(&count);
    print_count(&count, summary->nodes);
    const char *nodes = buf_cstr(&count);
    if (rc == WEIR_WORKFLOW && c->errors > 0 && !err.message[0])
        error_set(&err, rc, "%zu %s in %s", c->errors, c->errors == 1 ? "error" : "errors", s->project.workflow);
    print_more_diagnostics(c->verbose ? 0 : c->errors);
    if (rc != 0) print_failure(&err, s->hint);
    else if (!o->quiet) print_message("%s is sound, %s %s", s->project.workflow, nodes ? nodes : "", summary->nodes == 1 ? "node" : "nodes");
    buf_deinit(&count);
}

int command_check(const options *o)
{
    session s;
    checking c = {.json = o->json, .verbose = o->verbose};
    weir_summary summary = {.size = sizeof summary};
    weir_request request = {.size = sizeof request, .flags = WEIR_RUN_CHECK, .trigger = "check"};
    int rc = session_open(&s, o, WEIR_OPEN_READER, listen, &c);
    if (rc == 0) rc = weir_run(s.engine, &request, &summary, &s.err);
    if (c.json) put_json(&c, &s, &summary, rc);
    else say(&c, o, &s, &summary, rc);
    int code = rc == WEIR_CANCELLED ? EXIT_SIGNAL + (session_signal() ? session_signal() : 2) : print_exit_code(rc);
    session_close(&s);
    buf_deinit(&c.list);
    return print_end(code);
}
