/* The APoT authors' CIFAR-10 ResNet-20 on the first 1,017 test images:
 * logits, predictions and right answers as recorded from a reference
 * implementation (spec: apot_res20_facts.json).  Needs BITDIAL_DATA. */
#include "graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIXELS = 3072, RECORD = PIXELS + 1, IMAGES = 1017, CLASSES = 10 };

static const float logits[CLASSES] = {
    -3.1747279167175293f, -2.7243499755859375f, -1.1054645776748657f,
    12.731953620910645f,  -3.593327045440674f,  5.683841228485107f,
    1.7301828861236572f,  -0.8991531729698181f, -3.5936434268951416f,
    -4.989479064941406f};
static const int predictions[50] = {
    3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9, 5, 7, 9, 8, 5, 7, 8, 6, 7, 0, 4, 9, 5,
    2, 4, 0, 9, 6, 3, 5, 4, 5, 9, 2, 4, 1, 9, 5, 4, 6, 5, 6, 0, 9, 3, 9, 7, 6};

struct images {
    struct bd_file f;
};

static bd_status fetch(void *arg, int64_t first, int64_t n, float *dst,
                       struct bd_err *err)
{
    static const float mean[3] = {.491f, .482f, .447f};
    static const float std[3] = {.247f, .243f, .262f};
    const struct images *im = arg;
    (void)err;
    for (int64_t i = 0; i < n * PIXELS; i++) {
        int64_t k = i % PIXELS, c = k / 1024;
        uint8_t v = im->f.data[(first + i / PIXELS) * RECORD + 1 + k];
        dst[i] = ((float)v / 255.0f - mean[c]) / std[c];
    }
    return BD_OK;
}

struct world {
    struct bd_model *m;
    struct images im;
    struct bd_source src;
    float *edge[2]; /* 8-bit weights of the first and last layer */
    struct bd_qlayer *q;
};

/* The authors' rule for the outer layers, 8 bits of the signed maximum. */
static float *edge8(const struct bd_model *m, int layer)
{
    const struct bd_tensor *w = &m->value[m->layer[layer].weight].t;
    int64_t n = bd_tensor_count(w);
    float *q = bd_alloc((size_t)n, sizeof *q), top = 0;
    assert_non_null(q);
    for (int64_t k = 0; k < n; k++)
        top = w->f[k] > top ? w->f[k] : top;
    for (int64_t k = 0; k < n; k++)
        q[k] = rintf(w->f[k] / top * 127) / 127 * top;
    return q;
}

static int set_up(void **state)
{
    const char *data = getenv("BITDIAL_DATA");
    char path[1024];
    struct bd_err err = {0};
    struct world *w = bd_calloc(1, sizeof *w);
    *state = w;
    if (!data || !w)
        return 0;
    snprintf(path, sizeof path, "%s/res20_apot/fp32.npz", data);
    if (bd_model_load(&w->m, path, NULL, &err) != BD_OK)
        fail_msg("%s: %s", path, err.msg);
    snprintf(path, sizeof path, "%s/cifar10/test_first1017.bin", data);
    assert_int_equal(bd_file_map(&w->im.f, path, &err), BD_OK);
    w->src = (struct bd_source){fetch, &w->im, IMAGES};
    w->q = bd_calloc(w->m->nlayers, sizeof *w->q);
    for (int k = 0; k < 2; k++) {
        int layer = k ? (int)w->m->nlayers - 1 : 0;
        w->edge[k] = edge8(w->m, layer);
        w->q[layer] = (struct bd_qlayer){.w = w->edge[k], .key = 8};
    }
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    bd_file_unmap(&w->im.f);
    bd_model_free(w->m);
    bd_free(w->edge[0]);
    bd_free(w->edge[1]);
    bd_free(w->q);
    bd_free(w);
    return 0;
}

static int best_of(const float *y)
{
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
        best = y[k] > y[best] ? k : best;
    return best;
}

static void agrees_with_reference(void **state)
{
    struct world *w = *state;
    struct bd_runner *r = NULL;
    struct bd_err err = {0};
    static float out[IMAGES * CLASSES];
    int right = 0;
    if (!w->m)
        skip();
    struct bd_runner_run run = {.q = w->q};
    int64_t t0 = bd_now_ns();
    struct bd_runner_opts o = {w->src, NULL, 0};
    if (bd_runner_new(&r, w->m, &o, &err) != BD_OK ||
        bd_runner_run(r, &run, out, NULL, &err) != BD_OK)
        fail_msg("%s", err.msg);
    print_message("%d images in %.2f s, %lld at a time\n", IMAGES,
                  (double)(bd_now_ns() - t0) * 1e-9,
                  (long long)bd_plan_batch(bd_runner_plan(r)));
    for (int k = 0; k < CLASSES; k++)
        assert_float_equal(out[k], logits[k], 2e-4);
    for (int i = 0; i < IMAGES; i++) {
        int best = best_of(out + i * CLASSES);
        right += best == w->im.f.data[i * RECORD];
        if (i < 50)
            assert_int_equal(best, predictions[i]);
    }
    assert_int_equal(right, 959);
    bd_runner_free(r);
}

/* Every thread count and every part of the range gives the same bytes. */
static void same_bytes(void **state)
{
    struct world *w = *state;
    static float one[100 * CLASSES], two[100 * CLASSES];
    struct bd_err err = {0};
    if (!w->m)
        skip();
    for (int threads = 1; threads <= 3; threads++) {
        struct bd_pool *pool = NULL;
        struct bd_runner *r = NULL;
        assert_int_equal(bd_pool_new(&pool, threads, &err), BD_OK);
        struct bd_runner_opts o = {w->src, pool, 0};
        assert_int_equal(bd_runner_new(&r, w->m, &o, &err), BD_OK);
        struct bd_runner_run run = {.q = w->q, .images = 100};
        float *out = threads == 1 ? one : two;
        assert_int_equal(bd_runner_run(r, &run, out, NULL, &err), BD_OK);
        assert_memory_equal(one, out, sizeof one);
        run.first = 37;
        run.images = 21;
        run.no_cache = threads == 2;
        assert_int_equal(bd_runner_run(r, &run, two, NULL, &err), BD_OK);
        assert_memory_equal(one + (size_t)37 * CLASSES, two,
                            (size_t)21 * CLASSES * sizeof *two);
        bd_runner_free(r);
        bd_pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_reference),
        cmocka_unit_test(same_bytes),
    };
    if (!getenv("BITDIAL_DATA")) {
        print_message("skipped: BITDIAL_DATA is not set\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
