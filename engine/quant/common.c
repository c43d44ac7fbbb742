/* What the method files share: fitting through moments, mapping between x
 * and z, the reparameterized clip's gradient, and search in magnitude sets.
 * Work goes block by block in double; a float in, a float out, and one
 * rounding between them. */
#include <stdlib.h>

#include "quant_priv.h"

bd_status bd_quant_fit(struct bd_qparam *p, const float *x, size_t n,
                       struct bd_err *err)
{
    struct bd_moments m;

    bd_moments_of(&m, x, n);
    return p->q->refit(p, &m, err);
}

static int by_level(const void *a, const void *b)
{
    double x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

size_t bd_quant_distinct(double *levels, size_t n)
{
    size_t k = 0;

    for (size_t i = 1; i < n && levels[i - 1] <= levels[i]; i++)
        k = i;
    if (n == 0 || k + 1 == n)
        return n;
    qsort(levels, n, sizeof(*levels), by_level);
    k = 1;
    for (size_t i = 1; i < n; i++)
        if (levels[i] != levels[k - 1])
            levels[k++] = levels[i];
    return k;
}

bd_status bd_quant_need_clip(const struct bd_qparam *p, struct bd_err *err)
{
    if (isfinite(p->clip) && p->clip > 0)
        return BD_OK;
    return bd_fail(err, BD_EINVALID,
                   "'%s' needs a clip above 0, got %g; try clip rule 'max'",
                   p->q->name, p->clip);
}

bd_status bd_quant_refit_clip(struct bd_qparam *p, const struct bd_moments *m,
                              struct bd_err *err)
{
    (void)m;
    p->scale = p->clip;
    return bd_quant_need_clip(p, err);
}

/* ------------------------------------------------------------- x to z */
/* A tensor without spread (sigma = 0) has z = 0 everywhere. */
static void into_z(double *z, const double *x, size_t n,
                   const struct bd_qparam *p)
{
    if (p->sigma == 0) {
        memset(z, 0, n * sizeof(*z));
        return;
    }
    for (size_t i = 0; i < n; i++)
        z[i] = (x[i] - p->mu) / p->sigma;
}

static bool plain(const struct bd_qparam *p)
{
    return p->mu == 0 && p->sigma == 1;
}

size_t bd_quant_out(double *out, size_t cap, size_t n,
                    const struct bd_qparam *p)
{
    if (out && !plain(p))
        for (size_t i = 0; i < n && i < cap; i++)
            out[i] = p->sigma * out[i] + p->mu;
    return n;
}

static void mags_of(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    g->two_sided = g->direct = false;
    p->q->mags(g, p);
}

/* A parameter set made ready for many values: the magnitude set, if the
 * method has one, is worked out once per call and not once per block. */
struct ready {
    const struct bd_qparam *p;
    struct bd_quant_mags g;
};

static void mags_core(double *q, const double *z, size_t n,
                      const struct ready *r);

static void make_ready(struct ready *r, const struct bd_qparam *p)
{
    r->p = p;
    if (p->q->mags)
        mags_of(&r->g, p);
}

static void core(double *q, const double *z, size_t n, const struct ready *r)
{
    if (r->p->q->mags)
        mags_core(q, z, n, r);
    else
        r->p->q->core(q, z, n, r->p);
}

/* Q(x) of one block; back = in the domain of x.  Not-a-number stays what it
 * is: hiding it would make a broken network look sound. */
static void block(double *y, const double *x, size_t n, const struct ready *r,
                  bool back)
{
    const struct bd_qparam *p = r->p;
    double z[BD_QUANT_BLOCK];

    if (plain(p)) {
        core(z, x, n, r);
    } else {
        into_z(z, x, n, p);
        core(z, z, n, r);
        if (back)
            for (size_t i = 0; i < n; i++)
                z[i] = p->sigma * z[i] + p->mu;
    }
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] == x[i] ? z[i] : x[i];
}

void bd_quant_project(double *y, const double *x, size_t n,
                      const struct bd_qparam *p)
{
    struct ready r;

    make_ready(&r, p);
    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        block(y + i, x + i, m, &r, true);
    }
}

static void apply_ready(float *y, const float *x, size_t n,
                        const struct ready *r)
{
    double v[BD_QUANT_BLOCK];

    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        for (size_t k = 0; k < m; k++)
            v[k] = (double)x[i + k];
        block(v, v, m, r, r->p->map_back);
        for (size_t k = 0; k < m; k++)
            y[i + k] = (float)v[k];
    }
}

void bd_quant_apply_plain(float *y, const float *x, size_t n,
                          const struct bd_qparam *p)
{
    struct ready r;

    make_ready(&r, p);
    apply_ready(y, x, n, &r);
}

void bd_quant_apply(float *y, const float *x, size_t n,
                    const struct bd_qparam *p)
{
    struct ready r;

    make_ready(&r, p);
    if (!p->q->mags || !bd_quant_fast_mags(y, x, n, p, &r.g))
        apply_ready(y, x, n, &r);
}

/* --------------------------------------------------------- gradients */
/* Where a value lies against the clip: -1 below, 0 inside (both ends
 * included), +1 above. */
static int side_of(double d, bool is_signed)
{
    double lo = is_signed ? -1 : 0;

    return (d > 1) - (d < lo);
}

/* One block of apot.md section 5: q = alpha * P(clip(z / alpha)).  With
 * mapping back, y = sigma*q + mu, so sigma enters dL/dq and leaves dL/dx. */
static double rcf_block(float *dx, const float *dy, const float *x, size_t n,
                        const struct ready *r)
{
    const struct bd_qparam *p = r->p;
    double v[BD_QUANT_BLOCK], z[BD_QUANT_BLOCK], q[BD_QUANT_BLOCK];
    double dclip = 0, inv = p->sigma == 0 ? 0 : 1 / p->sigma;

    for (size_t i = 0; i < n; i++)
        v[i] = (double)x[i];
    into_z(z, v, n, p);
    core(q, z, n, r);
    for (size_t i = 0; i < n; i++) {
        double g = (double)dy[i] * (p->map_back ? p->sigma : 1);
        double d = z[i] / p->clip;
        int side = side_of(d, p->is_signed);
        bool pass = side == 0 || (p->calibrated && (p->is_signed || side < 0));

        if (side == 0)
            dclip += g * (q[i] / p->clip - d);
        else if (side > 0 || p->is_signed)
            dclip += g * side;
        dx[i] = pass ? (float)(g * inv) : 0.0f;
    }
    return dclip;
}

double bd_quant_grad_rcf(float *dx, const float *dy, const float *x, size_t n,
                         const struct bd_qparam *p)
{
    double dclip = 0;
    struct ready r;

    make_ready(&r, p);
    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;

        dclip += rcf_block(dx + i, dy + i, x + i, m, &r);
    }
    return dclip;
}

double bd_quant_grad_through(float *dx, const float *dy, const float *x,
                             size_t n, const struct bd_qparam *p)
{
    (void)x;
    (void)p;
    memmove(dx, dy, n * sizeof(*dx));
    return 0;
}

double bd_quant_grad_clipped(const float *dy, const float *x, size_t n,
                             const struct bd_qparam *p)
{
    double sum = 0, sigma = p->sigma == 0 ? 1 : p->sigma;

    for (size_t i = 0; i < n; i++) {
        double d = ((double)x[i] - p->mu) / sigma / p->clip;
        int side = side_of(d, p->is_signed);

        if (side > 0 || p->is_signed)
            sum += (double)dy[i] * side * (p->map_back ? p->sigma : 1);
    }
    return sum;
}

/* ---------------------------------------------------- magnitude sets */
/* How many t[i] lie below v.  Halving without branches: the comparison
 * becomes a conditional move, so that random data costs no mispredictions. */
static size_t rank_of(const double *t, size_t n, double v)
{
    size_t base = 0;

    while (n > 1) {
        size_t half = n / 2;

        base += t[base + half - 1] < v ? half : 0;
        n -= half;
    }
    return n == 1 && t[base] < v ? base + 1 : base;
}

/* Signed index of z in the magnitudes; unsigned data stops at 0.  Two-sided
 * sets have no zero, so their indices start at 1.  Direct grids count from
 * their lowest level. */
static int32_t mag_code(double z, bool is_signed, const struct bd_quant_mags *g)
{
    int32_t r;

    if (g->direct)
        return (int32_t)rank_of(g->t, g->n - 1, z);
    if (z < 0 && !is_signed)
        return 0;
    r = (int32_t)rank_of(g->t, g->n - 1, fabs(z)) + (g->two_sided ? 1 : 0);
    return z < 0 ? -r : r;
}

static void mags_core(double *q, const double *z, size_t n,
                      const struct ready *r)
{
    const struct bd_quant_mags *g = &r->g;
    int32_t first = g->two_sided ? 1 : 0;

    for (size_t i = 0; i < n; i++) {
        int32_t c = mag_code(z[i], r->p->is_signed, g);

        q[i] = c < 0 ? -g->m[-c - first] : g->m[c - first];
    }
}

void bd_quant_mags_codes(int32_t *out, const float *x, size_t n,
                         const struct bd_qparam *p)
{
    struct bd_quant_mags g;

    mags_of(&g, p);
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], z;

        into_z(&z, &v, 1, p);
        out[i] = z == z ? mag_code(z, p->is_signed, &g) : 0;
    }
}

static bool mirrored(const struct bd_qparam *p, const struct bd_quant_mags *g)
{
    return p->is_signed && !g->direct;
}

size_t bd_quant_mags_levels(double *out, size_t cap, const struct bd_qparam *p)
{
    struct bd_quant_mags g;
    size_t k = 0, stop;

    mags_of(&g, p);
    stop = g.two_sided ? 0 : 1;
    for (size_t i = g.n; mirrored(p, &g) && i > stop; i--)
        bd_quant_emit(out, cap, k++, -g.m[i - 1]);
    for (size_t i = 0; i < g.n; i++)
        bd_quant_emit(out, cap, k++, g.m[i]);
    return bd_quant_out(out, cap, k, p);
}

size_t bd_quant_mags_cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    struct bd_quant_mags g;
    size_t k = 0;

    mags_of(&g, p);
    /* On the negative side the lower magnitude is the upper level. */
    for (size_t i = g.n - 1; mirrored(p, &g) && i > 0; i--)
        bd_quant_emit(out, cap, k++, bd_quant_below(-g.t[i - 1]));
    if (g.two_sided)
        bd_quant_emit(out, cap, k++, bd_quant_below(0));
    for (size_t i = 0; i + 1 < g.n; i++)
        bd_quant_emit(out, cap, k++, g.t[i]);
    return bd_quant_out(out, cap, k, p);
}
