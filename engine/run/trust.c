/*
 * trust.c - results taken on trust, and results given up.
 *
 *   weir accept   what is on disk now is the result of the node: its outputs, its present key, its inputs as they are
 *   weir void     the results of the node's key, and its failures, are found no more; the node is due
 *   the cap       of one key a node keeps the TRACES_MOST results that were made or found again last, and as many failures
 *
 * U1  An accepted result is recorded like an executed one: with its reads, as a trace, its payloads in the store. A folder is one payload
 *     for its list and one for each file in it. Nothing can make them again, so they are synced before the result is committed.
 * U2  Whatever a trace is given up for is an event, so that the state stays the fold of the log; when a result was found
 *     last is in the cache alone: without it, the oldest ones are given up.
 * U3  The cap counts per node: nodes that differ by their inputs alone share a key, and each keeps its own.
 *
 * Loop thread only.
 */
#include <stdlib.h>

#include "engine/run/output_internal.h"

#include "generated/schema.h"

enum { TRACES_MOST = 64 };

/* --- giving up --------------------------------------------------------------------------------------------------- */

typedef struct given_up {
    uint64_t *executions;
    size_t count, capacity;
} given_up;

static int add_execution(given_up *g, uint64_t execution, weir_error *err)
{
    if (!MEM_GROW(g->executions, g->capacity, g->count + 1)) return error_nomem(err, "giving up results");
    g->executions[g->count++] = execution;
    return 0;
}

static void say_dropped(weir *w, uint64_t node, hash128 key, const given_up *g, bool voided)
{
    buf *body = catalog_body(w->catalog);
    event_put_traces_dropped(body, &(event_traces_dropped){.node = node, .key = key, .executions = g->executions,
                                                           .execution_count = g->count, .voided = voided});
    journal_say(w->journal, EVENT_TRACES_DROPPED, body);
}

/* Rows of one statement, the first `skip` left out. */
static int read_executions(db_stmt *q, size_t skip, given_up *g, weir_error *err)
{
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (skip > 0) {
            skip--;
            continue;
        }
        rc = add_execution(g, (uint64_t)db_int(q, 0), err);
        if (rc != 0) break;
    }
    db_reset(q);
    return rc;
}

/* Has the node so many results, of all keys, that one key may have too many? */
static int may_be_full(weir *w, int statement, uint64_t node, bool *full, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), statement, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)node);
    db_bind_int(q, 2, TRACES_MOST);
    int rc = db_step(q, err);
    *full = rc == 1 && db_int(q, 0) >= TRACES_MOST;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static int cap(task *t, int count, int least_used, weir_error *err)
{
    weir *w = t->w;
    given_up g = {0};
    bool full = false;
    int rc = hash_is_none(t->key) ? 0 : may_be_full(w, count, t->node->id, &full, err);
    if (rc != 0 || !full) return rc;
    db_stmt *q = db_get(catalog_db(w->catalog), least_used, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    db_bind_hash(q, 2, t->key);
    rc = read_executions(q, TRACES_MOST - 1, &g, err); /* and the one that is about to be recorded */
    if (rc == 0 && g.count > 0) say_dropped(w, t->node->id, t->key, &g, false);
    mem_free(g.executions);
    return rc;
}

int trust_cap(task *t, weir_error *err)
{
    return cap(t, SQL_TRACES_OF_NODE, SQL_TRACES_LEAST_USED, err);
}

int trust_cap_failures(task *t, weir_error *err)
{
    return cap(t, SQL_FAILURES_COUNT, SQL_FAILURES_LEAST_USED, err);
}

/* The key under which the result that holds was recorded; of a node without one: none. */
static int key_of(weir *w, const cat_node *node, hash128 *key, weir_error *err)
{
    const cat_result *result = NULL;
    *key = HASH_NONE;
    int rc = node->execution != 0 ? catalog_result(w->catalog, node->execution, &result, err) : 0;
    if (rc == 0 && result) *key = result->key;
    return rc == WEIR_NOTFOUND ? 0 : rc;
}

typedef struct failure_row {
    hash128 key;
    uint64_t execution;
} failure_row;

static int read_failures(weir *w, uint64_t node, failure_row **rows, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_FAILURES_OF_NODE, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)node);
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (!MEM_GROW(*rows, capacity, *count + 1)) {
            rc = error_nomem(err, "giving up failures");
            break;
        }
        (*rows)[(*count)++] = (failure_row){db_hash(q, 0), (uint64_t)db_int(q, 1)};
    }
    db_reset(q);
    return rc;
}

/* All failures that the node was told, one event for each of their keys. */
static int void_failures(weir *w, uint64_t node, weir_error *err)
{
    failure_row *rows = NULL;
    given_up g = {0};
    size_t count = 0;
    int rc = read_failures(w, node, &rows, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = add_execution(&g, rows[i].execution, err);
        if (rc != 0 || (i + 1 < count && hash_equal(rows[i + 1].key, rows[i].key))) continue;
        say_dropped(w, node, rows[i].key, &g, true);
        g.count = 0;
    }
    mem_free(rows);
    mem_free(g.executions);
    return rc;
}

int trust_void(weir *w, uint64_t id, weir_error *err)
{
    given_up g = {0};
    hash128 key = HASH_NONE;
    cat_node *node = catalog_node(w->catalog, id, err);
    if (!node) return err->code ? err->code : WEIR_BUG;
    int rc = key_of(w, node, &key, err);
    if (rc == 0 && !hash_is_none(key)) {
        db_stmt *q = db_get(catalog_db(w->catalog), SQL_TRACES_OF_KEY_ALL, err);
        if (!q) return err->code;
        db_bind_hash(q, 1, key);
        rc = read_executions(q, 0, &g, err);
    }
    if (rc == 0) rc = void_failures(w, id, err);
    if (rc == 0) {
        say_dropped(w, id, key, &g, true);
        node->status = CAT_DUE;
        node->due = REASON_VOIDED;
        w->summary->voided++;
        tell(w, &(weir_event){.kind = WEIR_EVENT_VOIDED, .node = (const char *)node->spec.name.data,
                              .effect = (const char *)node->spec.effect.data});
    }
    mem_free(g.executions);
    return rc;
}

/* --- taking on trust: outputs ------------------------------------------------------------------------------------ */

static int cannot_accept(const task *t, weir_error *err, const char *what, const char *why)
{
    return error_set(err, WEIR_USAGE, "%.160s cannot be accepted: %.160s %s", (const char *)t->node->spec.name.data, what, why);
}

static int not_there(const task *t, const cat_item *item, weir_error *err)
{
    const char *name = (const char *)t->node->spec.name.data;
    if (!(t->node->spec.flags & SPEC_TRANSIENT)) return cannot_accept(t, err, output_path(item), "is not there; `weir run` makes it");
    return error_set(err, WEIR_USAGE, "%.160s cannot be accepted: %.160s is not there, it is transient; `weir run %.100s` brings it back", name,
                     output_path(item), name);
}

/* Is what lies at the path, a link not followed, what the output is declared to be? */
static int check_type(task *t, const cat_item *item, bool is_folder, weir_error *err)
{
    os_stat link;
    const char *path = output_plain_path(&t->arena, item->name);
    int rc = path ? output_stays_inside(t->w, item, err) : error_nomem(err, "accepting a node");
    if (rc == 0) rc = os_statat(t->w->rootfd, path, false, &link, err);
    if (rc != 0) return rc;
    if (link.type == OS_ABSENT) return not_there(t, item, err);
    if (link.type == (is_folder ? OS_DIR : OS_FILE)) return 0;
    if (link.type == OS_LINK && !is_folder) return cannot_accept(t, err, path, "is a link, and an output is a file: put what it leads to there");
    return cannot_accept(t, err, path, is_folder ? "is no folder" : "is no file");
}

/* Nothing can make it again: it has to be there after a power loss. */
static int keep_accepted(weir *w, scan_request *r, bool is_folder, weir_error *err)
{
    bool is_large = r->row.stored == NULL;
    hash128 content = r->content;
    int rc = output_keep_payload(w, r, err);
    if (rc == 0 && is_large) rc = blob_sync(w->blobs, content, err);
    return rc == 0 && is_folder ? output_folder_sync(w, content, err) : rc;
}

/* What lies at the path, into the store, as the output of one port. */
static int accept_output(task *t, size_t port, weir_error *err)
{
    weir *w = t->w;
    output_record *to = &t->end.outputs[port];
    cat_item *item = catalog_item(w->catalog, t->node->spec.outputs[port].id, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    bool is_folder = manifest_is_folder(item->name);
    int rc = check_type(t, item, is_folder, err);
    if (rc != 0) return rc;
    scan_config config = output_scan(w);
    scan_request r = {.item = item->id, .path = item->name, .flags = SCAN_KEEP};
    if (t->node->spec.flags & SPEC_NO_STORE) r.flags = is_folder ? SCAN_LIST : 0; /* as when it is made */
    scan_one(&config, &r);
    if (r.code != 0) return error_set(err, r.code, "%.160s cannot be accepted: %s", (const char *)t->node->spec.name.data, r.message);
    if (r.type != OS_FILE) return cannot_accept(t, err, output_path(item), is_folder ? "is no folder any more" : "is no file any more");
    if (r.flags != 0) rc = keep_accepted(w, &r, is_folder, err);
    item->disk_differs = false;
    *to = (output_record){.port = (uint32_t)port, .item = item->id, .hash = r.hash, .size = r.size, .mode = r.mode};
    return rc == 0 ? sigcache_put(w->sigs, item->name, item->id, &r.sig, r.hash, r.racy, err) : rc;
}

static int accept_outputs(task *t, weir_error *err)
{
    size_t count = t->node->spec.output_count;
    int rc = 0;
    bool may_have_run = t->node->spec.job != JOB_PURE && t->node->status == CAT_FAILED; /* a person says what became of it */
    if (count == 0 && t->node->execution == 0 && !may_have_run) return cannot_accept(t, err, "it", "has no outputs and was never run; `weir run` runs it");
    t->end.outputs = arena_zero(&t->arena, count + 1, sizeof *t->end.outputs);
    if (!t->end.outputs) return error_nomem(err, "accepting a node");
    t->end.output_count = count;
    for (size_t i = 0; rc == 0 && i < count; i++) rc = accept_output(t, i, err);
    t->end.value = t->node->value; /* nobody can change a value by hand */
    return rc;
}

/* --- taking on trust: reads -------------------------------------------------------------------------------------- */

/* What the last execution read, as it is now. false: that cannot be told, or it was another declaration. */
static int reads_as_before(task *t, bool *known, weir_error *err)
{
    const cat_result *before = NULL;
    read_record *reads = NULL;
    size_t count = 0;
    *known = false;
    int rc = t->node->execution != 0 ? catalog_result(t->w->catalog, t->node->execution, &before, err) : WEIR_NOTFOUND;
    if (rc != 0 || before->node != t->node->id || before->spec_seq != t->node->spec_seq || before->result != EXECUTION_OK)
        return rc == WEIR_NOTFOUND ? 0 : rc;
    rc = catalog_reads(t->w->catalog, before->execution, &t->arena, &reads, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        uint64_t wait_for = 0;
        resolve_result how = RESOLVE_IMPOSSIBLE;
        rc = settle_resolve(t, &reads[i].ref, &reads[i].hash, &wait_for, &how, &reads[i].source, &reads[i].source_is_node, err);
        if (rc == 0 && how != RESOLVE_KNOWN) return 0;
    }
    t->end.reads = reads;
    t->end.read_count = count;
    *known = rc == 0;
    return rc;
}

static int accept_reads(task *t, weir_error *err)
{
    bool known = false;
    int rc = reads_as_before(t, &known, err);
    if (rc == 0 && t->observe_count > 0) { /* files that this run had not looked at */
        rc = observe_items(t->w, t->observe, t->observe_count, err);
        t->observe_count = 0;
        if (rc == 0) rc = reads_as_before(t, &known, err);
    }
    if (rc != 0 || known) return rc;
    t->end.reads = NULL;
    t->end.read_count = 0;
    return command_declared_reads(t, err); /* declared is the upper bound */
}

/* --- taking on trust: a node ------------------------------------------------------------------------------------- */

static int accept_node(weir *w, uint64_t id, weir_error *err)
{
    task *t = schedule_new(w, id, err);
    if (!t) return err->code ? err->code : WEIR_BUG;
    t->accepting = true;
    t->effect = catalog_effect(w->catalog, t->node->effect, err);
    int rc = t->effect ? settle_key(t, err) : err->code ? err->code : WEIR_BUG;
    if (rc == 0 && adopt_runs(w, id)) rc = cannot_accept(t, err, "it", "is still running");
    if (rc == 0 && (t->node->spec.flags & SPEC_ALWAYS || t->effect->spec.always.size))
        rc = cannot_accept(t, err, "it", "runs in every run");
    if (rc == 0) rc = settle_reasons(t, err);
    if (rc == 0) rc = accept_outputs(t, err);
    if (rc == 0) rc = accept_reads(t, err);
    if (rc != 0) {
        schedule_free(t);
        return rc;
    }
    settle_finish(t);
    return w->failed_code ? error_set(err, w->failed_code, "%s", w->failure ? w->failure->message : "accepting a node") : 0;
}

typedef struct by_height {
    uint64_t node;
    uint32_t height;
} by_height;

static int compare_heights(const void *a, const void *b)
{
    const by_height *x = a, *y = b;
    if (x->height != y->height) return x->height < y->height ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Those below first: what they make is what those above have read. */
int trust_accept(weir *w, weir_error *err)
{
    size_t count = w->target_node_count;
    by_height *order = mem_zero(count + 1, sizeof *order);
    int rc = order ? 0 : error_nomem(err, "accepting nodes");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const cat_node *node = catalog_node(w->catalog, w->target_nodes[i], err);
        if (!node) rc = err->code ? err->code : WEIR_BUG;
        else order[i] = (by_height){node->id, node->height};
    }
    if (rc == 0) qsort(order, count, sizeof *order, compare_heights);
    if (rc == 0) observe_dirty(w);
    for (size_t i = 0; rc == 0 && i < count; i++) rc = accept_node(w, order[i].node, err);
    mem_free(order);
    return rc;
}
