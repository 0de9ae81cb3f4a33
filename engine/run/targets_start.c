/*
 * targets_start.c - where a turn begins: which of the nodes that the run is about are due, or to be asked, before anything has run.
 *
 * What is not settled, what a change has touched since it was settled, what needs others while it runs, what always runs, what was
 * asked for by force, and what the turn before has left to look at again.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"
#include "generated/schema.h"

/* Loads the node: whoever is due is looked at anyway, and memory knows best. */
static int due_now(weir *w, uint64_t id, cat_node **node, weir_error *err)
{
    *node = NULL;
    if (!targets_wanted(w, id) || (w->taken_in && !map_get(w->taken_in, map_key_u64(&id)))) return 0;
    if (w->turns > 0 && adopt_runs(w, id)) return 0; /* said once in a run */
    cat_node *n = catalog_node(w->catalog, id, err);
    if (!n) return err->code;
    if (n->status != CAT_GONE && n->graph == w->graph && !n->planned) *node = n;
    return 0;
}

static int mark(weir *w, uint64_t id, weir_error *err)
{
    cat_node *node;
    int rc = due_now(w, id, &node, err);
    return rc == 0 && node ? plan_due(w->plan, node->id, node->height, err) : rc;
}

/* Of the run, or since it is wanted. */
static bool is_first_turn(const weir *w, const cat_node *node)
{
    const uint64_t *since = w->limited ? map_get(&w->wanted, map_key_u64(&node->id)) : NULL;
    return w->turns == 0 || (since && *since == w->turns);
}

/*
 * A later turn of the run does not try again what failed or was impure in this one, nor what ignores that it raced, and what is blocked
 * waits for its failed node to be tried. A node that is wanted from this turn on was not tried yet.
 */
static bool is_open(const weir *w, const cat_node *node)
{
    if (is_first_turn(w, node)) return node->status != CAT_SETTLED;
    if ((node->spec.flags & SPEC_IGNORE) && node->due == REASON_RACED) return false;
    return node->status == CAT_DUE && node->due != REASON_IMPURE;
}

static int mark_unsettled(weir *w, id_list *list, weir_error *err)
{
    cat_node *node;
    int rc = catalog_ids(w->catalog, SQL_NODES_UNSETTLED, w->graph, 0, 1, list, err);
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        rc = due_now(w, list->ids[i], &node, err);
        if (rc == 0 && node && is_open(w, node)) rc = plan_due(w->plan, node->id, node->height, err);
    }
    for (size_t i = 0; rc == 0 && w->dry && i < w->changed_count; i++) {
        rc = due_now(w, w->changed_nodes[i], &node, err);
        if (rc == 0 && node && is_open(w, node)) rc = plan_due(w->plan, node->id, node->height, err);
    }
    return rc;
}

/* Lists that are to be compared with their nodes once more: the workflow changed, or weir was killed meanwhile. */
static int mark_expansions(weir *w, id_list *list, weir_error *err)
{
    int rc = catalog_ids(w->catalog, SQL_EXPANSIONS_OPEN, w->graph, 0, 1, list, err);
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        cat_node *node;
        rc = due_now(w, list->ids[i], &node, err);
        if (rc != 0 || !node || !(node->spec.flags & SPEC_EXPAND)) continue; /* it may be none any more */
        bool had_its_turn = w->turns > 0 && (node->status == CAT_FAILED || node->status == CAT_BLOCKED);
        if (w->dry && !is_first_turn(w, node)) had_its_turn = true; /* nothing is stored: it stays among these */
        if (!had_its_turn) rc = plan_due(w->plan, node->id, node->height, err);
    }
    return rc;
}

/*
 * What a node needed while it ran is not taken in for a target: what it reads before decides whether it is needed again. So whoever
 * needs is looked at, and its lookup takes in one after the other.
 */
static int mark_needing(weir *w, id_list *list, weir_error *err)
{
    int rc = w->limited ? catalog_ids(w->catalog, SQL_NODES_NEEDING, 0, 0, 1, list, err) : 0;
    for (size_t i = 0; rc == 0 && w->limited && i < list->count; i++) {
        cat_node *node;
        rc = due_now(w, list->ids[i], &node, err);
        if (rc != 0 || !node || node->status != CAT_SETTLED || plan_state_of(w->plan, node->id) != PLAN_IDLE) continue;
        node->looked = true;
        rc = plan_ask(w->plan, node->id, node->height, err);
    }
    return rc;
}

static int mark_always(weir *w, id_list *list, weir_error *err)
{
    int rc = catalog_ids(w->catalog, SQL_NODES_ALWAYS, w->graph, 0, 1, list, err);
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        cat_node *node;
        rc = due_now(w, list->ids[i], &node, err);
        if (rc == 0 && node && node->always) rc = plan_due(w->plan, node->id, node->height, err);
    }
    return rc;
}

static int force(weir *w, uint64_t id, weir_error *err)
{
    cat_node *node;
    int rc = due_now(w, id, &node, err);
    if (rc != 0 || !node) return rc;
    node->forced = true;
    return plan_due(w->plan, node->id, node->height, err);
}

static int mark_forced(weir *w, id_list *list, weir_error *err)
{
    int rc = 0;
    if (!(w->request->flags & WEIR_RUN_FORCE)) return 0;
    if (w->limited && w->request->target_count > 0) {
        for (size_t i = 0; rc == 0 && i < w->target_node_count; i++) rc = force(w, w->target_nodes[i], err);
        return rc;
    }
    rc = catalog_ids(w->catalog, SQL_NODES_NAMED, w->graph, 0, 1, list, err);
    for (size_t i = 0; rc == 0 && i < list->count; i++) rc = force(w, list->ids[i], err);
    for (size_t i = 0; rc == 0 && w->dry && i < w->changed_count; i++) rc = force(w, w->changed_nodes[i], err);
    return rc;
}

/* A user of what changed at `seq`. */
static int mark_user(weir *w, uint64_t user, uint64_t seq, weir_error *err)
{
    cat_node *node = NULL;
    int rc = due_now(w, user, &node, err);
    bool waits = node && node->status == CAT_BLOCKED && w->turns > 0;
    waits |= node && node->raced && (node->spec.flags & SPEC_IGNORE);
    if (rc == 0 && node && !waits && node->settled < seq) rc = plan_due(w->plan, node->id, node->height, err);
    return rc;
}

static int mark_users_of_item(weir *w, uint64_t item, id_list *list, weir_error *err)
{
    int rc = catalog_ids(w->catalog, SQL_ITEM_USERS, item, w->graph, 3, list, err);
    for (size_t i = 0; rc == 0 && i < list->count; i += 3) rc = mark_user(w, list->ids[i], UINT64_MAX, err);
    return rc;
}

/* One question for all of them: after a first build every source and every node is pending, and few of them have users left to look at. */
static int mark_pending(weir *w, id_list *list, weir_error *err)
{
    int rc = catalog_ids(w->catalog, SQL_PENDING_USERS, w->graph, 0, 2, list, err);
    for (size_t i = 0; rc == 0 && i < list->count; i += 2) rc = mark_user(w, list->ids[i], list->ids[i + 1], err);
    return rc;
}

/* It lies there otherwise than it was made. Who has failed in this run has been asked already. */
static int mark_maker(weir *w, uint64_t id, weir_error *err)
{
    cat_node *node;
    int rc = due_now(w, id, &node, err);
    bool has_failed = node && (node->status == CAT_FAILED || node->status == CAT_BLOCKED);
    return rc == 0 && node && !(w->turns > 0 && has_failed) ? plan_due(w->plan, node->id, node->height, err) : rc;
}

/* What the scan found: a source has new content, an output is not what was written. */
static int mark_observed(weir *w, const map *items, id_list *list, weir_error *err)
{
    size_t at = 0;
    bytes key;
    int rc = 0;
    while (rc == 0 && map_next(items, &at, &key, NULL)) {
        uint64_t id;
        if (key.size != sizeof id) continue;
        memcpy(&id, key.data, sizeof id);
        const cat_item *item = catalog_item(w->catalog, id, err);
        if (!item) rc = err->code;
        else if (item->node != 0) rc = item->disk_differs ? mark_maker(w, item->node, err) : 0;
        else rc = mark_users_of_item(w, id, list, err);
    }
    return rc;
}

static int mark_recalled(weir *w, weir_error *err)
{
    size_t at = 0;
    bytes key;
    int rc = 0;
    while (rc == 0 && map_next(&w->read_lost, &at, &key, NULL)) {
        uint64_t id;
        memcpy(&id, key.data, sizeof id);
        rc = mark(w, id, err);
    }
    return rc;
}

/* Nodes that failed, always run or are forced have their one attempt in the first turn; later turns are for what moved meanwhile. */
int targets_start(weir *w, weir_error *err)
{
    id_list list = {0};
    error_clear(err);
    int rc = w->dry ? 0 : catalog_refresh(w->catalog, err); /* what the scan said is to be found below */
    if (rc == 0) rc = mark_unsettled(w, &list, err);
    if (rc == 0) rc = mark_expansions(w, &list, err);
    if (rc == 0) rc = mark_recalled(w, err);
    if (rc == 0 && w->turns == 0) rc = mark_needing(w, &list, err);
    if (rc == 0 && w->turns == 0) rc = mark_always(w, &list, err);
    if (rc == 0 && w->turns == 0) rc = mark_forced(w, &list, err);
    for (size_t i = 0; rc == 0 && w->turns == 0 && w->request->target_count > 0 && i < w->target_node_count; i++) {
        cat_node *node;
        rc = due_now(w, w->target_nodes[i], &node, err);
        if (rc == 0 && node && (node->spec.flags & SPEC_TRANSIENT)) rc = plan_due(w->plan, node->id, node->height, err);
    }
    if (rc == 0) rc = mark_pending(w, &list, err);
    if (rc == 0) rc = mark_observed(w, &w->observe_again, &list, err);
    mem_free(list.ids);
    return rc;
}

/* In the middle of a turn: these alone, as the turn would have begun with them. */
int targets_start_among(weir *w, const map *nodes, weir_error *err)
{
    id_list list = {0};
    w->taken_in = nodes;
    int rc = mark_unsettled(w, &list, err);
    if (rc == 0) rc = mark_expansions(w, &list, err);
    if (rc == 0) rc = mark_needing(w, &list, err);
    if (rc == 0) rc = mark_always(w, &list, err);
    if (rc == 0) rc = mark_pending(w, &list, err);
    if (rc == 0) rc = mark_observed(w, &w->observe_again, &list, err);
    if (rc == 0 && w->dry_run) rc = mark_observed(w, dry_observed(w), &list, err); /* of earlier turns, and of this one when it began */
    w->taken_in = NULL;
    mem_free(list.ids);
    return rc;
}
