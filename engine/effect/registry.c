/*
 * registry.c - C effects by name: the table of built-ins, and loaded plug-ins.
 *
 * A built-in and a loaded effect walk through the same door, add_all: the schema is checked, the name must be free, the build id
 * of the file goes with it. All of a plug-in's effects come in, or none. Entries are allocated one by one, so that pointers
 * to them hold as long as the registry; names and schemas are static data of the program or the mapped plug-in.
 *
 * R1  No two entries have the same name.
 * R2  `by_name` holds exactly the entries, by their index.
 *
 * One thread at a time.
 */
#include "engine/effect/registry.h"

#include <fcntl.h>

#include "engine/base/os.h"
#include "engine/effect/plugin.h"
#include "engine/effect/registry_schema.h"

typedef struct loaded_library {
    const char *path; /* resolved; in the arena */
    size_t first, count;
} loaded_library;

struct registry {
    mem_arena arena; /* entries and paths; lives as long as the registry */
    registry_entry **entries;
    size_t count, capacity;
    map by_name; /* name -> index */
    loaded_library *libraries;
    size_t library_count, library_capacity;
};

static bool is_builtin(const registry_entry *entry)
{
    return entry->library.size == 0;
}

static int name_taken(const registry_entry *old, const char *name, bytes library, weir_error *err)
{
    const char *origin = is_builtin(old) ? "weir itself" : (const char *)old->library.data;
    const char *other = library.size ? (const char *)library.data : "weir itself";
    return error_set(err, WEIR_WORKFLOW, "the effect \"%s\" of %s is already there from %s (version \"%s\")", name, other,
                     origin, old->effect->version ? old->effect->version : "");
}

static int add_one(registry *r, const weir_effect *effect, hash128 build, bytes library, weir_error *err)
{
    int rc = registry_check_schema(effect, library.size ? (const char *)library.data : "weir itself", err);
    if (rc != 0) return rc;
    bytes name = bytes_str(effect->name);
    const registry_entry *old = registry_find(r, name);
    if (old) return name_taken(old, effect->name, library, err);

    registry_entry *entry = arena_alloc(&r->arena, sizeof *entry);
    if (!entry || !MEM_GROW(r->entries, r->capacity, r->count + 1)) return error_nomem(err, "registering an effect");
    uint64_t *index = map_put(&r->by_name, name, NULL);
    if (!index) return error_nomem(err, "registering an effect");
    *entry = (registry_entry){.effect = effect, .build = build, .library = library};
    *index = r->count;
    r->entries[r->count++] = entry;
    return 0;
}

/* Forget the entries from `first` on. */
static void drop_from(registry *r, size_t first)
{
    while (r->count > first) map_remove(&r->by_name, bytes_str(r->entries[--r->count]->effect->name));
}

static int add_all(registry *r, const weir_effect *const *effects, hash128 build, bytes library, weir_error *err)
{
    size_t first = r->count;
    int rc = 0;
    for (size_t i = 0; rc == 0 && effects && effects[i]; i++) rc = add_one(r, effects[i], build, library, err);
    if (rc != 0) drop_from(r, first);
    return rc;
}

int registry_open(registry **out, const weir_effect *const *builtins, weir_error *err)
{
    hash128 build = HASH_NONE;
    *out = NULL;
    registry *r = mem_zero(1, sizeof *r);
    if (!r) return error_nomem(err, "making the registry of effects");
    arena_init(&r->arena);
    map_init(&r->by_name);

    int rc = builtins && builtins[0] ? plugin_build_id("/proc/self/exe", &build, err) : 0;
    if (rc == 0) rc = add_all(r, builtins, build, bytes_str(""), err);
    if (rc != 0) registry_close(r);
    if (rc == 0) *out = r;
    return rc;
}

void registry_close(registry *r)
{
    if (!r) return;
    map_deinit(&r->by_name);
    arena_deinit(&r->arena);
    mem_free(r->entries);
    mem_free(r->libraries);
    mem_free(r);
}

/* --- plug-ins --------------------------------------------------------------------------------------------------- */

static const loaded_library *find_library(const registry *r, const char *path)
{
    for (size_t i = 0; i < r->library_count; i++)
        if (strcmp(r->libraries[i].path, path) == 0) return &r->libraries[i];
    return NULL;
}

/* The build id is taken before and after the mapping: what was mapped is what was hashed. */
static int load_effects(registry *r, const char *real, bytes library, weir_error *err)
{
    hash128 before = HASH_NONE, after = HASH_NONE;
    const weir_plugin *plugin = NULL;
    int rc = plugin_build_id(real, &before, err);
    if (rc == 0) rc = plugin_open(real, &plugin, err);
    if (rc == 0) rc = plugin_build_id(real, &after, err);
    if (rc == 0 && !hash_equal(before, after))
        rc = error_set(err, WEIR_BUSY, "plug-in %s: changed while it was loaded", (const char *)library.data);
    if (rc == 0) rc = add_all(r, plugin->effects, before, library, err);
    return rc;
}

static int load_library(registry *r, const char *real, const char *path, weir_error *err)
{
    size_t first = r->count;
    const char *kept = arena_strdup(&r->arena, real);
    bytes library = arena_bytes(&r->arena, bytes_str(path));
    if (r->arena.failed || !MEM_GROW(r->libraries, r->library_capacity, r->library_count + 1))
        return error_nomem(err, "loading a plug-in");
    int rc = load_effects(r, real, library, err);
    if (rc == 0) r->libraries[r->library_count++] = (loaded_library){kept, first, r->count - first};
    return rc;
}

int registry_load(registry *r, const char *path, size_t *first, size_t *count, weir_error *err)
{
    char *real = NULL;
    os_stat st;
    int rc = os_statat(AT_FDCWD, path, true, &st, err);
    if (rc == 0 && st.type == OS_ABSENT) rc = error_set(err, WEIR_NOTFOUND, "plug-in %s: there is no such file", path);
    if (rc == 0 && st.type != OS_FILE) rc = error_set(err, WEIR_WORKFLOW, "plug-in %s: not a regular file", path);
    if (rc == 0) rc = os_realpath(path, &real, err);
    if (rc == 0 && !find_library(r, real)) rc = load_library(r, real, path, err);
    if (rc == 0) {
        const loaded_library *library = find_library(r, real);
        if (first) *first = library->first;
        if (count) *count = library->count;
    }
    mem_free(real);
    return rc;
}

/* --- looking ---------------------------------------------------------------------------------------------------- */

const registry_entry *registry_find(const registry *r, bytes name)
{
    const uint64_t *index = map_get(&r->by_name, name);
    return index ? r->entries[*index] : NULL;
}

size_t registry_count(const registry *r)
{
    return r->count;
}

const registry_entry *registry_at(const registry *r, size_t index)
{
    return index < r->count ? r->entries[index] : NULL;
}
