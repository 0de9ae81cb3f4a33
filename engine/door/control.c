/*
 * control.c - the socket of a watch, its clients, and their bytes. What they ask: control_job.c.
 */
#include "engine/door/control_internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/door/relay.h"
#include "engine/store/jsonout.h"
#include "engine/store/value.h"

enum { PIECE = 64 * 1024, NAME_OF_ERROR = 600 };

static void on_knock(uv_poll_t *poll, int status, int events);

/* Descriptors may be free again. */
static void hear(control *x)
{
    if (x->is_deaf) uv_poll_start(x->listening, UV_READABLE, on_knock);
    x->is_deaf = false;
}

/* --- a client ------------------------------------------------------------------------------------------------------ */

static void free_client(uv_handle_t *handle)
{
    client *c = handle->data;
    if (--c->handles > 0) return;
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    mem_free(c);
}

void client_close(client *c)
{
    if (c->is_closed) return;
    c->is_closed = true;
    control_leave(c);
    if (c->prev) c->prev->next = c->next;
    else c->control->clients = c->next;
    if (c->next) c->next->prev = c->prev;
    c->control->client_count--;
    c->handles = 2;
    uv_close((uv_handle_t *)&c->poll, free_client);
    uv_close((uv_handle_t *)&c->timer, free_client);
    os_close(c->fd);
    c->fd = -1;
    hear(c->control);
}

static void on_ready(uv_poll_t *poll, int status, int events);

static size_t unsent(const client *c)
{
    return c->out.size - c->sent;
}

void client_send(client *c)
{
    if (c->is_closed) return;
    while (unsent(c) > 0 && !c->out.failed) {
        ssize_t n = os_socket_send(c->fd, c->out.data + c->sent, unsent(c), &(weir_error){0});
        if (n < 0) {
            client_close(c);
            return;
        }
        if (n == 0) break;
        c->sent += (size_t)n;
    }
    if (c->out.failed || unsent(c) > CONTROL_KEPT) {
        client_close(c);
        return;
    }
    if (unsent(c) == 0) {
        buf_clear(&c->out);
        c->sent = 0;
    }
    if (unsent(c) == 0 && c->leaving) client_close(c);
    else
        uv_poll_start(&c->poll, (c->leaving ? 0 : UV_READABLE) | (unsent(c) > 0 ? UV_WRITABLE : 0),
                      on_ready);
}

void client_refuse(client *c, const char *error, const char *format, ...)
{
    char text[NAME_OF_ERROR];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    jsonout_open(&c->out, '{');
    jsonout_member(&c->out, "error", bytes_str(error));
    jsonout_member(&c->out, "message", bytes_str(text));
    buf_text(&c->out, "}\n");
    c->leaving = true;
    if (!c->is_closed) uv_timer_start(&c->timer, client_on_time, CONTROL_GREET_MS, 0);
    client_send(c);
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

static void greet(client *c, bytes object)
{
    mem_arena arena;
    arena_init(&arena);
    const char *version = relay_text(&arena, object, "weir");
    int64_t protocol = relay_number(object, "protocol");
    if (protocol == CONTROL_PROTOCOL && (!version || strcmp(version, WEIR_VERSION) == 0)) {
        c->greeted = true;
        uv_timer_stop(&c->timer);
    } else {
        client_refuse(c, "version",
                      "the watch is weir %s, protocol %d, and was asked by weir %s, protocol %lld",
                      WEIR_VERSION, CONTROL_PROTOCOL, version ? version : "(no version)",
                      (long long)protocol);
    }
    arena_deinit(&arena);
}

static void take_line(client *c, bytes line)
{
    buf encoded;
    value_item item;
    weir_error err = {0};
    buf_init(&encoded);
    int rc = value_from_json(line, &encoded, &err);
    value_reader r = value_read(buf_bytes(&encoded));
    if (rc != 0) client_refuse(c, "request", "this is not understood: %s", err.message);
    else if (!value_next(&r, &item) || item.type != VALUE_OBJECT)
        client_refuse(c, "request", "a line is one JSON object");
    else if (!c->greeted) greet(c, buf_bytes(&encoded));
    else control_take(c, buf_bytes(&encoded));
    buf_deinit(&encoded);
}

/* Whole lines; what is left of the last one stays. */
static void take_lines(client *c)
{
    size_t at = 0;
    while (!c->is_closed && !c->leaving && at < c->in.size) {
        const uint8_t *end = memchr(c->in.data + at, '\n', c->in.size - at);
        if (!end) break;
        size_t size = (size_t)(end - (c->in.data + at));
        if (size > 0) take_line(c, bytes_of(c->in.data + at, size));
        at += size + 1;
    }
    if (c->is_closed) return;
    if (at > 0) memmove(c->in.data, c->in.data + at, c->in.size - at);
    c->in.size -= at;
    if (c->leaving) buf_clear(&c->in);
    else if (c->in.failed || c->in.size >= CONTROL_LINE)
        client_refuse(c, "request", "a line has at most %d bytes", CONTROL_LINE);
}

static void receive(client *c)
{
    bool ended = false;
    uint8_t *room = buf_reserve(&c->in, PIECE);
    ssize_t n = room ? os_socket_receive(c->fd, room, PIECE, &ended, &(weir_error){0}) : WEIR_NOMEM;
    if (n < 0 || ended) {
        client_close(c);
        return;
    }
    buf_commit(&c->in, (size_t)n);
    if (n > 0) take_lines(c);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    client *c = poll->data;
    if (status < 0) {
        client_close(c);
        return;
    }
    if (events & UV_READABLE) receive(c);
    if (!c->is_closed && events & UV_WRITABLE) client_send(c);
    if (!c->is_closed && c->follows && events & UV_WRITABLE) control_pump(c);
}

void client_on_time(uv_timer_t *timer)
{
    client *c = timer->data;
    if (!c->greeted || c->leaving) client_close(c);
    else control_timeout(c);
}

/* --- those who come ------------------------------------------------------------------------------------------------ */

static void say_hello(client *c)
{
    jsonout_open(&c->out, '{');
    jsonout_member(&c->out, "weir", bytes_str(WEIR_VERSION));
    jsonout_key(&c->out, "protocol");
    jsonout_signed(&c->out, CONTROL_PROTOCOL);
    jsonout_key(&c->out, "process");
    jsonout_signed(&c->out, (int64_t)getpid());
    jsonout_member(&c->out, "workflow", bytes_str(c->control->project->workflow));
    buf_text(&c->out, "}\n");
    client_send(c);
}

static void admit(control *x, int fd)
{
    client *c = mem_zero(1, sizeof *c);
    int64_t uid = -1;
    if (!c) {
        os_close(fd);
        return;
    }
    *c = (client){.control = x, .fd = fd, .next = x->clients};
    bool is_known =
        os_socket_peer(fd, &uid, &c->pid, &(weir_error){0}) == 0 && uid == (int64_t)geteuid();
    uv_poll_init(uv_handle_get_loop((uv_handle_t *)x->listening), &c->poll, fd);
    uv_timer_init(uv_handle_get_loop((uv_handle_t *)x->listening), &c->timer);
    c->poll.data = c->timer.data = c;
    uv_unref((uv_handle_t *)&c->poll);
    uv_unref((uv_handle_t *)&c->timer);
    if (x->clients) x->clients->prev = c;
    x->clients = c;
    x->client_count++;
    uv_timer_start(&c->timer, client_on_time, CONTROL_GREET_MS, 0);
    if (!is_known) client_refuse(c, "user", "this watch belongs to another user");
    else if (x->client_count > CONTROL_CLIENTS)
        client_refuse(c, "full", "%d ask already", CONTROL_CLIENTS);
    else say_hello(c);
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
    control *x = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
        int fd = os_socket_accept(x->fd, &(weir_error){0});
        if (fd >= 0) admit(x, fd);
        x->is_deaf = fd < 0 && fd != WEIR_NOTFOUND; /* else it would knock on and on */
        if (fd < 0) break;
    }
    if (x->is_deaf) uv_poll_stop(poll);
}

/* --- open and close ------------------------------------------------------------------------------------------------ */

static void on_recorded(void *ctx, uint64_t seq)
{
    control *x = ctx;
    x->recorded = seq;
    hear(x);
    for (client *c = x->clients, *next; c; c = next) {
        next = c->next;
        if (c->follows) control_pump(c);
    }
}

static void free_listening(uv_handle_t *handle)
{
    mem_free(handle);
}

static int listen_at(control *x, weir_error *err)
{
    int rootfd = os_openat(AT_FDCWD, x->project->root, OS_READ | OS_FOLDER, 0, err);
    if (rootfd < 0) return rootfd;
    x->weirfd = os_openat(rootfd, ".weir", OS_READ | OS_FOLDER, 0, err);
    os_close(rootfd);
    if (x->weirfd < 0) return x->weirfd;
    x->fd = os_socket_listen(x->weirfd, "socket", err);
    if (x->fd < 0) return x->fd;
    x->listening = mem_zero(1, sizeof *x->listening);
    if (!x->listening) return error_nomem(err, "listening at .weir/socket");
    uv_poll_init(watching_loop(x->engine), x->listening, x->fd);
    x->listening->data = x;
    uv_unref((uv_handle_t *)x->listening);
    uv_poll_start(x->listening, UV_READABLE, on_knock);
    return 0;
}

int control_open(control **out, weir *engine, const project *p, const weir_request *own,
                 weir_error *err)
{
    *out = NULL;
    control *x = mem_zero(1, sizeof *x);
    if (!x) return error_nomem(err, "listening at .weir/socket");
    *x = (control){.engine = engine, .project = p, .own = own, .weirfd = -1, .fd = -1};
    int rc = listen_at(x, err);
    if (rc != 0) {
        control_close(x);
        return rc;
    }
    watching_when_recorded(engine, on_recorded, x);
    *out = x;
    return 0;
}

void control_close(control *x)
{
    if (!x) return;
    if (x->fd >= 0) os_unlinkat(x->weirfd, "socket", NULL);
    if (x->listening) watching_when_recorded(x->engine, NULL, NULL);
    while (x->clients) client_close(x->clients);
    control_free_jobs(x);
    if (x->listening) uv_close((uv_handle_t *)x->listening, free_listening);
    db_close(x->reader);
    os_close(x->fd);
    os_close(x->weirfd);
    mem_free(x);
}
