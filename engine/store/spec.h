/*
 * spec.h - what a workflow declares: effects and nodes, as structs and as bytes.
 *
 * The same struct travels from the script host to the engine (members by name) and into the log (members by id). The bytes of a
 * stored spec are canonical: ports in byte order, defaults filled in, no source position: equal bytes mean an equal
 * declaration. All pointers are borrowed from whatever arena or frame they were decoded into. Any thread.
 */
#ifndef WEIR_STORE_SPEC_H
#define WEIR_STORE_SPEC_H

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/memory.h"

/** What a graph can depend on, beside nodes. Numbers are stored. */
typedef enum item_kind {
    ITEM_FILE = 1,  /* a path below the root, or absolute for files of the system (tools, modules); source or output */
    ITEM_GLOB = 2,  /* a pattern; its content is the sorted list of matching names */
    ITEM_ENV = 3,   /* an environment variable; unset differs from empty */
    ITEM_VALUE = 4, /* a named value: weir set, weir.value, weir.param */
    ITEM_TOOL = 5,  /* a program on PATH: resolved path and fingerprint */
    ITEM_BUILD = 6, /* weir's own build; the name is "weir" */
    ITEM_FOLDER = 7, /* a folder: names and types of what is directly in it */
    ITEM_TREE = 8,   /* a folder: everything below it, with content */
    ITEM_LINK = 9,   /* a symbolic link: its text, not what is behind it */
    ITEM_NODE = 11,  /* a node that is needed while another one runs, by name; its content is all that the node makes */
    ITEM_MEMBER = 12 /* a file in an output that is a folder, by path; its content is what the list of the folder says */
} item_kind;

typedef enum effect_kind { EFFECT_LUA = 1, EFFECT_C = 2, EFFECT_COMMAND = 3 } effect_kind;

/** Where in the workflow something was declared; never stored. */
typedef struct source_position {
    const char *file; /* as given to the loader; NULL when declared from C */
    int line;
} source_position;

/** What a change of an effect's code does to the results of the old one. Numbers are stored. */
typedef enum code_policy {
    CODE_TRACK = 0, /* the code is in the key: its results are not used */
    CODE_WARN = 1,  /* they are used, and that is said */
    CODE_PIN = 2    /* they are used; the declared version decides */
} code_policy;

typedef struct effect_spec {
    bytes name;
    effect_kind kind;
    bytes version;  /* declared version, "" if none */
    hash128 code;   /* Lua: code hash; C: build id of the file; command: HASH_NONE */
    bytes always;   /* not empty: results cannot be memoised, and this is why */
    code_policy policy;
    bytes library;  /* plug-in path for C effects that are loaded, "" for built-in ones */
    source_position position;
} effect_spec;

/** One thing behind an input port. */
typedef enum member_kind {
    MEMBER_ITEM = 1,  /* an item: file, env, value, tool */
    MEMBER_NODE = 2,  /* a node with all it makes: value and files */
    MEMBER_OUTPUT = 3, /* one output file of a node, by port */
    MEMBER_EXPAND = 4  /* all nodes that an expand node has declared, in order */
} member_kind;

typedef struct spec_member {
    member_kind kind;
    item_kind item;   /* MEMBER_ITEM */
    uint64_t id;      /* item or node id; 0 before the engine has resolved `name` */
    bytes name;       /* item or node name; empty once stored */
    bytes port;       /* MEMBER_OUTPUT: which output, or "port/path": that file in it, a folder; MEMBER_ITEM of a named value: encoding of its default, empty: none */
} spec_member;

typedef struct spec_input {
    bytes port;
    bool is_list; /* written as a list, even of one */
    spec_member *members;
    size_t count;
    uint32_t kinds; /* of a stored declaration: which kinds occur among its members, 1 << member_kind each */
    /* In memory, once MEMBER_EXPAND was replaced by the nodes it stands for: the members as declared. Else NULL. */
    spec_member *declared;
    size_t declared_count;
} spec_input;

/** Is there such a member? Of a stored declaration; it costs nothing, however long the list is. */
static inline bool spec_input_has(const spec_input *in, member_kind kind)
{
    return in->kinds & 1u << kind;
}

typedef struct spec_output {
    bytes port;
    bytes path;  /* relative to the root, normalised; empty once stored */
    uint64_t id; /* item id; 0 before it is resolved */
} spec_output;

typedef struct spec_env {
    bytes name, value;
} spec_env;

typedef enum job_type { JOB_PURE = 0, JOB_BATCH = 1, JOB_OPS = 2, JOB_DAEMON = 3, JOB_SERVICE = 4 } job_type;

enum spec_flags {
    SPEC_ALWAYS = 1,   /* due in every run */
    SPEC_UPDATE = 2,   /* outputs stay in place before the run; not restorable */
    SPEC_NO_STORE = 4, /* payloads are not kept */
    SPEC_SHELL = 8,    /* command is one text for /bin/sh -c, in command[0] */
    SPEC_EXPAND = 16,  /* its value is a list of declarations */
    SPEC_TRANSIENT = 32, /* outputs are on disk only while somebody needs them */
    SPEC_JOBSERVER = 128, /* the command takes part in our jobserver; not in the key */
    SPEC_RESTART = 1024, /* when an input changes while it runs: the attempt ends, another one begins; not in the key */
    SPEC_IGNORE = 2048   /* then: that alone does not make it run again; not in the key */
};

typedef struct node_spec {
    bytes name;   /* full: base[params] */
    bytes base;   /* without params */
    bytes effect; /* name of the effect */
    uint64_t effect_id;
    bytes params; /* canonical object (value.h), defaults filled in */
    spec_input *inputs;
    size_t input_count;
    spec_output *outputs;
    size_t output_count;
    bytes *command; /* argv with {{placeholders}}, or one text with SPEC_SHELL */
    size_t command_count;
    bytes depfile; /* path with placeholders expanded; empty: none */
    spec_env *env;
    size_t env_count;
    bytes version;
    uint32_t flags;
    job_type job;
    uint32_t retries;
    uint64_t timeout_ms; /* 0: none */
    bytes pool;          /* of nodes that share pool_depth places; empty: none. This and what follows: never in a key */
    uint32_t pool_depth; /* not 0 with a pool */
    uint32_t cpus;       /* slots that it takes; 0: one */
    uint64_t mem_bytes;  /* that it may need, of the engine's budget; 0: not said */
    uint64_t parent;     /* the expand node that declared it; 0: the workflow */
    source_position position;
} node_spec;

/** Wire form: names, and the position. Sorts ports, outputs and env in place by byte order first. */
void spec_put_declared(buf *b, node_spec *spec);
int spec_get_declared(bytes from, mem_arena *arena, node_spec *spec, weir_error *err);
/** Stored form: ids instead of names of members and of output paths, no position. `name` is stored. */
void spec_put_stored(buf *b, node_spec *spec);
int spec_get_stored(bytes from, mem_arena *arena, node_spec *spec, weir_error *err);

void effect_put(buf *b, const effect_spec *spec, bool with_position);
int effect_get(bytes from, mem_arena *arena, effect_spec *spec, weir_error *err);

/** One JSON object with every field; strings that are not UTF-8 also as base64. */
int spec_to_json(const node_spec *spec, buf *to, weir_error *err);
int effect_to_json(const effect_spec *spec, buf *to, weir_error *err);
/** "file", "glob" ... and "pure", "batch" ...; "?" for other numbers. */
const char *spec_item_name(int kind);
const char *spec_job_name(int job);
/** "track", "warn", "pin"; "?" for other numbers. */
const char *spec_policy_name(int policy);

/** Index of a port, or -1. Arrays are sorted once put or got. */
int spec_input_index(const node_spec *spec, bytes port);
int spec_output_index(const node_spec *spec, bytes port);
/** The same for the port of a MEMBER_OUTPUT; *below: the path of a file in that output, empty: the output itself. */
int spec_member_output(const node_spec *spec, bytes port, bytes *below);

/**
 * Write a node's full name: base, then its params sorted, `page[lang=en,post=intro]`; odd characters
 * are quoted, tables become a short hash, floats read back the same. No params: the base alone.
 */
int spec_format_name(bytes base, bytes params, buf *to, weir_error *err);
/** Is it `pattern`, in which * stands for any run of characters and nothing else is special? */
bool spec_name_matches(bytes pattern, bytes name);
/** Is it base[...]? */
bool spec_name_has_base(bytes name, bytes base);

#endif
