/*
 * job.h - one execution inside a worker: what it may read, what it wrote, what it looked at.
 *
 * The engine describes a job (job_order), a worker performs it through these functions, which record every read once, and sends the
 * job_report back. C effects reach them through weir_host, Lua effects through the script floor; both therefore record the same.
 * Worker processes only, one thread.
 */
#ifndef WEIR_EFFECT_JOB_H
#define WEIR_EFFECT_JOB_H

#include "engine/base/os.h"
#include "engine/effect/registry.h"
#include "engine/store/event.h"

/** A file that a member stands for. */
typedef struct job_file {
    bytes port;   /* output port of the node that makes it; "" for a source */
    bytes path;   /* below the root, or absolute; NUL behind it */
    hash128 hash; /* fingerprint that the engine believes in; HASH_ABSENT */
    uint64_t item;
} job_file;

typedef struct job_member {
    member_kind kind;
    item_kind item_type;  /* MEMBER_ITEM */
    bool is_key;          /* MEMBER_ITEM, ITEM_FILE: a key of that document, no file: it has a value */
    bytes name;           /* node name, or name of the item; of a key: document:key */
    uint64_t id;          /* node or item id */
    job_file *files;      /* MEMBER_NODE: by port order; MEMBER_OUTPUT and file items: one; others none */
    size_t file_count;
    bool has_value;       /* node value, or the value of an env, value, tool item (tool: its path as a string) */
    hash128 value_hash;
    bytes value;          /* canonical encoding; empty: see value_path */
    bytes value_path;     /* file with the encoding, below the root */
    bytes params;         /* MEMBER_NODE, MEMBER_OUTPUT: canonical params of that node */
} job_member;

enum { JOB_LIST_BLOCK = 8 }; /* members of a long list come in blocks */

typedef struct job_input {
    bytes port;
    bool is_list;
    job_member *members; /* NULL: they come when they are looked at (job_list.c) */
    size_t count;
    hash128 names;       /* members NULL: read_names_hash of them, HASH_NONE: not known here */
} job_input;

/** Members that the order left out. */
typedef struct job_list_request {
    uint64_t id; /* of the execution */
    uint64_t port, from, count; /* `from` begins a block */
} job_list_request;

typedef struct job_list_answer {
    bool is_failure;     /* the job ends: `failure` says why */
    bytes failure;
    job_member *members; /* all that were asked for, or the first blocks of them */
    size_t count;
} job_list_answer;

typedef struct job_output {
    bytes port;
    bytes path; /* where it will end up, below the root; ends in '/': a folder */
    bytes temp; /* where the worker writes it, below the root; parents exist. No '/' at its end */
} job_output;

/** What an effect asks for while it runs: names of nodes, paths of files. */
typedef struct job_request {
    uint64_t id; /* of the execution */
    bytes *names; /* NUL behind each */
    size_t count;
} job_request;

typedef enum needed_kind {
    NEEDED_NODE = 1,   /* `member`, `item`, `hash` */
    NEEDED_PATH = 2,   /* `text`: the path, normalised; it is up to date now. `item`: it could have been a node's name */
    NEEDED_NO_NAME = 3 /* no node and no file is called that: `text` says so, `item` stands for the name */
} needed_kind;

typedef struct job_needed {
    needed_kind kind;
    uint64_t item;     /* ITEM_NODE: stands for the name */
    hash128 hash;      /* of everything that the node made */
    bytes text;
    job_member member; /* MEMBER_NODE */
} job_needed;

typedef struct job_answer {
    bool is_failure;   /* the job ends: `failure` says why */
    bytes failure;
    job_needed *list;  /* in the order of the request */
    size_t count;
} job_answer;

typedef struct job_order {
    uint64_t id;        /* execution id */
    bytes node, effect;
    effect_kind kind;   /* EFFECT_LUA or EFFECT_C */
    bytes library;      /* plug-in to load first; "" */
    bytes params;
    job_input *inputs;  /* sorted by port, as in the spec */
    size_t input_count;
    job_output *outputs;
    size_t output_count;
    uint64_t timeout_ms;
    bool keep;          /* small outputs and values come back inline */
    /** In a worker: ask the engine and wait; *answer (packed) in `arena`. NULL: cannot be asked. They do not travel. */
    int (*need)(void *ctx, const job_request *request, mem_arena *arena, bytes *answer, weir_error *err);
    int (*list)(void *ctx, const job_list_request *request, mem_arena *arena, bytes *answer, weir_error *err);
    void *ask_ctx;
} job_order;

typedef struct job_read {
    read_ref ref;       /* ref.port -1: `path` says which file (item 0); or a needed node: its name, source_is_node, item stands for the name */
    bytes path;
    uint32_t group;
    uint64_t source;    /* member's item or node id */
    bool source_is_node;
    hash128 hash;       /* as the worker saw it */
    bool differs;       /* from what the engine believed: raced */
} job_read;

typedef struct job_written {
    uint32_t port;
    hash128 hash;       /* fingerprint with mode; of a folder HASH_NONE: the engine looks at it */
    hash128 content;    /* plain content hash */
    uint64_t size;
    uint32_t mode;
    bool is_inline;     /* content below, at most BLOB_INLINE; the temp file exists all the same */
    bytes inlined;
} job_written;

typedef struct job_report {
    uint64_t id;
    bool ok;
    bool known;         /* not ok, and what it read is the reason: no memory, disk or descriptor was missing */
    bytes message;      /* why it failed: one line; Lua: with file:line */
    bytes log;          /* print, log lines, traceback */
    job_read *reads;
    size_t read_count;
    job_written *written;
    size_t written_count;
    bool has_value;
    hash128 value_hash;
    bytes value;        /* canonical encoding (at most VALUE_LIMIT) */
    bool impure;        /* it changed shared state */
    bytes impure_what;
    uint64_t duration_us, cpu_us;
} job_report;

/** Everything a running job holds. */
typedef struct weir_job job;

/** @param order  borrowed until job_free */
int job_new(job **out, const job_order *order, int rootfd, weir_error *err);
void job_free(job *j);
/** Close outputs, hash them, check that all were written; fill the report (valid until job_free). `failure` NULL: the effect succeeded. */
void job_finish(job *j, const char *failure, job_report *report);

/* Reads; each is recorded once. Pointers live until job_free. 0, or a code with the message in job_error(j). */
int job_read_content(job *j, size_t port, size_t member, int sub, bytes *content);
int job_read_value(job *j, size_t port, size_t member, bytes *encoded);      /* canonical encoding */
int job_read_params(job *j, size_t port, size_t member, bytes *encoded);
int job_read_path(job *j, size_t port, size_t member, int sub, bytes *path);
/** The names of a list (job_member_name) become a read, all of them as one; with them it is known how many there are. */
int job_read_names(job *j, size_t port, size_t *count);
/** The names in a folder, a tree, an output that is a folder: a list as its encoding; data NULL: it is not there. */
int job_read_files(job *j, size_t port, size_t member, int sub, bytes *encoded);
/** A file below one of these by its path there; absent: 0 and content->data NULL. Read as job_read_file does. */
int job_read_below(job *j, size_t port, size_t member, int sub, bytes path, bytes *content);
/** The output that is meant, if it is a folder; else NULL. */
const job_file *job_member_folder(const job_member *m, int sub);
int job_read_outpath(job *j, size_t output, bytes *path);
/** Any file below the root; absent: 0 and content->data NULL. A declared input of that path counts as that. */
int job_read_file(job *j, bytes path, bytes *content);
/** A file of the system by its absolute path (a module that `require` found outside the root). Recorded like a file by path. */
int job_read_system(job *j, bytes path, bytes *content);
/** Wait until these are up to date. They are the members of a new input *port; an absent file has no files. */
int job_need(job *j, const bytes *names, size_t count, size_t *port);
/** NULL with the error set when there is no such member, or it does not come. It stays until job_free. */
const job_member *job_member_at(job *j, size_t port, size_t member);
/** A declared input or one of job_need; NULL: there is none. */
const job_input *job_input_at(const job *j, size_t port);
/** One part of a member as text; it has none: 0 with text->data NULL. Recorded either way (job_ask.c). */
int job_ask(job *j, size_t port, size_t member, weir_part part, bytes *text);
int job_find_input(const job *j, bytes port);  /* index or -1 */
int job_find_output(const job *j, bytes port);

int job_write(job *j, size_t output, bytes content);
int job_copy(job *j, size_t output, size_t port, size_t member);
int job_temp(job *j, size_t output, bytes *path);
void job_mode(job *j, size_t output, uint32_t mode);
/**
 * A file in an output that is a folder: *number goes where an output's does, in job_write, job_copy, job_temp, job_mode. The same path is the same file;
 * it is there, and empty, even if nothing is written to it.
 */
int job_part_named(job *j, size_t output, bytes path, size_t *number);
/** Where it will end up. */
int job_part_path(job *j, size_t number, bytes *path);
int job_value(job *j, bytes encoded); /* canonical; copied */
void job_log(job *j, bytes text);     /* capped at 1 MiB */
void job_impure(job *j, const char *what);
/** What fails now is no matter of what was read: memory was short, the code is not there. */
void job_by_chance(job *j);
const char *job_error(const job *j);
mem_arena *job_memory(job *j);

/** Perform an order with a C effect, from job_new to job_finish. The report lives as long as *out. */
int job_perform(const registry_entry *entry, const job_order *order, int rootfd, job **out, job_report *report, weir_error *err);

/* Packed forms, for the frames of the script floor. Decoded structs borrow from `from` and `arena`. */
void job_request_put(buf *b, const job_request *request);
int job_request_get(bytes from, mem_arena *arena, job_request *request, weir_error *err);
void job_answer_put(buf *b, const job_answer *answer);
int job_answer_get(bytes from, mem_arena *arena, job_answer *answer, weir_error *err);
void job_list_request_put(buf *b, const job_list_request *request);
int job_list_request_get(bytes from, job_list_request *request, weir_error *err);
void job_list_answer_put(buf *b, const job_list_answer *answer);
int job_list_answer_get(bytes from, mem_arena *arena, job_list_answer *answer, weir_error *err);
void job_order_put(buf *b, const job_order *order);
int job_order_get(bytes from, mem_arena *arena, job_order *order, weir_error *err);
void job_report_put(buf *b, const job_report *report);
int job_report_get(bytes from, mem_arena *arena, job_report *report, weir_error *err);

#endif
