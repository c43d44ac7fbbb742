/* Additive powers of two: two bits per term (apot.md).  Signed data spends
 * one bit on the sign, so a 4-bit layer uses M(3) for weights and M(4) for
 * activations; at 2 bits the weights are the ternary M(1). */
#include "quant_priv.h"

static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    bd_quant_additive_mags(g, p, 2);
}

const struct bd_quantizer bd_quant_apot = {
    .name = "apot",
    .title = "additive powers of two",
    .paper = "Li et al. 2020, arXiv 1909.13144",
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
