/*
 * fold_execution.c - executions, and how nodes were settled. Their traces are written by fold_trace.c.
 *
 * A result that a person accepted is an execution like any other but for its outcome: nothing was executed.
 */
#include "engine/store/fold_internal.h"

/* --- start ------------------------------------------------------------------------------------------------------- */

static int write_aside(fold *f, uint64_t execution, const aside_record *a, int64_t number)
{
    db_stmt *s = fold_get(f, SQL_FOLD_ASIDE);
    if (!s) return f->err->code;
    bind_u64(s, 1, execution);
    bind_u64(s, 2, a->item);
    db_bind_int(s, 3, number);
    bind_hash(s, 4, &a->hash);
    db_bind_int(s, 5, a->mode);
    return db_run(s, f->err);
}

static int write_asides(fold *f, const event_started *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < e->aside_count; i++) rc = write_aside(f, e->execution, &e->asides[i], e->asides[i].number);
    for (size_t i = 0; rc == 0 && i < e->fresh_count; i++)
        rc = write_aside(f, e->execution, &(aside_record){.item = e->fresh[i]}, -1);
    return rc;
}

static int write_token(fold *f, const event_started *e)
{
    db_stmt *s = fold_get(f, SQL_FOLD_TOKEN);
    if (!s) return f->err->code;
    bind_u64(s, 1, e->execution);
    bind_raw_hash(s, 2, &e->token);
    db_bind_int(s, 3, e->job);
    return db_run(s, f->err);
}

int fold_started(fold *f, const event_started *e)
{
    int rc = FOLD_RUN(f, SQL_FOLD_EXECUTION_START, e->execution, e->node, f->run, f->seq, (uint64_t)f->at_us);
    if (rc == 0) rc = write_asides(f, e);
    if (rc == 0) rc = write_token(f, e);
    return rc == 0 ? FOLD_RUN(f, SQL_FOLD_NODE_STATUS, e->node, NODE_IS_DUE, REASON_INTERRUPTED) : rc;
}

/* --- end --------------------------------------------------------------------------------------------------------- */

/* The only reason, if all it says is its kind; else 0. */
static reason_kind plain_reason(const reason_record *reasons, size_t count)
{
    const reason_record *r = reasons;
    bool is_plain = count == 1 && r->source == 0 && hash_is_none(r->old_hash) && hash_is_none(r->new_hash) && r->detail.size == 0;
    return is_plain ? r->kind : 0;
}

static int write_execution_row(fold *f, const event_finished *e, outcome what, int statement)
{
    db_stmt *s = fold_get(f, statement);
    if (!s) return f->err->code;
    bind_u64(s, 1, e->execution);
    bind_u64(s, 2, e->node);
    bind_u64(s, 3, f->run);
    bind_u64(s, 4, f->seq);
    db_bind_int(s, 5, e->result);
    bind_hash(s, 6, &e->key);
    bind_u64(s, 7, e->spec_seq);
    bind_u64(s, 8, e->effect_seq);
    bind_hash(s, 9, &e->tool);
    bind_hash(s, 10, &e->value);
    bind_hash(s, 11, &e->log);
    db_bind_int(s, 12, e->exit_code);
    bind_u64(s, 13, e->signal);
    bind_u64(s, 14, e->started_us);
    bind_u64(s, 15, e->duration_us);
    bind_u64(s, 16, e->cpu_us);
    bind_u64(s, 17, e->memory_bytes);
    db_bind_int(s, 18, what);
    db_bind_int(s, 19, e->changed);
    db_bind_int(s, 20, plain_reason(e->reasons, e->reason_count));
    return db_run(s, f->err);
}

/* The row, and the end of what only open executions have. Most have none: jobs of workers need no intent. */
static int write_execution(fold *f, const event_finished *e, outcome what)
{
    int rc = write_execution_row(f, e, what, SQL_FOLD_EXECUTION_ADD);
    if (rc != 0 || db_changes(f->d) > 0) return rc;
    rc = write_execution_row(f, e, what, SQL_FOLD_EXECUTION_FINISH);
    if (rc == 0) rc = FOLD_RUN(f, SQL_FOLD_ASIDES_DELETE, e->execution);
    return rc == 0 ? FOLD_RUN(f, SQL_FOLD_TOKEN_DELETE, e->execution) : rc;
}

static int write_produced(fold *f, const event_finished *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < e->output_count; i++) {
        const output_record *o = &e->outputs[i];
        db_stmt *s = fold_get(f, SQL_FOLD_PRODUCED);
        if (!s) return f->err->code;
        bind_u64(s, 1, e->execution);
        db_bind_int(s, 2, o->port);
        bind_u64(s, 3, o->item);
        bind_raw_hash(s, 4, &o->hash);
        bind_u64(s, 5, o->size);
        db_bind_int(s, 6, o->mode);
        rc = db_run(s, f->err);
    }
    return rc;
}

/* Unless the row of the settlement says it all. */
static int write_reasons(fold *f, const reason_record *reasons, size_t count)
{
    int rc = 0;
    if (plain_reason(reasons, count) != 0) return 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const reason_record *r = &reasons[i];
        db_stmt *s = fold_get(f, SQL_FOLD_REASON);
        if (!s) return f->err->code;
        bind_u64(s, 1, f->seq);
        bind_u64(s, 2, i);
        db_bind_int(s, 3, r->kind);
        bind_u64(s, 4, r->source);
        db_bind_int(s, 5, r->source_is_node);
        bind_hash(s, 6, &r->old_hash);
        bind_hash(s, 7, &r->new_hash);
        bind_blob(s, 8, r->detail);
        rc = db_run(s, f->err);
    }
    return rc;
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static int node_result(fold *f, uint64_t node, uint64_t status, reason_kind due, uint64_t execution, hash128 value)
{
    db_stmt *s = fold_get(f, SQL_FOLD_NODE_RESULT);
    if (!s) return f->err->code;
    bind_u64(s, 1, node);
    bind_u64(s, 2, status);
    db_bind_int(s, 3, due);
    bind_u64(s, 4, f->seq);
    bind_u64(s, 5, execution);
    bind_hash(s, 6, &value);
    return db_run(s, f->err);
}

static int finish_node(fold *f, const event_finished *e)
{
    switch (e->result) {
    case EXECUTION_OK: return node_result(f, e->node, NODE_SETTLED, 0, e->execution, e->value);
    case EXECUTION_RACED: return node_result(f, e->node, NODE_IS_DUE, REASON_RACED, e->execution, e->value);
    case EXECUTION_IMPURE: return node_result(f, e->node, NODE_IS_DUE, REASON_IMPURE, e->execution, e->value);
    case EXECUTION_FAILED: case EXECUTION_TRANSIENT: return FOLD_RUN(f, SQL_FOLD_NODE_FAILED, e->node, f->seq);
    case EXECUTION_INTERRUPTED: return FOLD_RUN(f, SQL_FOLD_NODE_STATUS, e->node, NODE_IS_DUE, REASON_INTERRUPTED);
    }
    return error_set(f->err, WEIR_CORRUPT, "an execution with the result %d", (int)e->result);
}

static int set_outputs(fold *f, const output_record *outputs, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = fold_item_set(f, outputs[i].item, outputs[i].hash, outputs[i].size, outputs[i].mode);
    return rc;
}

static int discover(fold *f, uint64_t node, const read_record *reads, size_t read_count)
{
    size_t count = 0;
    uint64_t *items = arena_alloc(f->scratch, (read_count + 1) * sizeof *items);
    if (!items) return error_nomem(f->err, "folding an execution");
    for (size_t i = 0; i < read_count; i++) {
        const read_record *r = &reads[i];
        if (r->ref.port == -1 && !r->source_is_node && r->source != 0) items[count++] = r->source;
    }
    return fold_discovered(f, node, items, count);
}

static bool is_used(execution_result result)
{
    return result == EXECUTION_OK || result == EXECUTION_RACED || result == EXECUTION_IMPURE;
}

static int finished(fold *f, const event_finished *e, outcome good)
{
    bool used = is_used(e->result);
    int rc = write_execution(f, e, used ? good : OUTCOME_FAILED);
    if (rc == 0) rc = write_produced(f, e);
    if (rc == 0) rc = write_reasons(f, e->reasons, e->reason_count);
    if (rc == 0 && (e->result == EXECUTION_OK || e->known) && !hash_is_none(e->key)) rc = fold_trace(f, e);
    if (rc == 0) rc = finish_node(f, e);
    bool is_live = rc == 0 && db_changes(f->d) > 0;
    if (rc == 0 && used) rc = set_outputs(f, e->outputs, e->output_count);
    if (rc == 0 && used && is_live) rc = discover(f, e->node, e->reads, e->read_count);
    if (rc == 0 && e->changed) rc = fold_pending(f, e->node, true);
    return rc;
}

int fold_finished(fold *f, const event_finished *e)
{
    return finished(f, e, OUTCOME_RAN);
}

int fold_accepted(fold *f, const event_accepted *e)
{
    return finished(f, e, OUTCOME_ACCEPTED);
}

/* After what it was ended with, if it was. A failure that nobody was told of yet is marked on its node. */
int fold_recovered(fold *f, const event_recovered *e)
{
    if (e->how == RECOVERED_FAILED) return FOLD_RUN(f, SQL_FOLD_NODE_STATUS, e->node, NODE_FAILED, REASON_INTERRUPTED);
    if (e->how != RECOVERED_ADOPTED) return 0;
    int rc = FOLD_RUN(f, SQL_FOLD_EXECUTION_SPAWNED, e->execution, e->pid, e->start_ticks);
    return rc == 0 ? FOLD_RUN(f, SQL_FOLD_TOKEN_ADOPTED, e->execution) : rc;
}

/* --- settled without an execution -------------------------------------------------------------------------------- */

static int discover_as(fold *f, uint64_t node, uint64_t execution)
{
    read_record *reads;
    size_t count;
    int rc = fold_reads(f, execution, &reads, &count);
    return rc == 0 ? discover(f, node, reads, count) : rc;
}

/* A result of before holds (again), and with it what it read: an edge may have been dropped meanwhile, so also if it is the same result. */
static int settle_with(fold *f, const event_settled *e)
{
    int rc = node_result(f, e->node, NODE_SETTLED, 0, e->execution, e->value);
    bool is_live = rc == 0 && db_changes(f->d) > 0;
    return is_live ? discover_as(f, e->node, e->execution) : rc;
}

static int settle_node(fold *f, const event_settled *e)
{
    switch (e->what) {
    case OUTCOME_RAN: case OUTCOME_RESTORED: case OUTCOME_UNCHANGED: case OUTCOME_ACCEPTED: return settle_with(f, e);
    case OUTCOME_FAILED: return FOLD_RUN(f, SQL_FOLD_NODE_FAILED, e->node, f->seq);
    case OUTCOME_BLOCKED: return FOLD_RUN(f, SQL_FOLD_NODE_STATUS, e->node, NODE_BLOCKED, 0);
    }
    return error_set(f->err, WEIR_CORRUPT, "a node settled with the outcome %d", (int)e->what);
}

int fold_settled(fold *f, const event_settled *e)
{
    int rc = FOLD_RUN(f, SQL_FOLD_SETTLEMENT, f->seq, f->run, e->node, e->what, e->execution, e->cause, e->spec_seq, e->effect_seq,
                      e->changed, plain_reason(e->reasons, e->reason_count));
    if (rc == 0) rc = write_reasons(f, e->reasons, e->reason_count);
    if (rc == 0) rc = settle_node(f, e);
    if (rc == 0) rc = set_outputs(f, e->outputs, e->output_count);
    return rc == 0 && e->changed ? fold_pending(f, e->node, true) : rc;
}
