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

bd_status bd_calib_acts(struct bd_qparam *out, const struct bd_actstat *s,
                        float learned, const struct bd_tensorcfg *cfg,
                        struct bd_err *err)
{
    struct bd_calib_fit f = {.cfg = cfg,
                             .learned = learned,
                             .src = {s, act_error, act_quantile, NULL}};
    struct bd_qparam p = {.q = bd_quantizer_at(cfg->quant), .bits = cfg->bits};
    bd_status st = bd_quantizer_check(cfg->quant, cfg->bits, false, err);

    if (st != BD_OK)
        return st;
    if (cfg->bits == 32)
        return bd_fail(err, BD_EINVALID,
                       "32 bits leave the activations in float: nothing to "
                       "fit");
    if (bd_actstat_failed(s))
        return bd_fail(err, BD_ENOMEM,
                       "no memory for statistics of activations");
    bd_actstat_moments(&f.m, s);
    p.is_signed = f.m.min < 0 && (p.q->traits & BD_Q_SIGNED) != 0;
    st = bd_calib_choose(&p, &f, err);
    bd_calib_fit_done(&f);
    if (st == BD_OK)
        *out = p;
    return st;
}
