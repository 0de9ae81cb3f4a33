/*
 * test_glob.c - which files match, in which order, and when the answer must be asked for again.
 */
#include <time.h>

#include "engine/world/scan.h"
#include "tests/check.h"

static int rootfd;
static scan_config config;
static mem_arena arena;

static bool skip_output(void *ctx, const char *path)
{
    (void)ctx;
    return strncmp(path, "public/", 7) == 0;
}

/* The paths of a pattern, with a blank between them. */
static const char *glob(const char *pattern)
{
    static char text[4096];
    weir_error err = {0};
    const char **paths;
    size_t count;
    text[0] = '\0';
    if (scan_glob(&config, pattern, skip_output, NULL, &arena, &paths, &count, NULL, &err) != 0)
        return arena_strdup(&arena, err.message);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) strcat(text, " ");
        strcat(text, paths[i]);
        CHECK(scan_glob_match(pattern, paths[i]));
    }
    return text;
}

static void touch(const char *path)
{
    weir_error err = {0};
    CHECK_OK(os_make_parents(rootfd, path, NULL, NULL, &err), err);
    check_write(check_path(path), path);
}

static void make_tree(void)
{
    static const char *const files[] = {
        "a.md",
        "b.txt",
        "content/intro.md",
        "content/x/one.md",
        "content/x/y/two.md",
        "content.md",
        "content/.draft.md",
        "content/.hidden/h.md",
        "content/x/one.txt",
        "public/intro.md",
        ".weir/weir.db",
        ".weir/tmp/t.md",
        "src/main.c",
        "src/main.h",
        "src/lib/z.c",
        "odd/[x].md",
        "odd/a{b}.md",
        "odd/\xc3\xa4.md",
        "odd/\xff.md",
        "odd/**.md",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) touch(files[i]);
    mkdir(check_path("content/folder.md"), 0777);
    CHECK_INT(0, symlink("content/x", check_path("short")));
    CHECK_INT(0, symlink("../a.md", check_path("content/linked.md")));
    CHECK_INT(0, symlink("nowhere", check_path("content/dangling.md")));
    CHECK_INT(0, symlink("..", check_path("content/x/up")));
}

static void test_patterns(void)
{
    CHECK_STR("a.md content.md", glob("*.md"));
    CHECK_STR("content/intro.md content/linked.md content/x/one.md content/x/y/two.md",
              glob("content/**/*.md"));
    CHECK_STR(
        "content/intro.md content/linked.md content/x/one.md content/x/one.txt content/x/y/two.md",
        glob("content/**"));
    CHECK_STR("content/x/y/two.md", glob("**/y/*.md"));
    CHECK_STR("content/x/y/two.md", glob("**/**/y/**/two.md"));
    CHECK_STR("content/.draft.md", glob("content/.*.md"));
    CHECK_STR("content/.hidden/h.md", glob("content/.hidden/*"));
    CHECK_STR("content/.hidden/h.md", glob("**/.hidden/*.md"));
    CHECK_STR("src/lib/z.c src/main.c src/main.h", glob("src/**/*.{c,h}"));
    CHECK_STR("a.md src/main.c", glob("{src/main.c,a.md,missing}"));
    CHECK_STR("content/intro.md src/main.c", glob("{src/{main,other}.c,content/i*}"));
    CHECK_STR("src/main.c src/main.h", glob("src/main.?"));
    CHECK_STR("src/main.c", glob("src/main.[a-g]"));
    CHECK_STR("src/main.h", glob("src/main.[!a-g]"));
    CHECK_STR("src/main.c", glob("src/main.c"));
    CHECK_STR("", glob("src"));
    CHECK_STR("", glob("src/none/*.c"));
    CHECK_STR("content/x/one.md content/x/one.txt", glob("content/x/one*"));
    CHECK_STR("", glob("public/*"));
    /* a link is gone through where it is named, not by ** */
    CHECK_STR("short/one.md short/y/two.md", glob("short/**/*.md"));
    CHECK_STR("src/lib/z.c", glob("*/*/z.c"));
    CHECK_STR("content/x/up/intro.md content/x/up/linked.md", glob("content/x/up/*.md"));
    /* the state folder is not there */
    CHECK_STR("", glob(".weir/**"));
    CHECK_STR("", glob(".weir/weir.db"));
    CHECK_STR("", glob(".*/*"));
    /* odd names */
    CHECK_STR("odd/[x].md", glob("odd/[[]x[]].md"));
    CHECK_STR("odd/[x].md", glob("odd/\\[x\\].md"));
    CHECK_STR("odd/a{b}.md", glob("odd/a\\{b\\}.md"));
    CHECK_STR("odd/\xc3\xa4.md odd/\xff.md", glob("odd/?.md"));
    CHECK_STR("odd/\xc3\xa4.md", glob("odd/[\xc3\xa4\xc3\xb6].md"));
    CHECK_STR("odd/**.md odd/[x].md odd/a{b}.md odd/\xc3\xa4.md odd/\xff.md", glob("odd/*.md"));
    CHECK_STR("odd/**.md", glob("odd/\\*\\*.md"));
}

static void test_match(void)
{
    static const struct {
        const char *pattern, *path;
        bool is_match;
    } cases[] = {
        {"*.md", "a.md", true},
        {"*.md", "x/a.md", false},
        {"**/*.md", "a.md", true},
        {"**/*.md", "x/y/a.md", true},
        {"**", "a/b", true},
        {"a/**", "a/b/c", true},
        {"a/**", "a", false},
        {"a/**", "b/c", false},
        {"**/x", ".y/x", false},
        {"*", ".a", false},
        {".*", ".a", true},
        {"?a", ".a", false},
        {"[.]a", ".a", false},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"*a", "baba", true},
        {"[!a]", "b", true},
        {"[!a]", "a", false},
        {"[]a]", "]", true},
        {"[a-]", "-", true},
        {"{a,b}{c,d}", "bd", true},
        {"{a,b}{c,d}", "ab", false},
        {"a{,b}", "a", true},
        {"a{,b}", "ab", true},
        {"a?c", "a/c", false},
        {"[!x]", "/", false},
        {"**/a/**/b", "a/b", true},
        {"**/a/**/b", "x/a/y/z/b", true},
        {"**/a/**/b", "x/y/b", false},
        {"*", "", false},
        {".weir/*", ".weir/x", false},
        {"a/*/a/*/a/*/a/*/b", "a/a/a/a/a/a/a/a/a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!CHECK_INT(cases[i].is_match, scan_glob_match(cases[i].pattern, cases[i].path)))
            fprintf(stderr, "  %s against %s\n", cases[i].pattern, cases[i].path);
    /* nothing exponential: this would take years */
    char name[256];
    memset(name, 'a', 250);
    strcpy(name + 250, "b");
    CHECK(!scan_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ac", name));
    char deep[512] = "";
    for (int i = 0; i < 100; i++) strcat(deep, "a/");
    strcat(deep, "a");
    CHECK(!scan_glob_match("**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b", deep));
}

static void test_malformed(void)
{
    static const struct {
        const char *pattern, *why;
    } cases[] = {
        {"", "empty"},
        {"/etc/*", "absolute"},
        {"../*", "leaves"},
        {"a/../b", "leaves"},
        {"a/./b", "\".\""},
        {"a//b", "empty comp"},
        {"a/", "empty comp"},
        {"[a", "]"},
        {"[a/b]", "]"},
        {"{a,b", "}"},
        {"a}", "{"},
        {"a**b", "**"},
        {"***", "**"},
        {"{/a,b}", "absolute"},
        {"{..,a}/b", "leaves"},
        {"{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "256"},
    };
    weir_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_CODE(WEIR_WORKFLOW, scan_glob_check(cases[i].pattern, &err), err);
        CHECK_HAS(cases[i].why, err.message);
    }
    CHECK_OK(scan_glob_check("content/**/*.{md,txt}", &err), err);
    char deep[200] = "";
    for (int i = 0; i < 65; i++) strcat(deep, i ? "/a" : "a");
    CHECK_CODE(WEIR_WORKFLOW, scan_glob_check(deep, &err), err);
}

static void test_fixed(void)
{
    CHECK_INT(8, scan_glob_fixed("content/**/*.md"));
    CHECK_INT(0, scan_glob_fixed("*.md"));
    CHECK_INT(2, scan_glob_fixed("a/b.md"));
    CHECK_INT(2, scan_glob_fixed("a/b{c/d,e}"));
    CHECK_INT(4, scan_glob_fixed("a/b/[c]/d"));
}

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

static bool same(const char *pattern, const char *change, void (*act)(void))
{
    weir_error err = {0};
    const char **paths;
    size_t count;
    buf folders;
    buf_init(&folders);
    let_age();
    CHECK_OK(scan_glob(&config, pattern, NULL, NULL, &arena, &paths, &count, &folders, &err), err);
    if (!CHECK(scan_glob_same(&config, buf_bytes(&folders))))
        fprintf(stderr, "  before: %s\n", change);
    act();
    bool is_same = scan_glob_same(&config, buf_bytes(&folders));
    /* damaged records are never "the same" by a crash */
    for (size_t size = 0; size < folders.size; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, folders.data, size);
        (void)scan_glob_same(&config, (bytes){copy, size});
        free(copy);
    }
    buf_deinit(&folders);
    return is_same;
}

static void act_edit(void)
{
    check_write(check_path("content/intro.md"), "edited");
}
static void act_add(void)
{
    touch("content/x/new.md");
}
static void act_remove(void)
{
    unlink(check_path("content/x/new.md"));
}
static void act_root(void)
{
    touch("unrelated");
}
static void act_make_missing(void)
{
    touch("later/a.md");
}
static void act_retarget(void)
{
    unlink(check_path(
        "a.md")); /* content/linked.md dangles now; no folder that was listed has changed */
}

static void test_same(void)
{
    CHECK(same("content/**/*.md", "edit", act_edit));
    CHECK(!same("content/**/*.md", "add", act_add));
    CHECK(!same("content/**/*.md", "remove", act_remove));
    CHECK(same("content/**/*.md", "root", act_root));
    CHECK(!same("later/*.md", "make a folder that was missing", act_make_missing));
    CHECK(!same("content/**/*.md", "retarget", act_retarget));
    CHECK(same("src/main.c", "plain", act_root));

    /* racy: a folder that was changed just now is looked at again */
    weir_error err = {0};
    const char **paths;
    size_t count;
    buf folders;
    buf_init(&folders);
    bool is_same = true;
    for (int i = 0; is_same && i < 1000; i++) { /* again if it took longer than the window */
        char name[64];
        snprintf(name, sizeof name, "content/fresh%d.md", i);
        touch(name);
        buf_clear(&folders);
        CHECK_OK(scan_glob(&config, "content/*.md", NULL, NULL, &arena, &paths, &count, &folders,
                           &err),
                 err);
        is_same = scan_glob_same(&config, buf_bytes(&folders));
    }
    CHECK(!is_same);
    CHECK(!scan_glob_same(&config, (bytes){NULL, 0}));
    buf_deinit(&folders);
}

static void test_names_hash(void)
{
    const char *a[] = {"ab", "c"};
    const char *b[] = {"a", "bc"};
    hash128 one = scan_names_hash(a, 2);
    CHECK(!hash_equal(one, scan_names_hash(b, 2)));
    CHECK(!hash_equal(one, scan_names_hash(a, 1)));
    CHECK(hash_equal(one, scan_names_hash(a, 2)));
}

/* Memory runs out at every place once: an error that says so, nothing leaks, and the next time it works. */
static void test_memory(void)
{
    weir_error err = {0};
    int rc = WEIR_NOMEM;
    for (int64_t at = 1; rc == WEIR_NOMEM && at < 1000; at++) {
        mem_arena own;
        buf folders;
        const char **paths;
        size_t count;
        arena_init(&own);
        buf_init(&folders);
        mem_fail_at(at, false);
        rc = scan_glob(&config, "{content,short}/**/*.md", NULL, NULL, &own, &paths, &count,
                       &folders, &err);
        mem_fail_at(0, false);
        if (rc != 0) CHECK_CODE(WEIR_NOMEM, rc, err);
        buf_deinit(&folders);
        arena_deinit(&own);
    }
    CHECK_OK(rc, err);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    config = (scan_config){.rootfd = rootfd};
    arena_init(&arena);
    make_tree();
    test_patterns();
    test_match();
    test_malformed();
    test_fixed();
    test_same();
    test_names_hash();
    test_memory();
    arena_deinit(&arena);
    close(rootfd);
    return check_done();
}
