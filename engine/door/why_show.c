/*
 * why_show.c - weir why: the answer as text or JSON.
 */
#include <inttypes.h>

#include "engine/door/commands.h"
#include "engine/door/declaration.h"
#include "engine/door/why.h"
#include "engine/store/jsonout.h"

enum { SHOWN = 20 /* without -v */ };

static bool is_of_declaration(const why *w)
{
    for (size_t i = 0; i < w->reason_count; i++)
        switch (w->reasons[i].kind) {
        case REASON_PARAMS_CHANGED: case REASON_INPUTS_ADDED: case REASON_INPUTS_REMOVED: case REASON_ENV_CHANGED: return true;
        default: break;
        }
    return false;
}

static bool has_differences(const why *w)
{
    return is_of_declaration(w) && w->before.spec && w->last.spec && w->before.spec != w->last.spec;
}

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

static void put_json_reasons(buf *to, const why *w)
{
    jsonout_open(to, '[');
    for (size_t i = 0; i < w->reason_count; i++) {
        const why_reason *r = &w->reasons[i];
        jsonout_open(to, '{');
        jsonout_key(to, "reason");
        jsonout_string(to, reason_name(r->kind));
        jsonout_member(to, "input", r->input);
        jsonout_member(to, "name", r->name);
        print_json_hash(to, "old", r->old_hash);
        print_json_hash(to, "new", r->new_hash);
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void put_json_reads(buf *to, const why *w)
{
    jsonout_key(to, "reads");
    jsonout_open(to, '[');
    for (size_t i = 0; i < w->read_count; i++) {
        jsonout_open(to, '{');
        jsonout_member(to, "name", w->reads[i].what);
        jsonout_key(to, "aspect");
        jsonout_string(to, w->reads[i].aspect);
        print_json_hash(to, "hash", w->reads[i].hash);
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void put_number(buf *to, const char *name, uint64_t number)
{
    jsonout_key(to, name);
    if (number) jsonout_number(to, number);
    else jsonout_string(to, NULL);
}

/* A node that was looked at and found unchanged has no reason to have run; what led to it is in "checked". */
static int put_json(query *q, buf *to, const why *w)
{
    bool is_unchanged = strcmp(w->outcome, "unchanged") == 0;
    static const why none = {0};
    int rc = 0;
    jsonout_open(to, '{');
    jsonout_member(to, "node", w->node.name);
    jsonout_member(to, "effect", w->node.effect);
    put_number(to, "run", w->run.id);
    jsonout_key(to, "outcome");
    jsonout_string(to, w->outcome);
    jsonout_key(to, "reasons");
    put_json_reasons(to, is_unchanged ? &none : w);
    if (is_unchanged && w->reason_count) {
        jsonout_key(to, "checked");
        put_json_reasons(to, w);
    }
    put_number(to, "execution", w->execution.id);
    put_number(to, "since_run", w->last.run);
    if (w->execution.id) print_json_seconds(to, "seconds", w->execution.seconds);
    jsonout_key(to, "changed");
    jsonout_bool(to, w->settled_in_run && w->last.changed);
    if (w->policy != CODE_TRACK) {
        jsonout_key(to, "older_code");
        jsonout_bool(to, w->older_code);
    }
    if (w->cause.size) jsonout_member(to, "cause", w->cause);
    if (w->message.size) jsonout_member(to, "message", w->message);
    if (!w->settled_in_run) put_json_reads(to, w);
    if (has_differences(w)) {
        jsonout_key(to, "declaration");
        rc = declaration_differences_json(q, w->before.spec, w->last.spec, to);
    }
    jsonout_close(to, '}');
    buf_byte(to, '\n');
    return rc;
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

static const char *words_for(reason_kind kind)
{
    switch (kind) {
    case REASON_NEW: return "it is new";
    case REASON_PREVIOUS_FAILED: return "it had failed before";
    case REASON_INTERRUPTED: return "its last execution was interrupted";
    case REASON_VOIDED: return "its result was declared void";
    case REASON_RACED: return "an input moved while it ran";
    case REASON_IMPURE: return "it had changed state that others share";
    case REASON_FORCED: return "it was forced";
    case REASON_ALWAYS: return "it runs every time";
    default: return NULL;
    }
}

static void put_reason(buf *to, const why_reason *r)
{
    const char *words = words_for(r->kind);
    bool color = print_has_color(stdout);
    buf_text(to, "  ");
    print_styled(to, color, STYLE_BOLD, reason_name(r->kind));
    if (words) buf_printf(to, "  %s", words);
    if (r->input.size) buf_text(to, "  ");
    print_name(to, r->input);
    if (r->name.size) buf_text(to, "  ");
    print_name(to, r->name);
    if (!hash_is_none(r->old_hash) || !hash_is_none(r->new_hash)) {
        buf_text(to, "  ");
        print_short_hash(to, r->old_hash);
        buf_text(to, " -> ");
        print_short_hash(to, r->new_hash);
    }
    buf_byte(to, '\n');
}

static void put_reasons(buf *to, const why *w, const options *o)
{
    size_t shown = w->reason_count <= SHOWN || o->verbose ? w->reason_count : SHOWN;
    bool is_unchanged = strcmp(w->outcome, "unchanged") == 0;
    for (size_t i = 0; i < shown; i++)
        if (!is_unchanged || w->reasons[i].name.size) put_reason(to, &w->reasons[i]);
    if (shown < w->reason_count) buf_printf(to, "  and %zu more (-v shows all)\n", w->reason_count - shown);
}

static void put_reads(buf *to, const why *w, const options *o)
{
    size_t shown = w->read_count <= SHOWN || o->verbose ? w->read_count : SHOWN;
    for (size_t i = 0; i < shown; i++) {
        buf_text(to, "  ");
        print_short_hash(to, w->reads[i].hash);
        buf_printf(to, "  %-8s ", w->reads[i].aspect);
        print_name(to, w->reads[i].what);
        buf_byte(to, '\n');
    }
    if (shown < w->read_count) buf_printf(to, "  and %zu more (-v shows all)\n", w->read_count - shown);
}

static void put_head(buf *to, const why *w)
{
    print_name(to, w->node.name);
    buf_printf(to, ": %s in run %" PRIu64 " (", w->outcome, w->run.id);
    print_time(to, w->run.at_us);
    buf_text(to, ")");
}

static void put_failure(buf *to, const why *w)
{
    buf_text(to, ": ");
    if (w->message.size) print_name(to, w->message);
    else query_put_end(to, &w->execution);
    if (w->settled_in_run && w->execution.id && w->execution.run != w->run.id) {
        buf_printf(to, "; the same as in run %" PRIu64 " (", w->execution.run);
        print_time(to, w->execution.at_us);
        buf_text(to, "), and not tried again since: nothing that it read has changed; `weir run --force NODE` runs it");
    }
}

/* How it was settled in that run, as the end of a sentence. */
static void put_settled(buf *to, const why *w)
{
    switch (w->last.what) {
    case OUTCOME_RAN:
        buf_text(to, ", ");
        print_seconds(to, w->execution.seconds);
        if (!w->last.changed) buf_text(to, "; it made the same as before, so the change ended here");
        break;
    case OUTCOME_ACCEPTED:
        buf_text(to, " by hand: what was there is its result");
        if (!w->last.changed) buf_text(to, ", the same as before");
        break;
    case OUTCOME_RESTORED:
        buf_printf(to, "; a result of run %" PRIu64 " holds again", w->execution.run);
        if (!w->last.changed) buf_text(to, ", the same as before");
        break;
    case OUTCOME_UNCHANGED: buf_text(to, "; it was looked at, and the result that was there still holds"); break;
    case OUTCOME_FAILED: put_failure(to, w); break;
    case OUTCOME_BLOCKED:
        buf_text(to, " by ");
        print_name(to, w->cause);
        buf_text(to, ", which had failed");
        break;
    }
    buf_byte(to, '\n');
}

static void put_not_settled(buf *to, const why *w)
{
    if (w->last.what == OUTCOME_FAILED || w->last.what == OUTCOME_BLOCKED)
        buf_printf(to, "; it was not tried again since run %" PRIu64 "\n", w->last.run);
    else buf_printf(to, "; nothing that it reads has changed since run %" PRIu64 "\n", w->last.run);
}

static int put_text(query *q, buf *to, const why *w, const options *o)
{
    put_head(to, w);
    if (w->settled_in_run) put_settled(to, w);
    else put_not_settled(to, w);
    if (w->older_code)
        buf_printf(to, "  code = \"%s\": the result of older code is kept\n", spec_policy_name((int)w->policy));
    put_reasons(to, w, o);
    put_reads(to, w, o);
    return has_differences(w) ? declaration_differences(q, w->before.spec, w->last.spec, to) : 0;
}

int command_why(const options *o)
{
    query q;
    why w;
    buf out;
    buf_init(&out);
    int rc = query_open(&q, o);
    if (rc == 0) rc = why_gather(&q, o->words[0], o->run, &w);
    if (rc == 0) rc = o->json ? put_json(&q, &out, &w) : put_text(&q, &out, &w, o);
    if (rc == 0) print_out(&out);
    buf_deinit(&out);
    return query_end(&q, rc, EXIT_DONE);
}
