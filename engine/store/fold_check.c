/*
 * fold_check.c - the whole log into the state: to make it anew, and to see whether it is what the log says.
 *
 * The check folds into a connection of its own whose state tables are empty and which sees the log through its other
 * names (db_open_shadow), so that the same statements run. Then every table is read in the order of its primary key from
 * both connections and merged. Both look at the log up to one sequence number: the last one of the checked snapshot.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/os.h"
#include "engine/store/fold_internal.h"

enum { SCRATCH_KEEP = 1024 * 1024, KEY_MAX = 4 };

/* Fold the events up to `last` into the state tables of d. */
static int fold_all(db *d, uint64_t last, uint64_t *events, weir_error *err)
{
    mem_arena scratch;
    uint64_t count = 0;
    int rc;
    db_stmt *s = db_get(d, SQL_LOG_EVENTS, err);
    if (!s) return err->code;
    bind_u64(s, 1, 1);
    bind_u64(s, 2, last);
    arena_init(&scratch);
    fold_late *late = fold_late_new();
    if (!late) return error_nomem(err, "folding the log");
    while ((rc = db_step(s, err)) == 1) {
        uint64_t seq = (uint64_t)db_int(s, 0);
        rc = fold_event(d, late, seq, (uint64_t)db_int(s, 1), db_int(s, 2), (int)db_int(s, 3), db_bytes(s, 4), &scratch, err);
        if (rc != 0) {
            rc = error_context(err, rc, "event %" PRIu64, seq);
            break;
        }
        count++;
        if (scratch.used > SCRATCH_KEEP) arena_reset(&scratch);
    }
    db_reset(s);
    if (rc == 0) rc = fold_late_flush(late, d, err);
    fold_late_free(late);
    arena_deinit(&scratch);
    if (events) *events = count;
    return rc;
}

int fold_rebuild(db *d, uint64_t *events, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    bool own = !db_in_transaction(d);
    int rc = own ? db_begin(d, err) : 0;
    if (rc != 0) return rc;
    rc = db_state_recreate(d, err);
    if (rc == 0) rc = fold_all(d, INT64_MAX, events, err);
    os_kill_point("rebuild_before_commit");
    if (rc == 0 && own) rc = db_commit(d, false, err);
    if (rc != 0 && own) db_rollback(d);
    return rc;
}

/* --- comparing --------------------------------------------------------------------------------------------------- */

typedef struct check {
    db *kept, *fresh;
    void (*differs)(void *ctx, const char *line);
    void *ctx;
    uint64_t count;
    weir_error *err;
} check;

/* One table, read from both connections. */
typedef struct table {
    const char *name;
    int keys[KEY_MAX]; /* columns of the primary key, in its order */
    int key_count;
    db_stmt *kept, *fresh;
} table;

static void put_cell(buf *to, db_stmt *s, int column)
{
    bytes value;
    switch (db_column_type(s, column)) {
    case 1: buf_printf(to, "%" PRId64, db_int(s, column)); return;
    case 3: buf_text(to, db_text(s, column)); return;
    case 5: buf_text(to, "nothing"); return;
    default: break;
    }
    value = db_bytes(s, column);
    for (size_t i = 0; i < value.size && i < 24; i++) buf_printf(to, "%02x", value.data[i]);
    if (value.size > 24) buf_text(to, "..");
}

static void put_key(buf *to, const table *t, db_stmt *s)
{
    buf_text(to, t->name);
    for (int i = 0; i < t->key_count; i++) {
        buf_text(to, i == 0 ? " " : ", ");
        put_cell(to, s, t->keys[i]);
    }
}

static void report(check *c, buf *line)
{
    const char *text = buf_cstr(line);
    c->count++;
    if (c->differs) c->differs(c->ctx, text ? text : "(out of memory)");
    buf_deinit(line);
}

static void report_row(check *c, const table *t, db_stmt *row, const char *what)
{
    buf line;
    buf_init(&line);
    put_key(&line, t, row);
    buf_printf(&line, ": %s", what);
    report(c, &line);
}

/* SQLite's order of values: null, numbers, text, blobs. */
static int compare_cells(db_stmt *a, db_stmt *b, int column)
{
    int type_a = db_column_type(a, column);
    int type_b = db_column_type(b, column);
    if (type_a != type_b) return type_a == 5 ? -1 : type_b == 5 ? 1 : type_a - type_b;
    if (type_a == 5) return 0;
    if (type_a == 1) return (db_int(a, column) > db_int(b, column)) - (db_int(a, column) < db_int(b, column));
    return bytes_compare(db_bytes(a, column), db_bytes(b, column));
}

static int compare_keys(const table *t)
{
    for (int i = 0; i < t->key_count; i++) {
        int order = compare_cells(t->kept, t->fresh, t->keys[i]);
        if (order != 0) return order;
    }
    return 0;
}

/* Rows with the same key: a line for each column that differs. */
static void compare_rows(check *c, const table *t)
{
    int columns = db_columns(t->fresh);
    for (int i = 0; i < columns; i++) {
        if (compare_cells(t->kept, t->fresh, i) == 0) continue;
        buf line;
        buf_init(&line);
        put_key(&line, t, t->fresh);
        buf_printf(&line, ": %s is ", db_column_name(t->fresh, i));
        put_cell(&line, t->kept, i);
        buf_text(&line, ", by the log ");
        put_cell(&line, t->fresh, i);
        report(c, &line);
    }
}

static int compare_tables(check *c, const table *t)
{
    int kept = db_step(t->kept, c->err);
    int fresh = kept < 0 ? kept : db_step(t->fresh, c->err);
    while (kept >= 0 && fresh >= 0 && (kept == 1 || fresh == 1)) {
        int order = kept == 0 ? 1 : fresh == 0 ? -1 : compare_keys(t);
        if (order == 0) compare_rows(c, t);
        else if (order < 0) report_row(c, t, t->kept, "not in the log");
        else report_row(c, t, t->fresh, "missing, the log has it");
        if (order <= 0) kept = db_step(t->kept, c->err);
        if (order >= 0 && kept >= 0) fresh = db_step(t->fresh, c->err);
    }
    return kept < 0 ? kept : fresh;
}

/* The primary key, and the text that reads a table in its order. */
static int read_keys(check *c, table *t, buf *sql)
{
    int rc;
    db_stmt *s = db_prepare(c->fresh, "SELECT cid, name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", NULL, c->err);
    if (!s) return c->err->code;
    db_bind_text(s, 1, t->name);
    buf_printf(sql, "SELECT * FROM main.\"%s\" ORDER BY ", t->name);
    while ((rc = db_step(s, c->err)) == 1 && t->key_count < KEY_MAX) {
        buf_printf(sql, "%s\"%s\"", t->key_count ? ", " : "", db_text(s, 1));
        t->keys[t->key_count++] = (int)db_int(s, 0);
    }
    db_finalize(s);
    return rc < 0 ? rc : 0;
}

static int check_table(check *c, const char *name)
{
    table t = {.name = name};
    weir_error why = {0};
    buf sql;
    buf_init(&sql);
    int rc = read_keys(c, &t, &sql);
    const char *text = rc == 0 ? buf_cstr(&sql) : NULL;
    if (rc == 0 && !text) rc = error_nomem(c->err, "checking the state");
    if (rc == 0 && !(t.fresh = db_prepare(c->fresh, text, NULL, c->err))) rc = c->err->code;
    if (rc == 0) t.kept = db_prepare(c->kept, text, NULL, &why);
    if (rc == 0 && t.kept) {
        rc = compare_tables(c, &t);
    } else if (rc == 0) { /* a table that cannot be read differs */
        buf line;
        buf_init(&line);
        buf_printf(&line, "%s: %s", name, why.message);
        report(c, &line);
    }
    db_finalize(t.kept);
    db_finalize(t.fresh);
    buf_deinit(&sql);
    return rc;
}

static int check_tables(check *c)
{
    int rc;
    db_stmt *s = db_prepare(c->fresh, "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name", NULL, c->err);
    if (!s) return c->err->code;
    while ((rc = db_step(s, c->err)) == 1) {
        rc = check_table(c, db_text(s, 0));
        if (rc != 0) break;
    }
    db_finalize(s);
    return rc;
}

static int fold_fresh(check *c, uint64_t last)
{
    int rc = db_begin(c->fresh, c->err);
    if (rc == 0) rc = fold_all(c->fresh, last, NULL, c->err);
    if (rc == 0) rc = db_commit(c->fresh, false, c->err);
    return rc;
}

static int check_snapshot(check *c)
{
    int64_t last = 0;
    bool current = false;
    int rc = db_state_is_current(c->kept, &current, c->err);
    if (rc == 0 && !current) {
        c->count++;
        c->differs(c->ctx, "state: made by another release of weir, or not folded yet");
        return 0;
    }
    if (rc == 0) rc = db_ask_int(c->kept, "SELECT max(seq) FROM event", &last, c->err);
    if (rc == 0) rc = db_open_shadow(&c->fresh, c->kept, c->err);
    if (rc == 0) rc = fold_fresh(c, (uint64_t)last);
    if (rc == 0) rc = check_tables(c);
    db_close(c->fresh);
    return rc;
}

int fold_check(db *d, void (*differs)(void *ctx, const char *line), void *ctx, uint64_t *differences, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    check c = {.kept = d, .differs = differs, .ctx = ctx, .err = err};
    bool own = !db_in_transaction(d);
    int rc = own ? db_begin(d, err) : 0;
    if (rc != 0) return rc;
    rc = check_snapshot(&c);
    if (own) db_rollback(d);
    if (differences) *differences = c.count;
    return rc;
}
