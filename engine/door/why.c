/*
 * why.c - gathers why a node was settled as it was.
 *
 * Nothing is computed anew: reasons were written when the decision was taken, so the answer for an old run stays what it was.
 */
#include "engine/door/why.h"

#include <inttypes.h>

/* --- reasons ------------------------------------------------------------------------------------------------------- */

static int add_reason(query *q, why *w, const why_reason *r)
{
    if (w->reason_count == w->reason_capacity) {
        size_t capacity = w->reason_capacity ? w->reason_capacity * 2 : 8;
        why_reason *more = arena_alloc(&q->arena, capacity * sizeof *more);
        if (!more) return error_nomem(&q->err, "gathering reasons");
        if (w->reason_count) memcpy(more, w->reasons, w->reason_count * sizeof *more);
        w->reasons = more;
        w->reason_capacity = capacity;
    }
    w->reasons[w->reason_count++] = *r;
    return 0;
}

static bool is_same_length(query *q, hash128 list, hash128 **members, size_t count)
{
    size_t found = 0;
    weir_error ignored;
    return blob_list_members(q->blobs, q->d, list, members, &found, &ignored) == 0 && found == count;
}

/* A list that was recorded as a whole: its members by name, if the chunks of both lists are still stored. 1: they were added. */
static int add_members(query *q, why *w, const settlement_row *row, const why_reason *whole)
{
    node_spec spec;
    hash128 *old = NULL;
    hash128 *new = NULL;
    int rc = query_spec(q, row->spec, &spec);
    int port = rc == 0 ? spec_input_index(&spec, whole->input) : -1;
    if (rc != 0 || port < 0) return rc;
    const spec_input *input = &spec.inputs[port];
    bool known = is_same_length(q, whole->old_hash, &old, input->count) && is_same_length(q, whole->new_hash, &new, input->count);
    int added = 0;
    for (size_t i = 0; rc == 0 && known && i < input->count; i++) {
        if (hash_equal(old[i], new[i])) continue;
        why_reason r = {whole->kind, whole->input, query_member_name(q, &input->members[i]), old[i], new[i]};
        rc = add_reason(q, w, &r);
        added = 1;
    }
    mem_free(old);
    mem_free(new);
    return rc == 0 ? added : rc;
}

typedef struct stored_reason {
    why_reason shown;
    uint64_t source;
    bool is_node;
} stored_reason;

/* Of a settlement that has more than the one reason in its row. */
static int read_reasons(query *q, uint64_t settlement, stored_reason **list, size_t *count)
{
    size_t capacity = 0;
    int rc;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_REASONS, settlement);
    if (!s) return q->err.code;
    while ((rc = query_step(q, s)) == 1) {
        if (!MEM_GROW(*list, capacity, *count + 1)) {
            db_reset(s);
            return error_nomem(&q->err, "gathering reasons");
        }
        (*list)[(*count)++] = (stored_reason){
            .shown = {(reason_kind)db_int(s, 0), query_bytes(q, s, 5), bytes_str(""), db_hash(s, 3), db_hash(s, 4)},
            .source = (uint64_t)db_int(s, 1),
            .is_node = db_int(s, 2) != 0};
    }
    return rc;
}

static int add_reasons(query *q, why *w, const settlement_row *row)
{
    stored_reason *list = NULL;
    size_t count = 0;
    if (row->reason != 0)
        return add_reason(q, w, &(why_reason){row->reason, bytes_str(""), bytes_str(""), HASH_NONE, HASH_NONE});
    int rc = read_reasons(q, row->seq, &list, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        why_reason *r = &list[i].shown;
        bool is_list = list[i].source == 0 && r->kind == REASON_INPUT_CHANGED && r->input.size > 0;
        r->name = query_name(q, list[i].source, list[i].is_node);
        int added = is_list ? add_members(q, w, row, r) : 0;
        if (added < 0) rc = added;
        else if (added == 0) rc = add_reason(q, w, r);
    }
    mem_free(list);
    return rc;
}

/* --- reads --------------------------------------------------------------------------------------------------------- */

static bytes read_label(query *q, const node_spec *spec, uint64_t source, bool is_node, int64_t port)
{
    if (source != 0) return query_name(q, source, is_node);
    if (port >= 0 && (size_t)port < spec->input_count) return spec->inputs[port].port;
    return bytes_str("");
}

static int stored_reads(query *q, uint64_t execution, read_record **list, size_t *count)
{
    db_stmt *s = QUERY_ASK(q, SQL_EXECUTION_ENDED, execution);
    if (!s) return q->err.code;
    int rc = query_step(q, s);
    if (rc == 1) rc = event_get_reads((int)db_int(s, 0), db_bytes(s, 1), &q->arena, list, count, &q->err);
    db_reset(s);
    return rc;
}

static int add_reads(query *q, why *w)
{
    static const char *const aspects[] = {"", "content", "value", "names", "params", "path", "list", "outpath"};
    read_record *list = NULL;
    size_t count = 0;
    node_spec spec;
    int rc = query_spec(q, w->execution.spec, &spec);
    if (rc == 0) rc = stored_reads(q, w->execution.id, &list, &count);
    w->reads = rc == 0 ? arena_zero(&q->arena, count + 1, sizeof *w->reads) : NULL;
    for (size_t i = 0; w->reads && i < count; i++) {
        const read_record *r = &list[i];
        if ((int)r->ref.aspect == 7) continue; /* the path of its own output */
        const char *aspect = (int)r->ref.aspect < 8 ? aspects[r->ref.aspect] : "";
        w->reads[w->read_count++] = (why_read){read_label(q, &spec, r->source, r->source_is_node, r->ref.port), aspect, r->hash};
    }
    return rc;
}

/* --- settlements ---------------------------------------------------------------------------------------------------- */

static int settled_in_run(query *q, why *w)
{
    settlement_row rows[16];
    size_t count = 0;
    int rc;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_SETTLEMENTS, w->node.id, w->run.id);
    if (!s) return q->err.code;
    while ((rc = query_step(q, s)) == 1) {
        if (count == 16) memmove(rows, rows + 1, (--count) * sizeof *rows);
        query_read_settlement(s, &rows[count++]);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) rc = add_reasons(q, w, &rows[i]);
    if (rc != 0 || count == 0) return rc;
    w->settled_in_run = true;
    w->last = rows[count - 1];
    rc = query_settlement(q, SQL_DOOR_SETTLEMENT_BEFORE, w->node.id, rows[0].seq, &w->before);
    return rc < 0 ? rc : 0;
}

/* What held in a run that did not look at the node. */
static int settled_before(query *q, why *w)
{
    int rc = query_settlement(q, SQL_DOOR_SETTLEMENT_LAST, w->node.id, w->run.id, &w->last);
    if (rc < 0) return rc;
    if (rc == 1) return 0;
    rc = query_settlement(q, SQL_DOOR_SETTLEMENT_BEFORE, w->node.id, INT64_MAX, &w->before);
    if (rc < 0) return rc;
    if (rc == 1) return query_fail(q, WEIR_NOTFOUND, "%.200s was not there yet in run %" PRIu64, (const char *)w->node.name.data, w->run.id);
    return query_fail(q, WEIR_NOTFOUND, "%.200s was never run yet", (const char *)w->node.name.data);
}

/* A node that took over from another one: that one's last declaration. */
static int look_at_predecessor(query *q, why *w)
{
    if (!w->settled_in_run || w->before.seq != 0 || w->node.successor == 0) return 0;
    int rc = query_settlement(q, SQL_DOOR_SETTLEMENT_BEFORE, w->node.successor, w->last.seq, &w->before);
    return rc < 0 ? rc : 0;
}

static int look_at_execution(query *q, why *w)
{
    int rc = query_execution(q, w->last.execution, &w->execution);
    if (rc < 0) return rc;
    if (w->last.what == OUTCOME_FAILED) return query_failure(q, &w->execution, &w->message);
    return 0;
}

/* Of a run before the node was there: the one that it took over from. 1: there was one. */
static int go_back(query *q, why *w)
{
    if (w->node.successor == 0) return 0;
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_PREDECESSOR, w->node.id, w->run.id);
    if (!s) return q->err.code;
    int rc = query_step(q, s);
    uint64_t id = rc == 1 ? (uint64_t)db_int(s, 0) : 0;
    db_reset(s);
    if (rc != 1 || id == w->node.id) return rc < 0 ? rc : 0;
    error_clear(&q->err);
    rc = query_node(q, id, &w->node);
    return rc == 0 ? 1 : rc;
}

static int gather_settled(query *q, why *w)
{
    int rc = settled_in_run(q, w);
    return rc == 0 && !w->settled_in_run ? settled_before(q, w) : rc;
}

/* The newest look at the node says which code the effect had; the execution says which one made the result. */
static int look_at_code(query *q, why *w)
{
    settlement_row newest = w->last;
    int rc = w->settled_in_run ? 0 : query_settlement(q, SQL_DOOR_SETTLEMENT_NEWEST, w->node.id, w->run.id, &newest);
    if (rc < 0) return rc;
    bool has_result = w->last.what != OUTCOME_FAILED && w->last.what != OUTCOME_BLOCKED && w->execution.id != 0;
    w->older_code = query_is_older_code(q, w->execution.effect, newest.effect, &w->policy) && has_result;
    return 0;
}

int why_gather(query *q, const char *name, int64_t run, why *w)
{
    *w = (why){.message = bytes_str("")};
    int rc = query_find_node(q, name, &w->node);
    if (rc == 0) rc = query_run(q, run, &w->run);
    if (rc == 0) rc = gather_settled(q, w);
    if (rc == WEIR_NOTFOUND && w->run.id != 0) {
        weir_error not_there = q->err;
        int back = go_back(q, w);
        rc = back == 1 ? gather_settled(q, w) : back < 0 ? back : WEIR_NOTFOUND;
        if (back == 0) q->err = not_there;
    }
    if (rc == 0) rc = look_at_predecessor(q, w);
    if (rc == 0) rc = look_at_execution(q, w);
    if (rc == 0) rc = look_at_code(q, w);
    if (rc != 0) return rc;
    w->cause = query_name(q, w->last.cause, true);
    bool held = w->last.what == OUTCOME_RAN || w->last.what == OUTCOME_RESTORED || w->last.what == OUTCOME_UNCHANGED ||
                w->last.what == OUTCOME_ACCEPTED;
    w->outcome = w->settled_in_run || !held ? outcome_name(w->last.what) : "unchanged";
    if (!w->settled_in_run && !held) return add_reasons(q, w, &w->last);
    return !w->settled_in_run && w->execution.id ? add_reads(q, w) : 0;
}
