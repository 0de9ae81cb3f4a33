/*
 * chance.h - attempts that fail by chance: a signal, a time limit, no memory, a process that cannot be started. A part of judge.h.
 *
 * `run chance=3:1,7:2`: the first attempt of the node in slot 3 fails, the first two of that in slot 7. With as many retries= it comes through;
 * with fewer all of them fail, it has failed, and the next run tries again: such a failure is never known. Nor is any of a node with
 * retries, whatever it is, which therefore is repeated by every run.
 *
 * Only a node of which it is sure that it runs is hit. (With targets it is not foretold what one that dies would have asked for.)
 */
#ifndef WEIR_TESTS_SIM_CHANCE_H
#define WEIR_TESTS_SIM_CHANCE_H

enum { EVERY_ATTEMPT = 1 << 20 };

/* It fails, and not for what it read alone. */
static bool chance_repeats(const clean_node *c)
{
    return c->died || c->needs_missing || (c->failed && c->n.retries > 0);
}

static bool chance_dies(const clean_run *c, int slot)
{
    const clean_node *n = &c->nodes[slot];
    if (sim->chance[slot] <= n->n.retries || n->unsure || n->circular || (n->blocked && !n->barred)) return false;
    if (sim->limited && (n->reads.asked | n->reads.makers | n->reads.ghosts)) return false;
    uint64_t key = clean_key(c, slot, &n->n);
    if (is_tainted(key) || sim->shaky[slot] || sim->hazy[slot] || sim->circled[slot]) return false;
    bool is_meant = sim->force && (!sim->limited || sim->named[slot]);
    if (is_meant && n->n.row) return was_on_list(slot);
    return is_meant || chance_repeats(n) || !memo_has(&sim->memo, key, &n->reads, memo_end(slot, n));
}

/** Before a run: how many attempts of each node will fail. */
static void chance_begin(void)
{
    memset(sim->deaths, 0, sizeof sim->deaths);
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        sim->doomed[s] = c->died ? EVERY_ATTEMPT : sim->chance[s] <= c->n.retries ? sim->chance[s] : 0;
    }
}

#ifndef SIM_REAL
static int fake_chance(int slot)
{
    if (sim->deaths[slot] >= sim->doomed[slot]) return 0;
    sim->deaths[slot]++;
    if (sim->verbose) note("#     an attempt of %d fails by chance\n", slot);
    return 1 + (int)(fake_random() % 3);
}
#endif

/** One that surely ran once: what of its attempts became of what was to become. */
static void chance_judge(int slot)
{
    const clean_node *c = &sim->clean.nodes[slot];
    int most = c->n.retries + 1, attempts = sim->tries[slot] + sim->deaths[slot];
    if (c->barred || c->needs_missing || c->bad_list) return;
#ifdef SIM_REAL
    return; /* attempts that were followed by another one are not told */
#endif
    int expected = c->failed ? most : 1 + sim->doomed[slot];
    if (attempts != expected) wrong("node %d was tried %d times, expected %d", slot, attempts, expected);
}

static bool chance_was(void)
{
    for (int s = 0; s < SLOTS; s++)
        if (sim->clean.nodes[s].died) return true;
    return false;
}

#endif
