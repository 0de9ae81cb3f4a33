/*
 * output_folder.c - folders as outputs: everything below is one content, whose blob is the manifest (world/manifest.h).
 *
 *     restore   what is missing is made in .weir/tmp -> foreign files kept -> what the new tree does not have goes -> renamed into place
 *     remove    files that are as weir made them go, then empty folders; what else is there stays
 *
 * F1  Nothing below is touched before all that is needed lies in .weir/tmp: a payload that is missing or damaged is a miss, no half tree.
 * F2  A file that the manifest believed in does not name with just this content is in the store before it goes (P13).
 * F3  A file that is as it has to be keeps its inode.
 *
 * A kill in between leaves a mixture of two trees whose files are all in the store: the next run sees that it differs.
 *
 * Loop thread only.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/run/output_internal.h"

static const char doing[] = "looking at a folder";

typedef struct tree {
    manifest_entry *entries;
    size_t count;
} tree;

/* Path of something below a folder, or of the folder without its '/'. In `arena`; NULL: no memory. */
static const char *below(mem_arena *arena, const cat_item *item, const manifest_entry *e)
{
    return arena_printf(arena, "%s%s", output_path(item), (const char *)e->path.data);
}

const char *output_plain_path(mem_arena *arena, bytes path)
{
    size_t size = manifest_is_folder(path) ? path.size - 1 : path.size;
    return arena_printf(arena, "%.*s", (int)size, (const char *)path.data);
}

/* --- manifests --------------------------------------------------------------------------------------------------- */

/* From the store. WEIR_NOTFOUND: missing or damaged. */
static int load(weir *w, hash128 hash, mem_arena *arena, tree *to, weir_error *err)
{
    buf text;
    weir_error why = {0};
    buf_init(&text);
    *to = (tree){0};
    int rc = blob_read(w->blobs, catalog_db(w->catalog), hash, SIZE_MAX / 2, &text, &why);
    if (rc == WEIR_NOTFOUND) {
        buf_clear(&text);
        rc = catalog_refresh(w->catalog, &why);
        if (rc == 0) rc = blob_read(w->blobs, catalog_db(w->catalog), hash, SIZE_MAX / 2, &text, &why);
    }
    if (rc == 0) rc = manifest_read(buf_bytes(&text), arena, &to->entries, &to->count, &why);
    buf_deinit(&text);
    if (rc == WEIR_CORRUPT) rc = WEIR_NOTFOUND;
    return rc == 0 ? 0 : error_set(err, rc, "%s", why.message);
}

/* The one that the state believes in; nothing when it is not to be had. */
static int load_believed(weir *w, hash128 hash, mem_arena *arena, tree *to, weir_error *err)
{
    weir_error why = {0};
    *to = (tree){0};
    if (hash_is_none(hash) || hash_equal(hash, HASH_ABSENT)) return 0;
    int rc = load(w, hash, arena, to, &why);
    if (rc == WEIR_NOTFOUND) *to = (tree){0};
    return rc == 0 || rc == WEIR_NOTFOUND ? 0 : error_set(err, rc, "%s", why.message);
}

static int walk(weir *w, const char *folder, mem_arena *arena, tree *to, weir_error *err)
{
    weir_error why = {0};
    scan_config config = output_scan(w);
    int rc = manifest_walk(&config, folder, arena, &to->entries, &to->count, &why);
    if (rc == 0) return 0;
    return error_set(err, rc == WEIR_WORKFLOW ? WEIR_FAILED : rc, "%s", why.message);
}

static bool has_same(const tree *t, const manifest_entry *e)
{
    const manifest_entry *other = manifest_find(t->entries, t->count, e->path);
    return other && manifest_same(other, e);
}

int output_folder_is_stored(weir *w, hash128 hash, bool *stored, weir_error *err)
{
    mem_arena arena;
    tree all;
    weir_error why = {0};
    arena_init(&arena);
    int rc = load(w, hash, &arena, &all, &why);
    *stored = rc == 0;
    for (size_t i = 0; rc == 0 && *stored && i < all.count; i++)
        if (all.entries[i].type == OS_FILE) {
            hash128 content;
            rc = output_is_stored(w, all.entries[i].content, 0, &content, stored, &why);
        }
    arena_deinit(&arena);
    return rc == 0 || rc == WEIR_NOTFOUND ? 0 : error_set(err, rc, "%s", why.message);
}

/* --- the way ----------------------------------------------------------------------------------------------------- */

int output_folder_way(weir *w, const cat_item *item, weir_error *err)
{
    mem_arena arena;
    os_stat st;
    arena_init(&arena);
    const char *path = output_plain_path(&arena, item->name);
    int rc = path ? os_statat(w->rootfd, path, false, &st, err) : error_nomem(err, doing);
    if (rc == 0 && st.type == OS_FILE) { /* of a node that is gone? */
        cat_item *there = catalog_item_named(w->catalog, ITEM_FILE, bytes_str(path), true, err);
        rc = there ? output_move_out(w, there, item, err) : err->code;
    } else if (rc == 0 && st.type != OS_ABSENT && st.type != OS_DIR)
        rc = error_set(err, WEIR_FAILED, "%s is %s, and an output that is a folder belongs there: remove it or rename the output", path,
                       st.type == OS_LINK ? "a link" : "no folder");
    if (rc == 0) rc = output_clear_way(w, item, err);
    if (rc == 0) rc = os_make_parents(w->rootfd, path, output_made_folder, w, err);
    arena_deinit(&arena);
    return rc;
}

/* --- foreign files ----------------------------------------------------------------------------------------------- */

static int keep_one(weir *w, const char *path, const manifest_entry *e, uint64_t node, bool silent, weir_error *err)
{
    bool stored = false;
    char hex[HASH_HEX];
    hash128 content;
    int rc = e->type == OS_FILE ? output_is_stored(w, e->content, 0, &content, &stored, err) : 0;
    if (rc != 0 || stored) return rc;
    rc = output_store(w, path, &content, err);
    if (rc == WEIR_NOTFOUND) {
        error_clear(err);
        return 0;
    }
    if (rc != 0) return error_context(err, rc, "%s cannot be kept before it is replaced", path);
    const cat_item *file = catalog_item_named(w->catalog, ITEM_FILE, bytes_str(path), true, err);
    if (!file) return err->code;
    output_say_kept(w, file->id, content, node);
    rc = journal_sync(w->journal, false, err);
    if (!silent) tell_message(w, "%s was changed by hand; kept: weir get %s -o FILE", path, hash_hex(content, hex));
    return rc;
}

static int keep_all(weir *w, const cat_item *item, const tree *now, const tree *ours, uint64_t node, bool silent, mem_arena *arena,
                    weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < now->count; i++) {
        const manifest_entry *e = &now->entries[i];
        if (e->type == OS_DIR || has_same(ours, e)) continue;
        const char *path = below(arena, item, e);
        rc = path ? keep_one(w, path, e, node, silent, err) : error_nomem(err, doing);
    }
    return rc;
}

int output_folder_keep(weir *w, cat_item *item, hash128 believed, uint64_t node, bool silent, weir_error *err)
{
    mem_arena arena;
    tree now = {0}, ours = {0};
    weir_error why = {0};
    arena_init(&arena);
    int rc = load_believed(w, believed, &arena, &ours, &why);
    if (rc == 0) rc = walk(w, output_path(item), &arena, &now, &why);
    if (rc == 0) rc = keep_all(w, item, &now, &ours, node, silent, &arena, &why);
    arena_deinit(&arena);
    return rc == 0 ? 0 : error_set(err, rc, "%s", why.message);
}

/* --- back from the store ----------------------------------------------------------------------------------------- */

typedef struct restore {
    weir *w;
    cat_item *item;
    mem_arena arena;
    tree now, want;
    uint64_t node;
} restore;

static const char *temp_of(restore *r, size_t i)
{
    return arena_printf(&r->arena, ".weir/tmp/f%" PRIu64 "/%zu", r->item->id, i);
}

/* F1: what is not there as it has to be. */
static int make_temps(restore *r, weir_error *err)
{
    os_stat made;
    char folder[48];
    snprintf(folder, sizeof folder, ".weir/tmp/f%" PRIu64, r->item->id);
    int rc = os_remove_tree(r->w->rootfd, folder, err);
    if (rc == 0) rc = os_mkdirat(r->w->rootfd, folder, 0700, err);
    for (size_t i = 0; rc == 0 && i < r->want.count; i++) {
        const manifest_entry *e = &r->want.entries[i];
        if (e->type == OS_DIR || has_same(&r->now, e)) continue;
        const char *temp = temp_of(r, i);
        if (!temp) return error_nomem(err, doing);
        if (e->type == OS_LINK) rc = os_symlinkat((const char *)e->text.data, r->w->rootfd, temp, err);
        else rc = output_from_store(r->w, e->content, 0, temp, &made, err);
        if (rc == 0 && e->type == OS_FILE) rc = os_chmodat(r->w->rootfd, temp, e->executable ? 0755 : 0644, err);
    }
    return rc;
}

/* The deepest first. */
static int clear_rest(restore *r, weir_error *err)
{
    int rc = 0;
    for (size_t i = r->now.count; rc == 0 && i-- > 0;) {
        const manifest_entry *e = &r->now.entries[i];
        const manifest_entry *want = manifest_find(r->want.entries, r->want.count, e->path);
        bool removed = false;
        if (want && (want->type == OS_DIR) == (e->type == OS_DIR)) continue; /* stays, or is renamed over */
        const char *path = below(&r->arena, r->item, e);
        if (!path) return error_nomem(err, doing);
        rc = e->type == OS_DIR ? os_rmdirat(r->w->rootfd, path, &removed, err) : os_unlinkat(r->w->rootfd, path, err);
        os_kill_point("restore_folder_cleared");
    }
    return rc;
}

static int place_all(restore *r, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->want.count; i++) {
        const manifest_entry *e = &r->want.entries[i];
        if (has_same(&r->now, e)) continue;
        const char *path = below(&r->arena, r->item, e);
        const char *temp = temp_of(r, i);
        if (!path || !temp) return error_nomem(err, doing);
        if (e->type == OS_DIR) rc = os_mkdirat(r->w->rootfd, path, 0755, err);
        else rc = os_renameat(r->w->rootfd, temp, r->w->rootfd, path, err);
        os_kill_point("restore_folder_placed");
    }
    return rc;
}

static int swap(restore *r, weir_error *err)
{
    tree ours;
    const char *top = output_plain_path(&r->arena, r->item->name);
    int rc = top ? load_believed(r->w, r->item->hash, &r->arena, &ours, err) : error_nomem(err, doing);
    if (rc == 0) rc = keep_all(r->w, r->item, &r->now, &ours, r->node, false, &r->arena, err);
    if (rc == 0) rc = output_folder_way(r->w, r->item, err);
    if (rc == 0) rc = os_mkdirat(r->w->rootfd, top, 0755, err);
    if (rc == 0) rc = clear_rest(r, err);
    if (rc == 0) rc = place_all(r, err);
    return rc;
}

int output_folder_restore(weir *w, cat_item *item, hash128 hash, uint64_t node, weir_error *err)
{
    weir_error why = {0};
    char folder[48];
    restore r = {.w = w, .item = item, .node = node};
    snprintf(folder, sizeof folder, ".weir/tmp/f%" PRIu64, item->id);
    arena_init(&r.arena);
    int rc = load(w, hash, &r.arena, &r.want, &why);
    if (rc == 0) rc = walk(w, output_path(item), &r.arena, &r.now, &why);
    if (rc == 0) rc = make_temps(&r, &why);
    if (rc == 0) {
        rc = swap(&r, &why);
        if (rc == WEIR_NOTFOUND) rc = WEIR_IO; /* only a payload that is gone is a miss */
    }
    (void)os_remove_tree(w->rootfd, folder, NULL);
    arena_deinit(&r.arena);
    return rc == 0 ? 0 : error_set(err, rc, "restoring %s: %s", output_path(item), why.message);
}

/* --- a command's new tree ---------------------------------------------------------------------------------------- */

int output_folder_adopt(weir *w, const cat_item *item, const char *aside, hash128 old, weir_error *err)
{
    mem_arena arena;
    tree was = {0}, now = {0};
    arena_init(&arena);
    int rc = load_believed(w, old, &arena, &was, err);
    if (rc == 0 && was.count) rc = walk(w, output_path(item), &arena, &now, err);
    for (size_t i = 0; rc == 0 && i < now.count; i++) {
        const manifest_entry *e = &now.entries[i];
        if (e->type == OS_DIR || !has_same(&was, e)) continue;
        const char *from = arena_printf(&arena, "%s/%s", aside, (const char *)e->path.data);
        const char *path = below(&arena, item, e);
        rc = from && path ? os_renameat(w->rootfd, from, w->rootfd, path, err) : error_nomem(err, doing);
        os_kill_point("folder_adopted");
    }
    arena_deinit(&arena);
    return rc;
}

/* --- away -------------------------------------------------------------------------------------------------------- */

int output_folder_remove(weir *w, cat_item *item, hash128 made, size_t *left, weir_error *err)
{
    mem_arena arena;
    tree ours = {0}, now = {0};
    bool removed = false;
    *left = 0;
    arena_init(&arena);
    const char *top = output_plain_path(&arena, item->name);
    int rc = top ? load_believed(w, made, &arena, &ours, err) : error_nomem(err, doing);
    if (rc == 0) rc = walk(w, output_path(item), &arena, &now, err);
    for (size_t i = now.count; rc == 0 && i-- > 0;) {
        const manifest_entry *e = &now.entries[i];
        const char *path = below(&arena, item, e);
        bool is_ours = has_same(&ours, e);
        if (!path) rc = error_nomem(err, doing);
        else if (e->type == OS_DIR) rc = is_ours ? os_rmdirat(w->rootfd, path, &removed, err) : 0;
        else if (is_ours) rc = os_unlinkat(w->rootfd, path, err);
        else (*left)++;
        os_kill_point("vanish_folder_part");
    }
    if (rc == 0) rc = os_rmdirat(w->rootfd, top, &removed, err);
    arena_deinit(&arena);
    return rc;
}

/* --- who makes what is below ------------------------------------------------------------------------------------- */

int output_folder_above(weir *w, bytes path, const cat_item **folder, weir_error *err)
{
    *folder = NULL;
    if (path.size == 0 || path.data[0] == '/') return 0;
    for (size_t at = path.size - 1; at > 0; at--) {
        if (path.data[at - 1] != '/') continue;
        const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, bytes_of(path.data, at), false, err);
        if (!item && err->code != 0) return err->code;
        if (!item || item->node == 0) continue;
        *folder = item;
        return 0;
    }
    return 0;
}

int output_folder_refuse(weir *w, bytes path, weir_error *err)
{
    const cat_item *folder = NULL;
    weir_error local = {0};
    int rc = output_folder_above(w, path, &folder, err ? err : &local);
    if (rc != 0 || !folder) return rc;
    const cat_node *maker = catalog_node(w->catalog, folder->node, err);
    if (!maker) return err->code ? err->code : WEIR_BUG;
    return error_set(err, WEIR_FAILED, "it reads %.*s, which lies below %s, an output of %s: take that node as an input", (int)path.size,
                     (const char *)path.data, output_path(folder), (const char *)maker->spec.name.data);
}
