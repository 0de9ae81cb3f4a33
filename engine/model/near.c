/*
 * near.c - the closest of some names by edit distance: insert, remove, replace, swap two neighbours.
 *
 * Near is at most a third of the length, at least 1, at most 5. A row of the table is given up as soon as it cannot end near.
 * Names longer than 255 bytes are never near.
 *
 * Any thread. After: Wagner and Fischer, 1974, with the swap of Damerau, 1964 (each byte takes part in one change).
 */
#include "engine/model/near.h"

#include <string.h>

enum { LONGEST = 255, FARTHEST = 5 };

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* The distance, or limit + 1 if it is larger. */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size, unsigned limit)
{
    unsigned rows[3][LONGEST + 1];
    size_t gap = a_size > b_size ? a_size - b_size : b_size - a_size;
    if (gap > limit || a_size > LONGEST || b_size > LONGEST) return limit + 1;
    for (unsigned j = 0; j <= b_size; j++) rows[0][j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        unsigned least = row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned differs = a[i - 1] != b[j - 1];
            row[j] = smallest(last[j] + 1, row[j - 1] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && row[j] > before[j - 2] + 1)
                row[j] = before[j - 2] + 1;
            if (row[j] < least) least = row[j];
        }
        if (least > limit) return limit + 1;
    }
    return rows[a_size % 3][b_size];
}

const char *near_name(const char *wrong, const char *const *names, size_t count)
{
    size_t size = strlen(wrong);
    size_t third = (size + 2) / 3;
    unsigned limit = third > FARTHEST ? FARTHEST : (unsigned)third;
    const char *best = NULL;
    for (size_t i = 0; i < count && limit > 0; i++) {
        unsigned far = distance(wrong, size, names[i], strlen(names[i]), limit);
        if (far > limit) continue;
        best = names[i];
        limit = far - (far > 0); /* only a nearer one from here on */
        if (far == 0) break;
    }
    return best;
}
