/*
 * test_command.c - {{names}} in commands, quoting, list files, and did-you-mean.
 */
#include "engine/model/key.h"
#include "engine/store/value.h"
#include "tests/check.h"

static weir_error err;
static mem_arena arena;

/* A node `n` with inputs src (one file), all (a list of two), up (a node with three outputs), none (an empty list), env; output out. */
static spec_member src_member = {.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = 1};
static spec_member all_members[2] = {{.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = 2},
                                     {.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = 3}};
static spec_member up_member = {.kind = MEMBER_NODE, .id = 9};
static spec_member env_member = {.kind = MEMBER_ITEM, .item = ITEM_ENV, .id = 4};
static spec_input inputs[5];
static spec_output outputs[1];
static node_spec node;

static int member_paths(void *ctx, const spec_member *member, mem_arena *to, bytes **paths, size_t *count, weir_error *e)
{
    (void)ctx;
    static const char *const files[] = {"", "src/a.c", "b 1.c", "it's.c"};
    if (member->kind == MEMBER_ITEM && member->item == ITEM_ENV) return error_set(e, WEIR_WORKFLOW, "HOME has no path");
    *count = member->kind == MEMBER_NODE ? 3 : 1;
    *paths = arena_zero(to, *count, sizeof **paths);
    if (!*paths) return error_nomem(e, "finding paths");
    for (size_t i = 0; i < *count; i++)
        (*paths)[i] = bytes_str(member->kind == MEMBER_NODE ? (const char *[]){"x", "y", "z"}[i] : files[member->id]);
    return 0;
}

static bytes output_path(void *ctx, const spec_output *output)
{
    (void)ctx;
    return output->id == 7 ? bytes_str("out/o.txt") : (bytes){NULL, 0};
}

static void make_node(buf *params)
{
    int rc = value_from_json(bytes_str("{\"flag\":true,\"many\":[1,\"two\",2.5],\"obj\":{},\"post\":\"a b\",\"plain\":\"v1\"}"), params, &err);
    CHECK_OK(rc, err);
    inputs[0] = (spec_input){.port = bytes_str("all"), .is_list = true, .members = all_members, .count = 2};
    inputs[1] = (spec_input){.port = bytes_str("home"), .members = &env_member, .count = 1};
    inputs[2] = (spec_input){.port = bytes_str("none"), .is_list = true};
    inputs[3] = (spec_input){.port = bytes_str("src"), .members = &src_member, .count = 1};
    inputs[4] = (spec_input){.port = bytes_str("up"), .members = &up_member, .count = 1};
    outputs[0] = (spec_output){.port = bytes_str("out"), .id = 7};
    node = (node_spec){.name = bytes_str("n"), .params = buf_bytes(params), .inputs = inputs, .input_count = 5,
                       .outputs = outputs, .output_count = 1};
}

/* Expands and joins the words with `|`. */
static const char *expand(const char *const *words, size_t count, uint32_t flags)
{
    static char text[1024];
    bytes templates[8];
    for (size_t i = 0; i < count; i++) templates[i] = bytes_str(words[i]);
    node.command = templates;
    node.command_count = count;
    node.flags = flags;
    command_source source = {&node, member_paths, output_path, NULL};
    command_line line;
    error_clear(&err);
    int rc = command_expand(&source, &arena, &line, &err);
    if (rc != 0) {
        snprintf(text, sizeof text, "%s: %s", error_name(rc), err.message);
        return text;
    }
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < line.count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", i ? "|" : "", (int)line.argv[i].size,
                                 (const char *)line.argv[i].data);
    return text;
}

#define ARGV(...) expand((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), 0)
#define SHELL(text) expand((const char *const[]){text}, 1, SPEC_SHELL)

static void test_argv(void)
{
    CHECK_STR("cp|src/a.c|out/o.txt", ARGV("cp", "{{src}}", "{{out}}"));
    CHECK_STR("cat|b 1.c|it's.c|end", ARGV("cat", "{{all}}", "end"));
    CHECK_STR("-I=x y z", ARGV("-I={{up}}"));
    CHECK_STR("cat|x|y|z", ARGV("cat", "{{ up }}"));
    CHECK_STR("cat|end", ARGV("cat", "{{none}}", "end"));
    CHECK_STR("cat|a|end", ARGV("cat", "a{{none}}", "end"));
    CHECK_STR("-o|a b|v1|true|1|two|2.5", ARGV("-o", "{{post}}", "{{plain}}", "{{flag}}", "{{many}}"));
    CHECK_STR("{{x}}|a{{|}}", ARGV("{{{{x}}", "a{{{{", "}}"));
    CHECK_STR("src/a.csrc/a.c", ARGV("{{src}}{{src}}"));
    CHECK_STR("|{|a{b}", ARGV("", "{", "a{b}"));
}

static void test_shell(void)
{
    CHECK_STR("cat src/a.c > out/o.txt", SHELL("cat {{src}} > {{out}}"));
    CHECK_STR("cat 'b 1.c' 'it'\\''s.c'", SHELL("cat {{all}}"));
    CHECK_STR("echo 'a b' v1 ", SHELL("echo {{post}} {{plain}} {{none}}"));
    CHECK_STR("awk '{{print}}' {}", SHELL("awk '{{{{print}}' {}"));
}

static void test_errors(void)
{
    const char *text = ARGV("cp", "{{scr}}");
    CHECK_HAS("WEIR_WORKFLOW", text);
    CHECK_HAS("node n: {{scr}} in its command", text);
    CHECK_HAS("did you mean {{src}}?", text);
    CHECK_HAS("did you mean {{plain}}?", ARGV("{{plian}}"));
    CHECK_HAS("{{{{ writes {{", ARGV("{{entirely_different}}"));
    CHECK_HAS("}} is missing", ARGV("{{src"));
    CHECK_HAS("{{home}} in its command: HOME has no path", ARGV("{{home}}"));
    CHECK_HAS("the param is no text", ARGV("{{obj}}"));
    CHECK_HAS(":file is for inputs", ARGV("{{out:file}}"));
    CHECK_HAS("did you mean {{all}}?", ARGV("{{al:file}}"));
    outputs[0].id = 8;
    CHECK_HAS("the output has no path", ARGV("{{out}}"));
    outputs[0].id = 7;
}

static void test_lists(void)
{
    bytes templates[3] = {bytes_str("tidy"), bytes_str("@{{all:file}}"), bytes_str("{{all:file}}+{{up:file}}")};
    node.command = templates;
    node.command_count = 3;
    node.flags = 0;
    command_source source = {&node, member_paths, output_path, NULL};
    command_line line;
    CHECK_OK(command_expand(&source, &arena, &line, &err), err);
    CHECK_INT(3, line.count);
    CHECK_INT(2, line.list_count);
    CHECK_INT(2, line.lists[0].count);
    CHECK(bytes_equal(bytes_str("\x01list:all\x01"), line.lists[0].placeholder));
    CHECK(bytes_equal(bytes_str("it's.c"), line.lists[0].paths[1]));

    bytes *words;
    size_t count;
    CHECK_OK(command_words(&line, &arena, &words, &count, &err), err);
    CHECK_INT(3 + 1 + 2 + 1 + 3, count);
    CHECK(bytes_equal(bytes_str("z"), words[count - 1]));

    bytes *before = line.argv;
    CHECK_OK(command_place(&line, 0, bytes_str(".weir/tmp/1 a"), false, &arena, &err), err);
    CHECK_OK(command_place(&line, 1, bytes_str("L2"), false, &arena, &err), err);
    CHECK(bytes_equal(bytes_str("@.weir/tmp/1 a"), line.argv[1]));
    CHECK(bytes_equal(bytes_str(".weir/tmp/1 a+L2"), line.argv[2]));
    CHECK(bytes_equal(bytes_str("@\x01list:all\x01"), before[1]));
    CHECK_CODE(WEIR_BUG, command_place(&line, 2, bytes_str("x"), false, &arena, &err), err);

    templates[0] = bytes_str("tidy {{all:file}} {{src}}");
    node.command_count = 1;
    node.flags = SPEC_SHELL;
    CHECK_OK(command_expand(&source, &arena, &line, &err), err);
    CHECK_OK(command_place(&line, 0, bytes_str("a b"), true, &arena, &err), err);
    CHECK(bytes_equal(bytes_str("tidy 'a b' src/a.c"), line.argv[0]));
}

static void test_near(void)
{
    static const char *const names[] = {"output", "input", "page", "pages", "a", "template"};
    enum { COUNT = sizeof names / sizeof *names };
    CHECK_STR("output", near_name("outptu", names, COUNT));
    CHECK_STR("input", near_name("imput", names, COUNT));
    CHECK_STR("page", near_name("page", names, COUNT));
    CHECK_STR("pages", near_name("pagess", names, COUNT));
    CHECK_STR("template", near_name("tempalte", names, COUNT));
    CHECK_STR("a", near_name("b", names, COUNT));
    CHECK_STR(NULL, near_name("completely", names, COUNT));
    CHECK_STR(NULL, near_name("", names, COUNT));
    CHECK_STR(NULL, near_name("page", names, 0));
    char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    const char *const long_names[] = {longer};
    CHECK_STR(NULL, near_name(longer, long_names, 1));
}

/* Every allocation may fail; the answer is then WEIR_NOMEM and nothing leaks. */
static void test_no_memory(void)
{
    bytes templates[2] = {bytes_str("{{all}}"), bytes_str("a {{all:file}} {{many}} {{out}}")};
    node.command = templates;
    node.command_count = 2;
    node.flags = 0;
    command_source source = {&node, member_paths, output_path, NULL};
    int rc = WEIR_NOMEM;
    for (int64_t n = 1; rc != 0 && n < 100; n++) {
        mem_arena own;
        arena_init(&own);
        command_line line;
        mem_fail_at(n, false);
        rc = command_expand(&source, &own, &line, &err);
        mem_fail_at(0, false);
        arena_deinit(&own);
        if (rc != 0) CHECK_INT(WEIR_NOMEM, rc);
    }
    CHECK_INT(0, rc);
}

int main(void)
{
    buf params;
    buf_init(&params);
    arena_init(&arena);
    make_node(&params);
    test_argv();
    test_shell();
    test_errors();
    test_lists();
    test_near();
    test_no_memory();
    arena_deinit(&arena);
    buf_deinit(&params);
    return check_done();
}
