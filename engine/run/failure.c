/*
 * failure.c - failures that are found again instead of being repeated, and reads of what could not be made.
 *
 *   known       the effect said that it fails, or the command ended with an exit code: recorded with its reads, as a trace
 *   by chance   a signal, a time limit, no memory, no room on the disk, a dead worker, a raced input: tried again by the next run
 *   blocked     it read, without declaring it, what a node that failed could not make: a known failure with a read that never holds
 *
 * A known failure is found like a result: the same key, and the same behind all it read. Then its node has failed again, without an
 * execution, and is told with the message and the log of that attempt. `weir run --force NODE` and `weir void NODE` try again.
 *
 * F1  What cannot have been read from the inputs is never known. So a command with a depfile is tried again by every run: what it
 *     looked for and did not find is in no depfile, and most write none when they fail. So is one that ends with 124 or more, which is
 *     how shells, env and timeout say that a program was not there or did not come to its end; one that works on its old
 *     output (update); a node with retries=, of which somebody has said that it may fail for no reason; and everything while
 *     a disk is full, or under limits (of memory, file size ...) that weir itself was started with. What was known before a node got
 *     its retries= (or depfile=, update) is not found as long as it has it.
 * F2  An input that moved while the attempt ran makes the failure one by chance (P6).
 * F3  Only failures of the very code that the effect has now are found; those of code that is kept (policy.c) are not.
 * F4  That a node once read what fails now blocks nobody: its lookup walks the stored reads, and as long as all before that read is as
 *     it was, it would read it again; otherwise it is tried. Of a command, whose reads are one group, all others must hold.
 */
#include "engine/run/engine.h"

#include "generated/schema.h"

enum { EXIT_BY_CHANCE = 124, LOG_MOST = 256 * 1024 };

bool failure_is_never_known(const node_spec *spec)
{
    return spec->retries > 0 || (spec->flags & SPEC_UPDATE) || spec->depfile.size > 0;
}

bool failure_may_be_known(const task *t)
{
    const node_spec *spec = &t->node->spec;
    bool is_command = t->effect->spec.kind == EFFECT_COMMAND;
    if (spec->job != JOB_PURE && spec->job != JOB_BATCH) return false; /* nobody repeats those by themselves */
    if (failure_is_never_known(spec) || hash_is_none(t->key)) return false;
    if (is_command && (t->end.exit_code < 0 || t->end.exit_code >= EXIT_BY_CHANCE)) return false;
    return !os_is_short(t->w->rootfd);
}

int failure_learn(task *t, weir_error *err)
{
    const event_finished *e = &t->end;
    if (!e->known || hash_is_none(e->key)) return 0;
    catalog_put_result(t->w->catalog, &(cat_result){.execution = t->execution, .node = t->node->id, .spec_seq = e->spec_seq,
                                                    .effect_seq = e->effect_seq, .key = e->key, .tool = e->tool,
                                                    .result = (int)e->result});
    return catalog_learn(t->w->catalog, e->key, e->reads, e->read_count, t->execution, err);
}

/* The event that recorded the end of the execution. */
static int load_end(task *t, uint64_t execution, event_body *body, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(t->w->catalog), SQL_EXECUTION_END, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)execution);
    int rc = db_step(q, err);
    uint64_t seq = rc == 1 ? (uint64_t)db_int(q, 0) : 0;
    db_reset(q);
    if (rc < 0) return rc;
    if (seq == 0) return WEIR_NOTFOUND;
    return settle_load_event(t, seq, EVENT_FINISHED, body, err);
}

/* What it printed; gone from the store: nothing. */
static int load_log(task *t, hash128 hash, buf *log, weir_error *err)
{
    if (hash_is_none(hash)) return 0;
    int rc = blob_read(t->w->blobs, catalog_db(t->w->catalog), hash, LOG_MOST, log, err);
    if (rc != WEIR_NOTFOUND && rc != WEIR_CORRUPT && rc != WEIR_LIMIT) return rc;
    error_clear(err);
    buf_clear(log);
    if (rc == WEIR_LIMIT) buf_printf(log, "[weir: its output is long; `weir log %s` has what is kept]\n", (const char *)t->node->spec.name.data);
    return 0;
}

int failure_found(task *t, const cat_result *result, weir_error *err)
{
    event_body end;
    buf log;
    buf_init(&log);
    int rc = load_end(t, result->execution, &end, err);
    if (rc == WEIR_NOTFOUND) { /* of this run, and still on its way to the writer */
        error_clear(err);
        rc = catalog_refresh(t->w->catalog, err);
        if (rc == 0) rc = load_end(t, result->execution, &end, err);
    }
    if (rc == 0) rc = load_log(t, end.finished.log, &log, err);
    if (rc == 0) rc = misled_note_reads(t->w, t->node->id, end.finished.reads, end.finished.read_count, err);
    if (rc == 0) {
        weir_event event = {.message = (const char *)end.finished.message.data, .log = (const char *)log.data, .log_size = log.size,
                            .exit_code = (int)end.finished.exit_code, .signal = (int)end.finished.signal, .tried_us = (int64_t)end.finished.started_us};
        settle_failed_before(t, result->execution, &event);
    }
    buf_deinit(&log);
    return rc;
}

/* --- what could not be made --------------------------------------------------------------------------------------- */

bool failure_is_lost(weir *w, const cat_node *maker)
{
    plan_state state = w->plan ? plan_state_of(w->plan, maker->id) : PLAN_DUE;
    return state != PLAN_DUE && state != PLAN_RUNNING && (maker->status == CAT_FAILED || maker->status == CAT_BLOCKED);
}

void failure_blocks(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    job_type type = t->node->spec.job;
    const cat_node *maker = catalog_node(w->catalog, t->unmade->node, &err);
    const char *why = maker ? arena_printf(&t->arena, "it reads %s, which %s could not make", (const char *)t->unmade->name.data,
                                           (const char *)maker->spec.name.data)
                            : NULL;
    if (!why) {
        if (err.code == 0) error_nomem(&err, "blocking a node");
        schedule_fail(w, &err);
        schedule_free(t);
        return;
    }
    if (type != JOB_PURE && type != JOB_BATCH) { /* what it did by then is done */
        settle_failed(t, EXECUTION_FAILED, why);
        return;
    }
    t->end.known = !hash_is_none(t->key);
    (void)settle_say_failed(t, EXECUTION_FAILED, why);
    t->node->forced = false;
    t->node->blocked_by = maker->id;
    settle_blocked(t);
}

/* Would an execution that read all this read what was not made? Then everything else is as it saw it. */
static int reads_again(task *t, uint64_t execution, bool *again, weir_error *err)
{
    read_record *reads = NULL;
    size_t count = 0;
    bool unmade = false, holds = true;
    int rc = catalog_reads(t->w->catalog, execution, &t->arena, &reads, &count, err);
    for (size_t i = 0; rc == 0 && holds && i < count; i++) {
        uint64_t source = 0, wait_for = 0;
        bool is_node = false;
        hash128 hash = HASH_NONE;
        resolve_result how = RESOLVE_IMPOSSIBLE;
        rc = settle_resolve(t, &reads[i].ref, &hash, &wait_for, &how, &source, &is_node, err);
        if (how == RESOLVE_UNMADE) unmade = true;
        else holds = how == RESOLVE_KNOWN && hash_equal(hash, reads[i].hash);
    }
    *again = rc == 0 && holds && unmade;
    return rc;
}

int failure_would_read(task *t, bool *sure, weir_error *err)
{
    enum { LATEST = 8 };
    uint64_t executions[LATEST];
    size_t count = 0;
    *sure = t->effect->spec.kind != EFFECT_COMMAND;
    if (*sure) return 0;
    db_stmt *q = db_get(catalog_db(t->w->catalog), SQL_EXECUTIONS_OF_KEY, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    db_bind_hash(q, 2, t->key);
    int rc;
    while ((rc = db_step(q, err)) == 1 && count < LATEST) executions[count++] = (uint64_t)db_int(q, 0);
    db_reset(q);
    for (size_t i = 0; rc >= 0 && !*sure && i < count; i++) rc = reads_again(t, executions[i], sure, err);
    return rc < 0 ? rc : 0;
}
