/* The quantizers and tables of channel_allocation.json. */
#include "ref.h"

#include "quant/quant.h"

enum {
    CHANNELS = 8,
    LEN = 16,
    WIDTHS = 9 /* 0 .. 8 bits */
};

static void read_channel(float *x, const cJSON *small, int c)
{
    double v[LEN];

    assert_int_equal(
        ref_array(v, LEN, cJSON_GetArrayItem(ref_get(small, "channels"), c)),
        LEN);
    for (int i = 0; i < LEN; i++)
        x[i] = (float)v[i]; /* the file's values are floats exactly */
}

/* 1e-9 relative, as the file states; zero stays within rounding noise. */
static void near(double got, double want)
{
    if (fabs(got - want) > 1e-9 * fabs(want) + 1e-15)
        fail_msg("%.17g, expected %.17g", got, want);
}

static void test_interval_table(void **state)
{
    cJSON *doc = ref_load("channel_allocation.json");
    const cJSON *small = ref_get(doc, "small");

    (void)state;
    for (int c = 0; c < CHANNELS; c++) {
        double d[WIDTHS], e[WIDTHS];
        float x[LEN];

        read_channel(x, small, c);
        ref_array(d, WIDTHS,
                  cJSON_GetArrayItem(ref_get(small, "interval_table"), c));
        ref_array(e, WIDTHS,
                  cJSON_GetArrayItem(ref_get(small, "interval_mse"), c));
        for (int b = 0; b < WIDTHS; b++) {
            double mse;

            near(bd_feature_best_interval(&mse, x, LEN, b), d[b]);
            near(mse, e[b]);
        }
    }
    cJSON_Delete(doc);
}

static void test_log_table(void **state)
{
    cJSON *doc = ref_load("channel_allocation.json");
    const cJSON *small = ref_get(doc, "small");

    (void)state;
    for (int c = 0; c < CHANNELS; c++) {
        const cJSON *row = cJSON_GetArrayItem(ref_get(small, "log_table"), c);
        float x[LEN];

        read_channel(x, small, c);
        for (int b = 0; b < WIDTHS; b++) {
            double want[2], mse;

            ref_array(want, 2, cJSON_GetArrayItem(row, b));
            near(bd_feature_best_log(&mse, x, LEN, b), want[0]);
            near(mse, want[1]);
        }
    }
    cJSON_Delete(doc);
}

static void test_dorefa(void **state)
{
    cJSON *doc = ref_load("channel_allocation.json");
    const cJSON *small = ref_get(doc, "small");
    const cJSON *ex = ref_get(small, "dorefa_example");
    double x[LEN], want[LEN], y[LEN];
    float f[LEN];
    size_t n = ref_array(x, LEN, ref_get(ex, "x"));
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("dorefa")),
                          .bits = (int)ref_get_num(ex, "b"),
                          .clip = 0.9,
                          .sigma = 1,
                          .map_back = true};

    (void)state;
    /* 0.45 of 0.9 is a tie in double but not in float: through the row. */
    ref_array(want, LEN, ref_get(ex, "y"));
    bd_quant_project(y, x, n, &p);
    for (size_t i = 0; i < n; i++)
        near(y[i], want[i]);
    for (int c = 0; c < CHANNELS; c++) {
        ref_array(want, LEN,
                  cJSON_GetArrayItem(ref_get(small, "dorefa_mse_clip_0.9"), c));
        read_channel(f, small, c);
        for (int b = 1; b < WIDTHS; b++) {
            double e = 0;

            bd_feature_dorefa(y, f, LEN, 0.9, b);
            for (int i = 0; i < LEN; i++)
                e += ((double)f[i] - y[i]) * ((double)f[i] - y[i]) / LEN;
            near(e, want[b - 1]);
        }
    }
    cJSON_Delete(doc);
}

/* The rows dorefa and log of the table are the same mappings. */
static void test_rows_agree(void **state)
{
    cJSON *doc = ref_load("channel_allocation.json");
    const cJSON *small = ref_get(doc, "small");
    struct bd_qparam d = {.q = bd_quantizer_at(bd_quantizer_find("dorefa")),
                          .clip = 0.9,
                          .sigma = 1,
                          .map_back = true};
    struct bd_qparam l = {.q = bd_quantizer_at(bd_quantizer_find("log")),
                          .sigma = 1,
                          .map_back = true};

    (void)state;
    for (int c = 1; c < CHANNELS; c++) {
        double want[LEN], v[LEN], y[LEN];
        float x[LEN];
        struct bd_moments m;

        read_channel(x, small, c);
        bd_moments_of(&m, x, LEN);
        for (int i = 0; i < LEN; i++)
            v[i] = (double)x[i];
        for (int b = 2; b < WIDTHS; b++) {
            struct bd_feature_log p = {m.absmax, 0.3, b, m.min < 0};

            d.bits = l.bits = b;
            l.clip = m.absmax;
            l.extra = 0.3;
            l.is_signed = m.min < 0;
            bd_quant_project(y, v, LEN, &d);
            bd_feature_dorefa(want, x, LEN, 0.9, b);
            for (int i = 0; i < LEN; i++)
                near(y[i], want[i]);
            bd_quant_project(y, v, LEN, &l);
            bd_feature_log(want, x, LEN, &p);
            for (int i = 0; i < LEN; i++)
                near(y[i], want[i]);
        }
    }
    cJSON_Delete(doc);
}

/* -0.0 is not below zero; one signed bit has levels {-1, 0}; 0 bits send
 * nothing. */
static void test_edges(void **state)
{
    const float x[] = {-0.0f, 1, 3}, neg[] = {-2, 1, 0.4f};
    const struct bd_feature_uniform two = {1, 2, false}, one = {2, 1, true};
    double y[3], mse;

    (void)state;
    assert_true(bd_feature_full_interval(x, 3, 2) == 1);
    bd_feature_uniform(y, x, 3, &two);
    assert_true(y[0] == 0 && y[1] == 1 && y[2] == 3);
    bd_feature_uniform(y, neg, 3, &one);
    assert_true(y[0] == -2 && y[1] == 0 && y[2] == 0);
    assert_true(bd_feature_best_interval(&mse, x, 3, 0) == 0);
    REF_NEAR(mse, 10.0 / 3, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_table),
        cmocka_unit_test(test_log_table),
        cmocka_unit_test(test_dorefa),
        cmocka_unit_test(test_rows_agree),
        cmocka_unit_test(test_edges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
