/*
 * test_luavm.c - what a script cannot do: the corpus of escapes, memory, errors with their place.
 */
#include "engine/script/luavm.h"
#include "tests/check.h"

/* Runs a script; its failure in `failure`. */
typedef struct script {
    const char *text, *name;
} script;

static int run_script(lua_State *L)
{
    script *s = lua_touserdata(L, 1);
    luavm_compile(L, bytes_str(s->text), s->name, false);
    lua_call(L, 0, 0);
    return 0;
}

static int run(luavm *vm, const char *text, luavm_failure *failure)
{
    script s = {text, "@test.lua"};
    return luavm_run(vm, run_script, &s, failure, NULL);
}

/* Scripts that must raise, with a part of the message. */
static const struct {
    const char *text, *message;
} refused[] = {
    {"io.open('/etc/passwd')", "'io' is not available"},
    {"os.execute('true')", "'os' is not available"},
    {"return os.getenv 'HOME'", "'os' is not available"},
    {"os.exit()", "'os' is not available"},
    {"return os.time()", "'os' is not available"},
    {"debug.getregistry()", "'debug' is not available"},
    {"dofile 'x'", "'dofile' is not available"},
    {"loadfile 'x'", "'loadfile' is not available"},
    {"package.loadlib('x', 'y')", "'package' is not available"},
    {"collectgarbage 'stop'", "'collectgarbage' is not available"},
    {"string.dump(ipairs)", "attempt to call a nil value"},
    {"load('\\27Lua')()", "attempt to call a nil value"},
    {"assert(load('\\27LuaS\\0\\x19\\x93'))", "attempt to load a binary chunk"},
    {"load('x = 1', 'n', 'b')", "bytecode is not available"},
    {"local n = 0 assert(load(function() n = n + 1 return n == 1 and '\\27Lua' or nil end, 'n', 'bt'))",
     "attempt to load a binary chunk"},
    {"x = 1", "globals cannot be assigned: 'x'"},
    {"_G.x = 1", "globals cannot be assigned: 'x'"},
    {"_ENV.x = 1", "globals cannot be assigned: 'x'"},
    {"rawset(_G, 'x', 1)", "globals cannot be assigned"},
    {"rawset(_ENV, 'print', 1)", "globals cannot be assigned"},
    {"string.upper = nil", "string is read-only"},
    {"rawset(string, 'upper', ipairs)", "globals cannot be assigned"},
    {"table.insert(table, 1)", "table is read-only"},
    {"math.pi = 3", "math is read-only"},
    {"setmetatable(_G, nil)", "protected metatable"},
    {"setmetatable(string, {})", "protected metatable"},
    {"setmetatable({}, {__gc = function() end})", "finalizers"},
    {"getmetatable('').__index = nil", "attempt to index a boolean value"},
    {"getmetatable(_G).__newindex = nil", "attempt to index a boolean value"},
    {"local t = setmetatable({}, {__metatable = 1}) setmetatable(t, {})", "protected metatable"},
    {"load('x = 1')()", "globals cannot be assigned: 'x'"},
    {"coroutine.wrap(function() x = 1 end)()", "globals cannot be assigned: 'x'"},
    {"math.randomseed()", "needs a seed"},
    {"return prnt", "unknown global 'prnt'"},
    {"return _G.io", "'io' is not available"},
    {"string.rep('x', 1 << 30)", "memory"},
    {"local t = {} while true do t[#t + 1] = {} end", "memory limit of 8 MiB reached"},
    {"error({code = 1})", "error object is a table value"},
    {"error(setmetatable({}, {__tostring = function() return 'told' end}))", "told"},
    {"error()", "nil"},
    {"select(-2)", "index out of range"},
    {"return ('x'):rep(100, ('y'):rep(1 << 30))", "memory"},
    {"table.concat(table.pack(('x'):rep(1 << 20):byte(1, -1)))", "too long"},
    {"string.format('%d', '1.5')", "number has no integer representation"},
};

static const char *const allowed[] = {
    "assert(string.upper 'a' == 'A' and ('a'):upper() == 'A' and #table.pack(1, 2) == 2)",
    "for k, v in pairs(string) do assert(type(v) == 'function') end",
    "local n = 0 for k in pairs(_G) do n = n + 1 end assert(n > 20)",
    "assert(rawget(_G, 'ipairs') == nil and ipairs ~= nil)",
    "assert(getmetatable('') == false and getmetatable(_G) == false)",
    "assert(not pcall(function() x = 1 end))",
    "local ok, why = pcall(load, '\\27Lua') assert(ok)",
    "assert(load('return 1 + 1')() == 2 and load('return x', 'n', 't', {x = 5})() == 5)",
    "local t = setmetatable({}, {__index = function(_, k) return k .. k end}) assert(t.a == 'aa')",
    "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) assert(co(1) == 2 and co(4) == 8)",
    "local ok = pcall(string.rep, 'x', 1 << 40) assert(not ok)",
    "local m = setmetatable({}, {}) getmetatable(m).__gc = error m = nil for i = 1, 1e5 do local t = {i} end",
    "do local x <close> = setmetatable({}, {__close = function() end}) end",
    "assert(utf8.char(228) == 'ä' and math.type(1) == 'integer')",
    "#!/usr/bin/env weir\nassert(true)",
    "local a = math.random(1 << 40) math.randomseed(42) local b = math.random(100) math.randomseed(42) assert(math.random(100) == b)",
    "rawset({}, 1, 2) next({}) ipairs({}) tostring(1) tonumber '1' type(1) rawequal(1, 1) rawlen({}) select('#')",
};

/* Every C function that a script can reach through tables and metatables, by walking. */
static const char walk[] =
    "local seen, names = {}, {}\n"
    "local function visit(v, path)\n"
    "  if seen[v] or (type(v) ~= 'table' and type(v) ~= 'function') then return end\n"
    "  seen[v] = true\n"
    "  if type(v) == 'function' then names[#names + 1] = path return end\n"
    "  for k, x in pairs(v) do visit(x, path .. '.' .. tostring(k)) visit(k, path) end\n"
    "  local mt = getmetatable(v)\n"
    "  if type(mt) == 'table' then visit(mt, path .. '<mt>') end\n"
    "end\n"
    "visit(_G, '')\n"
    "visit(getmetatable(''), 'string<mt>')\n"
    "table.sort(names)\n"
    "error(table.concat(names, ' '))\n";

static const char reachable[] =
    ".assert .coroutine.close .coroutine.create .coroutine.isyieldable .coroutine.resume .coroutine.running .coroutine.status .coroutine.wrap "
    ".coroutine.yield .error .getmetatable .ipairs .load .math.abs";

static void test_corpus(void)
{
    weir_error err = {0};
    luavm_failure failure;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        luavm *vm;
        CHECK_OK(luavm_open(&vm, 8 << 20, &err), err);
        int rc = run(vm, refused[i].text, &failure);
        if (!CHECK(rc != 0)) fprintf(stderr, "  not refused: %s\n", refused[i].text);
        if (!CHECK_HAS(refused[i].message, failure.message))
            fprintf(stderr, "  of: %s\n", refused[i].text);
        luavm_close(vm);
    }
    luavm *vm;
    CHECK_OK(luavm_open(&vm, 64 << 20, &err), err);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (!CHECK_INT(0, run(vm, allowed[i], &failure)))
            fprintf(stderr, "  %s: %s\n", allowed[i], failure.message);
    CHECK(run(vm, walk, &failure) != 0);
    CHECK_HAS(reachable, failure.message);
    CHECK(strstr(failure.message, "dump") == NULL && strstr(failure.message, "_G") == NULL);
    luavm_close(vm);
}

static void test_failures(void)
{
    weir_error err = {0};
    luavm_failure failure;
    luavm *vm;
    buf trace;
    buf_init(&trace);
    CHECK_OK(luavm_open(&vm, 0, &err), err);

    CHECK(run(vm, "local a\n\na.b.c = 1\n", &failure) != 0);
    CHECK_STR("test.lua", failure.file);
    CHECK_INT(3, failure.line);
    CHECK_HAS("attempt to index a nil value", failure.message);

    CHECK(run(vm, "local a\nlocal b =\n= 5\n", &failure) != 0);
    CHECK_INT(3, failure.line);
    CHECK_HAS("unexpected symbol near '='", failure.message);

    CHECK(run(vm, "\nreturn ipars", &failure) != 0);
    CHECK_STR("unknown global 'ipars'", failure.message);
    CHECK_STR("did you mean 'ipairs'?", failure.hint);
    CHECK_INT(2, failure.line);

    CHECK(run(vm, "local function f() return f() + 1 end f()", &failure) != 0);
    CHECK_HAS("stack overflow", failure.message);

    script deep = {
        "error('x')",
        "@a/folder/with/a/very/long/name/that/lua/would/cut/off/in/its/messages/file.lua"};
    CHECK(luavm_run(vm, run_script, &deep, &failure, &trace) != 0);
    CHECK_STR(deep.name + 1, failure.file);
    CHECK_HAS("stack traceback", buf_cstr(&trace));
    CHECK_INT(0, run(vm, "assert(true)", &failure));
    buf_deinit(&trace);
    luavm_close(vm);
}

/* The n-th allocation fails, for every n: an error or success, never a crash or a leak. */
static void test_memory(void)
{
    weir_error err = {0};
    luavm_failure failure;
    size_t failures = 0;
    for (int64_t n = 1; n < 2000; n++) {
        luavm *vm = NULL;
        mem_fail_at(n, true);
        int rc = luavm_open(&vm, 0, &err);
        if (rc == 0)
            rc = run(vm, "local t = {} for i = 1, 50 do t[i] = ('x'):rep(i) end", &failure);
        mem_fail_at(0, false);
        luavm_close(vm);
        if (rc == 0) break;
        failures++;
    }
    CHECK(failures > 100);
}

int main(void)
{
    test_corpus();
    test_failures();
    test_memory();
    return check_done();
}
