/* Output errors: the back end under a quantized feature against the same
 * under the original, which ran once.
 *
 * Images go in the back end's batches: batch k is always images k*batch and
 * on, whoever runs it, and each batch's squared error is kept apart and added
 * in order.  So the sum is the same for any number of threads. */
#include "feature/feature.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

struct hand { /* one worker's room */
    double *x, *out;
};

struct bd_judge {
    const struct bd_feature *f;
    const struct bd_backend *b;
    struct bd_feature_work w;
    int workers;
    struct hand *hand; /* [workers] */
    double *ref;       /* [images][outputs] */
    double *sum;       /* [batches] squared error of each */
    int64_t batches, runs;
    /* Of the run at hand. */
    const struct bd_chanq *q; /* NULL: the original, into ref */
    int64_t base;
    pthread_mutex_t lock;
    bd_status status;
    struct bd_err err;
};

void bd_judge_free(struct bd_judge *j)
{
    if (!j)
        return;
    for (int w = 0; j->hand && w < j->workers; w++) {
        bd_free(j->hand[w].x);
        bd_free(j->hand[w].out);
    }
    bd_free(j->hand);
    bd_free(j->ref);
    bd_free(j->sum);
    pthread_mutex_destroy(&j->lock);
    bd_free(j);
}

/* Images of batch k into x; places beyond the last image are zero. */
static void fill(double *x, const struct bd_judge *j, int64_t k)
{
    const struct bd_feature *f = j->f;
    size_t size = (size_t)f->size;
    const struct bd_chanq same = {.bits = 32};

    for (int64_t s = 0; s < j->b->batch; s++) {
        int64_t i = k * j->b->batch + s;
        double *at = x + (size_t)(s * f->channels) * size;

        if (i >= f->images) {
            memset(at, 0, (size_t)f->channels * size * sizeof *at);
            continue;
        }
        for (int64_t c = 0; c < f->channels; c++)
            bd_chanq_apply(at + (size_t)c * size,
                           f->x + (size_t)(c * f->images + i) * size, size,
                           j->q ? &j->q[c] : &same);
    }
}

static void settle(struct bd_judge *j, int64_t k, const double *out)
{
    int64_t left = j->f->images - k * j->b->batch;
    int64_t n = (left < j->b->batch ? left : j->b->batch) * j->b->outputs;
    double *ref = j->ref + k * j->b->batch * j->b->outputs, s = 0;

    if (!j->q)
        memcpy(ref, out, (size_t)n * sizeof *out);
    for (int64_t i = 0; i < n; i++)
        s += (out[i] - ref[i]) * (out[i] - ref[i]);
    j->sum[k] = s;
}

static bool one_batch(void *arg, int64_t index, int worker)
{
    struct bd_judge *j = arg;
    struct hand *h = &j->hand[worker];
    struct bd_err err = {0};
    bd_status st;

    fill(h->x, j, j->base + index);
    st = j->b->run(j->b->arg, worker, h->out, h->x, &err);
    if (st == BD_OK) {
        settle(j, j->base + index, h->out);
        return true;
    }
    pthread_mutex_lock(&j->lock);
    if (j->status == BD_OK) {
        j->status = st;
        j->err = err;
    }
    pthread_mutex_unlock(&j->lock);
    return false;
}

/* One batch per thread and turn at the pool; cancelled between turns. */
bd_status bd_judge_run(double *mse, struct bd_judge *j,
                       const struct bd_chanq *q, struct bd_err *err)
{
    double s = 0;

    j->q = q;
    j->status = BD_OK;
    j->err = (struct bd_err){0};
    for (j->base = 0; j->base < j->batches; j->base += j->workers) {
        int64_t n = j->batches - j->base;

        n = n < j->workers ? n : j->workers;
        if (bd_ctl_stale(j->w.ctl))
            return bd_fail(err, BD_ECANCELLED, "stopped");
        if (j->w.pool)
            bd_pool_for(j->w.pool, n, one_batch, j);
        else
            one_batch(j, 0, 0);
        if (j->status != BD_OK) {
            if (err && err->code == BD_OK)
                *err = j->err;
            return j->status;
        }
    }
    for (int64_t k = 0; k < j->batches; k++)
        s += j->sum[k];
    j->runs++;
    *mse = s / ((double)j->f->images * (double)j->b->outputs);
    return BD_OK;
}

static bool room(struct bd_judge *j)
{
    const struct bd_feature *f = j->f;
    size_t x = (size_t)(j->b->batch * f->channels * f->size);

    j->hand = bd_calloc((size_t)j->workers, sizeof *j->hand);
    j->ref = bd_calloc((size_t)(f->images * j->b->outputs), sizeof *j->ref);
    j->sum = bd_calloc((size_t)j->batches, sizeof *j->sum);
    if (!j->hand || !j->ref || !j->sum)
        return false;
    for (int w = 0; w < j->workers; w++) {
        struct hand *h = &j->hand[w];

        h->x = bd_alloc(x, sizeof *h->x);
        h->out = bd_alloc((size_t)(j->b->batch * j->b->outputs),
                          sizeof *h->out);
        if (!h->x || !h->out)
            return false;
    }
    return true;
}

bd_status bd_judge_new(struct bd_judge **out, const struct bd_feature *f,
                       const struct bd_backend *b, struct bd_feature_work w,
                       struct bd_err *err)
{
    struct bd_judge *j = bd_calloc(1, sizeof *j);
    double zero;
    bd_status st = BD_OK;

    if (!j)
        return bd_fail(err, BD_ENOMEM, "out of memory for the back end");
    j->f = f;
    j->b = b;
    j->w = w;
    j->workers = w.pool ? bd_pool_threads(w.pool) : 1;
    j->batches = (f->images + b->batch - 1) / b->batch;
    pthread_mutex_init(&j->lock, NULL);
    if (!room(j))
        st = bd_fail(err, BD_ENOMEM, "out of memory for the back end");
    if (st == BD_OK)
        st = bd_judge_run(&zero, j, NULL, err);
    for (int64_t i = 0; st == BD_OK && i < f->images * b->outputs; i++)
        if (!isfinite(j->ref[i]))
            st = bd_fail(err, BD_EFORMAT,
                         "the network's outputs are not numbers");
    if (st != BD_OK) {
        bd_judge_free(j);
        return st;
    }
    j->runs = 0;
    *out = j;
    return BD_OK;
}

void bd_judge_work(struct bd_judge *j, struct bd_feature_work w)
{
    int threads = w.pool ? bd_pool_threads(w.pool) : 1;

    /* Room was made for so many; a larger pool would have no hands. */
    if (threads <= j->workers)
        j->w.pool = w.pool;
    j->w.ctl = w.ctl;
}

int64_t bd_judge_runs(const struct bd_judge *j)
{
    return j->runs;
}

bd_status bd_judge_sensitivity(double *s, struct bd_judge *j,
                               const struct bd_qtable *t, struct bd_err *err)
{
    int64_t n = j->f->channels;
    struct bd_chanq *q = bd_alloc((size_t)n + 1, sizeof *q);
    bd_status st = BD_OK;

    if (!q)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sensitivities");
    for (int64_t c = 0; c < n; c++)
        q[c] = (struct bd_chanq){.bits = 32};
    for (int64_t c = 0; c < n && st == BD_OK; c++) {
        for (int b = 0; b < BD_FEATURE_WIDTHS && st == BD_OK; b++) {
            q[c] = (struct bd_chanq){t->kind, b, t->c[c].is_signed,
                                     t->c[c].interval[b], t->c[c].range};
            st = bd_judge_run(&s[c * BD_FEATURE_WIDTHS + b], j, q, err);
        }
        q[c] = (struct bd_chanq){.bits = 32};
        bd_ctl_progress(j->w.ctl, c + 1, n);
    }
    bd_free(q);
    return st;
}
