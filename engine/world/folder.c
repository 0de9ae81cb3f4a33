/*
 * folder.c - the cached entries of a folder: packed form, and the check of all of them against the disk.
 *
 * The check is the hot path of a no-op: a folder is opened once, each entry costs one fstatat and a comparison with its
 * packed form, decoded on the way; nothing is allocated as long as nothing moved. A large folder is cut into slices of
 * SCAN_SLICE entries, which the packed form lets one start at without decoding those before it.
 *
 *     version | device | count | where each slice but the first starts (4 bytes each) | entries
 *     entry: flags | item | name, NUL | unless absent: mode, [device], inode, size, mtime, [ctime] | hash
 *
 * Numbers are varints, but stamps, which would be longer that way (8 bytes). The device is written again only where it
 * differs, ctime where it is not mtime: about 45 bytes and a name for most files.
 *
 * F1  A row of the cache that is damaged is an error, never a read out of bounds, and no name leads out of the folder.
 *
 * Any thread, one per slice; merging (collect, finish) by the thread that waits for the slices.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/world/manifest.h"
#include "engine/world/scan_internal.h"

enum { PACK_VERSION = 1, BY_PATH_COUNT = 4, PATH_ROOM = 4096 + 256 };
enum { FLAG_RACY = 1, FLAG_ABSENT = 2, FLAG_DEVICE = 4, FLAG_ONE_STAMP = 8 };

/* --- packing ----------------------------------------------------------------------------------------------------- */

static void put_fixed(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_fixed(const uint8_t *from, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static void put_stamp(buf *b, int64_t ns)
{
    uint8_t fixed[8];
    put_fixed(fixed, (uint64_t)ns, sizeof fixed);
    buf_append(b, fixed, sizeof fixed);
}

static void pack_entry(buf *b, const scan_entry *e, uint64_t dev)
{
    unsigned flags = (e->racy ? FLAG_RACY : 0u) | (e->sig.mode == 0 ? FLAG_ABSENT : 0u) |
                     (e->sig.dev != dev ? FLAG_DEVICE : 0u) |
                     (e->sig.ctime_ns == e->sig.mtime_ns ? FLAG_ONE_STAMP : 0u);
    buf_byte(b, (uint8_t)flags);
    buf_put_u64(b, e->item);
    buf_put_bytes(b, e->name);
    buf_byte(b, 0);
    if (e->sig.mode != 0) {
        buf_put_u64(b, e->sig.mode);
        if (flags & FLAG_DEVICE) buf_put_u64(b, e->sig.dev);
        buf_put_u64(b, e->sig.ino);
        buf_put_u64(b, (uint64_t)e->sig.size);
        put_stamp(b, e->sig.mtime_ns);
        if (!(flags & FLAG_ONE_STAMP)) put_stamp(b, e->sig.ctime_ns);
    }
    buf_put_hash(b, e->hash);
}

static int compare_entries(const void *a, const void *b)
{
    return bytes_compare((*(const scan_entry *const *)a)->name,
                         (*(const scan_entry *const *)b)->name);
}

/* Pointers to the entries by name; NULL: no memory. */
static const scan_entry **sorted(const scan_entry *entries, size_t count)
{
    const scan_entry **order = mem_alloc((count ? count : 1) * sizeof *order);
    bool is_sorted = true;
    if (!order) return NULL;
    for (size_t i = 0; i < count; i++) {
        order[i] = &entries[i];
        if (i > 0 && bytes_compare(entries[i - 1].name, entries[i].name) > 0) is_sorted = false;
    }
    if (!is_sorted) qsort(order, count, sizeof *order, compare_entries);
    return order;
}

static size_t slice_starts(size_t count)
{
    return count ? (count - 1) / SCAN_SLICE : 0;
}

void scan_pack(buf *b, const scan_entry *entries, size_t count)
{
    const scan_entry **order = sorted(entries, count);
    if (!order) {
        b->failed = true;
        return;
    }
    uint64_t dev = 0;
    for (size_t i = 0; i < count && dev == 0; i++) dev = entries[i].sig.dev;
    buf_byte(b, PACK_VERSION);
    buf_put_u64(b, dev);
    buf_put_u64(b, count);
    size_t starts = b->size;
    if (buf_reserve(b, slice_starts(count) * 4)) buf_commit(b, slice_starts(count) * 4);
    size_t origin = b->size;
    for (size_t i = 0; i < count && !b->failed; i++) {
        if (i > 0 && i % SCAN_SLICE == 0)
            put_fixed(b->data + starts + (i / SCAN_SLICE - 1) * 4, b->size - origin, 4);
        pack_entry(b, order[i], dev);
    }
    mem_free(order);
}

/* --- unpacking --------------------------------------------------------------------------------------------------- */

typedef struct reader {
    unpack at; /* at the next entry */
    uint64_t dev;
    size_t count;
    const uint8_t *starts;
} reader;

static const uint8_t *take(unpack *u, size_t size)
{
    const uint8_t *at = u->at;
    if (u->failed || (size_t)(u->end - u->at) < size) {
        u->failed = true;
        return NULL;
    }
    u->at += size;
    return at;
}

static int64_t take_stamp(unpack *u)
{
    const uint8_t *at = take(u, 8);
    return at ? (int64_t)get_fixed(at, 8) : 0;
}

static bool reader_open(reader *r, bytes packed)
{
    r->at = unpack_of(packed);
    const uint8_t *version = take(&r->at, 1);
    if (!version || *version != PACK_VERSION) return false;
    r->dev = unpack_u64(&r->at);
    r->count = unpack_count(&r->at);
    r->starts = take(&r->at, slice_starts(r->count) * 4);
    return !r->at.failed;
}

/* Goes to an entry that starts a slice. */
static bool reader_skip(reader *r, size_t first)
{
    if (first == 0) return true;
    return take(&r->at, (size_t)get_fixed(r->starts + (first / SCAN_SLICE - 1) * 4, 4)) != NULL;
}

static bool is_plain_name(bytes name)
{
    size_t size = manifest_is_folder(name) ? name.size - 1 : name.size;
    return size > 0 && !memchr(name.data, '/', size) && !memchr(name.data, 0, name.size);
}

/* Borrows the name, which has a NUL behind it. */
static bool reader_next(reader *r, scan_entry *e)
{
    unpack *u = &r->at;
    const uint8_t *flags = take(u, 1);
    if (!flags) return false;
    e->racy = (*flags & FLAG_RACY) != 0;
    e->item = unpack_u64(u);
    e->name = unpack_bytes(u);
    const uint8_t *nul = take(u, 1);
    if (!nul || *nul != 0 || !is_plain_name(e->name)) return false;
    e->sig = (scan_sig){0};
    if (!(*flags & FLAG_ABSENT)) {
        e->sig.mode = (uint32_t)unpack_u64(u);
        e->sig.dev = *flags & FLAG_DEVICE ? unpack_u64(u) : r->dev;
        e->sig.ino = unpack_u64(u);
        e->sig.size = (int64_t)unpack_u64(u);
        e->sig.mtime_ns = take_stamp(u);
        e->sig.ctime_ns = *flags & FLAG_ONE_STAMP ? e->sig.mtime_ns : take_stamp(u);
    }
    e->hash = unpack_hash(u);
    return !u->failed;
}

static int damaged(weir_error *err)
{
    return error_set(
        err, WEIR_CORRUPT,
        "cached signatures of a folder are damaged (deleting the cache costs rehashing only)");
}

int scan_unpack(bytes packed, mem_arena *arena, scan_entry **entries, size_t *count,
                weir_error *err)
{
    reader r;
    *entries = NULL;
    *count = 0;
    if (!reader_open(&r, packed)) return damaged(err);
    scan_entry *list = arena_zero(arena, r.count ? r.count : 1, sizeof *list);
    if (!list) return error_nomem(err, "reading cached signatures");
    for (size_t i = 0; i < r.count; i++) {
        if (!reader_next(&r, &list[i])) return damaged(err);
        list[i].name = arena_bytes(arena, list[i].name);
        if (!list[i].name.data) return error_nomem(err, "reading cached signatures");
    }
    if (!unpack_done(&r.at)) return damaged(err);
    *entries = list;
    *count = r.count;
    return 0;
}

/* --- checking a slice -------------------------------------------------------------------------------------------- */

/* Where a slice's entries are stat'ed: below a descriptor, or by their paths, where opening the folder is not worth it or
   not possible (absent, not readable, no descriptor left): then every entry answers for itself. */
typedef struct place {
    int dirfd, rootfd;
    size_t prefix;
    char path[PATH_ROOM];
} place;

static void place_open(place *p, const scan_config *config, bytes folder, size_t count)
{
    p->rootfd = config->rootfd;
    p->dirfd = -1;
    p->prefix = 0;
    const char *name = folder.size ? (const char *)folder.data : ".";
    if (count > BY_PATH_COUNT)
        p->dirfd = os_openat(config->rootfd, name, OS_READ | OS_FOLDER, 0, NULL);
    if (p->dirfd >= 0 || folder.size == 0 || folder.size > PATH_ROOM - 258) return;
    memcpy(p->path, folder.data, folder.size);
    p->path[folder.size] = '/';
    p->prefix = folder.size + 1;
}

static int place_stat(place *p, bytes name, os_stat *st)
{
    const char *text = (const char *)name.data;
    if (p->dirfd >= 0) return os_statat(p->dirfd, text, true, st, NULL);
    if (name.size >= PATH_ROOM - p->prefix) return WEIR_IO;
    memcpy(p->path + p->prefix, text, name.size + 1);
    return os_statat(p->rootfd, p->path, true, st, NULL);
}

/* A folder as a whole: its signature stands for all that is below. */
static bool is_same_folder(const scan_config *config, const scan_entry *e, const char *folder)
{
    char path[PATH_ROOM];
    int size = snprintf(path, sizeof path, "%s%s%s", folder, folder[0] ? "/" : "", (const char *)e->name.data);
    if (size < 0 || (size_t)size >= sizeof path || e->racy) return false;
    scan_request r = {.path = bytes_str(path), .known = true, .known_sig = e->sig, .known_hash = e->hash};
    scan_one(config, &r);
    return r.code == 0 && !r.read && scan_sig_equal(&r.sig, &e->sig);
}

static bool is_same(const scan_config *config, const scan_entry *e, const char *folder, place *p)
{
    os_stat st;
    if (manifest_is_folder(e->name)) return is_same_folder(config, e, folder);
    if (place_stat(p, e->name, &st) != 0) return false; /* scan_one finds the cause */
    scan_sig now = scan_sig_of(&st);
    return scan_sig_equal(&now, &e->sig) && !e->racy && !scan_is_distrusted(config, &now);
}

void scan_slice_check(const scan_config *config, scan_slice *slice)
{
    reader r;
    scan_entry e;
    place p;
    bool ok = reader_open(&r, slice->folder->packed) && reader_skip(&r, slice->first);
    p.dirfd = -1;
    if (ok && !config->distrust) place_open(&p, config, slice->folder->folder, slice->count);
    for (size_t i = 0; ok && i < slice->count; i++) {
        ok = reader_next(&r, &e);
        if (!ok) break;
        slice->checked++;
        if (!config->distrust && is_same(config, &e, slice->folder->folder.size ? (const char *)slice->folder->folder.data : "", &p))
            continue;
        if (!MEM_GROW(slice->moved, slice->moved_capacity, slice->moved_count + 1)) {
            slice->code = WEIR_NOMEM;
            break;
        }
        slice->moved[slice->moved_count++] = slice->first + i;
    }
    if (!ok) slice->code = WEIR_CORRUPT;
    os_close(p.dirfd);
    if (!config->distrust) scan_count(slice->checked, 0, 0);
}

/* --- merging ----------------------------------------------------------------------------------------------------- */

static void folder_fail(scan_folder *f, int code)
{
    f->code = code;
    snprintf(f->message, sizeof f->message, "%.120s/: %s",
             f->folder.size ? (const char *)f->folder.data : ".",
             code == WEIR_NOMEM ? "out of memory while checking its entries"
                                : "its cached signatures are damaged");
}

size_t scan_folder_begin(scan_folder *folder)
{
    reader r;
    arena_init(&folder->arena);
    folder->changed = NULL;
    folder->changed_count = 0;
    folder->checked = 0;
    folder->repack = false;
    folder->entries = NULL;
    folder->entry_count = 0;
    folder->code = 0;
    folder->message[0] = '\0';
    if (reader_open(&r, folder->packed)) return r.count;
    folder_fail(folder, WEIR_CORRUPT);
    return 0;
}

static bool make_request(scan_folder *f, const scan_entry *e, scan_request *r)
{
    const char *folder = f->folder.size ? (const char *)f->folder.data : "";
    char *path = arena_printf(&f->arena, "%s%s%s", folder, f->folder.size ? "/" : "",
                              (const char *)e->name.data);
    *r = (scan_request){
        .item = e->item,
        .path = bytes_str(path),
        .known = true,
        .known_sig = e->sig,
        .known_hash = e->hash,
        .known_racy = e->racy,
    };
    return path != NULL;
}

void scan_folder_collect(scan_folder *f, const scan_slice *slices, size_t count)
{
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        f->checked += slices[i].checked;
        moved += slices[i].moved_count;
        if (slices[i].code != 0 && f->code == 0) folder_fail(f, slices[i].code);
    }
    if (moved == 0 || f->code != 0) return;

    int rc = scan_unpack(f->packed, &f->arena, &f->entries, &f->entry_count, NULL);
    if (rc == 0) f->changed = arena_zero(&f->arena, moved, sizeof *f->changed);
    if (rc == 0 && !f->changed) rc = WEIR_NOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t k = 0; rc == 0 && k < slices[i].moved_count; k++)
            if (!make_request(f, &f->entries[slices[i].moved[k]], &f->changed[f->changed_count++]))
                rc = WEIR_NOMEM;
    if (rc == 0) return;
    f->changed = NULL;
    f->changed_count = 0;
    f->entries = NULL;
    f->entry_count = 0;
    folder_fail(f, rc);
}

/* An entry that could not be read keeps what is known of it, but must be read by the next scan. */
static void update_entry(scan_folder *f, scan_entry *e, const scan_request *r)
{
    bool is_racy = r->code != 0 || r->racy;
    if (is_racy != e->racy) f->repack = true;
    e->racy = is_racy;
    if (r->code != 0) return;
    if (!scan_sig_equal(&e->sig, &r->sig) || !hash_equal(e->hash, r->hash)) f->repack = true;
    e->sig = r->sig;
    e->hash = r->hash;
}

void scan_folder_finish(scan_folder *f, const scan_slice *slices, size_t count)
{
    size_t at = 0;
    if (f->changed_count == 0) return;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].moved_count; k++)
            update_entry(f, &f->entries[slices[i].moved[k]], &f->changed[at++]);
}

void scan_check_folder(const scan_config *config, scan_folder *folder)
{
    scan_slice whole = {.folder = folder, .count = scan_folder_begin(folder)};
    if (folder->code != 0) return;
    scan_slice_check(config, &whole);
    scan_folder_collect(folder, &whole, 1);
    for (size_t i = 0; i < folder->changed_count; i++) scan_one(config, &folder->changed[i]);
    scan_folder_finish(folder, &whole, 1);
    mem_free(whole.moved);
}
