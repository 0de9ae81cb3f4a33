/*
 * session.c - opens the engine for a command, and passes signals on to it.
 */
#include "engine/door/session.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "engine/base/error.h"
#include "engine/door/commands.h"
#include "engine/store/value.h"

enum { LOCK_WAIT_MS = 1000 };

static _Atomic(weir *) interrupted_engine;
static atomic_int interrupted_by, interrupt_count;

static void on_signal(int number)
{
    atomic_store(&interrupted_by, number);
    atomic_fetch_add(&interrupt_count, 1);
    weir *engine = atomic_load(&interrupted_engine);
    if (engine) weir_interrupt(engine);
}

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

void session_signals(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(set, numbers[i]);
}

static struct sigaction former[sizeof numbers / sizeof *numbers];
static bool is_catching;

void session_release_signals(void)
{
    if (!is_catching) return;
    is_catching = false;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &former[i], NULL);
    if (session_signal()) raise(session_signal()); /* it came meanwhile */
}

void session_catch_signals(void)
{
    if (is_catching) return;
    is_catching = true;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (sigaction(numbers[i], NULL, &former[i]) == 0 && former[i].sa_handler == SIG_IGN) continue; /* nohup */
        sigaction(numbers[i], &action, NULL);
    }
}

int session_signal(void)
{
    return atomic_load(&interrupted_by);
}

int session_signal_count(void)
{
    return atomic_load(&interrupt_count);
}

int session_find(session *s, const options *o)
{
    *s = (session){0};
    int rc = project_find(&s->project, o, &s->err);
    if (rc != 0) {
        if (!s->project.workflow) snprintf(s->hint, sizeof s->hint, "%s", PROJECT_HINT);
        return rc;
    }
    if (!s->project.has_workflow) {
        snprintf(s->hint, sizeof s->hint, "%s", PROJECT_HINT);
        return error_set(&s->err, WEIR_NOTFOUND, "there is no %s in %s", s->project.workflow, s->project.root);
    }
    return 0;
}

int session_start(session *s, unsigned flags, weir_listener listener, void *listener_ctx)
{
    weir_options opening = {.size = sizeof opening,
                            .root = s->project.root,
                            .workflow = s->project.workflow,
                            .host_program = "/proc/self/exe",
                            .effects = command_effects,
                            .listener = listener,
                            .listener_ctx = listener_ctx,
                            .lock_wait_ms = s->lock_wait_ms ? s->lock_wait_ms : LOCK_WAIT_MS,
                            .flags = flags};
    error_clear(&s->err);
    session_catch_signals();
    int rc = weir_open(&s->engine, &opening, &s->err);
    if (rc != 0) s->engine = NULL;
    atomic_store(&interrupted_engine, s->engine);
    if (rc == 0 && session_signal()) weir_interrupt(s->engine);
    return rc;
}

int session_open(session *s, const options *o, unsigned flags, weir_listener listener, void *listener_ctx)
{
    int rc = session_find(s, o);
    return rc == 0 ? session_start(s, flags, listener, listener_ctx) : rc;
}

void session_close(session *s)
{
    atomic_store(&interrupted_engine, NULL);
    weir_close(s->engine);
    s->engine = NULL;
    project_deinit(&s->project);
}

/* --- NAME=VALUE -------------------------------------------------------------------------------------------------- */

bool session_is_assignment(const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t size = strspn(word, letters);
    return size > 0 && word[size] == '=';
}

static bool is_json(const char *text)
{
    buf encoded;
    buf_init(&encoded);
    bool is = value_from_json(bytes_str(text), &encoded, NULL) == 0;
    buf_deinit(&encoded);
    return is;
}

int session_assignment(mem_arena *arena, const char *word, weir_assignment *out, weir_error *err)
{
    if (!session_is_assignment(word)) return error_set(err, WEIR_USAGE, "\"%s\" is not NAME=VALUE", word);
    size_t size = strcspn(word, "=");
    const char *text = word + size + 1;
    buf json;
    buf_init(&json);
    if (is_json(text)) buf_text(&json, text);
    else value_json_string(&json, bytes_str(text));
    bytes copy = arena_bytes(arena, buf_bytes(&json));
    out->name = arena_printf(arena, "%.*s", (int)size, word);
    out->json = (const char *)copy.data;
    bool failed = json.failed;
    buf_deinit(&json);
    return failed || !out->name || !out->json ? error_nomem(err, "reading the command line") : 0;
}
