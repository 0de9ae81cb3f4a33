/*
 * near.h - "did you mean ...?" Pure; any thread.
 */
#ifndef WEIR_MODEL_NEAR_H
#define WEIR_MODEL_NEAR_H

#include <stddef.h>

/** Closest of `names` to `wrong` by edit distance, or NULL when nothing is near. The first one of equally near ones. */
const char *near_name(const char *wrong, const char *const *names, size_t count);

#endif
