/*
 * define.h - a definition on its way into the graph. For define*.c alone.
 *
 *   define.c          what the host says is collected; is the stored definition still right?
 *   define_resolve.c  names become ids, edges, heights
 *   define_check.c    everything that can be wrong before anything runs
 *   define_apply.c    the difference to what is stored is said
 *   define_expand.c   the same of a list; define_circles.c: what it may close
 *   define_walk.c     from node to node through the stored graph
 *
 * Nodes are numbered 0..count-1 in the order of the workflow while they are looked at here. Loop thread only.
 */
#ifndef WEIR_RUN_DEFINE_H
#define WEIR_RUN_DEFINE_H

#include "engine/run/engine.h"

typedef struct declared_node {
    node_spec *spec; /* in the definition */
    uint64_t id;
    uint32_t height;
    uint32_t floor; /* least height, for what is not among these nodes; 0: none */
    /* what is stored under this name */
    bool is_known;
    int old_status;
    uint32_t old_height;
    hash128 old_spec; /* hash of its stored bytes */
    bool is_over, may_return; /* of a list: a user may not be above it any more, or even lead back to it */
} declared_node;

typedef struct declared_effect {
    effect_spec spec;
    uint64_t id;
    bool is_known, is_changed;
} declared_effect;

typedef struct declared_edge {
    uint32_t from, to; /* `to` takes what `from` makes */
} declared_edge;

typedef struct low_child {
    uint64_t node, on; /* on 0: it is settled */
} low_child;

typedef struct parted_edge {
    uint64_t from, to; /* nodes */
} parted_edge;

/** Nodes that were met, and those of them whose neighbours are still to be looked at. */
typedef struct node_walk {
    map seen;
    uint64_t *stack; /* owned */
    size_t count, capacity;
} node_walk;

typedef struct comparison {
    weir *w;
    definition *def;
    mem_arena arena;
    uint64_t graph;
    bool is_new_graph, has_others; /* others: the store holds further graphs */
    declared_node *nodes;
    size_t count;
    declared_effect *effects;
    size_t effect_count, effect_capacity;
    map by_name;   /* node name -> number + 1 */
    map by_path;   /* output path -> number + 1 */
    map by_item;   /* output item -> number + 1 */
    map by_effect; /* name -> number + 1 */
    declared_edge *edges; /* declared ones first, then discovered ones */
    size_t edge_count, edge_capacity, declared_count;
    declared_edge *dropped; /* discovered ones that would close a circle; in the arena */
    size_t dropped_count;
    uint64_t *gone; /* stored nodes that are not declared any more */
    size_t gone_count, gone_capacity;
    parted_edge *parted; /* of a list: what was found to be read, and closes a circle with it */
    size_t parted_count, parted_capacity;
    uint64_t parent;     /* the expand node whose list this is; 0: a whole workflow */
    map kept;            /* nodes of expansions that stay: id -> 1 */
    low_child *low;      /* of these: not above what they take in now */
    size_t low_count, low_capacity;
    size_t host_errors; /* some declarations may be missing */
} comparison;

/** An empty comparison; the maps and the arena are to be freed by comparison_close. */
void comparison_open(comparison *c);
void comparison_close(comparison *c);
/** Names, paths, inputs, heights and all other checks. `what` ("the workflow") has errors: they were told, WEIR_WORKFLOW. */
int comparison_resolve(comparison *c, const char *what, weir_error *err);
/** Compare a complete definition with the stored one, and say the difference. `graph` 0: a new one. */
int define_compare(weir *w, definition *def, uint64_t graph, bool *changed, weir_error *err);

void walk_init(node_walk *k);
void walk_deinit(node_walk *k);
/** Meet one; it is left to look at if that was the first time. */
int walk_push(node_walk *k, uint64_t id, weir_error *err);
/** The next one to look at; false: there is none. */
bool walk_pop(node_walk *k, uint64_t *id);
/** Was it met? */
bool walk_met(const node_walk *k, uint64_t id);
/** Meet all that a statement gives for this one: its first column. */
int walk_rows(node_walk *k, weir *w, int statement, uint64_t id, weir_error *err);

int resolve_names(comparison *c, weir_error *err);   /* by_name; ids of nodes and effects; what is stored */
int resolve_outputs(comparison *c, weir_error *err); /* items of by_path */
int resolve_inputs(comparison *c, weir_error *err);  /* ids of members, edges */
int resolve_discovered(comparison *c, weir_error *err); /* edges that executions found, behind the declared ones */
int resolve_heights(comparison *c, weir_error *err); /* tells cycles */
/** Both are numbers of nodes. */
int define_edge(comparison *c, size_t from, size_t to, weir_error *err);

int check_outputs(comparison *c, weir_error *err); /* paths; fills by_path */
bytes check_plain(bytes path); /* the path of an output as by_path has it: of a folder without its '/' */
/** The node one of whose outputs is a folder that the path lies in, or is; NULL: none. */
const node_spec *check_folder_over(comparison *c, bytes path, const spec_output **output);
int check_circles(comparison *c, weir_error *err); /* of a list: none of its nodes takes in a reader of the list */
/** Of a list: where what is outside leads from one of its nodes to another one, that is an edge between them. After the other declared ones. */
int resolve_around(comparison *c, weir_error *err);
/** Of a list without errors: fills c->parted. */
int resolve_parted(comparison *c, weir_error *err);
/** The users of each node by all edges: those of node i are users[first[i]] to users[first[i + 1] - 1]. In the arena. */
int resolve_users(comparison *c, uint32_t **first, uint32_t **users, weir_error *err);
int check_rest(comparison *c, weir_error *err);    /* commands, schemas, globs, missing sources */

int define_apply(comparison *c, bool *changed, weir_error *err);

/** Compare the list of an expand node with the nodes it declared before, and say the difference. */
int define_expansion(weir *w, definition *def, cat_node *parent, hash128 value, weir_error *err);
/** What was said of an expansion is taken into the turn under way. */
int define_enter_turn(comparison *c, const map *said, weir_error *err);
int resolve_floor(comparison *c, size_t number, const spec_member *m, weir_error *err);
/** A node of these was found to read what `maker` makes, which is not among them: it is higher; or, in a circle, that is history. */
int resolve_found(comparison *c, size_t number, uint64_t maker, weir_error *err);
/**
 * After the nodes of a workflow were said: a kept node of a list that takes in what is made from it
 * from now on joins c->gone, to be said. Its list is compared once more in the turn, and tells the
 * circle, or has let go of it by then.
 */
int define_part_circles(comparison *c, weir_error *err);
/** After that: nodes of lists are above what they take in. */
int define_lift_children(comparison *c, weir_error *err);
int resolve_children(comparison *c, const uint64_t *ids, size_t count, weir_error *err); /* pairs: node, parent */

/** "file:line" of a declaration, or "" */
const char *declared_at(comparison *c, const node_spec *spec);
/** Copies of names carry a NUL: for messages. In the arena of the comparison. */
const char *define_text(comparison *c, bytes text);

#endif
