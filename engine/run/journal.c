/*
 * journal.c - numbering and group commit.
 *
 * One batch is being filled; at most one is with the writer, and those before it that belong to the same transaction: what one
 * callback of the loop says is one transaction, but the writer need not wait for its end. Waiters hold the number they wait for; the writer's answers arrive
 * under a mutex and wake the loop by an async handle, whose callback calls the waiters in order.
 */
#include "engine/run/journal.h"

#include "engine/base/os.h"

enum {
    STREAM_BYTES = 64 * 1024, /* of events, that the writer may begin with */
    HOLD_MS = 5               /* a transaction that nobody waits for is kept open so long, for what else comes */
};

typedef struct waiter {
    uint64_t seq;
    void (*then)(void *ctx);
    void *ctx;
    struct waiter *next;
} waiter;

struct journal {
    log_writer *writer;
    log_batch *filling;
    uint64_t last;      /* last number handed out */
    uint64_t submitted; /* last number given to the writer */
    uint64_t run;
    bool dry;
    bool is_open;       /* the last batch given to the writer said that more follows */
    size_t in_flight;   /* batches with the writer */
    uint64_t events;
    waiter *first, **tail;
    uv_async_t wake;
    uv_prepare_t tick;
    uv_timer_t hold; /* active: the batch being filled waits for its end */
    int64_t held_ns; /* since when; 0: it does not */
    int open_handles;
    void (*told)(void *ctx, uint64_t seq); /* NULL: nobody wants to know */
    void *told_ctx;
    uint64_t last_told;

    os_mutex *mutex;    /* guards the fields below, shared with the writer thread */
    uint64_t committed;
    size_t answers;
    weir_error failure;
};

static void answer(void *ctx, void *cookie, uint64_t last_seq, const weir_error *result)
{
    journal *j = ctx;
    (void)cookie;
    os_mutex_lock(j->mutex);
    if (result && result->code != 0) {
        if (j->failure.code == 0) j->failure = *result;
    } else if (last_seq > j->committed) {
        j->committed = last_seq;
    }
    j->answers++;
    os_mutex_unlock(j->mutex);
    uv_async_send(&j->wake);
}

static void call_waiters(journal *j)
{
    os_mutex_lock(j->mutex);
    uint64_t committed = j->committed;
    j->in_flight -= j->answers;
    j->answers = 0;
    bool failed = j->failure.code != 0;
    os_mutex_unlock(j->mutex);
    while (j->first && (j->first->seq <= committed || failed)) {
        waiter *w = j->first;
        j->first = w->next;
        if (!j->first) j->tail = &j->first;
        w->then(w->ctx);
        mem_free(w);
    }
    if (j->told && committed > j->last_told) {
        j->last_told = committed;
        j->told(j->told_ctx, committed);
    }
}

static void on_hold_end(uv_timer_t *timer)
{
    (void)timer; /* the next tick comes before the loop sleeps, and looks at the clock */
}

/* What somebody waits for, or has begun to be written, goes at once; else a little later, with what is said meanwhile. */
static bool may_hold(journal *j)
{
    if (j->is_open || j->first || !j->filling || j->filling->durable || batch_is_empty(j->filling)) return false;
    int64_t now_ns = os_monotonic_ns();
    if (j->held_ns == 0) j->held_ns = now_ns;
    if (now_ns - j->held_ns >= HOLD_MS * INT64_C(1000000)) return false;
    if (!uv_is_active((uv_handle_t *)&j->hold)) {
        uv_update_time(j->hold.loop);
        uv_timer_start(&j->hold, on_hold_end, HOLD_MS, 0);
    }
    return true;
}

static void flush_when_due(journal *j)
{
    if ((j->in_flight == 0 || j->is_open) && !may_hold(j)) journal_flush(j, false);
}

static void on_wake(uv_async_t *handle)
{
    journal *j = handle->data;
    call_waiters(j);
    flush_when_due(j);
}

static void on_tick(uv_prepare_t *handle)
{
    flush_when_due(handle->data);
}

static void on_closed(uv_handle_t *handle)
{
    journal *j = handle->data;
    if (--j->open_handles == 0) {
        os_mutex_free(j->mutex);
        mem_free(j);
    }
}

static journal *journal_new(uv_loop_t *loop, weir_error *err)
{
    journal *j = mem_zero(1, sizeof *j);
    if (!j) {
        error_nomem(err, "opening the log");
        return NULL;
    }
    j->tail = &j->first;
    j->mutex = os_mutex_new();
    uv_async_init(loop, &j->wake, on_wake);
    uv_prepare_init(loop, &j->tick);
    uv_prepare_start(&j->tick, on_tick);
    uv_timer_init(loop, &j->hold);
    j->wake.data = j->tick.data = j->hold.data = j;
    uv_unref((uv_handle_t *)&j->tick);
    j->open_handles = 3;
    return j;
}

int journal_open_silent(journal **out, uv_loop_t *loop, weir_error *err)
{
    *out = journal_new(loop, err);
    if (!*out) return WEIR_NOMEM;
    (*out)->dry = true;
    (*out)->last = INT64_MAX / 2; /* above everything that is recorded */
    return 0;
}

int journal_open(journal **out, uv_loop_t *loop, const char *db_path, int weir_dirfd, weir_error *err)
{
    *out = NULL;
    journal *j = journal_new(loop, err);
    if (!j) return WEIR_NOMEM;
    int rc = log_writer_open(&j->writer, db_path, weir_dirfd, answer, j, err);
    if (rc != 0) {
        uv_close((uv_handle_t *)&j->wake, on_closed);
        uv_close((uv_handle_t *)&j->tick, on_closed);
        uv_close((uv_handle_t *)&j->hold, on_closed);
        return rc;
    }
    j->last = j->submitted = j->committed = log_last_seq(j->writer);
    *out = j;
    return 0;
}

void journal_close(journal *j)
{
    if (!j) return;
    journal_sync(j, false, NULL);
    if (j->writer) log_writer_close(j->writer);
    call_waiters(j);
    batch_free(j->filling);
    j->filling = NULL;
    uv_close((uv_handle_t *)&j->wake, on_closed);
    uv_close((uv_handle_t *)&j->tick, on_closed);
    uv_close((uv_handle_t *)&j->hold, on_closed);
}

void journal_tell(journal *j, void (*told)(void *ctx, uint64_t seq), void *ctx)
{
    j->told = told;
    j->told_ctx = ctx;
    j->last_told = 0;
    uv_async_send(&j->wake);
}

void journal_set_run(journal *j, uint64_t run, bool dry)
{
    j->run = run;
    j->dry = dry || !j->writer;
}

uint64_t journal_run(const journal *j)
{
    return j->run;
}

static log_batch *filling(journal *j)
{
    if (!j->filling) {
        j->filling = batch_new();
        if (!j->filling) {
            os_mutex_lock(j->mutex);
            if (j->failure.code == 0) error_nomem(&j->failure, "recording an event");
            os_mutex_unlock(j->mutex);
        }
    }
    return j->filling;
}

static void submit(journal *j, bool more)
{
    log_batch *b = j->filling;
    j->filling = NULL;
    j->held_ns = 0;
    uv_timer_stop(&j->hold);
    j->is_open = b->more = more;
    j->submitted = j->last;
    j->in_flight++;
    log_submit(j->writer, b);
}

uint64_t journal_say(journal *j, event_kind kind, buf *body)
{
    if (j->dry) {
        buf_clear(body);
        return j->last; /* nothing is recorded, so nothing is numbered */
    }
    log_batch *b = filling(j);
    uint64_t seq = ++j->last;
    j->events++;
    if (b) batch_event(b, seq, j->run, os_wall_us(), kind, buf_bytes(body));
    if (b && b->events.size >= STREAM_BYTES) submit(j, true);
    buf_clear(body);
    return seq;
}

void journal_payload(journal *j, blob_row *take_row)
{
    log_batch *b = j->dry ? NULL : filling(j);
    if (b) {
        batch_payload(b, take_row);
    } else {
        mem_free(take_row->stored);
    }
    take_row->stored = NULL;
}

void journal_folder(journal *j, const cache_folder *folder)
{
    log_batch *b = j->dry ? NULL : filling(j);
    if (b) batch_folder(b, folder);
}

void journal_glob(journal *j, uint64_t item, bytes entries)
{
    log_batch *b = j->dry ? NULL : filling(j);
    if (b) batch_glob(b, item, entries);
}

void journal_use(journal *j, uint64_t execution, uint64_t seq)
{
    log_batch *b = j->dry ? NULL : filling(j);
    if (b) batch_use(b, execution, seq);
}

uint64_t journal_last(const journal *j)
{
    return j->last;
}

void journal_flush(journal *j, bool durable)
{
    if (j->is_open ? !filling(j) : !j->filling || (batch_is_empty(j->filling) && !durable)) return;
    j->filling->durable |= durable;
    submit(j, false);
}

void journal_want_durable(journal *j)
{
    log_batch *b = j->dry ? NULL : filling(j);
    if (b) b->durable = true;
}

void journal_when_committed(journal *j, void (*then)(void *ctx), void *ctx)
{
    waiter *w = mem_zero(1, sizeof *w);
    if (!w || j->dry) {
        mem_free(w);
        if (!j->dry) journal_sync(j, false, NULL); /* no memory to wait with: wait here */
        then(ctx);
        return;
    }
    *w = (waiter){.seq = j->last, .then = then, .ctx = ctx};
    *j->tail = w;
    j->tail = &w->next;
    uv_async_send(&j->wake); /* nothing may be on its way */
}

int journal_sync(journal *j, bool durable, weir_error *err)
{
    if (!j->writer) return 0;
    if (durable) filling(j);
    journal_flush(j, durable);
    int rc = log_wait(j->writer, err);
    if (rc == 0) rc = journal_failed(j, err);
    return rc;
}

int journal_failed(const journal *j, weir_error *err)
{
    os_mutex_lock(j->mutex);
    weir_error failure = j->failure;
    os_mutex_unlock(j->mutex);
    if (failure.code != 0 && err) *err = failure;
    return failure.code;
}

db_counts journal_counts(journal *j)
{
    return j->writer ? log_counts(j->writer) : (db_counts){0};
}

uint64_t journal_events(const journal *j)
{
    return j->events;
}
