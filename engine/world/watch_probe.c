/*
 * watch_probe.c - does a file system send events at all?
 *
 * Each file system that something watched lives on is asked once, without writing to it: a folder on it is opened and closed, which
 * must come as an event of its own. Network file systems send events for what is done here, not for what is done elsewhere: they are
 * not asked.
 */
#include "engine/world/watch_internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/base/os.h"

static bool is_heard(int fd, const char *path)
{
    char space[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    if (inotify_add_watch(fd, path, IN_OPEN | IN_ONLYDIR) < 0) return true; /* the limit: that is told by whoever watches it */
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return true;
    close(folder);
    return read(fd, space, sizeof space) > 0;
}

static bool ask(const char *path)
{
    char name[16];
    bool is_network = false;
    os_filesystem(path, name, &is_network);
    if (is_network || os_fault_check(OS_OP_PROBE)) return false;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return true;
    bool has = is_heard(fd, path);
    close(fd);
    return has;
}

bool probe_has_events(watch *w, const char *path)
{
    os_stat st = {0};
    if (os_statat(-100, path, true, &st, NULL) != 0 || st.type != OS_DIR) return true;
    for (size_t i = 0; i < w->device_count; i++)
        if (w->devices[i].dev == st.dev) return w->devices[i].has_events;
    bool has = ask(path);
    if (MEM_GROW(w->devices, w->device_capacity, w->device_count + 1)) w->devices[w->device_count++] = (struct device){st.dev, has};
    return has;
}
