/*
 * starter.h - threads that start commands side by side. Used by the files of process.h only.
 *
 * A start holds up its thread until the child has executed its program (spawn.h), so as many threads are used as there are
 * processors. Threads are made when there is more to start than they can take, and stay until the end.
 */
#ifndef WEIR_WORLD_STARTER_H
#define WEIR_WORLD_STARTER_H

#include <stdbool.h>

#include <uv.h>

#include "engine/base/error.h"

typedef struct starter starter;

typedef struct starter_job {
    struct starter_job *next;
    bool was_run;
} starter_job;

/**
 * @param run   called in a thread, with SPAWN_STACK bytes that are its own meanwhile
 * @param done  called on the loop thread after `run`, in the order in which the jobs ended
 */
int starter_open(starter **out, uv_loop_t *loop, void (*run)(starter_job *job, void *stack), void (*done)(starter_job *job), weir_error *err);
/** kept until `done`. Where no thread can be had it is run at once; `done` comes from the loop all the same. Loop thread. */
void starter_submit(starter *s, starter_job *job);
/**
 * Waits for what is being run. No `done` comes any more: whether a job has been run is in it. The loop must still turn once;
 * `closed` is then called. NULL is ignored. Loop thread.
 */
void starter_close(starter *s, void (*closed)(void *ctx), void *ctx);

#endif
