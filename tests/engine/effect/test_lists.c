/* test_lists.c - lists as a job sees them: how long they are, what is read of them. */
#include "engine/effect/job.h"
#include "engine/store/read.h"
#include "tests/check.h"

enum { COUNT = 1000 };

static int rootfd = -1;
static weir_error err;
static job_member members[COUNT];
static job_input list = {.is_list = true, .members = members, .count = COUNT};
static job_order order = {.id = 5, .kind = EFFECT_C, .inputs = &list, .input_count = 1, .keep = true};
static char names[COUNT][16];
static hash128 names_hash;

static void make_members(void)
{
    bytes all[COUNT];
    list.port = bytes_str("all");
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "n[id=%zu]", i);
        all[i] = bytes_str(names[i]);
        members[i] = (job_member){.kind = MEMBER_NODE, .name = all[i], .id = 100 + i};
    }
    names_hash = read_names_hash(all, COUNT);
}

/* A loop asks at every step. */
static void test_length_is_read_once(void)
{
    job *j = NULL;
    job_report r;
    size_t count = 0;
    CHECK_OK(job_new(&j, &order, rootfd, &err), err);
    CHECK_INT(0, job_read_names(j, 0, &count));
    size_t used = job_memory(j)->used;
    for (int i = 0; i < COUNT; i++) CHECK_INT(0, job_read_names(j, 0, &count));
    CHECK_INT(COUNT, count);
    CHECK_INT(used, job_memory(j)->used);
    job_finish(j, NULL, &r);
    CHECK_INT(1, r.read_count);
    CHECK_INT(ASPECT_NAMES, r.reads[0].ref.aspect);
    CHECK_HASH(names_hash, r.reads[0].hash);
    job_free(j);
}

/* --- what was needed is a list behind the declared inputs ------------------------------------------------------------- */

static int answer_need(void *ctx, const job_request *request, mem_arena *arena, bytes *answer, weir_error *e)
{
    job_needed needed[2] = {{.kind = NEEDED_NODE, .item = 7, .text = bytes_str(""), .member = members[1]},
                            {.kind = NEEDED_NODE, .item = 8, .text = bytes_str(""), .member = members[2]}};
    buf packed;
    (void)ctx;
    buf_init(&packed);
    CHECK_INT(2, request->count);
    job_answer_put(&packed, &(job_answer){.list = needed, .count = 2});
    *answer = arena_bytes(arena, buf_bytes(&packed));
    buf_deinit(&packed);
    return answer->data ? 0 : error_nomem(e, "answering");
}

static int run_need(const weir_host *host, weir_job *j)
{
    const char *both[] = {"n[id=1]", "n[id=2]"}, *port = NULL;
    size_t count = 0;
    int rc = host->need(j, both, 2, &port);
    if (rc == 0) rc = host->input_count(j, port, &count);
    CHECK_INT(2, count);
    CHECK(host->input_present(j, port));
    return rc;
}

static void test_needed_are_counted(void)
{
    static const weir_effect effect = {.size = sizeof effect, .name = "needs", .version = "1", .run = run_need};
    registry_entry entry = {.effect = &effect, .library = bytes_str("")};
    job_order alone = {.id = 6, .kind = EFFECT_C, .keep = true, .need = answer_need};
    job *j = NULL;
    job_report r;
    CHECK_OK(job_perform(&entry, &alone, rootfd, &j, &r, &err), err);
    CHECK(r.ok);
    CHECK_INT(2, r.read_count); /* the two nodes; that they were counted follows from that */
    job_free(j);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OR_STOP(rootfd >= 0);
    make_members();
    test_length_is_read_once();
    test_needed_are_counted();
    close(rootfd);
    return check_done();
}
