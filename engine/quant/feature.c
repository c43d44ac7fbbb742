/* Quantizers of feature maps, one channel at a time, with their interval
 * searches (channel_bit_allocation.md sections 2 and 3).  They round halves
 * up and use the whole two's complement range, unlike the table's rows, since
 * their published tables depend on both. */
#include "quant_priv.h"

enum {
    FRACTIONS = 100, /* of the interval without clipping */
    LOG_STEPS = 60   /* e0 = i / 20 */
};
/* An interval must be better by more than rounding noise. */
#define STRICT 1e-15

static bool has_negative(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] < 0)
            return true;
    return false;
}

/* Lowest and highest code. */
static void range_of(double *lo, double *hi, int bits, bool is_signed)
{
    double half = bits > 0 ? ldexp(1, bits - 1) : 0;

    *lo = is_signed ? -half : 0;
    *hi = bits == 0 ? 0 : (is_signed ? half : 2 * half) - 1;
}

/* The searches call this a thousand times per value: floor() is a call on
 * plain x86-64, while truncating a clamped value is two instructions.  Below
 * zero truncation goes up, which the comparison takes back. */
static double floor_code(double v, double lo, double hi)
{
    double c = v > lo ? v : lo, t; /* NaN counts as lo */

    t = (double)(int)(c < hi + 1 ? c : hi + 1);
    return t - (t > v ? 1.0 : 0.0);
}

void bd_feature_uniform(double *y, const float *x, size_t n,
                        const struct bd_feature_uniform *p)
{
    bool on = p->bits > 0 && p->d > 0;
    double lo, hi, d = p->d;

    range_of(&lo, &hi, p->bits, p->is_signed);
    for (size_t i = 0; i < n; i++)
        y[i] = on ? d * bd_quant_clamp(
                            floor_code((double)x[i] / d + 0.5, lo, hi), lo, hi)
                  : 0;
}

void bd_feature_dorefa(double *y, const float *x, size_t n, double c, int bits)
{
    double top = ldexp(1, bits) - 1;

    for (size_t i = 0; i < n; i++) {
        double u = bd_quant_clamp((double)x[i], 0, c) / c;

        y[i] = bits > 0 ? floor(u * top + 0.5) / top * c : 0;
    }
}

void bd_feature_log(double *y, const float *x, size_t n,
                    const struct bd_feature_log *p)
{
    double count, last;
    int bits = p->bits - (p->is_signed ? 1 : 0);

    count = bits > 0 ? ldexp(1, bits) - 1 : 0;
    last = p->a * exp2(-(count - 1) * p->e0);
    for (size_t i = 0; i < n; i++) {
        double a = fabs((double)x[i]), e;

        y[i] = 0;
        if (!(count > 0) || !(p->a > 0) || a == 0 || a < last / 2)
            continue;
        e = floor(log2(p->a / a) / p->e0 + 0.5);
        e = bd_quant_clamp(e, 0, count - 1);
        y[i] = copysign(p->a * exp2(-e * p->e0), (double)x[i]);
    }
}

/* ----------------------------------------------------------- searches */
static double mean_square(const float *x, const double *y, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return n ? s / (double)n : 0;
}

/* One candidate: interval d (uniform) or e0 (log), and its error, block by
 * block so that no memory is needed.  Sums only grow: a candidate whose error
 * passes `most` on the way has lost and is given up with what it has. */
static double try_uniform(const float *x, size_t n,
                          const struct bd_feature_uniform *p, double most)
{
    double y[BD_QUANT_BLOCK], s = 0;

    for (size_t i = 0; i < n && !(s > most * (double)n); i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        bd_feature_uniform(y, x + i, m, p);
        s += mean_square(x + i, y, m) * (double)m;
    }
    return n ? s / (double)n : 0;
}

static double try_log(const float *x, size_t n, const struct bd_feature_log *p,
                      double most)
{
    double y[BD_QUANT_BLOCK], s = 0;

    for (size_t i = 0; i < n && !(s > most * (double)n); i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        bd_feature_log(y, x + i, m, p);
        s += mean_square(x + i, y, m) * (double)m;
    }
    return n ? s / (double)n : 0;
}

double bd_feature_full_interval(const float *x, size_t n, int bits)
{
    double lo, hi, min = 0, max = 0, d = 0;

    for (size_t i = 0; i < n; i++) {
        min = fmin(min, (double)x[i]);
        max = fmax(max, (double)x[i]);
    }
    range_of(&lo, &hi, bits, has_negative(x, n));
    if (hi > 0)
        d = fmax(d, max / hi);
    if (lo < 0)
        d = fmax(d, min / lo);
    return d;
}

/* Error of sending the channel as zero. */
static double zeroed(const float *x, size_t n)
{
    struct bd_feature_uniform none = {0, 0, false};

    return try_uniform(x, n, &none, INFINITY);
}

double bd_feature_best_interval(double *mse, const float *x, size_t n, int bits)
{
    double full = bd_feature_full_interval(x, n, bits), best = 0;
    struct bd_feature_uniform p = {0, bits, has_negative(x, n)};

    if (bits == 0 || full <= 0) {
        *mse = zeroed(x, n);
        return 0;
    }
    *mse = INFINITY;
    for (int i = FRACTIONS; i > 0; i--) {
        double e;

        p.d = full * i / FRACTIONS;
        e = try_uniform(x, n, &p, *mse);
        if (e < *mse - STRICT) {
            *mse = e;
            best = p.d;
        }
    }
    return best;
}

double bd_feature_best_log(double *mse, const float *x, size_t n, int bits)
{
    struct bd_feature_log p = {0, 0, bits, has_negative(x, n)};
    double best = 0;

    for (size_t i = 0; i < n; i++)
        p.a = fmax(p.a, fabs((double)x[i]));
    *mse = bits == 0 || p.a == 0 ? zeroed(x, n) : INFINITY;
    for (int i = LOG_STEPS; bits > 0 && p.a > 0 && i > 0; i--) {
        double e;

        p.e0 = i / 20.0;
        e = try_log(x, n, &p, *mse);
        if (e < *mse - STRICT) {
            *mse = e;
            best = p.e0;
        }
    }
    return best;
}
