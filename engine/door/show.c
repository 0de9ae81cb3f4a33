/*
 * show.c - weir show: all that is known about one node.
 */
#include <inttypes.h>

#include "engine/door/commands.h"
#include "engine/door/declaration.h"
#include "engine/store/jsonout.h"

enum { SHOWN = 20 /* members and users, without -v */ };

typedef struct shown {
    node_row node;
    node_spec spec;
    effect_spec effect;
    execution_row execution; /* id 0: none */
    code_policy policy;
    bool older_code; /* the result is of other code than the effect has */
    uint64_t *users;
    size_t user_count, user_capacity;
} shown;

static int find_users(query *q, shown *s)
{
    int rc;
    db_stmt *stmt = QUERY_ASK(q, SQL_NODE_USERS, s->node.id, s->node.graph);
    if (!stmt) return q->err.code;
    while ((rc = query_step(q, stmt)) == 1) {
        if (!MEM_GROW(s->users, s->user_capacity, s->user_count + 1)) {
            db_reset(stmt);
            return error_nomem(&q->err, "listing users");
        }
        s->users[s->user_count++] = (uint64_t)db_int(stmt, 0);
    }
    return rc;
}

static int gather(query *q, const char *name, shown *s)
{
    int rc = query_find_node(q, name, &s->node);
    if (rc == 0) rc = query_spec(q, s->node.spec, &s->spec);
    if (rc == 0) rc = query_effect(q, s->node.effect_seq, &s->effect);
    if (rc == 0) rc = query_execution(q, s->node.execution, &s->execution);
    if (rc >= 0) s->older_code = query_is_older_code(q, s->execution.effect, s->node.effect_seq, &s->policy);
    return rc < 0 ? rc : find_users(q, s);
}

/* The hash behind a member as it was last seen; HASH_NONE for a node with more than its value. */
static hash128 member_hash(query *q, const spec_member *m)
{
    node_row node;
    node_spec spec;
    item_row item;
    if (m->kind == MEMBER_ITEM) return query_item(q, m->id, &item) == 1 ? item.hash : HASH_NONE;
    if (query_node(q, m->id, &node) != 0) return HASH_NONE;
    if (m->kind != MEMBER_OUTPUT) return node.value;
    bytes below = {0};
    int port = query_spec(q, node.spec, &spec) == 0 ? spec_member_output(&spec, m->port, &below) : -1;
    return port >= 0 && below.size == 0 && query_item(q, spec.outputs[port].id, &item) == 1 ? item.hash : HASH_NONE;
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

static void put_json_member(query *q, buf *to, const spec_member *m)
{
    static const char *const kinds[] = {"", "item", "node", "output", "expansion"};
    jsonout_open(to, '{');
    jsonout_key(to, "kind");
    jsonout_string(to, m->kind == MEMBER_ITEM ? spec_item_name((int)m->item) : kinds[m->kind <= MEMBER_EXPAND ? m->kind : 0]);
    jsonout_member(to, "name", query_member_name(q, m));
    if (m->kind == MEMBER_OUTPUT) {
        jsonout_member(to, "node", query_name(q, m->id, true));
        jsonout_member(to, "port", m->port);
    }
    print_json_hash(to, "hash", member_hash(q, m));
    jsonout_close(to, '}');
}

static void put_json_inputs(query *q, buf *to, const node_spec *spec)
{
    jsonout_key(to, "inputs");
    jsonout_open(to, '[');
    for (size_t i = 0; i < spec->input_count; i++) {
        jsonout_open(to, '{');
        jsonout_member(to, "port", spec->inputs[i].port);
        jsonout_key(to, "list");
        jsonout_bool(to, spec->inputs[i].is_list);
        jsonout_key(to, "members");
        jsonout_open(to, '[');
        for (size_t k = 0; k < spec->inputs[i].count; k++) put_json_member(q, to, &spec->inputs[i].members[k]);
        jsonout_close(to, ']');
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void put_json_outputs(query *q, buf *to, const node_spec *spec)
{
    jsonout_key(to, "outputs");
    jsonout_open(to, '[');
    for (size_t i = 0; i < spec->output_count; i++) {
        item_row item = {0};
        (void)query_item(q, spec->outputs[i].id, &item);
        jsonout_open(to, '{');
        jsonout_member(to, "port", spec->outputs[i].port);
        jsonout_member(to, "path", item.name);
        print_json_hash(to, "hash", item.hash);
        jsonout_key(to, "size");
        jsonout_number(to, item.size);
        jsonout_key(to, "mode");
        buf_printf(to, "\"%04o\"", item.mode);
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void put_json_execution(buf *to, const execution_row *x)
{
    jsonout_key(to, "execution");
    if (x->id == 0) {
        jsonout_string(to, NULL);
        return;
    }
    jsonout_open(to, '{');
    jsonout_key(to, "execution");
    jsonout_number(to, x->id);
    jsonout_key(to, "run");
    jsonout_number(to, x->run);
    jsonout_key(to, "result");
    jsonout_string(to, query_result_name(x->result));
    print_json_time(to, "started", x->at_us);
    print_json_seconds(to, "seconds", x->seconds);
    print_json_hash(to, "key", x->key);
    print_json_hash(to, "log", x->log);
    jsonout_close(to, '}');
}

static int put_json(query *q, buf *to, const shown *s)
{
    jsonout_open(to, '{');
    jsonout_member(to, "node", s->node.name);
    jsonout_key(to, "status");
    jsonout_string(to, query_status_name(&s->node));
    jsonout_key(to, "due");
    jsonout_string(to, s->node.status == 1 ? reason_name((reason_kind)s->node.due) : NULL);
    if (s->node.parent) jsonout_member(to, "declared_by", query_name(q, s->node.parent, true));
    jsonout_key(to, "height");
    jsonout_number(to, s->node.height);
    print_json_hash(to, "value", s->node.value);
    jsonout_key(to, "effect");
    int rc = effect_to_json(&s->effect, to, &q->err);
    if (s->policy != CODE_TRACK) {
        jsonout_key(to, "older_code");
        jsonout_bool(to, s->older_code);
    }
    jsonout_key(to, "declaration");
    if (rc == 0) rc = spec_to_json(&s->spec, to, &q->err);
    put_json_inputs(q, to, &s->spec);
    put_json_outputs(q, to, &s->spec);
    put_json_execution(to, &s->execution);
    jsonout_key(to, "users");
    jsonout_open(to, '[');
    for (size_t i = 0; i < s->user_count; i++) jsonout_text(to, query_name(q, s->users[i], true));
    jsonout_close(to, ']');
    jsonout_close(to, '}');
    buf_byte(to, '\n');
    return rc;
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

static void put_label(buf *to, const char *label)
{
    size_t start = to->size;
    buf_text(to, label);
    print_pad(to, start, 12);
}

static void put_inputs(query *q, buf *to, const node_spec *spec, size_t most)
{
    for (size_t i = 0; i < spec->input_count; i++) {
        const spec_input *in = &spec->inputs[i];
        for (size_t k = 0; k < in->count && k < most; k++) {
            put_label(to, i == 0 && k == 0 ? "inputs" : "");
            size_t start = to->size;
            print_name(to, in->port);
            print_pad(to, start, 12);
            buf_byte(to, ' ');
            print_short_hash(to, member_hash(q, &in->members[k]));
            print_pad(to, start, 27);
            print_name(to, query_member_name(q, &in->members[k]));
            buf_byte(to, '\n');
        }
        if (in->count > most) {
            put_label(to, "");
            print_name(to, in->port);
            buf_printf(to, " and %zu more (-v shows all)\n", in->count - most);
        }
    }
}

static void put_outputs(query *q, buf *to, const node_spec *spec)
{
    for (size_t i = 0; i < spec->output_count; i++) {
        item_row item = {0};
        (void)query_item(q, spec->outputs[i].id, &item);
        put_label(to, i == 0 ? "outputs" : "");
        size_t start = to->size;
        print_name(to, spec->outputs[i].port);
        print_pad(to, start, 12);
        buf_byte(to, ' ');
        print_short_hash(to, item.hash);
        print_pad(to, start, 27);
        print_name(to, item.name);
        buf_text(to, ", ");
        print_size(to, item.size);
        if (spec->flags & SPEC_TRANSIENT) buf_text(to, ", transient: on disk only while somebody needs it");
        buf_byte(to, '\n');
    }
}

static int put_parts(query *q, buf *to, const node_spec *spec)
{
    static const int parts[] = {1, 2, 5, 6, 7}; /* version, params, command, depfile, env */
    buf part;
    int rc = 0;
    buf_init(&part);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++) {
        buf_clear(&part);
        rc = declaration_part(q, spec, parts[i], &part);
        if (rc != 0 || part.size == 0 || bytes_equal(buf_bytes(&part), bytes_str("{}"))) continue;
        put_label(to, DECLARATION_NAMES[parts[i]]);
        print_name(to, buf_bytes(&part));
        buf_byte(to, '\n');
    }
    buf_deinit(&part);
    return rc;
}

static void put_execution(buf *to, const shown *s)
{
    put_label(to, "last run");
    if (s->execution.id == 0) {
        buf_text(to, "never\n");
        return;
    }
    buf_printf(to, "execution %" PRIu64 " of run %" PRIu64 ", ", s->execution.id, s->execution.run);
    print_time(to, s->execution.at_us);
    buf_text(to, ", ");
    print_seconds(to, s->execution.seconds);
    buf_printf(to, ", %s\n", query_result_name(s->execution.result));
}

static int put_text(query *q, buf *to, const shown *s, const options *o)
{
    size_t most = o->verbose ? SIZE_MAX : SHOWN;
    static const char *const kinds[] = {"", " (Lua)", " (C)", " (command)"};
    put_label(to, "node");
    print_name(to, s->node.name);
    buf_byte(to, '\n');
    put_label(to, "effect");
    print_name(to, s->node.effect);
    buf_printf(to, "%s\n", kinds[s->node.effect_kind & 3]);
    if (s->node.parent) {
        put_label(to, "declared by");
        print_name(to, query_name(q, s->node.parent, true));
        buf_byte(to, '\n');
    }
    if (s->policy != CODE_TRACK) {
        put_label(to, "code");
        buf_printf(to, "%s%s\n", spec_policy_name((int)s->policy),
                   s->older_code ? "; the result is of older code: `weir accept` if that is right, `weir void` to make it anew" : "");
    }
    put_label(to, "status");
    query_put_status(to, &s->node);
    buf_printf(to, "%s\n", s->node.always ? ", runs every time" : "");
    int rc = put_parts(q, to, &s->spec);
    put_inputs(q, to, &s->spec, most);
    put_outputs(q, to, &s->spec);
    if (!hash_is_none(s->node.value)) {
        put_label(to, "value");
        print_short_hash(to, s->node.value);
        buf_byte(to, '\n');
    }
    put_execution(to, s);
    for (size_t i = 0; i < s->user_count && i < most; i++) {
        put_label(to, i == 0 ? "users" : "");
        print_name(to, query_name(q, s->users[i], true));
        buf_byte(to, '\n');
    }
    if (s->user_count > most) buf_printf(to, "            and %zu more (-v shows all)\n", s->user_count - most);
    return rc;
}

int command_show(const options *o)
{
    query q;
    shown s = {0};
    buf out;
    buf_init(&out);
    int rc = query_open(&q, o);
    if (rc == 0) rc = gather(&q, o->words[0], &s);
    if (rc == 0) rc = o->json ? put_json(&q, &out, &s) : put_text(&q, &out, &s, o);
    if (rc == 0) print_out(&out);
    buf_deinit(&out);
    mem_free(s.users);
    return query_end(&q, rc, EXIT_DONE);
}
