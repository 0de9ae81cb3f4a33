/*
 * toml_token.c - numbers and dates of TOML 1.0: one token, which the reader (value_toml.c) has cut out.
 *
 * Any thread.
 */
#include "engine/store/toml_token.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/value.h"

int toml_hex_digit(int c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool all_digits(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (text[i] < '0' || text[i] > '9') return false;
    return true;
}

static int two(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

/* Length of a date at the start, 0: none. */
static size_t date_size(const char *t)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (strlen(t) < 10 || !all_digits(t, 4) || t[4] != '-' || !all_digits(t + 5, 2) || t[7] != '-' || !all_digits(t + 8, 2)) return 0;
    int year = two(t) * 100 + two(t + 2), month = two(t + 5), day = two(t + 8);
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1]) return 0;
    return month == 2 && day == 29 && !is_leap ? 0 : 10;
}

static size_t time_size(const char *t)
{
    if (strlen(t) < 8 || !all_digits(t, 2) || t[2] != ':' || !all_digits(t + 3, 2) || t[5] != ':' || !all_digits(t + 6, 2)) return 0;
    if (two(t) > 23 || two(t + 3) > 59 || two(t + 6) > 60) return 0;
    size_t size = 8;
    if (t[8] != '.') return size;
    for (size++; t[size] >= '0' && t[size] <= '9';) size++;
    return size > 9 ? size : 0;
}

static bool is_offset(const char *t)
{
    if (strcmp(t, "Z") == 0 || strcmp(t, "z") == 0) return true;
    if ((t[0] != '+' && t[0] != '-') || strlen(t) != 6 || !all_digits(t + 1, 2) || t[3] != ':' || !all_digits(t + 4, 2)) return false;
    return two(t + 1) <= 23 && two(t + 4) <= 59;
}

bool toml_is_day(const char *t)
{
    return date_size(t) == 10;
}

bool toml_is_date(const char *t)
{
    size_t date = date_size(t);
    if (date == 0) {
        size_t time = time_size(t);
        return time > 0 && t[time] == '\0';
    }
    if (t[date] == '\0') return true;
    if (t[date] != 'T' && t[date] != 't' && t[date] != ' ') return false;
    size_t time = time_size(t + date + 1);
    return time > 0 && (t[date + 1 + time] == '\0' || is_offset(t + date + 1 + time));
}

/* Copies digits without their underscores; each must stand between two digits. */
static bool without_underscores(const char *from, int base, char *to)
{
    for (; *from; from++) {
        bool is_digit = base == 16 ? toml_hex_digit(*from) >= 0 : *from >= '0' && *from <= '9';
        if (*from != '_') *to++ = *from;
        if (*from != '_' && (is_digit || base == 10)) continue;
        if (*from != '_') return false;
        int before = toml_hex_digit(from[-1]), after = toml_hex_digit(from[1]);
        if (before < 0 || after < 0 || (base == 10 && (before > 9 || after > 9))) return false;
    }
    *to = '\0';
    return true;
}

static bool is_float(const char *t)
{
    size_t at = *t == '+' || *t == '-' ? 1 : 0, begin = at;
    while (t[at] >= '0' && t[at] <= '9') at++;
    if (at == begin || (t[begin] == '0' && at - begin > 1)) return false;
    if (t[at] == '.') {
        size_t dot = at++;
        while (t[at] >= '0' && t[at] <= '9') at++;
        if (at == dot + 1) return false;
    }
    if (t[at] == 'e' || t[at] == 'E') {
        at++;
        if (t[at] == '+' || t[at] == '-') at++;
        size_t digits = at;
        while (t[at] >= '0' && t[at] <= '9') at++;
        if (at == digits) return false;
    }
    return t[at] == '\0';
}

static bool put_integer(buf *to, const char *digits, int base)
{
    char *end;
    errno = 0;
    long long number = strtoll(digits, &end, base);
    if (errno != 0 || *end || end == digits) return false;
    value_put_int(to, number);
    return true;
}

/* Decimal numbers, with a sign. */
static bool put_decimal(buf *to, const char *token)
{
    char plain[TOML_TOKEN_MOST + 1];
    const char *unsign = *token == '+' || *token == '-' ? token + 1 : token;
    if (strcmp(unsign, "inf") == 0 || strcmp(unsign, "nan") == 0) {
        double number = strcmp(unsign, "inf") == 0 ? (double)INFINITY : (double)NAN;
        value_put_float(to, *token == '-' ? -number : number);
        return true;
    }
    if (*unsign == '_' || !without_underscores(token, 10, plain) || !is_float(plain)) return false;
    if (!strpbrk(plain, ".eE")) return put_integer(to, plain, 10);
    value_put_float(to, value_parse_float(plain));
    return true;
}

bool toml_put_number(buf *to, const char *token)
{
    char plain[TOML_TOKEN_MOST + 1];
    int base = token[0] != '0' ? 10 : token[1] == 'x' ? 16 : token[1] == 'o' ? 8 : token[1] == 'b' ? 2 : 10;
    if (base == 10) return put_decimal(to, token);
    if (token[2] == '_' || !without_underscores(token + 2, 16, plain) || *plain == '\0') return false;
    return put_integer(to, plain, base);
}
