/*
 * output_vanish.c - removing what nodes that are gone have made.
 *
 * A file goes only if nobody claims or reads it and it still holds what weir wrote (a folder: if nobody declares to read a file in it):
 *
 *     as recorded where it lies? -> move to .weir/tmp/v<item> -> still as recorded? -> in the store? -> unlink -> say so
 *                             no: it is left                      no: moved back
 *
 * V1  What is removed was hashed at a place where nobody else writes, and its payload is in the store, committed.
 * V2  A kill loses nothing: recovery moves .weir/tmp/v<item> back, and the row stays until the event is committed.
 *
 * A file of a node with store = false (keep = 1) is left to `weir clean`. One that was changed by hand is the user's from then on: its row
 * stays, and it is named only when its content was read anew. Then the folders that weir made and that became empty, deepest first.
 *
 * Loop thread only; the last step of a full run without failures.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/run/output_internal.h"
#include "generated/schema.h"

enum { NAMED = 5 }; /* removed files that are told one by one */

typedef struct vanished {
    cat_item *item;
    uint64_t node; /* that wrote it */
    hash128 hash;  /* as weir wrote it */
} vanished;

typedef struct sweep {
    weir *w;
    mem_arena arena;
    vanished *rows; /* owned */
    size_t count, capacity;
    map folders; /* those that a removed file was in, at any depth */
    uint64_t removed;
    bool is_any_gone; /* recorded as gone, by hand or by this */
} sweep;

/* --- which ones -------------------------------------------------------------------------------------------------- */

static int read_rows(sweep *s, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(s->w->catalog), SQL_VANISHED_OUTPUTS, err);
    if (!q) return err->code;
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (db_int(q, 3) != 0) continue;
        uint64_t id = (uint64_t)db_int(q, 0);
        vanished row = {NULL, (uint64_t)db_int(q, 1), db_hash(q, 2)};
        row.item = catalog_item(s->w->catalog, id, err);
        if (!row.item && err->code == 0)
            error_set(err, WEIR_CORRUPT, "item %" PRIu64 " of a vanished output is not there", id);
        if (row.item && !MEM_GROW(s->rows, s->capacity, s->count + 1))
            error_nomem(err, "reading vanished outputs");
        if (err->code != 0) {
            db_reset(q);
            return err->code;
        }
        s->rows[s->count++] = row;
    }
    return rc;
}

/* A declared input below a folder keeps all of it. */
static int is_used_below(weir *w, bytes folder, bool *used, weir_error *err)
{
    buf to; /* '0' follows '/' */
    buf_init(&to);
    buf_append(&to, folder.data, folder.size - 1);
    buf_byte(&to, '0');
    db_stmt *q = to.failed ? NULL : db_get(catalog_db(w->catalog), SQL_USE_BELOW, err);
    int rc = q ? 0 : to.failed ? error_nomem(err, "removing an output") : err->code;
    if (q) {
        db_bind_bytes(q, 1, folder);
        db_bind_bytes(q, 2, buf_bytes(&to));
        int found = db_step(q, err);
        *used = found == 1;
        if (found < 0) rc = found;
        db_reset(q);
    }
    buf_deinit(&to);
    return rc;
}

int output_is_in_use(weir *w, const cat_item *item, bool *used, weir_error *err)
{
    *used = true;
    if (item->node != 0) return 0;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_ITEM_IN_USE, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)item->id);
    int rc = db_step(q, err);
    *used = rc == 1;
    db_reset(q);
    if (rc < 0 || *used || !manifest_is_folder(item->name)) return rc < 0 ? rc : 0;
    return is_used_below(w, item->name, used, err);
}

/* --- one file ---------------------------------------------------------------------------------------------------- */

static int remember_folders(sweep *s, bytes path, weir_error *err)
{
    for (size_t at = path.size; at > 0; at--) {
        if (path.data[at - 1] != '/') continue;
        if (at > 1 && at < path.size && !map_put(&s->folders, bytes_of(path.data, at - 1), NULL))
            return error_nomem(err, "removing outputs");
    }
    return 0;
}

void output_say_gone(weir *w, cat_item *item, hash128 hash)
{
    buf *body = catalog_body(w->catalog);
    event_put_output_removed(body, &(event_output_removed){.item = item->id, .hash = hash});
    journal_say(w->journal, EVENT_OUTPUT_REMOVED, body);
    sigcache_drop(w->sigs, item->name);
    item->hash = HASH_ABSENT;
    item->size = 0;
    item->mode = 0;
    item->disk_differs = false;
    if (w->summary) w->summary->removed++;
}

static int say_gone(sweep *s, const vanished *row, hash128 hash, weir_error *err)
{
    uint64_t removed = s->w->summary ? s->w->summary->removed : 0;
    output_say_gone(s->w, row->item, hash);
    if (s->w->summary) s->w->summary->removed = removed; /* counted when it is told */
    s->is_any_gone = true;
    return remember_folders(s, row->item->name, err);
}

static void tell_removed(sweep *s, const vanished *row, hash128 content)
{
    char hex[HASH_HEX];
    s->removed++;
    if (s->w->summary) s->w->summary->removed++;
    if (s->removed <= NAMED && manifest_is_folder(row->item->name))
        tell_message(s->w, "%s was removed, no node makes it any more; kept: weir get %s lists its files", output_path(row->item),
                     hash_hex(content, hex));
    else if (s->removed <= NAMED)
        tell_message(s->w, "%s was removed, no node makes it any more; kept: weir get %s -o FILE",
                     output_path(row->item), hash_hex(content, hex));
}

/* The payload is in the store when this returns. */
static int secure(weir *w, const scan_request *seen, const char *path, hash128 *content,
                  weir_error *err)
{
    bool stored = false;
    int rc = output_is_stored(w, seen->hash, seen->mode, content, &stored, err);
    return rc == 0 && !stored ? output_store(w, path, content, err) : rc;
}

static void look_at(weir *w, const char *path, const cat_item *known_as, scan_request *r)
{
    scan_config config = output_scan(w);
    const scan_entry *entry = known_as ? sigcache_get(w->sigs, known_as->name) : NULL;
    *r = (scan_request){.path = bytes_str(path)};
    if (entry) {
        r->known = true;
        r->known_sig = entry->sig;
        r->known_hash = entry->hash;
        r->known_racy = entry->racy;
    }
    scan_one(&config, r);
}

/* Not what weir wrote: back. Where something new lies at its path meanwhile, both are the user's: this one goes into the store. */
static int move_back(sweep *s, const vanished *row, const char *temp, weir_error *err)
{
    os_stat st;
    hash128 content;
    char hex[HASH_HEX];
    weir *w = s->w;
    int rc = os_statat(w->rootfd, output_path(row->item), false, &st, err);
    if (rc == 0 && st.type == OS_ABSENT)
        return os_renameat(w->rootfd, temp, w->rootfd, output_path(row->item), err);
    if (rc == 0) rc = output_store(w, temp, &content, err);
    if (rc != 0) return rc;
    output_say_kept(w, row->item->id, content, row->node);
    tell_message(w, "%s was changed by hand; kept: weir get %s -o FILE", output_path(row->item),
                 hash_hex(content, hex));
    return 0;
}

/* It lies in .weir/tmp now: gone for good, or back. */
static int remove_moved(sweep *s, const vanished *row, const char *temp, weir_error *err)
{
    scan_request r;
    hash128 content;
    look_at(s->w, temp, NULL, &r);
    if (r.code != 0 || !hash_equal(r.hash, row->hash)) return move_back(s, row, temp, err);
    int rc = secure(s->w, &r, temp, &content, err);
    if (rc != 0) {
        (void)move_back(s, row, temp, NULL);
        return rc;
    }
    rc = os_unlinkat(s->w->rootfd, temp, err);
    os_kill_point("vanish_removed");
    if (rc == 0) rc = say_gone(s, row, row->hash, err);
    if (rc == 0) tell_removed(s, row, content);
    return rc;
}

static int remove_file(sweep *s, const vanished *row, weir_error *err)
{
    char temp[48];
    snprintf(temp, sizeof temp, ".weir/tmp/v%" PRIu64, row->item->id);
    int rc = os_renameat(s->w->rootfd, output_path(row->item), s->w->rootfd, temp, err);
    os_kill_point("vanish_moved");
    return rc == 0 ? remove_moved(s, row, temp, err) : rc;
}

/* A command made a link: what it leads to cannot be hashed elsewhere. Content and target are kept. */
static int remove_link(sweep *s, const vanished *row, const scan_request *seen, weir_error *err)
{
    hash128 content;
    hash128 target;
    const char *path = output_path(row->item);
    int rc = output_store(s->w, path, &target, err);
    if (rc == 0) rc = secure(s->w, seen, path, &content, err);
    if (rc == 0) rc = os_unlinkat(s->w->rootfd, path, err);
    if (rc == 0) rc = say_gone(s, row, row->hash, err);
    if (rc == 0) tell_removed(s, row, target);
    return rc;
}

/* A folder that was an output: what is in it and was not made by weir stays, and is nobody's from now on. */
static int remove_tree(sweep *s, const vanished *row, weir_error *err)
{
    size_t left = 0;
    const char *path = output_path(row->item);
    int rc = output_folder_remove(s->w, row->item, row->hash, &left, err);
    if (rc == 0) rc = say_gone(s, row, row->hash, err);
    if (rc != 0) return rc;
    tell_removed(s, row, row->hash);
    if (left > 0)
        tell_message(s->w, "%s: %zu file%s that weir did not write %s left", path, left, left == 1 ? "" : "s",
                     left == 1 ? "is" : "are");
    return 0;
}

/* Somebody declares it as an input, so it is a source from now on. Said in the run in which its maker vanished. */
static void tell_source(sweep *s, const vanished *row)
{
    bool is_new = false;
    for (size_t i = 0; !is_new && i < s->w->gone_count; i++) is_new = s->w->gone_nodes[i] == row->node;
    if (is_new)
        tell_message(s->w, "%s is left, though no node makes it any more: it is an input, so from now on it is a source",
                     output_path(row->item));
}

static int remove_one(sweep *s, const vanished *row, weir_error *err)
{
    os_stat st;
    scan_request r;
    bool used;
    const char *path = output_path(row->item);
    int rc = output_is_in_use(s->w, row->item, &used, err);
    if (rc == 0 && used) tell_source(s, row);
    if (rc != 0 || used) return rc;
    weir_error outside = {0};
    if (output_stays_inside(s->w, row->item, &outside) != 0) {
        tell_message(s->w, "%s is left, though no node makes it any more: %s", path, outside.message);
        return 0;
    }
    const char *plain = output_plain_path(&s->arena, row->item->name);
    rc = plain ? os_statat(s->w->rootfd, plain, false, &st, err) : error_nomem(err, "removing an output");
    if (rc != 0) return rc;
    if (manifest_is_folder(row->item->name))
        return st.type == OS_DIR ? remove_tree(s, row, err) : say_gone(s, row, HASH_ABSENT, err);
    if (st.type == OS_ABSENT || st.type == OS_DIR) return say_gone(s, row, HASH_ABSENT, err);
    look_at(s->w, path, row->item, &r);
    if (r.code != 0 || !hash_equal(r.hash, row->hash)) {
        if (r.read)
            tell_message(s->w, "%s is left, though no node makes it any more: it was changed by hand",
                         path);
        return 0;
    }
    if (st.type == OS_FILE) return remove_file(s, row, err);
    return st.type == OS_LINK ? remove_link(s, row, &r, err) : 0;
}

/* --- folders ----------------------------------------------------------------------------------------------------- */

int output_is_needed(weir *w, bytes folder, bool *needed, weir_error *err)
{
    buf from;
    buf to; /* '0' follows '/' */
    buf_init(&from);
    buf_init(&to);
    buf_printf(&from, "%s/", (const char *)folder.data);
    buf_printf(&to, "%s0", (const char *)folder.data);
    int rc = from.failed || to.failed ? error_nomem(err, "removing folders") : 0;
    db_stmt *q = rc == 0 ? db_get(catalog_db(w->catalog), SQL_OUTPUTS_BELOW, err) : NULL;
    if (rc == 0 && !q) rc = err->code;
    if (q) {
        db_bind_bytes(q, 1, buf_bytes(&from));
        db_bind_bytes(q, 2, buf_bytes(&to));
        int found = db_step(q, err);
        *needed = found == 1;
        if (found < 0) rc = found;
        db_reset(q);
    }
    buf_deinit(&from);
    buf_deinit(&to);
    return rc;
}

static int list_folders(sweep *s, bytes **folders, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    int rc;
    db_stmt *q = db_get(catalog_db(s->w->catalog), SQL_FOLDERS_MADE, err);
    if (!q) return err->code;
    while ((rc = db_step(q, err)) == 1) {
        if (!map_get(&s->folders, db_bytes(q, 0))) continue;
        bytes path = arena_bytes(&s->arena, db_bytes(q, 0));
        if (s->arena.failed || !MEM_GROW(*folders, capacity, *count + 1)) {
            db_reset(q);
            return error_nomem(err, "removing folders");
        }
        (*folders)[(*count)++] = path;
    }
    return rc;
}

static int remove_folder(weir *w, bytes folder, weir_error *err)
{
    bool needed = true;
    bool removed = false;
    int rc = output_is_needed(w, folder, &needed, err);
    if (rc != 0 || needed) return rc;
    rc = os_rmdirat(w->rootfd, (const char *)folder.data, &removed, err);
    if (rc != 0 || !removed) return rc;
    buf *body = catalog_body(w->catalog);
    event_put_folder_made(body, &(event_folder_made){.path = folder, .removed = true});
    journal_say(w->journal, EVENT_FOLDER_MADE, body);
    return 0;
}

static int remove_folders(sweep *s, weir_error *err)
{
    bytes *folders = NULL;
    size_t count = 0;
    if (s->folders.count == 0) return 0;
    int rc = list_folders(s, &folders, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) rc = remove_folder(s->w, folders[i], err);
    mem_free(folders);
    return rc;
}

static bool is_below(bytes path, bytes folder)
{
    return path.size > folder.size && path.data[folder.size] == '/' &&
           memcmp(path.data, folder.data, folder.size) == 0;
}

/* Is the row what is asked for? */
static bool is_asked(const vanished *row, bytes below, bytes around)
{
    bytes name = row->item->name;
    if (around.size) return manifest_is_folder(name) && is_below(around, bytes_of(name.data, name.size - 1));
    return below.size == 0 || is_below(name, below);
}

/* `below`: of this folder alone; `around`: folders that this path lies in; both empty: all. */
static int remove_all(weir *w, bytes below, bytes around, bool *gone, weir_error *err)
{
    weir_error why = {0};
    sweep s = {.w = w};
    arena_init(&s.arena);
    map_init(&s.folders);
    int rc = catalog_refresh(w->catalog, &why);
    if (rc == 0) rc = read_rows(&s, &why);
    for (size_t i = 0; rc == 0 && i < s.count; i++)
        if (is_asked(&s.rows[i], below, around)) rc = remove_one(&s, &s.rows[i], &why);
    if (rc == 0) rc = remove_folders(&s, &why);
    if (s.removed > NAMED)
        tell_message(w, "%" PRIu64 " more outputs that no node makes any more were removed; kept: weir log names them",
                     s.removed - NAMED);
    mem_free(s.rows);
    map_deinit(&s.folders);
    arena_deinit(&s.arena);
    if (gone) *gone = s.is_any_gone;
    return rc == 0 ? 0 : error_set(err, rc, "%s", why.message);
}

int output_remove_vanished(weir *w, bool *gone, weir_error *err)
{
    return remove_all(w, bytes_of(NULL, 0), bytes_of(NULL, 0), gone, err);
}

int output_remove_below(weir *w, bytes folder, weir_error *err)
{
    return remove_all(w, folder, bytes_of(NULL, 0), NULL, err);
}

int output_remove_around(weir *w, bytes path, weir_error *err)
{
    return remove_all(w, bytes_of(NULL, 0), path, NULL, err);
}
