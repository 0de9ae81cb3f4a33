/*
 * db_statement.c - statements of a connection: prepared once by number, values in, rows out.
 *
 * Thread: as the connection.
 */
#include "engine/store/db_internal.h"

db_stmt *db_get(db *d, int name, weir_error *err)
{
    db_stmt *s = &d->named[name];
    if (s->handle) {
        sqlite3_reset(s->handle);
        sqlite3_clear_bindings(s->handle);
    } else {
        int rc = sqlite3_prepare_v3(d->handle, schema_statements[name], -1, SQLITE_PREPARE_PERSISTENT, &s->handle, NULL);
        if (rc != SQLITE_OK) {
            db_fail(d, rc, schema_statement_names[name], err);
            return NULL;
        }
    }
    s->bind_rc = SQLITE_OK;
    return s;
}

db_stmt *db_prepare(db *d, const char *sql, const char **rest, weir_error *err)
{
    db_stmt *s = mem_zero(1, sizeof *s);
    if (!s) {
        error_nomem(err, "preparing a statement");
        return NULL;
    }
    s->owner = d;
    int rc = sqlite3_prepare_v3(d->handle, sql, -1, 0, &s->handle, rest);
    if (rc == SQLITE_OK && s->handle) return s;
    if (rc == SQLITE_OK) error_set(err, WEIR_USAGE, "database %s: the text holds no statement", d->path);
    else db_fail(d, rc, "prepare a statement", err);
    mem_free(s);
    return NULL;
}

void db_finalize(db_stmt *s)
{
    if (!s) return;
    sqlite3_finalize(s->handle);
    mem_free(s);
}

static void note(db_stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK) s->bind_rc = rc;
}

void db_bind_int(db_stmt *s, int at, int64_t value)
{
    note(s, sqlite3_bind_int64(s->handle, at, value));
}

void db_bind_real(db_stmt *s, int at, double value)
{
    note(s, sqlite3_bind_double(s->handle, at, value));
}

void db_bind_text(db_stmt *s, int at, const char *value)
{
    note(s, sqlite3_bind_text(s->handle, at, value, -1, SQLITE_TRANSIENT));
}

void db_bind_bytes(db_stmt *s, int at, bytes value)
{
    note(s, sqlite3_bind_blob64(s->handle, at, value.data, value.size, SQLITE_TRANSIENT));
}

void db_bind_borrowed(db_stmt *s, int at, bytes value)
{
    note(s, sqlite3_bind_blob64(s->handle, at, value.data, value.size, SQLITE_STATIC));
}

void db_bind_hash(db_stmt *s, int at, hash128 value)
{
    if (hash_is_none(value)) db_bind_null(s, at);
    else db_bind_bytes(s, at, bytes_of(value.bytes, HASH_SIZE));
}

void db_bind_null(db_stmt *s, int at)
{
    note(s, sqlite3_bind_null(s->handle, at));
}

int db_step(db_stmt *s, weir_error *err)
{
    db *d = s->owner;
    if (d->shares && !d->is_shared && db_take_shared(d, err) != 0) return WEIR_IO;
    int rc = s->bind_rc != SQLITE_OK ? s->bind_rc : sqlite3_step(s->handle);
    if (rc == SQLITE_ROW) {
        d->counts.rows_read++;
        return 1;
    }
    d->counts.statements++;
    int code = rc == SQLITE_DONE ? 0 : db_fail(d, rc, sqlite3_sql(s->handle), err);
    sqlite3_reset(s->handle);
    return code;
}

int db_run(db_stmt *s, weir_error *err)
{
    int rc;
    do rc = db_step(s, err);
    while (rc == 1);
    return rc;
}

void db_reset(db_stmt *s)
{
    sqlite3_reset(s->handle);
}

int db_columns(db_stmt *s)
{
    return sqlite3_column_count(s->handle);
}

const char *db_column_name(db_stmt *s, int at)
{
    return sqlite3_column_name(s->handle, at);
}

bool db_is_null(db_stmt *s, int at)
{
    return sqlite3_column_type(s->handle, at) == SQLITE_NULL;
}

int db_column_type(db_stmt *s, int at)
{
    return sqlite3_column_type(s->handle, at);
}

int64_t db_int(db_stmt *s, int at)
{
    return sqlite3_column_int64(s->handle, at);
}

double db_real(db_stmt *s, int at)
{
    return sqlite3_column_double(s->handle, at);
}

bytes db_bytes(db_stmt *s, int at)
{
    const void *data = sqlite3_column_type(s->handle, at) == SQLITE_TEXT ? (const void *)sqlite3_column_text(s->handle, at)
                                                                         : sqlite3_column_blob(s->handle, at);
    return bytes_of(data, (size_t)sqlite3_column_bytes(s->handle, at));
}

const char *db_text(db_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s->handle, at);
    return text ? text : "";
}

hash128 db_hash(db_stmt *s, int at)
{
    hash128 hash = HASH_NONE;
    bytes found = db_bytes(s, at);
    if (found.size == HASH_SIZE && found.data) memcpy(hash.bytes, found.data, HASH_SIZE);
    return hash;
}

bool db_is_readonly(db_stmt *s)
{
    return sqlite3_stmt_readonly(s->handle) != 0;
}

int db_ask_int(db *d, const char *sql, int64_t *value, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    *value = 0;
    db_stmt *s = db_prepare(d, sql, NULL, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    if (rc == 1) *value = db_int(s, 0);
    db_finalize(s);
    return rc < 0 ? rc : 0;
}

int64_t db_changes(db *d)
{
    return sqlite3_changes64(d->handle);
}

int64_t db_last_id(db *d)
{
    return sqlite3_last_insert_rowid(d->handle);
}
