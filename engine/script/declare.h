/*
 * declare.h - what the files of luadeclare share: a declaration being read.
 *
 *   luadeclare.c      the order of things, keys, params, the rest
 *   declare_params.c  params
 *   declare_ports.c   inputs, outputs, {{placeholders}}
 *   declare_command.c what only commands have
 *   declare_limits.c  pool, mem; weir.pool
 *   declare_effect.c  weir.effect
 */
#ifndef WEIR_SCRIPT_DECLARE_H
#define WEIR_SCRIPT_DECLARE_H

#include "engine/script/luahandle.h"
#include "engine/script/luavalue.h"

typedef struct declaration {
    lua_State *L;
    loader *ld;
    script_effect *effect;
    int table; /* stack index */
    source_position where;
    node_spec spec;
    bytes given; /* params as written: for the name */
    size_t errors;
    bool broken;         /* uses something broken: no node, no message */
    bool has_bad_params; /* then placeholders cannot be judged */
} declaration;

/** Report a finding about this declaration; `key`: the word to look for in the source, or NULL. */
void declare_complain(declaration *d, const char *key, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/** "did you mean 'x'?" in the scratch arena, or NULL. */
const char *declare_suggest(loader *ld, const char *wrong, const char *const *names, size_t count);
bool declare_is_one_of(const char *word, const char *const *list, size_t count);
/** Push table[key], raw; its type. */
int declare_field(declaration *d, const char *key);
/** Push the table of a group (inputs, outputs, env) if it is one; false: there is none. */
bool declare_group(declaration *d, const char *name);
/** Zeroed scratch memory for count + 1 things. Raises. */
void *declare_room(declaration *d, size_t count, size_t size);
size_t declare_count(lua_State *L, int idx);
bytes declare_text(lua_State *L, int idx);

/** `params`, and what may stand beside it. */
void declare_params(declaration *d);
/** The params that are part of the name, as a canonical object in scratch memory. */
bytes declare_naming(declaration *d);
/** Is this a param that is no part of the name (WEIR_UNNAMED)? */
bool declare_is_unnamed(const declaration *d, bytes key);
void declare_inputs(declaration *d);
void declare_outputs(declaration *d);
/** Report {{name}}s of a command that mean nothing. */
void declare_placeholders(declaration *d, bytes text);
/** Expand params (and outputs) in a path and normalise it. */
bool declare_path(declaration *d, const char *where, const char *key, bytes text, bool ports,
                  bytes *path);
void declare_command(declaration *d);
/** The policy named by `code` in the table at idx; a finding about it goes to `tell`. CODE_TRACK without one. */
code_policy declare_policy(lua_State *L, loader *ld, int idx,
                           void (*tell)(void *ctx, const char *hint, const char *what), void *ctx);
/** SPEC_RESTART, SPEC_IGNORE or 0 by `inflight` in the table at idx; *flags stays what it was without one. false: a finding went to `tell`. */
bool declare_inflight(lua_State *L, loader *ld, int idx, uint32_t *flags,
                      void (*tell)(void *ctx, const char *hint, const char *what), void *ctx);
/** pool and mem. */
void declare_limits(declaration *d);

#endif
