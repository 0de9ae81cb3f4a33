/*
 * sigcache.c - see sigcache.h. A folder is a row of the table, or once touched an array of entries with a map from name to index; removed
 * entries leave a hole (item 0) until the folder is packed again.
 */
#include "engine/run/sigcache.h"

#include <stdlib.h>

#include "generated/schema.h"

typedef struct folder {
    bytes path;       /* NUL behind it; in the arena */
    scan_entry *entries; /* owned; NULL while only the table has them */
    size_t count, capacity;
    map names;        /* name -> index, valid once unpacked */
    bool stored;      /* the table has a row of it */
    bool unpacked, dirty;
} folder;

enum { PART_BYTES = 4 * 1024 * 1024 };

struct sigcache {
    map by_path; /* folder path -> index */
    folder *folders;
    size_t count, capacity;
    mem_arena arena; /* names, paths; lives until clear */
    db *reader;      /* borrowed; NULL before anything was loaded */
    bool dirty, urgent;
    size_t dirty_entries; /* of dirty folders, when they became so */
    bool complete; /* the row SIGCACHE_MARK is there */
};

static const char reading[] = "reading the signature cache";

size_t path_name_at(bytes path)
{
    size_t at = path.size;
    if (at > 1 && path.data[at - 1] == '/') at--; /* a folder as a whole: the '/' is of its name */
    while (at > 0 && path.data[at - 1] != '/') at--;
    return at;
}

static bytes folder_of(bytes path)
{
    size_t at = path_name_at(path);
    if (at == 0) return bytes_of("", 0);
    return bytes_of(path.data, at == 1 ? 1 : at - 1); /* "/" stays */
}

int sigcache_new(sigcache **out, weir_error *err)
{
    *out = mem_zero(1, sizeof **out);
    if (!*out) return error_nomem(err, "opening the signature cache");
    map_init(&(*out)->by_path);
    arena_init(&(*out)->arena);
    return 0;
}

void sigcache_clear(sigcache *s)
{
    for (size_t i = 0; i < s->count; i++) {
        mem_free(s->folders[i].entries);
        if (s->folders[i].unpacked) map_deinit(&s->folders[i].names);
    }
    s->count = s->dirty_entries = 0;
    s->dirty = s->urgent = s->complete = false;
    s->reader = NULL;
    map_clear(&s->by_path);
    arena_reset(&s->arena);
}

void sigcache_free(sigcache *s)
{
    if (!s) return;
    sigcache_clear(s);
    map_deinit(&s->by_path);
    arena_deinit(&s->arena);
    mem_free(s->folders);
    mem_free(s);
}

static folder *folder_make(sigcache *s, bytes path, weir_error *err)
{
    bool added = false;
    uint64_t *slot = map_put(&s->by_path, path, &added);
    if (slot && !added) return &s->folders[*slot];
    if (!slot || !MEM_GROW(s->folders, s->capacity, s->count + 1)) {
        error_nomem(err, "remembering a folder");
        return NULL;
    }
    folder *f = &s->folders[s->count];
    *f = (folder){.path = arena_bytes(&s->arena, path)};
    *slot = s->count++;
    return f;
}

/* A row of the table; the mark is no folder: NULL with 0 in *err. */
static folder *take_row(sigcache *s, bytes path, weir_error *err)
{
    if (bytes_equal(path, bytes_str(SIGCACHE_MARK))) {
        error_clear(err);
        return NULL;
    }
    folder *f = folder_make(s, path, err);
    if (f && s->arena.failed) {
        error_nomem(err, reading);
        return NULL;
    }
    if (f) f->stored = true;
    return f;
}

int sigcache_load_mark(sigcache *s, db *reader, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    db_stmt *q = db_get(reader, SQL_CACHE_FOLDER_ENTRIES, err);
    if (!q) return err->code;
    db_bind_bytes(q, 1, bytes_str(SIGCACHE_MARK));
    int rc = db_step(q, err);
    s->complete = rc == 1;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

int sigcache_load(sigcache *s, db *reader, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    int rc = sigcache_load_mark(s, reader, err);
    db_stmt *q = rc == 0 ? db_get(reader, SQL_CACHE_FOLDERS, err) : NULL;
    if (!q) return err->code;
    s->reader = reader;
    while ((rc = db_step(q, err)) == 1)
        if (!take_row(s, db_bytes(q, 0), err) && err->code != 0) {
            rc = err->code;
            break;
        }
    db_reset(q);
    return rc;
}

/* Rows as requests, until there are PART_BYTES of them. */
static int read_part(sigcache *s, db_stmt *q, int64_t *row, mem_arena *arena, scan_folder **folders, size_t *capacity, size_t *count, weir_error *err)
{
    size_t size = 0;
    int rc = 0;
    while (size < PART_BYTES && (rc = db_step(q, err)) == 1) {
        *row = db_int(q, 0);
        const folder *f = take_row(s, db_bytes(q, 1), err);
        if (!f && err->code != 0) return err->code;
        if (!f) continue;
        if (!MEM_GROW(*folders, *capacity, *count + 1)) return error_nomem(err, reading);
        bytes packed = arena_bytes(arena, db_bytes(q, 2));
        if (!packed.data) return error_nomem(err, reading);
        (*folders)[(*count)++] = (scan_folder){.folder = f->path, .packed = packed};
        size += packed.size + sizeof **folders;
    }
    return rc < 0 ? rc : 0;
}

int sigcache_load_part(sigcache *s, db *reader, int64_t *row, mem_arena *arena, scan_folder **folders, size_t *count, weir_error *err)
{
    weir_error local = {0};
    scan_folder *list = NULL;
    size_t capacity = 0;
    if (!err) err = &local;
    *folders = NULL;
    *count = 0;
    db_stmt *q = db_get(reader, SQL_CACHE_FOLDERS_AFTER, err);
    if (!q) return err->code;
    s->reader = reader;
    db_bind_int(q, 1, *row);
    int rc = read_part(s, q, row, arena, &list, &capacity, count, err);
    db_reset(q);
    if (rc == 0) {
        *folders = arena_alloc(arena, (*count + 1) * sizeof **folders);
        if (!*folders) rc = error_nomem(err, reading);
        else if (*count) memcpy(*folders, list, *count * sizeof **folders);
    }
    mem_free(list);
    return rc;
}

static void make_dirty(sigcache *s, folder *f)
{
    if (!f->dirty) s->dirty_entries += f->count;
    f->dirty = s->dirty = true;
}

static bool is_same_signature(const scan_sig *a, const scan_sig *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static int remember(sigcache *s, folder *f, scan_entry entry, weir_error *err)
{
    bool added = false;
    uint64_t *slot = map_put(&f->names, entry.name, &added);
    if (!slot) return error_nomem(err, "remembering a signature");
    if (added) {
        if (!MEM_GROW(f->entries, f->capacity, f->count + 1))
            return error_nomem(err, "remembering a signature");
        entry.name = arena_bytes(&s->arena, entry.name);
        *slot = f->count++;
    } else {
        const scan_entry *before = &f->entries[*slot];
        entry.name = before->name;
        if (is_same_signature(&before->sig, &entry.sig) && !hash_equal(before->hash, entry.hash)) s->urgent = true;
    }
    f->entries[*slot] = entry;
    return s->arena.failed ? error_nomem(err, "remembering a signature") : 0;
}

static int unpack_row(sigcache *s, folder *f, bytes packed, weir_error *err)
{
    scan_entry *entries = NULL;
    size_t count = 0;
    mem_arena arena;
    arena_init(&arena);
    int rc = packed.size ? scan_unpack(packed, &arena, &entries, &count, err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) rc = remember(s, f, entries[i], err);
    arena_deinit(&arena);
    return rc;
}

static int read_row(sigcache *s, folder *f, weir_error *err)
{
    db_stmt *q = db_get(s->reader, SQL_CACHE_FOLDER_ENTRIES, err);
    if (!q) return WEIR_IO;
    db_bind_bytes(q, 1, f->path);
    int rc = db_step(q, err);
    if (rc == 1) rc = unpack_row(s, f, db_bytes(q, 0), err);
    db_reset(q);
    return rc;
}

/* What could not be read is forgotten again: the next question tries once more. */
static int unpack_from(sigcache *s, folder *f, const bytes *packed, weir_error *err)
{
    if (f->unpacked) return 0;
    map_init(&f->names);
    f->unpacked = true;
    int rc = packed ? unpack_row(s, f, *packed, err) : f->stored ? read_row(s, f, err) : 0;
    if (rc == 0) return 0;
    map_deinit(&f->names);
    f->count = 0;
    f->unpacked = false;
    return rc;
}

static int unpack_folder(sigcache *s, folder *f, weir_error *err)
{
    return unpack_from(s, f, NULL, err);
}

int sigcache_apply(sigcache *s, const scan_folder *scanned, weir_error *err)
{
    if (!scanned->entries) return 0;
    folder *f = folder_make(s, scanned->folder, err);
    if (!f) return WEIR_NOMEM;
    int rc = unpack_from(s, f, &scanned->packed, err);
    for (size_t i = 0; rc == 0 && i < scanned->entry_count; i++)
        rc = remember(s, f, scanned->entries[i], err);
    make_dirty(s, f);
    return rc;
}

const scan_entry *sigcache_get(sigcache *s, bytes path)
{
    bytes where = folder_of(path);
    uint64_t *slot = map_get(&s->by_path, where);
    if (!slot) return NULL;
    folder *f = &s->folders[*slot];
    if (unpack_folder(s, f, NULL) != 0) return NULL;
    size_t at = path_name_at(path);
    uint64_t *index = map_get(&f->names, bytes_of(path.data + at, path.size - at));
    if (!index || f->entries[*index].item == 0) return NULL;
    return &f->entries[*index];
}

int sigcache_put(sigcache *s, bytes path, uint64_t item, const scan_sig *sig, hash128 hash, bool racy, weir_error *err)
{
    folder *f = folder_make(s, folder_of(path), err);
    if (!f) return WEIR_NOMEM;
    int rc = unpack_folder(s, f, err);
    if (rc != 0) return rc;
    size_t at = path_name_at(path);
    make_dirty(s, f);
    return remember(s, f, (scan_entry){item, bytes_of(path.data + at, path.size - at), *sig, hash, racy}, err);
}

void sigcache_drop(sigcache *s, bytes path)
{
    scan_entry *e = (scan_entry *)(uintptr_t)sigcache_get(s, path);
    if (!e) return;
    e->item = 0;
    make_dirty(s, &s->folders[*map_get(&s->by_path, folder_of(path))]);
}

static int by_name(const void *a, const void *b)
{
    return bytes_compare(((const scan_entry *)a)->name, ((const scan_entry *)b)->name);
}

static int write_folder(folder *f, journal *j, weir_error *err)
{
    size_t live = 0;
    scan_entry *sorted = mem_zero(f->count ? f->count : 1, sizeof *sorted);
    if (!sorted) return error_nomem(err, "writing signatures");
    for (size_t i = 0; i < f->count; i++)
        if (f->entries[i].item != 0) sorted[live++] = f->entries[i];
    qsort(sorted, live, sizeof *sorted, by_name);
    buf packed;
    buf_init(&packed);
    if (live) scan_pack(&packed, sorted, live);
    mem_free(sorted);
    int rc = packed.failed ? error_nomem(err, "writing signatures") : 0;
    if (rc == 0) journal_folder(j, &(cache_folder){f->path, buf_bytes(&packed)});
    buf_deinit(&packed);
    f->dirty = false;
    return rc;
}

int sigcache_write(sigcache *s, journal *j, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        if (s->folders[i].dirty) rc = write_folder(&s->folders[i], j, err);
    s->dirty = s->urgent = false;
    s->dirty_entries = 0;
    return rc;
}

size_t sigcache_dirty_entries(const sigcache *s)
{
    return s->dirty_entries;
}

bool sigcache_is_urgent(const sigcache *s)
{
    return s->urgent;
}

void sigcache_each(const sigcache *s, void (*each)(void *ctx, bytes path), void *ctx)
{
    for (size_t i = 0; i < s->count; i++) each(ctx, s->folders[i].path);
}

int sigcache_each_entry(sigcache *s, bool (*wanted)(void *ctx, bytes folder), void (*each)(void *ctx, bytes path, const scan_entry *entry),
                        void *ctx, weir_error *err)
{
    buf path;
    int rc = 0;
    buf_init(&path);
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        folder *f = &s->folders[i];
        if (!wanted(ctx, f->path)) continue;
        rc = unpack_folder(s, f, err);
        for (size_t k = 0; rc == 0 && k < f->count; k++) {
            if (f->entries[k].item == 0) continue;
            bool has_slash = f->path.size == 0 || (f->path.size == 1 && f->path.data[0] == '/');
            buf_clear(&path);
            buf_append(&path, f->path.data, f->path.size);
            if (!has_slash) buf_byte(&path, '/');
            buf_append(&path, f->entries[k].name.data, f->entries[k].name.size);
            if (path.failed) rc = error_nomem(err, "looking at a folder");
            else each(ctx, buf_bytes(&path), &f->entries[k]);
        }
    }
    buf_deinit(&path);
    return rc;
}

size_t sigcache_folder_count(const sigcache *s)
{
    return s->count;
}

bytes sigcache_folder_path(const sigcache *s, size_t index)
{
    return s->folders[index].path;
}

size_t sigcache_memory(const sigcache *s)
{
    enum { MAP_ENTRY = 40 };
    size_t sum = s->arena.used;
    for (size_t i = 0; i < s->count; i++) sum += s->folders[i].capacity * sizeof(scan_entry) + s->folders[i].names.capacity * MAP_ENTRY;
    return sum;
}

bool sigcache_is_dirty(const sigcache *s)
{
    return s->dirty;
}

bool sigcache_is_complete(const sigcache *s)
{
    return s->complete;
}

void sigcache_mark(sigcache *s, journal *j, bool complete)
{
    if (s->complete == complete) return;
    journal_folder(j, &(cache_folder){bytes_str(SIGCACHE_MARK), bytes_str(complete ? "1" : "")});
    s->complete = complete;
}
