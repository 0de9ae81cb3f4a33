/*
 * limits.c - may this one start now?
 *
 * A command takes its cpus in slots, a worker takes one as long as it is busy (a job with limits of its own has a worker for
 * itself). Commands with `jobserver` are guests: while one runs, the slots that are free lie as tokens in a pipe, and are
 * taken back from there before anything starts. Below a make it is the other way round: the first slot is ours, the others are
 * tokens of that make, given back as soon as nothing waits for them.
 *
 *     server   slots = used + lent + free        client   used <= 1 + held
 *
 * L1  The slots in use, with the tokens that guests hold, are never more than -j.
 * L2  When nothing runs, the first one starts, whatever it asks for: no limit can stop a run.
 * L3  Who waits for several slots or for memory is passed at most PASSES times a slot; then nothing else starts before it.
 * L4  When the last guest has ended, all tokens are ours again: those of a killed make are not lost.
 *
 * None of this is in a key.
 */
#include <stdlib.h>

#include "engine/run/engine.h"

enum { PASSES = 4, LOAD_LOOK_MS = 500, MEM_SHARE = 85 };

/* --- begin and end ----------------------------------------------------------------------------------------------- */

static void woken_poll(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    uv_poll_stop(handle); /* the loop goes on, and asks again if it still has to */
}

static void woken_timer(uv_timer_t *handle)
{
    (void)handle;
}

static void closed(uv_handle_t *handle)
{
    ((limits *)handle->data)->open_handles--;
}

static int watch_tokens(weir *w, weir_error *err)
{
    limits *l = &w->limits;
    int status = uv_poll_init(&w->loop, &l->poll, jobserver_poll_fd(l->tokens));
    if (status != 0) return error_set(err, WEIR_IO, "cannot watch the jobserver: %s", uv_strerror(status));
    l->poll.data = l;
    l->has_poll = true;
    l->open_handles++;
    return 0;
}

/* What runs takes descriptors of ours: better fewer at once than some that cannot start. */
static void fit_files(weir *w)
{
    enum { EACH = 3, SPARE = 16, SURELY_ENOUGH = 256 };
    uint64_t most = os_files_limit();
    if (w->dry || (uint64_t)w->slots * EACH + SURELY_ENOUGH <= most) return;
    uint64_t taken = os_files_open() + SPARE;
    uint64_t fit = most > taken ? (most - taken) / EACH : 0;
    if (fit >= (uint64_t)w->slots) return;
    tell_message(w, "%d at once instead of %d: `ulimit -n` allows %llu open files", fit > 0 ? (int)fit : 1, w->slots, (unsigned long long)most);
    w->slots = fit > 0 ? (int)fit : 1;
}

int limits_begin(weir *w, weir_error *err)
{
    fit_files(w);
    limits *l = &w->limits;
    const weir_request *r = w->request;
    *l = (limits){.load_most = -1};
    map_init(&l->pools);
    l->is_open = true;
    l->mem_budget = (uint64_t)os_free_memory() / 100 * MEM_SHARE;
    if (r->size >= offsetof(weir_request, jobserver) + sizeof r->jobserver) {
        if (r->mem_bytes) l->mem_budget = r->mem_bytes;
        if (r->has_load) l->load_most = r->load;
    }
    uv_timer_init(&w->loop, &l->timer);
    l->timer.data = l;
    l->open_handles = 1;
    bool joins = r->size >= offsetof(weir_request, jobserver) + sizeof r->jobserver && r->jobserver[0] > 0;
    if (!joins) return 0;
    int rc = jobserver_join(&l->tokens, r->jobserver, err);
    l->is_client = rc == 0;
    return rc == 0 ? watch_tokens(w, err) : rc;
}

void limits_end(weir *w)
{
    limits *l = &w->limits;
    if (!l->is_open) return;
    if (l->has_poll) uv_close((uv_handle_t *)&l->poll, closed);
    uv_close((uv_handle_t *)&l->timer, closed);
    while (l->open_handles > 0) uv_run(&w->loop, UV_RUN_NOWAIT);
    jobserver_close(l->tokens);
    map_deinit(&l->pools);
    *l = (limits){.load_most = -1};
}

/* --- slots ------------------------------------------------------------------------------------------------------- */

static bool is_above_budget(const weir *w, const task *t)
{
    return t->node->spec.mem_bytes > w->limits.mem_budget;
}

static int slots_of(const weir *w, const task *t)
{
    uint32_t cpus = t->node->spec.cpus ? t->node->spec.cpus : 1;
    return is_above_budget(w, t) || cpus > (uint32_t)w->slots ? w->slots : (int)cpus;
}

static uint64_t mem_of(const weir *w, const task *t)
{
    return is_above_budget(w, t) ? w->limits.mem_budget : t->node->spec.mem_bytes;
}

static int free_slots(const weir *w)
{
    const limits *l = &w->limits;
    if (!l->is_client) return w->slots - l->used - l->lent;
    int room = 1 + l->held - l->used;
    return room < w->slots - l->used ? room : w->slots - l->used;
}

/* Free slots, after a look into the pipe if they are fewer than wanted. */
static int reach(weir *w, int wanted)
{
    limits *l = &w->limits;
    int room = free_slots(w);
    if (room >= wanted || !l->tokens || l->is_dry) return room;
    int most = l->is_client ? wanted - room : l->lent < wanted - room ? l->lent : wanted - room;
    if (l->is_client && most > w->slots - 1 - l->held) most = w->slots - 1 - l->held;
    if (most <= 0) return room;
    int got = jobserver_take(l->tokens, most);
    if (got < most) l->is_dry = true;
    if (l->is_client) l->held += got;
    else l->lent -= got;
    return free_slots(w);
}

/* Slots that nobody here waits for go to the guests, or back to the make above. */
static void share(weir *w)
{
    limits *l = &w->limits;
    if (!l->tokens) return;
    int spare = free_slots(w);
    if (l->is_client) {
        spare = l->held - (l->used > 1 ? l->used - 1 : 0);
        if (spare > 0) l->held -= spare;
    } else if (l->guests == 0) {
        return;
    } else if (spare > 0) {
        l->lent += spare;
    }
    if (spare > 0) jobserver_give(l->tokens, spare);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

bool limits_is_special(const task *t)
{
    const node_spec *s = &t->node->spec;
    return s->pool.size > 0 || s->cpus > 1 || s->mem_bytes > 0;
}

bool limits_is_heavy(const task *t)
{
    return t->node->spec.cpus > 1 || t->node->spec.mem_bytes > 0;
}

bool limits_full(const weir *w)
{
    return w->limits.used >= w->slots;
}

bool limits_pool_free(weir *w, task *t)
{
    const node_spec *s = &t->node->spec;
    if (s->pool.size == 0 || t->has_place) return true;
    const uint64_t *taken = map_get(&w->limits.pools, s->pool);
    if (!taken || *taken < s->pool_depth) return true;
    w->limits.held_back++;
    return false;
}

static bool is_loaded(weir *w)
{
    double load = 0;
    limits *l = &w->limits;
    if (l->load_most < 0 || l->used == 0 || getloadavg(&load, 1) != 1 || load < l->load_most) return false;
    if (!uv_is_active((uv_handle_t *)&l->timer)) uv_timer_start(&l->timer, woken_timer, LOAD_LOOK_MS, 0);
    return true;
}

static bool fits(weir *w, const task *t)
{
    limits *l = &w->limits;
    int slots = slots_of(w, t);
    bool has_slots = reach(w, slots) >= slots;
    if (!has_slots) l->wants = true;
    return has_slots && l->mem_used + mem_of(w, t) <= l->mem_budget;
}

static bool hold_back(limits *l)
{
    l->held_back++;
    return false;
}

bool limits_may_start(weir *w, task *t)
{
    limits *l = &w->limits;
    uint64_t id = t->node->id;
    if (!limits_pool_free(w, t)) return false;
    if (l->used == 0) return true; /* L2 */
    if (l->patient && id != l->patient && l->passed >= PASSES * w->slots) return hold_back(l);
    if (limits_full(w)) {
        l->wants = true;
        if (!limits_is_heavy(t)) return false;
    }
    if (is_loaded(w)) return hold_back(l);
    if (fits(w, t)) return true;
    if (!limits_is_heavy(t)) return false;
    if (l->patient == 0) {
        l->patient = id;
        l->passed = 0;
    }
    return hold_back(l);
}

/* --- taking ------------------------------------------------------------------------------------------------------ */

int limits_take_place(weir *w, task *t, weir_error *err)
{
    if (t->node->spec.pool.size == 0 || t->has_place) return 0;
    uint64_t *taken = map_put(&w->limits.pools, t->node->spec.pool, NULL);
    if (!taken) return error_nomem(err, "taking a place in a pool");
    (*taken)++;
    t->has_place = true;
    return 0;
}

static int take_guest(weir *w, weir_error *err)
{
    limits *l = &w->limits;
    if (!l->tokens) {
        int rc = jobserver_serve(&l->tokens, err);
        if (rc == 0) rc = watch_tokens(w, err);
        if (rc != 0) return rc;
    }
    l->guests++;
    return 0;
}

int limits_take(weir *w, task *t, weir_error *err)
{
    limits *l = &w->limits;
    bool guest = t->node->spec.flags & SPEC_JOBSERVER;
    int rc = limits_take_place(w, t, err);
    if (rc == 0 && guest) rc = take_guest(w, err);
    if (rc != 0) return rc;
    t->is_guest = guest;
    int slots = slots_of(w, t), room = reach(w, slots);
    t->slots = slots <= room ? slots : room > 0 ? room : 1; /* less only when nothing else runs: L2 */
    t->mem_bytes = mem_of(w, t);
    l->used += t->slots;
    l->mem_used += t->mem_bytes;
    if (t->node->id == l->patient) l->patient = 0;
    else if (l->patient) l->passed++;
    return 0;
}

void limits_give_slots(weir *w, int slots)
{
    w->limits.used -= slots;
}

/* L4: what the guests did not bring back is ours again, what they brought too much is nobody's. */
static void recover_tokens(limits *l)
{
    while (jobserver_take(l->tokens, JOBSERVER_MOST) > 0) continue;
    l->lent = 0;
}

void limits_give(task *t)
{
    weir *w = t->w;
    limits *l = &w->limits;
    uint64_t *taken = t->has_place ? map_get(&l->pools, t->node->spec.pool) : NULL;
    if (taken) (*taken)--;
    l->used -= t->slots;
    l->mem_used -= t->mem_bytes;
    if (l->patient == t->node->id) l->patient = 0;
    if (t->is_guest && --l->guests == 0 && !l->is_client) recover_tokens(l);
    t->slots = 0;
    t->mem_bytes = 0;
    t->has_place = t->is_guest = false;
}

/* --- passes ------------------------------------------------------------------------------------------------------ */

void limits_pass_begin(weir *w)
{
    limits *l = &w->limits;
    l->is_dry = l->wants = false;
    l->held_back = 0;
}

void limits_pass_end(weir *w)
{
    limits *l = &w->limits;
    if (!l->tokens) return;
    if (!l->wants) share(w);
    else if (l->is_client ? l->held < w->slots - 1 : l->lent > 0) uv_poll_start(&l->poll, UV_READABLE, woken_poll);
}
