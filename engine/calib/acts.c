/* Fitting activations, through their bucket statistics. */
#include "actstat_priv.h"
#include "calib_priv.h"

static double act_error(const void *data, const double *levels,
                        const double *cuts, size_t nlev)
{
    return bd_actstat_error(data, levels, cuts, nlev);
}

/* Activations are not normalised, so the centre is always 0. */
static double act_quantile(const void *data, double center, double q)
{
    (void)center;
    return bd_actstat_quantile_abs(data, q);
}

static double act_absdev(const void *data, double center)
{
    (void)center;
    return bd_actstat_absmean(data);
}

static void act_histogram(const void *data, double lo, double hi,
                          int64_t *bins, int nbins)
{
    bd_actstat_histogram(data, lo, hi, bins, nbins);
}

static bd_status fit(struct bd_qparam *out, struct bd_calib_fit *f,
                     const struct bd_actstat *s, int bits, struct bd_err *err)
{
    struct bd_qparam p = {.q = bd_quantizer_at(f->cfg->quant), .bits = bits};
    bd_status st;

    if (bd_actstat_failed(s))
        return bd_fail(err, BD_ENOMEM,
                       "no memory for statistics of activations");
    f->stat = s;
    f->src.data = s;
    bd_actstat_moments(&f->m, s);
    p.is_signed = f->m.min < 0 && (p.q->traits & BD_Q_SIGNED) != 0;
    st = bd_calib_choose(&p, f, err);
    if (st == BD_OK)
        *out = p;
    return st;
}

static struct bd_calib_fit fit_of(float learned, const struct bd_tensorcfg *cfg)
{
    return (struct bd_calib_fit){.cfg = cfg,
                                 .learned = learned,
                                 .src = {.error = act_error,
                                         .quantile = act_quantile,
                                         .cells = bd_actstat_cells,
                                         .histogram = act_histogram,
                                         .absdev = act_absdev}};
}

static bd_status check(const struct bd_tensorcfg *cfg, int bits,
                       struct bd_err *err)
{
    if (bits == 32)
        return bd_fail(err, BD_EINVALID,
                       "32 bits leave the activations in float: nothing to "
                       "fit");
    return bd_quantizer_check(cfg->quant, bits, false, err);
}

bd_status bd_calib_acts(struct bd_qparam *out, const struct bd_actstat *s,
                        float learned, const struct bd_tensorcfg *cfg,
                        struct bd_err *err)
{
    struct bd_calib_fit f = fit_of(learned, cfg);
    bd_status st = check(cfg, cfg->bits, err);

    if (st == BD_OK)
        st = fit(out, &f, s, cfg->bits, err);
    bd_calib_fit_done(&f);
    return st;
}

/* ---------------------------------------------------- a grid per channel */
void bd_actset_done(struct bd_actset *s)
{
    bd_free(s->p);
    *s = (struct bd_actset){0};
}

/* Widths 0 and 32 need no fit: nothing is sent, or everything. */
static bd_status fit_channel(struct bd_qparam *p, struct bd_calib_fit *f,
                             const struct bd_chanstat *c, int64_t i,
                             struct bd_err *err)
{
    int bits = f->cfg->channel ? f->cfg->channel->bits[i] : f->cfg->bits;
    bd_status st;

    *p = (struct bd_qparam){.q = bd_quantizer_at(f->cfg->quant),
                            .bits = bits,
                            .sigma = 1};
    if (f->cfg->channel && (bits == 0 || bits == 32))
        return BD_OK;
    st = check(f->cfg, bits, err);
    return st == BD_OK ? fit(p, f, bd_chanstat_at(c, i), bits, err) : st;
}

static bd_status need_channels(const struct bd_calib_input *in,
                               const struct bd_tensorcfg *cfg,
                               struct bd_err *err)
{
    int64_t n;

    if (cfg->grain == BD_GRAIN_GROUP)
        return bd_fail(err, BD_EINVALID,
                       "activations come without groups: grain 'channel' or "
                       "'tensor' works");
    if (!in->channels || !bd_chanstat_at(in->channels, 0))
        return bd_fail(err, BD_EINVALID,
                       "its input has too many channels for statistics of "
                       "each: grain 'tensor' works");
    n = bd_chanstat_channels(in->channels);
    if (cfg->channel && cfg->channel->n != n)
        return bd_fail(err, BD_EINVALID,
                       "%d widths for %lld input channels: one each is needed",
                       cfg->channel->n, (long long)n);
    return BD_OK;
}

static bd_status fit_channels(struct bd_actset *set,
                              const struct bd_calib_input *in,
                              const struct bd_tensorcfg *cfg,
                              struct bd_err *err)
{
    struct bd_calib_fit f = fit_of(in->learned, cfg);
    bd_status st = BD_OK;

    f.ctl = in->ctl;
    for (size_t c = 0; st == BD_OK && c < set->n; c++)
        st = f.ctl && bd_ctl_stale(f.ctl)
                 ? BD_ECANCELLED
                 : fit_channel(&set->p[c], &f, in->channels, (int64_t)c, err);
    bd_calib_fit_done(&f);
    return st;
}

bd_status bd_calib_actset(struct bd_actset *out,
                          const struct bd_calib_input *in,
                          const struct bd_tensorcfg *cfg, struct bd_err *err)
{
    bool many = cfg->grain != BD_GRAIN_TENSOR || cfg->channel;
    struct bd_actset set = {.n = 1};
    bd_status st = many ? need_channels(in, cfg, err) : BD_OK;

    if (st != BD_OK)
        return st;
    if (many)
        set.n = (size_t)bd_chanstat_channels(in->channels);
    set.p = bd_calloc(set.n, sizeof(*set.p));
    if (!set.p)
        return bd_fail(err, BD_ENOMEM, "no memory for %zu sets of parameters",
                       set.n);
    st = many ? fit_channels(&set, in, cfg, err)
              : bd_calib_acts(set.p, in->all, in->learned, cfg, err);
    if (st == BD_OK)
        *out = set;
    else
        bd_actset_done(&set);
    return st;
}
