/*
 * error.c - filling in the one error type.
 *
 * A message is built in a buffer on the stack and then fitted into the caller's 480 bytes: control characters become
 * spaces, bytes that are no UTF-8 become '?', and what is too long loses its middle, because the beginning names the
 * thing and the end the cause. Building it aside also lets a message quote the one it replaces.
 *
 * Any thread. Nothing allocates.
 */
#include "engine/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_SIZE = sizeof((weir_error){0}.message),
    LONG_SIZE = 9216, /* two paths of the largest size, and some words */
    TAIL_SIZE = 160   /* kept from the end of a message that is too long */
};

/* Bytes of the UTF-8 character at `at`, 0 if there is none. Overlong forms and surrogates are none. */
static size_t character_size(const unsigned char *at, size_t left)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    if (size <= 1 || size > left || at[0] > 0xf4) return size == 1 ? 1 : 0;
    uint32_t code = at[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
    return size;
}

/* Makes one line of UTF-8 of any bytes, in place and without changing the size. */
static void make_printable(char *text, size_t size)
{
    unsigned char *at = (unsigned char *)text;
    size_t step;
    for (size_t i = 0; i < size; i += step) {
        step = character_size(at + i, size - i);
        if (step == 0) {
            at[i] = '?';
            step = 1;
        } else if (at[i] < 0x20 || at[i] == 0x7f) {
            at[i] = ' ';
        }
    }
}

static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Copies `text` into the message; drops its middle at whole characters if it is too long. */
static void fit(char message[MESSAGE_SIZE], const char *text, size_t size)
{
    static const char gap[] = " ... ";
    if (size < MESSAGE_SIZE) {
        memcpy(message, text, size);
        message[size] = '\0';
        return;
    }
    size_t head = MESSAGE_SIZE - 1 - TAIL_SIZE - (sizeof gap - 1);
    while (head > 0 && is_inside_character(text[head])) head--;
    size_t tail = size - TAIL_SIZE;
    while (tail < size && is_inside_character(text[tail])) tail++;
    memcpy(message, text, head);
    memcpy(message + head, gap, sizeof gap - 1);
    memcpy(message + head + sizeof gap - 1, text + tail, size - tail);
    message[head + sizeof gap - 1 + size - tail] = '\0';
}

/* Formats, appends ": <cause>" if there is one, and stores both in `err`. */
static void fill(weir_error *err, int code, const char *cause, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void fill(weir_error *err, int code, const char *cause, const char *format, va_list args)
{
    char text[LONG_SIZE];
    int written = vsnprintf(text, sizeof text, format, args);
    size_t size = written < 0 ? 0 : (size_t)written;
    size_t room = sizeof text - (cause ? MESSAGE_SIZE + 2 : 1);
    if (size > room) size = room;
    if (cause) {
        size_t cause_size = strlen(cause);
        if (cause_size > MESSAGE_SIZE) cause_size = MESSAGE_SIZE;
        memcpy(text + size, ": ", 2);
        memcpy(text + size + 2, cause, cause_size);
        size += 2 + cause_size;
    }
    make_printable(text, size);
    fit(err->message, text, size);
    err->code = code;
}

int error_set(weir_error *err, int code, const char *format, ...)
{
    if (!err) return code;
    va_list args;
    va_start(args, format);
    fill(err, code, NULL, format, args);
    va_end(args);
    return code;
}

int error_errno(weir_error *err, int errnum, const char *format, ...)
{
    int code = errnum == ENOMEM ? WEIR_NOMEM : WEIR_IO;
    if (!err) return code;
    char buffer[128];
    const char *cause = strerror_r(errnum, buffer, sizeof buffer);
    if (errnum == EMFILE) cause = "Too many open files; `ulimit -n` says how many there may be";
    va_list args;
    va_start(args, format);
    fill(err, code, cause, format, args);
    va_end(args);
    return code;
}

int error_context(weir_error *err, int code, const char *format, ...)
{
    if (!err) return code;
    if (err->code != 0) code = err->code;
    va_list args;
    va_start(args, format);
    fill(err, code, err->message[0] ? err->message : NULL, format, args);
    va_end(args);
    return code;
}

int error_nomem(weir_error *err, const char *doing)
{
    return error_set(err, WEIR_NOMEM, "out of memory while %s", doing);
}

void error_clear(weir_error *err)
{
    if (!err) return;
    err->code = WEIR_OK;
    err->message[0] = '\0';
}

const char *error_name(int code)
{
    switch (code) {
    case WEIR_OK: return "WEIR_OK";
#define X(name, number, text)                                                                      \
    case name: return #name;
        WEIR_ERRORS(X)
#undef X
    default: return "WEIR_UNKNOWN";
    }
}

const char *weir_error_text(int code)
{
    switch (code) {
    case WEIR_OK: return "all is well";
#define X(name, number, text)                                                                      \
    case name: return text;
        WEIR_ERRORS(X)
#undef X
    default: return "unknown error";
    }
}
