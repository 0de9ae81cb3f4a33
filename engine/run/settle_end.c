/*
 * settle_end.c - the end of an execution: its record, what it made from now on, and what is told of it.
 *
 *   well           -> FINISHED (accepted: ACCEPTED), the result is known; users hear whether anything is another one
 *   raced, impure  -> the same, and the node stays due
 *   failed         -> FINISHED, outputs as before; tried again while retries are left
 *   interrupted    -> FINISHED, the node stays due; superseded: a new attempt begins
 *
 * Loop thread only.
 */
#include "engine/run/command_internal.h"
#include "engine/run/output.h"
#include "engine/run/settle_internal.h"

static uint64_t new_execution(task *t)
{
    if (t->execution == 0) t->execution = catalog_new_execution_id(t->w->catalog);
    return t->execution;
}

static void say_finished(task *t)
{
    weir *w = t->w;
    event_finished *e = &t->end;
    e->execution = new_execution(t);
    e->node = t->node->id;
    e->key = t->key;
    e->spec_seq = t->node->spec_seq;
    e->effect_seq = t->effect->seq;
    e->tool = t->tool;
    e->reasons = t->reasons;
    e->reason_count = t->reason_count;
    if (e->started_us == 0) e->started_us = (uint64_t)(t->started_us ? t->started_us : os_wall_us());
    if ((t->node->spec.flags & SPEC_ALWAYS) || t->effect->spec.always.size) e->key = HASH_NONE;
    buf *body = catalog_body(w->catalog);
    if (t->accepting) event_put_accepted(body, e);
    else event_put_finished(body, e);
    t->node->settled = journal_say(w->journal, t->accepting ? EVENT_ACCEPTED : EVENT_FINISHED, body);
    tell_ended(t);
}

static void tell_finished(task *t, outcome what, bytes log)
{
    settle_tell(t, &(weir_event){.kind = WEIR_EVENT_FINISHED, .outcome = outcome_name(what),
                                  .seconds = (double)t->end.duration_us / 1e6, .message = (const char *)t->end.message.data,
                                  .log = (const char *)log.data, .log_size = log.size, .exit_code = (int)t->end.exit_code,
                                  .signal = (int)t->end.signal, .changed = t->end.changed});
}

static bytes keep_log(task *t, weir_error *err)
{
    if (t->log.size == 0) return t->log;
    blob_row row = {0};
    if (t->log_in_file) {
        command_keep_log(t);
        return t->log;
    }
    if (blob_take_bytes(t->w->blobs, t->log, &t->end.log, &row, err) == 0 && row.stored) journal_payload(t->w->journal, &row);
    return t->log;
}

static int node_status_after(execution_result result, int *due)
{
    *due = 0;
    if (result == EXECUTION_OK) return CAT_SETTLED;
    *due = result == EXECUTION_IMPURE ? REASON_IMPURE : REASON_RACED;
    return CAT_DUE;
}

void settle_finish(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    event_finished *e = &t->end;
    if (e->result == 0) e->result = EXECUTION_OK;
    if ((t->node->spec.flags & SPEC_EXPAND) && (e->result == EXECUTION_OK || e->result == EXECUTION_IMPURE)) {
        const char *message = NULL;
        int rc = expand_apply(t, e->value, &message, &err);
        if (rc == WEIR_WORKFLOW) {
            settle_failed(t, EXECUTION_FAILED, message);
            return;
        }
        if (rc != 0) schedule_fail(w, &err);
    }
    e->changed = t->node->execution == 0 || !hash_equal(e->value, t->node->value) || t->shows_otherwise;
    for (size_t i = 0; i < e->output_count; i++) {
        const cat_item *item = catalog_item(w->catalog, e->outputs[i].item, &err);
        if (!item || !hash_equal(item->hash, e->outputs[i].hash)) e->changed = true;
    }
    bool moved = false;
    if (settle_moved(t, &moved, &err) != 0) schedule_fail(w, &err);
    e->changed |= moved || t->list_changed;
    bytes log = keep_log(t, &err);
    bool keeps = e->result == EXECUTION_OK && t->node->execution != 0;
    if (keeps && trust_cap(t, &err) != 0) schedule_fail(w, &err);
    say_finished(t);
    for (size_t i = 0; i < e->output_count; i++) catalog_wrote(w->catalog, &e->outputs[i]);
    catalog_put_result(w->catalog, &(cat_result){.execution = t->execution, .node = t->node->id, .spec_seq = e->spec_seq,
                                                 .effect_seq = e->effect_seq, .key = e->key, .tool = e->tool, .value = e->value,
                                                 .result = (int)e->result, .outputs = e->outputs, .output_count = e->output_count});
    if (e->result == EXECUTION_OK && !hash_is_none(e->key) &&
        catalog_learn(w->catalog, e->key, e->reads, e->read_count, t->execution, &err) != 0)
        schedule_fail(w, &err);
    t->node->status = node_status_after(e->result, &t->node->due);
    t->node->execution = t->execution;
    t->node->value = e->value;
    t->node->forced = false;
    if (t->accepting) {
        w->summary->accepted++;
        settle_tell(t, &(weir_event){.kind = WEIR_EVENT_SETTLED, .outcome = outcome_name(OUTCOME_ACCEPTED), .changed = e->changed});
        schedule_settled(t, e->changed, false);
        return;
    }
    if (output_transient_used(w, t->node, &err) != 0) schedule_fail(w, &err);
    w->summary->ran++;
    t->node->raced = e->result == EXECUTION_RACED;
    if (e->result == EXECUTION_RACED) {
        w->summary->raced++;
        w->any_raced = true;
    }
    if (!e->changed) w->summary->cut_off++;
    tell_finished(t, OUTCOME_RAN, log);
    schedule_settled(t, e->changed, false);
}

bytes settle_say_failed(task *t, execution_result result, const char *message)
{
    weir_error err = {0};
    t->end.result = result;
    t->end.message = arena_bytes(&t->arena, bytes_str(message));
    t->end.outputs = NULL;
    t->end.output_count = 0;
    t->end.value = HASH_NONE;
    t->end.changed = false;
    if (result != EXECUTION_FAILED) t->end.known = false;
    bytes log = keep_log(t, &err);
    if (t->end.known && trust_cap_failures(t, &err) != 0) schedule_fail(t->w, &err);
    say_finished(t);
    if (failure_learn(t, &err) != 0) schedule_fail(t->w, &err);
    if (misled_note_reads(t->w, t->node->id, t->end.reads, t->end.read_count, &err) != 0) schedule_fail(t->w, &err);
    return log;
}

void settle_failed(task *t, execution_result result, const char *message)
{
    weir *w = t->w;
    bytes log = settle_say_failed(t, result, message);
    bool interrupted = result == EXECUTION_INTERRUPTED;
    if (t->superseded && interrupted && !schedule_stopping(w)) {
        t->node->status = CAT_DUE;
        t->node->due = REASON_INTERRUPTED;
        w->summary->superseded++;
        tell_message(w, "%s: %s; starting again", (const char *)t->node->spec.name.data, (const char *)t->end.message.data);
        schedule_again(t);
        return;
    }
    t->node->status = interrupted ? CAT_DUE : CAT_FAILED;
    t->node->due = interrupted ? REASON_INTERRUPTED : 0;
    uint32_t tried = t->node->retries, most = t->node->spec.retries;
    if (!interrupted && t->started_ns != 0 && tried < most && !schedule_stopping(w)) {
        tell_message(w, "%s: %s; trying again (%u of %u)", (const char *)t->node->spec.name.data, (const char *)t->end.message.data,
                     (unsigned)(tried + 1), (unsigned)most);
        schedule_again(t);
        return;
    }
    if (!interrupted) w->summary->failed++;
    if (!interrupted) t->node->forced = false; /* once in a run, also when it is looked at in a later turn */
    bool began = t->started_ns != 0 || !interrupted; /* what was stopped before it began is no news */
    if (began) tell_finished(t, OUTCOME_FAILED, log);
    schedule_settled(t, false, true);
}
