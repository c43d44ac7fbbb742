/* Speed of convolution on the layers of ResNet-20 and a few of ResNet-50:
 * microseconds per image on one core, forward and backward, beside im2col
 * followed by a product.  The best of five rounds counts. */
#include "kernel/kernel_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct layer {
    const char *name;
    int64_t cin, side, cout, k, stride, group;
    int times; /* in ResNet-20 */
};

static const struct layer layers[] = {
    {"first 3x3", 3, 32, 16, 3, 1, 1, 1},
    {"stage 1", 16, 32, 16, 3, 1, 1, 6},
    {"into stage 2", 16, 32, 32, 3, 2, 1, 1},
    {"stage 2", 32, 16, 32, 3, 1, 1, 5},
    {"into stage 3", 32, 16, 64, 3, 2, 1, 1},
    {"stage 3", 64, 8, 64, 3, 1, 1, 5},
    {"ResNet-50 7x7", 3, 224, 64, 7, 2, 1, 0},
    {"ResNet-50 3x3", 64, 56, 64, 3, 1, 1, 0},
    {"ResNet-50 1x1", 256, 56, 64, 1, 1, 1, 0},
    {"ResNet-50 end", 512, 7, 512, 3, 1, 1, 0},
    {"depthwise", 64, 32, 64, 3, 1, 64, 0},
};

struct buffers {
    float *x, *y, *w, *dx, *dw, *scratch;
};

enum { FORWARD, BACKWARD, IM2COL, WAYS };

static struct bd_conv conv_of(const struct layer *l)
{
    struct bd_conv c = {.cin = l->cin,
                        .h = l->side,
                        .w = l->side,
                        .cout = l->cout,
                        .group = l->group,
                        .kh = l->k,
                        .kw = l->k,
                        .sh = l->stride,
                        .sw = l->stride,
                        .dh = 1,
                        .dw = 1,
                        .pt = l->k / 2,
                        .pl = l->k / 2};
    c.oh = c.ow = (l->side + 2 * c.pt - l->k) / l->stride + 1;
    return c;
}

static float *noise(int64_t n)
{
    struct bd_rng r = {1};
    float *x = bd_alloc((size_t)n, sizeof *x);
    for (int64_t i = 0; x && i < n; i++)
        x[i] = (float)bd_rng_unit(&r);
    if (!x)
        exit(1);
    return x;
}

static struct buffers make(const struct bd_conv *c)
{
    size_t n = bd_kernels_best()->conv_scratch(c);
    size_t back = bd_conv_backward_scratch(c), cols = bd_kernel_cols(c);
    int64_t nw = c->cout * (c->cin / c->group) * c->kh * c->kw;
    n = n > back ? n : back;
    return (struct buffers){noise(c->cin * c->h * c->w),
                            noise(c->cout * c->oh * c->ow),
                            noise(nw),
                            noise(c->cin * c->h * c->w),
                            noise(nw),
                            noise((int64_t)(n > cols ? n : cols))};
}

static void drop(struct buffers *b)
{
    bd_free(b->x);
    bd_free(b->y);
    bd_free(b->w);
    bd_free(b->dx);
    bd_free(b->dw);
    bd_free(b->scratch);
}

static void once(int way, const struct bd_conv *c, const struct buffers *b)
{
    const int64_t k = c->cin * c->kh * c->kw, p = c->oh * c->ow;
    struct bd_gemm g = {.m = c->cout,
                        .n = p,
                        .k = k,
                        .alpha = 1,
                        .a = b->w,
                        .b = b->scratch,
                        .c = b->y,
                        .lda = k,
                        .ldb = p,
                        .ldc = p};
    if (way == FORWARD) {
        bd_kernels_best()->conv(b->y, b->x, b->w, NULL, c, b->scratch);
    } else if (way == BACKWARD) {
        bd_conv_backward((struct bd_conv_grad){b->dx, b->dw, NULL}, b->y, b->x,
                         b->w, c, b->scratch);
    } else {
        bd_kernel_im2col(b->scratch, b->x, c);
        bd_kernel_gemm_blas(&g);
    }
}

/* Seconds of one run. */
static double timed(int way, const struct bd_conv *c, const struct buffers *b,
                    int repeat)
{
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        int64_t start = bd_now_ns();
        for (int i = 0; i < repeat; i++)
            once(way, c, b);
        double s = (double)(bd_now_ns() - start) / 1e9 / repeat;
        best = s < best ? s : best;
    }
    return best;
}

int main(void)
{
    double sum[WAYS] = {0};
    bd_kernels_single_threaded_blas();
    printf("%-14s %19s %19s %19s\n", "us per image", "forward GFLOP/s",
           "im2col GFLOP/s", "backward GFLOP/s");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const struct layer *l = &layers[i];
        struct bd_conv c = conv_of(l);
        struct buffers b = make(&c);
        double flop = 2.0 * (double)(c.cout * c.oh * c.ow) *
                      (double)(c.cin / c.group * c.kh * c.kw);
        int repeat = (int)(1e8 / flop) + 1;
        double s[WAYS];
        for (int way = 0; way < WAYS; way++) {
            s[way] =
                way == IM2COL && c.group > 1 ? 0 : timed(way, &c, &b, repeat);
            sum[way] += s[way] * l->times;
        }
        printf("%-14s %10.1f %8.1f %10.1f %8.1f %10.1f %8.1f\n", l->name,
               s[FORWARD] * 1e6, flop / s[FORWARD] / 1e9, s[IM2COL] * 1e6,
               s[IM2COL] > 0 ? flop / s[IM2COL] / 1e9 : 0.0, s[BACKWARD] * 1e6,
               2 * flop / s[BACKWARD] / 1e9);
        drop(&b);
    }
    printf("%-14s %10.1f %19.1f %19.1f\n", "ResNet-20", sum[FORWARD] * 1e6,
           sum[IM2COL] * 1e6, sum[BACKWARD] * 1e6);
    return 0;
}
