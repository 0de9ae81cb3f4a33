/*
 * print_status.c - the one line at the bottom of a terminal that is written over and over.
 *
 * It stands below everything else: whoever prints goes through print_err or print_out, which take it
 * away and put it back. Where stderr is no terminal, or one that cannot move its cursor, there is no
 * such line. Nor is there while another job of the shell is in the foreground.
 */
#include "engine/door/print.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 80, WIDTH_LEAST = 20 };

static buf wanted; /* the line as it was given */
static bool is_shown;
static size_t shown_width; /* columns of what stands there */

bool print_is_terminal(void)
{
    static int is = -1;
    const char *term = getenv("TERM");
    if (is < 0) is = isatty(STDERR_FILENO) == 1 && term && *term && strcmp(term, "dumb") != 0;
    return is == 1;
}

bool print_is_foreground(int fd)
{
    pid_t group = tcgetpgrp(fd);
    return group < 0 || group == getpgrp();
}

static size_t terminal_width(void)
{
    struct winsize size;
    bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_LEAST;
    return is_known ? size.ws_col : WIDTH;
}

/* Columns of the character that begins with this byte; those of wide scripts are counted as two. */
static size_t columns_of(uint8_t byte)
{
    if ((byte & 0xc0) == 0x80) return 0;
    return byte >= 0xe1 ? 2 : 1;
}

/* How many bytes fit into so many columns; *used: the columns. */
static size_t fitting(bytes text, size_t columns, size_t *used)
{
    *used = 0;
    for (size_t i = 0; i < text.size; i++) {
        size_t more = columns_of(text.data[i]);
        if (*used + more > columns) return i;
        *used += more;
    }
    return text.size;
}

static void put_line(buf *to)
{
    if (wanted.failed || wanted.size == 0 || !print_is_foreground(STDERR_FILENO)) return;
    buf_append(to, wanted.data, fitting(buf_bytes(&wanted), terminal_width() - 1, &shown_width));
    is_shown = true;
}

static void put_away(buf *to)
{
    if (is_shown) buf_text(to, "\r\x1b[K");
    is_shown = false;
}

static void write_all(buf *text)
{
    size_t at = 0;
    while (!text->failed && at < text->size) {
        ssize_t n = write(STDERR_FILENO, text->data + at, text->size - at);
        if (n <= 0) break;
        at += (size_t)n;
    }
    buf_deinit(text);
}

void print_status(const buf *line)
{
    buf out;
    if (!print_is_terminal()) return;
    if (is_shown && line && bytes_equal(buf_bytes(line), buf_bytes(&wanted))) return;
    buf_init(&out);
    put_away(&out);
    buf_clear(&wanted);
    if (line && !line->failed) buf_append(&wanted, line->data, line->size);
    put_line(&out);
    write_all(&out);
    if (!line) buf_deinit(&wanted);
}

void print_status_hide(void)
{
    buf out;
    if (!is_shown) return;
    buf_init(&out);
    put_away(&out);
    write_all(&out);
}

void print_status_show(void)
{
    buf out;
    if (is_shown || wanted.size == 0) return;
    buf_init(&out);
    put_line(&out);
    write_all(&out);
}

/* A terminal that became narrower has broken the line into several rows. */
void print_status_resized(void)
{
    buf out;
    if (!is_shown) return;
    buf_init(&out);
    size_t rows = shown_width > 0 ? (shown_width - 1) / terminal_width() : 0;
    if (rows > 0) buf_printf(&out, "\x1b[%zuA", rows);
    buf_text(&out, "\r\x1b[J");
    is_shown = false;
    put_line(&out);
    write_all(&out);
}

void print_above_status(buf *data)
{
    buf out;
    buf_init(&out);
    put_away(&out);
    buf_append(&out, data->data, data->size);
    put_line(&out);
    write_all(&out);
}
