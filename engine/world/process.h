/*
 * process.h - commands: spawn, capture, deadline, end of the whole group.
 *
 * A child gets its own process group and session-independent standard streams: stdin is /dev/null, stdout and stderr are one
 * pipe (a file for who may outlive the engine), all other descriptors are closed. The engine is a subreaper. A pidfd in the loop tells the end. After the end
 * the group gets TERM, and KILL after the grace time; a grandchild that keeps the pipe open does not hold anything up.
 * The token is in the child's environment as WEIR_TOKEN, so that recovery finds it.
 *
 * Loop thread only. Figures for uv_spawn, posix_spawn and vfork are in process.c.
 */
#ifndef WEIR_WORLD_PROCESS_H
#define WEIR_WORLD_PROCESS_H

#include <uv.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/memory.h"

typedef struct process_table process_table;
typedef struct process process;

enum { PROCESS_OUTPUT_CAP = 16 * 1024 * 1024, PROCESS_GRACE_MS = 5000 };

typedef struct process_spec {
    const char *program;      /* absolute path */
    const char *const *argv;  /* NULL-terminated */
    const char *const *envp;  /* NULL-terminated, complete but for WEIR_TOKEN */
    int cwd_fd;               /* folder to start in */
    hash128 token;
    int64_t timeout_ms;       /* 0: none */
    size_t output_cap;        /* bytes kept; more is read and dropped, but for the last ones: capture.h */
    const char *output_path;  /* below cwd_fd, borrowed until `done`: where output goes that is long; NULL: all of it stays in memory */
    bool is_detached;         /* it writes to output_path itself: no pipe breaks when the engine dies */
    const int *job_fds;       /* two that the child gets as JOBSERVER_READ and JOBSERVER_WRITE, above these; NULL: none */
} process_spec;

typedef struct process_result {
    int exit_code; /* 0..255; -1 when it ended by a signal */
    int signal;    /* 0: none */
    bool timed_out, stopped, truncated; /* stopped: by process_stop */
    bytes output;  /* borrowed during the callback; its beginning alone when in_file */
    bytes tail;    /* in_file: the last of it */
    bool in_file;  /* all of it is at output_path */
    uint64_t output_bytes; /* that it wrote */
    int64_t wall_us, cpu_us;
    int64_t memory_bytes; /* peak; the kernel counts the moment before exec too, so at least the engine's own size */
} process_result;

/**
 * Comes before `done`, once the child has executed its program: pid and start time of it. err->code not 0: nothing was started, `done`
 * does not come, and the process is gone. WEIR_NOTFOUND: no such program; WEIR_LIMIT: arguments and environment are too long; WEIR_IO.
 */
typedef void (*process_started)(void *ctx, int64_t pid, uint64_t start_ticks, const weir_error *err);
/** Comes when nothing of the command is alive any more: its outputs stand still. The process is gone with it. */
typedef void (*process_done)(void *ctx, const process_result *result);

int process_table_open(process_table **out, uv_loop_t *loop, weir_error *err);
/** Kills what is left (KILL to each group), reaps, closes; no `done` comes. The loop must still run once for handles to close. */
void process_table_close(process_table *t);
/**
 * Begin to start: a thread does it, several side by side. `started` and `done` come on the loop thread, once each. What the spec points
 * to is borrowed until `started`. On failure (no memory) neither comes.
 */
int process_start(process_table *t, const process_spec *spec, process_started started, process_done done, void *ctx,
                  process **out, weir_error *err);
/** TERM to the group now (as soon as it has started), KILL after grace; `done` still comes. */
void process_stop(process *p, int64_t grace_ms);
size_t process_running(const process_table *t);
uint64_t process_spawned(const process_table *t);

/**
 * End whatever is left of an execution of an earlier engine: the group of pid if (pid, start_ticks, boot_id) match, and any process with
 * WEIR_TOKEN=<token> in its environment. Waits until they are gone (at most grace + 1 s). *found: how many there were.
 */
int process_end_leftover(hash128 token, int64_t pid, uint64_t start_ticks, int64_t grace_ms, size_t *found, weir_error *err);

/** The same while the loop turns. */
typedef struct process_ending process_ending;
/** Comes from the loop, once; rc and err as of process_end_leftover. The process_ending is gone with it. */
typedef void (*process_ended)(void *ctx, int rc, const weir_error *err);
/**
 * Begin with TERM. *out NULL on success: there was nobody to end, and `ended` does not come. The handle keeps the loop turning.
 */
int process_end_begin(process_ending **out, uv_loop_t *loop, hash128 token, int64_t pid, uint64_t start_ticks, int64_t grace_ms,
                      process_ended ended, void *ctx, weir_error *err);
/** The time of grace is over. */
void process_end_hurry(process_ending *e);
/** `ended` does not come. The loop must still turn once. NULL is ignored. */
void process_end_cancel(process_ending *e);

/**
 * Does the first process of an execution of an earlier engine still run? Known by *pid and *start_ticks, as long as it shows no other
 * token; *pid 0 (it died before it could say): looked for by its token. It leads its group, so what it started is not taken for it.
 * @return true: *pid and *start_ticks are its
 */
bool process_find(hash128 token, int64_t *pid, uint64_t *start_ticks);
/** A descriptor that becomes readable when this process has ended; owned, os_close. -1: it has, or the kernel gives none. */
int process_watch(int64_t pid, uint64_t start_ticks);

/** The closed environment: allow-listed variables of this process (PATH, HOME, TMPDIR, USER, LOGNAME, SHELL, LANG is not), LC_ALL=C.UTF-8, then `extra` (name, value pairs).
 *  NULL-terminated, in the arena. */
const char *const *process_environment(mem_arena *arena, const bytes *names, const bytes *values, size_t count);

#endif
