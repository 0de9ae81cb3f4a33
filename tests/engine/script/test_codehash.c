/*
 * test_codehash.c - which edits of a workflow change the code hash of an effect, and which do not.
 */
#include "engine/script/loader.h"
#include "tests/check.h"

typedef struct seen {
    hash128 code;
    char always[200], errors[2000];
    bool found;
} seen;

static void on_effect(void *ctx, const effect_spec *e)
{
    seen *s = ctx;
    if (!bytes_equal(e->name, bytes_str("page"))) return;
    s->code = e->code;
    s->found = true;
    snprintf(s->always, sizeof s->always, "%.*s", (int)e->always.size,
             (const char *)e->always.data);
}

static void on_node(void *ctx, node_spec *n)
{
    (void)ctx;
    (void)n;
}

static void on_default(void *ctx, bytes target)
{
    (void)ctx;
    (void)target;
}

static void on_read(void *ctx, item_kind kind, bytes name, hash128 hash)
{
    (void)ctx;
    (void)kind;
    (void)name;
    (void)hash;
}

static void on_diagnostic(void *ctx, const diagnostic *d)
{
    seen *s = ctx;
    size_t used = strlen(s->errors);
    snprintf(s->errors + used, sizeof s->errors - used, "%s:%d: %s\n", d->file ? d->file : "-",
             d->line, d->message);
}

static int on_glob(void *ctx, bytes pattern, mem_arena *arena, bytes **paths, size_t *count,
                   weir_error *err)
{
    (void)ctx, (void)pattern, (void)arena, (void)paths, (void)err;
    *count = 0;
    return 0;
}

static int on_value(void *ctx, bytes name, bytes fallback, buf *answer, weir_error *err)
{
    (void)ctx, (void)name, (void)err;
    buf_append(answer, fallback.data, fallback.size);
    return 0;
}

static int on_may_read(void *ctx, bytes path, bool *may, weir_error *err)
{
    (void)ctx, (void)path, (void)err;
    *may = true;
    return 0;
}

static seen load(const char *text, const char *folder)
{
    static const weir_effect *const none[] = {NULL};
    seen s = {.found = false};
    weir_error err = {0};
    registry *effects = NULL;
    loader *ld = NULL;
    script_link link = {.ctx = &s,
                        .effect = on_effect,
                        .node = on_node,
                        .default_target = on_default,
                        .definition_read = on_read,
                        .diagnose = on_diagnostic,
                        .glob = on_glob,
                        .value = on_value,
                        .may_read = on_may_read};
    int fd = open(folder ? folder : check_scratch(), O_PATH | O_DIRECTORY);
    char path[600];
    snprintf(path, sizeof path, "%s/weir.lua", folder ? folder : check_scratch());
    char *whole = NULL;
    (void)!asprintf(&whole, "local weir = require 'weir'\n%s", text);
    check_write(path, whole);
    free(whole);
    CHECK_OK(registry_open(&effects, none, &err), err);
    loader_config config = {.link = &link, .effects = effects, .rootfd = fd};
    CHECK_OK(loader_open(&ld, &config, &err), err);
    CHECK_OK(loader_load(ld, "weir.lua", &err), err);
    loader_close(ld);
    registry_close(effects);
    close(fd);
    return s;
}

static const char base[] =
    "local util = require 'util'\n"
    "local K = 3\n"
    "local conf = { a = 1, b = { 'x', 'y' }, [2] = true, f = 1.5 }\n"
    "local function twice(x) return x * 2 end\n"
    "local layout = weir.file 'layout.html'\n"
    "weir.effect 'page' { run = function(i, o)\n"
    "  local t = {}\n"
    "  for n, x in ipairs(conf.b) do t[n] = twice(n) .. x .. K end\n"
    "  o.out:write(util.up(table.concat(t)), layout:read(), string.format('%d', 7))\n"
    "  return 1\n"
    "end }\n";

/* Replace `from` by `to` in the base; equal or different hash? */
static const struct {
    const char *from, *to;
    bool same;
} edits[] = {
    {"local K", "-- a comment\n\n\nlocal K", true},
    {"local K = 3", "local unrelated = 17\nlocal K = 3", true},
    {"  local t = {}\n", "  -- why\n\n  local t = {}\n", true},
    {"local t = {}\n  for n, x in ipairs(conf.b) do t[n] = twice(n) .. x .. K end\n  o.out:write(util.up(table.concat(t))",
     "local list = {}\n  for at, y in ipairs(conf.b) do list[at] = twice(at) .. y .. K end\n  o.out:write(util.up(table.concat(list))",
     true},
    {"local function twice(x) return x * 2 end",
     "local function twice(y)\n  -- doubled\n  return y * 2\nend", true},
    {"conf = { a = 1, b = { 'x', 'y' }, [2] = true, f = 1.5 }",
     "conf = { f = 1.5, [2] = true, b = { 'x', 'y' }, a = 1 }", true},
    {"local layout", "weir.effect 'other' { run = function() return 1 end }\nlocal layout", true},
    {"local K = 3", "local K = 4", false},
    {"local K = 3", "local K = 3.0", false},
    {"x * 2", "x * 3", false},
    {"x * 2", "x + 2", false},
    {"a = 1", "a = 2", false},
    {"a = 1", "a = '1'", false},
    {"'x', 'y'", "'x', 'z'", false},
    {"'x', 'y'", "'y', 'x'", false},
    {"f = 1.5", "f = 1.5, g = false", false},
    {"[2] = true", "[3] = true", false},
    {"layout.html", "layout.htm", false},
    {"'%d', 7", "'%d', 8", false},
    {"string.format", "string.rep", false},
    {"ipairs(conf.b)", "pairs(conf.b)", false},
};

static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(base, from);
    CHECK_OR_STOP(at != NULL);
    char *text = NULL;
    (void)!asprintf(&text, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
    return text;
}

static void test_edits(void)
{
    mkdir(check_path("lua"), 0755);
    check_write(
        check_path("lua/util.lua"),
        "local M = {}\nlocal function shout(s) return s:upper() end\nfunction M.up(s) return shout(s) end\nreturn M\n");
    seen first = load(base, NULL);
    CHECK_STR("", first.errors);
    CHECK_STR("", first.always);
    CHECK(first.found && !hash_is_none(first.code));
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char *text = replaced(edits[i].from, edits[i].to);
        seen s = load(text, NULL);
        CHECK_STR("", s.errors);
        if (!CHECK(hash_equal(first.code, s.code) == edits[i].same))
            fprintf(stderr, "  '%s' -> '%s'\n", edits[i].from, edits[i].to);
        free(text);
    }
    /* the same again, in another process order of pairs: stable */
    for (int i = 0; i < 5; i++) {
        seen s = load(base, NULL);
        CHECK_HASH(first.code, s.code);
    }
    /* a metatable counts */
    char *text = replaced("f = 1.5 }", "f = 1.5 } setmetatable(conf, { __index = { z = 1 } })");
    seen with_meta = load(text, NULL);
    CHECK(!hash_equal(first.code, with_meta.code));
    free(text);
    /* modules: a comment does not count, a helper's body does */
    check_write(
        check_path("lua/util.lua"),
        "-- about\nlocal M = {}\n\nlocal function shout(s) return s:upper() end\nfunction M.up(s) return shout(s) end\nreturn M\n");
    seen commented = load(base, NULL);
    CHECK_HASH(first.code, commented.code);
    check_write(
        check_path("lua/util.lua"),
        "local M = {}\nlocal function shout(s) return s:lower() end\nfunction M.up(s) return shout(s) end\nreturn M\n");
    seen changed = load(base, NULL);
    CHECK(!hash_equal(first.code, changed.code));
}

/* A held function counts only itself; a held module table counts whole. */
static void test_modules(void)
{
    static const char function_only[] =
        "local up = require('util').up\nweir.effect 'page' { run = function(i) return up(i.x:read()) end }\n";
    static const char whole[] =
        "local util = require 'util'\nweir.effect 'page' { run = function(i) return util.up(i.x:read()) end }\n";
    static const char inside[] =
        "require 'util'\nweir.effect 'page' { run = function(i) return require('util').up(i.x:read()) end }\n";
    static const char alias[] =
        "require 'util'\nlocal r = require\nweir.effect 'page' { run = function(i) return r('util').up(i.x:read()) end }\n";
    const char *programs[] = {function_only, whole, inside, alias};
    seen before[4], after[4];
    check_write(
        check_path("lua/util.lua"),
        "local M = {}\nfunction M.up(s) return s:upper() end\nfunction M.other() return 1 end\nreturn M\n");
    for (int i = 0; i < 4; i++) before[i] = load(programs[i], NULL);
    check_write(
        check_path("lua/util.lua"),
        "local M = {}\nfunction M.up(s) return s:upper() end\nfunction M.other() return 2 end\nreturn M\n");
    for (int i = 0; i < 4; i++) after[i] = load(programs[i], NULL);
    for (int i = 0; i < 4; i++) CHECK_STR("", after[i].errors);
    CHECK_HASH(before[0].code, after[0].code);
    for (int i = 1; i < 4; i++) CHECK(!hash_equal(before[i].code, after[i].code));
}

static void test_cycles(void)
{
    seen a = load(
        "local t = {} t.self = t t.list = { t, { t } }\nlocal function f(n) if n > 0 then return f(n - 1) end return t end\n"
        "weir.effect 'page' { run = function() return f(3), t end }\n",
        NULL);
    seen b = load(
        "local t = {} t.list = { t, { t } } t.self = t\n\nlocal function f(n) if n > 0 then return f(n - 1) end return t end\n"
        "weir.effect 'page' { run = function() return f(3), t end }\n",
        NULL);
    CHECK_STR("", a.errors);
    CHECK_HASH(a.code, b.code);
    seen keys1 = load(
        "local k1, k2 = { 1 }, { 2 } local t = { [k1] = 'a', [k2] = 'b' }\nweir.effect 'page' { run = function() return t end }\n",
        NULL);
    seen keys2 = load(
        "local k1, k2 = { 1 }, { 2 } local t = { [k2] = 'b', [k1] = 'a' }\nweir.effect 'page' { run = function() return t end }\n",
        NULL);
    seen keys3 = load(
        "local k1, k2 = { 1 }, { 2 } local t = { [k2] = 'a', [k1] = 'b' }\nweir.effect 'page' { run = function() return t end }\n",
        NULL);
    CHECK_HASH(keys1.code, keys2.code);
    CHECK(!hash_equal(keys1.code, keys3.code));
}

static void test_findings(void)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"local n = 0\nweir.effect 'page' { run = function()\n  n = n + 1\nend }\n",
         "weir.lua:4: effect \"page\": assigns 'n'"},
        {"local n = 0\nweir.effect 'page' { run = function()\n  local function g()\n    n = 2\n  end\n  g()\nend }\n",
         "weir.lua:5: effect \"page\": assigns 'n'"},
        {"local function make() local n = 0 return function() n = n + 1 return n end end\nlocal gen = make()\nweir.effect 'page' { run = function() return gen() end }\n",
         "weir.lua:2: effect \"page\": assigns 'n'"},
        {"weir.effect 'page' { run = function()\n  local function f() g = 1 end\n  f()\nend }\n",
         "weir.lua:3: effect \"page\": assigns the global 'g'"},
        {"local v = weir.value('v', 1)\nweir.effect 'page' { run = function() return v.value end }\n",
         "uses value v, which is declared outside"},
        {"local e = weir.env 'HOME'\nlocal t = { deep = { e } }\nweir.effect 'page' { run = function() return t end }\n",
         "uses variable HOME"},
    };
    static const char *const good[] = {
        "weir.effect 'page' { run = function() local n = 0 local function g() n = n + 1 end g() return n end }\n",
        "local f\nfunction f(n) return n == 0 and 0 or f(n - 1) end\nweir.effect 'page' { run = function() return f(3) end }\n",
        "weir.effect 'page' { run = function() local a, b = 1, 2 a = b for i = 1, 3 do a = i end local function h() return function() a = 1 end end h()() return a end }\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_HAS(bad[i].error, load(bad[i].text, NULL).errors);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_STR("", load(good[i], NULL).errors);

    seen thread = load(
        "local co = coroutine.create(function() end)\nweir.effect 'page' { run = function() return co end }\n",
        NULL);
    CHECK_STR("reaches a coroutine", thread.always);
    seen always = load("weir.effect 'page' { always = true, run = function() end }\n", NULL);
    CHECK_STR("declared always", always.always);
}

/* Modules of the system: by file content, with C functions told apart by name. */
static void test_system_modules(void)
{
    seen encode = load(
        "local j = require 'cjson' local f = j.encode\nweir.effect 'page' { run = function() return f(1) end }\n",
        NULL);
    if (strstr(encode.errors, "not found")) return; /* not installed here */
    seen decode = load(
        "local j = require 'cjson' local f = j.decode\nweir.effect 'page' { run = function() return f(1) end }\n",
        NULL);
    seen whole = load(
        "local j = require 'cjson'\nweir.effect 'page' { run = function() return j.encode { 1 } end }\n",
        NULL);
    CHECK_STR("", encode.errors);
    CHECK_STR("", encode.always);
    CHECK_STR("", whole.always);
    CHECK(!hash_equal(encode.code, decode.code));
    seen re = load(
        "local re = require 're' local p = re.compile '[a-z]+'\nweir.effect 'page' { run = function() return re.find('x', p) end }\n",
        NULL);
    CHECK_STR("", re.errors);
    CHECK_STR("", re.always);
}

/* Deep data is hashed up to a limit; libraries that mention io and debug load. */
static void test_depth(void)
{
    static const char deep[] = "local t = {} local at = t for i = 1, %d do at.next = {} at = at.next end\n"
                               "weir.effect 'page' { run = function() return t end }\n";
    char text[400];
    snprintf(text, sizeof text, deep, 600);
    CHECK_STR("", load(text, NULL).always);
    snprintf(text, sizeof text, deep, 2000);
    CHECK_HAS("nested deeper", load(text, NULL).always);
    seen pl = load("local m = require 'pl.pretty'\n"
                   "weir.effect 'page' { run = function() return m.write {} end }\n", NULL);
    if (strstr(pl.errors, "'pl.pretty' not found")) return;
    CHECK_STR("", pl.errors);
    CHECK_STR("", pl.always);
}

static void test_standard(void)
{
    CHECK_STR("", load("local s = require 'string' assert(s == string)\n", NULL).errors);
    CHECK_HAS("'io' is not available", load("local io = require 'io'\n", NULL).errors);
    CHECK_HAS("'debug' is not available", load("pcall(require, 'debug') require 'debug'\n", NULL).errors);
    CHECK_HAS("no name of a module", load("require '../x'\n", NULL).errors);
    CHECK_HAS("modules require each other", load("require 'loop'\n", NULL).errors);
}

int main(void)
{
    unsetenv("LUA_PATH");
    unsetenv("LUA_CPATH");
    test_edits();
    test_modules();
    test_cycles();
    test_findings();
    test_system_modules();
    test_depth();
    check_write(check_path("lua/loop.lua"), "require 'loop'\n");
    test_standard();
    return check_done();
}
