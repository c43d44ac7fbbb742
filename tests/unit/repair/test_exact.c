/* Folding and equalization change nothing in float, and change the ranges
 * that a quantizer sees. */
#include "nets.h"

static const char *const archs[] = {"resnet20", "mobilenet-glyphs", NULL};

static void float_outputs_stay(void **state)
{
    (void)state;
    for (const char *const *a = archs; *a; a++)
        for (int what = 0; what < 2; what++) {
            struct bd_model *m = stirred(*a, 3);
            struct bd_model *f = repaired(m, what ? "equalize" : "bn-fold");
            assert_true(m->digest != f->digest);
            if (!(apart(m, f) < 1e-4))
                fail_msg("%s: apart by %g", *a, apart(m, f));
            bd_model_free(f);
            bd_model_free(m);
        }
}

/* The mean over layers of the largest channel over the middle one. */
static double unevenness(const struct bd_model *m, const char *part)
{
    double sum = 0;
    int n = 0;
    for (size_t i = 0; i < m->nlayers; i++)
        if (strstr(m->layer[i].name, part)) {
            sum += bd_repair_range_ratio(m, (int)i);
            n++;
        }
    assert_true(n > 0);
    return sum / n;
}

static void folding_moves_the_scale(void **state)
{
    (void)state;
    struct bd_model *m = stirred("mobilenet-glyphs", 5);
    struct bd_model *f = repaired(m, "bn-fold");
    const struct bd_layer *l = &m->layer[1];
    const struct bd_node *bn = &m->node[m->value[m->layer[2].input].producer];
    while (strcmp(bn->op, "BatchNormalization") != 0)
        bn = &m->node[m->value[bn->in[0]].producer];
    double eps = (double)bd_node_float(bn, "epsilon", 1e-5f);
    int64_t c = bd_tensor_count(&m->value[bn->in[1]].t);
    int64_t each = bd_tensor_count(&m->value[l->weight].t) / c;
    for (int64_t i = 0; i < c; i++) {
        double s = (double)m->value[bn->in[1]].t.f[i] /
                   sqrt((double)m->value[bn->in[4]].t.f[i] + eps);
        double was = (double)m->value[l->weight].t.f[i * each];
        double is = (double)f->value[l->weight].t.f[i * each];
        assert_true(fabs(is - s * was) <= 1e-6 * fabs(is));
        assert_true(f->value[bn->in[3]].t.f[i] == 0);
        assert_true(f->value[bn->in[4]].t.f[i] == 1);
    }
    assert_true(unevenness(f, ".dw") > 1.5 * unevenness(m, ".dw"));
    bd_model_free(f);
    bd_model_free(m);
}

static void equalizing_evens_the_ranges(void **state)
{
    (void)state;
    struct bd_model *m = stirred("mobilenet-glyphs", 5);
    struct bd_model *f = repaired(m, "bn-fold");
    struct bd_model *e = repaired(m, "equalize");
    assert_true(unevenness(e, ".dw") < 0.5 * unevenness(f, ".dw"));
    bd_model_free(e);
    bd_model_free(f);
    bd_model_free(m);
}

/* Folding twice finds nothing; equalizing what was folded is the same as
 * equalizing at once. */
static void again_is_nothing_new(void **state)
{
    struct bd_err err = {0};
    struct bd_repair_out o = {0};
    (void)state;
    struct bd_model *m = stirred("mobilenet-glyphs", 7);
    struct bd_model *f = repaired(m, "bn-fold");
    assert_int_equal(repair(&o, f, "bn-fold", &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "still to be folded"));
    struct bd_model *a = repaired(f, "equalize"), *b = repaired(m, "equalize");
    for (size_t i = 0; i < m->nlayers; i++) {
        int v = m->layer[i].weight;
        assert_memory_equal(a->value[v].t.f, b->value[v].t.f,
                            (size_t)bd_tensor_count(&m->value[v].t) *
                                sizeof(float));
    }
    bd_model_free(a);
    bd_model_free(b);
    bd_model_free(f);
    bd_model_free(m);
}

/* Written and read back it is the same network, layers keep their names. */
static void the_file_holds_it(void **state)
{
    struct bd_str s = {0};
    struct bd_err e = {0};
    char path[] = "/tmp/bdrepairXXXXXX";
    (void)state;
    struct bd_model *m = stirred("resnet20", 9), *back = NULL;
    struct bd_model *f = repaired(m, "equalize");
    assert_int_equal(bd_onnx_write(&s, f, NULL, &e), BD_OK);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(bd_save(path, s.s, s.n, true, &e), BD_OK);
    assert_int_equal(bd_model_load(&back, path, NULL, &e), BD_OK);
    assert_int_equal(back->nlayers, m->nlayers);
    for (size_t i = 0; i < m->nlayers; i++)
        assert_string_equal(back->layer[i].name, m->layer[i].name);
    assert_true(apart(f, back) == 0);
    remove(path);
    bd_str_done(&s);
    bd_model_free(back);
    bd_model_free(f);
    bd_model_free(m);
}

/* A network as others exported it: fire modules, where one layer feeds two. */
static void squeezenet_stays(void **state)
{
    const char *data = getenv("BITDIAL_DATA");
    char path[1024];
    struct bd_model *m = NULL;
    struct bd_err e = {0};
    (void)state;
    if (!data) {
        print_message("BITDIAL_DATA is not set: squeezenet not looked at\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/onnx/squeezenet10_deepcompression.onnx",
             data);
    if (bd_model_load(&m, path, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    struct bd_model *f = repaired(m, "equalize");
    if (!(apart(m, f) < 1e-4))
        fail_msg("apart by %g", apart(m, f));
    bd_model_free(f);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(float_outputs_stay),
        cmocka_unit_test(folding_moves_the_scale),
        cmocka_unit_test(equalizing_evens_the_ranges),
        cmocka_unit_test(again_is_nothing_new),
        cmocka_unit_test(the_file_holds_it),
        cmocka_unit_test(squeezenet_stays),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
