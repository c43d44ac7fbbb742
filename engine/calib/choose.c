/* From a clip rule to a clip.  All rules work on z = (x - mu) / sigma where
 * the method normalises, on x itself where it does not (mu 0, sigma 1). */
#include "aciq_priv.h"
#include "kl_priv.h"

enum {
    FRACTIONS = 100 /* of the largest magnitude, for the mse rule */
};
static const double default_percentile = 99.9;
static const double default_average = 0.01; /* of PyTorch's observer */

void bd_calib_fit_done(struct bd_calib_fit *f)
{
    bd_free(f->levels);
    bd_free(f->cuts);
    f->levels = f->cuts = NULL;
    f->cap = 0;
}

/* Widths of a tensor may differ by channel, so the need can grow. */
static bd_status make_room(struct bd_calib_fit *f, size_t need,
                           struct bd_err *err)
{
    if (need <= f->cap)
        return BD_OK;
    bd_calib_fit_done(f);
    f->levels = bd_alloc(need, sizeof(*f->levels));
    f->cuts = bd_alloc(need, sizeof(*f->cuts));
    if (!f->levels || !f->cuts) {
        bd_calib_fit_done(f);
        return bd_fail(err, BD_ENOMEM, "no memory for a grid of %zu levels",
                       need);
    }
    f->cap = need;
    return BD_OK;
}

static bd_status put_grid(size_t *nlev, struct bd_calib_fit *f,
                          const struct bd_qparam *p, struct bd_err *err)
{
    size_t n = p->q->levels(NULL, 0, p);
    bd_status st = make_room(f, n, err);

    if (st != BD_OK)
        return st;
    p->q->levels(f->levels, f->cap, p);
    p->q->cuts(f->cuts, f->cap, p);
    *nlev = n;
    return BD_OK;
}

bd_status bd_calib_error(double *e, struct bd_calib_fit *f,
                         const struct bd_qparam *p, struct bd_err *err)
{
    size_t n;
    bd_status st = put_grid(&n, f, p, err);

    if (st == BD_OK)
        *e = f->src.error(f->src.data, f->levels, f->cuts, n);
    return st;
}

/* ------------------------------------------------------------ searches */
/* Planes that were chosen are used as they are; else they follow the clip. */
static bd_status refit(struct bd_qparam *p, const struct bd_calib_fit *f,
                       struct bd_err *err)
{
    struct bd_quant_data d = {f->src.data, f->src.cells};
    bd_status st;

    if (p->q->adapt) {
        p->planes = (struct bd_planecode){0};
        if (f->cfg->planes)
            p->planes = f->cfg->planes->code;
    }
    st = p->q->refit(p, &f->m, err);
    if (st == BD_OK && p->q->adapt && !f->cfg->planes && f->m.n > 0)
        st = p->q->adapt(p, &d, err);
    return st;
}

bd_status bd_calib_grid(size_t *nlev, struct bd_calib_fit *f,
                        struct bd_qparam *p, struct bd_err *err)
{
    bd_status st = refit(p, f, err);

    return st == BD_OK ? put_grid(nlev, f, p, err) : st;
}

/* The error of p with a changed clip or extra; p itself is refitted. */
static bd_status try_grid(double *e, struct bd_calib_fit *f,
                          struct bd_qparam *p, struct bd_err *err)
{
    bd_status st;

    if (f->ctl && bd_ctl_stale(f->ctl))
        return BD_ECANCELLED;
    st = refit(p, f, err);
    return st == BD_OK ? bd_calib_error(e, f, p, err) : st;
}

/* Clipping alone costs more than the best found so far: no grid of this clip
 * can win.  The margin covers rounding. */
static bool hopeless(const struct bd_qparam *p, const struct bd_calib_fit *f,
                     double best)
{
    double reach = p->clip * p->sigma;

    return f->src.beyond && best < INFINITY &&
           f->src.beyond(f->src.data, p->mu - reach, p->mu + reach) >
               best * (1 + 1e-9);
}

/* alpha = i/100 of the largest magnitude, first minimum.  Walked from the
 * largest down with ties going to the later, which is the same and lets
 * `hopeless` cut off the small ones. */
static bd_status search_clip(struct bd_qparam *p, struct bd_calib_fit *f,
                             struct bd_err *err)
{
    double reach = p->clip, best = INFINITY, chosen = reach, e;

    for (int i = FRACTIONS; i > 0; i--) {
        bd_status st;

        p->clip = (double)i / FRACTIONS * reach;
        if (!(p->clip > 0) || hopeless(p, f, best))
            break; /* smaller clips cut off even more */
        st = try_grid(&e, f, p, err);
        if (st != BD_OK)
            return st;
        if (e <= best) {
            best = e;
            chosen = p->clip;
        }
    }
    p->clip = chosen;
    return BD_OK;
}

/* The method's own parameter (log's e0), from the largest down. */
static bd_status search_extra(struct bd_qparam *p, struct bd_calib_fit *f,
                              struct bd_err *err)
{
    double best = INFINITY, chosen = 0, e;

    for (int i = p->q->extra_steps; i > 0; i--) {
        bd_status st;

        p->extra = i * p->q->extra_unit;
        st = try_grid(&e, f, p, err);
        if (st != BD_OK)
            return st;
        if (e < best) {
            best = e;
            chosen = p->extra;
        }
    }
    p->extra = chosen;
    return BD_OK;
}

/* --------------------------------------------------------------- rules */
/* Farthest value from the centre, in z; what unsigned grids cannot reach
 * does not count.  Nothing to reach: 1, and everything quantizes to 0. */
static double reach_of(const struct bd_qparam *p, const struct bd_moments *m)
{
    double sigma = p->sigma > 0 ? p->sigma : 1, r;

    if (m->n == 0)
        return 1;
    r = m->max - p->mu;
    if (p->is_signed)
        r = fmax(r, p->mu - m->min);
    r /= sigma;
    return r > 0 && isfinite(r) && p->sigma > 0 ? r : 1;
}

/* The averages of what the batches reached.  An unsigned grid looks at the
 * largest values only. */
static bd_status average_clip(struct bd_qparam *p, const struct bd_calib_fit *f,
                              struct bd_err *err)
{
    double c = (double)f->cfg->clip_value, v;

    if (!f->stat)
        return bd_fail(err, BD_EINVALID,
                       "weights have no batches to average over: clip 'ema' "
                       "is of activations; 'max' or 'mse' works");
    c = c > 0 ? c : default_average;
    v = bd_actstat_average(f->stat, true, c);
    if (p->is_signed)
        v = fmax(v, -bd_actstat_average(f->stat, false, c));
    if (v > 0)
        p->clip = v;
    return BD_OK;
}

/* Sets p->clip; for rules that search to the reach they start from.
 * Values given by people (manual) and by index (percentile) are in the domain
 * of the data, hence the division by sigma. */
static bd_status clip_by_rule(struct bd_qparam *p, struct bd_calib_fit *f,
                              struct bd_err *err)
{
    double v = (double)f->cfg->clip_value, reach = reach_of(p, &f->m);
    double sigma = p->sigma > 0 ? p->sigma : 1;

    p->clip = reach;
    switch ((enum bd_clip_rule)f->cfg->clip) {
    case BD_CLIP_MAX:
    case BD_CLIP_MSE:
    case BD_CLIP_KL:
        return BD_OK;
    case BD_CLIP_ACIQ:
        if (f->m.n > 0)
            bd_calib_aciq(p, f);
        return BD_OK;
    case BD_CLIP_EMA:
        return average_clip(p, f, err);
    case BD_CLIP_PERCENTILE:
        v = f->src.quantile(f->src.data, p->mu,
                            (v > 0 ? v : default_percentile) / 100);
        p->clip = v > 0 && p->sigma > 0 ? fmin(v / sigma, reach) : reach;
        return BD_OK;
    case BD_CLIP_MANUAL:
        if (!(v > 0) || !isfinite(v))
            return bd_fail(err, BD_EINVALID,
                           "clip rule 'manual' needs a value above 0, got %g",
                           v);
        p->clip = v / sigma;
        return BD_OK;
    case BD_CLIP_LEARNED:
        if (!(f->learned > 0) || !isfinite(f->learned))
            return bd_fail(err, BD_EINVALID,
                           "the model brings no learned clip for this layer; "
                           "try clip rule 'mse'");
        p->clip = (double)f->learned;
        return BD_OK;
    }
    return bd_fail(err, BD_EINVALID, "clip rule %d is unknown", f->cfg->clip);
}

/* A learned clip belongs to normalised weights, whatever grid is put on
 * them; otherwise the row decides. */
static bool normalises(const struct bd_qparam *p, const struct bd_calib_fit *f)
{
    if (!p->weights)
        return false;
    return (p->q->traits & BD_Q_NORMALISES) != 0 ||
           (f->cfg->clip == BD_CLIP_LEARNED &&
            strcmp(p->q->name, "uniform") == 0);
}

bd_status bd_calib_choose(struct bd_qparam *p, struct bd_calib_fit *f,
                          struct bd_err *err)
{
    bd_status st;

    p->mu = 0;
    p->sigma = 1;
    p->map_back = !(p->weights && f->cfg->clip == BD_CLIP_LEARNED);
    if (normalises(p, f)) {
        p->mu = f->m.mean;
        p->sigma = f->m.std;
    }
    st = clip_by_rule(p, f, err);
    if (st == BD_OK && p->q->extra_steps > 0 && f->m.n > 0)
        st = search_extra(p, f, err);
    if (st == BD_OK && f->cfg->clip == BD_CLIP_MSE && f->m.n > 0)
        st = search_clip(p, f, err);
    if (st == BD_OK && f->cfg->clip == BD_CLIP_KL && f->m.n > 0)
        st = bd_calib_kl(p, f, err);
    return st == BD_OK ? refit(p, f, err) : st;
}
