/* Lanes: three workers, each with a queue.  One lock guards queues, keys and
 * the list of news; it is never held while a job runs or a callback is
 * called.
 *
 * Life of a job: waiting (in its lane's queue, found through its key's row)
 * -> running (lane.running) -> news (finished, uncollected) -> freed by
 * collect.  A running job may be news as well when it posted a partial
 * result; a newer partial replaces one not yet collected, so a slow screen
 * never builds up a backlog.
 *
 * Staleness: touch() advances the key's generation and cancels what runs.
 * Whether a result is wanted is decided once, in collect, by comparing
 * generations: a cancelled job that finished anyway is still dropped there. */
#include "job/lanes_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct lane {
    struct bd_lanes *lanes;
    pthread_t thread;
    bool started;
    pthread_cond_t wake;
    struct bd_work *head, *tail, *running;
};

struct bd_lanes {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* news came, or a lane went idle */
    struct lane lane[BD_LANES];
    struct bd_keys keys;
    struct bd_work *first, *last; /* news, oldest first */
    size_t nnews;
    size_t busy; /* waiting and running jobs */
    int fd[2];
    bool quit;
};

/* ------------------------------------------------------- under the lock */

/* Out of the queue, and no longer findable by its key. */
static void unlink_waiting(struct bd_lanes *l, struct bd_work *w)
{
    struct lane *q = &l->lane[w->job.lane];
    *(w->prev ? &w->prev->next : &q->head) = w->next;
    *(w->next ? &w->next->prev : &q->tail) = w->prev;
    w->prev = w->next = NULL;
    struct bd_keyrow *r = bd_keys_find(&l->keys, w->job.key);
    if (r && r->waiting == w)
        r->waiting = NULL;
}

static void append(struct lane *q, struct bd_work *w)
{
    w->prev = q->tail;
    w->next = NULL;
    *(q->tail ? &q->tail->next : &q->head) = w;
    q->tail = w;
}

static void prepend(struct lane *q, struct bd_work *w)
{
    w->prev = NULL;
    w->next = q->head;
    *(q->head ? &q->head->prev : &q->tail) = w;
    q->head = w;
}

static void announce(struct bd_lanes *l, struct bd_work *w)
{
    if (!w->listed) {
        w->listed = true;
        w->news = NULL;
        *(l->last ? &l->last->news : &l->first) = w;
        l->last = w;
        /* One byte per batch of news is enough: the receiver drains.  A full
         * pipe means it is readable anyway. */
        if (l->nnews++ == 0) {
            ssize_t n;
            do
                n = write(l->fd[1], "!", 1);
            while (n < 0 && errno == EINTR);
        }
    }
    pthread_cond_broadcast(&l->changed);
}

/* The oldest of the news, no longer listed: it may be announced again. */
static struct bd_work *pop_news(struct bd_lanes *l)
{
    struct bd_work *w = l->first;
    if (!w)
        return NULL;
    l->first = w->news;
    if (!l->first)
        l->last = NULL;
    l->nnews--;
    w->listed = false;
    w->news = NULL;
    return w;
}

/* A flag the job polls; it leaves at its next chunk. */
static void cancel_running(struct bd_lanes *l, uint64_t key)
{
    for (int i = 0; i < BD_LANES; i++) {
        struct bd_work *w = l->lane[i].running;
        if (w && w->job.key == key)
            bd_ctl_cancel(&w->ctl);
    }
}

/* ----------------------------------------------------------- the worker */

static void free_work(struct bd_work *w)
{
    if (!w)
        return;
    if (w->partial && w->job.free_result)
        w->job.free_result(w->partial);
    if (w->result && w->job.free_result)
        w->job.free_result(w->result);
    if (w->job.free_arg)
        w->job.free_arg(w->job.arg);
    bd_free(w);
}

static void post_partial(struct bd_ctl *c, void *partial)
{
    struct bd_work *w = (struct bd_work *)(void *)c;
    struct bd_lanes *l = w->lanes;
    pthread_mutex_lock(&l->lock);
    void *old = w->partial;
    w->partial = partial;
    announce(l, w);
    pthread_mutex_unlock(&l->lock);
    if (old && w->job.free_result)
        w->job.free_result(old);
}

/* Called and returning with the lock held, released for the job itself. */
static void run_one(struct lane *q, struct bd_work *w)
{
    struct bd_lanes *l = q->lanes;
    void *result = NULL;
    bd_status st = BD_ECANCELLED;
    pthread_mutex_unlock(&l->lock);
    if (!bd_ctl_stale(&w->ctl))
        st = w->job.run(&result, w->job.arg, &w->ctl, &w->err);
    pthread_mutex_lock(&l->lock);
    w->status = st;
    w->result = result;
    w->finished = true;
    q->running = NULL;
    l->busy--;
    announce(l, w);
}

static void *lane_main(void *arg)
{
    struct lane *q = arg;
    struct bd_lanes *l = q->lanes;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->quit && !q->head)
            pthread_cond_wait(&q->wake, &l->lock);
        if (l->quit)
            break;
        struct bd_work *w = q->head;
        unlink_waiting(l, w);
        q->running = w;
        w->started_ns = bd_now_ns();
        run_one(q, w);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* --------------------------------------------------------- life and death */

static bool start_lane(struct bd_lanes *l, int i)
{
    struct lane *q = &l->lane[i];
    q->lanes = l;
    q->started = bd_job_thread(&q->thread, lane_main, q) == 0;
    return q->started;
}

bd_status bd_lanes_new(struct bd_lanes **out, struct bd_err *err)
{
    struct bd_lanes *l = bd_calloc(1, sizeof *l);
    if (!l)
        return bd_fail(err, BD_ENOMEM, "out of memory for the lanes");
    if (pipe2(l->fd, O_NONBLOCK | O_CLOEXEC) != 0) {
        bd_free(l);
        return bd_fail(err, BD_EIO, "no pipe for finished work: %s",
                       strerror(errno));
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    bool ok = true;
    for (int i = 0; i < BD_LANES; i++)
        pthread_cond_init(&l->lane[i].wake, NULL);
    for (int i = 0; i < BD_LANES && ok; i++)
        ok = start_lane(l, i);
    if (!ok) {
        bd_lanes_free(l);
        return bd_fail(err, BD_EIO, "the system refuses another thread");
    }
    *out = l;
    return BD_OK;
}

/* Joins the workers: each leaves after the job it is in, which its flag cuts
 * short; what waits is never started. */
static void stop_lanes(struct bd_lanes *l)
{
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    for (int i = 0; i < BD_LANES; i++) {
        if (l->lane[i].running)
            bd_ctl_cancel(&l->lane[i].running->ctl);
        pthread_cond_broadcast(&l->lane[i].wake);
    }
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < BD_LANES; i++)
        if (l->lane[i].started)
            pthread_join(l->lane[i].thread, NULL);
}

void bd_lanes_free(struct bd_lanes *l)
{
    if (!l)
        return;
    stop_lanes(l);
    /* No other thread is left: what waits and what nobody collected. */
    for (int i = 0; i < BD_LANES; i++)
        while (l->lane[i].head) {
            struct bd_work *w = l->lane[i].head;
            unlink_waiting(l, w);
            free_work(w);
        }
    struct bd_work *w;
    while ((w = pop_news(l)))
        free_work(w);
    for (int i = 0; i < BD_LANES; i++)
        pthread_cond_destroy(&l->lane[i].wake);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    close(l->fd[0]);
    close(l->fd[1]);
    bd_keys_done(&l->keys);
    bd_free(l);
}

/* ------------------------------------------------------ the owner's calls */

int bd_lanes_fd(const struct bd_lanes *l)
{
    return l->fd[0];
}

uint64_t bd_lanes_touch(struct bd_lanes *l, uint64_t key)
{
    uint64_t gen = 0;
    struct bd_work *old = NULL;
    pthread_mutex_lock(&l->lock);
    /* Without memory for the row nothing of this key can be under way:
     * submit() makes the row first. */
    struct bd_keyrow *r = bd_keys_add(&l->keys, key);
    if (r) {
        gen = ++r->gen;
        old = r->waiting;
        if (old) {
            unlink_waiting(l, old);
            l->busy--;
        }
        cancel_running(l, key);
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    free_work(old);
    return gen;
}

static struct bd_work *work_new(struct bd_lanes *l, const struct bd_job *j)
{
    struct bd_work *w = bd_calloc(1, sizeof *w);
    if (!w)
        return NULL;
    bd_ctl_init(&w->ctl);
    w->ctl.post = post_partial;
    w->lanes = l;
    w->job = *j;
    return w;
}

bd_status bd_lanes_submit(struct bd_lanes *l, const struct bd_job *j,
                          struct bd_err *err)
{
    struct bd_work *w = work_new(l, j), *old = NULL;
    struct bd_keyrow *r = NULL;
    pthread_mutex_lock(&l->lock);
    if (w)
        r = bd_keys_add(&l->keys, j->key);
    if (r) {
        old = r->waiting;
        if (old) {
            unlink_waiting(l, old);
            l->busy--;
        }
        w->job.gen = r->gen;
        r->waiting = w;
        append(&l->lane[j->lane], w);
        l->busy++;
        pthread_cond_signal(&l->lane[j->lane].wake);
    }
    pthread_mutex_unlock(&l->lock);
    free_work(old);
    if (r)
        return BD_OK;
    if (j->free_arg)
        j->free_arg(j->arg);
    bd_free(w);
    return bd_fail(err, BD_ENOMEM, "out of memory for a job");
}

void bd_lanes_raise(struct bd_lanes *l, uint64_t key)
{
    pthread_mutex_lock(&l->lock);
    struct bd_keyrow *r = bd_keys_find(&l->keys, key);
    struct bd_work *w = r ? r->waiting : NULL;
    if (w) {
        unlink_waiting(l, w);
        prepend(&l->lane[w->job.lane], w);
        r->waiting = w;
    }
    pthread_mutex_unlock(&l->lock);
}

void bd_lanes_cancel(struct bd_lanes *l, uint64_t key)
{
    pthread_mutex_lock(&l->lock);
    struct bd_keyrow *r = bd_keys_find(&l->keys, key);
    struct bd_work *w = r ? r->waiting : NULL;
    if (w) { /* delivered as cancelled, so that the owner can count on it */
        unlink_waiting(l, w);
        l->busy--;
        w->finished = true;
        w->status = BD_ECANCELLED;
        announce(l, w);
    }
    cancel_running(l, key);
    pthread_mutex_unlock(&l->lock);
}

/* ------------------------------------------------------------- collecting */

static void drain_pipe(struct bd_lanes *l)
{
    char buf[64];
    while (read(l->fd[0], buf, sizeof buf) > 0) {
    }
}

/* Takes the oldest news as *d and tells whether it is still wanted; *free is
 * the work when this was its last appearance. */
static bool take(struct bd_lanes *l, struct bd_done *d, struct bd_work **last,
                 bool *wanted)
{
    struct bd_work *w = pop_news(l);
    if (!w)
        return false;
    *d = (struct bd_done){.key = w->job.key, .gen = w->job.gen,
                          .job = &w->job};
    const struct bd_keyrow *r = bd_keys_find(&l->keys, w->job.key);
    *wanted = r && r->gen == w->job.gen;
    *last = w->finished ? w : NULL;
    if (w->finished) {
        d->status = w->status;
        d->err = w->err;
        /* A result that came with a failure stays behind and is freed with
         * the work; so does a partial one that the final overtook. */
        if (w->status == BD_OK) {
            d->result = w->result;
            w->result = NULL;
        }
    } else {
        d->partial = true;
        d->result = w->partial;
        w->partial = NULL;
    }
    return true;
}

void bd_lanes_collect(struct bd_lanes *l,
                      void (*fn)(void *arg, struct bd_done *d), void *arg)
{
    pthread_mutex_lock(&l->lock);
    drain_pipe(l);
    /* Only what is there now: callbacks may submit work that finishes before
     * we are done, and the owner wants to get back to its keys. */
    for (size_t n = l->nnews; n > 0; n--) {
        struct bd_done d;
        struct bd_work *last = NULL;
        bool wanted = false;
        if (!take(l, &d, &last, &wanted))
            break;
        void (*drop)(void *) = d.job->free_result;
        pthread_mutex_unlock(&l->lock);
        if (wanted)
            fn(arg, &d);
        else if (d.result && drop)
            drop(d.result);
        free_work(last);
        pthread_mutex_lock(&l->lock);
    }
    /* Left-overs must make the descriptor readable again. */
    if (l->nnews > 0 && write(l->fd[1], "!", 1) < 0) {
        /* full: readable anyway */
    }
    pthread_mutex_unlock(&l->lock);
}

static pthread_mutex_t *lock_of(const struct bd_lanes *l)
{
    /* const to the outside: a look that changes nothing seen. */
    return &((struct bd_lanes *)(uintptr_t)l)->lock;
}

bool bd_lanes_idle(const struct bd_lanes *l)
{
    pthread_mutex_lock(lock_of(l));
    bool idle = l->busy == 0 && l->nnews == 0;
    pthread_mutex_unlock(lock_of(l));
    return idle;
}

void bd_lanes_wait(struct bd_lanes *l)
{
    pthread_mutex_lock(&l->lock);
    while (l->busy > 0 && l->nnews == 0)
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

/* The title stays valid: works are freed on this thread only. */
static void describe(struct bd_progress *out, const struct bd_work *w,
                     bool running)
{
    *out = (struct bd_progress){.key = w->job.key, .lane = w->job.lane,
                                .running = running, .title = w->job.title,
                                .started_ns = w->started_ns};
    bd_ctl_read(&w->ctl, &out->done, &out->total);
}

size_t bd_lanes_progress(const struct bd_lanes *l, struct bd_progress *out,
                         size_t cap)
{
    size_t n = 0;
    pthread_mutex_lock(lock_of(l));
    for (int i = 0; i < BD_LANES; i++)
        if (l->lane[i].running && n < cap)
            describe(&out[n++], l->lane[i].running, true);
    for (int i = 0; i < BD_LANES; i++)
        for (const struct bd_work *w = l->lane[i].head; w && n < cap;
             w = w->next)
            describe(&out[n++], w, false);
    pthread_mutex_unlock(lock_of(l));
    return n;
}
