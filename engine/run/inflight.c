/*
 * inflight.c - something that a running node uses changes: inflight = "queue", "restart", "ignore".
 *
 *     queue    it goes on; its result is not one of the new content (raced), and it is due again in the next turn
 *     restart  the attempt is ended at once, its outputs go, and another one begins
 *     ignore   it goes on; if its result is raced it stays due, but that alone starts nothing: the next change of an input does
 *
 * Only in a watch is a change noticed while a node runs. As everywhere events only say where to look: a file whose content is what it was
 * restarts nothing. What was looked at here is looked at once more by the run that follows, so nothing is lost.
 *
 * F1  A policy is in no key and in no trace. An attempt that was superseded is recorded as one that was interrupted, with the cause.
 * F2  Only an attempt that has begun is ended: one that has not will see the new content.
 *
 * Loop thread only.
 */
#include "engine/run/observe_internal.h"
#include "engine/run/watching.h"
#include "generated/schema.h"

static const char doing[] = "looking at what changed";

static bool is_restartable(const task *t)
{
    return (t->node->spec.flags & SPEC_RESTART) && t->state == TASK_RUNNING && t->started_ns != 0 && !t->superseded && !t->stopping;
}

static int items_of(const task *t, uint64_t **items, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    db_stmt *q = db_get(catalog_db(t->w->catalog), SQL_NODE_SOURCE_ITEMS, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (!MEM_GROW(*items, capacity, *count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        (*items)[(*count)++] = (uint64_t)db_int(q, 0);
    }
    db_reset(q);
    return rc;
}

static bool is_suspicious(const suspects *news, const cat_item *item)
{
    if (item->node != 0) return false; /* what weir makes itself is the planner's */
    if (observe_is_tree(item->kind)) return suspects_touch(news, item->name, item->kind == ITEM_FOLDER);
    return item->kind == ITEM_FILE && (map_get(&news->paths, item->name) || suspects_cover(news, item->name));
}

/* Is it another one now? A file that is there no more may be on its way back: the attempt goes on. */
static int has_moved(weir *w, cat_item *item, bool *moved, weir_error *err)
{
    hash128 believed = item->hash;
    if (item->kind == ITEM_FILE) {
        scan_request r = {.path = item->name};
        scan_one(&w->scan, &r);
        if (r.code != 0 || r.type != OS_FILE || hash_equal(r.hash, believed)) return 0;
        sigcache_drop(w->sigs, item->name); /* it may be another content under the same signature */
    }
    int rc = observe_one(w, item, err);
    *moved = rc == 0 && !hash_is_none(believed) && !hash_equal(item->hash, believed);
    return rc;
}

typedef struct look {
    const suspects *news;
    map moved; /* ids of items that were found to be others in this look */
} look;

/* The first item that it uses and that is another one now; NULL: none. */
static int find_moved(task *t, look *l, const cat_item **found, weir_error *err)
{
    weir *w = t->w;
    uint64_t *items = NULL;
    size_t count = 0;
    int rc = items_of(t, &items, &count, err);
    for (size_t i = 0; rc == 0 && !*found && i < count; i++) {
        bool moved = false;
        uint64_t id = items[i];
        cat_item *item = catalog_item(w->catalog, id, err);
        if (!item) rc = err->code;
        if (!item || !is_suspicious(l->news, item)) continue;
        if (!map_get(&l->moved, map_key_u64(&id))) {
            rc = has_moved(w, item, &moved, err);
            if (rc != 0 || !moved) continue;
            if (!map_put(&l->moved, map_key_u64(&id), NULL)) rc = error_nomem(err, doing);
        }
        *found = item;
    }
    mem_free(items);
    return rc;
}

static void supersede(task *t, const cat_item *by)
{
    t->superseded = arena_printf(&t->arena, "superseded: %s changed while it ran", (const char *)by->name.data);
    if (!t->superseded) t->superseded = "superseded";
    if (t->process) process_stop(t->process, PROCESS_GRACE_MS);
    else jobs_supersede(t);
}

void inflight_look(weir *w)
{
    weir_error err = {0};
    int rc = 0;
    bool any = false;
    look l = {0};
    map_init(&l.moved);
    for (task *t = w->tasks; t && !any; t = t->next) any = is_restartable(t);
    l.news = any && !schedule_stopping(w) ? watching_news(w) : NULL;
    for (task *t = l.news ? w->tasks : NULL; t && rc == 0; t = t->next) {
        const cat_item *by = NULL;
        if (!is_restartable(t)) continue;
        rc = find_moved(t, &l, &by, &err);
        if (by) supersede(t, by);
    }
    map_deinit(&l.moved);
    if (rc != 0) schedule_fail(w, &err);
}
