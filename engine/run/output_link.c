/*
 * output_link.c - links where outputs belong.
 *
 * An output is its content: what lies at its path is a file, not a link. (A link as an output could only count by its text and by what it
 * leads to, which changes without its node. In a folder that is an output links are kept: there they count by their text.)
 *
 *     a command made one       what it leads to, as it was hashed, takes its place as a file: the same as a restore would bring
 *     a command updates one    the same before it begins: it must not write through it
 *     somebody put one there   changed by hand, also if it leads to the same content: its text is kept, the file is restored
 *
 * L1  Nothing is recorded as made while a link is at the path: a signature that is trusted is that of a file.
 * L2  What a link leads to is read only as it was looked at: never a file of weir's own state that came there meanwhile (P10).
 *
 * Loop thread only.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/run/output_internal.h"

bool output_is_link(const weir *w, bytes path)
{
    os_stat st;
    if (manifest_is_folder(path)) return false; /* there a link is nothing (world/manifest.c) */
    return os_statat(w->rootfd, (const char *)path.data, false, &st, NULL) == 0 && st.type == OS_LINK;
}

/* Is the copy what was recorded? */
static int check_copy(weir *w, const scan_request *seen, const char *temp, os_stat *made, weir_error *err)
{
    scan_config config = output_scan(w);
    scan_request r = {.path = bytes_str(temp)};
    int rc = os_chmodat(w->rootfd, temp, seen->mode & 07777, err);
    if (rc == 0) rc = os_statat(w->rootfd, temp, false, made, err);
    if (rc != 0) return rc;
    scan_one(&config, &r);
    if (r.code != 0) return error_set(err, r.code, "%s", r.message);
    return hash_equal(r.hash, seen->hash) ? 0 : WEIR_BUSY;
}

static int copy_behind(weir *w, scan_request *seen, const char *temp, os_stat *made, weir_error *err)
{
    scan_config config = output_scan(w);
    int from = -1;
    int rc = scan_open_seen(&config, seen, &from, err);
    if (rc != 0) return rc;
    int to = output_open_temp(w, temp, seen->mode & 0777, err);
    rc = to < 0 ? to : os_copy_fd(from, to, temp, err);
    if (to >= 0) os_close(to);
    os_close(from);
    return rc == 0 ? check_copy(w, seen, temp, made, err) : rc;
}

int output_make_plain(weir *w, cat_item *item, scan_request *seen, weir_error *err)
{
    os_stat made;
    char temp[48];
    snprintf(temp, sizeof temp, ".weir/tmp/l%" PRIu64, item->id);
    int rc = copy_behind(w, seen, temp, &made, err);
    if (rc == 0) rc = os_renameat(w->rootfd, temp, w->rootfd, output_path(item), err);
    if (rc == 0) return output_sign_as(w, item, seen->hash, &made, err);
    (void)os_unlinkat(w->rootfd, temp, NULL);
    if (rc == WEIR_BUSY || rc == WEIR_WORKFLOW)
        return error_set(err, WEIR_FAILED, "output %s is a link, and what it leads to was changed meanwhile", output_path(item));
    return rc == WEIR_NOTFOUND ? error_set(err, WEIR_FAILED, "%s went away meanwhile", output_path(item)) : rc;
}
