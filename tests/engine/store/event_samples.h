/*
 * event_samples.h - one event of each kind with every field filled in, for tests and fuzzers.
 *
 * The nested bytes (declarations, a value) live in the arena.
 */
#ifndef WEIR_TESTS_EVENT_SAMPLES_H
#define WEIR_TESTS_EVENT_SAMPLES_H

#include "engine/store/event.h"
#include "engine/store/value.h"

#define SAMPLE_TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}

static bytes SAMPLE_TEXTS[] = {SAMPLE_TEXT("public/*.html"), SAMPLE_TEXT(""), SAMPLE_TEXT("tidy")};
static uint64_t SAMPLE_IDS[] = {70, 71, 3};

static inline hash128 sample_hash(const char *text)
{
    return hash_bytes(text, strlen(text));
}

static inline bytes sample_keep(mem_arena *arena, buf *b)
{
    bytes kept = arena_bytes(arena, buf_bytes(b));
    buf_deinit(b);
    return kept;
}

static inline bytes sample_effect(mem_arena *arena)
{
    effect_spec spec = {.name = bytes_str("page"), .kind = EFFECT_LUA, .version = bytes_str("1"), .code = sample_hash("code")};
    buf b = {0};
    effect_put(&b, &spec, false);
    return sample_keep(arena, &b);
}

static inline bytes sample_value(mem_arena *arena)
{
    buf b = {0};
    value_put_object(&b, 1);
    value_put_key(&b, bytes_str("opt"));
    value_put_int(&b, 2);
    return sample_keep(arena, &b);
}

static inline bytes sample_node(mem_arena *arena)
{
    spec_member members[] = {{MEMBER_ITEM, ITEM_FILE, 12, SAMPLE_TEXT(""), SAMPLE_TEXT("")},
                             {MEMBER_OUTPUT, 0, 9, SAMPLE_TEXT(""), SAMPLE_TEXT("html")}};
    spec_input input = {.port = bytes_str("sources"), .is_list = true, .members = members, .count = 2};
    spec_output output = {bytes_str("html"), bytes_str(""), 13};
    spec_env env = {bytes_str("LANG"), bytes_str("C")};
    bytes command[] = {SAMPLE_TEXT("cc"), SAMPLE_TEXT("{{sources}}")};
    node_spec spec = {.name = bytes_str("page[opt=2]"), .base = bytes_str("page"), .effect = bytes_str("page"), .effect_id = 4,
                      .params = sample_value(arena), .inputs = &input, .input_count = 1, .outputs = &output,
                      .output_count = 1, .command = command, .command_count = 2, .depfile = bytes_str("a.d"), .env = &env,
                      .env_count = 1, .version = bytes_str("1"), .flags = SPEC_ALWAYS, .job = JOB_OPS, .retries = 1,
                      .timeout_ms = 1000};
    buf b = {0};
    spec_put_stored(&b, &spec);
    return sample_keep(arena, &b);
}

static inline event_finished sample_finished(mem_arena *arena)
{
    read_record *reads = arena_zero(arena, 4, sizeof *reads);
    output_record *outputs = arena_zero(arena, 2, sizeof *outputs);
    reason_record *reasons = arena_zero(arena, 4, sizeof *reasons);
    reads[0] = (read_record){{ASPECT_CONTENT, 0, 2, -1, 0}, 0, 12, false, sample_hash("content")};
    reads[1] = (read_record){{ASPECT_CONTENT, -1, -1, -1, 77}, 0, 77, false, HASH_ABSENT};
    reads[2] = (read_record){{ASPECT_VALUE, 1, -1, 0, 0}, 1, 5, true, sample_hash("value")};
    reads[3] = (read_record){{ASPECT_LIST, 2, -1, -1, 0}, 3, 0, false, sample_hash("list")};
    outputs[0] = (output_record){0, 1000, sample_hash("html"), 812, 0644};
    outputs[1] = (output_record){1, 990, HASH_NONE, INT64_MAX, 0755};
    reasons[0] = (reason_record){REASON_INPUT_CHANGED, 12, false, sample_hash("old"), sample_hash("content"), bytes_str("text")};
    reasons[1] = (reason_record){REASON_NEW, 0, false, HASH_NONE, HASH_NONE, bytes_str("")};
    reasons[2] = (reason_record){REASON_CODE_CHANGED, 6, true, sample_hash("old"), sample_hash("code"), bytes_str("")};
    reasons[3] = (reason_record){REASON_ALWAYS, 0, false, HASH_NONE, HASH_NONE, bytes_str("uses \xff")};
    return (event_finished){
        .execution = 100, .node = 9, .result = EXECUTION_FAILED, .key = sample_hash("key"), .spec_seq = 50,
        .effect_seq = 4, .tool = sample_hash("tool"), .reads = reads, .read_count = 4, .outputs = outputs,
        .output_count = 2, .value = sample_hash("result"), .reasons = reasons, .reason_count = 4,
        .log = sample_hash("log"), .exit_code = -1, .signal = 9, .message = bytes_str("killed"), .duration_us = 1234,
        .cpu_us = 1000, .memory_bytes = 1 << 20, .started_us = 1700000000000000, .changed = true,
    };
}

/** false: no such kind. */
static inline bool event_sample(int kind, mem_arena *arena, event_body *e)
{
    static definition_read seen[2];
    static aside_record asides[2];
    event_finished finished = sample_finished(arena);
    hash128 hash = sample_hash("hash");
    seen[0] = (definition_read){8, hash};
    seen[1] = (definition_read){3, HASH_NONE};
    asides[0] = (aside_record){60, 1, hash, 0644};
    asides[1] = (aside_record){61, 2, HASH_NONE, 0};
    memset(e, 0, sizeof *e);
    e->kind = (event_kind)kind;
    bytes name = bytes_str("content/a.md");
    switch (kind) {
    case EVENT_SESSION: e->session = (event_session){bytes_str("0.1.0"), bytes_str("b1"), bytes_str("boot"), 4242}; break;
    case EVENT_RUN_STARTED: e->run_started = (event_run_started){bytes_str("run"), 1, SAMPLE_TEXTS, 3, true}; break;
    case EVENT_RUN_FINISHED: e->run_finished = (event_run_finished){1, 2, 3, 4, 5, 6, 7, 8, 9, true, true}; break;
    case EVENT_ITEM_NAMED: e->item_named = (event_item_named){12, ITEM_FILE, name}; break;
    case EVENT_ITEM_OBSERVED: e->item_observed = (event_item_observed){12, hash, 3, 0644}; break;
    case EVENT_EFFECT: e->effect = (event_effect){4, 1, sample_effect(arena)}; break;
    case EVENT_NODE: e->node = (event_node){9, 1, 2, 8, sample_node(arena)}; break;
    case EVENT_NODE_REMOVED: e->node_removed = (event_node_removed){9}; break;
    case EVENT_DEFINITION:
        e->definition = (event_definition){1, bytes_str("weir.lua"), seen, 2, SAMPLE_TEXTS, 2, bytes_str("C module")};
        break;
    case EVENT_STARTED: e->started = (event_started){100, 9, hash, JOB_OPS, asides, 2, SAMPLE_IDS, 3}; break;
    case EVENT_SPAWNED: e->spawned = (event_spawned){100, 4243, 99}; break;
    case EVENT_FINISHED: e->finished = finished; break;
    case EVENT_SETTLED:
        e->settled = (event_settled){9, OUTCOME_RESTORED, 100, 50, 4, 6, finished.reasons, 4, finished.outputs, 2, hash, true};
        break;
    case EVENT_OUTPUT_REMOVED: e->output_removed = (event_output_removed){13, hash}; break;
    case EVENT_FOREIGN_KEPT: e->foreign_kept = (event_foreign_kept){13, hash, 9}; break;
    case EVENT_FOLDER_MADE: e->folder_made = (event_folder_made){bytes_str("public"), true}; break;
    case EVENT_PAYLOADS_SYNCED: e->payloads_synced = (event_payloads_synced){101}; break;
    case EVENT_EDGE_FOUND: e->edge_found = (event_edge_found){8, 9, 100, 3}; break;
    case EVENT_NODE_DUE: e->node_due = (event_node_due){9, REASON_VOIDED}; break;
    case EVENT_VALUE_SET: e->value_set = (event_value_set){14, sample_value(arena)}; break;
    case EVENT_TRACES_DROPPED: e->traces_dropped = (event_traces_dropped){9, hash, SAMPLE_IDS, 3, true}; break;
    case EVENT_ACCEPTED: e->accepted = finished; break;
    case EVENT_EXPANDED: e->expanded = (event_expanded){9, hash, SAMPLE_IDS, 3}; break;
    case EVENT_EDGE_DROPPED: e->edge_dropped = (event_edge_dropped){8, 9}; break;
    case EVENT_RECOVERED: e->recovered = (event_recovered){100, 9, RECOVERED_ADOPTED, 4243, 99}; break;
    default: return false;
    }
    return true;
}

#endif
