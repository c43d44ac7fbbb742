/* One bit: sign(w) times s = mean|w|, which minimises ||w - s*u|| over
 * u in {-1,+1} (binary_pact.md section 1).  Per channel it is BWN / XNOR-Net
 * (section 6).  sign(0) = +1 for both zeros, so the result is truly one bit;
 * extra = 1 keeps zeros at zero as the seed does. */
#include "quant_priv.h"

static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    (void)err;
    p->scale = m->absmean;
    p->clip = m->absmean;
    return BD_OK;
}

/* With zeros kept, only 0 itself has magnitude 0. */
static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    bool keep = p->extra == 1 || p->scale == 0;

    g->two_sided = !keep;
    g->n = keep && p->scale > 0 ? 2 : 1;
    g->m[0] = keep ? 0 : p->scale;
    g->m[1] = p->scale;
    g->t[0] = 0;
}

const struct bd_quantizer bd_quant_binary = {
    .name = "binary",
    .title = "binary, sign and scale",
    .paper = "Rastegari et al. 2016, arXiv 1603.05279",
    .min_bits = 1,
    .max_bits = 1,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS |
              BD_Q_NO_CLIP,
    .fit = bd_quant_fit,
    .refit = refit,
    .mags = mags,
    .levels = bd_quant_mags_levels,
    .cuts = bd_quant_mags_cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_through,
    .codes = bd_quant_mags_codes,
    .side_bits = 32, /* scale */
};
