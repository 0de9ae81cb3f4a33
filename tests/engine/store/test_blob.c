/* test_blob.c - payloads in both forms: what goes in comes out, and damage is found before it is used. */
#include "engine/store/blob.h"

#include <errno.h>

#include "engine/base/os.h"
#include "tests/check.h"

static weir_error err;
static blob_store *store;
static db *d;
static int dirfd_of_weir;

static uint8_t *content(size_t size, int kind)
{
    uint8_t *data = mem_alloc(size + 1);
    uint64_t x = 88172645463325252u + size;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = kind == 0 ? (uint8_t)x : (uint8_t)("weave the weir wide "[i % 20] + (int)(i / 5000 % 3));
    }
    return data;
}

static int take(uint8_t *data, size_t size, bool as_file, bool keep, hash128 *hash, blob_row *row)
{
    uint64_t got = 0;
    if (!as_file) return blob_take_bytes(store, bytes_of(data, size), hash, row, &err);
    int fd = open(check_path("in"), O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK_INT(size, write(fd, data, size));
    lseek(fd, 0, SEEK_SET);
    int rc = blob_take_file(store, fd, "in", keep, hash, &got, row, &err);
    close(fd);
    CHECK_INT(size, got);
    return rc;
}

static void check_out(hash128 hash, const uint8_t *data, size_t size)
{
    buf b = {0};
    buf_text(&b, "before");
    CHECK_OK(blob_read(store, d, hash, size, &b, &err), err);
    CHECK_BYTES(data, size, b.data + 6, b.size - 6);
    if (size > 0) {
        CHECK_CODE(WEIR_LIMIT, blob_read(store, d, hash, size - 1, &b, &err), err);
        CHECK_INT(size + 6, b.size);
    }
    buf_deinit(&b);
    int fd = open(check_path("out"), O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK_OK(blob_write_to(store, d, hash, fd, "out", &err), err);
    uint8_t *back = mem_alloc(size + 1);
    CHECK_INT(size, pread(fd, back, size + 1, 0));
    CHECK(size == 0 || memcmp(data, back, size) == 0);
    mem_free(back);
    close(fd);
}

static void round_trip(size_t size, int kind, bool as_file)
{
    uint8_t *data = content(size, kind);
    hash128 hash;
    hash128 expected = hash_bytes(data, size);
    blob_row row;
    bool has = true;
    CHECK_OK(take(data, size, as_file, false, &hash, &row), err);
    if (as_file) CHECK(row.stored == NULL);
    mem_free(row.stored);
    CHECK_OK(take(data, size, as_file, true, &hash, &row), err);
    CHECK_HASH(expected, hash);
    CHECK_INT(size, row.size);
    CHECK_INT(size <= BLOB_INLINE, row.stored != NULL);
    CHECK_OK(blob_has(store, d, hash, &has, &err), err);
    CHECK_INT(size > BLOB_INLINE, has);
    if (row.stored) {
        buf b = {0};
        CHECK_CODE(WEIR_NOTFOUND, blob_read(store, d, hash, size, &b, &err), err);
        CHECK_INT(kind == 1 && size >= 256, row.codec);
        CHECK_OK(blob_row_put(d, &row, &err), err);
        CHECK_OK(blob_row_put(d, &row, &err), err);
        CHECK_OK(blob_has(store, d, hash, &has, &err), err);
        CHECK(has);
        buf_deinit(&b);
    }
    CHECK_OK(blob_sync(store, hash, &err), err);
    char path[80];
    CHECK_INT(size > BLOB_INLINE && kind == 0, blob_file_path(store, hash, path));
    check_out(hash, data, size);
    mem_free(row.stored);
    mem_free(data);
}

static void on_bad(void *ctx, hash128 hash, const char *why)
{
    char hex[HASH_HEX];
    (void)why;
    snprintf(ctx, 64, "%s", hash_hex(hash, hex));
}

static const char *file_of(hash128 hash, const char *ending)
{
    char hex[HASH_HEX];
    char name[80];
    hash_hex(hash, hex);
    snprintf(name, sizeof name, ".weir/blobs/%.2s/%s%s", hex, hex + 2, ending);
    return check_path(name);
}

static void flip(const char *path, off_t at)
{
    char byte;
    int fd = open(path, O_RDWR);
    CHECK_INT(1, pread(fd, &byte, 1, at));
    byte ^= 1;
    CHECK_INT(1, pwrite(fd, &byte, 1, at));
    close(fd);
}

static void damaged_file(int kind, off_t at, bool cut, bool longer)
{
    size_t size = 400000;
    uint8_t *data = content(size, kind);
    hash128 hash;
    blob_row row;
    char bad[64] = "";
    char hex[HASH_HEX];
    uint64_t count = 0;
    buf b = {0};
    CHECK_OK(take(data, size, false, true, &hash, &row), err);
    const char *path = file_of(hash, kind ? ".zst" : "");
    CHECK_INT(0, chmod(path, 0644)); /* blobs are read-only */
    if (cut) CHECK_INT(0, truncate(path, at));
    else if (longer) CHECK_INT(0, truncate(path, 500000));
    else flip(path, at);
    CHECK_OK(blob_verify_all(store, d, on_bad, bad, &count, &err), err);
    CHECK_STR(hash_hex(hash, hex), bad);
    CHECK(count > 5);
    CHECK_CODE(WEIR_CORRUPT, blob_read(store, d, hash, 2 * size, &b, &err), err);
    CHECK_INT(0, b.size);
    CHECK_CODE(WEIR_NOTFOUND, blob_read(store, d, hash, size, &b, &err), err); /* out of the way: a miss */
    CHECK_OK(take(data, size, false, true, &hash, &row), err);                  /* stored again */
    check_out(hash, data, size);
    unlink(file_of(hash, kind ? ".zst" : ""));
    unlink(file_of(hash, kind ? ".zst.bad" : ".bad"));
    buf_deinit(&b);
    mem_free(data);
}

static void damaged_row(const char *sql)
{
    uint8_t *data = content(5000, 1);
    hash128 hash;
    blob_row row;
    char bad[64] = "";
    char hex[HASH_HEX];
    buf b = {0};
    CHECK_OK(take(data, 5000, false, true, &hash, &row), err);
    CHECK_OK(blob_row_put(d, &row, &err), err);
    db_stmt *s = db_prepare(d, sql, NULL, &err);
    db_bind_hash(s, 1, hash);
    CHECK_OK(db_run(s, &err), err);
    db_finalize(s);
    CHECK_CODE(WEIR_CORRUPT, blob_read(store, d, hash, 5000, &b, &err), err);
    CHECK_OK(blob_verify_all(store, d, on_bad, bad, NULL, &err), err);
    CHECK_STR(hash_hex(hash, hex), bad);
    CHECK_OK(blob_row_put(d, &row, &err), err); /* the next put heals it */
    check_out(hash, data, 5000);
    buf_deinit(&b);
    mem_free(row.stored);
    mem_free(data);
}

static int keep_chunk(void *ctx, hash128 hash, bytes chunk)
{
    blob_row row;
    (void)ctx;
    int rc = blob_row_make(chunk, hash, &row, &err);
    if (rc == 0) rc = blob_row_put(d, &row, &err);
    mem_free(row.stored);
    return rc;
}

static void lists(void)
{
    static const size_t counts[] = {0, 1, 2, 255, 256, 257, 512, 65536, 65537, 70000};
    hash128 *members = mem_alloc(70000 * sizeof *members);
    hash128 roots[10];
    for (uint64_t i = 0; i < 70000; i++) members[i] = hash_bytes(&i, sizeof i);
    CHECK_OK(db_begin(d, &err), err);
    for (size_t i = 0; i < 10; i++) {
        hash128 *back = NULL;
        hash128 again;
        size_t count = 0;
        CHECK_OK(blob_list_root(members, counts[i], &roots[i], keep_chunk, NULL, &err), err);
        CHECK_OK(blob_list_root(members, counts[i], &again, NULL, NULL, &err), err);
        CHECK_HASH(roots[i], again);
        CHECK_OK(blob_list_members(store, d, roots[i], &back, &count, &err), err);
        CHECK_INT(counts[i], count);
        CHECK(count == 0 || memcmp(members, back, count * sizeof *back) == 0);
        for (size_t j = 0; j < i; j++) CHECK(!hash_equal(roots[i], roots[j]));
        mem_free(back);
    }
    hash128 *none;
    size_t count;
    CHECK_CODE(WEIR_NOTFOUND, blob_list_members(store, d, members[0], &none, &count, &err), err);
    blob_row row;
    hash128 hash;
    CHECK_OK(blob_take_bytes(store, bytes_str("weirlist but not really"), &hash, &row, &err), err);
    CHECK_OK(blob_row_put(d, &row, &err), err);
    mem_free(row.stored);
    CHECK_CODE(WEIR_CORRUPT, blob_list_members(store, d, hash, &none, &count, &err), err);
    CHECK_OK(db_commit(d, false, &err), err);
    mem_free(members);
}

/* Whatever step fails: an error, no half blob, and the next time it works. */
static void faults(void)
{
    uint8_t *data = content(300000, 0);
    for (int op = 0; op < OS_OP_COUNT; op++)
        for (int n = 1; n < 12; n++) {
            hash128 hash;
            blob_row row;
            bool has = false;
            data[0]++;
            os_fault_set((os_op)op, n, ENOSPC, false);
            int rc = blob_take_bytes(store, bytes_of(data, 300000), &hash, &row, &err);
            os_fault_set((os_op)op, 0, 0, false);
            if (rc != 0) CHECK_CODE(WEIR_IO, rc, err);
            if (rc != 0) CHECK_OK(blob_take_bytes(store, bytes_of(data, 300000), &hash, &row, &err), err);
            CHECK_OK(blob_has(store, d, hash, &has, &err), err);
            CHECK(has);
        }
    for (int n = 1; n < 8; n++) {
        hash128 hash;
        blob_row row;
        mem_fail_at(n, false);
        int rc = blob_take_bytes(store, bytes_of(data, 3000), &hash, &row, &err);
        mem_fail_at(0, false);
        mem_free(row.stored);
        if (rc != 0) CHECK_CODE(WEIR_NOMEM, rc, err);
    }
    mem_free(data);
}

int main(void)
{
    static const size_t sizes[] = {0, 1, 255, 256, 1000, 16384, 16385, 262143, 262144, 262145, 3000000};
    CHECK_INT(0, mkdir(check_path(".weir"), 0755));
    dirfd_of_weir = open(check_path(".weir"), O_RDONLY | O_DIRECTORY);
    CHECK_OR_STOP(db_open(&d, check_path(".weir/weir.db"), DB_WRITE, NULL, &err) == 0);
    CHECK_OR_STOP(blob_store_open(&store, dirfd_of_weir, &err) == 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < 2; kind++) round_trip(sizes[i] + (size_t)kind * 3, kind, false);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < 2; kind++) round_trip(sizes[i] + 7 + (size_t)kind, kind, true);
    round_trip(BLOB_INLINE - 1, 1, true);
    struct stat st;
    hash128 hash;
    blob_row row;
    uint8_t *data = content(20000, 0);
    CHECK_OK(take(data, 20000, false, true, &hash, &row), err);
    CHECK_INT(0, stat(file_of(hash, ""), &st));
    CHECK_INT(0444, st.st_mode & 07777);
    mem_free(data);
    for (int kind = 0; kind < 2; kind++) {
        damaged_file(kind, 100, false, false);
        damaged_file(kind, 0, false, false);
        damaged_file(kind, 100, true, false);
        damaged_file(kind, 0, true, false);
        damaged_file(kind, 0, false, true);
    }
    damaged_row("UPDATE payload SET data = x'00' WHERE hash = ?");
    damaged_row("UPDATE payload SET size = size - 1 WHERE hash = ?");
    damaged_row("UPDATE payload SET size = 1000000000 WHERE hash = ?");
    damaged_row("UPDATE payload SET codec = 0 WHERE hash = ?");
    damaged_row("UPDATE payload SET codec = 7 WHERE hash = ?");
    lists();
    faults();
    blob_store_close(store);
    db_close(d);
    close(dirfd_of_weir);
    return check_done();
}
