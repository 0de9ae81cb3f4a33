/*
 * test_path.c - 60 ways to write a path; none that leads outside is let through.
 */
#include "engine/world/scan.h"
#include "tests/check.h"

static int rootfd;

/* expected NULL: refused */
static const struct {
    const char *path, *expected;
} written[] = {
    {"a", "a"},
    {"a/b", "a/b"},
    {"./a", "a"},
    {"a/.", "a"},
    {"a/./b", "a/b"},
    {"a//b", "a/b"},
    {"a///b//", "a/b"},
    {"a/", "a"},
    {"a/../b", "b"},
    {"a/b/../../c", "c"},
    {"a/b/..", "a"},
    {"./././a", "a"},
    {"..a", "..a"},
    {"a..", "a.."},
    {"...", "..."},
    {"a/.../b", "a/.../b"},
    {".a", ".a"},
    {"a b", "a b"},
    {"\xff\xfe", "\xff\xfe"},
    {"~", "~"},
    {"a\\..\\b", "a\\..\\b"},
    {"%2e%2e/a", "%2e%2e/a"},
    {"", NULL},
    {".", NULL},
    {"./", NULL},
    {"a/..", NULL},
    {"..", NULL},
    {"../", NULL},
    {"../a", NULL},
    {"./../a", NULL},
    {"a/../..", NULL},
    {"a/../../b", NULL},
    {"a/b/../../../c", NULL},
    {"/", NULL},
    {"/etc/passwd", NULL},
    {"//a", NULL},
    {"/..", NULL},
    {"a//..//..//b", NULL},
};

/* Behind links: `real` NULL: leaves. The tree is made by make_links. */
static const struct {
    const char *path, *real;
} linked[] = {
    {"d/f", "d/f"},
    {"d/new", "d/new"},
    {"new/deep/er", "new/deep/er"},
    {"in/f", "d/f"},
    {"in", "d"},
    {"in/new", "d/new"},
    {"in2/f", "d/f"},
    {"d/back/d/f", "d/f"},
    {"d/deep/up2/f", "d/f"},
    {"absin/f", "d/f"},
    {"absroot/d/f", "d/f"},
    {"hang", "d/missing"},
    {"hang/x", "d/missing/x"},
    {"d/f/x", "d/f/x"},
    {"out", NULL},
    {"out/passwd", NULL},
    {"out/new", NULL},
    {"etc/passwd", NULL},
    {"d/over/x", NULL},
    {"in/over/x", NULL},
    {"abssibling/x", NULL},
    {"loop", NULL},
    {"loop2/x", NULL},
    {"d/deep/up4", NULL},
    {"", NULL},
    {"/etc", NULL},
    {"proc/cwd", NULL},
    {"hangout/x", NULL},
};

static void make_links(void)
{
    char target[512];
    mkdir(check_path("d"), 0777);
    mkdir(check_path("d/deep"), 0777);
    check_write(check_path("d/f"), "x");
    CHECK_INT(0, symlink("d", check_path("in")));
    CHECK_INT(0, symlink("./in//.", check_path("in2")));
    CHECK_INT(0, symlink("..", check_path("d/back")));
    CHECK_INT(0, symlink("../../d", check_path("d/deep/up2")));
    CHECK_INT(0, symlink("../../../d", check_path("d/deep/up4")));
    snprintf(target, sizeof target, "%s/d", check_scratch());
    CHECK_INT(0, symlink(target, check_path("absin")));
    CHECK_INT(0, symlink(check_scratch(), check_path("absroot")));
    snprintf(target, sizeof target, "%s-other", check_scratch());
    CHECK_INT(0, symlink(target, check_path("abssibling")));
    CHECK_INT(0, symlink("d/missing", check_path("hang")));
    CHECK_INT(0, symlink("../missing", check_path("hangout")));
    CHECK_INT(0, symlink("/etc", check_path("out")));
    CHECK_INT(0, symlink("../../../../../../etc", check_path("etc")));
    CHECK_INT(0, symlink("../../outside", check_path("d/over")));
    CHECK_INT(0, symlink("loop", check_path("loop")));
    CHECK_INT(0, symlink("loop3", check_path("loop2")));
    CHECK_INT(0, symlink("loop2", check_path("loop3")));
    CHECK_INT(0, symlink("/proc/self", check_path("proc")));
}

static void test_normalise(void)
{
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        weir_error err = {0};
        buf to;
        buf_init(&to);
        buf_text(&to, "kept:");
        int rc = scan_normalise(bytes_str(written[i].path), &to, &err);
        if (written[i].expected) {
            CHECK_OK(rc, err);
            CHECK_STR(written[i].expected, buf_cstr(&to) + 5);
        } else if (!CHECK_CODE(WEIR_WORKFLOW, rc, err)) {
            fprintf(stderr, "  path %s gave %s\n", written[i].path, buf_cstr(&to));
        } else {
            CHECK(err.message[0] != '\0');
        }
        buf_deinit(&to);
    }
    weir_error err = {0};
    buf to;
    buf_init(&to);
    CHECK_CODE(WEIR_WORKFLOW, scan_normalise(bytes_of("a\0b", 3), &to, &err), err);
    char *long_path = malloc(5000);
    memset(long_path, 'a', 5000);
    CHECK_CODE(WEIR_WORKFLOW, scan_normalise(bytes_of(long_path, 5000), &to, &err), err);
    free(long_path);
    buf_deinit(&to);
}

static void test_inside(void)
{
    make_links();
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++) {
        weir_error err = {0};
        buf real;
        buf_init(&real);
        int rc = scan_inside(rootfd, linked[i].path, &real, &err);
        if (linked[i].real) {
            CHECK_OK(rc, err);
            CHECK_STR(linked[i].real, buf_cstr(&real));
        } else if (!CHECK_CODE(WEIR_WORKFLOW, rc, err)) {
            fprintf(stderr, "  path %s gave %s\n", linked[i].path, buf_cstr(&real));
        } else {
            CHECK_INT(0, real.size);
            CHECK_HAS(linked[i].path, err.message);
        }
        buf_deinit(&real);
    }
}

static void test_tools(void)
{
    weir_error err = {0};
    buf to;
    char path[1024];
    char expected[512];
    buf_init(&to);
    mkdir(check_path("bin"), 0777);
    mkdir(check_path("bin2"), 0777);
    check_write(check_path("bin/tool"), "not yet executable");
    check_write(check_path("bin2/tool"), "#!/bin/sh\n");
    chmod(check_path("bin2/tool"), 0755);
    CHECK_INT(0, symlink("tool", check_path("bin2/alias")));
    mkdir(check_path("bin/alias"), 0777);
    snprintf(path, sizeof path, "relative::%s:%s/:/nowhere", check_path("bin"), check_path("bin2"));

    CHECK_OK(scan_tool("tool", path, rootfd, &to, &err), err);
    snprintf(expected, sizeof expected, "%s//tool", check_path("bin2"));
    CHECK_STR(expected, buf_cstr(&to));
    buf_clear(&to);
    CHECK_OK(scan_tool("alias", path, rootfd, &to, &err),
             err); /* the link stays; a folder of the name is passed over */
    CHECK_HAS("/bin2//alias", buf_cstr(&to));
    buf_clear(&to);
    CHECK_OK(scan_tool("bin2/tool", path, rootfd, &to, &err), err);
    CHECK_STR(check_path("bin2/tool"), buf_cstr(&to));
    buf_clear(&to);
    CHECK_OK(scan_tool(check_path("bin2/tool"), NULL, rootfd, &to, &err), err);
    buf_clear(&to);

    CHECK_CODE(WEIR_NOTFOUND, scan_tool("nosuch", path, rootfd, &to, &err), err);
    CHECK_HAS("nosuch", err.message);
    CHECK_HAS("/nowhere", err.message);
    CHECK_CODE(WEIR_NOTFOUND, scan_tool("nosuch", NULL, rootfd, &to, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, scan_tool("bin/tool", path, rootfd, &to, &err), err);
    CHECK_HAS("not executable", err.message);
    CHECK_CODE(WEIR_NOTFOUND, scan_tool("bin/none", path, rootfd, &to, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, scan_tool("", path, rootfd, &to, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, scan_tool("tool", check_path("bin"), rootfd, &to, &err), err);
    CHECK_HAS("not executable", err.message);
    CHECK_INT(0, to.size);
    buf_deinit(&to);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    test_normalise();
    test_inside();
    test_tools();
    close(rootfd);
    return check_done();
}
