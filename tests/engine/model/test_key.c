/*
 * test_key.c - keys: published vectors, each component by itself, and what must not matter.
 *
 * key_vectors.txt holds the components and keys of the nodes that this file makes, by name. They are frozen: a difference means that
 * every stored result would be lost. WEIR_PRINT_VECTORS=1 prints them.
 */
#include "engine/model/key.h"
#include "engine/store/value.h"
#include "tests/check.h"

/* One node with its effect, all of it changeable. */
typedef struct sample {
    effect_spec effect;
    node_spec node;
    spec_input inputs[3];
    spec_member members[5];
    spec_output outputs[2];
    spec_env env[2];
    bytes words[3];
    buf params;
    key_source source;
} sample;

static const char *item_path = "src/a.c";
static bool is_item_lost;

static bytes item_name(void *ctx, uint64_t item)
{
    (void)ctx;
    static char text[64];
    if (is_item_lost && item == 12) return (bytes){NULL, 0};
    if (item == 11) return bytes_str(item_path);
    snprintf(text, sizeof text, "item-%d", (int)item);
    return bytes_str(text);
}

static void make(sample *s, effect_kind kind)
{
    weir_error err = {0};
    *s = (sample){0};
    CHECK_OK(value_from_json(bytes_str("{\"lang\":\"en\",\"level\":2}"), &s->params, &err), err);
    s->effect = (effect_spec){.name = bytes_str("page"), .kind = kind, .version = bytes_str("3")};
    if (kind != EFFECT_COMMAND) s->effect.code = hash_bytes("code", 4);
    s->members[0] = (spec_member){.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = 11};
    s->members[1] = (spec_member){.kind = MEMBER_ITEM, .item = ITEM_ENV, .id = 12};
    s->members[2] = (spec_member){.kind = MEMBER_NODE, .id = 21};
    s->members[3] = (spec_member){.kind = MEMBER_OUTPUT, .id = 22, .port = bytes_str("html")};
    s->members[4] = (spec_member){.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = 13};
    s->inputs[0] = (spec_input){.port = bytes_str("all"), .is_list = true, .members = s->members + 2, .count = 3};
    s->inputs[1] = (spec_input){.port = bytes_str("home"), .members = s->members + 1, .count = 1};
    s->inputs[2] = (spec_input){.port = bytes_str("src"), .members = s->members, .count = 1};
    s->outputs[0] = (spec_output){.port = bytes_str("log"), .id = 31};
    s->outputs[1] = (spec_output){.port = bytes_str("out"), .id = 32};
    s->env[0] = (spec_env){bytes_str("LANG"), bytes_str("C")};
    s->env[1] = (spec_env){bytes_str("TZ"), bytes_str("")};
    s->node = (node_spec){.name = bytes_str("page[lang=en]"), .base = bytes_str("page"), .effect = bytes_str("page"),
                          .params = buf_bytes(&s->params), .inputs = s->inputs, .input_count = 3,
                          .outputs = s->outputs, .output_count = 2, .env = s->env, .env_count = 2,
                          .version = bytes_str("n1")};
    s->words[0] = bytes_str("cc");
    s->words[1] = bytes_str("-o");
    s->words[2] = bytes_str("out/o");
    s->source = (key_source){.effect = &s->effect, .node = &s->node, .item_name = item_name};
    if (kind == EFFECT_COMMAND) {
        s->source.command = s->words;
        s->source.command_count = 3;
        s->source.tool = hash_bytes("tool", 4);
    }
}

/* --- vectors ----------------------------------------------------------------------------------------------------- */

static const char *vector_file(void)
{
    static char path[600];
    const char *root = getenv("WEIR_SOURCE");
    if (root) snprintf(path, sizeof path, "%s/tests/engine/model/key_vectors.txt", root);
    else snprintf(path, sizeof path, "%.*skey_vectors.txt", (int)(strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__);
    return path;
}

static bool expected_vector(const char *name, const char *part, hash128 *hash)
{
    char line[200], wanted[80];
    int size = snprintf(wanted, sizeof wanted, "%s %s ", name, part);
    FILE *in = fopen(vector_file(), "r");
    bool found = false;
    while (in && !found && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, wanted, (size_t)size) == 0 && hash_parse(line + size, hash);
    }
    if (in) fclose(in);
    return found;
}

static void check_one(const char *name, const char *part, hash128 got)
{
    hash128 expected = HASH_NONE;
    char text[HASH_HEX];
    if (getenv("WEIR_PRINT_VECTORS")) printf("%s %s %s\n", name, part, hash_hex(got, text));
    else if (CHECK(expected_vector(name, part, &expected))) CHECK_HASH(expected, got);
}

static void check_vector(const char *name, const sample *s)
{
    key_parts parts;
    hash128 key;
    key_compute(&s->source, &parts, &key);
    for (int i = 0; i < KEY_COMPONENTS; i++) check_one(name, key_component_name((key_component)i), parts.part[i]);
    check_one(name, "key", key);
}

static void test_vectors(void)
{
    sample s;
    make(&s, EFFECT_LUA);
    check_vector("lua", &s);
    buf_deinit(&s.params);
    make(&s, EFFECT_C);
    check_vector("c", &s);
    buf_deinit(&s.params);
    make(&s, EFFECT_COMMAND);
    check_vector("argv", &s);
    s.words[0] = bytes_str("cc -o out/o");
    s.source.command_count = 1;
    s.node.flags = SPEC_SHELL | SPEC_UPDATE;
    s.node.depfile = bytes_str("out/o.d");
    check_vector("shell", &s);
    buf_deinit(&s.params);
    static const effect_spec bare_effect = {.kind = EFFECT_LUA};
    static const node_spec bare_node = {.retries = 1};
    s.source = (key_source){.effect = &bare_effect, .node = &bare_node, .item_name = item_name};
    check_vector("empty", &s);
}

/* --- what changes what ------------------------------------------------------------------------------------------- */

static key_parts before;
static hash128 before_key;

static void start(sample *s, effect_kind kind)
{
    make(s, kind);
    key_compute(&s->source, &before, &before_key);
}

/* Exactly this component differs (KEY_COMPONENTS: none does), and the key with it. */
static void expect(sample *s, int which, const char *what)
{
    key_parts parts;
    hash128 key;
    key_compute(&s->source, &parts, &key);
    for (int i = 0; i < KEY_COMPONENTS; i++) {
        bool differs = !hash_equal(parts.part[i], before.part[i]);
        if (differs != (i == which))
            fprintf(stderr, "%s: component %s %s\n", what, key_component_name((key_component)i), differs ? "changed" : "did not change");
        CHECK(differs == (i == which));
    }
    CHECK(hash_equal(key, before_key) == (which == KEY_COMPONENTS));
    buf_deinit(&s->params);
}

#define CHANGE(kind, which, change)                                                                \
    do {                                                                                           \
        sample s;                                                                                  \
        start(&s, (kind));                                                                         \
        change;                                                                                    \
        expect(&s, (which), #change);                                                              \
    } while (0)

static void test_components(void)
{
    CHANGE(EFFECT_LUA, KEY_EFFECT, s.effect.name = bytes_str("pages"));
    CHANGE(EFFECT_LUA, KEY_EFFECT, s.effect.kind = EFFECT_C);
    CHANGE(EFFECT_LUA, KEY_VERSION, s.effect.version = bytes_str("4"));
    CHANGE(EFFECT_LUA, KEY_VERSION, s.node.version = bytes_str(""));
    CHANGE(EFFECT_LUA, KEY_VERSION, (s.effect.version = bytes_str("3n"), s.node.version = bytes_str("1")));
    CHANGE(EFFECT_LUA, KEY_CODE, s.effect.code.bytes[15] ^= 1);
    CHANGE(EFFECT_LUA, KEY_PARAMS, s.node.params = VALUE_EMPTY_OBJECT);
    CHANGE(EFFECT_LUA, KEY_PORTS, s.inputs[2].port = bytes_str("srd"));
    CHANGE(EFFECT_LUA, KEY_PORTS, s.inputs[2].is_list = true);
    CHANGE(EFFECT_LUA, KEY_PORTS, s.inputs[0].count = 2);
    CHANGE(EFFECT_LUA, KEY_PORTS, s.members[0].id = 14);
    CHANGE(EFFECT_LUA, KEY_PORTS, s.members[1].item = ITEM_VALUE);
    CHANGE(EFFECT_LUA, KEY_PORTS, s.members[3].port = bytes_str("log"));
    CHANGE(EFFECT_LUA, KEY_PORTS, s.members[3].kind = MEMBER_NODE);
    CHANGE(EFFECT_LUA, KEY_PORTS, s.outputs[1].port = bytes_str("o"));
    CHANGE(EFFECT_LUA, KEY_PORTS, s.node.output_count = 1);
    CHANGE(EFFECT_LUA, KEY_ENV, s.env[1].value = bytes_str("UTC"));
    CHANGE(EFFECT_LUA, KEY_ENV, s.env[0].name = bytes_str("LC_ALL"));
    CHANGE(EFFECT_LUA, KEY_ENV, s.node.env_count = 1);
    CHANGE(EFFECT_COMMAND, KEY_COMMAND, s.words[1] = bytes_str("-O"));
    CHANGE(EFFECT_COMMAND, KEY_COMMAND, (s.words[0] = bytes_str("cc-"), s.words[1] = bytes_str("o")));
    CHANGE(EFFECT_COMMAND, KEY_COMMAND, s.source.command_count = 2);
    CHANGE(EFFECT_COMMAND, KEY_COMMAND, s.node.flags = SPEC_SHELL);
    CHANGE(EFFECT_COMMAND, KEY_COMMAND, s.node.flags = SPEC_UPDATE);
    CHANGE(EFFECT_COMMAND, KEY_COMMAND, s.node.depfile = bytes_str("o.d"));
    CHANGE(EFFECT_COMMAND, KEY_TOOL, s.source.tool = HASH_NONE);
}

static void test_what_does_not_matter(void)
{
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, s.node.name = bytes_str("other"));
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, s.node.base = bytes_str("other"));
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, s.outputs[0].path = bytes_str("elsewhere"));
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, s.outputs[0].id = 99);
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, s.members[2].id = 99); /* which node: its outputs' content decides */
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, s.members[3].name = bytes_str("other"));
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, (s.node.position = (source_position){"weir.lua", 7}));
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, (s.effect.position = (source_position){"weir.lua", 7}));
    CHANGE(EFFECT_COMMAND, KEY_COMPONENTS, (s.node.retries = 5, s.node.timeout_ms = 9, s.node.flags = SPEC_ALWAYS | SPEC_NO_STORE));
    CHANGE(EFFECT_LUA, KEY_COMPONENTS, s.effect.library = bytes_str("/lib/x.so"));
    CHANGE(EFFECT_LUA, KEY_COMPONENTS, (s.members[0].id = 0, s.members[0].name = bytes_str("src/a.c"))); /* not resolved yet */
    CHANGE(EFFECT_LUA, KEY_COMPONENTS, s.source.tool = hash_bytes("x", 1));
}

static void test_no_name(void)
{
    sample s;
    make(&s, EFFECT_LUA);
    key_parts parts;
    hash128 key;
    is_item_lost = true;
    key_compute(&s.source, &parts, &key);
    is_item_lost = false;
    CHECK(hash_is_none(key));
    CHECK(hash_is_none(parts.part[KEY_PORTS]));
    CHECK(!hash_is_none(parts.part[KEY_PARAMS]));
    buf_deinit(&s.params);
}

int main(void)
{
    test_vectors();
    test_components();
    test_what_does_not_matter();
    test_no_name();
    CHECK_STR("effect", key_component_name(KEY_EFFECT));
    CHECK_STR("tool", key_component_name(KEY_TOOL));
    return check_done();
}
