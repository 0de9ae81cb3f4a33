/*
 * command.c - one execution of a command, from intent to record.
 *
 *   command_begin   foreign content kept, folders made, intent said (asides, fresh outputs, token)
 *   command_act     (committed, and a slot is free) old outputs put aside as .weir/tmp/<token>/<n>, list files written, spawned, pid said
 *   ... ended:      depfile read; outputs and inputs looked at by the pool
 *   ... scanned:    an input that moved: raced; outputs equal to the old ones get the old file back; FINISHED
 *   ... committed:  .weir/tmp/<token> removed
 *
 * On failure what the attempt wrote is removed and the old outputs are renamed back; after a kill recover.c does the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/model/depfile.h"
#include "engine/run/engine.h"
#include "engine/store/value.h"

enum { DEPFILE_LIMIT = 64 * 1024 * 1024 };

/* --- before the key: program and words --------------------------------------------------------------------------- */

static int member_paths(void *ctx, const spec_member *m, mem_arena *arena, bytes **paths, size_t *count, weir_error *err)
{
    task *t = ctx;
    weir *w = t->w;
    *count = 0;
    if (m->kind == MEMBER_NODE) {
        const cat_node *up = catalog_node(w->catalog, m->id, err);
        if (!up) return err->code ? err->code : WEIR_BUG;
        if (up->spec.output_count == 0)
            return error_set(err, WEIR_WORKFLOW, "node %s makes no file that a command could read", (const char *)up->spec.name.data);
        *paths = arena_zero(arena, up->spec.output_count, sizeof **paths);
        if (!*paths) return error_nomem(err, "expanding a command");
        for (size_t i = 0; i < up->spec.output_count; i++) {
            const cat_item *item = catalog_item(w->catalog, up->spec.outputs[i].id, err);
            if (!item) return err->code ? err->code : WEIR_BUG;
            (*paths)[(*count)++] = item->name;
        }
        return 0;
    }
    cat_item *item = NULL;
    int rc = resolve_file(t, m, -1, &item, err);
    if (rc != 0 || !item) return rc ? rc : error_set(err, WEIR_WORKFLOW, "an input has no file");
    *paths = arena_zero(arena, 1, sizeof **paths);
    if (!*paths) return error_nomem(err, "expanding a command");
    *count = 1;
    (*paths)[0] = item->name;
    if (item->kind == ITEM_FILE) return 0;
    buf text;
    buf_init(&text);
    if (item->kind == ITEM_TOOL) {
        hash128 hash;
        rc = observe_outside_hash(w, item->kind, item->name, &hash, &text, err);
    } else if (item->kind == ITEM_ENV) {
        const char *value = getenv((const char *)item->name.data);
        buf_text(&text, value ? value : "");
    } else {
        bytes encoded = {0};
        rc = observe_value(w, item, &encoded, err);
        if (rc == 0 && encoded.size == 0) encoded = m->port;
        value_reader reader = value_read(encoded);
        value_item scalar;
        if (rc == 0 && encoded.size && value_next(&reader, &scalar) && scalar.type == VALUE_STRING) buf_append(&text, scalar.text.data, scalar.text.size);
        else if (rc == 0 && encoded.size) rc = value_to_json(encoded, 0, &text, err);
    }
    if (rc == 0) (*paths)[0] = arena_bytes(arena, buf_bytes(&text));
    buf_deinit(&text);
    return rc;
}

static bytes output_path(void *ctx, const spec_output *output)
{
    task *t = ctx;
    const cat_item *item = catalog_item(t->w->catalog, output->id, NULL);
    return item ? item->name : bytes_of("", 0);
}

/* PATH that commands see: the declared one, else the engine's own. */
static const char *path_variable(const task *t)
{
    for (size_t i = 0; i < t->node->spec.env_count; i++)
        if (bytes_equal(t->node->spec.env[i].name, bytes_str("PATH"))) return (const char *)t->node->spec.env[i].value.data;
    const char *path = getenv("PATH");
    return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* A program of the system is an item of its own, looked up on PATH and fingerprinted; one below the root is a file like any other. */
static int tool_fingerprint(task *t, bytes name, bytes path, weir_error *err)
{
    weir *w = t->w;
    size_t root = strlen(w->root);
    if (path.size > root + 1 && memcmp(path.data, w->root, root) == 0 && path.data[root] == '/') {
        bytes below = bytes_of(path.data + root + 1, path.size - root - 1);
        cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, below, true, err);
        if (!item) return err->code;
        t->program_item = item;
        return item->node == 0 && !observe_known(w, item) ? observe_one(w, item, err) : 0;
    }
    cat_item *item = catalog_item_named(w->catalog, ITEM_TOOL, name, true, err);
    if (!item) return err->code;
    if (hash_is_none(item->hash)) {
        hash128 hash;
        int rc = observe_outside_hash(w, ITEM_TOOL, name, &hash, NULL, err);
        if (rc != 0) return rc;
        catalog_observe(w->catalog, item, hash, 0, 0);
    }
    t->program_item = item;
    t->tool = item->hash;
    return 0;
}

int command_prepare(task *t, weir_error *err)
{
    weir *w = t->w;
    command_source source = {.node = &t->node->spec, .member_paths = member_paths, .output_path = output_path, .ctx = t};
    int rc = command_expand(&source, &t->arena, &t->line, err);
    if (rc != 0) return error_context(err, rc, "node %s", (const char *)t->node->spec.name.data);
    if (t->line.count == 0) return error_set(err, WEIR_WORKFLOW, "node %s: the command is empty", (const char *)t->node->spec.name.data);
    bool shell = t->node->spec.flags & SPEC_SHELL;
    const char *name = shell ? "/bin/sh" : (const char *)arena_bytes(&t->arena, t->line.argv[0]).data;
    bytes known = {0};
    uint64_t *slot = map_get(&w->programs, bytes_str(name));
    if (slot) known = bytes_str((const char *)(uintptr_t)*slot);
    if (!slot) {
        buf path;
        buf_init(&path);
        rc = scan_tool(name, path_variable(t), w->rootfd, &path, err);
        if (rc == 0) known = arena_bytes(catalog_arena(w->catalog), buf_bytes(&path));
        buf_deinit(&path);
        if (rc != 0) return error_context(err, rc, "node %s", (const char *)t->node->spec.name.data);
        bool own_path = false;
        for (size_t i = 0; i < t->node->spec.env_count; i++) own_path |= bytes_equal(t->node->spec.env[i].name, bytes_str("PATH"));
        slot = own_path ? NULL : map_put(&w->programs, bytes_str(name), NULL);
        if (slot) *slot = (uint64_t)(uintptr_t)known.data;
    }
    t->program = mem_strdup((const char *)known.data);
    if (!t->program) return error_nomem(err, "resolving a program");
    return shell ? 0 : tool_fingerprint(t, bytes_str(name), known, err); /* a shell text's tools are declared by weir.tool */
}

/* --- putting aside ------------------------------------------------------------------------------------------------ */

static char *aside_path(task *t, const struct aside *a)
{
    char hex[HASH_HEX];
    return arena_printf(&t->arena, ".weir/tmp/%s/%lld", hash_hex(t->token, hex), (long long)a->number);
}

static int put_aside(task *t, weir_error *err)
{
    weir *w = t->w;
    char hex[HASH_HEX];
    char folder[80];
    snprintf(folder, sizeof folder, ".weir/tmp/%s", hash_hex(t->token, hex));
    int rc = os_mkdirat(w->rootfd, folder, 0700, err);
    for (size_t i = 0; rc == 0 && i < t->aside_count; i++) {
        struct aside *a = &t->asides[i];
        if (a->number < 0) continue;
        rc = os_renameat(w->rootfd, (const char *)a->item->name.data, w->rootfd, aside_path(t, a), err);
        if (rc == 0) a->put = true;
        os_kill_point("command_aside");
    }
    return rc;
}

/* What the attempt wrote goes, the old outputs come back. */
static void put_back(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    for (size_t i = 0; i < t->aside_count; i++) {
        struct aside *a = &t->asides[i];
        const char *path = (const char *)a->item->name.data;
        int rc = 0;
        if (a->number < 0) {
            rc = os_remove_tree(w->rootfd, path, &err);
            sigcache_drop(w->sigs, a->item->name);
        } else if (a->put) {
            rc = os_remove_tree(w->rootfd, path, &err);
            if (rc == 0) rc = os_renameat(w->rootfd, aside_path(t, a), w->rootfd, path, &err);
            if (rc == 0) rc = output_sign(w, a->item, a->hash, &err);
        }
        if (rc != 0) tell_message(w, "%s: putting the last good output back: %s", path, err.message);
    }
}

typedef struct leftover {
    weir *w;
    char folder[80];
} leftover;

static void sweep(void *ctx)
{
    leftover *l = ctx;
    os_remove_tree(l->w->rootfd, l->folder, NULL);
    mem_free(l);
}

/* NULL: no memory; then the next start sweeps. */
static leftover *leftover_new(task *t)
{
    char hex[HASH_HEX];
    leftover *l = mem_zero(1, sizeof *l);
    if (!l) return NULL;
    l->w = t->w;
    snprintf(l->folder, sizeof l->folder, ".weir/tmp/%s", hash_hex(t->token, hex));
    return l;
}

static void command_failed(task *t, execution_result result, const char *message)
{
    weir *w = t->w;
    char copy[480];
    snprintf(copy, sizeof copy, "%s", message);
    put_back(t);
    leftover *l = leftover_new(t);
    settle_failed(t, result, copy);
    if (l) journal_when_committed(w->journal, sweep, l);
}

/* --- reads --------------------------------------------------------------------------------------------------------- */

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

static int keep_chunk(void *ctx, hash128 hash, bytes chunk)
{
    task *t = ctx;
    blob_row row = {0};
    hash128 same;
    (void)hash;
    int rc = blob_take_bytes(t->w->blobs, chunk, &same, &row, NULL);
    if (rc == 0 && row.stored) journal_payload(t->w->journal, &row);
    return rc;
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
    add_read(l, r);
    return 0;
}

static bool is_declared(const task *t, uint64_t item)
{
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->output_count; i++)
        if (spec->outputs[i].id == item) return true;
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].count; k++)
            if (spec->inputs[i].members[k].kind == MEMBER_ITEM && spec->inputs[i].members[k].id == item) return true;
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
            rc = resolve_list(t, &spec->inputs[i], &r.hash, keep_chunk, t, err);
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
    const scan_entry *known = flags & SCAN_KEEP ? NULL : sigcache_get(t->w->sigs, item->name);
    if (known) {
        r->known = true;
        r->known_sig = known->sig;
        r->known_hash = known->hash;
        r->known_racy = known->racy;
    }
}

static void scanned(void *ctx);

static int look_around(task *t, const dep_list *deps, weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    size_t most = spec->output_count + deps->count;
    for (size_t i = 0; i < spec->input_count; i++) most += spec->inputs[i].count;
    t->requests = arena_zero(&t->arena, most ? most : 1, sizeof *t->requests);
    if (!t->requests) return error_nomem(err, "looking at outputs");
    size_t n = 0;
    for (size_t i = 0; i < spec->output_count; i++)
        request_path(t, &t->requests[n++], catalog_item(w->catalog, spec->outputs[i].id, err), spec->flags & SPEC_NO_STORE ? 0 : SCAN_KEEP);
    for (size_t i = 0; i < spec->input_count; i++) {
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            const spec_member *m = &spec->inputs[i].members[k];
            if (m->kind != MEMBER_ITEM || m->item != ITEM_FILE) continue;
            const cat_item *item = catalog_item(w->catalog, m->id, err);
            if (item && item->node == 0) request_path(t, &t->requests[n++], item, 0);
        }
    }
    for (size_t i = 0; i < deps->count; i++) {
        const cat_item *item = catalog_item(w->catalog, deps->items[i], err);
        if (item && item->node == 0) request_path(t, &t->requests[n++], item, 0);
    }
    t->request_count = n;
    return scan_submit(&w->loop, &w->scan, t->requests, n, scanned, t, err);
}

/* A source after the command: has it moved since it was believed? */
static int check_source(task *t, const scan_request *r, bool found, bool *raced, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item) return err->code;
    if (r->code != 0) return error_set(err, r->code, "%s", r->message);
    bool first = hash_is_none(item->hash);
    if (!hash_equal(item->hash, r->hash)) {
        catalog_observe(w->catalog, item, r->hash, r->size, r->mode);
        if (!first) {
            *raced = true;
            uint64_t id = item->id;
            map_put(&w->observe_again, map_key_u64(&id), NULL);
        }
    }
    int64_t start_ns = (t->started_us - 10000) * 1000; /* file time lags the clock by up to a tick */
    if (found && first && (r->sig.mtime_ns >= start_ns || r->sig.ctime_ns >= start_ns)) *raced = true;
    return sigcache_put(w->sigs, item->name, item->id, &r->sig, r->hash, r->racy, err);
}

/* A discovered read of an output: its maker must come before. */
int command_found_output(task *t, const cat_item *item, bool *raced, weir_error *err)
{
    weir *w = t->w;
    const cat_node *maker = catalog_node(w->catalog, item->node, err);
    if (!maker) return err->code ? err->code : WEIR_BUG;
    plan_state state = plan_state_of(w->plan, maker->id);
    if (state == PLAN_DUE || state == PLAN_RUNNING) *raced = true;
    if (maker->height < t->node->height) return 0;
    return lift_node(w, maker->id, t->node, maker->height + 1, err);
}

static int take_output(task *t, size_t port, scan_request *r, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    if (r->code != 0) return error_set(err, WEIR_FAILED, "output %s: %s", (const char *)item->name.data, r->message);
    if (r->type != OS_FILE)
        return error_set(err, WEIR_FAILED, "the command ended well but did not make its output %s%s", (const char *)item->name.data,
                         r->type == OS_DIR ? " (a folder is there)" : "");
    t->end.outputs[port] = (output_record){.port = (uint32_t)port, .item = item->id, .hash = r->hash, .size = r->size, .mode = r->mode};
    return 0;
}

/* An output equal to the old one gets the old file back, so that its times stay. */
static int settle_output(task *t, size_t port, scan_request *r, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, r->item, err);
    if (!(t->node->spec.flags & SPEC_NO_STORE)) {
        int rc = output_keep_payload(w, r, err);
        if (rc != 0) return rc;
    }
    for (size_t i = 0; i < t->aside_count; i++) {
        struct aside *a = &t->asides[i];
        if (a->item != item || !a->put || !hash_equal(a->hash, r->hash) || a->mode != r->mode) continue;
        int rc = os_renameat(w->rootfd, aside_path(t, a), w->rootfd, (const char *)item->name.data, err);
        return rc ? rc : output_sign(w, item, r->hash, err);
    }
    (void)port;
    return sigcache_put(w->sigs, item->name, item->id, &r->sig, r->hash, r->racy, err);
}

static int found_reads(read_list *l, const dep_list *deps, bool *raced, weir_error *err)
{
    task *t = l->t;
    for (size_t i = 0; i < deps->count; i++) {
        const cat_item *item = catalog_item(t->w->catalog, deps->items[i], err);
        if (!item) return err->code;
        if (item->node != 0) {
            int rc = command_found_output(t, item, raced, err);
            if (rc != 0) return rc;
        }
        add_read(l, (read_record){.ref = {.aspect = ASPECT_CONTENT, .port = -1, .member = -1, .sub = -1, .item = item->id},
                                  .group = 1, .source = item->id, .hash = item->hash});
    }
    return l->failed ? error_nomem(err, "recording reads") : 0;
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
    dep_list deps = {.items = t->observe, .count = t->observe_count};
    if (rc == 0) rc = found_reads(&reads, &deps, &raced, err);
    for (size_t i = 0; rc == 0 && i < spec->output_count; i++) rc = settle_output(t, i, &t->requests[i], err);
    t->end.output_count = spec->output_count;
    t->end.result = raced ? EXECUTION_RACED : EXECUTION_OK;
    return rc;
}

static void scanned(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    int rc = conclude(t, &err);
    if (rc != 0) {
        if (rc != WEIR_FAILED) schedule_fail(t->w, &err);
        command_failed(t, rc == WEIR_FAILED ? EXECUTION_FAILED : EXECUTION_TRANSIENT, err.message);
        return;
    }
    weir *w = t->w;
    leftover *l = leftover_new(t);
    settle_finish(t);
    if (l) journal_when_committed(w->journal, sweep, l); /* asides go once the completion is committed */
}

/* --- running -------------------------------------------------------------------------------------------------------- */

static void ended(void *ctx, const process_result *result)
{
    task *t = ctx;
    weir_error err = {0};
    t->process = NULL;
    t->state = TASK_FINISHING;
    t->w->commands_running--;
    t->w->commands_begun--;
    t->log = arena_bytes(&t->arena, result->output);
    t->end.exit_code = result->exit_code;
    t->end.signal = (uint64_t)result->signal;
    t->end.duration_us = (uint64_t)result->wall_us;
    t->end.cpu_us = (uint64_t)result->cpu_us;
    t->end.memory_bytes = (uint64_t)result->memory_bytes;
    os_kill_point("command_ended");
    char message[120];
    if (result->timed_out) {
        snprintf(message, sizeof message, "time limit of %.3g s reached", (double)t->node->spec.timeout_ms / 1000);
        command_failed(t, EXECUTION_TRANSIENT, message);
    } else if (result->stopped || t->stopping) {
        command_failed(t, EXECUTION_INTERRUPTED, "interrupted");
    } else if (result->signal != 0) {
        snprintf(message, sizeof message, "ended by signal %d", result->signal);
        command_failed(t, EXECUTION_TRANSIENT, message);
    } else if (result->exit_code != 0) {
        snprintf(message, sizeof message, "exit code %d", result->exit_code);
        command_failed(t, EXECUTION_FAILED, message);
    } else {
        dep_list deps = {0};
        int rc = t->node->spec.depfile.size ? read_depfile(t, &deps, &err) : 0;
        mem_free(t->observe);
        t->observe = deps.items;
        t->observe_count = deps.count;
        t->observe_capacity = deps.capacity;
        if (rc == 0) rc = look_around(t, &deps, &err);
        if (rc != 0) command_failed(t, EXECUTION_FAILED, err.message);
    }
}

/* Files that list the paths of {{port:file}}. */
static int write_lists(task *t, weir_error *err)
{
    char hex[HASH_HEX];
    hash_hex(t->token, hex);
    for (size_t i = 0; i < t->line.list_count; i++) {
        buf text;
        buf_init(&text);
        for (size_t k = 0; k < t->line.lists[i].count; k++) {
            buf_append(&text, t->line.lists[i].paths[k].data, t->line.lists[i].paths[k].size);
            buf_byte(&text, '\n');
        }
        char *path = arena_printf(&t->arena, ".weir/tmp/%s/list%zu", hex, i);
        int rc = text.failed || !path ? error_nomem(err, "writing a list") : os_write_file(t->w->rootfd, path, buf_bytes(&text), 0600, err);
        buf_deinit(&text);
        if (rc == 0) rc = command_place(&t->line, i, bytes_str(path), t->node->spec.flags & SPEC_SHELL, &t->arena, err);
        if (rc != 0) return rc;
    }
    return 0;
}

/* A text longer than the kernel takes as one argument goes through a file. */
static int shell_words(task *t, const char **argv, weir_error *err)
{
    enum { ARGUMENT_MOST = 128 * 1024 - 1 };
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = (const char *)arena_bytes(&t->arena, t->line.argv[0]).data;
    argv[3] = NULL;
    if (t->line.argv[0].size < ARGUMENT_MOST) return 0;
    char hex[HASH_HEX];
    char *path = arena_printf(&t->arena, ".weir/tmp/%s/script", hash_hex(t->token, hex));
    if (!path) return error_nomem(err, "writing a script");
    argv[1] = path;
    argv[2] = NULL;
    return os_write_file(t->w->rootfd, path, t->line.argv[0], 0600, err);
}

static int spawn(task *t, weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    const char **argv = arena_zero(&t->arena, t->line.count + 4, sizeof *argv);
    bytes *names = arena_zero(&t->arena, spec->env_count + 1, sizeof *names);
    bytes *values = arena_zero(&t->arena, spec->env_count + 1, sizeof *values);
    if (!argv || !names || !values) return error_nomem(err, "starting a command");
    for (size_t i = 0; i < spec->env_count; i++) {
        names[i] = spec->env[i].name;
        values[i] = spec->env[i].value;
    }
    int rc = 0;
    if (spec->flags & SPEC_SHELL) rc = shell_words(t, argv, err);
    else
        for (size_t i = 0; i < t->line.count; i++) argv[i] = (const char *)arena_bytes(&t->arena, t->line.argv[i]).data;
    if (rc != 0) return rc;
    process_spec p = {.program = t->program, .argv = argv, .envp = process_environment(&t->arena, names, values, spec->env_count),
                      .cwd_fd = w->rootfd, .token = t->token, .timeout_ms = (int64_t)spec->timeout_ms, .output_cap = PROCESS_OUTPUT_CAP};
    if (t->arena.failed) return error_nomem(err, "starting a command");
    int64_t pid = 0;
    uint64_t ticks = 0;
    t->started_ns = os_monotonic_ns();
    t->started_us = os_wall_us();
    rc = process_start(w->processes, &p, ended, t, &t->process, &pid, &ticks, err);
    if (rc != 0) return rc;
    buf *body = catalog_body(w->catalog);
    event_put_spawned(body, &(event_spawned){.execution = t->execution, .pid = (uint64_t)pid, .start_ticks = ticks});
    journal_say(w->journal, EVENT_SPAWNED, body);
    return 0;
}

/* The intent is committed. */
static void armed(void *ctx)
{
    task *t = ctx;
    weir_error err = {0};
    t->state = TASK_ARMED;
    if (journal_failed(t->w->journal, &err) == 0) return;
    t->w->commands_begun--;
    schedule_fail(t->w, &err);
    schedule_free(t);
}

void command_disarm(task *t)
{
    t->w->commands_begun--;
    t->state = TASK_FINISHING;
    command_failed(t, EXECUTION_INTERRUPTED, "interrupted");
}

void command_act(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    int rc = 0;
    os_kill_point("command_intent");
    for (size_t i = 0; rc == 0 && i < t->node->spec.output_count; i++) { /* it may have waited for a slot */
        cat_item *item = catalog_item(w->catalog, t->node->spec.outputs[i].id, &err);
        rc = item ? output_keep_foreign(w, item, t->node->id, &err) : WEIR_BUG;
    }
    if (rc == 0) rc = put_aside(t, &err);
    if (rc == 0) rc = write_lists(t, &err);
    if (rc == 0) rc = spawn(t, &err);
    if (rc == 0) {
        t->state = TASK_RUNNING;
        w->commands_running++;
        tell(w, &(weir_event){.kind = WEIR_EVENT_STARTED, .node = (const char *)t->node->spec.name.data,
                              .effect = (const char *)t->node->spec.effect.data});
        return;
    }
    w->commands_begun--;
    t->state = TASK_FINISHING;
    command_failed(t, EXECUTION_TRANSIENT, err.message);
}

/* What is at the outputs' places now: foreign content is kept, ours will be put aside. */
static int plan_asides(task *t, event_started *intent, weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    t->asides = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *t->asides);
    intent->asides = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *intent->asides);
    intent->fresh = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *intent->fresh);
    if (!t->asides || !intent->asides || !intent->fresh) return error_nomem(err, "putting outputs aside");
    for (size_t i = 0; i < spec->output_count; i++) {
        cat_item *item = catalog_item(w->catalog, spec->outputs[i].id, err);
        os_stat st;
        if (!item) return err->code ? err->code : WEIR_BUG;
        const char *path = (const char *)item->name.data;
        int rc = output_keep_foreign(w, item, t->node->id, err);
        if (rc == 0) rc = os_make_parents(w->rootfd, path, output_made_folder, w, err);
        if (rc == 0) rc = os_statat(w->rootfd, path, false, &st, err);
        if (rc != 0) return rc;
        if (st.type == OS_DIR) return error_set(err, WEIR_FAILED, "output %s: a folder is there; remove it or rename the output", path);
        if (st.type != OS_ABSENT && (spec->flags & SPEC_UPDATE)) continue;
        struct aside *a = &t->asides[t->aside_count++];
        *a = (struct aside){.item = item, .hash = item->disk_differs ? HASH_NONE : item->hash, .mode = st.mode,
                            .number = st.type == OS_ABSENT ? -1 : (int64_t)i};
        if (a->number < 0) intent->fresh[intent->fresh_count++] = item->id;
        else intent->asides[intent->aside_count++] = (aside_record){.item = item->id, .number = (uint32_t)i, .hash = a->hash, .mode = st.mode};
    }
    if (spec->depfile.size) return os_make_parents(w->rootfd, (const char *)spec->depfile.data, output_made_folder, w, err);
    return 0;
}

void command_begin(task *t)
{
    weir *w = t->w;
    weir_error err = {0};
    event_started intent = {.node = t->node->id, .job = t->node->spec.job};
    t->execution = catalog_new_execution_id(w->catalog);
    t->started_us = os_wall_us();
    t->state = TASK_INTENT;
    int rc = os_random(t->token.bytes, HASH_SIZE, &err);
    if (rc == 0) rc = plan_asides(t, &intent, &err);
    if (rc != 0) {
        t->aside_count = 0;
        command_failed(t, EXECUTION_TRANSIENT, err.message);
        return;
    }
    intent.execution = t->execution;
    intent.token = t->token;
    buf *body = catalog_body(w->catalog);
    event_put_started(body, &intent);
    journal_say(w->journal, EVENT_STARTED, body);
    w->commands_begun++;
    journal_when_committed(w->journal, armed, t);
}
