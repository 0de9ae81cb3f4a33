/*
 * depfile.h - what a compiler says it read: make syntax as gcc and clang write it.
 *
 * Rules `target ...: prerequisite ...` with `\` at line ends, `\ ` and `\#` in names, `$$` for a dollar, CRLF; several targets and
 * rules are one set. An empty text is an empty set. Pure; any thread.
 */
#ifndef WEIR_MODEL_DEPFILE_H
#define WEIR_MODEL_DEPFILE_H

#include "engine/base/error.h"
#include "engine/base/memory.h"

/** Prerequisites in order of appearance, each once; in `arena`, NUL behind each. WEIR_WORKFLOW when a rule has no colon. */
int depfile_parse(bytes text, mem_arena *arena, bytes **paths, size_t *count, weir_error *err);

#endif
