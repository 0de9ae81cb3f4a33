/*
 * plan_canary.c - does the random test of the planner see a bug? Built by tests/sim/test_canaries.py, with one source of the planner
 * changed; ends with 1 when it is seen.
 */
#include <stdio.h>

#include "engine/model/plan.h"
#include "tests/check.h"
#include "tests/engine/model/oracle.c"
#include "tests/engine/model/plan_sim.c"

int main(void)
{
    enum { STEPS = 30000 };
    char trouble[400];
    if (sim_run(1, STEPS, trouble)) return 0;
    fprintf(stderr, "%s\n", trouble);
    return 1;
}
