/*
 * relay.c - see relay.h.
 */
#include "engine/door/relay.h"

#include "engine/door/report.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"

/* --- writing ----------------------------------------------------------------------------------------------------- */

void relay_put_bytes(buf *to, bytes text)
{
    if (value_is_utf8(text) && !memchr(text.data ? text.data : (const uint8_t *)"", 0, text.size)) {
        jsonout_text(to, text);
        return;
    }
    jsonout_open(to, '{');
    jsonout_key(to, "base64");
    value_json_base64(to, text);
    jsonout_close(to, '}');
}

static void put_log(buf *to, const char *log, size_t size)
{
    for (size_t at = 0; at < size; at += RELAY_LOG) {
        buf_text(to, "{\"log\":");
        relay_put_bytes(to, bytes_of(log + at, size - at < RELAY_LOG ? size - at : RELAY_LOG));
        buf_text(to, "}\n");
    }
}

static void put_count(buf *to, const char *name, uint64_t count)
{
    jsonout_key(to, name);
    jsonout_number(to, count);
}

void relay_put_event(buf *to, const weir_event *event)
{
    weir_event rest = *event;
    size_t start;
    if (event->log) put_log(to, event->log, event->log_size);
    rest.log = NULL;
    rest.log_size = 0;
    start = to->size;
    if (event->kind == WEIR_EVENT_PROGRESS) buf_text(to, "{\"event\":\"progress\"");
    else if (!lines_put_event(to, &rest)) to->size = start;
    if (to->size == start) return;
    put_count(to, "done", event->done);
    put_count(to, "open", event->open);
    put_count(to, "running", event->running);
    buf_text(to, "}\n");
}

void relay_put_end(buf *to, const weir_summary *summary, int rc, const weir_error *err)
{
    buf_text(to, "{\"end\":\"run\"");
    jsonout_key(to, "code");
    jsonout_signed(to, rc);
    jsonout_member(to, "message", bytes_str(err ? err->message : ""));
    lines_put_summary(to, summary, rc, true, true);
    put_count(to, "voided", summary->voided);
    jsonout_key(to, "interrupted");
    jsonout_bool(to, summary->interrupted != 0);
    buf_text(to, "}\n");
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bytes from_base64(mem_arena *arena, bytes text)
{
    uint8_t *raw = arena_alloc(arena, text.size / 4 * 3 + 4);
    size_t size = 0;
    uint32_t gathered = 0;
    int bits = 0;
    for (size_t i = 0; raw && i < text.size; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0) break;
        gathered = gathered << 6 | (uint32_t)digit;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        raw[size++] = (uint8_t)(gathered >> bits);
    }
    if (!raw) return bytes_of("", 0);
    raw[size] = 0;
    return bytes_of(raw, size);
}

static bool read_item(bytes encoded, value_item *item)
{
    value_reader r = value_read(encoded);
    return value_next(&r, item);
}

/* What relay_put_bytes wrote; data NULL: something else. */
static bytes read_bytes(mem_arena *arena, bytes encoded)
{
    value_item item;
    bytes inner;
    if (!read_item(encoded, &item)) return bytes_of(NULL, 0);
    if (item.type == VALUE_STRING) return arena_bytes(arena, item.text);
    if (item.type != VALUE_OBJECT || !value_member(encoded, "base64", &inner) ||
        !read_item(inner, &item) || item.type != VALUE_STRING)
        return bytes_of(NULL, 0);
    return from_base64(arena, item.text);
}

const char *relay_text_of(mem_arena *arena, bytes encoded)
{
    bytes text = read_bytes(arena, encoded);
    return text.data && memchr(text.data, 0, text.size) == NULL ? (const char *)text.data : NULL;
}

const char *relay_text(mem_arena *arena, bytes object, const char *name)
{
    bytes member;
    return value_member(object, name, &member) ? relay_text_of(arena, member) : NULL;
}

int64_t relay_number(bytes object, const char *name)
{
    bytes member;
    value_item item;
    return value_member(object, name, &member) && read_item(member, &item) && item.type == VALUE_INT
               ? item.integer
               : 0;
}

double relay_real(bytes object, const char *name)
{
    bytes member;
    value_item item;
    bool is = value_member(object, name, &member) && read_item(member, &item) &&
              (item.type == VALUE_INT || item.type == VALUE_FLOAT);
    return is ? item.number : 0;
}

bool relay_is_true(bytes object, const char *name)
{
    bytes member;
    value_item item;
    return value_member(object, name, &member) && read_item(member, &item) &&
           item.type == VALUE_TRUE;
}

/* --- events ------------------------------------------------------------------------------------------------------ */

static const struct event_name {
    const char *name;
    weir_event_kind kind;
} event_names[] = {
    {"execution_started", WEIR_EVENT_STARTED},
    {"execution_finished", WEIR_EVENT_FINISHED},
    {"node_restored", WEIR_EVENT_SETTLED},
    {"node_blocked", WEIR_EVENT_SETTLED},
    {"node_accepted", WEIR_EVENT_SETTLED},
    {"node_failed", WEIR_EVENT_SETTLED},
    {"node_unchanged", WEIR_EVENT_SETTLED},
    {"node_settled", WEIR_EVENT_SETTLED},
    {"node_voided", WEIR_EVENT_VOIDED},
    {"would_run", WEIR_EVENT_WOULD_RUN},
    {"maybe", WEIR_EVENT_MAYBE},
    {"diagnostic", WEIR_EVENT_DIAGNOSTIC},
    {"message", WEIR_EVENT_MESSAGE},
    {"progress", WEIR_EVENT_PROGRESS},
    {"plan", WEIR_EVENT_PLAN},
};

static bool kind_of(const char *name, weir_event_kind *kind)
{
    for (size_t i = 0; name && i < sizeof event_names / sizeof *event_names; i++)
        if (strcmp(event_names[i].name, name) == 0) {
            *kind = event_names[i].kind;
            return true;
        }
    return false;
}

/* A text of jsonout_member: bytes that are no UTF-8 stand beside it. */
static const char *text_or_base64(mem_arena *arena, bytes object, const char *name)
{
    char beside[40];
    bytes member;
    value_item item;
    snprintf(beside, sizeof beside, "%s_base64", name);
    bool has_raw = value_member(object, beside, &member) && read_item(member, &item) &&
                   item.type == VALUE_STRING;
    if (has_raw) return (const char *)from_base64(arena, item.text).data;
    const char *text = relay_text(arena, object, name);
    return text ? text : "";
}

static const char *hash_text(mem_arena *arena, bytes object, const char *name)
{
    char hex[HASH_HEX];
    const char *text = relay_text(arena, object, name);
    if (!text) return "";
    if (strcmp(text, "absent") == 0) return arena_strdup(arena, hash_hex(HASH_ABSENT, hex));
    return strcmp(text, "unreadable") == 0 ? arena_strdup(arena, hash_hex(HASH_UNREADABLE, hex))
                                           : text;
}

static void read_reasons(mem_arena *arena, bytes object, weir_event *e)
{
    bytes list, one;
    value_item head;
    if (!value_member(object, "because", &list)) return;
    value_reader r = value_read(list);
    if (!value_next(&r, &head) || head.type != VALUE_ARRAY) return;
    weir_reason *reasons = arena_zero(arena, head.count + 1, sizeof *reasons);
    size_t count = 0;
    for (size_t i = 0; reasons && i < head.count && value_skip(&r, &one); i++)
        reasons[count++] = (weir_reason){.reason = text_or_base64(arena, one, "reason"),
                                         .input = text_or_base64(arena, one, "input"),
                                         .name = text_or_base64(arena, one, "name"),
                                         .old_hash = hash_text(arena, one, "old"),
                                         .new_hash = hash_text(arena, one, "new")};
    e->reasons = reasons;
    e->reason_count = count;
}

static void read_diagnostic(mem_arena *arena, bytes object, weir_diagnostic *d)
{
    const char *names[] = {"file", "message", "hint", "source"};
    const char **to[] = {&d->file, &d->message, &d->hint, &d->source};
    *d = (weir_diagnostic){.line = (int)relay_number(object, "line"),
                           .column = (int)relay_number(object, "column")};
    for (size_t i = 0; i < 4; i++) {
        const char *text = text_or_base64(arena, object, names[i]);
        *to[i] = *text || strcmp(names[i], "message") == 0 ? text : NULL;
    }
}

static relay_kind read_event(relay_reader *r, bytes object, weir_event *e, weir_diagnostic *d)
{
    weir_event_kind kind;
    mem_arena *arena = &r->arena;
    if (!kind_of(relay_text(arena, object, "event"), &kind)) return RELAY_OTHER;
    *e = (weir_event){.size = sizeof *e,
                      .kind = kind,
                      .node = text_or_base64(arena, object, "node"),
                      .effect = text_or_base64(arena, object, "effect"),
                      .outcome = text_or_base64(arena, object, "outcome"),
                      .seconds = relay_real(object, "seconds"),
                      .message = text_or_base64(arena, object, "message"),
                      .exit_code = (int)relay_number(object, "exit"),
                      .signal = (int)relay_number(object, "signal"),
                      .changed = relay_is_true(object, "changed"),
                      .cause = text_or_base64(arena, object, "cause"),
                      .done = (size_t)relay_number(object, "done"),
                      .open = (size_t)relay_number(object, "open"),
                      .running = (size_t)relay_number(object, "running"),
                      .tried_us = relay_number(object, "tried_us"),
                      .added = (size_t)relay_number(object, "added"),
                      .removed = (size_t)relay_number(object, "removed"),
                      .altered = (size_t)relay_number(object, "altered")};
    read_reasons(arena, object, e);
    if (kind == WEIR_EVENT_DIAGNOSTIC) {
        read_diagnostic(arena, object, d);
        e->diagnostic = d;
    }
    if (r->log.size && (kind == WEIR_EVENT_FINISHED || kind == WEIR_EVENT_SETTLED)) {
        bytes log = arena_bytes(arena, buf_bytes(&r->log));
        e->log = (const char *)log.data;
        e->log_size = log.size;
        buf_clear(&r->log);
    }
    return arena->failed ? RELAY_OTHER : RELAY_EVENT;
}

void relay_reader_init(relay_reader *r)
{
    arena_init(&r->arena);
    buf_init(&r->log);
}

void relay_reader_deinit(relay_reader *r)
{
    arena_deinit(&r->arena);
    buf_deinit(&r->log);
}

relay_kind relay_read(relay_reader *r, bytes object, weir_event *event, weir_diagnostic *diagnostic)
{
    bytes member;
    arena_reset(&r->arena);
    if (value_member(object, "log", &member) && !value_member(object, "event", &(bytes){0})) {
        bytes part = read_bytes(&r->arena, member);
        buf_append(&r->log, part.data, part.size);
        return RELAY_PART;
    }
    if (value_member(object, "end", &member)) return RELAY_END;
    return read_event(r, object, event, diagnostic);
}

void relay_read_end(bytes object, weir_summary *s, int *rc, weir_error *err)
{
    mem_arena arena;
    bytes stats;
    arena_init(&arena);
    *s = (weir_summary){.size = sizeof *s,
                        .seconds = relay_real(object, "seconds"),
                        .interrupted = relay_is_true(object, "interrupted")};
    const struct {
        const char *name;
        uint64_t *to;
    } counts[] = {{"run", &s->run},
                  {"nodes", &s->nodes},
                  {"ran", &s->ran},
                  {"unchanged", &s->unchanged},
                  {"restored", &s->restored},
                  {"cut_off", &s->cut_off},
                  {"failed", &s->failed},
                  {"blocked", &s->blocked},
                  {"raced", &s->raced},
                  {"removed", &s->removed},
                  {"errors", &s->errors},
                  {"due", &s->due},
                  {"accepted", &s->accepted},
                  {"voided", &s->voided},
                  {"would_run", &s->would_run},
                  {"maybe", &s->maybe}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        *counts[i].to = (uint64_t)relay_number(object, counts[i].name);
    if (value_member(object, "stats", &stats)) {
#define X(name) s->counters.name = (uint64_t)relay_number(stats, #name);
        WEIR_COUNTERS(X)
#undef X
    }
    *rc = (int)relay_number(object, "code");
    const char *message = relay_text(&arena, object, "message");
    if (*rc != 0) error_set(err, *rc, "%s", message ? message : "");
    arena_deinit(&arena);
}
