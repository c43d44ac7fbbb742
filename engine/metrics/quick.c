/* The squared error of weights nobody has indexed yet, in one plain pass:
 * what the interface shows a few milliseconds after the first key on a large
 * layer, before its index and the full account stand. */
#include "metrics/metrics.h"

#include <math.h>

enum {
    BLOCK = 1024, /* values quantized at a time */
    LANES = 8     /* independent sums, added in a fixed order */
};

struct quick {
    struct bd_sum err2, power;
    float peak;
    int64_t n;
};

static double across(const double v[LANES])
{
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

/* n is a multiple of LANES; the caller fills up with zeros. */
static void add_block(struct quick *q, const float *x, const float *y,
                      size_t n)
{
    double err2[LANES] = {0}, power[LANES] = {0};
    float peak[LANES] = {0};

    for (size_t i = 0; i < n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            double v = (double)x[i + k], d = v - (double)y[i + k];
            float a = fabsf(x[i + k]);

            err2[k] += d * d;
            power[k] += v * v;
            peak[k] = a > peak[k] ? a : peak[k];
        }
    bd_sum_add(&q->err2, across(err2));
    bd_sum_add(&q->power, across(power));
    for (size_t k = 0; k < LANES; k++)
        q->peak = fmaxf(q->peak, peak[k]);
}

static void add_run(void *arg, const struct bd_qparam *p, const float *x,
                    size_t n)
{
    struct quick *q = arg;

    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        size_t whole = (m + LANES - 1) / LANES * LANES;
        float in[BLOCK] = {0}, out[BLOCK] = {0};

        for (size_t k = 0; k < m; k++)
            in[k] = x[i + k];
        p->q->apply(out, in, m, p);
        add_block(q, in, out, whole);
    }
    q->n += (int64_t)n;
}

bd_status bd_error_quick(struct bd_error_stats *out,
                         const struct bd_weights *w,
                         const struct bd_tensorcfg *cfg, struct bd_ctl *ctl,
                         struct bd_err *err)
{
    struct bd_qset set = {0};
    struct quick q = {0};
    double n;
    bd_status s;

    if (cfg->channel != NULL || cfg->clip == BD_CLIP_MSE ||
        bd_quantizer_at(cfg->quant)->learn)
        return bd_fail(err, BD_EUNSUPPORTED, "needs more than one pass");
    s = bd_calib_weights(&set, w, cfg, ctl, err);
    if (s != BD_OK)
        return s;
    bd_qset_visit(w, &set, add_run, &q);
    n = q.n > 0 ? (double)q.n : 1;
    *out = (struct bd_error_stats){.n = q.n, .peak = (double)q.peak};
    out->mse = bd_sum_get(&q.err2) / n;
    out->psnr_db = bd_psnr_db(out->peak, out->mse);
    out->sqnr_db = bd_sqnr_db(bd_sum_get(&q.power) / n, out->mse);
    if (set.n > 0) /* in the weights' own units */
        out->clip = set.p->clip * (set.p->sigma > 0 ? set.p->sigma : 1);
    bd_qset_done(&set);
    return BD_OK;
}
