/*
 * job_need.c - nodes and files that an effect asks for while it runs: i:need in Lua, weir_host.need in C.
 *
 * The worker asks the engine and waits; what comes back is appended to the inputs of the job, as ports behind the declared ones. What
 * was needed is recorded as one group: of a node everything that it made, of a file its content. Looking at a needed node
 * through its port adds nothing to the record; it is only checked that it is still what the engine said.
 *
 * The failure of an answer breaks the job: it fails, or is given back, whatever the effect makes of it.
 *
 * Worker processes only, one thread; the forms: any thread.
 */
#include "engine/effect/job_internal.h"

enum { NAMES_MOST = 100000 };

/* --- forms --------------------------------------------------------------------------------------------------------- */

void job_request_put(buf *b, const job_request *request)
{
    buf_put_u64(b, request->id);
    buf_put_u64(b, request->count);
    for (size_t i = 0; i < request->count; i++) {
        buf_put_bytes(b, request->names[i]);
        buf_byte(b, 0);
    }
}

int job_request_get(bytes from, mem_arena *arena, job_request *request, weir_error *err)
{
    unpack u = unpack_of(from);
    *request = (job_request){.id = unpack_u64(&u)};
    size_t count = unpack_count(&u);
    request->names = u.failed ? NULL : arena_zero(arena, count + 1, sizeof *request->names);
    for (size_t i = 0; request->names && i < count; i++) {
        request->names[i] = unpack_bytes(&u);
        if (unpack_u64(&u) != 0) u.failed = true;
    }
    request->count = count;
    if (!u.failed && !request->names) return error_nomem(err, "decoding a frame");
    return unpack_done(&u) ? 0 : error_set(err, WEIR_CORRUPT, "a request of a worker is damaged");
}

void job_answer_put(buf *b, const job_answer *answer)
{
    buf_put_u64(b, answer->is_failure);
    buf_put_bytes(b, answer->failure);
    buf_put_u64(b, answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        const job_needed *n = &answer->list[i];
        buf_put_u64(b, n->kind);
        buf_put_u64(b, n->item);
        buf_put_hash(b, n->hash);
        buf_put_bytes(b, n->text);
        buf_byte(b, 0);
        if (n->kind == NEEDED_NODE) job_member_put(b, &n->member);
    }
}

int job_answer_get(bytes from, mem_arena *arena, job_answer *answer, weir_error *err)
{
    unpack u = unpack_of(from);
    *answer = (job_answer){.is_failure = unpack_u64(&u) != 0};
    answer->failure = unpack_bytes(&u);
    answer->count = unpack_count(&u);
    answer->list = u.failed ? NULL : arena_zero(arena, answer->count + 1, sizeof *answer->list);
    for (size_t i = 0; answer->list && i < answer->count && !u.failed; i++) {
        job_needed *n = &answer->list[i];
        n->kind = (needed_kind)unpack_u64(&u);
        n->item = unpack_u64(&u);
        n->hash = unpack_hash(&u);
        n->text = unpack_bytes(&u);
        if (unpack_u64(&u) != 0) u.failed = true;
        if (n->kind == NEEDED_NODE) job_member_get(&u, arena, &n->member);
    }
    if (!u.failed && !answer->list) return error_nomem(err, "decoding a frame");
    return unpack_done(&u) ? 0 : error_set(err, WEIR_CORRUPT, "an answer to a worker is damaged");
}

/* --- inputs -------------------------------------------------------------------------------------------------------- */

bool job_is_needed(const job *j, size_t port)
{
    return port >= j->order->input_count;
}

const job_input *job_input_at(const job *j, size_t port)
{
    if (port < j->order->input_count) return &j->order->inputs[port];
    port -= j->order->input_count;
    return port < j->needed_count ? &j->needed[port] : NULL;
}

static int add_port(job *j, const job_answer *answer, size_t *port)
{
    if (!MEM_GROW(j->needed, j->needed_capacity, j->needed_count + 1)) return job_failed(j, error_nomem(&j->error, "asking for nodes"));
    job_input *input = &j->needed[j->needed_count];
    char *name = arena_printf(&j->arena, "need:%zu", j->needed_count + 1);
    *input = (job_input){.port = bytes_str(name ? name : ""), .is_list = true, .count = answer->count};
    input->members = arena_zero(&j->arena, answer->count + 1, sizeof *input->members);
    if (!name || !input->members) return job_failed(j, error_nomem(&j->error, "asking for nodes"));
    *port = j->order->input_count + j->needed_count++;
    return 0;
}

/* --- taking the answer --------------------------------------------------------------------------------------------- */

static job_file *path_file(job *j, bytes path)
{
    job_file *file = arena_zero(&j->arena, 1, sizeof *file);
    if (file) *file = (job_file){.port = bytes_str(""), .path = path};
    return file;
}

/* The content is read at once: that is what a need of a file means. */
static int take_path(job *j, const job_needed *n, job_member *to)
{
    bytes content;
    *to = (job_member){.kind = MEMBER_ITEM, .item_type = ITEM_FILE, .name = n->text};
    int rc = job_read_file(j, n->text, &content);
    if (rc != 0) return rc;
    if (!content.data) return 0; /* absent: no file behind it */
    to->files = path_file(j, n->text);
    to->file_count = 1;
    return to->files ? 0 : job_failed(j, error_nomem(&j->error, "asking for files"));
}

static int take_no_name(job *j, const job_needed *n, bytes asked)
{
    bytes content;
    (void)job_read_file(j, asked, &content); /* nor is there such a file */
    return error_set(&j->error, WEIR_USAGE, "%s", (const char *)n->text.data);
}

/* The group: nodes, paths, and names that no node has. */
static int take_one(job *j, const job_needed *n, bytes asked, job_member *to)
{
    if (n->kind == NEEDED_PATH && n->item == 0) return take_path(j, n, to);
    if (n->kind < NEEDED_NODE || n->kind > NEEDED_NO_NAME) return error_set(&j->error, WEIR_CORRUPT, "an answer of the engine cannot be read");
    hash128 hash = n->kind == NEEDED_NODE ? n->hash : HASH_ABSENT;
    if (n->kind == NEEDED_NODE) *to = n->member;
    return job_record_needed(j, asked, n->item, hash) ? 0 : j->error.code;
}

/* That no node has the name is why a file was looked for: groups behind it. */
static int take_file_instead(job *j, const job_needed *n, bytes asked, job_member *to)
{
    if (n->kind == NEEDED_NO_NAME) return take_no_name(j, n, asked);
    return n->kind == NEEDED_PATH && n->item ? take_path(j, n, to) : 0;
}

/* All are recorded, also behind one that is not there: they were asked for together. */
static int take_answer(job *j, const job_answer *answer, const bytes *names, size_t *port)
{
    weir_error first = {0};
    int rc = add_port(j, answer, port);
    if (rc != 0) return rc;
    job_member *members = j->needed[j->needed_count - 1].members;
    j->is_needing = true;
    for (size_t i = 0; i < answer->count && rc == 0; i++) rc = take_one(j, &answer->list[i], names[i], &members[i]);
    j->is_needing = j->is_need_open = false;
    first = j->error;
    for (size_t i = 0; i < answer->count; i++) {
        int end = take_file_instead(j, &answer->list[i], names[i], &members[i]);
        if (end == 0 || rc != 0) continue;
        rc = end;
        first = j->error;
    }
    if (rc != 0) j->error = first;
    return rc;
}

static int keep_names(job *j, const bytes *names, size_t count, job_request *request)
{
    *request = (job_request){.id = j->order->id, .count = count};
    request->names = arena_zero(&j->arena, count + 1, sizeof *request->names);
    for (size_t i = 0; request->names && i < count; i++) {
        if (names[i].size == 0 || memchr(names[i].data, '\0', names[i].size))
            return error_set(&j->error, WEIR_USAGE, "need takes names of nodes and paths of files, not an empty text");
        request->names[i] = arena_bytes(&j->arena, names[i]);
    }
    return j->arena.failed ? job_failed(j, error_nomem(&j->error, "asking for nodes")) : 0;
}

int job_need(job *j, const bytes *names, size_t count, size_t *port)
{
    job_request request;
    job_answer answer;
    bytes packed = {NULL, 0};
    if (!j->order->need) return error_set(&j->error, WEIR_USAGE, "nodes cannot be asked for here");
    if (count > NAMES_MOST) return error_set(&j->error, WEIR_LIMIT, "need takes at most %d names", (int)NAMES_MOST);
    int rc = keep_names(j, names, count, &request);
    int64_t before = os_monotonic_ns();
    if (rc == 0) rc = j->order->need(j->order->ask_ctx, &request, &j->arena, &packed, &j->error);
    j->started_ns += os_monotonic_ns() - before; /* waiting is not the effect's time */
    if (rc == 0) rc = job_answer_get(packed, &j->arena, &answer, &j->error);
    if (rc != 0) return job_broken(j, rc);
    if (answer.is_failure)
        return job_broken(j, error_set(&j->error, WEIR_FAILED, "%.*s", (int)answer.failure.size, (const char *)answer.failure.data));
    if (answer.count != count) return job_broken(j, error_set(&j->error, WEIR_CORRUPT, "an answer of the engine cannot be read"));
    return take_answer(j, &answer, request.names, port);
}
