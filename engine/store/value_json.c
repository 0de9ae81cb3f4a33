/*
 * value_json.c - values as JSON text, and the small pieces of JSON that other modules print.
 *
 * Bytes that are not UTF-8 never reach the text: they are percent-escaped. Neither do control characters: those of ASCII
 * (DEL too) and U+0080 to U+009F are \u00XX, so that a terminal stays harmless. Any thread.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/value.h"

/* --- UTF-8 ----------------------------------------------------------------------------------------------------- */

/* Length of the well-formed sequence at `p` (Unicode table 3-7), or 0. */
static size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
    uint8_t lowest = 0x80, highest = 0xbf;
    size_t length;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    if (p[0] < 0xe0) length = 2;
    else if (p[0] < 0xf0) length = 3;
    else length = 4;
    if ((size_t)(end - p) < length) return 0;
    if (p[0] == 0xe0) lowest = 0xa0;      /* overlong */
    else if (p[0] == 0xed) highest = 0x9f; /* surrogates */
    else if (p[0] == 0xf0) lowest = 0x90; /* overlong */
    else if (p[0] == 0xf4) highest = 0x8f; /* above U+10FFFF */
    if (p[1] < lowest || p[1] > highest) return 0;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xbf) return 0;
    return length;
}

bool value_is_utf8(bytes text)
{
    const uint8_t *p = text.data, *end = text.size ? p + text.size : p;
    while (p != end) {
        size_t length = utf8_length(p, end);
        if (length == 0) return false;
        p += length;
    }
    return true;
}

/* --- pieces ---------------------------------------------------------------------------------------------------- */

static void put_character(buf *to, const uint8_t *p, size_t length)
{
    if (length == 0) buf_printf(to, "%%%02X", p[0]);
    else if (p[0] == '"' || p[0] == '\\') {
        buf_byte(to, '\\');
        buf_byte(to, p[0]);
    } else if (p[0] < 0x20 || p[0] == 0x7f) buf_printf(to, "\\u%04x", p[0]);
    else if (p[0] == 0xc2 && p[1] < 0xa0) buf_printf(to, "\\u%04x", p[1]);
    else buf_append(to, p, length);
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

void value_json_string(buf *to, bytes text)
{
    const uint8_t *p = text.data, *end = text.size ? p + text.size : p;
    buf_byte(to, '"');
    while (p != end) {
        const uint8_t *run = p;
        while (p != end && is_plain(*p)) p++;
        buf_append(to, run, (size_t)(p - run));
        if (p == end) break;
        size_t length = utf8_length(p, end);
        put_character(to, p, length);
        p += length ? length : 1;
    }
    buf_byte(to, '"');
}

void value_json_base64(buf *to, bytes raw)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_byte(to, '"');
    for (size_t i = 0; i < raw.size; i += 3) {
        size_t n = raw.size - i < 3 ? raw.size - i : 3;
        uint32_t word = (uint32_t)raw.data[i] << 16;
        if (n > 1) word |= (uint32_t)raw.data[i + 1] << 8;
        if (n > 2) word |= raw.data[i + 2];
        char text[4] = {digits[word >> 18], digits[word >> 12 & 63], digits[word >> 6 & 63], digits[word & 63]};
        for (size_t pad = n + 1; pad < 4; pad++) text[pad] = '=';
        buf_append(to, text, 4);
    }
    buf_byte(to, '"');
}

/* --- floats ---------------------------------------------------------------------------------------------------- */

/* An embedding program may have set a locale with another decimal point, even one of several bytes. */
static void undo_locale(char *text)
{
    const char *point = localeconv()->decimal_point;
    char *at = point[0] && strcmp(point, ".") != 0 ? strstr(text, point) : NULL;
    if (!at) return;
    size_t size = strlen(point);
    *at = '.';
    memmove(at + 1, at + size, strlen(at + size) + 1);
}

int value_format_float(double number, char text[32])
{
    if (isnan(number)) return snprintf(text, 32, "NaN");
    if (isinf(number)) return snprintf(text, 32, "%sInfinity", number < 0 ? "-" : "");
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, number);
        double back = strtod(text, NULL);
        if (memcmp(&back, &number, sizeof back) == 0) break;
    }
    undo_locale(text);
    if (!strpbrk(text, ".e")) strcat(text, ".0");
    return (int)strlen(text);
}

double value_parse_float(const char *text)
{
    const char *point = localeconv()->decimal_point;
    char local[512];
    const char *dot = strchr(text, '.');
    if (!dot || strcmp(point, ".") == 0) return strtod(text, NULL);
    snprintf(local, sizeof local, "%.*s%s%s", (int)(dot - text), text, point, dot + 1);
    return strtod(local, NULL);
}

/* --- values ---------------------------------------------------------------------------------------------------- */

typedef struct writer {
    value_reader from;
    buf *to;
    int indent;
} writer;

static void new_line(writer *w, int depth)
{
    if (w->indent <= 0) return;
    buf_byte(w->to, '\n');
    for (int i = 0; i < w->indent * depth; i++) buf_byte(w->to, ' ');
}

static void write_float(buf *to, double number)
{
    char text[32];
    value_format_float(number, text);
    if (isfinite(number)) buf_text(to, text);
    else value_json_string(to, bytes_str(text));
}

static void write_one(writer *w, int depth);

static void write_members(writer *w, const value_item *head, int depth)
{
    bool is_object = head->type == VALUE_OBJECT;
    bytes key;
    buf_byte(w->to, is_object ? '{' : '[');
    for (size_t i = 0; i < head->count; i++) {
        if (i > 0) buf_byte(w->to, ',');
        new_line(w, depth + 1);
        if (is_object && value_key(&w->from, &key)) {
            value_json_string(w->to, key);
            buf_text(w->to, w->indent > 0 ? ": " : ":");
        }
        write_one(w, depth + 1);
    }
    if (head->count > 0) new_line(w, depth);
    buf_byte(w->to, is_object ? '}' : ']');
}

/* Only over a checked encoding: the reader cannot fail, and its depth is limited. */
static void write_one(writer *w, int depth)
{
    value_item item;
    if (!value_next(&w->from, &item)) return;
    switch (item.type) {
    case VALUE_NULL: buf_text(w->to, "null"); break;
    case VALUE_FALSE: buf_text(w->to, "false"); break;
    case VALUE_TRUE: buf_text(w->to, "true"); break;
    case VALUE_INT: buf_printf(w->to, "%lld", (long long)item.integer); break;
    case VALUE_FLOAT: write_float(w->to, item.number); break;
    case VALUE_STRING: value_json_string(w->to, item.text); break;
    case VALUE_BYTES:
        buf_text(w->to, w->indent > 0 ? "{\"base64\": " : "{\"base64\":");
        value_json_base64(w->to, item.text);
        buf_byte(w->to, '}');
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT: write_members(w, &item, depth); break;
    }
}

int value_to_json(bytes encoded, int indent, buf *to, weir_error *err)
{
    int rc = value_check(encoded, err);
    if (rc != 0) return rc;
    writer w = {value_read(encoded), to, indent};
    write_one(&w, 0);
    return to->failed ? error_nomem(err, "writing JSON") : 0;
}
