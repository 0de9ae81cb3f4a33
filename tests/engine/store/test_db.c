/* test_db.c - opening in every mode, transactions, the schema's versions, and the plans of all named statements. */
#include "engine/store/db.h"

#include <errno.h>
#include <sys/wait.h>

#include "engine/base/os.h"
#include "generated/schema.h"
#include "tests/check.h"

static weir_error err;

static int64_t ask(db *d, const char *sql)
{
    int64_t value = -1;
    CHECK_OK(db_ask_int(d, sql, &value, &err), err);
    return value;
}

static void creation(void)
{
    db *d = NULL;
    bool stale = true;
    CHECK_CODE(WEIR_NOTFOUND, db_open(&d, check_path("none"), DB_READ, NULL, &err), err);
    CHECK_HAS("none: does not exist", err.message);
    CHECK_OK(db_open(&d, check_path("a.db"), DB_WRITE, &stale, &err), err);
    CHECK(!stale);
    CHECK_INT(DB_APPLICATION_ID, ask(d, "PRAGMA application_id"));
    CHECK_INT(DB_LOG_VERSION, ask(d, "PRAGMA user_version"));
    CHECK_INT(2, ask(d, "PRAGMA auto_vacuum"));
    CHECK_INT(0, ask(d, "PRAGMA foreign_keys"));
    CHECK_INT(0, ask(d, "PRAGMA secure_delete"));
    CHECK_INT(1, ask(d, "PRAGMA cell_size_check"));
    CHECK_INT(1, ask(d, "PRAGMA synchronous"));
    CHECK_INT(0, ask(d, "PRAGMA trusted_schema"));
    CHECK_INT(1, ask(d, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"));
    CHECK_INT(4, ask(d, "SELECT count(*) FROM part"));
    CHECK_OK(db_integrity(d, &err), err);
    db_close(d);
    db_close(NULL);
}

static void append_only(void)
{
    db *d;
    CHECK_OR_STOP(db_open(&d, check_path("a.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d, "INSERT INTO event VALUES (1, 0, 0, 1, x'01')", &err), err);
    CHECK(db_exec(d, "UPDATE event SET run = 2", &err) != 0);
    CHECK_HAS("the log is append-only", err.message);
    CHECK(db_exec(d, "DELETE FROM event", &err) != 0);
    CHECK_INT(1, ask(d, "SELECT count(*) FROM event WHERE run = 0"));
    db_close(d);
}

static void statements(void)
{
    db *d;
    CHECK_OR_STOP(db_open(&d, check_path("b.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d, "CREATE TABLE t (i INTEGER, r REAL, x TEXT, b BLOB)", &err), err);
    db_stmt *s = db_prepare(d, "INSERT INTO t VALUES (?, ?, ?, ?)", NULL, &err);
    hash128 hash = hash_bytes("x", 1);
    db_bind_int(s, 1, INT64_MIN);
    db_bind_real(s, 2, 0.5);
    db_bind_text(s, 3, "caf\xc3\xa9");
    db_bind_hash(s, 4, hash);
    CHECK_OK(db_run(s, &err), err);
    CHECK_INT(1, db_changes(d));
    db_bind_null(s, 1);
    db_bind_text(s, 3, NULL);
    db_bind_bytes(s, 4, bytes_of("", 0));
    CHECK_OK(db_run(s, &err), err);
    CHECK_INT(2, db_last_id(d));
    db_bind_int(s, 9, 1); /* no such parameter: shown at the step */
    CHECK_CODE(WEIR_BUG, db_run(s, &err), err);
    CHECK(!db_is_readonly(s));
    db_finalize(s);

    const char *rest = NULL;
    s = db_prepare(d, "SELECT i, r AS half, x, b FROM t ORDER BY rowid; SELECT 2", &rest, &err);
    CHECK_STR(" SELECT 2", rest);
    CHECK(db_is_readonly(s));
    CHECK_INT(1, db_step(s, &err));
    CHECK_INT(4, db_columns(s));
    CHECK_STR("half", db_column_name(s, 1));
    CHECK_INT(1, db_column_type(s, 0));
    CHECK_INT(2, db_column_type(s, 1));
    CHECK(db_int(s, 0) == INT64_MIN && db_real(s, 1) == 0.5);
    CHECK_STR("caf\xc3\xa9", db_text(s, 2));
    CHECK_INT(5, db_bytes(s, 2).size);
    hash128 got = db_hash(s, 3);
    CHECK_HASH(hash, got);
    CHECK_INT(1, db_step(s, &err));
    CHECK(db_is_null(s, 0) && db_is_null(s, 2) && !db_is_null(s, 3));
    got = db_hash(s, 3);
    CHECK(hash_is_none(got));
    CHECK_INT(0, db_step(s, &err));
    db_finalize(s);
    CHECK(db_prepare(d, "SELECT nothing FROM nowhere", NULL, &err) == NULL);
    CHECK_INT(WEIR_BUG, err.code);
    CHECK_HAS("b.db", err.message);
    CHECK(db_prepare(d, "  ", NULL, &err) == NULL);
    db_counts counts = db_stats(d);
    CHECK(counts.statements > 4 && counts.rows_read >= 2 && counts.rows_written >= 2);
    db_close(d);
}

static void transactions(void)
{
    db *w;
    db *r;
    CHECK_OR_STOP(db_open(&w, check_path("c.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OR_STOP(db_open(&r, check_path("c.db"), DB_READ, NULL, &err) == 0);
    CHECK_OK(db_begin(w, &err), err);
    CHECK_OK(db_exec(w, "INSERT INTO folder VALUES (x'61')", &err), err);
    CHECK_INT(0, ask(r, "SELECT count(*) FROM folder"));
    CHECK_OK(db_begin(r, &err), err);
    CHECK_OK(db_commit(w, false, &err), err);
    CHECK(db_wal_pages(w) > 0);
    CHECK_INT(0, ask(r, "SELECT count(*) FROM folder")); /* its snapshot */
    db_refresh(r);
    CHECK_INT(1, ask(r, "SELECT count(*) FROM folder"));
    CHECK_OK(db_begin_durable(w, &err), err);
    CHECK_INT(2, ask(w, "PRAGMA synchronous"));
    CHECK_OK(db_exec(w, "INSERT INTO folder VALUES (x'62')", &err), err);
    db_rollback(w);
    CHECK_INT(1, ask(w, "PRAGMA synchronous"));
    CHECK_INT(1, ask(w, "SELECT count(*) FROM folder"));
    CHECK_OK(db_begin(w, &err), err);
    CHECK_OK(db_exec(w, "INSERT INTO folder VALUES (x'63')", &err), err);
    CHECK_OK(db_commit(w, true, &err), err); /* synced after the commit */
    CHECK_INT(1, db_stats(w).syncs);
    for (int i = 0; i < 2; i++) { /* a fault before the commit leaves nothing */
        os_fault_set(i ? OS_OP_FSYNC : OS_OP_WRITE, 1, EIO, false);
        CHECK_OK(db_begin_durable(w, &err), err);
        CHECK_OK(db_exec(w, "INSERT INTO folder VALUES (x'64')", &err), err);
        CHECK_CODE(WEIR_IO, db_commit(w, true, &err), err);
        db_rollback(w);
        CHECK_INT(2, ask(w, "SELECT count(*) FROM folder"));
    }
    CHECK_OK(db_checkpoint(w, true, &err), err);
    CHECK(db_exec(r, "INSERT INTO folder VALUES (x'65')", &err) != 0);
    db_close(r);
    db_close(w);
}

static void identity(void)
{
    db *d;
    check_write(check_path("text.db"), "this is a text and no database, whatever its name may say; and it is long enough ....");
    CHECK_CODE(WEIR_CORRUPT, db_open(&d, check_path("text.db"), DB_WRITE, NULL, &err), err);
    CHECK_CODE(WEIR_CORRUPT, db_open(&d, check_path("text.db"), DB_READ, NULL, &err), err);
    CHECK_OR_STOP(db_open(&d, check_path("new.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d, "PRAGMA user_version = 2", &err), err);
    db_close(d);
    CHECK_CODE(WEIR_NEWER, db_open(&d, check_path("new.db"), DB_WRITE, NULL, &err), err);
    CHECK_CODE(WEIR_NEWER, db_open(&d, check_path("new.db"), DB_READ, NULL, &err), err);
    CHECK_OR_STOP(db_open(&d, check_path("other.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d, "PRAGMA application_id = 7", &err), err);
    db_close(d);
    CHECK_CODE(WEIR_CORRUPT, db_open(&d, check_path("other.db"), DB_WRITE, NULL, &err), err);
    CHECK_HAS("this is no weir database", err.message);
    check_write(check_path("empty.db"), "");
    CHECK_CODE(WEIR_NOTFOUND, db_open(&d, check_path("empty.db"), DB_READ, NULL, &err), err);
}

/* Another text of a derived schema: cache and views are made anew at once, the state waits for its rebuild. */
static void other_release(void)
{
    db *d;
    bool stale = false;
    CHECK_OR_STOP(db_open(&d, check_path("old.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d,
        "CREATE TABLE old_cache (x); CREATE TABLE old_state (x); CREATE VIEW old_view AS SELECT 1; INSERT INTO cache_folder VALUES (x'', x'00');"
        "UPDATE part SET hash = x'00' WHERE name = 'stat'; DELETE FROM sqlite_stat1;"
        "UPDATE part SET hash = x'00', objects = objects || ' old_' || CASE name WHEN 'views' THEN 'view' ELSE name END WHERE name <> 'stat'", &err), err);
    CHECK_OK(db_exec(d, "CREATE TABLE of_a_user (x)", &err), err);
    db_close(d);
    CHECK_OK(db_open(&d, check_path("old.db"), DB_READ, &stale, &err), err);
    CHECK(stale);
    db_close(d);
    CHECK_OK(db_open(&d, check_path("old.db"), DB_WRITE, &stale, &err), err);
    CHECK(stale);
    CHECK_INT(0, ask(d, "SELECT count(*) FROM cache_folder"));
    CHECK_INT(1, ask(d, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old_%'"));
    CHECK_OK(db_begin(d, &err), err);
    CHECK_OK(db_state_recreate(d, &err), err);
    CHECK_OK(db_commit(d, false, &err), err);
    CHECK_INT(0, ask(d, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old_%'"));
    CHECK(ask(d, "SELECT count(*) FROM sqlite_stat1 WHERE tbl IN ('node', 'event', 'cache_folder')") >= 6);
    CHECK_INT(1, ask(d, "SELECT count(*) FROM sqlite_schema WHERE name = 'of_a_user'"));
    CHECK_OK(db_state_is_current(d, &stale, &err), err);
    CHECK(stale);
    CHECK_OK(db_integrity(d, &err), err);
    db_close(d);
}

static void reading_without_wal(void)
{
    db *d;
    char path[512];
    snprintf(path, sizeof path, "%s/odd ?#%%41", check_scratch());
    CHECK_INT(0, mkdir(path, 0755));
    snprintf(path, sizeof path, "%s/odd ?#%%41/x.db", check_scratch());
    CHECK_OR_STOP(db_open(&d, path, DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d, "INSERT INTO folder VALUES (x'61')", &err), err);
    CHECK_OK(db_checkpoint(d, true, &err), err);
    db_close(d);
    CHECK_OK(db_open(&d, path, DB_READ, NULL, &err), err); /* no -wal, no -shm */
    CHECK_INT(1, ask(d, "SELECT count(*) FROM folder"));
    db_close(d);
    /* In a folder and a file that cannot be written; as another user, because root may write everything. */
    char side[600];
    snprintf(side, sizeof side, "%s-wal", path);
    unlink(side);
    snprintf(side, sizeof side, "%s-shm", path);
    unlink(side);
    CHECK_INT(0, chmod(check_scratch(), 0755));
    CHECK_INT(0, chmod(path, 0444));
    snprintf(side, sizeof side, "%s/odd ?#%%41", check_scratch());
    CHECK_INT(0, chmod(side, 0555));
    pid_t pid = fork();
    if (pid == 0) {
        int64_t value = 0;
        if (geteuid() == 0 && setuid(65534) != 0) _exit(9);
        int rc = db_open(&d, path, DB_READ, NULL, &err);
        if (rc == 0) rc = db_ask_int(d, "SELECT count(*) FROM folder", &value, &err);
        if (rc != 0) fprintf(stderr, "%s\n", err.message);
        _exit(rc == 0 && value == 1 ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(0, status);
}

static int user_sql(db *d, const char *sql)
{
    db_stmt *s = db_prepare(d, sql, NULL, &err);
    if (!s) return err.code;
    int rc;
    while ((rc = db_step(s, &err)) == 1) {}
    db_finalize(s);
    return rc;
}

static void queries(void)
{
    db *d;
    CHECK_OR_STOP(db_open(&d, check_path("a.db"), DB_QUERY, NULL, &err) == 0);
    CHECK_INT(0, user_sql(d, "SELECT count(*) FROM event"));
    CHECK_INT(0, user_sql(d, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT hex(x) FROM n"));
    CHECK_INT(0, user_sql(d, "PRAGMA table_info(event)"));
    CHECK_INT(0, user_sql(d, "EXPLAIN QUERY PLAN SELECT * FROM event"));
    static const char *const refused[] = {
        "INSERT INTO folder VALUES (x'00')", "DELETE FROM event", "DROP TABLE event", "ATTACH 'x' AS y", "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE", "CREATE TEMP TABLE t (x)", "VACUUM", "BEGIN", "SELECT load_extension('x')", "PRAGMA writable_schema = 1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK_CODE(WEIR_USAGE, user_sql(d, refused[i]), err);
    CHECK_OK(db_begin(d, &err), err);
    db_refresh(d);
    CHECK_CODE(WEIR_USAGE, user_sql(d, "DELETE FROM folder"), err);
    db_deadline(d, 30);
    CHECK_CODE(WEIR_LIMIT, user_sql(d, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"), err);
    CHECK_HAS("the time limit was reached", err.message);
    db_deadline(d, 0);
    CHECK_INT(0, user_sql(d, "SELECT 1"));
    db_close(d);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* Statements that are meant to read a whole table, or all nodes of a graph. */
static bool may_scan(const char *name)
{
    static const char *const names[] = {"blob_row_all", "nodes_of_graph", "nodes_named", "fold_graph_add", "uses_discovered", "edges_discovered", NULL};
    return is_one_of(name, names) || strstr(name, "_all") != NULL; /* the name says so */
}

/* Is this a large table, or in the statement another name of one? */
static bool is_large(const char *word, const char *sql)
{
    static const char *const tables[] = {"event", "node", "execution", "step", "settlement", "settled", "reason", "edge", "use",
                                         "item", "produced", "refs", NULL};
    char text[80];
    if (is_one_of(word, tables)) return true;
    for (size_t i = 0; tables[i]; i++) {
        snprintf(text, sizeof text, " %s %s ", tables[i], word);
        if (strstr(sql, text)) return true;
    }
    return false;
}

/* Reads all of a large table? Indexes of a few rows of one do not count. Nodes are settled (status 0), all but a few of them. */
static bool reads_all(const char *detail, const char *sql)
{
    static const char *const few[] = {" edge_needed", " execution_open", " node_always", " node_expand"};
    char word[64];
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        if (strstr(detail, few[i])) return false;
    if (sscanf(detail, "SCAN %63s", word) == 1) return is_large(word, sql);
    if (sscanf(detail, "BLOOM FILTER ON %63s", word) == 1) return is_large(word, sql); /* made of all rows, each time */
    if (sscanf(detail, "SEARCH %63s USING AUTOMATIC", word) == 1 && strstr(detail, "AUTOMATIC")) return is_large(word, sql);
    if (strstr(detail, "node_name (graph=?)")) return true;
    return strstr(detail, "node_status (") && strstr(sql, "status = 0");
}

static void plans(void)
{
    db *d;
    CHECK_OR_STOP(db_open(&d, check_path("a.db"), DB_WRITE, NULL, &err) == 0);
    for (int i = 0; i < SQL_COUNT; i++) {
        char sql[8192];
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", schema_statements[i]);
        if (!CHECK(db_get(d, i, &err) != NULL)) {
            fprintf(stderr, "%s\n", err.message);
            continue;
        }
        /* Beside edge_needed, WHERE origin = 1, such a statement is compiled anew whenever the parameter changes. */
        CHECK(!strstr(schema_statements[i], "origin = ?") || !strstr(schema_statements[i], " edge "));
        db_stmt *s = db_prepare(d, sql, NULL, &err);
        while (s && db_step(s, &err) == 1)
            if (reads_all(db_text(s, 3), schema_statements[i]) && !may_scan(schema_statement_names[i])) {
                fprintf(stderr, "statement %s: %s\n", schema_statement_names[i], db_text(s, 3));
                CHECK_INT(0, i); /* a named statement reads a whole table */
            }
        db_finalize(s);
    }
    db_close(d);
}

int main(void)
{
    check_scratch();
    creation();
    append_only();
    statements();
    transactions();
    identity();
    other_release();
    reading_without_wal();
    queries();
    plans();
    return check_done();
}
