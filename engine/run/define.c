/*
 * define.c - what a workflow declares is collected, and asked whether it still holds.
 *
 * A definition is a traced computation itself: all that loading looked at is stored beside the graph with the hash that the host saw. If
 * none of it changed, the workflow is not loaded. What was read is matched with items only after loading, because callbacks come
 * from inside the loop.
 *
 * A glob that shows an output of the very definition it leads to (files of a lost state folder, or of another tool) is
 * answered once more without these: the workflow is loaded a second time.
 *
 * Loop thread only.
 */
#include "engine/run/define.h"
#include "generated/schema.h"

#include <stdlib.h>

void definition_init(definition *def)
{
    *def = (definition){0};
    arena_init(&def->arena);
}

void definition_clear(definition *def)
{
    mem_free(def->effects);
    mem_free(def->nodes);
    mem_free(def->reads);
    mem_free(def->defaults);
    mem_free(def->seen);
    mem_free(def->globs);
    mem_free(def->diagnostics);
    arena_deinit(&def->arena);
    definition_init(def);
}

/* --- collecting -------------------------------------------------------------------------------------------------- */

static void no_memory(collector *c)
{
    if (c->failure.code == 0) error_nomem(&c->failure, "loading the workflow");
}

static void on_effect(void *ctx, const effect_spec *spec)
{
    collector *c = ctx;
    definition *def = c->def;
    buf packed;
    buf_init(&packed);
    effect_put(&packed, spec, true);
    bytes copy = arena_bytes(&def->arena, buf_bytes(&packed));
    bool ok = !packed.failed && copy.data && MEM_GROW(def->effects, def->effect_capacity, def->effect_count + 1);
    buf_deinit(&packed);
    if (!ok) {
        no_memory(c);
        return;
    }
    weir_error err = {0};
    if (effect_get(copy, &def->arena, &def->effects[def->effect_count], &err) == 0) def->effect_count++;
    else if (c->failure.code == 0) c->failure = err;
}

static void on_node(void *ctx, node_spec *spec)
{
    collector *c = ctx;
    definition *def = c->def;
    buf packed;
    buf_init(&packed);
    spec_put_declared(&packed, spec);
    bytes copy = arena_bytes(&def->arena, buf_bytes(&packed));
    bool ok = !packed.failed && copy.data && MEM_GROW(def->nodes, def->node_capacity, def->node_count + 1);
    buf_deinit(&packed);
    if (!ok) {
        no_memory(c);
        return;
    }
    weir_error err = {0};
    if (spec_get_declared(copy, &def->arena, &def->nodes[def->node_count], &err) == 0) def->node_count++;
    else if (c->failure.code == 0) c->failure = err;
}

static void on_default(void *ctx, bytes target)
{
    collector *c = ctx;
    definition *def = c->def;
    bytes copy = arena_bytes(&def->arena, target);
    if (copy.data && MEM_GROW(def->defaults, def->default_capacity, def->default_count + 1))
        def->defaults[def->default_count++] = copy;
    else no_memory(c);
}

static void on_read(void *ctx, item_kind kind, bytes name, hash128 hash)
{
    collector *c = ctx;
    definition *def = c->def;
    bytes copy = arena_bytes(&def->arena, name);
    if (copy.data && MEM_GROW(def->seen, def->seen_capacity, def->seen_count + 1))
        def->seen[def->seen_count++] = (struct definition_seen){kind, copy, hash};
    else no_memory(c);
}

/* Drop what must not be shown; true: something was. */
/* Is it an output, or in a folder that is one? */
static bool is_made(const map *outputs, bytes path)
{
    bool found = map_get(outputs, path) != NULL;
    for (size_t at = 1; !found && at < path.size; at++)
        found = path.data[at - 1] == '/' && map_get(outputs, bytes_of(path.data, at));
    return found;
}

static bool hide(const map *hidden, const char **paths, size_t *count)
{
    size_t kept = 0;
    if (!hidden) return false;
    for (size_t i = 0; i < *count; i++)
        if (!is_made(hidden, bytes_str(paths[i]))) paths[kept++] = paths[i];
    bool dropped = kept < *count;
    *count = kept;
    return dropped;
}

static void on_glob(void *ctx, script_host *host, bytes pattern)
{
    collector *c = ctx;
    definition *def = c->def;
    struct definition_glob g = {.pattern = arena_bytes(&def->arena, pattern)};
    if (c->failure.code != 0) return;
    if (!g.pattern.data || !MEM_GROW(def->globs, def->glob_capacity, def->glob_count + 1)) {
        no_memory(c);
        return;
    }
    if (observe_glob(c->w, g.pattern, &def->arena, &g.paths, &g.count, &g.hash, &c->failure) != 0) return;
    if (hide(c->hidden, g.paths, &g.count)) g.hash = scan_names_hash(g.paths, g.count);
    for (size_t i = 0; i < g.count; i++) script_glob_answer(host, bytes_str(g.paths[i]));
    def->globs[def->glob_count++] = g;
}

static void on_value(void *ctx, bytes name, bytes fallback, buf *answer)
{
    collector *c = ctx;
    weir_error err = {0};
    bytes value = {0};
    cat_item *item = catalog_item_named(c->w->catalog, ITEM_VALUE, name, !c->quiet, &err);
    if (item) (void)observe_value(c->w, item, &value, &err);
    if (err.code != 0 && c->failure.code == 0) c->failure = err;
    if (value.size == 0) value = fallback;
    buf_append(answer, value.data, value.size);
}

/* An output that holds what weir wrote is not for the definition to read; one whose content is another's counts as a source. */
static bool on_may_read(void *ctx, bytes path)
{
    collector *c = ctx;
    weir_error err = {0};
    const cat_item *item = catalog_item_named(c->w->catalog, ITEM_FILE, path, false, &err);
    if (err.code != 0 && c->failure.code == 0) c->failure = err;
    return !item || item->node == 0 || item->disk_differs;
}

static const char *copy_text(mem_arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

static void on_diagnose(void *ctx, const diagnostic *d)
{
    collector *c = ctx;
    definition *def = c->def;
    if (!MEM_GROW(def->diagnostics, def->diagnostic_capacity, def->diagnostic_count + 1)) {
        no_memory(c);
        return;
    }
    mem_arena *arena = &def->arena;
    def->diagnostics[def->diagnostic_count++] = (diagnostic){.file = copy_text(arena, d->file),
                                                             .line = d->line,
                                                             .column = d->column,
                                                             .message = copy_text(arena, d->message),
                                                             .hint = copy_text(arena, d->hint),
                                                             .source = copy_text(arena, d->source)};
}

static void on_loaded(void *ctx, size_t errors, bytes always)
{
    collector *c = ctx;
    c->def->errors += errors;
    c->def->loaded = true;
    c->def->always = arena_bytes(&c->def->arena, always);
    if (!c->def->always.data) no_memory(c);
}

static void on_died(void *ctx, const char *how)
{
    collector *c = ctx;
    (void)how; /* whoever waits says it */
    c->def->died = true;
}

script_events define_events(collector *c)
{
    return (script_events){.ctx = c,
                           .effect = on_effect,
                           .node = on_node,
                           .default_target = on_default,
                           .definition_read = on_read,
                           .glob = on_glob,
                           .value = on_value,
                           .may_read = on_may_read,
                           .diagnose = on_diagnose,
                           .loaded = on_loaded,
                           .died = on_died};
}

void define_tell(weir *w, definition *def)
{
    for (size_t i = 0; i < def->diagnostic_count; i++) {
        const diagnostic *d = &def->diagnostics[i];
        weir_diagnostic out = {.file = d->file,
                               .line = d->line,
                               .column = d->column,
                               .message = d->message ? d->message : "out of memory",
                               .hint = d->hint,
                               .source = d->source};
        tell(w, &(weir_event){.kind = WEIR_EVENT_DIAGNOSTIC, .diagnostic = &out});
    }
    def->diagnostic_count = 0;
}

/* --- reads of the definition ------------------------------------------------------------------------------------- */

static int add_read(definition *def, const cat_item *item, hash128 hash, weir_error *err)
{
    if (!MEM_GROW(def->reads, def->read_capacity, def->read_count + 1)) return error_nomem(err, "loading the workflow");
    def->reads[def->read_count++] = (definition_read){item->id, hash};
    return 0;
}

/* The hash that the host saw is stored: if the file moved since, the next run loads again. */
static int read_file(weir *w, cat_item *item, hash128 seen, weir_error *err)
{
    if (observe_known(w, item) && hash_equal(item->hash, seen)) return 0;
    return observe_one(w, item, err);
}

static int read_outside(weir *w, cat_item *item, hash128 *hash, weir_error *err)
{
    int rc = observe_outside_hash(w, item->kind, item->name, hash, NULL, err);
    if (rc == 0 && !hash_equal(item->hash, *hash)) catalog_observe(w->catalog, item, *hash, 0, 0);
    return rc;
}

static int take_seen(weir *w, definition *def, const struct definition_seen *seen, weir_error *err)
{
    hash128 hash = seen->hash;
    cat_item *item = catalog_item_named(w->catalog, seen->kind, seen->name, true, err);
    if (!item) return err->code;
    int rc = seen->kind == ITEM_FILE ? read_file(w, item, hash, err) : read_outside(w, item, &hash, err);
    return rc == 0 ? add_read(def, item, hash, err) : rc;
}

static int take_glob(weir *w, definition *def, const struct definition_glob *glob, weir_error *err)
{
    cat_item *item = catalog_item_named(w->catalog, ITEM_GLOB, glob->pattern, true, err);
    if (!item) return err->code;
    if (!hash_equal(item->hash, glob->hash)) catalog_observe(w->catalog, item, glob->hash, 0, 0);
    return add_read(def, item, glob->hash, err);
}

static int compare_reads(const void *a, const void *b)
{
    uint64_t x = ((const definition_read *)a)->item, y = ((const definition_read *)b)->item;
    return (x > y) - (x < y);
}

/* One entry an item; what was seen with two contents matches none. */
static void merge_reads(definition *def)
{
    size_t kept = 0;
    if (def->read_count > 1) qsort(def->reads, def->read_count, sizeof *def->reads, compare_reads);
    for (size_t i = 0; i < def->read_count; i++) {
        definition_read *last = kept ? &def->reads[kept - 1] : NULL;
        if (!last || last->item != def->reads[i].item) def->reads[kept++] = def->reads[i];
        else if (!hash_equal(last->hash, def->reads[i].hash)) last->hash = HASH_NONE;
    }
    def->read_count = kept;
}

static int resolve_reads(weir *w, definition *def, weir_error *err)
{
    struct definition_seen build = {.kind = ITEM_BUILD, .name = bytes_str("weir")};
    int rc = take_seen(w, def, &build, err);
    for (size_t i = 0; rc == 0 && i < def->seen_count; i++) rc = take_seen(w, def, &def->seen[i], err);
    for (size_t i = 0; rc == 0 && i < def->glob_count; i++) rc = take_glob(w, def, &def->globs[i], err);
    merge_reads(def);
    return rc;
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

static void drop_host(weir *w)
{
    jobs_drop_host(w);
}

/* The collector is the host's for as long as that lives: jobs.c has it, and the definition is w->reload. */
static int load(weir *w, const map *hidden, weir_error *err)
{
    drop_host(w);
    definition_clear(&w->reload);
    collector *c = jobs_collector(w);
    if (!c) return error_nomem(err, "loading the workflow");
    *c = (collector){.w = w, .def = &w->reload, .hidden = hidden};
    script_events events = define_events(c);
    script_config config = {.program = w->host_program, .rootfd = w->rootfd, .workflow = w->workflow, .stop = &w->interrupts};
    int rc = script_host_start(&w->host, &w->loop, &config, &events, err);
    if (rc == 0) rc = script_host_wait(w->host, err);
    if (c->failure.code != 0) {
        if (err) *err = c->failure;
        rc = c->failure.code;
    }
    c->hidden = NULL;
    w->host_ready = rc == 0 && w->reload.errors == 0;
    if (!w->host_ready) drop_host(w);
    return rc;
}

static int outputs_of(const definition *def, map *paths, weir_error *err)
{
    for (size_t i = 0; i < def->node_count; i++)
        for (size_t j = 0; j < def->nodes[i].output_count; j++)
            if (!map_put(paths, def->nodes[i].outputs[j].path, NULL)) return error_nomem(err, "loading the workflow");
    return 0;
}

static bool globs_show(const definition *def, const map *paths)
{
    for (size_t i = 0; i < def->glob_count; i++)
        for (size_t j = 0; j < def->globs[i].count; j++)
            if (is_made(paths, bytes_str(def->globs[i].paths[j]))) return true;
    return false;
}

static int load_settled(weir *w, weir_error *err)
{
    map outputs;
    map_init(&outputs);
    int rc = load(w, NULL, err);
    if (rc == 0) rc = outputs_of(&w->reload, &outputs, err);
    if (rc == 0 && globs_show(&w->reload, &outputs)) rc = load(w, &outputs, err);
    map_deinit(&outputs);
    define_tell(w, &w->reload);
    return rc;
}

/* --- is it stale? ------------------------------------------------------------------------------------------------ */

typedef struct graph_row {
    uint64_t id, nodes; /* id 0: none */
    bool is_always;
} graph_row;

static int read_graph(weir *w, graph_row *row, weir_error *err)
{
    *row = (graph_row){0};
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_GRAPH_BY_FILE, err);
    if (!s) return err->code;
    db_bind_bytes(s, 1, bytes_str(w->workflow ? w->workflow : ""));
    int rc = db_step(s, err);
    if (rc == 1) *row = (graph_row){(uint64_t)db_int(s, 0), (uint64_t)db_int(s, 3), db_bytes(s, 2).size > 0};
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* Has one of its reads another content now? Memory is ahead of the row. */
static int reads_moved(weir *w, uint64_t graph, bool *moved, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_DEFINITION_READS, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)graph);
    int rc = 0;
    size_t count = 0;
    while (!*moved && (rc = db_step(s, err)) == 1) {
        hash128 then = db_hash(s, 1);
        const cat_item *item = catalog_item(w->catalog, (uint64_t)db_int(s, 0), err);
        if (!item && err && err->code != 0) {
            rc = err->code;
            break;
        }
        *moved = !item || hash_is_none(then) || !hash_equal(then, item->hash);
        count++;
    }
    db_reset(s);
    if (rc >= 0 && count == 0) *moved = true;
    return rc < 0 ? rc : 0;
}

int define_is_stale(weir *w, bool *stale, weir_error *err)
{
    graph_row row;
    *stale = false;
    int rc = read_graph(w, &row, err);
    if (rc != 0) return rc;
    if (!w->workflow) {
        *stale = row.id == 0 || w->declared.node_count > 0;
        return 0;
    }
    *stale = row.id == 0 || row.is_always;
    if (*stale) return 0;
    w->graph = row.id;
    rc = observe_globs(w, err);
    return rc == 0 ? reads_moved(w, row.id, stale, err) : rc;
}

/* --- a declared source that went away ------------------------------------------------------------------------------ */

static int is_missing(weir *w, uint64_t id, bool *missing, weir_error *err)
{
    const cat_item *item = catalog_item(w->catalog, id, err);
    if (!item) return err->code;
    bool is_folder = item->kind == ITEM_FILE && hash_equal(item->hash, scan_fingerprint(HASH_NONE, S_IFDIR));
    bool is_source = item->kind == ITEM_FILE || item->kind == ITEM_TOOL || observe_is_tree(item->kind);
    if (!is_source || item->node != 0) return 0;
    if (!is_folder && !hash_equal(item->hash, HASH_ABSENT)) return 0;
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_ITEM_DECLARED_BY, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)id);
    db_bind_int(s, 2, (int64_t)w->graph);
    int rc = db_step(s, err);
    *missing = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int pending_missing(weir *w, item_kind kind, hash128 hash, bool *missing, weir_error *err)
{
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_PENDING_ABSENT, err);
    if (!s) return err->code;
    db_bind_int(s, 1, kind);
    db_bind_hash(s, 2, hash);
    int rc = 0;
    while (!*missing && (rc = db_step(s, err)) == 1) {
        int end = is_missing(w, (uint64_t)db_int(s, 0), missing, err);
        if (end == 0) continue;
        rc = end;
        break;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int missing_since_earlier(weir *w, bool *missing, weir_error *err)
{
    int rc = pending_missing(w, ITEM_FILE, HASH_ABSENT, missing, err);
    if (rc == 0 && !*missing) rc = pending_missing(w, ITEM_FILE, scan_fingerprint(HASH_NONE, S_IFDIR), missing, err);
    if (rc == 0 && !*missing) rc = pending_missing(w, ITEM_TOOL, HASH_ABSENT, missing, err);
    for (int kind = ITEM_FOLDER; rc == 0 && !*missing && kind <= ITEM_LINK; kind++)
        rc = pending_missing(w, (item_kind)kind, HASH_ABSENT, missing, err);
    return rc;
}

/*
 * Is a file or a tool gone (or a folder now) that a node of an otherwise unchanged workflow declares? Such a change stays pending until a run is complete,
 * and that it cannot be before the file is back: the changes of this run and the pending ones are all there are to look at.
 */
static int source_is_missing(weir *w, bool *missing, weir_error *err)
{
    size_t at = 0;
    bytes key;
    int rc = missing_since_earlier(w, missing, err);
    while (rc == 0 && !*missing && map_next(&w->observe_again, &at, &key, NULL)) {
        uint64_t id;
        if (key.size != sizeof id) continue;
        memcpy(&id, key.data, sizeof id);
        rc = is_missing(w, id, missing, err);
    }
    return rc;
}

static int define_anew(weir *w, uint64_t graph, bool *changed, weir_error *err)
{
    definition *def = w->workflow ? &w->reload : &w->declared;
    int rc = w->workflow ? load_settled(w, err) : 0;
    if (rc == 0 && w->workflow) rc = resolve_reads(w, def, err);
    if (rc == 0) rc = define_compare(w, def, graph, changed, err);
    w->summary->errors = def->errors;
    if (rc != 0) drop_host(w);
    return rc;
}

/* A path that the old graph claimed was hidden from globs; if somebody changed the file, it is a source from now on. */
static int globs_moved(weir *w, const definition *def, bool *moved, weir_error *err)
{
    mem_arena arena;
    db_stmt *s = db_get(catalog_db(w->catalog), SQL_VANISHED_ANY, err);
    if (!s) return err->code;
    int rc = db_step(s, err);
    db_reset(s);
    if (rc <= 0) return rc;
    arena_init(&arena);
    rc = 0;
    for (size_t i = 0; rc == 0 && !*moved && i < def->glob_count; i++) {
        const char **paths = NULL;
        size_t count = 0;
        hash128 hash;
        rc = observe_glob(w, def->globs[i].pattern, &arena, &paths, &count, &hash, err);
        *moved = rc == 0 && !hash_equal(hash, def->globs[i].hash);
    }
    arena_deinit(&arena);
    return rc;
}

static int define_until_settled(weir *w, bool *changed, weir_error *err)
{
    bool moved = false, again = false;
    graph_row row = {0};
    int rc = w->dry || (w->request->flags & WEIR_RUN_CHECK) ? 0 : journal_sync(w->journal, false, err);
    if (rc == 0) rc = catalog_refresh(w->catalog, err);
    if (rc == 0) rc = globs_moved(w, &w->reload, &moved, err);
    if (rc != 0 || !moved) return rc;
    rc = read_graph(w, &row, err);
    if (rc == 0) rc = define_anew(w, row.id, &again, err);
    *changed = *changed || again;
    return rc;
}

int define_stored(weir *w, weir_error *err)
{
    graph_row row = {0};
    int rc = read_graph(w, &row, err);
    w->graph = row.id;
    w->summary->nodes = row.nodes;
    if (rc == 0 && row.id == 0)
        rc = error_set(err, WEIR_USAGE, "%s was never run here: there is no result yet", w->workflow ? w->workflow : "this graph");
    return rc;
}

int define_graph(weir *w, bool *changed, weir_error *err)
{
    graph_row row = {0};
    bool stale = false;
    *changed = false;
    w->changed_nodes = NULL;
    w->changed_count = 0;
    w->new_defaults = NULL;
    w->new_default_count = 0;
    w->has_new_definition = false;
    int rc = define_is_stale(w, &stale, err);
    if (rc == 0) rc = read_graph(w, &row, err);
    if (rc != 0) return rc;
    w->graph = row.id;
    w->summary->nodes = row.nodes;
    if (!stale && w->workflow) rc = source_is_missing(w, &stale, err); /* evaluated again: it says where it was declared */
    if (rc != 0) return rc;
    if (!stale) return 0;
    rc = define_anew(w, row.id, changed, err);
    bool may_show = rc == 0 && *changed && w->workflow && w->reload.glob_count > 0 && row.id != 0;
    return may_show ? define_until_settled(w, changed, err) : rc;
}
