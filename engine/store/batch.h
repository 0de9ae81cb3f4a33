/*
 * batch.h - reading a batch back: for log.c.
 */
#ifndef WEIR_STORE_BATCH_H
#define WEIR_STORE_BATCH_H

#include "engine/store/log.h"

/** An event as it waits in a batch, and as it is stored. */
typedef struct log_event {
    uint64_t seq, run;
    int64_t at_us;
    int kind;
    bytes body; /* borrowed */
} log_event;

/** Next event; *seq is advanced. false at the end. */
bool batch_next_event(unpack *events, uint64_t *seq, log_event *event);
bool batch_next_folder(unpack *folders, cache_folder *folder);
bool batch_next_glob(unpack *globs, uint64_t *item, bytes *entries);
bool batch_next_use(unpack *uses, uint64_t *execution, uint64_t *seq);
/** 0 when the batch is whole; WEIR_NOMEM or WEIR_BUG. */
int batch_check(const log_batch *batch, weir_error *err);

#endif
