/*
 * event.h - the facts of the log: kinds and bodies.
 *
 * A body is a packed record (memory.h) that begins with its version, 1. Kinds and bodies are frozen: a change is a new
 * version that old readers of the same number never see, and event_get keeps reading every version ever written.
 * One struct per kind; event_put_* and event_get_* are inverse. Pointers are borrowed from the body or the arena. Any thread.
 */
#ifndef WEIR_STORE_EVENT_H
#define WEIR_STORE_EVENT_H

#include "engine/store/spec.h"

typedef enum event_kind {
    EVENT_SESSION = 1,       /* an engine opened the project */
    EVENT_RUN_STARTED = 2,
    EVENT_RUN_FINISHED = 3,
    EVENT_ITEM_NAMED = 4,    /* a file, glob, variable ... gets its id */
    EVENT_ITEM_OBSERVED = 5, /* a source was seen with this content */
    EVENT_EFFECT = 6,        /* an effect is declared, or its code or version changed */
    EVENT_NODE = 7,          /* a node is declared, or its declaration changed */
    EVENT_NODE_REMOVED = 8,
    EVENT_DEFINITION = 9,    /* a workflow was evaluated: what it read, its default targets */
    EVENT_STARTED = 10,      /* intent: an execution is about to start */
    EVENT_SPAWNED = 11,      /* its process */
    EVENT_FINISHED = 12,     /* an execution ended, with its reads and outputs */
    EVENT_SETTLED = 13,      /* a due node was settled without an execution */
    EVENT_OUTPUT_REMOVED = 14, /* an output of a vanished node, or one replaced, was taken away */
    EVENT_FOREIGN_KEPT = 15, /* content that weir did not write was put into the store */
    EVENT_FOLDER_MADE = 16,  /* weir made this folder */
    EVENT_PAYLOADS_SYNCED = 17,
    EVENT_EDGE_FOUND = 18,   /* a discovered read of another node's output */
    EVENT_NODE_DUE = 19,     /* a node must be looked at, for a reason no input shows */
    EVENT_VALUE_SET = 20,    /* weir set */
    EVENT_TRACES_DROPPED = 21, /* results that are not found any more: weir void, or too many of one key */
    EVENT_ACCEPTED = 22,     /* weir accept: what is there is the result; laid out as EVENT_FINISHED */
    EVENT_EXPANDED = 25,     /* an expand node's list became nodes: these, in order */
    EVENT_EDGE_DROPPED = 26, /* what was discovered earlier would now close a circle: only history */
    EVENT_RECOVERED = 31     /* what became of an execution that an earlier engine left open */
} event_kind;

typedef enum outcome {
    OUTCOME_RAN = 1, OUTCOME_RESTORED = 2, OUTCOME_UNCHANGED = 3, OUTCOME_FAILED = 4, OUTCOME_BLOCKED = 5,
    OUTCOME_ACCEPTED = 6
} outcome;

typedef enum reason_kind {
    REASON_NEW = 1, REASON_INPUT_CHANGED, REASON_INPUTS_ADDED, REASON_INPUTS_REMOVED, REASON_CODE_CHANGED,
    REASON_PARAMS_CHANGED, REASON_ENV_CHANGED, REASON_OUTPUT_MISSING, REASON_OUTPUT_MODIFIED, REASON_PREVIOUS_FAILED,
    REASON_INTERRUPTED, REASON_VOIDED, REASON_RACED, REASON_IMPURE, REASON_FORCED, REASON_ALWAYS
} reason_kind;
/** "input-changed" and so on; the closed list. */
const char *reason_name(reason_kind reason);
const char *outcome_name(outcome what);
const char *event_kind_name(int kind);

/** What was looked at. Numbers are stored and are part of trace hashes. */
typedef enum read_aspect {
    ASPECT_CONTENT = 1, /* fingerprint of a file, or the content of an env, value, tool, glob item */
    ASPECT_VALUE = 2,   /* a node's value */
    ASPECT_NAMES = 3,   /* the paths or names in a list, in order */
    ASPECT_PARAMS = 4,  /* params of an upstream node */
    ASPECT_PATH = 5,    /* the path of an input */
    ASPECT_LIST = 6,    /* contents of a whole list: the root of the tree over its members */
    ASPECT_OUTPATH = 7  /* the path of an output of the node itself */
} read_aspect;

/**
 * Which thing was looked at, in terms that hold for every node with the same key: declared inputs by position, all else by
 * item id. An output port (ASPECT_OUTPATH) is its index among the outputs.
 */
typedef struct read_ref {
    read_aspect aspect;
    int32_t port;   /* index of the input (or output) port; -1: not declared, see item */
    int32_t member; /* index in the port's list; -1: the port as a whole */
    int32_t sub;    /* which output of a MEMBER_NODE (index by port order), -1: its only one or none */
    uint64_t item;  /* port -1: the item; else 0 */
} read_ref;

typedef struct read_record {
    read_ref ref;
    uint32_t group;  /* from 0, ascending */
    uint64_t source; /* for `why`: item id behind the read, or node id (value, params); 0 for lists */
    bool source_is_node;
    hash128 hash;    /* seen */
} read_record;

typedef struct output_record {
    uint32_t port;  /* index among the spec's outputs */
    uint64_t item;  /* path that it was written to */
    hash128 hash;   /* fingerprint */
    uint64_t size;  /* bytes */
    uint32_t mode;  /* permission bits */
} output_record;

typedef struct reason_record {
    reason_kind kind;
    uint64_t source; /* item or node id, 0: none */
    bool source_is_node;
    hash128 old_hash, new_hash; /* HASH_NONE: none */
    bytes detail;   /* port name, component, or text; may be empty */
} reason_record;

/** Execution outcomes; stored. */
typedef enum execution_result {
    EXECUTION_OK = 1,
    EXECUTION_FAILED = 2,      /* the effect said so, deterministic as far as known */
    EXECUTION_TRANSIENT = 3,   /* signal, time-out, no memory, no disk */
    EXECUTION_INTERRUPTED = 4, /* engine died or the user stopped it */
    EXECUTION_RACED = 5,       /* an input moved meanwhile: outputs are there, nothing is memoised */
    EXECUTION_IMPURE = 6       /* changed shared state of its worker: used, not memoised */
} execution_result;

/** What a start finds to do with an execution that an earlier engine left open; stored. */
typedef enum recovery_kind {
    RECOVERED_AGAIN = 1,   /* pure: due once more */
    RECOVERED_FAILED = 2,  /* batch, ops: what it did is unknown; it does not run again by itself */
    RECOVERED_ADOPTED = 3, /* daemon, service: it still runs, and stays open */
    RECOVERED_RESTART = 4  /* daemon, service: it runs no more and is due */
} recovery_kind;

typedef struct event_session { bytes version, build, boot_id; uint64_t pid; } event_session;
typedef struct event_run_started { bytes trigger; uint64_t graph; bytes *targets; size_t target_count; bool forced; } event_run_started;
typedef struct event_run_finished {
    uint64_t ran, unchanged, restored, cut_off, failed, blocked, raced;
    uint64_t turns, duration_us;
    bool complete; /* all nodes of the graph were asked for and none failed: pending changes are settled */
    bool interrupted;
} event_run_finished;
typedef struct event_item_named { uint64_t item; item_kind kind; bytes name; } event_item_named;
typedef struct event_item_observed { uint64_t item; hash128 hash; uint64_t size; uint32_t mode; } event_item_observed;
typedef struct event_effect { uint64_t effect, graph; bytes spec; } event_effect;          /* effect_put without position */
typedef struct event_node { uint64_t node, graph, height, successor_of; bytes spec; } event_node; /* spec_put_stored */
typedef struct event_node_removed { uint64_t node; } event_node_removed;
typedef struct definition_read { uint64_t item; hash128 hash; } definition_read;
typedef struct event_definition {
    uint64_t graph; bytes file; definition_read *reads; size_t read_count;
    bytes *defaults; size_t default_count; bytes always; /* not empty: evaluate on every run, and why */
} event_definition;
typedef struct aside_record { uint64_t item; uint32_t number; hash128 hash; uint32_t mode; } aside_record;
typedef struct event_started {
    uint64_t execution, node; hash128 token; job_type job; aside_record *asides; size_t aside_count;
    uint64_t *fresh; size_t fresh_count; /* items of outputs that did not exist before */
} event_started;
typedef struct event_spawned { uint64_t execution, pid, start_ticks; } event_spawned;
typedef struct event_finished {
    uint64_t execution, node; execution_result result;
    hash128 key; uint64_t spec_seq, effect_seq; hash128 tool; /* what the key was made of; tool HASH_NONE: none */
    read_record *reads; size_t read_count;
    output_record *outputs; size_t output_count;
    hash128 value;   /* HASH_NONE: no value */
    reason_record *reasons; size_t reason_count;
    hash128 log;     /* captured output, a blob; HASH_NONE: empty */
    int64_t exit_code; uint64_t signal; bytes message; /* failure in words, "" if none */
    uint64_t duration_us, cpu_us, memory_bytes;
    uint64_t started_us;  /* wall clock, for people */
    bool changed;    /* an output, the value, params or the list of outputs differ from what the node had */
    bool known;      /* failed, and would fail again for the same key and reads: found like a result */
} event_finished;
typedef struct event_settled {
    uint64_t node; outcome what; uint64_t execution; /* whose result holds now; 0: blocked */
    uint64_t spec_seq, effect_seq; uint64_t cause;   /* blocked: the node that failed */
    reason_record *reasons; size_t reason_count;
    output_record *outputs; size_t output_count;     /* restored: as they are on disk now */
    hash128 value; bool changed;
} event_settled;
typedef struct event_output_removed { uint64_t item; hash128 hash; } event_output_removed;
typedef struct event_foreign_kept { uint64_t item; hash128 hash; uint64_t node; } event_foreign_kept;
typedef struct event_folder_made { bytes path; bool removed; } event_folder_made;
typedef struct event_payloads_synced { uint64_t seq; } event_payloads_synced;
typedef struct event_edge_found { uint64_t from, to, execution; uint64_t to_height; } event_edge_found;
typedef struct event_edge_dropped { uint64_t from, to; } event_edge_dropped; /* `to` is due, it has to be looked at again */
typedef struct event_node_due { uint64_t node; reason_kind reason; } event_node_due;
typedef struct event_value_set { uint64_t item; bytes value; /* canonical encoding; empty: unset */ } event_value_set;

typedef struct event_traces_dropped {
    uint64_t node; hash128 key; uint64_t *executions; size_t execution_count;
    bool voided; /* by weir void: the node is due; else the least used ones of a key */
} event_traces_dropped;
typedef struct event_expanded { uint64_t node; hash128 value; uint64_t *children; size_t child_count; } event_expanded;
typedef struct event_recovered { uint64_t execution, node; recovery_kind how; uint64_t pid, start_ticks; /* adopted: of its process */ } event_recovered;
typedef event_finished event_accepted; /* result is EXECUTION_OK; nothing was executed */

void event_put_session(buf *b, const event_session *e);
void event_put_run_started(buf *b, const event_run_started *e);
void event_put_run_finished(buf *b, const event_run_finished *e);
void event_put_item_named(buf *b, const event_item_named *e);
void event_put_item_observed(buf *b, const event_item_observed *e);
void event_put_effect(buf *b, const event_effect *e);
void event_put_node(buf *b, const event_node *e);
void event_put_node_removed(buf *b, const event_node_removed *e);
void event_put_definition(buf *b, const event_definition *e);
void event_put_started(buf *b, const event_started *e);
void event_put_spawned(buf *b, const event_spawned *e);
void event_put_finished(buf *b, const event_finished *e);
void event_put_settled(buf *b, const event_settled *e);
void event_put_output_removed(buf *b, const event_output_removed *e);
void event_put_foreign_kept(buf *b, const event_foreign_kept *e);
void event_put_folder_made(buf *b, const event_folder_made *e);
void event_put_payloads_synced(buf *b, const event_payloads_synced *e);
void event_put_edge_found(buf *b, const event_edge_found *e);
void event_put_edge_dropped(buf *b, const event_edge_dropped *e);
void event_put_node_due(buf *b, const event_node_due *e);
void event_put_value_set(buf *b, const event_value_set *e);
void event_put_traces_dropped(buf *b, const event_traces_dropped *e);
void event_put_expanded(buf *b, const event_expanded *e);
void event_put_accepted(buf *b, const event_accepted *e);
void event_put_recovered(buf *b, const event_recovered *e);

/** A decoded event: `kind` says which member is set. */
typedef struct event_body {
    event_kind kind;
    union {
        event_session session; event_run_started run_started; event_run_finished run_finished;
        event_item_named item_named; event_item_observed item_observed; event_effect effect; event_node node;
        event_node_removed node_removed; event_definition definition; event_started started; event_spawned spawned;
        event_finished finished; event_settled settled; event_output_removed output_removed;
        event_foreign_kept foreign_kept; event_folder_made folder_made; event_payloads_synced payloads_synced;
        event_traces_dropped traces_dropped; event_accepted accepted; event_expanded expanded;
        event_edge_found edge_found; event_edge_dropped edge_dropped; event_recovered recovered; event_node_due node_due; event_value_set value_set;
    };
} event_body;

/** event_put_* by kind. */
void event_put_body(buf *b, const event_body *e);

/** WEIR_CORRUPT for damage, WEIR_NEWER for an unknown version or kind. Lists are allocated in `arena`. */
int event_get(int kind, bytes body, mem_arena *arena, event_body *out, weir_error *err);
/**
 * What an execution looked at, from the event that ended it; `reads` lie in the arena and outlive the body. WEIR_CORRUPT: the
 * event is no end of an execution, or damaged.
 */
int event_get_reads(int kind, bytes body, mem_arena *arena, read_record **reads, size_t *count, weir_error *err);
/** The body as one JSON object, for `weir log --json`. */
int event_to_json(int kind, bytes body, buf *to, weir_error *err);

/** A group of refs, packed: what a trace step stores. */
void read_refs_put(buf *b, const read_ref *refs, size_t count);
int read_refs_get(bytes from, mem_arena *arena, read_ref **refs, size_t *count, weir_error *err);

#endif
