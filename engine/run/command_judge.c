/*
 * command_judge.c - what a command left behind: its outputs, what it read, whether an input moved meanwhile.
 *
 * The first group of reads is all that was declared, then comes what the depfile names. Hashes are those that the engine believed in
 * at the start; a source that is found different now makes the attempt raced.
 */
#include <stdio.h>

#include "engine/model/depfile.h"
#include "engine/run/command_internal.h"
#include "engine/run/output.h"
#include "engine/run/watching.h"
#include "engine/store/document.h"

enum { DEPFILE_LIMIT = 64 * 1024 * 1024 };

typedef struct read_list {
    task *t;
    size_t capacity;
    bool failed;
} read_list;

static void add_read(read_list *l, read_record r)
{
    event_finished *e = &l->t->end;
    if (e->read_count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 8;
        read_record *more = arena_alloc(&l->t->arena, capacity * sizeof *more);
        if (!more) {
            l->failed = true;
            return;
        }
        if (e->read_count) memcpy(more, e->reads, e->read_count * sizeof *more);
        e->reads = more;
        l->capacity = capacity;
    }
    e->reads[e->read_count++] = r;
}

static int member_reads(read_list *l, int32_t port, const spec_member *m, weir_error *err)
{
    task *t = l->t;
    read_record r = {.ref = {.aspect = ASPECT_CONTENT, .port = port, .member = 0, .sub = -1}};
    if (m->kind == MEMBER_NODE) {
        const cat_node *up = catalog_node(t->w->catalog, m->id, err);
        if (!up) return err->code ? err->code : WEIR_BUG;
        for (size_t i = 0; i < up->spec.output_count; i++) {
            const cat_item *item = catalog_item(t->w->catalog, up->spec.outputs[i].id, err);
            if (!item) return err->code ? err->code : WEIR_BUG;
            r.ref.sub = up->spec.output_count > 1 ? (int32_t)i : -1;
            r.source = item->id;
            r.hash = item->hash;
            add_read(l, r);
        }
        if (!hash_is_none(up->value))
            add_read(l, (read_record){.ref = {.aspect = ASPECT_VALUE, .port = port, .member = 0, .sub = -1}, .source = up->id,
                                      .source_is_node = true, .hash = up->value});
        return 0;
    }
    cat_item *item = NULL;
    int rc = resolve_file(t, m, -1, &item, err);
    if (rc != 0 || !item) return rc;
    r.source = item->id;
    r.hash = item->hash;
    if (document_is_key(m)) {
        r.ref.aspect = ASPECT_VALUE;
        rc = resolve_member_hash(t, m, &r.hash, err);
    }
    add_read(l, r);
    return rc;
}

static bool is_declared(const task *t, uint64_t item)
{
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->output_count; i++)
        if (spec->outputs[i].id == item) return true;
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].count; k++)
            if (spec->inputs[i].members[k].kind == MEMBER_ITEM && spec->inputs[i].members[k].id == item &&
                !document_is_key(&spec->inputs[i].members[k]))
                return true;
    return false;
}

/* The first group: all declared inputs, as the engine believes in them at the start. */
static int declared_reads(read_list *l, weir_error *err)
{
    task *t = l->t;
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->input_count; i++) {
        int rc = 0;
        if (spec->inputs[i].is_list) {
            read_record r = {.ref = {.aspect = ASPECT_LIST, .port = (int32_t)i, .member = -1, .sub = -1}};
            rc = resolve_list(t, &spec->inputs[i], &r.hash, resolve_keep_chunk, t, err);
            add_read(l, r);
        } else if (spec->inputs[i].count == 1) {
            rc = member_reads(l, (int32_t)i, &spec->inputs[i].members[0], err);
        }
        if (rc != 0) return rc;
    }
    if (t->program_item && !is_declared(t, t->program_item->id))
        add_read(l, (read_record){.ref = {.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1, .item = t->program_item->id},
                                  .source = t->program_item->id, .hash = t->program_item->hash});
    return l->failed ? error_nomem(err, "recording reads") : 0;
}

int command_declared_reads(task *t, weir_error *err)
{
    read_list l = {.t = t, .capacity = t->end.read_count};
    return declared_reads(&l, err);
}

/* --- the end: looking at the world ---------------------------------------------------------------------------------- */

/* Sources that the command could read: declared ones, then what the depfile names. */
typedef struct dep_list {
    uint64_t *items;
    size_t count, capacity;
} dep_list;

static bool add_dep(dep_list *d, uint64_t item)
{
    if (!MEM_GROW(d->items, d->capacity, d->count + 1)) return false;
    d->items[d->count++] = item;
    return true;
}

static bool begins_with(bytes name, const char *with)
{
    size_t size = strlen(with);
    return name.size >= size && memcmp(name.data, with, size) == 0;
}

/* A list of paths that was written for this command says what its inputs say. */
static bool is_own_list(bytes name)
{
    return begins_with(name, ".weir/tmp/");
}

static bool is_of_the_state(bytes name)
{
    return begins_with(name, ".weir") && (name.size == 5 || name.data[5] == '/');
}

static int read_depfile(task *t, dep_list *deps, weir_error *err)
{
    weir *w = t->w;
    const char *path = (const char *)t->node->spec.depfile.data;
    buf text, normal;
    buf_init(&text);
    buf_init(&normal);
    int rc = os_read_file(w->rootfd, path, DEPFILE_LIMIT, &text, err);
    bytes *names = NULL;
    size_t count = 0;
    if (rc == WEIR_NOTFOUND) rc = 0; /* as an empty one */
    if (rc == 0) rc = depfile_parse(buf_bytes(&text), &t->arena, &names, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bytes name = names[i];
        size_t root = strlen(w->root);
        if (name.size > root + 1 && memcmp(name.data, w->root, root) == 0 && name.data[root] == '/')
            name = bytes_of(name.data + root + 1, name.size - root - 1);
        if (name.data[0] != '/') {
            buf_clear(&normal);
            rc = scan_normalise(name, &normal, err);
            if (rc != 0) break;
            name = buf_bytes(&normal);
        }
        if (is_own_list(name)) continue;
        cat_item *member = NULL; /* of a folder that is an input: it is covered */
        rc = output_member_found(t, name, &member, err);
        if (rc != 0) break;
        if (member) continue;
        if (is_of_the_state(name)) {
            rc = error_set(err, WEIR_FAILED, "it names %.*s, which is in weir's own state folder: that cannot be an input", (int)name.size,
                           (const char *)name.data);
            break;
        }
        const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, name, true, err);
        if (!item) rc = err->code;
        else if (!is_declared(t, item->id) && !add_dep(deps, item->id)) rc = error_nomem(err, "reading a depfile");
    }
    buf_deinit(&text);
    buf_deinit(&normal);
    if (rc == 0) rc = os_unlinkat(w->rootfd, path, err);
    return rc == 0 ? 0 : error_context(err, rc, "depfile %s", path);
}

static void request_path(task *t, scan_request *r, const cat_item *item, int flags)
{
    *r = (scan_request){.item = item->id, .path = item->name, .flags = flags};
    const scan_entry *known = flags ? NULL : sigcache_get(t->w->sigs, item->name);
    if (known) {
        r->known = true;
        r->known_sig = known->sig;
        r->known_hash = known->hash;
        r->known_racy = known->racy;
    }
}

/* `done` is called once they were looked at: outputs (if asked for), declared sources, sources that were found. */
static int look_around(task *t, const dep_list *deps, bool outputs, void (*done)(void *ctx), weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    size_t most = spec->output_count + deps->count;
    for (size_t i = 0; i < spec->input_count; i++) most += spec->inputs[i].count;
    t->requests = arena_zero(&t->arena, most ? most : 1, sizeof *t->requests);
    if (!t->requests) return error_nomem(err, "looking at outputs");
    size_t n = 0;
    for (size_t i = 0; outputs && i < spec->output_count; i++)
        request_path(t, &t->requests[n++], catalog_item(w->catalog, spec->outputs[i].id, err),
                     spec->flags & SPEC_NO_STORE ? SCAN_LIST : SCAN_KEEP);
    for (size_t i = 0; i < spec->input_count; i++) {
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            const spec_member *m = &spec->inputs[i].members[k];
            if (m->kind != MEMBER_ITEM || m->item != ITEM_FILE || document_is_key(m)) continue;
            const cat_item *item = catalog_item(w->catalog, m->id, err);
            if (item && item->node == 0) request_path(t, &t->requests[n++], item, 0);
        }
    }
    for (size_t i = 0; i < deps->count; i++) {
        const cat_item *item = catalog_item(w->catalog, deps->items[i], err);
        if (item && item->node == 0) request_path(t, &t->requests[n++], item, 0);
    }
    t->request_count = n;
    return scan_submit(&w->loop, &w->scan, t->requests, n, done, t, err);
}

/* A source after the command: has it moved since it was believed? */
static int check_source(task *t, const scan_request *r, bool found, bool *raced, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item) return err->code;
    if (r->code == WEIR_WORKFLOW) return error_set(err, WEIR_FAILED, "it reads %s: %s", (const char *)item->name.data, r->message);
    if (r->code == WEIR_BUSY) { /* it moves right now: who looks at it next must read it */
        uint64_t id = item->id;
        *raced = true;
        sigcache_drop(w->sigs, item->name);
        uint64_t *slot = map_put(&w->observe_again, map_key_u64(&id), NULL);
        if (!slot) return error_nomem(err, "looking at inputs");
        *slot = (uint64_t)os_monotonic_ns();
        return 0;
    }
    if (r->code != 0) return error_set(err, r->code, "%s", r->message);
    if (item->node != 0) { /* declared as an output while it was looked at, by a list: what was seen is not what its node makes */
        *raced = true;
        return 0;
    }
    bool first = hash_is_none(item->hash) || (found && !observe_known(w, item)); /* else: what was believed may be of long ago */
    if (!hash_equal(item->hash, r->hash)) {
        catalog_observe(w->catalog, item, r->hash, r->size, r->mode);
        if (!first) {
            *raced = true;
            uint64_t id = item->id;
            uint64_t *slot = map_put(&w->observe_again, map_key_u64(&id), NULL);
            if (slot) *slot = (uint64_t)os_monotonic_ns();
        }
    }
    int64_t start_ns = t->started_us * 1000; /* file time lags the clock, and may be cut off */
    bool is_fresh = r->sig.mtime_ns >= start_ns - scan_window_ns(r->sig.mtime_ns) ||
                    r->sig.ctime_ns >= start_ns - scan_window_ns(r->sig.ctime_ns);
    uint64_t seen = item->id; /* by whoever came first in this turn: it may have been another one before */
    if (found && is_fresh && (first || map_get(&w->first_seen, map_key_u64(&seen)))) *raced = true;
    uint64_t moved = item->id; /* another node may have noticed it first: then the belief is newer than the command */
    const uint64_t *noticed = map_get(&w->observe_again, map_key_u64(&moved));
    if (is_fresh && noticed && (int64_t)*noticed >= t->started_ns) *raced = true;
    return sigcache_put(w->sigs, item->name, item->id, &r->sig, r->hash, r->racy, err);
}

/* A transient output was not there when it was read. */
static int find_dropped(task *t, const cat_node *maker, const cat_item *item, bool *raced, weir_error *err)
{
    os_stat st;
    bool missing = false;
    int rc = os_statat(t->w->rootfd, (const char *)item->name.data, false, &st, err);
    if (rc != 0 || st.type != OS_ABSENT || hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT)) return rc;
    rc = output_bring_back(t->w, maker->id, &missing, err);
    *raced = t->brought = true;
    if (missing) t->lost_maker = maker->id;
    return rc;
}

/* A discovered read of an output: its maker must come before, and must not have ended while the command ran. */
/*
 * Will its output be another one, or is it being made? Of a maker that is only asked about nothing is known against what it made: should it
 * change after all, whoever read it is due again. A command may have read an output that was put aside.
 */
static bool is_in_the_making(const task *t, const cat_node *maker)
{
    plan_state state = plan_state_of(t->w->plan, maker->id);
    if (state == PLAN_RUNNING) return t->said_before || !plan_is_asked(t->w->plan, maker->id);
    return state == PLAN_DUE && !plan_is_asked(t->w->plan, maker->id);
}

int command_found_output(task *t, const cat_item *item, bool *raced, bool *unmade, weir_error *err)
{
    weir *w = t->w;
    const cat_node *maker = catalog_node(w->catalog, item->node, err);
    if (!maker) return err->code ? err->code : WEIR_BUG;
    int rc = targets_wanted(w, maker->id) ? 0 : targets_take_in_now(w, maker->id, err);
    if (rc != 0) return rc;
    if (maker->id != t->node->id && failure_is_lost(w, maker)) {
        if (!t->unmade) t->unmade = item;
        *unmade = true;
        return 0;
    }
    if (is_in_the_making(t, maker) || hash_is_none(item->hash) || item->disk_differs) *raced = true;
    if (t->said_before && maker->settled > t->said_before) *raced = true;
    if (maker->spec.flags & SPEC_TRANSIENT) rc = find_dropped(t, maker, item, raced, err);
    if (rc == 0 && maker->id != t->node->id) rc = edge_add(w, t->node, maker, err);
    if (rc == WEIR_FAILED) return error_context(err, rc, "it reads %s", (const char *)item->name.data);
    return rc == 0 ? edge_lift(w, maker, t->node, err) : rc;
}

static int take_output(task *t, size_t port, scan_request *r, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    if (r->code != 0) return error_set(err, WEIR_FAILED, "output %s: %s", (const char *)item->name.data, r->message);
    if (r->type != OS_FILE) {
        t->end.known = failure_may_be_known(t);
        return error_set(err, WEIR_FAILED, "the command ended well but did not make its output %s%s", (const char *)item->name.data,
                         r->type == OS_DIR ? " (a folder is there)" : "");
    }
    t->end.outputs[port] = (output_record){.port = (uint32_t)port, .item = item->id, .hash = r->hash, .size = r->size, .mode = r->mode};
    return 0;
}

/* What was taken over from the old tree moves the signature; it must still be the tree that was seen. */
static int settle_folder(task *t, const struct aside *a, hash128 hash, weir_error *err)
{
    weir *w = t->w;
    scan_request now = {.item = a->item->id, .path = a->item->name};
    int rc = a->put && !hash_is_none(a->hash) ? output_folder_adopt(w, a->item, command_aside_path(t, a), a->hash, err) : 0;
    if (rc != 0) return rc;
    scan_one(&w->scan, &now);
    if (now.code != 0) return error_set(err, now.code, "%s", now.message);
    if (!hash_equal(now.hash, hash))
        return error_set(err, WEIR_FAILED, "%s was changed while its command ended", (const char *)a->item->name.data);
    return sigcache_put(w->sigs, a->item->name, a->item->id, &now.sig, now.hash, now.racy, err);
}

/* An output equal to the old one gets the old file back, so that its times stay. */
static int settle_output(task *t, scan_request *r, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, r->item, err);
    bool is_folder = manifest_is_folder(item->name);
    if (is_folder) watching_moved_folder(w);
    if (is_folder || !(t->node->spec.flags & SPEC_NO_STORE)) {
        int rc = output_keep_payload(w, r, err);
        if (rc != 0) return rc;
    }
    for (size_t i = 0; i < t->aside_count; i++) {
        struct aside *a = &t->asides[i];
        if (is_folder && a->item == item) return settle_folder(t, a, r->hash, err);
        if (a->item != item || !a->put || !hash_equal(a->hash, r->hash) || a->mode != r->mode) continue;
        int rc = os_renameat(w->rootfd, command_aside_path(t, a), w->rootfd, (const char *)item->name.data, err);
        return rc ? rc : output_sign(w, item, r->hash, err);
    }
    if (output_is_link(w, item->name)) return output_make_plain(w, item, r, err);
    return sigcache_put(w->sigs, item->name, item->id, &r->sig, r->hash, r->racy, err);
}

static int found_reads(read_list *l, const dep_list *deps, bool *raced, weir_error *err)
{
    task *t = l->t;
    weir_error circle = {0};
    for (size_t i = 0; i < deps->count; i++) {
        const cat_item *item = catalog_item(t->w->catalog, deps->items[i], err);
        if (!item) return err->code;
        bool is_unmade = false, is_old = false;
        int rc = item->node != 0 ? command_found_output(t, item, &is_old, &is_unmade, err) : 0;
        if (rc == WEIR_FAILED) { /* of no matter if another one was out of date: it may have led here */
            circle = *err;
            error_clear(err);
            continue;
        }
        if (rc != 0) return rc;
        *raced |= is_old;
        add_read(l, (read_record){.ref = {.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1, .item = item->id},
                                  .group = 1, .source = item->id, .hash = is_unmade ? HASH_UNREADABLE : item->hash});
    }
    if (circle.code != 0 && !*raced) {
        *err = circle;
        return circle.code;
    }
    return l->failed ? error_nomem(err, "recording reads") : 0;
}

/* Folders, trees and links after the command: have they moved since they were believed? */
static int check_trees(task *t, bool *raced, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            const spec_member *m = &spec->inputs[i].members[k];
            if (m->kind != MEMBER_ITEM || !observe_is_tree(m->item)) continue;
            cat_item *item = catalog_item(t->w->catalog, m->id, err);
            if (!item) return err->code ? err->code : WEIR_BUG;
            hash128 believed = item->hash;
            int rc = observe_one(t->w, item, err);
            if (rc != 0) return rc;
            if (!hash_equal(believed, item->hash) || map_get(&t->w->observe_again, map_key_u64(&m->id))) *raced = true;
        }
    return 0;
}

/* Everything was looked at: judge it. */
static int conclude(task *t, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    bool raced = false;
    read_list reads = {.t = t};
    int rc = declared_reads(&reads, err);
    t->end.outputs = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *t->end.outputs);
    if (rc == 0 && !t->end.outputs) rc = error_nomem(err, "recording outputs");
    for (size_t i = 0; rc == 0 && i < spec->output_count; i++) rc = take_output(t, i, &t->requests[i], err);
    for (size_t i = spec->output_count; rc == 0 && i < t->request_count; i++)
        rc = check_source(t, &t->requests[i], !is_declared(t, t->requests[i].item), &raced, err);
    if (rc == 0) rc = check_trees(t, &raced, err);
    dep_list deps = {.items = t->observe, .count = t->observe_count};
    if (rc == 0) rc = found_reads(&reads, &deps, &raced, err);
    for (size_t i = 0; rc == 0 && (raced || !t->unmade) && i < spec->output_count; i++) rc = settle_output(t, &t->requests[i], err);
    t->end.output_count = spec->output_count;
    t->end.result = raced ? EXECUTION_RACED : EXECUTION_OK;
    if (raced) t->unmade = NULL; /* what led it there may have been out of date */
    return rc;
}

/* It failed before they were compared. */
static bool sources_hold(task *t, weir_error *err)
{
    bool raced = false;
    int rc = 0;
    for (size_t i = t->node->spec.output_count; rc == 0 && i < t->request_count; i++)
        rc = check_source(t, &t->requests[i], false, &raced, err);
    if (rc == 0) rc = check_trees(t, &raced, err);
    return rc == 0 && !raced;
}

static void scanned(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    int rc = conclude(t, &err);
    if (rc != 0) {
        weir_error second = {0};
        if (rc != WEIR_FAILED) schedule_fail(t->w, &err);
        if (t->end.known) t->end.known = sources_hold(t, &second);
        command_failed(t, rc == WEIR_FAILED ? EXECUTION_FAILED : EXECUTION_TRANSIENT, err.message);
        return;
    }
    if (t->unmade) command_unmade(t);
    else command_succeeded(t);
}

void command_judge(task *t)
{
    weir_error err = {0};
    dep_list deps = {0};
    int rc = t->node->spec.depfile.size ? read_depfile(t, &deps, &err) : 0;
    mem_free(t->observe);
    t->observe = deps.items;
    t->observe_count = deps.count;
    t->observe_capacity = deps.capacity;
    if (rc == 0) rc = look_around(t, &deps, true, scanned, &err);
    if (rc != 0) command_failed(t, EXECUTION_FAILED, err.message);
}

/* --- a failure ------------------------------------------------------------------------------------------------------ */

/* Did it see the inputs as the engine believes in them? Then what it made of them is known. */
static int judge_failure(task *t, bool *raced, weir_error *err)
{
    read_list reads = {.t = t};
    int rc = declared_reads(&reads, err);
    for (size_t i = 0; rc == 0 && i < t->request_count; i++)
        rc = check_source(t, &t->requests[i], false, raced, err);
    if (rc == 0) rc = check_trees(t, raced, err);
    t->end.known = rc == 0 && !*raced;
    return rc;
}

static void failure_scanned(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    bool raced = false;
    char message[40];
    int rc = judge_failure(t, &raced, &err);
    if (rc != 0 && rc != WEIR_FAILED) schedule_fail(t->w, &err); /* an input that cannot be read any more is told by the next run */
    snprintf(message, sizeof message, "exit code %d", (int)t->end.exit_code);
    command_failed(t, raced ? EXECUTION_TRANSIENT : EXECUTION_FAILED, message);
}

void command_judge_failure(task *t)
{
    weir_error err = {0};
    char message[40];
    dep_list none = {0};
    if (failure_may_be_known(t) && look_around(t, &none, false, failure_scanned, &err) == 0) return;
    snprintf(message, sizeof message, "exit code %d", (int)t->end.exit_code);
    command_failed(t, EXECUTION_FAILED, message);
}
