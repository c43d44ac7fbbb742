/* Reading statistics of activations.
 *
 * Sums are exact.  Where a border runs through a bucket, its values are taken
 * as spread evenly over the interval that has the mean and the variance of
 * what is in the bucket: right for a smooth density, and for a constant. */
#include "actstat_priv.h"
#include "calib_priv.h"

double bd_actstat_min(const struct bd_actstat *s)
{
    return s->n ? (double)s->min + 0.0 : 0; /* no negative zero */
}

double bd_actstat_max(const struct bd_actstat *s)
{
    return s->n ? (double)s->max + 0.0 : 0;
}

double bd_actstat_absmax(const struct bd_actstat *s)
{
    return s->n ? fmax(-(double)s->min, (double)s->max) + 0.0 : 0;
}

int64_t bd_actstat_count(const struct bd_actstat *s)
{
    return s->n;
}

int64_t bd_actstat_nonfinite(const struct bd_actstat *s)
{
    return s->odd;
}

bool bd_actstat_failed(const struct bd_actstat *s)
{
    return s->failed;
}

/* ------------------------------------------------------------------ sums */
static double sum_of(const struct bd_actview *v)
{
    return (double)v->n * v->base + v->d1;
}

/* x = base + d, so the sum of x^2 is n*base^2 + 2*base*d1 + d2. */
static double squares_of(const struct bd_actview *v)
{
    return (double)v->n * v->base * v->base + 2 * v->base * v->d1 + v->d2;
}

/* Buckets in ascending order, always the same. */
double bd_actstat_sumsq(const struct bd_actstat *s)
{
    struct bd_actview v;
    double sum = 0;

    for (int i = bd_actstat_next(&v, s, 0); i >= 0;
         i = bd_actstat_next(&v, s, i))
        sum += squares_of(&v);
    return sum;
}

void bd_actstat_moments(struct bd_moments *m, const struct bd_actstat *s)
{
    struct bd_actview v;
    double sum = 0, abs = 0, n = (double)s->n;

    *m = (struct bd_moments){0};
    if (s->n == 0)
        return;
    for (int i = bd_actstat_next(&v, s, 0); i >= 0;
         i = bd_actstat_next(&v, s, i)) {
        double t = sum_of(&v);

        sum += t;
        abs += fabs(t); /* all values of a bucket have one sign */
    }
    m->n = (size_t)s->n;
    m->min = bd_actstat_min(s);
    m->max = bd_actstat_max(s);
    m->absmax = bd_actstat_absmax(s);
    m->sumsq = bd_actstat_sumsq(s);
    m->mean = sum / n;
    m->absmean = abs / n;
    if (s->n > 1)
        m->std = sqrt(fmax(0, m->sumsq - n * m->mean * m->mean) / (n - 1));
}

double bd_actstat_mean(const struct bd_actstat *s)
{
    struct bd_moments m;

    bd_actstat_moments(&m, s);
    return m.mean;
}

double bd_actstat_absmean(const struct bd_actstat *s)
{
    struct bd_moments m;

    bd_actstat_moments(&m, s);
    return m.absmean;
}

double bd_actstat_std(const struct bd_actstat *s)
{
    struct bd_moments m;

    bd_actstat_moments(&m, s);
    return m.std;
}

/* The lowest bucket holds zero itself together with values too small to
 * matter; it is left out. */
void bd_actstat_positive(double out[3], const struct bd_actstat *s)
{
    struct bd_actview v;

    out[0] = out[1] = out[2] = 0;
    for (int i = bd_actstat_next(&v, s, bd_actstat_half(s)); i >= 0;
         i = bd_actstat_next(&v, s, i)) {
        if (!(v.base > 0))
            continue;
        out[0] += (double)v.n;
        out[1] += sum_of(&v);
        out[2] += squares_of(&v);
    }
}

/* ------------------------------------------------- where the values lie */
struct box {
    double a, b;
};

/* A uniform density over [m - h, m + h] has variance h^2 / 3. */
static struct box box_of(const struct bd_actview *v)
{
    double n = (double)v->n, d = v->d1 / n;
    double h = sqrt(fmax(0, 3 * (v->d2 / n - d * d)));

    return (struct box){v->base + d - h, v->base + d + h};
}

/* The same, not beyond the bucket: for counting, where places matter more
 * than moments. */
static struct box place_of(const struct bd_actview *v)
{
    struct box in = box_of(v);

    in.a = fmax(in.a, fmin(v->base, v->end));
    in.b = fmin(in.b, fmax(v->base, v->end));
    return in.a <= in.b ? in : (struct box){in.b, in.b};
}

/* --------------------------------------------------------- error of a grid */
struct grid {
    const double *levels, *cuts;
    size_t n, k; /* k: the level of the last bucket's beginning */
};

static double cut_of(const struct grid *g, size_t k)
{
    return g->cuts ? g->cuts[k] : (g->levels[k] + g->levels[k + 1]) / 2;
}

static double cube(double v)
{
    return v * v * v;
}

/* Integral of (x - level)^2 over the parts of the box between cuts. */
static double split_error(const struct grid *g, const struct bd_actview *v,
                          struct box in)
{
    double e = 0, at = in.a;

    for (size_t k = g->k; at < in.b; k++) {
        double to = k + 1 < g->n ? fmin(cut_of(g, k), in.b) : in.b;

        e += cube(to - g->levels[k]) - cube(at - g->levels[k]);
        at = to;
    }
    return (double)v->n * e / (3 * (in.b - in.a));
}

/* A bucket within one cell is exact; else by its box.  Boxes may overlap a
 * little, hence the step back. */
static double bucket_error(struct grid *g, const struct bd_actview *v)
{
    struct box in = box_of(v);
    double d;

    while (g->k > 0 && in.a <= cut_of(g, g->k - 1))
        g->k--;
    while (g->k + 1 < g->n && in.a > cut_of(g, g->k))
        g->k++;
    if (g->k + 1 < g->n && in.b > cut_of(g, g->k) && in.b > in.a)
        return split_error(g, v, in);
    d = v->base - g->levels[g->k];
    return (double)v->n * d * d + 2 * d * v->d1 + v->d2;
}

double bd_actstat_error(const struct bd_actstat *s, const double *levels,
                        const double *cuts, size_t nlev)
{
    struct grid g = {levels, cuts, nlev, 0};
    struct bd_actview v;
    double e = 0;

    if (nlev == 0)
        return bd_actstat_sumsq(s);
    for (int i = bd_actstat_next(&v, s, 0); i >= 0;
         i = bd_actstat_next(&v, s, i))
        e += bucket_error(&g, &v);
    return e;
}

/* ----------------------------------------------------- sums between cuts */
static void add_part(struct bd_quant_cell *c, double n, struct box in)
{
    c->n += n;
    c->s1 += n * (in.a + in.b) / 2;
    c->s2 += n * (in.a * in.a + in.a * in.b + in.b * in.b) / 3;
}

/* As the error: whole buckets exactly, divided ones by their box. */
bool bd_actstat_cells(struct bd_quant_cell *out, const void *stat,
                      const double *cuts, size_t ncuts)
{
    struct bd_actview v;

    memset(out, 0, (ncuts + 1) * sizeof(*out));
    for (int i = bd_actstat_next(&v, stat, 0); i >= 0;
         i = bd_actstat_next(&v, stat, i)) {
        struct box in = box_of(&v);
        double n = (double)v.n, at = in.a;
        size_t k = 0, hi = ncuts;

        while (k < hi) { /* the first cut not below the box */
            size_t mid = (k + hi) / 2;

            if (in.a <= cuts[mid])
                hi = mid;
            else
                k = mid + 1;
        }
        if (k == ncuts || in.b <= cuts[k]) {
            out[k].n += n;
            out[k].s1 += sum_of(&v);
            out[k].s2 += squares_of(&v);
            continue;
        }
        for (; at < in.b; k++) {
            double to = k < ncuts ? fmin(cuts[k], in.b) : in.b;

            add_part(&out[k], n * (to - at) / (in.b - in.a),
                     (struct box){at, to});
            at = to;
        }
    }
    return true;
}

/* ------------------------------------------------------------- quantiles */
/* Magnitudes ascending: the two buckets of equal magnitude together. */
double bd_actstat_quantile_abs(const struct bd_actstat *s, double q)
{
    double want = fmin(fmax(q, 0), 1) * (double)s->n, have = 0;
    double top = bd_actstat_absmax(s);
    int half = bd_actstat_half(s);

    for (int i = 0; i < half; i++) {
        struct bd_actview pos, neg;
        bool a = bd_actstat_magnitude(&pos, s, i, false);
        bool b = bd_actstat_magnitude(&neg, s, i, true);
        double n = (a ? (double)pos.n : 0) + (b ? (double)neg.n : 0);
        struct box p, m, in;

        if (n > 0 && have + n >= want) {
            p = a ? place_of(&pos) : (struct box){0};
            m = b ? place_of(&neg) : (struct box){0};
            in.a = !b ? p.a : !a ? -m.b : fmin(p.a, -m.b);
            in.b = !b ? p.b : !a ? -m.a : fmax(p.b, -m.a);
            return fmin(in.a + (in.b - in.a) * (want - have) / n, top);
        }
        have += n;
    }
    return top;
}

/* ------------------------------------------------------------ histograms */
static void put(int64_t *bins, int nbins, double at, int64_t n)
{
    if (at >= 0 && at < nbins)
        bins[(int)at] += n;
}

/* Spreads one bucket evenly over the bins it overlaps.  Whole numbers come
 * from rounding the running total, so that nothing is lost or counted
 * twice. */
static void spread(const struct bd_actview *v, double lo, double w,
                   int64_t *bins, int nbins)
{
    struct box in = place_of(v);
    double from = (in.a - lo) / w, n = (double)v->n, wide = in.b - in.a;
    int64_t done = 0;
    int k = 0;

    if (!(wide > w * 1e-9)) {
        put(bins, nbins, (in.a - lo) / w, v->n);
        return;
    }
    if (from >= nbins || in.b <= lo)
        return;
    if (from > 0)
        k = (int)from;
    else
        done = llrint(n * (lo - in.a) / wide);
    for (; k < nbins && lo + k * w < in.b; k++) {
        double edge = fmin(in.b, lo + (k + 1) * w);
        int64_t upto = llrint(n * (edge - in.a) / wide);

        bins[k] += upto - done;
        done = upto;
    }
}

void bd_actstat_histogram(const struct bd_actstat *s, double lo, double hi,
                          int64_t *bins, int nbins)
{
    struct bd_actview v;
    double w = (hi - lo) / nbins;

    memset(bins, 0, (size_t)nbins * sizeof(*bins));
    if (!(w > 0))
        return;
    for (int i = bd_actstat_next(&v, s, 0); i >= 0;
         i = bd_actstat_next(&v, s, i))
        spread(&v, lo, w, bins, nbins);
}

/* ------------------------------------------------------- moving averages */
/* v <- v + c (new - v), from the first batch on, as the observers of
 * TensorFlow and PyTorch do.  Batches without values are passed over. */
double bd_actstat_average(const struct bd_actstat *s, bool largest, double c)
{
    double v = 0;
    bool any = false;

    for (int i = 0; i < s->nbatch; i++) {
        double x = (double)s->batch[2 * i + (largest ? 1 : 0)];

        if (!isfinite(x))
            continue;
        v = any ? v + c * (x - v) : x;
        any = true;
    }
    return any ? v + 0.0 : largest ? bd_actstat_max(s) : bd_actstat_min(s);
}
