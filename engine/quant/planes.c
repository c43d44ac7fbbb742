/* Which bit planes of a tensor to keep, and what each is worth.
 *
 * Least squares on a set S of planes needs only the Gram matrix G of the 0/1
 * planes, g = B't and t't; and all three follow from how many values have
 * each of the 2^of codes and from the sums of t over them.  So the tensor is
 * read once into a table of codes, and every question after that, all 255
 * sets included, is answered from the table in microseconds
 * (bitwise_bottleneck.md section 3.3).
 *
 * Invariant of the table: sums are whole numbers of 2^-34 code units (and a
 * finer part for squares), so adding and merging never round and no order of
 * images matters. */
#include <stdio.h>

#include "planes_priv.h"

static const double unit = 17179869184.0, /* 2^34 */
    fine = 1073741824.0; /* 2^30 more */

/* ------------------------------------------------------------- the table */
void bd_codetable_init(struct bd_codetable *t, int of, double range)
{
    memset(t, 0, sizeof(*t));
    t->of = of;
    t->range = range > 0 && isfinite(range) ? range : 0;
}

/* Uniform in (-1/2, 1/2), from the value's own bits: repeatable, and the same
 * whichever thread sees the value. */
static double dither_of(float x, uint64_t seed)
{
    uint32_t u;
    struct bd_rng r;

    memcpy(&u, &x, sizeof(u));
    r.s = seed ^ ((uint64_t)u << 17);
    return bd_rng_unit(&r) - 0.5;
}

static void add_one(struct bd_codetable *t, float x, double top)
{
    double v = fabs((double)x) / t->range * top, m, r, r2, whole;
    int code;

    v = v < top ? v : top;
    m = v + (t->dither ? dither_of(x, t->dither) : 0) + 0.5;
    m = floor(m < 0 ? 0 : m);
    code = (int)(m < top ? m : top);
    r = v - code;
    t->n[code]++;
    t->r[code] += llrint(r * unit);
    r2 = r * r * unit;
    whole = floor(r2);
    t->r2[code] += (int64_t)whole;
    t->r2_fine[code] += llrint((r2 - whole) * fine);
}

/* Values that are not finite belong to no code. */
void bd_codetable_add(struct bd_codetable *t, const float *x, size_t n)
{
    double top = bd_planes_top(t->of);

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        t->negative = t->negative || x[i] < 0;
        if (t->range > 0)
            add_one(t, x[i], top);
        else
            t->n[0]++;
    }
}

void bd_codetable_merge(struct bd_codetable *t, const struct bd_codetable *o)
{
    t->negative = t->negative || o->negative;
    for (int m = 0; m < BD_PLANE_CODES; m++) {
        t->n[m] += o->n[m];
        t->r[m] += o->r[m];
        t->r2[m] += o->r2[m];
        t->r2_fine[m] += o->r2_fine[m];
    }
}

int64_t bd_codetable_count(const struct bd_codetable *t)
{
    int64_t n = 0;

    for (int m = 0; m < BD_PLANE_CODES; m++)
        n += t->n[m];
    return n;
}

double bd_planes_entropy(const struct bd_codetable *t, unsigned mask)
{
    double n = (double)bd_codetable_count(t), h = 0;
    int64_t kept[BD_PLANE_CODES] = {0};

    for (unsigned m = 0; m < BD_PLANE_CODES; m++)
        kept[m & mask] += t->n[m];
    for (int m = 0; m < BD_PLANE_CODES; m++)
        if (kept[m] > 0)
            h -= (double)kept[m] / n * log2((double)kept[m] / n);
    return fmax(h, 0);
}

/* ------------------------------------------------------------- the Gram */
/* t = m + r, hence sum t = n*m + sum r, sum t^2 = n*m^2 + 2m*sum r + sum r^2:
 * small remainders are never drowned in large squares before they must. */
void bd_planes_gram(struct bd_plane_gram *g, const struct bd_codetable *t)
{
    memset(g, 0, sizeof(*g));
    g->of = t->of;
    g->negative = t->negative;
    for (int m = 0; m < 1 << t->of; m++) {
        double n = (double)t->n[m], r = (double)t->r[m] / unit;
        double r2 = ((double)t->r2[m] + (double)t->r2_fine[m] / fine) / unit;

        bd_planes_gram_add(g, m, &(struct bd_quant_cell){n, n * m + r,
                                                         n * m * m +
                                                             2 * m * r + r2});
        g->full += r2;
    }
}

void bd_planes_gram_add(struct bd_plane_gram *g, int code,
                        const struct bd_quant_cell *c)
{
    g->n += c->n;
    g->sum += c->s1;
    g->tt += c->s2;
    for (int i = 0; i < g->of; i++) {
        if (!(code >> i & 1))
            continue;
        g->g[i] += c->s1;
        for (int j = 0; j <= i; j++)
            if (code >> j & 1) {
                g->G[i][j] += c->n;
                g->G[j][i] = g->G[i][j];
            }
    }
}

/* ------------------------------------------------- one set, least squares */
/* Cholesky on the planes s[0..k).  false: planes that coincide or are empty,
 * for which a smaller set does as well. */
static bool factor(double l[BD_PLANES][BD_PLANES],
                   const struct bd_plane_gram *g, const int *s, int k)
{
    for (int i = 0; i < k; i++) {
        double own = g->G[s[i]][s[i]], d = own;

        for (int j = 0; j < i; j++)
            d -= l[i][j] * l[i][j];
        if (d <= 1e-9 * fmax(own, 1e-300))
            return false;
        l[i][i] = sqrt(d);
        for (int j = i + 1; j < k; j++) {
            double v = g->G[s[j]][s[i]];

            for (int c = 0; c < i; c++)
                v -= l[j][c] * l[i][c];
            l[j][i] = v / l[i][i];
        }
    }
    return true;
}

bool bd_planes_least(double alpha[BD_PLANES], const struct bd_plane_gram *g,
                     unsigned mask)
{
    double l[BD_PLANES][BD_PLANES], z[BD_PLANES];
    int s[BD_PLANES], k = 0;

    memset(alpha, 0, BD_PLANES * sizeof(*alpha));
    for (int i = 0; i < g->of; i++)
        if (mask >> i & 1)
            s[k++] = i;
    if (!factor(l, g, s, k))
        return false;
    for (int i = 0; i < k; i++) {
        z[i] = g->g[s[i]];
        for (int j = 0; j < i; j++)
            z[i] -= l[i][j] * z[j];
        z[i] /= l[i][i];
    }
    for (int i = k - 1; i >= 0; i--) {
        for (int j = i + 1; j < k; j++)
            z[i] -= l[j][i] * z[j];
        z[i] /= l[i][i];
        alpha[s[i]] = z[i];
    }
    return true;
}

/* Sum of (t - B alpha)^2 for any coefficients. */
double bd_planes_sse(const struct bd_plane_gram *g,
                     const double alpha[BD_PLANES])
{
    double e = g->tt;

    for (int i = 0; i < g->of; i++) {
        double v = 0;

        for (int j = 0; j < g->of; j++)
            v += g->G[i][j] * alpha[j];
        e += alpha[i] * (v - 2 * g->g[i]);
    }
    return fmax(e, 0);
}

/* The same at a least squares solution: tt - a.g. */
static double least_sse(const struct bd_plane_gram *g,
                        const double alpha[BD_PLANES])
{
    double e = g->tt;

    for (int i = 0; i < g->of; i++)
        e -= alpha[i] * g->g[i];
    return fmax(e, 0);
}

void bd_planes_row(struct bd_plane_row *row, const struct bd_plane_gram *g,
                   double sse)
{
    double top = bd_planes_top(g->of);

    row->k = 0;
    for (int i = 0; i < g->of; i++)
        row->k += row->mask >> i & 1;
    row->mse = g->n > 0 ? sse / g->n : 0;
    /* Beyond 130 dB only the noise of subtraction is left. */
    if (row->mse <= 1e-13 * top * top)
        row->mse = 0;
    row->psnr_db = row->sqnr_db = INFINITY;
    if (row->mse > 0) {
        row->psnr_db = 10 * log10(top * top / row->mse);
        row->sqnr_db = 10 * log10(g->tt / g->n / row->mse);
    }
}

/* -------------------------------------------------------- all the sets */
/* A set with a coefficient <= 0 is no candidate: what remains of it without
 * that plane is one, and is no worse. */
static bool positive(const double alpha[BD_PLANES], unsigned mask)
{
    for (int i = 0; i < BD_PLANES; i++)
        if ((mask >> i & 1) && !(alpha[i] > 0))
            return false;
    return true;
}

void bd_planes_best(struct bd_plane_table *out, const struct bd_plane_gram *g)
{
    struct bd_plane_row best[BD_PLANES + 1];
    double sse[BD_PLANES + 1], top = bd_planes_top(g->of);

    for (int k = 0; k <= BD_PLANES; k++)
        sse[k] = INFINITY;
    for (unsigned mask = 0; mask < 1u << g->of; mask++) {
        struct bd_plane_row row = {.mask = mask};
        int k = __builtin_popcount(mask);
        double e;

        if (!bd_planes_least(row.alpha, g, mask) ||
            !positive(row.alpha, mask))
            continue;
        e = least_sse(g, row.alpha);
        if (e < sse[k] - 1e-12 * fmax(g->tt, 1)) {
            sse[k] = e;
            best[k] = row;
        }
    }
    out->of = g->of;
    out->nrow = 0;
    out->n = (int64_t)g->n;
    out->negative = g->negative;
    out->full_db = g->full > 1e-13 * top * top * g->n
                       ? 10 * log10(top * top * g->n / g->full)
                       : INFINITY;
    for (int k = 0; k <= g->of; k++) {
        if (!(sse[k] < INFINITY))
            continue;
        bd_planes_row(&best[k], g, sse[k]);
        out->row[out->nrow++] = best[k];
    }
}

void bd_planes_solve(struct bd_plane_table *out, const struct bd_codetable *t)
{
    struct bd_plane_gram g;

    bd_planes_gram(&g, t);
    bd_planes_best(out, &g);
    out->range = t->range;
}

const struct bd_plane_row *bd_planes_choose(const struct bd_plane_table *t,
                                            double need_db, int k_min)
{
    for (int i = 0; i < t->nrow; i++)
        if (t->row[i].k >= k_min && t->row[i].psnr_db >= need_db - 1e-9)
            return &t->row[i];
    return &t->row[t->nrow - 1];
}

struct bd_planecode bd_planes_code(const struct bd_plane_table *t,
                                   const struct bd_plane_row *row)
{
    struct bd_planecode c = {.of = t->of, .mask = row->mask};

    memcpy(c.alpha, row->alpha, sizeof(c.alpha));
    return c;
}
