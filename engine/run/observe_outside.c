/*
 * observe_outside.c - environment, values, tools, and weir's own build.
 *
 *     env    hash of the string                        (as the script host reports it: luahandle.c)
 *     value  hash of the canonical encoding            (this run's own, else the one that was set)
 *     tool   H("weir tool", path, fingerprint)         (path: below the root if it is there, else absolute)
 *     build  H("weir build", version, build id)
 *
 * What is not there hashes as HASH_ABSENT. The file of a tool has an entry among the signatures like any other, under an item of its
 * own path: an unchanged one is not read again. What a name resolves to is looked up once a run.
 *
 * Loop thread only.
 */
#include <stdlib.h>

#include "engine/model/near.h"
#include "engine/run/observe_internal.h"
#include "engine/store/value.h"
#include "generated/schema.h"

/* --- values ------------------------------------------------------------------------------------------------------ */

static const weir_assignment *assigned(const weir *w, bytes name)
{
    for (size_t i = w->request ? w->request->value_count : 0; i-- > 0;) /* the last one counts */
        if (bytes_equal(bytes_str(w->request->values[i].name), name)) return &w->request->values[i];
    return NULL;
}

static int encode(weir *w, const weir_assignment *a, bytes *encoded, weir_error *err)
{
    buf text;
    buf_init(&text);
    if (!a->json) return 0; /* unset for this run */
    int rc = value_from_json(bytes_str(a->json), &text, err);
    if (rc != 0) error_context(err, rc, "value %s", a->name);
    if (rc == 0) *encoded = arena_bytes(catalog_arena(w->catalog), buf_bytes(&text));
    if (rc == 0 && !encoded->data) rc = error_nomem(err, "reading a value");
    buf_deinit(&text);
    return rc;
}

static int stored_value(weir *w, uint64_t item, bytes *encoded, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_VALUE_BY_ITEM, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)item);
    int rc = db_step(q, err);
    if (rc == 1 && db_bytes(q, 0).size > 0) {
        *encoded = arena_bytes(catalog_arena(w->catalog), db_bytes(q, 0));
        if (!encoded->data) rc = error_nomem(err, "reading a value");
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* id 0: a name that nobody has used yet. */
static int value_now(weir *w, bytes name, uint64_t id, bytes *encoded, weir_error *err)
{
    const weir_assignment *a = assigned(w, name);
    *encoded = bytes_str("");
    if (a) return encode(w, a, encoded, err);
    return id ? stored_value(w, id, encoded, err) : 0;
}

int observe_value(weir *w, const cat_item *item, bytes *encoded, weir_error *err)
{
    weir_error local = {0};
    return value_now(w, item->name, item->id, encoded, err ? err : &local);
}

static int names_in_use(weir *w, mem_arena *arena, const char ***names, size_t *count, weir_error *err)
{
    size_t capacity = 0;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_VALUES_IN_USE, err);
    if (!q) return err->code;
    db_bind_int(q, 1, ITEM_VALUE);
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        bytes copy = arena_bytes(arena, db_bytes(q, 0));
        if (!copy.data || !MEM_GROW(*names, capacity, *count + 1)) {
            rc = error_nomem(err, "looking at values");
            break;
        }
        (*names)[(*count)++] = (const char *)copy.data;
    }
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static void tell_unless_used(weir *w, const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return;
    const char *near = count ? near_name(name, names, count) : NULL;
    if (near) tell_message(w, "nothing uses the value \"%s\"; did you mean \"%s\"?", name, near);
    else tell_message(w, "nothing uses the value \"%s\"", name);
}

int observe_unused_values(weir *w, weir_error *err)
{
    const char **names = NULL;
    size_t count = 0;
    mem_arena arena;
    if (w->request->value_count == 0 || w->dry) return 0;
    arena_init(&arena);
    int rc = catalog_refresh(w->catalog, err);
    if (rc == 0) rc = names_in_use(w, &arena, &names, &count, err);
    for (size_t i = 0; rc == 0 && i < w->request->value_count; i++) tell_unless_used(w, w->request->values[i].name, names, count);
    mem_free(names);
    arena_deinit(&arena);
    return rc;
}

static int value_hash(weir *w, bytes name, hash128 *hash, weir_error *err)
{
    bytes encoded = {NULL, 0};
    const cat_item *item = catalog_item_named(w->catalog, ITEM_VALUE, name, false, err);
    if (!item && err->code != 0) return err->code;
    int rc = value_now(w, name, item ? item->id : 0, &encoded, err);
    *hash = encoded.size ? hash_bytes(encoded.data, encoded.size) : HASH_ABSENT;
    return rc;
}

/* --- environment, build ------------------------------------------------------------------------------------------ */

static hash128 env_hash(const char *name)
{
    const char *value = getenv(name);
    return value ? hash_bytes(value, strlen(value)) : HASH_ABSENT;
}

static hash128 build_hash(const weir *w)
{
    hash_stream stream;
    hash_begin(&stream);
    hash_update(&stream, "weir build", 10);
    hash_update(&stream, WEIR_VERSION, sizeof WEIR_VERSION);
    if (w->registry && registry_count(w->registry) > 0)
        hash_update(&stream, registry_at(w->registry, 0)->build.bytes, HASH_SIZE);
    return hash_end(&stream);
}

/* --- tools ------------------------------------------------------------------------------------------------------- */

/* The name under which the file of a tool is an item: below the root without the root's own path. */
static int tool_item_name(const weir *w, bytes path, buf *name, weir_error *err)
{
    size_t root = strlen(w->root);
    if (root == 1) root = 0; /* "/" */
    if (path.size > root + 1 && memcmp(path.data, w->root, root) == 0 && path.data[root] == '/' &&
        scan_normalise(bytes_of(path.data + root + 1, path.size - root - 1), name, NULL) == 0)
        return 0;
    buf_clear(name);
    buf_append(name, path.data, path.size);
    return name->failed ? error_nomem(err, "looking for a program") : 0;
}

static int fingerprint(weir *w, bytes name, hash128 *hash, weir_error *err)
{
    const scan_entry *entry = sigcache_get(w->sigs, name);
    if (!entry) {
        cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, name, true, err);
        if (!item) return err->code;
        int rc = observe_file(w, item, err);
        if (rc != 0) return rc;
        entry = sigcache_get(w->sigs, name);
    }
    if (!entry) return error_nomem(err, "looking at a program");
    *hash = entry->hash;
    return 0;
}

static hash128 tool_hash(bytes name, hash128 content)
{
    hash_stream stream;
    if (hash_equal(content, HASH_ABSENT)) return HASH_ABSENT; /* it went away just now */
    hash_begin(&stream);
    hash_update(&stream, "weir tool", 9);
    hash_update(&stream, name.data, name.size);
    hash_update(&stream, content.bytes, HASH_SIZE);
    return hash_end(&stream);
}

typedef struct tool {
    buf path, name; /* path: empty when there is no such program */
} tool;

static int resolve(weir *w, const char *text, tool *t, weir_error *err)
{
    weir_error why = {0};
    int rc = scan_tool(text, getenv("PATH"), w->rootfd, &t->path, &why);
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc == 0) return tool_item_name(w, buf_bytes(&t->path), &t->name, err);
    if (err) *err = why;
    return rc;
}

/* A note: when it was taken (the start of the run), then path, name. */
static bool read_note(const weir *w, bytes note, tool *t)
{
    unpack u = unpack_of(note);
    if (note.size == 0 || unpack_i64(&u) != w->started_ns) return false;
    bytes path = unpack_bytes(&u);
    bytes name = unpack_bytes(&u);
    buf_append(&t->path, path.data, path.size);
    buf_append(&t->name, name.data, name.size);
    return !u.failed;
}

static bytes make_note(weir *w, const tool *t)
{
    buf b;
    buf_init(&b);
    buf_put_i64(&b, w->started_ns);
    buf_put_bytes(&b, buf_bytes(&t->path));
    buf_put_bytes(&b, buf_bytes(&t->name));
    bytes note = b.failed ? (bytes){NULL, 0} : arena_bytes(catalog_arena(w->catalog), buf_bytes(&b));
    buf_deinit(&b);
    return note;
}

static int tool_now(weir *w, const char *text, hash128 *hash, buf *path, weir_error *err)
{
    tool t = {0};
    hash128 content = HASH_ABSENT;
    bytes *note = catalog_note(w->catalog, bytes_str(text));
    int rc = 0;
    if (!note || !read_note(w, *note, &t)) {
        rc = resolve(w, text, &t, err);
        if (rc == 0 && note) *note = make_note(w, &t);
    }
    if (rc == 0 && t.path.size > 0) rc = fingerprint(w, buf_bytes(&t.name), &content, err);
    if (rc == 0) *hash = tool_hash(buf_bytes(&t.name), content);
    if (rc == 0 && path) buf_append(path, t.path.data, t.path.size);
    if (rc == 0 && (t.path.failed || (path && path->failed))) rc = error_nomem(err, "looking for a program");
    buf_deinit(&t.path);
    buf_deinit(&t.name);
    return rc;
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

int observe_outside_hash(weir *w, item_kind kind, bytes name, hash128 *hash, buf *path, weir_error *err)
{
    weir_error local = {0};
    buf text;
    int rc = 0;
    if (!err) err = &local;
    if (kind == ITEM_VALUE) return value_hash(w, name, hash, err);
    if (kind == ITEM_BUILD) {
        *hash = build_hash(w);
        return 0;
    }
    buf_init(&text);
    buf_append(&text, name.data, name.size);
    const char *word = buf_cstr(&text);
    if (!word) rc = error_nomem(err, "looking at the environment");
    else if (kind == ITEM_ENV) *hash = env_hash(word);
    else if (kind == ITEM_TOOL) rc = tool_now(w, word, hash, path, err);
    else rc = error_set(err, WEIR_BUG, "%s: an item of kind %d is not outside", word, (int)kind);
    buf_deinit(&text);
    return rc;
}

int observe_other(weir *w, cat_item *item, weir_error *err)
{
    hash128 hash;
    if (item->kind == ITEM_GLOB) return observe_glob_item(w, item, err);
    if (observe_is_tree(item->kind)) return observe_tree_item(w, item, err);
    int rc = observe_outside_hash(w, item->kind, item->name, &hash, NULL, err);
    return rc == 0 ? observe_take(w, item, hash, 0, 0, err) : rc;
}

int observe_outside(weir *w, weir_error *err)
{
    weir_error local = {0};
    uint64_t *items = NULL;
    size_t count = 0;
    size_t capacity = 0;
    if (!err) err = &local;
    db_stmt *q = db_get(catalog_db(w->catalog), SQL_ITEMS_OUTSIDE_USED, err);
    if (!q) return err->code;
    int rc;
    while ((rc = db_step(q, err)) == 1) {
        if (!MEM_GROW(items, capacity, count + 1)) {
            rc = error_nomem(err, "looking at the environment");
            break;
        }
        items[count++] = (uint64_t)db_int(q, 0);
    }
    db_reset(q);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        cat_item *item = catalog_item(w->catalog, items[i], err);
        rc = item ? observe_other(w, item, err) : err->code;
    }
    mem_free(items);
    return rc;
}
