/*
 * error.h - filling in the one error type.
 *
 * The message is set where the fault is found and names what was touched, the operation and the cause;
 * higher floors put context in front. Any thread. `err` may be NULL everywhere.
 */
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include "engine/weir.h"

/**
 * Set code and message (printf format); returns `code`. The message becomes one line of UTF-8; one that is too long
 * loses its middle. Arguments may point into `err`.
 */
int error_set(weir_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Like error_set with WEIR_IO (WEIR_NOMEM for ENOMEM), and appends ": <strerror(errnum)>". */
int error_errno(weir_error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Put "<context>: " in front of the message; keeps and returns err's code (or `code` where err is NULL). */
int error_context(weir_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Shorthand for "out of memory while <doing>"; returns WEIR_NOMEM. */
int error_nomem(weir_error *err, const char *doing);

/** Clear to 0 and "". */
void error_clear(weir_error *err);

/** "WEIR_IO" and the like; never NULL. Static. */
const char *error_name(int code);

#endif
