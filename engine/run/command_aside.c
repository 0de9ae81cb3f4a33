/*
 * command_aside.c - old outputs out of the way of a command, and back again if it fails.
 *
 * A1  From the rename into .weir/tmp/<token> until FINISHED is committed the old content exists there; the committed intent names it.
 */
#include <stdio.h>

#include "engine/run/command_internal.h"
#include "engine/run/output.h"

char *command_aside_path(task *t, const struct aside *a)
{
    char hex[HASH_HEX];
    return arena_printf(&t->arena, ".weir/tmp/%s/%lld", hash_hex(t->token, hex), (long long)a->number);
}

/* A folder that is an output is there, and empty. */
static int make_folders(task *t, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->node->spec.output_count; i++) {
        const cat_item *item = catalog_item(t->w->catalog, t->node->spec.outputs[i].id, err);
        if (!item) return err->code ? err->code : WEIR_BUG;
        if (!manifest_is_folder(item->name)) continue;
        const char *path = output_plain_path(&t->arena, item->name);
        rc = path ? os_mkdirat(t->w->rootfd, path, 0755, err) : error_nomem(err, "making a folder");
        os_kill_point("command_folder_made");
    }
    return rc;
}

char *command_output_path(task *t)
{
    char hex[HASH_HEX];
    return arena_printf(&t->arena, ".weir/tmp/%s/" COMMAND_OUTPUT_NAME, hash_hex(t->token, hex));
}

void command_keep_log(task *t)
{
    uint64_t size = 0;
    blob_row row = {0};
    char *path = command_output_path(t);
    int fd = path ? os_openat(t->w->rootfd, path, OS_READ | OS_NOFOLLOW, 0, NULL) : -1;
    if (fd < 0) return;
    if (blob_take_file(t->w->blobs, fd, path, true, &t->end.log, &size, &row, NULL) != 0) t->end.log = HASH_NONE;
    if (row.stored) journal_payload(t->w->journal, &row);
    os_close(fd);
}

int command_make_folder(task *t, weir_error *err)
{
    char hex[HASH_HEX];
    char folder[80];
    if (t->has_folder) return 0;
    t->has_folder = true;
    snprintf(folder, sizeof folder, ".weir/tmp/%s", hash_hex(t->token, hex));
    return os_mkdirat(t->w->rootfd, folder, 0700, err);
}

int command_put_aside(task *t, weir_error *err)
{
    weir *w = t->w;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->aside_count; i++) {
        struct aside *a = &t->asides[i];
        if (a->number < 0) continue;
        rc = command_make_folder(t, err);
        if (rc != 0) return rc;
        if (a->item->disk_differs) a->hash = HASH_NONE; /* changed by hand while it waited for a slot, and kept */
        rc = os_renameat(w->rootfd, output_plain_path(&t->arena, a->item->name), w->rootfd, command_aside_path(t, a), err);
        if (rc == 0) a->put = true;
        if (rc == WEIR_NOTFOUND) { /* removed while it waited */
            a->number = -1;
            error_clear(err);
            rc = 0;
        }
        os_kill_point("command_aside");
    }
    return rc == 0 ? make_folders(t, err) : rc;
}

/* What the attempt wrote goes, the old outputs come back. */
static void put_back(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    for (size_t i = 0; i < t->aside_count; i++) {
        struct aside *a = &t->asides[i];
        const char *path = output_plain_path(&t->arena, a->item->name);
        int rc = 0;
        if (!path) rc = error_nomem(&err, "putting an output back");
        else if (a->number < 0) {
            rc = os_remove_tree(w->rootfd, path, &err);
            sigcache_drop(w->sigs, a->item->name);
        } else if (a->put) {
            rc = os_remove_tree(w->rootfd, path, &err);
            if (rc == 0) rc = os_renameat(w->rootfd, command_aside_path(t, a), w->rootfd, path, &err);
            if (rc == 0) rc = output_sign(w, a->item, a->hash, &err);
        }
        if (rc != 0) tell_message(w, "%s: putting the last good output back: %s", path, err.message);
    }
    if (t->started_ns && t->node->spec.depfile.size) (void)os_unlinkat(w->rootfd, (const char *)t->node->spec.depfile.data, NULL);
}

typedef struct leftover {
    weir *w;
    char folder[80];
} leftover;

static void sweep(void *ctx)
{
    leftover *l = ctx;
    os_remove_tree(l->w->rootfd, l->folder, NULL);
    mem_free(l);
}

/* NULL: nothing was put there, or no memory; then the next start sweeps. */
static leftover *leftover_new(task *t)
{
    char hex[HASH_HEX];
    leftover *l = t->has_folder ? mem_zero(1, sizeof *l) : NULL;
    if (!l) return NULL;
    l->w = t->w;
    snprintf(l->folder, sizeof l->folder, ".weir/tmp/%s", hash_hex(t->token, hex));
    return l;
}

void command_failed(task *t, execution_result result, const char *message)
{
    weir *w = t->w;
    char copy[480];
    snprintf(copy, sizeof copy, "%s", message);
    put_back(t);
    leftover *l = leftover_new(t);
    settle_failed(t, result, copy);
    if (l) journal_when_committed(w->journal, sweep, l);
}

void command_unmade(task *t)
{
    weir *w = t->w;
    put_back(t);
    leftover *l = leftover_new(t);
    failure_blocks(t);
    if (l) journal_when_committed(w->journal, sweep, l);
}

void command_succeeded(task *t)
{
    weir *w = t->w;
    leftover *l = leftover_new(t);
    settle_finish(t);
    if (l) journal_when_committed(w->journal, sweep, l); /* asides go once the completion is committed */
}
