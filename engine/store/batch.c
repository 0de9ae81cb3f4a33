/*
 * batch.c - what one transaction will hold, packed while the loop thread goes on.
 *
 * Events, folders and globs are packed one behind the other; a failed append is remembered by the buffers and found by
 * batch_check, so that the callers need not ask. Owned by one thread at a time: the loop, then the writer.
 */
#include "engine/store/batch.h"

log_batch *batch_new(void)
{
    return mem_zero(1, sizeof(log_batch));
}

void batch_free(log_batch *batch)
{
    if (!batch) return;
    for (size_t i = 0; i < batch->row_count; i++) mem_free(batch->rows[i].stored);
    mem_free(batch->rows);
    buf_deinit(&batch->events);
    buf_deinit(&batch->folders);
    buf_deinit(&batch->globs);
    buf_deinit(&batch->uses);
    mem_free(batch);
}

bool batch_is_empty(const log_batch *batch)
{
    return batch->event_count == 0 && batch->row_count == 0 && batch->folders.size == 0 && batch->globs.size == 0 &&
           batch->uses.size == 0 && !batch->uses.failed &&
           !batch->events.failed && !batch->folders.failed && !batch->globs.failed && !batch->is_broken;
}

void batch_event(log_batch *batch, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body)
{
    if (kind != EVENT_SESSION && kind != EVENT_RUN_STARTED && kind != EVENT_RUN_FINISHED) batch->has_facts = true;
    if (batch->event_count == 0) batch->first_seq = seq;
    if (seq != batch->first_seq + batch->event_count) batch->is_broken = true;
    buf_put_u64(&batch->events, run);
    buf_put_i64(&batch->events, at_us);
    buf_put_u64(&batch->events, (uint64_t)kind);
    buf_put_bytes(&batch->events, body);
    batch->event_count++;
}

void batch_payload(log_batch *batch, blob_row *take_row)
{
    if (MEM_GROW(batch->rows, batch->row_capacity, batch->row_count + 1)) {
        batch->rows[batch->row_count++] = *take_row;
    } else {
        mem_free(take_row->stored);
        batch->events.failed = true;
    }
    take_row->stored = NULL;
}

void batch_folder(log_batch *batch, const cache_folder *folder)
{
    buf_put_bytes(&batch->folders, folder->folder);
    buf_put_bytes(&batch->folders, folder->entries);
}

void batch_glob(log_batch *batch, uint64_t item, bytes entries)
{
    buf_put_u64(&batch->globs, item);
    buf_put_bytes(&batch->globs, entries);
}

void batch_use(log_batch *batch, uint64_t execution, uint64_t seq)
{
    buf_put_u64(&batch->uses, execution);
    buf_put_u64(&batch->uses, seq);
}

bool batch_next_event(unpack *events, uint64_t *seq, log_event *event)
{
    if (events->at == events->end) return false;
    event->seq = (*seq)++;
    event->run = unpack_u64(events);
    event->at_us = unpack_i64(events);
    event->kind = (int)unpack_u64(events);
    event->body = unpack_bytes(events);
    return !events->failed;
}

bool batch_next_folder(unpack *folders, cache_folder *folder)
{
    if (folders->at == folders->end) return false;
    folder->folder = unpack_bytes(folders);
    folder->entries = unpack_bytes(folders);
    return !folders->failed;
}

bool batch_next_glob(unpack *globs, uint64_t *item, bytes *entries)
{
    if (globs->at == globs->end) return false;
    *item = unpack_u64(globs);
    *entries = unpack_bytes(globs);
    return !globs->failed;
}

bool batch_next_use(unpack *uses, uint64_t *execution, uint64_t *seq)
{
    if (uses->at == uses->end) return false;
    *execution = unpack_u64(uses);
    *seq = unpack_u64(uses);
    return !uses->failed;
}

int batch_check(const log_batch *batch, weir_error *err)
{
    if (batch->events.failed || batch->folders.failed || batch->globs.failed || batch->uses.failed)
        return error_nomem(err, "collecting events");
    if (batch->is_broken) return error_set(err, WEIR_BUG, "events of a batch are not numbered in a row");
    return 0;
}
