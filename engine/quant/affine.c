/* Uniform steps over min .. max with a zero point: y = (code - zero) * scale,
 * code = 0 .. 2^b - 1.  The range always holds 0, which is a level, so that
 * padding and dead channels stay exact (Jacob et al. 2018).  The clip bounds
 * the range on both sides. */
#include "quant_priv.h"

static double top_of(const struct bd_qparam *p)
{
    return (double)((1 << p->bits) - 1);
}

static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    double lo = fmin(m->min, 0), hi = fmax(m->max, 0);
    bd_status s = bd_quant_need_clip(p, err);

    if (s != BD_OK)
        return s;
    lo = fmax(lo, -p->clip);
    hi = fmin(hi, p->clip);
    if (!(hi - lo > 0))
        hi = p->clip; /* nothing but zeros: any step serves */
    p->scale = (hi - lo) / top_of(p);
    p->zero = bd_quant_rint(-lo / p->scale);
    return BD_OK;
}

static double code_of(double z, const struct bd_qparam *p, double top)
{
    /* Clamped before rounding, so that rounding never sees huge values. */
    double v = bd_quant_clamp(z / p->scale, -p->zero, top - p->zero);

    return bd_quant_rint(v) + p->zero;
}

static void core(double *q, const double *z, size_t n,
                 const struct bd_qparam *p)
{
    double top = top_of(p);

    for (size_t i = 0; i < n; i++)
        q[i] = (code_of(z[i], p, top) - p->zero) * p->scale;
}

static void apply(float *y, const float *x, size_t n, const struct bd_qparam *p)
{
    struct bd_quant_steps s = {1 / p->scale, -p->zero, top_of(p) - p->zero,
                               p->scale};

    bd_quant_fast_steps(y, x, n, p, &s);
}

static size_t levels(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(top_of(p));

    for (long c = 0; c <= top; c++)
        bd_quant_emit(out, cap, (size_t)c, ((double)c - p->zero) * p->scale);
    return bd_quant_out(out, cap, (size_t)top + 1, p);
}

static size_t cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(top_of(p)), zero = lrint(p->zero);

    for (long c = 0; c < top; c++) {
        double half = ((double)(c - zero) + 0.5) * p->scale;
        bool up = (c - zero) % 2 != 0; /* the even multiple wins a tie */

        bd_quant_emit(out, cap, (size_t)c, up ? bd_quant_below(half) : half);
    }
    return bd_quant_out(out, cap, (size_t)top, p);
}

static void codes(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    double top = top_of(p);

    for (size_t i = 0; i < n; i++)
        out[i] = isnan(x[i]) ? (int32_t)p->zero
                             : (int32_t)code_of((double)x[i], p, top);
}

/* Straight through between the ends of the range. */
static double grad(float *dx, const float *dy, const float *x, size_t n,
                   const struct bd_qparam *p)
{
    double lo = -p->zero * p->scale, hi = (top_of(p) - p->zero) * p->scale;

    for (size_t i = 0; i < n; i++)
        dx[i] = (double)x[i] >= lo && (double)x[i] <= hi ? dy[i] : 0.0f;
    return 0;
}

const struct bd_quantizer bd_quant_affine = {
    .name = "affine",
    .title = "uniform, with zero point",
    .paper = "Jacob et al. 2018, arXiv 1712.05877",
    .min_bits = 2,
    .max_bits = 16,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS |
              BD_Q_ACTS | BD_Q_SIGNED,
    .fit = bd_quant_fit,
    .refit = refit,
    .core = core,
    .levels = levels,
    .cuts = cuts,
    .apply = apply,
    .grad = grad,
    .codes = codes,
    .side_bits = 48, /* scale and a 16-bit zero point */
};
