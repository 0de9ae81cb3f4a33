/*
 * get.c - weir get: an output's last content, a node's value, or stored bytes.
 */
#include <fcntl.h>

#include "engine/door/commands.h"
#include "engine/door/query.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"
#include "engine/world/scan.h"
#include "engine/world/manifest.h"

enum { PREFIX_LEAST = 4, HEX = 32 };

/* --- hashes ------------------------------------------------------------------------------------------------------- */

static bool is_hex(const char *text)
{
    size_t size = strspn(text, "0123456789abcdef");
    return size >= PREFIX_LEAST && size <= HEX && text[size] == '\0';
}

static hash128 fill(const char *prefix, char digit)
{
    char text[HASH_HEX];
    hash128 hash = HASH_NONE;
    size_t size = strlen(prefix);
    memcpy(text, prefix, size);
    memset(text + size, digit, HEX - size);
    text[HEX] = '\0';
    (void)hash_parse(text, &hash);
    return hash;
}

typedef struct found {
    hash128 hash;
    size_t count; /* different ones */
} found;

static void add(found *f, hash128 hash)
{
    if (f->count && hash_equal(f->hash, hash)) return;
    f->hash = hash;
    f->count++;
}

static int find_rows(query *q, const char *prefix, found *f)
{
    int rc;
    db_stmt *s = query_get(q, SQL_DOOR_PAYLOAD_PREFIX);
    if (!s) return q->err.code;
    db_bind_hash(s, 1, fill(prefix, '0'));
    db_bind_hash(s, 2, fill(prefix, 'f'));
    while ((rc = query_step(q, s)) == 1) add(f, db_hash(s, 0));
    return rc;
}

/* blobs/ab/<30 digits>, perhaps with an ending. */
static int find_files(query *q, const char *prefix, found *f)
{
    os_entry *entries = NULL;
    size_t count = 0;
    char folder[16];
    snprintf(folder, sizeof folder, "blobs/%.2s", prefix);
    int rc = os_list(q->weirfd, folder, &q->arena, &entries, &count, &q->err);
    if (rc == WEIR_NOTFOUND) {
        error_clear(&q->err);
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char text[HASH_HEX];
        hash128 hash;
        if (strncmp(entries[i].name, prefix + 2, strlen(prefix + 2)) != 0 || strstr(entries[i].name, ".bad")) continue;
        snprintf(text, sizeof text, "%.2s%.30s", prefix, entries[i].name);
        if (hash_parse(text, &hash)) add(f, hash);
    }
    return rc;
}

static int get_hash(query *q, const char *prefix, buf *to)
{
    found f = {0};
    int rc = find_rows(q, prefix, &f);
    if (rc == 0) rc = find_files(q, prefix, &f);
    if (rc != 0) return rc;
    if (f.count == 0) return query_fail(q, WEIR_NOTFOUND, "nothing is stored under the hash %s", prefix);
    if (f.count > 1) return query_fail(q, WEIR_USAGE, "more than one stored hash begins with %s", prefix);
    return blob_read(q->blobs, q->d, f.hash, SIZE_MAX, to, &q->err);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* The file itself, if it still holds what was recorded. */
static int read_on_disk(query *q, const item_row *item, buf *to)
{
    os_stat st = {0};
    buf full;
    buf_init(&full);
    buf_printf(&full, "%s/%.*s", q->project.root, (int)item->name.size, (const char *)item->name.data);
    const char *name = buf_cstr(&full);
    size_t start = to->size;
    int rc = name ? os_statat(AT_FDCWD, name, true, &st, &q->err) : error_nomem(&q->err, "reading an output");
    if (rc == 0 && st.type != OS_FILE) rc = WEIR_NOTFOUND;
    if (rc == 0) rc = os_read_file(AT_FDCWD, name, SIZE_MAX, to, &q->err);
    if (rc == 0) {
        hash128 content = hash_bytes(to->data ? to->data + start : to->data, to->size - start);
        if (!hash_equal(scan_fingerprint(content, 0100000u | st.mode), item->hash)) rc = WEIR_NOTFOUND;
    }
    if (rc != 0) to->size = start;
    buf_deinit(&full);
    return rc;
}

static int get_output(query *q, const item_row *item, buf *to)
{
    char name[160];
    snprintf(name, sizeof name, "%.150s", (const char *)item->name.data);
    if (hash_is_none(item->hash) || hash_equal(item->hash, HASH_ABSENT))
        return query_fail(q, WEIR_NOTFOUND, "%s has not been made yet", name);
    int rc = query_blob(q, item->hash, to);
    if (rc != WEIR_NOTFOUND && rc != WEIR_CORRUPT) return rc;
    weir_error why = q->err;
    if (read_on_disk(q, item, to) == 0) {
        error_clear(&q->err);
        return 0;
    }
    q->err = why;
    error_context(&q->err, rc, "the content of %s is not kept", name);
    return rc;
}

static int get_value(query *q, const node_row *node, buf *to)
{
    buf encoded;
    char name[160];
    snprintf(name, sizeof name, "%.150s", (const char *)node->name.data);
    if (hash_is_none(node->value)) {
        snprintf(q->hint, sizeof q->hint, "`weir show` names its outputs; `weir get` takes their paths");
        return query_fail(q, WEIR_NOTFOUND, "%s has no value", name);
    }
    buf_init(&encoded);
    int rc = query_blob(q, node->value, &encoded);
    if (rc == 0) rc = value_check(buf_bytes(&encoded), &q->err);
    if (rc == 0) rc = value_to_json(buf_bytes(&encoded), 2, to, &q->err);
    if (rc == 0) buf_byte(to, '\n');
    else error_context(&q->err, rc, "the value of %s", name);
    buf_deinit(&encoded);
    return rc;
}

/* A file in an output that is a folder, as it was made last. 1: found. */
static int get_member(query *q, const char *name, buf *to)
{
    item_row folder;
    bytes below;
    buf text;
    manifest_entry *entries = NULL;
    size_t count = 0;
    bool outside;
    int rc = query_folder_over(q, name, &folder, &below);
    if (rc <= 0 || hash_is_none(folder.hash)) return rc < 0 ? rc : 0;
    buf_init(&text);
    bool is_gone = hash_equal(folder.hash, HASH_ABSENT);
    rc = is_gone ? 0 : query_blob(q, folder.hash, &text);
    if (rc == 0 && !is_gone) rc = manifest_read(buf_bytes(&text), &q->arena, &entries, &count, &q->err);
    const manifest_entry *e = rc == 0 ? manifest_follow(entries, count, below, &outside) : NULL;
    buf_deinit(&text);
    if (rc != 0) return error_context(&q->err, rc, "the list of %s", (const char *)folder.name.data);
    if (!e || e->type != OS_FILE) {
        snprintf(q->hint, sizeof q->hint, "`weir get %.200s` lists what is in it", (const char *)folder.name.data);
        return query_fail(q, WEIR_NOTFOUND, "there is no file %.200s in %.200s", (const char *)below.data, (const char *)folder.name.data);
    }
    rc = query_blob(q, e->content, to);
    return rc == 0 ? 1 : error_context(&q->err, rc, "the content of %.200s is not kept", name);
}

/* An output path, a node, a hash: in this order. */
static int get(query *q, const char *name, buf *to)
{
    uint64_t id = 0;
    item_row item;
    node_row node;
    int rc = query_output(q, name, &item);
    if (rc < 0) return rc;
    if (rc == 1) return get_output(q, &item, to);
    rc = get_member(q, name, to);
    if (rc != 0) return rc < 0 ? rc : 0;
    rc = query_node_id(q, name, &id);
    if (rc != 0) return rc;
    if (id == 0 && is_hex(name)) return get_hash(q, name, to);
    rc = query_find_node(q, name, &node);
    return rc == 0 ? get_value(q, &node, to) : rc;
}

/* --- where it goes ------------------------------------------------------------------------------------------------- */

static int write_file(query *q, const options *o, const buf *content)
{
    int folder = os_openat(AT_FDCWD, o->folder ? o->folder : ".", OS_READ | OS_FOLDER, 0, &q->err);
    if (folder < 0) return folder;
    int rc = os_write_file(folder, o->output, buf_bytes(content), 0666, &q->err);
    os_close(folder);
    return rc;
}

static void put_json(buf *to, const char *name, bytes content)
{
    hash128 hash = hash_bytes(content.data, content.size);
    jsonout_open(to, '{');
    jsonout_member(to, "name", bytes_str(name));
    jsonout_key(to, "hash");
    jsonout_hash(to, hash);
    jsonout_key(to, "size");
    jsonout_number(to, content.size);
    jsonout_member(to, "content", content);
    jsonout_close(to, '}');
    buf_byte(to, '\n');
}

int command_get(const options *o)
{
    query q;
    buf content;
    buf out;
    buf_init(&content);
    buf_init(&out);
    int rc = query_open(&q, o);
    if (rc == 0) rc = get(&q, o->words[0], &content);
    if (rc == 0 && content.failed) rc = error_nomem(&q.err, "reading stored bytes");
    if (rc == 0 && o->output) rc = write_file(&q, o, &content);
    else if (rc == 0 && o->json) put_json(&out, o->words[0], buf_bytes(&content));
    else if (rc == 0) print_out(&content);
    print_out(&out);
    buf_deinit(&content);
    buf_deinit(&out);
    return query_end(&q, rc, EXIT_DONE);
}
