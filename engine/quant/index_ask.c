/* Questions to the distortion index beyond the error of a grid: moments,
 * quantiles, histograms, and everything else a grid decides. */
#include "index_priv.h"

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

bool bd_index_cells(struct bd_quant_cell *out, const void *index,
                    const double *cuts, size_t ncuts)
{
    const struct bd_index *ix = index;
    struct sums a = ix->before[0];

    for (size_t i = 0; i <= ncuts; i++) {
        struct sums b = i < ncuts && a.n < ix->m.n ? bd_index_upto(ix, cuts[i])
                                                   : ix->before[ix->nbins];
        struct bd_pair s1 = bd_pair_sub(b.s1, a.s1);
        struct bd_pair s2 = bd_pair_sub(b.s2, a.s2);

        out[i] = (struct bd_quant_cell){(double)(b.n - a.n), s1.hi + s1.lo,
                                        s2.hi + s2.lo};
        a = b;
    }
    return true;
}

/* -------------------------------------------------------------- counting */
static size_t count_upto(const struct bd_index *ix, double t)
{
    size_t b, at, n;
    float limit;

    if (!(t >= ix->m.min))
        return 0;
    if (t >= ix->m.max)
        return ix->m.n;
    limit = bd_index_floor(t);
    b = bd_index_bin(ix, limit);
    at = ix->first[b];
    n = at;
    for (size_t i = at; i < ix->first[b + 1]; i++)
        n += ix->x[i] <= limit;
    return n;
}

double bd_index_beyond(const struct bd_index *ix, double lo, double hi)
{
    struct sums below = bd_index_upto(ix, lo), inside = bd_index_upto(ix, hi);

    return bd_index_between(&ix->before[0], &below, lo) +
           bd_index_between(&inside, &ix->before[ix->nbins], hi);
}

/* Largest value of bin b that is <= t, -INFINITY if there is none; and the
 * smallest that is > t. */
static void neighbours(const struct bd_index *ix, size_t b, double t,
                       double lohi[2])
{
    lohi[0] = -INFINITY;
    lohi[1] = INFINITY;
    for (size_t i = ix->first[b]; i < ix->first[b + 1]; i++) {
        double v = (double)ix->x[i];

        if (v <= t)
            lohi[0] = v > lohi[0] ? v : lohi[0];
        else
            lohi[1] = v < lohi[1] ? v : lohi[1];
    }
}

/* The values on both sides of t, wherever the next ones are. */
static void around(const struct bd_index *ix, double t, double lohi[2])
{
    double other[2];
    size_t b = bd_index_bin(ix, (float)t);

    neighbours(ix, b, t, lohi);
    for (size_t k = b; lohi[0] == -INFINITY && k > 0; k--) {
        neighbours(ix, k - 1, t, other);
        lohi[0] = other[0];
    }
    for (size_t k = b + 1; lohi[1] == INFINITY && k < ix->nbins; k++) {
        neighbours(ix, k, t, other);
        lohi[1] = other[1];
    }
}

/* The largest error lies at the ends of a level's range of values. */
static double worst(double lo, double hi, double q)
{
    return fmax(fabs(lo - q), fabs(hi - q));
}

void bd_index_price(struct bd_index_price *out, const struct bd_index *ix,
                    const double *levels, const double *cuts, size_t nlev)
{
    struct bd_index_price p = {.occupancy = out->occupancy};
    struct sums a = ix->before[0], b;
    double lo = ix->m.min, side[2];

    for (size_t i = 0; i < nlev; i++) {
        struct bd_pair s1;
        double q = levels[i], n;
        bool last = i + 1 == nlev || a.n == ix->m.n;

        b = last ? ix->before[ix->nbins] : bd_index_upto(ix, cuts[i]);
        n = (double)(b.n - a.n);
        p.occupancy[i] = (int64_t)(b.n - a.n);
        if (b.n == a.n)
            continue;
        s1 = bd_pair_sub(b.s1, a.s1);
        p.err2 += bd_index_between(&a, &b, q);
        p.xq += q * (s1.hi + s1.lo);
        p.qq += n * q * q;
        side[0] = side[1] = ix->m.max;
        if (b.n < ix->m.n)
            around(ix, cuts[i], side);
        p.max_err = fmax(p.max_err, worst(lo, side[0], q));
        lo = side[1];
        a = b;
    }
    if (nlev > 0)
        p.clipped = (int64_t)(count_upto(ix, bd_quant_below(levels[0])) +
                              ix->m.n - count_upto(ix, levels[nlev - 1]));
    *out = p;
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
