/*
 * memo.h - which results an earlier execution has already produced: prefix -> what is read next, or "leaf".
 *
 * An execution teaches its chain of groups; a prefix may name several (store/trace.h).
 */
#ifndef WEIR_TESTS_SIM_MEMO_H
#define WEIR_TESTS_SIM_MEMO_H

#include "tests/sim/clean.h"

static inline void key_ref(const clean_run *c, const sim_ref *r, char *text, size_t size)
{
    char path[PATH];
    if (r->kind == REF_FILE || r->kind == REF_MADE) snprintf(text, size, "file %s", ref_path(c->g, r, path));
    else if (r->kind == REF_OUTPUT) snprintf(text, size, "port %c", r->port);
    else snprintf(text, size, "node");
}

enum { VOIDS = 256 };
static struct memo_voids {
    uint64_t keys[VOIDS]; /* in the order in which their results were given up */
    int count;
    int of_slot[64]; /* how often a slot's failures were */
} memo_voids;

/* A key whose results were given up is another one from then on. */
static inline uint64_t key_after_voids(uint64_t key)
{
    for (int i = 0; i < memo_voids.count; i++)
        if (memo_voids.keys[i] == key) key = mix_text(key, "void");
    return key;
}

/* What decides a result before anything is read. */
static inline uint64_t clean_key(const clean_run *c, int slot, const sim_node *n)
{
    char text[200], path[PATH];
    snprintf(text, sizeof text, "%d %d %d %d %d %d %d %d %d", slot, n->command, n->command && n->shell, n->has_c && (n->is_list || n->c_count != 1), n->kind, n->variant, n->shape,
             n->v_count, n->has_c);
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
#ifdef SIM_REAL
    if (is_expand(n) && n->letter != 'n') h = mix_text(h, "weir.expand registers its effect by the node's name");
#endif
    if (n->command) h = mix_text(h, made_path(c->g, slot, 'a', path));
    return key_after_voids(h);
}

enum { MEMO_SIZE = 1 << 16, MEMO_OPEN = 0, MEMO_LEAF = 1, MEMO_FAILED = 4 };
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

/* What the reads of a node end in; a failure that was given up is not the one of now. Those that come to what could not be made lead nowhere. */
static inline uint64_t memo_end(int slot, const clean_node *n)
{
    if (n->barred) return MEMO_OPEN;
    return n->out.ok ? MEMO_LEAF : (uint64_t)MEMO_FAILED + 2 * (uint64_t)memo_voids.of_slot[slot];
}

static inline void memo_learn(memo *m, uint64_t key, const tracker *t, uint64_t end)
{
    uint64_t prefix = key, names;
    for (int at = 0; at < t->count;) {
        uint64_t before = prefix;
        at = group_step(t, at, &prefix, &names);
        uint64_t *row = memo_row(m, before ^ names, true);
        if (row) *row = names;
    }
    uint64_t *leaf = end == MEMO_OPEN ? NULL : memo_row(m, prefix, true);
    if (leaf) *leaf = end;
}

/* Is the result known; or, open: is it known that this is read, whatever it holds? */
static inline bool memo_has(memo *m, uint64_t key, const tracker *t, uint64_t end)
{
    uint64_t prefix = key, names;
    for (int at = 0; at < t->count;) {
        uint64_t before = prefix;
        at = group_step(t, at, &prefix, &names);
        const uint64_t *row = memo_row(m, before ^ names, false);
        if (!row || *row != names) return false;
    }
    if (end == MEMO_OPEN) return true;
    const uint64_t *leaf = memo_row(m, prefix, false);
    return leaf && *leaf == end;
}

/* false: there were too many. */
static inline bool memo_void(int slot, uint64_t key)
{
    if (memo_voids.count == VOIDS) return false;
    memo_voids.keys[memo_voids.count++] = key;
    memo_voids.of_slot[slot]++;
    return true;
}

#endif
