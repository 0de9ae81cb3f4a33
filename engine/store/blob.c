/*
 * blob.c - payloads by content: rows for small ones, files for large ones.
 *
 *   <= 16 KiB  a row of `payload`: made here on any thread, written by the writer thread with its transaction
 *   larger     .weir/blobs/ab/<30 hex>       plain
 *              .weir/blobs/ab/<30 hex>.zst   one zstd frame
 *
 * B1  A name in blobs/ appears by rename only, after all bytes were written; the content under a name never changes.
 * B2  Nothing is answered as read before its hash was compared. A file that fails is renamed to <name>.bad: it is a miss
 *     from then on, and the next one who makes the content stores it again. A damaged row is overwritten by the next put.
 * B3  A frame that unpacks to more than was announced is damage, found before memory is taken for it.
 *
 * Figures (Debian 12, 4 virtual cores, zstd 1.5.4, figures of one thread): a row is stored and read faster than a file up
 * to about 10 to 30 KiB (a file costs 0.2 to 0.4 ms to make and at least 4 KiB), so the limit is 16 KiB. zstd 3 leaves 50 to 70 % of
 * texts of 256 B to 1 KiB and 20 to 50 % of 4 to 16 KiB, for 5 us at 256 B, 20 us at 4 KiB, 60 us at 16 KiB; unpacking takes a third.
 * Below 256 B it saves too little to pay for a second form. Files use level 1: 1 to 4 % larger than 3 but up to twice as fast (250 to 400
 * MB/s). Compressed is kept when it saves an eighth; a file is judged by its first 64 KiB.
 *
 * Any thread, except for the functions that take a db. One zstd context waits in `spare` for the next user, whoever that is.
 */
#include "engine/store/blob.h"

#include <stdatomic.h>
#include <stdio.h>
#include <zstd.h>

#include "generated/schema.h"

enum { CHUNK = 256 * 1024, PROBE = 64 * 1024, ROW_LEVEL = 3, FILE_LEVEL = 1, PACK_MIN = 256, ROW_MAX = 1024 * 1024 };
enum { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

struct blob_store {
    int dirfd;             /* of .weir; kept, not ours to close */
    bool is_reader;
    char token[20];        /* makes names in tmp/ unique */
    atomic_uint_fast64_t next;
};

static _Atomic(ZSTD_CCtx *) spare;

static ZSTD_CCtx *context_take(void)
{
    ZSTD_CCtx *context = atomic_exchange(&spare, NULL);
    return context ? context : ZSTD_createCCtx();
}

static void context_give(ZSTD_CCtx *context)
{
    ZSTD_CCtx *old = atomic_exchange(&spare, context);
    ZSTD_freeCCtx(old); /* NULL is ignored */
}

static bool pays(size_t plain, size_t packed)
{
    return !ZSTD_isError(packed) && packed + plain / 8 <= plain;
}

static int damaged(hash128 hash, const char *why, weir_error *err)
{
    char hex[HASH_HEX];
    return error_set(err, WEIR_CORRUPT, "blob %s: %s", hash_hex(hash, hex), why);
}

static int missing(hash128 hash, weir_error *err)
{
    char hex[HASH_HEX];
    return error_set(err, WEIR_NOTFOUND, "blob %s: not in the store", hash_hex(hash, hex));
}

/* --- the store --------------------------------------------------------------------------------------------------- */

int blob_store_open(blob_store **out, int dirfd, weir_error *err)
{
    *out = NULL;
    blob_store *s = mem_zero(1, sizeof *s);
    if (!s) return error_nomem(err, "opening the store");
    s->dirfd = dirfd;
    uint64_t random = 0;
    int rc = os_random(&random, sizeof random, err);
    snprintf(s->token, sizeof s->token, "%016llx", (unsigned long long)random);
    if (rc == 0) rc = os_mkdirat(dirfd, "blobs", 0777, err);
    if (rc == 0) rc = os_mkdirat(dirfd, "tmp", 0777, err);
    if (rc != 0) {
        mem_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int blob_store_open_reader(blob_store **out, int dirfd, weir_error *err)
{
    blob_store *s = mem_zero(1, sizeof *s);
    *out = s;
    if (!s) return error_nomem(err, "opening the store");
    s->dirfd = dirfd;
    s->is_reader = true;
    return 0;
}

void blob_store_close(blob_store *s)
{
    mem_free(s);
}

/* "blobs/ab/<30 hex><ending>", below .weir */
static void blob_name(hash128 hash, const char *ending, char name[64])
{
    char hex[HASH_HEX];
    hash_hex(hash, hex);
    snprintf(name, 64, "blobs/%.2s/%.30s%s", hex, hex + 2, ending);
}

static bool file_there(const blob_store *s, hash128 hash, const char *ending)
{
    char name[64];
    os_stat found;
    blob_name(hash, ending, name);
    return os_statat(s->dirfd, name, false, &found, NULL) == 0 && found.type == OS_FILE;
}

static bool has_file(const blob_store *s, hash128 hash)
{
    return file_there(s, hash, "") || file_there(s, hash, ".zst");
}

bool blob_file_path(blob_store *s, hash128 hash, char path[80])
{
    char name[64];
    if (!file_there(s, hash, "")) return false;
    blob_name(hash, "", name);
    snprintf(path, 80, ".weir/%s", name);
    return true;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* Packed form of a small content into `to`; 0 when it does not pay. */
static size_t pack(bytes content, uint8_t *to, size_t room)
{
    if (content.size < PACK_MIN) return 0;
    ZSTD_CCtx *context = context_take();
    if (!context) return 0;
    size_t packed = ZSTD_compressCCtx(context, to, room, content.data, content.size, ROW_LEVEL);
    context_give(context);
    return pays(content.size, packed) ? packed : 0;
}

int blob_row_make(bytes content, hash128 hash, blob_row *row, weir_error *err)
{
    *row = (blob_row){.hash = hash, .codec = CODEC_PLAIN, .size = content.size};
    if (content.size > BLOB_INLINE) return error_set(err, WEIR_BUG, "a payload of %zu bytes is too long for a row", content.size);
    uint8_t packed[BLOB_INLINE];
    size_t packed_size = pack(content, packed, content.size - content.size / 8);
    row->stored_size = packed_size ? packed_size : content.size;
    row->stored = mem_alloc(row->stored_size ? row->stored_size : 1);
    if (!row->stored) return error_nomem(err, "storing a payload");
    if (packed_size) row->codec = CODEC_ZSTD;
    if (row->stored_size) memcpy(row->stored, packed_size ? packed : content.data, row->stored_size);
    return 0;
}

int blob_row_put(db *d, const blob_row *row, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    db_stmt *s = db_get(d, SQL_BLOB_ROW_ADD, err);
    if (!s) return err->code;
    db_bind_hash(s, 1, row->hash);
    db_bind_int(s, 2, row->codec);
    db_bind_int(s, 3, (int64_t)row->size);
    db_bind_borrowed(s, 4, bytes_of(row->stored, row->stored_size));
    return db_run(s, err);
}

/* Append a row's content, verified. */
static int unpack_row(hash128 hash, int64_t codec, int64_t size, bytes stored, size_t limit, buf *to, weir_error *err)
{
    if (size < 0 || size > ROW_MAX) return damaged(hash, "its row has an impossible size", err);
    if ((uint64_t)size > limit) return error_set(err, WEIR_LIMIT, "a payload of %lld bytes is over the limit of %zu", (long long)size, limit);
    size_t before = to->size;
    uint8_t *room = buf_reserve(to, (size_t)size + 1);
    if (!room) return error_nomem(err, "reading a payload");
    size_t got = SIZE_MAX;
    if (codec == CODEC_PLAIN && stored.size == (size_t)size) {
        if (size) memcpy(room, stored.data, stored.size);
        got = stored.size;
    } else if (codec == CODEC_ZSTD) {
        got = ZSTD_decompress(room, (size_t)size, stored.data, stored.size);
    }
    if (got != (size_t)size) return damaged(hash, "its row cannot be unpacked", err);
    if (!hash_equal(hash_bytes(room, got), hash)) return damaged(hash, "the content of its row has another hash", err);
    buf_commit(to, got);
    if (to->failed) to->size = before;
    return 0;
}

/* 1: found and appended; 0: no such row; negative: a code. */
static int read_row(db *d, hash128 hash, size_t limit, buf *to, weir_error *err)
{
    if (!d) return 0;
    db_stmt *s = db_get(d, SQL_BLOB_ROW_GET, err);
    if (!s) return err->code;
    db_bind_hash(s, 1, hash);
    int rc = db_step(s, err);
    if (rc != 1) return rc;
    rc = unpack_row(hash, db_int(s, 0), db_int(s, 1), db_bytes(s, 2), limit, to, err);
    db_reset(s);
    return rc == 0 ? 1 : rc;
}

static int has_row(db *d, hash128 hash, bool *has, weir_error *err)
{
    *has = false;
    if (!d) return 0;
    db_stmt *s = db_get(d, SQL_BLOB_ROW_HAS, err);
    if (!s) return err->code;
    db_bind_hash(s, 1, hash);
    int rc = db_step(s, err);
    *has = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int blob_has(blob_store *s, db *d, hash128 hash, bool *has, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    int rc = has_row(d, hash, has, err);
    if (rc == 0 && !*has) *has = has_file(s, hash);
    return rc;
}

/* --- writing a file ---------------------------------------------------------------------------------------------- */

/* A blob file being written in tmp/. */
typedef struct draft {
    blob_store *store;
    int fd;
    char temp[64];
    hash_stream hash;
    uint64_t size;      /* bytes of content so far */
    ZSTD_CCtx *context; /* NULL: plain */
    uint8_t *packed;    /* room for the output of zstd */
} draft;

static bool is_worth_packing(ZSTD_CCtx *context, bytes first)
{
    size_t size = first.size < PROBE ? first.size : PROBE;
    size_t room = ZSTD_compressBound(size);
    uint8_t *to = mem_alloc(room);
    bool worth = to && pays(size, ZSTD_compressCCtx(context, to, room, first.data, size, FILE_LEVEL));
    mem_free(to);
    return worth;
}

static void draft_choose_codec(draft *w, bytes first)
{
    w->context = context_take();
    if (w->context && is_worth_packing(w->context, first)) w->packed = mem_alloc(ZSTD_CStreamOutSize());
    if (w->packed) {
        ZSTD_CCtx_reset(w->context, ZSTD_reset_session_and_parameters);
        ZSTD_CCtx_setParameter(w->context, ZSTD_c_compressionLevel, FILE_LEVEL);
    } else if (w->context) {
        context_give(w->context);
        w->context = NULL;
    }
}

static int draft_begin(draft *w, blob_store *s, bytes first, weir_error *err)
{
    *w = (draft){.store = s, .fd = -1};
    hash_begin(&w->hash);
    snprintf(w->temp, sizeof w->temp, "tmp/blob-%s-%llu", s->token, (unsigned long long)atomic_fetch_add(&s->next, 1));
    w->fd = os_openat(s->dirfd, w->temp, OS_WRITE | OS_CREATE | OS_EXCL | OS_NOFOLLOW, 0600, err);
    if (w->fd < 0) return w->fd;
    draft_choose_codec(w, first);
    return 0;
}

static int draft_pack(draft *w, bytes chunk, ZSTD_EndDirective end, weir_error *err)
{
    ZSTD_inBuffer in = {chunk.data, chunk.size, 0};
    size_t left;
    do {
        ZSTD_outBuffer out = {w->packed, ZSTD_CStreamOutSize(), 0};
        left = ZSTD_compressStream2(w->context, &out, &in, end);
        if (ZSTD_isError(left)) return error_set(err, WEIR_NOMEM, "%s: zstd: %s", w->temp, ZSTD_getErrorName(left));
        int rc = os_write_all(w->fd, w->packed, out.pos, w->temp, err);
        if (rc != 0) return rc;
    } while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return 0;
}

static int draft_add(draft *w, bytes chunk, weir_error *err)
{
    hash_update(&w->hash, chunk.data, chunk.size);
    w->size += chunk.size;
    if (w->context) return draft_pack(w, chunk, ZSTD_e_continue, err);
    return os_write_all(w->fd, chunk.data, chunk.size, w->temp, err);
}

static int draft_publish(draft *w, hash128 hash, weir_error *err)
{
    char name[64];
    char folder[16];
    blob_name(hash, w->context ? ".zst" : "", name);
    snprintf(folder, sizeof folder, "%.8s", name); /* blobs/ab */
    int rc = os_chmodat(w->store->dirfd, w->temp, 0444, err);
    if (rc == 0) rc = os_mkdirat(w->store->dirfd, folder, 0777, err);
    os_kill_point("blob_before_rename");
    if (rc == 0) rc = os_renameat(w->store->dirfd, w->temp, w->store->dirfd, name, err);
    os_kill_point("blob_after_rename");
    if (rc == 0) w->temp[0] = '\0';
    return rc;
}

/* Publish under the hash of what was added; nothing to do when it is there already. */
static int draft_end(draft *w, hash128 *hash, weir_error *err)
{
    int rc = w->context ? draft_pack(w, bytes_of(NULL, 0), ZSTD_e_end, err) : 0;
    *hash = hash_end(&w->hash);
    if (rc == 0 && !has_file(w->store, *hash)) rc = draft_publish(w, *hash, err);
    return rc;
}

static void draft_close(draft *w)
{
    if (w->fd < 0) return;
    os_close(w->fd);
    if (w->temp[0]) (void)os_unlinkat(w->store->dirfd, w->temp, NULL);
    if (w->context) context_give(w->context);
    mem_free(w->packed);
}

int blob_take_bytes(blob_store *s, bytes content, hash128 *hash, blob_row *row, weir_error *err)
{
    *hash = hash_bytes(content.data, content.size);
    if (content.size <= BLOB_INLINE) return blob_row_make(content, *hash, row, err);
    *row = (blob_row){.hash = *hash, .size = content.size};
    if (has_file(s, *hash)) return 0;
    draft w;
    int rc = draft_begin(&w, s, content, err);
    if (rc == 0) rc = draft_add(&w, content, err);
    if (rc == 0) rc = draft_end(&w, hash, err);
    draft_close(&w);
    return rc;
}

/* Fill `to` as far as the file goes. */
static int read_full(int fd, uint8_t *to, size_t room, size_t *got, const char *name, weir_error *err)
{
    *got = 0;
    while (*got < room) {
        ssize_t n = os_read(fd, to + *got, room - *got, name, err);
        if (n < 0) return (int)n;
        if (n == 0) return 0;
        *got += (size_t)n;
    }
    return 0;
}

/* The rest of a file whose first chunk is in `chunk`; `w` NULL: hash only. */
static int take_rest(draft *w, hash_stream *hash, int fd, uint8_t *chunk, size_t got, const char *name, uint64_t *size, weir_error *err)
{
    int rc = 0;
    *size = 0;
    while (rc == 0 && got > 0) {
        *size += got;
        if (w) rc = draft_add(w, bytes_of(chunk, got), err);
        else hash_update(hash, chunk, got);
        if (rc == 0) rc = read_full(fd, chunk, CHUNK, &got, name, err);
    }
    return rc;
}

static int take_large(blob_store *s, int fd, uint8_t *chunk, size_t got, const char *name, bool keep, hash128 *content,
                      uint64_t *size, weir_error *err)
{
    hash_stream hash;
    draft w;
    hash_begin(&hash);
    if (!keep) {
        int rc = take_rest(NULL, &hash, fd, chunk, got, name, size, err);
        *content = hash_end(&hash);
        return rc;
    }
    int rc = draft_begin(&w, s, bytes_of(chunk, got), err);
    if (rc == 0) rc = take_rest(&w, &hash, fd, chunk, got, name, size, err);
    if (rc == 0) rc = draft_end(&w, content, err);
    draft_close(&w);
    return rc;
}

int blob_take_file(blob_store *s, int fd, const char *name, bool keep, hash128 *content, uint64_t *size, blob_row *row, weir_error *err)
{
    size_t got = 0;
    blob_row none = {0};
    if (!row) row = &none;
    *row = (blob_row){0};
    uint8_t *chunk = mem_alloc(CHUNK);
    if (!chunk) return error_nomem(err, "reading a file");
    int rc = read_full(fd, chunk, CHUNK, &got, name, err);
    *size = got;
    if (rc == 0 && got == CHUNK) rc = take_large(s, fd, chunk, got, name, keep, content, size, err);
    else if (rc == 0 && keep) rc = blob_take_bytes(s, bytes_of(chunk, got), content, row, err);
    else if (rc == 0) *content = hash_bytes(chunk, got);
    mem_free(chunk);
    row->hash = *content;
    row->size = *size;
    if (row == &none) mem_free(none.stored);
    return rc;
}

/* --- reading a file ---------------------------------------------------------------------------------------------- */

/* Where content goes piece by piece; NULL: nowhere. */
typedef int (*blob_sink)(void *ctx, bytes piece, weir_error *err);

typedef struct outflow {
    hash128 hash; /* expected */
    hash_stream seen;
    blob_sink sink;
    void *ctx;
} outflow;

static int flow(outflow *o, bytes piece, weir_error *err)
{
    hash_update(&o->seen, piece.data, piece.size);
    return o->sink ? o->sink(o->ctx, piece, err) : 0;
}

static int flow_plain(outflow *o, int fd, const char *name, uint8_t *chunk, weir_error *err)
{
    for (;;) {
        ssize_t got = os_read(fd, chunk, CHUNK, name, err);
        if (got <= 0) return (int)got;
        int rc = flow(o, bytes_of(chunk, (size_t)got), err);
        if (rc != 0) return rc;
    }
}

/* Unpack one piece of input; *left 0: the frame is complete. Output that fills the room may have more behind it. */
static int flow_unpacked(outflow *o, ZSTD_DCtx *context, bytes piece, size_t *left, uint8_t *room, weir_error *err)
{
    ZSTD_inBuffer in = {piece.data, piece.size, 0};
    ZSTD_outBuffer out;
    do {
        if (*left == 0) return damaged(o->hash, "its file has bytes behind its end", err);
        out = (ZSTD_outBuffer){room, CHUNK, 0};
        *left = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(*left)) return damaged(o->hash, "its file cannot be unpacked", err);
        int rc = flow(o, bytes_of(room, out.pos), err);
        if (rc != 0) return rc;
    } while (in.pos < in.size || (out.pos == out.size && *left != 0));
    return 0;
}

static int flow_zstd(outflow *o, int fd, const char *name, uint8_t *chunk, weir_error *err)
{
    size_t left = 1;
    int rc = 0;
    ZSTD_DCtx *context = ZSTD_createDCtx();
    uint8_t *room = mem_alloc(CHUNK);
    if (!context || !room) rc = error_nomem(err, "reading a payload");
    while (rc == 0) {
        ssize_t got = os_read(fd, chunk, CHUNK, name, err);
        if (got < 0) rc = (int)got;
        if (got <= 0) break;
        rc = flow_unpacked(o, context, bytes_of(chunk, (size_t)got), &left, room, err);
    }
    if (rc == 0 && left != 0) rc = damaged(o->hash, "its file is cut off", err);
    ZSTD_freeDCtx(context);
    mem_free(room);
    return rc;
}

/* The file of a blob, open for reading; name out. WEIR_NOTFOUND when there is none. */
static int open_blob(blob_store *s, hash128 hash, bool *is_zstd, char name[64], weir_error *err)
{
    for (int i = 0; i < 2; i++) {
        *is_zstd = i == 1;
        blob_name(hash, *is_zstd ? ".zst" : "", name);
        int fd = os_openat(s->dirfd, name, OS_READ | OS_NOFOLLOW, 0, err);
        if (fd != WEIR_NOTFOUND) return fd;
    }
    return missing(hash, err);
}

/* Feed a blob file to o->sink; verified at the end. */
static int flow_file(blob_store *s, outflow *o, char name[64], weir_error *err)
{
    bool is_zstd = false;
    int fd = open_blob(s, o->hash, &is_zstd, name, err);
    if (fd < 0) return fd;
    hash_begin(&o->seen);
    uint8_t *chunk = mem_alloc(CHUNK);
    int rc;
    if (!chunk) rc = error_nomem(err, "reading a payload");
    else if (is_zstd) rc = flow_zstd(o, fd, name, chunk, err);
    else rc = flow_plain(o, fd, name, chunk, err);
    if (rc == 0 && !hash_equal(hash_end(&o->seen), o->hash)) rc = damaged(o->hash, "the content of its file has another hash", err);
    mem_free(chunk);
    os_close(fd);
    return rc;
}

/* The same for who uses the content: a damaged file is put out of the way. */
static int use_file(blob_store *s, hash128 hash, blob_sink sink, void *ctx, weir_error *err)
{
    char name[64];
    char aside[72];
    outflow o = {.hash = hash, .sink = sink, .ctx = ctx};
    int rc = flow_file(s, &o, name, err);
    if (rc == WEIR_CORRUPT && !s->is_reader) {
        snprintf(aside, sizeof aside, "%s.bad", name);
        (void)os_renameat(s->dirfd, name, s->dirfd, aside, NULL);
    }
    return rc;
}

typedef struct buf_sink {
    buf *to;
    size_t start, limit;
} buf_sink;

static int to_buf(void *ctx, bytes piece, weir_error *err)
{
    buf_sink *sink = ctx;
    if (sink->to->size - sink->start + piece.size > sink->limit)
        return error_set(err, WEIR_LIMIT, "a payload is over the limit of %zu bytes", sink->limit);
    buf_append(sink->to, piece.data, piece.size);
    return sink->to->failed ? error_nomem(err, "reading a payload") : 0;
}

int blob_read(blob_store *s, db *d, hash128 hash, size_t limit, buf *to, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    buf_sink sink = {to, to->size, limit};
    int rc = read_row(d, hash, limit, to, err);
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = use_file(s, hash, to_buf, &sink, err);
    if (rc != 0) to->size = sink.start;
    return rc;
}

typedef struct fd_sink {
    int fd;
    const char *name;
} fd_sink;

static int to_fd(void *ctx, bytes piece, weir_error *err)
{
    fd_sink *sink = ctx;
    return os_write_all(sink->fd, piece.data, piece.size, sink->name, err);
}

int blob_write_to(blob_store *s, db *d, hash128 hash, int fd, const char *name, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    buf small;
    fd_sink sink = {fd, name};
    buf_init(&small);
    int rc = read_row(d, hash, ROW_MAX, &small, err);
    if (rc == 1) rc = os_write_all(fd, small.data, small.size, name, err);
    else if (rc == 0) rc = use_file(s, hash, to_fd, &sink, err);
    buf_deinit(&small);
    return rc;
}

static int sync_path(blob_store *s, const char *name, int flags, weir_error *err)
{
    int fd = os_openat(s->dirfd, name, flags, 0, err);
    if (fd < 0) return fd;
    int rc = os_fsync(fd, name, err);
    os_close(fd);
    return rc;
}

int blob_sync(blob_store *s, hash128 hash, weir_error *err)
{
    char name[64];
    char folder[16];
    bool plain = file_there(s, hash, "");
    if (!plain && !file_there(s, hash, ".zst")) return 0;
    blob_name(hash, plain ? "" : ".zst", name);
    snprintf(folder, sizeof folder, "%.8s", name);
    int rc = sync_path(s, name, OS_READ | OS_NOFOLLOW, err);
    if (rc == 0) rc = sync_path(s, folder, OS_READ | OS_FOLDER, err);
    if (rc == 0) rc = sync_path(s, "blobs", OS_READ | OS_FOLDER, err);
    return rc;
}

/* --- checking all ------------------------------------------------------------------------------------------------ */

typedef struct checker {
    blob_store *store;
    void (*bad)(void *ctx, hash128 hash, const char *why);
    void *ctx;
    uint64_t count;
} checker;

static void verdict(checker *c, hash128 hash, int rc, const weir_error *err)
{
    c->count++;
    if (rc < 0) c->bad(c->ctx, hash, err->message);
}

static int verify_rows(checker *c, db *d, weir_error *err)
{
    if (!d) return 0;
    db_stmt *s = db_get(d, SQL_BLOB_ROW_ALL, err);
    if (!s) return err->code;
    buf content;
    buf_init(&content);
    int rc;
    while ((rc = db_step(s, err)) == 1) {
        weir_error why = {0};
        hash128 hash = db_hash(s, 0);
        buf_clear(&content);
        verdict(c, hash, unpack_row(hash, db_int(s, 1), db_int(s, 2), db_bytes(s, 3), ROW_MAX, &content, &why), &why);
    }
    buf_deinit(&content);
    return rc;
}

/* "<30 hex>" or "<30 hex>.zst" in folder "ab" */
static bool parse_name(const char *folder, const char *name, hash128 *hash)
{
    char hex[HASH_HEX];
    size_t size = strspn(name, "0123456789abcdef");
    if (size != 30 || strlen(folder) != 2 || (name[size] && strcmp(name + size, ".zst") != 0)) return false;
    snprintf(hex, sizeof hex, "%.2s%.30s", folder, name);
    return hash_parse(hex, hash);
}

static int verify_folder(checker *c, const char *folder, weir_error *err)
{
    mem_arena arena;
    os_entry *entries = NULL;
    size_t count = 0;
    char path[280];
    arena_init(&arena);
    snprintf(path, sizeof path, "blobs/%.255s", folder);
    int rc = os_list(c->store->dirfd, path, &arena, &entries, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char name[64];
        weir_error why = {0};
        outflow o = {.hash = HASH_NONE};
        if (!parse_name(folder, entries[i].name, &o.hash)) continue; /* set aside before, or not ours */
        verdict(c, o.hash, flow_file(c->store, &o, name, &why), &why);
    }
    arena_deinit(&arena);
    return rc;
}

int blob_verify_all(blob_store *s, db *d, void (*bad)(void *ctx, hash128 hash, const char *why), void *ctx, uint64_t *count, weir_error *err)
{
    weir_error ignored;
    if (!err) err = &ignored;
    checker c = {s, bad, ctx, 0};
    mem_arena arena;
    os_entry *folders = NULL;
    size_t folder_count = 0;
    arena_init(&arena);
    int rc = verify_rows(&c, d, err);
    if (rc == 0) rc = os_list(s->dirfd, "blobs", &arena, &folders, &folder_count, err);
    for (size_t i = 0; rc == 0 && i < folder_count; i++)
        if (folders[i].type == OS_DIR) rc = verify_folder(&c, folders[i].name, err);
    arena_deinit(&arena);
    if (count) *count = c.count;
    return rc;
}
