/*
 * commands.h - the commands of the program; each gives its exit code and has said everything.
 */
#ifndef WEIR_DOOR_COMMANDS_H
#define WEIR_DOOR_COMMANDS_H

#include "engine/door/options.h"

struct weir_effect;

extern const command COMMANDS[];
extern const size_t COMMAND_COUNT;

/** The built-in effects that commands hand to the engine; the program says so first. Kept. */
extern const struct weir_effect *const *command_effects;

int command_run(const options *o);
int command_watch(const options *o);
int command_accept(const options *o);
int command_void(const options *o);
int command_check(const options *o);
int command_set(const options *o);
int command_ls(const options *o);
int command_status(const options *o);
int status_check(const options *o); /* with --check */
int command_show(const options *o);
int command_why(const options *o);
int command_log(const options *o);
int command_get(const options *o);
int command_sql(const options *o);
int command_db(const options *o);
int command_help(const options *o);
int command_version(const options *o);

/** The whole program behind main: reads the command line and does what it says. */
int door_main(int argc, char **argv, const struct weir_effect *const *effects);
/** Help on stdout: about a command, or (NULL) all of them. */
void help_print(const command *c);

#endif
