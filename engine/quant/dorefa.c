/* DoReFa (Zhou et al. 2016).
 *
 * Weights, 2 bits and more: t = tanh(w) / max|tanh(w)|, mapped to [0,1],
 * rounded to 2^b levels, mapped to [-1,1].  A network trained this way uses
 * that value itself (map_back off); for a float network it is multiplied by
 * the clip, which stands for max|w|, so that levels lie on the weights' own
 * scale.  There is no level at 0.  1 bit: sign times mean|w|.
 *
 * Activations: c/L * floor(clip(x,0,c)/c * L + 1/2), L = 2^b - 1
 * (channel_bit_allocation.md section 2; classical DoReFa has c = 1). */
#include "quant_priv.h"

static double top_of(const struct bd_qparam *p)
{
    return (double)((1 << p->bits) - 1);
}

static bool one_bit(const struct bd_qparam *p)
{
    return p->weights && p->bits == 1;
}

/* Whole-number code 0 .. L of z. */
static double code_of(double z, const struct bd_qparam *p, double top)
{
    double u;

    if (one_bit(p))
        return z < 0 ? 0 : 1;
    if (!p->weights)
        u = bd_quant_clamp(z, 0, p->clip) / p->clip;
    else
        u = bd_quant_clamp(tanh(z) / p->extra, -1, 1) / 2 + 0.5;
    return floor(u * top + 0.5);
}

static double level_of(double code, const struct bd_qparam *p, double top)
{
    if (one_bit(p))
        return code > 0 ? p->scale : -p->scale;
    if (!p->weights)
        return code / top * p->clip;
    return (2 * code / top - 1) * p->scale;
}

/* extra = tanh(clip), the largest |tanh| that is not clipped. */
static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    bd_status s;

    if (one_bit(p)) {
        p->scale = m->absmean;
        p->clip = m->absmean;
        return BD_OK;
    }
    s = bd_quant_need_clip(p, err);
    if (s != BD_OK)
        return s;
    p->extra = tanh(p->clip);
    p->scale = p->clip;
    if (!p->weights)
        p->scale = p->clip / top_of(p);
    return BD_OK;
}

static void core(double *q, const double *z, size_t n,
                 const struct bd_qparam *p)
{
    double top = top_of(p);

    for (size_t i = 0; i < n; i++)
        q[i] = level_of(code_of(z[i], p, top), p, top);
}

/* As used in a network trained with it, weights lie in [-1,1]. */
static void apply(float *y, const float *x, size_t n, const struct bd_qparam *p)
{
    struct bd_qparam unit = *p;

    if (p->weights && p->bits > 1 && !p->map_back)
        unit.scale = 1;
    bd_quant_apply(y, x, n, &unit);
}

static size_t levels(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(top_of(p));

    for (long c = 0; c <= top; c++)
        bd_quant_emit(out, cap, (size_t)c, level_of((double)c, p, (double)top));
    return (size_t)top + 1;
}

/* Ties go up, hence just below the half. */
static size_t cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(top_of(p));

    for (long c = 0; c < top; c++) {
        double u = ((double)c + 0.5) / (double)top;
        double half = u * p->clip;

        if (one_bit(p))
            half = 0;
        else if (p->weights)
            half = atanh((2 * u - 1) * p->extra);
        bd_quant_emit(out, cap, (size_t)c, bd_quant_below(half));
    }
    return (size_t)top;
}

static void codes(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    double top = top_of(p);

    for (size_t i = 0; i < n; i++)
        out[i] = isnan(x[i]) ? 0 : (int32_t)code_of((double)x[i], p, top);
}

/* The rounding passes gradients straight through; tanh and the clip do not. */
static double grad(float *dx, const float *dy, const float *x, size_t n,
                   const struct bd_qparam *p)
{
    double gain =
        p->weights && p->bits > 1 ? (p->map_back ? p->scale : 1) / p->extra : 1;

    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], t = tanh(v);
        bool inside = v >= (p->weights ? -p->clip : 0) && v <= p->clip;

        if (one_bit(p))
            dx[i] = dy[i];
        else if (!inside)
            dx[i] = 0;
        else
            dx[i] = p->weights ? (float)((double)dy[i] * gain * (1 - t * t))
                               : dy[i];
    }
    return 0;
}

const struct bd_quantizer bd_quant_dorefa = {
    .name = "dorefa",
    .title = "DoReFa",
    .paper = "Zhou et al. 2016, arXiv 1606.06160",
    .min_bits = 1,
    .max_bits = 16,
    .traits = BD_Q_MONOTONE | BD_Q_WEIGHTS | BD_Q_ACTS,
    .fit = bd_quant_fit,
    .refit = refit,
    .core = core,
    .levels = levels,
    .cuts = cuts,
    .apply = apply,
    .grad = grad,
    .codes = codes,
    .side_bits = 32, /* clip */
};
