/*
 * luavm.h - the strict Lua state: what it contains, its memory, and the one protected call.
 *
 * The environment is built from an allow-list (luastrict.c): no io, os, debug, dofile, load of
 * bytecode, unseeded random; globals, library tables
 * and the string metatable are read-only; nothing of user code runs as a finalizer. Memory is a
 * budget. One thread.
 *
 * Rules for C functions that a script can call: own nothing across a Lua call that may raise;
 * scratch memory belongs to the owner.
 */
#ifndef WEIR_SCRIPT_LUAVM_H
#define WEIR_SCRIPT_LUAVM_H

#include <lauxlib.h>
#include <lua.h>

#include "engine/base/error.h"
#include "engine/base/memory.h"

typedef struct luavm luavm;

/** Where and why a protected call failed. */
typedef struct luavm_failure {
    char message[1024]; /* without position, one line or more */
    char hint[256];     /* "" if none */
    char file[512];     /* "" if none */
    int line;
    bool memory; /* the budget was reached */
} luavm_failure;

/** @param limit_bytes  budget of this state; 0: none */
int luavm_open(luavm **out, size_t limit_bytes, weir_error *err);
void luavm_close(luavm *vm);
lua_State *luavm_state(luavm *vm);
size_t luavm_used(const luavm *vm);
/** Any pointer, found again by luavm_owner from any coroutine. Borrowed. */
void luavm_set_owner(luavm *vm, void *owner);
void *luavm_owner(lua_State *L);

/**
 * Call what is on the stack (function, then nargs arguments) protected. 0: results on the stack;
 * WEIR_WORKFLOW or WEIR_NOMEM: nothing is
 * left, `failure` is filled in and the traceback appended to `trace` (may be NULL).
 */
int luavm_call(luavm *vm, int nargs, int nresults, luavm_failure *failure, buf *trace);
/** Run a C function protected, with one light userdata as its argument and no results. */
int luavm_run(luavm *vm, lua_CFunction body, void *arg, luavm_failure *failure, buf *trace);
/** Compile text (never bytecode) in the strict environment; pushes the function. Call it inside a protected call: raises on syntax errors. */
void luavm_compile(lua_State *L, bytes text, const char *chunkname, bool foreign);
/** Start the sequence of math.random anew: every load and every job sees the same one. Raises. */
void luavm_reseed(lua_State *L);
/** Raise an error with the position of the caller, and a hint that diagnostics show apart. */
int luavm_raise(lua_State *L, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Split "message\nhint: text"; `message` is cut in place; NULL: no hint. */
const char *luavm_split_hint(char *message);

/* Built-ins by name (luastrict.c), for the code hash: read-only tables, library functions. */
/** The name of the object at idx, or NULL. */
const char *luavm_builtin_name(lua_State *L, int idx);
/** Give the object at idx a name; functions of a table: "name.key". */
void luavm_name_builtin(lua_State *L, int idx, const char *name);
/** Replace the table on top by a read-only view of it with this name. `kind`: as in "weir has no member 'x'". */
void luavm_freeze(lua_State *L, const char *name, lua_CFunction missing);
bool luavm_is_frozen(lua_State *L, int idx);
/** Build the environment (once, by luavm_open). Raises. */
void luastrict_install(lua_State *L);
/** Set the function behind `print` and `require`. */
void luastrict_set(lua_State *L, const char *name, lua_CFunction function);
/** Push the globals that project files see (the table behind the view), or those of foreign modules. */
void luastrict_push_globals(lua_State *L, bool foreign);
/** Raised for an unknown name among those of the table at idx (strings as keys): with a did-you-mean. */
int luavm_unknown(lua_State *L, int idx, const char *what, const char *name);
/** Closest string key of the table at idx, or NULL; valid as long as the table holds it. */
const char *luavm_near_key(lua_State *L, int idx, const char *name);

#endif
