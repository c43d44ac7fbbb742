/* Interval tables: for each channel and width the best interval and the error
 * that is left.  The searches are quant/'s; here they are spread over the
 * pool, each channel and width on its own, so the result does not depend on
 * threads. */
#include "feature/feature.h"

#include <math.h>
#include <stdatomic.h>

/* Values times candidates that a thread handles in some tens of
 * milliseconds: what one turn at the pool takes. */
static const int64_t per_turn = 20000000;

struct search {
    struct bd_qtable *t;
    const struct bd_feature *f;
    struct bd_ctl *ctl;
    int64_t base; /* first cell of this turn */
    atomic_llong done;
};

static double mean_square(const float *x, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += (double)x[i] * (double)x[i];
    return n ? s / (double)n : 0;
}

static void dorefa_cell(struct bd_qchannel *c, const float *x, size_t n, int b)
{
    struct bd_chanq q = {BD_FEATURE_DOREFA, b, false, BD_FEATURE_DOREFA_CLIP,
                         0};
    struct bd_feature one = {1, 1, (int64_t)n, NULL};

    /* The view of one channel; nothing writes through it. */
    one.x = (float *)(uintptr_t)x;
    c->interval[b] = BD_FEATURE_DOREFA_CLIP;
    c->mse[b] = bd_feature_error(&one, &q);
}

static void search_cell(struct bd_qchannel *c, const float *x, size_t n,
                        enum bd_feature_kind kind, int b)
{
    switch (kind) {
    case BD_FEATURE_UNIFORM:
        c->interval[b] = bd_feature_best_interval(&c->mse[b], x, n, b);
        return;
    case BD_FEATURE_LOG:
        c->interval[b] = bd_feature_best_log(&c->mse[b], x, n, b);
        return;
    case BD_FEATURE_DOREFA:
        dorefa_cell(c, x, n, b);
        return;
    case BD_FEATURE_KINDS:
        return;
    }
}

static void measure(struct bd_qchannel *c, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        c->range = fmax(c->range, fabs((double)x[i]));
        c->is_signed = c->is_signed || x[i] < 0;
    }
    c->mse[0] = mean_square(x, n);
}

/* Cells in the order of channels; width 0 first, which measures. */
static bool one_cell(void *arg, int64_t index, int worker)
{
    struct search *s = arg;
    int64_t at = s->base + index;
    int64_t i = at / BD_FEATURE_WIDTHS;
    int b = (int)(at % BD_FEATURE_WIDTHS);
    size_t n = (size_t)(s->f->images * s->f->size);
    const float *x = s->f->x + (size_t)i * n;

    (void)worker;
    if (bd_ctl_stale(s->ctl))
        return false;
    if (b == 0)
        measure(&s->t->c[i], x, n);
    else
        search_cell(&s->t->c[i], x, n, s->t->kind, b);
    bd_ctl_progress(s->ctl, atomic_fetch_add(&s->done, 1) + 1,
                    s->f->channels * BD_FEATURE_WIDTHS);
    return true;
}

static void all_cells(struct search *s, struct bd_pool *pool)
{
    int64_t total = s->f->channels * BD_FEATURE_WIDTHS;
    int64_t cost = s->f->images * s->f->size * 100;
    int64_t turn = per_turn / (cost > 0 ? cost : 1) + 1;

    turn *= pool ? bd_pool_threads(pool) : 1;
    for (; s->base < total && !bd_ctl_stale(s->ctl); s->base += turn) {
        int64_t n = total - s->base < turn ? total - s->base : turn;

        if (pool)
            bd_pool_for(pool, n, one_cell, s);
        for (int64_t i = 0; !pool && i < n; i++)
            one_cell(s, i, 0);
    }
}

bd_status bd_qtable_make(struct bd_qtable *out, const struct bd_feature *f,
                         enum bd_feature_kind kind, struct bd_feature_work w,
                         struct bd_err *err)
{
    struct bd_qtable t = {kind, f->channels, f->images * f->size, NULL};
    struct search s = {.t = &t, .f = f, .ctl = w.ctl};

    t.c = bd_calloc((size_t)f->channels + 1, sizeof *t.c);
    if (!t.c)
        return bd_fail(err, BD_ENOMEM, "out of memory for the intervals");
    all_cells(&s, w.pool);
    if (bd_ctl_stale(w.ctl)) {
        bd_qtable_done(&t);
        return bd_fail(err, BD_ECANCELLED, "stopped");
    }
    *out = t;
    return BD_OK;
}

void bd_qtable_done(struct bd_qtable *t)
{
    bd_free(t->c);
    *t = (struct bd_qtable){0};
}

void bd_qtable_use(struct bd_chanq *q, const struct bd_qtable *t,
                   const int8_t *bits)
{
    for (int64_t i = 0; i < t->channels; i++)
        q[i] = (struct bd_chanq){t->kind, bits[i], t->c[i].is_signed,
                                 t->c[i].interval[bits[i]], t->c[i].range};
}

double bd_qtable_error(const struct bd_qtable *t, const int8_t *bits)
{
    double s = 0;

    for (int64_t i = 0; i < t->channels; i++)
        s += t->c[i].mse[bits[i]];
    return t->channels ? s / (double)t->channels : 0;
}
