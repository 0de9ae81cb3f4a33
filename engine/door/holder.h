/*
 * holder.h - the watch that has a project and cannot be asked yet, or no more.
 *
 * Between taking the lock and listening a watch recovers what was left open, and at its end it writes
 * what it still has in memory: seconds, where there is much of it. Who wants something of the engine
 * meanwhile waits, and says so. One thread.
 */
#ifndef WEIR_DOOR_HOLDER_H
#define WEIR_DOOR_HOLDER_H

#include "engine/door/session.h"

typedef struct holder_wait {
    bool quiet;
    bool is_told;
} holder_wait;

/**
 * The lock was not to be had (s->err says who has it), and nobody listens: is that going to change?
 * @return true: the lock is that of a watch; try again, with the short lock_wait_ms of the session
 * that this has set. false: s->err is what to say; WEIR_CANCELLED after a signal
 */
bool holder_will_change(holder_wait *wait, session *s);

/** Was the process stopped (^Z)? Then it is not worth waiting for. */
bool holder_is_stopped(int64_t process);

/** Is this process part of a run? The watch may be waiting for it, so it does not wait for the watch. */
bool holder_is_inside(void);

#endif
