/*
 * test_run.c - runs of a graph that is declared from C: commands only, no Lua.
 */
#include "engine/weir.h"
#include "tests/check.h"

typedef struct seen {
    char ran[1000]; /* names of nodes that ran, blank-separated */
    char last_reason[40], last_name[200];
} seen;

static void listen(void *ctx, const weir_event *e)
{
    seen *s = ctx;
    if (e->kind == WEIR_EVENT_FINISHED) {
        strncat(s->ran, e->node, sizeof s->ran - strlen(s->ran) - 1);
        strncat(s->ran, strcmp(e->outcome, "failed") == 0 ? "! " : " ", sizeof s->ran - strlen(s->ran) - 1);
        if (e->reason_count) snprintf(s->last_reason, sizeof s->last_reason, "%s", e->reasons[0].reason);
        if (e->reason_count) snprintf(s->last_name, sizeof s->last_name, "%s", e->reasons[0].name);
        if (strcmp(e->outcome, "failed") == 0) fprintf(stderr, "  (%s failed: %s)\n", e->node, e->message);
    }
    if (e->kind == WEIR_EVENT_MESSAGE) fprintf(stderr, "  (%s)\n", e->message);
    if (e->kind == WEIR_EVENT_DIAGNOSTIC) fprintf(stderr, "  (%s)\n", e->diagnostic->message);
}

static void declare(weir *w)
{
    weir_error err = {0};
    static const char *const upper[] = {"sh", "-c", "tr a-z A-Z < a.txt > out/A.txt", NULL};
    static const char *const join[] = {"sh", "-c", "cat {{parts}} > {{to}}", NULL};
    (void)join;
    weir_ref a = {.file = "a.txt"};
    weir_node_input in = {.port = "from", .refs = &a, .count = 1};
    weir_node_output out = {"to", "out/A.txt"};
    CHECK_OK(weir_declare(w, &(weir_node){.size = sizeof(weir_node), .name = "upper", .effect = "sh", .inputs = &in, .input_count = 1,
                                          .outputs = &out, .output_count = 1, .command = upper}, NULL, &err), err);
    weir_ref parts[] = {{.node = "upper"}, {.file = "b.txt"}};
    weir_node_input in2 = {.port = "parts", .refs = parts, .count = 2, .is_list = 1};
    weir_node_output out2 = {"to", "out/all.txt"};
    CHECK_OK(weir_declare(w, &(weir_node){.size = sizeof(weir_node), .name = "all", .effect = "sh", .inputs = &in2, .input_count = 1,
                                          .outputs = &out2, .output_count = 1, .shell = "cat {{parts}} > {{to}}"}, NULL, &err), err);
}

static int run(const char *dir, seen *s, weir_summary *sum, unsigned flags)
{
    weir_error err = {0};
    weir *w = NULL;
    *s = (seen){0};
    weir_options o = {.size = sizeof o, .root = dir, .listener = listen, .listener_ctx = s};
    if (!CHECK_OK(weir_open(&w, &o, &err), err)) return -100;
    declare(w);
    weir_request r = {.size = sizeof r, .jobs = 2, .flags = flags};
    int rc = weir_run(w, &r, sum, &err);
    if (rc != 0) fprintf(stderr, "  (run: %s)\n", err.message);
    weir_close(w);
    return rc;
}

/* Before it begins: nothing is looked at, no run is recorded, and what has changed is found by the next one. */
static void test_interrupt(const char *dir)
{
    seen s = {0};
    weir_summary sum;
    weir_error err = {0};
    weir *w = NULL;
    weir_options o = {.size = sizeof o, .root = dir, .listener = listen, .listener_ctx = &s};
    weir_request r = {.size = sizeof r, .jobs = 2};
    check_write("a.txt", "interrupted\n");
    if (!CHECK_OK(weir_open(&w, &o, &err), err)) return;
    declare(w);
    weir_interrupt(w);
    CHECK_CODE(WEIR_CANCELLED, weir_run(w, &r, &sum, &err), err);
    CHECK_INT(1, sum.interrupted);
    CHECK_INT(0, sum.counters.files_stated);
    CHECK_INT(0, sum.run);
    CHECK_STR("", s.ran);
    CHECK_OK(weir_run(w, &r, &sum, &err), err);
    CHECK_STR("upper all ", s.ran);
    weir_close(w);
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
}

static void content(const char *path, char text[100])
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, 99, f) : 0;
    text[n] = '\0';
    if (f) fclose(f);
}

int main(void)
{
    const char *dir = check_scratch();
    char text[100];
    seen s;
    weir_summary sum;
    CHECK_OR_STOP(chdir(dir) == 0);
    check_write("a.txt", "hello\n");
    check_write("b.txt", "world\n");

    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("upper all ", s.ran);
    CHECK_INT(2, sum.ran);
    content("out/all.txt", text);
    CHECK_STR("HELLO\nworld\n", text);

    usleep(30000); /* what was written within a tick of its observation is read once more */
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
    CHECK_INT(0, sum.counters.files_hashed);
    CHECK_INT(0, sum.counters.nodes_visited);

    check_write("b.txt", "there\n");
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("all ", s.ran);
    CHECK_STR("input-changed", s.last_reason);
    CHECK_STR("b.txt", s.last_name);
    content("out/all.txt", text);
    CHECK_STR("HELLO\nthere\n", text);

    check_write("b.txt", "world\n"); /* back: restored */
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
    CHECK_INT(1, sum.restored);
    content("out/all.txt", text);
    CHECK_STR("HELLO\nworld\n", text);

    check_write("a.txt", "HELLO\n"); /* other content, same output: cut off */
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("upper ", s.ran);
    CHECK_INT(1, sum.cut_off);

    unlink("out/A.txt");
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
    CHECK_INT(1, sum.restored);

    check_write("out/all.txt", "by hand\n");
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
    content("out/all.txt", text);
    CHECK_STR("HELLO\nworld\n", text);

    CHECK_INT(0, run(dir, &s, &sum, WEIR_RUN_FORCE));
    CHECK_STR("upper all ", s.ran);
    CHECK_INT(0, run(dir, &s, &sum, 0));
    CHECK_STR("", s.ran);
    CHECK_INT(0, sum.counters.nodes_visited);
    test_interrupt(dir);
    return check_done();
}
