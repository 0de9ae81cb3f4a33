/*
 * declaration.h - what a node declares, as a person or a program reads it: names instead of numbers.
 */
#ifndef WEIR_DOOR_DECLARATION_H
#define WEIR_DOOR_DECLARATION_H

#include "engine/door/query.h"

/** Parts of a declaration that can differ, one text each. */
enum { DECLARATION_PARTS = 8 };
extern const char *const DECLARATION_NAMES[DECLARATION_PARTS]; /* "params", "command" ... */
/** One line; "" when the part is not there. */
int declaration_part(query *q, const node_spec *spec, int part, buf *to);
/** What differs between two declarations: "  params: OLD -> NEW" lines; nothing if they are alike. */
int declaration_differences(query *q, uint64_t old_seq, uint64_t new_seq, buf *to);
/** The same as a JSON array of {"part","old","new"}. */
int declaration_differences_json(query *q, uint64_t old_seq, uint64_t new_seq, buf *to);

#endif
