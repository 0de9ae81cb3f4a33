/*
 * test_lists.c - jobs that ask for members of long lists, with real workers: other frames come in between.
 */
#include "tests/engine/script/drive.h"

enum { COUNT = 3000 };

static job_member members[COUNT];
static char names[COUNT][16];

/* Its value: the sum of the numbers in the names. */
static int sum_run(const weir_host *host, weir_job *running)
{
    long sum = 0;
    size_t count = 0;
    int rc = host->input_count(running, "all", &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *name = NULL;
        size_t size;
        rc = host->input_part(running, "all", i, WEIR_PART_NAME, &name, &size);
        if (rc == 0) sum += strtol(name + 1, NULL, 10);
    }
    char text[32];
    snprintf(text, sizeof text, "%ld", sum);
    return rc == 0 ? host->value_json(running, text, strlen(text)) : rc;
}

static const weir_effect sum = {.size = sizeof sum, .name = "sum", .version = "1", .run = sum_run};
static const weir_effect *const effects[] = {&sum, NULL};

typedef struct seen {
    script_worker *worker;
    bool is_ready, is_dead;
    size_t reports, asked, count; /* `count`: members of the lists */
    uint64_t more;                /* orders that go out before the first answer */
    bool retires;                 /* so does the word to end */
    buf text;
    char how[160];
} seen;

static void send_jobs(seen *s, uint64_t first, size_t count)
{
    weir_error err = {0};
    job_input list = {.port = bytes_str("all"), .is_list = true, .count = s->count};
    job_order orders[4];
    for (size_t i = 0; i < count; i++)
        orders[i] = (job_order){.id = first + i, .node = bytes_str("n"), .effect = bytes_str("sum"), .kind = EFFECT_C,
                                .params = VALUE_EMPTY_OBJECT, .inputs = &list, .input_count = 1, .keep = true};
    CHECK_OK(script_worker_send(s->worker, orders, count, &err), err);
}

static void on_ready(void *ctx, script_worker *w)
{
    seen *s = ctx;
    (void)w;
    s->is_ready = true;
}

static void on_list(void *ctx, script_worker *w, const job_list_request *request, buf *answer)
{
    seen *s = ctx;
    (void)w;
    s->asked++;
    CHECK(request->port == 0 && request->from + request->count <= s->count);
    for (; s->more > 0; s->more--) send_jobs(s, 10 * s->more, 2);
    if (s->retires) script_worker_retire(s->worker);
    s->retires = false;
    job_list_answer_put(answer, &(job_list_answer){.members = members + request->from, .count = (size_t)request->count});
}

static void on_report(void *ctx, script_worker *w, const job_report *r)
{
    seen *s = ctx;
    (void)w;
    s->reports++;
    buf_printf(&s->text, "%llu %s ", (unsigned long long)r->id, r->ok ? "ok" : "failed");
    if (r->has_value) (void)value_to_json(r->value, 0, &s->text, NULL);
    buf_text(&s->text, "\n");
}

static void on_died(void *ctx, script_worker *w, uint64_t running, const uint64_t *unfinished, size_t count, const char *how)
{
    seen *s = ctx;
    (void)w, (void)running, (void)unfinished, (void)count;
    s->is_dead = true;
    snprintf(s->how, sizeof s->how, "%s", how);
}

static void until(drive *d, const bool *flag, const seen *s, size_t reports)
{
    int64_t end = os_monotonic_ns() + (int64_t)20 * 1000000000;
    while (!(flag ? *flag : s->reports >= reports) && !s->is_dead && os_monotonic_ns() < end) uv_run(&d->loop, UV_RUN_ONCE);
}

static void begin(drive *d, seen *s, size_t count)
{
    weir_error err = {0};
    *s = (seen){.count = count};
    buf_init(&s->text);
    worker_events events = {.ctx = s, .ready = on_ready, .report = on_report, .list = on_list, .died = on_died};
    drive_open(d, check_scratch());
    CHECK_INT(0, drive_start(d, NULL, 0, 0));
    CHECK_OK(script_worker_fork(d->host, &events, &s->worker, &err), err);
    until(d, &s->is_ready, s, 0);
}

static void end(drive *d, seen *s)
{
    if (!s->is_dead) script_worker_retire(s->worker);
    until(d, &s->is_dead, s, 0);
    buf_deinit(&s->text);
    drive_close(d);
}

/* What was on its way before the answer is done afterwards, in order, and asks in its turn. */
static void test_frames_in_between(void)
{
    drive d;
    seen s;
    begin(&d, &s, COUNT);
    s.more = 2;
    send_jobs(&s, 1, 1);
    until(&d, NULL, &s, 5);
    CHECK_HAS("1 ok 4498500\n20 ok 4498500\n21 ok 4498500\n10 ok 4498500\n11 ok 4498500\n", buf_cstr(&s.text));
    CHECK(s.asked >= 5 && s.asked <= 5 * 12);
    send_jobs(&s, 2, 1);
    until(&d, NULL, &s, 6);
    CHECK_HAS("2 ok 4498500\n", buf_cstr(&s.text));
    end(&d, &s);
}

/* Told to end while it asks: the job comes to its end, and so do those that it had. */
static void test_retired_while_asking(void)
{
    drive d;
    seen s;
    begin(&d, &s, 100);
    s.more = 1;
    s.retires = true;
    send_jobs(&s, 1, 1);
    until(&d, &s.is_dead, &s, 0);
    CHECK_HAS("1 ok 4950\n10 ok 4950\n11 ok 4950\n", buf_cstr(&s.text));
    CHECK_HAS("retired", s.how);
    end(&d, &s);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--script-host") == 0) return script_host_main(argc, argv, effects);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        members[i] = (job_member){.kind = MEMBER_NODE, .name = bytes_str(names[i]), .id = i + 1};
    }
    test_frames_in_between();
    test_retired_while_asking();
    return check_done();
}
