/*
 * jsonout.c - printing JSON objects of fields.
 *
 * Whether a comma is due is seen from the last byte: a member follows an opening bracket, a colon or white space without
 * one. A string that ends in such a byte does not confuse it, for its last byte is the quote.
 *
 * Any thread.
 */
#include "engine/store/jsonout.h"

#include "engine/store/value.h"

static void jsonout_next(buf *b)
{
    uint8_t last = b->size > 0 ? b->data[b->size - 1] : '{';
    if (!strchr("{[:\n ", last)) buf_byte(b, ',');
}

void jsonout_open(buf *b, char bracket)
{
    jsonout_next(b);
    buf_byte(b, (uint8_t)bracket);
}

void jsonout_close(buf *b, char bracket)
{
    buf_byte(b, (uint8_t)bracket);
}

void jsonout_key(buf *b, const char *name)
{
    jsonout_next(b);
    buf_printf(b, "\"%s\":", name);
}

void jsonout_number(buf *b, uint64_t number)
{
    jsonout_next(b);
    buf_printf(b, "%llu", (unsigned long long)number);
}

void jsonout_signed(buf *b, int64_t number)
{
    jsonout_next(b);
    buf_printf(b, "%lld", (long long)number);
}

void jsonout_bool(buf *b, bool truth)
{
    jsonout_next(b);
    buf_text(b, truth ? "true" : "false");
}

void jsonout_string(buf *b, const char *text)
{
    jsonout_next(b);
    if (text) value_json_string(b, bytes_str(text));
    else buf_text(b, "null");
}

void jsonout_text(buf *b, bytes text)
{
    jsonout_next(b);
    value_json_string(b, text);
}

void jsonout_hash(buf *b, hash128 hash)
{
    char hex[HASH_HEX];
    jsonout_string(b, hash_is_none(hash) ? NULL : hash_hex(hash, hex));
}

void jsonout_member(buf *b, const char *name, bytes text)
{
    jsonout_key(b, name);
    jsonout_text(b, text);
    if (value_is_utf8(text)) return;
    jsonout_next(b);
    buf_printf(b, "\"%s_base64\":", name);
    value_json_base64(b, text);
}
