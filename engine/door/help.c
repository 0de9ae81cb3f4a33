/*
 * help.c - the table of commands, and what is said about them.
 */
#include "engine/door/commands.h"
#include "engine/door/print.h"
#include "engine/model/near.h"
#include "engine/store/jsonout.h"

const command COMMANDS[] = {
    {"run", "[TARGET...] [NAME=VALUE...]", 0, -1, "bring everything up to date, or what the targets need",
     "A TARGET is the name of a node, a name with *, an output path or a folder. NAME=VALUE gives a named value for this run alone: JSON,\n"
     "or else a text. A second weir waits a second for the first one; a watch that works on the project does the run itself, after it has seen every\n"
     "edit made before, and goes on with these values and this environment. A first ^C lets what runs come to its end, a second one ends it.\n"
     "A node that failed fails again without being run until its code, params, command or something that it read changes; --force NODE and\n"
     "`weir void NODE` try again. Signals, time limits, a lack of memory or disk, a ulimit, exit codes from 124 on, a depfile= or retries=: every run tries again.\n"
     "Exit codes: 0 done, 1 a node failed, 2 wrong use or a broken workflow (nothing ran), 3 database or disk, 4 locked, 128+n signal n.",
     command_run},
    {"watch", "[TARGET...] [NAME=VALUE...]", 0, -1, "run, then run again whenever an input changes",
     "Stays until ^C. What is watched: the workflow, every file that was looked at, the folders of its globs, and the outputs. A touch, or a\n"
     "change that was taken back, runs nothing. A failed node or a broken workflow waits for the next change. Other commands work meanwhile: run,\n"
     "set, accept and void are done by the watch, and who looks is shown what it knows after the last edit. They ask at .weir/socket,\n"
     "and wait for a watch that is still beginning, or at its end.\n"
     "On a terminal each run is a block, below it stands a status line, and keys are read: r runs what is due, a all, f what failed; p pauses, w says\n"
     "why the last node ran, l shows the last runs, q quits, h helps. An edited workflow tells what became of the graph (+2 -1 ~3 nodes: new, gone,\n"
     "altered); a broken one shows its error, and the graph stays as it was until it is mended.\n"
     "With --json: the events of all runs, one object a line.",
     command_watch},
    {"check", "", 0, 0, "load the workflow and check it; runs nothing", "All static errors are told, each with its place.", command_check},
    {"ls", "[PATTERN]", 0, 1, "list the nodes, with effect and status",
     "PATTERN is a name with *, the name of a node with or without its params, or the name of an effect.", command_ls},
    {"status", "", 0, 0, "what is up to date, as it was recorded",
     "Looks at no file: what has changed since the last run is not known here. Processes that run are listed, also those of a daemon or\n"
     "service that outlived its engine. With --check it is: then files are looked at, and nodes are listed as due (they will run), maybe\n"
     "(users of what will run), restore, failed (nothing has changed since) and blocked.", command_status},
    {"show", "NODE", 1, 1, "one node: declaration, inputs, outputs, last execution, users", "NODE is a name or an output path.", command_show},
    {"why", "NODE", 1, 1, "why a node ran, or did not, in the last run or in run N",
     "Answers from what was stored when it was decided. NODE is a name or an output path.", command_why},
    {"log", "[NODE]", 0, 1, "the runs; or the executions of a node, with their output",
     "With --run N: what happened in that run. With --events: the log itself. With --follow: the last 10 events (-n COUNT, --from SEQ), then\n"
     "each as it is recorded, one a line; from a watch at once, else from the database.", command_log},
    {"get", "NAME|HASH", 1, 1, "the content of an output, the value of a node, or stored bytes by hash",
     "NAME is an output path (its last content, also when the file is gone) or a node (its value, as JSON). HASH may be cut off\n"
     "after four digits or more if nothing else begins like it.", command_get},
    {"sql", "[QUERY]", 0, 1, "ask the database; without QUERY: from standard input",
     "Read-only, 10 seconds at most. The views weir_runs, weir_nodes, weir_edges, weir_inputs, weir_outputs, weir_events, weir_executions\n"
     "and weir_reasons stay as they are from release to release; tables do not.", command_sql},
    {"set", "NAME=VALUE...", 1, -1, "give named values that stay",
     "VALUE is JSON, or else a text. With --unset NAME...: forget them. `weir run NAME=VALUE` is for one run. A NAME that nothing uses is\n"
     "set all the same, with a message.", command_set},
    {"db", "check|rebuild", 1, 1, "is everything stored as it was written; make the state anew",
     "check: the log against its chain of hashes, the state against the log, the pages of the database, every blob. Exit code 3 on damage.\n"
     "rebuild: drop the derived tables and fold them from the log; a log that lost its end counts as it is from then on.", command_db},
    {"accept", "NODE...", 1, -1, "take what is there now as the result of nodes; runs nothing",
     "The outputs as they are on disk (a folder with all that is in it), the declaration, the code and the inputs as they are now are recorded as the result: the next run\n"
     "has nothing to do for these nodes. An operation (job = \"ops\") that failed or was interrupted is done with it. Users of an output that\n"
     "differs from what was recorded are due. A value stays what it was. NODE is a name, a name with *, an output path or a folder. Exit code 2: an unknown NODE, an output that is not there.",
     command_accept},
    {"void", "NODE...", 1, -1, "do not use the results of nodes any more; the next run makes them anew",
     "Every stored result of the present key of NODE is given up, for all states of its inputs; the outputs stay where they are until then.\n"
     "NODE is a name, a name with *, an output path or a folder. Nothing is looked at and nothing runs. Exit code 2: an unknown NODE.",
     command_void},
    {"help", "[COMMAND]", 0, 1, "this list, or how a command is used", "", command_help},
    {"version", "", 0, 0, "print the version", "", command_version},
};
const size_t COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS;

static void put_flag(buf *to, const flag *f)
{
    size_t start = to->size;
    if (f->letter) buf_printf(to, "  -%c, --%s", f->letter, f->name);
    else buf_printf(to, "      --%s", f->name);
    if (f->value) buf_printf(to, "=%s", f->value);
    print_pad(to, start, 26);
    buf_printf(to, "%s\n", f->text);
}

static void put_command(buf *to, const command *c)
{
    buf_printf(to, "Usage: weir %s [FLAGS]%s%s\n\n%s\n", c->name, *c->words ? " " : "", c->words, c->summary);
    if (*c->text) buf_printf(to, "\n%s\n", c->text);
    buf_text(to, "\nFlags, in any order:\n");
    for (size_t i = 0; i < FLAG_COUNT_OF_ALL; i++)
        if (flag_is_of(&FLAGS[i], c)) put_flag(to, &FLAGS[i]);
}

static void put_all(buf *to)
{
    buf_text(to, "weir keeps derived things up to date with the least work, and can say why it did what it did.\n\n"
                 "Usage: weir COMMAND [FLAGS] ...\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t start = to->size;
        buf_printf(to, "  %s %s", COMMANDS[i].name, COMMANDS[i].words);
        print_pad(to, start, 38);
        buf_printf(to, "%s\n", COMMANDS[i].summary);
    }
    buf_text(to, "\nFlags of every command:\n");
    for (size_t i = 0; i < FLAG_COUNT_OF_ALL; i++)
        if (!FLAGS[i].commands) put_flag(to, &FLAGS[i]);
    buf_text(to, "\nA project is the nearest folder upwards with a weir.lua. `weir help COMMAND` says more.\n");
}

void help_print(const command *c)
{
    buf text;
    buf_init(&text);
    if (c) put_command(&text, c);
    else put_all(&text);
    print_out(&text);
    buf_deinit(&text);
}

int command_help(const options *o)
{
    const char *names[sizeof COMMANDS / sizeof *COMMANDS];
    if (o->word_count == 0) {
        help_print(NULL);
        return print_end(EXIT_DONE);
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = COMMANDS[i].name;
        if (strcmp(names[i], o->words[0]) != 0) continue;
        help_print(&COMMANDS[i]);
        return print_end(EXIT_DONE);
    }
    const char *near = near_name(o->words[0], names, COMMAND_COUNT);
    print_message("there is no command \"%s\"", o->words[0]);
    if (near) print_hint("did you mean `weir help %s`?", near);
    else print_hint("`weir help` lists the commands");
    return EXIT_USAGE;
}

int command_version(const options *o)
{
    buf text;
    buf_init(&text);
    if (o->json) buf_text(&text, "{\"version\":\"" WEIR_VERSION "\"}\n");
    else buf_text(&text, "weir " WEIR_VERSION "\n");
    print_out(&text);
    buf_deinit(&text);
    return print_end(EXIT_DONE);
}
