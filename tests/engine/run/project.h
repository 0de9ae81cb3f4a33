/*
 * project.h - an engine by hand for tests of its parts: a project in the scratch folder with log, catalog and signatures, and nothing
 * that runs by itself.
 */
#ifndef WEIR_TESTS_RUN_PROJECT_H
#define WEIR_TESTS_RUN_PROJECT_H

#include <time.h>

#include "engine/run/engine.h"
#include "tests/check.h"

typedef struct project {
    weir w;
    weir_error err;
    char root[400];
} project;

static inline void project_start(project *p)
{
    weir *w = &p->w;
    char db_path[500];
    snprintf(db_path, sizeof db_path, "%s/.weir/weir.db", p->root);
    uv_loop_init(&w->loop);
    CHECK_OR_STOP(journal_open(&w->journal, &w->loop, db_path, w->weirfd, &p->err) == 0);
    CHECK_OR_STOP(catalog_open(&w->catalog, db_path, w->journal, false, &p->err) == 0);
    CHECK_OR_STOP(sigcache_new(&w->sigs, &p->err) == 0);
    map_init(&w->observe_again);
    map_init(&w->first_seen);
    w->scan = (scan_config){.rootfd = w->rootfd, .forbidden = &w->forbidden};
    w->graph = 1;
    w->started_ns = 1;
}

static inline void project_open(project *p, const char *name)
{
    weir *w = &p->w;
    *p = (project){0};
    snprintf(p->root, sizeof p->root, "%s/%s", check_scratch(), name);
    CHECK_INT(0, mkdir(p->root, 0755));
    w->root = p->root;
    w->rootfd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(0, mkdirat(w->rootfd, ".weir", 0755));
    w->weirfd = openat(w->rootfd, ".weir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    project_start(p);
}

static inline void project_end(project *p)
{
    weir *w = &p->w;
    map_deinit(&w->observe_again);
    map_deinit(&w->first_seen);
    sigcache_free(w->sigs);
    catalog_close(w->catalog);
    journal_close(w->journal);
    while (uv_run(&w->loop, UV_RUN_NOWAIT)) continue;
    uv_loop_close(&w->loop);
}

static inline void project_close(project *p)
{
    project_end(p);
    close(p->w.rootfd);
    close(p->w.weirfd);
}

/** As between two processes. */
static inline void project_reopen(project *p)
{
    project_end(p);
    project_start(p);
}

/** As between two runs of one process. */
static inline void project_next(project *p)
{
    CHECK_OK(journal_sync(p->w.journal, false, &p->err), p->err);
    catalog_clear(p->w.catalog);
    map_clear(&p->w.observe_again);
    map_clear(&p->w.first_seen);
    p->w.started_ns++;
}

/** A file that is older than the racy window. */
static inline void project_write(project *p, const char *name, const char *text)
{
    static int64_t age;
    int fd = openat(p->w.rootfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    age++;
    struct timespec times[2] = {{.tv_sec = 1000000000 + age}, {.tv_sec = 1000000000 + age}};
    futimens(fd, times);
    close(fd);
    nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL); /* its ctime cannot be set */
}

/** An item by its name, made if it is not there. */
static inline cat_item *project_item(project *p, item_kind kind, const char *name)
{
    cat_item *item = catalog_item_named(p->w.catalog, kind, bytes_str(name), true, &p->err);
    CHECK_OR_STOP(item != NULL);
    return item;
}

/** Declare and say a node of effect 1 with these items behind port "in" and these outputs. */
static inline cat_node *project_node(project *p, uint64_t id, const char *name, const uint64_t *items, size_t item_count,
                                     const uint64_t *outputs, size_t output_count, uint32_t flags)
{
    static const char *const ports[] = {"a", "b", "c", "d"};
    spec_member members[8] = {0};
    spec_output outs[4] = {0};
    for (size_t i = 0; i < item_count; i++) members[i] = (spec_member){.kind = MEMBER_ITEM, .item = ITEM_FILE, .id = items[i]};
    for (size_t i = 0; i < output_count; i++) outs[i] = (spec_output){.port = bytes_str(ports[i]), .id = outputs[i]};
    spec_input input = {.port = bytes_str("in"), .is_list = true, .members = members, .count = item_count};
    node_spec spec = {.name = bytes_str(name), .base = bytes_str(name), .effect = bytes_str("cc"), .effect_id = 1,
                      .params = bytes_of("\x08\x00", 2), .inputs = &input, .input_count = 1, .outputs = outs,
                      .output_count = output_count, .flags = flags};
    buf stored = {0};
    spec_put_stored(&stored, &spec);
    buf *body = catalog_body(p->w.catalog);
    event_put_node(body, &(event_node){.node = id, .graph = 1, .height = 1, .spec = buf_bytes(&stored)});
    uint64_t seq = journal_say(p->w.journal, EVENT_NODE, body);
    buf_deinit(&stored);
    cat_node *node = catalog_put_node(p->w.catalog, id, &spec, &p->err);
    CHECK_OR_STOP(node != NULL);
    node->graph = 1;
    node->height = 1;
    node->spec_seq = seq;
    return node;
}

#endif
