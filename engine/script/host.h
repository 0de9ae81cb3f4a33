/*
 * host.h - the script host and its workers, seen from the engine.
 *
 * The host is a child process (the same binary, re-executed) that loads a workflow in a strict Lua state, streams
 * declarations, and then only forks workers, which inherit the loaded state. Workers are children of the engine (CLONE_PARENT).
 * A bare host loads no workflow and forks workers for C effects. No user code runs in the engine.
 *
 * Loop thread only; callbacks come from the loop. All pointers handed to callbacks are borrowed during the call.
 */
#ifndef WEIR_SCRIPT_HOST_H
#define WEIR_SCRIPT_HOST_H

#include <uv.h>

#include <stdatomic.h>

#include "engine/effect/job.h"

typedef struct script_host script_host;
typedef struct script_worker script_worker;

/** One static error (or warning) of a workflow. */
typedef struct diagnostic {
    const char *file; /* NULL: none */
    int line, column; /* from 1; 0: none */
    const char *message;
    const char *hint; /* NULL: none */
    const char *source; /* the source line; NULL: none */
} diagnostic;

typedef struct script_events {
    void *ctx;
    /* while loading, in order of the workflow: */
    void (*effect)(void *ctx, const effect_spec *spec); /* at the end of loading, once code hashes are known */
    void (*node)(void *ctx, node_spec *spec);
    void (*default_target)(void *ctx, bytes target);
    /** The definition looked at something: kind, name, and its hash as the host saw it (files: fingerprint, HASH_ABSENT; env: of the string). */
    void (*definition_read)(void *ctx, item_kind kind, bytes name, hash128 hash);
    /** A glob is asked for: append the matching paths with script_glob_answer before returning. */
    void (*glob)(void *ctx, script_host *host, bytes pattern);
    /** A named value is asked for: weir.value / weir.param `name` with default (canonical encoding, may be empty) -> append its canonical encoding to `answer` (empty: unset). */
    void (*value)(void *ctx, bytes name, bytes fallback, buf *answer);
    /** May this path be read while loading (no output of a node)? false is a static error. */
    bool (*may_read)(void *ctx, bytes path);
    void (*diagnose)(void *ctx, const diagnostic *d);
    /** Loading ended; errors > 0: the definition is unusable. `always`: not empty: must be evaluated every run, and why. */
    void (*loaded)(void *ctx, size_t errors, bytes always);
    /** The host ended unexpectedly (crash, memory); after it no callback comes. While loading this means: unusable. */
    void (*died)(void *ctx, const char *how);
} script_events;

typedef struct script_config {
    const char *program;   /* absolute path of the binary to execute; it understands --script-host */
    int rootfd;            /* project root: working folder of the host */
    const char *workflow;  /* "weir.lua", below the root; NULL: bare host */
    const char *lua_folder; /* replaces the embedded Lua library while developing; NULL */
    int64_t load_timeout_ms; /* without a declaration; 0: 60 s */
    const atomic_int *stop; /* not zero: loading is given up (a signal handler may set it and wake the loop); kept; may be NULL */
    size_t memory_limit;   /* bytes of Lua memory for host and job; 0: 1 GiB */
} script_config;

/** Start and begin loading (callbacks follow). */
int script_host_start(script_host **out, uv_loop_t *loop, const script_config *config, const script_events *events, weir_error *err);
/** Run `loop` until loading ended, with only this host's handles counted; for the start of a run. */
int script_host_wait(script_host *host, weir_error *err);
void script_glob_answer(script_host *host, bytes path);
/** Closes the socket; the host ends by itself, is killed after a second. NULL is ignored. Workers live on. */
void script_host_close(script_host *host);
int64_t script_host_pid(const script_host *host);

typedef struct worker_events {
    void *ctx;
    /** A worker was forked and can take orders. */
    void (*ready)(void *ctx, script_worker *worker);
    /** It began with this job: from now on a death is that job's. */
    void (*began)(void *ctx, script_worker *worker, uint64_t job);
    void (*report)(void *ctx, script_worker *worker, const job_report *report);
    /** The running job waits for nodes; script_worker_answer lets it go on. The other jobs of the worker come back: they can be given out again. */
    void (*need)(void *ctx, script_worker *worker, const job_request *request, const uint64_t *unfinished, size_t unfinished_count);
    /** The running job asks for members that its order left out: append the packed answer (job_list_answer_put). */
    void (*list)(void *ctx, script_worker *worker, const job_list_request *request, buf *answer);
    /** Dead: by itself, killed by us, or retired (after an impure frame). `unfinished` jobs were never announced as running and can be given out again; `running` (0: none) died with
     *  it; `how` says what happened ("signal 11", "time limit 5 s", "memory limit"). The worker is freed afterwards. */
    void (*died)(void *ctx, script_worker *worker, uint64_t running, const uint64_t *unfinished, size_t unfinished_count, const char *how);
} worker_events;

/** Ask for one more worker; `ready` or `died` follows. */
int script_worker_fork(script_host *host, const worker_events *events, script_worker **out, weir_error *err);
/** Send several jobs in one frame; done in order. Encoded before return. */
int script_worker_send(script_worker *worker, const job_order *orders, size_t count, weir_error *err);
/** Answer a job that waits. The time until now does not count for its limit. */
int script_worker_answer(script_worker *worker, const job_answer *answer, weir_error *err);
/** Does its job wait for an answer? */
bool script_worker_waits(const script_worker *worker);
/** Jobs sent and not yet reported. */
size_t script_worker_load(const script_worker *worker);
void script_worker_kill(script_worker *worker, const char *why);
/** Ask it to end when idle. */
void script_worker_retire(script_worker *worker);
int64_t script_worker_pid(const script_worker *worker);
void *script_worker_data(const script_worker *worker);
void script_worker_set_data(script_worker *worker, void *data);

typedef struct script_counts {
    uint64_t hosts, workers, frames;
} script_counts;
script_counts script_stats(void);

/** The other side: main() of the re-executed binary calls this when its first argument is --script-host. @return exit code */
int script_host_main(int argc, char **argv, const weir_effect *const *builtins);

#endif
