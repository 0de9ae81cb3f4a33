/*
 * killed.h - a run whose engine ends at a kill point. A part of judge.h.
 *
 * What it had made, told and recorded by then stays; what of it the next run will find is not sure.
 */
#ifndef WEIR_TESTS_SIM_KILLED_H
#define WEIR_TESTS_SIM_KILLED_H

/* A run in a process of its own, which ends at the n-th kill point. */
static void run_killed(const run_plan *p, long n)
{
    uint32_t known[SLOTS];
    int status = 0;
#ifdef SIM_REAL
    (void)n;
    run_once(p);
    return;
#endif
    weir_close(sim->w);
    foretell(p->force, p->limited);
    memcpy(known, sim->known, sizeof known);
    sim->meddled = sim->crashed = sim->renamed = false;
    sim->runs++;
    left_look();
    pid_t pid = fork();
    if (pid == 0) {
        sim->kill_left = n;
        engine_open();
        run_engine(p);
        weir_close(sim->w);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    sim->kill_left = 0;
    engine_open();
    if (status == 0) {
        judge_run(p, known);
        left_judge(!p->limited, false);
        return;
    }
    find_loose(known);
    left_judge(!p->limited, true);
    sim->past.vague_lists = ~0U;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != KILLED) wrong("the engine ended by itself (status %d)", status);
    note("#   killed at %s\n", sim->killed_at);
    sim->kills++;
    sim->no_targets = true;
    for (int s = 0; s < SLOTS; s++) {
        if (!sim->performed[s]) continue;
        sim->shaky[s] = true;
        sim->known[s] |= known[s];
        taint(s);
    }
}

#endif
