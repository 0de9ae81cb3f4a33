/*
 * killer.c - what the crash tests need from the kernel; Lua has no words for it.
 *
 *   killer end MODE WHEN CMD...   starts CMD in a session of its own and ends it; prints how it went: "killed", or "ended CODE"
 *        MODE  engine: KILL to the first process; group: to its process group; session: to all in its session
 *              part: to another process of its session, each with a chance of one half; CMD itself goes on
 *              int: INT to the first process; group-int: to its group; twice: INT, and again after 0.2 s
 *        WHEN  microseconds, or the name of a file that CMD makes when it is time
 *   killer watch FILE COPY CMD... runs CMD and reads FILE all the time; exit 1 if it ever differs from COPY, else that of CMD
 *   killer left FOLDER HOME WAIT  processes that work below FOLDER or have HOME=... in their environment, once WAIT milliseconds
 *                                 are over; one a line, and exit 1
 *   killer reuse PID CMD...       runs CMD as process PID, which must be free; exit 77 where that is not allowed
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static pid_t start(char **argv, bool own_session)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    if (own_session) setsid();
    execv(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* Calls `each` for the processes there are. */
static int each_process(int (*each)(pid_t pid, void *ctx), void *ctx)
{
    int found = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));)
        if (isdigit((unsigned char)e->d_name[0])) found += each((pid_t)atol(e->d_name), ctx);
    if (d) closedir(d);
    return found;
}

/* --- end ----------------------------------------------------------------------------------------------------------- */

typedef struct session_of {
    pid_t pid;
    bool part; /* not the first, and not always */
} session_of;

static int kill_member(pid_t pid, void *ctx)
{
    const session_of *of = ctx;
    char path[40], text[600] = "";
    int session = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %d", &session) != 1 || session != of->pid || rest[2] == 'Z') return 0;
    if (of->part && (pid == of->pid || (now_us() + pid) % 2)) return 0;
    return kill(pid, SIGKILL) == 0;
}

static void strike(const char *mode, pid_t pid)
{
    session_of of = {pid, !strcmp(mode, "part")};
    if (of.part) each_process(kill_member, &of);
    else if (!strcmp(mode, "engine")) kill(pid, SIGKILL);
    else if (!strcmp(mode, "group")) kill(-pid, SIGKILL);
    else if (!strcmp(mode, "session")) for (int i = 0; i < 100 && each_process(kill_member, &of) > 0; i++) pause_us(100);
    else if (!strcmp(mode, "group-int")) kill(-pid, SIGINT);
    else kill(pid, SIGINT);
    if (strcmp(mode, "twice") != 0) return;
    pause_us(200000);
    kill(pid, SIGINT);
}

static int end(char **argv)
{
    const char *mode = argv[0];
    const char *when = argv[1];
    bool is_time = isdigit((unsigned char)when[0]);
    int status = 0;
    pid_t pid = start(argv + 2, true);
    long long until = now_us() + (is_time ? atoll(when) : 60000000);
    bool ended = false;
    while (!(ended = waitpid(pid, &status, WNOHANG) == pid) && now_us() < until && (is_time || access(when, F_OK) != 0))
        pause_us(until - now_us() > 2000 ? 1000 : 50);
    if (!ended) {
        strike(mode, pid);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) printf("killed\n");
    else printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

/* --- watch --------------------------------------------------------------------------------------------------------- */

static size_t read_file(const char *path, char *to, size_t most)
{
    FILE *f = fopen(path, "r");
    if (!f) return snprintf(to, most, "(absent)");
    size_t n = fread(to, 1, most, f);
    fclose(f);
    return n;
}

static int watch(char **argv)
{
    static char want[65536], got[65536];
    size_t n = read_file(argv[1], want, sizeof want);
    int status = 0;
    long looks = 0;
    pid_t pid = start(argv + 2, false);
    do {
        size_t m = read_file(argv[0], got, sizeof got);
        looks++;
        if (m == n && memcmp(want, got, n) == 0) continue;
        printf("%s held %zu bytes, \"%.*s\", at look %ld\n", argv[0], m, m < 60 ? (int)m : 60, got, looks);
        waitpid(pid, &status, 0);
        return 1;
    } while (waitpid(pid, &status, WNOHANG) != pid);
    printf("looked %ld times\n", looks);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

/* --- left ---------------------------------------------------------------------------------------------------------- */

typedef struct place {
    char folder[PATH_MAX];
    const char *home;
    bool tell;
} place;

static bool has_home(pid_t pid, const char *home)
{
    static char text[1 << 20];
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    for (const char *p = text; p < text + n; p += strlen(p) + 1)
        if (!strncmp(p, "HOME=", 5) && !strcmp(p + 5, home)) return true;
    return false;
}

static int look_at(pid_t pid, void *ctx)
{
    const place *at = ctx;
    char path[40], cwd[PATH_MAX], line[200];
    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    ssize_t n = readlink(path, cwd, sizeof cwd - 1);
    if (n < 0) return 0;
    cwd[n] = '\0';
    size_t size = strlen(at->folder);
    bool inside = !strncmp(cwd, at->folder, size) && (cwd[size] == '\0' || cwd[size] == '/');
    if (!inside && !has_home(pid, at->home)) return 0;
    if (!at->tell) return 1;
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    size_t m = read_file(path, line, sizeof line - 1);
    for (size_t i = 0; i < m; i++) if (!line[i]) line[i] = ' ';
    printf("process %d: %.*s\n", pid, (int)m, line);
    return 1;
}

static int left(char **argv)
{
    place at = {.home = argv[1]};
    if (!realpath(argv[0], at.folder)) return 2;
    long long until = now_us() + atoll(argv[2]) * 1000;
    while (each_process(look_at, &at) > 0)
        if (now_us() < until) pause_us(5000);
        else {
            at.tell = true;
            return each_process(look_at, &at) > 0;
        }
    return 0;
}

/* --- reuse --------------------------------------------------------------------------------------------------------- */

static int reuse(char **argv)
{
    pid_t want = (pid_t)atol(argv[0]);
    struct clone_args how = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&want, .set_tid_size = 1};
    long pid = -1;
    for (int i = 0; i < 2000 && pid < 0; i++) { /* whoever had it may still be a zombie of somebody */
        if (i > 0) pause_us(1000);
        pid = syscall(SYS_clone3, &how, sizeof how);
        if (pid < 0 && errno != EEXIST) break;
    }
    if (pid < 0) return errno == EPERM || errno == ENOSYS ? 77 : (perror("clone3"), 1);
    if (pid > 0) return 0;
    setsid();
    execv(argv[1], argv + 1);
    _exit(127);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && !strcmp(argv[1], "reuse")) return reuse(argv + 2);
    if (argc >= 5 && !strcmp(argv[1], "end")) return end(argv + 2);
    if (argc >= 5 && !strcmp(argv[1], "watch")) return watch(argv + 2);
    if (argc == 5 && !strcmp(argv[1], "left")) return left(argv + 2);
    return 2;
}
