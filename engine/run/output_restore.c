/*
 * output_restore.c - outputs into the store, and back from it.
 *
 * A payload lies under the hash of its plain content. The state knows outputs by fingerprint, which is that hash unless an execute
 * bit is set: then it is the hash of "weir x" and the content's hash (world/scan.h). So for each executable a second blob of exactly
 * these 22 bytes is stored; its own hash is the fingerprint, and it leads to the content:
 *
 *     fingerprint -> blob "weir x" + content hash -> blob with the content
 *
 * What is queued for the writer is not visible to reads yet: whoever finds nothing moves the snapshot on and looks once more.
 *
 * Loop thread only.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/run/output_internal.h"
#include "engine/run/watching.h"

static const char lead[] = "weir x";
enum { LEAD = sizeof lead - 1, LEADING = LEAD + HASH_SIZE, EXECUTE = 0111 };

/* --- into the store ---------------------------------------------------------------------------------------------- */

static int keep_lead(weir *w, hash128 content, weir_error *err)
{
    uint8_t text[LEADING];
    blob_row row;
    memcpy(text, lead, LEAD);
    memcpy(text + LEAD, content.bytes, HASH_SIZE);
    int rc = blob_row_make(bytes_of(text, sizeof text), hash_bytes(text, sizeof text), &row, err);
    if (rc == 0) journal_payload(w->journal, &row);
    return rc;
}

int output_keep_payload(weir *w, scan_request *r, weir_error *err)
{
    if (r->row.stored) journal_payload(w->journal, &r->row);
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].stored) journal_payload(w->journal, &r->rows[i]);
    r->row_count = 0;
    scan_drop_rows(r);
    bool leads = (r->mode & EXECUTE) != 0 && !hash_is_none(r->content);
    return leads ? keep_lead(w, r->content, err) : 0;
}

static int store_link(weir *w, const char *path, hash128 *content, weir_error *err)
{
    blob_row row = {0};
    buf target;
    buf_init(&target);
    int rc = os_readlinkat(w->rootfd, path, &target, err);
    if (rc == 0) rc = blob_take_bytes(w->blobs, buf_bytes(&target), content, &row, err);
    if (rc == 0 && row.stored) journal_payload(w->journal, &row);
    buf_deinit(&target);
    return rc;
}

static int store_file(weir *w, const char *path, hash128 *content, weir_error *err)
{
    scan_config config = output_scan(w);
    scan_request r = {.path = bytes_str(path), .flags = SCAN_KEEP};
    scan_one(&config, &r);
    if (r.code != 0) return error_set(err, r.code, "%s", r.message);
    if (r.type != OS_FILE) return error_set(err, WEIR_NOTFOUND, "%s is no file any more", path);
    *content = r.content;
    bool is_large = r.row.stored == NULL;
    int rc = output_keep_payload(w, &r, err);
    return rc == 0 && is_large ? blob_sync(w->blobs, *content, err) : rc;
}

int output_store(weir *w, const char *path, hash128 *content, weir_error *err)
{
    os_stat st;
    *content = HASH_NONE;
    int rc = os_statat(w->rootfd, path, false, &st, err);
    if (rc != 0) return rc;
    switch (st.type) {
    case OS_ABSENT: return error_set(err, WEIR_NOTFOUND, "%s is not there", path);
    case OS_FILE: rc = store_file(w, path, content, err); break;
    case OS_LINK: rc = store_link(w, path, content, err); break;
    case OS_DIR: return error_set(err, WEIR_FAILED, "%s is a folder", path);
    case OS_OTHER:
        return error_set(err, WEIR_FAILED, "%s is a FIFO, a socket or a device", path);
    }
    return rc == 0 ? journal_sync(w->journal, false, err) : rc;
}

/* --- finding ----------------------------------------------------------------------------------------------------- */

static int read_lead(weir *w, hash128 fingerprint, hash128 *content, weir_error *err)
{
    buf text;
    buf_init(&text);
    int rc = blob_read(w->blobs, catalog_db(w->catalog), fingerprint, LEADING, &text, err);
    if (rc == WEIR_NOTFOUND) {
        rc = catalog_refresh(w->catalog, err);
        if (rc == 0)
            rc = blob_read(w->blobs, catalog_db(w->catalog), fingerprint, LEADING, &text, err);
    }
    bool is_lead = rc == 0 && text.size == LEADING && memcmp(text.data, lead, LEAD) == 0;
    if (is_lead) memcpy(content->bytes, text.data + LEAD, HASH_SIZE);
    else if (rc == 0 || rc == WEIR_CORRUPT || rc == WEIR_LIMIT)
        rc = error_set(err, WEIR_NOTFOUND, "what leads to the content of an executable is damaged");
    buf_deinit(&text);
    return rc;
}

int output_blob_of(weir *w, hash128 fingerprint, uint32_t mode, hash128 *content, weir_error *err)
{
    *content = fingerprint;
    return (mode & EXECUTE) ? read_lead(w, fingerprint, content, err) : 0;
}

static int has_blob(weir *w, hash128 content, bool *has, weir_error *err)
{
    int rc = blob_has(w->blobs, catalog_db(w->catalog), content, has, err);
    if (rc != 0 || *has) return rc;
    rc = catalog_refresh(w->catalog, err);
    return rc == 0 ? blob_has(w->blobs, catalog_db(w->catalog), content, has, err) : rc;
}

int output_is_stored(weir *w, hash128 fingerprint, uint32_t mode, hash128 *content, bool *stored,
                     weir_error *err)
{
    weir_error why = {0};
    *stored = false;
    int rc = output_blob_of(w, fingerprint, mode, content, &why);
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc != 0) return error_set(err, rc, "%s", why.message);
    return has_blob(w, *content, stored, err);
}

/* --- back from the store ----------------------------------------------------------------------------------------- */

/* Only a payload that is gone may be answered with WEIR_NOTFOUND. */
static int not_a_miss(const char *path, weir_error *err)
{
    return error_set(err, WEIR_IO, "restoring %s: %s", path, err ? err->message : "");
}

/* One that an earlier engine left may forbid writing. */
int output_open_temp(weir *w, const char *temp, uint32_t mode, weir_error *err)
{
    const int flags = OS_WRITE | OS_CREATE | OS_EXCL | OS_NOFOLLOW;
    int fd = os_openat(w->rootfd, temp, flags, mode, NULL);
    if (fd >= 0) return fd;
    int rc = os_remove_tree(w->rootfd, temp, err);
    return rc == 0 ? os_openat(w->rootfd, temp, flags, mode, err) : rc;
}

static int write_content(weir *w, hash128 content, int fd, const char *temp, weir_error *err)
{
    int rc = blob_write_to(w->blobs, catalog_db(w->catalog), content, fd, temp, err);
    if (rc == WEIR_NOTFOUND) { /* nothing was written */
        rc = catalog_refresh(w->catalog, err);
        if (rc == 0) rc = blob_write_to(w->blobs, catalog_db(w->catalog), content, fd, temp, err);
    }
    if (rc != WEIR_CORRUPT) return rc;
    char why[sizeof err->message] = "a damaged payload";
    if (err) memcpy(why, err->message, sizeof why);
    return error_set(err, WEIR_NOTFOUND, "%s", why);
}

int output_from_store(weir *w, hash128 fingerprint, uint32_t mode, const char *temp, os_stat *made,
                      weir_error *err)
{
    hash128 content;
    int rc = output_blob_of(w, fingerprint, mode, &content, err);
    if (rc != 0) return rc;
    int fd = output_open_temp(w, temp, mode & 0777, err);
    if (fd < 0) return fd == WEIR_NOTFOUND ? not_a_miss(temp, err) : fd;
    rc = write_content(w, content, fd, temp, err);
    if (rc == 0) rc = os_fstat(fd, made, err);
    os_close(fd);
    if (rc == 0 && made->mode != (mode & 07777)) rc = os_chmodat(w->rootfd, temp, mode & 07777, err); /* the umask took something */
    if (rc != 0) (void)os_unlinkat(w->rootfd, temp, NULL);
    return rc;
}

/* `temp` holds the content: what is at the path makes room. */
static int put_back(weir *w, cat_item *item, const output_seen *seen, const char *temp,
                    hash128 hash, uint64_t node, weir_error *err)
{
    int rc = output_keep_seen(w, item, node, seen, err);
    if (rc == 0 && seen->link.type == OS_ABSENT)
        rc = output_make_parents(w, item, err);
    if (rc == 0) rc = output_note(w, item, hash, err);
    os_kill_point("restore_before_rename");
    if (rc == 0) rc = os_renameat(w->rootfd, temp, w->rootfd, output_path(item), err);
    os_kill_point("restore_after_rename");
    if (rc != 0) (void)os_unlinkat(w->rootfd, temp, NULL);
    return rc == WEIR_NOTFOUND ? not_a_miss(output_path(item), err) : rc;
}

int output_restore(weir *w, cat_item *item, const output_record *want, uint64_t node, bool *written,
                   weir_error *err)
{
    output_seen seen;
    os_stat made;
    char temp[48];
    *written = false;
    int rc = output_look(w, item, &seen, err);
    if (rc != 0) return rc;
    bool is_link = seen.link.type == OS_LINK; /* no file, though it may lead to the same content */
    if (seen.scan.code == 0 && hash_equal(seen.scan.hash, want->hash) && !is_link) {
        item->disk_differs = false;
        return 0;
    }
    if (manifest_is_folder(item->name)) {
        watching_moved_folder(w);
        rc = output_folder_restore(w, item, want->hash, node, err);
        if (rc == 0) rc = output_sign(w, item, want->hash, err);
        *written = rc == 0;
        return rc;
    }
    snprintf(temp, sizeof temp, ".weir/tmp/r%" PRIu64, item->id);
    rc = output_from_store(w, want->hash, want->mode, temp, &made, err);
    if (rc == 0) rc = put_back(w, item, &seen, temp, want->hash, node, err);
    if (rc == 0) rc = output_sign_as(w, item, want->hash, &made, err);
    *written = rc == 0;
    return rc;
}
