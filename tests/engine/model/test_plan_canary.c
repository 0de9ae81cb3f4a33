/*
 * test_plan_canary.c - does the random test of the planner see a bug? The planner is compiled in here with a dozen
 * seeded ones; each has to be caught, and none of them off has to pass.
 */
static int canary;
#define PLAN_CANARY canary

#include "engine/model/plan.c"
#include "engine/model/plan_heap.c"
#include "engine/model/plan_lift.c"
#include "engine/model/plan_reach.c"
#include "engine/model/plan_table.c"

#include "tests/engine/model/oracle.c"
#include "tests/engine/model/plan_sim.c"

#include "tests/check.h"

int main(void)
{
    enum { CANARIES = 12, STEPS = 30000 };
    char trouble[400];
    CHECK(sim_run(1, STEPS, trouble));
    for (canary = 1; canary <= CANARIES; canary++) {
        bool caught = !sim_run(1, STEPS, trouble);
        fprintf(stderr, "canary %d: %s\n", canary, caught ? trouble : "not caught");
        CHECK(caught);
    }
    return check_done();
}
