/*
 * left.h - what a run leaves on disk: only a node that settled well may put something else at its outputs' places (P5).
 *
 * A node that failed, is blocked, was not asked for or is not there any more leaves each of its files as it was, also when its command
 * wrote half of it, was killed in the middle, or took the engine along. A part of judge.h; the files are looked at before and after.
 *
 * A path that nobody makes any more may lose its file in a full run of which nothing has failed by then, and in no other. So may that of a node
 * of which it is not sure that it is on its list, be it because of an edit in the middle of the run.
 */
#ifndef WEIR_TESTS_SIM_LEFT_H
#define WEIR_TESTS_SIM_LEFT_H

static char left_before[SLOTS][2][2][TEXT]; /* folder o or p, port a or b */

static const char *left_path(int slot, int folder, int port, char path[PATH])
{
    snprintf(path, PATH, "%c/%d.%c", folder ? 'p' : 'o', slot, port ? 'b' : 'a');
    return path;
}

/** What is told in a run: that something was removed, though something had failed? */
static void left_hear(const char *message)
{
    if (!strstr(message, "was removed, no node makes it any more")) return;
    for (int s = 0; s < SLOTS; s++)
        if (sim->failed[s] || sim->told[s] || sim->was_blocked[s]) return;
    sim->sweeps = true; /* what is behind a removed file may fail after that */
}

/** Before a run. */
static void left_look(void)
{
    char path[PATH];
    sim->sweeps = false;
    for (int s = 0; s < SLOTS; s++)
        for (int i = 0; i < 4; i++) read_text(sim->rootfd, left_path(s, i & 1, i >> 1, path), left_before[s][i & 1][i >> 1]);
}

/* Does the node there make that path now? */
static bool left_is_made(int slot, int folder, int port)
{
    const sim_node *n = &graph.nodes[slot];
    return n->present && (n->folder == 'p') == folder && (port ? has_b(n) : has_a(n));
}

/* Is that what the node makes of what there is? A killed engine may have put it there and not have told so. */
static bool left_is_clean(int slot, int folder, int port, const char *text)
{
    const clean_node *c = &sim->clean.nodes[slot];
    return left_is_made(slot, folder, port) && !is_lost(c) && strcmp(text, port ? c->out.b : c->out.a) == 0;
}

/** After it. killed: the engine was, and another one has put things in order. */
static void left_judge(bool is_full, bool killed)
{
    char path[PATH], now[TEXT];
    for (int s = 0; s < SLOTS; s++)
        for (int i = 0; i < 4 && !sim->well[s] && !(killed && sim->loose[s]); i++) {
            int folder = i & 1, port = i >> 1;
            const char *before = left_before[s][folder][port];
            read_text(sim->rootfd, left_path(s, folder, port, path), now);
            bool may_go = is_full && (killed || sim->rc == 0 || sim->sweeps) && (!left_is_made(s, folder, port) || (graph.nodes[s].row && (sim->clean.nodes[s].unsure || sim->meddled)));
            if (strcmp(now, before) == 0 || (may_go && strcmp(now, "-") == 0) || (killed && left_is_clean(s, folder, port, now))) continue;
            wrong("%s held \"%s\" and holds \"%s\": its node did not settle well", path, before, now);
        }
}

#endif
