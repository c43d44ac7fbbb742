/* Small floating formats and blocks of them: every code of the standards
 * (OCP OFP8 v1.0, OCP Microscaling v1.0), ties, shared exponents; NF4 against
 * the rule of its paper. */
#include "ref.h"

#include "quant/quant.h"

static struct bd_qparam param(const char *name, double clip)
{
    int row = bd_quantizer_find(name);
    struct bd_qparam p = {.q = bd_quantizer_at(row),
                          .is_signed = true,
                          .weights = true,
                          .clip = clip,
                          .sigma = 1,
                          .map_back = true};
    struct bd_moments m = {0};

    assert_in_range(row, 0, 255);
    p.bits = p.q->min_bits;
    m.absmax = clip;
    assert_int_equal(p.q->refit(&p, &m, NULL), BD_OK);
    return p;
}

struct format { /* as the standards' tables give it */
    const char *name;
    int ebits, mbits, bias, codes; /* finite magnitudes, zero included */
    double max, min_normal, min_subnormal;
};

static const struct format formats[] = {
    {"fp8-e4m3", 4, 3, 7, 127, 448, 0x1p-6, 0x1p-9},
    {"fp8-e5m2", 5, 2, 15, 124, 57344, 0x1p-14, 0x1p-16},
    {"fp4-e2m1", 2, 1, 1, 8, 6, 1, 0.5},
    {"mxfp8-e4m3", 4, 3, 7, 127, 448, 0x1p-6, 0x1p-9},
    {"mxfp8-e5m2", 5, 2, 15, 124, 57344, 0x1p-14, 0x1p-16},
    {"mxfp6-e3m2", 3, 2, 3, 32, 28, 0.25, 0.0625},
    {"mxfp6-e2m3", 2, 3, 1, 32, 7.5, 1, 0.125},
    {"mxfp4-e2m1", 2, 1, 1, 8, 6, 1, 0.5},
};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

/* What the bits of a code say: sign apart, IEEE 754 without specials. */
static double decoded(const struct format *f, int code)
{
    int e = code >> f->mbits, m = code & ((1 << f->mbits) - 1);
    double one = 1 << f->mbits;

    if (e == 0)
        return ldexp(m / one, 1 - f->bias);
    return ldexp(1 + m / one, e - f->bias);
}

/* A clip at the largest element makes the scale one; so does a largest value
 * of that size in a block. */
static void test_every_code(void **state)
{
    (void)state;
    for (int k = 0; k < FORMATS; k++) {
        const struct format *f = &formats[k];
        struct bd_qparam p = param(f->name, f->max);
        double lev[256], cut[256];
        size_t n = p.q->levels(lev, 256, &p), mid = n / 2;

        assert_int_equal(n, 2 * f->codes - 1);
        assert_int_equal(p.q->cuts(cut, 256, &p), n - 1);
        assert_true(p.scale == 1);
        for (int c = 0; c < f->codes; c++) {
            float x = (float)decoded(f, c), y;
            int32_t code;

            assert_true(lev[mid + (size_t)c] == decoded(f, c));
            assert_true(lev[mid - (size_t)c] == -decoded(f, c));
            p.q->apply(&y, &x, 1, &p);
            p.q->codes(&code, &x, 1, &p);
            assert_true(y == x);
            assert_int_equal(code, c);
            x = -x;
            p.q->codes(&code, &x, 1, &p);
            assert_int_equal(code, -c);
        }
        assert_true(lev[n - 1] == f->max && lev[mid + 1] == f->min_subnormal);
        assert_true(lev[mid + ((size_t)1 << f->mbits)] == f->min_normal);
    }
}

/* Exact halves go to the even code, also between binades, from subnormals to
 * normals, and around zero. */
static void test_ties(void **state)
{
    (void)state;
    for (int k = 0; k < FORMATS; k++) {
        const struct format *f = &formats[k];
        struct bd_qparam p = param(f->name, f->max);

        for (int c = 0; c + 1 < f->codes; c++) {
            double a = decoded(f, c), b = decoded(f, c + 1);
            float x[3] = {(float)((a + b) / 2)}, y[3];

            x[1] = nextafterf(x[0], 0);
            x[2] = nextafterf(x[0], INFINITY);
            p.q->apply(y, x, 3, &p);
            assert_true(y[0] == (float)(c % 2 ? b : a));
            assert_true(y[1] == (float)a && y[2] == (float)b);
        }
    }
}

/* Nothing overflows to infinity; unsigned data stops at zero. */
static void test_ends(void **state)
{
    const float x[] = {1e30f, -1e30f, INFINITY, -3, 479, 480, 1e-30f};
    struct bd_qparam p = param("fp8-e4m3", 448);
    float y[7];

    (void)state;
    p.q->apply(y, x, 7, &p);
    assert_true(y[0] == 448 && y[1] == -448 && y[2] == 448 && y[3] == -3);
    assert_true(y[4] == 448 && y[5] == 448);
    assert_true(y[6] == 0 && !signbit(y[6]));
    p.is_signed = false;
    p.q->apply(y, x, 7, &p);
    assert_true(y[1] == 0 && y[3] == 0 && !signbit(y[3]) && y[0] == 448);
    assert_int_equal(p.q->levels(NULL, 0, &p), 127);
}

/* Any clip: the grid is that of the format, times clip / max. */
static void test_scaled(void **state)
{
    struct bd_qparam p = param("fp4-e2m1", 0.3);
    const double want[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    double lev[15];

    (void)state;
    assert_int_equal(p.q->levels(lev, 15, &p), 15);
    for (int i = 0; i < 8; i++)
        REF_CLOSE(lev[7 + i], want[i] * 0.05, 1e-15);
}

/* Shared exponent: floor(log2(largest)) less the element's largest; what then
 * lies above the largest element is clamped (MX v1.0, section 6.3). */
static void test_shared_exponent(void **state)
{
    const struct {
        const char *name;
        float largest;
        int exponent;
        float becomes;
    } at[] = {
        {"mxfp4-e2m1", 1, -2, 1},
        {"mxfp4-e2m1", 1.99f, -2, 1.5f}, /* 7.96 elements, clamped to 6 */
        {"mxfp4-e2m1", 2, -1, 2},
        {"mxfp4-e2m1", 0.75f, -3, 0.75f},
        {"mxfp6-e3m2", 1, -4, 1},
        {"mxfp6-e2m3", 7.75f, 0, 7.5f},
        {"mxfp8-e4m3", 1.9f, -8, 1.75f}, /* 486 elements, clamped to 448 */
        {"mxfp8-e5m2", 1, -15, 1},
        {"mxint8", 1, 0, 1},
        {"mxint8", 1.999f, 0, 127.0f / 64},
        {"mxint8", 0.3f, -2, 77.0f / 256}, /* 76.8 steps of 1/256 */
        {"mxfp4-e2m1", 0, -127, 0},
        {"mxfp4-e2m1", 1e-45f, -127, 0},
        {"mxint8", 3e38f, 127, 113 * 0x1p121f},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        const float x[] = {0, -at[i].largest, at[i].largest / 64};
        struct bd_qparam p = param(at[i].name, 1);
        float y[3];

        assert_int_equal(p.q->fit(&p, x, 3, NULL), BD_OK);
        assert_true(p.extra == at[i].exponent);
        assert_true(p.scale == ldexp(1, at[i].exponent));
        p.q->apply(y, x, 3, &p);
        if (y[1] != -at[i].becomes)
            fail_msg("%s: %g became %g", at[i].name, (double)x[1],
                     (double)y[1]);
    }
}

static void test_mxint8(void **state)
{
    struct bd_qparam p = param("mxint8", 1);
    double lev[256];

    (void)state;
    assert_int_equal(p.q->levels(lev, 256, &p), 255);
    for (int c = -127; c <= 127; c++)
        assert_true(lev[c + 127] == c / 64.0);
}

/* ----------------------------------------------------------------- nf4 */
/* Inverse of the normal distribution, by bisection on erfc. */
static double quantile(double q)
{
    double lo = -10, hi = 10;

    for (int i = 0; i < 200; i++) {
        double mid = (lo + hi) / 2;

        if (erfc(-mid / sqrt(2)) / 2 < q)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Appendix E of the paper with the offset of its code: quantiles evenly from
 * the offset to the middle, eight above and seven below, zero between,
 * divided by the largest.  Published values went through float32. */
static void test_nf4(void **state)
{
    const double offset = 0.9677083, top = quantile(offset);
    struct bd_qparam p = param("nf4", 1);
    double lev[16], cut[15];

    (void)state;
    assert_int_equal(p.q->levels(lev, 16, &p), 16);
    for (int i = 0; i < 8; i++)
        REF_NEAR(lev[15 - i],
                 quantile(offset + (0.5 - offset) * i / 8) / top, 1.5e-7);
    for (int i = 0; i < 7; i++)
        REF_NEAR(lev[i], -quantile(offset + (0.5 - offset) * i / 7) / top,
                 1.5e-7);
    assert_true(lev[0] == -1 && lev[7] == 0 && lev[15] == 1);
    assert_true(lev[14] == (double)0.7229568362236023f &&
                lev[1] == (double)-0.6961928009986877f);
    p.q->cuts(cut, 15, &p);
    for (int i = 0; i < 15; i++)
        REF_CLOSE(cut[i], (lev[i] + lev[i + 1]) / 2, 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_shared_exponent),
        cmocka_unit_test(test_mxint8),
        cmocka_unit_test(test_nf4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
