/* depfile.c - a scanner for words, and a switch at each colon. See depfile.h. */
#include "engine/model/depfile.h"

typedef struct scanner {
    const uint8_t *at, *end;
    buf word;
    bool line_ended; /* a line end was passed before this word */
    bool colon;      /* the word ended with the colon of a rule */
} scanner;

/* Steps over blanks and continued lines; false at the end. */
static bool skip_blanks(scanner *s)
{
    for (; s->at < s->end; s->at++) {
        uint8_t c = *s->at;
        if (c == '\\' && s->at + 1 < s->end && s->at[1] == '\n') s->at++;
        else if (c == '\\' && s->at + 2 < s->end && s->at[1] == '\r' && s->at[2] == '\n') s->at += 2;
        else if (c == '\n') s->line_ended = true;
        else if (c != ' ' && c != '\t' && c != '\r') return true;
    }
    return false;
}

static bool ends_word(const scanner *s)
{
    uint8_t c = *s->at;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return true;
    if (c != '\\' || s->at + 1 >= s->end) return false;
    return s->at[1] == '\n' || (s->at[1] == '\r' && s->at + 2 < s->end && s->at[2] == '\n');
}

static bool is_rule_colon(const scanner *s)
{
    if (*s->at != ':') return false;
    if (s->at + 1 >= s->end) return true;
    uint8_t next = s->at[1];
    return next == ' ' || next == '\t' || next == '\n' || next == '\r' || next == '\\';
}

static bool next_word(scanner *s)
{
    s->line_ended = s->colon = false;
    buf_clear(&s->word);
    if (!skip_blanks(s)) return false;
    while (s->at < s->end && !ends_word(s)) {
        if (is_rule_colon(s)) {
            s->at++;
            s->colon = true;
            break;
        }
        if (*s->at == '\\' && s->at + 1 < s->end && (s->at[1] == ' ' || s->at[1] == '#' || s->at[1] == '\\' || s->at[1] == ':')) s->at++;
        else if (*s->at == '$' && s->at + 1 < s->end && s->at[1] == '$') s->at++;
        buf_byte(&s->word, *s->at++);
    }
    return true;
}

typedef struct path_set {
    mem_arena *arena;
    bytes *paths;
    size_t count, capacity;
    map seen;
} path_set;

static bool add(path_set *set, bytes word)
{
    if (word.size == 0) return true;
    bool added = false;
    if (!map_put(&set->seen, word, &added)) return false;
    if (!added) return true;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 32;
        bytes *more = arena_alloc(set->arena, capacity * sizeof *more);
        if (!more) return false;
        if (set->count) memcpy(more, set->paths, set->count * sizeof *more);
        set->paths = more;
        set->capacity = capacity;
    }
    set->paths[set->count++] = arena_bytes(set->arena, word);
    return !set->arena->failed;
}

int depfile_parse(bytes text, mem_arena *arena, bytes **paths, size_t *count, weir_error *err)
{
    scanner s = {.at = text.data, .end = text.data ? text.data + text.size : NULL};
    path_set set = {.arena = arena};
    buf_init(&s.word);
    map_init(&set.seen);
    bool targets = true, any_colon = false, fine = true;
    size_t pending = 0;
    while (fine && next_word(&s)) {
        if (s.line_ended && !targets) targets = true; /* the next rule */
        if (targets) {
            pending++;
            if (s.colon) {
                targets = false;
                any_colon = true;
                pending = 0;
            }
        } else {
            fine = add(&set, buf_bytes(&s.word)) && !s.word.failed;
        }
    }
    buf_deinit(&s.word);
    map_deinit(&set.seen);
    *paths = set.paths;
    *count = set.count;
    if (!fine) return error_nomem(err, "reading a depfile");
    if (pending > 0 && !any_colon) return error_set(err, WEIR_WORKFLOW, "no rule in it: a colon is missing");
    return 0;
}
