/*
 * output.c - outputs on disk: is it ours, what is foreign, putting a new one in place.
 *
 *     look -> equal already: the old file stays, with its inode and its mtime
 *          -> not weir's:    into the store and committed, a message, then as below
 *          -> weir's:        rename over it, take the signature
 *
 * O1  Content that weir did not write is in the store, committed, before the path is touched (P13). "Written by weir" means: equal
 *     to what the catalog believes in and made by the execution that holds, or in the store already (then nothing is lost).
 * O2  A path is replaced by rename only: at every moment it has the old content or the new one, whole.
 * O3  A signature is trusted only for the file that was renamed there; one that was swapped meanwhile is read again.
 * O4  A link is never weir's, whatever it leads to (output_link.c).
 *
 * Loop thread only.
 */
#include <inttypes.h>

#include "engine/run/output_internal.h"
#include "engine/world/scan_internal.h"
#include "generated/schema.h"

/* --- looking ----------------------------------------------------------------------------------------------------- */

scan_config output_scan(const weir *w)
{
    return (scan_config){.rootfd = w->rootfd,
                         .blobs = w->blobs,
                         .forbidden = &w->forbidden,
                         .distrust = w->scan.distrust};
}

static int take_note(weir *w, cat_item *item, const scan_request *r, bool is_link, weir_error *err)
{
    bool nothing = hash_is_none(item->hash) && hash_equal(r->hash, HASH_ABSENT);
    item->disk_differs = !nothing && (is_link || !hash_equal(r->hash, item->hash));
    item->disk_hash = is_link ? HASH_NONE : r->hash;
    if (r->known && r->known_racy == r->racy && hash_equal(r->known_hash, r->hash) &&
        scan_sig_equal(&r->known_sig, &r->sig))
        return 0;
    return sigcache_put(w->sigs, item->name, item->id, &r->sig, r->hash, r->racy || item->disk_differs, err);
}

/* What is behind the path. Something that cannot be read as a file is an answer, not an error. */
static int scan_item(weir *w, cat_item *item, scan_request *r, weir_error *err)
{
    scan_config config = output_scan(w);
    *r = observe_request(w, item);
    scan_one(&config, r);
    bool is_moved = r->read || !hash_equal(r->hash, item->hash); /* else its signature is that of a file */
    if (r->code == 0) return take_note(w, item, r, is_moved && r->type != OS_ABSENT && output_is_link(w, item->name), err);
    if (r->code != WEIR_WORKFLOW) return error_set(err, r->code, "%s", r->message);
    item->disk_differs = true;
    item->disk_hash = HASH_NONE;
    return 0;
}

/* A folder on the way may have become a link since the definition was checked: weir writes nothing outside the root (P10). */
int output_stays_inside(weir *w, const cat_item *item, weir_error *err)
{
    bytes folder = bytes_of(item->name.data, path_name_at(item->name));
    if (folder.size == 0) return 0;
    weir_error why = {0};
    buf text, real;
    buf_init(&text);
    buf_init(&real);
    buf_append(&text, folder.data, folder.size - 1);
    const char *path = buf_cstr(&text);
    int rc = path ? scan_inside(w->rootfd, path, &real, &why) : error_nomem(err, "checking an output");
    if (rc == WEIR_WORKFLOW)
        rc = error_set(err, WEIR_FAILED, "output %s: %s; weir writes nothing outside the project", output_path(item), why.message);
    else if (rc != 0 && path) rc = error_set(err, rc, "output %s: %s", output_path(item), why.message);
    buf_deinit(&text);
    buf_deinit(&real);
    return rc;
}

int output_look(weir *w, cat_item *item, output_seen *seen, weir_error *err)
{
    *seen = (output_seen){.differed = item->disk_differs};
    int rc = output_stays_inside(w, item, err);
    if (rc == 0) rc = os_statat(w->rootfd, output_path(item), false, &seen->link, err);
    if (rc != 0) return rc;
    if (seen->link.type != OS_ABSENT) return scan_item(w, item, &seen->scan, err);
    seen->scan = observe_request(w, item);
    seen->scan.hash = HASH_ABSENT;
    return take_note(w, item, &seen->scan, false, err);
}

int output_is_good(weir *w, cat_item *item, bool *good, weir_error *err)
{
    scan_request r;
    *good = false;
    if (item->foreseen) {
        *good = !item->disk_differs;
        return 0;
    }
    if (hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT)) return 0;
    int rc = scan_item(w, item, &r, err);
    *good = rc == 0 && r.code == 0 && !item->disk_differs;
    return rc;
}

/* --- signatures -------------------------------------------------------------------------------------------------- */

int output_sign_as(weir *w, cat_item *item, hash128 hash, const os_stat *made, weir_error *err)
{
    os_stat now;
    int rc = os_statat(w->rootfd, output_path(item), true, &now, err);
    if (rc != 0) return rc;
    if (now.type == OS_ABSENT)
        return error_set(err, WEIR_IO, "%s went away while weir put it in place",
                         output_path(item));
    bool same = !made || (now.dev == made->dev && now.ino == made->ino && now.size == made->size &&
                          now.mtime_ns == made->mtime_ns);
    scan_sig sig = scan_sig_of(&now);
    item->disk_differs = false;
    return sigcache_put(w->sigs, item->name, item->id, &sig, hash, !same || scan_is_coarse(&sig), err);
}

int output_sign(weir *w, cat_item *item, hash128 hash, weir_error *err)
{
    scan_request r;
    bool is_unread = hash_is_none(hash) || manifest_is_folder(item->name); /* put back unread: look at it */
    if (is_unread) return scan_item(w, item, &r, err);
    return output_sign_as(w, item, hash, NULL, err);
}

/* --- foreign content --------------------------------------------------------------------------------------------- */

/* Does the result that holds for the node say that weir wrote this? A path that was a source before has the hash of what the user wrote. */
static int was_made_here(weir *w, const cat_item *item, uint64_t node_id, bool *made,
                         weir_error *err)
{
    const cat_result *result = NULL;
    *made = false;
    weir_error why = {0};
    const cat_node *node = node_id ? catalog_node(w->catalog, node_id, &why) : NULL;
    if (!node) return why.code ? error_set(err, why.code, "%s", why.message) : 0;
    if (node->execution == 0) return 0;
    int rc = catalog_result(w->catalog, node->execution, &result, err);
    if (rc != 0) return rc == WEIR_NOTFOUND ? 0 : rc;
    for (size_t i = 0; i < result->output_count && !*made; i++) {
        const output_record *o = &result->outputs[i];
        bool here = o->item == item->id || (o->port < node->spec.output_count &&
                                            node->spec.outputs[o->port].id == item->id);
        *made = here && hash_equal(o->hash, item->hash);
    }
    return 0;
}

/* A source that a node makes from now on: the content is the user's, though it may be in the store for other reasons. */
static int was_source(weir *w, const cat_item *item, bool *source, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_ITEM_SAID_BY, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)item->id);
    int rc = db_step(q, err);
    *source = rc == 1 && db_int(q, 0) == EVENT_ITEM_OBSERVED;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static int is_ours(weir *w, const cat_item *item, uint64_t node, const output_seen *seen,
                   bool *ours, weir_error *err)
{
    const scan_request *r = &seen->scan;
    hash128 content;
    *ours = false;
    if (r->code != 0 || r->type != OS_FILE) return 0;
    bool believed = hash_equal(r->hash, item->hash);
    if (believed) {
        int rc = was_made_here(w, item, node, ours, err);
        bool source = false;
        if (rc == 0 && !*ours) rc = was_source(w, item, &source, err);
        if (rc != 0 || *ours || source) return rc;
    } else if (seen->differed || r->read) {
        return 0; /* somebody changed it */
    }
    /* Signed by weir, but no result says so yet (half of a restored one), or made by another node: fine if it is in the store. */
    return output_is_stored(w, r->hash, r->mode, &content, ours, err);
}

void output_say_kept(weir *w, uint64_t item, hash128 content, uint64_t node)
{
    buf *body = catalog_body(w->catalog);
    event_put_foreign_kept(body,
                           &(event_foreign_kept){.item = item, .hash = content, .node = node});
    journal_say(w->journal, EVENT_FOREIGN_KEPT, body);
}

int output_in_the_way(const char *path, weir_error *err)
{
    return error_set(err, WEIR_FAILED,
                     "%s is a FIFO, a socket or a device, and an output belongs there: remove it or rename the output",
                     path);
}

/* A command looks twice, and a failed attempt is followed by another one: the same content is kept and told once. */
static bool was_said(weir *w, const cat_item *item, hash128 content, weir_error *err)
{
    uint8_t key[sizeof item->id + HASH_SIZE];
    bool added = true;
    memcpy(key, &item->id, sizeof item->id);
    memcpy(key + sizeof item->id, content.bytes, HASH_SIZE);
    if (!map_put(&w->kept_said, bytes_of(key, sizeof key), &added)) error_nomem(err, "keeping foreign content");
    return !added;
}

static void tell_kept(weir *w, const cat_item *item, bool is_link, hash128 content)
{
    char hex[HASH_HEX];
    bool is_new = hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT);
    tell_message(w, "%s %s; %s: weir get %s -o FILE", output_path(item),
                 is_new ? "was there before weir wrote it" : "was changed by hand",
                 is_link ? "it is a link, whose text is kept" : "kept", hash_hex(content, hex));
}

static int keep_folder(weir *w, cat_item *item, uint64_t node, const output_seen *seen, weir_error *err)
{
    bool is_believed = seen->scan.code == 0 && hash_equal(seen->scan.hash, item->hash);
    if (seen->link.type == OS_ABSENT || is_believed) return 0;
    if (seen->scan.code != 0) return error_set(err, WEIR_FAILED, "%s", seen->scan.message);
    return output_folder_keep(w, item, item->hash, node, false, err);
}

int output_keep_seen(weir *w, cat_item *item, uint64_t node, const output_seen *seen,
                     weir_error *err)
{
    if (manifest_is_folder(item->name)) return keep_folder(w, item, node, seen, err);
    bool ours = false;
    hash128 content;
    os_type type = seen->link.type;
    if (type == OS_ABSENT) return 0;
    if (type == OS_DIR) return output_clear_folder(w, item, err);
    if (type == OS_OTHER) return output_in_the_way(output_path(item), err);
    int rc = type == OS_LINK ? 0 : is_ours(w, item, node, seen, &ours, err);
    if (rc != 0 || ours) return rc;
    os_kill_point("output_before_kept");
    rc = output_store(w, output_path(item), &content, err);
    if (rc == WEIR_NOTFOUND) return 0; /* gone meanwhile */
    if (rc != 0)
        return error_context(err, rc, "%s cannot be kept before it is overwritten",
                             output_path(item));
    if (was_said(w, item, content, err)) return 0;
    if (err->code != 0) return err->code;
    output_say_kept(w, item->id, content, node);
    rc = journal_sync(w->journal, false, err);
    tell_kept(w, item, type == OS_LINK, content);
    return rc;
}

int output_keep_foreign(weir *w, cat_item *item, uint64_t node, weir_error *err)
{
    output_seen seen;
    int rc = output_look(w, item, &seen, err);
    return rc == 0 ? output_keep_seen(w, item, node, &seen, err) : rc;
}

/* --- placing ----------------------------------------------------------------------------------------------------- */

void output_made_folder(void *ctx, const char *folder)
{
    weir *w = ctx;
    buf *body = catalog_body(w->catalog);
    output_note_folder(w, folder);
    event_put_folder_made(body, &(event_folder_made){.path = bytes_str(folder)});
    journal_say(w->journal, EVENT_FOLDER_MADE, body);
}

int output_make_parents(weir *w, const cat_item *item, weir_error *err)
{
    if (manifest_is_folder(item->name)) return output_folder_way(w, item, err);
    int rc = output_clear_way(w, item, err);
    return rc == 0 ? os_make_parents(w->rootfd, output_path(item), output_made_folder, w, err) : rc;
}

/* The old file is what the new one would be: content, type, mode. */
static bool is_same(const output_seen *seen, hash128 hash, uint32_t mode)
{
    return seen->link.type == OS_FILE && seen->scan.code == 0 && seen->scan.type == OS_FILE &&
           hash_equal(seen->scan.hash, hash) && seen->scan.mode == mode;
}

/* The temporary file as it will be; size and mode are what the effect reported. */
static int finish_temp(weir *w, const char *temp, uint64_t size, uint32_t mode, os_stat *made,
                       weir_error *err)
{
    int rc = os_statat(w->rootfd, temp, false, made, err);
    if (rc != 0) return rc;
    if (made->type != OS_FILE || (uint64_t)made->size != size)
        return error_set(err, WEIR_FAILED,
                         "%s is not the file of %" PRIu64 " bytes that the effect wrote", temp,
                         size);
    return made->mode == mode ? 0 : os_chmodat(w->rootfd, temp, mode, err);
}

int output_place(weir *w, cat_item *item, const char *temp, hash128 hash, uint64_t size,
                 uint32_t mode, uint64_t node, weir_error *err)
{
    output_seen seen;
    os_stat made;
    int rc = output_look(w, item, &seen, err);
    if (rc == 0 && is_same(&seen, hash, mode)) {
        item->disk_differs = false;
        return os_unlinkat(w->rootfd, temp, err);
    }
    if (rc == 0) rc = finish_temp(w, temp, size, mode, &made, err);
    if (rc == 0) rc = output_keep_seen(w, item, node, &seen, err);
    if (rc == 0 && seen.link.type == OS_ABSENT) rc = output_make_parents(w, item, err);
    if (rc == 0) rc = output_note(w, item, hash, err);
    os_kill_point("output_before_rename");
    if (rc == 0) rc = os_renameat(w->rootfd, temp, w->rootfd, output_path(item), err);
    os_kill_point("output_after_rename");
    return rc == 0 ? output_sign_as(w, item, hash, &made, err) : rc;
}
