/*
 * status_check.c - weir status --check: what is up to date now. Looks at files, as `weir run -n` does, and writes nothing.
 *
 *   4 nodes, 1 due, 1 maybe, 2 up to date
 *     due       page[post=a]  (input-changed content/a.md)
 *     maybe     index, behind page[post=a]
 */
#include <inttypes.h>

#include "engine/door/commands.h"
#include "engine/door/remote.h"
#include "engine/door/report.h"
#include "engine/door/session.h"
#include "engine/store/jsonout.h"

enum { SHOWN = 20 /* nodes that are named, without -v */ };

typedef struct checking {
    const options *o;
    buf list; /* of nodes: lines, or JSON */
    uint64_t due, maybe, restore, failed, blocked, shown;
    uint64_t diagnostics;
} checking;

static void put_json_node(checking *c, const weir_event *e, const char *status)
{
    buf *to = &c->list;
    jsonout_open(to, '{');
    jsonout_member(to, "node", bytes_str(e->node));
    jsonout_key(to, "status");
    jsonout_string(to, status);
    lines_put_reasons(to, e);
    if (e->cause && *e->cause) jsonout_member(to, "cause", bytes_str(e->cause));
    if (e->message && *e->message) jsonout_member(to, "message", bytes_str(e->message));
    jsonout_close(to, '}');
}

static void put_line(checking *c, const weir_event *e, const char *status)
{
    if (c->shown++ >= SHOWN && !c->o->verbose) return;
    buf *to = &c->list;
    size_t start = to->size;
    buf_printf(to, "  %s", status);
    print_pad(to, start, 12);
    print_name(to, bytes_str(e->node));
    present_reasons(to, e, c->o->verbose);
    if (e->message && *e->message) {
        buf_text(to, ": ");
        print_safe(to, bytes_str(e->message), 0);
    }
    if (e->cause && *e->cause) {
        buf_text(to, ", behind ");
        print_name(to, bytes_str(e->cause));
    }
    buf_byte(to, '\n');
}

static void add(checking *c, const weir_event *e, const char *status, uint64_t *count)
{
    ++*count;
    if (c->o->json) put_json_node(c, e, status);
    else put_line(c, e, status);
}

static void listen(void *ctx, const weir_event *e)
{
    checking *c = ctx;
    const char *what = e->outcome ? e->outcome : "";
    switch (e->kind) {
    case WEIR_EVENT_WOULD_RUN: add(c, e, "due", &c->due); return;
    case WEIR_EVENT_MAYBE: add(c, e, "maybe", &c->maybe); return;
    case WEIR_EVENT_FINISHED: case WEIR_EVENT_SETTLED:
        if (strcmp(what, "restored") == 0) add(c, e, "restore", &c->restore);
        else if (strcmp(what, "failed") == 0) add(c, e, "failed", &c->failed);
        else if (strcmp(what, "blocked") == 0) add(c, e, "blocked", &c->blocked);
        return;
    case WEIR_EVENT_DIAGNOSTIC:
        if (e->diagnostic && (c->diagnostics++ < PRINT_DIAGNOSTICS || c->o->verbose)) print_diagnostic(e->diagnostic);
        return;
    case WEIR_EVENT_MESSAGE:
        if (!c->o->json) print_message("%s", e->message ? e->message : "");
        return;
    case WEIR_EVENT_STARTED: case WEIR_EVENT_VOIDED: case WEIR_EVENT_PROGRESS: case WEIR_EVENT_PLAN: return;
    }
}

static uint64_t open_count(const checking *c)
{
    return c->due + c->maybe + c->restore + c->failed + c->blocked;
}

static void put_json(const checking *c, const char *workflow, uint64_t nodes, buf *to)
{
    uint64_t open = open_count(c);
    jsonout_open(to, '{');
    jsonout_member(to, "workflow", bytes_str(workflow));
    jsonout_key(to, "checked");
    jsonout_bool(to, true);
    const struct { const char *name; uint64_t count; } counts[] = {
        {"nodes", nodes}, {"settled", nodes > open ? nodes - open : 0}, {"due", c->due}, {"maybe", c->maybe},
        {"restore", c->restore}, {"failed", c->failed}, {"blocked", c->blocked}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        jsonout_key(to, counts[i].name);
        jsonout_number(to, counts[i].count);
    }
    jsonout_key(to, "unsettled");
    jsonout_open(to, '[');
    buf_append(to, c->list.data, c->list.size);
    jsonout_close(to, ']');
    jsonout_close(to, '}');
    buf_byte(to, '\n');
}

static void put_text(const checking *c, uint64_t nodes, buf *to)
{
    uint64_t open = open_count(c);
    print_count(to, nodes);
    buf_text(to, nodes == 1 ? " node" : " nodes");
    const struct { const char *name; uint64_t count; } counts[] = {
        {"due", c->due}, {"maybe", c->maybe}, {"to be restored", c->restore}, {"failed", c->failed}, {"blocked", c->blocked}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].count == 0) continue;
        buf_text(to, ", ");
        print_count(to, counts[i].count);
        buf_printf(to, " %s", counts[i].name);
    }
    if (open == 0) buf_text(to, ", all up to date");
    else if (nodes > open) buf_printf(to, ", %" PRIu64 " up to date", nodes - open);
    buf_byte(to, '\n');
    buf_append(to, c->list.data, c->list.size);
    if (c->shown > SHOWN && !c->o->verbose) buf_printf(to, "  and %" PRIu64 " more (-v names all)\n", c->shown - SHOWN);
}

int status_check(const options *o)
{
    session s;
    buf out;
    checking c = {.o = o};
    weir_summary summary = {.size = sizeof summary};
    weir_request request = {.size = sizeof request, .flags = WEIR_RUN_DRY, .trigger = "status"};
    buf_init(&out);
    buf_init(&c.list);
    int rc = session_find(&s, o);
    if (rc == 0) remote_look(&s.project, o);
    if (rc == 0) rc = session_start(&s, WEIR_OPEN_READER, listen, &c);
    if (rc == 0) rc = weir_run(s.engine, &request, &summary, &s.err);
    print_more_diagnostics(o->verbose ? 0 : c.diagnostics);
    if (rc == 0 && o->json) put_json(&c, s.project.workflow, summary.nodes, &out);
    else if (rc == 0 && !o->quiet) put_text(&c, summary.nodes, &out);
    print_out(&out);
    int code = rc == 0 ? (o->exit_code && open_count(&c) > 0 ? EXIT_STALE : EXIT_DONE)
               : rc == WEIR_CANCELLED ? EXIT_SIGNAL + (session_signal() ? session_signal() : 2) : print_failure(&s.err, s.hint);
    session_close(&s);
    buf_deinit(&c.list);
    buf_deinit(&out);
    return print_end(code);
}
