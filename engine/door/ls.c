/*
 * ls.c - weir ls: the nodes, one a line.
 */
#include "engine/door/commands.h"
#include "engine/door/query.h"
#include "engine/store/jsonout.h"

enum { FLUSH = 64 * 1024 };

static bool matches(const char *pattern, bytes name, bytes effect)
{
    if (!pattern) return true;
    bytes p = bytes_str(pattern);
    return spec_name_matches(p, name) || spec_name_has_base(name, p) || bytes_equal(p, effect);
}

static void put_json(buf *to, const node_row *node, bytes parent, bool first)
{
    buf_text(to, first ? "\n" : ",\n");
    jsonout_open(to, '{');
    jsonout_member(to, "node", node->name);
    jsonout_member(to, "effect", node->effect);
    jsonout_key(to, "status");
    jsonout_string(to, query_status_name(node));
    if (node->status == 1) {
        jsonout_key(to, "due");
        jsonout_string(to, reason_name((reason_kind)node->due));
    }
    if (parent.size) jsonout_member(to, "declared_by", parent);
    jsonout_close(to, '}');
}

static void put_line(buf *to, const node_row *node, bytes parent)
{
    bool color = print_has_color(stdout);
    static const print_style styles[] = {STYLE_PLAIN, STYLE_NOTE, STYLE_BAD, STYLE_WARN};
    print_styled(to, color, node->status >= 0 && node->status < 4 ? styles[node->status] : STYLE_DIM, query_status_name(node));
    for (size_t i = strlen(query_status_name(node)); i < 9; i++) buf_byte(to, ' ');
    size_t start = to->size;
    print_name(to, node->effect);
    print_pad(to, start, 12);
    buf_byte(to, ' ');
    print_name(to, node->name);
    if (node->status == 1 && node->due) buf_printf(to, " (%s)", reason_name((reason_kind)node->due));
    if (parent.size) {
        buf_text(to, ", declared by ");
        print_name(to, parent);
    }
    buf_byte(to, '\n');
}

/* The names that begin as the pattern does, and the nodes of an effect of that name; without a beginning: all. */
static db_stmt *ask(query *q, const char *pattern)
{
    enum { BEGINNING = 256 };
    char from[BEGINNING], to[BEGINNING];
    size_t size = pattern ? strcspn(pattern, "*") : 0;
    if (size >= BEGINNING) size = BEGINNING - 1;
    while (size > 0 && (uint8_t)pattern[size - 1] == 0xff) size--; /* nothing comes after it */
    if (size == 0) return QUERY_ASK(q, SQL_DOOR_NODES_ALL, q->graph);
    memcpy(from, pattern, size);
    memcpy(to, pattern, size);
    to[size - 1] = (char)((uint8_t)to[size - 1] + 1);
    db_stmt *s = QUERY_ASK(q, SQL_DOOR_NODES_LIKE, q->graph);
    if (!s) return NULL;
    db_bind_bytes(s, 2, bytes_of(from, size));
    db_bind_bytes(s, 3, bytes_of(to, size));
    db_bind_bytes(s, 4, bytes_str(pattern));
    return s;
}

static int list(query *q, const options *o, uint64_t *shown)
{
    buf out;
    int rc;
    db_stmt *s = ask(q, o->word_count ? o->words[0] : NULL);
    if (!s) return q->err.code;
    buf_init(&out);
    if (o->json) buf_byte(&out, '[');
    while ((rc = query_step(q, s)) == 1) {
        node_row node = {.name = db_bytes(s, 1), .effect = db_bytes(s, 2), .status = (int)db_int(s, 3), .due = (int)db_int(s, 4)};
        if (!matches(o->word_count ? o->words[0] : NULL, node.name, node.effect)) continue;
        bytes parent = db_bytes(s, 5); /* of an expansion */
        if (o->json) put_json(&out, &node, parent, *shown == 0);
        else put_line(&out, &node, parent);
        ++*shown;
        if (out.size > FLUSH) print_out(&out);
    }
    if (o->json) buf_text(&out, *shown ? "\n]\n" : "]\n");
    print_out(&out);
    buf_deinit(&out);
    return rc;
}

static void tell_none(const options *o)
{
    if (o->word_count) print_message("no node matches %s", o->words[0]);
    else print_message("there are no nodes");
}

int command_ls(const options *o)
{
    query q;
    uint64_t shown = 0;
    int rc = query_open(&q, o);
    if (rc == 0) rc = list(&q, o, &shown);
    if (rc == 0 && shown == 0 && !o->quiet && !o->json)
        tell_none(o);
    return query_end(&q, rc, EXIT_DONE);
}
