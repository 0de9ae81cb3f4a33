/*
 * diagnose.c - findings with file, line, column and the source line.
 *
 * Lua knows the line of the declaring call only. The word that is wrong is looked for from there
 * on, as a key (`word =`) or a quoted
 * string, in the next lines of the source; where it is not found the call's line stands.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/script/loader.h"

enum { SEARCH_LINES = 60 };

source_position diagnose_position(lua_State *L)
{
    source_position found = {NULL, 0};
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.source[0] != '@' || ar.currentline <= 0) continue;
        if (!found.file || found.file[0] == '/')
            found = (source_position){ar.source + 1, ar.currentline};
        if (found.file[0] != '/') break; /* a file of the project */
    }
    return found;
}

/* The text of a source file, kept for the next finding. */
static bytes source_of(loader *ld, const char *file)
{
    if (!ld->source_file || strcmp(ld->source_file, file) != 0) {
        buf_clear(&ld->source_text);
        ld->source_file = arena_strdup(&ld->kept, file);
        if (loader_file(ld, file, &ld->source_text, NULL, NULL) != 0) buf_clear(&ld->source_text);
    }
    return buf_bytes(&ld->source_text);
}

static bytes line_at(bytes text, int line)
{
    const uint8_t *at = text.data, *end = text.data + text.size;
    for (int i = 1; i < line && at; i++) {
        at = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (at) at++;
    }
    if (!at || at >= end || line <= 0) return (bytes){NULL, 0};
    const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) stop = end;
    if (stop > at && stop[-1] == '\r') stop--;
    return bytes_of(at, (size_t)(stop - at));
}

static bool is_word(uint8_t c)
{
    return isalnum(c) || c == '_';
}

/* Is there `key =`, "key" or {{key}} in the line? Column from 1, or 0. */
static int find_key(bytes line, const char *key)
{
    size_t size = strlen(key);
    for (size_t at = 0; size > 0 && at + size <= line.size; at++) {
        if (memcmp(line.data + at, key, size) != 0) continue;
        uint8_t before = at > 0 ? line.data[at - 1] : ' ';
        size_t next = at + size;
        uint8_t after = next < line.size ? line.data[next] : ' ';
        if (before == '-' && at > 1 && line.data[at - 2] == '-') continue;
        if ((before == '"' || before == '\'') && (after == '"' || after == '\''))
            return (int)at + 1;
        if (before == '{' && (after == '}' || after == ':')) return (int)at + 1;
        if (is_word(before) || before == '.' || is_word(after)) continue;
        while (next < line.size && (line.data[next] == ' ' || line.data[next] == '\t')) next++;
        if (next < line.size && line.data[next] == '=' &&
            (next + 1 == line.size || line.data[next + 1] != '='))
            return (int)at + 1;
    }
    return 0;
}

static void report(loader *ld, diagnostic *d)
{
    char source[400];
    if (d->file && d->line > 0) {
        bytes line = line_at(source_of(ld, d->file), d->line);
        if (line.data) {
            size_t size = line.size < sizeof source ? line.size : sizeof source - 1;
            memcpy(source, line.data, size);
            source[size] = '\0';
            d->source = source;
        }
    }
    ld->errors++;
    ld->link->diagnose(ld->link->ctx, d);
}

void diagnose(loader *ld, source_position where, const char *key, const char *hint,
              const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    diagnostic d = {.file = where.file, .line = where.line, .message = message, .hint = hint};
    for (int i = 0; key && where.file && where.line > 0 && i < SEARCH_LINES; i++) {
        bytes line = line_at(source_of(ld, where.file), where.line + i);
        int column = line.data ? find_key(line, key) : 0;
        if (column == 0) continue;
        d.line = where.line + i;
        d.column = column;
        break;
    }
    report(ld, &d);
}

/* Where a syntax error says "near 'x'", the place of x in its line. */
static int near_column(bytes line, const char *message)
{
    const char *near = strstr(message, "near '");
    if (!near || !line.data) return 0;
    near += 6;
    const char *end = strrchr(near, '\'');
    size_t size = end ? (size_t)(end - near) : 0;
    for (size_t at = 0; size > 0 && at + size <= line.size; at++)
        if (memcmp(line.data + at, near, size) == 0) return (int)at + 1;
    return 0;
}

void diagnose_failure(loader *ld, const luavm_failure *failure)
{
    diagnostic d = {.file = failure->file[0] ? failure->file : NULL,
                    .line = failure->line,
                    .message = failure->message,
                    .hint = failure->hint[0] ? failure->hint : NULL};
    if (d.file) d.column = near_column(line_at(source_of(ld, d.file), d.line), failure->message);
    report(ld, &d);
}
