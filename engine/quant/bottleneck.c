/* Bitwise Bottleneck as a row of the table (Zhou et al., AAAI 2021;
 * bitwise_bottleneck.md): sign and magnitude code of `of` planes, of which
 * `bits` are kept, each with a coefficient of its own.
 *
 *     t = min(|x| / M * L, L), m = floor(t + 1/2), L = 2^of - 1
 *     y = sign(x) * clip(sum of alpha_k over the kept bits of m, 0, L)/L * M
 *
 * The map goes x -> m -> value.  With planes missing in the middle it is not
 * monotone, and two codes may share a value; so what the rest of the program
 * calls levels is here the value of each cell between decision points, in
 * ascending order of x (BD_Q_CELLS), neighbours of equal value joined.  The
 * sign is stored beside the planes (BD_Q_SIGN_APART).
 *
 * m is clamped to L: the published operator scales by 2^q and lets the
 * largest values fall into a plane of their own, whose coefficient is 0. */
#include "planes_priv.h"

enum {
    CODES = BD_PLANE_CODES,
    MOST_CELLS = 2 * CODES + 4 /* both signs, what is clipped, zero split */
};

/* The value of every magnitude code. */
static void values_of(double v[CODES], const struct bd_qparam *p)
{
    const struct bd_planecode *c = &p->planes;
    double top = bd_planes_top(c->of);

    for (int m = 0; m < 1 << c->of; m++) {
        double s = 0;

        for (int k = 0; k < c->of; k++)
            s += c->mask >> k & m >> k & 1 ? c->alpha[k] : 0;
        v[m] = bd_quant_clamp(s, 0, top) / top * p->clip;
    }
}

/* Magnitude code; what is not a number gets any. */
static int code_of(double z, double clip, double top)
{
    double t = fabs(z) / clip * top;

    t = t < top ? t : top;
    return (int)(t + 0.5);
}

/* ------------------------------------------------------------- fitting */
/* Nothing to learn from: the highest planes with their plain weights. */
static void plain(struct bd_planecode *c, int bits)
{
    c->of = BD_PLANES;
    c->mask = 0;
    for (int k = 0; k < BD_PLANES; k++) {
        bool kept = k >= BD_PLANES - bits;

        c->alpha[k] = kept ? ldexp(1, k) : 0;
        c->mask |= kept ? 1u << k : 0;
    }
}

static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    bd_status s = bd_quant_need_clip(p, err);

    (void)m;
    if (s != BD_OK)
        return s;
    if (p->planes.of == 0)
        plain(&p->planes, p->bits);
    p->scale = p->clip / bd_planes_top(p->planes.of);
    return s;
}

/* The best `bits` planes, or fewer where more would say nothing new. */
static void take(struct bd_qparam *p, const struct bd_plane_gram *g)
{
    struct bd_plane_table t;
    int i;

    if (!(g->n > 0))
        return;
    bd_planes_best(&t, g);
    for (i = t.nrow - 1; i > 0 && t.row[i].k > p->bits;)
        i--;
    p->planes = bd_planes_code(&t, &t.row[i]);
}

/* Where magnitude code m begins, as a cut between x on both its sides: a tie
 * belongs to the higher magnitude. */
static double cut_above(int m, const struct bd_qparam *p)
{
    return bd_quant_below((m - 0.5) / bd_planes_top(p->planes.of) * p->clip);
}

static double cut_under(int m, const struct bd_qparam *p)
{
    return -((m - 0.5) / bd_planes_top(p->planes.of) * p->clip);
}

/* Cells whose values have one code, one sign, and are clipped or not. */
struct spans {
    size_t n;
    int code[MOST_CELLS]; /* -1: clipped; else the magnitude */
    double cut[MOST_CELLS];
};

static void spans_of(struct spans *s, const struct bd_qparam *p)
{
    int top = (1 << p->planes.of) - 1;
    size_t k = 0;

    if (p->is_signed) {
        s->cut[k] = bd_quant_below(-p->clip);
        s->code[k++] = -1;
        for (int m = top; m > 0; m--) {
            s->cut[k] = cut_under(m, p);
            s->code[k++] = m;
        }
    }
    s->cut[k] = 0; /* unsigned: all that is negative counts as zero */
    s->code[k++] = 0;
    for (int m = 0; m < top; m++) {
        s->cut[k] = cut_above(m + 1, p);
        s->code[k++] = m;
    }
    s->cut[k] = p->clip;
    s->code[k++] = top;
    s->code[k++] = -1;
    s->n = k;
}

static bd_status adapt(struct bd_qparam *p, const struct bd_quant_data *d,
                       struct bd_err *err)
{
    struct bd_plane_gram g = {.of = p->planes.of};
    struct bd_quant_cell cell[MOST_CELLS];
    struct spans s;
    double top = bd_planes_top(g.of), f = top / p->clip;

    spans_of(&s, p);
    if (!d->cells(cell, d->data, s.cut, s.n - 1))
        return bd_fail(err, BD_ENOMEM, "no memory to count codes");
    for (size_t i = 0; i < s.n; i++) {
        struct bd_quant_cell c = {cell[i].n, fabs(cell[i].s1) * f,
                                  cell[i].s2 * f * f};

        if (s.code[i] < 0) /* all of them count as L */
            c = (struct bd_quant_cell){c.n, c.n * top, c.n * top * top};
        else if (!p->is_signed && i == 0)
            c.s1 = c.s2 = 0;
        bd_planes_gram_add(&g, s.code[i] < 0 ? (int)top : s.code[i], &c);
    }
    take(p, &g);
    return BD_OK;
}

static bd_status fit(struct bd_qparam *p, const float *x, size_t n,
                     struct bd_err *err)
{
    struct bd_codetable t;
    struct bd_plane_gram g;
    bd_status st;

    p->planes.of = 0;
    st = refit(p, NULL, err);
    if (st != BD_OK)
        return st;
    bd_codetable_init(&t, p->planes.of, p->clip);
    for (size_t i = 0; i < n; i++)
        bd_codetable_add(&t, p->is_signed || x[i] > 0 ? &x[i] : &(float){0},
                         1);
    bd_planes_gram(&g, &t);
    take(p, &g);
    return BD_OK;
}

/* ------------------------------------------------------------- mapping */
static void core(double *q, const double *z, size_t n,
                 const struct bd_qparam *p)
{
    double v[CODES], top = bd_planes_top(p->planes.of), clip = p->clip;
    bool is_signed = p->is_signed;

    values_of(v, p);
    for (size_t i = 0; i < n; i++) {
        double x = z[i], y = v[code_of(x, clip, top)];

        q[i] = x < 0 ? (is_signed ? -y : 0) : y;
    }
}

/* Block by block like every row, but with one table of values. */
static void apply(float *y, const float *x, size_t n, const struct bd_qparam *p)
{
    double v[CODES], top = bd_planes_top(p->planes.of), clip = p->clip;
    float value[CODES];
    bool is_signed = p->is_signed;

    values_of(v, p);
    for (int m = 0; m < 1 << p->planes.of; m++)
        value[m] = (float)v[m];
    for (size_t i = 0; i < n; i++) {
        float a = x[i], b = value[code_of((double)a, clip, top)];

        b = a < 0 ? (is_signed ? -b : 0.0f) : b;
        y[i] = a == a ? b : a;
    }
}

static void codes(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    double top = bd_planes_top(p->planes.of);

    for (size_t i = 0; i < n; i++) {
        int m = code_of((double)x[i], p->clip, top) & (int)p->planes.mask;

        if (isnan(x[i]) || (x[i] < 0 && !p->is_signed))
            m = 0;
        out[i] = x[i] < 0 ? -m : m;
    }
}

/* --------------------------------------------------------------- cells */
struct cells {
    double *lev, *cut;
    size_t cap;
};

static size_t walk(const struct cells *out, const struct bd_qparam *p)
{
    double v[CODES], last = 0;
    int top = (1 << p->planes.of) - 1;
    size_t n = 0;

    values_of(v, p);
    for (int c = p->is_signed ? -top : 0; c <= top; c++) {
        double now = c < 0 ? 0 - v[-c] : v[c];

        if (n > 0 && now == last)
            continue;
        if (n > 0)
            bd_quant_emit(out->cut, out->cap, n - 1,
                          c > 0 ? cut_above(c, p) : cut_under(1 - c, p));
        bd_quant_emit(out->lev, out->cap, n++, now);
        last = now;
    }
    return n;
}

static size_t levels(double *out, size_t cap, const struct bd_qparam *p)
{
    return walk(&(struct cells){out, NULL, cap}, p);
}

static size_t cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    return walk(&(struct cells){NULL, out, cap}, p) - 1;
}

/* ------------------------------------------------------------ gradient */
/* Rounding and planes pass straight through, so that inside the clip dy/dx is
 * 1 and outside 0 (section 6).  y = M * f(x / M) moves with the clip by
 * f - x/M inside, which is the rounding error, and by f outside. */
static double grad(float *dx, const float *dy, const float *x, size_t n,
                   const struct bd_qparam *p)
{
    double dclip = 0;

    for (size_t i = 0; i < n; i += BD_QUANT_BLOCK) {
        size_t m = n - i < BD_QUANT_BLOCK ? n - i : BD_QUANT_BLOCK;
        double z[BD_QUANT_BLOCK], q[BD_QUANT_BLOCK];

        for (size_t k = 0; k < m; k++)
            z[k] = (double)x[i + k];
        core(q, z, m, p);
        for (size_t k = 0; k < m; k++) {
            double lo = p->is_signed ? -p->clip : 0;
            bool inside = z[k] >= lo && z[k] <= p->clip;

            dclip += (double)dy[i + k] * (q[k] - (inside ? z[k] : 0)) / p->clip;
            dx[i + k] = inside ? dy[i + k] : 0.0f;
        }
    }
    return dclip;
}

const struct bd_quantizer bd_quant_bottleneck = {
    .name = "bottleneck",
    .title = "bit planes with free weights",
    .paper = "Zhou et al. 2021, arXiv 2006.05210",
    .min_bits = 1,
    .max_bits = BD_PLANES,
    .traits = BD_Q_WEIGHTS | BD_Q_ACTS | BD_Q_ODD | BD_Q_SIGNED | BD_Q_CELLS |
              BD_Q_SIGN_APART,
    .fit = fit,
    .refit = refit,
    .adapt = adapt,
    .core = core,
    .levels = levels,
    .cuts = cuts,
    .apply = apply,
    .grad = grad,
    .codes = codes,
    .side_bits = 40, /* range and mask */
    .side_per_bit = 32, /* a coefficient per plane */
};
