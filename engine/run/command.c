/*
 * command.c - one execution of a command, from intent to record.
 *
 *   command_begin   foreign content kept, folders made, intent said (asides, fresh outputs, token)
 *   command_act     (committed, and a slot is free) old outputs put aside as .weir/tmp/<token>/<n>, list files written, spawned, pid said
 *   ... ended:      depfile read; outputs and inputs looked at by the pool
 *   ... scanned:    an input that moved: raced; outputs equal to the old ones get the old file back; FINISHED
 *   ... committed:  .weir/tmp/<token> removed
 *
 * On failure what the attempt wrote is removed and the old outputs are renamed back; after a kill recover.c does the same.
 */
#include <stdio.h>
#include <inttypes.h>

#include "engine/run/command_internal.h"
#include "engine/run/output.h"
#include "engine/world/capture.h"

enum { SHOWN_FIRST = 32 * 1024, SHOWN_WHOLE = 4608 * 1024, SHOWN_JSON = 6 * 1024 * 1024 };

/* All of an output that is in a file, if it is not too long to be told in one piece. */
static bool whole_output(task *t, const process_result *result, bytes *whole)
{
    size_t size = (size_t)result->output_bytes;
    if (result->truncated || result->output_bytes > SHOWN_WHOLE) return false;
    char *path = command_output_path(t);
    uint8_t *to = arena_alloc(&t->arena, size + 1);
    int fd = path && to ? os_openat(t->w->rootfd, path, OS_READ | OS_NOFOLLOW, 0, NULL) : -1;
    size_t at = 0;
    ssize_t got = 1;
    while (fd >= 0 && at < size && (got = os_read(fd, to + at, size - at, path, NULL)) > 0) at += (size_t)got;
    os_close(fd);
    size_t as_json = at;
    for (size_t i = 0; i < at; i++) as_json += to[i] < ' ' ? 5 : 0;
    *whole = bytes_of(to, at);
    return fd >= 0 && at == size && as_json <= SHOWN_JSON;
}

/* What people see of a very long output at once: how it began and how it ended. All that is kept of it is in a file. */
static bytes shown_output(task *t, const process_result *result)
{
    buf text;
    bytes whole;
    if (!result->in_file) return arena_bytes(&t->arena, result->output);
    if (whole_output(t, result, &whole)) return whole;
    buf_init(&text);
    size_t first = result->output.size < SHOWN_FIRST ? result->output.size : SHOWN_FIRST;
    if (result->output_bytes <= first + result->tail.size) first = (size_t)result->output_bytes - result->tail.size;
    uint64_t left_out = result->output_bytes - first - result->tail.size;
    buf_append(&text, result->output.data, first);
    if (left_out > 0)
        buf_printf(&text, "\n[weir: %" PRIu64 " of %" PRIu64 " bytes are not shown here; `weir log %s` has what is kept]\n", left_out,
                   result->output_bytes, (const char *)t->node->spec.name.data);
    buf_append(&text, result->tail.data, result->tail.size);
    bytes shown = arena_bytes(&t->arena, buf_bytes(&text));
    buf_deinit(&text);
    return shown;
}

static void ended(void *ctx, const process_result *result)
{
    task *t = ctx;
    t->process = NULL;
    t->state = TASK_FINISHING;
    t->w->commands_running--;
    t->w->commands_begun--;
    limits_give(t);
    t->log = shown_output(t, result);
    t->log_in_file = result->in_file;
    t->has_folder |= result->output_bytes > CAPTURE_MEMORY; /* made by the capture */
    t->end.exit_code = result->exit_code;
    t->end.signal = (uint64_t)result->signal;
    t->end.duration_us = (uint64_t)result->wall_us;
    t->end.cpu_us = (uint64_t)result->cpu_us;
    t->end.memory_bytes = (uint64_t)result->memory_bytes;
    os_kill_point("command_ended");
    char message[120];
    if (result->timed_out) {
        snprintf(message, sizeof message, "time limit of %.3g s reached", (double)t->node->spec.timeout_ms / 1000);
        command_failed(t, EXECUTION_TRANSIENT, message);
    } else if (t->superseded && result->stopped) {
        command_failed(t, EXECUTION_INTERRUPTED, t->superseded);
    } else if (result->stopped || t->stopping) {
        bool counts = t->node->spec.job == JOB_BATCH || t->node->spec.job == JOB_OPS; /* it began: not as if nothing had been */
        command_failed(t, counts ? EXECUTION_FAILED : EXECUTION_INTERRUPTED, "interrupted");
    } else if (result->signal != 0) {
        snprintf(message, sizeof message, "ended by signal %d", result->signal);
        command_failed(t, EXECUTION_TRANSIENT, message);
    } else if (result->exit_code != 0) {
        command_judge_failure(t);
    } else {
        command_judge(t);
    }
}

/* Files that list the paths of {{port:file}}. */
static int write_lists(task *t, weir_error *err)
{
    char hex[HASH_HEX];
    hash_hex(t->token, hex);
    for (size_t i = 0; i < t->line.list_count; i++) {
        buf text;
        buf_init(&text);
        for (size_t k = 0; k < t->line.lists[i].count; k++) {
            buf_append(&text, t->line.lists[i].paths[k].data, t->line.lists[i].paths[k].size);
            buf_byte(&text, '\n');
        }
        char *path = arena_printf(&t->arena, ".weir/tmp/%s/list%zu", hex, i);
        int rc = text.failed || !path ? error_nomem(err, "writing a list") : command_make_folder(t, err);
        if (rc == 0) rc = os_write_file(t->w->rootfd, path, buf_bytes(&text), 0600, err);
        buf_deinit(&text);
        if (rc == 0) rc = command_place(&t->line, i, bytes_str(path), t->node->spec.flags & SPEC_SHELL, &t->arena, err);
        if (rc != 0) return rc;
    }
    return 0;
}

/* A text longer than the kernel takes as one argument goes through a file. */
static int shell_words(task *t, const char **argv, weir_error *err)
{
    enum { ARGUMENT_MOST = 128 * 1024 - 1 };
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = (const char *)arena_bytes(&t->arena, t->line.argv[0]).data;
    argv[3] = NULL;
    if (t->line.argv[0].size < ARGUMENT_MOST) return 0;
    char hex[HASH_HEX];
    char *path = arena_printf(&t->arena, ".weir/tmp/%s/script", hash_hex(t->token, hex));
    if (!path) return error_nomem(err, "writing a script");
    argv[1] = path;
    argv[2] = NULL;
    int rc = command_make_folder(t, err);
    return rc == 0 ? os_write_file(t->w->rootfd, path, t->line.argv[0], 0600, err) : rc;
}

/* How a make finds our jobserver; behind what the node declares itself. Not in the key: the environment that is declared is. */
static void add_makeflags(task *t, bytes *names, bytes *values, size_t *count)
{
    size_t at = 0;
    bytes name = bytes_str("MAKEFLAGS");
    while (at < *count && !bytes_equal(names[at], name)) at++;
    const char *given = at < *count ? (const char *)values[at].data : "";
    char *text = arena_printf(&t->arena, "%s -j%d --jobserver-auth=%d,%d", given, t->w->slots, JOBSERVER_READ, JOBSERVER_WRITE);
    names[at] = name;
    values[at] = text ? bytes_str(text) : bytes_str("");
    if (at == *count) (*count)++;
}

static void started(void *ctx, int64_t pid, uint64_t ticks, const weir_error *why)
{
    task *t = ctx;
    weir *w = t->w;
    if (why->code == 0) {
        buf *body = catalog_body(w->catalog);
        event_put_spawned(body, &(event_spawned){.execution = t->execution, .pid = (uint64_t)pid, .start_ticks = ticks});
        journal_say(w->journal, EVENT_SPAWNED, body);
        tell_started(t);
        return;
    }
    t->process = NULL;
    t->state = TASK_FINISHING;
    w->commands_running--;
    w->commands_begun--;
    limits_give(t);
    if (t->superseded) command_failed(t, EXECUTION_INTERRUPTED, t->superseded);
    else command_failed(t, EXECUTION_TRANSIENT, why->message);
}

static int spawn(task *t, weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    const char **argv = arena_zero(&t->arena, t->line.count + 4, sizeof *argv);
    bytes *names = arena_zero(&t->arena, spec->env_count + 2, sizeof *names);
    bytes *values = arena_zero(&t->arena, spec->env_count + 2, sizeof *values);
    if (!argv || !names || !values) return error_nomem(err, "starting a command");
    for (size_t i = 0; i < spec->env_count; i++) {
        names[i] = spec->env[i].name;
        values[i] = spec->env[i].value;
    }
    size_t env_count = spec->env_count;
    if (t->is_guest) add_makeflags(t, names, values, &env_count);
    int rc = 0;
    if (spec->flags & SPEC_SHELL) rc = shell_words(t, argv, err);
    else
        for (size_t i = 0; i < t->line.count; i++) argv[i] = (const char *)arena_bytes(&t->arena, t->line.argv[i]).data;
    if (rc != 0) return rc;
    process_spec p = {.program = t->program, .argv = argv, .envp = process_environment(&t->arena, names, values, env_count),
                      .cwd_fd = w->rootfd, .token = t->token, .timeout_ms = (int64_t)spec->timeout_ms, .output_cap = PROCESS_OUTPUT_CAP,
                      .output_path = command_output_path(t), .is_detached = spec->job == JOB_DAEMON || spec->job == JOB_SERVICE};
    if (t->is_guest) p.job_fds = jobserver_child_fds(w->limits.tokens);
    if (p.is_detached) rc = command_make_folder(t, err);
    if (rc == 0 && t->arena.failed) rc = error_nomem(err, "starting a command");
    if (rc != 0) return rc;
    t->started_ns = os_monotonic_ns();
    t->started_us = os_wall_us();
    t->said_before = journal_last(w->journal);
    return process_start(w->processes, &p, started, ended, t, &t->process, err);
}

/* The intent is committed. */
static void armed(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    t->state = TASK_ARMED;
    if (journal_failed(t->w->journal, &err) == 0) return;
    t->w->commands_begun--;
    schedule_fail(t->w, &err);
    schedule_free(t);
}

void command_disarm(task *t)
{
    t->w->commands_begun--;
    t->state = TASK_FINISHING;
    command_failed(t, EXECUTION_INTERRUPTED, "interrupted");
}

/* What waits at the path of the depfile is not from this attempt, and would be read as if it were. */
static int clear_depfile(task *t, weir_error *err)
{
    weir *w = t->w;
    bytes path = t->node->spec.depfile;
    os_stat st;
    if (path.size == 0) return 0;
    int rc = os_statat(w->rootfd, (const char *)path.data, false, &st, err);
    if (rc != 0 || st.type == OS_ABSENT) return rc;
    cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, path, true, err);
    if (!item) return err->code;
    rc = output_keep_foreign(w, item, t->node->id, err);
    return rc == 0 ? os_unlinkat(w->rootfd, (const char *)path.data, err) : rc;
}

void command_act(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    int rc = 0;
    os_kill_point("command_intent");
    for (size_t i = 0; rc == 0 && i < t->node->spec.output_count; i++) { /* it may have waited for a slot */
        cat_item *item = catalog_item(w->catalog, t->node->spec.outputs[i].id, &err);
        rc = item ? output_keep_foreign(w, item, t->node->id, &err) : WEIR_BUG;
    }
    if (rc == 0) rc = clear_depfile(t, &err);
    if (rc == 0) rc = command_put_aside(t, &err);
    if (rc == 0) rc = write_lists(t, &err);
    if (rc == 0) rc = spawn(t, &err);
    if (rc == 0) {
        t->state = TASK_RUNNING;
        w->commands_running++;
        return;
    }
    w->commands_begun--;
    t->state = TASK_FINISHING;
    command_failed(t, EXECUTION_TRANSIENT, err.message);
}

/* The command would write through it: into a file that is not its own. */
static int update_no_link(weir *w, cat_item *item, weir_error *err)
{
    scan_request r = {.item = item->id, .path = item->name};
    scan_one(&w->scan, &r);
    return r.code == 0 && r.type == OS_FILE ? output_make_plain(w, item, &r, err) : 0;
}

/* What is at the outputs' places now: foreign content is kept, ours will be put aside. */
static int plan_asides(task *t, event_started *intent, weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    t->asides = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *t->asides);
    intent->asides = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *intent->asides);
    intent->fresh = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *intent->fresh);
    if (!t->asides || !intent->asides || !intent->fresh) return error_nomem(err, "putting outputs aside");
    for (size_t i = 0; i < spec->output_count; i++) {
        cat_item *item = catalog_item(w->catalog, spec->outputs[i].id, err);
        os_stat st;
        if (!item) return err->code ? err->code : WEIR_BUG;
        const char *path = (const char *)item->name.data;
        bool is_folder = manifest_is_folder(item->name);
        int rc = output_keep_foreign(w, item, t->node->id, err);
        if (rc == 0) rc = output_make_parents(w, item, err);
        if (rc == 0) rc = os_statat(w->rootfd, path, false, &st, err);
        if (rc != 0) return rc;
        if (st.type == OS_DIR && !is_folder) return error_set(err, WEIR_FAILED, "output %s: a folder is there; remove it or rename the output", path);
        bool is_updated = st.type != OS_ABSENT && (spec->flags & SPEC_UPDATE);
        if (is_updated && st.type == OS_LINK) rc = update_no_link(w, item, err);
        if (rc != 0) return rc;
        if (is_updated) continue;
        struct aside *a = &t->asides[t->aside_count++];
        *a = (struct aside){.item = item, .hash = item->disk_differs ? HASH_NONE : item->hash, .mode = st.mode,
                            .number = st.type == OS_ABSENT ? -1 : (int64_t)i};
        if (a->number < 0) intent->fresh[intent->fresh_count++] = item->id;
        else intent->asides[intent->aside_count++] = (aside_record){.item = item->id, .number = (uint32_t)i, .hash = a->hash, .mode = st.mode};
    }
    if (spec->depfile.size) return os_make_parents(w->rootfd, (const char *)spec->depfile.data, output_made_folder, w, err);
    return 0;
}

void command_begin(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    event_started intent = {.node = t->node->id, .job = t->node->spec.job};
    t->execution = catalog_new_execution_id(w->catalog);
    t->started_us = os_wall_us();
    t->state = TASK_INTENT;
    int rc = os_random(t->token.bytes, HASH_SIZE, &err);
    if (rc == 0) rc = plan_asides(t, &intent, &err);
    if (rc != 0) {
        t->aside_count = 0;
        command_failed(t, EXECUTION_TRANSIENT, err.message);
        return;
    }
    intent.execution = t->execution;
    intent.token = t->token;
    buf *body = catalog_body(w->catalog);
    event_put_started(body, &intent);
    journal_say(w->journal, EVENT_STARTED, body);
    if (intent.job != JOB_PURE) journal_want_durable(w->journal); /* after a power loss, too, it is known that it was to begin */
    w->commands_begun++;
    journal_when_committed(w->journal, armed, t);
}
