/*
 * wire.c - frames over stream sockets.
 *
 * Reading goes through recvmsg, so that descriptors are never lost; the kernel ends a read at bytes
 * that carry
 * descriptors, hence they queue in the order of the frames that announce them.
 */
#include "engine/script/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/base/os.h"

enum { HEAD = 5, CHUNK = 64 * 1024 };

void wire_in_init(wire_in *in)
{
    *in = (wire_in){.taken = 0};
    buf_init(&in->data);
}

void wire_in_deinit(wire_in *in)
{
    for (size_t i = 0; i < in->fd_count; i++) os_close(in->fds[i]);
    in->fd_count = 0;
    buf_deinit(&in->data);
}

static void keep_fds(wire_in *in, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (in->fd_count < WIRE_FDS) in->fds[in->fd_count++] = fd;
            else os_close(fd);
        }
    }
}

/* Moves what is left to the front, so that the buffer does not grow with the life of the connection. */
static void compact(wire_in *in)
{
    if (in->taken == 0) return;
    size_t left = in->data.size - in->taken;
    if (left > 0) memmove(in->data.data, in->data.data + in->taken, left);
    in->data.size = left;
    in->taken = 0;
}

int wire_fill(wire_in *in, int fd, weir_error *err)
{
    compact(in);
    uint8_t *room = buf_reserve(&in->data, CHUNK);
    if (!room) return error_nomem(err, "reading a frame");
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
    } control;
    struct iovec part = {room, CHUNK};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do {
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return 2;
        if (errno == ECONNRESET) return 0;
        return error_errno(err, errno, "cannot read a frame");
    }
    keep_fds(in, &message);
    if (got == 0) return 0;
    buf_commit(&in->data, (size_t)got);
    return 1;
}

int wire_next(wire_in *in, wire_frame *frame, weir_error *err)
{
    size_t left = in->data.size - in->taken;
    if (left < HEAD) return 0;
    const uint8_t *at = in->data.data + in->taken;
    size_t size = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (size == 0 || size > WIRE_LIMIT)
        return error_set(err, WEIR_CORRUPT, "a frame of %zu bytes", size);
    if (left < size + HEAD - 1) return 0;
    frame->type = (wire_type)at[4];
    frame->payload = bytes_of(at + HEAD, size - 1);
    in->taken += size + HEAD - 1;
    return 1;
}

int wire_receive(wire_in *in, int fd, wire_frame *frame, weir_error *err)
{
    for (;;) {
        int rc = wire_next(in, frame, err);
        if (rc != 0) return rc;
        rc = wire_fill(in, fd, err);
        if (rc <= 0) return rc;
    }
}

int wire_take_fd(wire_in *in)
{
    if (in->fd_count == 0) return -1;
    int fd = in->fds[0];
    memmove(in->fds, in->fds + 1, --in->fd_count * sizeof in->fds[0]);
    return fd;
}

size_t wire_begin(buf *b, wire_type type)
{
    size_t mark = b->size;
    buf_append(b, "\0\0\0\0", 4);
    buf_byte(b, (uint8_t)type);
    return mark;
}

int wire_end(buf *b, size_t mark, weir_error *err)
{
    if (b->failed) return error_nomem(err, "writing a frame");
    size_t size = b->size - mark - (HEAD - 1);
    if (size > WIRE_LIMIT) {
        b->size = mark;
        return error_set(err, WEIR_LIMIT, "a frame of %zu bytes, at most %d fit", size, WIRE_LIMIT);
    }
    for (size_t i = 0; i < 4; i++) b->data[mark + i] = (uint8_t)(size >> (8 * i));
    return 0;
}

static ssize_t send_part(int fd, const uint8_t *data, size_t size, int pass, int flags)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = {0}};
    struct iovec part = {(void *)(uintptr_t)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (pass >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof pass);
        memcpy(CMSG_DATA(c), &pass, sizeof pass);
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

static int send_failure(weir_error *err)
{
    if (errno == EPIPE || errno == ECONNRESET)
        return error_set(err, WEIR_CANCELLED, "the other side of a socket is gone");
    return error_errno(err, errno, "cannot write a frame");
}

int wire_flush(buf *b, int fd, weir_error *err)
{
    if (b->failed) return error_nomem(err, "writing a frame");
    size_t done = 0;
    while (done < b->size) {
        ssize_t sent = send_part(fd, b->data + done, b->size - done, -1, 0);
        if (sent < 0) return send_failure(err);
        done += (size_t)sent;
    }
    buf_clear(b);
    return 0;
}

int wire_push(const buf *b, size_t *offset, int fd, int *pass, weir_error *err)
{
    if (b->failed) return error_nomem(err, "writing a frame");
    while (*offset < b->size) {
        ssize_t sent = send_part(fd, b->data + *offset, b->size - *offset, *pass, MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
        if (sent < 0) return send_failure(err);
        *offset += (size_t)sent;
        *pass = -1;
    }
    return 0;
}
