/*
 * os_socket.c - stream sockets that are names in a folder.
 *
 * A socket's address holds 107 bytes of path, and projects lie deeper than that: the folder is open, and its entry is named through
 * /proc/self/fd, whatever its own path. Nothing here waits.
 *
 * Any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/base/os_internal.h"

enum { BACKLOG = 64 };

static int make(struct sockaddr_un *address, int dirfd, const char *name, weir_error *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n =
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    if (n < 0 || (size_t)n >= sizeof address->sun_path)
        return error_set(err, WEIR_LIMIT, "socket %s: its name is too long", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 ? fd : os_fail(err, errno, "make socket", name);
}

int os_socket_listen(int dirfd, const char *name, weir_error *err)
{
    struct sockaddr_un address;
    int fault = os_fault_check(OS_OP_OPEN);
    if (fault) return os_fail(err, fault, "make socket", name);
    int fd = make(&address, dirfd, name, err);
    if (fd < 0) return fd;
    int rc = os_unlinkat(dirfd, name, err);
    /* the mode of the descriptor is that of the file that bind makes, so nobody else comes in between */
    if (rc == 0 &&
        (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0))
        rc = os_fail(err, errno, "make socket", name);
    if (rc == 0) rc = os_chmodat(dirfd, name, 0600, err);
    if (rc == 0 && listen(fd, BACKLOG) != 0) rc = os_fail(err, errno, "listen at socket", name);
    if (rc == 0) return fd;
    os_close(fd);
    return rc;
}

int os_socket_connect(int dirfd, const char *name, weir_error *err)
{
    struct sockaddr_un address;
    int fd = make(&address, dirfd, name, err);
    if (fd < 0) return fd;
    int done;
    do done = connect(fd, (const struct sockaddr *)&address, sizeof address);
    while (done != 0 && errno == EINTR);
    if (done == 0) return fd;
    int errnum = errno;
    os_close(fd);
    int code = os_fail(err, errnum, "connect to socket", name);
    if (errnum != ECONNREFUSED && errnum != EAGAIN) return code;
    code = errnum == EAGAIN ? WEIR_BUSY : WEIR_NOTFOUND;
    if (err) err->code = code;
    return code;
}

int os_socket_accept(int fd, weir_error *err)
{
    int one;
    do one = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (one < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (one >= 0) return one;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return error_set(err, WEIR_NOTFOUND, "nobody waits at the socket");
    return os_fail(err, errno, "accept at", "the socket");
}

int os_socket_peer(int fd, int64_t *uid, int64_t *pid, weir_error *err)
{
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        return os_fail(err, errno, "ask who is at", "the socket");
    *uid = (int64_t)who.uid;
    *pid = (int64_t)who.pid;
    return 0;
}

ssize_t os_socket_send(int fd, const void *from, size_t size, weir_error *err)
{
    ssize_t n;
    do n = send(fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return os_fail(err, errno, "send through", "the socket");
}

ssize_t os_socket_receive(int fd, void *to, size_t size, bool *ended, weir_error *err)
{
    ssize_t n;
    *ended = false;
    do n = recv(fd, to, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) return n;
    if (n == 0) *ended = true;
    if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return os_fail(err, errno, "receive through", "the socket");
}
