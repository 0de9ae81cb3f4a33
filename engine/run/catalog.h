/*
 * catalog.h - the part of the state that a run has touched, in memory.
 *
 * Items, nodes and effects are loaded from the read connection when first asked for and stay until the run ends. What the loop thread
 * says into the log it also says here (catalog_*: the fold in memory), so memory is ahead of the database and always wins; the
 * read connection's snapshot moves on only at catalog_refresh, after the writer's answer.
 *
 * T1  At most one struct per id; pointers stay valid until catalog_clear.
 * T2  New ids are handed out here, above every id in the database; ids of names are never reused.
 *
 * Loop thread only.
 */
#ifndef WEIR_RUN_CATALOG_H
#define WEIR_RUN_CATALOG_H

#include "engine/run/journal.h"
#include "engine/store/db.h"

typedef struct cat_item {
    uint64_t id;
    item_kind kind;
    bytes name;        /* NUL behind it */
    hash128 hash;      /* what the state says: last observed (source) or last written (output); HASH_NONE: never seen */
    uint64_t size;
    uint32_t mode;
    uint64_t node;     /* the live node that claims it; 0: a source */
    bool disk_differs; /* output: what is on disk is not `hash` */
    hash128 disk_hash; /* then: what was seen */
    hash128 left;      /* this run: what the node that claimed it until now had made there; HASH_NONE: none did */
    bool foreseen;     /* dry run: it is on disk only after recovery; disk_differs says how it will be */
} cat_item;

typedef struct cat_effect {
    uint64_t id, seq;
    effect_spec spec;
    uint64_t graph;
} cat_effect;

enum { HAS_FAILED = 1, WAS_BLOCKED = 2, IS_RUNNING = 3 };
enum cat_status { CAT_SETTLED = 0, CAT_DUE = 1, CAT_FAILED = 2, CAT_BLOCKED = 3, CAT_GONE = 9 };

typedef struct cat_node {
    uint64_t id, graph, effect, spec_seq, successor, settled, execution;
    uint32_t height;
    int status;        /* cat_status */
    int due;           /* reason_kind while CAT_DUE; REASON_INTERRUPTED while CAT_FAILED: no run has said so yet */
    bool always;
    hash128 value;
    node_spec spec;    /* decoded; name set */
    uint64_t blocked_by; /* this turn: the failed node above it; 0: none */
    bool forced;       /* this run: run whatever is stored */
    bool looked;       /* this run: due only because what it needs may not be up to date */
    int has_failed;    /* this run: HAS_FAILED, WAS_BLOCKED, and its users with it; IS_RUNNING: adopt.c; 0: none of them */
    bool planned;      /* dry run: it would run, or may; what it makes is unknown */
    uint64_t waited;   /* this run: the turn, + 1, in which it waited for its expand node */
    uint64_t apart;    /* this run: the turn, + 1, in which it does not come after its expand node: that would be a circle */
    bool raced;        /* this run: its last attempt was */
    uint32_t retries;  /* this run: failed attempts that were followed by another one */
} cat_node;

typedef struct catalog catalog;

/** db_path NULL: nothing is recorded. `snapshot`: all answers are as of now, whatever others commit meanwhile. */
int catalog_open(catalog **out, const char *db_path, journal *j, bool snapshot, weir_error *err);
void catalog_close(catalog *c);
/** Forget everything loaded; the next look sees the newest commit. All events must be committed. */
void catalog_clear(catalog *c);
/** Wait until all events are committed and let the read connection see them; what is in memory stays. */
int catalog_refresh(catalog *c, weir_error *err);
db *catalog_db(catalog *c);

typedef struct id_list {
    uint64_t *ids; /* owned: mem_free at the end */
    size_t count, capacity;
} id_list;
/**
 * The first `width` columns of all rows of a statement, one after the other, in place of what was in the list: the statement is done
 * before the next one begins. Its parameters 1 and 2 are `first` and `second`; 0: not bound.
 */
int catalog_ids(catalog *c, int statement, uint64_t first, uint64_t second, size_t width, id_list *list, weir_error *err);
mem_arena *catalog_arena(catalog *c); /* lives until catalog_clear */
journal *catalog_journal(catalog *c);
buf *catalog_body(catalog *c);        /* scratch for event bodies; journal_say clears it */
uint64_t catalog_nodes_loaded(const catalog *c);
/** A place to write something down under a name, empty at first; until catalog_clear. NULL: out of memory. */
bytes *catalog_note(catalog *c, bytes name);

/** NULL: not there, or *err. */
cat_item *catalog_item(catalog *c, uint64_t id, weir_error *err);
/** Find by name; `make`: give it an id and say so in the log. NULL: absent (err->code 0), or an error. */
cat_item *catalog_item_named(catalog *c, item_kind kind, bytes name, bool make, weir_error *err);
/** May any output be a folder? Else nobody need ask which one a path lies in. */
bool catalog_has_folders(catalog *c);
cat_node *catalog_node(catalog *c, uint64_t id, weir_error *err);
/** The same, only if it is in memory already: asks nobody. */
cat_node *catalog_loaded(const catalog *c, uint64_t id);
/**
 * The node behind a member of an input: a node that is named stands for itself, a list for its expand node, an item for the node that makes it.
 *
 * @param maker  out: its id; 0: a source, or a member whose name was not resolved
 * @return 0; WEIR_BUG when the item is not stored; what reading the database came to
 */
int catalog_maker(catalog *c, const spec_member *m, uint64_t *maker, weir_error *err);
/** Id of a node by name; 0: none, also vanished ones count. */
int catalog_node_named(catalog *c, uint64_t graph, bytes name, uint64_t *id, weir_error *err);
cat_effect *catalog_effect(catalog *c, uint64_t id, weir_error *err);
int catalog_effect_named(catalog *c, uint64_t graph, bytes name, uint64_t *id, weir_error *err);
uint64_t catalog_new_node_id(catalog *c);
uint64_t catalog_new_effect_id(catalog *c);
uint64_t catalog_new_execution_id(catalog *c);

/** Put a declared node in (new, or with a new declaration); the spec is copied deep into the arena. */
cat_node *catalog_put_node(catalog *c, uint64_t id, const node_spec *spec, weir_error *err);
cat_effect *catalog_put_effect(catalog *c, uint64_t id, const effect_spec *spec, weir_error *err);

/* The fold in memory: each says the event and changes what is loaded. */
/** A source was seen with another content (or for the first time). */
void catalog_observe(catalog *c, cat_item *item, hash128 hash, uint64_t size, uint32_t mode);
/** The node claims this output no more; what is there is left over. */
void catalog_release(cat_item *item, uint64_t node);
/** An output now holds this. */
void catalog_wrote(catalog *c, const output_record *output);

/* --- traces --------------------------------------------------------------------------------------------------- */

/** As lookup_source.probe: memory first, then the database. */
int catalog_probe(catalog *c, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *err);
/** Remember a trace that was just said. */
int catalog_learn(catalog *c, hash128 key, const read_record *reads, size_t count, uint64_t execution, weir_error *err);

typedef struct cat_result {
    uint64_t execution, node, spec_seq, effect_seq;
    hash128 key, tool, value;
    int result; /* execution_result */
    output_record *outputs;
    size_t output_count;
} cat_result;
/** What an execution made; also of this run. Borrowed until catalog_clear. WEIR_NOTFOUND. */
int catalog_result(catalog *c, uint64_t execution, const cat_result **result, weir_error *err);
void catalog_put_result(catalog *c, const cat_result *result); /* copied */
/** Reads of an execution, from the database or this run; in `arena`. */
int catalog_reads(catalog *c, uint64_t execution, mem_arena *arena, read_record **reads, size_t *count, weir_error *err);

#endif
