/*
 * safe.c - foreign text made harmless for a terminal.
 *
 * Colours (ESC [ digits ; m) are the one escape sequence that may stay. Everything else that a terminal could act on is shown as
 * text: C0 controls as ^X (after git), C1 and bidirectional controls as their code point (after "Trojan Source", 2021).
 */
#include "engine/door/print.h"
#include "engine/store/value.h"

/* Length of a colour sequence at `at`; 0: it is none. */
static size_t color_size(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 3 || at[0] != 0x1b || at[1] != '[') return 0;
    const uint8_t *p = at + 2;
    while (p < end && ((*p >= '0' && *p <= '9') || *p == ';' || *p == ':')) p++;
    return p < end && *p == 'm' ? (size_t)(p + 1 - at) : 0;
}

/* Length of the UTF-8 character at `at`; 0: it is none. */
static size_t character_size(const uint8_t *at, const uint8_t *end)
{
    size_t size = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    if ((size_t)(end - at) < size) return 0;
    return value_is_utf8(bytes_of(at, size)) ? size : 0;
}

static uint32_t code_point(const uint8_t *at, size_t size)
{
    if (size == 1) return at[0];
    uint32_t code = at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) code = code << 6 | (at[i] & 0x3fu);
    return code;
}

/* C1, line and paragraph separators, what changes the direction of writing, what nobody sees. */
static bool is_treacherous(uint32_t code)
{
    return (code >= 0x80 && code <= 0x9f) || code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff || (code >= 0xe0000 && code <= 0xe007f);
}

/* ESC [ m and ESC [ 0 m switch colours off. */
static bool is_reset(const uint8_t *at, size_t size)
{
    return size == 3 || (size == 4 && at[2] == '0');
}

/* In front of a last newline, so that the text still ends with it. */
static void put_reset(buf *to)
{
    bool ends_line = !to->failed && to->size > 0 && to->data[to->size - 1] == '\n';
    if (ends_line) to->size--;
    buf_text(to, ends_line ? "\x1b[0m\n" : "\x1b[0m");
}

static void put_control(buf *to, uint8_t c)
{
    buf_byte(to, '^');
    buf_byte(to, c == 0x7f ? '?' : (uint8_t)(c + '@'));
}

static size_t put_character(buf *to, const uint8_t *at, const uint8_t *end)
{
    size_t size = character_size(at, end);
    if (size == 0) {
        buf_printf(to, "\\x%02X", *at);
        return 1;
    }
    uint32_t code = code_point(at, size);
    if (code < 0x20 || code == 0x7f) put_control(to, *at);
    else if (is_treacherous(code)) buf_printf(to, "<U+%04X>", (unsigned)code);
    else buf_append(to, at, size);
    return size;
}

void print_safe(buf *to, bytes text, unsigned keep)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data ? text.data + text.size : text.data;
    bool colored = false;
    while (at < end) {
        size_t color = color_size(at, end);
        if (color) {
            if (keep & SAFE_COLOR) buf_append(to, at, color);
            colored = (keep & SAFE_COLOR) && !is_reset(at, color);
            at += color;
        } else if ((keep & SAFE_LINES) && *at == '\r' && at + 1 < end && at[1] == '\n') {
            at++;
        } else if ((keep & SAFE_LINES) && (*at == '\n' || *at == '\t')) {
            buf_byte(to, *at++);
        } else {
            at += put_character(to, at, end);
        }
    }
    if (colored) put_reset(to);
}

void print_name(buf *to, bytes name)
{
    print_safe(to, name, 0);
}
