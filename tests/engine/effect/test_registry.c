/* test_registry.c - effects by name, checking nodes against schemas, defaults. */
#include "engine/effect/registry.h"

#include "engine/store/value.h"
#include "tests/check.h"

static int run_nothing(const weir_host *host, weir_job *job)
{
    (void)host;
    (void)job;
    return 0;
}

static const weir_port join_inputs[] = {
    {"parts", WEIR_REQUIRED | WEIR_LIST, "what to join"}, {"head", 0, NULL}, {NULL, 0, NULL}};
static const weir_port join_outputs[] = {{"to", WEIR_REQUIRED, "where to"}, {NULL, 0, NULL}};
static const weir_param join_params[] = {
    {"title", "string", WEIR_REQUIRED, NULL, "the title"}, {"level", "integer", 0, "3", NULL},
    {"scale", "number", 0, "1.5", NULL},                   {"big", "boolean", 0, NULL, NULL},
    {"extra", "any", 0, "{\"b\":[1]}", NULL},              {NULL, NULL, 0, NULL, NULL}};
static const weir_effect join = {sizeof join, "join", "2", NULL, join_inputs, join_outputs, join_params, run_nothing};
static const weir_effect open_one = {sizeof open_one, "open", "1", NULL, NULL, NULL, NULL, run_nothing};
static const weir_param loose_params[] = {{"size", "integer", 0, NULL, NULL}, {"*", "any", 0, NULL, NULL}, {NULL, NULL, 0, NULL, NULL}};
static const weir_effect loose = {sizeof loose, "loose", "1", NULL, NULL, NULL, loose_params, run_nothing};
static const weir_effect *const builtins[] = {&join, &open_one, &loose, NULL};

static char found[2048];

static void collect(void *ctx, const char *message, const char *hint)
{
    (void)ctx;
    size_t at = strlen(found);
    snprintf(found + at, sizeof found - at, "%s (%s)\n", message, hint ? hint : "");
}

static size_t check_node(const registry_entry *entry, const node_spec *node)
{
    found[0] = '\0';
    return registry_check(entry, node, collect, NULL);
}

static void test_names(void)
{
    weir_error err;
    registry *r = NULL;
    CHECK_OK(registry_open(&r, builtins, &err), err);
    CHECK_OR_STOP(r != NULL);
    CHECK_INT(3, registry_count(r));
    const registry_entry *entry = registry_find(r, bytes_str("join"));
    CHECK(entry && entry->effect == &join && entry->library.size == 0);
    CHECK(entry == registry_at(r, 0));
    CHECK(entry && !hash_is_none(entry->build));
    CHECK(registry_find(r, bytes_str("joi")) == NULL);
    CHECK(registry_at(r, 3) == NULL);
    registry_close(r);
    registry_close(NULL);

    CHECK_OK(registry_open(&r, NULL, &err), err);
    CHECK_INT(0, registry_count(r));
    registry_close(r);
}

static void refused(const weir_effect *effect, const char *why)
{
    weir_error err = {0};
    const weir_effect *const list[] = {&join, effect, NULL};
    registry *r = NULL;
    CHECK_CODE(WEIR_WORKFLOW, registry_open(&r, list, &err), err);
    CHECK(r == NULL);
    CHECK_HAS(why, err.message);
}

static void test_bad_schemas(void)
{
    static const weir_param odd_type[] = {{"x", "strng", 0, NULL, NULL}, {NULL, NULL, 0, NULL, NULL}};
    static const weir_param odd_default[] = {{"x", "integer", 0, "\"a\"", NULL}, {NULL, NULL, 0, NULL, NULL}};
    static const weir_param no_json[] = {{"x", "string", 0, "abc", NULL}, {NULL, NULL, 0, NULL, NULL}};
    weir_effect e = join;
    refused(&e, "\"join\" of weir itself is already there from weir itself");
    e.name = "other";
    e.params = odd_type;
    refused(&e, "unknown type \"strng\"");
    e.params = odd_default;
    refused(&e, "default of param \"x\" is a string");
    e.params = no_json;
    refused(&e, "default of param \"x\"");
    e = join;
    e.name = "";
    refused(&e, "no name");
    e = join;
    e.name = "other";
    e.run = NULL;
    refused(&e, "no function run");
    e = join;
    e.size = 8;
    refused(&e, "struct of 8 bytes");
}

static void put_json(buf *b, const char *json)
{
    weir_error err = {0};
    buf_clear(b);
    CHECK_OK(value_from_json(bytes_str(json), b, &err), err);
}

static void test_check(void)
{
    weir_error err;
    registry *r = NULL;
    CHECK_OK(registry_open(&r, builtins, &err), err);
    const registry_entry *entry = registry_find(r, bytes_str("join"));
    spec_member members[2] = {{.kind = MEMBER_NODE}, {.kind = MEMBER_NODE}};
    spec_input inputs[2] = {{.port = bytes_str("head"), .members = members, .count = 1},
                            {.port = bytes_str("parts"), .is_list = true, .members = members, .count = 2}};
    spec_output outputs[1] = {{bytes_str("to"), bytes_str("x"), 0}};
    buf params;
    buf_init(&params);
    put_json(&params, "{\"title\":\"t\",\"scale\":2,\"big\":true}");
    node_spec node = {.inputs = inputs, .input_count = 2, .outputs = outputs, .output_count = 1, .params = buf_bytes(&params)};
    CHECK_INT(0, check_node(entry, &node));
    CHECK_STR("", found);

    inputs[0].is_list = true;
    CHECK_INT(0, check_node(entry, &node)); /* a list of one is one */
    inputs[0].count = 2;
    CHECK_INT(1, check_node(entry, &node));
    CHECK_HAS("takes one thing as input \"head\", here is a list of 2", found);
    inputs[0].count = 1;

    inputs[1].port = bytes_str("part");
    CHECK_INT(2, check_node(entry, &node));
    CHECK_HAS("has no input \"part\"", found);
    CHECK_HAS("parts", found);
    CHECK_HAS("needs the input \"parts\" (parts: what to join)", found);
    inputs[1].port = bytes_str("parts");

    node.output_count = 0;
    CHECK_INT(1, check_node(entry, &node));
    CHECK_HAS("needs the output \"to\"", found);
    node.output_count = 1;

    put_json(&params, "{\"level\":3.5,\"bigg\":1,\"scale\":\"x\"}");
    node.params = buf_bytes(&params);
    CHECK_INT(4, check_node(entry, &node));
    CHECK_HAS("param \"level\" of effect \"join\" must be of type integer, here is a number with a fraction", found);
    CHECK_HAS("has no param \"bigg\"", found);
    CHECK_HAS("param \"scale\" of effect \"join\" must be of type number, here is a string", found);
    CHECK_HAS("needs the param \"title\" (title: the title)", found);

    node.params = (bytes){NULL, 0};
    CHECK_INT(1, check_node(entry, &node));

    inputs[1].port = bytes_str("whatever"); /* NULL in a schema: anything goes */
    CHECK_INT(0, check_node(registry_find(r, bytes_str("open")), &node));
    buf_deinit(&params);
    registry_close(r);
}

static void filled(const registry_entry *entry, const char *given, const char *expected)
{
    weir_error err = {0};
    buf from, to, json;
    buf_init(&from);
    buf_init(&to);
    buf_init(&json);
    if (*given) put_json(&from, given);
    CHECK_OK(registry_fill(entry, buf_bytes(&from), &to, &err), err);
    CHECK_OK(value_check(buf_bytes(&to), &err), err);
    CHECK_OK(value_to_json(buf_bytes(&to), 0, &json, &err), err);
    CHECK_STR(expected, buf_cstr(&json));
    buf_deinit(&from);
    buf_deinit(&to);
    buf_deinit(&json);
}

static void test_fill(void)
{
    weir_error err = {0};
    registry *r = NULL;
    CHECK_OK(registry_open(&r, builtins, &err), err);
    const registry_entry *entry = registry_find(r, bytes_str("join"));
    filled(entry, "{\"title\":\"t\"}", "{\"extra\":{\"b\":[1]},\"level\":3,\"scale\":1.5,\"title\":\"t\"}");
    filled(entry, "{\"zz\":0,\"level\":null,\"a\":1}", "{\"a\":1,\"extra\":{\"b\":[1]},\"level\":null,\"scale\":1.5,\"zz\":0}");
    filled(entry, "", "{\"extra\":{\"b\":[1]},\"level\":3,\"scale\":1.5}");
    filled(registry_find(r, bytes_str("open")), "", "{}");
    filled(registry_find(r, bytes_str("open")), "{\"b\":1,\"a\":[]}", "{\"a\":[],\"b\":1}");

    buf to;
    buf_init(&to);
    static const uint8_t no_table[] = {1};
    CHECK_CODE(WEIR_WORKFLOW, registry_fill(entry, bytes_of(no_table, 1), &to, &err), err);
    buf_deinit(&to);
    registry_close(r);
}

static void test_no_memory(void)
{
    for (int64_t n = 1; n < 100; n++) {
        weir_error err = {0};
        registry *r = NULL;
        mem_fail_at(n, true);
        int rc = registry_open(&r, builtins, &err);
        mem_fail_at(0, false);
        if (rc == 0) {
            CHECK(n > 1);
            registry_close(r);
            return;
        }
        CHECK(r == NULL);
    }
    CHECK(false); /* it must come to an end */
}

int main(void)
{
    test_names();
    test_bad_schemas();
    test_check();
    test_fill();
    test_no_memory();
    return check_done();
}
