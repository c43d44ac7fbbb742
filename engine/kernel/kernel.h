/* kernel: the arithmetic of layers as pure functions of pointers and
 * extents.  No state, no allocation, no threads; scratch is passed in.  `ref`
 * is plain loops and always built, the oracle for the tuned set. */
#ifndef BD_KERNEL_H
#define BD_KERNEL_H

#include "tensor/tensor.h"

/* C[m,n] = alpha * op(A) op(B) + beta * C, row-major. */
struct bd_gemm {
    bool ta, tb;
    int64_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int64_t lda, ldb, ldc;
};

/* One image's convolution: x[cin,h,w], w[cout,cin/group,kh,kw], b[cout] or
 * NULL, y[cout,oh,ow]. */
struct bd_conv {
    int64_t cin, h, w, cout, oh, ow, group;
    int64_t kh, kw, sh, sw, dh, dw, pt, pl;
};

struct bd_pool2d { /* x[c,h,w] -> y[c,oh,ow] */
    int64_t c, h, w, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl, pb, pr;
    bool average, count_pad;
};

struct bd_bn { /* over n images of c channels of s elements */
    int64_t n, c, s;
    int64_t stride; /* floats from image to image, 0 = c * s: a few channels
                       of many can be done apart */
    float eps, momentum;
};

struct bd_kernels {
    const char *name;
    void (*gemm)(const struct bd_gemm *g);
    size_t (*conv_scratch)(const struct bd_conv *c); /* floats */
    /* scratch: 64-aligned, conv_scratch floats; a layer beyond any memory
     * asks for so many that allocating fails.  Six arguments: the pure-kernel
     * exception. */
    void (*conv)(float *y, const float *x, const float *w, const float *b,
                 const struct bd_conv *c, float *scratch);
};

/* Chosen once from what the processor can do; "ref" by name for tests. */
const struct bd_kernels *bd_kernels_best(void);
const struct bd_kernels *bd_kernels_ref(void);
/* The environment OPENBLAS_CORETYPE should have for this processor, or NULL
 * when the library chose well; main re-executes once with it. */
const char *bd_kernels_coretype(void);
void bd_kernels_single_threaded_blas(void);

void bd_pool2d_forward(float *y, const float *x, const struct bd_pool2d *p);

/* Training; gradients accumulate into dw, db (+=), overwrite dx. */
size_t bd_conv_backward_scratch(const struct bd_conv *c); /* floats */
struct bd_conv_grad {
    float *dx;      /* NULL = not wanted */
    float *dw, *db; /* db may be NULL */
};
void bd_conv_backward(struct bd_conv_grad g, const float *dy, const float *x,
                      const float *w, const struct bd_conv *c,
                      float *scratch); /* six: the pure-kernel exception */
void bd_pool2d_backward(float *dx, const float *dy, const float *x,
                        const struct bd_pool2d *p);
/* y = gamma*(x-mean)/sqrt(var+eps)+beta with batch statistics, which are
 * left in mean[c], inv[c] for the backward pass. */
struct bd_bn_state {
    float *mean, *inv;
    float *var; /* population variance of the batch, or NULL = not wanted */
};
void bd_bn_forward(float *y, const float *x, const float *gamma,
                   const float *beta, const struct bd_bn *b,
                   struct bd_bn_state st);
struct bd_bn_grad {
    float *dx, *dgamma, *dbeta; /* dgamma, dbeta accumulate */
};
void bd_bn_backward(struct bd_bn_grad g, const float *dy, const float *x,
                    const float *gamma, const struct bd_bn *b,
                    struct bd_bn_state st);

#endif
