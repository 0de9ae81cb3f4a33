/* test_catalog.c - what memory says against what the database says, before and after it is forgotten. */
#include "engine/store/trace.h"
#include "tests/engine/run/project.h"

static hash128 number(uint64_t n)
{
    return hash_bytes(&n, sizeof n);
}

static void items(void)
{
    project p;
    project_open(&p, "items");
    catalog *c = p.w.catalog;
    CHECK(catalog_item(c, 1, &p.err) == NULL && p.err.code == 0);
    CHECK(catalog_item_named(c, ITEM_FILE, bytes_str("a"), false, &p.err) == NULL && p.err.code == 0);
    cat_item *a = project_item(&p, ITEM_FILE, "a");
    cat_item *env = project_item(&p, ITEM_ENV, "a");
    CHECK_INT(1, a->id);
    CHECK_INT(2, env->id);
    CHECK(hash_is_none(a->hash) && a->node == 0);
    CHECK(project_item(&p, ITEM_FILE, "a") == a);
    CHECK(catalog_item(c, 1, &p.err) == a);
    catalog_observe(c, a, number(1), 7, 0644);
    catalog_wrote(c, &(output_record){.item = env->id, .hash = number(2), .size = 3, .mode = 0755}); /* not said */
    CHECK_OK(catalog_refresh(c, &p.err), p.err);
    CHECK(catalog_item(c, 1, &p.err) == a);
    catalog_clear(c);
    a = catalog_item(c, 1, &p.err);
    CHECK_OR_STOP(a != NULL);
    CHECK_BYTES("a", 2, a->name.data, a->name.size + 1);
    CHECK(a->size == 7 && a->mode == 0644 && a->kind == ITEM_FILE);
    hash128 one = number(1);
    CHECK_HASH(one, a->hash);
    CHECK(project_item(&p, ITEM_FILE, "a") == a);
    CHECK(hash_is_none(catalog_item(c, 2, &p.err)->hash));
    CHECK_INT(3, project_item(&p, ITEM_FILE, "b")->id);
    project_reopen(&p);
    CHECK_INT(3, project_item(&p, ITEM_FILE, "b")->id);
    CHECK_INT(4, project_item(&p, ITEM_GLOB, "*")->id);
    project_close(&p);
}

/* Nothing of a dry run is written. */
static void dry(void)
{
    project p;
    project_open(&p, "dry");
    journal_set_run(p.w.journal, 0, true);
    uint64_t id = project_item(&p, ITEM_FILE, "a")->id;
    catalog_observe(p.w.catalog, catalog_item(p.w.catalog, id, NULL), number(1), 1, 0644);
    CHECK(project_item(&p, ITEM_FILE, "a")->size == 1);
    CHECK_INT(0, journal_events(p.w.journal));
    journal_set_run(p.w.journal, 0, false);
    project_next(&p);
    CHECK(catalog_item_named(p.w.catalog, ITEM_FILE, bytes_str("a"), false, &p.err) == NULL && p.err.code == 0);
    CHECK(project_item(&p, ITEM_FILE, "b")->id > id);
    project_close(&p);
}

static void nodes(void)
{
    project p;
    project_open(&p, "nodes");
    catalog *c = p.w.catalog;
    uint64_t in = project_item(&p, ITEM_FILE, "in")->id;
    uint64_t one = project_item(&p, ITEM_FILE, "out/1")->id;
    uint64_t two = project_item(&p, ITEM_FILE, "out/2")->id;
    uint64_t id = catalog_new_node_id(c);
    CHECK(catalog_node(c, id, &p.err) == NULL && p.err.code == 0);
    cat_node *n = project_node(&p, id, "page[post=a]", &in, 1, &one, 1, SPEC_ALWAYS);
    CHECK(n->status == CAT_DUE && n->due == REASON_NEW && n->always && n->effect == 1);
    CHECK_INT(id, catalog_item(c, one, &p.err)->node);
    uint64_t found = 0;
    CHECK_OK(catalog_node_named(c, 1, bytes_str("page[post=a]"), &found, &p.err), p.err);
    CHECK_INT(id, found);
    CHECK_OK(catalog_node_named(c, 2, bytes_str("page[post=a]"), &found, &p.err), p.err);
    CHECK_INT(0, found);
    CHECK_OK(catalog_refresh(c, &p.err), p.err);
    for (int i = 0; i < 2; i++) {
        catalog_clear(c);
        CHECK_OK(catalog_node_named(c, 1, bytes_str("page[post=a]"), &found, &p.err), p.err);
        CHECK_INT(id, found);
        n = catalog_node(c, id, &p.err);
        CHECK_OR_STOP(n != NULL);
        CHECK(catalog_node(c, id, &p.err) == n);
        CHECK_STR("page[post=a]", (const char *)n->spec.name.data);
        CHECK_INT(1, n->spec.input_count);
        CHECK_INT(in, n->spec.inputs[0].members[0].id);
        CHECK_INT(1, n->height);
        CHECK(n->always && n->status == CAT_DUE && n->due == REASON_NEW && n->spec_seq > 0);
        CHECK_INT(id, catalog_item(c, one, &p.err)->node);
        if (i == 1) break;
        /* Declared anew with another output: the old path is free. */
        n = project_node(&p, id, "page[post=a]", &in, 1, &two, 1, 0);
        CHECK(!n->always && catalog_item(c, one, &p.err)->node == 0 && catalog_item(c, two, &p.err)->node == id);
        n = project_node(&p, id, "page[post=a]", &in, 1, &one, 1, SPEC_ALWAYS);
        CHECK_OK(catalog_refresh(c, &p.err), p.err);
    }
    CHECK_INT(2, catalog_nodes_loaded(c));
    CHECK(catalog_item(c, two, &p.err)->node == 0);
    CHECK_INT(id + 1, catalog_new_node_id(c));
    project_close(&p);
}

static void effects(void)
{
    project p;
    project_open(&p, "effects");
    catalog *c = p.w.catalog;
    effect_spec spec = {.name = bytes_str("cc"), .kind = EFFECT_LUA, .version = bytes_str("2"), .code = number(9)};
    buf stored = {0};
    effect_put(&stored, &spec, false);
    uint64_t id = catalog_new_effect_id(c);
    event_put_effect(catalog_body(c), &(event_effect){.effect = id, .graph = 3, .spec = buf_bytes(&stored)});
    uint64_t seq = journal_say(p.w.journal, EVENT_EFFECT, catalog_body(c));
    cat_effect *e = catalog_put_effect(c, id, &spec, &p.err);
    CHECK_OR_STOP(e != NULL);
    e->graph = 3;
    e->seq = seq;
    for (int i = 0; i < 2; i++) {
        uint64_t found = 0;
        CHECK_OK(catalog_effect_named(c, 3, bytes_str("cc"), &found, &p.err), p.err);
        CHECK_INT(id, found);
        CHECK_OK(catalog_effect_named(c, 0, bytes_str("cc"), &found, &p.err), p.err);
        CHECK_INT(0, found);
        e = catalog_effect(c, id, &p.err);
        CHECK_OR_STOP(e != NULL);
        CHECK(e->seq == seq && e->graph == 3 && e->spec.kind == EFFECT_LUA);
        CHECK_STR("cc", (const char *)e->spec.name.data);
        CHECK_STR("2", (const char *)e->spec.version.data);
        CHECK_STR("", (const char *)e->spec.library.data);
        CHECK_OK(catalog_refresh(c, &p.err), p.err);
        catalog_clear(c);
    }
    CHECK(catalog_effect(c, 99, &p.err) == NULL && p.err.code == 0);
    buf_deinit(&stored);
    project_close(&p);
}

/* --- traces -------------------------------------------------------------------------------------------------------- */

static read_record read_of(uint32_t group, uint64_t item, hash128 hash)
{
    return (read_record){.ref = {.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1, .item = item},
                         .group = group, .source = item, .hash = hash};
}

/* Answers what the table says. */
typedef struct world {
    catalog *c;
    hash128 *now; /* by item */
} world;

static int probe(void *ctx, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *err)
{
    return catalog_probe(((world *)ctx)->c, prefix, refs, execution, err);
}

static int resolve(void *ctx, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    (void)err;
    *wait_for = 0;
    *hash = ((world *)ctx)->now[ref->item];
    *how = RESOLVE_KNOWN;
    return 0;
}

static uint64_t look_up(project *p, hash128 key, hash128 *now)
{
    world at = {p->w.catalog, now};
    lookup_source source = {.ctx = &at, .probe = probe, .resolve = resolve};
    mem_arena scratch;
    lookup_result result = LOOKUP_MISS;
    uint64_t execution = 0;
    uint64_t wait_for = 0;
    arena_init(&scratch);
    CHECK_OK(lookup_trace(&source, key, &scratch, &result, &execution, &wait_for, NULL, &p->err), p->err);
    arena_deinit(&scratch);
    return result == LOOKUP_HIT ? execution : 0;
}

static void finish(project *p, hash128 key, read_record *reads, size_t count, uint64_t execution)
{
    catalog *c = p->w.catalog;
    output_record out = {.port = 0, .item = 1, .hash = number(execution), .size = execution, .mode = 0644};
    event_finished e = {.execution = execution, .node = 1, .result = EXECUTION_OK, .key = key, .spec_seq = 5, .effect_seq = 6,
                        .reads = reads, .read_count = count, .outputs = &out, .output_count = 1, .value = number(77)};
    event_put_finished(catalog_body(c), &e);
    journal_say(p->w.journal, EVENT_FINISHED, catalog_body(c));
    catalog_put_result(c, &(cat_result){.execution = execution, .node = 1, .spec_seq = 5, .effect_seq = 6, .key = key,
                                        .value = number(77), .result = EXECUTION_OK, .outputs = &out, .output_count = 1});
    CHECK_OK(catalog_learn(c, key, reads, count, execution, &p->err), p->err);
}

static void result_is(project *p, uint64_t execution, size_t reads)
{
    const cat_result *r = NULL;
    mem_arena arena;
    read_record *list = NULL;
    size_t count = 0;
    CHECK_OK(catalog_result(p->w.catalog, execution, &r, &p->err), p->err);
    CHECK_OR_STOP(r != NULL);
    hash128 hash = number(execution);
    hash128 value = number(77);
    CHECK_INT(1, r->output_count);
    CHECK_HASH(hash, r->outputs[0].hash);
    CHECK_HASH(value, r->value);
    CHECK(r->node == 1 && r->spec_seq == 5 && r->effect_seq == 6 && r->result == EXECUTION_OK);
    CHECK(r->outputs[0].size == execution && r->outputs[0].mode == 0644 && r->outputs[0].item == 1);
    arena_init(&arena);
    CHECK_OK(catalog_reads(p->w.catalog, execution, &arena, &list, &count, &p->err), p->err);
    CHECK_INT(reads, count);
    if (count > 0) CHECK(list[0].ref.item == list[0].source && list[0].group == 0 && !list[0].source_is_node);
    arena_deinit(&arena);
}

static void traces(void)
{
    project p;
    project_open(&p, "traces");
    catalog *c = p.w.catalog;
    hash128 key = number(1000);
    hash128 now[8];
    for (uint64_t i = 0; i < 8; i++) now[i] = number(i);
    CHECK_INT(0, look_up(&p, key, now));
    read_record reads[3] = {read_of(0, 2, now[2]), read_of(0, 3, now[3]), read_of(1, 4, now[4])};
    finish(&p, key, reads, 3, catalog_new_execution_id(c));
    CHECK_INT(1, look_up(&p, key, now));
    result_is(&p, 1, 3);
    now[4] = number(44);
    CHECK_INT(0, look_up(&p, key, now));
    reads[2].hash = now[4];
    finish(&p, key, reads, 3, catalog_new_execution_id(c));
    CHECK_INT(2, look_up(&p, key, now));
    now[4] = number(4);
    CHECK_INT(1, look_up(&p, key, now)); /* both are kept */
    for (int i = 0; i < 2; i++) {
        CHECK_OK(catalog_refresh(c, &p.err), p.err);
        catalog_clear(c);
        CHECK_INT(1, look_up(&p, key, now));
        result_is(&p, 1, 3);
        result_is(&p, 2, 3);
    }
    /* A shorter trace takes the place of what came behind the same prefix; the newest result of the same reads wins. */
    finish(&p, key, reads, 2, 3);
    CHECK_INT(3, look_up(&p, key, now));
    finish(&p, key, reads, 2, 4);
    CHECK_INT(4, look_up(&p, key, now));
    finish(&p, key, NULL, 0, 5);
    CHECK_INT(5, look_up(&p, key, now));
    result_is(&p, 5, 0);
    CHECK_OK(catalog_refresh(c, &p.err), p.err);
    catalog_clear(c);
    CHECK_INT(5, look_up(&p, key, now));
    finish(&p, key, reads, 2, 6);
    CHECK_INT(6, look_up(&p, key, now));
    CHECK_OK(catalog_learn(c, HASH_NONE, reads, 2, 7, &p.err), p.err);
    const cat_result *none = NULL;
    CHECK_CODE(WEIR_NOTFOUND, catalog_result(c, 99, &none, &p.err), p.err);
    project_reopen(&p);
    CHECK_INT(6, look_up(&p, key, now));
    CHECK(p.w.catalog && catalog_new_execution_id(p.w.catalog) == 7);
    project_close(&p);
}

/* More traces than memory keeps: the database answers for those that were given back. */
static void many_traces(void)
{
    project p;
    project_open(&p, "many");
    hash128 now[2] = {number(0), number(1)};
    read_record reads[20];
    for (uint32_t i = 0; i < 20; i++) reads[i] = read_of(i, 1, now[1]);
    for (uint64_t i = 1; i <= 5000; i++) finish(&p, number(5000 + i), reads, 20, i);
    for (uint64_t i = 1; i <= 5000; i += 111) CHECK_INT(i, look_up(&p, number(5000 + i), now));
    project_close(&p);
}

static void notes(void)
{
    project p;
    project_open(&p, "notes");
    bytes *note = catalog_note(p.w.catalog, bytes_str("cc"));
    CHECK_OR_STOP(note != NULL);
    CHECK_INT(0, note->size);
    *note = bytes_str("x");
    CHECK(catalog_note(p.w.catalog, bytes_str("cc")) == note);
    catalog_clear(p.w.catalog);
    CHECK_INT(0, catalog_note(p.w.catalog, bytes_str("cc"))->size);
    project_close(&p);
}

int main(void)
{
    items();
    dry();
    nodes();
    effects();
    traces();
    many_traces();
    notes();
    return check_done();
}
