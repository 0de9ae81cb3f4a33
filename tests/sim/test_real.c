/*
 * test_real.c - the simulator's random projects and changes, with the weir program, real files and real processes (real.h). Smaller, and without
 * what only the simulator can do: time that stands still, kills at named points, order by a seed.
 *
 * WEIR_SEED, WEIR_SIM_STEPS, WEIR_SIM_PLAY and so on as in test_sim.c.
 */
#define SIM_REAL 1
#include "tests/sim/test_sim.c"
