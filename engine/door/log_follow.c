/*
 * log_follow.c - weir log --follow: the events as they are recorded, until ^C.
 *
 * A watch hands them over as soon as they can be read (control.h). Without one the database is asked
 * several times a second, which any run may be writing; a watch that begins is found then, too. So no
 * event is told twice and none is left out, whoever comes and goes.
 */
#include <poll.h>

#include "engine/door/log.h"
#include "engine/door/relay.h"
#include "engine/door/remote.h"
#include "engine/door/session.h"
#include "engine/store/value.h"

enum { SHOWN = 10, ASK_MS = 200, AT_ONCE = 500 };

typedef struct following {
    query q;
    const options *o;
    uint64_t next; /* the number of the event that comes next */
    buf out, encoded;
} following;

/* "body" comes last; what stands behind its name is printed as it is. */
static bytes body_of(bytes json)
{
    static const char name[] = "\"body\":";
    const uint8_t *at = memmem(json.data, json.size, name, sizeof name - 1);
    if (!at) return bytes_of("", 0);
    at += sizeof name - 1;
    return bytes_of(at, (size_t)(json.data + json.size - at) - 1);
}

static void put_text(following *f, bytes json)
{
    mem_arena arena;
    arena_init(&arena);
    bytes object = buf_bytes(&f->encoded);
    const char *kind = relay_text(&arena, object, "kind");
    bytes body = body_of(json);
    log_put_head(&f->out, (uint64_t)relay_number(object, "seq"), relay_number(object, "at_us"),
                 kind ? kind : "");
    buf_append(&f->out, body.data, body.size);
    arena_deinit(&arena);
}

/* One event, as an object on one line. */
static bool take(void *ctx, bytes json)
{
    following *f = ctx;
    buf_clear(&f->encoded);
    if (value_from_json(json, &f->encoded, &(weir_error){0}) != 0) return true;
    int64_t seq = relay_number(buf_bytes(&f->encoded), "seq");
    if (seq <= 0) return true;
    f->next = (uint64_t)seq + 1;
    if (f->o->json) buf_append(&f->out, json.data, json.size);
    else put_text(f, json);
    buf_byte(&f->out, '\n');
    print_out(&f->out);
    print_flush();
    return !print_has_failed();
}

static int ask_database(following *f)
{
    int rc = 1;
    buf json;
    buf_init(&json);
    while (rc == 1) {
        uint64_t before = f->next;
        db_refresh(f->q.d);
        db_stmt *s = QUERY_ASK(&f->q, SQL_DOOR_EVENTS, f->next, AT_ONCE);
        rc = s ? query_step(&f->q, s) : f->q.err.code;
        for (; rc == 1; rc = query_step(&f->q, s)) {
            buf_clear(&json);
            if ((rc = log_put_event(&json, s, &f->q.err)) != 0) break;
            if (!take(f, buf_bytes(&json)))
                rc = error_set(&f->q.err, WEIR_CANCELLED, "nobody reads");
            if (rc != 0) break;
        }
        if (s) db_reset(s);
        if (rc == 0 && f->next - before >= AT_ONCE) rc = 1;
    }
    buf_deinit(&json);
    return rc;
}

static int ask_watch(following *f)
{
    remote *r = NULL;
    int rc = remote_open(&r, &f->q.project, REMOTE_BRIEFLY, &f->q.err);
    if (rc == 0) rc = remote_follow(r, f->next, take, f, &f->q.err);
    remote_close(r);
    if (rc == WEIR_CANCELLED) return rc;
    error_clear(&f->q.err); /* none, another version, or it has ended: the database says the same */
    return 0;
}

static int follow(following *f)
{
    int rc = 0;
    while (rc == 0 && session_signal_count() == 0 && !print_has_failed()) {
        rc = ask_watch(f);
        if (rc == 0) rc = ask_database(f);
        if (rc == 0) (void)poll(NULL, 0, ASK_MS);
    }
    return rc;
}

int log_follow(const options *o)
{
    following f = {.o = o};
    int rc = query_open_as_is(&f.q, o);
    if (rc == 0 && o->word_count)
        rc = query_fail(&f.q, WEIR_USAGE, "--follow is the whole log, not that of a node");
    uint64_t count = o->count < 0 ? SHOWN : (uint64_t)o->count;
    if (rc == 0) rc = log_first_event(&f.q, o, count == 0 ? INT64_MAX : count, &f.next);
    session_catch_signals();
    if (rc == 0) rc = follow(&f);
    buf_deinit(&f.out);
    buf_deinit(&f.encoded);
    int number = session_signal();
    if (rc == WEIR_CANCELLED || (rc == 0 && number)) {
        query_close(&f.q);
        return print_end(number ? EXIT_SIGNAL + number : EXIT_DONE);
    }
    return query_end(&f.q, rc, EXIT_DONE);
}
