/*
 * door.c - from the command line to a command.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/door/commands.h"
#include "engine/door/print.h"

enum { FILES_LEAST = 32, ADDRESS_LEAST = 64 * 1024 * 1024 };

const struct weir_effect *const *command_effects;

/* A closed 0, 1 or 2 would be given to the next file that is opened, and the database is no place for messages. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) (void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

static int refuse(const options *o, const weir_error *err, const char *hint)
{
    print_setup(o->color);
    return print_failure(err, hint);
}

/* With less, libraries end the process without a word. */
static bool has_enough(void)
{
    if (os_files_limit() < FILES_LEAST)
        print_message("weir needs %d open files at least, and `ulimit -n` allows %d", FILES_LEAST, (int)os_files_limit());
    else if (os_address_limit() < ADDRESS_LEAST)
        print_message("weir needs %d KB of memory at least, and `ulimit -v` allows %d", ADDRESS_LEAST / 1024, (int)(os_address_limit() / 1024));
    else return true;
    return false;
}

static int dispatch(const options *o)
{
    if (!has_enough()) return EXIT_INFRASTRUCTURE;
    if (o->version) return command_version(o);
    if (o->help) {
        help_print(o->command);
        return print_end(EXIT_DONE);
    }
    if (o->command) return o->command->run(o);
    print_message("what shall be done?");
    print_hint("`weir run` brings everything up to date, `weir help` lists the commands");
    return EXIT_USAGE;
}

int door_main(int argc, char **argv, const struct weir_effect *const *effects)
{
    options o;
    weir_error err = {0};
    char hint[200];
    open_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write over the limit fails, and is told */
    os_files_raise();
    command_effects = effects;
    int rc = options_parse(&o, argc, argv, COMMANDS, COMMAND_COUNT, hint, &err);
    if (rc == 0) print_setup(o.color);
    int code = rc == 0 ? dispatch(&o) : refuse(&o, &err, hint);
    options_deinit(&o);
    return code;
}
