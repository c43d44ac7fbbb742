/* Beside long work stands one thread that owns the polite signals: they are
 * blocked in every thread made later, and sigtimedwait hands them over here,
 * so no handler has to find shared state.  Threads that libraries made before
 * main know nothing of this; should the kernel pick one of those, the handler
 * blocks the signal there for good and sends it on.  The same thread draws
 * progress, ten times a second at most, and only on a terminal. */
#include "cli/cli_priv.h"

#include <stdio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { TICK_NS = 100000000, QUIET_MS = 200, BAR = 20 };
static const int asks[CLI_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

/* The signals that ask politely, except those our parent told us to ignore
 * (nohup), and one of our own that ends the watch without waiting. */
static void polite(sigset_t *s)
{
    struct sigaction now;

    sigemptyset(s);
    sigaddset(s, SIGUSR1);
    for (int k = 0; k < CLI_SIGNALS; k++) {
        if (sigaction(asks[k], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(s, asks[k]);
    }
}

/* Runs on a thread that should not have got the signal.  Until it returns the
 * signal is blocked here, so kill reaches another thread; the mask it returns
 * to is the one changed. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    ucontext_t *back = context;

    (void)info;
    sigaddset(&back->uc_sigmask, sig);
    kill(getpid(), sig);
}

/* Signals our parent told us to ignore stay ignored: polite() leaves them
 * out. */
static void install(struct cli_watch *w)
{
    struct sigaction act = {.sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t set;

    polite(&set);
    act.sa_sigaction = pass_on;
    sigfillset(&act.sa_mask);
    pthread_sigmask(SIG_BLOCK, &set, &w->before);
    for (int k = 0; k < CLI_SIGNALS; k++) {
        sigaction(asks[k], NULL, &w->old[k]);
        if (sigismember(&set, asks[k]))
            sigaction(asks[k], &act, NULL);
    }
}

/* As found: the interface may start next. */
static void uninstall(const struct cli_watch *w)
{
    for (int k = 0; k < CLI_SIGNALS; k++)
        sigaction(asks[k], &w->old[k], NULL);
    pthread_sigmask(SIG_SETMASK, &w->before, NULL);
}

static void show(struct cli_watch *w)
{
    int64_t done, total, started = atomic_load(&w->started_ns);
    int64_t ms = (bd_now_ns() - started) / 1000000;
    const char *task = atomic_load(&w->task);
    char bar[BAR + 1];
    int full;

    if (!w->shows || !task || ms < QUIET_MS)
        return;
    bd_ctl_read(w->ctl, &done, &total);
    if (total <= 0 || done <= 0 || done > total)
        return;
    full = (int)(done * BAR / total);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r%s [%s] %d%%  %lld s left\033[K", task, bar,
            (int)(done * 100 / total),
            (long long)(ms * (total - done) / done / 1000));
    fflush(stderr);
}

/* The first signal asks, the second insists. */
static void take_signal(struct cli_watch *w, int sig)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t set;

    if (atomic_exchange(&w->signal, sig) == 0) {
        bd_ctl_cancel(w->ctl);
        return;
    }
    sigaction(sig, &dfl, NULL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
}

/* Until told to stop; wakes for signals at once, for progress by the clock. */
static void *watch(void *arg)
{
    struct cli_watch *w = arg;
    struct timespec tick = {0, TICK_NS};
    sigset_t set;

    polite(&set);
    while (!atomic_load(&w->stop)) {
        int sig = sigtimedwait(&set, NULL, &tick);

        if (sig > 0 && sig != SIGUSR1)
            take_signal(w, sig);
        show(w);
    }
    return NULL;
}

bd_status bd_cli_watch_start(struct cli_watch *w, struct bd_err *err)
{
    w->shows = isatty(STDERR_FILENO);
    w->ctl = bd_ctl_new();
    if (!w->ctl)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    install(w);
    w->running = pthread_create(&w->thread, NULL, watch, w) == 0;
    if (w->running)
        return BD_OK;
    bd_cli_watch_stop(w);
    return bd_fail(err, BD_ENOMEM, "no thread to watch the work");
}

void bd_cli_watch_task(struct cli_watch *w, const char *task)
{
    bd_ctl_progress(w->ctl, 0, 0);
    atomic_store(&w->started_ns, bd_now_ns());
    atomic_store(&w->task, task);
}

void bd_cli_watch_clear(const struct cli_watch *w)
{
    if (w->shows)
        fputs("\r\033[K", stderr);
}

void bd_cli_watch_stop(struct cli_watch *w)
{
    if (!w->ctl)
        return;
    if (w->running) {
        atomic_store(&w->stop, true);
        pthread_kill(w->thread, SIGUSR1);
        pthread_join(w->thread, NULL);
        w->running = false;
        if (atomic_load(&w->task))
            bd_cli_watch_clear(w);
    }
    uninstall(w);
    bd_ctl_free(w->ctl);
    w->ctl = NULL;
}
