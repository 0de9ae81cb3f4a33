/*
 * test_lookup.c - chains of reads: many traces for a key, several ways on behind a prefix, a replaced one, waiting, looking, giving up.
 */
#include "engine/model/lookup.h"
#include "engine/store/trace.h"
#include "tests/check.h"

static weir_error err;
static mem_arena scratch;

/* --- a store of traces and a world, in memory ---------------------------------------------------------------------- */

enum { STEPS = 4096, ITEMS = 64 };

typedef struct step {
    hash128 prefix;
    buf refs;
    uint64_t execution;
} step;

static step steps[STEPS];
static size_t step_count;
static struct {
    hash128 hash;
    resolve_result how;
    uint64_t wait_for;
} world[ITEMS];
static int resolved, begun, probe_error, begin_error, resolve_error;

static step *find_step(hash128 prefix)
{
    for (size_t i = 0; i < step_count; i++)
        if (hash_equal(steps[i].prefix, prefix)) return &steps[i];
    return NULL;
}

static step *put_step(hash128 prefix)
{
    step *found = find_step(prefix);
    if (!found) found = &steps[step_count++];
    buf_deinit(&found->refs);
    *found = (step){.prefix = prefix};
    return found;
}

static int probe(void *ctx, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *e)
{
    (void)ctx;
    if (probe_error) return error_set(e, probe_error, "no database");
    step *found = find_step(prefix);
    if (!found) return 0;
    *refs = buf_bytes(&found->refs);
    *execution = found->execution;
    return 1;
}

static int resolve(void *ctx, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *e)
{
    (void)ctx;
    CHECK(resolved++ < begun);
    if (resolve_error) return error_set(e, resolve_error, "no disk");
    uint64_t at = ref->port >= 0 ? (uint64_t)ref->port : ref->item;
    *hash = world[at].hash;
    *wait_for = world[at].wait_for;
    *how = world[at].how;
    return 0;
}

/* Before any ref of the step is resolved. */
static int begin_step(void *ctx, const read_ref *refs, size_t count, weir_error *e)
{
    (void)ctx;
    CHECK(refs != NULL && count > 0);
    begun += (int)count;
    return begin_error ? error_set(e, begin_error, "no memory") : 0;
}

static hash128 content(uint64_t number)
{
    return hash_bytes(&number, sizeof number);
}

static void set_world(int item, uint64_t number)
{
    world[item].hash = content(number);
    world[item].how = RESOLVE_KNOWN;
}

/* As store/trace.h says: what was there moves on by one, or is replaced. */
static void put_group(hash128 prefix, const read_ref *refs, size_t count)
{
    buf group, moving;
    buf_init(&group);
    read_refs_put(&group, refs, count);
    buf_init(&moving);
    buf_append(&moving, group.data, group.size);
    bool goes_on = true;
    for (unsigned i = 0; goes_on && i < TRACE_GROUPS; i++) {
        buf before;
        buf_init(&before);
        const step *found = find_step(trace_other(prefix, i));
        if (found && found->execution == 0) buf_append(&before, found->refs.data, found->refs.size);
        put_step(trace_other(prefix, i))->refs = moving;
        goes_on = trace_may_differ(refs, count) && before.size != 0 && !bytes_equal(buf_bytes(&before), buf_bytes(&group));
        moving = before;
    }
    buf_deinit(&moving);
    buf_deinit(&group);
}

/* Stores an execution that read groups of items, declared ones with a +: "+1 +2|3" and what the world holds now. */
static void record(hash128 key, const char *groups, uint64_t execution)
{
    hash128 prefix = trace_begin(key);
    const char *at = groups;
    while (*at) {
        read_ref refs[16];
        size_t count = 0;
        hash_stream stream;
        trace_group(&stream, prefix);
        for (; *at && *at != '|'; at += strspn(at, " ")) {
            char *end;
            bool declared = *at == '+';
            uint64_t item = strtoull(at + declared, &end, 10);
            at = end;
            refs[count] = (read_ref){.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1, .item = item};
            if (declared) refs[count] = (read_ref){.aspect = ASPECT_CONTENT, .port = (int32_t)item, .member = -1, .sub = -1};
            trace_read(&stream, &refs[count++], world[item].hash);
        }
        if (*at == '|') at++;
        put_group(prefix, refs, count);
        prefix = hash_end(&stream);
    }
    put_step(prefix)->execution = execution;
}

static uint64_t current;
static bool latest_alone;

static lookup_result look(hash128 key, uint64_t *execution, uint64_t *wait_for, uint64_t *probes)
{
    lookup_source source = {.probe = probe, .begin = begin_step, .resolve = resolve, .current = current, .latest_alone = latest_alone};
    lookup_result result;
    resolved = begun = 0;
    CHECK_OK(lookup_trace(&source, key, &scratch, &result, execution, wait_for, probes, &err), err);
    return result;
}

static uint64_t hit(hash128 key)
{
    uint64_t execution, wait_for;
    lookup_result result = look(key, &execution, &wait_for, NULL);
    return result == LOOKUP_HIT ? execution : 0;
}

static void reset(void)
{
    for (size_t i = 0; i < step_count; i++) buf_deinit(&steps[i].refs);
    step_count = 0;
    memset(world, 0, sizeof world);
    current = 0;
    latest_alone = false;
    for (int item = 0; item < ITEMS; item++) set_world(item, 0);
}

/* --- tests --------------------------------------------------------------------------------------------------------- */

static void test_plain(void)
{
    hash128 key = content(1000);
    uint64_t execution, wait_for, probes;
    CHECK_INT(LOOKUP_MISS, look(key, &execution, &wait_for, &probes));
    CHECK_INT(1, probes);
    record(key, "1 2|3", 77);
    CHECK_INT(LOOKUP_HIT, look(key, &execution, &wait_for, &probes));
    CHECK_INT(77, execution);
    CHECK_INT(3, probes); /* the depth: two groups and a leaf */
    CHECK_INT(0, hit(content(1001)));
    set_world(2, 5);
    CHECK_INT(LOOKUP_MISS, look(key, &execution, &wait_for, &probes));
    CHECK_INT(2, probes);
    set_world(2, 0);
    set_world(3, 5);
    CHECK_INT(0, hit(key));
    record(content(2), "", 5); /* an effect that read nothing */
    CHECK_INT(5, hit(content(2)));
}

static void test_many_traces(void)
{
    hash128 key = content(1);
    for (uint64_t version = 1; version <= 500; version++) {
        set_world(1, version);
        set_world(2, version * 3);
        record(key, version % 2 ? "1|2" : "1|2|4", 1000 + version);
    }
    for (uint64_t version = 500; version >= 1; version--) {
        uint64_t execution, wait_for, probes;
        set_world(1, version);
        set_world(2, version * 3);
        CHECK_INT(LOOKUP_HIT, look(key, &execution, &wait_for, &probes));
        CHECK_INT(1000 + version, execution);
        CHECK(probes <= 4); /* the depth, not the number of traces */
    }
}

static void test_replaced_prefix(void)
{
    hash128 key = content(1);
    set_world(1, 1);
    record(key, "1|2", 10);
    CHECK_INT(10, hit(key));
    record(key, "1|3 4", 11); /* read on differently behind the same prefix */
    CHECK_INT(11, hit(key));
    set_world(2, 9); /* what the replaced trace read is not asked for any more */
    CHECK_INT(11, hit(key));
    CHECK_INT(3, resolved);
    set_world(1, 2);
    record(key, "1|2", 12); /* another prefix: both hold */
    CHECK_INT(12, hit(key));
    set_world(1, 1);
    CHECK_INT(11, hit(key));
}

/* What is read behind item 1 is as item 1 says. */
static void test_ways_on(void)
{
    hash128 key = content(1);
    uint64_t execution, wait_for, probes;
    for (uint64_t way = 0; way < TRACE_GROUPS; way++) {
        char groups[20];
        set_world(1, way);
        snprintf(groups, sizeof groups, "+1 +%d|30", (int)(2 + way));
        record(key, groups, 100 + way);
    }
    for (uint64_t way = 0; way < TRACE_GROUPS; way++) {
        set_world(1, way);
        CHECK_INT(LOOKUP_HIT, look(key, &execution, &wait_for, &probes));
        CHECK_INT(100 + way, execution);
        CHECK_INT(probes, TRACE_GROUPS - way + 2 + (TRACE_GROUPS - 1 - way)); /* the newest first; each other one is a miss behind it */
    }
    set_world(1, 50);
    CHECK_INT(0, hit(key));
    set_world(1, 0);
    set_world(30, 1);
    CHECK_INT(0, hit(key));
    set_world(30, 0);
    latest_alone = true;
    CHECK_INT(0, hit(key));
    set_world(1, TRACE_GROUPS - 1);
    CHECK_INT(100 + TRACE_GROUPS - 1, hit(key));
    latest_alone = false;
    set_world(1, 60); /* one more: the oldest is forgotten */
    record(key, "+1 +20", 200);
    CHECK_INT(200, hit(key));
    set_world(1, 0);
    CHECK_INT(0, hit(key));
    set_world(1, 1);
    CHECK_INT(101, hit(key));
    record(key, "+1 +3|30", 201); /* the oldest is the newest now */
    latest_alone = true;
    CHECK_INT(201, hit(key));
}

/* The same was read in two forms. */
static void test_current(void)
{
    hash128 key = content(1);
    uint64_t execution, wait_for;
    record(key, "+1 +2", 10);
    record(key, "+1 +2 +3", 11);
    CHECK_INT(11, hit(key));
    current = 10;
    CHECK_INT(10, hit(key));
    current = 11;
    CHECK_INT(11, hit(key));
    current = 12;
    CHECK_INT(11, hit(key));
    record(key, "+1|5", 12);
    CHECK_INT(12, hit(key));
    current = 0;
    record(key, "+1 +2", 13);
    current = 12; /* to find it something had to be looked at that nobody declared, and there is a result */
    CHECK_INT(13, hit(key));
    CHECK_INT(6, resolved); /* 1 2, 1, 1 2 3 */
    current = 11;
    CHECK_INT(11, hit(key));
    world[3].how = RESOLVE_WAIT;
    CHECK_INT(13, hit(key));
    set_world(3, 0);
    world[5].how = RESOLVE_UNMADE;
    set_world(2, 9); /* only the way over 5 is left, and that leads to what failed */
    CHECK_INT(LOOKUP_UNMADE, look(key, &execution, &wait_for, NULL));
    world[5].how = RESOLVE_WAIT;
    world[5].wait_for = 7;
    CHECK_INT(LOOKUP_WAIT, look(key, &execution, &wait_for, NULL));
    CHECK_INT(7, wait_for);
}

static void test_order(void)
{
    hash128 key = content(1);
    set_world(1, 1);
    set_world(2, 2);
    record(key, "1 2", 10);
    set_world(1, 2);
    set_world(2, 1);
    CHECK_INT(0, hit(key)); /* the same hashes in another order */
    set_world(1, 1);
    set_world(2, 2);
    CHECK_INT(10, hit(key));
    record(content(2), "1 2", 20);
    record(content(3), "1|2", 30); /* groups matter */
    CHECK_INT(20, hit(content(2)));
    CHECK_INT(30, hit(content(3)));
}

static void test_wait_and_observe(void)
{
    hash128 key = content(1);
    uint64_t execution, wait_for, probes;
    record(key, "1 2 3|4", 10);
    world[2].how = RESOLVE_WAIT;
    world[2].wait_for = 55;
    world[3].how = RESOLVE_OBSERVE;
    CHECK_INT(LOOKUP_WAIT, look(key, &execution, &wait_for, &probes));
    CHECK_INT(55, wait_for);
    CHECK_INT(3, resolved); /* the file behind it heard of it too */
    world[2].how = RESOLVE_KNOWN;
    CHECK_INT(LOOKUP_OBSERVE, look(key, &execution, &wait_for, &probes));
    CHECK_INT(0, wait_for);
    world[1].how = RESOLVE_OBSERVE;
    CHECK_INT(LOOKUP_OBSERVE, look(key, &execution, &wait_for, &probes));
    CHECK_INT(3, resolved);
    world[1].how = world[3].how = RESOLVE_KNOWN;
    world[4].how = RESOLVE_WAIT;
    world[4].wait_for = 56;
    CHECK_INT(LOOKUP_WAIT, look(key, &execution, &wait_for, &probes));
    CHECK_INT(56, wait_for);
    CHECK_INT(2, probes);
    world[4].how = RESOLVE_KNOWN;
    CHECK_INT(10, hit(key));
}

static void test_impossible(void)
{
    hash128 key = content(1);
    uint64_t execution, wait_for;
    record(key, "1 2 3", 10);
    world[1].how = RESOLVE_WAIT;
    world[2].how = RESOLVE_IMPOSSIBLE;
    CHECK_INT(LOOKUP_MISS, look(key, &execution, &wait_for, NULL)); /* not worth waiting */
    CHECK_INT(2, resolved);
}

static void test_errors(void)
{
    lookup_source source = {.probe = probe, .begin = begin_step, .resolve = resolve};
    lookup_result result;
    uint64_t execution, wait_for;
    hash128 key = content(1);
    record(key, "1", 10);
    probe_error = WEIR_IO;
    CHECK_CODE(WEIR_IO, lookup_trace(&source, key, &scratch, &result, &execution, &wait_for, NULL, &err), err);
    probe_error = 0;
    resolve_error = WEIR_IO;
    CHECK_CODE(WEIR_IO, lookup_trace(&source, key, &scratch, &result, &execution, &wait_for, NULL, &err), err);
    CHECK_HAS("no disk", err.message);
    resolve_error = 0;
    begin_error = WEIR_NOMEM;
    CHECK_CODE(WEIR_NOMEM, lookup_trace(&source, key, &scratch, &result, &execution, &wait_for, NULL, &err), err);
    begin_error = 0;
    buf_byte(&find_step(trace_begin(key))->refs, 0xff);
    CHECK_CODE(WEIR_CORRUPT, lookup_trace(&source, key, &scratch, &result, &execution, &wait_for, NULL, &err), err);
}

int main(void)
{
    arena_init(&scratch);
    void (*const tests[])(void) = {test_plain, test_many_traces, test_replaced_prefix, test_ways_on, test_current, test_order,
                                   test_wait_and_observe, test_impossible, test_errors};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        reset();
        tests[i]();
    }
    reset();
    arena_deinit(&scratch);
    return check_done();
}
