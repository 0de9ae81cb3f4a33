/*
 * glob_pattern.h - a glob pattern taken apart, and the states of walking along it.
 *
 * Braces are expanded into branches; a branch is a list of parts, one per component of a path. While a path is followed, each branch
 * has a set of parts that may match the next component: one bit each. Any thread; memory in the caller's arena.
 */
#ifndef WEIR_WORLD_GLOB_PATTERN_H
#define WEIR_WORLD_GLOB_PATTERN_H

#include "engine/base/error.h"
#include "engine/base/memory.h"

enum { GLOB_PARTS = 64, GLOB_BRANCHES = 256 };

typedef enum glob_kind { GLOB_LITERAL, GLOB_WILD, GLOB_ANY_DEPTH } glob_kind;

typedef struct glob_part {
    glob_kind kind;
    const char *text; /* GLOB_LITERAL: the name itself, without escapes */
} glob_part;

typedef struct glob_branch {
    glob_part *parts;
    size_t count; /* 1 to GLOB_PARTS */
} glob_branch;

typedef struct glob_pattern {
    glob_branch *branches;
    size_t count;
} glob_pattern;

/** What one name leads to. */
typedef struct glob_step {
    bool is_match;   /* a file of this name matches the whole pattern */
    bool is_on_way;  /* a folder of this name leads on: `next` */
    bool is_on_link; /* also if it is a link to a folder: `next_link` */
} glob_step;

/** WEIR_WORKFLOW with the cause when it is malformed, absolute or leaves the root. */
int glob_parse(glob_pattern *to, const char *pattern, mem_arena *arena, weir_error *err);
/** Length of the part that ends with the last slash before anything special. */
size_t glob_fixed(const char *pattern);
/** The states at the root; one set per branch. */
void glob_start(const glob_pattern *p, uint64_t *states);
/** From `states` by one name. next and next_link: one set per branch; folders, and links to folders. */
glob_step glob_advance(const glob_pattern *p, const uint64_t *states, const char *name,
                       uint64_t *next, uint64_t *next_link);
/** Is every part that may come next a plain name? Then no folder needs to be listed. */
bool glob_is_literal(const glob_pattern *p, const uint64_t *states);

#endif
