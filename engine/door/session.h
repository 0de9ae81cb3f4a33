/*
 * session.h - an open engine for one command: run, check, set.
 *
 * While it is open SIGINT, SIGTERM and SIGHUP ask the engine to stop: once, start nothing more; twice, end what runs. One at a time.
 */
#ifndef WEIR_DOOR_SESSION_H
#define WEIR_DOOR_SESSION_H

#include <signal.h>

#include "engine/door/project.h"
#include "engine/weir.h"

typedef struct session {
    project project;
    weir *engine;
    char hint[256];
    weir_error err;
    int lock_wait_ms; /* 0: a second */
} session;

/** Find the project, open the engine (`flags`: WEIR_OPEN_...). Close also after a failure. */
int session_open(session *s, const options *o, unsigned flags, weir_listener listener, void *listener_ctx);
/** Its two halves: find the project, with its workflow; open the engine, once more if the lock was held. */
int session_find(session *s, const options *o);
int session_start(session *s, unsigned flags, weir_listener listener, void *listener_ctx);
void session_close(session *s);
/** The signal that asked to stop; 0: none did. How many did. */
int session_signal(void);
int session_signal_count(void);
/** Let these signals be counted, without an engine; which ones they are. */
void session_catch_signals(void);
void session_release_signals(void); /* they do again what they did before, also one that has come */
void session_signals(sigset_t *set);

/** Does a word read NAME=VALUE? A node's name with params does not. */
bool session_is_assignment(const char *word);
/** NAME=VALUE: the name, and the value as JSON text, in the arena. WEIR_USAGE. */
int session_assignment(mem_arena *arena, const char *word, weir_assignment *out, weir_error *err);

#endif
