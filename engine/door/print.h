/*
 * print.h - how the program speaks: errors and hints on stderr, data on stdout, colour where a terminal shows it.
 *
 * What comes from outside (names, captured output, contents) goes through print_safe: a file name cannot move the cursor. One
 * thread.
 */
#ifndef WEIR_DOOR_PRINT_H
#define WEIR_DOOR_PRINT_H

#include <stdio.h>

#include "engine/door/options.h"
#include "engine/store/event.h"

/** Exit codes; design.md section 9. */
enum { EXIT_DONE = 0, EXIT_NODE_FAILED = 1, EXIT_USAGE = 2, EXIT_INFRASTRUCTURE = 3, EXIT_LOCKED = 4, EXIT_STALE = 6, EXIT_BUG = 70,
       EXIT_SIGNAL = 128 };

typedef enum print_style { STYLE_PLAIN, STYLE_GOOD, STYLE_BAD, STYLE_WARN, STYLE_NOTE, STYLE_DIM, STYLE_BOLD } print_style;

/** Decide about colour, once: the flag, then NO_COLOR, TERM and whether it is a terminal. */
void print_setup(color_choice color);
bool print_has_color(FILE *to);
/** Append text in a style, if `color`. The text is taken as it is. */
void print_styled(buf *to, bool color, print_style style, const char *text);

/* What print_safe leaves as it is. */
enum { SAFE_LINES = 1 /* newlines and tabs */, SAFE_COLOR = 2 /* colours; reset at the end */ };
/**
 * Append text so that it cannot do anything but be read: control characters as ^X, C1 and bidirectional controls as <U+009B>, bytes
 * that are no UTF-8 as \xE9. Colours that are not kept are left out. "\r\n" is a newline.
 */
void print_safe(buf *to, bytes text, unsigned keep);
/** print_safe of a name: one line. */
void print_name(buf *to, bytes name);

/** "weir: <message>" on stderr. */
void print_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Say the error and a hint (NULL, "": the usual one of its code, if there is one); gives the exit code that belongs to it. */
int print_failure(const weir_error *err, const char *hint);
int print_exit_code(int code);
/** file:line:column, the source line with a caret, the hint; on stderr. */
void print_diagnostic(const weir_diagnostic *d);
/* So many are told one by one, without -v: a wrong line in a loop is wrong ten thousand times. */
enum { PRINT_DIAGNOSTICS = 20 };
/** "and 9,980 more", if there were more than PRINT_DIAGNOSTICS. */
void print_more_diagnostics(uint64_t count);

/** Write to stdout and clear; a failure is kept for print_end. */
void print_out(buf *data);
/** What was written goes out now; a failure is kept for print_end. */
void print_flush(void);
/** Nobody reads what is written any more, or it could not be written. */
bool print_has_failed(void);
/** Flush stdout; gives `code`, or EXIT_INFRASTRUCTURE with a message if something could not be written. */
int print_end(int code);
/** To stderr, and clear. */
void print_err(buf *data);

/* The status line (print_status.c): what print_err and print_out write comes above it. */
/** Is stderr a terminal whose cursor can be moved? */
bool print_is_terminal(void);
/** Is this job in the foreground of the terminal (or is it none)? */
bool print_is_foreground(int fd);
/** From now on this line stands at the bottom, cut to the width; NULL: none. Copied. */
void print_status(const buf *line);
/** Take it away for a while; put it back. */
void print_status_hide(void);
void print_status_show(void);
/** The terminal has another width. */
void print_status_resized(void);
/** For print_err. */
void print_above_status(buf *data);

/* Pieces. */
void print_count(buf *to, uint64_t number);             /* 10,101 */
void print_seconds(buf *to, double seconds);            /* 0.02 s; 3 min 12 s */
void print_size(buf *to, uint64_t size_bytes);          /* 812 B, 1.4 MB */
void print_time(buf *to, int64_t at_us);                /* local, for people */
void print_iso(buf *to, int64_t at_us);                 /* 2026-01-31T12:00:00.123Z */
void print_hash(buf *to, hash128 hash);                 /* 32 hex digits, "absent" or "none" */
void print_short_hash(buf *to, hash128 hash);           /* the first 12 */
void print_pad(buf *to, size_t start, size_t width);    /* blanks until `width` characters since `start` */
/** A JSON member: hex, "absent", or null. */
void print_json_hash(buf *to, const char *name, hash128 hash);
/** JSON members "<name>" as ISO text and "<name>_us" as a number. */
void print_json_time(buf *to, const char *name, int64_t at_us);
void print_json_seconds(buf *to, const char *name, double seconds);

#endif
