/*
 * present.c - a run as a person sees it, on stderr.
 *
 * On a terminal one status line that is drawn over and over: counts, then what has been running longest. Elsewhere a plain line
 * for each thing that happened. The captured output of a node comes in one block, when the node has ended.
 *
 *   [12/137] 3 running, 4 s: compile[unit=main] 4 s, test 2 s, ...
 *   ran       page[post=intro] (input-changed content/intro.md), 0.004 s
 *   failed    compile[unit=main]: exit code 1, 0.05 s
 *   weir: 3 ran (input-changed 2, code-changed 1), 1 cut off, 136 unchanged, 0.02 s
 */
#include "engine/base/os.h"
#include "engine/door/report.h"

enum { REASON_NAMES = 24, DRAW_EVERY_MS = 100, RUNNING_SHOWN = 3, BLOCK_SHOWN = 10 };

typedef struct running {
    char *node; /* owned */
    int64_t since_ns;
} running;

typedef struct reason_count {
    char name[32];
    uint64_t count;
} reason_count;

struct present {
    const options *o;
    bool color, is_terminal;
    int64_t started_ns, drawn_ns;
    running *running;          /* in order of their start */
    size_t running_count, running_capacity;
    reason_count reasons[REASON_NAMES];
    size_t reason_count;
    size_t done, open;
    uint64_t diagnostics;
    bool is_watch;             /* present_as_block */
    bool is_block, has_head;   /* the same, on a terminal */
    char who[48];
    uint64_t shown, hidden;    /* lines of nodes in a block */
    buf text;                  /* scratch */
};

present *present_new(const options *o)
{
    present *p = mem_zero(1, sizeof *p);
    if (!p) return NULL;
    p->o = o;
    p->color = print_has_color(stderr);
    p->is_terminal = print_is_terminal();
    p->started_ns = os_monotonic_ns();
    return p;
}

void present_free(present *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->running_count; i++) mem_free(p->running[i].node);
    mem_free(p->running);
    buf_deinit(&p->text);
    mem_free(p);
}

/* --- a block ----------------------------------------------------------------------------------------------------- */

void present_as_block(present *p, const char *who)
{
    p->is_watch = true;
    p->is_block = p->is_terminal && !p->o->quiet;
    snprintf(p->who, sizeof p->who, "%s", who);
}

/* Before the first line of a run. */
static void put_head(present *p)
{
    buf head;
    if (!p->is_block || p->has_head) return;
    p->has_head = true;
    buf_init(&head);
    buf_text(&head, "--- ");
    print_time(&head, os_wall_us());
    buf_printf(&head, " %s%s---", p->who, *p->who ? " " : "");
    const char *text = buf_cstr(&head);
    buf line;
    buf_init(&line);
    buf_byte(&line, '\n');
    print_styled(&line, p->color, STYLE_DIM, text ? text : "");
    buf_byte(&line, '\n');
    print_err(&line);
    buf_deinit(&line);
    buf_deinit(&head);
}

/* Is this one of the lines that a block has room for? */
static bool fits_block(present *p)
{
    if (!p->is_block) return false;
    if (p->shown < BLOCK_SHOWN) {
        p->shown++;
        return true;
    }
    p->hidden++;
    return false;
}

/* --- the status line --------------------------------------------------------------------------------------------- */

static void put_whole_seconds(buf *to, int64_t nanoseconds)
{
    int64_t seconds = nanoseconds / 1000000000;
    if (seconds >= 60) buf_printf(to, " %d:%02d", (int)(seconds / 60), (int)(seconds % 60));
    else if (seconds > 0) buf_printf(to, " %d s", (int)seconds);
}

/* By what went before: told once it has gone on long enough to mean something. */
static void put_estimate(present *p, int64_t now)
{
    int64_t elapsed = now - p->started_ns;
    if (elapsed < 3000000000 || p->done < 5 || p->open == 0) return;
    buf_text(&p->text, ", about");
    put_whole_seconds(&p->text, elapsed / (int64_t)p->done * (int64_t)p->open + 1000000000);
    buf_text(&p->text, " to go");
}

static void draw(present *p)
{
    int64_t now = os_monotonic_ns();
    if (!p->is_terminal || p->o->quiet || (p->drawn_ns && now - p->drawn_ns < (int64_t)DRAW_EVERY_MS * 1000000)) return;
    buf_clear(&p->text);
    buf_printf(&p->text, "[%zu/%zu] %zu running", p->done, p->done + p->open, p->running_count);
    put_estimate(p, now);
    for (size_t i = 0; i < p->running_count && i < RUNNING_SHOWN; i++) {
        buf_text(&p->text, i == 0 ? ": " : ", ");
        print_name(&p->text, bytes_str(p->running[i].node));
        put_whole_seconds(&p->text, now - p->running[i].since_ns);
    }
    if (p->running_count > RUNNING_SHOWN) buf_text(&p->text, ", ...");
    print_status(&p->text);
    p->drawn_ns = now;
}

static void start_running(present *p, const char *node)
{
    if (!MEM_GROW(p->running, p->running_capacity, p->running_count + 1)) return;
    char *name = mem_strdup(node);
    if (name) p->running[p->running_count++] = (running){name, os_monotonic_ns()};
}

static void stop_running(present *p, const char *node)
{
    size_t i = 0;
    while (i < p->running_count && strcmp(p->running[i].node, node) != 0) i++;
    if (i == p->running_count) return;
    mem_free(p->running[i].node);
    p->running_count--;
    memmove(&p->running[i], &p->running[i + 1], (p->running_count - i) * sizeof *p->running);
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static void begin_line(present *p, print_style style, const char *word, const char *node)
{
    put_head(p);
    buf_clear(&p->text);
    print_styled(&p->text, p->color, style, word);
    size_t size = strlen(word);
    do buf_byte(&p->text, ' ');
    while (++size < 10);
    print_name(&p->text, bytes_str(node));
}

static void end_line(present *p)
{
    buf_byte(&p->text, '\n');
    print_err(&p->text);
}

void present_reasons(buf *to, const weir_event *e, bool all)
{
    size_t shown = all ? e->reason_count : 1;
    if (e->reason_count == 0) return;
    buf_text(to, " (");
    for (size_t i = 0; i < e->reason_count && i < shown; i++) {
        const weir_reason *r = &e->reasons[i];
        const char *what = r->name && *r->name ? r->name : r->input ? r->input : "";
        buf_printf(to, "%s%s%s", i ? ", " : "", r->reason, *what ? " " : "");
        print_name(to, bytes_str(what));
    }
    if (e->reason_count > shown) buf_printf(to, " and %zu more", e->reason_count - shown);
    buf_byte(to, ')');
}

static void put_reasons(present *p, const weir_event *e)
{
    present_reasons(&p->text, e, p->o->verbose);
}

static void put_failure(present *p, const weir_event *e)
{
    buf_text(&p->text, ": ");
    if (e->message && *e->message) print_safe(&p->text, bytes_str(e->message), SAFE_LINES);
    else if (e->signal) buf_printf(&p->text, "signal %d (%s)", e->signal, strsignal(e->signal));
    else buf_printf(&p->text, "exit code %d", e->exit_code);
}

static void put_log(present *p, const weir_event *e)
{
    if (!e->log || e->log_size == 0) return;
    bytes log = bytes_of(e->log, e->log_size);
    print_safe(&p->text, log, SAFE_LINES | (p->color ? SAFE_COLOR : 0));
    if (!p->text.failed && p->text.data[p->text.size - 1] != '\n') buf_byte(&p->text, '\n');
}

static void count_reason(present *p, const weir_event *e)
{
    const char *name = e->reason_count ? e->reasons[0].reason : NULL;
    if (!name) return;
    size_t i = 0;
    while (i < p->reason_count && strcmp(p->reasons[i].name, name) != 0) i++;
    if (i == REASON_NAMES) return;
    if (i == p->reason_count) snprintf(p->reasons[p->reason_count++].name, sizeof p->reasons[i].name, "%s", name);
    p->reasons[i].count++;
}

static void show_failed(present *p, const weir_event *e)
{
    bool is_stopped = e->message && strcmp(e->message, "interrupted") == 0;
    begin_line(p, is_stopped ? STYLE_WARN : STYLE_BAD, is_stopped ? "stopped" : "failed", e->node);
    if (!is_stopped) put_failure(p, e);
    if (e->kind == WEIR_EVENT_FINISHED) {
        buf_text(&p->text, ", ");
        print_seconds(&p->text, e->seconds);
    } else if (e->tried_us) {
        buf_text(&p->text, " (as before: run last on ");
        print_time(&p->text, e->tried_us);
        buf_text(&p->text, ", and nothing that it read has changed; `weir run --force NODE` runs it)");
    }
    buf_byte(&p->text, '\n');
    put_log(p, e);
    print_err(&p->text);
}

static void show_ran(present *p, const weir_event *e)
{
    bool has_log = e->log && e->log_size > 0;
    if (p->o->quiet || (p->is_terminal && !p->o->verbose && !has_log && !fits_block(p))) return;
    begin_line(p, STYLE_GOOD, e->outcome && *e->outcome ? e->outcome : "ran", e->node);
    put_reasons(p, e);
    if (e->seconds >= 0.001) { /* less says nothing */
        buf_text(&p->text, ", ");
        print_seconds(&p->text, e->seconds);
    }
    if (!e->changed) buf_text(&p->text, ", same result as before");
    buf_byte(&p->text, '\n');
    put_log(p, e);
    print_err(&p->text);
}

static void finished(present *p, const weir_event *e)
{
    stop_running(p, e->node);
    if (e->outcome && strcmp(e->outcome, "failed") == 0) {
        show_failed(p, e);
    } else {
        count_reason(p, e);
        show_ran(p, e);
    }
    draw(p);
}

static void settled(present *p, const weir_event *e)
{
    const char *what = e->outcome ? e->outcome : "";
    bool is_unchanged = strcmp(what, "unchanged") == 0;
    bool is_blocked = strcmp(what, "blocked") == 0;
    if (strcmp(what, "failed") == 0) {
        show_failed(p, e);
        return;
    }
    if (p->o->quiet || (!p->o->verbose && (is_unchanged || (p->is_terminal && !p->o->dry && !is_blocked && !fits_block(p))))) return;
    if (is_blocked && p->is_terminal && !p->o->verbose && !p->o->dry && !p->is_block) return;
    if (p->o->dry && strcmp(what, "restored") == 0) what = "would restore";
    begin_line(p, is_blocked ? STYLE_WARN : is_unchanged ? STYLE_DIM : STYLE_NOTE, what, e->node);
    if (is_blocked && e->cause && *e->cause) {
        buf_text(&p->text, " by ");
        print_name(&p->text, bytes_str(e->cause));
    } else {
        put_reasons(p, e);
    }
    end_line(p);
}

static void would_run(present *p, const weir_event *e)
{
    bool is_sure = e->kind == WEIR_EVENT_WOULD_RUN;
    if (p->o->quiet) return;
    if (is_sure) count_reason(p, e);
    begin_line(p, is_sure ? STYLE_GOOD : STYLE_DIM, is_sure ? "would run" : "maybe", e->node);
    put_reasons(p, e);
    if (e->cause && *e->cause) {
        buf_text(&p->text, ", behind ");
        print_name(&p->text, bytes_str(e->cause));
    }
    end_line(p);
}

void present_event(void *ctx, const weir_event *e)
{
    present *p = ctx;
    if (e->done + e->open > 0) {
        p->done = e->done;
        p->open = e->open;
    }
    switch (e->kind) {
    case WEIR_EVENT_STARTED:
        start_running(p, e->node);
        draw(p);
        return;
    case WEIR_EVENT_FINISHED: finished(p, e); return;
    case WEIR_EVENT_SETTLED: settled(p, e); return;
    case WEIR_EVENT_VOIDED:
        if (p->o->quiet) return;
        begin_line(p, STYLE_NOTE, "voided", e->node);
        end_line(p);
        return;
    case WEIR_EVENT_WOULD_RUN: case WEIR_EVENT_MAYBE: would_run(p, e); return;
    case WEIR_EVENT_DIAGNOSTIC:
        put_head(p);
        if (e->diagnostic && (p->diagnostics++ < PRINT_DIAGNOSTICS || p->o->verbose)) print_diagnostic(e->diagnostic);
        return;
    case WEIR_EVENT_MESSAGE:
        put_head(p);
        print_message("%s", e->message ? e->message : "");
        return;
    case WEIR_EVENT_PLAN:
        if (!p->is_watch || p->o->quiet) return;
        put_head(p);
        buf_clear(&p->text);
        buf_printf(&p->text, "weir: the workflow: +%zu -%zu ~%zu nodes\n", e->added, e->removed, e->altered);
        print_err(&p->text);
        return;
    case WEIR_EVENT_PROGRESS: draw(p); return;
    }
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void put_part(buf *to, size_t start, uint64_t count, const char *word)
{
    if (count == 0) return;
    if (to->size > start) buf_text(to, ", ");
    print_count(to, count);
    buf_printf(to, " %s", word);
}

static void put_nothing(buf *to, const weir_summary *s)
{
    buf_text(to, "nothing to do, ");
    print_count(to, s->nodes);
    buf_text(to, s->nodes == 1 ? " node" : " nodes");
}

void present_summary(buf *to, const weir_summary *s, const char *reasons, bool dry)
{
    size_t start = to->size;
    uint64_t sure = s->would_run + s->maybe;
    uint64_t unchanged = !dry ? s->unchanged : s->nodes > sure ? s->nodes - sure : 0;
    if (s->interrupted) buf_text(to, "interrupted");
    put_part(to, start, dry ? s->would_run : s->ran, dry ? "would run" : "ran");
    if (to->size > start && *reasons) buf_printf(to, " (%s)", reasons);
    if (dry) put_part(to, start, s->maybe, "might run then");
    put_part(to, start, s->accepted, "accepted");
    put_part(to, start, s->restored, dry ? "would be restored" : "restored");
    put_part(to, start, s->cut_off, "cut off");
    put_part(to, start, s->failed, "failed");
    put_part(to, start, s->blocked, "blocked");
    put_part(to, start, s->removed, s->removed == 1 ? "output removed" : "outputs removed");
    put_part(to, start, s->due, "still due");
    if (to->size == start) put_nothing(to, s);
    else put_part(to, start, unchanged, "unchanged");
    buf_text(to, ", ");
    print_seconds(to, s->seconds);
}

static void put_reason_counts(const present *p, buf *to)
{
    for (size_t i = 0; i < p->reason_count; i++) {
        buf_printf(to, "%s%s ", i ? ", " : "", p->reasons[i].name);
        print_count(to, p->reasons[i].count);
    }
}

static void show_stats(const weir_counters *c)
{
    buf text;
    buf_init(&text);
#define X(name)                                                                                    \
    buf_printf(&text, "  %-18s %15llu\n", #name, (unsigned long long)c->name);
    WEIR_COUNTERS(X)
#undef X
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '_') text.data[i] = ' ';
    print_err(&text);
    buf_deinit(&text);
}

void present_finish(present *p, const weir_summary *s, int rc)
{
    buf reasons;
    print_status(NULL);
    print_more_diagnostics(p->o->verbose ? 0 : p->diagnostics);
    bool has_end = rc == 0 || rc == WEIR_FAILED || rc == WEIR_CANCELLED;
    if (has_end && (!p->o->quiet || rc != 0)) {
        buf_init(&reasons);
        put_reason_counts(p, &reasons);
        put_head(p);
        if (p->hidden > 0) {
            buf_clear(&p->text);
            buf_text(&p->text, "          and ");
            print_count(&p->text, p->hidden);
            buf_text(&p->text, " more (`weir log --run` lists them)\n");
            print_err(&p->text);
        }
        const char *because = buf_cstr(&reasons);
        buf_clear(&p->text);
        buf_text(&p->text, "weir: ");
        present_summary(&p->text, s, because ? because : "", p->o->dry);
        buf_byte(&p->text, '\n');
        print_err(&p->text);
        buf_deinit(&reasons);
    }
    if (p->o->stats) show_stats(&s->counters);
}
