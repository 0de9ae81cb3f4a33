/* test_observe.c - what a run learns about the disk and the outside at its start: what moved, and nothing else. */
#include "engine/store/value.h"
#include "tests/engine/run/project.h"

static bool is_again(project *p, uint64_t item)
{
    return map_get(&p->w.observe_again, map_key_u64(&item)) != NULL;
}

static size_t again_count(project *p)
{
    return p->w.observe_again.count;
}

static hash128 text_hash(const char *text)
{
    return hash_bytes(text, strlen(text));
}

/* The next run of this or (`reopen`) another process. */
static void next_run(project *p, bool reopen)
{
    CHECK_OK(observe_write(&p->w, true, &p->err), p->err);
    project_next(p);
    if (reopen) project_reopen(p);
    CHECK_OK(observe_start(&p->w, &p->err), p->err);
    CHECK_OK(observe_outside(&p->w, &p->err), p->err);
}

static uint64_t hashed(void)
{
    return scan_stats().hashed;
}

static void make_used(project *p, const uint64_t *sources, size_t count, const uint64_t *outputs, size_t output_count)
{
    uint64_t id = catalog_new_node_id(p->w.catalog);
    char name[32];
    snprintf(name, sizeof name, "node%d", (int)id);
    project_node(p, id, name, sources, count, outputs, output_count, 0);
}

static void sources(void)
{
    project p;
    project_open(&p, "sources");
    weir *w = &p.w;
    CHECK_INT(0, mkdirat(w->rootfd, "src", 0755));
    project_write(&p, "src/a", "one");
    project_write(&p, "src/b", "two");
    CHECK_OK(observe_start(w, &p.err), p.err);
    uint64_t ids[4] = {project_item(&p, ITEM_FILE, "src/a")->id, project_item(&p, ITEM_FILE, "src/b")->id,
                       project_item(&p, ITEM_FILE, "src/none")->id, project_item(&p, ITEM_FILE, "top")->id};
    make_used(&p, ids, 4, NULL, 0);
    cat_item *a = catalog_item(w->catalog, ids[0], &p.err);
    CHECK(!observe_known(w, a));
    CHECK_OK(observe_items(w, ids, 4, &p.err), p.err);
    CHECK(observe_known(w, a));
    hash128 one = text_hash("one");
    CHECK_HASH(one, a->hash);
    CHECK(hash_equal(catalog_item(w->catalog, ids[2], NULL)->hash, HASH_ABSENT));
    CHECK_INT(0, again_count(&p)); /* seen for the first time */

    uint64_t events = journal_last(w->journal);
    uint64_t before = hashed();
    for (int i = 0; i < 3; i++) next_run(&p, i == 1); /* nothing moved */
    CHECK_INT(events, journal_last(w->journal));
    CHECK_INT(before, hashed());
    CHECK_INT(0, again_count(&p));
    CHECK(sigcache_is_complete(w->sigs));

    project_write(&p, "src/a", "one"); /* touched */
    project_write(&p, "src/none", "here");
    next_run(&p, true);
    CHECK_INT(before + 2, hashed());
    CHECK_INT(1, again_count(&p));
    CHECK(is_again(&p, ids[2]));
    CHECK_INT(events + 1, journal_last(w->journal));
    hash128 here = text_hash("here");
    CHECK_HASH(here, catalog_item(w->catalog, ids[2], NULL)->hash);

    CHECK_INT(0, unlinkat(w->rootfd, "src/b", 0));
    next_run(&p, false);
    CHECK(again_count(&p) == 1 && is_again(&p, ids[1]));
    CHECK(hash_equal(catalog_item(w->catalog, ids[1], NULL)->hash, HASH_ABSENT));

    project_write(&p, "src/a", "three"); /* during the run */
    next_run(&p, false);
    map_clear(&w->observe_again);
    project_write(&p, "src/a", "four");
    CHECK_OK(observe_one(w, catalog_item(w->catalog, ids[0], NULL), &p.err), p.err);
    CHECK(again_count(&p) == 1 && is_again(&p, ids[0]));
    next_run(&p, true);
    CHECK_INT(0, again_count(&p));
    hash128 four = text_hash("four");
    CHECK_HASH(four, catalog_item(w->catalog, ids[0], NULL)->hash);
    project_close(&p);
}

static void outputs(void)
{
    project p;
    project_open(&p, "outputs");
    weir *w = &p.w;
    CHECK_OK(observe_start(w, &p.err), p.err);
    uint64_t id = project_item(&p, ITEM_FILE, "out")->id;
    make_used(&p, NULL, 0, &id, 1);
    project_write(&p, "out", "made");
    cat_item *out = catalog_item(w->catalog, id, &p.err);
    output_record record = {.port = 0, .item = id, .hash = text_hash("made"), .size = 4, .mode = 0644};
    event_finished e = {.execution = 1, .node = 1, .result = EXECUTION_OK, .outputs = &record, .output_count = 1};
    event_put_finished(catalog_body(w->catalog), &e);
    journal_say(w->journal, EVENT_FINISHED, catalog_body(w->catalog));
    catalog_wrote(w->catalog, &record);
    CHECK_OK(observe_one(w, out, &p.err), p.err);
    CHECK(!out->disk_differs);
    uint64_t events = journal_last(w->journal);
    next_run(&p, true);
    CHECK_INT(0, again_count(&p));

    project_write(&p, "out", "by hand");
    for (int i = 0; i < 3; i++) { /* as long as nobody restores it */
        next_run(&p, i == 1);
        out = catalog_item(w->catalog, id, &p.err);
        hash128 now = text_hash("by hand");
        hash128 made = text_hash("made");
        CHECK(is_again(&p, id) && out->disk_differs);
        CHECK_HASH(now, out->disk_hash);
        CHECK_HASH(made, out->hash);
    }
    project_write(&p, "out", "made");
    next_run(&p, true);
    CHECK(!catalog_item(w->catalog, id, &p.err)->disk_differs && again_count(&p) == 0);
    CHECK_INT(0, unlinkat(w->rootfd, "out", 0));
    next_run(&p, true);
    out = catalog_item(w->catalog, id, &p.err);
    CHECK(out->disk_differs && hash_equal(out->disk_hash, HASH_ABSENT) && is_again(&p, id));
    CHECK_INT(events, journal_last(w->journal)); /* nothing about outputs is said here */
    project_close(&p);
}

/* What nobody asks for and what has not moved stays in the table; a folder that is asked for comes whole. */
static void only_what_is_asked_for(void)
{
    enum { FOLDERS = 20, FILES = 20, ALL = FOLDERS * FILES };
    project p;
    uint64_t ids[ALL];
    char path[64];
    project_open(&p, "asked");
    weir *w = &p.w;
    for (int i = 0; i < ALL; i++) {
        snprintf(path, sizeof path, "f%02d", i / FILES);
        if (i % FILES == 0) CHECK_INT(0, mkdirat(w->rootfd, path, 0755));
        snprintf(path, sizeof path, "f%02d/%02d", i / FILES, i % FILES);
        project_write(&p, path, "text");
    }
    os_sleep_ms(20); /* older than what is racy */
    CHECK_OK(observe_start(w, &p.err), p.err);
    for (int i = 0; i < ALL; i++) {
        snprintf(path, sizeof path, "f%02d/%02d", i / FILES, i % FILES);
        ids[i] = project_item(&p, ITEM_FILE, path)->id;
    }
    for (int i = 0; i < ALL; i += 8) make_used(&p, ids + i, 8, NULL, 0);
    CHECK_OK(observe_items(w, ids, ALL, &p.err), p.err);
    next_run(&p, true);
    uint64_t read = hashed(), looked = scan_stats().stats;
    size_t rest = sigcache_memory(w->sigs);
    CHECK(rest < FOLDERS * 100);
    next_run(&p, true);
    CHECK_INT(read, hashed());
    CHECK(scan_stats().stats - looked >= ALL);
    CHECK_INT(rest, sigcache_memory(w->sigs));

    CHECK(sigcache_get(w->sigs, bytes_str("f07/11")) != NULL && sigcache_get(w->sigs, bytes_str("f07/nothing")) == NULL);
    CHECK(sigcache_memory(w->sigs) > rest && sigcache_memory(w->sigs) < rest + FILES * 400);
    project_write(&p, "f09/03", "other");
    CHECK_OK(observe_one(w, catalog_item(w->catalog, ids[9 * FILES + 3], &p.err), &p.err), p.err);
    next_run(&p, true); /* its row was written with all the others in it */
    CHECK(sigcache_is_complete(w->sigs));
    CHECK(hashed() <= read + 2); /* it may have been racy */
    project_close(&p);
}

/* A run that was killed before it wrote its signatures; a cache that was deleted; one that is damaged. */
static void gaps(void)
{
    project p;
    project_open(&p, "gaps");
    weir *w = &p.w;
    project_write(&p, "a", "one");
    project_write(&p, "b", "two");
    CHECK_OK(observe_start(w, &p.err), p.err);
    uint64_t a = project_item(&p, ITEM_FILE, "a")->id;
    uint64_t b = project_item(&p, ITEM_FILE, "b")->id;
    make_used(&p, &a, 1, NULL, 0);
    CHECK_OK(observe_items(w, &a, 1, &p.err), p.err);
    next_run(&p, false);
    CHECK(sigcache_is_complete(w->sigs));
    make_used(&p, &b, 1, NULL, 0);
    CHECK_OK(observe_items(w, &b, 1, &p.err), p.err);
    CHECK(!sigcache_is_complete(w->sigs));
    project_next(&p); /* killed */
    project_reopen(&p);
    project_write(&p, "b", "moved");
    CHECK_OK(observe_start(w, &p.err), p.err);
    CHECK(is_again(&p, b) && again_count(&p) == 1);
    next_run(&p, true);
    CHECK(sigcache_is_complete(w->sigs) && again_count(&p) == 0);

    for (int i = 0; i < 2; i++) {
        char path[500];
        db *d = NULL;
        project_next(&p);
        snprintf(path, sizeof path, "%s/.weir/weir.db", p.root);
        CHECK_OR_STOP(db_open(&d, path, DB_WRITE, NULL, &p.err) == 0);
        CHECK_OK(db_exec(d, i ? "UPDATE cache_folder SET entries = x'09' WHERE folder <> x'01'" : "DELETE FROM cache_folder", &p.err), p.err);
        db_close(d);
        project_reopen(&p);
        project_write(&p, "a", i ? "x" : "y");
        CHECK_OK(observe_start(w, &p.err), p.err);
        CHECK(is_again(&p, a) && again_count(&p) == 1);
        next_run(&p, true);
        CHECK(sigcache_is_complete(w->sigs) && again_count(&p) == 0);
    }
    project_close(&p);
}

static void use_item(project *p, item_kind kind, const char *name)
{
    uint64_t id = project_item(p, kind, name)->id;
    make_used(p, &id, 1, NULL, 0);
}

static cat_item *item_of(project *p, item_kind kind, const char *name)
{
    cat_item *item = catalog_item_named(p->w.catalog, kind, bytes_str(name), false, &p->err);
    CHECK_OR_STOP(item != NULL);
    return item;
}

static void outside(void)
{
    project p;
    project_open(&p, "outside");
    weir *w = &p.w;
    setenv("WEIR_TEST_ENV", "x", 1);
    CHECK_OK(observe_start(w, &p.err), p.err);
    use_item(&p, ITEM_ENV, "WEIR_TEST_ENV");
    use_item(&p, ITEM_VALUE, "k");
    use_item(&p, ITEM_BUILD, "weir");
    project_item(&p, ITEM_ENV, "PATH"); /* nobody uses it */
    next_run(&p, false);
    CHECK_INT(0, again_count(&p));
    hash128 x = text_hash("x");
    CHECK_HASH(x, item_of(&p, ITEM_ENV, "WEIR_TEST_ENV")->hash);
    CHECK(hash_equal(item_of(&p, ITEM_VALUE, "k")->hash, HASH_ABSENT));
    CHECK(!hash_is_none(item_of(&p, ITEM_BUILD, "weir")->hash));
    CHECK(hash_is_none(item_of(&p, ITEM_ENV, "PATH")->hash));
    uint64_t events = journal_last(w->journal);
    next_run(&p, true);
    CHECK_INT(events, journal_last(w->journal));

    unsetenv("WEIR_TEST_ENV");
    weir_assignment set[2] = {{"k", "1"}, {"k", "{\"a\": 2}"}};
    weir_request request = {.size = sizeof request, .values = set, .value_count = 2};
    w->request = &request;
    next_run(&p, false);
    CHECK_INT(2, again_count(&p));
    CHECK(hash_equal(item_of(&p, ITEM_ENV, "WEIR_TEST_ENV")->hash, HASH_ABSENT));
    buf encoded = {0};
    CHECK_OK(value_from_json(bytes_str("{\"a\":2}"), &encoded, &p.err), p.err);
    hash128 expected = hash_bytes(encoded.data, encoded.size);
    CHECK_HASH(expected, item_of(&p, ITEM_VALUE, "k")->hash);
    bytes value = {NULL, 0};
    CHECK_OK(observe_value(w, item_of(&p, ITEM_VALUE, "k"), &value, &p.err), p.err);
    CHECK_BYTES(encoded.data, encoded.size, value.data, value.size);
    set[1].json = "{";
    CHECK_CODE(WEIR_USAGE, observe_outside(w, &p.err), p.err);
    CHECK_HAS("value k", p.err.message);

    w->request = NULL; /* set for good */
    event_put_value_set(catalog_body(w->catalog), &(event_value_set){.item = item_of(&p, ITEM_VALUE, "k")->id, .value = buf_bytes(&encoded)});
    journal_say(w->journal, EVENT_VALUE_SET, catalog_body(w->catalog));
    next_run(&p, true);
    CHECK_INT(0, again_count(&p));
    CHECK_HASH(expected, item_of(&p, ITEM_VALUE, "k")->hash);
    buf_deinit(&encoded);
    project_close(&p);
}

static void write_tool(project *p, const char *name, const char *text)
{
    project_write(p, name, text);
    CHECK_INT(0, fchmodat(p->w.rootfd, name, 0755, 0));
    nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
}

static void tools(void)
{
    project p;
    project_open(&p, "tools");
    weir *w = &p.w;
    char path[1000];
    hash128 hash;
    buf where = {0};
    snprintf(path, sizeof path, "%s/bin:/nowhere", p.root);
    setenv("PATH", path, 1);
    CHECK_INT(0, mkdirat(w->rootfd, "bin", 0755));
    CHECK_OK(observe_start(w, &p.err), p.err);
    use_item(&p, ITEM_TOOL, "t");
    CHECK_OK(observe_outside_hash(w, ITEM_TOOL, bytes_str("t"), &hash, &where, &p.err), p.err);
    CHECK(hash_equal(hash, HASH_ABSENT) && where.size == 0);
    write_tool(&p, "bin/t", "#!/bin/sh\n");
    next_run(&p, true);
    uint64_t before = hashed();
    CHECK_OK(observe_outside_hash(w, ITEM_TOOL, bytes_str("t"), &hash, &where, &p.err), p.err);
    snprintf(path, sizeof path, "%s/bin/t", p.root);
    CHECK_STR(path, buf_cstr(&where));
    hash128 known = item_of(&p, ITEM_TOOL, "t")->hash;
    CHECK_HASH(known, hash);
    CHECK_OK(observe_outside_hash(w, ITEM_TOOL, bytes_str("./bin/t"), &hash, NULL, &p.err), p.err);
    CHECK_HASH(known, hash); /* the same file, however it is called */
    uint64_t events = journal_last(w->journal);
    next_run(&p, true);
    next_run(&p, false);
    CHECK_INT(before, hashed()); /* an unchanged one is not read again */
    CHECK_INT(events, journal_last(w->journal));
    CHECK_INT(0, again_count(&p));
    write_tool(&p, "bin/t", "#!/bin/sh\nexit 1\n");
    next_run(&p, true);
    CHECK(is_again(&p, item_of(&p, ITEM_TOOL, "t")->id));
    CHECK(!hash_equal(known, item_of(&p, ITEM_TOOL, "t")->hash));
    CHECK_INT(0, unlinkat(w->rootfd, "bin/t", 0));
    next_run(&p, true);
    CHECK(is_again(&p, item_of(&p, ITEM_TOOL, "t")->id));
    CHECK(hash_equal(item_of(&p, ITEM_TOOL, "t")->hash, HASH_ABSENT));
    CHECK(sigcache_get(w->sigs, bytes_str("bin/t")) == NULL); /* nobody needs its entry */
    buf_deinit(&where);
    project_close(&p);
}

static size_t glob_count(project *p, hash128 *hash)
{
    mem_arena arena;
    const char **paths = NULL;
    size_t count = 0;
    arena_init(&arena);
    CHECK_OK(observe_glob(&p->w, bytes_str("src/*.md"), &arena, &paths, &count, hash, &p->err), p->err);
    arena_deinit(&arena);
    return count;
}

static void globs(void)
{
    project p;
    project_open(&p, "globs");
    weir *w = &p.w;
    hash128 hash;
    hash128 later;
    mem_arena arena;
    const char **paths = NULL;
    size_t count = 0;
    CHECK_INT(0, mkdirat(w->rootfd, "src", 0755));
    project_write(&p, "src/a.md", "a");
    project_write(&p, "src/b.md", "b");
    project_write(&p, "src/made.md", "made");
    CHECK_OK(observe_start(w, &p.err), p.err);
    CHECK_INT(3, glob_count(&p, &hash));
    uint64_t made = project_item(&p, ITEM_FILE, "src/made.md")->id;
    make_used(&p, NULL, 0, &made, 1);
    CHECK_INT(2, glob_count(&p, &hash));
    cat_item *glob = item_of(&p, ITEM_GLOB, "src/*.md");
    catalog_observe(w->catalog, glob, hash, 2, 0);
    definition_read read = {.item = glob->id, .hash = hash};
    event_put_definition(catalog_body(w->catalog), &(event_definition){.graph = 1, .file = bytes_str("weir.lua"), .reads = &read, .read_count = 1});
    journal_say(w->journal, EVENT_DEFINITION, catalog_body(w->catalog));
    uint64_t events = journal_last(w->journal);
    next_run(&p, true);
    CHECK_OK(observe_globs(w, &p.err), p.err);
    CHECK_INT(events, journal_last(w->journal));
    project_write(&p, "src/a.md", "changed"); /* the names are the same */
    next_run(&p, true);
    CHECK_OK(observe_globs(w, &p.err), p.err);
    CHECK_INT(events, journal_last(w->journal));
    project_write(&p, "src/c.md", "c");
    next_run(&p, true);
    CHECK_OK(observe_globs(w, &p.err), p.err);
    CHECK_INT(events + 1, journal_last(w->journal));
    CHECK_INT(3, glob_count(&p, &later));
    CHECK_HASH(later, item_of(&p, ITEM_GLOB, "src/*.md")->hash);
    CHECK(!hash_equal(hash, later));
    arena_init(&arena);
    CHECK_CODE(WEIR_WORKFLOW, observe_glob(w, bytes_str("src/[a"), &arena, &paths, &count, &hash, &p.err), p.err);
    CHECK(catalog_item_named(w->catalog, ITEM_GLOB, bytes_str("src/[a"), false, &p.err) == NULL);
    arena_deinit(&arena);
    project_close(&p);
}

static void faults(void)
{
    project p;
    project_open(&p, "faults");
    CHECK_OK(observe_start(&p.w, &p.err), p.err);
    CHECK_INT(0, mkfifoat(p.w.rootfd, "pipe", 0644));
    uint64_t id = project_item(&p, ITEM_FILE, "pipe")->id;
    CHECK_OK(observe_items(&p.w, &id, 1, &p.err), p.err);
    CHECK(hash_equal(HASH_UNREADABLE, catalog_item(p.w.catalog, id, NULL)->hash));
    CHECK_INT(0, unlinkat(p.w.rootfd, "pipe", 0));
    project_write(&p, "pipe", "a file now");
    CHECK_OK(observe_one(&p.w, catalog_item(p.w.catalog, id, NULL), &p.err), p.err);
    CHECK(hash_equal(hash_bytes("a file now", 10), catalog_item(p.w.catalog, id, NULL)->hash));
    project_close(&p);
}

int main(void)
{
    sources();
    outputs();
    only_what_is_asked_for();
    gaps();
    outside();
    globs();
    faults();
    tools();
    return check_done();
}
