/*
 * test_past.c - what a question costs does not grow with the past: steps of SQLite's machine over a short log and over a long one.
 *
 * Every named statement of the command line is asked, as of the first run, of one in the middle, of the last and of now, for a node that
 * was settled in every run; of rows only the first fifty are taken, because a listing is as long as it is. Statements that are meant to list
 * a whole table have "_all" in their name.
 */
#include <sqlite3.h>

#include "tests/engine/store/story_db.h"

enum { SHORT = 60, LONG = 1200, ROWS = 50 };

static db *d;
static story_db into;
static weir_error err;

/* One edit: the node runs, or an earlier result is found, or it fails, as in the last run. */
static void tell_run(story *s, uint64_t run, uint64_t last)
{
    hash128 seen = story_hash(run);
    read_record read = {.ref = {.aspect = ASPECT_CONTENT, .member = 0, .sub = -1}, .source = 1, .hash = seen};
    reason_record reason = {.kind = REASON_INPUT_CHANGED, .source = 1, .old_hash = story_hash(run - 1), .new_hash = seen, .detail = bytes_str("in")};
    bool fails = run == last || run % 20 == 7, restored = !fails && run % 5 == 0;
    s->run = run;
    TELL(s, run_started, RUN_STARTED, .trigger = bytes_str("run"), .graph = 1);
    TELL(s, item_observed, ITEM_OBSERVED, .item = 1, .hash = seen, .size = 1, .mode = 0644);
    if (restored) {
        TELL(s, settled, SETTLED, .node = 1, .what = OUTCOME_RESTORED, .execution = s->execution, .spec_seq = 1, .effect_seq = 1, .reasons = &reason,
             .reason_count = 1, .changed = true);
    } else {
        TELL(s, finished, FINISHED, .execution = ++s->execution, .node = 1, .result = fails ? EXECUTION_FAILED : EXECUTION_OK, .key = story_hash(1), .spec_seq = 1,
             .effect_seq = 1, .reads = &read, .read_count = 1, .value = fails ? HASH_NONE : seen, .reasons = &reason, .reason_count = 1, .changed = !fails);
    }
    TELL(s, run_finished, RUN_FINISHED, .ran = !restored && !fails, .restored = restored, .failed = fails, .turns = 1, .complete = !fails);
}

static void make(const char *file, uint64_t runs)
{
    story s = story_new(story_db_emit, &into);
    uint64_t source = 1;
    CHECK_OR_STOP(db_open(&d, check_path(file), DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_begin(d, &err), err);
    into.d = d;
    TELL(&s, session, SESSION, .version = bytes_str("1"), .build = bytes_str("b"), .boot_id = bytes_str("boot-1"), .pid = 7);
    story_effect(&s, 1, "cc");
    TELL(&s, item_named, ITEM_NAMED, .item = 1, .kind = ITEM_FILE, .name = bytes_str("src/1"));
    for (uint64_t n = 1; n <= 8; n++) story_node(&s, n, &source, 1, NULL, 0, NULL, 0, 0, 0);
    definition_read read = {1, story_hash(1)};
    TELL(&s, definition, DEFINITION, .graph = 1, .file = bytes_str("weir.lua"), .reads = &read, .read_count = 1);
    for (uint64_t run = 1; run <= runs; run++) tell_run(&s, run, runs);
    CHECK_OK(db_commit(d, false, &err), err);
    CHECK_OK(db_checkpoint(d, true, &err), err);
    db_close(d);
}

static int steps(sqlite3 *handle, const char *sql, int64_t as_of)
{
    sqlite3_stmt *s = NULL;
    if (!CHECK_INT(SQLITE_OK, sqlite3_prepare_v2(handle, sql, -1, &s, NULL))) return 0;
    if (sqlite3_bind_parameter_count(s) >= 1) sqlite3_bind_int64(s, 1, 1);
    if (sqlite3_bind_parameter_count(s) >= 2) sqlite3_bind_int64(s, 2, as_of);
    if (sqlite3_bind_parameter_count(s) >= 3) sqlite3_bind_int64(s, 3, 20);
    int rows = 0, rc = SQLITE_DONE;
    while (rows < ROWS && (rc = sqlite3_step(s)) == SQLITE_ROW) rows++;
    CHECK(rc == SQLITE_ROW || rc == SQLITE_DONE);
    int count = sqlite3_stmt_status(s, SQLITE_STMTSTATUS_VM_STEP, 0);
    sqlite3_finalize(s);
    return count;
}

/* Beside the rows themselves, which differ a little from run to run. */
static void compare(const char *name, const char *sql, sqlite3 *near_past, sqlite3 *long_past)
{
    const int64_t as_of[2][5] = {{0, 1, SHORT / 2, SHORT, INT64_MAX}, {0, 1, LONG / 2, LONG, INT64_MAX}};
    for (int i = 0; i < 5; i++) {
        int few = steps(near_past, sql, as_of[0][i]), many = steps(long_past, sql, as_of[1][i]);
        if (CHECK(many <= few + few / 2 + 150)) continue;
        fprintf(stderr, "%s: %d steps after %d runs, %d after %d (asked for %lld)\n", name, few, SHORT, many, LONG, (long long)as_of[1][i]);
    }
}

int main(void)
{
    sqlite3 *near_past = NULL, *long_past = NULL;
    int asked = 0;
    arena_init(&into.scratch);
    make("short.db", SHORT);
    make("long.db", LONG);
    CHECK_OR_STOP(sqlite3_open(check_path("short.db"), &near_past) == SQLITE_OK);
    CHECK_OR_STOP(sqlite3_open(check_path("long.db"), &long_past) == SQLITE_OK);
    for (int i = 0; i < SQL_COUNT; i++) {
        const char *name = schema_statement_names[i];
        if (strncmp(name, "door_", 5) != 0 || strstr(name, "_all")) continue;
        compare(name, schema_statements[i], near_past, long_past);
        asked++;
    }
    CHECK(asked > 20);
    sqlite3_close(near_past);
    sqlite3_close(long_past);
    arena_deinit(&into.scratch);
    return check_done();
}
