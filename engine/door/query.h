/*
 * query.h - read-only questions to the database: what the looking commands share.
 *
 * No engine is needed and none is disturbed; the answers come from one snapshot. Rows are structs, names are looked up by id.
 * One thread.
 */
#ifndef WEIR_DOOR_QUERY_H
#define WEIR_DOOR_QUERY_H

#include "engine/door/print.h"
#include "engine/door/project.h"
#include "engine/store/blob.h"
#include "generated/schema.h"

typedef struct query {
    project project;
    db *d;
    blob_store *blobs;
    int weirfd;
    uint64_t graph;  /* of the project's definition file */
    mem_arena arena; /* what answers point to; until query_close */
    char hint[256];  /* for the error, or "" */
    weir_error err;
} query;

/** Find the project, let a watch that works on it take in what was edited before now (remote_look), open the database, take a snapshot. Close also
 *  after a failure. */
int query_open(query *q, const options *o);
/** The same without a word to the watch. */
int query_open_as_is(query *q, const options *o);
void query_close(query *q);
/** query_close, after saying q->err if rc is not 0; gives the exit code (`code` if rc is 0). */
int query_end(query *q, int rc, int code);
int query_fail(query *q, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** A named statement, ready to bind; NULL with q->err. */
db_stmt *query_get(query *q, int statement);
/** Like query_get with numbers bound from 1 on. */
db_stmt *query_ask(query *q, int statement, const uint64_t *numbers, size_t count);
#define QUERY_ASK(q, statement, ...)                                                               \
    query_ask((q), (statement), (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
int query_step(query *q, db_stmt *s);
/** A column's bytes in the arena. */
bytes query_bytes(query *q, db_stmt *s, int column);

typedef struct node_row {
    uint64_t id, graph, height, spec, successor, settled, execution, effect_seq;
    uint64_t parent; /* the expand node that declared it; 0: the workflow */
    bytes name, effect;
    int effect_kind, status, due;
    bool always;
    hash128 value;
} node_row;

/** By name, else by an output path (seen from the working folder or from the root). WEIR_NOTFOUND with a did-you-mean in q->hint. */
int query_find_node(query *q, const char *name, node_row *node);
int query_node(query *q, uint64_t id, node_row *node);
/** The id, or 0. */
int query_node_id(query *q, const char *name, uint64_t *id);
const char *query_status_name(const node_row *node);
/** "due: input-changed", "settled" ... */
void query_put_status(buf *to, const node_row *node);

/** Name of a node or an item; "" when there is none. */
bytes query_name(query *q, uint64_t id, bool is_node);
typedef struct item_row {
    uint64_t id, size, node;
    int kind;
    uint32_t mode;
    bytes name;
    hash128 hash;
} item_row;
/** 1: found, 0: not, or a code. */
int query_item(query *q, uint64_t id, item_row *item);
int query_item_named(query *q, int kind, bytes name, item_row *item);
/** An output path as a person wrote it; 1, 0 or a code. */
int query_output(query *q, const char *written, item_row *item);
/** The output that is a folder and that such a path lies in; *below: the rest of the path, in q->arena. 1, 0 or a code. */
int query_folder_over(query *q, const char *written, item_row *item, bytes *below);

typedef struct run_row {
    uint64_t id, graph, started, finished, ran, unchanged, restored, cut_off, failed, blocked;
    int64_t at_us;
    double seconds;
    bytes trigger;
    bool complete;
} run_row;
void query_read_run(query *q, db_stmt *s, run_row *run);
/** `wanted` -1: the last one. WEIR_NOTFOUND. */
int query_run(query *q, int64_t wanted, run_row *run);

typedef struct settlement_row {
    uint64_t seq, run, execution, cause, spec, effect;
    outcome what;
    bool changed;
    reason_kind reason; /* the only one, if it names nothing; 0: they are rows */
} settlement_row;
void query_read_settlement(db_stmt *s, settlement_row *row);
/** 1, 0 or a code: the first row of one of the door_settlement statements. */
int query_settlement(query *q, int statement, uint64_t node, uint64_t bound, settlement_row *row);

typedef struct execution_row {
    uint64_t id, node, run, finished, spec, effect, memory_bytes;
    int result, exit_code, signal;
    hash128 key, value, log;
    int64_t at_us;
    double seconds, cpu_seconds;
} execution_row;
void query_read_execution(db_stmt *s, execution_row *x);
/** 1, 0 or a code. */
int query_execution(query *q, uint64_t id, execution_row *x);
const char *query_result_name(int result);
/** Failure in words, "" if there is none. */
int query_failure(query *q, const execution_row *x, bytes *message);
/** "exit code 2", "signal 9 (Killed)"; nothing for 0. */
void query_put_end(buf *to, const execution_row *x);

/** The declaration that event `seq` holds; in the arena. */
int query_spec(query *q, uint64_t seq, node_spec *spec);
int query_effect(query *q, uint64_t seq, effect_spec *spec);
/** Was a result of effect declaration `then` made by other code than that of `now`, and kept because of code = "warn" or "pin"? */
bool query_is_older_code(query *q, uint64_t then, uint64_t now, code_policy *policy);
/** What stands behind a member: path, variable, node or the path of its output. */
bytes query_member_name(query *q, const spec_member *m);
/** Whole content of a blob, in `to`; WEIR_NOTFOUND, WEIR_CORRUPT. Follows the fingerprint of an executable file to its content. */
int query_blob(query *q, hash128 hash, buf *to);

#endif
