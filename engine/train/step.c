/* One step of training; see train_priv.h for the cut into shards. */
#include "train_priv.h"

#include <string.h>

void bd_train_each(struct bd_pool *pool, int64_t n, bd_pool_fn *fn, void *arg)
{
    if (pool) {
        bd_pool_for(pool, n, fn, arg);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        if (!fn(arg, i, 0))
            return;
}

struct step {
    struct bd_trainer *t;
    int64_t first; /* place in the order of the batch's first image */
};

static bd_status ready(struct bd_trainer *t, struct bd_worker *w,
                       struct bd_err *err)
{
    if (!w->seed)
        w->seed = bd_alloc((size_t)(t->shard * t->classes), sizeof *w->seed);
    if (!w->seed)
        return bd_fail(err, BD_ENOMEM, "out of memory for training");
    return w->fit ? BD_OK : bd_exec_new(&w->fit, t->fit, err);
}

/* Fills the input with the shard's images and the labels beside them. */
static bd_status feed(struct bd_trainer *t, struct bd_exec *e, int64_t first,
                      int *label, struct bd_err *err)
{
    float *x = bd_exec_input(e, 0);
    bd_status s = BD_OK;
    for (int64_t i = 0; s == BD_OK && i < t->shard; i++)
        s = bd_train_fetch(t, first + i, x + i * t->input, &label[i], err);
    return s;
}

static void judge(struct bd_trainer *t, struct bd_worker *w, const int *label,
                  struct bd_shard *s)
{
    const float *x = bd_exec_value(w->fit, t->logits)->f;
    const double scale = 1.0 / (double)(t->shard * t->nshards);
    for (int64_t i = 0; i < t->shard; i++, x += t->classes) {
        s->loss += bd_train_loss(w->seed + i * t->classes, x, t->classes,
                                 label[i], scale);
        s->right += bd_train_argmax(x, t->classes) == label[i];
    }
}

/* Gradients leave the executor, which the next shard will use again. */
static void keep_grads(const struct bd_trainer *t, struct bd_exec *e,
                       struct bd_shard *s)
{
    for (size_t i = 0; i < t->nparams; i++) {
        const struct bd_param *p = &t->param[i];
        const float *g = bd_exec_grad(e, p->value);
        if (g)
            memcpy(s->grad + p->at, g, p->n * sizeof *g);
        else
            memset(s->grad + p->at, 0, p->n * sizeof *g);
    }
}

/* Running variances are unbiased, batch normalization's own is not. */
static void keep_stats(const struct bd_trainer *t, struct bd_exec *e,
                       struct bd_shard *s)
{
    for (size_t i = 0; i < t->nrunning; i++) {
        const struct bd_running *r = &t->running[i];
        const float *mean = NULL, *var = NULL;
        int64_t n = 0;
        if (!bd_exec_bn_stats(e, r->node, &mean, &var, &n)) {
            mean = r->m; /* the node did not run: no change */
            var = r->v;
            n = 0;
        }
        double k = n > 1 ? (double)n / (double)(n - 1) : 1.0;
        for (size_t c = 0; c < r->n; c++) {
            s->stats[r->at + c] = mean[c];
            s->stats[r->at + r->n + c] = (float)((double)var[c] * k);
        }
    }
}

static bd_status run_shard(struct bd_trainer *t, struct bd_worker *w,
                           int64_t first, struct bd_shard *s)
{
    struct bd_exec_run run = {.q = t->q,
                              .override = (const float *const *)t->now};
    int *label = bd_alloc((size_t)t->shard, sizeof *label);
    bd_status st = label ? ready(t, w, &s->err)
                         : bd_fail(&s->err, BD_ENOMEM, "out of memory");
    if (st == BD_OK)
        st = feed(t, w->fit, first, label, &s->err);
    if (st == BD_OK)
        st = bd_exec_run(w->fit, &run, &s->err);
    if (st == BD_OK) {
        judge(t, w, label, s);
        bd_exec_grad_zero(w->fit);
        st = bd_exec_backward(w->fit, &run, t->logits, w->seed, &s->err);
    }
    if (st == BD_OK) {
        keep_grads(t, w->fit, s);
        keep_stats(t, w->fit, s);
    }
    bd_free(label);
    return st;
}

static bool shard_main(void *arg, int64_t index, int worker)
{
    struct step *k = arg;
    struct bd_shard *s = &k->t->slot[index];
    s->status = run_shard(k->t, &k->t->worker[worker],
                          k->first + index * k->t->shard, s);
    return s->status == BD_OK;
}

/* Sums in the order of the shards. */
static void gather(struct bd_trainer *t)
{
    for (size_t i = 0; i < t->nparams; i++) {
        struct bd_param *p = &t->param[i];
        memcpy(p->grad, t->slot[0].grad + p->at, p->n * sizeof *p->grad);
        for (int64_t k = 1; k < t->nshards; k++) {
            const float *g = t->slot[k].grad + p->at;
            for (size_t e = 0; e < p->n; e++)
                p->grad[e] += g[e];
        }
    }
}

static void blend(float *run, const struct bd_trainer *t, size_t at, size_t n,
                  double keep)
{
    for (size_t c = 0; c < n; c++) {
        double s = 0;
        for (int64_t k = 0; k < t->nshards; k++)
            s += (double)t->slot[k].stats[at + c];
        s /= (double)t->nshards;
        run[c] = (float)(keep * (double)run[c] + (1.0 - keep) * s);
    }
}

static void run_statistics(struct bd_trainer *t)
{
    for (size_t i = 0; i < t->nrunning; i++) {
        struct bd_running *r = &t->running[i];
        blend(r->m, t, r->at, r->n, (double)r->momentum);
        blend(r->v, t, r->at + r->n, r->n, (double)r->momentum);
    }
}

static bd_status collect(struct bd_trainer *t, struct bd_epoch *sum,
                         struct bd_err *err)
{
    for (int64_t k = 0; k < t->nshards; k++) {
        const struct bd_shard *s = &t->slot[k];
        if (s->status != BD_OK)
            return bd_fail(err, s->status, "%s", s->err.msg);
        sum->loss += s->loss;
        sum->train_acc += (double)s->right;
    }
    return BD_OK;
}

bd_status bd_train_step(struct bd_trainer *t, struct bd_pool *pool,
                        int64_t step, struct bd_epoch *sum, struct bd_err *err)
{
    struct step k = {t, step * t->shard * t->nshards};
    bd_status s = BD_OK;
    if (t->recipe->before)
        s = t->recipe->before(t, err);
    if (s != BD_OK)
        return s;
    for (int64_t i = 0; i < t->nshards; i++) {
        t->slot[i].loss = 0;
        t->slot[i].right = 0;
        t->slot[i].status = BD_OK;
        t->slot[i].err = (struct bd_err){0};
    }
    bd_train_each(pool, t->nshards, shard_main, &k);
    s = collect(t, sum, err);
    if (s != BD_OK)
        return s;
    gather(t);
    if (t->recipe->after)
        t->recipe->after(t);
    run_statistics(t);
    bd_train_update(t, sum->lr);
    return BD_OK;
}
