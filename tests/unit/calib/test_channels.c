/* Statistics channel by channel, and a grid per channel fitted to them. */
#include "../quant/ref.h"

#include "calib/calib.h"

enum { IMAGES = 12, CHANNELS = 5, INNER = 600, ALL = IMAGES * CHANNELS * INNER };
static const struct bd_slices shape = {IMAGES, CHANNELS, INNER};

/* Channel c: normal with a spread of 4^-c; channel 3 after a ReLU, channel 4
 * nothing but 0.7. */
static float *values(void)
{
    float *x = bd_alloc(ALL, sizeof(*x));
    struct bd_rng r = {21};

    for (int i = 0; i < ALL; i++) {
        int c = i / INNER % CHANNELS;

        x[i] = (float)(bd_rng_normal(&r) * pow(4, -c));
        if (c == 3)
            x[i] = x[i] > 0 ? x[i] : 0;
        if (c == 4)
            x[i] = 0.7f;
    }
    return x;
}

static struct bd_chanstat *stats(const float *x, bool backwards)
{
    struct bd_chanstat *s = bd_chanstat_new(CHANNELS, 3);
    struct bd_slices one = {1, CHANNELS, INNER};

    assert_non_null(s);
    for (int k = 0; k < IMAGES; k++) {
        int i = backwards ? IMAGES - 1 - k : k;

        bd_chanstat_add(s, x + i * CHANNELS * INNER, one, i / 4);
    }
    return s;
}

static void numbers_of_a_channel(void **state)
{
    float *x = values(), *v = bd_alloc(IMAGES * INNER, sizeof(*v));
    struct bd_chanstat *s = stats(x, false);

    (void)state;
    assert_int_equal(bd_chanstat_channels(s), CHANNELS);
    for (int c = 0; c < CHANNELS; c++) {
        const struct bd_actstat *a = bd_chanstat_at(s, c);
        struct bd_moments m;

        bd_slice_get(v, x, shape, c);
        bd_moments_of(&m, v, IMAGES * INNER);
        assert_int_equal(bd_actstat_count(a), IMAGES * INNER);
        assert_true(bd_actstat_min(a) == m.min);
        assert_true(bd_actstat_max(a) == m.max);
        assert_true(bd_actstat_absmax(a) == m.absmax);
        assert_true(fabs(bd_actstat_mean(a) - m.mean) < 1e-12 * m.absmax);
        REF_CLOSE(bd_actstat_absmean(a), m.absmean, 1e-12);
        REF_CLOSE(bd_actstat_sumsq(a), m.sumsq, 1e-5);
        assert_true(fabs(bd_actstat_std(a) - m.std) < 1e-4 * m.absmax);
    }
    assert_null(bd_chanstat_at(s, -1));
    assert_null(bd_chanstat_at(s, CHANNELS));
    bd_chanstat_free(s);
    bd_free(v);
    bd_free(x);
}

/* Buckets are 12 % wide; evened out inside they serve as if they were not. */
static void error_of_a_grid(void **state)
{
    float *x = values(), *v = bd_alloc(IMAGES * INNER, sizeof(*v));
    struct bd_chanstat *s = stats(x, false);

    (void)state;
    for (int c = 0; c < CHANNELS; c++)
        for (int n = 5; n <= 255; n += 50) {
            double lev[255], step = 6 * pow(4, -c) / n, want = 0, got;

            bd_slice_get(v, x, shape, c);
            for (int k = 0; k < n; k++)
                lev[k] = (k - n / 2) * step;
            for (int i = 0; i < IMAGES * INNER; i++) {
                double q = rint((double)v[i] / step);

                q = fmin(fmax(q, -(n / 2)), n - 1 - n / 2) * step;
                want += ((double)v[i] - q) * ((double)v[i] - q);
            }
            got = bd_actstat_error(bd_chanstat_at(s, c), lev, NULL, (size_t)n);
            if (fabs(got - want) > 0.05 * want)
                fail_msg("channel %d, %d levels: %g, truly %g", c, n, got,
                         want);
        }
    bd_chanstat_free(s);
    bd_free(v);
    bd_free(x);
}

static void order_is_nothing(void **state)
{
    float *x = values();
    struct bd_chanstat *a = stats(x, false), *b = stats(x, true);

    (void)state;
    for (int c = 0; c < CHANNELS; c++) {
        const struct bd_actstat *p = bd_chanstat_at(a, c);
        const struct bd_actstat *q = bd_chanstat_at(b, c);
        int64_t h[2][64];

        bd_actstat_histogram(p, -4, 4, h[0], 64);
        bd_actstat_histogram(q, -4, 4, h[1], 64);
        assert_memory_equal(h[0], h[1], sizeof(h[0]));
        assert_true(bd_actstat_sumsq(p) == bd_actstat_sumsq(q));
        assert_true(bd_actstat_mean(p) == bd_actstat_mean(q));
        assert_true(bd_actstat_average(p, true, 0.3) ==
                    bd_actstat_average(q, true, 0.3));
        assert_true(bd_actstat_quantile_abs(p, 0.77) ==
                    bd_actstat_quantile_abs(q, 0.77));
    }
    bd_chanstat_free(a);
    bd_chanstat_free(b);
    bd_free(x);
}

/* Every exponent there is, in both signs: 64 blocks, of ten on average. */
static void every_octave(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = ldexpf(i % 2 ? -1.0f : 1.0f, (int)(i % 250) - 125);
}

static void memory_is_bounded(void **state)
{
    enum { C = 16, EACH = 250 };
    float x[C * EACH] = {0};
    struct bd_slices all = {1, C, EACH};
    struct bd_chanstat *s = bd_chanstat_new(C, 0);

    (void)state;
    every_octave(x, 2 * EACH); /* two such channels fit beside quiet ones */
    bd_chanstat_add(s, x, all, -1);
    assert_non_null(bd_chanstat_at(s, 0));
    assert_true(bd_actstat_max(bd_chanstat_at(s, 0)) == ldexp(1, 123) ||
                bd_actstat_max(bd_chanstat_at(s, 0)) == ldexp(1, 124));
    every_octave(x, C * EACH); /* sixteen do not: all or none */
    bd_chanstat_add(s, x, all, -1);
    for (int c = 0; c < C; c++)
        assert_null(bd_chanstat_at(s, c));
    bd_chanstat_add(s, x, all, -1); /* and it stays so */
    assert_null(bd_chanstat_at(s, 0));
    bd_chanstat_free(s);
    bd_chanstat_free(NULL);
    assert_null(bd_chanstat_new(0, 1));
}

static void odd_values_are_counted(void **state)
{
    const float x[6] = {1, NAN, INFINITY, -2, -INFINITY, NAN};
    struct bd_slices two = {1, 2, 3};
    struct bd_chanstat *s = bd_chanstat_new(2, 1);

    (void)state;
    bd_chanstat_add(s, x, two, 0);
    assert_int_equal(bd_actstat_count(bd_chanstat_at(s, 0)), 1);
    assert_int_equal(bd_actstat_nonfinite(bd_chanstat_at(s, 0)), 2);
    assert_true(bd_actstat_max(bd_chanstat_at(s, 0)) == 1);
    assert_true(bd_actstat_average(bd_chanstat_at(s, 1), false, 1) == -2);
    assert_int_equal(bd_actstat_nonfinite(bd_chanstat_at(s, 1)), 2);
    bd_chanstat_free(s);
}

/* ---------------------------------------------------- grids per channel */
static struct bd_tensorcfg choice(const char *text)
{
    struct bd_tensorcfg c = {.bits = 8};
    struct bd_err err = {0};

    if (bd_tensorcfg_parse(&c, text, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    return c;
}

static void grids(void **state)
{
    static const char *const rule[] = {"max", "percentile", "mse", "kl",
                                       "aciq", "ema"};
    float *x = values();
    struct bd_chanstat *s = stats(x, false);
    struct bd_calib_input in = {NULL, s, NAN, NULL};

    (void)state;
    for (size_t r = 0; r < sizeof(rule) / sizeof(*rule); r++) {
        char text[64];
        struct bd_tensorcfg cfg;
        struct bd_actset set;

        snprintf(text, sizeof(text), "uniform:4:channel:%s", rule[r]);
        cfg = choice(text);
        assert_int_equal(bd_calib_actset(&set, &in, &cfg, NULL), BD_OK);
        assert_int_equal(set.n, CHANNELS);
        for (int c = 0; c < CHANNELS; c++) {
            struct bd_qparam one;
            struct bd_tensorcfg tensor = cfg;

            tensor.grain = BD_GRAIN_TENSOR;
            assert_int_equal(bd_calib_acts(&one, bd_chanstat_at(s, c), NAN,
                                           &tensor, NULL), BD_OK);
            assert_true(set.p[c].clip == one.clip);
            assert_true(set.p[c].is_signed == (c < 3));
            assert_true(set.p[c].clip <=
                        bd_actstat_absmax(bd_chanstat_at(s, c)));
        }
        bd_actset_done(&set);
    }
    bd_chanstat_free(s);
    bd_free(x);
}

static void widths_per_channel(void **state)
{
    static const int8_t bits[CHANNELS] = {0, 4, 32, 2, 8};
    static const int8_t low[CHANNELS] = {0, 4, 32, 1, 8};
    float *x = values();
    struct bd_chanstat *s = stats(x, false);
    struct bd_calib_input in = {NULL, s, NAN, NULL};
    struct bd_tensorcfg cfg = choice("uniform:4:channel:max");
    struct bd_actset set;
    struct bd_err err = {0};

    (void)state;
    cfg.channel = bd_chanbits_new(bits, CHANNELS);
    assert_int_equal(bd_calib_actset(&set, &in, &cfg, NULL), BD_OK);
    for (int c = 0; c < CHANNELS; c++)
        assert_int_equal(set.p[c].bits, bits[c]);
    bd_actset_done(&set);
    bd_chanbits_unref(cfg.channel);
    cfg.channel = bd_chanbits_new(low, CHANNELS);
    assert_int_equal(bd_calib_actset(&set, &in, &cfg, NULL), BD_EINVALID);
    bd_chanbits_unref(cfg.channel);
    cfg.channel = bd_chanbits_new(bits, CHANNELS - 1);
    assert_int_equal(bd_calib_actset(&set, &in, &cfg, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "4 widths for 5"));
    bd_chanbits_unref(cfg.channel);
    bd_chanstat_free(s);
    bd_free(x);
}

static void refusals(void **state)
{
    struct bd_calib_input in = {NULL, NULL, NAN, NULL};
    struct bd_tensorcfg cfg = choice("uniform:4:group128:max");
    struct bd_actset set;
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_calib_actset(&set, &in, &cfg, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "'channel' or 'tensor' works"));
    cfg = choice("uniform:4:channel:max");
    err = (struct bd_err){0};
    assert_int_equal(bd_calib_actset(&set, &in, &cfg, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "grain 'tensor' works"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_a_channel),
        cmocka_unit_test(error_of_a_grid),
        cmocka_unit_test(order_is_nothing),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(odd_values_are_counted),
        cmocka_unit_test(grids),
        cmocka_unit_test(widths_per_channel),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
