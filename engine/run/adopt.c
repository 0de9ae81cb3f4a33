/*
 * adopt.c - daemons and services that outlived their engine.
 *
 *     recovery finds it alive -> adopted: its execution stays open, its node is not started again
 *        it ends by itself                        -> settled like one that was found dead: old outputs back, the node is due
 *        forced, voided, not declared any more,
 *        or otherwise than when it began          -> ended first, then the same
 *
 * A1  While it runs nobody touches its outputs, or what waits for it in .weir/tmp; users of what it makes are blocked.
 * A2  A look at pid and start time decides whether it runs; the pidfd only wakes a watch.
 * A3  The loop turns while one is ended, and other nodes run. Only at the start of a run, when they are all to be gone before
 *     anything is looked at, the run waits; a second interrupt ends that.
 *
 * Loop thread only.
 */
#include <inttypes.h>

#include "engine/run/output_internal.h"
#include "engine/run/watching.h"

typedef struct adopted {
    weir *w;
    adopted_process process;
    int fd; /* pidfd; -1: none */
    uv_poll_t poll;
    process_ending *ending; /* under way; NULL: not, or nobody is left */
    bool is_to_go;          /* it is being ended, or was */
    weir_error failure;     /* of that */
    bool told;
    struct adopted *next;
} adopted;

static adopted *find(const weir *w, uint64_t node)
{
    adopted *a = w->adopted;
    while (a && a->process.node != node) a = a->next;
    return a;
}

static void on_end(uv_poll_t *handle, int status, int events)
{
    adopted *a = handle->data;
    (void)status;
    (void)events;
    uv_poll_stop(handle); /* a pidfd stays readable */
    watching_wake(a->w);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void drop(adopted *a)
{
    adopted **at = &a->w->adopted;
    while (*at != a) at = &(*at)->next;
    *at = a->next;
    process_end_cancel(a->ending);
    if (a->fd < 0) {
        mem_free(a);
        return;
    }
    uv_close((uv_handle_t *)&a->poll, on_closed);
    os_close(a->fd);
}

int adopt_take(weir *w, const adopted_process *of, weir_error *err)
{
    for (const adopted *a = w->adopted; a; a = a->next)
        if (a->process.execution == of->execution) return 0;
    adopted *a = mem_zero(1, sizeof *a);
    if (!a) return error_nomem(err, "adopting a process");
    *a = (adopted){.w = w, .process = *of, .next = w->adopted};
    w->adopted = a;
    a->fd = process_watch(of->pid, of->ticks);
    if (a->fd >= 0 && uv_poll_init(&w->loop, &a->poll, a->fd) != 0) {
        os_close(a->fd);
        a->fd = -1;
    }
    if (a->fd < 0) return 0;
    a->poll.data = a;
    uv_poll_start(&a->poll, UV_READABLE, on_end);
    uv_unref((uv_handle_t *)&a->poll);
    return 0;
}

bool adopt_owns(const weir *w, const char *name)
{
    char hex[HASH_HEX];
    for (const adopted *a = w->adopted; a; a = a->next)
        if (strcmp(hash_hex(a->process.token, hex), name) == 0) return true;
    return false;
}

static bool is_alive(adopted *a)
{
    return process_find(a->process.token, &a->process.pid, &a->process.ticks);
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

static void on_gone(void *ctx, int rc, const weir_error *err)
{
    adopted *a = ctx;
    weir *w = a->w;
    a->ending = NULL;
    if (rc != 0) a->failure = *err;
    for (task *t = w->tasks; t; t = t->next) {
        if (t->state != TASK_ENDING || t->node->id != a->process.node) continue;
        t->state = TASK_AGAIN;
        w->has_again = true;
    }
}

static int end(adopted *a, weir_error *err)
{
    const adopted_process *of = &a->process;
    if (a->is_to_go) return 0;
    a->is_to_go = true;
    return process_end_begin(&a->ending, &a->w->loop, of->token, of->pid, of->ticks,
                             PROCESS_GRACE_MS, on_gone, a, err);
}

static int end_for(adopted *a, const char *why, weir_error *err)
{
    if (a->is_to_go) return 0;
    const cat_node *node = catalog_node(a->w->catalog, a->process.node, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    tell_message(a->w, "%s: process %" PRId64 " is ended: %s", (const char *)node->spec.name.data,
                 a->process.pid, why);
    return end(a, err);
}

/*
 * Nobody is left: puts back what it had put aside. `is_late`: signatures of its outputs, as they
 * were until now, are in memory.
 */
static int settle(adopted *a, bool is_late, weir_error *err)
{
    weir *w = a->w;
    if (a->failure.code != 0) { /* tried again by the next run */
        int code = a->failure.code;
        error_set(err, code, "%s", a->failure.message);
        a->failure = (weir_error){0};
        a->is_to_go = false;
        return code;
    }
    output_seen seen;
    int rc = recover_one(w, a->process.execution, err);
    cat_node *node = rc == 0 && is_late ? catalog_node(w->catalog, a->process.node, err) : NULL;
    if (rc == 0 && is_late && !node) rc = err->code ? err->code : WEIR_BUG;
    for (size_t i = 0; rc == 0 && node && i < node->spec.output_count; i++) {
        cat_item *item = catalog_item(w->catalog, node->spec.outputs[i].id, err);
        rc = item ? output_look(w, item, &seen, err) : err->code ? err->code : WEIR_BUG;
    }
    if (node && node->status != CAT_GONE) {
        node->status = CAT_DUE;
        node->due = REASON_INTERRUPTED;
    }
    if (rc == 0) drop(a);
    return rc;
}

/* All that are to go are gone, and settled. */
static int settle_gone(weir *w, bool is_late, weir_error *err)
{
    int rc = 0;
    for (adopted *a = w->adopted, *next; rc == 0 && a; a = next) {
        while (a->ending) {
            if (atomic_load(&w->interrupts) > 1) process_end_hurry(a->ending);
            uv_run(&w->loop, UV_RUN_ONCE);
        }
        next = a->next;
        if (a->is_to_go) rc = settle(a, is_late, err);
    }
    return rc;
}

int adopt_begin(weir *w, weir_error *err)
{
    int rc = 0;
    for (adopted *a = w->adopted; rc == 0 && a; a = a->next)
        if (!is_alive(a)) rc = end(a, err);
    if (rc == 0) rc = settle_gone(w, w->suspects != NULL, err);
    return rc == 0 ? 0 : error_context(err, rc, "recovery");
}

int adopt_check(weir *w, weir_error *err)
{
    int rc = 0;
    for (adopted *a = w->adopted; rc == 0 && a; a = a->next) {
        const cat_node *node = catalog_node(w->catalog, a->process.node, err);
        if (!node) rc = err->code ? err->code : WEIR_BUG;
        else if (node->status == CAT_GONE) rc = end_for(a, "its node is not declared any more", err);
        else if (node->spec_seq > a->process.started)
            rc = end_for(a, "its node is declared otherwise now", err);
    }
    return rc == 0 ? settle_gone(w, true, err) : rc;
}

/* --- a run comes to its node --------------------------------------------------------------------------------------- */

static void tell_running(adopted *a, const cat_node *node)
{
    char when[40];
    if (a->told) return;
    a->told = true;
    os_wall_text(a->process.at_us, when);
    tell_message(a->w, "%s: still running, process %" PRId64 " since %s; it is not started again (`weir run --force %s` does that)",
                 (const char *)node->spec.name.data, a->process.pid, when, (const char *)node->spec.name.data);
}

int adopt_settle(task *t, bool *runs, weir_error *err)
{
    weir *w = t->w;
    adopted *a = w->adopted ? find(w, t->node->id) : NULL;
    *runs = false;
    if (!a) return 0;
    bool is_voided = t->node->status == CAT_DUE && t->node->due == REASON_VOIDED;
    bool is_to_end = t->node->forced || is_voided || a->is_to_go;
    if (is_to_end && w->dry) return 0;
    if (is_to_end) {
        const char *why = t->node->forced ? "it is forced to run anew" : "its results are voided";
        int rc = end_for(a, why, err);
        if (rc != 0 || !a->ending) return rc == 0 ? settle(a, true, err) : rc;
        t->state = TASK_ENDING;
        *runs = true;
        return 0;
    }
    *runs = true;
    tell_running(a, t->node);
    schedule_running(t);
    return 0;
}

bool adopt_runs(const weir *w, uint64_t node)
{
    return w->adopted != NULL && find(w, node) != NULL;
}

void adopt_free(weir *w)
{
    while (w->adopted) drop(w->adopted);
}
