/*
 * void.h - results that are given up: `void SLOT` (weir void). A part of script.h.
 *
 * All results of the key under which the node settled last are found no more, and none of its failures: the node runs in the next run that
 * wants it, and what it makes is what it made before, so nobody else does. Done only to a node that surely settled well in the last run and was
 * not declared anew since; its failures of then are those of other contents.
 */
#ifndef WEIR_TESTS_SIM_VOID_H
#define WEIR_TESTS_SIM_VOID_H

/** After a run: under which key each node holds its result; 0: that is not sure. */
static void void_note(bool was_disturbed)
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        bool is_sure = !was_disturbed && graph.nodes[s].present && !graph.nodes[s].row && !c->unsure && !is_lost(c) && !sim->loose[s] && !is_tainted(c->key);
        if (!is_sure || sim->wanted[s] || sim->performed[s]) sim->held[s] = is_sure && sim->wanted[s] ? c->key : 0;
    }
}

static void play_void(int slot)
{
#ifndef SIM_REAL
    char name[40];
    const char *targets[1] = {name};
    weir_error err = {0};
    weir_summary summary = {.size = sizeof summary};
    if (!graph.nodes[slot].present || sim->held[slot] == 0 || !memo_void(slot, sim->held[slot])) return;
    snprintf(name, sizeof name, "%c%d[id=%d]", graph.nodes[slot].letter, slot, slot);
    if (weir_void(sim->w, targets, 1, &summary, &err) != 0) wrong("void %d: %s", slot, err.message);
    if (summary.voided != 1) wrong("void %d: %d nodes were", slot, (int)summary.voided);
    sim->held[slot] = 0;
#else
    (void)slot;
#endif
}

#endif
