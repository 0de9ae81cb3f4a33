/*
 * set.c - weir set: named values that stay.
 */
#include "engine/door/commands.h"
#include "engine/door/print.h"
#include "engine/door/session.h"

static int unset(session *s, const char *name)
{
    if (strchr(name, '=')) return error_set(&s->err, WEIR_USAGE, "--unset takes names alone, not \"%s\"", name);
    return weir_set(s->engine, name, NULL, &s->err);
}

static int set(session *s, mem_arena *arena, const char *word)
{
    weir_assignment a;
    int rc = session_assignment(arena, word, &a, &s->err);
    return rc == 0 ? weir_set(s->engine, a.name, a.json, &s->err) : rc;
}

/* Wrong words are found before anything is set. */
static int check_words(const options *o, mem_arena *arena, weir_error *err)
{
    int rc = 0;
    weir_assignment a;
    for (size_t i = 0; rc == 0 && !o->unset && i < o->word_count; i++) rc = session_assignment(arena, o->words[i], &a, err);
    return rc;
}

int command_set(const options *o)
{
    session s = {0};
    mem_arena arena;
    arena_init(&arena);
    int rc = check_words(o, &arena, &s.err);
    if (rc != 0) snprintf(s.hint, sizeof s.hint, "weir set NAME=VALUE, or weir set --unset NAME");
    bool words_hold = rc == 0;
    if (words_hold) rc = session_open(&s, o, 0, NULL, NULL);
    for (size_t i = 0; rc == 0 && i < o->word_count; i++) rc = o->unset ? unset(&s, o->words[i]) : set(&s, &arena, o->words[i]);
    int code = rc == 0 ? EXIT_DONE : print_failure(&s.err, s.hint);
    if (words_hold) session_close(&s);
    arena_deinit(&arena);
    return code;
}
