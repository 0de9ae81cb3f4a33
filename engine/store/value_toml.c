/*
 * value_toml.c - TOML 1.0 as values.
 *
 * Written here because no C library for TOML is packaged that is still looked after. The document becomes a small tree in an arena,
 * since a table may be spoken of in several places, and the tree is written as an encoding at the end. Dates and times become strings,
 * as they stand in the document.
 *
 * X1  A table remembers how it came to be: by a header, on the way to one, by a dotted key, or closed (inline). That alone decides what
 *     may be added to it later.
 * X2  Nothing recurses deeper than VALUE_DEPTH.
 *
 * Any thread.
 */
#include <stdlib.h>

#include "engine/store/toml_token.h"
#include "engine/store/value.h"

typedef enum toml_kind { TOML_SCALAR, TOML_TABLE, TOML_ARRAY } toml_kind;

typedef struct toml_node {
    toml_kind kind;
    bool by_header;  /* a table that a [header] has opened */
    bool by_dots;    /* a table that a dotted key has made */
    bool is_closed;  /* inline: nothing can be added */
    bool of_tables;  /* an array that [[headers]] fill */
    int depth;
    uint64_t number; /* of a table: prefix of its names in `names` */
    bytes key, scalar;
    struct toml_node *first, *last, *next;
    size_t count;
} toml_node;

typedef struct toml_reader {
    const uint8_t *start, *at, *end;
    mem_arena arena;
    map names; /* number of a table and a key -> toml_node */
    uint64_t tables;
    buf text;  /* of the string that is being read, of a key for `names` */
    bytes *path;
    size_t path_count, path_capacity;
    weir_error *err;
} toml_reader;

/* --- errors ------------------------------------------------------------------------------------------------------ */

static int fault_at(toml_reader *r, const uint8_t *where, const char *what)
{
    int line = 1;
    const uint8_t *begin = r->start;
    for (const uint8_t *p = r->start; p < where; p++)
        if (*p == '\n') {
            line++;
            begin = p + 1;
        }
    return error_set(r->err, WEIR_USAGE, "TOML: line %d, column %d: %s", line, (int)(where - begin) + 1, what);
}

static int fault(toml_reader *r, const char *what)
{
    return fault_at(r, r->at, what);
}

static int no_memory(toml_reader *r)
{
    return error_nomem(r->err, "reading TOML");
}

/* --- characters -------------------------------------------------------------------------------------------------- */

static int peek(const toml_reader *r)
{
    return r->at < r->end ? *r->at : -1;
}

static bool begins(const toml_reader *r, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(r->end - r->at) >= size && memcmp(r->at, text, size) == 0;
}

static void skip_blanks(toml_reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t') r->at++;
}

static bool is_control(int c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

static int skip_comment(toml_reader *r)
{
    if (peek(r) != '#') return 0;
    while (r->at < r->end && *r->at != '\n' && !begins(r, "\r\n")) {
        if (is_control(*r->at)) return fault(r, "a control character in a comment");
        r->at++;
    }
    return 0;
}

static bool take_newline(toml_reader *r)
{
    size_t size = begins(r, "\r\n") ? 2 : peek(r) == '\n' ? 1 : 0;
    r->at += size;
    return size > 0;
}

/* To the end of a line that must hold nothing more. */
static int end_line(toml_reader *r)
{
    skip_blanks(r);
    int rc = skip_comment(r);
    if (rc != 0) return rc;
    return r->at == r->end || take_newline(r) ? 0 : fault(r, "nothing more can stand on this line");
}

static int skip_lines(toml_reader *r)
{
    int rc = 0;
    do {
        skip_blanks(r);
        rc = skip_comment(r);
    } while (rc == 0 && take_newline(r));
    return rc;
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static toml_node *new_node(toml_reader *r, toml_kind kind, int depth)
{
    if (depth >= VALUE_DEPTH) {
        (void)error_set(r->err, WEIR_LIMIT, "TOML: nested deeper than %d", (int)VALUE_DEPTH);
        return NULL;
    }
    toml_node *n = arena_zero(&r->arena, 1, sizeof *n);
    if (!n) {
        (void)no_memory(r);
        return NULL;
    }
    n->kind = kind;
    n->depth = depth;
    if (kind == TOML_TABLE) n->number = ++r->tables;
    return n;
}

static void append(toml_node *parent, toml_node *child)
{
    if (parent->last) parent->last->next = child;
    else parent->first = child;
    parent->last = child;
    parent->count++;
}

/* Where a table keeps the node of a name: NULL without memory. */
static uint64_t *slot_of(toml_reader *r, const toml_node *table, bytes key)
{
    buf_clear(&r->text);
    buf_append(&r->text, &table->number, sizeof table->number);
    buf_append(&r->text, key.data, key.size);
    return r->text.failed ? NULL : map_put(&r->names, buf_bytes(&r->text), NULL);
}

static toml_node *node_in(uint64_t *slot)
{
    return (toml_node *)(uintptr_t)*slot;
}

static void put_in(uint64_t *slot, toml_node *table, bytes key, toml_node *node)
{
    *slot = (uint64_t)(uintptr_t)node;
    node->key = key;
    append(table, node);
}

/* --- strings ----------------------------------------------------------------------------------------------------- */

static int put_code_point(toml_reader *r, const uint8_t *where, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return fault_at(r, where, "no such Unicode character");
    if (c < 0x80) {
        buf_byte(&r->text, (uint8_t)c);
        return 0;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    buf_byte(&r->text, (uint8_t)(heads[more] | c >> (6 * more)));
    while (more-- > 0) buf_byte(&r->text, (uint8_t)(0x80 | (c >> (6 * more) & 0x3f)));
    return 0;
}

static int escape(toml_reader *r)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    const uint8_t *where = r->at++;
    int c = peek(r);
    const char *plain = c > 0 ? strchr(from, c) : NULL;
    if (plain) {
        buf_byte(&r->text, (uint8_t)to[plain - from]);
        r->at++;
        return 0;
    }
    int digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) return fault_at(r, where, "unknown escape");
    uint32_t code = 0;
    for (r->at++; digits > 0; digits--, r->at++) {
        int digit = toml_hex_digit(peek(r));
        if (digit < 0) return fault_at(r, where, "an escape with too few digits");
        code = code << 4 | (uint32_t)digit;
    }
    return put_code_point(r, where, code);
}

/* A backslash at the end of a line: up to the next text. */
static bool skip_line_end(toml_reader *r)
{
    const uint8_t *back = r->at++;
    skip_blanks(r);
    if (!take_newline(r)) {
        r->at = back;
        return false;
    }
    do skip_blanks(r);
    while (take_newline(r));
    return true;
}

static int take_text(toml_reader *r, bytes *text)
{
    *text = arena_bytes(&r->arena, buf_bytes(&r->text));
    return r->text.failed || !text->data ? no_memory(r) : 0;
}

static int read_long_string(toml_reader *r, uint8_t quote, bytes *text)
{
    const uint8_t *begin = r->at;
    r->at += 3;
    (void)take_newline(r);
    buf_clear(&r->text);
    for (int rc = 0;;) {
        if (r->at == r->end) return fault_at(r, begin, "a string without its end");
        const uint8_t *run = r->at;
        while (r->at < r->end && *r->at == quote) r->at++;
        size_t quotes = (size_t)(r->at - run);
        if (quotes > 5) return fault_at(r, run, "too many quotes");
        if (quotes >= 3) {
            buf_append(&r->text, run, quotes - 3);
            return take_text(r, text);
        }
        buf_append(&r->text, run, quotes);
        if (quotes > 0) continue;
        if (quote == '"' && *r->at == '\\') {
            if (!skip_line_end(r)) rc = escape(r);
            if (rc != 0) return rc;
        } else if (take_newline(r)) {
            buf_byte(&r->text, '\n');
        } else if (is_control(*r->at)) {
            return fault(r, "a control character in a string");
        } else {
            buf_byte(&r->text, *r->at++);
        }
    }
}

static int read_string(toml_reader *r, bytes *text)
{
    const uint8_t *begin = r->at;
    uint8_t quote = *r->at;
    if (begins(r, quote == '"' ? "\"\"\"" : "'''")) return read_long_string(r, quote, text);
    buf_clear(&r->text);
    for (r->at++; peek(r) != quote;) {
        int c = peek(r), rc = 0;
        if (c < 0 || c == '\n' || c == '\r') return fault_at(r, begin, "a string without its end");
        if (is_control(c)) return fault(r, "a control character in a string");
        if (quote == '"' && c == '\\') rc = escape(r);
        else buf_byte(&r->text, *r->at++);
        if (rc != 0) return rc;
    }
    r->at++;
    return take_text(r, text);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static bool is_bare(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int read_name(toml_reader *r, bytes *name)
{
    const uint8_t *begin = r->at;
    if (begins(r, "\"\"\"") || begins(r, "'''")) return fault(r, "a key is no string of several lines");
    if (peek(r) == '"' || peek(r) == '\'') return read_string(r, name);
    while (is_bare(peek(r))) r->at++;
    if (r->at == begin) return fault(r, "a key is expected");
    *name = bytes_of(begin, (size_t)(r->at - begin));
    return 0;
}

/* a."b".c into r->path. */
static int read_key(toml_reader *r)
{
    r->path_count = 0;
    for (;;) {
        bytes name;
        skip_blanks(r);
        int rc = read_name(r, &name);
        if (rc != 0) return rc;
        if (!MEM_GROW(r->path, r->path_capacity, r->path_count + 1)) return no_memory(r);
        r->path[r->path_count++] = name;
        skip_blanks(r);
        if (peek(r) != '.') return 0;
        r->at++;
    }
}

/* --- numbers, dates ---------------------------------------------------------------------------------------------- */

static bool is_in_token(int c)
{
    return is_bare(c) || c == '+' || c == '.' || c == ':';
}

static int take_scalar(toml_reader *r, buf *encoded, bytes *scalar)
{
    *scalar = arena_bytes(&r->arena, buf_bytes(encoded));
    int rc = encoded->failed || !scalar->data ? no_memory(r) : 0;
    buf_deinit(encoded);
    return rc;
}

static int read_token(toml_reader *r, bytes *scalar)
{
    char token[TOML_TOKEN_MOST + 1];
    const uint8_t *begin = r->at;
    while (is_in_token(peek(r))) r->at++;
    size_t size = (size_t)(r->at - begin);
    if (size == 0) return fault(r, "a value is expected");
    if (size > TOML_TOKEN_MOST) return fault_at(r, begin, "too long for a number");
    memcpy(token, begin, size);
    token[size] = '\0';
    if (size == 10 && toml_is_day(token) && peek(r) == ' ' && r->end - r->at > 1 && r->at[1] >= '0' && r->at[1] <= '9') {
        for (r->at++; is_in_token(peek(r)); r->at++) {} /* a blank between date and time */
        size = (size_t)(r->at - begin);
        if (size > TOML_TOKEN_MOST) return fault_at(r, begin, "too long for a date");
        memcpy(token, begin, size);
        token[size] = '\0';
    }
    buf encoded;
    buf_init(&encoded);
    bool ok = true;
    if (strcmp(token, "true") == 0 || strcmp(token, "false") == 0) value_put_bool(&encoded, token[0] == 't');
    else if (toml_is_date(token)) value_put_string(&encoded, bytes_str(token));
    else ok = toml_put_number(&encoded, token);
    if (ok) return take_scalar(r, &encoded, scalar);
    buf_deinit(&encoded);
    return fault_at(r, begin, "no number, date, true or false");
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static int read_value(toml_reader *r, int depth, toml_node **node);

static int read_array(toml_reader *r, toml_node *array)
{
    const uint8_t *begin = r->at++;
    for (;;) {
        toml_node *child;
        int rc = skip_lines(r);
        if (rc != 0) return rc;
        if (peek(r) == ']') break;
        if (r->at == r->end) return fault_at(r, begin, "a list without its end");
        rc = read_value(r, array->depth + 1, &child);
        if (rc == 0) append(array, child);
        if (rc == 0) rc = skip_lines(r);
        if (rc != 0) return rc;
        if (peek(r) == ',') r->at++;
        else if (peek(r) != ']') return fault(r, "a comma or the end of the list is expected");
    }
    r->at++;
    return 0;
}

static int read_pair(toml_reader *r, toml_node *table);

static int read_inline_table(toml_reader *r, toml_node *table)
{
    r->at++;
    skip_blanks(r);
    for (bool first = true; peek(r) != '}'; first = false) {
        if (!first && peek(r) != ',') return fault(r, "a comma or the end of the table is expected");
        if (!first) r->at++;
        int rc = read_pair(r, table);
        if (rc != 0) return rc;
        skip_blanks(r);
    }
    r->at++;
    return 0;
}

static void close_tables(toml_node *node)
{
    node->is_closed = true;
    for (toml_node *c = node->first; c; c = c->next)
        if (c->kind == TOML_TABLE && !c->is_closed) close_tables(c);
}

static int read_value(toml_reader *r, int depth, toml_node **node)
{
    int c = peek(r);
    toml_node *n = *node = new_node(r, c == '[' ? TOML_ARRAY : c == '{' ? TOML_TABLE : TOML_SCALAR, depth);
    if (!n) return r->err->code;
    if (n->kind == TOML_ARRAY) return read_array(r, n);
    if (n->kind == TOML_TABLE) {
        int rc = read_inline_table(r, n);
        if (rc == 0) close_tables(n);
        return rc;
    }
    if (c != '"' && c != '\'') return read_token(r, &n->scalar);
    bytes text;
    buf encoded;
    int rc = read_string(r, &text);
    if (rc != 0) return rc;
    buf_init(&encoded);
    value_put_string(&encoded, text);
    return take_scalar(r, &encoded, &n->scalar);
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

/* One step of a dotted key within a table. */
static int dotted_step(toml_reader *r, const uint8_t *where, toml_node **table, bytes name)
{
    uint64_t *slot = slot_of(r, *table, name);
    if (!slot) return no_memory(r);
    toml_node *next = node_in(slot);
    if (!next) {
        next = new_node(r, TOML_TABLE, (*table)->depth + 1);
        if (!next) return r->err->code;
        next->by_dots = true;
        put_in(slot, *table, name, next);
    } else if (next->kind != TOML_TABLE || next->is_closed || !next->by_dots) {
        return fault_at(r, where, "this key is there already, and cannot be added to");
    }
    *table = next;
    return 0;
}

/* key = value */
static int read_pair(toml_reader *r, toml_node *table)
{
    skip_blanks(r);
    const uint8_t *where = r->at;
    int rc = read_key(r);
    if (rc != 0) return rc;
    if (peek(r) != '=') return fault(r, "'=' is expected");
    r->at++;
    skip_blanks(r);
    for (size_t i = 0; rc == 0 && i + 1 < r->path_count; i++) rc = dotted_step(r, where, &table, r->path[i]);
    if (rc != 0) return rc;
    bytes name = r->path[r->path_count - 1]; /* reading the value uses the path again */
    uint64_t *slot = slot_of(r, table, name);
    if (!slot) return no_memory(r);
    if (node_in(slot)) return fault_at(r, where, "this key is there already");
    toml_node *value = NULL;
    rc = read_value(r, table->depth + 1, &value);
    if (rc != 0) return rc;
    slot = slot_of(r, table, name);
    if (!slot) return no_memory(r);
    if (node_in(slot)) return fault_at(r, where, "this key is there already");
    put_in(slot, table, name, value);
    return 0;
}

/* One step of a header: through tables, and into the last one of a list of tables. */
static int header_step(toml_reader *r, const uint8_t *where, toml_node **table, bytes name)
{
    uint64_t *slot = slot_of(r, *table, name);
    if (!slot) return no_memory(r);
    toml_node *next = node_in(slot);
    if (!next) {
        next = new_node(r, TOML_TABLE, (*table)->depth + 1);
        if (!next) return r->err->code;
        put_in(slot, *table, name, next);
    }
    if (next->kind == TOML_ARRAY && next->of_tables) next = next->last;
    if (next->kind != TOML_TABLE || next->is_closed) return fault_at(r, where, "this key is there already, and cannot be added to");
    *table = next;
    return 0;
}

static int open_table(toml_reader *r, const uint8_t *where, toml_node *parent, bytes name, toml_node **table)
{
    uint64_t *slot = slot_of(r, parent, name);
    if (!slot) return no_memory(r);
    toml_node *found = node_in(slot);
    if (found && (found->kind != TOML_TABLE || found->is_closed || found->by_header || found->by_dots))
        return fault_at(r, where, "this table is there already");
    if (!found) {
        found = new_node(r, TOML_TABLE, parent->depth + 1);
        if (!found) return r->err->code;
        put_in(slot, parent, name, found);
    }
    found->by_header = true;
    *table = found;
    return 0;
}

static int add_table(toml_reader *r, const uint8_t *where, toml_node *parent, bytes name, toml_node **table)
{
    uint64_t *slot = slot_of(r, parent, name);
    if (!slot) return no_memory(r);
    toml_node *array = node_in(slot);
    if (array && !array->of_tables) return fault_at(r, where, "this key is there already, and is no list of tables");
    if (!array) {
        array = new_node(r, TOML_ARRAY, parent->depth + 1);
        if (!array) return r->err->code;
        array->of_tables = true;
        put_in(slot, parent, name, array);
    }
    *table = new_node(r, TOML_TABLE, array->depth + 1);
    if (!*table) return r->err->code;
    (*table)->by_header = true;
    append(array, *table);
    return 0;
}

/* [a.b] or [[a.b]] */
static int read_header(toml_reader *r, toml_node *root, toml_node **table)
{
    const uint8_t *where = r->at;
    bool is_list = begins(r, "[[");
    r->at += is_list ? 2 : 1;
    int rc = read_key(r);
    if (rc != 0) return rc;
    if (!begins(r, is_list ? "]]" : "]")) return fault(r, "the end of the header is expected");
    r->at += is_list ? 2 : 1;
    toml_node *parent = root;
    for (size_t i = 0; rc == 0 && i + 1 < r->path_count; i++) rc = header_step(r, where, &parent, r->path[i]);
    if (rc != 0) return rc;
    bytes name = r->path[r->path_count - 1];
    return is_list ? add_table(r, where, parent, name, table) : open_table(r, where, parent, name, table);
}

static int read_document(toml_reader *r, toml_node *root)
{
    toml_node *table = root;
    if (begins(r, "\xef\xbb\xbf")) r->at += 3;
    for (;;) {
        int rc = skip_lines(r);
        if (rc != 0 || r->at == r->end) return rc;
        rc = peek(r) == '[' ? read_header(r, root, &table) : read_pair(r, table);
        if (rc == 0) rc = end_line(r);
        if (rc != 0) return rc;
    }
}

/* --- the encoding ------------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    return bytes_compare((*(toml_node *const *)a)->key, (*(toml_node *const *)b)->key);
}

static void put_node(toml_reader *r, const toml_node *n, buf *to)
{
    if (n->kind == TOML_SCALAR) buf_append(to, n->scalar.data, n->scalar.size);
    if (n->kind == TOML_ARRAY) value_put_array(to, n->count);
    for (const toml_node *c = n->first; n->kind == TOML_ARRAY && c; c = c->next) put_node(r, c, to);
    if (n->kind != TOML_TABLE) return;
    toml_node **sorted = arena_alloc(&r->arena, (n->count + 1) * sizeof(void *));
    size_t count = 0;
    if (!sorted) return; /* the arena remembers */
    for (toml_node *c = n->first; c; c = c->next) sorted[count++] = c;
    qsort(sorted, count, sizeof(void *), by_key);
    value_put_object(to, count);
    for (size_t i = 0; i < count; i++) {
        value_put_key(to, sorted[i]->key);
        put_node(r, sorted[i], to);
    }
}

int value_from_toml(bytes toml, buf *to, weir_error *err)
{
    weir_error local = {0};
    const uint8_t *text = toml.size ? toml.data : (const uint8_t *)"";
    toml_reader r = {.start = text, .at = text, .end = text + toml.size, .err = err ? err : &local};
    size_t start = to->size;
    error_clear(r.err);
    if (!value_is_utf8(toml)) return error_set(r.err, WEIR_USAGE, "TOML: line 1, column 1: the document is not UTF-8");
    arena_init(&r.arena);
    map_init(&r.names);
    buf_init(&r.text);
    toml_node *root = new_node(&r, TOML_TABLE, 0);
    int rc = root ? read_document(&r, root) : r.err->code;
    if (rc == 0) put_node(&r, root, to);
    if (rc == 0 && (r.arena.failed || to->failed)) rc = no_memory(&r);
    if (rc == 0 && to->size - start > VALUE_LIMIT)
        rc = error_set(r.err, WEIR_LIMIT, "TOML: a value of %zu bytes, at most %d are allowed", to->size - start, (int)VALUE_LIMIT);
    if (rc != 0) to->size = start;
    mem_free(r.path);
    buf_deinit(&r.text);
    map_deinit(&r.names);
    arena_deinit(&r.arena);
    return rc;
}
