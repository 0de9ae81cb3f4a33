/*
 * fuzz_event.c - any bytes as the body of an event, as a declaration, as the refs of a trace step.
 *
 * The first byte says which. Promised: no step behind the end; what is accepted and written again is accepted, and then
 * written again as the same bytes.
 */
#include "tests/fuzz/loop.h"

#include "tests/engine/store/event_samples.h"

enum { AS_DECLARED = 100, AS_STORED, AS_EFFECT, AS_REFS, AS_COUNT }; /* below: kinds of events */

/* Decode and, if that went well, encode again; its answer. */
static bool rewrite(int what, bytes body, buf *to)
{
    union {
        event_body event;
        node_spec node;
        effect_spec effect;
    } u;
    read_ref *refs;
    size_t count;
    mem_arena arena;
    buf text = {0};
    int rc;
    arena_init(&arena);
    if (what == AS_DECLARED || what == AS_STORED) {
        bool declared = what == AS_DECLARED;
        rc = declared ? spec_get_declared(body, &arena, &u.node, NULL) : spec_get_stored(body, &arena, &u.node, NULL);
        if (rc == 0) fuzz_require(spec_to_json(&u.node, &text, NULL) == 0, "a good declaration has JSON");
        if (rc == 0 && declared) spec_put_declared(to, &u.node);
        if (rc == 0 && !declared) spec_put_stored(to, &u.node);
    } else if (what == AS_EFFECT) {
        rc = effect_get(body, &arena, &u.effect, NULL);
        if (rc == 0) fuzz_require(effect_to_json(&u.effect, &text, NULL) == 0, "a good effect has JSON");
        if (rc == 0) effect_put(to, &u.effect, u.effect.position.file != NULL);
    } else if (what == AS_REFS) {
        rc = read_refs_get(body, &arena, &refs, &count, NULL);
        if (rc == 0) read_refs_put(to, refs, count);
    } else {
        rc = event_get(what, body, &arena, &u.event, NULL);
        (void)event_to_json(what, body, &text, NULL);
        if (rc == 0) event_put_body(to, &u.event);
    }
    arena_deinit(&arena);
    buf_deinit(&text);
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    int what = data[0] % AS_COUNT;
    buf once = {0}, twice = {0};
    if (rewrite(what, bytes_of(data + 1, size - 1), &once)) {
        fuzz_require(rewrite(what, buf_bytes(&once), &twice), "what was written is read");
        fuzz_require(bytes_equal(buf_bytes(&once), buf_bytes(&twice)), "and written again the same");
    }
    buf_deinit(&once);
    buf_deinit(&twice);
    return 0;
}

static void put_other(unsigned what, mem_arena *arena, buf *to)
{
    static const read_ref refs[] = {{ASPECT_CONTENT, 0, 5, -1, 0}, {ASPECT_NAMES, -1, -1, -1, 300}};
    node_spec node;
    effect_spec effect;
    if (what == AS_REFS) read_refs_put(to, refs, 2);
    if (what == AS_EFFECT) {
        fuzz_require(effect_get(sample_effect(arena), arena, &effect, NULL) == 0, "the sample is good");
        effect.position = (source_position){"weir.lua", 3};
        effect_put(to, &effect, true);
    }
    if (what != AS_DECLARED && what != AS_STORED) return;
    fuzz_require(spec_get_stored(sample_node(arena), arena, &node, NULL) == 0, "the sample is good");
    node.position = (source_position){"weir.lua", 3};
    node.inputs[0].members[0].name = bytes_str("src/a.c");
    if (what == AS_DECLARED) spec_put_declared(to, &node);
    else spec_put_stored(to, &node);
}

bool fuzz_seed(unsigned number, buf *to)
{
    unsigned what = number + 1;
    event_body event;
    mem_arena arena;
    if (what >= AS_COUNT) return false;
    arena_init(&arena);
    buf_byte(to, (uint8_t)what);
    if (event_sample((int)what, &arena, &event)) event_put_body(to, &event);
    else put_other(what, &arena, to);
    arena_deinit(&arena);
    return true;
}
