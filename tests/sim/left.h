/*
 * left.h - what a run leaves on disk: only a node that settled well may put something else at its outputs' places (P5).
 *
 * A node that failed, is blocked, was not asked for or is not there any more leaves each of its files as it was, also when its command
 * wrote half of it, was killed in the middle, or took the engine along. A part of judge.h; the files are looked at before and after.
 *
 * A path that nobody makes any more may lose its file in a full run of which nothing has failed by then, and in no other. So may that of a node
 * of which it is not sure that it is on its list, be it because of an edit in the middle of the run.
 *
 * A file that was changed or removed by hand is put right by the run. Where the engine is killed between that and the record of it, recovery lets
 * what it had put there give way to what was recorded last: what the node had made before the hand came (the hand's own text is in the store).
 */
#ifndef WEIR_TESTS_SIM_LEFT_H
#define WEIR_TESTS_SIM_LEFT_H

static char left_before[SLOTS][2][2][TEXT]; /* folder o or p, port a or b */
static char left_own[SLOTS][2][2][TEXT];    /* what weir had there, before it was changed by hand */
static char left_by_hand[SLOTS][2][2][TEXT];

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

/** Before a file is changed by hand, or removed (text: NULL). */
static void left_hand(int slot, int folder, int port, const char *text)
{
    char path[PATH], now[TEXT];
    read_text(sim->rootfd, left_path(slot, folder, port, path), now);
    if (!sim->hand[slot][folder][port] || strcmp(now, left_by_hand[slot][folder][port]) != 0) memcpy(left_own[slot][folder][port], now, TEXT);
    snprintf(left_by_hand[slot][folder][port], TEXT, "%s", text ? text : "-");
    sim->hand[slot][folder][port] = true;
}

/* Changed by hand before, and as it was before that? */
static bool left_is_own(int slot, int folder, int port, const char *text)
{
    bool by_hand = sim->hand[slot][folder][port] && strcmp(left_before[slot][folder][port], left_by_hand[slot][folder][port]) == 0;
    return by_hand && left_is_made(slot, folder, port) && strcmp(text, left_own[slot][folder][port]) == 0;
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
            if (strcmp(now, before) == 0 || (may_go && strcmp(now, "-") == 0)) continue;
            if (killed && (left_is_clean(s, folder, port, now) || left_is_own(s, folder, port, now))) continue;
            wrong("%s held \"%s\" and holds \"%s\": its node did not settle well", path, before, now);
        }
}

#endif
