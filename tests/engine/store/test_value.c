/*
 * test_value.c - values have one encoding, published vectors say which; damage is found; JSON goes in and out.
 */
#include "tests/check.h"

#include <math.h>

#include "engine/base/hash.h"
#include "engine/store/value.h"

static size_t from_hex(const char *hex, uint8_t *to)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        CHECK_INT(1, sscanf(hex + 2 * i, "%2x", &byte));
        to[i] = (uint8_t)byte;
    }
    return n;
}

/* --- vectors ---------------------------------------------------------------------------------------------------- */

static void put_named(const char *name, buf *b)
{
    uint8_t raw[64];
    char text[512], c;
    int count;
    if (strcmp(name, "!NaN") == 0) value_put_float(b, -(double)NAN);
    else if (strcmp(name, "!Infinity") == 0) value_put_float(b, INFINITY);
    else if (strcmp(name, "!-Infinity") == 0) value_put_float(b, -INFINITY);
    else if (strncmp(name, "!bytes ", 7) == 0) value_put_bytes(b, bytes_of(raw, from_hex(name + 7, raw)));
    else if (sscanf(name, "!string %d %c", &count, &c) == 2) {
        CHECK_OR_STOP(count < (int)sizeof text);
        memset(text, c, sizeof text);
        value_put_string(b, bytes_of(text, (size_t)count));
    } else CHECK_STR("a known name", name);
}

/* Through JSON text and back it must be the same bytes; bytes and words have no JSON of their own. */
static void check_there_and_back(bytes encoded)
{
    weir_error err;
    for (int indent = 0; indent < 3; indent += 2) {
        buf text = {0}, back = {0};
        CHECK_OK(value_to_json(encoded, indent, &text, &err), err);
        CHECK_OK(value_from_json(buf_bytes(&text), &back, &err), err);
        CHECK_BYTES(encoded.data, encoded.size, back.data, back.size);
        buf_deinit(&text);
        buf_deinit(&back);
    }
}

static void check_vector(const char *name, const char *hex, const char *hash)
{
    static uint8_t expected[4096];
    size_t size = from_hex(hex, expected);
    weir_error err;
    buf b = {0};
    char text[HASH_HEX];
    if (name[0] == '!') put_named(name, &b);
    else CHECK_OK(value_from_json(bytes_str(name), &b, &err), err);
    if (!CHECK_BYTES(expected, size, b.data, b.size)) fprintf(stderr, "  value: %s\n", name);
    CHECK_STR(hash, hash_hex(hash_bytes(b.data, b.size), text));
    CHECK_OK(value_check(buf_bytes(&b), &err), err);
    if (name[0] != '!') check_there_and_back(buf_bytes(&b));
    buf_deinit(&b);
}

static void test_vectors(void)
{
    char path[4096], line[4096];
    const char *source = getenv("WEIR_SOURCE");
    int count = 0;
    snprintf(path, sizeof path, "%s/tests/engine/store/value_vectors.txt", source ? source : ".");
    FILE *in = fopen(path, "r");
    CHECK_OR_STOP(in != NULL);
    while (fgets(line, sizeof line, in)) {
        char *state = NULL;
        if (line[0] == '#') continue;
        char *name = strtok_r(line, "\t\n", &state), *hex = strtok_r(NULL, "\t\n", &state), *hash = strtok_r(NULL, "\t\n", &state);
        CHECK_OR_STOP(name && hex && hash);
        check_vector(name, hex, hash);
        count++;
    }
    fclose(in);
    CHECK(count > 60);
}

/* --- checking --------------------------------------------------------------------------------------------------- */

static void check_bad(const char *hex, const char *why)
{
    uint8_t raw[64];
    weir_error err = {0};
    CHECK_CODE(WEIR_CORRUPT, value_check(bytes_of(raw, from_hex(hex, raw)), &err), err);
    if (!CHECK_HAS(why, err.message)) fprintf(stderr, "  encoding: %s\n", hex);
}

static void test_damage(void)
{
    check_bad("", "ends too early");
    check_bad("09", "unknown tag");
    check_bad("03000000", "cut off");
    check_bad("0505616263", "cut off");
    check_bad("05810061", "cut off"); /* a length that is not in its shortest form */
    check_bad("0502c080", "not UTF-8");
    check_bad("0503eda080", "not UTF-8");
    check_bad("04000000000000f8ff", "NaN");
    check_bad("04010000000000f07f", "NaN");
    check_bad("0702", "cut off");
    check_bad("070200", "cut off");
    check_bad("0000", "behind");
    check_bad("07ffffffff0f00", "cut off");
    check_bad("0802016200016100", "byte order");
    check_bad("0802016100016100", "twice");
    check_bad("08010561", "cut off");
}

static void nest(buf *b, int depth)
{
    for (int i = 1; i < depth; i++) value_put_array(b, 1);
    value_put_array(b, 0);
}

static void test_limits(void)
{
    weir_error err;
    buf b = {0}, text = {0}, back = {0};
    nest(&b, VALUE_DEPTH);
    CHECK_OK(value_check(buf_bytes(&b), &err), err);
    check_there_and_back(buf_bytes(&b));
    buf_clear(&b);
    nest(&b, VALUE_DEPTH + 1);
    CHECK_CODE(WEIR_LIMIT, value_check(buf_bytes(&b), &err), err);
    CHECK_CODE(WEIR_LIMIT, value_to_json(buf_bytes(&b), 0, &text, &err), err);
    bytes whole;
    value_reader r = value_read(buf_bytes(&b));
    CHECK(!value_skip(&r, &whole));
    for (int i = 0; i <= VALUE_DEPTH; i++) buf_byte(&text, '[');
    for (int i = 0; i <= VALUE_DEPTH; i++) buf_byte(&text, ']');
    CHECK_CODE(WEIR_LIMIT, value_from_json(buf_bytes(&text), &back, &err), err);
    CHECK_INT(0, back.size);
    buf_clear(&b);
    uint8_t *big = calloc(1, VALUE_LIMIT);
    CHECK_OR_STOP(big != NULL);
    value_put_bytes(&b, bytes_of(big, VALUE_LIMIT));
    CHECK_CODE(WEIR_LIMIT, value_check(buf_bytes(&b), &err), err);
    free(big);
    buf_deinit(&b);
    buf_deinit(&text);
    buf_deinit(&back);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static void test_reading(void)
{
    weir_error err;
    buf b = {0};
    bytes member;
    value_item item;
    CHECK_OK(value_from_json(bytes_str("{\"a\":[1,{\"x\":2}],\"b\":\"text\",\"c\":2.5}"), &b, &err), err);
    CHECK(value_member(buf_bytes(&b), "b", &member));
    value_reader r = value_read(member);
    CHECK(value_next(&r, &item) && item.type == VALUE_STRING);
    CHECK_BYTES("text", 4, item.text.data, item.text.size);
    CHECK(!value_next(&r, &item));
    CHECK(value_member(buf_bytes(&b), "c", &member));
    r = value_read(member);
    CHECK(value_next(&r, &item) && item.type == VALUE_FLOAT && item.number == 2.5);
    CHECK(value_member(buf_bytes(&b), "a", &member));
    r = value_read(member);
    CHECK(value_next(&r, &item) && item.type == VALUE_ARRAY && item.count == 2);
    CHECK(value_next(&r, &item) && item.type == VALUE_INT && item.integer == 1 && item.number == 1.0);
    CHECK(value_skip(&r, &member) && r.at == r.end);
    CHECK(!value_member(buf_bytes(&b), "d", &member));
    CHECK(!value_member(bytes_of("\0", 1), "d", &member));
    CHECK(!value_member((bytes){0}, "d", &member));
    CHECK(!value_member(VALUE_EMPTY_OBJECT, "d", &member));
    buf_deinit(&b);
}

/* --- JSON ------------------------------------------------------------------------------------------------------- */

static void check_no_json(const char *text, size_t size)
{
    weir_error err = {0};
    buf b = {0};
    if (!CHECK_CODE(WEIR_USAGE, value_from_json(bytes_of(text, size), &b, &err), err)) fprintf(stderr, "  JSON: %s\n", text);
    CHECK_HAS("line 1", err.message);
    CHECK_INT(0, b.size);
    buf_deinit(&b);
}

static void test_bad_json(void)
{
    static const char *const bad[] = {"{\"a\":1,\"a\":2}", "NaN", "[1,]", "{", "1 2", "\"\xff\"", "\"\\ud800\"", "1e999",
                                      "{a:1}", "99999999999999999999", "'a'", "nul", "[1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_no_json(bad[i], strlen(bad[i]));
    weir_error err;
    buf b = {0};
    CHECK_CODE(WEIR_USAGE, value_from_json((bytes){0}, &b, &err), err);
    buf_deinit(&b);
}

static void check_json(const char *expected, bytes encoded, int indent)
{
    weir_error err;
    buf text = {0};
    CHECK_OK(value_to_json(encoded, indent, &text, &err), err);
    CHECK_STR(expected, buf_cstr(&text));
    buf_deinit(&text);
}

static void test_json_text(void)
{
    weir_error err;
    buf b = {0};
    CHECK_OK(value_from_json(bytes_str("{\"b\":[],\"a\":[1,{}]}"), &b, &err), err);
    check_json("{\"a\":[1,{}],\"b\":[]}", buf_bytes(&b), 0);
    check_json("{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}", buf_bytes(&b), 2);
    buf_clear(&b);
    value_put_array(&b, 4);
    value_put_float(&b, (double)NAN);
    value_put_float(&b, INFINITY);
    value_put_float(&b, -INFINITY);
    value_put_bytes(&b, bytes_of("\xff\xfe", 2));
    check_json("[\"NaN\",\"Infinity\",\"-Infinity\",{\"base64\":\"//4=\"}]", buf_bytes(&b), 0);
    buf_clear(&b);
    value_put_string(&b, bytes_of("no text \xff", 9));
    CHECK_INT(VALUE_BYTES, b.data[0]);
    buf_clear(&b);
    value_json_string(&b, bytes_of("a\"\\\n\x7f\xff\xc2\x85\xc3\xa9%", 11));
    CHECK_STR("\"a\\\"\\\\\\u000a\\u007f%FF\\u0085\xc3\xa9%\"", buf_cstr(&b));
    buf_clear(&b);
    value_json_base64(&b, bytes_str("any carnal"));
    CHECK_STR("\"YW55IGNhcm5hbA==\"", buf_cstr(&b));
    buf_deinit(&b);
}

static void check_float(const char *expected, double number)
{
    char text[32];
    CHECK_INT(strlen(expected), value_format_float(number, text));
    CHECK_STR(expected, text);
}

static void test_floats(void)
{
    check_float("1.0", 1);
    check_float("-0.0", -0.0);
    check_float("0.1", 0.1);
    check_float("0.30000000000000004", 0.1 + 0.2);
    check_float("1e+300", 1e300);
    check_float("1e+15", 1e15);
    check_float("123456789012345.0", 123456789012345.0);
    check_float("-2.2250738585072014e-308", -2.2250738585072014e-308);
    check_float("NaN", (double)NAN);
    check_float("-Infinity", -INFINITY);
}

static void test_no_memory(void)
{
    weir_error err;
    bytes json = bytes_str("{\"a\":[1,{\"x\":2}],\"b\":\"text\"}");
    bool ended = false;
    for (int64_t n = 1; n < 100 && !ended; n++) {
        buf b = {0};
        mem_fail_at(n, true);
        int rc = value_from_json(json, &b, &err);
        mem_fail_at(0, false);
        buf_deinit(&b);
        ended = rc == 0;
        if (!ended) CHECK_CODE(WEIR_NOMEM, rc, err);
    }
    CHECK(ended);
}

int main(void)
{
    test_vectors();
    test_damage();
    test_limits();
    test_reading();
    test_bad_json();
    test_json_text();
    test_floats();
    test_no_memory();
    return check_done();
}
