/* What one pass over the calibration set leaves of a layer's input.
 *
 * A bucket is the upper 16 bits of the float: sign, exponent and 7 bits of
 * mantissa, so its width is below 1 % of its values.  Within a bucket a value
 * is base + unit * low, where `low` is the lower 16 bits as a whole number;
 * we keep the count and the sums of low and low^2.  Whole numbers add without
 * rounding: any order of images, any number of threads give the same bits,
 * and sums of x and x^2 are as good as if all values had been kept.
 *
 * Buckets live in pages of one exponent and sign, made when first needed:
 * real activations touch some thirty of the 512. */
#include "actstat_priv.h"
#include "calib_priv.h"

enum { PAGES = 512, PER_PAGE = 128, BUCKETS = PAGES * PER_PAGE };

struct bucket {
    int64_t n;
    uint64_t low, low2;
};

struct page {
    struct bucket b[PER_PAGE];
};

struct bd_actstat {
    struct page *page[PAGES];
    int64_t n;
    float min, max;
    bool failed; /* out of memory: the fit says so */
};

struct bd_actstat *bd_actstat_new(void)
{
    struct bd_actstat *s = bd_calloc(1, sizeof(*s));

    if (s) {
        s->min = INFINITY;
        s->max = -INFINITY;
    }
    return s;
}

void bd_actstat_free(struct bd_actstat *s)
{
    if (!s)
        return;
    for (int i = 0; i < PAGES; i++)
        bd_free(s->page[i]);
    bd_free(s);
}

static struct page *page_of(struct bd_actstat *s, uint32_t i)
{
    if (!s->page[i])
        s->page[i] = bd_calloc(1, sizeof(*s->page[i]));
    if (!s->page[i])
        s->failed = true;
    return s->page[i];
}

/* The hot loop of calibration: three whole-number additions a value. */
void bd_actstat_add(struct bd_actstat *s, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        uint64_t low;
        struct page *p;
        struct bucket *b;

        memcpy(&u, &x[i], sizeof(u));
        if ((u & 0x7f800000u) == 0x7f800000u)
            continue; /* not a number, or infinite */
        p = page_of(s, u >> 23);
        if (!p)
            return;
        low = u & 0xffffu;
        b = &p->b[(u >> 16) & (PER_PAGE - 1)];
        b->n++;
        b->low += low;
        b->low2 += low * low;
        s->n++;
        s->min = x[i] < s->min ? x[i] : s->min;
        s->max = x[i] > s->max ? x[i] : s->max;
    }
}

/* Adds counts and whole-number sums: exact, so order does not matter. */
void bd_actstat_merge(struct bd_actstat *s, const struct bd_actstat *o)
{
    for (uint32_t i = 0; i < PAGES; i++) {
        struct page *p = o->page[i] ? page_of(s, i) : NULL;

        for (int k = 0; p && k < PER_PAGE; k++) {
            p->b[k].n += o->page[i]->b[k].n;
            p->b[k].low += o->page[i]->b[k].low;
            p->b[k].low2 += o->page[i]->b[k].low2;
        }
    }
    s->n += o->n;
    s->min = o->min < s->min ? o->min : s->min;
    s->max = o->max > s->max ? o->max : s->max;
    s->failed = s->failed || o->failed;
}

/* ---------------------------------------------------------- reading it */
/* One bucket as numbers: n values, the border nearer to zero, and sums of
 * (x - base) and its square. */
struct view {
    int64_t n;
    double base, end; /* end: the border away from zero */
    double d1, d2;
};

/* Bucket in ascending order of values, i in [0, BUCKETS): the negative half
 * runs backwards.  NULL page or empty: false. */
static bool view_at(struct view *v, const struct bd_actstat *s, int i)
{
    int half = BUCKETS / 2;
    uint32_t id = (uint32_t)(i < half ? BUCKETS - 1 - i : i - half), u;
    const struct page *p = s->page[id / PER_PAGE];
    const struct bucket *b = p ? &p->b[id % PER_PAGE] : NULL;
    float base, next;
    double unit;

    if (!b || b->n == 0)
        return false;
    u = id << 16;
    memcpy(&base, &u, sizeof(base));
    u |= 1;
    memcpy(&next, &u, sizeof(next));
    unit = (double)next - (double)base;
    v->n = b->n;
    v->base = (double)base;
    v->end = v->base + unit * 65536;
    v->d1 = unit * (double)b->low;
    v->d2 = unit * unit * (double)b->low2;
    return true;
}

/* Pages without values are skipped whole. */
static int next_bucket(struct view *v, const struct bd_actstat *s, int i)
{
    int half = BUCKETS / 2;

    while (i < BUCKETS) {
        int id = i < half ? BUCKETS - 1 - i : i - half;

        if (!s->page[id / PER_PAGE])
            i += PER_PAGE - i % PER_PAGE;
        else if (view_at(v, s, i))
            return i + 1;
        else
            i++;
    }
    return -1;
}

double bd_actstat_min(const struct bd_actstat *s)
{
    return s->n ? (double)s->min : 0;
}

double bd_actstat_max(const struct bd_actstat *s)
{
    return s->n ? (double)s->max : 0;
}

double bd_actstat_absmax(const struct bd_actstat *s)
{
    return s->n ? fmax(-(double)s->min, (double)s->max) : 0;
}

int64_t bd_actstat_count(const struct bd_actstat *s)
{
    return s->n;
}

bool bd_actstat_failed(const struct bd_actstat *s)
{
    return s->failed;
}

/* x = base + d, so the sum of x^2 is n*base^2 + 2*base*d1 + d2; buckets in
 * ascending order, always the same. */
double bd_actstat_sumsq(const struct bd_actstat *s)
{
    struct view v;
    double sum = 0;

    for (int i = next_bucket(&v, s, 0); i >= 0; i = next_bucket(&v, s, i))
        sum += (double)v.n * v.base * v.base + 2 * v.base * v.d1 + v.d2;
    return sum;
}

/* Sums of values and of magnitudes. */
void bd_actstat_moments(struct bd_moments *m, const struct bd_actstat *s)
{
    struct view v;
    double sum = 0, abs = 0, n = (double)s->n;

    *m = (struct bd_moments){0};
    if (s->n == 0)
        return;
    for (int i = next_bucket(&v, s, 0); i >= 0; i = next_bucket(&v, s, i)) {
        double t = (double)v.n * v.base + v.d1;

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

/* A bucket belongs to one level, that of its mean. */
double bd_actstat_error(const struct bd_actstat *s, const double *levels,
                        const double *cuts, size_t nlev)
{
    struct view v;
    double e = 0;
    size_t k = 0;

    if (nlev == 0)
        return bd_actstat_sumsq(s);
    for (int i = next_bucket(&v, s, 0); i >= 0; i = next_bucket(&v, s, i)) {
        double mean = v.base + v.d1 / (double)v.n, d;

        while (k + 1 < nlev &&
               mean > (cuts ? cuts[k] : (levels[k] + levels[k + 1]) / 2))
            k++;
        d = v.base - levels[k];
        e += (double)v.n * d * d + 2 * d * v.d1 + v.d2;
    }
    return e;
}

/* Magnitudes ascending: the two buckets of equal magnitude together.  Inside
 * a bucket values are taken as evenly spread. */
double bd_actstat_quantile_abs(const struct bd_actstat *s, double q)
{
    double want = fmin(fmax(q, 0), 1) * (double)s->n, have = 0;
    double top = bd_actstat_absmax(s);
    int half = BUCKETS / 2;

    for (int i = 0; i < half; i++) {
        struct view pos, neg;
        bool a = view_at(&pos, s, half + i), b = view_at(&neg, s, half - 1 - i);
        double n = (a ? (double)pos.n : 0) + (b ? (double)neg.n : 0);
        double base = a ? pos.base : b ? -neg.base : 0;
        double end = a ? pos.end : b ? -neg.end : 0;

        if (n > 0 && have + n >= want)
            return fmin(base + (end - base) * (want - have) / n, top);
        have += n;
    }
    return top;
}

/* Spreads one bucket evenly over the bins it overlaps.  Whole numbers come
 * from rounding the running total, so that nothing is lost or counted
 * twice. */
static void spread(const struct view *v, double lo, double w, int64_t *bins,
                   int nbins)
{
    double a = fmin(v->base, v->end), b = fmax(v->base, v->end);
    double from = (a - lo) / w, n = (double)v->n;
    int64_t done = 0;
    int k = 0;

    if (from >= nbins || b <= lo)
        return;
    if (from > 0)
        k = (int)from;
    else
        done = llrint(n * (lo - a) / (b - a));
    for (; k < nbins && lo + k * w < b; k++) {
        double edge = fmin(b, lo + (k + 1) * w);
        int64_t upto = llrint(n * (edge - a) / (b - a));

        bins[k] += upto - done;
        done = upto;
    }
}

void bd_actstat_histogram(const struct bd_actstat *s, double lo, double hi,
                          int64_t *bins, int nbins)
{
    struct view v;
    double w = (hi - lo) / nbins;

    memset(bins, 0, (size_t)nbins * sizeof(*bins));
    if (!(w > 0))
        return;
    for (int i = next_bucket(&v, s, 0); i >= 0; i = next_bucket(&v, s, i))
        spread(&v, lo, w, bins, nbins);
}
