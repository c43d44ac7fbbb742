/* Every vector of binary_pact.json. */
#include "ref.h"

#include "quant/quant.h"

enum { MAX = 64 };

static struct bd_qparam weights(const char *name, int bits)
{
    return (struct bd_qparam){.q = bd_quantizer_at(bd_quantizer_find(name)),
                              .bits = bits,
                              .is_signed = true,
                              .weights = true,
                              .sigma = 1,
                              .map_back = true};
}

static void check_binary(const cJSON *c)
{
    double w[MAX], keep[MAX], plus[MAX], y[MAX];
    float f[MAX];
    size_t n = ref_array(w, MAX, ref_get(c, "w"));
    struct bd_qparam p = weights("binary", 1);

    ref_array(keep, MAX, ref_get(c, "q_zero_stays_zero"));
    ref_array(plus, MAX, ref_get(c, "q_zero_is_plus"));
    for (size_t i = 0; i < n; i++)
        f[i] = (float)w[i];
    assert_int_equal(p.q->fit(&p, f, n, NULL), BD_OK);
    REF_CLOSE(p.scale, ref_get_num(c, "scale"), 1e-6);
    p.scale = ref_get_num(c, "scale");
    bd_quant_project(y, w, n, &p);
    for (size_t i = 0; i < n; i++)
        assert_true(y[i] == plus[i]);
    ref_check_error(ref_get(c, "metrics_zero_is_plus"), w, y, n);
    p.extra = 1; /* zeros stay */
    bd_quant_project(y, w, n, &p);
    for (size_t i = 0; i < n; i++)
        assert_true(y[i] == keep[i]);
}

static void test_binary(void **state)
{
    (void)state;
    ref_each("binary_pact.json", "binarise_per_layer", 5, check_binary);
}

static void test_binary_per_channel(void **state)
{
    cJSON *doc = ref_load("binary_pact.json");
    const cJSON *c = ref_get(doc, "binarise_per_channel");
    double scale[8], q[MAX];
    size_t channels = ref_array(scale, 8, ref_get(c, "per_channel_scale"));

    (void)state;
    for (size_t k = 0; k < channels; k++) {
        const cJSON *row = cJSON_GetArrayItem(ref_get(c, "w"), (int)k);
        double w[MAX];
        float f[MAX], y[MAX];
        size_t n = ref_array(w, MAX, row);
        struct bd_qparam p = weights("binary", 1);

        ref_array(q, MAX, cJSON_GetArrayItem(ref_get(c, "q"), (int)k));
        for (size_t i = 0; i < n; i++)
            f[i] = (float)w[i];
        assert_int_equal(p.q->fit(&p, f, n, NULL), BD_OK);
        REF_CLOSE(p.scale, scale[k], 1e-6);
        p.q->apply(y, f, n, &p);
        for (size_t i = 0; i < n; i++)
            REF_CLOSE((double)y[i], q[i], 1e-6);
    }
    cJSON_Delete(doc);
}

static void test_ternary(void **state)
{
    cJSON *doc = ref_load("binary_pact.json");
    const cJSON *c = ref_get(doc, "twn_0.7");
    double w[MAX], q[MAX];
    float f[MAX], y[MAX];
    size_t n = ref_array(w, MAX, ref_get(c, "w"));
    struct bd_qparam p = weights("ternary", 2);

    (void)state;
    ref_array(q, MAX, ref_get(c, "q"));
    for (size_t i = 0; i < n; i++)
        f[i] = (float)w[i];
    assert_int_equal(p.q->fit(&p, f, n, NULL), BD_OK);
    REF_CLOSE(p.extra, ref_get_num(c, "delta"), 1e-6);
    REF_CLOSE(p.scale, ref_get_num(c, "scale"), 1e-6);
    p.q->apply(y, f, n, &p);
    for (size_t i = 0; i < n; i++)
        REF_CLOSE((double)y[i], q[i], 1e-6);
    cJSON_Delete(doc);
}

/* ---------------------------------------------------------- hysteresis */
static void check_step(const cJSON *step, const double *w, const double *unit,
                       const double *p, size_t n)
{
    double want[MAX];

    ref_array(want, MAX, ref_get(step, "latent"));
    for (size_t i = 0; i < n; i++)
        REF_NEAR(w[i], want[i], 1e-15);
    ref_array(want, MAX, ref_get(step, "unit"));
    for (size_t i = 0; i < n; i++)
        REF_NEAR(unit[i], want[i], 1e-15);
    ref_array(want, MAX, ref_get(step, "weight"));
    for (size_t i = 0; i < n; i++)
        REF_NEAR(p[i], want[i], 1e-15);
}

static void check_hysteresis(const cJSON *c)
{
    struct bd_hysteresis h = {
        .lr = ref_get_num(c, "lr"),
        .momentum = ref_get_num(c, "momentum"),
        .decay = ref_get_num(c, "weight_decay"),
        .threshold = ref_get_num(c, "threshold"),
        .seed_code = strcmp(ref_get_str(c, "mode"), "seed_code") == 0};
    double w[MAX], v[MAX] = {0}, unit[MAX] = {0}, p[MAX], g[MAX];
    size_t n = ref_array(w, MAX, ref_get(c, "w0"));
    struct bd_hysteresis_net net = {n, w, v, unit, p};
    const cJSON *grad;
    int t = 0;

    memcpy(p, w, sizeof(p)); /* the first forward pass is unquantized */
    cJSON_ArrayForEach(grad, ref_get(c, "grads"))
    {
        const cJSON *step = cJSON_GetArrayItem(ref_get(c, "steps"), t);
        double scale;

        ref_array(g, MAX, grad);
        scale = bd_hysteresis_step(&net, g, &h, t == 0);
        REF_NEAR(scale, ref_get_num(step, "scale"), 1e-15);
        check_step(step, w, unit, p, n);
        t++;
    }
}

static void test_hysteresis(void **state)
{
    (void)state;
    ref_each("binary_pact.json", "hysteresis", 8, check_hysteresis);
}

/* ---------------------------------------------------------------- pact */
static void check_pact(const cJSON *c)
{
    int k = (int)ref_get_num(c, "k");
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("pact")),
                          .bits = k,
                          .clip = ref_get_num(c, "alpha"),
                          .sigma = 1,
                          .map_back = true};
    double x[MAX], g[MAX], want[MAX], code[MAX], sur[MAX], y[MAX], ga;
    float f[MAX], gf[MAX], gx[MAX];
    int32_t got[MAX];
    size_t n = ref_array(x, MAX, ref_get(c, "x"));

    ref_array(g, MAX, ref_get(c, "g"));
    ref_array(code, MAX, ref_get(c, "code"));
    ref_array(sur, MAX, ref_get(c, "grad_x_sigmoid_surrogate_a1"));
    ref_array(want, MAX, ref_get(c, "y"));
    bd_quant_project(y, x, n, &p);
    for (size_t i = 0; i < n; i++) {
        REF_CLOSE(y[i], want[i], 1e-15);
        f[i] = (float)x[i];
        gf[i] = (float)g[i];
    }
    for (size_t i = 0; i < n; i++) /* the signal is what can pass at all */
        want[i] = fmin(fmax(x[i], 0), p.clip);
    ref_check_error(c, want, y, n);
    p.q->codes(got, f, n, &p);
    ga = p.q->grad(gx, gf, f, n, &p);
    REF_CLOSE(ga, ref_get_num(c, "grad_alpha_data"), 1e-12);
    ga += 2e-4 * p.clip; /* decay 1e-4 on the clip, then one plain step */
    REF_CLOSE(ga, ref_get_num(c, "grad_alpha_with_decay_1e-4"), 1e-12);
    REF_CLOSE(p.clip - 1e-2 * ga, ref_get_num(c, "alpha_after_step_lr_1e-2"),
              1e-12);
    ref_array(want, MAX, ref_get(c, "grad_x"));
    for (size_t i = 0; i < n; i++) {
        double s = bd_pact_surrogate(x[i], p.clip, k, 1);

        assert_int_equal(got[i], (int)code[i]);
        /* 5e-324 is 0 as a float: strictly inside for doubles only. */
        if (f[i] != 0 || x[i] == 0)
            assert_true(gx[i] == (float)want[i]);
        REF_NEAR(want[i] == 0 ? 0 : s * g[i], sur[i],
                 1e-9 * fmax(1, fabs(sur[i])));
    }
}

static void test_pact(void **state)
{
    (void)state;
    ref_each("binary_pact.json", "pact", 24, check_pact);
}

/* The fixed range is PACT with the clip frozen at 2^k - 1. */
static void check_fixed_gradient(const cJSON *c, const double *x, size_t n)
{
    int k = (int)ref_get_num(c, "k");
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("pact")),
                          .bits = k,
                          .clip = (1 << k) - 1,
                          .sigma = 1};
    double g[MAX], want[MAX];
    float f[MAX], gf[MAX], gx[MAX];

    ref_array(g, MAX, ref_get(c, "g"));
    ref_array(want, MAX, ref_get(c, "grad_x"));
    for (size_t i = 0; i < n; i++) {
        f[i] = (float)x[i];
        gf[i] = (float)g[i];
    }
    p.q->grad(gx, gf, f, n, &p);
    for (size_t i = 0; i < n; i++)
        assert_true(gx[i] == (float)want[i]);
}

static void check_fixed(const cJSON *c)
{
    double x[MAX], y[MAX];
    size_t n = ref_array(x, MAX, ref_get(c, "x"));
    int k = (int)ref_get_num(c, "k");

    check_fixed_gradient(c, x, n);
    ref_array(y, MAX, ref_get(c, "y"));
    for (size_t i = 0; i < n; i++)
        assert_true((double)bd_pact_fixed((float)x[i], k) == y[i]);
}

static void check_exponential(const cJSON *c)
{
    double x[MAX], y[MAX], alpha = ref_get_num(c, "alpha");
    size_t n = ref_array(x, MAX, ref_get(c, "x"));
    int k = (int)ref_get_num(c, "k");

    ref_array(y, MAX, ref_get(c, "y"));
    for (size_t i = 0; i < n; i++)
        REF_CLOSE(bd_pact_exponential(x[i], alpha, k, false), y[i], 1e-12);
}

static void test_pact_variants(void **state)
{
    const char *file = "binary_pact.json";

    (void)state;
    ref_each(file, "fixed_integer_range_activation", 8, check_fixed);
    ref_each(file, "exponential_activation", 4, check_exponential);
    /* Clamped: never below the smallest level, nothing for x <= 0. */
    assert_true(bd_pact_exponential(-1, 3, 2, true) == 0);
    assert_true(bd_pact_exponential(1e-9, 3, 2, true) > 0.37);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_binary_per_channel),
        cmocka_unit_test(test_ternary),
        cmocka_unit_test(test_hysteresis),
        cmocka_unit_test(test_pact),
        cmocka_unit_test(test_pact_variants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
