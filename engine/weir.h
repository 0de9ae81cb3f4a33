/*
 * weir.h - the public C interface of the engine.
 *
 * This first part is what every floor shares: the error type and its codes. The engine's own
 * functions follow below.
 *
 * All strings are UTF-8 unless said otherwise; paths are bytes, relative to the project root.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#define WEIR_VERSION "0.1.0"

/** Every error code, its number, and a short text. Numbers never change. */
#define WEIR_ERRORS(X)                                                                             \
    X(WEIR_NOMEM, -1, "out of memory")                                                             \
    X(WEIR_IO, -2, "input or output failed")                                                       \
    X(WEIR_BUSY, -3, "the database is busy")                                                       \
    X(WEIR_LOCKED, -4, "another engine owns the project")                                          \
    X(WEIR_CORRUPT, -5, "stored data is damaged")                                                  \
    X(WEIR_USAGE, -6, "wrong use")                                                                 \
    X(WEIR_WORKFLOW, -7, "the workflow has errors")                                                \
    X(WEIR_NOTFOUND, -8, "not found")                                                              \
    X(WEIR_FAILED, -9, "a node failed")                                                            \
    X(WEIR_CANCELLED, -10, "cancelled")                                                            \
    X(WEIR_NEWER, -11, "the database was written by a newer weir")                                 \
    X(WEIR_LIMIT, -12, "a limit was reached")                                                      \
    X(WEIR_BUG, -13, "a bug in weir")

enum {
    WEIR_OK = 0,
#define X(name, number, text) name = number,
    WEIR_ERRORS(X)
#undef X
};

/** Caller-owned; never allocates; the last parameter of every function that can fail. */
typedef struct weir_error {
    int code;          /* 0 or a negative WEIR_ code */
    char message[480]; /* one line of UTF-8, no final stop; names the thing and the cause */
} weir_error;

#ifdef __cplusplus
}
#endif
#endif
