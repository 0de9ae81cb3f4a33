/*
 * sql.c - weir sql: questions in SQL, read-only, with a limit in time. Several statements give one result after the other.
 */
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/door/commands.h"
#include "engine/door/print.h"
#include "engine/door/project.h"
#include "engine/door/remote.h"
#include "engine/store/db.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"

enum { DEADLINE_MS = 10000, TABLE_ROWS = 1000, CELL_MAX = 60, QUERY_MAX = 1024 * 1024 };
enum { TYPE_INTEGER = 1, TYPE_REAL = 2, TYPE_TEXT = 3, TYPE_BLOB = 4, TYPE_NULL = 5 };

typedef struct asking {
    const options *o;
    db *d;
    weir_error err;
    buf out;
    size_t results; /* of statements that gave columns */
} asking;

/* --- cells -------------------------------------------------------------------------------------------------------- */

static void put_hex(buf *to, bytes value)
{
    for (size_t i = 0; i < value.size; i++) buf_printf(to, "%02x", value.data[i]);
}

/* A value as text; blobs as hex. */
static void put_plain(buf *to, db_stmt *s, int column)
{
    bytes text = db_bytes(s, column);
    if (db_column_type(s, column) == TYPE_BLOB) put_hex(to, text);
    else if (db_column_type(s, column) != TYPE_NULL) buf_append(to, text.data, text.size);
}

static void put_json_cell(buf *to, db_stmt *s, int column)
{
    char number[32];
    switch (db_column_type(s, column)) {
    case TYPE_INTEGER: jsonout_signed(to, db_int(s, column)); return;
    case TYPE_NULL: jsonout_string(to, NULL); return;
    case TYPE_REAL:
        value_format_float(db_real(s, column), number);
        if (strpbrk(number, "IN")) jsonout_string(to, number); /* Infinity, NaN */
        else buf_text(to, number); /* behind its colon: no comma */
        return;
    default: break;
    }
    buf text;
    buf_init(&text);
    put_plain(&text, s, column);
    jsonout_text(to, buf_bytes(&text));
    buf_deinit(&text);
}

static void put_csv_cell(buf *to, bytes text)
{
    bool quote = text.size == 0;
    for (size_t i = 0; i < text.size && !quote; i++) quote = strchr(",\"\r\n", text.data[i]) != NULL;
    if (!quote) {
        buf_append(to, text.data, text.size);
        return;
    }
    buf_byte(to, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') buf_byte(to, '"');
        buf_byte(to, text.data[i]);
    }
    buf_byte(to, '"');
}

/* --- forms -------------------------------------------------------------------------------------------------------- */

static void put_json_row(asking *a, db_stmt *s, uint64_t row)
{
    buf_text(&a->out, row ? ",\n" : "\n");
    jsonout_open(&a->out, '{');
    for (int i = 0; i < db_columns(s); i++) {
        jsonout_text(&a->out, bytes_str(db_column_name(s, i)));
        buf_byte(&a->out, ':');
        put_json_cell(&a->out, s, i);
    }
    jsonout_close(&a->out, '}');
}

static void put_csv_head(asking *a, db_stmt *s)
{
    for (int i = 0; i < db_columns(s); i++) {
        if (i) buf_byte(&a->out, ',');
        put_csv_cell(&a->out, bytes_str(db_column_name(s, i)));
    }
    buf_text(&a->out, "\r\n");
}

static void put_csv_row(asking *a, db_stmt *s)
{
    buf cell;
    buf_init(&cell);
    for (int i = 0; i < db_columns(s); i++) {
        if (i) buf_byte(&a->out, ',');
        if (db_column_type(s, i) == TYPE_NULL) continue; /* nothing at all; an empty text is "" */
        buf_clear(&cell);
        put_plain(&cell, s, i);
        put_csv_cell(&a->out, buf_bytes(&cell));
    }
    buf_text(&a->out, "\r\n");
    buf_deinit(&cell);
}

/* Rows in lines: exact and quick, whatever their number. */
static int stream(asking *a, db_stmt *s)
{
    uint64_t rows = 0;
    uint64_t limit = a->o->limit > 0 ? (uint64_t)a->o->limit : UINT64_MAX;
    int rc = 1;
    if (a->o->json) buf_text(&a->out, a->results > 1 ? "\n[" : "[");
    else put_csv_head(a, s);
    while (rows < limit && (rc = db_step(s, &a->err)) == 1) {
        if (a->o->json) put_json_row(a, s, rows);
        else put_csv_row(a, s);
        rows++;
        if (a->out.size > 64 * 1024) print_out(&a->out);
    }
    if (a->o->json) buf_text(&a->out, rows ? "\n]" : "]");
    print_out(&a->out);
    return rc < 0 ? rc : 0;
}

/* --- a table for people --------------------------------------------------------------------------------------------- */

typedef struct table {
    buf cells;        /* texts, one behind the other */
    size_t *ends;     /* where each ends in `cells` */
    size_t count, capacity;
    size_t *widths;   /* of columns, in characters */
    bool *numbers;    /* columns that stand to the right */
    int columns;
} table;

static size_t characters(bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] & 0xc0) != 0x80) count++;
    return count;
}

static bool table_add(table *t, int column, bytes text, bool limit)
{
    size_t start = t->cells.size;
    if (!MEM_GROW(t->ends, t->capacity, t->count + 1)) return false;
    print_safe(&t->cells, text, 0);
    if (t->cells.failed) return false;
    bytes shown = bytes_of(t->cells.data + start, t->cells.size - start);
    if (limit && characters(shown) > CELL_MAX) {
        size_t at = 0;
        for (size_t used = 0; at < shown.size; at++)
            if ((shown.data[at] & 0xc0) != 0x80 && ++used == CELL_MAX - 1) break;
        t->cells.size = start + at;
        buf_text(&t->cells, "..");
        shown = bytes_of(t->cells.data + start, t->cells.size - start);
    }
    size_t width = characters(shown);
    if (width > t->widths[column]) t->widths[column] = width;
    t->ends[t->count++] = t->cells.size;
    return true;
}

static bool table_add_row(table *t, db_stmt *s, bool limit)
{
    buf cell;
    bool fits = true;
    buf_init(&cell);
    for (int i = 0; fits && i < t->columns; i++) {
        int type = db_column_type(s, i);
        buf_clear(&cell);
        put_plain(&cell, s, i);
        if (type == TYPE_TEXT || type == TYPE_BLOB) t->numbers[i] = false;
        fits = table_add(t, i, buf_bytes(&cell), limit);
    }
    buf_deinit(&cell);
    return fits;
}

static void table_print(const table *t, buf *to)
{
    size_t start = 0;
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % (size_t)t->columns;
        bool is_last = column + 1 == (size_t)t->columns;
        bytes text = bytes_of(t->cells.data + start, t->ends[i] - start);
        size_t gap = t->widths[column] - characters(text);
        for (size_t k = 0; k < gap && t->numbers[column]; k++) buf_byte(to, ' ');
        buf_append(to, text.data, text.size);
        for (size_t k = 0; k < gap && !t->numbers[column] && !is_last; k++) buf_byte(to, ' ');
        buf_text(to, is_last ? "\n" : "  ");
        start = t->ends[i];
    }
}

static int fill_table(asking *a, db_stmt *s, table *t, bool *more)
{
    uint64_t limit = a->o->limit > 0 ? (uint64_t)a->o->limit : a->o->limit == 0 ? UINT64_MAX : TABLE_ROWS;
    uint64_t rows = 0;
    int rc;
    for (int i = 0; i < t->columns; i++) {
        t->numbers[i] = true;
        if (!table_add(t, i, bytes_str(db_column_name(s, i)), true)) return error_nomem(&a->err, "making a table");
    }
    while ((rc = db_step(s, &a->err)) == 1) {
        if (rows++ == limit) {
            *more = true;
            return 0;
        }
        if (!table_add_row(t, s, !a->o->verbose)) return error_nomem(&a->err, "making a table");
    }
    return rc;
}

static int show_table(asking *a, db_stmt *s)
{
    bool more = false;
    table t = {.columns = db_columns(s)};
    t.widths = mem_zero((size_t)t.columns, sizeof *t.widths);
    t.numbers = mem_zero((size_t)t.columns, sizeof *t.numbers);
    int rc = t.widths && t.numbers ? fill_table(a, s, &t, &more) : error_nomem(&a->err, "making a table");
    if (rc == 0) table_print(&t, &a->out);
    print_out(&a->out);
    if (more && !a->o->quiet) print_message("there are more rows; --limit=0 shows all");
    buf_deinit(&t.cells);
    mem_free(t.ends);
    mem_free(t.widths);
    mem_free(t.numbers);
    return rc;
}

/* --- statements ------------------------------------------------------------------------------------------------------ */

/* Is there anything but white space, semicolons and comments? */
static bool has_statement(const char *sql)
{
    while (*sql) {
        if (strchr(" \t\r\n;", *sql)) sql++;
        else if (strncmp(sql, "--", 2) == 0) sql += strcspn(sql, "\n");
        else return true;
    }
    return false;
}

static int ask_one(asking *a, const char **sql)
{
    db_stmt *s = db_prepare(a->d, *sql, sql, &a->err);
    if (!s) return a->err.code;
    int rc = 0;
    if (db_columns(s) == 0) rc = db_run(s, &a->err);
    else {
        a->results++;
        rc = a->o->json || a->o->csv ? stream(a, s) : show_table(a, s);
    }
    db_finalize(s);
    return rc;
}

static int ask(asking *a, const char *sql)
{
    int rc = 0;
    if (!has_statement(sql)) return error_set(&a->err, WEIR_USAGE, "there is no question");
    while (rc == 0 && has_statement(sql)) rc = ask_one(a, &sql);
    if (a->o->json && a->results) buf_byte(&a->out, '\n');
    print_out(&a->out);
    return rc;
}

static int read_question(const options *o, buf *sql, weir_error *err)
{
    uint8_t part[4096];
    ssize_t got;
    if (o->word_count) {
        buf_text(sql, o->words[0]);
        return 0;
    }
    while ((got = os_read(STDIN_FILENO, part, sizeof part, "standard input", err)) > 0) {
        buf_append(sql, part, (size_t)got);
        if (sql->size > QUERY_MAX) return error_set(err, WEIR_LIMIT, "the question is longer than a megabyte");
    }
    return got < 0 ? (int)got : 0;
}

static const char *hint_for(const weir_error *err)
{
    if (err->code == WEIR_LIMIT) return "a question has 10 seconds; narrow it down, or ask a copy of the database";
    if (strstr(err->message, "not authorized")) return "only questions are answered here: SELECT ...";
    if (err->code == WEIR_USAGE) return "the views are weir_runs, _nodes, _edges, _inputs, _outputs, _events, _executions, _reasons";
    return "";
}

int command_sql(const options *o)
{
    project p;
    buf sql;
    asking a = {.o = o};
    const char *hint = "";
    buf_init(&sql);
    int rc = project_find(&p, o, &a.err);
    if (rc == WEIR_NOTFOUND) hint = PROJECT_HINT;
    if (rc == 0) rc = read_question(o, &sql, &a.err);
    const char *text = buf_cstr(&sql);
    if (rc == 0 && !text) rc = error_nomem(&a.err, "reading the question");
    if (rc == 0) remote_look(&p, o);
    if (rc == 0) rc = db_open(&a.d, p.db_path, DB_QUERY, NULL, &a.err);
    if (rc == 0) db_deadline(a.d, DEADLINE_MS);
    if (rc == 0) rc = ask(&a, text);
    int code = rc == 0 ? EXIT_DONE : print_failure(&a.err, *hint ? hint : hint_for(&a.err));
    db_close(a.d);
    project_deinit(&p);
    buf_deinit(&sql);
    buf_deinit(&a.out);
    return print_end(code);
}
