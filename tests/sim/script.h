/*
 * script.h - what is done to a project, as lines of text. A line is made up by the generator (from the seed and the project as it is) or
 * comes from a file; either way script_play does it. So a failure is made shorter by leaving out lines, and what is left
 * is a test (tests/sim/kept).
 *
 *   write SOURCE TEXT      touch|anew|rename|remove SOURCE        sources
 *   node SLOT LETTER FOLDER KIND-OF-MAKER KIND VARIANT SHAPE LIST X [REF...]     s3: source; p2a, o2b: by path, by port; n4: node; v4: its value;
 *                                                                               x4: the nodes on its list; r2: retries
 *   (LIST: 2: the list is a glob)                                 version KIND: of its effects, 0 or 1 in turn
 *   drop SLOT   void SLOT  hand PATH [TEXT]                       nodes; an output written or removed by hand
 *   later   reopen   reopen-bare   check                          a second passes; engine anew (without caches); state against log
 *   run WORD...            j=3 seed=5 force again dry targets=1,4 meddle=2:3:TEXT interrupt=2x1 crash=2 kill=9
 *                                                               chance=3:1,7:2 (chance.h)
 */
#ifndef WEIR_TESTS_SIM_SCRIPT_H
#define WEIR_TESTS_SIM_SCRIPT_H

#include "tests/sim/judge.h"
#include "tests/sim/void.h"

/* --- doing ------------------------------------------------------------------------------------------------------------- */

static void source_write(int i)
{
    char path[PATH];
    write_text(sim->rootfd, source_path(&graph, i, path), graph.sources[i].text);
    graph.sources[i].present = true;
}

static void play_source(const char *verb, int i, const char *text)
{
    char path[PATH], other[PATH];
    sim_source *s = &graph.sources[i];
    source_path(&graph, i, path);
    if (strcmp(verb, "write") == 0) {
        memcpy(s->before, s->text, TEXT);
        snprintf(s->text, TEXT, "%.60s", text);
        source_write(i);
    } else if (!s->present) {
        return;
    } else if (strcmp(verb, "touch") == 0) {
        utimensat(sim->rootfd, path, NULL, 0);
    } else if (strcmp(verb, "anew") == 0) {
        unlinkat(sim->rootfd, path, 0);
        source_write(i);
    } else if (strcmp(verb, "rename") == 0 && i < STABLE) {
        s->renamed = !s->renamed;
        renameat(sim->rootfd, path, sim->rootfd, source_path(&graph, i, other));
    } else if (strcmp(verb, "remove") == 0 && i < STABLE) {
        unlinkat(sim->rootfd, path, 0);
        s->present = false;
    }
}

static void play_ref(sim_node *n, const char *word)
{
    if (word[0] == 'r') {
        n->retries = abs(atoi(word + 1)) % 3;
        return;
    }
    sim_ref r = {.index = atoi(word + 1) % SLOTS, .port = word[strlen(word) - 1]};
    if (r.port != 'a' && r.port != 'b') r.port = 0;
    switch (word[0]) {
    case 's': r.kind = REF_FILE; r.index %= SOURCES; break;
    case 'p': r.kind = REF_MADE; break;
    case 'o': r.kind = REF_OUTPUT; break;
    case 'x': r.kind = REF_ROWS; break;
    default: r.kind = REF_NODE; break;
    }
    if (word[0] == 'v' && n->v_count < 2) n->v[n->v_count++] = r;
    else if (word[0] != 'v' && n->c_count < 4) n->c[n->c_count++] = r;
}

/* No expand node any more: its nodes go with it. */
static void clear_rows(int slot)
{
    for (int k = slot + 1; k <= slot + ROWS && k < SLOTS; k++)
        if (graph.nodes[k].row) graph.nodes[k] = (sim_node){.letter = 'n', .folder = 'o', .x = -1};
}

static void play_node(int slot, char *rest)
{
    sim_node *old = &graph.nodes[slot], n = {.present = true};
    char maker[8], *word;
    int list = 0, used = 0;
    if (sscanf(rest, "%c %c %7s %d %d %d %d %d%n", &n.letter, &n.folder, maker, &n.kind, &n.variant, &n.shape, &list, &n.x, &used) != 8) return;
    n.is_list = list != 0;
    n.is_glob = list == 2;
    n.command = strcmp(maker, "effect") != 0;
    n.shell = strcmp(maker, "shell") == 0;
    while ((word = strtok_r(rest + used, " ", &rest)) != NULL) play_ref(&n, word), used = 0;
    if (row_parent(&graph, slot) >= 0) return;
    if (is_expand(&n) && (!may_expand(slot) || n.command || n.shape != SHAPE_VALUE)) return;
    if (n.kind == KIND_NEED && n.command) return;
    if (is_expand(&n)) n.retries = 0;
    if (is_expand(old) && !is_expand(&n)) clear_rows(slot);
    n.has_c = n.c_count > 0;
    if (!old->present || old->letter != n.letter || is_expand(old) != is_expand(&n)) {
        snprintf(sim->past.lists[slot], TEXT, "%s", "");
        sim->past.vague_lists &= ~(1U << slot);
        sim->known[slot] = sim->ghosts[slot] = 0;
    }
    if (!old->present || old->letter != n.letter) {
        sim->known[slot] = 0;
        sim->renamed = true;
    }
    for (int s = 0; s < SLOTS && !(n.folder == 'o' && has_a(&n)); s++) { /* who read its path reads one that nobody makes now */
        sim->ghosts[s] |= sim->known[s] & (1U << slot);
        sim->known[s] &= ~(1U << slot);
    }
    *old = n;
    sim->held[slot] = 0;
}

static void play_hand(const char *path, const char *text)
{
    int slot = atoi(path + 2);
    if (slot < 0 || slot >= SLOTS || faccessat(sim->rootfd, path, F_OK, 0) != 0) return;
    left_hand(slot, path[0] == 'p', path[strlen(path) - 1] == 'b', text);
    if (text) write_text(sim->rootfd, path, text);
    else unlinkat(sim->rootfd, path, 0);
}

static void add_target(run_plan *p, int s)
{
    int parent = s >= 0 && s < SLOTS ? row_parent(&graph, s) : -1;
    if (s < 0 || s >= SLOTS || !graph.nodes[s].present || p->target_count == 4) return;
    if (parent >= 0 && ((sim->past.vague_lists >> parent & 1) || !row_of(sim->past.lists[parent], s - parent))) return; /* it may not be known */
    snprintf(p->names[p->target_count], 40, "%c%d[id=%d]", graph.nodes[s].letter, s, s);
    p->targets[p->target_count] = p->names[p->target_count];
    p->target_count++;
    sim->named[s] = p->limited = true;
}

/* chance=SLOT:ATTEMPTS,... */
static void add_chances(const char *at)
{
    for (int slot, attempts, used; sscanf(at, "%d:%d%n", &slot, &attempts, &used) == 2; at += used + (at[used] == ','))
        if (slot >= 0 && slot < SLOTS) sim->chance[slot] = attempts;
}

/* The rest of a run's line; *kill: 0: no; *dry. */
static void read_run(char *rest, run_plan *p, long *kill, bool *dry)
{
    sim->interrupt_at = sim->meddle_at = sim->crash_at = 0;
    memset(sim->named, 0, sizeof sim->named);
    memset(sim->chance, 0, sizeof sim->chance);
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        char *value = strchr(word, '='), *end;
        if (value) *value++ = '\0';
        if (strcmp(word, "force") == 0) p->force = true;
        else if (strcmp(word, "again") == 0) p->again = true;
        else if (strcmp(word, "dry") == 0) *dry = true;
        else if (!value) continue;
        else if (strcmp(word, "j") == 0) p->jobs = atoi(value);
        else if (strcmp(word, "seed") == 0) sim->fake_rng = strtoull(value, NULL, 10);
        else if (strcmp(word, "kill") == 0) *kill = atol(value);
        else if (strcmp(word, "crash") == 0) sim->crash_at = atoi(value);
        else if (strcmp(word, "interrupt") == 0) sscanf(value, "%dx%d", &sim->interrupt_at, &sim->interrupts);
        else if (strcmp(word, "meddle") == 0) sscanf(value, "%d:%d:%63s", &sim->meddle_at, &sim->meddle_source, sim->meddle_text);
        else if (strcmp(word, "chance") == 0) add_chances(value);
        else if (strcmp(word, "targets") == 0)
            for (; *value; value = *end ? end + 1 : end) add_target(p, (int)strtol(value, &end, 10));
    }
#ifdef SIM_REAL
    sim->interrupt_at = sim->meddle_at = sim->crash_at = 0;
    memset(sim->chance, 0, sizeof sim->chance);
#endif
    sim->meddle_source = abs(sim->meddle_source) % SOURCES;
}

static void play_run(char *rest)
{
    run_plan p = {.jobs = 1};
    long kill = 0;
    bool dry = false;
    read_run(rest, &p, &kill, &dry);
    if (sim->settled_limited && (!p.limited || memcmp(sim->named, sim->settled_named, sizeof sim->named) != 0)) sim->settled = false;
    p.again &= sim->settled && !p.force;
    if (sim->no_targets && p.limited) return;
    if (dry) {
#ifndef SIM_REAL
        run_dry(&p);
#endif
        return;
    }
    if (kill > 0) run_killed(&p, kill);
    else run_once(&p);
    void_note(kill > 0 || sim->interrupt_at > 0 || sim->meddled || sim->crashed || source_is_missing());
    sim->settled_limited = p.limited;
    memcpy(sim->settled_named, sim->named, sizeof sim->named);
    sim->settled = kill == 0 && sim->interrupt_at == 0 && !sim->meddled && !sim->crashed && !chance_was();
}

static void reopen(bool bare)
{
    weir_close(sim->w);
    if (bare) drop_cache();
    engine_open();
}

/** Do what a line says; lines that make no sense (any more) do nothing. */
static void script_play(const char *text)
{
    char line[400], verb[16], *rest;
    int i = 0, used = 0;
    snprintf(line, sizeof line, "%s", text);
    if (sscanf(line, "%15s%n", verb, &used) != 1 || verb[0] == '#') return;
    note("%s\n", text);
    rest = line + used;
    while (*rest == ' ') rest++;
    bool numbered = sscanf(rest, "%d%n", &i, &used) == 1;
    char *behind = numbered ? rest + used + (rest[used] == ' ') : rest;
    if (strcmp(verb, "run") == 0) {
        play_run(rest);
        return;
    }
    sim->settled = false;
    if (strcmp(verb, "later") == 0) single_later();
    else if (strcmp(verb, "reopen") == 0) reopen(false);
    else if (strcmp(verb, "reopen-bare") == 0) reopen(true);
    else if (strcmp(verb, "check") == 0) check_record();
    else if (strcmp(verb, "hand") == 0) {
        char *text_at = strchr(rest, ' ');
        if (text_at) *text_at++ = '\0';
        play_hand(rest, text_at);
    } else if (!numbered || i < 0) return;
    else if (strcmp(verb, "node") == 0) play_node(i % SLOTS, behind);
    else if (strcmp(verb, "void") == 0) play_void(i % SLOTS);
    else if (strcmp(verb, "version") == 0) {
        i %= KINDS;
        graph.versions[i] = !graph.versions[i];
        weir_close(sim->w);
        fake_set_version(i, graph.versions[i]);
        engine_open();
    } else if (strcmp(verb, "drop") == 0) {
        i %= SLOTS;
        if (row_parent(&graph, i) >= 0) return;
        clear_rows(i);
        graph.nodes[i].present = false;
        sim->known[i] = 0;
    } else play_source(verb, i % SOURCES, behind);
}

/* --- making up --------------------------------------------------------------------------------------------------------- */

static const char *const texts[] = {"a", "ab", "abc", "abcd", "r1", "rx", "r@2", "@0", "@1b", "@A", "@B@C", "x@D@1", "@E", "!", "x!", "@3@4", "hello", "world@F", "@G@A",
                                    "&B", "&C", "&Dc", "r&E4", "&ab", "&F", "&A@B", "x&G&H", "&M",
                                    "#1a#2b", "#1b#2c", "#1d", "#2c", "#1a#1b", "#3f#1e", "#2g#1a", "#1c#2a#3b", "#3a@2"};

static int pick(int n)
{
    return (int)(next_random(&sim->rng) % (uint64_t)n);
}

static void play(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void play(const char *format, ...)
{
    char line[400];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    script_play(line);
}

static const char *any_text(void)
{
    return texts[pick((int)(sizeof texts / sizeof *texts))];
}

static void disturb_source(int i)
{
    switch (pick(4)) {
    case 0: play("touch %d", i); break;
    case 1: play("anew %d", i); break;
    case 2: play("rename %d", i); break;
    default: if (pick(2)) play("remove %d", i); break;
    }
}

static bool same_file(const sim_ref *a, const sim_ref *b)
{
    return (a->kind == REF_FILE) == (b->kind == REF_FILE) && a->index == b->index;
}

static void choose_inputs(int slot, sim_node *n)
{
    n->c_count = n->v_count = 0;
    n->x = !n->command && pick(3) == 0 ? pick(SOURCES) : -1;
    int most = pick(4);
    for (int k = 0; k < most; k++) {
        sim_ref r = {.kind = REF_FILE, .index = pick(SOURCES)};
        int up = slot ? pick(slot) : 0;
        if (slot && graph.nodes[up].present && !graph.nodes[up].row && pick(4) && graph.nodes[up].shape != SHAPE_VALUE) {
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
        if (!graph.nodes[up].present || graph.nodes[up].row || !has_value(&graph.nodes[up])) continue;
        if (n->v_count && n->v[0].index == up) continue;
        bool twice = false;
        for (int i = 0; i < n->c_count; i++) twice |= n->c[i].kind != REF_FILE && n->c[i].index == up;
        if (!twice) n->v[n->v_count++] = (sim_ref){.kind = REF_NODE, .index = up};
    }
    for (int p = 0; p + ROWS < slot; p++)
        if (graph.nodes[p].present && is_expand(&graph.nodes[p]) && pick(2)) {
            if (n->c_count > 1) n->c_count = 1;
            n->c[n->c_count++] = (sim_ref){.kind = REF_ROWS, .index = p};
            break;
        }
    n->is_list = n->c_count != 1 || pick(2);
}

static void say_node(int slot, const sim_node *n)
{
    char refs[100] = "";
    for (int k = 0; k < n->c_count && !n->is_glob; k++) {
        const sim_ref *r = &n->c[k];
        size_t at = strlen(refs);
        if (r->kind == REF_ROWS) snprintf(refs + at, sizeof refs - at, " x%d", r->index);
        else if (r->kind == REF_FILE || r->kind == REF_NODE) snprintf(refs + at, sizeof refs - at, " %c%d", r->kind == REF_FILE ? 's' : 'n', r->index);
        else snprintf(refs + at, sizeof refs - at, " %c%d%c", r->kind == REF_MADE ? 'p' : 'o', r->index, r->port);
    }
    for (int k = 0; k < n->v_count && !n->is_glob; k++) snprintf(refs + strlen(refs), sizeof refs - strlen(refs), " v%d", n->v[k].index);
    if (n->retries) snprintf(refs + strlen(refs), sizeof refs - strlen(refs), " r%d", n->retries);
    play("node %d %c %c %s %d %d %d %d %d%s", slot, n->letter, n->folder, !n->command ? "effect" : n->shell ? "shell" : "argv", n->kind, n->variant,
         n->shape, n->is_glob ? 2 : n->is_list, n->x, refs);
}

static void add_node(int slot)
{
    sim_node n = {.present = true, .command = pick(3) == 0, .shell = pick(3) == 0, .kind = pick(KINDS), .variant = pick(2), .letter = 'n', .folder = 'o', .x = -1};
    if (graph.nodes[slot].present || row_parent(&graph, slot) >= 0) return;
    if (pick(3) == 0) n.kind = KIND_INCLUDE;
    if (may_expand(slot) && pick(3)) n.kind = KIND_EXPAND;
    else if (is_expand(&n)) n.kind = KIND_NEED;
    if (n.kind >= KIND_NEED) n.command = false;
    n.shape = is_expand(&n) ? SHAPE_VALUE : n.command ? pick(2) : pick(SHAPES);
    choose_inputs(slot, &n);
    n.retries = !is_expand(&n) && pick(6) == 0 ? 1 + pick(2) : 0;
    n.is_glob = pick(8) == 0 && (n.x < 0 || n.x >= 4);
    say_node(slot, &n);
}

static void redefine_node(int slot)
{
    sim_node n = graph.nodes[slot];
    if (!n.present || n.row) return;
    switch (pick(7)) {
    case 0: n.variant = !n.variant; break;
    case 1:
        n.kind = pick(KINDS - 1);
        if (n.kind == KIND_NEED) n.command = false;
        if (is_expand(&graph.nodes[slot]) != is_expand(&n)) n.shape = SHAPE_A;
        break;
    case 2: choose_inputs(slot, &n); n.is_glob = false; break;
    case 3: n.letter = n.letter == 'n' ? 'm' : 'n'; break;
    case 4: n.folder = n.folder == 'o' ? 'p' : 'o'; break;
    case 5: n.retries = n.retries ? 0 : 1 + pick(2); break;
    default: n.shell = !n.shell; break;
    }
    say_node(slot, &n);
}

/* Longer than any output: an edit of the same size within the tick in which the engine renamed the output into place does not show. */
static const char by_hand[] = " changed by hand, changed by hand, changed by hand";

static void disturb_output(int slot)
{
    const sim_node *n = &graph.nodes[slot];
    char path[PATH], port = has_b(n) && pick(2) ? 'b' : 'a';
    if (!n->present || !has_a(n)) return;
    made_path(&graph, slot, port, path);
    if (faccessat(sim->rootfd, path, F_OK, 0) == 0) play("hand %s%s", path, pick(2) ? "" : by_hand);
}

static void edit_source(int i)
{
    play("write %d %s", i, graph.sources[i].before[0] && pick(3) == 0 ? graph.sources[i].before : any_text());
}

static void change(void)
{
    switch (pick(12)) {
    case 0: case 1: case 2: case 3: edit_source(pick(SOURCES)); break;
    case 4: disturb_source(pick(SOURCES)); break;
    case 5: case 6: add_node(pick(SLOTS)); break;
    case 7:
        if (pick(2)) play("drop %d", pick(SLOTS));
        else if (pick(3) == 0) play("version %d", pick(KINDS));
        else play("void %d", pick(SLOTS));
        break;
    case 8: case 9: redefine_node(pick(SLOTS)); break;
    default: disturb_output(pick(SLOTS)); break;
    }
}

static void say_targets(char *words, size_t size)
{
    for (int tries = 0, found = 0; tries < 3; tries++) {
        int s = pick(SLOTS);
        if (graph.nodes[s].present) snprintf(words + strlen(words), size - strlen(words), found++ ? ",%d" : " targets=%d", s);
    }
}

/* Some attempts fail; the next run tries again. */
static void run_by_chance(const char *words)
{
    char hits[60] = "";
    for (int tries = 0; tries < 4; tries++) {
        int s = pick(SLOTS);
        if (graph.nodes[s].present) snprintf(hits + strlen(hits), sizeof hits - strlen(hits), "%s%d:%d", hits[0] ? "," : "", s, 1 + pick(3));
    }
    play("run %s chance=%s", words, hits);
    if (!sim->bad && pick(2)) play("run %s", words);
}

/** The project as it is at the beginning of a round. */
static void script_begin(uint64_t seed)
{
    sim->rng = seed;
    for (int i = 0; i < SOURCES; i++) play("write %d %s", i, any_text());
    int nodes = 2 + pick(10);
    for (int i = 0; i < nodes; i++) add_node(pick(4) ? i : pick(SLOTS));
}

/** A few changes, a run, perhaps another one. Each step draws from its own numbers. */
static void script_step(uint64_t seed, int number)
{
    char words[200];
    sim->rng = seed * 1000003 + (uint64_t)number * 7919;
    uint64_t order = next_random(&sim->rng) % 1000000;
    note("# step %d\n", number);
    if (sim->meddled && pick(2)) edit_source(sim->meddle_source);
    if (pick(3) == 0) play("later");
    for (int changes = pick(4); changes > 0; changes--) change();
    if (source_is_missing() && pick(3))
        for (int i = 0; i < SOURCES; i++)
            if (!graph.sources[i].present) play("write %d %s", i, any_text());
    if (pick(10) == 0) play("%s", pick(3) == 0 ? "reopen-bare" : "reopen");
    snprintf(words, sizeof words, "j=%d seed=%d%s", 1 + pick(8), (int)order, pick(20) == 0 ? " force" : "");
    if (pick(5) == 0 && !sim->no_targets) say_targets(words, sizeof words);
    if (pick(8) == 0) play("run dry %s", words);
    if (sim->bad) return;
    int kind = pick(48), at = 1 + pick(4);
    if (kind < 4) play("run %s meddle=%d:%d:%s", words, at, pick(SOURCES), any_text());
    else if (kind < 8) play("run %s interrupt=%dx%d", words, at, 1 + pick(2));
    else if (kind < 10) play("run %s kill=%d", words, 1 + pick(1 << pick(8)));
    else if (kind < 12) play("run %s crash=%d", words, at);
    else if (kind < 16) run_by_chance(words);
    else play("run %s", words);
    char *force = strstr(words, " force");
    if (force) memcpy(force, "      ", 6);
    if (!sim->bad && sim->settled && pick(2)) play("run %s again", words);
    if (!sim->bad && sim->check_every && number % sim->check_every == 0) play("check");
}

#endif
