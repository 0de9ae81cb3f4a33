/*
 * db.h - one SQLite connection: opening, transactions, prepared statements by name, and the schema.
 *
 * sqlite3.h is included by db*.c alone. Statements live in schema/queries/ and are named by the generated enum SQL_...; a
 * connection prepares each on first use and keeps it. A connection is used by one thread at a time. Opening for
 * writing creates the file and its tables; application_id 0x77656972, user_version = LOG_VERSION.
 */
#ifndef WEIR_STORE_DB_H
#define WEIR_STORE_DB_H

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/memory.h"

typedef struct db db;
typedef struct db_stmt db_stmt;

enum { DB_APPLICATION_ID = 0x77656972, DB_LOG_VERSION = 1, DB_STATE_VERSION = 10, DB_CACHE_VERSION = 2 };

typedef enum db_mode {
    DB_WRITE, /* the writer: creates, migrates, WAL, synchronous NORMAL */
    DB_READ,  /* read-only; the file must exist (WEIR_NOTFOUND) */
    DB_QUERY, /* read-only for user SQL: defensive, no attach, time limit by db_deadline */
    DB_MAINTAIN /* checkpoints: no schema work */
} db_mode;

/**
 * @param path  of the database file (.weir/weir.db)
 * @return 0; WEIR_NOTFOUND; WEIR_NEWER when its user_version is higher; WEIR_CORRUPT when it is no weir database or damaged; WEIR_IO.
 * In DB_WRITE mode a state or cache schema of another release is dropped and made anew; *stale_state says that the caller
 * must run fold_rebuild before use.
 */
int db_open(db **out, const char *path, db_mode mode, bool *stale_state, weir_error *err);
/** An empty database in memory, read-only: what a project without a state folder has recorded. */
int db_open_empty(db **out, weir_error *err);
void db_close(db *d); /* NULL is ignored */

/** Run a script of statements without results. */
int db_exec(db *d, const char *sql, weir_error *err);
int db_begin(db *d, weir_error *err);      /* BEGIN IMMEDIATE for writers; a read snapshot for readers */
/** A write transaction with synchronous FULL until its end: if the sync fails, nothing was committed. */
int db_begin_durable(db *d, weir_error *err);
int db_commit(db *d, bool durable, weir_error *err); /* durable: synchronous FULL for this commit */
void db_rollback(db *d);
bool db_in_transaction(const db *d);
/** Readers: let go of the snapshot; the next statement sees the newest commit. */
void db_refresh(db *d);
/**
 * Readers: statements share one snapshot, taken by the first of them, until db_let_go; each by itself would lock, look for the newest
 * commit and unlock, which costs more than a point read. Has no effect inside db_begin. Off: lets go.
 */
void db_share(db *d, bool on);
void db_let_go(db *d);
/** PASSIVE (or TRUNCATE) WAL checkpoint. */
int db_checkpoint(db *d, bool truncate, weir_error *err);
/** Pages in the WAL at the last commit of this connection. */
uint32_t db_wal_pages(const db *d);
/** Stop user SQL after so many milliseconds (0: never). */
void db_deadline(db *d, int64_t milliseconds);
/** PRAGMA integrity_check; WEIR_CORRUPT with its first line. */
int db_integrity(db *d, weir_error *err);

/** A statement of schema/queries by its enum SQL_...: reset, bindings cleared, ready to bind. NULL on error. */
db_stmt *db_get(db *d, int name, weir_error *err);
/** Any SQL; freed with db_finalize. *rest (may be NULL) points behind the first statement. NULL on error. */
db_stmt *db_prepare(db *d, const char *sql, const char **rest, weir_error *err);
void db_finalize(db_stmt *s);

/* Parameters count from 1; bytes are copied. A failure shows at the next step. */
void db_bind_int(db_stmt *s, int at, int64_t value);
void db_bind_real(db_stmt *s, int at, double value);
void db_bind_text(db_stmt *s, int at, const char *value); /* NULL binds null */
void db_bind_bytes(db_stmt *s, int at, bytes value);      /* BLOB; data NULL binds null */
void db_bind_hash(db_stmt *s, int at, hash128 value);     /* HASH_NONE binds null */
void db_bind_null(db_stmt *s, int at);
/** Like db_bind_bytes without the copy: stays valid until the statement is done, reset or got anew. */
void db_bind_borrowed(db_stmt *s, int at, bytes value);

/** 1: a row; 0: done; negative: a code. After 0 or an error the statement is reset. */
int db_step(db_stmt *s, weir_error *err);
/** Step a statement without results to its end. */
int db_run(db_stmt *s, weir_error *err);
void db_reset(db_stmt *s); /* stop early */

/* Columns count from 0; bytes are borrowed until the next step or reset. */
int db_columns(db_stmt *s);
const char *db_column_name(db_stmt *s, int at);
bool db_is_null(db_stmt *s, int at);
int db_column_type(db_stmt *s, int at); /* 1 integer, 2 real, 3 text, 4 blob, 5 null (SQLite's numbers) */
int64_t db_int(db_stmt *s, int at);
double db_real(db_stmt *s, int at);
bytes db_bytes(db_stmt *s, int at); /* text or blob; also NUL-terminated for text */
const char *db_text(db_stmt *s, int at);
hash128 db_hash(db_stmt *s, int at); /* HASH_NONE for null or a wrong size */
bool db_is_readonly(db_stmt *s);

/** First column of the first row of `sql`; 0 where there is none or it is null. */
int db_ask_int(db *d, const char *sql, int64_t *value, weir_error *err);
/** Rows changed by the last INSERT, UPDATE or DELETE; rowid of the last INSERT. */
int64_t db_changes(db *d);
int64_t db_last_id(db *d);
const char *db_path(const db *d); /* as given to db_open */

/* --- for the fold --------------------------------------------------------------------------------------------- */

/** Drop the state tables and make them anew, empty; inside the caller's transaction. They count as current from its commit on. */
int db_state_recreate(db *d, weir_error *err);
/** Do the state tables have the schema of this release? (db_open's stale_state, for readers too.) */
int db_state_is_current(db *d, bool *current, weir_error *err);
/**
 * A connection with empty state tables of its own, which sees the log of `of` through its other names. Its file is
 * unlinked from the start; in memory where the folder of `of` cannot be written.
 */
int db_open_shadow(db **out, const db *of, weir_error *err);

/** Rows changed and statements stepped since open, for --stats. */
typedef struct db_counts {
    uint64_t statements, rows_read, rows_written, transactions, syncs;
} db_counts;
db_counts db_stats(const db *d);
/** Give back the pages it holds when they are more than this; between transactions. They are read again as they are needed. */
void db_trim(db *d, size_t most_bytes);

#endif
