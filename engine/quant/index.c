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
 * Invariant: bd_index_bin is monotone in x, because it is made of one rounded
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

#include "index_priv.h"

enum {
    MAX_BINS = 1 << 16,
    PER_BIN = 64,  /* aimed at; fewer bins deal faster, more answer faster */
    SAMPLE = 1024, /* values whose quantiles place the bins */
    LANES = 8,
    BATCH = 512 /* bin numbers made at a time */
};

/* ------------------------------------------------------------ the bins */
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

/* Bin numbers of a batch: bd_index_bin, eight at a time. */
BD_QUANT_CLONES
static void bins_of(int32_t *id, const struct bd_index *ix, const float *x,
                    size_t n)
{
    float lo = ix->lo, scale = ix->scale, top = (float)(ix->nbins - 1);
    bd_quant_f8 tops = (bd_quant_f8){0} + top;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        bd_quant_f8 v;
        bd_quant_i8 b;

        memcpy(&v, x + i, sizeof(v));
        v = (v - lo) * scale;
        b = v > 0;
        v = (bd_quant_f8)((bd_quant_i8)v & b);
        b = v < tops;
        v = (bd_quant_f8)(((bd_quant_i8)v & b) | ((bd_quant_i8)tops & ~b));
        b = __builtin_convertvector(v, bd_quant_i8);
        memcpy(id + i, &b, sizeof(b));
    }
    for (; i < n; i++)
        id[i] = (int32_t)bd_index_bin(ix, x[i]);
}

/* Counting sort of finite values: count, turn counts into beginnings, deal.
 * Dealing moves each beginning to that of the next bin, hence the shift. */
static void deal(struct bd_index *ix, const float *x, size_t n)
{
    size_t at = 0;
    int32_t id[BATCH];

    for (size_t i = 0; i < n; i += BATCH) {
        size_t m = n - i < BATCH ? n - i : BATCH;

        bins_of(id, ix, x + i, m);
        for (size_t k = 0; k < m; k++)
            ix->first[id[k] + 1]++;
    }
    for (size_t b = 0; b <= ix->nbins; b++) {
        at += ix->first[b];
        ix->first[b] = at;
    }
    for (size_t i = 0; i < n; i += BATCH) {
        size_t m = n - i < BATCH ? n - i : BATCH;

        bins_of(id, ix, x + i, m);
        for (size_t k = 0; k < m; k++)
            ix->x[ix->first[id[k]]++] = x[i + k];
    }
    memmove(ix->first + 1, ix->first, ix->nbins * sizeof(*ix->first));
    ix->first[0] = 0;
}

/* Only when something is not finite: the rest of x, owned by the caller. */
static float *finite_of(const float *x, size_t n, size_t finite)
{
    float *y = bd_alloc(finite, sizeof(*y));
    size_t m = 0;

    for (size_t i = 0; y && i < n; i++)
        if (isfinite(x[i]))
            y[m++] = x[i];
    return y;
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

static double across(const bd_quant_d8 *v)
{
    const double *l = (const double *)v;

    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
}

/* Sums over the values <= limit among x[0..n), n > 0: how many, and of
 * (x - x[0]) and its square. */
BD_QUANT_CLONES
static size_t local_upto(double d[2], const float *x, size_t n, float limit)
{
    double c = (double)x[0], s1, s2;
    bd_quant_d8 v1 = {0}, v2 = {0};
    bd_quant_i8 count = {0};
    size_t m = 0, i = 0;

    for (; i + LANES <= n; i += LANES) {
        bd_quant_f8 f;
        bd_quant_i8 in;
        bd_quant_d8 v;

        memcpy(&f, x + i, sizeof(f));
        in = f <= limit;
        v = __builtin_convertvector(f, bd_quant_d8) - c;
        v = (bd_quant_d8)((bd_quant_l8)v &
                          __builtin_convertvector(in, bd_quant_l8));
        v1 += v;
        v2 += v * v;
        count -= in;
    }
    for (int k = 0; k < LANES; k++)
        m += (size_t)count[k];
    s1 = across(&v1);
    s2 = across(&v2);
    for (; i < n; i++) {
        double v = x[i] <= limit ? (double)x[i] - c : 0;

        m += x[i] <= limit;
        s1 += v;
        s2 += v * v;
    }
    d[0] = s1;
    d[1] = s2;
    return m;
}

static void add_upto(struct sums *s, const float *x, size_t n, float limit)
{
    double d[2];
    size_t m = local_upto(d, x, n, limit);

    add_local(s, m, (double)x[0], d[0], d[1]);
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

static bool make(struct bd_index *ix, const float *x, size_t n)
{
    float *finite = NULL;

    place_bins(ix, x, n);
    ix->x = bd_alloc(ix->m.n, sizeof(*ix->x));
    ix->first = bd_calloc(ix->nbins + 1, sizeof(*ix->first));
    ix->before = bd_alloc(ix->nbins + 1, sizeof(*ix->before));
    if (ix->m.n != n)
        finite = finite_of(x, n, ix->m.n);
    if (!ix->x || !ix->first || !ix->before || (ix->m.n != n && !finite)) {
        bd_free(finite);
        return false;
    }
    deal(ix, finite ? finite : x, ix->m.n);
    bd_free(finite);
    sum_bins(ix);
    return true;
}

bd_status bd_index_new(struct bd_index **out, const float *x, size_t n,
                       struct bd_err *err)
{
    struct bd_index *ix = bd_calloc(1, sizeof(*ix));

    if (!ix)
        return bd_fail(err, BD_ENOMEM, "no memory for an index of weights");
    bd_moments_of(&ix->m, x, n);
    if (!make(ix, x, n)) {
        bd_index_free(ix);
        return bd_fail(err, BD_ENOMEM, "no memory for an index of %zu weights",
                       n);
    }
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

/* ------------------------------------------------------------ queries */
struct sums bd_index_upto(const struct bd_index *ix, double t)
{
    struct sums s;
    float limit;
    size_t b, at, n;

    if (!(t >= ix->m.min))
        return ix->before[0];
    if (t >= ix->m.max)
        return ix->before[ix->nbins];
    limit = bd_index_floor(t);
    b = bd_index_bin(ix, limit);
    at = ix->first[b];
    n = ix->first[b + 1] - at;
    s = ix->before[b];
    if (n > 0)
        add_upto(&s, ix->x + at, n, limit);
    return s;
}

double bd_index_between(const struct sums *a, const struct sums *b, double q)
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
            b = bd_index_upto(ix,
                              cuts ? cuts[i] : (levels[i] + levels[i + 1]) / 2);
        e += bd_index_between(&a, &b, levels[i]);
        if (occupancy)
            occupancy[i] = (int64_t)(b.n - a.n);
        a = b;
    }
    return e;
}
