/*
 * expand.c - expand nodes while they are settled: their list becomes nodes, and whoever reads these gets them one by one.
 *
 * X1  The nodes that are declared are those of the list that EVENT_EXPANDED names. It is said before the end of the execution that
 *     made the list, and after the nodes: a log cut off anywhere leaves an expand node that is due, or whose list is compared once more.
 * X2  A node of a list is settled after its expand node, a reader of the list after all of its nodes.
 * X3  Nothing that a node of a list reaches starts while the expand node may still make another list (P2): for the planner such
 *     nodes are users in order only, as long as they are higher. What was lifted past its list, or closes a circle with it, is not.
 *
 * Loop thread only.
 */
#include "engine/run/define.h"
#include "engine/store/value.h"
#include "generated/schema.h"

static const char doing[] = "expanding a node";

/* The list that the nodes were made from, and the nodes in order. WEIR_NOTFOUND: never yet. */
static int stored_expansion(weir *w, uint64_t node, hash128 *value, uint64_t **ids, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    uint64_t last = 0;
    *value = HASH_NONE;
    *count = 0;
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_EXPANSION, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)node);
    int rc = db_step(s, err);
    if (rc == 1) *value = db_hash(s, 0);
    unpack u = unpack_of(rc == 1 ? db_bytes(s, 1) : bytes_of("", 0));
    while (rc == 1 && ids && !unpack_done(&u) && !u.failed) {
        if (!MEM_GROW(*ids, capacity, *count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        last += (uint64_t)unpack_i64(&u);
        (*ids)[(*count)++] = last;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int expand_children(weir *w, uint64_t node, uint64_t **ids, size_t *count, weir_error *err)
{
    hash128 value;
    *ids = NULL;
    *count = 0;
    const cat_node *known = catalog_node(w->catalog, node, err);
    if (!known || !(known->spec.flags & SPEC_EXPAND)) return err->code;
    return stored_expansion(w, node, &value, ids, count, err);
}

/* --- readers ------------------------------------------------------------------------------------------------------ */

typedef struct member_list {
    spec_member *members;
    size_t count, capacity;
} member_list;

static int add_children(weir *w, uint64_t node, member_list *to, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    int rc = expand_children(w, node, &ids, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!MEM_GROW(to->members, to->capacity, to->count + 1)) rc = error_nomem(err, doing);
        else to->members[to->count++] = (spec_member){.kind = MEMBER_NODE, .id = ids[i], .name = bytes_str(""), .port = bytes_str("")};
    }
    mem_free(ids);
    return rc;
}

static int fill_input(task *t, spec_input *in, weir_error *err)
{
    member_list list = {0};
    int rc = 0;
    if (!in->declared) {
        in->declared = in->members;
        in->declared_count = in->count;
    }
    for (size_t i = 0; rc == 0 && i < in->declared_count; i++) {
        if (in->declared[i].kind == MEMBER_EXPAND) rc = add_children(t->w, in->declared[i].id, &list, err);
        else if (!MEM_GROW(list.members, list.capacity, list.count + 1)) rc = error_nomem(err, doing);
        else list.members[list.count++] = in->declared[i];
    }
    mem_arena *arena = catalog_arena(t->w->catalog);
    spec_member *kept = rc == 0 ? arena_zero(arena, list.count + 1, sizeof *kept) : NULL;
    if (rc == 0 && !kept) rc = error_nomem(err, doing);
    if (rc == 0) {
        if (list.count) memcpy(kept, list.members, list.count * sizeof *kept);
        in->members = kept;
        in->kinds |= 1u << MEMBER_NODE;
        in->count = list.count;
    }
    mem_free(list.members);
    return rc;
}

int expand_members(task *t, weir_error *err)
{
    node_spec *spec = &t->node->spec;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec->input_count; i++)
        if (spec->inputs[i].declared || spec_input_has(&spec->inputs[i], MEMBER_EXPAND)) rc = fill_input(t, &spec->inputs[i], err);
    return rc;
}

int expand_wait(task *t, bool *waits, weir_error *err)
{
    weir *w = t->w;
    uint64_t parent = t->node->spec.parent;
    *waits = false;
    if (parent == 0 || !w->plan || t->node->waited == w->turns + 1 || plan_state_of(w->plan, parent) == PLAN_SETTLED) return 0;
    const cat_node *on = catalog_node(w->catalog, parent, err);
    if (!on) return err->code ? err->code : WEIR_BUG;
    t->node->waited = w->turns + 1;
    int rc = edge_wait(w, t->node->id, on, err);
    if (rc == WEIR_WORKFLOW) { /* the list that closed a circle is about to be replaced */
        error_clear(err);
        return 0;
    }
    *waits = rc == 0;
    if (rc == 0) schedule_free(t);
    return rc;
}

/* --- the order of a turn ------------------------------------------------------------------------------------------ */

int expand_begin(weir *w, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_NODES_EXPAND, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)w->graph);
    int rc = db_step(s, err);
    w->has_lists = rc == 1 && !w->dry; /* a dry run makes no list */
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* Is it higher? Else it is no user in this order, for the whole turn: an order must not turn round. */
static int comes_after(weir *w, uint32_t above, uint64_t id, plan_user *user, bool *comes, weir_error *err)
{
    cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    *comes = node->status != CAT_GONE && node->apart != w->turns + 1 && node->height > above;
    if (node->height <= above) node->apart = w->turns + 1;
    *user = (plan_user){.node = id, .height = node->height, .only_after = true};
    return 0;
}

int expand_users(weir *w, uint64_t node, const plan_user **users, size_t *count, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t found = 0, capacity = 0;
    if (!w->has_lists) return 0;
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_CHILDREN, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)node);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        if (!targets_wanted(w, (uint64_t)db_int(s, 0))) continue;
        if (!MEM_GROW(ids, capacity, found + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        ids[found++] = (uint64_t)db_int(s, 0);
    }
    db_reset(s);
    const cat_node *on = found > 0 && rc == 0 ? catalog_node(w->catalog, node, err) : NULL;
    if (found > 0 && rc == 0 && !on) rc = err->code ? err->code : WEIR_BUG;
    for (size_t i = 0; rc == 0 && i < found; i++) {
        bool comes = false;
        if (!MEM_GROW(w->users, w->users_capacity, *count + 1)) rc = error_nomem(err, doing);
        else rc = comes_after(w, on->height, ids[i], &w->users[*count], &comes, err);
        if (comes) (*count)++;
    }
    mem_free(ids);
    *users = w->users;
    return rc < 0 ? rc : 0;
}

/* --- dry runs ----------------------------------------------------------------------------------------------------- */

int expand_plan(task *t, weir_error *err)
{
    weir *w = t->w;
    uint64_t *ids = NULL;
    size_t count = 0;
    int rc = expand_children(w, t->node->id, &ids, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const cat_node *child = targets_wanted(w, ids[i]) ? catalog_node(w->catalog, ids[i], err) : NULL;
        if (child && child->status != CAT_GONE && !child->planned) rc = plan_due(w->plan, ids[i], child->height, err);
        else rc = err->code;
    }
    mem_free(ids);
    return rc;
}

bool expand_is_open(const task *t)
{
    uint64_t parent = t->node->spec.parent;
    const cat_node *on = parent && t->w->dry ? catalog_loaded(t->w->catalog, parent) : NULL;
    return on && on->planned;
}

uint64_t expand_unsure(const task *t)
{
    const node_spec *spec = &t->node->spec;
    const cat_node *on = NULL;
    if (expand_is_open(t)) return spec->parent;
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].declared_count; k++) {
            const spec_member *m = &spec->inputs[i].declared[k];
            on = m->kind == MEMBER_EXPAND ? catalog_loaded(t->w->catalog, m->id) : NULL;
            if (on && on->planned) return on->id;
        }
    return 0;
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static int take_entry(definition *def, bytes entry, int number, weir_error *err)
{
    bytes packed;
    value_item item;
    if (!value_member(entry, "declaration", &packed)) return error_set(err, WEIR_CORRUPT, "entry %d is no declaration", number);
    value_reader reader = value_read(packed);
    if (!value_next(&reader, &item) || (item.type != VALUE_BYTES && item.type != VALUE_STRING))
        return error_set(err, WEIR_CORRUPT, "entry %d is no declaration", number);
    if (!MEM_GROW(def->nodes, def->node_capacity, def->node_count + 1)) return error_nomem(err, doing);
    node_spec *spec = &def->nodes[def->node_count];
    int rc = spec_get_declared(item.text, &def->arena, spec, err);
    if (rc != 0) return rc;
    spec->position.line = number;
    def->node_count++;
    return 0;
}

static int read_list(definition *def, bytes encoded, weir_error *err)
{
    value_reader reader = value_read(encoded);
    value_item head;
    if (!value_next(&reader, &head)) return 0; /* no value: no nodes */
    if (head.type != VALUE_ARRAY) return head.count == 0 ? 0 : error_set(err, WEIR_CORRUPT, "the value is no list");
    for (size_t i = 0; i < head.count; i++) {
        bytes entry;
        if (!value_skip(&reader, &entry)) return error_set(err, WEIR_CORRUPT, "the list is cut off");
        int rc = take_entry(def, entry, (int)i + 1, err);
        if (rc != 0) return rc;
    }
    return 0;
}

int expand_apply(task *t, hash128 value, const char **message, weir_error *err)
{
    weir *w = t->w;
    hash128 stored;
    size_t count = 0;
    bytes encoded = bytes_of("", 0);
    definition def;
    buf findings;
    if (!w->plan) return 0;
    int rc = stored_expansion(w, t->node->id, &stored, NULL, &count, err);
    if (rc != 0 || (!hash_is_none(stored) && hash_equal(stored, value))) return rc;
    t->list_changed = true; /* the value may be that of an attempt that did not come as far */
    if (w->dry) {
        t->node->planned = true; /* another list: what is on it is not known before it is declared */
        return expand_plan(t, err);
    }
    definition_init(&def);
    buf_init(&findings);
    def.findings = &findings;
    if (!hash_is_none(value)) rc = jobs_value(t, value, &encoded, err);
    if (rc == 0) rc = read_list(&def, encoded, err);
    if (rc == 0) rc = define_expansion(w, &def, t->node, value, err);
    if (rc == WEIR_WORKFLOW) {
        *message = arena_printf(&t->arena, "%s: %s", err->message, buf_cstr(&findings) ? buf_cstr(&findings) : "out of memory");
        if (!*message) *message = "the list is wrong";
    }
    definition_clear(&def);
    buf_deinit(&findings);
    return rc;
}
