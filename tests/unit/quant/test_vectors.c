/* Every vector of apot_quant.json: projection, codes, ties, both gradients,
 * weight normalization, the 8-bit rule of first and last layers. */
#include "ref.h"

#include "quant/quant.h"

enum { MAX = 64 };

static struct bd_qparam param(const char *name, int bits, bool is_signed,
                              double clip)
{
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find(name)),
                          .bits = bits,
                          .is_signed = is_signed,
                          .clip = clip,
                          .sigma = 1,
                          .map_back = true};
    struct bd_moments m = {0};

    assert_int_equal(p.q->refit(&p, &m, NULL), BD_OK);
    return p;
}

struct vec { /* one case of the file */
    double x[MAX], g[MAX], q[MAX], code[MAX], clipped[MAX], through[MAX];
    float xf[MAX], gf[MAX], out[MAX];
    size_t n;
};

static void read_case(struct vec *v, const cJSON *c)
{
    v->n = ref_array(v->x, MAX, ref_get(c, "x"));
    ref_array(v->g, MAX, ref_get(c, "g"));
    ref_array(v->q, MAX, ref_get(c, "q"));
    ref_array(v->code, MAX, ref_get(c, "code"));
    ref_array(v->clipped, MAX, ref_get(c, "grad_x_ste_clipped"));
    ref_array(v->through, MAX, ref_get(c, "grad_x_ste_unclipped"));
    for (size_t i = 0; i < v->n; i++) {
        v->xf[i] = (float)v->x[i];
        v->gf[i] = (float)v->g[i];
    }
}

static void check_forward(const struct vec *v, const cJSON *c,
                          const struct bd_qparam *p)
{
    double y[MAX], err2 = 0;
    float f[MAX];
    int32_t code[MAX];

    bd_quant_project(y, v->x, v->n, p);
    p->q->apply(f, v->xf, v->n, p);
    p->q->codes(code, v->xf, v->n, p);
    for (size_t i = 0; i < v->n; i++) {
        REF_CLOSE(y[i], v->q[i], 1e-15);
        assert_true(f[i] == (float)v->q[i]);
        assert_int_equal(code[i], (int)v->code[i]);
        err2 += (v->x[i] - y[i]) * (v->x[i] - y[i]);
    }
    REF_CLOSE(err2 / (double)v->n, ref_get_num(c, "mse"), 1e-12);
}

/* x enters as float, so sums of qn - d agree to single precision only. */
static void check_gradients(struct vec *v, const cJSON *c, struct bd_qparam *p)
{
    double want = ref_get_num(c, "grad_alpha_rcf");

    REF_NEAR(p->q->grad(v->out, v->gf, v->xf, v->n, p), want, 1e-5);
    for (size_t i = 0; i < v->n; i++)
        assert_true(v->out[i] == (float)v->clipped[i]);
    p->calibrated = true;
    REF_NEAR(p->q->grad(v->out, v->gf, v->xf, v->n, p), want, 1e-5);
    for (size_t i = 0; i < v->n; i++)
        assert_true(v->out[i] == (float)v->through[i]);
    REF_NEAR(bd_quant_grad_clipped(v->gf, v->xf, v->n, p),
             ref_get_num(c, "grad_alpha_pact_style"), 1e-12);
}

static void check_case(const cJSON *c)
{
    struct bd_qparam p =
        param(ref_get_str(c, "scheme"), (int)ref_get_num(c, "bits"),
              ref_get_bool(c, "signed"), ref_get_num(c, "alpha"));
    struct vec v;

    read_case(&v, c);
    check_forward(&v, c, &p);
    /* 1e30 and denormals swamp a sum of gradients only in name: |x| is
     * clipped, so these hold as well. */
    check_gradients(&v, c, &p);
}

static void test_rcf(void **state)
{
    (void)state;
    ref_each("apot_quant.json", "rcf", 126, check_case);
}

static void test_ties(void **state)
{
    (void)state;
    ref_each("apot_quant.json", "ties", 9, check_case);
}

static void check_normalised(const cJSON *c)
{
    double w[MAX], z[MAX], q[MAX], back[MAX], y[MAX];
    float f[MAX], out[MAX];
    size_t n = ref_array(w, MAX, ref_get(c, "w"));
    struct bd_qparam p =
        param(ref_get_str(c, "scheme"), (int)ref_get_num(c, "bits"), true,
              ref_get_num(c, "alpha"));
    struct bd_moments m;

    ref_array(z, MAX, ref_get(c, "w_normalised"));
    ref_array(q, MAX, ref_get(c, "q_normalised"));
    ref_array(back, MAX, ref_get(c, "q_denormalised"));
    bd_quant_project(y, z, n, &p); /* in the normalised domain */
    for (size_t i = 0; i < n; i++) {
        REF_CLOSE(y[i], q[i], 1e-15);
        f[i] = (float)w[i];
    }
    ref_check_error(ref_get(c, "normalised_domain"), z, y, n);
    bd_moments_of(&m, f, n); /* of floats: single precision agreement */
    REF_CLOSE(m.mean, ref_get_num(c, "mean"), 1e-6);
    REF_CLOSE(m.std, ref_get_num(c, "std_unbiased"), 1e-6);
    p.mu = ref_get_num(c, "mean");
    p.sigma = ref_get_num(c, "std_unbiased");
    bd_quant_project(y, w, n, &p); /* ptq: mapped back */
    p.q->apply(out, f, n, &p);
    for (size_t i = 0; i < n; i++) {
        REF_CLOSE(y[i], back[i], 1e-14);
        REF_CLOSE((double)out[i], back[i], 1e-7);
    }
    ref_check_error(ref_get(c, "original_domain"), w, y, n);
    p.map_back = false; /* qat: Q(z) itself */
    p.q->apply(out, f, n, &p);
    for (size_t i = 0; i < n; i++)
        assert_true(out[i] == (float)q[i]);
}

static void test_normalisation(void **state)
{
    (void)state;
    ref_each("apot_quant.json", "weight_normalisation", 21, check_normalised);
}

static void check_edge_rule(const cJSON *c)
{
    double w[MAX], code[MAX], q[MAX], y[MAX];
    float f[MAX];
    int32_t got[MAX];
    size_t n = ref_array(w, MAX, ref_get(c, "w"));
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("edge8")),
                          .bits = 8,
                          .is_signed = true,
                          .weights = true,
                          .sigma = 1,
                          .map_back = true};

    ref_array(code, MAX, ref_get(c, "code"));
    ref_array(q, MAX, ref_get(c, "q"));
    for (size_t i = 0; i < n; i++)
        f[i] = (float)w[i];
    assert_int_equal(p.q->fit(&p, f, n, NULL), BD_OK);
    REF_CLOSE(p.clip, ref_get_num(c, "max"), 1e-7);
    p.q->codes(got, f, n, &p);
    p.clip = ref_get_num(c, "max");
    bd_quant_project(y, w, n, &p);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i], (int)code[i]);
        REF_CLOSE(y[i], q[i], 1e-15);
    }
}

static void test_edge_rule(void **state)
{
    (void)state;
    ref_each("apot_quant.json", "first_last_8bit_seed_rule", 2,
             check_edge_rule);
}

/* A rule that divides by the largest weight says so when it cannot. */
static void test_edge_refusals(void **state)
{
    struct bd_qparam p = {.q = bd_quantizer_at(bd_quantizer_find("edge8")),
                          .bits = 8,
                          .is_signed = true,
                          .weights = true,
                          .sigma = 1,
                          .map_back = true};
    const float negative[] = {-1, -2}, lopsided[] = {-1, 1e-30f};
    const float zero[] = {0, 0};
    struct bd_err err = {0};
    float y[2];

    (void)state;
    assert_int_equal(p.q->fit(&p, negative, 2, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "'uniform'"));
    assert_int_equal(p.q->fit(&p, lopsided, 2, NULL), BD_EINVALID);
    assert_int_equal(p.q->fit(&p, zero, 2, NULL), BD_OK);
    p.q->apply(y, zero, 2, &p);
    assert_true(y[0] == 0 && y[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rcf),           cmocka_unit_test(test_ties),
        cmocka_unit_test(test_normalisation), cmocka_unit_test(test_edge_rule),
        cmocka_unit_test(test_edge_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
