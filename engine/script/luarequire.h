/* luarequire.h - one door between luarequire.c and luaapi.c; the others are in loader.h. */
#ifndef WEIR_SCRIPT_LUAREQUIRE_H
#define WEIR_SCRIPT_LUAREQUIRE_H

#include "engine/script/loader.h"

/** Push the chunk of one of weir's own modules; false: there is none of this name. Raises. */
bool luarequire_own(lua_State *L, loader *ld, const char *name);

#endif
