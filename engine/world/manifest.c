/*
 * manifest.c - see manifest.h. A look stats everything first; if the signature is the known one, nothing is read.
 */
#include "engine/world/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/store/value.h"
#include "engine/world/scan_internal.h"

static const char head[] = "weir folder 1\n";
static const char doing[] = "looking at a folder";

typedef struct seen {
    manifest_entry entry;
    const char *path; /* from the root */
    scan_sig sig;
} seen;

typedef struct walk {
    const scan_config *config;
    mem_arena *arena;
    const char *folder; /* with its '/' */
    seen *list;         /* owned */
    size_t count, capacity;
    scan_request *keep; /* rows go here; NULL: nothing is stored */
    size_t row_capacity;
    uint64_t size; /* bytes read */
    weir_error *err;
} walk;

/* --- what is there ----------------------------------------------------------------------------------------------- */

static int visit(walk *w, const char *folder, const os_entry *e)
{
    os_stat st;
    const char *path = arena_printf(w->arena, "%s%s", folder, e->name);
    if (!path || !MEM_GROW(w->list, w->capacity, w->count + 1)) return error_nomem(w->err, doing);
    int rc = os_statat(w->config->rootfd, path, false, &st, w->err);
    if (rc != 0) return rc;
    if (st.type == OS_ABSENT) return error_set(w->err, WEIR_BUSY, "%s went away", path);
    if (st.type == OS_OTHER)
        return error_set(w->err, WEIR_WORKFLOW, "%s is a FIFO, a socket or a device: a folder that is an output holds files, folders and links",
                         path);
    seen *s = &w->list[w->count++];
    *s = (seen){.path = path, .sig = scan_sig_of(&st)};
    s->entry.path = bytes_str(path + strlen(w->folder));
    s->entry.type = st.type;
    s->entry.executable = st.type == OS_FILE && (st.mode & 0111u) != 0;
    return 0;
}

static int list_folder(walk *w, const char *folder)
{
    os_entry *names = NULL;
    size_t count = 0;
    int rc = os_list(w->config->rootfd, folder, w->arena, &names, &count, w->err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = visit(w, folder, &names[i]);
        if (rc != 0 || w->list[w->count - 1].entry.type != OS_DIR) continue;
        const char *below = arena_printf(w->arena, "%s/", w->list[w->count - 1].path);
        rc = below ? list_folder(w, below) : error_nomem(w->err, doing);
    }
    return rc == WEIR_NOTFOUND ? error_set(w->err, WEIR_BUSY, "%s went away", folder) : rc;
}

static int by_path(const void *a, const void *b)
{
    return bytes_compare(((const seen *)a)->entry.path, ((const seen *)b)->entry.path);
}

static int list_all(walk *w)
{
    int rc = list_folder(w, w->folder);
    if (rc == 0 && w->count > 1) qsort(w->list, w->count, sizeof *w->list, by_path);
    scan_count(w->count + 1, 0, 0);
    return rc;
}

/* The folder itself: a link in its place is none. */
static int look_at_top(const scan_config *config, const char *path, os_stat *st, weir_error *err)
{
    char *plain = mem_strdup(path);
    if (!plain) return error_nomem(err, doing);
    if (*plain) plain[strlen(plain) - 1] = '\0';
    int rc = os_statat(config->rootfd, plain, false, st, err);
    mem_free(plain);
    return rc;
}

/* --- the signature ----------------------------------------------------------------------------------------------- */

static void add_sig(hash_stream *h, const scan_sig *sig)
{
    const uint64_t all[] = {sig->dev, sig->ino, (uint64_t)sig->size, (uint64_t)sig->mtime_ns, (uint64_t)sig->ctime_ns, sig->mode};
    hash_update(h, all, sizeof all);
}

static scan_sig sig_of(const walk *w, const scan_sig *top)
{
    hash_stream h;
    scan_sig sig = {.dev = top->dev, .size = (int64_t)w->count, .mode = S_IFDIR | 0755};
    hash_begin(&h);
    add_sig(&h, top);
    for (size_t i = 0; i < w->count; i++) {
        hash_update(&h, w->list[i].entry.path.data, w->list[i].entry.path.size + 1);
        add_sig(&h, &w->list[i].sig);
    }
    hash128 all = hash_end(&h);
    memcpy(&sig.ino, all.bytes, sizeof sig.ino);
    memcpy(&sig.mtime_ns, all.bytes + 8, sizeof sig.mtime_ns);
    return sig;
}

static bool is_racy(const walk *w, const scan_sig *top, int64_t before_ns)
{
    bool racy = scan_is_racy(top, before_ns);
    for (size_t i = 0; !racy && i < w->count; i++) racy = scan_is_racy(&w->list[i].sig, before_ns);
    return racy;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static bool is_of_the_state(const walk *w, const scan_sig *sig)
{
    const scan_forbidden *f = w->config->forbidden;
    for (size_t i = 0; f && i < f->count; i++)
        if (f->file[i].ino == sig->ino && f->file[i].dev == sig->dev) return true;
    return false;
}

static int keep_row(walk *w, blob_row row)
{
    if (!row.stored) return 0;
    if (!MEM_GROW(w->keep->rows, w->row_capacity, w->keep->row_count + 1)) {
        mem_free(row.stored);
        return error_nomem(w->err, doing);
    }
    w->keep->rows[w->keep->row_count++] = row;
    return 0;
}

static int read_file(walk *w, seen *s)
{
    os_stat now = {0};
    blob_row row = {0};
    uint64_t size = 0;
    if (is_of_the_state(w, &s->sig))
        return error_set(w->err, WEIR_WORKFLOW, "%s is a file of weir's own state and cannot be an output", s->path);
    bool keep = w->keep && (w->keep->flags & SCAN_KEEP) && w->config->blobs;
    int fd = os_openat(w->config->rootfd, s->path, OS_READ | OS_NOFOLLOW, 0, w->err);
    if (fd == WEIR_NOTFOUND) return error_set(w->err, WEIR_BUSY, "%s went away", s->path);
    if (fd < 0) return error_set(w->err, WEIR_WORKFLOW, "%s", w->err->message);
    int rc = blob_take_file(w->config->blobs, fd, s->path, keep, &s->entry.content, &size, &row, w->err);
    if (rc == 0) rc = os_fstat(fd, &now, w->err);
    os_close(fd);
    scan_sig after = scan_sig_of(&now);
    if (rc == 0 && !scan_sig_equal(&after, &s->sig)) rc = error_set(w->err, WEIR_BUSY, "%s was written while it was read", s->path);
    if (rc != 0) {
        mem_free(row.stored);
        return rc;
    }
    w->size += size;
    scan_count(1, 1, size);
    return keep ? keep_row(w, row) : 0;
}

static int read_link(walk *w, seen *s)
{
    buf text;
    buf_init(&text);
    int rc = os_readlinkat(w->config->rootfd, s->path, &text, w->err);
    if (rc == 0) s->entry.text = arena_bytes(w->arena, buf_bytes(&text));
    if (rc == 0 && !s->entry.text.data) rc = error_nomem(w->err, doing);
    buf_deinit(&text);
    return rc == WEIR_NOTFOUND ? error_set(w->err, WEIR_BUSY, "%s went away", s->path) : rc;
}

static int read_all(walk *w)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        if (w->list[i].entry.type == OS_FILE) rc = read_file(w, &w->list[i]);
        else if (w->list[i].entry.type == OS_LINK) rc = read_link(w, &w->list[i]);
    }
    return rc;
}

/* --- the text ---------------------------------------------------------------------------------------------------- */

static void put_escaped(buf *b, bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c <= ' ' || c == 0x7f || c == '%') buf_printf(b, "%%%02X", c);
        else buf_byte(b, c);
    }
}

static void put_entry(buf *b, const manifest_entry *e)
{
    char hex[HASH_HEX];
    if (e->type == OS_DIR) buf_text(b, "dir ");
    else if (e->type == OS_LINK) buf_text(b, "link ");
    else buf_printf(b, "%s %s ", e->executable ? "exec" : "file", hash_hex(e->content, hex));
    if (e->type == OS_LINK) {
        put_escaped(b, e->text);
        buf_byte(b, ' ');
    }
    put_escaped(b, e->path);
    buf_byte(b, '\n');
}

static void put_text(const walk *w, buf *b)
{
    buf_text(b, head);
    for (size_t i = 0; i < w->count; i++) put_entry(b, &w->list[i].entry);
}

void manifest_put(const manifest_entry *entries, size_t count, buf *to)
{
    buf_text(to, head);
    for (size_t i = 0; i < count; i++) put_entry(to, &entries[i]);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next word of the line, unescaped. False: damaged. */
static bool take_word(bytes *line, mem_arena *arena, bytes *word)
{
    size_t size = 0, at = 0;
    while (size < line->size && line->data[size] != ' ') size++;
    uint8_t *to = arena_alloc(arena, size + 1);
    if (!to || size == 0) return false;
    size_t out = 0;
    while (at < size) {
        uint8_t c = line->data[at++];
        if (c == '%') {
            if (at + 2 > size || hex_digit(line->data[at]) < 0 || hex_digit(line->data[at + 1]) < 0) return false;
            c = (uint8_t)(hex_digit(line->data[at]) * 16 + hex_digit(line->data[at + 1]));
            at += 2;
        }
        to[out++] = c;
    }
    to[out] = 0;
    *word = bytes_of(to, out);
    if (size < line->size) size++;
    *line = bytes_of(line->data + size, line->size - size);
    return true;
}

/* A path that stays in the folder, as weir writes it. */
static bool is_below(bytes path)
{
    size_t start = 0;
    if (memchr(path.data, 0, path.size)) return false;
    for (size_t i = 0; i <= path.size; i++) {
        if (i < path.size && path.data[i] != '/') continue;
        size_t size = i - start;
        bool is_dots = (size == 1 || size == 2) && path.data[start] == '.' && path.data[i - 1] == '.';
        if (size == 0 || is_dots) return false;
        start = i + 1;
    }
    return true;
}

static bool take_line(bytes line, mem_arena *arena, manifest_entry *e)
{
    bytes kind, hex;
    *e = (manifest_entry){0};
    if (!take_word(&line, arena, &kind)) return false;
    if (bytes_equal(kind, bytes_str("dir"))) {
        e->type = OS_DIR;
    } else if (bytes_equal(kind, bytes_str("link"))) {
        e->type = OS_LINK;
        if (!take_word(&line, arena, &e->text)) return false;
    } else {
        e->type = OS_FILE;
        e->executable = bytes_equal(kind, bytes_str("exec"));
        if (!e->executable && !bytes_equal(kind, bytes_str("file"))) return false;
        if (!take_word(&line, arena, &hex) || !hash_parse((const char *)hex.data, &e->content)) return false;
    }
    return take_word(&line, arena, &e->path) && line.size == 0 && is_below(e->path);
}

int manifest_read(bytes text, mem_arena *arena, manifest_entry **entries, size_t *count, weir_error *err)
{
    size_t lines = 0, start = sizeof head - 1;
    *entries = NULL;
    *count = 0;
    bool well = text.size >= start && memcmp(text.data, head, start) == 0 && text.data[text.size - 1] == '\n';
    for (size_t i = start; well && i < text.size; i++) lines += text.data[i] == '\n';
    *entries = arena_zero(arena, lines + 1, sizeof **entries);
    if (!*entries) return error_nomem(err, "reading the list of a folder");
    for (size_t at = start; well && at < text.size;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t size = (size_t)(end - (text.data + at));
        well = take_line(bytes_of(text.data + at, size), arena, &(*entries)[*count]);
        at += size + 1;
        if (well && *count > 0) well = bytes_compare((*entries)[*count - 1].path, (*entries)[*count].path) < 0;
        if (well) (*count)++;
    }
    if (arena->failed) return error_nomem(err, "reading the list of a folder");
    return well ? 0 : error_set(err, WEIR_CORRUPT, "the list of a folder is damaged");
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

const manifest_entry *manifest_find(const manifest_entry *entries, size_t count, bytes path)
{
    size_t from = 0, to = count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = bytes_compare(entries[mid].path, path);
        if (order == 0) return &entries[mid];
        if (order < 0) from = mid + 1;
        else to = mid;
    }
    return NULL;
}

void manifest_entry_names(const manifest_entry *entries, size_t count, buf *names)
{
    size_t files = 0;
    for (size_t i = 0; i < count; i++) files += entries[i].type != OS_DIR;
    value_put_array(names, files);
    for (size_t i = 0; i < count; i++)
        if (entries[i].type != OS_DIR) value_put_string(names, entries[i].path);
}

enum { FOLLOWED_MOST = 40, PATH_ROOM = 4096 };

/* Append what a link says to the folder it is in. False: it leaves. */
static bool go_along(char *path, size_t folder, bytes text, const char *rest)
{
    char way[2 * PATH_ROOM];
    size_t used = folder;
    int size = snprintf(way, sizeof way, "%.*s/%s", (int)text.size, (const char *)text.data, rest);
    if (size < 0 || (size_t)size >= sizeof way || (text.size && text.data[0] == '/')) return false;
    for (char *at = way, *next; at; at = next) {
        next = strchr(at, '/');
        if (next) *next++ = '\0';
        if (!*at || strcmp(at, ".") == 0) continue;
        if (strcmp(at, "..") == 0) {
            if (used == 0) return false;
            while (used > 0 && path[used - 1] != '/') used--;
            if (used > 0) used--;
            continue;
        }
        size_t length = strlen(at);
        if (used + length + 2 > PATH_ROOM) return false;
        if (used > 0) path[used++] = '/';
        memcpy(path + used, at, length);
        used += length;
    }
    path[used] = '\0';
    return true;
}

const manifest_entry *manifest_follow(const manifest_entry *entries, size_t count, bytes wanted, bool *outside)
{
    char path[PATH_ROOM];
    *outside = false;
    if (wanted.size >= sizeof path) return NULL;
    memcpy(path, wanted.data, wanted.size);
    path[wanted.size] = '\0';
    for (int followed = 0; followed <= FOLLOWED_MOST; followed++) {
        const manifest_entry *e = NULL;
        size_t size = 0, folder = 0;
        do { /* the first link on the way */
            folder = size ? size + 1 : 0;
            size = folder + strcspn(path + folder, "/");
            e = manifest_find(entries, count, bytes_of(path, size));
        } while (e && e->type == OS_DIR && path[size]);
        if (!e || e->type != OS_LINK) return path[size] ? NULL : e;
        char rest[PATH_ROOM];
        snprintf(rest, sizeof rest, "%s", path[size] ? path + size + 1 : "");
        *outside = !go_along(path, folder ? folder - 1 : 0, e->text, rest);
        if (*outside) return NULL;
    }
    return NULL; /* a circle */
}

int manifest_names(int rootfd, const char *folder, buf *names, weir_error *err)
{
    os_stat st;
    mem_arena arena;
    const scan_config config = {.rootfd = rootfd};
    arena_init(&arena);
    walk w = {.config = &config, .arena = &arena, .folder = folder, .err = err};
    int rc = look_at_top(&config, folder, &st, err);
    if (rc == 0 && st.type == OS_DIR) rc = list_all(&w);
    size_t files = 0;
    for (size_t i = 0; i < w.count; i++) files += w.list[i].entry.type != OS_DIR;
    if (rc == 0) value_put_array(names, files);
    for (size_t i = 0; rc == 0 && i < w.count; i++)
        if (w.list[i].entry.type != OS_DIR) value_put_string(names, w.list[i].entry.path);
    if (rc == 0 && names->failed) rc = error_nomem(err, doing);
    mem_free(w.list);
    arena_deinit(&arena);
    return rc;
}

bool manifest_same(const manifest_entry *a, const manifest_entry *b)
{
    if (a->type != b->type) return false;
    if (a->type == OS_LINK) return bytes_equal(a->text, b->text);
    return a->type == OS_DIR || (a->executable == b->executable && hash_equal(a->content, b->content));
}

int manifest_walk(const scan_config *config, const char *folder, mem_arena *arena, manifest_entry **entries, size_t *count,
                  weir_error *err)
{
    os_stat st;
    walk w = {.config = config, .arena = arena, .folder = folder, .err = err};
    *entries = NULL;
    *count = 0;
    int rc = look_at_top(config, folder, &st, err);
    if (rc != 0 || st.type != OS_DIR) return rc;
    rc = list_all(&w);
    if (rc == 0) rc = read_all(&w);
    *entries = rc == 0 ? arena_zero(arena, w.count + 1, sizeof **entries) : NULL;
    if (rc == 0 && !*entries) rc = error_nomem(err, doing);
    for (size_t i = 0; rc == 0 && i < w.count; i++) (*entries)[(*count)++] = w.list[i].entry;
    mem_free(w.list);
    return rc;
}

static int take_text(walk *w, scan_request *r)
{
    buf text;
    buf_init(&text);
    put_text(w, &text);
    int rc = text.failed ? error_nomem(w->err, doing) : 0;
    bool keep = r->flags & (SCAN_KEEP | SCAN_LIST) && w->config->blobs;
    if (rc == 0) r->hash = r->content = hash_bytes(text.data, text.size);
    if (rc == 0 && keep) rc = blob_take_bytes(w->config->blobs, buf_bytes(&text), &r->content, &r->row, w->err);
    buf_deinit(&text);
    return rc;
}

static bool is_distrusted(const walk *w, const scan_sig *top)
{
    bool is = scan_is_distrusted(w->config, top);
    for (size_t i = 0; !is && i < w->count; i++) is = scan_is_distrusted(w->config, &w->list[i].sig);
    return is;
}

static int look(walk *w, scan_request *r, const scan_sig *top, int64_t before_ns)
{
    int rc = list_all(w);
    if (rc != 0) return rc;
    r->sig = sig_of(w, top);
    bool is_known = r->known && !r->known_racy && !is_distrusted(w, top) && scan_sig_equal(&r->sig, &r->known_sig);
    if (is_known) {
        r->hash = r->content = r->known_hash;
        return 0;
    }
    rc = read_all(w);
    if (rc == 0) rc = take_text(w, r);
    r->size = w->size;
    r->read = true;
    r->racy = is_racy(w, top, before_ns);
    return rc;
}

int manifest_look(const scan_config *config, scan_request *r, const char *path, weir_error *err)
{
    os_stat st;
    mem_arena arena;
    int64_t before_ns = scan_clock_ns();
    int rc = look_at_top(config, path, &st, err);
    if (rc != 0) return rc;
    scan_count(1, 0, 0);
    r->hash = HASH_ABSENT;
    if (st.type != OS_DIR) return 0;
    r->type = OS_FILE; /* as a whole it is content, like a file */
    r->mode = 0644;
    arena_init(&arena);
    walk w = {.config = config, .arena = &arena, .folder = path, .keep = r, .err = err};
    scan_sig top = scan_sig_of(&st);
    rc = look(&w, r, &top, before_ns);
    mem_free(w.list);
    arena_deinit(&arena);
    return rc;
}
