/*
 * limits.h - what may run beside what: slots, pools, memory, load, and the jobserver. Loop thread only.
 */
#ifndef WEIR_RUN_LIMITS_H
#define WEIR_RUN_LIMITS_H

#include <uv.h>

#include "engine/base/memory.h"
#include "engine/world/jobserver.h"

typedef struct limits {
    int used;              /* slots of what runs */
    uint64_t mem_budget, mem_used;
    double load_most;      /* negative: none */
    map pools;             /* name -> places taken */
    jobserver *tokens;     /* NULL: nobody takes part */
    bool is_client;        /* tokens come from a make above us */
    size_t guests;         /* running commands that share our slots */
    int lent;              /* server: tokens in the pipe or with guests */
    int held;              /* client: tokens taken */
    bool is_dry;           /* the pipe was found empty in this pass */
    bool wants;            /* somebody waits for slots; of this pass */
    size_t held_back;      /* tasks that cannot use a free slot now; of this pass */
    uint64_t patient;      /* node of the first one that waits for several slots or memory; 0: none */
    int passed;            /* how many others started while it waited */
    uv_poll_t poll;
    uv_timer_t timer;
    int open_handles;
    bool has_poll, is_open; /* poll is open; a run has begun */
} limits;

#endif
