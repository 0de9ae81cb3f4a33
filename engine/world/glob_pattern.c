/*
 * glob_pattern.c - the language of globs.
 *
 *     *       any characters of a name          [a-z] [!a-z]  one of them, none of them
 *     ?       one character (of UTF-8)          {a,b}         either; may hold slashes, and braces
 *     **      any folders, also none            \x            x itself
 *
 * A leading dot is matched by a dot of the pattern only; ** does not go into folders with one. Patterns are matched
 * by walking: a set of states per branch, so no folder is listed twice and nothing goes back exponentially (within a name, the
 * last * is the only place to return to).
 *
 * Any thread. Memory: the caller's arena.
 */
#include "engine/world/glob_pattern.h"

/* --- one name ---------------------------------------------------------------------------------------------------- */

/* One character; bytes that are not UTF-8 count one by one, apart from all characters. */
static uint32_t take_char(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    unsigned more = at[0] >= 0xf0 && at[0] < 0xf5 ? 3u
                    : at[0] >= 0xe0               ? 2u
                    : at[0] >= 0xc2               ? 1u
                                                  : 0u;
    if (at[0] < 0xc2 || at[0] >= 0xf5) more = 0;
    uint32_t value = more ? at[0] & (0x3fu >> more) : at[0];
    for (unsigned i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            more = 0;
            break;
        }
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (more == 0) value = at[0] < 0x80 ? at[0] : 0x110000u + at[0];
    *text += more + 1;
    return value;
}

static uint32_t take_class_char(const char **text)
{
    if (**text == '\\' && (*text)[1]) ++*text;
    return take_char(text);
}

/* `*text` behind the '['; leaves it behind the ']'. Only for classes that glob_parse has seen. */
static bool class_matches(const char **text, uint32_t value)
{
    bool is_inverted = **text == '!' || **text == '^';
    bool is_found = false;
    if (is_inverted) ++*text;
    for (bool is_first = true; is_first || **text != ']'; is_first = false) {
        uint32_t low = take_class_char(text);
        uint32_t high = low;
        if (**text == '-' && (*text)[1] != ']') {
            ++*text;
            high = take_class_char(text);
        }
        if (value >= low && value <= high) is_found = true;
    }
    ++*text;
    return is_found != is_inverted;
}

/* One element of the pattern that is not '*' against one character. */
static bool element_matches(const char **pattern, const char **name)
{
    if (**name == '\0') return false;
    uint32_t value = take_char(name);
    if (**pattern == '?') {
        ++*pattern;
        return true;
    }
    if (**pattern == '[') {
        ++*pattern;
        return class_matches(pattern, value);
    }
    return take_class_char(pattern) == value;
}

static bool name_matches(const char *pattern, const char *name)
{
    const char *star = NULL;
    const char *retry = NULL;
    if (*name == '.' && *pattern != '.' && !(*pattern == '\\' && pattern[1] == '.')) return false;
    while (*name || *pattern) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
            continue;
        }
        const char *next_name = name;
        if (*pattern && element_matches(&pattern, &next_name)) {
            name = next_name;
            continue;
        }
        if (!star || *retry == '\0') return false;
        (void)take_char(&retry);
        name = retry;
        pattern = star;
    }
    return true;
}

/* --- taking a pattern apart -------------------------------------------------------------------------------------- */

typedef struct parser {
    glob_pattern *to;
    const char *whole; /* for messages */
    mem_arena *arena;
    weir_error *err;
} parser;

static int bad(parser *p, const char *why)
{
    return error_set(p->err, WEIR_WORKFLOW, "glob \"%s\": %s", p->whole, why);
}

/* Behind one element: an escape, a class, or a character. NULL: a class without end. */
static const char *skip_element(const char *at)
{
    if (*at == '\\' && at[1]) return at + 2;
    if (*at != '[') return at + 1;
    at++;
    if (*at == '!' || *at == '^') at++;
    for (bool is_first = true; is_first || *at != ']'; is_first = false) {
        if (*at == '\0' || *at == '/') return NULL;
        if (*at == '\\' && at[1]) at++;
        at++;
    }
    return at + 1;
}

static bool is_special(const char *part)
{
    return strpbrk(part, "*?[") != NULL;
}

static int unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '\\' && from[1]) from++;
        *to++ = *from;
    }
    *to = '\0';
    return 0;
}

/* Are the stars of a part fine? Two in a row mean nothing within a name. */
static const char *check_part(const char *part)
{
    if (*part == '\0') return "has an empty component (a leading, trailing or double slash)";
    if (strcmp(part, ".") == 0) return "has the component \".\"; write it without";
    if (strcmp(part, "..") == 0) return "leaves the root by \"..\"";
    if (strcmp(part, "**") == 0) return NULL;
    for (const char *at = part; *at; at = skip_element(at)) {
        if (at[0] == '*' && at[1] == '*') return "** must be a component of its own, as in a/**/b";
    }
    return NULL;
}

static int set_part(parser *p, glob_part *part, char *text)
{
    const char *why = check_part(text);
    if (why) return bad(p, why);
    part->text = text;
    part->kind = strcmp(text, "**") == 0 ? GLOB_ANY_DEPTH
                 : is_special(text)      ? GLOB_WILD
                                         : GLOB_LITERAL;
    return part->kind == GLOB_LITERAL ? unescape(text) : 0;
}

/* A text without braces becomes a branch. `**` twice in a row is once. */
static int add_branch(parser *p, const char *text)
{
    glob_pattern *to = p->to;
    if (*text == '/') return bad(p, "is absolute; globs are below the root of the project");
    if (to->count == GLOB_BRANCHES) return bad(p, "has more than 256 alternatives");
    glob_branch *branch = &to->branches[to->count];
    branch->parts = arena_alloc(p->arena, GLOB_PARTS * sizeof *branch->parts);
    char *at = arena_strdup(p->arena, text);
    if (!branch->parts || !at) return error_nomem(p->err, "reading a glob");
    branch->count = 0;
    while (at) {
        char *slash = strchr(at, '/');
        if (slash) *slash = '\0';
        if (branch->count == GLOB_PARTS) return bad(p, "has more than 64 components");
        glob_part *part = &branch->parts[branch->count];
        int rc = set_part(p, part, at);
        if (rc != 0) return rc;
        bool is_repeat =
            part->kind == GLOB_ANY_DEPTH && branch->count > 0 && part[-1].kind == GLOB_ANY_DEPTH;
        if (!is_repeat) branch->count++;
        at = slash ? slash + 1 : NULL;
    }
    to->count++;
    return 0;
}

/* The brace group at `open`: its end, or NULL. Calls nothing; commas are found by the caller. */
static const char *group_end(const char *open)
{
    int depth = 0;
    for (const char *at = open; at && *at; at = skip_element(at)) {
        if (*at == '{') depth++;
        if (*at == '}' && --depth == 0) return at;
    }
    return NULL;
}

/* The end of the alternative that starts at `at`: a comma or the group's end. */
static const char *option_end(const char *at, const char *end)
{
    int depth = 0;
    for (; at < end; at = skip_element(at)) {
        if (*at == '{') depth++;
        if (*at == '}') depth--;
        if (*at == ',' && depth == 0) return at;
    }
    return end;
}

static int expand(parser *p, const char *text, int depth)
{
    const char *open = text;
    while (open && *open && *open != '{') {
        if (*open == '}') return bad(p, "has a } without {");
        open = skip_element(open);
    }
    if (!open) return bad(p, "has a [ without ]");
    if (*open == '\0') return add_branch(p, text);
    const char *end = group_end(open);
    if (!end) return bad(p, "has a { without }");
    if (depth == 16) return bad(p, "has too many braces");

    int rc = 0;
    for (const char *from = open + 1, *to; rc == 0 && from <= end; from = to + 1) {
        to = option_end(from, end);
        char *one = arena_printf(p->arena, "%.*s%.*s%s", (int)(open - text), text, (int)(to - from),
                                 from, end + 1);
        rc = one ? expand(p, one, depth + 1) : error_nomem(p->err, "reading a glob");
    }
    return rc;
}

int glob_parse(glob_pattern *to, const char *pattern, mem_arena *arena, weir_error *err)
{
    parser p = {to, pattern, arena, err};
    to->count = 0;
    to->branches = arena_alloc(arena, GLOB_BRANCHES * sizeof *to->branches);
    if (!to->branches) return error_nomem(err, "reading a glob");
    if (*pattern == '\0') return bad(&p, "is empty");
    if (strlen(pattern) > 4000) return bad(&p, "is too long");
    return expand(&p, pattern, 0);
}

size_t glob_fixed(const char *pattern)
{
    size_t size = strcspn(pattern, "*?[{\\");
    while (size > 0 && pattern[size - 1] != '/') size--;
    return size;
}

/* --- walking ----------------------------------------------------------------------------------------------------- */

/* ** may stand for no folder at all: what follows it is possible at once. */
static uint64_t closed(const glob_branch *b, uint64_t states)
{
    for (size_t i = 0; i + 1 < b->count; i++)
        if ((states >> i & 1) && b->parts[i].kind == GLOB_ANY_DEPTH)
            states |= UINT64_C(1) << (i + 1);
    return states;
}

void glob_start(const glob_pattern *p, uint64_t *states)
{
    for (size_t i = 0; i < p->count; i++) states[i] = closed(&p->branches[i], 1);
}

static bool part_matches(const glob_part *part, const char *name)
{
    if (name[0] == '\0') return false;
    if (part->kind == GLOB_ANY_DEPTH) return name[0] != '.';
    if (part->kind == GLOB_LITERAL) return strcmp(part->text, name) == 0;
    return name_matches(part->text, name);
}

glob_step glob_advance(const glob_pattern *p, const uint64_t *states, const char *name,
                       uint64_t *next, uint64_t *next_link)
{
    glob_step step = {false, false, false};
    for (size_t k = 0; k < p->count; k++) {
        const glob_branch *b = &p->branches[k];
        uint64_t any = 0;
        uint64_t link = 0;
        for (size_t i = 0; i < b->count && states[k] >> i; i++) {
            bool is_last = i + 1 == b->count;
            if (!(states[k] >> i & 1) || !part_matches(&b->parts[i], name)) continue;
            if (is_last) step.is_match = true;
            if (b->parts[i].kind == GLOB_ANY_DEPTH) any |= UINT64_C(1) << i;
            else if (!is_last) link |= UINT64_C(1) << (i + 1);
        }
        next_link[k] = closed(b, link);
        next[k] = closed(b, any | link);
        if (next[k]) step.is_on_way = true;
        if (next_link[k]) step.is_on_link = true;
    }
    return step;
}

bool glob_is_literal(const glob_pattern *p, const uint64_t *states)
{
    for (size_t k = 0; k < p->count; k++)
        for (size_t i = 0; i < p->branches[k].count; i++)
            if ((states[k] >> i & 1) && p->branches[k].parts[i].kind != GLOB_LITERAL) return false;
    return true;
}
