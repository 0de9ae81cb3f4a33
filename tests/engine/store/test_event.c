/*
 * test_event.c - every kind of event there and back, its bytes pinned, its JSON, and what damage does: nothing bad.
 */
#include "tests/check.h"

#include "tests/engine/store/event_samples.h"

/* Scheme 1 is frozen: what was written once must stay readable, byte by byte. XXH3-128 over all samples' bodies. */
static const char FROZEN[] = "51fb1a773ebbb1191f65ad2faa78a823";

static void put_sample(int kind, buf *b)
{
    mem_arena arena;
    event_body e;
    arena_init(&arena);
    CHECK_OR_STOP(event_sample(kind, &arena, &e));
    event_put_body(b, &e);
    CHECK(!b->failed && b->size > 0 && b->data[0] == 1);
    arena_deinit(&arena);
}

/* Bytes, struct, bytes; and the JSON is well-formed. */
static void check_stable(int kind, bytes body)
{
    mem_arena arena;
    event_body e;
    weir_error err;
    buf again = {0}, text = {0}, value = {0};
    arena_init(&arena);
    CHECK_OK(event_get(kind, body, &arena, &e, &err), err);
    CHECK_INT(kind, e.kind);
    event_put_body(&again, &e);
    CHECK_BYTES(body.data, body.size, again.data, again.size);
    CHECK_OK(event_to_json(kind, body, &text, &err), err);
    CHECK_OK(value_from_json(buf_bytes(&text), &value, &err), err);
    arena_deinit(&arena);
    buf_deinit(&again);
    buf_deinit(&text);
    buf_deinit(&value);
}

static void test_every_kind(void)
{
    char hex[HASH_HEX];
    buf all = {0};
    for (int kind = EVENT_SESSION; kind <= EVENT_VALUE_SET; kind++) {
        buf b = {0};
        put_sample(kind, &b);
        check_stable(kind, buf_bytes(&b));
        buf_append(&all, b.data, b.size);
        CHECK(strcmp(event_kind_name(kind), "unknown") != 0);
        buf_deinit(&b);
    }
    CHECK_STR(FROZEN, hash_hex(hash_bytes(all.data, all.size), hex));
    CHECK_STR("unknown", event_kind_name(0));
    CHECK_STR("unknown", event_kind_name(99));
    buf_deinit(&all);
}

static int read_body(int kind, bytes body);

/* Kinds that came later are frozen one by one. */
static void test_later_kinds(void)
{
    static const struct { int kind; const char *frozen, *name; } kinds[] = {
        {EVENT_TRACES_DROPPED, "0bc077781c4a43c80cd56861f202c65f", "traces_dropped"}, {EVENT_ACCEPTED, "759591bd530a5fdd92193d0130c0f814", "accepted"},
        {EVENT_EDGE_DROPPED, "741c6edefc45481557c95944022e769c", "edge_dropped"},
        {EVENT_EXPANDED, "e2e16fb06142b5d7efe3f4890342867a", "expanded"},
        {EVENT_RECOVERED, "7cabfc3f9d13177d70b44da8c12c1c90", "recovered"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char hex[HASH_HEX];
        buf b = {0};
        put_sample(kinds[i].kind, &b);
        check_stable(kinds[i].kind, buf_bytes(&b));
        CHECK_STR(kinds[i].frozen, hash_hex(hash_bytes(b.data, b.size), hex));
        CHECK_STR(kinds[i].name, event_kind_name(kinds[i].kind));
        for (size_t size = 0; size < b.size; size++) CHECK_INT(WEIR_CORRUPT, read_body(kinds[i].kind, bytes_of(b.data, size)));
        buf_deinit(&b);
    }
}

/* All fields zero: most are left out, and come back as zeros. */
static void test_empty(void)
{
    static const int without_enum[] = {EVENT_SESSION, EVENT_RUN_STARTED, EVENT_RUN_FINISHED, EVENT_DEFINITION,
                                       EVENT_STARTED, EVENT_FOLDER_MADE, EVENT_VALUE_SET};
    for (size_t i = 0; i < sizeof without_enum / sizeof *without_enum; i++) {
        event_body e;
        buf b = {0};
        memset(&e, 0, sizeof e);
        e.kind = (event_kind)without_enum[i];
        event_put_body(&b, &e);
        CHECK_INT(2, b.size);
        check_stable(without_enum[i], buf_bytes(&b));
        buf_deinit(&b);
    }
    mem_arena arena;
    event_body e;
    weir_error err;
    arena_init(&arena);
    CHECK_OK(event_get(EVENT_SESSION, bytes_of("\1\0", 2), &arena, &e, &err), err);
    CHECK(e.session.boot_id.data != NULL && e.session.boot_id.size == 0);
    CHECK_CODE(WEIR_CORRUPT, event_get(EVENT_FINISHED, bytes_of("\1\0", 2), &arena, &e, &err), err);
    CHECK_HAS("result", err.message);
    arena_deinit(&arena);
}

/* --- an execution ----------------------------------------------------------------------------------------------- */

static void check_reads(const event_finished *f, const event_finished *s)
{
    CHECK_OR_STOP(f->read_count == s->read_count);
    for (size_t i = 0; i < s->read_count; i++) {
        CHECK_INT(f->reads[i].ref.aspect, s->reads[i].ref.aspect);
        CHECK_INT(f->reads[i].ref.port, s->reads[i].ref.port);
        CHECK_INT(f->reads[i].ref.member, s->reads[i].ref.member);
        CHECK_INT(f->reads[i].ref.sub, s->reads[i].ref.sub);
        CHECK_INT(f->reads[i].ref.item, s->reads[i].ref.item);
        CHECK_INT(f->reads[i].group, s->reads[i].group);
        CHECK_INT(f->reads[i].source, s->reads[i].source);
        CHECK_INT(f->reads[i].source_is_node, s->reads[i].source_is_node);
        CHECK_HASH(f->reads[i].hash, s->reads[i].hash);
    }
}

static void check_outputs(const event_finished *f, const event_finished *s)
{
    CHECK_OR_STOP(f->output_count == s->output_count);
    for (size_t i = 0; i < s->output_count; i++) {
        CHECK_INT(f->outputs[i].port, s->outputs[i].port);
        CHECK_INT(f->outputs[i].item, s->outputs[i].item);
        CHECK_HASH(f->outputs[i].hash, s->outputs[i].hash);
        CHECK(f->outputs[i].size == s->outputs[i].size);
        CHECK_INT(f->outputs[i].mode, s->outputs[i].mode);
    }
}

static void check_reasons(const event_finished *f, const event_finished *s)
{
    CHECK_OR_STOP(f->reason_count == s->reason_count);
    for (size_t i = 0; i < s->reason_count; i++) {
        CHECK_INT(f->reasons[i].kind, s->reasons[i].kind);
        CHECK_INT(f->reasons[i].source, s->reasons[i].source);
        CHECK_INT(f->reasons[i].source_is_node, s->reasons[i].source_is_node);
        CHECK_HASH(f->reasons[i].old_hash, s->reasons[i].old_hash);
        CHECK_HASH(f->reasons[i].new_hash, s->reasons[i].new_hash);
        CHECK_BYTES(f->reasons[i].detail.data, f->reasons[i].detail.size, s->reasons[i].detail.data, s->reasons[i].detail.size);
    }
}

static void test_finished(void)
{
    mem_arena arena;
    event_body got;
    weir_error err;
    buf b = {0}, text = {0};
    arena_init(&arena);
    event_finished f = sample_finished(&arena);
    event_put_finished(&b, &f);
    CHECK_OK(event_get(EVENT_FINISHED, buf_bytes(&b), &arena, &got, &err), err);
    CHECK(!got.finished.known);
    f.known = true; /* came later: written only when it is so */
    buf_clear(&b);
    event_put_finished(&b, &f);
    CHECK_OK(event_get(EVENT_FINISHED, buf_bytes(&b), &arena, &got, &err), err);
    event_finished *s = &got.finished;
    check_reads(&f, s);
    check_outputs(&f, s);
    check_reasons(&f, s);
    CHECK_INT(f.exit_code, s->exit_code);
    CHECK_INT(f.started_us, s->started_us);
    CHECK_HASH(f.value, s->value);
    CHECK_HASH(f.log, s->log);
    CHECK(s->changed);
    CHECK(s->known);
    CHECK_OK(event_to_json(EVENT_FINISHED, buf_bytes(&b), &text, &err), err);
    CHECK_HAS("\"result\":\"failed\"", buf_cstr(&text));
    CHECK_HAS("\"reason\":\"input-changed\",\"source\":12", buf_cstr(&text));
    CHECK_HAS("\"detail\":\"uses %FF\",\"detail_base64\":\"dXNlcyD/\"", buf_cstr(&text));
    CHECK_HAS("{\"aspect\":\"value\",\"port\":1,\"member\":-1,\"sub\":0,\"item\":0,\"group\":1,\"source\":5,\"source_is_node\":true,"
              "\"hash\":\"", buf_cstr(&text));
    arena_deinit(&arena);
    buf_deinit(&b);
    buf_deinit(&text);
}

/* One read, one output, ids of a large project. */
static void test_size(void)
{
    read_record read = {{ASPECT_CONTENT, 0, -1, -1, 0}, 0, 1000000, false, sample_hash("in")};
    output_record output = {0, 1000001, sample_hash("out"), 4321, 0644};
    reason_record reason = {REASON_NEW, 0, false, HASH_NONE, HASH_NONE, {0}};
    event_finished f = {.execution = 3000000, .node = 900000, .result = EXECUTION_OK, .key = sample_hash("key"), .spec_seq = 2000000,
                        .effect_seq = 5, .reads = &read, .read_count = 1, .outputs = &output, .output_count = 1,
                        .reasons = &reason, .reason_count = 1, .duration_us = 4000, .cpu_us = 3000, .memory_bytes = 3 << 20,
                        .started_us = 1770000000000000, .changed = true};
    buf b = {0};
    event_put_finished(&b, &f);
    printf("execution with one read and one output: %zu bytes\n", b.size);
    CHECK(b.size <= 102);
    buf_clear(&b);
    reason = (reason_record){REASON_INPUT_CHANGED, 1000000, false, sample_hash("before"), sample_hash("in"), bytes_str("text")};
    event_put_finished(&b, &f);
    printf("the same, because an input changed: %zu bytes\n", b.size);
    CHECK(b.size <= 130);
    buf_deinit(&b);
}

/* --- damage ----------------------------------------------------------------------------------------------------- */

/* A block of exactly this size, so that a sanitizer sees a step behind it. */
static uint8_t *tight_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    CHECK_OR_STOP(copy != NULL);
    if (size) memcpy(copy, data, size);
    return copy;
}

static int read_body(int kind, bytes body)
{
    mem_arena arena;
    event_body e;
    weir_error err;
    buf text = {0}, again = {0};
    uint8_t *copy = tight_copy(body.data, body.size);
    arena_init(&arena);
    int rc = event_get(kind, bytes_of(copy, body.size), &arena, &e, &err);
    if (rc == 0) event_put_body(&again, &e);
    (void)event_to_json(kind, bytes_of(copy, body.size), &text, &err);
    arena_deinit(&arena);
    buf_deinit(&text);
    buf_deinit(&again);
    free(copy);
    return rc;
}

static void test_truncated(void)
{
    for (int kind = EVENT_SESSION; kind <= EVENT_VALUE_SET; kind++) {
        buf b = {0};
        put_sample(kind, &b);
        for (size_t size = 0; size < b.size; size++) CHECK_INT(WEIR_CORRUPT, read_body(kind, bytes_of(b.data, size)));
        buf_byte(&b, 0);
        CHECK_INT(WEIR_CORRUPT, read_body(kind, buf_bytes(&b)));
        b.data[0] = 2;
        CHECK_INT(WEIR_NEWER, read_body(kind, buf_bytes(&b)));
        CHECK_INT(WEIR_NEWER, read_body(99, buf_bytes(&b)));
        buf_deinit(&b);
    }
}

static void test_flipped(void)
{
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 4000; round++) {
        buf b = {0};
        int kind = EVENT_SESSION + round % EVENT_VALUE_SET;
        put_sample(kind, &b);
        for (int flips = round % 3; flips >= 0; flips--) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            b.data[random % b.size] = (uint8_t)(random >> 32);
        }
        int rc = read_body(kind, buf_bytes(&b));
        CHECK(rc == 0 || rc == WEIR_CORRUPT || rc == WEIR_NEWER);
        buf_deinit(&b);
    }
}

static void test_no_memory(void)
{
    buf b = {0};
    put_sample(EVENT_FINISHED, &b);
    for (int64_t n = 1; n < 100; n++) {
        mem_fail_at(n, true);
        int rc = read_body(EVENT_FINISHED, buf_bytes(&b));
        mem_fail_at(0, false);
        if (rc == 0) break;
        CHECK_INT(WEIR_NOMEM, rc);
    }
    buf_deinit(&b);
}

/* --- refs, names, JSON ------------------------------------------------------------------------------------------ */

static void test_refs(void)
{
    mem_arena arena;
    weir_error err;
    read_ref refs[] = {{ASPECT_CONTENT, 0, -1, -1, 0}, {ASPECT_OUTPATH, 2, -1, -1, 0}, {ASPECT_CONTENT, -1, -1, -1, UINT64_MAX},
                       {ASPECT_VALUE, INT32_MAX, INT32_MAX, INT32_MAX, 0}};
    read_ref *got;
    size_t count;
    buf b = {0}, again = {0};
    arena_init(&arena);
    read_refs_put(&b, refs, 4);
    CHECK_OK(read_refs_get(buf_bytes(&b), &arena, &got, &count, &err), err);
    CHECK_OR_STOP(count == 4);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(refs[i].aspect, got[i].aspect);
        CHECK_INT(refs[i].port, got[i].port);
        CHECK_INT(refs[i].member, got[i].member);
        CHECK_INT(refs[i].sub, got[i].sub);
        CHECK(refs[i].item == got[i].item);
    }
    for (size_t size = 0; size < b.size; size++)
        CHECK_CODE(WEIR_CORRUPT, read_refs_get(bytes_of(b.data, size), &arena, &got, &count, &err), err);
    read_refs_put(&again, NULL, 0);
    CHECK_OK(read_refs_get(buf_bytes(&again), &arena, &got, &count, &err), err);
    CHECK_INT(0, count);
    arena_deinit(&arena);
    buf_deinit(&b);
    buf_deinit(&again);
}

static void check_event_json(const char *expected, int kind)
{
    weir_error err;
    buf b = {0}, text = {0};
    put_sample(kind, &b);
    CHECK_OK(event_to_json(kind, buf_bytes(&b), &text, &err), err);
    CHECK_STR(expected, buf_cstr(&text));
    buf_deinit(&b);
    buf_deinit(&text);
}

static void test_json(void)
{
    check_event_json("{\"version\":\"0.1.0\",\"build\":\"b1\",\"boot_id\":\"boot\",\"pid\":4242}", EVENT_SESSION);
    check_event_json("{\"trigger\":\"run\",\"graph\":1,\"targets\":[\"public/*.html\",\"\",\"tidy\"],\"forced\":true}", EVENT_RUN_STARTED);
    check_event_json("{\"turns\":8,\"duration_us\":9,\"complete\":true,\"ran\":1,\"unchanged\":2,\"cut_off\":4,\"restored\":3,\"failed\":5,"
                     "\"blocked\":6,\"raced\":7,\"interrupted\":true}", EVENT_RUN_FINISHED);
    check_event_json("{\"item\":12,\"kind\":\"file\",\"name\":\"content/a.md\"}", EVENT_ITEM_NAMED);
    check_event_json("{\"node\":9,\"reason\":\"voided\"}", EVENT_NODE_DUE);
    check_event_json("{\"item\":14,\"value\":{\"opt\":2},\"unset\":false}", EVENT_VALUE_SET);
    check_event_json("{\"path\":\"public\",\"removed\":true}", EVENT_FOLDER_MADE);
    weir_error err;
    buf text = {0};
    CHECK_OK(event_to_json(EVENT_VALUE_SET, bytes_of("\1\1\5", 3), &text, &err), err);
    CHECK_STR("{\"item\":5,\"value\":null,\"unset\":true}", buf_cstr(&text));
    buf_clear(&text);
    CHECK_OK(event_to_json(EVENT_OUTPUT_REMOVED, bytes_of("\1\1\5", 3), &text, &err), err);
    CHECK_STR("{\"item\":5,\"hash\":null}", buf_cstr(&text));
    buf_deinit(&text);
}

static void test_names(void)
{
    CHECK_STR("new", reason_name(REASON_NEW));
    CHECK_STR("input-changed", reason_name(REASON_INPUT_CHANGED));
    CHECK_STR("previous-failed", reason_name(REASON_PREVIOUS_FAILED));
    CHECK_STR("always", reason_name(REASON_ALWAYS));
    CHECK_STR("unknown", reason_name((reason_kind)0));
    CHECK_STR("ran", outcome_name(OUTCOME_RAN));
    CHECK_STR("blocked", outcome_name(OUTCOME_BLOCKED));
    CHECK_STR("finished", event_kind_name(EVENT_FINISHED));
}

int main(void)
{
    test_every_kind();
    test_later_kinds();
    test_empty();
    test_finished();
    test_size();
    test_truncated();
    test_flipped();
    test_no_memory();
    test_refs();
    test_json();
    test_names();
    return check_done();
}
