/*
 * story.h - logs for tests: events told one by one, and long random ones that touch every kind.
 *
 *     story s = story_new(emit, ctx);
 *     TELL(&s, item_named, ITEM_NAMED, .item = 1, .kind = ITEM_FILE, .name = bytes_str("a.md"));
 *
 * A random story depends on its seed alone. Ids: items 1 to 12 are sources, 13 to 24 outputs, nodes 1 to 8, effects 1 and 2.
 */
#ifndef WEIR_TESTS_STORY_H
#define WEIR_TESTS_STORY_H

#include <stdio.h>

#include "engine/store/event.h"
#include "engine/store/value.h"

typedef void (*story_emit)(void *ctx, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body);

typedef struct story {
    story_emit emit;
    void *ctx;
    uint64_t seq; /* of the last event */
    uint64_t run, execution;
    uint64_t random;
} story;

#define TELL(s, lower, UPPER, ...)                                                                 \
    do {                                                                                           \
        event_##lower told_ = {__VA_ARGS__};                                                       \
        buf body_ = {0};                                                                           \
        event_put_##lower(&body_, &told_);                                                         \
        story_send((s), EVENT_##UPPER, &body_);                                                    \
    } while (0)

static inline story story_new(story_emit emit, void *ctx)
{
    return (story){.emit = emit, .ctx = ctx, .random = 88172645463325252u};
}

static inline void story_send(story *s, event_kind kind, buf *body)
{
    s->seq++;
    s->emit(s->ctx, s->seq, s->run, (int64_t)(1700000000000000 + s->seq), kind, buf_bytes(body));
    buf_deinit(body);
}

static inline hash128 story_hash(uint64_t number)
{
    return hash_bytes(&number, sizeof number);
}

static inline uint64_t story_random(story *s, uint64_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random % below;
}

/** A declaration: node `id` of effect 1 with these source items and upstream nodes, and one output item (0: none). */
static inline void story_node(story *s, uint64_t id, const uint64_t *items, size_t item_count, const uint64_t *nodes,
                              size_t node_count, const uint64_t *outputs, size_t output_count, uint32_t flags, uint64_t successor_of)
{
    spec_member members[64] = {0};
    spec_output outs[16] = {0};
    char name[32];
    char ports[16][24];
    snprintf(name, sizeof name, "node%llu", (unsigned long long)id);
    for (size_t i = 0; i < item_count; i++) members[i] = (spec_member){.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = items[i]};
    for (size_t i = 0; i < node_count; i++) members[item_count + i] = (spec_member){.kind = MEMBER_NODE, .id = nodes[i]};
    for (size_t i = 0; i < output_count; i++) {
        snprintf(ports[i], sizeof ports[i], "o%02zu", i);
        outs[i] = (spec_output){.port = bytes_str(ports[i]), .id = outputs[i]};
    }
    spec_input input = {.port = bytes_str("in"), .is_list = true, .members = members, .count = item_count + node_count};
    node_spec spec = {.name = bytes_str(name), .base = bytes_str(name), .effect = bytes_str("cc"), .effect_id = 1,
                      .params = VALUE_EMPTY_OBJECT, .inputs = &input, .input_count = 1, .outputs = outs,
                      .output_count = output_count, .flags = flags};
    buf stored = {0};
    spec_put_stored(&stored, &spec);
    TELL(s, node, NODE, .node = id, .graph = 1, .height = 1 + node_count, .successor_of = successor_of, .spec = buf_bytes(&stored));
    buf_deinit(&stored);
}

static inline void story_effect(story *s, uint64_t id, const char *name)
{
    effect_spec spec = {.name = bytes_str(name), .kind = EFFECT_LUA, .version = bytes_str("1"), .code = story_hash(id)};
    buf stored = {0};
    effect_put(&stored, &spec, false);
    TELL(s, effect, EFFECT, .effect = id, .spec = buf_bytes(&stored));
    buf_deinit(&stored);
}

/** Names for everything, and a first run. */
static inline void story_begin(story *s)
{
    TELL(s, session, SESSION, .version = bytes_str("1"), .build = bytes_str("b"), .boot_id = bytes_str("boot-1"), .pid = 7);
    story_effect(s, 1, "cc");
    story_effect(s, 2, "page");
    for (uint64_t i = 1; i <= 24; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s/%llu", i <= 12 ? "src" : "out", (unsigned long long)i);
        TELL(s, item_named, ITEM_NAMED, .item = i, .kind = i == 12 ? ITEM_VALUE : ITEM_FILE, .name = bytes_str(name));
    }
    for (uint64_t i = 1; i <= 11; i++)
        TELL(s, item_observed, ITEM_OBSERVED, .item = i, .hash = story_hash(i), .size = 100 + i, .mode = 0644);
    s->run = 1;
    TELL(s, run_started, RUN_STARTED, .trigger = bytes_str("run"), .graph = 1);
}

static inline void story_random_node(story *s, uint64_t id)
{
    uint64_t items[8];
    uint64_t nodes[4];
    uint64_t outputs[3];
    size_t item_count = story_random(s, 8);
    size_t node_count = id > 1 ? story_random(s, 4) : 0;
    size_t output_count = story_random(s, 4);
    for (size_t i = 0; i < item_count; i++) items[i] = 1 + story_random(s, 12);
    for (size_t i = 0; i < node_count; i++) nodes[i] = 1 + story_random(s, id - 1);
    for (size_t i = 0; i < output_count; i++) outputs[i] = 13 + story_random(s, 12);
    uint32_t flags = story_random(s, 3) == 0 ? SPEC_NO_STORE : story_random(s, 3) == 0 ? SPEC_ALWAYS : 0;
    story_node(s, id, items, item_count, nodes, node_count, outputs, output_count, flags, story_random(s, 4) ? 0 : 1 + story_random(s, 8));
}

static inline void story_random_finished(story *s, uint64_t execution)
{
    read_record reads[10] = {0};
    output_record outputs[2] = {0};
    reason_record reasons[2] = {0};
    size_t read_count = story_random(s, 10);
    uint32_t group = 0;
    for (size_t i = 0; i < read_count; i++) {
        group += i > 0 && story_random(s, 3) == 0;
        bool declared = story_random(s, 2);
        uint64_t source = 1 + story_random(s, 12);
        reads[i] = (read_record){.ref = {.aspect = ASPECT_CONTENT, .port = declared ? 0 : -1, .member = declared ? (int32_t)story_random(s, 5) : -1,
                                         .sub = -1, .item = declared ? 0 : source},
                                 .group = group, .source = source, .source_is_node = declared && story_random(s, 3) == 0,
                                 .hash = story_hash(story_random(s, 40))};
    }
    for (uint32_t i = 0; i < 2; i++)
        outputs[i] = (output_record){i, 13 + story_random(s, 12), story_hash(story_random(s, 50)), story_random(s, 1000), 0644};
    reasons[0] = (reason_record){.kind = REASON_INPUT_CHANGED, .source = 1 + story_random(s, 12), .old_hash = story_hash(1), .new_hash = story_hash(2)};
    reasons[1] = (reason_record){.kind = REASON_FORCED, .detail = bytes_str("by hand")};
    TELL(s, finished, FINISHED, .execution = execution, .node = 1 + story_random(s, 8), .result = (execution_result)(1 + story_random(s, 6)),
         .key = story_random(s, 5) ? story_hash(1000 + story_random(s, 6)) : HASH_NONE, .spec_seq = story_random(s, 100), .effect_seq = 2,
         .reads = reads, .read_count = read_count, .outputs = outputs, .output_count = story_random(s, 3), .reasons = reasons,
         .reason_count = story_random(s, 3), .value = story_random(s, 2) ? story_hash(9) : HASH_NONE, .duration_us = 10, .cpu_us = 5,
         .memory_bytes = 4096, .message = bytes_str(""), .started_us = 1700000000000000, .changed = story_random(s, 2));
}

static inline void story_random_started(story *s)
{
    aside_record asides[] = {{13, 0, story_hash(3), 0644}, {14, 1, story_hash(4), 0755}};
    uint64_t fresh[] = {15, 16};
    s->execution++;
    TELL(s, started, STARTED, .execution = s->execution, .node = 1 + story_random(s, 8), .token = story_hash(s->seq),
         .job = JOB_PURE, .asides = asides, .aside_count = story_random(s, 3), .fresh = fresh, .fresh_count = story_random(s, 3));
    if (story_random(s, 2)) TELL(s, spawned, SPAWNED, .execution = s->execution, .pid = 77, .start_ticks = 12345);
    if (story_random(s, 3)) story_random_finished(s, s->execution);
}

static inline void story_random_settled(story *s)
{
    output_record output = {0, 13 + story_random(s, 12), story_hash(story_random(s, 50)), 5, 0600};
    reason_record reason = {.kind = REASON_CODE_CHANGED, .detail = bytes_str("cc")};
    outcome what = (outcome)(OUTCOME_RESTORED + story_random(s, 4));
    bool holds = what == OUTCOME_RESTORED || what == OUTCOME_UNCHANGED;
    TELL(s, settled, SETTLED, .node = 1 + story_random(s, 8), .what = what, .execution = holds ? 1 + story_random(s, s->execution + 1) : 0,
         .spec_seq = 3, .effect_seq = 2, .cause = holds ? 0 : 1 + story_random(s, 8), .reasons = &reason, .reason_count = story_random(s, 2),
         .outputs = &output, .output_count = holds ? story_random(s, 2) : 0, .value = story_hash(9), .changed = story_random(s, 2));
}

static inline void story_random_definition(story *s)
{
    definition_read reads[] = {{1 + story_random(s, 6), story_hash(1)}, {7 + story_random(s, 6), story_hash(2)}};
    bytes defaults[] = {bytes_str("node1"), bytes_str("public/*")};
    TELL(s, definition, DEFINITION, .graph = 1, .file = bytes_str("weir.lua"), .reads = reads, .read_count = story_random(s, 3),
         .defaults = defaults, .default_count = story_random(s, 3), .always = bytes_str(story_random(s, 4) ? "" : "a C module"));
}

static inline void story_random_run(story *s)
{
    TELL(s, run_finished, RUN_FINISHED, .ran = 3, .unchanged = 2, .cut_off = 1, .duration_us = 77, .complete = story_random(s, 2));
    s->run++;
    TELL(s, run_started, RUN_STARTED, .trigger = bytes_str("watch"), .graph = 1);
}

/** One event, or a few that belong together. */
static inline void story_random_step(story *s)
{
    static const char *const boots[] = {"boot-1", "boot-2", ""};
    buf value = {0};
    switch (story_random(s, 20)) {
    case 0: TELL(s, session, SESSION, .version = bytes_str("1"), .build = bytes_str("b"), .boot_id = bytes_str(boots[story_random(s, 3)])); break;
    case 1: story_random_run(s); break;
    case 2: case 3: case 4: story_random_node(s, 1 + story_random(s, 8)); break;
    case 5: TELL(s, node_removed, NODE_REMOVED, .node = 1 + story_random(s, 8)); break;
    case 6: story_random_definition(s); break;
    case 7: case 8: story_random_started(s); break;
    case 9: case 10: case 11: story_random_finished(s, ++s->execution); break;
    case 12: case 13: story_random_settled(s); break;
    case 14: TELL(s, item_observed, ITEM_OBSERVED, .item = 1 + story_random(s, 24), .hash = story_hash(story_random(s, 30)), .size = 9, .mode = 0644); break;
    case 15: TELL(s, output_removed, OUTPUT_REMOVED, .item = 13 + story_random(s, 12), .hash = story_hash(1)); break;
    case 16: TELL(s, folder_made, FOLDER_MADE, .path = bytes_str(story_random(s, 2) ? "out" : "out/deep"), .removed = story_random(s, 3) == 0); break;
    case 17: TELL(s, edge_found, EDGE_FOUND, .from = 1, .to = 1 + story_random(s, 8), .execution = 1, .to_height = story_random(s, 9)); break;
    case 18:
        TELL(s, traces_dropped, TRACES_DROPPED, .node = 1 + s->seq % 8, .key = story_hash(1000 + s->seq % 6),
             .executions = (uint64_t[]){1 + s->execution / 2, s->execution}, .execution_count = 2, .voided = s->seq % 2);
        TELL(s, node_due, NODE_DUE, .node = 1 + story_random(s, 8), .reason = REASON_VOIDED); break;
    default:
        if (story_random(s, 3)) value_put_int(&value, (int64_t)story_random(s, 3));
        TELL(s, value_set, VALUE_SET, .item = 12, .value = buf_bytes(&value));
        TELL(s, payloads_synced, PAYLOADS_SYNCED, .seq = s->seq / 2);
        TELL(s, foreign_kept, FOREIGN_KEPT, .item = 13, .hash = story_hash(8), .node = 1);
        story_effect(s, 2, story_random(s, 2) ? "page" : "page2");
        buf_deinit(&value);
    }
}

static inline void story_tell(story *s, size_t steps)
{
    for (size_t i = 0; i < steps; i++) story_random_step(s);
}

#endif
