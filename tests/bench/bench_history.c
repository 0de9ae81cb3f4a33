/*
 * bench_history.c - a project with a long past: a log of as many events as are wanted, through the library's own writer.
 *
 *     bench_history ROOT EVENTS NODES          makes ROOT/.weir and ROOT/weir.lua; prints what there is to ask about
 *
 * NODES copies, each of one source, under one root that takes all of a hundred. A first run makes everything; then come runs as a person
 * causes them until there are EVENTS events: most edit one file, some a thousand; one in twenty fails and is mended by the next,
 * one in ten finds an earlier result again, and one in eight edits the same file: copy-0000000 has the longest past. Nothing of it was ever executed, and
 * there are no files: what is measured is what reads the log and the state. The same numbers give the same log.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/store/log.h"
#include "tests/engine/store/story.h"

enum { BATCH_EVENTS = 2000, TRACES_MOST = 64, BURST = 1000 };

typedef struct history {
    story s;
    log_writer *writer;
    log_batch *batch;
    uint64_t wanted, nodes;
    uint64_t *last;   /* per node: its last execution */
    uint32_t *edits;  /* per node: the content of its source */
    uint64_t recent[TRACES_MOST]; /* executions of node 1, a ring */
    uint64_t recent_count;
    uint64_t failed_node; /* 0: none */
} history;

static void stop(const weir_error *err)
{
    fprintf(stderr, "bench_history: %s\n", err->message);
    exit(1);
}

static void flush(history *h, bool durable)
{
    if (!h->batch) return;
    h->batch->durable = durable;
    log_submit(h->writer, h->batch);
    h->batch = NULL;
}

static void emit(void *ctx, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body)
{
    history *h = ctx;
    weir_error err = {0};
    if (!h->batch) h->batch = batch_new();
    if (!h->batch) exit(1);
    batch_event(h->batch, seq, run, at_us, kind, body);
    if (h->batch->event_count < BATCH_EVENTS) return;
    flush(h, false);
    if (seq % (BATCH_EVENTS * 64) == 0 && log_wait(h->writer, &err) != 0) stop(&err); /* not all of it in memory */
}

/* --- what is told -------------------------------------------------------------------------------------------------- */

static uint64_t source_of(uint64_t node) { return 1 + node; }
static uint64_t output_of(const history *h, uint64_t node) { return 1 + h->nodes + node; }

static void name_item(history *h, uint64_t item, const char *name)
{
    TELL(&h->s, item_named, ITEM_NAMED, .item = item, .kind = ITEM_FILE, .name = bytes_str(name));
}

static void observe(history *h, uint64_t item, uint64_t content)
{
    TELL(&h->s, item_observed, ITEM_OBSERVED, .item = item, .hash = story_hash(item << 24 | content), .size = 100, .mode = 0644);
}

static void declare(history *h, uint64_t node)
{
    char name[48];
    spec_member member = {.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = source_of(node)};
    spec_input input = {.port = bytes_str("from"), .members = &member, .count = 1};
    spec_output output = {.port = bytes_str("to"), .id = output_of(h, node)};
    snprintf(name, sizeof name, "copy-%07" PRIu64, node - 1);
    node_spec spec = {.name = bytes_str(name), .base = bytes_str(name), .effect = bytes_str("copy"), .effect_id = 1, .params = VALUE_EMPTY_OBJECT,
                      .inputs = &input, .input_count = 1, .outputs = &output, .output_count = 1};
    buf stored = {0};
    spec_put_stored(&stored, &spec);
    TELL(&h->s, node, NODE, .node = node, .graph = 1, .height = 1, .spec = buf_bytes(&stored));
    buf_deinit(&stored);
}

static hash128 key_of(uint64_t node) { return story_hash(node << 32 | 7); }

/* The end of an execution. `old`: the content of the source before, as of the reason; 0: the node is new. */
static void finish(history *h, uint64_t node, uint64_t old, bool ok)
{
    uint64_t source = source_of(node), content = h->edits[node - 1];
    hash128 seen = story_hash(source << 24 | content);
    read_record read = {.ref = {.aspect = ASPECT_CONTENT, .port = 0, .member = 0, .sub = -1}, .source = source, .hash = seen};
    output_record output = {.item = output_of(h, node), .hash = seen, .size = 100, .mode = 0644};
    reason_record reason = {.kind = old ? REASON_INPUT_CHANGED : REASON_NEW, .source = old ? source : 0, .detail = bytes_str(old ? "from" : "")};
    if (old) reason.old_hash = story_hash(source << 24 | old), reason.new_hash = seen;
    h->last[node - 1] = ++h->s.execution;
    TELL(&h->s, finished, FINISHED, .execution = h->s.execution, .node = node, .result = ok ? EXECUTION_OK : EXECUTION_FAILED, .key = key_of(node),
         .spec_seq = 3 * h->nodes + 4 + node, .effect_seq = 4, .reads = &read, .read_count = 1, .outputs = &output, .output_count = ok,
         .reasons = &reason, .reason_count = 1, .exit_code = !ok, .message = bytes_str(ok ? "" : "exit code 1"),
         .duration_us = 900 + node % 200, .cpu_us = 800, .memory_bytes = 1 << 20, .started_us = 1700000000000000 + h->s.seq, .changed = ok);
}

/* Of one key a node keeps the 64 results that were made last. */
static void give_up_old(history *h)
{
    uint64_t *place = &h->recent[h->recent_count++ % TRACES_MOST];
    uint64_t old = *place;
    *place = h->last[0];
    if (h->recent_count > TRACES_MOST)
        TELL(&h->s, traces_dropped, TRACES_DROPPED, .node = 1, .key = key_of(1), .executions = &old, .execution_count = 1);
}

static void edit(history *h, uint64_t node, bool ok)
{
    uint64_t old = ++h->edits[node - 1] - 1;
    observe(h, source_of(node), old + 1);
    finish(h, node, old, ok);
    if (node == 1 && ok) give_up_old(h);
}

/* What was edited before is put back, and the result found again. */
static void put_back(history *h, uint64_t node)
{
    uint64_t source = source_of(node), now = h->edits[node - 1];
    hash128 then = story_hash(source << 24 | (now - 1));
    output_record output = {.item = output_of(h, node), .hash = then, .size = 100, .mode = 0644};
    reason_record reason = {.kind = REASON_INPUT_CHANGED, .source = source, .old_hash = story_hash(source << 24 | now), .new_hash = then,
                            .detail = bytes_str("from")};
    observe(h, source, now - 1);
    TELL(&h->s, settled, SETTLED, .node = node, .what = OUTCOME_RESTORED, .execution = h->last[node - 1], .spec_seq = 3 * h->nodes + 4 + node,
         .effect_seq = 4, .reasons = &reason, .reason_count = 1, .outputs = &output, .output_count = 1, .changed = true);
}

static void begin_run(history *h)
{
    h->s.run++;
    TELL(&h->s, run_started, RUN_STARTED, .trigger = bytes_str("run"), .graph = 1);
}

static void end_run(history *h, uint64_t ran, uint64_t restored, uint64_t failed)
{
    TELL(&h->s, run_finished, RUN_FINISHED, .ran = ran, .restored = restored, .failed = failed, .unchanged = h->nodes - ran - restored - failed,
         .turns = 1, .duration_us = 20000, .complete = failed == 0);
}

/* Numbers in the log: 1 session, 2 the workflow's name, 3 its content, 4 the effect, then names, contents and declarations. */
static void first_run(history *h)
{
    char name[64];
    TELL(&h->s, session, SESSION, .version = bytes_str("1"), .build = bytes_str("b"), .boot_id = bytes_str("boot-1"), .pid = 7);
    name_item(h, 1, "weir.lua");
    observe(h, 1, 1);
    effect_spec spec = {.name = bytes_str("copy"), .kind = EFFECT_C, .version = bytes_str("1"), .code = story_hash(1)};
    buf stored = {0};
    effect_put(&stored, &spec, false);
    TELL(&h->s, effect, EFFECT, .effect = 1, .spec = buf_bytes(&stored));
    buf_deinit(&stored);
    for (uint64_t n = 1; n <= h->nodes; n++) {
        snprintf(name, sizeof name, "src/%04" PRIu64 "/%07" PRIu64 ".txt", (n - 1) / 100, n - 1);
        name_item(h, source_of(n), name);
    }
    for (uint64_t n = 1; n <= h->nodes; n++) {
        snprintf(name, sizeof name, "out/%04" PRIu64 "/%07" PRIu64 ".txt", (n - 1) / 100, n - 1);
        name_item(h, output_of(h, n), name);
        observe(h, source_of(n), h->edits[n - 1] = 1);
    }
    for (uint64_t n = 1; n <= h->nodes; n++) declare(h, n);
    definition_read read = {1, story_hash(1 << 24 | 1)};
    TELL(&h->s, definition, DEFINITION, .graph = 1, .file = bytes_str("weir.lua"), .reads = &read, .read_count = 1);
    begin_run(h);
    for (uint64_t n = 1; n <= h->nodes; n++) finish(h, n, 0, true);
    end_run(h, h->nodes, 0, 0);
}

static void some_run(history *h)
{
    uint64_t what = story_random(&h->s, 1000), node = what % 8 == 0 ? 1 : 1 + story_random(&h->s, h->nodes), count = 1;
    begin_run(h);
    if (h->failed_node) edit(h, h->failed_node, true), count++;
    bool fails = !h->failed_node && what < 50, back = !fails && what >= 900 && h->edits[node - 1] > 1 && node != h->failed_node;
    h->failed_node = fails ? node : 0;
    if (back) {
        put_back(h, node);
        end_run(h, count - 1, 1, 0);
        return;
    }
    edit(h, node, !fails);
    for (; what == 500 && count < BURST && h->s.seq < h->wanted; count++) edit(h, 1 + story_random(&h->s, h->nodes), true);
    end_run(h, count - fails, 0, fails);
}

static void open_project(history *h, const char *root)
{
    char path[4096];
    weir_error err = {0};
    snprintf(path, sizeof path, "%s/weir.lua", root);
    FILE *file = fopen(path, "w");
    if (!file || fputs("-- made by bench_history\n", file) < 0 || fclose(file) != 0) perror(path), exit(1);
    snprintf(path, sizeof path, "%s/.weir", root);
    if (mkdir(path, 0777) != 0) perror(path), exit(1);
    int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/.weir/blobs", root);
    if (mkdir(path, 0777) != 0) perror(path), exit(1);
    snprintf(path, sizeof path, "%s/.weir/weir.db", root);
    if (log_writer_open(&h->writer, path, dirfd, NULL, NULL, &err) != 0) stop(&err);
}

int main(int argc, char **argv)
{
    history h = {.s = story_new(emit, NULL)};
    h.s.ctx = &h;
    if (argc == 4) h.wanted = strtoull(argv[2], NULL, 10), h.nodes = strtoull(argv[3], NULL, 10);
    if (h.nodes == 0) {
        fputs("usage: bench_history ROOT EVENTS NODES\n", stderr);
        return 2;
    }
    h.last = calloc(h.nodes, sizeof *h.last);
    h.edits = calloc(h.nodes, sizeof *h.edits);
    if (!h.last || !h.edits) return 1;
    weir_error err = {0};
    open_project(&h, argv[1]);
    first_run(&h);
    while (h.s.seq < h.wanted) some_run(&h);
    flush(&h, true);
    if (log_wait(h.writer, &err) != 0) stop(&err);
    log_writer_close(h.writer);
    printf("%" PRIu64 " events, %" PRIu64 " runs, %" PRIu64 " executions, %" PRIu64 " nodes, %u edits of copy-0000000\n", h.s.seq, h.s.run, h.s.execution,
           h.nodes, h.edits[0]);
    free(h.last);
    free(h.edits);
    return 0;
}
