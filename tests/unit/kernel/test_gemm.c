/* Matrix products against the plain loops, and the choice of BLAS core. */
#include "kernel_test.h"

#include <string.h>

static void one_product(struct bd_rng *r, bool ta, bool tb)
{
    struct bd_gemm g = {.ta = ta,
                        .tb = tb,
                        .m = (int64_t)bd_rng_below(r, 40) + 1,
                        .n = (int64_t)bd_rng_below(r, 40) + 1,
                        .k = (int64_t)bd_rng_below(r, 60) + 1,
                        .alpha = 0.5f,
                        .beta = 2.0f};
    g.lda = (ta ? g.m : g.k) + 3;
    g.ldb = (tb ? g.k : g.n) + 1;
    g.ldc = g.n + 2;
    float *a = filled((size_t)((ta ? g.k : g.m) * g.lda), r);
    float *b = filled((size_t)((tb ? g.n : g.k) * g.ldb), r);
    float *want = filled((size_t)(g.m * g.ldc), r);
    float *got = filled((size_t)(g.m * g.ldc), r);
    memcpy(got, want, (size_t)(g.m * g.ldc) * sizeof *got);
    g.a = a;
    g.b = b;
    g.c = want;
    bd_kernels_ref()->gemm(&g);
    g.c = got;
    bd_kernels_best()->gemm(&g);
    assert_true(distance(got, want, (size_t)(g.m * g.ldc)) < 2e-6);
    bd_free(a);
    bd_free(b);
    bd_free(want);
    bd_free(got);
}

static void products_agree(void **state)
{
    (void)state;
    struct bd_rng r = {3};
    for (int i = 0; i < 200; i++)
        one_product(&r, i & 1, i & 2);
}

static void beta_zero_overwrites_nan(void **state)
{
    (void)state;
    const struct bd_kernels *sets[] = {bd_kernels_ref(), bd_kernels_best()};
    for (size_t i = 0; i < 2; i++) {
        float a = 2, b = 3, c = NAN;
        struct bd_gemm g = {.m = 1,
                            .n = 1,
                            .k = 1,
                            .alpha = 1,
                            .a = &a,
                            .b = &b,
                            .c = &c,
                            .lda = 1,
                            .ldb = 1,
                            .ldc = 1};
        sets[i]->gemm(&g);
        assert_true(c == 6.0f);
    }
}

/* Whatever the processor: a core is named only while none is chosen, so a
 * program that obeys re-executes at most once. */
static void coretype_is_asked_once(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("OPENBLAS_CORETYPE"), 0);
    const char *want = bd_kernels_coretype();
    assert_true(!want || strcmp(want, "SkylakeX") == 0 ||
                strcmp(want, "Haswell") == 0);
    assert_int_equal(setenv("OPENBLAS_CORETYPE", "Prescott", 1), 0);
    assert_null(bd_kernels_coretype());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree),
        cmocka_unit_test(beta_zero_overwrites_nan),
        cmocka_unit_test(coretype_is_asked_once),
    };
    bd_kernels_single_threaded_blas();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
