/*
 * observe_tree.c - folders, trees and links as inputs.
 *
 * Like globs they see no outputs: neither paths that a live node claims, nor what a vanished one left and nobody changed. A folder that weir
 * made for its outputs is not among the names of the folder it is in, unless something else is in it. What is remembered of each is a record of signatures (world/tree.c), in the
 * same table as those of globs: as long as it holds nothing is listed or read.
 *
 *     link  hash of its text; HASH_ABSENT where no link is
 *
 * Loop thread only; hashing runs in threads of the moment.
 */
#include "engine/run/observe_internal.h"
#include "engine/run/watching.h"
#include "engine/store/value.h"
#include "generated/schema.h"

static const char doing[] = "looking at folders";

/* --- what is not seen -------------------------------------------------------------------------------------------- */

typedef struct tree_filter {
    output_filter outputs;
    bool is_fresh; /* the read connection knows the folders that this run made */
} tree_filter;

static bool is_made_folder(tree_filter *f, const char *path)
{
    weir *w = f->outputs.w;
    if (!f->is_fresh && catalog_refresh(w->catalog, f->outputs.err) != 0) return true;
    f->is_fresh = true;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_FOLDER_IS_MADE, f->outputs.err);
    if (!q) return true;
    db_bind_bytes(q, 1, bytes_str(path));
    int rc = db_step(q, f->outputs.err);
    db_reset(q);
    return rc != 0;
}

static bool is_output_folder(tree_filter *f, const char *path)
{
    const char *folder = arena_printf(catalog_arena(f->outputs.w->catalog), "%s/", path);
    if (!folder) error_nomem(f->outputs.err, "looking at a folder");
    return !folder || observe_is_output(&f->outputs, folder);
}

static bool is_hidden(void *ctx, const char *path, os_type type)
{
    tree_filter *f = ctx;
    if (f->outputs.err->code != 0) return true;
    return type == OS_DIR ? is_made_folder(f, path) || is_output_folder(f, path) : observe_is_output(&f->outputs, path);
}

/* Was it written to, although its signature may say nothing of that? */
static bool is_doubtful(void *ctx, bytes path)
{
    const tree_filter *f = ctx;
    return suspects_is_written(f->outputs.w->suspects, path);
}

/* --- one look ---------------------------------------------------------------------------------------------------- */

static bytes *note_of(weir *w, const cat_item *item)
{
    const char *name = arena_printf(catalog_arena(w->catalog), "\x01" "tree %llu", (unsigned long long)item->id);
    return name ? catalog_note(w->catalog, bytes_str(name)) : NULL;
}

/* A look at one that moves twice in a run finds its record of before in the table only: then a few files are read again. */
static int old_record(weir *w, const cat_item *item, buf *record, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_TREE_RECORD, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)item->id);
    int rc = db_step(q, err);
    if (rc == 1) buf_append(record, db_bytes(q, 0).data, db_bytes(q, 0).size);
    db_reset(q);
    if (record->failed) return error_nomem(err, doing);
    return rc < 0 ? rc : 0;
}

static int remember(weir *w, const cat_item *item, bytes encoded, weir_error *err)
{
    bytes *note = note_of(w, item);
    bytes copy = arena_bytes(catalog_arena(w->catalog), encoded);
    if (!note || !copy.data) return error_nomem(err, doing);
    *note = copy;
    return 0;
}

/* Part of it cannot be opened: an answer, as it is for a file. Its users fail (observe_tree_closed), the others go on. */
static void take_closed(scan_tree *tree, weir_error *err)
{
    error_clear(err);
    tree->hash = HASH_UNREADABLE;
    buf_clear(&tree->names);
}

static int look_at_tree(weir *w, cat_item *item, weir_error *err)
{
    weir_error inner = {0};
    tree_filter filter = {.outputs = {.err = &inner}};
    scan_tree tree = {
        .folder = (const char *)item->name.data, .deep = item->kind == ITEM_TREE, .skip = is_hidden, .ctx = &filter,
        .is_doubtful = w->suspects ? is_doubtful : NULL};
    buf before;
    buf_init(&before);
    int rc = observe_filter(w, &filter.outputs, err);
    if (rc == 0) rc = old_record(w, item, &before, err);
    if (rc == 0) rc = scan_tree_look(&w->scan, &tree, buf_bytes(&before), err);
    if (rc == WEIR_WORKFLOW && tree.is_closed) {
        take_closed(&tree, err);
        rc = 0;
    }
    if (rc == 0 && inner.code != 0) {
        *err = inner;
        rc = inner.code;
    }
    if (rc == 0) rc = observe_take(w, item, tree.hash, 0, 0, err);
    bool is_closed = hash_equal(tree.hash, HASH_UNREADABLE); /* what was known of it stays known */
    bool is_same = bytes_equal(buf_bytes(&before), buf_bytes(&tree.record));
    if (rc == 0 && !is_closed && !is_same) journal_glob(w->journal, item->id, buf_bytes(&tree.record));
    if (!is_same) watching_moved_names(w);
    if (rc == 0) rc = remember(w, item, buf_bytes(&tree.names), err);
    scan_tree_deinit(&tree);
    buf_deinit(&before);
    return rc;
}

/* Its text; size 0: no link is there (a link's text is never empty). */
static int read_link(weir *w, const cat_item *item, buf *text, weir_error *err)
{
    os_stat st;
    const char *path = (const char *)item->name.data;
    int rc = os_statat(w->rootfd, path, false, &st, err);
    if (rc != 0 || st.type != OS_LINK) return rc;
    rc = os_readlinkat(w->rootfd, path, text, err);
    if (rc != WEIR_NOTFOUND) return rc;
    error_clear(err);
    return 0;
}

static int look_at_link(weir *w, cat_item *item, weir_error *err)
{
    buf text, encoded;
    buf_init(&text);
    buf_init(&encoded);
    int rc = read_link(w, item, &text, err);
    if (text.size > 0) value_put_string(&encoded, buf_bytes(&text));
    hash128 hash = text.size > 0 ? hash_bytes(text.data, text.size) : HASH_ABSENT;
    if (rc == 0) rc = observe_take(w, item, hash, text.size, 0, err);
    if (rc == 0) rc = remember(w, item, buf_bytes(&encoded), err);
    buf_deinit(&text);
    buf_deinit(&encoded);
    return rc;
}

int observe_tree_closed(weir *w, const cat_item *item, weir_error *err)
{
    scan_tree tree = {.folder = (const char *)item->name.data, .deep = item->kind == ITEM_TREE};
    int rc = scan_tree_look(&w->scan, &tree, bytes_of("", 0), err);
    scan_tree_deinit(&tree);
    return rc;
}

int observe_tree_item(weir *w, cat_item *item, weir_error *err)
{
    return item->kind == ITEM_LINK ? look_at_link(w, item, err) : look_at_tree(w, item, err);
}

/* --- all in use -------------------------------------------------------------------------------------------------- */

/* By what a watch noted. A folder's names are moved also by what comes below one that weir made. */
static bool is_suspicious(const weir *w, db_stmt *q)
{
    int64_t kind = db_int(q, 1);
    return suspects_touch(w->suspects, db_bytes(q, 4), kind == ITEM_FOLDER);
}

static int moved_trees(weir *w, bool all, uint64_t **items, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_TREES_IN_USE, err);
    if (!q) return err->code;
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        bool is_known = !all && !db_is_null(q, 2) && db_int(q, 1) != ITEM_LINK && !hash_equal(db_hash(q, 2), HASH_UNREADABLE);
        bool is_noted = !all && w->suspects && !w->suspects->all;
        bool was_looked_at = !db_is_null(q, 2) && !hash_equal(db_hash(q, 2), HASH_UNREADABLE);
        if (is_noted && was_looked_at && !is_suspicious(w, q)) continue;
        if (!is_noted && is_known && scan_tree_same(&w->scan, db_bytes(q, 3))) continue;
        if (!MEM_GROW(*items, capacity, *count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        (*items)[(*count)++] = (uint64_t)db_int(q, 0);
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

int observe_trees(weir *w, bool all, weir_error *err)
{
    weir_error local = {0};
    uint64_t *items = NULL;
    size_t count = 0;
    if (!err) err = &local;
    int rc = all ? catalog_refresh(w->catalog, err) : 0;
    if (rc == 0) rc = moved_trees(w, all, &items, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cat_item *item = catalog_item(w->catalog, items[i], err);
        rc = item ? observe_tree_item(w, item, err) : err->code;
    }
    mem_free(items);
    return rc;
}

/* --- for effects ------------------------------------------------------------------------------------------------- */

int observe_tree_value(weir *w, cat_item *item, bytes *encoded, weir_error *err)
{
    bytes *note = note_of(w, item);
    if (!note) return error_nomem(err, doing);
    if (!note->data && item->kind != ITEM_LINK && !hash_is_none(item->hash) && !hash_equal(item->hash, HASH_ABSENT)) {
        buf record, names; /* not looked at in this run: it has not moved */
        buf_init(&record);
        buf_init(&names);
        int rc = old_record(w, item, &record, err);
        if (rc == 0 && record.size > 0) rc = scan_tree_names((const char *)item->name.data, buf_bytes(&record), &names, err);
        if (rc == 0 && record.size > 0) rc = remember(w, item, buf_bytes(&names), err);
        buf_deinit(&record);
        buf_deinit(&names);
        if (rc != 0) return rc;
    }
    int rc = note->data ? 0 : observe_tree_item(w, item, err);
    *encoded = *note;
    return rc;
}
