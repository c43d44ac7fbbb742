/* Plain statistics.  Sums are kept in double over blocks, so that the digits
 * of small weights survive millions of additions. */
#include "tensor/tensor.h"

#include <math.h>

struct sums {
    double x, abs, sq;
};

static void add_block(struct bd_stats *s, struct sums *t, const float *x,
                      size_t n)
{
    struct sums b = {0};

    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];

        if (!isfinite(x[i])) {
            s->nan += isnan(x[i]) != 0;
            s->inf += isinf(x[i]) != 0;
            continue;
        }
        s->finite++;
        s->zeros += x[i] == 0;
        if (x[i] < s->min)
            s->min = x[i];
        if (x[i] > s->max)
            s->max = x[i];
        b.x += v;
        b.abs += fabs(v);
        b.sq += v * v;
    }
    t->x += b.x;
    t->abs += b.abs;
    t->sq += b.sq;
}

/* The second pass takes the deviation from the mean, which does not cancel. */
static double deviation(const float *x, size_t n, double mean)
{
    double sum = 0;
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - mean;

        if (isfinite(x[i])) {
            sum += d * d;
            k++;
        }
    }
    return k > 0 ? sqrt(sum / (double)k) : 0;
}

void bd_stats_of(struct bd_stats *out, const float *x, size_t n)
{
    enum { BLOCK = 4096 };
    struct bd_stats s = {.n = (int64_t)n, .min = INFINITY, .max = -INFINITY};
    struct sums t = {0};

    for (size_t i = 0; i < n; i += BLOCK)
        add_block(&s, &t, x + i, n - i < BLOCK ? n - i : BLOCK);
    if (s.finite == 0) {
        s.min = s.max = 0;
        *out = s;
        return;
    }
    s.mean = t.x / (double)s.finite;
    s.absmean = t.abs / (double)s.finite;
    s.sumsq = t.sq;
    s.absmax = fmax(fabs((double)s.min), fabs((double)s.max));
    s.std = deviation(x, n, s.mean);
    *out = s;
}
