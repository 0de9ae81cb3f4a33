/*
 * declare_params.c - the params of a declaration, with the defaults of a C effect, and which of them name the node.
 *
 * A param that the effect calls WEIR_UNNAMED is data like the others, hashed into the key, but a
 * text too long for a name: the SQL of weir.query. It may stand in `params`, or beside it.
 */
#include "engine/script/declare.h"

bool declare_is_unnamed(const declaration *d, bytes key)
{
    const weir_param *p = d->effect->kind == EFFECT_C ? d->effect->entry->effect->params : NULL;
    for (; p && p->name; p++)
        if ((p->flags & WEIR_UNNAMED) && bytes_equal(bytes_str(p->name), key)) return true;
    return false;
}

/* The table on top gives way to a copy that it is safe to add to. */
static void copy_table(lua_State *L)
{
    int from = lua_gettop(L);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, from)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_replace(L, from);
}

/* What stands beside `params` goes into the table on top, or into a new one. */
static int add_beside(declaration *d, int type)
{
    lua_State *L = d->L;
    bool copied = false;
    if (d->effect->kind != EFFECT_C || (type != LUA_TTABLE && type != LUA_TNIL)) return type;
    for (const weir_param *p = d->effect->entry->effect->params; p && p->name; p++) {
        if (!(p->flags & WEIR_UNNAMED)) continue;
        if (declare_field(d, p->name) == LUA_TNIL) {
            lua_pop(L, 1);
            continue;
        }
        lua_insert(L, -2); /* the field below the table */
        if (type == LUA_TNIL) {
            lua_pop(L, 1);
            lua_newtable(L);
        } else if (!copied) {
            copy_table(L);
        }
        copied = true;
        type = LUA_TTABLE;
        lua_pushstring(L, p->name);
        if (lua_rawget(L, -2) != LUA_TNIL)
            declare_complain(d, p->name, "leave one of them out",
                             "%s is there twice, in params and beside it", p->name);
        lua_pop(L, 1);
        lua_pushstring(L, p->name);
        lua_pushvalue(L, -3);
        lua_rawset(L, -3);
        lua_remove(L, -2);
    }
    return type;
}

static const char *params_hint(const char *message)
{
    if (strstr(message, "function"))
        return "params are data and decide when to run again; code belongs into weir.effect";
    if (strstr(message, "handle")) return "put handles into inputs";
    return NULL;
}

void declare_params(declaration *d)
{
    weir_error err = {0};
    loader *ld = d->ld;
    size_t before = d->errors;
    d->spec.params = d->given = VALUE_EMPTY_OBJECT;
    int type = declare_field(d, "params");
    type = add_beside(d, type);
    if (type == LUA_TTABLE) {
        buf_clear(&ld->encoded);
        if (luavalue_put(d->L, -1, &ld->scratch, &ld->encoded, &err) != 0)
            declare_complain(d, "params", params_hint(err.message),
                             err.code == WEIR_LIMIT ? "params are %s" : "params%s", err.message);
        else if (ld->encoded.size == 0 || ld->encoded.data[0] != VALUE_EMPTY_OBJECT.data[0])
            declare_complain(d, "params", "write params = { name = value }",
                             "params have names, this is a list");
        else d->given = arena_bytes(&ld->scratch, buf_bytes(&ld->encoded));
    } else if (type != LUA_TNIL) {
        declare_complain(d, "params", NULL, "params is a table, not a %s", luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
    d->spec.params = d->given;
    d->has_bad_params = d->errors > before;
    if (d->effect->kind != EFFECT_C || d->has_bad_params) return;
    buf_clear(&ld->encoded);
    if (registry_fill(d->effect->entry, d->given, &ld->encoded, &err) == 0)
        d->spec.params = arena_bytes(&ld->scratch, buf_bytes(&ld->encoded));
    /* else registry_check says what is wrong */
}

static size_t count_unnamed(const declaration *d, size_t *count)
{
    value_reader r = value_read(d->given);
    value_item head;
    bytes key, whole;
    size_t unnamed = 0;
    *count = 0;
    if (!value_next(&r, &head) || head.type != VALUE_OBJECT) return 0;
    for (; *count < head.count && value_key(&r, &key) && value_skip(&r, &whole); ++*count)
        unnamed += declare_is_unnamed(d, key);
    return unnamed;
}

bytes declare_naming(declaration *d)
{
    size_t count, unnamed = count_unnamed(d, &count);
    buf *to = &d->ld->encoded;
    bytes key, whole;
    value_item head;
    if (unnamed == 0) return d->given;
    value_reader r = value_read(d->given);
    buf_clear(to);
    value_put_object(to, count - unnamed);
    if (!value_next(&r, &head)) return d->given;
    for (size_t i = 0; i < count && value_key(&r, &key) && value_skip(&r, &whole); i++) {
        if (declare_is_unnamed(d, key)) continue;
        value_put_key(to, key);
        buf_append(to, whole.data, whole.size);
    }
    return to->failed ? (bytes){NULL, 0} : arena_bytes(&d->ld->scratch, buf_bytes(to));
}
