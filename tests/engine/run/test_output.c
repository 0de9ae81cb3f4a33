/*
 * test_output.c - outputs on disk: placed, kept, restored, removed.
 */
#include "tests/engine/run/output_world.h"

static const char *const PATHS[] = {"out/deep/a", "out/b"};

static hash128 of(const char *text, uint32_t mode)
{
    return scan_fingerprint(hash_bytes(text, strlen(text)), mode);
}

/* As an execution does it: the payload into the store, the file to its place, the result. */
static int place(world *o, size_t port, const char *text, uint32_t mode, weir_error *err)
{
    static uint64_t execution;
    weir *w = &o->w;
    cat_item *item = world_item(o, PATHS[port]);
    hash128 hash = of(text, mode);
    world_write(o, ".weir/tmp/t", text, 0600);
    scan_request r = {.content = hash_bytes(text, strlen(text)), .mode = mode};
    CHECK_OK(blob_row_make(bytes_str(text), r.content, &r.row, err), *err);
    CHECK_OK(output_keep_payload(w, &r, err), *err);
    int rc = output_place(w, item, ".weir/tmp/t", hash, strlen(text), mode, 1, err);
    if (rc != 0) return rc;
    output_record made = {.port = (uint32_t)port, .item = item->id, .hash = hash, .size = strlen(text), .mode = mode};
    world_finished(o, ++execution, &made);
    return 0;
}

static int restore(world *o, size_t port, const char *text, uint32_t mode, bool *written, weir_error *err)
{
    cat_item *item = world_item(o, PATHS[port]);
    output_record want = {.item = item->id, .hash = of(text, mode), .size = strlen(text), .mode = mode};
    int rc = output_restore(&o->w, item, &want, 1, written, err);
    if (rc == 0) catalog_wrote(o->w.catalog, &want);
    return rc;
}

static bool is_good(world *o, size_t port)
{
    bool good = false;
    weir_error err = {0};
    CHECK_OK(output_is_good(&o->w, world_item(o, PATHS[port]), &good, &err), err);
    return good;
}

static void test_place(world *o)
{
    weir_error err = {0};
    CHECK(!is_good(o, 0));
    CHECK_OK(place(o, 0, "one", 0644, &err), err);
    CHECK_STR("one", world_read(o, PATHS[0]));
    CHECK_INT(0644, world_stat(o, PATHS[0]).mode);
    CHECK_INT(2, world_ask(o, "SELECT count(*) FROM folder"));
    CHECK(is_good(o, 0));

    uint64_t ino = world_stat(o, PATHS[0]).ino;
    CHECK_OK(place(o, 0, "one", 0644, &err), err);
    CHECK_INT(ino, world_stat(o, PATHS[0]).ino); /* an equal old file stays */
    CHECK_INT(OS_ABSENT, world_stat(o, ".weir/tmp/t").type);
    CHECK_OK(place(o, 0, "one", 0640, &err), err);
    CHECK(world_stat(o, PATHS[0]).ino != ino); /* another mode */
    CHECK_INT(0640, world_stat(o, PATHS[0]).mode);

    CHECK_OK(place(o, 0, "two", 0644, &err), err);
    CHECK_STR("two", world_read(o, PATHS[0]));
    CHECK_STR("", world_said(o)); /* it was weir's own */
    CHECK_INT(0, world_ask(o, "SELECT count(*) FROM event WHERE kind = 15"));
}

static void test_foreign(world *o)
{
    bool written;
    weir_error err = {0};
    world_write(o, PATHS[0], "by hand", 0644);
    CHECK(!is_good(o, 0));
    CHECK_OK(restore(o, 0, "two", 0644, &written, &err), err);
    CHECK(written);
    CHECK_STR("two", world_read(o, PATHS[0]));
    CHECK(world_has(o, "by hand"));
    CHECK_HAS("out/deep/a was changed by hand; kept: weir get ", world_said(o));
    CHECK_INT(1, world_ask(o, "SELECT count(*) FROM event WHERE kind = 15"));
    buf_clear(&o->messages);

    CHECK_OK(restore(o, 0, "two", 0644, &written, &err), err);
    CHECK(!written);
    CHECK_OK(restore(o, 0, "one", 0644, &written, &err), err); /* a revert: what is there is weir's */
    CHECK_STR("one", world_read(o, PATHS[0]));
    CHECK_STR("", world_said(o));

    world_write(o, PATHS[0], "placed over", 0644);
    CHECK_OK(place(o, 0, "three", 0644, &err), err);
    CHECK(world_has(o, "placed over"));
    CHECK_HAS("changed by hand", world_said(o));
    buf_clear(&o->messages);
}

/* What was a source, unchanged since weir saw it, is still the user's. */
static void test_source_before(world *o)
{
    weir_error err = {0};
    cat_item *item = world_item(o, PATHS[1]);
    world_write(o, PATHS[1], "a source", 0644);
    catalog_observe(o->w.catalog, item, of("a source", 0644), 8, 0644);
    CHECK_OK(place(o, 1, "made", 0644, &err), err);
    CHECK(world_has(o, "a source"));
    CHECK_HAS("out/b", world_said(o));
    CHECK_STR("made", world_read(o, PATHS[1]));
    buf_clear(&o->messages);
}

static void test_executable(world *o)
{
    bool written;
    hash128 content;
    weir_error err = {0};
    CHECK_OK(place(o, 1, "#!", 0755, &err), err);
    CHECK_OK(output_blob_of(&o->w, of("#!", 0755), 0755, &content, &err), err);
    CHECK(hash_equal(of("#!", 0644), content));
    CHECK_OK(os_unlinkat(o->w.rootfd, PATHS[1], &err), err);
    CHECK(!is_good(o, 1));
    CHECK_OK(restore(o, 1, "#!", 0755, &written, &err), err);
    CHECK(written);
    CHECK_INT(0755, world_stat(o, PATHS[1]).mode);
    CHECK_STR("#!", world_read(o, PATHS[1]));
    CHECK_CODE(WEIR_NOTFOUND, restore(o, 1, "unknown", 0755, &written, &err), err);
    CHECK_CODE(WEIR_NOTFOUND, restore(o, 1, "unknown", 0644, &written, &err), err);
    CHECK_STR("#!", world_read(o, PATHS[1]));
    char temp[40];
    snprintf(temp, sizeof temp, ".weir/tmp/r%d", (int)world_item(o, PATHS[1])->id);
    CHECK_INT(OS_ABSENT, world_stat(o, temp).type);
}

static void test_links_and_folders(world *o)
{
    weir_error err = {0};
    CHECK_OK(os_unlinkat(o->w.rootfd, PATHS[1], &err), err);
    CHECK_OK(os_symlinkat("nowhere/at/all", o->w.rootfd, PATHS[1], &err), err);
    CHECK_OK(place(o, 1, "over a link", 0644, &err), err);
    CHECK(world_has(o, "nowhere/at/all"));
    CHECK_INT(OS_FILE, world_stat(o, PATHS[1]).type);
    buf_clear(&o->messages);

    CHECK_OK(os_unlinkat(o->w.rootfd, PATHS[1], &err), err);
    CHECK_OK(os_mkdirat(o->w.rootfd, PATHS[1], 0777, &err), err);
    world_write(o, "out/b/mine", "mine", 0644);
    CHECK_CODE(WEIR_FAILED, place(o, 1, "over a folder", 0644, &err), err);
    CHECK_STR("mine", world_read(o, "out/b/mine"));
    CHECK_OK(os_unlinkat(o->w.rootfd, "out/b/mine", NULL), err);
    CHECK_HAS("out/b is a folder", err.message);
    bool removed;
    error_clear(&err);
    CHECK_OK(os_rmdirat(o->w.rootfd, PATHS[1], &removed, &err), err);
    CHECK_OK(place(o, 1, "b", 0644, &err), err);
}

static void test_vanished(world *o)
{
    weir_error err = {0};
    CHECK_OK(place(o, 0, "a", 0644, &err), err);
    world_write(o, PATHS[1], "mine now", 0644);
    buf_clear(&o->messages);
    WORLD_SAY(o, node_removed, NODE_REMOVED, .node = 1);
    for (size_t i = 0; i < 2; i++) world_item(o, PATHS[i])->node = 0;
    bool gone = false;
    CHECK_OK(output_remove_vanished(&o->w, &gone, &err), err);
    CHECK(gone);
    CHECK_INT(OS_ABSENT, world_stat(o, PATHS[0]).type);
    CHECK_INT(OS_ABSENT, world_stat(o, "out/deep").type);
    CHECK_STR("mine now", world_read(o, PATHS[1])); /* changed by hand: left, and its folder with it */
    CHECK(world_has(o, "a"));
    CHECK_INT(1, o->summary.removed);
    CHECK_HAS("out/deep/a was removed", world_said(o));
    CHECK_HAS("out/b is left", world_said(o));
    CHECK_INT(1, world_ask(o, "SELECT count(*) FROM vanished_output"));
    CHECK_INT(1, world_ask(o, "SELECT count(*) FROM folder"));

    CHECK_OK(os_unlinkat(o->w.rootfd, PATHS[1], &err), err);
    gone = false;
    CHECK_OK(output_remove_vanished(&o->w, &gone, &err), err);
    CHECK(gone); /* by hand: whoever read it does not know that either */
    CHECK_OK(output_remove_vanished(&o->w, &gone, &err), err);
    CHECK(!gone);
    CHECK_INT(0, world_ask(o, "SELECT count(*) FROM vanished_output"));
    CHECK_INT(OS_ABSENT, world_stat(o, "out").type);
    CHECK_INT(1, o->summary.removed);
}

int main(void)
{
    world o;
    world_open(&o, check_scratch());
    world_declare(&o, PATHS, 2);
    test_place(&o);
    test_foreign(&o);
    test_source_before(&o);
    test_executable(&o);
    test_links_and_folders(&o);
    test_vanished(&o);
    world_close(&o);
    return check_done();
}
