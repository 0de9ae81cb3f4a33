/*
 * observe_glob.c - which names match the globs of a definition.
 *
 * What is remembered of a glob are the folders it looked into (world/glob.c); as long as those are the same it is not evaluated.
 * A glob sees no outputs: neither paths that a live node claims nor what a vanished node left and nobody changed.
 *
 * Loop thread only.
 */
#include "engine/run/observe_internal.h"
#include "engine/run/output.h"
#include "engine/run/watching.h"
#include "generated/schema.h"

static int row_exists(weir *w, int statement, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), statement, err);
    if (!q) return err->code;
    int rc = db_step(q, err);
    db_reset(q);
    return rc;
}

/* What the node that is gone wrote there; HASH_NONE: none did. A dry run records nothing: it knows in memory alone who is gone. */
static hash128 left_by_node(const output_filter *f, const cat_item *item)
{
    hash128 written = f->w->dry ? item->left : HASH_NONE;
    if (!hash_is_none(written) || !f->any_vanished) return written;
    db_stmt *q = db_get(catalog_db(f->w->catalog), SQL_VANISHED_BY_ITEM, f->err);
    if (!q) return HASH_NONE;
    db_bind_int(q, 1, (int64_t)item->id);
    if (db_step(q, f->err) == 1) written = db_hash(q, 0);
    db_reset(q);
    return written;
}

/* Still as the node wrote it that is gone? */
static bool is_left_over(output_filter *f, const cat_item *item)
{
    weir *w = f->w;
    hash128 written = left_by_node(f, item);
    if (hash_is_none(written) || f->err->code != 0) return false;
    const scan_entry *entry = sigcache_get(w->sigs, item->name);
    if (entry) return hash_equal(entry->hash, written);
    scan_request r = {.item = item->id, .path = item->name};
    scan_one(&w->scan, &r);
    return r.code == 0 && hash_equal(r.hash, written);
}

/* In a folder that is an output? Paths come one folder after the other. */
static bool is_in_output(output_filter *f, bytes path)
{
    const cat_item *folder = NULL;
    size_t size = path_name_at(path);
    bool is_same = f->last.data && bytes_equal(f->last, bytes_of(path.data, size));
    if (is_same) return f->last_is_output;
    f->last = arena_bytes(catalog_arena(f->w->catalog), bytes_of(path.data, size));
    f->last_is_output = output_folder_above(f->w, path, &folder, f->err) == 0 && folder;
    return f->last_is_output || f->err->code != 0;
}

bool observe_is_output(void *ctx, const char *path)
{
    output_filter *f = ctx;
    if (f->err->code != 0) return true;
    cat_item *item = catalog_item_named(f->w->catalog, ITEM_FILE, bytes_str(path), false, f->err);
    if (!item && f->err->code != 0) return true;
    if (is_in_output(f, bytes_str(path))) return true;
    if (!item) return f->err->code != 0;
    return item->node != 0 || is_left_over(f, item);
}

int observe_filter(weir *w, output_filter *f, weir_error *err)
{
    int rc = row_exists(w, SQL_VANISHED_ANY, err);
    f->w = w;
    f->any_vanished = rc == 1;
    return rc < 0 ? rc : 0;
}

static int find(weir *w, const char *pattern, mem_arena *arena, const char ***paths, size_t *count, hash128 *hash, buf *folders,
                weir_error *err)
{
    weir_error inner = {0};
    output_filter f = {.err = &inner};
    int rc = observe_filter(w, &f, err);
    if (rc < 0) return rc;
    rc = scan_glob(&w->scan, pattern, observe_is_output, &f, arena, paths, count, folders, err);
    if (rc == 0 && inner.code != 0) {
        *err = inner;
        rc = inner.code;
    }
    if (rc == 0) *hash = scan_names_hash(*paths, *count);
    return rc;
}

int observe_glob(weir *w, bytes pattern, mem_arena *arena, const char ***paths, size_t *count, hash128 *hash, weir_error *err)
{
    weir_error local = {0};
    buf folders;
    if (!err) err = &local;
    *paths = NULL;
    *count = 0;
    bytes text = arena_bytes(arena, pattern);
    if (!text.data) return error_nomem(err, "evaluating a glob");
    int rc = scan_glob_check((const char *)text.data, err);
    if (rc != 0) return rc;
    buf_init(&folders);
    rc = find(w, (const char *)text.data, arena, paths, count, hash, &folders, err);
    cat_item *item = rc == 0 ? catalog_item_named(w->catalog, ITEM_GLOB, text, true, err) : NULL;
    if (rc == 0 && !item) rc = err->code;
    if (item) journal_glob(w->journal, item->id, buf_bytes(&folders));
    watching_moved_names(w);
    buf_deinit(&folders);
    return rc;
}

int observe_glob_item(weir *w, cat_item *item, weir_error *err)
{
    mem_arena arena;
    const char **paths = NULL;
    size_t count = 0;
    hash128 hash;
    arena_init(&arena);
    int rc = observe_glob(w, item->name, &arena, &paths, &count, &hash, err);
    if (rc == 0) rc = observe_take(w, item, hash, count, 0, err);
    arena_deinit(&arena);
    return rc;
}

/* A row of `items_glob_names`: by what a watch noted its names may be others. Its folders are not even stat'ed. */
static bool is_suspicious(weir *w, db_stmt *row)
{
    const char *text = (const char *)db_bytes(row, 1).data; /* SQLite puts a NUL behind */
    return db_is_null(row, 2) || suspects_touch_names(w->suspects, text, scan_glob_fixed(text), scan_glob_match);
}

/* A row of `items_glob`: one of its folders moved. */
static bool has_moved(weir *w, db_stmt *row)
{
    return db_is_null(row, 2) || !scan_glob_same(&w->scan, db_bytes(row, 3));
}

/* The globs that are to be looked at; ids in *items (owned). */
static int globs_to_see(weir *w, uint64_t **items, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    bool is_noted = w->suspects && !w->suspects->all;
    db_stmt *q = db_get(catalog_db(w->catalog), is_noted ? SQL_ITEMS_GLOB_NAMES : SQL_ITEMS_GLOB, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)w->graph);
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (!(is_noted ? is_suspicious(w, q) : has_moved(w, q))) continue;
        if (!MEM_GROW(*items, capacity, *count + 1)) {
            rc = error_nomem(err, "looking at globs");
            break;
        }
        (*items)[(*count)++] = (uint64_t)db_int(q, 0);
    }
    db_reset(q);
    return rc;
}

int observe_globs(weir *w, weir_error *err)
{
    weir_error local = {0};
    uint64_t *items = NULL;
    size_t count = 0;
    if (!err) err = &local;
    int rc = globs_to_see(w, &items, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cat_item *item = catalog_item(w->catalog, items[i], err);
        rc = item ? observe_glob_item(w, item, err) : err->code;
    }
    mem_free(items);
    return rc;
}
