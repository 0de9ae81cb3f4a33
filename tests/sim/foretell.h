/*
 * foretell.h - who is wanted by a run, who is expected to run in it, and who may run more than once (loose). A part of judge.h.
 *
 * `wanted` is what the targets need for certain, `perhaps` what they would need if an unsure node came that far.
 */
#ifndef WEIR_TESTS_SIM_FORETELL_H
#define WEIR_TESTS_SIM_FORETELL_H

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

/* Does it take in what `on` makes, as it declares or was found to? */
static bool takes_in(int slot, int on, uint32_t *seen)
{
    uint32_t above = declared_makers(&sim->clean, slot) | sim->known[slot];
    if (above >> on & 1) return true;
    *seen |= 1U << slot;
    for (int i = 0; i < SLOTS; i++)
        if ((above >> i & 1) && !(*seen >> i & 1) && takes_in(i, on, seen)) return true;
    return false;
}

/* Whoever finds what closes a circle may be told that at once, and then reads no further. */
static uint32_t found_for_certain(const clean_node *c)
{
    uint32_t makers = 0;
    for (int i = 0; i < c->reads.count && c->circular; i++) {
        int slot = c->reads.reads[i].id[0] == 'o' ? atoi(c->reads.reads[i].id + 2) : -1;
        if (slot < 0 || slot >= SLOTS || !(c->reads.makers >> slot & 1)) continue;
        makers |= 1U << slot;
        if (sim->clean.nodes[slot].circular) return makers;
    }
    return c->reads.makers;
}

/* `perhaps`: what an unsure node would read, if it gets that far. */
static void want(int slot, bool perhaps)
{
    bool *wanted = perhaps ? sim->perhaps : sim->wanted;
    if (wanted[slot]) return;
    wanted[slot] = true;
    const clean_node *c = &sim->clean.nodes[slot];
    uint32_t above = declared_makers(&sim->clean, slot) | sim->known[slot];
    if (!perhaps && c->unsure && graph.nodes[slot].row == 'g') above = 0; /* it may take in a node that is gone */
    bool asks_new = false;
    for (int k = 0; k < graph.nodes[slot].c_count; k++) /* whoever reads a list means what is on it, be it as before */
        for (int i = 1; i <= ROWS && graph.nodes[slot].c[k].kind == REF_ROWS; i++) above |= 1U << (graph.nodes[slot].c[k].index + i);
    for (int i = 0; i < SLOTS; i++) asks_new |= (c->reads.needs >> i & 1) && graph.nodes[i].row && !was_on_list(i);
    if (perhaps) above |= sim->maybe_known[slot];
    if (perhaps || !c->unsure) above |= perhaps ? c->reads.makers : found_for_certain(c);
    if (perhaps || !(c->unsure || c->circular)) above |= c->reads.needs;
    if (perhaps && (c->circular || c->blocked)) above |= c->reads.asked; /* all at once, before that is told: also what is on a list until that is made anew */
    if (row_parent(&graph, slot) >= 0) above |= 1U << row_parent(&graph, slot);
    for (int i = 0; i < SLOTS; i++) {
        const sim_node *n = &graph.nodes[i];
        bool made_now = (sim->ghosts[slot] >> i & 1) && n->folder == 'o' && has_a(n);
        bool may_be_known = perhaps && n->row && (sim->past.vague_lists >> row_parent(&graph, i) & 1); /* from a run that was disturbed */
        if (n->row && !was_on_list(i) && sim->limited && !may_be_known && !((declared_makers(&sim->clean, slot) | c->reads.named) >> i & 1)) continue; /* not known yet; for a path no list is made */
        uint32_t now = declared_makers(&sim->clean, slot) | c->reads.makers | c->reads.needs, seen = 0;
        if (!perhaps && !(now >> i & 1) && (made_now || (above >> i & 1)) && (sim->circled[slot] || takes_in(i, slot, &seen))) continue; /* what it read before would be a circle */
        bool asks = perhaps ? c->asks_missing || asks_new : c->asks_missing && !c->circular; /* a circle is told at once */
        bool may_name = is_expand(n) && asks; /* lists are made before a name is given up */
        int parent = n->present ? -1 : row_parent(&graph, i);
        bool met = perhaps && c->unsure && (c->reads.ghosts >> i & 1); /* by its path, before its list is made anew */
        bool was_there = parent >= 0 && (row_of(sim->past.lists[parent], i - parent) || (perhaps && (sim->past.vague_lists >> parent & 1)));
        if (was_there && (met || (above >> i & 1))) want(parent, perhaps);
        if (n->present && (made_now || may_name || (above >> i & 1))) want(i, perhaps);
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
        if (n->present && !n->row && row_parent(&graph, s) >= 0) sim->known[s] = sim->ghosts[s] = 0; /* from now on there is one of a list */
        if (n->row || row_parent(&graph, s) >= 0) *n = (sim_node){.letter = 'n', .folder = 'o', .x = -1};
        for (int k = 0; k < n->c_count; k++) {
            sim_ref r = n->c[k];
            if (r.kind == REF_ROWS) {
                if (r.index + ROWS < s && graph.nodes[r.index].present && is_expand(&graph.nodes[r.index])) n->c[kept++] = r;
                continue;
            }
            const sim_node *up = r.kind == REF_FILE ? NULL : &graph.nodes[r.index];
            if (up && (r.index >= s || !up->present || !has_a(up) || (r.kind == REF_NODE && has_b(up)))) continue;
            if (up && r.port == 'b' && !has_b(up)) r.port = 'a';
            n->c[kept++] = r;
        }
        for (int k = 0; k < n->v_count; k++)
            if (n->v[k].index < s && graph.nodes[n->v[k].index].present && has_value(&graph.nodes[n->v[k].index])) n->v[values++] = n->v[k];
        n->c_count = kept;
        n->v_count = values;
        n->has_c = kept > 0;
        if (kept != 1 || n->c[0].kind == REF_ROWS) n->is_list = true;
    }
}

/* With targets nobody may have asked the expand node: who reads what it would declare, or declares no more, finds it so or so. */
static void meet_unknown_rows(void)
{
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        uint64_t read = c->reads.makers | c->reads.ghosts; /* for what is needed by name all lists are made */
        for (int i = 0; i < SLOTS; i++) {
            int parent = (read >> i & 1) ? row_parent(&graph, i) : -1;
            if (parent < 0) continue;
            bool was = row_of(sim->past.lists[parent], i - parent) != 0;
            if (was != graph.nodes[i].present || (sim->past.vague_lists >> parent & 1)) sim->clean.nodes[s].unsure = true;
        }
    }
    clean_spread(&sim->clean);
}

/* Does what it declares, and was found to read or need, lead back to it? Then some of what was found is dropped. */
static bool leads_back(int slot, int to, uint32_t *seen)
{
    uint32_t above = declared_makers(&sim->clean, slot) | sim->known[slot] | sim->maybe_known[slot] | sim->needed[slot];
    if (above >> to & 1) return true;
    *seen |= 1U << slot;
    for (int i = 0; i < SLOTS; i++)
        if ((above >> i & 1) && !(*seen >> i & 1) && leads_back(i, to, seen)) return true;
    return false;
}

static void meet_history(void)
{
    for (int s = 0; s < SLOTS; s++) {
        uint32_t seen = 0;
        if (graph.nodes[s].present && leads_back(s, s, &seen)) sim->circled[s] = true;
    }
}

static uint32_t takes_in_all(int slot)
{
    const tracker *t = &sim->clean.nodes[slot].reads;
    return declared_makers(&sim->clean, slot) | t->needs | t->makers;
}

/* Who is blocked between two nodes of circles: the clean run came to it after that circle was closed, so it has not seen that it is part of one. */
static void meet_circles(void)
{
    for (int more = 1, i; more > 0;)
        for (more = i = 0; i < SLOTS; i++) {
            bool takes = false, is_taken = false;
            clean_node *c = &sim->clean.nodes[i];
            for (int k = 0; k < SLOTS; k++) {
                if (!sim->clean.nodes[k].circular) continue;
                takes |= takes_in_all(i) >> k & 1;
                is_taken |= (takes_in_all(k) | sim->known[k]) >> i & 1;
            }
            if (takes && is_taken && c->blocked && !c->circular) c->circular = true, more++;
        }
}

#include "tests/sim/chance.h"

static bool asks_early(int slot)
{
    for (int i = 0; i < SLOTS; i++) {
        int parent = sim->clean.nodes[slot].reads.asked >> i & 1 ? row_parent(&graph, i) : -1;
        uint32_t seen = 0;
        if (parent >= 0 && !was_on_list(i) && takes_in(parent, slot, &seen)) return true;
    }
    return false;
}

/* With targets: what a node of a list took in before the list changes is asked too. */
static void want_of_lists_before(void)
{
    for (int s = 0; s < SLOTS && sim->limited; s++) {
        int parent = row_parent(&graph, s);
        if (parent < 0 || !(sim->perhaps[s] || sim->perhaps[parent] || sim->named[s])) continue;
        char row = row_of(sim->past.lists[parent], s - parent);
        bool is_vague = sim->past.vague_lists >> parent & 1; /* it may have been any row */
        if (!row && !is_vague) continue;
        for (int i = 0; i < SLOTS; i++)
            if (((sim->known[s] | sim->ghosts[s]) >> i & 1) && graph.nodes[i].present) want(i, true);
        if ((row == 'c' || is_vague) && s > parent + 1) want(s - 1, true);
        if (row == 'g' || is_vague) want(parent - 1, true);
    }
}

static void foretell(bool force, bool limited)
{
    char path[PATH];
    drop_loose_ends();
    clean_past *past = &sim->past;
    past->stale = 0;
    for (int s = 0; s < SLOTS; s++)
        if (!graph.nodes[s].present || !is_expand(&graph.nodes[s])) past->lists[s][0] = '\0', past->vague_lists &= ~(1U << s);
    for (int s = 0; s < SLOTS; s++) {
        snprintf(path, sizeof path, "o/%d.a", s);
        const sim_node *n = &graph.nodes[s];
        if (!(n->present && n->folder == 'o' && has_a(n)) && faccessat(sim->rootfd, path, F_OK, 0) == 0) past->stale |= 1ULL << s;
    }
    past->dies = chance_dies;
    sim->limited = limited;
    sim->force = force;
    clean_compute(&sim->clean, &graph, past);
    meet_circles();
    for (int s = 0; s < SLOTS; s++) sim->clean.nodes[s].key = clean_key(&sim->clean, s, &sim->clean.nodes[s].n);
    meet_history();
    if (limited) meet_unknown_rows();
    memset(sim->free, 0, sizeof sim->free);
    memset(sim->wanted, 0, sizeof sim->wanted);
    memset(sim->perhaps, 0, sizeof sim->perhaps);
    for (int s = 0; s < SLOTS; s++) {
        int parent = row_parent(&graph, s);
        if (limited && !sim->named[s] && !(parent >= 0 && sim->named[parent])) continue; /* an expand node as a target means its list too */
        if (graph.nodes[s].present) want(s, false), want(s, true);
        else if (limited && parent >= 0) want(parent, false), want(parent, true);
    }
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        bool is_meant = force && (!limited || sim->named[s]), forced = is_meant && (!graph.nodes[s].row || was_on_list(s));
        sim->free[s] = is_meant && graph.nodes[s].row && (past->vague_lists >> row_parent(&graph, s) & 1); /* forced is what was declared before the run */
        bool runs = graph.nodes[s].present && (!c->blocked || c->barred);
        sim->expected[s] = sim->wanted[s] && runs && (forced || chance_repeats(c) || !memo_has(&sim->memo, c->key, &c->reads, memo_end(s, c)));
    }
    want_of_lists_before();
    for (int s = 0; s < SLOTS; s++) sim->early[s] = asks_early(s);
    memset(sim->ran, 0, sizeof sim->ran);
    memset(sim->failed, 0, sizeof sim->failed);
    memset(sim->told, 0, sizeof sim->told);
    memset(sim->stopped, 0, sizeof sim->stopped);
    memset(sim->asked, 0, sizeof sim->asked);
    memset(sim->well, 0, sizeof sim->well);
    memset(sim->performed, 0, sizeof sim->performed);
    memset(sim->tries, 0, sizeof sim->tries);
    memset(sim->was_anew, 0, sizeof sim->was_anew);
    memset(sim->was_blocked, 0, sizeof sim->was_blocked);
    sim->starts = sim->did_count = 0;
    chance_begin();
}

/* For people: what a clean run would give. */
static void note_clean(void)
{
    for (int s = 0; s < SLOTS && sim->verbose; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        if (!graph.nodes[s].present) continue;
        note("#     clean %d:%s%s%s%s%s%s%s%s \"%s\" \"%s\"\n", s, c->failed ? " failed" : "", c->blocked ? " blocked" : "", c->circular ? " circular" : "",
             c->needs_missing ? " needs-missing" : "", c->bad_list ? " bad-list" : "", c->unsure ? " unsure" : "", sim->wanted[s] ? "" : " unwanted",
             sim->expected[s] ? " expected" : "", c->out.a, c->out.value);
        for (int i = 0; i < c->reads.count && sim->expected[s]; i++)
            note("#       %d %s \"%s\"\n", c->reads.reads[i].group, c->reads.reads[i].id, c->reads.reads[i].text);
    }
}

/* What a node that cannot be foretold has really asked for is meant by the targets too; for a name that there is not all lists are made. */
static void want_asked(void)
{
    for (int s = 0; s < SLOTS && sim->limited; s++) {
        int parent = row_parent(&graph, s); /* of a list that may be another one: it may be there or not */
        bool comes_along = parent >= 0 && (sim->past.vague_lists >> parent & 1) && (sim->wanted[parent] || sim->perhaps[parent]);
        bool is_meant = sim->clean.nodes[s].unsure && (sim->wanted[s] || sim->perhaps[s] || comes_along);
        if (comes_along) want(s, true); /* and then also what it read before */
        for (int i = 0; i < SLOTS && is_meant; i++) {
#ifndef SIM_REAL /* there nobody tells what it asked for: it may be anything */
            if (!(sim->asked[s] >> i & 1)) continue;
#endif
            if (graph.nodes[i].present) want(i, true);
            for (int p = 0; p < SLOTS && !(graph.nodes[i].present && graph.nodes[i].letter == 'n'); p++)
                if (graph.nodes[p].present && is_expand(&graph.nodes[p])) want(p, true);
        }
    }
}

static void find_loose(const uint32_t known[SLOTS])
{
    want_asked();
    want_of_lists_before();
    bool found_circle = sim->found_circle = false; /* only the last of those that read without declaring it closes it: the others may have run before */
    for (int s = 0; s < SLOTS; s++) found_circle |= sim->clean.nodes[s].circular && sim->clean.nodes[s].reads.makers != 0;
    sim->found_circle = found_circle;
    for (int s = 0; s < SLOTS; s++) {
        const clean_node *c = &sim->clean.nodes[s];
        sim->loose[s] = (found_circle && c->circular) || sim->free[s] || (sim->hazy[s] && c->reads.makers != 0) || (sim->was_anew[s] && c->reads.makers != 0) || sim->shaky[s] || c->unsure || (sim->perhaps[s] && !sim->wanted[s]);
    }
    for (int more = 1, s; more > 0;)
        for (more = s = 0; s < SLOTS; s++) {
            const tracker *t = &sim->clean.nodes[s].reads;
            uint32_t above = declared_makers(&sim->clean, s) | known[s] | t->makers | t->needs;
            if (row_parent(&graph, s) >= 0) above |= 1U << row_parent(&graph, s);
            for (int i = 0; i < SLOTS; i++) /* a list that may be another one may have what it asks for */
                if ((t->asked >> i & 1) && row_parent(&graph, i) >= 0) above |= 1U << row_parent(&graph, i);
            for (int i = 0; i < SLOTS && !sim->loose[s]; i++)
                if ((above >> i & 1) && sim->loose[i]) sim->loose[s] = true, more++;
        }
}

#endif
