/*
 * output_member.c - one file in an output that is a folder: an input of its own.
 *
 *     declared   MEMBER_OUTPUT with the port "site/css/a.css"; a path that lies in such a folder is turned into one (define_resolve.c)
 *     found      an effect that has the folder among its inputs reads i.site:read "css/a.css"
 *
 * Either way it stands in traces as an item of kind `member`, whose name is the path. The state keeps nothing of it: its fingerprint is what the list
 * of its folder says (world/manifest.h), so it is as current as that, whatever is on disk. Links are followed as long as they stay in the folder.
 *
 * Loop thread only.
 */
#include "engine/run/output_internal.h"
#include "engine/store/value.h"

static const char doing[] = "looking into a folder";

typedef struct made_list {
    hash128 hash; /* of the list */
    manifest_entry *entries;
    size_t count;
} made_list;

/* --- lists ------------------------------------------------------------------------------------------------------- */

/* Parsed once for each content and run. WEIR_NOTFOUND: the list is neither in the store nor on disk. */
static int list_of(weir *w, const cat_item *folder, const made_list **list, weir_error *err)
{
    mem_arena *arena = catalog_arena(w->catalog);
    const char *name = arena_printf(arena, "\x01" "made %llu", (unsigned long long)folder->id);
    bytes *note = name ? catalog_note(w->catalog, bytes_str(name)) : NULL;
    if (!note) return error_nomem(err, doing);
    const made_list *known = (const void *)note->data;
    if (known && hash_equal(known->hash, folder->hash)) {
        *list = known;
        return 0;
    }
    made_list *fresh = arena_zero(arena, 1, sizeof *fresh);
    if (!fresh) return error_nomem(err, doing);
    fresh->hash = folder->hash;
    int rc = output_folder_entries(w, folder, arena, &fresh->entries, &fresh->count, err);
    if (rc != 0) return rc;
    *note = bytes_of(fresh, sizeof *fresh);
    *list = fresh;
    return 0;
}

static bool is_made(const cat_item *folder)
{
    return folder && folder->node != 0 && !hash_is_none(folder->hash) && !hash_equal(folder->hash, HASH_ABSENT);
}

/* --- members ----------------------------------------------------------------------------------------------------- */

int output_member_look(weir *w, cat_item *member, const cat_item **folder, weir_error *err)
{
    const made_list *list = NULL;
    bool outside = false;
    member->hash = HASH_NONE;
    int rc = output_folder_above(w, member->name, folder, err);
    if (rc != 0 || !is_made(*folder)) return rc;
    rc = list_of(w, *folder, &list, err);
    if (rc == WEIR_NOTFOUND) {
        error_clear(err);
        return 0;
    }
    if (rc != 0) return rc;
    size_t skip = (*folder)->name.size;
    const manifest_entry *e = manifest_follow(list->entries, list->count, bytes_of(member->name.data + skip, member->name.size - skip), &outside);
    if (outside) return 0;
    member->mode = e && e->executable ? 0755 : 0644;
    member->hash = HASH_ABSENT;
    if (e) member->hash = e->type == OS_DIR ? scan_fingerprint(HASH_NONE, S_IFDIR) : scan_fingerprint(e->content, member->mode);
    return 0;
}

int output_member_in(weir *w, uint64_t output, bytes below, cat_item **member, weir_error *err)
{
    const cat_item *folder = catalog_item(w->catalog, output, err);
    buf path;
    *member = NULL;
    if (!folder) return err->code ? err->code : WEIR_BUG;
    if (!manifest_is_folder(folder->name)) return 0;
    buf_init(&path);
    buf_append(&path, folder->name.data, folder->name.size);
    buf_append(&path, below.data, below.size);
    *member = path.failed ? NULL : catalog_item_named(w->catalog, ITEM_MEMBER, buf_bytes(&path), true, err);
    int rc = path.failed ? error_nomem(err, doing) : *member ? 0 : err->code;
    buf_deinit(&path);
    return rc == 0 ? output_member_look(w, *member, &folder, err) : rc;
}

int output_member_names(weir *w, const cat_item *folder, hash128 *hash, bool *known, weir_error *err)
{
    const made_list *list = NULL;
    buf names;
    *known = false;
    if (!is_made(folder)) return 0;
    int rc = list_of(w, folder, &list, err);
    if (rc == WEIR_NOTFOUND) {
        error_clear(err);
        return 0;
    }
    if (rc != 0) return rc;
    buf_init(&names);
    manifest_entry_names(list->entries, list->count, &names);
    *known = !names.failed;
    *hash = hash_bytes(names.data, names.size);
    rc = names.failed ? error_nomem(err, doing) : 0;
    buf_deinit(&names);
    return rc;
}

/* Do paths and contents of the files say all there is? Then no links are there, and no folder without a file. */
int output_member_count(weir *w, const cat_item *folder, size_t *files, bool *plain, weir_error *err)
{
    const made_list *list = NULL;
    *files = 0;
    *plain = false;
    int rc = is_made(folder) ? list_of(w, folder, &list, err) : WEIR_NOTFOUND;
    if (rc == WEIR_NOTFOUND) error_clear(err);
    if (rc != 0) return rc == WEIR_NOTFOUND ? 0 : rc;
    *plain = true;
    for (size_t i = 0; i < list->count; i++) {
        const manifest_entry *e = &list->entries[i];
        bool is_full = e->type == OS_DIR && i + 1 < list->count && list->entries[i + 1].path.size > e->path.size &&
                       list->entries[i + 1].path.data[e->path.size] == '/' &&
                       memcmp(list->entries[i + 1].path.data, e->path.data, e->path.size) == 0;
        if (e->type == OS_FILE) (*files)++;
        else if (!is_full) *plain = false; /* perhaps "a", "a-b", "a/c": then it costs reads, no more */
    }
    return 0;
}

/* --- what a job or a command found ------------------------------------------------------------------------------- */

static bool is_input(const node_spec *spec, const cat_item *folder, const cat_node *maker)
{
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            const spec_member *m = &spec->inputs[i].members[k];
            if (m->id != maker->id || (m->kind != MEMBER_NODE && m->kind != MEMBER_OUTPUT)) continue;
            int index = m->kind == MEMBER_OUTPUT ? spec_output_index(&maker->spec, m->port) : -1;
            if (m->kind == MEMBER_NODE || (index >= 0 && maker->spec.outputs[index].id == folder->id)) return true;
        }
    return false;
}

int output_member_found(task *t, bytes path, cat_item **member, weir_error *err)
{
    weir *w = t->w;
    const cat_item *folder = NULL;
    *member = NULL;
    int rc = output_folder_above(w, path, &folder, err);
    if (rc != 0 || !folder) return rc;
    const cat_node *maker = catalog_node(w->catalog, folder->node, err);
    if (!maker) return err->code ? err->code : WEIR_BUG;
    if (!is_input(&t->node->spec, folder, maker))
        return error_set(err, WEIR_FAILED, "it reads %.*s, which lies below %s, an output of %s: take that node, or weir.file \"%.*s\", as an input",
                         (int)path.size, (const char *)path.data, output_path(folder), (const char *)maker->spec.name.data, (int)path.size,
                         (const char *)path.data);
    *member = catalog_item_named(w->catalog, ITEM_MEMBER, path, true, err);
    return *member ? output_member_look(w, *member, &folder, err) : err->code;
}

int output_member_check(task *t, const spec_member *m, bytes port, weir_error *err)
{
    cat_item *item = NULL;
    bytes below;
    const cat_node *up = m->kind == MEMBER_OUTPUT ? catalog_node(t->w->catalog, m->id, err) : NULL;
    if (!up || spec_member_output(&up->spec, m->port, &below) < 0 || below.size == 0) return err->code;
    int rc = resolve_file(t, m, -1, &item, err);
    if (rc != 0 || !item || !hash_equal(item->hash, HASH_ABSENT)) return rc;
    return error_set(err, WEIR_FAILED, "input \"%.*s\": node %s did not make %s", (int)port.size, (const char *)port.data,
                     (const char *)up->spec.name.data, (const char *)item->name.data);
}
