/*
 * drive.h - plays the engine for tests of the script floor: loads a workflow in a real script host, keeps what came.
 *
 * The test program is its own host binary: main() hands over to script_host_main when its first argument is --script-host.
 */
#ifndef WEIR_TESTS_SCRIPT_DRIVE_H
#define WEIR_TESTS_SCRIPT_DRIVE_H

#include <fcntl.h>

#include "engine/script/host.h"
#include "engine/store/value.h"
#include "engine/world/scan.h"
#include "tests/check.h"

typedef struct drive {
    uv_loop_t loop;
    script_host *host;
    int rootfd;
    buf text; /* everything that came, one line each */
    mem_arena arena;
    size_t errors, nodes;
    bool is_loaded, died;
    char always[200];
    const char *set_name, *set_json; /* a value that is set */
    const char *forbidden;           /* a path that must not be read while loading */
    bytes kept[64];                  /* declared nodes, as they came */
    hash128 code[32];
    char effect[32][40];
    size_t effect_count;
} drive;

static inline void drive_effect(void *ctx, const effect_spec *e)
{
    drive *d = ctx;
    buf_printf(&d->text, "effect %.*s kind=%d version=%.*s always=%.*s at %s:%d\n",
               (int)e->name.size, (const char *)e->name.data, e->kind, (int)e->version.size,
               (const char *)e->version.data, (int)e->always.size, (const char *)e->always.data,
               e->position.file ? e->position.file : "-", e->position.line);
    if (d->effect_count >= 32) return;
    snprintf(d->effect[d->effect_count], 40, "%.*s", (int)e->name.size, (const char *)e->name.data);
    d->code[d->effect_count++] = e->code;
}

static inline void drive_node(void *ctx, node_spec *n)
{
    drive *d = ctx;
    buf json;
    buf_init(&json);
    (void)value_to_json(n->params, 0, &json, NULL);
    buf_printf(&d->text, "node %.*s effect=%.*s params=%s at %s:%d", (int)n->name.size,
               (const char *)n->name.data, (int)n->effect.size, (const char *)n->effect.data,
               buf_cstr(&json), n->position.file, n->position.line);
    for (size_t i = 0; i < n->input_count; i++) {
        buf_printf(&d->text, " in:%.*s%s=", (int)n->inputs[i].port.size,
                   (const char *)n->inputs[i].port.data, n->inputs[i].is_list ? "[]" : "");
        for (size_t k = 0; k < n->inputs[i].count; k++) {
            const spec_member *m = &n->inputs[i].members[k];
            buf_printf(&d->text, "%s%d/%d:%.*s%s%.*s", k ? "," : "", m->kind, m->item,
                       (int)m->name.size, (const char *)m->name.data, m->port.size ? "." : "",
                       (int)m->port.size, m->port.size ? (const char *)m->port.data : "");
        }
    }
    for (size_t i = 0; i < n->output_count; i++)
        buf_printf(&d->text, " out:%.*s=%.*s", (int)n->outputs[i].port.size,
                   (const char *)n->outputs[i].port.data, (int)n->outputs[i].path.size,
                   (const char *)n->outputs[i].path.data);
    for (size_t i = 0; i < n->command_count; i++)
        buf_printf(&d->text, " cmd:%.*s", (int)n->command[i].size,
                   (const char *)n->command[i].data);
    for (size_t i = 0; i < n->env_count; i++)
        buf_printf(&d->text, " env:%.*s=%.*s", (int)n->env[i].name.size,
                   (const char *)n->env[i].name.data, (int)n->env[i].value.size,
                   (const char *)n->env[i].value.data);
    if (n->depfile.size)
        buf_printf(&d->text, " depfile:%.*s", (int)n->depfile.size, (const char *)n->depfile.data);
    buf_printf(&d->text, " flags=%u job=%d retries=%u timeout=%llu\n", n->flags, n->job, n->retries,
               (unsigned long long)n->timeout_ms);
    buf_deinit(&json);
    d->nodes++;
}

static inline void drive_default(void *ctx, bytes target)
{
    drive *d = ctx;
    buf_printf(&d->text, "default %.*s\n", (int)target.size, (const char *)target.data);
}

static inline void drive_read(void *ctx, item_kind kind, bytes name, hash128 hash)
{
    drive *d = ctx;
    buf_printf(&d->text, "read %d %.*s%s\n", kind, (int)name.size, (const char *)name.data,
               hash_equal(hash, HASH_ABSENT) ? " absent" : "");
}

static inline void drive_glob(void *ctx, script_host *host, bytes pattern)
{
    drive *d = ctx;
    scan_config config = {.rootfd = d->rootfd};
    const char **paths = NULL;
    size_t count = 0;
    weir_error err = {0};
    const char *text = (const char *)arena_bytes(&d->arena, pattern).data;
    CHECK_OK(scan_glob(&config, text, NULL, NULL, &d->arena, &paths, &count, NULL, &err), err);
    for (size_t i = 0; i < count; i++) script_glob_answer(host, bytes_str(paths[i]));
    buf_printf(&d->text, "glob %s %zu\n", text, count);
}

static inline void drive_value(void *ctx, bytes name, bytes fallback, buf *answer)
{
    drive *d = ctx;
    buf_printf(&d->text, "value %.*s\n", (int)name.size, (const char *)name.data);
    if (d->set_name && bytes_equal(name, bytes_str(d->set_name)))
        (void)value_from_json(bytes_str(d->set_json), answer, NULL);
    else buf_append(answer, fallback.data, fallback.size);
}

static inline bool drive_may_read(void *ctx, bytes path)
{
    drive *d = ctx;
    return !d->forbidden || !bytes_equal(path, bytes_str(d->forbidden));
}

static inline void drive_diagnose(void *ctx, const diagnostic *g)
{
    drive *d = ctx;
    buf_printf(&d->text, "error %s:%d:%d: %s", g->file ? g->file : "-", g->line, g->column,
               g->message);
    if (g->hint) buf_printf(&d->text, " | %s", g->hint);
    if (g->source) buf_printf(&d->text, " | %s", g->source);
    buf_text(&d->text, "\n");
}

static inline void drive_loaded(void *ctx, size_t errors, bytes always)
{
    drive *d = ctx;
    d->is_loaded = true;
    d->errors = errors;
    snprintf(d->always, sizeof d->always, "%.*s", (int)always.size,
             always.data ? (const char *)always.data : "");
}

static inline void drive_died(void *ctx, const char *how)
{
    drive *d = ctx;
    d->died = true;
    buf_printf(&d->text, "host died: %s\n", how);
}

static inline void drive_open(drive *d, const char *root)
{
    *d = (drive){.rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    buf_init(&d->text);
    arena_init(&d->arena);
    CHECK_OR_STOP(uv_loop_init(&d->loop) == 0);
}

static inline script_events drive_events(drive *d)
{
    return (script_events){.ctx = d,
                           .effect = drive_effect,
                           .node = drive_node,
                           .default_target = drive_default,
                           .definition_read = drive_read,
                           .glob = drive_glob,
                           .value = drive_value,
                           .may_read = drive_may_read,
                           .diagnose = drive_diagnose,
                           .loaded = drive_loaded,
                           .died = drive_died};
}

/* Start a host; `workflow` NULL: bare. */
static inline int drive_start(drive *d, const char *workflow, int64_t load_timeout_ms,
                              size_t memory_limit)
{
    weir_error err = {0};
    script_config config = {.program = "/proc/self/exe",
                            .rootfd = d->rootfd,
                            .workflow = workflow,
                            .load_timeout_ms = load_timeout_ms,
                            .memory_limit = memory_limit};
    script_events events = drive_events(d);
    CHECK_OK(script_host_start(&d->host, &d->loop, &config, &events, &err), err);
    return script_host_wait(d->host, &err);
}

static inline const char *drive_text(drive *d)
{
    const char *text = buf_cstr(&d->text);
    return text ? text : "";
}

static inline void drive_close(drive *d)
{
    script_host_close(d->host);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    CHECK_INT(0, uv_loop_close(&d->loop));
    buf_deinit(&d->text);
    arena_deinit(&d->arena);
    close(d->rootfd);
}

#endif
