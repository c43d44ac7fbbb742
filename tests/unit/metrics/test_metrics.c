/* Numbers about tensors and networks, by hand and against definitions. */
#include "../quant/ref.h"

#include "metrics/metrics.h"

static struct bd_tensorcfg choice(const char *text)
{
    struct bd_tensorcfg c = {.bits = 8};

    assert_int_equal(bd_tensorcfg_parse(&c, text, NULL), BD_OK);
    return c;
}

static struct bd_error_stats error_of(const struct bd_weights *w,
                                      const char *text)
{
    struct bd_tensorcfg cfg = choice(text);
    struct bd_error_stats e;
    struct bd_qset s;

    assert_int_equal(bd_calib_weights(&s, w, &cfg, NULL, NULL), BD_OK);
    assert_int_equal(bd_error_of(&e, w, &s, NULL), BD_OK);
    bd_qset_done(&s);
    return e;
}

static void test_decibels(void **state)
{
    (void)state;
    assert_true(bd_psnr_db(1, 0) == INFINITY);
    assert_true(bd_psnr_db(0, 1) == -INFINITY);
    REF_CLOSE(bd_psnr_db(2, 0.04), 20, 1e-12);
    REF_CLOSE(bd_sqnr_db(10, 1), 10, 1e-12);
    assert_true(bd_sqnr_db(0, 0) == INFINITY);
}

/* The reference's own figures, infinities included. */
static void test_reference_decibels(void **state)
{
    cJSON *doc = ref_load("apot_quant.json");
    const cJSON *c;
    int n = 0;

    (void)state;
    cJSON_ArrayForEach(c, ref_get(doc, "rcf"))
    {
        double mse = ref_get_num(c, "mse"), power = 0, x[64];
        size_t m = ref_array(x, 64, ref_get(c, "x"));

        for (size_t i = 0; i < m; i++)
            power += x[i] * x[i] / (double)m;
        REF_CLOSE(bd_psnr_db(ref_get_num(c, "peak_maxabs"), mse),
                  ref_get_num(c, "psnr_db"), 1e-12);
        REF_NEAR(bd_sqnr_db(power, mse), ref_get_num(c, "sqnr_db"), 1e-9);
        n++;
    }
    assert_int_equal(n, 126);
    cJSON_Delete(doc);
}

/* Wilson's interval: values from the closed formula worked out apart. */
static void test_wilson(void **state)
{
    double lo, hi;

    (void)state;
    bd_wilson(&lo, &hi, 5, 10);
    REF_NEAR(lo, 0.236593, 1e-6);
    REF_NEAR(hi, 0.763407, 1e-6);
    bd_wilson(&lo, &hi, 0, 10);
    REF_NEAR(lo, 0, 1e-15);
    REF_NEAR(hi, 0.277533, 1e-6);
    bd_wilson(&lo, &hi, 10, 10);
    REF_NEAR(lo, 0.722467, 1e-6);
    REF_NEAR(hi, 1, 1e-15);
    bd_wilson(&lo, &hi, 0, 0);
    assert_true(lo == 0 && hi == 1);
}

/* Three bits, clip 3: codes -3 .. 3 in whole steps. */
static void test_error_by_hand(void **state)
{
    const float x[] = {3, -3, 0.25f, -1.25f, 2, 0, 0, 1};
    struct bd_weights w = {x, {1, 2, 4}, NAN, NULL};
    struct bd_error_stats e = error_of(&w, "uniform:3:tensor:max");
    double xx = 9 + 9 + 0.0625 + 1.5625 + 4 + 1, qq = 9 + 9 + 1 + 4 + 1;

    (void)state;
    assert_int_equal(e.n, 8);
    REF_CLOSE(e.mse, 0.125 / 8, 1e-15);
    REF_CLOSE(e.max_err, 0.25, 1e-15);
    assert_true(e.peak == 3 && e.clip == 3);
    REF_CLOSE(e.psnr_db, 10 * log10(9 * 8 / 0.125), 1e-12);
    REF_CLOSE(e.sqnr_db, 10 * log10(xx / 0.125), 1e-12);
    REF_CLOSE(e.cosine, (9 + 9 + 1.25 + 4 + 1) / sqrt(xx * qq), 1e-14);
    assert_int_equal(e.zeros, 3);
    assert_int_equal(e.levels_used, 6); /* 3 -3 0 -1 2 1 */
    assert_int_equal(e.clipped, 0);
    /* One code three times, five once, of eight. */
    REF_CLOSE(e.entropy_bits, 3.0 / 8 * log2(8.0 / 3) + 5.0 / 8 * 3, 1e-14);
    assert_int_equal(e.stored_bits, 8 * 3 + 32);
    e = error_of(&w, "uniform:3:tensor:manual1.5");
    assert_int_equal(e.clipped, 3); /* 3, -3, 2 */
}

/* A perfect grid: infinite decibels, cosine 1. */
static void test_error_none(void **state)
{
    const float x[] = {1, -1, 0, 1}, zeros[] = {0, 0, 0, 0};
    struct bd_weights w = {x, {1, 1, 4}, NAN, NULL};
    struct bd_weights z = {zeros, {1, 1, 4}, NAN, NULL};
    struct bd_error_stats e = error_of(&w, "ternary:2");

    (void)state;
    assert_true(e.mse == 0 && e.psnr_db == INFINITY && e.sqnr_db == INFINITY);
    REF_CLOSE(e.cosine, 1, 1e-15);
    e = error_of(&z, "uniform:4");
    assert_true(e.mse == 0 && e.cosine == 1 && e.entropy_bits == 0);
    assert_int_equal(e.levels_used, 1);
}

/* Values that are not finite are left out of every figure. */
static void test_error_nonfinite(void **state)
{
    const float x[] = {1, NAN, -1, INFINITY, 0.5f};
    struct bd_weights w = {x, {1, 1, 5}, NAN, NULL};
    struct bd_error_stats e = error_of(&w, "uniform:8:tensor:mse");

    (void)state;
    assert_int_equal(e.n, 3);
    assert_true(isfinite(e.mse) && isfinite(e.psnr_db) && e.peak == 1);
}

/* Whatever way it is asked, one answer: the pass, the index's full price,
 * and its error alone. */
static void same_both_ways(const float *x, size_t n, const char *name)
{
    struct bd_weights w = {x, {1, 1, (int64_t)n}, NAN, NULL};
    struct bd_tensorcfg cfg = choice(name);
    struct bd_error_stats e = error_of(&w, name), f;
    struct bd_index *ix;
    double err2, clip;

    assert_int_equal(bd_index_new(&ix, x, n, NULL), BD_OK);
    w.index = ix;
    f = error_of(&w, name);
    REF_NEAR(f.mse, e.mse, 1e-10 * e.mse + 1e-26);
    REF_CLOSE(f.psnr_db, e.psnr_db, 1e-9);
    REF_CLOSE(f.sqnr_db, e.sqnr_db, 1e-9);
    REF_CLOSE(f.cosine, e.cosine, 1e-12);
    REF_CLOSE(f.max_err, e.max_err, 1e-9);
    REF_CLOSE(f.entropy_bits, e.entropy_bits, 1e-12);
    assert_true(f.peak == e.peak && f.clip == e.clip);
    assert_int_equal(f.n, e.n);
    assert_int_equal(f.levels_used, e.levels_used);
    assert_int_equal(f.zeros, e.zeros);
    assert_int_equal(f.clipped, e.clipped);
    assert_int_equal(f.stored_bits, e.stored_bits);
    assert_true(bd_calib_index_error(&err2, &clip, &w, &cfg));
    REF_NEAR(e.mse, err2 / (double)(n ? n : 1), 1e-10 * e.mse + 1e-26);
    assert_true(e.clip == clip);
    bd_index_free(ix);
}

static void test_error_and_index(void **state)
{
    const char *names[] = {"apot:4:tensor:mse",
                           "uniform:12:tensor:max",
                           "dorefa:5:tensor:percentile",
                           "binary:1",
                           "edge8:8",
                           "affine:3:tensor:mse",
                           "ternary:2",
                           "log:4:tensor:manual0.1",
                           "pot:5:tensor:mse"};
    float x[3000];
    struct bd_rng r = {4};

    (void)state;
    for (int i = 0; i < 3000; i++)
        x[i] = i % 9 ? (float)(0.1 * bd_rng_normal(&r)) : 0;
    x[77] = 9; /* far from the rest: empty bins between */
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        same_both_ways(x, 3000, names[k]);
        same_both_ways(x, 9, names[k]);
        same_both_ways(x, 1, names[k]);
    }
}

/* ---------------------------------------------------------------- logits */
/* The quick pass over float32 values against the full account: every method
 * it serves, odd lengths, every grain. */
static void test_error_quick(void **state)
{
    static const char *const texts[] = {
        "uniform:4",        "uniform:8:channel", "affine:5",
        "dorefa:3",         "apot:4",            "pot:3:channel",
        "log:4",            "binary:1:channel",  "ternary:2",
        "uniform:3:group8", "apot:5:tensor:percentile99", "edge8:8"};
    float x[3 * 1001];
    struct bd_weights w = {x, {1, 3, 1001}, NAN, NULL};
    struct bd_rng r = {5};
    struct bd_tensorcfg slow = choice("uniform:4:tensor:mse");
    struct bd_error_stats quick;

    (void)state;
    for (size_t i = 0; i < 3 * 1001; i++)
        x[i] = (float)bd_rng_normal(&r);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct bd_tensorcfg cfg = choice(texts[i]);
        struct bd_error_stats full = error_of(&w, texts[i]);

        assert_int_equal(bd_error_quick(&quick, &w, &cfg, NULL, NULL), BD_OK);
        REF_CLOSE(quick.mse, full.mse, 1e-5);
        REF_CLOSE(quick.psnr_db, full.psnr_db, 1e-5);
        REF_CLOSE(quick.sqnr_db, full.sqnr_db, 1e-4);
        REF_CLOSE(quick.clip, full.clip, 1e-12);
        assert_true(quick.peak == full.peak && quick.n == full.n);
    }
    assert_int_equal(bd_error_quick(&quick, &w, &slow, NULL, NULL),
                     BD_EUNSUPPORTED);
}

static void test_top_k(void **state)
{
    /* Ties go to the lower class; image 1 is wrong, image 2 has no label. */
    const float z[] = {1, 1, 0, -1, -1, -1, -1, /**/
                       5, 4, 3, 2,  1,  0,  9,  /**/
                       1, 2, 3, 4,  5,  6,  7};
    const int labels[] = {0, 5, -1};
    struct bd_net_eval e;

    (void)state;
    bd_eval_logits(&e, z, NULL, labels, 3, 7);
    assert_int_equal(e.images, 2);
    assert_int_equal(e.total, 3);
    assert_int_equal(e.right1, 1);
    assert_int_equal(e.right5, 1); /* class 5 of image 1 is the last */
    assert_true(e.top1 == 0.5 && isnan(e.kl) && isnan(e.agreement));
    bd_eval_logits(&e, z, NULL, (const int[]){1, 1, 1}, 3, 7);
    assert_int_equal(e.right1, 0); /* the tie of image 0 belongs to class 0 */
    assert_int_equal(e.right5, 2);
}

static void test_loss_and_kl(void **state)
{
    const float z[] = {1000, 999, 0}, f[] = {2, 1, 0};
    const int label = 1;
    double a = log(exp(2) + exp(1) + 1), kl = 0;
    struct bd_net_eval e;

    (void)state;
    bd_eval_logits(&e, z, f, &label, 1, 3);
    REF_CLOSE(e.loss, 1 + log1p(exp(-1)), 1e-12); /* no overflow */
    for (int k = 0; k < 3; k++) {
        double lz = (double)z[k] - 1000 - log1p(exp(-1));

        kl += exp((double)f[k] - a) * ((double)f[k] - a - lz);
    }
    REF_CLOSE(e.kl, kl, 1e-9);
    assert_true(e.agreement == 1);
    bd_eval_logits(&e, f, f, &label, 1, 3);
    REF_NEAR(e.kl, 0, 1e-15);
    bd_eval_logits(&e, z, f, NULL, 0, 3);
    assert_true(e.images == 0 && isnan(e.kl) && e.ci_hi == 1);
    /* An answer that is no number agrees with nothing. */
    bd_eval_logits(&e, z, (const float[]){NAN, 1, 0}, &label, 1, 3);
    assert_true(isnan(e.kl));
    bd_eval_logits(&e, (const float[]){0, 1, NAN}, f, &label, 1, 3);
    assert_true(isnan(e.kl));
}

/* ---------------------------------------------------------------- sizes */
/* Two layers, 4x3 and 2x4, with a bias: a model as sizes see it. */
static void test_cost(void **state)
{
    struct bd_value value[2] = {
        {.t = {.type = BD_F32, .rank = 2, .dim = {4, 3}}},
        {.t = {.type = BD_F32, .rank = 2, .dim = {2, 4}}}};
    struct bd_layer layer[2] = {{.name = "a", .weight = 0, .bias = -1},
                                {.name = "b", .weight = 1, .bias = -1}};
    struct bd_model m = {.nvalues = 2,
                         .nlayers = 2,
                         .value = value,
                         .layer = layer,
                         .params = 12 + 8 + 5};
    const int8_t widths[] = {0, 4, 32, 2};
    struct bd_chanbits *cb = bd_chanbits_new(widths, 4);
    struct bd_layercfg l[2] = {{.w = {.bits = 32}, .a = {.bits = 32}},
                               {.w = {.bits = 32}, .a = {.bits = 32}}};
    struct bd_bitcfg c = {2, l};
    struct bd_cost k;

    (void)state;
    bd_cost_of(&k, &m, NULL, &c);
    assert_int_equal(k.size_bits, 25 * 32);
    assert_int_equal(k.float_bits, 25 * 32);
    assert_true(k.avg_bits_w == 32 && k.avg_bits_a == 32 && k.bops == 0);
    l[0].w = choice("uniform:4:channel:max");
    l[1].w = choice("affine:3:tensor:max");
    l[1].a.bits = 4;
    bd_cost_of(&k, &m, NULL, &c);
    assert_int_equal(k.size_bits, (12 * 4 + 4 * 32) + (8 * 3 + 48) + 5 * 32);
    REF_CLOSE(k.avg_bits_w, (12 * 4 + 4 * 32 + 8 * 3 + 48) / 20.0, 1e-15);
    assert_true(k.avg_bits_a == 18);
    l[0].w.channel = cb; /* 0: nothing at all; 32: codes only */
    assert_int_equal(bd_stored_bits(&m, 0, &l[0].w),
                     3 * (0 + 4 + 32 + 2) + 2 * 32 + 4 * 5);
    l[1].w = choice("uniform:4:group3:max");
    assert_int_equal(bd_stored_bits(&m, 1, &l[1].w), 8 * 4 + 2 * 2 * 32);
    bd_chanbits_unref(cb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decibels),
        cmocka_unit_test(test_reference_decibels),
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_error_by_hand),
        cmocka_unit_test(test_error_none),
        cmocka_unit_test(test_error_nonfinite),
        cmocka_unit_test(test_error_and_index),
        cmocka_unit_test(test_error_quick),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_loss_and_kl),
        cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
