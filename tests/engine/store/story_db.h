/*
 * story_db.h - a story that goes into a database: each event becomes a row of the log, and is folded into the state.
 *
 *     story_db into = {.d = d};
 *     story s = story_new(story_db_emit, &into);
 *
 * The database is the caller's, and in a transaction.
 */
#ifndef WEIR_TESTS_STORY_DB_H
#define WEIR_TESTS_STORY_DB_H

#include "engine/store/fold.h"
#include "generated/schema.h"
#include "tests/check.h"
#include "tests/engine/store/story.h"

typedef struct story_db {
    db *d;
    fold_late *late;   /* NULL: rows are written at once, so that they can be asked for */
    mem_arena scratch; /* arena_deinit at the end */
} story_db;

/** A story_emit, with a story_db as its ctx. */
static inline void story_db_emit(void *ctx, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body)
{
    story_db *at = ctx;
    weir_error err = {0};
    db_stmt *s = db_get(at->d, SQL_LOG_EVENT_ADD, &err);
    CHECK_OR_STOP(s != NULL);
    db_bind_int(s, 1, (int64_t)seq);
    db_bind_int(s, 2, (int64_t)run);
    db_bind_int(s, 3, at_us);
    db_bind_int(s, 4, kind);
    db_bind_bytes(s, 5, body);
    CHECK_OK(db_run(s, &err), err);
    if (!CHECK_OK(fold_event(at->d, at->late, seq, run, at_us, (int)kind, body, &at->scratch, &err), err)) exit(check_done());
    arena_reset(&at->scratch);
}

#endif
