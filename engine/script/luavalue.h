/*
 * luavalue.h - Lua values as canonical encodings (value.h), and back.
 *
 * A table is an array when weir.array marked it or when it has exactly the keys 1..n with n > 0; it
 * is an object when weir.object
 * marked it or all its keys are strings; an empty unmarked table is an object. A nil inside is
 * absent; null is weir.null (the light
 * userdata NULL, as in lua-cjson). Strings that are not UTF-8 become bytes. Arrays that come from
 * an encoding carry the mark.
 * Metamethods are not asked. One thread.
 */
#ifndef WEIR_SCRIPT_LUAVALUE_H
#define WEIR_SCRIPT_LUAVALUE_H

#include "engine/script/luavm.h"
#include "engine/store/value.h"

/** Make the metatables of the marks. Raises. */
void luavalue_install(lua_State *L);
/** Append the encoding of the value at idx. WEIR_WORKFLOW says where in it (`.a[2]`) and why not. Scratch from `arena`. Does not raise. */
int luavalue_put(lua_State *L, int idx, mem_arena *arena, buf *to, weir_error *err);
/** Push the value of a checked encoding. A top-level null is nil. Raises when memory runs out. */
void luavalue_push(lua_State *L, bytes encoded);
/** Is the table at idx marked as an array (1), an object (2), or neither (0)? */
int luavalue_mark(lua_State *L, int idx);
/** weir.array(t), weir.object(t): mark a table, made where absent. */
int luavalue_array(lua_State *L);
int luavalue_object(lua_State *L);

#endif
