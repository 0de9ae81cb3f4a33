/* luarequire.h - doors between luarequire.c, luaapi.c and codehash.c; the others are in loader.h. */
#ifndef WEIR_SCRIPT_LUAREQUIRE_H
#define WEIR_SCRIPT_LUAREQUIRE_H

#include "engine/script/loader.h"

/** Push the chunk of one of weir's own modules; false: there is none of this name. Raises. */
bool luarequire_own(lua_State *L, loader *ld, const char *name);
/**
 * What decides the results of a function of a C module that is known to be pure: the module's build and its settings.
 * `function` as "cjson.encode". false: not of such a module.
 */
bool luarequire_pure(lua_State *L, const char *function, hash128 *state);

#endif
