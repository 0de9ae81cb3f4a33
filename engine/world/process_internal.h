/*
 * process_internal.h - what the files of process.h share: process.c is the life of a command, process_start.c its beginning.
 */
#ifndef WEIR_WORLD_PROCESS_INTERNAL_H
#define WEIR_WORLD_PROCESS_INTERNAL_H

#include "engine/world/capture.h"
#include "engine/world/orphan.h"
#include "engine/world/process.h"
#include "engine/world/spawn.h"
#include "engine/world/starter.h"

enum { PROCESS_READ_SIZE = 64 * 1024 };

typedef enum process_state { STARTING, RUNNING, LEFT, ENDED } process_state;

/* What a thread of the starter is told, and what it answers; it has no other part of the process while it runs. */
typedef struct process_launch {
    starter_job job; /* first: a launch is found by its job */
    spawn_spec spec;
    const char **envp; /* owned; the strings are borrowed but the last, which is in `token` */
    char token[64];
    bool is_detached;
    int64_t start_ns;
    int64_t pid;
    int pidfd, output_fd; /* owned */
    uint64_t start_ticks;
    weir_error err;
} process_launch;

struct process {
    process_table *table;
    process *next, *previous; /* among those that have not ended */
    process_state state;
    int64_t pid; /* also its group */
    int pidfd, output_fd; /* watched by table->events; -1: closed */
    uv_timer_t timer;
    hash128 token;
    capture output;
    int64_t timeout_ms;
    int64_t start_ns;
    int64_t timeout_ns; /* when it is too late; 0: never */
    int64_t kill_ns;    /* when TERM was long enough ago; 0: not sent */
    int64_t stop_grace_ms; /* STARTING: how it is to be stopped, once it runs; only if `result.stopped` */
    uint64_t look_ms;   /* LEFT: time to the next look */
    bool is_group_empty;
    process_result result;
    process_started started;
    process_done done;
    void *ctx;
    process_launch launch;
};

struct process_table {
    uv_loop_t *loop;
    process *first;
    size_t running; /* those that start, too */
    size_t unfreed; /* handles that are not closed yet: of processes, and two of our own */
    uint64_t spawned;
    bool is_closing;
    int null_fd;
    int events; /* epoll: what the commands write, and their ends */
    uv_poll_t events_poll;
    starter *starter;
    orphan_watch orphans;
    uint8_t space[PROCESS_READ_SIZE];
};

/** A descriptor of the process becomes readable; it is watched until process_unwatch, which closes it. */
int process_watch_fd(process *p, int fd, bool is_output, weir_error *err);
void process_unwatch(process *p, int *fd);
/** TERM to the group, KILL after the grace. RUNNING. */
void process_terminate(process *p, int64_t grace_ms);
void process_set_timer_at(process *p, int64_t at_ns);
/** WNOHANG or 0. @return 1: reaped; 0: not yet */
int process_reap(process *p, int flags);
/** It leaves the table, its handle closes and it is freed. */
void process_leave(process *p);
/** A copy of a descriptor that is not one of the three standard streams, which may be closed in us; `fd` is taken. */
int process_above_two(int fd);

/** In a thread: pipe, clone, exec. */
void process_launch_run(starter_job *job, void *stack);
/** Back on the loop thread. */
void process_launch_done(starter_job *job);

#endif
