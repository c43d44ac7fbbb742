/* The oracle: layers as their definitions read, in plain loops with double
 * sums.  Slow on purpose; every tuned kernel is tested against it. */
#include "kernel_priv.h"

static void ref_gemm(const struct bd_gemm *g)
{
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            double s = 0;
            for (int64_t k = 0; k < g->k; k++) {
                float a = g->a[g->ta ? k * g->lda + i : i * g->lda + k];
                float b = g->b[g->tb ? j * g->ldb + k : k * g->ldb + j];
                s += (double)a * (double)b;
            }
            float *c = &g->c[i * g->ldc + j];
            /* beta 0 overwrites even NaN, as BLAS does */
            double old = g->beta == 0.0f ? 0.0 : (double)g->beta * (double)*c;
            *c = (float)((double)g->alpha * s + old);
        }
}

static size_t ref_scratch(const struct bd_conv *c)
{
    (void)c;
    return 0;
}

/* Sum under output pixel (oy, ox) of channel co. */
static double ref_pixel(const float *x, const float *w, const struct bd_conv *c,
                        int64_t co, int64_t pixel)
{
    const int64_t cg = c->cin / c->group, oy = pixel / c->ow;
    const int64_t ox = pixel % c->ow, first = co / (c->cout / c->group) * cg;
    double s = 0;
    for (int64_t ci = 0; ci < cg; ci++)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++) {
                int64_t iy = oy * c->sh + ky * c->dh - c->pt;
                int64_t ix = ox * c->sw + kx * c->dw - c->pl;
                if (iy < 0 || iy >= c->h || ix < 0 || ix >= c->w)
                    continue;
                float wk = w[((co * cg + ci) * c->kh + ky) * c->kw + kx];
                float xk = x[((first + ci) * c->h + iy) * c->w + ix];
                s += (double)wk * (double)xk;
            }
    return s;
}

static void ref_conv(float *y, const float *x, const float *w, const float *b,
                     const struct bd_conv *c, float *scratch)
{
    (void)scratch;
    for (int64_t co = 0; co < c->cout; co++)
        for (int64_t p = 0; p < c->oh * c->ow; p++) {
            double s = ref_pixel(x, w, c, co, p) + (b ? (double)b[co] : 0.0);
            y[co * c->oh * c->ow + p] = (float)s;
        }
}

const struct bd_kernels *bd_kernels_ref(void)
{
    static const struct bd_kernels ref = {"ref", ref_gemm, ref_scratch,
                                          ref_conv};
    return &ref;
}
