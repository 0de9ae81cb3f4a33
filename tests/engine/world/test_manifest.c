/*
 * test_manifest.c - the list of a folder that is an output: what is in it, damage, and counters: what has not moved is not read.
 */
#include <time.h>

#include "engine/world/manifest.h"
#include "tests/check.h"

static int rootfd;
static scan_config config;

static void put(const char *path, const char *text)
{
    weir_error err = {0};
    CHECK_OK(os_make_parents(rootfd, path, NULL, NULL, &err), err);
    check_write(check_path(path), text);
}

static void make_folder(void)
{
    put("out/a", "alpha");
    put("out/two\nlines", "beta");
    put("out/100% \xff/c", "gamma");
    mkdir(check_path("out/empty"), 0777);
    CHECK_INT(0, chmod(check_path("out/a"), 0755));
    CHECK_INT(0, symlink("x y\n", check_path("out/link")));
}

static const manifest_entry *find(const manifest_entry *entries, size_t count, const char *path)
{
    const manifest_entry *e = manifest_find(entries, count, bytes_str(path));
    CHECK(e != NULL);
    return e;
}

/* The walk and the text say the same. */
static void test_entries(void)
{
    mem_arena arena;
    weir_error err = {0};
    manifest_entry *entries = NULL, *again = NULL;
    size_t count = 0, count_again = 0;
    buf text;
    arena_init(&arena);
    buf_init(&text);
    make_folder();
    CHECK_OK(manifest_walk(&config, "out/", &arena, &entries, &count, &err), err);
    CHECK_INT(6, count);
    CHECK(find(entries, count, "a")->executable);
    CHECK_INT(OS_DIR, find(entries, count, "empty")->type);
    CHECK_INT(OS_FILE, find(entries, count, "two\nlines")->type);
    CHECK_INT(OS_FILE, find(entries, count, "100% \xff/c")->type);
    CHECK_STR("x y\n", (const char *)find(entries, count, "link")->text.data);
    CHECK(manifest_find(entries, count, bytes_str("b")) == NULL);

    manifest_put(entries, count, &text);
    CHECK_OK(manifest_read(buf_bytes(&text), &arena, &again, &count_again, &err), err);
    CHECK_INT(count, count_again);
    for (size_t i = 0; i < count && i < count_again; i++) {
        CHECK(bytes_equal(entries[i].path, again[i].path));
        CHECK(manifest_same(&entries[i], &again[i]));
    }
    scan_request r = {.path = bytes_str("out/")};
    scan_one(&config, &r);
    hash128 expected = hash_bytes(text.data, text.size);
    CHECK_HASH(expected, r.hash);
    buf_deinit(&text);
    arena_deinit(&arena);
}

static void test_damage(void)
{
    static const char *const damaged[] = {
        "",
        "weir folder 1",
        "weir folder 2\n",
        "weir folder 1\ndir",
        "weir folder 1\ndir \n",
        "weir folder 1\nfile 00 a\n",
        "weir folder 1\nfile 3f1c00000000000000000000000000000 a\n",
        "weir folder 1\nlink x\n",
        "weir folder 1\ndir a%2\n",
        "weir folder 1\ndir a b\n",
        "weir folder 1\ndir /a\n",
        "weir folder 1\ndir a/../../b\n",
        "weir folder 1\ndir ..\n",
        "weir folder 1\ndir a//b\n",
        "weir folder 1\ndir a%00b\n",
        "weir folder 1\ndir b\ndir a\n",
        "weir folder 1\ndir a\ndir a\n",
    };
    mem_arena arena;
    weir_error err = {0};
    manifest_entry *entries;
    size_t count;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        if (!CHECK_CODE(WEIR_CORRUPT, manifest_read(bytes_str(damaged[i]), &arena, &entries, &count, &err), err))
            printf("it was number %zu\n", i);
    CHECK_OK(manifest_read(bytes_str("weir folder 1\n"), &arena, &entries, &count, &err), err);
    CHECK_INT(0, count);
    arena_deinit(&arena);
}

/* Until what was written so far is not racy any more. */
static void let_age(void)
{
    struct timespec now;
    int64_t until_ns = os_wall_us() * 1000 + 2 * SCAN_RACY_NS;
    do {
        usleep(1000);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec < until_ns);
}

static uint64_t look(scan_request *r)
{
    uint64_t before = scan_stats().hashed;
    *r = (scan_request){.path = bytes_str("out/"), .known = r->read || r->known, .known_sig = r->sig, .known_hash = r->hash, .known_racy = r->racy};
    scan_one(&config, r);
    CHECK_INT(0, r->code);
    return scan_stats().hashed - before;
}

static void test_signature(void)
{
    scan_request r = {0};
    let_age();
    CHECK_INT(3, look(&r));
    hash128 first = r.hash;
    CHECK_INT(0, look(&r));
    CHECK_HASH(first, r.hash);
    CHECK_INT(0, rmdir(check_path("out/empty")));
    let_age();
    (void)look(&r);
    CHECK(!hash_equal(first, r.hash));
    mkdir(check_path("out/empty"), 0777);
    CHECK_INT(0, chmod(check_path("out/a"), 0700)); /* executable or not, nothing else */
    let_age();
    (void)look(&r);
    CHECK_HASH(first, r.hash);
    CHECK_INT(0, chmod(check_path("out/a"), 0600));
    let_age();
    (void)look(&r);
    CHECK(!hash_equal(first, r.hash));
}

static void test_other_things(void)
{
    scan_request r = {.path = bytes_str("link/")};
    CHECK_INT(0, symlink("out", check_path("link")));
    scan_one(&config, &r);
    CHECK_INT(0, r.code);
    CHECK(hash_equal(HASH_ABSENT, r.hash));
    CHECK_INT(0, mkfifo(check_path("out/fifo"), 0600));
    r.path = bytes_str("out/");
    scan_one(&config, &r);
    CHECK_INT(WEIR_WORKFLOW, r.code);
    CHECK_HAS("out/fifo is a FIFO", r.message);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY);
    config = (scan_config){.rootfd = rootfd};
    test_entries();
    test_damage();
    test_signature();
    test_other_things();
    close(rootfd);
    return check_done();
}
