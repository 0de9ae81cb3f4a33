/*
 * host.c - the script host, engine side.
 *
 * The child is this program again, with --script-host and our pid, its socket as descriptor 3. It
 * asks while it loads; each
 * question is answered before the next frame is looked at. Requests for workers wait in the child
 * until loading has ended.
 *
 * Loop thread only. The object lives until script_host_close and the end of the child have both
 * happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/script/host_internal.h"

enum { CLOSE_MS = 1000, LOAD_MS = 60000, CHILD_FD = 3 };

static const size_t DEFAULT_MEMORY = (size_t)1 << 30;

script_counts host_counts;

script_counts script_stats(void)
{
    return host_counts;
}

int64_t script_host_pid(const script_host *host)
{
    return host->channel.pid;
}

int host_send(channel *c, buf *frame, size_t mark, int pass, weir_error *err)
{
    int rc = wire_end(frame, mark, err);
    if (rc == 0) {
        rc = channel_send(c, frame, pass, err);
    } else {
        os_close(pass);
    }
    buf_deinit(frame); /* empty once it was sent */
    return rc;
}

/* --- frames ----------------------------------------------------------------------------------- */

void script_glob_answer(script_host *host, bytes path)
{
    buf_put_bytes(&host->paths, path);
    host->path_count++;
}

static void answer_glob(script_host *host, bytes pattern)
{
    buf answer;
    buf_init(&answer);
    buf_clear(&host->paths);
    host->path_count = 0;
    if (host->events.glob) host->events.glob(host->events.ctx, host, pattern);
    size_t mark = wire_begin(&answer, WIRE_PATHS);
    buf_put_u64(&answer, host->path_count);
    if (host->paths.size) buf_append(&answer, host->paths.data, host->paths.size);
    if (host->paths.failed || host_send(&host->channel, &answer, mark, -1, NULL) != 0)
        channel_kill(&host->channel);
    buf_deinit(&answer);
}

static void answer_value(script_host *host, bytes payload)
{
    unpack u = unpack_of(payload);
    bytes name = unpack_bytes(&u), fallback = unpack_bytes(&u);
    buf answer, value;
    buf_init(&answer);
    buf_init(&value);
    if (host->events.value) host->events.value(host->events.ctx, name, fallback, &value);
    else buf_append(&value, fallback.data, fallback.size);
    size_t mark = wire_begin(&answer, WIRE_ANSWER);
    buf_put_bytes(&answer, buf_bytes(&value));
    if (value.failed || host_send(&host->channel, &answer, mark, -1, NULL) != 0)
        channel_kill(&host->channel);
    buf_deinit(&value);
    buf_deinit(&answer);
}

static void answer_may_read(script_host *host, bytes path)
{
    buf answer;
    buf_init(&answer);
    bool may = !host->events.may_read || host->events.may_read(host->events.ctx, path);
    size_t mark = wire_begin(&answer, WIRE_MAY);
    buf_byte(&answer, may);
    if (host_send(&host->channel, &answer, mark, -1, NULL) != 0) channel_kill(&host->channel);
}

static void take_spec(script_host *host, const wire_frame *frame)
{
    mem_arena arena;
    host->has_declared = true;
    arena_init(&arena);
    if (frame->type == WIRE_NODE) {
        node_spec node;
        if (spec_get_declared(frame->payload, &arena, &node, NULL) != 0)
            channel_kill(&host->channel);
        else if (host->events.node) host->events.node(host->events.ctx, &node);
    } else {
        effect_spec effect;
        if (effect_get(frame->payload, &arena, &effect, NULL) != 0) channel_kill(&host->channel);
        else if (host->events.effect) host->events.effect(host->events.ctx, &effect);
    }
    arena_deinit(&arena);
}

/* Text that may be missing; with a NUL behind it, in the arena. */
static const char *take_text(unpack *u, mem_arena *arena)
{
    bool present = unpack_u64(u) != 0;
    bytes text = unpack_bytes(u);
    return present ? (const char *)arena_bytes(arena, text).data : NULL;
}

static void take_diagnostic(script_host *host, bytes payload)
{
    mem_arena arena;
    unpack u = unpack_of(payload);
    diagnostic d;
    arena_init(&arena);
    d.file = take_text(&u, &arena);
    d.line = (int)unpack_u64(&u);
    d.column = (int)unpack_u64(&u);
    d.message = take_text(&u, &arena);
    d.hint = take_text(&u, &arena);
    d.source = take_text(&u, &arena);
    if (!d.message) d.message = "";
    if (!u.failed && host->events.diagnose) host->events.diagnose(host->events.ctx, &d);
    arena_deinit(&arena);
}

static void take_loaded(script_host *host, bytes payload)
{
    unpack u = unpack_of(payload);
    size_t errors = (size_t)unpack_u64(&u);
    bytes always = unpack_bytes(&u);
    host->is_loading = false;
    channel_timer_stop(&host->channel);
    if (host->events.loaded) host->events.loaded(host->events.ctx, errors, always);
}

static void take_read(script_host *host, bytes payload)
{
    unpack u = unpack_of(payload);
    item_kind kind = (item_kind)unpack_u64(&u);
    bytes name = unpack_bytes(&u);
    hash128 hash = unpack_hash(&u);
    if (u.failed) channel_kill(&host->channel);
    else if (host->events.definition_read)
        host->events.definition_read(host->events.ctx, kind, name, hash);
}

static void take_forked(script_host *host, bytes payload)
{
    char why[200];
    unpack u = unpack_of(payload);
    uint64_t number = unpack_u64(&u);
    int64_t pid = (int64_t)unpack_u64(&u);
    bytes text = unpack_bytes(&u);
    snprintf(why, sizeof why, "%.*s", (int)text.size, text.data ? (const char *)text.data : "");
    if (!u.failed) host_worker_forked(host, number, pid, why);
}

static void on_frame(void *ctx, const wire_frame *frame)
{
    script_host *host = ctx;
    if (host->is_over) return;
    host_counts.frames++;
    switch (frame->type) {
    case WIRE_EFFECT:
    case WIRE_NODE: take_spec(host, frame); break;
    case WIRE_DEFAULT:
        if (host->events.default_target)
            host->events.default_target(host->events.ctx, frame->payload);
        break;
    case WIRE_READ: take_read(host, frame->payload); break;
    case WIRE_GLOB: answer_glob(host, frame->payload); break;
    case WIRE_VALUE: answer_value(host, frame->payload); break;
    case WIRE_MAY_READ: answer_may_read(host, frame->payload); break;
    case WIRE_DIAGNOSE: take_diagnostic(host, frame->payload); break;
    case WIRE_LOADED: take_loaded(host, frame->payload); break;
    case WIRE_FORKED: take_forked(host, frame->payload); break;
    default: channel_kill(&host->channel);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static void maybe_free(script_host *host)
{
    if (!host->has_closed || !host->is_released) return;
    buf_deinit(&host->paths);
    mem_free(host);
}

static void on_closed(void *ctx)
{
    script_host *host = ctx;
    host->has_closed = true;
    maybe_free(host);
}

static void on_ended(void *ctx, const char *how)
{
    script_host *host = ctx;
    bool tell = !host->is_over;
    if (host->killed) how = host->killed;
    if (how[0] == '\0') how = "ended";
    snprintf(host->how, sizeof host->how, "%s", how);
    host->is_over = host->is_dead = true;
    host->is_loading = false;
    host_worker_orphan(host, how);
    channel_close(&host->channel);
    if (tell && host->events.died) host->events.died(host->events.ctx, how);
}

/* Loading stands still, or the child did not end when its socket closed. A million declarations may take their time. */
static void on_tick(void *ctx)
{
    script_host *host = ctx;
    if (host->is_loading && host->has_declared && !host->is_over && !host->killed) {
        host->has_declared = false;
        channel_timer(&host->channel, host->load_ms);
        return;
    }
    if (!host->is_over && !host->killed) host->killed = host->killed_text;
    channel_kill(&host->channel);
}

static int spawn(const script_config *config, int child_fd, pid_t *pid, weir_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char parent[32];
    sigset_t all, none;
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    const char *argv[] = {"weir", "--script-host", parent, NULL};
    sigfillset(&all);
    sigemptyset(&none);
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) return error_errno(err, rc, "cannot start the script host");
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return error_errno(err, rc, "cannot start the script host");
    }
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setpgroup(
        &attributes, 0); /* Ctrl-C is for the engine, which ends its children in order */
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    rc = posix_spawn_file_actions_addfchdir_np(&actions, config->rootfd);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&actions, child_fd, CHILD_FD);
    if (rc == 0) rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&actions, 2, 1);
    if (rc == 0) rc = os_fault_check(OS_OP_SPAWN);
    if (rc == 0)
        rc = posix_spawn(pid, config->program, &actions, &attributes,
                         (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? 0 : error_errno(err, rc, "cannot start the script host %s", config->program);
}

static int send_start(script_host *host, const script_config *config, weir_error *err)
{
    buf frame;
    buf_init(&frame);
    size_t mark = wire_begin(&frame, WIRE_START);
    buf_put_u64(&frame, config->workflow != NULL);
    buf_put_str(&frame, config->workflow);
    buf_put_u64(&frame, config->lua_folder != NULL);
    buf_put_str(&frame, config->lua_folder);
    buf_put_u64(&frame, host->memory_limit);
    return host_send(&host->channel, &frame, mark, -1, err);
}

/* The child runs but cannot be watched: end it here. */
static void abandon(script_host *host, pid_t pid)
{
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        siginfo_t info;
        (void)waitid(P_PID, (id_t)pid, &info, WEXITED);
    }
    host->is_over = host->is_released = true;
    channel_close(&host->channel);
}

int script_host_start(script_host **out, uv_loop_t *loop, const script_config *config,
                      const script_events *events, weir_error *err)
{
    int pair[2];
    pid_t pid = 0;
    *out = NULL;
    script_host *host = mem_zero(1, sizeof *host);
    if (!host) return error_nomem(err, "starting the script host");
    host->events = *events;
    host->is_loading = true;
    host->is_bare = !config->workflow;
    host->memory_limit = config->memory_limit ? config->memory_limit : DEFAULT_MEMORY;
    host->stop = config->stop;
    int64_t load_ms = config->load_timeout_ms > 0 ? config->load_timeout_ms : LOAD_MS;
    snprintf(host->killed_text, sizeof host->killed_text, "loading took longer than %g s",
             (double)load_ms / 1000.0);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        mem_free(host);
        return error_errno(err, errno, "cannot start the script host");
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    host->channel = (channel){
        .ctx = host, .frame = on_frame, .ended = on_ended, .tick = on_tick, .closed = on_closed};
    int rc = channel_open(&host->channel, loop, pair[0], err);
    if (rc != 0) {
        os_close(pair[1]);
        mem_free(host);
        return rc;
    }
    rc = spawn(config, pair[1], &pid, err);
    os_close(pair[1]);
    if (rc == 0) rc = send_start(host, config, err);
    if (rc == 0) rc = channel_attach(&host->channel, pid, err);
    if (rc != 0) {
        abandon(host, pid);
        return rc;
    }
    host_counts.hosts++;
    host->load_ms = (uint64_t)load_ms;
    channel_timer(&host->channel, host->load_ms);
    *out = host;
    return 0;
}

int script_host_wait(script_host *host, weir_error *err)
{
    while (host->is_loading && !host->is_over) {
        if (host->stop && atomic_load(host->stop) > 0) return error_set(err, WEIR_CANCELLED, "interrupted while the workflow was loading");
        if (uv_run(host->channel.loop, UV_RUN_ONCE) == 0 && host->is_loading && !host->is_over)
            return error_set(err, WEIR_BUG, "the script host has no handles left");
    }
    if (host->is_dead)
        return error_set(err, WEIR_WORKFLOW, "the script host ended while loading: %s", host->how);
    return 0;
}

void script_host_close(script_host *host)
{
    if (!host || host->is_released) return;
    host->is_released = true;
    if (host->is_dead) {
        maybe_free(host);
        return;
    }
    host->is_over = true;
    host_worker_orphan(host, "the script host was closed");
    channel_hang_up(&host->channel);
    channel_timer(&host->channel, CLOSE_MS);
}
