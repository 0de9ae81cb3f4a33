/*
 * define_check.c - what can be wrong with a definition before anything runs.
 *
 * Everything that is found is told, each with the place of the declaration and the names of both sides; nothing stops at the first finding.
 * Paths are compared by component, after links in their folders are resolved: an output is owned by its real path.
 *
 * Loop thread only.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "engine/run/define.h"
#include "engine/world/manifest.h"
#include "engine/world/scan.h"
#include "generated/schema.h"

static const char doing[] = "checking the definition";

enum { NEAR_LISTINGS = 20 }; /* folders that are listed for a did-you-mean */

/* --- paths of outputs -------------------------------------------------------------------------------------------- */

static void bad_output(comparison *c, const node_spec *spec, const spec_output *out, const char *why)
{
    tell_static(c->w, c->def, &spec->position, NULL, "output \"%s\" of node \"%s\": %s", define_text(c, out->port),
                define_text(c, spec->name), why);
}

static size_t folder_size(bytes path)
{
    size_t size = path.size;
    while (size > 0 && path.data[size - 1] != '/') size--;
    return size ? size - 1 : 0;
}

typedef struct folders {
    map known; /* folder -> index + 1 into real */
    bytes *real; /* data NULL: leaves the root, told at each use */
    char (*why)[200];
    size_t count, capacity, why_capacity;
} folders;

static int look_at_folder(comparison *c, folders *f, bytes folder, size_t *index, weir_error *err)
{
    bool added = false;
    uint64_t *slot = map_put(&f->known, folder, &added);
    if (!slot) return error_nomem(err, doing);
    if (!added) {
        *index = (size_t)*slot - 1;
        return 0;
    }
    if (!MEM_GROW(f->real, f->capacity, f->count + 1) || !MEM_GROW(f->why, f->why_capacity, f->count + 1))
        return error_nomem(err, doing);
    *index = f->count++;
    *slot = f->count;
    f->real[*index] = (bytes){NULL, 0};
    weir_error why = {0};
    buf real;
    buf_init(&real);
    int rc = scan_inside(c->w->rootfd, define_text(c, folder), &real, &why);
    if (rc == 0) f->real[*index] = arena_bytes(&c->arena, buf_bytes(&real));
    else snprintf(f->why[*index], sizeof f->why[*index], "%.199s", why.message);
    buf_deinit(&real);
    return c->arena.failed ? error_nomem(err, doing) : 0;
}

static bool is_weirs(bytes path)
{
    return path.size >= 5 && memcmp(path.data, ".weir", 5) == 0 && (path.size == 5 || path.data[5] == '/');
}

/* The path as it is owned: normalised, its folder without links. Data NULL: told. */
static int own_path(comparison *c, folders *f, const node_spec *spec, const spec_output *out, bytes *path, weir_error *err)
{
    weir_error why = {0};
    buf text;
    buf_init(&text);
    *path = (bytes){NULL, 0};
    int rc = scan_normalise(out->path, &text, &why);
    bytes clean = arena_bytes(&c->arena, buf_bytes(&text));
    buf_deinit(&text);
    if (rc == WEIR_NOMEM || c->arena.failed) return error_nomem(err, doing);
    if (rc != 0) {
        bad_output(c, spec, out, why.message);
        return 0;
    }
    size_t size = folder_size(clean), index = 0;
    if (size > 0) {
        rc = look_at_folder(c, f, bytes_of(clean.data, size), &index, err);
        if (rc != 0) return rc;
        bytes real = f->real[index];
        if (!real.data) {
            bad_output(c, spec, out, f->why[index]);
            return 0;
        }
        if (!bytes_equal(real, bytes_of(clean.data, size))) {
            const char *base = (const char *)clean.data + size + 1;
            const char *owned = real.size ? arena_printf(&c->arena, "%s/%s", (const char *)real.data, base) : base;
            if (!owned) return error_nomem(err, doing);
            clean = bytes_str(owned);
        }
    }
    if (manifest_is_folder(out->path)) {
        const char *folder = arena_printf(&c->arena, "%s/", (const char *)clean.data);
        if (!folder) return error_nomem(err, doing);
        clean = bytes_str(folder);
    }
    if (is_weirs(clean)) bad_output(c, spec, out, "the folder .weir belongs to weir");
    else *path = clean;
    return 0;
}

bytes check_plain(bytes path)
{
    return manifest_is_folder(path) ? bytes_of(path.data, path.size - 1) : path;
}

static void two_claims(comparison *c, const node_spec *spec, const node_spec *other, bytes path)
{
    const char *at = declared_at(c, other);
    const char *hint = at[0] ? arena_printf(&c->arena, "the other one is declared at %s", at) : NULL;
    if (spec == other)
        tell_static(c->w, c->def, &spec->position, NULL, "two outputs of node \"%s\" are \"%s\"", define_text(c, spec->name),
                    define_text(c, path));
    else
        tell_static(c->w, c->def, &spec->position, hint, "\"%s\" is an output of node \"%s\" and of node \"%s\"",
                    define_text(c, path), define_text(c, spec->name), define_text(c, other->name));
}

static int claim_path(comparison *c, folders *f, size_t number, spec_output *out, weir_error *err)
{
    const node_spec *spec = c->nodes[number].spec;
    bytes path;
    int rc = own_path(c, f, spec, out, &path, err);
    if (rc != 0 || !path.data) return rc;
    bool added = false;
    uint64_t *slot = map_put(&c->by_path, check_plain(path), &added);
    if (!slot) return error_nomem(err, doing);
    if (added) *slot = number + 1;
    else two_claims(c, spec, c->nodes[*slot - 1].spec, path);
    out->path = path;
    return 0;
}

/* Is one of the folders above an output itself an output? */
static void check_nesting(comparison *c, const node_spec *spec, bytes path)
{
    for (size_t size = folder_size(path); size > 0; size = folder_size(bytes_of(path.data, size))) {
        const uint64_t *slot = map_get(&c->by_path, bytes_of(path.data, size));
        if (!slot) continue;
        const node_spec *other = c->nodes[*slot - 1].spec;
        const char *at = declared_at(c, other);
        tell_static(c->w, c->def, &spec->position, at[0] ? arena_printf(&c->arena, "the other one is declared at %s", at) : NULL,
                    "output \"%s\" of node \"%s\" lies below \"%s\", which is an output of node \"%s\"", define_text(c, path),
                    define_text(c, spec->name), define_text(c, bytes_of(path.data, size)), define_text(c, other->name));
        return;
    }
}

/* --- other graphs of the store ----------------------------------------------------------------------------------- */

static int other_file(comparison *c, uint64_t graph, const char **file, weir_error *err)
{
    *file = "another definition";
    db_stmt *s = db_get(catalog_db(c->w->catalog), SQL_GRAPH_FILE, err);
    if (!s) return err->code;
    db_bind_int(s, 1, (int64_t)graph);
    int rc = db_step(s, err);
    if (rc == 1 && db_bytes(s, 0).size > 0) *file = define_text(c, db_bytes(s, 0));
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* A node of an expansion whose output the workflow makes itself from now on: it goes, and its list is compared once more. */
static int give_way(comparison *c, uint64_t id, weir_error *err)
{
    if (!MEM_GROW(c->gone, c->gone_capacity, c->gone_count + 1)) return error_nomem(err, doing);
    c->gone[c->gone_count++] = id;
    map_remove(&c->kept, map_key_u64(&id));
    return 0;
}

/* Tells when the live node `id` is of another graph, or of what else the graph declares. */
static int check_owner(comparison *c, const node_spec *spec, bytes path, const char *how, bytes other_path, uint64_t id,
                       weir_error *err)
{
    const char *file;
    const cat_node *node = id ? catalog_node(c->w->catalog, id, err) : NULL;
    if (!node) return id && err->code ? err->code : 0;
    if (node->status == CAT_GONE) return 0;
    if (node->graph == c->graph) {
        if (!c->parent) return map_get(&c->kept, map_key_u64(&id)) ? give_way(c, id, err) : 0;
        if (node->spec.parent != c->parent)
            tell_static(c->w, c->def, &spec->position, NULL, "output \"%s\" of node \"%s\" %s \"%s\", an output of node \"%s\"",
                        define_text(c, path), define_text(c, spec->name), how, define_text(c, other_path),
                        define_text(c, node->spec.name));
        return 0;
    }
    int rc = other_file(c, node->graph, &file, err);
    if (rc == 0)
        tell_static(c->w, c->def, &spec->position, NULL, "output \"%s\" of node \"%s\" %s \"%s\", an output of node \"%s\" of %s",
                    define_text(c, path), define_text(c, spec->name), how, define_text(c, other_path),
                    define_text(c, node->spec.name), file);
    return rc;
}

static int check_above(comparison *c, const node_spec *spec, bytes path, weir_error *err)
{
    for (size_t size = path.size; size > 0; size = folder_size(bytes_of(path.data, size))) {
        bytes part = bytes_of(path.data, size);
        const cat_item *item = catalog_item_named(c->w->catalog, ITEM_FILE, part, false, err);
        if (!item && err->code != 0) return err->code;
        const char *how = size == path.size ? "is" : "lies below";
        int rc = item ? check_owner(c, spec, path, how, part, item->node, err) : 0;
        if (rc != 0) return rc;
        const char *folder = arena_printf(&c->arena, "%s/", define_text(c, part));
        if (!folder) return error_nomem(err, doing);
        item = catalog_item_named(c->w->catalog, ITEM_FILE, bytes_str(folder), false, err);
        if (!item && err->code != 0) return err->code;
        rc = item ? check_owner(c, spec, path, how, bytes_str(folder), item->node, err) : 0;
        if (rc != 0) return rc;
    }
    return 0;
}

static int check_below(comparison *c, const node_spec *spec, bytes path, weir_error *err)
{
    const char *from = arena_printf(&c->arena, "%s/", define_text(c, path));
    const char *to = arena_printf(&c->arena, "%s0", define_text(c, path));
    db_stmt *s = from && to ? db_get(catalog_db(c->w->catalog), SQL_OUTPUTS_BELOW, err) : NULL;
    if (!from || !to) return error_nomem(err, doing);
    if (!s) return err->code;
    db_bind_bytes(s, 1, bytes_str(from));
    db_bind_bytes(s, 2, bytes_str(to));
    int rc = 0;
    size_t before = c->def->errors;
    while (c->def->errors == before && (rc = db_step(s, err)) == 1) { /* one of them is enough */
        rc = check_owner(c, spec, path, "is the folder of", db_bytes(s, 1), (uint64_t)db_int(s, 2), err);
        if (rc != 0) break;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int check_others(comparison *c, const node_spec *spec, bytes path, weir_error *err)
{
    if (!c->has_others && c->kept.count == 0) return 0;
    int rc = check_above(c, spec, path, err);
    return rc == 0 ? check_below(c, spec, path, err) : rc;
}

/* A list is made too late for a folder of it to be what the workflow means by a path: nothing would wait for it. */
static int check_readers(comparison *c, const node_spec *spec, bytes folder, weir_error *err)
{
    const char *to = arena_printf(&c->arena, "%s0", define_text(c, check_plain(folder)));
    db_stmt *s = to ? db_get(catalog_db(c->w->catalog), SQL_USE_BELOW, err) : NULL;
    if (!s) return to ? err->code : error_nomem(err, doing);
    db_bind_bytes(s, 1, folder);
    db_bind_bytes(s, 2, bytes_str(to));
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        const cat_node *node = catalog_node(c->w->catalog, (uint64_t)db_int(s, 1), err);
        if (!node) {
            rc = err->code ? err->code : WEIR_BUG;
            break;
        }
        if (node->spec.parent != 0) continue;
        tell_static(c->w, c->def, &spec->position, "take the nodes of the list as an input, or need that file",
                    "output \"%s\" of node \"%s\" is the folder of \"%s\", which node \"%s\" of the workflow takes as a file",
                    define_text(c, folder), define_text(c, spec->name), define_text(c, db_bytes(s, 0)), define_text(c, node->spec.name));
        break;
    }
    db_reset(s);
    return rc < 0 ? rc : 0;
}

const node_spec *check_folder_over(comparison *c, bytes path, const spec_output **output)
{
    for (size_t size = path.size; size > 0; size = folder_size(bytes_of(path.data, size))) {
        const uint64_t *slot = map_get(&c->by_path, bytes_of(path.data, size));
        const node_spec *maker = slot ? c->nodes[*slot - 1].spec : NULL;
        for (size_t i = 0; maker && i < maker->output_count; i++) {
            *output = &maker->outputs[i];
            if (manifest_is_folder((*output)->path) && bytes_equal(check_plain((*output)->path), bytes_of(path.data, size))) return maker;
        }
    }
    *output = NULL;
    return NULL;
}

/* A folder as an output: what cannot be said of it yet. */
static void check_folder(comparison *c, const node_spec *spec, const spec_output *out)
{
    const uint64_t *slot = map_get(&c->by_effect, spec->effect);
    if (!manifest_is_folder(out->path) || !slot) return;
    if (spec->flags & SPEC_TRANSIENT) bad_output(c, spec, out, "a folder cannot be transient");
}

int check_outputs(comparison *c, weir_error *err)
{
    folders f = {0};
    int rc = 0;
    map_init(&f.known);
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        for (size_t j = 0; rc == 0 && j < c->nodes[i].spec->output_count; j++)
            rc = claim_path(c, &f, i, &c->nodes[i].spec->outputs[j], err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const node_spec *spec = c->nodes[i].spec;
        for (size_t j = 0; rc == 0 && j < spec->output_count; j++) {
            check_nesting(c, spec, check_plain(spec->outputs[j].path));
            check_folder(c, spec, &spec->outputs[j]);
            rc = check_others(c, spec, check_plain(spec->outputs[j].path), err);
            if (rc == 0 && c->parent && manifest_is_folder(spec->outputs[j].path)) rc = check_readers(c, spec, spec->outputs[j].path, err);
        }
    }
    map_deinit(&f.known);
    mem_free(f.real);
    mem_free(f.why);
    return rc;
}

/* --- what loading looked at -------------------------------------------------------------------------------------- */

static void check_read(comparison *c, bytes path, const char *what)
{
    const uint64_t *slot = map_get(&c->by_path, path);
    if (!slot) return;
    const node_spec *spec = c->nodes[*slot - 1].spec;
    tell_static(c->w, c->def, &spec->position, NULL, "output \"%s\" of node \"%s\" %s", define_text(c, path),
                define_text(c, spec->name), what);
}

static void check_reads(comparison *c)
{
    if (c->w->workflow) check_read(c, bytes_str(c->w->workflow), "is the workflow itself");
    for (size_t i = 0; i < c->def->seen_count; i++) {
        const struct definition_seen *seen = &c->def->seen[i];
        if (seen->kind != ITEM_FILE || (c->w->workflow && bytes_equal(seen->name, bytes_str(c->w->workflow)))) continue;
        check_read(c, seen->name, "is read while the workflow loads");
    }
}

/* The node whose folder a path is in. */
static const uint64_t *folder_over(comparison *c, bytes path)
{
    for (size_t size = folder_size(path); size > 0; size = folder_size(bytes_of(path.data, size))) {
        const uint64_t *slot = map_get(&c->by_path, bytes_of(path.data, size));
        if (slot) return slot;
    }
    return NULL;
}

static void check_glob(comparison *c, const struct definition_glob *glob)
{
    for (size_t i = 0; i < glob->count; i++) {
        const uint64_t *slot = map_get(&c->by_path, bytes_str(glob->paths[i]));
        if (!slot) slot = folder_over(c, bytes_str(glob->paths[i]));
        if (!slot) continue;
        const node_spec *spec = c->nodes[*slot - 1].spec;
        tell_static(c->w, c->def, &spec->position, "outputs belong where no glob of their own workflow looks",
                    "glob \"%s\" matches output \"%s\" of node \"%s\"", define_text(c, glob->pattern), glob->paths[i],
                    define_text(c, spec->name));
    }
}

/* --- commands and C effects -------------------------------------------------------------------------------------- */

/* Of this output, or of a file in it: the form of a command is checked, not where the file lies. */
static bool is_meant(const spec_member *m, bytes port)
{
    if (m->kind == MEMBER_NODE || bytes_equal(port, m->port)) return true;
    return m->port.size > port.size && m->port.data[port.size] == '/' && memcmp(m->port.data, port.data, port.size) == 0;
}

/* A node that an expansion takes in, and that is not of it. */
static int paths_of_stored(comparison *c, const spec_member *m, mem_arena *arena, bytes **paths, size_t *count, weir_error *err)
{
    const cat_node *up = catalog_node(c->w->catalog, m->id, err);
    if (!up) return err->code ? err->code : WEIR_BUG;
    *paths = arena_zero(arena, up->spec.output_count + 1, sizeof **paths);
    if (!*paths) return error_nomem(err, doing);
    for (size_t i = 0; i < up->spec.output_count; i++) {
        const cat_item *item = catalog_item(c->w->catalog, up->spec.outputs[i].id, err);
        if (item && is_meant(m, up->spec.outputs[i].port)) (*paths)[(*count)++] = item->name;
    }
    return 0;
}

static int paths_of_node(comparison *c, const spec_member *m, mem_arena *arena, bytes **paths, size_t *count, weir_error *err)
{
    const uint64_t *slot = map_get(&c->by_name, m->name);
    const node_spec *up = slot ? c->nodes[*slot - 1].spec : NULL;
    *count = 0;
    if (m->kind == MEMBER_EXPAND) up = NULL; /* not known before it ran */
    *paths = arena_zero(arena, (up ? up->output_count : 0) + 1, sizeof **paths);
    if (!*paths) return error_nomem(err, doing);
    for (size_t i = 0; up && i < up->output_count; i++)
        if (is_meant(m, up->outputs[i].port)) (*paths)[(*count)++] = up->outputs[i].path;
    if (!up && c->parent && m->id != 0) return paths_of_stored(c, m, arena, paths, count, err);
    if (*count > 0 || !up || m->kind == MEMBER_OUTPUT) return 0; /* an unknown node or port was told already */
    return error_set(err, WEIR_WORKFLOW, "node %s has no files", define_text(c, up->name));
}

static int member_paths(void *ctx, const spec_member *m, mem_arena *arena, bytes **paths, size_t *count, weir_error *err)
{
    if (m->kind != MEMBER_ITEM) return paths_of_node(ctx, m, arena, paths, count, err);
    *paths = arena_alloc(arena, sizeof **paths);
    if (!*paths) return error_nomem(err, doing);
    (*paths)[0] = m->name;
    *count = 1;
    return 0;
}

static bytes output_path(void *ctx, const spec_output *output)
{
    (void)ctx;
    return output->path;
}

static int check_command(comparison *c, const node_spec *spec, mem_arena *scratch, weir_error *err)
{
    weir_error why = {0};
    command_line line;
    command_source source = {.node = spec, .member_paths = member_paths, .output_path = output_path, .ctx = c};
    arena_reset(scratch);
    int rc = command_expand(&source, scratch, &line, &why);
    if (rc == WEIR_WORKFLOW) tell_static(c->w, c->def, &spec->position, NULL, "%s", why.message);
    else if (rc != 0 && err) *err = why;
    return rc == WEIR_WORKFLOW ? 0 : rc;
}

typedef struct finding {
    comparison *c;
    const node_spec *spec;
} finding;

static void tell_finding(void *ctx, const char *message, const char *hint)
{
    finding *f = ctx;
    tell_static(f->c->w, f->c->def, &f->spec->position, hint, "node \"%s\": %s", define_text(f->c, f->spec->name), message);
}

/* A workflow's nodes were checked by the host, which also knows the plug-ins. */
static void check_schema(comparison *c, const node_spec *spec)
{
    const registry_entry *entry = c->w->workflow || !c->w->registry ? NULL : registry_find(c->w->registry, spec->effect);
    finding f = {c, spec};
    if (entry) (void)registry_check(entry, spec, tell_finding, &f);
}

static int check_effects(comparison *c, weir_error *err)
{
    mem_arena scratch;
    int rc = 0;
    arena_init(&scratch);
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const node_spec *spec = c->nodes[i].spec;
        const uint64_t *slot = map_get(&c->by_effect, spec->effect);
        effect_kind kind = slot ? c->effects[*slot - 1].spec.kind : EFFECT_LUA;
        if (kind == EFFECT_COMMAND) rc = check_command(c, spec, &scratch, err);
        else if (kind == EFFECT_C) check_schema(c, spec);
    }
    arena_deinit(&scratch);
    return rc;
}

/* --- sources that are not there ---------------------------------------------------------------------------------- */

typedef struct sources {
    map seen; /* item ids */
    uint64_t *items;
    size_t count, capacity, listed;
} sources;

static bool is_source(const comparison *c, const spec_member *m)
{
    return m->kind == MEMBER_ITEM && (m->item == ITEM_FILE || observe_is_tree(m->item)) && m->id != 0 && !map_get(&c->by_item, map_key_u64(&m->id));
}

/* Those of which this run knows nothing yet. */
static int gather(comparison *c, const node_spec *spec, sources *s, weir_error *err)
{
    for (size_t j = 0; j < spec->input_count; j++)
        for (size_t k = 0; k < spec->inputs[j].count; k++) {
            const spec_member *m = &spec->inputs[j].members[k];
            bool added = false;
            if (!is_source(c, m)) continue;
            if (!map_put(&s->seen, map_key_u64(&m->id), &added)) return error_nomem(err, doing);
            const cat_item *item = added ? catalog_item(c->w->catalog, m->id, err) : NULL;
            if (added && !item) return err->code ? err->code : error_set(err, WEIR_BUG, "an input has no item");
            if (!added || observe_known(c->w, item)) continue;
            if (!MEM_GROW(s->items, s->capacity, s->count + 1)) return error_nomem(err, doing);
            s->items[s->count++] = m->id;
        }
    return 0;
}

static const char *near_sibling(comparison *c, sources *s, bytes path)
{
    os_entry *entries = NULL;
    size_t count = 0, size = folder_size(path);
    const char *folder = size ? define_text(c, bytes_of(path.data, size)) : ".";
    const char *base = define_text(c, size ? bytes_of(path.data + size + 1, path.size - size - 1) : path);
    if (s->listed++ >= NEAR_LISTINGS || os_list(c->w->rootfd, folder, &c->arena, &entries, &count, NULL) != 0) return NULL;
    const char **names = arena_zero(&c->arena, count + 1, sizeof *names);
    if (!names) return NULL;
    for (size_t i = 0; i < count; i++) names[i] = entries[i].name;
    const char *near = near_name(base, names, count);
    if (!near) return NULL;
    if (strcmp(near, base) == 0) { /* there it is: a link that leads nowhere */
        buf text;
        buf_init(&text);
        int rc = os_readlinkat(c->w->rootfd, (const char *)path.data, &text, NULL);
        const char *hint = rc == 0 ? arena_printf(&c->arena, "it is a link to \"%.*s\", and there is nothing, or a circle of links", (int)text.size,
                                                  (const char *)text.data)
                                   : NULL;
        buf_deinit(&text);
        return hint;
    }
    return size ? arena_printf(&c->arena, "did you mean \"%s/%s\"?", folder, near)
                : arena_printf(&c->arena, "did you mean \"%s\"?", near);
}

static void tell_forbidden(comparison *c, const node_spec *spec, const cat_item *item)
{
    scan_request r = {.path = item->name};
    scan_one(&c->w->scan, &r);
    if (r.forbidden) tell_static(c->w, c->def, &spec->position, NULL, "node \"%s\": %s", define_text(c, spec->name), r.message);
}

/* There, but of another kind than was declared: told. */
static bool tell_kind(comparison *c, const node_spec *spec, bytes port, const spec_member *m, const cat_item *item)
{
    static const char folder_hint[] = "weir.tree is everything in a folder, weir.folder the names in it, weir.glob a list of files";
    const char *is = NULL, *hint = NULL;
    os_stat st;
    if (m->item == ITEM_FILE && hash_equal(item->hash, scan_fingerprint(HASH_NONE, S_IFDIR))) {
        is = "is a folder, not a file";
        hint = folder_hint;
    } else if (observe_is_tree(m->item) && hash_equal(item->hash, HASH_ABSENT)) {
        if (os_statat(c->w->rootfd, (const char *)item->name.data, false, &st, NULL) != 0 || st.type == OS_ABSENT) return false;
        if (st.type == OS_LINK && m->item != ITEM_LINK) return false; /* dangling, or to a file */
        is = m->item == ITEM_LINK ? "is no link" : "is no folder";
        hint = "weir.file is a file with its content";
    }
    if (is)
        tell_static(c->w, c->def, &spec->position, hint, "input \"%s\" of node \"%s\" %s: \"%s\"", define_text(c, port),
                    define_text(c, spec->name), is, (const char *)item->name.data);
    return is != NULL;
}

static int tell_missing(comparison *c, const node_spec *spec, sources *s, weir_error *err)
{
    for (size_t j = 0; j < spec->input_count; j++)
        for (size_t k = 0; k < spec->inputs[j].count; k++) {
            const spec_member *m = &spec->inputs[j].members[k];
            if (!is_source(c, m)) continue;
            const cat_item *item = catalog_item(c->w->catalog, m->id, err);
            if (!item && err->code != 0) return err->code;
            if (item && hash_equal(item->hash, HASH_UNREADABLE)) tell_forbidden(c, spec, item);
            if (!item || item->node != 0 || tell_kind(c, spec, spec->inputs[j].port, m, item)) continue;
            if (!hash_equal(item->hash, HASH_ABSENT)) continue;
            tell_static(c->w, c->def, &spec->position, near_sibling(c, s, item->name),
                        "input \"%s\" of node \"%s\" does not exist: \"%s\"", define_text(c, spec->inputs[j].port),
                        define_text(c, spec->name), (const char *)item->name.data);
        }
    return 0;
}

/* Nobody used them until now: in the middle of a turn that is no news. */
static int look_at(comparison *c, const sources *s, weir_error *err)
{
    map before;
    int rc = 0;
    map_init(&before);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        if (map_get(&c->w->observe_again, map_key_u64(&s->items[i])) && !map_put(&before, map_key_u64(&s->items[i]), NULL)) rc = error_nomem(err, "looking at sources");
    if (rc == 0) rc = observe_items(c->w, s->items, s->count, err);
    for (size_t i = 0; rc == 0 && c->parent && i < s->count; i++)
        if (!map_get(&before, map_key_u64(&s->items[i]))) map_remove(&c->w->observe_again, map_key_u64(&s->items[i]));
    map_deinit(&before);
    return rc;
}

static int check_sources(comparison *c, weir_error *err)
{
    sources s = {0};
    int rc = 0;
    map_init(&s.seen);
    for (size_t i = 0; rc == 0 && i < c->count; i++) rc = gather(c, c->nodes[i].spec, &s, err);
    if (rc == 0 && s.count > 0) rc = look_at(c, &s, err);
    for (size_t i = 0; rc == 0 && i < c->count; i++) rc = tell_missing(c, c->nodes[i].spec, &s, err);
    map_deinit(&s.seen);
    mem_free(s.items);
    return rc;
}

int check_rest(comparison *c, weir_error *err)
{
    if (!c->parent) check_reads(c);
    for (size_t i = 0; i < c->def->glob_count; i++) check_glob(c, &c->def->globs[i]);
    int rc = check_effects(c, err);
    return rc == 0 ? check_sources(c, err) : rc;
}
