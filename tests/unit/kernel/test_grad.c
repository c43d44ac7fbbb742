/* Gradients against finite differences of the plain loops: for a linear map
 * y = A x the test <dy, A e_i> = dx_i is exact, so the oracle's double sums
 * serve as the derivative; the nonlinear ones use central differences. */
#include "kernel_test.h"

#include <stdio.h>
#include <string.h>

static double dot(const float *a, const float *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)a[i] * (double)b[i];
    return s;
}

/* The convolution is linear in x and in w: its derivative along one element
 * is its value at that unit vector. */
static float conv_slope(const struct bd_conv *c, const float *dy, float *x,
                        float *w, float *y)
{
    bd_kernels_ref()->conv(y, x, w, NULL, c, NULL);
    return (float)dot(dy, y, y_count(c));
}

static void check_dx(const struct bd_conv *c, const float *dy, float *w,
                     const float *dx)
{
    size_t n = x_count(c);
    float *e = bd_calloc(n, sizeof *e), *y = guarded(y_count(c));
    float *want = guarded(n);
    for (size_t i = 0; i < n; i++) {
        e[i] = 1.0f;
        want[i] = conv_slope(c, dy, e, w, y);
        e[i] = 0.0f;
    }
    assert_true(distance(dx, want, n) < 4e-6);
    bd_free(e);
    bd_free(y);
    bd_free(want);
}

/* dw started at 1 everywhere: it must have been added to. */
static void check_dw(const struct bd_conv *c, const float *dy, float *x,
                     const float *dw)
{
    size_t n = w_count(c);
    float *e = bd_calloc(n, sizeof *e), *y = guarded(y_count(c));
    float *want = guarded(n);
    for (size_t i = 0; i < n; i++) {
        e[i] = 1.0f;
        want[i] = 1.0f + conv_slope(c, dy, x, e, y);
        e[i] = 0.0f;
    }
    assert_true(distance(dw, want, n) < 4e-6);
    bd_free(e);
    bd_free(y);
    bd_free(want);
}

static void one_conv(struct bd_rng *r, struct bd_conv c)
{
    c.h = c.oh = c.h > 12 ? 12 : c.h; /* small: the check is quadratic */
    c.oh = (c.h + c.pt - (c.kh - 1) * c.dh - 1) / c.sh + 1;
    if (c.h + c.pt < (c.kh - 1) * c.dh + 1)
        return;
    size_t ns = bd_conv_backward_scratch(&c), nx = x_count(&c);
    float *x = filled(nx, r), *w = filled(w_count(&c), r);
    float *dy = filled(y_count(&c), r), *scratch = guarded(ns);
    float *dx = guarded(nx), *dw = filled(w_count(&c), r);
    float *db = bd_calloc((size_t)c.cout, sizeof *db);
    for (size_t i = 0; i < w_count(&c); i++)
        dw[i] = 1.0f;
    bd_conv_backward((struct bd_conv_grad){dx, dw, db}, dy, x, w, &c, scratch);
    assert_guarded(scratch, ns);
    assert_guarded(dx, nx);
    check_dx(&c, dy, w, dx);
    check_dw(&c, dy, x, dw);
    for (int64_t i = 0; i < c.cout; i++) {
        double s = 0;
        for (int64_t p = 0; p < c.oh * c.ow; p++)
            s += (double)dy[i * c.oh * c.ow + p];
        assert_true(fabs(s - (double)db[i]) < 1e-5 * (1 + fabs(s)));
    }
    bd_free(x);
    bd_free(w);
    bd_free(dy);
    bd_free(scratch);
    bd_free(dx);
    bd_free(dw);
    bd_free(db);
}

static void conv_gradients(void **state)
{
    (void)state;
    struct bd_rng r = {21};
    for (int i = 0; i < 60; i++)
        one_conv(&r, some_conv(&r));
}

static void pointwise_gradients(void **state)
{
    (void)state;
    struct bd_rng r = {24};
    for (int64_t g = 1; g < 3; g++) {
        struct bd_conv c = {.cin = 6 * g,
                            .cout = 5 * g,
                            .group = g,
                            .h = 6,
                            .w = 7,
                            .oh = 6,
                            .ow = 7,
                            .kh = 1,
                            .kw = 1,
                            .sh = 1,
                            .sw = 1,
                            .dh = 1,
                            .dw = 1};
        one_conv(&r, c);
    }
}

/* ---------------------------------------------------------------- pooling */
static struct bd_pool2d some_pool(struct bd_rng *r)
{
    struct bd_pool2d p = {.c = 3,
                          .kh = (int64_t)bd_rng_below(r, 3) + 1,
                          .kw = (int64_t)bd_rng_below(r, 3) + 1,
                          .sh = (int64_t)bd_rng_below(r, 3) + 1,
                          .sw = (int64_t)bd_rng_below(r, 3) + 1,
                          .dh = 1,
                          .dw = 1,
                          .h = 9,
                          .w = 7,
                          .average = bd_rng_below(r, 2) == 0,
                          .count_pad = bd_rng_below(r, 2) == 0};
    p.pt = (int64_t)bd_rng_below(r, (uint64_t)p.kh);
    p.pl = (int64_t)bd_rng_below(r, (uint64_t)p.kw);
    p.pb = (int64_t)bd_rng_below(r, (uint64_t)p.kh);
    p.pr = (int64_t)bd_rng_below(r, (uint64_t)p.kw);
    p.oh = (p.h + p.pt + p.pb - p.kh) / p.sh + 1;
    p.ow = (p.w + p.pl + p.pr - p.kw) / p.sw + 1;
    return p;
}

static void pool_gradients(void **state)
{
    (void)state;
    struct bd_rng r = {22};
    for (int i = 0; i < 40; i++) {
        struct bd_pool2d p = some_pool(&r);
        size_t nx = (size_t)(p.c * p.h * p.w), ny = (size_t)(p.c * p.oh * p.ow);
        float *x = filled(nx, &r), *dy = filled(ny, &r), *y = guarded(ny);
        float *dx = guarded(nx), *want = guarded(nx);
        for (size_t e = 0; e < nx; e++) /* no two near: max has kinks */
            x[e] = 0.05f * (float)(e * 37 % nx);
        bd_pool2d_backward(dx, dy, x, &p);
        for (size_t e = 0; e < nx; e++) {
            const float h = 1e-3f, old = x[e];
            x[e] = old + h;
            bd_pool2d_forward(y, x, &p);
            double up = dot(dy, y, ny);
            x[e] = old - h;
            bd_pool2d_forward(y, x, &p);
            want[e] = (float)((up - dot(dy, y, ny)) / (2 * (double)h));
            x[e] = old;
        }
        assert_true(distance(dx, want, nx) < 2e-3);
        bd_free(x);
        bd_free(dy);
        bd_free(y);
        bd_free(dx);
        bd_free(want);
    }
}

static void pool_values(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct bd_pool2d p = {.c = 1,
                          .h = 3,
                          .w = 3,
                          .oh = 2,
                          .ow = 2,
                          .kh = 2,
                          .kw = 2,
                          .sh = 2,
                          .sw = 2,
                          .dh = 1,
                          .dw = 1,
                          .pb = 1,
                          .pr = 1};
    float y[4];
    bd_pool2d_forward(y, x, &p);
    assert_memory_equal(y, ((float[]){5, 6, 8, 9}), sizeof y);
    p.average = true;
    bd_pool2d_forward(y, x, &p);
    assert_memory_equal(y, ((float[]){3, 4.5f, 7.5f, 9}), sizeof y);
    p.count_pad = true;
    bd_pool2d_forward(y, x, &p);
    assert_memory_equal(y, ((float[]){3, 2.25f, 3.75f, 2.25f}), sizeof y);
    const float bad[] = {1, NAN, 3, 0, 0, 0, 0, 0, 0};
    p.average = false;
    bd_pool2d_forward(y, bad, &p);
    assert_true(isnan(y[0]) && y[1] == 3.0f);
}

/* -------------------------------------------------------------- batch norm */
struct norm {
    struct bd_bn b;
    float *x, *gamma, *beta, *y, *mean, *inv, *var;
};

static double norm_loss(struct norm *n, const float *dy)
{
    bd_bn_forward(n->y, n->x, n->gamma, n->beta, &n->b,
                  (struct bd_bn_state){n->mean, n->inv, n->var});
    return dot(dy, n->y, (size_t)(n->b.n * n->b.c * n->b.s));
}

static float slope(struct norm *n, const float *dy, float *p)
{
    const float old = *p, h = 1e-2f;
    *p = old + h;
    double up = norm_loss(n, dy);
    *p = old - h;
    double down = norm_loss(n, dy);
    *p = old;
    return (float)((up - down) / (2 * (double)h));
}

static void bn_gradients(void **state)
{
    (void)state;
    struct bd_rng r = {23};
    float mean[3], inv[3], var[3];
    struct norm n = {.b = {.n = 4, .c = 3, .s = 13, .eps = 1e-5f},
                     .x = filled(156, &r),
                     .gamma = filled(3, &r),
                     .beta = filled(3, &r),
                     .y = guarded(156),
                     .mean = mean,
                     .inv = inv,
                     .var = var};
    float *dy = filled(156, &r), *dx = guarded(156), want[156];
    float dg[3] = {1, 1, 1}, db[3] = {1, 1, 1};
    norm_loss(&n, dy);
    for (int c = 0; c < 3; c++)
        assert_true(fabs(1 / sqrt((double)var[c] + 1e-5) / (double)inv[c] - 1) <
                    1e-5);
    bd_bn_backward((struct bd_bn_grad){dx, dg, db}, dy, n.x, n.gamma, &n.b,
                   (struct bd_bn_state){mean, inv, NULL});
    for (int i = 0; i < 156; i++)
        want[i] = slope(&n, dy, &n.x[i]);
    assert_true(distance(dx, want, 156) < 2e-3);
    for (int c = 0; c < 3; c++) {
        assert_true(fabsf(dg[c] - 1 - slope(&n, dy, &n.gamma[c])) < 1e-2f);
        assert_true(fabsf(db[c] - 1 - slope(&n, dy, &n.beta[c])) < 1e-2f);
    }
    bd_free(n.x);
    bd_free(n.gamma);
    bd_free(n.beta);
    bd_free(n.y);
    bd_free(dy);
    bd_free(dx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_gradients), cmocka_unit_test(pointwise_gradients),
        cmocka_unit_test(pool_gradients), cmocka_unit_test(pool_values),
        cmocka_unit_test(bn_gradients)};
    bd_kernels_single_threaded_blas();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
