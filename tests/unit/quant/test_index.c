/* The distortion index against the plain definition, on kind and unkind
 * data. */
#include "ref.h"

#include <float.h>

#include "quant/quant.h"

enum { N = 20000 };

enum kind {
    NORMAL,
    OUTLIER,
    CONSTANT,
    ZEROS,
    SPARSE,
    TINY,
    HUGE_,
    COARSE,
    NONFINITE,
    FEW,
    KINDS
};

/* Returns how many values were made. */
static size_t make(float *x, enum kind kind)
{
    struct bd_rng r = {77 + (uint64_t)kind};
    size_t n = kind == FEW ? 3 : N;

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(0.05 * bd_rng_normal(&r));
    for (size_t i = 0; i < n; i++) {
        if (kind == CONSTANT)
            x[i] = 0.7f;
        else if (kind == ZEROS || (kind == SPARSE && i % 10))
            x[i] = i % 2 ? 0.0f : -0.0f;
        else if (kind == TINY)
            x[i] *= 1e-41f; /* denormals */
        else if (kind == HUGE_)
            x[i] *= 1e37f;
        else if (kind == COARSE)
            x[i] = roundf(x[i] * 32) / 32; /* many ties with the cuts */
        else if (kind == NONFINITE && i % 7 == 0)
            x[i] = i % 2 ? NAN : (i % 4 ? INFINITY : -INFINITY);
    }
    if (kind == OUTLIER)
        x[n / 2] = 1e30f;
    return n;
}

/* What bd_index_error promises, value by value, in long double. */
static double brute(const float *x, size_t n, const double *lev,
                    const double *cut, size_t nlev, int64_t *occ)
{
    long double e = 0;

    memset(occ, 0, nlev * sizeof(*occ));
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        long double d;

        if (!isfinite(x[i]))
            continue;
        while (k + 1 < nlev && (double)x[i] > cut[k])
            k++;
        d = (long double)x[i] - (long double)lev[k];
        e += d * d;
        occ[k]++;
    }
    return (double)e;
}

static void test_error(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    double lev[256], cut[255];
    int64_t want[256], got[256];

    (void)state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        size_t n = make(x, kind);
        struct bd_index *ix = NULL;

        assert_int_equal(bd_index_new(&ix, x, n, NULL), BD_OK);
        for (size_t nlev = 1; nlev <= 256; nlev = nlev * 3 / 2 + 1) {
            double reach = bd_index_absmax(ix), e, tol;

            for (size_t i = 0; i < nlev; i++)
                lev[i] = reach * (2 * (double)i / (double)nlev - 0.9);
            for (size_t i = 0; i + 1 < nlev; i++)
                cut[i] = (lev[i] + lev[i + 1]) / 2;
            e = brute(x, n, lev, cut, nlev, want);
            /* 26 digits below the power there is nothing left to compare. */
            tol = 1e-12 * e + 1e-26 * bd_index_sumsq(ix);
            REF_NEAR(bd_index_error(ix, lev, NULL, nlev, got), e, tol);
            for (size_t i = 0; i < nlev; i++)
                assert_int_equal(got[i], want[i]);
            REF_NEAR(bd_index_error(ix, lev, cut, nlev, NULL), e, tol);
        }
        bd_index_free(ix);
    }
    bd_free(x);
}

/* 16 bits: the error is a billionth of the power, where plain sums would
 * have lost it. */
static void test_fine_grid(void **state)
{
    size_t nlev = 65535;
    float *x = bd_alloc(N, sizeof(*x));
    double *lev = bd_alloc(nlev, sizeof(*lev)), e = 0;
    struct bd_index *ix = NULL;
    double top;

    (void)state;
    make(x, NORMAL);
    assert_int_equal(bd_index_new(&ix, x, N, NULL), BD_OK);
    top = bd_index_absmax(ix);
    for (size_t i = 0; i < nlev; i++)
        lev[i] = top * ((double)i / 32767 - 1);
    for (size_t i = 0; i < N; i++) {
        double c = rint(((double)x[i] / top) * 32767) / 32767 * top;

        e += ((double)x[i] - c) * ((double)x[i] - c);
    }
    REF_CLOSE(bd_index_error(ix, lev, NULL, nlev, NULL), e, 1e-11);
    bd_index_free(ix);
    bd_free(lev);
    bd_free(x);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void test_quantiles(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));
    double *v = bd_alloc(N, sizeof(*v));

    (void)state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        const double q[] = {0, 0.1, 0.5, 0.9, 0.999, 1};
        size_t n = make(x, kind), m = 0;
        struct bd_index *ix = NULL;

        for (size_t i = 0; i < n; i++)
            if (isfinite(x[i]))
                v[m++] = fabs((double)x[i]);
        qsort(v, m, sizeof(*v), by_value);
        assert_int_equal(bd_index_new(&ix, x, n, NULL), BD_OK);
        for (size_t k = 0; k < sizeof(q) / sizeof(q[0]); k++) {
            size_t at = (size_t)ceil(q[k] * (double)m);

            assert_true(bd_index_quantile_abs(ix, q[k]) == v[at ? at - 1 : 0]);
        }
        bd_index_free(ix);
    }
    bd_free(v);
    bd_free(x);
}

static void test_histogram(void **state)
{
    float *x = bd_alloc(N, sizeof(*x));

    (void)state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        size_t n = make(x, kind);
        struct bd_index *ix = NULL;
        int64_t got[50], want[50] = {0};
        double lo, hi, w;

        assert_int_equal(bd_index_new(&ix, x, n, NULL), BD_OK);
        lo = -bd_index_absmax(ix) * 0.75;
        hi = bd_index_absmax(ix);
        w = (hi - lo) / 50;
        bd_index_histogram(ix, lo, hi, got, 50);
        for (size_t i = 0; i < n; i++) {
            int k = 0;

            if (!isfinite(x[i]) || (double)x[i] < lo || (double)x[i] > hi)
                continue;
            while (k < 49 && (double)x[i] >= lo + (k + 1) * w)
                k++;
            want[k]++;
        }
        for (int k = 0; k < 50; k++)
            assert_int_equal(got[k], want[k]);
        bd_index_free(ix);
    }
    bd_free(x);
}

static void test_moments(void **state)
{
    const float x[] = {1, -2, NAN, 3, INFINITY, 0};
    struct bd_moments m;
    struct bd_index *ix = NULL;

    (void)state;
    bd_moments_of(&m, x, 6);
    assert_int_equal(m.n, 4);
    assert_true(m.min == -2 && m.max == 3 && m.absmax == 3);
    assert_true(m.mean == 0.5 && m.absmean == 1.5 && m.sumsq == 14);
    REF_NEAR(m.std, sqrt(13.0 / 3), 1e-15);
    bd_moments_of(&m, x, 0);
    assert_true(m.n == 0 && m.std == 0 && m.absmax == 0);
    bd_moments_of(&m, x, 1);
    assert_true(m.std == 0 && m.mean == 1);
    /* An empty tensor has an index too, and no error. */
    assert_int_equal(bd_index_new(&ix, x, 0, NULL), BD_OK);
    assert_true(bd_index_error(ix, (double[]){1, 2}, NULL, 2, NULL) == 0);
    assert_true(bd_index_quantile_abs(ix, 0.5) == 0);
    bd_index_free(ix);
    bd_index_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),     cmocka_unit_test(test_fine_grid),
        cmocka_unit_test(test_quantiles), cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_moments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
