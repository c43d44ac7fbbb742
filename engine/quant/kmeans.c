/* k-means in one dimension: 2^bits levels learned from the weights so that
 * their squared error is least (Lloyd 1982, Max 1960; as a codebook for
 * networks: Han et al. 2016).
 *
 * On a line, clusters are intervals, so an optimum is a best set of cuts.
 * Two stages, both on the prefix sums of the distortion index and neither
 * touching the weights again:
 *
 * 1. Candidate cuts: all gaps between distinct values when there are at most
 *    CELLS of those, else a mixture of quantiles (where values are dense) and
 *    equal steps (so that outliers can have levels of their own).  Dynamic
 *    programming picks the best 2^bits - 1 of them.  The best place of the
 *    last cut moves only right as the interval grows, so each row is filled
 *    by halving, in time cells * log(cells).
 * 2. Lloyd's iteration from there, cuts at midpoints, levels at means, each
 *    step priced exactly, until nothing moves.
 *
 * With few distinct values stage 1 is the exact optimum.  Otherwise the
 * result is a local optimum in the neighbourhood of the best one on the
 * candidates.  Nothing is random and nothing depends on threads.
 *
 * Levels are floats, as they are stored; equal ones are merged. */
#include <stdlib.h>

#include "index_priv.h"

enum {
    CELLS = 1024, /* most candidate intervals */
    FEW = 256,    /* least, when values are too many to take each */
    TURNS = 500   /* of Lloyd's iteration; it ends long before */
};
static const double settled = 1e-10; /* relative gain not worth a turn */

/* Cells 0 .. m-1 hold the values in (t[i-1], t[i]]; sums run over all cells
 * before, about the mean so that nothing cancels. */
struct cells {
    size_t m;
    double *t;           /* [m] */
    double *n, *s1, *s2; /* [m + 1] */
    double *best, *last; /* [m + 1], rows of the program */
    uint16_t *from;      /* [k][m + 1], where the last cluster begins */
};

static void free_cells(struct cells *c)
{
    bd_free(c->t);
    bd_free(c->from);
}

/* All doubles in one block. */
static bool make_cells(struct cells *c, size_t room, size_t k)
{
    double *v = bd_alloc(6 * (room + 1), sizeof(*v));

    *c = (struct cells){.t = v};
    c->from = bd_alloc(k * (room + 1), sizeof(*c->from));
    if (!v || !c->from)
        return false;
    c->n = v + (room + 1);
    c->s1 = c->n + (room + 1);
    c->s2 = c->s1 + (room + 1);
    c->best = c->s2 + (room + 1);
    c->last = c->best + (room + 1);
    return true;
}

/* ---------------------------------------------------------- candidates */
static int by_value(const void *a, const void *b)
{
    double x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* Sorts t and drops what is there twice. */
static size_t in_order(double *t, size_t n)
{
    size_t m = 0;

    qsort(t, n, sizeof(*t), by_value);
    for (size_t i = 0; i < n; i++)
        if (m == 0 || t[i] != t[m - 1])
            t[m++] = t[i];
    return m;
}

/* All distinct values, or 0 when they are more than CELLS.  A table of
 * places, open to the next free one; real weights fill it, and end the
 * search, within the first thousand. */
static size_t distinct(double *t, const struct bd_index *ix)
{
    enum { SLOTS = 4096 };
    float slot[SLOTS];
    bool used[SLOTS] = {false};
    size_t m = 0;

    for (size_t i = 0; i < ix->m.n; i++) {
        float v = ix->x[i] + 0.0F; /* one zero, not two */
        uint32_t h;

        memcpy(&h, &v, sizeof(h));
        h = h * 2654435761U >> 20; /* the upper 12 bits mix best */
        while (used[h] && slot[h] != v)
            h = (h + 1) % SLOTS;
        if (used[h])
            continue;
        if (m == CELLS)
            return 0;
        used[h] = true;
        slot[h] = v;
        t[m++] = (double)v;
    }
    return in_order(t, m);
}

/* Upper ends of bins at equal shares of the values. */
static size_t quantiles(double *t, size_t want, const struct bd_index *ix)
{
    size_t m = 0;

    for (size_t b = 0; b < ix->nbins && m < want; b++)
        if (ix->first[b + 1] >= (m + 1) * (ix->m.n / (want + 1))) {
            double end = (double)ix->lo + (double)(b + 1) / (double)ix->scale;

            while (m < want &&
                   ix->first[b + 1] >= (m + 1) * (ix->m.n / (want + 1)))
                t[m++] = end;
        }
    return m;
}

static size_t mixture(double *t, size_t want, const struct bd_index *ix)
{
    size_t half = want / 2, m = quantiles(t, half, ix);
    double lo = ix->m.min, w = (ix->m.max - lo) / (double)(want - half);

    for (size_t i = 1; i < want - half; i++)
        t[m++] = lo + w * (double)i;
    t[m++] = ix->m.max;
    m = in_order(t, m);
    while (m > 1 && t[m - 2] >= ix->m.max)
        m--; /* the last cell ends at the largest value */
    t[m - 1] = ix->m.max;
    return m;
}

/* Sums before each cell; cells without values are left out. */
static void sum_cells(struct cells *c, const struct bd_index *ix)
{
    double mean = ix->m.mean;
    size_t k = 0;

    c->n[0] = c->s1[0] = c->s2[0] = 0;
    for (size_t i = 0; i < c->m; i++) {
        struct sums s = bd_index_upto(ix, c->t[i]);
        struct bd_pair d;

        if ((double)s.n == c->n[k])
            continue;
        c->t[k++] = c->t[i];
        d = bd_pair_sub(s.s1, bd_pair_mul((double)s.n, mean));
        c->n[k] = (double)s.n;
        c->s1[k] = d.hi + d.lo;
        c->s2[k] = bd_index_between(&ix->before[0], &s, mean);
    }
    c->m = k;
}

/* ------------------------------------------------------------ the program */
/* Squared error of cells a .. b-1 about their own mean. */
static double cost(const struct cells *c, size_t a, size_t b)
{
    double s1 = c->s1[b] - c->s1[a];

    return c->s2[b] - c->s2[a] - s1 * s1 / (c->n[b] - c->n[a]);
}

struct span { /* ends still to fill, and where their last cut may be */
    size_t lo, hi, from, to;
};

/* Best end `j` over beginnings in [from, to]; the first of equals. */
static size_t best_from(struct cells *c, size_t j, const struct span *s)
{
    double least = INFINITY;
    size_t at = s->from;

    for (size_t i = s->from; i <= s->to && i < j; i++) {
        double e = c->last[i] + cost(c, i, j);

        if (e < least) {
            least = e;
            at = i;
        }
    }
    c->best[j] = least;
    return at;
}

/* One more cluster: ends in [k, m] with k clusters before.  Halving with a
 * stack of its own; it never grows beyond the number of halvings. */
static void add_cluster(struct cells *c, size_t k)
{
    struct span stack[32] = {{k + 1, c->m, k, c->m - 1}};
    uint16_t *from = c->from + k * (c->m + 1);
    int depth = 1;

    while (depth > 0) {
        struct span s = stack[--depth];
        size_t j = s.lo + (s.hi - s.lo) / 2, at;

        if (s.lo > s.hi)
            continue;
        at = best_from(c, j, &s);
        from[j] = (uint16_t)at;
        stack[depth++] = (struct span){j + 1, s.hi, at, s.to};
        stack[depth++] = (struct span){s.lo, j - 1, s.from, at};
    }
}

/* Cuts of the best k clusters, k < m: cut[k - 1], ascending. */
static void best_cuts(double *cut, struct cells *c, size_t k)
{
    size_t end = c->m;

    for (size_t j = 1; j <= c->m; j++)
        c->best[j] = cost(c, 0, j);
    for (size_t i = 1; i < k; i++) {
        double *t = c->last;

        c->last = c->best;
        c->best = t;
        add_cluster(c, i);
    }
    for (size_t i = k - 1; i > 0; i--) {
        end = c->from[i * (c->m + 1) + end];
        cut[i - 1] = c->t[end - 1];
    }
}

/* ------------------------------------------------------ Lloyd's iteration */
/* Means between the cuts into level[k]; returns the squared error.  An
 * interval without values keeps its level. */
static double means(double *level, const double *cut, size_t k,
                    const struct bd_index *ix)
{
    struct sums a = ix->before[0], b;
    double e = 0;

    for (size_t i = 0; i < k; i++) {
        b = i + 1 == k ? ix->before[ix->nbins] : bd_index_upto(ix, cut[i]);
        if (b.n > a.n) {
            struct bd_pair s = bd_pair_sub(b.s1, a.s1);

            level[i] = (s.hi + s.lo) / (double)(b.n - a.n);
            e += bd_index_between(&a, &b, level[i]);
        }
        a = b;
    }
    return e;
}

static void between(double *cut, const double *level, size_t k)
{
    for (size_t i = 0; i + 1 < k; i++)
        cut[i] = level[i] + (level[i + 1] - level[i]) / 2;
}

static void settle(double *level, double *cut, size_t k,
                   const struct bd_index *ix)
{
    double e = means(level, cut, k, ix), before;

    for (int turn = 0; turn < TURNS; turn++) {
        before = e;
        between(cut, level, k);
        e = means(level, cut, k, ix);
        if (!(e < before * (1 - settled)))
            return;
    }
}

/* --------------------------------------------------------------- the row */
/* As they are stored: floats, each once. */
static void keep(struct bd_qparam *p, const double *level, size_t k)
{
    p->nbook = 0;
    p->clip = 0;
    for (size_t i = 0; i < k; i++) {
        double v = (double)((float)level[i] + 0.0F);

        if (p->nbook > 0 && !(v > p->book[p->nbook - 1]))
            continue;
        p->book[p->nbook++] = v;
        p->clip = fmax(p->clip, fabs(v));
    }
    p->scale = p->clip;
}

static void learn_cells(struct bd_qparam *p, struct cells *c,
                        const struct bd_index *ix, bool all)
{
    size_t k = bd_quantizer_room(p->q, p->bits, ix->m.n);
    double level[BD_BOOK_MAX], cut[BD_BOOK_MAX];

    sum_cells(c, ix);
    if (c->m <= k && all) { /* nothing is lost */
        keep(p, c->t, c->m);
        return;
    }
    k = k < c->m ? k : c->m;
    memset(level, 0, sizeof(level));
    best_cuts(cut, c, k);
    settle(level, cut, k, ix);
    keep(p, level, k);
}

static bd_status learn(struct bd_qparam *p, const struct bd_index *ix,
                       struct bd_err *err)
{
    size_t k = (size_t)1 << p->bits, want = 16 * k;
    size_t room = ix->m.n < CELLS ? ix->m.n : CELLS;
    const double zero = 0;
    struct cells c;
    bool all;

    if (ix->m.n == 0) {
        keep(p, &zero, 1);
        return BD_OK;
    }
    if (!make_cells(&c, room, k)) {
        free_cells(&c);
        return bd_fail(err, BD_ENOMEM, "no memory to learn %zu levels", k);
    }
    want = want < FEW ? FEW : want > CELLS ? CELLS : want;
    c.m = distinct(c.t, ix);
    all = c.m > 0;
    if (!all)
        c.m = mixture(c.t, want, ix);
    learn_cells(p, &c, ix, all);
    free_cells(&c);
    return BD_OK;
}

static bd_status fit(struct bd_qparam *p, const float *x, size_t n,
                     struct bd_err *err)
{
    struct bd_index *ix;
    bd_status st = bd_index_new(&ix, x, n, err);

    if (st != BD_OK)
        return st;
    st = learn(p, ix, err);
    bd_index_free(ix);
    return st;
}

/* The book is the grid; a value on a midpoint belongs to the lower level. */
static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    g->direct = true;
    g->n = p->nbook;
    memcpy(g->m, p->book, p->nbook * sizeof(*g->m));
    between(g->t, g->m, g->n);
}

const struct bd_quantizer bd_quant_kmeans = {
    .name = "kmeans",
    .title = "k-means, learned levels",
    .paper = "Lloyd 1982; Han et al. 2016, arXiv 1510.00149",
    .min_bits = 1,
    .max_bits = 8,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS |
              BD_Q_NO_CLIP,
    .fit = fit,
    .learn = learn,
    .mags = mags,
    .levels = bd_quant_mags_levels,
    .cuts = bd_quant_mags_cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_through,
    .codes = bd_quant_mags_codes,
    .side_bits = 0, /* the codebook alone */
};
