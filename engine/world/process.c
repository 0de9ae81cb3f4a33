/*
 * process.c - commands: start, capture, deadline, end of everything that belongs to them.
 *
 *     RUNNING --pidfd--> reaped --> somebody left? --no--> done
 *        |  timeout, stop                |yes
 *        v                               v
 *     TERM to the group,              LEFT: TERM, a look every 1 to 32 ms, KILL after the grace --> done
 *     KILL after the grace
 *
 * `done` comes when nothing of the command is alive any more, so that its outputs stand still when they are hashed. What a
 * command leaves behind (a background job, a daemon) gets LEFTOVER_GRACE_MS at most; nobody waits for the pipe:
 * what is in it by then is taken, and its other end may stay open.
 *
 * Why clone with CLONE_VM | CLONE_VFORK | CLONE_PIDFD (spawn.c): median of 300 starts of a static program that does nothing, one
 * after the other, in microseconds; "call" is the time that the loop is held up, "trip" is until it was reaped.
 *
 *     memory touched             1 MiB         256 MiB, small pages   256 MiB, huge pages
 *                            call   trip         call   trip            call   trip
 *     uv_spawn (fork)         187    378         3994   4187             417    589
 *     posix_spawn              55    248           43    180              49    221
 *     vfork + exec             32    233           26    211              23    193
 *     clone, all guarantees    50    253           41    224              36    187
 *
 * posix_spawn costs the same but cannot set the umask or give a pidfd; uv_spawn also asks every child at each SIGCHLD.
 *
 * P1  `done` is called once for each process_start that returned 0, unless the table is closed first.
 * P2  Only children that this module started or that a command of its left behind are waited for, never -1.
 * P3  No signal goes to a group after it was seen empty.
 *
 * memory_bytes is what the kernel counts for the child; it counts the moment before exec too, so it is at least our own size.
 * Loop thread only.
 */
#include "engine/world/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/world/capture.h"
#include "engine/world/orphan.h"
#include "engine/world/spawn.h"

enum {
    READ_SIZE = 64 * 1024,
    READS_AT_ONCE = 16,
    LEFTOVER_GRACE_MS = 1000,
    GIVE_UP_MS = 2000,
    SLOWEST_LOOK_MS = 32
};
enum { CLOSE_TRIES = 1000 };

typedef enum process_state { RUNNING, LEFT, ENDED } process_state;

struct process {
    process_table *table;
    process *next, *previous; /* among the running */
    process_state state;
    int64_t pid; /* also its group */
    int pidfd, output_fd;
    uv_poll_t exit_poll, output_poll;
    uv_timer_t timer;
    unsigned handles; /* open ones; the last close callback frees the process */
    hash128 token;
    capture output;
    int64_t start_ns;
    int64_t timeout_ns; /* when it is too late; 0: never */
    int64_t kill_ns;    /* when TERM was long enough ago; 0: not sent */
    uint64_t look_ms;   /* LEFT: time to the next look */
    bool is_group_empty;
    process_result result;
    process_done done;
    void *ctx;
};

struct process_table {
    uv_loop_t *loop;
    process *first;
    size_t running;
    size_t unfreed; /* processes whose handles are not closed yet */
    uint64_t spawned;
    bool is_closing;
    int null_fd;
    orphan_watch orphans;
    void *stack; /* of a child before exec */
    uint8_t space[READ_SIZE];
};

static void free_table(process_table *t)
{
    os_close(t->null_fd);
    orphan_close(&t->orphans);
    mem_free(t->stack);
    mem_free(t);
}

/* --- handles and memory ------------------------------------------------------------------------------------------ */

static void free_process(process *p)
{
    process_table *t = p->table;
    capture_deinit(&p->output);
    mem_free(p);
    t->unfreed--;
    if (t->is_closing && t->unfreed == 0) free_table(t);
}

static void on_closed(uv_handle_t *handle)
{
    process *p = handle->data;
    if (--p->handles == 0) free_process(p);
}

/* The handle leaves the loop first, then its descriptor goes. */
static void close_poll(uv_poll_t *handle, int *fd)
{
    if (*fd < 0) return;
    uv_close((uv_handle_t *)handle, on_closed);
    os_close(*fd);
    *fd = -1;
}

static void close_handles(process *p)
{
    close_poll(&p->output_poll, &p->output_fd);
    close_poll(&p->exit_poll, &p->pidfd);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void link_process(process *p)
{
    process_table *t = p->table;
    p->next = t->first;
    if (p->next) p->next->previous = p;
    t->first = p;
    t->running++;
}

static void unlink_process(process *p)
{
    if (p->next) p->next->previous = p->previous;
    if (p->previous) p->previous->next = p->next;
    else p->table->first = p->next;
    p->table->running--;
}

/* --- output ------------------------------------------------------------------------------------------------------ */

/* Takes what is there, but leaves the loop its turn when somebody floods us. */
static void read_output(process *p)
{
    uint8_t *space = p->table->space;
    for (int i = 0; i < READS_AT_ONCE && p->output_fd >= 0; i++) {
        ssize_t got = read(p->output_fd, space, READ_SIZE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got > 0) capture_add(&p->output, space, (size_t)got);
        else close_poll(&p->output_poll, &p->output_fd); /* everybody has closed it */
        if (got > 0 && got < READ_SIZE / 16) return; /* probably all: the loop asks again if not */
    }
}

/* After the end: all that the pipe can hold. */
static void drain_output(process *p)
{
    uint8_t *space = p->table->space;
    for (int i = 0; i < READS_AT_ONCE && p->output_fd >= 0; i++) {
        ssize_t got = read(p->output_fd, space, READ_SIZE);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        capture_add(&p->output, space, (size_t)got);
    }
}

static void on_output(uv_poll_t *handle, int status, int events)
{
    (void)status; /* an error shows at the read */
    (void)events;
    read_output(handle->data);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void set_timer(process *p, uint64_t ms)
{
    uv_update_time(p->table->loop); /* it may be old after a long callback */
    uv_timer_start(&p->timer, on_timer, ms, 0);
}

static void set_timer_at(process *p, int64_t at_ns)
{
    int64_t left_ns = at_ns - os_monotonic_ns();
    set_timer(p, left_ns > 0 ? (uint64_t)((left_ns + 999999) / 1000000) : 0);
}

static void tell_done(process *p)
{
    process_result *r = &p->result;
    buf tail;
    buf_init(&tail);
    capture_end(&p->output);
    r->output = buf_bytes(&p->output.head);
    r->in_file = capture_in_file(&p->output);
    if (r->in_file) capture_put_tail(&p->output, &tail);
    r->tail = buf_bytes(&tail);
    r->truncated = p->output.is_truncated;
    r->output_bytes = p->output.total;
    p->done(p->ctx, r);
    buf_deinit(&tail);
}

static void finish(process *p)
{
    drain_output(p);
    p->state = ENDED;
    unlink_process(p);
    close_handles(p);
    tell_done(p);
}

/* Looks once more, with a signal for those who live (0: none). */
static bool is_anybody_left(process *p, int signal)
{
    if (!p->is_group_empty) p->is_group_empty = !orphan_end_group(p->pid, signal);
    return orphan_end(&p->table->orphans, p->token, signal) > 0 || !p->is_group_empty;
}

/* Everybody who is left gets TERM at the first look and KILL at those after the grace. */
static void look_at_leftovers(process *p)
{
    int64_t now_ns = os_monotonic_ns();
    bool is_first = p->state == RUNNING;
    if (is_first && p->kill_ns == 0) p->kill_ns = now_ns + (int64_t)LEFTOVER_GRACE_MS * 1000000;
    int signal = now_ns >= p->kill_ns ? SIGKILL : is_first ? SIGTERM : 0;
    bool is_left = is_anybody_left(p, signal);
    p->state = LEFT;
    if (!is_left || now_ns > p->kill_ns + (int64_t)GIVE_UP_MS * 1000000) {
        finish(p);
        return;
    }
    p->look_ms = is_first ? 1 : p->look_ms < SLOWEST_LOOK_MS ? p->look_ms * 2 : SLOWEST_LOOK_MS;
    set_timer(p, p->look_ms);
}

static int64_t time_us(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

/* The system call gives the usage of the child, which libc's waitid does not pass on. @return 1: reaped; 0: not yet */
static int reap_command(process *p, int flags)
{
    siginfo_t info;
    struct rusage usage = {0};
    info.si_pid = 0;
    long rc;
    do rc = syscall(SYS_waitid, P_PIDFD, p->pidfd, &info, WEXITED | flags, &usage);
    while (rc != 0 && errno == EINTR);
    if (rc == 0 && info.si_pid == 0) return 0;
    bool has_exited = rc == 0 && info.si_code == CLD_EXITED;
    p->result.exit_code = has_exited ? info.si_status : -1;
    p->result.signal = has_exited ? 0
                       : rc == 0  ? info.si_status
                                  : SIGKILL; /* somebody else reaped it: unknown */
    p->result.wall_us = (os_monotonic_ns() - p->start_ns) / 1000;
    p->result.cpu_us = time_us(usage.ru_utime) + time_us(usage.ru_stime);
    p->result.memory_bytes = (int64_t)usage.ru_maxrss * 1024;
    return 1;
}

static void on_pidfd(uv_poll_t *handle, int status, int events)
{
    process *p = handle->data;
    (void)status;
    (void)events;
    if (p->state != RUNNING || !reap_command(p, WNOHANG)) return;
    uv_poll_stop(&p->exit_poll); /* a pidfd stays readable */
    uv_timer_stop(&p->timer);
    look_at_leftovers(p);
}

static void terminate(process *p, int64_t grace_ms)
{
    int64_t kill_ns = os_monotonic_ns() + grace_ms * 1000000;
    bool is_first = p->kill_ns == 0;
    if (is_first || kill_ns < p->kill_ns) p->kill_ns = kill_ns;
    if (is_first) {
        kill((pid_t)-p->pid, SIGTERM);
        kill((pid_t)-p->pid, SIGCONT);
    }
    set_timer_at(p, p->kill_ns);
}

static void on_timer(uv_timer_t *timer)
{
    process *p = timer->data;
    int64_t now_ns = os_monotonic_ns();
    if (p->state == LEFT) {
        look_at_leftovers(p);
    } else if (p->state == RUNNING && p->kill_ns != 0) {
        if (now_ns >= p->kill_ns) kill((pid_t)-p->pid, SIGKILL);
        else set_timer_at(p, p->kill_ns);
    } else if (p->state == RUNNING && p->timeout_ns != 0) {
        if (now_ns < p->timeout_ns) {
            set_timer_at(p, p->timeout_ns);
            return;
        }
        p->result.timed_out = true;
        terminate(p, PROCESS_GRACE_MS);
    }
}

void process_stop(process *p, int64_t grace_ms)
{
    if (p->state == ENDED) return;
    p->result.stopped = true;
    if (p->state == RUNNING) {
        terminate(p, grace_ms);
        return;
    }
    int64_t kill_ns = os_monotonic_ns() + grace_ms * 1000000;
    if (kill_ns < p->kill_ns) p->kill_ns = kill_ns;
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

/* A copy of a descriptor that is not one of the three standard streams, which may be closed in us. */
static int above_two(int fd)
{
    if (fd < 0 || fd > 2) return fd;
    int other = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int errnum = errno;
    close(fd);
    errno = errnum;
    return other;
}

static int make_pipe(int ends[2], const char *program, weir_error *err)
{
    ends[0] = ends[1] = -1;
    if (pipe2(ends, O_CLOEXEC) == 0) {
        ends[0] = above_two(ends[0]);
        ends[1] = above_two(ends[1]);
        if (ends[0] >= 0 && ends[1] >= 0) return 0;
    }
    int rc = error_errno(err, errno, "cannot make a pipe for the output of %s", program);
    os_close(ends[0]);
    os_close(ends[1]);
    return rc;
}

/* ends[0]: what we read, -1: nothing; ends[1]: what the child writes to. */
static int make_output(process *p, const process_spec *spec, int ends[2], weir_error *err)
{
    if (!spec->is_detached) return make_pipe(ends, spec->program, err);
    ends[0] = ends[1] = -1;
    int rc = capture_direct(&p->output, err);
    if (rc != 0) return rc;
    ends[1] = fcntl(p->output.fd, F_DUPFD_CLOEXEC, 3);
    return ends[1] < 0 ? error_errno(err, errno, "preparing the output of %s", spec->program) : 0;
}

/* The given variables and WEIR_TOKEN; the strings are borrowed, but the last, which is written to `token`. */
static const char **with_token(const char *const *envp, hash128 hash, char token[64])
{
    static const char name[] = "WEIR_TOKEN=";
    size_t count = 0;
    size_t kept = 0;
    while (envp && envp[count]) count++;
    const char **all = mem_alloc((count + 2) * sizeof *all);
    if (!all) return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(envp[i], name, sizeof name - 1) != 0) all[kept++] = envp[i];
    memcpy(token, name, sizeof name);
    hash_hex(hash, token + sizeof name - 1);
    all[kept++] = token;
    all[kept] = NULL;
    return all;
}

static int spawn(process_table *t, process *p, const process_spec *spec, int output_fd,
                 uint64_t *start_ticks, weir_error *err)
{
    char token[64];
    const char **envp = with_token(spec->envp, spec->token, token);
    if (!envp) return error_nomem(err, "starting a command");
    spawn_spec s = {
        .program = spec->program,
        .argv = (char *const *)(uintptr_t)spec->argv,
        .envp = (char *const *)(uintptr_t)envp,
        .null_fd = t->null_fd,
        .output_fd = output_fd,
        .cwd_fd = spec->cwd_fd,
        .job_fds = spec->job_fds,
    };
    p->start_ns = os_monotonic_ns();
    int rc = spawn_start(&s, t->stack, &p->pid, &p->pidfd, start_ticks, err);
    mem_free(envp);
    return rc;
}

static int uv_fail(weir_error *err, int status, const char *program)
{
    return error_set(err, status == UV_ENOMEM ? WEIR_NOMEM : WEIR_IO, "cannot watch %s: %s",
                     program, uv_strerror(status));
}

/* The output is watched before the start, the pidfd after: if that fails, the command is ended again. */
static int watch_and_spawn(process_table *t, process *p, const process_spec *spec, int ends[2],
                           uint64_t *start_ticks, weir_error *err)
{
    int status = ends[0] >= 0 ? uv_poll_init(t->loop, &p->output_poll, ends[0]) : 0;
    if (status != 0) return uv_fail(err, status, spec->program);
    if (ends[0] >= 0) {
        p->output_poll.data = p;
        p->output_fd = ends[0];
        ends[0] = -1;
        p->handles++;
    }
    int rc = spawn(t, p, spec, ends[1], start_ticks, err);
    if (rc != 0) return rc;
    status = uv_poll_init(t->loop, &p->exit_poll, p->pidfd);
    if (status == 0) {
        p->exit_poll.data = p;
        p->handles++;
        return 0;
    }
    kill((pid_t)-p->pid, SIGKILL);
    (void)reap_command(p, 0);
    os_close(p->pidfd);
    p->pidfd = -1;
    return uv_fail(err, status, spec->program);
}

static void start_watching(process *p, int64_t timeout_ms)
{
    if (p->output_fd >= 0) uv_poll_start(&p->output_poll, UV_READABLE, on_output);
    uv_poll_start(&p->exit_poll, UV_READABLE, on_pidfd);
    if (timeout_ms <= 0) return;
    p->timeout_ns = p->start_ns + timeout_ms * 1000000;
    set_timer_at(p, p->timeout_ns);
}

static process *new_process(process_table *t, const process_spec *spec, process_done done,
                            void *ctx)
{
    process *p = mem_zero(1, sizeof *p);
    if (!p) return NULL;
    p->table = t;
    p->pidfd = p->output_fd = -1;
    p->token = spec->token;
    capture_init(&p->output, spec->cwd_fd, spec->output_path, spec->output_cap);
    p->done = done;
    p->ctx = ctx;
    uv_timer_init(t->loop, &p->timer);
    p->timer.data = p;
    p->handles = 1;
    t->unfreed++;
    return p;
}

int process_start(process_table *t, const process_spec *spec, process_done done, void *ctx,
                  process **out, int64_t *pid, uint64_t *start_ticks, weir_error *err)
{
    int ends[2];
    uint64_t ticks = 0;
    *out = NULL;
    process *p = new_process(t, spec, done, ctx);
    if (!p) return error_nomem(err, "starting a command");
    int rc = make_output(p, spec, ends, err);
    if (rc == 0) rc = watch_and_spawn(t, p, spec, ends, &ticks, err);
    os_close(ends[0]);
    os_close(ends[1]);
    if (rc != 0) {
        p->state = ENDED;
        close_handles(p);
        return rc;
    }
    link_process(p);
    start_watching(p, spec->timeout_ms);
    t->spawned++;
    *out = p;
    if (pid) *pid = p->pid;
    if (start_ticks) *start_ticks = ticks;
    return 0;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

static bool is_own(void *ctx, int64_t pid)
{
    const process_table *t = ctx;
    for (const process *p = t->first; p; p = p->next)
        if (p->pid == pid && p->state == RUNNING) return true;
    return false;
}

int process_table_open(process_table **out, uv_loop_t *loop, weir_error *err)
{
    *out = NULL;
    process_table *t = mem_zero(1, sizeof *t);
    if (!t) return error_nomem(err, "preparing to start commands");
    t->loop = loop;
    orphan_open(&t->orphans, is_own, t);
    t->null_fd = above_two(os_openat(AT_FDCWD, "/dev/null", OS_READ, 0, err));
    t->stack = mem_alloc(SPAWN_STACK);
    int rc = t->null_fd < 0 ? t->null_fd
             : t->stack     ? 0
                            : error_nomem(err, "preparing to start commands");
    /* What a command leaves behind becomes our child and can be ended. Best effort: the kernel has it since 3.4. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (rc == 0) *out = t;
    else free_table(t);
    return rc;
}

/* Waits until nothing of a killed command is left, but not for ever. */
static void kill_now(process *p)
{
    kill((pid_t)-p->pid, SIGKILL);
    if (p->state == RUNNING) (void)reap_command(p, 0);
    p->state = LEFT;
    for (int i = 0; i < CLOSE_TRIES; i++) {
        if (!is_anybody_left(p, SIGKILL)) return;
        usleep(1000);
    }
}

void process_table_close(process_table *t)
{
    if (!t) return;
    while (t->first) {
        process *p = t->first;
        kill_now(p);
        p->state = ENDED;
        unlink_process(p);
        close_handles(p);
    }
    t->is_closing = true;
    if (t->unfreed == 0) free_table(t);
}

size_t process_running(const process_table *t)
{
    return t->running;
}

uint64_t process_spawned(const process_table *t)
{
    return t->spawned;
}
