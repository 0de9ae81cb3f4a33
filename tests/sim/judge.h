/*
 * judge.h - one run of the real engine: what it tells, what is foretold, and whether it did that.
 *
 * What a run leaves behind lies in `sim`, which forked children share, so that a killed engine's run can be judged too.
 */
#ifndef WEIR_TESTS_SIM_JUDGE_H
#define WEIR_TESTS_SIM_JUDGE_H

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "engine/store/fold.h"
#include "engine/store/log.h"
#include "engine/weir.h"
#include "tests/check.h"
#include "tests/sim/memo.h"
#ifdef SIM_REAL
#include "tests/sim/real.h"
#else
#include "tests/sim/fake.h"
#endif

enum { TAINTS = 1024, DONE = 256, SCRIPT = 1 << 18, KILLED = 77 };

static struct sim {
    weir *w;
    char root[300];
    int rootfd;
    uint64_t rng, fake_rng;
    memo memo;
    uint64_t held[SLOTS];    /* keys under which the nodes surely settled well last; 0: not sure (void.h) */
    uint64_t taints[TAINTS]; /* keys of which the memo may know less or more */
    int taint_count;
    uint32_t known[SLOTS], ghosts[SLOTS]; /* as recorded: whose outputs are read undeclared; what was read and nobody made then */
    uint32_t needed[SLOTS]; /* whom it waited for when it ended well last */
    uint32_t maybe_known[SLOTS]; /* of a disturbed run, where an attempt followed another: both */
    uint64_t spec[SLOTS];    /* of what was declared */
    bool anew[SLOTS];        /* declared differently since it was settled: the engine has forgotten what it was found to read */
    bool shaky[SLOTS];       /* a killed engine may have recorded its execution or not */
    bool circled[SLOTS];     /* it was part of a circle since it was settled well: what it had read before may be forgotten */
    bool hazy[SLOTS];        /* it was unsure, so its last attempt may have failed: then what it found is not recorded */
    bool hand[SLOTS][2][2]; /* changed by hand: folder, port */
    clean_past past;
    clean_run clean;
    /* of a run */
    bool told[SLOTS]; /* that it failed before */
    bool stopped[SLOTS]; /* before its end was heard of */
    uint32_t asked[SLOTS]; /* slots that it asked for, or whose outputs it found */
    bool well[SLOTS];    /* it settled well at least once */
    bool early[SLOTS];   /* it asks for one of a list that comes after it by what was read before: it may fail first */
    bool sweeps;         /* files that nobody makes were removed */
    int chance[SLOTS], doomed[SLOTS], deaths[SLOTS]; /* attempts that are to fail by chance, that will, that did */
    int ran[SLOTS], failed[SLOTS], tries[SLOTS], starts, interrupt_at, interrupts, crash_at;
    int meddle_at, meddle_source; /* edit this source before that execution; 0: no */
    char meddle_text[TEXT];
    bool settled_limited, settled_named[SLOTS];
    bool found_circle, limited, force, dry, settled; /* nothing was done since a run that was not disturbed */
    bool meddled, crashed, no_targets, renamed, would[SLOTS], maybe[SLOTS];
    bool was_blocked[SLOTS], was_anew[SLOTS], was_circular[SLOTS], performed[SLOTS], free[SLOTS], loose[SLOTS], wanted[SLOTS], perhaps[SLOTS], expected[SLOTS], named[SLOTS];
    tracker last[SLOTS];
    struct { int slot; uint64_t key; } did[DONE]; /* keys of the executions */
    int did_count;
    int rc;
    weir_summary summary;
    char message[480];
    long kill_left; /* kill points until the engine ends; 0: never */
    char killed_at[40];
    bool bad, verbose;
    int check_every; /* steps */
    char script[SCRIPT]; /* what was done, as lines that can be played; what was seen stands behind # */
    size_t script_size;
    uint64_t runs, kills, executions;
} *sim; /* shared with children */

/* --- numbers and words ------------------------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t __attribute__((unused)) fake_random(void)
{
    return next_random(&sim->fake_rng);
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t left = SCRIPT - sim->script_size;
    int n = vsnprintf(sim->script + sim->script_size, left, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < left) {
        if (sim->verbose) fputs(sim->script + sim->script_size, stderr);
        sim->script_size += (size_t)n;
    }
}

static void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void wrong(const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim->bad = true;
    note("#   WRONG: %s\n", text);
}

/* The engine passes a place where a crash test may end it (--wrap). */
void __wrap_os_kill_point(const char *name);
void __wrap_os_kill_point(const char *name)
{
    if (sim->kill_left == 0 || --sim->kill_left > 0) return;
    snprintf(sim->killed_at, sizeof sim->killed_at, "%s", name);
    _exit(KILLED);
}

/* --- what the fakes and the engine tell ------------------------------------------------------------------------------- */

/* A command names a file that is hardly older than itself, perhaps for the first time: the engine cannot know which content it saw. */
static bool found_fresh_file(int slot, const tracker *t)
{
    for (int i = 0; i < t->count && graph.nodes[slot].command; i++) {
        struct stat st;
        if (t->reads[i].group == 0 || t->reads[i].id[0] != 's') continue;
        if (fstatat(sim->rootfd, t->reads[i].id, &st, 0) != 0) continue;
        if (single_is_now(&st.st_ctim) || single_is_now(&st.st_mtim)) return true;
    }
    return false;
}

/* Somebody edits a source in the middle of a run. */
static void meddle(void)
{
    char path[PATH];
    if (sim->meddle_at == 0 || --sim->meddle_at > 0 || !graph.sources[sim->meddle_source].present) return;
    memcpy(graph.sources[sim->meddle_source].before, graph.sources[sim->meddle_source].text, TEXT);
    snprintf(graph.sources[sim->meddle_source].text, TEXT, "%s", sim->meddle_text);
    write_text(sim->rootfd, source_path(&graph, sim->meddle_source, path), sim->meddle_text);
    sim->meddled = sim->no_targets = true;
    note("#   (meanwhile source %d becomes \"%s\")\n", sim->meddle_source, sim->meddle_text);
}

#ifdef SIM_REAL
static const tracker *real_reads(int slot)
{
    return &sim->clean.nodes[slot].reads;
}

static const sim_node *real_node(int slot)
{
    return &sim->clean.nodes[slot].n;
}
#else
static void fake_names(int slot, char port, char text[TEXT])
{
    names_text(&graph, &sim->clean.nodes[slot].n, port, text);
}

static void fake_made(const char *name, char text[TEXT])
{
    made_text(&sim->clean, atoi(name + 1), text);
}

static void fake_asks(int slot, const tracker *t)
{
    sim->asked[slot] |= t->asked;
}

static bool fake_crashes(void)
{
    if (sim->crash_at == 0 || --sim->crash_at > 0) return false;
    return sim->crashed = sim->no_targets = true;
}
#endif

/* Was this node of a list declared before the run? */
static bool was_on_list(int slot)
{
    int parent = row_parent(&graph, slot);
    return parent >= 0 && !(sim->past.vague_lists >> parent & 1) && row_of(sim->past.lists[parent], slot - parent);
}

/* Slots whose outputs it read and nobody makes any more, which were on a list before: with that one open, it raced. */
static uint32_t rows_before(const tracker *t)
{
    uint32_t rows = 0;
    for (int s = 0; s < SLOTS; s++) {
        int parent = t->ghosts >> s & 1 ? row_parent(&graph, s) : -1;
        if (parent < 0 || graph.nodes[s].present) continue;
        bool may_be = sim->past.vague_lists >> parent & 1;
        if (may_be || row_of(sim->past.lists[parent], s - parent)) rows |= 1U << s;
    }
    return rows;
}

/* The node that was executed. A command line does not tell how its paths were declared. */
static sim_node done_by(int slot, const sim_node *n)
{
    const sim_node *clean = &sim->clean.nodes[slot].n;
    if (!n->command || !clean->present || !clean->command || clean->kind != n->kind || clean->variant != n->variant) return *n;
    sim_node as = *clean;
    for (int k = 0; k < n->c_count; k++) {
        char path[PATH], had[PATH];
        bool found = false;
        ref_path(&graph, &n->c[k], path);
        for (int i = 0; i < clean->c_count && !found; i++) {
            as.c[k] = clean->c[i];
            found = strcmp(ref_path(&graph, &as.c[k], had), path) == 0;
        }
        if (!found) as.c[k] = (sim_ref){.kind = REF_NODE, .index = n->c[k].index};
    }
    as.c_count = n->c_count;
    return as;
}

/* n: the node as its job or command line tells it. */
static void fake_performed(int slot, const sim_node *n, const tracker *t, bool ok)
{
    sim_node as = done_by(slot, n);
    meddle();
    if (sim->did_count < DONE) {
        sim->did[sim->did_count].slot = slot;
        sim->did[sim->did_count++].key = clean_key(&sim->clean, slot, &as);
    }
    sim->last[slot] = *t;
    sim->performed[slot] = true;
    sim->tries[slot]++;
    sim->executions++;
    if (found_fresh_file(slot, t)) sim->free[slot] = true;
    sim->asked[slot] |= t->asked | t->makers;
    uint32_t waited = t->needs; /* for a row by its path nobody waits before it is declared, be it anew */
    if (!sim->circled[slot]) waited |= sim->known[slot]; /* where it was history it may have been dropped for the circle */
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].row && (!was_on_list(s) || sim->expected[row_parent(&graph, s)])) waited &= ~(1U << s);
    if ((t->makers | rows_before(t)) & ~waited) sim->free[slot] = true;
    if (sim->verbose) note("#     performed %d%s\n", slot, ok ? "" : " and failed");
}

static void left_hear(const char *message);

/* Of an attempt that read what could not be made no more is recorded than came before that. */
static void know_until_lost(int slot)
{
    const tracker *t = &sim->last[slot];
    uint32_t known = 0, ghosts = 0;
    bool lost = false;
    for (int i = 0; i < t->count && !lost; i++) {
        int maker = t->reads[i].id[0] == 'o' ? atoi(t->reads[i].id + 2) : -1;
        if (maker < 0 || maker >= SLOTS) continue;
        lost = sim->failed[maker] || sim->told[maker] || sim->was_blocked[maker];
        known |= t->makers & 1U << maker;
        ghosts |= (uint32_t)t->ghosts & 1U << maker;
    }
    if (!lost) return;
    sim->maybe_known[slot] = sim->known[slot] | sim->ghosts[slot] | t->makers | (uint32_t)t->ghosts;
    sim->known[slot] = known;
    sim->ghosts[slot] = ghosts;
}

/* "nodes wait for one another: n6[id=6] -> n5[id=5] -> n6[id=6]", be it foretold or not. */
static void hear_circle(const char *message)
{
    const char *at = message ? strstr(message, "wait for one another: ") : NULL;
    for (at = at ? at + 20 : NULL; at && (at = strchr(at, ' ')) != NULL; at++)
        if (at[1] == 'n' || at[1] == 'm') sim->circled[(unsigned)atoi(at + 2) % SLOTS] = true;
}

static void on_event(void *ctx, const weir_event *e)
{
    (void)ctx;
    int slot = e->node && *e->node ? atoi(e->node + 1) : 0;
    if (e->kind == WEIR_EVENT_STARTED && ++sim->starts == sim->interrupt_at)
        for (int i = 0; i < sim->interrupts; i++) weir_interrupt(sim->w);
    if (e->kind == WEIR_EVENT_FINISHED && strcmp(e->outcome, "ran") == 0) {
        sim->ran[slot]++;
        sim->well[slot] = true;
        sim->known[slot] = sim->last[slot].makers;
        sim->needed[slot] = sim->last[slot].needs;
        sim->ghosts[slot] = (uint32_t)sim->last[slot].ghosts;
    } else if (e->kind == WEIR_EVENT_FINISHED) {
        sim->failed[slot]++;
        hear_circle(e->message);
        if (e->message && strcmp(e->message, "interrupted") == 0) sim->stopped[slot] = true;
        if (sim->verbose) note("#     %s: %s\n", e->node, e->message);
    }
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "restored") == 0 && !sim->dry) {
        if (sim->meddled) sim->shaky[slot] = true; /* another content than was foretold */
        sim->known[slot] = sim->clean.nodes[slot].reads.makers;
        sim->needed[slot] = sim->clean.nodes[slot].reads.needs;
        sim->ghosts[slot] = (uint32_t)sim->clean.nodes[slot].reads.ghosts;
    }
    if ((e->kind == WEIR_EVENT_FINISHED || e->kind == WEIR_EVENT_SETTLED) && !sim->dry) sim->was_anew[slot] |= sim->anew[slot], sim->anew[slot] = false;
    if (e->kind == WEIR_EVENT_SETTLED && !sim->dry && (strcmp(e->outcome, "restored") == 0 || strcmp(e->outcome, "unchanged") == 0)) sim->well[slot] = true;
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "failed") == 0) sim->told[slot] = true;
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "blocked") == 0) {
        sim->was_blocked[slot] = true;
        if (sim->ran[slot] && sim->meddled) know_until_lost(slot); /* it ran before in this run, and was looked at again */
#ifdef SIM_REAL
        if (sim->ran[slot]) sim->maybe_known[slot] = ~0U; /* what it read before is not told: it may be anything */
#endif
    }
    if (e->kind == WEIR_EVENT_WOULD_RUN) sim->would[slot] = true;
    if (e->kind == WEIR_EVENT_MAYBE) sim->maybe[slot] = true;
    if (e->kind == WEIR_EVENT_SETTLED && sim->verbose) note("#     %s %s\n", e->node, e->outcome);
    if (e->kind == WEIR_EVENT_DIAGNOSTIC) note("#     (%s)\n", e->diagnostic->message);
    if (e->kind == WEIR_EVENT_MESSAGE) left_hear(e->message);
    if (e->kind == WEIR_EVENT_MESSAGE && sim->verbose) note("#     (%s)\n", e->message);
}

#include "tests/sim/declare.h"
#include "tests/sim/foretell.h"

/* --- one run, judged ---------------------------------------------------------------------------------------------------- */

/* What was executed under any of its keys may be found again, or not. */
static void taint(int slot)
{
    for (int i = 0; i < sim->did_count; i++)
        if (sim->did[i].slot == slot && !is_tainted(sim->did[i].key) && sim->taint_count < TAINTS) sim->taints[sim->taint_count++] = sim->did[i].key;
}

/* The key of the last execution in this slot; 0: there was none. */
static uint64_t key_done(int slot)
{
    for (int i = sim->did_count; i-- > 0;)
        if (sim->did[i].slot == slot) return sim->did[i].key;
    return 0;
}

/* Not the node that was foretold was executed but that of the list of before, whose expand node came to no end: what it read is known of that one. */
static void learn_of_list_before(int slot)
{
    uint64_t key = key_done(slot);
    bool is_sure = sim->ran[slot] == 1 && sim->tries[slot] == 1 && !sim->loose[slot] && !sim->meddled;
    if (is_sure) memo_learn(&sim->memo, key, &sim->last[slot], MEMO_LEAF);
    else taint(slot);
}

/* The memo learns what ran, and what failed. */
static void learn(void)
{
    for (int s = 0; s < SLOTS; s++) {
        if (sim->performed[s] && row_parent(&graph, s) >= 0 && key_done(s) != sim->clean.nodes[s].key) {
            learn_of_list_before(s);
            continue;
        }
        bool fails = sim->failed[s] && !sim->ran[s] && sim->performed[s] && !sim->stopped[s], barred = sim->clean.nodes[s].barred && sim->performed[s];
        if (!sim->ran[s] && !fails && !barred) { /* an attempt that came to what could not be made may be known, or not */
            if (sim->performed[s]) taint(s);
            continue;
        }
        if (fails && sim->crashed && !sim->meddled && !sim->clean.nodes[s].failed) continue; /* it died */
        uint64_t key = sim->clean.nodes[s].key;
        if (fails && chance_repeats(&sim->clean.nodes[s])) continue;
        if (fails && sim->clean.nodes[s].bad_list && !sim->loose[s] && !sim->meddled) continue; /* the nodes that there are have a part in that */
        bool is_other = sim->crashed && (fails || (sim->ran[s] && is_lost(&sim->clean.nodes[s]))); /* with the list of before, whose expand node died */
        if (!sim->loose[s] && !sim->meddled && !is_other)
            memo_learn(&sim->memo, key, barred ? &sim->clean.nodes[s].reads : &sim->last[s], memo_end(s, &sim->clean.nodes[s]));
        else taint(s);
    }
}

static bool asks_for_new_row(int slot)
{
    const tracker *t = &sim->clean.nodes[slot].reads;
    for (int i = 0; i < SLOTS; i++)
        if ((t->asked & ~t->named) >> i & 1 && row_parent(&graph, i) >= 0 && !was_on_list(i)) return true;
    return false;
}

static bool finds_new_row(int slot)
{
    for (int i = 0; i < SLOTS; i++)
        if ((sim->ghosts[slot] | sim->known[slot] | sim->clean.nodes[slot].reads.needs) >> i & 1 && graph.nodes[i].present && graph.nodes[i].row && !was_on_list(i)) return true;
    return false;
}

/* Nothing declared from C: the graph of before, which this one knows nothing of any more. */
static bool is_empty(void)
{
    int present = 0;
    for (int s = 0; s < SLOTS; s++) present += graph.nodes[s].present;
    return present == 0;
}

static void judge_counts(bool cut_short, bool again)
{
    bool any = !is_empty();
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        int count = c->barred ? sim->tries[s] : sim->ran[s] + (cut_short ? 0 : sim->failed[s]);
        if (c->barred && !c->unsure && !c->circular && !cut_short && sim->wanted[s] && !sim->was_blocked[s]) wrong("node %d reads what could not be made and is not blocked", s);
        if (!graph.nodes[s].present) {
            if (count && any && !c->unsure && !sim->loose[s]) wrong("node %d is not there and ran", s);
            continue;
        }
        if (c->bad_list && !sim->expected[s] && count == 1) count = 0; /* it is told that it failed, and did not run */
        if (c->circular && !c->unsure) { /* it may be tried once more: what it read without declaring it may have been out of date */
            bool is_told = sim->failed[s] || sim->told[s] || sim->was_blocked[s];
            if (sim->wanted[s] && !cut_short && !is_told) wrong("node %d waits for itself, and that is not told", s);
            if (sim->ran[s] && !sim->loose[s] && c->reads.makers == 0) wrong("node %d waits for itself and ran", s);
            continue;
        }
        if (again && !c->unsure && !(sim->loose[s] && (sim->found_circle || (sim->perhaps[s] && !sim->wanted[s]))) && !((c->failed || c->barred) && sim->expected[s])) {
            if (count) wrong("node %d ran again in a second run", s);
            continue;
        }
        if (c->unsure || sim->loose[s]) {
            if (count > 8) wrong("node %d ran %d times", s, count);
            continue;
        }
        bool vague = is_tainted(c->key) || cut_short;
        bool perhaps = c->barred && (graph.nodes[s].command || memo_voids.of_slot[s] > 0); /* it may have read something else along with it, or that was given up */
#ifdef SIM_REAL
        vague |= c->barred || c->bad_list; /* such an attempt is not told; a name that a list says twice is found in the worker: a known failure */
#endif
        int most = sim->expected[s] || perhaps || is_tainted(c->key) ? 1 : 0;
        if (c->blocked && asks_for_new_row(s)) most = 1; /* by its path: nobody waits for that before it is declared */
        if (c->died && finds_new_row(s)) most = 2; /* by what it read before it is tried once more when that is declared */
        if (sim->early[s]) most = sim->expected[s] + 1;
        if (c->needs_missing) most = 2; /* no known failure: it is tried again when what it read before moves in the run */
        if (count > most) wrong("node %d ran %d times, expected %d", s, count, sim->expected[s]);
        if (!vague && count < (sim->expected[s] ? 1 : 0)) wrong("node %d did not run", s);
        if (!vague && count == 1 && sim->expected[s]) chance_judge(s);
        if (!cut_short && c->failed && !sim->failed[s] && !sim->told[s] && sim->wanted[s]) wrong("node %d should have failed", s);
    }
}

static void judge_file(int slot, char port, const char *expected)
{
    char path[PATH], text[TEXT];
    read_text(sim->rootfd, made_path(&graph, slot, port, path), text);
    if (strcmp(text, expected) != 0) wrong("%s holds \"%s\", a clean run makes \"%s\"", path, text, expected);
}

static bool any_unsure(void)
{
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].present && sim->clean.nodes[s].unsure) return true;
    return false;
}

static void judge_outputs(void)
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        const sim_node *n = &graph.nodes[s];
        int parent = row_parent(&graph, s);
        if (!n->present || !sim->wanted[s] || c->unsure || is_lost(c)) continue;
        if (parent >= 0 && sim->ran[parent] && is_lost(&sim->clean.nodes[parent])) continue; /* it raced before it was blocked: its list is that of then */
        if (has_a(n)) judge_file(s, 'a', c->out.a), sim->hand[s][n->folder == 'p'][0] = false;
        if (has_b(n)) judge_file(s, 'b', c->out.b), sim->hand[s][n->folder == 'p'][1] = false;
    }
}

/* After a full run without failures nothing is left of what nobody makes any more. */
static void judge_vanished(void)
{
    if (is_empty()) return;
    for (int s = 0; s < SLOTS; s++)
        for (int i = 0; i < 4; i++) {
            char path[PATH];
            const sim_node *n = &graph.nodes[s];
            snprintf(path, sizeof path, "%c/%d.%c", i & 1 ? 'p' : 'o', s, i & 2 ? 'b' : 'a');
            bool made = n->present && (n->folder == 'p') == (i & 1) && (i & 2 ? has_b(n) : has_a(n));
            if (!made && !sim->hand[s][i & 1][i >> 1] && faccessat(sim->rootfd, path, F_OK, 0) == 0) wrong("%s is still there", path);
        }
}

typedef struct run_plan {
    int jobs;
    bool force, limited, again; /* again: nothing changed since a run that settled the same */
    char names[4][40];
    const char *targets[4];
    size_t target_count;
} run_plan;

#include "tests/sim/left.h"
#include "tests/sim/dry.h"

static void run_engine(const run_plan *p)
{
    weir_error err = {0};
    declare_all();
    weir_request r = {.size = sizeof r, .jobs = p->jobs, .flags = p->force ? WEIR_RUN_FORCE : 0, .targets = p->targets, .target_count = p->target_count};
    sim->summary = (weir_summary){.size = sizeof sim->summary};
    sim->rc = weir_run(sim->w, &r, &sim->summary, &err);
    snprintf(sim->message, sizeof sim->message, "%s", err.message);
}

/* The list of an expand node is what the engine made its nodes from. */
static void keep_list(int slot)
{
    memcpy(sim->past.lists[slot], sim->clean.nodes[slot].out.value, TEXT);
    sim->past.vague_lists &= ~(1U << slot);
}

static void judge_run(const run_plan *p, const uint32_t known[SLOTS])
{
    int ran = 0;
    for (int s = 0; s < SLOTS; s++) ran += sim->ran[s];
    note("#   %d ran, %d restored, %d failed, %d blocked; %d (%s)\n", ran, (int)sim->summary.restored, (int)sim->summary.failed,
         (int)sim->summary.blocked, sim->rc, sim->message);
    if (source_is_missing()) {
        if (sim->rc != WEIR_WORKFLOW || ran) wrong("a declared file is missing, and the run went on");
        return;
    }
    find_loose(known);
    learn();
    bool cut_short = sim->interrupt_at > 0 && sim->rc == WEIR_CANCELLED;
    if (sim->meddled || sim->crashed || cut_short) sim->past.vague_lists = ~0U;
    for (int s = 0; s < SLOTS && sim->crashed; s++) sim->hazy[s] |= sim->was_blocked[s] && sim->performed[s]; /* by one that died: it read no further */
    for (int s = 0; s < SLOTS && sim->meddled; s++) sim->circled[s] |= sim->was_blocked[s]; /* maybe: nobody foretold that */
    if (sim->meddled || sim->crashed) return; /* the next run has to make it good */
    judge_counts(cut_short, p->again);
    for (int s = 0; s < SLOTS && cut_short; s++) sim->shaky[s] |= sim->free[s]; /* its next turn was to bring what it found now */
    if (cut_short) return;
    bool fails = false, blocks = false;
    for (int s = 0; s < SLOTS; s++) {
        if (!sim->wanted[s]) fails |= sim->perhaps[s] && (sim->failed[s] || sim->told[s] || sim->was_blocked[s]); /* it was asked because of a list that is another one now */
        if (!sim->wanted[s]) continue;
        fails |= sim->clean.nodes[s].failed;
        blocks |= sim->clean.nodes[s].blocked;
    }
    if (!any_unsure() && !is_empty() && sim->rc != (fails || blocks ? WEIR_FAILED : 0)) wrong("the run returned %d", sim->rc);
    judge_outputs();
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        if (c->unsure) sim->hazy[s] = true;
        bool is_vague = c->unsure || (sim->loose[s] && is_lost(c)); /* what it has made, if it has, is not foretold */
        if (is_vague && graph.nodes[s].present && is_expand(&graph.nodes[s])) sim->past.vague_lists |= 1U << s;
        sim->circled[s] |= c->circular;
        if (sim->wanted[s] && !c->unsure && !is_lost(c)) {
            sim->hazy[s] = sim->circled[s] = false;
            sim->maybe_known[s] = 0;
            sim->known[s] = c->reads.makers;
            sim->ghosts[s] = (uint32_t)c->reads.ghosts;
            if (is_expand(&graph.nodes[s])) keep_list(s);
        }
        bool may_be = row_parent(&graph, s) >= 0 && (sim->past.vague_lists >> row_parent(&graph, s) & 1);
        if (!graph.nodes[s].present && !may_be) sim->known[s] = sim->ghosts[s] = 0;
    }
    if (!p->limited) {
        sim->no_targets = false;
        memset(sim->shaky, 0, sizeof sim->shaky);
    }
    if (!any_unsure() && sim->rc == 0 && !p->limited) judge_vanished();
}

static void run_once(const run_plan *p)
{
    uint32_t known[SLOTS];
    foretell(p->force, p->limited);
    note_clean();
    memcpy(known, sim->known, sizeof known);
    sim->meddled = sim->crashed = sim->renamed = false;
    sim->runs++;
    left_look();
    run_engine(p);
    judge_run(p, known);
    left_judge(!p->limited, false);
}

#include "tests/sim/killed.h"

#endif
