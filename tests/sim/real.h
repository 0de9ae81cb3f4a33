/*
 * real.h - in place of fake.h and single.h: the same functions of weir.h that the judge calls, done by the weir program with real files and
 * processes. The graph becomes weir.lua; effects are Lua functions, commands are tools/sim, both of them real.lua's text.
 *
 * What an execution read is not seen from outside: it is taken from the clean computation, which the judge compares with the outputs.
 */
#ifndef WEIR_TESTS_SIM_REAL_H
#define WEIR_TESTS_SIM_REAL_H

#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/weir.h"
#include "tests/sim/files.h"
#include "tests/sim/graph.h"

static sim_graph graph;
static void fake_performed(int slot, const sim_node *n, const tracker *t, bool ok);
static const tracker *real_reads(int slot);
static const sim_node *real_node(int slot);
static const char *fake_effect_name(const sim_node *n);

enum { DEFINITION = 1 << 16, REAL_FRESH_MS = 40 };
static const struct weir_effect *fake_table[1];

struct weir {
    char root[300];
    weir_listener listener;
    char text[DEFINITION]; /* weir.lua */
    size_t size;
};

/* --- time -------------------------------------------------------------------------------------------------------------- */

static void single_later(void)
{
    usleep(REAL_FRESH_MS * 1000);
}

static bool single_is_now(const struct timespec *stamp)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - stamp->tv_sec) * 1000 + (now.tv_nsec - stamp->tv_nsec) / 1000000 < REAL_FRESH_MS;
}

static void single_begin(void)
{
}

/* Both names of real.lua. */
static void fake_tools(int dir)
{
    static const char *const names[] = {"tools/sim", "tools/sim.lua"};
    char path[600], text[16000];
    snprintf(path, sizeof path, "%s/tests/sim/real.lua", getenv("WEIR_SOURCE") ? getenv("WEIR_SOURCE") : ".");
    int from = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = from >= 0 ? read(from, text, sizeof text - 1) : -1;
    if (size <= 0) abort();
    close(from);
    text[size] = '\0';
    for (int i = 0; i < 2; i++) write_text(dir, names[i], text);
}

static void fake_effects_make(void)
{
}

static void fake_set_version(int kind, int version)
{
    (void)kind, (void)version;
}

/* Port x: source 5 comes as an environment variable, 6 as a named value. */
static bool x_is_file(const sim_node *n)
{
    return n->x != 5 && n->x != 6;
}

/* --- the definition ------------------------------------------------------------------------------------------------------ */

static const char *fake_effect_name(const sim_node *n)
{
    static char name[24];
    snprintf(name, sizeof name, "e%d_%d_%d", n->kind, n->variant, n->shape);
    return name;
}

static void say(weir *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(weir *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->size, DEFINITION - w->size, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < DEFINITION - w->size) w->size += (size_t)n;
}

void weir_declare_clear(weir *w)
{
    w->size = 0;
    say(w, "local weir, sim = require 'weir', require 'tools.sim'\nlocal n, file = {}, weir.file\n"
           "local function e(...) return sim.effect(weir, ...) end\nlocal function expand(...) return sim.expand(weir, ...) end\n");
}

static void say_ref(weir *w, const weir_ref *ref, bool as_x)
{
    if (ref->file && ref->file[0] == 's') {
        const char *name = ref->file + 2;
        if (as_x && *name == '5') say(w, "weir.env 'S%s', ", name);
        else if (as_x && *name == '6') say(w, "weir.value { name = 's%s', default = '-', type = 'string' }, ", name);
        else say(w, "file '%s', ", ref->file);
        return;
    }
    if (ref->file) {
        say(w, "file '%s', ", ref->file);
        return;
    }
    int slot = atoi(ref->node + 1);
    say(w, "n[%d]%s", slot, is_expand(&graph.nodes[slot]) ? ":nodes()" : "");
    if (ref->port) say(w, ".%s", ref->port);
    say(w, ", ");
}

static void say_versions(weir *w, int kind, const char *is_file, const char *name)
{
    say(w, "', %d, %s, { ", graph.versions[kind], is_file);
    for (int i = 0; i < KINDS; i++) say(w, "%d, ", graph.versions[i]);
    say(w, "}, '%s', {", name);
}

int weir_declare(weir *w, const weir_node *node, const char **full_name, weir_error *err)
{
    int slot = atoi(node->name + 1), kind, variant, shape;
    (void)full_name, (void)err;
    bool is_effect = sscanf(node->effect, "e%d_%d_%d", &kind, &variant, &shape) == 3, lists = is_effect && kind == KIND_EXPAND;
    if (lists) say(w, "n[%d] = expand(%d, %d, %d, '", slot, slot, kind, variant);
    else if (is_effect) say(w, "n[%d] = e(%d, %d, %d, '", slot, kind, variant, shape);
    for (size_t i = 0; is_effect && i < node->input_count; i++) say(w, "%c", node->inputs[i].is_list && node->inputs[i].port[0] == 'c' ? 'l' : node->inputs[i].port[0]);
    const char *is_file = x_is_file(&graph.nodes[slot]) ? "true" : "false";
    if (lists) say_versions(w, kind, is_file, node->name);
    else if (is_effect) say(w, "', %d, %s) '%s' {", graph.versions[kind], is_file, node->name);
    else say(w, "n[%d] = weir.sh '%s' {", slot, node->name);
    say(w, " params = { id = %d }, inputs = { ", slot);
    for (size_t i = 0; i < node->input_count; i++) {
        const weir_node_input *in = &node->inputs[i];
        if (in->port[0] == 'c' && graph.nodes[slot].is_glob) {
            say(w, "c = weir.glob 's/[0-3]*', ");
            continue;
        }
        say(w, "%s = %s", in->port, in->is_list ? "{ " : "");
        for (size_t k = 0; k < in->count; k++) say_ref(w, &in->refs[k], in->port[0] == 'x');
        say(w, "%s", in->is_list ? "}, " : "");
    }
    say(w, "}, ");
    if (lists) {
        say(w, "})\n");
        return 0;
    }
    say(w, "outputs = { ");
    for (size_t i = 0; i < node->output_count; i++) say(w, "%s = '%s', ", node->outputs[i].port, node->outputs[i].path);
    say(w, "}, ");
    if (node->depfile) say(w, "depfile = '%s', ", node->depfile);
    if (graph.nodes[slot].retries) say(w, "retries = %d, ", graph.nodes[slot].retries);
    if (node->shell) say(w, "cmd = '%s' ", node->shell);
    for (size_t i = 0; node->command && node->command[i]; i++) say(w, "%s'%s'", i ? ", " : "cmd = { ", node->command[i]);
    say(w, "%s}\n", node->command ? " } " : "");
    return 0;
}

/* --- the program --------------------------------------------------------------------------------------------------------- */

int weir_open(weir **out, const weir_options *options, weir_error *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    snprintf((*out)->root, sizeof (*out)->root, "%s", options->root);
    (*out)->listener = options->listener;
    return 0;
}

void weir_close(weir *w)
{
    free(w);
}

void weir_interrupt(weir *w)
{
    (void)w;
}

/* "name":"text" of a line; "" where it is not. */
static const char *member(const char *line, const char *name, char text[80])
{
    char find[40];
    snprintf(find, sizeof find, "\"%s\":\"", name);
    const char *at = strstr(line, find);
    snprintf(text, 80, "%.*s", at ? (int)strcspn(at + strlen(find), "\"") : 0, at ? at + strlen(find) : "");
    return text;
}

static uint64_t number(const char *line, const char *name)
{
    char find[40];
    snprintf(find, sizeof find, "\"%s\":", name);
    const char *at = strstr(line, find);
    return at ? strtoull(at + strlen(find), NULL, 10) : 0;
}

static void take_line(weir *w, const char *line, weir_summary *summary)
{
    char event[80], node[80], how[80], message[80];
    member(line, "event", event);
    weir_event e = {.size = sizeof e, .node = member(line, "node", node), .outcome = member(line, "outcome", how), .message = member(line, "message", message)};
    if (strcmp(event, "run_finished") == 0) {
        summary->run = number(line, "run");
        summary->restored = number(line, "restored");
        summary->failed = number(line, "failed");
        summary->blocked = number(line, "blocked");
    } else if (strcmp(event, "execution_finished") == 0) {
        int slot = atoi(node + 1);
        if (strcmp(message, "interrupted") != 0) fake_performed(slot, real_node(slot), real_reads(slot), strcmp(how, "ran") == 0);
        e.kind = WEIR_EVENT_FINISHED;
        w->listener(NULL, &e);
    } else if (strncmp(event, "node_", 5) == 0) {
        e.kind = WEIR_EVENT_SETTLED;
        w->listener(NULL, &e);
    } else if (strcmp(event, "message") == 0) {
        e.kind = WEIR_EVENT_MESSAGE;
        w->listener(NULL, &e);
    } else if (strcmp(event, "diagnostic") == 0) {
        weir_diagnostic d = {.message = message};
        e.kind = WEIR_EVENT_DIAGNOSTIC;
        e.diagnostic = &d;
        w->listener(NULL, &e);
    }
}

static int code_of(int status)
{
    if (!WIFEXITED(status)) return WEIR_BUG;
    switch (WEXITSTATUS(status)) {
    case 0: return 0;
    case 1: return WEIR_FAILED;
    case 2: return WEIR_WORKFLOW;
    default: return WEIR_IO;
    }
}

int weir_run(weir *w, const weir_request *request, weir_summary *summary, weir_error *err)
{
    char path[400], jobs[16], line[8000];
    char value[TEXT + 8];
    const sim_source *env = &graph.sources[5], *named = &graph.sources[6];
    const char *argv[20] = {getenv("WEIR_BIN"), "-C", w->root, "run", "--json", "-j", jobs};
    int count = 7, out[2], status = 0;
    (void)err;
    snprintf(jobs, sizeof jobs, "%d", request->jobs);
    snprintf(path, sizeof path, "%s/weir.lua", w->root);
    write_text(AT_FDCWD, path, w->size ? w->text : " ");
    if (request->flags & WEIR_RUN_FORCE) argv[count++] = "--force";
    for (size_t i = 0; i < request->target_count; i++) argv[count++] = request->targets[i];
    snprintf(value, sizeof value, "s6%s=%s", named->renamed ? "r" : "", named->text);
    if (named->present && strstr(w->text, "weir.value")) argv[count++] = value;
    unsetenv("S5");
    unsetenv("S5r");
    if (env->present) setenv(env->renamed ? "S5r" : "S5", env->text, 1);
    if (!argv[0] || pipe2(out, O_CLOEXEC) != 0) abort();
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    FILE *in = fdopen(out[0], "r");
    while (in && fgets(line, sizeof line, in)) take_line(w, line, summary);
    if (in) fclose(in);
    waitpid(pid, &status, 0);
    return code_of(status);
}

#endif
