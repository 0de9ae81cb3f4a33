/*
 * query.c - opening the database to look, and the rows that most questions need.
 */
#include "engine/door/query.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/door/remote.h"
#include "engine/model/near.h"

enum { NAMES_MAX = 20000 /* how many names a did-you-mean looks at */ };

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int choose_graph(query *q)
{
    db_stmt *s = query_get(q, SQL_GRAPH_BY_FILE);
    if (!s) return q->err.code;
    db_bind_bytes(s, 1, bytes_str(q->project.workflow));
    int rc = query_step(q, s);
    if (rc == 0 && (s = query_get(q, SQL_DOOR_GRAPH_FIRST)) == NULL) return q->err.code;
    if (rc == 0) rc = query_step(q, s);
    if (rc == 1) q->graph = (uint64_t)db_int(s, 0);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int open_database(query *q)
{
    bool stale = false;
    int rc = db_open(&q->d, q->project.db_path, DB_READ, &stale, &q->err);
    if (rc == WEIR_NOTFOUND) {
        snprintf(q->hint, sizeof q->hint, "`weir run` makes what the workflow describes, and records it");
        return error_set(&q->err, WEIR_NOTFOUND, "nothing was recorded in %s yet", q->project.root);
    }
    if (rc == 0 && stale) {
        snprintf(q->hint, sizeof q->hint, "`weir db rebuild` makes them anew from the log; so does the next run");
        return error_set(&q->err, WEIR_NEWER, "the derived tables of %s are of another release of weir", q->project.db_path);
    }
    return rc == 0 ? db_begin(q->d, &q->err) : rc;
}

static int find_project(query *q, const options *o)
{
    *q = (query){.weirfd = -1};
    arena_init(&q->arena);
    int rc = project_find(&q->project, o, &q->err);
    if (rc == WEIR_NOTFOUND && !q->project.workflow) snprintf(q->hint, sizeof q->hint, "%s", PROJECT_HINT);
    return rc;
}

static int open_snapshot(query *q)
{
    int rc = open_database(q);
    if (rc != 0) return rc;
    int rootfd = os_openat(AT_FDCWD, q->project.root, OS_READ | OS_FOLDER, 0, &q->err);
    if (rootfd < 0) return rootfd;
    q->weirfd = os_openat(rootfd, ".weir", OS_READ | OS_FOLDER, 0, &q->err);
    os_close(rootfd);
    if (q->weirfd < 0) return q->weirfd;
    rc = blob_store_open_reader(&q->blobs, q->weirfd, &q->err);
    return rc == 0 ? choose_graph(q) : rc;
}

int query_open_as_is(query *q, const options *o)
{
    int rc = find_project(q, o);
    return rc == 0 ? open_snapshot(q) : rc;
}

int query_open(query *q, const options *o)
{
    int rc = find_project(q, o);
    if (rc == 0) remote_look(&q->project, o);
    return rc == 0 ? open_snapshot(q) : rc;
}

void query_close(query *q)
{
    blob_store_close(q->blobs);
    db_close(q->d);
    os_close(q->weirfd);
    project_deinit(&q->project);
    arena_deinit(&q->arena);
    *q = (query){.weirfd = -1};
}

int query_end(query *q, int rc, int code)
{
    if (rc != 0) code = print_failure(&q->err, q->hint);
    query_close(q);
    return print_end(code);
}

int query_fail(query *q, int code, const char *format, ...)
{
    char text[480];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(&q->err, code, "%s", text);
}

/* --- statements -------------------------------------------------------------------------------------------------- */

db_stmt *query_get(query *q, int statement)
{
    return db_get(q->d, statement, &q->err);
}

db_stmt *query_ask(query *q, int statement, const uint64_t *numbers, size_t count)
{
    db_stmt *s = query_get(q, statement);
    for (size_t i = 0; s && i < count; i++) db_bind_int(s, (int)i + 1, (int64_t)numbers[i]);
    return s;
}

int query_step(query *q, db_stmt *s)
{
    return db_step(s, &q->err);
}

bytes query_bytes(query *q, db_stmt *s, int column)
{
    return arena_bytes(&q->arena, db_bytes(s, column));
}

static int missing(query *q)
{
    return q->err.code ? q->err.code : error_set(&q->err, WEIR_BUG, "a question could not be asked");
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

int query_node(query *q, uint64_t id, node_row *node)
{
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_NODE, id);
    if (!s) return missing(q);
    int rc = query_step(q, s);
    if (rc == 0) return query_fail(q, WEIR_NOTFOUND, "there is no node number %" PRIu64, id);
    if (rc < 0) return rc;
    *node = (node_row){.id = id,
                       .graph = (uint64_t)db_int(s, 0),
                       .name = query_bytes(q, s, 1),
                       .effect = query_bytes(q, s, 2),
                       .effect_kind = (int)db_int(s, 3),
                       .height = (uint64_t)db_int(s, 4),
                       .status = (int)db_int(s, 5),
                       .due = (int)db_int(s, 6),
                       .always = db_int(s, 7) != 0,
                       .spec = (uint64_t)db_int(s, 8),
                       .successor = (uint64_t)db_int(s, 9),
                       .settled = (uint64_t)db_int(s, 10),
                       .execution = (uint64_t)db_int(s, 11),
                       .value = db_hash(s, 12),
                       .effect_seq = (uint64_t)db_int(s, 13),
                       .parent = (uint64_t)db_int(s, 14)};
    db_reset(s);
    return 0;
}

int query_node_id(query *q, const char *name, uint64_t *id)
{
    *id = 0;
    db_stmt *s = query_get(q, SQL_NODE_ID_BY_NAME);
    if (!s) return missing(q);
    db_bind_int(s, 1, (int64_t)q->graph);
    db_bind_bytes(s, 2, bytes_str(name));
    int rc = query_step(q, s);
    if (rc == 1) *id = (uint64_t)db_int(s, 0);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* The node that made an output, also when it is gone. */
static int find_maker(query *q, const char *path, uint64_t *id)
{
    item_row item;
    bytes below;
    int rc = query_output(q, path, &item);
    if (rc == 0) rc = query_folder_over(q, path, &item, &below);
    if (rc <= 0) return rc;
    *id = item.node;
    if (*id != 0) return 0;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_LAST_MAKER, item.id);
    if (!s) return missing(q);
    rc = query_step(q, s);
    if (rc == 1) *id = (uint64_t)db_int(s, 0);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* A name without its params belongs to several nodes. */
static bool is_base(const char *base, const char *name)
{
    size_t size = strlen(base);
    return strncmp(base, name, size) == 0 && name[size] == '[';
}

static void suggest(query *q, const char *wrong)
{
    size_t count = 0;
    const char **names = arena_alloc(&q->arena, NAMES_MAX * sizeof *names);
    db_stmt *s = names ? QUERY_ASK(q, SQL_NODES_NAMED, q->graph) : NULL;
    weir_error ignored;
    while (s && count < NAMES_MAX && db_step(s, &ignored) == 1) {
        bytes name = query_bytes(q, s, 1);
        if (!name.data) break;
        names[count++] = (const char *)name.data;
        if (!is_base(wrong, names[count - 1])) continue;
        snprintf(q->hint, sizeof q->hint, "`weir ls %.60s` lists the nodes of that name, such as %.120s", wrong, names[count - 1]);
        db_reset(s);
        return;
    }
    if (s) db_reset(s);
    const char *near = names ? near_name(wrong, names, count) : NULL;
    if (near) snprintf(q->hint, sizeof q->hint, "did you mean %s?", near);
    else snprintf(q->hint, sizeof q->hint, "`weir ls` lists the nodes");
}

int query_find_node(query *q, const char *name, node_row *node)
{
    uint64_t id = 0;
    int rc = query_node_id(q, name, &id);
    if (rc == 0 && id == 0) rc = find_maker(q, name, &id);
    if (rc != 0) return rc;
    if (id != 0) return query_node(q, id, node);
    suggest(q, name);
    return query_fail(q, WEIR_NOTFOUND, "there is no node and no output called %s", name);
}

const char *query_status_name(const node_row *node)
{
    switch (node->status) {
    case 0: return "settled";
    case 1: return "due";
    case 2: return "failed";
    case 3: return "blocked";
    case 9: return "vanished";
    default: return "unknown";
    }
}

void query_put_status(buf *to, const node_row *node)
{
    buf_text(to, query_status_name(node));
    if (node->status == 1 && node->due) buf_printf(to, ": %s", reason_name((reason_kind)node->due));
}

/* --- items and names --------------------------------------------------------------------------------------------- */

int query_item(query *q, uint64_t id, item_row *item)
{
    db_stmt *s = QUERY_ASK(q, SQL_ITEM_BY_ID, id);
    if (!s) return missing(q);
    int rc = query_step(q, s);
    if (rc != 1) return rc;
    *item = (item_row){.id = id,
                       .kind = (int)db_int(s, 0),
                       .name = query_bytes(q, s, 1),
                       .hash = db_hash(s, 2),
                       .size = (uint64_t)db_int(s, 3),
                       .mode = (uint32_t)db_int(s, 4),
                       .node = (uint64_t)db_int(s, 5)};
    db_reset(s);
    return 1;
}

int query_item_named(query *q, int kind, bytes name, item_row *item)
{
    db_stmt *s = query_get(q, SQL_ITEM_BY_NAME);
    if (!s) return missing(q);
    db_bind_int(s, 1, kind);
    db_bind_bytes(s, 2, name);
    int rc = query_step(q, s);
    if (rc != 1) return rc;
    uint64_t id = (uint64_t)db_int(s, 0);
    db_reset(s);
    return query_item(q, id, item);
}

int query_output(query *q, const char *written, item_row *item)
{
    char *path = project_path(&q->project, written);
    int rc = path ? query_item_named(q, ITEM_FILE, bytes_str(path), item) : 0;
    char *folder = path ? mem_alloc(strlen(path) + 2) : NULL;
    if (rc == 0 && folder) {
        snprintf(folder, strlen(path) + 2, "%s/", path);
        rc = query_item_named(q, ITEM_FILE, bytes_str(folder), item);
    }
    mem_free(folder);
    mem_free(path);
    return rc == 0 ? query_item_named(q, ITEM_FILE, bytes_str(written), item) : rc;
}

int query_folder_over(query *q, const char *written, item_row *item, bytes *below)
{
    char *path = project_path(&q->project, written);
    bytes whole = path ? arena_bytes(&q->arena, bytes_str(path)) : (bytes){NULL, 0};
    int rc = 0;
    mem_free(path);
    for (size_t at = whole.size; rc == 0 && at > 1; at--) {
        if (whole.data[at - 1] != '/' || at == whole.size) continue;
        rc = query_item_named(q, ITEM_FILE, bytes_of(whole.data, at), item);
        *below = bytes_of(whole.data + at, whole.size - at);
    }
    return rc;
}

bytes query_name(query *q, uint64_t id, bool is_node)
{
    bytes name = bytes_str("");
    db_stmt *s = id ? QUERY_ASK(q, is_node ? SQL_NODE_NAME_BY_ID : SQL_ITEM_BY_ID, id) : NULL;
    if (s && query_step(q, s) == 1) {
        name = query_bytes(q, s, is_node ? 0 : 1);
        db_reset(s);
    }
    return name;
}

/* --- runs, settlements, executions -------------------------------------------------------------------------------- */

void query_read_run(query *q, db_stmt *s, run_row *run)
{
    *run = (run_row){.id = (uint64_t)db_int(s, 0),
                     .graph = (uint64_t)db_int(s, 1),
                     .started = (uint64_t)db_int(s, 2),
                     .finished = (uint64_t)db_int(s, 3),
                     .at_us = db_int(s, 4),
                     .seconds = (double)db_int(s, 5) / 1e6,
                     .trigger = query_bytes(q, s, 6),
                     .ran = (uint64_t)db_int(s, 7),
                     .unchanged = (uint64_t)db_int(s, 8),
                     .restored = (uint64_t)db_int(s, 9),
                     .cut_off = (uint64_t)db_int(s, 10),
                     .failed = (uint64_t)db_int(s, 11),
                     .blocked = (uint64_t)db_int(s, 12),
                     .complete = db_int(s, 13) != 0};
}

static int last_run(query *q, uint64_t *id)
{
    db_stmt *s = query_get(q, SQL_RUN_LAST);
    if (!s) return missing(q);
    int rc = query_step(q, s);
    *id = rc == 1 ? (uint64_t)db_int(s, 0) : 0;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int query_run(query *q, int64_t wanted, run_row *run)
{
    uint64_t last = 0;
    int rc = last_run(q, &last);
    if (rc != 0) return rc;
    if (last == 0) return query_fail(q, WEIR_NOTFOUND, "there was no run yet");
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_RUN, wanted < 0 ? last : (uint64_t)wanted);
    if (!s) return missing(q);
    rc = query_step(q, s);
    if (rc == 0) return query_fail(q, WEIR_NOTFOUND, "there is no run %" PRId64 "; the last one is run %" PRIu64, wanted, last);
    if (rc < 0) return rc;
    query_read_run(q, s, run);
    db_reset(s);
    return 0;
}

void query_read_settlement(db_stmt *s, settlement_row *row)
{
    *row = (settlement_row){.seq = (uint64_t)db_int(s, 0),
                            .run = (uint64_t)db_int(s, 1),
                            .what = (outcome)db_int(s, 2),
                            .execution = (uint64_t)db_int(s, 3),
                            .cause = (uint64_t)db_int(s, 4),
                            .spec = (uint64_t)db_int(s, 5),
                            .effect = (uint64_t)db_int(s, 6),
                            .changed = db_int(s, 7) != 0,
                            .reason = (reason_kind)db_int(s, 8)};
}

int query_settlement(query *q, int statement, uint64_t node, uint64_t bound, settlement_row *row)
{
    db_stmt *s = QUERY_ASK(q, statement, node, bound);
    if (!s) return missing(q);
    int rc = query_step(q, s);
    if (rc == 1) query_read_settlement(s, row);
    db_reset(s);
    return rc;
}

void query_read_execution(db_stmt *s, execution_row *x)
{
    *x = (execution_row){.id = (uint64_t)db_int(s, 0),
                         .node = (uint64_t)db_int(s, 1),
                         .run = (uint64_t)db_int(s, 2),
                         .finished = (uint64_t)db_int(s, 3),
                         .result = (int)db_int(s, 4),
                         .key = db_hash(s, 5),
                         .spec = (uint64_t)db_int(s, 6),
                         .effect = (uint64_t)db_int(s, 7),
                         .value = db_hash(s, 8),
                         .log = db_hash(s, 9),
                         .exit_code = (int)db_int(s, 10),
                         .signal = (int)db_int(s, 11),
                         .at_us = db_int(s, 12),
                         .seconds = (double)db_int(s, 13) / 1e6,
                         .cpu_seconds = (double)db_int(s, 14) / 1e6,
                         .memory_bytes = (uint64_t)db_int(s, 15)};
}

int query_execution(query *q, uint64_t id, execution_row *x)
{
    db_stmt *s = id ? QUERY_ASK(q, SQL_DOOR_EXECUTION, id) : NULL;
    if (!s) return id ? missing(q) : 0;
    int rc = query_step(q, s);
    if (rc == 1) query_read_execution(s, x);
    db_reset(s);
    return rc;
}

const char *query_result_name(int result)
{
    static const char *const names[] = {"open", "ok", "failed", "transient", "interrupted", "raced", "impure"};
    return result >= 0 && result < (int)(sizeof names / sizeof *names) ? names[result] : "unknown";
}

void query_put_end(buf *to, const execution_row *x)
{
    if (x->signal) buf_printf(to, "signal %d (%s)", x->signal, strsignal(x->signal));
    else if (x->exit_code) buf_printf(to, "exit code %d", x->exit_code);
}

/* --- bodies of events ---------------------------------------------------------------------------------------------- */

static int read_event(query *q, uint64_t seq, event_body *event)
{
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_EVENT, seq);
    if (!s) return missing(q);
    int rc = query_step(q, s);
    if (rc == 0) return query_fail(q, WEIR_CORRUPT, "event %" PRIu64 " is not in the log", seq);
    if (rc < 0) return rc;
    int kind = (int)db_int(s, 0);
    bytes body = query_bytes(q, s, 1);
    db_reset(s);
    return event_get(kind, body, &q->arena, event, &q->err);
}

static int wrong_kind(query *q, uint64_t seq)
{
    return query_fail(q, WEIR_CORRUPT, "event %" PRIu64 " is not what the state says it is", seq);
}

int query_failure(query *q, const execution_row *x, bytes *message)
{
    event_body event;
    *message = bytes_str("");
    if (x->finished == 0) return 0;
    int rc = read_event(q, x->finished, &event);
    if (rc != 0) return rc;
    if (event.kind != EVENT_FINISHED) return wrong_kind(q, x->finished);
    *message = event.finished.message;
    return 0;
}

int query_spec(query *q, uint64_t seq, node_spec *spec)
{
    event_body event;
    int rc = read_event(q, seq, &event);
    if (rc != 0) return rc;
    if (event.kind != EVENT_NODE) return wrong_kind(q, seq);
    return spec_get_stored(event.node.spec, &q->arena, spec, &q->err);
}

int query_effect(query *q, uint64_t seq, effect_spec *spec)
{
    event_body event;
    int rc = read_event(q, seq, &event);
    if (rc != 0) return rc;
    if (event.kind != EVENT_EFFECT) return wrong_kind(q, seq);
    return effect_get(event.effect.spec, &q->arena, spec, &q->err);
}

/* --- members and blobs ----------------------------------------------------------------------------------------------- */

static bytes output_name(query *q, const spec_member *m)
{
    node_row node;
    node_spec spec;
    if (query_node(q, m->id, &node) != 0 || query_spec(q, node.spec, &spec) != 0) return bytes_str("");
    bytes below;
    int port = spec_member_output(&spec, m->port, &below);
    bytes name = port < 0 ? node.name : query_name(q, spec.outputs[port].id, false);
    const char *whole = below.size && port >= 0 ? arena_printf(&q->arena, "%.*s%.*s", (int)name.size, (const char *)name.data, (int)below.size,
                                                               (const char *)below.data) : NULL;
    return whole ? bytes_str(whole) : name;
}

bytes query_member_name(query *q, const spec_member *m)
{
    return m->kind == MEMBER_OUTPUT ? output_name(q, m) : query_name(q, m->id, m->kind != MEMBER_ITEM);
}

int query_blob(query *q, hash128 hash, buf *to)
{
    static const char mark[] = "weir x"; /* scan.h: the fingerprint of an executable file is the hash of this and its content's */
    size_t start = to->size;
    size_t mark_size = sizeof mark - 1;
    int rc = blob_read(q->blobs, q->d, hash, SIZE_MAX, to, &q->err);
    if (rc != 0 || to->size - start != mark_size + HASH_SIZE || memcmp(to->data + start, mark, mark_size) != 0) return rc;
    hash128 content;
    memcpy(content.bytes, to->data + start + mark_size, HASH_SIZE);
    to->size = start;
    return blob_read(q->blobs, q->d, content, SIZE_MAX, to, &q->err);
}

bool query_is_older_code(query *q, uint64_t then, uint64_t now, code_policy *policy)
{
    effect_spec old, new;
    *policy = CODE_TRACK;
    if (now == 0 || query_effect(q, now, &new) != 0) return false;
    *policy = new.policy;
    if (then == 0 || then == now || new.policy == CODE_TRACK) return false;
    return query_effect(q, then, &old) == 0 && !hash_equal(old.code, new.code);
}
