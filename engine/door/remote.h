/*
 * remote.h - asking the watch that works on a project (control.h has its language).
 *
 * While an answer is awaited SIGINT, SIGTERM and SIGHUP are passed on as a wish to stop: once,
 * start nothing more; twice, end what runs.
 * One thread.
 */
#ifndef WEIR_DOOR_REMOTE_H
#define WEIR_DOOR_REMOTE_H

#include "engine/door/options.h"
#include "engine/door/project.h"
#include "engine/weir.h"

typedef struct remote remote;

/* For how long an answer is awaited. */
typedef enum remote_patience {
    REMOTE_BRIEFLY, /* ten seconds */
    REMOTE_WAITS,   /* until it comes: a large watch is at work on its first look. Says so */
    REMOTE_WAITS_QUIETLY
} remote_patience;

/**
 * Knock at the watch of a project.
 * @param p  borrowed until remote_close
 * @return 0; WEIR_NOTFOUND: no watch works here; WEIR_LOCKED: one does, but it is of another
 * version, or it does not answer, or it was stopped; WEIR_CANCELLED: a signal came
 */
int remote_open(remote **out, const project *p, remote_patience patience, weir_error *err);
void remote_close(remote *r); /* NULL is ignored */

typedef struct remote_question {
    const char *ask; /* "run", "accept", "void", "set" */
    const weir_request *request;
    bool quiet; /* do not say that others are first */
    weir_listener listener;
    void *listener_ctx;
} remote_question;

/**
 * Ask and listen until the end. *rc, *err: what weir_run, weir_void or weir_set gave.
 * @return 0; WEIR_NOTFOUND: the watch ended before it could answer; WEIR_LOCKED, as above
 */
int remote_ask(remote *r, const remote_question *q, weir_summary *summary, int *rc,
               weir_error *err);

/**
 * Before a look at what is recorded: if a watch works here, let it take in every edit that was
 * made before now. Waits a second at most for a run that is
 * under way. Says on stderr what keeps it from knowing. Without a watch: nothing.
 */
void remote_look(const project *p, const options *o);
/** This process is the watch: remote_look has nobody to ask. */
void remote_is_here(void);

/**
 * Follow the events from number `from` on: each of them goes to `take`, as JSON without its newline,
 * until that gives false.
 * @return 0: the watch has ended; WEIR_CANCELLED: a signal came, or `take` has enough
 */
int remote_follow(remote *r, uint64_t from, bool (*take)(void *ctx, bytes json), void *ctx,
                  weir_error *err);

#endif
