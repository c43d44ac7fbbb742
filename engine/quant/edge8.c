/* The APoT seed's rule for first and last layers: q = rint(127*w/mx)/127*mx
 * with mx = max(w), the signed maximum (apot.md section 6).  Where the most
 * negative weight is larger in magnitude, codes run below -127; the seed's
 * checkpoints were trained with that, so it stays.  For new configurations
 * `uniform` at 8 bits is the sound choice. */
#include "quant_priv.h"

enum {
    LOWEST = -32768 /* beyond this the rule has lost all meaning */
};

/* extra = the lowest code in use, -127 or below. */
static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    if (m->n > 0 && !(m->max > 0) && m->absmax > 0)
        return bd_fail(err, BD_EINVALID,
                       "'edge8' divides by the largest weight, which is %g; "
                       "use 'uniform' at 8 bits",
                       m->max);
    p->clip = m->max > 0 ? m->max : 1;
    p->scale = p->clip / 127;
    p->extra = fmin(-127, rint(m->min / p->clip * 127));
    if (p->extra < LOWEST)
        return bd_fail(err, BD_EINVALID,
                       "'edge8' divides by the largest weight, %g, but the "
                       "smallest is %g; use 'uniform' at 8 bits",
                       m->max, m->min);
    return BD_OK;
}

static double code_of(double z, const struct bd_qparam *p)
{
    return bd_quant_rint(bd_quant_clamp(z / p->clip * 127, p->extra, 127));
}

static void core(double *q, const double *z, size_t n,
                 const struct bd_qparam *p)
{
    for (size_t i = 0; i < n; i++)
        q[i] = code_of(z[i], p) / 127 * p->clip;
}

static size_t levels(double *out, size_t cap, const struct bd_qparam *p)
{
    size_t k = 0;

    for (double c = p->extra; c <= 127; c++)
        bd_quant_emit(out, cap, k++, c / 127 * p->clip);
    return k;
}

static size_t cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    size_t k = 0;

    for (double c = p->extra; c < 127; c++) {
        double half = (c + 0.5) / 127 * p->clip;

        bd_quant_emit(out, cap, k++,
                      fmod(c, 2) != 0 ? bd_quant_below(half) : half);
    }
    return k;
}

static void codes(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    for (size_t i = 0; i < n; i++)
        out[i] = isnan(x[i]) ? 0 : (int32_t)code_of((double)x[i], p);
}

const struct bd_quantizer bd_quant_edge8 = {
    .name = "edge8",
    .title = "8 bits by the signed maximum",
    .paper = "APoT seed, first and last layer",
    .min_bits = 8,
    .max_bits = 8,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS |
              BD_Q_NO_CLIP | BD_Q_OPEN,
    .fit = bd_quant_fit,
    .refit = refit,
    .core = core,
    .levels = levels,
    .cuts = cuts,
    .apply = bd_quant_apply,
    .grad = bd_quant_grad_through,
    .codes = codes,
    .side_bits = 32, /* maximum */
};
