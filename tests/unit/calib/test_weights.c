/* Clip rules and grains on weights: each against its definition. */
#include "../quant/ref.h"

#include "calib/calib.h"

enum { O = 3, C = 5, K = 40, N = O * C * K };

static void make(float *x, size_t n, uint64_t seed)
{
    struct bd_rng r = {seed};

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(0.1 * bd_rng_normal(&r) + 0.01);
}

static struct bd_tensorcfg choice(const char *text)
{
    struct bd_tensorcfg c = {.bits = 8};
    struct bd_err err = {0};

    if (bd_tensorcfg_parse(&c, text, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    return c;
}

static struct bd_qset fit(const struct bd_weights *w,
                          const struct bd_tensorcfg *cfg)
{
    struct bd_qset s = {0};
    struct bd_err err = {0};

    if (bd_calib_weights(&s, w, cfg, NULL, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return s;
}

static struct bd_weights whole(const float *x, size_t n)
{
    return (struct bd_weights){x, {1, 1, (int64_t)n}, NAN, NULL};
}

/* Squared error of a clip, value by value. */
static double brute(const struct bd_qparam *p, const float *x, size_t n)
{
    double e = 0;

    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], q;

        bd_quant_project(&q, &v, 1, p);
        e += (v - q) * (v - q);
    }
    return e;
}

/* The mse rule is the first minimum over i/100 of the largest magnitude. */
static void test_mse(void **state)
{
    const char *names[] = {"uniform:3:tensor:mse", "apot:4:tensor:mse",
                           "pot:3:tensor:mse", "affine:4:tensor:mse",
                           "dorefa:3:tensor:mse"};
    float x[N];

    (void)state;
    make(x, N, 5);
    for (size_t k = 0; k < 5; k++) {
        struct bd_tensorcfg cfg = choice(names[k]);
        struct bd_weights w = whole(x, N);
        struct bd_qset s = fit(&w, &cfg);
        struct bd_qparam p = s.p[0];
        struct bd_moments m;
        double best = INFINITY, chosen = 0, reach;

        bd_moments_of(&m, x, N);
        reach = fmax(m.max - p.mu, p.mu - m.min) / p.sigma;
        for (int i = 1; i <= 100; i++) {
            double e;

            p.clip = i / 100.0 * reach;
            assert_int_equal(p.q->refit(&p, &m, NULL), BD_OK);
            e = brute(&p, x, N);
            if (e < best) {
                best = e;
                chosen = p.clip;
            }
        }
        REF_CLOSE(s.p[0].clip, chosen, 1e-12);
        bd_qset_done(&s);
    }
}

static void test_rules(void **state)
{
    float x[N];
    struct bd_weights w = whole(x, N);
    struct bd_moments m;
    struct bd_index *ix;
    struct bd_tensorcfg cfg;
    struct bd_qset s;

    (void)state;
    make(x, N, 6);
    bd_moments_of(&m, x, N);
    assert_int_equal(bd_index_new(&ix, x, N, NULL), BD_OK);
    cfg = choice("uniform:4:tensor:max");
    s = fit(&w, &cfg);
    assert_true(s.p[0].clip == m.absmax);
    bd_qset_done(&s);
    cfg = choice("uniform:4:tensor:percentile"); /* 99.9 unless said */
    s = fit(&w, &cfg);
    assert_true(s.p[0].clip == bd_index_quantile_abs(ix, 0.999));
    bd_qset_done(&s);
    cfg = choice("apot:4:tensor:percentile90");
    s = fit(&w, &cfg);
    REF_CLOSE(s.p[0].clip * m.std, bd_index_quantile_about(ix, m.mean, 0.9),
              1e-7);
    bd_qset_done(&s);
    cfg = choice("apot:4:tensor:manual0.25"); /* in units of the weights */
    s = fit(&w, &cfg);
    REF_CLOSE(s.p[0].clip * m.std, 0.25, 1e-12);
    assert_true(s.p[0].map_back);
    bd_qset_done(&s);
    bd_index_free(ix);
}

/* A learned clip lies in the normalised domain, and Q(z) is used itself;
 * 'uniform' follows, since the network was trained with normalised
 * weights. */
static void test_learned(void **state)
{
    const char *names[] = {"apot:4:tensor:learned", "uniform:4:tensor:learned"};
    float x[N], y[N];
    struct bd_moments m;

    (void)state;
    make(x, N, 7);
    bd_moments_of(&m, x, N);
    for (int k = 0; k < 2; k++) {
        struct bd_weights w = whole(x, N);
        struct bd_tensorcfg cfg = choice(names[k]);
        struct bd_err err = {0};
        struct bd_qset s;

        assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, &err),
                         BD_EINVALID);
        assert_non_null(strstr(err.msg, "no learned clip"));
        w.learned_clip = 2;
        s = fit(&w, &cfg);
        assert_true(s.p[0].clip == 2 && s.p[0].mu == m.mean &&
                    s.p[0].sigma == m.std && !s.p[0].map_back);
        bd_qset_apply(y, &w, &s);
        for (int i = 0; i < N; i++)
            assert_true(fabsf(y[i]) <= 2);
        bd_qset_done(&s);
    }
}

/* Having the index of the tensor changes no bit, for any row. */
static void test_index_changes_nothing(void **state)
{
    float x[N], a[N], b[N];
    struct bd_index *ix;

    (void)state;
    make(x, N, 8);
    assert_int_equal(bd_index_new(&ix, x, N, NULL), BD_OK);
    for (int row = 0; bd_quantizer_at(row); row++)
        for (int rule = BD_CLIP_MAX; rule <= BD_CLIP_MSE; rule++) {
            const struct bd_quantizer *q = bd_quantizer_at(row);
            struct bd_tensorcfg cfg = {.bits = q->max_bits < 4   ? q->max_bits
                                               : q->min_bits > 4 ? q->min_bits
                                                                 : 4,
                                       .quant = (uint8_t)row,
                                       .clip = (uint8_t)rule};
            struct bd_weights w = whole(x, N);
            struct bd_qset s, t;
            double e, clip;

            if (!(q->traits & BD_Q_WEIGHTS))
                continue;
            s = fit(&w, &cfg);
            assert_false(bd_calib_index_error(&e, &clip, &w, &cfg));
            w.index = ix;
            t = fit(&w, &cfg);
            bd_qset_apply(a, &w, &s);
            bd_qset_apply(b, &w, &t);
            assert_memory_equal(a, b, sizeof(a));
            assert_true(bd_calib_index_error(&e, &clip, &w, &cfg));
            REF_CLOSE(e, brute(&t.p[0], x, N), 1e-11);
            REF_CLOSE(clip, t.p[0].clip * t.p[0].sigma, 1e-15);
            bd_qset_done(&s);
            bd_qset_done(&t);
        }
    bd_index_free(ix);
}

/* Channels along any axis, groups within a channel: the same as fitting each
 * piece alone. */
static void test_grains(void **state)
{
    const char *names[] = {"uniform:4:channel:mse", "apot:4:group16:max",
                           "binary:1:channel:max", "ternary:2:group7:max",
                           "kmeans:3:group16:max", "kmeans:2:channel:max",
                           "nf4:4:group16:max",    "mxfp4:4"};
    const struct bd_slices shapes[] = {{1, O, C * K}, {O, C, K}, {N / C, C, 1}};
    float x[N], y[N], one[N], want[N];

    (void)state;
    make(x, N, 9);
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
        for (size_t h = 0; h < 3; h++) {
            struct bd_slices sl = shapes[h];
            struct bd_weights w = {x, sl, NAN, NULL};
            struct bd_tensorcfg cfg = choice(names[k]), t = cfg;
            struct bd_qset s = fit(&w, &cfg);
            size_t len = (size_t)(sl.outer * sl.inner);
            size_t step = cfg.group ? (size_t)cfg.group : len;

            t.grain = BD_GRAIN_TENSOR;
            bd_qset_apply(y, &w, &s);
            for (int64_t c = 0; c < sl.channels; c++) {
                bd_slice_get(one, x, sl, c);
                for (size_t at = 0; at < len; at += step) {
                    size_t n = len - at < step ? len - at : step;
                    struct bd_weights part = whole(one + at, n);
                    struct bd_qset u = fit(&part, &t);

                    bd_qset_apply(want + at, &part, &u);
                    bd_qset_done(&u);
                }
                bd_slice_get(one, y, sl, c);
                assert_memory_equal(one, want, len * sizeof(*one));
            }
            bd_qset_done(&s);
        }
}

/* Widths per channel: 0 sends zeros, 32 leaves the channel as it is. */
static void test_channel_widths(void **state)
{
    const int8_t bits[] = {0, 32, 2, 3, 8}, bad[] = {1, 4, 4, 4, 4};
    float x[N], y[N];
    struct bd_slices sl = {O, C, K};
    struct bd_weights w = {x, sl, NAN, NULL};
    struct bd_tensorcfg cfg = choice("uniform:4:channel:max");
    struct bd_chanbits *cb = bd_chanbits_new(bits, C);
    struct bd_chanbits *few = bd_chanbits_new(bits, C - 1);
    struct bd_chanbits *one = bd_chanbits_new(bad, C);
    struct bd_qset s;

    (void)state;
    make(x, N, 10);
    cfg.channel = cb;
    s = fit(&w, &cfg);
    bd_qset_apply(y, &w, &s);
    for (int o = 0; o < O; o++)
        for (int k = 0; k < K; k++) {
            assert_true(y[(o * C + 0) * K + k] == 0);
            assert_true(y[(o * C + 1) * K + k] == x[(o * C + 1) * K + k]);
        }
    /* Codes, three steps of 32 bits, five widths of 5 bits. */
    assert_int_equal(s.stored_bits, O * K * (0 + 32 + 2 + 3 + 8) + 96 + 25);
    bd_qset_done(&s);
    cfg.channel = few;
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    cfg.channel = one;
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    bd_chanbits_unref(cb);
    bd_chanbits_unref(few);
    bd_chanbits_unref(one);
}

/* Learned levels count as they are stored, a float each; blocks have one
 * exponent of eight bits. */
static void test_stored_books(void **state)
{
    const struct {
        const char *choice;
        int64_t side;
    } want[] = {
        {"kmeans:3:tensor:max", 32 * 8},
        {"kmeans:1:channel:max", 32 * 2 * C},
        {"kmeans:4:group50:max", 32 * 16 * C * 3},
        {"nf4:4:group50:max", 32 * C * 3},
        {"fp8:8:channel:max", 32 * C},
        {"mxfp6-e3m2", 8 * C * 4}, /* 120 = 3 * 32 + 24 */
    };
    float x[N];
    struct bd_slices sl = {O, C, K};
    struct bd_weights w = {x, sl, NAN, NULL};

    (void)state;
    make(x, N, 14);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct bd_tensorcfg cfg = choice(want[i].choice);
        struct bd_qset s = fit(&w, &cfg);

        assert_int_equal(s.stored_bits, cfg.bits * N + want[i].side);
        assert_int_equal(bd_calib_stored_bits(&cfg, sl), s.stored_bits);
        bd_qset_done(&s);
    }
}

/* Channels of different widths learn books of different sizes, each within
 * its own room. */
static void test_books_of_channels(void **state)
{
    const int8_t bits[] = {8, 0, 1, 32, 3};
    float x[N], y[N];
    struct bd_weights w = {x, {O, C, K}, NAN, NULL};
    struct bd_tensorcfg cfg = choice("kmeans:4:channel:max");
    struct bd_chanbits *cb = bd_chanbits_new(bits, C);
    struct bd_qset s;

    (void)state;
    make(x, N, 15);
    cfg.channel = cb;
    s = fit(&w, &cfg);
    assert_int_equal(s.p[0].nbook, O * K); /* fewer values than 256 */
    assert_int_equal(s.p[2].nbook, 2);
    assert_int_equal(s.p[4].nbook, 8);
    assert_true(s.p[2].book >= s.p[0].book + s.p[0].nbook);
    assert_true(s.p[4].book >= s.p[2].book + s.p[2].nbook);
    bd_qset_apply(y, &w, &s);
    for (int o = 0; o < O; o++)
        for (int k = 0; k < K; k++) {
            int at = o * C * K + k;

            assert_true(y[at] == x[at]); /* a level for each */
            assert_true(y[at + K] == 0);
            assert_true(y[at + 3 * K] == x[at + 3 * K]);
        }
    bd_qset_done(&s);
    bd_chanbits_unref(cb);
}

/* Nothing, one value, constants, zeros: defined results. */
static void test_degenerate(void **state)
{
    const float data[][4] = {
        {0, 0, 0, 0}, {0.7f, 0.7f, 0.7f, 0.7f}, {1e-40f, -1e-40f, 0, 0}};

    (void)state;
    for (int row = 0; bd_quantizer_at(row); row++) {
        const struct bd_quantizer *q = bd_quantizer_at(row);

        for (int k = 0; k < 4; k++)
            for (int rule = BD_CLIP_MAX; rule <= BD_CLIP_MSE; rule++) {
                struct bd_tensorcfg cfg = {.bits = (int8_t)q->min_bits,
                                           .quant = (uint8_t)row,
                                           .clip = (uint8_t)rule};
                struct bd_weights w = whole(data[k % 3], k == 3 ? 0 : 4);
                struct bd_qset s;
                float y[4];

                if (!(q->traits & BD_Q_WEIGHTS))
                    continue;
                s = fit(&w, &cfg);
                bd_qset_apply(y, &w, &s);
                for (int i = 0; k < 3 && i < 4; i++)
                    assert_true(isfinite(y[i]));
                /* Symmetric rows keep a zero tensor at zero. */
                if (k == 0 && (q->traits & BD_Q_ODD))
                    assert_true(y[0] == 0 && y[3] == 0);
                /* What normalises gives constants back exactly. */
                if (k == 1 && (q->traits & BD_Q_NORMALISES))
                    assert_true(y[0] == 0.7f);
                bd_qset_done(&s);
            }
    }
}

static void test_refusals(void **state)
{
    float x[N];
    struct bd_weights w = whole(x, N);
    struct bd_tensorcfg cfg = choice("uniform:4:tensor:max");
    struct bd_ctl *ctl = bd_ctl_new();
    struct bd_qset s = {0};

    (void)state;
    make(x, N, 11);
    cfg.bits = 32;
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    cfg.bits = 1;
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    cfg = choice("pact:4:tensor:max");
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    cfg = choice("uniform:4:tensor:max");
    cfg.clip = BD_CLIP_MANUAL; /* without a value */
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    cfg.clip = 77;
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, NULL, NULL), BD_EINVALID);
    cfg = choice("uniform:4:channel:mse");
    bd_ctl_cancel(ctl);
    assert_int_equal(bd_calib_weights(&s, &w, &cfg, ctl, NULL), BD_ECANCELLED);
    assert_null(s.p); /* untouched on failure */
    bd_ctl_free(ctl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mse),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_learned),
        cmocka_unit_test(test_index_changes_nothing),
        cmocka_unit_test(test_grains),
        cmocka_unit_test(test_channel_widths),
        cmocka_unit_test(test_stored_books),
        cmocka_unit_test(test_books_of_channels),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
