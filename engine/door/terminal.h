/*
 * terminal.h - keys, without a return key, and a terminal that is as it was before whatever happens.
 *
 * While it is open the terminal hands over each key at once and does not show it. ^C stays a signal.
 * ^Z gives the terminal back and stops this process; in the foreground again, keys are read again.
 * The same at the end, at exit, and when a signal such as SIGSEGV ends the process. In the background
 * nothing is read and nothing is changed. One at a time.
 */
#ifndef WEIR_DOOR_TERMINAL_H
#define WEIR_DOOR_TERMINAL_H

#include <stdbool.h>
#include <uv.h>

#include "engine/base/error.h"

typedef struct terminal terminal;

typedef struct terminal_events {
    void (*key)(void *ctx, int key); /* a character below 128; keys that send more are left out */
    void (*changed)(void *ctx);      /* another size, or in the foreground again */
    void *ctx;
} terminal_events;

/** Are stdin and stderr a terminal that keys and a status line can be used with? */
bool terminal_is_there(void);
/** Handles live in `loop` and do not keep it alive. */
int terminal_open(terminal **out, uv_loop_t *loop, const terminal_events *events, weir_error *err);
/** The memory goes once the loop has run. NULL is ignored. */
void terminal_close(terminal *t);

#endif
