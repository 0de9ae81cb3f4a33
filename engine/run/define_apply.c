/*
 * define_apply.c - the difference between a definition and what is stored is said, in the log and in memory.
 *
 * Effects first, then nodes in the order of the workflow, new heights, nodes that vanished, whoever
 * is due because of that, and then what nodes of lists are to it all. Last comes the definition
 * itself with what it read: a log cut off anywhere before that is a definition that is compared once
 * more. A node that takes over an output names its claim before the old one gives it up; the fold
 * and the catalog only release what is still claimed by the old one.
 *
 * A dry run takes the same way; the journal keeps silent, and the nodes that would be due are listed for the planner.
 *
 * Loop thread only.
 */
#include "engine/run/define.h"
#include "generated/schema.h"

static const char doing[] = "recording the definition";

typedef struct application {
    comparison *c;
    catalog *catalog;
    journal *journal;
    buf *body;
    buf spec;      /* stored form of the node in hand */
    map heirs;     /* what a vanished node leaves: base and first output, or inputs -> its id */
    map said;      /* node ids that became due here */
    size_t added;
    bool has_heirs, changed;
    bool has_needs; /* some node has ever needed another one by name */
} application;

/* --- which nodes are due ----------------------------------------------------------------------------------------- */

static int note_due(application *a, uint64_t node, weir_error *err)
{
    return map_put(&a->said, map_key_u64(&node), NULL) ? 0 : error_nomem(err, doing);
}

static int list_due(application *a, weir_error *err)
{
    weir *w = a->c->w;
    size_t at = 0;
    bytes key;
    size_t before = w->changed_count; /* the definition was evaluated twice: those of the first time stay */
    uint64_t *all = arena_alloc(catalog_arena(a->catalog), (before + a->said.count + 1) * sizeof *all);
    if (!all) return error_nomem(err, doing);
    if (before) memcpy(all, w->changed_nodes, before * sizeof *all);
    w->changed_nodes = all;
    while (map_next(&a->said, &at, &key, NULL)) memcpy(&w->changed_nodes[w->changed_count++], key.data, sizeof(uint64_t));
    w->gone_nodes = arena_alloc(catalog_arena(a->catalog), (a->c->gone_count + 1) * sizeof *w->gone_nodes);
    if (!w->gone_nodes) return error_nomem(err, doing);
    w->gone_count = a->c->gone_count;
    if (w->gone_count) memcpy(w->gone_nodes, a->c->gone, w->gone_count * sizeof *w->gone_nodes);
    return 0;
}

/* --- effects ----------------------------------------------------------------------------------------------------- */

static int say_effect(application *a, const declared_effect *e, weir_error *err)
{
    buf_clear(&a->spec);
    effect_put(&a->spec, &e->spec, false);
    if (a->spec.failed) return error_nomem(err, doing);
    event_put_effect(a->body, &(event_effect){.effect = e->id, .graph = a->c->graph, .spec = buf_bytes(&a->spec)});
    uint64_t seq = journal_say(a->journal, EVENT_EFFECT, a->body);
    cat_effect *known = catalog_put_effect(a->catalog, e->id, &e->spec, err);
    if (!known) return err->code;
    known->seq = seq;
    known->graph = a->c->graph;
    a->changed = true;
    return 0;
}

static int make_due(application *a, uint64_t id, reason_kind reason, weir_error *err)
{
    cat_node *node = catalog_node(a->catalog, id, err);
    if (!node) return err->code;
    if (node->status == CAT_GONE || map_get(&a->said, map_key_u64(&id))) return 0;
    event_put_node_due(a->body, &(event_node_due){.node = id, .reason = reason});
    journal_say(a->journal, EVENT_NODE_DUE, a->body);
    node->status = CAT_DUE;
    node->due = reason;
    return note_due(a, id, err);
}

/* The nodes in the first column; the statement is done before the first of them is looked at. */
static int make_rows_due(application *a, db_stmt *s, reason_kind reason, weir_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0, capacity = 0;
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        if (!MEM_GROW(ids, capacity, count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        ids[count++] = (uint64_t)db_int(s, 0);
    }
    db_reset(s);
    for (size_t i = 0; rc == 0 && i < count; i++) rc = make_due(a, ids[i], reason, err);
    mem_free(ids);
    return rc;
}

/* After the nodes: those that were declared anew have their reason already, those that vanished are gone. */
static int say_code_changes(application *a, const declared_effect *e, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(a->catalog), SQL_NODES_OF_EFFECT, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)e->id);
    return make_rows_due(a, s, REASON_CODE_CHANGED, err);
}

/* --- successors -------------------------------------------------------------------------------------------------- */

/* What a vanished and a new node must share to be one another's successor. */
static hash128 legacy(const node_spec *spec)
{
    hash_stream h;
    hash_begin(&h);
    hash_update(&h, spec->base.data, spec->base.size);
    hash_update(&h, "", 1);
    if (spec->output_count > 0) {
        hash_update(&h, "output", 6);
        hash_update(&h, &spec->outputs[0].id, sizeof spec->outputs[0].id);
        return hash_end(&h);
    }
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t j = 0; j < spec->inputs[i].count; j++) {
            const spec_member *m = &spec->inputs[i].members[j];
            uint64_t part[2] = {(uint64_t)m->kind, m->id};
            hash_update(&h, spec->inputs[i].port.data, spec->inputs[i].port.size);
            hash_update(&h, part, sizeof part);
        }
    return hash_end(&h);
}

static bool has_new_node(const comparison *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!c->nodes[i].is_known) return true;
    return false;
}

static int find_heirs(application *a, weir_error *err)
{
    const comparison *c = a->c;
    if (c->gone_count == 0 || !has_new_node(c)) return 0;
    for (size_t i = 0; i < c->gone_count; i++) {
        const cat_node *node = catalog_node(a->catalog, c->gone[i], err);
        if (!node) return err->code;
        if (node->execution == 0) continue;
        hash128 key = legacy(&node->spec);
        uint64_t *slot = map_put(&a->heirs, bytes_of(key.bytes, HASH_SIZE), NULL);
        if (!slot) return error_nomem(err, doing);
        *slot = node->id;
    }
    a->has_heirs = a->heirs.count > 0;
    return 0;
}

/* Each vanished node has one successor. */
static uint64_t take_heir(application *a, const declared_node *n)
{
    if (!a->has_heirs || n->is_known) return 0;
    hash128 key = legacy(n->spec);
    uint64_t *slot = map_get(&a->heirs, bytes_of(key.bytes, HASH_SIZE));
    uint64_t heir = slot ? *slot : 0;
    if (slot) *slot = 0;
    return heir;
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static int remember_node(application *a, const declared_node *n, uint64_t seq, uint64_t successor_of, weir_error *err)
{
    bool was_live = n->is_known && n->old_status != CAT_GONE;
    const cat_node *before = successor_of ? catalog_node(a->catalog, successor_of, err) : NULL;
    if (successor_of && !before) return err->code;
    cat_node *node = catalog_put_node(a->catalog, n->id, n->spec, err);
    if (!node) return err->code;
    node->graph = a->c->graph;
    node->spec_seq = seq;
    node->height = n->height;
    node->status = CAT_DUE;
    node->blocked_by = 0; /* by what it took in before */
    node->due = was_live && node->settled != 0 ? REASON_PARAMS_CHANGED : REASON_NEW;
    if (before) {
        node->due = REASON_PARAMS_CHANGED;
        node->successor = successor_of;
        node->execution = before->execution;
        node->value = before->value;
    }
    return note_due(a, n->id, err);
}

static int say_height(application *a, const declared_node *n, weir_error *err)
{
    cat_node *node = catalog_node(a->catalog, n->id, err);
    if (!node) return err->code;
    event_put_edge_found(a->body, &(event_edge_found){.to = n->id, .to_height = n->height});
    journal_say(a->journal, EVENT_EDGE_FOUND, a->body);
    node->height = n->height;
    return 0;
}

/* The planner may remember that it comes after what it took in until now; what it takes in from now on is told (tell_sources). */
static int forget_sources(application *a, const declared_node *n, weir_error *err)
{
    weir *w = a->c->w;
    id_list sources = {0};
    if (a->c->parent == 0 || plan_height_of(w->plan, n->id) == 0 || plan_state_of(w->plan, n->id) == PLAN_RUNNING) return 0;
    int rc = catalog_ids(a->catalog, SQL_NODE_SOURCES_EVER, n->id, 0, 1, &sources, err);
    for (size_t i = 0; rc == 0 && i < sources.count; i++) rc = plan_forget(w->plan, sources.ids[i], n->id, err);
    mem_free(sources.ids);
    return rc;
}

static int say_node(application *a, const declared_node *n, weir_error *err)
{
    n->spec->parent = a->c->parent;
    buf_clear(&a->spec);
    spec_put_stored(&a->spec, n->spec);
    if (a->spec.failed) return error_nomem(err, doing);
    bool is_live = n->is_known && n->old_status != CAT_GONE;
    if (is_live && hash_equal(hash_bytes(a->spec.data, a->spec.size), n->old_spec))
        return n->height == n->old_height ? 0 : say_height(a, n, err);
    int rc = is_live ? forget_sources(a, n, err) : 0;
    if (rc != 0) return rc;
    uint64_t successor_of = take_heir(a, n);
    event_node e = {.node = n->id, .graph = a->c->graph, .height = n->height, .successor_of = successor_of, .spec = buf_bytes(&a->spec)};
    event_put_node(a->body, &e);
    if (a->body->failed) return error_nomem(err, doing);
    uint64_t seq = journal_say(a->journal, EVENT_NODE, a->body);
    a->changed = true;
    a->added += !is_live;
    return remember_node(a, n, seq, successor_of, err);
}

static int say_removed(application *a, uint64_t id, weir_error *err)
{
    cat_node *node = catalog_node(a->catalog, id, err);
    if (!node) return err->code;
    event_put_node_removed(a->body, &(event_node_removed){.node = id});
    journal_say(a->journal, EVENT_NODE_REMOVED, a->body);
    node->status = CAT_GONE;
    node->due = 0;
    for (size_t i = 0; i < node->spec.output_count; i++) {
        cat_item *item = catalog_item(a->catalog, node->spec.outputs[i].id, err);
        if (!item && err->code != 0) return err->code;
        if (item) catalog_release(item, id);
        int rc = item && item->node == 0 && item->disk_differs ? observe_items(a->c->w, &item->id, 1, err) : 0;
        if (rc != 0) return rc; /* what a hand made of it is no harm to put right any more: it is a source, and who reads it is due */
    }
    a->changed = true;
    return 0;
}

/* A name that others needed, or looked for, has a node now, or has none any more. */
static int say_name(application *a, bytes name, reason_kind reason, weir_error *err)
{
    if (!a->has_needs) return 0;
    db_stmt *s = db_get(catalog_db(a->catalog), SQL_NEED_USERS, err);
    if (!s) return err->code;
    db_bind_int(s, 1, ITEM_NODE);
    db_bind_bytes(s, 2, name);
    db_bind_int(s, 3, (int64_t)a->c->graph);
    return make_rows_due(a, s, reason, err);
}

/* Of the nodes that vanished from this one on. */
static int say_names_gone(application *a, size_t from, weir_error *err)
{
    const comparison *c = a->c;
    int rc = 0;
    for (size_t i = from; rc == 0 && i < c->gone_count; i++) {
        const cat_node *node = catalog_node(a->catalog, c->gone[i], err);
        rc = node ? say_name(a, node->spec.name, REASON_INPUTS_REMOVED, err) : err->code;
    }
    return rc;
}

static int say_names(application *a, weir_error *err)
{
    const comparison *c = a->c;
    db_stmt *s = db_get(catalog_db(a->catalog), SQL_ITEMS_OF_KIND, err);
    if (!s) return err->code;
    db_bind_int(s, 1, ITEM_NODE);
    int rc = db_step(s, err);
    db_reset(s);
    if (rc <= 0) return rc;
    a->has_needs = true;
    rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        if (!c->nodes[i].is_known || c->nodes[i].old_status == CAT_GONE) rc = say_name(a, c->nodes[i].spec->name, REASON_INPUTS_ADDED, err);
    return rc == 0 ? say_names_gone(a, 0, err) : rc;
}

/* An edge that was discovered and would now close a circle. */
static int say_dropped(application *a, const declared_edge *edge, weir_error *err)
{
    cat_node *to = catalog_node(a->catalog, a->c->nodes[edge->to].id, err);
    if (!to) return err->code;
    edge_say_dropped(a->c->w, a->c->nodes[edge->from].id, to);
    a->changed = true;
    return note_due(a, to->id, err);
}

/* What was found to be read, and closes a circle with the list. */
static int say_parted(application *a, const parted_edge *edge, weir_error *err)
{
    cat_node *to = catalog_node(a->catalog, edge->to, err);
    if (!to) return err->code ? err->code : WEIR_BUG;
    edge_say_dropped(a->c->w, edge->from, to);
    a->changed = true;
    int rc = plan_forget(a->c->w->plan, edge->from, to->id, err);
    return rc == 0 ? note_due(a, to->id, err) : rc;
}

/* --- the definition ---------------------------------------------------------------------------------------------- */

static void say_definition(application *a)
{
    const comparison *c = a->c;
    const definition *def = c->def;
    event_definition e = {.graph = c->graph,
                          .file = bytes_str(c->w->workflow ? c->w->workflow : ""),
                          .reads = def->reads,
                          .read_count = def->read_count,
                          .defaults = def->defaults,
                          .default_count = def->default_count,
                          .always = def->always.data ? def->always : bytes_str("")};
    event_put_definition(a->body, &e);
    journal_say(a->journal, EVENT_DEFINITION, a->body);
}

/* The default targets of this run: in a dry run they are nowhere else. */
static int keep_defaults(application *a, weir_error *err)
{
    weir *w = a->c->w;
    const definition *def = a->c->def;
    mem_arena *arena = catalog_arena(a->catalog);
    w->new_defaults = arena_zero(arena, def->default_count + 1, sizeof *w->new_defaults);
    if (!w->new_defaults) return error_nomem(err, doing);
    for (size_t i = 0; i < def->default_count; i++) w->new_defaults[i] = arena_bytes(arena, def->defaults[i]);
    w->new_default_count = def->default_count;
    w->has_new_definition = true;
    return arena->failed ? error_nomem(err, doing) : 0;
}

/* One transaction, so whatever is recorded as changed has made due what it concerns. */
static int say_difference(application *a, weir_error *err)
{
    comparison *c = a->c;
    int rc = find_heirs(a, err);
    for (size_t i = 0; rc == 0 && i < c->effect_count; i++)
        if (!c->effects[i].is_known || c->effects[i].is_changed) rc = say_effect(a, &c->effects[i], err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) rc = say_node(a, &c->nodes[i], err);
    for (size_t i = 0; rc == 0 && i < c->dropped_count; i++) rc = say_dropped(a, &c->dropped[i], err);
    for (size_t i = 0; rc == 0 && i < c->parted_count; i++) rc = say_parted(a, &c->parted[i], err);
    for (size_t i = 0; rc == 0 && i < c->gone_count; i++) rc = say_removed(a, c->gone[i], err);
    if (rc == 0) rc = say_names(a, err);
    for (size_t i = 0; rc == 0 && i < c->effect_count; i++)
        if (c->effects[i].is_known && c->effects[i].is_changed) rc = say_code_changes(a, &c->effects[i], err);
    return rc;
}

/* Did a comparison say nodes and come to no end? */
static int was_cut_off(application *a, bool *was, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(a->catalog), SQL_DEFINITION_OPEN, err);
    *was = false;
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)a->c->graph);
    int rc = db_step(s, err);
    *was = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/*
 * What the nodes of lists that stay are to the workflow now. This asks the database about what was
 * just said, and so is done in several transactions: what a kill in between has left is done now.
 */
static int say_children(application *a, weir_error *err)
{
    comparison *c = a->c;
    size_t said = c->gone_count;
    bool is_open = a->changed;
    int rc = is_open || c->kept.count == 0 ? 0 : was_cut_off(a, &is_open, err);
    if (rc == 0 && is_open) rc = define_part_circles(c, err);
    a->changed = is_open;
    for (size_t i = said; rc == 0 && i < c->gone_count; i++) rc = say_removed(a, c->gone[i], err);
    if (rc == 0) rc = say_names_gone(a, said, err);
    return rc == 0 ? define_lift_children(c, err) : rc;
}

static int say_all(application *a, weir_error *err)
{
    comparison *c = a->c;
    int rc = say_difference(a, err);
    if (rc != 0) return rc;
    if (c->parent) return define_enter_turn(c, &a->said, err);
    rc = say_children(a, err);
    /* declared from C, the same again: nothing to say */
    if (rc == 0 && (a->changed || c->is_new_graph || c->w->workflow)) say_definition(a);
    if (rc == 0) rc = keep_defaults(a, err);
    return rc == 0 ? list_due(a, err) : rc;
}

/* What an edited workflow comes to. */
static void tell_difference(application *a)
{
    weir *w = a->c->w;
    weir_event e = {.kind = WEIR_EVENT_PLAN, .added = a->added, .removed = a->c->gone_count};
    e.altered = a->said.count > a->added ? a->said.count - a->added : 0;
    if (!a->c->parent && !a->c->is_new_graph && e.added + e.removed + e.altered > 0) tell(w, &e);
}

int define_apply(comparison *c, bool *changed, weir_error *err)
{
    catalog *known = c->w->catalog;
    application a = {.c = c, .catalog = known, .journal = catalog_journal(known), .body = catalog_body(known)};
    buf_init(&a.spec);
    map_init(&a.heirs);
    map_init(&a.said);
    int rc = say_all(&a, err);
    if (rc == 0) tell_difference(&a);
    if (rc == 0 && !c->w->dry) rc = catalog_refresh(known, err);
    *changed = a.changed;
    if (!c->parent) {
        c->w->graph = c->graph;
        c->w->summary->nodes = c->count + c->kept.count;
    }
    map_deinit(&a.said);
    map_deinit(&a.heirs);
    buf_deinit(&a.spec);
    return rc;
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

void comparison_open(comparison *c)
{
    map *maps[] = {&c->by_name, &c->by_path, &c->by_item, &c->by_effect, &c->kept};
    arena_init(&c->arena);
    for (size_t i = 0; i < 5; i++) map_init(maps[i]);
}

void comparison_close(comparison *c)
{
    map *maps[] = {&c->by_name, &c->by_path, &c->by_item, &c->by_effect, &c->kept};
    for (size_t i = 0; i < 5; i++) map_deinit(maps[i]);
    arena_deinit(&c->arena);
    mem_free(c->effects);
    mem_free(c->edges);
    mem_free(c->low);
    mem_free(c->parted);
    mem_free(c->gone);
}

/* The steps go over all nodes. A list that an effect made is compared to its end: its node has run. */
int comparison_resolve(comparison *c, const char *what, weir_error *err)
{
    static int (*const steps[])(comparison *c, weir_error *err) = {resolve_names, check_outputs, resolve_outputs, resolve_inputs, resolve_heights};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof steps / sizeof *steps; i++) {
        if (!c->parent) rc = schedule_interrupted(c->w, err);
        if (rc == 0) rc = steps[i](c, err);
    }
    if (rc == 0 && c->parent) rc = check_circles(c, err);
    if (rc == 0) rc = check_rest(c, err);
    if (rc == 0 && c->arena.failed) rc = error_nomem(err, "comparing the definition");
    if (rc == 0 && c->def->errors > 0)
        rc = error_set(err, WEIR_WORKFLOW, "%s has %zu error%s", what, c->def->errors, c->def->errors == 1 ? "" : "s");
    return rc;
}

static int take_graph(comparison *c, uint64_t graph, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(c->w->catalog), SQL_GRAPH_LAST, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    uint64_t last = rc == 1 ? (uint64_t)db_int(s, 0) : 0, count = rc == 1 ? (uint64_t)db_int(s, 1) : 0;
    db_reset(s);
    if (rc < 0) return rc;
    c->is_new_graph = graph == 0;
    c->graph = graph ? graph : last + 1;
    c->has_others = count > (graph ? 1u : 0u);
    c->count = c->def->node_count;
    c->host_errors = c->def->errors;
    c->nodes = arena_zero(&c->arena, c->count + 1, sizeof *c->nodes);
    return c->nodes ? 0 : error_nomem(err, "comparing the definition");
}

static int compare(comparison *c, bool *changed, weir_error *err)
{
    int rc = comparison_resolve(c, "the workflow", err);
    c->w->summary->nodes = c->count + c->kept.count;
    if (rc != 0 || (c->w->request && c->w->request->flags & WEIR_RUN_CHECK)) return rc;
    return define_apply(c, changed, err);
}

int define_compare(weir *w, definition *def, uint64_t graph, bool *changed, weir_error *err)
{
    comparison c = {.w = w, .def = def};
    weir_error local = {0};
    if (!err) err = &local;
    comparison_open(&c);
    int rc = w->dry ? 0 : catalog_refresh(w->catalog, err); /* what an earlier run of this engine said is to be seen */
    if (rc == 0) rc = take_graph(&c, graph, err);
    if (rc == 0) rc = compare(&c, changed, err);
    comparison_close(&c);
    return rc;
}
