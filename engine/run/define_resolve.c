/*
 * define_resolve.c - names of a definition become ids, edges and heights.
 *
 * Everything that is stored for the graph is read with one statement; a declaration is compared by the hash of its stored bytes. Heights
 * come from an order of the declared edges together with those that earlier executions discovered; where a discovered one
 * closes a circle with new declarations (its trace will not be met again) the declared ones alone count, and no
 * node sinks.
 *
 * Loop thread only. Memory: the arena of the comparison.
 * After: Kahn, "Topological Sorting of Large Networks", 1962.
 */
#include "engine/run/define.h"
#include "engine/run/output.h"
#include "engine/store/document.h"
#include "engine/world/manifest.h"
#include "engine/world/scan.h"
#include "generated/schema.h"

static const char doing[] = "comparing the definition";

const char *define_text(comparison *c, bytes text)
{
    bytes copy = arena_bytes(&c->arena, text);
    return copy.data ? (const char *)copy.data : "";
}

const char *declared_at(comparison *c, const node_spec *spec)
{
    if (!spec->position.file) return "";
    const char *text = arena_printf(&c->arena, "%s:%d", spec->position.file, spec->position.line);
    return text ? text : "";
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static int index_names(comparison *c, weir_error *err)
{
    if (!map_reserve(&c->by_name, c->count)) return error_nomem(err, doing);
    for (size_t i = 0; i < c->count; i++) {
        node_spec *spec = &c->def->nodes[i];
        bool added = false;
        uint64_t *slot = map_put(&c->by_name, spec->name, &added);
        if (!slot) return error_nomem(err, doing);
        c->nodes[i].spec = spec;
        if (added) {
            *slot = i + 1;
            continue;
        }
        if (c->parent) {
            tell_static(c->w, c->def, &spec->position, NULL, "node \"%s\" is entry %d too", define_text(c, spec->name),
                        c->nodes[*slot - 1].spec->position.line);
            continue;
        }
        const char *at = declared_at(c, c->nodes[*slot - 1].spec);
        tell_static(c->w, c->def, &spec->position, "nodes have different names", "a node \"%s\" was declared before%s%s",
                    define_text(c, spec->name), at[0] ? ", at " : "", at);
    }
    return 0;
}

static int stored_hash(bytes body, mem_arena *scratch, hash128 *hash, weir_error *err)
{
    event_body event;
    int rc = event_get(EVENT_NODE, body, scratch, &event, err);
    if (rc == 0) *hash = hash_bytes(event.node.spec.data, event.node.spec.size);
    return rc;
}

/*
 * The node of that name; NULL: none. Rows come as the nodes were declared once, so most follow in the order of the declarations:
 * the one behind the last match is compared before the name is looked up. Where a name stands twice, either will do: that is an error.
 */
static declared_node *declared_as(comparison *c, bytes name, size_t *next)
{
    if (*next >= c->count || !bytes_equal(c->nodes[*next].spec->name, name)) {
        const uint64_t *slot = map_get(&c->by_name, name);
        if (!slot) return NULL;
        *next = *slot - 1;
    }
    return &c->nodes[(*next)++];
}

static int take_stored(comparison *c, db_stmt *s, size_t *next, mem_arena *scratch, weir_error *err)
{
    int status = (int)db_int(s, 2);
    declared_node *n = declared_as(c, db_bytes(s, 1), next);
    if (!n && status == CAT_GONE) return 0;
    if (!n) {
        if (!MEM_GROW(c->gone, c->gone_capacity, c->gone_count + 1)) return error_nomem(err, doing);
        c->gone[c->gone_count++] = (uint64_t)db_int(s, 0);
        return 0;
    }
    n->is_known = true;
    n->id = (uint64_t)db_int(s, 0);
    n->old_status = status;
    n->old_height = (uint32_t)db_int(s, 3);
    return stored_hash(db_bytes(s, 6), scratch, &n->old_spec, err);
}

static int load_stored(comparison *c, weir_error *err)
{
    uint64_t *children = NULL;
    size_t count = 0, capacity = 0, next = 0;
    mem_arena scratch;
    if (c->is_new_graph) return 0;
    db_stmt *s = db_get(catalog_db(c->w->catalog), c->parent ? SQL_NODES_OF_PARENT : SQL_NODES_OF_GRAPH, err);
    if (!s) return err->code;
    arena_init(&scratch);
    db_bind_int(s, 1, (int64_t)(c->parent ? c->parent : c->graph));
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        int failed = 0;
        bool is_child = !c->parent && db_int(s, 7) != 0 && db_int(s, 2) != CAT_GONE;
        if (is_child && !map_get(&c->by_name, db_bytes(s, 1))) {
            if (!MEM_GROW(children, capacity, count + 2)) failed = error_nomem(err, doing);
            else {
                children[count++] = (uint64_t)db_int(s, 0);
                children[count++] = (uint64_t)db_int(s, 7);
            }
        } else {
            failed = take_stored(c, s, &next, &scratch, err);
        }
        if (scratch.used > (1u << 16)) arena_reset(&scratch);
        if (failed == 0) continue;
        rc = failed;
        break;
    }
    db_reset(s);
    arena_deinit(&scratch);
    if (rc >= 0) rc = resolve_children(c, children, count, err);
    mem_free(children);
    return rc < 0 ? rc : 0;
}

/* --- effects ----------------------------------------------------------------------------------------------------- */

static int add_effect(comparison *c, const effect_spec *spec, weir_error *err)
{
    bool added = false;
    uint64_t *slot = map_put(&c->by_effect, spec->name, &added);
    if (!slot || !MEM_GROW(c->effects, c->effect_capacity, c->effect_count + 1)) return error_nomem(err, doing);
    if (!added) return 0;
    c->effects[c->effect_count] = (declared_effect){.spec = *spec};
    *slot = ++c->effect_count;
    return 0;
}

/* A graph that is declared from C names its effects only. */
static bool find_effect(const comparison *c, bytes name, effect_spec *spec)
{
    const registry_entry *entry = c->w->registry ? registry_find(c->w->registry, name) : NULL;
    bytes none = bytes_str("");
    *spec = (effect_spec){.name = name, .kind = EFFECT_COMMAND, .version = none, .always = none, .library = none};
    if (bytes_equal(name, bytes_str("sh"))) return true;
    if (!entry) return false;
    spec->kind = EFFECT_C;
    spec->version = bytes_str(entry->effect->version ? entry->effect->version : "");
    spec->code = entry->build;
    spec->library = entry->library;
    return true;
}

/* An expansion applies what its workflow has registered. */
static int use_stored_effect(comparison *c, bytes name, bool *found, weir_error *err)
{
    uint64_t id = 0;
    int rc = catalog_effect_named(c->w->catalog, c->graph, name, &id, err);
    const cat_effect *known = rc == 0 && id ? catalog_effect(c->w->catalog, id, err) : NULL;
    *found = known != NULL;
    if (rc != 0 || !known) return rc != 0 ? rc : err->code;
    return add_effect(c, &known->spec, err);
}

static int use_effect(comparison *c, const node_spec *node, weir_error *err)
{
    effect_spec spec;
    if (map_get(&c->by_effect, node->effect)) return 0;
    if (c->parent) {
        bool found = false;
        int rc = use_stored_effect(c, node->effect, &found, err);
        if (rc != 0 || found) return rc;
    }
    if (find_effect(c, node->effect, &spec)) return add_effect(c, &spec, err);
    if (c->host_errors == 0)
        tell_static(c->w, c->def, &node->position, NULL, "node \"%s\" applies \"%s\", which is not an effect",
                    define_text(c, node->name), define_text(c, node->effect));
    return 0;
}

static bool same_effect(const effect_spec *a, const effect_spec *b)
{
    return a->kind == b->kind && a->policy == b->policy && hash_equal(a->code, b->code) && bytes_equal(a->version, b->version) &&
           bytes_equal(a->always, b->always) && bytes_equal(a->library, b->library);
}

static int match_effect(comparison *c, declared_effect *e, weir_error *err)
{
    int rc = c->is_new_graph ? 0 : catalog_effect_named(c->w->catalog, c->graph, e->spec.name, &e->id, err);
    if (rc != 0) return rc;
    if (e->id == 0) {
        e->id = catalog_new_effect_id(c->w->catalog);
        return 0;
    }
    const cat_effect *old = catalog_effect(c->w->catalog, e->id, err);
    if (!old) return err->code ? err->code : error_set(err, WEIR_BUG, "effect %llu is not stored", (unsigned long long)e->id);
    e->is_known = true;
    e->is_changed = !same_effect(&e->spec, &old->spec);
    return 0;
}

static int resolve_effects(comparison *c, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->def->effect_count; i++) rc = add_effect(c, &c->def->effects[i], err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) rc = use_effect(c, c->nodes[i].spec, err);
    for (size_t i = 0; rc == 0 && i < c->effect_count; i++) rc = match_effect(c, &c->effects[i], err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const uint64_t *slot = map_get(&c->by_effect, c->nodes[i].spec->effect);
        c->nodes[i].spec->effect_id = slot ? c->effects[*slot - 1].id : 0;
    }
    return rc;
}

int resolve_names(comparison *c, weir_error *err)
{
    int rc = index_names(c, err);
    if (rc == 0) rc = load_stored(c, err);
    if (rc == 0) rc = resolve_effects(c, err);
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        if (c->nodes[i].id == 0) c->nodes[i].id = catalog_new_node_id(c->w->catalog);
    return rc;
}

/* --- outputs and inputs ------------------------------------------------------------------------------------------ */

int resolve_outputs(comparison *c, weir_error *err)
{
    for (size_t i = 0; i < c->count; i++) {
        node_spec *spec = c->nodes[i].spec;
        for (size_t j = 0; j < spec->output_count; j++) {
            const uint64_t *owner = map_get(&c->by_path, check_plain(spec->outputs[j].path));
            if (!owner || *owner != i + 1) continue; /* told already */
            const cat_item *item = catalog_item_named(c->w->catalog, ITEM_FILE, spec->outputs[j].path, true, err);
            if (!item) return err->code;
            spec->outputs[j].id = item->id;
            uint64_t *slot = map_put(&c->by_item, map_key_u64(&item->id), NULL);
            if (!slot) return error_nomem(err, doing);
            *slot = i + 1;
        }
    }
    return 0;
}

int define_edge(comparison *c, size_t from, size_t to, weir_error *err)
{
    if (!MEM_GROW(c->edges, c->edge_capacity, c->edge_count + 1)) return error_nomem(err, doing);
    c->edges[c->edge_count++] = (declared_edge){(uint32_t)from, (uint32_t)to};
    return 0;
}

static int unknown_node(comparison *c, const node_spec *spec, const spec_input *input, const spec_member *m)
{
    if (c->host_errors == 0)
        tell_static(c->w, c->def, &spec->position, NULL, "input \"%s\" of node \"%s\" is node \"%s\", which is not declared",
                    define_text(c, input->port), define_text(c, spec->name), define_text(c, m->name));
    return 0;
}

static int resolve_node_member(comparison *c, size_t number, const spec_input *input, spec_member *m, weir_error *err)
{
    const node_spec *spec = c->nodes[number].spec;
    const uint64_t *slot = map_get(&c->by_name, m->name);
    if (!slot) {
        int rc = resolve_floor(c, number, m, err);
        if (rc == 0) m->id = 0;
        if (rc == 0 || !c->parent) return rc < 0 ? rc : unknown_node(c, spec, input, m);
        return rc < 0 ? rc : 0;
    }
    const declared_node *up = &c->nodes[*slot - 1];
    m->id = up->id;
    if (m->kind == MEMBER_EXPAND) {
        int rc = resolve_floor(c, number, m, err);
        if (rc < 0) return rc;
    }
    bytes below = {0};
    int index = m->kind == MEMBER_OUTPUT ? spec_member_output(up->spec, m->port, &below) : 0;
    if (below.size && index >= 0 && !manifest_is_folder(up->spec->outputs[index].path))
        tell_static(c->w, c->def, &spec->position, "a file in it can be taken of an output that is a folder",
                    "input \"%s\" of node \"%s\": output \"%s\" of node \"%s\" is a file", define_text(c, input->port), define_text(c, spec->name),
                    define_text(c, up->spec->outputs[index].port), define_text(c, m->name));
    else if (index < 0)
        tell_static(c->w, c->def, &spec->position, NULL, "input \"%s\" of node \"%s\": node \"%s\" has no output \"%s\"",
                    define_text(c, input->port), define_text(c, spec->name), define_text(c, m->name),
                    define_text(c, m->port));
    return define_edge(c, *slot - 1, number, err);
}

/* A path in a folder that a node makes: the member becomes that file of that output. *done: it did, or a mistake was told. */
static int take_part(comparison *c, size_t number, const spec_input *input, spec_member *m, bytes path, bool *done, weir_error *err)
{
    const spec_output *out = NULL;
    const node_spec *maker = check_folder_over(c, path, &out);
    const cat_item *folder = NULL;
    *done = false;
    if (!maker && c->parent) {
        int rc = output_folder_above(c->w, path, &folder, err);
        const cat_node *node = rc == 0 && folder ? catalog_node(c->w->catalog, folder->node, err) : NULL;
        for (size_t i = 0; node && i < node->spec.output_count; i++)
            if (node->spec.outputs[i].id == folder->id) out = &node->spec.outputs[i];
        if (out) maker = &node->spec;
        if (rc != 0) return rc;
    }
    if (!maker) return 0;
    size_t size = folder ? folder->name.size : out->path.size;
    *done = true;
    if (document_is_key(m) || path.size < size) {
        tell_static(c->w, c->def, &c->nodes[number].spec->position, path.size < size ? "take the node as the input" : "read it in an effect, or take the node",
                    "input \"%s\" of node \"%s\" is %s\"%s\", which is of a folder that node \"%s\" makes", define_text(c, input->port),
                    define_text(c, c->nodes[number].spec->name), document_is_key(m) ? "a key of " : "", define_text(c, path), define_text(c, maker->name));
        return 0;
    }
    const char *port = arena_printf(&c->arena, "%.*s/%s", (int)out->port.size, (const char *)out->port.data, define_text(c, path) + size);
    bytes name = arena_bytes(&c->arena, maker->name);
    if (!port || !name.data) return error_nomem(err, doing);
    *m = (spec_member){.kind = MEMBER_OUTPUT, .name = name, .port = bytes_str(port)};
    return resolve_node_member(c, number, input, m, err);
}

static int resolve_file_member(comparison *c, size_t number, const spec_input *input, spec_member *m, weir_error *err)
{
    const node_spec *spec = c->nodes[number].spec;
    weir_error why = {0};
    buf path;
    buf_init(&path);
    int rc = scan_normalise(m->name, &path, &why);
    if (rc != 0) {
        buf_deinit(&path);
        if (rc == WEIR_NOMEM) return error_nomem(err, doing);
        tell_static(c->w, c->def, &spec->position, NULL, "input \"%s\" of node \"%s\": %s", define_text(c, input->port),
                    define_text(c, spec->name), why.message);
        return 0;
    }
    bytes clean = arena_bytes(&c->arena, buf_bytes(&path));
    bool is_part = false;
    buf_deinit(&path);
    rc = clean.data ? take_part(c, number, input, m, clean, &is_part, err) : error_nomem(err, doing);
    if (rc != 0 || is_part) return rc;
    const cat_item *item = catalog_item_named(c->w->catalog, ITEM_FILE, clean, true, err);
    const uint64_t *owner = map_get(&c->by_path, clean);
    if (!item) return err->code;
    m->id = item->id;
    if (owner) return define_edge(c, *owner - 1, number, err);
    rc = item->node ? resolve_floor(c, number, m, err) : 0;
    return rc < 0 ? rc : 0;
}

static void tell_no_tool(comparison *c, const node_spec *spec, const spec_input *input, const spec_member *m)
{
    tell_static(c->w, c->def, &spec->position, NULL, "input \"%s\" of node \"%s\": program \"%s\" is not on the PATH",
                define_text(c, input->port), define_text(c, spec->name), define_text(c, m->name));
}

/* A variable, value or tool gets its content now if it was never looked at. */
static int resolve_outside_member(comparison *c, size_t number, const spec_input *input, spec_member *m, weir_error *err)
{
    cat_item *item = catalog_item_named(c->w->catalog, m->item, m->name, true, err);
    hash128 hash;
    buf path;
    if (!item) return err->code;
    m->id = item->id;
    if (m->item != ITEM_TOOL && !hash_is_none(item->hash)) return 0;
    buf_init(&path);
    int rc = observe_outside_hash(c->w, m->item, m->name, &hash, &path, err);
    bool is_missing = rc == WEIR_NOTFOUND || (rc == 0 && m->item == ITEM_TOOL && path.size == 0);
    buf_deinit(&path);
    if (is_missing) {
        tell_no_tool(c, c->nodes[number].spec, input, m);
        error_clear(err);
        return 0;
    }
    if (rc == 0 && !hash_equal(item->hash, hash)) catalog_observe(c->w->catalog, item, hash, 0, 0);
    return rc;
}

static int resolve_member(comparison *c, size_t number, const spec_input *input, spec_member *m, weir_error *err)
{
    if (m->kind != MEMBER_ITEM) return resolve_node_member(c, number, input, m, err);
    if (m->item == ITEM_FILE) return resolve_file_member(c, number, input, m, err);
    if (observe_is_tree(m->item)) { /* looked at in check_sources; what nodes make there it does not see */
        const cat_item *item = catalog_item_named(c->w->catalog, m->item, m->name, true, err);
        m->id = item ? item->id : 0;
        return item ? 0 : err->code;
    }
    return resolve_outside_member(c, number, input, m, err);
}

int resolve_inputs(comparison *c, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        node_spec *spec = c->nodes[i].spec;
        for (size_t j = 0; rc == 0 && j < spec->input_count; j++)
            for (size_t k = 0; rc == 0 && k < spec->inputs[j].count; k++)
                rc = resolve_member(c, i, &spec->inputs[j], &spec->inputs[j].members[k], err);
    }
    if (rc == 0 && c->parent) rc = resolve_around(c, err);
    c->declared_count = c->edge_count;
    return rc == 0 ? resolve_discovered(c, err) : rc;
}

/* --- heights ----------------------------------------------------------------------------------------------------- */

typedef struct ordering {
    uint32_t *open;  /* by node: sources that have no height yet */
    uint32_t *first; /* by node: where its users begin */
    uint32_t *users;
    uint32_t *queue;
    size_t done;
} ordering;

static bool prepare(comparison *c, size_t edges, ordering *o)
{
    o->open = arena_zero(&c->arena, c->count + 1, sizeof *o->open);
    o->first = arena_zero(&c->arena, c->count + 2, sizeof *o->first);
    o->users = arena_alloc(&c->arena, (edges + 1) * sizeof *o->users);
    o->queue = arena_alloc(&c->arena, (c->count + 1) * sizeof *o->queue);
    if (c->arena.failed) return false;
    for (size_t i = 0; i < edges; i++) {
        o->open[c->edges[i].to]++;
        o->first[c->edges[i].from + 2]++;
    }
    for (size_t i = 2; i < c->count + 2; i++) o->first[i] += o->first[i - 1];
    for (size_t i = 0; i < edges; i++) o->users[o->first[c->edges[i].from + 1]++] = c->edges[i].to;
    return true;
}

int resolve_users(comparison *c, uint32_t **first, uint32_t **users, weir_error *err)
{
    ordering o = {0};
    if (!prepare(c, c->edge_count, &o)) return error_nomem(err, doing);
    *first = o.first;
    *users = o.users;
    return 0;
}

/* Nodes in an order in which sources come first; those in a circle, and behind one, are left out. */
static void put_in_order(comparison *c, ordering *o)
{
    size_t end = 0;
    o->done = 0;
    for (size_t i = 0; i < c->count; i++) {
        c->nodes[i].height = c->nodes[i].floor > 1 ? c->nodes[i].floor : 1;
        if (o->open[i] == 0) o->queue[end++] = (uint32_t)i;
    }
    while (o->done < end) {
        uint32_t at = o->queue[o->done++];
        uint32_t above = c->nodes[at].height + 1;
        for (uint32_t u = o->first[at]; u < o->first[at + 1]; u++) {
            declared_node *user = &c->nodes[o->users[u]];
            if (user->height < above) user->height = above;
            if (--o->open[o->users[u]] == 0) o->queue[end++] = o->users[u];
        }
    }
}

/* `path` runs against the edges, from a node back to itself. */
static void tell_cycle(comparison *c, const uint32_t *path, size_t count)
{
    buf text;
    buf_init(&text);
    for (size_t i = count; i-- > 0;) {
        buf_text(&text, define_text(c, c->nodes[path[i]].spec->name));
        buf_text(&text, " -> ");
    }
    buf_text(&text, define_text(c, c->nodes[path[count - 1]].spec->name));
    const char *shown = buf_cstr(&text);
    tell_static(c->w, c->def, &c->nodes[path[count - 1]].spec->position, "each of these nodes takes what the one before makes",
                "nodes wait for one another: %s", shown ? shown : "out of memory");
    buf_deinit(&text);
}

/* Every node left has a source that is left: walking back from it ends in a circle. Each circle is met once. */
static int tell_cycles(comparison *c, const ordering *o, weir_error *err)
{
    uint32_t *back = arena_zero(&c->arena, c->count, sizeof *back);
    uint32_t *walk = arena_zero(&c->arena, c->count, sizeof *walk); /* number of the walk that came by; 0: none */
    uint32_t *path = arena_zero(&c->arena, c->count, sizeof *path);
    if (c->arena.failed) return error_nomem(err, doing);
    for (size_t i = 0; i < c->declared_count; i++)
        if (o->open[c->edges[i].from] && o->open[c->edges[i].to]) back[c->edges[i].to] = c->edges[i].from;
    for (uint32_t i = 0; i < c->count; i++) {
        if (!o->open[i] || walk[i]) continue;
        size_t length = 0;
        uint32_t at = i;
        for (; !walk[at]; at = back[at]) {
            walk[at] = i + 1;
            path[length++] = at;
        }
        if (walk[at] != i + 1) continue;
        size_t start = 0;
        while (path[start] != at) start++;
        tell_cycle(c, path + start, length - start);
    }
    return 0;
}

/* Which nodes lie on a circle, or between two: in `open` after put_in_order, and a source of another such node, transitively. */
static bool trim_ends(comparison *c, ordering *o)
{
    uint32_t *left = arena_zero(&c->arena, c->count + 1, sizeof *left); /* users that are left */
    uint32_t *stack = arena_alloc(&c->arena, (c->count + 1) * sizeof *stack);
    uint32_t *first = arena_zero(&c->arena, c->count + 2, sizeof *first);
    uint32_t *sources = arena_alloc(&c->arena, (c->edge_count + 1) * sizeof *sources);
    size_t depth = 0;
    if (c->arena.failed) return false;
    for (size_t i = 0; i < c->edge_count; i++) {
        first[c->edges[i].to + 2]++;
        if (o->open[c->edges[i].to]) left[c->edges[i].from]++;
    }
    for (size_t i = 2; i < c->count + 2; i++) first[i] += first[i - 1];
    for (size_t i = 0; i < c->edge_count; i++) sources[first[c->edges[i].to + 1]++] = c->edges[i].from;
    for (uint32_t i = 0; i < c->count; i++)
        if (o->open[i] && left[i] == 0) stack[depth++] = i;
    while (depth > 0) {
        uint32_t at = stack[--depth];
        o->open[at] = 0;
        for (uint32_t s = first[at]; s < first[at + 1]; s++)
            if (o->open[sources[s]] && --left[sources[s]] == 0) stack[depth++] = sources[s];
    }
    return true;
}

/*
 * What was discovered is only history where it would now close a circle: it goes, and its node is looked at again. One more of these
 * edges may go than has to: a node whose result still holds says so without running, and has its edges again.
 */
static bool drop_history(comparison *c, ordering *o)
{
    size_t kept = c->declared_count;
    if (!trim_ends(c, o)) return false;
    c->dropped = arena_alloc(&c->arena, (c->edge_count - kept + 1) * sizeof *c->dropped);
    if (!c->dropped) return false;
    for (size_t i = c->declared_count; i < c->edge_count; i++) {
        if (o->open[c->edges[i].from] && o->open[c->edges[i].to]) c->dropped[c->dropped_count++] = c->edges[i];
        else c->edges[kept++] = c->edges[i];
    }
    c->edge_count = kept;
    return true;
}

int resolve_heights(comparison *c, weir_error *err)
{
    ordering o = {0};
    if (c->count >= UINT32_MAX || c->edge_count >= UINT32_MAX)
        return error_set(err, WEIR_LIMIT, "the workflow declares too many nodes or edges");
    if (!prepare(c, c->edge_count, &o)) return error_nomem(err, doing);
    put_in_order(c, &o);
    if (o.done == c->count) return 0;
    if (c->declared_count < c->edge_count) {
        if (!drop_history(c, &o) || !prepare(c, c->edge_count, &o)) return error_nomem(err, doing);
        put_in_order(c, &o);
        if (o.done == c->count) return 0;
        if (!prepare(c, c->declared_count, &o)) return error_nomem(err, doing);
        put_in_order(c, &o);
    }
    return tell_cycles(c, &o, err);
}
