/*
 * watch.c - inotify, by folder.
 *
 *     kernel --event (wd, mask, name)--> entries of that wd --> note(folder, name) --> ripe? --> owner takes
 *                                                     |
 *                                    a folder moved or gone: entries at and below that path are dropped
 *
 * W1  The watch is added before the owner lists the folder (watch_folder says `fresh`, the owner looks afterwards).
 * W2  An entry maps a path to the wd that the path had when it was asked for. As soon as any name on the way may mean another
 *     folder, the entry goes; it is never renamed.
 * W3  Every event leaves a note, or the note that everything is suspicious. Nothing is filtered by age or by who wrote.
 * W4  A file that is being written, or that went away and may be coming back, is waited for WATCH_OPEN_MS at most, counted from the first
 *     sign; all else is ripe at once.
 *
 * Why not uv_fs_event: it drops IN_Q_OVERFLOW without a word (30,000 new files: 16,384 callbacks, no error) and knows neither
 * IN_CLOSE_WRITE nor cookies.
 */
#include "engine/world/watch_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/base/os.h"

enum { READ_SIZE = 64 * 1024, READS_AT_ONCE = 64 };
#define WATCH_MASK                                                                                 \
    (IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MODIFY |             \
     IN_MOVE_SELF | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK)

uint64_t watch_now_ms(void)
{
    return (uint64_t)(os_monotonic_ns() / 1000000);
}

static void on_timer(uv_timer_t *timer);

void watch_consider(watch *w)
{
    uint64_t soonest, now = watch_now_ms();
    if (!watch_is_ripe(w) || w->told || !w->ripe || w->freed) return;
    if (!notes_are_ready(w, now, &soonest)) {
        uv_timer_start(&w->timer, on_timer, soonest - now, 0);
        return;
    }
    uv_timer_stop(&w->timer);
    w->told = true;
    w->ripe(w->ctx);
}

static void on_timer(uv_timer_t *timer)
{
    watch_consider(timer->data);
}

/* --- entries ------------------------------------------------------------------------------------------------------- */

static entry *entry_at(watch *w, const char *folder)
{
    const uint64_t *slot = map_get(&w->by_path, bytes_str(folder));
    return slot ? &w->entries[*slot - 1] : NULL;
}

static bytes wd_key(const int *wd)
{
    return bytes_of(wd, sizeof *wd);
}

/* Take an entry out of the chain of its wd; the last one takes the kernel's watch along. */
static void unchain(watch *w, entry *e, bool kernel_has_it)
{
    uint64_t *head = map_get(&w->by_wd, wd_key(&e->wd));
    uint32_t self = (uint32_t)(e - w->entries) + 1;
    if (!head) return;
    if (*head == self) *head = e->next;
    else
        for (entry *other = &w->entries[*head - 1];; other = &w->entries[other->next - 1]) {
            if (other->next == self) {
                other->next = e->next;
                break;
            }
            if (other->next == 0) break;
        }
    if (*head != 0) return;
    map_remove(&w->by_wd, wd_key(&e->wd));
    if (kernel_has_it) inotify_rm_watch(w->fd, e->wd);
}

static void drop(watch *w, entry *e, bool kernel_has_it)
{
    if (e->wd >= 0) unchain(w, e, kernel_has_it);
    else w->counts.polled--;
    map_remove(&w->by_path, bytes_str(e->folder));
    mem_free(e->folder);
    *e = (entry){.wd = -1, .next = w->unused};
    w->unused = (uint32_t)(e - w->entries) + 1;
    w->counts.folders--;
}

static bool is_at_or_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    if (n == 0) return path[0] != '/';
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* The folder at this path may be another one now: all that is known at and below it is given up, and suspicious. */
static void give_up(watch *w, const char *folder)
{
    for (size_t i = 0; i < w->entry_count; i++) {
        entry *e = &w->entries[i];
        if (!e->is_used || !is_at_or_below(e->folder, folder)) continue;
        note_whole(w, e->folder);
        w->counts.lost++;
        drop(w, e, true);
    }
}

static entry *new_entry(watch *w)
{
    if (w->unused) {
        entry *e = &w->entries[w->unused - 1];
        w->unused = e->next;
        return e;
    }
    if (!MEM_GROW(w->entries, w->entry_capacity, w->entry_count + 1)) return NULL;
    return &w->entries[w->entry_count++];
}

static int absolute(const watch *w, const char *folder, buf *to, weir_error *err)
{
    buf_clear(to);
    if (folder[0] == '/') buf_text(to, folder);
    else buf_printf(to, folder[0] ? "%s/%s" : "%s", w->root, folder);
    return buf_cstr(to) ? 0 : error_nomem(err, "watching a folder");
}

/* @return wd; -1: events cannot be had, poll; -2: there is no such folder */
static int add_to_kernel(watch *w, const char *path)
{
    if (w->fd < 0 || os_fault_check(OS_OP_WATCH)) return -1;
    if (!probe_has_events(w, path)) return -1;
    int wd = inotify_add_watch(w->fd, path, WATCH_MASK);
    if (wd >= 0) return wd;
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -2 : -1;
}

static int add_entry(watch *w, const char *folder, bool *made, weir_error *err)
{
    buf path;
    buf_init(&path);
    int rc = absolute(w, folder, &path, err);
    int wd = rc == 0 ? add_to_kernel(w, buf_cstr(&path)) : -2;
    buf_deinit(&path);
    *made = false;
    if (rc != 0 || wd == -2) return rc;
    entry *e = new_entry(w);
    char *copy = mem_strdup(folder);
    uint64_t *slot = e && copy ? map_put(&w->by_path, bytes_str(folder), NULL) : NULL;
    uint64_t *head = slot && wd >= 0 ? map_put(&w->by_wd, wd_key(&wd), NULL) : NULL;
    if (!slot || (wd >= 0 && !head)) {
        mem_free(copy);
        return error_nomem(err, "watching a folder");
    }
    *e = (entry){.folder = copy, .wd = wd, .sweep = w->sweep, .is_used = true};
    *slot = (uint64_t)(e - w->entries) + 1;
    if (head) {
        e->next = (uint32_t)*head;
        *head = *slot;
    } else {
        w->counts.polled++;
    }
    w->counts.folders++;
    *made = true;
    return 0;
}

/* The part before the last slash; "" for the root, "/" stays. */
static bool cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (!path[0] || strcmp(path, "/") == 0) return false;
    if (!slash) path[0] = 0;
    else if (slash == path) path[1] = 0;
    else *slash = 0;
    return true;
}

static void on_poller(uv_timer_t *timer);

int watch_folder(watch *w, const char *folder, bool *fresh, weir_error *err)
{
    entry *e = entry_at(w, folder);
    bool made = false;
    int rc = 0;
    if (e) e->sweep = w->sweep;
    else rc = add_entry(w, folder, &made, err);
    *fresh = made;
    char *above = rc == 0 ? mem_strdup(folder) : NULL;
    if (rc == 0 && !above) rc = error_nomem(err, "watching a folder");
    bool is_outside = folder[0] == '/';
    bool is_there = e || made;
    while (rc == 0 && (!is_outside || !is_there) && cut_last(above)) {
        e = entry_at(w, above);
        if (e && e->sweep == w->sweep) break; /* and all above it */
        bool was_there = is_there;
        made = false;
        if (e) e->sweep = w->sweep;
        else rc = add_entry(w, above, &made, err);
        is_there |= e || made;
        if (!was_there) *fresh |= made; /* what is not there can only come as a name in this one */
    }
    mem_free(above);
    if (w->counts.polled > 0 && !uv_is_active((uv_handle_t *)&w->poller)) uv_timer_start(&w->poller, on_poller, WATCH_POLL_MS, WATCH_POLL_MS);
    return rc;
}

void watch_sweep(watch *w)
{
    for (size_t i = 0; i < w->entry_count; i++)
        if (w->entries[i].is_used && w->entries[i].sweep != w->sweep) drop(w, &w->entries[i], true);
    w->sweep++;
    if (w->counts.polled == 0) uv_timer_stop(&w->poller);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

/* Is the new file at this path going to be written to? A link, or another name of a file, is complete as it comes. */
static bool is_empty_file(const watch *w, const char *path)
{
    os_stat st = {0};
    buf at;
    buf_init(&at);
    bool is = absolute(w, path, &at, NULL) == 0 && os_statat(-100, buf_cstr(&at), false, &st, NULL) == 0 && st.type == OS_FILE && st.nlink == 1;
    buf_deinit(&at);
    return is;
}

static void event_in(watch *w, const char *folder, const struct inotify_event *e)
{
    char path[PATH_MAX];
    bool comes_or_goes = (e->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0;
    bool has_slash = !folder[0] || strcmp(folder, "/") == 0;
    int n = snprintf(path, sizeof path, "%s%s%s", folder, has_slash ? "" : "/", e->name);
    bool fits = n > 0 && (size_t)n < sizeof path;
    bool is_new_file = (e->mask & IN_CREATE) && !(e->mask & IN_ISDIR);
    bool is_open = (e->mask & IN_MODIFY) || (is_new_file && fits && is_empty_file(w, path));
    bool is_gone = (e->mask & (IN_DELETE | IN_MOVED_FROM)) && !(e->mask & IN_ISDIR);
    unsigned flags = (e->mask & (IN_MODIFY | IN_CLOSE_WRITE) ? NOTE_WRITTEN : 0u) | (comes_or_goes ? NOTE_LISTING : 0u) |
                     (e->mask & IN_ISDIR ? NOTE_FOLDER : 0u);
    uint64_t until = is_open ? watch_now_ms() + WATCH_OPEN_MS : e->mask & IN_ATTRIB ? NOTE_AS_BEFORE : 0;
    if (is_gone) note_gone(w, folder, e->name);
    else note_name(w, folder, e->name, flags, until);
    if (comes_or_goes && fits && entry_at(w, path)) give_up(w, path);
}

static void take_event(watch *w, const struct inotify_event *e)
{
    w->counts.events++;
    if (e->mask & IN_Q_OVERFLOW) {
        w->counts.overflows++;
        w->all = true;
        cookie_overflow(w);
        return;
    }
    if (e->wd == w->cookie_wd) {
        cookie_event(w, e);
        return;
    }
    const uint64_t *head = map_get(&w->by_wd, wd_key(&e->wd));
    if (!head) return; /* what the kernel still had of one that was given up: noted then */
    if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
        while ((head = map_get(&w->by_wd, wd_key(&e->wd)))) {
            entry *first = &w->entries[*head - 1];
            char *folder = mem_strdup(first->folder);
            if (e->mask & IN_IGNORED) {
                note_whole(w, first->folder);
                w->counts.lost++;
                drop(w, first, false);
            }
            if (folder) give_up(w, folder);
            else w->all = true;
            mem_free(folder);
            if (!folder) break;
        }
        return;
    }
    if (e->len == 0) return; /* attributes of the folder itself */
    /* give_up may drop entries on the way: their indexes are looked at again */
    for (uint32_t at = (uint32_t)*head; at != 0;) {
        entry *one = &w->entries[at - 1];
        if (!one->is_used || one->wd != e->wd) break;
        uint32_t next = one->next;
        char *folder = mem_strdup(one->folder);
        if (folder) event_in(w, folder, e);
        else w->all = true;
        mem_free(folder);
        at = next;
    }
}

void watch_read(watch *w)
{
    char space[READ_SIZE] __attribute__((aligned(__alignof__(struct inotify_event))));
    for (int i = 0; w->fd >= 0 && i < READS_AT_ONCE; i++) {
        ssize_t n = read(w->fd, space, sizeof space);
        if (n <= 0) break;
        for (char *at = space; at < space + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)at;
            take_event(w, e);
            at += sizeof *e + e->len;
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    watch *w = poll->data;
    watch_read(w);
    watch_consider(w);
}

/* Folders without events: all suspicious, once a period. */
static void on_poller(uv_timer_t *timer)
{
    watch *w = timer->data;
    for (size_t i = 0; i < w->entry_count; i++)
        if (w->entries[i].is_used && w->entries[i].wd < 0) note_whole(w, w->entries[i].folder);
    watch_consider(w);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

void watch_ask_reliance(watch *w, bool (*is_relied_on)(void *ctx, const char *folder, const char *name))
{
    w->is_relied_on = is_relied_on;
}

int watch_new(watch **out, uv_loop_t *loop, const char *root, void (*ripe)(void *ctx), void *ctx, weir_error *err)
{
    watch *w = mem_zero(1, sizeof *w);
    *out = NULL;
    if (!w) return error_nomem(err, "starting to watch");
    w->loop = loop;
    w->root = mem_strdup(root);
    w->ripe = ripe;
    w->ctx = ctx;
    w->sweep = 1;
    map_init(&w->by_path);
    map_init(&w->by_wd);
    map_init(&w->by_folder);
    int cause = os_fault_check(OS_OP_WATCH);
    w->fd = cause ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (!cause) cause = errno;
    uv_timer_init(loop, &w->timer);
    uv_timer_init(loop, &w->poller);
    uv_timer_init(loop, &w->cookie_timer);
    w->timer.data = w->poller.data = w->cookie_timer.data = w;
    w->handles = 3;
    w->cookie_wd = -1;
    if (w->fd >= 0 && uv_poll_init(loop, &w->poll, w->fd) == 0) {
        w->poll.data = w;
        w->handles++;
        uv_poll_start(&w->poll, UV_READABLE, on_readable);
    }
    *out = w;
    if (!w->root) {
        watch_free(w);
        *out = NULL;
        return error_nomem(err, "starting to watch");
    }
    return w->fd >= 0 ? 0 : error_set(err, WEIR_LIMIT, "no inotify instance is left (%s); looking every second instead", strerror(cause));
}

static void on_closed(uv_handle_t *handle)
{
    watch *w = handle->data;
    if (--w->handles > 0) return;
    if (w->fd >= 0) close(w->fd);
    mem_free(w);
}

void watch_free(watch *w)
{
    if (!w || w->freed) return;
    w->freed = true;
    notes_clear(w);
    for (size_t i = 0; i < w->entry_count; i++) mem_free(w->entries[i].folder);
    mem_free(w->entries);
    mem_free(w->notes);
    map_deinit(&w->by_path);
    map_deinit(&w->by_wd);
    map_deinit(&w->by_folder);
    mem_free(w->root);
    mem_free(w->devices);
    cookies_free(w);
    bool has_poll = w->handles == 4;
    uv_close((uv_handle_t *)&w->cookie_timer, on_closed);
    uv_close((uv_handle_t *)&w->timer, on_closed);
    uv_close((uv_handle_t *)&w->poller, on_closed);
    if (has_poll) uv_close((uv_handle_t *)&w->poll, on_closed);
}

watch_counts watch_stats(const watch *w)
{
    return w->counts;
}
