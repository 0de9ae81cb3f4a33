/*
 * test_os_tree.c - folders as wholes: listed in order, made on the way, removed without leaving the tree.
 */
#include <errno.h>

#include "engine/base/os.h"
#include "tests/check.h"

static weir_error err;

static void touch(int dir, const char *path)
{
    CHECK_OK(os_make_parents(dir, path, NULL, NULL, &err), err);
    CHECK_OK(os_write_file(dir, path, bytes_str(path), 0600, &err), err);
}

static os_type type_of(int dir, const char *path)
{
    os_stat st;
    CHECK_OK(os_statat(dir, path, false, &st, &err), err);
    return st.type;
}

static void note_folder(void *ctx, const char *folder)
{
    buf_printf(ctx, "%s;", folder);
}

static void test_make_parents(int dir)
{
    buf made;
    buf_init(&made);
    CHECK_OK(os_make_parents(dir, "p/q//r/file", note_folder, &made, &err), err);
    CHECK_STR("p;p/q;p/q//r;", buf_cstr(&made));
    buf_clear(&made);
    CHECK_OK(os_make_parents(dir, "p/q/r/file", note_folder, &made, &err), err);
    CHECK_OK(os_make_parents(dir, "file", note_folder, &made, &err), err);
    CHECK_OK(os_make_parents(dir, "/file", note_folder, &made, &err), err);
    CHECK_STR("", buf_cstr(&made));
    CHECK_OK(os_make_parents(AT_FDCWD, check_path("abs/x/y"), note_folder, &made, &err), err);
    CHECK_INT(OS_DIR, type_of(dir, "abs/x"));
    touch(dir, "p/file");
    CHECK(os_make_parents(dir, "p/file/below/x", NULL, NULL, &err) != 0);
    CHECK_HAS("p/file", err.message);
    CHECK_OK(os_symlinkat("q", dir, "p/to", &err), err);
    CHECK_OK(os_make_parents(dir, "p/to/s/x", NULL, NULL, &err), err);
    CHECK_INT(OS_DIR, type_of(dir, "p/q/s"));
    buf_deinit(&made);
}

static void test_make_and_remove_folder(int dir)
{
    bool removed;
    CHECK_OK(os_mkdirat(dir, "d", 0755, &err), err);
    CHECK_OK(os_mkdirat(dir, "d", 0755, &err), err);
    touch(dir, "d/x");
    CHECK(os_mkdirat(dir, "d/x", 0755, &err) != 0);
    CHECK_CODE(WEIR_NOTFOUND, os_mkdirat(dir, "none/x", 0755, &err), err);
    CHECK_OK(os_rmdirat(dir, "d", &removed, &err), err);
    CHECK(!removed);
    CHECK_OK(os_unlinkat(dir, "d/x", &err), err);
    CHECK_OK(os_rmdirat(dir, "d", &removed, &err), err);
    CHECK(removed);
    CHECK_OK(os_rmdirat(dir, "d", &removed, &err), err);
    CHECK(!removed);
}

static void test_list(int dir)
{
    static const char *const names[] = {"-first", ".dot", "B",        "a",
                                        "a.b",    "ab",   "\xc3\xa4", "\xff"};
    mem_arena arena;
    arena_init(&arena);
    os_entry *entries;
    size_t count;
    CHECK_OK(os_mkdirat(dir, "list", 0755, &err), err);
    CHECK_OK(os_list(dir, "list", &arena, &entries, &count, &err), err);
    CHECK_INT(0, count);
    for (size_t i = 8; i > 0; i--) touch(dir, arena_printf(&arena, "list/%s", names[i - 1]));
    CHECK_OK(os_list(dir, "list", &arena, &entries, &count, &err), err);
    CHECK_INT(8, count);
    for (size_t i = 0; i < count && i < 8; i++) CHECK_STR(names[i], entries[i].name);

    CHECK_OK(os_mkdirat(dir, "kinds", 0755, &err), err);
    CHECK_OK(os_mkdirat(dir, "kinds/dir", 0755, &err), err);
    touch(dir, "kinds/file");
    CHECK_OK(os_symlinkat("dir", dir, "kinds/link", &err), err);
    CHECK_INT(0, mkfifo(check_path("kinds/other"), 0600));
    CHECK_OK(os_list(dir, "kinds", &arena, &entries, &count, &err), err);
    CHECK_OR_STOP(count == 4);
    CHECK_INT(OS_DIR, entries[0].type);
    CHECK_INT(OS_FILE, entries[1].type);
    CHECK_INT(OS_LINK, entries[2].type);
    CHECK_INT(OS_OTHER, entries[3].type);

    CHECK_CODE(WEIR_NOTFOUND, os_list(dir, "none", &arena, &entries, &count, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, os_list(dir, "kinds/file", &arena, &entries, &count, &err), err);
    CHECK_INT(0, count);
    arena_deinit(&arena);
}

/* Fails every operation of a listing in turn: always an error, never a shorter list. */
static void test_list_with_faults(int dir)
{
    mem_arena arena;
    os_entry *entries;
    size_t count;
    for (int64_t n = 1; n < 100; n++) {
        arena_init(&arena);
        mem_fail_at(n, false);
        int rc = os_list(dir, "list", &arena, &entries, &count, &err);
        mem_fail_at(0, false);
        CHECK(rc == 0 ? count == 8 : rc == WEIR_NOMEM && count == 0);
        arena_deinit(&arena);
        if (rc == 0) return;
    }
    CHECK_NEVER("the listing never ran out of allocations to fail");
}

static void test_remove_tree(int dir)
{
    touch(dir, "outside/kept");
    touch(dir, "tree/a/b/c/file");
    touch(dir, "tree/a/file");
    touch(dir, "tree/.hidden");
    CHECK_OK(os_mkdirat(dir, "tree/empty", 0755, &err), err);
    CHECK_OK(os_symlinkat("../outside", dir, "tree/link", &err), err);
    CHECK_OK(os_symlinkat("nowhere", dir, "tree/dangling", &err), err);
    CHECK_OK(os_chmodat(dir, "tree/a/b", 0500, &err), err);
    CHECK_OK(os_chmodat(dir, "tree/empty", 0, &err), err);
    CHECK_OK(os_remove_tree(dir, "tree", &err), err);
    CHECK_INT(OS_ABSENT, type_of(dir, "tree"));
    CHECK_INT(OS_FILE, type_of(dir, "outside/kept"));
    CHECK_OK(os_remove_tree(dir, "tree", &err), err);
    CHECK_OK(os_remove_tree(dir, "outside/kept", &err), err);
    CHECK_OK(os_symlinkat("outside", dir, "to", &err), err);
    CHECK_OK(os_remove_tree(dir, "to", &err), err);
    CHECK_INT(OS_DIR, type_of(dir, "outside"));
}

static void test_remove_large_folder(int dir)
{
    char name[64];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "many/%d", i);
        touch(dir, name);
    }
    CHECK_OK(os_remove_tree(dir, "many", &err), err);
    CHECK_INT(OS_ABSENT, type_of(dir, "many"));
}

/* A deep tree holds a descriptor per level: more levels than that are refused, not half removed with a crash. */
static void test_remove_deep_tree(int dir)
{
    int at = os_openat(dir, ".", OS_READ | OS_FOLDER, 0, &err);
    for (int i = 0; i < 600; i++) {
        CHECK_OK(os_mkdirat(at, "deep", 0755, &err), err);
        int below = os_openat(at, "deep", OS_READ | OS_FOLDER, 0, &err);
        os_close(at);
        at = below;
    }
    os_close(at);
    CHECK_CODE(WEIR_LIMIT, os_remove_tree(dir, "deep", &err), err);
    CHECK_OK(os_renameat(dir, "deep/deep/deep/deep/deep", dir, "top", &err), err);
    at = os_openat(dir, "top", OS_READ | OS_FOLDER, 0, &err);
    for (int i = 0; i < 100; i++) {
        int below = os_openat(at, "deep", OS_READ | OS_FOLDER, 0, &err);
        os_close(at);
        at = below;
    }
    CHECK_OK(os_remove_tree(at, "deep", &err), err);
    os_close(at);
    CHECK_OK(os_remove_tree(dir, "top", &err), err);
    CHECK_OK(os_remove_tree(dir, "deep", &err), err);
}

static void test_remove_with_faults(int dir)
{
    for (int64_t n = 1; n < 6; n++) {
        touch(dir, "f/a/x");
        touch(dir, "f/y");
        os_fault_set(OS_OP_UNLINK, n, EIO, false);
        int rc = os_remove_tree(dir, "f", &err);
        os_fault_set(OS_OP_UNLINK, 0, 0, false);
        /* The first call on a folder is only a question; its answer does not matter. */
        CHECK(rc == WEIR_IO || type_of(dir, "f") == OS_ABSENT);
        os_fault_set(OS_OP_LIST, 1, EIO, false);
        if (type_of(dir, "f") == OS_DIR) CHECK_CODE(WEIR_IO, os_remove_tree(dir, "f", &err), err);
        os_fault_set(OS_OP_LIST, 0, 0, false);
        CHECK_OK(os_remove_tree(dir, "f", &err), err);
    }
}

int main(void)
{
    int dir = os_openat(AT_FDCWD, check_scratch(), OS_READ | OS_FOLDER, 0, &err);
    CHECK_OR_STOP(dir >= 0);
    test_make_parents(dir);
    test_make_and_remove_folder(dir);
    test_list(dir);
    test_list_with_faults(dir);
    test_remove_tree(dir);
    test_remove_large_folder(dir);
    test_remove_deep_tree(dir);
    test_remove_with_faults(dir);
    os_close(dir);
    return check_done();
}
