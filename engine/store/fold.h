/*
 * fold.h - from events to state: the only code that writes state tables.
 *
 * F1  state == fold(all events in order), at every commit.
 * F2  fold_event depends on nothing but the event and the state it folds into: no clock, no files, no environment.
 */
#ifndef WEIR_STORE_FOLD_H
#define WEIR_STORE_FOLD_H

#include "engine/store/event.h"
#include "engine/store/db.h"

/** Rows that the events of a transaction have made and that are written at its end: one statement instead of several. */
typedef struct fold_late fold_late;
fold_late *fold_late_new(void); /* owned (fold_late_free); NULL: no memory */
void fold_late_free(fold_late *late);
/** Write what waits, before the commit. */
int fold_late_flush(fold_late *late, db *d, weir_error *err);
/** After a rollback. */
void fold_late_forget(fold_late *late);

/** Apply one event inside the open transaction. `late` is kept and may be NULL: then its rows are written when it returns. */
int fold_event(db *d, fold_late *late, uint64_t seq, uint64_t run, int64_t at_us, int kind, bytes body, mem_arena *scratch,
               weir_error *err);

/** Drop the state tables, make them anew, fold the whole log; one transaction. `events` out (may be NULL). */
int fold_rebuild(db *d, uint64_t *events, weir_error *err);

/**
 * Fold the log into temporary tables and compare them row by row with the state, both ways. `differs` is called with a
 * line per difference (table, key, what). Returns 0 also when there are differences; *differences counts them.
 */
int fold_check(db *d, void (*differs)(void *ctx, const char *line), void *ctx, uint64_t *differences, weir_error *err);

#endif
