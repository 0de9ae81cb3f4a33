/*
 * report.h - what a run tells, to a person (present.c) or to a program (lines.c).
 *
 * A report listens to the engine and has the last word with the summary. Engine's thread.
 */
#ifndef WEIR_DOOR_REPORT_H
#define WEIR_DOOR_REPORT_H

#include "engine/door/print.h"

typedef struct present present;
/** NULL: out of memory. */
present *present_new(const options *o);
/** It is a run of a watch: on a terminal a block of its own, with a head line and the nodes that ran. `who`: the head line's end, or "". */
void present_as_block(present *p, const char *who);
void present_free(present *p);
/** weir_listener. */
void present_event(void *ctx, const weir_event *event);
/** The last line. `rc` is what weir_run gave. */
void present_finish(present *p, const weir_summary *summary, int rc);

typedef struct lines lines;
lines *lines_new(const options *o);
void lines_free(lines *l);
void lines_event(void *ctx, const weir_event *event);
void lines_finish(lines *l, const weir_summary *summary, int rc);
/** {"event":"error",...}: it did not come to a run, or the run broke off. */
void lines_error(lines *l, const weir_error *err);

/** An event as an object without its closing bracket; false: there is nothing to say. */
bool lines_put_event(buf *to, const weir_event *event);
/** The members of "run_finished"; `dry`: also those of a dry run. */
void lines_put_summary(buf *to, const weir_summary *summary, int rc, bool dry, bool stats);

/** " (input-changed content/a.md)"; without `all` only the first one, and how many more. */
void present_reasons(buf *to, const weir_event *event, bool all);
/** The members "reason" and "because" of a JSON object, if there are reasons. */
void lines_put_reasons(buf *to, const weir_event *event);
/** The summary in words: "3 ran (input-changed 2, code-changed 1), 136 unchanged, 0.02 s". `reasons` may be "". */
void present_summary(buf *to, const weir_summary *summary, const char *reasons, bool dry);

#endif
