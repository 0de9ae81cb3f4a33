/* test_options.c - flags in any order, their values, what belongs to which command, and what is said when it is wrong. */
#include "engine/door/commands.h"
#include "engine/door/session.h"
#include "tests/check.h"

static weir_error err;
static char hint[200];
static options o;

static int parse(const char *line)
{
    static char text[512];
    static char program[] = "weir";
    char *argv[32] = {program};
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    options_deinit(&o);
    error_clear(&err);
    return options_parse(&o, argc, argv, COMMANDS, COMMAND_COUNT, hint, &err);
}

static void orders(void)
{
    CHECK_OK(parse("run -j 4 a -x b k=v --force -C dir"), err);
    CHECK_STR("run", o.command->name);
    CHECK_INT(4, o.jobs);
    CHECK(o.stop_first && o.force && !o.dry);
    CHECK_STR("dir", o.folder);
    CHECK_INT(3, o.word_count);
    CHECK_STR("a", o.words[0]);
    CHECK_STR("k=v", o.words[2]);
    CHECK_OK(parse("-C dir -q run"), err);
    CHECK_STR("run", o.command->name);
    CHECK_STR("dir", o.folder);
    CHECK_OK(parse("-f other.lua -j8 run --jobs=3 -xnq"), err);
    CHECK_INT(3, o.jobs);
    CHECK(o.stop_first && o.dry && o.quiet);
    CHECK_STR("other.lua", o.file);
    CHECK_OK(parse("run -Cdir"), err);
    CHECK_STR("dir", o.folder);
    CHECK_OK(parse("run -- -x"), err);
    CHECK(!o.stop_first);
    CHECK_STR("-x", o.words[0]);
    CHECK_OK(parse("sql -"), err);
    CHECK_STR("-", o.words[0]);
    CHECK_OK(parse(""), err);
    CHECK(o.command == NULL);
    CHECK_OK(parse("--version"), err);
    CHECK(o.version);
}

static void letters_by_command(void)
{
    CHECK_OK(parse("log -n 5 node"), err);
    CHECK_INT(5, o.count);
    CHECK(!o.dry);
    CHECK_OK(parse("run -n"), err);
    CHECK(o.dry);
    CHECK_INT(-1, o.count);
    CHECK_OK(parse("why node --run 7 --json"), err);
    CHECK_INT(7, o.run);
    CHECK(o.json);
    CHECK_OK(parse("log --events --from=3"), err);
    CHECK(o.events);
    CHECK_INT(3, o.from);
    CHECK_OK(parse("status --exit-code"), err);
    CHECK(o.exit_code);
    CHECK_OK(parse("run --color=never"), err);
    CHECK_INT(COLOR_NEVER, o.color);
    CHECK_OK(parse("run --color always"), err);
    CHECK_INT(COLOR_ALWAYS, o.color);
}

static void wrong(void)
{
    static const struct { const char *line, *message, *hint; } cases[] = {
        {"statu", "there is no command \"statu\"", "did you mean `weir status`?"},
        {"qqqqqq", "there is no command \"qqqqqq\"", "`weir help` lists the commands"},
        {"run --froce", "there is no flag --froce", "did you mean --force?"},
        {"run -Z", "there is no flag -Z", "`weir help run` lists its flags"},
        {"ls --force", "ls takes no flag --force", "`weir help ls` lists its flags"},
        {"run --from=1", "run takes no flag --from", "`weir help run` lists its flags"},
        {"run -j", "--jobs needs a value: --jobs=N", ""},
        {"run -j many", "--jobs takes a whole number, not \"many\"", ""},
        {"run -j -1", "--jobs takes a whole number, not \"-1\"", ""},
        {"run --force=yes", "--force takes no value", ""},
        {"run --color=blue", "--color takes auto, always or never, not \"blue\"", ""},
        {"why", "why needs more than that", "weir why NODE"},
        {"show a b", "show cannot take \"b\" as well", "weir show NODE"},
        {"check a", "check cannot take \"a\" as well", "weir check"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_CODE(WEIR_USAGE, parse(cases[i].line), err);
        CHECK_STR(cases[i].message, err.message);
        CHECK_STR(cases[i].hint, hint);
    }
    CHECK_OK(parse("why --help"), err);
    CHECK(o.help);
}

static void assignments(void)
{
    mem_arena arena;
    weir_assignment a;
    arena_init(&arena);
    static const struct { const char *word, *name, *json; } cases[] = {
        {"n=3", "n", "3"}, {"s=text", "s", "\"text\""}, {"flags=-O0", "flags", "\"-O0\""}, {"l=[1, 2]", "l", "[1, 2]"},
        {"b=true", "b", "true"}, {"q=\"3\"", "q", "\"3\""}, {"e=", "e", "\"\""}, {"eq=a=b", "eq", "\"a=b\""}, {"z=01", "z", "\"01\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_OK(session_assignment(&arena, cases[i].word, &a, &err), err);
        CHECK_STR(cases[i].name, a.name);
        CHECK_STR(cases[i].json, a.json);
    }
    CHECK(!session_is_assignment("page[post=intro]"));
    CHECK(!session_is_assignment("public/a=b"));
    CHECK(!session_is_assignment("=x"));
    CHECK(!session_is_assignment("plain"));
    CHECK_CODE(WEIR_USAGE, session_assignment(&arena, "plain", &a, &err), err);
    arena_deinit(&arena);
}

int main(void)
{
    orders();
    letters_by_command();
    wrong();
    assignments();
    options_deinit(&o);
    return check_done();
}
