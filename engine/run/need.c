/*
 * need.c - jobs that wait for nodes: i:need in Lua, weir_host.need in C.
 *
 * A worker that asks stops where it is. Its task waits: it gives its limits back (limits.c), the rest of its frame is handed out again, another worker is
 * forked for what it waits for. What it needs is an edge from now on (edges.c), so the planner sees both the order and
 * circles. When everything it asked for is settled, and a slot is free, it gets the answer and goes on.
 *
 * N1  A waiting task never waits for itself, however indirectly: that is a failed node whose message names the way.
 * N2  At most WAITING_MOST * slots workers wait, and WAITING_EVER at all. Above that the attempt ends; its node is due again behind what it needs. Such an
 *     attempt is no execution: nothing of it is recorded.
 * N3  A needed node that failed blocks the one that needs it, as a declared input does.
 *
 * Loop thread only.
 */
#include <stdio.h>

#include "engine/model/near.h"
#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/world/scan.h"
#include "generated/schema.h"

enum { WAITING_MOST = 4, WAITING_EVER = 512 };

static const char doing[] = "waiting for nodes";

/* What stands behind a name of a request. */
typedef struct needed_thing {
    cat_node *node;  /* NULL: a source, or nothing */
    bytes path;      /* a file; else empty */
    bool is_edge;    /* the planner knows */
} needed_thing;

struct need {
    bytes *names;
    needed_thing *things;
    size_t count;
    bool is_resolved;
    bool for_list;    /* `on` is an expand node, whose list may have the name */
    id_list stuck;    /* such nodes that wait for this one: not waited for any more (arena) */
    uint64_t on;      /* it waits for this node at least */
    need_end end;
};

/* --- names --------------------------------------------------------------------------------------------------------- */

int need_node(weir *w, bytes name, cat_node **node, weir_error *err)
{
    uint64_t id = 0;
    *node = NULL;
    int rc = catalog_node_named(w->catalog, w->graph, name, &id, err);
    cat_node *found = rc == 0 && id ? catalog_node(w->catalog, id, err) : NULL;
    if (found && found->status != CAT_GONE) *node = found;
    return rc == 0 && id && !found ? err->code : rc;
}

/* "config" may be a node that is not declared yet; what has a dot or a slash before any bracket is a path. */
static bool is_path(bytes name)
{
    for (size_t i = 0; i < name.size && name.data[i] != '['; i++)
        if (name.data[i] == '/' || name.data[i] == '.') return true;
    return false;
}

/* The path when it is a file, or can only be one; empty otherwise. */
static int find_path(task *t, bytes name, needed_thing *to, weir_error *err)
{
    weir *w = t->w;
    weir_error why = {0};
    buf path;
    os_stat st = {.type = OS_ABSENT};
    buf_init(&path);
    if (scan_normalise(name, &path, &why) != 0) {
        buf_deinit(&path);
        return is_path(name) ? error_set(err, WEIR_FAILED, "%s", why.message) : 0;
    }
    const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, buf_bytes(&path), false, err);
    int rc = item ? 0 : err->code;
    bytes kept = arena_bytes(&t->arena, buf_bytes(&path));
    buf_deinit(&path);
    if (rc == 0 && !kept.data) rc = error_nomem(err, doing);
    if (rc == 0 && !(item && item->node) && !is_path(name)) rc = os_statat(w->rootfd, (const char *)kept.data, true, &st, err);
    if (rc != 0) return rc;
    if ((item && item->node) || is_path(name) || st.type != OS_ABSENT) to->path = kept;
    if (item && item->node) {
        to->node = catalog_node(w->catalog, item->node, err);
        if (!to->node) return err->code ? err->code : WEIR_BUG;
    }
    return 0;
}

static int resolve_names(task *t, weir_error *err)
{
    need *n = t->need;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n->count; i++) {
        n->things[i] = (needed_thing){.path = bytes_of("", 0)};
        rc = need_node(t->w, n->names[i], &n->things[i].node, err);
        if (rc == 0 && !n->things[i].node) rc = find_path(t, n->names[i], &n->things[i], err);
    }
    n->is_resolved = rc == 0;
    return rc;
}

/* --- is it up to date? --------------------------------------------------------------------------------------------- */

static bool is_among(uint64_t node, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == node) return true;
    return false;
}

static bool is_open(plan_state state)
{
    return state == PLAN_DUE || state == PLAN_RUNNING;
}

int need_look(weir *w, cat_node *node, bool *waits, weir_error *err)
{
    int rc = targets_wanted(w, node->id) ? 0 : targets_take_in_now(w, node->id, err);
    plan_state state = plan_state_of(w->plan, node->id);
    *waits = is_open(state);
    if (rc != 0 || state != PLAN_IDLE || node->status != CAT_SETTLED) return rc;
    rc = plan_ask(w->plan, node->id, node->height, err); /* something above it may still be due: the planner knows when it is not */
    *waits = rc == 0;
    return rc;
}

/* Dry run: a list that is not known before it is made, and is not made from the node. *on: 0, or its expand node. */
static int find_unknown_list(weir *w, const cat_node *node, const id_list *lists, uint64_t *on, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && *on == 0 && i < lists->count + w->changed_count; i++) { /* what is declared anew is not stored */
        uint64_t id = i < lists->count ? lists->ids[i] : w->changed_nodes[i - lists->count];
        const cat_node *list = id == node->id ? NULL : catalog_loaded(w->catalog, id);
        bool is_list = list && list->status != CAT_GONE && (list->spec.flags & SPEC_EXPAND), does = false;
        if (!is_list || (!list->planned && !is_open(plan_state_of(w->plan, id)))) continue;
        rc = define_depends(w, id, node->id, &does, err);
        if (!does) *on = id;
    }
    return rc;
}

int need_lists(weir *w, const cat_node *node, const id_list *but, uint64_t *on, weir_error *err)
{
    id_list lists = {0};
    *on = 0;
    int rc = catalog_ids(w->catalog, SQL_NODES_EXPAND, w->graph, 0, 1, &lists, err);
    if (rc == 0 && w->dry) rc = find_unknown_list(w, node, &lists, on, err);
    for (size_t i = 0; rc == 0 && !w->dry && *on == 0 && i < lists.count; i++) {
        cat_node *list = lists.ids[i] == node->id ? NULL : catalog_node(w->catalog, lists.ids[i], err);
        bool waits = false;
        if (!list) rc = err->code;
        if (!list || list->status == CAT_GONE || (but && is_among(list->id, but->ids, but->count))) continue;
        if (!targets_wanted(w, list->id)) rc = targets_take_in_now(w, list->id, err);
        if (rc == 0 && list->height >= node->height) rc = plan_check(w->plan, node->id, list->id, list->height, err);
        if (rc == WEIR_WORKFLOW) { /* its list comes after this node; no edge of a circle is dropped for a list that may have the name */
            error_clear(err);
            rc = misled_note(w, node->id, list->id, err); /* if that was history, it may have the name after all */
            continue;
        }
        if (rc == 0) rc = need_look(w, list, &waits, err);
        if (waits) *on = list->id;
    }
    mem_free(lists.ids);
    return rc;
}

/*
 * What is needed is on a list that is made from this very node: a fresh project has no such name before this node has ended. The planner
 * would not see it, since a node comes after its list in order only.
 */
static int check_list(task *t, const cat_node *needed, weir_error *err)
{
    weir *w = t->w;
    uint64_t parent = needed->spec.parent;
    while (parent) {
        bool does = false;
        int rc = define_depends(w, parent, t->node->id, &does, err);
        const cat_node *list = rc == 0 ? catalog_node(w->catalog, parent, err) : NULL;
        if (!list) return err->code ? err->code : WEIR_BUG;
        if (does && is_open(plan_state_of(w->plan, parent))) { /* by what it read before, which may be no more than history */
            rc = edge_check(w, t->node, list, err);
            if (rc != 0 && rc != WEIR_WORKFLOW) return rc;
            error_clear(err);
            does = rc != 0;
        }
        if (does)
            return error_set(err, WEIR_FAILED, "nodes wait for one another: %s -> %s -> %s -> %s", (const char *)t->node->spec.name.data,
                             (const char *)list->spec.name.data, (const char *)needed->spec.name.data, (const char *)t->node->spec.name.data);
        parent = list->spec.parent;
    }
    return 0;
}

/*
 * A circle through a node of a list that is still to be compared may be none when it is: *list, or 0. The node waits for that list first,
 * unless the list is made from the node.
 */
static int list_of_circle(task *t, uint64_t *list, weir_error *err)
{
    weir *w = t->w;
    size_t count = 0;
    const uint64_t *ids = plan_circle(w->plan, &count);
    int rc = 0;
    for (size_t i = 0; rc == 0 && *list == 0 && i < count; i++) {
        bool does = false;
        const cat_node *node = catalog_node(w->catalog, ids[i], err);
        if (!node) return err->code ? err->code : WEIR_BUG;
        uint64_t parent = node->spec.parent;
        if (parent == 0 || is_among(parent, t->need->stuck.ids, t->need->stuck.count) || !is_open(plan_state_of(w->plan, parent))) continue;
        rc = define_depends(w, parent, t->node->id, &does, err);
        if (!does) *list = parent;
    }
    return rc;
}

/* WEIR_FAILED: a circle. *list: one that is to be made before that is known. */
static int take_edge(task *t, needed_thing *thing, uint64_t *list, weir_error *err)
{
    weir *w = t->w;
    weir_error why = {0};
    if (thing->node == t->node)
        return error_set(err, WEIR_FAILED, "nodes wait for one another: %s -> %s", (const char *)t->node->spec.name.data,
                         (const char *)t->node->spec.name.data);
    int rc = targets_wanted(w, thing->node->id) ? 0 : targets_take_in_now(w, thing->node->id, err); /* else the way of a circle is not known */
    if (rc == 0) rc = check_list(t, thing->node, err);
    if (rc == 0) rc = edge_add(w, t->node, thing->node, &why);
    if (rc == WEIR_FAILED) {
        rc = list_of_circle(t, list, err);
        if (rc != 0 || *list) return rc;
        rc = WEIR_FAILED;
    }
    if (why.code) *err = why;
    thing->is_edge = rc == 0;
    return rc;
}

/* What it made was in the store alone, and is no more: it is made again. */
static int force_lost(weir *w, cat_node *node, weir_error *err)
{
    bool has = true, missing = false;
    if (plan_state_of(w->plan, node->id) != PLAN_IDLE || node->status != CAT_SETTLED || node->forced) return 0;
    int rc = hash_is_none(node->value) ? 0 : blob_has(w->blobs, catalog_db(w->catalog), node->value, &has, err);
    if (rc == 0) rc = output_bring_back(w, node->id, &missing, err);
    if (rc == 0 && (!has || missing)) node->forced = true;
    return rc;
}

/* A name that nothing has, or had until now, may be on a list that is not made yet. *on: the expand node. */
static int look_for_lists(task *t, uint64_t *on, weir_error *err)
{
    need *n = t->need;
    bool is_known = true;
    for (size_t i = 0; i < n->count && is_known; i++)
        is_known = n->things[i].node ? n->things[i].node->status != CAT_GONE : n->things[i].path.size > 0;
    n->for_list = false;
    if (is_known) return 0;
    int rc = need_lists(t->w, t->node, &n->stuck, on, err);
    n->for_list = *on != 0; /* no edge: it is not what the node is made from */
    return rc == 0 && *on == 0 ? resolve_names(t, err) : rc;
}

/* Beyond the targets of the run: all at once. */
static int take_in(task *t, weir_error *err)
{
    need *n = t->need;
    size_t count = 0;
    uint64_t *ids = t->w->limited && n->count > 1 ? arena_alloc(&t->arena, n->count * sizeof *ids) : NULL;
    for (size_t i = 0; ids && i < n->count; i++) {
        const cat_node *node = n->things[i].node;
        if (node && node->status != CAT_GONE && !targets_wanted(t->w, node->id)) ids[count++] = node->id;
    }
    return count > 0 ? targets_take_in_all_now(t->w, ids, count, err) : 0; /* without memory: one by one */
}

/* *on: 0, or a node that is not settled yet. */
static int look(task *t, uint64_t *on, const cat_node **failed, weir_error *err)
{
    need *n = t->need;
    *on = 0;
    *failed = NULL;
    int rc = n->is_resolved ? 0 : resolve_names(t, err);
    if (rc == 0) rc = look_for_lists(t, on, err);
    if (rc == 0) rc = take_in(t, err);
    for (size_t i = 0; rc == 0 && i < n->count; i++) {
        needed_thing *thing = &n->things[i];
        bool waits = false;
        if (!thing->node || thing->node->status == CAT_GONE) continue;
        uint64_t list = 0;
        if (!thing->is_edge) rc = take_edge(t, thing, &list, err);
        if (rc == 0 && list != 0) { /* no edge yet: it may need no circle */
            n->for_list = true;
            *on = list;
            return 0;
        }
        if (rc == 0) rc = force_lost(t->w, thing->node, err);
        if (rc == 0) rc = need_look(t->w, thing->node, &waits, err);
        if (rc == 0 && waits && *on == 0) *on = thing->node->id;
        bool is_lost = thing->node->status == CAT_FAILED || thing->node->status == CAT_BLOCKED;
        if (rc == 0 && !waits && is_lost && !*failed) *failed = thing->node;
    }
    return rc;
}

/* --- answers ------------------------------------------------------------------------------------------------------- */

static int say_unknown(task *t, bytes name, job_needed *to, weir_error *err)
{
    const char *near = NULL;
    int rc = targets_near(t->w, (const char *)name.data, &t->arena, &near, err);
    char *text = near ? arena_printf(&t->arena, "needs \"%s\": no node or file is called that; did you mean \"%s\"?", (const char *)name.data, near)
                      : arena_printf(&t->arena, "needs \"%s\": no node or file is called that", (const char *)name.data);
    to->kind = NEEDED_NO_NAME;
    to->text = bytes_str(text ? text : "");
    return rc == 0 && !text ? error_nomem(err, doing) : rc;
}

/* *missing: a node whose value is gone from the store. */
static int describe(task *t, bytes name, const needed_thing *thing, job_needed *to, uint64_t *missing, weir_error *err)
{
    bool can_be_node = thing->path.size == 0 || !is_path(name);
    const cat_item *item = can_be_node ? catalog_item_named(t->w->catalog, ITEM_NODE, name, true, err) : NULL;
    if (can_be_node && !item) return err->code;
    to->item = item ? item->id : 0;
    if (thing->path.size) {
        to->kind = NEEDED_PATH;
        to->text = thing->path;
        return 0;
    }
    if (!thing->node) return say_unknown(t, name, to, err);
    to->kind = NEEDED_NODE;
    to->member.kind = MEMBER_NODE;
    to->member.id = thing->node->id;
    int rc = resolve_node_hash(t->w, thing->node, &to->hash, err);
    return rc == 0 ? jobs_member(t, &(spec_member){.kind = MEMBER_NODE, .id = thing->node->id}, &to->member, missing, err) : rc;
}

static void begin_again(task *t)
{
    weir *w = t->w;
    w->jobs_waiting--;
    w->jobs_running++;
    t->state = TASK_RUNNING;
}

static int end_job(task *t, need_end end, const char *why, weir_error *err)
{
    t->need->end = end;
    begin_again(t);
    int rc = script_worker_answer(t->worker, &(job_answer){.is_failure = true, .failure = bytes_str(why)}, err);
    if (rc != WEIR_CANCELLED) return rc;
    error_clear(err); /* it has died: that comes next */
    return 0;
}

/* It is up to date in this turn, but the store has lost what it made: the next run makes it again. */
static int end_lost(task *t, uint64_t maker, weir_error *err)
{
    const cat_node *node = catalog_node(t->w->catalog, maker, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    char *why = arena_printf(&t->arena, "what %s made is gone from the store; run again, and it is made again", (const char *)node->spec.name.data);
    return why ? end_job(t, NEED_FAILED, why, err) : error_nomem(err, doing);
}

static int answer(task *t, weir_error *err)
{
    need *n = t->need;
    uint64_t missing = 0;
    job_answer a = {.count = n->count, .list = arena_zero(&t->arena, n->count + 1, sizeof *a.list)};
    if (!a.list) return error_nomem(err, doing);
    for (size_t i = 0; i < n->count; i++) {
        const cat_node *node = n->things[i].node;
        bool is_lost = false;
        int rc = node ? output_bring_back(t->w, node->id, &is_lost, err) : 0;
        if (is_lost) missing = node->id;
        else if (rc == 0) rc = describe(t, n->names[i], &n->things[i], &a.list[i], &missing, err);
        if (missing) {
            error_clear(err);
            return end_lost(t, missing, err);
        }
        if (rc != 0) return rc;
    }
    t->need = NULL;
    begin_again(t);
    int rc = jobs_take_seat(t, err); /* its limits hold again */
    if (rc == 0) rc = script_worker_answer(t->worker, &a, err);
    if (rc != WEIR_CANCELLED) return rc;
    error_clear(err);
    return 0;
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

int need_begin(task *t, const job_request *request, weir_error *err)
{
    need *n = arena_zero(&t->arena, 1, sizeof *n);
    if (!n) return error_nomem(err, doing);
    *n = (need){.count = request->count};
    n->names = arena_zero(&t->arena, n->count + 1, sizeof *n->names);
    n->things = arena_zero(&t->arena, n->count + 1, sizeof *n->things);
    for (size_t i = 0; n->names && i < n->count; i++) n->names[i] = arena_bytes(&t->arena, request->names[i]);
    if (t->arena.failed) return error_nomem(err, doing);
    t->need = n;
    t->state = TASK_WAITING;
    jobs_give_seat(t);
    t->w->jobs_running--;
    t->w->jobs_waiting++;
    return 0;
}

static bool is_crowded(const weir *w)
{
    return w->jobs_waiting > (size_t)w->slots * WAITING_MOST || w->jobs_waiting > WAITING_EVER;
}

/* It fails for a circle, whatever becomes of the others that it asked for in the same breath: it is not due when they are settled. */
static int let_go(task *t, weir_error *err)
{
    need *n = t->need;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n->count; i++) {
        const needed_thing *thing = &n->things[i];
        if (thing->is_edge && is_open(plan_state_of(t->w->plan, thing->node->id))) rc = plan_forget(t->w->plan, thing->node->id, t->node->id, err);
    }
    return rc;
}

/* 1: something happened; 0: it still waits. */
static int go_on(task *t, weir_error *err)
{
    weir *w = t->w;
    need *n = t->need;
    const cat_node *failed = NULL;
    bool is_first = !n->is_resolved;
    uint64_t before = n->on;
    if (n->on != 0 && is_open(plan_state_of(w->plan, n->on))) return 0;
    int rc = look(t, &n->on, &failed, err);
    if (rc == 0 && !failed && n->on == 0) {
        if (!limits_may_start(w, t)) return 0;
        rc = answer(t, err);
        if (rc == 0) return 1;
    }
    if (rc == WEIR_FAILED) {
        char why[sizeof err->message];
        snprintf(why, sizeof why, "%s", err->message);
        error_clear(err);
        rc = let_go(t, err);
        if (rc == 0) rc = end_job(t, NEED_FAILED, why, err);
    } else if (rc == 0 && failed) {
        t->node->blocked_by = failed->id;
        rc = end_job(t, NEED_BLOCKED, "what it needs has failed", err);
    } else if (rc == 0 && is_first && is_crowded(w)) {
        rc = end_job(t, NEED_RESTART, "too many others wait", err);
    } else if (rc == 0) {
        return is_first || n->on != before; /* what it needs may be due only now */
    }
    return rc ? rc : 1;
}

int need_end_circle(weir *w, const uint64_t *ids, size_t count, const char *why, bool *ended, weir_error *err)
{
    task *t = w->tasks;
    while (t && !(t->state == TASK_WAITING && is_among(t->node->id, ids, count))) t = t->next;
    *ended = t != NULL;
    int rc = t ? let_go(t, err) : 0;
    return t && rc == 0 ? end_job(t, NEED_FAILED, why, err) : rc;
}

bool need_pump(weir *w)
{
    weir_error err = {0};
    bool moved = false;
    if (w->jobs_waiting == 0) return false;
    for (task *t = w->tasks, *next = NULL; t && w->failed_code == 0; t = next) {
        next = t->next;
        if (t->state != TASK_WAITING) continue;
        int rc = go_on(t, &err);
        if (rc > 0) moved = true;
        if (rc < 0) schedule_fail(w, &err);
    }
    return moved;
}

/* The list that it waits for waits for it; others may have the name. */
static int leave_list(task *t, weir_error *err)
{
    need *n = t->need;
    uint64_t *ids = arena_alloc(&t->arena, (n->stuck.count + 1) * sizeof *ids);
    if (!ids) return error_nomem(err, doing);
    if (n->stuck.count) memcpy(ids, n->stuck.ids, n->stuck.count * sizeof *ids);
    ids[n->stuck.count++] = n->on;
    n->stuck.ids = ids;
    n->on = 0;
    n->is_resolved = false;
    return 0;
}

bool need_stuck(weir *w)
{
    weir_error err = {0};
    for (task *t = w->tasks; t; t = t->next) {
        if (t->state != TASK_WAITING || !t->need->for_list) continue;
        if (leave_list(t, &err) == 0) return true;
        schedule_fail(w, &err);
        return false;
    }
    for (task *t = w->tasks; t; t = t->next) {
        if (t->state != TASK_WAITING) continue;
        if (end_job(t, NEED_FAILED, "it waits for nodes that cannot be made up to date", &err) != 0) schedule_fail(w, &err);
        return false;
    }
    return false;
}

/* --- the end of an attempt ----------------------------------------------------------------------------------------- */

need_end need_ended(const task *t)
{
    return t->need ? t->need->end : NEED_NONE;
}

int need_restart(task *t, weir_error *err)
{
    weir *w = t->w;
    uint64_t on = t->need->on;
    const cat_node *node = catalog_node(w->catalog, on, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    return plan_wait(w->plan, t->node->id, on, node->height, err);
}
