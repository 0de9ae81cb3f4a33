/*
 * control.h - the control socket of a watch: .weir/socket.
 *
 * Who wants something of a project that a watch works on asks the watch. The socket is there as
 * long as the watch; its mode is 0600, and only processes of the same user are heard. Both sides
 * write JSON objects, one a line. A line to the watch has at most CONTROL_LINE bytes.
 *
 *   <- {"weir":"0.1.0","protocol":1,"process":4711,"workflow":"weir.lua"}     at once
 *   -> {"weir":"0.1.0","protocol":1}                    other programs may leave out "weir"
 *   -> {"ask":"run","targets":["build/a"],"force":true}       one question at a time
 *   <- {"queued":true}                                        if another run is first
 *   <- {"event":"execution_finished","node":"a",...}          the lines of run --json
 *   <- {"end":"run","code":0,"message":"","run":12,...}       the next question may come
 *
 *   run      targets, values [{"name","json"}], force, stop_first, jobs, mem_bytes, load, workflow,
 *            environment ["A=b"]: events, then {"end":"run",...}
 *   accept   targets, and as for run: the same
 *   void     targets, workflow: the same
 *   set      values [{"name","json"}], without "json": forget it: {"end":"set","code","message"}
 *   look     {"end":"look","busy":false}: what is recorded speaks of the files as they were at the
 *            question; "busy":true: a run takes longer than a second, or the watch is paused
 *   events   from, a number: the events of the log from there on, as `log --events --json` prints
 *            them, one a line, also those to come
 *   cancel   as ^C: the first one starts nothing more, the second one ends what runs
 *
 * A run, accept, void or set comes after every edit that was made before the question. Any member
 * may be left out: limits and values are then those of the watch, and so is the environment. The
 * values and the environment of a run that was asked for count for the watch until the next such
 * run. A text that is no UTF-8 is {"base64":"..."}; long output comes ahead of its event in lines
 * {"log":"..."}. To close the connection takes a question back, like cancel. The last line before
 * the watch closes the connection is {"error":"version","message":"..."}, or "request",
 * "workflow", "full", "user". "code" is 0 or one of those of weir.h. Fields are only ever added.
 *
 * C1  Nothing here waits: a client that stalls, or never reads, keeps only its own answer back.
 * C2  A client holds at most CONTROL_LINE bytes of unread input and CONTROL_KEPT of unsent
 *     answers; above that it is given up.
 * C3  Only the holder of the lock listens, so a socket file that answers nobody is a leftover,
 *     and goes.
 *
 * Engine's thread; handles live in its loop.
 */
#ifndef WEIR_DOOR_CONTROL_H
#define WEIR_DOOR_CONTROL_H

#include "engine/door/project.h"
#include "engine/weir.h"

enum {
    CONTROL_PROTOCOL = 1,
    CONTROL_LINE = 4 * 1024 * 1024,
    CONTROL_KEPT = 64 * 1024 * 1024,
    CONTROL_CLIENTS = 256,
    CONTROL_GREET_MS = 10000, /* who has not said who it is by then goes */
    CONTROL_QUEUED_MS = 200, /* after so long a question that waits for its turn is told so */
    CONTROL_LOOK_MS = 1000    /* how long a look waits for a run to end */
};

typedef struct control control;

/**
 * Listen. `own` is the request of the watch (borrowed): its limits count where a question has none.
 * Before weir_watch, after weir_open.
 */
int control_open(control **out, weir *engine, const project *p, const weir_request *own, weir_error *err);
/** After weir_watch, before weir_close. NULL is ignored. */
void control_close(control *c);
/** weir_listener: what happens goes to whose run it is. */
void control_event(void *ctx, const weir_event *event);
/** The process whose run is under way; 0: it is the watch's own. */
int64_t control_asker(const control *c);

#endif
