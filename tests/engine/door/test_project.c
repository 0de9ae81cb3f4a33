/* test_project.c - the project is found upwards, and paths mean what they mean from where one stands. */
#include "engine/door/project.h"
#include "tests/check.h"

static weir_error err;

static void make_folder(const char *name)
{
    CHECK_INT(0, mkdir(check_path(name), 0755));
}

static void found(void)
{
    project p;
    CHECK_OK(project_find(&p, &(options){.folder = check_path("a/b/c")}, &err), err);
    CHECK_STR(check_path("a"), p.root);
    CHECK_STR("weir.lua", p.workflow);
    CHECK_STR("b/c/", p.prefix);
    CHECK(p.has_workflow);
    char *path = project_path(&p, "../x.html");
    CHECK_STR("b/x.html", path);
    mem_free(path);
    path = project_path(&p, "./y//./z");
    CHECK_STR("b/c/y/z", path);
    mem_free(path);
    path = project_path(&p, "../../../out");
    CHECK(path == NULL);
    path = project_path(&p, check_path("a/abs"));
    CHECK_STR("abs", path);
    mem_free(path);
    project_deinit(&p);
}

static void other_definition(void)
{
    project p;
    CHECK_OK(project_find(&p, &(options){.folder = check_path("a/b"), .file = "small.lua"}, &err), err);
    CHECK_STR(check_path("a/b"), p.root); /* the nearest folder that has it */
    CHECK_STR("small.lua", p.workflow);
    project_deinit(&p);
    CHECK_OK(project_find(&p, &(options){.folder = check_path("a"), .file = "b/small.lua"}, &err), err);
    CHECK_STR("b/small.lua", p.workflow);
    CHECK(p.has_workflow);
    project_deinit(&p);
    CHECK_OK(project_find(&p, &(options){.folder = check_path("a"), .file = "none.lua"}, &err), err);
    CHECK(!p.has_workflow);
    project_deinit(&p);
    CHECK_CODE(WEIR_USAGE, project_find(&p, &(options){.folder = check_path("a"), .file = check_path("outside.lua")}, &err), err);
    project_deinit(&p);
}

static void state_alone(void)
{
    project p;
    CHECK_OK(project_find(&p, &(options){.folder = check_path("s/t")}, &err), err);
    CHECK_STR(check_path("s"), p.root);
    CHECK(!p.has_workflow);
    CHECK_HAS("s/.weir/weir.db", p.db_path);
    project_deinit(&p);
}

static void missing(void)
{
    project p;
    CHECK_CODE(WEIR_NOTFOUND, project_find(&p, &(options){.folder = "/"}, &err), err);
    CHECK_HAS("there is no weir.lua in /", err.message);
    project_deinit(&p);
    CHECK(project_find(&p, &(options){.folder = check_path("nowhere")}, &err) != 0);
    project_deinit(&p);
}

int main(void)
{
    check_scratch();
    make_folder("a");
    make_folder("a/b");
    make_folder("a/b/c");
    make_folder("s");
    make_folder("s/t");
    make_folder("s/.weir");
    check_write(check_path("a/weir.lua"), "");
    check_write(check_path("a/b/small.lua"), "");
    check_write(check_path("outside.lua"), "");
    found();
    other_definition();
    state_alone();
    missing();
    return check_done();
}
