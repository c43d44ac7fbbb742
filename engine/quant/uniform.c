/* Symmetric uniform steps around zero: narrow range -(2^(b-1)-1) ..
 * 2^(b-1)-1 for signed data, 0 .. 2^b-1 for unsigned; ties to the even code
 * (apot.md sections 2 and 3).  On weights it does not normalise, so that the
 * clip rule `max` means what people expect; set mu, sigma and map_back in the
 * parameters to get the normalised form. */
#include "quant_priv.h"

static double steps_of(const struct bd_qparam *p)
{
    return (double)((1 << (p->is_signed ? p->bits - 1 : p->bits)) - 1);
}

/* The step itself is never multiplied up: (code / steps) * clip makes the top
 * level exactly the clip. */
static void core(double *q, const double *z, size_t n,
                 const struct bd_qparam *p)
{
    double steps = steps_of(p), lo = p->is_signed ? -1 : 0, clip = p->clip;

    for (size_t i = 0; i < n; i++) {
        double d = bd_quant_clamp(z[i] / clip, lo, 1);

        q[i] = bd_quant_rint(d * steps) / steps * clip;
    }
}

static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    bd_status s = bd_quant_need_clip(p, err);

    (void)m;
    if (s == BD_OK)
        p->scale = p->clip / steps_of(p);
    return s;
}

static void apply(float *y, const float *x, size_t n, const struct bd_qparam *p)
{
    double top = steps_of(p);
    struct bd_quant_steps s = {top / p->clip, p->is_signed ? -top : 0, top,
                               p->clip / top};

    bd_quant_apply_steps(y, x, n, p, &s);
}

static size_t levels(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(steps_of(p)), lo = p->is_signed ? -top : 0;
    size_t k = 0;

    for (long c = lo; c <= top; c++)
        bd_quant_emit(out, cap, k++, (double)c / (double)top * p->clip);
    return bd_quant_out(out, cap, k, p);
}

/* Between codes c and c+1 an exact half goes to the even one: when that is
 * the upper, the cut moves just below the half. */
static size_t cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(steps_of(p)), lo = p->is_signed ? -top : 0;
    size_t k = 0;

    for (long c = lo; c < top; c++) {
        double half = ((double)c + 0.5) / (double)top * p->clip;

        bd_quant_emit(out, cap, k++, c % 2 ? bd_quant_below(half) : half);
    }
    return bd_quant_out(out, cap, k, p);
}

static void codes(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    double steps = steps_of(p), lo = p->is_signed ? -1 : 0;
    double inv = p->sigma == 0 ? 0 : 1;

    for (size_t i = 0; i < n; i++) {
        double z = ((double)x[i] - p->mu) / (inv == 0 ? 1 : p->sigma) * inv;
        double d = bd_quant_clamp(z / p->clip, lo, 1);

        out[i] = d == d ? (int32_t)bd_quant_rint(d * steps) : 0;
    }
}

const struct bd_quantizer bd_quant_uniform = {
    .name = "uniform",
    .title = "uniform, symmetric",
    .paper = "Jacob et al. 2018, arXiv 1712.05877",
    .min_bits = 2,
    .max_bits = 16,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_NEAREST | BD_Q_WEIGHTS |
              BD_Q_ACTS | BD_Q_ODD | BD_Q_SIGNED,
    .fit = bd_quant_fit,
    .refit = refit,
    .core = core,
    .levels = levels,
    .cuts = cuts,
    .apply = apply,
    .grad = bd_quant_grad_rcf,
    .codes = codes,
    .side_bits = 32, /* step */
};
