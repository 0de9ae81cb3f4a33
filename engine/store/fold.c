/*
 * fold.c - one event into the state tables: dispatch, runs, items and the small kinds.
 *
 *   fold.c            runs, items, effects, folders
 *   fold_node.c       declarations: nodes, edges, uses, claimed outputs, definitions
 *   fold_execution.c  executions, traces, settlements
 *   fold_late.c       rows that are written at the end of a transaction
 *   fold_check.c      rebuild, and comparison with a fresh fold
 *
 * Row ids that nothing names (refs) are given by order of insertion and rows are never replaced, so a refold gives
 * the same tables byte for byte. Rows that stay as they are are not written again where there may be many of them.
 *
 * Figures (4 virtual cores, others busy; tests/engine/store/test_fold.c prints them): a node with one input and one output 7 to 9 us,
 * an execution with two groups of reads and one output 16 to 20 us, event row and packing included: 16 statements of 0.3 to 2 us,
 * of which the hash-ordered table of steps takes 4 and the node's row with its index 2.
 *
 * The thread of the connection; inside its transaction.
 */
#include "engine/store/fold.h"

#include <inttypes.h>

#include "engine/store/fold_internal.h"

int fold_run(fold *f, int statement, const uint64_t *numbers, size_t count)
{
    db_stmt *s = fold_get(f, statement);
    if (!s) return f->err->code;
    for (size_t i = 0; i < count; i++) bind_u64(s, (int)i + 1, numbers[i]);
    return db_run(s, f->err);
}

int fold_pending(fold *f, uint64_t source, bool is_node)
{
    return FOLD_RUN(f, SQL_FOLD_PENDING, source, is_node, f->seq);
}

/* --- items ------------------------------------------------------------------------------------------------------- */

int fold_item_set(fold *f, uint64_t item, hash128 hash, uint64_t size, uint64_t mode)
{
    late_item *waiting = fold_item_waiting(f, item);
    if (waiting) {
        waiting->hash = hash;
        waiting->size = size;
        waiting->mode = mode;
        waiting->seq = f->seq;
        return 0;
    }
    db_stmt *s = fold_get(f, SQL_FOLD_ITEM_SET);
    if (!s) return f->err->code;
    bind_u64(s, 1, item);
    bind_hash(s, 2, &hash);
    bind_u64(s, 3, size);
    bind_u64(s, 4, mode);
    bind_u64(s, 5, f->seq);
    return db_run(s, f->err);
}

static int item_hash(fold *f, uint64_t item, hash128 *hash)
{
    const late_item *waiting = fold_item_waiting(f, item);
    if (waiting) {
        *hash = waiting->hash;
        return 0;
    }
    db_stmt *s = fold_get(f, SQL_FOLD_ITEM_HASH);
    if (!s) return f->err->code;
    bind_u64(s, 1, item);
    int rc = db_step(s, f->err);
    if (rc == 1) *hash = db_hash(s, 0);
    if (rc == 0) rc = error_set(f->err, WEIR_CORRUPT, "item %" PRIu64 " has no name", item);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* Set what was seen; users of an item that had another content before may be due. */
int fold_item_change(fold *f, uint64_t item, hash128 hash, uint64_t size, uint64_t mode)
{
    hash128 old;
    int rc = item_hash(f, item, &old);
    if (rc == 0 && !hash_is_none(old) && !hash_equal(old, hash)) rc = fold_pending(f, item, false);
    return rc == 0 ? fold_item_set(f, item, hash, size, mode) : rc;
}

static int item_named(fold *f, const event_item_named *e)
{
    return fold_item_new(f, &(late_item){.id = e->item, .kind = e->kind, .name = e->name, .seq = f->seq});
}

static int value_set(fold *f, const event_value_set *e)
{
    bool is_set = e->value.size > 0;
    db_stmt *s = fold_get(f, SQL_FOLD_VALUE);
    if (!s) return f->err->code;
    bind_u64(s, 1, e->item);
    if (is_set) db_bind_borrowed(s, 2, e->value);
    int rc = db_run(s, f->err);
    hash128 hash = is_set ? hash_bytes(e->value.data, e->value.size) : HASH_ABSENT;
    return rc == 0 ? fold_item_change(f, e->item, hash, e->value.size, 0) : rc;
}

static int output_removed(fold *f, const event_output_removed *e)
{
    int rc = fold_item_change(f, e->item, HASH_ABSENT, 0, 0);
    return rc == 0 ? FOLD_RUN(f, SQL_FOLD_VANISHED_DELETE, e->item) : rc;
}

/* --- runs and the rest ------------------------------------------------------------------------------------------- */

static int session(fold *f, const event_session *e)
{
    db_stmt *s = fold_get(f, SQL_FOLD_SESSION);
    if (!s) return f->err->code;
    bind_blob(s, 1, e->boot_id);
    return db_run(s, f->err);
}

static int run_started(fold *f, const event_run_started *e)
{
    db_stmt *s = fold_get(f, SQL_FOLD_RUN_START);
    if (!s) return f->err->code;
    bind_u64(s, 1, f->run);
    bind_u64(s, 2, e->graph);
    bind_u64(s, 3, f->seq);
    db_bind_int(s, 4, f->at_us);
    bind_blob(s, 5, e->trigger);
    return db_run(s, f->err);
}

static int run_finished(fold *f, const event_run_finished *e)
{
    int rc = FOLD_RUN(f, SQL_FOLD_RUN_FINISH, f->run, f->seq, e->duration_us, e->ran, e->unchanged, e->restored, e->cut_off,
                      e->failed, e->blocked, e->complete);
    return rc == 0 && e->complete ? FOLD_RUN(f, SQL_FOLD_PENDING_CLEAR, f->seq) : rc;
}

static int effect(fold *f, const event_effect *e)
{
    effect_spec spec;
    int rc = effect_get(e->spec, f->scratch, &spec, f->err);
    if (rc != 0) return rc;
    db_stmt *s = fold_get(f, SQL_FOLD_EFFECT);
    if (!s) return f->err->code;
    bind_u64(s, 1, e->effect);
    bind_u64(s, 2, e->graph);
    db_bind_int(s, 3, spec.kind);
    bind_blob(s, 4, spec.name);
    bind_hash(s, 5, &spec.code);
    bind_u64(s, 6, f->seq);
    return db_run(s, f->err);
}

static int folder_made(fold *f, const event_folder_made *e)
{
    db_stmt *s = fold_get(f, e->removed ? SQL_FOLD_FOLDER_DELETE : SQL_FOLD_FOLDER_ADD);
    if (!s) return f->err->code;
    bind_blob(s, 1, e->path);
    return db_run(s, f->err);
}

static int apply(fold *f, const event_body *e)
{
    switch (e->kind) {
    case EVENT_SESSION: return session(f, &e->session);
    case EVENT_RUN_STARTED: return run_started(f, &e->run_started);
    case EVENT_RUN_FINISHED: return run_finished(f, &e->run_finished);
    case EVENT_ITEM_NAMED: return item_named(f, &e->item_named);
    case EVENT_ITEM_OBSERVED:
        return fold_item_change(f, e->item_observed.item, e->item_observed.hash, e->item_observed.size, e->item_observed.mode);
    case EVENT_EFFECT: return effect(f, &e->effect);
    case EVENT_NODE: return fold_node(f, &e->node);
    case EVENT_NODE_REMOVED: return fold_node_removed(f, &e->node_removed);
    case EVENT_DEFINITION: return fold_definition(f, &e->definition);
    case EVENT_STARTED: return fold_started(f, &e->started);
    case EVENT_SPAWNED: return FOLD_RUN(f, SQL_FOLD_EXECUTION_SPAWNED, e->spawned.execution, e->spawned.pid, e->spawned.start_ticks);
    case EVENT_FINISHED: return fold_finished(f, &e->finished);
    case EVENT_SETTLED: return fold_settled(f, &e->settled);
    case EVENT_OUTPUT_REMOVED: return output_removed(f, &e->output_removed);
    case EVENT_FOREIGN_KEPT: return 0; /* history only */
    case EVENT_FOLDER_MADE: return folder_made(f, &e->folder_made);
    case EVENT_PAYLOADS_SYNCED: return FOLD_RUN(f, SQL_FOLD_PAYLOADS_SYNCED, e->payloads_synced.seq);
    case EVENT_EDGE_FOUND: return FOLD_RUN(f, SQL_FOLD_NODE_HEIGHT, e->edge_found.to, e->edge_found.to_height);
    case EVENT_EXPANDED: return fold_expanded(f, &e->expanded);
    case EVENT_EDGE_DROPPED: return fold_edge_dropped(f, &e->edge_dropped);
    case EVENT_NODE_DUE: return FOLD_RUN(f, SQL_FOLD_NODE_STATUS, e->node_due.node, NODE_IS_DUE, e->node_due.reason);
    case EVENT_VALUE_SET: return value_set(f, &e->value_set);
    case EVENT_TRACES_DROPPED: return fold_traces_dropped(f, &e->traces_dropped);
    case EVENT_RECOVERED: return fold_recovered(f, &e->recovered);
    case EVENT_ACCEPTED: return fold_accepted(f, &e->accepted);
    }
    return error_set(f->err, WEIR_NEWER, "an event of kind %d", (int)e->kind);
}

int fold_event(db *d, fold_late *late, uint64_t seq, uint64_t run, int64_t at_us, int kind, bytes body, mem_arena *scratch,
               weir_error *err)
{
    weir_error ignored;
    event_body event;
    fold f = {d, late, seq, run, at_us, scratch, err ? err : &ignored};
    int rc = event_get(kind, body, scratch, &event, f.err);
    return rc == 0 ? apply(&f, &event) : rc;
}
