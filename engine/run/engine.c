/*
 * engine.c - open, close, and one run from its trigger to quiet.
 *
 *   weir_open    .weir, lock, log writer, read connection, recovery
 *   weir_run     scan -> definition -> targets -> turns until nothing is due -> vanished outputs -> RUN_FINISHED, synced
 *
 * A run has more than one turn only when inputs moved while it ran or a read of another node's output was discovered; after TURNS_MOST it
 * stops and names what keeps moving.
 */
#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/run/watching.h"
#include "engine/store/value.h"
#include "generated/schema.h"

enum { TURNS_MOST = 10 };

/* --- open and close ------------------------------------------------------------------------------------------------ */

/* Says where, and what can be done without it. */
static int not_writable(const weir *w, int rc, weir_error *err)
{
    char cause[sizeof err->message];
    if (rc != WEIR_IO) return rc;
    memcpy(cause, err->message, sizeof cause);
    return error_set(err, rc, "%.120s/.weir, where weir keeps its state, cannot be written: %.200s; `weir status`, why, log and get only read",
                     w->root, cause);
}

static int make_state_folder(weir *w, unsigned flags, weir_error *err)
{
    char fs[16];
    bool network = false;
    os_filesystem(w->root, fs, &network);
    if (network && !(flags & WEIR_OPEN_NETWORK))
        return error_set(err, WEIR_USAGE, "%s is on a network file system (%s), where locks and the log are not safe", w->root, fs);
    int rc = os_mkdirat(w->rootfd, ".weir", 0700, err);
    if (rc != 0) return rc;
    w->weirfd = os_openat(w->rootfd, ".weir", OS_READ | OS_FOLDER, 0, err);
    if (w->weirfd < 0) return w->weirfd;
    os_stat st;
    rc = os_statat(w->weirfd, ".gitignore", false, &st, err);
    if (rc == 0 && st.type == OS_ABSENT) rc = os_write_file(w->weirfd, ".gitignore", bytes_str("*\n"), 0644, err);
    if (rc == 0) rc = os_mkdirat(w->weirfd, "tmp", 0700, err);
    return rc;
}

/* Who holds the lock, as it wrote into the file. */
static int locked_by(weir *w, weir_error *err)
{
    buf text;
    buf_init(&text);
    os_read_file(w->weirfd, "lock", 400, &text, NULL);
    const char *who = buf_cstr(&text);
    error_set(err, WEIR_LOCKED, "another weir works in %s (%s); wait for it or end it", w->root, who && *who ? who : "it did not say who");
    buf_deinit(&text);
    return WEIR_LOCKED;
}

static int take_lock(weir *w, const weir_options *o, weir_error *err)
{
    w->lockfd = os_openat(w->weirfd, "lock", OS_READ | OS_WRITE | OS_CREATE, 0600, err);
    if (w->lockfd < 0) return w->lockfd;
    int64_t deadline = os_monotonic_ns() + (int64_t)o->lock_wait_ms * 1000000;
    for (;;) {
        int rc = os_lock(w->lockfd, ".weir/lock", err);
        if (rc == 0) break;
        if (rc != WEIR_LOCKED) return rc;
        if (os_monotonic_ns() >= deadline) return locked_by(w, err);
        os_sleep_ms(20);
    }
    char text[120], when[40];
    os_wall_text(os_wall_us(), when);
    const char *as = o->flags & WEIR_OPEN_WATCH ? ", a watch" : "";
    int n = snprintf(text, sizeof text, "process %lld%s, since %s", (long long)getpid(), as, when);
    if (ftruncate(w->lockfd, 0) != 0) return error_errno(err, errno, "writing .weir/lock");
    return os_write_all(w->lockfd, text, (size_t)n, ".weir/lock", err);
}

/* P10: what must never be opened as an input. */
static void forbid(weir *w)
{
    static const char *const names[] = {"weir.db", "weir.db-wal", "weir.db-shm", "lock", "head", "socket"};
    w->forbidden.count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        os_stat st;
        if (os_statat(w->weirfd, names[i], false, &st, NULL) != 0 || st.type == OS_ABSENT) continue;
        w->forbidden.file[w->forbidden.count].dev = st.dev;
        w->forbidden.file[w->forbidden.count++].ino = st.ino;
    }
}

static void on_interrupt(uv_async_t *handle)
{
    (void)handle; /* the loop only had to wake */
}

static int say_session(weir *w, weir_error *err)
{
    char boot[40], hex[HASH_HEX];
    os_boot_id(boot);
    const registry_entry *first = registry_count(w->registry) ? registry_at(w->registry, 0) : NULL;
    hash_hex(first ? first->build : HASH_NONE, hex);
    buf *body = catalog_body(w->catalog);
    event_put_session(body, &(event_session){bytes_str(WEIR_VERSION), bytes_str(hex), bytes_str(boot), (uint64_t)getpid()});
    journal_say(w->journal, EVENT_SESSION, body);
    (void)err;
    return 0;
}

/* What was written before a reboot may not have reached the disk: after one, signatures are not trusted, hashes decide. */
static int notice_reboot(weir *w, weir_error *err)
{
    char boot[40];
    os_boot_id(boot);
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_SYNCED_BOOT, err);
    if (!q) return err->code;
    int rc = db_step(q, err);
    if (rc == 1) {
        bytes before = db_bytes(q, 0);
        w->scan.distrust = before.size > 0 && !bytes_equal(before, bytes_str(boot));
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* The state folder, if there is one; *recorded: is there a database in it? */
static int find_state_folder(weir *w, bool *recorded, weir_error *err)
{
    os_stat st = {0};
    w->weirfd = os_openat(w->rootfd, ".weir", OS_READ | OS_FOLDER, 0, err);
    if (w->weirfd == WEIR_NOTFOUND) {
        error_clear(err);
        w->weirfd = -1;
        return 0;
    }
    if (w->weirfd < 0) return w->weirfd;
    int rc = os_statat(w->weirfd, "weir.db", true, &st, err);
    *recorded = rc == 0 && st.type != OS_ABSENT;
    return rc;
}

static int open_reader(weir *w, weir_error *err)
{
    bool recorded = false;
    int rc = find_state_folder(w, &recorded, err);
    if (rc == 0) rc = blob_store_open_reader(&w->blobs, w->weirfd, err);
    if (rc == 0) rc = journal_open_silent(&w->journal, &w->loop, err);
    if (rc == 0) rc = catalog_open(&w->catalog, recorded ? w->db_path : NULL, w->journal, true, err);
    return rc;
}

static int open_writer(weir *w, const weir_options *o, weir_error *err)
{
    int rc = make_state_folder(w, o->flags, err);
    if (rc == 0) rc = take_lock(w, o, err);
    if (rc != 0) return not_writable(w, rc, err);
    rc = blob_store_open(&w->blobs, w->weirfd, err);
    if (rc == 0) rc = journal_open(&w->journal, &w->loop, w->db_path, w->weirfd, err);
    if (rc == 0) rc = catalog_open(&w->catalog, w->db_path, w->journal, false, err);
    return rc;
}

static int open_parts(weir *w, const weir_options *o, weir_error *err)
{
    int rc = os_realpath(o->root, &w->root, err);
    if (rc != 0) return rc;
    w->rootfd = os_openat(-100, w->root, OS_READ | OS_FOLDER, 0, err);
    if (w->rootfd < 0) return w->rootfd;
    w->is_reader = (o->flags & WEIR_OPEN_READER) != 0;
    size_t size = strlen(w->root) + 20;
    w->db_path = mem_alloc(size);
    if (!w->db_path) return error_nomem(err, "opening the project");
    snprintf(w->db_path, size, "%s/.weir/weir.db", w->root);
    uv_async_init(&w->loop, &w->interrupt_wake, on_interrupt);
    w->has_wake = true;
    rc = registry_open(&w->registry, o->effects, err);
    if (rc == 0) rc = w->is_reader ? open_reader(w, err) : open_writer(w, o, err);
    if (rc == 0) rc = sigcache_new(&w->sigs, err);
    if (rc == 0) rc = process_table_open(&w->processes, &w->loop, err);
    if (rc != 0) return rc;
    forbid(w);
    w->scan = (scan_config){.rootfd = w->rootfd, .blobs = w->blobs, .forbidden = &w->forbidden};
    rc = notice_reboot(w, err);
    return rc == 0 && !w->is_reader ? recover_open(w, err) : rc;
}

int weir_open(weir **out, const weir_options *options, weir_error *err)
{
    *out = NULL;
    weir_error local = {0};
    if (!err) err = &local;
    weir *w = mem_zero(1, sizeof *w);
    if (!w) return error_nomem(err, "opening the project");
    w->rootfd = w->weirfd = w->lockfd = -1;
    w->effects = options->effects;
    w->listener = options->listener;
    w->listener_ctx = options->listener_ctx;
    w->summary = &w->no_summary;
    map_init(&w->wanted);
    map_init(&w->programs);
    map_init(&w->observe_again);
    map_init(&w->read_lost);
    map_init(&w->misled_by);
    map_init(&w->weights);
    map_init(&w->first_seen);
    map_init(&w->older_code);
    map_init(&w->flights);
    map_init(&w->begun_told);
    map_init(&w->kept_said);
    map_init(&w->differing);
    map_init(&w->transient);
    definition_init(&w->declared);
    definition_init(&w->reload);
    int rc = uv_loop_init(&w->loop) == 0 ? 0 : error_set(err, WEIR_IO, "cannot make an event loop");
    if (rc == 0 && options->workflow && !(w->workflow = mem_strdup(options->workflow))) rc = error_nomem(err, "opening the project");
    if (rc == 0) w->host_program = mem_strdup(options->host_program ? options->host_program : "/proc/self/exe");
    if (rc == 0 && !w->host_program) rc = error_nomem(err, "opening the project");
    if (rc == 0) rc = open_parts(w, options, err);
    if (rc != 0) {
        weir_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

void weir_close(weir *w)
{
    if (!w) return;
    if (w->catalog) jobs_end(w, false);
    limits_end(w);
    output_notes_free(w);
    adopt_free(w);
    jobs_free(w);
    process_table_close(w->processes);
    plan_free(w->plan);
    w->plan = NULL;
    catalog_close(w->catalog);
    sigcache_free(w->sigs);
    if (w->journal) journal_close(w->journal);
    if (w->has_wake) uv_close((uv_handle_t *)&w->interrupt_wake, NULL);
    for (int i = 0; i < 1000 && uv_run(&w->loop, UV_RUN_NOWAIT) != 0; i++)
        if (i > 10) os_sleep_ms(2);
    uv_loop_close(&w->loop);
    blob_store_close(w->blobs);
    dry_free(w);
    registry_close(w->registry);
    definition_clear(&w->declared);
    definition_clear(&w->reload);
    map_deinit(&w->wanted);
    map_deinit(&w->programs);
    map_deinit(&w->observe_again);
    map_deinit(&w->read_lost);
    map_deinit(&w->misled_by);
    mem_free(w->misled);
    map_deinit(&w->weights);
    map_deinit(&w->first_seen);
    map_deinit(&w->older_code);
    map_deinit(&w->flights);
    mem_free(w->older);
    map_deinit(&w->begun_told);
    map_deinit(&w->kept_said);
    map_deinit(&w->differing);
    map_deinit(&w->transient);
    mem_free(w->users);
    os_close(w->lockfd);
    os_close(w->weirfd);
    os_close(w->rootfd);
    mem_free(w->root);
    mem_free(w->workflow);
    mem_free(w->host_program);
    mem_free(w->db_path);
    mem_free(w);
}

void weir_interrupt(weir *w)
{
    atomic_fetch_add(&w->interrupts, 1);
    uv_async_send(&w->interrupt_wake);
}

int weir_script_host(int argc, char **argv, const struct weir_effect *const *effects)
{
    if (argc < 2 || strcmp(argv[1], "--script-host") != 0) return -1;
    return script_host_main(argc, argv, effects);
}

/* --- a run ---------------------------------------------------------------------------------------------------------- */

static void say_started(weir *w)
{
    mem_arena scratch;
    arena_init(&scratch);
    size_t n = w->request->target_count;
    bytes *targets = arena_zero(&scratch, n + 1, sizeof *targets);
    for (size_t i = 0; targets && i < n; i++) targets[i] = bytes_str(w->request->targets[i]);
    buf *body = catalog_body(w->catalog);
    event_put_run_started(body, &(event_run_started){.trigger = bytes_str(w->request->trigger ? w->request->trigger : "library"), .graph = w->graph,
                                                     .targets = targets, .target_count = targets ? n : 0,
                                                     .forced = (w->request->flags & WEIR_RUN_FORCE) != 0});
    journal_say(w->journal, EVENT_RUN_STARTED, body);
    w->run_said = true;
    arena_deinit(&scratch);
}

static int next_run_number(weir *w, uint64_t *number, bool *finished, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_RUN_LAST, err);
    if (!q) return err->code;
    int rc = db_step(q, err);
    *number = rc == 1 ? (uint64_t)db_int(q, 0) + 1 : 1;
    *finished = rc != 1 || db_int(q, 1) != 0;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static int count_graphs(weir *w, int64_t *count, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_GRAPH_LAST, err);
    if (!q) return err->code;
    int rc = db_step(q, err);
    *count = rc == 1 ? db_int(q, 1) : 0;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static void say_run_finished(weir *w, bool complete)
{
    const weir_summary *s = w->summary;
    buf *body = catalog_body(w->catalog);
    event_put_run_finished(body, &(event_run_finished){.ran = s->ran, .unchanged = s->unchanged, .restored = s->restored, .cut_off = s->cut_off,
                                                       .failed = s->failed, .blocked = s->blocked, .raced = s->raced, .turns = w->turns,
                                                       .duration_us = (uint64_t)((os_monotonic_ns() - w->started_ns) / 1000),
                                                       .complete = complete, .interrupted = s->interrupted != 0});
    journal_say(w->journal, EVENT_RUN_FINISHED, body);
}

static void first_due(void *ctx, uint64_t node)
{
    uint64_t *first = ctx;
    if (*first == 0 || node < *first) *first = node;
}

/* The cap: what moved in the last turn, and who uses it. */
static int keeps_moving(weir *w, weir_error *err)
{
    uint64_t id = 0, item_id = 0;
    size_t at = 0;
    bytes key;
    plan_each_due(w->plan, first_due, &id);
    if (map_next(&w->observe_again, &at, &key, NULL) && key.size == sizeof item_id) memcpy(&item_id, key.data, sizeof item_id);
    const cat_node *node = id ? catalog_node(w->catalog, id, NULL) : NULL;
    const cat_item *item = item_id ? catalog_item(w->catalog, item_id, NULL) : NULL;
    return error_set(err, WEIR_FAILED, "%s keeps changing while %s uses it; stopped after %d turns, run again once it is quiet",
                     item ? (const char *)item->name.data : "what it reads", node ? (const char *)node->spec.name.data : "a node", TURNS_MOST);
}

static int turns_until_quiet(weir *w, uint64_t first, weir_error *err)
{
    plan_source source = {.ctx = w, .users = plan_users_of, .weight = w->dry ? NULL : weight_of};
    plan_free(w->plan);
    w->plan = NULL;
    int rc = plan_new(&w->plan, &source, err);
    if (rc == 0) rc = expand_begin(w, err);
    for (w->turns = first; rc == 0; w->turns++) {
        plan_reset(w->plan);
        weight_begin(w);
        counters_phase(w, PHASE_TARGETS);
        rc = targets_start(w, err);
        counters_phase(w, PHASE_TURNS);
        if (rc != 0 || plan_open(w->plan) == 0) break;
        if (w->turns >= first + TURNS_MOST) {
            rc = keeps_moving(w, err);
            break;
        }
        rc = w->dry_run ? dry_keep_observed(w, err) : 0;
        if (rc != 0) break;
        map_clear(&w->observe_again);
        map_clear(&w->read_lost);
        map_clear(&w->first_seen);
        rc = schedule_turn(w, err);
        if (rc != 0 || schedule_stopping(w)) break;
        rc = catalog_refresh(w->catalog, err);
        if (rc == 0 && w->claims_moved) rc = observe_trees(w, true, err); /* an output of a declared node was a source before */
        w->claims_moved = false;
    }
    return rc;
}

/* One snapshot from one wait of the loop to the next: what is newer was said by this engine, and is in memory. */
static int turns(weir *w, uint64_t first, weir_error *err)
{
    db_share(catalog_db(w->catalog), true);
    int rc = turns_until_quiet(w, first, err);
    db_share(catalog_db(w->catalog), false);
    return rc;
}

int plan_users_of(void *ctx, uint64_t node, const plan_user **users, size_t *count, weir_error *err)
{
    int rc = targets_users(ctx, node, users, count, err);
    return rc == 0 ? expand_users(ctx, node, users, count, err) : rc;
}

/* A target that is not known may be a node that an expand node declares: these are brought up to date first. */
static int select_after_expanding(weir *w, weir_error *err)
{
    weir_error unknown = *err;
    bool any = false;
    error_clear(err);
    int rc = targets_expand(w, &any, err);
    if (rc == 0 && !any) {
        *err = unknown;
        return unknown.code;
    }
    if (rc == 0) say_started(w);
    if (rc == 0) rc = turns(w, 0, err);
    return rc == 0 ? targets_select(w, err) : rc;
}

/* As for a later turn of a run: what failed before and what always runs does not count. */
static int is_anything_due(weir *w, bool *due, weir_error *err)
{
    *due = false;
    if (w->is_held && w->observe_again.count == 0) return 0;
    plan_source source = {.ctx = w, .users = plan_users_of};
    plan_free(w->plan);
    w->plan = NULL;
    int rc = plan_new(&w->plan, &source, err);
    w->turns = 1;
    if (rc == 0) rc = targets_start(w, err);
    w->turns = 0;
    *due = rc == 0 && plan_open(w->plan) > 0;
    return rc;
}

/* Nothing failed, and nothing is blocked by what failed: also in a circle, of which the last to be looked at may be blocked alone. */
static bool all_is_made(const weir *w)
{
    return w->summary->failed == 0 && w->summary->blocked == 0;
}

/* Everything between the first scan and the last turn. */
static int bring_up_to_date(weir *w, weir_error *err)
{
    bool changed = false;
    int rc = w->dry ? 0 : adopt_begin(w, err);
    if (rc == 0) rc = observe_start(w, err);
    if (rc == 0) w->scan.distrust = false; /* everything was read */
    w->scan.distrust_from_ns = 0;
    if (rc == 0 && w->is_reader) rc = recover_foresee(w, err);
    if (rc == 0) rc = observe_outside(w, err);
    counters_phase(w, PHASE_DEFINITION);
    if (rc == 0) rc = define_graph(w, &changed, err);
    if (rc == 0 && !w->dry && !(w->request->flags & WEIR_RUN_CHECK)) rc = adopt_check(w, err);
    counters_phase(w, PHASE_OBSERVE);
    if (rc == 0 && changed) rc = observe_outside(w, err); /* what the definition has just named */
    if (rc == 0 && changed) rc = observe_trees(w, true, err); /* what is an output may be another path now */
    if (rc == 0) rc = observe_unused_values(w, err);
    if (rc != 0 || (w->request->flags & WEIR_RUN_CHECK)) return rc;
    counters_phase(w, PHASE_TARGETS);
    rc = targets_select(w, err);
    bool is_running = w->dry || w->request->flags & WEIR_RUN_ACCEPT;
    if (rc == WEIR_USAGE && !is_running) rc = select_after_expanding(w, err);
    bool due = true;
    if (rc == 0 && !changed && (w->request->flags & WEIR_RUN_IF_DUE)) rc = is_anything_due(w, &due, err);
    if (rc == 0 && !due) return 0;
    if (rc == 0 && w->dry) rc = dry_begin(w, err);
    if (rc == 0 && !w->dry && !w->run_said) say_started(w);
    if (w->request->flags & WEIR_RUN_ACCEPT) return rc == 0 ? trust_accept(w, err) : rc;
    bool is_any_gone = false;
    if (rc == 0) rc = turns(w, w->turns, err);
    if (rc == 0 && w->dry && !w->limited && all_is_made(w)) rc = dry_vanished(w, err);
    bool full = rc == 0 && !w->dry && !w->limited && all_is_made(w) && !schedule_stopping(w);
    if (full) rc = output_remove_vanished(w, &is_any_gone, err);
    if (rc == 0 && is_any_gone) rc = turns(w, w->turns + 1, err); /* for those that read it undeclared */
    if (rc != 0 || w->dry) return rc;
    bool is_done = full && all_is_made(w) && !schedule_stopping(w);
    return is_done ? output_drop_transient(w, err) : output_leave_transient(w, err);
}

static int begin(weir *w, const weir_request *request, weir_summary *summary, weir_error *err)
{
    memset(summary, 0, sizeof *summary);
    summary->size = sizeof *summary;
    w->started_ns = os_monotonic_ns();
    w->request = request;
    w->summary = summary;
    w->dry = w->is_reader || (request->flags & WEIR_RUN_DRY) != 0;
    w->scan.stop = w->watching ? NULL : &w->interrupts; /* as schedule_interrupted */
    w->slots = request->jobs > 0 ? request->jobs : os_cpu_count();
    w->failed_code = 0;
    map_clear(&w->read_lost);
    misled_begin(w);
    map_clear(&w->first_seen);
    w->limited = w->any_raced = w->claims_moved = false;
    w->worker_failures = 0;
    w->changed_nodes = w->target_nodes = w->gone_nodes = NULL;
    w->changed_count = w->gone_count = w->target_node_count = w->target_node_capacity = w->new_default_count = 0;
    w->new_defaults = NULL;
    w->has_new_definition = w->run_said = false;
    w->turns = 0;
    w->keys_computed = w->probes = 0;
    w->plan_total = (plan_counts){0};
    map_clear(&w->programs);
    map_clear(&w->observe_again);
    map_clear(&w->older_code);
    w->older_count = 0;
    map_clear(&w->flights);
    w->following = 0;
    w->has_again = false;
    map_clear(&w->begun_told);
    map_clear(&w->kept_said);
    map_clear(&w->transient);
    counters_begin(w);
    bool finished = true;
    int rc = next_run_number(w, &w->run, &finished, err);
    if (rc == 0) journal_set_run(w->journal, w->run, w->dry);
    return rc == 0 ? limits_begin(w, err) : rc;
}

typedef struct due_count {
    weir *w;
    map seen;
    bool failed;
} due_count;

static void count_due(void *ctx, uint64_t node)
{
    due_count *c = ctx;
    bool added = false;
    if (!map_put(&c->seen, map_key_u64(&node), &added)) c->failed = true;
    else if (added) c->w->summary->due++;
}

/* The stored ones that nobody came to; memory knows better about those that were looked at. */
static int count_stored_due(due_count *c, weir_error *err)
{
    weir *w = c->w;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_NODES_UNSETTLED, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)w->graph);
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        uint64_t id = (uint64_t)db_int(q, 0);
        const cat_node *known = catalog_loaded(w->catalog, id);
        int status = known ? known->status : (int)db_int(q, 2);
        if (status == CAT_DUE && targets_wanted(w, id)) count_due(c, id);
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* A run that was stopped leaves nodes behind that are due: what the plan still holds, and what was to follow. */
static int count_left(weir *w, weir_error *err)
{
    due_count c = {.w = w};
    map_init(&c.seen);
    if (w->plan) plan_each_open(w->plan, count_due, &c);
    int rc = count_stored_due(&c, err);
    map_deinit(&c.seen);
    return rc == 0 && c.failed ? error_nomem(err, "counting what is due") : rc;
}

/* Said only once something is known to be recorded: a broken definition or an unknown target leaves no run behind. */
static int finish(weir *w, int rc, weir_error *err)
{
    weir_summary *s = w->summary;
    bool infrastructure = rc != 0 && rc != WEIR_FAILED && rc != WEIR_WORKFLOW && rc != WEIR_USAGE;
    int64_t graphs = 1;
    s->interrupted = atomic_load(&w->interrupts) > 0;
    if (!infrastructure && !w->dry && w->run_said && schedule_stopping(w)) (void)count_left(w, &(weir_error){0});
    uint64_t touched = s->ran + s->restored + s->failed + s->blocked + s->would_run + s->maybe + s->due + s->accepted;
    s->unchanged = s->nodes > touched ? s->nodes - touched : 0;
    if (w->dry) return rc;
    int end = count_graphs(w, &graphs, err && rc == 0 ? err : &(weir_error){0});
    bool complete = end == 0 && rc == 0 && !w->limited && !(w->request->flags & WEIR_RUN_ACCEPT) && s->failed == 0 && s->blocked == 0 && graphs <= 1 && !schedule_stopping(w);
    if (!infrastructure) {
        weir_error quiet = {0};
        weir_error *to = rc == 0 ? err : &quiet;
        end = observe_write(w, true, to);
        if (w->run_said) say_run_finished(w, complete);
        if (end == 0) end = journal_sync(w->journal, true, to);
        if (end == 0) output_notes_committed(w);
        s->run = w->run_said ? w->run : 0;
        if (rc == 0) rc = end;
    } else {
        journal_sync(w->journal, false, NULL);
    }
    return rc;
}

static int void_targets(weir *w, weir_error *err)
{
    int rc = define_stored(w, err);
    if (rc == 0) rc = targets_select(w, err);
    for (size_t i = 0; rc == 0 && i < w->target_node_count; i++) rc = trust_void(w, w->target_nodes[i], err);
    return rc == 0 ? journal_sync(w->journal, true, err) : rc;
}

int weir_void(weir *w, const char *const *targets, size_t count, weir_summary *summary, weir_error *err)
{
    weir_error local = {0};
    weir_summary own;
    if (!err) err = &local;
    if (!summary) summary = &own;
    *err = (weir_error){0};
    weir_request request = {.size = sizeof request, .targets = targets, .target_count = count};
    int rc = count > 0 ? begin(w, &request, summary, err) : error_set(err, WEIR_USAGE, "which node is to be voided?");
    journal_set_run(w->journal, 0, false);
    if (rc == 0) rc = void_targets(w, err);
    limits_end(w);
    catalog_clear(w->catalog);
    w->summary = &w->no_summary;
    w->request = NULL;
    return rc;
}

int weir_run(weir *w, const weir_request *request, weir_summary *summary, weir_error *err)
{
    weir_error local = {0};
    weir_summary own;
    if (!err) err = &local;
    if (!summary) summary = &own;
    *err = (weir_error){0};
    w->failure = &w->failure_space;
    w->failure_space = (weir_error){0};
    int rc = begin(w, request, summary, err);
    if (rc == 0 && (request->flags & WEIR_RUN_ACCEPT) && request->target_count == 0)
        rc = error_set(err, WEIR_USAGE, "which node is to be accepted?");
    if (rc == 0 && !w->dry) {
        if (!w->session_said) rc = say_session(w, err);
        w->session_said = true;
    }
    if (rc == 0) rc = bring_up_to_date(w, err);
    policy_tell(w);
    counters_phase(w, PHASE_FINISH);
    rc = finish(w, rc, err);
    watching_definition(w);
    jobs_end(w, watching_keeps(w, rc));
    limits_end(w);
    counters_fill(w);
    summary->seconds = (double)(os_monotonic_ns() - w->started_ns) / 1e9;
    plan_free(w->plan);
    w->plan = NULL;
    dry_free(w);
    journal_set_run(w->journal, 0, false);
    watching_cover(w);
    catalog_clear(w->catalog);
    if (!watching_keeps(w, rc)) sigcache_clear(w->sigs);
    w->summary = &w->no_summary;
    if (rc == 0 && summary->interrupted) rc = error_set(err, WEIR_CANCELLED, "interrupted");
    if (rc == 0 && !w->dry && summary->failed + summary->blocked > 0)
        rc = error_set(err, WEIR_FAILED, "%llu failed, %llu blocked", (unsigned long long)summary->failed, (unsigned long long)summary->blocked);
    if (!w->watching) atomic_store(&w->interrupts, 0); /* a watch ends for one that came late, too */
    return rc;
}
