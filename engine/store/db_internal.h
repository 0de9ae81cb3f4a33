/*
 * db_internal.h - what a connection is made of. For db*.c alone.
 */
#ifndef WEIR_STORE_DB_INTERNAL_H
#define WEIR_STORE_DB_INTERNAL_H

#include <sqlite3.h>

#include "engine/store/db.h"
#include "generated/schema.h"

struct db_stmt {
    sqlite3_stmt *handle; /* NULL: not prepared yet */
    db *owner;
    int bind_rc; /* first failure of a bind, shown at the next step */
};

struct db {
    sqlite3 *handle;
    char *path;
    db_mode mode;
    bool is_shadow;       /* has the log of another connection attached */
    bool is_full;         /* synchronous is FULL until the transaction ends */
    bool shares;          /* statements share a snapshot until db_let_go */
    bool is_shared;       /* there is one now */
    sqlite3_stmt *share_begin, *share_end;
    uint32_t wal_pages;
    int64_t deadline_ns;  /* monotonic; 0: none */
    db_counts counts;
    db_stmt named[SQL_COUNT + 1];
};

/** What SQLite said, as an error that names the database and what was `doing`. */
int db_fail(db *d, int rc, const char *doing, weir_error *err);
/** Statements share a snapshot, and there is none yet. */
int db_take_shared(db *d, weir_error *err);

#endif
