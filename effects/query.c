/*
 * query.c - a SELECT over what other nodes made: its rows are the node's value.
 *
 *     local titles = weir.query "titles" { inputs = { pages = pages },
 *       sql = "SELECT name, value->>'$.title' AS title FROM pages ORDER BY title" }
 *     -- its value: { { name = "page[post=intro]", title = "Introduction" }, ... }
 *
 * Each input port is a table with a row for each member and the columns of `columns` below. Nothing
 * is loaded beforehand: SQLite asks for one column of one row when it evaluates it, and that is the
 * read which is recorded. So what a query depends on is what it looked at.
 *
 * Q1  The rows are a function of what was read and of the params: no clock, no chance, no
 *     environment, no file. What the SQL may use is listed (`functions`), all else is refused
 *     before it runs.
 * Q2  Rows come in the order of the list: there is one way through a table, from its first row to
 *     its last.
 *
 * One database in memory for each job.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/weir_effect.h"

enum { SQL_SHOWN = 400 /* bytes of it in a message */, TEXT_MOST = 64 * 1024 * 1024 };

static const struct {
    const char *declaration;
    weir_part part;
} columns[] = {{"name TEXT", WEIR_PART_NAME},
               {"path TEXT", WEIR_PART_PATH},
               {"params TEXT", WEIR_PART_PARAMS},
               {"value TEXT", WEIR_PART_VALUE},
               {"content TEXT", WEIR_PART_CONTENT}};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* Beside those that begin with "json". Dates are missing because 'now' and 'localtime' are no inputs. */
static const char *const functions[] = {
    "->",         "->>",          "abs",          "avg",          "ceil",   "ceiling",
    "char",       "coalesce",     "concat",       "concat_ws",    "count",  "cume_dist",
    "degrees",    "dense_rank",   "exp",          "first_value",  "floor",  "format",
    "glob",       "group_concat", "hex",          "if",           "ifnull", "iif",
    "instr",      "lag",          "last_value",   "lead",         "length", "like",
    "likelihood", "likely",       "ln",           "log",          "log10",  "log2",
    "lower",      "ltrim",        "max",          "min",          "mod",    "nth_value",
    "ntile",      "nullif",       "octet_length", "percent_rank", "pi",     "pow",
    "power",      "printf",       "quote",        "radians",      "rank",   "replace",
    "round",      "row_number",   "rtrim",        "sign",         "sqrt",   "string_agg",
    "substr",     "substring",    "sum",          "total",        "trim",   "trunc",
    "typeof",     "unhex",        "unicode",      "unlikely",     "upper",  "cos",
    "sin",        "tan",          "acos",         "asin",         "atan",   "atan2"};

typedef struct query {
    const weir_host *host;
    weir_job *job;
    sqlite3 *db;
    const char *sql;
    int host_code;     /* of a call to the host that failed; its message stands */
    char refused[128]; /* what the SQL may not use; "": nothing of the kind */
} query;

/* --- tables ----------------------------------------------------------------------------------- */

typedef struct source { /* a port; the context of its module */
    query *q;
    const char *port;
} source;

typedef struct table {
    sqlite3_vtab base;
    const source *from;
} table;

typedef struct cursor {
    sqlite3_vtab_cursor base;
    size_t at, count;
} cursor;

static const source *source_of(const sqlite3_vtab_cursor *c)
{
    return ((const table *)c->pVtab)->from;
}

static int table_connect(sqlite3 *db, void *from, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **message)
{
    char text[256] = "CREATE TABLE t(";
    (void)argc;
    (void)argv;
    (void)message;
    for (size_t i = 0; i < COLUMNS; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", columns[i].declaration,
                 i + 1 < COLUMNS ? ", " : ")");
    int rc = sqlite3_declare_vtab(db, text);
    table *t = rc == SQLITE_OK ? sqlite3_malloc(sizeof *t) : NULL;
    if (!t) return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
    *t = (table){.from = from};
    *out = &t->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *t)
{
    sqlite3_free(t);
    return SQLITE_OK;
}

/* The same whatever is in the tables: the order in which a join takes them is that of the SQL. */
static int table_plan(sqlite3_vtab *t, sqlite3_index_info *info)
{
    (void)t;
    info->estimatedCost = 1000;
    info->estimatedRows = 1000;
    return SQLITE_OK;
}

static int table_open(sqlite3_vtab *t, sqlite3_vtab_cursor **out)
{
    (void)t;
    cursor *c = sqlite3_malloc(sizeof *c);
    if (!c) return SQLITE_NOMEM;
    *c = (cursor){.at = 0};
    *out = &c->base;
    return SQLITE_OK;
}

static int table_close(sqlite3_vtab_cursor *c)
{
    sqlite3_free(c);
    return SQLITE_OK;
}

static int table_begin(sqlite3_vtab_cursor *base, int number, const char *text, int argc,
                       sqlite3_value **argv)
{
    cursor *c = (cursor *)base;
    const source *from = source_of(base);
    (void)number;
    (void)text;
    (void)argc;
    (void)argv;
    c->at = c->count = 0;
    from->q->host_code = from->q->host->input_count(from->q->job, from->port, &c->count);
    return from->q->host_code == 0 ? SQLITE_OK : SQLITE_ERROR;
}

static int table_next(sqlite3_vtab_cursor *base)
{
    ((cursor *)base)->at++;
    return SQLITE_OK;
}

static int table_at_end(sqlite3_vtab_cursor *base)
{
    const cursor *c = (const cursor *)base;
    return c->at >= c->count;
}

static int table_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *id)
{
    *id = (sqlite3_int64)((const cursor *)base)->at + 1;
    return SQLITE_OK;
}

static int table_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int number)
{
    const source *from = source_of(base);
    const char *data = NULL;
    size_t size = 0;
    if (number < 0 || number >= COLUMNS) return SQLITE_OK;
    query *q = from->q;
    q->host_code = q->host->input_part(q->job, from->port, ((const cursor *)base)->at,
                                       columns[number].part, &data, &size);
    if (q->host_code != 0) return SQLITE_ERROR;
    int is_binary = data && columns[number].part == WEIR_PART_CONTENT && memchr(data, '\0', size);
    if (!data) sqlite3_result_null(to);
    else if (is_binary) sqlite3_result_blob64(to, data, size, SQLITE_STATIC);
    else sqlite3_result_text64(to, data, size, SQLITE_STATIC, SQLITE_UTF8);
    return SQLITE_OK;
}

static const sqlite3_module module =
    {/* without xCreate: the table is there under the module's name */
     .xConnect = table_connect, .xBestIndex = table_plan, .xDisconnect = table_disconnect,
     .xOpen = table_open,       .xClose = table_close,    .xFilter = table_begin,
     .xNext = table_next,       .xEof = table_at_end,     .xColumn = table_column,
     .xRowid = table_rowid};

/* --- what may be used ------------------------------------------------------------------------- */

static int is_function(const char *name)
{
    if (sqlite3_strnicmp(name, "json", 4) == 0) return 1;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (sqlite3_stricmp(name, functions[i]) == 0) return 1;
    return 0;
}

static int is_table(const query *q, const char *name)
{
    const char *port;
    if (sqlite3_stricmp(name, "json_each") == 0 || sqlite3_stricmp(name, "json_tree") == 0)
        return 1;
    for (size_t i = 0; (port = q->host->input_port(q->job, i)); i++)
        if (sqlite3_stricmp(name, port) == 0) return 1;
    return 0;
}

static int refuse(query *q, const char *what, const char *name)
{
    if (!*q->refused) snprintf(q->refused, sizeof q->refused, "%s%s", what, name);
    return SQLITE_DENY;
}

static int authorize(void *ctx, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    query *q = ctx;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_READ: return is_table(q, first) ? SQLITE_OK : refuse(q, "the table ", first);
    case SQLITE_FUNCTION:
        return is_function(second) ? SQLITE_OK : refuse(q, "the function ", second);
    default: return refuse(q, "another statement than SELECT", "");
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static int shown(const char *sql)
{
    size_t size = strlen(sql);
    if (size <= SQL_SHOWN) return (int)size;
    for (size = SQL_SHOWN; size > 0 && (sql[size] & 0xc0) == 0x80;) size--;
    return (int)size;
}

static int complain(const query *q, const char *what, const char *hint)
{
    return q->host->fail(q->job, "%s%s%s; the SQL: %.*s", what, *hint ? "; " : "", hint,
                         shown(q->sql), q->sql);
}

static int complain_column(const query *q, const char *name, const char *what, const char *hint)
{
    char text[256];
    snprintf(text, sizeof text, "the column \"%.100s\" %s", name, what);
    return complain(q, text, hint);
}

static int complain_refused(const query *q)
{
    char text[256];
    snprintf(text, sizeof text, "a query only selects from its inputs: it cannot use %s",
             q->refused);
    return complain(q, text, "");
}

/* SQLite gave an error: whose? */
static int complain_sqlite(const query *q)
{
    const char *message = sqlite3_errmsg(q->db), *port;
    char hint[256] = "";
    if (q->host_code != 0) return q->host_code;
    if (*q->refused) return complain_refused(q);
    if (strstr(message, "no such column"))
        snprintf(hint, sizeof hint, "a table has name, path, params, value and content");
    if (strstr(message, "no such table")) {
        snprintf(hint, sizeof hint, "the tables are the input ports");
        for (size_t i = 0; (port = q->host->input_port(q->job, i)); i++)
            snprintf(hint + strlen(hint), sizeof hint - strlen(hint), "%s%s", i ? ", " : ": ",
                     port);
    }
    return complain(q, message, hint);
}

/* --- the statement ---------------------------------------------------------------------------- */

static int open_database(query *q)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(":memory:", &q->db, flags, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(q->db, "PRAGMA temp_store = MEMORY", NULL, NULL,
                          NULL); /* a large sort writes no file */
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(q->db, SQLITE_DBCONFIG_DQS_DML, 0,
                               (int *)NULL); /* "titel" is no text, but a mistake */
    if (rc == SQLITE_OK) rc = sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    if (rc == SQLITE_OK) return 0;
    return q->host->fail(q->job, "cannot open a database in memory: %s",
                         q->db ? sqlite3_errmsg(q->db) : sqlite3_errstr(rc));
}

/* Connects a table: SQLite does so when it first compiles a statement with it, by statements of its own. */
static int connect(query *q, const char *name)
{
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("SELECT 1 FROM \"%w\"", name);
    int rc = sql ? sqlite3_prepare_v2(q->db, sql, -1, &statement, NULL) : SQLITE_NOMEM;
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return rc == SQLITE_OK
               ? 0
               : q->host->fail(q->job, "cannot make the table %s: %s", name, sqlite3_errmsg(q->db));
}

static int make_tables(query *q)
{
    const char *port, *other;
    for (size_t i = 0; (port = q->host->input_port(q->job, i)); i++) {
        for (size_t k = 0; k < i && (other = q->host->input_port(q->job, k)); k++)
            if (sqlite3_stricmp(port, other) == 0)
                return q->host->fail(
                    q->job,
                    "the inputs \"%s\" and \"%s\" are one name in SQL: call one of them otherwise",
                    other, port);
        source *from = q->host->memory(q->job, sizeof *from);
        if (!from) return q->host->fail(q->job, "out of memory");
        *from = (source){q, port};
        if (sqlite3_create_module_v2(q->db, port, &module, from, NULL) != SQLITE_OK)
            return complain_sqlite(q);
        int rc = connect(q, port);
        if (rc != 0) return rc;
    }
    int rc = connect(q, "json_each");
    if (rc == 0) rc = connect(q, "json_tree");
    if (rc == 0) sqlite3_set_authorizer(q->db, authorize, q);
    return rc;
}

/* Behind the statement there may be comments, nothing else. */
static int check_tail(query *q, const char *tail)
{
    while (*tail) {
        sqlite3_stmt *more = NULL;
        const char *next = NULL;
        int rc = sqlite3_prepare_v2(q->db, tail, -1, &more, &next);
        int is_more = more != NULL || rc != SQLITE_OK;
        sqlite3_finalize(more);
        if (is_more) return complain(q, "here are several statements", "a query is one SELECT");
        tail = next;
    }
    return 0;
}

static int prepare(query *q, sqlite3_stmt **out)
{
    const char *tail = NULL;
    if (sqlite3_prepare_v2(q->db, q->sql, -1, out, &tail) != SQLITE_OK) return complain_sqlite(q);
    if (!*out) return complain(q, "here is no statement", "write a SELECT");
    if (sqlite3_stmt_isexplain(*out))
        return complain(q, "EXPLAIN tells how SQLite works, not what the inputs hold",
                        "write a SELECT");
    return check_tail(q, tail);
}

static int bind_json(sqlite3_stmt *statement, int number, const char *json, size_t size)
{
    int is_float = memchr(json, '.', size) || memchr(json, 'e', size) || memchr(json, 'E', size);
    if (strcmp(json, "null") == 0) return sqlite3_bind_null(statement, number);
    if (strcmp(json, "true") == 0 || strcmp(json, "false") == 0)
        return sqlite3_bind_int(statement, number, *json == 't');
    if (*json == '[' || *json == '{')
        return sqlite3_bind_text(statement, number, json, (int)size, SQLITE_STATIC);
    if (is_float) return sqlite3_bind_double(statement, number, strtod(json, NULL));
    return sqlite3_bind_int64(statement, number, strtoll(json, NULL, 10));
}

/* :lang, @lang or $lang is the node's param of that name. */
static int bind_params(query *q, sqlite3_stmt *statement)
{
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *name = sqlite3_bind_parameter_name(statement, i), *json = NULL, *text = NULL;
        size_t size = 0;
        if (!name || *name == '?')
            return complain(q, "a parameter has no name",
                            "write :NAME for the param NAME of the node");
        int rc = q->host->param_json(q->job, name + 1, &json, &size);
        if (rc == 0 && !json)
            return q->host->fail(q->job, "the node has no param for %s; the SQL: %.*s", name,
                                 shown(q->sql), q->sql);
        if (rc == 0 && *json == '"') rc = q->host->param_string(q->job, name + 1, "", &text);
        if (rc != 0) return rc;
        rc = text ? sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC)
                  : bind_json(statement, i, json, size);
        if (rc != SQLITE_OK) return complain_sqlite(q);
    }
    return 0;
}

/* --- the rows --------------------------------------------------------------------------------- */

static void put_text(sqlite3_str *to, const char *text, size_t size)
{
    sqlite3_str_appendchar(to, 1, '"');
    for (size_t from = 0, at = 0; at <= size; at++) {
        unsigned char c = at < size ? (unsigned char)text[at] : '"';
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        sqlite3_str_append(to, text + from, (int)(at - from));
        if (at < size) sqlite3_str_appendf(to, "\\u%04x", c);
        from = at + 1;
    }
    sqlite3_str_appendchar(to, 1, '"');
}

/* A number with a fraction keeps one, so that 2.0 does not become 2 where a sum happens to be whole. */
static void put_float(sqlite3_str *to, double number)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", number);
    sqlite3_str_appendall(to, text);
    if (!strpbrk(text, ".e")) sqlite3_str_appendall(to, ".0");
}

static int put_cell(const query *q, sqlite3_str *to, sqlite3_stmt *statement, int i)
{
    const char *name = sqlite3_column_name(statement, i), *text;
    double number;
    put_text(to, name, strlen(name));
    sqlite3_str_appendchar(to, 1, ':');
    switch (sqlite3_column_type(statement, i)) {
    case SQLITE_NULL: sqlite3_str_appendall(to, "null"); return 0;
    case SQLITE_INTEGER:
        sqlite3_str_appendf(to, "%lld", sqlite3_column_int64(statement, i));
        return 0;
    case SQLITE_FLOAT:
        number = sqlite3_column_double(statement, i);
        if (number - number != 0)
            return complain_column(q, name, "has a number without end", "a value cannot hold it");
        put_float(to, number);
        return 0;
    case SQLITE_TEXT:
        text = (const char *)sqlite3_column_text(statement, i);
        if (text) put_text(to, text, (size_t)sqlite3_column_bytes(statement, i));
        else sqlite3_str_appendall(to, "null"); /* no memory: sqlite3_step says so */
        return 0;
    default: return complain_column(q, name, "holds bytes that are no text", "take hex() of it");
    }
}

static int put_row(const query *q, sqlite3_str *to, sqlite3_stmt *statement)
{
    int rc = 0, count = sqlite3_column_count(statement);
    sqlite3_str_appendall(to, sqlite3_str_length(to) > 1 ? ",{" : "{");
    for (int i = 0; rc == 0 && i < count; i++) {
        if (i > 0) sqlite3_str_appendchar(to, 1, ',');
        rc = put_cell(q, to, statement, i);
    }
    sqlite3_str_appendchar(to, 1, '}');
    if (rc == 0 && sqlite3_str_length(to) > TEXT_MOST)
        return complain(q, "the rows are more than a value can hold", "select less");
    return rc == 0 && sqlite3_str_errcode(to) != SQLITE_OK
               ? q->host->fail(q->job, "out of memory for the rows")
               : rc;
}

static int check_columns(const query *q, sqlite3_stmt *statement)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        const char *name = sqlite3_column_name(statement, i);
        if (!name) return q->host->fail(q->job, "out of memory");
        for (int k = 0; k < i; k++)
            if (strcmp(name, sqlite3_column_name(statement, k)) == 0)
                return complain_column(q, name, "is there twice",
                                       "give one of the two another name with AS");
    }
    return 0;
}

static int put_rows(query *q, sqlite3_str *to, sqlite3_stmt *statement)
{
    int step = SQLITE_ROW, rc = check_columns(q, statement);
    sqlite3_str_appendchar(to, 1, '[');
    while (rc == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        rc = put_row(q, to, statement);
    if (rc == 0 && step != SQLITE_DONE) rc = complain_sqlite(q);
    sqlite3_str_appendchar(to, 1, ']');
    return rc;
}

static int answer(query *q, sqlite3_stmt *statement)
{
    sqlite3_str *rows = sqlite3_str_new(NULL);
    int rc = put_rows(q, rows, statement);
    int size = sqlite3_str_length(rows);
    char *text = sqlite3_str_finish(rows);
    if (rc == 0)
        rc = text ? q->host->value_json(q->job, text, (size_t)size)
                  : q->host->fail(q->job, "out of memory for the rows");
    sqlite3_free(text);
    return rc;
}

static int run(const weir_host *host, weir_job *job)
{
    query q = {.host = host, .job = job};
    sqlite3_stmt *statement = NULL;
    int rc = host->param_string(job, "sql", "", &q.sql);
    if (rc == 0) rc = open_database(&q);
    if (rc == 0) rc = make_tables(&q);
    if (rc == 0) rc = prepare(&q, &statement);
    if (rc == 0) rc = bind_params(&q, statement);
    if (rc == 0) rc = answer(&q, statement);
    sqlite3_finalize(statement);
    sqlite3_close(q.db);
    return rc;
}

static const weir_port outputs[] = {{NULL, 0, NULL}};
static const weir_param params[] = {
    {"sql", "string", WEIR_REQUIRED | WEIR_UNNAMED, NULL,
     "a SELECT; each input port is a table with name, path, params, value, content"},
    {"*", "any", 0, NULL, "they name the node, and are :NAME in the SQL"},
    {NULL, NULL, 0, NULL, NULL}};

extern const weir_effect builtin_query;
const weir_effect builtin_query = {
    .size = sizeof(weir_effect),
    .name = "query",
    .version = "1",
    .help = "the rows of a SELECT over its inputs, as the node's value",
    .inputs = NULL, /* any */
    .outputs = outputs,
    .params = params,
    .run = run,
};
