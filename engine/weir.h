/*
 * weir.h - the public C interface of the engine.
 *
 * The first part is what every floor shares: the error type and its codes. Below are the engine's functions: open a project, load
 * a workflow or declare a graph, run, close. One engine per project and process; all calls from one thread. What happens is told to a
 * listener; questions about what was recorded need no engine at all (they read the database).
 *
 * All strings are UTF-8 unless said otherwise; paths are bytes, relative to the project root.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#define WEIR_VERSION "0.1.0"

/** Every error code, its number, and a short text. Numbers never change. */
#define WEIR_ERRORS(X)                                                                             \
    X(WEIR_NOMEM, -1, "out of memory")                                                             \
    X(WEIR_IO, -2, "input or output failed")                                                       \
    X(WEIR_BUSY, -3, "the database is busy")                                                       \
    X(WEIR_LOCKED, -4, "another engine owns the project")                                          \
    X(WEIR_CORRUPT, -5, "stored data is damaged")                                                  \
    X(WEIR_USAGE, -6, "wrong use")                                                                 \
    X(WEIR_WORKFLOW, -7, "the workflow has errors")                                                \
    X(WEIR_NOTFOUND, -8, "not found")                                                              \
    X(WEIR_FAILED, -9, "a node failed")                                                            \
    X(WEIR_CANCELLED, -10, "cancelled")                                                            \
    X(WEIR_NEWER, -11, "the database was written by a newer weir")                                 \
    X(WEIR_LIMIT, -12, "a limit was reached")                                                      \
    X(WEIR_BUG, -13, "a bug in weir")

enum {
    WEIR_OK = 0,
#define X(name, number, text) name = number,
    WEIR_ERRORS(X)
#undef X
};

/** Caller-owned; never allocates; the last parameter of every function that can fail. */
typedef struct weir_error {
    int code;          /* 0 or a negative WEIR_ code */
    char message[480]; /* one line of UTF-8, no final stop; names the thing and the cause */
} weir_error;

/* --- the engine ------------------------------------------------------------------------------------------------ */

typedef struct weir weir;
struct weir_effect; /* weir_effect.h */

/** One static error or warning of a workflow. */
typedef struct weir_diagnostic {
    const char *file; /* NULL: none */
    int line, column; /* from 1; 0: none */
    const char *message;
    const char *hint;   /* NULL: none */
    const char *source; /* the source line; NULL: none */
} weir_diagnostic;

typedef struct weir_reason {
    const char *reason;  /* "input-changed" and so on: a closed list */
    const char *input;   /* port, or component; "" */
    const char *name;    /* file, node ... that changed; "" */
    const char *old_hash, *new_hash; /* hex, "" when there is none */
} weir_reason;

typedef enum weir_event_kind {
    WEIR_EVENT_STARTED,   /* an execution starts */
    WEIR_EVENT_FINISHED,  /* it ended: outcome ran or failed */
    WEIR_EVENT_SETTLED,   /* settled without an execution: restored, unchanged, blocked, accepted; failed: as before */
    WEIR_EVENT_WOULD_RUN, /* dry run: due and no stored result */
    WEIR_EVENT_MAYBE,     /* dry run: a user of such a node */
    WEIR_EVENT_MESSAGE,   /* something a person should know: `message` */
    WEIR_EVENT_DIAGNOSTIC,
    WEIR_EVENT_VOIDED,    /* weir_void: the node is due */
    WEIR_EVENT_PROGRESS,  /* counts moved; at most ten a second */
    WEIR_EVENT_PLAN       /* the definition is another one than before: `added`, `removed`, `altered`; a watch: none, mended */
} weir_event_kind;

typedef struct weir_event {
    size_t size;
    weir_event_kind kind;
    const char *node, *effect; /* "" when there is none */
    const char *outcome;       /* ran, restored, unchanged, failed, blocked; "" */
    const weir_reason *reasons;
    size_t reason_count;
    double seconds;
    const char *message;       /* failure, or the text of a message */
    const char *log;           /* captured output of the execution; may hold NUL bytes */
    size_t log_size;
    int exit_code;             /* of a command; -1 when it ended by `signal` */
    int signal;
    int changed;               /* an output or the value differs from before */
    const char *cause;         /* blocked: the node that failed */
    const weir_diagnostic *diagnostic;
    size_t done, open, running; /* nodes settled, due or running, running */
    int64_t tried_us;          /* settled, failed as before: when it was run last, microseconds since 1970; 0: not known */
    size_t added, removed, altered; /* nodes; altered: in their declaration, or by the code of their effect */
} weir_event;

typedef void (*weir_listener)(void *ctx, const weir_event *event); /* borrowed during the call */

typedef struct weir_options {
    size_t size;              /* sizeof(weir_options) */
    const char *root;         /* project folder; absolute or relative to the working folder */
    const char *workflow;     /* definition file below the root; NULL: the graph comes from weir_declare */
    const char *host_program; /* binary that serves as script host; NULL: /proc/self/exe if it says so, else "weir" beside the library */
    const struct weir_effect *const *effects; /* built-in C effects, ended by NULL; kept */
    weir_listener listener;   /* may be NULL */
    void *listener_ctx;
    int lock_wait_ms;         /* how long another engine is waited for; default 0 */
    unsigned flags;
} weir_options;

enum {
    WEIR_OPEN_NETWORK = 1, /* accept a state folder on a network file system */
    WEIR_OPEN_READER = 2,  /* to look: writes nothing, makes nothing, takes no lock; every run is a dry one */
    WEIR_OPEN_WATCH = 4    /* for weir_watch: .weir/lock says so to who comes while it begins or ends */
};

/** Open (create) .weir, take the lock, settle what an earlier engine left open. WEIR_LOCKED names the holder. */
WEIR_API int weir_open(weir **out, const weir_options *options, weir_error *err);
WEIR_API void weir_close(weir *w); /* NULL is ignored */

/* Declaring a graph from C; used when options.workflow is NULL. Strings are copied. */
typedef struct weir_ref {
    const char *file; /* a path below the root; or NULL and: */
    const char *node; /* a node's name, and */
    const char *port; /* one of its outputs; NULL: all it makes */
} weir_ref;
typedef struct weir_node_input {
    const char *port;
    const weir_ref *refs;
    size_t count;
    int is_list;
} weir_node_input;
typedef struct weir_node_output {
    const char *port, *path;
} weir_node_output;
typedef struct weir_node {
    size_t size;
    const char *name;         /* without params */
    const char *effect;       /* a C effect, or "sh" */
    const char *params;       /* JSON object; NULL: none */
    const weir_node_input *inputs;
    size_t input_count;
    const weir_node_output *outputs;
    size_t output_count;
    const char *const *command; /* "sh": argv with {{placeholders}}, ended by NULL */
    const char *shell;          /* "sh": or one text */
    const char *depfile;
    int always;
} weir_node;
/** Add a node to the definition that the next run uses. `full_name` (may be NULL): its name with params, borrowed until the next call. */
WEIR_API int weir_declare(weir *w, const weir_node *node, const char **full_name, weir_error *err);
/** Forget all that was declared since the last run. */
WEIR_API void weir_declare_clear(weir *w);

/** Set or (value NULL) unset a named value, as JSON text; recorded at once. */
WEIR_API int weir_set(weir *w, const char *name, const char *json, weir_error *err);

typedef struct weir_assignment {
    const char *name, *json;
} weir_assignment;

enum {
    WEIR_RUN_DRY = 1,        /* say what would run, and why; write nothing */
    WEIR_RUN_FORCE = 2,      /* run the targets (all nodes without targets) whatever is stored */
    WEIR_RUN_STOP_FIRST = 4, /* stop at the first failure */
    WEIR_RUN_CHECK = 8,      /* load and check the definition only */
    WEIR_RUN_ACCEPT = 16,    /* run nothing: what is on disk is taken as the result of the targets */
    WEIR_RUN_IF_DUE = 32     /* only if something changed; what failed or always runs is none. Else nothing is recorded */
};

typedef struct weir_request {
    size_t size;
    const char *const *targets; /* node names, names with *, output paths, folders; none: weir.default or all */
    size_t target_count;
    const weir_assignment *values; /* count for this run */
    size_t value_count;
    int jobs;                   /* 0: number of processors */
    unsigned flags;
    const char *trigger;        /* "command", ...: recorded; NULL: "library" */
    uint64_t mem_bytes;         /* what nodes with `mem` may need together; 0: most of what is free at the start */
    int has_load;               /* start nothing beside others while the load average is `load` or more */
    double load;
    int jobserver[2];           /* a GNU make jobserver to take part in: descriptors to read and write, borrowed; 0: none */
} weir_request;

/**
 * Where the work went; also the fields of --stats. Those of the engine's process, without its workers, from the start of the run;
 * peak_memory in bytes, of the process. The five phases in microseconds: looking at inputs, the definition, choosing what is due, lookup
 * and executions, the end with its sync.
 */
#define WEIR_COUNTERS(X)                                                                           \
    X(files_stated) X(files_hashed) X(bytes_hashed) X(statements) X(rows_read) X(rows_written)     \
    X(transactions) X(syncs) X(nodes_loaded) X(nodes_visited) X(nodes_searched) X(keys_computed)   \
    X(probes) X(processes_spawned) X(hosts_started) X(workers_forked) X(frames)                    \
    X(events_appended) X(peak_memory) X(observe_us) X(definition_us) X(targets_us) X(turns_us)     \
    X(finish_us)

typedef struct weir_counters {
#define X(name) uint64_t name;
    WEIR_COUNTERS(X)
#undef X
} weir_counters;

typedef struct weir_summary {
    size_t size;
    uint64_t run;      /* number of the run; 0 for a dry run */
    uint64_t nodes;    /* in the graph */
    uint64_t ran, unchanged, restored, cut_off, failed, blocked, raced, removed;
    uint64_t would_run, maybe;
    uint64_t errors;   /* static errors */
    double seconds;
    int interrupted;
    weir_counters counters;
    uint64_t due;      /* a run that was stopped: nodes that are still due; they are not among the unchanged ones */
    uint64_t accepted, voided;
    uint64_t superseded; /* attempts that were ended because an input changed meanwhile, and begun again (inflight = "restart") */
} weir_summary;

/** One run: bring the targets up to date. 0; WEIR_FAILED when a node failed; WEIR_WORKFLOW when the definition is broken (nothing ran);
 *  WEIR_CANCELLED after weir_interrupt; other codes: infrastructure. The summary is filled in either way. */
WEIR_API int weir_run(weir *w, const weir_request *request, weir_summary *summary, weir_error *err);

/**
 * Give up the results of the targets' keys: they are not found any more, and the nodes are due (voided). Recorded at once; nothing
 * is looked at and nothing runs. WEIR_USAGE: an unknown target, or nothing was run yet.
 */
WEIR_API int weir_void(weir *w, const char *const *targets, size_t count, weir_summary *summary, weir_error *err);

/** Told by weir_watch; both may be NULL. */
typedef struct weir_watcher {
    size_t size;
    /** A run ended that had something to do or to say; rc and err as of weir_run. */
    void (*turned)(void *ctx, const weir_summary *summary, int rc, const weir_error *err);
    /** After the first run: from now on it waits. */
    void (*waits)(void *ctx, size_t folders);
    void *ctx;
} weir_watcher;
/** Run, then run again whenever something that a run relied on has changed, until weir_interrupt: WEIR_CANCELLED. A failed
 *  node or a broken workflow does not end it; other codes do. `request` is borrowed until it returns. */
WEIR_API int weir_watch(weir *w, const weir_request *request, const weir_watcher *watcher, weir_error *err);

/** First call: start nothing more; second: end what runs. Safe from a signal handler and other threads. */
WEIR_API void weir_interrupt(weir *w);

/** Entry of the script host: a program that passes itself as host_program calls this first in main and returns its result unless it is -1. */
WEIR_API int weir_script_host(int argc, char **argv, const struct weir_effect *const *effects);

/** Short text of a code, for people. Static. */
WEIR_API const char *weir_error_text(int code);

#ifdef __cplusplus
}
#endif
#endif
