/* test_document.c - what TOML documents mean, which ones are refused and where, and keys into them. */
#include "engine/store/document.h"

#include "tests/check.h"

static void good(const char *toml, const char *json)
{
    buf value = {0}, text = {0};
    weir_error err = {0};
    int rc = value_from_toml(bytes_str(toml), &value, &err);
    CHECK_INT(rc, 0);
    if (rc != 0) fprintf(stderr, "  %s: %s\n", toml, err.message);
    CHECK(value_check(buf_bytes(&value), NULL) == 0);
    if (rc == 0) CHECK(value_to_json(buf_bytes(&value), 0, &text, NULL) == 0);
    CHECK_STR(buf_cstr(&text), json);
    buf_deinit(&value);
    buf_deinit(&text);
}

static void bad(const char *toml, const char *where)
{
    buf value = {0};
    weir_error err = {0};
    CHECK(value_from_toml(bytes_str(toml), &value, &err) < 0);
    CHECK(value.size == 0);
    if (!strstr(err.message, where)) fprintf(stderr, "  %s\n  gives: %s\n", toml, err.message);
    CHECK(strstr(err.message, where) != NULL);
    buf_deinit(&value);
}

static void test_scalars(void)
{
    good("", "{}");
    good("# nothing\n\n\t\r\n", "{}");
    good("a = 1\nb = +2\nc = -3\nd = 1_000", "{\"a\":1,\"b\":2,\"c\":-3,\"d\":1000}");
    good("a = 0xdead_BEEF\nb = 0o17\nc = 0b1_01\nd = 0", "{\"a\":3735928559,\"b\":15,\"c\":5,\"d\":0}");
    good("a = 9223372036854775807\nb = -9223372036854775808", "{\"a\":9223372036854775807,\"b\":-9223372036854775808}");
    good("a = 3.5\nb = 5e+22\nc = -0.5\nd = 6.25e-1\ne = 1_0.2_5", "{\"a\":3.5,\"b\":5e+22,\"c\":-0.5,\"d\":0.625,\"e\":10.25}");
    good("a = inf\nb = -inf\nc = nan\nd = +inf", "{\"a\":\"Infinity\",\"b\":\"-Infinity\",\"c\":\"NaN\",\"d\":\"Infinity\"}");
    good("a = true\nb = false", "{\"a\":true,\"b\":false}");
    good("a = 1979-05-27T07:32:00Z\nb = 1979-05-27 00:32:00.99-07:00\nc = 1979-05-27\nd = 07:32:00",
         "{\"a\":\"1979-05-27T07:32:00Z\",\"b\":\"1979-05-27 00:32:00.99-07:00\",\"c\":\"1979-05-27\",\"d\":\"07:32:00\"}");
    good("a = 2024-02-29 # leap", "{\"a\":\"2024-02-29\"}");
}

static void test_strings(void)
{
    good("a = \"x\\ty\\u00e9\\U0001F600\\\\\"", "{\"a\":\"x\\u0009y\xc3\xa9\xf0\x9f\x98\x80\\\\\"}");
    good("a = 'C:\\n'", "{\"a\":\"C:\\\\n\"}");
    good("a = \"\"\"\nRoses\r\nViolets\"\"\"", "{\"a\":\"Roses\\u000aViolets\"}");
    good("a = \"\"\"x \\\n\n   y\"\"\"", "{\"a\":\"x y\"}");
    good("a = \"\"\"two quotes: \"\".\"\"\"\nb = '''q'''''", "{\"a\":\"two quotes: \\\"\\\".\",\"b\":\"q''\"}");
    good("\"a b\" = 1\n'' = 2\n1.2 = 3", "{\"\":2,\"1\":{\"2\":3},\"a b\":1}");
}

static void test_tables(void)
{
    good("[b]\nx = 1\n[a]\ny = 2\n[b.c]\nz = 3", "{\"a\":{\"y\":2},\"b\":{\"c\":{\"z\":3},\"x\":1}}");
    good("[a.b]\n[a]\nx = 1", "{\"a\":{\"b\":{},\"x\":1}}");
    good("a.b = 1\na.c.d = 2", "{\"a\":{\"b\":1,\"c\":{\"d\":2}}}");
}

static void test_lists(void)
{
    good("a = [\n 1, # one\n 2,\n]\nb = [[], [[]]]", "{\"a\":[1,2],\"b\":[[],[[]]]}");
    good("[[p]]\nn = 1\n[p.q]\nr = 2\n[[p]]\n[[p.s]]\n[[p.s]]", "{\"p\":[{\"n\":1,\"q\":{\"r\":2}},{\"s\":[{},{}]}]}");
    good("t = { a = 1, b.c = [ 1, \"x\", { } ] }", "{\"t\":{\"a\":1,\"b\":{\"c\":[1,\"x\",{}]}}}");
}

static void test_refused(void)
{
    bad("a = 1\na = 2", "line 2, column 1");
    bad("a = 1\n[a]", "line 2, column 1");
    bad("[a]\n[a]", "line 2, column 1");
    bad("a.b = 1\n[a]", "line 2");
    bad("[a.b]\n[a]\nb.c = 1", "line 3");
    bad("a = {}\na.b = 1", "line 2");
    bad("a = {b = {}}\n[a.b]", "line 2");
    bad("a = {b = 1,}", "line 1");
    bad("a = []\n[[a]]", "line 2");
    bad("[[a]]\n[a]", "line 2");
    bad("a = 01", "line 1, column 5");
    bad("a = 1__0", "line 1, column 5");
    bad("a = _1", "line 1");
    bad("a = 1_", "line 1");
    bad("a = 1.", "line 1");
    bad("a = .5", "line 1");
    bad("a = 1e", "line 1");
    bad("a = 0x", "line 1");
    bad("a = 0xg", "line 1");
    bad("a = -0x1", "line 1");
    bad("a = 0b2", "line 1");
    bad("a = 9223372036854775808", "line 1");
    bad("a = 1979-13-01", "line 1");
    bad("a = 2023-02-29", "line 1");
    bad("a = 24:00:00", "line 1");
    bad("a = \"x", "line 1, column 5");
    bad("a = \"\\x\"", "line 1, column 6");
    bad("a = \"\\ud800\"", "line 1, column 6");
    bad("a = \"\"\"x", "line 1");
    bad("a = [1 2]", "line 1, column 8");
    bad("a = [1,\n", "line 1, column 5");
    bad("a", "line 1, column 2");
    bad("= 1", "line 1, column 1");
    bad("a = 1 b = 2", "line 1, column 7");
    bad("[a", "line 1");
    bad("a = tru", "line 1");
    bad("a = \"\x01\"", "line 1");
    bad("a = 1 # \x07", "line 1");
    bad("a = \"\xff\"", "not UTF-8");
}

static void test_depth(void)
{
    buf text = {0}, value = {0};
    buf_text(&text, "a = ");
    for (int i = 0; i < 100000; i++) buf_byte(&text, '[');
    CHECK_INT(value_from_toml(buf_bytes(&text), &value, NULL), WEIR_LIMIT);
    buf_clear(&text);
    for (int i = 0; i < 100000; i++) buf_text(&text, "a.");
    buf_text(&text, "a = 1");
    CHECK_INT(value_from_toml(buf_bytes(&text), &value, NULL), WEIR_LIMIT);
    buf_clear(&text);
    for (int i = 0; i < 50000; i++) buf_printf(&text, "k%d = %d\n", i, i);
    CHECK_INT(value_from_toml(buf_bytes(&text), &value, NULL), 0);
    CHECK(value_check(buf_bytes(&value), NULL) == 0);
    buf_deinit(&text);
    buf_deinit(&value);
}

static void finds(const char *json, const char *key, const char *expected)
{
    buf value = {0}, text = {0};
    bytes found = {NULL, 0};
    CHECK_INT(value_from_json(bytes_str(json), &value, NULL), 0);
    CHECK_INT(document_check_key(bytes_str(key), NULL), 0);
    CHECK_INT(document_find(buf_bytes(&value), bytes_str(key), &found), expected != NULL);
    if (expected && found.size) {
        CHECK(value_to_json(found, 0, &text, NULL) == 0);
        CHECK_STR(buf_cstr(&text), expected);
    }
    buf_deinit(&value);
    buf_deinit(&text);
}

static void test_keys(void)
{
    static const char json[] = "{\"a\":{\"b\":[1,[2,{\"c\":null}]],\"x.y\":3},\"\":4}";
    static const char *const wrong[] = {"", ".", "a.", ".a", "a..b", "a[0]", "a[", "a[x]", "a]", "a b", "\"a", "a\"b\"", "a[1]b"};
    finds(json, "a.b[1]", "1");
    finds(json, "a.b[2][1]", "2");
    finds(json, "a.b[2][2].c", "null");
    finds(json, "a.\"x.y\"", "3");
    finds(json, "\"\"", "4");
    finds(json, "a.b[3]", NULL);
    finds(json, "a.c", NULL);
    finds(json, "a.b.c", NULL);
    finds(json, "a[1]", NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_INT(document_check_key(bytes_str(wrong[i]), NULL), WEIR_USAGE);
}

static void test_places(void)
{
    buf value = {0};
    weir_error err = {0};
    CHECK(document_parse(bytes_str("x/y.toml"), bytes_str("a = 1\nb = ?"), &value, &err) < 0);
    CHECK(strstr(err.message, "x/y.toml:2:5: ") == err.message);
    CHECK(document_parse(bytes_str("y.json"), bytes_str("{\n\"a\":1,\"a\":2}"), &value, &err) < 0);
    CHECK(strstr(err.message, "y.json:2:") == err.message);
    CHECK_INT(document_parse(bytes_str("y.json"), bytes_str("{}"), &value, &err), 0);
    buf_deinit(&value);
}

int main(void)
{
    test_scalars();
    test_strings();
    test_tables();
    test_lists();
    test_refused();
    test_depth();
    test_keys();
    test_places();
    return check_done();
}
