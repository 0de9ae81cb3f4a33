/*
 * recover.c - what an earlier engine left open.
 *
 *     end what still runs -> outputs as before -> say that the executions are finished -> stray files back ->
 *     what was placed and not recorded undone (output_note.c) -> commit -> sweep tmp
 *
 * An old output waits as .weir/tmp/<token>/<number>, if the attempt came that far, and goes back by rename. Where none waits it
 * is back already (same hash), or it never left and is as it was, or it comes from the store; a lost payload is a miss, the node is
 * due anyway. An output that did not exist before is removed, and a depfile. Outputs of update nodes have neither and stay.
 *
 * R1  Every step can be repeated: an execution is open until its outputs are back and the event is committed, and the next engine
 *     starts again from the beginning. Nothing in tmp is swept before that commit.
 * R2  What was at a path may have come from the attempt or, after it died, from the user: it is in the store before it is
 *     replaced (P13), recorded but not announced.
 * R3  Cost grows with the executions that were open, not with history.
 *
 * R4  What the start of recovery says of an execution (EVENT_RECOVERED) stands in the batch of its end: both or none.
 * R5  A daemon or service that still runs is nobody's to touch: it stays open, with its outputs and what waits in tmp (adopt.c).
 *
 * Loop thread, while the engine opens: no run, no signatures yet. recover_one comes later, for one that was adopted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/run/command_internal.h"
#include "engine/run/output_internal.h"
#include "engine/world/capture.h"
#include "generated/schema.h"

typedef struct old_output {
    uint64_t item;
    int64_t number; /* -1: did not exist */
    hash128 hash;
    uint32_t mode;
    const char *path;
} old_output;

typedef struct open_execution {
    uint64_t id, node, run, ticks;
    int64_t pid;
    hash128 token;
    int job; /* job_type */
    const char *boot_id;
    old_output *outputs; /* owned */
    size_t count, capacity;
    uint64_t spec, effect, at_us; /* of its intent */
    uint64_t started;  /* seq of that */
    bool was_adopted;  /* by an earlier engine already */
    bool lives;        /* it is ours now */
} open_execution;

typedef struct recovery {
    weir *w;
    mem_arena arena;
    open_execution *open; /* owned */
    size_t count, capacity;
    uint64_t only; /* this execution; 0: all that are open */
} recovery;

static const char *text_of(mem_arena *arena, bytes from)
{
    return (const char *)arena_bytes(arena, from).data;
}

/* --- what is open ------------------------------------------------------------------------------------------------ */

static int read_open(recovery *r, weir_error *err)
{
    int rc;
    db_stmt *q = db_get(catalog_db(r->w->catalog), SQL_EXECUTIONS_OPEN, err);
    if (!q) return err->code;
    while ((rc = db_step(q, err)) == 1) {
        if (r->only != 0 && (uint64_t)db_int(q, 0) != r->only) continue;
        const char *boot_id = text_of(&r->arena, db_bytes(q, 7));
        if (!boot_id || !MEM_GROW(r->open, r->capacity, r->count + 1)) {
            db_reset(q);
            return error_nomem(err, "recovering");
        }
        r->open[r->count++] = (open_execution){.id = (uint64_t)db_int(q, 0),
                                               .node = (uint64_t)db_int(q, 1),
                                               .run = (uint64_t)db_int(q, 2),
                                               .pid = db_int(q, 3),
                                               .ticks = (uint64_t)db_int(q, 4),
                                               .token = db_hash(q, 5),
                                               .job = (int)db_int(q, 6),
                                               .boot_id = boot_id,
                                               .was_adopted = db_int(q, 8) != 0,
                                               .started = (uint64_t)db_int(q, 9),
                                               .at_us = (uint64_t)db_int(q, 10)};
    }
    return rc;
}

static int read_outputs(recovery *r, open_execution *x, weir_error *err)
{
    int rc;
    db_stmt *q = db_get(catalog_db(r->w->catalog), SQL_EXECUTION_ASIDES, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)x->id);
    while ((rc = db_step(q, err)) == 1) {
        const char *path = text_of(&r->arena, db_bytes(q, 4));
        if (!path || !MEM_GROW(x->outputs, x->capacity, x->count + 1)) {
            db_reset(q);
            return error_nomem(err, "recovering");
        }
        x->outputs[x->count++] = (old_output){.item = (uint64_t)db_int(q, 0),
                                              .number = db_int(q, 1),
                                              .hash = db_hash(q, 2),
                                              .mode = (uint32_t)db_int(q, 3),
                                              .path = path};
    }
    return rc;
}

/* A depfile that nobody will read goes the way of an output that did not exist before. */
static int add_depfile(recovery *r, open_execution *x, weir_error *err)
{
    os_stat st;
    const cat_node *node = catalog_node(r->w->catalog, x->node, err);
    if (!node) return err->code;
    if (node->spec.depfile.size == 0) return 0;
    const char *path = text_of(&r->arena, node->spec.depfile);
    if (!path) return error_nomem(err, "recovering");
    int rc = os_statat(r->w->rootfd, path, false, &st, err);
    if (rc != 0 || st.type == OS_ABSENT) return rc;
    const cat_item *item = catalog_item_named(r->w->catalog, ITEM_FILE, node->spec.depfile, true, err);
    if (!item) return err->code;
    if (!MEM_GROW(x->outputs, x->capacity, x->count + 1)) return error_nomem(err, "recovering");
    x->outputs[x->count++] = (old_output){.item = item->id, .number = -1, .path = path};
    return 0;
}

static int read_intent(recovery *r, open_execution *x, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(r->w->catalog), SQL_EXECUTION_INTENT, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)x->id);
    int rc = db_step(q, err);
    if (rc == 1) {
        x->spec = (uint64_t)db_int(q, 0);
        x->effect = (uint64_t)db_int(q, 1);
        x->at_us = (uint64_t)db_int(q, 2);
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* --- processes --------------------------------------------------------------------------------------------------- */

/* Pids and tokens of another boot mean nothing. */
static int end_processes(const open_execution *x, const char *boot_id, weir_error *err)
{
    size_t found = 0;
    if (strcmp(x->boot_id, boot_id) != 0) return 0;
    return process_end_leftover(x->token, x->pid, x->ticks, PROCESS_GRACE_MS, &found, err);
}

static void say_recovered(recovery *r, const open_execution *x, recovery_kind how)
{
    event_recovered e = {.execution = x->id, .node = x->node, .how = how};
    if (how == RECOVERED_ADOPTED) {
        e.pid = (uint64_t)x->pid;
        e.start_ticks = x->ticks;
    }
    buf *body = catalog_body(r->w->catalog);
    event_put_recovered(body, &e);
    journal_say(r->w->journal, EVENT_RECOVERED, body);
}

static bool is_long_lived(int type)
{
    return type == JOB_DAEMON || type == JOB_SERVICE;
}

/* A daemon or service that outlived its engine. */
static int adopt_living(recovery *r, open_execution *x, const char *boot_id, weir_error *err)
{
    if (!is_long_lived(x->job) || strcmp(x->boot_id, boot_id) != 0 || !process_find(x->token, &x->pid, &x->ticks)) return 0;
    int rc = adopt_take(r->w, &(adopted_process){.execution = x->id, .node = x->node, .started = x->started, .pid = x->pid,
                                                 .ticks = x->ticks, .at_us = (int64_t)x->at_us, .token = x->token}, err);
    if (rc != 0) return rc;
    uint64_t before = journal_run(r->w->journal);
    journal_set_run(r->w->journal, x->run, false);
    if (!x->was_adopted) say_recovered(r, x, RECOVERED_ADOPTED);
    journal_set_run(r->w->journal, before, false);
    x->lives = true;
    return 0;
}

/* --- outputs ----------------------------------------------------------------------------------------------------- */

static int keep_folder(recovery *r, const open_execution *x, const old_output *o, weir_error *err)
{
    cat_item *item = catalog_item(r->w->catalog, o->item, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    int rc = output_folder_keep(r->w, item, o->hash, x->node, true, err);
    if (rc != WEIR_FAILED) return rc;
    error_clear(err); /* something in it that cannot be read has nothing to lose */
    return 0;
}

/* What is at the path goes into the store; what cannot be read (a FIFO, a file of weir's own) has nothing to lose. */
static int keep_what_is_there(recovery *r, const open_execution *x, const old_output *o,
                              weir_error *err)
{
    hash128 content;
    weir_error why = {0};
    if (manifest_is_folder(bytes_str(o->path))) return keep_folder(r, x, o, err);
    int rc = output_store(r->w, o->path, &content, &why);
    if (rc == WEIR_NOTFOUND || rc == WEIR_FAILED || rc == WEIR_WORKFLOW) return 0;
    if (rc != 0)
        return error_set(err, rc, "%s cannot be kept before recovery puts the old one back: %s",
                         o->path, why.message);
    output_say_kept(r->w, o->item, content, x->node);
    return journal_sync(r->w->journal, false, err);
}

/* A folder that the attempt (or somebody) made is not ours to empty. */
static int is_blocked(recovery *r, const old_output *o, const os_stat *st, bool *blocked,
                      weir_error *err)
{
    bool removed = false;
    *blocked = false;
    if (st->type != OS_DIR) return 0;
    int rc = os_rmdirat(r->w->rootfd, o->path, &removed, err);
    *blocked = rc == 0 && !removed;
    if (*blocked)
        tell_message(r->w, "%s: a folder is in the way of an output; its old content is in the store",
                     o->path);
    return rc;
}

static int remove_folder(recovery *r, const old_output *o, weir_error *err)
{
    const char *path = output_plain_path(&r->arena, bytes_str(o->path));
    return path ? os_remove_tree(r->w->rootfd, path, err) : error_nomem(err, "recovering");
}

static int remove_fresh(recovery *r, const open_execution *x, const old_output *o,
                        const os_stat *st, weir_error *err)
{
    bool is_folder = manifest_is_folder(bytes_str(o->path));
    if (st->type == OS_ABSENT || (st->type == OS_DIR && !is_folder)) return 0;
    int rc = keep_what_is_there(r, x, o, err);
    if (is_folder) return rc == 0 ? remove_folder(r, o, err) : rc;
    return rc == 0 ? os_unlinkat(r->w->rootfd, o->path, err) : rc;
}

/* Is what was recorded at the path? Never, if nothing is known of the old one (changed by hand, and kept then). */
static bool is_as_recorded(recovery *r, const old_output *o)
{
    scan_config config = output_scan(r->w);
    scan_request look = {.path = bytes_str(o->path)};
    if (hash_is_none(o->hash) || output_is_link(r->w, look.path)) return false;
    scan_one(&config, &look);
    return look.code == 0 && hash_equal(look.hash, o->hash);
}

/* `temp` holds the old folder; what is in its place is of the attempt, or of somebody who came later. */
static int put_folder(recovery *r, const open_execution *x, const old_output *o, const char *temp, weir_error *err)
{
    const char *path = output_plain_path(&r->arena, bytes_str(o->path));
    int rc = path ? keep_folder(r, x, o, err) : error_nomem(err, "recovering");
    if (rc == 0) rc = remove_folder(r, o, err);
    os_kill_point("recover_folder_removed");
    if (rc == 0) rc = os_make_parents(r->w->rootfd, path, output_made_folder, r->w, err);
    return rc == 0 ? os_renameat(r->w->rootfd, temp, r->w->rootfd, path, err) : rc;
}

/* `temp` holds the old output. */
static int put_in_place(recovery *r, const open_execution *x, const old_output *o,
                        const os_stat *st, const char *temp, weir_error *err)
{
    bool blocked = false;
    hash128 content;
    int rc = is_blocked(r, o, st, &blocked, err);
    if (rc == 0 && blocked) return output_store(r->w, temp, &content, err);
    bool is_other = st->type != OS_ABSENT && st->type != OS_DIR;
    if (rc == 0 && is_other && !is_as_recorded(r, o))
        rc = keep_what_is_there(r, x, o, err);
    if (rc == 0) rc = os_make_parents(r->w->rootfd, o->path, output_made_folder, r->w, err);
    os_kill_point("recover_before_rename");
    return rc == 0 ? os_renameat(r->w->rootfd, temp, r->w->rootfd, o->path, err) : rc;
}

static int from_store(recovery *r, const open_execution *x, const old_output *o, const os_stat *st,
                      weir_error *err)
{
    os_stat made;
    weir_error why = {0};
    const char *temp = ".weir/tmp/recover";
    if (hash_is_none(o->hash) || hash_equal(o->hash, HASH_ABSENT)) return 0;
    if (st->type != OS_ABSENT && is_as_recorded(r, o)) return 0;
    int rc = output_from_store(r->w, o->hash, o->mode, temp, &made, &why);
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc != 0) return error_set(err, rc, "%s", why.message);
    return put_in_place(r, x, o, st, temp, err);
}

static int put_back(recovery *r, const open_execution *x, const old_output *o, weir_error *err)
{
    char aside[96];
    char hex[HASH_HEX];
    os_stat there;
    os_stat waiting;
    int rc = os_statat(r->w->rootfd, o->path, false, &there, err);
    if (rc == 0 && o->number < 0) return remove_fresh(r, x, o, &there, err);
    snprintf(aside, sizeof aside, ".weir/tmp/%s/%" PRId64, hash_hex(x->token, hex), o->number);
    if (rc == 0) rc = os_statat(r->w->rootfd, aside, false, &waiting, err);
    if (rc != 0) return rc;
    if (manifest_is_folder(bytes_str(o->path))) /* one that was never put aside is as it was, or a run restores it */
        return waiting.type == OS_ABSENT ? 0 : put_folder(r, x, o, aside, err);
    if (waiting.type == OS_ABSENT) return from_store(r, x, o, &there, err);
    return put_in_place(r, x, o, &there, aside, err);
}

/* --- one execution ----------------------------------------------------------------------------------------------- */

static execution_result result_of(int type)
{
    return type == JOB_BATCH || type == JOB_OPS ? EXECUTION_FAILED : EXECUTION_INTERRUPTED;
}

static recovery_kind kind_of(int type)
{
    if (result_of(type) == EXECUTION_FAILED) return RECOVERED_FAILED;
    return is_long_lived(type) ? RECOVERED_RESTART : RECOVERED_AGAIN;
}

/* What it wrote before its end, if that went to a file. */
static hash128 keep_log(recovery *r, const open_execution *x)
{
    char path[96];
    char hex[HASH_HEX];
    hash128 log = HASH_NONE;
    uint64_t size = 0;
    blob_row row = {0};
    weir_error ignored = {0};
    snprintf(path, sizeof path, ".weir/tmp/%s/" COMMAND_OUTPUT_NAME, hash_hex(x->token, hex));
    int fd = os_openat(r->w->rootfd, path, OS_READ | OS_WRITE | OS_NOFOLLOW, 0, &ignored);
    if (fd < 0) return log;
    if (capture_trim(fd, path, PROCESS_OUTPUT_CAP, &ignored) != 0 ||
        blob_take_file(r->w->blobs, fd, path, true, &log, &size, &row, &ignored) != 0 || size == 0)
        log = HASH_NONE;
    if (row.stored && !hash_is_none(log)) journal_payload(r->w->journal, &row);
    else mem_free(row.stored);
    os_close(fd);
    return log;
}

static void say_finished(recovery *r, const open_execution *x)
{
    hash128 log = keep_log(r, x);
    buf *body = catalog_body(r->w->catalog);
    event_put_finished(body, &(event_finished){.execution = x->id,
                                               .node = x->node,
                                               .result = result_of(x->job),
                                               .spec_seq = x->spec,
                                               .effect_seq = x->effect,
                                               .started_us = x->at_us,
                                               .log = log,
                                               .message = bytes_str("interrupted")});
    journal_say(r->w->journal, EVENT_FINISHED, body);
    say_recovered(r, x, kind_of(x->job));
}

/* Events count for the run that the execution belonged to. */
static int settle(recovery *r, const open_execution *x, weir_error *err)
{
    journal *j = r->w->journal;
    uint64_t before = journal_run(j);
    int rc = 0;
    journal_set_run(j, x->run, false);
    for (size_t i = 0; rc == 0 && i < x->count; i++) {
        rc = put_back(r, x, &x->outputs[i], err);
        os_kill_point("recover_put_back");
    }
    if (rc == 0) say_finished(r, x);
    os_kill_point("recover_said");
    journal_set_run(j, before, false);
    return rc;
}

static int settle_all(recovery *r, weir_error *err)
{
    char boot_id[40];
    int rc = 0;
    os_boot_id(boot_id);
    for (size_t i = 0; rc == 0 && i < r->count; i++) {
        rc = read_outputs(r, &r->open[i], err);
        if (rc == 0) rc = read_intent(r, &r->open[i], err);
    }
    for (size_t i = 0; rc == 0 && r->only == 0 && i < r->count; i++) rc = adopt_living(r, &r->open[i], boot_id, err);
    for (size_t i = 0; rc == 0 && i < r->count; i++)
        if (!r->open[i].lives) rc = end_processes(&r->open[i], boot_id, err);
    for (size_t i = 0; rc == 0 && i < r->count; i++)
        if (!r->open[i].lives) rc = add_depfile(r, &r->open[i], err);
    os_kill_point("recover_ended");
    for (size_t i = 0; rc == 0 && i < r->count; i++)
        if (!r->open[i].lives) rc = settle(r, &r->open[i], err);
    return rc;
}

/* --- the folder tmp ---------------------------------------------------------------------------------------------- */

/* A file on its way out when the engine died (output_vanish.c): back, or into the store where something new is at its path. */
static int return_stray(recovery *r, const char *name, weir_error *err)
{
    char temp[300];
    os_stat st;
    hash128 content;
    weir_error why = {0};
    char *end = NULL;
    uint64_t id = strtoull(name + 1, &end, 10);
    if (name[1] == '\0' || *end != '\0') return 0;
    snprintf(temp, sizeof temp, ".weir/tmp/%.255s", name);
    const cat_item *item = catalog_item(r->w->catalog, id, &why);
    if (!item && why.code != 0) return error_set(err, why.code, "%s", why.message);
    int rc = 0;
    if (item) rc = os_statat(r->w->rootfd, output_path(item), false, &st, err);
    if (rc != 0) return rc;
    if (!item || st.type != OS_ABSENT) {
        rc = output_store(r->w, temp, &content, err);
        if (rc == 0) output_say_kept(r->w, id, content, 0);
        return rc;
    }
    rc = os_make_parents(r->w->rootfd, output_path(item), output_made_folder, r->w, err);
    return rc == 0 ? os_renameat(r->w->rootfd, temp, r->w->rootfd, output_path(item), err) : rc;
}

static int list_tmp(recovery *r, os_entry **entries, size_t *count, weir_error *err)
{
    int rc = os_list(r->w->weirfd, "tmp", &r->arena, entries, count, err);
    if (rc != WEIR_NOTFOUND) return rc;
    error_clear(err);
    return 0;
}

static int return_strays(recovery *r, weir_error *err)
{
    os_entry *entries = NULL;
    size_t count = 0;
    int rc = list_tmp(r, &entries, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (entries[i].type == OS_FILE && entries[i].name[0] == 'v')
            rc = return_stray(r, entries[i].name, err);
    return rc;
}

static int sweep_tmp(recovery *r, weir_error *err)
{
    os_entry *entries = NULL;
    size_t count = 0;
    char path[300];
    int rc = list_tmp(r, &entries, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (adopt_owns(r->w, entries[i].name)) continue;
        snprintf(path, sizeof path, "tmp/%.255s", entries[i].name);
        rc = os_remove_tree(r->w->weirfd, path, err);
        os_kill_point("recover_sweep");
    }
    return rc;
}

static void recovery_end(recovery *r)
{
    for (size_t i = 0; i < r->count; i++) mem_free(r->open[i].outputs);
    mem_free(r->open);
    arena_deinit(&r->arena);
}

/* What is not repeated by itself is told by the run that finds it (settle.c). */
static void tell_interrupted(const recovery *r)
{
    size_t ended = 0;
    for (size_t i = 0; i < r->count; i++) ended += !r->open[i].lives;
    if (ended > 0)
        tell_message(r->w, "%zu execution%s of an earlier run %s interrupted; outputs are as before it", ended, ended == 1 ? "" : "s",
                     ended == 1 ? "was" : "were");
}

int recover_open(weir *w, weir_error *err)
{
    weir_error why = {0};
    recovery r = {.w = w};
    arena_init(&r.arena);
    int rc = read_open(&r, &why);
    os_kill_point("recover_begin");
    if (rc == 0) rc = settle_all(&r, &why);
    if (rc == 0) rc = return_strays(&r, &why);
    if (rc == 0) rc = output_notes_recover(w, &r.arena, &why);
    if (rc == 0) rc = journal_sync(w->journal, false, &why);
    os_kill_point("recover_synced");
    if (r.count > 0) catalog_clear(w->catalog); /* nodes as they were before their executions were ended */
    if (rc == 0) rc = sweep_tmp(&r, &why);
    if (rc == 0) tell_interrupted(&r);
    recovery_end(&r);
    return rc == 0 ? 0 : error_set(err, rc, "recovery: %s", why.message);
}

int recover_one(weir *w, uint64_t execution, weir_error *err)
{
    char path[96];
    char hex[HASH_HEX];
    recovery r = {.w = w, .only = execution};
    arena_init(&r.arena);
    int rc = catalog_refresh(w->catalog, err);
    if (rc == 0) rc = read_open(&r, err);
    if (rc == 0) rc = settle_all(&r, err);
    if (rc == 0) rc = journal_sync(w->journal, false, err);
    for (size_t i = 0; rc == 0 && i < r.count; i++) {
        snprintf(path, sizeof path, "tmp/%s", hash_hex(r.open[i].token, hex));
        rc = os_remove_tree(w->weirfd, path, err);
    }
    recovery_end(&r);
    return rc;
}

/* --- for a dry run ----------------------------------------------------------------------------------------------- */

static int foresee_output(weir *w, const old_output *o, weir_error *err)
{
    cat_item *item = catalog_item(w->catalog, o->item, err);
    if (!item) return err->code;
    bool was_never_made = o->number < 0 && hash_is_none(item->hash);
    item->foreseen = true;
    item->disk_hash = o->number < 0 ? HASH_ABSENT : o->hash;
    item->disk_differs = !was_never_made && !hash_equal(item->hash, item->disk_hash);
    return 0;
}

int recover_foresee(weir *w, weir_error *err)
{
    recovery r = {.w = w};
    arena_init(&r.arena);
    char boot_id[40];
    os_boot_id(boot_id);
    int rc = read_open(&r, err);
    for (size_t i = 0; rc == 0 && i < r.count; i++) {
        open_execution *x = &r.open[i];
        cat_node *node = catalog_node(w->catalog, x->node, err);
        if (!node) rc = err->code ? err->code : WEIR_BUG;
        else if (result_of(x->job) == EXECUTION_FAILED) {
            node->status = CAT_FAILED;
            node->due = REASON_INTERRUPTED;
            node->settled = journal_last(w->journal); /* what changes from now on is a change since */
        }
        if (rc == 0) rc = adopt_living(&r, x, boot_id, err); /* says nothing: the journal of a reader is silent */
        if (rc == 0 && x->lives) continue;
        if (rc == 0) rc = read_outputs(&r, x, err);
        for (size_t k = 0; rc == 0 && k < x->count; k++) rc = foresee_output(w, &x->outputs[k], err);
    }
    recovery_end(&r);
    return rc;
}
