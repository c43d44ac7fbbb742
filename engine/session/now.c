/* For the command line: the lanes' own functions, on the caller's thread. */
#include "session/session_priv.h"

#include <math.h>

bd_status bd_session_now_layer(struct bd_error_stats *out,
                               struct bd_session *s, int layer,
                               const struct bd_tensorcfg *cfg,
                               struct bd_err *err)
{
    struct bd_fit_ask ask = {layer, cfg};
    const struct bd_fit *fit;
    if (layer < 0 || (size_t)layer >= s->m->nlayers)
        return bd_fail(err, BD_EINVALID, "layer %d of %zu", layer,
                       s->m->nlayers);
    bd_status st = bd_config_allows(s->m, layer, true, cfg, err);
    if (st == BD_OK && bd_session_is_float(cfg))
        st = bd_fail(err, BD_EINVALID, "32 bits leave the weights as they "
                                       "are: no error to measure");
    if (st == BD_OK)
        st = bd_fits_get(&fit, s->fits, ask, NULL, err);
    if (st != BD_OK)
        return st;
    *out = fit->err;
    bd_fits_unref(s->fits, fit);
    return BD_OK;
}

/* Errors of one layer's own tensors: NaN where nothing is quantized, since
 * an error of zero decibels or infinity would read like a measurement. */
bd_status bd_layer_errors_of(struct bd_layer_errors *out,
                             const struct bd_errors_ask *ask,
                             struct bd_ctl *ctl, struct bd_err *err)
{
    const struct bd_layercfg *l = ask->cfg;
    bd_status st = BD_OK;
    out->w_psnr_db = out->a_psnr_db = out->out_sqnr_db = NAN;
    if (!bd_session_is_float(&l->w)) {
        struct bd_fit_ask fit_ask = {ask->layer, &l->w};
        const struct bd_fit *fit;
        st = bd_fits_get(&fit, ask->fits, fit_ask, ctl, err);
        if (st != BD_OK)
            return st;
        out->w_psnr_db = fit->err.psnr_db;
        bd_fits_unref(ask->fits, fit);
    }
    if (!bd_session_is_float(&l->a) && ask->in.all) {
        struct bd_act_error a;
        st = bd_acts_error(&a, &ask->in, &l->a, err);
        if (st == BD_OK)
            out->a_psnr_db = a.psnr_db;
    }
    return st;
}

struct bd_errors_ask bd_errors_ask_of(const struct bd_session *s, int layer,
                                      const struct bd_layercfg *cfg)
{
    struct bd_errors_ask ask = {.layer = layer, .cfg = cfg, .fits = s->fits};
    if (s->bench)
        ask.in = bd_bench_input(s->bench, layer);
    return ask;
}

/* The statistics of inputs come first (prepare), then each layer alone, then
 * all layers together for what accumulates at the outputs. */
static bd_status errors_of_all(struct bd_layer_errors *layers,
                               struct bd_session *s, struct bd_ctl *ctl,
                               struct bd_err *err)
{
    size_t n = s->m->nlayers;
    double *db = bd_alloc(n, sizeof *db);
    if (!db)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = bd_bench_prepare(s->bench, &s->cfg, ctl, err);
    for (size_t i = 0; i < n && st == BD_OK; i++) {
        db[i] = NAN;
        struct bd_errors_ask ask =
            bd_errors_ask_of(s, (int)i, &s->cfg.layer[i]);
        st = bd_layer_errors_of(&layers[i], &ask, ctl, err);
    }
    if (st == BD_OK && !bd_session_is_original(s))
        st = bd_bench_lockstep(db, s->bench, &s->cfg, ctl, err);
    for (size_t i = 0; i < n && st == BD_OK; i++)
        layers[i].out_sqnr_db = db[i];
    bd_free(db);
    return st;
}

bd_status bd_session_now_eval(struct bd_net_eval *out,
                              struct bd_net_eval *float_out,
                              struct bd_layer_errors *layers,
                              struct bd_session *s, struct bd_ctl *ctl,
                              struct bd_err *err)
{
    struct bd_acc_answer a;
    if (!s->bench)
        return bd_fail(err, BD_EUNSUPPORTED, "%s", s->why);
    bd_status st = bd_bench_accuracy(&a, s->bench, &s->cfg, ctl, err);
    if (st == BD_OK && layers)
        st = errors_of_all(layers, s, ctl, err);
    if (st != BD_OK)
        return st;
    /* An export after this knows the accuracy. */
    s->acc = (struct bd_acc_live){true, false, a.digest, a.eval};
    bd_live_remember(s, &a);
    if (out)
        *out = a.eval;
    if (float_out)
        *float_out = *bd_bench_float_eval(s->bench);
    return BD_OK;
}
