#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

struct entry {
    char *word;
    unsigned count;
};

struct table {
    struct entry *slots;
    size_t used, room; /* room is a power of two */
};

/* Counts one more of `word`. Returns 0, or -1 when there is no memory. */
int table_add(struct table *t, const char *word);
/* Moves the entries to the front, most frequent first; afterwards only table_free may be called. */
void table_sort(struct table *t);
void table_free(struct table *t);

#endif
