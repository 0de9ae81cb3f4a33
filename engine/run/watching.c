/*
 * watching.c - a series of runs: one, then another whenever something that was relied on may have changed.
 *
 *     run -> cover: every folder with a signature or a glob is watched --new ones--> run again, quietly
 *      ^                          | none new
 *      +-- quiet run <-- ripe <-- wait --a question, and its barrier was seen--> the run that it asks for
 *
 * Events make paths suspicious, hashes decide: a quiet run looks at what was noted (suspects.h), against signatures that stay in
 * memory, and if that makes nothing due it leaves no trace in the log. So own outputs, a touch, and a change that was taken back start
 * nothing. The first run looks at everything, and so does one after the kernel has dropped events.
 *
 * N1  A folder is watched before the look that counts: one that is new to the watch is looked at once more.
 * N2  What comes while a run is under way stays noted and is looked at after it.
 * N3  What failed, and what always runs, is no reason for a run by itself.
 * N4  A question is answered by a run that began after its barrier.
 * N5  What a person cancelled is not begun again by itself, but with the next change or question.
 *
 * Loop thread only.
 */
#include "engine/run/watching_internal.h"

#include "engine/world/scan.h"

enum { SIGNATURES_SPARE = 1024 * 1024 };
#define DEFER_NS (30 * INT64_C(1000000000))
#define RECENT_NS (60 * INT64_C(1000000000)) /* a page that was written to may stay so without a new stamp about that long */

static void on_ripe(void *ctx)
{
    struct watching *x = ctx;
    x->ripe = true;
}

static bool is_end(int rc)
{
    return rc != 0 && rc != WEIR_FAILED && rc != WEIR_WORKFLOW && rc != WEIR_USAGE;
}

static bool is_relied_on(void *ctx, const char *folder, const char *name)
{
    const struct watching *x = ctx;
    buf path;
    buf_init(&path);
    bool has_slash = !folder[0] || strcmp(folder, "/") == 0;
    buf_printf(&path, "%s%s%s", folder, has_slash ? "" : "/", name);
    const scan_entry *entry = buf_cstr(&path) ? sigcache_get(x->sigs, buf_bytes(&path)) : NULL;
    bool is = entry && !hash_equal(entry->hash, HASH_ABSENT);
    buf_deinit(&path);
    return is;
}

void watching_wake(weir *w)
{
    if (!w->watching) return;
    w->watching->again = true;
    w->is_held = false;
}

/* --- signatures ---------------------------------------------------------------------------------------------------- */

bool watching_defers(weir *w)
{
    struct watching *x = w->watching;
    int64_t now = os_monotonic_ns();
    if (!x || !x->has_looked || x->is_flushing || atomic_load(&w->interrupts) > 0) return false;
    if (x->deferred_ns == 0) x->deferred_ns = now;
    if (now - x->deferred_ns < DEFER_NS) return true;
    x->deferred_ns = 0;
    return false;
}

/* The table is to hold what memory holds. */
static int flush_signatures(weir *w, weir_error *err)
{
    struct watching *x = w->watching;
    x->is_flushing = true;
    int rc = observe_write(w, true, err);
    x->is_flushing = false;
    x->deferred_ns = 0;
    return rc == 0 ? catalog_refresh(w->catalog, err) : rc;
}

bool watching_keeps(const weir *w, int rc)
{
    return w->watching && !is_end(rc);
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

static void note_change(suspects *to, const watch_change *change)
{
    if (change->whole) suspects_add_folder(to, change->folder, SUSPECT_WRITTEN);
    for (size_t i = 0; i < change->count; i++) {
        const watch_name *n = &change->names[i];
        suspects_add(to, change->folder, n->name,
                     (n->written ? SUSPECT_WRITTEN : 0u) | (n->listing ? SUSPECT_LISTING : 0u) | (n->folder ? SUSPECT_DEEP : 0u));
    }
}

static int take_change(void *ctx, const watch_change *change)
{
    struct watching *x = ctx;
    note_change(&x->noted, change);
    watching_links_note(&x->links, change, &x->noted);
    if (x->is_running) note_change(&x->news, change);
    if (x->is_running) watching_links_note(&x->links, change, &x->news);
    return 0;
}

const suspects *watching_news(weir *w)
{
    struct watching *x = w->watching;
    bool all = false;
    if (!x->ripe) return NULL;
    x->ripe = false;
    suspects_clear(&x->news);
    int rc = watch_take(x->watch, false, &all, take_change, x, &x->failure);
    x->noted.all |= all || rc != 0;
    x->news.all |= all || rc != 0;
    x->again = true; /* the run that follows looks at them too */
    return &x->news;
}

/* What folders were found to be new to the watch is among the suspects already. */
static int take_notes(struct watching *x, bool is_asked, weir_error *err)
{
    bool all = false;
    watch_read(x->watch);
    x->ripe = x->again = false;
    int rc = watch_take(x->watch, is_asked, &all, take_change, x, err);
    x->noted.all |= all;
    return rc;
}

/* --- questions ----------------------------------------------------------------------------------------------------- */

bool watching_is_on(const weir *w)
{
    return w->watching != NULL;
}

int watching_barrier(weir *w, void (*seen)(void *ctx), void *ctx, weir_error *err)
{
    return watch_barrier(w->watching->watch, seen, ctx, err);
}

bool watching_is_paused(const weir *w)
{
    return w->watching->is_paused;
}

bool watching_is_suspicious(const weir *w)
{
    const struct watching *x = w->watching;
    return x->is_running || x->again || x->ripe || suspects_are_any(&x->noted) || watch_is_ripe(x->watch);
}

static void on_seen(void *ctx)
{
    struct ticket *t = ctx;
    t->is_seen = true;
}

int watching_ask(weir *w, watching_question *question, weir_error *err)
{
    struct watching *x = w->watching;
    struct ticket *t = mem_zero(1, sizeof *t);
    if (!t) return error_nomem(err, "asking the watch");
    *t = (struct ticket){.w = w, .question = question};
    int rc = watch_barrier(x->watch, on_seen, t, err);
    if (rc != 0) {
        mem_free(t);
        return rc;
    }
    if (x->last) x->last->next = t;
    else x->first = t;
    x->last = t;
    return 0;
}

void watching_withdraw(weir *w, watching_question *question)
{
    for (struct ticket *t = w->watching->first; t; t = t->next)
        if (t->question == question) t->question = NULL;
}

/* The first one leaves, answered if somebody still wants to know. */
static void answer_first(struct watching *x, const weir_summary *summary, int rc, const weir_error *err)
{
    struct ticket *t = x->first;
    x->first = t->next;
    if (!x->first) x->last = NULL;
    if (t->question) t->question->answered(t->question->ctx, summary, rc, err);
    mem_free(t);
}

static void drop_withdrawn(struct watching *x)
{
    while (x->first && x->first->is_seen && !x->first->question) answer_first(x, NULL, 0, NULL);
}

static bool is_asked(const struct watching *x)
{
    return x->first && x->first->is_seen;
}

void watching_stop(weir *w)
{
    struct watching *x = w->watching;
    if (!x->is_running) return;
    x->stops++;
    weir_interrupt(w);
}

/* The run is over, and with it what was meant for it alone. */
static void forget_stops(weir *w)
{
    struct watching *x = w->watching;
    atomic_fetch_sub(&w->interrupts, x->stops);
    x->stops = 0;
}

void watching_values(weir *w, const weir_assignment *values, size_t count)
{
    w->watching->again_request->values = values;
    w->watching->again_request->value_count = count;
}

void watching_pause(weir *w, bool paused)
{
    w->watching->is_paused = paused;
    uv_async_send(&w->interrupt_wake);
}

uv_loop_t *watching_loop(weir *w)
{
    return &w->loop;
}

void watching_when_recorded(weir *w, void (*recorded)(void *ctx, uint64_t seq), void *ctx)
{
    journal_tell(w->journal, recorded, ctx);
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

static bool wait(weir *w)
{
    struct watching *x = w->watching;
    for (;;) {
        drop_withdrawn(x);
        if (((x->ripe || x->again) && !x->is_paused) || is_asked(x) || atomic_load(&w->interrupts) > 0) break;
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    return atomic_load(&w->interrupts) == 0;
}

static void tell_polling(weir *w)
{
    struct watching *x = w->watching;
    watch_counts counts = watch_stats(x->watch);
    if (counts.polled == 0 || x->limited) return;
    x->limited = true;
    tell_message(w, "%zu of %zu folders send no events (fs.inotify.max_user_watches, or the file system): they are looked at every second",
                 counts.polled, counts.folders);
}

/* --- one after the other ------------------------------------------------------------------------------------------- */

typedef struct series {
    weir *w;
    const weir_request *first;   /* until it has been asked for */
    weir_request again;
    const weir_watcher *watcher;
    bool is_broken;              /* the definition, as of the last run */
} series;

/* What was noted is what this run looks at; what comes from now on is for the next one. */
static void begin_look(weir *w)
{
    struct watching *x = w->watching;
    suspects before = x->looked_at;
    x->looked_at = x->noted;
    x->noted = before;
    suspects_clear(&x->noted);
    w->suspects = x->has_looked ? &x->looked_at : NULL;
    if (x->has_looked && x->looked_at.all) {
        w->scan.distrust_from_ns = w->scan_recent_ns;
        flush_signatures(w, &x->failure); /* all of them are taken from the table, to be looked at */
    }
    if (x->looked_at.all && !x->is_overflow_told && watch_stats(x->watch).overflows > 0) {
        x->is_overflow_told = true;
        tell_message(w, "the kernel lost track of what changed (fs.inotify.max_queued_events); everything is looked at again, and so whenever it does");
    }
}

/* What was unpacked, and what is not needed any more, stays in memory: now and then all is loaded anew, packed. */
static void trim_signatures(weir *w)
{
    struct watching *x = w->watching;
    size_t most = x->has_looked ? 2 * x->loaded_memory + SIGNATURES_SPARE : SIGNATURES_SPARE;
    if (sigcache_memory(w->sigs) > most && flush_signatures(w, &x->failure) == 0) {
        sigcache_clear(w->sigs);
        x->covered = 0;
        if (sigcache_load(w->sigs, catalog_db(w->catalog), &x->failure) == 0) x->loaded_memory = sigcache_memory(w->sigs);
        os_give_back_memory();
    } else if (!x->has_looked) {
        x->loaded_memory = sigcache_memory(w->sigs);
    }
}

static void end_look(weir *w, int end)
{
    struct watching *x = w->watching;
    w->suspects = NULL;
    w->scan.distrust_from_ns = 0;
    if (is_end(end)) return;
    trim_signatures(w);
    x->has_looked = true;
}

static bool came_or_went(const struct watching *x)
{
    size_t at = 0;
    uint64_t has;
    if (x->noted.all || x->noted.folders.count > 0) return true;
    while (map_next(&x->noted.paths, &at, NULL, &has))
        if (has & SUSPECT_LISTING) return true;
    return false;
}

/* Was the run not about all that was seen before it? Then a look of the watch follows. */
static bool leaves_something(const series *s, const weir_request *request)
{
    const suspects *seen = &s->w->watching->looked_at;
    if (request == &s->again) return false;
    if (s->first || request->flags & WEIR_RUN_ACCEPT) return true;
    return request->target_count > 0 && suspects_are_any(seen);
}

/* Run, and say so if there is something to say. *rc: what ends the watch. */
static void one_run(series *s, int *rc, weir_error *err)
{
    weir *w = s->w;
    struct watching *x = w->watching;
    weir_summary summary = {.size = sizeof summary};
    struct ticket *asked = is_asked(x) ? x->first : NULL;
    const watching_question *question = asked ? asked->question : NULL;
    const weir_request *request = question && question->request ? question->request : s->first ? s->first : &s->again;
    if (question && question->begun) question->begun(question->ctx);
    x->is_running = true;
    begin_look(w);
    int end = weir_run(w, request, &summary, err);
    end_look(w, end);
    x->is_running = false;
    bool is_stopped = end == WEIR_CANCELLED && x->stops > 0;
    if (is_stopped) w->is_held = w->observe_again.count == 0; /* else an edit came meanwhile */
    else if (summary.run != 0) w->is_held = false;
    forget_stops(w);
    bool is_mended = s->is_broken && end == 0;
    s->is_broken = end == WEIR_WORKFLOW || (end == WEIR_USAGE && (request == s->first || request == &s->again));
    bool is_news = s->first || (question && question->request) || end != 0 || summary.run != 0;
    if (is_mended && !is_news) tell(w, &(weir_event){.kind = WEIR_EVENT_PLAN});
    if (request == s->first) s->first = NULL;
    if (is_news && s->watcher->turned) s->watcher->turned(s->watcher->ctx, &summary, end, err);
    if (asked && !is_stopped && leaves_something(s, request)) x->again = true;
    if (asked) answer_first(x, &summary, end, err);
    if (is_end(end) && !(is_stopped && atomic_load(&w->interrupts) == 0)) *rc = end;
    if (*rc == 0 && x->failure.code != 0) *rc = error_set(err, x->failure.code, "%s", x->failure.message);
}

static int runs(series *s, weir_error *err)
{
    struct watching *x = s->w->watching;
    bool is_told = false;
    int rc = 0;
    while (rc == 0) {
        bool asked = is_asked(x);
        rc = take_notes(x, asked, err);
        if (rc == 0 && (asked || !s->is_broken || came_or_went(x) || !watching_is_broken_still(s->w))) one_run(s, &rc, err);
        if (rc == 0) tell_polling(s->w);
        if (rc == 0 && !is_told && s->watcher->waits) s->watcher->waits(s->watcher->ctx, watch_stats(x->watch).folders);
        is_told = true;
        if (rc == 0 && !wait(s->w)) rc = error_set(err, WEIR_CANCELLED, "interrupted");
    }
    return rc;
}

int weir_watch(weir *w, const weir_request *request, const weir_watcher *watcher, weir_error *err)
{
    struct watching x = {0};
    weir_error local = {0};
    series s = {.w = w, .first = request, .again = *request, .watcher = watcher};
    if (!err) err = &local;
    int rc = watch_new(&x.watch, &w->loop, w->root, on_ripe, &x, err);
    if (rc == WEIR_LIMIT) rc = 0;
    if (rc != 0) return rc;
    w->watching = &x;
    x.sigs = w->sigs;
    watch_ask_reliance(x.watch, is_relied_on);
    arena_init(&x.arena);
    watching_links_init(&x.links);
    suspects_init(&x.noted);
    suspects_init(&x.news);
    suspects_init(&x.looked_at);
    w->scan_recent_ns = os_wall_us() * 1000 - RECENT_NS;
    s.again.flags |= WEIR_RUN_IF_DUE;
    s.again.flags &= ~(unsigned)WEIR_RUN_FORCE;
    s.again.trigger = "watch";
    x.again_request = &s.again;
    rc = runs(&s, err);
    if (rc == WEIR_CANCELLED && x.has_looked && sigcache_folder_count(w->sigs) > 0) {
        flush_signatures(w, NULL);
        journal_sync(w->journal, false, NULL);
    }
    weir_summary none = {.size = sizeof none};
    while (x.first) answer_first(&x, &none, WEIR_CANCELLED, &(weir_error){.code = WEIR_CANCELLED, .message = "the watch has ended"});
    atomic_store(&w->interrupts, 0);
    w->is_held = false;
    w->watching = NULL;
    arena_deinit(&x.arena);
    watching_links_deinit(&x.links);
    suspects_deinit(&x.noted);
    suspects_deinit(&x.news);
    suspects_deinit(&x.looked_at);
    map_clear(&w->differing);
    sigcache_clear(w->sigs);
    watch_free(x.watch);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    return rc;
}
