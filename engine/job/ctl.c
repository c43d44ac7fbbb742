/* Cancellation and progress.  All accesses are relaxed atomics: the flag
 * carries no data with it (results travel through the lanes' lock), so
 * nothing needs ordering, and a signal handler may set it. */
#include "job/job_priv.h"

#include <signal.h>

void bd_ctl_init(struct bd_ctl *c)
{
    atomic_init(&c->cancelled, false);
    atomic_init(&c->done, 0);
    atomic_init(&c->total, 0);
    c->post = NULL;
}

struct bd_ctl *bd_ctl_new(void)
{
    struct bd_ctl *c = bd_alloc(1, sizeof *c);
    if (c)
        bd_ctl_init(c);
    return c;
}

void bd_ctl_free(struct bd_ctl *c)
{
    bd_free(c);
}

bool bd_ctl_stale(const struct bd_ctl *c)
{
    return c && atomic_load_explicit(&c->cancelled, memory_order_relaxed);
}

void bd_ctl_cancel(struct bd_ctl *c)
{
    atomic_store_explicit(&c->cancelled, true, memory_order_relaxed);
}

void bd_ctl_progress(struct bd_ctl *c, int64_t done, int64_t total)
{
    if (!c)
        return;
    atomic_store_explicit(&c->total, total, memory_order_relaxed);
    atomic_store_explicit(&c->done, done, memory_order_relaxed);
}

void bd_ctl_read(const struct bd_ctl *c, int64_t *done, int64_t *total)
{
    *done = atomic_load_explicit(&c->done, memory_order_relaxed);
    *total = atomic_load_explicit(&c->total, memory_order_relaxed);
}

bool bd_ctl_post(struct bd_ctl *c, void *partial)
{
    if (!c || !c->post)
        return false;
    c->post(c, partial);
    return true;
}

/* Polite signals are the main thread's.  Those that a fault raises belong to
 * the thread at fault: blocked there, they would kill the program before any
 * handler gave the terminal back. */
int bd_job_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(t, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}
