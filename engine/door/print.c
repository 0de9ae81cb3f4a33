/*
 * print.c - messages, errors, styles, and the small forms in which numbers, times and hashes are shown.
 */
#include "engine/door/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/store/jsonout.h"

static bool color_out, color_err;
static int out_errno; /* the first failure to write stdout */

/* --- styles ------------------------------------------------------------------------------------------------------ */

static bool wants_color(FILE *to, color_choice choice)
{
    if (choice != COLOR_AUTO) return choice == COLOR_ALWAYS;
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if ((no_color && *no_color) || !term || strcmp(term, "dumb") == 0) return false;
    return isatty(fileno(to)) == 1;
}

void print_setup(color_choice color)
{
    color_out = wants_color(stdout, color);
    color_err = wants_color(stderr, color);
}

bool print_has_color(FILE *to)
{
    return to == stdout ? color_out : color_err;
}

void print_styled(buf *to, bool color, print_style style, const char *text)
{
    static const char *const codes[] = {"0", "32", "1;31", "33", "36", "2", "1"};
    if (color && style != STYLE_PLAIN) buf_printf(to, "\x1b[%sm%s\x1b[0m", codes[style], text);
    else buf_text(to, text);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

void print_out(buf *data)
{
    if (data->failed && out_errno == 0) out_errno = ENOMEM;
    if (data->size) print_status_hide();
    if (!data->failed && data->size && out_errno == 0 && fwrite(data->data, 1, data->size, stdout) != data->size) out_errno = errno;
    buf_clear(data);
}

void print_err(buf *data)
{
    if (!data->failed && data->size && print_is_terminal()) print_above_status(data);
    else if (!data->failed && data->size) (void)fwrite(data->data, 1, data->size, stderr);
    (void)fflush(stderr);
    buf_clear(data);
}

void print_flush(void)
{
    if (fflush(stdout) != 0 && out_errno == 0) out_errno = errno;
    print_status_show();
}

bool print_has_failed(void)
{
    return out_errno != 0;
}

int print_end(int code)
{
    print_flush();
    if (out_errno == 0) return code;
    if (out_errno == EPIPE) return code ? code : EXIT_SIGNAL + 13; /* the reader had enough */
    print_message("standard output: %s", strerror(out_errno));
    return code ? code : EXIT_INFRASTRUCTURE;
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static void say(const char *label, print_style style, const char *text)
{
    buf line;
    buf_init(&line);
    print_styled(&line, color_err, style, label);
    print_safe(&line, bytes_str(text), 0);
    buf_byte(&line, '\n');
    print_err(&line);
    buf_deinit(&line);
}

void print_message(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("weir: ", STYLE_PLAIN, text);
}

void print_hint(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("hint: ", STYLE_NOTE, text);
}

int print_exit_code(int code)
{
    switch (code) {
    case 0: return EXIT_DONE;
    case WEIR_FAILED: return EXIT_NODE_FAILED;
    case WEIR_USAGE: case WEIR_WORKFLOW: case WEIR_NOTFOUND: return EXIT_USAGE;
    case WEIR_LOCKED: return EXIT_LOCKED;
    case WEIR_BUG: return EXIT_BUG;
    default: return EXIT_INFRASTRUCTURE;
    }
}

static const char *usual_hint(int code)
{
    switch (code) {
    case WEIR_BUG: return "this is a bug in weir; nothing of yours is lost";
    case WEIR_CORRUPT: return "`weir db check` says what is damaged; `weir db rebuild` makes the state anew from the log";
    case WEIR_NEWER: return "use the weir that wrote it, or a newer one";
    default: return NULL;
    }
}

int print_failure(const weir_error *err, const char *hint)
{
    say("weir: ", STYLE_BAD, err->message[0] ? err->message : weir_error_text(err->code));
    if (!hint || !*hint) hint = usual_hint(err->code);
    if (hint) print_hint("%s", hint);
    return print_exit_code(err->code);
}

/* --- diagnostics ------------------------------------------------------------------------------------------------- */

static void put_place(buf *to, const weir_diagnostic *d)
{
    buf place;
    buf_init(&place);
    print_name(&place, bytes_str(d->file));
    if (d->line > 0) buf_printf(&place, ":%d", d->line);
    if (d->line > 0 && d->column > 0) buf_printf(&place, ":%d", d->column);
    buf_text(&place, ": ");
    const char *text = buf_cstr(&place);
    print_styled(to, color_err, STYLE_BOLD, text ? text : "");
    buf_deinit(&place);
}

/* The source line, and below it a caret in the right column: a tab stays a tab. */
static void put_source(buf *to, const weir_diagnostic *d)
{
    size_t size = strlen(d->source);
    buf_text(to, "    ");
    print_safe(to, bytes_of(d->source, size), SAFE_LINES);
    buf_byte(to, '\n');
    if (d->column <= 0 || (size_t)d->column > size + 1) return;
    buf_text(to, "    ");
    for (int i = 0; i < d->column - 1; i++) {
        unsigned char c = (unsigned char)d->source[i];
        if (c == '\t') buf_byte(to, '\t');
        else if ((c & 0xc0) != 0x80) buf_byte(to, ' ');
    }
    print_styled(to, color_err, STYLE_GOOD, "^");
    buf_byte(to, '\n');
}

void print_diagnostic(const weir_diagnostic *d)
{
    buf text;
    buf_init(&text);
    if (d->file) put_place(&text, d);
    else buf_text(&text, "weir: ");
    print_safe(&text, bytes_str(d->message ? d->message : ""), SAFE_LINES);
    buf_byte(&text, '\n');
    if (d->source && *d->source) put_source(&text, d);
    print_err(&text);
    if (d->hint && *d->hint) print_hint("%s", d->hint);
    buf_deinit(&text);
}

void print_more_diagnostics(uint64_t count)
{
    buf text;
    if (count <= PRINT_DIAGNOSTICS) return;
    buf_init(&text);
    buf_text(&text, "and ");
    print_count(&text, count - PRINT_DIAGNOSTICS);
    buf_text(&text, " more (-v tells all)\n");
    print_err(&text);
    buf_deinit(&text);
}

/* --- pieces ------------------------------------------------------------------------------------------------------ */

void print_count(buf *to, uint64_t number)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) buf_byte(to, ',');
        buf_byte(to, (uint8_t)digits[i]);
    }
}

void print_seconds(buf *to, double seconds)
{
    if (seconds < 0) seconds = 0;
    if (seconds >= 90) buf_printf(to, "%d min %d s", (int)(seconds / 60), (int)seconds % 60);
    else buf_printf(to, seconds < 0.005 ? "%.3f s" : seconds < 10 ? "%.2f s" : "%.1f s", seconds);
}

void print_size(buf *to, uint64_t size_bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double size = (double)size_bytes;
    int unit = -1;
    while (size >= 1000 && unit < 3) {
        size /= 1000;
        unit++;
    }
    if (unit < 0) buf_printf(to, "%d B", (int)size_bytes);
    else buf_printf(to, "%.1f %s", size, units[unit]);
}

void print_time(buf *to, int64_t at_us)
{
    time_t at = (time_t)(at_us / 1000000);
    struct tm parts;
    char text[64];
    if (!localtime_r(&at, &parts)) return;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    buf_text(to, text);
}

void print_iso(buf *to, int64_t at_us)
{
    time_t at = (time_t)(at_us / 1000000);
    struct tm parts;
    char text[64];
    if (!gmtime_r(&at, &parts)) return;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buf_printf(to, "%s.%03dZ", text, (int)(at_us / 1000 % 1000));
}

void print_hash(buf *to, hash128 hash)
{
    char hex[HASH_HEX];
    if (hash_is_none(hash)) buf_text(to, "none");
    else if (hash_equal(hash, HASH_ABSENT)) buf_text(to, "absent");
    else if (hash_equal(hash, HASH_UNREADABLE)) buf_text(to, "unreadable");
    else buf_text(to, hash_hex(hash, hex));
}

void print_short_hash(buf *to, hash128 hash)
{
    size_t start = to->size;
    print_hash(to, hash);
    if (!to->failed && to->size > start + 12) to->size = start + 12;
}

void print_pad(buf *to, size_t start, size_t width)
{
    if (to->failed) return;
    size_t used = 0;
    for (size_t i = start; i < to->size; i++)
        if ((to->data[i] & 0xc0) != 0x80) used++;
    for (; used < width; used++) buf_byte(to, ' ');
}

void print_json_hash(buf *to, const char *name, hash128 hash)
{
    jsonout_key(to, name);
    if (hash_equal(hash, HASH_ABSENT)) jsonout_string(to, "absent");
    else if (hash_equal(hash, HASH_UNREADABLE)) jsonout_string(to, "unreadable");
    else jsonout_hash(to, hash);
}

void print_json_time(buf *to, const char *name, int64_t at_us)
{
    jsonout_key(to, name);
    buf_byte(to, '"');
    print_iso(to, at_us);
    buf_printf(to, "\",\"%s_us\":%lld", name, (long long)at_us);
}

void print_json_seconds(buf *to, const char *name, double seconds)
{
    jsonout_key(to, name);
    buf_printf(to, "%.6f", seconds);
}
