/*
 * status.c - weir status: what is up to date, as it was recorded. Looks at no file; with --check see status_check.c.
 */
#include <inttypes.h>

#include "engine/door/commands.h"
#include "engine/door/query.h"
#include "engine/door/report.h"
#include "engine/store/jsonout.h"

enum { SHOWN = 20 /* unsettled nodes that are named, without -v */ };

typedef struct open_node {
    node_row node;
    uint64_t tried_in; /* run in which it failed last; 0: it did not */
    int64_t tried_us;
} open_node;

typedef struct state {
    uint64_t nodes, due, failed, blocked, always;
    run_row run;       /* id 0: there was none */
    struct running_row { bytes name; int job; int64_t pid, at_us; bool adopted; } *running; /* processes of open executions */
    size_t running_count, running_capacity;
    open_node *open;   /* unsettled ones */
    size_t open_count, open_capacity;
} state;

static int count_statuses(query *q, state *s)
{
    uint64_t *counts[] = {NULL, &s->due, &s->failed, &s->blocked};
    int rc;
    db_stmt *stmt = QUERY_ASK(q, SQL_DOOR_GRAPH, q->graph);
    if (!stmt) return q->err.code;
    if (query_step(q, stmt) == 1) s->nodes = (uint64_t)db_int(stmt, 1);
    db_reset(stmt);
    stmt = QUERY_ASK(q, SQL_DOOR_UNSETTLED_COUNT, q->graph);
    if (!stmt) return q->err.code;
    while ((rc = query_step(q, stmt)) == 1)
        if (db_int(stmt, 0) >= 1 && db_int(stmt, 0) <= 3) *counts[db_int(stmt, 0)] = (uint64_t)db_int(stmt, 1);
    if (rc != 0) return rc;
    stmt = QUERY_ASK(q, SQL_DOOR_ALWAYS_COUNT, q->graph);
    if (!stmt) return q->err.code;
    rc = query_step(q, stmt);
    if (rc == 1) s->always = (uint64_t)db_int(stmt, 0);
    db_reset(stmt);
    return rc < 0 ? rc : 0;
}

static int add_open(query *q, state *s, const node_row *node)
{
    if (!MEM_GROW(s->open, s->open_capacity, s->open_count + 1)) return error_nomem(&q->err, "listing nodes");
    s->open[s->open_count++] = (open_node){.node = *node};
    return 0;
}

static int list_unsettled(query *q, state *s, uint64_t limit)
{
    int rc;
    db_stmt *stmt = QUERY_ASK(q, SQL_DOOR_UNSETTLED, q->graph, limit);
    if (!stmt) return q->err.code;
    while ((rc = query_step(q, stmt)) == 1) {
        node_row node = {.id = (uint64_t)db_int(stmt, 0), .name = query_bytes(q, stmt, 1), .status = (int)db_int(stmt, 2), .due = (int)db_int(stmt, 3)};
        if ((rc = add_open(q, s, &node)) != 0) break;
    }
    db_reset(stmt);
    return rc;
}

/* When was each that failed run last? */
static int find_failures(query *q, state *s)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < s->open_count; i++) {
        if (s->open[i].node.status != 2) continue;
        db_stmt *stmt = QUERY_ASK(q, SQL_DOOR_LAST_FAILURE, s->open[i].node.id);
        if (!stmt) return q->err.code;
        rc = query_step(q, stmt);
        if (rc == 1) {
            s->open[i].tried_in = (uint64_t)db_int(stmt, 0);
            s->open[i].tried_us = db_int(stmt, 1);
        }
        db_reset(stmt);
    }
    return rc < 0 ? rc : 0;
}

/* Nodes whose change of an input was recorded, and that no run has looked at since. */
static int list_pending(query *q, state *s)
{
    int rc;
    db_stmt *stmt = QUERY_ASK(q, SQL_DOOR_PENDING_USERS, q->graph, UINT64_C(100000));
    if (!stmt) return q->err.code;
    while ((rc = query_step(q, stmt)) == 1) {
        node_row node = {.name = query_bytes(q, stmt, 1), .status = 1, .due = REASON_INPUT_CHANGED};
        s->due++;
        if ((rc = add_open(q, s, &node)) != 0) break;
    }
    db_reset(stmt);
    return rc;
}

/* Of those that are recorded as open: the ones whose process is there. */
static int list_running(query *q, state *s)
{
    char boot_id[40];
    int rc;
    os_boot_id(boot_id);
    db_stmt *stmt = QUERY_ASK(q, SQL_DOOR_RUNNING, q->graph);
    if (!stmt) return q->err.code;
    while ((rc = query_step(q, stmt)) == 1) {
        struct running_row row = {query_bytes(q, stmt, 0), (int)db_int(stmt, 1), db_int(stmt, 2), db_int(stmt, 4), db_int(stmt, 6) != 0};
        bool is_here = row.pid > 0 && bytes_equal(db_bytes(stmt, 5), bytes_str(boot_id)) && db_int(stmt, 3) != 0;
        if (!is_here || os_process_start(row.pid) != (uint64_t)db_int(stmt, 3)) continue;
        if (!MEM_GROW(s->running, s->running_capacity, s->running_count + 1)) {
            rc = error_nomem(&q->err, "listing processes");
            break;
        }
        s->running[s->running_count++] = row;
    }
    db_reset(stmt);
    return rc;
}

static int gather(query *q, const options *o, state *s)
{
    int rc = count_statuses(q, s);
    if (rc == 0) rc = list_unsettled(q, s, o->verbose || o->json ? INT64_MAX : SHOWN);
    if (rc == 0) rc = find_failures(q, s);
    if (rc == 0) rc = list_pending(q, s);
    if (rc == 0) rc = list_running(q, s);
    if (rc != 0) return rc;
    rc = query_run(q, -1, &s->run);
    if (rc != WEIR_NOTFOUND) return rc;
    error_clear(&q->err);
    return 0;
}

static void put_json(buf *to, const state *s, const char *workflow)
{
    jsonout_open(to, '{');
    jsonout_member(to, "workflow", bytes_str(workflow));
    const struct { const char *name; uint64_t count; } counts[] = {
        {"nodes", s->nodes}, {"settled", s->nodes - s->due - s->failed - s->blocked}, {"due", s->due}, {"failed", s->failed},
        {"blocked", s->blocked}, {"always", s->always}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        jsonout_key(to, counts[i].name);
        jsonout_number(to, counts[i].count);
    }
    jsonout_key(to, "last_run");
    if (s->run.id) {
        jsonout_open(to, '{');
        jsonout_key(to, "run");
        jsonout_number(to, s->run.id);
        print_json_time(to, "started", s->run.at_us);
        jsonout_key(to, "finished");
        jsonout_bool(to, s->run.finished != 0);
        print_json_seconds(to, "seconds", s->run.seconds);
        jsonout_close(to, '}');
    } else {
        jsonout_string(to, NULL);
    }
    jsonout_key(to, "running");
    jsonout_open(to, '[');
    for (size_t i = 0; i < s->running_count; i++) {
        const struct running_row *r = &s->running[i];
        jsonout_open(to, '{');
        jsonout_member(to, "node", r->name);
        jsonout_key(to, "job");
        jsonout_string(to, spec_job_name(r->job));
        jsonout_key(to, "pid");
        jsonout_signed(to, r->pid);
        print_json_time(to, "started", r->at_us);
        jsonout_key(to, "adopted");
        jsonout_bool(to, r->adopted);
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
    jsonout_key(to, "unsettled");
    jsonout_open(to, '[');
    for (size_t i = 0; i < s->open_count; i++) {
        jsonout_open(to, '{');
        const open_node *n = &s->open[i];
        jsonout_member(to, "node", n->node.name);
        jsonout_key(to, "status");
        jsonout_string(to, query_status_name(&n->node));
        jsonout_key(to, "due");
        jsonout_string(to, n->node.status == 1 ? reason_name((reason_kind)n->node.due) : NULL);
        if (n->tried_in) {
            jsonout_key(to, "tried_in");
            jsonout_number(to, n->tried_in);
            print_json_time(to, "tried", n->tried_us);
        }
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
    jsonout_close(to, '}');
    buf_byte(to, '\n');
}

static void put_run(buf *to, const run_row *r)
{
    if (r->id == 0) {
        buf_text(to, "there was no run yet\n");
        return;
    }
    weir_summary summary = {.ran = r->ran, .unchanged = r->unchanged, .restored = r->restored, .cut_off = r->cut_off,
                            .failed = r->failed, .blocked = r->blocked, .seconds = r->seconds, .nodes = r->unchanged};
    buf_printf(to, "last run: %" PRIu64 ", ", r->id);
    print_time(to, r->at_us);
    buf_text(to, ": ");
    if (r->finished) present_summary(to, &summary, "", false);
    else buf_text(to, "it did not come to its end, or is still going on");
    buf_byte(to, '\n');
}

static void put_counts(buf *to, const state *s)
{
    uint64_t open = s->due + s->failed + s->blocked;
    print_count(to, s->nodes);
    buf_text(to, s->nodes == 1 ? " node" : " nodes");
    if (open == 0) buf_text(to, ", all up to date");
    const struct { const char *name; uint64_t count; } counts[] = {
        {"due", s->due}, {"failed", s->failed}, {"blocked", s->blocked}, {"run every time", s->always}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].count == 0) continue;
        buf_text(to, ", ");
        print_count(to, counts[i].count);
        buf_printf(to, " %s", counts[i].name);
    }
    buf_byte(to, '\n');
}

static void put_text(buf *to, const state *s, const options *o)
{
    size_t shown = s->open_count < SHOWN || o->verbose ? s->open_count : SHOWN;
    put_counts(to, s);
    put_run(to, &s->run);
    for (size_t i = 0; i < shown; i++) {
        buf_text(to, "  ");
        const open_node *n = &s->open[i];
        print_name(to, n->node.name);
        buf_text(to, "  ");
        query_put_status(to, &n->node);
        if (n->tried_in) {
            buf_printf(to, ", run last in run %" PRIu64 " (", n->tried_in);
            print_time(to, n->tried_us);
            buf_byte(to, ')');
        }
        buf_byte(to, '\n');
    }
    if (s->failed) buf_text(to, "  `weir why NODE` says why, `weir run --force NODE` tries again\n");
    for (size_t i = 0; i < s->running_count; i++) {
        buf_text(to, "  ");
        print_name(to, s->running[i].name);
        buf_printf(to, "  running since ");
        print_time(to, s->running[i].at_us);
        buf_printf(to, ": process %" PRId64 ", %s%s\n", s->running[i].pid, spec_job_name(s->running[i].job),
                   s->running[i].adopted ? ", adopted after its engine had died" : "");
    }
    uint64_t open = s->due + s->failed + s->blocked;
    if (open > shown) buf_printf(to, "  and %" PRIu64 " more (-v names all)\n", open - shown);
}

int command_status(const options *o)
{
    query q;
    state s = {0};
    buf out;
    if (o->check) return status_check(o);
    buf_init(&out);
    int rc = query_open(&q, o);
    if (rc == 0) rc = gather(&q, o, &s);
    if (rc == 0 && o->json) put_json(&out, &s, q.project.workflow);
    else if (rc == 0 && !o->quiet) put_text(&out, &s, o);
    print_out(&out);
    buf_deinit(&out);
    mem_free(s.open);
    mem_free(s.running);
    bool is_stale = s.due + s.failed + s.blocked > 0 || s.run.id == 0;
    return query_end(&q, rc, o->exit_code && is_stale ? EXIT_STALE : EXIT_DONE);
}
