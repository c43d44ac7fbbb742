/* Ternary weight networks (Li et al. 2016; binary_pact.md section 6):
 * |w| <= delta = 0.7 * mean|w| goes to 0, the rest to plus or minus the mean
 * of the magnitudes kept.  That mean needs the values themselves, so there is
 * no refit from moments. */
#include "quant_priv.h"

static bd_status fit(struct bd_qparam *p, const float *x, size_t n,
                     struct bd_err *err)
{
    struct bd_moments m;
    double sum = 0;
    size_t kept = 0;

    (void)err;
    bd_moments_of(&m, x, n);
    p->extra = 0.7 * m.absmean;
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]) && fabs((double)x[i]) > p->extra) {
            sum += fabs((double)x[i]);
            kept++;
        }
    p->scale = kept ? sum / (double)kept : 0;
    p->clip = p->scale;
    return BD_OK;
}

static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    g->n = p->scale > 0 ? 2 : 1;
    g->m[0] = 0;
    g->m[1] = p->scale;
    g->t[0] = p->extra;
}

const struct bd_quantizer bd_quant_ternary = {
    .name = "ternary",
    .title = "ternary, threshold 0.7 mean",
    .paper = "Li et al. 2016, arXiv 1605.04711",
    .min_bits = 2,
    .max_bits = 2,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_WEIGHTS | BD_Q_ODD |
              BD_Q_NO_CLIP,
    .fit = fit,
    .mags = mags,
    .levels = bd_quant_mags_levels,
    .cuts = bd_quant_mags_cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_through,
    .codes = bd_quant_mags_codes,
    .side_bits = 32, /* scale */
};
