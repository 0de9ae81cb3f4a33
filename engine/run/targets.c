/*
 * targets.c - which nodes a run is about, and who uses whom among them. Where a turn begins: targets_start.c.
 *
 * A target is looked for as a node's name, as a pattern over names, as an output, as a folder of outputs, and as a name without
 * params, in this order. What it needs is taken in through the stored edges. Without targets the run is about every node, and
 * nothing is loaded to say so.
 *
 * Memory is ahead of the database: what it holds about a node counts. A dry run's new declarations are in memory alone.
 *
 * Loop thread only.
 */
#include "engine/model/near.h"
#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/world/scan.h"
#include "generated/schema.h"

#include <stdlib.h>

static const char doing[] = "choosing what to run";

bool targets_wanted(const weir *w, uint64_t node)
{
    return !w->limited || map_get(&w->wanted, map_key_u64(&node)) != NULL;
}

/* --- the nodes of the graph -------------------------------------------------------------------------------------- */

/* Calls `each` for the name of every live node: the stored ones, and those that only a dry run knows. */
static int each_name(weir *w, int (*each)(void *ctx, uint64_t node, bytes name, weir_error *err), void *ctx, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_NODES_NAMED, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)w->graph);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        rc = each(ctx, (uint64_t)db_int(s, 0), db_bytes(s, 1), err);
        if (rc != 0) break;
    }
    db_reset(s);
    for (size_t i = 0; rc == 0 && w->dry && i < w->changed_count; i++) {
        const cat_node *node = catalog_node(w->catalog, w->changed_nodes[i], err);
        if (!node) return err->code;
        rc = each(ctx, node->id, node->spec.name, err);
    }
    return rc < 0 ? rc : 0;
}

typedef struct search {
    weir *w;
    bytes target;
    bool is_base;  /* else a pattern with * */
    bool found;
} search;

/* A live node of this graph is a target; false with err->code 0: it is not live. */
static bool add_target(weir *w, uint64_t id, weir_error *err)
{
    const cat_node *node = catalog_node(w->catalog, id, err);
    bool added = false;
    if (!node || node->status == CAT_GONE || node->graph != w->graph) return false;
    if (!map_put(&w->wanted, map_key_u64(&id), &added)) {
        error_nomem(err, doing);
        return false;
    }
    if (!added) return true;
    if (w->target_node_count == w->target_node_capacity) {
        size_t capacity = w->target_node_capacity ? w->target_node_capacity * 2 : 16;
        uint64_t *larger = arena_alloc(catalog_arena(w->catalog), capacity * sizeof *larger);
        if (!larger) {
            error_nomem(err, doing);
            return false;
        }
        if (w->target_node_count) memcpy(larger, w->target_nodes, w->target_node_count * sizeof *larger);
        w->target_nodes = larger;
        w->target_node_capacity = capacity;
    }
    w->target_nodes[w->target_node_count++] = id;
    return true;
}

static int add_matching(void *ctx, uint64_t node, bytes name, weir_error *err)
{
    search *s = ctx;
    if (!(s->is_base ? spec_name_has_base(name, s->target) : spec_name_matches(s->target, name))) return 0;
    if (add_target(s->w, node, err)) s->found = true;
    return err->code;
}

static int by_name(weir *w, bytes target, bool *found, weir_error *err)
{
    uint64_t id = 0;
    int rc = catalog_node_named(w->catalog, w->graph, target, &id, err);
    if (rc == 0 && id != 0) *found = add_target(w, id, err);
    return rc == 0 ? err->code : rc;
}

static int by_search(weir *w, bytes target, bool is_base, bool *found, weir_error *err)
{
    search s = {.w = w, .target = target, .is_base = is_base};
    int rc = each_name(w, add_matching, &s, err);
    *found = s.found;
    return rc;
}

static int by_output(weir *w, bytes path, bool *found, weir_error *err)
{
    const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, path, false, err);
    const cat_item *folder = NULL;
    if (!item && err->code == 0 && output_folder_above(w, path, &folder, err) == 0) item = folder;
    if (item && item->node != 0) *found = add_target(w, item->node, err);
    return err->code;
}

static int by_folder(weir *w, bytes path, bool *found, weir_error *err)
{
    buf from, to;
    buf_init(&from);
    buf_init(&to);
    buf_append(&from, path.data, path.size);
    buf_append(&to, path.data, path.size);
    buf_byte(&from, '/');
    buf_byte(&to, '0'); /* what follows / */
    db_stmt *s = from.failed || to.failed ? NULL : db_get(catalog_db(w->catalog), SQL_OUTPUTS_BELOW, err);
    int rc = s ? 0 : err->code ? err->code : error_nomem(err, doing);
    if (s) {
        db_bind_bytes(s, 1, buf_bytes(&from));
        db_bind_bytes(s, 2, buf_bytes(&to));
        while ((rc = db_step(s, err)) == 1) {
            if (add_target(w, (uint64_t)db_int(s, 2), err)) *found = true;
            if (err->code != 0) break;
        }
        if (rc == 1) rc = err->code;
        db_reset(s);
    }
    for (size_t i = 0; rc == 0 && w->dry && i < w->changed_count; i++) { /* claims that are in memory alone */
        const cat_node *node = catalog_node(w->catalog, w->changed_nodes[i], err);
        for (size_t j = 0; node && j < node->spec.output_count; j++) {
            const cat_item *item = catalog_item(w->catalog, node->spec.outputs[j].id, err);
            if (!item || item->name.size <= from.size || memcmp(item->name.data, from.data, from.size) != 0) continue;
            if (add_target(w, node->id, err)) *found = true;
        }
        rc = err->code;
    }
    buf_deinit(&from);
    buf_deinit(&to);
    return rc;
}

/* --- unknown ----------------------------------------------------------------------------------------------------- */

typedef struct names {
    mem_arena arena;
    const char **list;
    size_t count, capacity;
} names;

static int keep_name(void *ctx, uint64_t node, bytes name, weir_error *err)
{
    names *n = ctx;
    (void)node;
    bytes copy = arena_bytes(&n->arena, name);
    if (!copy.data || !MEM_GROW(n->list, n->capacity, n->count + 1)) return error_nomem(err, doing);
    n->list[n->count++] = (const char *)copy.data;
    return 0;
}

static int keep_outputs(weir *w, names *n, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_OUTPUTS_ALL, err);
    if (!s) return err->code;
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        rc = keep_name(n, 0, db_bytes(s, 0), err);
        if (rc != 0) break;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int targets_near(weir *w, const char *name, mem_arena *arena, const char **near, weir_error *err)
{
    names n = {0};
    arena_init(&n.arena);
    int rc = each_name(w, keep_name, &n, err);
    if (rc == 0) rc = keep_outputs(w, &n, err);
    const char *found = rc == 0 ? near_name(name, n.list, n.count) : NULL;
    *near = found ? arena_strdup(arena, found) : NULL;
    mem_free(n.list);
    arena_deinit(&n.arena);
    return rc;
}

/* `from` says who names it: empty for a request. */
static int unknown(weir *w, const char *target, const char *from, weir_error *err)
{
    mem_arena arena;
    const char *near = NULL;
    arena_init(&arena);
    int rc = targets_near(w, target, &arena, &near, err);
    if (rc == 0 && near)
        rc = error_set(err, WEIR_USAGE, "%sno node, output or folder is called \"%s\"; did you mean \"%s\"?", from, target, near);
    else if (rc == 0)
        rc = error_set(err, WEIR_USAGE, "%sno node, output or folder is called \"%s\"; `weir ls` lists the nodes", from, target);
    arena_deinit(&arena);
    return rc;
}

/* --- choosing ---------------------------------------------------------------------------------------------------- */

static int select_path(weir *w, bytes target, bool *found, weir_error *err)
{
    buf path;
    buf_init(&path);
    int rc = scan_normalise(target, &path, NULL) == 0 ? by_output(w, buf_bytes(&path), found, err) : 0;
    if (rc == 0 && !*found && path.size > 0) rc = by_folder(w, buf_bytes(&path), found, err);
    buf_deinit(&path);
    return rc;
}

static int select_one(weir *w, const char *text, const char *from, weir_error *err)
{
    bytes target = bytes_str(text);
    bool found = false;
    int rc = by_name(w, target, &found, err);
    if (rc == 0 && !found && memchr(target.data, '*', target.size)) rc = by_search(w, target, false, &found, err);
    if (rc == 0 && !found) rc = select_path(w, target, &found, err);
    if (rc == 0 && !found) rc = by_search(w, target, true, &found, err);
    return rc != 0 || found ? rc : unknown(w, text, from, err);
}

static int select_defaults(weir *w, weir_error *err)
{
    static const char from_default[] = "weir.default: ";
    int rc = 0;
    if (w->has_new_definition) {
        for (size_t i = 0; rc == 0 && i < w->new_default_count; i++) {
            w->limited = true;
            rc = select_one(w, (const char *)w->new_defaults[i].data, from_default, err);
        }
        return rc;
    }
    mem_arena arena;
    bytes *list = NULL;
    size_t count = 0, capacity = 0;
    arena_init(&arena);
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_DEFINITION_DEFAULTS, err);
    rc = s ? 0 : err->code;
    if (s) db_bind_int(s, 1, (int64_t)w->graph);
    while (s && (rc = db_step(s, err)) == 1) {
        bytes copy = arena_bytes(&arena, db_bytes(s, 0));
        if (!copy.data || !MEM_GROW(list, capacity, count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        list[count++] = copy;
    }
    if (s) db_reset(s);
    w->limited = count > 0;
    for (size_t i = 0; rc == 0 && i < count; i++) rc = select_one(w, (const char *)list[i].data, from_default, err);
    mem_free(list);
    arena_deinit(&arena);
    return rc < 0 ? rc : 0;
}

typedef struct closure {
    weir *w;
    map fresh; /* dry run: nodes whose declaration is in memory alone */
    uint64_t turn; /* from which on they are wanted */
    uint64_t *stack;
    size_t count, capacity;
} closure;

static int take_in(closure *c, uint64_t node, weir_error *err)
{
    bool added = false;
    if (node == 0) return 0;
    uint64_t *since = map_put(&c->w->wanted, map_key_u64(&node), &added);
    if (!since) return error_nomem(err, doing);
    if (!added) return 0;
    *since = c->turn;
    if (!MEM_GROW(c->stack, c->capacity, c->count + 1)) return error_nomem(err, doing);
    c->stack[c->count++] = node;
    return 0;
}

/* A dry run: what is read was made by the node that claims it in memory. */
static int dry_sources(closure *c, uint64_t node, weir_error *err)
{
    static const int statements[] = {SQL_NODE_SOURCE_NODES, SQL_NODE_SOURCE_ITEMS};
    id_list list = {0};
    int rc = 0;
    for (int part = 0; rc == 0 && part < 2; part++) {
        rc = catalog_ids(c->w->catalog, statements[part], node, 0, 1, &list, err);
        for (size_t i = 0; rc == 0 && i < list.count; i++) {
            const cat_item *item = part == 1 ? catalog_item(c->w->catalog, list.ids[i], err) : NULL;
            if (part == 1 && !item) rc = err->code;
            else rc = take_in(c, item ? item->node : list.ids[i], err);
        }
    }
    mem_free(list.ids);
    return rc;
}

static int stored_sources(closure *c, uint64_t node, weir_error *err)
{
    db_stmt *s = c->w->dry ? NULL : db_get(catalog_db(c->w->catalog), SQL_NODE_SOURCES, err);
    int rc = c->w->dry ? dry_sources(c, node, err) : s ? 0 : err->code;
    if (rc != 0) return rc;
    if (s) db_bind_int(s, 1, (int64_t)node);
    while (s && (rc = db_step(s, err)) == 1) {
        rc = take_in(c, (uint64_t)db_int(s, 0), err);
        if (rc != 0) break;
    }
    if (s) db_reset(s);
    const cat_node *known = rc >= 0 ? catalog_node(c->w->catalog, node, err) : NULL;
    if (known && known->spec.parent) rc = take_in(c, known->spec.parent, err);
    return rc < 0 ? rc : 0;
}

/* Who takes in a list takes in what its nodes make, as far as they are known. */
static int list_sources(closure *c, uint64_t expand, weir_error *err)
{
    id_list list = {0};
    int rc = catalog_ids(c->w->catalog, SQL_CHILDREN, expand, 0, 1, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) rc = take_in(c, list.ids[i], err);
    mem_free(list.ids);
    return rc;
}

static int declared_sources(closure *c, uint64_t id, weir_error *err)
{
    const cat_node *node = catalog_node(c->w->catalog, id, err);
    if (!node) return err->code;
    for (size_t i = 0; i < node->spec.input_count; i++)
        for (size_t j = 0; j < node->spec.inputs[i].count; j++) {
            const spec_member *m = &node->spec.inputs[i].members[j];
            uint64_t source = 0;
            int rc = catalog_maker(c->w->catalog, m, &source, err);
            if (rc == 0) rc = take_in(c, source, err);
            if (rc == 0 && m->kind == MEMBER_EXPAND) rc = list_sources(c, m->id, err);
            if (rc != 0) return rc;
        }
    return 0;
}

/* Everything that the targets need, also through discovered reads. */
static int close_over(weir *w, weir_error *err)
{
    closure c = {.w = w};
    int rc = 0;
    map_init(&c.fresh);
    for (size_t i = 0; rc == 0 && w->dry && i < w->changed_count; i++)
        if (!map_put(&c.fresh, map_key_u64(&w->changed_nodes[i]), NULL)) rc = error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && i < w->target_node_count; i++) {
        if (!MEM_GROW(c.stack, c.capacity, c.count + 1)) rc = error_nomem(err, doing);
        else c.stack[c.count++] = w->target_nodes[i];
    }
    while (rc == 0 && c.count > 0) {
        uint64_t node = c.stack[--c.count];
        rc = map_get(&c.fresh, map_key_u64(&node)) ? declared_sources(&c, node, err) : stored_sources(&c, node, err);
    }
    mem_free(c.stack);
    map_deinit(&c.fresh);
    return rc;
}

/* What the scan said of its outputs was not heard while nobody wanted it. */
static int notice_outputs(weir *w, uint64_t id, weir_error *err)
{
    const cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code;
    for (size_t i = 0; i < node->spec.output_count; i++) {
        uint64_t output = node->spec.outputs[i].id;
        const cat_item *item = catalog_item(w->catalog, output, err);
        if (!item) return err->code;
        if (item->disk_differs && !map_put(&w->observe_again, map_key_u64(&output), NULL)) return error_nomem(err, doing);
    }
    return 0;
}

int targets_take_in(weir *w, uint64_t node, weir_error *err)
{
    closure c = {.w = w, .turn = w->turns + 1};
    int rc = take_in(&c, node, err);
    while (rc == 0 && c.count > 0) {
        uint64_t id = c.stack[--c.count];
        rc = notice_outputs(w, id, err);
        if (rc == 0) rc = stored_sources(&c, id, err);
    }
    mem_free(c.stack);
    return rc;
}

int targets_expand(weir *w, bool *any, weir_error *err)
{
    id_list list = {0};
    *any = false;
    map_clear(&w->wanted);
    w->limited = true;
    w->target_nodes = NULL;
    w->target_node_count = w->target_node_capacity = 0;
    int rc = catalog_ids(w->catalog, SQL_NODES_EXPAND, w->graph, 0, 1, &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        *any = add_target(w, list.ids[i], err) || *any;
        rc = err->code;
    }
    if (rc == 0 && *any) rc = close_over(w, err);
    w->target_node_count = 0; /* the lists alone: not the nodes on them */
    mem_free(list.ids);
    return rc;
}

/* The nodes on the list of an expand node are meant with it. */
static int close_over_lists(weir *w, weir_error *err)
{
    id_list list = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->target_node_count; i++) {
        const cat_node *node = catalog_node(w->catalog, w->target_nodes[i], err);
        if (!node) rc = err->code;
        else if (node->spec.flags & SPEC_EXPAND) rc = catalog_ids(w->catalog, SQL_CHILDREN, node->id, 0, 1, &list, err);
        else continue;
        for (size_t k = 0; rc == 0 && k < list.count; k++) {
            closure c = {.w = w};
            rc = take_in(&c, list.ids[k], err);
            while (rc == 0 && c.count > 0) rc = stored_sources(&c, c.stack[--c.count], err);
            mem_free(c.stack);
        }
    }
    mem_free(list.ids);
    return rc;
}

int targets_select(weir *w, weir_error *err)
{
    int rc = 0;
    error_clear(err);
    map_clear(&w->wanted);
    w->limited = false;
    w->target_nodes = NULL;
    w->target_node_count = w->target_node_capacity = 0;
    if (w->request->target_count == 0) rc = select_defaults(w, err);
    else w->limited = true;
    for (size_t i = 0; rc == 0 && i < w->request->target_count; i++) rc = select_one(w, w->request->targets[i], "", err);
    if (rc == 0 && w->limited) rc = close_over(w, err);
    return rc == 0 && w->limited ? close_over_lists(w, err) : rc;
}

/* --- in the middle of a turn --------------------------------------------------------------------------------------- */

static int close_fresh(weir *w, const uint64_t *nodes, size_t count, map *fresh, weir_error *err)
{
    closure c = {.w = w, .turn = w->turns};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) rc = take_in(&c, nodes[i], err);
    while (rc == 0 && c.count > 0) {
        uint64_t id = c.stack[--c.count];
        if (!map_put(fresh, map_key_u64(&id), NULL)) rc = error_nomem(err, doing);
        if (rc == 0) rc = notice_outputs(w, id, err);
        if (rc == 0) rc = stored_sources(&c, id, err);
    }
    mem_free(c.stack);
    return rc;
}

/* The planner may have asked who uses their sources while nobody wanted them, or have lifted those; what they needed once is such a source too. */
static int tell_sources(weir *w, const map *fresh, id_list *list, weir_error *err)
{
    size_t at = 0;
    bytes key;
    int rc = 0;
    while (rc == 0 && !w->dry && map_next(fresh, &at, &key, NULL)) {
        uint64_t id;
        memcpy(&id, key.data, sizeof id);
        const cat_node *node = catalog_node(w->catalog, id, err);
        rc = node ? catalog_ids(w->catalog, SQL_NODE_SOURCES_EVER, id, 0, 1, list, err) : err->code;
        for (size_t i = 0; rc == 0 && i < list->count; i++) rc = edge_enters(w, node, list->ids[i], err);
    }
    return rc;
}

int targets_take_in_all_now(weir *w, const uint64_t *nodes, size_t count, weir_error *err)
{
    id_list list = {0};
    map fresh;
    map_init(&fresh);
    int rc = w->dry ? 0 : catalog_refresh(w->catalog, err); /* changes of this turn are to be found below */
    if (rc == 0) rc = close_fresh(w, nodes, count, &fresh, err);
    if (rc == 0) rc = tell_sources(w, &fresh, &list, err);
    if (rc == 0) rc = targets_start_among(w, &fresh, err);
    mem_free(list.ids);
    map_deinit(&fresh);
    return rc;
}

int targets_take_in_now(weir *w, uint64_t node, weir_error *err)
{
    return targets_take_in_all_now(w, &node, 1, err);
}

/* --- users ------------------------------------------------------------------------------------------------------- */

/* One that is taken in while a turn is under way waits for the next, in which all that it needs is looked at too. */
static bool is_wanted_now(const weir *w, uint64_t node)
{
    const uint64_t *since = w->limited ? map_get(&w->wanted, map_key_u64(&node)) : NULL;
    return !w->limited || (since && *since <= w->turns);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const plan_user *)a)->node, y = ((const plan_user *)b)->node;
    return (x > y) - (x < y);
}

/* In the order of their ids, each once. */
static size_t sort_users(plan_user *users, size_t count)
{
    size_t kept = 1;
    if (count < 2) return count;
    qsort(users, count, sizeof *users, by_id);
    for (size_t i = 1; i < count; i++)
        if (users[i].node != users[kept - 1].node) users[kept++] = users[i];
    return kept;
}

static int find_users(weir *w, uint64_t node, bool is_all, const plan_user **users, size_t *count, weir_error *err)
{
    *count = 0;
    *users = NULL;
    if (w->dry_run) {
        int found = dry_users(w, node, count, err);
        *users = w->users;
        return found;
    }
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_NODE_USERS_FOUND, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)node);
    db_bind_int(s, 2, (int64_t)w->graph);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        uint64_t id = (uint64_t)db_int(s, 0);
        if (id == node || !(is_all || is_wanted_now(w, id))) continue;
        uint32_t height = (uint32_t)db_int(s, 1);
        const cat_node *known = catalog_loaded(w->catalog, id); /* memory is ahead */
        if (known && known->status == CAT_GONE) continue;
        if (known) height = known->height;
        if (!MEM_GROW(w->users, w->users_capacity, *count + 1)) {
            rc = error_nomem(err, doing);
            break;
        }
        w->users[(*count)++] = (plan_user){.node = id, .height = height};
    }
    db_reset(s);
    *count = sort_users(w->users, *count);
    *users = w->users;
    return rc < 0 ? rc : 0;
}

int targets_users(weir *w, uint64_t node, const plan_user **users, size_t *count, weir_error *err)
{
    return find_users(w, node, false, users, count, err);
}

int targets_all_users(weir *w, uint64_t node, const plan_user **users, size_t *count, weir_error *err)
{
    return find_users(w, node, true, users, count, err);
}
