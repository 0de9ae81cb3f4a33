/*
 * test_log.c - the writer: order, groups, faults, the chain; and what a kill leaves.
 *
 * WEIR_KILL_ROUNDS (3) is the number of children killed at a random moment; named kill points are each tried once.
 */
#include "engine/store/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/base/os.h"
#include "engine/store/fold.h"
#include "tests/check.h"
#include "tests/engine/store/story.h"

static weir_error err;
static int weir_dirfd;

/* What the writer answered; written on its thread, read after log_wait or log_writer_close. */
static struct {
    uint64_t count, last_seq, failures, order_breaks;
    uintptr_t last_cookie;
    int code;
} answers;

static void on_answer(void *ctx, void *cookie, uint64_t last_seq, const weir_error *result)
{
    (void)ctx;
    answers.count++;
    answers.order_breaks += (uintptr_t)cookie < answers.last_cookie || (result->code == 0 && last_seq < answers.last_seq);
    answers.last_cookie = (uintptr_t)cookie;
    answers.code = result->code;
    if (result->code) answers.failures++;
    else answers.last_seq = last_seq;
}

static void into_batch(void *ctx, uint64_t seq, uint64_t run, int64_t at_us, event_kind kind, bytes body)
{
    batch_event(*(log_batch **)ctx, seq, run, at_us, kind, body);
}

static const char *new_project(const char *name)
{
    static char path[600];
    CHECK_INT(0, mkdir(check_path(name), 0755));
    if (weir_dirfd > 0) close(weir_dirfd);
    weir_dirfd = open(check_path(name), O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "%s/weir.db", check_path(name));
    memset(&answers, 0, sizeof answers);
    return path;
}

static log_writer *open_writer(const char *path)
{
    log_writer *w = NULL;
    if (!CHECK_OK(log_writer_open(&w, path, weir_dirfd, on_answer, NULL, &err), err)) exit(check_done());
    return w;
}

static void fail_line(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "  %s\n", line);
}

static uint64_t check_database(const char *path)
{
    db *d = NULL;
    uint64_t events = 0;
    uint64_t differences = 1;
    CHECK_OR_STOP(db_open(&d, path, DB_READ, NULL, &err) == 0);
    CHECK_OK(db_integrity(d, &err), err);
    CHECK_OK(log_verify(d, weir_dirfd, &events, &err), err);
    CHECK_OK(fold_check(d, fail_line, NULL, &differences, &err), err);
    CHECK_INT(0, differences);
    db_close(d);
    return events;
}

static int64_t ask(const char *path, const char *sql)
{
    db *d = NULL;
    int64_t value = -1;
    CHECK_OR_STOP(db_open(&d, path, DB_READ, NULL, &err) == 0);
    CHECK_OK(db_ask_int(d, sql, &value, &err), err);
    db_close(d);
    return value;
}

/* Random batches; returns how many. */
static uintptr_t submit_story(log_writer *w, story *s, log_batch **batch, uintptr_t from, uintptr_t count)
{
    for (uintptr_t i = from; i < from + count; i++) {
        *batch = batch_new();
        (*batch)->cookie = (void *)(i + 1);
        (*batch)->durable = i % 5 == 4;
        if (s->seq == 0) story_begin(s);
        story_tell(s, story_random(s, 4));
        log_submit(w, *batch);
    }
    return from + count;
}

static void order_and_groups(void)
{
    log_batch *batch = NULL;
    story s = story_new(into_batch, &batch);
    const char *path = new_project("groups");
    log_writer *w = open_writer(path);
    CHECK_INT(0, log_last_seq(w));
    CHECK_OK(log_wait(w, &err), err);
    submit_story(w, &s, &batch, 0, 500);
    CHECK_OK(log_wait(w, &err), err);
    CHECK_INT(500, answers.count);
    CHECK_INT(0, answers.order_breaks);
    CHECK_INT(s.seq, answers.last_seq);
    CHECK(log_counts(w).transactions < 500); /* some waited and went together */
    CHECK(log_counts(w).syncs > 0);
    log_writer_close(w);
    CHECK_INT(s.seq, check_database(path));
    char *head = check_path("groups/head") ? (char[64]){0} : NULL;
    int fd = open(check_path("groups/head"), O_RDONLY);
    CHECK(fd >= 0 && read(fd, head, 63) > 40);
    close(fd);
    CHECK_HAS("weir-head 1 ", head);

    w = open_writer(path);
    CHECK_INT(s.seq, log_last_seq(w));
    memset(&answers, 0, sizeof answers);
    submit_story(w, &s, &batch, 0, 20);
    log_writer_close(w); /* waits for all */
    CHECK_INT(20, answers.count);
    CHECK_INT(s.seq, check_database(path));
}

static void cache_and_payloads(void)
{
    const char *path = new_project("cache");
    log_writer *w = open_writer(path);
    log_batch *b = batch_new();
    blob_row row;
    CHECK(batch_is_empty(b));
    CHECK_OK(blob_row_make(bytes_str("hello"), hash_bytes("hello", 5), &row, &err), err);
    batch_payload(b, &row);
    CHECK(row.stored == NULL && !batch_is_empty(b));
    batch_folder(b, &(cache_folder){bytes_of(NULL, 0), bytes_str("root")});
    batch_folder(b, &(cache_folder){bytes_str("src"), bytes_str("one")});
    batch_folder(b, &(cache_folder){bytes_str("gone"), bytes_str("two")});
    batch_glob(b, 7, bytes_str("globbed"));
    batch_glob(b, 8, bytes_str("other"));
    b->durable = true;
    log_submit(w, b);
    b = batch_new();
    batch_folder(b, &(cache_folder){bytes_str("gone"), bytes_of(NULL, 0)});
    batch_folder(b, &(cache_folder){bytes_str("src"), bytes_str("three")});
    batch_glob(b, 8, bytes_of(NULL, 0));
    log_submit(w, b);
    CHECK_OK(log_wait(w, &err), err);
    CHECK_INT(2, answers.count);
    CHECK_INT(0, answers.failures);
    log_writer_close(w);
    CHECK_INT(2, ask(path, "SELECT count(*) FROM cache_folder"));
    CHECK_INT(1, ask(path, "SELECT count(*) FROM cache_folder WHERE folder = x'' AND entries = CAST('root' AS BLOB)"));
    CHECK_INT(1, ask(path, "SELECT count(*) FROM cache_folder WHERE entries = CAST('three' AS BLOB)"));
    CHECK_INT(7, ask(path, "SELECT sum(item) FROM cache_glob"));
    CHECK_INT(1, ask(path, "SELECT count(*) FROM payload WHERE data = CAST('hello' AS BLOB)"));
    CHECK_INT(0, check_database(path));
}

/* After a failure everything is answered with it, nothing more is written, and the database is as before it. */
static void failure(os_op op, int code)
{
    char name[32];
    log_batch *batch = NULL;
    snprintf(name, sizeof name, "fault%d", (int)op);
    const char *path = new_project(name);
    story s = story_new(into_batch, &batch);
    log_writer *w = open_writer(path);
    uintptr_t next = submit_story(w, &s, &batch, 0, 20);
    CHECK_OK(log_wait(w, &err), err);
    uint64_t good = s.seq;
    os_fault_set(op, 1, ENOSPC, false);
    next = submit_story(w, &s, &batch, next, 5); /* the last one is durable */
    batch = batch_new();
    batch->cookie = (void *)(next + 1);
    TELL(&s, node_due, NODE_DUE, .node = 1, .reason = REASON_FORCED);
    log_submit(w, batch);
    CHECK_CODE(code, log_wait(w, &err), err);
    CHECK_HAS("No space left", err.message);
    os_fault_set(op, 0, 0, false);
    batch = batch_new();
    TELL(&s, node_due, NODE_DUE, .node = 1, .reason = REASON_FORCED);
    batch->cookie = (void *)(next + 2);
    log_submit(w, batch);
    CHECK_CODE(code, log_wait(w, &err), err);
    CHECK_INT(27, answers.count);
    CHECK(answers.failures >= 2);
    CHECK_INT(0, answers.order_breaks);
    log_writer_close(w);
    uint64_t events = check_database(path);
    CHECK(events >= good);
    CHECK_INT(answers.last_seq, events); /* what was answered, and no more */
    w = open_writer(path);
    CHECK_INT(events, log_last_seq(w));
    log_writer_close(w);
}

/* A transaction in three parts: nothing of it is there or answered before its end, and nothing without an end. */
static void in_parts(void)
{
    const char *path = new_project("parts");
    log_batch *batch = NULL;
    story s = story_new(into_batch, &batch);
    log_writer *w = open_writer(path);
    uintptr_t next = submit_story(w, &s, &batch, 0, 4);
    CHECK_OK(log_wait(w, &err), err);
    int64_t before = ask(path, "SELECT count(*) FROM event");
    int64_t links = ask(path, "SELECT count(*) FROM chain");
    for (int part = 0; part < 3; part++) {
        int answered = (int)answers.count;
        batch = batch_new();
        batch->cookie = (void *)(++next);
        batch->more = part < 2;
        story_tell(&s, 40);
        log_submit(w, batch);
        CHECK_OK(log_wait(w, &err), err);
        CHECK_INT(part < 2 ? before : (int64_t)s.seq, ask(path, "SELECT count(*) FROM event"));
        CHECK_INT(part < 2 ? answered : answered + 3, answers.count);
    }
    CHECK_INT(links + 1, ask(path, "SELECT count(*) FROM chain"));
    CHECK_INT(0, answers.order_breaks);
    uint64_t whole = s.seq;
    batch = batch_new();
    batch->cookie = (void *)(++next);
    batch->more = true;
    story_tell(&s, 40);
    log_submit(w, batch);
    CHECK_OK(log_wait(w, &err), err);
    log_writer_close(w);
    CHECK_INT(1, answers.failures); /* its end never came */
    CHECK_INT(whole, check_database(path));
}

/* A transaction larger than what the writer keeps in memory, and than what waits for it: one link of the chain, over events that were let go. */
static void large_transaction(void)
{
    enum { PARTS = 100, BYTES = 512 * 1024 };
    const char *path = new_project("large");
    log_batch *batch = NULL;
    story s = story_new(into_batch, &batch);
    log_writer *w = open_writer(path);
    uintptr_t next = submit_story(w, &s, &batch, 0, 4);
    CHECK_OK(log_wait(w, &err), err);
    int64_t links = ask(path, "SELECT count(*) FROM chain");
    char *text = mem_zero(1, BYTES + 1);
    CHECK_OR_STOP(text != NULL);
    memset(text, 'x', BYTES);
    for (int part = 0; part < PARTS; part++) {
        batch = batch_new();
        batch->cookie = (void *)(++next);
        batch->more = part < PARTS - 1;
        TELL(&s, folder_made, FOLDER_MADE, .path = bytes_str(text + part));
        story_tell(&s, 3);
        log_submit(w, batch);
    }
    CHECK_OK(log_wait(w, &err), err);
    CHECK_INT(links + 1, ask(path, "SELECT count(*) FROM chain"));
    CHECK_INT(0, answers.order_breaks);
    (void)submit_story(w, &s, &batch, next, 2);
    CHECK_OK(log_wait(w, &err), err);
    log_writer_close(w);
    CHECK_INT(s.seq, check_database(path)); /* the chain fits what is stored */
    mem_free(text);
}

static void bad_batches(void)
{
    const char *path = new_project("bad");
    log_batch *batch = batch_new();
    story s = story_new(into_batch, &batch);
    log_writer *w = open_writer(path);
    s.seq = 1; /* the first event would be number 2 */
    TELL(&s, payloads_synced, PAYLOADS_SYNCED, .seq = 1);
    log_submit(w, batch);
    CHECK_CODE(WEIR_BUG, log_wait(w, &err), err);
    log_writer_close(w);
    w = open_writer(path);
    batch = batch_new();
    batch_event(batch, 1, 0, 0, EVENT_NODE, bytes_str("\x01nonsense"));
    log_submit(w, batch);
    CHECK_CODE(WEIR_CORRUPT, log_wait(w, &err), err);
    CHECK_HAS("event 1", err.message);
    log_writer_close(w);
    w = open_writer(path);
    batch = batch_new();
    batch_event(batch, 1, 0, 0, EVENT_NODE_DUE, bytes_str(""));
    batch_event(batch, 3, 0, 0, EVENT_NODE_DUE, bytes_str(""));
    log_submit(w, batch);
    CHECK_CODE(WEIR_BUG, log_wait(w, &err), err);
    log_writer_close(w);
    CHECK_INT(0, check_database(path));
    CHECK_INT(0, ask(path, "SELECT count(*) FROM event"));
}

static int verify(const char *path)
{
    db *d = NULL;
    CHECK_OR_STOP(db_open(&d, path, DB_WRITE, NULL, &err) == 0);
    int rc = log_verify(d, weir_dirfd, NULL, &err);
    db_close(d);
    return rc;
}

static void hand(const char *path, const char *sql)
{
    db *d = NULL;
    CHECK_OR_STOP(db_open(&d, path, DB_WRITE, NULL, &err) == 0);
    CHECK_OK(db_exec(d, sql, &err), err);
    db_close(d);
}

/* Every byte of every column of an event counts. */
static void flipped_bytes(const char *path)
{
    db *d = NULL;
    int64_t last = ask(path, "SELECT max(seq) FROM event");
    CHECK_OR_STOP(db_open(&d, path, DB_WRITE, NULL, &err) == 0);
    for (int64_t seq = 1; seq <= last; seq += 13) {
        char sql[300];
        static const char *const edits[] = {"run = run + 1", "at = at + 1", "kind = kind + 1", "body = CAST(body || x'00' AS BLOB)"};
        for (int i = 0; i < 4; i++) {
            CHECK_OK(db_begin(d, &err), err);
            snprintf(sql, sizeof sql, "UPDATE event SET %s WHERE seq = %d", edits[i], (int)seq);
            CHECK_OK(db_exec(d, sql, &err), err);
            CHECK_CODE(WEIR_CORRUPT, log_verify(d, weir_dirfd, NULL, &err), err);
            db_rollback(d);
        }
        snprintf(sql, sizeof sql, "SELECT length(body) FROM event WHERE seq = %d", (int)seq);
        int64_t size = 0;
        CHECK_OK(db_ask_int(d, sql, &size, &err), err);
        for (int64_t at = 0; at < size; at++) {
            CHECK_OK(db_begin(d, &err), err);
            snprintf(sql, sizeof sql,
                     "UPDATE event SET body = CAST(substr(body, 1, %d) || CASE substr(body, %d, 1) WHEN x'00' THEN x'01' ELSE x'00' END || "
                     "substr(body, %d) AS BLOB) WHERE seq = %d", (int)at, (int)at + 1, (int)at + 2, (int)seq);
            CHECK_OK(db_exec(d, sql, &err), err);
            CHECK_CODE(WEIR_CORRUPT, log_verify(d, weir_dirfd, NULL, &err), err);
            db_rollback(d);
        }
    }
    db_close(d);
}

static void chain(void)
{
    log_batch *batch = NULL;
    story s = story_new(into_batch, &batch);
    char path[600];
    snprintf(path, sizeof path, "%s", new_project("chain"));
    log_writer *w = open_writer(path);
    for (uintptr_t i = 0; i < 10; i++) {
        submit_story(w, &s, &batch, i, 1);
        CHECK_OK(log_wait(w, &err), err);
    }
    log_writer_close(w);
    CHECK_INT(0, verify(path));
    hand(path, "DROP TRIGGER event_keep_update; DROP TRIGGER event_keep_delete; DROP TRIGGER chain_keep_update; DROP TRIGGER chain_keep_delete");
    flipped_bytes(path);
    CHECK_INT(0, verify(path));

    /* The end cut off, with its link: only the side file knows. */
    hand(path, "CREATE TABLE e AS SELECT * FROM event; CREATE TABLE c AS SELECT * FROM chain");
    hand(path, "DELETE FROM event WHERE seq >= (SELECT first_seq FROM chain ORDER BY last_seq DESC LIMIT 1); DELETE FROM chain WHERE last_seq = (SELECT max(last_seq) FROM chain)");
    CHECK_CODE(WEIR_CORRUPT, verify(path), err);
    CHECK_HAS("was synced and is not in the log", err.message);
    CHECK_CODE(WEIR_CORRUPT, log_writer_open(&w, path, weir_dirfd, on_answer, NULL, &err), err);
    hand(path, "DELETE FROM event; INSERT INTO event SELECT * FROM e; DELETE FROM chain; INSERT INTO chain SELECT * FROM c");
    CHECK_INT(0, verify(path));
    hand(path, "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)");
    CHECK_CODE(WEIR_CORRUPT, verify(path), err);
    CHECK_CODE(WEIR_CORRUPT, log_writer_open(&w, path, weir_dirfd, on_answer, NULL, &err), err);
    hand(path, "INSERT INTO event SELECT * FROM e ORDER BY seq DESC LIMIT 1; DELETE FROM chain WHERE last_seq = (SELECT max(last_seq) FROM chain)");
    CHECK_CODE(WEIR_CORRUPT, verify(path), err);
    CHECK_HAS("outside of the chain", err.message);
    hand(path, "INSERT INTO chain SELECT * FROM c ORDER BY last_seq DESC LIMIT 1");
    CHECK_INT(0, verify(path));
    check_write(check_path("chain/head"), "nonsense\n");
    CHECK_CODE(WEIR_CORRUPT, log_writer_open(&w, path, weir_dirfd, on_answer, NULL, &err), err);
    CHECK_HAS(".weir/head", err.message);
}

/* A state of another release is folded anew when the writer opens. */
static void stale_state(void)
{
    log_batch *batch = NULL;
    story s = story_new(into_batch, &batch);
    const char *path = new_project("stale");
    log_writer *w = open_writer(path);
    submit_story(w, &s, &batch, 0, 50);
    log_writer_close(w);
    hand(path, "UPDATE part SET hash = x'00' WHERE name = 'state'; DROP TABLE node; DELETE FROM item");
    w = open_writer(path);
    log_writer_close(w);
    CHECK_INT(s.seq, check_database(path));
}

/* A long burst: the WAL stays bounded although nobody pauses. */
static void long_burst(void)
{
    log_batch *batch = NULL;
    story s = story_new(into_batch, &batch);
    char path[600];
    char wal[620];
    struct stat st;
    snprintf(path, sizeof path, "%s", new_project("burst"));
    snprintf(wal, sizeof wal, "%s-wal", path);
    log_writer *w = open_writer(path);
    for (uintptr_t i = 0; i < 300; i++) {
        submit_story(w, &s, &batch, i, 1);
        if (i % 10 == 0) log_wait(w, NULL);
    }
    CHECK_OK(log_wait(w, &err), err);
    CHECK(stat(wal, &st) == 0 && st.st_size < 100 * 1024 * 1024);
    log_writer_close(w);
    CHECK_INT(s.seq, check_database(path));
}

/* --- kills ------------------------------------------------------------------------------------------------------- */

static int report_fd;

/* The child tells the parent what was answered, as the writer answers it. */
static void answer_to_parent(void *ctx, void *cookie, uint64_t last_seq, const weir_error *result)
{
    (void)ctx;
    (void)cookie;
    if (result->code != 0 || write(report_fd, &last_seq, sizeof last_seq) != sizeof last_seq) _exit(3);
}

static void child(const char *path, uint64_t seed)
{
    log_batch *batch = NULL;
    log_writer *w = NULL;
    story s = story_new(into_batch, &batch);
    s.random += seed;
    if (log_writer_open(&w, path, weir_dirfd, answer_to_parent, NULL, &err) != 0) {
        fprintf(stderr, "child: %s\n", err.message);
        _exit(4);
    }
    s.seq = log_last_seq(w);
    if (s.seq > 0) { /* names and runs go on where the last one was killed */
        db *d = NULL;
        int64_t run = 0;
        int64_t execution = 0;
        if (db_open(&d, path, DB_READ, NULL, &err) != 0) _exit(5);
        db_ask_int(d, "SELECT max(id) FROM run", &run, &err);
        db_ask_int(d, "SELECT max(id) FROM execution", &execution, &err);
        db_close(d);
        s.run = (uint64_t)run;
        s.execution = (uint64_t)execution;
    }
    for (uintptr_t i = 0;; i++) {
        submit_story(w, &s, &batch, i, 1);
        if (i % 7 == 0) log_wait(w, NULL);
        if (i == 4000) _exit(0);
    }
}

static uint64_t drain(int fd)
{
    uint64_t last = 0;
    uint64_t seq;
    while (read(fd, &seq, sizeof seq) == sizeof seq) last = seq;
    return last;
}

/* Run a child and end it; whatever it was told stays. */
static void kill_round(const char *path, const char *point, uint64_t seed, uint64_t *acked)
{
    int fds[2];
    CHECK_OR_STOP(pipe(fds) == 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        report_fd = fds[1];
        if (point) setenv("WEIR_KILL_AT", point, 1);
        child(path, seed);
    }
    close(fds[1]);
    if (!point) {
        struct timespec wait = {0, (long)(seed * 7919 % 60) * 1000000L};
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
    }
    uint64_t last = drain(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) fprintf(stderr, "child with the point %s was not killed: status %x\n", point ? point : "(none)", status);
    CHECK(WIFSIGNALED(status));
    close(fds[0]);
    if (last > *acked) *acked = last;
    if (access(path, F_OK) != 0 || ask(path, "SELECT count(*) FROM sqlite_schema") == 0) return;
    CHECK(check_database(path) >= *acked);
}

static void kills(void)
{
    static const char *const points[] = {
        "log_before_begin:3", "log_before_commit:1", "log_before_commit:9", "log_after_commit:1", "log_after_commit:8",
        "log_after_answer:5", "log_before_head:1", "log_before_head:2", "log_before_checkpoint:1", "log_after_checkpoint:1"};
    char path[600];
    uint64_t acked = 0;
    const char *rounds = getenv("WEIR_KILL_ROUNDS");
    snprintf(path, sizeof path, "%s", new_project("kill"));
    log_writer_close(open_writer(path));
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) kill_round(path, points[i], i + 1, &acked);
    for (int i = 0; i < (rounds ? atoi(rounds) : 3); i++) kill_round(path, NULL, (uint64_t)i + 1, &acked);
    CHECK(acked > 0);
    fprintf(stderr, "after the kills: %llu events were answered, %llu are there\n", (unsigned long long)acked,
            (unsigned long long)check_database(path));
}

int main(void)
{
    check_scratch();
    kills(); /* first: children are forked before there are threads */
    order_and_groups();
    cache_and_payloads();
    failure(OS_OP_WRITE, WEIR_IO);
    failure(OS_OP_FSYNC, WEIR_IO);
    in_parts();
    large_transaction();
    bad_batches();
    chain();
    stale_state();
    long_burst();
    close(weir_dirfd);
    return check_done();
}
