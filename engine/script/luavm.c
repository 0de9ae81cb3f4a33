/*
 * luavm.c - a Lua state with a memory budget, and the one way into it.
 *
 * The message handler runs where the error is raised, so it still sees the stack: it notes the file
 * and line that the message names,
 * with the full path (Lua shortens paths in messages), and writes the traceback.
 */
#include "engine/script/luavm.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct luavm {
    lua_State *L;
    size_t used, limit; /* bytes; limit 0: none */
    bool refused;       /* an allocation went over the budget since the last call began */
    void *owner;
    luavm_failure *failure; /* of the call that runs; the handler fills it in */
    buf *trace;
};

static void *budget_alloc(void *ctx, void *old, size_t old_size, size_t size)
{
    luavm *vm = ctx;
    if (!old) old_size = 0; /* then it says what kind of object is made */
    if (size == 0) {
        mem_free(old);
        vm->used -= old_size;
        return NULL;
    }
    if (size > old_size && vm->limit > 0 && vm->used - old_size + size > vm->limit) {
        vm->refused = true;
        return NULL;
    }
    void *fresh = old ? mem_resize(old, size) : mem_alloc(size);
    if (!fresh && size <= old_size) return old; /* Lua assumes that shrinking cannot fail */
    if (fresh) vm->used += size - old_size;
    return fresh;
}

/* The vm is found from any coroutine: Lua copies the main thread's extra space into each. */
static luavm *vm_of(lua_State *L)
{
    luavm *vm;
    memcpy(&vm, lua_getextraspace(L), sizeof vm);
    return vm;
}

static int install(lua_State *L)
{
    luastrict_install(L);
    return 0;
}

int luavm_open(luavm **out, size_t limit_bytes, weir_error *err)
{
    *out = NULL;
    luavm *vm = mem_zero(1, sizeof *vm);
    if (!vm) return error_nomem(err, "starting Lua");
    vm->limit = limit_bytes;
    vm->L = lua_newstate(budget_alloc, vm);
    if (!vm->L) {
        mem_free(vm);
        return error_nomem(err, "starting Lua");
    }
    memcpy(lua_getextraspace(vm->L), &vm, sizeof vm);
    luavm_failure failure;
    int rc = luavm_run(vm, install, NULL, &failure, NULL);
    if (rc != 0) {
        error_set(err, rc, "cannot start Lua: %s", failure.message);
        luavm_close(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

void luavm_close(luavm *vm)
{
    if (!vm) return;
    lua_close(vm->L);
    mem_free(vm);
}

lua_State *luavm_state(luavm *vm)
{
    return vm->L;
}

size_t luavm_used(const luavm *vm)
{
    return vm->used;
}

void luavm_set_owner(luavm *vm, void *owner)
{
    vm->owner = owner;
}

void *luavm_owner(lua_State *L)
{
    return vm_of(L)->owner;
}

/* --- errors ----------------------------------------------------------------------------------- */

int luavm_raise(lua_State *L, const char *hint, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    luaL_where(L, 1);
    if (lua_rawlen(L, -1) == 0) { /* called through a C function such as pcall: look further out */
        lua_pop(L, 1);
        luaL_where(L, 2);
    }
    lua_pushstring(L, text);
    if (hint) {
        lua_pushstring(L, "\nhint: ");
        lua_pushstring(L, hint);
    }
    lua_concat(L, hint ? 4 : 2);
    return lua_error(L);
}

const char *luavm_split_hint(char *message)
{
    static const char mark[] = "\nhint: ";
    char *at = strstr(message, mark);
    if (!at) return NULL;
    *at = '\0';
    return at + sizeof mark - 1;
}

/* Length of a leading "file:12: ", or 0. */
static size_t position_prefix(const char *text, size_t *name_size, int *line)
{
    for (const char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':')) {
        if (memchr(text, '\n', (size_t)(colon - text))) return 0;
        const char *digit = colon + 1;
        while (isdigit((unsigned char)*digit)) digit++;
        if (digit == colon + 1 || digit[0] != ':' || digit[1] != ' ') continue;
        *name_size = (size_t)(colon - text);
        *line = atoi(colon + 1);
        return (size_t)(digit + 2 - text);
    }
    return 0;
}

static void copy_text(char *to, size_t room, const char *from, size_t size)
{
    if (size >= room) size = room - 1;
    memcpy(to, from, size);
    to[size] = '\0';
}

/* Lua shortens long paths in messages: the frame that is meant has the whole one. */
static void full_file(lua_State *L, const char *short_name, size_t size, luavm_failure *failure)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "S", &ar);
        if (ar.source[0] != '@' || strlen(ar.short_src) != size ||
            memcmp(ar.short_src, short_name, size) != 0)
            continue;
        copy_text(failure->file, sizeof failure->file, ar.source + 1, strlen(ar.source + 1));
        return;
    }
    if (short_name[0] != '[') copy_text(failure->file, sizeof failure->file, short_name, size);
}

static void describe(lua_State *L, const char *text, luavm_failure *failure)
{
    size_t name_size = 0;
    int line = 0;
    size_t skip = position_prefix(text, &name_size, &line);
    copy_text(failure->message, sizeof failure->message, text + skip, strlen(text + skip));
    const char *hint = luavm_split_hint(failure->message);
    if (hint) copy_text(failure->hint, sizeof failure->hint, hint, strlen(hint));
    if (skip == 0) return;
    failure->line = line;
    full_file(L, text, name_size, failure);
}

/* A message for any error value. */
static const char *error_text(lua_State *L)
{
    const char *text = lua_tostring(L, 1);
    if (text) return text;
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    return lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
}

static int on_error(lua_State *L)
{
    luavm *vm = vm_of(L);
    if (!vm->failure) return 1;
    describe(L, error_text(L), vm->failure);
    if (vm->trace) {
        luaL_traceback(L, L, NULL, 1);
        buf_text(vm->trace, lua_tostring(L, -1));
        buf_byte(vm->trace, '\n');
        lua_pop(L, 1);
    }
    lua_settop(L, 1);
    return 1;
}

int luavm_call(luavm *vm, int nargs, int nresults, luavm_failure *failure, buf *trace)
{
    lua_State *L = vm->L;
    luavm_failure *outer_failure = vm->failure;
    buf *outer_trace = vm->trace;
    *failure = (luavm_failure){.line = 0};
    vm->failure = failure;
    vm->trace = trace;
    vm->refused = false;
    int base = lua_gettop(L) - nargs;
    lua_pushcfunction(L, on_error);
    lua_insert(L, base);
    int status = lua_pcall(L, nargs, nresults, base);
    lua_remove(L, base);
    vm->failure = outer_failure;
    vm->trace = outer_trace;
    if (status == LUA_OK) return 0;
    if (status == LUA_ERRMEM || (vm->refused && failure->message[0] == '\0')) {
        failure->memory = true;
        snprintf(failure->message, sizeof failure->message, "memory limit of %zu MiB reached",
                 vm->limit >> 20);
        if (!vm->refused) snprintf(failure->message, sizeof failure->message, "out of memory");
    } else if (failure->message[0] == '\0') { /* an error in the handler itself */
        snprintf(failure->message, sizeof failure->message,
                 "error in error handling (stack overflow?)");
    }
    lua_settop(L, base - 1);
    return status == LUA_ERRMEM ? WEIR_NOMEM : WEIR_WORKFLOW;
}

int luavm_run(luavm *vm, lua_CFunction body, void *arg, luavm_failure *failure, buf *trace)
{
    lua_pushcfunction(vm->L, body);
    lua_pushlightuserdata(vm->L, arg);
    return luavm_call(vm, 1, 0, failure, trace);
}
