/*
 * test_host.c - the script host and its workers, with a driver that plays the engine.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "tests/engine/script/drive.h"

/* --- a C effect for the workers ----------------------------------------------------------------------------------- */

static int upper_run(const weir_host *host, weir_job *running)
{
    const char *data;
    size_t size;
    if (host->input_read(running, "text", 0, &data, &size) != 0) return -1;
    char *copy = host->memory(running, size + 1);
    for (size_t i = 0; i < size; i++)
        copy[i] = (char)(data[i] >= 'a' && data[i] <= 'z' ? data[i] - 32 : data[i]);
    return host->value_string(running, copy, size);
}

static int crash_run(const weir_host *host, weir_job *running)
{
    (void)host;
    (void)running;
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return 0;
}

static const weir_port upper_inputs[] = {{"text", WEIR_REQUIRED, "a file"}, {NULL, 0, NULL}};
static const weir_port no_ports[] = {{NULL, 0, NULL}};
static const weir_param upper_params[] = {{"lang", "string", 0, "\"en\"", "default filled in"},
                                          {NULL, NULL, 0, NULL, NULL}};
static const weir_effect upper = {sizeof upper, "upper",  "1",          "upper case",
                                  upper_inputs, no_ports, upper_params, upper_run};
static const weir_effect crash = {sizeof crash, "crash",  "1",  "crashes",
                                  no_ports,     no_ports, NULL, crash_run};
static const weir_effect *const effects[] = {&upper, &crash, NULL};

/* --- jobs ----------------------------------------------------------------------------------------------------------- */

typedef struct worker_log {
    uv_loop_t *loop;
    script_worker *worker;
    bool is_ready, is_dead;
    size_t began, reports;
    buf text;
    uint64_t running;
    size_t unfinished;
    char how[160];
} worker_log;

static void on_ready(void *ctx, script_worker *w)
{
    worker_log *log = ctx;
    log->is_ready = true;
    CHECK(script_worker_pid(w) > 0);
}

static void on_began(void *ctx, script_worker *w, uint64_t id)
{
    worker_log *log = ctx;
    (void)w;
    (void)id;
    log->began++;
}

static void on_report(void *ctx, script_worker *w, const job_report *r)
{
    worker_log *log = ctx;
    (void)w;
    log->reports++;
    buf_printf(&log->text, "report %llu %s", (unsigned long long)r->id, r->ok ? "ok" : "failed");
    if (r->message.size)
        buf_printf(&log->text, " message=%.*s", (int)r->message.size,
                   (const char *)r->message.data);
    if (r->has_value) {
        buf json;
        buf_init(&json);
        (void)value_to_json(r->value, 0, &json, NULL);
        buf_printf(&log->text, " value=%s", buf_cstr(&json));
        buf_deinit(&json);
    }
    if (r->log.size)
        buf_printf(&log->text, " log=%.*s", (int)r->log.size, (const char *)r->log.data);
    if (r->impure)
        buf_printf(&log->text, " impure=%.*s", (int)r->impure_what.size,
                   (const char *)r->impure_what.data);
    for (size_t i = 0; i < r->read_count; i++)
        buf_printf(&log->text, " read:%d/%d/%d%s%.*s%s", r->reads[i].ref.aspect,
                   r->reads[i].ref.port, r->reads[i].ref.member, r->reads[i].path.size ? ":" : "",
                   (int)r->reads[i].path.size,
                   r->reads[i].path.size ? (const char *)r->reads[i].path.data : "",
                   r->reads[i].differs ? "!" : "");
    for (size_t i = 0; i < r->written_count; i++)
        buf_printf(&log->text, " wrote:%u=%llu", r->written[i].port,
                   (unsigned long long)r->written[i].size);
    buf_text(&log->text, "\n");
}

static void on_died(void *ctx, script_worker *w, uint64_t running, const uint64_t *unfinished,
                    size_t count, const char *how)
{
    worker_log *log = ctx;
    (void)w;
    (void)unfinished;
    log->is_dead = true;
    log->worker = NULL;
    log->running = running;
    log->unfinished = count;
    snprintf(log->how, sizeof log->how, "%s", how);
}

static void spawn_worker(drive *d, worker_log *log)
{
    weir_error err = {0};
    *log = (worker_log){.loop = &d->loop};
    buf_init(&log->text);
    worker_events events = {
        .ctx = log, .ready = on_ready, .began = on_began, .report = on_report, .died = on_died};
    CHECK_OK(script_worker_fork(d->host, &events, &log->worker, &err), err);
}

static void wait_for(worker_log *log, size_t reports)
{
    int64_t end = os_monotonic_ns() + (int64_t)20 * 1000000000;
    while (log->reports < reports && !log->is_dead && os_monotonic_ns() < end)
        uv_run(log->loop, UV_RUN_ONCE);
}

static void retire(worker_log *log)
{
    if (log->worker) script_worker_retire(log->worker);
    while (!log->is_dead) uv_run(log->loop, UV_RUN_ONCE);
    buf_deinit(&log->text);
}

static bytes params_of(mem_arena *arena, const char *json)
{
    buf b;
    weir_error err = {0};
    buf_init(&b);
    CHECK_OK(value_from_json(bytes_str(json), &b, &err), err);
    bytes kept = arena_bytes(arena, buf_bytes(&b));
    buf_deinit(&b);
    return kept;
}

typedef struct order_parts {
    job_file file[2];
    job_member member[3];
    job_input input[2];
    job_output output;
    job_order order;
} order_parts;

/* An order with a file input "text", a list "all" of two, an output "out". */
static void make_order(order_parts *p, mem_arena *arena, uint64_t id, const char *effect,
                       effect_kind kind)
{
    *p = (order_parts){
        .order = {.id = id, .node = bytes_str("n"), .effect = bytes_str(effect), .kind = kind}};
    p->file[0] = (job_file){.path = bytes_str("content/a.md"), .hash = HASH_NONE, .item = 7};
    p->file[1] = (job_file){.path = bytes_str("content/b.md"), .hash = HASH_NONE, .item = 8};
    for (int i = 0; i < 2; i++)
        p->member[i] = (job_member){.kind = MEMBER_ITEM,
                                    .item_type = ITEM_FILE,
                                    .name = p->file[i].path,
                                    .id = p->file[i].item,
                                    .files = &p->file[i],
                                    .file_count = 1};
    p->input[0] =
        (job_input){.port = bytes_str("all"), .is_list = true, .members = p->member, .count = 2};
    p->input[1] = (job_input){.port = bytes_str("text"), .members = p->member, .count = 1};
    p->output = (job_output){.port = bytes_str("out"),
                             .path = bytes_str("public/out.txt"),
                             .temp = bytes_str("tmp/out")};
    p->order.params = params_of(arena, "{\"post\": \"intro\", \"n\": 3}");
    p->order.inputs = p->input;
    p->order.input_count = 2;
    p->order.outputs = &p->output;
    p->order.output_count = 1;
    p->order.keep = true;
}

static void send_order(worker_log *log, order_parts *p)
{
    weir_error err = {0};
    CHECK_OK(script_worker_send(log->worker, &p->order, 1, &err), err);
}

static void project(const char *workflow)
{
    mkdir(check_path("content"), 0755);
    mkdir(check_path("tmp"), 0755);
    mkdir(check_path("lua"), 0755);
    check_write(check_path("content/a.md"), "alpha\nbeta\n");
    check_write(check_path("content/b.md"), "{\"x\": [1, 2]}");
    check_write(check_path("weir.lua"), workflow);
}

/* --- declarations ------------------------------------------------------------------------------------------------------ */

static const char site[] =
    "local weir = require 'weir'\n"
    "local util = require 'util'\n"
    "local home = weir.env 'WEIR_TEST_HOME'\n"
    "local n = weir.value('n', { default = 2, type = 'integer' })\n"
    "local layout = weir.file 'content/../content/b.md'\n"
    "local page = weir.effect 'page' { run = function(i, o) o.out:write(util.up(i.text:read())) end, version = 3 }\n"
    "local all = {}\n"
    "for _, md in ipairs(weir.glob 'content/**/*.md') do\n"
    "  all[#all + 1] = page 'page' { params = { post = md.rel, n = n.value }, inputs = { text = md, layout = layout },\n"
    "    outputs = { out = 'public/{{post}}.html' } }\n"
    "end\n"
    "weir.upper 'up' { inputs = { text = all[1].out } }\n"
    "weir.sh 'tidy' { inputs = { pages = { all, layout }, cc = weir.tool 'cc', home = home }, outputs = { log = 'build/tidy.log' },\n"
    "  cmd = 'tidy {{pages}} 2> {{log}}', env = { HOME = home, N = 4 }, timeout = 1.5, retries = 2, depfile = '{{log}}.d', job = 'batch' }\n"
    "weir.sh 'words' { cmd = { 'echo', '{{pages}}', 5 }, inputs = { pages = all }, always = true, store = false }\n"
    "weir.default('tidy', all[2].out)\n"
    "assert(all[1].name == 'page[n=2,post=a]' and all[1].out.path == 'public/a.html' and all[1].params.n == 2)\n"
    "assert(layout.name == 'b.md' and layout.stem == 'b' and layout.ext == 'md' and layout.path == 'content/b.md')\n"
    "assert(weir.read 'content/a.md' == 'alpha\\nbeta\\n' and weir.read 'nothing' == nil)\n"
    "assert(#weir.matrix { a = { 1, 2 }, b = { 'x', 'y', 'z' } } == 6)\n";

static void test_declarations(void)
{
    drive d;
    setenv("WEIR_TEST_HOME", "/somewhere", 1);
    unsetenv("LUA_PATH");
    project(site);
    check_write(check_path("lua/util.lua"),
                "local M = {}\nfunction M.up(s) return s:upper() end\nreturn M\n");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));
    const char *text = drive_text(&d);
    CHECK_INT(0, d.errors);
    CHECK_INT(5, d.nodes);
    CHECK_STR("", d.always);
    CHECK_HAS(
        "node page[n=2,post=a] effect=page params={\"n\":2,\"post\":\"a\"} at weir.lua:9 in:layout=1/1:content/b.md in:text=1/1:content/a.md out:out=public/a.html flags=0",
        text);
    CHECK_HAS(
        "node up effect=upper params={\"lang\":\"en\"} at weir.lua:12 in:text=3/0:page[n=2,post=a].out flags=0",
        text);
    CHECK_HAS("in:pages[]=2/0:page[n=2,post=a],2/0:page[n=2,post=b],1/1:content/b.md", text);
    CHECK_HAS(
        "cmd:tidy {{pages}} 2> {{log}} env:HOME=/somewhere env:N=4 depfile:build/tidy.log.d flags=8 job=1 retries=2 timeout=1500",
        text);
    CHECK_HAS("cmd:echo cmd:{{pages}} cmd:5 flags=5", text);
    CHECK_HAS("default tidy\ndefault public/b.html\n", text);
    CHECK_HAS(
        "read 1 weir.lua\nread 1 util.lua absent\nread 1 util/init.lua absent\nread 1 lua/util.lua\n",
        text);
    CHECK_HAS("read 3 WEIR_TEST_HOME\n", text);
    CHECK_HAS("read 4 n\n", text);
    CHECK_HAS("read 1 nothing absent\n", text);
    CHECK_HAS("effect page kind=1 version=3 always= at weir.lua:6", text);
    CHECK_HAS("effect upper kind=2 version=1", text);
    CHECK_HAS("effect sh kind=3", text);
    drive_close(&d);
}

static const char wrong[] =
    "local weir = require 'weir'\n"
    "local page = weir.effect 'page' { run = function(i, o) end }\n"
    "local a = page 'a' { input = { text = weir.file 'x' } }\n"
    "page 'b' {\n"
    "  inputs = { text = 'x.md', upstream = a },\n"
    "  outputs = { html = 'p/{{pots}}.html', path = 'y' },\n"
    "  params = { post = 1 },\n"
    "}\n"
    "page 'c' { outputs = { html = '../out' } }\n"
    "page 'd' {} page 'd' {} page 'p' { params = { f = function() end }, outputs = { x = '{{y}}' } }\n"
    "weir.sh 's' { cmd = 'cat {{tetx}}', inputs = { text = weir.file 'x' } }\n"
    "weir.sh 't' {}\n"
    "weir.upper 'u' { inputs = { txt = weir.file 'x' } }\n"
    "weir.value('v', { default = 'x', type = 'integer' })\n"
    "weir.file '/etc/passwd'\n"
    "weir.default(42)\n"
    "page 'e' { inputs = { p = page }, timeout = 'soon', retries = -1 }\n"
    "page 'f' { env = { A = 'b' }, params = { 1, 2 } }\n"
    "weir.effect 'page' { run = 5, rum = 6 }\n"
    "weir.effect 'bad' { run = function() weir.count = 1; a = nil; glob = 2 end }\n"
    "local count = 0\n"
    "local cap = weir.effect 'cap' { run = function()\n"
    "  count = count + 1\n"
    "  return a.path\n"
    "end }\n"
    "local ok = page 'ok' {}\n"
    "weir.effect 'cap2' { run = function() return ok end }\n"
    "weir.cpoy 'x' {}\n";

static void test_diagnostics(void)
{
    drive d;
    project(wrong);
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));
    const char *text = drive_text(&d);
    CHECK(d.errors >= 22);
    CHECK_HAS(
        "error weir.lua:3:22: page \"a\": unknown key 'input' | did you mean 'inputs'? | local a = page 'a' {",
        text);
    CHECK_HAS(
        "error weir.lua:5:14: page \"b\": inputs.text: a string is no handle | a file is weir.file \"x.md\"",
        text);
    CHECK_HAS(
        "error weir.lua:6:27: page \"b\": outputs.html: nothing is called {{pots}} | did you mean 'post'?",
        text);
    CHECK_HAS("page \"b\": outputs: the name 'path' is taken", text);
    CHECK_HAS("params.f: a function is not a value | params are data", text);
    CHECK_HAS("weir.lua:9:24: page \"c\": outputs.html: path \"../out\" leaves the root", text);
    CHECK_HAS("error weir.lua:10:0: page \"d\": a node d was declared before, at weir.lua:10",
              text);
    CHECK_HAS("sh \"s\": cmd: nothing is called {{tetx}} | did you mean 'text'?", text);
    CHECK_HAS("sh \"t\": a command needs cmd", text);
    CHECK_HAS("error weir.lua:13:", text);
    CHECK_HAS("the default is not of type integer", text);
    CHECK_HAS("error weir.lua:15:0: weir.file:", text);
    CHECK_HAS("weir.default: a number is no target", text);
    CHECK_HAS("page is an effect, not a node", text);
    CHECK_HAS("timeout is a number, not a string", text);
    CHECK_HAS("retries must be a whole number", text);
    CHECK_HAS("'env' is for commands (weir.sh) only", text);
    CHECK_HAS("params have names, this is a list", text);
    CHECK_HAS("effect \"page\": was registered before, at weir.lua:2", text);
    CHECK_HAS("unknown key 'rum' | did you mean 'run'?", text);
    CHECK_HAS("run is not a Lua function", text);
    CHECK_HAS("error weir.lua:20:", text);
    CHECK_HAS("assigns the global 'glob'", text);
    CHECK_HAS("error weir.lua:23:3: effect \"cap\": assigns 'count', a variable from outside",
              text);
    CHECK_HAS("effect \"cap2\": uses node ok, which is declared outside of it | add it to inputs",
              text);
    CHECK_HAS("error weir.lua:28:0: there is no 'weir.cpoy' and no effect of this name", text);
    drive_close(&d);

    project("local weir = require 'weir'\nlocal x = = 1\n");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));
    CHECK_HAS("error weir.lua:2:9: unexpected symbol near '=' | local x = = 1", drive_text(&d));
    drive_close(&d);

    project("local weir = require 'weir'\nlocal function f() error('no luck') end\nf()\n");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));
    CHECK_INT(1, d.errors);
    CHECK_HAS("error weir.lua:2:0: no luck | local function f()", drive_text(&d));
    drive_close(&d);

    project("local weir = require 'weir'\nweir.read 'content/a.md'\n");
    drive_open(&d, check_scratch());
    d.forbidden = "content/a.md";
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));
    CHECK_HAS("content/a.md is made by a node", drive_text(&d));
    drive_close(&d);

    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "nowhere.lua", 0, 0));
    CHECK_INT(1, d.errors);
    CHECK_HAS("there is no file nowhere.lua", drive_text(&d));
    drive_close(&d);
}

static void test_values(void)
{
    drive d;
    project(
        "local weir = require 'weir'\nlocal v = weir.param { name = 'size', default = 1 }\nassert(v.value == 7)\n");
    drive_open(&d, check_scratch());
    d.set_name = "size";
    d.set_json = "7";
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));
    CHECK_INT(0, d.errors);
    drive_close(&d);
}

/* --- loading that goes wrong ------------------------------------------------------------------------------------------------ */

static void test_bad_loads(void)
{
    drive d;
    project("while true do end\n");
    drive_open(&d, check_scratch());
    CHECK(drive_start(&d, "weir.lua", 300, 0) != 0);
    CHECK_HAS("host died: loading took longer than 0.3 s", drive_text(&d));
    drive_close(&d);

    /* Longer than that as a whole, but with something to show for it. */
    project("local weir = require 'weir'\n"
            "for n = 1, 40 do\n"
            "  for _ = 1, 1000000 do end\n"
            "  weir.sh('slow-' .. n) { cmd = { 'true', ('x'):rep(100000) } }\n"
            "end\n");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 150, 0));
    drive_close(&d);

    project("local t = {}\nwhile true do t[#t + 1] = ('x'):rep(100000) .. #t end\n");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 20 << 20));
    CHECK_INT(1, d.errors);
    CHECK_HAS("memory limit of 20 MiB reached", drive_text(&d));
    drive_close(&d);
}

/* --- workers ---------------------------------------------------------------------------------------------------------------------- */

static const char jobs[] =
    "local weir = require 'weir'\n"
    "local layout = weir.file 'content/b.md'\n"
    "local cache = { hits = 0 }\n"
    "local helper = require 'util'\n"
    "weir.effect 'page' { run = function(i, o)\n"
    "  print('working on', i.post, i.n + 1)\n"
    "  o.out:write(i.text:read():upper(), i.text.name, ' ', #i.all)\n"
    "  return { path = i.text.path, total = #i.all, x = i.all[2]:json().x, empty = weir.array {}, r = math.random(1000000) }\n"
    "end }\n"
    "weir.effect 'lazy' { run = function(i, o) o.out:write(layout:read()); weir.read('none.txt'); return 'ok' end }\n"
    "weir.effect 'wrong' { run = function(i, o) o.out:write('x')\n  return i.tetx:read() end }\n"
    "weir.effect 'spin' { run = function(i, o) while true do pcall(function() while true do end end) end end }\n"
    "weir.effect 'crash' { run = function(i, o) end }\n"
    "weir.effect 'boom' { run = function(i, o) o.out:write('') return coroutine.wrap(function() return string.rep('x', 1e9) .. 'y' end)() end }\n"
    "weir.effect 'dirty' { run = function(i, o) o.out:write('') cache.hits = cache.hits + 1 return cache.hits end }\n"
    "weir.effect 'modules' { run = function(i, o) o.out:write(require('late').text, helper.up 'x', require('util').up 'y') end }\n"
    "weir.effect 'lines' { run = function(i, o) for l in i.text:lines() do o.out:write('<', l, '>') end\n"
    "  for k, m in ipairs(i.all) do o.out:write(k, m.stem) end\n  for k, m in pairs(i.all) do o.out:write(k) end end }\n";

static void test_lua_jobs(void)
{
    drive d;
    worker_log log;
    order_parts p;
    char source[sizeof jobs];
    snprintf(source, sizeof source, "%s", jobs);
    char *clash = strstr(source, "weir.effect 'crash'");
    memcpy(clash, "weir.effect 'crush'", 19); /* `crash` is the C effect */
    project(source);
    check_write(check_path("lua/util.lua"),
                "local M = {}\nfunction M.up(s) return s:upper() end\nreturn M\n");
    check_write(check_path("lua/late.lua"), "return { text = 'late' }\n");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 64 << 20));
    if (!CHECK_INT(0, d.errors)) fprintf(stderr, "%s", drive_text(&d));
    spawn_worker(&d, &log);

    make_order(&p, &d.arena, 1, "page", EFFECT_LUA);
    send_order(&log, &p);
    CHECK_INT(1, script_worker_load(log.worker));
    wait_for(&log, 1);
    const char *text = buf_cstr(&log.text);
    CHECK(log.is_ready);
    CHECK_HAS("report 1 ok value={\"empty\":[],\"path\":\"content/a.md\",\"r\":", text);
    CHECK_HAS(",\"total\":2,\"x\":[1,2]} log=working on\tintro\t4\n", text);
    CHECK_HAS(" wrote:0=17", text);
    CHECK_HAS("read:1/1/0", text);
    CHECK_HAS("read:3/0/-1", text);
    CHECK_HAS("read:1/0/1", text);
    char first[400];
    snprintf(first, sizeof first, "%s", strstr(text, "value="));
    buf_clear(&log.text);
    send_order(&log, &p);
    wait_for(&log, 2);
    CHECK_HAS(first, buf_cstr(&log.text)); /* the same random numbers again */

    make_order(&p, &d.arena, 3, "lazy", EFFECT_LUA);
    buf_clear(&log.text);
    send_order(&log, &p);
    wait_for(&log, 3);
    CHECK_HAS("report 3 ok value=\"ok\"", buf_cstr(&log.text));
    CHECK_HAS("none.txt", buf_cstr(&log.text));

    make_order(&p, &d.arena, 4, "wrong", EFFECT_LUA);
    buf_clear(&log.text);
    send_order(&log, &p);
    wait_for(&log, 4);
    CHECK_HAS(
        "report 4 failed message=weir.lua:12: i.tetx: not declared; there are all, text, n and post (did you mean 'text'?) log=stack traceback",
        buf_cstr(&log.text));

    make_order(&p, &d.arena, 5, "boom", EFFECT_LUA);
    buf_clear(&log.text);
    send_order(&log, &p);
    wait_for(&log, 5);
    CHECK_HAS("report 5 failed message=", buf_cstr(&log.text));
    CHECK_HAS("memory", buf_cstr(&log.text));

    make_order(&p, &d.arena, 6, "modules", EFFECT_LUA);
    buf_clear(&log.text);
    send_order(&log, &p);
    wait_for(&log, 6);
    CHECK_HAS("report 6 ok", buf_cstr(&log.text));
    CHECK_HAS("lua/late.lua", buf_cstr(&log.text));
    CHECK_HAS("wrote:0=6", buf_cstr(&log.text));

    make_order(&p, &d.arena, 7, "lines", EFFECT_LUA);
    buf_clear(&log.text);
    send_order(&log, &p);
    wait_for(&log, 7);
    CHECK_HAS("wrote:0=19", buf_cstr(&log.text)); /* <alpha><beta>1a2b12 */

    make_order(&p, &d.arena, 8, "upper", EFFECT_C);
    buf_clear(&log.text);
    p.order.output_count = 0;
    send_order(&log, &p);
    wait_for(&log, 8);
    CHECK_HAS("report 8 ok value=\"ALPHA\\u000aBETA\\u000a\"", buf_cstr(&log.text));

    /* A job that changed a captured table: used, said, and the last one in this worker. */
    make_order(&p, &d.arena, 9, "dirty", EFFECT_LUA);
    buf_clear(&log.text);
    weir_error err = {0};
    job_order two[2] = {p.order, p.order};
    two[1].id = 10;
    CHECK_OK(script_worker_send(log.worker, two, 2, &err), err);
    wait_for(&log, 10);
    CHECK(log.is_dead);
    CHECK_HAS("report 9 ok value=1 impure=the effect changed a table that 'cache' leads to",
              buf_cstr(&log.text));
    CHECK_STR("retired", log.how);
    CHECK_INT(0, log.running);
    CHECK_INT(1, log.unfinished);
    retire(&log);
    drive_close(&d);
}

static void test_limits(void)
{
    drive d;
    worker_log log;
    order_parts p;
    char source[sizeof jobs];
    snprintf(source, sizeof source, "%s", jobs);
    memcpy(strstr(source, "weir.effect 'crash'"), "weir.effect 'crush'", 19);
    project(source);
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, "weir.lua", 0, 0));

    /* A hung job among three: only it has failed. */
    spawn_worker(&d, &log);
    job_order three[3];
    order_parts parts[3];
    make_order(&parts[0], &d.arena, 21, "lazy", EFFECT_LUA);
    make_order(&parts[1], &d.arena, 22, "spin", EFFECT_LUA);
    make_order(&parts[2], &d.arena, 23, "lazy", EFFECT_LUA);
    for (int i = 0; i < 3; i++) three[i] = parts[i].order;
    three[1].timeout_ms = 300;
    weir_error err = {0};
    CHECK_OK(script_worker_send(log.worker, three, 3, &err), err);
    int64_t start = os_monotonic_ns();
    wait_for(&log, 3);
    CHECK(log.is_dead);
    CHECK(os_monotonic_ns() - start < (int64_t)3 * 1000000000);
    CHECK_INT(1, log.reports);
    CHECK_INT(22, log.running);
    CHECK_INT(1, log.unfinished);
    CHECK_STR("time limit 0.3 s", log.how);
    retire(&log);

    /* A crash in C. */
    spawn_worker(&d, &log);
    make_order(&p, &d.arena, 31, "crash", EFFECT_C);
    p.order.input_count = p.order.output_count = 0;
    send_order(&log, &p);
    p.order.id = 32;
    send_order(&log, &p);
    wait_for(&log, 2);
    CHECK(log.is_dead);
    CHECK_STR("signal 11", log.how);
    CHECK_INT(31, log.running);
    CHECK_INT(1, log.unfinished);
    retire(&log);

    /* Killed from outside, while idle; and one that is killed before it is there. */
    spawn_worker(&d, &log);
    while (!log.is_ready) uv_run(&d.loop, UV_RUN_ONCE);
    script_worker_kill(log.worker, "stopped");
    while (!log.is_dead) uv_run(&d.loop, UV_RUN_ONCE);
    CHECK_STR("stopped", log.how);
    CHECK_INT(0, log.running);
    retire(&log);
    spawn_worker(&d, &log);
    script_worker_kill(log.worker, "early");
    while (!log.is_dead) uv_run(&d.loop, UV_RUN_ONCE);
    CHECK_STR("early", log.how);
    retire(&log);

    /* A worker outlives its host. */
    spawn_worker(&d, &log);
    while (!log.is_ready) uv_run(&d.loop, UV_RUN_ONCE);
    script_host_close(d.host);
    d.host = NULL;
    for (int i = 0; i < 20; i++) uv_run(&d.loop, UV_RUN_NOWAIT);
    make_order(&p, &d.arena, 41, "lazy", EFFECT_LUA);
    send_order(&log, &p);
    wait_for(&log, 1);
    CHECK_HAS("report 41 ok", buf_cstr(&log.text));
    retire(&log);
    drive_close(&d);
}

static void test_bare(void)
{
    drive d;
    worker_log log[3];
    order_parts p;
    project("");
    drive_open(&d, check_scratch());
    CHECK_INT(0, drive_start(&d, NULL, 0, 0));
    CHECK(d.is_loaded);
    for (int i = 0; i < 3; i++) spawn_worker(&d, &log[i]);
    for (int i = 0; i < 3; i++) {
        make_order(&p, &d.arena, (uint64_t)i + 1, "upper", EFFECT_C);
        p.order.output_count = 0;
        send_order(&log[i], &p);
    }
    for (int i = 0; i < 3; i++) {
        wait_for(&log[i], 1);
        CHECK_HAS("ok value=\"ALPHA\\u000aBETA\\u000a\"", buf_cstr(&log[i].text));
    }
    make_order(&p, &d.arena, 9, "page", EFFECT_LUA);
    send_order(&log[0], &p);
    wait_for(&log[0], 2);
    CHECK_HAS("report 9 failed", buf_cstr(&log[0].text));
    for (int i = 0; i < 3; i++) retire(&log[i]);
    drive_close(&d);
}

/* Asking for a worker while loading; closing while it loads; a host that is killed. */
static void test_timing(void)
{
    drive d;
    worker_log log;
    weir_error err = {0};
    project("local weir = require 'weir'\nfor i = 1, 50 do weir.glob('content/*.md') end\n");
    drive_open(&d, check_scratch());
    script_config config = {.program = "/proc/self/exe",
                            .rootfd = d.rootfd,
                            .workflow = "weir.lua"};
    script_events events = drive_events(&d);
    CHECK_OK(script_host_start(&d.host, &d.loop, &config, &events, &err), err);
    spawn_worker(&d, &log);
    CHECK_OK(script_host_wait(d.host, &err), err);
    while (!log.is_ready && !log.is_dead) uv_run(&d.loop, UV_RUN_ONCE);
    CHECK(log.is_ready);
    kill((pid_t)script_host_pid(d.host), SIGKILL);
    while (!d.died) uv_run(&d.loop, UV_RUN_ONCE);
    CHECK_HAS("host died: signal 9", drive_text(&d));
    retire(&log);
    drive_close(&d);

    drive_open(&d, check_scratch());
    CHECK_OK(script_host_start(&d.host, &d.loop, &config, &events, &err), err);
    spawn_worker(&d, &log);
    script_host_close(d.host);
    d.host = NULL;
    CHECK(log.is_dead);
    buf_deinit(&log.text);
    drive_close(&d);
    CHECK(!d.died);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--script-host") == 0)
        return script_host_main(argc, argv, effects);
    test_declarations();
    test_diagnostics();
    test_values();
    test_bad_loads();
    test_lua_jobs();
    test_limits();
    test_bare();
    test_timing();
    return check_done();
}
