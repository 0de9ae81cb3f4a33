/*
 * catalog.c - items, nodes and effects by id and by name. See catalog.h.
 *
 * A struct is made when its row is first asked for, or when it is declared; maps lead to it by id, and one map by name. Ids above
 * those that were in the database at the last clear are in memory or nowhere, so declaring a million new nodes asks the
 * database for none of them.
 *
 * Each statement is reset before the next one. During the turns all of one tick of the loop share a snapshot (db_share): a row that is newer
 * than what is in memory cannot be met, because all that this engine says goes through memory first.
 *
 * Loop thread only. Memory: the catalog's arena, until catalog_clear.
 */
#include "engine/run/catalog.h"

#include "engine/run/catalog_internal.h"
#include "generated/schema.h"

static const char doing[] = "loading a part of the graph";

db_stmt *catalog_query(catalog *c, int statement, weir_error *err)
{
    return db_get(c->db, statement, err);
}

/* --- open, close ------------------------------------------------------------------------------------------------- */

static int last_id(catalog *c, int statement, uint64_t *id, weir_error *err)
{
    db_stmt *q = catalog_query(c, statement, err);
    if (!q) return err->code;
    int rc = db_step(q, err);
    *id = rc == 1 ? (uint64_t)db_int(q, 0) : 0;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static int read_last_ids(catalog *c, weir_error *err)
{
    int rc = last_id(c, SQL_ITEM_LAST_ID, &c->item_last, err);
    if (rc == 0) rc = last_id(c, SQL_NODE_LAST_ID, &c->node_last, err);
    if (rc == 0) rc = last_id(c, SQL_EFFECT_LAST_ID, &c->effect_last, err);
    if (rc == 0) rc = last_id(c, SQL_EXECUTION_LAST_ID, &c->execution_last, err);
    return rc;
}

/* All that was handed out so far may be in the database from now on. */
static void all_is_stored(catalog *c)
{
    c->item_stored = c->item_last;
    c->node_stored = c->node_last;
    c->effect_stored = c->effect_last;
}

static int open_db(catalog *c, const char *db_path, weir_error *err)
{
    bool stale = false;
    if (!db_path) return db_open_empty(&c->db, err);
    int rc = db_open(&c->db, db_path, DB_READ, &stale, err);
    if (rc == 0 && c->snapshot && stale)
        rc = error_set(err, WEIR_NEWER, "the derived tables of %s are of another release of weir; `weir db rebuild` or the next run makes them anew", db_path);
    return rc == 0 && c->snapshot ? db_begin(c->db, err) : rc;
}

int catalog_open(catalog **out, const char *db_path, journal *j, bool snapshot, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    *out = NULL;
    catalog *c = mem_zero(1, sizeof *c);
    if (!c) return error_nomem(err, doing);
    c->journal = j;
    c->snapshot = snapshot;
    c->epoch = 1;
    arena_init(&c->arena);
    arena_init(&c->trace_arena);
    buf_init(&c->body);
    buf_init(&c->key);
    buf_init(&c->refs);
    map *maps[] = {&c->items, &c->nodes, &c->effects, &c->names, &c->results, &c->steps};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) map_init(maps[i]);
    int rc = open_db(c, db_path, err);
    if (rc == 0) rc = read_last_ids(c, err);
    if (rc != 0) {
        catalog_close(c);
        return rc;
    }
    all_is_stored(c);
    *out = c;
    return 0;
}

void catalog_close(catalog *c)
{
    if (!c) return;
    db_close(c->db);
    map *maps[] = {&c->items, &c->nodes, &c->effects, &c->names, &c->results, &c->steps};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) map_deinit(maps[i]);
    arena_deinit(&c->arena);
    arena_deinit(&c->trace_arena);
    buf_deinit(&c->body);
    buf_deinit(&c->key);
    buf_deinit(&c->refs);
    mem_free(c->step);
    mem_free(c);
}

void catalog_clear(catalog *c)
{
    map_clear(&c->items);
    map_clear(&c->nodes);
    map_clear(&c->effects);
    map_clear(&c->names);
    map_clear(&c->results);
    catalog_clear_traces(c);
    arena_reset(&c->arena);
    c->folders = FOLDERS_UNASKED;
    if (c->snapshot) return;
    db_refresh(c->db);
    all_is_stored(c);
}

int catalog_refresh(catalog *c, weir_error *err)
{
    int rc = journal_sync(c->journal, false, err);
    if (rc != 0 || c->snapshot) return rc;
    db_refresh(c->db);
    c->epoch++;
    c->result_refused = false;
    return 0;
}

db *catalog_db(catalog *c)
{
    return c->db;
}

int catalog_ids(catalog *c, int statement, uint64_t first, uint64_t second, size_t width, id_list *list, weir_error *err)
{
    int rc;
    db_stmt *s = db_get(catalog_db(c), statement, err);
    list->count = 0;
    if (!s) return err->code;
    if (first) db_bind_int(s, 1, (int64_t)first);
    if (second) db_bind_int(s, 2, (int64_t)second);
    while ((rc = db_step(s, err)) == 1) {
        if (!MEM_GROW(list->ids, list->capacity, list->count + width)) {
            rc = error_nomem(err, "reading the state");
            break;
        }
        for (size_t i = 0; i < width; i++) list->ids[list->count++] = (uint64_t)db_int(s, (int)i);
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

mem_arena *catalog_arena(catalog *c)
{
    return &c->arena;
}

journal *catalog_journal(catalog *c)
{
    return c->journal;
}

buf *catalog_body(catalog *c)
{
    return &c->body;
}

uint64_t catalog_nodes_loaded(const catalog *c)
{
    return c->nodes_loaded;
}

uint64_t catalog_new_node_id(catalog *c)
{
    return ++c->node_last;
}

uint64_t catalog_new_effect_id(catalog *c)
{
    return ++c->effect_last;
}

uint64_t catalog_new_execution_id(catalog *c)
{
    return ++c->execution_last;
}

/* --- maps -------------------------------------------------------------------------------------------------------- */

static void *known(const map *by_id, uint64_t id)
{
    const uint64_t *slot = map_get(by_id, map_key_u64(&id));
    return slot ? (void *)(uintptr_t)*slot : NULL;
}

static bool remember(map *by_id, uint64_t id, const void *object)
{
    uint64_t *slot = map_put(by_id, map_key_u64(&id), NULL);
    if (slot) *slot = (uint64_t)(uintptr_t)object;
    return slot != NULL;
}

/* 'i' and the kind, 'n' (nodes) or 't' (notes) and 0; then the name. */
static bytes name_key(catalog *c, char space, uint64_t scope, bytes name)
{
    buf_clear(&c->key);
    buf_byte(&c->key, (uint8_t)space);
    buf_put_u64(&c->key, scope);
    buf_append(&c->key, name.data, name.size);
    return c->key.failed ? (bytes){NULL, 0} : buf_bytes(&c->key);
}

static bool remember_name(catalog *c, char space, uint64_t scope, bytes name, uint64_t id)
{
    bytes key = name_key(c, space, scope, name);
    uint64_t *slot = key.data ? map_put(&c->names, key, NULL) : NULL;
    if (slot) *slot = id;
    return slot != NULL;
}

static uint64_t known_name(catalog *c, char space, uint64_t scope, bytes name)
{
    bytes key = name_key(c, space, scope, name);
    const uint64_t *slot = key.data ? map_get(&c->names, key) : NULL;
    return slot ? *slot : 0;
}

bytes *catalog_note(catalog *c, bytes name)
{
    bytes *note = (bytes *)(uintptr_t)known_name(c, 't', 0, name);
    if (note) return note;
    note = arena_zero(&c->arena, 1, sizeof *note);
    return note && remember_name(c, 't', 0, name, (uint64_t)(uintptr_t)note) ? note : NULL;
}

/* --- items ------------------------------------------------------------------------------------------------------- */

static cat_item *add_item(catalog *c, uint64_t id, item_kind kind, bytes name, weir_error *err)
{
    cat_item *item = arena_zero(&c->arena, 1, sizeof *item);
    bytes copy = arena_bytes(&c->arena, name);
    if (!item || !copy.data || !remember(&c->items, id, item) || !remember_name(c, 'i', kind, name, id)) {
        map_remove(&c->items, map_key_u64(&id));
        error_nomem(err, doing);
        return NULL;
    }
    item->id = id;
    item->kind = kind;
    item->name = copy;
    return item;
}

/* Columns from `at` on: hash, size, mode, node. */
static void fill_item(cat_item *item, db_stmt *q, int at)
{
    item->hash = db_hash(q, at);
    item->size = (uint64_t)db_int(q, at + 1);
    item->mode = (uint32_t)db_int(q, at + 2);
    item->node = (uint64_t)db_int(q, at + 3);
}

cat_item *catalog_item(catalog *c, uint64_t id, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    error_clear(err);
    cat_item *item = known(&c->items, id);
    if (item || id == 0 || id > c->item_stored) return item;
    db_stmt *q = catalog_query(c, SQL_ITEM_BY_ID, err);
    if (!q) return NULL;
    db_bind_int(q, 1, (int64_t)id);
    if (db_step(q, err) == 1) item = add_item(c, id, (item_kind)db_int(q, 0), db_bytes(q, 1), err);
    if (item) fill_item(item, q, 2);
    db_reset(q);
    return item;
}

int catalog_maker(catalog *c, const spec_member *m, uint64_t *maker, weir_error *err)
{
    *maker = m->id;
    if (m->kind != MEMBER_ITEM || m->id == 0) return 0;
    const cat_item *item = catalog_item(c, m->id, err);
    *maker = item ? item->node : 0;
    if (item || err->code) return err->code;
    return error_set(err, WEIR_BUG, "item %llu, which is an input, is not stored", (unsigned long long)m->id);
}

static cat_item *stored_item_named(catalog *c, item_kind kind, bytes name, weir_error *err)
{
    cat_item *item = NULL;
    if (c->item_stored == 0) return NULL;
    db_stmt *q = catalog_query(c, SQL_ITEM_BY_NAME, err);
    if (!q) return NULL;
    db_bind_int(q, 1, kind);
    db_bind_bytes(q, 2, name.data ? name : bytes_str(""));
    if (db_step(q, err) == 1) {
        uint64_t id = (uint64_t)db_int(q, 0);
        item = add_item(c, id, kind, name, err);
        if (item) fill_item(item, q, 1);
    }
    db_reset(q);
    return item;
}

static cat_item *make_item(catalog *c, item_kind kind, bytes name, weir_error *err)
{
    cat_item *item = add_item(c, c->item_last + 1, kind, name, err);
    if (!item) return NULL;
    c->item_last++;
    event_put_item_named(&c->body, &(event_item_named){.item = item->id, .kind = kind, .name = item->name});
    journal_say(c->journal, EVENT_ITEM_NAMED, &c->body);
    return item;
}

cat_item *catalog_item_named(catalog *c, item_kind kind, bytes name, bool make, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    error_clear(err);
    uint64_t id = known_name(c, 'i', kind, name);
    if (id != 0) return known(&c->items, id);
    cat_item *item = stored_item_named(c, kind, name, err);
    if (item || err->code != 0 || !make) return item;
    return make_item(c, kind, name, err);
}

bool catalog_has_folders(catalog *c)
{
    if (c->folders != FOLDERS_UNASKED) return c->folders == FOLDERS_SOME;
    weir_error err = {0};
    db_stmt *q = c->item_stored ? catalog_query(c, SQL_FOLDERS_CLAIMED, &err) : NULL;
    int rc = q ? db_step(q, &err) : err.code;
    if (q) db_reset(q);
    c->folders = rc == 0 ? FOLDERS_NONE : FOLDERS_SOME;
    return rc != 0;
}

void catalog_observe(catalog *c, cat_item *item, hash128 hash, uint64_t size, uint32_t mode)
{
    event_put_item_observed(&c->body,
                            &(event_item_observed){.item = item->id, .hash = hash, .size = size, .mode = mode});
    journal_say(c->journal, EVENT_ITEM_OBSERVED, &c->body);
    item->hash = hash;
    item->size = size;
    item->mode = mode;
    item->disk_differs = false;
}

void catalog_wrote(catalog *c, const output_record *output)
{
    cat_item *item = catalog_item(c, output->item, NULL);
    if (!item) return; /* out of memory: the row is right as soon as it is loaded */
    item->hash = output->hash;
    item->size = output->size;
    item->mode = output->mode;
    item->disk_differs = false;
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

/* What others use as C strings gets a NUL. */
static bool end_texts(catalog *c, node_spec *spec)
{
    spec->name = arena_bytes(&c->arena, spec->name);
    spec->effect = arena_bytes(&c->arena, spec->effect);
    if (spec->depfile.size) spec->depfile = arena_bytes(&c->arena, spec->depfile);
    return spec->name.data && spec->effect.data && spec->depfile.data;
}

static int read_node_body(catalog *c, bytes body, node_spec *spec, weir_error *err)
{
    event_body event;
    bytes copy = arena_bytes(&c->arena, body);
    if (!copy.data) return error_nomem(err, doing);
    int rc = event_get(EVENT_NODE, copy, &c->arena, &event, err);
    if (rc == 0) rc = spec_get_stored(event.node.spec, &c->arena, spec, err);
    if (rc == 0 && !end_texts(c, spec)) rc = error_nomem(err, doing);
    return rc;
}

static int fill_node(catalog *c, cat_node *node, db_stmt *q, weir_error *err)
{
    node->graph = (uint64_t)db_int(q, 0);
    node->effect = (uint64_t)db_int(q, 2);
    node->height = (uint32_t)db_int(q, 3);
    node->status = (int)db_int(q, 4);
    node->due = (int)db_int(q, 5);
    node->always = db_int(q, 6) != 0;
    node->spec_seq = (uint64_t)db_int(q, 7);
    node->successor = (uint64_t)db_int(q, 8);
    node->settled = (uint64_t)db_int(q, 9);
    node->execution = (uint64_t)db_int(q, 10);
    node->value = db_hash(q, 11);
    int rc = read_node_body(c, db_bytes(q, 12), &node->spec, err);
    bytes name = db_bytes(q, 1);
    int shown = name.size < 200 ? (int)name.size : 200;
    return rc == 0 ? 0 : error_context(err, rc, "declaration of node %.*s", shown, (const char *)name.data);
}

static int keep_node(catalog *c, cat_node *node, weir_error *err)
{
    bool kept = remember(&c->nodes, node->id, node);
    if (kept && remember_name(c, 'n', 0, node->spec.name, node->id)) return 0;
    if (kept) map_remove(&c->nodes, map_key_u64(&node->id));
    return error_nomem(err, doing);
}

static cat_node *load_node(catalog *c, uint64_t id, weir_error *err)
{
    db_stmt *q = catalog_query(c, SQL_NODE_BY_ID, err);
    if (!q) return NULL;
    db_bind_int(q, 1, (int64_t)id);
    int rc = db_step(q, err);
    cat_node *node = rc == 1 ? arena_zero(&c->arena, 1, sizeof *node) : NULL;
    if (rc == 1 && !node) rc = error_nomem(err, doing);
    if (node) {
        node->id = id;
        rc = fill_node(c, node, q, err);
    }
    db_reset(q);
    if (node && rc == 0) rc = keep_node(c, node, err);
    if (!node || rc != 0) return NULL;
    c->nodes_loaded++;
    return node;
}

cat_node *catalog_node(catalog *c, uint64_t id, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    error_clear(err);
    cat_node *node = known(&c->nodes, id);
    if (node || id == 0 || id > c->node_stored) return node;
    return load_node(c, id, err);
}

cat_node *catalog_loaded(const catalog *c, uint64_t id)
{
    return known(&c->nodes, id);
}

static int stored_id(catalog *c, int statement, uint64_t graph, bytes name, uint64_t *id, weir_error *err)
{
    db_stmt *q = catalog_query(c, statement, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)graph);
    db_bind_bytes(q, 2, name.data ? name : bytes_str(""));
    int rc = db_step(q, err);
    *id = rc == 1 ? (uint64_t)db_int(q, 0) : 0;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

int catalog_node_named(catalog *c, uint64_t graph, bytes name, uint64_t *id, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    *id = known_name(c, 'n', 0, name);
    const cat_node *node = *id ? known(&c->nodes, *id) : NULL;
    if (node && node->graph == graph) return 0;
    *id = 0;
    if (c->node_stored == 0) return 0;
    return stored_id(c, SQL_NODE_ID_BY_NAME, graph, name, id, err);
}

/* A deep copy: through the stored form, which holds all that counts. */
static int copy_spec(catalog *c, const node_spec *from, node_spec *to, weir_error *err)
{
    node_spec again = *from; /* its ports are sorted in place, which changes nothing after the first time */
    buf_clear(&c->key);
    spec_put_stored(&c->key, &again);
    bytes copy = c->key.failed ? (bytes){NULL, 0} : arena_bytes(&c->arena, buf_bytes(&c->key));
    if (!copy.data) return error_nomem(err, doing);
    int rc = spec_get_stored(copy, &c->arena, to, err);
    if (rc == 0 && !end_texts(c, to)) rc = error_nomem(err, doing);
    return rc;
}

void catalog_release(cat_item *item, uint64_t node)
{
    if (item->node != node) return;
    item->node = 0;
    item->left = item->hash;
}

/* The fold's rule: paths that are not declared any more are free, new ones are claimed. */
static int claim_outputs(catalog *c, const cat_node *node, const node_spec *before, weir_error *err)
{
    for (size_t i = 0; before && i < before->output_count; i++) {
        cat_item *item = catalog_item(c, before->outputs[i].id, err);
        if (!item && err->code != 0) return err->code;
        if (item) catalog_release(item, node->id);
    }
    for (size_t i = 0; i < node->spec.output_count; i++) {
        cat_item *item = catalog_item(c, node->spec.outputs[i].id, err);
        if (!item && err->code != 0) return err->code;
        if (!item) continue;
        item->node = node->id;
        item->left = HASH_NONE;
        if (item->name.size > 0 && item->name.data[item->name.size - 1] == '/') c->folders = FOLDERS_SOME;
    }
    return 0;
}

cat_node *catalog_put_node(catalog *c, uint64_t id, const node_spec *spec, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    cat_node *node = catalog_node(c, id, err);
    if (!node && err->code != 0) return NULL;
    bool is_new = node == NULL;
    if (is_new) node = arena_zero(&c->arena, 1, sizeof *node);
    node_spec copy;
    int rc = node ? copy_spec(c, spec, &copy, err) : error_nomem(err, doing);
    if (rc != 0) return NULL;
    node_spec before = node->spec;
    bool was_live = !is_new && node->status != CAT_GONE;
    node->id = id;
    node->spec = copy;
    node->effect = copy.effect_id;
    node->always = (copy.flags & SPEC_ALWAYS) != 0;
    node->status = CAT_DUE;
    node->due = was_live && node->settled != 0 ? REASON_PARAMS_CHANGED : REASON_NEW;
    if (is_new) {
        rc = keep_node(c, node, err); /* its graph is the caller's to set: names in memory are compared with it when asked for */
        if (id > c->node_last) c->node_last = id;
    }
    if (rc == 0) rc = claim_outputs(c, node, was_live ? &before : NULL, err);
    return rc == 0 ? node : NULL;
}

/* --- effects ----------------------------------------------------------------------------------------------------- */

/* The spec's texts, with a NUL each, in the arena. */
static bool copy_effect(catalog *c, effect_spec *spec)
{
    bytes *texts[] = {&spec->name, &spec->version, &spec->always, &spec->library};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = arena_bytes(&c->arena, *texts[i]);
        if (!texts[i]->data) return false;
    }
    spec->position = (source_position){0};
    return true;
}

static cat_effect *add_effect(catalog *c, uint64_t id, const effect_spec *spec, weir_error *err)
{
    cat_effect *effect = known(&c->effects, id);
    bool is_new = effect == NULL;
    if (is_new) effect = arena_zero(&c->arena, 1, sizeof *effect);
    effect_spec copy = *spec;
    if (!effect || !copy_effect(c, &copy) || (is_new && !remember(&c->effects, id, effect))) {
        error_nomem(err, doing);
        return NULL;
    }
    effect->id = id;
    effect->spec = copy;
    return effect;
}

static int read_effect_body(catalog *c, bytes body, effect_spec *spec, weir_error *err)
{
    event_body event;
    int rc = event_get(EVENT_EFFECT, body, &c->arena, &event, err);
    return rc == 0 ? effect_get(event.effect.spec, &c->arena, spec, err) : rc;
}

static cat_effect *load_effect(catalog *c, uint64_t id, weir_error *err)
{
    cat_effect *effect = NULL;
    effect_spec spec;
    db_stmt *q = catalog_query(c, SQL_EFFECT_BY_ID, err);
    if (!q) return NULL;
    db_bind_int(q, 1, (int64_t)id);
    if (db_step(q, err) == 1 && read_effect_body(c, db_bytes(q, 2), &spec, err) == 0)
        effect = add_effect(c, id, &spec, err);
    if (effect) {
        effect->seq = (uint64_t)db_int(q, 0);
        effect->graph = (uint64_t)db_int(q, 1);
    }
    db_reset(q);
    return effect;
}

cat_effect *catalog_effect(catalog *c, uint64_t id, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    error_clear(err);
    cat_effect *effect = known(&c->effects, id);
    if (effect || id == 0 || id > c->effect_stored) return effect;
    return load_effect(c, id, err);
}

cat_effect *catalog_put_effect(catalog *c, uint64_t id, const effect_spec *spec, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    cat_effect *effect = catalog_effect(c, id, err);
    if (!effect && err->code != 0) return NULL;
    effect = add_effect(c, id, spec, err);
    if (effect && id > c->effect_last) c->effect_last = id;
    return effect;
}

/* Effects are few: those in memory are looked through, so that a graph that its maker has just set counts. */
int catalog_effect_named(catalog *c, uint64_t graph, bytes name, uint64_t *id, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    size_t at = 0;
    uint64_t value = 0;
    while (map_next(&c->effects, &at, NULL, &value)) {
        const cat_effect *effect = (const cat_effect *)(uintptr_t)value;
        if (effect->graph != graph || !bytes_equal(effect->spec.name, name)) continue;
        *id = effect->id;
        return 0;
    }
    *id = 0;
    return c->effect_stored == 0 ? 0 : stored_id(c, SQL_EFFECT_ID_BY_NAME, graph, name, id, err);
}
