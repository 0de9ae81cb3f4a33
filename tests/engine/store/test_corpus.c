/*
 * test_corpus.c - logs of every version ever released still open, verify, and fold to what they meant.
 *
 * tests/corpus/v<N>/ holds a log as SQL text (log.sql), its side file (head), and the state that it folds to (state.txt).
 * The first two are never made again: a new version gets a folder of its own. state.txt follows the schema of the state;
 * after an intended change: WEIR_CORPUS_STATE=1 test_corpus, and read the difference before it is committed.
 * WEIR_CORPUS_NEW=<folder> makes log.sql and head of the present version.
 */
#include <sqlite3.h>
#include <stdarg.h>

#include "engine/base/os.h"
#include "engine/store/fold.h"
#include "engine/store/log.h"
#include "generated/schema.h"
#include "tests/check.h"
#include "tests/engine/store/story.h"

static weir_error err;

/* "<source>/tests/corpus/<version>/<name>" */
static const char *corpus_path(const char *version, const char *name)
{
    static char paths[4][900];
    static unsigned next;
    char *path = paths[next++ % 4];
    const char *source = getenv("WEIR_SOURCE");
    int here = (int)(strstr(__FILE__, "tests/engine/store") - __FILE__);
    if (source) snprintf(path, sizeof paths[0], "%s/tests/corpus/%s/%s", source, version, name);
    else snprintf(path, sizeof paths[0], "%.*stests/corpus/%s/%s", here, __FILE__, version, name);
    return path;
}

static void append(buf *to, db_stmt *s, int column)
{
    bytes value = db_bytes(s, column);
    switch (db_column_type(s, column)) {
    case 1: buf_printf(to, "%lld", (long long)db_int(s, column)); return;
    case 3: buf_printf(to, "'%s'", db_text(s, column)); return;
    case 5: buf_text(to, "NULL"); return;
    default: break;
    }
    buf_text(to, "x'");
    for (size_t i = 0; i < value.size; i++) buf_printf(to, "%02x", value.data[i]);
    buf_text(to, "'");
}

static void append_rows(buf *to, db *d, const char *sql, const char *before, const char *after)
{
    db_stmt *s = db_prepare(d, sql, NULL, &err);
    if (!CHECK(s != NULL)) return;
    while (db_step(s, &err) == 1) {
        buf_text(to, before);
        for (int i = 0; i < db_columns(s); i++) {
            if (i) buf_text(to, ", ");
            append(to, s, i);
        }
        buf_text(to, after);
    }
    db_finalize(s);
}

/* --- making one -------------------------------------------------------------------------------------------------- */

static void into_batch(void *ctx, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body)
{
    batch_event(*(log_batch **)ctx, seq, run, at_us, kind, body);
}

static void write_log(const char *path, int dirfd)
{
    log_batch *batch = NULL;
    log_writer *w = NULL;
    story s = story_new(into_batch, &batch);
    CHECK_OR_STOP(log_writer_open(&w, path, dirfd, NULL, NULL, &err) == 0);
    for (int i = 0; i < 60; i++) {
        blob_row row;
        hash128 hash = story_hash((uint64_t)i);
        batch = batch_new();
        if (i == 0) story_begin(&s);
        story_tell(&s, 5);
        CHECK_OK(blob_row_make(bytes_of(&hash, sizeof hash), hash_bytes(&hash, sizeof hash), &row, &err), err);
        if (i % 10 == 0) batch_payload(batch, &row);
        mem_free(row.stored);
        batch->durable = i % 20 == 19;
        log_submit(w, batch);
        CHECK_OK(log_wait(w, &err), err);
    }
    log_writer_close(w);
}

static void make_corpus(const char *folder)
{
    db *d = NULL;
    buf text = {0};
    char path[600];
    int dirfd = open(check_scratch(), O_RDONLY | O_DIRECTORY);
    write_log(check_path("weir.db"), dirfd);
    CHECK_OR_STOP(db_open(&d, check_path("weir.db"), DB_READ, NULL, &err) == 0);
    buf_printf(&text, "PRAGMA application_id = %d;\nPRAGMA user_version = %d;\n", DB_APPLICATION_ID, DB_LOG_VERSION);
    buf_text(&text, SCHEMA_PART);
    buf_text(&text, SCHEMA_LOG);
    buf_text(&text, SCHEMA_PAYLOAD);
    append_rows(&text, d, "SELECT * FROM event ORDER BY seq", "INSERT INTO event VALUES (", ");\n");
    append_rows(&text, d, "SELECT * FROM chain ORDER BY last_seq", "INSERT INTO chain VALUES (", ");\n");
    append_rows(&text, d, "SELECT * FROM payload ORDER BY id", "INSERT INTO payload VALUES (", ");\n");
    db_close(d);
    snprintf(path, sizeof path, "%s/log.sql", folder);
    CHECK_OK(os_write_file(AT_FDCWD, path, buf_bytes(&text), 0644, &err), err);
    buf_clear(&text);
    CHECK_OK(os_read_file(dirfd, "head", 1000, &text, &err), err);
    snprintf(path, sizeof path, "%s/head", folder);
    CHECK_OK(os_write_file(AT_FDCWD, path, buf_bytes(&text), 0644, &err), err);
    buf_deinit(&text);
    close(dirfd);
}

/* --- trying one -------------------------------------------------------------------------------------------------- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *handle = NULL;
    char *message = NULL;
    CHECK_INT(SQLITE_OK, sqlite3_open(path, &handle));
    sqlite3_exec(handle, "BEGIN", NULL, NULL, NULL);
    sqlite3_exec(handle, sql, NULL, NULL, &message);
    sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL);
    CHECK_STR(NULL, message);
    sqlite3_free(message);
    sqlite3_close(handle);
}

static void append_state(buf *to, db *d)
{
    db_stmt *s = db_prepare(d,
        "SELECT s.name, (SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info(s.name) WHERE pk > 0 ORDER BY pk)) "
        "FROM sqlite_schema s WHERE type = 'table' AND instr(' ' || (SELECT objects FROM part WHERE name = 'state') || ' ', ' ' || s.name || ' ') "
        "ORDER BY s.name", NULL, &err);
    if (!CHECK(s != NULL)) return;
    while (db_step(s, &err) == 1) {
        char sql[256];
        char before[80];
        snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY %s", db_text(s, 0), db_text(s, 1));
        snprintf(before, sizeof before, "%s: ", db_text(s, 0));
        append_rows(to, d, sql, before, "\n");
    }
    db_finalize(s);
}

static void on_difference(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "  %s\n", line);
}

static void check_state(const char *version, db *d)
{
    buf state = {0};
    buf expected = {0};
    append_state(&state, d);
    const char *path = corpus_path(version, "state.txt");
    if (getenv("WEIR_CORPUS_STATE")) CHECK_OK(os_write_file(AT_FDCWD, path, buf_bytes(&state), 0644, &err), err);
    CHECK_OK(os_read_file(AT_FDCWD, path, 16 << 20, &expected, &err), err);
    const char *got = buf_cstr(&state);
    const char *want = buf_cstr(&expected);
    size_t at = 0;
    while (got[at] && got[at] == want[at]) at++;
    if (got[at] != want[at]) { /* show the line */
        while (at > 0 && got[at - 1] != '\n') at--;
        fprintf(stderr, "state of %s:\n  expected %.*s\n  got      %.*s\n", version, (int)strcspn(want + at, "\n"), want + at,
                (int)strcspn(got + at, "\n"), got + at);
    }
    CHECK(strcmp(want, got) == 0);
    buf_deinit(&state);
    buf_deinit(&expected);
}

static void try_corpus(const char *version)
{
    buf sql = {0};
    buf head = {0};
    db *d = NULL;
    log_writer *w = NULL;
    uint64_t events = 0;
    uint64_t differences = 1;
    char path[600];
    int dirfd = -1;
    CHECK_INT(0, mkdir(check_path(version), 0755));
    dirfd = open(check_path(version), O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "%s/weir.db", check_path(version));
    CHECK_OK(os_read_file(AT_FDCWD, corpus_path(version, "log.sql"), 64 << 20, &sql, &err), err);
    CHECK_OK(os_read_file(AT_FDCWD, corpus_path(version, "head"), 1000, &head, &err), err);
    run_sql(path, buf_cstr(&sql));
    CHECK_OK(os_write_file(dirfd, "head", buf_bytes(&head), 0644, &err), err);
    CHECK_OK(log_writer_open(&w, path, dirfd, NULL, NULL, &err), err);
    log_writer_close(w);
    CHECK_OR_STOP(db_open(&d, path, DB_READ, NULL, &err) == 0);
    CHECK_OK(log_verify(d, dirfd, &events, &err), err);
    CHECK(events > 200);
    CHECK_OK(fold_check(d, on_difference, NULL, &differences, &err), err);
    CHECK_INT(0, differences);
    check_state(version, d);
    db_close(d);
    close(dirfd);
    buf_deinit(&sql);
    buf_deinit(&head);
}

int main(void)
{
    const char *folder = getenv("WEIR_CORPUS_NEW");
    check_scratch();
    if (folder) make_corpus(folder);
    else try_corpus("v1");
    return check_done();
}
