/*
 * test_plan.c - the planner: exact cases, cost, and random turns beside an oracle.
 *
 * WEIR_SIM_STEPS sizes the random test, WEIR_SEED replays one (the seed is printed), WEIR_PLAN_NODES sizes the measured turn.
 */
#include <time.h>

#include "engine/model/plan.h"
#include "tests/check.h"
#include "tests/engine/model/oracle.c"
#include "tests/engine/model/plan_sim.c"

static weir_error err;

/* --- a small graph: edges as pairs, heights worked out -------------------------------------------------------------- */

enum { GRAPH = 32 };

typedef struct graph {
    bool edge[GRAPH][GRAPH], only_after[GRAPH][GRAPH];
    uint32_t height[GRAPH];
    plan_user users[GRAPH];
    int64_t weight[GRAPH];
    int asked; /* calls of users */
} graph;

static graph g;

static int graph_users(void *ctx, uint64_t node, const plan_user **users, size_t *count, weir_error *e)
{
    (void)ctx;
    (void)e;
    g.asked++;
    *count = 0;
    for (uint64_t user = 0; user < GRAPH; user++)
        if (g.edge[node][user]) g.users[(*count)++] = (plan_user){user, g.height[user], g.only_after[node][user]};
    *users = g.users;
    return 0;
}

static int64_t graph_weight(void *ctx, uint64_t node)
{
    (void)ctx;
    return g.weight[node];
}

/* "1>2>5 3>5": ways; inputs have smaller numbers than users. */
static plan *graph_plan(const char *ways)
{
    g = (graph){0};
    for (const char *at = ways; *at; at += strspn(at, " ")) {
        char *end;
        unsigned long from = strtoul(at, &end, 10);
        for (; *end == '>'; ) {
            unsigned long to = strtoul(end + 1, &end, 10);
            g.edge[from][to] = true;
            from = to;
        }
        at = end;
    }
    for (int node = 0; node < GRAPH; node++) {
        g.height[node] = 1;
        for (int input = 0; input < node; input++)
            if (g.edge[input][node] && g.height[node] <= g.height[input]) g.height[node] = g.height[input] + 1;
    }
    plan_source source = {NULL, graph_users, graph_weight};
    plan *p;
    CHECK_OK(plan_new(&p, &source, &err), err);
    return p;
}

static void due(plan *p, uint64_t node)
{
    CHECK_OK(plan_due(p, node, g.height[node], &err), err);
}

/* The node that may start; 0: none. */
static uint64_t next(plan *p, bool idle)
{
    uint64_t node = 0;
    int rc = plan_next(p, idle, &node, &err);
    CHECK(rc >= 0);
    return rc == 1 ? node : 0;
}

static void settle(plan *p, uint64_t node, bool changed)
{
    CHECK_OK(plan_settled(p, node, changed, &err), err);
}

static uint64_t noted[GRAPH];
static size_t noted_count;

static void note(void *ctx, uint64_t node)
{
    (void)ctx;
    if (noted_count < GRAPH) noted[noted_count++] = node;
}

/* --- exact cases ------------------------------------------------------------------------------------------------- */

static void test_order(void)
{
    plan *p = graph_plan("1>2>3");
    CHECK_INT(0, next(p, true));
    due(p, 3);
    due(p, 1);
    due(p, 2);
    due(p, 2);
    CHECK_INT(3, plan_open(p));
    CHECK_INT(1, next(p, true));
    CHECK_INT(PLAN_RUNNING, plan_state_of(p, 1));
    CHECK_INT(PLAN_DUE, plan_state_of(p, 2));
    CHECK_INT(0, next(p, true)); /* nothing starts too early */
    settle(p, 1, false);
    CHECK_INT(2, next(p, true));
    settle(p, 2, true);
    CHECK_INT(3, next(p, true));
    settle(p, 3, true);
    CHECK_INT(0, next(p, true));
    CHECK_INT(0, plan_open(p));
    CHECK_INT(PLAN_SETTLED, plan_state_of(p, 3));
    CHECK_INT(PLAN_IDLE, plan_state_of(p, 9));
    CHECK_INT(3, plan_stats(p).visited);
    plan_free(p);
}

/* 1 may yet say what 2 is, 3 takes in what 2 makes. */
static void test_only_after(void)
{
    plan *p = graph_plan("1>2>3");
    g.only_after[1][2] = true;
    due(p, 1);
    due(p, 3);
    CHECK_INT(1, next(p, true));
    CHECK_INT(0, next(p, true)); /* nothing starts too early */
    CHECK(plan_check(p, 1, 3, g.height[3], &err) == WEIR_WORKFLOW); /* 1 -> 2 -> 3 -> 1 */
    error_clear(&err);
    settle(p, 1, true);
    CHECK_INT(PLAN_IDLE, plan_state_of(p, 2)); /* the change of 1 is none of 2 */
    CHECK_INT(3, next(p, true));
    settle(p, 3, true);
    CHECK_INT(0, plan_open(p));
    plan_free(p);
}

/* 2 is declared no more while 1 runs: be it due or idle, nothing waits for 1 through it any more. */
static void test_gone(void)
{
    for (int is_due = 0; is_due < 2; is_due++) {
        plan *p = graph_plan("1>2>3");
        due(p, 1);
        due(p, 3);
        if (is_due) due(p, 2);
        CHECK_INT(1, next(p, true));
        CHECK_INT(0, next(p, true));
        CHECK_OK(plan_gone(p, 2, &err), err);
        CHECK_OK(plan_gone(p, 2, &err), err);
        CHECK_INT(2, plan_open(p));
        CHECK_INT(3, next(p, true));
        CHECK_OK(plan_gone(p, 3, &err), err); /* it runs: it ends by itself */
        settle(p, 3, true);
        settle(p, 1, true);
        CHECK_INT(0, next(p, true));
        CHECK_INT(0, plan_open(p));
        plan_free(p);
    }
}

static void test_cutoff(void)
{
    plan *p = graph_plan("1>2>3 1>4");
    due(p, 1);
    CHECK_INT(1, next(p, true));
    settle(p, 1, false);
    CHECK_INT(0, plan_open(p));
    CHECK_INT(0, g.asked); /* the users are not even asked for */
    plan_reset(p);
    due(p, 1);
    CHECK_INT(1, next(p, true));
    settle(p, 1, true);
    CHECK_INT(2, plan_open(p));
    CHECK_INT(PLAN_IDLE, plan_state_of(p, 3));
    CHECK_INT(2, next(p, true));
    CHECK_INT(4, next(p, true));
    settle(p, 2, false);
    settle(p, 4, true);
    CHECK_INT(0, plan_open(p));
    plan_free(p);
}

/* design.md section 6: 1 is slow; 4>5>6 has nothing to do with it; 7 needs both. */
static void test_slow_node(void)
{
    plan *p = graph_plan("1>2>3>7 4>5>6>7");
    due(p, 1);
    due(p, 4);
    CHECK_INT(1, next(p, true));
    CHECK_INT(4, next(p, true));
    CHECK_INT(0, next(p, true));
    settle(p, 4, true);
    CHECK_INT(0, next(p, false)); /* higher than what runs: not without an idle slot */
    CHECK_INT(0, g.edge[1][5]);
    CHECK_INT(5, next(p, true));
    settle(p, 5, true);
    CHECK_INT(6, next(p, true));
    settle(p, 6, true);
    CHECK_INT(PLAN_DUE, plan_state_of(p, 7));
    CHECK_INT(0, next(p, true)); /* 1 can still reach it, through idle nodes */
    CHECK_INT(2, plan_stats(p).searched);
    settle(p, 1, false); /* the way is cut off */
    CHECK_INT(7, next(p, false));
    CHECK_INT(PLAN_IDLE, plan_state_of(p, 2));
    plan_free(p);
}

static void test_search_is_kept(void)
{
    plan *p = graph_plan("1>2>3>4>5 10>11>12>13>14 5>20 14>20");
    due(p, 1);
    due(p, 10);
    CHECK_INT(1, next(p, true));
    CHECK_INT(10, next(p, true));
    for (uint64_t node = 10; node < 14; node++) {
        settle(p, node, true);
        CHECK_INT(node + 1, next(p, true));
    }
    settle(p, 14, true);
    CHECK_INT(0, next(p, true));
    int asked = g.asked;
    for (int i = 0; i < 100; i++) CHECK_INT(0, next(p, true));
    CHECK_INT(asked, g.asked);
    settle(p, 1, false);
    CHECK_INT(20, next(p, true));
    CHECK_INT(asked, g.asked); /* taken back from what was kept */
    plan_free(p);
}

static void test_weight(void)
{
    plan *p = graph_plan("1>2 9>10>12 9>11");
    int64_t weights[] = {0, 5, 7, 0, 1000000, 999999, 0};
    for (int node = 1; node < 7; node++) {
        g.weight[node] = weights[node];
        if (node != 2) due(p, (uint64_t)node);
    }
    CHECK_INT(4, next(p, false));
    CHECK_INT(5, next(p, false));
    CHECK_INT(1, next(p, false));
    CHECK_INT(3, next(p, false)); /* equal: the smaller id */
    CHECK_INT(6, next(p, false));
    plan_free(p);
}

/* The heavy node behind a settled one goes before the light ones that are lower; one that may still be reached waits. */
static void test_weigh(void)
{
    plan *p = graph_plan("1>2>3 4>5 9>6");
    int64_t weights[] = {0, 9, 8, 7, 2, 1, 3};
    for (int node = 1; node < 7; node++) g.weight[node] = weights[node];
    plan_weigh(p);
    due(p, 1);
    due(p, 4);
    due(p, 3);
    due(p, 6);
    CHECK_INT(1, next(p, false));
    settle(p, 1, true);
    CHECK_INT(2, next(p, false)); /* 4 is lower, and lighter */
    CHECK_INT(6, next(p, false));
    CHECK_INT(4, next(p, false));
    CHECK_INT(0, next(p, true)); /* 2 may still change 3 */
    settle(p, 2, false);
    CHECK_INT(3, next(p, false));
    plan_free(p);
}

static void test_again(void)
{
    plan *p = graph_plan("1>2>3");
    due(p, 2);
    CHECK_INT(2, next(p, true));
    due(p, 2); /* running: nothing */
    due(p, 1); /* moved meanwhile */
    settle(p, 2, true);
    CHECK_INT(1, next(p, false));
    CHECK_INT(3, next(p, true)); /* 2 settled: nothing can reach 3 in this turn */
    settle(p, 1, true);
    settle(p, 3, false);
    due(p, 3);
    due(p, 3);
    CHECK_INT(0, plan_open(p));
    noted_count = 0;
    plan_again(p, note, NULL);
    CHECK_INT(2, noted_count);
    CHECK_INT(2, noted[0]);
    CHECK_INT(3, noted[1]);
    plan_again(p, note, NULL);
    CHECK_INT(2, noted_count);
    plan_reset(p);
    CHECK_INT(PLAN_IDLE, plan_state_of(p, 2));
    due(p, 2);
    CHECK_INT(2, next(p, true));
    settle(p, 2, false);
    CHECK_INT(1, plan_stats(p).visited);
    plan_free(p);
}

/* An input of a running node changes: the node is looked at again in the next turn. */
static void test_moved_under_running(void)
{
    plan *p = graph_plan("1>2");
    due(p, 2);
    CHECK_INT(2, next(p, true));
    due(p, 1);
    CHECK_INT(1, next(p, true));
    settle(p, 1, true);
    settle(p, 2, false);
    noted_count = 0;
    plan_again(p, note, NULL);
    CHECK_INT(1, noted_count);
    CHECK_INT(2, noted[0]);
    plan_free(p);
}

/* --- waits ------------------------------------------------------------------------------------------------------- */

static void test_wait(void)
{
    plan *p = graph_plan("1>2>3 10>11");
    due(p, 10);
    due(p, 1);
    CHECK_INT(1, next(p, true));
    CHECK_INT(10, next(p, true));
    due(p, 3);
    CHECK_OK(plan_wait(p, 10, 3, g.height[3], &err), err);
    CHECK_INT(PLAN_DUE, plan_state_of(p, 10));
    CHECK_INT(1, plan_stats(p).visited); /* given back */
    CHECK_INT(0, next(p, true));
    settle(p, 1, false);
    CHECK_INT(3, next(p, true));
    CHECK_INT(0, next(p, true));
    settle(p, 3, false); /* equal or not: it may start now */
    CHECK_INT(10, next(p, true));
    settle(p, 10, true);
    CHECK_INT(11, next(p, true));
    settle(p, 11, true);
    CHECK_INT(4, plan_stats(p).visited);
    plan_free(p);
}

static void test_wait_for_idle(void)
{
    plan *p = graph_plan("1>2 10>11");
    due(p, 10);
    CHECK_INT(10, next(p, true));
    CHECK_OK(plan_wait(p, 10, 2, g.height[2], &err), err);
    CHECK_INT(10, next(p, false)); /* nothing will change 2 */
    due(p, 1);
    CHECK_INT(1, next(p, true));
    CHECK_OK(plan_wait(p, 10, 2, g.height[2], &err), err);
    CHECK_INT(0, next(p, true)); /* now something may */
    settle(p, 1, false);
    CHECK_INT(10, next(p, true));
    settle(p, 10, false);
    plan_free(p);
}

/* 10 moves above 4, and its users 11 and 12 with it: 12 must not start before 10. */
static void test_lift(void)
{
    plan *p = graph_plan("1>2>3>4 10>11>12 20");
    due(p, 12);
    due(p, 10);
    due(p, 4);
    due(p, 1);
    CHECK_INT(1, next(p, true));
    CHECK_INT(10, next(p, true));
    CHECK_OK(plan_wait(p, 10, 4, g.height[4], &err), err);
    CHECK_INT(3, plan_stats(p).lifted);
    CHECK_INT(0, next(p, true));
    settle(p, 1, false);
    CHECK_INT(4, next(p, true));
    CHECK_INT(0, next(p, true));
    settle(p, 4, false);
    CHECK_INT(10, next(p, true));
    CHECK_INT(0, next(p, true));
    settle(p, 10, false);
    CHECK_INT(12, next(p, true));
    settle(p, 12, false);
    plan_reset(p);
    due(p, 20);
    due(p, 1);
    CHECK_OK(plan_due(p, 20, 7, &err), err); /* lifted from outside */
    CHECK_INT(1, plan_stats(p).lifted);
    CHECK_INT(1, next(p, false));
    CHECK_INT(0, next(p, false));
    CHECK_INT(20, next(p, true));
    plan_free(p);
}

static void test_circles(void)
{
    plan *p = graph_plan("1>2>3>4 5");
    due(p, 1);
    due(p, 5);
    CHECK_INT(1, next(p, true));
    CHECK_CODE(WEIR_WORKFLOW, plan_wait(p, 1, 4, g.height[4], &err), err);
    CHECK_STR("1 -> 2 -> 3 -> 4 -> 1", err.message);
    CHECK_INT(PLAN_RUNNING, plan_state_of(p, 1)); /* nothing happened */
    CHECK_CODE(WEIR_WORKFLOW, plan_wait(p, 1, 1, 1, &err), err);
    CHECK_STR("1 -> 1", err.message);
    CHECK_INT(5, next(p, true));
    due(p, 4);
    CHECK_OK(plan_wait(p, 5, 4, g.height[4], &err), err);
    CHECK_CODE(WEIR_WORKFLOW, plan_wait(p, 1, 5, g.height[5], &err), err); /* over an edge of this turn */
    CHECK_STR("1 -> 2 -> 3 -> 4 -> 5 -> 1", err.message);
    CHECK_CODE(WEIR_BUG, plan_wait(p, 5, 1, 1, &err), err); /* not running */
    CHECK_CODE(WEIR_BUG, plan_settled(p, 30, true, &err), err);
    plan_free(p);

    char ways[200] = "1";
    for (int node = 2; node < GRAPH; node++) snprintf(ways + strlen(ways), sizeof ways - strlen(ways), ">%d", node);
    p = graph_plan(ways);
    due(p, 1);
    CHECK_INT(1, next(p, true));
    CHECK_CODE(WEIR_WORKFLOW, plan_wait(p, 1, GRAPH - 1, g.height[GRAPH - 1], &err), err);
    CHECK_STR("1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 7 -> 8 -> ... -> 25 -> 26 -> 27 -> 28 -> 29 -> 30 -> 31 -> 1", err.message);
    plan_free(p);
}

/* The source says a new edge that leads down, and its head is about to be lifted. */
static void test_returns(void)
{
    plan *p = graph_plan("1>2>3>4 5");
    CHECK_OK(plan_returns(p, 2, g.height[2], g.height[4] + 1, &err), err);
    g.edge[4][2] = true;
    CHECK_CODE(WEIR_WORKFLOW, plan_returns(p, 2, g.height[2], g.height[4] + 1, &err), err);
    CHECK_STR("2 -> 3 -> 4 -> 2", err.message);
    g.edge[4][2] = false;
    due(p, 4);
    due(p, 5);
    CHECK_INT(5, next(p, true));
    CHECK_OK(plan_wait(p, 5, 4, g.height[4], &err), err);
    g.edge[5][2] = true;
    CHECK_CODE(WEIR_WORKFLOW, plan_returns(p, 2, g.height[2], g.height[4] + 2, &err), err); /* over an edge of this turn */
    CHECK_STR("2 -> 3 -> 4 -> 5 -> 2", err.message);
    CHECK_OK(plan_forget(p, 4, 5, &err), err);
    CHECK_OK(plan_returns(p, 2, g.height[2], g.height[4] + 2, &err), err);
    plan_free(p);
}

static void test_each_due(void)
{
    plan *p = graph_plan("1>2");
    due(p, 1);
    due(p, 2);
    CHECK_INT(1, next(p, true));
    noted_count = 0;
    plan_each_due(p, note, NULL);
    CHECK_INT(1, noted_count);
    CHECK_INT(2, noted[0]);
    CHECK_INT(1, plan_running(p));
    plan_free(p);
}

/* Every allocation may fail: the answer is WEIR_NOMEM, and nothing leaks. */
static int small_turn(void)
{
    plan_source source = {NULL, graph_users, NULL};
    plan *p;
    uint64_t node;
    int rc = plan_new(&p, &source, &err);
    for (uint64_t id = 1; id < 4 && rc == 0; id++) rc = plan_due(p, id, g.height[id], &err);
    bool waited = false;
    while (rc == 0 && plan_open(p) > 0) {
        rc = plan_next(p, true, &node, &err);
        if (rc < 0) break;
        CHECK_INT(1, rc);
        rc = !waited && node == 3 ? plan_wait(p, 3, 6, 3, &err) : plan_settled(p, node, true, &err);
        waited = waited || node == 3;
    }
    plan_free(p);
    return rc;
}

static void test_no_memory(void)
{
    plan_free(graph_plan("1>4>6 2>4 3>5>7>8 2>9>7"));
    int rc = WEIR_NOMEM;
    for (int64_t n = 1; rc != 0 && n < 200; n++) {
        mem_fail_at(n, true);
        rc = small_turn();
        mem_fail_at(0, false);
        if (rc != 0) CHECK_INT(WEIR_NOMEM, rc);
    }
    CHECK_INT(0, rc);
}

/* --- cost -------------------------------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A wide graph: node 0 (when it is a header) has all of 1 .. width as users; join k = width + 1 + k has a hundred of them. */
static struct {
    uint64_t width;
    bool has_header;
    plan_user *users;
    uint64_t asked;
} wide;

static int wide_users(void *ctx, uint64_t node, const plan_user **users, size_t *count, weir_error *e)
{
    (void)ctx;
    (void)e;
    wide.asked++;
    *users = wide.users;
    *count = 0;
    if (node == 0)
        for (uint64_t i = 1; i <= wide.width; i++) wide.users[(*count)++] = (plan_user){i, 2, false};
    else if (node <= wide.width)
        wide.users[(*count)++] = (plan_user){wide.width + 1 + (node - 1) / 100, 3, false};
    return 0;
}

static plan *wide_plan(uint64_t width)
{
    wide.width = width;
    wide.asked = 0;
    wide.users = malloc(width * sizeof *wide.users);
    plan_source source = {NULL, wide_users, NULL};
    plan *p;
    CHECK_OK(plan_new(&p, &source, &err), err);
    return p;
}

static void free_wide(plan *p)
{
    plan_free(p);
    free(wide.users);
}

/* S8: a header with 100,000 users; its result is as before. */
static void test_header(void)
{
    enum { USERS = 100000 };
    plan *p = wide_plan(USERS);
    double start = seconds();
    CHECK_OK(plan_due(p, 0, 1, &err), err);
    CHECK_INT(0, next(p, true)); /* the header has the id 0 */
    CHECK_INT(1, plan_running(p));
    CHECK_INT(0, next(p, true));
    settle(p, 0, false);
    CHECK_INT(0, plan_open(p));
    CHECK_INT(1, plan_stats(p).visited);
    CHECK_INT(0, plan_stats(p).searched);
    CHECK_INT(0, wide.asked);
    CHECK(seconds() - start < 0.05);

    /* Something higher is due: the users are searched, once; they are never handed out. */
    plan_reset(p);
    CHECK_OK(plan_due(p, 0, 1, &err), err);
    CHECK_INT(0, next(p, true));
    CHECK_OK(plan_due(p, USERS + 1, 3, &err), err);
    CHECK_OK(plan_due(p, 5 * USERS, 3, &err), err);
    CHECK_INT(5 * USERS, next(p, true)); /* nothing reaches it */
    for (int i = 0; i < 1000; i++) CHECK_INT(0, next(p, true));
    CHECK(plan_stats(p).searched <= USERS + USERS / 100);
    uint64_t asked = wide.asked;
    CHECK(asked <= USERS + 1);
    settle(p, 0, false);
    CHECK_INT(USERS + 1, next(p, true));
    CHECK_INT(3, plan_stats(p).visited);
    CHECK_INT(asked, wide.asked);
    free_wide(p);
}

/* 20,000 nodes wait for one generator: not quadratic. */
static void test_many_waits(void)
{
    enum { NODES = 20000, GENERATOR = 1000000 };
    plan *p = wide_plan(NODES);
    double start = seconds();
    CHECK_OK(plan_due(p, GENERATOR, 2, &err), err);
    CHECK_OK(plan_due(p, GENERATOR + 1, 1, &err), err); /* keeps the lowest height taken */
    CHECK_INT(GENERATOR + 1, next(p, true));
    CHECK_INT(GENERATOR, next(p, true));
    for (uint64_t i = 1; i <= NODES; i++) CHECK_OK(plan_due(p, i, 2, &err), err);
    for (uint64_t i = 1; i <= NODES; i++) {
        uint64_t node = next(p, true);
        CHECK(node != 0);
        CHECK_OK(plan_wait(p, node, GENERATOR, 2, &err), err);
        CHECK_INT(i == NODES ? 0 : i + 1, i == NODES ? next(p, true) : i + 1);
    }
    for (int i = 0; i < 1000; i++) CHECK_INT(0, next(p, true));
    settle(p, GENERATOR, false);
    for (uint64_t i = 1; i <= NODES; i++) {
        CHECK_INT(i, next(p, true));
        settle(p, i, false);
    }
    double taken = seconds() - start;
    fprintf(stderr, "%d waits: %.0f ns each\n", NODES, taken * 1e9 / NODES);
    CHECK(taken < 5);
    free_wide(p);
}

/* All nodes of a first run, 8 at once. */
static void test_large_turn(void)
{
    const char *text = getenv("WEIR_PLAN_NODES");
    uint64_t width = text ? strtoull(text, NULL, 10) : 50000;
    plan *p = wide_plan(width);
    uint64_t joins = (width + 99) / 100, handed = 0, node, running[8];
    double start = seconds();
    for (uint64_t i = 1; i <= width; i++) CHECK_OK(plan_due(p, i, 2, &err), err);
    for (uint64_t i = 0; i < joins; i++) CHECK_OK(plan_due(p, width + 1 + i, 3, &err), err);
    size_t count = 0;
    while (plan_open(p) > 0) {
        while (count < 8 && plan_next(p, true, &node, &err) == 1) {
            running[count++] = node;
            handed++;
        }
        if (!CHECK(count > 0)) break;
        size_t which = (size_t)(handed * 7) % count;
        if (plan_settled(p, running[which], true, &err) != 0) break;
        running[which] = running[--count];
    }
    double taken = seconds() - start;
    CHECK_INT(width + joins, handed);
    fprintf(stderr, "%llu nodes: %.0f ns each\n", (unsigned long long)handed, taken * 1e9 / (double)handed);
    free_wide(p);
}

static void test_random(void)
{
    const char *steps = getenv("WEIR_SIM_STEPS"), *seed_text = getenv("WEIR_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
    char trouble[400];
    fprintf(stderr, "WEIR_SEED=%llu\n", (unsigned long long)seed);
    if (!CHECK(sim_run(seed, steps ? strtoll(steps, NULL, 10) : 30000, trouble))) fprintf(stderr, "%s\n", trouble);
}

int main(void)
{
    test_order();
    test_only_after();
    test_gone();
    test_cutoff();
    test_slow_node();
    test_search_is_kept();
    test_weight();
    test_weigh();
    test_again();
    test_moved_under_running();
    test_wait();
    test_wait_for_idle();
    test_lift();
    test_circles();
    test_returns();
    test_each_due();
    test_no_memory();
    test_header();
    test_many_waits();
    test_large_turn();
    test_random();
    return check_done();
}
