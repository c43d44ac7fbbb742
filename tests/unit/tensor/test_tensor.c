/* Shapes, conversions, channels, statistics. */
#include "tensor/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

static void shapes_are_checked_before_multiplying(void **state)
{
    int64_t n = 5;
    const int64_t wraps[] = {1LL << 32, 1LL << 32, 1LL << 32};
    const int64_t minus[] = {3, -1};
    const int64_t empty[] = {0, 1LL << 40, 1LL << 40};
    const int64_t fine[] = {64, 3, 7, 7};

    (void)state;
    assert_int_equal(bd_shape_check(&n, wraps, 3, NULL), BD_EFORMAT);
    assert_int_equal(bd_shape_check(&n, minus, 2, NULL), BD_EFORMAT);
    assert_int_equal(bd_shape_check(&n, empty, 2, NULL), BD_OK);
    assert_int_equal(n, 0);
    assert_int_equal(bd_shape_check(&n, fine, 4, NULL), BD_OK);
    assert_int_equal(n, 9408);
    assert_int_equal(bd_shape_check(&n, fine, 0, NULL), BD_OK);
    assert_int_equal(n, 1);
}

static void shape_text(void **state)
{
    struct bd_tensor t = {.rank = 3, .dim = {-1, 3, 7}};
    char buf[64];

    (void)state;
    assert_string_equal(bd_shape_text(buf, sizeof buf, &t), "?x3x7");
    t.rank = 0;
    assert_string_equal(bd_shape_text(buf, sizeof buf, &t), "scalar");
    t.rank = 3;
    bd_shape_text(buf, 4, &t);
    assert_string_equal(buf, "?x3");
}

/* Every half survives the way to float and back; NaN stays NaN. */
static void halves_round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = bd_half_to_float((uint16_t)h);
        uint16_t back = bd_float_to_half(f);

        if (isnan(f))
            assert_true((back & 0x7C00) == 0x7C00 && (back & 0x3FF) != 0);
        else
            assert_int_equal(back, h);
    }
    assert_int_equal(bd_float_to_half(1.00048828125f), 0x3C00); /* tie, even */
    assert_int_equal(bd_float_to_half(65519.0f), 0x7BFF);
    assert_int_equal(bd_float_to_half(65520.0f), 0x7C00);
    assert_int_equal(bd_float_to_half(0x1p-25f), 0);
    assert_int_equal(bd_float_to_half(0x1.8p-25f), 1);
}

static void elements_convert(void **state)
{
    const uint8_t i16[] = {0xFE, 0xFF, 0x01, 0x00};
    const uint8_t big[] = {0x3F, 0x80, 0, 0};
    const uint8_t f64[] = {0, 0, 0, 0, 0, 0, 0xF0, 0xBF};
    const uint8_t bf[] = {0x80, 0x3F};
    const uint8_t yes[] = {7, 0};
    int64_t w[2];
    float f[1];

    (void)state;
    bd_convert(w, i16, 2, BD_I16, false);
    assert_true(w[0] == -2 && w[1] == 1);
    bd_convert(w, i16, 2, BD_U16, false);
    assert_int_equal(w[0], 0xFFFE);
    bd_convert(w, yes, 2, BD_BOOL, false);
    assert_true(w[0] == 1 && w[1] == 0);
    bd_convert(f, big, 1, BD_F32, true);
    assert_true(f[0] == 1.0f);
    bd_convert(f, f64, 1, BD_F64, false);
    assert_true(f[0] == -1.0f);
    bd_convert(f, bf, 1, BD_BF16, false);
    assert_true(f[0] == 1.0f);
}

static void channels_of_every_axis(void **state)
{
    struct bd_tensor t = {.rank = 3, .dim = {2, 3, 4}};
    float x[24], y[24] = {0}, part[24];

    (void)state;
    for (int i = 0; i < 24; i++)
        x[i] = (float)i;
    for (int axis = 0; axis < 3; axis++) {
        struct bd_slices s = bd_slices_of(&t, axis);

        assert_int_equal(s.channels, t.dim[axis]);
        for (int64_t c = 0; c < s.channels; c++) {
            bd_slice_get(part, x, s, c);
            assert_true(part[0] == (float)(c * s.inner));
            bd_slice_put(y, part, s, c);
        }
        assert_memory_equal(x, y, sizeof x);
        memset(y, 0, sizeof y);
    }
}

static void statistics_leave_out_what_is_not_finite(void **state)
{
    const float x[] = {1, -3, NAN, 0, INFINITY, 2};
    struct bd_stats s;

    (void)state;
    bd_stats_of(&s, x, 6);
    assert_true(s.n == 6 && s.finite == 4 && s.nan == 1 && s.inf == 1);
    assert_true(s.zeros == 1 && s.min == -3 && s.max == 2);
    assert_true(s.mean == 0 && s.absmean == 1.5 && s.absmax == 3);
    assert_true(fabs(s.std - sqrt(3.5)) < 1e-15 && s.sumsq == 14);
    bd_stats_of(&s, x + 2, 1);
    assert_true(s.finite == 0 && s.min == 0 && s.std == 0);
    bd_stats_of(&s, x, 0);
    assert_true(s.n == 0 && s.absmax == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_checked_before_multiplying),
        cmocka_unit_test(shape_text),
        cmocka_unit_test(halves_round_trip),
        cmocka_unit_test(elements_convert),
        cmocka_unit_test(channels_of_every_axis),
        cmocka_unit_test(statistics_leave_out_what_is_not_finite)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
