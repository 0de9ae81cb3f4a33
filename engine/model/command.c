/*
 * command.c - fills {{names}} into the command of a node.
 *
 * A template is a sequence of plain text, `{{{{` (for `{{`) and `{{name}}`. A name stands for a list of values: the paths of an
 * input, the path of an output, a param. How the values are written depends on where they stand:
 *
 *   shell text                     each value as one quoted word, blanks between
 *   a word that is only {{name}}   one word for each value, none for an empty list
 *   within another word            the values as they are, blanks between
 *
 * {{port:file}} is one value: a placeholder, which command_place replaces when the file with the paths has its name.
 *
 * Pure; any thread. Memory: the arena; a buffer of the call for the word that is being made.
 */
#include "engine/model/command.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/model/near.h"
#include "engine/store/value.h"

/* What a name stands for. */
typedef struct values {
    bytes *items;
    size_t count, capacity; /* in the arena; grown by copying */
    bool is_list_file;      /* the one item is a placeholder */
} values;

typedef struct expansion {
    const command_source *source;
    mem_arena *arena;
    command_line *line;
    size_t argv_capacity, list_capacity;
    weir_error *err;
} expansion;

/* Grows an array in the arena. */
static void *grow_in(mem_arena *arena, void *old, size_t count, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity) return old;
    size_t room = *capacity ? *capacity * 2 : 8;
    if (room < need) room = need;
    void *grown = arena_alloc(arena, room * size);
    if (!grown) return NULL;
    if (count) memcpy(grown, old, count * size);
    *capacity = room;
    return grown;
}

static int nomem(const expansion *x)
{
    return error_nomem(x->err, "expanding a command");
}

static int add_value(expansion *x, values *to, bytes value)
{
    bytes *items = grow_in(x->arena, to->items, to->count, &to->capacity, to->count + 1, sizeof *items);
    if (!items) return nomem(x);
    to->items = items;
    to->items[to->count++] = value;
    return 0;
}

static int fail(const expansion *x, bytes name, const char *what)
{
    return error_set(x->err, WEIR_WORKFLOW, "node %.*s: {{%.*s}} in its command: %s", (int)x->source->node->name.size,
                     (const char *)x->source->node->name.data, (int)name.size, (const char *)name.data, what);
}

/* --- what a name stands for -------------------------------------------------------------------------------------- */

static int input_values(expansion *x, const spec_input *input, values *to)
{
    for (size_t i = 0; i < input->count; i++) {
        bytes *paths = NULL;
        size_t count = 0;
        int rc = x->source->member_paths(x->source->ctx, &input->members[i], x->arena, &paths, &count, x->err);
        if (rc)
            return error_context(x->err, rc, "node %.*s: {{%.*s}} in its command", (int)x->source->node->name.size,
                                 (const char *)x->source->node->name.data, (int)input->port.size,
                                 (const char *)input->port.data);
        for (size_t j = 0; j < count && rc == 0; j++) rc = add_value(x, to, paths[j]);
        if (rc) return rc;
    }
    return 0;
}

/* A text, number or truth value as text; anything else has no text. */
static bool scalar_text(const value_item *item, mem_arena *arena, bytes *text)
{
    char number[32];
    switch (item->type) {
    case VALUE_STRING:
    case VALUE_BYTES: *text = item->text; return true;
    case VALUE_TRUE: *text = bytes_str("true"); return true;
    case VALUE_FALSE: *text = bytes_str("false"); return true;
    case VALUE_INT: snprintf(number, sizeof number, "%" PRId64, item->integer); break;
    case VALUE_FLOAT: value_format_float(item->number, number); break;
    default: return false;
    }
    *text = arena_bytes(arena, bytes_str(number));
    return true;
}

static int param_values(expansion *x, bytes name, bytes encoded, values *to)
{
    value_reader reader = value_read(encoded);
    value_item item;
    bool ok = value_next(&reader, &item);
    bool is_list = ok && item.type == VALUE_ARRAY;
    size_t count = is_list ? item.count : 1;
    int rc = 0;
    for (size_t i = 0; i < count && ok && rc == 0; i++) {
        bytes text;
        if (is_list) ok = value_next(&reader, &item);
        ok = ok && scalar_text(&item, x->arena, &text);
        if (ok) rc = add_value(x, to, text);
    }
    if (rc == 0 && x->arena->failed) rc = nomem(x);
    return ok || rc ? rc : fail(x, name, "the param is no text, number, true, false or list of these");
}

/* value_member takes a C string; a name that holds a NUL is no param. */
static bool find_param(const expansion *x, bytes name, bytes *encoded)
{
    char text[256];
    if (name.size >= sizeof text || memchr(name.data, '\0', name.size)) return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    return x->source->node->params.size > 0 && value_member(x->source->node->params, text, encoded);
}

/* {{port:file}}: the placeholder of the list of this port, which is made once. */
static int list_value(expansion *x, bytes name, const spec_input *input, values *to)
{
    command_line *line = x->line;
    char *text = arena_printf(x->arena, "\x01list:%.*s\x01", (int)input->port.size, (const char *)input->port.data);
    if (!text) return nomem(x);
    bytes placeholder = bytes_str(text);
    to->is_list_file = true;
    for (size_t i = 0; i < line->list_count; i++)
        if (bytes_equal(line->lists[i].placeholder, placeholder)) return add_value(x, to, line->lists[i].placeholder);
    values paths = {0};
    int rc = input_values(x, input, &paths);
    if (rc) return rc;
    for (size_t i = 0; i < paths.count; i++)
        if (memchr(paths.items[i].data, '\n', paths.items[i].size))
            return fail(x, name, "a path with a line break cannot stand in a list file");
    struct command_list *lists =
        grow_in(x->arena, line->lists, line->list_count, &x->list_capacity, line->list_count + 1, sizeof *lists);
    if (!lists) return nomem(x);
    line->lists = lists;
    line->lists[line->list_count++] = (struct command_list){placeholder, paths.items, paths.count};
    return add_value(x, to, placeholder);
}

static void say_unknown(const expansion *x, bytes name, const char *near)
{
    static const char hint[] = "no input, output or param has this name";
    char text[512];
    if (near) snprintf(text, sizeof text, "%s; did you mean {{%s}}?", hint, near);
    else snprintf(text, sizeof text, "%s; {{{{ writes {{", hint);
    fail(x, name, text);
}

/* All names that could have been meant. */
static size_t collect_names(const expansion *x, const char **names, size_t room)
{
    const node_spec *node = x->source->node;
    size_t count = 0;
    for (size_t i = 0; i < node->input_count && count < room; i++)
        names[count++] = (const char *)arena_bytes(x->arena, node->inputs[i].port).data;
    for (size_t i = 0; i < node->output_count && count < room; i++)
        names[count++] = (const char *)arena_bytes(x->arena, node->outputs[i].port).data;
    value_reader reader = value_read(node->params);
    value_item object;
    bytes key;
    if (node->params.size == 0 || !value_next(&reader, &object) || object.type != VALUE_OBJECT) return count;
    for (size_t i = 0; i < object.count && count < room && value_key(&reader, &key) && value_skip(&reader, NULL); i++)
        names[count++] = (const char *)arena_bytes(x->arena, key).data;
    return count;
}

static int unknown_name(const expansion *x, bytes name)
{
    enum { ROOM = 256 };
    const char *names[ROOM];
    const char *wrong = (const char *)arena_bytes(x->arena, name).data;
    size_t count = collect_names(x, names, ROOM);
    if (x->arena->failed) return nomem(x);
    say_unknown(x, name, near_name(wrong, names, count));
    return WEIR_WORKFLOW;
}

static bool ends_with_file(bytes name, bytes *port)
{
    static const char suffix[] = ":file";
    size_t size = sizeof suffix - 1;
    if (name.size <= size || memcmp(name.data + name.size - size, suffix, size) != 0) return false;
    *port = bytes_of(name.data, name.size - size);
    return true;
}

static int find_values(expansion *x, bytes name, values *to)
{
    const node_spec *node = x->source->node;
    bytes encoded, port;
    int index = spec_input_index(node, name);
    if (index >= 0) return input_values(x, &node->inputs[index], to);
    index = spec_output_index(node, name);
    if (index >= 0) {
        bytes path = x->source->output_path(x->source->ctx, &node->outputs[index]);
        if (path.size == 0) return fail(x, name, "the output has no path");
        path = arena_bytes(x->arena, path);
        return path.data ? add_value(x, to, path) : nomem(x);
    }
    if (find_param(x, name, &encoded)) return param_values(x, name, encoded, to);
    if (!ends_with_file(name, &port)) return unknown_name(x, name);
    index = spec_input_index(node, port);
    if (index >= 0) return list_value(x, name, &node->inputs[index], to);
    return spec_output_index(node, port) >= 0 ? fail(x, name, ":file is for inputs") : unknown_name(x, port);
}

/* --- templates --------------------------------------------------------------------------------------------------- */

typedef struct piece {
    bytes text;   /* plain text, or the name */
    bool is_name;
} piece;

static const uint8_t *find_pair(const uint8_t *at, const uint8_t *end, char c)
{
    for (; end - at >= 2; at++)
        if (at[0] == c && at[1] == c) return at;
    return NULL;
}

static bytes trimmed(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at == ' ') at++;
    while (end > at && end[-1] == ' ') end--;
    return bytes_of(at, (size_t)(end - at));
}

/* The next piece of a template: 1, 0 at the end, or WEIR_WORKFLOW. */
static int next_piece(const expansion *x, const uint8_t **at, const uint8_t *end, piece *out)
{
    if (*at == end) return 0;
    const uint8_t *open = find_pair(*at, end, '{');
    if (open != *at) {
        const uint8_t *stop = open ? open : end;
        *out = (piece){bytes_of(*at, (size_t)(stop - *at)), false};
        *at = stop;
        return 1;
    }
    const uint8_t *start = open + 2;
    if (end - start >= 2 && start[0] == '{' && start[1] == '{') {
        *out = (piece){bytes_of(open, 2), false};
        *at = start + 2;
        return 1;
    }
    const uint8_t *close = find_pair(start, end, '}');
    if (!close) return fail(x, bytes_of(start, (size_t)(end - start < 40 ? end - start : 40)), "}} is missing; {{{{ writes {{");
    *out = (piece){trimmed(start, close), true};
    *at = close + 2;
    return 1;
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-./:@%+,", c));
}

void command_quote(buf *to, bytes value)
{
    size_t plain = 0;
    while (plain < value.size && is_plain(value.data[plain])) plain++;
    if (plain == value.size && plain > 0) {
        buf_append(to, value.data, value.size);
        return;
    }
    buf_byte(to, '\'');
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '\'') buf_text(to, "'\\''");
        else buf_byte(to, value.data[i]);
    }
    buf_byte(to, '\'');
}

static void write_values(buf *to, const values *v, bool shell)
{
    for (size_t i = 0; i < v->count; i++) {
        if (i > 0) buf_byte(to, ' ');
        if (shell && !v->is_list_file) command_quote(to, v->items[i]); /* a placeholder is quoted when it is replaced */
        else buf_append(to, v->items[i].data, v->items[i].size);
    }
}

static int add_word(expansion *x, bytes word)
{
    if (word.size > 0 && memchr(word.data, '\0', word.size))
        return error_set(x->err, WEIR_WORKFLOW, "node %.*s: its command holds a zero byte",
                         (int)x->source->node->name.size, (const char *)x->source->node->name.data);
    bytes *argv = grow_in(x->arena, x->line->argv, x->line->count, &x->argv_capacity, x->line->count + 1, sizeof *argv);
    if (!argv) return nomem(x);
    x->line->argv = argv;
    argv[x->line->count] = arena_bytes(x->arena, word);
    return argv[x->line->count++].data ? 0 : nomem(x);
}

/* A template that is not one name alone: gives one text. */
static int expand_text(expansion *x, bytes template, bool shell, buf *to)
{
    const uint8_t *at = template.data, *end = template.data + template.size;
    piece next;
    int rc;
    while ((rc = next_piece(x, &at, end, &next)) == 1) {
        values found = {0};
        if (!next.is_name) {
            buf_append(to, next.text.data, next.text.size);
            continue;
        }
        rc = find_values(x, next.text, &found);
        if (rc) return rc;
        write_values(to, &found, shell);
    }
    return rc ? rc : (to->failed ? nomem(x) : 0);
}

/* A word of an argv that is exactly one {{name}}. */
static bool is_one_name(const expansion *x, bytes template, piece *only)
{
    const uint8_t *at = template.data, *end = template.data + template.size;
    return template.size > 4 && template.data[0] == '{' && find_pair(template.data + 2, end, '}') == end - 2 &&
           next_piece(x, &at, end, only) == 1 && only->is_name && at == end;
}

static int expand_word(expansion *x, bytes template, bool shell)
{
    piece only;
    if (!shell && is_one_name(x, template, &only)) {
        values found = {0};
        int rc = find_values(x, only.text, &found);
        for (size_t i = 0; i < found.count && rc == 0; i++) rc = add_word(x, found.items[i]);
        return rc;
    }
    buf text;
    buf_init(&text);
    int rc = expand_text(x, template, shell, &text);
    if (rc == 0) rc = add_word(x, buf_bytes(&text));
    buf_deinit(&text);
    return rc;
}

int command_expand(const command_source *source, mem_arena *arena, command_line *line, weir_error *err)
{
    *line = (command_line){0};
    expansion x = {.source = source, .arena = arena, .line = line, .err = err};
    bool shell = (source->node->flags & SPEC_SHELL) != 0;
    int rc = 0;
    for (size_t i = 0; i < source->node->command_count && rc == 0; i++)
        rc = expand_word(&x, source->node->command[i], shell);
    return rc;
}

/* --- list files -------------------------------------------------------------------------------------------------- */

static void replace(buf *to, bytes in, bytes what, bytes with)
{
    for (size_t at = 0; at < in.size;) {
        if (in.size - at >= what.size && memcmp(in.data + at, what.data, what.size) == 0) {
            buf_append(to, with.data, with.size);
            at += what.size;
        } else {
            buf_byte(to, in.data[at++]);
        }
    }
}

int command_place(command_line *line, size_t index, bytes path, bool shell, mem_arena *arena, weir_error *err)
{
    if (index >= line->list_count) return error_set(err, WEIR_BUG, "a command has no list number %zu", index);
    bytes *argv = arena_alloc(arena, (line->count ? line->count : 1) * sizeof *argv);
    buf word, with;
    buf_init(&word);
    buf_init(&with);
    if (shell) command_quote(&with, path);
    else buf_append(&with, path.data, path.size);
    for (size_t i = 0; i < line->count && argv; i++) {
        buf_clear(&word);
        replace(&word, line->argv[i], line->lists[index].placeholder, buf_bytes(&with));
        argv[i] = arena_bytes(arena, buf_bytes(&word));
        if (word.failed || !argv[i].data) argv = NULL;
    }
    if (with.failed) argv = NULL;
    buf_deinit(&word);
    buf_deinit(&with);
    if (!argv) return error_nomem(err, "placing the list of a command");
    line->argv = argv;
    return 0;
}

int command_words(const command_line *line, mem_arena *arena, bytes **words, size_t *count, weir_error *err)
{
    size_t total = line->count;
    for (size_t i = 0; i < line->list_count; i++) total += 1 + line->lists[i].count;
    bytes *all = arena_alloc(arena, (total ? total : 1) * sizeof *all);
    if (!all) return error_nomem(err, "expanding a command");
    *words = all;
    *count = total;
    for (size_t i = 0; i < line->count; i++) *all++ = line->argv[i];
    for (size_t i = 0; i < line->list_count; i++) {
        *all++ = line->lists[i].placeholder; /* ends what is before */
        for (size_t j = 0; j < line->lists[i].count; j++) *all++ = line->lists[i].paths[j];
    }
    return 0;
}
