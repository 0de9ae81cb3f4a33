/*
 * declare_command.c - what only commands have: cmd, env, depfile, job.
 */
#include "engine/script/declare.h"

static void read_words(declaration *d, int idx)
{
    lua_State *L = d->L;
    size_t count = lua_rawlen(L, idx);
    d->spec.command = declare_room(d, count, sizeof(bytes));
    for (size_t i = 1; i <= count; i++) {
        int type = lua_rawgeti(L, idx, (lua_Integer)i);
        if (type == LUA_TSTRING || type == LUA_TNUMBER) {
            bytes word = arena_bytes(
                &d->ld->scratch,
                declare_text(L, -1)); /* a copy: lua_tolstring changes numbers on the stack only */
            d->spec.command[d->spec.command_count++] = word;
            declare_placeholders(d, word);
        } else {
            bool is_handle = luahandle_at(L, -1) != NULL;
            declare_complain(d, "cmd", is_handle ? "put it into inputs and write {{port}}" : NULL,
                             "cmd: word %zu is a %s, not a string", i,
                             is_handle ? "handle" : luaL_typename(L, -1));
        }
        lua_pop(L, 1);
    }
    if (count == 0) declare_complain(d, "cmd", NULL, "cmd is empty");
}

static void read_cmd(declaration *d)
{
    int type = declare_field(d, "cmd");
    if (type == LUA_TTABLE) {
        read_words(d, lua_gettop(d->L));
    } else if (type == LUA_TSTRING) {
        d->spec.command = declare_room(d, 1, sizeof(bytes));
        d->spec.command[0] = declare_text(d->L, -1); /* the declaration's table holds it */
        d->spec.command_count = 1;
        d->spec.flags |= SPEC_SHELL;
        declare_placeholders(d, d->spec.command[0]);
    } else if (type == LUA_TNIL) {
        declare_complain(d, NULL, "cmd = { \"cc\", \"-c\", \"{{src}}\" } or a text for the shell",
                         "a command needs cmd");
    } else {
        declare_complain(d, "cmd", NULL, "cmd is a list of words or a text, not a %s",
                         luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

/* The text behind one entry of env: a string, a number, or a variable or value read now. Leaves a string on the stack, or nil. */
static void env_text(declaration *d)
{
    const handle *h = luahandle_at(d->L, -1);
    if (h && (h->kind == HANDLE_ENV || h->kind == HANDLE_VALUE)) {
        lua_getfield(d->L, -1, "value");
        lua_replace(d->L, -2);
    }
    if (lua_type(d->L, -1) == LUA_TNUMBER || lua_type(d->L, -1) == LUA_TSTRING)
        lua_tostring(d->L, -1);
}

static void read_env(declaration *d)
{
    lua_State *L = d->L;
    if (!declare_group(d, "env")) return;
    int idx = lua_gettop(L);
    d->spec.env = declare_room(d, declare_count(L, idx), sizeof *d->spec.env);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        bytes name = lua_type(L, -2) == LUA_TSTRING ? declare_text(L, -2) : (bytes){NULL, 0};
        env_text(d);
        if (!name.data || name.size == 0 || memchr(name.data, '=', name.size) ||
            memchr(name.data, 0, name.size))
            declare_complain(d, "env", "write env = { NAME = \"value\" }",
                             "env: a variable needs a name");
        else if (lua_type(L, -1) == LUA_TSTRING)
            d->spec.env[d->spec.env_count++] =
                (spec_env){name, arena_bytes(&d->ld->scratch, declare_text(L, -1))};
        else if (!lua_isnil(L, -1)) /* an unset variable stays unset */
            declare_complain(d, (const char *)name.data, NULL, "env.%s is a string, not a %s",
                             (const char *)name.data, luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_depfile(declaration *d)
{
    int type = declare_field(d, "depfile");
    if (type == LUA_TSTRING) {
        (void)declare_path(d, "depfile", "depfile", declare_text(d->L, -1), true, &d->spec.depfile);
    } else if (type != LUA_TNIL) {
        declare_complain(d, "depfile", NULL, "depfile is a path, not a %s",
                         luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

static void read_job_type(declaration *d)
{
    static const char *const types[] = {"pure", "batch", "ops", "daemon", "service"};
    int type = declare_field(d, "job");
    if (type == LUA_TSTRING) {
        const char *text = lua_tostring(d->L, -1);
        size_t i = 0;
        while (i < 5 && strcmp(text, types[i]) != 0) i++;
        if (i == 5)
            declare_complain(d, "job", declare_suggest(d->ld, text, types, 5),
                             "unknown job type '%s' (pure, batch, ops, daemon, service)", text);
        else d->spec.job = (job_type)i;
    } else if (type != LUA_TNIL) {
        declare_complain(d, "job", NULL, "job is a string, not a %s", luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

void declare_command(declaration *d)
{
    read_cmd(d);
    read_env(d);
    read_depfile(d);
    read_job_type(d);
}
