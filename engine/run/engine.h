/*
 * engine.h - what the files of this floor share: the engine and its parts.
 *
 *   engine.c    open, close, one run from trigger to quiet          observe.c  what is on disk at the start of a run
 *   define.c    a definition against the stored one                 targets.c  which nodes a run is about; targets_start.c: which come first
 *   schedule.c  the turn: slots, ready nodes, what happens at an end settle.c   key, lookup, hit or miss; settle_end.c: the end of an execution
 *   dry.c       what would run, without the work                    weight.c   which of those that may start goes first
 *   command.c   an execution of a command                           jobs.c     executions in workers; job_*.c: what they are told and say
 *   output.c    see output.h                                        recover.c  what an earlier engine left open
 *   failure.c   failures that are found again, not repeated         misled.c   who failed over what was not final yet
 *   adopt.c     daemons and services that outlived their engine
 *   held.c      failed nodes that are not tried again by themselves
 *   flight.c    identical work asked for twice runs once
 *   inflight.c  inflight = "queue", "restart", "ignore"
 *   policy.c    code = "track", "warn", "pin"
 *   trust.c     weir accept, weir void, how many results of one key are kept
 *   counters.c  what --stats says
 *   tell.c      events for the listener                             edges.c    what turned out to depend on what, circles
 *   need.c      jobs that wait for nodes                            journal, catalog, sigcache: see their headers
 *
 * Loop thread only.
 */
#ifndef WEIR_RUN_ENGINE_H
#define WEIR_RUN_ENGINE_H

#include <stdatomic.h>

#include "engine/model/key.h"
#include "engine/model/lookup.h"
#include "engine/model/plan.h"
#include "engine/run/catalog.h"
#include "engine/run/limits.h"
#include "engine/run/sigcache.h"
#include "engine/run/suspects.h"
#include "engine/script/host.h"
#include "engine/world/process.h"

/** A definition as it came from a workflow or from C. Everything lives in its arena. */
typedef struct definition {
    mem_arena arena;
    effect_spec *effects;
    size_t effect_count, effect_capacity;
    node_spec *nodes;
    size_t node_count, node_capacity;
    definition_read *reads; /* by item id */
    size_t read_count, read_capacity;
    bytes *defaults;
    size_t default_count, default_capacity;
    bytes always;    /* not empty: evaluate on every run, and why */
    size_t errors;   /* static errors told so far */
    bool loaded, died;
    struct definition_seen { item_kind kind; bytes name; hash128 hash; } *seen; /* what loading looked at, as the host saw it */
    size_t seen_count, seen_capacity;
    struct definition_glob { bytes pattern; const char **paths; size_t count; hash128 hash; } *globs; /* as answered */
    size_t glob_count, glob_capacity;
    diagnostic *diagnostics; /* of the host; not told yet */
    size_t diagnostic_count, diagnostic_capacity;
    buf *findings;   /* of an expansion: static errors are written here, not told; NULL: told */
} definition;

typedef struct dry_run dry_run; /* dry.c */
typedef struct need need; /* what a job waits for: need.c */
typedef struct misled misled; /* misled.c */
typedef struct task task; /* a node being settled: schedule.c */

typedef enum run_phase {
    PHASE_OBSERVE,    /* stat, hash what moved */
    PHASE_DEFINITION, /* is it the stored one? load and compare */
    PHASE_TARGETS,    /* which nodes, and which of them are due */
    PHASE_TURNS,      /* lookup, executions */
    PHASE_FINISH,     /* signatures, sync, ends of workers */
    PHASE_COUNT
} run_phase;

struct weir {
    char *root;            /* absolute */
    char *workflow;        /* below the root; NULL: declared from C */
    char *host_program;
    char *db_path;
    int rootfd, weirfd, lockfd;
    const struct weir_effect *const *effects;
    registry *registry;
    weir_listener listener;
    void *listener_ctx;
    uv_loop_t loop;
    blob_store *blobs;
    journal *journal;
    catalog *catalog;
    sigcache *sigs;
    process_table *processes;
    scan_config scan;
    scan_forbidden forbidden;
    definition declared;   /* by weir_declare */
    atomic_int interrupts;
    uv_async_t interrupt_wake;
    struct adopted *adopted; /* adopt.c */
    struct output_notes *notes; /* output_note.c; NULL: none taken */
    bool has_wake, session_said, run_said;
    struct watching *watching; /* while weir_watch runs; watching.c */
    suspects *suspects;    /* what is to be looked at, in a run of a watch that knows; NULL: everything */
    map differing;         /* of a watch: paths of outputs that are not what their nodes made */
    int64_t scan_recent_ns; /* of a watch: what was written since may have been written once more under the same signature */
    bool is_reader;        /* opened to look: every run is dry, nothing is written, no lock is held */
    weir_summary no_summary; /* stands in between runs */
    weir_error failure_space;
    weir_counters base;      /* counters of the process when the run began */
    run_phase phase;         /* counters.c */
    int64_t phase_ns[PHASE_COUNT], phase_began_ns;

    /* of the current run */
    uint64_t run, graph;
    const weir_request *request;
    weir_summary *summary;
    weir_error *failure;   /* first infrastructure error of the run; stops it */
    int failed_code;
    bool dry;
    plan *plan;
    map wanted;            /* node ids this run is about; used when `limited` */
    bool limited;
    script_host *host;     /* loaded workflow; NULL until needed */
    script_host *bare;     /* for C effects */
    bool host_ready, bare_ready;
    definition reload;     /* what the host said when it was started for its workers */
    int slots;
    size_t commands_begun;   /* commands from their intent to the end of their process */
    size_t commands_running, jobs_running;
    limits limits;
    size_t jobs_waiting;     /* for nodes that they need; not among the running ones */
    const map *taken_in;     /* targets.c: only these are marked; NULL: all */
    size_t ready_count;    /* tasks that are TASK_READY */
    size_t jobs_ready;     /* of those, the ones that wait for a worker */
    task *tasks, *last_task; /* all open ones, doubly linked */
    size_t task_count;
    void *workers;         /* jobs.c */
    int worker_failures;
    map programs;          /* name -> resolved path, of this run */
    map observe_again;     /* items whose content moved during the run -> when that was noticed, monotonic ns; 0: not known */
    map first_seen;        /* sources that were looked at for the first time in this turn */
    map weights;           /* node -> microseconds of the longest path behind it; weight.c */
    size_t weighed, weigh_asked;
    bool is_worth_weighing;
    bool is_held;          /* a watch: what a cancelled run left due waits until something changes */
    map read_lost;         /* nodes that had read an output before its maker failed or was blocked, or came out otherwise: for the next turn */
    map misled_by;         /* maker -> place in `misled`, from 1 (misled.c) */
    misled *misled;
    size_t misled_count, misled_capacity;
    map transient;         /* transient nodes whose outputs are on disk since this run */
    map begun_told;        /* nodes of which a start was told, and no end since */
    map kept_said;         /* foreign content that was kept in this run: item id and hash */
    uint64_t turns;
    uint64_t keys_computed, probes;
    bool any_raced;
    bool has_lists;         /* some node of the graph declares others */
    bool claims_moved;      /* this turn: a list declared nodes, so that what folders and trees do not see may be other paths */
    plan_counts plan_total; /* summed over turns */
    dry_run *dry_run;       /* dry run: edges that are in memory alone; NULL otherwise */
    uint64_t *gone_nodes;   /* that this run's definition does not declare any more; in the catalog's arena */
    size_t gone_count;
    uint64_t *changed_nodes; /* what this run's definition made due; in the catalog's arena */
    size_t changed_count;
    bytes *new_defaults;    /* default targets of a definition that was compared in this run; in the catalog's arena */
    size_t new_default_count;
    bool has_new_definition;
    uint64_t *target_nodes; /* what the request names, without what is above; in the catalog's arena */
    size_t target_node_count, target_node_capacity;
    plan_user *users;       /* answer of targets_users; mem_free at the end */
    size_t users_capacity;
    map flights;            /* key -> the first open task that must run; flight.c */
    bool has_again;         /* some task became TASK_AGAIN: the loop must not sleep */
    size_t following;       /* tasks that are TASK_FOLLOWING */
    map older_code;         /* effect name -> index + 1 of older */
    struct older_code { bytes effect, node; uint64_t count; } *older; /* names in the catalog's arena */
    size_t older_count, older_capacity;
    int64_t started_ns;
};

/* --- tell.c ------------------------------------------------------------------------------------------------------ */
void tell(weir *w, const weir_event *event);
void tell_message(weir *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** An execution of this node begins; told once until tell_ended, also when its job is taken back and handed out again. */
void tell_started(task *t);
/** Its end is recorded, or it was settled otherwise. */
void tell_ended(task *t);
/** A static error without a source line (file may be NULL); counted in def->errors. */
void tell_static(weir *w, definition *def, const source_position *at, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/** Names for a reason record; in the arena. */
weir_reason tell_reason(weir *w, mem_arena *arena, const reason_record *reason);

/* --- counters.c -------------------------------------------------------------------------------------------------- */
void counters_begin(weir *w); /* after started_ns and summary are set */
void counters_fill(weir *w);
void counters_phase(weir *w, run_phase phase); /* ends the one before */

/* --- define.c ---------------------------------------------------------------------------------------------------- */
void definition_init(definition *def);
void definition_clear(definition *def);
/** script_events that collect into `def` (ctx: a collector owned by the caller). */
typedef struct collector {
    weir *w;
    definition *def;
    bool quiet; /* a reload for workers: do not tell diagnostics, answer from what is stored */
    const map *hidden;  /* paths that no glob shows; NULL: none */
    weir_error failure; /* first infrastructure error in a callback */
} collector;
script_events define_events(collector *c);
/** Make sure the graph of this run is the one that the workflow declares now: nothing, or load and compare. Sets w->graph. Static errors: WEIR_WORKFLOW. */
int define_graph(weir *w, bool *changed, weir_error *err);
/** Sets w->graph to the stored one, as it is; WEIR_USAGE when there is none. */
int define_stored(weir *w, weir_error *err);
/** Tell the diagnostics that the host sent. */
void define_tell(weir *w, definition *def);
/** Has anything that the stored definition read changed (or is there none)? */
int define_is_stale(weir *w, bool *stale, weir_error *err);

/* --- expand.c ---------------------------------------------------------------------------------------------------- */
/** Does a node take in what another one makes, at whatever remove? What it needed while it ran does not count. */
int define_depends(weir *w, uint64_t id, uint64_t on, bool *does, weir_error *err);
/**
 * The list that an expand node holds becomes nodes: the difference to those of before is said, and due ones are in this turn.
 * Nothing to do when it is the list that they were made from. WEIR_WORKFLOW: it is wrong in some way, nothing was said, and
 * *message (in the task's arena) names every entry.
 */
int expand_apply(task *t, hash128 value, const char **message, weir_error *err);
/** Members that stand for the nodes of an expansion are replaced by these, as they are now. */
int expand_members(task *t, weir_error *err);
/** A node of an expansion does not begin before its expand node is settled. *waits: the task was given back. */
int expand_wait(task *t, bool *waits, weir_error *err);
/** At the beginning of turns: has the graph lists at all? */
int expand_begin(weir *w, weir_error *err);
/** Adds the nodes on the list of a node to w->users, as users in order only. */
int expand_users(weir *w, uint64_t node, const plan_user **users, size_t *count, weir_error *err);
/** Dry run: the list of this node is not known, so its present nodes are looked at. */
int expand_plan(task *t, weir_error *err);
/** Dry run: may it not be on the list any more, or be declared otherwise? Then nothing is certain, not even that it is blocked. */
bool expand_is_open(const task *t);
/** Dry run: the planned expand node that the task's node is of, or whose nodes it reads; 0: none. */
uint64_t expand_unsure(const task *t);
/** Nodes that the expand node has declared; mem_free(*ids). */
int expand_children(weir *w, uint64_t node, uint64_t **ids, size_t *count, weir_error *err);

/* --- observe.c --------------------------------------------------------------------------------------------------- */
/** Check every cached signature; sources that changed are observed, outputs that differ are marked. */
int observe_start(weir *w, weir_error *err);
/** Environment, values, tools, weir's build: items of this run's graph. */
int observe_outside(weir *w, weir_error *err);
int observe_unused_values(weir *w, weir_error *err); /* names given for this run that nothing looks at are said */
/** Look at these file items now (those without a signature); waits. */
int observe_items(weir *w, const uint64_t *items, size_t count, weir_error *err);
/** Is the content of a source known in this run? */
bool observe_known(weir *w, const cat_item *item);
/** A question to the scanner about the item's path, with the signature that is known of it; borrows the item's name. */
scan_request observe_request(weir *w, const cat_item *item);
/** Look at one item; waits. The content moved since: observed, its users are due in the next turn. */
int observe_one(weir *w, cat_item *item, weir_error *err);
/** Evaluate a pattern without outputs that weir wrote; names its item. */
int observe_glob(weir *w, bytes pattern, mem_arena *arena, const char ***paths, size_t *count, hash128 *hash, weir_error *err);
/** Globs of the graph: names as they are now. */
int observe_globs(weir *w, weir_error *err);
/** Hash of what an environment variable, value, tool or build is now; for tools the resolved path goes to *path (may be NULL). */
int observe_outside_hash(weir *w, item_kind kind, bytes name, hash128 *hash, buf *path, weir_error *err);
/** Effective value of a named value: this run's, the set one; empty: unset. In the catalog's arena. */
int observe_value(weir *w, const cat_item *item, bytes *encoded, weir_error *err);
/** Folders, trees and links in use: what moved is looked at again; `all` of them when what is an output may have changed. */
int observe_trees(weir *w, bool all, weir_error *err);
/**
 * What an effect sees of a folder or tree (a list of names) or a link (its text), as an encoding in the catalog's arena, as of the last look at it;
 * size 0: it is not there.
 */
int observe_tree_value(weir *w, cat_item *item, bytes *encoded, weir_error *err);
/** Why a folder or tree is HASH_UNREADABLE, in `err`; 0: it is not any more. Reads all of it then. */
int observe_tree_closed(weir *w, const cat_item *item, weir_error *err);
/** A folder, tree or link? */
static inline bool observe_is_tree(item_kind kind)
{
    return kind >= ITEM_FOLDER && kind <= ITEM_LINK;
}
/**
 * What the key of a document holds (document_is_key): *encoded, or the default; empty: neither is there, HASH_ABSENT. In the catalog's arena or
 * the declaration. WEIR_WORKFLOW: the document is broken, with path:line:column. Its file is looked at if need be.
 */
int observe_key(weir *w, const spec_member *m, bytes *encoded, hash128 *hash, weir_error *err);
/** A node that takes a key of a broken document fails with the place of the fault: WEIR_WORKFLOW. */
int observe_documents(task *t, weir_error *err);
/** "site.toml:title"; in the arena. */
bytes observe_key_name(mem_arena *arena, const cat_item *item, const spec_member *m);
/** Make the list of file items in use complete in the signature cache (after a crash, or when the cache is gone). */
int observe_complete(weir *w, weir_error *err);
/** Before a run writes anything else: the table of signatures does not claim to be complete any more. Once a run, further calls do nothing. */
void observe_dirty(weir *w);
/** Write the signatures that moved. `complete` (not after a kill of the run): the table holds every item that was relied on. */
int observe_write(weir *w, bool complete, weir_error *err);

/* --- targets.c --------------------------------------------------------------------------------------------------- */
/** Fill w->wanted from the request (or the defaults); WEIR_USAGE names an unknown target with a did-you-mean. */
int targets_select(weir *w, weir_error *err);
/** The targets are the expand nodes of the graph: what is asked for may be of one of their lists. *any: there are some. */
int targets_expand(weir *w, bool *any, weir_error *err);
bool targets_wanted(const weir *w, uint64_t node);
/** A node that a wanted one turned out to read: from the next turn on it is wanted too, with all that it needs. */
int targets_take_in(weir *w, uint64_t node, weir_error *err);
/** The same in this turn: what must be looked at is due at once. */
int targets_take_in_now(weir *w, uint64_t node, weir_error *err);
/** Many at once: one by one, each would look at all that is unsettled. */
int targets_take_in_all_now(weir *w, const uint64_t *nodes, size_t count, weir_error *err);
/** The name of a node or output that looks like this one, in `arena`; NULL: none. */
int targets_near(weir *w, const char *name, mem_arena *arena, const char **near, weir_error *err);
/** Mark in the plan what must be looked at: unsettled, always, forced nodes, users of pending changes, makers of missing outputs. */
int targets_start(weir *w, weir_error *err);
/** The same in the middle of a turn, for nodes (keys of the map) that were taken in by now. */
int targets_start_among(weir *w, const map *nodes, weir_error *err);
/** Users of a node that take part in this run (plan_source.users). Valid until the next call. */
int plan_users_of(void *ctx, uint64_t node, const plan_user **users, size_t *count, weir_error *err);
int targets_all_users(weir *w, uint64_t node, const plan_user **users, size_t *count, weir_error *err); /* also others */
int targets_users(weir *w, uint64_t node, const plan_user **users, size_t *count, weir_error *err);

/* --- dry.c -------------------------------------------------------------------------------------------------------- */
/** After the definition: edges of new declarations. */
int dry_begin(weir *w, weir_error *err);
void dry_free(weir *w);
/** A turn begins: what weight_of has found is forgotten. */
void weight_begin(weir *w);
/** Microseconds of the longest path from the start of a node to the end of its last user, as they were last; INT64_MAX: not asked. For plan_source. */
int64_t weight_of(void *ctx, uint64_t node);
/** What w->observe_again holds is about to be forgotten: who is taken in later in the turn hears of it all the same. */
int dry_keep_observed(weir *w, weir_error *err);
const map *dry_observed(const weir *w);
/** Users of a node, as targets_users; into w->users. */
int dry_users(weir *w, uint64_t node, size_t *count, weir_error *err);
/** Another node that would run for the same key; 0: none, and this one is remembered. */
uint64_t dry_same_work(weir *w, hash128 key, uint64_t node);
/** Nodes that may run once outputs that nobody makes any more are removed: told as maybe. */
int dry_vanished(weir *w, weir_error *err);

/* --- schedule.c -------------------------------------------------------------------------------------------------- */
typedef enum task_state {
    TASK_SETTLING,
    TASK_AGAIN,    /* settled once more: a failed attempt is to be repeated, or identical work has ended */
    TASK_FOLLOWING, /* must run, but identical work is under way: flight.c */
    TASK_READY,    /* must run; waits for a slot or a worker */
    TASK_INTENT,   /* a command whose intent is being committed */
    TASK_ARMED,    /* committed; waits for a free slot */
    TASK_RUNNING,
    TASK_WAITING,  /* a job that needs nodes; no slot */
    TASK_ENDING,   /* an adopted process of its node is being ended */
    TASK_FINISHING /* ended; its outputs are looked at */
} task_state;

struct task {
    weir *w;
    cat_node *node;
    cat_effect *effect;
    task_state state;
    int64_t weight; /* weight.c */
    mem_arena arena;
    hash128 key, tool;
    key_parts parts;
    command_line line;
    char *program;          /* resolved argv[0] */
    cat_item *program_item; /* what stands for its content; NULL: a shell text */
    reason_record *reasons;
    size_t reason_count;
    uint64_t execution;
    hash128 token;
    int64_t started_us, started_ns;
    uint64_t said_before;   /* a command: seq of the last event before it was started */
    process *process;
    void *worker;           /* jobs.c */
    need *need;             /* while it waits, and when that ended the attempt */
    bool stopping;
    const char *superseded; /* why the attempt is ended for another one (inflight.c); NULL: it is not */
    bool flies;             /* it is in w->flights, under its key */
    bool alone;             /* it waited for identical work once */
    bool has_flight;        /* `flight` holds */
    hash128 flight;         /* key and all declared inputs */
    task *leader;           /* TASK_FOLLOWING: whose end is awaited */
    size_t followers;
    task *next_flight;      /* another one with the same key */
    bool asks_found;        /* its lookup asked for something that no declaration names */
    bool by_other_key;      /* policy_other_key was asked for: what it found must fit */
    bool older_code;        /* the result in hand is of other code than the effect has now, and that is to be said */
    bool shows_otherwise;   /* its params or outputs, which users may have read, are not those of its last result, or not by it */
    bool list_changed;   /* an expand node: its nodes were declared anew */
    bool accepting;         /* weir accept: nothing is executed, what is there is the result */
    int slots;              /* taken: limits.c */
    uint64_t mem_bytes;
    bool has_place, is_guest; /* in its pool; in the jobserver */
    bool brought;           /* it read a transient output that was not there; by now it is */
    uint64_t lost_maker;    /* it read one that must be made again: by this node */
    const cat_item *unmade; /* it read this, whose maker failed; NULL: nothing of that kind */
    hash128 *names;         /* of each list, see resolve_list_names; HASH_NONE: not asked for; in the arena; NULL: none was */
    uint64_t *observe;      /* items a lookup asked for */
    size_t observe_count, observe_capacity;
    uint64_t unsure;        /* dry run: the lookup came upon what this planned node will make; 0: nothing unknown */
    bool has_folder;        /* .weir/tmp/<token> was made */
    struct aside { cat_item *item; hash128 hash; uint32_t mode; int64_t number; bool put; } *asides;
    size_t aside_count;
    scan_request *requests; /* of the scan under way */
    size_t request_count;
    bytes log;              /* captured output, or of a long one what is shown; in the arena */
    bool log_in_file;       /* what is kept of it is at command_output_path */
    event_finished end;     /* being filled in */
    task *next, *prev;
};

int schedule_turn(weir *w, weir_error *err);
/** A task outside the planner's order: weir accept. Ended by schedule_settled or schedule_free. */
task *schedule_new(weir *w, uint64_t node, weir_error *err);
/** The first infrastructure failure stops the run. */
void schedule_fail(weir *w, const weir_error *err);
/** The node has a process of an earlier engine: its users wait for another run. Frees the task. */
void schedule_running(task *t);
/** The node is settled: records are said; tells the planner, frees the task. */
void schedule_settled(task *t, bool changed, bool failed);
void schedule_free(task *t);
/** It must run: it is TASK_READY from now on; and not any more, when the caller gives it another state. */
void schedule_ready(task *t);
void schedule_unready(task *t);
/** The attempt failed and its record is said: the loop begins a new one. Frees the task. */
void schedule_again(task *t);
bool schedule_stopping(const weir *w);
/**
 * WEIR_CANCELLED once somebody has interrupted: for what takes long before any node is looked at. It leaves off as a kill would. Never in a
 * watch, which would not come back to what it was about to look at.
 */
int schedule_interrupted(weir *w, weir_error *err);

/* --- limits.c ---------------------------------------------------------------------------------------------------- */
int limits_begin(weir *w, weir_error *err);
/** Every token goes back where it came from. */
void limits_end(weir *w);
/** A look at all that waits begins, or has ended. */
void limits_pass_begin(weir *w);
void limits_pass_end(weir *w);
/** Has it limits of its own? Heavy: it may wait although a slot is free and its pool too. */
bool limits_is_special(const task *t);
bool limits_is_heavy(const task *t);
/** Is every slot in use? */
bool limits_full(const weir *w);
/** Is there a place for it in its pool, or has it one? */
bool limits_pool_free(weir *w, task *t);
/** May it start now, beside what runs? */
bool limits_may_start(weir *w, task *t);
/** Its place in its pool; limits_take takes that too. */
int limits_take_place(weir *w, task *t, weir_error *err);
int limits_take(weir *w, task *t, weir_error *err);
/** It runs no more; harmless when it never did. */
void limits_give(task *t);
/** Slots that were taken with a job and became those of its worker. */
void limits_give_slots(weir *w, int slots);

/* --- settle.c, resolve.c, reasons.c ------------------------------------------------------------------------------- */
/** The node waits for one that failed (blocked_by). Frees the task. */
void settle_blocked(task *t);
/** Key, lookup; ends in a hit (restored, unchanged), in waiting, or in a task that is ready to run. */
void settle_begin(task *t);
/** The key of a node as it is declared now; t->effect is set. WEIR_NOTFOUND, WEIR_WORKFLOW, WEIR_LIMIT: the command cannot be made. */
int settle_key(task *t, weir_error *err);
/** The key that the node would have if its effect were this one. */
int settle_key_with(task *t, const effect_spec *effect, hash128 *key, weir_error *err);
/** The body of a stored event into the task's arena; WEIR_NOTFOUND. */
int settle_load_event(task *t, uint64_t seq, int kind, event_body *body, weir_error *err);
/** Why the node is due, compared with what held before; into the task's arena. */
int settle_reasons(task *t, weir_error *err);
/** moved.c: do its outputs lie elsewhere than when it was last settled well? Then its users are looked at, whatever it made. */
int settle_moved(task *t, bool *moved, weir_error *err);
/** The hash behind a ref as it is now (lookup_source.resolve). */
int settle_resolve(task *t, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how,
                   uint64_t *source, bool *source_is_node, weir_error *err);
/** What these refs name beyond the targets of the run is taken in at once: one after the other, each would be asked about with all others. */
int resolve_begin(task *t, const read_ref *refs, size_t count, weir_error *err);
/** Hash of all that a member stands for; of a list as a whole (keep: for its chunks, may be NULL); the item of a file, or NULL. */
int resolve_member_hash(task *t, const spec_member *m, hash128 *hash, weir_error *err);
int resolve_list(task *t, const spec_input *input, hash128 *root, int (*keep)(void *ctx, hash128 hash, bytes chunk), void *ctx,
                 weir_error *err);
/** `keep` for a task: the chunk goes into the store. */
int resolve_keep_chunk(void *ctx, hash128 hash, bytes chunk);
/** Hash of the names in a list (ASPECT_NAMES); once a task. */
int resolve_list_names(task *t, size_t port, hash128 *hash, weir_error *err);
/** The same if it was asked for before; else HASH_NONE. */
hash128 resolve_list_names_known(const task *t, size_t port);
int resolve_file(task *t, const spec_member *m, int sub, cat_item **item, weir_error *err);
/** jobs.c: the encoding behind a value's hash, from this run or the store; in the task's arena. WEIR_NOTFOUND. */
int jobs_value(task *t, hash128 hash, bytes *encoded, weir_error *err);
/** Say FINISHED with what is in t->end, update the catalog, tell the listener, end the task. */
void settle_finish(task *t);
/** The attempt failed: outputs are as before. */
void settle_failed(task *t, execution_result result, const char *message);
/** The record of a failed attempt, and no more: what it printed. */
bytes settle_say_failed(task *t, execution_result result, const char *message);

/** It failed before and that still holds: `how` has message and log, the rest is filled in. Ends the task. */
void settle_failed_before(task *t, uint64_t execution, weir_event *how);

/* --- failure.c --------------------------------------------------------------------------------------------------- */
/** The attempt that has just failed: may what it read be all that its failure came from? */
bool failure_may_be_known(const task *t);
/** No failure of such a node is ever known, nor is one found that was recorded before it was declared so (F1). */
bool failure_is_never_known(const node_spec *spec);
/** The failure in t->end was said; if it is known it is found from now on. */
int failure_learn(task *t, weir_error *err);
/** The lookup came upon this known failure: its node has failed again. Ends the task, if it returns 0. */
int failure_found(task *t, const cat_result *result, weir_error *err);
/** Did this node fail in this run (or is it blocked), so that nobody may read what it makes? */
bool failure_is_lost(weir *w, const cat_node *maker);
/** The attempt read t->unmade: recorded as that, the node is blocked by its maker. What the attempt wrote is gone. Ends the task. */
void failure_blocks(task *t);
/** The lookup came upon what `maker` could not make. *sure: the node would read it again. */
int failure_would_read(task *t, bool *sure, weir_error *err);

/* --- misled.c ---------------------------------------------------------------------------------------------------- */
void misled_begin(weir *w);
/** The node failed, or is blocked, over what `maker` made, and this is nowhere stored: remembered for this run. */
int misled_note(weir *w, uint64_t node, uint64_t maker, weir_error *err);
/** The same for all makers of what it had found and needed, and for who will make what nobody made so far. */
int misled_note_reads(weir *w, uint64_t node, const read_record *reads, size_t count, weir_error *err);
/** The same for the files of an attempt whose reads are not recorded. NULL: it died. */
int misled_note_report(weir *w, uint64_t node, const job_report *report, weir_error *err);
/** This node made something else than before: those whom that concerns are looked at in the next turn. */
int misled_recall(weir *w, const cat_node *maker, weir_error *err);

/* --- inflight.c -------------------------------------------------------------------------------------------------- */
/** Has an input of a running node that is to be restarted then changed? Looks at what a watch has noted meanwhile. */
void inflight_look(weir *w);

/* --- held.c ------------------------------------------------------------------------------------------------------ */
/** Why a failed node that must run does not run again by itself; NULL: it does. */
int held_why(task *t, const char **why, weir_error *err);

/* --- flight.c ---------------------------------------------------------------------------------------------------- */
/** A task that must run: *follows when identical work is under way (it is TASK_FOLLOWING then). */
int flight_join(task *t, bool *follows, weir_error *err);
/** The task ends: whoever waited for it is settled once more. */
void flight_leave(task *t);

/* --- policy.c ---------------------------------------------------------------------------------------------------- */
/** The key under which the result that holds would be found if the effect's `code` had stayed what it was; false: there is none. */
int policy_other_key(task *t, hash128 *key, bool *has, weir_error *err);
/** A stored result is about to be used: *fits, unless its code must be that of now and is not. Older code is noted under "warn". */
int policy_fits(task *t, const cat_result *result, bool *fits, weir_error *err);
/** The result is used: count it if older code made it. */
void policy_used(task *t);
/** End of a run: one message for each effect whose results are older than its code. */
void policy_tell(weir *w);

/* --- trust.c ----------------------------------------------------------------------------------------------------- */
/** What the request names is taken as the result of these nodes as it is on disk. WEIR_USAGE: there is nothing to take. */
int trust_accept(weir *w, weir_error *err);
/** The results of the node's key are found no more, and it is due. */
int trust_void(weir *w, uint64_t node, weir_error *err);
/** A result of the task's key is about to be recorded: give up the least used ones that are too many. */
int trust_cap(task *t, weir_error *err);
int trust_cap_failures(task *t, weir_error *err); /* the same for a failure that is known */
/* --- edges.c ----------------------------------------------------------------------------------------------------- */
/** A running node depends on `on`: an edge of this turn. A circle that cannot be broken: WEIR_FAILED, the message names it. */
int edge_add(weir *w, const cat_node *node, const cat_node *on, weir_error *err);
/** A node whose lookup asks for what `on` makes is due again behind it (plan_wait). WEIR_WORKFLOW: a circle, nothing has changed. */
int edge_wait(weir *w, uint64_t node, const cat_node *on, weir_error *err);
/** Would edge_add fail? Then WEIR_WORKFLOW. */
int edge_check(weir *w, const cat_node *node, const cat_node *on, weir_error *err);
/**
 * In the middle of a turn a node is declared anew, or wanted only now: it is a user of `on`, and the planner may have asked for those already. The
 * history that closes a circle is dropped; without any: WEIR_FAILED.
 */
int edge_enters(weir *w, const cat_node *node, uint64_t on, weir_error *err);
/** A result of before holds again: what it read besides is an edge now. WEIR_FAILED: not possible any more. */
int edge_restore(task *t, uint64_t execution, weir_error *err);
/**
 * Takes away what is history on the ways from `node` along its users to `on`. WEIR_FAILED: there is
 * a circle, and it is none of it. Before the first turn several edges may lead down: each of them is
 * cleared before any node is lifted, then the highest `on` of a circle meets all of it.
 */
int edge_clear(weir *w, const cat_node *on, const cat_node *node, weir_error *err);
/**
 * A list has declared `node` anew, as high as it is now, and its users are still where they were: the circles that this closes are parted. What was only
 * found to be read goes, whoever read it and is not open joins *again (ids) and is to be looked at; a job that waits in a circle fails. WEIR_FAILED: a
 * circle of none of these. @param height_before  of the node; height: that it comes to at most in this turn
 */
int edge_part(weir *w, const cat_node *node, uint32_t height_before, uint32_t height, map *again, weir_error *err);
/** The node has a result that was made from what `on` makes: it is lifted above, with its users; said in the log. After edge_add. */
int edge_lift(weir *w, const cat_node *on, const cat_node *node, weir_error *err);
/** Is anything that this node makes read by somebody who does not declare it? */
int edge_is_found(weir *w, uint64_t from, bool *found, weir_error *err);
/** Is what leads from one to the other but a read of an earlier execution? Another one may not read it any more. */
int edge_is_history(weir *w, uint64_t from, uint64_t to, bool *is_history, weir_error *err);
/** A discovered edge that is only history goes; `to` is due. */
void edge_say_dropped(weir *w, uint64_t from, cat_node *to);

/* --- need.c ------------------------------------------------------------------------------------------------------ */
typedef enum need_end { NEED_NONE, NEED_RESTART, NEED_BLOCKED, NEED_FAILED } need_end;
/** A running job asked for nodes: it waits. */
int need_begin(task *t, const job_request *request, weir_error *err);
/** Answer those who have what they asked for; true: something moved, the planner may have more to do. */
bool need_pump(weir *w);
/** All that is left waits, and nothing can come: one waits for no list any more (true), or a job fails. */
bool need_stuck(weir *w);
/** How waiting ended the attempt of this task. */
need_end need_ended(const task *t);
/** The node is due again, behind what it needs; the task is the caller's to free. */
int need_restart(task *t, weir_error *err);
/** The live node of this graph with this name; NULL: none. */
int need_node(weir *w, bytes name, cat_node **node, weir_error *err);
/** Take a node in and see to it that it becomes up to date in this turn; *waits: it is not yet. */
int need_look(weir *w, cat_node *node, bool *waits, weir_error *err);
/** These form a circle: a job among them that waits for what it needs fails, `why` says for what. *ended: there was one. */
int need_end_circle(weir *w, const uint64_t *ids, size_t count, const char *why, bool *ended, weir_error *err);
/**
 * Nothing has a name that `node` asks for. *on: an expand node that is not settled yet (in a dry run: one that would run), whose list may have it;
 * 0: none. but: expand nodes that are not meant, or NULL.
 */
int need_lists(weir *w, const cat_node *node, const id_list *but, uint64_t *on, weir_error *err);
/** Hash of everything that a node has made. */
int resolve_node_hash(weir *w, const cat_node *node, hash128 *hash, weir_error *err);

/* --- command.c, jobs.c ------------------------------------------------------------------------------------------- */
/** Say the intent; once it is committed the task is armed. */
void command_begin(task *t);
/** Put the old outputs aside and spawn. */
void command_act(task *t);
/** An armed one that will not start after all. */
void command_disarm(task *t);
/** The declared inputs as they are now, as one group of reads appended to t->end; chunks of lists go into the store. */
int command_declared_reads(task *t, weir_error *err);
/** program, expanded line and tool fingerprint, for the key. */
int command_prepare(task *t, weir_error *err);
/** A discovered read of another node's output: raced when its maker is not settled; *unmade, and kept as t->unmade, when that failed. This node is lifted above it. */
int command_found_output(task *t, const cat_item *item, bool *raced, bool *unmade, weir_error *err);
void jobs_pump(weir *w);
/** A job that waits is ended: nothing it waits for will start. */
void jobs_end_waiting(task *t);
/** Retire the workers, or end them `now`. */
void jobs_stop(weir *w, bool now);
/** End of a run: workers and hosts end. `keep`: hosts stay, each with one worker that has not had a job yet. */
void jobs_end(weir *w, bool keep);
/** The loaded workflow is not the one of now: its host ends, and the workers that it forked. */
void jobs_drop_host(weir *w);
/** For the host of the workflow; lives as long as the engine. NULL: no memory. */
collector *jobs_collector(weir *w);
void jobs_free(weir *w);
/** The worker of a running job goes; the job ends as superseded, the others of the worker are handed out again. */
void jobs_supersede(task *t);
/** job_report.c: its job has left its worker and ended, well or not; the task goes on to its end. `report` is borrowed. */
void jobs_reported(task *t, const job_report *report);
/** The attempt came to nothing: what it wrote goes, and the node has failed as `result` says. */
void jobs_failed(task *t, execution_result result, const char *message);
/** It waited for a node, and that ended the attempt; `report` may be NULL: its worker is gone. */
void jobs_given_up(task *t, const job_report *report);
/** A value of this run, which may not be committed yet; jobs_value finds it. */
void jobs_remember_value(weir *w, hash128 hash, bytes encoded);
/** Describe one input; *missing: as below. */
int jobs_member(task *t, const spec_member *m, job_member *to, uint64_t *missing, weir_error *err);
/** A job waits: what it and its worker take (limits.c) is free. */
void jobs_give_seat(task *t);
/** It goes on, with the same limits as before; limits_may_start decides when. */
int jobs_take_seat(task *t, weir_error *err);
/** Describe a job; *missing: a node whose value is gone from the store. */
int jobs_order(task *t, job_order *order, uint64_t *missing, weir_error *err);
/** job_order.c: does its job ask for the members of this input as the effect looks at them? */
bool jobs_asks_for(const task *t, const spec_input *input);
/** Members that the order left out; fewer than were asked for, in whole blocks, when they are large. In the task's arena. */
int jobs_list(task *t, const job_list_request *request, job_list_answer *answer, uint64_t *missing, weir_error *err);
/** A value that is needed is gone from the store: its maker runs again first. Frees the task. */
int jobs_make_again(task *t, uint64_t maker, weir_error *err);
/** Where a job writes the output of this port, below the root; in the task's arena; NULL: no memory. */
char *jobs_temp_path(task *t, size_t port);

/** What a job has read of whole lists becomes one read each (job_lists.c). */
int jobs_fold_lists(task *t, weir_error *err);
/** The same of outputs that are folders (job_folders.c); only if nothing raced. */
int jobs_fold_folders(task *t, weir_error *err);
/** A file in a folder that is an input, and the names in one: are they as the state believes? */
int jobs_found_member(task *t, const job_read *from, cat_item *member, read_record *to, bool *raced, weir_error *err);
int jobs_check_names(task *t, const job_read *from, bool *raced, weir_error *err);

/* --- adopt.c ----------------------------------------------------------------------------------------------------- */
typedef struct adopted_process {
    uint64_t execution, node;
    uint64_t started; /* seq of its intent */
    int64_t pid, at_us;
    uint64_t ticks;
    hash128 token;
} adopted_process;
/** From now on it is known: its node is not started again as long as it runs. Once more for the same execution: nothing. */
int adopt_take(weir *w, const adopted_process *of, weir_error *err);
/** Is .weir/tmp/<name> of one of them? */
bool adopt_owns(const weir *w, const char *name);
/** The start of a run, before anything is looked at: those that have ended are settled, their nodes are due. */
int adopt_begin(weir *w, weir_error *err);
/** After the definition: those whose node is not declared any more, or otherwise than when it began, are ended. */
int adopt_check(weir *w, weir_error *err);
/**
 * Does the node run already (*runs), so that there is nothing to do for it now? One that is forced or voided is ended for the new
 * one: the task waits for that as TASK_ENDING, then it is settled again.
 */
int adopt_settle(task *t, bool *runs, weir_error *err);
/** Does it run, and is nothing to be done about it? */
bool adopt_runs(const weir *w, uint64_t node);
void adopt_free(weir *w);

/* --- recover.c --------------------------------------------------------------------------------------------------- */
/** Settle executions that an earlier engine left open; sweep .weir/tmp. */
int recover_open(weir *w, weir_error *err);
/** Settle one execution that was adopted: it has ended, or is to end. */
int recover_one(weir *w, uint64_t execution, weir_error *err);
/** What that would come to, for a dry run that must not do it: nodes and outputs as they will be then. */
int recover_foresee(weir *w, weir_error *err);

#endif
