/*
 * wire.h - frames between the engine, the script host and its workers.
 *
 * A frame is a 4-byte little-endian length, a type byte, and a packed payload (memory.h); the
 * length counts the type byte. A frame above
 * WIRE_LIMIT, or of length 0, ends the connection. Descriptors travel beside the bytes (SCM_RIGHTS)
 * and queue up in the
 * order they came. The engine's side never blocks; host and workers block. One thread per object.
 */
#ifndef WEIR_SCRIPT_WIRE_H
#define WEIR_SCRIPT_WIRE_H

#include "engine/base/error.h"
#include "engine/base/memory.h"

enum { WIRE_LIMIT = 256 * 1024 * 1024, WIRE_FDS = 16 };

typedef enum wire_type {
    /* engine -> host */
    WIRE_START = 1, /* how to load */
    WIRE_PATHS,     /* answer to WIRE_GLOB */
    WIRE_ANSWER,    /* answer to WIRE_VALUE */
    WIRE_MAY,       /* answer to WIRE_MAY_READ */
    WIRE_FORK,      /* one more worker; its socket comes along */
    /* host -> engine */
    WIRE_EFFECT,
    WIRE_NODE,
    WIRE_DEFAULT,
    WIRE_READ,
    WIRE_GLOB,
    WIRE_VALUE,
    WIRE_MAY_READ,
    WIRE_DIAGNOSE,
    WIRE_LOADED,
    WIRE_FORKED, /* number of the request, pid (0: failed), message */
    /* engine -> worker */
    WIRE_JOBS,
    WIRE_RETIRE,
    WIRE_NEEDED, /* answer to WIRE_NEED */
    WIRE_LISTED, /* answer to WIRE_LIST */
    /* worker -> engine */
    WIRE_READY,
    WIRE_BEGAN,
    WIRE_REPORT,
    WIRE_NEED, /* a job waits for nodes; what is left of the frame goes back */
    WIRE_LIST  /* a job asks for members of a long list */
} wire_type;

typedef struct wire_frame {
    wire_type type;
    bytes payload; /* borrowed until the next read */
} wire_frame;

/** The receiving end: bytes and descriptors that have come and were not yet taken. */
typedef struct wire_in {
    buf data;
    size_t taken; /* bytes of `data` handed out */
    int fds[WIRE_FDS];
    size_t fd_count;
} wire_in;

void wire_in_init(wire_in *in);
void wire_in_deinit(wire_in *in); /* closes descriptors nobody took */
/** Read what is there; with a blocking descriptor waits for something. 1: something came; 0: end; 2: nothing now; negative: error. */
int wire_fill(wire_in *in, int fd, weir_error *err);
/** Take a whole frame: 1; 0: not there yet; negative: damaged. */
int wire_next(wire_in *in, wire_frame *frame, weir_error *err);
/** Both, blocking. 1: a frame; 0: the other side has closed; negative: error. */
int wire_receive(wire_in *in, int fd, wire_frame *frame, weir_error *err);
/** The oldest queued descriptor, now the caller's; -1: none. */
int wire_take_fd(wire_in *in);

/** Start a frame in `b`; give the mark to wire_end once the payload is appended. WIRE_LIMIT above the cap. */
size_t wire_begin(buf *b, wire_type type);
int wire_end(buf *b, size_t mark, weir_error *err);

/** Write everything in `b` and empty it; blocks. WEIR_CANCELLED when the other side is gone. */
int wire_flush(buf *b, int fd, weir_error *err);
/** Write what goes without waiting, from *offset; *offset == b->size when all went. `pass` >= 0 goes along with the first byte (set to -1 once gone). */
int wire_push(const buf *b, size_t *offset, int fd, int *pass, weir_error *err);

#endif
