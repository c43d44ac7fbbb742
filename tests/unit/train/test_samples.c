/* The sample models keep their promises: they open with their sidecars, know
 * the glyphs, and break where the README says they break.  Quantization here
 * is written out in three lines, independent of quant/.
 *
 * Usage: test_samples FOLDER */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/train.h"

enum { IMAGES = 400, BATCH = 16, CLASSES = 10, PIXELS = 3 * 32 * 32 };

struct sample {
    struct bd_model *m;
    struct bd_plan *plan;
    struct bd_exec *exec;
    struct bd_data *data;
    struct bd_prep prep;
    float **now; /* [nvalues] replaced weights */
};

static struct sample open_sample(const char *folder, const char *name)
{
    struct sample s = {0};
    struct bd_arena a = {0};
    struct bd_sidecar side = {0};
    struct bd_err e = {0};
    char path[4096];
    struct bd_plan_opts o = {.batch = BATCH};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    bd_kernels_single_threaded_blas();
    if (bd_model_load(&s.m, path, NULL, &e) != BD_OK ||
        bd_sidecar_load(&side, &a, path, &e) != BD_OK)
        fail_msg("%s: %s", path, e.msg);
    assert_non_null(side.data);
    assert_non_null(side.preprocess);
    if (bd_data_open(&s.data, side.data, &e) != BD_OK ||
        bd_prep_parse(&s.prep, side.preprocess, &e) != BD_OK ||
        bd_plan_new(&s.plan, s.m, &o, &e) != BD_OK ||
        bd_exec_new(&s.exec, s.plan, &e) != BD_OK)
        fail_msg("%s: %s", path, e.msg);
    s.now = bd_calloc(s.m->nvalues, sizeof *s.now);
    assert_non_null(s.now);
    bd_arena_done(&a);
    return s;
}

static void close_sample(struct sample *s)
{
    for (size_t v = 0; v < s->m->nvalues; v++)
        bd_free(s->now[v]);
    bd_free(s->now);
    bd_exec_free(s->exec);
    bd_plan_free(s->plan);
    bd_data_free(s->data);
    bd_model_free(s->m);
}

static int best(const float *y)
{
    int k = 0;
    for (int i = 1; i < CLASSES; i++)
        k = y[i] > y[k] ? i : k;
    return k;
}

static double accuracy(struct sample *s)
{
    struct bd_exec_run run = {.override = (const float *const *)s->now};
    struct bd_err e = {0};
    int right = 0;
    for (int i = 0; i < IMAGES; i += BATCH) {
        for (int k = 0; k < BATCH; k++)
            assert_int_equal(
                bd_data_fetch(s->data, &s->prep, i + k,
                              bd_exec_input(s->exec, 0) + k * PIXELS, PIXELS,
                              &e),
                BD_OK);
        assert_int_equal(bd_exec_run(s->exec, &run, &e), BD_OK);
        const float *y = bd_exec_value(s->exec, s->m->output[0])->f;
        for (int k = 0; k < BATCH; k++)
            right += best(y + k * CLASSES) == bd_data_label(s->data, i + k);
    }
    return (double)right / IMAGES;
}

static void round_to_grid(float *y, const float *x, size_t n, int bits)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    float step = max / (float)((1 << (bits - 1)) - 1);
    for (size_t i = 0; i < n; i++)
        y[i] = max > 0 ? rintf(x[i] / step) * step : 0;
}

/* Every weight on a uniform grid reaching its largest magnitude, per tensor
 * or per output channel. */
static double quantized(struct sample *s, int bits, bool channels)
{
    for (size_t l = 0; l < s->m->nlayers; l++) {
        int v = s->m->layer[l].weight;
        const struct bd_tensor *t = &s->m->value[v].t;
        size_t n = (size_t)bd_tensor_count(t);
        size_t each = channels ? n / (size_t)t->dim[0] : n;
        if (!s->now[v])
            s->now[v] = bd_alloc(n, sizeof **s->now);
        assert_non_null(s->now[v]);
        for (size_t i = 0; i < n; i += each)
            round_to_grid(s->now[v] + i, t->f + i, each, bits);
    }
    return accuracy(s);
}

static void resnet(void **state)
{
    struct sample s = open_sample(*state, "glyphs_resnet20.onnx");
    assert_int_equal(s.m->nlayers, 22);
    double whole = accuracy(&s);
    assert_true(whole >= 0.90 && whole <= 0.985);
    assert_true(quantized(&s, 8, false) > whole - 0.02);
    assert_true(quantized(&s, 3, false) < whole - 0.10);
    close_sample(&s);
}

static void mobilenet(void **state)
{
    struct sample s = open_sample(*state, "glyphs_mobilenet.onnx");
    double whole = accuracy(&s);
    assert_true(whole >= 0.75);
    assert_true(quantized(&s, 5, true) > whole - 0.05);
    assert_true(quantized(&s, 5, false) < whole - 0.15);
    close_sample(&s);
}

static void mlp(void **state)
{
    struct sample s = open_sample(*state, "glyphs_mlp.onnx");
    assert_int_equal(s.m->nlayers, 3);
    assert_true(accuracy(&s) >= 0.25); /* chance is 0.1 */
    close_sample(&s);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(resnet, argv[1]),
        cmocka_unit_test_prestate(mobilenet, argv[1]),
        cmocka_unit_test_prestate(mlp, argv[1]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
