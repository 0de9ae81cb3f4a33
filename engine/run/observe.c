/*
 * observe.c - which files are not what they were.
 *
 *     cache rows -> stat every entry -> those that moved, read again -> a source: observed, its users are due
 *                                                                    -> an output: not what weir wrote: marked, its maker is due
 *
 * All signatures are checked once, at the start of a run; afterwards an entry in the cache means "looked at in this run". Items that
 * changed gather in w->observe_again, from which targets.c takes the users at the start of each turn.
 *
 * O1  An output that differs keeps its entry racy: the next run reads it again and hears of it again, until it is restored.
 * O3  A watch writes large rows now and then only: after a kill those that are missing cost hashing, nothing else.
 * O2  Before anything is put that the table cannot show after a kill, the table's mark of completeness goes (observe_dirty). Without the mark an
 *     entry is believed only where it tells the content that the state tells: a source that was not there, came, and went again has the
 *     signature of before.
 *
 * Loop thread only; hashing runs in threads of the moment (world/pool.c).
 */
#include "engine/run/observe_internal.h"
#include "engine/run/output.h"
#include "engine/run/watching.h"
#include "generated/schema.h"

enum { REQUESTS_AT_ONCE = 4096, ENTRIES_AT_ONCE = 1000 };

static const char doing[] = "looking at files";

void observe_dirty(weir *w)
{
    sigcache_mark(w->sigs, w->journal, false);
}

int observe_write(weir *w, bool complete, weir_error *err)
{
    bool is_large = sigcache_dirty_entries(w->sigs) > ENTRIES_AT_ONCE;
    if (is_large && !sigcache_is_urgent(w->sigs) && watching_defers(w)) return 0;
    int rc = sigcache_is_dirty(w->sigs) ? sigcache_write(w->sigs, w->journal, err) : 0;
    if (rc == 0 && complete) sigcache_mark(w->sigs, w->journal, true);
    return rc;
}

/* --- what was seen ----------------------------------------------------------------------------------------------- */

static int again(weir *w, uint64_t item, weir_error *err)
{
    uint64_t *slot = map_put(&w->observe_again, map_key_u64(&item), NULL);
    if (!slot) return error_nomem(err, doing);
    *slot = (uint64_t)os_monotonic_ns();
    return 0;
}

static int take_output(weir *w, cat_item *item, hash128 hash, weir_error *err)
{
    bool was_never_made = hash_is_none(item->hash) && hash_equal(hash, HASH_ABSENT);
    bool is_dropped = hash_equal(hash, HASH_ABSENT) && output_is_dropped(w, item);
    bool is_link = !hash_equal(hash, HASH_ABSENT) && output_is_link(w, item->name);
    item->disk_differs = !was_never_made && !is_dropped && (is_link || !hash_equal(item->hash, hash));
    if (!item->disk_differs) {
        map_remove(&w->differing, item->name);
        return hash_equal(hash, HASH_ABSENT) ? 0 : output_transient_seen(w, item, err);
    }
    item->disk_hash = is_link ? HASH_NONE : hash;
    if (w->watching && !map_put(&w->differing, item->name, NULL)) return error_nomem(err, doing);
    return again(w, item->id, err);
}

int observe_take(weir *w, cat_item *item, hash128 hash, uint64_t size, uint32_t mode, weir_error *err)
{
    if (item->node != 0) return take_output(w, item, hash, err);
    item->disk_differs = false;
    if (hash_equal(item->hash, hash)) return 0;
    bool was_known = !hash_is_none(item->hash);
    observe_dirty(w);
    catalog_observe(w->catalog, item, hash, size, mode);
    uint64_t id = item->id;
    if (!was_known && !map_put(&w->first_seen, map_key_u64(&id), NULL)) return error_nomem(err, "looking at files");
    return was_known ? again(w, item->id, err) : 0;
}

/* One that cannot be read, or that never holds still, is an answer too: the nodes that read it fail, the others go on. */
static bool is_answered(const scan_request *r)
{
    return r->code == 0 || r->code == WEIR_WORKFLOW || r->code == WEIR_BUSY;
}

static int failed(const scan_request *r, weir_error *err)
{
    return error_set(err, r->code, "%s", r->message);
}

static int take_request(weir *w, cat_item *item, const scan_request *r, weir_error *err)
{
    if (!is_answered(r)) return failed(r, err);
    return observe_take(w, item, r->hash, r->size, r->mode, err);
}

static int put_signature(weir *w, bytes path, const scan_request *r, bool differs, weir_error *err)
{
    if (!sigcache_get(w->sigs, path)) {
        observe_dirty(w);
        watching_new_path(w, path);
    }
    return sigcache_put(w->sigs, path, r->item, &r->sig, r->hash, r->racy || differs, err);
}

/* --- the start of a run ------------------------------------------------------------------------------------------ */

static bool is_same_signature(const scan_sig *a, const scan_sig *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns && a->mode == b->mode;
}

static bool is_as_before(const scan_request *r)
{
    return r->code == 0 && !r->known_racy && hash_equal(r->hash, r->known_hash) && is_same_signature(&r->sig, &r->known_sig);
}

static int is_used(weir *w, uint64_t item, bool *used, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_ITEM_IS_USED, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)item);
    int rc = db_step(q, err);
    *used = rc != 0;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

int observe_take_suspect(weir *w, const scan_request *r, weir_error *err)
{
    bool used = true;
    if (r->code == WEIR_BUSY || is_as_before(r)) return 0;
    if (!is_answered(r)) return failed(r, err);
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item && err->code != 0) return err->code;
    if (!item) {
        sigcache_drop(w->sigs, r->path);
        return 0;
    }
    int rc = observe_take(w, item, r->hash, r->size, r->mode, err);
    if (rc == 0) rc = put_signature(w, item->name, r, item->disk_differs, err);
    if (rc == 0 && !item->disk_differs && hash_equal(r->hash, HASH_ABSENT)) rc = is_used(w, item->id, &used, err);
    if (rc == 0 && !used) sigcache_drop(w->sigs, item->name);
    return rc;
}

/* An entry moved. One that nobody needs any more leaves the cache when its file is gone. */
static int take_moved(weir *w, const scan_request *r, weir_error *err)
{
    bool used = true;
    if (is_as_before(r)) return 0;
    if (!is_answered(r)) return failed(r, err);
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item && err->code != 0) return err->code;
    if (!item) {
        sigcache_drop(w->sigs, r->path);
        return 0;
    }
    int rc = observe_take(w, item, r->hash, r->size, r->mode, err);
    if (rc == 0 && item->disk_differs) return put_signature(w, item->name, r, true, err);
    if (rc == 0 && hash_equal(r->hash, HASH_ABSENT)) rc = is_used(w, item->id, &used, err);
    if (rc == 0 && !used) sigcache_drop(w->sigs, item->name);
    return rc;
}

static int take_folder(weir *w, const scan_folder *folder, weir_error *err)
{
    int rc = sigcache_apply(w->sigs, folder, err);
    for (size_t i = 0; rc == 0 && i < folder->changed_count; i++) rc = take_moved(w, &folder->changed[i], err);
    return rc;
}

/* A damaged row costs rehashing, nothing else: all rows like it go, and what is in use is looked at anew. */
static bool drop_damaged(weir *w, const scan_folder *folders, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (folders[i].code != WEIR_CORRUPT) continue;
        observe_dirty(w);
        journal_folder(w->journal, &(cache_folder){folders[i].folder, {NULL, 0}});
        any = true;
    }
    if (any) sigcache_clear(w->sigs);
    return any;
}

static int check_folders(weir *w, scan_folder *folders, size_t count, bool *damaged, weir_error *err)
{
    int rc = scan_check_folders(NULL, &w->scan, folders, count, err);
    *damaged = rc == 0 && drop_damaged(w, folders, count);
    if (rc != 0 || *damaged) return rc;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (folders[i].code != 0) rc = error_set(err, folders[i].code, "%s", folders[i].message);
        else if (folders[i].entries) rc = take_folder(w, &folders[i], err);
    }
    return rc;
}

/* The cache is checked a part at a time: of a million files only what moved stays in memory. */
static int check_all(weir *w, bool *damaged, weir_error *err)
{
    int64_t row = 0;
    size_t count;
    mem_arena arena;
    int rc;
    arena_init(&arena);
    do {
        scan_folder *folders;
        rc = sigcache_load_part(w->sigs, catalog_db(w->catalog), &row, &arena, &folders, &count, err);
        if (rc == 0) rc = check_folders(w, folders, count, damaged, err);
        for (size_t i = 0; folders && i < count; i++) arena_deinit(&folders[i].arena);
        arena_reset(&arena);
        if (*damaged) break;
    } while (rc == 0 && count > 0);
    arena_deinit(&arena);
    return rc;
}

int observe_start(weir *w, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    if (w->suspects && !w->suspects->all) {
        int looked = observe_suspects(w, err);
        return looked == 0 ? observe_trees(w, false, err) : looked;
    }
    map_clear(&w->differing);
    sigcache_clear(w->sigs); /* what a recovery or a dry run left there was seen before now */
    int rc = sigcache_load_mark(w->sigs, catalog_db(w->catalog), err);
    bool has_gaps = !sigcache_is_complete(w->sigs), damaged = false; /* before what has moved takes the mark away */
    if (rc == 0) rc = check_all(w, &damaged, err);
    if (rc == 0 && (has_gaps || damaged)) rc = observe_complete(w, err);
    return rc == 0 ? observe_trees(w, false, err) : rc;
}

/* --- a cache that may have gaps ---------------------------------------------------------------------------------- */

typedef struct gaps {
    mem_arena arena;
    scan_request *requests; /* known_hash: of the item; known: false */
    bool *outputs;
    size_t count, capacity, outputs_capacity;
} gaps;

static int add_gap(gaps *g, db_stmt *q, bytes name, weir_error *err)
{
    bytes copy = arena_bytes(&g->arena, name);
    if (!copy.data || !MEM_GROW(g->requests, g->capacity, g->count + 1) ||
        !MEM_GROW(g->outputs, g->outputs_capacity, g->count + 1))
        return error_nomem(err, doing);
    g->requests[g->count] = (scan_request){.item = (uint64_t)db_int(q, 0), .path = copy, .known_hash = db_hash(q, 2)};
    g->outputs[g->count++] = !db_is_null(q, 3);
    return 0;
}

static int find_gaps(weir *w, gaps *g, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_FILES_IN_USE, err);
    if (!q) return err->code;
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        bytes name = db_bytes(q, 1);
        const scan_entry *entry = sigcache_get(w->sigs, name);
        bool is_output = !db_is_null(q, 3);
        if (entry && (is_output || hash_equal(entry->hash, db_hash(q, 2)))) continue;
        rc = add_gap(g, q, name, err);
        if (rc != 0) break;
    }
    db_reset(q);
    return rc;
}

/* Most are what the state says: those are not loaded. */
static int take_gap(weir *w, const scan_request *r, bool is_output, weir_error *err)
{
    if (!is_answered(r)) return failed(r, err);
    bool is_link = is_output && output_is_link(w, r->path);
    if (hash_equal(r->hash, r->known_hash) && !is_link) return put_signature(w, r->path, r, false, err);
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item) return err->code;
    int rc = observe_take(w, item, r->hash, r->size, r->mode, err);
    return rc == 0 ? put_signature(w, item->name, r, item->disk_differs, err) : rc;
}

/* A source that nobody has looked at yet stays so: the node that reads it will ask. */
static size_t skip_unseen(gaps *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (!g->outputs[i] && hash_is_none(g->requests[i].known_hash)) continue;
        g->outputs[kept] = g->outputs[i];
        g->requests[kept++] = g->requests[i];
    }
    return kept;
}

int observe_complete(weir *w, weir_error *err)
{
    weir_error local = {0};
    gaps g = {0};
    if (!err) err = &local;
    arena_init(&g.arena);
    int rc = catalog_refresh(w->catalog, err);
    if (rc == 0) rc = find_gaps(w, &g, err);
    size_t count = skip_unseen(&g);
    for (size_t from = 0; rc == 0 && from < count; from += REQUESTS_AT_ONCE) {
        rc = schedule_interrupted(w, err);
        if (rc != 0) break;
        size_t some = count - from < REQUESTS_AT_ONCE ? count - from : REQUESTS_AT_ONCE;
        rc = scan_wait(NULL, &w->scan, g.requests + from, some, err);
        for (size_t i = from; rc == 0 && i < from + some; i++) rc = take_gap(w, &g.requests[i], g.outputs[i], err);
    }
    mem_free(g.requests);
    mem_free(g.outputs);
    arena_deinit(&g.arena);
    return rc;
}

/* --- while it runs ----------------------------------------------------------------------------------------------- */

bool observe_known(weir *w, const cat_item *item)
{
    if (item->kind != ITEM_FILE) return !hash_is_none(item->hash);
    if (item->node == 0 && (item->disk_differs || hash_is_none(item->hash))) return false; /* was an output when it was looked at */
    const scan_entry *entry = sigcache_get(w->sigs, item->name);
    return entry && (item->node != 0 || hash_equal(entry->hash, item->hash)); /* else O2 */
}

scan_request observe_request(weir *w, const cat_item *item)
{
    scan_request r = {.item = item->id, .path = item->name};
    const scan_entry *entry = sigcache_get(w->sigs, item->name);
    if (!entry) return r;
    r.known = true;
    r.known_sig = entry->sig;
    r.known_hash = entry->hash;
    r.known_racy = entry->racy;
    return r;
}

int observe_file(weir *w, cat_item *item, weir_error *err)
{
    scan_request r = observe_request(w, item);
    scan_one(&w->scan, &r);
    int rc = take_request(w, item, &r, err);
    return rc == 0 ? put_signature(w, item->name, &r, item->disk_differs, err) : rc;
}

int observe_one(weir *w, cat_item *item, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    return item->kind == ITEM_FILE ? observe_file(w, item, err) : observe_other(w, item, err);
}

static int look_at_all(weir *w, scan_request *requests, size_t count, weir_error *err)
{
    int rc = scan_wait(NULL, &w->scan, requests, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cat_item *item = catalog_item(w->catalog, requests[i].item, err);
        rc = item ? take_request(w, item, &requests[i], err) : err->code;
        if (rc == 0 && item) rc = put_signature(w, item->name, &requests[i], item->disk_differs, err);
    }
    return rc;
}

int observe_items(weir *w, const uint64_t *items, size_t count, weir_error *err)
{
    weir_error local = {0};
    size_t wanted = 0;
    int rc = 0;
    if (!err) err = &local;
    scan_request *requests = mem_zero(count ? count : 1, sizeof *requests);
    if (!requests) return error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cat_item *item = catalog_item(w->catalog, items[i], err);
        rc = err->code;
        if (rc != 0 || !item || observe_known(w, item)) continue;
        if (item->kind == ITEM_FILE) requests[wanted++] = observe_request(w, item);
        else rc = observe_other(w, item, err);
    }
    if (rc == 0 && wanted > 0) rc = look_at_all(w, requests, wanted, err);
    mem_free(requests);
    return rc;
}
