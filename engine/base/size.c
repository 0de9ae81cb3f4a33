/*
 * size.c - reads sizes. Any thread.
 */
#include "engine/base/size.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool size_parse(const char *text, uint64_t *size_bytes)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    if (!isdigit((unsigned char)*text)) return false;
    double number = strtod(text, &end);
    while (*end == ' ') end++;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        number = ldexp(number, 10 * (int)(unit - units + 1));
        end++;
        if (*end == 'i') end++;
    }
    if (*end == 'B') end++;
    if (*end != '\0' || !(number >= 0 && number < 1e18)) return false;
    *size_bytes = (uint64_t)number;
    return true;
}
