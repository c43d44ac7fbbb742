/* Two networks on the same images: counts and McNemar's test. */
#include "../quant/ref.h"

#include "metrics/metrics.h"

/* Values from the binomial coefficients by hand: 43 tosses, at most 12. */
static void mcnemar_by_hand(void **state)
{
    double mid;

    (void)state;
    REF_NEAR(bd_mcnemar(&mid, 0, 0), 1, 0);
    REF_NEAR(mid, 1, 0);
    REF_NEAR(bd_mcnemar(&mid, 1, 0), 1, 1e-12); /* 2 * 1/2 */
    REF_NEAR(mid, 0.5, 1e-12);
    REF_NEAR(bd_mcnemar(&mid, 0, 3), 0.25, 1e-12); /* 2 * 1/8 */
    REF_NEAR(mid, 0.125, 1e-12);
    REF_NEAR(bd_mcnemar(&mid, 2, 4), 0.6875, 1e-12); /* 2 * 22/64 */
    REF_NEAR(mid, 0.6875 - 15.0 / 64, 1e-12);
    REF_NEAR(bd_mcnemar(&mid, 5, 5), 1, 1e-12);
    REF_NEAR(mid, 1, 1e-12);
    REF_NEAR(bd_mcnemar(NULL, 31, 12),
             bd_mcnemar(NULL, 12, 31), 0);
}

/* Against plain summation of exact integers' ratios where doubles hold
 * them, and without overflow or NaN where they do not. */
static void mcnemar_sizes(void **state)
{
    (void)state;
    for (int n = 1; n <= 50; n++)
        for (int k = 0; 2 * k <= n; k++) {
            double c = 1, sum = 0, mid, p;
            for (int i = 0; i <= k; i++) {
                sum += c;
                c = c * (n - i) / (i + 1);
            }
            p = 2 * ldexp(sum, -n);
            REF_CLOSE(bd_mcnemar(&mid, k, n - k), p < 1 ? p : 1, 1e-11);
            assert_true(mid > 0 && mid <= 1 && mid <= p);
        }
    double mid, p = bd_mcnemar(&mid, 500000, 502000);
    /* the normal limit: z = 2000 / sqrt(1002000) = 1.998 */
    assert_true(p > 0.0455 && p < 0.0460 && mid < p);
    assert_true(bd_mcnemar(NULL, 0, 4000000) >= 0);
}

static void counts(void **state)
{
    const int32_t a[6] = {1, 1, 2, 3, 0, 5}, b[6] = {1, 2, 2, 3, 1, 5};
    const int label[6] = {1, 1, 1, 0, 1, -1};
    struct bd_paired p;

    (void)state;
    bd_paired_of(&p, a, b, label, 6);
    assert_int_equal(p.images, 5);
    assert_int_equal(p.both, 1);
    assert_int_equal(p.only_a, 1);
    assert_int_equal(p.only_b, 1);
    assert_int_equal(p.neither, 2);
    assert_int_equal(p.same, 4);
    assert_int_equal(p.total, 6);
    bd_paired_of(&p, a, b, NULL, 6);
    assert_int_equal(p.images, 0);
    assert_true(p.p_exact == 1);
}

/* Ties go to the lower index and a NaN never wins, as in bd_eval_logits. */
static void answers(void **state)
{
    const float z[12] = {0, 2, 1,  3, 3, 1,  NAN, -1, -2,  NAN, NAN, NAN};
    int32_t got[4];

    (void)state;
    bd_answers(got, z, 4, 3);
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], 0);
    assert_int_equal(got[2], 1);
    assert_int_equal(got[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mcnemar_by_hand),
        cmocka_unit_test(mcnemar_sizes),
        cmocka_unit_test(counts),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
