/* Powers of two: 0 and 2^-e, e = 0 .. 2^B - 2 (apot.md section 2).  The
 * additive rule with all bits in one term. */
#include "quant_priv.h"

static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    bd_quant_additive_mags(g, p, 0);
}

const struct bd_quantizer bd_quant_pot = {
    .name = "pot",
    .title = "powers of two",
    .paper = "Miyashita et al. 2016, arXiv 1603.01025",
    .min_bits = 2,
    .max_bits = 8,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS |
              BD_Q_ACTS | BD_Q_ODD | BD_Q_NORMALISES | BD_Q_SIGNED,
    .fit = bd_quant_fit,
    .refit = bd_quant_refit_clip,
    .mags = mags,
    .levels = bd_quant_mags_levels,
    .cuts = bd_quant_mags_cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_rcf,
    .codes = bd_quant_mags_codes,
    .side_bits = 96, /* clip, mean, deviation */
};
