/*
 * channel.c - see channel.h. A pidfd and a socket in the loop; SIGCHLD is not needed.
 */
#include "engine/script/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/os.h"

struct channel_message {
    channel_message *next;
    buf data;
    size_t offset;
    int pass; /* -1: none, or gone */
};

static void on_closed(uv_handle_t *handle)
{
    channel *c = handle->data;
    if (--c->handles > 0) return;
    os_close(c->fd);
    os_close(c->pidfd);
    c->fd = c->pidfd = -1;
    wire_in_deinit(&c->in);
    c->closed(c->ctx);
}

int channel_open(channel *c, uv_loop_t *loop, int fd, weir_error *err)
{
    c->loop = loop;
    c->fd = fd;
    c->pidfd = -1;
    wire_in_init(&c->in);
    int rc = uv_timer_init(loop, &c->timer);
    if (rc != 0) {
        os_close(fd);
        c->fd = -1;
        return error_set(err, WEIR_IO, "cannot make a timer: %s", uv_strerror(rc));
    }
    c->timer.data = c;
    c->has_timer = true;
    c->handles = 1;
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void drop_message(channel *c)
{
    channel_message *m = c->first;
    c->first = m->next;
    if (!c->first) c->last = NULL;
    os_close(m->pass);
    buf_deinit(&m->data);
    mem_free(m);
}

static void on_socket(uv_poll_t *handle, int status, int events);

static void want(channel *c)
{
    if (!c->has_socket || c->is_ended || c->is_closing) return;
    int events = UV_READABLE | (c->first ? UV_WRITABLE : 0);
    (void)uv_poll_start(&c->socket, events, on_socket);
}

/* Push out what goes. A connection that broke shows when the child's end comes. */
static void write_some(channel *c)
{
    while (c->first && c->fd >= 0) {
        channel_message *m = c->first;
        int pass = m->pass;
        if (wire_push(&m->data, &m->offset, c->fd, &pass, NULL) != 0) {
            while (c->first) drop_message(c);
            return;
        }
        if (pass < 0 && m->pass >= 0) os_close(m->pass);
        m->pass = pass;
        if (m->offset < m->data.size) return;
        drop_message(c);
    }
}

int channel_send(channel *c, buf *frame, int pass, weir_error *err)
{
    channel_message *m = frame->failed ? NULL : mem_zero(1, sizeof *m);
    if (!m || c->is_ended || c->is_closing || c->fd < 0) {
        bool ended = m != NULL;
        mem_free(m);
        os_close(pass);
        return ended ? error_set(err, WEIR_CANCELLED, "the process has ended")
                     : error_nomem(err, "sending a frame");
    }
    m->data = *frame;
    m->pass = pass;
    buf_init(frame);
    if (c->last) c->last->next = m;
    else c->first = m;
    c->last = m;
    if (c->has_socket) write_some(c);
    want(c);
    return 0;
}

/* --- reading, the end ------------------------------------------------------------------------- */

static void hand_on(channel *c)
{
    wire_frame frame;
    int rc = 0;
    while (!c->is_closing && (rc = wire_next(&c->in, &frame, NULL)) > 0) c->frame(c->ctx, &frame);
    if (rc < 0) channel_kill(c); /* not our protocol */
}

/* Read until nothing is left; false: the other side has closed. */
static bool read_some(channel *c)
{
    for (int i = 0; i < 64 && !c->is_closing && c->fd >= 0; i++) {
        int rc = wire_fill(&c->in, c->fd, NULL);
        if (rc == 2) return true;
        if (rc <= 0) return false;
        hand_on(c);
    }
    return true;
}

static void describe_end(channel *c, char *how, size_t room)
{
    siginfo_t info = {.si_pid = 0};
    how[0] = '\0';
    int rc;
    do {
        rc = waitid((idtype_t)3 /* P_PIDFD */, (id_t)c->pidfd, &info, WEXITED | WNOHANG);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) return; /* reaped by another part of this process */
    if (info.si_code == CLD_EXITED && info.si_status != 0)
        snprintf(how, room, "exit %d", info.si_status);
    if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
        snprintf(how, room, "signal %d", info.si_status);
}

static void end(channel *c)
{
    char how[64];
    if (c->is_ended) return;
    if (c->has_process) (void)uv_poll_stop(&c->process);
    while (c->fd >= 0 && !c->is_closing && wire_fill(&c->in, c->fd, NULL) == 1) hand_on(c);
    c->is_ended = true;
    if (c->has_socket) (void)uv_poll_stop(&c->socket);
    if (c->has_timer) (void)uv_timer_stop(&c->timer);
    describe_end(c, how, sizeof how);
    c->ended(c->ctx, how);
}

static void on_process(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    end(handle->data);
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
    channel *c = handle->data;
    bool open = status == 0;
    if (open && (events & UV_WRITABLE)) write_some(c);
    if (open && (events & UV_READABLE)) open = read_some(c);
    if (c->is_closing || c->is_ended) return;
    if (open) {
        want(c);
        return;
    }
    (void)uv_poll_stop(&c->socket);
    channel_kill(c); /* it does not close its socket while it is well; usually it has just ended */
}

static int start_poll(channel *c, uv_poll_t *poll, int fd, bool *has, weir_error *err)
{
    int rc = uv_poll_init(c->loop, poll, fd);
    if (rc != 0) return error_set(err, WEIR_IO, "cannot watch a process: %s", uv_strerror(rc));
    poll->data = c;
    *has = true;
    c->handles++;
    return 0;
}

int channel_attach(channel *c, int64_t pid, weir_error *err)
{
    long fd = syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0) return error_errno(err, errno, "cannot watch process %lld", (long long)pid);
    (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    c->pid = pid;
    c->pidfd = (int)fd;
    int rc = start_poll(c, &c->process, c->pidfd, &c->has_process, err);
    if (rc == 0) rc = start_poll(c, &c->socket, c->fd, &c->has_socket, err);
    if (rc == 0)
        rc = uv_poll_start(&c->process, UV_READABLE, on_process)
                 ? error_set(err, WEIR_IO, "cannot watch a process")
                 : 0;
    if (rc != 0) return rc;
    write_some(c);
    want(c);
    return 0;
}

void channel_kill(channel *c)
{
    if (c->pidfd >= 0 && !c->is_ended)
        (void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

void channel_hang_up(channel *c)
{
    if (c->has_socket) (void)uv_poll_stop(&c->socket);
    while (c->first) drop_message(c);
    if (c->fd >= 0)
        (void)shutdown(c->fd, SHUT_RDWR); /* the descriptor itself goes with its handle */
}

static void on_timer(uv_timer_t *timer)
{
    channel *c = timer->data;
    if (!c->is_closing) c->tick(c->ctx);
}

void channel_timer(channel *c, uint64_t ms)
{
    if (!c->is_closing) (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

void channel_timer_stop(channel *c)
{
    if (!c->is_closing) (void)uv_timer_stop(&c->timer);
}

void channel_close(channel *c)
{
    if (c->is_closing) return;
    c->is_closing = true;
    while (c->first) drop_message(c);
    if (c->has_socket) uv_close((uv_handle_t *)&c->socket, on_closed);
    if (c->has_process) uv_close((uv_handle_t *)&c->process, on_closed);
    if (c->has_timer) uv_close((uv_handle_t *)&c->timer, on_closed);
}
