/* Beside long work stands one thread that owns the polite signals: they are
 * blocked everywhere else, and sigtimedwait hands them over here, so there is
 * no handler and no global flag.  The same thread draws progress, ten times a
 * second at most, and only on a terminal. */
#include "cli/cli_priv.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { TICK_NS = 100000000, QUIET_MS = 200, BAR = 20 };

/* The signals that ask politely, except those our parent told us to ignore
 * (nohup), and one of our own that ends the watch without waiting. */
static void polite(sigset_t *s)
{
    static const int asks[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction now;

    sigemptyset(s);
    sigaddset(s, SIGUSR1);
    for (size_t k = 0; k < sizeof asks / sizeof *asks; k++) {
        if (sigaction(asks[k], NULL, &now) == 0 &&
            now.sa_handler != SIG_IGN)
            sigaddset(s, asks[k]);
    }
}

static void show(const struct cli_watch *w)
{
    int64_t done, total, ms = (bd_now_ns() - w->started_ns) / 1000000;
    char bar[BAR + 1];
    int full;

    bd_ctl_read(w->ctl, &done, &total);
    if (!w->shows || ms < QUIET_MS || total <= 0 || done <= 0)
        return;
    full = (int)(done * BAR / total);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r%s [%s] %d%%  %lld s left \033[K", w->what, bar,
            (int)(done * 100 / total),
            (long long)(ms * (total - done) / done / 1000));
    fflush(stderr);
}

static void *watch(void *arg)
{
    struct cli_watch *w = arg;
    struct timespec tick = {0, TICK_NS};
    sigset_t set;

    polite(&set);
    while (!atomic_load(&w->stop)) {
        int sig = sigtimedwait(&set, NULL, &tick);

        if (sig > 0 && sig != SIGUSR1 && !atomic_load(&w->stop)) {
            atomic_store(&w->signal, sig);
            bd_ctl_cancel(w->ctl);
        }
        show(w);
    }
    return NULL;
}

bd_status bd_cli_watch_start(struct cli_watch *w, const char *what,
                             struct bd_err *err)
{
    sigset_t set;

    *w = (struct cli_watch){.what = what, .started_ns = bd_now_ns()};
    w->shows = isatty(STDERR_FILENO);
    w->ctl = bd_ctl_new();
    if (!w->ctl)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    polite(&set);
    pthread_sigmask(SIG_BLOCK, &set, &w->before);
    if (pthread_create(&w->thread, NULL, watch, w) != 0) {
        bd_cli_watch_stop(w);
        return bd_fail(err, BD_ENOMEM, "no thread to watch the work");
    }
    w->running = true;
    return BD_OK;
}

int bd_cli_watch_stop(struct cli_watch *w)
{
    if (!w->ctl)
        return 0;
    if (w->running) {
        atomic_store(&w->stop, true);
        pthread_kill(w->thread, SIGUSR1);
        pthread_join(w->thread, NULL);
        if (w->shows)
            fputs("\r\033[K", stderr);
    }
    pthread_sigmask(SIG_SETMASK, &w->before, NULL);
    bd_ctl_free(w->ctl);
    w->ctl = NULL;
    return atomic_load(&w->signal);
}
