/*
 * host_child.c - the script host: main() of the re-executed binary.
 *
 * Loads the workflow; what the loader tells goes out in frames of up to 64 KiB, what it asks is
 * answered by the engine before loading goes
 * on. Then it collects its garbage once, makes all objects old (workers collect generationally and
 * touch only what is young, so that
 * pages stay shared), and forks workers with CLONE_PARENT: they are children of the engine. It ends
 * when its socket closes.
 *
 * One thread: a plain clone() is safe, no lock of libc can be held by another one.
 */
#include "engine/script/host_child.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/script/wire.h"

enum { SOCKET_FD = 3, FLUSH_AT = 64 * 1024, EXIT_TROUBLE = 70 };

typedef struct child {
    pid_t engine;
    wire_in in;
    buf out;
    registry *effects;
    loader *ld; /* NULL: bare */
    int rootfd;
    buf waiting; /* numbers of workers asked for while loading */
    size_t waiting_count;
} child;

bool host_child_tie(pid_t engine)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == engine;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* The engine is gone: so are we. */
static void flush(child *c)
{
    weir_error err = {0};
    int rc = wire_flush(&c->out, SOCKET_FD, &err);
    if (rc == 0) return;
    if (rc != WEIR_CANCELLED) fprintf(stderr, "weir script host: %s\n", err.message);
    _exit(rc == WEIR_CANCELLED ? 0 : EXIT_TROUBLE);
}

static void finish(child *c, size_t mark)
{
    weir_error err = {0};
    if (wire_end(&c->out, mark, &err) != 0) {
        fprintf(stderr, "weir script host: %s\n", err.message);
        _exit(EXIT_TROUBLE);
    }
    if (c->out.size >= FLUSH_AT) flush(c);
}

static void receive(child *c, wire_frame *frame)
{
    weir_error err = {0};
    int rc = wire_receive(&c->in, SOCKET_FD, frame, &err);
    if (rc > 0) return;
    if (rc < 0) fprintf(stderr, "weir script host: %s\n", err.message);
    _exit(rc == 0 ? 0 : EXIT_TROUBLE);
}

/* Wait for an answer; a worker may be asked for meanwhile. */
static bytes ask(child *c, size_t mark, wire_type answer)
{
    wire_frame frame;
    finish(c, mark);
    flush(c);
    for (;;) {
        receive(c, &frame);
        if (frame.type == answer) return frame.payload;
        if (frame.type != WIRE_FORK) _exit(EXIT_TROUBLE);
        buf_append(&c->waiting, frame.payload.data, frame.payload.size);
        c->waiting_count++;
    }
}

/* --- the loader's link ------------------------------------------------------------------------ */

static void on_effect(void *ctx, const effect_spec *spec)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_EFFECT);
    effect_put(&c->out, spec, true);
    finish(c, mark);
}

static void on_node(void *ctx, node_spec *spec)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_NODE);
    spec_put_declared(&c->out, spec);
    finish(c, mark);
}

static void on_default(void *ctx, bytes target)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_DEFAULT);
    buf_append(&c->out, target.data, target.size);
    finish(c, mark);
}

static void on_read(void *ctx, item_kind kind, bytes name, hash128 hash)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_READ);
    buf_put_u64(&c->out, kind);
    buf_put_bytes(&c->out, name);
    buf_put_hash(&c->out, hash);
    finish(c, mark);
}

static void put_text(buf *b, const char *text)
{
    buf_put_u64(b, text != NULL);
    buf_put_str(b, text);
}

static void on_diagnostic(void *ctx, const diagnostic *d)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_DIAGNOSE);
    put_text(&c->out, d->file);
    buf_put_u64(&c->out, (uint64_t)d->line);
    buf_put_u64(&c->out, (uint64_t)d->column);
    put_text(&c->out, d->message);
    put_text(&c->out, d->hint);
    put_text(&c->out, d->source);
    finish(c, mark);
}

static int on_glob(void *ctx, bytes pattern, mem_arena *arena, bytes **paths, size_t *count,
                   weir_error *err)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_GLOB);
    buf_append(&c->out, pattern.data, pattern.size);
    bytes answer = ask(c, mark, WIRE_PATHS);
    unpack u = unpack_of(arena_bytes(arena, answer));
    *count = unpack_count(&u);
    *paths = arena_zero(arena, *count + 1, sizeof **paths);
    if (!*paths) return error_nomem(err, "reading the names of a glob");
    for (size_t i = 0; i < *count; i++) (*paths)[i] = unpack_bytes(&u);
    return u.failed ? error_set(err, WEIR_CORRUPT, "a damaged answer to a glob") : 0;
}

static int on_value(void *ctx, bytes name, bytes fallback, buf *answer, weir_error *err)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_VALUE);
    buf_put_bytes(&c->out, name);
    buf_put_bytes(&c->out, fallback);
    bytes payload = ask(c, mark, WIRE_ANSWER);
    unpack u = unpack_of(payload);
    bytes value = unpack_bytes(&u);
    buf_append(answer, value.data, value.size);
    return u.failed ? error_set(err, WEIR_CORRUPT, "a damaged answer about a value") : 0;
}

static int on_may_read(void *ctx, bytes path, bool *may, weir_error *err)
{
    child *c = ctx;
    size_t mark = wire_begin(&c->out, WIRE_MAY_READ);
    buf_append(&c->out, path.data, path.size);
    bytes payload = ask(c, mark, WIRE_MAY);
    if (payload.size != 1) return error_set(err, WEIR_CORRUPT, "a damaged answer about a file");
    *may = payload.data[0] != 0;
    return 0;
}

/* --- workers ---------------------------------------------------------------------------------- */

static void answer_forked(child *c, uint64_t number, long pid, int errnum)
{
    weir_error err = {0};
    if (pid <= 0) (void)error_errno(&err, errnum, "cannot fork a worker");
    size_t mark = wire_begin(&c->out, WIRE_FORKED);
    buf_put_u64(&c->out, number);
    buf_put_u64(&c->out, pid > 0 ? (uint64_t)pid : 0);
    buf_put_str(&c->out, err.message);
    finish(c, mark);
    flush(c);
}

/* In the child of the clone. Does not return: libc's exit handlers belong to the host. */
static void be_worker(child *c, int fd)
{
    close(SOCKET_FD);
    if (!host_child_tie(c->engine)) _exit(0);
    _exit(worker_main(c->ld, c->effects, c->rootfd, fd));
}

static void fork_worker(child *c, bytes payload)
{
    unpack u = unpack_of(payload);
    uint64_t number = unpack_u64(&u);
    int fd = wire_take_fd(&c->in);
    if (fd < 0) {
        answer_forked(c, number, 0, EBADF);
        return;
    }
    flush(c); /* nothing of ours may be written twice */
    long pid = syscall(SYS_clone, (unsigned long)(CLONE_PARENT | SIGCHLD), 0, 0, 0, 0);
    int errnum = errno;
    if (pid == 0) be_worker(c, fd);
    close(fd);
    answer_forked(c, number, pid, errnum);
}

static void fork_waiting(child *c)
{
    unpack u = unpack_of(buf_bytes(&c->waiting));
    for (size_t i = 0; i < c->waiting_count; i++) {
        const uint8_t *start = u.at;
        (void)unpack_u64(&u);
        fork_worker(c, bytes_of(start, (size_t)(u.at - start)));
    }
}

/* --- main ------------------------------------------------------------------------------------- */

static void load(child *c, const char *workflow, const char *lua_folder, size_t memory_limit)
{
    static script_link link = {.effect = on_effect,
                               .node = on_node,
                               .default_target = on_default,
                               .definition_read = on_read,
                               .diagnose = on_diagnostic,
                               .glob = on_glob,
                               .value = on_value,
                               .may_read = on_may_read};
    weir_error err = {0};
    link.ctx = c;
    loader_config config = {.link = &link,
                            .effects = c->effects,
                            .rootfd = c->rootfd,
                            .lua_folder = lua_folder,
                            .memory_limit = memory_limit};
    int rc = loader_open(&c->ld, &config, &err);
    if (rc == 0) rc = loader_load(c->ld, workflow, &err);
    if (rc != 0) {
        fprintf(stderr, "weir script host: %s\n", err.message);
        _exit(EXIT_TROUBLE);
    }
}

/* Small and old: pages that workers will not touch. */
static int settle(lua_State *L)
{
    lua_settop(L, 0);
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCGEN, 0, 0);
    return 0;
}

static void begin(child *c, bytes payload)
{
    luavm_failure failure;
    mem_arena arena;
    unpack u = unpack_of(payload);
    arena_init(&arena);
    bool has_workflow = unpack_u64(&u) != 0;
    const char *workflow = (const char *)arena_bytes(&arena, unpack_bytes(&u)).data;
    bool has_folder = unpack_u64(&u) != 0;
    const char *folder = (const char *)arena_bytes(&arena, unpack_bytes(&u)).data;
    size_t memory_limit = (size_t)unpack_u64(&u);
    if (u.failed || !workflow || !folder) _exit(EXIT_TROUBLE);
    if (has_workflow) load(c, workflow, has_folder ? folder : NULL, memory_limit);
    size_t mark = wire_begin(&c->out, WIRE_LOADED);
    buf_put_u64(&c->out, c->ld ? c->ld->errors : 0);
    buf_put_bytes(&c->out, c->ld ? buf_bytes(&c->ld->always) : bytes_of("", 0));
    finish(c, mark);
    flush(c);
    if (c->ld) {
        c->ld->lua_folder = NULL; /* all own modules that come now are embedded ones */
        (void)luavm_run(c->ld->vm, settle, NULL, &failure, NULL);
    }
    (void)malloc_trim(0);
    arena_deinit(&arena);
}

static void prepare(child *c, int argc, char **argv)
{
    c->engine = argc > 2 ? (pid_t)strtol(argv[2], NULL, 10) : getppid();
    if (!host_child_tie(c->engine)) _exit(0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)close_range(SOCKET_FD + 1, ~0u, 0);
    (void)fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    c->rootfd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    wire_in_init(&c->in);
    buf_init(&c->out);
    buf_init(&c->waiting);
}

int script_host_main(int argc, char **argv, const weir_effect *const *builtins)
{
    weir_error err = {0};
    child c = {.engine = 0};
    wire_frame frame;
    prepare(&c, argc, argv);
    if (c.rootfd < 0) return EXIT_TROUBLE;
    int rc = registry_open(&c.effects, builtins, &err);
    if (rc != 0) {
        fprintf(stderr, "weir script host: %s\n", err.message);
        return EXIT_TROUBLE;
    }
    receive(&c, &frame);
    if (frame.type != WIRE_START) return EXIT_TROUBLE;
    begin(&c, frame.payload);
    fork_waiting(&c);
    while ((rc = wire_receive(&c.in, SOCKET_FD, &frame, &err)) > 0 && frame.type == WIRE_FORK)
        fork_worker(&c, frame.payload);
    loader_close(c.ld);
    registry_close(c.effects);
    wire_in_deinit(&c.in);
    buf_deinit(&c.out);
    buf_deinit(&c.waiting);
    os_close(c.rootfd);
    return rc == 0 ? 0 : EXIT_TROUBLE;
}
