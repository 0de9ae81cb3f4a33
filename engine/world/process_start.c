/*
 * process_start.c - how a command begins: its pipe and its child in a thread of the starter, the rest on the loop.
 *
 *     process_start --launch--> thread: pipe, clone, exec --launch--> loop: watched, `started`
 *
 * B1  The thread touches the launch, what it borrows, and of the process only `output`, if the command writes to a file itself.
 * B2  `started` is called once for each process_start that returned 0, before `done`, unless the table is closed first.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/world/process_internal.h"

/* --- in a thread --------------------------------------------------------------------------------------------------- */

static process *of_launch(process_launch *l)
{
    return (process *)((char *)l - offsetof(process, launch));
}

/* Only we do not wait at our end. */
static int make_pipe(int ends[2], const char *program, weir_error *err)
{
    if (pipe2(ends, O_CLOEXEC) == 0) {
        ends[0] = process_above_two(ends[0]);
        ends[1] = process_above_two(ends[1]);
        if (ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) return 0;
    }
    return error_errno(err, errno, "cannot make a pipe for the output of %s", program);
}

/* ends[0]: what we read, -1: nothing; ends[1]: what the child writes to. */
static int make_output(process_launch *l, int ends[2], weir_error *err)
{
    capture *output = &of_launch(l)->output;
    if (!l->is_detached) return make_pipe(ends, l->spec.program, err);
    int rc = capture_direct(output, err);
    if (rc != 0) return rc;
    ends[1] = fcntl(output->fd, F_DUPFD_CLOEXEC, 3);
    return ends[1] < 0 ? error_errno(err, errno, "preparing the output of %s", l->spec.program) : 0;
}

void process_launch_run(starter_job *job, void *stack)
{
    process_launch *l = (process_launch *)job;
    int ends[2] = {-1, -1};
    int rc = make_output(l, ends, &l->err);
    l->spec.output_fd = ends[1];
    l->start_ns = os_monotonic_ns();
    if (rc == 0) rc = spawn_start(&l->spec, stack, &l->pid, &l->pidfd, &l->start_ticks, &l->err);
    os_close(ends[1]);
    l->output_fd = ends[0];
    if (rc == 0) return;
    if (l->err.code == 0) l->err.code = rc;
    os_close(ends[0]);
    l->output_fd = -1;
}

/* --- on the loop --------------------------------------------------------------------------------------------------- */

/* What cannot be watched is ended again. */
static int watch(process *p, weir_error *err)
{
    int rc = process_watch_fd(p, p->pidfd, false, err);
    if (rc == 0 && p->output_fd >= 0) rc = process_watch_fd(p, p->output_fd, true, err);
    if (rc == 0) return 0;
    kill((pid_t)-p->pid, SIGKILL);
    (void)process_reap(p, 0);
    return rc;
}

static void tell_failure(process *p, weir_error *err)
{
    process_leave(p);
    p->started(p->ctx, 0, 0, err);
}

void process_launch_done(starter_job *job)
{
    process_launch *l = (process_launch *)job;
    process *p = of_launch(l);
    process_table *t = p->table;
    if (l->err.code != 0) {
        tell_failure(p, &l->err);
        return;
    }
    p->pid = l->pid;
    p->pidfd = l->pidfd;
    p->output_fd = l->output_fd;
    p->start_ns = l->start_ns;
    p->state = RUNNING;
    if (watch(p, &l->err) != 0) {
        tell_failure(p, &l->err);
        return;
    }
    t->spawned++;
    if (p->timeout_ms > 0) {
        p->timeout_ns = p->start_ns + p->timeout_ms * 1000000;
        process_set_timer_at(p, p->timeout_ns);
    }
    if (p->result.stopped) process_terminate(p, p->stop_grace_ms);
    p->started(p->ctx, p->pid, l->start_ticks, &l->err);
}

/* The given variables and WEIR_TOKEN; the strings are borrowed, but the last, which is written to `token`. */
static const char **with_token(const char *const *envp, hash128 hash, char token[64])
{
    static const char name[] = "WEIR_TOKEN=";
    size_t count = 0;
    size_t kept = 0;
    while (envp && envp[count]) count++;
    const char **all = mem_alloc((count + 2) * sizeof *all);
    if (!all) return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(envp[i], name, sizeof name - 1) != 0) all[kept++] = envp[i];
    memcpy(token, name, sizeof name);
    hash_hex(hash, token + sizeof name - 1);
    all[kept++] = token;
    all[kept] = NULL;
    return all;
}

static process *new_process(process_table *t, const process_spec *spec)
{
    process *p = mem_zero(1, sizeof *p);
    if (!p) return NULL;
    process_launch *l = &p->launch;
    l->envp = with_token(spec->envp, spec->token, l->token);
    if (!l->envp) {
        mem_free(p);
        return NULL;
    }
    l->spec = (spawn_spec){
        .program = spec->program,
        .argv = (char *const *)(uintptr_t)spec->argv,
        .envp = (char *const *)(uintptr_t)l->envp,
        .null_fd = t->null_fd,
        .cwd_fd = spec->cwd_fd,
        .job_fds = spec->job_fds,
    };
    l->is_detached = spec->is_detached;
    l->pidfd = l->output_fd = -1;
    p->table = t;
    p->pidfd = p->output_fd = -1;
    p->token = spec->token;
    p->timeout_ms = spec->timeout_ms;
    capture_init(&p->output, spec->cwd_fd, spec->output_path, spec->output_cap);
    return p;
}

int process_start(process_table *t, const process_spec *spec, process_started started, process_done done, void *ctx,
                  process **out, weir_error *err)
{
    *out = NULL;
    process *p = new_process(t, spec);
    if (!p) return error_nomem(err, "starting a command");
    p->started = started;
    p->done = done;
    p->ctx = ctx;
    uv_timer_init(t->loop, &p->timer);
    p->timer.data = p;
    t->unfreed++;
    p->next = t->first;
    if (p->next) p->next->previous = p;
    t->first = p;
    if (t->running++ == 0) uv_ref((uv_handle_t *)&t->events_poll);
    *out = p;
    starter_submit(t->starter, &p->launch.job);
    return 0;
}
