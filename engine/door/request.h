/*
 * request.h - what the commands run, watch, accept, void have in common: words of the command
 * line as a request, and who tells what comes of it.
 *
 * One thread.
 */
#ifndef WEIR_DOOR_REQUEST_H
#define WEIR_DOOR_REQUEST_H

#include "engine/door/report.h"
#include "engine/door/session.h"

typedef struct request_words {
    mem_arena arena;
    const char **targets;
    size_t target_count;
    weir_assignment *values;
    size_t value_count;
} request_words;

/** Words into targets and values, in the arena (arena_init before). WEIR_USAGE. */
int words_sort(const options *o, request_words *r, weir_error *err);
/** Targets written in a folder below the project become paths below its root; others are looked up in what was recorded. */
void words_resolve(const options *o, request_words *r);
/** Borrows words and options. */
weir_request request_make(const options *o, const request_words *words, unsigned flags,
                          const char *trigger);

typedef struct reporting {
    present *present;
    lines *lines;
} reporting;

/** WEIR_NOMEM. Close also after a failure. */
int reporting_open(reporting *to, const options *o, weir_error *err);
void reporting_close(reporting *to);
/** weir_listener; ctx: reporting. */
void reporting_listen(void *ctx, const weir_event *event);
/** Failures of nodes were told as they happened; everything else is an error of the command. */
void reporting_error(const reporting *to, int rc, const weir_summary *summary, const session *s);
/** The exit code that belongs to what weir_run gave. */
int reporting_exit_code(int rc);

#endif
