/*
 * job_read.c - what an effect reads: declared members, and files by path. The record of it is in job_record.c.
 *
 * Files are fingerprinted as in world/scan.h, from the bytes that the effect gets: the content and the mode of one open file.
 * A file of weir's own state is never opened, by whatever name (P10).
 *
 * Worker processes only, one thread. Contents live in the job's arena.
 */
#include <errno.h>

#include "engine/effect/job_internal.h"
#include "engine/store/read.h"
#include "engine/store/value.h"
#include "engine/world/manifest.h"
#include "engine/world/scan.h"

typedef struct job_place {
    size_t port, member;
    int sub;
} job_place;

static const char *text_of(bytes name)
{
    return name.data ? (const char *)name.data : ""; /* a NUL is behind it: job_wire.c */
}

/* --- members ------------------------------------------------------------------------------------------------------ */

const job_member *job_member_at(job *j, size_t port, size_t member)
{
    const job_input *input = job_input_at(j, port);
    if (!input) {
        (void)error_set(&j->error, WEIR_USAGE, "there is no input number %zu", port);
        return NULL;
    }
    if (member < input->count) return input->members ? &input->members[member] : job_list_member(j, port, member);
    (void)error_set(&j->error, WEIR_USAGE, "input \"%s\" has %zu members, number %zu was asked for", text_of(input->port),
                    input->count, member);
    return NULL;
}

bool job_member_is_file(const job_member *m)
{
    return m->kind == MEMBER_OUTPUT || (m->kind == MEMBER_ITEM && m->item_type == ITEM_FILE && !m->is_key) ||
           (m->kind == MEMBER_NODE && m->file_count > 0);
}

bool job_member_is_tree(const job_member *m)
{
    return m->kind == MEMBER_ITEM && m->item_type >= ITEM_FOLDER && m->item_type <= ITEM_LINK;
}

static const char *port_name(const job *j, size_t port)
{
    return text_of(job_input_at(j, port)->port);
}

const job_file *job_member_file(job *j, size_t port, const job_member *m, int sub)
{
    if (sub < 0 && m->file_count == 1) return &m->files[0];
    if (sub >= 0 && (size_t)sub < m->file_count) return &m->files[sub];
    if (m->file_count == 0)
        (void)error_set(&j->error, WEIR_USAGE, "input \"%s\" (%s) is no file: use its value", port_name(j, port),
                        text_of(m->name));
    else if (sub < 0)
        (void)error_set(&j->error, WEIR_USAGE, "input \"%s\" (%s) has %zu outputs: say which one, as in node.%s",
                        port_name(j, port), text_of(m->name), m->file_count, text_of(m->files[0].port));
    else
        (void)error_set(&j->error, WEIR_USAGE, "input \"%s\" (%s) has %zu outputs, number %d was asked for",
                        port_name(j, port), text_of(m->name), m->file_count, sub);
    return NULL;
}

int job_find_input(const job *j, bytes port)
{
    for (size_t i = 0; i < j->order->input_count; i++)
        if (bytes_equal(j->order->inputs[i].port, port)) return (int)i;
    for (size_t i = 0; i < j->needed_count; i++)
        if (bytes_equal(j->needed[i].port, port)) return (int)(j->order->input_count + i);
    return -1;
}

int job_find_output(const job *j, bytes port)
{
    for (size_t i = 0; i < j->order->output_count; i++)
        if (bytes_equal(j->order->outputs[i].port, port)) return (int)i;
    return -1;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

typedef struct loaded_file {
    os_type type; /* OS_ABSENT, OS_FILE, OS_DIR */
    bytes content;
    hash128 fingerprint;
} loaded_file;

int job_open_input(job *j, const char *path, int *fd, os_stat *st)
{
    *fd = -1;
    /* Looked at before it is opened: a FIFO in the place of a file must not stop us. */
    int rc = os_statat(j->rootfd, path, true, st, &j->error);
    if (rc != 0 || st->type == OS_ABSENT || st->type == OS_DIR) return rc;
    if (st->type != OS_FILE) return error_set(&j->error, WEIR_IO, "cannot read %s: it is no regular file", path);
    int got = os_openat(j->rootfd, path, OS_READ, 0, &j->error);
    if (got == WEIR_NOTFOUND) {
        *st = (os_stat){.type = OS_ABSENT};
        return 0;
    }
    if (got < 0) return got;
    *fd = got;
    return os_fstat(got, st, &j->error);
}

/* Read to the end; `expected` is only a guess. A NUL is put behind the content. */
static int read_content(job *j, int fd, const char *path, uint64_t expected, bytes *content)
{
    size_t room = (size_t)expected + 1, size = 0;
    uint8_t *at = arena_alloc(&j->arena, room + 1);
    for (;;) {
        if (!at) return job_failed(j, error_nomem(&j->error, "reading a file"));
        ssize_t got = os_read(fd, at + size, room - size, path, &j->error);
        if (got < 0) return (int)got;
        size += (size_t)got;
        if (got == 0) break;
        if (size < room) continue;
        uint8_t *larger = arena_alloc(&j->arena, room * 2 + 1); /* it grew meanwhile, or tells no size */
        if (larger) memcpy(larger, at, size);
        at = larger;
        room *= 2;
    }
    at[size] = '\0';
    *content = bytes_of(at, size);
    return 0;
}

static int load_file(job *j, const char *path, loaded_file *out)
{
    os_stat st;
    int fd;
    *out = (loaded_file){.type = OS_ABSENT, .fingerprint = HASH_ABSENT};
    int rc = job_open_input(j, path, &fd, &st);
    out->type = st.type;
    if (rc == 0 && st.type == OS_DIR) out->fingerprint = hash_bytes("weir dir", 8);
    if (rc == 0 && fd >= 0) rc = read_content(j, fd, path, (uint64_t)st.size, &out->content);
    if (rc == 0 && fd >= 0)
        out->fingerprint = scan_fingerprint(hash_bytes(out->content.data, out->content.size), st.mode);
    os_close(fd);
    return rc;
}

static int is_folder(job *j, const char *path)
{
    return error_set(&j->error, WEIR_IO, "cannot read %s: it is a folder", path);
}

int job_input_absent(job *j, size_t port, const char *path)
{
    return error_set(&j->error, WEIR_NOTFOUND, "input \"%s\": there is no file %s", port_name(j, port), path);
}

static job_seen *record_file(job *j, size_t port, size_t member, int sub, const job_file *file, hash128 fingerprint)
{
    return job_record(j, job_ref(ASPECT_CONTENT, port, member, sub), file->item, false, fingerprint, file->hash);
}

int job_record_file(job *j, size_t port, size_t member, int sub, const job_file *file, hash128 fingerprint)
{
    return record_file(j, port, member, sub, file, fingerprint) ? 0 : j->error.code;
}

/* Content of a declared file; absent: 0 with data NULL. */
static int read_declared(job *j, size_t port, size_t member, int sub, const job_file *file, bytes *content)
{
    loaded_file loaded;
    if (job_is_needed(j, port) && job_input_at(j, port)->members[member].kind == MEMBER_ITEM) return job_read_file(j, file->path, content);
    read_ref ref = job_ref(ASPECT_CONTENT, port, member, sub);
    job_seen *seen = job_find_read(j, ref);
    if (!seen || !seen->has_content) {
        int rc = load_file(j, text_of(file->path), &loaded);
        if (rc != 0) return job_failed(j, rc);
        seen = record_file(j, port, member, sub, file, loaded.fingerprint);
        if (!seen) return j->error.code;
        if (loaded.type == OS_DIR) return is_folder(j, text_of(file->path));
        seen->content = loaded.content;
        seen->has_content = true;
    }
    *content = seen->content;
    return 0;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* The encoding behind a member: from the order, or from the file that holds it, which is verified. */
static int fetch_value(job *j, const job_member *m, job_seen *seen)
{
    if (m->value.size || !m->has_value) seen->value = m->value;
    if (m->value.size || !m->has_value || seen->value.data) return 0;

    const char *path = text_of(m->value_path);
    os_stat st;
    int fd = -1;
    if (!*path) return error_set(&j->error, WEIR_BUG, "the value of %s did not come with the job", text_of(m->name));
    int rc = job_open_input(j, path, &fd, &st);
    if (rc == 0 && fd < 0) rc = error_set(&j->error, WEIR_NOTFOUND, "the value of %s is gone (%s)", text_of(m->name), path);
    if (rc == 0) rc = read_content(j, fd, path, (uint64_t)st.size, &seen->value);
    os_close(fd);
    if (rc == 0 && !hash_equal(hash_bytes(seen->value.data, seen->value.size), m->value_hash))
        rc = error_set(&j->error, WEIR_CORRUPT, "the value of %s is damaged (%s)", text_of(m->name), path);
    return rc;
}

static bool is_plain_item(const job_member *m)
{
    return m->kind == MEMBER_ITEM && (m->item_type != ITEM_FILE || m->is_key);
}

/* Variables, values, tools: content and value are one read, with the hash that the engine has for the item. The content of a document is
 * something else than one of its keys, which is a value. */
static job_seen *record_item(job *j, size_t port, size_t member, const job_member *m)
{
    hash128 hash = m->has_value || !hash_is_none(m->value_hash) ? m->value_hash : HASH_ABSENT;
    read_ref ref = job_ref(m->is_key ? ASPECT_VALUE : ASPECT_CONTENT, port, member, -1);
    return job_record(j, ref, m->id, false, hash, HASH_NONE);
}

static int no_value(job *j, size_t port, const job_member *m)
{
    const char *what = m->kind == MEMBER_NODE ? "this node has no value"
                       : m->kind == MEMBER_OUTPUT ? "this is one output: give the node itself for its value"
                                                  : "this is a file: read it";
    return error_set(&j->error, WEIR_USAGE, "input \"%s\" (%s): %s", port_name(j, port), text_of(m->name), what);
}

int job_read_value(job *j, size_t port, size_t member, bytes *encoded)
{
    const job_member *m = job_member_at(j, port, member);
    if (!m) return j->error.code;
    if (!is_plain_item(m) && (m->kind != MEMBER_NODE || !m->has_value)) return no_value(j, port, m);
    job_seen *seen = is_plain_item(m) ? record_item(j, port, member, m)
                                      : job_record(j, job_ref(ASPECT_VALUE, port, member, -1), m->id, true, m->value_hash, HASH_NONE);
    if (!seen) return j->error.code;
    int rc = fetch_value(j, m, seen);
    if (rc != 0) return job_failed(j, rc);
    *encoded = m->has_value ? seen->value : (bytes){NULL, 0};
    return 0;
}

int job_encoded_text(job *j, bytes encoded, bytes *text)
{
    value_reader reader = value_read(encoded);
    value_item item;
    buf json;
    if (!value_next(&reader, &item)) return error_set(&j->error, WEIR_CORRUPT, "an input's value is damaged");
    buf_init(&json);
    bool is_text = item.type == VALUE_STRING || item.type == VALUE_BYTES;
    int rc = is_text ? 0 : value_to_json(encoded, 0, &json, &j->error);
    if (rc == 0) *text = arena_bytes(&j->arena, is_text ? item.text : buf_bytes(&json));
    if (rc == 0 && !text->data) rc = job_failed(j, error_nomem(&j->error, "reading an input"));
    buf_deinit(&json);
    return rc;
}

static int read_plain_item(job *j, size_t port, size_t member, const job_member *m, bytes *content)
{
    bytes encoded;
    int rc = job_read_value(j, port, member, &encoded);
    if (rc != 0) return rc;
    job_seen *seen = record_item(j, port, member, m);
    if (!seen) return j->error.code;
    if (!seen->has_content && encoded.data) rc = job_encoded_text(j, encoded, &seen->content);
    if (rc == 0) seen->has_content = true;
    *content = seen->content;
    return rc;
}

static int read_made(job *j, size_t port, size_t member, int sub, const job_file *file, bytes *content);

int job_read_content(job *j, size_t port, size_t member, int sub, bytes *content)
{
    const job_member *m = job_member_at(j, port, member);
    if (!m) return j->error.code;
    if (is_plain_item(m)) return read_plain_item(j, port, member, m, content);
    const job_file *file = job_member_file(j, port, m, sub);
    if (!file) return j->error.code;
    if (manifest_is_folder(file->path)) return read_made(j, port, member, sub, file, content);
    int rc = read_declared(j, port, member, sub, file, content);
    return rc == 0 && !content->data ? job_input_absent(j, port, text_of(file->path)) : rc;
}

bool job_known_content(const job *j, size_t port, size_t member, bytes *content)
{
    read_ref ref = job_ref(ASPECT_CONTENT, port, member, -1);
    const job_seen *seen = job_find_read(j, ref);
    if (!seen || !seen->has_content || !seen->content.data) return false;
    *content = seen->content;
    return true;
}

int job_read_text(job *j, size_t port, size_t member, bytes *text)
{
    bytes encoded;
    const job_member *m = job_member_at(j, port, member);
    if (!m) return j->error.code;
    if (is_plain_item(m) || job_member_is_file(m)) return job_read_content(j, port, member, -1, text);
    int rc = job_read_value(j, port, member, &encoded);
    return rc == 0 ? job_encoded_text(j, encoded, text) : rc;
}

/* --- params, paths, names ------------------------------------------------------------------------------------------- */

int job_read_params(job *j, size_t port, size_t member, bytes *encoded)
{
    const job_member *m = job_member_at(j, port, member);
    if (!m) return j->error.code;
    if (m->kind == MEMBER_ITEM)
        return error_set(&j->error, WEIR_USAGE, "input \"%s\" (%s) is no node: it has no params", port_name(j, port),
                         text_of(m->name));
    *encoded = m->params.size ? m->params : VALUE_EMPTY_OBJECT;
    read_ref ref = job_ref(ASPECT_PARAMS, port, member, -1);
    return job_record(j, ref, m->id, true, read_params_hash(*encoded), HASH_NONE) ? 0 : j->error.code;
}

int job_read_path(job *j, size_t port, size_t member, int sub, bytes *path)
{
    const job_member *m = job_member_at(j, port, member);
    if (!m) return j->error.code;
    /* The path of a program is what its item holds. */
    if (is_plain_item(m) && m->item_type == ITEM_TOOL) return read_plain_item(j, port, member, m, path);
    if (job_member_is_tree(m)) {
        *path = m->name;
        return job_record(j, job_ref(ASPECT_PATH, port, member, -1), m->id, false, read_path_hash(*path), HASH_NONE) ? 0 : j->error.code;
    }
    const job_file *file = job_member_file(j, port, m, sub);
    if (!file) return j->error.code;
    *path = file->path;
    read_ref ref = job_ref(ASPECT_PATH, port, member, sub);
    return job_record(j, ref, file->item, false, read_path_hash(*path), HASH_NONE) ? 0 : j->error.code;
}

bytes job_member_name(const job_member *m)
{
    bool is_path = m->kind != MEMBER_NODE && job_member_is_file(m) && m->file_count > 0;
    return is_path ? m->files[0].path : m->name;
}

static int hash_names(job *j, size_t port, const job_input *input, hash128 *hash)
{
    *hash = input->names;
    if (!input->members && !hash_is_none(input->names)) return 0;
    const job_member *m = NULL;
    bytes *list = mem_zero(input->count + 1, sizeof *list);
    if (!list) return job_failed(j, error_nomem(&j->error, "listing names"));
    for (size_t i = 0; i < input->count && (m = job_member_at(j, port, i)) != NULL; i++) list[i] = job_member_name(m);
    if (m || input->count == 0) *hash = read_names_hash(list, input->count);
    mem_free(list);
    return m || input->count == 0 ? 0 : j->error.code;
}

/* A loop over a list asks at every step how long it is. */
int job_read_names(job *j, size_t port, size_t *count)
{
    hash128 hash;
    const job_input *input = job_input_at(j, port);
    if (!input) return error_set(&j->error, WEIR_USAGE, "there is no input number %zu", port);
    *count = input->count;
    read_ref ref = {.aspect = ASPECT_NAMES, .port = (int32_t)port, .member = -1, .sub = -1};
    if (job_find_read(j, ref)) return 0;
    int rc = hash_names(j, port, input, &hash);
    return rc != 0 || job_record(j, ref, 0, false, hash, HASH_NONE) ? rc : j->error.code;
}

int job_read_outpath(job *j, size_t output, bytes *path)
{
    if (output >= j->order->output_count) return error_set(&j->error, WEIR_USAGE, "there is no output number %zu", output);
    *path = j->order->outputs[output].path;
    read_ref ref = {.aspect = ASPECT_OUTPATH, .port = (int32_t)output, .member = -1, .sub = -1};
    return job_record(j, ref, 0, false, read_path_hash(*path), HASH_NONE) ? 0 : j->error.code;
}

static int check_found(job *j, bytes path);

/* --- folders -------------------------------------------------------------------------------------------------------- */

const job_file *job_member_folder(const job_member *m, int sub)
{
    if (m->kind == MEMBER_ITEM || (sub < 0 && m->file_count != 1) || (sub >= 0 && (size_t)sub >= m->file_count)) return NULL;
    const job_file *file = &m->files[sub < 0 ? 0 : sub];
    return manifest_is_folder(file->path) ? file : NULL;
}

/* A member that is a folder or tree; *made: the output, if it is one. */
static const job_member *folder_at(job *j, size_t port, size_t member, int sub, const job_file **made)
{
    const job_member *m = job_member_at(j, port, member);
    *made = m ? job_member_folder(m, sub) : NULL;
    if (!m || *made || (m->kind == MEMBER_ITEM && (m->item_type == ITEM_FOLDER || m->item_type == ITEM_TREE))) return m;
    (void)error_set(&j->error, WEIR_USAGE, "input \"%s\" (%s) is no folder", port_name(j, port), text_of(m->name));
    return NULL;
}

/* The whole of an output that is a folder: its list. What the effect then does with the path is covered. */
static int read_made(job *j, size_t port, size_t member, int sub, const job_file *file, bytes *content)
{
    const scan_config config = {.rootfd = j->rootfd};
    manifest_entry *entries = NULL;
    size_t count = 0;
    buf text;
    job_seen *seen = job_find_read(j, job_ref(ASPECT_CONTENT, port, member, sub));
    if (seen && seen->has_content) {
        *content = seen->content;
        return 0;
    }
    int rc = manifest_walk(&config, text_of(file->path), &j->arena, &entries, &count, &j->error);
    if (rc != 0) return job_failed(j, rc);
    buf_init(&text);
    manifest_put(entries, count, &text);
    *content = arena_bytes(&j->arena, buf_bytes(&text));
    buf_deinit(&text);
    if (!content->data) return job_failed(j, error_nomem(&j->error, "reading a folder"));
    seen = job_record(j, job_ref(ASPECT_CONTENT, port, member, sub), file->item, false, hash_bytes(content->data, content->size), file->hash);
    if (!seen) return j->error.code;
    seen->content = *content;
    seen->has_content = true;
    return 0;
}

/* The names in an output that is a folder, as they are on disk; the engine knows what they should be. */
static int list_made(job *j, size_t port, size_t member, int sub, const job_file *file, bytes *encoded)
{
    buf names;
    job_seen *seen = job_find_read(j, job_ref(ASPECT_NAMES, port, member, sub));
    if (seen && seen->has_content) {
        *encoded = seen->content;
        return 0;
    }
    buf_init(&names);
    int rc = manifest_names(j->rootfd, text_of(file->path), &names, &j->error);
    if (rc == 0) *encoded = arena_bytes(&j->arena, buf_bytes(&names));
    if (rc == 0 && !encoded->data) rc = error_nomem(&j->error, "listing a folder");
    buf_deinit(&names);
    if (rc != 0) return job_failed(j, rc);
    seen = job_record(j, job_ref(ASPECT_NAMES, port, member, sub), file->item, false, hash_bytes(encoded->data, encoded->size), HASH_NONE);
    if (!seen) return j->error.code;
    seen->content = *encoded;
    seen->has_content = true;
    return 0;
}

int job_read_files(job *j, size_t port, size_t member, int sub, bytes *encoded)
{
    const job_file *made;
    const job_member *m = folder_at(j, port, member, sub, &made);
    if (!m) return j->error.code;
    if (made) return list_made(j, port, member, sub, made, encoded);
    hash128 hash = m->has_value ? hash_bytes(m->value.data, m->value.size) : HASH_ABSENT;
    *encoded = m->has_value ? m->value : (bytes){NULL, 0};
    return job_record(j, job_ref(ASPECT_NAMES, port, member, -1), m->id, false, hash, HASH_NONE) ? 0 : j->error.code;
}

/* In a folder of a node that was needed: that read covers all of it. */
static int read_covered(job *j, bytes path, bytes *content)
{
    loaded_file loaded;
    bytes kept = arena_bytes(&j->arena, path);
    int rc = kept.data ? check_found(j, kept) : error_nomem(&j->error, "reading a file");
    if (rc == 0) rc = load_file(j, text_of(kept), &loaded);
    if (rc == 0 && loaded.type == OS_DIR) rc = is_folder(j, text_of(kept));
    if (rc == 0) *content = loaded.content;
    return rc == 0 ? 0 : job_failed(j, rc);
}

/* A file in an output that is a folder stands in the trace by its whole path, and the key does not say where the folder is: this read does.
 * Otherwise a folder that has moved would be asked for what lies, or does not, where that file was before. */
static int read_where(job *j, size_t port, size_t member, int sub, const job_file *made)
{
    return job_record(j, job_ref(ASPECT_PATH, port, member, sub), made->item, false, read_path_hash(made->path), HASH_NONE) ? 0 : j->error.code;
}

int job_read_below(job *j, size_t port, size_t member, int sub, bytes path, bytes *content)
{
    buf whole;
    const job_file *made;
    const job_member *m = folder_at(j, port, member, sub, &made);
    if (!m) return j->error.code;
    buf_init(&whole);
    if (made) buf_append(&whole, made->path.data, made->path.size);
    else {
        buf_append(&whole, m->name.data, m->name.size);
        buf_byte(&whole, '/');
    }
    int rc = scan_normalise(path, &whole, &j->error); /* it cannot leave the folder */
    if (rc == 0 && whole.failed) rc = error_nomem(&j->error, "reading a file");
    if (rc == 0 && made && !job_is_needed(j, port)) rc = read_where(j, port, member, sub, made);
    if (rc == 0 && made && job_is_needed(j, port)) rc = read_covered(j, buf_bytes(&whole), content);
    else rc = rc == 0 ? job_read_file(j, buf_bytes(&whole), content) : job_failed(j, rc);
    buf_deinit(&whole);
    return rc;
}

/* --- files by path ---------------------------------------------------------------------------------------------------- */

/* Which files members stand for: those of long lists come for that. */
static int declared_files(job *j, size_t *count)
{
    const job_order *order = j->order;
    *count = 0;
    for (size_t i = 0; i < order->input_count; i++)
        for (size_t k = 0; k < order->inputs[i].count; k++) {
            const job_member *m = job_member_at(j, i, k);
            if (!m) return j->error.code;
            *count += m->file_count;
        }
    return 0;
}

static bool place_member(job *j, size_t port, size_t member, size_t *next)
{
    const job_member *m = job_member_at(j, port, member); /* it is here: declared_files */
    for (size_t f = 0; f < m->file_count; f++) {
        bool added = false;
        uint64_t *index = map_put(&j->declared, m->files[f].path, &added);
        if (!index) return false;
        if (!added) continue;
        *index = *next;
        j->places[(*next)++] = (job_place){port, member, m->file_count == 1 ? -1 : (int)f};
    }
    return true;
}

static int fill_declared(job *j)
{
    size_t next = 0, count;
    if (j->has_declared) return 0;
    int rc = declared_files(j, &count);
    if (rc != 0) return rc;
    j->places = arena_zero(&j->arena, count + 1, sizeof *j->places);
    bool fits = j->places != NULL;
    for (size_t i = 0; fits && i < j->order->input_count; i++)
        for (size_t k = 0; fits && k < j->order->inputs[i].count; k++) fits = place_member(j, i, k, &next);
    if (!fits) return job_failed(j, error_nomem(&j->error, "reading a file"));
    j->has_declared = true;
    return 0;
}

static bool is_state_path(bytes path)
{
    return path.size >= 5 && memcmp(path.data, ".weir", 5) == 0 && (path.size == 5 || path.data[5] == '/');
}

/* Which files a job must not open by any name (P10). */
static void fill_forbidden(job *j)
{
    static const char *const names[] = {".weir/weir.db", ".weir/weir.db-wal", ".weir/weir.db-shm", ".weir/lock"};
    if (j->has_forbidden) return;
    j->has_forbidden = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        os_stat st;
        if (os_statat(j->rootfd, names[i], true, &st, NULL) != 0 || st.type == OS_ABSENT) continue;
        j->forbidden[j->forbidden_count].dev = st.dev;
        j->forbidden[j->forbidden_count++].ino = st.ino;
    }
}

static int check_allowed(job *j, const char *path)
{
    os_stat st;
    int rc = os_statat(j->rootfd, path, true, &st, &j->error);
    if (rc != 0 || st.type == OS_ABSENT) return rc;
    fill_forbidden(j);
    for (size_t i = 0; i < j->forbidden_count; i++)
        if (j->forbidden[i].dev == st.dev && j->forbidden[i].ino == st.ino)
            return error_set(&j->error, WEIR_USAGE, "%s is a file of weir's own state: it cannot be an input", path);
    return 0;
}

/* May this path be read as an input? Normalised, below the root also behind its links, not of the state folder, not what we make. */
static int check_found(job *j, bytes path)
{
    buf real;
    for (size_t i = 0; i < j->order->output_count; i++)
        if (bytes_equal(j->order->outputs[i].path, path))
            return error_set(&j->error, WEIR_USAGE, "%s is an output of this node: it cannot read it", text_of(path));
    buf_init(&real);
    int rc = scan_inside(j->rootfd, text_of(path), &real, &j->error);
    if (rc == 0 && (is_state_path(path) || is_state_path(buf_bytes(&real))))
        rc = error_set(&j->error, WEIR_USAGE, "%s is in weir's own state folder: it cannot be an input", text_of(path));
    if (rc == 0) rc = check_allowed(j, text_of(path));
    buf_deinit(&real);
    return rc;
}

/*
 * It cannot be read; who puts up with that reads it anew when it can be. Recorded as the engine sees it (scan_judge): a circle of links is
 * absent. `cause`: errno of an attempt to read, 0: none. What may never be read (WEIR_USAGE) is of no account.
 */
static int record_unreadable(job *j, bytes path, int rc, int cause)
{
    os_stat st;
    weir_error why = j->error;
    if (rc == WEIR_NOMEM || rc == WEIR_USAGE) return job_failed(j, rc);
    if (os_statat(j->rootfd, text_of(path), true, &st, NULL) != 0) {
        cause = errno;
        st.type = OS_FILE;
    }
    bool is_users = cause == EACCES || cause == EPERM || cause == ELOOP || cause == ENAMETOOLONG;
    bool is_known = st.type == OS_ABSENT || st.type == OS_OTHER || (is_users && st.type != OS_DIR);
    if (is_known && !job_record_found(j, path, st.type == OS_ABSENT ? HASH_ABSENT : HASH_UNREADABLE)) return j->error.code;
    j->error = why;
    return job_failed(j, rc);
}

static int load_found(job *j, bytes path, bytes *content)
{
    loaded_file loaded;
    errno = 0;
    int rc = load_file(j, text_of(path), &loaded);
    if (rc != 0) return record_unreadable(j, path, rc, errno);
    job_seen *seen = job_record_found(j, path, loaded.fingerprint);
    if (!seen) return j->error.code;
    if (loaded.type == OS_DIR) return is_folder(j, text_of(path));
    seen->content = loaded.content;
    seen->has_content = true;
    *content = seen->content;
    return 0;
}

/* `path` is kept: in the arena, NUL behind it. */
static int read_found(job *j, bytes path, bool is_system, bytes *content)
{
    job_seen *seen;
    int rc = job_find_found(j, path, &seen);
    if (seen && !seen->has_content) { /* the same words once more */
        loaded_file loaded;
        int again = load_file(j, text_of(path), &loaded);
        return again != 0 ? job_failed(j, again) : is_folder(j, text_of(path));
    }
    if (seen) *content = seen->content;
    if (seen || rc != 0) return rc;
    rc = is_system ? check_allowed(j, text_of(path)) : check_found(j, path);
    return rc == 0 ? load_found(j, path, content) : record_unreadable(j, path, rc, 0);
}

int job_read_file(job *j, bytes path, bytes *content)
{
    buf clean;
    *content = (bytes){NULL, 0};
    buf_init(&clean);
    int rc = fill_declared(j);
    if (rc == 0) rc = scan_normalise(path, &clean, &j->error);
    bytes kept = rc == 0 ? arena_bytes(&j->arena, buf_bytes(&clean)) : (bytes){NULL, 0};
    buf_deinit(&clean);
    if (rc == 0 && !kept.data) rc = error_nomem(&j->error, "reading a file");
    if (rc != 0) return job_failed(j, rc);

    const uint64_t *index = map_get(&j->declared, kept);
    if (!index) return read_found(j, kept, false, content);
    job_place place = j->places[*index];
    const job_member *m = job_member_at(j, place.port, place.member);
    if (!m) return j->error.code;
    bytes where; /* that a node's output lies just there is a read as well: it may move */
    if (m->kind != MEMBER_ITEM) rc = job_read_path(j, place.port, place.member, place.sub, &where);
    if (rc != 0) return rc;
    return read_declared(j, place.port, place.member, place.sub, &m->files[place.sub < 0 ? 0 : place.sub], content);
}

int job_read_system(job *j, bytes path, bytes *content)
{
    *content = (bytes){NULL, 0};
    if (path.size == 0 || path.data[0] != '/' || memchr(path.data, '\0', path.size))
        return error_set(&j->error, WEIR_USAGE, "not an absolute path");
    bytes kept = arena_bytes(&j->arena, path);
    if (!kept.data) return job_failed(j, error_nomem(&j->error, "reading a file"));
    return read_found(j, kept, true, content);
}
