/*
 * capture.h - what a command writes to its standard streams: a little in memory, much in a file, no more than a cap.
 *
 * Up to CAPTURE_MEMORY bytes stay in memory. What is longer goes to a file, of which the first `cap` bytes are kept and the last
 * CAPTURE_TAIL, with a notice between them that says how much is missing: so a command that floods us costs neither memory nor
 * disk. Without a file, `cap` bytes are kept in memory and the rest is dropped. The folder of the file is made with it, if need be
 * (not for capture_direct). Loop thread only.
 */
#ifndef WEIR_WORLD_CAPTURE_H
#define WEIR_WORLD_CAPTURE_H

#include "engine/base/error.h"
#include "engine/base/memory.h"

enum { CAPTURE_MEMORY = 256 * 1024, CAPTURE_TAIL = 16 * 1024 };

typedef struct capture {
    buf head;         /* everything as long as there is no file; then its beginning */
    int dirfd, fd;    /* fd -1: no file yet */
    const char *path; /* borrowed; NULL: no file ever */
    size_t cap;
    uint64_t total;   /* bytes that came */
    uint64_t kept;    /* of those, the first so many are in the file */
    uint8_t *ring;    /* the last ones */
    size_t ring_at, ring_size;
    weir_error broken; /* why the file could not be written */
    bool is_truncated; /* something is missing, and the notice says so */
    bool is_direct;   /* the command writes to the file itself */
} capture;

/** `path` (may be NULL) is relative to `dirfd`; both are borrowed. */
void capture_init(capture *c, int dirfd, const char *path, size_t cap);
/** Make the file now, for a command that writes to it itself. */
int capture_direct(capture *c, weir_error *err);
void capture_add(capture *c, const uint8_t *data, size_t size);
/** Nothing more comes: notice and tail are written. */
void capture_end(capture *c);
/** Is all of it in the file (at its path), and only the beginning in `head`? Else `head` is everything that is kept. After capture_end. */
bool capture_in_file(const capture *c);
/** The last bytes, for a short view of it; into `to`. After capture_end. */
void capture_put_tail(const capture *c, buf *to);
void capture_deinit(capture *c);

/** Cut a file that a command wrote by itself to what is kept of it; left at offset 0. Can be repeated. */
int capture_trim(int fd, const char *name, size_t cap, weir_error *err);

#endif
