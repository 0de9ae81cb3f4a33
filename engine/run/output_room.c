/*
 * output_room.c - room for an output: a file where a folder belongs, a folder where a file belongs.
 *
 * Only what weir made and still is as it made it moves: the user decides about the rest.
 *
 *     build/a was an output, build/a/b is one now      -> the old file goes, its content is in the store
 *     build/a/b was one, build/a is one now            -> what vanished nodes made below goes, then the folder, if it is empty
 *     build/ was one, a folder, and build/a is one now -> what is in build/ and is as it was made goes, where a folder or file of it is in the way
 *     somebody's file, an input, a FIFO, a folder with files of somebody  -> the node fails, nothing is touched
 *
 * Loop thread only.
 */
#include "engine/run/output_internal.h"
#include "generated/schema.h"

/* What nodes that are gone have left must be visible to queries. */
static int catch_up(weir *w, weir_error *err)
{
    int rc = journal_sync(w->journal, false, err);
    return rc == 0 ? catalog_refresh(w->catalog, err) : rc;
}

/* What a node that is gone wrote there; HASH_NONE: none did. */
static int made_by_vanished(weir *w, const cat_item *item, hash128 *made, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_VANISHED_BY_ITEM, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)item->id);
    int rc = db_step(q, err);
    if (rc == 1) *made = db_hash(q, 0);
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* --- a file where a folder belongs ------------------------------------------------------------------------------- */

int output_move_out(weir *w, cat_item *there, const cat_item *item, weir_error *err)
{
    os_stat st;
    output_seen seen;
    bool used = true, left = false;
    hash128 made = HASH_NONE;
    int rc = catch_up(w, err);
    if (rc == 0) rc = output_remove_around(w, there->name, err);
    if (rc == 0) rc = os_statat(w->rootfd, output_path(there), false, &st, err);
    if (rc != 0 || st.type == OS_ABSENT) return rc;
    rc = output_is_in_use(w, there, &used, err);
    if (rc == 0) rc = made_by_vanished(w, there, &made, err);
    if (rc == 0) rc = output_look(w, there, &seen, err);
    if (rc != 0) return rc;
    left = !used && !hash_is_none(made) && seen.scan.code == 0 && hash_equal(seen.scan.hash, made);
    if (!left)
        return error_set(err, WEIR_FAILED, "%s is %s, and output %s needs a folder there: remove it or rename one of them",
                         output_path(there), used ? "a file that is an input or an output" : "no folder and not of weir's making",
                         output_path(item));
    rc = output_keep_seen(w, there, 0, &seen, err);
    if (rc == 0) rc = os_unlinkat(w->rootfd, output_path(there), err);
    if (rc == 0) output_say_gone(w, there, made);
    return rc;
}

int output_clear_way(weir *w, const cat_item *item, weir_error *err)
{
    os_stat st;
    size_t size = path_name_at(item->name);
    if (size == 0) return 0;
    char *path = mem_strdup(output_path(item));
    if (!path) return error_nomem(err, "making room for an output");
    path[size - 1] = '\0';
    int rc = os_statat(w->rootfd, path, true, &st, err);
    bool is_done = rc != 0 || st.type == OS_DIR;
    for (size_t at = 1; !is_done && at < size; at++) {
        if (path[at] != '\0' && output_path(item)[at] != '/') continue;
        path[at] = '\0';
        rc = os_statat(w->rootfd, path, true, &st, err);
        bool follows = rc == 0 && st.type == OS_DIR;
        if (rc == 0 && !follows) rc = os_statat(w->rootfd, path, false, &st, err);
        is_done = rc != 0 || (!follows && st.type == OS_ABSENT);
        if (!is_done && !follows) {
            cat_item *there = catalog_item_named(w->catalog, ITEM_FILE, bytes_str(path), true, err);
            rc = there ? output_move_out(w, there, item, err) : err->code;
            is_done = true;
        }
        path[at] = '/';
    }
    mem_free(path);
    return rc;
}

/* --- a folder where a file belongs ------------------------------------------------------------------------------- */

/* Folders without any file in them. */
static int remove_empty(weir *w, const char *path, mem_arena *arena, bool *removed, weir_error *err)
{
    os_entry *entries = NULL;
    size_t count = 0;
    *removed = false;
    int rc = os_list(w->rootfd, path, arena, &entries, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool gone = false;
        const char *below = arena_printf(arena, "%s/%s", path, entries[i].name);
        if (!below) return error_nomem(err, "making room for an output");
        if (entries[i].type == OS_DIR) rc = remove_empty(w, below, arena, &gone, err);
        if (rc != 0 || !gone) return rc;
    }
    return rc == 0 ? os_rmdirat(w->rootfd, path, removed, err) : rc;
}

int output_clear_folder(weir *w, const cat_item *item, weir_error *err)
{
    mem_arena arena;
    os_stat st;
    bool removed = false;
    int rc = catch_up(w, err);
    if (rc == 0) rc = output_remove_below(w, item->name, err);
    if (rc == 0) rc = output_remove_around(w, item->name, err);
    if (rc == 0) rc = os_statat(w->rootfd, output_path(item), false, &st, err);
    if (rc != 0 || st.type != OS_DIR) return rc;
    arena_init(&arena);
    rc = remove_empty(w, output_path(item), &arena, &removed, err);
    arena_deinit(&arena);
    if (rc != 0 || removed) return rc;
    return error_set(err, WEIR_FAILED, "%s is a folder with files that weir did not make, and an output belongs there: remove it or rename the output",
                     output_path(item));
}

int output_make_room(weir *w, cat_item *item, weir_error *err)
{
    os_stat st;
    if (manifest_is_folder(item->name)) return output_folder_way(w, item, err);
    int rc = os_statat(w->rootfd, output_path(item), false, &st, err);
    if (rc != 0) return rc;
    if (st.type == OS_DIR) return output_clear_folder(w, item, err);
    if (st.type == OS_OTHER) return output_in_the_way(output_path(item), err);
    return st.type == OS_ABSENT ? output_clear_way(w, item, err) : 0;
}
