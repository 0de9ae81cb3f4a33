/*
 * codehash.h - what a Lua effect's code is, as a hash; and whether a job changed what it reaches.
 *
 * design.md section 5, "Lua code hash": canonical bytecode (bytecode.h), upvalue values, what they
 * reach. Written as a typed stream:
 * built-ins by name, functions once and then by number (cycles), tables with their metatables in
 * canonical key order, file handles by
 * path. What cannot be hashed makes the effect `always`, with the reason; what must not be reached
 * (node handles, items, assigned
 * variables) is a static error. One thread; functions raise Lua errors when memory runs out.
 */
#ifndef WEIR_SCRIPT_CODEHASH_H
#define WEIR_SCRIPT_CODEHASH_H

#include "engine/script/loader.h"

/** Fill effect->code, ->uses_require and, where it cannot be hashed, ->always; findings become diagnostics. */
void codehash_effect(lua_State *L, loader *ld, script_effect *effect);
/** Take or compare the state of the tables that the effect reaches (worker). NULL: as before; else what changed (pushed as a string). */
const char *codehash_state(lua_State *L, loader *ld, script_effect *effect);

#endif
