#include "table.h"

#include <stdlib.h>
#include <string.h>

static size_t hash(const char *word)
{
    size_t h = 1469598103934665603u;
    for (; *word; word++) h = (h ^ (unsigned char)*word) * 1099511628211u;
    return h;
}

static struct entry *find(struct entry *slots, size_t room, const char *word)
{
    size_t at = hash(word) & (room - 1);
    while (slots[at].word && strcmp(slots[at].word, word) != 0) at = (at + 1) & (room - 1);
    return &slots[at];
}

static int grow(struct table *t)
{
    size_t room = t->room ? t->room * 2 : 64;
    struct entry *slots = calloc(room, sizeof *slots);
    if (!slots) return -1;
    for (size_t i = 0; i < t->room; i++) {
        if (t->slots[i].word) *find(slots, room, t->slots[i].word) = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->room = room;
    return 0;
}

int table_add(struct table *t, const char *word)
{
    if (t->used * 2 >= t->room && grow(t) != 0) return -1;
    struct entry *e = find(t->slots, t->room, word);
    if (!e->word) {
        size_t size = strlen(word) + 1;
        e->word = malloc(size);
        if (!e->word) return -1;
        memcpy(e->word, word, size);
        t->used++;
    }
    e->count++;
    return 0;
}

static int by_count(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (!x->word || !y->word) return (x->word == NULL) - (y->word == NULL);
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return strcmp(x->word, y->word);
}

void table_sort(struct table *t)
{
    if (t->room) qsort(t->slots, t->room, sizeof *t->slots, by_count);
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->room; i++) free(t->slots[i].word);
    free(t->slots);
}
