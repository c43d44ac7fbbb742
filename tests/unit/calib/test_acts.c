/* Statistics of activations against all values kept, and fitting on them. */
#include "../quant/ref.h"

#include "calib/calib.h"

enum { N = 30000 };

static void make(float *x, bool relu)
{
    struct bd_rng r = {3};

    for (int i = 0; i < N; i++) {
        x[i] = (float)(2 * bd_rng_normal(&r) + 0.3);
        if (relu && x[i] < 0)
            x[i] = 0;
    }
}

static struct bd_actstat *stat_of(const float *x, size_t n)
{
    struct bd_actstat *s = bd_actstat_new();

    bd_actstat_add(s, x, n);
    return s;
}

static void test_sums(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    struct bd_actstat *s;
    struct bd_moments m;

    (void)state;
    make(x, false);
    bd_moments_of(&m, x, N);
    s = stat_of(x, N);
    assert_int_equal(bd_actstat_count(s), N);
    assert_true(bd_actstat_min(s) == m.min && bd_actstat_max(s) == m.max);
    assert_true(bd_actstat_absmax(s) == m.absmax);
    REF_CLOSE(bd_actstat_sumsq(s), m.sumsq, 1e-13);
    bd_actstat_free(s);
    bd_free(x);
}

/* Merged in any order: the same bytes out. */
static void test_merge(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    const double lev[] = {-2, -1, 0, 1, 2};
    struct bd_actstat *all, *a, *b, *c;

    (void)state;
    make(x, false);
    all = stat_of(x, N);
    a = stat_of(x, N / 3);
    b = stat_of(x + N / 3, N - N / 3);
    c = bd_actstat_new();
    bd_actstat_merge(c, b);
    bd_actstat_merge(c, a);
    assert_true(bd_actstat_error(c, lev, NULL, 5) ==
                bd_actstat_error(all, lev, NULL, 5));
    assert_true(bd_actstat_sumsq(c) == bd_actstat_sumsq(all));
    assert_true(bd_actstat_quantile_abs(c, 0.9) ==
                bd_actstat_quantile_abs(all, 0.9));
    bd_actstat_free(all);
    bd_actstat_free(a);
    bd_actstat_free(b);
    bd_actstat_free(c);
    bd_free(x);
}

static void test_error(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    double lev[15], e = 0;
    struct bd_actstat *s;

    (void)state;
    make(x, false);
    s = stat_of(x, N);
    for (int i = 0; i < 15; i++)
        lev[i] = (i - 7) * 0.6;
    for (int i = 0; i < N; i++) {
        double q = fmin(fmax(rint((double)x[i] / 0.6), -7), 7) * 0.6;

        e += ((double)x[i] - q) * ((double)x[i] - q);
    }
    REF_CLOSE(bd_actstat_error(s, lev, NULL, 15), e, 1e-3);
    bd_actstat_free(s);
    bd_free(x);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void test_quantile(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    double *v = bd_alloc(N, sizeof(*v));
    struct bd_actstat *s;

    (void)state;
    make(x, false);
    s = stat_of(x, N);
    for (int i = 0; i < N; i++)
        v[i] = fabs((double)x[i]);
    qsort(v, N, sizeof(*v), by_value);
    for (double q = 0.01; q < 1; q += 0.01)
        REF_CLOSE(bd_actstat_quantile_abs(s, q), v[(int)(q * N)], 0.01);
    assert_true(bd_actstat_quantile_abs(s, 1) == v[N - 1]);
    bd_actstat_free(s);
    bd_free(v);
    bd_free(x);
}

static void test_histogram(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    int64_t bins[20], total = 0, half = 0;
    struct bd_actstat *s;

    (void)state;
    make(x, false);
    s = stat_of(x, N);
    bd_actstat_histogram(s, -100, 100, bins, 20);
    for (int i = 0; i < 20; i++)
        total += bins[i];
    assert_int_equal(total, N); /* nothing lost, nothing twice */
    bd_actstat_histogram(s, 0, 100, bins, 20);
    total = 0;
    for (int i = 0; i < 20; i++)
        total += bins[i];
    for (int i = 0; i < N; i++)
        half += x[i] > 0;
    assert_int_equal(total, half);
    bd_actstat_histogram(s, 200, 300, bins, 20); /* beyond everything */
    assert_int_equal(bins[0], 0);
    bd_actstat_histogram(s, 1, 1, bins, 20); /* no width */
    assert_int_equal(bins[0], 0);
    bd_actstat_free(s);
    bd_free(x);
}

static struct bd_qparam fit(const struct bd_actstat *s, const char *text,
                            float learned)
{
    struct bd_tensorcfg c = {.bits = 8};
    struct bd_qparam p;
    struct bd_err err = {0};

    assert_int_equal(bd_tensorcfg_parse(&c, text, NULL), BD_OK);
    if (bd_calib_acts(&p, s, learned, &c, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    return p;
}

static void test_fit(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    struct bd_actstat *s, *neg;
    struct bd_qparam p;
    struct bd_tensorcfg c = {.bits = 1, .quant = 6};

    (void)state;
    make(x, true);
    s = stat_of(x, N);
    make(x, false);
    neg = stat_of(x, N);
    p = fit(s, "uniform:4:tensor:max", NAN);
    assert_false(p.is_signed);
    assert_true(p.clip == bd_actstat_max(s) && p.mu == 0 && p.sigma == 1);
    p = fit(neg, "uniform:4:tensor:max", NAN);
    assert_true(p.is_signed);
    assert_true(p.clip == bd_actstat_absmax(neg));
    p = fit(neg, "pact:4:tensor:max", NAN); /* knows no sign */
    assert_false(p.is_signed);
    p = fit(s, "apot:4:tensor:learned", 1.5f);
    assert_true(p.clip == 1.5 && !p.is_signed);
    p = fit(s, "uniform:2:tensor:mse", NAN);
    assert_true(p.clip < bd_actstat_max(s)); /* clips, and gains */
    p = fit(s, "affine:4:tensor:max", NAN);
    assert_true(p.zero == 0);
    p = fit(neg, "affine:4:tensor:max", NAN);
    assert_true(p.zero > 0);
    p = fit(s, "log:4:tensor:max", NAN);
    assert_true(p.extra > 0 && p.extra <= 3);
    assert_int_equal(bd_calib_acts(&p, s, NAN, &c, NULL), BD_EINVALID);
    c = (struct bd_tensorcfg){.bits = 32};
    assert_int_equal(bd_calib_acts(&p, s, NAN, &c, NULL), BD_EINVALID);
    c = (struct bd_tensorcfg){.bits = 4, .clip = BD_CLIP_LEARNED};
    assert_int_equal(bd_calib_acts(&p, s, NAN, &c, NULL), BD_EINVALID);
    bd_actstat_free(s);
    bd_actstat_free(neg);
    bd_free(x);
}

/* No values, only zeros, only odd ones: still a usable quantizer. */
static void test_degenerate(void **state)
{
    const float zeros[] = {0, -0.0f, 0}, odd[] = {NAN, INFINITY, -INFINITY};
    struct bd_actstat *s[] = {bd_actstat_new(), stat_of(zeros, 3),
                              stat_of(odd, 3)};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bd_qparam p = fit(s[i], "uniform:4:tensor:mse", NAN);
        float y = 1;

        p.q->apply(&y, &(float){0}, 1, &p);
        assert_true(y == 0 && p.clip > 0);
        assert_true(bd_actstat_quantile_abs(s[i], 0.5) == 0);
        assert_true(bd_actstat_absmax(s[i]) == 0);
        bd_actstat_free(s[i]);
    }
    bd_actstat_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),       cmocka_unit_test(test_merge),
        cmocka_unit_test(test_error),      cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_histogram),  cmocka_unit_test(test_fit),
        cmocka_unit_test(test_degenerate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
