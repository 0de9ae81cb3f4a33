/*
 * host_internal.h - what host.c (the script host) and host_worker.c (its workers) share. Loop
 * thread only.
 */
#ifndef WEIR_SCRIPT_HOST_INTERNAL_H
#define WEIR_SCRIPT_HOST_INTERNAL_H

#include "engine/script/channel.h"
#include "engine/script/host.h"

struct script_host {
    channel channel;
    script_events events;
    bool is_loading, is_bare, is_over; /* over: closed by the owner, or dead */
    bool is_dead, is_released;         /* freed once both hold and the handles are closed */
    bool has_closed;
    const char *killed; /* why we killed it; NULL */
    char how[96];            /* how the process ended */
    uint64_t load_ms;  /* loading may stand still for as long */
    bool has_declared; /* something was declared since the timer was set */
    char killed_text[64];
    size_t memory_limit;
    const atomic_int *stop;
    uint64_t next_number;
    script_worker *forking; /* asked for, not yet there */
    buf paths;              /* answer to a glob, being made */
    size_t path_count;
};

/** The host answered: worker `number` has this pid (0: failed, and why). */
void host_worker_forked(script_host *host, uint64_t number, int64_t pid, const char *why);
/** No more workers come from this host. */
void host_worker_orphan(script_host *host, const char *why);

extern script_counts host_counts;

/** Set the type and end of a frame, send it. */
int host_send(channel *c, buf *frame, size_t mark, int pass, weir_error *err);

#endif
