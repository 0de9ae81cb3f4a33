#ifndef REPORT_H
#define REPORT_H

#include "table.h"

/* Prints the `limit` most frequent words of a sorted table, and how many there were. */
void report_print(const struct table *t, size_t limit);

#endif
