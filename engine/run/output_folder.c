/*
 * output_folder.c - folders as outputs: everything below is one content, whose blob is the manifest (world/manifest.h).
 *
 *     restore   what is missing is made in .weir/tmp -> foreign files kept -> what the new tree does not have goes -> renamed into place
 *     place     a job's tree lies in .weir/tmp: the same from there on
 *     remove    files that are as weir made them go, then empty folders; what else is there stays
 *
 * F1  Nothing below is touched before all that is needed lies in .weir/tmp: a payload that is missing or damaged is a miss, no half tree.
 * F2  A file that the manifest believed in does not name with just this content is in the store before it goes (P13).
 * F3  A file that is as it has to be keeps its inode.
 *
 * A kill in between leaves a mixture of two trees whose files are all in the store. A note (output_note.c) says which tree was on its way: recovery takes
 * away what is of that one alone, and brings back the one that the state believes in.
 *
 * Loop thread only.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/run/output_internal.h"
#include "engine/run/watching.h"

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

/* What is below an output now. Where its signature says that it is as the state believes, nothing is read. */
static int walk_item(weir *w, const cat_item *item, mem_arena *arena, tree *to, weir_error *err)
{
    scan_config config = output_scan(w);
    const scan_entry *entry = sigcache_get(w->sigs, item->name);
    scan_request r = {.path = item->name};
    weir_error why = {0};
    if (!entry || hash_is_none(item->hash) || !hash_equal(entry->hash, item->hash)) return walk(w, output_path(item), arena, to, err);
    r.known = true;
    r.known_sig = entry->sig;
    r.known_hash = entry->hash;
    r.known_racy = entry->racy;
    scan_one(&config, &r);
    bool is_so = r.code == 0 && hash_equal(r.hash, item->hash) && load(w, item->hash, arena, to, &why) == 0;
    return is_so ? 0 : walk(w, output_path(item), arena, to, err);
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

int output_folder_sync(weir *w, hash128 hash, weir_error *err)
{
    mem_arena arena;
    tree all = {0};
    weir_error why = {0};
    arena_init(&arena);
    int rc = journal_sync(w->journal, false, &why); /* its list may be queued */
    if (rc == 0) rc = load(w, hash, &arena, &all, &why);
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        if (all.entries[i].type == OS_FILE) rc = blob_sync(w->blobs, all.entries[i].content, &why);
    arena_deinit(&arena);
    return rc == 0 ? 0 : error_set(err, rc == WEIR_NOTFOUND ? WEIR_IO : rc, "%s", why.message);
}

int output_folder_entries(weir *w, const cat_item *item, mem_arena *arena, manifest_entry **entries, size_t *count, weir_error *err)
{
    tree all;
    buf text;
    int rc = load(w, item->hash, arena, &all, err);
    if (rc == WEIR_NOTFOUND) {
        error_clear(err);
        rc = walk(w, output_path(item), arena, &all, err);
        buf_init(&text);
        if (rc == 0) manifest_put(all.entries, all.count, &text);
        bool is_so = rc == 0 && !text.failed && hash_equal(hash_bytes(text.data, text.size), item->hash);
        if (!is_so) rc = error_set(err, WEIR_NOTFOUND, "the list of %s is not in the store", output_path(item));
        buf_deinit(&text);
    }
    *entries = all.entries;
    *count = all.count;
    return rc;
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
    const char *from; /* place: where the new tree lies; NULL: its files are numbered */
    hash128 hash;     /* of the new tree */
} restore;

static const char *temp_of(restore *r, size_t i)
{
    if (r->from) return arena_printf(&r->arena, "%s/%s", r->from, (const char *)r->want.entries[i].path.data);
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
    bool recovers = r->node == 0; /* nothing is announced, and tmp is about to be swept */
    if (rc == 0) rc = keep_all(r->w, r->item, &r->now, &ours, r->node, recovers, &r->arena, err);
    if (rc == 0) rc = output_folder_way(r->w, r->item, err);
    if (rc == 0 && !recovers) rc = output_note(r->w, r->item, r->hash, err);
    if (rc == 0) rc = os_mkdirat(r->w->rootfd, top, 0755, err);
    if (rc == 0) rc = clear_rest(r, err);
    if (rc == 0) rc = place_all(r, err);
    return rc;
}

int output_folder_restore(weir *w, cat_item *item, hash128 hash, uint64_t node, weir_error *err)
{
    weir_error why = {0};
    char folder[48];
    restore r = {.w = w, .item = item, .node = node, .hash = hash};
    snprintf(folder, sizeof folder, ".weir/tmp/f%" PRIu64, item->id);
    arena_init(&r.arena);
    int rc = load(w, hash, &r.arena, &r.want, &why);
    if (rc == 0) rc = walk_item(w, item, &r.arena, &r.now, &why);
    if (rc == 0) rc = make_temps(&r, &why);
    if (rc == 0) {
        rc = swap(&r, &why);
        if (rc == WEIR_NOTFOUND) rc = WEIR_IO; /* only a payload that is gone is a miss */
    }
    (void)os_remove_tree(w->rootfd, folder, NULL);
    arena_deinit(&r.arena);
    return rc == 0 ? 0 : error_set(err, rc, "restoring %s: %s", output_path(item), why.message);
}

/* --- a job's new tree --------------------------------------------------------------------------------------------- */

/* Nobody else writes there, but a user might have. */
static int settle_placed(weir *w, cat_item *item, hash128 hash, weir_error *err)
{
    scan_config config = output_scan(w);
    scan_request now = {.item = item->id, .path = item->name};
    scan_one(&config, &now);
    if (now.code != 0) return error_set(err, now.code, "%s", now.message);
    if (!hash_equal(now.hash, hash)) return error_set(err, WEIR_FAILED, "%s was changed while weir put it in place", output_path(item));
    item->disk_differs = false;
    return sigcache_put(w->sigs, item->name, item->id, &now.sig, now.hash, now.racy, err);
}

int output_folder_place(weir *w, cat_item *item, const char *temp, hash128 hash, uint64_t node, weir_error *err)
{
    weir_error why = {0};
    restore r = {.w = w, .item = item, .node = node, .from = temp, .hash = hash};
    arena_init(&r.arena);
    int rc = journal_sync(w->journal, false, &why); /* whatever a kill leaves in place can be told from what is foreign */
    watching_moved_folder(w);
    if (rc == 0) rc = load(w, hash, &r.arena, &r.want, &why);
    if (rc == 0) rc = walk_item(w, item, &r.arena, &r.now, &why);
    if (rc == 0) rc = swap(&r, &why);
    if (rc == 0) rc = os_remove_tree(w->rootfd, temp, &why);
    arena_deinit(&r.arena);
    if (rc == 0) rc = settle_placed(w, item, hash, &why);
    return rc == 0 ? 0 : error_set(err, rc == WEIR_NOTFOUND ? WEIR_IO : rc, "%s", why.message);
}

/* --- after a kill ------------------------------------------------------------------------------------------------- */

/* What is of the tree that was on its way and not of the one believed in. */
static int take_back(weir *w, const cat_item *item, const tree *ours, const tree *now, mem_arena *arena, const tree *coming, weir_error *err)
{
    int rc = 0;
    for (size_t i = now->count; rc == 0 && i-- > 0;) {
        const manifest_entry *e = &now->entries[i];
        bool removed = false;
        const char *path = below(arena, item, e);
        if (!path) return error_nomem(err, doing);
        if (!has_same(coming, e) || has_same(ours, e)) continue;
        rc = e->type == OS_DIR ? os_rmdirat(w->rootfd, path, &removed, err) : os_unlinkat(w->rootfd, path, err);
        os_kill_point("recover_stray_folder");
    }
    return rc;
}

int output_folder_undo(weir *w, cat_item *item, hash128 coming, weir_error *err)
{
    mem_arena arena;
    tree new_one = {0}, ours = {0}, now = {0};
    weir_error why = {0};
    bool removed = false;
    bool has_old = !hash_is_none(item->hash) && !hash_equal(item->hash, HASH_ABSENT);
    arena_init(&arena);
    const char *top = output_plain_path(&arena, item->name);
    int rc = top ? load_believed(w, coming, &arena, &new_one, &why) : error_nomem(&why, doing);
    if (rc == 0) rc = load_believed(w, item->hash, &arena, &ours, &why);
    if (rc == 0) rc = walk(w, output_path(item), &arena, &now, &why);
    if (rc == 0) rc = take_back(w, item, &ours, &now, &arena, &new_one, &why);
    if (rc == 0 && !has_old) rc = os_rmdirat(w->rootfd, top, &removed, &why);
    arena_deinit(&arena);
    if (rc == 0 && has_old) rc = output_folder_restore(w, item, item->hash, 0, &why);
    if (rc == WEIR_NOTFOUND || rc == WEIR_FAILED) rc = 0; /* its node is due: the output is not what the state believes in */
    return rc == 0 ? 0 : error_set(err, rc, "%s", why.message);
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

/* Does a node that is there make this, something in it, or all that is around it? Then it is no part of the folder any more. */
static int is_claimed(weir *w, const manifest_entry *e, const char *path, bool *claimed, weir_error *err)
{
    const cat_item *above = NULL;
    *claimed = true;
    const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, bytes_str(path), false, err);
    if (!item && err->code != 0) return err->code;
    if (item && item->node != 0) return 0;
    int rc = output_folder_above(w, bytes_str(path), &above, err);
    *claimed = above != NULL;
    return rc == 0 && !above && e->type == OS_DIR ? output_is_needed(w, bytes_str(path), claimed, err) : rc;
}

int output_folder_remove(weir *w, cat_item *item, hash128 made, size_t *left, weir_error *err)
{
    mem_arena arena;
    tree ours = {0}, now = {0};
    bool removed = false, needed = true;
    *left = 0;
    arena_init(&arena);
    const char *top = output_plain_path(&arena, item->name);
    int rc = top ? load_believed(w, made, &arena, &ours, err) : error_nomem(err, doing);
    if (rc == 0) rc = output_is_needed(w, bytes_str(top), &needed, err);
    if (rc == 0) rc = walk(w, output_path(item), &arena, &now, err);
    for (size_t i = now.count; rc == 0 && i-- > 0;) {
        const manifest_entry *e = &now.entries[i];
        const char *path = below(&arena, item, e);
        bool is_ours = has_same(&ours, e), claimed = false;
        rc = path ? is_claimed(w, e, path, &claimed, err) : error_nomem(err, doing);
        if (rc != 0 || claimed) continue;
        if (e->type == OS_DIR) rc = is_ours ? os_rmdirat(w->rootfd, path, &removed, err) : 0;
        else if (is_ours) rc = os_unlinkat(w->rootfd, path, err);
        else (*left)++;
        os_kill_point("vanish_folder_part");
    }
    if (rc == 0 && !needed) rc = os_rmdirat(w->rootfd, top, &removed, err);
    arena_deinit(&arena);
    return rc;
}

/* --- who makes what is below ------------------------------------------------------------------------------------- */

int output_folder_above(weir *w, bytes path, const cat_item **folder, weir_error *err)
{
    *folder = NULL;
    if (path.size == 0 || path.data[0] == '/' || !catalog_has_folders(w->catalog)) return 0;
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
