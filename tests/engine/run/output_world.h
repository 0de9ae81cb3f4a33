/*
 * output_world.h - for the tests of outputs and recovery: an engine's parts without the engine, in a folder.
 *
 * One effect, one node "n" with the outputs out/a, out/b ..., all said into the log as an engine would. Messages are collected.
 */
#ifndef WEIR_TESTS_OUTPUT_WORLD_H
#define WEIR_TESTS_OUTPUT_WORLD_H

#include <unistd.h>

#include "engine/run/output.h"
#include "engine/store/value.h"
#include "tests/check.h"

typedef struct world {
    weir w;
    weir_summary summary;
    char root[300], db[340];
    buf messages; /* a line each */
} world;

static inline void world_listen(void *ctx, const weir_event *event)
{
    world *o = ctx;
    buf_printf(&o->messages, "%s\n", event->message);
}

/* Opens an existing one too. */
static inline void world_open(world *o, const char *root)
{
    weir_error err = {0};
    weir *w = &o->w;
    memset(o, 0, sizeof *o);
    snprintf(o->root, sizeof o->root, "%s", root);
    snprintf(o->db, sizeof o->db, "%s/.weir/weir.db", root);
    w->rootfd = os_openat(AT_FDCWD, root, OS_READ | OS_FOLDER, 0, &err);
    CHECK_OR_STOP(w->rootfd >= 0);
    CHECK_OK(os_mkdirat(w->rootfd, ".weir", 0777, &err), err);
    w->weirfd = os_openat(w->rootfd, ".weir", OS_READ | OS_FOLDER, 0, &err);
    w->summary = &o->summary;
    w->listener = world_listen;
    w->listener_ctx = o;
    map_init(&w->kept_said);
    map_init(&w->observe_again);
    map_init(&w->first_seen);
    uv_loop_init(&w->loop);
    CHECK_OK(journal_open(&w->journal, &w->loop, o->db, w->weirfd, &err), err);
    CHECK_OK(catalog_open(&w->catalog, o->db, w->journal, false, &err), err);
    CHECK_OK(blob_store_open(&w->blobs, w->weirfd, &err), err);
    CHECK_OK(sigcache_new(&w->sigs, &err), err);
    w->scan = (scan_config){.rootfd = w->rootfd, .blobs = w->blobs, .forbidden = &w->forbidden};
}

static inline void world_close(world *o)
{
    weir *w = &o->w;
    map_deinit(&w->kept_said);
    map_deinit(&w->observe_again);
    map_deinit(&w->first_seen);
    output_notes_free(w);
    sigcache_free(w->sigs);
    catalog_close(w->catalog);
    journal_close(w->journal);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    CHECK_INT(0, uv_loop_close(&w->loop));
    blob_store_close(w->blobs);
    os_close(w->weirfd);
    os_close(w->rootfd);
    buf_deinit(&o->messages);
}

static inline cat_item *world_item(world *o, const char *path)
{
    weir_error err = {0};
    cat_item *item = catalog_item_named(o->w.catalog, ITEM_FILE, bytes_str(path), true, &err);
    CHECK_OR_STOP(item != NULL);
    return item;
}

#define WORLD_SAY(o, lower, UPPER, ...)                                                            \
    do {                                                                                           \
        buf *body_ = catalog_body((o)->w.catalog);                                                 \
        event_put_##lower(body_, &(event_##lower){__VA_ARGS__});                                   \
        journal_say((o)->w.journal, EVENT_##UPPER, body_);                                         \
    } while (0)

/* Node 1 with these outputs, in the log and (on the next look) in the catalog. */
static inline void world_declare(world *o, const char *const *paths, size_t count)
{
    static const char *const ports[] = {"p0", "p1", "p2", "p3"};
    weir_error err = {0};
    spec_output outs[4] = {0};
    buf text;
    buf_init(&text);
    for (size_t i = 0; i < count; i++)
        outs[i] = (spec_output){.port = bytes_str(ports[i]), .id = world_item(o, paths[i])->id};
    effect_spec effect = {.name = bytes_str("e"), .kind = EFFECT_COMMAND};
    effect_put(&text, &effect, false);
    WORLD_SAY(o, effect, EFFECT, .effect = 1, .spec = buf_bytes(&text));
    buf_clear(&text);
    node_spec spec = {.name = bytes_str("n"), .base = bytes_str("n"), .effect = bytes_str("e"),
                      .effect_id = 1, .params = VALUE_EMPTY_OBJECT, .outputs = outs, .output_count = count};
    spec_put_stored(&text, &spec);
    CHECK_INT(1, catalog_new_node_id(o->w.catalog));
    WORLD_SAY(o, node, NODE, .node = 1, .graph = 1, .height = 1, .spec = buf_bytes(&text));
    buf_deinit(&text);
    CHECK_OK(catalog_refresh(o->w.catalog, &err), err);
    catalog_clear(o->w.catalog);
}

/* An execution of node 1 made one output. */
static inline void world_finished(world *o, uint64_t execution, const output_record *made)
{
    WORLD_SAY(o, finished, FINISHED, .execution = execution, .node = 1, .result = EXECUTION_OK,
              .outputs = (output_record *)(uintptr_t)made, .output_count = 1);
    catalog_wrote(o->w.catalog, made);
    catalog_put_result(o->w.catalog, &(cat_result){.execution = execution, .node = 1, .result = EXECUTION_OK,
                                                   .outputs = (output_record *)(uintptr_t)made, .output_count = 1});
    weir_error err = {0};
    cat_node *node = catalog_node(o->w.catalog, 1, &err);
    CHECK_STR("", err.message);
    CHECK_OR_STOP(node != NULL);
    node->execution = execution;
}

static inline void world_write(world *o, const char *path, const char *text, uint32_t mode)
{
    weir_error err = {0};
    CHECK_OK(os_unlinkat(o->w.rootfd, path, &err), err);
    CHECK_OK(os_write_file(o->w.rootfd, path, bytes_str(text), mode, &err), err);
    CHECK_OK(os_chmodat(o->w.rootfd, path, mode, &err), err);
}

/* "" when there is nothing. Static. */
static inline const char *world_read(world *o, const char *path)
{
    static char text[200];
    buf b;
    buf_init(&b);
    int rc = os_read_file(o->w.rootfd, path, sizeof text - 1, &b, NULL);
    snprintf(text, sizeof text, "%.*s", rc == 0 ? (int)b.size : 0, b.data ? (const char *)b.data : "");
    buf_deinit(&b);
    return text;
}

static inline os_stat world_stat(world *o, const char *path)
{
    os_stat st = {0};
    weir_error err = {0};
    CHECK_OK(os_statat(o->w.rootfd, path, false, &st, &err), err);
    return st;
}

static inline bool world_has(world *o, const char *text)
{
    bool has = false;
    weir_error err = {0};
    CHECK_OK(catalog_refresh(o->w.catalog, &err), err);
    CHECK_OK(blob_has(o->w.blobs, catalog_db(o->w.catalog), hash_bytes(text, strlen(text)), &has, &err), err);
    return has;
}

static inline int64_t world_ask(world *o, const char *sql)
{
    int64_t value = -1;
    weir_error err = {0};
    CHECK_OK(catalog_refresh(o->w.catalog, &err), err);
    CHECK_OK(db_ask_int(catalog_db(o->w.catalog), sql, &value, &err), err);
    return value;
}

static inline const char *world_said(world *o)
{
    const char *text = buf_cstr(&o->messages);
    return text ? text : "";
}

#endif
