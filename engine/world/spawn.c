/*
 * spawn.c - one child: clone, prepare, exec.
 *
 * The child borrows our memory until it executes (CLONE_VM | CLONE_VFORK), so the cost does not grow with our size, and an
 * error needs no pipe: the child writes which step failed, and errno, into a struct on our stack. The kernel gives the
 * pidfd in the same call. Figures for the alternatives are in process.c.
 *
 * Between clone and exec the child has a stack of its own and makes raw system calls only: no allocation, no libc that keeps
 * state. All signals are blocked before the clone, because a handler of ours would run in the child on our memory; the
 * child sets every disposition to default before it opens its mask.
 *
 * The start time of the child in clock ticks is that of the clone. If CLOCK_BOOTTIME was in the same tick before and after it
 * (nearly always: a tick is 10 ms) there is no need to read /proc.
 *
 * Any thread; one spawn at a time per stack.
 */
#include "engine/world/spawn.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/os.h"

/* The thread sanitizer takes `clone` for a fork and locks up; glibc's other name for it is the same function. */
#if defined(__SANITIZE_THREAD__)
#define CLONE_IS_HIDDEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLONE_IS_HIDDEN 1
#endif
#endif
#ifdef CLONE_IS_HIDDEN
extern int __clone(int (*body)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

#define NOT_INSTRUMENTED __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

enum { SIGNALS = 64, MASK_SIZE = 8, SHELL_UMASK = 022 };

typedef enum spawn_step { STEP_NONE, STEP_GROUP, STEP_STREAMS, STEP_FOLDER, STEP_EXEC } spawn_step;

typedef struct child {
    const spawn_spec *spec;
    uint64_t files; /* limit; 0: as it is */
    volatile spawn_step step; /* the one that failed */
    volatile int errnum;
} child;

/* As the kernel sees it; libc's own hides two signals. */
typedef struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
} kernel_action;

/* --- in the child ------------------------------------------------------------------------------------------------ */

NOT_INSTRUMENTED static void close_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0u, 0u) == 0) return;
    struct rlimit limit; /* kernels before 5.9 */
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0 || limit.rlim_cur > 65536)
        limit.rlim_cur = 65536;
    for (long fd = first; fd < (long)limit.rlim_cur; fd++) syscall(SYS_close, fd);
}

NOT_INSTRUMENTED static void default_signals(void)
{
    kernel_action action = {0};
    uint64_t none = 0;
    for (long number = 1; number <= SIGNALS; number++)
        syscall(SYS_rt_sigaction, number, &action, NULL, MASK_SIZE);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, MASK_SIZE);
}

/* As many descriptors as our user gave us, not as many as we took. */
NOT_INSTRUMENTED static void limit_files(uint64_t most)
{
    struct { uint64_t now, most; } limit;
    if (most == 0 || syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0) return;
    limit.now = most;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

NOT_INSTRUMENTED static int child_main(void *arg)
{
    child *c = arg;
    const spawn_spec *spec = c->spec;
    spawn_step step = STEP_GROUP;
    if (syscall(SYS_setpgid, 0, 0) == 0) step = STEP_STREAMS;
    if (step == STEP_STREAMS && syscall(SYS_dup3, spec->null_fd, 0, 0) == 0 &&
        syscall(SYS_dup3, spec->output_fd, 1, 0) == 1 &&
        syscall(SYS_dup3, spec->output_fd, 2, 0) == 2)
        step = STEP_FOLDER;
    if (step == STEP_FOLDER && syscall(SYS_fchdir, spec->cwd_fd) == 0) step = STEP_EXEC;
    if (step == STEP_EXEC && spec->job_fds) { /* the others are not needed any more, but the folder of a relative program is */
        for (int i = 0; i < 2; i++) syscall(SYS_dup3, spec->job_fds[i], 3 + i, 0);
    }
    if (step == STEP_EXEC) {
        close_from(spec->job_fds ? 5 : 3);
        limit_files(c->files);
        syscall(SYS_umask, SHELL_UMASK);
        default_signals();
        syscall(SYS_execve, spec->program, spec->argv, spec->envp);
    }
    c->errnum = errno;
    c->step = step;
    syscall(SYS_exit_group, 127);
    return 127;
}

/* --- in the parent ----------------------------------------------------------------------------------------------- */

static uint64_t boot_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec / (1000000000u / per_second);
}

static int explain(const child *c, weir_error *err)
{
    static const char *const doing[] = {
        [STEP_NONE] = "cannot start",
        [STEP_GROUP] = "cannot make a process group for",
        [STEP_STREAMS] = "cannot connect the streams of",
        [STEP_FOLDER] = "cannot enter the working folder of",
        [STEP_EXEC] = "cannot execute",
    };
    const char *program = c->spec->program;
    if (c->step == STEP_EXEC && c->errnum == ENOENT) {
        struct stat st;
        bool is_there = stat(program, &st) == 0;
        return error_set(err, WEIR_NOTFOUND, "cannot execute %s: %s", program,
                         is_there ? "the interpreter that it names does not exist"
                                  : "no such file");
    }
    if (c->step == STEP_EXEC && c->errnum == E2BIG)
        return error_set(
            err, WEIR_LIMIT,
            "cannot execute %s: its arguments and environment are too long for the kernel; "
            "pass a list of files as a file, {{name:file}}",
            program);
    return error_errno(err, c->errnum, "%s %s", doing[c->step], program);
}

static void reap(int pidfd)
{
    siginfo_t info;
    while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) != 0 && errno == EINTR) continue;
}

static int cannot_start(const char *program, int errnum, weir_error *err)
{
    if (errnum != EAGAIN) return error_errno(err, errnum, "cannot start %s", program);
    return error_set(err, WEIR_IO,
                     "cannot start %s: no more processes are allowed; `ulimit -u` says how many there "
                     "may be, a container may have a limit of its own, and a smaller -j starts fewer at once",
                     program);
}

int spawn_start(const spawn_spec *spec, void *stack, int64_t *pid, int *pidfd,
                uint64_t *start_ticks, weir_error *err)
{
    child c = {.spec = spec, .files = os_files_before()};
    uint64_t all = ~UINT64_C(0);
    uint64_t old = 0;
    int fd = -1;
    int errnum = os_fault_check(OS_OP_SPAWN);
    if (errnum) return cannot_start(spec->program, errnum, err);

    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, MASK_SIZE);
    uint64_t before = boot_ticks();
    int made = clone(child_main, (char *)stack + SPAWN_STACK,
                     CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &c, &fd);
    errnum = errno;
    uint64_t after = boot_ticks();
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, MASK_SIZE);

    if (made < 0) return cannot_start(spec->program, errnum, err);
    if (c.step != STEP_NONE) {
        reap(fd);
        os_close(fd);
        return explain(&c, err);
    }
    *pid = made;
    *pidfd = fd;
    *start_ticks = before == after ? before : os_process_start(made);
    return 0;
}
