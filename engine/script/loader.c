/*
 * loader.c - the life of a workflow in the script host: open, evaluate, take the code hashes, hand
 * on the effects.
 */
#include "engine/script/loader.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/script/codehash.h"
#include "engine/script/luahandle.h"
#include "engine/script/luajob.h"
#include "engine/script/luavalue.h"
#include "engine/world/scan.h"

enum { SOURCE_LIMIT = 256 * 1024 * 1024, SCRATCH_KEPT = 64 * 1024 };

loader *loader_of(lua_State *L)
{
    return luavm_owner(L);
}

void loader_scratch(loader *ld)
{
    if (ld->scratch.used > SCRATCH_KEPT || ld->scratch.failed)
        arena_reset(&ld->scratch); /* not at each call: that would be most of its cost */
    buf_clear(&ld->text);
    buf_clear(&ld->encoded);
    buf_clear(&ld->pack);
}

void loader_need_loading(lua_State *L, const char *what)
{
    if (loader_of(L)->is_loading) return;
    luavm_raise(L, "what an effect needs is declared before, as its inputs and params",
                "%s is possible only while the workflow loads", what);
}

void loader_read(loader *ld, item_kind kind, bytes name, hash128 hash)
{
    bool added = true;
    buf_clear(&ld->pack);
    buf_byte(&ld->pack, (uint8_t)kind);
    buf_append(&ld->pack, name.data, name.size);
    if (!ld->pack.failed) (void)map_put(&ld->reads_seen, buf_bytes(&ld->pack), &added);
    buf_clear(&ld->pack);
    if (added) ld->link->definition_read(ld->link->ctx, kind, name, hash);
}

void loader_always(loader *ld, const char *format, ...)
{
    char text[300];
    va_list args;
    if (ld->always.size) return; /* the first reason is enough */
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_text(&ld->always, text);
}

int loader_find_effect(const loader *ld, bytes name)
{
    const uint64_t *at = map_get(&ld->effect_index, name);
    return at ? (int)*at : -1;
}

int loader_add_effect(loader *ld, bytes name, effect_kind kind)
{
    bytes kept = arena_bytes(&ld->kept, name);
    if (!kept.data || !MEM_GROW(ld->effects, ld->effect_capacity, ld->effect_count + 1)) return -1;
    uint64_t *index = map_put(&ld->effect_index, kept, NULL);
    if (!index) return -1;
    *index = ld->effect_count;
    ld->effects[ld->effect_count] = (script_effect){.name = (char *)(uintptr_t)kept.data,
                                                    .kind = kind,
                                                    .run = LUA_NOREF,
                                                    .version = "",
                                                    .always = "",
                                                    .code = HASH_NONE};
    return (int)ld->effect_count++;
}

/* --- files ------------------------------------------------------------------------------------ */

bool loader_add_file(loader *ld, const char *path, hash128 fingerprint, bool foreign)
{
    const char *kept = arena_strdup(&ld->kept, path);
    if (!kept || !MEM_GROW(ld->loaded, ld->loaded_capacity, ld->loaded_count + 1)) return false;
    ld->loaded[ld->loaded_count++] = (loaded_file){kept, fingerprint, foreign};
    return true;
}

const loaded_file *loader_find_file(const loader *ld, const char *path)
{
    for (size_t i = 0; i < ld->loaded_count; i++)
        if (strcmp(ld->loaded[i].path, path) == 0) return &ld->loaded[i];
    return NULL;
}

hash128 loader_all_files(const loader *ld)
{
    hash_stream all;
    hash_begin(&all);
    for (size_t i = 0; i < ld->loaded_count; i++)
        hash_update(&all, ld->loaded[i].fingerprint.bytes, HASH_SIZE);
    return hash_end(&all);
}

uint64_t loader_file_number(loader *ld, const char *file)
{
    if (!file) return 0;
    for (size_t i = ld->file_count; i > 0; i--)
        if (strcmp(ld->files[i - 1], file) == 0) return i;
    const char *kept = arena_strdup(&ld->kept, file);
    if (!kept || !MEM_GROW(ld->files, ld->file_capacity, ld->file_count + 1)) return 0;
    ld->files[ld->file_count++] = kept;
    return ld->file_count;
}

static bool is_state_folder(const char *path)
{
    while (path[0] == '.' && path[1] == '/') path += 2;
    return strncmp(path, ".weir", 5) == 0 && (path[5] == '/' || path[5] == '\0');
}

/* Opens a project file only if it stays inside the project when its links are resolved. */
static int open_source(loader *ld, const char *path, int *fd, os_stat *st, weir_error *err)
{
    *fd = -1;
    *st = (os_stat){.type = OS_ABSENT};
    buf real;
    buf_init(&real);
    int rc = 0;
    if (path[0] != '/') {
        rc = scan_inside(ld->rootfd, path, &real, err);
        const char *text = rc == 0 ? buf_cstr(&real) : NULL;
        if (rc == 0 && !text) rc = error_nomem(err, "reading a file");
        if (rc == 0 && is_state_folder(text))
            rc =
                error_set(err, WEIR_WORKFLOW, "%s: files of the state folder cannot be read", path);
    }
    if (rc == 0) rc = os_statat(ld->rootfd, path, true, st, err);
    if (rc == 0 && st->type == OS_OTHER)
        rc = error_set(err, WEIR_WORKFLOW, "%s: not a regular file", path);
    if (rc == 0 && st->type == OS_FILE) {
        int got = os_openat(ld->rootfd, path, OS_READ, 0, err);
        if (got == WEIR_NOTFOUND) *st = (os_stat){.type = OS_ABSENT};
        else if (got < 0) rc = got;
        else *fd = got;
    }
    if (rc == 0 && *fd >= 0) rc = os_fstat(*fd, st, err);
    buf_deinit(&real);
    return rc;
}

static int read_all(int fd, const char *path, buf *to, weir_error *err)
{
    for (;;) {
        uint8_t *room = buf_reserve(to, 64 * 1024);
        if (!room) return error_nomem(err, "reading a file");
        ssize_t got = os_read(fd, room, 64 * 1024, path, err);
        if (got < 0) return (int)got;
        if (got == 0) return 0;
        buf_commit(to, (size_t)got);
        if (to->size > SOURCE_LIMIT)
            return error_set(err, WEIR_LIMIT, "%s: more than %d MiB", path, SOURCE_LIMIT >> 20);
    }
}

int loader_file(loader *ld, const char *path, buf *content, hash128 *fingerprint, weir_error *err)
{
    os_stat st;
    int fd = -1;
    buf own;
    buf_init(&own);
    buf *to = content ? content : &own;
    size_t start = to->size;
    int rc = open_source(ld, path, &fd, &st, err);
    if (rc == 0 && fd >= 0) rc = read_all(fd, path, to, err);
    if (rc == 0 && fingerprint) {
        *fingerprint = HASH_ABSENT;
        if (st.type == OS_DIR) *fingerprint = hash_bytes("weir dir", 8);
        if (fd >= 0)
            *fingerprint =
                scan_fingerprint(hash_bytes(to->data + start, to->size - start), st.mode);
    }
    os_close(fd);
    buf_deinit(&own);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------- */

static int install(lua_State *L)
{
    loader *ld = loader_of(L);
    luavalue_install(L);
    luahandle_install(L);
    luajob_install(L);
    luarequire_install(L);
    luaapi_install(L, ld);
    return 0;
}

int loader_open(loader **out, const loader_config *config, weir_error *err)
{
    *out = NULL;
    loader *ld = mem_zero(1, sizeof *ld);
    if (!ld) return error_nomem(err, "starting the script host");
    ld->link = config->link;
    ld->registry = config->effects;
    ld->rootfd = config->rootfd;
    ld->lua_folder = config->lua_folder;
    ld->is_loading = true;
    arena_init(&ld->kept);
    arena_init(&ld->scratch);
    map_init(&ld->effect_index);
    map_init(&ld->node_lines);
    map_init(&ld->reads_seen);
    map_init(&ld->pools);
    map_init(&ld->places_seen);
    int rc = luavm_open(&ld->vm, config->memory_limit, err);
    if (rc == 0) {
        luavm_failure failure;
        ld->L = luavm_state(ld->vm);
        luavm_set_owner(ld->vm, ld);
        rc = luavm_run(ld->vm, install, NULL, &failure, NULL);
        if (rc != 0)
            error_set(err, rc, "cannot set up Lua: %s%s%s", failure.file,
                      failure.file[0] ? ": " : "", failure.message);
    }
    if (rc != 0) {
        loader_close(ld);
        return rc;
    }
    *out = ld;
    return 0;
}

void loader_close(loader *ld)
{
    if (!ld) return;
    luavm_close(ld->vm);
    for (size_t i = 0; i < ld->effect_count; i++) mem_free(ld->effects[i].state);
    mem_free(ld->effects);
    mem_free(ld->files);
    mem_free(ld->undone);
    mem_free(ld->loaded);
    map_deinit(&ld->effect_index);
    map_deinit(&ld->node_lines);
    map_deinit(&ld->reads_seen);
    map_deinit(&ld->pools);
    map_deinit(&ld->places_seen);
    buf_deinit(&ld->always);
    buf_deinit(&ld->text);
    buf_deinit(&ld->encoded);
    buf_deinit(&ld->pack);
    buf_deinit(&ld->source_text);
    arena_deinit(&ld->scratch);
    arena_deinit(&ld->kept);
    mem_free(ld);
}

/* --- evaluating ------------------------------------------------------------------------------- */

typedef struct evaluation {
    const char *workflow;
    buf text;
} evaluation;

static int evaluate(lua_State *L)
{
    evaluation *e = lua_touserdata(L, 1);
    lua_settop(L, 0);
    luavm_reseed(L);
    /* Handles live on, all else dies young: 0.85 of the time and 0.8 of the memory of the incremental collector. */
    lua_gc(L, LUA_GCGEN, 0, 0);
    luarequire_chunkname(L, e->workflow);
    luavm_compile(L, buf_bytes(&e->text), lua_tostring(L, -1), false);
    lua_call(L, 0, 0);
    return 0;
}

static int hash_codes(lua_State *L)
{
    loader *ld = loader_of(L);
    lua_settop(L, 0);
    for (size_t i = 0; i < ld->effect_count; i++)
        if (ld->effects[i].kind == EFFECT_LUA) codehash_effect(L, ld, &ld->effects[i]);
    return 0;
}

static void hand_on(loader *ld, const script_effect *e)
{
    effect_spec spec = {.name = bytes_str(e->name),
                        .kind = e->kind,
                        .version = bytes_str(e->version),
                        .code = e->code,
                        .policy = e->policy,
                        .always = bytes_str(e->always),
                        .library = e->entry ? e->entry->library : bytes_str(""),
                        .position = {e->file, e->line}};
    if (e->kind == EFFECT_C) {
        spec.version = bytes_str(e->entry->effect->version ? e->entry->effect->version : "");
        spec.code = e->entry->build;
    }
    if (e->is_used || e->kind == EFFECT_LUA) ld->link->effect(ld->link->ctx, &spec);
}

static int mark_applicable(lua_State *L)
{
    luadeclare_applicable(L, loader_of(L));
    return 0;
}

static int read_workflow(loader *ld, evaluation *e, weir_error *err)
{
    hash128 fingerprint = HASH_ABSENT;
    int rc = loader_file(ld, e->workflow, &e->text, &fingerprint, err);
    if (rc != 0) return rc;
    loader_read(ld, ITEM_FILE, bytes_str(e->workflow), fingerprint);
    if (hash_equal(fingerprint, HASH_ABSENT))
        return error_set(err, WEIR_NOTFOUND, "there is no file %s", e->workflow);
    if (!loader_add_file(ld, e->workflow, fingerprint, false))
        return error_nomem(err, "loading a workflow");
    return 0;
}

int loader_load(loader *ld, const char *workflow, weir_error *err)
{
    evaluation e = {.workflow = workflow};
    luavm_failure failure;
    buf_init(&e.text);
    int rc = read_workflow(ld, &e, err);
    if (rc != 0) {
        diagnose(ld, (source_position){workflow, 0}, NULL, NULL, "%s",
                 err ? err->message : "cannot read the workflow");
    } else if (luavm_run(ld->vm, evaluate, &e, &failure, NULL) != 0) {
        diagnose_failure(ld, &failure);
    }
    buf_deinit(&e.text);
    loader_scratch(ld);
    if (rc == 0 && luavm_run(ld->vm, hash_codes, NULL, &failure, NULL) != 0)
        diagnose_failure(ld, &failure);
    if (rc == 0 && luavm_run(ld->vm, mark_applicable, NULL, &failure, NULL) != 0)
        diagnose_failure(ld, &failure);
    if (rc == 0 && ld->errors == 0) undone_report(ld);
    for (size_t i = 0; i < ld->effect_count && ld->errors == 0; i++) hand_on(ld, &ld->effects[i]);
    ld->is_loading = false;
    map_deinit(&ld->node_lines); /* the host stays small: map_init is a plain zero */
    map_deinit(&ld->reads_seen);
    map_init(&ld->node_lines);
    map_init(&ld->reads_seen);
    return rc == 0 || ld->errors > 0 ? 0 : rc;
}
