/*
 * orphan.c - processes that a command left behind, of this engine and of an earlier one.
 *
 * The engine is a subreaper: what loses its parent below it becomes its child. Those in the command's group are found by the
 * group; one that left it (setsid, a daemon) by WEIR_TOKEN in its environment. Looking costs one read of our list of
 * children when a command ends; only a pid that is neither a running command nor known already has its environment
 * read. The script host and the workers are children too, of another module, which waits for them by pid: they carry no token of a
 * command and are never signalled. A dead child is reaped here when it is in the group of a command or carries its token, or when
 * nobody has waited for it in DEAD_NS: then it is nobody's.
 *
 * What clears its environment and leaves the group escapes; a pid name space would be the only fence.
 *
 * Loop thread. The kernel's list may miss one child while another one ends; such a one is found when the next command ends
 * only if it is that one's: a rare loss, and no wrong result, since outputs are stat'ed again before they are believed.
 */
#include "engine/world/orphan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/world/process.h"

enum {
    ENVIRONMENT_MOST = 8 * 1024 * 1024,
    CHILDREN_STEP = 4096,
    SLOWEST_POLL_MS = 20,
    GIVE_UP_ROUNDS = 10,
    EMPTY_TRIES = 5,
    EMPTY_LOOKS = 2,
    LOOKS = 3
};
static const int64_t DEAD_NS = INT64_C(30) * 1000000000;
static const int64_t DEAD_CHECK_NS = INT64_C(10) * 1000000000;
static const int64_t GIVE_UP_NS = INT64_C(1000000000);

/* --- the token of a process -------------------------------------------------------------------------------------- */

static hash128 find_token(bytes environment)
{
    static const char name[] = "WEIR_TOKEN=";
    size_t size = sizeof name - 1;
    hash128 token = HASH_NONE;
    for (bytes left = environment; left.size > 0;) {
        const uint8_t *nul = memchr(left.data, 0, left.size);
        size_t one = nul ? (size_t)(nul - left.data) : left.size;
        if (one == size + HASH_HEX - 1 && memcmp(left.data, name, size) == 0) {
            char hex[HASH_HEX];
            memcpy(hex, left.data + size, HASH_HEX - 1);
            hex[HASH_HEX - 1] = '\0';
            if (hash_parse(hex, &token)) return token;
        }
        if (!nul) break;
        left = (bytes){nul + 1, left.size - one - 1};
    }
    return HASH_NONE;
}

/* HASH_NONE: it has none, is dead, or is not ours to look at. *is_empty: not even one variable, as in the middle of exec. */
static hash128 token_of(int64_t pid, bool *is_empty)
{
    char path[64];
    buf environment;
    buf_init(&environment);
    snprintf(path, sizeof path, "/proc/%lld/environ", (long long)pid);
    int rc = os_read_file(AT_FDCWD, path, ENVIRONMENT_MOST, &environment, NULL);
    hash128 token = rc == 0 ? find_token(buf_bytes(&environment)) : HASH_NONE;
    *is_empty = rc == 0 && environment.size == 0;
    buf_deinit(&environment);
    return token;
}

/* --- reaping ----------------------------------------------------------------------------------------------------- */

/* @return 1: one was reaped; 0: none is dead; -1: no such child */
static int reap(idtype_t type, int64_t id, int flags)
{
    siginfo_t info;
    info.si_pid = 0;
    if (waitid(type, (id_t)id, &info, WEXITED | WNOHANG | flags) != 0)
        return errno == EINTR ? 0 : -1;
    return info.si_pid != 0;
}

/* The usual answer, "no such group", takes one call. The dead count as members until they are reaped. */
bool orphan_end_group(int64_t group, int signal)
{
    if (kill((pid_t)-group, signal) != 0) return errno == EPERM;
    if (signal == SIGTERM) kill((pid_t)-group, SIGCONT); /* a stopped one must wake up to end */
    while (reap(P_PGID, group, 0) > 0) continue;
    return kill((pid_t)-group, 0) == 0 || errno == EPERM;
}

/* --- our children ------------------------------------------------------------------------------------------------ */

void orphan_open(orphan_watch *w, bool (*is_own)(void *ctx, int64_t pid), void *ctx)
{
    char path[64];
    *w = (orphan_watch){.is_own = is_own, .ctx = ctx};
    /* The kernel gives orphans to the first living thread of the subreaper: the main one. */
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    w->fd = os_openat(AT_FDCWD, path, OS_READ, 0, NULL);
    if (w->fd < 0) w->fd = -1;
    w->dead_check_ns = os_monotonic_ns() + DEAD_CHECK_NS;
}

void orphan_close(orphan_watch *w)
{
    os_close(w->fd);
    mem_free(w->known);
    *w = (orphan_watch){.fd = -1};
}

/* "12 345 6 " */
static bool read_children(const orphan_watch *w, buf *to)
{
    for (;;) {
        uint8_t *at = buf_reserve(to, CHILDREN_STEP);
        if (!at) return false;
        ssize_t got = pread(w->fd, at, CHILDREN_STEP - 1, (off_t)to->size);
        if (got < 0) return false;
        buf_commit(to, (size_t)got);
        if (got == 0 || got < CHILDREN_STEP / 2)
            break; /* the kernel fills less than a page only at the end */
    }
    return buf_cstr(to) != NULL;
}

static orphan *find(orphan_watch *w, int64_t pid)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->known[i].pid == pid) return &w->known[i];
    if (!MEM_GROW(w->known, w->capacity, w->count + 1)) return NULL;
    orphan *o = &w->known[w->count++];
    *o = (orphan){.pid = pid, .tries_left = EMPTY_TRIES};
    return o;
}

/* Reads the environment until there is one. @return false: in the middle of exec, as far as one can tell */
static bool learn_token(orphan *o)
{
    bool is_empty = false;
    if (o->tries_left == 0) return true;
    o->token = token_of(o->pid, &is_empty);
    if (!is_empty || reap(P_PID, o->pid, WNOWAIT) != 0) o->tries_left = 1; /* the dead have none */
    return --o->tries_left == 0;
}

/* A dead child of nobody: seen dead twice, long apart. */
static void reap_forgotten(orphan *o, int64_t now_ns)
{
    if (reap(P_PID, o->pid, WNOWAIT) <= 0) {
        o->dead_since_ns = 0;
    } else if (o->dead_since_ns == 0) {
        o->dead_since_ns = now_ns;
    } else if (now_ns - o->dead_since_ns >= DEAD_NS) {
        (void)reap(P_PID, o->pid, 0);
    }
}

/* Is it one of the command's? One that is reaped counts too: its children became ours after the list was read. */
static bool end_one(orphan *o, hash128 token, int signal)
{
    if (hash_is_none(o->token) || !hash_equal(o->token, token)) return false;
    if (reap(P_PID, o->pid, 0) != 0) return true;
    if (signal) kill((pid_t)o->pid, signal);
    if (signal == SIGTERM) kill((pid_t)o->pid, SIGCONT);
    return true;
}

/* Forgets those that are no children any more. */
static void drop_unseen(orphan_watch *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (!w->known[i].is_seen) continue;
        w->known[kept] = w->known[i];
        w->known[kept++].is_seen = false;
    }
    w->count = kept;
}

size_t orphan_end(orphan_watch *w, hash128 token, int signal)
{
    char space[CHILDREN_STEP];
    buf large;
    size_t living = 0;
    if (w->fd < 0) return 0;
    buf_init(&large);
    /* Nearly always one read without memory is enough. */
    ssize_t got = pread(w->fd, space, sizeof space - 1, 0);
    const char *text = space;
    space[got > 0 ? got : 0] = '\0';
    if (got > CHILDREN_STEP / 2) text = read_children(w, &large) ? (const char *)large.data : "";

    int64_t now_ns = os_monotonic_ns();
    bool is_check = now_ns >= w->dead_check_ns;
    if (is_check) w->dead_check_ns = now_ns + DEAD_CHECK_NS;
    for (char *end; *text; text = end) {
        int64_t pid = strtoll(text, &end, 10);
        if (end == text) break;
        orphan *o = w->is_own(w->ctx, pid) ? NULL : find(w, pid);
        if (!o) continue;
        o->is_seen = true;
        if (!learn_token(o)) living++; /* perhaps: look again */
        else if (end_one(o, token, signal)) living++;
        else if (is_check) reap_forgotten(o, now_ns);
    }
    drop_unseen(w);
    buf_deinit(&large);
    return living;
}

/* --- of an earlier engine ---------------------------------------------------------------------------------------- */

typedef struct leftover {
    hash128 token;
    int64_t group; /* 0: unknown */
    int64_t *signalled;
    size_t count, capacity;
    int64_t last; /* the last one that was found alive */
    size_t living; /* at the last look */
    int64_t late_ns; /* from then on KILL */
    int wait_ms, rounds_late, empty_looks;
} leftover;

/* State and group of a process, from /proc/PID/stat. */
static bool read_stat(int64_t pid, char *state, int64_t *group)
{
    char path[64];
    buf text;
    buf_init(&text);
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    int rc = os_read_file(AT_FDCWD, path, 64 * 1024, &text, NULL);
    const char *all = rc == 0 ? buf_cstr(&text) : NULL;
    const char *at = all ? strrchr(all, ')') : NULL; /* the name before it may hold anything */
    long long parent;
    long long number;
    bool ok = at && sscanf(at, ") %c %lld %lld", state, &parent, &number) == 3;
    if (ok) *group = number;
    buf_deinit(&text);
    return ok;
}

static bool belongs(const leftover *l, int64_t pid)
{
    char state = '\0';
    int64_t group = 0;
    if (pid <= 1 || pid == getpid() || !read_stat(pid, &state, &group) || state == 'Z' ||
        state == 'X')
        return false;
    if (l->group > 0 && group == l->group) return true;
    bool is_empty;
    return hash_equal(token_of(pid, &is_empty), l->token);
}

static bool was_signalled(const leftover *l, int64_t pid)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->signalled[i] == pid) return true;
    return false;
}

/* TERM once for each, KILL as often as needed. */
static int end_process(leftover *l, int64_t pid, bool is_late, weir_error *err)
{
    if (is_late) {
        kill((pid_t)pid, SIGKILL);
        return 0;
    }
    if (was_signalled(l, pid)) return 0;
    if (!MEM_GROW(l->signalled, l->capacity, l->count + 1))
        return error_nomem(err, "ending an interrupted command");
    l->signalled[l->count++] = pid;
    kill((pid_t)pid, SIGTERM);
    kill((pid_t)pid, SIGCONT);
    return 0;
}

/* Looks at every process once. */
static int end_all(leftover *l, bool is_late, size_t *living, weir_error *err)
{
    mem_arena arena;
    os_entry *entries;
    size_t count;
    *living = 0;
    arena_init(&arena);
    int rc = os_list(AT_FDCWD, "/proc", &arena, &entries, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int64_t pid = strtoll(entries[i].name, NULL, 10);
        if (!belongs(l, pid)) continue;
        ++*living;
        l->last = pid;
        rc = end_process(l, pid, is_late, err);
    }
    arena_deinit(&arena);
    return rc;
}

static int give_up(const leftover *l, weir_error *err)
{
    char hex[HASH_HEX];
    char state = '?';
    int64_t group;
    (void)read_stat(l->last, &state, &group);
    return error_set(
        err, WEIR_BUSY,
        "%zu processes of the interrupted execution %s do not end, such as %lld in state %c",
        l->living, hash_hex(l->token, hex), (long long)l->last, state);
}

static int begin_to_end(leftover *l, hash128 token, int64_t pid, uint64_t start_ticks,
                        int64_t grace_ms, weir_error *err)
{
    *l = (leftover){.token = hash_is_none(token) ? HASH_ABSENT : token, .wait_ms = 1};
    if (pid > 1 && start_ticks != 0 && os_process_start(pid) == start_ticks && pid != getpgrp())
        l->group = pid;
    l->late_ns = os_monotonic_ns() + grace_ms * 1000000;
    int rc = end_all(l, false, &l->living, err);
    l->empty_looks = l->living == 0 ? EMPTY_LOOKS : 0;
    return rc;
}

/* One empty look is not enough: who ends during it may have started somebody after the list was read, and in the middle of exec
   nobody has an environment. */
static bool are_gone(const leftover *l)
{
    return l->empty_looks >= EMPTY_LOOKS;
}

/* How long to wait before the next look. */
static int pause_ms(leftover *l)
{
    int wait_ms = l->wait_ms;
    if (l->wait_ms < SLOWEST_POLL_MS) l->wait_ms *= 2;
    return wait_ms;
}

static int look_again(leftover *l, weir_error *err)
{
    int64_t now_ns = os_monotonic_ns();
    if (now_ns > l->late_ns + GIVE_UP_NS && l->rounds_late >= GIVE_UP_ROUNDS)
        return give_up(l, err);
    if (now_ns >= l->late_ns) l->rounds_late++;
    int rc = end_all(l, now_ns >= l->late_ns, &l->living, err);
    l->empty_looks = l->living == 0 ? l->empty_looks + 1 : 0;
    return rc;
}

int process_end_leftover(hash128 token, int64_t pid, uint64_t start_ticks, int64_t grace_ms,
                         size_t *found, weir_error *err)
{
    leftover l;
    int rc = begin_to_end(&l, token, pid, start_ticks, grace_ms, err);
    *found = l.living;
    while (rc == 0 && !are_gone(&l)) {
        poll(NULL, 0, pause_ms(&l));
        rc = look_again(&l, err);
    }
    mem_free(l.signalled);
    return rc;
}

/* --- the same on the loop's timers ------------------------------------------------------------------------------- */

struct process_ending {
    leftover left;
    uv_timer_t timer;
    process_ended ended;
    void *ctx;
};

static void free_ending(uv_handle_t *handle)
{
    process_ending *e = handle->data;
    mem_free(e->left.signalled);
    mem_free(e);
}

void process_end_cancel(process_ending *e)
{
    if (e) uv_close((uv_handle_t *)&e->timer, free_ending);
}

static void on_look(uv_timer_t *timer)
{
    process_ending *e = timer->data;
    weir_error err = {0};
    int rc = look_again(&e->left, &err);
    if (rc == 0 && !are_gone(&e->left)) {
        uv_timer_start(timer, on_look, (uint64_t)pause_ms(&e->left), 0);
        return;
    }
    process_end_cancel(e);
    e->ended(e->ctx, rc, &err);
}

int process_end_begin(process_ending **out, uv_loop_t *loop, hash128 token, int64_t pid,
                      uint64_t start_ticks, int64_t grace_ms, process_ended ended, void *ctx,
                      weir_error *err)
{
    *out = NULL;
    process_ending *e = mem_zero(1, sizeof *e);
    if (!e) return error_nomem(err, "ending an interrupted command");
    e->ended = ended;
    e->ctx = ctx;
    int rc = begin_to_end(&e->left, token, pid, start_ticks, grace_ms, err);
    if (rc != 0 || are_gone(&e->left)) {
        mem_free(e->left.signalled);
        mem_free(e);
        return rc;
    }
    uv_timer_init(loop, &e->timer);
    e->timer.data = e;
    uv_timer_start(&e->timer, on_look, (uint64_t)pause_ms(&e->left), 0);
    *out = e;
    return 0;
}

void process_end_hurry(process_ending *e)
{
    e->left.late_ns = os_monotonic_ns();
}

/* --- one that lives on ------------------------------------------------------------------------------------------- */

static bool is_running(int64_t pid, uint64_t start_ticks)
{
    char state = '\0';
    int64_t group;
    if (pid <= 1 || start_ticks == 0 || os_process_start(pid) != start_ticks) return false;
    return read_stat(pid, &state, &group) && state != 'Z' && state != 'X';
}

/* The leader of a group that carries the token, the oldest of them. */
static bool find_by_token(hash128 token, int64_t *pid, uint64_t *start_ticks)
{
    mem_arena arena;
    os_entry *entries;
    size_t count = 0;
    uint64_t oldest = 0;
    arena_init(&arena);
    if (os_list(AT_FDCWD, "/proc", &arena, &entries, &count, NULL) != 0) count = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t at = strtoll(entries[i].name, NULL, 10);
        char state = '\0';
        int64_t group = 0;
        bool is_empty;
        if (at <= 1 || !read_stat(at, &state, &group) || group != at || !hash_equal(token_of(at, &is_empty), token)) continue;
        uint64_t start = os_process_start(at);
        if (!is_running(at, start) || (oldest != 0 && start >= oldest)) continue;
        oldest = start;
        *pid = at;
    }
    arena_deinit(&arena);
    if (oldest != 0) *start_ticks = oldest;
    return oldest != 0;
}

bool process_find(hash128 token, int64_t *pid, uint64_t *start_ticks)
{
    bool is_empty;
    for (int i = 0; *pid == 0 && i < LOOKS; i++) { /* in the middle of exec nobody has an environment */
        if (i > 0) poll(NULL, 0, 2);
        if (find_by_token(token, pid, start_ticks)) return true;
    }
    if (*pid == 0) return false;
    if (!is_running(*pid, *start_ticks)) return false;
    hash128 shown = token_of(*pid, &is_empty); /* some write over their environment */
    return hash_is_none(shown) || hash_equal(shown, token);
}

int process_watch(int64_t pid, uint64_t start_ticks)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0u); /* close-on-exec */
    if (fd < 0) return -1;
    if (is_running(pid, start_ticks)) return fd;
    os_close(fd);
    return -1;
}
