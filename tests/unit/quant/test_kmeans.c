/* k-means: exact against all ways to cut, Max's table for the normal
 * distribution, and values that are few, equal, absent or far away. */
#include "ref.h"

#include "quant/quant.h"

static struct bd_qparam param(int bits, double *book)
{
    return (struct bd_qparam){
        .q = bd_quantizer_at(bd_quantizer_find("kmeans")),
        .bits = bits,
        .is_signed = true,
        .weights = true,
        .sigma = 1,
        .map_back = true,
        .book = book};
}

static double error_of(const struct bd_qparam *p, const float *x, size_t n)
{
    double e = 0;

    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], q;

        bd_quant_project(&q, &v, 1, p);
        e += (v - q) * (v - q);
    }
    return e;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Squared error of x[a..b) about its mean. */
static double cluster(const float *x, int a, int b)
{
    double mean = 0, e = 0;

    for (int i = a; i < b; i++)
        mean += (double)x[i] / (b - a);
    for (int i = a; i < b; i++)
        e += ((double)x[i] - mean) * ((double)x[i] - mean);
    return e;
}

/* Least error of sorted x[a..n) in at most k clusters, by trying all. */
static double exhaustive(const float *x, int a, int n, int k)
{
    double least = cluster(x, a, n);

    for (int b = a + 1; k > 1 && b < n; b++)
        least = fmin(least, cluster(x, a, b) + exhaustive(x, b, n, k - 1));
    return least;
}

static void test_optimal(void **state)
{
    struct bd_rng r = {31};

    (void)state;
    for (int round = 0; round < 60; round++) {
        int n = 5 + round % 9, bits = 1 + round % 2;
        double book[BD_BOOK_MAX];
        struct bd_qparam p = param(bits, book);
        float x[16];

        for (int i = 0; i < n; i++)
            x[i] = (float)(bd_rng_normal(&r) * (i % 4 == 0 ? 20 : 1));
        assert_int_equal(p.q->fit(&p, x, (size_t)n, NULL), BD_OK);
        qsort(x, (size_t)n, sizeof(*x), by_value);
        /* Levels are stored as floats: that is the difference. */
        REF_CLOSE(error_of(&p, x, (size_t)n),
                  exhaustive(x, 0, n, 1 << bits), 1e-6);
    }
}

/* Quantiles of a normal distribution, as good as a sample without chance. */
static float *normal_values(size_t n)
{
    float *x = bd_alloc(n, sizeof(*x));

    for (size_t i = 0; i < n; i++) {
        double q = ((double)i + 0.5) / (double)n, lo = -10, hi = 10;

        for (int k = 0; k < 60; k++) {
            double mid = (lo + hi) / 2;

            if (erfc(-mid / sqrt(2)) / 2 < q)
                lo = mid;
            else
                hi = mid;
        }
        x[i] = (float)lo;
    }
    return x;
}

/* Mean squared error of the best 2^b levels (Max 1960, table I); 64 and 256
 * from Panter and Dite's limit, sqrt(3) pi / 2 / N^2, which they approach
 * from below. */
static void test_normal(void **state)
{
    const struct {
        int bits;
        double mse, rel;
    } want[] = {{1, 0.3634, 1e-3},   {2, 0.1175, 1e-3},
                {3, 0.03454, 1e-3},  {4, 0.009497, 1e-3},
                {5, 0.002499, 2e-3}, {6, 2.7207 / 4096, 0.05},
                {8, 2.7207 / 65536, 0.05}};
    size_t n = 60000;
    float *x = normal_values(n);
    struct bd_index *ix;

    (void)state;
    assert_int_equal(bd_index_new(&ix, x, n, NULL), BD_OK);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        double book[BD_BOOK_MAX], lev[BD_BOOK_MAX], cut[BD_BOOK_MAX], e;
        struct bd_qparam p = param(want[i].bits, book);

        assert_int_equal(p.q->learn(&p, ix, NULL), BD_OK);
        assert_int_equal(p.nbook, (size_t)1 << want[i].bits);
        p.q->levels(lev, BD_BOOK_MAX, &p);
        p.q->cuts(cut, BD_BOOK_MAX, &p);
        e = bd_index_error(ix, lev, cut, p.nbook, NULL) / (double)n;
        REF_CLOSE(e, want[i].mse, want[i].rel);
    }
    bd_index_free(ix);
    bd_free(x);
}

/* Levels are means of what they get, decision points lie between them: what
 * every optimum satisfies. */
static void test_settled(void **state)
{
    enum { N = 20000 };
    double book[BD_BOOK_MAX], sum[16] = {0}, n[16] = {0};
    struct bd_qparam p = param(4, book);
    float *x = bd_alloc(N, sizeof(*x));
    struct bd_rng r = {8};

    (void)state;
    for (int i = 0; i < N; i++) /* lopsided, with a gap */
        x[i] = (float)exp(bd_rng_normal(&r)) + (i % 3 ? 0 : 5);
    assert_int_equal(p.q->fit(&p, x, N, NULL), BD_OK);
    for (int i = 0; i < N; i++) {
        int32_t c;

        p.q->codes(&c, &x[i], 1, &p);
        assert_in_range(c, 0, 15);
        sum[c] += (double)x[i];
        n[c]++;
    }
    for (int c = 0; c < 16; c++) {
        assert_true(n[c] > 0);
        REF_CLOSE(book[c], sum[c] / n[c], 1e-4);
    }
    bd_free(x);
}

/* As many levels as values, or fewer values than levels: nothing is lost. */
static void test_few_values(void **state)
{
    enum { N = 5000 };
    const float set[] = {-7, -0.5f, 0, 1e-6f, 0.25f, 3, 1000, 1001};
    double book[BD_BOOK_MAX];
    float *x = bd_alloc(N, sizeof(*x)), *y = bd_alloc(N, sizeof(*y));

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = i == 17 ? -0.0f : set[(i * 7) % 8];
    for (int bits = 3; bits <= 8; bits++) {
        struct bd_qparam p = param(bits, book);

        assert_int_equal(p.q->fit(&p, x, N, NULL), BD_OK);
        assert_int_equal(p.nbook, 8);
        p.q->apply(y, x, N, &p);
        for (int i = 0; i < N; i++)
            assert_true(y[i] == x[i]);
    }
    bd_free(x);
    bd_free(y);
}

static void test_nothing(void **state)
{
    const float same[] = {2, 2, 2}, broken[] = {NAN, INFINITY, 1, NAN};
    double book[BD_BOOK_MAX];
    struct bd_qparam p = param(3, book);
    float y[4];

    (void)state;
    assert_int_equal(p.q->fit(&p, NULL, 0, NULL), BD_OK);
    assert_true(p.nbook == 1 && book[0] == 0);
    p = param(3, book);
    assert_int_equal(p.q->fit(&p, same, 3, NULL), BD_OK);
    assert_true(p.nbook == 1 && book[0] == 2);
    p = param(3, book);
    assert_int_equal(p.q->fit(&p, broken, 4, NULL), BD_OK);
    assert_true(p.nbook == 1 && book[0] == 1);
    p.q->apply(y, broken, 4, &p);
    assert_true(isnan(y[0]) && y[1] == 1 && y[2] == 1);
}

/* One value far away gets a level of its own instead of ruining the rest. */
static void test_outlier(void **state)
{
    enum { N = 50000 };
    double book[BD_BOOK_MAX];
    float *x = bd_alloc(N, sizeof(*x));
    struct bd_rng r = {4};
    double with, without;
    struct bd_qparam p = param(4, book);

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = (float)bd_rng_normal(&r);
    assert_int_equal(p.q->fit(&p, x, N, NULL), BD_OK);
    without = error_of(&p, x, N);
    x[100] = 1e4f;
    p = param(4, book);
    assert_int_equal(p.q->fit(&p, x, N, NULL), BD_OK);
    assert_true(book[p.nbook - 1] == 1e4);
    with = error_of(&p, x, N);
    assert_true(with < 1.2 * without); /* 15 levels for the others */
    bd_free(x);
}

/* More bits never hurt, and no uniform grid is better. */
static void test_beats_uniform(void **state)
{
    enum { N = 30000 };
    float *x = bd_alloc(N, sizeof(*x));
    struct bd_rng r = {12};
    struct bd_index *ix;
    double before = INFINITY;

    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = (float)(bd_rng_normal(&r) * 0.02 * (i % 500 ? 1 : 6));
    assert_int_equal(bd_index_new(&ix, x, N, NULL), BD_OK);
    for (int bits = 2; bits <= 8; bits++) {
        double book[BD_BOOK_MAX], lev[BD_BOOK_MAX], cut[BD_BOOK_MAX], e, u;
        struct bd_qparam p = param(bits, book), q = p;

        q.q = bd_quantizer_at(bd_quantizer_find("uniform"));
        assert_int_equal(p.q->learn(&p, ix, NULL), BD_OK);
        e = error_of(&p, x, N);
        assert_true(e < before);
        before = e;
        for (int i = 1; i <= 20; i++) {
            size_t n;

            q.clip = bd_index_absmax(ix) * i / 20;
            n = q.q->levels(lev, BD_BOOK_MAX, &q);
            q.q->cuts(cut, BD_BOOK_MAX, &q);
            u = bd_index_error(ix, lev, cut, n, NULL);
            assert_true(e < u);
        }
    }
    bd_index_free(ix);
    bd_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimal),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_settled),
        cmocka_unit_test(test_few_values),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_outlier),
        cmocka_unit_test(test_beats_uniform),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
