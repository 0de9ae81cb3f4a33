/*
 * control_internal.h - what control.c (clients and their bytes) and control_job.c (what they ask) share.
 */
#ifndef WEIR_DOOR_CONTROL_INTERNAL_H
#define WEIR_DOOR_CONTROL_INTERNAL_H

#include <uv.h>

#include "engine/door/control.h"
#include "engine/run/watching.h"
#include "engine/store/db.h"

typedef struct client client;
typedef struct job job;

struct control {
    weir *engine;
    const project *project;
    const weir_request *own;
    int weirfd, fd; /* the folder; the listening socket */
    uv_poll_t *listening;
    bool is_deaf; /* no descriptor was left for who knocked */
    client *clients;
    size_t client_count;
    job *jobs;    /* all that are not freed */
    job *current; /* whose run is under way; NULL: the watch's own */
    job *
        basis; /* the last run that was asked for: its values and environment count for the watch; NULL: those it began with */
    char **environment; /* that it began with, while that of a client is in its place */
    db *reader;         /* for events; NULL until somebody wants them */
    uint64_t recorded;  /* number of the last event that can be read */
};

struct client {
    control *control;
    client *next, *prev;
    int fd, handles; /* handles whose close callback is to come */
    uv_poll_t poll;
    uv_timer_t timer;
    int64_t pid;
    buf in, out;
    size_t sent;           /* bytes of `out` that are gone */
    bool greeted, leaving; /* leaving: closed once `out` is sent */
    bool is_closed;        /* its memory goes with its handles */
    job *job;              /* the question under way */
    uint64_t follows;      /* the next event it wants; 0: none */
};

/** Append to `out` first. Sends what fits; what does not is sent when it does. Gives the client up when too much is kept. */
void client_send(client *c);
/** A last line, then goodbye. */
void client_refuse(client *c, const char *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void client_close(client *c);
/** Of its timer. */
void client_on_time(uv_timer_t *timer);

/** One line after the greeting; it may close the client. */
void control_take(client *c, bytes object);
/** The client is gone: its question is taken back. */
void control_leave(client *c);
/** Its time is over (a look). */
void control_timeout(client *c);
void control_free_jobs(control *c);
/** Events that a client follows, as far as they are recorded and it has room. */
void control_pump(client *c);

#endif
