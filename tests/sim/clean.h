/*
 * clean.h - what a clean run gives, and which results an earlier execution has already produced. A naive recomputation in slot
 * order; shares nothing with the engine.
 *
 * memo: prefix -> what is read next, or "leaf". An execution teaches its chain of groups, replacing what a prefix named before
 * (design.md section 5: a prefix has one next group).
 */
#ifndef WEIR_TESTS_SIM_CLEAN_H
#define WEIR_TESTS_SIM_CLEAN_H

#include <stdlib.h>

#include "tests/sim/graph.h"

typedef struct clean_node {
    bool failed, blocked; /* neither: done */
    bool barred;          /* blocked, and not by what it declares: the last of its reads is an output that nobody could make */
    bool unsure;          /* it reads what cannot be foretold */
    sim_result out;
    tracker reads;
    uint64_t key;
} clean_node;

typedef struct clean_run {
    const sim_graph *g;
    int slot;
    clean_node nodes[SLOTS];
} clean_run;

static inline uint64_t mix_text(uint64_t h, const char *text)
{
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3ULL;
    h = (h ^ 0xff) * 0x100000001b3ULL;
    return h ^ (h >> 29);
}

static inline void key_ref(const clean_run *c, const sim_ref *r, char *text, size_t size)
{
    char path[PATH];
    if (r->kind == REF_FILE || r->kind == REF_MADE) snprintf(text, size, "file %s", ref_path(c->g, r, path));
    else if (r->kind == REF_OUTPUT) snprintf(text, size, "port %c", r->port);
    else snprintf(text, size, "node");
}

/* What decides a result before anything is read. */
static inline uint64_t clean_key(const clean_run *c, int slot)
{
    const sim_node *n = &c->g->nodes[slot];
    char text[200], path[PATH];
    snprintf(text, sizeof text, "%d %d %d %d %d %d %d %d", slot, n->command, n->command && n->shell, n->is_list || n->c_count != 1, n->kind, n->variant, n->shape, n->v_count);
    uint64_t h = mix_text(n->command || c->g->versions[n->kind] == 0 ? 0xcbf29ce484222325ULL : 0x9ae16a3b2f90404fULL, text);
    for (int k = 0; k < n->c_count; k++) {
        key_ref(c, &n->c[k], text, sizeof text);
        h = mix_text(h, text);
        if (n->command) h = mix_text(h, ref_path(c->g, &n->c[k], path));
    }
    for (int k = 0; k < n->v_count; k++) {
        key_ref(c, &n->v[k], text, sizeof text);
        h = mix_text(h, text);
    }
    if (n->x >= 0) h = mix_text(h, source_path(c->g, n->x, path));
    if (n->command) h = mix_text(h, made_path(c->g, slot, 'a', path));
    return h;
}

static inline void clean_file(const clean_run *c, const char *path, char text[TEXT])
{
    char p[PATH];
    snprintf(text, TEXT, "-");
    for (int i = 0; i < SOURCES; i++)
        if (c->g->sources[i].present && strcmp(source_path(c->g, i, p), path) == 0) snprintf(text, TEXT, "%s", c->g->sources[i].text);
    for (int i = 0; i < c->slot; i++) {
        const sim_node *n = &c->g->nodes[i];
        if (!n->present) continue;
        if (has_a(n) && strcmp(made_path(c->g, i, 'a', p), path) == 0) snprintf(text, TEXT, "%s", c->nodes[i].out.a);
        if (has_b(n) && strcmp(made_path(c->g, i, 'b', p), path) == 0) snprintf(text, TEXT, "%s", c->nodes[i].out.b);
    }
}

/* The slot whose output is read here and is not to be had; -1: none. */
static inline int unmade(const clean_run *c, const char *path)
{
    char p[PATH];
    for (int i = 0; i < c->slot; i++) {
        const sim_node *n = &c->g->nodes[i];
        if (!n->present || !(c->nodes[i].failed || c->nodes[i].blocked)) continue;
        if (has_a(n) && strcmp(made_path(c->g, i, 'a', p), path) == 0) return i;
        if (has_b(n) && strcmp(made_path(c->g, i, 'b', p), path) == 0) return i;
    }
    return -1;
}

/* What an effect would read after an output that is not there is no read; a command says all of its reads at once. */
static inline bool clean_read(void *ctx, const char *path, char text[TEXT])
{
    clean_run *c = ctx;
    clean_node *n = &c->nodes[c->slot];
    char id[32];
    int maker = unmade(c, path);
    clean_file(c, path, text);
    if (maker < 0 || declared_id(c->g, &c->g->nodes[c->slot], path, id)) return true;
    n->barred = true;
    if (c->g->nodes[c->slot].command) return true;
    track(&n->reads, path, "", false);
    n->reads.makers |= 1U << maker;
    return false;
}

static inline bool clean_member(void *ctx, char port, int k, char text[TEXT])
{
    const clean_run *c = ctx;
    const sim_node *n = &c->g->nodes[c->slot];
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
    names_text(c->g, &c->g->nodes[c->slot], port, text);
    snprintf(id, sizeof id, "names %c", port);
    track(&c->nodes[c->slot].reads, id, text, true);
    return true;
}

/* Slots that a node declares to read. */
static inline uint32_t declared_makers(const sim_graph *g, int slot)
{
    const sim_node *n = &g->nodes[slot];
    uint32_t makers = 0;
    for (int k = 0; k < n->c_count; k++)
        if (n->c[k].kind != REF_FILE) makers |= 1U << n->c[k].index;
    for (int k = 0; k < n->v_count; k++) makers |= 1U << n->v[k].index;
    return makers;
}

/** stale: paths o/<slot>.a that lie there without a maker. */
static inline void clean_compute(clean_run *c, const sim_graph *g, uint64_t stale)
{
    memset(c, 0, sizeof *c);
    c->g = g;
    for (c->slot = 0; c->slot < SLOTS; c->slot++) {
        clean_node *n = &c->nodes[c->slot];
        if (!g->nodes[c->slot].present) continue;
        n->key = clean_key(c, c->slot);
        uint32_t makers = declared_makers(g, c->slot);
        for (int i = 0; i < c->slot; i++) {
            if (!(makers >> i & 1)) continue;
            if (c->nodes[i].failed || c->nodes[i].blocked) n->blocked = true;
            if (c->nodes[i].unsure) n->unsure = true;
        }
        sim_io io = {.ctx = c, .member = clean_member, .names = clean_names, .file = clean_read};
        perform(g, c->slot, &io, &n->reads, &n->out);
        if (n->blocked) n->barred = false;
        if (n->barred) n->blocked = true;
        if (!n->blocked && !n->out.ok) n->failed = true;
        if (n->reads.ghosts & stale) n->unsure = true;
        for (int i = 0; i < SLOTS; i++)
            if ((n->reads.makers >> i & 1) && c->nodes[i].unsure) n->unsure = true;
    }
}

/* --- memo --------------------------------------------------------------------------------------------------------- */

enum { MEMO_SIZE = 1 << 16, MEMO_LEAF = 1 };
typedef struct memo {
    struct { uint64_t prefix, next; } *rows;
    size_t count;
} memo;

static inline uint64_t *memo_row(memo *m, uint64_t prefix, bool make)
{
    if (!m->rows) m->rows = calloc(MEMO_SIZE, sizeof *m->rows);
    for (size_t i = prefix % MEMO_SIZE;; i = (i + 1) % MEMO_SIZE) {
        if (m->rows[i].prefix == prefix) return &m->rows[i].next;
        if (m->rows[i].prefix != 0) continue;
        if (!make || ++m->count > MEMO_SIZE / 2) return NULL;
        m->rows[i].prefix = prefix;
        return &m->rows[i].next;
    }
}

/* One step along a chain: the prefix behind a group, and what the group names. */
static inline int group_step(const tracker *t, int at, uint64_t *prefix, uint64_t *names)
{
    int group = t->reads[at].group;
    *names = 2;
    for (; at < t->count && t->reads[at].group == group; at++) {
        *names = mix_text(*names, t->reads[at].id);
        *prefix = mix_text(*prefix, t->reads[at].text);
    }
    return at;
}

/* Reads that ended in a result, or that came to what could not be made: then they lead nowhere. */
static inline void memo_learn(memo *m, uint64_t key, const tracker *t, bool barred)
{
    uint64_t prefix = key, names;
    for (int at = 0; at < t->count;) {
        uint64_t *row = memo_row(m, prefix, true);
        at = group_step(t, at, &prefix, &names);
        if (row) *row = names;
    }
    uint64_t *leaf = barred ? NULL : memo_row(m, prefix, true);
    if (leaf) *leaf = MEMO_LEAF;
}

/* Is the result known; or, barred: is it known that this is read, whatever it holds? */
static inline bool memo_has(memo *m, uint64_t key, const tracker *t, bool barred)
{
    uint64_t prefix = key, names;
    for (int at = 0; at < t->count;) {
        const uint64_t *row = memo_row(m, prefix, false);
        at = group_step(t, at, &prefix, &names);
        if (!row || *row != names) return false;
    }
    if (barred) return true;
    const uint64_t *leaf = memo_row(m, prefix, false);
    return leaf && *leaf == MEMO_LEAF;
}

#endif
