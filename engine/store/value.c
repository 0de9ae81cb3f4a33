/*
 * value.c - the canonical byte stream of values: writing, checking, reading, and parsing JSON into it.
 *
 * Everything that reads goes through take_length and value_next, which never look behind the end and never trust a
 * count: each element takes at least one byte. value_check adds what makes an encoding the only one of its value:
 * UTF-8 in strings, one NaN, keys in order, lengths in their shortest form (take_length refuses longer ones).
 *
 * Writing JSON is in value_json.c. jansson.h is included here and nowhere else. Any thread.
 */
#include "engine/store/value.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "engine/base/hash.h"

enum {
    TAG_NULL, TAG_FALSE, TAG_TRUE, TAG_INT, TAG_FLOAT, TAG_STRING, TAG_BYTES, TAG_ARRAY, TAG_OBJECT, TAG_COUNT
};

#define NAN_BITS UINT64_C(0x7ff8000000000000)

static const uint8_t EMPTY_OBJECT[] = {TAG_OBJECT, 0};
const bytes VALUE_EMPTY_OBJECT = {EMPTY_OBJECT, sizeof EMPTY_OBJECT};

/* --- writing --------------------------------------------------------------------------------------------------- */

static void put_word(buf *b, uint8_t tag, uint64_t word)
{
    uint8_t text[9] = {tag};
    for (int i = 0; i < 8; i++) text[i + 1] = (uint8_t)(word >> (8 * i));
    buf_append(b, text, sizeof text);
}

void value_put_null(buf *b)
{
    buf_byte(b, TAG_NULL);
}

void value_put_bool(buf *b, bool truth)
{
    buf_byte(b, truth ? TAG_TRUE : TAG_FALSE);
}

void value_put_int(buf *b, int64_t number)
{
    put_word(b, TAG_INT, (uint64_t)number);
}

void value_put_float(buf *b, double number)
{
    uint64_t bits = NAN_BITS;
    if (!isnan(number)) memcpy(&bits, &number, sizeof bits);
    put_word(b, TAG_FLOAT, bits);
}

void value_put_string(buf *b, bytes text)
{
    buf_byte(b, value_is_utf8(text) ? TAG_STRING : TAG_BYTES);
    buf_put_bytes(b, text);
}

void value_put_bytes(buf *b, bytes raw)
{
    buf_byte(b, TAG_BYTES);
    buf_put_bytes(b, raw);
}

void value_put_array(buf *b, size_t count)
{
    buf_byte(b, TAG_ARRAY);
    buf_put_u64(b, count);
}

void value_put_object(buf *b, size_t count)
{
    buf_byte(b, TAG_OBJECT);
    buf_put_u64(b, count);
}

void value_put_key(buf *b, bytes key)
{
    buf_put_bytes(b, key);
}

/* --- reading --------------------------------------------------------------------------------------------------- */

static size_t left(const value_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* A LEB128 in its shortest form, not larger than the bytes behind it. */
static bool take_length(value_reader *r, size_t *length)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (r->at == r->end) return false;
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        *length = (size_t)value;
        return (byte != 0 || shift == 0) && value <= left(r);
    }
    return false;
}

static bool take_text(value_reader *r, bytes *text)
{
    size_t length;
    if (!take_length(r, &length)) return false;
    *text = bytes_of(r->at, length);
    r->at += length;
    return true;
}

static bool take_word(value_reader *r, uint64_t *word)
{
    if (left(r) < 8) return false;
    *word = 0;
    for (int i = 0; i < 8; i++) *word |= (uint64_t)r->at[i] << (8 * i);
    r->at += 8;
    return true;
}

static bool take_body(value_reader *r, value_item *item)
{
    uint64_t word;
    switch (item->type) {
    case VALUE_NULL:
    case VALUE_FALSE:
    case VALUE_TRUE: return true;
    case VALUE_INT:
        if (!take_word(r, &word)) return false;
        memcpy(&item->integer, &word, sizeof word);
        item->number = (double)item->integer;
        return true;
    case VALUE_FLOAT:
        if (!take_word(r, &word)) return false;
        memcpy(&item->number, &word, sizeof word);
        return true;
    case VALUE_STRING:
    case VALUE_BYTES: return take_text(r, &item->text);
    case VALUE_ARRAY: return take_length(r, &item->count);
    case VALUE_OBJECT: return take_length(r, &item->count) && item->count <= left(r) / 2;
    }
    return false;
}

bool value_next(value_reader *r, value_item *item)
{
    *item = (value_item){0};
    value_reader start = *r;
    if (r->at == r->end || *r->at >= TAG_COUNT) return false;
    item->type = (value_type)*r->at++;
    if (take_body(r, item)) return true;
    *r = start;
    *item = (value_item){0};
    return false;
}

bool value_key(value_reader *r, bytes *key)
{
    value_reader start = *r;
    if (take_text(r, key)) return true;
    *r = start;
    *key = (bytes){0};
    return false;
}

static bool skip_one(value_reader *r, int depth)
{
    value_item item;
    bytes key;
    if (!value_next(r, &item)) return false;
    if (item.type != VALUE_ARRAY && item.type != VALUE_OBJECT) return true;
    if (depth >= VALUE_DEPTH) return false;
    for (size_t i = 0; i < item.count; i++) {
        if (item.type == VALUE_OBJECT && !value_key(r, &key)) return false;
        if (!skip_one(r, depth + 1)) return false;
    }
    return true;
}

bool value_skip(value_reader *r, bytes *whole)
{
    value_reader start = *r;
    bool well = skip_one(r, 0);
    if (!well) *r = start;
    if (whole) *whole = bytes_of(start.at, (size_t)(r->at - start.at));
    return well;
}

bool value_member(bytes object, const char *name, bytes *member)
{
    value_reader r = value_read(object);
    value_item head;
    bytes wanted = bytes_str(name), key;
    *member = (bytes){0};
    if (!value_next(&r, &head) || head.type != VALUE_OBJECT) return false;
    for (size_t i = 0; i < head.count; i++) {
        bytes whole;
        if (!value_key(&r, &key) || !value_skip(&r, &whole)) return false;
        if (!bytes_equal(key, wanted)) continue;
        *member = whole;
        return true;
    }
    return false;
}

/* --- checking -------------------------------------------------------------------------------------------------- */

typedef struct checker {
    value_reader r;
    const char *fault; /* why not */
    int code;
} checker;

static bool fault(checker *c, int code, const char *why)
{
    c->fault = why;
    c->code = code;
    return false;
}

static bool check_scalar(checker *c, const value_item *item)
{
    if (item->type == VALUE_STRING && !value_is_utf8(item->text))
        return fault(c, WEIR_CORRUPT, "a string that is not UTF-8");
    if (item->type != VALUE_FLOAT || !isnan(item->number)) return true;
    uint64_t bits;
    memcpy(&bits, &item->number, sizeof bits);
    return bits == NAN_BITS || fault(c, WEIR_CORRUPT, "another NaN than the canonical one");
}

static bool check_one(checker *c, int depth);

static bool check_members(checker *c, const value_item *head, int depth)
{
    bytes key, last = {0};
    if (depth >= VALUE_DEPTH) return fault(c, WEIR_LIMIT, "nested too deep");
    for (size_t i = 0; i < head->count; i++) {
        if (head->type == VALUE_OBJECT) {
            if (!value_key(&c->r, &key)) return fault(c, WEIR_CORRUPT, "a key that is cut off or badly sized");
            if (i > 0 && bytes_compare(last, key) >= 0)
                return fault(c, WEIR_CORRUPT, "object keys that are not in byte order, or twice the same");
            last = key;
        }
        if (!check_one(c, depth + 1)) return false;
    }
    return true;
}

static bool check_one(checker *c, int depth)
{
    value_item item;
    if (!value_next(&c->r, &item)) {
        if (c->r.at == c->r.end) return fault(c, WEIR_CORRUPT, "it ends too early");
        if (*c->r.at >= TAG_COUNT) return fault(c, WEIR_CORRUPT, "an unknown tag");
        return fault(c, WEIR_CORRUPT, "a value that is cut off or badly sized");
    }
    if (item.type == VALUE_ARRAY || item.type == VALUE_OBJECT) return check_members(c, &item, depth);
    return check_scalar(c, &item);
}

int value_check(bytes encoded, weir_error *err)
{
    if (encoded.size > VALUE_LIMIT)
        return error_set(err, WEIR_LIMIT, "value: %zu bytes, at most %d are allowed", encoded.size, (int)VALUE_LIMIT);
    checker c = {.r = value_read(encoded)};
    if (check_one(&c, 0) && c.r.at == c.r.end) return 0;
    if (!c.fault) fault(&c, WEIR_CORRUPT, "something behind the value");
    return error_set(err, c.code, "value: byte %zu of %zu: %s", encoded.size - left(&c.r), encoded.size, c.fault);
}

/* --- JSON to value --------------------------------------------------------------------------------------------- */

typedef struct json_member {
    bytes key;
    json_t *value;
} json_member;

static int compare_members(const void *a, const void *b)
{
    return bytes_compare(((const json_member *)a)->key, ((const json_member *)b)->key);
}

static int put_json(buf *to, json_t *from, int depth, weir_error *err);

/* The parser refuses keys that hold a NUL, so strlen is their length. */
static int put_json_object(buf *to, json_t *from, int depth, weir_error *err)
{
    size_t count = json_object_size(from), at = 0;
    value_put_object(to, count);
    if (count == 0) return 0;
    json_member *members = mem_alloc(count * sizeof *members);
    if (!members) return error_nomem(err, "reading JSON");
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value) members[at++] = (json_member){bytes_str(key), value};
    qsort(members, count, sizeof *members, compare_members);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        value_put_key(to, members[i].key);
        rc = put_json(to, members[i].value, depth + 1, err);
    }
    mem_free(members);
    return rc;
}

static int put_json_array(buf *to, json_t *from, int depth, weir_error *err)
{
    size_t count = json_array_size(from);
    int rc = 0;
    value_put_array(to, count);
    for (size_t i = 0; i < count && rc == 0; i++) rc = put_json(to, json_array_get(from, i), depth + 1, err);
    return rc;
}

static int put_json(buf *to, json_t *from, int depth, weir_error *err)
{
    bool nested = json_is_array(from) || json_is_object(from);
    if (nested && depth >= VALUE_DEPTH) return error_set(err, WEIR_LIMIT, "JSON: nested deeper than %d", (int)VALUE_DEPTH);
    switch (json_typeof(from)) {
    case JSON_OBJECT: return put_json_object(to, from, depth, err);
    case JSON_ARRAY: return put_json_array(to, from, depth, err);
    case JSON_STRING: value_put_string(to, bytes_of(json_string_value(from), json_string_length(from))); return 0;
    case JSON_INTEGER: value_put_int(to, json_integer_value(from)); return 0;
    case JSON_REAL: value_put_float(to, json_real_value(from)); return 0;
    case JSON_TRUE: value_put_bool(to, true); return 0;
    case JSON_FALSE: value_put_bool(to, false); return 0;
    case JSON_NULL: value_put_null(to); return 0;
    }
    return error_set(err, WEIR_BUG, "JSON: unknown type");
}

/* The parser's text quotes what it saw; one line of it is wanted. */
static int json_fault(weir_error *err, json_error_t *error)
{
    if (json_error_code(error) == json_error_out_of_memory) return error_nomem(err, "reading JSON");
    for (char *p = error->text; *p; p++)
        if ((unsigned char)*p < 0x20) *p = ' ';
    return error_set(err, WEIR_USAGE, "JSON: line %d, column %d: %s", error->line, error->column, error->text);
}

int value_from_json(bytes json, buf *to, weir_error *err)
{
    json_error_t error;
    size_t start = to->size;
    const char *text = json.size ? (const char *)json.data : "";
    json_t *root = json_loadb(text, json.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!root) return json_fault(err, &error);
    int rc = put_json(to, root, 0, err);
    json_decref(root);
    if (rc == 0 && to->failed) rc = error_nomem(err, "reading JSON");
    if (rc == 0 && to->size - start > VALUE_LIMIT)
        rc = error_set(err, WEIR_LIMIT, "JSON: a value of %zu bytes, at most %d are allowed", to->size - start, (int)VALUE_LIMIT);
    if (rc != 0) to->size = start;
    return rc;
}
