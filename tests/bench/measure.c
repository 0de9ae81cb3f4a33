/*
 * measure.c - runs a command and appends one line to a file: what it took.
 *
 *     measure [-c] [-o OUTPUT] RESULTS command argument...
 *
 *     wall seconds, CPU seconds, KiB of the largest process, exit code        and with -c, which slows the command down:
 *     processes, threads, KiB of all processes together (proportional shares, sampled)
 *
 * CPU time and the largest process are those of the command and of all its descendants that were waited for (getrusage(2)). With
 * -c all of them are traced (ptrace(2)), so that every fork counts. stdout goes to OUTPUT or /dev/null, stderr stays. Ends with the
 * command's exit code.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIVE_MOST = 4096, SAMPLE_MS = 10 };

typedef struct counts {
    long processes, threads, peak_kib;
    pid_t live[LIVE_MOST]; /* processes, not threads */
    size_t live_count;
} counts;

static volatile sig_atomic_t is_time;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void become(bool traced, const char *output, char **command)
{
    int sink = open(output ? output : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (sink >= 0) dup2(sink, STDOUT_FILENO);
    if (traced) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
    }
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

/* --- counting ------------------------------------------------------------------------------------------------------ */

static void add_live(counts *c, pid_t pid)
{
    if (c->live_count < LIVE_MOST) c->live[c->live_count++] = pid;
}

static void drop_live(counts *c, pid_t pid)
{
    for (size_t i = 0; i < c->live_count; i++)
        if (c->live[i] == pid) c->live[i] = c->live[--c->live_count];
}

static long number_in(pid_t pid, const char *file, const char *form)
{
    char path[64], line[256];
    long value = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, form, &value) != 1) continue;
    if (f) fclose(f);
    return value;
}

static void sample(counts *c)
{
    long all = 0;
    for (size_t i = 0; i < c->live_count; i++) all += number_in(c->live[i], "smaps_rollup", "Pss: %ld");
    if (all > c->peak_kib) c->peak_kib = all;
}

static void on_alarm(int number)
{
    (void)number;
    is_time = 1;
}

static void start_sampling(void)
{
    struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART: it ends the wait */
    struct itimerval every = {{0, SAMPLE_MS * 1000}, {0, SAMPLE_MS * 1000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

static void heed_event(counts *c, pid_t pid, int event)
{
    unsigned long other = 0;
    if (event == PTRACE_EVENT_EXEC || event == PTRACE_EVENT_EXIT) return;
    ptrace(PTRACE_GETEVENTMSG, pid, NULL, &other);
    bool is_thread = event == PTRACE_EVENT_CLONE && number_in((pid_t)other, "status", "Tgid: %ld") != (long)other;
    if (is_thread) {
        c->threads++;
    } else {
        c->processes++;
        add_live(c, (pid_t)other);
    }
}

/* The signal to hand on. A new child stops once, with SIGSTOP, before it begins. */
static int heed_stop(counts *c, pid_t pid, int status)
{
    int event = status >> 16, number = WSTOPSIG(status);
    if (event) heed_event(c, pid, event);
    return event || number == SIGSTOP ? 0 : number;
}

static int follow(pid_t first, counts *c, struct rusage *use)
{
    int status = 0;
    if (waitpid(first, &status, 0) != first || !WIFSTOPPED(status)) return status;
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    ptrace(PTRACE_SETOPTIONS, first, NULL, options);
    ptrace(PTRACE_CONT, first, NULL, 0L);
    c->processes = 1;
    add_live(c, first);
    start_sampling();
    for (;;) {
        struct rusage own;
        pid_t pid = wait4(-1, &status, __WALL, &own);
        if (pid < 0 && errno == EINTR) {
            if (is_time) sample(c);
            is_time = 0;
            continue;
        }
        if (pid < 0) return -1;
        if (WIFSTOPPED(status)) {
            ptrace(PTRACE_CONT, pid, NULL, (long)heed_stop(c, pid, status));
            continue;
        }
        drop_live(c, pid);
        if (pid == first) {
            *use = own;
            return status;
        }
    }
}

int main(int argc, char **argv)
{
    bool counting = false;
    const char *output = NULL;
    for (int option; (option = getopt(argc, argv, "+co:")) != -1;) {
        if (option == 'c') counting = true;
        else if (option == 'o') output = optarg;
        else return 2;
    }
    if (argc - optind < 2) {
        fputs("usage: measure [-c] [-o OUTPUT] RESULTS command argument...\n", stderr);
        return 2;
    }
    double start = now();
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return 2;
    }
    if (pid == 0) become(counting, output, argv + optind + 1);

    int status = 0;
    struct rusage use = {0};
    static counts c;
    if (counting) {
        status = follow(pid, &c, &use);
        if (c.peak_kib < use.ru_maxrss) c.peak_kib = use.ru_maxrss; /* too short to be sampled */
    } else if (wait4(pid, &status, 0, &use) < 0) {
        perror("wait4");
        return 2;
    }
    double wall = now() - start;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

    FILE *results = fopen(argv[optind], "a");
    if (!results) {
        perror(argv[optind]);
        return 2;
    }
    fprintf(results, "%.6f %.6f %ld %d", wall, seconds(use.ru_utime) + seconds(use.ru_stime), use.ru_maxrss, code);
    if (counting) fprintf(results, " %ld %ld %ld", c.processes, c.threads, c.peak_kib);
    fputc('\n', results);
    return fclose(results) == 0 ? code : 2;
}
