/* What the kernel tests share: random numbers, guarded buffers, distance. */
#ifndef KERNEL_TEST_H
#define KERNEL_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernel/kernel.h"

static inline float *filled(size_t n, struct bd_rng *r)
{
    float *x = bd_alloc(n ? n : 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)bd_rng_normal(r);
    return x;
}

/* A buffer that ends in values nobody may touch. */
enum { GUARD = 64 };
static inline float *guarded(size_t n)
{
    float *x = bd_alloc(n + GUARD, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = NAN; /* whoever reads before writing shows it */
    for (size_t i = n; i < n + GUARD; i++)
        x[i] = 12345.0f;
    return x;
}

static inline void assert_guarded(const float *x, size_t n)
{
    for (size_t i = n; i < n + GUARD; i++)
        assert_true(x[i] == 12345.0f);
}

/* Largest difference over the largest magnitude; NaN counts as infinite. */
static inline double distance(const float *a, const float *b, size_t n)
{
    double d = 0, m = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - (double)b[i]);
        d = isnan(e) ? INFINITY : e > d ? e : d;
        m = fabs((double)b[i]) > m ? fabs((double)b[i]) : m;
    }
    return d / m;
}

/* A random but possible convolution. */
static inline struct bd_conv some_conv(struct bd_rng *r)
{
    int64_t g = (int64_t)bd_rng_below(r, 3) + 1;
    struct bd_conv c = {
        .cin = g * (int64_t)(bd_rng_below(r, 5) + 1),
        .cout = g * (int64_t)(bd_rng_below(r, 20) + 1),
        .group = g,
        .h = (int64_t)bd_rng_below(r, 22) + 1,
        .w = (int64_t)bd_rng_below(r, 22) + 1,
        .kh = (int64_t)bd_rng_below(r, 4) + 1,
        .kw = (int64_t)bd_rng_below(r, 4) + 1,
        .sh = (int64_t)bd_rng_below(r, 3) + 1,
        .sw = (int64_t)bd_rng_below(r, 3) + 1,
        .dh = (int64_t)bd_rng_below(r, 2) + 1,
        .dw = (int64_t)bd_rng_below(r, 2) + 1,
        .pt = (int64_t)bd_rng_below(r, 6),
        .pl = (int64_t)bd_rng_below(r, 6),
    };
    int64_t pb = (int64_t)bd_rng_below(r, 4), pr = (int64_t)bd_rng_below(r, 4);
    int64_t eh = (c.kh - 1) * c.dh + 1, ew = (c.kw - 1) * c.dw + 1;
    c.h = c.h + c.pt + pb < eh ? eh : c.h;
    c.w = c.w + c.pl + pr < ew ? ew : c.w;
    c.oh = (c.h + c.pt + pb - eh) / c.sh + 1;
    c.ow = (c.w + c.pl + pr - ew) / c.sw + 1;
    return c;
}

static inline size_t x_count(const struct bd_conv *c)
{
    return (size_t)(c->cin * c->h * c->w);
}

static inline size_t y_count(const struct bd_conv *c)
{
    return (size_t)(c->cout * c->oh * c->ow);
}

static inline size_t w_count(const struct bd_conv *c)
{
    return (size_t)(c->cout * (c->cin / c->group) * c->kh * c->kw);
}

#endif
