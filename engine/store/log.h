/*
 * log.h - the append-only log and its writer thread.
 *
 * The loop thread numbers events and fills batches; the writer thread owns the one write connection and turns each batch
 * into one transaction: event rows, the hash chain over them, the fold into state (fold.h), payload rows, cache rows.
 * Batches are committed in the order they were given; several that wait are committed together (group commit).
 *
 * L1  Sequence numbers start at 1 and have no gap.
 * L2  What is answered "committed" survives a kill; what is answered "durable" survives power loss.
 * L3  After a failed batch nothing later is written, and every waiting batch is answered with that error.
 * L4  chain(n) = H(chain(n-1), first_seq, last_seq, every event's run, at, kind, body): one row per transaction. The side file
 *     .weir/head holds the newest chain value that was synced; it may lag, never lead.
 */
#ifndef WEIR_STORE_LOG_H
#define WEIR_STORE_LOG_H

#include "engine/store/blob.h"
#include "engine/store/event.h"

/** A row of the cache: signatures of one folder's entries. */
typedef struct cache_folder {
    bytes folder;  /* path, "" is the root */
    bytes entries; /* packed by world/scan; empty: delete the row */
} cache_folder;

/** What one transaction holds, or the next part of it. Owned by its maker until log_submit takes it. */
typedef struct log_batch {
    buf events;        /* by batch_event */
    uint64_t first_seq;
    size_t event_count;
    blob_row *rows;    /* payloads */
    size_t row_count, row_capacity;
    buf folders;       /* by batch_folder */
    buf globs;         /* by batch_glob: item, packed folder signatures */
    buf uses;          /* by batch_use: execution, seq */
    bool durable;      /* synchronous FULL */
    bool more;         /* the transaction goes on with the next batch: nothing is committed or answered yet */
    bool has_facts;    /* more than the start and end of a session or run: the side file must follow once it is synced */
    void *cookie;      /* for the answer */
    bool is_broken;    /* a number was not the next one: a bug, reported by the writer */
    struct log_batch *next; /* the writer's queue */
} log_batch;

log_batch *batch_new(void);
void batch_free(log_batch *batch);
bool batch_is_empty(const log_batch *batch);
/** `seq` must be the next number; the body is copied. */
void batch_event(log_batch *batch, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body);
/** row->stored is taken. */
void batch_payload(log_batch *batch, blob_row *take_row);
void batch_folder(log_batch *batch, const cache_folder *folder);
void batch_glob(log_batch *batch, uint64_t item, bytes entries);
/** A result was found again. */
void batch_use(log_batch *batch, uint64_t execution, uint64_t seq);

typedef struct log_writer log_writer;

/** Called on the writer thread after each batch: error 0 or a code. `cookie` is the batch's. Must not block. */
typedef void (*log_answer)(void *ctx, void *cookie, uint64_t last_seq, const weir_error *result);

/**
 * Open (create, migrate) the database for writing and start the thread. Verifies that the chain's last row agrees with the side
 * file (WEIR_CORRUPT if the log is shorter than what was synced). Rebuilds the state when its schema is of another release.
 *
 * @param weir_dirfd  of .weir, kept open by the caller
 */
int log_writer_open(log_writer **out, const char *db_path, int weir_dirfd, log_answer answer, void *ctx, weir_error *err);
/** Waits for all batches, joins the thread; a checkpoint where the WAL is long (a short one stays beside the database). */
void log_writer_close(log_writer *w);
/** Queue a batch; taken. Waits for the writer where it is far behind. */
void log_submit(log_writer *w, log_batch *take);
/** Wait until everything submitted so far has been answered; returns the first error. */
int log_wait(log_writer *w, weir_error *err);
/** Highest seq in the database at open. */
uint64_t log_last_seq(const log_writer *w);
db_counts log_counts(log_writer *w);

/** Recompute the chain over all events; WEIR_CORRUPT names the first transaction that differs. Any connection. */
int log_verify(db *d, int weir_dirfd, uint64_t *events, weir_error *err);

#endif
