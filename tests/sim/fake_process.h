/*
 * fake_process.h - the functions of engine/world/process.c: a command reads and writes the project's files, between two bits of
 * everything else. A part of fake.h.
 */
#ifndef WEIR_TESTS_SIM_FAKE_PROCESS_H
#define WEIR_TESTS_SIM_FAKE_PROCESS_H

struct process_table {
    int unused;
};

struct process {
    process_started started;
    process_done done;
    void *ctx;
    char *words[64];
    int count, cwd;
    bool told, stopped, wrote, timed_out; /* told: that it has started, which may be after it has done all */
    int exit_code, signal;
};

static uint64_t fake_spawned;

int process_table_open(process_table **out, uv_loop_t *loop, weir_error *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    fakes.loop = loop;
    uv_idle_init(loop, &fakes.idle);
    uv_idle_start(&fakes.idle, fake_tick);
    return 0;
}

void process_table_close(process_table *t)
{
    if (!t) return;
    uv_idle_stop(&fakes.idle);
    uv_close((uv_handle_t *)&fakes.idle, NULL);
    fakes.count = 0;
    free(t);
}

size_t process_running(const process_table *t)
{
    (void)t;
    return 0;
}

uint64_t process_spawned(const process_table *t)
{
    (void)t;
    return fake_spawned;
}

bool process_find(hash128 token, int64_t *pid, uint64_t *start_ticks)
{
    (void)token;
    (void)pid;
    (void)start_ticks;
    return false;
}

int process_watch(int64_t pid, uint64_t start_ticks)
{
    (void)pid;
    (void)start_ticks;
    return -1;
}

int process_end_leftover(hash128 token, int64_t pid, uint64_t start_ticks, int64_t grace_ms, size_t *found, weir_error *err)
{
    (void)token, (void)pid, (void)start_ticks, (void)grace_ms, (void)err;
    *found = 0;
    return 0;
}

int process_end_begin(process_ending **out, uv_loop_t *loop, hash128 token, int64_t pid,
                      uint64_t start_ticks, int64_t grace_ms, process_ended ended, void *ctx,
                      weir_error *err)
{
    size_t found = 0;
    (void)loop;
    (void)ended;
    (void)ctx;
    *out = NULL;
    return process_end_leftover(token, pid, start_ticks, grace_ms, &found, err);
}

void process_end_hurry(process_ending *e)
{
    (void)e;
}

void process_end_cancel(process_ending *e)
{
    (void)e;
}

static bool command_file(void *ctx, const char *path, char text[TEXT])
{
    read_text(((const process *)ctx)->cwd, path, text);
    return true;
}

/* words: tools/sim <slot> <kind> <variant> <depfile> --in ... --out ... */
static bool command_member(void *ctx, char port, int k, char text[TEXT])
{
    const process *p = ctx;
    (void)port;
    read_text(p->cwd, p->words[6 + k], text);
    return true;
}

static sim_ref path_ref(const char *path)
{
    sim_ref r = {.kind = path[0] == 's' ? REF_FILE : REF_MADE, .index = atoi(path + 2), .port = path[strlen(path) - 1]};
    return r;
}

static void command_perform(process *p)
{
    tracker t;
    sim_result r;
    int slot = atoi(p->words[1]), out = 6;
    sim_io io = {.ctx = p, .member = command_member, .file = command_file};
    sim_node n = {.present = true, .command = true, .kind = atoi(p->words[2]), .variant = atoi(p->words[3]), .has_c = true, .x = -1};
    for (; strcmp(p->words[out], "--out") != 0; out++) n.c[n.c_count++] = path_ref(p->words[out]);
    n.shape = p->count > out + 2 ? SHAPE_AB : SHAPE_A;
    if (!perform(&graph, slot, &n, &io, &t, &r)) abort();
    if (fake_canary == 3 && fake_random() % 32 == 0) strcat(r.a, "?");
    write_text(p->cwd, p->words[out + 1], r.ok ? r.a : "half");
    if (has_b(&n)) write_text(p->cwd, p->words[out + 2], r.b);
    p->wrote = true;
    p->exit_code = r.ok ? 0 : 3;
    fake_performed(slot, &n, &t, r.ok);
    if (strcmp(p->words[4], "-") == 0) return;
    char deps[600] = "x:";
    size_t at = 2;
    for (int i = 0; i < t.count; i++)
        if (t.reads[i].group > 0 && fake_canary != 2) at += (size_t)snprintf(deps + at, sizeof deps - at, " %s", t.reads[i].id);
    write_text(p->cwd, p->words[4], deps);
}

static void fake_tools(int dir)
{
    write_text(dir, "tools/sim", "tool");
}

/* It wrote a part, and ends: by a signal, a time limit, or with a code that says nothing. */
static void command_half(process *p, int how)
{
    int out = 6;
    while (strcmp(p->words[out], "--out") != 0) out++;
    write_text(p->cwd, p->words[out + 1], "half");
    p->wrote = true;
    p->signal = how == 1 ? 11 : how == 2 ? 15 : 0;
    p->timed_out = how == 2;
    p->exit_code = 124;
}

static void process_step(void *object)
{
    process *p = object;
    if (!p->told && (p->wrote || p->stopped || fake_random() % 2)) {
        weir_error none = {0};
        p->told = true;
        p->started(p->ctx, 0, 0, &none);
        fake_add(process_step, p);
        return;
    }
    if (!p->wrote && !p->stopped) {
        int how = fake_chance(atoi(p->words[1]));
        if (how) command_half(p, how);
        else {
            p->signal = fake_crashes() ? 9 : 0;
            command_perform(p);
        }
        fake_add(process_step, p);
        return;
    }
    process_result r = {.exit_code = p->stopped || p->signal ? -1 : p->exit_code, .signal = p->stopped ? 15 : p->signal, .stopped = p->stopped,
                        .timed_out = p->timed_out,
                        .output = bytes_of("", 0), .wall_us = (int64_t)(fake_random() % 3000)};
    for (int i = 0; i < p->count; i++) free(p->words[i]);
    p->done(p->ctx, &r);
    free(p);
}

static void add_words(process *p, const char *text)
{
    char copy[2000];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *rest = copy, *word; (word = strtok_r(rest, " ", &rest)) != NULL;) p->words[p->count++] = strdup(word);
}

int process_start(process_table *t, const process_spec *spec, process_started started, process_done done, void *ctx,
                  process **out, weir_error *err)
{
    (void)t, (void)err;
    process *p = calloc(1, sizeof *p);
    p->started = started;
    p->done = done;
    p->ctx = ctx;
    p->cwd = spec->cwd_fd;
    if (strcmp(spec->argv[0], "/bin/sh") == 0) add_words(p, spec->argv[2]);
    else
        for (int i = 0; spec->argv[i]; i++) p->words[p->count++] = strdup(spec->argv[i]);
    *out = p;
    fake_spawned++;
    fake_add(process_step, p);
    return 0;
}

void process_stop(process *p, int64_t grace_ms)
{
    (void)grace_ms;
    p->stopped = true;
}

#endif
