/* Moments of a tensor, in two passes so that the deviation does not suffer
 * from cancellation.  Each block of values is summed on its own and the block
 * sums added with Neumaier's correction: the result is the same bits for the
 * same input, whoever asks (the index and the direct path must agree). */
#include "quant_priv.h"

struct acc { /* a sum and what rounding took from it */
    double s, c;
};

static void acc_add(struct acc *a, double v)
{
    double t = a->s + v;

    a->c += fabs(a->s) >= fabs(v) ? (a->s - t) + v : (v - t) + a->s;
    a->s = t;
}

static double acc_get(const struct acc *a)
{
    return a->s + a->c;
}

/* Copies the finite values of a block as doubles; returns their number. */
static size_t take_finite(double *v, const float *x, size_t n)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        v[m] = (double)x[i];
        m += isfinite(x[i]) ? 1 : 0;
    }
    return m;
}

struct first { /* of the first pass */
    struct acc sum, abs, sq;
    double min, max;
    size_t n;
};

static void first_block(struct first *f, const double *v, size_t n)
{
    double s = 0, a = 0, q = 0, lo = f->min, hi = f->max;

    for (size_t i = 0; i < n; i++) {
        s += v[i];
        a += fabs(v[i]);
        q += v[i] * v[i];
        lo = v[i] < lo ? v[i] : lo;
        hi = v[i] > hi ? v[i] : hi;
    }
    acc_add(&f->sum, s);
    acc_add(&f->abs, a);
    acc_add(&f->sq, q);
    f->min = lo;
    f->max = hi;
    f->n += n;
}

static double variance_sum(const float *x, size_t n, double mean)
{
    struct acc total = {0, 0};
    double v[BD_QUANT_BLOCK];

    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;
        double s = 0;

        m = take_finite(v, x + i, m);
        for (size_t k = 0; k < m; k++)
            s += (v[k] - mean) * (v[k] - mean);
        acc_add(&total, s);
    }
    return acc_get(&total);
}

void bd_moments_of(struct bd_moments *out, const float *x, size_t n)
{
    struct first f = {.min = INFINITY, .max = -INFINITY};
    double v[BD_QUANT_BLOCK];

    *out = (struct bd_moments){0};
    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        first_block(&f, v, take_finite(v, x + i, m));
    }
    if (f.n == 0)
        return;
    out->n = f.n;
    out->min = f.min;
    out->max = f.max;
    out->absmax = fmax(-f.min, f.max);
    out->mean = acc_get(&f.sum) / (double)f.n;
    out->absmean = acc_get(&f.abs) / (double)f.n;
    out->sumsq = acc_get(&f.sq);
    if (f.n > 1 && f.min < f.max)
        out->std = sqrt(variance_sum(x, n, out->mean) / (double)(f.n - 1));
    if (f.min == f.max)
        out->mean = f.min; /* exact, so that a constant maps to itself */
}
