/*
 * job_folders.c - what a job has read in outputs that are folders.
 *
 * A worker looks at the folder on disk. What it reports is held against the list that the state believes in (output_member.c): where they
 * differ somebody changed the folder by hand, the attempt counts as raced, and the folder is restored before the next one.
 *
 * An effect that has listed a folder and has read every file in it has one read, as with lists (job_lists.c): the content of the folder, which is its list.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/world/manifest.h"

enum { FOLD_LEAST = 16 }; /* files */

/* --- is it as believed? ------------------------------------------------------------------------------------------ */

/* The folder on disk is not what its maker left there: it is looked at, and restored. */
static int look_again(task *t, uint64_t folder, bool *raced, weir_error *err)
{
    cat_item *item = catalog_item(t->w->catalog, folder, err);
    *raced = true;
    return item ? observe_one(t->w, item, err) : err->code;
}

/* A file in a folder that is an input. */
int jobs_found_member(task *t, const job_read *from, cat_item *member, read_record *to, bool *raced, weir_error *err)
{
    const cat_item *folder = NULL;
    to->ref.item = to->source = member->id;
    if (hash_equal(member->hash, from->hash)) return 0;
    bool is_link = hash_is_none(member->hash);
    if (is_link)
        return error_set(err, WEIR_FAILED, "it reads %s, and that is a link out of its folder: take what it leads to as an input", (const char *)member->name.data);
    int rc = output_folder_above(t->w, member->name, &folder, err);
    return rc == 0 && folder ? look_again(t, folder->id, raced, err) : rc;
}

/* The names that a worker found in a folder that is an output. */
int jobs_check_names(task *t, const job_read *from, bool *raced, weir_error *err)
{
    hash128 now = HASH_NONE;
    bool known = false;
    if (from->ref.aspect != ASPECT_NAMES || from->ref.member < 0 || from->source_is_node) return 0;
    cat_item *item = catalog_item(t->w->catalog, from->source, err);
    if (!item) return err->code;
    if (item->kind != ITEM_FILE || !manifest_is_folder(item->name)) return 0;
    int rc = output_member_names(t->w, item, &now, &known, err);
    return rc == 0 && !hash_equal(now, from->hash) ? look_again(t, item->id, raced, err) : rc;
}

/* --- a folder as a whole ----------------------------------------------------------------------------------------- */

/* The read of the names of a folder that is an output; *folder: which. */
static int folder_listed(task *t, const read_record *r, const cat_item **folder, weir_error *err)
{
    *folder = NULL;
    if (r->ref.aspect != ASPECT_NAMES || r->ref.port < 0 || r->ref.member < 0 || r->source_is_node || r->source == 0) return 0;
    const cat_item *item = catalog_item(t->w->catalog, r->source, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    if (item->kind == ITEM_FILE && manifest_is_folder(item->name)) *folder = item;
    return 0;
}

static int is_part(task *t, const read_record *r, const cat_item *folder, bool *part, weir_error *err)
{
    *part = false;
    if (r->ref.port >= 0 || r->source_is_node) return 0;
    const cat_item *item = catalog_item(t->w->catalog, r->ref.item, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    *part = item->kind == ITEM_MEMBER && item->name.size > folder->name.size && memcmp(item->name.data, folder->name.data, folder->name.size) == 0;
    return 0;
}

/* Names and contents of all its files, and nothing else is in it: the list of the folder says just that. */
static int fold_folder(task *t, size_t at, const cat_item *folder, weir_error *err)
{
    size_t files = 0, seen = 0, kept = 0;
    bool plain = false, part = false;
    uint32_t from = 0, group = 0;
    int rc = output_member_count(t->w, folder, &files, &plain, err);
    for (size_t i = 0; rc == 0 && plain && i < t->end.read_count; i++) {
        rc = is_part(t, &t->end.reads[i], folder, &part, err);
        seen += part;
    }
    if (rc != 0 || !plain || seen < files || files < FOLD_LEAST) return rc;
    for (size_t i = 0; rc == 0 && i < t->end.read_count; i++) {
        read_record r = t->end.reads[i];
        rc = is_part(t, &r, folder, &part, err);
        if (part) continue;
        if (i == at) {
            r.ref.aspect = ASPECT_CONTENT;
            r.hash = folder->hash;
        }
        if (kept > 0 && r.group != from) group++;
        from = r.group;
        r.group = group;
        t->end.reads[kept++] = r;
    }
    t->end.read_count = kept;
    return rc;
}

int jobs_fold_folders(task *t, weir_error *err)
{
    for (size_t i = 0; i < t->end.read_count; i++) {
        const cat_item *folder = NULL;
        int rc = folder_listed(t, &t->end.reads[i], &folder, err);
        if (rc == 0 && folder) rc = fold_folder(t, i, folder, err);
        if (rc != 0) return rc;
    }
    return 0;
}
