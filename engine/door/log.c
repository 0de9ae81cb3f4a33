/*
 * log.c - weir log: runs, what a run did, the executions of a node, or the events themselves. Newest first, but for events.
 */
#include <inttypes.h>

#include "engine/door/commands.h"
#include "engine/door/log.h"
#include "engine/door/report.h"
#include "engine/store/jsonout.h"

enum { RUNS = 20, EXECUTIONS = 10, EVENTS = 50, LOG_LIMIT = 64 * 1024 * 1024, FLUSH = 64 * 1024 };

/* A document that is a list, written piece by piece. */
typedef struct listing {
    query *q;
    const options *o;
    buf out;
    uint64_t count;
} listing;

static void list_begin(listing *l, query *q, const options *o)
{
    *l = (listing){.q = q, .o = o};
    if (o->json) buf_byte(&l->out, '[');
}

static void list_next(listing *l)
{
    if (l->o->json) buf_text(&l->out, l->count ? ",\n" : "\n");
    l->count++;
    if (l->out.size > FLUSH) print_out(&l->out);
}

static void list_end(listing *l, int rc)
{
    if (l->o->json) buf_text(&l->out, l->count ? "\n]\n" : "]\n");
    if (rc == 0) print_out(&l->out);
    buf_deinit(&l->out);
}

static uint64_t limit_of(const options *o, uint64_t usual)
{
    return o->count < 0 ? usual : o->count == 0 ? INT64_MAX : (uint64_t)o->count;
}

static void put_number(buf *to, const char *name, uint64_t number)
{
    jsonout_key(to, name);
    jsonout_number(to, number);
}

/* --- runs ------------------------------------------------------------------------------------------------------------- */

static void put_run_json(buf *to, const run_row *r)
{
    jsonout_open(to, '{');
    put_number(to, "run", r->id);
    jsonout_member(to, "trigger", r->trigger);
    print_json_time(to, "started", r->at_us);
    jsonout_key(to, "finished");
    jsonout_bool(to, r->finished != 0);
    print_json_seconds(to, "seconds", r->seconds);
    put_number(to, "ran", r->ran);
    put_number(to, "restored", r->restored);
    put_number(to, "unchanged", r->unchanged);
    put_number(to, "cut_off", r->cut_off);
    put_number(to, "failed", r->failed);
    put_number(to, "blocked", r->blocked);
    jsonout_key(to, "complete");
    jsonout_bool(to, r->complete);
    jsonout_close(to, '}');
}

static void put_run(buf *to, const run_row *r)
{
    weir_summary summary = {.ran = r->ran, .unchanged = r->unchanged, .restored = r->restored, .cut_off = r->cut_off,
                            .failed = r->failed, .blocked = r->blocked, .seconds = r->seconds, .nodes = r->unchanged};
    buf_printf(to, "run %-5" PRIu64 " ", r->id);
    print_time(to, r->at_us);
    buf_text(to, "  ");
    if (r->finished) present_summary(to, &summary, "", false);
    else buf_text(to, "did not come to its end, or is still going on");
    if (!bytes_equal(r->trigger, bytes_str("command"))) {
        buf_text(to, " (");
        print_name(to, r->trigger);
        buf_byte(to, ')');
    }
    buf_byte(to, '\n');
}

static int log_runs(query *q, const options *o)
{
    listing l;
    int rc;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_RUNS_ALL, UINT64_C(0x7fffffffffffffff), limit_of(o, RUNS));
    if (!s) return q->err.code;
    list_begin(&l, q, o);
    while ((rc = query_step(q, s)) == 1) {
        run_row run;
        query_read_run(q, s, &run);
        list_next(&l);
        if (o->json) put_run_json(&l.out, &run);
        else put_run(&l.out, &run);
    }
    list_end(&l, rc);
    return rc;
}

/* --- executions ------------------------------------------------------------------------------------------------------- */

static int read_log(query *q, hash128 hash, buf *to)
{
    if (hash_is_none(hash)) return 0;
    int rc = blob_read(q->blobs, q->d, hash, LOG_LIMIT, to, &q->err);
    if (rc != WEIR_NOTFOUND && rc != WEIR_CORRUPT && rc != WEIR_LIMIT) return rc;
    buf_printf(to, "(its output is not kept: %s)\n", q->err.message);
    error_clear(&q->err);
    return 0;
}

static void put_execution_json(buf *to, const execution_row *x, bytes name, bytes message, const buf *log)
{
    jsonout_open(to, '{');
    put_number(to, "execution", x->id);
    put_number(to, "run", x->run);
    jsonout_member(to, "node", name);
    jsonout_key(to, "result");
    jsonout_string(to, query_result_name(x->result));
    print_json_time(to, "started", x->at_us);
    print_json_seconds(to, "seconds", x->seconds);
    print_json_seconds(to, "cpu_seconds", x->cpu_seconds);
    put_number(to, "memory_bytes", x->memory_bytes);
    jsonout_key(to, "exit");
    jsonout_signed(to, x->exit_code);
    jsonout_key(to, "signal");
    jsonout_signed(to, x->signal);
    if (message.size) jsonout_member(to, "message", message);
    jsonout_member(to, "log", buf_bytes(log));
    jsonout_close(to, '}');
}

static void put_result(buf *to, const execution_row *x, bytes message)
{
    print_style style = x->result == 1 ? STYLE_GOOD : x->result == 0 ? STYLE_NOTE : STYLE_BAD;
    print_styled(to, print_has_color(stdout), style, query_result_name(x->result));
    buf_text(to, ", ");
    print_seconds(to, x->seconds);
    if (message.size || x->exit_code || x->signal) buf_text(to, ": ");
    if (message.size) print_name(to, message);
    else query_put_end(to, x);
    buf_byte(to, '\n');
}

static void put_execution_text(buf *to, const execution_row *x, bytes name, bytes message, const buf *log)
{
    buf_printf(to, "run %-5" PRIu64 " ", x->run);
    print_time(to, x->at_us);
    buf_text(to, "  ");
    print_name(to, name);
    buf_text(to, "  ");
    put_result(to, x, message);
    print_safe(to, buf_bytes(log), SAFE_LINES | (print_has_color(stdout) ? SAFE_COLOR : 0));
    if (log->size && log->data[log->size - 1] != '\n') buf_byte(to, '\n');
}

static int put_execution(listing *l, const execution_row *x, bytes name, bool as_json)
{
    buf log;
    bytes message;
    buf_init(&log);
    int rc = read_log(l->q, x->log, &log);
    if (rc == 0) rc = query_failure(l->q, x, &message);
    if (rc == 0 && as_json) put_execution_json(&l->out, x, name, message, &log);
    else if (rc == 0) put_execution_text(&l->out, x, name, message, &log);
    buf_deinit(&log);
    return rc;
}

static int read_executions(query *q, const options *o, uint64_t node, execution_row **list, size_t *count)
{
    size_t capacity = 0;
    int rc;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_EXECUTIONS, node, o->run > 0 ? (uint64_t)o->run : 0, limit_of(o, EXECUTIONS));
    if (!s) return q->err.code;
    while ((rc = query_step(q, s)) == 1) {
        if (!MEM_GROW(*list, capacity, *count + 1)) {
            db_reset(s);
            return error_nomem(&q->err, "listing executions");
        }
        query_read_execution(s, &(*list)[(*count)++]);
    }
    return rc;
}

static int log_node(query *q, const options *o)
{
    listing l;
    node_row node;
    execution_row *list = NULL;
    size_t count = 0;
    int rc = query_find_node(q, o->words[0], &node);
    if (rc == 0) rc = read_executions(q, o, node.id, &list, &count);
    if (rc == 0) {
        list_begin(&l, q, o);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            list_next(&l);
            bytes name = query_name(q, list[i].node, true); /* its own, or that of a node it took over from */
            rc = put_execution(&l, &list[i], name, o->json);
        }
        list_end(&l, rc);
        if (rc == 0 && count == 0 && !o->json && !o->quiet) print_message("%.200s has not been run", (const char *)node.name.data);
    }
    mem_free(list);
    return rc;
}

/* --- one run ---------------------------------------------------------------------------------------------------------- */

static void put_settled_json(buf *to, db_stmt *s)
{
    jsonout_open(to, '{');
    jsonout_member(to, "node", db_bytes(s, 1));
    jsonout_key(to, "outcome");
    jsonout_string(to, outcome_name((outcome)db_int(s, 2)));
    jsonout_key(to, "execution");
    if (db_int(s, 3)) jsonout_signed(to, db_int(s, 3));
    else jsonout_string(to, NULL);
    jsonout_key(to, "changed");
    jsonout_bool(to, db_int(s, 4) != 0);
    if (!db_is_null(s, 7)) print_json_seconds(to, "seconds", (double)db_int(s, 7) / 1e6);
    jsonout_close(to, '}');
}

static void put_settled(buf *to, db_stmt *s)
{
    const char *what = outcome_name((outcome)db_int(s, 2));
    print_styled(to, print_has_color(stdout), db_int(s, 2) == OUTCOME_FAILED ? STYLE_BAD : STYLE_PLAIN, what);
    for (size_t i = strlen(what); i < 10; i++) buf_byte(to, ' ');
    print_name(to, db_bytes(s, 1));
    if (!db_is_null(s, 7)) {
        buf_text(to, ", ");
        print_seconds(to, (double)db_int(s, 7) / 1e6);
    }
    buf_byte(to, '\n');
}

static int log_run(query *q, const options *o)
{
    listing l;
    run_row run;
    int rc = query_run(q, o->run, &run);
    db_stmt *s = rc == 0 ? QUERY_ASK(q, SQL_DOOR_SETTLED_IN_RUN, run.id, limit_of(o, INT64_MAX)) : NULL;
    if (!s) return q->err.code;
    list_begin(&l, q, o);
    if (!o->json) put_run(&l.out, &run);
    while ((rc = query_step(q, s)) == 1) {
        list_next(&l);
        if (o->json) put_settled_json(&l.out, s);
        else put_settled(&l.out, s);
    }
    list_end(&l, rc);
    return rc;
}

/* --- events ----------------------------------------------------------------------------------------------------------- */

int log_put_event(buf *to, db_stmt *s, weir_error *err)
{
    int kind = (int)db_int(s, 3);
    jsonout_open(to, '{');
    put_number(to, "seq", (uint64_t)db_int(s, 0));
    put_number(to, "run", (uint64_t)db_int(s, 1));
    print_json_time(to, "at", db_int(s, 2));
    jsonout_key(to, "kind");
    jsonout_string(to, event_kind_name(kind));
    jsonout_key(to, "body");
    int rc = event_to_json(kind, db_bytes(s, 4), to, err);
    jsonout_close(to, '}');
    return rc;
}

void log_put_head(buf *to, uint64_t seq, int64_t at_us, const char *kind)
{
    buf_printf(to, "%-6" PRIu64 " ", seq);
    print_time(to, at_us);
    buf_printf(to, "  %-15s ", kind);
}

static int put_event(listing *l, db_stmt *s)
{
    buf *to = &l->out;
    int kind = (int)db_int(s, 3);
    if (l->o->json) return log_put_event(to, s, &l->q->err);
    log_put_head(to, (uint64_t)db_int(s, 0), db_int(s, 2), event_kind_name(kind));
    int rc = event_to_json(kind, db_bytes(s, 4), to, &l->q->err);
    buf_byte(to, '\n');
    return rc;
}

int log_first_event(query *q, const options *o, uint64_t limit, uint64_t *first)
{
    *first = o->from > 0 ? (uint64_t)o->from : 1;
    if (o->from >= 0) return 0;
    db_stmt *s = query_get(q, SQL_DOOR_EVENT_LAST);
    if (!s) return q->err.code;
    int rc = query_step(q, s);
    uint64_t last = rc == 1 ? (uint64_t)db_int(s, 0) : 0;
    db_reset(s);
    if (last > limit) *first = last - limit + 1;
    return rc < 0 ? rc : 0;
}

static int log_events(query *q, const options *o)
{
    listing l;
    uint64_t first = 1;
    uint64_t limit = limit_of(o, o->from >= 0 ? INT64_MAX : EVENTS);
    int rc = log_first_event(q, o, limit, &first);
    db_stmt *s = rc == 0 ? QUERY_ASK(q, SQL_DOOR_EVENTS, first, limit) : NULL;
    if (!s) return q->err.code;
    list_begin(&l, q, o);
    while ((rc = query_step(q, s)) == 1) {
        list_next(&l);
        if ((rc = put_event(&l, s)) != 0) break;
    }
    db_reset(s);
    list_end(&l, rc);
    return rc;
}

int command_log(const options *o)
{
    query q;
    if (o->follow) return log_follow(o);
    int rc = query_open(&q, o);
    if (rc == 0 && o->events && o->word_count) rc = query_fail(&q, WEIR_USAGE, "--events is the whole log, not that of a node");
    else if (rc == 0 && o->events) rc = log_events(&q, o);
    else if (rc == 0 && o->word_count) rc = log_node(&q, o);
    else if (rc == 0) rc = o->run >= 0 ? log_run(&q, o) : log_runs(&q, o);
    return query_end(&q, rc, EXIT_DONE);
}
