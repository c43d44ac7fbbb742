/* Gradients of a convolution, one image.
 *
 *   dw[co, k]  += dy[co, p] * cols[k, p]     (im2col, then a product)
 *   db[co]     += sum of dy[co, p]
 *   dx          = correlation of dy with the weights turned round
 *
 * With stride 1 the last is itself a convolution of dy, padding
 * (k - 1) * dilation - pad, and runs on the forward kernel.  With a stride
 * dy would be mostly holes, so the columns of the gradient are made by a
 * product and added back instead.  Pointwise layers need neither: their
 * picture is its own columns. */
#include "kernel_priv.h"

#include <string.h>

static bool pointwise(const struct bd_conv *c)
{
    return c->kh * c->kw == 1 && c->sh == 1 && c->sw == 1 && c->pt == 0 &&
           c->pl == 0 && c->oh == c->h && c->ow == c->w;
}

static bool turned(const struct bd_conv *c)
{
    return c->sh == 1 && c->sw == 1 && !pointwise(c);
}

/* The convolution from dy to dx. */
static struct bd_conv turn(const struct bd_conv *c)
{
    struct bd_conv t = *c;
    t.cin = c->cout;
    t.h = c->oh;
    t.w = c->ow;
    t.cout = c->cin;
    t.oh = c->h;
    t.ow = c->w;
    t.pt = (c->kh - 1) * c->dh - c->pt;
    t.pl = (c->kw - 1) * c->dw - c->pl;
    return t;
}

static size_t weights(const struct bd_conv *c)
{
    size_t n = bd_kernel_mul((size_t)c->cout, c->cin / c->group);
    n = bd_kernel_mul(n, c->kh * c->kw);
    return bd_kernel_add(n, 15) / 16 * 16;
}

size_t bd_conv_backward_scratch(const struct bd_conv *c)
{
    size_t cols = bd_kernel_cols(c);
    if (pointwise(c))
        return 0;
    if (!turned(c))
        return cols;
    struct bd_conv t = turn(c);
    size_t n = bd_kernel_conv_scratch(bd_kernel_tile(), &t);
    n = bd_kernel_add(n, weights(c));
    return n > cols ? n : cols; /* the two halves take turns */
}

/* out[ci, co, kh-1-ky, kw-1-kx] = w[co, ci, ky, kx] within each group. */
static void turn_weights(float *out, const float *w, const struct bd_conv *c)
{
    const int64_t taps = c->kh * c->kw, cg = c->cin / c->group;
    const int64_t og = c->cout / c->group;
    for (int64_t g = 0; g < c->group; g++)
        for (int64_t co = 0; co < og; co++)
            for (int64_t ci = 0; ci < cg; ci++) {
                const float *src = w + ((g * og + co) * cg + ci) * taps;
                float *dst = out + ((g * cg + ci) * og + co) * taps;
                for (int64_t k = 0; k < taps; k++)
                    dst[taps - 1 - k] = src[k];
            }
}

static void input_gradient(float *dx, const float *dy, const float *w,
                           const struct bd_conv *c, float *scratch)
{
    struct bd_conv t = turn(c);
    struct bd_conv_io io = {dx, dy, scratch, NULL, scratch + weights(c)};
    turn_weights(scratch, w, c);
    bd_kernel_conv(bd_kernel_tile(), &t, io);
}

/* One group by a product: columns of the gradient, then back to pixels. */
static void input_gradient_cols(float *dx, const float *dy, const float *w,
                                const struct bd_conv *c, float *cols)
{
    const int64_t k = c->cin / c->group * c->kh * c->kw;
    const int64_t p = c->oh * c->ow;
    struct bd_gemm g = {.ta = true,
                        .m = k,
                        .n = p,
                        .k = c->cout / c->group,
                        .alpha = 1.0f,
                        .a = w,
                        .b = dy,
                        .c = pointwise(c) ? dx : cols,
                        .lda = k,
                        .ldb = p,
                        .ldc = p};
    bd_kernel_gemm_blas(&g);
    if (!pointwise(c))
        bd_kernel_col2im(dx, cols, c);
}

static void weight_gradient(float *dw, const float *dy, const float *x,
                            const struct bd_conv *c, float *cols)
{
    const int64_t k = c->cin / c->group * c->kh * c->kw;
    const int64_t p = c->oh * c->ow;
    struct bd_gemm g = {.tb = true,
                        .m = c->cout / c->group,
                        .n = k,
                        .k = p,
                        .alpha = 1.0f,
                        .beta = 1.0f,
                        .a = dy,
                        .b = pointwise(c) ? x : cols,
                        .c = dw,
                        .lda = p,
                        .ldb = p,
                        .ldc = k};
    if (!pointwise(c))
        bd_kernel_im2col(cols, x, c);
    bd_kernel_gemm_blas(&g);
}

static void bias_gradient(float *db, const float *dy, const struct bd_conv *c)
{
    for (int64_t co = 0; co < c->cout; co++) {
        double s = 0;
        for (int64_t p = 0; p < c->oh * c->ow; p++)
            s += (double)*dy++;
        db[co] += (float)s;
    }
}

void bd_conv_backward(struct bd_conv_grad g, const float *dy, const float *x,
                      const float *w, const struct bd_conv *c, float *scratch)
{
    const int64_t cg = c->cin / c->group, og = c->cout / c->group;
    const int64_t nw = og * cg * c->kh * c->kw;
    if (g.db)
        bias_gradient(g.db, dy, c);
    if (g.dx && turned(c))
        input_gradient(g.dx, dy, w, c, scratch);
    for (int64_t i = 0; i < c->group; i++) {
        const float *dyi = dy + i * og * c->oh * c->ow;
        if (g.dw)
            weight_gradient(g.dw + i * nw, dyi, x + i * cg * c->h * c->w, c,
                            scratch);
        if (g.dx && !turned(c))
            input_gradient_cols(g.dx + i * cg * c->h * c->w, dyi, w + i * nw, c,
                                scratch);
    }
}
