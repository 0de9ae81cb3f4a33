/*
 * holder.c - see holder.h.
 */
#include "engine/door/holder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/os.h"
#include "engine/door/print.h"

enum { TEXT_MOST = 400, TRY_MS = 100 };

bool holder_is_stopped(int64_t process)
{
    char state = os_process_state(process);
    return state == 'T' || state == 't';
}

bool holder_is_inside(void)
{
    const char *token = getenv("WEIR_TOKEN");
    return token && *token;
}

/* What the holder of the lock wrote into it (engine.c); 0: it is no watch. */
static int64_t watch_that_holds(const project *p)
{
    buf path, text;
    long long process = 0;
    char end = '\0';
    buf_init(&path);
    buf_init(&text);
    buf_printf(&path, "%s/.weir/lock", p->root);
    int rc = os_read_file(AT_FDCWD, buf_cstr(&path), TEXT_MOST, &text, NULL);
    const char *who = rc == 0 ? buf_cstr(&text) : NULL;
    bool is = who && sscanf(who, "process %lld, a watch%c", &process, &end) == 2 && end == ',';
    buf_deinit(&text);
    buf_deinit(&path);
    return is ? (int64_t)process : 0;
}

bool holder_will_change(holder_wait *wait, session *s)
{
    if (session_signal_count() > 0) {
        error_set(&s->err, WEIR_CANCELLED, "interrupted");
        return false;
    }
    int64_t process = holder_is_inside() ? 0 : watch_that_holds(&s->project);
    if (process == 0) return false;
    if (holder_is_stopped(process)) {
        error_set(&s->err, WEIR_LOCKED,
                  "a watch (process %lld) has %s, and is stopped; continue it (fg, or kill -CONT "
                  "%lld), or end it",
                  (long long)process, s->project.root, (long long)process);
        return false;
    }
    if (!wait->is_told && !wait->quiet)
        print_message("a watch (process %lld) is about to begin or to end here; waiting for it, "
                      "^C gives up",
                      (long long)process);
    wait->is_told = true;
    s->lock_wait_ms = TRY_MS;
    return true;
}
