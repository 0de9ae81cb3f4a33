/*
 * tree.c - what is in a folder: the names directly in it, or everything below with its content.
 *
 *     folder  H("weir folder 1", then for each entry, by path: length, path, type)
 *     tree    H("weir tree 1",   then for each file, link, other thing: length, path, type, hash)
 *
 * The hash of a file is its fingerprint, of a link that of its text; FIFOs, sockets and devices count by name and are never opened. Links
 * are not followed. A hidden folder (one that weir made) is seen all the same when it holds something that is not hidden. A folder counts through what is in it: an empty one is not there for a tree. Dot files are; what is called .weir is not.
 *
 * What was seen is recorded, one folder after the other, so that the next look opens each folder once and stats its entries: the same
 * signatures, the same hash. Else what moved is listed and read again, by several threads.
 *
 *     record: 'D' path signature is_racy, then for each of its entries 'E' name type signature hash is_racy
 *
 * Any thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/store/value.h"
#include "engine/world/scan_internal.h"

static const char doing[] = "looking at a folder";

typedef struct looker {
    const scan_config *config;
    scan_tree *tree;
    mem_arena *arena;
    map before; /* path -> index + 1 of an entry as it was recorded */
    scan_tree_entry *old;
    size_t old_count, old_capacity, capacity;
    scan_tree_entry *entries; /* on the heap while it grows */
    size_t count;
    buf path; /* from the root of the project */
    int inside;    /* hidden folders that we are in, to see whether they hold anything else */
    bool is_found; /* they do */
    weir_error *err;
} looker;

static int no_memory(looker *l)
{
    return error_nomem(l->err, doing);
}

/* --- the record -------------------------------------------------------------------------------------------------- */

static void put_sig(buf *b, const scan_sig *sig)
{
    buf_put_u64(b, sig->dev);
    buf_put_u64(b, sig->ino);
    buf_put_u64(b, sig->mode);
    buf_put_i64(b, sig->size);
    buf_put_i64(b, sig->mtime_ns);
    buf_put_i64(b, sig->ctime_ns);
}

static scan_sig take_sig(unpack *u)
{
    scan_sig sig;
    sig.dev = unpack_u64(u);
    sig.ino = unpack_u64(u);
    sig.mode = (uint32_t)unpack_u64(u);
    sig.size = unpack_i64(u);
    sig.mtime_ns = unpack_i64(u);
    sig.ctime_ns = unpack_i64(u);
    return sig;
}

static void put_folder(buf *b, const char *path, const scan_sig *sig, bool is_racy)
{
    buf_byte(b, 'D');
    buf_put_bytes(b, bytes_str(path));
    put_sig(b, sig);
    buf_byte(b, is_racy);
}

static void put_entry(buf *b, const scan_tree_entry *e)
{
    buf_byte(b, 'E');
    buf_put_bytes(b, e->path);
    buf_byte(b, (uint8_t)e->type);
    put_sig(b, &e->sig);
    buf_put_hash(b, e->hash);
    buf_byte(b, e->racy);
}

static uint8_t take_byte(unpack *u)
{
    if (u->at == u->end) u->failed = true;
    return u->failed ? 0 : *u->at++;
}

/* The next part of a record: 'D', 'E', or 0 at the end and for damage. The paths of entries are from the root of the project. */
static uint8_t take_part(unpack *u, scan_tree_entry *e)
{
    uint8_t kind = u->at == u->end ? 0 : take_byte(u);
    if (kind != 'D' && kind != 'E') return 0;
    e->path = unpack_bytes(u);
    e->type = kind == 'E' ? (os_type)take_byte(u) : OS_DIR;
    e->sig = take_sig(u);
    e->hash = kind == 'E' ? unpack_hash(u) : HASH_NONE;
    e->racy = take_byte(u) != 0;
    return u->failed ? 0 : kind;
}

static size_t name_at(bytes path)
{
    size_t at = path.size;
    while (at > 0 && path.data[at - 1] != '/') at--;
    return at;
}

static bool is_entry_same(const scan_config *config, int fd, const scan_tree_entry *e, mem_arena *scratch)
{
    os_stat st;
    size_t at = name_at(e->path);
    if (e->sig.mode == 0) return true; /* of a folder's own list: its signature tells all */
    bytes name = arena_bytes(scratch, bytes_of(e->path.data + at, e->path.size - at));
    if (e->racy || !name.data || os_statat(fd, (const char *)name.data, false, &st, NULL) != 0) return false;
    scan_sig now = scan_sig_of(&st);
    return st.type == e->type && scan_sig_equal(&now, &e->sig) && !scan_is_distrusted(config, &now);
}

static bool open_same(const scan_config *config, const scan_tree_entry *folder, int *fd, mem_arena *scratch)
{
    os_stat st;
    os_close(*fd);
    bytes path = arena_bytes(scratch, folder->path);
    *fd = path.data && !folder->racy ? os_openat(config->rootfd, (const char *)path.data, OS_READ | OS_FOLDER, 0, NULL) : -1;
    if (*fd < 0 || os_fstat(*fd, &st, NULL) != 0) return false;
    scan_sig now = scan_sig_of(&st);
    return scan_sig_equal(&now, &folder->sig);
}

bool scan_tree_same(const scan_config *config, bytes record)
{
    unpack u = unpack_of(record);
    scan_tree_entry e;
    mem_arena scratch;
    uint64_t stats = 0;
    int fd = -1;
    bool is_same = !config->distrust && record.size > 0;
    arena_init(&scratch);
    while (is_same && u.at < u.end) {
        uint8_t kind = take_part(&u, &e);
        is_same = kind == 'D' ? open_same(config, &e, &fd, &scratch) : kind == 'E' && is_entry_same(config, fd, &e, &scratch);
        if (scratch.used > (1u << 16)) arena_reset(&scratch);
        stats++;
    }
    os_close(fd);
    arena_deinit(&scratch);
    scan_count(stats, 0, 0);
    return is_same;
}

void scan_tree_folders(bytes record, void (*folder)(void *ctx, bytes path), void *ctx)
{
    unpack u = unpack_of(record);
    scan_tree_entry e;
    uint8_t kind;
    while ((kind = take_part(&u, &e)) != 0)
        if (kind == 'D') folder(ctx, e.path);
}

static int take_record(looker *l, bytes record)
{
    unpack u = unpack_of(record);
    scan_tree_entry e;
    uint8_t kind;
    while ((kind = take_part(&u, &e)) != 0) {
        if (kind != 'E') continue;
        if (!MEM_GROW(l->old, l->old_capacity, l->old_count + 1)) return no_memory(l);
        l->old[l->old_count++] = e;
        uint64_t *slot = map_put(&l->before, e.path, NULL);
        if (!slot) return no_memory(l);
        *slot = l->old_count;
    }
    return 0;
}

/* A folder or what is in it cannot be looked at: whose folder that is says the whole path. The call has just failed with `rc`. */
static int refused(looker *l, int rc, const char *operation)
{
    rc = scan_judge(rc, l->err);
    if (rc != WEIR_WORKFLOW) return rc;
    const char *path = buf_cstr(&l->path);
    (void)error_errno(l->err, errno, "cannot %s %s", operation, path ? path : "of a tree");
    l->err->code = rc;
    l->tree->is_closed = true;
    return rc;
}

/* --- walking ----------------------------------------------------------------------------------------------------- */

static int walk(looker *l, int dirfd, const char *name);

static int link_hash(looker *l, int fd, const char *name, hash128 *hash)
{
    buf text;
    buf_init(&text);
    int rc = os_readlinkat(fd, name, &text, l->err);
    if (rc == 0) *hash = hash_bytes(text.data, text.size);
    if (rc == WEIR_NOTFOUND) rc = 0; /* gone meanwhile: its folder is racy */
    buf_deinit(&text);
    return rc;
}

/* What is known of it if it has not moved; a file that has is hashed later, together with the others. */
static int take_known(looker *l, int fd, const char *name, scan_tree_entry *e, int64_t before_ns)
{
    const uint64_t *slot = map_get(&l->before, e->path);
    const scan_tree_entry *old = slot ? &l->old[*slot - 1] : NULL;
    bool is_same = old && !old->racy && !scan_is_distrusted(l->config, &e->sig) && old->type == e->type && scan_sig_equal(&old->sig, &e->sig);
    if (is_same && l->tree->is_doubtful && l->tree->is_doubtful(l->tree->ctx, e->path)) is_same = false;
    e->hash = is_same ? old->hash : HASH_NONE;
    if (is_same || e->type != OS_LINK) return 0;
    e->racy = scan_is_racy(&e->sig, before_ns);
    return link_hash(l, fd, name, &e->hash);
}

static int add_entry(looker *l, int fd, const char *name, const os_stat *st, int64_t before_ns)
{
    int rc = 0;
    scan_tree_entry e = {.path = arena_bytes(l->arena, buf_bytes(&l->path)), .type = st->type, .sig = scan_sig_of(st)};
    if (!e.path.data || !MEM_GROW(l->entries, l->capacity, l->count + 1)) return no_memory(l);
    if (l->tree->deep) rc = take_known(l, fd, name, &e, before_ns);
    else e.sig = (scan_sig){0};
    l->entries[l->count++] = e;
    return rc;
}

/* Is it seen? A hidden folder is when anything in it is. */
static int is_seen(looker *l, int fd, const char *name, const char *path, os_type type, bool *seen)
{
    *seen = !l->tree->skip || !l->tree->skip(l->tree->ctx, path, type);
    if (*seen || type != OS_DIR || l->is_found) return 0;
    l->inside++;
    int rc = walk(l, fd, name);
    *seen = l->is_found;
    if (--l->inside == 0) l->is_found = false;
    return rc;
}

static int visit(looker *l, int fd, const char *name, int64_t before_ns)
{
    os_stat st;
    size_t before = l->path.size;
    if (strcmp(name, ".weir") == 0) return 0;
    int rc = os_statat(fd, name, false, &st, l->err);
    if (rc != 0) return refused(l, rc, "look into the folder");
    if (st.type == OS_ABSENT) return 0;
    scan_count(1, 0, 0);
    buf_byte(&l->path, '/');
    buf_text(&l->path, name);
    const char *path = buf_cstr(&l->path);
    if (!path) return no_memory(l);
    bool seen = false;
    if (st.type == OS_DIR && l->tree->deep) rc = walk(l, fd, name);
    else rc = is_seen(l, fd, name, path, st.type, &seen);
    if (rc == 0 && seen && l->inside > 0) l->is_found = true;
    else if (rc == 0 && seen) rc = add_entry(l, fd, name, &st, before_ns);
    l->path.size = before;
    return rc;
}

/* The folder `name` below dirfd, whose path from the root is l->path. */
static int walk(looker *l, int dirfd, const char *name)
{
    os_stat st;
    os_entry *names = NULL;
    size_t count = 0, first = l->count;
    int64_t before_ns = scan_clock_ns();
    int fd = os_openat(dirfd, name, OS_READ | OS_FOLDER | (first || l->tree->is_there ? OS_NOFOLLOW : 0), 0, l->err);
    if (fd == WEIR_NOTFOUND) {
        error_clear(l->err);
        return 0;
    }
    if (fd < 0) return refused(l, fd, "open the folder");
    l->tree->is_there = true;
    int rc = os_fstat(fd, &st, l->err);
    const char *path = buf_cstr(&l->path);
    if (rc == 0 && !path) rc = no_memory(l);
    if (rc == 0) {
        scan_sig sig = scan_sig_of(&st);
        put_folder(&l->tree->folders, path, &sig, scan_is_racy(&sig, before_ns));
        rc = os_list(fd, ".", l->arena, &names, &count, l->err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) rc = visit(l, fd, names[i].name, before_ns);
    os_close(fd);
    return rc;
}

/* --- reading what moved ------------------------------------------------------------------------------------------ */

static int take_answers(looker *l, const scan_request *requests, const size_t *which, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const scan_request *r = &requests[i];
        scan_tree_entry *e = &l->entries[which[i]];
        bool is_answer = r->code == 0 || (r->code == WEIR_WORKFLOW && !r->forbidden);
        if (!is_answer) return error_set(l->err, r->code, "%s", r->message);
        e->hash = r->hash; /* HASH_UNREADABLE: whoever opens it will say so */
        e->racy = r->racy;
        if (r->code != 0) continue;
        e->sig = r->sig;
        e->racy = r->racy || r->type != OS_FILE; /* swapped meanwhile: looked at again */
    }
    return 0;
}

static int read_moved(looker *l)
{
    scan_request *requests = mem_zero(l->count + 1, sizeof *requests);
    size_t *which = mem_zero(l->count + 1, sizeof *which), count = 0;
    int rc = requests && which ? 0 : no_memory(l);
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        if (l->entries[i].type != OS_FILE || !hash_is_none(l->entries[i].hash)) continue;
        requests[count] = (scan_request){.path = l->entries[i].path};
        which[count++] = i;
    }
    if (rc == 0 && count > 0) rc = scan_wait(NULL, l->config, requests, count, l->err);
    if (rc == 0) rc = take_answers(l, requests, which, count);
    mem_free(requests);
    mem_free(which);
    return rc;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    return bytes_compare(((const scan_tree_entry *)a)->path, ((const scan_tree_entry *)b)->path);
}

static void put_number(hash_stream *stream, uint64_t number)
{
    uint8_t text[8];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(number >> (8 * i));
    hash_update(stream, text, sizeof text);
}

static bytes below(const scan_tree *tree, bytes path)
{
    size_t skip = strlen(tree->folder) + 1;
    return bytes_of(path.data + skip, path.size - skip);
}

static hash128 hash_of(const scan_tree *tree, const scan_tree_entry *entries, size_t count)
{
    hash_stream stream;
    hash_begin(&stream);
    hash_update(&stream, tree->deep ? "weir tree 1" : "weir folder 1", tree->deep ? 11 : 13);
    for (size_t i = 0; i < count; i++) {
        bytes path = below(tree, entries[i].path);
        uint8_t type = (uint8_t)entries[i].type;
        put_number(&stream, path.size);
        hash_update(&stream, path.data, path.size);
        hash_update(&stream, &type, 1);
        if (tree->deep) hash_update(&stream, entries[i].hash.bytes, HASH_SIZE);
    }
    return hash_end(&stream);
}

static void put_name(buf *names, bytes path, bool is_folder)
{
    buf text;
    buf_init(&text);
    buf_append(&text, path.data, path.size);
    if (is_folder) buf_byte(&text, '/');
    if (text.failed) names->failed = true;
    else value_put_string(names, buf_bytes(&text));
    buf_deinit(&text);
}

/* Each entry goes behind its folder. */
static int make_record(looker *l)
{
    unpack u = unpack_of(buf_bytes(&l->tree->folders));
    scan_tree_entry folder;
    buf_clear(&l->tree->record);
    map first; /* folder -> its entries, in the order in which they were found */
    map_init(&first);
    size_t *next = mem_zero(l->count + 1, sizeof *next);
    int rc = next ? 0 : no_memory(l);
    for (size_t i = l->count; rc == 0 && i-- > 0;) {
        size_t at = name_at(l->entries[i].path);
        uint64_t *slot = map_put(&first, bytes_of(l->entries[i].path.data, at ? at - 1 : 0), NULL);
        if (!slot) rc = no_memory(l);
        else {
            next[i] = *slot;
            *slot = i + 1;
        }
    }
    while (rc == 0 && take_part(&u, &folder) == 'D') {
        put_folder(&l->tree->record, (const char *)arena_bytes(l->arena, folder.path).data, &folder.sig, folder.racy);
        const uint64_t *slot = map_get(&first, folder.path);
        for (size_t i = slot ? *slot : 0; i > 0; i = next[i - 1]) put_entry(&l->tree->record, &l->entries[i - 1]);
    }
    mem_free(next);
    map_deinit(&first);
    return rc == 0 && (l->tree->record.failed || l->arena->failed) ? no_memory(l) : rc;
}

static int answer(looker *l)
{
    scan_tree *tree = l->tree;
    buf_clear(&tree->names);
    buf_clear(&tree->record);
    tree->hash = HASH_ABSENT;
    if (!tree->is_there) return 0;
    if (l->count > 1) qsort(l->entries, l->count, sizeof *l->entries, by_path);
    tree->hash = hash_of(tree, l->entries, l->count);
    value_put_array(&tree->names, l->count);
    for (size_t i = 0; i < l->count; i++) put_name(&tree->names, below(tree, l->entries[i].path), l->entries[i].type == OS_DIR);
    return tree->names.failed ? no_memory(l) : make_record(l);
}

int scan_tree_look(const scan_config *config, scan_tree *tree, bytes before, weir_error *err)
{
    mem_arena arena;
    looker l = {.config = config, .tree = tree, .arena = &arena, .err = err};
    arena_init(&arena);
    map_init(&l.before);
    buf_init(&l.path);
    buf_clear(&tree->folders);
    tree->is_there = tree->is_closed = false;
    buf_text(&l.path, tree->folder);
    int rc = take_record(&l, before);
    if (rc == 0) rc = walk(&l, config->rootfd, tree->folder);
    if (rc == 0 && tree->deep) rc = read_moved(&l);
    if (rc == 0) rc = answer(&l);
    buf_deinit(&l.path);
    map_deinit(&l.before);
    mem_free(l.old);
    mem_free(l.entries);
    arena_deinit(&arena);
    return rc;
}

int scan_tree_names(const char *folder, bytes record, buf *names, weir_error *err)
{
    mem_arena arena;
    scan_tree tree = {.folder = folder};
    looker l = {.tree = &tree, .arena = &arena, .err = err};
    arena_init(&arena);
    map_init(&l.before);
    int rc = take_record(&l, record);
    if (rc == 0 && l.old_count > 1) qsort(l.old, l.old_count, sizeof *l.old, by_path);
    if (rc == 0) value_put_array(names, l.old_count);
    for (size_t i = 0; rc == 0 && i < l.old_count; i++) put_name(names, below(&tree, l.old[i].path), l.old[i].type == OS_DIR);
    if (rc == 0 && names->failed) rc = no_memory(&l);
    map_deinit(&l.before);
    mem_free(l.old);
    arena_deinit(&arena);
    return rc;
}

void scan_tree_deinit(scan_tree *tree)
{
    buf_deinit(&tree->names);
    buf_deinit(&tree->record);
    buf_deinit(&tree->folders);
}
