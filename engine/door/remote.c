/*
 * remote.c - see remote.h.
 */
#include "engine/door/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/door/control.h"
#include "engine/door/holder.h"
#include "engine/door/print.h"
#include "engine/door/relay.h"
#include "engine/door/session.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"

enum { PIECE = 64 * 1024, ANSWER_MS = 10000, LOOK_MS = 2000, INSIDE_MS = 1000, CANCELS = 2, PATIENT_MS = 1000 };

struct remote {
    const project *project;
    int fd;
    int64_t process; /* of the watch */
    buf in, line, encoded;
    size_t at;   /* bytes of `in` that were read as lines */
    int cancels; /* sent */
    int signals; /* passed on so far */
    bool has_ended;
};

/* --- bytes --------------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

/* Until something is there, a signal comes, or the time is over (-1: none). Signals are let through only here, so none is missed. */
static void await(remote *r, short events, int64_t deadline_ms)
{
    sigset_t ours, before;
    struct pollfd p = {.fd = r->fd, .events = events};
    int64_t left = deadline_ms < 0 ? 0 : deadline_ms - now_ms();
    struct timespec wait = {.tv_sec = (time_t)(left / 1000),
                            .tv_nsec = (long)(left % 1000) * 1000000};
    if (deadline_ms >= 0 && left <= 0) return;
    session_signals(&ours);
    sigprocmask(SIG_BLOCK, &ours, &before);
    if (session_signal_count() == r->signals)
        (void)ppoll(&p, 1, deadline_ms < 0 ? NULL : &wait, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static int send_all(remote *r, buf *text, weir_error *err)
{
    size_t sent = 0;
    if (text->failed) return error_nomem(err, "asking the watch");
    while (sent < text->size) {
        ssize_t n = os_socket_send(r->fd, text->data + sent, text->size - sent, err);
        if (n < 0) return error_set(err, WEIR_NOTFOUND, "the watch has ended");
        sent += (size_t)n;
        if (n == 0) await(r, POLLOUT, now_ms() + ANSWER_MS);
        if (n == 0 && session_signal_count() > r->signals)
            return error_set(err, WEIR_CANCELLED, "interrupted");
    }
    buf_clear(text);
    return 0;
}

/* The next whole line, without its end; 1, or 0: there is none yet. Borrowed until the next call. */
static int cut_line(remote *r, bytes *line)
{
    const uint8_t *from = r->in.data + r->at;
    const uint8_t *end = r->in.size > r->at ? memchr(from, '\n', r->in.size - r->at) : NULL;
    if (!end) return 0;
    *line = bytes_of(from, (size_t)(end - from));
    r->at += line->size + 1;
    return 1;
}

static int receive(remote *r, weir_error *err)
{
    bool ended = false;
    if (r->at > 0) memmove(r->in.data, r->in.data + r->at, r->in.size - r->at);
    r->in.size -= r->at;
    r->at = 0;
    uint8_t *room = buf_reserve(&r->in, PIECE);
    if (!room) return error_nomem(err, "listening to the watch");
    ssize_t n = os_socket_receive(r->fd, room, PIECE, &ended, err);
    if (n < 0 || ended) {
        r->has_ended = true;
        return error_set(err, WEIR_NOTFOUND, "the watch has ended");
    }
    buf_commit(&r->in, (size_t)n);
    return 0;
}

/* As for an engine of one's own; who asks a third time does not want to wait for the answer. */
static int cancel(remote *r, weir_error *err)
{
    if (++r->cancels > CANCELS) return error_set(err, WEIR_CANCELLED, "interrupted");
    r->signals++;
    buf_text(&r->line, "{\"ask\":\"cancel\"}\n");
    return send_all(r, &r->line, err);
}

/* A line; WEIR_BUSY: the time is over. Signals are passed on meanwhile (or end it: WEIR_CANCELLED). */
static int next_line(remote *r, int64_t deadline_ms, bool passes_on, bytes *line, weir_error *err)
{
    for (;;) {
        if (r->in.data && cut_line(r, line)) return 0;
        int rc = receive(r, err);
        if (rc != 0) return rc;
        if (cut_line(r, line)) return 0;
        if (session_signal_count() > r->signals) {
            rc = passes_on ? cancel(r, err) : error_set(err, WEIR_CANCELLED, "interrupted");
            if (rc != 0) return rc;
        }
        if (deadline_ms >= 0 && now_ms() >= deadline_ms)
            return error_set(err, WEIR_BUSY, "the watch does not answer");
        await(r, POLLIN, deadline_ms);
    }
}

/* A line as an encoding in r->encoded; {"error"} as an error. */
static int next_object(remote *r, int64_t deadline_ms, bool passes_on, weir_error *err)
{
    bytes line = {0};
    int rc = next_line(r, deadline_ms, passes_on, &line, err);
    if (rc != 0) return rc;
    buf_clear(&r->encoded);
    rc = value_from_json(line, &r->encoded, err);
    if (rc != 0) {
        weir_error why = *err;
        return error_set(err, WEIR_LOCKED, "what listens at .weir/socket is not understood: %s",
                         why.message);
    }
    mem_arena arena;
    arena_init(&arena);
    const char *error = relay_text(&arena, buf_bytes(&r->encoded), "error");
    const char *message = relay_text(&arena, buf_bytes(&r->encoded), "message");
    if (error)
        rc = error_set(err, WEIR_LOCKED, "process %lld, a watch, refuses: %s",
                       (long long)r->process, message ? message : error);
    arena_deinit(&arena);
    return rc;
}

/* --- opening ------------------------------------------------------------------------------------------------------- */

static int connect_to(remote *r, weir_error *err)
{
    int64_t uid = -1;
    int rootfd = os_openat(AT_FDCWD, r->project->root, OS_READ | OS_FOLDER, 0, err);
    if (rootfd < 0) return rootfd;
    int weirfd = os_openat(rootfd, ".weir", OS_READ | OS_FOLDER, 0, err);
    os_close(rootfd);
    if (weirfd < 0) return weirfd;
    r->fd = os_socket_connect(weirfd, "socket", err);
    os_close(weirfd);
    if (r->fd < 0)
        return r->fd == WEIR_BUSY
                   ? error_set(err, WEIR_LOCKED,
                               "a watch works in %s, and does not answer; is it stopped?",
                               r->project->root)
                   : r->fd;
    int rc = os_socket_peer(r->fd, &uid, &r->process, err);
    if (rc == 0 && uid != (int64_t)geteuid())
        rc = error_set(err, WEIR_LOCKED, "a watch of another user (process %lld) works in %s",
                       (long long)r->process, r->project->root);
    return rc;
}

static int say_hello(remote *r, weir_error *err)
{
    jsonout_open(&r->line, '{');
    jsonout_member(&r->line, "weir", bytes_str(WEIR_VERSION));
    jsonout_key(&r->line, "protocol");
    jsonout_signed(&r->line, CONTROL_PROTOCOL);
    buf_text(&r->line, "}\n");
    return send_all(r, &r->line, err);
}

static int say_silent(const remote *r, weir_error *err)
{
    const char *root = r->project->root;
    if (holder_is_stopped(r->process))
        return error_set(err, WEIR_LOCKED,
                         "the watch in %s (process %lld) does not answer: it is stopped; continue "
                         "it (fg, or kill -CONT %lld), or end it",
                         root, (long long)r->process, (long long)r->process);
    return error_set(err, WEIR_LOCKED,
                     "the watch in %s (process %lld) is at work, and does not answer yet", root,
                     (long long)r->process);
}

/* It answers when its loop turns: not while it looks at a large tree for the first time. */
static int await_hello(remote *r, remote_patience patience, int64_t wait_ms, weir_error *err)
{
    bool waits = patience != REMOTE_BRIEFLY && !holder_is_inside();
    bool is_told = patience != REMOTE_WAITS;
    if (waits) wait_ms = PATIENT_MS;
    for (;;) {
        int rc = next_object(r, now_ms() + wait_ms, false, err);
        if (rc != WEIR_BUSY) return rc;
        if (!waits || holder_is_stopped(r->process)) return say_silent(r, err);
        if (!is_told)
            print_message("the watch (process %lld) is at work, and does not answer yet; waiting "
                          "for it, ^C gives up",
                          (long long)r->process);
        is_told = true;
    }
}

static int check_hello(remote *r, weir_error *err)
{
    mem_arena arena;
    arena_init(&arena);
    const char *version = relay_text(&arena, buf_bytes(&r->encoded), "weir");
    int64_t protocol = relay_number(buf_bytes(&r->encoded), "protocol");
    int rc = 0;
    if (!version || strcmp(version, WEIR_VERSION) != 0 || protocol != CONTROL_PROTOCOL)
        rc = error_set(
            err, WEIR_LOCKED,
            "the watch in %s (process %lld) is weir %s, this is weir %s; end it and start it anew",
            r->project->root, (long long)r->process, version ? version : "of no version",
            WEIR_VERSION);
    arena_deinit(&arena);
    return rc;
}

static int open_within(remote **out, const project *p, remote_patience patience, int64_t wait_ms,
                       weir_error *err)
{
    *out = NULL;
    weir_error local = {0};
    if (!err) err = &local;
    remote *r = mem_zero(1, sizeof *r);
    if (!r) return error_nomem(err, "asking the watch");
    *r = (remote){.project = p, .fd = -1, .signals = session_signal_count()};
    session_catch_signals();
    int rc = connect_to(r, err);
    if (rc == 0) rc = say_hello(r, err);
    if (rc == 0) rc = await_hello(r, patience, wait_ms, err);
    if (rc == 0) rc = check_hello(r, err);
    if (rc == 0) *out = r;
    else remote_close(r);
    return rc;
}

int remote_open(remote **out, const project *p, remote_patience patience, weir_error *err)
{
    return open_within(out, p, patience, ANSWER_MS, err);
}

void remote_close(remote *r)
{
    if (!r) return;
    os_close(r->fd);
    buf_deinit(&r->in);
    buf_deinit(&r->line);
    buf_deinit(&r->encoded);
    mem_free(r);
}

/* --- asking -------------------------------------------------------------------------------------------------------- */

static void put_texts(buf *to, const char *name, const char *const *texts, size_t count)
{
    jsonout_key(to, name);
    jsonout_open(to, '[');
    for (size_t i = 0; i < count; i++) relay_put_bytes(to, bytes_str(texts[i]));
    jsonout_close(to, ']');
}

static void put_values(buf *to, const weir_request *q)
{
    jsonout_key(to, "values");
    jsonout_open(to, '[');
    for (size_t i = 0; i < q->value_count; i++) {
        jsonout_open(to, '{');
        jsonout_key(to, "name");
        relay_put_bytes(to, bytes_str(q->values[i].name));
        if (q->values[i].json) jsonout_key(to, "json");
        if (q->values[i].json) relay_put_bytes(to, bytes_str(q->values[i].json));
        jsonout_close(to, '}');
    }
    jsonout_close(to, ']');
}

static void put_flag(buf *to, const char *name, bool is)
{
    if (!is) return;
    jsonout_key(to, name);
    jsonout_bool(to, true);
}

static void put_limit(buf *to, const char *name, uint64_t limit)
{
    if (limit == 0) return;
    jsonout_key(to, name);
    jsonout_number(to, limit);
}

static int send_question(remote *r, const char *ask, const weir_request *q, weir_error *err)
{
    buf *to = &r->line;
    size_t variables = 0;
    while (environ && environ[variables]) variables++;
    jsonout_open(to, '{');
    jsonout_member(to, "ask", bytes_str(ask));
    jsonout_member(to, "workflow", bytes_str(r->project->workflow));
    put_texts(to, "targets", q->targets, q->target_count);
    put_values(to, q);
    put_flag(to, "force", (q->flags & WEIR_RUN_FORCE) != 0);
    put_flag(to, "stop_first", (q->flags & WEIR_RUN_STOP_FIRST) != 0);
    put_limit(to, "jobs", q->jobs > 0 ? (uint64_t)q->jobs : 0);
    put_limit(to, "mem_bytes", q->mem_bytes);
    if (q->has_load) {
        jsonout_key(to, "load");
        buf_printf(to, "%.17g", q->load);
    }
    put_texts(to, "environment", (const char *const *)environ, variables);
    buf_text(to, "}\n");
    if (to->size > CONTROL_LINE)
        return error_set(err, WEIR_LIMIT, "the question to the watch is too long (%zu bytes)",
                         to->size);
    return send_all(r, to, err);
}

static void say_queued(const remote *r, const remote_question *q)
{
    if (!q->quiet)
        print_message("the watch (process %lld) is at work; this comes next",
                      (long long)r->process);
}

int remote_ask(remote *r, const remote_question *q, weir_summary *summary, int *rc, weir_error *err)
{
    relay_reader reader;
    int64_t deadline = -1;
    relay_reader_init(&reader);
    int end = send_question(r, q->ask, q->request, err);
    relay_kind kind = RELAY_OTHER;
    while (end == 0 && kind != RELAY_END) {
        weir_event event;
        weir_diagnostic diagnostic;
        end = next_object(r, deadline, true, err);
        if (end == WEIR_BUSY)
            end = error_set(
                err, WEIR_LOCKED,
                "process %lld, a watch, is at work on what started this; it cannot be waited for here",
                (long long)r->process);
        if (end != 0) break;
        bytes object = buf_bytes(&r->encoded);
        kind = relay_read(&reader, object, &event, &diagnostic);
        bool is_queued = kind == RELAY_OTHER && relay_is_true(object, "queued");
        if (is_queued) say_queued(r, q);
        deadline = is_queued && holder_is_inside() ? now_ms() + INSIDE_MS : -1;
        if (kind == RELAY_EVENT && q->listener) q->listener(q->listener_ctx, &event);
    }
    if (end == 0) relay_read_end(buf_bytes(&r->encoded), summary, rc, err);
    relay_reader_deinit(&reader);
    return end;
}

/* --- looking ------------------------------------------------------------------------------------------------------- */

static bool await_look(remote *r, bool *busy, weir_error *err)
{
    buf_text(&r->line, "{\"ask\":\"look\"}\n");
    int rc = send_all(r, &r->line, err);
    if (rc == 0) rc = next_object(r, now_ms() + LOOK_MS, false, err);
    *busy = rc == WEIR_BUSY || (rc == 0 && relay_is_true(buf_bytes(&r->encoded), "busy"));
    return rc == 0 || rc == WEIR_BUSY;
}

static bool is_here;

void remote_is_here(void)
{
    is_here = true;
}

void remote_look(const project *p, const options *o)
{
    if (is_here) return;
    remote *r = NULL;
    weir_error err = {0};
    bool busy = false;
    int rc = open_within(&r, p, REMOTE_BRIEFLY, LOOK_MS, &err);
    bool has_looked = rc == 0 && await_look(r, &busy, &err);
    if (o->quiet || holder_is_inside()) {
        /* who asks from within a run knows that it goes on */
    } else if (rc == WEIR_LOCKED) {
        print_message("%s", err.message);
    } else if (has_looked && busy) {
        print_message(
            "the watch (process %lld) is at work, or paused: this is what is recorded so far",
            (long long)r->process);
    }
    remote_close(r);
    session_release_signals();
}

int remote_follow(remote *r, uint64_t from, bool (*take)(void *ctx, bytes json), void *ctx,
                  weir_error *err)
{
    bytes one = {0};
    buf_printf(&r->line, "{\"ask\":\"events\",\"from\":%llu}\n", (unsigned long long)from);
    int rc = send_all(r, &r->line, err);
    while (rc == 0 && (rc = next_line(r, -1, false, &one, err)) == 0)
        if (!take(ctx, one)) rc = error_set(err, WEIR_CANCELLED, "nobody reads");
    if (rc != WEIR_NOTFOUND) return rc;
    error_clear(err);
    return 0;
}
