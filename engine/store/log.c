/*
 * log.c - the writer thread: batches in, transactions out.
 *
 *   loop thread                    writer thread                                     keeper thread
 *   log_submit -> queue -> take all that wait -> BEGIN, events, fold, payloads,
 *                                  cache, chain row, COMMIT -> answers, head   ->    PASSIVE checkpoint when the WAL is long
 *
 * Batches that wait are committed together, up to GROUP_BYTES of events; one durable batch makes its group durable. A batch that
 * says `more` leaves the transaction open: it is written while its sender is still making the rest. A transaction may be of any size (a
 * definition of a million nodes is one): above QUEUE_BYTES the sender waits, and what is written and takes more than HELD_BYTES is
 * let go; its events are read back for the chain. After a
 * failure the first error stays: the group and everything behind it is answered with it, and nothing more is written (L3).
 *
 * The WAL would grow for as long as commits follow each other without a pause, because a checkpoint beside a busy writer never
 * catches up. So above WAL_INLINE pages the writer makes the checkpoint itself, between two transactions.
 *
 * Threads: the queue, the error and the counts are under `mutex`; the connection, the link of the chain and the arena belong
 * to the writer thread once it runs; `keeper_db` to the keeper.
 */
#include "engine/store/log.h"

#include <inttypes.h>

#include "engine/base/os.h"
#include "engine/store/batch.h"
#include "engine/store/chain.h"
#include "engine/store/fold.h"
#include "generated/schema.h"

enum { GROUP_BYTES = 16 * 1024 * 1024 };
enum { WAL_STEP = 1024, WAL_INLINE = 16 * 1024, WAL_LEFT = 256 }; /* pages of 4 KiB */
enum { SCRATCH_KEEP = 256 * 1024, REST_BYTES = 4 * 1024 * 1024 };
enum { QUEUE_BYTES = 2 * GROUP_BYTES, HELD_BYTES = 8 * 1024 * 1024 };

struct log_writer {
    db *d;
    db *keeper_db;
    int dirfd;
    log_answer answer;
    void *ctx;
    uint64_t seq_at_open;

    os_mutex *mutex;
    os_cond *changed;  /* queue, is_working, is_closing */
    os_cond *for_keeper; /* checkpoint_wanted, is_keeper_closing */
    os_thread *writer, *keeper;
    log_batch *first, *last; /* waiting */
    size_t waiting_bytes;    /* of events in them */
    bool is_working, is_closing, is_keeper_closing, checkpoint_wanted;
    weir_error error; /* the first failure; code 0: none */
    db_counts counts;

    chain_link link;
    log_batch *held;    /* written in the open transaction, in order; NULL: there is none */
    size_t held_bytes;  /* of events in them */
    uint64_t let_go;    /* up to this event only the database has those of the open transaction; 0: none */
    uint64_t next_seq;  /* of the open transaction */
    mem_arena scratch;
    fold_late *late;
    bool head_lags; /* facts were committed since the side file was written; runs that did nothing do not count */
    uint32_t wal_asked; /* pages at the last checkpoint that was asked for */
};

/* --- one transaction --------------------------------------------------------------------------------------------- */

static int add_event(log_writer *w, const log_event *event, weir_error *err)
{
    db_stmt *s = db_get(w->d, SQL_LOG_EVENT_ADD, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)event->seq);
    db_bind_int(s, 2, (int64_t)event->run);
    db_bind_int(s, 3, event->at_us);
    db_bind_int(s, 4, event->kind);
    db_bind_borrowed(s, 5, event->body);
    return db_run(s, err);
}

static int write_events(log_writer *w, const log_batch *batch, weir_error *err)
{
    unpack events = unpack_of(buf_bytes(&batch->events));
    uint64_t seq = batch->first_seq;
    log_event event;
    while (batch_next_event(&events, &seq, &event)) {
        int rc = add_event(w, &event, err);
        if (rc == 0) rc = fold_event(w->d, w->late, event.seq, event.run, event.at_us, event.kind, event.body, &w->scratch, err);
        if (rc != 0) return error_context(err, rc, "event %" PRIu64, event.seq);
        if (w->scratch.total > SCRATCH_KEEP || w->scratch.used > SCRATCH_KEEP / 4) arena_reset(&w->scratch);
    }
    return 0;
}

static int write_payloads(log_writer *w, const log_batch *batch, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->row_count; i++) rc = blob_row_put(w->d, &batch->rows[i], err);
    return rc;
}

static int write_folders(log_writer *w, const log_batch *batch, weir_error *err)
{
    unpack folders = unpack_of(buf_bytes(&batch->folders));
    cache_folder folder;
    while (batch_next_folder(&folders, &folder)) {
        bool keep = folder.entries.size > 0;
        db_stmt *s = db_get(w->d, keep ? SQL_LOG_FOLDER_PUT : SQL_LOG_FOLDER_DELETE, err);
        if (!s) return err->code;
        db_bind_bytes(s, 1, bytes_of(folder.folder.size ? (const void *)folder.folder.data : "", folder.folder.size));
        if (keep) db_bind_bytes(s, 2, folder.entries);
        int rc = db_run(s, err);
        if (rc != 0) return rc;
    }
    return 0;
}

static int write_globs(log_writer *w, const log_batch *batch, weir_error *err)
{
    unpack globs = unpack_of(buf_bytes(&batch->globs));
    uint64_t item;
    bytes entries;
    while (batch_next_glob(&globs, &item, &entries)) {
        db_stmt *s = db_get(w->d, entries.size ? SQL_LOG_GLOB_PUT : SQL_LOG_GLOB_DELETE, err);
        if (!s) return err->code;
        db_bind_int(s, 1, (int64_t)item);
        if (entries.size) db_bind_bytes(s, 2, entries);
        int rc = db_run(s, err);
        if (rc != 0) return rc;
    }
    return 0;
}

static int write_uses(log_writer *w, const log_batch *batch, weir_error *err)
{
    unpack uses = unpack_of(buf_bytes(&batch->uses));
    uint64_t execution, seq;
    while (batch_next_use(&uses, &execution, &seq)) {
        db_stmt *s = db_get(w->d, SQL_LOG_USE_PUT, err);
        if (!s) return err->code;
        db_bind_int(s, 1, (int64_t)execution);
        db_bind_int(s, 2, (int64_t)seq);
        int rc = db_run(s, err);
        if (rc != 0) return rc;
    }
    return 0;
}

static int write_batch(log_writer *w, const log_batch *batch, weir_error *err)
{
    int rc = batch_check(batch, err);
    if (rc != 0) return rc;
    if (batch->event_count > 0 && batch->first_seq != w->next_seq)
        return error_set(err, WEIR_BUG, "a batch begins with event %" PRIu64 ", the log expects %" PRIu64, batch->first_seq, w->next_seq);
    w->next_seq += batch->event_count;
    rc = write_events(w, batch, err);
    if (rc == 0) rc = write_payloads(w, batch, err);
    if (rc == 0) rc = write_folders(w, batch, err);
    if (rc == 0) rc = write_globs(w, batch, err);
    if (rc == 0) rc = write_uses(w, batch, err);
    return rc;
}

static int write_link(log_writer *w, const chain_link *link, weir_error *err)
{
    if (link->last_seq == w->link.last_seq) return 0;
    db_stmt *s = db_get(w->d, SQL_LOG_CHAIN_ADD, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)link->last_seq);
    db_bind_int(s, 2, (int64_t)w->link.last_seq + 1);
    db_bind_hash(s, 3, link->hash);
    return db_run(s, err);
}

static int chain_let_go(log_writer *w, hash_stream *chain, weir_error *err)
{
    int rc;
    db_stmt *s = db_get(w->d, SQL_LOG_EVENTS, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)w->link.last_seq + 1);
    db_bind_int(s, 2, (int64_t)w->let_go);
    while ((rc = db_step(s, err)) == 1)
        chain_add(chain, &(log_event){.seq = (uint64_t)db_int(s, 0), .run = (uint64_t)db_int(s, 1), .at_us = db_int(s, 2), .kind = (int)db_int(s, 3),
                                      .body = db_bytes(s, 4)});
    db_reset(s);
    return rc;
}

/* Of all that the open transaction holds: the chain begins with the numbers of its first and last event. */
static int next_link(log_writer *w, chain_link *link, weir_error *err)
{
    hash_stream chain;
    log_event event;
    *link = (chain_link){.last_seq = w->next_seq - 1, .hash = w->link.hash};
    if (link->last_seq == w->link.last_seq) return 0;
    chain_begin(&chain, w->link.hash, w->link.last_seq + 1, link->last_seq);
    int rc = w->let_go ? chain_let_go(w, &chain, err) : 0;
    for (const log_batch *b = w->held; b; b = b->next) {
        unpack events = unpack_of(buf_bytes(&b->events));
        uint64_t seq = b->first_seq;
        while (batch_next_event(&events, &seq, &event)) chain_add(&chain, &event);
    }
    link->hash = hash_end(&chain);
    return rc;
}

/* All of it is written: only who is to be answered stays. */
static void let_go_of_held(log_writer *w)
{
    for (log_batch *b = w->held; b; b = b->next) {
        buf *parts[] = {&b->events, &b->folders, &b->globs, &b->uses};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) buf_deinit(parts[i]);
        for (size_t i = 0; i < b->row_count; i++) mem_free(b->rows[i].stored);
        b->row_count = 0;
    }
    w->held_bytes = 0;
    w->let_go = w->next_seq - 1;
}

static bool wants_durable(const log_batch *group)
{
    for (; group; group = group->next)
        if (group->durable) return true;
    return false;
}

/* A group without events may write nothing, and SQLite does not sync for nothing: db_commit does then. */
static int begin_transaction(log_writer *w, const log_batch *group, weir_error *err)
{
    bool has_events = false;
    for (const log_batch *b = group; b; b = b->next) has_events |= b->event_count > 0;
    os_kill_point("log_before_begin");
    w->next_seq = w->link.last_seq + 1;
    return wants_durable(group) && has_events ? db_begin_durable(w->d, err) : db_begin(w->d, err);
}

/* Take a group into the open transaction; it is kept until the end. */
static int write_group(log_writer *w, log_batch *take, weir_error *err)
{
    log_batch **end = &w->held;
    int rc = w->held ? 0 : begin_transaction(w, take, err);
    while (*end) end = &(*end)->next;
    *end = take;
    for (const log_batch *b = take; rc == 0 && b; b = b->next) {
        w->held_bytes += b->events.size;
        rc = write_batch(w, b, err);
    }
    if (rc == 0 && w->held_bytes > HELD_BYTES) let_go_of_held(w);
    return rc;
}

static int commit_held(log_writer *w, weir_error *err)
{
    int rc = fold_late_flush(w->late, w->d, err);
    if (rc != 0) return rc;
    chain_link link;
    rc = next_link(w, &link, err);
    if (rc == 0) rc = write_link(w, &link, err);
    os_kill_point("log_before_commit");
    if (rc == 0) rc = db_commit(w->d, wants_durable(w->held), err);
    os_kill_point("log_after_commit");
    if (rc == 0) w->link = link;
    return rc;
}

/* --- the writer thread ------------------------------------------------------------------------------------------- */

/* Take what waits, up to a number of bytes; the mutex is held. */
static log_batch *take_group(log_writer *w)
{
    log_batch *group = w->first;
    log_batch *end = group;
    size_t size = group->events.size;
    while (end->next && size + end->next->events.size <= GROUP_BYTES) {
        end = end->next;
        size += end->events.size;
    }
    w->first = end->next;
    if (!w->first) w->last = NULL;
    end->next = NULL;
    w->waiting_bytes -= size;
    os_cond_signal(w->changed); /* whoever waits for room */
    return group;
}

/* `last_seq` is that of the last event before the group. */
static void answer_group(log_writer *w, log_batch *group, uint64_t last_seq, const weir_error *result)
{
    while (group) {
        log_batch *next = group->next;
        if (result->code == 0) last_seq += group->event_count;
        if (w->answer) w->answer(w->ctx, group->cookie, last_seq, result);
        batch_free(group);
        group = next;
    }
}

static void ask_keeper(log_writer *w)
{
    os_mutex_lock(w->mutex);
    w->checkpoint_wanted = true;
    os_cond_signal(w->for_keeper);
    os_mutex_unlock(w->mutex);
}

static void watch_wal(log_writer *w)
{
    uint32_t pages = db_wal_pages(w->d);
    if (pages < w->wal_asked) w->wal_asked = 0;
    if (pages < w->wal_asked + WAL_STEP) return;
    w->wal_asked = pages;
    if (pages >= WAL_INLINE) (void)db_checkpoint(w->d, false, NULL); /* busy: the keeper is at it */
    else ask_keeper(w);
}

static bool leaves_open(const log_batch *group)
{
    while (group->next) group = group->next;
    return group->more;
}

/* The group goes to those that are held; they are answered together. */
static void process(log_writer *w, log_batch *group, weir_error *error)
{
    uint64_t before = w->link.last_seq;
    bool open = leaves_open(group);
    if (error->code != 0) {
        answer_group(w, group, before, error);
        return;
    }
    int rc = write_group(w, group, error);
    if (rc == 0 && open) return;
    if (rc == 0) rc = commit_held(w, error);
    if (rc != 0) {
        if (db_in_transaction(w->d)) db_rollback(w->d);
        fold_late_forget(w->late);
    }
    bool durable = wants_durable(w->held);
    for (const log_batch *b = w->held; b; b = b->next) w->head_lags |= b->has_facts;
    log_batch *held = w->held;
    w->held = NULL;
    w->held_bytes = 0;
    w->let_go = 0;
    answer_group(w, held, before, error);
    if (rc != 0) return;
    os_kill_point("log_after_answer");
    if (durable && w->head_lags) {
        w->head_lags = false;
        (void)chain_head_write(w->dirfd, &w->link, error);
        db_trim(w->d, REST_BYTES); /* the end of a run: an engine that stays may be idle for long */
    }
    watch_wal(w);
}

static void writer_main(void *ctx)
{
    log_writer *w = ctx;
    os_mutex_lock(w->mutex);
    for (;;) {
        while (!w->first && !w->is_closing) os_cond_wait(w->changed, w->mutex);
        if (!w->first) break;
        log_batch *group = take_group(w);
        weir_error error = w->error;
        w->is_working = true;
        os_mutex_unlock(w->mutex);
        process(w, group, &error);
        os_mutex_lock(w->mutex);
        w->error = error;
        w->counts = db_stats(w->d);
        w->is_working = false;
        os_cond_signal(w->changed);
    }
    os_mutex_unlock(w->mutex);
}

/* Most engines end before they ever need it: opened at the first checkpoint. A failed one is made good by the next. */
static void keep(log_writer *w)
{
    if (!w->keeper_db && db_open(&w->keeper_db, db_path(w->d), DB_MAINTAIN, NULL, NULL) != 0) return;
    (void)db_checkpoint(w->keeper_db, false, NULL);
}

static void keeper_main(void *ctx)
{
    log_writer *w = ctx;
    os_mutex_lock(w->mutex);
    while (!w->is_keeper_closing) {
        if (!w->checkpoint_wanted) {
            os_cond_wait(w->for_keeper, w->mutex);
            continue;
        }
        w->checkpoint_wanted = false;
        os_mutex_unlock(w->mutex);
        os_kill_point("log_before_checkpoint");
        keep(w);
        os_kill_point("log_after_checkpoint");
        os_mutex_lock(w->mutex);
    }
    os_mutex_unlock(w->mutex);
}

/* --- opening and closing ----------------------------------------------------------------------------------------- */

/* Does the end of the log fit the end of the chain and the side file? */
static int check_end(log_writer *w, weir_error *err)
{
    int64_t last = 0;
    int rc = db_ask_int(w->d, "SELECT max(seq) FROM event", &last, err);
    if (rc == 0) rc = chain_last(w->d, &w->link, err);
    if (rc == 0 && (uint64_t)last != w->link.last_seq)
        rc = error_set(err, WEIR_CORRUPT, "database %s: the log ends with event %" PRId64 ", its hash chain with %" PRIu64,
                       db_path(w->d), last, w->link.last_seq);
    if (rc == 0) rc = chain_head_check(w->d, w->dirfd, err);
    w->seq_at_open = w->link.last_seq;
    return rc;
}

static int open_database(log_writer *w, const char *path, weir_error *err)
{
    bool stale = false;
    int rc = db_open(&w->d, path, DB_WRITE, &stale, err);
    if (rc == 0) rc = check_end(w, err);
    return rc == 0 && stale ? fold_rebuild(w->d, NULL, err) : rc;
}

static int start_threads(log_writer *w, weir_error *err)
{
    w->mutex = os_mutex_new();
    w->changed = os_cond_new();
    w->for_keeper = os_cond_new();
    if (!w->mutex || !w->changed || !w->for_keeper) return error_nomem(err, "starting the writer");
    int rc = os_thread_start(&w->keeper, keeper_main, w, err);
    if (rc == 0) rc = os_thread_start(&w->writer, writer_main, w, err);
    return rc;
}

int log_writer_open(log_writer **out, const char *file, int weir_dirfd, log_answer answer, void *ctx, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    *out = NULL;
    log_writer *w = mem_zero(1, sizeof *w);
    if (!w) return error_nomem(err, "opening the log");
    w->dirfd = weir_dirfd;
    w->answer = answer;
    w->ctx = ctx;
    arena_init(&w->scratch);
    w->late = fold_late_new();
    if (!w->late) {
        log_writer_close(w);
        return error_nomem(err, "opening the log");
    }
    int rc = open_database(w, file, err);
    if (rc == 0) rc = start_threads(w, err);
    if (rc != 0) {
        log_writer_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

/* The writer first: the last batches may still ask for a checkpoint. */
static void stop_threads(log_writer *w)
{
    if (!w->mutex || !w->changed || !w->for_keeper) return;
    os_mutex_lock(w->mutex);
    w->is_closing = true;
    os_cond_signal(w->changed);
    os_mutex_unlock(w->mutex);
    os_thread_join(w->writer);
    os_mutex_lock(w->mutex);
    w->is_keeper_closing = true;
    os_cond_signal(w->for_keeper);
    os_mutex_unlock(w->mutex);
    os_thread_join(w->keeper);
}

void log_writer_close(log_writer *w)
{
    if (!w) return;
    stop_threads(w);
    /* A short WAL stays: reading it at the next open costs less than the syncs of a checkpoint. */
    if (w->d && w->writer && w->error.code == 0 && db_wal_pages(w->d) > WAL_LEFT) (void)db_checkpoint(w->d, true, NULL);
    os_cond_free(w->changed);
    os_cond_free(w->for_keeper);
    os_mutex_free(w->mutex);
    if (w->held) db_rollback(w->d); /* its end never came */
    answer_group(w, w->held, w->link.last_seq, &(weir_error){.code = WEIR_IO, .message = "the log was closed in the middle of a transaction"});
    db_close(w->keeper_db);
    db_close(w->d);
    arena_deinit(&w->scratch);
    fold_late_free(w->late);
    mem_free(w);
}

void log_submit(log_writer *w, log_batch *take)
{
    take->next = NULL;
    os_mutex_lock(w->mutex);
    while (w->waiting_bytes > QUEUE_BYTES) os_cond_wait(w->changed, w->mutex);
    w->waiting_bytes += take->events.size;
    if (w->last) w->last->next = take;
    else w->first = take;
    w->last = take;
    os_cond_signal(w->changed);
    os_mutex_unlock(w->mutex);
}

int log_wait(log_writer *w, weir_error *err)
{
    os_mutex_lock(w->mutex);
    while (w->first || w->is_working) os_cond_wait(w->changed, w->mutex);
    weir_error error = w->error;
    os_mutex_unlock(w->mutex);
    if (err) *err = error;
    return error.code;
}

uint64_t log_last_seq(const log_writer *w)
{
    return w->seq_at_open;
}

db_counts log_counts(log_writer *w)
{
    os_mutex_lock(w->mutex);
    db_counts counts = w->counts;
    os_mutex_unlock(w->mutex);
    return counts;
}
