/*
 * journal.h - the loop thread's end of the log: numbers events, fills batches, hears when they are committed.
 *
 * Events are numbered when they are said, in the order they are said; the batch of one loop tick goes to the writer thread as soon as that
 * is free (group commit). J1: after a failed batch every later call does nothing and journal_failed tells why. Loop thread only.
 */
#ifndef WEIR_RUN_JOURNAL_H
#define WEIR_RUN_JOURNAL_H

#include <uv.h>

#include "engine/store/log.h"

typedef struct journal journal;

int journal_open(journal **out, uv_loop_t *loop, const char *db_path, int weir_dirfd, weir_error *err);
/** One that only looks: there is no writer, every run is dry. */
int journal_open_silent(journal **out, uv_loop_t *loop, weir_error *err);
/** Flushes, waits, closes the writer; the loop must run once more for the handles. */
void journal_close(journal *j);

/** Events belong to this run from now on (0: none). `dry`: nothing is written any more, numbers are still handed out. */
void journal_set_run(journal *j, uint64_t run, bool dry);
uint64_t journal_run(const journal *j);
/** Say one event; `body` is cleared for the next use. Returns its number. */
uint64_t journal_say(journal *j, event_kind kind, buf *body);
void journal_payload(journal *j, blob_row *take_row);
void journal_folder(journal *j, const cache_folder *folder);
void journal_glob(journal *j, uint64_t item, bytes entries);
/** A result was found again by event `seq`; for the order of least use. */
void journal_use(journal *j, uint64_t execution, uint64_t seq);
uint64_t journal_last(const journal *j);

/** Call `then` on the loop once everything said so far is committed (or at once in a dry run). */
void journal_when_committed(journal *j, void (*then)(void *ctx), void *ctx);
/** `told` is called on the loop whenever more is committed, with the last number; once at once, from the loop. NULL: nobody is. */
void journal_tell(journal *j, void (*told)(void *ctx, uint64_t seq), void *ctx);
/** What was said since the last batch will be synced with its commit. */
void journal_want_durable(journal *j);
/** Submit what has gathered; the loop does it by itself in each tick. */
void journal_flush(journal *j, bool durable);
/** Flush and wait until all is committed (durable: and synced). */
int journal_sync(journal *j, bool durable, weir_error *err);
/** The first failure of the writer, or 0. */
int journal_failed(const journal *j, weir_error *err);
db_counts journal_counts(journal *j);
uint64_t journal_events(const journal *j);

#endif
