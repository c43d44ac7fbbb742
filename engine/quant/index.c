/* The distortion index: exact error of any scalar grid without touching all
 * weights again.
 *
 * Values are dealt into equal-width bins by one counting sort (a full sort
 * would cost several times more and buys nothing).  Before each bin stand the
 * count and the sums of x and x^2 of everything below it, as pairs of doubles
 * (exact.h).  A grid's decision point falls into one bin; that bin alone is
 * scanned.  Between two decision points all values share a level q, and their
 * squared error is S2 - 2*q*S1 + n*q^2 of the difference of two prefixes.
 *
 * Invariant: bin_of is monotone in x, because it is made of one rounded
 * subtraction, one rounded product and clamping, each monotone.  So every
 * value in an earlier bin is <= every value in a later one, and bins need no
 * exact borders.
 *
 * Bins span the bulk of the values (a sample's quantiles with a margin on
 * both sides); outliers share the end bins, so that one large weight does not
 * put everything else in a single bin.  Inside a bin, sums are kept relative
 * to the bin's first value, where nothing cancels.  Non-finite values are
 * left out. */
#include <float.h>
#include <stdlib.h>

#include "quant/exact.h"
#include "quant_priv.h"

enum {
    MAX_BINS = 1 << 16, /* ids fit 16 bits; prefixes fit the second cache */
    PER_BIN = 16,       /* aimed at; the densest hold a few times more */
    SAMPLE = 1024       /* values whose quantiles place the bins */
};

struct sums { /* of all values before a place in the order */
    size_t n;
    struct bd_pair s1, s2;
};

struct bd_index {
    struct bd_moments m;
    size_t nbins;
    float lo, scale;     /* bin = (x - lo) * scale, clamped */
    float *x;            /* [m.n], bin after bin */
    size_t *first;       /* [nbins + 1], where each bin begins */
    struct sums *before; /* [nbins + 1] */
};

/* ------------------------------------------------------------ the bins */
static size_t bin_of(const struct bd_index *ix, float x)
{
    float v = (x - ix->lo) * ix->scale, top = (float)(ix->nbins - 1);

    v = v > 0 ? v : 0; /* also when not a number */
    v = v < top ? v : top;
    return (size_t)(int32_t)v;
}

static int by_value(const void *a, const void *b)
{
    float x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* Where most values lie: from the 1 % to the 99 % quantile of evenly spaced
 * samples, widened by that length on each side, inside min .. max. */
static void bulk_of(double *lo, double *hi, const struct bd_index *ix,
                    const float *x, size_t n)
{
    float s[SAMPLE];
    size_t m = 0, step = n / SAMPLE;
    double a, b;

    *lo = ix->m.min;
    *hi = ix->m.max;
    if (n < (size_t)SAMPLE * 4)
        return;
    for (size_t i = 0; i < SAMPLE; i++)
        if (isfinite(x[i * step]))
            s[m++] = x[i * step];
    if (m < 100)
        return;
    qsort(s, m, sizeof(s[0]), by_value);
    a = (double)s[m / 100];
    b = (double)s[m - 1 - m / 100];
    if (!(b > a))
        return;
    *lo = fmax(*lo, a - (b - a));
    *hi = fmin(*hi, b + (b - a));
}

static void place_bins(struct bd_index *ix, const float *x, size_t n)
{
    double lo, hi, scale;

    bulk_of(&lo, &hi, ix, x, n);
    ix->nbins = 1;
    while (ix->nbins < MAX_BINS && ix->nbins * PER_BIN < ix->m.n)
        ix->nbins *= 2;
    scale = (double)ix->nbins / (hi - lo);
    if (!(hi > lo) || !(scale < (double)FLT_MAX)) {
        ix->nbins = 1; /* constant, or closer together than floats can say */
        scale = 1;
    }
    ix->lo = (float)lo;
    ix->scale = (float)scale;
}

/* Counting sort: count, turn counts into beginnings, deal.  Afterwards
 * first[b] is the beginning of bin b again, since dealing moves each one to
 * the beginning of the next; counting is therefore done one place up. */
static void deal(struct bd_index *ix, const float *x, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            ix->first[bin_of(ix, x[i]) + 1]++;
    for (size_t b = 0; b <= ix->nbins; b++) {
        at += ix->first[b];
        ix->first[b] = at;
    }
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            ix->x[ix->first[bin_of(ix, x[i])]++] = x[i];
    memmove(ix->first + 1, ix->first, ix->nbins * sizeof(*ix->first));
    ix->first[0] = 0;
}

/* Adds m values with sums d1, d2 of (x - c), (x - c)^2 to *s:
 * S1 += d1 + m*c,  S2 += d2 + 2*c*d1 + m*c^2.  c is a float, so c*c is
 * exact. */
static void add_local(struct sums *s, size_t m, double c, double d1, double d2)
{
    double count = (double)m;
    struct bd_pair p2 = bd_pair_mul(2 * c, d1);

    s->n += m;
    s->s1 = bd_pair_add(s->s1, bd_pair_mul(count, c));
    s->s1 = bd_pair_plus(s->s1, d1);
    s->s2 = bd_pair_add(s->s2, bd_pair_mul(count, c * c));
    s->s2 = bd_pair_add(s->s2, p2);
    s->s2 = bd_pair_plus(s->s2, d2);
}

/* The values <= limit among x[0..n), with the first one as centre. */
static void add_upto(struct sums *s, const float *x, size_t n, float limit)
{
    double c = (double)x[0], d1 = 0, d2 = 0;
    int32_t m = 0;

    for (size_t i = 0; i < n; i++) {
        bool in = x[i] <= limit;
        double d = in ? (double)x[i] - c : 0;

        m += in;
        d1 += d;
        d2 += d * d;
    }
    add_local(s, (size_t)m, c, d1, d2);
}

static void sum_bins(struct bd_index *ix)
{
    struct sums s = {0, {0, 0}, {0, 0}};

    for (size_t b = 0; b < ix->nbins; b++) {
        size_t at = ix->first[b], n = ix->first[b + 1] - at;

        ix->before[b] = s;
        if (n > 0)
            add_upto(&s, ix->x + at, n, INFINITY);
    }
    ix->before[ix->nbins] = s;
}

bd_status bd_index_new(struct bd_index **out, const float *x, size_t n,
                       struct bd_err *err)
{
    struct bd_index *ix = bd_calloc(1, sizeof(*ix));

    if (!ix)
        return bd_fail(err, BD_ENOMEM, "no memory for an index of weights");
    bd_moments_of(&ix->m, x, n);
    place_bins(ix, x, n);
    ix->x = bd_alloc(ix->m.n, sizeof(*ix->x));
    ix->first = bd_calloc(ix->nbins + 1, sizeof(*ix->first));
    ix->before = bd_alloc(ix->nbins + 1, sizeof(*ix->before));
    if (!ix->x || !ix->first || !ix->before) {
        bd_index_free(ix);
        return bd_fail(err, BD_ENOMEM,
                       "no memory for an index of %zu weights", n);
    }
    deal(ix, x, n);
    sum_bins(ix);
    *out = ix;
    return BD_OK;
}

void bd_index_free(struct bd_index *ix)
{
    if (!ix)
        return;
    bd_free(ix->x);
    bd_free(ix->first);
    bd_free(ix->before);
    bd_free(ix);
}

/* ------------------------------------------------------------ moments */
const struct bd_moments *bd_index_moments(const struct bd_index *ix)
{
    return &ix->m;
}

size_t bd_index_count(const struct bd_index *ix)
{
    return ix->m.n;
}

double bd_index_absmax(const struct bd_index *ix)
{
    return ix->m.absmax;
}

double bd_index_min(const struct bd_index *ix)
{
    return ix->m.min;
}

double bd_index_max(const struct bd_index *ix)
{
    return ix->m.max;
}

double bd_index_mean(const struct bd_index *ix)
{
    return ix->m.mean;
}

double bd_index_std(const struct bd_index *ix)
{
    return ix->m.std;
}

double bd_index_sumsq(const struct bd_index *ix)
{
    return ix->m.sumsq;
}

/* ------------------------------------------------------------ queries */
/* Largest float <= t: comparing floats with it is comparing with t. */
static float floor_to_float(double t)
{
    float f = (float)t;

    return (double)f > t ? nextafterf(f, -INFINITY) : f;
}

/* Sums of all values <= t. */
static struct sums upto(const struct bd_index *ix, double t)
{
    struct sums s;
    float limit;
    size_t b, at, n;

    if (!(t >= ix->m.min))
        return ix->before[0];
    if (t >= ix->m.max)
        return ix->before[ix->nbins];
    limit = floor_to_float(t);
    b = bin_of(ix, limit);
    at = ix->first[b];
    n = ix->first[b + 1] - at;
    s = ix->before[b];
    if (n > 0)
        add_upto(&s, ix->x + at, n, limit);
    return s;
}

static size_t count_upto(const struct bd_index *ix, double t)
{
    size_t b, at, n;
    float limit;

    if (!(t >= ix->m.min))
        return 0;
    if (t >= ix->m.max)
        return ix->m.n;
    limit = floor_to_float(t);
    b = bin_of(ix, limit);
    at = ix->first[b];
    n = at;
    for (size_t i = at; i < ix->first[b + 1]; i++)
        n += ix->x[i] <= limit;
    return n;
}

/* Squared error of the values between two prefixes against level q. */
static double between(const struct sums *a, const struct sums *b, double q)
{
    struct bd_pair t;
    double e;

    if (a->n == b->n)
        return 0;
    /* q * (n*q - 2*S1) + S2 */
    t = bd_pair_scale(bd_pair_sub(b->s1, a->s1), -2);
    t = bd_pair_add(t, bd_pair_mul((double)(b->n - a->n), q));
    t = bd_pair_scale(t, q);
    t = bd_pair_add(t, bd_pair_sub(b->s2, a->s2));
    e = t.hi + t.lo;
    return e > 0 ? e : 0;
}

double bd_index_error(const struct bd_index *ix, const double *levels,
                      const double *cuts, size_t nlev, int64_t *occupancy)
{
    struct sums a, b;
    double e = 0;

    if (nlev == 0)
        return ix->m.sumsq;
    a = ix->before[0];
    for (size_t i = 0; i < nlev; i++) {
        if (i + 1 == nlev || a.n == ix->m.n)
            b = ix->before[ix->nbins];
        else
            b = upto(ix, cuts ? cuts[i] : (levels[i] + levels[i + 1]) / 2);
        e += between(&a, &b, levels[i]);
        if (occupancy)
            occupancy[i] = (int64_t)(b.n - a.n);
        a = b;
    }
    return e;
}

/* How many values lie within t of the centre. */
static size_t count_about(const struct bd_index *ix, double center, double t)
{
    return count_upto(ix, center + t) -
           count_upto(ix, bd_quant_below(center - t));
}

/* Bisection on the distance: counts are exact, so the answer is the distance
 * of one of the values, to the last place of a double. */
double bd_index_quantile_about(const struct bd_index *ix, double center,
                               double q)
{
    double lo = 0, hi, want;

    if (ix->m.n == 0)
        return 0;
    want = ceil(bd_quant_clamp(q, 0, 1) * (double)ix->m.n);
    want = want < 1 ? 1 : want;
    if ((double)count_about(ix, center, 0) >= want)
        return 0;
    hi = fmax(fabs(ix->m.min - center), fabs(ix->m.max - center));
    while (true) {
        double mid = lo + (hi - lo) / 2;

        if (mid <= lo || mid >= hi)
            return hi;
        if ((double)count_about(ix, center, mid) >= want)
            hi = mid;
        else
            lo = mid;
    }
}

double bd_index_quantile_abs(const struct bd_index *ix, double q)
{
    return bd_index_quantile_about(ix, 0, q);
}

/* Bin i holds lo + i*w <= x < lo + (i+1)*w; the last includes hi. */
void bd_index_histogram(const struct bd_index *ix, double lo, double hi,
                        int64_t *bins, int nbins)
{
    double w = (hi - lo) / nbins;
    size_t below = count_upto(ix, bd_quant_below(lo));

    for (int i = 0; i < nbins; i++) {
        double edge = i + 1 == nbins ? hi : bd_quant_below(lo + (i + 1) * w);
        size_t upto_edge = count_upto(ix, edge);

        if (upto_edge < below)
            upto_edge = below; /* hi < lo: nothing */
        bins[i] = (int64_t)(upto_edge - below);
        below = upto_edge;
    }
}
