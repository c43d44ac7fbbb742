/* The published search for planes (bitwise_bottleneck.md section 3.1), kept
 * to compare with: non-negative Lasso, penalties tried in three rounds.
 *
 * Cyclic coordinate descent on the centred Gram matrix does the same steps as
 * on the tensor itself, since a step needs only inner products of planes.
 * Order of planes, stopping rule (relative change, then duality gap) and the
 * limit of 1000 sweeps are those of the library the authors used, because
 * the coefficients of an unfinished descent depend on them.  The intercept is
 * fitted and then dropped, as published; it is why the coefficients come out
 * a little small. */
#include "planes_priv.h"

const char *const bd_plane_solver_names[] = {"subset", "lasso", "lasso-refit",
                                             NULL};

enum { SWEEPS = 1000 };
static const double tolerance = 1e-4, least_penalty = 1e-5;

struct lasso {
    const struct bd_plane_gram *g;
    double G[BD_PLANES][BD_PLANES], q[BD_PLANES], yy; /* centred */
    double need;
};

struct fit {
    double lambda;
    double w[BD_PLANES];
    double psnr;
    int k;
};

static void centre(struct lasso *l, const struct bd_plane_gram *g)
{
    double n = g->n > 0 ? g->n : 1;

    l->g = g;
    l->yy = g->tt - g->sum * g->sum / n;
    for (int i = 0; i < g->of; i++) {
        l->q[i] = g->g[i] - g->G[i][i] * g->sum / n;
        for (int j = 0; j < g->of; j++)
            l->G[i][j] = g->G[i][j] - g->G[i][i] * g->G[j][j] / n;
    }
}

/* <plane i, residual> at w. */
static double inner(const struct lasso *l, const double *w, int i)
{
    double v = l->q[i];

    for (int j = 0; j < l->g->of; j++)
        v -= l->G[i][j] * w[j];
    return v;
}

/* How far w is from the optimum at most (the duality gap). */
static double gap_of(const struct lasso *l, const double *w, double penalty)
{
    double dual = -INFINITY, r2 = l->yy, ry = l->yy, l1 = 0, c = 1, gap;

    for (int i = 0; i < l->g->of; i++) {
        double v = inner(l, w, i);

        dual = v > dual ? v : dual;
        r2 -= w[i] * (v + l->q[i]);
        ry -= w[i] * l->q[i];
        l1 += w[i];
    }
    if (dual > penalty)
        c = penalty / dual;
    gap = dual > penalty ? 0.5 * (r2 + r2 * c * c) : r2;
    return gap + penalty * l1 - c * ry;
}

/* One pass over the planes; returns the largest change and coefficient. */
static void sweep(double *change, double *largest, const struct lasso *l,
                  double *w, double penalty)
{
    *change = *largest = 0;
    for (int i = 0; i < l->g->of; i++) {
        double old = w[i], v;

        if (!(l->G[i][i] > 1e-9)) /* the same in all values: no column */
            continue;
        v = inner(l, w, i) + l->G[i][i] * old - penalty;
        w[i] = v > 0 ? v / l->G[i][i] : 0;
        *change = fmax(*change, fabs(w[i] - old));
        *largest = fmax(*largest, w[i]);
    }
}

/* Penalties are rounded to six places, so that steps of 0.1 and 0.001 that
 * meet are the same problem. */
static struct fit fit(const struct lasso *l, double lambda)
{
    struct fit f = {.lambda = rint(lambda * 1e6) / 1e6};
    double penalty = f.lambda * l->g->n, change, largest;
    struct bd_plane_row row = {0};

    for (int n = 0; n < SWEEPS; n++) {
        sweep(&change, &largest, l, f.w, penalty);
        if (largest == 0 || change / largest < tolerance || n == SWEEPS - 1)
            if (gap_of(l, f.w, penalty) < tolerance * l->yy)
                break;
    }
    for (int i = 0; i < l->g->of; i++)
        f.k += f.w[i] != 0;
    bd_planes_row(&row, l->g, bd_planes_sse(l->g, f.w));
    f.psnr = row.psnr_db;
    return f;
}

/* The first of from, from + step, ... (count of them, above 0) at which the
 * PSNR has fallen to the need; 0: none. */
static double first_below(const struct lasso *l, double from, double step,
                          int count)
{
    for (int i = 0; i < count; i++) {
        double v = from + i * step;

        if (v > 0 && fit(l, v).psnr <= l->need)
            return v;
    }
    return 0;
}

/* The largest penalty that still reaches the need, to 0.001; 0: even the
 * smallest does not. */
static double bracket(const struct lasso *l)
{
    double hit = first_below(l, 0.001, 0.1, 100), fine = 0, v;

    if (hit == 0)
        return 9.901;
    if (hit <= 0.0011)
        return 0;
    v = first_below(l, hit - 0.1, 0.01, 11);
    if (v > 0)
        fine = first_below(l, v - 0.01, 0.001, 11);
    return fmax((fine > 0 ? fine : hit) - 0.001, 0.001);
}

/* The least shrinkage with no more planes. */
static struct fit relax(const struct lasso *l, struct fit f)
{
    static const double step[3] = {0.1, 0.01, 0.001};
    int k = f.k;

    for (int i = 0; i < 3; i++)
        while (f.lambda - step[i] > 1e-3) {
            struct fit next = fit(l, f.lambda - step[i]);

            if (next.k > k)
                break;
            f = next;
        }
    return f;
}

void bd_planes_lasso(struct bd_plane_row *out, double *lambda,
                     const struct bd_codetable *t, double need_db, bool refit)
{
    struct bd_plane_gram g;
    struct lasso l = {.need = need_db};
    struct fit f;
    double from;

    bd_planes_gram(&g, t);
    centre(&l, &g);
    from = bracket(&l);
    f = fit(&l, from > 0 ? from : least_penalty);
    if (from > 0)
        f = f.k == g.of ? fit(&l, least_penalty) : relax(&l, f);
    *out = (struct bd_plane_row){0};
    for (int i = 0; i < g.of; i++)
        out->mask |= f.w[i] != 0 ? 1u << i : 0;
    if (!refit || !bd_planes_least(out->alpha, &g, out->mask))
        memcpy(out->alpha, f.w, sizeof(out->alpha));
    bd_planes_row(out, &g, bd_planes_sse(&g, out->alpha));
    if (lambda)
        *lambda = f.lambda;
}
