/* NormalFloat of four bits (QLoRA, Dettmers et al. 2023, appendix E): levels
 * at quantiles of the normal distribution, eight steps above zero and seven
 * below, so that zero itself is one of them; scaled by the largest magnitude
 * of a group of 64.  Left and right differ, so the grid is not mirrored. */
#include "quant_priv.h"

enum {
    LEVELS = 16,
    GROUP = 64
};

/* As published, in float32 (a test makes them again from the rule). */
static const float nf4[LEVELS] = {
    -1.0F,           -0.6961928F,  -0.52507305F, -0.3949175F,
    -0.28444138F,    -0.18477343F, -0.091050036F, 0.0F,
    0.0795803F,      0.1609302F,   0.2461123F,   0.33791524F,
    0.44070983F,     0.562617F,    0.72295684F,  1.0F,
};

static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    g->direct = true;
    g->n = LEVELS;
    for (int i = 0; i < LEVELS; i++)
        g->m[i] = (double)nf4[i] * p->clip;
    for (int i = 0; i + 1 < LEVELS; i++)
        g->t[i] = ((double)nf4[i] + (double)nf4[i + 1]) / 2 * p->clip;
}

const struct bd_quantizer bd_quant_nf4 = {
    .name = "nf4",
    .title = "NormalFloat, 16 quantiles of a normal",
    .paper = "Dettmers et al. 2023 (QLoRA), arXiv 2305.14314",
    .min_bits = 4,
    .max_bits = 4,
    .group = GROUP,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS,
    .fit = bd_quant_fit,
    .refit = bd_quant_refit_clip,
    .mags = mags,
    .levels = bd_quant_mags_levels,
    .cuts = bd_quant_mags_cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_rcf,
    .codes = bd_quant_mags_codes,
    .side_bits = 32, /* the largest magnitude */
};
