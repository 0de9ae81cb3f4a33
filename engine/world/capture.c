/*
 * capture.c - what a command writes to its standard streams.
 *
 *     memory --more than CAPTURE_MEMORY--> file --more than cap--> only the last CAPTURE_TAIL bytes are remembered
 *
 * C1  Memory is CAPTURE_MEMORY and CAPTURE_TAIL at most, disk is cap, a notice and CAPTURE_TAIL, whatever comes.
 * C2  Where bytes are missing the record says so, in the place where they are missing, with their number.
 * C3  A disk that takes no more does not end a command: the beginning is kept in memory, and the notice names the cause.
 */
#include "engine/world/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/os.h"

enum { NOTICE_MOST = 1024 };

void capture_init(capture *c, int dirfd, const char *path, size_t cap)
{
    *c = (capture){.dirfd = dirfd, .fd = -1, .path = path, .cap = cap};
    buf_init(&c->head);
}

void capture_deinit(capture *c)
{
    buf_deinit(&c->head);
    mem_free(c->ring);
    os_close(c->fd);
    c->ring = NULL;
    c->fd = -1;
}

int capture_direct(capture *c, weir_error *err)
{
    c->fd = os_openat(c->dirfd, c->path, OS_READ | OS_WRITE | OS_CREATE | OS_TRUNC | OS_APPEND | OS_NOFOLLOW, 0600, err);
    c->is_direct = c->fd >= 0;
    return c->fd < 0 ? c->fd : 0;
}

/* --- while it comes ---------------------------------------------------------------------------------------------- */

static void remember_last(capture *c, const uint8_t *data, size_t size)
{
    if (!c->ring) return;
    if (size > CAPTURE_TAIL) {
        data += size - CAPTURE_TAIL;
        size = CAPTURE_TAIL;
    }
    size_t first = CAPTURE_TAIL - c->ring_at < size ? CAPTURE_TAIL - c->ring_at : size;
    memcpy(c->ring + c->ring_at, data, first);
    memcpy(c->ring, data + first, size - first);
    c->ring_at = (c->ring_at + size) % CAPTURE_TAIL;
    c->ring_size = c->ring_size + size < CAPTURE_TAIL ? c->ring_size + size : CAPTURE_TAIL;
}

static void write_file(capture *c, const uint8_t *data, size_t size)
{
    uint64_t room = c->cap > c->kept ? c->cap - c->kept : 0;
    size_t most = size < room ? size : (size_t)room;
    if (most == 0 || c->broken.code != 0) return;
    if (os_write_all(c->fd, data, most, c->path, &c->broken) == 0) c->kept += most;
}

static int make_file(capture *c)
{
    return os_openat(c->dirfd, c->path, OS_READ | OS_WRITE | OS_CREATE | OS_TRUNC | OS_NOFOLLOW, 0600, &c->broken);
}

/* Few commands write so much that they need it. */
static void make_folder(capture *c)
{
    const char *name = strrchr(c->path, '/');
    char *folder = name ? mem_strdup(c->path) : NULL;
    if (!folder) return;
    folder[name - c->path] = '\0';
    (void)os_mkdirat(c->dirfd, folder, 0700, NULL); /* what hinders it shows when the file is made */
    mem_free(folder);
}

/* From here on the file has everything, and memory the beginning. */
static void begin_file(capture *c)
{
    c->fd = make_file(c);
    if (c->fd == WEIR_NOTFOUND) {
        make_folder(c);
        error_clear(&c->broken);
        c->fd = make_file(c);
    }
    c->ring = mem_alloc(CAPTURE_TAIL);
    if (c->fd < 0) c->fd = -1;
    if (c->fd >= 0) write_file(c, c->head.data, c->head.size);
    if (c->broken.code != 0) c->kept = c->head.size;
}

static void keep_in_memory(capture *c, const uint8_t *data, size_t size, size_t most)
{
    size_t room = most > c->head.size ? most - c->head.size : 0;
    if (size > room) c->is_truncated = true;
    buf_append(&c->head, data, size < room ? size : room);
    if (!c->head.failed) return;
    buf_deinit(&c->head); /* no memory: what is there is given up rather than the command */
    c->cap = 0;
    c->is_truncated = true;
}

void capture_add(capture *c, const uint8_t *data, size_t size)
{
    c->total += size;
    if (!c->path) {
        keep_in_memory(c, data, size, c->cap);
        return;
    }
    bool has_file = c->fd >= 0 || c->broken.code != 0;
    if (!has_file && c->head.size + size <= CAPTURE_MEMORY) {
        keep_in_memory(c, data, size, CAPTURE_MEMORY);
        return;
    }
    if (!has_file) begin_file(c);
    if (c->fd >= 0) write_file(c, data, size);
    remember_last(c, data, size);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void put_notice(buf *to, uint64_t total, uint64_t kept, size_t tail, const weir_error *broken)
{
    buf_printf(to, "\n[weir: this output had %" PRIu64 " bytes; the first %" PRIu64 " are kept, the next %" PRIu64 " were dropped here", total,
               kept, total - kept - tail);
    if (broken && broken->code != 0) buf_printf(to, " (%s)", broken->message);
    buf_text(to, "; write it to an output of the node to have all of it]\n");
}

static void put_ring(const capture *c, size_t size, buf *to)
{
    if (!c->ring) return;
    for (size_t i = 0; i < size; i++) buf_byte(to, c->ring[(c->ring_at + CAPTURE_TAIL - size + i) % CAPTURE_TAIL]);
}

/* Behind what is kept: the notice, if something is missing, and the last bytes. */
static void end_file(capture *c)
{
    buf end;
    uint64_t rest = c->total - c->kept;
    size_t tail = rest < c->ring_size ? (size_t)rest : c->ring_size;
    if (rest == 0) return;
    buf_init(&end);
    if (rest > tail) {
        c->is_truncated = true;
        put_notice(&end, c->total, c->kept, tail, &c->broken);
    }
    put_ring(c, tail, &end);
    if (c->broken.code == 0 && !end.failed) (void)os_write_all(c->fd, end.data, end.size, c->path, &c->broken);
    else if (!end.failed) buf_append(&c->head, end.data, end.size);
    buf_deinit(&end);
}

/* What the command wrote by itself: its size, and its beginning. */
static void end_direct(capture *c)
{
    os_stat st = {0};
    uint8_t *space = NULL;
    if (os_fstat(c->fd, &st, &c->broken) != 0) return;
    c->total = (uint64_t)st.size;
    if (capture_trim(c->fd, c->path, c->cap, &c->broken) != 0 || os_fstat(c->fd, &st, &c->broken) != 0) return;
    c->is_truncated = (uint64_t)st.size < c->total;
    c->kept = (uint64_t)st.size;
    size_t most = st.size < CAPTURE_MEMORY ? (size_t)st.size : CAPTURE_MEMORY;
    space = buf_reserve(&c->head, most + 1);
    ssize_t got = space ? pread(c->fd, space, most, 0) : -1;
    if (got > 0) buf_commit(&c->head, (size_t)got);
    c->ring = mem_alloc(CAPTURE_TAIL);
    off_t from = st.size > CAPTURE_TAIL ? st.size - CAPTURE_TAIL : 0;
    got = c->ring ? pread(c->fd, c->ring, CAPTURE_TAIL, from) : -1;
    c->ring_size = got > 0 ? (size_t)got : 0;
    c->ring_at = c->ring_size % CAPTURE_TAIL;
}

void capture_end(capture *c)
{
    if (c->is_direct) end_direct(c);
    else if (c->fd >= 0 || c->broken.code != 0) end_file(c);
}

bool capture_in_file(const capture *c)
{
    if (c->is_direct) return c->kept > c->head.size;
    return c->fd >= 0 && c->broken.code == 0;
}

void capture_put_tail(const capture *c, buf *to)
{
    put_ring(c, c->ring_size, to);
}

/* --- a file that was written without us -------------------------------------------------------------------------- */

int capture_trim(int fd, const char *name, size_t cap, weir_error *err)
{
    os_stat st;
    buf end;
    int rc = os_fstat(fd, &st, err);
    buf_init(&end);
    if (rc == 0 && (uint64_t)st.size > (uint64_t)cap + CAPTURE_TAIL + NOTICE_MOST) {
        put_notice(&end, (uint64_t)st.size, cap, CAPTURE_TAIL, NULL);
        uint8_t *tail = buf_reserve(&end, CAPTURE_TAIL);
        ssize_t got = tail ? pread(fd, tail, CAPTURE_TAIL, st.size - CAPTURE_TAIL) : -1;
        if (got > 0) buf_commit(&end, (size_t)got);
        if (end.failed) rc = error_nomem(err, name);
        else if (got < 0 || ftruncate(fd, (off_t)cap) != 0 || lseek(fd, (off_t)cap, SEEK_SET) < 0) rc = error_errno(err, errno, "cutting %s", name);
        if (rc == 0) rc = os_write_all(fd, end.data, end.size, name, err);
    }
    buf_deinit(&end);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0) rc = error_errno(err, errno, "reading %s", name);
    return rc;
}
