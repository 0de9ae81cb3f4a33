/*
 * plan_sim.c - random turns of the planner beside the oracle. Included by the tests that use it.
 *
 * A seed gives a graph, what changes, how results come out, in which order nodes end, how many run at once, which nodes
 * wait for others, and what becomes due from outside in between. After every step the planner and the oracle must agree.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/model/plan.h"
#include "tests/engine/model/oracle.h"

typedef struct sim {
    uint64_t random;
    oracle oracle;
    plan *plan;
    uint32_t height[ORACLE_NODES];
    uint64_t id[ORACLE_NODES];
    plan_user users[ORACLE_NODES];
    bool lifts;  /* heights of this turn are not the ones above */
    bool waits;  /* this graph has discovered edges and dues from outside */
    char trouble[400];
} sim;

static uint32_t sim_random(sim *s, uint32_t below)
{
    s->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = s->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 33) % below;
}

static int sim_node(const sim *s, uint64_t id)
{
    for (int node = 0; node < s->oracle.count; node++)
        if (s->id[node] == id) return node;
    return -1;
}

static int sim_users(void *ctx, uint64_t id, const plan_user **users, size_t *count, weir_error *err)
{
    (void)err;
    sim *s = ctx;
    int node = sim_node(s, id);
    *count = 0;
    for (int user = 0; user < s->oracle.count; user++)
        if (s->oracle.edge[node][user]) s->users[(*count)++] = (plan_user){.node = s->id[user], .height = s->height[user]};
    *users = s->users;
    return 0;
}

static int64_t sim_weight(void *ctx, uint64_t id)
{
    (void)ctx;
    return (int64_t)(id * 7919 % 13);
}

static bool sim_fail(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool sim_fail(sim *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!s->trouble[0]) vsnprintf(s->trouble, sizeof s->trouble, format, args);
    va_end(args);
    return false;
}

static bool sim_agree(sim *s)
{
    static const char *const names[] = {"idle", "due", "running", "settled"};
    int open = oracle_count(&s->oracle, ORACLE_DUE) + oracle_count(&s->oracle, ORACLE_RUNNING);
    for (int node = 0; node < s->oracle.count; node++) {
        int got = (int)plan_state_of(s->plan, s->id[node]);
        int expected = (int)s->oracle.state[node];
        if (got != expected) return sim_fail(s, "node %d is %s, not %s", node, names[got], names[expected]);
    }
    if (plan_open(s->plan) != (size_t)open) return sim_fail(s, "%zu open, not %d", plan_open(s->plan), open);
    plan_counts counts = plan_stats(s->plan);
    if (counts.visited != (uint64_t)s->oracle.started)
        return sim_fail(s, "visited %" PRIu64 ", not %d", counts.visited, s->oracle.started);
    if (counts.searched > (uint64_t)oracle_count(&s->oracle, ORACLE_IDLE))
        return sim_fail(s, "searched %" PRIu64 " of %d idle nodes", counts.searched, oracle_count(&s->oracle, ORACLE_IDLE));
    return true;
}

/* Is a due node as low as the lowest open one? (Only before heights changed.) */
static bool sim_has_lowest(const sim *s)
{
    uint32_t due = UINT32_MAX, running = UINT32_MAX;
    for (int node = 0; node < s->oracle.count; node++) {
        if (s->oracle.state[node] == ORACLE_DUE && s->height[node] < due) due = s->height[node];
        if (s->oracle.state[node] == ORACLE_RUNNING && s->height[node] < running) running = s->height[node];
    }
    return due != UINT32_MAX && due <= running;
}

/* One plan_next; *got: a node was handed out. */
static bool sim_start(sim *s, bool idle, bool *got)
{
    weir_error err = {0};
    uint64_t id = 0;
    int ready = 0;
    for (int node = 0; node < s->oracle.count; node++) ready += oracle_ready(&s->oracle, node);
    int rc = plan_next(s->plan, idle, &id, &err);
    *got = rc == 1;
    if (rc < 0) return sim_fail(s, "plan_next: %s", err.message);
    if (rc == 0 && idle && ready > 0) return sim_fail(s, "%d nodes are ready and none was handed out", ready);
    if (rc == 0 && !s->lifts && sim_has_lowest(s)) return sim_fail(s, "the lowest due node was held back");
    if (rc == 0 && ready > 0 && oracle_count(&s->oracle, ORACLE_RUNNING) == 0)
        return sim_fail(s, "nothing runs and nothing was handed out");
    if (rc == 0) return true;
    int node = sim_node(s, id);
    if (node < 0 || !oracle_ready(&s->oracle, node)) return sim_fail(s, "node %d was handed out and is not ready", node);
    oracle_start(&s->oracle, node);
    return sim_agree(s);
}

/* Hands out all there is: exactly the oracle's set (starting a node makes no other one ready or unready). */
static bool sim_start_all(sim *s)
{
    bool expected[ORACLE_NODES];
    for (int node = 0; node < s->oracle.count; node++)
        expected[node] = oracle_ready(&s->oracle, node) || s->oracle.state[node] == ORACLE_RUNNING;
    for (bool got = true; got;)
        if (!sim_start(s, true, &got)) return false;
    for (int node = 0; node < s->oracle.count; node++)
        if (expected[node] != (s->oracle.state[node] == ORACLE_RUNNING)) return sim_fail(s, "node %d: another set", node);
    return true;
}

static int sim_pick(sim *s, oracle_state state)
{
    int count = oracle_count(&s->oracle, state);
    if (count == 0) return -1;
    int left = (int)sim_random(s, (uint32_t)count);
    for (int node = 0;; node++)
        if (s->oracle.state[node] == state && left-- == 0) return node;
}

static bool sim_due(sim *s, int node, uint32_t height)
{
    weir_error err = {0};
    if (plan_due(s->plan, s->id[node], height, &err) != 0) return sim_fail(s, "plan_due: %s", err.message);
    oracle_due(&s->oracle, node);
    return sim_agree(s);
}

static bool sim_settle(sim *s, int node)
{
    weir_error err = {0};
    bool changed = sim_random(s, 2) == 0;
    if (plan_settled(s->plan, s->id[node], changed, &err) != 0) return sim_fail(s, "plan_settled: %s", err.message);
    oracle_settle(&s->oracle, node, changed);
    return sim_agree(s);
}

static bool sim_wait(sim *s, int node)
{
    weir_error err = {0};
    int on = (int)sim_random(s, (uint32_t)s->oracle.count);
    bool is_circle = on == node || oracle_reaches(&s->oracle, node, on, true);
    if (!is_circle && sim_random(s, 2) == 0 && !sim_due(s, on, s->height[on])) return false;
    int rc = plan_wait(s->plan, s->id[node], s->id[on], s->height[on], &err);
    if (rc == WEIR_WORKFLOW && is_circle) return sim_agree(s);
    if (rc != 0 || is_circle)
        return sim_fail(s, "%d waits for %d: %d (%s), circle: %d", node, on, rc, err.message, is_circle);
    oracle_wait(&s->oracle, node, on);
    s->lifts = true;
    return sim_agree(s);
}

static bool sim_step(sim *s)
{
    uint32_t what = sim_random(s, 100);
    bool got;
    int running = sim_pick(s, ORACLE_RUNNING);
    if (s->waits && what < 6) {
        int node = (int)sim_random(s, (uint32_t)s->oracle.count);
        return sim_due(s, node, s->height[node]);
    }
    if (s->waits && what < 8) {
        int node = sim_pick(s, sim_random(s, 2) ? ORACLE_DUE : ORACLE_RUNNING); /* first heights are the source's */
        if (node < 0) return true;
        s->lifts = true;
        return sim_due(s, node, s->height[node] + sim_random(s, 4));
    }
    if (s->waits && what < 18 && running >= 0) return sim_wait(s, running);
    if (what < 30) return sim_start(s, false, &got);
    if (what < 55 || running < 0) return sim_start(s, true, &got);
    if (what < 60) return sim_start_all(s);
    return sim_settle(s, running);
}

static void sim_graph(sim *s)
{
    int count = 2 + (int)sim_random(s, sim_random(s, 3) ? 12 : ORACLE_NODES - 2);
    uint32_t density = 1 + sim_random(s, 40);
    uint32_t reach = 2 + sim_random(s, ORACLE_NODES);
    oracle_init(&s->oracle, count);
    for (int node = 0; node < count; node++) {
        s->height[node] = 1;
        s->id[node] = (uint64_t)(node * 29 % 53 + 1); /* distinct; not in order of height */
        for (int input = 0; input < node; input++) {
            if ((uint32_t)(node - input) > reach || sim_random(s, 100) >= density) continue;
            s->oracle.edge[input][node] = true;
            if (s->height[node] <= s->height[input]) s->height[node] = s->height[input] + 1;
        }
    }
}

typedef struct sim_list {
    const sim *sim;
    bool has[ORACLE_NODES];
} sim_list;

static void sim_note(void *ctx, uint64_t id)
{
    sim_list *list = ctx;
    int node = sim_node(list->sim, id);
    if (node >= 0) list->has[node] = true;
}

/* The end of a turn: what is to be looked at again is due in the next one. *more: something is. */
static bool sim_turn(sim *s, bool *more)
{
    sim_list again = {.sim = s};
    plan_again(s->plan, sim_note, &again);
    *more = false;
    for (int node = 0; node < s->oracle.count; node++) {
        if (again.has[node] != s->oracle.again[node]) return sim_fail(s, "node %d for the next turn: %d", node, again.has[node]);
        *more = *more || again.has[node];
    }
    plan_reset(s->plan);
    oracle_turn(&s->oracle);
    s->lifts = false;
    for (int node = 0; node < s->oracle.count; node++)
        if (again.has[node] && !sim_due(s, node, s->height[node])) return false;
    return true;
}

/* Some turns on one graph; uses up `steps`. */
static bool sim_run_graph(sim *s, int64_t *steps)
{
    sim_graph(s);
    s->waits = sim_random(s, 3) > 0;
    weir_error err = {0};
    plan_source source = {s, sim_users, sim_random(s, 2) ? sim_weight : NULL};
    if (plan_new(&s->plan, &source, &err) != 0) return sim_fail(s, "plan_new: %s", err.message);
    bool ok = true, more = true;
    int turns = 1 + (int)sim_random(s, 3);
    for (int turn = 0; turn < turns && ok; turn++) {
        oracle_turn(&s->oracle);
        plan_reset(s->plan);
        if (sim_random(s, 3) == 0) plan_weigh(s->plan);
        s->lifts = false;
        uint32_t share = 1 + sim_random(s, 6);
        for (int node = 0; node < s->oracle.count && ok; node++)
            if (sim_random(s, share) == 0) ok = sim_due(s, node, s->height[node]);
        for (more = true; more && ok;) {
            while (ok && plan_open(s->plan) > 0 && (*steps)-- > -10000) ok = sim_step(s);
            if (*steps <= -10000) return sim_fail(s, "the turn does not end");
            ok = ok && sim_turn(s, &more);
            if (*steps <= 0) break;
        }
    }
    return ok;
}

/**
 * Run about `steps` steps from a seed.
 *
 * @param trouble  out: what went wrong first
 * @return false: planner and oracle disagree
 */
static bool sim_run(uint64_t seed, int64_t steps, char trouble[400])
{
    sim s;
    bool ok = true;
    trouble[0] = '\0';
    for (uint64_t graph = 0; steps > 0 && ok; graph++) {
        memset(&s, 0, sizeof s);
        s.random = seed + graph * UINT64_C(0xd1342543de82ef95);
        int64_t before = steps;
        ok = sim_run_graph(&s, &steps);
        plan_free(s.plan);
        if (!ok)
            snprintf(trouble, 400, "seed %" PRIu64 ", graph %" PRIu64 ", step %" PRId64 ": %.300s", seed, graph,
                     before - steps, s.trouble);
    }
    return ok;
}
