/*
 * embed.c - build tool: turns the SQL of schema/ and the Lua of lua/ into C, so that the program carries them.
 *
 *   weir_embed schema OUT FILE...   OUT.h and OUT.c from schema/NAME.sql and schema/queries/NAME.sql
 *   weir_embed lua    OUT FILE...   OUT.h and OUT.c from lua/NAME.lua and lua/FOLDER/NAME.lua
 *
 * schema/log.sql becomes `extern const char SCHEMA_LOG[]`. A statement below a line `-- name: add_event` in a file of
 * queries/ becomes the constant SQL_ADD_EVENT, an index into schema_statements and schema_statement_names; it runs
 * until the next such line or the end of the file. lua/weir.lua becomes the source named "weir", lua/weir/fs.lua
 * "weir.fs". Text is written as numbers: compilers limit the length of string literals.
 *
 * Runs at build time only, on files of the repository: it reads whole files, and leaves memory to the end of the process.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of text with the name it gets in C or in Lua. */
typedef struct piece {
    char *name;
    const char *text;
    size_t size;
} piece;

typedef struct piece_list {
    piece *items;
    size_t count, capacity;
} piece_list;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("weir_embed: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void *checked(void *memory)
{
    if (!memory) die("out of memory");
    return memory;
}

/* The whole file, with a NUL behind it. */
static char *read_file(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    if (!in) die("%s: %s", path, strerror(errno));
    size_t capacity = 4096;
    size_t used = 0;
    char *text = checked(malloc(capacity));
    size_t got;
    while ((got = fread(text + used, 1, capacity - used - 1, in)) > 0) {
        used += got;
        if (used == capacity - 1) text = checked(realloc(text, capacity *= 2));
    }
    if (ferror(in)) die("%s: read failed", path);
    fclose(in);
    text[used] = '\0';
    *size = used;
    return text;
}

static void add_piece(piece_list *list, const char *name, size_t name_size, const char *text,
                      size_t size, const char *path)
{
    char *copy = checked(strndup(name, name_size));
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, copy) == 0)
            die("%s: the name \"%s\" is used twice", path, copy);
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = checked(realloc(list->items, list->capacity * sizeof *list->items));
    }
    list->items[list->count++] = (piece){copy, text, size};
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "schema/queries/run.sql" -> "run": the name without folders and ending. */
static const char *base_name(const char *path, size_t *size)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    *size = dot ? (size_t)(dot - name) : strlen(name);
    return name;
}

/* The name behind "-- name:" if `line` is such a line. */
static const char *statement_name(const char *line, size_t *size)
{
    static const char mark[] = "-- name:";
    if (!starts_with(line, mark)) return NULL;
    const char *name = line + sizeof mark - 1;
    while (*name == ' ' || *name == '\t') name++;
    *size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return name;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

static void add_trimmed(piece_list *list, const char *name, size_t name_size, const char *text,
                        const char *end, const char *path)
{
    while (text < end && isspace((unsigned char)*text)) text++;
    while (end > text && isspace((unsigned char)end[-1])) end--;
    if (text == end) die("%s: the statement \"%.*s\" is empty", path, (int)name_size, name);
    add_piece(list, name, name_size, text, (size_t)(end - text), path);
}

/* Cuts a file of queries at its "-- name:" lines; what stands before the first one is comment. */
static void add_statements(piece_list *list, const char *path)
{
    size_t size;
    const char *line = read_file(path, &size);
    const char *name = NULL;
    const char *start = NULL;
    size_t name_size = 0;
    for (; *line; line = next_line(line)) {
        size_t found_size = 0;
        const char *found = statement_name(line, &found_size);
        if (!found) continue;
        if (found_size == 0) die("%s: a \"-- name:\" line without a name of a-z, 0-9 and _", path);
        if (name) add_trimmed(list, name, name_size, start, line, path);
        name = found;
        name_size = found_size;
        start = next_line(line);
    }
    if (name) add_trimmed(list, name, name_size, start, line, path);
}

static FILE *create(const char *base, const char *ending)
{
    char path[4096];
    int size = snprintf(path, sizeof path, "%s%s", base, ending);
    if (size < 0 || (size_t)size >= sizeof path) die("%s: the path is too long", base);
    FILE *out = fopen(path, "wb");
    if (!out) die("%s: %s", path, strerror(errno));
    return out;
}

static void finish(FILE *out, const char *base)
{
    if (ferror(out) || fclose(out) != 0) die("%s: write failed", base);
}

static void put_upper(FILE *out, const char *prefix, const char *name)
{
    fputs(prefix, out);
    for (; *name; name++)
        fputc(isalnum((unsigned char)*name) ? toupper((unsigned char)*name) : '_', out);
}

/* The bytes of a piece and a final NUL, as the inside of an initialiser. */
static void put_numbers(FILE *out, const piece *p)
{
    for (size_t i = 0; i < p->size; i++)
        fprintf(out, "%s%d,", i % 24 == 0 ? "\n    " : "", (signed char)p->text[i]);
    fputs("\n    0};\n", out);
}

static void write_schema(const char *base, const piece_list *scripts, const piece_list *statements)
{
    FILE *h = create(base, ".h");
    FILE *c = create(base, ".c");
    fputs(
        "/* Made by weir_embed from schema/. */\n#ifndef WEIR_GENERATED_SCHEMA_H\n#define WEIR_GENERATED_SCHEMA_H\n\n",
        h);
    fputs("/* Made by weir_embed from schema/. */\n#include \"generated/schema.h\"\n\n", c);
    for (size_t i = 0; i < scripts->count; i++) {
        put_upper(h, "extern const char SCHEMA_", scripts->items[i].name);
        fputs("[];\n", h);
        put_upper(c, "const char SCHEMA_", scripts->items[i].name);
        fputs("[] = {", c);
        put_numbers(c, &scripts->items[i]);
    }

    fputs("\nenum {\n", h);
    for (size_t i = 0; i < statements->count; i++) {
        put_upper(h, "    SQL_", statements->items[i].name);
        fputs(",\n", h);
        fprintf(c, "static const char statement_%zu[] = {", i);
        put_numbers(c, &statements->items[i]);
    }
    /* A table has at least one element, so that an empty folder compiles. */
    size_t room = statements->count ? statements->count : 1;
    fprintf(h, "    SQL_COUNT\n};\n\nextern const char *const schema_statements[%zu];\n", room);
    fprintf(h, "extern const char *const schema_statement_names[%zu];\n\n#endif\n", room);
    fprintf(c, "\nconst char *const schema_statements[%zu] = {\n", room);
    for (size_t i = 0; i < statements->count; i++) fprintf(c, "    statement_%zu,\n", i);
    fprintf(c, "%s};\n\nconst char *const schema_statement_names[%zu] = {\n",
            statements->count ? "" : "    0\n", room);
    for (size_t i = 0; i < statements->count; i++)
        fprintf(c, "    \"%s\",\n", statements->items[i].name);
    fprintf(c, "%s};\n", statements->count ? "" : "    0\n");
    finish(h, base);
    finish(c, base);
}

static void write_lua(const char *base, const piece_list *sources)
{
    FILE *h = create(base, ".h");
    FILE *c = create(base, ".c");
    fputs(
        "/* Made by weir_embed from lua/. */\n#ifndef WEIR_GENERATED_LUA_SOURCES_H\n"
        "#define WEIR_GENERATED_LUA_SOURCES_H\n\n#include <stddef.h>\n\n"
        "typedef struct lua_source {\n    const char *name; /* as in require \"name\" */\n"
        "    const char *text; /* ends with a NUL that `size` does not count */\n    size_t size;\n} lua_source;\n\n"
        "extern const lua_source lua_sources[]; /* in the order of their files */\n"
        "extern const size_t lua_source_count;\n\n#endif\n",
        h);
    fputs("/* Made by weir_embed from lua/. */\n#include \"generated/lua_sources.h\"\n\n", c);
    for (size_t i = 0; i < sources->count; i++) {
        fprintf(c, "static const char text_%zu[] = {", i);
        put_numbers(c, &sources->items[i]);
    }
    fputs("\nconst lua_source lua_sources[] = {\n", c);
    for (size_t i = 0; i < sources->count; i++)
        fprintf(c, "    {\"%s\", text_%zu, %zu},\n", sources->items[i].name, i,
                sources->items[i].size);
    fprintf(c, "    {0, 0, 0},\n};\n\nconst size_t lua_source_count = %zu;\n", sources->count);
    finish(h, base);
    finish(c, base);
}

static void embed_schema(const char *base, char *const *paths)
{
    piece_list scripts = {0};
    piece_list statements = {0};
    for (; *paths; paths++) {
        if (starts_with(*paths, "schema/queries/")) {
            add_statements(&statements, *paths);
            continue;
        }
        size_t size;
        size_t name_size;
        const char *text = read_file(*paths, &size);
        const char *name = base_name(*paths, &name_size);
        add_piece(&scripts, name, name_size, text, size, *paths);
    }
    write_schema(base, &scripts, &statements);
}

static void embed_lua(const char *base, char *const *paths)
{
    static const char room[] = "lua/";
    piece_list sources = {0};
    for (; *paths; paths++) {
        size_t size;
        const char *text = read_file(*paths, &size);
        char *name = checked(strdup(starts_with(*paths, room) ? *paths + sizeof room - 1 : *paths));
        char *dot = strrchr(name, '.');
        if (dot) *dot = '\0';
        for (char *at = name; *at; at++)
            if (*at == '/') *at = '.';
        add_piece(&sources, name, strlen(name), text, size, *paths);
    }
    write_lua(base, &sources);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "schema") == 0) embed_schema(argv[2], argv + 3);
    else if (argc >= 3 && strcmp(argv[1], "lua") == 0) embed_lua(argv[2], argv + 3);
    else die("usage: weir_embed schema|lua OUT FILE...");
    return 0;
}
