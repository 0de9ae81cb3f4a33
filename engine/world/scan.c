/*
 * scan.c - one path: its signature, and its fingerprint.
 *
 *     stat -> as known? -> yes: the hash that is known                      (the usual case: one system call)
 *                       -> no:  open, fstat, read and hash, stat again      (both stats equal, or once more)
 *
 * The second stat closes the gap between looking and reading: content is never filed under the signature of another
 * version. What remains is a change after the second stat within the same tick of the file system's clock: such an
 * entry is racy and is read once more by a later scan. "Now" is CLOCK_REALTIME_COARSE, the clock that the kernel stamps
 * files with, read before the first stat: no file has to be touched for it. A stamp that lies in the future by more than
 * a tick was set by hand or by another machine's clock; no write of now can repeat it, so it is not racy.
 *
 * A file system may cut its stamps to 10 ms (exFAT), to seconds (ext4 with small inodes, HFS+, old NFS servers) or to even seconds
 * (FAT): a stamp shows by its zeros what may have been cut off, and the window is so much longer. On a finer one such a stamp
 * is rare, or was set by hand and is old; it costs one more read.
 *
 * I1  A file on the list of forbidden ones is never opened: closing any descriptor of SQLite's files drops its locks.
 *
 * Any thread; nothing is shared but the counters.
 * After: git's "racily clean" index entries; ccache's "too new" rule.
 */
#include "engine/world/scan.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/world/manifest.h"
#include "engine/world/scan_internal.h"

enum { ATTEMPTS_AT_ONCE = 3, ATTEMPTS = 10, READ_SIZE = 128 * 1024, REPLACED = 1 };

static _Atomic uint64_t count_stats, count_hashed, count_bytes;

void scan_count(uint64_t stats, uint64_t hashed, uint64_t hashed_bytes)
{
    if (stats) atomic_fetch_add_explicit(&count_stats, stats, memory_order_relaxed);
    if (hashed) atomic_fetch_add_explicit(&count_hashed, hashed, memory_order_relaxed);
    if (hashed_bytes) atomic_fetch_add_explicit(&count_bytes, hashed_bytes, memory_order_relaxed);
}

scan_counts scan_stats(void)
{
    return (scan_counts){
        .stats = atomic_load_explicit(&count_stats, memory_order_relaxed),
        .hashed = atomic_load_explicit(&count_hashed, memory_order_relaxed),
        .hashed_bytes = atomic_load_explicit(&count_bytes, memory_order_relaxed),
    };
}

/* --- signatures and fingerprints --------------------------------------------------------------------------------- */

scan_sig scan_sig_of(const os_stat *st)
{
    static const uint32_t type_bits[] = {
        [OS_FILE] = S_IFREG, [OS_DIR] = S_IFDIR, [OS_LINK] = S_IFLNK, [OS_OTHER] = S_IFIFO};
    if (st->type == OS_ABSENT) return (scan_sig){0};
    return (scan_sig){
        .dev = st->dev,
        .ino = st->ino,
        .size = st->size,
        .mtime_ns = st->mtime_ns,
        .ctime_ns = st->ctime_ns,
        .mode = type_bits[st->type] | st->mode,
    };
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t scan_clock_ns(void)
{
    return clock_ns(CLOCK_REALTIME_COARSE);
}

int64_t scan_window_ns(int64_t stamp_ns)
{
    static const int64_t grains[] = {2000000000, 1000000000, 100000000, 10000000, 1000000};
    for (size_t i = 0; i < sizeof grains / sizeof *grains; i++)
        if (stamp_ns % grains[i] == 0) return grains[i] + SCAN_RACY_NS;
    return SCAN_RACY_NS;
}

static bool may_repeat(int64_t stamp_ns, int64_t before_ns)
{
    return stamp_ns >= before_ns - scan_window_ns(stamp_ns) && stamp_ns <= clock_ns(CLOCK_REALTIME) + SCAN_RACY_NS;
}

bool scan_is_racy(const scan_sig *sig, int64_t before_ns)
{
    return may_repeat(sig->mtime_ns, before_ns) || may_repeat(sig->ctime_ns, before_ns);
}

bool scan_is_coarse(const scan_sig *sig)
{
    bool is_coarse = scan_window_ns(sig->mtime_ns) > SCAN_RACY_NS && scan_window_ns(sig->ctime_ns) > SCAN_RACY_NS;
    return is_coarse && scan_is_racy(sig, scan_clock_ns());
}

hash128 scan_fingerprint(hash128 content, uint32_t mode)
{
    static const char folder[] = "weir dir";
    static const char executable[] = "weir x";
    uint8_t both[sizeof executable - 1 + HASH_SIZE];
    if ((mode & S_IFMT) == S_IFDIR) return hash_bytes(folder, sizeof folder - 1);
    if ((mode & 0111u) == 0) return content;
    memcpy(both, executable, sizeof executable - 1);
    memcpy(both + sizeof executable - 1, content.bytes, HASH_SIZE);
    return hash_bytes(both, sizeof both);
}

/* --- reading a file ---------------------------------------------------------------------------------------------- */

static bool is_forbidden(const scan_config *config, uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; config->forbidden && i < config->forbidden->count; i++)
        if (config->forbidden->file[i].ino == ino && config->forbidden->file[i].dev == dev)
            return true;
    return false;
}

static int refuse(scan_request *r, const char *path, weir_error *err)
{
    r->forbidden = true;
    return error_set(
        err, WEIR_WORKFLOW,
        "%s is a file of weir's own state (perhaps through a link) and cannot be read as an input",
        path);
}

/* A file that came whole with one read needs no second one to see its end: the size is checked by the stats around it. */
static int hash_file(int fd, const char *path, int64_t expected, hash128 *content, uint64_t *size,
                     weir_error *err)
{
    unsigned char space[READ_SIZE];
    hash_stream stream;
    ssize_t got = os_read(fd, space, sizeof space, path, err);
    if (got < 0) return (int)got;
    *size = (uint64_t)got;
    if (got == 0 || ((size_t)got < sizeof space && got == expected)) {
        *content = hash_bytes(space, (size_t)got);
        return 0;
    }
    hash_begin(&stream);
    while (got > 0) {
        hash_update(&stream, space, (size_t)got);
        got = os_read(fd, space, sizeof space, path, err);
        if (got > 0) *size += (uint64_t)got;
    }
    *content = hash_end(&stream);
    return (int)got;
}

static int take_content(const scan_config *config, scan_request *r, int fd, const char *path,
                        weir_error *err)
{
    if (!(r->flags & SCAN_KEEP) || !config->blobs)
        return hash_file(fd, path, r->sig.size, &r->content, &r->size, err);
    return blob_take_file(config->blobs, fd, path, true, &r->content, &r->size, &r->row, err);
}

void scan_drop_rows(scan_request *r)
{
    mem_free(r->row.stored);
    r->row = (blob_row){0};
    for (size_t i = 0; i < r->row_count; i++) mem_free(r->rows[i].stored);
    mem_free(r->rows);
    r->rows = NULL;
    r->row_count = 0;
}

int scan_judge(int rc, weir_error *err)
{
    bool is_users = errno == EACCES || errno == EPERM || errno == ELOOP || errno == ENAMETOOLONG;
    if (rc != WEIR_IO || !is_users) return rc;
    err->code = WEIR_WORKFLOW;
    return WEIR_WORKFLOW;
}

/* Opens what was just stat'ed; REPLACED when that is not what is there any more. */
static int open_same(const scan_config *config, scan_request *r, const char *path, int *fd,
                     weir_error *err)
{
    os_stat st;
    int opened = os_openat(config->rootfd, path, OS_READ, 0, err);
    if (opened == WEIR_NOTFOUND) return REPLACED;
    if (opened < 0) return scan_judge(opened, err);
    int rc = os_fstat(opened, &st, err);
    if (rc == 0 && is_forbidden(config, st.dev, st.ino))
        return refuse(
            r, path,
            err); /* swapped in since the stat: left open, because closing it would drop the locks */
    scan_sig now = scan_sig_of(&st);
    if (rc == 0 && !scan_sig_equal(&now, &r->sig)) rc = REPLACED;
    if (rc == 0) *fd = opened;
    else os_close(opened);
    return rc;
}

int scan_open_seen(const scan_config *config, scan_request *r, int *fd, weir_error *err)
{
    const char *path = (const char *)r->path.data;
    if (is_forbidden(config, r->sig.dev, r->sig.ino)) return refuse(r, path, err);
    int rc = open_same(config, r, path, fd, err);
    return rc == REPLACED ? error_set(err, WEIR_BUSY, "%s was replaced", path) : rc;
}

static int read_file(const scan_config *config, scan_request *r, const char *path, weir_error *err)
{
    int fd = -1;
    os_stat after;
    if (is_forbidden(config, r->sig.dev, r->sig.ino)) return refuse(r, path, err);
    int rc = open_same(config, r, path, &fd, err);
    if (rc == 0) rc = take_content(config, r, fd, path, err);
    if (rc == 0) rc = os_statat(config->rootfd, path, true, &after, err);
    os_close(fd);
    if (rc == 0) {
        scan_sig now = scan_sig_of(&after);
        if (!scan_sig_equal(&now, &r->sig)) rc = REPLACED;
    }
    if (rc != 0) {
        scan_drop_rows(r);
        return rc;
    }
    r->hash = scan_fingerprint(r->content, r->mode);
    r->read = true;
    scan_count(1, 1, r->size);
    return 0;
}

/* --- one path ---------------------------------------------------------------------------------------------------- */

static void clear_answer(scan_request *r)
{
    r->sig = (scan_sig){0};
    r->hash = HASH_NONE;
    r->content = HASH_NONE;
    r->size = 0;
    r->mode = 0;
    r->type = OS_ABSENT;
    r->racy = r->read = r->forbidden = false;
    r->row = (blob_row){0};
    r->rows = NULL;
    r->row_count = 0;
    r->code = 0;
    r->message[0] = '\0';
}

static bool is_as_known(const scan_config *config, const scan_request *r)
{
    return r->known && !r->known_racy && !scan_is_distrusted(config, &r->sig) &&
           scan_sig_equal(&r->sig, &r->known_sig);
}

static int look_at_folder(const scan_config *config, scan_request *r, const char *path, weir_error *err)
{
    int rc = manifest_look(config, r, path, err);
    if (rc != 0) scan_drop_rows(r);
    return rc == WEIR_BUSY ? REPLACED : rc;
}

/* One attempt; REPLACED: try again. */
static int look(const scan_config *config, scan_request *r, const char *path, weir_error *err)
{
    os_stat st;
    int64_t before_ns = scan_clock_ns();
    clear_answer(r);
    if (manifest_is_folder(r->path)) return look_at_folder(config, r, path, err);
    int rc = os_statat(config->rootfd, path, true, &st, err);
    if (rc != 0) return scan_judge(rc, err);
    scan_count(1, 0, 0);
    r->sig = scan_sig_of(&st);
    r->type = st.type;
    r->mode = st.mode;
    if (st.type == OS_FILE) r->size = (uint64_t)st.size;

    if (st.type == OS_ABSENT) {
        r->hash = HASH_ABSENT;
    } else if (st.type == OS_DIR) {
        r->hash = scan_fingerprint(HASH_NONE, r->sig.mode);
    } else if (st.type != OS_FILE) {
        return error_set(err, WEIR_WORKFLOW,
                         "%s is a FIFO, a socket or a device: only files and folders can be inputs",
                         path);
    } else if (is_as_known(config, r)) {
        r->hash = r->known_hash;
        if ((r->mode & 0111u) == 0) r->content = r->known_hash;
    } else {
        rc = read_file(config, r, path, err);
        if (rc != 0) return rc;
        r->racy = !(r->flags & SCAN_RENAMED) && scan_is_racy(&r->sig, before_ns);
        if (r->flags & SCAN_RENAMED) r->racy = scan_is_coarse(&r->sig);
    }
    return 0;
}

/* A request has less room for its message than an error: the middle goes. */
static void keep_message(scan_request *r, int code, const weir_error *err)
{
    size_t size = strlen(err->message);
    size_t half = sizeof r->message / 2 - 4;
    r->code = code;
    if (size < sizeof r->message) memcpy(r->message, err->message, size + 1);
    else
        snprintf(r->message, sizeof r->message, "%.*s ... %s", (int)half, err->message,
                 err->message + size - half);
}

void scan_one(const scan_config *config, scan_request *request)
{
    weir_error err = {0};
    const char *path = request->path.size ? (const char *)request->path.data : ".";
    int rc = REPLACED;
    for (int attempt = 0; attempt < ATTEMPTS && rc == REPLACED; attempt++) {
        if (attempt >= ATTEMPTS_AT_ONCE) os_sleep_ms(1);
        rc = look(config, request, path, &err);
    }
    if (rc == REPLACED)
        rc = error_set(&err, WEIR_BUSY,
                       "%s was replaced or written while it was read, %d times in a row", path,
                       ATTEMPTS);
    if (rc == 0) return;
    bool forbidden = request->forbidden;
    clear_answer(request);
    request->forbidden = forbidden;
    keep_message(request, rc, &err);
    if (rc != WEIR_WORKFLOW && rc != WEIR_BUSY) return;
    request->hash = HASH_UNREADABLE;
    request->racy = true;
}
