/*
 * schedule.c - one turn: takes ready nodes from the planner, keeps the slots busy, ends when nothing is left.
 *
 * A node taken from the planner becomes a task. A task settles at once (hit, blocked), waits for files to be looked at, or becomes
 * ready and waits for a slot (commands) or a worker (jobs). Callbacks never start work themselves: they change a task's state, and the loop
 * below goes on. So no callback runs another one, and the script host may be waited for here.
 *
 * S1  Every task ends exactly once, in schedule_free.
 * S2  After the first infrastructure failure, or an interrupt, nothing more starts; what runs is awaited.
 */
#include "engine/run/engine.h"
#include "engine/run/output.h"

bool schedule_stopping(const weir *w)
{
    if (w->failed_code != 0 || atomic_load(&((weir *)(uintptr_t)w)->interrupts) > 0) return true;
    return (w->request->flags & WEIR_RUN_STOP_FIRST) && w->summary->failed > 0;
}

int schedule_interrupted(weir *w, weir_error *err)
{
    return !w->watching && atomic_load(&w->interrupts) > 0 ? error_set(err, WEIR_CANCELLED, "interrupted") : 0;
}

void schedule_fail(weir *w, const weir_error *err)
{
    if (w->failed_code != 0) return;
    w->failed_code = err->code != 0 ? err->code : WEIR_BUG;
    if (w->failure) *w->failure = *err;
}

/* In the order of the planner, heavier ones before lighter ones: what comes first starts first. */
static void enqueue(weir *w, task *t)
{
    task *before = w->last_task;
    while (before && before->weight < t->weight) before = before->prev;
    task *after = before ? before->next : w->tasks;
    t->prev = before;
    t->next = after;
    if (before) before->next = t;
    else w->tasks = t;
    if (after) after->prev = t;
    else w->last_task = t;
}

task *schedule_new(weir *w, uint64_t node, weir_error *err)
{
    task *t = mem_zero(1, sizeof *t);
    if (!t) {
        error_nomem(err, "starting a node");
        return NULL;
    }
    t->w = w;
    arena_init(&t->arena);
    t->node = catalog_node(w->catalog, node, err);
    if (!t->node) {
        if (err->code == 0) error_set(err, WEIR_BUG, "node %llu is due but not stored", (unsigned long long)node);
        mem_free(t);
        return NULL;
    }
    t->weight = w->is_worth_weighing ? weight_of(w, node) : 0;
    enqueue(w, t);
    w->task_count++;
    return t;
}

void schedule_ready(task *t)
{
    t->state = TASK_READY;
    t->w->ready_count++;
    if (t->effect->spec.kind != EFFECT_COMMAND) t->w->jobs_ready++;
}

void schedule_unready(task *t)
{
    t->w->ready_count--;
    if (t->effect->spec.kind != EFFECT_COMMAND) t->w->jobs_ready--;
}

void schedule_free(task *t)
{
    weir *w = t->w;
    flight_leave(t);
    if (t->prev) t->prev->next = t->next;
    else w->tasks = t->next;
    if (t->next) t->next->prev = t->prev;
    else w->last_task = t->prev;
    if (t->state == TASK_READY) schedule_unready(t);
    limits_give(t);
    w->task_count--;
    for (size_t i = 0; i < t->request_count; i++) scan_drop_rows(&t->requests[i]);
    mem_free(t->observe);
    mem_free(t->program);
    arena_deinit(&t->arena);
    mem_free(t);
}

/* It has settled in this turn, before what it reads was settled: it is looked at again in the next. */
static int recall(weir *w, uint64_t node, weir_error *err)
{
    if (!w->plan || plan_state_of(w->plan, node) != PLAN_SETTLED || map_put(&w->read_lost, map_key_u64(&node), NULL)) return 0;
    return error_nomem(err, "blocking users");
}

/* Users of a node that failed or is blocked learn who is to blame. Who read it without declaring it is looked at, and may read something else now. */
static int blame_users(weir *w, uint64_t node, uint64_t cause, weir_error *err)
{
    const plan_user *users = NULL;
    size_t count = 0;
    int rc = targets_users(w, node, &users, &count, err);
    if (rc != 0 || count == 0) return rc;
    plan_user *copy = mem_dup(users, count * sizeof *users);
    if (!copy) return error_nomem(err, "blocking users");
    bool found = false;
    rc = edge_is_found(w, node, &found, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cat_node *user = catalog_node(w->catalog, copy[i].node, err);
        bool is_history = false;
        if (!user) rc = err->code ? err->code : WEIR_BUG;
        if (rc == 0 && found) rc = edge_is_history(w, node, user->id, &is_history, err);
        if (rc == 0 && !is_history) user->blocked_by = cause;
        if (rc == 0 && is_history) rc = recall(w, user->id, err);
    }
    mem_free(copy);
    return rc;
}

/* Who found and read its output in this turn, before that was known, is looked at again in the next. */
static int recall_readers(weir *w, uint64_t node, weir_error *err)
{
    size_t at = 0;
    plan_user user;
    int rc = 0;
    while (rc == 0 && w->plan && plan_each_edge(w->plan, node, &at, &user)) rc = recall(w, user.node, err);
    return rc;
}

/* What an earlier turn of this run counted for the node is taken back; was there anything? */
static bool take_back(task *t)
{
    weir_summary *s = t->w->summary;
    int before = t->node->has_failed;
    t->node->has_failed = 0;
    if (before == HAS_FAILED && s->failed > 0) s->failed--;
    if (before == WAS_BLOCKED && s->blocked > 0) s->blocked--;
    return before != 0;
}

void schedule_settled(task *t, bool changed, bool failed)
{
    weir *w = t->w;
    weir_error err = {0};
    uint64_t id = t->node->id;
    int rc = 0;
    if (failed) {
        uint64_t cause = t->node->blocked_by ? t->node->blocked_by : id;
        take_back(t);
        t->node->has_failed = t->node->blocked_by ? WAS_BLOCKED : HAS_FAILED;
        rc = blame_users(w, id, cause, &err);
        if (rc == 0) rc = recall_readers(w, id, &err);
    } else if (take_back(t)) {
        changed = true; /* whoever it blocked is looked at again, even when it made what it had made before */
    }
    t->node->blocked_by = 0;
    if (rc == 0 && w->plan) rc = plan_settled(w->plan, id, changed || failed, &err);
    if (rc == 0 && w->plan && changed && !failed) rc = misled_recall(w, t->node, &err);
    if (rc != 0) schedule_fail(w, &err);
    schedule_free(t);
}

void schedule_running(task *t)
{
    cat_node *node = t->node;
    schedule_settled(t, false, true);
    node->has_failed = IS_RUNNING;
}

void schedule_again(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    uint64_t id = t->node->id;
    if (!t->superseded) t->node->retries++;
    schedule_free(t);
    t = schedule_new(w, id, &err);
    if (!t) {
        schedule_fail(w, &err);
        return;
    }
    t->state = TASK_AGAIN;
    w->has_again = true;
}

/* One of the commands whose intent is committed may start: its limits are taken. */
static void act(weir *w, task *t)
{
    weir_error err = {0};
    if (limits_take(w, t, &err) == 0) command_act(t);
    else schedule_fail(w, &err);
}

static void begin(weir *w, task *t)
{
    weir_error err = {0};
    if (limits_take_place(w, t, &err) != 0) {
        schedule_fail(w, &err);
        return;
    }
    schedule_unready(t);
    command_begin(t);
}

/*
 * Commands: an intent must be committed before the act, so as many again as there are slots have theirs committed ahead, and a slot that
 * becomes free is filled at once. Of those that may have to wait beside a free slot only one is begun ahead, and none whose pool is full.
 */
static void start_ready(weir *w)
{
    task *next = NULL;
    bool heavy = false;
    size_t left = w->commands_begun - w->commands_running; /* with their intent said; not looked for among all tasks once they were seen */
    if (schedule_stopping(w)) return;
    for (task *t = w->tasks; t && left > 0 && w->commands_running < (size_t)w->slots; t = next) {
        next = t->next;
        if (t->state != TASK_INTENT && t->state != TASK_ARMED) continue;
        left--;
        if (t->state == TASK_INTENT) heavy |= limits_is_heavy(t);
        else if (limits_may_start(w, t)) act(w, t);
        else heavy |= limits_is_heavy(t);
    }
    for (task *t = w->tasks; t && w->ready_count > w->jobs_ready && w->commands_begun < 2 * (size_t)w->slots; t = next) {
        next = t->next;
        if (t->state != TASK_READY || t->effect->spec.kind != EFFECT_COMMAND || !limits_pool_free(w, t)) continue;
        if (limits_is_heavy(t)) {
            if (heavy && !limits_may_start(w, t)) continue;
            heavy = true;
        }
        begin(w, t);
    }
}

/* An attempt that failed is followed by another one. */
static void begin_again(weir *w)
{
    task *next = NULL;
    if (!w->has_again) return;
    w->has_again = false;
    for (task *t = w->tasks; t; t = next) {
        next = t->next;
        if (t->state != TASK_AGAIN) continue;
        t->state = TASK_SETTLING;
        settle_begin(t);
    }
}

/* Tasks that have not started are given up; their nodes stay due in the state. */
static void drop_waiting(weir *w)
{
    task *next = NULL;
    for (task *t = w->tasks; t; t = next) {
        next = t->next;
        if (t->state == TASK_READY || t->state == TASK_AGAIN || t->state == TASK_FOLLOWING || t->state == TASK_ENDING) schedule_free(t);
        else if (t->state == TASK_WAITING) jobs_end_waiting(t);
        else if (t->state == TASK_ARMED) command_disarm(t);
    }
}

static void stop_running(weir *w)
{
    for (task *t = w->tasks; t; t = t->next) {
        if (t->process && !t->stopping) {
            t->stopping = true;
            process_stop(t->process, PROCESS_GRACE_MS);
        }
    }
    jobs_stop(w, true);
}

/* Take nodes from the planner while there is use for them. */
static int take_ready(weir *w, weir_error *err)
{
    while (!schedule_stopping(w) && w->ready_count + w->following < (size_t)w->slots * 2 + 256) {
        size_t waiting = w->commands_begun + w->jobs_running + w->ready_count;
        bool idle = waiting < (size_t)w->slots + w->limits.held_back;
        uint64_t node = 0;
        if (w->is_worth_weighing) plan_weigh(w->plan);
        int rc = plan_next(w->plan, idle, &node, err);
        if (rc <= 0) return rc;
        task *t = schedule_new(w, node, err);
        if (!t) return err->code;
        w->summary->counters.nodes_visited++;
        settle_begin(t);
    }
    return 0;
}

/* Again when something is held back that does not keep a slot busy: another node may. True: somebody waits no more. */
static bool start_what_may(weir *w, weir_error *err)
{
    size_t before;
    bool moved = false;
    do {
        before = w->limits.held_back;
        if (take_ready(w, err) < 0) schedule_fail(w, err);
        limits_pass_begin(w);
        if (!schedule_stopping(w) && need_pump(w)) moved = true;
        start_ready(w);
        jobs_pump(w);
        limits_pass_end(w);
    } while (w->limits.held_back > before && !schedule_stopping(w));
    return moved;
}

/* Nothing runs and nothing is ready: what is due can only wait for itself. */
static void start_stuck(weir *w)
{
    weir_error err = {0};
    uint64_t node = 0;
    int rc = plan_next(w->plan, true, &node, &err);
    if (rc == 0) error_set(&err, WEIR_BUG, "%zu nodes are due and none can start", plan_open(w->plan));
    task *t = rc == 1 ? schedule_new(w, node, &err) : NULL;
    if (!t) schedule_fail(w, &err);
    else settle_begin(t);
}

/* The first interrupt lets end what runs, the second one ends it. */
static void heed_interrupts(weir *w, bool *told, bool *killed)
{
    int interrupts = atomic_load(&w->interrupts);
    size_t running = w->commands_running + w->jobs_running;
    if (interrupts > 0 && !*told && running > 0) {
        *told = true;
        tell_message(w, "interrupted; %zu still running, interrupt again to end %s", running, running == 1 ? "it" : "them");
    }
    if (interrupts > 1 && !*killed) {
        *killed = true;
        stop_running(w);
    }
}

int schedule_turn(weir *w, weir_error *err)
{
    bool told = false, killed = false;
    for (;;) {
        weir_error failure = {0};
        if (output_notes_trim(w, &failure) != 0) schedule_fail(w, &failure);
        if (!schedule_stopping(w)) begin_again(w);
        bool moved = start_what_may(w, &failure);
        bool stopping = schedule_stopping(w);
        if (stopping) drop_waiting(w);
        if (moved && !stopping) continue;
        if (!stopping && w->jobs_waiting > 0 && w->jobs_waiting + w->following == w->task_count && need_stuck(w)) continue;
        if (w->task_count == 0) {
            if (stopping || plan_open(w->plan) == 0) break;
            start_stuck(w);
            continue;
        }
        if (w->has_again && !stopping) continue;
        heed_interrupts(w, &told, &killed);
        db_let_go(catalog_db(w->catalog)); /* the log could not begin anew while it is held */
        uv_run(&w->loop, UV_RUN_ONCE);
        if (w->watching) inflight_look(w);
        if (journal_failed(w->journal, &failure) != 0) schedule_fail(w, &failure);
    }
    plan_counts counts = plan_stats(w->plan);
    w->plan_total.visited += counts.visited;
    w->plan_total.searched += counts.searched;
    w->plan_total.lifted += counts.lifted;
    if (w->failed_code != 0 && err && w->failure) *err = *w->failure;
    return w->failed_code;
}
