/*
 * channel.h - the engine's end of a child with a socket: the script host, a worker.
 *
 * Frames in and out without blocking, the child's end by its pidfd, its reaping. When the child has
 * ended, what it still wrote is
 * handed on first, then `ended` comes, once. Loop thread only; the owner embeds the struct and
 * frees it in `closed`.
 */
#ifndef WEIR_SCRIPT_CHANNEL_H
#define WEIR_SCRIPT_CHANNEL_H

#include <uv.h>

#include "engine/script/wire.h"

typedef struct channel_message channel_message;

typedef struct channel {
    uv_loop_t *loop;
    void *ctx;
    void (*frame)(void *ctx, const wire_frame *frame);
    void (*ended)(void *ctx, const char *how); /* "signal 11", "exit 1", "" for exit 0 */
    void (*tick)(void *ctx);                   /* the timer */
    void (*closed)(void *ctx);                 /* all handles are closed: free the owner */
    int fd, pidfd;                             /* -1: none */
    int64_t pid;                               /* 0: not known yet */
    bool is_ended, is_closing;
    uv_poll_t socket, process;
    uv_timer_t timer;
    bool has_socket, has_process, has_timer;
    int handles; /* still open */
    wire_in in;
    channel_message *first, *last;
} channel;

/** @param fd  taken: the engine's end of the socket; non-blocking. Callbacks are set by the caller before. */
int channel_open(channel *c, uv_loop_t *loop, int fd, weir_error *err);
/** The child is known: begin to poll. It may have ended already: then `ended` comes from the loop. */
int channel_attach(channel *c, int64_t pid, weir_error *err);
/** Queue a frame; what is in `frame` is moved out of it. `pass` >= 0 is taken, goes along. */
int channel_send(channel *c, buf *frame, int pass, weir_error *err);
void channel_kill(channel *c);
/** Close the socket: the child ends by itself. */
void channel_hang_up(channel *c);
/** (Re)start the timer once, in `ms`. */
void channel_timer(channel *c, uint64_t ms);
void channel_timer_stop(channel *c);
/** Close everything; `closed` comes from the loop. The child, if it lives on, is not waited for. */
void channel_close(channel *c);

#endif
