/*
 * watching_cover.c - what a watch watches: the folders of everything that was relied on.
 *
 * Folders with a signature, those of globs and trees, of outputs that are folders, of the hops of links, and what the
 * definition looked at, also a broken one of which nothing is stored. After each run those that are new are
 * added; what is relied on no more goes when all is gone through again.
 *
 * Loop thread only.
 */
#include "engine/run/watching_internal.h"
#include "engine/world/scan.h"
#include "generated/schema.h"

static void cover_bytes(void *ctx, bytes folder);

static void follow(weir *w, const char *path)
{
    struct watching *x = w->watching;
    if (x->failure.code == 0) watching_links_follow(&x->links, w->root, path, cover_bytes, w, &x->failure);
}

/* What is relied on in it and is a link leads elsewhere: that is watched too. */
static void cover_links(weir *w, const char *folder)
{
    os_entry *entries = NULL;
    size_t count = 0;
    mem_arena arena;
    arena_init(&arena);
    int rc = os_list(w->rootfd, folder[0] ? folder : ".", &arena, &entries, &count, NULL); /* not there any more: then it has no links */
    bool has_slash = !folder[0] || strcmp(folder, "/") == 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char *path = entries[i].type == OS_LINK ? arena_printf(&arena, "%s%s%s", folder, has_slash ? "" : "/", entries[i].name) : NULL;
        if (path && sigcache_get(w->sigs, bytes_str(path))) follow(w, path);
    }
    arena_deinit(&arena);
}

static void cover(weir *w, const char *folder)
{
    struct watching *x = w->watching;
    bool fresh = false;
    if (x->failure.code != 0) return;
    if (watch_folder(x->watch, folder, &fresh, &x->failure) != 0 || !fresh) return;
    suspects_add_folder(&x->noted, folder, 0);
    x->again = true;
    cover_links(w, folder);
}

void watching_new_path(weir *w, bytes path)
{
    if (w->watching && w->watching->has_looked) follow(w, (const char *)path.data);
}

/* Links that came, or lead elsewhere now. */
static void cover_new_links(weir *w)
{
    struct watching *x = w->watching;
    size_t at = 0;
    bytes path;
    uint64_t has;
    buf text;
    buf_init(&text);
    while (map_next(&x->looked_at.paths, &at, &path, &has)) {
        if (!(has & SUSPECT_LISTING) || !sigcache_get(w->sigs, path)) continue;
        buf_clear(&text);
        buf_append(&text, path.data, path.size);
        if (buf_cstr(&text)) follow(w, buf_cstr(&text));
    }
    buf_deinit(&text);
}

static void cover_bytes(void *ctx, bytes folder)
{
    weir *w = ctx;
    buf text;
    buf_init(&text);
    buf_append(&text, folder.data, folder.size);
    const char *path = buf_cstr(&text);
    if (path) cover(w, path);
    buf_deinit(&text);
}

/* The folder of a path. */
static void cover_parent(weir *w, bytes path)
{
    size_t at = path_name_at(path);
    cover_bytes(w, bytes_of(path.data, at > 1 ? at - 1 : at));
}

static void cover_globs(weir *w)
{
    struct watching *x = w->watching;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_ITEMS_GLOB, &x->failure);
    if (!q) return;
    db_bind_int(q, 1, (int64_t)w->graph);
    while (db_step(q, &x->failure) == 1)
        if (!db_is_null(q, 3)) scan_glob_folders(db_bytes(q, 3), cover_bytes, w);
    db_reset(q);
}

static void cover_trees(weir *w)
{
    struct watching *x = w->watching;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_TREES_IN_USE, &x->failure);
    if (!q) return;
    while (db_step(q, &x->failure) == 1) {
        if (db_int(q, 1) == ITEM_LINK) cover_parent(w, db_bytes(q, 4));
        else cover_bytes(w, db_bytes(q, 4));
        if (db_int(q, 1) != ITEM_LINK && !db_is_null(q, 3)) scan_tree_folders(db_bytes(q, 3), cover_bytes, w);
    }
    db_reset(q);
}

static void cover_below(weir *w, mem_arena *arena, const char *folder)
{
    os_entry *entries = NULL;
    size_t count = 0;
    cover(w, folder);
    if (os_list(w->rootfd, folder, arena, &entries, &count, NULL) != 0) return;
    for (size_t i = 0; i < count; i++) {
        const char *below = entries[i].type == OS_DIR ? arena_printf(arena, "%s/%s", folder, entries[i].name) : NULL;
        if (below) cover_below(w, arena, below);
    }
}

/* Outputs that are folders: all that is below. */
static void cover_made(weir *w)
{
    mem_arena arena;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_FOLDERS_CLAIMED, &w->watching->failure);
    if (!q) return;
    arena_init(&arena);
    while (db_step(q, &w->watching->failure) == 1) {
        bytes name = db_bytes(q, 0);
        const char *path = arena_printf(&arena, "%.*s", (int)name.size - 1, (const char *)name.data);
        if (path) cover_below(w, &arena, path);
    }
    db_reset(q);
    arena_deinit(&arena);
    w->watching->folders_moved = false;
}

static void forget_definition(struct watching *x)
{
    arena_reset(&x->arena);
    x->files = NULL;
    x->globs = NULL;
    x->file_count = x->glob_count = 0;
}

/* The folders in which it was evaluated, also if nobody declares it (yet). */
static void cover_glob(weir *w, bytes pattern)
{
    struct watching *x = w->watching;
    cat_item *item = catalog_item_named(w->catalog, ITEM_GLOB, pattern, false, &x->failure);
    db_stmt *q = item ? db_get(catalog_db(w->catalog), SQL_TREE_RECORD, &x->failure) : NULL;
    cover_parent(w, bytes_of(pattern.data, scan_glob_fixed((const char *)pattern.data)));
    if (!q) return;
    db_bind_int(q, 1, (int64_t)item->id);
    if (db_step(q, &x->failure) == 1) scan_glob_folders(db_bytes(q, 0), cover_bytes, w);
    db_reset(q);
}

/* Nothing is stored of a broken definition: what it looked at is known from the host, as long as that lives. */
void watching_definition(weir *w)
{
    struct watching *x = w->watching;
    if (!x || w->reload.seen_count == 0) return;
    forget_definition(x);
    catalog_refresh(w->catalog, &x->failure); /* the folders of its globs have just been written */
    x->files = arena_zero(&x->arena, w->reload.seen_count, sizeof *x->files);
    x->globs = arena_zero(&x->arena, w->reload.glob_count + 1, sizeof *x->globs);
    for (size_t i = 0; x->files && i < w->reload.seen_count; i++) {
        const struct definition_seen *seen = &w->reload.seen[i];
        if (seen->kind != ITEM_FILE) continue;
        cover_parent(w, seen->name);
        x->files[x->file_count++] = (struct seen){arena_bytes(&x->arena, seen->name), seen->hash};
    }
    for (size_t i = 0; x->globs && i < w->reload.glob_count; i++) {
        const struct definition_glob *glob = &w->reload.globs[i];
        cover_glob(w, glob->pattern);
        x->globs[x->glob_count++] = (struct seen){arena_bytes(&x->arena, glob->pattern), scan_names_hash(glob->paths, glob->count)};
    }
    if (x->arena.failed) forget_definition(x);
}

/* Everything again: also what is relied on no more is found out. */
static void cover_all(weir *w)
{
    struct watching *x = w->watching;
    catalog_refresh(w->catalog, &x->failure);
    x->lost = watch_stats(x->watch).lost;
    x->globs_moved = false;
    x->covered = sigcache_folder_count(w->sigs);
    cover_parent(w, bytes_str(w->workflow ? w->workflow : ""));
    sigcache_each(w->sigs, cover_bytes, w);
    cover_globs(w);
    cover_trees(w);
    cover_made(w);
    for (size_t i = 0, count = x->links.count; i < count; i++) follow(w, x->links.aliases[i].path);
    watch_sweep(x->watch);
}

void watching_moved_names(weir *w)
{
    if (w->watching) w->watching->globs_moved = true;
}

void watching_moved_folder(weir *w)
{
    if (w->watching) w->watching->folders_moved = true;
}

void watching_cover(weir *w)
{
    struct watching *x = w->watching;
    if (!x) return;
    if (!x->has_looked || x->globs_moved || x->lost != watch_stats(x->watch).lost) cover_all(w);
    if (x->folders_moved) cover_made(w);
    cover_new_links(w);
    while (x->covered < sigcache_folder_count(w->sigs)) cover_bytes(w, sigcache_folder_path(w->sigs, x->covered++));
}

/* --- a broken definition ------------------------------------------------------------------------------------------- */

bool watching_is_broken_still(weir *w)
{
    const struct watching *x = w->watching;
    bool is_same = x->file_count > 0;
    for (size_t i = 0; is_same && i < x->file_count; i++) {
        scan_request r = {.path = x->files[i].name};
        scan_one(&w->scan, &r);
        is_same = r.code == 0 && hash_equal(r.hash, x->files[i].hash);
    }
    for (size_t i = 0; is_same && i < x->glob_count; i++) {
        mem_arena arena;
        const char **paths = NULL;
        size_t count = 0;
        arena_init(&arena);
        is_same = scan_glob(&w->scan, (const char *)x->globs[i].name.data, NULL, NULL, &arena, &paths, &count, NULL, &(weir_error){0}) == 0 &&
                  hash_equal(scan_names_hash(paths, count), x->globs[i].hash);
        arena_deinit(&arena);
    }
    return is_same;
}
