/*
 * test_scan.c - signatures decide whether to read, content decides the rest; counters show what was not read.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "engine/world/scan_internal.h"
#include "tests/check.h"

static int rootfd;
static scan_forbidden forbidden;
static scan_config config;

/* Until what was written so far is not racy any more: the coarse clock may lag behind on a busy machine. */
static void let_age(void)
{
    struct timespec now;
    int64_t until_ns = os_wall_us() * 1000 + 2 * SCAN_RACY_NS;
    do {
        usleep(1000);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec < until_ns);
}

static scan_request request(const char *path)
{
    return (scan_request){.path = bytes_str(path)};
}

static scan_request scan(const char *path)
{
    scan_request r = request(path);
    scan_one(&config, &r);
    return r;
}

/* The same path again, with what was found before. */
static scan_request again(const scan_request *before)
{
    scan_request r = {
        .path = before->path,
        .known = true,
        .known_sig = before->sig,
        .known_hash = before->hash,
        .known_racy = before->racy,
    };
    scan_one(&config, &r);
    return r;
}

static hash128 hash_text(const char *text)
{
    return hash_bytes(text, strlen(text));
}

/* Written so shortly before that it is racy, however slow the machine is. */
static scan_request scan_fresh(const char *path, const char *text)
{
    scan_request r;
    do {
        check_write(check_path(path), text);
        r = scan(path);
    } while (r.code == 0 && !r.racy);
    return r;
}

/* --- one path ---------------------------------------------------------------------------------------------------- */

static void test_kinds(void)
{
    check_write(check_path("plain"), "hello");
    check_write(check_path("prog"), "hello");
    chmod(check_path("prog"), 0755);
    mkdir(check_path("folder"), 0777);
    check_write(check_path("empty"), "");
    CHECK_INT(0, symlink("plain", check_path("link")));
    CHECK_INT(0, symlink("nowhere", check_path("dangling")));
    CHECK_INT(0, symlink("loop", check_path("loop")));
    CHECK_INT(0, mkfifo(check_path("pipe"), 0666));

    hash128 hello = hash_text("hello");
    scan_request r = scan("plain");
    CHECK_INT(0, r.code);
    CHECK_HASH(hello, r.hash);
    CHECK_HASH(hello, r.content);
    CHECK_INT(5, r.size);
    CHECK(r.read && r.type == OS_FILE);

    scan_request x = scan("prog");
    CHECK_HASH(hello, x.content);
    CHECK(!hash_equal(x.hash, hello));
    hash128 executable = scan_fingerprint(hello, 0100);
    CHECK_HASH(executable, x.hash);
    CHECK_INT(0755, x.mode);

    scan_request linked = scan("link");
    CHECK_HASH(hello, linked.hash);
    CHECK(linked.sig.ino == r.sig.ino);
    CHECK(hash_equal(HASH_ABSENT, scan("dangling").hash));
    CHECK(hash_equal(HASH_ABSENT, scan("loop").hash));
    CHECK(hash_equal(HASH_ABSENT, scan("nowhere").hash));
    CHECK(hash_equal(HASH_ABSENT, scan("plain/below").hash));
    CHECK_INT(0, scan("nowhere").sig.mode);
    hash128 nothing = hash_text("");
    CHECK(hash_equal(nothing, scan("empty").hash));

    hash128 folder = hash_text("weir dir");
    scan_request f = scan("folder");
    CHECK_HASH(folder, f.hash);
    CHECK(f.type == OS_DIR && !f.racy && !f.read);
    CHECK(hash_equal(folder, scan("").hash));

    scan_request pipe = scan("pipe");
    CHECK_INT(WEIR_WORKFLOW, pipe.code);
    CHECK_HAS("pipe", pipe.message);
    CHECK_HAS("FIFO", pipe.message);

    scan_request absolute = request(check_path("plain"));
    scan_one(&config, &absolute);
    CHECK_HASH(hello, absolute.hash);
}

static void test_signature_decides(void)
{
    scan_request fresh = scan_fresh("a", "one");
    CHECK(again(&fresh).read); /* racy: once more, although the signature is the same */
    let_age();
    scan_request old = again(&fresh);
    CHECK(old.read && !old.racy);

    scan_counts before = scan_stats();
    scan_request same = again(&old);
    scan_counts after = scan_stats();
    CHECK(!same.read && !same.racy);
    CHECK_HASH(old.hash, same.hash);
    CHECK_INT(1, after.stats - before.stats);
    CHECK_INT(0, after.hashed - before.hashed);

    config.distrust = true;
    CHECK(again(&old).read);
    config.distrust = false;

    /* touched: read, same hash */
    utimensat(rootfd, "a", NULL, 0);
    scan_request touched = again(&old);
    CHECK(touched.read);
    CHECK_HASH(old.hash, touched.hash);

    /* edited with size and mtime put back: only ctime tells */
    struct timespec stamps[2] = {{old.sig.mtime_ns / 1000000000, old.sig.mtime_ns % 1000000000}};
    stamps[1] = stamps[0];
    check_write(check_path("a"), "two");
    utimensat(rootfd, "a", stamps, 0);
    scan_request edited = again(&old);
    hash128 two = hash_text("two");
    CHECK_INT(old.sig.mtime_ns, edited.sig.mtime_ns);
    CHECK_HASH(two, edited.hash);
}

static void test_racy_rule(void)
{
    check_write(check_path("r"), "x");
    scan_request mine = request("r");
    mine.flags = SCAN_RENAMED;
    scan_one(&config, &mine);
    CHECK(!mine.racy && mine.read);

    /* a stamp far in the future is racy by its ctime now, and not for ever */
    struct timespec future[2] = {{4000000000, 0}, {4000000000, 0}};
    scan_request r;
    do { /* again if it took longer than the window */
        utimensat(rootfd, "r", future, 0);
        r = scan("r");
    } while (!r.racy);
    let_age();
    CHECK(!scan("r").racy);
}

static bool is_racy(int64_t mtime_ns, int64_t ctime_ns, int64_t before_ns)
{
    return scan_is_racy(&(scan_sig){.mtime_ns = mtime_ns, .ctime_ns = ctime_ns}, before_ns);
}

/* What a stamp may have lost shows in its zeros: the window is that of the file system. */
static void test_granularity(void)
{
    const int64_t ms = 1000000, s = 1000 * ms;
    int64_t even = os_wall_us() / 2000000 * 2 * s - 8 * s, odd = even + s, old = even - 100 * s + 1;
    CHECK(is_racy(even, old, even + 1999 * ms)); /* FAT */
    CHECK(!is_racy(even, old, even + 2011 * ms));
    CHECK(is_racy(odd, old, odd + 999 * ms)); /* whole seconds */
    CHECK(!is_racy(odd, old, odd + 1011 * ms));
    CHECK(is_racy(old, odd, odd + 999 * ms));
    CHECK(!is_racy(old, odd, odd + 1011 * ms));
    CHECK(is_racy(odd + 120 * ms, old, odd + 129 * ms)); /* exFAT */
    CHECK(is_racy(odd + 120 * ms, old, odd + 139 * ms));
    CHECK(!is_racy(odd + 120 * ms, old, odd + 141 * ms));
    CHECK(is_racy(odd + 123456789, old, odd + 133 * ms)); /* the usual ones: a tick */
    CHECK(!is_racy(odd + 123456789, old, odd + 134 * ms));
    int64_t now = os_wall_us() * 1000;
    CHECK(!is_racy(now / s * s + 4 * s, old, now)); /* set by hand, and not yet */

    bool is_coarse = false;
    for (int i = 0; i < 100 && !is_coarse; i++) { /* again if it took longer than the second had left */
        int64_t second = os_wall_us() / 1000000 * s;
        is_coarse = scan_is_coarse(&(scan_sig){.mtime_ns = second, .ctime_ns = second});
    }
    CHECK(is_coarse);
    int64_t second = now / s * s;
    CHECK(!scan_is_coarse(&(scan_sig){.mtime_ns = second, .ctime_ns = now | 1})); /* a fine stamp shows the next change */
    CHECK(!scan_is_coarse(&(scan_sig){.mtime_ns = odd, .ctime_ns = odd}));
}

static void test_large(void)
{
    enum { SIZE = 1000 * 1000 + 3 };
    char *data = malloc(SIZE + 1);
    memset(data, 'q', SIZE);
    data[SIZE] = '\0';
    data[777] = 'w';
    check_write(check_path("large"), data);
    hash128 expected = hash_bytes(data, SIZE);
    scan_request r = scan("large");
    CHECK_HASH(expected, r.hash);
    CHECK_INT(SIZE, r.size);
    free(data);
}

static void test_forbidden(void)
{
    struct stat st;
    mkdir(check_path(".weir"), 0777);
    check_write(check_path(".weir/weir.db"), "db");
    CHECK_INT(0, symlink(".weir/weir.db", check_path("sneaky")));
    CHECK_INT(0, link(check_path(".weir/weir.db"), check_path("hard")));
    stat(check_path(".weir/weir.db"), &st);
    forbidden.file[0].dev = st.st_dev;
    forbidden.file[0].ino = st.st_ino;
    forbidden.count = 1;
    uint64_t opens = os_count(OS_OP_OPEN);
    const char *ways[] = {".weir/weir.db", "sneaky", "hard", "./.weir//weir.db"};
    for (size_t i = 0; i < 4; i++) {
        scan_request r = scan(ways[i]);
        CHECK_INT(WEIR_WORKFLOW, r.code);
        CHECK_HAS(ways[i], r.message);
        CHECK_HAS("state", r.message);
    }
    CHECK_INT(0, os_count(OS_OP_OPEN) - opens);
    forbidden.count = 0;
}

static atomic_bool is_over;

static void *replace_all_the_time(void *ctx)
{
    (void)ctx;
    while (!atomic_load(&is_over)) {
        char text[64];
        memset(text, 'B', 63);
        text[63] = '\0';
        check_write(check_path("new"), text);
        rename(check_path("new"), check_path("moving"));
        usleep(50);
    }
    return NULL;
}

/* A file that is replaced all the time: a whole version or an error, and a version that belongs to its signature. */
static void test_replaced(void)
{
    pthread_t thread;
    int busy = 0;
    hash128 b;
    char text[64];
    memset(text, 'B', 63);
    text[63] = '\0';
    b = hash_text(text);
    check_write(check_path("moving"), text);
    pthread_create(&thread, NULL, replace_all_the_time, NULL);
    for (int i = 0; i < 2000; i++) {
        scan_request r = scan("moving");
        if (r.code == WEIR_BUSY) busy++;
        else CHECK_HASH(b, r.hash);
        CHECK(r.code == 0 || r.code == WEIR_BUSY);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    fprintf(stderr, "replaced three times in a row: %d of 2000\n", busy);
}

static void test_faults(void)
{
    check_write(check_path("faulty"), "text");
    os_op ops[] = {OS_OP_STAT, OS_OP_OPEN, OS_OP_READ};
    for (size_t i = 0; i < 3; i++) {
        os_fault_set(ops[i], 1, 5, false);
        scan_request r = scan("faulty");
        os_fault_set(ops[i], 0, 0, false);
        CHECK_INT(WEIR_IO, r.code);
        CHECK_HAS("faulty", r.message);
        CHECK(hash_is_none(r.hash));
    }
    char name[400];
    memset(name, 'n', 399);
    name[399] = '\0';
    scan_request r = request(name);
    scan_one(&config, &r); /* too long a name: a message that fits */
    CHECK_INT(WEIR_WORKFLOW, r.code);
    CHECK_HAS(" ... ", r.message);
    CHECK(hash_equal(HASH_UNREADABLE, r.hash));
}

/* --- packing ----------------------------------------------------------------------------------------------------- */

static scan_entry sample(mem_arena *arena, size_t i)
{
    scan_entry e = {
        .item = i * 7919,
        .name = bytes_str(arena_printf(arena, "file%05zu", i)),
        .sig = {.dev = 64,
                .ino = 1000 + i,
                .size = (int64_t)(i * i),
                .mtime_ns = 1700000000000000000 + (int64_t)i,
                .mode = 0100644},
        .hash = hash_bytes(&i, sizeof i),
        .racy = i % 5 == 0,
    };
    e.sig.ctime_ns = e.sig.mtime_ns + (i % 3 == 0 ? 17 : 0);
    if (i % 11 == 3) e.sig = (scan_sig){0};
    if (i % 13 == 4) e.sig.dev = UINT64_MAX;
    if (i % 17 == 4) e.sig.mtime_ns = INT64_MIN;
    return e;
}

static void test_pack(void)
{
    enum { COUNT = 700 };
    weir_error err = {0};
    mem_arena arena;
    arena_init(&arena);
    scan_entry *in = arena_zero(&arena, COUNT, sizeof *in);
    for (size_t i = 0; i < COUNT; i++)
        in[COUNT - 1 - i] = sample(&arena, i); /* backwards: packing sorts */
    buf b;
    buf_init(&b);
    scan_pack(&b, in, COUNT);
    CHECK(!b.failed);
    fprintf(stderr, "packed: %zu bytes an entry\n", b.size / COUNT);
    scan_entry *out;
    size_t count;
    CHECK_OK(scan_unpack(buf_bytes(&b), &arena, &out, &count, &err), err);
    CHECK_INT(COUNT, count);
    for (size_t i = 0; i < COUNT; i++) {
        scan_entry e = sample(&arena, i);
        if (e.sig.mode == 0) e.sig = (scan_sig){0};
        CHECK(bytes_equal(e.name, out[i].name) && e.item == out[i].item && e.racy == out[i].racy);
        CHECK(hash_equal(e.hash, out[i].hash) &&
              memcmp(&e.sig, &out[i].sig, offsetof(scan_sig, mode)) == 0);
        CHECK_INT(e.sig.mode, out[i].sig.mode);
    }
    buf empty;
    buf_init(&empty);
    scan_pack(&empty, NULL, 0);
    CHECK_OK(scan_unpack(buf_bytes(&empty), &arena, &out, &count, &err), err);
    CHECK_INT(0, count);
    buf_deinit(&empty);
    buf_deinit(&b);
    arena_deinit(&arena);
}

/* Cut off anywhere, or with any byte changed: an error or an answer, and no read out of bounds. */
static void test_damaged(void)
{
    weir_error err = {0};
    mem_arena arena;
    arena_init(&arena);
    scan_entry in[300];
    for (size_t i = 0; i < 300; i++) in[i] = sample(&arena, i);
    buf b;
    buf_init(&b);
    scan_pack(&b, in, 300);
    for (size_t size = 0; size < b.size; size += 7) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, b.data, size);
        scan_entry *out;
        size_t count;
        mem_arena own;
        arena_init(&own);
        CHECK_CODE(WEIR_CORRUPT, scan_unpack((bytes){copy, size}, &own, &out, &count, &err), err);
        copy[size] = 0;
        if (size > 0) {
            memcpy(copy, b.data, size);
            copy[size / 2] ^= 0x55;
            (void)scan_unpack((bytes){copy, size}, &own, &out, &count, &err);
            scan_folder f = {.folder = bytes_str(""), .packed = {copy, size}};
            scan_check_folder(&config, &f);
            arena_deinit(&f.arena);
        }
        arena_deinit(&own);
        free(copy);
    }
    /* a name that leads out of the folder */
    scan_entry evil = {.name = bytes_str("../x"), .sig = {.mode = 0100644}};
    scan_entry *out;
    size_t count;
    buf_clear(&b);
    scan_pack(&b, &evil, 1);
    CHECK_CODE(WEIR_CORRUPT, scan_unpack(buf_bytes(&b), &arena, &out, &count, &err), err);
    scan_folder f = {.folder = bytes_str("folder"), .packed = buf_bytes(&b)};
    scan_check_folder(&config, &f);
    CHECK_INT(WEIR_CORRUPT, f.code);
    CHECK_HAS("folder", f.message);
    arena_deinit(&f.arena);
    buf_deinit(&b);
    arena_deinit(&arena);
}

/* --- folders ----------------------------------------------------------------------------------------------------- */

/* Makes `count` files in a folder and packs their entries as a scan finds them. */
static void make_folder(const char *folder, size_t count, buf *packed, mem_arena *arena)
{
    char path[256];
    if (*folder) mkdir(check_path(folder), 0777);
    scan_entry *entries = arena_zero(arena, count, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s%sf%05zu", folder, *folder ? "/" : "", i);
        check_write(check_path(path), path);
        scan_request r = scan(path);
        const char *name = arena_strdup(arena, strrchr(path, 'f'));
        entries[i] = (scan_entry){
            .item = i, .name = bytes_str(name), .sig = r.sig, .hash = r.hash, .racy = false};
    }
    buf_clear(packed);
    scan_pack(packed, entries, count);
}

static void repack(scan_folder *f, buf *packed)
{
    buf_clear(packed);
    scan_pack(packed, f->entries, f->entry_count);
    arena_deinit(&f->arena);
}

static void test_folder(void)
{
    enum { COUNT = 20 };
    mem_arena arena;
    buf packed;
    arena_init(&arena);
    buf_init(&packed);
    make_folder("dir", COUNT, &packed, &arena);
    scan_folder f = {.folder = bytes_str("dir"), .packed = buf_bytes(&packed)};

    /* nothing moved: one open, a stat each, no memory */
    uint64_t opens = os_count(OS_OP_OPEN);
    uint64_t stats = os_count(OS_OP_STAT);
    scan_check_folder(&config, &f);
    CHECK_INT(0, f.code);
    CHECK_INT(1, os_count(OS_OP_OPEN) - opens);
    CHECK_INT(COUNT, os_count(OS_OP_STAT) - stats);
    CHECK_INT(COUNT, f.checked);
    CHECK_INT(0, f.changed_count);
    CHECK(!f.repack && !f.entries);
    CHECK_INT(0, f.arena.total);
    arena_deinit(&f.arena);

    /* one edited, one removed, one touched */
    check_write(check_path("dir/f00003"), "edited");
    unlink(check_path("dir/f00007"));
    utimensat(rootfd, "dir/f00011", NULL, 0);
    scan_counts before = scan_stats();
    scan_check_folder(&config, &f);
    CHECK_INT(2, scan_stats().hashed - before.hashed);
    CHECK(CHECK_INT(3, f.changed_count));
    CHECK_STR("dir/f00003", (const char *)f.changed[0].path.data);
    CHECK_INT(3, f.changed[0].item);
    CHECK(!hash_equal(f.changed[0].hash, f.changed[0].known_hash));
    CHECK_HASH(HASH_ABSENT, f.changed[1].hash);
    CHECK(hash_equal(f.changed[2].hash, f.changed[2].known_hash));
    CHECK(f.repack);
    CHECK_INT(COUNT, f.entry_count);
    CHECK(!f.entries[7].racy);
    f.entries[3].racy = f.entries[11].racy = true; /* they are, unless the machine was slow */
    repack(&f, &packed);

    /* the racy two are read once more, then never again; absent stays absent */
    let_age();
    f.packed = buf_bytes(&packed);
    scan_check_folder(&config, &f);
    CHECK_INT(2, f.changed_count);
    CHECK(f.repack);
    repack(&f, &packed);
    f.packed = buf_bytes(&packed);
    scan_check_folder(&config, &f);
    CHECK_INT(0, f.changed_count);
    arena_deinit(&f.arena);

    /* an entry that cannot be read keeps its hash and must be read again */
    utimensat(rootfd, "dir/f00001", NULL, 0);
    os_fault_set(OS_OP_READ, 1, 5, false);
    scan_check_folder(&config, &f);
    CHECK_INT(WEIR_IO, f.changed[0].code);
    CHECK(f.entries[1].racy && !hash_is_none(f.entries[1].hash));
    arena_deinit(&f.arena);

    /* the whole folder goes */
    check_remove(rootfd, "dir");
    scan_check_folder(&config, &f);
    CHECK_INT(COUNT - 1, f.changed_count);
    CHECK_HASH(HASH_ABSENT, f.changed[0].hash);
    arena_deinit(&f.arena);
    buf_deinit(&packed);
    arena_deinit(&arena);
}

static void test_folders(void)
{
    enum { FOLDERS = 3 };
    static const size_t counts[FOLDERS] = {2000, 1, 3};
    static const char *names[FOLDERS] = {"big", "small", ""};
    weir_error err = {0};
    uv_loop_t loop;
    mem_arena arena;
    buf packed[FOLDERS];
    scan_folder f[FOLDERS];
    uv_loop_init(&loop);
    arena_init(&arena);
    for (size_t i = 0; i < FOLDERS; i++) {
        buf_init(&packed[i]);
        make_folder(names[i], counts[i], &packed[i], &arena);
        f[i] = (scan_folder){.folder = bytes_str(names[i]), .packed = buf_bytes(&packed[i])};
    }
    uint64_t stats = os_count(OS_OP_STAT);
    CHECK_OK(scan_check_folders(&loop, &config, f, FOLDERS, &err), err);
    CHECK_INT(2004, os_count(OS_OP_STAT) - stats);
    for (size_t i = 0; i < FOLDERS; i++) {
        CHECK_INT(counts[i], f[i].checked);
        CHECK_INT(0, f[i].changed_count);
        arena_deinit(&f[i].arena);
    }

    /* every tenth of the big one, and one of the root; order is kept over slices */
    for (int i = 0; i < 2000; i += 10) {
        char name[32];
        snprintf(name, sizeof name, "big/f%05d", i);
        check_write(check_path(name), "other");
    }
    check_write(check_path("f00002"), "other");
    CHECK_OK(scan_check_folders(&loop, &config, f, FOLDERS, &err), err);
    CHECK_INT(200, f[0].changed_count);
    CHECK_INT(0, f[1].changed_count);
    CHECK_INT(1, f[2].changed_count);
    CHECK_STR("f00002", (const char *)f[2].changed[0].path.data);
    hash128 other = hash_text("other");
    for (size_t i = 0; i < f[0].changed_count; i++) {
        CHECK_INT(i * 10, f[0].changed[i].item);
        CHECK_HASH(other, f[0].changed[i].hash);
        CHECK_HASH(other, f[0].entries[i * 10].hash);
    }
    for (size_t i = 0; i < FOLDERS; i++) arena_deinit(&f[i].arena);

    atomic_int stop = 1; /* somebody has interrupted */
    config.stop = &stop;
    stats = os_count(OS_OP_STAT);
    CHECK_CODE(WEIR_CANCELLED, scan_check_folders(&loop, &config, f, FOLDERS, &err), err);
    CHECK_INT(0, os_count(OS_OP_STAT) - stats);
    for (size_t i = 0; i < FOLDERS; i++) {
        CHECK_INT(0, f[i].changed_count);
        arena_deinit(&f[i].arena);
    }
    stop = 0;

    config.distrust = true;
    CHECK_OK(scan_check_folders(&loop, &config, f, FOLDERS, &err), err);
    config.distrust = false;
    config.stop = NULL;
    CHECK_INT(2000, f[0].changed_count);
    CHECK(f[0].changed[1].read);
    for (size_t i = 0; i < FOLDERS; i++) {
        arena_deinit(&f[i].arena);
        buf_deinit(&packed[i]);
    }
    CHECK_OK(scan_check_folders(&loop, &config, f, 0, &err), err);
    arena_deinit(&arena);
    CHECK_INT(0, uv_loop_close(&loop));
}

/* Memory runs out at every place once, while entries have changed. */
static void test_folder_memory(void)
{
    weir_error err = {0};
    mem_arena arena;
    buf packed;
    arena_init(&arena);
    buf_init(&packed);
    make_folder("poor", 600, &packed, &arena);
    for (int i = 0; i < 600; i += 7) {
        char name[32];
        snprintf(name, sizeof name, "poor/f%05d", i);
        check_write(check_path(name), "other");
    }
    bool has_failed = true;
    for (int64_t at = 1; has_failed && at < 1000; at++) {
        scan_folder f = {.folder = bytes_str("poor"), .packed = buf_bytes(&packed)};
        mem_fail_at(at, false);
        int rc = scan_check_folders(NULL, &config, &f, 1, &err);
        mem_fail_at(0, false);
        has_failed = rc != 0 || f.code != 0;
        if (rc != 0) CHECK_CODE(WEIR_NOMEM, rc, err);
        if (f.code != 0) CHECK_INT(WEIR_NOMEM, f.code);
        if (!has_failed) CHECK_INT(86, f.changed_count);
        arena_deinit(&f.arena);
    }
    CHECK(!has_failed);
    buf_deinit(&packed);
    arena_deinit(&arena);
}

static void count_done(void *ctx)
{
    ++*(int *)ctx;
}

static int threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (tasks && readdir(tasks)) count++;
    closedir(tasks);
    return count;
}

/* libuv would abort: it is not asked. Before anything else has made threads. */
static void test_submit_without_threads(void)
{
    weir_error err = {0};
    uv_loop_t loop;
    int done = 0;
    int before = threads();
    uv_loop_init(&loop);
    check_write(check_path("alone"), "alone");
    scan_request r = request("alone");
    os_fault_set(OS_OP_SPAWN, 5, EAGAIN, true);
    CHECK_OK(scan_submit(&loop, &config, &r, 1, count_done, &done, &err), err);
    CHECK_INT(EAGAIN, os_fault_check(OS_OP_SPAWN)); /* threads were asked for */
    os_fault_set(OS_OP_SPAWN, 0, 0, false);
    CHECK_INT(0, done);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(1, done);
    for (int i = 0; i < 5000 && threads() != before; i++) usleep(1000); /* one that was joined is there a little longer */
    CHECK_INT(before, threads());
    hash128 expected = hash_text("alone");
    CHECK_HASH(expected, r.hash);
    CHECK_INT(0, uv_loop_close(&loop));
}

static void test_submit(void)
{
    enum { COUNT = 500 };
    weir_error err = {0};
    uv_loop_t loop;
    int done = 0;
    char names[COUNT][16];
    scan_request *r = calloc(COUNT, sizeof *r);
    uv_loop_init(&loop);
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "s%d", i);
        if (i % 5 != 0) check_write(check_path(names[i]), names[i]);
        r[i] = request(names[i]);
    }
    CHECK_OK(scan_submit(&loop, &config, r, COUNT, count_done, &done, &err), err);
    CHECK_INT(0, done);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(1, done);
    for (int i = 0; i < COUNT; i++) {
        hash128 expected = i % 5 != 0 ? hash_text(names[i]) : HASH_ABSENT;
        CHECK_HASH(expected, r[i].hash);
        r[i] = request(names[i]);
    }
    CHECK_OK(scan_wait(&loop, &config, r, COUNT, &err), err);
    for (int i = 0; i < COUNT; i++) CHECK(i % 5 == 0 ? r[i].type == OS_ABSENT : r[i].read);
    CHECK_OK(scan_submit(&loop, &config, NULL, 0, count_done, &done, &err), err);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(2, done);
    CHECK_INT(0, uv_loop_close(&loop));
    free(r);
}

static void test_keep(void)
{
    weir_error err = {0};
    blob_store *store = NULL;
    mkdir(check_path("keep"), 0777);
    int fd = open(check_path("keep"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OK(blob_store_open(&store, fd, &err), err);
    config.blobs = store;
    check_write(check_path("kept"), "small content");
    scan_request r = request("kept");
    r.flags = SCAN_KEEP;
    scan_one(&config, &r);
    hash128 expected = hash_text("small content");
    CHECK_INT(0, r.code);
    CHECK_HASH(expected, r.hash);
    CHECK_INT(13, r.size);
    CHECK(r.row.stored != NULL);
    CHECK_HASH(expected, r.row.hash);
    mem_free(r.row.stored);
    config.blobs = NULL;
    blob_store_close(store);
    close(fd);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    config = (scan_config){.rootfd = rootfd, .forbidden = &forbidden};
    test_submit_without_threads();
    test_kinds();
    test_signature_decides();
    test_racy_rule();
    test_granularity();
    test_large();
    test_forbidden();
    test_replaced();
    test_faults();
    test_pack();
    test_damaged();
    test_folder();
    test_folders();
    test_folder_memory();
    test_submit();
    test_keep();
    close(rootfd);
    return check_done();
}
