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

/* --- a long list: members come when they are looked at ---------------------------------------------------------------- */

static size_t asked, sent_most, came; /* questions; members in an answer at most; members that came */
static uint64_t lost_from;            /* this member does not come, nor do those behind it */

static int answer_list(void *ctx, const job_list_request *request, mem_arena *arena, bytes *answer, weir_error *e)
{
    buf packed;
    (void)ctx;
    CHECK_INT(5, request->id);
    CHECK_INT(0, request->port);
    CHECK_INT(0, request->from % JOB_LIST_BLOCK);
    CHECK(request->count > 0 && request->from + request->count <= COUNT);
    asked++;
    size_t count = request->count < sent_most ? (size_t)request->count : sent_most;
    job_list_answer a = {.members = members + request->from, .count = count};
    if (request->from + count > lost_from) a = (job_list_answer){.is_failure = true, .failure = bytes_str("it is gone")};
    came += a.count;
    buf_init(&packed);
    job_list_answer_put(&packed, &a);
    *answer = arena_bytes(arena, buf_bytes(&packed));
    buf_deinit(&packed);
    return answer->data ? 0 : error_nomem(e, "answering");
}

/* The order as a worker has it: through its packed form. */
static job *begin_long(mem_arena *arena, job_order *got, hash128 known)
{
    buf packed;
    job *j = NULL;
    job_input long_list = {.port = bytes_str("all"), .is_list = true, .count = COUNT, .names = known};
    job_order long_order = {.id = 5, .kind = EFFECT_C, .inputs = &long_list, .input_count = 1, .keep = true};
    asked = came = 0;
    sent_most = lost_from = COUNT;
    arena_init(arena);
    buf_init(&packed);
    job_order_put(&packed, &long_order);
    bytes copy = arena_bytes(arena, buf_bytes(&packed));
    buf_deinit(&packed);
    CHECK_OK(job_order_get(copy, arena, got, &err), err);
    got->list = answer_list;
    CHECK_OK(job_new(&j, got, rootfd, &err), err);
    return j;
}

static void end_long(job *j, mem_arena *arena, job_report *r)
{
    job_finish(j, NULL, r);
    job_free(j);
    arena_deinit(arena);
}

static void test_one_of_many(void)
{
    mem_arena arena;
    job_order got;
    job_report r;
    size_t count = 0;
    job *j = begin_long(&arena, &got, names_hash);
    CHECK_INT(0, job_read_names(j, 0, &count));
    CHECK_INT(COUNT, count);
    CHECK_INT(0, asked);
    const job_member *last = job_member_at(j, 0, COUNT - 1);
    CHECK(last && last->id == members[COUNT - 1].id && bytes_equal(last->name, members[COUNT - 1].name));
    CHECK(job_member_at(j, 0, COUNT - 1) == last);
    CHECK_INT(1, asked);
    CHECK(came <= JOB_LIST_BLOCK);
    CHECK(job_member_at(j, 0, COUNT) == NULL);
    CHECK_HAS("has 1000 members, number 1000 was asked for", job_error(j));
    job_finish(j, NULL, &r);
    CHECK(r.ok);
    CHECK_HASH(names_hash, r.reads[0].hash);
    end_long(j, &arena, &r);
}

/* Who reads on asks ever more at once; nothing comes twice, also around what is here already. */
static void test_all_of_many(void)
{
    mem_arena arena;
    job_order got;
    job_report r;
    job *j = begin_long(&arena, &got, HASH_NONE);
    CHECK(job_member_at(j, 0, 500) != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        const job_member *m = job_member_at(j, 0, i);
        CHECK(m && m->id == members[i].id);
    }
    CHECK_INT(COUNT, came);
    CHECK(asked <= 16);
    end_long(j, &arena, &r);
    CHECK(r.ok);
}

static void test_names_are_hashed_here(void)
{
    mem_arena arena;
    job_order got;
    job_report r;
    size_t count;
    job *j = begin_long(&arena, &got, HASH_NONE);
    sent_most = JOB_LIST_BLOCK; /* the engine sends less than it was asked for */
    CHECK_INT(0, job_read_names(j, 0, &count));
    CHECK_INT(COUNT, came);
    job_finish(j, NULL, &r);
    CHECK_INT(1, r.read_count);
    CHECK_HASH(names_hash, r.reads[0].hash);
    end_long(j, &arena, &r);
}

/* A member does not come: the job cannot succeed, it is no failure that is remembered, and nobody asks again. */
static void test_lost_member(void)
{
    mem_arena arena;
    job_order got;
    job_report r;
    bytes content;
    job *j = begin_long(&arena, &got, names_hash);
    lost_from = 700;
    CHECK(job_member_at(j, 0, 3) != NULL);
    CHECK(job_member_at(j, 0, 704) == NULL);
    CHECK_INT(2, asked);
    CHECK(job_member_at(j, 0, 900) == NULL);
    CHECK_HAS("it is gone", job_error(j));
    CHECK(job_read_file(j, bytes_str("a"), &content) != 0); /* whether a list has it cannot be told */
    CHECK_INT(2, asked);
    job_finish(j, NULL, &r);
    CHECK(!r.ok);
    CHECK(!r.known);
    CHECK_HAS("it is gone", (const char *)r.message.data);
    end_long(j, &arena, &r);
}

static void test_wrong_answers(void)
{
    mem_arena arena;
    job_order got;
    job_report r;
    for (size_t wrong = 0; wrong < JOB_LIST_BLOCK; wrong += JOB_LIST_BLOCK - 1) {
        job *j = begin_long(&arena, &got, names_hash);
        sent_most = wrong;
        CHECK(job_member_at(j, 0, 0) == NULL);
        CHECK_HAS("cannot be read", job_error(j));
        end_long(j, &arena, &r);
    }
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OR_STOP(rootfd >= 0);
    make_members();
    test_length_is_read_once();
    test_needed_are_counted();
    test_one_of_many();
    test_all_of_many();
    test_names_are_hashed_here();
    test_lost_member();
    test_wrong_answers();
    close(rootfd);
    return check_done();
}
