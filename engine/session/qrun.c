/* From a configuration to what the executor needs: quantized weights and
 * fitted input quantizers of every layer, with the digests by which the
 * runner knows which layers changed. */
#include "session/session_priv.h"

#include <math.h>

static bd_status take_weights(struct bd_qrun *r, size_t i,
                              const struct bd_tensorcfg *cfg,
                              struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_fit_ask ask = {(int)i, cfg};
    bd_status st = bd_fits_get(&r->fit[i], r->fits, ask, ctl, err);
    if (st == BD_OK)
        st = bd_fits_values(&r->q[i].w, r->fits, r->fit[i], err);
    return st;
}

static bd_status take_acts(struct bd_qrun *r, size_t i,
                           const struct bd_tensorcfg *cfg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_input_ask ask = {cfg, bd_bench_input(r->bench, (int)i)};
    ask.in.ctl = ctl;
    bd_status st = bd_inputs_get(&r->act[i], r->bench->inputs, i, &ask, err);
    if (st != BD_OK)
        return st;
    r->q[i].a = r->act[i]->set.p;
    r->q[i].na = (int64_t)r->act[i]->set.n;
    return BD_OK;
}

static bd_status take_layer(struct bd_qrun *r, size_t i,
                            const struct bd_layercfg *l, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    /* Statistics do not change during a session, so the choice alone
     * determines the fit. */
    uint64_t d[2] = {0, 0};
    bd_status st = BD_OK;
    if (!bd_session_is_float(&l->w)) {
        d[0] = bd_tensorcfg_digest(&l->w);
        st = take_weights(r, i, &l->w, ctl, err);
    }
    if (st == BD_OK && !bd_session_is_float(&l->a)) {
        d[1] = bd_tensorcfg_digest(&l->a);
        st = take_acts(r, i, &l->a, ctl, err);
    }
    if (d[0] || d[1]) {
        r->any = true;
        r->q[i].key = bd_digest(d, sizeof d, 0) | 1; /* 0 means float */
    }
    return st;
}

bd_status bd_qrun_init(struct bd_qrun *r, struct bd_bench *b,
                       const struct bd_bitcfg *cfg, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    *r = (struct bd_qrun){.n = cfg->n, .bench = b, .fits = b->o.fits};
    r->q = bd_calloc(cfg->n, sizeof *r->q);
    r->fit = bd_calloc(cfg->n, sizeof *r->fit);
    r->act = bd_calloc(cfg->n, sizeof *r->act);
    bd_status st = r->q && r->fit && r->act
                       ? BD_OK
                       : bd_fail(err, BD_ENOMEM, "out of memory");
    for (size_t i = 0; i < cfg->n && st == BD_OK; i++)
        st = bd_ctl_stale(ctl)
                 ? BD_ECANCELLED
                 : take_layer(r, i, &cfg->layer[i], ctl, err);
    if (st != BD_OK)
        bd_qrun_done(r);
    return st;
}

void bd_qrun_done(struct bd_qrun *r)
{
    for (size_t i = 0; r->fit && i < r->n; i++)
        bd_fits_unref(r->fits, r->fit[i]);
    for (size_t i = 0; r->act && i < r->n; i++)
        bd_inputs_unref(r->act[i]);
    bd_free(r->q);
    bd_free(r->fit);
    bd_free(r->act);
    *r = (struct bd_qrun){0};
}
