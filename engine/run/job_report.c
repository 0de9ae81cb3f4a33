/*
 * job_report.c - what a worker reported, until its node is settled: reads, value, outputs; or why there are none.
 *
 * What it has read is held against what the engine sees (raced otherwise), payloads go into the store, and then all outputs to their
 * places, or none (P5). An attempt that cannot count leaves nothing behind.
 *
 * Loop thread only.
 */
#include <stdio.h>

#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/world/manifest.h"

static void remove_temps(task *t)
{
    for (size_t i = 0; i < t->node->spec.output_count; i++) {
        char *path = jobs_temp_path(t, i);
        if (path) os_remove_tree(t->w->rootfd, path, NULL);
    }
}

void jobs_failed(task *t, execution_result result, const char *message)
{
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", message);
    remove_temps(t);
    if (t->state == TASK_WAITING) t->w->jobs_waiting--;
    else t->w->jobs_running--;
    settle_failed(t, result, copy);
}

/* A file that was read without being declared: it becomes an item, and is compared with what the engine sees. */
static int found_file(task *t, const job_read *from, read_record *to, bool *raced, weir_error *err)
{
    weir *w = t->w;
    cat_item *member = NULL;
    int found = output_member_found(t, from->path, &member, err);
    if (found != 0) return found;
    if (member) return jobs_found_member(t, from, member, to, raced, err);
    cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, from->path, true, err);
    if (!item) return err->code;
    to->ref.item = to->source = item->id;
    if (item->node != 0) {
        bool unmade = false;
        int rc = command_found_output(t, item, raced, &unmade, err);
        if (unmade) to->hash = HASH_UNREADABLE;
        if (rc != 0 || unmade) return rc;
    } else if (hash_is_none(item->hash) || !observe_known(w, item)) {
        int rc = observe_one(w, item, err);
        if (rc != 0) return rc;
    }
    if (!hash_equal(item->hash, from->hash)) {
        *raced = true;
        return item->node == 0 ? observe_one(w, item, err) : 0;
    }
    return 0;
}

/* A node that was needed. Its name alone is remembered when there is none. */
static int found_node(task *t, const job_read *from, read_record *to, bool *raced, weir_error *err)
{
    weir *w = t->w;
    cat_node *node = NULL;
    hash128 hash = HASH_ABSENT;
    to->source = from->ref.item;
    to->source_is_node = false;
    int rc = need_node(w, from->path, &node, err);
    if (rc == 0 && node) rc = resolve_node_hash(w, node, &hash, err);
    if (rc != 0) return rc;
    if (!hash_equal(hash, from->hash) || from->differs) *raced = true;
    return node ? edge_lift(w, node, t->node, err) : 0;
}

/* Is it made by a node that this run is not about so far? */
static bool takes_in(task *t, const job_read *r)
{
    weir *w = t->w;
    if (!w->limited || r->ref.port >= 0 || r->source_is_node) return false;
    const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, r->path, false, NULL);
    return item && item->node != 0 && !targets_wanted(w, item->node);
}

/* A declared input that the worker saw otherwise than the engine. */
static int declared_moved(task *t, const job_read *from, weir_error *err)
{
    cat_item *item = from->source_is_node ? NULL : catalog_item(t->w->catalog, from->source, err);
    return item && item->kind == ITEM_FILE ? observe_one(t->w, item, err) : 0;
}

/*
 * One after the other, as they were read. What followed a read that was out of date, or that may turn out to be, may be no more than its
 * consequence: nobody is taken in for that. What followed the read of an output that could not be made is of no interest.
 */
static int take_reads(task *t, const job_report *report, bool *raced, weir_error *err)
{
    t->end.reads = arena_zero(&t->arena, report->read_count ? report->read_count : 1, sizeof *t->end.reads);
    if (!t->end.reads) return error_nomem(err, "recording reads");
    int rc = 0;
    bool doubtful = false;
    for (size_t i = 0; rc == 0 && !t->unmade && i < report->read_count; i++) {
        const job_read *from = &report->reads[i];
        bool is_new = takes_in(t, from);
        size_t open = plan_open(t->w->plan);
        if (is_new && (*raced || doubtful)) {
            *raced = true;
            break;
        }
        read_record *to = &t->end.reads[t->end.read_count++];
        *to = (read_record){.ref = from->ref, .group = from->group, .source = from->source, .source_is_node = from->source_is_node, .hash = from->hash};
        if (from->ref.port < 0) {
            bool is_old = false;
            rc = from->source_is_node ? found_node(t, from, to, &is_old, err) : found_file(t, from, to, &is_old, err);
            if (rc == WEIR_FAILED && *raced) { /* a circle, through what may not be read any more */
                t->end.read_count--;
                error_clear(err);
                rc = 0;
                break;
            }
            *raced |= is_old;
            doubtful |= is_new && plan_open(t->w->plan) > open; /* something that it is made from is looked at now */
        } else if (from->differs) {
            *raced = true;
            rc = declared_moved(t, from, err);
        } else {
            rc = jobs_check_names(t, from, raced, err);
        }
    }
    if (*raced) t->unmade = NULL;
    if (rc == 0 && !*raced && !t->unmade) rc = jobs_fold_folders(t, err);
    return rc == 0 ? jobs_fold_lists(t, err) : rc;
}

static int take_value(task *t, const job_report *report, weir_error *err)
{
    if (!report->has_value) return 0;
    blob_row row = {0};
    int rc = blob_take_bytes(t->w->blobs, report->value, &t->end.value, &row, err);
    if (rc == 0 && row.stored) journal_payload(t->w->journal, &row);
    if (rc == 0) jobs_remember_value(t->w, t->end.value, report->value);
    return rc;
}

/* Several outputs: either all can go to their places, or none does (P5). */
static int make_room(task *t, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && t->end.output_count > 1 && i < t->end.output_count; i++) {
        cat_item *item = catalog_item(t->w->catalog, t->end.outputs[i].item, err);
        rc = item ? output_make_room(t->w, item, err) : err->code ? err->code : WEIR_BUG;
    }
    return rc;
}

/* All payloads are on their way: outputs go to their places. */
static void place_outputs(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    int rc = make_room(t, &err);
    for (size_t i = 0; rc == 0 && i < t->end.output_count; i++) {
        const output_record *o = &t->end.outputs[i];
        cat_item *item = catalog_item(w->catalog, o->item, &err);
        if (!item) rc = err.code ? err.code : WEIR_BUG;
        else if (manifest_is_folder(item->name)) rc = output_folder_place(w, item, jobs_temp_path(t, o->port), o->hash, t->node->id, &err);
        else rc = output_place(w, item, jobs_temp_path(t, o->port), o->hash, o->size, o->mode, t->node->id, &err);
    }
    if (rc != 0) {
        jobs_failed(t, EXECUTION_TRANSIENT, err.message);
        return;
    }
    w->jobs_running--;
    settle_finish(t);
}

/* A folder is known only now. */
static void take_folder(task *t, const scan_request *r)
{
    for (size_t i = 0; i < t->end.output_count; i++) {
        output_record *o = &t->end.outputs[i];
        if (o->item != r->item || !hash_is_none(o->hash)) continue;
        o->hash = r->hash;
        o->size = r->size;
        o->mode = r->mode;
    }
}

static void payloads_kept(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->request_count; i++) {
        scan_request *r = &t->requests[i];
        if (r->code == 0) take_folder(t, r);
        rc = r->code ? error_set(&err, r->code, "%s", r->message) : output_keep_payload(t->w, r, &err);
    }
    for (size_t i = 0; i < t->request_count; i++) scan_drop_rows(&t->requests[i]);
    if (rc != 0) jobs_failed(t, rc == WEIR_WORKFLOW ? EXECUTION_FAILED : EXECUTION_TRANSIENT, err.message);
    else place_outputs(t);
}

static int request_folder(task *t, const job_written *from, bool keep, weir_error *err)
{
    const char *path = arena_printf(&t->arena, "%s/", jobs_temp_path(t, from->port));
    if (!path) return error_nomem(err, "recording outputs");
    t->requests[t->request_count++] = (scan_request){.item = t->node->spec.outputs[from->port].id, .path = bytes_str(path),
                                                     .flags = (keep ? SCAN_KEEP : SCAN_LIST) | SCAN_RENAMED};
    return 0;
}

static int take_written(task *t, const job_report *report, weir_error *err)
{
    weir *w = t->w;
    bool keep = !(t->node->spec.flags & SPEC_NO_STORE);
    t->end.outputs = arena_zero(&t->arena, report->written_count ? report->written_count : 1, sizeof *t->end.outputs);
    t->requests = arena_zero(&t->arena, report->written_count ? report->written_count : 1, sizeof *t->requests);
    if (!t->end.outputs || !t->requests) return error_nomem(err, "recording outputs");
    for (size_t i = 0; i < report->written_count; i++) {
        const job_written *from = &report->written[i];
        if (from->port >= t->node->spec.output_count) return error_set(err, WEIR_BUG, "a worker wrote to a port that is not there");
        t->end.outputs[t->end.output_count++] = (output_record){.port = from->port, .item = t->node->spec.outputs[from->port].id,
                                                                .hash = from->hash, .size = from->size, .mode = from->mode};
        if (hash_is_none(from->hash)) {
            int rc = request_folder(t, from, keep, err);
            if (rc != 0) return rc;
            continue;
        }
        if (!keep) continue;
        if (!from->is_inline) {
            t->requests[t->request_count++] = (scan_request){.path = bytes_str(jobs_temp_path(t, from->port)), .flags = SCAN_KEEP | SCAN_RENAMED};
            continue;
        }
        scan_request r = {.hash = from->hash, .content = from->content, .size = from->size, .mode = from->mode};
        int rc = blob_row_make(from->inlined, from->content, &r.row, err);
        if (rc == 0) rc = output_keep_payload(w, &r, err);
        if (rc != 0) return rc;
    }
    return 0;
}

/* The attempt saw no file where a transient output belongs: it does not count. */
static void repeat(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    remove_temps(t);
    w->jobs_running--;
    if (t->lost_maker == 0) {
        schedule_again(t);
    } else if (jobs_make_again(t, t->lost_maker, &err) != 0) {
        schedule_fail(w, &err);
        schedule_free(t);
    }
}

/* Waiting for nodes ended the attempt. */
void jobs_given_up(task *t, const job_report *report)
{
    weir *w = t->w;
    weir_error err = {0};
    need_end end = need_ended(t);
    if (end == NEED_FAILED) {
        if (misled_note_report(w, t->node->id, report, &err) != 0) schedule_fail(w, &err);
        jobs_failed(t, EXECUTION_TRANSIENT, report && report->message.size ? (const char *)arena_bytes(&t->arena, report->message).data
                                                                         : "what it needs cannot be made");
        return;
    }
    remove_temps(t);
    w->jobs_running--;
    if (end == NEED_BLOCKED) {
        if (misled_note(w, t->node->id, t->node->blocked_by, &err) != 0 || misled_note_report(w, t->node->id, report, &err) != 0)
            schedule_fail(w, &err);
        settle_blocked(t);
        return;
    }
    int rc = need_restart(t, &err);
    if (rc != 0) schedule_fail(w, &err);
    schedule_free(t);
}
void jobs_reported(task *t, const job_report *report)
{
    weir *w = t->w;
    weir_error err = {0};
    t->superseded = NULL; /* it came to its end before it was ended */
    t->state = TASK_FINISHING;
    t->log = arena_bytes(&t->arena, report->log);
    t->end.duration_us = report->duration_us;
    t->end.cpu_us = report->cpu_us;
    if (need_ended(t) != NEED_NONE) {
        jobs_given_up(t, report);
        return;
    }
    bool raced = false;
    int rc = t->lost_maker ? 0 : take_reads(t, report, &raced, &err);
    if (rc == 0 && t->brought) {
        repeat(t);
        return;
    }
    if (rc == 0 && t->unmade) {
        remove_temps(t);
        w->jobs_running--;
        failure_blocks(t);
        return;
    }
    if (rc == 0 && !report->ok) {
        t->end.known = report->known && failure_may_be_known(t);
        jobs_failed(t, raced ? EXECUTION_TRANSIENT : EXECUTION_FAILED, (const char *)arena_bytes(&t->arena, report->message).data);
        return;
    }
    if (rc == 0) rc = take_value(t, report, &err);
    if (rc == 0) rc = take_written(t, report, &err);
    t->end.result = raced ? EXECUTION_RACED : report->impure ? EXECUTION_IMPURE : EXECUTION_OK;
    if (report->impure)
        tell_message(w, "%s: it changed shared state (%.*s); its result is used but not remembered", (const char *)t->node->spec.name.data,
                     (int)report->impure_what.size, (const char *)report->impure_what.data);
    if (rc == 0 && t->request_count) rc = scan_submit(&w->loop, &w->scan, t->requests, t->request_count, payloads_kept, t, &err);
    else if (rc == 0) {
        place_outputs(t);
        return;
    }
    if (rc != 0) jobs_failed(t, EXECUTION_TRANSIENT, err.message);
}
