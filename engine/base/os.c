/*
 * os.c - files: open, look, read, write, copy, rename, lock.
 *
 * Thin: each function is one system call with its retries, a fault point before it and an error that names operation
 * and path. Folders as wholes are in os_tree.c, time and identity in os_info.c, threads in os_thread.c.
 *
 * Any thread. Nothing is kept between calls.
 */
#include "engine/base/os.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/os_internal.h"

enum { COPY_SIZE = 128 * 1024, READ_SIZE = 64 * 1024 };

int os_fail(weir_error *err, int errnum, const char *doing, const char *name)
{
    int code = error_errno(err, errnum, "cannot %s %s", doing, name && *name ? name : ".");
    if (!os_is_absent(errnum)) return code;
    if (err) err->code = WEIR_NOTFOUND;
    return WEIR_NOTFOUND;
}

/* --- opening and looking ---------------------------------------------------------------------------------------- */

static int system_flags(int flags)
{
    int access = flags & OS_WRITE ? (flags & OS_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    return access | O_CLOEXEC | (flags & OS_CREATE ? O_CREAT : 0) | (flags & OS_EXCL ? O_EXCL : 0) |
           (flags & OS_TRUNC ? O_TRUNC : 0) | (flags & OS_NOFOLLOW ? O_NOFOLLOW : 0) |
           (flags & OS_FOLDER ? O_DIRECTORY : 0) | (flags & OS_APPEND ? O_APPEND : 0);
}

/* open with retries; @return descriptor, or -1 with errno */
static int open_again(int dirfd, const char *path, int flags, uint32_t mode)
{
    errno = os_fault_check(OS_OP_OPEN);
    if (errno) return -1;
    int fd;
    do fd = openat(dirfd, path, flags, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int os_openat(int dirfd, const char *path, int flags, uint32_t mode, weir_error *err)
{
    int fd = open_again(dirfd, path, system_flags(flags), mode);
    return fd >= 0 ? fd : os_fail(err, errno, "open", path);
}

void os_close(int fd)
{
    if (fd >= 0) (void)close(fd); /* never again after EINTR: on Linux the descriptor is gone */
}

static int64_t time_ns(struct timespec t)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)t.tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)t.tv_nsec, &ns))
        return t.tv_sec < 0 ? INT64_MIN : INT64_MAX; /* beyond the years 1677 and 2262 */
    return ns;
}

static os_type type_of(mode_t mode)
{
    if (S_ISREG(mode)) return OS_FILE;
    if (S_ISDIR(mode)) return OS_DIR;
    return S_ISLNK(mode) ? OS_LINK : OS_OTHER;
}

static void fill_stat(os_stat *out, const struct stat *from)
{
    *out = (os_stat){
        .type = type_of(from->st_mode),
        .mode = (uint32_t)from->st_mode & 07777u,
        .dev = (uint64_t)from->st_dev,
        .ino = (uint64_t)from->st_ino,
        .nlink = (uint64_t)from->st_nlink,
        .size = (int64_t)from->st_size,
        .mtime_ns = time_ns(from->st_mtim),
        .ctime_ns = time_ns(from->st_ctim),
    };
}

int os_statat(int dirfd, const char *path, bool follow, os_stat *out, weir_error *err)
{
    struct stat found;
    *out = (os_stat){.type = OS_ABSENT};
    int errnum = os_fault_check(OS_OP_STAT);
    if (!errnum && fstatat(dirfd, path, &found, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        errnum = errno;
    if (!errnum) fill_stat(out, &found);
    if (!errnum || os_is_absent(errnum) || (errnum == ELOOP && follow)) return 0;
    return os_fail(err, errnum, "stat", path);
}

int os_fstat(int fd, os_stat *out, weir_error *err)
{
    struct stat found;
    int errnum = os_fault_check(OS_OP_STAT);
    if (!errnum && fstat(fd, &found) != 0) errnum = errno;
    if (errnum) return os_fail(err, errnum, "stat", "an open file");
    fill_stat(out, &found);
    return 0;
}

/* --- content ---------------------------------------------------------------------------------------------------- */

ssize_t os_read(int fd, void *to, size_t size, const char *name, weir_error *err)
{
    errno = os_fault_check(OS_OP_READ);
    if (errno) return os_fail(err, errno, "read", name);
    if (size > SSIZE_MAX) size = SSIZE_MAX;
    ssize_t got;
    do got = read(fd, to, size);
    while (got < 0 && errno == EINTR);
    return got >= 0 ? got : os_fail(err, errno, "read", name);
}

int os_write_all(int fd, const void *from, size_t size, const char *name, weir_error *err)
{
    const char *at = from;
    do {
        errno = os_fault_check(OS_OP_WRITE);
        ssize_t put = errno ? -1 : write(fd, at, size > SSIZE_MAX ? SSIZE_MAX : size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return os_fail(err, errno, "write", name);
        at += put;
        size -= (size_t)put;
    } while (size > 0);
    return 0;
}

int os_fsync(int fd, const char *name, weir_error *err)
{
    errno = os_fault_check(OS_OP_FSYNC);
    int rc = errno ? -1 : 0;
    if (rc == 0) {
        do rc = fsync(fd);
        while (rc != 0 && errno == EINTR);
    }
    return rc == 0 ? 0 : os_fail(err, errno, "sync", name);
}

/* Appends what `fd` holds. One byte more than the limit is asked for, to see that there is more. */
static int read_to_end(int fd, const char *path, size_t expected, size_t limit, buf *to,
                       weir_error *err)
{
    size_t total = 0;
    size_t step = expected < limit ? expected + 1 : READ_SIZE;
    for (;;) {
        size_t room = limit - total < SIZE_MAX ? limit - total + 1 : SIZE_MAX;
        if (step < room) room = step;
        uint8_t *at = buf_reserve(to, room);
        if (!at) return error_nomem(err, "reading a file");
        ssize_t got = os_read(fd, at, room, path, err);
        if (got <= 0) return (int)got;
        total += (size_t)got;
        if (total > limit)
            return error_set(err, WEIR_LIMIT, "%s is larger than %zu bytes", path, limit);
        buf_commit(to, (size_t)got);
        step = READ_SIZE;
    }
}

int os_read_file(int dirfd, const char *path, size_t limit_bytes, buf *to, weir_error *err)
{
    size_t before = to->size;
    os_stat st;
    /* Not blocking: a FIFO in the place of a file must not stop us. */
    int fd = open_again(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) return os_fail(err, errno, "open", path);
    int rc = os_fstat(fd, &st, err);
    if (rc == 0 && st.type == OS_DIR) rc = os_fail(err, EISDIR, "read", path);
    if (rc == 0 && st.type != OS_FILE)
        rc = error_set(err, WEIR_IO, "cannot read %s: it is no regular file", path);
    if (rc == 0)
        rc = read_to_end(fd, path, st.size > 0 ? (size_t)st.size : 0, limit_bytes, to, err);
    os_close(fd);
    if (rc != 0 && !to->failed) to->size = before;
    return rc;
}

int os_write_file(int dirfd, const char *path, bytes content, uint32_t mode, weir_error *err)
{
    int fd = os_openat(dirfd, path, OS_WRITE | OS_CREATE | OS_TRUNC, mode, err);
    if (fd < 0) return fd;
    int rc = content.size ? os_write_all(fd, content.data, content.size, path, err) : 0;
    /* Some file systems tell only here that the disk is full. */
    if (close(fd) != 0 && rc == 0 && errno != EINTR) rc = os_fail(err, errno, "write", path);
    return rc;
}

static int copy_by_hand(int from, int to, const char *name, weir_error *err)
{
    char *space = mem_alloc(COPY_SIZE);
    if (!space) return error_nomem(err, "copying a file");
    ssize_t got;
    int rc = 0;
    while (rc == 0 && (got = os_read(from, space, COPY_SIZE, name, err)) != 0)
        rc = got < 0 ? (int)got : os_write_all(to, space, (size_t)got, name, err);
    mem_free(space);
    return rc;
}

static bool is_copy_unsupported(int errnum)
{
    return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP ||
           errnum == EPERM || errnum == EBADF; /* appending descriptors */
}

int os_copy_fd(int from, int to, const char *name, weir_error *err)
{
    for (bool is_first = true;; is_first = false) {
        errno = os_fault_check(OS_OP_READ);
        if (!errno) errno = os_fault_check(OS_OP_WRITE);
        ssize_t got = errno ? -1 : copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
        if (got > 0 || (got < 0 && errno == EINTR)) continue;
        /* Nothing at first may mean a file system that does not tell sizes (procfs), so it is read by hand. */
        if (is_first && (got == 0 || is_copy_unsupported(errno)))
            return copy_by_hand(from, to, name, err);
        return got == 0 ? 0 : os_fail(err, errno, "copy", name);
    }
}

/* --- names ------------------------------------------------------------------------------------------------------ */

int os_renameat(int fromfd, const char *from, int tofd, const char *to, weir_error *err)
{
    int errnum = os_fault_check(OS_OP_RENAME);
    if (!errnum && renameat(fromfd, from, tofd, to) != 0) errnum = errno;
    if (!errnum) return 0;
    int code = error_errno(err, errnum, "cannot rename %s to %s", from, to);
    if (!os_is_absent(errnum)) return code;
    if (err) err->code = WEIR_NOTFOUND;
    return WEIR_NOTFOUND;
}

int os_unlinkat(int dirfd, const char *path, weir_error *err)
{
    int errnum = os_fault_check(OS_OP_UNLINK);
    if (!errnum && unlinkat(dirfd, path, 0) != 0) errnum = errno;
    return !errnum || os_is_absent(errnum) ? 0 : os_fail(err, errnum, "remove", path);
}

int os_chmodat(int dirfd, const char *path, uint32_t mode, weir_error *err)
{
    int errnum = os_fault_check(OS_OP_CHMOD);
    if (!errnum && fchmodat(dirfd, path, (mode_t)mode, 0) != 0) errnum = errno;
    return errnum ? os_fail(err, errnum, "change the mode of", path) : 0;
}

int os_readlinkat(int dirfd, const char *path, buf *to, weir_error *err)
{
    int errnum = os_fault_check(OS_OP_LINK);
    if (errnum) return os_fail(err, errnum, "read the link", path);
    for (size_t room = 256;; room *= 2) {
        char *at = (char *)buf_reserve(to, room);
        if (!at) return error_nomem(err, "reading a link");
        ssize_t size = readlinkat(dirfd, path, at, room);
        if (size < 0) return os_fail(err, errno, "read the link", path);
        if ((size_t)size == room) continue; /* perhaps cut off */
        buf_commit(to, (size_t)size);
        return 0;
    }
}

int os_symlinkat(const char *target, int dirfd, const char *path, weir_error *err)
{
    int errnum = os_fault_check(OS_OP_LINK);
    if (!errnum && symlinkat(target, dirfd, path) != 0) errnum = errno;
    return errnum ? os_fail(err, errnum, "make the link", path) : 0;
}

int os_realpath(const char *path, char **out, weir_error *err)
{
    *out = NULL;
    errno = os_fault_check(OS_OP_STAT);
    char *found = errno ? NULL : realpath(path, NULL);
    if (!found) return os_fail(err, errno, "resolve", path);
    *out = mem_strdup(found);
    free(found);
    return *out ? 0 : error_nomem(err, "resolving a path");
}

int os_lock(int fd, const char *name, weir_error *err)
{
    int rc;
    do rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return 0;
    if (errno == EWOULDBLOCK)
        return error_set(err, WEIR_LOCKED, "%s is locked by another process", name);
    return os_fail(err, errno, "lock", name);
}
