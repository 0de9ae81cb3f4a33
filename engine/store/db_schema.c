/*
 * db_schema.c - makes the tables of a database and keeps the derived ones at this release.
 *
 * The log and the payloads are made once and change by numbered migrations (user_version). State, cache, the
 * planner's figures and views are parts: the table `part` holds for each a hash of the text it was made from and the names of what was made. Where the
 * hash differs, exactly those names are dropped and the new text is run: no other table is touched. For the state that
 * happens in the transaction of the rebuild, so that tables without their content are never taken for current.
 *
 * Uses db.h only. The thread of the connection.
 */
#include "engine/store/db_schema.h"

#include <stdio.h>

#include "generated/schema.h"

typedef struct part {
    const char *name;
    const char *text;
    int version; /* raised when the meaning changes and the text does not */
} part;

static const part PART_STATE = {"state", SCHEMA_STATE, DB_STATE_VERSION};
static const part PART_CACHE = {"cache", SCHEMA_CACHE, DB_CACHE_VERSION};
static const part PART_STAT = {"stat", SCHEMA_STAT, 1};
static const part PART_VIEWS = {"views", SCHEMA_VIEWS, 1};

static hash128 part_hash(const part *p)
{
    hash_stream stream;
    uint8_t version = (uint8_t)p->version;
    hash_begin(&stream);
    hash_update(&stream, &version, 1);
    hash_update(&stream, p->text, strlen(p->text));
    return hash_end(&stream);
}

static int part_is_current(db *d, const part *p, bool *current, weir_error *err)
{
    *current = false;
    db_stmt *s = db_prepare(d, "SELECT hash FROM part WHERE name = ?", NULL, err);
    if (!s) return err->code;
    db_bind_text(s, 1, p->name);
    int rc = db_step(s, err);
    if (rc == 1) *current = hash_equal(db_hash(s, 0), part_hash(p));
    db_finalize(s);
    return rc < 0 ? rc : 0;
}

/* What kind of thing has this name: "table", "view", or "" for nothing. */
static int object_type(db *d, const char *name, char type[8], weir_error *err)
{
    type[0] = '\0';
    db_stmt *s = db_prepare(d, "SELECT type FROM main.sqlite_schema WHERE name = ? AND type IN ('table', 'view')", NULL, err);
    if (!s) return err->code;
    db_bind_text(s, 1, name);
    int rc = db_step(s, err);
    if (rc == 1) snprintf(type, 8, "%s", db_text(s, 0));
    db_finalize(s);
    return rc < 0 ? rc : 0;
}

static int drop_object(db *d, const char *name, weir_error *err)
{
    char type[8];
    char sql[256];
    int rc = object_type(d, name, type, err);
    if (rc != 0 || type[0] == '\0') return rc;
    if (strpbrk(name, "\"\\;") || strlen(name) > 200)
        return error_set(err, WEIR_CORRUPT, "database %s: odd name of a %s in the table part", db_path(d), type);
    snprintf(sql, sizeof sql, "DROP %s main.\"%s\"", type, name);
    return db_exec(d, sql, err);
}

/* Drop what the part was made of, by the names kept in `part`. */
static int part_drop(db *d, const part *p, weir_error *err)
{
    db_stmt *s = db_prepare(d, "SELECT objects FROM part WHERE name = ?", NULL, err);
    if (!s) return err->code;
    db_bind_text(s, 1, p->name);
    int rc = db_step(s, err);
    char *objects = rc == 1 ? mem_strdup(db_text(s, 0)) : NULL;
    if (rc == 1 && !objects) rc = error_nomem(err, "reading the schema");
    db_finalize(s);
    char *rest = NULL;
    for (char *name = objects && rc >= 0 ? strtok_r(objects, " ", &rest) : NULL; name && rc >= 0;
         name = strtok_r(NULL, " ", &rest))
        rc = drop_object(d, name, err);
    mem_free(objects);
    return rc < 0 ? rc : 0;
}

static int part_record(db *d, const part *p, int64_t before, weir_error *err)
{
    db_stmt *s = db_prepare(d,
        "INSERT INTO part (name, hash, objects) SELECT ?1, ?2, coalesce(group_concat(name, ' '), '') FROM "
        "(SELECT name FROM main.sqlite_schema WHERE rowid > ?3 AND type IN ('table', 'view') ORDER BY rowid) WHERE true "
        "ON CONFLICT(name) DO UPDATE SET hash = excluded.hash, objects = excluded.objects", NULL, err);
    if (!s) return err->code;
    db_bind_text(s, 1, p->name);
    db_bind_hash(s, 2, part_hash(p));
    db_bind_int(s, 3, before);
    int rc = db_run(s, err);
    db_finalize(s);
    return rc;
}

/* Inside a transaction. New rows of sqlite_schema get rowids above all others: that is how the names are known. */
static int part_make(db *d, const part *p, weir_error *err)
{
    int64_t before = 0;
    int rc = part_drop(d, p, err);
    if (rc == 0) rc = db_ask_int(d, "SELECT max(rowid) FROM main.sqlite_schema", &before, err);
    if (rc == 0) rc = db_exec(d, p->text, err);
    if (rc == 0) rc = part_record(d, p, before, err);
    return rc;
}

static int set_identity(db *d, weir_error *err)
{
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", DB_APPLICATION_ID, DB_LOG_VERSION);
    return db_exec(d, sql, err);
}

static int end_transaction(db *d, int rc, weir_error *err)
{
    if (rc == 0) rc = db_commit(d, false, err);
    if (rc != 0) db_rollback(d);
    return rc;
}

int db_schema_create(db *d, weir_error *err)
{
    int rc = db_begin(d, err);
    if (rc != 0) return rc;
    rc = set_identity(d, err);
    if (rc == 0) rc = db_exec(d, SCHEMA_PART, err);
    if (rc == 0) rc = db_exec(d, SCHEMA_LOG, err);
    if (rc == 0) rc = db_exec(d, SCHEMA_PAYLOAD, err);
    if (rc == 0) rc = part_make(d, &PART_STATE, err);
    if (rc == 0) rc = part_make(d, &PART_CACHE, err);
    if (rc == 0) rc = part_make(d, &PART_STAT, err);
    if (rc == 0) rc = part_make(d, &PART_VIEWS, err);
    return end_transaction(d, rc, err);
}

int db_schema_refresh(db *d, weir_error *err)
{
    bool cache = false;
    bool stat = false;
    bool views = false;
    int rc = part_is_current(d, &PART_CACHE, &cache, err);
    if (rc == 0) rc = part_is_current(d, &PART_STAT, &stat, err);
    if (rc == 0) rc = part_is_current(d, &PART_VIEWS, &views, err);
    if (rc != 0 || (cache && stat && views)) return rc;
    rc = db_begin(d, err);
    if (rc != 0) return rc;
    if (!cache) rc = part_make(d, &PART_CACHE, err);
    if (rc == 0 && !(cache && stat)) rc = part_make(d, &PART_STAT, err); /* dropping a table drops its figures */
    if (rc == 0 && !views) rc = part_make(d, &PART_VIEWS, err);
    return end_transaction(d, rc, err);
}

int db_schema_shadow(db *d, weir_error *err)
{
    int rc = db_exec(d, SCHEMA_STATE, err);
    return rc == 0 ? db_exec(d, SCHEMA_STAT, err) : rc;
}

int db_state_recreate(db *d, weir_error *err)
{
    int rc = part_make(d, &PART_STATE, err);
    return rc == 0 ? part_make(d, &PART_STAT, err) : rc;
}

int db_state_is_current(db *d, bool *current, weir_error *err)
{
    return part_is_current(d, &PART_STATE, current, err);
}

int db_schema_identify(db *d, db_identity *identity, weir_error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t objects = 0;
    int rc = db_ask_int(d, "PRAGMA application_id", &application, err);
    if (rc == 0) rc = db_ask_int(d, "PRAGMA user_version", &version, err);
    if (rc == 0) rc = db_ask_int(d, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc != 0) return rc;
    *identity = DB_OURS;
    if (application == 0 && version == 0 && objects == 0) {
        *identity = DB_FRESH;
        return 0;
    }
    if (application != DB_APPLICATION_ID)
        return error_set(err, WEIR_CORRUPT, "database %s: this is no weir database", db_path(d));
    if (version > DB_LOG_VERSION)
        return error_set(err, WEIR_NEWER, "database %s: written by a newer weir (version %lld of the log, this one knows %d)",
                         db_path(d), (long long)version, DB_LOG_VERSION);
    if (version < 1)
        return error_set(err, WEIR_CORRUPT, "database %s: version %lld of the log does not exist", db_path(d), (long long)version);
    return 0;
}
