/*
 * watching_internal.h - what watching.c (runs and questions) and watching_cover.c (what is watched) share.
 */
#ifndef WEIR_RUN_WATCHING_INTERNAL_H
#define WEIR_RUN_WATCHING_INTERNAL_H

#include "engine/run/engine.h"
#include "engine/run/watching.h"
#include "engine/run/watching_links.h"

/* An open question. Outlives it when it is withdrawn. */
struct ticket {
    weir *w;
    watching_question *question; /* NULL: withdrawn */
    bool is_seen;                /* its barrier */
    struct ticket *next;
};

struct watching {
    watch *watch;
    sigcache *sigs; /* the engine's */
    bool again;   /* something is watched that was not when it was looked at */
    bool ripe;
    watching_links links;
    int64_t deferred_ns; /* since when signatures wait to be written; 0: they do not */
    bool is_flushing;
    suspects noted;    /* since the last run began */
    suspects news;     /* of them, those of the last watching_news */
    suspects looked_at; /* of the run that is under way */
    bool has_looked;   /* at everything, and its signatures are in memory */
    size_t loaded_memory; /* of the signatures after they were loaded */
    size_t covered;    /* folders of the signatures that are covered */
    uint64_t lost;     /* folders that the watch gave up, when all were covered */
    bool globs_moved;  /* since then */
    bool folders_moved; /* a folder that is an output was made or restored */
    bool limited; /* polling was told */
    bool is_overflow_told;
    bool is_running, is_paused;
    weir_request *again_request; /* what the watch does by itself */
    int stops;          /* of the interrupts: how many were for the run under way alone */
    struct ticket *first, *last; /* open questions, in their order */
    weir_error failure;
    mem_arena arena; /* of what the last loading of the workflow looked at */
    struct seen { bytes name; hash128 hash; } *files, *globs;
    size_t file_count, glob_count;
};

/**
 * Is what a broken definition looked at still as it was? What it did not look at and that still broke it (a declared input that
 * is not there) comes as a new name.
 */
bool watching_is_broken_still(weir *w);

#endif
