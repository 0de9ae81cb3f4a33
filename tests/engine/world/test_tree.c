/*
 * test_tree.c - what a tree and a folder are, and counters: what has not moved is neither listed nor read.
 */
#include <time.h>

#include "engine/store/value.h"
#include "engine/world/scan.h"
#include "tests/check.h"

static int rootfd;
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

static bool skip_made(void *ctx, const char *path, os_type type)
{
    (void)ctx;
    (void)type;
    return strcmp(path, "src/made") == 0 || strcmp(path, "src/out") == 0 ||
           strcmp(path, "src/out/made") == 0;
}

static void put(const char *path, const char *text)
{
    weir_error err = {0};
    CHECK_OK(os_make_parents(rootfd, path, NULL, NULL, &err), err);
    check_write(check_path(path), text);
}

/* A look with the record of `tree` before; *tree becomes the answer. How many files were read. */
static uint64_t look(scan_tree *tree, bool deep)
{
    weir_error err = {0};
    scan_tree next = {.folder = "src", .deep = deep, .skip = skip_made};
    uint64_t before = scan_stats().hashed;
    CHECK_OK(scan_tree_look(&config, &next, buf_bytes(&tree->record), &err), err);
    scan_tree_deinit(tree);
    *tree = next;
    return scan_stats().hashed - before;
}

/* The names of an answer, with a blank behind each. */
static const char *names(bytes encoded)
{
    static char text[1024];
    size_t size = 0;
    value_item item;
    value_reader reader = value_read(encoded);
    CHECK(value_next(&reader, &item) && item.type == VALUE_ARRAY);
    for (size_t i = 0, count = item.count; i < count; i++) {
        CHECK(value_next(&reader, &item) && item.type == VALUE_STRING);
        size += (size_t)snprintf(text + size, sizeof text - size, "%.*s ", (int)item.text.size,
                                 (const char *)item.text.data);
    }
    text[size] = '\0';
    return text;
}

static bool same(const scan_tree *tree)
{
    return scan_tree_same(&config, buf_bytes(&tree->record));
}

static void make_tree(void)
{
    put("src/a", "alpha");
    put("src/sub/b", "beta");
    put("src/sub/deep/c", "gamma");
    put("src/.weir/secret", "never");
    put("src/made", "output");
    put("src/out/made", "output");
    mkdir(check_path("src/empty"), 0777);
    CHECK_INT(0, symlink("a", check_path("src/link")));
}

static void test_reads(void)
{
    scan_tree tree = {0};
    make_tree();
    let_age();
    CHECK_INT(3, look(&tree, true));
    CHECK(tree.is_there);
    CHECK_STR("a link sub/b sub/deep/c ", names(buf_bytes(&tree.names)));
    CHECK(same(&tree));
    CHECK_INT(0, look(&tree, true)); /* all of it is known */

    hash128 first = tree.hash;
    put("src/sub/b", "other");
    CHECK(!same(&tree));
    let_age();
    CHECK_INT(1, look(&tree, true)); /* what moved, and nothing else */
    CHECK(!hash_equal(first, tree.hash));
    put("src/sub/b", "beta");
    let_age();
    CHECK_INT(1, look(&tree, true));
    CHECK(hash_equal(first, tree.hash));

    put("src/new", "new");
    CHECK(!same(&tree));
    let_age();
    CHECK_INT(1, look(&tree, true));
    CHECK_INT(0, unlink(check_path("src/new")));
    CHECK(!same(&tree));
    CHECK_INT(0, look(&tree, true));
    CHECK(hash_equal(first, tree.hash));
    put("src/empty/not", "any more");
    CHECK(!same(&tree));
    CHECK_INT(0, unlink(check_path("src/empty/not")));
    scan_tree_deinit(&tree);
}

/* Its hash is of names alone: nothing is ever read for it. */
static void test_names(void)
{
    weir_error err = {0};
    scan_tree folder = {0};
    buf again;
    buf_init(&again);
    let_age();
    CHECK_INT(0, look(&folder, false));
    CHECK_STR("a empty/ link sub/ ", names(buf_bytes(&folder.names)));
    hash128 first = folder.hash;
    put("src/a", "longer than before");
    put("src/sub/more", "more");
    CHECK(same(&folder));
    CHECK_OK(scan_tree_names("src", buf_bytes(&folder.record), &again, &err), err);
    CHECK_STR("a empty/ link sub/ ", names(buf_bytes(&again)));
    put("src/out/mine", "not made"); /* a folder of ours with something else in it */
    CHECK_INT(0, unlink(check_path("src/a")));
    CHECK(!same(&folder));
    CHECK_INT(0, look(&folder, false));
    CHECK_STR("empty/ link out/ sub/ ", names(buf_bytes(&folder.names)));
    CHECK(!hash_equal(first, folder.hash));
    buf_deinit(&again);
    scan_tree_deinit(&folder);
}

/* Each is another tree. */
static void test_differs(void)
{
    scan_tree tree = {0};
    hash128 seen[4];
    for (size_t i = 0; i < 4; i++) {
        if (i == 1) CHECK_INT(0, chmod(check_path("src/sub/b"), 0755));
        if (i == 2) CHECK_INT(0, rename(check_path("src/sub/b"), check_path("src/sub/bb")));
        if (i == 3) CHECK_INT(0, unlink(check_path("src/link")));
        if (i == 3) CHECK_INT(0, symlink("b", check_path("src/link")));
        (void)look(&tree, true);
        seen[i] = tree.hash;
        for (size_t k = 0; k < i; k++) CHECK(!hash_equal(seen[k], seen[i]));
    }
    CHECK_INT(0, chmod(check_path("src/sub/bb"), 0711)); /* executable as before: the same */
    (void)look(&tree, true);
    CHECK(hash_equal(seen[3], tree.hash));
    scan_tree_deinit(&tree);
}

/* A damaged record costs reading, and is never believed. */
static void test_damage(void)
{
    scan_tree tree = {0};
    let_age();
    (void)look(&tree, true);
    hash128 right = tree.hash;
    for (size_t size = 1; size < tree.record.size; size++)
        CHECK(!scan_tree_same(&config, bytes_of(tree.record.data, size)) ||
              tree.record.data[size] == 'D' || tree.record.data[size] == 'E');
    weir_error err = {0};
    scan_tree next = {.folder = "src", .deep = true, .skip = skip_made};
    CHECK_OK(scan_tree_look(&config, &next, bytes_of(tree.record.data, tree.record.size / 2), &err),
             err);
    CHECK(hash_equal(right, next.hash));
    CHECK(bytes_equal(buf_bytes(&tree.record), buf_bytes(&next.record)));
    scan_tree_deinit(&next);
    scan_tree_deinit(&tree);
}

static void test_absent(void)
{
    weir_error err = {0};
    scan_tree tree = {.folder = "none", .deep = true},
              file = {.folder = "src/sub/bb", .deep = true};
    CHECK_OK(scan_tree_look(&config, &tree, bytes_of("", 0), &err), err);
    CHECK(!tree.is_there && hash_equal(tree.hash, HASH_ABSENT) && !same(&tree));
    CHECK_OK(scan_tree_look(&config, &file, bytes_of("", 0), &err), err);
    CHECK(!file.is_there && hash_equal(file.hash, HASH_ABSENT));
    scan_tree_deinit(&tree);
    scan_tree_deinit(&file);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    config = (scan_config){.rootfd = rootfd};
    test_reads();
    test_names();
    test_differs();
    test_damage();
    test_absent();
    close(rootfd);
    return check_done();
}
