/*
 * options.h - the command line as a struct: which command, its flags in any order, its words.
 *
 * Everything points into argv. Flags may stand before and after the command; "--" ends them. Pure but for the messages that
 * options_parse prints.
 */
#ifndef WEIR_DOOR_OPTIONS_H
#define WEIR_DOOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

typedef enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color_choice;

typedef struct options options;

/** One command: how it is called and what it does. */
typedef struct command {
    const char *name;
    const char *words;   /* "[TARGET...] [K=V...]" */
    int least, most;     /* how many words it takes; most -1: any number */
    const char *summary; /* one line */
    const char *text;    /* for its help */
    int (*run)(const options *o); /* gives the exit code */
} command;

struct options {
    const command *command; /* NULL: none was named */
    const char **words;     /* behind the command; owned by options, freed by options_deinit */
    size_t word_count;
    const char *folder, *file, *output;
    int jobs;               /* 0: number of processors */
    double load;            /* has_load: given */
    uint64_t mem_bytes;     /* 0: not given */
    int64_t count, run, from, limit; /* -1: not given */
    color_choice color;
    bool stop_first, dry, force, stats, json, csv, quiet, verbose, help, version, exit_code, check, events, follow, unset, has_load;
};

typedef enum flag_id {
    FLAG_FOLDER, FLAG_FILE, FLAG_COLOR, FLAG_QUIET, FLAG_VERBOSE, FLAG_HELP, FLAG_VERSION, FLAG_JOBS, FLAG_STOP_FIRST, FLAG_DRY,
    FLAG_FORCE, FLAG_STATS, FLAG_JSON, FLAG_EXIT_CODE, FLAG_CHECK, FLAG_RUN, FLAG_COUNT, FLAG_EVENTS, FLAG_FROM, FLAG_OUTPUT, FLAG_CSV,
    FLAG_LIMIT, FLAG_UNSET, FLAG_LOAD, FLAG_MEM, FLAG_FOLLOW
} flag_id;

typedef struct flag {
    flag_id id;
    char letter;           /* 0: none */
    const char *name;      /* without its dashes */
    const char *value;     /* what it takes, for help; NULL: nothing */
    const char *commands;  /* names with blanks around them; NULL: every command */
    const char *text;
} flag;

extern const flag FLAGS[];
extern const size_t FLAG_COUNT_OF_ALL;
/** Does `c` take the flag? NULL: no command was named; the flags of every command are taken. */
bool flag_is_of(const flag *f, const command *c);

/**
 * @param hint  out: a second line that helps, or ""; at least 200 bytes
 * @return 0, or WEIR_USAGE. Even then `o` can be asked for command and color.
 */
int options_parse(options *o, int argc, char **argv, const command *commands, size_t command_count, char hint[200], weir_error *err);
void options_deinit(options *o);

#endif
