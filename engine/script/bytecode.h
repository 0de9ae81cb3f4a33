/*
 * bytecode.h - the canonical form of Lua 5.4 bytecode, and what it does to variables from outside.
 *
 * Reads what lua_dump wrote (with debug information) and emits it without lines, names of locals
 * and upvalues, source names, and without
 * the place of the outermost function's upvalues in its parent: a moved function, a comment or a
 * renamed local changes nothing. Pure.
 */
#ifndef WEIR_SCRIPT_BYTECODE_H
#define WEIR_SCRIPT_BYTECODE_H

#include "engine/base/memory.h"

typedef enum bytecode_finding { BYTECODE_SETS_UPVALUE, BYTECODE_SETS_GLOBAL } bytecode_finding;

typedef struct bytecode_sink {
    void *ctx;
    void (*emit)(void *ctx, const void *data, size_t size);
    /** An assignment to something that lives outside of the function; `name` of the variable, its line. May be NULL. */
    void (*found)(void *ctx, bytecode_finding what, bytes name, int line);
    const char *constant; /* is there a string constant with this text? NULL: do not look */
    bool has_constant;    /* out */
} bytecode_sink;

/** false: not the format that this was written for. `arena` for scratch. */
bool bytecode_walk(bytes dump, mem_arena *arena, bytecode_sink *sink);

#endif
