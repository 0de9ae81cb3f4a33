/*
 * measure.c - runs a command and appends one line to a file: wall seconds, CPU seconds, peak memory in KiB, exit code.
 *
 *     measure RESULTS command argument...
 *
 * CPU time is that of the command and of all its descendants that were waited for; memory is that of the largest single
 * process among them (getrusage(2)). The command's stdout goes to /dev/null, its stderr stays. Ends with its exit code.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static void become(char **command)
{
    int sink = open("/dev/null", O_WRONLY);
    if (sink >= 0) dup2(sink, STDOUT_FILENO);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: measure RESULTS command argument...\n", stderr);
        return 2;
    }
    double start = now();
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return 2;
    }
    if (pid == 0) become(argv + 2);

    int status = 0;
    struct rusage use;
    if (wait4(pid, &status, 0, &use) < 0) {
        perror("wait4");
        return 2;
    }
    double wall = now() - start;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

    FILE *results = fopen(argv[1], "a");
    if (!results) {
        perror(argv[1]);
        return 2;
    }
    fprintf(results, "%.6f %.6f %ld %d\n", wall, seconds(use.ru_utime) + seconds(use.ru_stime), use.ru_maxrss, code);
    return fclose(results) == 0 ? code : 2;
}
