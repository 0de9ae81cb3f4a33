/*
 * watching.h - a watch as the rest of the engine sees it: questions that others ask of it, and
 * what a run tells it.
 *
 * A watch runs what is due whenever something that was relied on has changed. Whoever else wants
 * something of the engine meanwhile (the
 * control socket) asks here: first a barrier, behind which every edit made before the question
 * has been seen, then either a
 * look at what is recorded (watching_barrier, watching_is_suspicious) or a run (watching_ask).
 *
 * All of it on the loop thread: from a callback of w->loop, which turns while the watch waits
 * and while it runs. Callbacks come from there
 * too, never from inside the call that asked. They may call everything here, but nothing that
 * runs the loop.
 */
#ifndef WEIR_RUN_WATCHING_H
#define WEIR_RUN_WATCHING_H

#include "engine/run/suspects.h"
#include "engine/world/watch.h"

struct uv_loop_s;
struct weir;
struct weir_request;
struct weir_assignment;
struct weir_summary;

/** Is a watch under way (weir_watch has begun and not ended)? Without one nothing below may be called. */
bool watching_is_on(const struct weir *w);

/**
 * `seen` is called, once, when every change of a file that was made before this call has been
 * seen. Seen is not taken in: with
 * watching_is_suspicious it is known whether what is recorded speaks of the files as they were
 * at the question. Within
 * milliseconds; after WATCH_COOKIE_MS everything is suspicious. Also while a run is under way.
 * At the end of the watch: not called at all.
 */
int watching_barrier(struct weir *w, void (*seen)(void *ctx), void *ctx, weir_error *err);

/** Does nothing but a question start a run? */
bool watching_is_paused(const struct weir *w);
/** Is a run under way, or is there anything that may have changed and that no run has looked at yet? */
bool watching_is_suspicious(const struct weir *w);

/** One question for a run. Kept until it is answered or withdrawn: it is the asker's memory. */
typedef struct watching_question {
    const struct weir_request *request; /* NULL: that of the watch itself, as it does after an edit; else kept. Not a dry run */
    /** The run of this question begins: events that the listener hears from now on are of it. May be NULL. */
    void (*begun)(void *ctx);
    /** The run has ended; rc and err as of weir_run. The question is the asker's again. */
    void (*answered)(void *ctx, const struct weir_summary *summary, int rc, const weir_error *err);
    void *ctx;
} watching_question;

/**
 * Take in every edit made before this call, then do one run for `request`, and answer. Questions
 * are answered in their order, never while another
 * run is under way; the watcher hears of the run as of any other. A watch that ends answers all
 * that are open with WEIR_CANCELLED.
 */
int watching_ask(struct weir *w, watching_question *question, weir_error *err);
/** The asker is gone: neither callback is called any more. A run that has begun goes on. */
void watching_withdraw(struct weir *w, watching_question *question);

/**
 * As weir_interrupt, but for the run under way alone: the watch goes on after it. What it leaves due is begun by the next change or
 * question. Without a run: nothing.
 */
void watching_stop(struct weir *w);
/** These values count from now on for the runs that the watch does by itself; kept until the next call or the end of the watch. */
void watching_values(struct weir *w, const struct weir_assignment *values, size_t count);
/** Paused: a change starts no run until it goes on. Questions are answered all the same. */
void watching_pause(struct weir *w, bool paused);

/* These two at any time. */

/** The loop that turns while the watch waits or runs. Handles in it do not keep it alive, and are closed before weir_close. */
struct uv_loop_s *watching_loop(struct weir *w);
/** `recorded` is called, from the loop, when events up to `seq` can be read; the first time soon. NULL: nobody is. */
void watching_when_recorded(struct weir *w, void (*recorded)(void *ctx, uint64_t seq), void *ctx);
/** What was noted since the last call of this, also for the next run to look at; NULL: nothing. Borrowed until the next call. */
const suspects *watching_news(struct weir *w);

/** Globs or trees were looked at: there may be folders that are not watched yet. Harmless without a watch. */
void watching_moved_names(struct weir *w);
/** A folder that is an output was written: there may be other folders in it. */
void watching_moved_folder(struct weir *w);

/** A path has a signature that had none: it may be a link. NUL behind it. Harmless without a watch. */
void watching_new_path(struct weir *w, bytes path);

/** May the signatures be written later? Then they will be, by the end of the watch. */
bool watching_defers(struct weir *w);

/** Do the signatures stay in memory for the next run, after one that ended with `rc`? */
bool watching_keeps(const struct weir *w, int rc);

/** At the end of each run of a watch, while its signatures are in memory: what it relied on is watched from now on. */
void watching_cover(struct weir *w);

/** Something beside files (the end of a process, a value) asks for another run: it is looked at as if a path had changed. Without a watch: nothing. */
void watching_wake(struct weir *w);

/** Before the hosts of a run end: what loading the workflow looked at, also of a broken one. */
void watching_definition(struct weir *w);

#endif
