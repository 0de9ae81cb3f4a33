/*
 * observe_suspects.c - the start of a run of a watch: only what may have changed is looked at.
 *
 *     suspects --those with a signature--> stat, or read again --> as at the start of any run (observe.c)
 *        |
 *        +-- names that came or went, folders --> which globs, trees and folders are to be looked at
 *
 * S1  The signatures in memory are as of the last event of their folder. What no event named is not looked at.
 * S2  A path that was written to is read even if its signature is the same: a store through mmap, two writes in one tick.
 * S3  An output that is not what its node made is looked at in every run, until it is (O1 of observe.c).
 *
 * Loop thread only; hashing runs in threads of the moment.
 */
#include "engine/run/observe_internal.h"

static const char doing[] = "looking at what changed";

typedef struct looks {
    scan_request *requests;
    size_t count, capacity;
    mem_arena arena; /* paths */
} looks;

static int add(looks *l, bytes path, const scan_entry *entry, bool is_distrusted, weir_error *err)
{
    bytes copy = arena_bytes(&l->arena, path);
    if (!copy.data || !MEM_GROW(l->requests, l->capacity, l->count + 1)) return error_nomem(err, doing);
    l->requests[l->count++] = (scan_request){.item = entry->item, .path = copy, .known = true, .known_sig = entry->sig,
                                             .known_hash = entry->hash, .known_racy = entry->racy || is_distrusted};
    return 0;
}

/* One that nobody has a signature of: a file that is new, or one that nobody reads, or a folder. */
static unsigned look_at_stranger(weir *w, bytes path)
{
    os_stat st = {0};
    if (os_statat(w->rootfd, (const char *)path.data, false, &st, NULL) != 0) return SUSPECT_DEEP;
    return st.type == OS_DIR || st.type == OS_LINK ? SUSPECT_DEEP : 0;
}

/* Outputs that are folders, with the path in them or just there: each is looked at once. */
static int gather_made(weir *w, looks *l, map *seen, bytes path, uint64_t has, weir_error *err)
{
    buf folder;
    int rc = 0;
    buf_init(&folder);
    for (size_t i = 1; rc == 0 && i <= path.size; i++) {
        bool added = false;
        if (i < path.size && path.data[i] != '/') continue;
        buf_clear(&folder);
        buf_append(&folder, path.data, i);
        buf_byte(&folder, '/');
        const scan_entry *entry = folder.failed ? NULL : sigcache_get(w->sigs, buf_bytes(&folder));
        if (folder.failed) rc = error_nomem(err, doing);
        if (!entry) continue;
        uint64_t *slot = map_put(seen, buf_bytes(&folder), &added);
        if (!slot) rc = error_nomem(err, doing);
        else if (added) *slot = l->count + 1;
        if (rc == 0 && added) rc = add(l, buf_bytes(&folder), entry, has & SUSPECT_WRITTEN, err);
        else if (rc == 0 && (has & SUSPECT_WRITTEN)) l->requests[*slot - 1].known_racy = true;
    }
    buf_deinit(&folder);
    return rc;
}

static int gather_all_made(weir *w, looks *l, weir_error *err)
{
    const map *from[] = {&w->suspects->paths, &w->suspects->folders};
    map seen;
    int rc = 0;
    map_init(&seen);
    for (size_t k = 0; k < 2; k++) {
        size_t at = 0;
        bytes path;
        uint64_t has;
        while (rc == 0 && map_next(from[k], &at, &path, &has)) rc = gather_made(w, l, &seen, path, has, err);
    }
    map_deinit(&seen);
    return rc;
}

static int gather_paths(weir *w, looks *l, weir_error *err)
{
    size_t at = 0;
    bytes path;
    uint64_t has;
    int rc = 0;
    while (rc == 0 && map_next(&w->suspects->paths, &at, &path, &has)) {
        const scan_entry *entry = sigcache_get(w->sigs, path);
        if (entry) {
            rc = add(l, path, entry, has & SUSPECT_WRITTEN, err);
            continue;
        }
        if (!(has & SUSPECT_LISTING) || (has & SUSPECT_DEEP)) continue;
        bytes copy = arena_bytes(&l->arena, path);
        if (!copy.data) return error_nomem(err, doing);
        uint64_t *flags = map_get(&w->suspects->paths, path);
        *flags |= look_at_stranger(w, copy) | SUSPECT_MOVED;
    }
    return rc;
}

static bool any_deep(const suspects *s)
{
    size_t at = 0;
    uint64_t has;
    if (s->folders.count > 0) return true;
    while (map_next(&s->paths, &at, NULL, &has))
        if (has & SUSPECT_DEEP) return true;
    return false;
}

typedef struct gathering {
    weir *w;
    looks *l;
    weir_error *err;
    int rc;
    bool is_written; /* something in the folder at hand was */
} gathering;

static void gather_entry(void *ctx, bytes path, const scan_entry *entry)
{
    gathering *g = ctx;
    if (g->rc != 0 || map_get(&g->w->suspects->paths, path)) return;
    bool may_be_written = g->is_written && entry->sig.mtime_ns >= g->w->scan_recent_ns;
    g->rc = add(g->l, path, entry, may_be_written, g->err);
}

static bool is_in_question(void *ctx, bytes folder)
{
    gathering *g = ctx;
    unsigned flags = suspects_cover(g->w->suspects, folder);
    g->is_written = flags & SUSPECT_WRITTEN;
    return flags != 0;
}

static int gather_differing(weir *w, looks *l, weir_error *err)
{
    size_t at = 0;
    bytes path;
    int rc = 0;
    while (rc == 0 && map_next(&w->differing, &at, &path, NULL)) {
        const scan_entry *entry = sigcache_get(w->sigs, path);
        if (entry && !map_get(&w->suspects->paths, path) && !suspects_cover(w->suspects, path)) rc = add(l, path, entry, true, err);
    }
    return rc;
}

/* Did the file come or go since the signature that is known of it? */
static void note_names(weir *w, const looks *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const scan_request *r = &l->requests[i];
        uint64_t *flags = map_get(&w->suspects->paths, r->path);
        if (!flags || !(*flags & SUSPECT_LISTING)) continue;
        bool was_there = !hash_equal(r->known_hash, HASH_ABSENT), is_there = r->code != 0 || r->type == OS_FILE;
        bool was_file = (r->known_sig.mode & S_IFMT) == S_IFREG;
        if (was_there != is_there || (was_there && !was_file)) *flags |= SUSPECT_MOVED;
    }
}

int observe_suspects(weir *w, weir_error *err)
{
    looks l = {0};
    gathering g = {w, &l, err, 0, false};
    arena_init(&l.arena);
    int rc = gather_paths(w, &l, err);
    if (rc == 0) rc = gather_all_made(w, &l, err);
    if (rc == 0 && any_deep(w->suspects)) {
        rc = sigcache_each_entry(w->sigs, is_in_question, gather_entry, &g, err);
        if (rc == 0) rc = g.rc;
    }
    if (rc == 0) rc = gather_differing(w, &l, err);
    if (rc == 0) rc = scan_wait(NULL, &w->scan, l.requests, l.count, err);
    if (rc == 0) note_names(w, &l);
    for (size_t i = 0; rc == 0 && i < l.count; i++) rc = observe_take_suspect(w, &l.requests[i], err);
    mem_free(l.requests);
    arena_deinit(&l.arena);
    return rc;
}
