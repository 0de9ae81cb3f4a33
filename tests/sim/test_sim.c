/*
 * test_sim.c - random projects, random changes, and after every run the question: is all as a clean run would have it, with the
 * least work?
 *
 * The engine is the real one, declared through weir.h; processes and workers are the fakes of fake.h, which finish in any order. A round is a
 * fresh project and some steps; a step changes a few things (or nothing), perhaps closes and opens the engine, and runs. Then:
 *
 *   - every wanted output equals the clean computation (clean.h)
 *   - a node ran exactly when no earlier execution with its key saw the same contents; at most once
 *   - a second run runs nothing but what fails
 *   - a dry run says what will run; an edit in the middle of a run is made good by the next one
 *   - every few steps: the state equals the fold of the log, and its chain holds
 *
 * Documented exceptions, told apart here: a node that for the first time reads what another node makes without declaring it may run more than
 * once, and so may its users (loose), and so may a command that names a file for the first time which is as young as the command itself;
 * what lies around without a maker, and undeclared reads of what failed, cannot be foretold (unsure).
 *
 * Each step draws from its own numbers, so that steps can be left out: a failure is made shorter and its steps are printed.
 *   WEIR_SEED=n         only this round          WEIR_SIM_STEPS=n   steps in all
 *   WEIR_SIM_ONLY=3,7   only these steps of it    WEIR_SIM_VERBOSE=1  print every step
 * At the end three lies of the fakes (fake_canary) have to be noticed.
 *
 * The order in which the fakes finish follows the seed as well, but for the pool of threads that the engine looks at files with.
 */
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/store/fold.h"
#include "engine/store/log.h"
#include "engine/weir.h"
#include "tests/check.h"
#include "tests/sim/clean.h"
#include "tests/sim/fake.h"

enum { ROUND_STEPS = 30, TAINTS = 512, HISTORY = 1 << 20 };

static struct sim {
    weir *w;
    char root[300];
    int rootfd;
    uint64_t rng, fake_rng;
    memo memo;
    uint64_t taints[TAINTS]; /* keys of which the memo may know less or more */
    int taint_count;
    uint32_t known[SLOTS], ghosts[SLOTS]; /* as recorded: whose outputs are read undeclared; what was read and nobody made then */
    bool hand[SLOTS][2][2]; /* changed by hand: folder, port */
    uint64_t stale;
    clean_run clean;
    /* of a run */
    int ran[SLOTS], failed[SLOTS], starts, interrupt_at, interrupts;
    int meddle_at, meddle_source; /* edit this source before that execution; 0: no */
    const char *meddle_text;
    bool meddled, no_targets, renamed, would[SLOTS], maybe[SLOTS];
    bool free[SLOTS], loose[SLOTS], wanted[SLOTS], expected[SLOTS], named[SLOTS];
    tracker last[SLOTS];
    bool bad;
    char history[HISTORY];
    size_t history_size;
    bool verbose;
} sim;

/* --- numbers and words ------------------------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t fake_random(void)
{
    return next_random(&sim.fake_rng);
}

static int pick(int n)
{
    return (int)(next_random(&sim.rng) % (uint64_t)n);
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t left = HISTORY - sim.history_size;
    int n = vsnprintf(sim.history + sim.history_size, left, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < left) {
        if (sim.verbose) fputs(sim.history + sim.history_size, stderr);
        sim.history_size += (size_t)n;
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
    sim.bad = true;
    note("    WRONG: %s\n", text);
}

/* --- what the fakes and the engine tell ------------------------------------------------------------------------------- */

static void fake_names(int slot, char port, char text[TEXT])
{
    names_text(&graph, &graph.nodes[slot], port, text);
}

/* A command names a file that is hardly older than itself, perhaps for the first time: the engine cannot know which content it saw. */
static bool found_fresh_file(int slot, const tracker *t)
{
    for (int i = 0; i < t->count && graph.nodes[slot].command; i++) {
        struct stat st;
        if (t->reads[i].group == 0 || t->reads[i].id[0] != 's') continue;
        if (fstatat(sim.rootfd, t->reads[i].id, &st, 0) != 0) continue;
        if (single_is_now(&st.st_ctim) || single_is_now(&st.st_mtim)) return true;
    }
    return false;
}

/* Somebody edits a source in the middle of a run. */
static void meddle(void)
{
    char path[PATH];
    if (sim.meddle_at == 0 || --sim.meddle_at > 0 || !graph.sources[sim.meddle_source].present) return;
    snprintf(graph.sources[sim.meddle_source].text, TEXT, "%s", sim.meddle_text);
    write_text(sim.rootfd, source_path(&graph, sim.meddle_source, path), sim.meddle_text);
    sim.meddled = sim.no_targets = true;
    note("    (meanwhile source %d becomes \"%s\")\n", sim.meddle_source, sim.meddle_text);
}

static void fake_performed(int slot, const tracker *t, bool ok)
{
    meddle();
    sim.last[slot] = *t;
    if (found_fresh_file(slot, t)) sim.free[slot] = true;
    if (t->makers & ~sim.known[slot]) sim.free[slot] = true;
    if (sim.verbose) note("      performed %d%s\n", slot, ok ? "" : " and failed");
}

static void on_event(void *ctx, const weir_event *e)
{
    (void)ctx;
    int slot = e->node && *e->node ? atoi(e->node + 1) : 0;
    if (e->kind == WEIR_EVENT_STARTED && ++sim.starts == sim.interrupt_at)
        for (int i = 0; i < sim.interrupts; i++) weir_interrupt(sim.w);
    if (e->kind == WEIR_EVENT_FINISHED && strcmp(e->outcome, "ran") == 0) {
        sim.ran[slot]++;
        sim.known[slot] = sim.last[slot].makers;
        sim.ghosts[slot] = (uint32_t)sim.last[slot].ghosts;
    } else if (e->kind == WEIR_EVENT_FINISHED) {
        sim.failed[slot]++;
        if (sim.verbose) note("      %s: %s\n", e->node, e->message);
    }
    if (e->kind == WEIR_EVENT_SETTLED && strcmp(e->outcome, "restored") == 0) {
        sim.known[slot] = sim.clean.nodes[slot].reads.makers;
        sim.ghosts[slot] = (uint32_t)sim.clean.nodes[slot].reads.ghosts;
    }
    if (e->kind == WEIR_EVENT_WOULD_RUN) sim.would[slot] = true;
    if (e->kind == WEIR_EVENT_MAYBE) sim.maybe[slot] = true;
    if (e->kind == WEIR_EVENT_SETTLED && sim.verbose) note("      %s %s\n", e->node, e->outcome);
    if (e->kind == WEIR_EVENT_DIAGNOSTIC) note("      (%s)\n", e->diagnostic->message);
    if (e->kind == WEIR_EVENT_MESSAGE && sim.verbose) note("      (%s)\n", e->message);
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
    static char numbers[3][8];
    size_t count = 0;
    snprintf(numbers[0], 8, "%d", slot);
    snprintf(numbers[1], 8, "%d", n->kind);
    snprintf(numbers[2], 8, "%d", n->variant);
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

static void declare(int slot)
{
    const sim_node *n = &graph.nodes[slot];
    weir_error err = {0};
    weir_ref refs[3][8];
    ref_space space[3];
    weir_node_input inputs[3];
    weir_node_output outputs[2];
    char path[2][PATH], name[8], params[20], depfile[PATH], text[400];
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
    if (weir_declare(sim.w, &node, NULL, &err) != 0) wrong("declare %d: %s", slot, err.message);
}

/* --- the engine --------------------------------------------------------------------------------------------------------- */

static void engine_open(void)
{
    weir_error err = {0};
    weir_options o = {.size = sizeof o, .root = sim.root, .effects = fake_table, .listener = on_event};
    if (weir_open(&sim.w, &o, &err) != 0) {
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
    snprintf(path, sizeof path, "%s/.weir/weir.db", sim.root);
    int dir = openat(sim.rootfd, ".weir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
    snprintf(path, sizeof path, "%s/.weir/weir.db", sim.root);
    if (access(path, F_OK) != 0) return;
    int rc = db_open(&d, path, DB_WRITE, &stale, &err);
    if (rc == 0) rc = db_exec(d, "DELETE FROM cache_folder; DELETE FROM cache_glob; DELETE FROM cache_meta", &err);
    if (rc != 0) wrong("dropping the cache: %s", err.message);
    db_close(d);
}

/* --- one run, foretold and judged ---------------------------------------------------------------------------------------- */

static bool is_tainted(uint64_t key)
{
    for (int i = 0; i < sim.taint_count; i++)
        if (sim.taints[i] == key) return true;
    return false;
}

static bool source_is_missing(void)
{
    for (int s = 0; s < SLOTS; s++) {
        const sim_node *n = &graph.nodes[s];
        if (!n->present) continue;
        if (n->x >= 0 && !graph.sources[n->x].present) return true;
        for (int k = 0; k < n->c_count; k++)
            if (n->c[k].kind == REF_FILE && !graph.sources[n->c[k].index].present) return true;
    }
    return false;
}

static void want(int slot)
{
    if (sim.wanted[slot]) return;
    sim.wanted[slot] = true;
    const clean_node *c = &sim.clean.nodes[slot];
    uint32_t above = declared_makers(&graph, slot) | sim.known[slot];
    if (!c->blocked) above |= c->reads.makers;
    for (int i = 0; i < SLOTS; i++) {
        const sim_node *n = &graph.nodes[i];
        bool made_now = (sim.ghosts[slot] >> i & 1) && n->folder == 'o' && has_a(n);
        if (n->present && (made_now || (above >> i & 1))) want(i);
    }
}

static void foretell(bool force, bool limited)
{
    char path[PATH];
    sim.stale = 0;
    for (int s = 0; s < SLOTS; s++) {
        snprintf(path, sizeof path, "o/%d.a", s);
        const sim_node *n = &graph.nodes[s];
        if (!(n->present && n->folder == 'o' && has_a(n)) && faccessat(sim.rootfd, path, F_OK, 0) == 0) sim.stale |= 1ULL << s;
    }
    clean_compute(&sim.clean, &graph, sim.known, sim.stale);
    memset(sim.wanted, 0, sizeof sim.wanted);
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].present && (!limited || sim.named[s])) want(s);
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim.clean.nodes[s];
        sim.expected[s] = sim.wanted[s] && !c->blocked && (!memo_has(&sim.memo, c->key, &c->reads) || (force && (!limited || sim.named[s])));
    }
    memset(sim.ran, 0, sizeof sim.ran);
    memset(sim.failed, 0, sizeof sim.failed);
    memset(sim.free, 0, sizeof sim.free);
    sim.starts = 0;
}

static void find_loose(const uint32_t known[SLOTS])
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim.clean.nodes[s];
        sim.loose[s] = sim.free[s] || c->unsure;
        uint32_t above = declared_makers(&graph, s) | known[s] | c->reads.makers;
        for (int i = 0; i < s; i++)
            if ((above >> i & 1) && sim.loose[i]) sim.loose[s] = true;
    }
}

/* The memo learns what ran. */
static void learn(void)
{
    for (int s = 0; s < SLOTS; s++) {
        if (!sim.ran[s]) continue;
        uint64_t key = sim.clean.nodes[s].key;
        if (!sim.loose[s] && !sim.meddled) memo_learn(&sim.memo, key, &sim.last[s]);
        else if (!is_tainted(key) && sim.taint_count < TAINTS) sim.taints[sim.taint_count++] = key;
    }
}

static void judge_counts(bool cut_short, bool again)
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim.clean.nodes[s];
        int count = sim.ran[s] + (cut_short ? 0 : sim.failed[s]);
        if (!graph.nodes[s].present) {
            if (count) wrong("node %d is not there and ran", s);
            continue;
        }
        if (again && !c->unsure && !c->failed) {
            if (count) wrong("node %d ran again in a second run", s);
            continue;
        }
        if (c->unsure || sim.loose[s]) {
            if (count > 8) wrong("node %d ran %d times", s, count);
            continue;
        }
        bool vague = is_tainted(c->key) || cut_short;
        if (count > (sim.expected[s] || is_tainted(c->key) ? 1 : 0)) wrong("node %d ran %d times, expected %d", s, count, sim.expected[s]);
        if (!vague && count < (sim.expected[s] ? 1 : 0)) wrong("node %d did not run", s);
        if (!cut_short && c->failed && !sim.failed[s] && sim.wanted[s]) wrong("node %d should have failed", s);
    }
}

static void judge_file(int slot, char port, const char *expected)
{
    char path[PATH], text[TEXT];
    read_text(sim.rootfd, made_path(&graph, slot, port, path), text);
    if (strcmp(text, expected) != 0) wrong("%s holds \"%s\", a clean run makes \"%s\"", path, text, expected);
}

static bool any_unsure(void)
{
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].present && sim.clean.nodes[s].unsure) return true;
    return false;
}

static void judge_outputs(void)
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim.clean.nodes[s];
        const sim_node *n = &graph.nodes[s];
        if (!n->present || !sim.wanted[s] || c->unsure || c->failed || c->blocked) continue;
        if (has_a(n)) judge_file(s, 'a', c->out.a);
        if (has_b(n)) judge_file(s, 'b', c->out.b);
        sim.hand[s][n->folder == 'p'][0] = sim.hand[s][n->folder == 'p'][1] = false;
    }
}

/* After a full run without failures nothing is left of what nobody makes any more. */
static void judge_vanished(void)
{
    for (int s = 0; s < SLOTS; s++)
        for (int i = 0; i < 4; i++) {
            char path[PATH];
            const sim_node *n = &graph.nodes[s];
            snprintf(path, sizeof path, "%c/%d.%c", i & 1 ? 'p' : 'o', s, i & 2 ? 'b' : 'a');
            bool made = n->present && (n->folder == 'p') == (i & 1) && (i & 2 ? has_b(n) : has_a(n));
            if (!made && !sim.hand[s][i & 1][i >> 1] && faccessat(sim.rootfd, path, F_OK, 0) == 0) wrong("%s is still there", path);
        }
}

typedef struct run_plan {
    int jobs;
    bool force, limited, again;
    const char *targets[4];
    size_t target_count;
} run_plan;

static void declare_all(void)
{
    weir_declare_clear(sim.w);
    for (int s = 0; s < SLOTS; s++)
        if (graph.nodes[s].present) declare(s);
}

/* Does a node that will run lie above it? */
static bool is_behind(int slot)
{
    uint32_t above = declared_makers(&graph, slot) | sim.known[slot] | sim.clean.nodes[slot].reads.makers;
    for (int i = 0; i < slot; i++)
        if ((above >> i & 1) && (sim.expected[i] || sim.clean.nodes[i].blocked || is_behind(i))) return true;
    return false;
}

/*
 * A dry run says what will run, and no more where nothing above it runs; of users of such nodes it may say maybe. It cannot know of
 * reads that are still to be discovered.
 */
static void run_dry(const run_plan *p)
{
    weir_error err = {0};
    weir_summary summary = {.size = sizeof summary};
    if (source_is_missing()) return;
    foretell(p->force, p->limited);
    find_loose(sim.known);
    declare_all();
    memset(sim.would, 0, sizeof sim.would);
    memset(sim.maybe, 0, sizeof sim.maybe);
    weir_request r = {.size = sizeof r, .jobs = p->jobs, .flags = WEIR_RUN_DRY | (p->force ? WEIR_RUN_FORCE : 0), .targets = p->targets,
                      .target_count = p->target_count};
    int rc = weir_run(sim.w, &r, &summary, &err);
    note("    run -n: %d would run, %d maybe; %d (%s)\n", (int)summary.would_run, (int)summary.maybe, rc, err.message);
    if (rc != 0 || summary.run != 0) wrong("the dry run returned %d", rc);
    bool discovers = sim.renamed; /* who reads a node under its new name is not known either */
    for (int s = 0; s < SLOTS; s++) discovers |= (sim.clean.nodes[s].reads.makers & ~sim.known[s]) != 0;
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim.clean.nodes[s];
        if (sim.ran[s]) wrong("node %d ran in a dry run", s);
        if (sim.loose[s] || is_tainted(c->key)) continue;
        if (sim.would[s] && !sim.expected[s] && !c->blocked && !is_behind(s)) wrong("node %d will not run, a dry run says it would", s);
        if (sim.expected[s] && !sim.would[s] && !sim.maybe[s] && !discovers) wrong("node %d will run, a dry run does not say so", s);
    }
}

static void run_once(const run_plan *p)
{
    weir_error err = {0};
    weir_summary summary = {.size = sizeof summary};
    uint32_t known[SLOTS];
    foretell(p->force, p->limited);
    memcpy(known, sim.known, sizeof known);
    declare_all();
    sim.meddled = sim.renamed = false;
    weir_request r = {.size = sizeof r, .jobs = p->jobs, .flags = p->force ? WEIR_RUN_FORCE : 0, .targets = p->targets, .target_count = p->target_count};
    int rc = weir_run(sim.w, &r, &summary, &err);
    int ran = 0;
    for (int s = 0; s < SLOTS; s++) ran += sim.ran[s];
    for (size_t i = 0; i < p->target_count; i++) note("    target %s\n", p->targets[i]);
    note("    run%s%s -j%d: %d ran, %d restored, %d failed, %d blocked; %d (%s)\n", p->force ? " --force" : "", p->limited ? " of targets" : "", p->jobs, ran,
         (int)summary.restored, (int)summary.failed, (int)summary.blocked, rc, err.message);
    if (source_is_missing()) {
        if (rc != WEIR_WORKFLOW || ran) wrong("a declared file is missing, and the run went on");
        return;
    }
    find_loose(known);
    learn();
    bool cut_short = sim.interrupt_at > 0 && rc == WEIR_CANCELLED;
    if (sim.meddled) return; /* the next run has to make it good */
    judge_counts(cut_short, p->again);
    if (cut_short) return;
    bool fails = false, blocks = false;
    for (int s = 0; s < SLOTS; s++) {
        if (!sim.wanted[s]) continue;
        fails |= sim.clean.nodes[s].failed;
        blocks |= sim.clean.nodes[s].blocked;
    }
    if (!any_unsure() && rc != (fails || blocks ? WEIR_FAILED : 0)) wrong("the run returned %d", rc);
    judge_outputs();
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim.clean.nodes[s];
        if (sim.wanted[s] && !c->unsure && !c->failed && !c->blocked) {
            sim.known[s] = c->reads.makers;
            sim.ghosts[s] = (uint32_t)c->reads.ghosts;
        }
    }
    if (!p->limited) sim.no_targets = false;
    if (!any_unsure() && rc == 0 && !p->limited) judge_vanished();
}

/* --- changes ------------------------------------------------------------------------------------------------------------- */

static const char *const texts[] = {"a", "ab", "abc", "abcd", "r1", "rx", "r@2", "@0", "@1b", "@A", "@B@C", "x@D@1", "@E", "!", "x!", "@3@4", "hello", "world@F", "@G@A"};

static void source_write(int i)
{
    char path[PATH];
    write_text(sim.rootfd, source_path(&graph, i, path), graph.sources[i].text);
    graph.sources[i].present = true;
}

static void edit_source(int i)
{
    snprintf(graph.sources[i].text, TEXT, "%s", texts[pick((int)(sizeof texts / sizeof *texts))]);
    source_write(i);
    note("  edit source %d: \"%s\"\n", i, graph.sources[i].text);
}

static void disturb_source(int i)
{
    char path[PATH], other[PATH];
    source_path(&graph, i, path);
    if (!graph.sources[i].present) return;
    switch (pick(4)) {
    case 0:
        utimensat(sim.rootfd, path, NULL, 0);
        note("  touch source %d\n", i);
        break;
    case 1:
        unlinkat(sim.rootfd, path, 0);
        source_write(i);
        note("  make source %d anew\n", i);
        break;
    case 2:
        graph.sources[i].renamed = !graph.sources[i].renamed;
        renameat(sim.rootfd, path, sim.rootfd, source_path(&graph, i, other));
        note("  rename source %d\n", i);
        break;
    default:
        if (pick(2)) return;
        unlinkat(sim.rootfd, path, 0);
        graph.sources[i].present = false;
        note("  remove source %d\n", i);
    }
}

static bool same_file(const sim_ref *a, const sim_ref *b)
{
    return (a->kind == REF_FILE) == (b->kind == REF_FILE) && a->index == b->index;
}

static void choose_inputs(int slot)
{
    sim_node *n = &graph.nodes[slot];
    n->c_count = n->v_count = 0;
    n->x = !n->command && pick(3) == 0 ? pick(SOURCES) : -1;
    int most = pick(4);
    for (int k = 0; k < most; k++) {
        sim_ref r = {.kind = REF_FILE, .index = pick(SOURCES)};
        int up = slot ? pick(slot) : 0;
        if (slot && graph.nodes[up].present && pick(4) && graph.nodes[up].shape != SHAPE_VALUE) {
            r.index = up;
            bool two = graph.nodes[up].shape == SHAPE_AB;
            r.port = two && pick(2) ? 'b' : 'a';
            r.kind = pick(2) ? REF_MADE : two || pick(2) ? REF_OUTPUT : REF_NODE;
        }
        bool twice = r.kind == REF_FILE && r.index == n->x;
        for (int i = 0; i < n->c_count; i++) twice |= same_file(&n->c[i], &r);
        if (!twice) n->c[n->c_count++] = r;
    }
    for (int k = 0; slot && !n->command && k < 2; k++) {
        int up = pick(slot);
        if (!graph.nodes[up].present || !has_value(&graph.nodes[up])) continue;
        if (n->v_count && n->v[0].index == up) continue;
        bool twice = false;
        for (int i = 0; i < n->c_count; i++) twice |= n->c[i].kind != REF_FILE && n->c[i].index == up;
        if (!twice) n->v[n->v_count++] = (sim_ref){.kind = REF_NODE, .index = up};
    }
    n->is_list = n->c_count != 1 || pick(2);
}

static void note_node(const char *what, int slot)
{
    const sim_node *n = &graph.nodes[slot];
    static const char *const kinds[] = {"concat", "first", "length", "constant", "include", "fail"};
    static const char *const shapes[] = {"a", "a b", "a value", "value"};
    note("  %s %c%d: %s %s%d -> %s (%c/)", what, n->letter, slot, n->command ? n->shell ? "shell" : "argv" : "effect", kinds[n->kind], n->variant, shapes[n->shape],
         n->folder);
    for (int k = 0; k < n->c_count; k++)
        note(" %s%d%c", n->c[k].kind == REF_FILE ? "s" : n->c[k].kind == REF_MADE ? "path:" : n->c[k].kind == REF_NODE ? "node:" : "out:", n->c[k].index,
             n->c[k].port ? n->c[k].port : ' ');
    for (int k = 0; k < n->v_count; k++) note(" value:%d", n->v[k].index);
    if (n->x >= 0) note(" x:s%d", n->x);
    note("%s\n", n->is_list ? " list" : "");
}

static void node_add(int slot)
{
    sim_node *n = &graph.nodes[slot];
    if (n->present) return;
    *n = (sim_node){.present = true, .command = pick(3) == 0, .shell = pick(3) == 0, .kind = pick(KINDS), .variant = pick(2), .letter = 'n', .folder = 'o', .x = -1};
    if (pick(3) == 0) n->kind = KIND_INCLUDE;
    n->shape = n->command ? pick(2) : pick(SHAPES);
    choose_inputs(slot);
    note_node("add", slot);
}

static void drop_refs(sim_ref *refs, int *count, int slot)
{
    int kept = 0;
    for (int k = 0; k < *count; k++)
        if (refs[k].kind == REF_FILE || refs[k].index != slot) refs[kept++] = refs[k];
    *count = kept;
}

static void node_remove(int slot)
{
    if (!graph.nodes[slot].present) return;
    graph.nodes[slot].present = false;
    sim.known[slot] = 0;
    for (int s = slot + 1; s < SLOTS; s++) {
        sim_node *n = &graph.nodes[s];
        drop_refs(n->c, &n->c_count, slot);
        drop_refs(n->v, &n->v_count, slot);
        if (n->c_count != 1) n->is_list = true;
    }
    note("  remove node %d\n", slot);
}

static void node_redefine(int slot)
{
    sim_node *n = &graph.nodes[slot];
    if (!n->present) return;
    switch (pick(6)) {
    case 0: n->variant = !n->variant; break;
    case 1: n->kind = pick(KINDS); break;
    case 2: choose_inputs(slot); break;
    case 3: n->letter = n->letter == 'n' ? 'm' : 'n'; sim.known[slot] = 0; sim.renamed = true; break;
    case 4: 
        n->folder = n->folder == 'o' ? 'p' : 'o';
        for (int s = 0; s < SLOTS; s++) sim.known[s] &= ~(1U << slot);
        break;
    default: n->shell = !n->shell; break;
    }
    note_node("redefine", slot);
}

static void disturb_output(int slot)
{
    const sim_node *n = &graph.nodes[slot];
    char path[PATH], port = has_b(n) && pick(2) ? 'b' : 'a';
    if (!n->present || !has_a(n)) return;
    made_path(&graph, slot, port, path);
    if (faccessat(sim.rootfd, path, F_OK, 0) != 0) return;
    sim.hand[slot][n->folder == 'p'][port == 'b'] = true;
    if (pick(2)) unlinkat(sim.rootfd, path, 0);
    else write_text(sim.rootfd, path, "by hand");
    note("  disturb %s\n", path);
}

static void change(void)
{
    switch (pick(12)) {
    case 0: case 1: case 2: case 3: edit_source(pick(SOURCES)); break;
    case 4: disturb_source(pick(SOURCES)); break;
    case 5: case 6: node_add(pick(SLOTS)); break;
    case 7: if (pick(2)) node_remove(pick(SLOTS)); break;
    case 8: case 9: node_redefine(pick(SLOTS)); break;
    default: disturb_output(pick(SLOTS)); break;
    }
}

/* --- steps ----------------------------------------------------------------------------------------------------------------- */

static void start_round(uint64_t seed)
{
    snprintf(sim.root, sizeof sim.root, "%s/round%ld", check_scratch(), (long)getpid());
    mkdir(sim.root, 0755);
    sim.rootfd = open(sim.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(sim.rootfd, "s", 0755);
    mkdirat(sim.rootfd, "tools", 0755);
    write_text(sim.rootfd, "tools/sim", "tool");
    fchmodat(sim.rootfd, "tools/sim", 0755, 0);
    memset(&graph, 0, sizeof graph);
    sim.rng = seed;
    single_later();
    for (int i = 0; i < SOURCES; i++) {
        snprintf(graph.sources[i].text, TEXT, "%s", texts[pick((int)(sizeof texts / sizeof *texts))]);
        source_write(i);
        note("  source %d: \"%s\"\n", i, graph.sources[i].text);
    }
    int nodes = 2 + pick(10);
    for (int i = 0; i < nodes; i++) node_add(pick(4) ? i : pick(SLOTS));
}

static void choose_targets(run_plan *p, char names[4][40])
{
    memset(sim.named, 0, sizeof sim.named);
    for (int tries = 0; tries < 3; tries++) {
        int s = pick(SLOTS);
        if (!graph.nodes[s].present || sim.named[s]) continue;
        snprintf(names[p->target_count], 40, "%c%d[id=%d]", graph.nodes[s].letter, s, s);
        p->targets[p->target_count] = names[p->target_count];
        p->target_count++;
        sim.named[s] = true;
        p->limited = true;
    }
}

static void step(uint64_t seed, int number)
{
    char names[4][40];
    sim.rng = seed + (uint64_t)number * 7919;
    sim.fake_rng = sim.rng ^ 0x5555;
    note("  -- step %d\n", number);
    if (pick(3) == 0) single_later();
    int changes = pick(4);
    for (int i = 0; i < changes; i++) change();
    if (source_is_missing() && pick(3))
        for (int i = 0; i < SOURCES; i++)
            if (!graph.sources[i].present) edit_source(i);
    bool restart = pick(4) == 0, drop = restart && pick(3) == 0;
    if (restart) {
        note("  restart%s\n", drop ? " without caches" : "");
        weir_close(sim.w);
        if (drop) drop_cache();
        engine_open();
    }
    run_plan p = {.jobs = 1 + pick(8), .force = pick(20) == 0};
    if (pick(5) == 0 && !sim.no_targets) choose_targets(&p, names);
    sim.meddle_source = pick(SOURCES);
    sim.meddle_text = texts[pick((int)(sizeof texts / sizeof *texts))];
    int meddle_at = pick(12) == 0 ? 1 + pick(4) : 0;
    if (pick(8) == 0) run_dry(&p);
    if (sim.bad) return;
    sim.meddle_at = meddle_at;
    sim.interrupt_at = pick(12) == 0 ? 1 + pick(4) : 0;
    sim.interrupts = 1 + pick(2);
    run_once(&p);
    bool cut_short = sim.interrupt_at > 0;
    sim.interrupt_at = sim.meddle_at = 0;
    if (!sim.bad && !cut_short && !sim.meddled && pick(2)) {
        p.force = false;
        p.again = true;
        run_once(&p);
    }
    if (!sim.bad && pick(6) == 0) check_record();
}

/* One round in a process of its own; the exit code says if all was well. */
static int round_here(uint64_t seed, int steps, const bool *skip)
{
    start_round(seed);
    engine_open();
    for (int i = 0; i < steps && !sim.bad; i++)
        if (!skip[i]) step(seed, i);
    check_record();
    weir_close(sim.w);
    if (sim.bad && !sim.verbose) fwrite(sim.history, 1, sim.history_size, stderr);
    free(sim.memo.rows);
    close(sim.rootfd);
    check_remove(AT_FDCWD, sim.root);
    fflush(stderr);
    return sim.bad ? 1 : 0;
}

/* What it says goes to `told`; NULL: to stderr. */
static bool round_fails(uint64_t seed, int steps, const bool *skip, const char *told)
{
    fflush(stderr);
    pid_t pid = fork();
    if (pid == 0) {
        if (told && !freopen(told, "w", stderr)) _exit(9);
        alarm(60);
        exit(round_here(seed, steps, skip));
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (!told && WIFSIGNALED(status)) fprintf(stderr, "  ended by signal %d\n", WTERMSIG(status));
    return status != 0;
}

/* Leave out steps while it still fails. */
static void shrink(uint64_t seed, int steps)
{
    bool skip[ROUND_STEPS] = {false};
    time_t limit = time(NULL) + 30;
    for (int last = steps; last > 0 && time(NULL) < limit; last--) { /* the steps behind the failure */
        memset(skip, 0, sizeof skip);
        if (!round_fails(seed, last - 1, skip, "/dev/null")) {
            steps = last;
            break;
        }
    }
    for (int i = steps - 2; i >= 0 && time(NULL) < limit; i--) {
        skip[i] = true;
        if (!round_fails(seed, steps, skip, "/dev/null")) skip[i] = false;
    }
    fprintf(stderr, "made shorter: WEIR_SEED=%llu WEIR_SIM_ONLY=", (unsigned long long)seed);
    for (int i = 0, first = 1; i < steps; i++)
        if (!skip[i]) fprintf(stderr, "%s%d", first ? "" : ",", i), first = 0;
    fprintf(stderr, "\n");
    if (round_fails(seed, steps, skip, NULL)) return;
    fprintf(stderr, "  ... does not fail every time; it did so:\n");
    char text[4000];
    FILE *in = fopen(check_path("told"), "r");
    if (in && fseek(in, -(long)sizeof text, SEEK_END) != 0) rewind(in);
    size_t size = in ? fread(text, 1, sizeof text, in) : 0;
    fwrite(text, 1, size, stderr);
    if (in) fclose(in);
}

static uint64_t number_of(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

/* WEIR_SIM_ONLY=3,7: all other steps are left out. */
static void skip_others(bool *skip)
{
    const char *text = getenv("WEIR_SIM_ONLY");
    if (!text || !*text) return;
    for (int i = 0; i < ROUND_STEPS; i++) skip[i] = true;
    for (char *end; *text; text = *end ? end + 1 : end) {
        long i = strtol(text, &end, 10);
        if (end == text) return;
        if (i >= 0 && i < ROUND_STEPS) skip[i] = false;
    }
}

/* Each lie of the fakes is noticed in a few rounds. */
static void check_canaries(const bool *none)
{
    for (fake_canary = 3; fake_canary > 0; fake_canary--) {
        bool noticed = false;
        for (uint64_t i = 1; i <= 12 && !noticed; i++) noticed = round_fails(i, ROUND_STEPS, none, "/dev/null");
        if (!CHECK(noticed)) fprintf(stderr, "canary %d sings\n", fake_canary);
    }
}

int main(void)
{
    bool none[ROUND_STEPS] = {false};
    skip_others(none);
    uint64_t seed = number_of("WEIR_SEED", 0), steps = number_of("WEIR_SIM_STEPS", 300);
    sim.verbose = number_of("WEIR_SIM_VERBOSE", 0) != 0;
    fake_effects_make();
    uint64_t rounds = seed ? 1 : (steps + ROUND_STEPS - 1) / ROUND_STEPS, failed = 0;
    for (uint64_t i = 0; i < rounds && failed < 3; i++) {
        uint64_t this = seed ? seed : 1 + i + 1000 * number_of("WEIR_SIM_BASE", 1);
        if (!CHECK(!round_fails(this, ROUND_STEPS, none, sim.verbose ? NULL : check_path("told")))) {
            failed++;
            fprintf(stderr, "WEIR_SEED=%llu fails\n", (unsigned long long)this);
            if (!sim.verbose && !getenv("WEIR_SIM_ONLY")) shrink(this, ROUND_STEPS);
        }
    }
    if (!seed && failed == 0) check_canaries(none);
    return check_done();
}
