/*
 * log.h - events of the log as they are shown: what log.c, log_follow.c and the control socket share.
 */
#ifndef WEIR_DOOR_LOG_H
#define WEIR_DOOR_LOG_H

#include "engine/door/query.h"

/** A row of SQL_DOOR_EVENTS as an object, on one line without its end. */
int log_put_event(buf *to, db_stmt *row, weir_error *err);
/** The same for people, in front of the body. */
void log_put_head(buf *to, uint64_t seq, int64_t at_us, const char *kind);
/** The number from which on events are to be shown: --from, else so that `limit` are shown. */
int log_first_event(query *q, const options *o, uint64_t limit, uint64_t *first);

/** weir log --follow; the exit code. */
int log_follow(const options *o);

#endif
