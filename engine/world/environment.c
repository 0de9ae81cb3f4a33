/*
 * environment.c - the closed environment of a command.
 *
 * A result must not depend on what somebody's shell happens to export. So a command sees only what it needs to run at all
 * (where programs, the home and temporary files are, who runs it), a fixed locale, and what the workflow declares; what is declared is
 * in the key. LANG and the LC_ variables of the user are not passed on.
 *
 * Any thread as long as nobody changes the environment of this process.
 */
#include <stdlib.h>

#include "engine/world/process.h"

static const char *const passed_on[] = {"PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "SHELL"};
enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };

static bool is_declared(const char *name, const bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(names[i], bytes_str(name))) return true;
    return false;
}

/* Declared twice: the last one counts. */
static bool is_repeated(const bytes *names, size_t at, size_t count)
{
    for (size_t i = at + 1; i < count; i++)
        if (bytes_equal(names[i], names[at])) return true;
    return false;
}

const char *const *process_environment(mem_arena *arena, const bytes *names, const bytes *values,
                                       size_t count)
{
    size_t used = 0;
    const char **all = arena_alloc(arena, (PASSED_ON + 1 + count + 1) * sizeof *all);
    if (!all) return NULL;
    for (size_t i = 0; i < PASSED_ON; i++) {
        const char *value = getenv(passed_on[i]);
        if (value && !is_declared(passed_on[i], names, count))
            all[used++] = arena_printf(arena, "%s=%s", passed_on[i], value);
    }
    if (!is_declared("LC_ALL", names, count)) all[used++] = "LC_ALL=C.UTF-8";
    for (size_t i = 0; i < count; i++) {
        if (is_repeated(names, i, count)) continue;
        all[used++] =
            arena_printf(arena, "%.*s=%.*s", (int)names[i].size, (const char *)names[i].data,
                         (int)values[i].size, values[i].size ? (const char *)values[i].data : "");
    }
    all[used] = NULL;
    return arena->failed ? NULL : all;
}
