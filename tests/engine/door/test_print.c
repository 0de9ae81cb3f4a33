/* test_print.c - foreign text made harmless, numbers and times in words, exit codes. */
#include "engine/door/print.h"

#include "engine/store/jsonout.h"
#include "tests/check.h"

static const char *safe(const char *text, size_t size, unsigned keep)
{
    static char shown[512];
    buf to;
    buf_init(&to);
    print_safe(&to, bytes_of(text, size), keep);
    snprintf(shown, sizeof shown, "%s", buf_cstr(&to));
    buf_deinit(&to);
    return shown;
}
#define SAFE(text, keep) safe(text, sizeof(text) - 1, keep)

static void controls(void)
{
    CHECK_STR("plain caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", SAFE("plain caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 0));
    CHECK_STR("a^@b", SAFE("a\0b", 0));
    CHECK_STR("^H^H^?", SAFE("\b\b\x7f", 0));
    CHECK_STR("line^Jnext^I", SAFE("line\nnext\t", 0));
    CHECK_STR("line\nnext\t", SAFE("line\nnext\t", SAFE_LINES));
    CHECK_STR("dos\nover^Mwritten", SAFE("dos\r\nover\rwritten", SAFE_LINES));
    CHECK_STR("dos^M^J", SAFE("dos\r\n", 0));
}

static void sequences(void)
{
    static const struct { const char *text, *shown; } cases[] = {
        {"\x1b]0;title\x07", "^[]0;title^G"},
        {"\x1b]52;c;aGk=\x1b\\", "^[]52;c;aGk=^[\\"},
        {"\x1bP+q\x1b\\", "^[P+q^[\\"},
        {"\x1b[2J", "^[[2J"},
        {"\x1b[1;1H", "^[[1;1H"},
        {"\x1b[31", "^[[31"},
        {"\x1b[?25l", "^[[?25l"},
        {"\x1b" "c", "^[c"},
        {"\xc2\x9b" "2J", "<U+009B>2J"},
        {"\x9b" "2J", "\\x9B2J"},
        {"\xff\xfe", "\\xFF\\xFE"},
        {"\xc0\x80", "\\xC0\\x80"},
        {"\xed\xa0\x80", "\\xED\\xA0\\x80"},
        {"\xe2\x82", "\\xE2\\x82"},
        {"a\xe2\x80\xae" "b", "a<U+202E>b"},
        {"\xe2\x81\xa6x\xe2\x81\xa9", "<U+2066>x<U+2069>"},
        {"\xe2\x80\x8f\xd8\x9c", "<U+200F><U+061C>"},
        {"\xe2\x80\xa8", "<U+2028>"},
        {"\xf3\xa0\x81\x81", "<U+E0041>"},
        {"\xef\xbb\xbf", "<U+FEFF>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) CHECK_STR(cases[i].shown, safe(cases[i].text, strlen(cases[i].text), SAFE_LINES));
}

static void colors(void)
{
    CHECK_STR("red plain", SAFE("\x1b[31mred\x1b[0m plain", 0));
    CHECK_STR("\x1b[31mred\x1b[0m plain", SAFE("\x1b[31mred\x1b[0m plain", SAFE_COLOR));
    CHECK_STR("\x1b[1;38:5:9mred\x1b[0m", SAFE("\x1b[1;38:5:9mred", SAFE_COLOR));
    CHECK_STR("\x1b[31mred\x1b[0m\n", SAFE("\x1b[31mred\n", SAFE_COLOR | SAFE_LINES));
    CHECK_STR("\x1b[mnone\n", SAFE("\x1b[mnone\n", SAFE_COLOR | SAFE_LINES));
    buf to;
    buf_init(&to);
    print_styled(&to, false, STYLE_BAD, "x");
    CHECK_STR("x", buf_cstr(&to));
    print_styled(&to, true, STYLE_GOOD, "y");
    CHECK_STR("x\x1b[32my\x1b[0m", buf_cstr(&to));
    buf_deinit(&to);
    print_setup(COLOR_ALWAYS);
    CHECK(print_has_color(stdout) && print_has_color(stderr));
    print_setup(COLOR_NEVER);
    CHECK(!print_has_color(stdout));
    setenv("NO_COLOR", "1", 1);
    print_setup(COLOR_AUTO);
    CHECK(!print_has_color(stderr));
}

static const char *shown(buf *b)
{
    static char text[4][64];
    static unsigned next;
    char *to = text[next++ % 4];
    snprintf(to, sizeof text[0], "%s", buf_cstr(b));
    buf_clear(b);
    return to;
}

static void pieces(void)
{
    buf b;
    buf_init(&b);
    static const struct { uint64_t number; const char *text; } counts[] = {
        {0, "0"}, {999, "999"}, {1000, "1,000"}, {10101, "10,101"}, {1234567, "1,234,567"}};
    for (size_t i = 0; i < 5; i++) {
        print_count(&b, counts[i].number);
        CHECK_STR(counts[i].text, shown(&b));
    }
    static const struct { double seconds; const char *text; } times[] = {
        {0.0004, "0.000 s"}, {0.02, "0.02 s"}, {9.5, "9.50 s"}, {12.34, "12.3 s"}, {192, "3 min 12 s"}, {-1, "0.000 s"}};
    for (size_t i = 0; i < 6; i++) {
        print_seconds(&b, times[i].seconds);
        CHECK_STR(times[i].text, shown(&b));
    }
    print_size(&b, 812);
    CHECK_STR("812 B", shown(&b));
    print_size(&b, 1420000);
    CHECK_STR("1.4 MB", shown(&b));
    print_iso(&b, 1700000000123456);
    CHECK_STR("2023-11-14T22:13:20.123Z", shown(&b));
    print_hash(&b, HASH_ABSENT);
    CHECK_STR("absent", shown(&b));
    print_short_hash(&b, hash_bytes("x", 1));
    CHECK_INT(12, strlen(shown(&b)));
    buf_text(&b, "\xc3\xa9");
    print_pad(&b, 0, 3);
    CHECK_STR("\xc3\xa9  ", shown(&b));
    buf_byte(&b, '{');
    print_json_hash(&b, "a", HASH_NONE);
    print_json_hash(&b, "b", HASH_ABSENT);
    CHECK_STR("{\"a\":null,\"b\":\"absent\"", shown(&b));
    buf_byte(&b, '{');
    print_json_time(&b, "at", 1000000);
    CHECK_STR("{\"at\":\"1970-01-01T00:00:01.000Z\",\"at_us\":1000000", shown(&b));
    buf_deinit(&b);
}

static void codes(void)
{
    CHECK_INT(0, print_exit_code(0));
    CHECK_INT(1, print_exit_code(WEIR_FAILED));
    CHECK_INT(2, print_exit_code(WEIR_USAGE));
    CHECK_INT(2, print_exit_code(WEIR_WORKFLOW));
    CHECK_INT(2, print_exit_code(WEIR_NOTFOUND));
    CHECK_INT(3, print_exit_code(WEIR_IO));
    CHECK_INT(3, print_exit_code(WEIR_CORRUPT));
    CHECK_INT(3, print_exit_code(WEIR_NEWER));
    CHECK_INT(4, print_exit_code(WEIR_LOCKED));
    CHECK_INT(70, print_exit_code(WEIR_BUG));
}

int main(void)
{
    controls();
    sequences();
    colors();
    pieces();
    codes();
    return check_done();
}
