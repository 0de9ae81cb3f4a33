/*
 * db.c - one SQLite connection.
 *
 * With db_statement.c the only one that knows sqlite3.h. What they add to SQLite: one way to open for each use, statements by
 * number that are prepared once, errors that name the database, and a commit that can ask for durability.
 *
 * D1  This process touches the files of a database through SQLite alone: closing any other descriptor of them would drop
 *     SQLite's locks (POSIX), and a second writer could get in. Only stat and unlink are used besides.
 * D2  Readers never write the database: query_only, and no checkpoint when the last one closes.
 * D3  An error while stepping leaves the statement reset.
 *
 * Durability: a transaction begun by db_begin_durable runs with synchronous FULL, so a failed sync rolls it back. A commit
 * that asks for durability without it syncs the WAL after the commit.
 *
 * Readers open for writing where they may, because a WAL database needs its -shm file even to read; where the folder is not
 * writable they fall back to read-only, and then to `immutable` if no WAL waits to be read.
 *
 * Thread: a connection belongs to one thread at a time; nothing here is shared.
 */
#include "engine/store/db.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/store/db_internal.h"
#include "engine/store/db_schema.h"

enum { BUSY_MS = 5000, WRITER_CACHE_KIB = 32 * 1024, READER_CACHE_KIB = 8 * 1024 };

/* --- errors ------------------------------------------------------------------------------------------------------ */

static int code_of(int rc, db_mode mode)
{
    switch (rc & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return 0;
    case SQLITE_BUSY: case SQLITE_LOCKED: return WEIR_BUSY;
    case SQLITE_NOMEM: return WEIR_NOMEM;
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return WEIR_CORRUPT;
    case SQLITE_INTERRUPT: case SQLITE_TOOBIG: return WEIR_LIMIT;
    case SQLITE_ERROR: case SQLITE_AUTH: case SQLITE_RANGE: return mode == DB_QUERY ? WEIR_USAGE : WEIR_BUG;
    case SQLITE_READONLY: return mode == DB_QUERY ? WEIR_USAGE : WEIR_IO;
    case SQLITE_CONSTRAINT: case SQLITE_MISMATCH: case SQLITE_MISUSE: return WEIR_BUG;
    default: return WEIR_IO;
    }
}

int db_fail(db *d, int rc, const char *doing, weir_error *err)
{
    int code = code_of(rc, d->mode);
    if (code == 0) code = WEIR_BUG;
    const char *why = d->handle ? sqlite3_errmsg(d->handle) : sqlite3_errstr(rc);
    if ((rc & 0xff) == SQLITE_INTERRUPT) why = "the time limit was reached";
    if ((rc & 0xff) == SQLITE_NOTADB)
        return error_set(err, code, "%s is no database; move its folder away, then `weir run` makes everything again", d->path);
    int system_error = d->handle && code == WEIR_IO ? sqlite3_system_errno(d->handle) : 0;
    if (system_error != 0)
        return error_set(err, code, "database %s: %s: %s: %s", d->path, doing, why, strerror(system_error));
    return error_set(err, code, "database %s: %s: %s", d->path, doing, why);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int on_wal(void *ctx, sqlite3 *handle, const char *name, int pages)
{
    (void)handle;
    (void)name;
    ((db *)ctx)->wal_pages = (uint32_t)pages;
    return SQLITE_OK;
}

static int on_progress(void *ctx)
{
    const db *d = ctx;
    return d->deadline_ns != 0 && os_monotonic_ns() > d->deadline_ns;
}

static bool pragma_is_harmless(const char *name)
{
    static const char *const names[] = {"table_info", "table_xinfo", "table_list", "index_list", "index_info",
                                        "index_xinfo", "foreign_key_list", "database_list", "function_list",
                                        "compile_options"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sqlite3_stricmp(name, names[i]) == 0) return true;
    return false;
}

/* What user SQL may do: look. */
static int on_authorize(void *ctx, int action, const char *one, const char *two, const char *three, const char *four)
{
    (void)ctx;
    (void)three;
    (void)four;
    switch (action) {
    case SQLITE_SELECT: case SQLITE_READ: case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION: return two && sqlite3_stricmp(two, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA: return one && pragma_is_harmless(one) ? SQLITE_OK : SQLITE_DENY;
    default: return SQLITE_DENY;
    }
}

/*
 * SQLite counts its memory under a mutex of the process unless told not to before its first use: 8 % of the fold. Where
 * the embedding program has used SQLite before, its choice stays.
 */
static void quiet_memory(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static db *db_new(const char *path, db_mode mode)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, quiet_memory);
    db *d = mem_zero(1, sizeof *d);
    if (!d) return NULL;
    d->path = mem_strdup(path);
    if (!d->path) {
        mem_free(d);
        return NULL;
    }
    d->mode = mode;
    for (size_t i = 0; i < SQL_COUNT; i++) d->named[i].owner = d;
    return d;
}

static void close_handle(db *d)
{
    sqlite3_close_v2(d->handle);
    d->handle = NULL;
}

static int open_handle(db *d, const char *name, int flags, weir_error *err)
{
    int rc = sqlite3_open_v2(name, &d->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK) return 0;
    int code = db_fail(d, rc, "open", err);
    close_handle(d);
    return code;
}

static int configure(db *d, weir_error *err)
{
    bool is_reader = d->mode == DB_READ || d->mode == DB_QUERY;
    sqlite3_busy_timeout(d->handle, BUSY_MS);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DEFENSIVE, is_reader ? 1 : 0, NULL);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* the log's writer decides */
    sqlite3_wal_hook(d->handle, on_wal, d); /* takes the place of the automatic checkpoint */
    char sql[256];
    snprintf(sql, sizeof sql,
             "PRAGMA secure_delete = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
             "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -%d; PRAGMA query_only = %s",
             d->mode == DB_WRITE ? WRITER_CACHE_KIB : READER_CACHE_KIB, is_reader ? "ON" : "OFF");
    return db_exec(d, sql, err);
}

static int set_wal(db *d, weir_error *err)
{
    db_stmt *s = db_prepare(d, "PRAGMA journal_mode = WAL", NULL, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    if (rc == 1 && strcmp(db_text(s, 0), "wal") != 0)
        rc = error_set(err, WEIR_IO, "database %s: this file system cannot hold a write-ahead log", d->path);
    db_finalize(s);
    return rc < 0 ? rc : 0;
}

static int open_writer(db *d, bool *stale_state, weir_error *err)
{
    db_identity identity = DB_OURS;
    bool current = true;
    int rc = open_handle(d, d->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (rc == 0) rc = configure(d, err);
    if (rc == 0) rc = db_schema_identify(d, &identity, err);
    if (rc != 0) return rc;
    if (identity == DB_FRESH) rc = db_exec(d, "PRAGMA auto_vacuum = INCREMENTAL", err);
    if (rc == 0) rc = set_wal(d, err);
    if (rc == 0) rc = identity == DB_FRESH ? db_schema_create(d, err) : db_schema_refresh(d, err);
    if (rc == 0) rc = db_state_is_current(d, &current, err);
    if (stale_state) *stale_state = !current;
    return rc;
}

/* Is there a WAL with something in it? */
static bool has_wal(const db *d)
{
    mem_arena arena;
    os_stat found = {0};
    arena_init(&arena);
    const char *path = arena_printf(&arena, "%s-wal", d->path);
    bool is_there = !path || os_statat(AT_FDCWD, path, true, &found, NULL) != 0 || (found.type != OS_ABSENT && found.size > 0);
    arena_deinit(&arena);
    return is_there;
}

static int open_and_identify(db *d, const char *name, int flags, weir_error *err)
{
    db_identity identity = DB_OURS;
    int rc = open_handle(d, name, flags, err);
    if (rc == 0) rc = configure(d, err);
    if (rc == 0) rc = db_schema_identify(d, &identity, err);
    if (rc == 0 && identity == DB_FRESH) rc = error_set(err, WEIR_NOTFOUND, "database %s: nothing in it yet", d->path);
    return rc;
}

/* file:PATH?immutable=1 with the characters escaped that mean something in a URI. */
static int open_immutable(db *d, weir_error *err)
{
    buf uri;
    buf_init(&uri);
    buf_text(&uri, "file:");
    for (const char *p = d->path; *p; p++) {
        if (strchr("%?#", *p)) buf_printf(&uri, "%%%02X", (unsigned char)*p);
        else buf_byte(&uri, (uint8_t)*p);
    }
    buf_text(&uri, "?immutable=1");
    const char *name = buf_cstr(&uri);
    int rc = name ? open_and_identify(d, name, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err) : error_nomem(err, "opening the database");
    buf_deinit(&uri);
    return rc;
}

static int open_reader(db *d, bool *stale_state, weir_error *err)
{
    os_stat found;
    int rc = os_statat(AT_FDCWD, d->path, true, &found, err);
    if (rc == 0 && found.type == OS_ABSENT) rc = error_set(err, WEIR_NOTFOUND, "database %s: does not exist", d->path);
    if (rc == 0) rc = open_and_identify(d, d->path, SQLITE_OPEN_READWRITE, err);
    if (rc == WEIR_IO && !has_wal(d)) {
        close_handle(d);
        rc = open_immutable(d, err);
    }
    bool current = true;
    if (rc == 0 && d->mode == DB_READ) rc = db_state_is_current(d, &current, err);
    if (stale_state) *stale_state = !current;
    if (rc == 0 && d->mode == DB_QUERY) sqlite3_set_authorizer(d->handle, on_authorize, d);
    return rc;
}

int db_open(db **out, const char *path, db_mode mode, bool *stale_state, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    *out = NULL;
    if (stale_state) *stale_state = false;
    db *d = db_new(path, mode);
    if (!d) return error_nomem(err, "opening the database");
    int rc;
    if (mode == DB_WRITE) rc = open_writer(d, stale_state, err);
    else if (mode == DB_MAINTAIN) rc = open_and_identify(d, path, SQLITE_OPEN_READWRITE, err);
    else rc = open_reader(d, stale_state, err);
    if (rc != 0) {
        db_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

int db_open_empty(db **out, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    *out = NULL;
    db *d = db_new(":memory:", DB_MAINTAIN);
    if (!d) return error_nomem(err, "opening a database");
    int rc = open_handle(d, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY, err);
    if (rc == 0) rc = configure(d, err);
    if (rc == 0) rc = db_schema_create(d, err);
    if (rc == 0) rc = db_exec(d, "PRAGMA query_only = ON", err);
    if (rc != 0) {
        db_close(d);
        return rc;
    }
    d->mode = DB_READ;
    *out = d;
    return 0;
}

static int attach_log(db *d, const db *of, weir_error *err)
{
    db_stmt *s = db_prepare(d, "ATTACH ? AS log", NULL, err);
    if (!s) return err->code;
    db_bind_text(s, 1, of->path);
    int rc = db_run(s, err);
    db_finalize(s);
    return rc;
}

/* A scratch file beside the database, without a name from here on; else memory. */
static int open_scratch(db *d, const db *of, weir_error *err)
{
    char name[64];
    mem_arena arena;
    arena_init(&arena);
    snprintf(name, sizeof name, "check-%ld-%p", (long)getpid(), (void *)d);
    const char *path = arena_printf(&arena, "%s-%s", of->path, name);
    int rc = path ? open_handle(d, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) : WEIR_NOMEM;
    if (rc == 0) rc = db_exec(d, "PRAGMA journal_mode = MEMORY; CREATE TABLE scratch (x); DROP TABLE scratch", NULL);
    if (path) (void)os_unlinkat(AT_FDCWD, path, NULL);
    arena_deinit(&arena);
    if (rc == 0) return 0;
    if (d->handle) close_handle(d);
    /* Not SQLITE_OPEN_MEMORY: what is attached inherits it, and an empty database would be found in the place of the log. */
    return open_handle(d, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
}

int db_open_shadow(db **out, const db *of, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    *out = NULL;
    db *d = db_new(of->path, DB_MAINTAIN);
    if (!d) return error_nomem(err, "opening a scratch database");
    d->is_shadow = true;
    int rc = open_scratch(d, of, err);
    if (rc == 0) rc = configure(d, err);
    if (rc == 0) rc = db_exec(d, "PRAGMA synchronous = OFF", err);
    if (rc == 0) rc = db_schema_shadow(d, err);
    if (rc == 0) rc = attach_log(d, of, err);
    if (rc != 0) {
        db_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

void db_close(db *d)
{
    if (!d) return;
    for (size_t i = 0; i < SQL_COUNT; i++) sqlite3_finalize(d->named[i].handle);
    sqlite3_finalize(d->share_begin);
    sqlite3_finalize(d->share_end);
    if (d->handle) close_handle(d);
    mem_free(d->path);
    mem_free(d);
}

const char *db_path(const db *d)
{
    return d->path;
}

/* --- transactions ------------------------------------------------------------------------------------------------ */

int db_exec(db *d, const char *sql, weir_error *err)
{
    int rc = sqlite3_exec(d->handle, sql, NULL, NULL, NULL);
    d->counts.statements++;
    return rc == SQLITE_OK ? 0 : db_fail(d, rc, "run a script", err);
}

static bool is_reader(const db *d)
{
    return d->mode == DB_READ || d->mode == DB_QUERY;
}

int db_begin(db *d, weir_error *err)
{
    if (d->is_shadow) return db_exec(d, "BEGIN", err); /* IMMEDIATE would lock the attached log too */
    if (!is_reader(d)) return db_exec(d, "BEGIN IMMEDIATE", err);
    /* The authorizer of a query connection lets nothing but SELECT through. */
    sqlite3_set_authorizer(d->handle, NULL, NULL);
    int rc = db_exec(d, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", err);
    if (d->mode == DB_QUERY) sqlite3_set_authorizer(d->handle, on_authorize, d);
    return rc;
}

int db_begin_durable(db *d, weir_error *err)
{
    int rc = db_exec(d, "PRAGMA synchronous = FULL", err);
    if (rc == 0) d->is_full = true;
    if (rc == 0) rc = db_begin(d, err);
    if (rc != 0) db_rollback(d);
    return rc;
}

/* Back to NORMAL once a durable transaction has ended. */
static void relax(db *d)
{
    if (d->is_full && sqlite3_get_autocommit(d->handle)) {
        (void)db_exec(d, "PRAGMA synchronous = NORMAL", NULL);
        d->is_full = false;
    }
}

/* Sync the WAL of a commit that was made with synchronous NORMAL. */
static int sync_wal(db *d, weir_error *err)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(d->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc == SQLITE_OK && wal && wal->pMethods) rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK ? 0 : db_fail(d, rc, "sync the write-ahead log", err);
}

/* Faults that tests inject: before the commit, so that it did not happen. */
static int injected_fault(db *d, bool durable, weir_error *err)
{
    int fault = os_fault_check(OS_OP_WRITE);
    if (fault == 0 && durable) fault = os_fault_check(OS_OP_FSYNC);
    return fault == 0 ? 0 : error_errno(err, fault, "database %s: commit", d->path);
}

int db_commit(db *d, bool durable, weir_error *err)
{
    int rc = is_reader(d) ? 0 : injected_fault(d, durable, err);
    if (rc == 0) rc = db_exec(d, "COMMIT", err);
    if (rc != 0) return rc;
    d->counts.transactions++;
    if (durable) d->counts.syncs++;
    if (durable && !d->is_full) rc = sync_wal(d, err);
    relax(d);
    return rc;
}

static void reset_named(db *d)
{
    for (size_t i = 0; i < SQL_COUNT; i++)
        if (d->named[i].handle) sqlite3_reset(d->named[i].handle);
}

static void end_by(db *d, const char *sql)
{
    reset_named(d);
    sqlite3_set_authorizer(d->handle, NULL, NULL);
    if (!sqlite3_get_autocommit(d->handle)) (void)db_exec(d, sql, NULL);
    if (d->mode == DB_QUERY) sqlite3_set_authorizer(d->handle, on_authorize, d);
}

void db_rollback(db *d)
{
    end_by(d, "ROLLBACK");
    relax(d);
}

void db_refresh(db *d)
{
    end_by(d, "COMMIT");
    d->is_shared = false;
}

static int run_plain(db *d, sqlite3_stmt **s, const char *sql, weir_error *err)
{
    int rc = *s ? SQLITE_OK : sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(*s);
    if (*s) sqlite3_reset(*s);
    return rc == SQLITE_DONE ? 0 : db_fail(d, rc, sql, err);
}

void db_share(db *d, bool on)
{
    if (!on) db_let_go(d);
    d->shares = on && is_reader(d) && !db_in_transaction(d);
}

void db_let_go(db *d)
{
    if (d->is_shared && run_plain(d, &d->share_end, "COMMIT", NULL) != 0) end_by(d, "COMMIT");
    d->is_shared = false;
}

/* Deferred: the statement that follows takes the snapshot. */
int db_take_shared(db *d, weir_error *err)
{
    int rc = run_plain(d, &d->share_begin, "BEGIN", err);
    d->is_shared = rc == 0;
    return rc;
}

bool db_in_transaction(const db *d)
{
    return !sqlite3_get_autocommit(d->handle);
}

int db_checkpoint(db *d, bool truncate, weir_error *err)
{
    int rc = sqlite3_wal_checkpoint_v2(d->handle, "main", truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_fail(d, rc, "checkpoint", err);
}

uint32_t db_wal_pages(const db *d)
{
    return d->wal_pages;
}

void db_deadline(db *d, int64_t milliseconds)
{
    d->deadline_ns = milliseconds > 0 ? os_monotonic_ns() + milliseconds * 1000000 : 0;
    sqlite3_progress_handler(d->handle, milliseconds > 0 ? 1000 : 0, on_progress, d);
}

int db_integrity(db *d, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    db_stmt *s = db_prepare(d, "PRAGMA integrity_check(1)", NULL, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    if (rc == 1 && strcmp(db_text(s, 0), "ok") != 0)
        rc = error_set(err, WEIR_CORRUPT, "database %s: %s", d->path, db_text(s, 0));
    db_finalize(s);
    return rc < 0 ? rc : 0;
}

db_counts db_stats(const db *d)
{
    db_counts counts = d->counts;
    counts.rows_written = (uint64_t)sqlite3_total_changes64(d->handle);
    return counts;
}

void db_trim(db *d, size_t most_bytes)
{
    int used = 0, highest = 0;
    if (sqlite3_db_status(d->handle, SQLITE_DBSTATUS_CACHE_USED, &used, &highest, 0) != SQLITE_OK) return;
    if ((size_t)used > most_bytes) sqlite3_db_release_memory(d->handle);
}
