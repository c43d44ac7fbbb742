/* Quantizing one layer's input, judged on the statistics of calibration. */
#include "session/session_priv.h"

#include <math.h>

/* Squared error of a fitted grid, from the bucket counts. */
static bd_status grid_error(double *err2, const struct bd_actstat *s,
                            const struct bd_qparam *p, struct bd_err *err)
{
    if (p->bits == 0 || p->bits == 32) {
        *err2 = p->bits == 0 ? bd_actstat_sumsq(s) : 0;
        return BD_OK;
    }
    size_t n = p->q->levels(NULL, 0, p);
    double *buf = bd_alloc(2 * n, sizeof *buf);
    if (!buf)
        return bd_fail(err, BD_ENOMEM, "out of memory for %zu levels", n);
    p->q->levels(buf, n, p);
    double *cuts = NULL;
    if (p->q->cuts && n > 1) {
        cuts = buf + n;
        p->q->cuts(cuts, n - 1, p);
    }
    *err2 = n > 0 ? bd_actstat_error(s, buf, cuts, n) : 0;
    bd_free(buf);
    return BD_OK;
}

/* Of all grids of an input, each on its own channel's values. */
static bd_status set_error(struct bd_act_error *a, double *err2,
                           const struct bd_actset *set,
                           const struct bd_calib_input *in, struct bd_err *err)
{
    bd_status st = BD_OK;
    for (size_t c = 0; c < set->n && st == BD_OK; c++) {
        double e = 0;
        st = grid_error(&e,
                        set->n > 1 ? bd_chanstat_at(in->channels, (int64_t)c)
                                   : in->all,
                        &set->p[c], err);
        *err2 += e;
        if (c == 0 || set->p[c].clip > a->p.clip)
            a->p = set->p[c];
    }
    return st;
}

bd_status bd_acts_error(struct bd_act_error *out,
                        const struct bd_calib_input *in,
                        const struct bd_tensorcfg *cfg, struct bd_err *err)
{
    const struct bd_actstat *s = in->all;
    struct bd_act_error a = {.digest = bd_tensorcfg_digest(cfg),
                             .psnr_db = INFINITY, .sqnr_db = INFINITY};
    struct bd_actset set = {0};
    double err2 = 0, n = (double)bd_actstat_count(s);
    bd_status st = bd_calib_actset(&set, in, cfg, err);
    if (st == BD_OK)
        st = set_error(&a, &err2, &set, in, err);
    bd_actset_done(&set);
    if (st != BD_OK)
        return st;
    if (n > 0) {
        a.psnr_db = bd_psnr_db(bd_actstat_absmax(s), err2 / n);
        a.sqnr_db = bd_sqnr_db(bd_actstat_sumsq(s) / n, err2 / n);
    }
    *out = a;
    return BD_OK;
}
