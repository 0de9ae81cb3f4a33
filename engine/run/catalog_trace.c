/*
 * catalog_trace.c - traces and results: those of this run in memory, the others in the database.
 *
 * A trace that was just said may still be on its way to the writer, so its steps are kept here in the form in which the fold
 * writes them: a prefix leads to the refs of the next group, or to an execution. At LEARN_MOST steps everything is committed and
 * the memory given back.
 *
 * Loop thread only.
 */
#include "engine/run/catalog_internal.h"
#include "engine/store/trace.h"
#include "generated/schema.h"

enum { LEARN_MOST = 100000 };

/* --- steps ------------------------------------------------------------------------------------------------------- */

static bytes hash_key(const hash128 *hash)
{
    return bytes_of(hash->bytes, HASH_SIZE);
}

void catalog_clear_traces(catalog *c)
{
    map_clear(&c->steps);
    c->step_count = 0;
    arena_reset(&c->trace_arena);
}

static int stored_step(catalog *c, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *err)
{
    db_stmt *q = catalog_query(c, SQL_STEP_PROBE, err);
    if (!q) return err->code;
    db_bind_hash(q, 1, prefix);
    int rc = db_step(q, err);
    if (rc == 1) {
        bool is_leaf = db_int(q, 0) == 0;
        bytes body = db_bytes(q, 2);
        buf_clear(&c->refs);
        buf_append(&c->refs, body.data, body.size);
        *refs = buf_bytes(&c->refs);
        *execution = is_leaf ? (uint64_t)db_int(q, 1) : 0;
        if (c->refs.failed) rc = error_nomem(err, "looking up a trace");
        else if (is_leaf ? *execution == 0 : refs->size == 0)
            rc = error_set(err, WEIR_CORRUPT, "%s: a step of a trace leads nowhere", db_path(c->db));
    }
    db_reset(q);
    return rc;
}

int catalog_probe(catalog *c, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    *refs = (bytes){NULL, 0};
    *execution = 0;
    const uint64_t *at = map_get(&c->steps, hash_key(&prefix));
    if (!at) return stored_step(c, prefix, refs, execution, err);
    const cat_step *step = &c->step[*at - 1];
    *refs = step->refs;
    *execution = step->execution;
    return 1;
}

static int put_step(catalog *c, hash128 prefix, bytes refs, uint64_t execution, weir_error *err)
{
    static const char doing[] = "remembering a trace";
    uint64_t *at = map_put(&c->steps, hash_key(&prefix), NULL);
    if (!at) return error_nomem(err, doing);
    if (*at == 0) {
        if (!MEM_GROW(c->step, c->step_capacity, c->step_count + 1)) {
            map_remove(&c->steps, hash_key(&prefix));
            return error_nomem(err, doing);
        }
        c->step[c->step_count] = (cat_step){0};
        *at = ++c->step_count;
    }
    cat_step *step = &c->step[*at - 1];
    bool is_as_before = step->execution == execution && bytes_equal(step->refs, refs);
    if (is_as_before && (execution != 0 || refs.size != 0)) return 0;
    step->execution = execution;
    step->refs = refs.size ? arena_bytes(&c->trace_arena, refs) : refs;
    return refs.size && !step->refs.data ? error_nomem(err, doing) : 0;
}

/* As the fold puts it (store/fold_trace.c): at the prefix itself, and those that were there move on by one. */
static int put_group(catalog *c, hash128 prefix, bytes group, bool may_differ, weir_error *err)
{
    bytes moving = group;
    bool taken = true;
    int rc = 0;
    for (unsigned i = 0; rc >= 0 && taken && i < TRACE_GROUPS; i++) {
        hash128 place = trace_other(prefix, i);
        bytes there;
        uint64_t execution = 0;
        rc = may_differ ? catalog_probe(c, place, &there, &execution, err) : 0;
        taken = rc == 1 && execution == 0 && !bytes_equal(there, group);
        if (taken) there = arena_bytes(&c->trace_arena, there); /* the next probe may be answered where it lies */
        if (taken && !there.data) return error_nomem(err, "remembering a trace");
        if (rc >= 0) rc = put_step(c, place, moving, 0, err);
        if (taken) moving = there;
    }
    return rc;
}

static size_t group_size(const read_record *reads, size_t count)
{
    size_t size = 1;
    while (size < count && reads[size].group == reads[0].group) size++;
    return size;
}

/* Puts the group's step behind *prefix, which moves on. */
static int learn_group(catalog *c, hash128 *prefix, const read_record *reads, size_t count, weir_error *err)
{
    hash_stream stream;
    read_ref *refs = mem_alloc(count * sizeof *refs);
    if (!refs) return error_nomem(err, "remembering a trace");
    trace_group(&stream, *prefix);
    for (size_t i = 0; i < count; i++) {
        refs[i] = reads[i].ref;
        trace_read(&stream, &reads[i].ref, reads[i].hash);
    }
    buf group; /* not c->refs: a probe is answered there */
    buf_init(&group);
    read_refs_put(&group, refs, count);
    bool may_differ = trace_may_differ(refs, count);
    mem_free(refs);
    int rc = group.failed ? error_nomem(err, "remembering a trace") : put_group(c, *prefix, buf_bytes(&group), may_differ, err);
    buf_deinit(&group);
    *prefix = hash_end(&stream);
    return rc;
}

int catalog_learn(catalog *c, hash128 key, const read_record *reads, size_t count, uint64_t execution, weir_error *err)
{
    if (hash_is_none(key)) return 0;
    hash128 prefix = trace_begin(key);
    int rc = 0;
    while (rc == 0 && count > 0) {
        size_t size = group_size(reads, count);
        rc = learn_group(c, &prefix, reads, size, err);
        reads += size;
        count -= size;
    }
    if (rc == 0) rc = put_step(c, prefix, (bytes){NULL, 0}, execution, err);
    if (rc != 0 || c->step_count <= LEARN_MOST) return rc;
    rc = catalog_refresh(c, err); /* the database answers from now on */
    if (rc == 0) catalog_clear_traces(c);
    return rc;
}

/* --- results ----------------------------------------------------------------------------------------------------- */

/* What `results` leads to. */
typedef struct kept_result {
    cat_result result;
    uint64_t epoch; /* of catalog_put_result; 0: it came from the database */
} kept_result;

static kept_result *kept(const catalog *c, uint64_t execution)
{
    const uint64_t *slot = map_get(&c->results, map_key_u64(&execution));
    return slot ? (kept_result *)(uintptr_t)*slot : NULL;
}

static const cat_result *keep_result(catalog *c, const cat_result *result, uint64_t epoch)
{
    kept_result *copy = arena_alloc(&c->arena, sizeof *copy);
    size_t size = result->output_count * sizeof *result->outputs;
    output_record *outputs = size ? arena_alloc(&c->arena, size) : NULL;
    uint64_t *slot = copy && (outputs || !size) ? map_put(&c->results, map_key_u64(&result->execution), NULL) : NULL;
    if (!slot) return NULL;
    *copy = (kept_result){*result, epoch};
    copy->result.outputs = outputs;
    if (size) memcpy(outputs, result->outputs, size);
    *slot = (uint64_t)(uintptr_t)copy;
    return &copy->result;
}

void catalog_put_result(catalog *c, const cat_result *result)
{
    if (!keep_result(c, result, c->epoch)) c->result_refused = true; /* the database has it after the next commit */
}

static cat_result result_row(db_stmt *q, uint64_t execution)
{
    return (cat_result){
        .execution = execution,
        .node = (uint64_t)db_int(q, 0),
        .key = db_hash(q, 1),
        .spec_seq = (uint64_t)db_int(q, 2),
        .effect_seq = (uint64_t)db_int(q, 3),
        .tool = db_hash(q, 4),
        .value = db_hash(q, 5),
        .result = (int)db_int(q, 6),
    };
}

static output_record output_row(db_stmt *q)
{
    return (output_record){
        .port = (uint32_t)db_int(q, 7),
        .item = (uint64_t)db_int(q, 8),
        .hash = db_hash(q, 9),
        .size = (uint64_t)db_int(q, 10),
        .mode = (uint32_t)db_int(q, 11),
    };
}

/* 1: there; 0: not. The outputs are owned: mem_free, also after an error. */
static int read_result(catalog *c, uint64_t execution, cat_result *result, output_record **outputs, weir_error *err)
{
    size_t capacity = 0, rows = 0, count = 0;
    db_stmt *q = catalog_query(c, SQL_EXECUTION_RESULT, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)execution);
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (rows++ == 0) *result = result_row(q, execution);
        if (db_is_null(q, 7)) continue;
        if (!MEM_GROW(*outputs, capacity, count + 1)) {
            rc = error_nomem(err, "reading a result");
            break;
        }
        (*outputs)[count++] = output_row(q);
    }
    db_reset(q);
    result->outputs = *outputs;
    result->output_count = count;
    return rc < 0 ? rc : rows > 0;
}

/* 1: there; 0: not. */
static int load_result(catalog *c, uint64_t execution, const cat_result **result, weir_error *err)
{
    cat_result found = {0};
    output_record *outputs = NULL;
    int rc = read_result(c, execution, &found, &outputs, err);
    if (rc == 1) *result = keep_result(c, &found, 0);
    if (rc == 1 && !*result) rc = error_nomem(err, "reading a result");
    mem_free(outputs);
    return rc;
}

int catalog_result(catalog *c, uint64_t execution, const cat_result **result, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    const kept_result *here = kept(c, execution);
    *result = here ? &here->result : NULL;
    if (here) return 0;
    int rc = load_result(c, execution, result, err);
    if (rc == 0 && c->result_refused) { /* there was no memory for one: ask again behind the writer */
        rc = catalog_refresh(c, err);
        if (rc == 0) rc = load_result(c, execution, result, err);
    }
    if (rc == 0) return error_set(err, WEIR_NOTFOUND, "execution %llu is not recorded", (unsigned long long)execution);
    return rc < 0 ? rc : 0;
}

static int load_reads(catalog *c, uint64_t execution, mem_arena *arena, read_record **reads, size_t *count, weir_error *err)
{
    db_stmt *q = catalog_query(c, SQL_EXECUTION_ENDED, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)execution);
    int rc = db_step(q, err);
    if (rc == 1) rc = event_get_reads((int)db_int(q, 0), db_bytes(q, 1), arena, reads, count, err);
    db_reset(q);
    return rc;
}

int catalog_reads(catalog *c, uint64_t execution, mem_arena *arena, read_record **reads, size_t *count, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    *reads = NULL;
    *count = 0;
    const kept_result *here = kept(c, execution);
    bool is_queued = here ? here->epoch == c->epoch : c->result_refused; /* it may still be on its way to the writer */
    int rc = is_queued ? catalog_refresh(c, err) : 0;
    return rc == 0 ? load_reads(c, execution, arena, reads, count, err) : rc;
}
