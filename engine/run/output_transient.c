/*
 * output_transient.c - outputs of `transient = true` nodes: on disk only while somebody needs them.
 *
 *     made, or brought back -> ... -> end of a full run without failures: in the store and still as made? -> removed
 *     a reader is about to run -> from the store, or made again when the payload is gone
 *     a target, a failure, an interrupt: they stay until the next full run without failures
 *
 * T1  The state does not change when such a file goes: its result holds. A file that is not there is as good as one that is (observe.c).
 * T2  Only what weir made, unchanged, and what is in the store is removed.
 * T3  A reader starts only when every file of its declared inputs is there again; those of a long list are when it asks for the member
 *     (job_order.c). A file that is read without being declared is found missing by that read, is brought back then, and the reader runs once
 *     more (jobs.c).
 * T4  Files that a run leaves on disk have a signature that is not trusted, so the next run looks at them and knows that they are there.
 *
 * Loop thread only.
 */
#include "engine/run/output_internal.h"

int output_transient_used(weir *w, const cat_node *node, weir_error *err)
{
    if (!(node->spec.flags & SPEC_TRANSIENT) || w->dry) return 0;
    return map_put(&w->transient, map_key_u64(&node->id), NULL) ? 0 : error_nomem(err, "keeping transient outputs");
}

/* --- away -------------------------------------------------------------------------------------------------------- */

static int drop_file(weir *w, cat_item *item, weir_error *err)
{
    output_seen seen;
    hash128 content;
    bool stored = false;
    int rc = output_look(w, item, &seen, err);
    if (rc != 0 || seen.link.type != OS_FILE || seen.scan.code != 0 || !hash_equal(seen.scan.hash, item->hash)) return rc;
    rc = output_is_stored(w, item->hash, item->mode, &content, &stored, err);
    if (rc != 0 || !stored) return rc;
    rc = os_unlinkat(w->rootfd, output_path(item), err);
    os_kill_point("transient_removed");
    scan_sig sig = {0};
    return rc == 0 ? sigcache_put(w->sigs, item->name, item->id, &sig, HASH_ABSENT, false, err) : rc;
}

static int drop_outputs(weir *w, uint64_t id, weir_error *err)
{
    const cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code;
    if (node->status != CAT_SETTLED || !(node->spec.flags & SPEC_TRANSIENT)) return 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->spec.output_count; i++) {
        cat_item *item = catalog_item(w->catalog, node->spec.outputs[i].id, err);
        rc = item ? drop_file(w, item, err) : err->code;
    }
    return rc;
}

int output_drop_transient(weir *w, weir_error *err)
{
    size_t at = 0;
    bytes key;
    uint64_t id;
    int rc = 0;
    if (w->transient.count == 0) return 0;
    rc = journal_sync(w->journal, false, err); /* payloads first */
    if (rc == 0) rc = catalog_refresh(w->catalog, err);
    while (rc == 0 && map_next(&w->transient, &at, &key, NULL)) {
        memcpy(&id, key.data, sizeof id);
        rc = drop_outputs(w, id, err);
    }
    return rc;
}

static int suspect_outputs(weir *w, uint64_t id, weir_error *err)
{
    const cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->spec.output_count; i++) {
        const cat_item *item = catalog_item(w->catalog, node->spec.outputs[i].id, err);
        if (!item) return err->code ? err->code : WEIR_BUG;
        const scan_entry *entry = sigcache_get(w->sigs, item->name);
        if (!entry || hash_equal(entry->hash, HASH_ABSENT)) continue;
        scan_sig sig = entry->sig;
        rc = sigcache_put(w->sigs, item->name, item->id, &sig, entry->hash, true, err);
    }
    return rc;
}

int output_leave_transient(weir *w, weir_error *err)
{
    size_t at = 0;
    bytes key;
    uint64_t id;
    int rc = 0;
    while (rc == 0 && map_next(&w->transient, &at, &key, NULL)) {
        memcpy(&id, key.data, sizeof id);
        rc = suspect_outputs(w, id, err);
    }
    return rc;
}

int output_transient_seen(weir *w, const cat_item *item, weir_error *err)
{
    const cat_node *maker = catalog_node(w->catalog, item->node, err);
    return maker ? output_transient_used(w, maker, err) : err->code;
}

/* --- back -------------------------------------------------------------------------------------------------------- */

bool output_is_dropped(weir *w, const cat_item *item)
{
    const cat_node *maker = item->node ? catalog_node(w->catalog, item->node, NULL) : NULL;
    return maker && (maker->spec.flags & SPEC_TRANSIENT) && maker->status == CAT_SETTLED;
}

static int bring_file(weir *w, const cat_node *maker, uint64_t id, bool *missing, weir_error *err)
{
    os_stat st;
    bool written = false;
    weir_error why = {0};
    cat_item *item = catalog_item(w->catalog, id, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    if (hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT)) return 0;
    int rc = os_statat(w->rootfd, output_path(item), false, &st, err);
    if (rc != 0 || st.type != OS_ABSENT) return rc;
    if (w->dry) {
        hash128 content;
        bool stored = false;
        rc = output_is_stored(w, item->hash, item->mode, &content, &stored, err);
        *missing = *missing || (!stored && !maker->forced); /* forced: it is planned already */
        return rc;
    }
    observe_dirty(w);
    output_record want = {.item = item->id, .hash = item->hash, .size = item->size, .mode = item->mode};
    rc = output_restore(w, item, &want, maker->id, &written, &why);
    *missing = *missing || rc == WEIR_NOTFOUND || rc == WEIR_CORRUPT;
    return rc == 0 || *missing ? 0 : error_set(err, rc, "%s", why.message);
}

int output_bring_back(weir *w, uint64_t maker, bool *missing, weir_error *err)
{
    const cat_node *node = catalog_node(w->catalog, maker, err);
    if (!node) return err->code;
    if (!(node->spec.flags & SPEC_TRANSIENT) || node->status != CAT_SETTLED) return 0;
    int rc = output_transient_used(w, node, err);
    for (size_t i = 0; rc == 0 && i < node->spec.output_count; i++) rc = bring_file(w, node, node->spec.outputs[i].id, missing, err);
    return rc;
}

int output_bring_member(task *t, const spec_member *m, uint64_t *maker, weir_error *err)
{
    uint64_t id = 0;
    bool missing = false;
    int rc = m->kind == MEMBER_ITEM && m->item != ITEM_FILE ? 0 : catalog_maker(t->w->catalog, m, &id, err);
    if (rc == 0 && id && id != t->node->id) rc = output_bring_back(t->w, id, &missing, err);
    if (missing) *maker = id;
    return rc;
}

int output_bring_inputs(task *t, uint64_t *maker, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    *maker = 0;
    for (size_t i = 0; i < spec->input_count; i++) {
        if (jobs_asks_for(t, &spec->inputs[i])) continue;
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            int rc = output_bring_member(t, &spec->inputs[i].members[k], maker, err);
            if (rc != 0 || *maker) return rc;
        }
    }
    return 0;
}
