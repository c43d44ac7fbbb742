/* Convolution against the plain loops, on every tile this processor runs. */
#include "kernel_test.h"

#include "kernel/kernel_priv.h"

#include <stdio.h>
#include <string.h>

enum { ROUNDS = 300 };

struct problem {
    struct bd_conv c;
    float *x, *w, *b, *want;
};

static struct problem pose(struct bd_conv c, struct bd_rng *r)
{
    struct problem p = {.c = c,
                        .x = filled(x_count(&c), r),
                        .w = filled(w_count(&c), r),
                        .b = filled((size_t)c.cout, r),
                        .want = guarded(y_count(&c))};
    bd_kernels_ref()->conv(p.want, p.x, p.w, p.b, &p.c, NULL);
    return p;
}

static void drop(struct problem *p)
{
    bd_free(p->x);
    bd_free(p->w);
    bd_free(p->b);
    bd_free(p->want);
}

/* Runs the tile with exactly the scratch it asked for. */
static float *solve(const struct problem *p, const struct bd_tile *t)
{
    size_t ns = bd_kernel_conv_scratch(t, &p->c), ny = y_count(&p->c);
    float *scratch = guarded(ns), *y = guarded(ny);
    bd_kernel_conv(t, &p->c, (struct bd_conv_io){y, p->x, p->w, p->b, scratch});
    assert_guarded(scratch, ns);
    assert_guarded(y, ny);
    bd_free(scratch);
    return y;
}

static void check_tile(const struct bd_tile *t)
{
    struct bd_rng r = {7};
    for (int i = 0; i < ROUNDS; i++) {
        struct problem p = pose(some_conv(&r), &r);
        float *y = solve(&p, t);
        double d = distance(y, p.want, y_count(&p.c));
        if (d > 2e-6)
            fail_msg("round %d: %dx%d stride %d,%d off by %g", i, (int)p.c.kh,
                     (int)p.c.kw, (int)p.c.sh, (int)p.c.sw, d);
        bd_free(y);
        drop(&p);
    }
}

static void generic_tile(void **state)
{
    (void)state;
    check_tile(&bd_kernel_tile_generic);
}

static void best_tile(void **state)
{
    (void)state;
    check_tile(bd_kernel_tile());
}

static void avx2_tile(void **state)
{
    (void)state;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        check_tile(&bd_kernel_tile_avx2);
        return;
    }
#endif
    print_message("no AVX2 on this processor\n");
    skip();
}

/* Whole vectors without padding: read and written in place. */
static void pointwise_in_place(void **state)
{
    (void)state;
    struct bd_rng r = {11};
    const struct bd_tile *tiles[] = {bd_kernel_tile(),
                                     &bd_kernel_tile_generic};
    for (int i = 0; i < 12; i++) {
        int64_t g = 1 + i % 3, side = i < 6 ? 8 : 4 + i;
        struct bd_conv c = {.cin = 5 * g,
                            .cout = 13 * g,
                            .group = g,
                            .h = side,
                            .w = 16,
                            .oh = side,
                            .ow = 16,
                            .kh = 1,
                            .kw = 1,
                            .sh = 1,
                            .sw = 1,
                            .dh = 1,
                            .dw = 1};
        struct problem p = pose(c, &r);
        float *y = solve(&p, tiles[i & 1]);
        assert_true(distance(y, p.want, y_count(&c)) < 2e-6);
        bd_free(y);
        drop(&p);
    }
}

/* Wider than one chunk of cache and one strip, with a ragged end. */
static void large_picture(void **state)
{
    (void)state;
    struct bd_rng r = {8};
    struct bd_conv c = {.cin = 64,
                        .h = 75,
                        .w = 91,
                        .cout = 13,
                        .group = 1,
                        .kh = 3,
                        .kw = 3,
                        .sh = 1,
                        .sw = 1,
                        .dh = 1,
                        .dw = 1,
                        .pt = 1,
                        .pl = 1,
                        .oh = 75,
                        .ow = 91};
    struct problem p = pose(c, &r);
    float *y = solve(&p, bd_kernel_tile());
    assert_true(distance(y, p.want, y_count(&c)) < 3e-6);
    bd_free(y);
    drop(&p);
}

/* The table's entry, without bias, twice: the same bytes. */
static void table_is_repeatable(void **state)
{
    (void)state;
    struct bd_rng r = {9};
    const struct bd_kernels *k = bd_kernels_best();
    struct problem p = pose(some_conv(&r), &r);
    size_t ny = y_count(&p.c);
    float *scratch = guarded(k->conv_scratch(&p.c));
    float *a = guarded(ny), *b = guarded(ny);
    k->conv(a, p.x, p.w, NULL, &p.c, scratch);
    k->conv(b, p.x, p.w, NULL, &p.c, scratch);
    bd_kernels_ref()->conv(p.want, p.x, p.w, NULL, &p.c, NULL);
    assert_memory_equal(a, b, ny * sizeof *a);
    assert_true(distance(a, p.want, ny) < 2e-6);
    bd_free(scratch);
    bd_free(a);
    bd_free(b);
    drop(&p);
}

/* Waste columns between rows must not leak: NaN there stays there. */
static void nan_stays_local(void **state)
{
    (void)state;
    struct bd_rng r = {10};
    struct bd_conv c = {.cin = 1,
                        .h = 8,
                        .w = 8,
                        .cout = 1,
                        .group = 1,
                        .kh = 3,
                        .kw = 3,
                        .sh = 1,
                        .sw = 1,
                        .dh = 1,
                        .dw = 1,
                        .pt = 1,
                        .pl = 1,
                        .oh = 8,
                        .ow = 8};
    struct problem p = pose(c, &r);
    p.x[3 * 8 + 7] = NAN;
    float *y = solve(&p, bd_kernel_tile());
    for (int i = 0; i < 64; i++)
        assert_int_equal(isnan(y[i]), i / 8 >= 2 && i / 8 <= 4 && i % 8 >= 6);
    bd_free(y);
    drop(&p);
}

/* More than any machine has, also after callers turned it into bytes. */
static void absurd_layer_asks_for_everything(void **state)
{
    (void)state;
    struct bd_conv c = {.cin = 1 << 20,
                        .h = 1,
                        .w = 1,
                        .cout = 1,
                        .group = 1,
                        .kh = 2,
                        .kw = 2,
                        .sh = 1,
                        .sw = 1,
                        .pt = 1 << 30,
                        .pl = 1 << 30,
                        .dh = 1 << 30,
                        .dw = 1 << 30,
                        .oh = 1 << 30,
                        .ow = 1 << 30};
    size_t bytes = bd_kernels_best()->conv_scratch(&c) * sizeof(float);
    assert_true(bytes / 64 * 64 + 64 > SIZE_MAX / 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generic_tile),
        cmocka_unit_test(avx2_tile),
        cmocka_unit_test(best_tile),
        cmocka_unit_test(pointwise_in_place),
        cmocka_unit_test(large_picture),
        cmocka_unit_test(table_is_repeatable),
        cmocka_unit_test(nan_stays_local),
        cmocka_unit_test(absurd_layer_asks_for_everything),
    };
    bd_kernels_single_threaded_blas();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
