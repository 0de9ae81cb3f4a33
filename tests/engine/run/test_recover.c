/*
 * test_recover.c - what a killed engine left is settled, wherever recovery itself is killed.
 *
 * Each story is set up, then recovered once by a child that is killed at a named place (or not), then by this process.
 */
#include <sys/wait.h>

#include "tests/engine/run/output_world.h"

static const char *const PATHS[] = {"out/old", "out/fresh", "out/same", "out/gone"};
static const char *const OLD[] = {"old", "", "same", "gone"};
static const hash128 TOKEN = {{1, 2, 3}};

/* An attempt that was killed: old is aside and half written again, fresh is half written, same was not touched, gone was removed with its aside. */
static void leave_open(const char *root, job_type type)
{
    world o;
    char boot_id[40];
    weir_error err = {0};
    world_open(&o, root);
    os_boot_id(boot_id);
    WORLD_SAY(&o, session, SESSION, .boot_id = bytes_str(boot_id));
    world_declare(&o, PATHS, 4);
    CHECK_OK(os_mkdirat(o.w.rootfd, "out", 0777, &err), err);
    for (size_t i = 0; i < 4; i++) {
        if (i == 1) continue;
        blob_row row;
        world_write(&o, PATHS[i], OLD[i], 0644);
        CHECK_OK(blob_row_make(bytes_str(OLD[i]), hash_bytes(OLD[i], strlen(OLD[i])), &row, &err), err);
        journal_payload(o.w.journal, &row);
    }
    aside_record asides[3] = {
        {world_item(&o, PATHS[0])->id, 0, hash_bytes(OLD[0], strlen(OLD[0])), 0644},
        {world_item(&o, PATHS[2])->id, 2, hash_bytes(OLD[2], strlen(OLD[2])), 0644},
        {world_item(&o, PATHS[3])->id, 3, hash_bytes(OLD[3], strlen(OLD[3])), 0644},
    };
    uint64_t fresh = world_item(&o, PATHS[1])->id;
    journal_set_run(o.w.journal, 7, false);
    WORLD_SAY(&o, started, STARTED, .execution = 1, .node = 1, .token = TOKEN, .job = type, .asides = asides,
              .aside_count = 3, .fresh = &fresh, .fresh_count = 1);
    CHECK_OK(journal_sync(o.w.journal, false, &err), err);
    char folder[80];
    char aside[100];
    char hex[HASH_HEX];
    snprintf(folder, sizeof folder, ".weir/tmp/%s", hash_hex(TOKEN, hex));
    snprintf(aside, sizeof aside, "%s/0", folder);
    CHECK_OK(os_mkdirat(o.w.rootfd, folder, 0777, &err), err);
    CHECK_OK(os_renameat(o.w.rootfd, PATHS[0], o.w.rootfd, aside, &err), err);
    CHECK_OK(os_unlinkat(o.w.rootfd, PATHS[3], &err), err);
    world_write(&o, PATHS[0], "half", 0644);
    world_write(&o, PATHS[1], "half too", 0644);
    world_write(&o, ".weir/tmp/junk", "x", 0444);
    snprintf(aside, sizeof aside, ".weir/tmp/v%d", (int)world_item(&o, "stray/file")->id);
    world_write(&o, aside, "stray", 0644);
    world_close(&o);
}

static void check_settled(const char *root, job_type type)
{
    world o;
    mem_arena arena;
    os_entry *entries;
    size_t count = 99;
    weir_error err = {0};
    world_open(&o, root);
    CHECK_OK(recover_open(&o.w, &err), err);
    CHECK_STR("old", world_read(&o, PATHS[0]));
    CHECK_INT(OS_ABSENT, world_stat(&o, PATHS[1]).type);
    CHECK_STR("same", world_read(&o, PATHS[2]));
    CHECK_STR("gone", world_read(&o, PATHS[3]));
    CHECK_STR("stray", world_read(&o, "stray/file"));
    CHECK(world_has(&o, "half")); /* who knows who wrote it */
    CHECK(world_has(&o, "half too"));
    CHECK_INT(0, world_ask(&o, "SELECT count(*) FROM execution WHERE result = 0"));
    CHECK_INT(1, world_ask(&o, "SELECT count(*) FROM event WHERE kind = 12"));
    CHECK_INT(7, world_ask(&o, "SELECT run FROM execution"));
    CHECK_INT(type == JOB_OPS ? EXECUTION_FAILED : EXECUTION_INTERRUPTED, world_ask(&o, "SELECT result FROM execution"));
    CHECK_INT(type == JOB_OPS ? CAT_FAILED : CAT_DUE, world_ask(&o, "SELECT status FROM node"));
    CHECK_INT(REASON_INTERRUPTED, world_ask(&o, "SELECT due FROM node"));
    CHECK_INT(1, world_ask(&o, "SELECT count(*) FROM event WHERE kind = 31"));
    arena_init(&arena);
    CHECK_OK(os_list(o.w.weirfd, "tmp", &arena, &entries, &count, &err), err);
    CHECK_INT(0, count);
    arena_deinit(&arena);
    buf_clear(&o.messages);
    CHECK_OK(recover_open(&o.w, &err), err); /* nothing is left to do */
    CHECK_STR("", world_said(&o));
    world_close(&o);
}

/* Rows that one recovery reads and statements that it makes, behind a log of so many executions. */
static void measure(const char *root, size_t history, uint64_t *rows, uint64_t *statements)
{
    world o;
    weir_error err = {0};
    world_open(&o, root);
    for (size_t i = 0; i < history; i++)
        WORLD_SAY(&o, finished, FINISHED, .execution = 2 + i, .node = 1, .result = EXECUTION_FAILED, .message = bytes_str("no"));
    CHECK_OK(catalog_refresh(o.w.catalog, &err), err);
    catalog_clear(o.w.catalog);
    db_counts reader = db_stats(catalog_db(o.w.catalog)), writer = journal_counts(o.w.journal);
    CHECK_OK(recover_open(&o.w, &err), err);
    db_counts reader_after = db_stats(catalog_db(o.w.catalog)), writer_after = journal_counts(o.w.journal);
    *rows = reader_after.rows_read - reader.rows_read + writer_after.rows_read - writer.rows_read;
    *statements = reader_after.statements - reader.statements + writer_after.statements - writer.statements;
    CHECK_INT(0, world_ask(&o, "SELECT count(*) FROM execution WHERE result = 0"));
    world_close(&o);
}

static void check_cost(const char *dir, job_type type)
{
    char root[300];
    uint64_t rows[2], statements[2];
    static const size_t histories[] = {3, 3000};
    for (size_t i = 0; i < 2; i++) {
        snprintf(root, sizeof root, "%s/%zu", dir, i);
        CHECK_INT(0, mkdir(root, 0777));
        leave_open(root, type);
        measure(root, histories[i], &rows[i], &statements[i]);
    }
    CHECK(rows[0] > 0);
    CHECK_INT(rows[0], rows[1]);
    CHECK_INT(statements[0], statements[1]);
}

/* true: it was killed there */
static bool recover_killed(const char *root, const char *at)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        world o;
        weir_error err = {0};
        check_scratch_path[0] = '\0'; /* the parent's */
        setenv("WEIR_KILL_AT", at, 1);
        world_open(&o, root);
        int rc = recover_open(&o.w, &err);
        if (rc != 0) printf("%s: %s\n", at, err.message);
        world_close(&o);
        fflush(NULL);
        _exit(rc == 0 ? 0 : 1);
    }
    int status = 0;
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* The whole set-up runs in a child: this process must not have asked for a kill point before it forks the next. */
static void in_child(void (*body)(const char *, job_type), const char *root, job_type type)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        check_scratch_path[0] = '\0';
        body(root, type);
        fflush(NULL);
        _exit(check_failures ? 1 : 0);
    }
    int status = 1;
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK_INT(0, status);
}

int main(void)
{
    static const char *const places[] = {
        "never:1", "recover_begin:1", "recover_ended:1", "recover_before_rename:1", "recover_before_rename:2",
        "recover_put_back:1", "recover_put_back:2", "recover_put_back:3", "recover_put_back:4", "recover_said:1",
        "recover_synced:1", "recover_sweep:1", "recover_sweep:2", "log_before_commit:1", "log_before_commit:2",
        "log_after_commit:1", "log_after_commit:2", "log_after_commit:3"};
    const char *dir = check_scratch();
    char root[300];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        job_type type = i % 2 ? JOB_OPS : JOB_PURE;
        snprintf(root, sizeof root, "%s/%zu", dir, i);
        CHECK_INT(0, mkdir(root, 0777));
        in_child(leave_open, root, type);
        bool killed = recover_killed(root, places[i]);
        if (killed != (i != 0)) printf("%s: %s\n", places[i], killed ? "killed" : "not reached");
        CHECK(killed == (i != 0));
        in_child(check_settled, root, type);
    }
    snprintf(root, sizeof root, "%s/cost", dir); /* `dir` itself is forgotten in a child */
    CHECK_INT(0, mkdir(root, 0777));
    in_child(check_cost, root, JOB_OPS);
    return check_done();
}
