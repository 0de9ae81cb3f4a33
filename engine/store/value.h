/*
 * value.h - JSON-like values as a canonical typed byte stream, and what they hash to.
 *
 * A value has exactly one encoding, so hash_bytes(encoding) is its hash and the encoding itself is what is stored
 * (a value's payload is a blob under that hash). Scheme 1, frozen; tests/engine/store/value_vectors.txt has the vectors:
 *
 *   null 00 | false 01 | true 02 | integer 03 + 8 bytes (two's complement, little-endian)
 *   float 04 + 8 bytes IEEE-754 little-endian (every NaN is 7ff8000000000000; -0.0 stays -0.0)
 *   string 05 + length + bytes (UTF-8) | bytes 06 + length + bytes
 *   array 07 + count + elements | object 08 + count + (length + key bytes, value) with keys in byte order, no key twice
 *
 * Lengths and counts are LEB128 in the shortest form. Nesting at most VALUE_DEPTH; encoded size at most VALUE_LIMIT.
 * jansson is used here and nowhere else. Any thread.
 */
#ifndef WEIR_STORE_VALUE_H
#define WEIR_STORE_VALUE_H

#include "engine/base/error.h"
#include "engine/base/memory.h"

enum { VALUE_DEPTH = 200, VALUE_LIMIT = 16 * 1024 * 1024 };

typedef enum value_type {
    VALUE_NULL, VALUE_FALSE, VALUE_TRUE, VALUE_INT, VALUE_FLOAT, VALUE_STRING, VALUE_BYTES, VALUE_ARRAY, VALUE_OBJECT
} value_type;

/* Writing: append to a buf. The caller gives object keys in byte order (value_check finds a breach). A text that is not
 * UTF-8 is written as VALUE_BYTES. */
void value_put_null(buf *b);
void value_put_bool(buf *b, bool truth);
void value_put_int(buf *b, int64_t number);
void value_put_float(buf *b, double number);
void value_put_string(buf *b, bytes text);
void value_put_bytes(buf *b, bytes raw);
void value_put_array(buf *b, size_t count);  /* then `count` values */
void value_put_object(buf *b, size_t count); /* then `count` times value_put_key and a value */
void value_put_key(buf *b, bytes key);

/** Well-formed, canonical, nothing behind it? WEIR_CORRUPT says at which byte and why not; WEIR_LIMIT: too large or too deep. */
int value_check(bytes encoded, weir_error *err);

/* Reading: a cursor over a checked encoding. */
typedef struct value_reader {
    const uint8_t *at, *end;
} value_reader;

typedef struct value_item {
    value_type type;
    int64_t integer; /* VALUE_INT */
    double number;   /* VALUE_FLOAT, and VALUE_INT converted */
    bytes text;      /* VALUE_STRING, VALUE_BYTES; borrowed */
    size_t count;    /* VALUE_ARRAY, VALUE_OBJECT: what follows */
} value_item;

static inline value_reader value_read(bytes encoded)
{
    return (value_reader){encoded.data, encoded.size ? encoded.data + encoded.size : encoded.data};
}
/** Next scalar, or the head of a container. false at the end or on damage. */
bool value_next(value_reader *r, value_item *item);
/** Key of the next member of an object. */
bool value_key(value_reader *r, bytes *key);
/** Step over one whole value; `whole` (may be NULL) is its encoding. */
bool value_skip(value_reader *r, bytes *whole);
/** Member of an object by name; false when absent or not an object. `member` is its encoding. */
bool value_member(bytes object, const char *name, bytes *member);

/** The encoding of an empty object, a constant. */
extern const bytes VALUE_EMPTY_OBJECT;

/** Parse one JSON text (duplicate keys, NaN and bad UTF-8 are errors) and append its encoding. WEIR_USAGE with line and
 *  column; WEIR_LIMIT. On failure `to` is as it was. */
int value_from_json(bytes json, buf *to, weir_error *err);
/** Parse one TOML 1.0 document and append its encoding; dates and times become strings. Errors as for JSON. */
int value_from_toml(bytes toml, buf *to, weir_error *err);
/** Append JSON text, one line, keys sorted; floats in the shortest form that reads back the same; non-finite floats as strings
 *  "NaN", "Infinity", "-Infinity". VALUE_BYTES as {"base64": "..."}; `indent` > 0: pretty. */
int value_to_json(bytes encoded, int indent, buf *to, weir_error *err);
/** Append `text` as a quoted JSON string; bytes that are not UTF-8 are percent-escaped (%XX); control characters \u00XX. */
void value_json_string(buf *to, bytes text);

/** Append `raw` as a quoted base64 string. */
void value_json_base64(buf *to, bytes raw);
/** Well-formed UTF-8 (no overlong forms, no surrogates)? */
bool value_is_utf8(bytes text);

/** Format a float so that it reads back the same, the shortest of %.15g, %.16g, %.17g, always with '.', 'e' or a word (NaN,
 *  Infinity, -Infinity), in any locale. @return its length */
int value_format_float(double number, char text[32]);
/** Read a decimal number that is known to be well-formed, in any locale. */
double value_parse_float(const char *text);

#endif
