/*
 * terminal.c - see terminal.h.
 *
 * `former` is what the terminal was like, `is_raw` whether it is otherwise now: handlers of signals
 * read both, so they are set before, and cleared after, what they stand for.
 */
#include "engine/door/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "engine/door/print.h"

enum {
    BACKGROUND_MS = 500, /* how often a job in the background looks whether it came back */
    SILENT_MOST = 16     /* reads in a row for which there was something to read, and nothing was */
};

struct terminal {
    terminal_events events;
    uv_poll_t input;
    uv_timer_t timer; /* in the background */
    uv_signal_t signals[3];
    int handles;
    int silent; /* reads in a row that gave nothing */
    int escape; /* within the bytes of a key that sends several */
};

static struct termios former;
static volatile sig_atomic_t is_raw;
static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static struct sigaction fatal_before[sizeof fatal / sizeof *fatal];

bool terminal_is_there(void)
{
    return isatty(STDIN_FILENO) == 1 && print_is_terminal();
}

/* --- as it was, and as it is while keys are read ------------------------------------------------- */

/* A job in the background that changes the terminal would be stopped for it, and it is not its own. */
static void restore(void)
{
    if (!is_raw) return;
    is_raw = 0;
    if (print_is_foreground(STDIN_FILENO)) (void)tcsetattr(STDIN_FILENO, TCSANOW, &former);
}

/* Shells differ in what they do to the terminal of a job that goes on: lines are what we found, all else is ours of before. */
static void make_raw(void)
{
    static bool has_former;
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &raw) != 0) return;
    if (!has_former || raw.c_lflag & ICANON) former = raw;
    has_former = true;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0; /* a read never waits */
    raw.c_cc[VTIME] = 0;
    is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) is_raw = 0;
}

static void on_fatal(int number)
{
    restore();
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (fatal[i] == number) sigaction(number, &fatal_before[i], NULL);
    raise(number);
}

static void catch_fatal(void)
{
    static bool is_done;
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_NODEFER};
    if (is_done) return;
    is_done = true;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        sigaction(fatal[i], &action, &fatal_before[i]);
    atexit(restore);
}

/* --- keys ---------------------------------------------------------------------------------------- */

/* ESC [ ... letter, ESC O letter: the arrows and their like. */
static bool is_of_escape(terminal *t, unsigned char byte)
{
    if (byte == 0x1b) {
        t->escape = 1;
        return true;
    }
    if (t->escape == 0) return false;
    if (t->escape == 1 && (byte == '[' || byte == 'O')) {
        t->escape = 2;
        return true;
    }
    bool was_in_sequence = t->escape == 2;
    if (!was_in_sequence || byte >= 0x40) t->escape = 0;
    return was_in_sequence;
}

static void go_to_background(terminal *t);

static void on_input(uv_poll_t *input, int status, int events)
{
    terminal *t = input->data;
    unsigned char keys[64];
    (void)events;
    if (!print_is_foreground(STDIN_FILENO)) {
        go_to_background(t);
        return;
    }
    ssize_t n = status == 0 ? read(STDIN_FILENO, keys, sizeof keys) : -1;
    t->silent = n == 0 ? t->silent + 1 : 0;
    if (n < 0 || t->silent > SILENT_MOST) uv_poll_stop(input); /* the terminal is gone */
    for (ssize_t i = 0; i < n; i++)
        if (!is_of_escape(t, keys[i]) && keys[i] < 128) t->events.key(t->events.ctx, keys[i]);
}

/* --- foreground and background --------------------------------------------------------------------- */

static void come_to_foreground(terminal *t)
{
    uv_timer_stop(&t->timer);
    make_raw();
    uv_poll_start(&t->input, UV_READABLE, on_input);
    t->events.changed(t->events.ctx);
}

static void on_timer(uv_timer_t *timer)
{
    terminal *t = timer->data;
    if (print_is_foreground(STDIN_FILENO)) come_to_foreground(t);
}

/* Whoever is in front has the terminal as they want it. */
static void go_to_background(terminal *t)
{
    is_raw = 0;
    uv_poll_stop(&t->input);
    uv_timer_start(&t->timer, on_timer, BACKGROUND_MS, BACKGROUND_MS);
}

static void take_place(terminal *t)
{
    if (print_is_foreground(STDIN_FILENO)) come_to_foreground(t);
    else go_to_background(t);
}

/* ^Z: everything as it was, then as if nobody had caught the signal. */
static void stop_here(terminal *t)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, ours;
    sigset_t tstp, before;
    print_status_hide();
    restore();
    uv_poll_stop(&t->input);
    sigemptyset(&usual.sa_mask);
    sigemptyset(&tstp);
    sigaddset(&tstp, SIGTSTP);
    sigaction(SIGTSTP, &usual, &ours);
    sigprocmask(SIG_UNBLOCK, &tstp, &before);
    raise(SIGTSTP); /* until SIGCONT */
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGTSTP, &ours, NULL);
    take_place(t);
}

static void on_signal(uv_signal_t *handle, int number)
{
    terminal *t = handle->data;
    if (number == SIGTSTP) stop_here(t);
    else if (number == SIGWINCH) print_status_resized();
    else take_place(t);
    if (number == SIGWINCH) t->events.changed(t->events.ctx);
}

/* --- open and close -------------------------------------------------------------------------------- */

int terminal_open(terminal **out, uv_loop_t *loop, const terminal_events *events, weir_error *err)
{
    static const int numbers[] = {SIGTSTP, SIGCONT, SIGWINCH};
    *out = NULL;
    terminal *t = mem_zero(1, sizeof *t);
    if (!t) return error_nomem(err, "opening the terminal");
    t->events = *events;
    catch_fatal();
    uv_timer_init(loop, &t->timer);
    t->timer.data = t;
    uv_unref((uv_handle_t *)&t->timer);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(loop, &t->signals[i]);
        t->signals[i].data = t;
        uv_signal_start(&t->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&t->signals[i]);
    }
    t->handles = 4;
    if (uv_poll_init(loop, &t->input, STDIN_FILENO) == 0) {
        t->input.data = t;
        uv_unref((uv_handle_t *)&t->input);
        t->handles++;
        take_place(t);
    }
    *out = t;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    terminal *t = handle->data;
    if (--t->handles == 0) mem_free(t);
}

void terminal_close(terminal *t)
{
    if (!t) return;
    print_status(NULL);
    restore();
    for (size_t i = 0; i < 3; i++) uv_close((uv_handle_t *)&t->signals[i], on_closed);
    bool has_input = t->handles > 4;
    uv_close((uv_handle_t *)&t->timer, on_closed);
    if (has_input) uv_close((uv_handle_t *)&t->input, on_closed);
}
