/*
 * fold_trace.c - traces: results that can be used again, and results that are given up.
 *
 * A trace is a chain of steps, each found by a hash of the key and of all that was seen before it (trace.h). A step names
 * what to look at next; the last one, the leaf, names the execution. Writing a trace again over the same prefixes replaces their
 * leaf, so the newest result wins. A dropped trace loses its leaf alone: the steps before it may belong to others.
 *
 * The order of statements here is the order of row ids of refs: changing it needs a new DB_STATE_VERSION.
 */
#include "engine/store/fold_internal.h"
#include "engine/store/trace.h"

/* --- reads -------------------------------------------------------------------------------------------------------- */

int fold_reads(fold *f, uint64_t execution, read_record **reads, size_t *count)
{
    *reads = NULL;
    *count = 0;
    db_stmt *s = fold_get(f, SQL_EXECUTION_ENDED);
    if (!s) return f->err->code;
    bind_u64(s, 1, execution);
    int rc = db_step(s, f->err);
    if (rc == 1) rc = event_get_reads((int)db_int(s, 0), db_bytes(s, 1), f->scratch, reads, count, f->err);
    db_reset(s);
    return rc;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int add_refs(fold *f, bytes body, uint64_t *id)
{
    db_stmt *s = fold_get(f, SQL_FOLD_REFS_ADD);
    if (!s) return f->err->code;
    bind_blob(s, 1, body);
    int rc = db_run(s, f->err);
    *id = (uint64_t)db_last_id(f->d);
    return rc;
}

static int find_refs(fold *f, bytes body, uint64_t *id)
{
    *id = 0;
    db_stmt *s = fold_get(f, SQL_FOLD_REFS_GET);
    if (!s) return f->err->code;
    bind_blob(s, 1, body);
    int rc = db_step(s, f->err);
    if (rc == 1) *id = (uint64_t)db_int(s, 0);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* The id of a group of refs; equal groups share one. */
static int intern_refs(fold *f, const read_record *reads, size_t count, uint64_t *id, bool *may_differ)
{
    read_ref *refs = arena_alloc(f->scratch, count * sizeof *refs);
    if (!refs) return error_nomem(f->err, "folding a trace");
    for (size_t i = 0; i < count; i++) refs[i] = reads[i].ref;
    buf body;
    buf_init(&body);
    read_refs_put(&body, refs, count);
    int rc = body.failed ? error_nomem(f->err, "folding a trace") : find_refs(f, buf_bytes(&body), id);
    if (rc == 0 && *id == 0) rc = add_refs(f, buf_bytes(&body), id);
    *may_differ = trace_may_differ(refs, count);
    buf_deinit(&body);
    return rc;
}

/* *taken: another group is there. */
static int offer_step(fold *f, hash128 place, uint64_t refs, bool *taken)
{
    db_stmt *s = fold_get(f, SQL_FOLD_STEP_OFFER);
    if (!s) return f->err->code;
    bind_raw_hash(s, 1, &place);
    bind_u64(s, 2, refs);
    int rc = db_run(s, f->err);
    *taken = db_changes(f->d) == 0;
    return rc;
}

static int write_step(fold *f, hash128 prefix, uint64_t refs, uint64_t execution)
{
    db_stmt *s = fold_get(f, SQL_FOLD_STEP);
    if (!s) return f->err->code;
    bind_raw_hash(s, 1, &prefix);
    bind_u64(s, 2, refs);
    bind_u64(s, 3, execution);
    return db_run(s, f->err);
}

static int read_step(fold *f, hash128 place, uint64_t *refs)
{
    *refs = 0;
    db_stmt *s = fold_get(f, SQL_FOLD_STEP_REFS);
    if (!s) return f->err->code;
    bind_raw_hash(s, 1, &place);
    int rc = db_step(s, f->err);
    if (rc == 1) *refs = (uint64_t)db_int(s, 0);
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* At the prefix itself; those that were there move on by one, up to the place that is free or held the same. */
static int write_group(fold *f, hash128 prefix, uint64_t refs, bool may_differ)
{
    bool taken = false;
    if (!may_differ) return write_step(f, prefix, refs, 0);
    int rc = offer_step(f, prefix, refs, &taken);
    uint64_t moving = refs;
    for (unsigned i = 0; rc == 0 && taken && i < TRACE_GROUPS; i++) {
        uint64_t before = 0;
        rc = read_step(f, trace_other(prefix, i), &before);
        if (rc == 0) rc = write_step(f, trace_other(prefix, i), moving, 0);
        taken = before != 0 && before != refs;
        moving = before;
    }
    return rc;
}

static size_t group_size(const read_record *reads, size_t count)
{
    size_t size = 1;
    while (size < count && reads[size].group == reads[0].group) size++;
    return size;
}

static hash128 next_prefix(hash128 prefix, const read_record *reads, size_t count)
{
    hash_stream stream;
    trace_group(&stream, prefix);
    for (size_t i = 0; i < count; i++) trace_read(&stream, &reads[i].ref, reads[i].hash);
    return hash_end(&stream);
}

int fold_trace(fold *f, const event_finished *e)
{
    hash128 prefix = trace_begin(e->key);
    const read_record *reads = e->reads;
    size_t left = e->read_count;
    int rc = 0;
    while (rc == 0 && left > 0) {
        uint64_t refs = 0;
        bool may_differ = false;
        size_t size = group_size(reads, left);
        rc = intern_refs(f, reads, size, &refs, &may_differ);
        if (rc == 0) rc = write_group(f, prefix, refs, may_differ);
        prefix = next_prefix(prefix, reads, size);
        reads += size;
        left -= size;
    }
    return rc == 0 ? write_step(f, prefix, 0, e->execution) : rc;
}

/* --- dropping ----------------------------------------------------------------------------------------------------- */

/* The prefix of the leaf of an execution with this key: its reads, walked once more. */
static int leaf_of(fold *f, hash128 key, uint64_t execution, hash128 *leaf)
{
    read_record *reads;
    size_t left;
    *leaf = trace_begin(key);
    int rc = fold_reads(f, execution, &reads, &left);
    while (rc == 0 && left > 0) {
        size_t size = group_size(reads, left);
        *leaf = next_prefix(*leaf, reads, size);
        reads += size;
        left -= size;
    }
    return rc;
}

static int drop(fold *f, hash128 key, uint64_t execution)
{
    hash128 leaf;
    int rc = leaf_of(f, key, execution, &leaf);
    db_stmt *s = rc == 0 ? fold_get(f, SQL_FOLD_LEAF_DELETE) : NULL;
    if (!s) return f->err->code;
    bind_raw_hash(s, 1, &leaf);
    bind_u64(s, 2, execution);
    rc = db_run(s, f->err);
    return rc == 0 ? FOLD_RUN(f, SQL_FOLD_EXECUTION_DROP, execution) : rc;
}

int fold_traces_dropped(fold *f, const event_traces_dropped *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < e->execution_count; i++) rc = drop(f, e->key, e->executions[i]);
    return rc == 0 && e->voided ? FOLD_RUN(f, SQL_FOLD_NODE_STATUS, e->node, NODE_IS_DUE, REASON_VOIDED) : rc;
}
