/*
 * command_internal.h - what the files of a command's execution share: command.c starts and ends it, command_prepare.c knows its words,
 * command_aside.c moves old outputs out of the way and back, command_judge.c looks at what it left behind.
 */
#ifndef WEIR_RUN_COMMAND_INTERNAL_H
#define WEIR_RUN_COMMAND_INTERNAL_H

#include "engine/run/engine.h"
#include "engine/world/manifest.h"

/** What a command wrote, when it is long, in .weir/tmp/<token>. */
#define COMMAND_OUTPUT_NAME "output"

/** Make .weir/tmp/<token>, once: only who puts something there has it. */
int command_make_folder(task *t, weir_error *err);
/** Rename the old outputs into .weir/tmp/<token>. */
int command_put_aside(task *t, weir_error *err);
/** Where an old output waits; in the task's arena. */
char *command_aside_path(task *t, const struct aside *a);
/** Where the output of a command is that is long; in the task's arena. */
char *command_output_path(task *t);
/** The file there goes into the store, as t->end.log; it is removed with the folder once that is committed. */
void command_keep_log(task *t);
/** The attempt failed: what it wrote goes, the old outputs come back, FINISHED is said. Frees the task. */
void command_failed(task *t, execution_result result, const char *message);
/** Outputs and reads are in t->end: FINISHED is said; asides go once that is committed. Frees the task. */
void command_succeeded(task *t);
/** It read what could not be made (t->unmade): as if it had not run. */
void command_unmade(task *t);
/** The command ended well: read its depfile, look at outputs and inputs, then succeed or fail. */
void command_judge(task *t);
/** It ended with an exit code: look at the inputs, then fail. */
void command_judge_failure(task *t);

#endif
