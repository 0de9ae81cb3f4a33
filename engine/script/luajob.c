/*
 * luajob.c - see luajob.h.
 *
 * The objects are userdata that hold numbers: which port, which member, and the serial of the job
 * they belong to. What is decoded (params, values)
 * is decoded anew at each access; an effect keeps it in a local.
 */
#include "engine/script/luajob.h"

#include <stdio.h>

#include "engine/model/key.h"
#include "engine/script/codehash.h"
#include "engine/script/luahandle.h"
#include "engine/script/luavalue.h"

static const char inputs_type[] = "weir.inputs", outputs_type[] = "weir.outputs",
                  list_type[] = "weir.list", member_type[] = "weir.input",
                  output_type[] = "weir.output";

typedef struct object {
    uint64_t serial;
    uint32_t port, member; /* output: its index in `port` */
    int32_t sub;           /* of a node: which output; -1 */
} object;

static object *push_object(lua_State *L, const char *type, size_t port, size_t member, int sub)
{
    object *o = lua_newuserdatauv(L, sizeof *o, 0);
    *o = (object){loader_of(L)->job_serial, (uint32_t)port, (uint32_t)member, sub};
    luaL_setmetatable(L, type);
    return o;
}

/* The object at idx, of the job that runs. */
static object *check_object(lua_State *L, int idx, const char *type, const char *usage)
{
    object *o = luaL_testudata(L, idx, type);
    if (!o) luavm_raise(L, usage, "called with a %s instead of the object", luaL_typename(L, idx));
    if (!loader_of(L)->job || o->serial != loader_of(L)->job_serial)
        luavm_raise(L, NULL, "belongs to an execution that has ended");
    return o;
}

static int check(lua_State *L, int rc)
{
    if (rc != 0) luavm_raise(L, NULL, "%s", job_error(loader_of(L)->job));
    return rc;
}

static int push_bytes(lua_State *L, bytes text)
{
    lua_pushlstring(L, text.data ? (const char *)text.data : "", text.size);
    return 1;
}

static const job_order *order_of(lua_State *L)
{
    return loader_of(L)->order;
}

/* "; there are a, b and c" for messages. Pushes the string. */
static const char *list_names(lua_State *L, const bytes *names, size_t count)
{
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (size_t i = 0; i < count && i < 30; i++) {
        if (i > 0) luaL_addstring(&text, i + 1 == count ? " and " : ", ");
        luaL_addlstring(&text, (const char *)names[i].data, names[i].size);
    }
    luaL_pushresult(&text);
    return lua_tostring(L, -1);
}

static int unknown_name(lua_State *L, const char *what, const char *key, const bytes *names,
                        size_t count)
{
    const char *texts[128] = {NULL};
    if (count == 0) return luavm_raise(L, NULL, "%s.%s: there is none", what, key);
    for (size_t i = 0; i < count && i < 128; i++) {
        luaL_checkstack(L, 4, NULL);
        lua_pushlstring(L, (const char *)names[i].data, names[i].size);
        texts[i] = lua_tostring(L, -1);
    }
    const char *near = near_name(key, texts, count < 128 ? count : 128);
    const char *known = list_names(L, names, count);
    const char *hint = near ? lua_pushfstring(L, "did you mean '%s'?", near) : NULL;
    return luavm_raise(L, hint, "%s.%s: not declared; there %s %s", what, key,
                       count == 1 ? "is" : "are", known);
}

/* --- members ---------------------------------------------------------------------------------- */

static const job_input *input_of(lua_State *L, const object *o)
{
    return job_input_at(loader_of(L)->job, o->port);
}

static const job_member *member_of(lua_State *L, const object *o)
{
    const job_member *m = job_member_at(loader_of(L)->job, o->port, o->member);
    if (!m) luavm_raise(L, NULL, "%s", job_error(loader_of(L)->job));
    return m;
}

/* i.src:files(): what is in a folder or tree, or nil where none is. */
static int member_files(lua_State *L)
{
    bytes encoded;
    object *o = check_object(L, 1, member_type, "write i.x:files(), with a colon");
    check(L, job_read_files(loader_of(L)->job, o->port, o->member, o->sub, &encoded));
    if (encoded.size) luavalue_push(L, encoded);
    else lua_pushnil(L);
    return 1;
}

/* i.src:read "sub/a.txt": a file of a folder or tree, or nil. */
static int read_below(lua_State *L, const object *o)
{
    bytes path, content;
    path.data = (const uint8_t *)lua_tolstring(L, 2, &path.size);
    check(L, job_read_below(loader_of(L)->job, o->port, o->member, o->sub, path, &content));
    if (content.data) return push_bytes(L, content);
    lua_pushnil(L);
    return 1;
}

static int member_read(lua_State *L)
{
    bytes content;
    object *o = check_object(L, 1, member_type, "write i.x:read(), with a colon");
    const job_member *m = member_of(L, o);
    bool is_folder = m->kind == MEMBER_ITEM && (m->item_type == ITEM_FOLDER || m->item_type == ITEM_TREE);
    bool is_made = job_member_folder(m, o->sub) != NULL;
    if ((is_folder || is_made) && lua_type(L, 2) == LUA_TSTRING) return read_below(L, o);
    if (is_folder)
        return luavm_raise(L, "write i.x:read \"name\"; i.x:files() lists them",
                           "input '%s' is a folder: :read() needs the path of a file in it",
                           (const char *)input_of(L, o)->port.data);
    check(L, job_read_content(loader_of(L)->job, o->port, o->member, o->sub, &content));
    return push_bytes(L, content);
}

static int member_lines(lua_State *L)
{
    member_read(L);
    return luahandle_lines(L);
}

static int member_json(lua_State *L)
{
    member_read(L);
    return luahandle_json(L);
}

static bool has_file(const job_member *m)
{
    return m->kind == MEMBER_OUTPUT || m->file_count > 0;
}

/* The name of a member: of its file, or of the item or node. */
static int member_name(lua_State *L, const object *o, const job_member *m)
{
    bytes path;
    size_t count;
    if (has_file(m)) {
        check(L, job_read_path(loader_of(L)->job, o->port, o->member, o->sub, &path));
        luahandle_push_part(L, path, 0, "name");
        return 1;
    }
    if (m->kind == MEMBER_ITEM) return push_bytes(L, m->name);
    check(L, job_read_names(loader_of(L)->job, o->port, &count));
    return push_bytes(L, m->name);
}

static int member_part(lua_State *L, const object *o, const char *key)
{
    bytes path;
    check(L, job_read_path(loader_of(L)->job, o->port, o->member, o->sub, &path));
    if (strcmp(key, "path") == 0) return push_bytes(L, path);
    luahandle_push_part(L, path, 0, key);
    return 1;
}

static int member_value(lua_State *L, const object *o)
{
    bytes encoded;
    check(L, job_read_value(loader_of(L)->job, o->port, o->member, &encoded));
    if (encoded.size) luavalue_push(L, encoded);
    else lua_pushnil(L);
    return 1;
}

static int member_params(lua_State *L, const object *o)
{
    bytes encoded;
    check(L, job_read_params(loader_of(L)->job, o->port, o->member, &encoded));
    luavalue_push(L, encoded);
    return 1;
}

static int member_index(lua_State *L)
{
    static const char *const known[] = {"read", "lines", "json", "value", "params",
                                        "path", "name",  "stem", "ext",   "rel",    "files"};
    static const lua_CFunction methods[] = {member_read, member_lines, member_json};
    object *o = check_object(L, 1, member_type, NULL);
    const job_member *m = member_of(L, o);
    bytes names[64];
    size_t count = 0;
    if (lua_type(L, 2) != LUA_TSTRING)
        return luavm_raise(L, NULL, "input '%s' is not a list",
                           (const char *)input_of(L, o)->port.data);
    const char *key = lua_tostring(L, 2);
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(key, known[i]) != 0) continue;
        lua_pushcfunction(L, methods[i]);
        return 1;
    }
    if (strcmp(key, "files") == 0) {
        lua_pushcfunction(L, member_files);
        return 1;
    }
    if (strcmp(key, "value") == 0) return member_value(L, o);
    if (strcmp(key, "params") == 0) return member_params(L, o);
    if (strcmp(key, "name") == 0) return member_name(L, o, m);
    if (strcmp(key, "path") == 0 || strcmp(key, "stem") == 0 || strcmp(key, "ext") == 0 ||
        strcmp(key, "rel") == 0)
        return member_part(L, o, key);
    for (size_t i = 0; i < m->file_count && m->kind == MEMBER_NODE; i++) {
        if (bytes_equal(m->files[i].port, bytes_str(key))) {
            push_object(L, member_type, o->port, o->member, (int)i);
            return 1;
        }
        if (count < 40) names[count++] = m->files[i].port;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) names[count++] = bytes_str(known[i]);
    lua_pushfstring(L, "i.%s", input_of(L, o)->port.data);
    return unknown_name(L, lua_tostring(L, -1), key, names, count);
}

static int member_tostring(lua_State *L)
{
    object *o = luaL_testudata(L, 1, member_type);
    if (o && loader_of(L)->job && o->serial == loader_of(L)->job_serial)
        lua_pushfstring(L, "input %s", input_of(L, o)->port.data);
    else lua_pushliteral(L, "input of an execution that has ended");
    return 1;
}

/* --- lists ------------------------------------------------------------------------------------ */

static size_t list_length(lua_State *L, const object *o)
{
    size_t count;
    check(L, job_read_names(loader_of(L)->job, o->port, &count));
    return count;
}

static int list_len(lua_State *L)
{
    object *o = check_object(L, 1, list_type, NULL);
    lua_pushinteger(L, (lua_Integer)list_length(L, o));
    return 1;
}

static int list_index(lua_State *L)
{
    object *o = check_object(L, 1, list_type, NULL);
    if (!lua_isinteger(L, 2)) {
        const char *port = (const char *)input_of(L, o)->port.data;
        const char *hint = lua_pushfstring(L, "for _, x in ipairs(i.%s) do ... end", port);
        return luavm_raise(L, hint, "i.%s is a list: it has numbered entries only", port);
    }
    lua_Integer at = lua_tointeger(L, 2);
    size_t count = list_length(L, o);
    if (at < 1 || (lua_Unsigned)at > count) lua_pushnil(L);
    else push_object(L, member_type, o->port, (size_t)at - 1, -1);
    return 1;
}

static int list_next(lua_State *L)
{
    lua_Integer at = luaL_optinteger(L, 2, 0) + 1;
    object *o = check_object(L, 1, list_type, NULL);
    if ((lua_Unsigned)at > list_length(L, o)) return 0;
    lua_pushinteger(L, at);
    push_object(L, member_type, o->port, (size_t)at - 1, -1);
    return 2;
}

static int list_pairs(lua_State *L)
{
    check_object(L, 1, list_type, NULL);
    lua_pushcfunction(L, list_next);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

/* --- i ---------------------------------------------------------------------------------------- */

static int inputs_unknown(lua_State *L, const job_order *order, const char *key)
{
    bytes names[128];
    size_t count = 0;
    value_reader reader = value_read(order->params);
    value_item head;
    bytes param;
    for (size_t i = 0; i < order->input_count && count < 64; i++)
        names[count++] = order->inputs[i].port;
    if (value_next(&reader, &head) && head.type == VALUE_OBJECT)
        for (size_t i = 0; i < head.count && count < 128 && value_key(&reader, &param) &&
                           value_skip(&reader, NULL);
             i++)
            names[count++] = param;
    return unknown_name(L, "i", key, names, count);
}

/* i:need(name or path, ...): waits until they are up to date; a handle for each, nil for a file that is not there. */
static int inputs_need(lua_State *L)
{
    static const char usage[] = "local page = i:need(\"page[id=3]\"); local text = i:need(\"build/a.txt\"):read()";
    check_object(L, 1, inputs_type, "write i:need(name), with a colon");
    size_t count = (size_t)lua_gettop(L) - 1, port = 0;
    bytes *names = lua_newuserdatauv(L, (count + 1) * sizeof *names, 0);
    if (count == 0) return luavm_raise(L, usage, ":need takes names of nodes or paths of files");
    for (size_t i = 0; i < count; i++) {
        if (lua_type(L, (int)i + 2) != LUA_TSTRING)
            return luavm_raise(L, usage, ":need takes names of nodes or paths of files, not a %s", luaL_typename(L, (int)i + 2));
        names[i].data = (const uint8_t *)lua_tolstring(L, (int)i + 2, &names[i].size);
    }
    check(L, job_need(loader_of(L)->job, names, count, &port));
    luaL_checkstack(L, (int)count + 4, "too many names");
    for (size_t i = 0; i < count; i++) {
        const job_member *m = job_member_at(loader_of(L)->job, port, i);
        if (!m) return luavm_raise(L, NULL, "%s", job_error(loader_of(L)->job));
        if (m->kind == MEMBER_ITEM && m->file_count == 0) lua_pushnil(L);
        else push_object(L, member_type, port, i, -1);
    }
    return (int)count;
}

static int inputs_index(lua_State *L)
{
    check_object(L, 1, inputs_type, NULL);
    const job_order *order = order_of(L);
    bytes param;
    if (lua_type(L, 2) != LUA_TSTRING) return luavm_raise(L, NULL, "inputs and params have names");
    const char *key = lua_tostring(L, 2);
    int port = job_find_input(loader_of(L)->job, bytes_str(key));
    if (port >= 0 && (size_t)port < order->input_count) {
        push_object(L, order->inputs[port].is_list ? list_type : member_type, (size_t)port, 0, -1);
        return 1;
    }
    if (value_member(order->params, key, &param)) {
        luavalue_push(L, param);
        return 1;
    }
    if (strcmp(key, "params") == 0) {
        luavalue_push(L, order->params);
        return 1;
    }
    if (strcmp(key, "need") == 0) {
        lua_pushcfunction(L, inputs_need);
        return 1;
    }
    return inputs_unknown(L, order, key);
}

/* --- o ---------------------------------------------------------------------------------------- */

static int outputs_index(lua_State *L)
{
    bytes names[64];
    size_t count = 0;
    check_object(L, 1, outputs_type, NULL);
    const job_order *order = order_of(L);
    if (lua_type(L, 2) != LUA_TSTRING) return luavm_raise(L, NULL, "outputs have names");
    const char *key = lua_tostring(L, 2);
    int port = job_find_output(loader_of(L)->job, bytes_str(key));
    if (port >= 0) {
        push_object(L, output_type, (size_t)port, 0, -1);
        return 1;
    }
    for (size_t i = 0; i < order->output_count && count < 64; i++)
        names[count++] = order->outputs[i].port;
    return unknown_name(L, "o", key, names, count);
}

/* o.x:write(...): strings and numbers, appended. */
static int output_write(lua_State *L)
{
    object *o = check_object(L, 1, output_type, "write o.x:write(text), with a colon");
    int count = lua_gettop(L);
    if (count == 1) check(L, job_write(loader_of(L)->job, o->port, bytes_of("", 0)));
    for (int i = 2; i <= count; i++) {
        if (lua_type(L, i) != LUA_TSTRING && lua_type(L, i) != LUA_TNUMBER)
            return luavm_raise(L,
                               lua_istable(L, i) ? "weir.json.encode makes text of a table" : NULL,
                               ":write takes strings, not a %s", luaL_typename(L, i));
        bytes text;
        text.data = (const uint8_t *)lua_tolstring(L, i, &text.size);
        check(L, job_write(loader_of(L)->job, o->port, text));
    }
    lua_settop(L, 1);
    return 1;
}

/* o.x:copy(i.y): the content of an input. */
static int output_copy(lua_State *L)
{
    object *o = check_object(L, 1, output_type, "write o.x:copy(i.y), with a colon");
    object *from = check_object(L, 2, member_type, "o.x:copy(i.y)");
    job *j = loader_of(L)->job;
    if (from->sub < 0) {
        check(L, job_copy(j, o->port, from->port, from->member));
    } else {
        bytes content;
        check(L, job_read_content(j, from->port, from->member, from->sub, &content));
        check(L, job_write(j, o->port, content));
    }
    lua_settop(L, 1);
    return 1;
}

/* o.x:mode(0x1ed): permission bits. */
static int output_mode(lua_State *L)
{
    object *o = check_object(L, 1, output_type, "write o.x:mode(bits), with a colon");
    lua_Integer mode = luaL_checkinteger(L, 2);
    if (mode < 0 || mode > 0777)
        return luavm_raise(L, "tonumber(\"755\", 8)", ":mode takes permission bits, 0 to 0777");
    job_mode(loader_of(L)->job, o->port, (uint32_t)mode);
    lua_settop(L, 1);
    return 1;
}

/* o.site:file "css/a.css": a file in an output that is a folder; like an output. */
static int output_file(lua_State *L)
{
    static const char usage[] = "o.site:file(\"css/a.css\"):write(text)";
    object *o = check_object(L, 1, output_type, "write o.x:file(path), with a colon");
    job *j = loader_of(L)->job;
    size_t number = 0;
    bytes path;
    if (lua_type(L, 2) != LUA_TSTRING) return luavm_raise(L, usage, ":file takes a path, not a %s", luaL_typename(L, 2));
    path.data = (const uint8_t *)lua_tolstring(L, 2, &path.size);
    check(L, job_part_named(j, o->port, path, &number));
    push_object(L, output_type, number, 0, -1);
    return 1;
}

static const char *output_name(lua_State *L, const object *o)
{
    const job_order *order = order_of(L);
    return o->port < order->output_count ? (const char *)order->outputs[o->port].port.data : "file";
}

static int output_index(lua_State *L)
{
    static const char *const known[] = {"write", "copy", "mode", "file", "path", "name", "stem", "ext"};
    static const lua_CFunction methods[] = {output_write, output_copy, output_mode, output_file};
    object *o = check_object(L, 1, output_type, NULL);
    bytes path, names[8];
    if (lua_type(L, 2) != LUA_TSTRING) return luavm_raise(L, NULL, "an output is not a list");
    const char *key = lua_tostring(L, 2);
    for (size_t i = 0; i < 8; i++) {
        names[i] = bytes_str(known[i]);
        if (strcmp(key, known[i]) != 0) continue;
        if (i < 4) {
            lua_pushcfunction(L, methods[i]);
            return 1;
        }
        check(L, o->port < order_of(L)->output_count ? job_read_outpath(loader_of(L)->job, o->port, &path)
                                                     : job_part_path(loader_of(L)->job, o->port, &path));
        if (i == 4) return push_bytes(L, path);
        luahandle_push_part(L, path, 0, key);
        return 1;
    }
    lua_pushfstring(L, "o.%s", output_name(L, o));
    return unknown_name(L, lua_tostring(L, -1), key, names, 8);
}

static int refuse(lua_State *L)
{
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    return luavm_raise(L, "outputs are written with o.NAME:write(text); a value is returned",
                       "'%s' cannot be assigned", key);
}

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushcfunction(L, refuse);
    lua_setfield(L, -2, "__newindex");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void luajob_install(lua_State *L)
{
    static const luaL_Reg inputs[] = {{"__index", inputs_index}, {NULL, NULL}};
    static const luaL_Reg outputs[] = {{"__index", outputs_index}, {NULL, NULL}};
    static const luaL_Reg list[] = {{"__index", list_index},
                                    {"__len", list_len},
                                    {"__pairs", list_pairs},
                                    {NULL, NULL}};
    static const luaL_Reg member[] = {{"__index", member_index},
                                      {"__tostring", member_tostring},
                                      {NULL, NULL}};
    static const luaL_Reg output[] = {{"__index", output_index}, {NULL, NULL}};
    make_type(L, inputs_type, inputs);
    make_type(L, outputs_type, outputs);
    make_type(L, list_type, list);
    make_type(L, member_type, member);
    make_type(L, output_type, output);
}

/* --- running ---------------------------------------------------------------------------------- */

static int take_state(lua_State *L)
{
    loader *ld = loader_of(L);
    (void)codehash_state(L, ld, ld->current);
    return 0;
}

static int run_effect(lua_State *L)
{
    loader *ld = loader_of(L);
    weir_error err = {0};
    lua_settop(L, 0);
    luavm_reseed(L);
    luarequire_job(L, true);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ld->current->run);
    push_object(L, inputs_type, 0, 0, -1);
    push_object(L, outputs_type, 0, 0, -1);
    lua_call(L, 2, 1);
    if (ld->current->is_expand) luadeclare_list(L, ld);
    if (lua_isnil(L, -1)) return 0;
    loader_scratch(ld);
    if (luavalue_put(L, -1, &ld->scratch, &ld->encoded, &err) != 0) {
        lua_pushfstring(L, "%s:%d: the returned value%s%s", ld->current->file, ld->current->line,
                        err.message[0] == '.' || err.message[0] == '[' ? "" : ": ", err.message);
        return lua_error(L);
    }
    check(L, job_value(ld->job, buf_bytes(&ld->encoded)));
    return 0;
}

static int look_for_changes(lua_State *L)
{
    loader *ld = loader_of(L);
    luarequire_job(L, false);
    if (ld->current->is_opaque) job_impure(ld->job, ld->current->always);
    const char *changed = codehash_state(L, ld, ld->current);
    if (!changed) return 0;
    lua_pushfstring(L, "the effect changed %s", changed);
    job_impure(ld->job, lua_tostring(L, -1));
    return 0;
}

/* "weir.lua:12: message; hint" */
static void failure_text(const luavm_failure *f, buf *to)
{
    if (f->file[0]) buf_printf(to, "%s:%d: ", f->file, f->line);
    buf_text(to, f->message);
    if (f->hint[0]) buf_printf(to, " (%s)", f->hint);
}

static void run_protected(loader *ld, buf *why)
{
    luavm_failure failure;
    buf trace;
    buf_init(&trace);
    int rc = luavm_run(ld->vm, take_state, NULL, &failure, NULL);
    if (rc == 0) rc = luavm_run(ld->vm, run_effect, NULL, &failure, &trace);
    if (rc != 0) {
        failure_text(&failure, why);
        if (failure.memory) job_by_chance(ld->job);
        if (trace.size) job_log(ld->job, buf_bytes(&trace));
    }
    luavm_failure second;
    if (luavm_run(ld->vm, look_for_changes, NULL, &second, NULL) != 0)
        job_impure(ld->job, "the state of the effect cannot be looked at");
    buf_deinit(&trace);
}

int luajob_perform(loader *ld, const job_order *order, job **out, job_report *report,
                   weir_error *err)
{
    buf why;
    int index = loader_find_effect(ld, order->effect);
    int rc = job_new(out, order, ld->rootfd, err);
    if (rc != 0) return rc;
    if (index < 0 || ld->effects[index].kind != EFFECT_LUA) {
        job_by_chance(*out);
        job_finish(*out, "the workflow that was loaded has no such Lua effect", report);
        return 0;
    }
    buf_init(&why);
    ld->job = *out;
    ld->order = order;
    ld->current = &ld->effects[index];
    ld->job_serial++;
    run_protected(ld, &why);
    ld->is_loading = false; /* an expand effect's list was declared */
    const char *failure = NULL;
    if (why.failed) job_by_chance(ld->job);
    if (why.size || why.failed) failure = buf_cstr(&why) ? buf_cstr(&why) : "out of memory";
    job_finish(ld->job, failure, report);
    ld->job = NULL;
    ld->order = NULL;
    ld->current = NULL;
    buf_deinit(&why);
    return 0;
}
