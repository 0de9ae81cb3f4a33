/*
 * observe_key.c - what a key of a document holds.
 *
 * The document is a file item like any other, source or output: its signature is watched, its users are looked at when it moves, and then
 * their reads of the key say whether anything changed for them. A document is read and parsed once for each content, for all its keys; a
 * run in which none of them moved parses nothing. Parsing happens in place (1.2 MB of TOML: 24 ms).
 *
 *     note of a document: content hash, 0, encoding | content hash, 1, what is wrong with it
 *
 * K1  What is parsed has the hash that the engine believes in: a document that moves meanwhile is looked at again first.
 *
 * Loop thread only.
 */
#include <sys/stat.h>

#include "engine/run/observe_internal.h"
#include "engine/store/document.h"

enum { ATTEMPTS = 3, DOCUMENT_LIMIT = VALUE_LIMIT };

static bool is_forbidden(const weir *w, const os_stat *st)
{
    for (size_t i = 0; i < w->forbidden.count; i++)
        if (w->forbidden.file[i].ino == st->ino && w->forbidden.file[i].dev == st->dev) return true;
    return false;
}

/* What lies at the path, if it is what `item` says. */
static int read_believed(weir *w, const cat_item *item, buf *text, bool *same, weir_error *err)
{
    os_stat st;
    const char *path = (const char *)item->name.data;
    *same = false;
    buf_clear(text);
    int rc = os_statat(w->rootfd, path, true, &st, err);
    if (rc != 0 || st.type != OS_FILE || is_forbidden(w, &st)) return rc;
    rc = os_read_file(w->rootfd, path, DOCUMENT_LIMIT, text, err);
    if (rc == WEIR_NOTFOUND) return 0;
    if (rc == 0) *same = hash_equal(scan_fingerprint(hash_bytes(text->data, text->size), S_IFREG | st.mode), item->hash);
    return rc;
}

static int fetch(weir *w, cat_item *item, buf *text, weir_error *err)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool same = false;
        int rc = read_believed(w, item, text, &same, err);
        if (rc != 0 || same) return rc;
        if (item->node != 0) break;
        rc = observe_one(w, item, err);
        if (rc != 0 || hash_equal(item->hash, HASH_ABSENT)) return rc;
    }
    buf_clear(text);
    if (item->node == 0) return error_set(err, WEIR_WORKFLOW, "%s was written again and again while it was read", (const char *)item->name.data);
    int rc = blob_read(w->blobs, catalog_db(w->catalog), item->hash, DOCUMENT_LIMIT, text, err); /* not restored yet, or a dry run */
    return rc == 0 ? 0 : error_set(err, WEIR_WORKFLOW, "%s is not what its maker wrote, and is not in the store", (const char *)item->name.data);
}

static int read_note(bytes note, hash128 hash, bytes *encoded, bool *fresh, weir_error *err)
{
    unpack u = unpack_of(note);
    *fresh = false;
    if (note.size == 0 || !hash_equal(unpack_hash(&u), hash)) return 0;
    bool is_broken = unpack_u64(&u) != 0;
    *encoded = bytes_of(u.at, (size_t)(u.end - u.at));
    *fresh = true;
    return is_broken ? error_set(err, WEIR_WORKFLOW, "%.*s", (int)encoded->size, (const char *)encoded->data) : 0;
}

/* Parses what lies there; *note then holds what is to be known about it. */
static int make_note(weir *w, cat_item *item, bytes *note, weir_error *err)
{
    buf text, body;
    weir_error why = {0};
    buf_init(&text);
    buf_init(&body);
    int rc = fetch(w, item, &text, err);
    if (rc == 0 && !hash_equal(item->hash, HASH_ABSENT)) {
        buf_put_hash(&body, item->hash);
        buf_put_u64(&body, 0);
        int broken = document_parse(item->name, buf_bytes(&text), &body, &why);
        if (broken == WEIR_NOMEM) rc = error_nomem(err, "reading a document");
        else if (broken != 0) {
            buf_clear(&body);
            buf_put_hash(&body, item->hash);
            buf_put_u64(&body, 1);
            buf_text(&body, why.message);
        }
        *note = body.failed ? (bytes){NULL, 0} : arena_bytes(catalog_arena(w->catalog), buf_bytes(&body));
        if (rc == 0 && !note->data) rc = error_nomem(err, "reading a document");
    }
    buf_deinit(&text);
    buf_deinit(&body);
    return rc;
}

/* The encoding of a document; size 0: there is none. */
static int document_now(weir *w, cat_item *item, bytes *encoded, weir_error *err)
{
    const char *name = arena_printf(catalog_arena(w->catalog), "\x01" "document %llu", (unsigned long long)item->id);
    bytes *note = name ? catalog_note(w->catalog, bytes_str(name)) : NULL;
    bool fresh = false;
    *encoded = (bytes){NULL, 0};
    if (!note) return error_nomem(err, "reading a document");
    if (item->node == 0 && !observe_known(w, item)) {
        int rc = observe_one(w, item, err);
        if (rc != 0) return rc;
    }
    if (hash_equal(item->hash, HASH_ABSENT) || hash_is_none(item->hash)) return 0;
    int rc = read_note(*note, item->hash, encoded, &fresh, err);
    if (rc != 0 || fresh) return rc;
    rc = make_note(w, item, note, err);
    if (rc != 0 || hash_equal(item->hash, HASH_ABSENT)) return rc;
    return read_note(*note, item->hash, encoded, &fresh, err);
}

int observe_key(weir *w, const spec_member *m, bytes *encoded, hash128 *hash, weir_error *err)
{
    weir_error local = {0};
    bytes whole, key, fallback;
    if (!err) err = &local;
    cat_item *item = catalog_item(w->catalog, m->id, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    document_get_port(m->port, &key, &fallback);
    int rc = document_now(w, item, &whole, err);
    if (rc != 0) return rc;
    if (whole.size == 0 || !document_find(whole, key, encoded)) *encoded = fallback;
    *hash = encoded->size ? hash_bytes(encoded->data, encoded->size) : HASH_ABSENT;
    return 0;
}

bytes observe_key_name(mem_arena *arena, const cat_item *item, const spec_member *m)
{
    bytes key, fallback;
    document_get_port(m->port, &key, &fallback);
    return bytes_str(arena_printf(arena, "%s:%.*s", (const char *)item->name.data, (int)key.size, (const char *)key.data));
}

int observe_documents(task *t, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < spec->input_count; i++)
        for (size_t k = 0; rc == 0 && spec_input_has(&spec->inputs[i], MEMBER_ITEM) && k < spec->inputs[i].count; k++) {
            bytes encoded;
            hash128 hash;
            if (document_is_key(&spec->inputs[i].members[k])) rc = observe_key(t->w, &spec->inputs[i].members[k], &encoded, &hash, err);
        }
    return rc;
}
