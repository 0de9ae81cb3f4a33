/*
 * jobserver.c - a pipe full of tokens.
 *
 * J1  Every byte that was taken from a make above us is written back as it was.
 * J2  No read or write here blocks: the read end is a file description of our own, and a pipe has room for all tokens.
 */
#include "engine/world/jobserver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/memory.h"
#include "engine/base/os.h"

enum { ABOVE = 10, TOKEN = '+' };

struct jobserver {
    int fds[2];  /* for children, blocking; owned when we serve */
    int read_fd; /* ours */
    bool is_own;
    int held;    /* tokens in `taken` */
    char taken[JOBSERVER_MOST];
};

/* --- finding ----------------------------------------------------------------------------------------------------- */

/* The last word of MAKEFLAGS that begins so; make itself takes the last one too. */
static const char *last_word(const char *flags, const char *begins)
{
    const char *found = NULL;
    size_t size = strlen(begins);
    for (const char *at = flags; (at = strstr(at, begins)) != NULL; at += size)
        if (at == flags || at[-1] == ' ') found = at + size;
    return found;
}

static bool is_pipe(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static bool inherit(const char *text, int fds[2])
{
    int from[2];
    if (sscanf(text, "%d,%d", &from[0], &from[1]) != 2 || !is_pipe(from[0]) || !is_pipe(from[1])) return false;
    for (int i = 0; i < 2; i++) fds[i] = fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE);
    for (int i = 0; i < 2; i++)
        if (from[i] > 2) close(from[i]); /* or every child would have them */
    return fds[0] >= 0 && fds[1] >= 0;
}

static bool open_fifo(const char *text, int fds[2])
{
    char path[1024];
    size_t size = strcspn(text, " ");
    if (size >= sizeof path) return false;
    memcpy(path, text, size);
    path[size] = '\0';
    for (int i = 0; i < 2; i++) fds[i] = open(path, O_RDWR | O_CLOEXEC);
    return is_pipe(fds[0]) && is_pipe(fds[1]);
}

int jobserver_find(const char *makeflags, int fds[2], int *slots)
{
    fds[0] = fds[1] = -1;
    *slots = 0;
    const char *auth = makeflags ? last_word(makeflags, "--jobserver-auth=") : NULL;
    if (!auth && makeflags) auth = last_word(makeflags, "--jobserver-fds=");
    if (!auth) return 0;
    const char *jobs = last_word(makeflags, "-j");
    if (jobs) *slots = atoi(jobs);
    bool is_open = strncmp(auth, "fifo:", 5) == 0 ? open_fifo(auth + 5, fds) : inherit(auth, fds);
    if (is_open) return 1;
    for (int i = 0; i < 2; i++) os_close(fds[i]);
    fds[0] = fds[1] = -1;
    return -1;
}

/* --- tokens ------------------------------------------------------------------------------------------------------ */

/* The same pipe once more, so that O_NONBLOCK is ours alone. */
static int open_again(int fd)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int make(jobserver **out, const int fds[2], bool own, weir_error *err)
{
    jobserver *j = mem_zero(1, sizeof *j);
    if (!j) return error_nomem(err, "opening the jobserver");
    j->fds[0] = fds[0];
    j->fds[1] = fds[1];
    j->read_fd = open_again(fds[0]);
    j->is_own = own;
    if (j->read_fd < 0) {
        int rc = error_errno(err, errno, "cannot open the pipe of the jobserver again");
        mem_free(j);
        return rc;
    }
    *out = j;
    return 0;
}

int jobserver_serve(jobserver **out, weir_error *err)
{
    int low[2], fds[2] = {-1, -1};
    *out = NULL;
    if (pipe2(low, O_CLOEXEC) != 0) return error_errno(err, errno, "cannot make the pipe of the jobserver");
    for (int i = 0; i < 2; i++) {
        fds[i] = fcntl(low[i], F_DUPFD_CLOEXEC, ABOVE);
        close(low[i]);
    }
    int rc = fds[0] >= 0 && fds[1] >= 0 ? make(out, fds, true, err)
                                        : error_errno(err, errno, "cannot make the pipe of the jobserver");
    for (int i = 0; rc != 0 && i < 2; i++) os_close(fds[i]);
    return rc;
}

int jobserver_join(jobserver **out, const int fds[2], weir_error *err)
{
    *out = NULL;
    return make(out, fds, false, err);
}

int jobserver_take(jobserver *j, int most)
{
    int count = 0;
    if (j->held + most > JOBSERVER_MOST) most = JOBSERVER_MOST - j->held;
    while (count < most) {
        ssize_t got = read(j->read_fd, j->taken + j->held, (size_t)(most - count));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        count += (int)got;
        j->held += (int)got;
    }
    if (j->is_own) j->held = 0; /* ours are all alike */
    return count;
}

void jobserver_give(jobserver *j, int count)
{
    while (count-- > 0) {
        char token = j->held > 0 ? j->taken[--j->held] : TOKEN;
        while (write(j->fds[1], &token, 1) < 0 && errno == EINTR) continue;
    }
}

int jobserver_poll_fd(const jobserver *j)
{
    return j->read_fd;
}

const int *jobserver_child_fds(const jobserver *j)
{
    return j->fds;
}

void jobserver_close(jobserver *j)
{
    if (!j) return;
    if (!j->is_own) jobserver_give(j, j->held);
    os_close(j->read_fd);
    for (int i = 0; j->is_own && i < 2; i++) os_close(j->fds[i]);
    mem_free(j);
}
