/* Logarithmic levels A * 2^(-e0 * e), e = 0 .. E-1, and zero
 * (channel_bit_allocation.md section 2); A is the clip, e0 lies in `extra`.
 * E = 2^b - 1 levels, half of them when a bit goes to the sign.  Rounding is
 * in the exponent, so a magnitude is not the nearest one; halves go to the
 * smaller.  Below half of the smallest level everything is zero. */
#include "quant_priv.h"

enum {
    STEPS = 60 /* e0 = i/20, i = 60 .. 1 */
};

static int count_of(const struct bd_qparam *p)
{
    return (1 << (p->is_signed ? p->bits - 1 : p->bits)) - 1;
}

static void mags(struct bd_quant_mags *g, const struct bd_qparam *p)
{
    int count = count_of(p);

    g->n = (size_t)count + 1;
    g->m[0] = 0;
    for (int e = 0; e < count; e++)
        g->m[count - e] = p->clip * exp2(-p->extra * e);
    /* Exactly half of the smallest level still belongs to it. */
    g->t[0] = bd_quant_below(g->m[1] / 2);
    for (int e = 0; e + 1 < count; e++)
        g->t[count - 1 - e] = p->clip * exp2(-p->extra * (e + 0.5));
}

/* Without a searched e0 the levels spread over eight octaves. */
static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    int gaps = count_of(p) - 1;

    if (!(p->extra > 0))
        p->extra = gaps > 8 ? 8.0 / gaps : 1;
    return bd_quant_refit_clip(p, m, err);
}

const struct bd_quantizer bd_quant_log = {
    .name = "log",
    .title = "logarithmic",
    .paper = "Miyashita et al. 2016, arXiv 1603.01025",
    .min_bits = 2,
    .max_bits = 8,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_WEIGHTS | BD_Q_ACTS |
              BD_Q_ODD | BD_Q_SIGNED,
    .fit = bd_quant_fit,
    .refit = refit,
    .mags = mags,
    .levels = bd_quant_mags_levels,
    .cuts = bd_quant_mags_cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_rcf,
    .codes = bd_quant_mags_codes,
    .side_bits = 64, /* clip and e0 */
    .extra_steps = STEPS,
    .extra_unit = 1.0 / 20,
};
