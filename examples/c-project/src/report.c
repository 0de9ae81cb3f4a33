#include "report.h"

#include <stdio.h>

#include "messages.h"

void report_print(const struct table *t, size_t limit)
{
    unsigned long total = 0;
    for (size_t i = 0; i < t->used; i++) {
        if (i < limit) printf("%6u %s\n", t->slots[i].count, t->slots[i].word);
        total += t->slots[i].count;
    }
    if (total == 0) puts(MSG_EMPTY);
    else printf("%6lu %s\n", total, MSG_TOTAL);
}
