/*
 * memo.h - which results an earlier execution has already produced: prefix -> what is read next, or "leaf".
 *
 * An execution teaches its chain of groups, replacing what a prefix named before (design.md section 5: a prefix has one next group).
 */
#ifndef WEIR_TESTS_SIM_MEMO_H
#define WEIR_TESTS_SIM_MEMO_H

#include "tests/sim/clean.h"

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
