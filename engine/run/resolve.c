/*
 * resolve.c - the hash behind a ref, as things are now.
 *
 * The engine's half of what workers record (effect/job_read.c): both must hash the same thing the same way (store/read.h). The hash of a
 * member with several files, or files and a value, is the root over those (store/blob.h); whole lists are in resolve_list.c.
 */
#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/store/document.h"
#include "engine/store/read.h"
#include "engine/world/manifest.h"

static cat_node *member_node(task *t, const spec_member *m, weir_error *err)
{
    cat_node *n = catalog_node(t->w->catalog, m->id, err);
    if (!n && err->code == 0) error_set(err, WEIR_BUG, "node %llu is not stored", (unsigned long long)m->id);
    return n;
}

/* The file that a ref means: an item, a named output, the sub-th or only output of a node. 0 with *item NULL: there is none. */
int resolve_file(task *t, const spec_member *m, int sub, cat_item **item, weir_error *err)
{
    *item = NULL;
    uint64_t id = m->id;
    if (m->kind != MEMBER_ITEM) {
        const cat_node *up = member_node(t, m, err);
        if (!up) return err->code;
        bytes below = {0};
        int index = m->kind == MEMBER_OUTPUT ? spec_member_output(&up->spec, m->port, &below) : sub < 0 ? 0 : sub;
        if (index < 0 || (size_t)index >= up->spec.output_count) return 0;
        id = up->spec.outputs[index].id;
        if (below.size) return output_member_in(t->w, id, below, item, err);
    }
    *item = catalog_item(t->w->catalog, id, err);
    return *item ? 0 : err->code;
}

static int need_observing(task *t, const cat_item *item, weir_error *err)
{
    if (!MEM_GROW(t->observe, t->observe_capacity, t->observe_count + 1)) return error_nomem(err, "looking at files");
    t->observe[t->observe_count++] = item->id;
    return 0;
}

/* Would it be a circle to take what this item's maker makes? What is declared never is one. */
static int is_circle(task *t, const read_ref *ref, const cat_item *item, bool *circle, weir_error *err)
{
    *circle = false;
    if (ref->port >= 0 || t->w->dry) return 0;
    const cat_node *maker = catalog_node(t->w->catalog, item->node, err);
    if (!maker) return err->code ? err->code : WEIR_BUG;
    int rc = edge_check(t->w, t->node, maker, err);
    *circle = rc == WEIR_WORKFLOW;
    if (*circle) error_clear(err);
    return *circle ? 0 : rc;
}

/*
 * A file that this node is not known to read, so nobody waits for what is above its maker: is it up to date? A result that is found
 * with what is about to be replaced would bring users to run for nothing.
 */
static int ask_maker(task *t, const cat_node *maker, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    weir *w = t->w;
    bool is_known = false;
    if (w->dry || !w->plan || maker->status != CAT_SETTLED || plan_state_of(w->plan, maker->id) != PLAN_IDLE) return 0;
    int rc = edge_is_history(w, maker->id, t->node->id, &is_known, err);
    if (rc != 0 || is_known) return rc;
    rc = plan_ask(w->plan, maker->id, maker->height, err);
    if (rc != 0) return rc;
    *how = RESOLVE_WAIT;
    *wait_for = maker->id;
    return 0;
}

/* Dry run: what a planned node will make is unknown. */
static bool is_unknown(task *t, uint64_t node)
{
    const cat_node *maker = t->w->dry && node != 0 ? catalog_loaded(t->w->catalog, node) : NULL;
    if (!maker || !maker->planned) return false;
    t->unsure = node;
    return true;
}

int resolve_node_hash(weir *w, const cat_node *node, hash128 *hash, weir_error *err)
{
    hash_stream h;
    hash_begin(&h);
    hash_update(&h, "node", 5);
    hash_update(&h, node->value.bytes, HASH_SIZE);
    for (size_t i = 0; i < node->spec.output_count; i++) {
        const spec_output *out = &node->spec.outputs[i];
        const cat_item *item = catalog_item(w->catalog, out->id, err);
        if (!item) return err->code ? err->code : WEIR_BUG;
        uint64_t sizes[2] = {out->port.size, item->name.size};
        hash_update(&h, sizes, sizeof sizes);
        hash_update(&h, out->port.data, out->port.size);
        hash_update(&h, item->name.data, item->name.size);
        hash_update(&h, item->hash.bytes, HASH_SIZE);
    }
    *hash = hash_end(&h);
    return 0;
}

/* What a node that was needed makes now. */
static int needed_content(task *t, const cat_item *item, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    weir *w = t->w;
    cat_node *node = NULL;
    bool waits = false;
    *hash = HASH_ABSENT;
    *how = RESOLVE_KNOWN;
    int rc = need_node(w, item->name, &node, err);
    if (rc == 0 && !node) {
        rc = need_lists(w, t->node, NULL, wait_for, err);
        if (*wait_for) *how = w->dry ? RESOLVE_IMPOSSIBLE : RESOLVE_WAIT;
        if (w->dry && *wait_for) t->unsure = *wait_for; /* it may be there once that list is known */
        if (w->dry) *wait_for = 0;
    }
    if (rc != 0 || !node) return rc;
    *how = RESOLVE_IMPOSSIBLE;
    if (node == t->node) return 0;
    if (!w->dry) {
        if (!targets_wanted(w, node->id)) rc = targets_take_in_now(w, node->id, err);
        if (rc == 0) rc = edge_check(w, t->node, node, err);
        if (rc == WEIR_WORKFLOW) error_clear(err);
        if (rc != 0) return rc == WEIR_WORKFLOW ? 0 : rc;
    }
    rc = need_look(w, node, &waits, err);
    if (rc != 0) return rc;
    *how = waits ? RESOLVE_WAIT : RESOLVE_KNOWN;
    *wait_for = node->id;
    if (waits) return 0;
    if (is_unknown(t, node->id)) *how = RESOLVE_IMPOSSIBLE;
    else if (failure_is_lost(w, node)) *how = RESOLVE_UNMADE;
    return *how == RESOLVE_KNOWN ? resolve_node_hash(w, node, hash, err) : 0;
}

static int item_content(task *t, const read_ref *ref, cat_item *item, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err);

/* A file in a folder: as its folder. */
static int member_content(task *t, const read_ref *ref, cat_item *item, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    const cat_item *above = NULL;
    int rc = output_member_look(t->w, item, &above, err);
    cat_item *folder = rc == 0 && above ? catalog_item(t->w->catalog, above->id, err) : NULL;
    *how = RESOLVE_IMPOSSIBLE;
    if (rc != 0 || !folder) return rc;
    rc = item_content(t, ref, folder, hash, wait_for, how, err);
    if (rc != 0 || *how != RESOLVE_KNOWN) return rc;
    *hash = item->hash;
    if (hash_is_none(item->hash)) *how = RESOLVE_IMPOSSIBLE;
    return 0;
}

/* Content of an item: an output's maker must be settled, a source must have been looked at. */
static int item_content(task *t, const read_ref *ref, cat_item *item, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    weir *w = t->w;
    if (item->kind == ITEM_NODE) return needed_content(t, item, hash, wait_for, how, err);
    if (item->kind == ITEM_MEMBER) return member_content(t, ref, item, hash, wait_for, how, err);
    *how = RESOLVE_KNOWN;
    *hash = item->hash;
    if (item->node != 0 && item->node != t->node->id) {
        if (!targets_wanted(w, item->node)) { /* found, not declared; nobody has asked yet whether it is up to date */
            int rc = targets_take_in_now(w, item->node, err);
            if (rc != 0) return rc;
        }
        plan_state state = w->plan ? plan_state_of(w->plan, item->node) : PLAN_SETTLED;
        if (state == PLAN_DUE || state == PLAN_RUNNING) {
            *how = RESOLVE_WAIT;
            *wait_for = item->node;
            return 0;
        }
        if (is_unknown(t, item->node)) {
            *how = RESOLVE_IMPOSSIBLE;
            return 0;
        }
        const cat_node *maker = catalog_node(w->catalog, item->node, err);
        if (!maker) return err->code ? err->code : WEIR_BUG;
        if (ref->port < 0 && failure_is_lost(w, maker)) {
            *how = RESOLVE_UNMADE;
            *wait_for = maker->id;
            return 0;
        }
        bool circle = false;
        int rc = is_circle(t, ref, item, &circle, err);
        if (circle) *how = RESOLVE_IMPOSSIBLE;
        return rc == 0 && !circle && ref->port < 0 ? ask_maker(t, maker, wait_for, how, err) : rc;
    }
    if (item->node != 0) { /* a node that reads its own output has no trace that could hold */
        *how = RESOLVE_IMPOSSIBLE;
        return 0;
    }
    bool is_unseen = item->kind == ITEM_FILE ? hash_is_none(item->hash) || !observe_known(w, item)
                                             : observe_is_tree(item->kind) && hash_is_none(item->hash);
    if (is_unseen) {
        *how = RESOLVE_OBSERVE;
        return need_observing(t, item, err);
    }
    return 0;
}

/* A broken document fails the node before it is looked up (settle.c); here it is only different from every good one. */
static int key_hash(task *t, const spec_member *m, hash128 *hash, weir_error *err)
{
    bytes encoded;
    int rc = observe_key(t->w, m, &encoded, hash, err);
    if (rc != WEIR_WORKFLOW) return rc;
    *hash = hash_bytes("weir broken document", 20);
    error_clear(err);
    return 0;
}

int resolve_member_hash(task *t, const spec_member *m, hash128 *hash, weir_error *err)
{
    cat_item *item = NULL;
    if (document_is_key(m)) return key_hash(t, m, hash, err);
    if (m->kind != MEMBER_NODE) {
        int rc = resolve_file(t, m, -1, &item, err);
        *hash = item ? item->hash : HASH_ABSENT;
        if (item) (void)is_unknown(t, item->kind == ITEM_MEMBER ? m->id : item->node);
        return rc;
    }
    const cat_node *up = member_node(t, m, err);
    if (!up) return err->code;
    (void)is_unknown(t, up->id);
    size_t count = up->spec.output_count + (hash_is_none(up->value) ? 0 : 1);
    hash128 *all = arena_zero(&t->arena, count + 1, sizeof *all);
    if (!all) return error_nomem(err, "hashing a list");
    for (size_t i = 0; i < up->spec.output_count; i++) {
        int rc = resolve_file(t, m, (int)i, &item, err);
        if (rc != 0) return rc;
        all[i] = item ? item->hash : HASH_ABSENT;
    }
    if (!hash_is_none(up->value)) all[count - 1] = up->value;
    if (count == 1) {
        *hash = all[0];
        return 0;
    }
    return blob_list_root(all, count, hash, NULL, NULL, err);
}

/* The document must be known as for its content; then the key in it counts. */
static int key_value(task *t, const read_ref *ref, const spec_member *m, hash128 *hash, uint64_t *wait_for, resolve_result *how, uint64_t *source,
                     weir_error *err)
{
    cat_item *item = NULL;
    int rc = resolve_file(t, m, -1, &item, err);
    if (rc != 0 || !item) return rc;
    *source = item->id;
    rc = item_content(t, ref, item, hash, wait_for, how, err);
    return rc == 0 && *how == RESOLVE_KNOWN ? key_hash(t, m, hash, err) : rc;
}

/* The names in an output that is a folder. */
static int made_names(task *t, const read_ref *ref, cat_item *item, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    bool known = false;
    int rc = item_content(t, ref, item, hash, wait_for, how, err);
    if (rc != 0 || *how != RESOLVE_KNOWN) return rc;
    rc = output_member_names(t->w, item, hash, &known, err);
    if (!known) *how = RESOLVE_IMPOSSIBLE;
    return rc;
}

/* The names in a folder or tree, without its content. */
static int tree_names(task *t, const read_ref *ref, const spec_member *m, hash128 *hash, uint64_t *wait_for, uint64_t *source, resolve_result *how,
                      weir_error *err)
{
    cat_item *item = NULL;
    bytes encoded;
    *how = RESOLVE_IMPOSSIBLE;
    int rc = resolve_file(t, m, ref->sub, &item, err);
    if (item) *source = item->id;
    if (rc == 0 && item && item->kind == ITEM_FILE && manifest_is_folder(item->name)) return made_names(t, ref, item, hash, wait_for, how, err);
    if (rc != 0 || !item || !observe_is_tree(item->kind)) return rc;
    *source = item->id;
    rc = observe_tree_value(t->w, item, &encoded, err);
    *hash = encoded.size ? hash_bytes(encoded.data, encoded.size) : HASH_ABSENT;
    *how = RESOLVE_KNOWN;
    return rc;
}

/* Refs to declared inputs. */
static int resolve_declared(task *t, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how,
                            uint64_t *source, bool *source_is_node, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    if ((size_t)ref->port >= spec->input_count) return 0;
    const spec_input *input = &spec->inputs[ref->port];
    *how = RESOLVE_KNOWN;
    if (ref->aspect == ASPECT_LIST) {
        int rc = resolve_list(t, input, hash, NULL, NULL, err);
        if (t->unsure) *how = RESOLVE_IMPOSSIBLE;
        return rc;
    }
    if (ref->aspect == ASPECT_NAMES && ref->member < 0) return resolve_list_names(t, (size_t)ref->port, hash, err);
    size_t index = ref->member < 0 ? 0 : (size_t)ref->member;
    *how = RESOLVE_IMPOSSIBLE;
    if (index >= input->count) return 0;
    const spec_member *m = &input->members[index];
    if (ref->aspect == ASPECT_NAMES) return tree_names(t, ref, m, hash, wait_for, source, how, err);
    if (document_is_key(m)) return ref->aspect == ASPECT_VALUE ? key_value(t, ref, m, hash, wait_for, how, source, err) : 0;
    if (ref->aspect == ASPECT_VALUE || ref->aspect == ASPECT_PARAMS) {
        if (m->kind == MEMBER_ITEM) return 0;
        const cat_node *up = member_node(t, m, err);
        if (!up) return err->code;
        *source = up->id;
        *source_is_node = true;
        if (ref->aspect == ASPECT_VALUE && is_unknown(t, up->id)) return 0;
        *hash = ref->aspect == ASPECT_PARAMS ? read_params_hash(up->spec.params) : hash_is_none(up->value) ? HASH_ABSENT : up->value;
        *how = RESOLVE_KNOWN;
        return 0;
    }
    if (m->kind == MEMBER_NODE && ref->sub < 0) { /* its one file (effect/job_ask.c) */
        const cat_node *up = member_node(t, m, err);
        if (!up) return err->code;
        if (up->spec.output_count != 1) {
            *hash = HASH_ABSENT;
            *how = RESOLVE_KNOWN;
            return 0;
        }
    }
    cat_item *item = NULL;
    int rc = resolve_file(t, m, ref->sub, &item, err);
    if (rc != 0 || !item) return rc;
    *source = item->id;
    if (ref->aspect == ASPECT_PATH) {
        *hash = read_path_hash(item->name);
        *how = RESOLVE_KNOWN;
        return 0;
    }
    return ref->aspect == ASPECT_CONTENT ? item_content(t, ref, item, hash, wait_for, how, err) : 0;
}

int settle_resolve(task *t, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how, uint64_t *source,
                   bool *source_is_node, weir_error *err)
{
    *how = RESOLVE_IMPOSSIBLE;
    *hash = HASH_NONE;
    *source = 0;
    *source_is_node = false;
    if (ref->aspect == ASPECT_OUTPATH) {
        if (ref->port < 0 || (size_t)ref->port >= t->node->spec.output_count) return 0;
        const cat_item *out = catalog_item(t->w->catalog, t->node->spec.outputs[ref->port].id, err);
        if (!out) return err->code;
        *hash = read_path_hash(out->name);
        *how = RESOLVE_KNOWN;
        return 0;
    }
    if (ref->port >= 0) return resolve_declared(t, ref, hash, wait_for, how, source, source_is_node, err);
    cat_item *item = catalog_item(t->w->catalog, ref->item, err);
    if (!item) return err->code;
    *source = item->id;
    return item_content(t, ref, item, hash, wait_for, how, err);
}

/* --- the refs of a step together ------------------------------------------------------------------------------------- */

/* The node that makes what a ref names, if this run is not about it so far; 0: none, or settle_resolve sees to it alone. */
static int maker_beyond(task *t, const read_ref *ref, uint64_t *maker, weir_error *err)
{
    weir *w = t->w;
    cat_node *node = NULL;
    *maker = 0;
    if (ref->port >= 0) return 0;
    const cat_item *item = catalog_item(w->catalog, ref->item, err);
    if (!item) return err->code;
    int rc = item->kind == ITEM_NODE ? need_node(w, item->name, &node, err) : 0;
    uint64_t id = item->kind == ITEM_NODE ? (node ? node->id : 0) : item->kind == ITEM_FILE ? item->node : 0;
    if (rc == 0 && id != 0 && id != t->node->id && !targets_wanted(w, id)) *maker = id;
    return rc;
}

int resolve_begin(task *t, const read_ref *refs, size_t count, weir_error *err)
{
    weir *w = t->w;
    size_t found = 0;
    if (!w->limited || w->dry || count < 2) return 0;
    uint64_t *makers = mem_alloc(count * sizeof *makers);
    if (!makers) return error_nomem(err, "looking up a trace");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = maker_beyond(t, &refs[i], &makers[found], err);
        if (rc == 0 && makers[found] != 0) found++;
    }
    if (rc == 0 && found > 1) rc = targets_take_in_all_now(w, makers, found, err);
    mem_free(makers);
    return rc;
}
