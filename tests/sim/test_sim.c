/*
 * test_sim.c - random projects, random changes, and after every run the question: is all as a clean run would have it, with the
 * least work?
 *
 * The engine is the real one, declared through weir.h; processes and workers are the fakes of fake.h, which finish in any order; threads and
 * time are those of single.h. A round is a fresh project and some steps; a step changes a few things (or nothing), perhaps closes and opens
 * the engine, and runs. Nodes are declared, or are on the lists of expand nodes, or are needed while another one runs. Then:
 *
 *   - every wanted output equals the clean computation (clean.h)
 *   - a node ran exactly when no earlier execution with its key saw the same contents; at most once
 *   - a second run runs nothing; what fails is told without being run, unless it failed by chance or has retries (chance.h)
 *   - what did not settle well left its files as they were (left.h)
 *   - a dry run says what will run; an edit in the middle of a run, a crash, an engine killed at a named point is made good by the next one
 *   - after every step: the state equals the fold of the log, and its chain holds (weir db check). That takes three times as long as the step:
 *     WEIR_SIM_CHECK=n does it every n steps, and in any case at the end of a round, whose log holds all that was recorded in it
 *
 * Exceptions, told apart here, and why. Nobody can wait for what nobody has declared, so a node may run more than once, and its users with it
 * (loose): when it finds for the first time what another node makes, or when that is a node of a list that is made anew in the same run; when a
 * command names a file for the first time that is as young as the command itself; when it was declared anew, or was part of a circle, and so its earlier
 * reads are forgotten. Of a circle that needs close it is not foretold which node says so, of all it is that they are not made. A node that
 * needs a name that there is not has no known failure, and is asked twice when something it read before moves. What lies around without a maker, and
 * the nodes of a list whose expand node failed after a disturbed run, cannot be foretold (unsure); with targets neither can lists that nobody asked.
 *
 * A failure is made shorter by leaving out lines of its script (script.h), and what is left is printed. Scripts in tests/sim/kept are played first.
 *   WEIR_SEED=n       only this round          WEIR_SIM_STEPS=n   steps in all; WEIR_SIM_BASE=n: other seeds
 *   WEIR_SIM_PLAY=f   only this script         WEIR_SIM_VERBOSE=1  print every line
 *   WEIR_SIM_KEEP=1   leave the projects there
 *   WEIR_SIM_WATCH=1  only say whether anything is wrong (the canaries)
 */
#include "tests/sim/script.h"

enum { ROUND_STEPS = 60, LINES = 4000 };
#ifdef SIM_REAL
enum { DEFAULT_STEPS = 120 };
#else
enum { DEFAULT_STEPS = 600 };
#endif


static uint64_t number_of(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

/* --- rounds -------------------------------------------------------------------------------------------------------------- */

static void project_make(void)
{
    snprintf(sim->root, sizeof sim->root, "%s/round%ld", check_scratch(), (long)getpid());
    mkdir(sim->root, 0755);
    sim->rootfd = open(sim->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(sim->rootfd, "s", 0755);
    mkdirat(sim->rootfd, "tools", 0755);
    fake_tools(sim->rootfd);
    if (fchmodat(sim->rootfd, "tools/sim", 0755, 0) != 0) abort();
    memset(&graph, 0, sizeof graph);
    single_begin();
    for (int i = STABLE; i < SOURCES; i++) {
        snprintf(graph.sources[i].text, TEXT, "stays");
        source_write(i);
    }
}

/* A round of so many steps, or a script: lines ended by NULL. In a process of its own. */
static void round_here(uint64_t seed, int steps, char *const *lines)
{
    project_make();
    engine_open();
    if (!lines) script_begin(seed);
    for (int i = 0; !lines && i < steps && !sim->bad; i++) script_step(seed, i);
    for (int i = 0; lines && lines[i] && !sim->bad; i++) script_play(lines[i]);
    check_record();
    weir_close(sim->w);
    free(sim->memo.rows);
    close(sim->rootfd);
}

static bool round_fails(uint64_t seed, int steps, char *const *lines)
{
    bool verbose = sim->verbose;
    memset(sim, 0, sizeof *sim);
    sim->verbose = verbose;
    sim->check_every = (int)number_of("WEIR_SIM_CHECK", 1);
    fflush(stderr);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(getenv("WEIR_SIM_WATCH") ? 60 : 300); /* a round that hangs; a crowded machine takes its time */
        round_here(seed, steps, lines);
        _exit(sim->bad ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (getenv("WEIR_SIM_KEEP")) fprintf(stderr, "%s is left\n", sim->root);
    else check_remove(AT_FDCWD, sim->root);
    if (WIFSIGNALED(status)) note("#   WRONG: ended by signal %d\n", WTERMSIG(status));
    else if (status != 0 && !sim->bad) note("#   WRONG: ended with code %d\n", WEXITSTATUS(status));
    return status != 0;
}

/* --- making shorter ------------------------------------------------------------------------------------------------------ */

/* Cuts a text into lines, in place. */
static size_t cut_lines(char *text, char *lines[LINES])
{
    size_t count = 0;
    for (char *line; count + 1 < LINES && (line = strtok_r(text, "\n", &text)) != NULL;)
        if (*line != '#') lines[count++] = line;
    lines[count] = NULL;
    return count;
}

/* What was wrong at first: what is left of it when it is made shorter may be wrong in another way. */
static void say_wrongs(void)
{
    for (const char *at = sim->script; (at = strstr(at, "WRONG: ")) != NULL; at++) fprintf(stderr, "  %.*s\n", (int)strcspn(at, "\n"), at);
}

/* Leave out runs of lines while it still fails. */
static void shrink(void)
{
    static char text[SCRIPT];
    static char *lines[LINES], *fewer[LINES];
    memcpy(text, sim->script, SCRIPT);
    size_t count = cut_lines(text, lines);
    time_t limit = time(NULL) + 40;
    for (size_t size = count / 2; size > 0; size = size > 1 ? size / 2 : 0) {
        for (size_t at = 0; at < count && time(NULL) < limit;) {
            size_t left = 0;
            for (size_t i = 0; i < count; i++)
                if (i < at || i >= at + size) fewer[left++] = lines[i];
            fewer[left] = NULL;
            if (round_fails(0, 0, fewer)) memcpy(lines, fewer, sizeof lines), count = left;
            else at += size;
        }
    }
    bool fails = round_fails(0, 0, lines);
    fprintf(stderr, "%s:\n%.*s", fails ? "made shorter" : "does not fail any more when played", (int)sim->script_size, sim->script);
}

/* --- what is played ------------------------------------------------------------------------------------------------------ */

static bool play_file(const char *path)
{
    static char text[SCRIPT];
    static char *lines[LINES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) close(fd);
    if (!CHECK(n > 0)) return false;
    text[n] = '\0';
    cut_lines(text, lines);
    if (CHECK(!round_fails(0, 0, lines))) return true;
    fprintf(stderr, "%s fails:\n%.*s", path, (int)sim->script_size, sim->script);
    return false;
}

/* Scripts of failures that are mended. `watch`: one that fails is enough, and those that hang take a minute each. */
static void play_kept(bool watch)
{
    char folder[300], path[600];
    const char *source = getenv("WEIR_SOURCE");
    snprintf(folder, sizeof folder, "%s/tests/sim/kept", source ? source : ".");
    DIR *d = opendir(folder);
    bool is_enough = false;
    for (struct dirent *e; d && !is_enough && (e = readdir(d)) != NULL;) {
        if (!strstr(e->d_name, ".txt")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        is_enough = !play_file(path) && watch;
    }
    if (d) closedir(d);
}

/* @return 0: nothing wrong */
static int campaign(uint64_t steps, bool watch)
{
    uint64_t seed = number_of("WEIR_SEED", 0), rounds = seed ? 1 : (steps + ROUND_STEPS - 1) / ROUND_STEPS, failed = 0;
    uint64_t runs = 0, kills = 0, executions = 0;
    for (uint64_t i = 0; i < rounds && failed < 5; i++) {
        uint64_t this = seed ? seed : 1 + i + 1000000 * number_of("WEIR_SIM_BASE", 1);
        bool fails = round_fails(this, ROUND_STEPS, NULL);
        if (watch && fails) return 1;
        runs += sim->runs, kills += sim->kills, executions += sim->executions;
        if (!CHECK(!fails)) {
            failed++;
            fprintf(stderr, "WEIR_SEED=%llu fails\n", (unsigned long long)this);
            if (!sim->verbose) say_wrongs(), shrink();
        }
    }
    fprintf(stderr, "%llu steps, %llu runs, %llu executions, %llu kills, %llu rounds wrong\n", (unsigned long long)(rounds * ROUND_STEPS),
            (unsigned long long)runs, (unsigned long long)executions, (unsigned long long)kills, (unsigned long long)failed);
    return failed ? 1 : 0;
}

int main(void)
{
    sim = mmap(NULL, sizeof *sim, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sim == MAP_FAILED) return 99;
    sim->verbose = number_of("WEIR_SIM_VERBOSE", 0) != 0;
    check_scratch(); /* one for all children */
    fake_effects_make();
    const char *script = getenv("WEIR_SIM_PLAY");
    bool watch = number_of("WEIR_SIM_WATCH", 0) != 0;
    if (script && *script) {
        play_file(script);
    } else {
        if (!getenv("WEIR_SEED")) play_kept(watch);
        int found = watch && atomic_load(&check_failures) ? 1 : campaign(number_of("WEIR_SIM_STEPS", DEFAULT_STEPS), watch);
        if (watch) {
            check_done();
            return found;
        }
    }
    if (getenv("WEIR_SIM_KEEP")) check_scratch_path[0] = '\0';
    return check_done();
}
