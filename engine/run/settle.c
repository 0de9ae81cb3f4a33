/*
 * settle.c - one due node: blocked, a hit (unchanged or restored), or ready to run. How an execution ends: settle_end.c.
 *
 *   blocked_by set         -> SETTLED blocked
 *   key + lookup: hit      -> outputs as they should be: unchanged; else restored from blobs
 *   wait                   -> back to the planner, above the node it waits for
 *   observe                -> files are looked at, then the lookup starts again
 *   miss, no key, forced   -> TASK_READY
 */
#include "engine/run/command_internal.h"
#include "engine/run/output.h"
#include "engine/run/settle_internal.h"
#include "engine/world/manifest.h"

#include "generated/schema.h"

/* --- what is said ---------------------------------------------------------------------------------------------------- */

static weir_reason *named_reasons(task *t)
{
    weir_reason *named = arena_zero(&t->arena, t->reason_count ? t->reason_count : 1, sizeof *named);
    for (size_t i = 0; named && i < t->reason_count; i++)
        named[i] = tell_reason(t->w, &t->arena, &t->reasons[i]);
    return named;
}

void settle_tell(task *t, weir_event *event)
{
    event->node = (const char *)t->node->spec.name.data;
    event->effect = (const char *)t->node->spec.effect.data;
    event->reasons = named_reasons(t);
    event->reason_count = event->reasons ? t->reason_count : 0;
    tell_ended(t);
    tell(t->w, event);
}

static void infrastructure(task *t, const weir_error *err)
{
    schedule_fail(t->w, err);
    schedule_free(t);
}

static void say_settled(task *t, const event_settled *event)
{
    weir *w = t->w;
    buf *body = catalog_body(w->catalog);
    event_put_settled(body, event);
    t->node->settled = journal_say(w->journal, EVENT_SETTLED, body);
}

/* --- blocked ----------------------------------------------------------------------------------------------------- */

void settle_blocked(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    uint64_t before = t->node->settled;
    say_settled(t, &(event_settled){.node = t->node->id, .what = OUTCOME_BLOCKED, .cause = t->node->blocked_by,
                                    .spec_seq = t->node->spec_seq, .effect_seq = t->effect ? t->effect->seq : 0});
    t->node->settled = before;
    t->node->status = CAT_BLOCKED;
    w->summary->blocked++;
    const cat_node *cause = catalog_node(w->catalog, t->node->blocked_by, &err);
    settle_tell(t, &(weir_event){.kind = WEIR_EVENT_SETTLED, .outcome = outcome_name(OUTCOME_BLOCKED),
                                  .cause = cause ? (const char *)cause->spec.name.data : ""});
    schedule_settled(t, false, true);
}

/* A later turn comes back to a blocked node when one of its inputs is good again: another one may still have failed. */
static int find_blocker(task *t, weir_error *err)
{
    weir *w = t->w;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_NODE_SOURCES_DECLARED, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    while (t->node->blocked_by == 0 && db_step(q, err) == 1) {
        const cat_node *source = catalog_loaded(w->catalog, (uint64_t)db_int(q, 0)); /* whoever failed in this run is loaded */
        if (source && (source->status == CAT_FAILED || source->status == CAT_BLOCKED) && !source->planned) t->node->blocked_by = source->id;
    }
    db_reset(q);
    return err->code;
}

/* --- key --------------------------------------------------------------------------------------------------------- */

static bytes item_name(void *ctx, uint64_t item)
{
    weir *w = ctx;
    const cat_item *found = catalog_item(w->catalog, item, NULL);
    return found ? found->name : bytes_of("", 0);
}

/* The key that the node would have with the effect as in `effect`; a command's line is there already. */
static int key_with(task *t, const effect_spec *effect, key_parts *parts, hash128 *key, weir_error *err)
{
    weir *w = t->w;
    key_source source = {.effect = effect, .node = &t->node->spec, .item_name = item_name, .ctx = w};
    if (effect->kind == EFFECT_COMMAND) {
        bytes *words = NULL;
        int rc = command_words(&t->line, &t->arena, &words, &source.command_count, err);
        if (rc != 0) return rc;
        source.command = words;
        source.tool = t->tool;
    }
    key_compute(&source, parts, key);
    w->keys_computed++;
    return 0;
}

int settle_key(task *t, weir_error *err)
{
    int rc = expand_members(t, err);
    t->names = NULL;
    if (rc == 0) rc = observe_documents(t, err);
    if (rc == 0 && t->effect->spec.kind == EFFECT_COMMAND) rc = command_prepare(t, err);
    return rc == 0 ? key_with(t, &t->effect->spec, &t->parts, &t->key, err) : rc;
}

int settle_key_with(task *t, const effect_spec *effect, hash128 *key, weir_error *err)
{
    key_parts parts;
    return key_with(t, effect, &parts, key, err);
}

/* --- hit --------------------------------------------------------------------------------------------------------- */

/* The stored result is of another declaration: its literal parts must be equal too, not only their hash. */
static int same_components(task *t, const cat_result *result, bool *same, weir_error *err)
{
    *same = true;
    if (result->spec_seq == t->node->spec_seq) return 0;
    db_stmt *q = db_get(catalog_db(t->w->catalog), SQL_SPEC_BY_SEQ, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)result->spec_seq);
    int rc = db_step(q, err);
    if (rc == 1) {
        event_body body;
        node_spec other;
        rc = event_get(EVENT_NODE, db_bytes(q, 0), &t->arena, &body, err);
        if (rc == 0) rc = spec_get_stored(body.node.spec, &t->arena, &other, err);
        if (rc == 0)
            *same = bytes_equal(other.params, t->node->spec.params) && bytes_equal(other.effect, t->node->spec.effect) &&
                    other.input_count == t->node->spec.input_count && other.output_count == t->node->spec.output_count;
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* Everything on disk and in the state as the result says? Then nothing is to be done. */
static int holds_already(task *t, const cat_result *result, bool *holds, weir_error *err)
{
    weir *w = t->w;
    *holds = result->execution == t->node->execution && hash_equal(result->value, t->node->value);
    for (size_t i = 0; *holds && i < result->output_count; i++) {
        cat_item *item = catalog_item(w->catalog, t->node->spec.outputs[result->outputs[i].port].id, err);
        if (!item) return err->code;
        if (!hash_equal(item->hash, result->outputs[i].hash)) *holds = false;
        if (*holds) {
            int rc = output_is_good(w, item, holds, err);
            if (rc != 0) return rc;
        }
    }
    return 0;
}

static void settle_unchanged(task *t, const cat_result *result, bool moved)
{
    weir_error err = {0};
    if (t->node->looked && t->node->status == CAT_SETTLED && plan_is_asked(t->w->plan, t->node->id)) { /* nothing was known against it */
        schedule_settled(t, false, false);
        return;
    }
    say_settled(t, &(event_settled){.node = t->node->id, .what = OUTCOME_UNCHANGED, .execution = result->execution,
                                    .spec_seq = t->node->spec_seq, .effect_seq = t->effect->seq, .reasons = t->reasons,
                                    .reason_count = t->reason_count, .value = result->value, .changed = moved || t->shows_otherwise});
    t->node->status = CAT_SETTLED;
    t->node->due = 0;
    policy_used(t);
    settle_tell(t, &(weir_event){.kind = WEIR_EVENT_SETTLED, .outcome = outcome_name(OUTCOME_UNCHANGED)});
    if (output_transient_used(t->w, t->node, &err) != 0) schedule_fail(t->w, &err); /* it may be transient from now on */
    schedule_settled(t, moved || t->shows_otherwise, false);
}

/* Whole and undamaged? */
static int is_sound(weir *w, hash128 content, bool *sound, weir_error *err)
{
    int fd = os_openat(w->rootfd, "/dev/null", OS_WRITE, 0, err);
    if (fd < 0) return fd;
    int rc = blob_write_to(w->blobs, catalog_db(w->catalog), content, fd, "/dev/null", err);
    os_close(fd);
    *sound = rc == 0;
    return rc == WEIR_NOTFOUND || rc == WEIR_CORRUPT ? 0 : rc;
}

/* Is it on disk, or could it be brought back? */
static int would_restore(weir *w, cat_item *item, const output_record *want, bool *is_there, weir_error *err)
{
    hash128 content;
    int rc = hash_equal(item->hash, want->hash) ? output_is_good(w, item, is_there, err) : 0;
    if (rc == 0 && !*is_there) *is_there = item->disk_differs && hash_equal(item->disk_hash, want->hash);
    if (rc != 0 || *is_there) return rc;
    if (manifest_is_folder(item->name)) return output_folder_is_stored(w, want->hash, is_there, err);
    rc = output_is_stored(w, want->hash, want->mode, &content, is_there, err);
    return rc == 0 && *is_there ? is_sound(w, content, is_there, err) : rc;
}

/* Is everything that the result consists of still in the store (or on disk)? Restores the outputs. 1: done; 0: a miss. */
static int bring_back(task *t, const cat_result *result, output_record *now, bool *changed, weir_error *err)
{
    weir *w = t->w;
    *changed = !hash_equal(result->value, t->node->value) || t->node->execution == 0 || t->shows_otherwise;
    if (!hash_is_none(result->value) && !hash_equal(result->value, t->node->value)) {
        bool has = false;
        int rc = blob_has(w->blobs, catalog_db(w->catalog), result->value, &has, err);
        if (rc == 0 && !has) {
            rc = catalog_refresh(w->catalog, err);
            if (rc == 0) rc = blob_has(w->blobs, catalog_db(w->catalog), result->value, &has, err);
        }
        if (rc != 0 || !has) return rc;
    }
    for (size_t i = 0; !w->dry && result->output_count > 1 && i < result->output_count; i++) { /* all or none (P5) */
        cat_item *item = catalog_item(w->catalog, t->node->spec.outputs[result->outputs[i].port].id, err);
        int rc = item ? output_make_room(w, item, err) : err->code ? err->code : WEIR_BUG;
        if (rc != 0) return rc;
    }
    for (size_t i = 0; i < result->output_count; i++) {
        const spec_output *out = &t->node->spec.outputs[result->outputs[i].port];
        cat_item *item = catalog_item(w->catalog, out->id, err);
        if (!item) return err->code ? err->code : WEIR_BUG;
        now[i] = result->outputs[i];
        now[i].item = item->id;
        bool is_there = false;
        int rc = 0;
        if (!hash_equal(item->hash, now[i].hash)) *changed = true;
        if (w->dry) {
            rc = would_restore(w, item, &now[i], &is_there, err);
            if (rc != 0 || !is_there) return rc;
            continue;
        }
        bool written = false;
        rc = output_restore(w, item, &now[i], t->node->id, &written, err);
        if (rc == WEIR_NOTFOUND || rc == WEIR_CORRUPT) return 0;
        if (rc != 0) return rc;
    }
    return 1;
}

/* 1: settled; 0: it must run after all. */
static int settle_restored(task *t, const cat_result *result, bool moved, weir_error *err)
{
    weir *w = t->w;
    output_record *now = arena_zero(&t->arena, result->output_count ? result->output_count : 1, sizeof *now);
    if (!now) return error_nomem(err, "restoring outputs");
    bool changed = false;
    observe_dirty(w);
    int rc = bring_back(t, result, now, &changed, err);
    if (rc <= 0) return rc;
    changed |= moved;
    say_settled(t, &(event_settled){.node = t->node->id, .what = OUTCOME_RESTORED, .execution = result->execution,
                                    .spec_seq = t->node->spec_seq, .effect_seq = t->effect->seq, .reasons = t->reasons,
                                    .reason_count = t->reason_count, .outputs = now, .output_count = result->output_count,
                                    .value = result->value, .changed = changed});
    for (size_t i = 0; i < result->output_count; i++) catalog_wrote(w->catalog, &now[i]);
    if (output_transient_used(w, t->node, err) != 0) return err->code;
    t->node->status = CAT_SETTLED;
    t->node->due = 0;
    if (t->node->execution != result->execution) journal_use(w->journal, result->execution, t->node->settled);
    t->node->execution = result->execution;
    t->node->value = result->value;
    policy_used(t);
    w->summary->restored++;
    if (!changed) w->summary->cut_off++;
    settle_tell(t, &(weir_event){.kind = WEIR_EVENT_SETTLED, .outcome = outcome_name(OUTCOME_RESTORED), .changed = changed});
    schedule_settled(t, changed, false);
    return 1;
}

/* --- miss -------------------------------------------------------------------------------------------------------- */

/* Users are looked at: what they read of it is unknown now. */
static void would_run(task *t)
{
    weir *w = t->w;
    bool runs_anyway = t->node->forced || (t->node->spec.flags & SPEC_ALWAYS) || t->effect->spec.always.size;
    uint64_t twin = t->unsure || runs_anyway ? 0 : dry_same_work(w, t->key, t->node->id);
    if (twin) t->unsure = twin; /* it may find that result */
    const cat_node *above = t->unsure ? catalog_loaded(w->catalog, t->unsure) : NULL;
    t->node->planned = true;
    weir_error err = {0};
    if ((t->node->spec.flags & SPEC_EXPAND) && expand_plan(t, &err) != 0) schedule_fail(w, &err);
    if (above) w->summary->maybe++;
    else w->summary->would_run++;
    settle_tell(t, &(weir_event){.kind = above ? WEIR_EVENT_MAYBE : WEIR_EVENT_WOULD_RUN,
                                  .cause = above ? (const char *)above->spec.name.data : NULL});
    schedule_settled(t, true, false);
}

void settle_failed_before(task *t, uint64_t execution, weir_event *how)
{
    say_settled(t, &(event_settled){.node = t->node->id, .what = OUTCOME_FAILED, .execution = execution,
                                    .spec_seq = t->node->spec_seq, .effect_seq = t->effect->seq, .reasons = t->reasons,
                                    .reason_count = t->reason_count});
    t->node->status = CAT_FAILED;
    t->node->due = 0;
    t->w->summary->failed++;
    how->kind = WEIR_EVENT_SETTLED;
    how->outcome = outcome_name(OUTCOME_FAILED);
    settle_tell(t, how);
    schedule_settled(t, false, true);
}

/* What it did before it failed or was interrupted is unknown: a person, or a change, decides whether it runs again. */
static void settle_held(task *t, const char *message)
{
    settle_failed_before(t, t->node->execution, &(weir_event){.message = message});
}

/* Why an input cannot be read, in `err`; 0: all can. */
static int check_readable(task *t, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->input_count; i++) {
        if (!spec_input_has(&spec->inputs[i], MEMBER_ITEM) && !spec_input_has(&spec->inputs[i], MEMBER_OUTPUT)) continue;
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            const spec_member *m = &spec->inputs[i].members[k];
            if (m->kind == MEMBER_OUTPUT && t->effect->spec.kind == EFFECT_COMMAND) {
                int rc = output_member_check(t, m, spec->inputs[i].port, err);
                if (rc != 0) return rc;
            }
            if (m->kind != MEMBER_ITEM || (m->item != ITEM_FILE && !observe_is_tree(m->item))) continue;
            const cat_item *item = catalog_item(t->w->catalog, m->id, err);
            if (!item) return err->code ? err->code : WEIR_BUG;
            if (item->node != 0 || !hash_equal(item->hash, HASH_UNREADABLE)) continue;
            scan_request r = {.path = item->name};
            weir_error closed = {0};
            if (observe_is_tree(item->kind)) (void)observe_tree_closed(t->w, item, &closed);
            else scan_one(&t->w->scan, &r);
            const char *why = closed.code ? closed.message : r.code ? r.message : "it could not be read before, and can be now: run again";
            return error_set(err, WEIR_FAILED, "input \"%s\": %s", (const char *)arena_bytes(&t->arena, spec->inputs[i].port).data, why);
        }
    }
    return 0;
}

static void settle_miss(task *t)
{
    weir_error unreadable = {0};
    int rc = t->w->dry ? 0 : check_readable(t, &unreadable);
    if (rc == WEIR_FAILED) {
        settle_failed(t, EXECUTION_FAILED, unreadable.message);
        return;
    }
    if (rc != 0) {
        infrastructure(t, &unreadable);
        return;
    }
    weir_error err = {0};
    const char *held = NULL;
    if (held_why(t, &held, &err) != 0) {
        infrastructure(t, &err);
        return;
    }
    if (held) {
        settle_held(t, held);
        return;
    }
    bool follows = false;
    uint64_t maker = 0;
    rc = output_bring_inputs(t, &maker, &err);
    if (rc == 0 && maker != 0) rc = jobs_make_again(t, maker, &err);
    if (rc == WEIR_FAILED) settle_failed(t, EXECUTION_FAILED, err.message);
    else if (rc != 0) infrastructure(t, &err);
    if (rc != 0 || maker != 0) return;
    if (t->w->dry) {
        would_run(t);
        return;
    }
    if (flight_join(t, &follows, &err) != 0) {
        infrastructure(t, &err);
        return;
    }
    if (follows) return;
    observe_dirty(t->w); /* from here on a kill leaves signatures unwritten */
    schedule_ready(t);
}

/* --- lookup ------------------------------------------------------------------------------------------------------ */

static int probe(void *ctx, hash128 prefix, bytes *refs, uint64_t *execution, weir_error *err)
{
    task *t = ctx;
    t->w->probes++;
    return catalog_probe(t->w->catalog, prefix, refs, execution, err);
}

static int resolve(void *ctx, const read_ref *ref, hash128 *hash, uint64_t *wait_for, resolve_result *how, weir_error *err)
{
    uint64_t source = 0;
    bool is_node = false;
    ((task *)ctx)->asks_found |= ref->port < 0;
    return settle_resolve(ctx, ref, hash, wait_for, how, &source, &is_node, err);
}

static int begin_step(void *ctx, const read_ref *refs, size_t count, weir_error *err)
{
    return resolve_begin(ctx, refs, count, err);
}

static void settle_lookup(task *t);

static void observed(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    int rc = observe_items(t->w, t->observe, t->observe_count, &err);
    t->observe_count = 0;
    if (rc != 0) {
        infrastructure(t, &err);
        return;
    }
    t->state = TASK_SETTLING;
    settle_lookup(t);
}

static int wait_for_node(task *t, uint64_t on, weir_error *err)
{
    weir *w = t->w;
    const cat_node *other = catalog_node(w->catalog, on, err);
    if (!other) return err->code ? err->code : WEIR_BUG;
    int rc = edge_wait(w, t->node->id, other, err);
    if (rc == 0) schedule_free(t);
    return rc;
}

/* 1: settled; 0: it must run; negative: an error. */
static int settle_hit(task *t, uint64_t execution, weir_error *err)
{
    const cat_result *result = NULL;
    int rc = catalog_result(t->w->catalog, execution, &result, err);
    if (rc == WEIR_NOTFOUND) return 0;
    bool same = true, holds = false, moved = false;
    if (rc == 0 && result->result == EXECUTION_FAILED) {
        if (t->by_other_key || failure_is_never_known(&t->node->spec)) return 0;
        rc = same_components(t, result, &same, err);
        if (rc == 0 && same) rc = failure_found(t, result, err);
        return rc == 0 && same ? 1 : rc;
    }
    if (rc == 0 && result->output_count != t->node->spec.output_count) return 0;
    if (rc == 0) rc = same_components(t, result, &same, err);
    if (rc == 0 && same) rc = policy_fits(t, result, &same, err);
    if (rc == 0 && same) rc = edge_restore(t, execution, err);
    if (rc == WEIR_FAILED) { /* a cycle is a miss */
        error_clear(err);
        return 0;
    }
    if (rc == 0 && same && (t->node->spec.flags & SPEC_EXPAND)) {
        const char *message = NULL;
        rc = expand_apply(t, result->value, &message, err);
        if (rc == WEIR_NOTFOUND) { /* the list is not there any more: it is made again */
            error_clear(err);
            return 0;
        }
        if (rc == WEIR_WORKFLOW) {
            error_clear(err);
            settle_failed(t, EXECUTION_FAILED, message);
            return 1;
        }
    }
    if (rc == 0 && same) rc = holds_already(t, result, &holds, err);
    if (rc == 0 && same) rc = settle_moved(t, &moved, err);
    moved |= t->list_changed;
    if (rc != 0 || !same) return rc;
    if (holds) {
        settle_unchanged(t, result, moved);
        return 1;
    }
    if (t->node->spec.flags & (SPEC_UPDATE | SPEC_NO_STORE)) return 0;
    return settle_restored(t, result, moved, err);
}

static int look_up(task *t, hash128 key, lookup_result *result, uint64_t *execution, uint64_t *wait_for, weir_error *err)
{
    lookup_source source = {.ctx = t, .probe = probe, .begin = begin_step, .resolve = resolve,
                            .current = t->node->status == CAT_FAILED ? 0 : t->node->execution,
                            .latest_alone = t->effect->spec.kind == EFFECT_COMMAND};
    mem_arena scratch;
    t->asks_found = false;
    arena_init(&scratch);
    int rc = lookup_trace(&source, key, &scratch, result, execution, wait_for, NULL, err);
    arena_deinit(&scratch);
    return rc;
}

static void settle_lookup(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    lookup_result result = LOOKUP_MISS;
    uint64_t execution = 0, wait_for = 0;
    int rc = 0;
    bool always = (t->node->spec.flags & SPEC_ALWAYS) || t->effect->spec.always.size || t->node->forced || hash_is_none(t->key);
    if (!always) {
        t->unsure = 0;
        rc = look_up(t, t->key, &result, &execution, &wait_for, &err);
        hash128 other;
        bool has_other = false;
        if (rc == 0 && result == LOOKUP_MISS) rc = policy_other_key(t, &other, &has_other, &err);
        t->by_other_key = has_other;
        if (rc == 0 && has_other) rc = look_up(t, other, &result, &execution, &wait_for, &err);
    }
    if (rc == 0 && result == LOOKUP_WAIT) {
        rc = wait_for_node(t, wait_for, &err);
        if (rc == 0) return;
        if (rc == WEIR_WORKFLOW) { /* a cycle is a miss */
            error_clear(&err);
            rc = 0;
            result = LOOKUP_MISS;
            if (w->dry) t->unsure = wait_for;
        }
    }
    if (rc == 0 && result == LOOKUP_OBSERVE) {
        observed(t);
        return;
    }
    if (rc == 0 && result == LOOKUP_UNMADE) {
        bool sure = false;
        rc = failure_would_read(t, &sure, &err);
        if (rc == 0 && sure) rc = misled_note(w, t->node->id, wait_for, &err);
        if (rc == 0 && sure) {
            t->node->blocked_by = wait_for;
            settle_blocked(t);
            return;
        }
        result = LOOKUP_MISS;
    }
    if (result != LOOKUP_MISS) t->unsure = 0;
    if (rc == 0) rc = settle_reasons(t, &err);
    if (rc == 0 && result == LOOKUP_HIT) rc = settle_hit(t, execution, &err);
    if (rc == 1) return;
    if (rc == WEIR_FAILED) { /* something is in the way of an output */
        settle_failed(t, EXECUTION_FAILED, err.message);
        return;
    }
    if (rc < 0) {
        infrastructure(t, &err);
        return;
    }
    settle_miss(t);
    (void)w;
}

void settle_begin(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    bool waits = false;
    if (t->node->status == CAT_GONE) { /* its expand node does not declare it any more */
        schedule_settled(t, false, false);
        return;
    }
    if (expand_wait(t, &waits, &err) != 0) {
        infrastructure(t, &err);
        return;
    }
    if (waits) return;
    t->effect = catalog_effect(w->catalog, t->node->effect, &err);
    if (!t->effect) {
        if (err.code == 0) error_set(&err, WEIR_BUG, "node %s: its effect is not stored", (const char *)t->node->spec.name.data);
        infrastructure(t, &err);
        return;
    }
    bool runs = false;
    if (adopt_settle(t, &runs, &err) != 0) {
        infrastructure(t, &err);
        return;
    }
    if (runs) return;
    bool came_late = (t->node->spec.parent != 0 || w->limited) && w->summary->failed > 0; /* its inputs may have failed before it was wanted */
    bool was_blocked = t->node->status == CAT_BLOCKED && w->turns > 0;
    if (t->node->blocked_by == 0 && (came_late || was_blocked) && find_blocker(t, &err) != 0) {
        infrastructure(t, &err);
        return;
    }
    if (t->node->blocked_by != 0 && !expand_is_open(t)) {
        settle_blocked(t);
        return;
    }
    if (t->node->status == CAT_SETTLED && !t->node->forced && !t->node->looked && plan_is_asked(w->plan, t->node->id)) { /* needed, and as it was */
        schedule_settled(t, false, false);
        return;
    }
    int rc = settle_key(t, &err);
    if (rc == WEIR_NOTFOUND || rc == WEIR_WORKFLOW || rc == WEIR_LIMIT) { /* a program that is not there, too long a command */
        if (settle_reasons(t, &err) == 0) {
            char message[sizeof err.message];
            memcpy(message, err.message, sizeof message);
            if (w->dry) would_run(t);
            else settle_failed(t, EXECUTION_FAILED, message);
            return;
        }
    }
    if (rc == 0 && w->dry) t->unsure = expand_unsure(t);
    if (rc != 0) infrastructure(t, &err);
    else if (t->unsure) would_run(t);
    else settle_lookup(t);
}
