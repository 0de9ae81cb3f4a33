/*
 * options.c - reads the command line.
 *
 * Two passes: the first finds the command, because some letters mean different things to different ones (run -n, log -n
 * COUNT); the second reads the flags that it takes.
 */
#include "engine/door/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/memory.h"
#include "engine/base/size.h"
#include "engine/model/near.h"

#define LOOKING " check run watch accept void ls status show why log get sql db version "

const flag FLAGS[] = {
    {FLAG_JOBS, 'j', "jobs", "N", " run watch ", "how many nodes at once (default: one per processor)"},
    {FLAG_LOAD, 'l', "load", "N", " run watch ", "start nothing beside others while the load average is N or more"},
    {FLAG_MEM, 0, "mem", "SIZE", " run watch ", "what nodes with `mem` may need together (default: most of what is free)"},
    {FLAG_STOP_FIRST, 'x', "stop-first", NULL, " run watch ", "start nothing more after the first failure"},
    {FLAG_DRY, 'n', "dry-run", NULL, " run ", "say what would run, and why; write nothing"},
    {FLAG_FORCE, 0, "force", NULL, " run watch ", "run the targets whatever is stored"},
    {FLAG_STATS, 0, "stats", NULL, " run watch ", "say where the work went"},
    {FLAG_EXIT_CODE, 0, "exit-code", NULL, " status ", "exit with 6 when something is not up to date"},
    {FLAG_CHECK, 0, "check", NULL, " status ", "look at the files: what would run now, and why; writes nothing"},
    {FLAG_RUN, 0, "run", "N", " why log ", "as of this run (default: the last one)"},
    {FLAG_COUNT, 'n', "count", "COUNT", " log ", "how many, newest first; 0: all"},
    {FLAG_EVENTS, 0, "events", NULL, " log ", "the log itself, event by event"},
    {FLAG_FOLLOW, 0, "follow", NULL, " log ", "the log itself, and what comes to it from now on; until ^C"},
    {FLAG_FROM, 0, "from", "SEQ", " log ", "events from this number on"},
    {FLAG_OUTPUT, 'o', "output", "FILE", " get ", "write to FILE instead of standard output"},
    {FLAG_CSV, 0, "csv", NULL, " sql ", "comma-separated values, with a head line"},
    {FLAG_LIMIT, 0, "limit", "N", " sql ", "at most so many rows; 0: all (default: 1000 in a table, else all)"},
    {FLAG_UNSET, 0, "unset", NULL, " set ", "forget the values named"},
    {FLAG_JSON, 0, "json", NULL, LOOKING, "print JSON: one document; run and watch: one object a line, as things happen"},
    {FLAG_FOLDER, 'C', "directory", "DIR", NULL, "work as if started in DIR"},
    {FLAG_FILE, 'f', "file", "FILE", NULL, "the definition file (default: weir.lua); each has a graph of its own"},
    {FLAG_COLOR, 0, "color", "WHEN", NULL, "auto, always or never"},
    {FLAG_QUIET, 'q', "quiet", NULL, NULL, "only what went wrong"},
    {FLAG_VERBOSE, 'v', "verbose", NULL, NULL, "say more"},
    {FLAG_HELP, 'h', "help", NULL, NULL, "this text"},
    {FLAG_VERSION, 'V', "version", NULL, NULL, "print the version"},
};
const size_t FLAG_COUNT_OF_ALL = sizeof FLAGS / sizeof *FLAGS;

bool flag_is_of(const flag *f, const command *c)
{
    if (!c || !f->commands) return true;
    char word[32];
    snprintf(word, sizeof word, " %s ", c->name);
    return strstr(f->commands, word) != NULL;
}

/* --- finding flags ----------------------------------------------------------------------------------------------- */

/* The flag that `c` takes; else one of another command, for the message. NULL: there is none of that name. */
static const flag *find_letter(char letter, const command *c)
{
    const flag *other = NULL;
    for (size_t i = 0; i < FLAG_COUNT_OF_ALL; i++) {
        if (FLAGS[i].letter != letter || letter == 0) continue;
        if (flag_is_of(&FLAGS[i], c)) return &FLAGS[i];
        if (!other) other = &FLAGS[i];
    }
    return other;
}

static const flag *find_name(const char *name, size_t size)
{
    for (size_t i = 0; i < FLAG_COUNT_OF_ALL; i++)
        if (strlen(FLAGS[i].name) == size && strncmp(FLAGS[i].name, name, size) == 0) return &FLAGS[i];
    return NULL;
}

static const flag *find_argument(const char *arg, const command *c)
{
    return arg[1] == '-' ? find_name(arg + 2, strcspn(arg + 2, "=")) : find_letter(arg[1], c);
}

static bool is_flag(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

/* Does the value of this flag stand in the next argument? */
static bool wants_next(const flag *f, const char *arg)
{
    if (!f || !f->value) return false;
    return arg[1] == '-' ? strchr(arg, '=') == NULL : arg[2] == '\0';
}

/* Position of the command in argv; argc when there is none. */
static int find_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) return argc;
        if (!is_flag(argv[i])) return i;
        if (wants_next(find_argument(argv[i], NULL), argv[i])) i++;
    }
    return argc;
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static int read_number(const flag *f, const char *text, int64_t most, int64_t *number, weir_error *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && value >= 0 && value <= most) {
        *number = value;
        return 0;
    }
    return error_set(err, WEIR_USAGE, "--%s takes a whole number, not \"%s\"", f->name, text);
}

static int read_color(options *o, const char *text, weir_error *err)
{
    static const char *const names[] = {"auto", "always", "never"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            o->color = (color_choice)i;
            return 0;
        }
    return error_set(err, WEIR_USAGE, "--color takes auto, always or never, not \"%s\"", text);
}

static int read_load(options *o, const char *text, weir_error *err)
{
    char *end = NULL;
    o->load = strtod(text, &end);
    o->has_load = true;
    if (end != text && *end == '\0' && o->load >= 0) return 0;
    return error_set(err, WEIR_USAGE, "--load takes a number, not \"%s\"", text);
}

static int set_flag(options *o, const flag *f, const char *value, weir_error *err)
{
    int64_t number = 0;
    int rc = 0;
    switch (f->id) {
    case FLAG_FOLDER: o->folder = value; return 0;
    case FLAG_FILE: o->file = value; return 0;
    case FLAG_OUTPUT: o->output = value; return 0;
    case FLAG_COLOR: return read_color(o, value, err);
    case FLAG_JOBS:
        rc = read_number(f, value, 10000, &number, err);
        o->jobs = (int)number;
        return rc;
    case FLAG_LOAD: return read_load(o, value, err);
    case FLAG_MEM:
        if (size_parse(value, &o->mem_bytes) && o->mem_bytes > 0) return 0;
        return error_set(err, WEIR_USAGE, "--mem takes a size such as 2G, not \"%s\"", value);
    case FLAG_RUN: return read_number(f, value, INT64_MAX, &o->run, err);
    case FLAG_COUNT: return read_number(f, value, INT64_MAX, &o->count, err);
    case FLAG_FROM: return read_number(f, value, INT64_MAX, &o->from, err);
    case FLAG_LIMIT: return read_number(f, value, INT64_MAX, &o->limit, err);
    case FLAG_QUIET: o->quiet = true; return 0;
    case FLAG_VERBOSE: o->verbose = true; return 0;
    case FLAG_HELP: o->help = true; return 0;
    case FLAG_VERSION: o->version = true; return 0;
    case FLAG_STOP_FIRST: o->stop_first = true; return 0;
    case FLAG_DRY: o->dry = true; return 0;
    case FLAG_FORCE: o->force = true; return 0;
    case FLAG_STATS: o->stats = true; return 0;
    case FLAG_JSON: o->json = true; return 0;
    case FLAG_CSV: o->csv = true; return 0;
    case FLAG_EXIT_CODE: o->exit_code = true; return 0;
    case FLAG_CHECK: o->check = true; return 0;
    case FLAG_EVENTS: o->events = true; return 0;
    case FLAG_FOLLOW: o->follow = true; return 0;
    case FLAG_UNSET: o->unset = true; return 0;
    }
    return 0;
}

/* --- one argument ------------------------------------------------------------------------------------------------ */

typedef struct reading {
    options *o;
    int argc, at;
    char **argv;
    char *hint;
    weir_error *err;
} reading;

static int refuse(reading *r, const flag *f, const char *shown)
{
    const command *c = r->o->command;
    const char *names[sizeof FLAGS / sizeof *FLAGS];
    size_t count = 0;
    if (c) snprintf(r->hint, 200, "`weir help %s` lists its flags", c->name);
    if (f) return error_set(r->err, WEIR_USAGE, "%s takes no flag %s", c->name, shown);
    for (size_t i = 0; i < FLAG_COUNT_OF_ALL; i++)
        if (flag_is_of(&FLAGS[i], c)) names[count++] = FLAGS[i].name;
    const char *near = strncmp(shown, "--", 2) == 0 ? near_name(shown + 2, names, count) : NULL;
    if (near) snprintf(r->hint, 200, "did you mean --%s?", near);
    return error_set(r->err, WEIR_USAGE, "there is no flag %s", shown);
}

static int take_value(reading *r, const flag *f, const char *attached, const char **value)
{
    if (attached) *value = attached;
    else if (r->at + 1 < r->argc) *value = r->argv[++r->at];
    else return error_set(r->err, WEIR_USAGE, "--%s needs a value: --%s=%s", f->name, f->name, f->value);
    return 0;
}

static int read_long(reading *r, const char *arg)
{
    const char *value = NULL;
    const char *equals = strchr(arg, '=');
    char shown[64];
    snprintf(shown, sizeof shown, "%.*s", (int)strcspn(arg, "="), arg);
    const flag *f = find_name(arg + 2, strcspn(arg + 2, "="));
    if (!f || !flag_is_of(f, r->o->command)) return refuse(r, f, shown);
    if (equals && !f->value) return error_set(r->err, WEIR_USAGE, "%s takes no value", shown);
    int rc = f->value ? take_value(r, f, equals ? equals + 1 : NULL, &value) : 0;
    return rc == 0 ? set_flag(r->o, f, value, r->err) : rc;
}

static int read_letters(reading *r, const char *arg)
{
    for (const char *at = arg + 1; *at; at++) {
        char shown[3] = {'-', *at, '\0'};
        const char *value = NULL;
        const flag *f = find_letter(*at, r->o->command);
        if (!f || !flag_is_of(f, r->o->command)) return refuse(r, f, shown);
        int rc = f->value ? take_value(r, f, at[1] ? at + 1 : NULL, &value) : 0;
        if (rc == 0) rc = set_flag(r->o, f, value, r->err);
        if (rc != 0 || f->value) return rc;
    }
    return 0;
}

static int read_flags(reading *r, int command_at)
{
    bool only_words = false;
    int rc = 0;
    for (r->at = 1; rc == 0 && r->at < r->argc; r->at++) {
        const char *arg = r->argv[r->at];
        if (r->at == command_at) continue;
        if (only_words || !is_flag(arg)) r->o->words[r->o->word_count++] = arg;
        else if (strcmp(arg, "--") == 0) only_words = true;
        else rc = arg[1] == '-' ? read_long(r, arg) : read_letters(r, arg);
    }
    return rc;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static int choose_command(reading *r, const char *name, const command *commands, size_t count)
{
    const char *names[64];
    for (size_t i = 0; i < count && i < 64; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            r->o->command = &commands[i];
            return 0;
        }
        names[i] = commands[i].name;
    }
    const char *near = near_name(name, names, count < 64 ? count : 64);
    if (near) snprintf(r->hint, 200, "did you mean `weir %s`?", near);
    else snprintf(r->hint, 200, "`weir help` lists the commands");
    return error_set(r->err, WEIR_USAGE, "there is no command \"%s\"", name);
}

static int check_words(reading *r)
{
    const command *c = r->o->command;
    if (!c || r->o->help) return 0;
    snprintf(r->hint, 200, "weir %s%s%s", c->name, *c->words ? " " : "", c->words);
    if (r->o->word_count < (size_t)c->least) return error_set(r->err, WEIR_USAGE, "%s needs more than that", c->name);
    if (c->most >= 0 && r->o->word_count > (size_t)c->most)
        return error_set(r->err, WEIR_USAGE, "%s cannot take \"%s\" as well", c->name, r->o->words[c->most]);
    r->hint[0] = '\0';
    return 0;
}

int options_parse(options *o, int argc, char **argv, const command *commands, size_t command_count, char hint[200], weir_error *err)
{
    *o = (options){.count = -1, .run = -1, .from = -1, .limit = -1};
    hint[0] = '\0';
    reading r = {o, argc, 0, argv, hint, err};
    int at = find_command(argc, argv);
    o->words = mem_zero((size_t)argc + 1, sizeof *o->words);
    if (!o->words) return error_nomem(err, "reading the command line");
    int rc = at < argc ? choose_command(&r, argv[at], commands, command_count) : 0;
    if (rc == 0) rc = read_flags(&r, at);
    return rc == 0 ? check_words(&r) : rc;
}

void options_deinit(options *o)
{
    mem_free((void *)o->words);
    o->words = NULL;
}
