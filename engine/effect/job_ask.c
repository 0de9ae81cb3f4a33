/*
 * job_ask.c - one part of a member, or that it has none: what a table over the members of a list needs.
 *
 * Other reads fail where there is nothing to read. Here that is an answer, and one that may change,
 * so it is recorded as well: what may be there one day and is not now hashes as absent
 * (run/resolve.c says the same). Only what can never be (the value of a file, the params of a
 * variable) is not recorded: the kind of a member is in the key.
 *
 * Worker processes only, one thread.
 */
#include "engine/effect/job_internal.h"
#include "engine/store/value.h"

static int record_absent(job *j, read_aspect aspect, size_t port, size_t member, uint64_t node)
{
    return job_record(j, job_ref(aspect, port, member, -1), node, node != 0, HASH_ABSENT, HASH_NONE)
               ? 0
               : j->error.code;
}

int job_json_text(job *j, bytes encoded, bytes *text)
{
    buf json;
    buf_init(&json);
    int rc = value_to_json(encoded, 0, &json, &j->error);
    if (rc == 0) *text = arena_bytes(&j->arena, buf_bytes(&json));
    if (rc == 0 && !text->data) rc = error_nomem(&j->error, "writing JSON");
    buf_deinit(&json);
    return rc == 0 ? 0 : job_failed(j, rc);
}

/* The text of what was just read: a join asks for it again with every row of the other table. */
static int json_once(job *j, read_ref ref, bytes encoded, bytes *text)
{
    job_seen *seen = job_find_read(j, ref);
    if (!seen) return job_json_text(j, encoded, text);
    int rc = seen->json.data ? 0 : job_json_text(j, encoded, &seen->json);
    if (rc == 0) *text = seen->json;
    return rc;
}

/* All names are one read. */
static int ask_name(job *j, size_t port, const job_member *m, bytes *text)
{
    size_t count;
    int rc = job_read_names(j, port, &count);
    if (rc == 0) *text = job_member_name(m);
    return rc;
}

static int ask_value(job *j, size_t port, size_t member, const job_member *m, bytes *text)
{
    bytes encoded = {NULL, 0};
    if (m->kind == MEMBER_NODE && !m->has_value)
        return record_absent(j, ASPECT_VALUE, port, member, m->id);
    if (m->kind == MEMBER_OUTPUT || (m->kind == MEMBER_ITEM && job_member_is_file(m))) return 0;
    int rc = job_read_value(j, port, member, &encoded);
    bool is_value =
        m->kind == MEMBER_NODE || m->is_key; /* of the others value and content are one read */
    read_ref ref = job_ref(is_value ? ASPECT_VALUE : ASPECT_CONTENT, port, member, -1);
    return rc == 0 && encoded.data ? json_once(j, ref, encoded, text) : rc;
}

static int ask_params(job *j, size_t port, size_t member, const job_member *m, bytes *text)
{
    bytes encoded;
    if (m->kind == MEMBER_ITEM) return 0;
    int rc = job_read_params(j, port, member, &encoded);
    return rc == 0 ? json_once(j, job_ref(ASPECT_PARAMS, port, member, -1), encoded, text) : rc;
}

/* Content or path of its one file. */
static int ask_file(job *j, read_aspect aspect, size_t port, size_t member, const job_member *m,
                    bytes *text)
{
    if (m->kind == MEMBER_NODE && m->file_count != 1)
        return record_absent(j, aspect, port, member, 0);
    if (m->kind == MEMBER_ITEM && m->file_count == 0 && job_is_needed(j, port)) return 0; /* was not there: recorded */
    bool has_path = m->item_type == ITEM_TOOL || job_member_is_tree(m);
    if (!job_member_is_file(m) && (aspect != ASPECT_PATH || m->kind != MEMBER_ITEM || !has_path))
        return 0;
    return aspect == ASPECT_PATH ? job_read_path(j, port, member, -1, text)
                                 : job_read_content(j, port, member, -1, text);
}

int job_ask(job *j, size_t port, size_t member, weir_part part, bytes *text)
{
    const job_member *m = job_member_at(j, port, member);
    *text = (bytes){NULL, 0};
    if (!m) return j->error.code;
    int rc = 0;
    switch (part) {
    case WEIR_PART_NAME: rc = ask_name(j, port, m, text); break;
    case WEIR_PART_PATH: rc = ask_file(j, ASPECT_PATH, port, member, m, text); break;
    case WEIR_PART_PARAMS: rc = ask_params(j, port, member, m, text); break;
    case WEIR_PART_VALUE: rc = ask_value(j, port, member, m, text); break;
    case WEIR_PART_CONTENT: rc = ask_file(j, ASPECT_CONTENT, port, member, m, text); break;
    default: rc = error_set(&j->error, WEIR_USAGE, "a member has no part %d", (int)part);
    }
    return rc;
}
