/* builtins.c - the table of built-in effects. A new one: its file in this folder, a line in each list here. */
#include "effects/builtins.h"

extern const weir_effect builtin_copy, builtin_concat, builtin_markdown, builtin_symbols, builtin_query;

const weir_effect *const weir_builtins[] = {&builtin_copy, &builtin_concat, &builtin_markdown, &builtin_symbols, &builtin_query, NULL};
