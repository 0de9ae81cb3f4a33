/*
 * test_spec.c - declarations: both forms there and back, one spelling, damage refused, and the names of nodes.
 */
#include "tests/check.h"

#include "engine/store/spec.h"
#include "engine/store/value.h"

#define TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}

static spec_member SOURCES[] = {
    {MEMBER_ITEM, ITEM_FILE, 1000001, TEXT("src/b.c"), TEXT("")},
    {MEMBER_ITEM, ITEM_FILE, 1000000, TEXT("src/a.c"), TEXT("")},
};
static spec_member MIXED[] = {
    {MEMBER_NODE, 0, 7, TEXT("body[post=intro]"), TEXT("")},
    {MEMBER_OUTPUT, 0, 3, TEXT("page"), TEXT("html")},
    {MEMBER_ITEM, ITEM_ENV, INT64_MAX, TEXT("HOME"), TEXT("")},
};

/* Everything is filled in, and not in order. */
static node_spec sample(spec_input inputs[3], spec_output outputs[2], spec_env env[2], buf *params)
{
    static bytes command[] = {TEXT("cc"), TEXT("-c"), TEXT("{{sources}}"), TEXT("")};
    weir_error err;
    inputs[0] = (spec_input){.port = bytes_str("sources"), .is_list = true, .members = SOURCES, .count = 2};
    inputs[1] = (spec_input){.port = bytes_str("mixed"), .members = MIXED, .count = 3};
    inputs[2] = (spec_input){.port = bytes_str("none"), .is_list = true};
    outputs[0] = (spec_output){bytes_str("object"), bytes_str("build/a.o"), 20};
    outputs[1] = (spec_output){bytes_str("map"), bytes_str("build/a.map"), 10};
    env[0] = (spec_env){bytes_str("LANG"), bytes_str("C")};
    env[1] = (spec_env){bytes_str("A"), bytes_str("")};
    CHECK_OK(value_from_json(bytes_str("{\"opt\":2}"), params, &err), err);
    return (node_spec){
        .name = bytes_str("object[opt=2]"), .base = bytes_str("object"), .effect = bytes_str("cc"), .effect_id = 5,
        .params = buf_bytes(params), .inputs = inputs, .input_count = 3, .outputs = outputs, .output_count = 2,
        .command = command, .command_count = 4, .depfile = bytes_str("build/a.d"), .env = env, .env_count = 2,
        .version = bytes_str("2"), .flags = SPEC_UPDATE | SPEC_NO_STORE, .job = JOB_BATCH, .retries = 3,
        .timeout_ms = 60000, .position = {"weir.lua", 12},
    };
}

static void check_same_text(bytes expected, bytes got)
{
    CHECK_BYTES(expected.data, expected.size, got.data, got.size);
}

static void check_lists(const node_spec *s)
{
    CHECK_OR_STOP(s->input_count == 3 && s->output_count == 2 && s->env_count == 2 && s->command_count == 4);
    check_same_text(bytes_str("mixed"), s->inputs[0].port);
    check_same_text(bytes_str("none"), s->inputs[1].port);
    check_same_text(bytes_str("sources"), s->inputs[2].port);
    check_same_text(bytes_str("map"), s->outputs[0].port);
    check_same_text(bytes_str("A"), s->env[0].name);
    check_same_text(bytes_str("C"), s->env[1].value);
    check_same_text(bytes_str("{{sources}}"), s->command[2]);
    CHECK_INT(2, spec_input_index(s, bytes_str("sources")));
    CHECK_INT(1, spec_output_index(s, bytes_str("object")));
    CHECK_INT(-1, spec_output_index(s, bytes_str("sources")));
    CHECK_OR_STOP(s->inputs[0].count == 3 && s->inputs[1].count == 0 && s->inputs[2].count == 2);
    CHECK(!s->inputs[0].is_list && s->inputs[1].is_list && s->inputs[2].is_list);
    CHECK_INT(MEMBER_OUTPUT, s->inputs[0].members[1].kind);
    check_same_text(bytes_str("html"), s->inputs[0].members[1].port);
    CHECK_INT(ITEM_ENV, s->inputs[0].members[2].item);
}

static void check_scalars(const node_spec *s, const node_spec *from)
{
    check_same_text(from->name, s->name);
    check_same_text(from->base, s->base);
    check_same_text(from->effect, s->effect);
    check_same_text(from->params, s->params);
    check_same_text(from->depfile, s->depfile);
    check_same_text(from->version, s->version);
    CHECK_INT(SPEC_UPDATE | SPEC_NO_STORE, s->flags);
    CHECK_INT(JOB_BATCH, s->job);
    CHECK_INT(3, s->retries);
    CHECK_INT(60000, s->timeout_ms);
}

static void test_declared(void)
{
    spec_input inputs[3];
    spec_output outputs[2];
    spec_env env[2];
    buf params = {0}, b = {0};
    mem_arena arena;
    weir_error err;
    arena_init(&arena);
    node_spec from = sample(inputs, outputs, env, &params), s;
    spec_put_declared(&b, &from);
    CHECK_OK(spec_get_declared(buf_bytes(&b), &arena, &s, &err), err);
    check_scalars(&s, &from);
    check_lists(&s);
    CHECK_INT(0, s.effect_id);
    CHECK_STR("weir.lua", s.position.file);
    CHECK_INT(12, s.position.line);
    check_same_text(bytes_str("src/b.c"), s.inputs[2].members[0].name);
    check_same_text(bytes_str("src/a.c"), s.inputs[2].members[1].name);
    CHECK_INT(0, s.inputs[2].members[1].id);
    check_same_text(bytes_str("build/a.map"), s.outputs[0].path);
    CHECK_CODE(WEIR_CORRUPT, spec_get_stored(buf_bytes(&b), &arena, &s, &err), err);
    arena_deinit(&arena);
    buf_deinit(&b);
    buf_deinit(&params);
}

static void test_stored(void)
{
    spec_input inputs[3];
    spec_output outputs[2];
    spec_env env[2];
    buf params = {0}, params_again = {0}, b = {0}, again = {0};
    mem_arena arena;
    weir_error err;
    arena_init(&arena);
    node_spec from = sample(inputs, outputs, env, &params), s;
    spec_put_stored(&b, &from);
    CHECK_OK(spec_get_stored(buf_bytes(&b), &arena, &s, &err), err);
    check_scalars(&s, &from);
    check_lists(&s);
    CHECK_INT(5, s.effect_id);
    CHECK(s.position.file == NULL);
    CHECK_INT(1000001, s.inputs[2].members[0].id);
    CHECK_INT(1000000, s.inputs[2].members[1].id);
    CHECK(s.inputs[0].members[2].id == INT64_MAX);
    CHECK_INT(0, s.inputs[2].members[0].name.size);
    CHECK_INT(10, s.outputs[0].id);
    CHECK_INT(0, s.outputs[0].path.size);
    from = sample(inputs, outputs, env, &params_again);
    from.position = (source_position){"other.lua", 99};
    SOURCES[0].name = bytes_str("moved");
    spec_put_stored(&again, &from);
    SOURCES[0].name = bytes_str("src/b.c");
    CHECK_BYTES(b.data, b.size, again.data, again.size);
    CHECK_CODE(WEIR_CORRUPT, spec_get_declared(buf_bytes(&b), &arena, &s, &err), err);
    arena_deinit(&arena);
    buf_deinit(&b);
    buf_deinit(&again);
    buf_deinit(&params);
    buf_deinit(&params_again);
}

/* One input, one output: what the budget of bytes per node is about. */
static void test_small(void)
{
    spec_member member = {.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = 123456};
    spec_input input = {.port = bytes_str("text"), .members = &member, .count = 1};
    spec_output output = {bytes_str("html"), bytes_str(""), 123457};
    node_spec from = {.name = bytes_str("page"), .base = bytes_str("page"), .effect = bytes_str("page"), .effect_id = 1,
                      .inputs = &input, .input_count = 1, .outputs = &output, .output_count = 1};
    node_spec s;
    buf b = {0};
    mem_arena arena;
    weir_error err;
    arena_init(&arena);
    spec_put_stored(&b, &from);
    printf("stored node with one input and one output: %zu bytes\n", b.size);
    CHECK(b.size <= 40);
    CHECK_OK(spec_get_stored(buf_bytes(&b), &arena, &s, &err), err);
    check_same_text(VALUE_EMPTY_OBJECT, s.params);
    check_same_text(bytes_str("page"), s.base);
    CHECK(s.version.data != NULL && s.depfile.data != NULL);
    b.data[0] = 2;
    CHECK_CODE(WEIR_NEWER, spec_get_stored(buf_bytes(&b), &arena, &s, &err), err);
    CHECK_CODE(WEIR_CORRUPT, spec_get_stored((bytes){0}, &arena, &s, &err), err);
    arena_deinit(&arena);
    buf_deinit(&b);
}

static void test_truncated(void)
{
    spec_input inputs[3];
    spec_output outputs[2];
    spec_env env[2];
    buf params = {0}, b[2] = {{0}, {0}};
    weir_error err;
    node_spec from = sample(inputs, outputs, env, &params), s;
    spec_put_declared(&b[0], &from);
    spec_put_stored(&b[1], &from);
    for (int form = 0; form < 2; form++)
        for (size_t size = 0; size < b[form].size; size++) {
            mem_arena arena;
            arena_init(&arena);
            uint8_t *copy = malloc(size + 1);
            CHECK_OR_STOP(copy != NULL);
            memcpy(copy, b[form].data, size);
            uint8_t *tight = realloc(copy, size ? size : 1);
            int rc = form == 0 ? spec_get_declared(bytes_of(tight, size), &arena, &s, &err)
                               : spec_get_stored(bytes_of(tight, size), &arena, &s, &err);
            CHECK_INT(WEIR_CORRUPT, rc);
            free(tight);
            arena_deinit(&arena);
        }
    buf_deinit(&b[0]);
    buf_deinit(&b[1]);
    buf_deinit(&params);
}

static void test_effect(void)
{
    effect_spec from = {.name = bytes_str("page"), .kind = EFFECT_LUA, .version = bytes_str("3"),
                        .code = hash_bytes("code", 4), .always = bytes_str("uses a thread"),
                        .library = bytes_str("x.so"), .position = {"weir.lua", 3}};
    effect_spec s;
    mem_arena arena;
    weir_error err;
    arena_init(&arena);
    for (int with_position = 0; with_position < 2; with_position++) {
        buf b = {0};
        effect_put(&b, &from, with_position);
        CHECK_OK(effect_get(buf_bytes(&b), &arena, &s, &err), err);
        check_same_text(from.name, s.name);
        check_same_text(from.version, s.version);
        check_same_text(from.always, s.always);
        check_same_text(from.library, s.library);
        CHECK_HASH(from.code, s.code);
        CHECK_INT(EFFECT_LUA, s.kind);
        CHECK_STR(with_position ? "weir.lua" : NULL, s.position.file);
        for (size_t size = 0; size < b.size; size++)
            CHECK(effect_get(bytes_of(b.data, size), &arena, &s, &err) != 0);
        buf_deinit(&b);
    }
    arena_deinit(&arena);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static void check_name_of(const char *expected, bytes params)
{
    weir_error err;
    buf name = {0};
    CHECK_OK(spec_format_name(bytes_str("page"), params, &name, &err), err);
    CHECK_STR(expected, buf_cstr(&name));
    buf_deinit(&name);
}

static void check_name(const char *expected, const char *json)
{
    weir_error err;
    buf params = {0};
    CHECK_OK(value_from_json(bytes_str(json), &params, &err), err);
    check_name_of(expected, buf_bytes(&params));
    buf_deinit(&params);
}

static void test_names(void)
{
    check_name("page", "{}");
    check_name_of("page", (bytes){0});
    check_name("page[lang=en,post=intro]", "{\"post\":\"intro\",\"lang\":\"en\"}");
    check_name("page[p=src/a_b-c+d.md]", "{\"p\":\"src/a_b-c+d.md\"}");
    check_name("page[p=\"two words\"]", "{\"p\":\"two words\"}");
    check_name("page[p=\"\"]", "{\"p\":\"\"}");
    check_name("page[p=\"a\\\"b\\\\c\\n\\t\\x01\\x7f\"]", "{\"p\":\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\"}");
    check_name("page[p=\"\xc3\xa9\"]", "{\"p\":\"\\u00e9\"}");
    check_name("page[p=\"\\xc2\\x85\"]", "{\"p\":\"\\u0085\"}");
    check_name("page[p=12]", "{\"p\":12}");
    check_name("page[p=\"12\"]", "{\"p\":\"12\"}");
    check_name("page[p=1.0]", "{\"p\":1.0}");
    check_name("page[p=\"1.0\"]", "{\"p\":\"1.0\"}");
    check_name("page[p=0.1]", "{\"p\":0.1}");
    check_name("page[p=-1e+300]", "{\"p\":-1e300}");
    check_name("page[p=\"-1e+300\"]", "{\"p\":\"-1e+300\"}");
    check_name("page[p=1.2.3]", "{\"p\":\"1.2.3\"}");
    check_name("page[p=1e]", "{\"p\":\"1e\"}");
    check_name("page[p=1e+]", "{\"p\":\"1e+\"}");
    check_name("page[p=.]", "{\"p\":\".\"}");
    check_name("page[p=\".5\"]", "{\"p\":\".5\"}");
    check_name("page[p=-]", "{\"p\":\"-\"}");
    check_name("page[p=true,q=false,r=null]", "{\"p\":true,\"q\":false,\"r\":null}");
    check_name("page[p=\"true\",q=\"false\",r=\"null\"]", "{\"p\":\"true\",\"q\":\"false\",\"r\":\"null\"}");
    check_name("page[p=\"NaN\",q=\"-Infinity\"]", "{\"p\":\"NaN\",\"q\":\"-Infinity\"}");
    check_name("page[\"a b\"=1]", "{\"a b\":1}");
}

static void test_odd_names(void)
{
    weir_error err;
    buf table = {0}, params = {0}, name = {0};
    char expected[64], hex[HASH_HEX];
    CHECK_OK(value_from_json(bytes_str("[1,2]"), &table, &err), err);
    hash_hex(hash_bytes(table.data, table.size), hex);
    snprintf(expected, sizeof expected, "page[p=#%.8s]", hex);
    check_name(expected, "{\"p\":[1,2]}");
    value_put_object(&params, 2);
    value_put_key(&params, bytes_str("a"));
    value_put_bytes(&params, bytes_of("\xff", 1));
    value_put_key(&params, bytes_str("b"));
    value_put_bytes(&params, bytes_str("text"));
    check_name_of("page[a=b\"\\xff\",b=b\"text\"]", buf_bytes(&params));
    CHECK_CODE(WEIR_CORRUPT, spec_format_name(bytes_str("page"), buf_bytes(&table), &name, &err), err);
    CHECK_CODE(WEIR_CORRUPT, spec_format_name(bytes_str("page"), bytes_of(params.data, params.size - 1), &name, &err), err);
    CHECK_INT(0, name.size);
    buf_deinit(&table);
    buf_deinit(&params);
    buf_deinit(&name);
}

static void test_json(void)
{
    spec_input inputs[3];
    spec_output outputs[2];
    spec_env env[2];
    buf params = {0}, text = {0}, value = {0};
    weir_error err;
    node_spec from = sample(inputs, outputs, env, &params);
    CHECK_OK(spec_to_json(&from, &text, &err), err);
    CHECK_HAS("\"params\":{\"opt\":2}", buf_cstr(&text));
    CHECK_HAS("\"flags\":[\"update\",\"no-store\"]", buf_cstr(&text));
    CHECK_HAS("{\"kind\":\"output\",\"id\":3,\"name\":\"page\",\"port\":\"html\"}", buf_cstr(&text));
    CHECK_OK(value_from_json(buf_bytes(&text), &value, &err), err);
    buf_deinit(&params);
    buf_deinit(&text);
    buf_deinit(&value);
}

int main(void)
{
    test_declared();
    test_stored();
    test_small();
    test_truncated();
    test_effect();
    test_names();
    test_odd_names();
    test_json();
    return check_done();
}
