/*
 * worker.c - a worker: takes orders, performs them one after the other, sends each report as it
 * comes.
 *
 * Before a job begins it is announced; the report of the one before goes out with the announcement,
 * in one write. A job that changed
 * what its effect reaches (impure) is the last one here: the process ends, and the engine hands the
 * other orders out again.
 */
#include <stdio.h>
#include <unistd.h>

#include "engine/script/host_child.h"
#include "engine/script/luajob.h"
#include "engine/script/wire.h"

enum { EXIT_DONE = 0, EXIT_TROUBLE = 70 };

typedef struct worker {
    loader *ld;
    registry *effects;
    int rootfd, fd;
    wire_in in;
    buf out;
    bool is_spoiled; /* a job was impure */
    bool has_waited; /* the engine took back what was left of the frame */
    bool is_retired; /* it was told to end, while a job ran */
    buf orders;      /* the frame in hand */
    buf later;       /* frames with orders that came while a job asked for members, each with its size */
} worker;

static void flush(worker *w)
{
    int rc = wire_flush(&w->out, w->fd, NULL);
    if (rc != 0) _exit(rc == WEIR_CANCELLED ? EXIT_DONE : EXIT_TROUBLE);
}

static void put_report(worker *w, const job_report *report)
{
    weir_error err = {0};
    size_t mark = wire_begin(&w->out, WIRE_REPORT);
    job_report_put(&w->out, report);
    if (wire_end(&w->out, mark, &err) == 0) return;
    job_report failed = {.id = report->id, .message = bytes_str(err.message)};
    buf_clear(&w->out); /* the announcement before it has gone already */
    mark = wire_begin(&w->out, WIRE_REPORT);
    job_report_put(&w->out, &failed);
    if (wire_end(&w->out, mark, NULL) != 0) _exit(EXIT_TROUBLE);
}

static int perform_c(worker *w, const job_order *order, job **j, job_report *report,
                     weir_error *err)
{
    size_t first, count;
    if (order->library.size) {
        int rc = registry_load(w->effects, (const char *)order->library.data, &first, &count, err);
        if (rc != 0) return rc;
    }
    const registry_entry *entry = registry_find(w->effects, order->effect);
    if (!entry)
        return error_set(err, WEIR_WORKFLOW, "there is no effect %.*s", (int)order->effect.size,
                         (const char *)order->effect.data);
    return job_perform(entry, order, w->rootfd, j, report, err);
}

static int perform_lua(worker *w, const job_order *order, job **j, job_report *report,
                       weir_error *err)
{
    if (!w->ld)
        return error_set(err, WEIR_BUG, "a Lua effect was sent to a host without a workflow");
    return luajob_perform(w->ld, order, j, report, err);
}

/* Orders that were on their way when the engine heard of the request are not ours any more. */
static int ask(void *ctx, const job_request *request, mem_arena *arena, bytes *answer, weir_error *err)
{
    worker *w = ctx;
    wire_frame frame;
    size_t mark = wire_begin(&w->out, WIRE_NEED);
    job_request_put(&w->out, request);
    int rc = wire_end(&w->out, mark, err);
    if (rc != 0) return rc;
    flush(w);
    w->has_waited = true;
    buf_clear(&w->later); /* the engine took these back as well */
    do {
        if (wire_receive(&w->in, w->fd, &frame, NULL) <= 0 || frame.type == WIRE_RETIRE) _exit(EXIT_DONE);
    } while (frame.type == WIRE_JOBS);
    if (frame.type != WIRE_NEEDED) _exit(EXIT_TROUBLE);
    *answer = arena_bytes(arena, frame.payload);
    return answer->data ? 0 : error_nomem(err, "taking an answer");
}

/* Members that the order left out. The answer comes at once; what was on its way before it is for later. */
static int ask_members(void *ctx, const job_list_request *request, mem_arena *arena, bytes *answer, weir_error *err)
{
    worker *w = ctx;
    wire_frame frame;
    size_t mark = wire_begin(&w->out, WIRE_LIST);
    job_list_request_put(&w->out, request);
    int rc = wire_end(&w->out, mark, err);
    if (rc != 0) return rc;
    flush(w);
    for (;;) {
        if (wire_receive(&w->in, w->fd, &frame, NULL) <= 0) _exit(EXIT_DONE);
        if (frame.type == WIRE_LISTED) break;
        if (frame.type == WIRE_RETIRE) w->is_retired = true;
        else if (frame.type == WIRE_JOBS) buf_put_bytes(&w->later, frame.payload);
        else _exit(EXIT_TROUBLE);
        if (w->later.failed) _exit(EXIT_TROUBLE);
    }
    *answer = arena_bytes(arena, frame.payload);
    return answer->data ? 0 : error_nomem(err, "taking an answer");
}

static void perform(worker *w, const job_order *order)
{
    weir_error err = {0};
    job *j = NULL;
    job_report report;
    size_t mark = wire_begin(&w->out, WIRE_BEGAN);
    buf_put_u64(&w->out, order->id);
    if (wire_end(&w->out, mark, NULL) != 0) _exit(EXIT_TROUBLE);
    flush(w);
    int rc = order->kind == EFFECT_C ? perform_c(w, order, &j, &report, &err)
                                     : perform_lua(w, order, &j, &report, &err);
    if (rc != 0) report = (job_report){.id = order->id, .message = bytes_str(err.message)};
    put_report(w, &report);
    if (report.impure) w->is_spoiled = true;
    job_free(j);
}

static int perform_all(worker *w, bytes payload)
{
    weir_error err = {0};
    mem_arena arena;
    buf_clear(&w->orders); /* a job that waits reads on */
    buf_append(&w->orders, payload.data, payload.size);
    if (w->orders.failed) return EXIT_TROUBLE;
    unpack u = unpack_of(buf_bytes(&w->orders));
    size_t count = unpack_count(&u);
    w->has_waited = false;
    arena_init(&arena);
    for (size_t i = 0; i < count && !w->is_spoiled && !w->has_waited; i++) {
        job_order order;
        arena_reset(&arena);
        if (job_order_get(unpack_bytes(&u), &arena, &order, &err) != 0 || u.failed) {
            arena_deinit(&arena);
            return EXIT_TROUBLE;
        }
        order.need = ask;
        order.list = ask_members;
        order.ask_ctx = w;
        perform(w, &order);
    }
    arena_deinit(&arena);
    flush(w);
    return EXIT_DONE;
}

/* Frames that came while a job asked. More of them may come on the way. */
static int perform_later(worker *w)
{
    int code = EXIT_DONE;
    buf frames = w->later;
    buf_init(&w->later);
    unpack u = unpack_of(buf_bytes(&frames));
    while (code == EXIT_DONE && !w->is_spoiled && !unpack_done(&u)) {
        bytes payload = unpack_bytes(&u);
        code = u.failed ? EXIT_TROUBLE : perform_all(w, payload);
        if (w->has_waited) break; /* these were taken back */
    }
    buf_deinit(&frames);
    return code;
}

int worker_main(loader *ld, registry *effects, int rootfd, int fd)
{
    worker w = {.ld = ld, .effects = effects, .rootfd = rootfd, .fd = fd};
    wire_frame frame;
    int code = EXIT_DONE;
    wire_in_init(&w.in);
    buf_init(&w.out);
    buf_init(&w.orders);
    buf_init(&w.later);
    size_t mark = wire_begin(&w.out, WIRE_READY);
    if (wire_end(&w.out, mark, NULL) != 0) return EXIT_TROUBLE;
    flush(&w);
    while (code == EXIT_DONE && !w.is_spoiled) {
        if (w.later.size > 0) {
            code = perform_later(&w);
            continue;
        }
        if (w.is_retired || wire_receive(&w.in, fd, &frame, NULL) <= 0 || frame.type == WIRE_RETIRE) break;
        code = frame.type == WIRE_JOBS ? perform_all(&w, frame.payload) : EXIT_TROUBLE;
    }
    buf_deinit(&w.later);
    buf_deinit(&w.orders);
    buf_deinit(&w.out);
    wire_in_deinit(&w.in);
    return code;
}
