/*
 * spec_name.c - the full name of a node: base[param=value,...].
 *
 *   page[draft=true,lang=en,post=intro]    plain words are bare: A-Z a-z 0-9 _ . / - +
 *   page[post="two words"]                 all else is quoted, with \" \\ \n \r \t and \xNN
 *   page[rev="12"]                         so is a string that reads like a number or a constant: 12 is the number
 *   page[size=#1f0c9a3e]                   a table is the start of its hash
 *   page[raw=b"\xff"]                      bytes that are no text
 *
 * Two different params never give the same name, but for tables whose hashes begin alike. Any thread.
 */
#include "engine/store/spec.h"
#include "engine/store/value.h"

/* Not ctype.h: that depends on the locale. */
static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_plain(uint8_t c)
{
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return letter || is_digit(c) || (c != 0 && strchr("_./-+", c) != NULL);
}

static size_t skip_digits(bytes text, size_t at)
{
    while (at < text.size && is_digit(text.data[at])) at++;
    return at;
}

static bool has_sign(bytes text, size_t at)
{
    return at < text.size && (text.data[at] == '-' || text.data[at] == '+');
}

/* [sign] digits [. digits] [e [sign] digits], with a digit before or behind the point */
static bool is_number(bytes text)
{
    size_t start = has_sign(text, 0) ? 1 : 0;
    size_t at = skip_digits(text, start), digits = at - start;
    if (at < text.size && text.data[at] == '.') {
        size_t end = skip_digits(text, at + 1);
        digits += end - at - 1;
        at = end;
    }
    if (digits == 0) return false;
    if (at == text.size) return true;
    if (text.data[at] != 'e' && text.data[at] != 'E') return false;
    at += has_sign(text, at + 1) ? 2 : 1;
    return at < text.size && skip_digits(text, at) == text.size;
}

static bool is_constant(bytes text)
{
    static const char *const words[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (bytes_equal(text, bytes_str(words[i]))) return true;
    return false;
}

static bool is_word(bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_plain(text.data[i])) return false;
    return text.size > 0 && !is_number(text) && !is_constant(text);
}

static void put_quoted(buf *to, bytes text)
{
    bool utf8 = value_is_utf8(text);
    buf_byte(to, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool c1 = c == 0xc2 && utf8 && text.data[i + 1] < 0xa0; /* U+0080 to U+009F */
        if (c == '"' || c == '\\') buf_printf(to, "\\%c", c);
        else if (c == '\n') buf_text(to, "\\n");
        else if (c == '\r') buf_text(to, "\\r");
        else if (c == '\t') buf_text(to, "\\t");
        else if (c1) buf_printf(to, "\\x%02x\\x%02x", c, text.data[++i]);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) buf_printf(to, "\\x%02x", c);
        else buf_byte(to, c);
    }
    buf_byte(to, '"');
}

static void put_string(buf *to, bytes text)
{
    if (is_word(text)) buf_append(to, text.data, text.size);
    else put_quoted(to, text);
}

static void put_table(buf *to, bytes whole)
{
    char hex[HASH_HEX];
    hash_hex(hash_bytes(whole.data, whole.size), hex);
    buf_printf(to, "#%.8s", hex);
}

static void put_scalar(buf *to, const value_item *item)
{
    char number[32];
    switch (item->type) {
    case VALUE_NULL: buf_text(to, "null"); break;
    case VALUE_FALSE: buf_text(to, "false"); break;
    case VALUE_TRUE: buf_text(to, "true"); break;
    case VALUE_INT: buf_printf(to, "%lld", (long long)item->integer); break;
    case VALUE_FLOAT:
        value_format_float(item->number, number);
        buf_text(to, number);
        break;
    case VALUE_STRING: put_string(to, item->text); break;
    case VALUE_BYTES:
        buf_byte(to, 'b');
        put_quoted(to, item->text);
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT: break; /* put_table */
    }
}

static bool put_param(buf *to, value_reader *r)
{
    bytes key, whole;
    value_item item;
    if (!value_key(r, &key) || !value_skip(r, &whole)) return false;
    value_reader inner = value_read(whole);
    if (!value_next(&inner, &item)) return false;
    put_string(to, key);
    buf_byte(to, '=');
    if (item.type == VALUE_ARRAY || item.type == VALUE_OBJECT) put_table(to, whole);
    else put_scalar(to, &item);
    return true;
}

int spec_format_name(bytes base, bytes params, buf *to, weir_error *err)
{
    value_reader r = value_read(params.size ? params : VALUE_EMPTY_OBJECT);
    value_item head;
    size_t start = to->size;
    bool well = value_next(&r, &head) && head.type == VALUE_OBJECT;
    buf_append(to, base.data, base.size);
    for (size_t i = 0; well && i < head.count; i++) {
        buf_byte(to, i == 0 ? '[' : ',');
        well = put_param(to, &r);
    }
    if (well && head.count > 0) buf_byte(to, ']');
    if (to->failed) return error_nomem(err, "writing the name of a node");
    if (well && r.at == r.end) return 0;
    to->size = start;
    return error_set(err, WEIR_CORRUPT, "params of %.*s: not a well-formed object", (int)(base.size < 200 ? base.size : 200),
                     base.size ? (const char *)base.data : "");
}

/* Only * is special: names hold brackets and slashes. */
bool spec_name_matches(bytes pattern, bytes name)
{
    size_t p = 0, n = 0, star = SIZE_MAX, mark = 0;
    while (n < name.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            mark = n;
        } else if (p < pattern.size && pattern.data[p] == name.data[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*') p++;
    return p == pattern.size;
}

bool spec_name_has_base(bytes name, bytes base)
{
    return name.size > base.size && name.data[base.size] == '[' && memcmp(name.data, base.data, base.size) == 0;
}
