/*
 * fuzz_value.c - any bytes as a value, and as JSON text.
 *
 * Promised: readers never step behind the end; what value_check accepts is canonical, so reading and writing it again gives
 * the same bytes, and so does the way through JSON (where the value has JSON of its own).
 */
#include "tests/fuzz/loop.h"

#include <math.h>

#include "engine/store/spec.h"
#include "engine/store/value.h"

/* Write again what is read; *plain: JSON can say it. */
static bool copy_one(value_reader *r, buf *to, bool *plain)
{
    value_item item;
    bytes key;
    if (!value_next(r, &item)) return false;
    switch (item.type) {
    case VALUE_NULL: value_put_null(to); break;
    case VALUE_FALSE: value_put_bool(to, false); break;
    case VALUE_TRUE: value_put_bool(to, true); break;
    case VALUE_INT: value_put_int(to, item.integer); break;
    case VALUE_FLOAT:
        value_put_float(to, item.number);
        if (!isfinite(item.number)) *plain = false;
        break;
    case VALUE_STRING: value_put_string(to, item.text); break;
    case VALUE_BYTES:
        value_put_bytes(to, item.text);
        *plain = false;
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        if (item.type == VALUE_ARRAY) value_put_array(to, item.count);
        else value_put_object(to, item.count);
        for (size_t i = 0; i < item.count; i++) {
            if (item.type == VALUE_OBJECT) {
                if (!value_key(r, &key)) return false;
                value_put_key(to, key);
                if (!value_is_utf8(key) || memchr(key.data, 0, key.size)) *plain = false;
            }
            if (!copy_one(r, to, plain)) return false;
        }
        break;
    }
    return true;
}

static bool is_same(bytes a, const buf *b)
{
    return bytes_equal(a, buf_bytes(b));
}

static void check_good(bytes encoded)
{
    buf copy = {0}, text = {0}, back = {0};
    bool plain = true;
    value_reader r = value_read(encoded);
    fuzz_require(copy_one(&r, &copy, &plain) && is_same(encoded, &copy), "a checked value is canonical");
    bytes whole;
    r = value_read(encoded);
    fuzz_require(value_skip(&r, &whole) && whole.size == encoded.size, "value_skip steps over all of it");
    fuzz_require(value_to_json(encoded, 0, &text, NULL) == 0, "a checked value has JSON text");
    int rc = value_from_json(buf_bytes(&text), &back, NULL);
    fuzz_require(rc == 0 || !plain, "that text is JSON");
    fuzz_require(!plain || is_same(encoded, &back), "there and back is the same");
    buf_deinit(&copy);
    buf_deinit(&text);
    buf_deinit(&back);
}

static void check_any(bytes raw)
{
    buf text = {0};
    bytes part;
    value_reader r = value_read(raw);
    value_item item;
    while (value_next(&r, &item)) {}
    r = value_read(raw);
    while (value_key(&r, &part)) {}
    r = value_read(raw);
    while (value_skip(&r, &part)) {}
    (void)value_member(raw, "a", &part);
    (void)value_to_json(raw, 2, &text, NULL);
    (void)spec_format_name(bytes_str("base"), raw, &text, NULL);
    value_json_string(&text, raw);
    buf_deinit(&text);
}

static void check_json(bytes raw)
{
    buf value = {0};
    if (value_from_json(raw, &value, NULL) == 0) {
        fuzz_require(value_check(buf_bytes(&value), NULL) == 0, "JSON gives a canonical value");
        check_good(buf_bytes(&value));
    }
    buf_deinit(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes raw = bytes_of(data, size);
    check_any(raw);
    if (value_check(raw, NULL) == 0) check_good(raw);
    check_json(raw);
    return 0;
}

bool fuzz_seed(unsigned number, buf *to)
{
    static const char *const json[] = {
        "{\"a\":[1,-2.5,1e300],\"b\":{\"c\":null,\"d\":true,\"\":false},\"text\":\"\\u00e9\\ud83d\\ude00\\n\"}",
        "[[[[]]],{},\"\",\"plain\",9223372036854775807]",
        "{\"lang\":\"en\",\"post\":\"two words\",\"n\":\"12\",\"t\":[1]}",
    };
    unsigned count = sizeof json / sizeof *json;
    if (number >= 2 * count + 1) return false;
    if (number == 2 * count) {
        value_put_array(to, 3);
        value_put_bytes(to, bytes_of("\xff\0", 2));
        value_put_float(to, (double)NAN);
        value_put_float(to, -INFINITY);
    } else if (number < count) buf_text(to, json[number]);
    else if (value_from_json(bytes_str(json[number - count]), to, NULL) != 0) abort();
    return true;
}
