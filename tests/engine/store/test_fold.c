/* test_fold.c - what each kind of event does to the state; rebuild and check; time per finished execution. */
#include "engine/store/fold.h"

#include <stdarg.h>
#include <time.h>

#include "engine/store/trace.h"
#include "tests/engine/store/story_db.h"

static db *d;
static story_db into;
static weir_error err;

/* All rows of a query: columns by |, rows by space; blobs as their first four digits. */
static const char *ask(const char *sql)
{
    static char text[4096];
    size_t used = 0;
    text[0] = '\0';
    db_stmt *s = db_prepare(d, sql, NULL, &err);
    if (!CHECK(s != NULL)) return err.message;
    while (db_step(s, &err) == 1)
        for (int i = 0; i < db_columns(s); i++) {
            const char *gap = i ? "|" : used ? " " : "";
            bytes b = db_bytes(s, i);
            if (db_column_type(s, i) == 4 && b.size == HASH_SIZE)
                used += (size_t)snprintf(text + used, sizeof text - used, "%s%02x%02x", gap, b.data[0], b.data[1]);
            else used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", gap, (int)b.size, b.data ? (const char *)b.data : "");
        }
    db_finalize(s);
    return text;
}

/* What an execution looked at: group|port|source, from the event of its end. */
static const char *reads_of(uint64_t execution)
{
    static char text[512];
    size_t used = 0;
    size_t count = 0;
    read_record *reads = NULL;
    text[0] = '\0';
    db_stmt *s = db_get(d, SQL_EXECUTION_ENDED, &err);
    if (!CHECK(s != NULL)) return err.message;
    db_bind_int(s, 1, (int64_t)execution);
    if (!CHECK_INT(1, db_step(s, &err))) return err.message;
    CHECK_OK(event_get_reads((int)db_int(s, 0), db_bytes(s, 1), &into.scratch, &reads, &count, &err), err);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u|%d|%llu", i ? " " : "", (unsigned)reads[i].group,
                                 (int)reads[i].ref.port, (unsigned long long)reads[i].source);
    db_reset(s);
    arena_reset(&into.scratch);
    return text;
}

static const char *hex4(hash128 hash)
{
    static char text[4][5];
    static unsigned at;
    char *to = text[at++ % 4];
    snprintf(to, 5, "%02x%02x", hash.bytes[0], hash.bytes[1]);
    return to;
}

static const char *fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *fmt(const char *format, ...)
{
    static char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

static story begin(const char *name)
{
    CHECK_OR_STOP(db_open(&d, check_path(name), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_begin(d, &err), err);
    into.d = d;
    story s = story_new(story_db_emit, &into);
    story_begin(&s);
    return s;
}

static void on_difference(void *ctx, const char *line)
{
    if (ctx) snprintf(ctx, 512, "%s", line);
    else fprintf(stderr, "  %s\n", line);
}

static uint64_t differences(char *line)
{
    uint64_t count = 0;
    CHECK_OK(fold_check(d, on_difference, line, &count, &err), err);
    return count;
}

static void end(void)
{
    CHECK_OK(db_commit(d, false, &err), err);
    CHECK_INT(0, differences(NULL));
    uint64_t events = 0;
    CHECK_OK(fold_rebuild(d, &events, &err), err);
    CHECK(events > 30);
    CHECK_INT(0, differences(NULL));
    db_close(d);
}

#define NODE_LINE(id) ask("SELECT status, due, settled, execution, value FROM node WHERE id = " #id)

static void runs_and_items(void)
{
    story s = begin("items");
    CHECK_STR("boot-1", ask("SELECT boot_id FROM synced"));
    CHECK_STR("1|1|39|0|run", ask("SELECT id, graph, started, finished, trigger FROM run"));
    CHECK_STR("|0|0|25", ask("SELECT hash, size, mode, seq FROM item WHERE id = 22"));
    CHECK_STR("", ask("SELECT * FROM pending"));
    TELL(&s, item_observed, ITEM_OBSERVED, .item = 1, .hash = story_hash(1), .size = 101, .mode = 0644); /* the same */
    CHECK_STR("", ask("SELECT * FROM pending"));
    TELL(&s, item_observed, ITEM_OBSERVED, .item = 1, .hash = story_hash(99), .size = 5, .mode = 0755);
    CHECK_STR(fmt("%s|5|493|41", hex4(story_hash(99))), ask("SELECT hash, size, mode, seq FROM item WHERE id = 1"));
    CHECK_STR("1|0|41", ask("SELECT source, node, seq FROM pending"));
    buf value = {0};
    value_put_int(&value, 5);
    TELL(&s, value_set, VALUE_SET, .item = 12, .value = buf_bytes(&value));
    CHECK_STR(hex4(hash_bytes(value.data, value.size)), ask("SELECT hash FROM item WHERE id = 12"));
    buf_deinit(&value);
    CHECK_STR("1|0|41", ask("SELECT source, node, seq FROM pending")); /* it had none before */
    TELL(&s, value_set, VALUE_SET, .item = 12);
    CHECK_STR("12|1", ask("SELECT item, value IS NULL FROM value"));
    CHECK_STR(hex4(HASH_ABSENT), ask("SELECT hash FROM item WHERE id = 12"));
    CHECK_STR("1|0|41 12|0|43", ask("SELECT source, node, seq FROM pending"));
    TELL(&s, folder_made, FOLDER_MADE, .path = bytes_str("a/b"));
    TELL(&s, folder_made, FOLDER_MADE, .path = bytes_str("a"));
    TELL(&s, folder_made, FOLDER_MADE, .path = bytes_str("a/b"), .removed = true);
    CHECK_STR("a", ask("SELECT path FROM folder"));
    TELL(&s, payloads_synced, PAYLOADS_SYNCED, .seq = 40);
    CHECK_STR("40", ask("SELECT payload FROM synced"));
    CHECK_STR("1|0|1|cc|2 2|0|1|page|3", ask("SELECT id, graph, kind, name, seq FROM effect"));
    TELL(&s, run_finished, RUN_FINISHED, .ran = 1, .unchanged = 2, .restored = 3, .cut_off = 4, .failed = 5, .blocked = 6, .duration_us = 7);
    CHECK_STR("48|7|1|2|3|4|5|6|0", ask("SELECT finished, duration, ran, unchanged, restored, cut_off, failed, blocked, complete FROM run"));
    CHECK_STR("2", ask("SELECT count(*) FROM pending"));
    TELL(&s, run_finished, RUN_FINISHED, .complete = true);
    CHECK_STR("0", ask("SELECT count(*) FROM pending"));
    TELL(&s, item_observed, ITEM_OBSERVED, .item = 2, .hash = story_hash(7));
    TELL(&s, foreign_kept, FOREIGN_KEPT, .item = 13, .hash = story_hash(7));
    CHECK_STR("2|0|50", ask("SELECT source, node, seq FROM pending"));
    end();
}

static void declarations(void)
{
    story s = begin("nodes");
    static const uint64_t items[] = {3, 1, 3};
    static const uint64_t up[] = {1};
    static const uint64_t outs[] = {13, 14};
    static const uint64_t outs2[] = {14, 15};
    story_node(&s, 1, items, 3, NULL, 0, outs, 2, SPEC_NO_STORE, 0);
    story_node(&s, 2, items, 1, up, 1, NULL, 0, SPEC_ALWAYS, 0);
    CHECK_STR("1|node1|1|1|1|1|0|40|0|0|0 2|node2|1|2|1|1|1|41|0|0|0",
              ask("SELECT id, name, effect, height, status, due, always, spec, successor, settled, execution FROM node"));
    CHECK_STR("1|1|0 3|1|0 3|2|0", ask("SELECT item, node, origin FROM use"));
    CHECK_STR("1|2|0", ask("SELECT src, dst, origin FROM edge"));
    CHECK_STR("13 14", ask("SELECT id FROM item WHERE node = 1"));
    bytes defaults[] = {bytes_str("node1"), bytes_str("node2")};
    definition_read reads[] = {{2, story_hash(1)}, {1, story_hash(2)}};
    TELL(&s, definition, DEFINITION, .graph = 1, .file = bytes_str("weir.lua"), .reads = reads, .read_count = 2, .defaults = defaults, .default_count = 2);
    CHECK_STR("1|weir.lua|42||2", ask("SELECT id, file, seq, always, nodes FROM graph"));
    CHECK_STR("1 2", ask("SELECT item FROM definition_read"));
    CHECK_STR("0|node1 1|node2", ask("SELECT position, target FROM definition_default"));
    TELL(&s, definition, DEFINITION, .graph = 1, .file = bytes_str("weir.lua"), .reads = reads, .read_count = 1, .always = bytes_str("why"));
    CHECK_STR("1|weir.lua|43|why|2", ask("SELECT id, file, seq, always, nodes FROM graph"));
    CHECK_STR("2", ask("SELECT item FROM definition_read"));
    CHECK_STR("", ask("SELECT position FROM definition_default"));

    /* Settle both, then change the first: other inputs, one output dropped, one new. */
    output_record o = {0, 13, story_hash(30), 3, 0644};
    TELL(&s, finished, FINISHED, .execution = 1, .node = 1, .result = EXECUTION_OK, .outputs = &o, .output_count = 1, .value = story_hash(31));
    CHECK_STR(fmt("0|0|44|1|%s", hex4(story_hash(31))), NODE_LINE(1));
    story_node(&s, 1, items, 2, NULL, 0, outs2, 2, 0, 0);
    CHECK_STR(fmt("1|6|44|1|%s", hex4(story_hash(31))), NODE_LINE(1));
    CHECK_STR("14|1 15|1", ask("SELECT id, node FROM item WHERE node IS NOT NULL"));
    CHECK_STR(fmt("13|1|%s|1", hex4(story_hash(30))), ask("SELECT item, node, hash, keep FROM vanished_output"));
    story_node(&s, 2, items, 1, NULL, 0, outs, 1, 0, 0); /* claims 13, has no edge any more; never settled: still new */
    CHECK_STR("1|1|0|0|", NODE_LINE(2));
    CHECK_STR("", ask("SELECT * FROM vanished_output"));
    CHECK_STR("", ask("SELECT * FROM edge"));
    CHECK_STR("2", ask("SELECT nodes FROM graph"));

    /* Removal, a successor, a return. */
    story_node(&s, 2, items, 1, up, 1, outs, 1, 0, 0);
    TELL(&s, node_removed, NODE_REMOVED, .node = 1);
    CHECK_STR("9|0", ask("SELECT status, due FROM node WHERE id = 1"));
    CHECK_STR("3|2", ask("SELECT item, node FROM use"));
    CHECK_STR("1|2|0", ask("SELECT * FROM edge")); /* its user declares it still */
    CHECK_STR("1", ask("SELECT nodes FROM graph"));
    TELL(&s, node_removed, NODE_REMOVED, .node = 1); /* twice is once */
    CHECK_STR("1", ask("SELECT nodes FROM graph"));
    story_node(&s, 3, items, 1, NULL, 0, outs2, 1, 0, 1);
    CHECK_STR(fmt("1|6|0|1|%s", hex4(story_hash(31))), NODE_LINE(3));
    CHECK_STR("1", ask("SELECT successor FROM node WHERE id = 3"));
    story_node(&s, 1, items, 1, NULL, 0, NULL, 0, 0, 0);
    CHECK_STR("1|1", ask("SELECT status, due FROM node WHERE id = 1"));
    CHECK_STR("3", ask("SELECT nodes FROM graph"));
    TELL(&s, edge_found, EDGE_FOUND, .from = 1, .to = 3, .to_height = 9);
    CHECK_STR("9", ask("SELECT height FROM node WHERE id = 3"));
    TELL(&s, node_due, NODE_DUE, .node = 3, .reason = REASON_VOIDED);
    CHECK_STR("1|12", ask("SELECT status, due FROM node WHERE id = 3"));
    end();
}

static read_record read_of(uint32_t group, int32_t port, uint64_t source, uint64_t hash)
{
    return (read_record){.ref = {.aspect = ASPECT_CONTENT, .port = port, .member = -1, .sub = -1, .item = port < 0 ? source : 0},
                         .group = group, .source = source, .hash = story_hash(hash)};
}

static hash128 next(hash128 prefix, const read_record *reads, size_t count)
{
    hash_stream stream;
    trace_group(&stream, prefix);
    for (size_t i = 0; i < count; i++) trace_read(&stream, &reads[i].ref, reads[i].hash);
    return hash_end(&stream);
}

/* What a start found: one that goes on stays open, with its process; a failure that nobody was told of is marked until it is. */
static void recovered(void)
{
    story s = begin("recovered");
    story_node(&s, 1, NULL, 0, NULL, 0, NULL, 0, 0, 0);
    TELL(&s, started, STARTED, .execution = 1, .node = 1, .token = story_hash(6), .job = JOB_DAEMON);
    TELL(&s, recovered, RECOVERED, .execution = 1, .node = 1, .how = RECOVERED_ADOPTED, .pid = 7, .start_ticks = 70);
    CHECK_STR("1|1", ask("SELECT execution, adopted FROM open_token"));
    CHECK_STR("0|7|70", ask("SELECT result, pid, ticks FROM execution"));
    CHECK_STR("1|11", ask("SELECT status, due FROM node WHERE id = 1"));
    TELL(&s, finished, FINISHED, .execution = 1, .node = 1, .result = EXECUTION_INTERRUPTED);
    TELL(&s, recovered, RECOVERED, .execution = 1, .node = 1, .how = RECOVERED_RESTART);
    CHECK_STR("", ask("SELECT * FROM open_token"));
    CHECK_STR("1|11", ask("SELECT status, due FROM node WHERE id = 1"));
    TELL(&s, started, STARTED, .execution = 2, .node = 1, .token = story_hash(7), .job = JOB_BATCH);
    TELL(&s, finished, FINISHED, .execution = 2, .node = 1, .result = EXECUTION_FAILED);
    CHECK_STR("2|0", ask("SELECT status, due FROM node WHERE id = 1"));
    TELL(&s, recovered, RECOVERED, .execution = 2, .node = 1, .how = RECOVERED_FAILED);
    CHECK_STR("2|11", ask("SELECT status, due FROM node WHERE id = 1"));
    TELL(&s, settled, SETTLED, .node = 1, .what = OUTCOME_FAILED);
    CHECK_STR("2|0", ask("SELECT status, due FROM node WHERE id = 1"));
    end();
}

static void executions(void)
{
    story s = begin("executions");
    static const uint64_t items[] = {1, 2};
    static const uint64_t outs[] = {13};
    story_node(&s, 1, items, 2, NULL, 0, outs, 1, 0, 0);
    aside_record aside = {13, 4, story_hash(5), 0644};
    uint64_t fresh[] = {14};
    TELL(&s, started, STARTED, .execution = 1, .node = 1, .token = story_hash(6), .job = JOB_OPS, .asides = &aside, .aside_count = 1, .fresh = fresh, .fresh_count = 1);
    CHECK_STR("1|1|1|41|0|0|40|0", ask("SELECT id, node, run, started, finished, result, spec, effect FROM execution"));
    CHECK_STR("1|11|0|0|", NODE_LINE(1));
    CHECK_STR(fmt("13|4|%s|420 14|-1||0", hex4(story_hash(5))), ask("SELECT item, number, hash, mode FROM aside"));
    CHECK_STR("1|2|boot-1", ask("SELECT execution, job, boot_id FROM open_token"));
    TELL(&s, spawned, SPAWNED, .execution = 1, .pid = 99, .start_ticks = 1234);
    CHECK_STR("99|1234", ask("SELECT pid, ticks FROM execution"));
    CHECK_STR("0", ask("SELECT adopted FROM open_token"));

    read_record reads[] = {read_of(0, 0, 1, 1), read_of(0, 0, 2, 2), read_of(1, -1, 5, 5), read_of(1, -1, 4, 4), read_of(2, -1, 5, 5)};
    output_record o = {0, 13, story_hash(30), 3, 0755};
    reason_record reasons[] = {{.kind = REASON_NEW}, {.kind = REASON_ENV_CHANGED, .detail = bytes_str("LANG")}};
    TELL(&s, finished, FINISHED, .execution = 1, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .spec_seq = 40, .effect_seq = 2,
         .reads = reads, .read_count = 5, .outputs = &o, .output_count = 1, .reasons = reasons, .reason_count = 2, .duration_us = 8,
         .changed = true);
    CHECK_STR("41|43|1|40|2|99|8", ask("SELECT started, finished, result, spec, effect, pid, duration FROM execution"));
    CHECK_STR("", ask("SELECT * FROM aside"));
    CHECK_STR("", ask("SELECT * FROM open_token"));
    CHECK_STR("0|0|43|1|", NODE_LINE(1));
    CHECK_STR(fmt("13|%s|3|493|43", hex4(story_hash(30))), ask("SELECT id, hash, size, mode, seq FROM item WHERE id = 13"));
    CHECK_STR("0|13|3", ask("SELECT port, item, size FROM produced"));
    CHECK_STR("0|0|1 0|0|2 1|-1|5 1|-1|4 2|-1|5", reads_of(1));
    CHECK_STR("1|1|0 2|1|0 4|1|1 5|1|1", ask("SELECT item, node, origin FROM use"));
    CHECK_STR("43|1|1|1|1|0|40|2|1", ask("SELECT seq, run, node, outcome, execution, cause, spec, effect, changed FROM settled"));
    CHECK_STR("43|0|1| 43|1|7|LANG", ask("SELECT settlement, position, reason, detail FROM reason"));
    CHECK_STR("1|1|43", ask("SELECT source, node, seq FROM pending"));
    hash128 h0 = trace_begin(story_hash(50));
    hash128 h1 = next(h0, reads, 2);
    hash128 h2 = next(h1, reads + 2, 2);
    hash128 h3 = next(h2, reads + 4, 1);
    char steps[128];
    snprintf(steps, sizeof steps, "%s|1|0 %s|2|0 %s|3|0 %s|0|1", hex4(h0), hex4(h1), hex4(h2), hex4(h3));
    CHECK_STR(steps, ask("SELECT prefix, refs, execution FROM step ORDER BY refs = 0, refs"));

    /* The same again with other reads at the end; nothing is doubled, the discovered uses are the new ones. */
    reads[4] = read_of(2, -1, 6, 6);
    TELL(&s, finished, FINISHED, .execution = 2, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .reads = reads, .read_count = 5);
    CHECK_STR("4", ask("SELECT count(*) FROM refs"));
    CHECK_STR("5", ask("SELECT count(*) FROM step"));
    CHECK_STR("1 2 4 5 6", ask("SELECT item FROM use"));
    CHECK_STR("0|0|44|2|", NODE_LINE(1));
    TELL(&s, finished, FINISHED, .execution = 3, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .reads = reads, .read_count = 2);
    CHECK_STR("0|3", ask("SELECT refs, execution FROM step WHERE execution = 3")); /* the prefix now ends there */
    CHECK_STR("1 2", ask("SELECT item FROM use"));

    static const struct { execution_result result; const char *node; int outcome; } cases[] = {
        {EXECUTION_FAILED, "2|0|46|3|", OUTCOME_FAILED}, {EXECUTION_TRANSIENT, "2|0|47|3|", OUTCOME_FAILED},
        {EXECUTION_INTERRUPTED, "1|11|47|3|", OUTCOME_FAILED}, {EXECUTION_RACED, "1|13|49|7|", OUTCOME_RAN},
        {EXECUTION_IMPURE, "1|14|50|8|", OUTCOME_RAN}};
    for (uint64_t i = 0; i < 5; i++) {
        TELL(&s, finished, FINISHED, .execution = 4 + i, .node = 1, .result = cases[i].result, .key = story_hash(60), .reads = reads, .read_count = 5);
        CHECK_STR(cases[i].node, NODE_LINE(1));
        CHECK_INT(cases[i].outcome, atoi(ask("SELECT outcome FROM settled ORDER BY seq DESC LIMIT 1")));
    }
    CHECK_STR("5", ask("SELECT count(*) FROM step")); /* only good results are memoised */
    CHECK_STR("1 2 4 5 6", ask("SELECT item FROM use"));

    /* Settled without running. */
    TELL(&s, settled, SETTLED, .node = 1, .what = OUTCOME_RESTORED, .execution = 3, .outputs = &o, .output_count = 1, .value = story_hash(1), .changed = true);
    CHECK_STR(fmt("0|0|51|3|%s", hex4(story_hash(1))), NODE_LINE(1));
    CHECK_STR("1 2", ask("SELECT item FROM use"));
    CHECK_STR("1|1|51", ask("SELECT source, node, seq FROM pending"));
    CHECK_STR("51", ask("SELECT seq FROM item WHERE id = 13"));
    TELL(&s, settled, SETTLED, .node = 1, .what = OUTCOME_UNCHANGED, .execution = 1);
    CHECK_STR("0|0|52|1|", NODE_LINE(1));
    CHECK_STR("1 2 4 5", ask("SELECT item FROM use"));
    TELL(&s, settled, SETTLED, .node = 1, .what = OUTCOME_BLOCKED, .cause = 7);
    CHECK_STR("3|0|52|1|", NODE_LINE(1));
    CHECK_STR("53|5|7", ask("SELECT seq, outcome, cause FROM settled ORDER BY seq DESC LIMIT 1"));

    TELL(&s, node_removed, NODE_REMOVED, .node = 1);
    CHECK_STR(fmt("13|1|%s|0", hex4(story_hash(30))), ask("SELECT item, node, hash, keep FROM vanished_output"));
    TELL(&s, output_removed, OUTPUT_REMOVED, .item = 13, .hash = story_hash(30));
    CHECK_STR("", ask("SELECT * FROM vanished_output"));
    CHECK_STR(fmt("%s|0|0|55", hex4(HASH_ABSENT)), ask("SELECT hash, size, mode, seq FROM item WHERE id = 13"));
    CHECK_STR("13|0|55", ask("SELECT source, node, seq FROM pending WHERE node = 0"));
    TELL(&s, finished, FINISHED, .execution = 20, .node = 1, .result = EXECUTION_OK, .reads = reads, .read_count = 5);
    CHECK_STR("9|0|52|1|", NODE_LINE(1)); /* vanished nodes stay so */
    CHECK_STR("", ask("SELECT item FROM use"));
    end();
}

/* Random logs: the state while going along, after a rebuild, and by the check are one. */
/* A dropped trace loses its leaf, and only if the leaf still leads to it; a voided node is due. */
/* A failure that came from what was read is found like a result, until it is given up; the last good result stays what it was. */
static void known_failures(void)
{
    story s = begin("known_failures");
    static const uint64_t items[] = {1, 2};
    static const uint64_t outs[] = {13};
    story_node(&s, 1, items, 2, NULL, 0, outs, 1, 0, 0);
    read_record read = read_of(0, 0, 1, 1);
    TELL(&s, finished, FINISHED, .execution = 1, .node = 1, .result = EXECUTION_FAILED, .key = story_hash(50), .reads = &read, .read_count = 1, .known = true);
    hash128 h0 = trace_begin(story_hash(50));
    CHECK_STR(fmt("%s|0|1", hex4(next(h0, &read, 1))), ask("SELECT prefix, refs, execution FROM step WHERE execution <> 0"));
    CHECK_STR("2|0", ask("SELECT status, execution FROM node WHERE id = 1"));
    uint64_t given[] = {1};
    TELL(&s, traces_dropped, TRACES_DROPPED, .node = 1, .key = story_hash(50), .executions = given, .execution_count = 1, .voided = true);
    CHECK_STR("0", ask("SELECT count(*) FROM step WHERE execution <> 0"));
    CHECK_STR(fmt("1|%d", REASON_VOIDED), ask("SELECT status, due FROM node WHERE id = 1"));
    end();
}

static void given_up(void)
{
    story s = begin("given_up");
    static const uint64_t items[] = {1, 2};
    static const uint64_t outs[] = {13};
    story_node(&s, 1, items, 2, NULL, 0, outs, 1, 0, 0);
    read_record reads[] = {read_of(0, 0, 1, 1), read_of(1, 0, 2, 2)};
    for (uint64_t i = 1; i <= 3; i++) {
        reads[1].hash = story_hash(20 + (i == 3 ? 2 : i)); /* the third one takes the leaf of the second */
        TELL(&s, finished, FINISHED, .execution = i, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .reads = reads, .read_count = 2);
    }
    TELL(&s, finished, FINISHED, .execution = 4, .node = 1, .result = EXECUTION_OK, .key = story_hash(51)); /* a trace without reads */
    CHECK_STR("1 3 4", ask("SELECT execution FROM step WHERE refs = 0 ORDER BY execution"));
    uint64_t second = 2;
    TELL(&s, traces_dropped, TRACES_DROPPED, .node = 1, .key = story_hash(50), .executions = &second, .execution_count = 1);
    CHECK_STR("1 3 4", ask("SELECT execution FROM step WHERE refs = 0 ORDER BY execution"));
    CHECK_STR("2", ask("SELECT id FROM execution WHERE dropped = 1"));
    CHECK_STR("0|0", ask("SELECT status, due FROM node WHERE id = 1"));
    uint64_t others[] = {1, 3};
    TELL(&s, traces_dropped, TRACES_DROPPED, .node = 1, .key = story_hash(50), .executions = others, .execution_count = 2, .voided = true);
    CHECK_STR("4", ask("SELECT execution FROM step WHERE refs = 0"));
    CHECK_STR(fmt("1|%d", REASON_VOIDED), ask("SELECT status, due FROM node WHERE id = 1"));
    uint64_t fourth = 4;
    TELL(&s, traces_dropped, TRACES_DROPPED, .node = 1, .key = story_hash(51), .executions = &fourth, .execution_count = 1);
    CHECK_STR("0", ask("SELECT count(*) FROM step WHERE refs = 0"));
    output_record o = {0, 13, story_hash(30), 3, 0644};
    TELL(&s, accepted, ACCEPTED, .execution = 5, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .reads = reads, .read_count = 2,
         .outputs = &o, .output_count = 1, .changed = true);
    CHECK_STR("5", ask("SELECT execution FROM step WHERE refs = 0"));
    CHECK_STR(fmt("%d|5", OUTCOME_ACCEPTED), ask("SELECT outcome, execution FROM settled ORDER BY seq DESC LIMIT 1"));
    CHECK_STR("0|5", ask("SELECT status, execution FROM node WHERE id = 1"));
    CHECK_STR(hex4(story_hash(30)), ask("SELECT hash FROM item WHERE id = 13"));
    end();
}

/* Ids of refs, in the order of their places. */
static const char *groups_behind(hash128 prefix)
{
    static char text[8 * TRACE_GROUPS];
    text[0] = 0;
    for (unsigned i = 0; i < TRACE_GROUPS; i++) {
        char hex[2 * HASH_SIZE + 1];
        hash128 place = trace_other(prefix, i);
        for (size_t k = 0; k < HASH_SIZE; k++) snprintf(hex + 2 * k, 3, "%02X", place.bytes[k]);
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%s", i ? " " : "", ask(fmt("SELECT refs FROM step WHERE hex(prefix) = '%s'", hex)));
    }
    return text;
}

/* The first read says what the second one is: the groups behind the key, the newest first. */
static void several_ways(void)
{
    story s = begin("several_ways");
    static const uint64_t items[] = {1, 2};
    hash128 h0 = trace_begin(story_hash(50));
    story_node(&s, 1, items, 2, NULL, 0, NULL, 0, 0, 0);
    for (int way = 0; way < TRACE_GROUPS + 1; way++) { /* refs 1 to 9 */
        read_record reads[] = {read_of(0, 0, 1, (uint64_t)way), read_of(0, 1 + way, 2, 2)};
        TELL(&s, finished, FINISHED, .execution = 1 + (uint64_t)way, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .reads = reads, .read_count = 2);
    }
    CHECK_STR("9 8 7 6 5 4 3 2", groups_behind(h0));
    CHECK_STR(fmt("%d", TRACE_GROUPS + TRACE_GROUPS + 1), ask("SELECT count(*) FROM step"));
    read_record again[] = {read_of(0, 0, 1, 3), read_of(0, 1 + 6, 2, 2)}; /* refs 7 */
    TELL(&s, finished, FINISHED, .execution = 20, .node = 1, .result = EXECUTION_OK, .key = story_hash(50), .reads = again, .read_count = 2);
    CHECK_STR("7 9 8 6 5 4 3 2", groups_behind(h0));
    end();
}

static void random_logs(void)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        char name[16];
        snprintf(name, sizeof name, "random%d", (int)seed);
        story s = begin(name);
        s.random += seed * 0x9e3779b97f4a7c15u;
        if (seed > 3) into.late = fold_late_new(); /* the same, with rows that wait until now and then */
        for (int i = 0; i < 30; i++) {
            story_tell(&s, 50);
            CHECK_OK(fold_late_flush(into.late, d, &err), err);
        }
        end();
        fold_late_free(into.late);
        into.late = NULL;
    }
}

/* Rows that wait are found by their ids, with every kind of gap between them. */
static void waiting_rows(void)
{
    static const uint64_t ids[] = {1000, 1001, 1003, 1007, 1008, 1020, 1021, 1022, 1100, 1500, 1501};
    enum { COUNT = sizeof ids / sizeof *ids };
    for (size_t most = 1; most <= COUNT; most++) {
        char name[16];
        snprintf(name, sizeof name, "waiting%d", (int)most);
        story s = begin(name);
        into.late = fold_late_new();
        for (size_t i = 0; i < most; i++) {
            snprintf(name, sizeof name, "w/%d", (int)i);
            TELL(&s, item_named, ITEM_NAMED, .item = ids[i], .kind = ITEM_FILE, .name = bytes_str(name));
        }
        for (size_t i = 0; i < most; i++) TELL(&s, item_observed, ITEM_OBSERVED, .item = ids[i], .hash = story_hash(1), .size = 100 + i);
        CHECK_OK(fold_late_flush(into.late, d, &err), err);
        CHECK_STR(fmt("%d", (int)most), ask("SELECT count(*) FROM item WHERE id >= 1000 AND size = 100 + CAST(substr(name, 3) AS INTEGER)"));
        end();
        fold_late_free(into.late);
        into.late = NULL;
    }
}

/* A change to any table is found. */
/* Beside the database there is no room for a scratch file (here its name would be too long): the check uses memory. */
static void check_in_memory(void)
{
    char name[231];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    story s = begin(name);
    static const uint64_t items[] = {1, 2};
    story_node(&s, 1, items, 2, NULL, 0, NULL, 0, 0, 0);
    end();
}

static void tampering(void)
{
    static const char *const hands[] = {
        "UPDATE node SET status = 2 WHERE id = (SELECT min(id) FROM node WHERE status <> 2)",
        "DELETE FROM use WHERE node = (SELECT max(node) FROM use)",
        "INSERT INTO folder VALUES (x'00')",
        "UPDATE step SET execution = execution + 1 WHERE prefix = (SELECT max(prefix) FROM step)",
        "UPDATE item SET hash = NULL WHERE id = 3",
        "UPDATE item SET id = 1000 WHERE id = 24",
        "DELETE FROM reason",
        "UPDATE settlement SET reason = reason + 1 WHERE seq = (SELECT max(seq) FROM settlement)",
        "UPDATE execution SET outcome = 5 WHERE id = (SELECT max(id) FROM execution WHERE finished <> 0)",
        "UPDATE synced SET boot_id = x'00'",
        "DROP TABLE pending"};
    story s = begin("tamper");
    story_tell(&s, 400);
    CHECK_OK(db_commit(d, false, &err), err);
    for (size_t i = 0; i < sizeof hands / sizeof *hands; i++) {
        char line[512] = "";
        CHECK_INT(0, differences(NULL));
        weir_error why = {0};
        if (db_exec(d, hands[i], &why) != 0) CHECK_STR("", why.message); /* STRICT wants the right type */
        else CHECK(differences(line) > 0);
        if (i == 0) CHECK_HAS("status is 2, by the log ", line);
        CHECK_OK(fold_rebuild(d, NULL, &err), err);
    }
    CHECK_INT(0, differences(NULL));
    db_close(d);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What a first build of many small nodes writes: two reads, one output. */
static void speed(void)
{
    enum { N = 10000 };
    story s = begin("speed");
    for (uint64_t i = 0; i < 2 * N; i++) {
        char name[32];
        snprintf(name, sizeof name, "f/%d", (int)i);
        TELL(&s, item_named, ITEM_NAMED, .item = 100 + i, .kind = ITEM_FILE, .name = bytes_str(name));
    }
    double t0 = seconds();
    for (uint64_t i = 0; i < N; i++) {
        uint64_t in = 100 + i;
        uint64_t out = 100 + N + i;
        story_node(&s, 1 + i, &in, 1, NULL, 0, &out, 1, 0, 0);
    }
    double t1 = seconds();
    for (uint64_t i = 0; i < N; i++) {
        read_record reads[] = {read_of(0, 0, 100 + i, i), read_of(1, 1, 1, 1)};
        output_record o = {0, 100 + N + i, story_hash(i), 10, 0644};
        reason_record reason = {.kind = REASON_NEW};
        TELL(&s, finished, FINISHED, .execution = 1 + i, .node = 1 + i, .result = EXECUTION_OK, .key = story_hash(7 * i), .spec_seq = i,
             .effect_seq = 2, .reads = reads, .read_count = 2, .outputs = &o, .output_count = 1, .reasons = &reason, .reason_count = 1,
             .duration_us = 1000, .changed = true);
    }
    double t2 = seconds();
    CHECK_OK(db_commit(d, false, &err), err);
    fprintf(stderr, "event and fold: %.1f us a node, %.1f us a finished execution\n", (t1 - t0) * 1e6 / N, (t2 - t1) * 1e6 / N);
    db_close(d);
}

int main(void)
{
    check_scratch();
    arena_init(&into.scratch);
    runs_and_items();
    declarations();
    executions();
    recovered();
    given_up();
    known_failures();
    several_ways();
    random_logs();
    waiting_rows();
    check_in_memory();
    tampering();
    speed();
    arena_deinit(&into.scratch);
    return check_done();
}
