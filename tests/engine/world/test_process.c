/*
 * test_process.c - commands: how they end, what they may leave behind, and that nothing does.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/base/os.h"
#include "engine/world/capture.h"
#include "engine/world/process.h"
#include "tests/check.h"

static uv_loop_t loop;
static process_table *table;
static int rootfd;
static uint64_t tokens;
static mem_arena arena;

typedef struct outcome {
    int starts, calls;
    weir_error why; /* it was not started */
    process_result result;
    char output[65536];
    size_t size;
    process *p;
    int64_t pid;
    uint64_t ticks;
    hash128 token;
} outcome;

static void on_done(void *ctx, const process_result *result)
{
    outcome *o = ctx;
    o->calls++;
    o->result = *result;
    o->size = result->output.size;
    size_t kept = o->size < sizeof o->output - 1 ? o->size : sizeof o->output - 1;
    if (kept > 0) memcpy(o->output, result->output.data, kept);
    o->output[kept] = '\0';
}

static void on_started(void *ctx, int64_t pid, uint64_t ticks, const weir_error *why)
{
    outcome *o = ctx;
    CHECK_INT(0, o->calls);
    o->starts++;
    o->pid = pid;
    o->ticks = ticks;
    o->why = *why;
}

static hash128 new_token(void)
{
    uint64_t unique[2] = {(uint64_t)getpid(),
                          ++tokens}; /* of this test only: another run may be beside us */
    return hash_bytes(unique, sizeof unique);
}

/* The words stay until it has started. */
static process_spec shell(const char *script)
{
    const char **argv = arena_zero(&arena, 4, sizeof *argv);
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = arena_printf(&arena, "%s", script);
    return (process_spec){
        .program = "/bin/sh",
        .argv = argv,
        .envp = process_environment(&arena, NULL, NULL, 0),
        .cwd_fd = rootfd,
        .token = new_token(),
        .output_cap = PROCESS_OUTPUT_CAP,
    };
}

static void begin(outcome *o, process_spec spec)
{
    weir_error err = {0};
    memset(o, 0, sizeof *o);
    o->token = spec.token;
    CHECK_OK(process_start(table, &spec, on_started, on_done, o, &o->p, &err), err);
}

static void wait_for_start(outcome *o)
{
    while (o->starts == 0 && uv_run(&loop, UV_RUN_ONCE)) continue;
    CHECK_INT(1, o->starts);
}

static void start(outcome *o, process_spec spec)
{
    begin(o, spec);
    wait_for_start(o);
    CHECK_OK(o->why.code, o->why);
}

static void wait_for(outcome *o)
{
    while (o->calls == 0 && uv_run(&loop, UV_RUN_ONCE)) continue;
    CHECK_INT(1, o->calls);
}

static outcome *run(const char *script)
{
    static outcome o;
    start(&o, shell(script));
    wait_for(&o);
    return &o;
}

/* Waits for a file that a command writes. */
static void wait_for_file(const char *name)
{
    struct stat st;
    for (int i = 0; i < 5000 && (stat(check_path(name), &st) != 0 || st.st_size == 0); i++)
        usleep(1000);
}

static int64_t read_pid(const char *name)
{
    wait_for_file(name);
    FILE *in = fopen(check_path(name), "r");
    long long pid = 0;
    bool has_pid = in && fscanf(in, "%lld", &pid) == 1;
    CHECK(has_pid);
    if (in) fclose(in);
    return pid;
}

/* Gone, or a zombie that is nobody's business of ours. */
static bool is_alive(int64_t pid)
{
    return kill((pid_t)pid, 0) == 0;
}

/* --- how commands end -------------------------------------------------------------------------------------------- */

static void test_codes(void)
{
    CHECK_INT(0, run("true")->result.exit_code);
    CHECK_INT(1, run("false")->result.exit_code);
    CHECK_INT(255, run("exit 255")->result.exit_code);
    outcome *o = run("kill -SEGV $$");
    CHECK_INT(-1, o->result.exit_code);
    CHECK_INT(SIGSEGV, o->result.signal);
    CHECK_INT(SIGKILL, run("kill -KILL $$")->result.signal);
    o = run("echo out; echo err >&2; echo out2");
    CHECK_STR("out\nerr\nout2\n", o->output);
    CHECK(!o->result.truncated && !o->result.timed_out && !o->result.stopped);
    CHECK(o->result.wall_us > 0 && o->result.memory_bytes > 0);
    CHECK_STR("", run("exec >&- 2>&-; exit 0")->output);
    CHECK_INT(0, process_running(table));
}

static void test_start_time(void)
{
    outcome o;
    for (int i = 0; i < 20; i++) {
        start(&o, shell("sleep 0.01"));
        CHECK_INT(os_process_start(o.pid), o.ticks);
        wait_for(&o);
    }
}

static void cannot_start(int code, const char *because, process_spec spec)
{
    static outcome o;
    begin(&o, spec);
    wait_for_start(&o);
    CHECK_CODE(code, o.why.code, o.why);
    CHECK_HAS(because, o.why.message);
    CHECK_INT(0, process_running(table));
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(0, o.calls);
}

static void test_errors(void)
{
    weir_error err = {0};
    process_spec spec = shell("true");
    process *p;
    outcome o = {0};
    uint64_t before = process_spawned(table);
    spec.program = "/no/such/program";
    cannot_start(WEIR_NOTFOUND, "/no/such/program", spec);

    check_write(check_path("script"), "#!/no/such/interpreter\n");
    chmod(check_path("script"), 0755);
    spec.program = check_path("script");
    cannot_start(WEIR_NOTFOUND, "interpreter", spec);

    check_write(check_path("plain"), "text");
    spec.program = check_path("plain");
    cannot_start(WEIR_IO, "cannot execute", spec);

    spec = shell("true");
    spec.cwd_fd = 999;
    cannot_start(WEIR_IO, "working folder", spec);

    char *huge = malloc(300000);
    memset(huge, 'x', 299999);
    huge[299999] = '\0';
    cannot_start(WEIR_LIMIT, "too long", shell(huge));
    free(huge);

    os_fault_set(OS_OP_SPAWN, 1, EAGAIN, false);
    cannot_start(WEIR_IO, "`ulimit -u` says how many", shell("true"));
    os_fault_set(OS_OP_SPAWN, 0, 0, false);

    mem_fail_at(1, false);
    CHECK_CODE(WEIR_NOMEM, process_start(table, &spec, on_started, on_done, &o, &p, &err), err);
    mem_fail_at(0, false);
    CHECK(!p);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(0, o.starts);
    CHECK_INT(0, o.calls);
    CHECK_INT(0, process_running(table));
    CHECK_INT(0, process_spawned(table) - before);
    CHECK_INT(-1, waitpid(-1, NULL, WNOHANG)); /* no child is left */
}

/* --- what a command sees ----------------------------------------------------------------------------------------- */

static void test_surroundings(void)
{
    int leak = open("/dev/null", O_RDONLY); /* not close-on-exec */
    int high = fcntl(leak, F_DUPFD, 200);
    CHECK_STR(
        "0\n1\n2\n",
        run("n=0; while [ $n -lt 256 ]; do [ ! -e /proc/$$/fd/$n ] || echo $n; n=$((n + 1)); done")
            ->output);
    close(high);
    close(leak);
    CHECK_STR("/dev/null\n", run("readlink /proc/$$/fd/0")->output);
    CHECK_STR("", run("cat")->output);
    CHECK_STR("0022\n", run("umask")->output);

    char expected[512];
    snprintf(expected, sizeof expected, "%s\n", check_scratch());
    CHECK_STR(expected, run("pwd -P")->output);

    /* its own group, nothing blocked, nothing ignored, whatever we have */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(40, SIG_IGN);
    sigset_t blocked;
    sigset_t old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    CHECK_STR("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
              run("exec grep -E 'SigBlk|SigIgn' /proc/self/status")->output);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(40, SIG_DFL);
    CHECK_STR("own\n", run("set -- $(cat /proc/$$/stat); [ $5 = $$ ] && echo own")->output);
}

static void test_environment(void)
{
    setenv("SECRET", "canary", 1);
    setenv("LANG", "de_DE.UTF-8", 1);
    setenv("HOME", "/home/someone", 1);
    unsetenv("LOGNAME");
    bytes names[] = {bytes_str("CC"), bytes_str("HOME"), bytes_str("CC")};
    bytes values[] = {bytes_str("gcc"), bytes_str("/declared"), bytes_str("clang -x")};
    process_spec spec = shell("env | sort | grep -v -E '^(PWD|_|SHLVL|OLDPWD|TMPDIR|USER|SHELL)='");
    spec.envp = process_environment(&arena, names, values, 3);
    outcome o;
    start(&o, spec);
    wait_for(&o);
    char hex[HASH_HEX];
    char expected[2048];
    snprintf(expected, sizeof expected,
             "CC=clang -x\nHOME=/declared\nLC_ALL=C.UTF-8\nPATH=%s\nWEIR_TOKEN=%s\n",
             getenv("PATH"), hash_hex(spec.token, hex));
    CHECK_STR(expected, o.output);
}

/* --- output ------------------------------------------------------------------------------------------------------ */

static void test_output_cap(void)
{
    static outcome o;
    process_spec spec = shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 7");
    spec.output_cap = 1000;
    start(&o, spec);
    wait_for(&o);
    CHECK_INT(1000, o.size);
    CHECK(o.result.truncated);
    CHECK_INT(7, o.result.exit_code);

    start(&o, shell("head -c 3000000 /dev/zero"));
    wait_for(&o);
    CHECK_INT(3000000, o.size);
    CHECK(!o.result.truncated);
}

static void test_many(void)
{
    enum { COUNT = 100 };
    outcome *o = calloc(COUNT, sizeof *o);
    char script[64];
    uint64_t before = process_spawned(table);
    for (int i = 0; i < COUNT; i++) {
        snprintf(script, sizeof script, "echo %d; exit %d", i, i);
        begin(&o[i], shell(script));
    }
    CHECK_INT(COUNT, process_running(table));
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < COUNT; i++) {
        CHECK_INT(1, o[i].starts);
        CHECK_INT(1, o[i].calls);
        CHECK_INT(i, o[i].result.exit_code);
        CHECK_INT(i, atoi(o[i].output));
    }
    CHECK_INT(COUNT, process_spawned(table) - before);
    CHECK_INT(0, process_running(table));
    free(o);
}

/* --- those that do not want to end -------------------------------------------------------------------------------- */

static void test_timeout(void)
{
    static outcome o;
    process_spec spec = shell("echo before; sleep 60; echo after");
    spec.timeout_ms = 50;
    start(&o, spec);
    wait_for(&o);
    CHECK(o.result.timed_out && !o.result.stopped);
    CHECK_INT(SIGTERM, o.result.signal);
}

static void test_stop(void)
{
    static outcome o;
    begin(&o, shell("sleep 60")); /* before it has started */
    process_stop(o.p, 5000);
    wait_for(&o);
    CHECK_INT(1, o.starts);
    CHECK(o.result.stopped);
    CHECK_INT(SIGTERM, o.result.signal);

    start(&o, shell("sleep 60"));
    process_stop(o.p, 5000);
    wait_for(&o);
    CHECK(o.result.stopped);
    CHECK_INT(SIGTERM, o.result.signal);

    /* TERM is ignored: KILL after the grace, also for its child */
    unlink(check_path("child"));
    unlink(check_path("ready"));
    start(&o, shell("trap '' TERM; echo before; sleep 60 & echo $! > child; echo 1 > ready; wait; sleep 60"));
    wait_for_file("ready");
    process_stop(o.p, 30);
    wait_for(&o);
    CHECK_INT(SIGKILL, o.result.signal);
    CHECK_STR("before\n", o.output);
    CHECK(!is_alive(read_pid("child")));

    /* stopped by a signal: woken up to end */
    start(&o, shell("kill -STOP $$; sleep 60"));
    usleep(20000);
    process_stop(o.p, 5000);
    wait_for(&o);
    CHECK_INT(SIGTERM, o.result.signal);
}

/* --- what is left behind ----------------------------------------------------------------------------------------- */

static void test_grandchild_keeps_pipe(void)
{
    static outcome o;
    unlink(check_path("child"));
    start(&o, shell("sleep 60 & echo $! > child; echo done"));
    wait_for(&o);
    CHECK_INT(0, o.result.exit_code);
    CHECK_STR("done\n", o.output);
    CHECK(!is_alive(read_pid("child")));

    /* one that ignores TERM, and keeps writing */
    unlink(check_path("child"));
    start(
        &o,
        shell(
            "(trap '' TERM; echo 1 > up; while :; do echo noise; sleep 0.01; done) & echo $! > child; while [ ! -s up ]; do sleep 0.01; done"));
    wait_for(&o);
    CHECK_INT(0, o.result.exit_code);
    CHECK(!is_alive(read_pid("child")));
}

static void test_daemon(void)
{
    static outcome o;
    unlink(check_path("child"));
    start(
        &o,
        shell(
            "setsid sh -c 'echo $$ > child; exec sleep 60' >/dev/null 2>&1 & while [ ! -s child ]; do sleep 0.01; done; echo ok"));
    wait_for(&o);
    CHECK_STR("ok\n", o.output);
    CHECK(!is_alive(read_pid("child")));

    /* forked twice, its own session, ignores TERM, keeps the pipe */
    unlink(check_path("child"));
    start(
        &o,
        shell(
            "(setsid sh -c 'trap \"\" TERM; echo $$ > child; sleep 60; sleep 60' &); while [ ! -s child ]; do sleep 0.01; done"));
    wait_for(&o);
    CHECK_INT(0, o.result.exit_code);
    CHECK(!is_alive(read_pid("child")));
    CHECK_INT(-1, waitpid(-1, NULL, WNOHANG)); /* all were reaped */
}

/* A child of another module lives, and can be waited for by it; another command's daemon waits for that one's end. */
static void test_others(void)
{
    static outcome slow;
    static outcome quick;
    pid_t other = fork();
    if (other == 0) {
        execl("/bin/sleep", "sleep", "60", (char *)NULL);
        _exit(127);
    }
    pid_t dead = fork();
    if (dead == 0) _exit(42);

    unlink(check_path("child"));
    start(
        &slow,
        shell(
            "(setsid sh -c 'echo $$ > child; exec sleep 60' &); while [ ! -e go ]; do sleep 0.01; done"));
    int64_t daemon = read_pid("child");
    start(&quick, shell("(setsid sleep 60 &); exit 3"));
    wait_for(&quick);
    CHECK_INT(3, quick.result.exit_code);
    CHECK(is_alive(daemon));
    CHECK(is_alive(other));
    check_write(check_path("go"), "1");
    wait_for(&slow);
    CHECK(!is_alive(daemon));
    CHECK(is_alive(other));

    int status = 0;
    CHECK_INT(dead, waitpid(dead, &status, 0));
    CHECK_INT(42, WEXITSTATUS(status));
    kill(other, SIGKILL);
    CHECK_INT(other, waitpid(other, NULL, 0));
    CHECK_INT(-1, waitpid(-1, NULL, WNOHANG));
}

/* --- an earlier engine's ------------------------------------------------------------------------------------------- */

/* Starts a shell as an engine that died would have left it: not waited for, with a token. */
static pid_t leave_behind(const char *script, hash128 token, bool own_group)
{
    char variable[64] = "WEIR_TOKEN=";
    hash_hex(token, variable + 11);
    char *envp[] = {variable, (char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script,
                    NULL};
    pid_t pid = fork();
    if (pid == 0) {
        if (own_group) setpgid(0, 0);
        if (fchdir(rootfd) == 0) execve("/bin/sh", argv, envp);
        _exit(127);
    }
    return pid;
}

static void test_leftover(void)
{
    weir_error err = {0};
    size_t found = 99;
    hash128 token = new_token();
    CHECK_OK(process_end_leftover(token, 0, 0, 100, &found, &err), err);
    CHECK_INT(0, found);

    /* by token: it and the daemon it started */
    unlink(check_path("child"));
    pid_t pid = leave_behind(
        "setsid sh -c 'trap \"\" TERM; echo $$ > child; sleep 60; sleep 60' & sleep 60", token,
        true);
    pid_t innocent = leave_behind("sleep 60", new_token(), true);
    int64_t daemon = read_pid("child");
    uint64_t ticks = os_process_start(pid);
    CHECK_OK(process_end_leftover(new_token(), pid, ticks + 1, 50, &found, &err),
             err); /* another start time: another process */
    CHECK_INT(0, found);
    CHECK_OK(process_end_leftover(token, pid, ticks, 50, &found, &err), err);
    CHECK(found >= 3);
    int status = 0;
    CHECK_INT(pid, waitpid(pid, &status, 0));
    CHECK(WIFSIGNALED(status));
    while (waitpid((pid_t)daemon, NULL, 0) < 0 && errno == EINTR) continue;
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    CHECK(!is_alive(daemon));
    CHECK(is_alive(innocent));
    kill(-innocent, SIGKILL);
    waitpid(innocent, NULL, 0);
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;

    /* by its group, though its environment is gone */
    unlink(check_path("child"));
    pid = leave_behind("env -i /bin/sh -c 'echo $$ > child; exec sleep 60' & wait", token, true);
    (void)read_pid("child");
    CHECK_OK(process_end_leftover(HASH_NONE, pid, os_process_start(pid), 500, &found, &err), err);
    CHECK_INT(2, found);
    CHECK_INT(pid, waitpid(pid, NULL, 0));
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

typedef struct slow_end {
    int calls, ticks; /* ticks: of another timer, before the end */
    int rc;
} slow_end;

static void on_slow_end(void *ctx, int rc, const weir_error *err)
{
    slow_end *e = ctx;
    (void)err;
    e->calls++;
    e->rc = rc;
}

static void on_tick(uv_timer_t *timer)
{
    slow_end *e = timer->data;
    e->ticks++;
}

/* The loop turns while something that ignores TERM is ended, until a second interrupt, so to say. */
static void test_slow_end(void)
{
    weir_error err = {0};
    hash128 token = new_token();
    slow_end e = {0};
    process_ending *ending = NULL;
    uv_timer_t timer;
    unlink(check_path("child"));
    pid_t pid = leave_behind("trap '' TERM; echo $$ > child; while :; do sleep 0.01; done", token, true);
    (void)read_pid("child");
    uv_timer_init(&loop, &timer);
    timer.data = &e;
    uv_timer_start(&timer, on_tick, 1, 1);
    CHECK_OK(process_end_begin(&ending, &loop, token, pid, os_process_start(pid), 60000, on_slow_end, &e, &err), err);
    CHECK(ending != NULL);
    while (e.ticks < 100) uv_run(&loop, UV_RUN_ONCE);
    CHECK_INT(0, e.calls);
    CHECK(is_alive(pid));
    process_end_hurry(ending);
    while (e.calls == 0) {
        uv_run(&loop, UV_RUN_ONCE);
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
    CHECK_INT(1, e.calls);
    CHECK_INT(0, e.rc);
    CHECK(!is_alive(pid));

    ending = NULL; /* nobody is left to be ended */
    CHECK_OK(process_end_begin(&ending, &loop, token, pid, 1, 60000, on_slow_end, &e, &err), err);
    CHECK(ending == NULL);

    pid = leave_behind("trap '' TERM; echo $$ > child; while :; do sleep 0.01; done", token, true);
    CHECK_OK(process_end_begin(&ending, &loop, token, pid, os_process_start(pid), 60000, on_slow_end, &e, &err), err);
    process_end_cancel(ending);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    CHECK_INT(1, e.calls);
    kill(-pid, SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) >= 0) continue;
}

/* What an earlier engine left and may be adopted: known by pid and start time, or looked for by its token. */
static void test_find(void)
{
    hash128 token = new_token();
    int64_t found = 0;
    uint64_t at = 0;
    CHECK(!process_find(token, &found, &at));
    unlink(check_path("child"));
    pid_t pid = leave_behind("sleep 60 & echo $! > child; wait", token, true);
    pid_t child = (pid_t)read_pid("child");
    uint64_t ticks = os_process_start(pid);
    CHECK(process_find(token, &found, &at)); /* not its child, which has the token too */
    CHECK_INT(pid, found);
    CHECK_INT(ticks, at);
    at = ticks + 1;
    CHECK(!process_find(token, &found, &at)); /* the pid was given to another one */
    at = ticks;
    CHECK(!process_find(new_token(), &found, &at)); /* it says that it is another one */
    CHECK_INT(-1, process_watch(pid, ticks + 1));
    int fd = process_watch(pid, ticks);
    CHECK(fd >= 0);
    kill(-pid, SIGKILL);
    siginfo_t info;
    CHECK_INT(0, waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    CHECK(!process_find(token, &found, &at)); /* a zombie runs no more */
    CHECK_INT(-1, process_watch(pid, ticks));
    os_close(fd);
    CHECK_INT(pid, waitpid(pid, NULL, 0));
    CHECK_INT(child, waitpid(child, NULL, 0)); /* ours since then */

    pid = leave_behind("exec env -i /bin/sleep 60", token, true); /* who clears its environment is known by pid and time alone */
    while (true) {
        char name[64];
        snprintf(name, sizeof name, "/proc/%d/environ", pid);
        FILE *in = fopen(name, "r");
        int first = in ? fgetc(in) : 0;
        if (in) fclose(in);
        if (first == EOF) break;
        usleep(1000);
    }
    found = pid;
    at = os_process_start(pid);
    CHECK(process_find(token, &found, &at));
    kill(-pid, SIGKILL);
    CHECK_INT(pid, waitpid(pid, NULL, 0));
}

/* Its output goes to a file that has no other end. */
static void test_detached(void)
{
    static outcome o;
    process_spec spec = shell("readlink /proc/$$/fd/1; yes | head -c 3000000");
    spec.output_path = "out";
    spec.is_detached = true;
    spec.output_cap = 1000000;
    start(&o, spec);
    wait_for(&o);
    CHECK_INT(0, o.result.exit_code);
    CHECK_HAS(check_path("out"), o.output);
    CHECK(o.result.in_file && o.result.truncated);
    CHECK(o.result.output_bytes >= 3000000);
    struct stat st;
    CHECK_INT(0, stat(check_path("out"), &st));
    CHECK(st.st_size > 1000000 && st.st_size < 1000000 + CAPTURE_TAIL + 1000);
}

/* Closing the table kills what runs, with everything below it. */
static void test_close(void)
{
    static outcome o;
    unlink(check_path("child"));
    start(
        &o,
        shell(
            "(setsid sh -c 'trap \"\" TERM; echo $$ > child; sleep 60; sleep 60' &); trap '' TERM; sleep 60; sleep 60"));
    int64_t daemon = read_pid("child");
    static outcome early[20]; /* begun, but the loop does not know whether they were started */
    for (int i = 0; i < 20; i++) begin(&early[i], shell("sleep 60"));
    process_table_close(table);
    for (int i = 0; i < 20; i++) CHECK_INT(0, early[i].starts + early[i].calls);
    CHECK(!is_alive(o.pid));
    CHECK(!is_alive(daemon));
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(0, o.calls);
    CHECK_INT(0, uv_loop_close(&loop));
    CHECK_INT(-1, waitpid(-1, NULL, WNOHANG));
}

int main(void)
{
    weir_error err = {0};
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    arena_init(&arena);
    uv_loop_init(&loop);
    if (!CHECK_OK(process_table_open(&table, &loop, &err), err)) return check_done();
    test_codes();
    test_start_time();
    test_errors();
    test_surroundings();
    test_environment();
    test_output_cap();
    test_many();
    test_timeout();
    test_stop();
    test_grandchild_keeps_pipe();
    test_daemon();
    test_others();
    test_leftover();
    test_slow_end();
    test_find();
    test_detached();
    test_close();
    close(rootfd);
    arena_deinit(&arena);
    return check_done();
}
