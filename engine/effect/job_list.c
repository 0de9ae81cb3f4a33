/*
 * job_list.c - long lists: their members come when they are looked at.
 *
 * The order of a job says how many members a long list has, and what their names hash to if that is known. A member that is looked at is asked
 * for, with those around it; who reads on gets twice as many each time. So an effect that takes one of 100,000 costs one of them, and one that
 * takes all asks a dozen times.
 *
 *     blocks   [ 0 ][ - ][ - ][ 3 ]...   JOB_LIST_BLOCK members each; NULL: not here yet
 *
 * L1  What came once stays: a member is the same for the whole job.
 * L2  A failure of an answer breaks the job: it is given back, whatever the effect makes of it.
 *
 * Worker processes only, one thread; the forms: any thread. Memory: the job's arena.
 */
#include "engine/effect/job_internal.h"

enum { STEP_MOST = 1024 }; /* blocks that are asked for together */

struct job_list {
    job_member **blocks;
    size_t next, step; /* the block behind the last answer, and how many that were asked for */
};

/* --- forms --------------------------------------------------------------------------------------------------------- */

void job_list_request_put(buf *b, const job_list_request *request)
{
    buf_put_u64(b, request->id);
    buf_put_u64(b, request->port);
    buf_put_u64(b, request->from);
    buf_put_u64(b, request->count);
}

int job_list_request_get(bytes from, job_list_request *request, weir_error *err)
{
    unpack u = unpack_of(from);
    request->id = unpack_u64(&u);
    request->port = unpack_u64(&u);
    request->from = unpack_u64(&u);
    request->count = unpack_u64(&u);
    return unpack_done(&u) ? 0 : error_set(err, WEIR_CORRUPT, "a request of a worker is damaged");
}

void job_list_answer_put(buf *b, const job_list_answer *answer)
{
    buf_put_u64(b, answer->is_failure);
    buf_put_bytes(b, answer->failure);
    buf_put_u64(b, answer->count);
    for (size_t i = 0; i < answer->count; i++) job_member_put(b, &answer->members[i]);
}

int job_list_answer_get(bytes from, mem_arena *arena, job_list_answer *answer, weir_error *err)
{
    unpack u = unpack_of(from);
    *answer = (job_list_answer){.is_failure = unpack_u64(&u) != 0};
    answer->failure = unpack_bytes(&u);
    answer->count = unpack_count(&u);
    answer->members = u.failed ? NULL : arena_zero(arena, answer->count + 1, sizeof *answer->members);
    for (size_t i = 0; answer->members && i < answer->count && !u.failed; i++) job_member_get(&u, arena, &answer->members[i]);
    if (!u.failed && !answer->members) return error_nomem(err, "decoding a frame");
    return unpack_done(&u) ? 0 : error_set(err, WEIR_CORRUPT, "an answer to a worker is damaged");
}

/* --- asking -------------------------------------------------------------------------------------------------------- */

static size_t block_count(const job_input *input)
{
    return (input->count + JOB_LIST_BLOCK - 1) / JOB_LIST_BLOCK;
}

static struct job_list *list_at(job *j, size_t port)
{
    const job_input *input = &j->order->inputs[port];
    if (!j->lists) j->lists = arena_zero(&j->arena, j->order->input_count, sizeof *j->lists);
    if (!j->lists) return NULL;
    struct job_list *l = &j->lists[port];
    if (!l->blocks) l->blocks = arena_zero(&j->arena, block_count(input), sizeof *l->blocks);
    return l->blocks ? l : NULL;
}

/* From this block on: as many as seem to be wanted and are not here yet. */
static job_list_request request_from(job *j, size_t port, struct job_list *l, size_t block)
{
    const job_input *input = &j->order->inputs[port];
    size_t blocks = block_count(input), end = block + 1;
    l->step = l->step == 0 || block != l->next ? 1 : l->step < STEP_MOST ? l->step * 2 : STEP_MOST;
    while (end < blocks && end - block < l->step && !l->blocks[end]) end++;
    size_t from = block * JOB_LIST_BLOCK, to = end * JOB_LIST_BLOCK;
    return (job_list_request){.id = j->order->id, .port = port, .from = from, .count = (to < input->count ? to : input->count) - from};
}

/* The engine may send fewer, in whole blocks, but not none. */
static bool is_sound(const job_list_request *request, const job_list_answer *answer)
{
    if (answer->count == 0 || answer->count > request->count) return false;
    return answer->count == request->count || answer->count % JOB_LIST_BLOCK == 0;
}

static int ask(job *j, const job_list_request *request, job_list_answer *answer)
{
    bytes packed = {NULL, 0};
    if (j->is_list_lost) return error_set(&j->error, WEIR_FAILED, "%s", j->why_broken);
    if (!j->order->list) return error_set(&j->error, WEIR_BUG, "members of a list cannot be asked for here");
    int64_t before = os_monotonic_ns();
    int rc = j->order->list(j->order->ask_ctx, request, &j->arena, &packed, &j->error);
    j->started_ns += os_monotonic_ns() - before; /* waiting is not the effect's time */
    if (rc == 0) rc = job_list_answer_get(packed, &j->arena, answer, &j->error);
    if (rc != 0) return rc;
    if (answer->is_failure) return error_set(&j->error, WEIR_FAILED, "%.*s", (int)answer->failure.size, (const char *)answer->failure.data);
    return is_sound(request, answer) ? 0 : error_set(&j->error, WEIR_CORRUPT, "an answer of the engine cannot be read");
}

static int fetch(job *j, size_t port, struct job_list *l, size_t block)
{
    job_list_request request = request_from(j, port, l, block);
    job_list_answer answer;
    int rc = ask(j, &request, &answer);
    if (rc != 0) {
        j->is_list_lost = true;
        job_by_chance(j);
        return job_broken(j, rc);
    }
    for (size_t at = 0; at < answer.count; at += JOB_LIST_BLOCK) l->blocks[block++] = answer.members + at;
    l->next = block;
    return 0;
}

const job_member *job_list_member(job *j, size_t port, size_t member)
{
    size_t block = member / JOB_LIST_BLOCK;
    struct job_list *l = list_at(j, port);
    if (!l) {
        (void)job_failed(j, error_nomem(&j->error, "reading a list"));
        return NULL;
    }
    if (!l->blocks[block] && fetch(j, port, l, block) != 0) return NULL;
    return &l->blocks[block][member % JOB_LIST_BLOCK];
}
