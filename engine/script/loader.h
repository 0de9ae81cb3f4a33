/*
 * loader.h - a workflow being loaded, and afterwards what its workers inherit.
 *
 * The loader owns the strict Lua state with the `weir` table. While loading, declarations are
 * checked and handed on through the
 * link, one by one; little stays behind (luahandle.h). When the workflow has ended, loader_load
 * takes the code hashes of its Lua effects
 * and hands on the effects. In a worker the same object performs jobs (luajob.h).
 *
 * Pure of processes and sockets: host_child.c makes a link that writes frames, tests make others.
 * One thread.
 */
#ifndef WEIR_SCRIPT_LOADER_H
#define WEIR_SCRIPT_LOADER_H

#include "engine/script/host.h"
#include "engine/script/luavm.h"

/** What the loader tells and asks. Pointers are borrowed during the call; functions must not raise Lua errors. */
typedef struct script_link {
    void *ctx;
    void (*effect)(void *ctx, const effect_spec *spec);
    void (*node)(void *ctx, node_spec *spec);
    void (*default_target)(void *ctx, bytes target);
    void (*definition_read)(void *ctx, item_kind kind, bytes name, hash128 hash);
    void (*diagnose)(void *ctx, const diagnostic *d);
    int (*glob)(void *ctx, bytes pattern, mem_arena *arena, bytes **paths, size_t *count,
                weir_error *err);
    int (*value)(void *ctx, bytes name, bytes fallback, buf *answer, weir_error *err);
    int (*may_read)(void *ctx, bytes path, bool *may, weir_error *err);
} script_link;

typedef struct loader_config {
    const script_link *link; /* kept */
    registry *effects;       /* kept */
    int rootfd;
    const char *lua_folder; /* kept; NULL: embedded library */
    size_t memory_limit;
} loader_config;

/** An effect that nodes can apply. */
typedef struct script_effect {
    char *name;
    effect_kind kind;
    const registry_entry *entry;  /* EFFECT_C */
    int run;                      /* EFFECT_LUA: reference in the Lua registry */
    const char *version, *always; /* "" if none */
    const char *file;             /* where it was registered; NULL */
    int line;
    bool is_used;   /* by a node */
    bool is_expand; /* weir.expand: its node's value is a list of declarations */
    code_policy policy;
    uint32_t inflight; /* SPEC_RESTART, SPEC_IGNORE or 0: of its nodes, unless they say otherwise */
    hash128 code;
    bool uses_require;
    bool is_opaque; /* reaches what cannot be looked into: its worker serves one job */
    hash128 *state; /* worker: hash of what is reachable, per upvalue of run; NULL: not taken yet */
    size_t state_count;
    bool has_state; /* worker: there are tables that a job could change */
} script_effect;

/** A Lua file or C module that was loaded. */
typedef struct loaded_file {
    const char *path;
    hash128 fingerprint;
    bool is_foreign; /* from outside the project */
} loaded_file;

typedef struct loader {
    luavm *vm;
    lua_State *L;
    const script_link *link;
    registry *registry;
    int rootfd;
    const char *lua_folder;
    bool is_loading;
    job *job; /* worker: the one that runs */
    const job_order *order;
    script_effect *current; /* its effect */
    uint64_t job_serial;    /* handles of an older job are refused */
    size_t errors;
    buf always; /* reason why the definition must be evaluated on every run */

    mem_arena kept;          /* names, paths: as long as the loader */
    mem_arena scratch;       /* one call from Lua */
    buf text, encoded, pack; /* scratch of one call */
    script_effect *effects;
    size_t effect_count, effect_capacity;
    map effect_index;   /* name -> index */
    map node_lines;     /* hash of the full name -> file << 32 | line; of a list: the entry */
    uint32_t list_entry; /* of the list that is read (weir.expand), from 1 on; 0: none is */
    map reads_seen;     /* kind and name: reported once */
    map pools;          /* name -> depth, of weir.pool */
    map places_seen;    /* file:line of findings in shared functions: reported once */
    const char **files; /* of node_lines */
    size_t file_count, file_capacity;
    loaded_file *loaded;
    size_t loaded_count, loaded_capacity;
    struct undone { uint64_t file; int line; bool is_open; uint32_t next_free; } *undone; /* begun declarations (undone.c) */
    size_t undone_count, undone_capacity;
    uint32_t free_slot;
    const char *source_file; /* whose text is in source_text, for diagnostics */
    buf source_text;
} loader;

int loader_open(loader **out, const loader_config *config, weir_error *err);
void loader_close(loader *ld);
/** Evaluate the workflow; all findings go through the link, ld->errors counts them. An error only when nothing could be tried. */
int loader_load(loader *ld, const char *workflow, weir_error *err);

/* --- for the files of this folder --- */

loader *loader_of(lua_State *L);
/** Empty the scratch memory: at the start of a C function that uses it. */
void loader_scratch(loader *ld);
/** Raise unless a workflow is being loaded. */
void loader_need_loading(lua_State *L, const char *what);
/** Tell the link about a read, once per kind and name. */
void loader_read(loader *ld, item_kind kind, bytes name, hash128 hash);
/** Fingerprint and (where `content` is not NULL) content of a file below the root, or an absolute one. Absent: 0, HASH_ABSENT. Not recorded. */
int loader_file(loader *ld, const char *path, buf *content, hash128 *fingerprint, weir_error *err);
void loader_always(loader *ld, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Index of an effect by name, or -1. */
int loader_find_effect(const loader *ld, bytes name);
/** Add an effect; its index, or -1 without memory. The name must be free. */
int loader_add_effect(loader *ld, bytes name, effect_kind kind);
/** Number (from 1) under which a name of a source file is kept in `files`; 0: none, or no memory. */
uint64_t loader_file_number(loader *ld, const char *file);
/** Remember a loaded file; false without memory. */
bool loader_add_file(loader *ld, const char *path, hash128 fingerprint, bool foreign);
const loaded_file *loader_find_file(const loader *ld, const char *path);
/** Hash over all that was loaded: stands for what cannot be looked into. */
hash128 loader_all_files(const loader *ld);

/* diagnose.c */
/** The declaring call: the innermost frame of a project file. */
source_position diagnose_position(lua_State *L);
/** Report an error at `where`; `key` (may be NULL): the word to look for in the source from there on, for line and column. */
void diagnose(loader *ld, source_position where, const char *key, const char *hint,
              const char *format, ...) __attribute__((format(printf, 5, 6)));
void diagnose_failure(loader *ld, const luavm_failure *failure);

/* undone.c */
/** The function that waits for the table of a declaration is made: its slot, to be given back by undone_done. 0: no memory. */
uint32_t undone_begin(lua_State *L, loader *ld);
/** It was called; 0, or a slot given back before, is ignored. */
void undone_done(loader *ld, uint32_t slot);
/** Loading ended without an error: those that are left are findings. */
void undone_report(loader *ld);

/* luaapi.c, luaitems.c, luarequire.c, luadeclare.c */
void luaapi_install(lua_State *L, loader *ld);
void luarequire_install(lua_State *L);
/** Set the loaders' idea of a job: modules required inside it are forgotten at its end. Raises. */
void luarequire_job(lua_State *L, bool begins);
/** Push the table of modules loaded with the workflow (name -> value). */
void luarequire_modules(lua_State *L);
int luarequire_chunkname(lua_State *L, const char *path);
/** Declare a node: the table at idx applies the effect. Pushes its handle. Raises only for programming mistakes and memory. */
int luadeclare(lua_State *L, loader *ld, uint32_t effect, bytes base, int idx);
/** weir.expand: effect and node in one table at idx. Pushes the node's handle. */
int luadeclare_expand(lua_State *L, loader *ld, bytes name, int idx);
/** Worker: the list on top of the stack, which an expand effect returned, is replaced by checked declarations. Raises with all findings. */
void luadeclare_list(lua_State *L, loader *ld);
/** Loading ends: what expand nodes may apply counts as used. Raises. */
void luadeclare_applicable(lua_State *L, loader *ld);
/** weir.effect's registration: the table at idx. Pushes the effect's handle. */
int luadeclare_effect(lua_State *L, loader *ld, bytes name, int idx);
/** weir.pool(name, depth): gives the name. */
int luadeclare_pool(lua_State *L);
int luaitem_file(lua_State *L);
int luaitem_glob(lua_State *L);
int luaitem_folder(lua_State *L);
int luaitem_tree(lua_State *L);
int luaitem_link(lua_State *L);
int luaitem_env(lua_State *L);
int luaitem_value(lua_State *L);
int luaitem_tool(lua_State *L);
int luaitem_read(lua_State *L);
/** Content of a file by path: recorded read of the job, or of the definition. Pushes a string or nil. */
int luaitem_read_path(lua_State *L, loader *ld, bytes path);

#endif
