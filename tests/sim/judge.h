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
#include "tests/sim/clean.h"
#ifdef SIM_REAL
#include "tests/sim/real.h"
#else
#include "tests/sim/fake.h"
#endif

enum { TAINTS = 512, SCRIPT = 1 << 18, KILLED = 77 };

static struct sim {
    weir *w;
    char root[300];
    int rootfd;
    uint64_t rng, fake_rng;
    memo memo;
    uint64_t taints[TAINTS]; /* keys of which the memo may know less or more */
    int taint_count;
    uint32_t known[SLOTS], ghosts[SLOTS]; /* as recorded: whose outputs are read undeclared; what was read and nobody made then */
    uint64_t spec[SLOTS];    /* of what was declared */
    bool anew[SLOTS];        /* declared differently since it was settled: the engine has forgotten what it was found to read */
    bool shaky[SLOTS];       /* a killed engine may have recorded its execution or not */
    bool hand[SLOTS][2][2]; /* changed by hand: folder, port */
    uint64_t stale;
    clean_run clean;
    /* of a run */
    bool told[SLOTS]; /* that it failed before */
    bool stopped[SLOTS]; /* before its end was heard of */
    int ran[SLOTS], failed[SLOTS], tries[SLOTS], starts, interrupt_at, interrupts, crash_at;
    int meddle_at, meddle_source; /* edit this source before that execution; 0: no */
    char meddle_text[TEXT];
    bool settled_limited, settled_named[SLOTS];
    bool dry, settled; /* nothing was done since a run that was not disturbed */
    bool meddled, crashed, no_targets, renamed, would[SLOTS], maybe[SLOTS];
    bool was_blocked[SLOTS], was_anew[SLOTS], performed[SLOTS], free[SLOTS], loose[SLOTS], wanted[SLOTS], perhaps[SLOTS], expected[SLOTS], named[SLOTS];
    tracker last[SLOTS];
    int rc;
    weir_summary summary;
    char message[480];
    long kill_left; /* kill points until the engine ends; 0: never */
    char killed_at[40];
    bool bad, verbose;
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
#else
static void fake_names(int slot, char port, char text[TEXT])
{
    names_text(&graph, &graph.nodes[slot], port, text);
}

static bool fake_crashes(void)
{
    if (sim->crash_at == 0 || --sim->crash_at > 0) return false;
    return sim->crashed = sim->no_targets = true;
}
#endif

static void fake_performed(int slot, const tracker *t, bool ok)
{
    meddle();
    sim->last[slot] = *t;
    sim->performed[slot] = true;
    sim->tries[slot]++;
    sim->executions++;
    if (found_fresh_file(slot, t)) sim->free[slot] = true;
    if (t->makers & ~sim->known[slot]) sim->free[slot] = true;
    if (sim->verbose) note("#     performed %d%s\n", slot, ok ? "" : " and failed");
}

static void on_event(void *ctx, const weir_event *e)
{
    (void)ctx;
    int slot = e->node && *e->node ? atoi(e->node + 1) : 0;
    if (e->kind == WEIR_EVENT_STARTED && ++sim->starts == sim->interrupt_at)
        for (int i = 0; i < sim->interrupts; i++) weir_interrupt(sim->w);
    if (e->kind == WEIR_EVENT_FINISHED && strcmp(e->outcome, "ran") == 0) {
        sim->ran[slot]++;
        sim->known[slot] = sim->last[slot].makers;
        sim->ghosts[slot] = (uint32_t)sim->last[slot].ghosts;
    } else if (e->kind == WEIR_EVENT_FINISHED) {
        sim->failed[slot]++;
        if (e->message && strcmp(e->message, "interrupted") == 0) sim->stopped[slot] = true;
        if (sim->verbose) note("#     %s: %s\n", e->node, e->message);
    }
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "restored") == 0 && !sim->dry) {
        if (sim->meddled) sim->shaky[slot] = true; /* another content than was foretold */
        sim->known[slot] = sim->clean.nodes[slot].reads.makers;
        sim->ghosts[slot] = (uint32_t)sim->clean.nodes[slot].reads.ghosts;
    }
    if ((e->kind == WEIR_EVENT_FINISHED || e->kind == WEIR_EVENT_SETTLED) && !sim->dry) sim->was_anew[slot] |= sim->anew[slot], sim->anew[slot] = false;
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "failed") == 0) sim->told[slot] = true;
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "blocked") == 0) sim->was_blocked[slot] = true;
    if (e->kind == WEIR_EVENT_WOULD_RUN) sim->would[slot] = true;
    if (e->kind == WEIR_EVENT_MAYBE) sim->maybe[slot] = true;
    if (e->kind == WEIR_EVENT_SETTLED && sim->verbose) note("#     %s %s\n", e->node, e->outcome);
    if (e->kind == WEIR_EVENT_DIAGNOSTIC) note("#     (%s)\n", e->diagnostic->message);
    if (e->kind == WEIR_EVENT_MESSAGE && sim->verbose) note("#     (%s)\n", e->message);
}

/* --- declaring ---------------------------------------------------------------------------------------------------------- */

typedef struct ref_space {
    char names[8][40], paths[8][PATH], ports[8][2];
} ref_space;

static void make_refs(const sim_ref *from, int count, weir_ref *to, ref_space *space)
{
    for (int k = 0; k < count; k++) {
        const sim_ref *r = &from[k];
        if (r->kind == REF_FILE || r->kind == REF_MADE) {
            to[k] = (weir_ref){.file = ref_path(&graph, r, space->paths[k])};
            continue;
        }
        snprintf(space->names[k], 40, "%c%d[id=%d]", graph.nodes[r->index].letter, r->index, r->index);
        space->ports[k][0] = r->port;
        to[k] = (weir_ref){.node = space->names[k], .port = r->kind == REF_OUTPUT ? space->ports[k] : NULL};
    }
}

static size_t make_command(const sim_node *n, int slot, const char *depfile, const char **argv, char text[400])
{
    static char numbers[3][16];
    size_t count = 0;
    snprintf(numbers[0], 16, "%d", slot);
    snprintf(numbers[1], 16, "%d", n->kind);
    snprintf(numbers[2], 16, "%d", n->variant);
    argv[count++] = "tools/sim";
    for (int i = 0; i < 3; i++) argv[count++] = numbers[i];
    argv[count++] = depfile ? depfile : "-";
    argv[count++] = "--in";
    if (n->c_count) argv[count++] = "{{c}}";
    argv[count++] = "--out";
    argv[count++] = "{{a}}";
    if (has_b(n)) argv[count++] = "{{b}}";
    argv[count] = NULL;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) snprintf(text + strlen(text), 400 - strlen(text), "%s%s", i ? " " : "", argv[i]);
    return count;
}

static const char *refs_text(const weir_ref *r)
{
    return r->file ? r->file : r->node;
}

static void declare(int slot)
{
    const sim_node *n = &graph.nodes[slot];
    weir_error err = {0};
    weir_ref refs[3][8];
    ref_space space[3];
    weir_node_input inputs[3];
    weir_node_output outputs[2];
    char path[2][PATH], name[16], params[24], depfile[PATH], text[400];
    const char *argv[16];
    size_t in = 0, out = 0;
    memset(space, 0, sizeof space);
    make_refs(n->c, n->c_count, refs[0], &space[0]);
    make_refs(n->v, n->v_count, refs[1], &space[1]);
    sim_ref x = {.kind = REF_FILE, .index = n->x};
    if (n->x >= 0) make_refs(&x, 1, refs[2], &space[2]);
    if (n->c_count) inputs[in++] = (weir_node_input){"c", refs[0], (size_t)n->c_count, n->is_list};
    if (n->v_count) inputs[in++] = (weir_node_input){"v", refs[1], (size_t)n->v_count, 1};
    if (n->x >= 0) inputs[in++] = (weir_node_input){"x", refs[2], 1, 0};
    if (has_a(n)) outputs[out++] = (weir_node_output){"a", made_path(&graph, slot, 'a', path[0])};
    if (has_b(n)) outputs[out++] = (weir_node_output){"b", made_path(&graph, slot, 'b', path[1])};
    snprintf(name, sizeof name, "%c%d", n->letter, slot);
    snprintf(params, sizeof params, "{\"id\":%d}", slot);
    snprintf(depfile, sizeof depfile, "d/%d.d", slot);
    weir_node node = {.size = sizeof node, .name = name, .effect = n->command ? "sh" : fake_effect_name(n), .params = params, .inputs = inputs,
                      .input_count = in, .outputs = outputs, .output_count = out};
    if (n->command) {
        node.depfile = n->kind == KIND_INCLUDE ? depfile : NULL;
        make_command(n, slot, node.depfile, argv, text);
        if (n->shell) node.shell = text;
        else node.command = argv;
    }
    uint64_t spec = mix_text(mix_text(mix_text(1, name), node.effect), node.command || node.shell ? text : "");
    for (size_t i = 0; i < in; i++)
        for (size_t k = 0; k < inputs[i].count; k++) spec = mix_text(mix_text(spec, refs_text(&inputs[i].refs[k])), inputs[i].refs[k].port ? inputs[i].refs[k].port : "");
    for (size_t i = 0; i < out; i++) spec = mix_text(spec, outputs[i].path);
    if (spec != sim->spec[slot]) sim->anew[slot] = true;
    sim->spec[slot] = spec;
    if (weir_declare(sim->w, &node, NULL, &err) != 0) wrong("declare %d: %s", slot, err.message);
}

/* --- the engine --------------------------------------------------------------------------------------------------------- */

static void engine_open(void)
{
    weir_error err = {0};
    weir_options o = {.size = sizeof o, .root = sim->root, .effects = fake_table, .listener = on_event};
    if (weir_open(&sim->w, &o, &err) != 0) {
        fprintf(stderr, "open: %s\n", err.message);
        abort();
    }
}

static void check_record(void)
{
    weir_error err = {0};
    db *d = NULL;
    char path[400];
    uint64_t differences = 0, events = 0;
    snprintf(path, sizeof path, "%s/.weir/weir.db", sim->root);
    if (access(path, F_OK) != 0) return; /* nothing ran yet */
    int dir = openat(sim->rootfd, ".weir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = db_open(&d, path, DB_READ, NULL, &err);
    if (rc == 0) rc = fold_check(d, NULL, NULL, &differences, &err);
    if (rc == 0) rc = log_verify(d, dir, &events, &err);
    if (rc != 0) wrong("the record: %s", err.message);
    if (differences) wrong("%llu differences between the state and the fold of the log", (unsigned long long)differences);
    db_close(d);
    close(dir);
}

static void drop_cache(void)
{
    weir_error err = {0};
    db *d = NULL;
    char path[400];
    bool stale = false;
    snprintf(path, sizeof path, "%s/.weir/weir.db", sim->root);
    if (access(path, F_OK) != 0) return;
    int rc = db_open(&d, path, DB_WRITE, &stale, &err);
    if (rc == 0) rc = db_exec(d, "DELETE FROM cache_folder; DELETE FROM cache_glob; DELETE FROM cache_meta", &err);
    if (rc != 0) wrong("dropping the cache: %s", err.message);
    db_close(d);
}

/* --- one run, foretold and judged ---------------------------------------------------------------------------------------- */

static bool is_tainted(uint64_t key)
{
    for (int i = 0; i < sim->taint_count; i++)
        if (sim->taints[i] == key) return true;
    return false;
}

static bool source_is_missing(void)
{
    for (int s = 0; s < SLOTS; s++) {
        const sim_node *n = &graph.nodes[s];
        if (!n->present) continue;
        if (n->x >= 0 && x_is_file(n) && !graph.sources[n->x].present) return true;
        for (int k = 0; k < n->c_count && !n->is_glob; k++)
            if (n->c[k].kind == REF_FILE && !graph.sources[n->c[k].index].present) return true;
    }
    return false;
}

/* `perhaps`: what an unsure node would read, if it gets that far. */
static void want(int slot, bool perhaps)
{
    bool *wanted = perhaps ? sim->perhaps : sim->wanted;
    if (wanted[slot]) return;
    wanted[slot] = true;
    const clean_node *c = &sim->clean.nodes[slot];
    uint32_t above = declared_makers(&graph, slot) | sim->known[slot];
    if ((!c->blocked || c->barred) && (perhaps || !c->unsure)) above |= c->reads.makers;
    for (int i = 0; i < SLOTS; i++) {
        const sim_node *n = &graph.nodes[i];
        bool made_now = (sim->ghosts[slot] >> i & 1) && n->folder == 'o' && has_a(n);
        if (n->present && (made_now || (above >> i & 1))) want(i, perhaps);
    }
}

static void find_sources(sim_node *n)
{
    n->c_count = 0;
    for (int i = 0; i < 4; i++)
        if (graph.sources[i].present) n->c[n->c_count++] = (sim_ref){.kind = REF_FILE, .index = i};
    n->is_list = true;
}

/* What is not there (any more) is not named. */
static void drop_loose_ends(void)
{
    for (int s = 0; s < SLOTS; s++) {
        sim_node *n = &graph.nodes[s];
        int kept = 0, values = 0;
        if (n->is_glob) find_sources(n);
        for (int k = 0; k < n->c_count; k++) {
            sim_ref r = n->c[k];
            const sim_node *up = r.kind == REF_FILE ? NULL : &graph.nodes[r.index];
            if (up && (r.index >= s || !up->present || !has_a(up) || (r.kind == REF_NODE && has_b(up)))) continue;
            if (up && r.port == 'b' && !has_b(up)) r.port = 'a';
            n->c[kept++] = r;
        }
        for (int k = 0; k < n->v_count; k++)
            if (n->v[k].index < s && graph.nodes[n->v[k].index].present && has_value(&graph.nodes[n->v[k].index])) n->v[values++] = n->v[k];
        n->c_count = kept;
        n->v_count = values;
        if (kept != 1) n->is_list = true;
    }
}

static void foretell(bool force, bool limited)
{
    char path[PATH];
    drop_loose_ends();
    sim->stale = 0;
    for (int s = 0; s < SLOTS; s++) {
        snprintf(path, sizeof path, "o/%d.a", s);
        const sim_node *n = &graph.nodes[s];
        if (!(n->present && n->folder == 'o' && has_a(n)) && faccessat(sim->rootfd, path, F_OK, 0) == 0) sim->stale |= 1ULL << s;
    }
    clean_compute(&sim->clean, &graph, sim->stale);
    memset(sim->wanted, 0, sizeof sim->wanted);
    memset(sim->perhaps, 0, sizeof sim->perhaps);
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].present && (!limited || sim->named[s])) want(s, false), want(s, true);
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        bool runs = !c->blocked || c->barred;
        sim->expected[s] = sim->wanted[s] && runs && (!memo_has(&sim->memo, c->key, &c->reads, c->barred) || (force && (!limited || sim->named[s])));
    }
    memset(sim->ran, 0, sizeof sim->ran);
    memset(sim->failed, 0, sizeof sim->failed);
    memset(sim->told, 0, sizeof sim->told);
    memset(sim->stopped, 0, sizeof sim->stopped);
    memset(sim->free, 0, sizeof sim->free);
    memset(sim->performed, 0, sizeof sim->performed);
    memset(sim->tries, 0, sizeof sim->tries);
    memset(sim->was_anew, 0, sizeof sim->was_anew);
    memset(sim->was_blocked, 0, sizeof sim->was_blocked);
    sim->starts = 0;
}

static void find_loose(const uint32_t known[SLOTS])
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        sim->loose[s] = sim->free[s] || (sim->was_anew[s] && c->reads.makers != 0) || sim->shaky[s] || c->unsure || (sim->perhaps[s] && !sim->wanted[s]);
        uint32_t above = declared_makers(&graph, s) | known[s] | c->reads.makers;
        for (int i = 0; i < s; i++)
            if ((above >> i & 1) && sim->loose[i]) sim->loose[s] = true;
    }
}

/* The memo learns what ran, and what failed. */
static void learn(void)
{
    for (int s = 0; s < SLOTS; s++) {
        bool fails = sim->failed[s] && sim->performed[s] && !sim->stopped[s], barred = sim->clean.nodes[s].barred && sim->performed[s];
        if (!sim->ran[s] && !fails && !barred) continue;
        if (fails && sim->crashed && !sim->meddled && !sim->clean.nodes[s].failed) continue; /* it died */
        uint64_t key = sim->clean.nodes[s].key;
        if (!sim->loose[s] && !sim->meddled && !(fails && sim->crashed))
            memo_learn(&sim->memo, key, barred ? &sim->clean.nodes[s].reads : &sim->last[s], barred);
        else if (!is_tainted(key) && sim->taint_count < TAINTS) sim->taints[sim->taint_count++] = key;
    }
}

static void judge_counts(bool cut_short, bool again)
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        int count = c->barred ? sim->tries[s] : sim->ran[s] + (cut_short ? 0 : sim->failed[s]);
        if (c->barred && !c->unsure && !cut_short && sim->wanted[s] && !sim->was_blocked[s]) wrong("node %d reads what could not be made and is not blocked", s);
        if (!graph.nodes[s].present) {
            if (count) wrong("node %d is not there and ran", s);
            continue;
        }
        if (again && !c->unsure && !((c->failed || c->barred) && sim->expected[s])) {
            if (count) wrong("node %d ran again in a second run", s);
            continue;
        }
        if (c->unsure || sim->loose[s]) {
            if (count > 8) wrong("node %d ran %d times", s, count);
            continue;
        }
        bool vague = is_tainted(c->key) || cut_short;
        bool perhaps = c->barred && graph.nodes[s].command; /* it may have read something else along with it */
#ifdef SIM_REAL
        vague |= c->barred; /* such an attempt is not told */
#endif
        if (count > (sim->expected[s] || perhaps || is_tainted(c->key) ? 1 : 0)) wrong("node %d ran %d times, expected %d", s, count, sim->expected[s]);
        if (!vague && count < (sim->expected[s] ? 1 : 0)) wrong("node %d did not run", s);
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
        if (!n->present || !sim->wanted[s] || c->unsure || c->failed || c->blocked) continue;
        if (has_a(n)) judge_file(s, 'a', c->out.a), sim->hand[s][n->folder == 'p'][0] = false;
        if (has_b(n)) judge_file(s, 'b', c->out.b), sim->hand[s][n->folder == 'p'][1] = false;
    }
}

/* After a full run without failures nothing is left of what nobody makes any more. */
static void judge_vanished(void)
{
    int present = 0;
    for (int s = 0; s < SLOTS; s++) present += graph.nodes[s].present;
    if (present == 0) return; /* nothing declared from C: the graph of before */
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

static void declare_all(void)
{
    weir_declare_clear(sim->w);
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].present) declare(s);
}

/* Does a node that will run lie above it? */
static bool is_behind(int slot)
{
    uint32_t above = declared_makers(&graph, slot) | sim->known[slot] | sim->clean.nodes[slot].reads.makers;
    for (int i = 0; i < slot; i++)
        if ((above >> i & 1) && (sim->expected[i] || sim->clean.nodes[i].blocked || is_behind(i))) return true;
    return false;
}

/*
 * A dry run says what will run, and no more where nothing above it runs; of users of such nodes it may say maybe. It cannot know of
 * reads that are still to be discovered.
 */
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
        discovers |= (t->makers & ~sim->known[s]) != 0;
        discovers |= p->limited && (sim->expected[s] || sim->anew[s]) && (t->makers | sim->known[s]) != 0; /* declared anew: what it was known to read is forgotten */
    }
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        if (sim->ran[s]) wrong("node %d ran in a dry run", s);
        if (sim->loose[s] || is_tainted(c->key)) continue;
        if (sim->would[s] && !sim->expected[s] && !c->blocked && !is_behind(s)) wrong("node %d will not run, a dry run says it would", s);
        if (sim->expected[s] && !sim->would[s] && !sim->maybe[s] && !discovers) wrong("node %d will run, a dry run does not say so", s);
    }
}

static void run_engine(const run_plan *p)
{
    weir_error err = {0};
    declare_all();
    weir_request r = {.size = sizeof r, .jobs = p->jobs, .flags = p->force ? WEIR_RUN_FORCE : 0, .targets = p->targets, .target_count = p->target_count};
    sim->summary = (weir_summary){.size = sizeof sim->summary};
    sim->rc = weir_run(sim->w, &r, &sim->summary, &err);
    snprintf(sim->message, sizeof sim->message, "%s", err.message);
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
    if (sim->meddled || sim->crashed) return; /* the next run has to make it good */
    judge_counts(cut_short, p->again);
    if (cut_short) return;
    bool fails = false, blocks = false;
    for (int s = 0; s < SLOTS; s++) {
        if (!sim->wanted[s]) continue;
        fails |= sim->clean.nodes[s].failed;
        blocks |= sim->clean.nodes[s].blocked;
    }
    if (!any_unsure() && sim->rc != (fails || blocks ? WEIR_FAILED : 0)) wrong("the run returned %d", sim->rc);
    judge_outputs();
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        if (sim->wanted[s] && !c->unsure && !c->failed && !c->blocked) {
            sim->known[s] = c->reads.makers;
            sim->ghosts[s] = (uint32_t)c->reads.ghosts;
        }
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
    memcpy(known, sim->known, sizeof known);
    sim->meddled = sim->crashed = sim->renamed = false;
    sim->runs++;
    run_engine(p);
    judge_run(p, known);
}

/* The same in a process of its own, which ends at the n-th kill point. */
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
        return;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != KILLED) wrong("the engine ended by itself (status %d)", status);
    note("#   killed at %s\n", sim->killed_at);
    sim->kills++;
    sim->no_targets = true;
    for (int s = 0; s < SLOTS; s++) {
        if (!sim->performed[s]) continue;
        sim->shaky[s] = true;
        sim->known[s] |= known[s];
        if (!is_tainted(sim->clean.nodes[s].key) && sim->taint_count < TAINTS) sim->taints[sim->taint_count++] = sim->clean.nodes[s].key;
    }
}

#endif
