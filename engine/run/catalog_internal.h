/*
 * catalog_internal.h - what catalog.c and catalog_trace.c share.
 */
#ifndef WEIR_RUN_CATALOG_INTERNAL_H
#define WEIR_RUN_CATALOG_INTERNAL_H

#include "engine/run/catalog.h"

/** A step of a trace that was said in this run. */
typedef struct cat_step {
    bytes refs;         /* in trace_arena; empty: a leaf */
    uint64_t execution; /* leaf; else 0 */
} cat_step;

struct catalog {
    db *db;
    journal *journal;
    bool snapshot; /* one view of the database until it is closed */
    mem_arena arena;
    buf body;    /* catalog_body */
    buf key;     /* of `names`, being put together */
    map items, nodes, effects; /* id -> pointer into the arena */
    map names;   /* see name_key in catalog.c -> id */
    uint64_t item_last, node_last, effect_last, execution_last; /* handed out */
    uint64_t item_stored, node_stored, effect_stored; /* higher ids are in memory or nowhere */
    uint64_t nodes_loaded;
    enum { FOLDERS_UNASKED, FOLDERS_NONE, FOLDERS_SOME } folders; /* outputs that are folders */

    /* catalog_trace.c */
    map results;         /* execution -> kept_result in the arena */
    uint64_t epoch;      /* from 1; one more after every refresh: what was said in this one may not be committed */
    bool result_refused; /* in this epoch there was no memory for a result */
    map steps;   /* prefix -> index + 1 */
    cat_step *step; /* owned */
    size_t step_count, step_capacity;
    mem_arena trace_arena;
    buf refs;    /* of the last probe of the database */
};

/** A statement, or NULL with *err. */
db_stmt *catalog_query(catalog *c, int statement, weir_error *err);
void catalog_clear_traces(catalog *c);

#endif
