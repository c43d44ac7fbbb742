/* A layer's input under one grid per channel: every value as if its channel
 * had been quantized alone, whatever the layout. */
#include "graph/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHANNELS = 5 };

struct net {
    struct bd_model *m;
    struct bd_plan *p;
    struct bd_exec *e;
};

/* A layer that hands its input on: 1x1 kernels or a matrix of ones on the
 * diagonal. */
static struct net identity(const char *op, const int64_t *dim, int rank)
{
    struct bd_builder *b = bd_builder_new();
    struct net n = {NULL, NULL, NULL};
    struct bd_err err = {0};
    float eye[CHANNELS * CHANNELS] = {0};
    struct bd_tensor w = {.type = BD_F32,
                          .rank = strcmp(op, "Conv") == 0 ? 4 : 2,
                          .dim = {CHANNELS, CHANNELS, 1, 1}, .f = eye};
    for (int i = 0; i < CHANNELS; i++)
        eye[i * CHANNELS + i] = 1;
    int x = bd_build_input(b, "x", dim, rank);
    int c = bd_build_const(b, "w", &w);
    int y = bd_build_node(b, op, "n", (int[]){x, c}, 2, NULL, 0);
    bd_build_output(b, y);
    if (bd_build_finish(&n.m, b, true, &err) != BD_OK ||
        bd_plan_new(&n.p, n.m, NULL, &err) != BD_OK ||
        bd_exec_new(&n.e, n.p, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return n;
}

static void close_net(struct net *n)
{
    bd_exec_free(n->e);
    bd_plan_free(n->p);
    bd_model_free(n->m);
}

/* Five methods of five widths; the last two channels are sent as zeros and
 * left alone. */
static void grids(struct bd_qparam *a)
{
    static const char *const method[CHANNELS] = {"uniform", "apot", "affine",
                                                 "uniform", "uniform"};
    static const int bits[CHANNELS] = {4, 3, 5, 0, 32};
    for (int c = 0; c < CHANNELS; c++) {
        struct bd_moments m = {.n = 1, .min = -1 - c, .max = 2 + c};
        a[c] = (struct bd_qparam){
            .q = bd_quantizer_at(bd_quantizer_find(method[c])),
            .bits = bits[c], .is_signed = true, .clip = 1.5 + c, .sigma = 1,
            .map_back = true};
        if (bits[c] > 0 && bits[c] < 32)
            assert_int_equal(a[c].q->refit(&a[c], &m, NULL), BD_OK);
    }
}

static void compare(const char *op, const int64_t *dim, int rank)
{
    struct net n = identity(op, dim, rank);
    struct bd_qparam a[CHANNELS];
    struct bd_qlayer q = {.a = a, .na = CHANNELS, .key = 1};
    struct bd_exec_run run = {.q = &q};
    struct bd_rng r = {4};
    struct bd_err err = {0};
    const struct bd_tensor *x = bd_exec_value(n.e, n.m->input[0]);
    struct bd_slices s = bd_graph_input_slices(n.m, 0, x);
    int64_t all = bd_tensor_count(x);
    float *in = bd_exec_input(n.e, 0);
    grids(a);
    assert_int_equal(s.channels, CHANNELS);
    assert_int_equal(s.outer * s.channels * s.inner, all);
    for (int64_t i = 0; i < all; i++)
        in[i] = (float)(3 * bd_rng_normal(&r));
    assert_int_equal(bd_exec_run(n.e, &run, &err), BD_OK);
    const float *out = bd_exec_value(n.e, n.m->output[0])->f;
    for (int64_t i = 0; i < all; i++) {
        const struct bd_qparam *p = &a[i / s.inner % CHANNELS];
        float want = in[i];
        if (p->bits == 0)
            want = 0;
        else if (p->bits < 32)
            p->q->apply(&want, &want, 1, p);
        if (out[i] != want)
            fail_msg("%s of %lld: value %lld is %g, not %g", op,
                     (long long)all, (long long)i, (double)out[i],
                     (double)want);
    }
    close_net(&n);
}

static void convolutions(void **state)
{
    (void)state;
    compare("Conv", (int64_t[]){1, CHANNELS, 40, 40}, 4); /* long rows */
    compare("Conv", (int64_t[]){3, CHANNELS, 7, 5}, 4);
    compare("Conv", (int64_t[]){9, CHANNELS, 30, 30}, 4); /* 4 + 4 + 1 */
    compare("Conv", (int64_t[]){2, CHANNELS, 1, 1}, 4);
}

static void products(void **state)
{
    (void)state;
    compare("MatMul", (int64_t[]){1, CHANNELS}, 2);
    compare("MatMul", (int64_t[]){6, CHANNELS}, 2);
    compare("MatMul", (int64_t[]){2, 3000, CHANNELS}, 3);
    compare("Gemm", (int64_t[]){7, CHANNELS}, 2);
}

/* One parameter set serves all, as before. */
static void one_grid(void **state)
{
    struct net n = identity("Conv", (int64_t[]){1, CHANNELS, 4, 4}, 4);
    struct bd_qparam a[CHANNELS];
    struct bd_exec_run run = {0};
    struct bd_err err = {0};
    float want[CHANNELS * 16];
    (void)state;
    grids(a);
    for (int64_t na = 0; na < 2; na++) {
        struct bd_qlayer q = {.a = a, .na = na, .key = 1};
        float *in = bd_exec_input(n.e, 0);
        for (int i = 0; i < CHANNELS * 16; i++)
            in[i] = (float)i / 10 - 4;
        a->q->apply(want, in, CHANNELS * 16, a);
        run.q = &q;
        assert_int_equal(bd_exec_run(n.e, &run, &err), BD_OK);
        assert_memory_equal(bd_exec_value(n.e, n.m->output[0])->f, want,
                            sizeof want);
    }
    close_net(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(products),
        cmocka_unit_test(one_grid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
