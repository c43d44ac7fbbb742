/* main: chooses a face.  Verbs go to the command line; a model opens the
 * screen, a script or plain lines.  This file alone has mutable globals: a
 * signal handler can reach nothing else. */
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "kernel/kernel.h"

/* OpenBLAS picks its kernels when it is loaded, before us: an old library on
 * a new processor chooses badly.  The processor is asked, the environment is
 * corrected, and the program starts again, once: the guard is inherited. */
static void restart_for_blas(char **argv)
{
    const char *type = bd_kernels_coretype();
    if (!type || getenv("OPENBLAS_CORETYPE") || getenv("BITDIAL_RESTARTED"))
        return;
    setenv("BITDIAL_RESTARTED", "1", 1);
    setenv("OPENBLAS_CORETYPE", type, 1);
    execv("/proc/self/exe", argv); /* on failure: slower, not wrong */
}

/* --------------------------------------------------- files that are cut short
 * Models and data are read where they are mapped; when somebody cuts such a
 * file meanwhile, the access itself fails.  That is bad input, not a crash:
 * one line and status 2, wherever it happens.  Only calls that are safe in a
 * handler. */
static void end_cut_short(int number, const siginfo_t *info,
                          void (*give_back)(void))
{
    static const char line[] =
        "bitdial: a file in use was cut short while it was read\n";

    if (number != SIGBUS || info->si_code != BUS_ADRERR)
        return;
    give_back();
    ssize_t n = write(STDERR_FILENO, line, sizeof line - 1);
    (void)n;
    _exit(2);
}

static void nothing_to_give_back(void)
{
}

static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)context;
    end_cut_short(number, info, nothing_to_give_back);
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_files(void)
{
    struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGBUS, &sa, NULL);
}

#ifdef BD_NO_TUI

static int interactive(const struct bd_cli_open *open)
{
    if (open->script || open->linear) {
        fprintf(stderr, "bitdial: built without the screen; the verbs work "
                        "(bitdial --help)\n");
        return 2;
    }
    return bd_cli_analyze_table(open);
}

#else

#include "ui.h"

enum { SIGNALS = 5 };
static const int polite[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP,
                                    SIGCONT};
static volatile sig_atomic_t signal_seen[SIGNALS];
static int signal_pipe[2] = {-1, -1};
static volatile sig_atomic_t file_was_cut;
static pthread_t drawing_thread;
static struct wg_restore crash_restore; /* what undoes the screen */
static struct sigaction winch_before;   /* ncurses' own */

/* ---------------------------------------------------------------- signals */
static void wake(void)
{
    char byte = 1;
    ssize_t n = write(signal_pipe[1], &byte, 1);
    (void)n; /* full: awake already */
}

/* Notes the signal and wakes the loop; everything else happens there. */
static void on_polite(int number)
{
    for (int i = 0; i < SIGNALS; i++)
        if (polite[i] == number)
            signal_seen[i] = 1;
    wake();
}

/* A change of size may come between draining keys and waiting; the pipe
 * remembers it. */
static void on_winch(int number)
{
    if (winch_before.sa_handler != SIG_DFL &&
        winch_before.sa_handler != SIG_IGN && winch_before.sa_handler)
        winch_before.sa_handler(number);
    wake();
}

/* Only write() and tcsetattr() are safe here. */
static void restore_terminal(void)
{
    wg_restore_now(&crash_restore);
}

/* A worker that finds its file cut short hands the signal to the thread that
 * draws: whoever draws cannot draw over the restored screen meanwhile. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    bool cut = number == SIGBUS && info->si_code == BUS_ADRERR;
    if (cut && !pthread_equal(pthread_self(), drawing_thread)) {
        file_was_cut = 1;
        pthread_kill(drawing_thread, SIGBUS);
        for (;;)
            pause();
    }
    if (file_was_cut && number == SIGBUS)
        info->si_code = BUS_ADRERR; /* handed over by a worker */
    end_cut_short(number, info, restore_terminal);
    restore_terminal();
    signal(number, SIG_DFL);
    raise(number);
}

/* Empties the pipe first: a signal after this wakes the loop again. */
static int take_signal(void)
{
    char bytes[64];
    while (read(signal_pipe[0], bytes, sizeof bytes) > 0)
        ;
    for (int i = 0; i < SIGNALS; i++)
        if (signal_seen[i]) {
            signal_seen[i] = 0;
            return polite[i];
        }
    return 0;
}

static void handle(int number, void (*fn)(int), int flags)
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
    sigemptyset(&sa.sa_mask);
    sigaction(number, &sa, NULL);
}

static bool open_pipe(void)
{
    return pipe2(signal_pipe, O_NONBLOCK | O_CLOEXEC) == 0;
}

/* Handlers of crashes run on their own stack: the usual one may be what
 * overflowed. */
static void watch_crashes(const struct wg_term *term, void *stack,
                          size_t size)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT,
                                SIGQUIT};
    stack_t alt = {.ss_sp = stack, .ss_size = size};
    wg_term_restore(term, &crash_restore);
    drawing_thread = pthread_self();
    sigaltstack(&alt, NULL);
    struct sigaction sa = {
        .sa_sigaction = on_crash,
        .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &sa, NULL);
}

/* Before the restore string goes out of use. */
static void unwatch_crashes(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT,
                                SIGQUIT};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        handle(fatal[i], SIG_DFL, 0);
    watch_files();
}

/* A hung-up terminal must not kill us in a write: SIGPIPE is ignored, and
 * the loop sees the end of input. */
static void watch_polite(void)
{
    for (int i = 0; i < SIGNALS; i++)
        handle(polite[i], on_polite, 0);
    handle(SIGPIPE, SIG_IGN, 0);
    sigaction(SIGWINCH, NULL, &winch_before);
    handle(SIGWINCH, on_winch, SA_RESTART);
}

/* ------------------------------------------------------------------ faces */
static int complain(const char *why)
{
    fprintf(stderr, "bitdial: %s\n", why);
    return 2;
}

static enum wg_colors colors_of(const char *when)
{
    if (when && strcmp(when, "never") == 0)
        return WG_COLORS_NONE;
    if (when && strcmp(when, "always") == 0)
        return WG_COLORS_TRUE; /* as much as the terminal has */
    return WG_COLORS_AUTO;
}

/* The terminal is closed on every path that leaves here. */
static int screen_loop(struct bd_session *s, struct wg_term *term,
                       const struct bd_cli_open *open)
{
    char why[200];
    struct ui ui;
    struct ui_setup setup = {.session = s, .term = term,
                             .glyphs = wg_term_glyphs(term)};
    struct ui_signals sig = {signal_pipe[0], take_signal};
    wg_term_size(term, &setup.w, &setup.h);
    if (!ui_init(&ui, &setup, why, sizeof why)) {
        wg_term_close(term);
        return complain(why);
    }
    ui_config_load(&ui);
    if (open->theme) /* the command line is newer than the file */
        wg_term_theme(term, open->theme);
    ui_offer_resume(&ui);
    int status = ui_loop(&ui, &sig);
    ui_done(&ui);
    wg_term_close(term);
    return status;
}

/* The order matters: the session exists before the terminal changes, so that
 * its refusals are plain lines; handlers come after the terminal is known. */
static int run_screen(struct bd_session *s, const struct bd_cli_open *open)
{
    char why[300];
    size_t size = 64 * 1024;
    struct wg_term_opts o = {.theme = open->theme,
                             .colors = colors_of(open->color),
                             .ascii = open->ascii, .mouse = !open->nomouse};
    if (!open_pipe())
        return complain("no pipe can be opened; too many open files?");
    struct wg_term *term = wg_term_open(&o, why, sizeof why);
    if (!term)
        return complain(why);
    void *stack = malloc(size);
    if (stack)
        watch_crashes(term, stack, size);
    watch_polite();
    int status = screen_loop(s, term, open);
    unwatch_crashes();
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
    free(stack);
    return status;
}

/* Without a terminal: a script, or lines. */
static int run_plain(struct bd_session *s, const struct bd_cli_open *open)
{
    char why[200];
    struct ui ui;
    struct ui_setup setup = {.session = s,
                             .glyphs = open->ascii ? WG_ASCII : WG_BLOCKS,
                             .w = open->width, .h = open->height};
    if (!ui_init(&ui, &setup, why, sizeof why))
        return complain(why);
    int status = open->script ? ui_script_run(&ui, open->script)
                              : ui_linear_run(&ui);
    ui_done(&ui);
    return status;
}

/* A file asked for just before leaving is waited for; if it was refused, the
 * screen that would have said so is gone, and the shell hears it. */
static int last_words(struct bd_session *s, int status)
{
    char text[600];
    bool refused;
    bd_session_settle(s);
    if (!bd_session_news(s, text, sizeof text, &refused) || !refused)
        return status;
    fprintf(stderr, "bitdial: %s\n", text);
    return status ? status : 1;
}

static int interactive(const struct bd_cli_open *open)
{
    struct bd_err err = {0};
    struct bd_session *s = NULL;
    bool plain = open->script || open->linear;
    if (!plain && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
        return bd_cli_analyze_table(open);
    if (bd_session_open(&s, &open->session, &err) != BD_OK) {
        fprintf(stderr, "bitdial: %s%s%s\n", err.file,
                err.file[0] ? ": " : "", err.msg);
        return err.code == BD_ENOMEM ? 1 : 2;
    }
    bd_session_start(s);
    int status = plain ? run_plain(s, open) : run_screen(s, open);
    status = last_words(s, status);
    bd_session_close(s);
    return status;
}

#endif

int main(int argc, char **argv)
{
    struct bd_cli_open open = {0};
    setlocale(LC_CTYPE, "");
    watch_files();
    restart_for_blas(argv);
    bd_kernels_single_threaded_blas(); /* the pool is ours */
    int status = bd_cli_main(&open, argc, argv);
    return open.wanted ? interactive(&open) : status;
}
