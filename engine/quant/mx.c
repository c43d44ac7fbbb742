/* Microscaling blocks (OCP MX v1.0, 2023): 32 values share one power of two,
 * stored in eight bits (E8M0); each value is a small float or whole number
 * times it.  The shared exponent is that of the largest magnitude less the
 * largest exponent of the element (section 6.3), so that the largest value
 * uses the element's top binade; what then lies above the largest element is
 * clamped, as the standard says.  Nothing is left to choose, hence no clip.
 *
 * Blocks run along the values of one output channel, which are those summed
 * by a matrix product. */
#include "float_priv.h"

enum {
    BLOCK = 32,
    SHARED = 127 /* E8M0 holds exponents -127 .. 127 */
};

static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    int e = m->absmax > 0 ? ilogb(m->absmax) - p->q->format->emax : -SHARED;

    (void)err;
    e = e < -SHARED ? -SHARED : e > SHARED ? SHARED : e;
    p->extra = e;
    p->scale = ldexp(1, e);
    p->clip = p->q->format->max * p->scale;
    return BD_OK;
}

/* clang-format off */
#define MX(row, NAME, ALIAS, BITS, FORMAT)                                     \
    const struct bd_quantizer row = {                                          \
        .name = NAME,                                                          \
        .title = NAME " blocks, shared power of two",                          \
        .paper = "OCP Microscaling Formats (MX) v1.0, 2023; arXiv 2310.10537", \
        .alias = ALIAS,                                                        \
        .min_bits = BITS,                                                      \
        .max_bits = BITS,                                                      \
        .group = BLOCK,                                                        \
        .format = &(FORMAT),                                                   \
        .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST |             \
                  BD_Q_WEIGHTS | BD_Q_ODD | BD_Q_NO_CLIP | BD_Q_BLOCKS,        \
        .fit = bd_quant_fit,                                                   \
        .refit = refit,                                                        \
        .core = bd_quant_float_core,                                           \
        .levels = bd_quant_float_levels,                                       \
        .cuts = bd_quant_float_cuts,                                           \
        .apply = bd_quant_apply,                                               \
        .grad = bd_quant_grad_through,                                         \
        .codes = bd_quant_float_codes,                                         \
        .side_bits = 8, /* the shared exponent */                              \
    }
/* clang-format on */

MX(bd_quant_mxfp8_e4m3, "mxfp8-e4m3", "mxfp8", 8, bd_float_e4m3);
MX(bd_quant_mxfp8_e5m2, "mxfp8-e5m2", NULL, 8, bd_float_e5m2);
MX(bd_quant_mxfp6_e3m2, "mxfp6-e3m2", NULL, 6, bd_float_e3m2);
MX(bd_quant_mxfp6_e2m3, "mxfp6-e2m3", "mxfp6", 6, bd_float_e2m3);
MX(bd_quant_mxfp4_e2m1, "mxfp4-e2m1", "mxfp4", 4, bd_float_e2m1);
MX(bd_quant_mxint8, "mxint8", NULL, 8, bd_float_int8);
