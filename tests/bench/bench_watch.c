/*
 * bench_watch.c - from the save of a file to the start of what it sets off.
 *
 *     bench_watch SOCKET|@FOLDER ROUNDS PAUSE_MS PID NAME FILE...
 *
 * Saves the files in turn (in place: open, write, close), and waits for the datagram of watch_stamp
 * that follows, or for a file to be moved into FOLDER. Between two saves it is quiet for PAUSE_MS,
 * long enough for any of those that are compared to be idle again. Then the processor time over ten
 * quiet seconds and the memory of process PID, with all that it has started, are taken. One line,
 * as a row of a table: NAME, median, 99th percentile, how many were missed, idle CPU, memory.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 2000, IDLE_S = 10 };

static int is_folder;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void save(const char *path, int round)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    fprintf(f, "round %d at %lld\n", round, (long long)now_ns());
    fclose(f);
}

/* The first stamp that comes; 0: none in time. */
static int64_t await_stamp(int fd, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t stamp = 0;
    char events[4096];
    if (poll(&p, 1, wait_ms) <= 0) return 0;
    if (is_folder) {
        stamp = now_ns();
        return read(fd, events, sizeof events) > 0 ? stamp : 0;
    }
    return recv(fd, &stamp, sizeof stamp, 0) == sizeof stamp ? stamp : 0;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What a process and all that it has started use. */
typedef struct usage {
    long long ticks; /* user and system time so far */
    long long kb;    /* proportional share of memory */
} usage;

static int read_text(const char *what, int pid, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = fread(text, 1, size - 1, f);
    fclose(f);
    text[n] = 0;
    return 1;
}

static long long ticks_of(int pid)
{
    char text[1024];
    unsigned long long user = 0, sys = 0;
    const char *at = read_text("stat", pid, text, sizeof text) ? strrchr(text, ')') : NULL;
    if (at) sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &sys);
    return (long long)(user + sys);
}

static long long memory_of(int pid)
{
    char text[4096];
    long long kb = 0;
    const char *at =
        read_text("smaps_rollup", pid, text, sizeof text) ? strstr(text, "\nPss:") : NULL;
    if (at) sscanf(at, " Pss: %lld", &kb);
    return kb;
}

/* The main thread's children: none of those that are compared starts any from another one. */
static void add_usage(int pid, usage *to)
{
    char path[64];
    int child;
    to->ticks += ticks_of(pid);
    to->kb += memory_of(pid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *f = fopen(path, "r");
    while (f && fscanf(f, "%d", &child) == 1) add_usage(child, to);
    if (f) fclose(f);
}

static usage usage_of(int pid)
{
    usage all = {0};
    if (pid) add_usage(pid, &all);
    return all;
}

static int listen_at(const char *where)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    is_folder = where[0] == '@';
    if (is_folder) {
        int fd = inotify_init1(IN_CLOEXEC);
        return inotify_add_watch(fd, where + 1, IN_MOVED_TO) < 0 ? -1 : fd;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", where);
    unlink(where);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    if (argc < 7) return 2;
    int rounds = atoi(argv[2]), pause_ms = atoi(argv[3]), pid = atoi(argv[4]), files = argc - 6, missed = 0, count = 0;
    int fd = listen_at(argv[1]);
    int64_t *took = calloc((size_t)rounds, sizeof *took);
    if (fd < 0 || !took) {
        perror(argv[1]);
        return 1;
    }
    for (int i = 0; i < rounds; i++) {
        while (await_stamp(fd, pause_ms) != 0) {}
        int64_t begin = now_ns();
        save(argv[6 + i % files], i);
        int64_t stamp = await_stamp(fd, WAIT_MS);
        if (stamp == 0) missed++;
        else took[count++] = stamp - begin;
    }
    while (await_stamp(fd, pause_ms) != 0) {}
    qsort(took, (size_t)count, sizeof *took, by_size);
    usage before = usage_of(pid);
    if (pid) sleep(IDLE_S);
    usage after = usage_of(pid);
    double idle =
        100.0 * (double)(after.ticks - before.ticks) / (double)sysconf(_SC_CLK_TCK) / IDLE_S;
    printf("%-28s %8.2f ms %8.2f ms  missed %d  idle %.2f %%  %.1f MB\n", argv[5],
           count ? (double)took[count / 2] / 1e6 : 0,
           count ? (double)took[(count * 99) / 100] / 1e6 : 0, missed, idle,
           (double)after.kb / 1024);
    if (!is_folder) unlink(argv[1]);
    free(took);
    return 0;
}
