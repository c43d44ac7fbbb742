/* The pool splits one job over cores.  Workers sleep between calls; a call
 * publishes fn, arg and n under the lock, advances `round`, and joins the
 * work itself as worker 0.  Indices are handed out by one atomic counter.
 *
 * Invariant: fn, arg and n change only while `active` is 0 and the caller
 * holds `turn`, so workers read them without a lock after seeing the round.
 * Nothing here decides the order of results: callers write to slots named by
 * index, which is why answers do not depend on the number of threads. */
#include "job/job_priv.h"

#include <sched.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

struct bd_pool {
    int threads; /* including the caller */
    pthread_t *thread;
    struct seat *seat;
    pthread_mutex_t turn; /* one call at a time */
    pthread_mutex_t lock;
    pthread_cond_t go, rest;
    uint64_t round;
    int active; /* workers still on this round */
    bool quit;
    bd_pool_fn *fn;
    void *arg;
    int64_t n;
    atomic_llong next;
    atomic_bool stop;
};

struct seat { /* what one worker thread is told at birth */
    struct bd_pool *pool;
    int worker;
};

static int cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static void take_indices(struct bd_pool *p, int worker)
{
    while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
        long long i = atomic_fetch_add_explicit(&p->next, 1,
                                                memory_order_relaxed);
        if (i >= p->n)
            return;
        if (!p->fn(p->arg, (int64_t)i, worker))
            atomic_store_explicit(&p->stop, true, memory_order_relaxed);
    }
}

static void *worker_main(void *arg)
{
    struct seat *s = arg;
    struct bd_pool *p = s->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->quit && p->round == seen)
            pthread_cond_wait(&p->go, &p->lock);
        if (p->quit)
            break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        take_indices(p, s->worker);
        pthread_mutex_lock(&p->lock);
        if (--p->active == 0)
            pthread_cond_signal(&p->rest);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* A system that refuses more threads still works, with fewer. */
static void start_workers(struct bd_pool *p, int wanted)
{
    for (int i = 1; i < wanted; i++) {
        p->seat[i] = (struct seat){p, i};
        if (bd_job_thread(&p->thread[i], worker_main, &p->seat[i]) != 0)
            return;
        p->threads = i + 1;
    }
}

bd_status bd_pool_new(struct bd_pool **out, int threads, struct bd_err *err)
{
    int wanted = threads > 0 ? threads : cores();
    if (wanted > MAX_THREADS)
        wanted = MAX_THREADS;
    struct bd_pool *p = bd_calloc(1, sizeof *p);
    pthread_t *thread = bd_calloc((size_t)wanted, sizeof *thread);
    struct seat *seat = bd_calloc((size_t)wanted, sizeof *seat);
    if (!p || !thread || !seat) {
        bd_free(p);
        bd_free(thread);
        bd_free(seat);
        return bd_fail(err, BD_ENOMEM, "out of memory for the thread pool");
    }
    p->threads = 1;
    p->thread = thread;
    p->seat = seat;
    pthread_mutex_init(&p->turn, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->go, NULL);
    pthread_cond_init(&p->rest, NULL);
    start_workers(p, wanted);
    *out = p;
    return BD_OK;
}

void bd_pool_free(struct bd_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->rest);
    pthread_cond_destroy(&p->go);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->turn);
    bd_free(p->seat);
    bd_free(p->thread);
    bd_free(p);
}

int bd_pool_threads(const struct bd_pool *p)
{
    return p->threads;
}

void bd_pool_for(struct bd_pool *p, int64_t n, bd_pool_fn *fn, void *arg)
{
    if (n <= 0)
        return;
    pthread_mutex_lock(&p->turn);
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->stop, false, memory_order_relaxed);
    /* One index needs nobody else; waking them would only cost time. */
    if (n > 1) {
        p->active = p->threads - 1;
        p->round++;
        pthread_cond_broadcast(&p->go);
    }
    pthread_mutex_unlock(&p->lock);
    take_indices(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->active > 0)
        pthread_cond_wait(&p->rest, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->turn);
}
