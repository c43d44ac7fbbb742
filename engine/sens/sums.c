/* From images to values with intervals.
 *
 * Everything is paired: an image's loss under a choice is compared with the
 * same image's loss in float, so what the images have in common cancels and
 * the interval tells the effect of the choice alone.  Means get the usual
 * normal interval from the variance between images.  The difference of two
 * proportions on the same images (top-1) gets the adjusted Wald interval of
 * Bonett and Price 2012: one image is added to each kind of disagreement,
 * which keeps it honest where no image disagrees, as Wilson's does for one
 * proportion. */
#include "sens_priv.h"

#include <math.h>

static const double z95 = 1.959963984540054;

void bd_sens_add(struct bd_sens_sums *to, const struct bd_sens_sums *part)
{
    to->n += part->n;
    to->labelled += part->labelled;
    to->scored += part->scored;
    to->worse += part->worse;
    to->better += part->better;
    for (int k = 0; k < BD_SENS_METRICS; k++) {
        to->sum[k] += part->sum[k];
        to->square[k] += part->square[k];
    }
}

static void add(struct bd_sens_sums *s, enum bd_sens_metric k, double v)
{
    s->sum[k] += v;
    s->square[k] += v * v;
}

void bd_sens_add_image(struct bd_sens_sums *s, const float *z,
                       const struct bd_sens_image *image)
{
    const float *f = image->f;
    struct bd_net_eval e;
    double err2 = 0;

    bd_eval_logits(&e, z, f, &image->label, 1, image->classes);
    for (int64_t k = 0; k < image->classes; k++)
        err2 += ((double)z[k] - (double)f[k]) * ((double)z[k] - (double)f[k]);
    s->n++;
    add(s, BD_SENS_KL, e.kl);
    add(s, BD_SENS_OUT_MSE, err2 / (double)image->classes);
    if (!e.images)
        return;
    s->labelled++;
    s->worse += image->fe.right1 && !e.right1;
    s->better += !image->fe.right1 && e.right1;
    add(s, BD_SENS_LOSS, e.loss - image->fe.loss);
}

/* ---------------------------------------------------------------- results */

struct estimate {
    double value, half;
};

static struct estimate mean_of(double sum, double square, int64_t n)
{
    double d = (double)n, var;

    if (n < 1)
        return (struct estimate){NAN, NAN};
    if (n < 2)
        return (struct estimate){sum, INFINITY};
    var = fmax(0, square - sum / d * sum) / (d - 1);
    return (struct estimate){sum / d, z95 * sqrt(var / d)};
}

static struct estimate drop_of(const struct bd_sens_sums *s)
{
    double n = (double)s->labelled, n2 = n + 2, mid, half, value;
    double p = ((double)s->worse + 1) / n2, q = ((double)s->better + 1) / n2;

    if (s->labelled < 1)
        return (struct estimate){NAN, NAN};
    value = (double)(s->worse - s->better) / n;
    mid = p - q;
    half = z95 * sqrt(fmax(0, p + q - mid * mid) / n2);
    return (struct estimate){value, half + fabs(mid - value)};
}

static struct estimate estimate_of(const struct bd_sens_sums *s,
                                   enum bd_sens_metric k)
{
    switch (k) {
    case BD_SENS_TOP1:
        return drop_of(s);
    case BD_SENS_LOSS:
        return mean_of(s->sum[k], s->square[k], s->labelled);
    case BD_SENS_FISHER:
        return mean_of(s->sum[k], s->square[k], s->scored);
    case BD_SENS_KL:
    case BD_SENS_OUT_MSE:
    case BD_SENS_METRICS:
        break;
    }
    return mean_of(s->sum[k], s->square[k], s->n);
}

static void refresh(struct bd_sens_point *p, const struct bd_sens_sums *s,
                    unsigned metrics)
{
    p->images = s->n > s->scored ? s->n : s->scored;
    for (int k = 0; k < BD_SENS_METRICS; k++) {
        struct estimate e = {NAN, NAN};

        if (metrics & 1u << k)
            e = estimate_of(s, (enum bd_sens_metric)k);
        p->value[k] = e.value;
        p->half[k] = e.half;
    }
}

static void refresh_float(struct bd_net_eval *e, const struct bd_sens_sums *s,
                          int64_t total)
{
    double n = (double)s->labelled;

    *e = (struct bd_net_eval){.images = s->labelled,
                              .total = total,
                              .right1 = s->worse,
                              .right5 = s->better,
                              .agreement = 1};
    e->top1 = n > 0 ? (double)s->worse / n : 0;
    e->top5 = n > 0 ? (double)s->better / n : 0;
    e->loss = n > 0 ? s->sum[BD_SENS_LOSS] / n : 0;
    bd_wilson(&e->ci_lo, &e->ci_hi, e->right1, e->images);
}

void bd_sens_refresh(struct bd_sens_table *t)
{
    t->evaluations = 0;
    for (size_t i = 0; i < t->n; i++) {
        refresh(&t->point[i], &t->sums[i], t->metrics);
        t->evaluations += t->sums[i].n + t->sums[i].scored;
    }
    for (size_t i = 0; i < t->nbase; i++) {
        refresh(&t->base[i], &t->sums[t->n + i], t->metrics);
        t->evaluations += t->sums[t->n + i].n;
    }
    refresh_float(&t->baseline, &t->sums[t->n + t->nbase], t->images);
}

/* --------------------------------------------------------------- settling */

static bool apart(const struct bd_sens_point *a, const struct bd_sens_point *b,
                  int k)
{
    return fabs(a->value[k] - b->value[k]) > a->half[k] + b->half[k];
}

/* The largest loss that is certain. */
static double largest(const struct bd_sens_table *t, int k)
{
    double most = 0;

    for (size_t i = 0; i < t->n; i++)
        most = fmax(most, t->point[i].value[k] - t->point[i].half[k]);
    return most;
}

/* Not a number is never apart from anything. */
static bool is_settled(const struct bd_sens_table *t, size_t at, int k,
                       double most)
{
    const struct bd_sens_point *p = &t->point[at];

    if (p->half[k] <= fabs(p->value[k]) / 10 ||
        fabs(p->value[k]) + p->half[k] < most / 1000)
        return true;
    if (!(p->half[k] <= fabs(p->value[k]) / 4))
        return false;
    for (size_t i = 0; i < t->n; i++) {
        const struct bd_sens_point *o = &t->point[i];

        if (i != at && o->column == p->column && !apart(p, o, k))
            return false;
    }
    return true;
}

void bd_sens_settle(struct bd_sens_table *t)
{
    int k = t->lead;

    bd_sens_refresh(t);
    double most = largest(t, k);
    for (size_t i = 0; i < t->n; i++)
        t->point[i].settled =
            t->point[i].settled || is_settled(t, i, k, most);
}
