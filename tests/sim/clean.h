/*
 * clean.h - what a clean run gives. A naive recomputation, each node when it is asked for; shares nothing with the engine.
 *
 * What cannot be foretold is unsure: what lies around without a maker was read, or the list of a failed expand node may be another one than was
 * thought; and all that takes in what is unsure.
 */
#ifndef WEIR_TESTS_SIM_CLEAN_H
#define WEIR_TESTS_SIM_CLEAN_H

#include <stdlib.h>

#include "tests/sim/graph.h"

typedef struct clean_node {
    bool failed, blocked; /* neither: done */
    bool barred;          /* blocked, and not by what it declares: the last of its reads is an output that nobody could make */
    bool circular;        /* failed: it waits for itself, or it is blocked by one that does; which of them says so is not foretold */
    bool needs_missing;   /* failed: it needs a node that there is not */
    bool asks_missing;    /* it asked for one, be it blocked by what it asked for too */
    bool bad_list;        /* failed: the list it made has mistakes */
    bool unsure;          /* it reads what cannot be foretold */
    bool died;            /* failed by chance */
    enum { CLEAN_NEW, CLEAN_OPEN, CLEAN_DONE } state;
    sim_node n;           /* with the nodes that lists stand for */
    sim_result out;
    tracker reads;
    uint64_t key;
} clean_node;

typedef struct clean_run clean_run;

/** What is not in the graph: how it came about. */
typedef struct clean_past {
    uint64_t stale;          /* paths o/<slot>.a that lie there without a maker */
    char lists[SLOTS][TEXT]; /* of expand nodes: the nodes that are declared now, and stay when the node fails */
    uint32_t vague_lists;    /* by slot: it may be another one */
    bool (*dies)(const clean_run *c, int slot); /* does it fail by chance, if it is not lost anyway? NULL: none does */
} clean_past;

struct clean_run {
    sim_graph *g; /* the nodes of lists are filled in */
    const clean_past *past;
    int slot, stack[SLOTS], depth;
    clean_node nodes[SLOTS];
};

static inline bool is_lost(const clean_node *n) { return n->failed || n->blocked; }
static inline bool clean_visit(clean_run *c, int slot);

static inline uint64_t mix_text(uint64_t h, const char *text)
{
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3ULL;
    h = (h ^ 0xff) * 0x100000001b3ULL;
    return h ^ (h >> 29);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Does the node in this slot make that path? Nodes of lists are there only once their expand node is known. */
static inline bool made_here(const clean_run *c, int slot, const char *path)
{
    char p[PATH];
    const sim_node *n = &c->g->nodes[slot];
    if (row_parent(c->g, slot) >= 0 && c->nodes[slot].state != CLEAN_DONE) return true;
    return n->present && ((has_a(n) && strcmp(made_path(c->g, slot, 'a', p), path) == 0) || (has_b(n) && strcmp(made_path(c->g, slot, 'b', p), path) == 0));
}

static inline bool named_here(const clean_run *c, int slot)
{
    const sim_node *n = &c->g->nodes[slot];
    return (row_parent(c->g, slot) >= 0 && c->nodes[slot].state != CLEAN_DONE) || (n->present && n->letter == 'n');
}

static inline void clean_file(clean_run *c, const char *path, char text[TEXT])
{
    char p[PATH];
    int slot = atoi(path + 2);
    snprintf(text, TEXT, "-");
    for (int i = 0; i < SOURCES && path[0] == 's'; i++)
        if (c->g->sources[i].present && strcmp(source_path(c->g, i, p), path) == 0) snprintf(text, TEXT, "%s", c->g->sources[i].text);
    if (path[0] == 's' || slot < 0 || slot >= SLOTS || !made_here(c, slot, path) || !clean_visit(c, slot)) return;
    const clean_node *n = &c->nodes[slot];
    if (made_here(c, slot, path)) snprintf(text, TEXT, "%s", path[strlen(path) - 1] == 'a' ? n->out.a : n->out.b);
}

/* What an effect would read after an output that is not to be had is no read; a command says all of its reads at once. */
static inline bool clean_read(void *ctx, const char *path, char text[TEXT])
{
    clean_run *c = ctx;
    clean_node *me = &c->nodes[c->slot];
    char id[32];
    int slot = path[0] == 's' ? -1 : atoi(path + 2);
    clean_file(c, path, text);
    if (slot < 0 || slot >= SLOTS || !made_here(c, slot, path) || !is_lost(&c->nodes[slot]) || declared_id(c->g, &me->n, path, id)) return true;
    me->barred = true;
    if (me->n.command) return true;
    track(&me->reads, path, "", false);
    me->reads.makers |= 1U << slot;
    return false;
}

static inline bool clean_member(void *ctx, char port, int k, char text[TEXT])
{
    clean_run *c = ctx;
    const sim_node *n = &c->nodes[c->slot].n;
    char path[PATH];
    if (port == 'v') snprintf(text, TEXT, "%s", c->nodes[n->v[k].index].out.value);
    else clean_file(c, port == 'x' ? source_path(c->g, n->x, path) : ref_path(c->g, &n->c[k], path), text);
    return true;
}

/* The names behind a list, as one read. */
static inline void names_text(const sim_graph *g, const sim_node *n, char port, char text[TEXT])
{
    const sim_ref *refs = port == 'c' ? n->c : n->v;
    int count = port == 'c' ? n->c_count : n->v_count;
    uint64_t h = 1;
    for (int k = 0; k < count; k++) {
        char name[40], path[PATH];
        if (refs[k].kind == REF_NODE) snprintf(name, sizeof name, "%c%d", g->nodes[refs[k].index].letter, refs[k].index);
        else snprintf(name, sizeof name, "%s", ref_path(g, &refs[k], path));
        h = mix_text(h, name);
    }
    snprintf(text, TEXT, "%llx", (unsigned long long)h);
}

static inline bool clean_names(void *ctx, char port)
{
    clean_run *c = ctx;
    char text[TEXT], id[32];
    names_text(c->g, &c->nodes[c->slot].n, port, text);
    snprintf(id, sizeof id, "names %c", port);
    track(&c->nodes[c->slot].reads, id, text, true);
    return true;
}

/* All that a node makes. */
static inline void made_text(const clean_run *c, int slot, char text[TEXT])
{
    const clean_node *n = &c->nodes[slot];
    uint64_t h = mix_text(mix_text((uint64_t)n->n.shape + 1, has_a(&n->n) ? n->out.a : ""), n->n.shape >= SHAPE_A_VALUE ? n->out.value : "");
    snprintf(text, TEXT, "made %d %c %llx", n->n.shape, has_a(&n->n) ? n->n.folder : '-', (unsigned long long)mix_text(h, has_b(&n->n) ? n->out.b : ""));
}

/* What an effect goes on with: the one file, and the value. */
static inline void needed_text(const clean_node *n, char text[TEXT])
{
    bool one = has_a(&n->n) && !has_b(&n->n);
    snprintf(text, TEXT, "%.30s,%.3s", one ? n->out.a : "-", has_value(&n->n) ? n->out.value : "-");
}

static inline bool clean_need(void *ctx, char names[NEEDS][32], int count, char texts[NEEDS][TEXT], char ids[NEEDS][TEXT])
{
    clean_run *c = ctx;
    clean_node *me = &c->nodes[c->slot];
    bool blocks = false, missing = false;
    for (int i = 0; i < count; i++) {
        bool is_node = names[i][0] == 'n';
        int slot = atoi(names[i] + (is_node ? 1 : 2));
        if (!is_node) clean_file(c, names[i], ids[i]), memcpy(texts[i], ids[i], TEXT);
        bool is_there = names[i][0] != 's' && (is_node ? named_here(c, slot) : made_here(c, slot, names[i]));
        if (is_there && !clean_visit(c, slot)) continue;
        is_there = is_there && (is_node ? named_here(c, slot) : made_here(c, slot, names[i]));
        if (!is_there && is_node) missing = me->asks_missing = true;
        if (is_there && is_lost(&c->nodes[slot])) blocks = true;
        if (is_there && is_node) made_text(c, slot, ids[i]), needed_text(&c->nodes[slot], texts[i]);
    }
    if (me->circular) return false;
    if (blocks) me->blocked = true;
    else if (missing) me->failed = me->needs_missing = true;
    return !blocks && !missing;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

/* Slots that a node declares to read. */
static inline uint32_t declared_makers(const clean_run *c, int slot)
{
    const sim_node *n = &c->nodes[slot].n, *declared = &c->g->nodes[slot];
    uint32_t makers = 0;
    for (int k = 0; k < n->c_count; k++)
        if (n->c[k].kind != REF_FILE) makers |= 1U << n->c[k].index;
    for (int k = 0; k < declared->c_count; k++)
        if (declared->c[k].kind == REF_ROWS) makers |= 1U << declared->c[k].index;
    for (int k = 0; k < n->v_count; k++) makers |= 1U << n->v[k].index;
    return makers;
}

/* A node of a list is there when the list says so; if that is not known, as before. */
static inline void clean_row(clean_run *c, int slot, int parent)
{
    clean_node *n = &c->nodes[slot];
    const clean_node *up = &c->nodes[parent];
    bool closed = clean_visit(c, parent);
    const char *list = closed && !is_lost(up) ? up->out.value : c->past->lists[parent];
    char row = row_of(list, slot - parent);
    n->unsure = up->unsure || (is_lost(up) && (row == 'g' || (c->past->vague_lists >> parent & 1))); /* g: the node below may be another one now */
    for (int i = 0; i < SLOTS && (!closed || n->circular || up->circular); i++) /* its being there depends on itself: as before, or not */
        if (i == slot || c->nodes[i].circular || c->nodes[i].state == CLEAN_OPEN) c->nodes[i].unsure = true;
    c->g->nodes[slot] = row ? row_node(slot, parent, row) : (sim_node){.letter = 'n', .folder = 'o', .x = -1};
}

static inline void fill_rows(clean_run *c, sim_node *n)
{
    sim_node declared = *n;
    n->c_count = 0;
    for (int k = 0; k < declared.c_count; k++) {
        int parent = declared.c[k].index;
        const char *list = c->nodes[parent].out.value;
        if (declared.c[k].kind != REF_ROWS) n->c[n->c_count++] = declared.c[k];
        else if (!clean_visit(c, parent)) continue;
        else if (is_lost(&c->nodes[parent])) { /* a node of the list of before may close a circle */
            for (const char *was = c->past->lists[parent]; was[0]; was += 2) clean_visit(c, parent + was[0] - '0');
            c->nodes[c->slot].unsure |= c->past->vague_lists >> parent & 1;
        } else
            for (; list[0] && n->c_count < 4; list += 2) n->c[n->c_count++] = (sim_ref){.kind = REF_NODE, .index = parent + list[0] - '0'};
    }
}

static inline void clean_inputs(clean_run *c, int slot)
{
    clean_node *n = &c->nodes[slot];
    uint32_t makers = declared_makers(c, slot);
    for (int i = 0; i < SLOTS; i++)
        if ((makers >> i & 1) && (!clean_visit(c, i) || is_lost(&c->nodes[i]))) n->blocked = true;
}

static inline void clean_node_here(clean_run *c, int slot)
{
    clean_node *n = &c->nodes[slot];
    n->n = c->g->nodes[slot];
    if (!n->n.present) return;
    fill_rows(c, &n->n);
    clean_inputs(c, slot);
    if (n->blocked) return;
    sim_io io = {.ctx = c, .member = clean_member, .names = clean_names, .file = clean_read, .need = clean_need};
    bool ends = perform(c->g, slot, &n->n, &io, &n->reads, &n->out);
    if (n->barred) n->blocked = true;
    else if (ends && !n->out.ok) n->failed = true;
    if (!is_lost(n) && is_expand(&n->n) && list_is_wrong(c->g, slot, n->out.value)) n->failed = n->bad_list = true;
    if (n->circular) n->failed = true;
    if (n->reads.ghosts & c->past->stale) n->unsure = true;
    if (c->past->dies && c->past->dies(c, slot)) n->died = n->failed = true, n->barred = n->blocked = n->needs_missing = n->bad_list = false;
}

/* Of a node that a list may name or not, it is unsure already whether it is there. */
static inline bool takes_unsure(const clean_run *c, int slot)
{
    const tracker *t = &c->nodes[slot].reads;
    uint32_t above = declared_makers(c, slot) | t->needs | t->makers, sought = t->asked | (uint32_t)t->ghosts;
    for (int i = 0; i < SLOTS; i++) {
        bool takes = (above >> i & 1) || i == row_parent(c->g, slot) || ((sought >> i & 1) && row_parent(c->g, i) >= 0);
        if (takes && c->nodes[i].unsure) return true;
    }
    return false;
}

/* False: it is under way, so it waits for itself: all that wait for it do. */
static inline bool clean_visit(clean_run *c, int slot)
{
    clean_node *n = &c->nodes[slot];
    int before = c->slot, parent = row_parent(c->g, slot);
    for (int i = c->depth; n->state == CLEAN_OPEN && i-- > 0;) {
        c->nodes[c->stack[i]].circular = true;
        if (c->stack[i] == slot) break;
    }
    if (n->state != CLEAN_NEW) return n->state == CLEAN_DONE;
    n->state = CLEAN_OPEN;
    c->stack[c->depth++] = c->slot = slot;
    if (parent >= 0) clean_row(c, slot, parent);
    clean_node_here(c, slot);
    n->state = CLEAN_DONE;
    c->slot = before;
    c->depth--;
    return true;
}

static inline void clean_spread(clean_run *c)
{
    for (int more = 1, i; more > 0;)
        for (more = i = 0; i < SLOTS; i++)
            if ((c->nodes[i].n.present || row_parent(c->g, i) >= 0) && !c->nodes[i].unsure && takes_unsure(c, i)) c->nodes[i].unsure = true, more++;
}

static inline void clean_compute(clean_run *c, sim_graph *g, const clean_past *past)
{
    memset(c, 0, sizeof *c);
    c->g = g;
    c->past = past;
    for (int i = 0; i < SLOTS; i++)
        if (row_parent(g, i) >= 0) g->nodes[i].present = false;
    for (int i = 0; i < SLOTS; i++) clean_visit(c, i);
    clean_spread(c);
}

#endif
