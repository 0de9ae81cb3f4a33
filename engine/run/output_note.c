/*
 * output_note.c - what was put in place and is in no committed event yet: .weir/tmp/placed.
 *
 *     note (one write) -> rename into place -> FINISHED or SETTLED said -> ... -> committed -> the file of notes is emptied
 *
 * An output of a worker, or one that is restored, needs no intent: its path holds the old content or the new one, whole. But if the
 * engine is killed between the rename and the commit and the node is gone in the next run, nobody would know whose the file is. The
 * note says so, for the price of one small write and no sync; so after a power loss in just that moment such a file may stay.
 *
 * N1  The note is written before the rename. A rename without one does not happen.
 * N2  Notes are dropped only when everything said after them is committed.
 * N3  Recovery acts on a note only if the state does not know this content and the file still holds exactly it: then what the state
 *     believes in comes back, or the file goes. What somebody wrote meanwhile is left.
 * N4  Each step of it can be repeated; the notes go with the rest of .weir/tmp.
 *
 * Loop thread only.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/run/output_internal.h"

static const char place[] = ".weir/tmp/placed";
enum { NOTES_LARGE = 4 * 1024 * 1024 };

struct output_notes {
    int fd;
    uint64_t size; /* bytes */
};

/* --- taking them ------------------------------------------------------------------------------------------------- */

static struct output_notes *notes_of(weir *w, weir_error *err)
{
    if (w->notes) return w->notes;
    struct output_notes *n = mem_zero(1, sizeof *n);
    if (!n) {
        error_nomem(err, "placing an output");
        return NULL;
    }
    n->fd = os_openat(w->rootfd, place, OS_WRITE | OS_CREATE | OS_APPEND, 0600, err);
    if (n->fd == WEIR_NOTFOUND && os_mkdirat(w->rootfd, ".weir/tmp", 0777, err) == 0)
        n->fd = os_openat(w->rootfd, place, OS_WRITE | OS_CREATE | OS_APPEND, 0600, err);
    if (n->fd < 0) {
        mem_free(n);
        return NULL;
    }
    return w->notes = n;
}

static int write_note(weir *w, bytes path, hash128 hash, weir_error *err)
{
    struct output_notes *n = notes_of(w, err);
    if (!n) return err->code;
    buf body, note;
    buf_init(&body);
    buf_init(&note);
    buf_put_bytes(&body, path);
    buf_put_hash(&body, hash);
    buf_put_hash(&note, hash_bytes(body.data, body.size)); /* the last one may be torn */
    buf_put_bytes(&note, buf_bytes(&body));
    int rc = body.failed || note.failed ? error_nomem(err, "placing an output")
                                        : os_write_all(n->fd, note.data, note.size, place, err);
    if (rc == 0) n->size += note.size;
    buf_deinit(&body);
    buf_deinit(&note);
    return rc;
}

int output_note(weir *w, const cat_item *item, hash128 hash, weir_error *err)
{
    weir_error why = {0};
    int rc = write_note(w, item->name, hash, &why);
    return rc == 0 ? 0 : error_set(err, rc, "%s", why.message);
}

void output_note_folder(weir *w, const char *folder)
{
    (void)write_note(w, bytes_str(folder), HASH_NONE, &(weir_error){0}); /* without it an empty folder may stay */
}

static void drop(weir *w)
{
    struct output_notes *n = w->notes;
    os_close(n->fd);
    mem_free(n);
    w->notes = NULL;
    (void)os_unlinkat(w->rootfd, place, NULL); /* a stale one does no harm: N3 */
}

void output_notes_committed(weir *w)
{
    if (w->notes) drop(w);
}

int output_notes_trim(weir *w, weir_error *err)
{
    if (!w->notes || w->notes->size < NOTES_LARGE) return 0;
    int rc = journal_sync(w->journal, false, err);
    if (rc == 0) drop(w);
    return rc;
}

void output_notes_free(weir *w)
{
    if (!w->notes) return;
    os_close(w->notes->fd);
    mem_free(w->notes);
    w->notes = NULL;
}

/* --- after a kill ------------------------------------------------------------------------------------------------ */

static bool still_holds(weir *w, const char *path, hash128 hash)
{
    os_stat st;
    scan_config config = output_scan(w);
    scan_request r = {.path = bytes_str(path)};
    if (os_statat(w->rootfd, path, false, &st, NULL) != 0 || st.type != OS_FILE) return false;
    scan_one(&config, &r);
    return r.code == 0 && r.type == OS_FILE && hash_equal(r.hash, hash);
}

/* The stray is moved away and looked at there, where nobody else writes: what is foreign after all goes back. */
static int remove_stray(weir *w, const cat_item *item, hash128 hash, weir_error *err)
{
    char temp[48];
    snprintf(temp, sizeof temp, ".weir/tmp/v%" PRIu64, item->id);
    int rc = os_renameat(w->rootfd, output_path(item), w->rootfd, temp, err);
    os_kill_point("recover_stray_moved");
    if (rc != 0) return rc;
    if (!still_holds(w, temp, hash)) return os_renameat(w->rootfd, temp, w->rootfd, output_path(item), err);
    return os_unlinkat(w->rootfd, temp, err);
}

static int back_to_recorded(weir *w, const cat_item *item, hash128 hash, weir_error *err)
{
    os_stat made;
    weir_error why = {0};
    const char *temp = ".weir/tmp/recover";
    if (hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT)) return remove_stray(w, item, hash, err);
    int rc = output_from_store(w, item->hash, item->mode, temp, &made, &why);
    if (rc == WEIR_NOTFOUND) return 0; /* its node is due: the output is not what the state believes in */
    if (rc != 0) return error_set(err, rc, "%s", why.message);
    if (!still_holds(w, output_path(item), hash)) return os_unlinkat(w->rootfd, temp, err);
    return os_renameat(w->rootfd, temp, w->rootfd, output_path(item), err);
}

static int heed_file(weir *w, bytes path, hash128 hash, weir_error *err)
{
    weir_error outside = {0};
    cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, path, false, err);
    if (!item && err->code != 0) return err->code;
    if (item && hash_equal(item->hash, hash)) return 0; /* recorded */
    if (!item) item = catalog_item_named(w->catalog, ITEM_FILE, path, true, err);
    if (!item) return err->code;
    if (output_stays_inside(w, item, &outside) != 0) return 0;
    if (manifest_is_folder(path)) return output_folder_undo(w, item, hash, err);
    if (!still_holds(w, output_path(item), hash)) return 0;
    return back_to_recorded(w, item, hash, err);
}

/* `note` is in `arena`, NUL behind it. */
static int heed(weir *w, bytes note, mem_arena *arena, weir_error *err)
{
    unpack u = unpack_of(note);
    bytes path = arena_bytes(arena, unpack_bytes(&u));
    hash128 hash = unpack_hash(&u);
    bool removed = false;
    if (u.failed || !path.data || path.size == 0) return 0;
    if (!hash_is_none(hash)) return heed_file(w, path, hash, err);
    return os_rmdirat(w->rootfd, (const char *)path.data, &removed, err); /* if it is empty */
}

/* The newest first, so that folders come after what was put into them. */
static int heed_all(weir *w, bytes all, mem_arena *arena, weir_error *err)
{
    bytes *notes = NULL;
    size_t count = 0, capacity = 0;
    int rc = 0;
    unpack u = unpack_of(all);
    while (rc == 0) {
        hash128 check = unpack_hash(&u);
        bytes note = unpack_bytes(&u);
        if (u.failed || note.size == 0 || !hash_equal(check, hash_bytes(note.data, note.size))) break;
        if (!MEM_GROW(notes, capacity, count + 1)) rc = error_nomem(err, "recovering");
        else notes[count++] = note;
    }
    for (size_t i = count; rc == 0 && i-- > 0;) rc = heed(w, notes[i], arena, err);
    mem_free(notes);
    return rc;
}

int output_notes_recover(weir *w, mem_arena *arena, weir_error *err)
{
    buf all;
    buf_init(&all);
    int rc = os_read_file(w->rootfd, place, (size_t)1 << 30, &all, err);
    if (rc == 0) rc = heed_all(w, buf_bytes(&all), arena, err);
    else if (rc == WEIR_NOTFOUND) {
        error_clear(err);
        rc = 0;
    }
    buf_deinit(&all);
    return rc;
}
