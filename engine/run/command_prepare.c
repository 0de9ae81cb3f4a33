/*
 * command_prepare.c - what a command is before it runs: its expanded words and its program, for the key.
 *
 * A program of the system is an item of its own (ITEM_TOOL), found on PATH at every start; one below the root is a file like any other. A
 * shell text's own tools are not seen: weir.tool declares them.
 */
#include <stdlib.h>

#include "engine/run/engine.h"
#include "engine/store/document.h"

/* A string as it is, all else as JSON; nothing for what is absent. */
static int value_text(bytes encoded, buf *to, weir_error *err)
{
    value_reader reader = value_read(encoded);
    value_item scalar;
    if (encoded.size == 0) return 0;
    if (!value_next(&reader, &scalar) || scalar.type != VALUE_STRING) return value_to_json(encoded, 0, to, err);
    buf_append(to, scalar.text.data, scalar.text.size);
    return 0;
}

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
    bool is_key = document_is_key(m);
    if ((item->kind == ITEM_FILE && !is_key) || item->kind == ITEM_MEMBER || observe_is_tree(item->kind)) return 0;
    buf text;
    buf_init(&text);
    if (is_key) {
        bytes encoded;
        hash128 hash;
        rc = observe_key(w, m, &encoded, &hash, err);
        if (rc == 0) rc = value_text(encoded, &text, err);
    } else if (item->kind == ITEM_TOOL) {
        hash128 hash;
        rc = observe_outside_hash(w, item->kind, item->name, &hash, &text, err);
        if (rc == 0 && text.size == 0) rc = error_set(err, WEIR_NOTFOUND, "program \"%s\" is not on the PATH", (const char *)item->name.data);
    } else if (item->kind == ITEM_ENV) {
        const char *value = getenv((const char *)item->name.data);
        buf_text(&text, value ? value : "");
    } else {
        bytes encoded = {0};
        rc = observe_value(w, item, &encoded, err);
        if (rc == 0 && encoded.size == 0) encoded = m->port;
        if (rc == 0) rc = value_text(encoded, &text, err);
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
    mem_free(t->program); /* a task may be settled more than once */
    t->program = mem_strdup((const char *)known.data);
    if (!t->program) return error_nomem(err, "resolving a program");
    return shell ? 0 : tool_fingerprint(t, bytes_str(name), known, err); /* a shell text's tools are declared by weir.tool */
}
