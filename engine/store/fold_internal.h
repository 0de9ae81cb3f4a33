/*
 * fold_internal.h - what the files of the fold share.
 */
#ifndef WEIR_STORE_FOLD_INTERNAL_H
#define WEIR_STORE_FOLD_INTERNAL_H

#include "engine/store/fold.h"
#include "generated/schema.h"

/* One event on its way into the state. */
typedef struct fold {
    db *d;
    fold_late *late; /* NULL: nothing waits */
    uint64_t seq, run;
    int64_t at_us;
    mem_arena *scratch;
    weir_error *err; /* not NULL */
} fold;

/* Values of node.status. */
enum { NODE_SETTLED = 0, NODE_IS_DUE = 1, NODE_FAILED = 2, NODE_BLOCKED = 3, NODE_VANISHED = 9 };

/* Run a statement whose parameters are all numbers. */
int fold_run(fold *f, int statement, const uint64_t *numbers, size_t count);
#define FOLD_RUN(f, statement, ...)                                                                                        \
    fold_run(f, statement, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
static inline db_stmt *fold_get(fold *f, int statement)
{
    return db_get(f->d, statement, f->err);
}
/* All bytes here outlive their statement: they are bound without a copy. NOT NULL: empty stays empty, a zero hash stays bytes. */
static inline void bind_blob(db_stmt *s, int at, bytes value)
{
    db_bind_borrowed(s, at, value.size ? value : bytes_of("", 0));
}
static inline void bind_raw_hash(db_stmt *s, int at, const hash128 *hash)
{
    db_bind_borrowed(s, at, bytes_of(hash->bytes, HASH_SIZE));
}
/* None is null. */
static inline void bind_hash(db_stmt *s, int at, const hash128 *hash)
{
    if (hash_is_none(*hash)) db_bind_null(s, at);
    else bind_raw_hash(s, at, hash);
}
static inline void bind_u64(db_stmt *s, int at, uint64_t value)
{
    db_bind_int(s, at, (int64_t)value);
}

/* rows that wait: fold_late.c */
typedef struct late_item {
    uint64_t id;
    item_kind kind;
    bytes name;
    hash128 hash;
    uint64_t size, mode, node, seq; /* node 0: none */
} late_item;
/* A row of item, now or later. The name is copied. */
int fold_item_new(fold *f, const late_item *row);
/* NULL: its row is in the table, or nowhere. Valid until the next item. */
late_item *fold_item_waiting(const fold *f, uint64_t item);
int fold_count_nodes(fold *f, uint64_t graph, int by);
/* Write what waits: before a statement that reads item or graph.nodes otherwise than by the id of one item. */
int fold_flush(fold *f);

/* items: fold.c */
int fold_item_set(fold *f, uint64_t item, hash128 hash, uint64_t size, uint64_t mode);
int fold_item_change(fold *f, uint64_t item, hash128 hash, uint64_t size, uint64_t mode);
int fold_pending(fold *f, uint64_t source, bool is_node);

/* nodes: fold_node.c */
int fold_node(fold *f, const event_node *e);
int fold_node_removed(fold *f, const event_node_removed *e);
int fold_definition(fold *f, const event_definition *e);
int fold_expanded(fold *f, const event_expanded *e);
int fold_edge_dropped(fold *f, const event_edge_dropped *e);
/* Replace the discovered uses of a node; `items` is sorted in place. */
int fold_discovered(fold *f, uint64_t node, uint64_t *items, size_t count);

/* executions: fold_execution.c */
int fold_started(fold *f, const event_started *e);
int fold_finished(fold *f, const event_finished *e);
int fold_settled(fold *f, const event_settled *e);
int fold_recovered(fold *f, const event_recovered *e);
int fold_accepted(fold *f, const event_accepted *e);

/* traces: fold_trace.c */
/* What an execution that has ended looked at, in the scratch; nothing of one that is open or unknown. */
int fold_reads(fold *f, uint64_t execution, read_record **reads, size_t *count);
int fold_trace(fold *f, const event_finished *e);
int fold_traces_dropped(fold *f, const event_traces_dropped *e);

#endif
