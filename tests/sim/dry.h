/*
 * dry.h - a dry run, and whether it said what the run will do. A part of judge.h.
 *
 * It says what will run, and no more where nothing above it runs; of users of such nodes it may say maybe. It cannot know of
 * reads that are still to be discovered.
 */
#ifndef WEIR_TESTS_SIM_DRY_H
#define WEIR_TESTS_SIM_DRY_H

/* Does a node that will run lie above it? */
static bool is_behind(int slot)
{
    static bool seen[SLOTS];
    const tracker *t = &sim->clean.nodes[slot].reads;
    uint32_t above = declared_makers(&sim->clean, slot) | sim->known[slot] | t->makers | t->needs;
    bool found = false;
    if (row_parent(&graph, slot) >= 0) above |= 1U << row_parent(&graph, slot);
    seen[slot] = true;
    for (int i = 0; i < SLOTS && !found; i++)
        found = (above >> i & 1) && !seen[i] && (sim->expected[i] || is_lost(&sim->clean.nodes[i]) || is_behind(i));
    seen[slot] = false;
    return found;
}

static void __attribute__((unused)) run_dry(const run_plan *p)
{
    weir_error err = {0};
    weir_summary summary = {.size = sizeof summary};
    if (source_is_missing()) return;
    foretell(p->force, p->limited);
    find_loose(sim->known);
    declare_all();
    memset(sim->would, 0, sizeof sim->would);
    memset(sim->maybe, 0, sizeof sim->maybe);
    weir_request r = {.size = sizeof r, .jobs = p->jobs, .flags = WEIR_RUN_DRY | (p->force ? WEIR_RUN_FORCE : 0), .targets = p->targets,
                      .target_count = p->target_count};
    sim->dry = true;
    int rc = weir_run(sim->w, &r, &summary, &err);
    sim->dry = false;
    note("#   run -n: %d would run, %d maybe; %d (%s)\n", (int)summary.would_run, (int)summary.maybe, rc, err.message);
    if (rc != 0 || summary.run != 0) wrong("the dry run returned %d", rc);
    bool discovers = sim->renamed; /* who reads a node under its new name is not known either */
    for (int s = 0; s < SLOTS; s++) {
        const tracker *t = &sim->clean.nodes[s].reads;
        discovers |= (t->makers & ~sim->known[s]) != 0 || t->needs != 0 || sim->clean.nodes[s].asks_missing;
        discovers |= p->limited && (sim->expected[s] || sim->anew[s]) && (t->makers | sim->known[s]) != 0; /* declared anew: what it was known to read is forgotten */
        discovers |= p->limited && graph.nodes[s].row && !was_on_list(s); /* nor what a node takes in that is not declared yet */
    }
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        if (sim->ran[s]) wrong("node %d ran in a dry run", s);
        if (sim->loose[s] || is_tainted(c->key)) continue;
        if (sim->would[s] && !sim->expected[s] && !c->blocked && !c->circular && !is_behind(s)) wrong("node %d will not run, a dry run says it would", s);
        if (sim->expected[s] && !sim->would[s] && !sim->maybe[s] && !discovers && !(graph.nodes[s].row && (is_behind(s) || !was_on_list(s)))) wrong("node %d will run, a dry run does not say so", s);
    }
}

#endif
