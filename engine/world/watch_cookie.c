/*
 * watch_cookie.c - has everything been seen that was done before now?
 *
 * The kernel keeps the events of all folders of one inotify instance in one queue, in the order in which things were done. So a file made
 * now, in a folder of our own, has its event behind those of everything that was done before: once that is read, all before it was.
 *
 * C1  A barrier ends: by its event, by an overflow, or after WATCH_COOKIE_MS. Except for the first, everything is suspicious then.
 * C2  What is polled has no events to wait for: it is suspicious at a barrier.
 */
#include "engine/world/watch_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/os.h"

static void path_of(const watch *w, uint64_t number, char *path, size_t size)
{
    snprintf(path, size, "%s/" WATCH_COOKIES "/%llu", w->root, (unsigned long long)number);
}

static int open_folder(watch *w, weir_error *err)
{
    char path[4096];
    if (w->cookie_wd >= 0 || w->fd < 0) return 0;
    snprintf(path, sizeof path, "%s/" WATCH_COOKIES, w->root);
    int rc = os_mkdirat(-100, path, 0700, err);
    if (rc != 0) return rc;
    w->cookie_wd = inotify_add_watch(w->fd, path, IN_CREATE | IN_ONLYDIR); /* -1: the time is up sooner or later */
    return 0;
}

static bool make_cookie(watch *w, uint64_t number)
{
    char path[4096];
    if (w->fd < 0 || w->cookie_wd < 0) return false;
    path_of(w, number, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    close(fd);
    unlink(path);
    return true;
}

static void poll_now(watch *w)
{
    for (size_t i = 0; i < w->entry_count; i++)
        if (w->entries[i].is_used && w->entries[i].wd < 0) note_whole(w, w->entries[i].folder);
}

/* All that were made up to this number, in their order. */
static void end_barriers(watch *w, uint64_t number)
{
    poll_now(w);
    while (w->first && w->first->number <= number) {
        barrier *b = w->first;
        w->first = b->next;
        if (!w->first) w->last = NULL;
        b->seen(b->ctx);
        mem_free(b);
    }
    if (!w->first) uv_timer_stop(&w->cookie_timer);
}

void cookie_event(watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_IGNORED) { /* the folder of cookies was removed: it is made anew */
        w->cookie_wd = -1;
        cookie_overflow(w);
    } else if (e->mask & IN_CREATE && e->len > 0) {
        end_barriers(w, strtoull(e->name, NULL, 10));
    }
}

void cookie_overflow(watch *w)
{
    if (!w->first) return;
    w->all = true;
    end_barriers(w, UINT64_MAX);
}

void cookie_on_timer(uv_timer_t *timer)
{
    watch *w = timer->data;
    cookie_overflow(w);
    watch_consider(w);
}

int watch_barrier(watch *w, void (*seen)(void *ctx), void *ctx, weir_error *err)
{
    int rc = open_folder(w, err);
    barrier *b = rc == 0 ? mem_zero(1, sizeof *b) : NULL;
    if (rc == 0 && !b) rc = error_nomem(err, "waiting for what was edited");
    if (rc != 0) return rc;
    *b = (barrier){.seen = seen, .ctx = ctx, .number = ++w->cookie};
    if (w->last) w->last->next = b;
    else w->first = b;
    w->last = b;
    bool is_made = make_cookie(w, b->number);
    bool is_polled = w->fd < 0;
    if (!is_made && !is_polled) w->all = true;
    uint64_t wait_ms = is_made ? WATCH_COOKIE_MS : 0;
    if (!is_made || !uv_is_active((uv_handle_t *)&w->cookie_timer)) uv_timer_start(&w->cookie_timer, cookie_on_timer, wait_ms, 0);
    return 0;
}

void cookies_free(watch *w)
{
    while (w->first) {
        barrier *b = w->first;
        w->first = b->next;
        mem_free(b);
    }
    w->last = NULL;
}
