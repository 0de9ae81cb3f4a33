/*
 * luahandle.h - what declarations leave behind in Lua: small userdata that name a file, an item, a
 * node, an output, an effect.
 *
 * All texts are packed behind the struct, one allocation per handle (design budget: 150 bytes a
 * node). They are constant: no script can
 * change one, and the code hash writes a file handle as its name. One thread.
 */
#ifndef WEIR_SCRIPT_LUAHANDLE_H
#define WEIR_SCRIPT_LUAHANDLE_H

#include "engine/script/loader.h"

typedef enum handle_kind {
    HANDLE_FILE = 1,
    HANDLE_ENV,
    HANDLE_VALUE,
    HANDLE_TOOL,
    HANDLE_NODE,
    HANDLE_OUTPUT,
    HANDLE_EFFECT,
    HANDLE_KEY, /* of a document */
    HANDLE_FOLDER,
    HANDLE_TREE,
    HANDLE_LINK,
    HANDLE_BROKEN, /* stands for a declaration with an error: accepted everywhere, so that the other errors are found too */
    HANDLE_CHILDREN /* rows:nodes(): all nodes that an expand node declares; the name is that of the expand node */
} handle_kind;

typedef struct handle {
    uint32_t name_size, extra_size;
    uint32_t number; /* EFFECT: index; NODE: 1: an expand node; FILE: length of the fixed part of its glob; VALUE: see below */
    uint8_t kind;
    char text[]; /* name, NUL, extra */
} handle;

/* extra: VALUE: canonical encoding as the engine gave it (empty: unset), `number` bytes, then that of the default
 *        NODE: packed params, count, then port and path of each output
 *        OUTPUT: packed port, path; the name is the node's
 *        KEY: key and default, as a declaration holds them (store/document.h); the name is the document's path */

void luahandle_install(lua_State *L);
/** Push a new handle. Raises when memory runs out. */
void luahandle_push(lua_State *L, handle_kind kind, bytes name, bytes extra, uint32_t number);
/** The handle at idx, or NULL. */
const handle *luahandle_at(lua_State *L, int idx);
static inline bytes handle_name(const handle *h)
{
    return bytes_of(h->text, h->name_size);
}
static inline bytes handle_extra(const handle *h)
{
    return bytes_of(h->text + h->name_size + 1, h->extra_size);
}
/** "node page[post=intro]", "file a.md": for messages. Pushes the string. */
const char *luahandle_describe(lua_State *L, const handle *h);
/** Port and path of an OUTPUT handle. */
void handle_output(const handle *h, bytes *port, bytes *path);
/** file:key "a.b", file:key("a.b", default), also of an output: pushes the handle of the key of `path`. */
int luahandle_key(lua_State *L, bytes path);
/** :lines() and :json() of the string on top. */
int luahandle_lines(lua_State *L);
int luahandle_json(lua_State *L);
/** Push one of name, stem, ext, rel of a path; false: no such thing. */
bool luahandle_push_part(lua_State *L, bytes path, size_t fixed, const char *part);

#endif
