/* The priority rule: how much a channel deserves, from its mean and deviation
 * alone, and the integer water-filling that spends a budget by it.  Takes
 * microseconds, so a budget can be turned live. */
#include "feature/feature.h"

#include <math.h>

static double largest(const double *v, int64_t n)
{
    double m = 0;

    for (int64_t i = 0; i < n; i++)
        m = fmax(m, v[i]);
    return m;
}

/* Mean of |x| and population standard deviation of one channel. */
static void moments(double *mean, double *dev, const float *x, size_t n)
{
    double a = 0, s = 0, m, v = 0;

    for (size_t i = 0; i < n; i++) {
        a += fabs((double)x[i]);
        s += (double)x[i];
    }
    m = n ? s / (double)n : 0;
    for (size_t i = 0; i < n; i++)
        v += ((double)x[i] - m) * ((double)x[i] - m);
    *mean = n ? a / (double)n : 0;
    *dev = n ? sqrt(v / (double)n) : 0;
}

void bd_feature_priority(double *score, double *mean, double *dev,
                         const struct bd_feature *f, struct bd_priority p)
{
    size_t n = (size_t)(f->images * f->size);
    double most_m = 0, most_s = 0, m, s;

    for (int64_t c = 0; c < f->channels; c++) {
        moments(&m, &s, f->x + (size_t)c * n, n);
        most_m = fmax(most_m, m);
        most_s = fmax(most_s, s);
    }
    for (int64_t c = 0; c < f->channels; c++) {
        moments(&m, &s, f->x + (size_t)c * n, n);
        if (mean)
            mean[c] = m;
        if (dev)
            dev[c] = s;
        score[c] = (most_m > 0 ? p.alpha * (m / most_m) : 0) +
                   (most_s > 0 ? p.beta * (s / most_s) : 0);
    }
}

/* ------------------------------------------------------------ water-filling
 * A heap of channels, the largest gain per value on top. */
struct top {
    double gain;
    int64_t c;
};

static bool before(struct top a, struct top b)
{
    return a.gain > b.gain || (a.gain == b.gain && a.c < b.c);
}

static void sink(struct top *h, int64_t n, int64_t i)
{
    struct top t = h[i];

    for (;;) {
        int64_t k = 2 * i + 1;

        if (k + 1 < n && before(h[k + 1], h[k]))
            k++;
        if (k >= n || !before(h[k], t))
            break;
        h[i] = h[k];
        i = k;
    }
    h[i] = t;
}

static double size_of(const double *size, int64_t c)
{
    return size ? size[c] : 1;
}

/* Everyone's first bit, if that is affordable; returns its price. */
static double first_bits(int8_t *bits, const double *score, const double *size,
                         int64_t n, double budget)
{
    double spent = 0;

    for (int64_t c = 0; c < n; c++)
        spent += score[c] > 0 ? size_of(size, c) : 0;
    for (int64_t c = 0; c < n; c++)
        bits[c] = score[c] > 0 && spent <= budget;
    return spent <= budget ? spent : 0;
}

double bd_feature_fill(int8_t *bits, const double *score, const double *size,
                       int64_t n, double budget)
{
    struct top *h = bd_alloc((size_t)n + 1, sizeof *h);
    double spent;
    int64_t m = 0;

    if (!h)
        return -1;
    spent = first_bits(bits, score, size, n, budget);
    for (int64_t c = 0; c < n; c++)
        if (score[c] > 0)
            h[m++] = (struct top){ldexp(score[c] * score[c], -2 * bits[c]) /
                                      size_of(size, c),
                                  c};
    for (int64_t i = m / 2; i-- > 0;)
        sink(h, m, i);
    while (m > 0) {
        struct top *t = &h[0];
        double cost = size_of(size, t->c);

        if (spent + cost <= budget) {
            spent += cost;
            bits[t->c]++;
            t->gain /= 4;
        }
        /* Full, or too dear for what is left: leaves the heap. */
        if (bits[t->c] == BD_FEATURE_MOST || spent + cost > budget)
            h[0] = h[--m];
        sink(h, m, 0);
    }
    bd_free(h);
    return spent;
}

void bd_feature_water(double *bits, const double *s, int64_t n, double avg)
{
    double top = largest(s, n), lo, hi;

    /* log2 of theta by bisection: the sum of bits falls as it rises. */
    if (!(top > 0)) {
        for (int64_t c = 0; c < n; c++)
            bits[c] = 0;
        return;
    }
    hi = 2 * log2(top);
    lo = hi - 2 * avg * (double)n - 120;
    for (int k = 0; k < 200; k++) {
        double mid = (lo + hi) / 2, sum = 0;

        for (int64_t c = 0; c < n; c++) {
            bits[c] = s[c] > 0 ? fmax(0, log2(s[c]) - mid / 2) : 0;
            sum += bits[c];
        }
        if (sum > avg * (double)n)
            lo = mid;
        else
            hi = mid;
    }
}
