/* PACT activations (Choi et al. 2018) in the form of binary_pact.md section
 * 3, and its variants.  The 1e-6 under the division is the seed's; it moves
 * decision points by about a millionth and is kept so that codes agree. */
#include "quant_priv.h"

static double top_of(const struct bd_qparam *p)
{
    return (double)((1 << p->bits) - 1);
}

static double code_of(double z, double top, double clip)
{
    /* Clamped before rounding: same codes, and no huge values to round. */
    return bd_quant_rint(bd_quant_clamp(z * top / (clip + 1e-6), 0, top));
}

static bd_status refit(struct bd_qparam *p, const struct bd_moments *m,
                       struct bd_err *err)
{
    bd_status s = bd_quant_need_clip(p, err);

    (void)m;
    if (s == BD_OK)
        p->scale = p->clip / top_of(p);
    return s;
}

static void core(double *q, const double *z, size_t n,
                 const struct bd_qparam *p)
{
    double top = top_of(p), clip = p->clip;

    for (size_t i = 0; i < n; i++)
        q[i] = code_of(z[i], top, clip) / top * clip;
}

static void apply(float *y, const float *x, size_t n, const struct bd_qparam *p)
{
    double top = top_of(p);
    struct bd_quant_steps s = {top / (p->clip + 1e-6), 0, top, p->clip / top};

    bd_quant_apply_steps(y, x, n, p, &s);
}

static size_t levels(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(top_of(p));

    for (long c = 0; c <= top; c++)
        bd_quant_emit(out, cap, (size_t)c, (double)c / (double)top * p->clip);
    return (size_t)top + 1;
}

static size_t cuts(double *out, size_t cap, const struct bd_qparam *p)
{
    long top = lrint(top_of(p));

    for (long c = 0; c < top; c++) {
        double half = ((double)c + 0.5) * (p->clip + 1e-6) / (double)top;

        bd_quant_emit(out, cap, (size_t)c, c % 2 ? bd_quant_below(half) : half);
    }
    return (size_t)top;
}

static void codes(int32_t *out, const float *x, size_t n,
                  const struct bd_qparam *p)
{
    double top = top_of(p);

    for (size_t i = 0; i < n; i++)
        out[i] = isnan(x[i]) ? 0 : (int32_t)code_of((double)x[i], top, p->clip);
}

/* Both ends closed off; the clip learns only from what it cuts. */
static double grad(float *dx, const float *dy, const float *x, size_t n,
                   const struct bd_qparam *p)
{
    double dclip = 0;

    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];

        if (v > p->clip)
            dclip += (double)dy[i];
        dx[i] = v > 0 && v < p->clip ? dy[i] : 0.0f;
    }
    return dclip;
}

const struct bd_quantizer bd_quant_pact = {
    .name = "pact",
    .title = "PACT, learned clip",
    .paper = "Choi et al. 2018, arXiv 1805.06085",
    .min_bits = 1,
    .max_bits = 16,
    .traits = BD_Q_IDEMPOTENT | BD_Q_MONOTONE | BD_Q_ACTS,
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

/* ---------------------------------------------------------- variants */
/* Large near a decision point, small in the middle of a step.  The logistic
 * density is even in t, so |t| keeps the exponential from overflowing. */
double bd_pact_surrogate(double x, double clip, int bits, double a)
{
    double step = clip / (double)((1 << bits) - 1), ap = a / step;
    double u = x / step - 0.5, t = (u - rint(u)) * step;
    double e = exp(-ap * fabs(t));
    double c = 1 / (2 / (1 + exp(-ap / 2)) - 1);

    return c * e / ((1 + e) * (1 + e));
}

float bd_pact_fixed(float x, int bits)
{
    float top = (float)((1 << bits) - 1);
    float r = rintf(x);

    r = r < 0 ? 0 : r;
    return r > top ? top : r;
}

double bd_pact_exponential(double x, double alpha, int bits, bool clamp)
{
    double top = (double)((1 << bits) - 1);
    double base = (fabs(alpha) + 1e-6) / exp2(top), e;

    if (x == 0 || (clamp && x < 0))
        return 0;
    e = fmin(rint(log2(fabs(x) / base)), top);
    if (clamp)
        e = fmax(e, 0);
    return base * exp2(e);
}
