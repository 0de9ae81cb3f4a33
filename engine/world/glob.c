/*
 * glob.c - which files match a pattern, and whether the folders looked into are still the same.
 *
 * One walk for all branches of a pattern: every folder is listed at most once, and only where some part of the pattern
 * is not a plain name. What the answer rests on is recorded: for a listed folder its signature, taken before it is
 * listed (names come and go only with its mtime); for a plain name, or a link that matters, what stands at its end (absent, file, folder).
 * So a pattern below content/ needs no listing of the root, whose mtime changes all the time.
 *
 *     record: 'D' path signature is_racy  |  'T' path type
 *
 * The state folder .weir of the root is not there for globs.
 *
 * Any thread.
 */
#include <stdlib.h>

#include "engine/world/glob_pattern.h"
#include "engine/world/scan_internal.h"

static const char state_folder[] = ".weir";

typedef struct walker {
    const scan_config *config;
    glob_pattern pattern;
    bool (*skip)(void *ctx, const char *path);
    void *ctx;
    mem_arena scratch;  /* of this walk */
    mem_arena *arena;   /* of the result */
    const char **paths; /* on the heap while it grows */
    size_t count, capacity;
    buf *folders; /* NULL: not wanted */
    buf path;     /* where we are; "" is the root */
    weir_error *err;
} walker;

/* --- recording --------------------------------------------------------------------------------------------------- */

static void put_path(buf *b, const char *path)
{
    buf_put_bytes(b, bytes_str(path));
    buf_byte(b, 0);
}

static void record_folder(walker *w, const char *path, const scan_sig *sig, bool is_racy)
{
    if (!w->folders) return;
    buf_byte(w->folders, 'D');
    put_path(w->folders, path);
    buf_put_u64(w->folders, sig->dev);
    buf_put_u64(w->folders, sig->ino);
    buf_put_u64(w->folders, sig->mode);
    buf_put_i64(w->folders, sig->size);
    buf_put_i64(w->folders, sig->mtime_ns);
    buf_put_i64(w->folders, sig->ctime_ns);
    buf_byte(w->folders, is_racy ? 1 : 0);
}

static void record_type(walker *w, const char *path, os_type type)
{
    if (!w->folders) return;
    buf_byte(w->folders, 'T');
    put_path(w->folders, path);
    buf_byte(w->folders, (uint8_t)type);
}

/* --- walking ----------------------------------------------------------------------------------------------------- */

static int walk(walker *w, const uint64_t *states);

static int out_of_memory(walker *w)
{
    return error_nomem(w->err, "evaluating a glob");
}

static int add_match(walker *w, const char *path)
{
    if (w->skip && w->skip(w->ctx, path)) return 0;
    const char *copy = arena_strdup(w->arena, path);
    if (!copy || !MEM_GROW(w->paths, w->capacity, w->count + 1)) return out_of_memory(w);
    w->paths[w->count++] = copy;
    return 0;
}

/* Puts a name behind the path of the folder we are in; *size: what to cut it back to. */
static const char *enter(walker *w, const char *name, size_t *size)
{
    *size = w->path.size;
    if (w->path.size > 0) buf_byte(&w->path, '/');
    buf_text(&w->path, name);
    return buf_cstr(&w->path);
}

static uint64_t *new_states(walker *w)
{
    return arena_alloc(&w->scratch, (w->pattern.count ? w->pattern.count : 1) * sizeof(uint64_t));
}

/* What stands behind a link or a plain name. */
static int resolve(walker *w, const char *path, os_type *type)
{
    os_stat st;
    int rc = os_statat(w->config->rootfd, path, true, &st, w->err);
    if (rc != 0) return rc;
    scan_count(1, 0, 0);
    *type = st.type;
    record_type(w, path, st.type);
    return 0;
}

/* One name of the folder we are in. `type` may be OS_LINK; is_plain: it comes from the pattern, not from a listing. */
static int visit(walker *w, const uint64_t *states, const char *name, os_type type, bool is_plain)
{
    if (w->path.size == 0 && strcmp(name, state_folder) == 0) return 0;
    uint64_t *next = new_states(w);
    uint64_t *next_link = new_states(w);
    size_t before;
    if (!next || !next_link) return out_of_memory(w);
    glob_step step = glob_advance(&w->pattern, states, name, next, next_link);
    if (!step.is_match && !step.is_on_way) return 0;
    const char *path = enter(w, name, &before);
    if (!path) return out_of_memory(w);

    int rc = 0;
    bool is_link = type == OS_LINK;
    if (is_plain || (is_link && (step.is_match || step.is_on_link))) rc = resolve(w, path, &type);
    if (rc == 0 && type == OS_FILE && step.is_match) rc = add_match(w, path);
    if (rc == 0 && type == OS_DIR && (is_link ? step.is_on_link : step.is_on_way))
        rc = walk(w, is_link ? next_link : next);
    w->path.size = before;
    return rc;
}

static bool was_before(const glob_pattern *p, const uint64_t *states, size_t branch,
                       const char *name)
{
    for (size_t k = 0; k < branch; k++)
        for (size_t i = 0; i < p->branches[k].count; i++)
            if ((states[k] >> i & 1) && strcmp(p->branches[k].parts[i].text, name) == 0)
                return true;
    return false;
}

/* Only plain names can follow: each is looked up once. A branch without ** has one state. */
static int walk_names(walker *w, const uint64_t *states)
{
    const glob_pattern *p = &w->pattern;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < p->count; k++)
        for (size_t i = 0; rc == 0 && i < p->branches[k].count; i++) {
            const char *name = p->branches[k].parts[i].text;
            if ((states[k] >> i & 1) && !was_before(p, states, k, name))
                rc = visit(w, states, name, OS_ABSENT, true);
        }
    return rc;
}

/* Lists the folder we are in. One that has gone since it was seen is empty, and not the same next time. */
static int list(walker *w, os_entry **entries, size_t *count)
{
    const char *path = w->path.size ? buf_cstr(&w->path) : "";
    if (!path) return out_of_memory(w);
    const char *name = *path ? path : ".";
    os_stat st;
    int64_t before_ns = scan_clock_ns();
    int rc = os_statat(w->config->rootfd, name, true, &st, w->err);
    if (rc != 0) return rc;
    scan_count(1, 0, 0);
    rc = os_list(w->config->rootfd, name, &w->scratch, entries, count, w->err);
    scan_sig sig = scan_sig_of(&st);
    bool is_gone = rc == WEIR_NOTFOUND;
    if (rc == 0 || is_gone) record_folder(w, path, &sig, is_gone || scan_is_racy(&sig, before_ns));
    if (!is_gone) return rc;
    error_clear(w->err);
    *count = 0;
    return 0;
}

static int walk(walker *w, const uint64_t *states)
{
    os_entry *entries = NULL;
    size_t count = 0;
    if (glob_is_literal(&w->pattern, states)) return walk_names(w, states);
    int rc = list(w, &entries, &count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = visit(w, states, entries[i].name, entries[i].type, false);
    return rc;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int give_paths(walker *w, const char ***paths, size_t *count)
{
    if (w->count > 1) qsort(w->paths, w->count, sizeof *w->paths, compare_paths);
    *paths = arena_alloc(w->arena, (w->count ? w->count : 1) * sizeof **paths);
    if (!*paths || (w->folders && w->folders->failed)) return out_of_memory(w);
    if (w->count > 0) memcpy(*paths, w->paths, w->count * sizeof **paths);
    *count = w->count;
    return 0;
}

int scan_glob(const scan_config *config, const char *pattern,
              bool (*skip)(void *ctx, const char *path), void *ctx, mem_arena *arena,
              const char ***paths, size_t *count, buf *folders, weir_error *err)
{
    walker w = {
        .config = config, .skip = skip, .ctx = ctx, .arena = arena, .folders = folders, .err = err};
    uint64_t *states = NULL;
    *paths = NULL;
    *count = 0;
    int rc = glob_parse(&w.pattern, pattern, &w.scratch, err);
    if (rc == 0) states = new_states(&w);
    if (rc == 0 && !states) rc = out_of_memory(&w);
    if (rc == 0) {
        glob_start(&w.pattern, states);
        rc = walk(&w, states);
    }
    if (rc == 0) rc = give_paths(&w, paths, count);
    mem_free(w.paths);
    buf_deinit(&w.path);
    arena_deinit(&w.scratch);
    return rc;
}

/* --- as it was? -------------------------------------------------------------------------------------------------- */

static bool is_folder_same(const scan_config *config, const char *path, unpack *u)
{
    os_stat st;
    scan_sig old;
    old.dev = unpack_u64(u);
    old.ino = unpack_u64(u);
    old.mode = (uint32_t)unpack_u64(u);
    old.size = unpack_i64(u);
    old.mtime_ns = unpack_i64(u);
    old.ctime_ns = unpack_i64(u);
    if (u->failed || u->at == u->end || *u->at++ != 0)
        return false; /* racy: a later change may not show */
    if (os_statat(config->rootfd, *path ? path : ".", true, &st, NULL) != 0) return false;
    scan_sig now = scan_sig_of(&st);
    return scan_sig_equal(&old, &now);
}

static bool is_type_same(const scan_config *config, const char *path, unpack *u)
{
    os_stat st;
    if (u->failed || u->at == u->end) return false;
    unsigned type = *u->at++;
    return os_statat(config->rootfd, path, true, &st, NULL) == 0 && (unsigned)st.type == type;
}

void scan_glob_folders(bytes folders, void (*folder)(void *ctx, bytes path), void *ctx)
{
    unpack u = unpack_of(folders);
    while (!u.failed && u.at < u.end) {
        uint8_t kind = *u.at++;
        bytes path = unpack_bytes(&u);
        if (u.failed || u.end - u.at < 2) return;
        u.at++;
        if (kind == 'T') {
            u.at++;
            continue;
        }
        folder(ctx, path);
        for (int i = 0; i < 3; i++) unpack_u64(&u);
        for (int i = 0; i < 3; i++) unpack_i64(&u);
        if (u.at < u.end) u.at++;
    }
}

bool scan_glob_same(const scan_config *config, bytes folders)
{
    unpack u = unpack_of(folders);
    uint64_t stats = 0;
    bool is_same = !config->distrust && folders.size > 0;
    while (is_same && u.at < u.end) {
        uint8_t kind = *u.at++;
        bytes path = unpack_bytes(&u);
        if (u.failed || u.at == u.end || *u.at++ != 0) return false;
        const char *text = (const char *)path.data;
        is_same = kind == 'D' ? is_folder_same(config, text, &u)
                              : kind == 'T' && is_type_same(config, text, &u);
        stats++;
    }
    scan_count(stats, 0, 0);
    return is_same;
}

hash128 scan_names_hash(const char *const *paths, size_t count)
{
    hash_stream stream;
    hash_begin(&stream);
    for (size_t i = 0; i < count; i++) hash_update(&stream, paths[i], strlen(paths[i]) + 1);
    return hash_end(&stream);
}

/* --- patterns alone ---------------------------------------------------------------------------------------------- */

size_t scan_glob_fixed(const char *pattern)
{
    return glob_fixed(pattern);
}

int scan_glob_check(const char *pattern, weir_error *err)
{
    mem_arena arena;
    glob_pattern parsed;
    arena_init(&arena);
    int rc = glob_parse(&parsed, pattern, &arena, err);
    arena_deinit(&arena);
    return rc;
}

static bool matches(const glob_pattern *p, char *path, mem_arena *arena)
{
    uint64_t *sets = arena_zero(arena, p->count * 3, sizeof *sets);
    if (!sets || strcmp(path, state_folder) == 0 || strncmp(path, ".weir/", 6) == 0) return false;
    uint64_t *states = sets;
    uint64_t *next = sets + p->count;
    glob_start(p, states);
    for (;;) {
        char *slash = strchr(path, '/');
        if (slash) *slash = '\0';
        glob_step step = glob_advance(p, states, path, next, sets + 2 * p->count);
        if (!slash) return step.is_match;
        if (!step.is_on_way) return false;
        uint64_t *old = states;
        states = next;
        next = old;
        path = slash + 1;
    }
}

bool scan_glob_match(const char *pattern, const char *path)
{
    mem_arena arena;
    glob_pattern parsed;
    arena_init(&arena);
    bool is_match = glob_parse(&parsed, pattern, &arena, NULL) == 0;
    char *copy = is_match ? arena_strdup(&arena, path) : NULL;
    is_match = copy && matches(&parsed, copy, &arena);
    arena_deinit(&arena);
    return is_match;
}
