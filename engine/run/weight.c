/*
 * weight.c - which of several nodes that may start goes first: the one with the longest path of work behind it.
 *
 * The weight of a node is what it took last, and the heaviest of its users on top. It costs two questions a node, so:
 *
 *   - as long as there are fewer nodes than slots there is nothing to choose: they go first, unasked
 *   - the first SAMPLE nodes of a turn that are asked about decide whether the rest are: where nothing behind them takes long, the order of
 *     ids does as well
 *   - of the users of one node BREADTH are followed, and LOOKUPS nodes a turn: the rest weigh what they take themselves, or nothing
 *
 * A node that never ran weighs nothing but its users. The order among ready nodes changes no result.
 *
 * Loop thread only. After: critical path (list) scheduling, Graham, 1969; Kelley, 1961.
 */
#include "engine/run/engine.h"

#include "generated/schema.h"

enum { SAMPLE = 32, BREADTH = 64, LOOKUPS = 20000, WORTH_US = 5000 };

typedef struct step {
    uint64_t node;
    int64_t own, behind;        /* microseconds */
    size_t users_at, users_end; /* in ids of the walk */
} step;

typedef struct walk {
    weir *w;
    step *steps;
    size_t depth, depth_capacity;
    uint64_t *ids;
    size_t count, capacity;
} walk;

static int ask(weir *w, int statement, uint64_t node, db_stmt **q, weir_error *err)
{
    *q = db_get(catalog_db(w->catalog), statement, err);
    if (!*q) return err->code;
    db_bind_int(*q, 1, (int64_t)node);
    return 0;
}

static int users_of(walk *k, uint64_t node, weir_error *err)
{
    db_stmt *q;
    int rc = ask(k->w, SQL_USERS_TO_WEIGH, node, &q, err);
    if (rc != 0) return rc;
    db_bind_int(q, 2, BREADTH);
    while ((rc = db_step(q, err)) == 1) {
        if (!MEM_GROW(k->ids, k->capacity, k->count + 1)) {
            rc = error_nomem(err, "weighing nodes");
            break;
        }
        k->ids[k->count++] = (uint64_t)db_int(q, 0);
    }
    db_reset(q);
    return rc;
}

/* The node is on the path from now on. What is known of it stays 0 until it is left, so circles of history end. */
static int enter(walk *k, uint64_t node, weir_error *err)
{
    db_stmt *q;
    if (!MEM_GROW(k->steps, k->depth_capacity, k->depth + 1)) return error_nomem(err, "weighing nodes");
    int rc = ask(k->w, SQL_NODE_TOOK, node, &q, err);
    if (rc != 0) return rc;
    step s = {.node = node, .users_at = k->count};
    rc = db_step(q, err);
    if (rc == 1) s.own = db_int(q, 0);
    db_reset(q);
    if (rc >= 0 && ++k->w->weighed < LOOKUPS) rc = users_of(k, node, err);
    s.users_end = k->count;
    k->steps[k->depth++] = s;
    return rc < 0 ? rc : 0;
}

static int walk_from(walk *k, uint64_t node, int64_t *weight, weir_error *err)
{
    bool added = false;
    uint64_t *known = map_put(&k->w->weights, map_key_u64(&node), &added);
    int rc = !known ? error_nomem(err, "weighing nodes") : added ? enter(k, node, err) : 0;
    *weight = known && !added ? (int64_t)*known : 0;
    while (rc == 0 && k->depth > 0) {
        step *s = &k->steps[k->depth - 1];
        if (s->users_end > s->users_at) {
            uint64_t user = k->ids[--s->users_end];
            known = map_put(&k->w->weights, map_key_u64(&user), &added);
            if (!known) rc = error_nomem(err, "weighing nodes");
            else if (added) rc = enter(k, user, err);
            else if ((int64_t)*known > s->behind) s->behind = (int64_t)*known;
            continue;
        }
        *weight = s->own + s->behind;
        k->count = s->users_at;
        k->depth--;
        if (k->depth > 0 && *weight > k->steps[k->depth - 1].behind) k->steps[k->depth - 1].behind = *weight;
        known = map_put(&k->w->weights, map_key_u64(&s->node), NULL);
        if (known) *known = (uint64_t)*weight;
    }
    return rc;
}

void weight_begin(weir *w)
{
    map_clear(&w->weights);
    w->weighed = w->weigh_asked = 0;
    w->is_worth_weighing = false;
}

int64_t weight_of(void *ctx, uint64_t node)
{
    weir *w = ctx;
    walk k = {.w = w};
    weir_error ignored = {0}; /* it is an order only; whoever needs the same rows next says what is wrong */
    int64_t weight = 0;
    if (plan_open(w->plan) < (size_t)w->slots) return INT64_MAX;
    if (w->weigh_asked >= SAMPLE && !w->is_worth_weighing) return 0;
    w->weigh_asked++;
    if (walk_from(&k, node, &weight, &ignored) != 0) weight = 0;
    if (weight >= WORTH_US) w->is_worth_weighing = true;
    mem_free(k.steps);
    mem_free(k.ids);
    return weight;
}
