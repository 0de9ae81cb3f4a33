/*
 * declare_limits.c - how much of a node runs at once: weir.pool, pool, mem. None of it decides a result, so none of it is
 * in a key or a name.
 */
#include "engine/base/size.h"
#include "engine/script/declare.h"

static void read_pool(declaration *d)
{
    int type = declare_field(d, "pool");
    if (type == LUA_TSTRING) {
        const char *names[100];
        size_t count = 0, at = 0;
        bytes key, name = arena_bytes(&d->ld->scratch, declare_text(d->L, -1));
        const uint64_t *depth = map_get(&d->ld->pools, name);
        if (depth) {
            d->spec.pool = name;
            d->spec.pool_depth = (uint32_t)*depth;
        } else {
            while (count < 100 && map_next(&d->ld->pools, &at, &key, NULL))
                names[count++] = (const char *)arena_bytes(&d->ld->scratch, key).data;
            const char *hint = declare_suggest(d->ld, (const char *)name.data, names, count);
            declare_complain(d, "pool", hint ? hint : "declare it before: weir.pool(\"link\", 2)",
                             "there is no pool \"%s\"", (const char *)name.data);
        }
    } else if (type != LUA_TNIL) {
        declare_complain(d, "pool", "pool = weir.pool(\"link\", 2)", "pool is a name, not a %s",
                         luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

static void read_mem(declaration *d)
{
    int type = declare_field(d, "mem");
    if (type == LUA_TNUMBER || type == LUA_TSTRING) {
        lua_pushvalue(d->L, -1); /* lua_tostring changes a number where it stands */
        if (!size_parse(lua_tostring(d->L, -1), &d->spec.mem_bytes))
            declare_complain(d, "mem", "mem = \"2G\"", "mem: \"%s\" is no size",
                             lua_tostring(d->L, -1));
        lua_pop(d->L, 1);
    } else if (type != LUA_TNIL) {
        declare_complain(d, "mem", "mem = \"2G\"", "mem is a size, not a %s",
                         luaL_typename(d->L, -1));
    }
    lua_pop(d->L, 1);
}

void declare_limits(declaration *d)
{
    read_pool(d);
    read_mem(d);
}

int luadeclare_pool(lua_State *L)
{
    loader *ld = loader_of(L);
    loader_need_loading(L, "weir.pool");
    bool added = false;
    lua_Integer depth = luaL_optinteger(L, 2, 1);
    if (lua_type(L, 1) != LUA_TSTRING || lua_rawlen(L, 1) == 0 || depth < 1 || depth > 10000)
        return luavm_raise(L, "local link = weir.pool(\"link\", 2)",
                           "a pool has a name and a depth, from 1 to 10000");
    uint64_t *slot = map_put(&ld->pools, declare_text(L, 1), &added);
    if (!slot) return luaL_error(L, "out of memory");
    if (!added && *slot != (uint64_t)depth)
        return luavm_raise(L, "one name, one depth", "the pool \"%s\" was declared with depth %d",
                           lua_tostring(L, 1), (int)*slot);
    *slot = (uint64_t)depth;
    lua_settop(L, 1);
    return 1;
}
