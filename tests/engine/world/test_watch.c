/*
 * test_watch.c - every change leaves a note; a path is never guessed; what has no events is polled.
 */
#include "engine/world/watch.h"

#include "engine/base/os.h"
#include "tests/check.h"

static uv_loop_t loop;
static watch *w;
static int ripe_calls;
static char seen[65536]; /* "folder: name name*" lines; '*' a listing, "(whole)" */
static bool all;

static void on_ripe(void *ctx)
{
    (void)ctx;
    ripe_calls++;
}

static int on_change(void *ctx, const watch_change *c)
{
    (void)ctx;
    size_t n = strlen(seen);
    n += (size_t)snprintf(seen + n, sizeof seen - n, "[%s]%s", c->folder, c->listing ? "*" : "");
    if (c->whole) n += (size_t)snprintf(seen + n, sizeof seen - n, " whole");
    for (size_t i = 0; i < c->count && n < sizeof seen - 300; i++) n += (size_t)snprintf(seen + n, sizeof seen - n, " %s", c->names[i].name);
    snprintf(seen + n, sizeof seen - n, "\n");
    return 0;
}

/* Until something is ripe: it has to come. */
static void wait_ripe(void)
{
    int64_t limit = os_monotonic_ns() + 10000000000;
    ripe_calls = 0;
    while (ripe_calls == 0 && os_monotonic_ns() < limit) {
        uv_run(&loop, UV_RUN_NOWAIT);
        os_sleep_ms(1);
    }
    CHECK_INT(1, ripe_calls);
}

static void take(void)
{
    weir_error err = {0};
    seen[0] = 0;
    CHECK_OK(watch_take(w, false, &all, on_change, NULL, &err), err);
}

static bool notes_wait;

/* Taken together: also what is still waited for. */
static void take_all(void)
{
    weir_error err = {0};
    notes_wait = watch_is_ripe(w);
    seen[0] = 0;
    CHECK_OK(watch_take(w, true, &all, on_change, NULL, &err), err);
}

/* Until this is among what is taken. */
static void wait_for(const char *line)
{
    int64_t limit = os_monotonic_ns() + 10000000000;
    do {
        wait_ripe();
        take();
    } while (!strstr(seen, line) && os_monotonic_ns() < limit);
    CHECK_HAS(line, seen);
}

static void look(const char *folder, bool expected_fresh)
{
    weir_error err = {0};
    bool fresh = false;
    CHECK_OK(watch_folder(w, folder, &fresh, &err), err);
    CHECK_INT(expected_fresh, fresh);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK_OR_STOP(f != NULL);
    fputs(text, f);
    fclose(f);
}

static void start(void)
{
    weir_error err = {0};
    CHECK_OK(watch_new(&w, &loop, check_scratch(), on_ripe, NULL, &err), err);
}

static void stop(void)
{
    watch_free(w);
    uv_run(&loop, UV_RUN_DEFAULT);
    w = NULL;
}

static void files(void)
{
    start();
    mkdir("src", 0755);
    mkdir("src/sub", 0755);
    write_file("src/a", "1");
    look("src", true);
    look("src", false);
    CHECK(!watch_is_ripe(w));
    write_file("src/a", "2");
    wait_ripe();
    take();
    CHECK(!all);
    CHECK_STR("[src] a\n", seen);
    write_file("src/new", "2");
    wait_ripe();
    take();
    CHECK_STR("[src]* new\n", seen);
    write_file("t", "by rename");
    rename("t", "src/a");
    wait_ripe();
    take();
    CHECK_HAS("[src]* a\n", seen);
    write_file("src/sub/deep", "not asked for");
    unlink("src/new");
    wait_for("[src]* new\n");
    symlink("a", "src/link");
    wait_ripe();
    take();
    CHECK_STR("[src]* link\n", seen);
    chmod("src/a", 0755);
    wait_ripe();
    take();
    CHECK_STR("[src] a\n", seen);
    stop();
}

/* A file that stays open is told after a while all the same, and waited for only from its first write. */
static void open_file(void)
{
    start();
    look("src", true);
    FILE *f = fopen("src/a", "w");
    fputs("half", f);
    fflush(f);
    uv_run(&loop, UV_RUN_NOWAIT);
    CHECK(watch_is_ripe(w));
    fputs(" and", f);
    fflush(f);
    wait_ripe();
    take();
    CHECK_STR("[src] a\n", seen);
    fclose(f);
    wait_ripe();
    take();
    CHECK_STR("[src] a\n", seen);
    stop();
}

static void folders(void)
{
    start();
    mkdir("tree", 0755);
    mkdir("tree/one", 0755);
    mkdir("tree/one/two", 0755);
    look("tree/one/two", true);
    look("tree/later/deep", false); /* not there: the folder above is watched, and was before */
    look("absent/deep", false);
    look("tree/one/two", false);
    rename("tree/one", "tree/moved");
    wait_ripe();
    take();
    CHECK_HAS("[tree/one]* whole\n", seen);
    CHECK_HAS("[tree/one/two]* whole\n", seen);
    CHECK_HAS("moved", seen);
    look("tree/moved/two", true);
    write_file("tree/moved/two/x", "1");
    wait_ripe();
    take();
    CHECK_STR("[tree/moved/two]* x\n", seen);
    mkdir("tree/later", 0755);
    wait_ripe();
    take();
    CHECK_STR("[tree]* later\n", seen);
    look("tree/later/deep", true);
    mkdir("tree/later/deep", 0755);
    wait_ripe();
    take();
    CHECK_STR("[tree/later]* deep\n", seen);
    look("tree/later/deep", true);
    /* replaced by another folder of the same name */
    mkdir("other", 0755);
    rename("tree/later/deep", "gone");
    rename("other", "tree/later/deep");
    wait_ripe();
    take();
    CHECK_HAS("[tree/later/deep]* whole\n", seen);
    look("tree/later/deep", true);
    write_file("tree/later/deep/y", "1");
    wait_ripe();
    take();
    CHECK_STR("[tree/later/deep]* y\n", seen);
    stop();
}

/* Through a link the same folder has two names: both are told; the link turned elsewhere is another folder. */
static void links(void)
{
    start();
    mkdir("real", 0755);
    mkdir("real2", 0755);
    symlink("real", "ln");
    look("real", true);
    look("ln", true);
    write_file("real/f", "1");
    wait_ripe();
    take();
    CHECK_HAS("[real]* f\n", seen);
    CHECK_HAS("[ln]* f\n", seen);
    symlink("real2", "ln.new");
    rename("ln.new", "ln");
    wait_ripe();
    take();
    CHECK_HAS("[ln]* whole\n", seen);
    look("ln", true);
    write_file("real2/g", "1");
    wait_ripe();
    take();
    CHECK_STR("[ln]* g\n", seen);
    stop();
}

static bool is_a(void *ctx, const char *folder, const char *name)
{
    (void)ctx;
    return strcmp(folder, "src") == 0 && strcmp(name, "a") == 0;
}

/* An editor puts the old file away and writes a new one: nobody hears of it while it is away, and of the new one at once. */
static void away_and_back(void)
{
    start();
    write_file("src/a", "1");
    write_file("src/b", "1");
    look("src", true);
    watch_ask_reliance(w, is_a);
    ripe_calls = 0;
    rename("src/a", "src/a~");
    uv_run(&loop, UV_RUN_NOWAIT);
    CHECK(watch_is_ripe(w));
    CHECK_INT(0, ripe_calls);
    write_file("src/a", "2");
    wait_ripe();
    take();
    CHECK_HAS("[src]*", seen);
    CHECK(strstr(seen, " a\n") || strstr(seen, " a "));
    CHECK_HAS(" a~", seen);
    unlink("src/a"); /* for good */
    wait_ripe();
    take();
    CHECK_STR("[src]* a\n", seen);
    write_file("src/t", "2");
    rename("src/t", "src/a"); /* nobody relies on t: no waiting */
    wait_ripe();
    take();
    CHECK_HAS(" t", seen);
    rename("src/a", "src/b");
    uv_run(&loop, UV_RUN_NOWAIT);
    take_all(); /* unless all is asked for */
    CHECK(notes_wait);
    CHECK_HAS(" a", seen);
    CHECK(!watch_is_ripe(w));
    unlink("src/a~");
    wait_ripe();
    take();
    write_file("src/a", "1");
    wait_ripe();
    take();
    stop();
}

static int barriers;
static void on_seen(void *ctx)
{
    barriers = barriers * 10 + *(int *)ctx;
}

static void wait_barrier(int expected)
{
    int64_t limit = os_monotonic_ns() + 10000000000;
    while (barriers != expected && os_monotonic_ns() < limit) uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_INT(expected, barriers);
}

/* What was done before a barrier is noted when it ends; they end in their order, and also if the kernel lost the event. */
static void at_a_barrier(void)
{
    weir_error err = {0};
    int one = 1, two = 2, three = 3;
    start();
    look("src", true);
    mkdir(".weir", 0755);
    mkdir(".weir/tmp", 0755);
    wait_ripe();
    take();
    write_file("src/a", "before");
    CHECK_OK(watch_barrier(w, on_seen, &one, &err), err);
    CHECK_OK(watch_barrier(w, on_seen, &two, &err), err);
    CHECK_INT(0, barriers);
    wait_barrier(12);
    take_all();
    CHECK(!all);
    CHECK_STR("[src] a\n", seen);
    barriers = 0;
    system("rm -r " WATCH_COOKIES); /* somebody cleans up: nothing is lost */
    CHECK_OK(watch_barrier(w, on_seen, &three, &err), err);
    wait_barrier(3);
    take_all();
    CHECK(all);
    barriers = 0;
    CHECK_OK(watch_barrier(w, on_seen, &one, &err), err);
    wait_barrier(1);
    take_all();
    CHECK(!all);
    CHECK_OK(watch_barrier(w, on_seen, &one, &err), err);
    stop(); /* the last one is never heard of */
    CHECK_INT(1, barriers);
}

static void sweeping(void)
{
    start();
    look("src", true);
    look("tree", true);
    watch_sweep(w);
    look("src", false);
    watch_sweep(w);
    CHECK_INT(2, watch_stats(w).folders); /* src and the root */
    look("tree", true);
    stop();
}

static void overflow(void)
{
    start();
    mkdir("many", 0755);
    look("many", true);
    char path[60];
    for (int i = 0; i < 9000; i++) {
        snprintf(path, sizeof path, "many/%d", i);
        write_file(path, "x");
    }
    wait_ripe();
    take();
    while (watch_is_ripe(w)) take();
    watch_read(w);
    bool any = all;
    while (watch_is_ripe(w)) {
        take();
        any |= all;
        watch_read(w);
    }
    CHECK(any || watch_stats(w).overflows == 0);
    /* the queue's length is the machine's: with the usual one it overflowed */
    CHECK(watch_stats(w).overflows <= 1);
    write_file("many/after", "1");
    wait_ripe();
    take();
    CHECK(!all);
    CHECK_STR("[many]* after\n", seen);
    stop();
}

static void crowd(void)
{
    start();
    mkdir("crowd", 0755);
    look("crowd", true);
    char path[60];
    for (int i = 0; i < WATCH_NAMES_MOST + 5; i++) {
        snprintf(path, sizeof path, "crowd/%d", i);
        write_file(path, "x");
    }
    wait_ripe();
    take();
    CHECK_STR("[crowd]* whole\n", seen);
    stop();
}

/* No watch left: the folder is looked at from time to time. */
static void polling(void)
{
    weir_error err = {0};
    start();
    look("src", true);
    os_fault_set(OS_OP_WATCH, 1, 28, true);
    look("tree", true);
    CHECK_INT(1, watch_stats(w).polled);
    wait_ripe();
    take();
    CHECK_STR("[tree]* whole\n", seen);
    stop();
    os_fault_set(OS_OP_WATCH, 0, 0, false);
    os_fault_set(OS_OP_PROBE, 1, 1, true); /* a file system that says nothing: all its folders, asked once */
    start();
    uint64_t asked = os_count(OS_OP_PROBE);
    look("src", true);
    look("tree", true);
    CHECK_INT(asked + 1, os_count(OS_OP_PROBE));
    CHECK_INT(3, watch_stats(w).polled);
    int one = 1;
    barriers = 0;
    CHECK_OK(watch_barrier(w, on_seen, &one, &err), err);
    wait_barrier(1);
    take_all(); /* not a second later */
    CHECK_HAS("[src]* whole\n", seen);
    stop();
    os_fault_set(OS_OP_PROBE, 0, 0, false);
    os_fault_set(OS_OP_WATCH, 1, 28, true);
    CHECK_CODE(WEIR_LIMIT, watch_new(&w, &loop, check_scratch(), on_ripe, NULL, &err), err);
    look("src", true);
    wait_ripe();
    take();
    CHECK_HAS("[src]* whole\n", seen);
    stop();
    os_fault_set(OS_OP_WATCH, 0, 0, false);
}

int main(void)
{
    CHECK_OR_STOP(chdir(check_scratch()) == 0);
    uv_loop_init(&loop);
    files();
    open_file();
    folders();
    links();
    away_and_back();
    at_a_barrier();
    sweeping();
    overflow();
    crowd();
    polling();
    uv_loop_close(&loop);
    return check_done();
}
