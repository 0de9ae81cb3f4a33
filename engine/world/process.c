/*
 * process.c - commands: capture, deadline, end of everything that belongs to them. How they begin: process_start.c.
 *
 *     STARTING --in a thread--> RUNNING
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
 * after the other, in microseconds; "call" is the time that the caller is held up, "trip" is until it was reaped.
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
 * Held up is a thread of the starter, not the loop: the child needs a processor before it executes, and what waits for that one after
 * the other leaves the others idle. 10,000 `cp`, 4 at once, on 4 busy processors: bare posix_spawn from one thread 7.2 to 14 s, from
 * four 5.3 to 6.6; a first build by weir 15.4 s when the loop started them, 6.6 now (minima of 3 in turn, ninja 13.5).
 *
 * All pidfds and pipes are in one epoll of ours, which is one handle of the loop: uv_poll takes five system calls for each.
 *
 * P1  `done` is called once for each process_start that returned 0, unless the table is closed first.
 * P2  Only children that this module started or that a command of its left behind are waited for, never -1.
 * P3  No signal goes to a group after it was seen empty.
 *
 * memory_bytes is what the kernel counts for the child; it counts the moment before exec too, so it is at least our own size.
 * Loop thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/world/process_internal.h"

enum {
    READS_AT_ONCE = 16,
    LEFTOVER_GRACE_MS = 1000,
    GIVE_UP_MS = 2000,
    SLOWEST_LOOK_MS = 32
};
enum { CLOSE_TRIES = 1000, EVENTS_AT_ONCE = 64 };

static void free_table(process_table *t)
{
    os_close(t->null_fd);
    os_close(t->events);
    orphan_close(&t->orphans);
    mem_free(t);
}

/* A handle of the table or of a process is closed. */
static void count_closed(void *ctx)
{
    process_table *t = ctx;
    t->unfreed--;
    if (t->is_closing && t->unfreed == 0) free_table(t);
}

/* --- handles and memory ------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    process *p = handle->data;
    process_table *t = p->table;
    capture_deinit(&p->output);
    mem_free(p->launch.envp);
    mem_free(p);
    count_closed(t);
}

/* The descriptor of a child that has not executed yet keeps a closed one among the events: it is taken out first. */
void process_unwatch(process *p, int *fd)
{
    if (*fd < 0) return;
    (void)epoll_ctl(p->table->events, EPOLL_CTL_DEL, *fd, NULL);
    os_close(*fd);
    *fd = -1;
}

/* In the data of an event: the process, and 1 added for its output. */
int process_watch_fd(process *p, int fd, bool is_output, weir_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(uintptr_t)p + is_output};
    if (epoll_ctl(p->table->events, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    return error_errno(err, errno, "cannot watch a command");
}

void process_leave(process *p)
{
    process_table *t = p->table;
    if (p->next) p->next->previous = p->previous;
    if (p->previous) p->previous->next = p->next;
    else t->first = p->next;
    if (--t->running == 0) uv_unref((uv_handle_t *)&t->events_poll);
    p->state = ENDED;
    process_unwatch(p, &p->output_fd);
    process_unwatch(p, &p->pidfd);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

/* --- output ------------------------------------------------------------------------------------------------------ */

/* Takes what is there, but leaves the loop its turn when somebody floods us. */
static void read_output(process *p)
{
    uint8_t *space = p->table->space;
    for (int i = 0; i < READS_AT_ONCE && p->output_fd >= 0; i++) {
        ssize_t got = read(p->output_fd, space, PROCESS_READ_SIZE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got > 0) capture_add(&p->output, space, (size_t)got);
        else process_unwatch(p, &p->output_fd); /* everybody has closed it */
        if (got > 0 && got < PROCESS_READ_SIZE / 16) return; /* probably all: the loop asks again if not */
    }
}

/* After the end: all that the pipe can hold. */
static void drain_output(process *p)
{
    uint8_t *space = p->table->space;
    for (int i = 0; i < READS_AT_ONCE && p->output_fd >= 0; i++) {
        ssize_t got = read(p->output_fd, space, PROCESS_READ_SIZE);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        capture_add(&p->output, space, (size_t)got);
    }
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void set_timer(process *p, uint64_t ms)
{
    uv_update_time(p->table->loop); /* it may be old after a long callback */
    uv_timer_start(&p->timer, on_timer, ms, 0);
}

void process_set_timer_at(process *p, int64_t at_ns)
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
    process_leave(p);
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
int process_reap(process *p, int flags)
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

static void look_at_end(process *p)
{
    if (p->state != RUNNING || !process_reap(p, WNOHANG)) return;
    process_unwatch(p, &p->pidfd); /* it would stay readable */
    uv_timer_stop(&p->timer);
    look_at_leftovers(p);
}

/* A process that ended meanwhile is not freed before the loop turns. */
static void on_events(uv_poll_t *handle, int status, int events)
{
    process_table *t = handle->data;
    struct epoll_event news[EVENTS_AT_ONCE];
    (void)status;
    (void)events;
    int count = epoll_wait(t->events, news, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        bool is_output = news[i].data.u64 & 1;
        process *p = (process *)(uintptr_t)(news[i].data.u64 - is_output); /* NOLINT(performance-no-int-to-ptr) */
        if (is_output) read_output(p);
        else look_at_end(p);
    }
}

void process_terminate(process *p, int64_t grace_ms)
{
    int64_t kill_ns = os_monotonic_ns() + grace_ms * 1000000;
    bool is_first = p->kill_ns == 0;
    if (is_first || kill_ns < p->kill_ns) p->kill_ns = kill_ns;
    if (is_first) {
        kill((pid_t)-p->pid, SIGTERM);
        kill((pid_t)-p->pid, SIGCONT);
    }
    process_set_timer_at(p, p->kill_ns);
}

static void on_timer(uv_timer_t *timer)
{
    process *p = timer->data;
    int64_t now_ns = os_monotonic_ns();
    if (p->state == LEFT) {
        look_at_leftovers(p);
    } else if (p->state == RUNNING && p->kill_ns != 0) {
        if (now_ns >= p->kill_ns) kill((pid_t)-p->pid, SIGKILL);
        else process_set_timer_at(p, p->kill_ns);
    } else if (p->state == RUNNING && p->timeout_ns != 0) {
        if (now_ns < p->timeout_ns) {
            process_set_timer_at(p, p->timeout_ns);
            return;
        }
        p->result.timed_out = true;
        process_terminate(p, PROCESS_GRACE_MS);
    }
}

void process_stop(process *p, int64_t grace_ms)
{
    if (p->state == ENDED) return;
    if (p->state == STARTING && (!p->result.stopped || grace_ms < p->stop_grace_ms)) p->stop_grace_ms = grace_ms;
    p->result.stopped = true;
    if (p->state == STARTING) return;
    if (p->state == RUNNING) {
        process_terminate(p, grace_ms);
        return;
    }
    int64_t kill_ns = os_monotonic_ns() + grace_ms * 1000000;
    if (kill_ns < p->kill_ns) p->kill_ns = kill_ns;
}

/* --- the table --------------------------------------------------------------------------------------------------- */

int process_above_two(int fd)
{
    if (fd < 0 || fd > 2) return fd;
    int other = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int errnum = errno;
    close(fd);
    errno = errnum;
    return other;
}

/* Those that a thread has started are on its list of children, and on ours only once it is gone. */
static bool is_own(void *ctx, int64_t pid)
{
    const process_table *t = ctx;
    for (const process *p = t->first; p; p = p->next)
        if (p->pid == pid && p->state == RUNNING) return true;
    return false;
}

static void on_poll_closed(uv_handle_t *handle)
{
    count_closed(handle->data);
}

/* What the loop looks at for all commands: one descriptor. */
static int open_events(process_table *t, weir_error *err)
{
    t->events = process_above_two(epoll_create1(EPOLL_CLOEXEC));
    if (t->events < 0) return error_errno(err, errno, "preparing to start commands");
    int status = uv_poll_init(t->loop, &t->events_poll, t->events);
    if (status != 0) return error_set(err, WEIR_IO, "preparing to start commands: %s", uv_strerror(status));
    t->events_poll.data = t;
    t->unfreed++;
    uv_poll_start(&t->events_poll, UV_READABLE, on_events);
    uv_unref((uv_handle_t *)&t->events_poll);
    return 0;
}

int process_table_open(process_table **out, uv_loop_t *loop, weir_error *err)
{
    *out = NULL;
    process_table *t = mem_zero(1, sizeof *t);
    if (!t) return error_nomem(err, "preparing to start commands");
    t->loop = loop;
    t->events = -1;
    orphan_open(&t->orphans, is_own, t);
    t->null_fd = process_above_two(os_openat(AT_FDCWD, "/dev/null", OS_READ, 0, err));
    int rc = t->null_fd < 0 ? t->null_fd : open_events(t, err);
    if (rc == 0) rc = starter_open(&t->starter, loop, process_launch_run, process_launch_done, err);
    if (rc == 0) t->unfreed++;
    /* What a command leaves behind becomes our child and can be ended. Best effort: the kernel has it since 3.4. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (rc == 0) *out = t;
    else process_table_close(t);
    return rc;
}

/* Waits until nothing of a killed command is left, but not for ever. */
static void kill_now(process *p)
{
    kill((pid_t)-p->pid, SIGKILL);
    if (p->state == RUNNING) (void)process_reap(p, 0);
    p->state = LEFT;
    for (int i = 0; i < CLOSE_TRIES; i++) {
        if (!is_anybody_left(p, SIGKILL)) return;
        usleep(1000);
    }
}

/* The starter is closed: was it started? */
static bool has_begun(process *p)
{
    const process_launch *l = &p->launch;
    if (p->state != STARTING) return true;
    if (!l->job.was_run || l->err.code != 0) return false;
    p->pid = l->pid;
    p->pidfd = l->pidfd;
    p->output_fd = l->output_fd;
    p->state = RUNNING;
    return true;
}

void process_table_close(process_table *t)
{
    if (!t) return;
    starter_close(t->starter, count_closed, t);
    while (t->first) {
        process *p = t->first;
        if (has_begun(p)) kill_now(p);
        process_leave(p);
    }
    if (t->events_poll.data) uv_close((uv_handle_t *)&t->events_poll, on_poll_closed);
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
