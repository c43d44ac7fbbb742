/* Operators against numbers worked out by hand, and what the plan settles:
 * folding, shapes, batches, quantized inputs, refusals.  The conformance
 * suite (tests/golden) covers the operators in breadth; this runs without
 * any data. */
#include "graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One operator on known inputs; its first output comes back in *y, owned by
 * the plan. */
struct once {
    struct bd_model *m;
    struct bd_plan *p;
    struct bd_exec *e;
    struct bd_err err;
};

static struct bd_tensor real(const float *v, const int64_t *dim, int rank)
{
    struct bd_tensor t = {.type = BD_F32, .rank = rank};
    if (rank)
        memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    memcpy(&t.f, &v, sizeof v);
    return t;
}

static struct bd_tensor list(const int64_t *v, int64_t n)
{
    struct bd_tensor t = {.type = BD_I64, .rank = 1, .dim = {n}};
    memcpy(&t.i, &v, sizeof v);
    return t;
}

static void close_once(struct once *o)
{
    bd_exec_free(o->e);
    bd_plan_free(o->p);
    bd_model_free(o->m);
    *o = (struct once){0};
}

/* Input 0 is the image x unless NULL; others are constants. */
static bd_status open_once(struct once *o, const char *op,
                           const struct bd_tensor *x,
                           const struct bd_tensor *in, int n,
                           const struct bd_attr *attr, size_t nattr)
{
    struct bd_builder *b = bd_builder_new();
    const char *const names[] = {"a", "b", "c", "d", "e"};
    int v[6], nin = 0;
    *o = (struct once){0};
    if (x)
        v[nin++] = bd_build_input(b, "x", x->dim, x->rank);
    for (int k = 0; k < n; k++)
        v[nin++] = bd_build_const(b, names[k], &in[k]);
    bd_build_output(b, bd_build_node(b, op, "node", v, nin, attr, nattr));
    bd_status s = bd_build_finish(&o->m, b, true, &o->err);
    if (s == BD_OK)
        s = bd_plan_new(&o->p, o->m, NULL, &o->err);
    if (s == BD_OK)
        s = bd_exec_new(&o->e, o->p, &o->err);
    if (s != BD_OK)
        return s;
    if (x)
        memcpy(bd_exec_input(o->e, 0), x->f,
               (size_t)bd_tensor_count(x) * sizeof *x->f);
    return bd_exec_run(o->e, NULL, &o->err);
}

static void gives(const char *op, const struct bd_tensor *x,
                  const struct bd_tensor *in, int n, const struct bd_attr *attr,
                  size_t nattr, const struct bd_tensor *want)
{
    struct once o;
    if (open_once(&o, op, x, in, n, attr, nattr) != BD_OK)
        fail_msg("%s: %s", op, o.err.msg);
    const struct bd_tensor *y = bd_exec_value(o.e, o.m->output[0]);
    assert_int_equal(y->rank, want->rank);
    for (int a = 0; a < y->rank; a++)
        assert_int_equal(y->dim[a], want->dim[a]);
    for (int64_t k = 0; k < bd_tensor_count(want); k++)
        if (!(fabsf(y->f[k] - want->f[k]) <= 1e-5f) &&
            !(isnan(y->f[k]) && isnan(want->f[k])))
            fail_msg("%s[%d]: %g, expected %g", op, (int)k, (double)y->f[k],
                     (double)want->f[k]);
    close_once(&o);
}

#define D(...)                                                                 \
    (int64_t[])                                                                \
    {                                                                          \
        __VA_ARGS__                                                            \
    }
#define F(...)                                                                 \
    (float[])                                                                  \
    {                                                                          \
        __VA_ARGS__                                                            \
    }
#define INTS(name_, ...)                                                       \
    {                                                                          \
        .name = name_, .kind = BD_ATTR_INTS,                                   \
        .n = sizeof(D(__VA_ARGS__)) / sizeof(int64_t), .ints = D(__VA_ARGS__)  \
    }
#define INT(name_, v)                                                          \
    {                                                                          \
        .name = name_, .kind = BD_ATTR_INT, .i = v                             \
    }
#define FLOAT(name_, v)                                                        \
    {                                                                          \
        .name = name_, .kind = BD_ATTR_FLOAT, .f = v                           \
    }
#define WORD(name_, v)                                                         \
    {                                                                          \
        .name = name_, .kind = BD_ATTR_STR, .s = v                             \
    }

static void convolutions(void **state)
{
    struct bd_tensor x = real(F(1, 2, 3, 4, 5, 6, 7, 8, 9), D(1, 1, 3, 3), 4);
    struct bd_tensor w[2] = {real(F(1, 0, 0, -1), D(1, 1, 2, 2), 4),
                             real(F(10), D(1), 1)};
    struct bd_tensor y = real(F(6, 6, 6, 6), D(1, 1, 2, 2), 4);
    (void)state;
    gives("Conv", &x, w, 2, NULL, 0, &y);
    /* SAME_LOWER puts the odd row and column of zeros first. */
    struct bd_attr lower = WORD("auto_pad", "SAME_LOWER");
    y = real(F(-1, -2, -3, -4, -4, -4, -7, -4, -4), D(1, 1, 3, 3), 4);
    gives("Conv", &x, w, 1, &lower, 1, &y);
    struct bd_attr wide[] = {INTS("dilations", 2, 2)};
    y = real(F(1 - 9), D(1, 1, 1, 1), 4);
    gives("Conv", &x, w, 1, wide, 1, &y);
    /* Two groups: each output channel sees its own input channel. */
    struct bd_tensor x2 = real(F(1, 2, 3, 4), D(1, 2, 2), 3);
    struct bd_tensor w2 = real(F(1, 1, 10, 10), D(2, 1, 2), 3);
    struct bd_attr two = INT("group", 2);
    y = real(F(3, 70), D(1, 2, 1), 3);
    gives("Conv", &x2, &w2, 1, &two, 1, &y);
    /* Three dimensions: the sum of a 2x2x2 cube. */
    struct bd_tensor x3 = real(F(1, 2, 3, 4, 5, 6, 7, 8), D(1, 1, 2, 2, 2), 5);
    struct bd_tensor w3 = real(F(1, 1, 1, 1, 1, 1, 1, 1), D(1, 1, 2, 2, 2), 5);
    y = real(F(36), D(1, 1, 1, 1, 1), 5);
    gives("Conv", &x3, &w3, 1, NULL, 0, &y);
    /* Transposed: each input pixel leaves its multiple of the window. */
    struct bd_tensor xt = real(F(1, 2), D(1, 1, 2), 3);
    struct bd_tensor wt = real(F(1, 10, 100), D(1, 1, 3), 3);
    struct bd_attr by2 = INTS("strides", 2);
    y = real(F(1, 10, 102, 20, 200), D(1, 1, 5), 3);
    gives("ConvTranspose", &xt, &wt, 1, &by2, 1, &y);
}

static void products(void **state)
{
    struct bd_tensor x = real(F(1, 2, 3, 4), D(2, 2), 2);
    struct bd_tensor w[2] = {real(F(1, 0, 2, 1), D(2, 2), 2),
                             real(F(100, 200), D(2), 1)};
    struct bd_attr a[] = {INT("transB", 1), FLOAT("alpha", 2),
                          FLOAT("beta", 0.5f)};
    struct bd_tensor y = real(F(52, 108, 56, 120), D(2, 2), 2);
    (void)state;
    gives("Gemm", &x, w, 2, a, 3, &y);
    /* [2,1,2] x [2,2]: rows of all batches in one product. */
    struct bd_tensor xb = real(F(1, 2, 3, 4), D(2, 1, 2), 3);
    y = real(F(5, 2, 11, 4), D(2, 1, 2), 3);
    gives("MatMul", &xb, w, 1, NULL, 0, &y);
    struct bd_tensor wb = real(F(1, 1, 2, 2), D(2, 2, 1), 3);
    y = real(F(3, 7, 6, 14), D(2, 2, 1), 3);
    gives("MatMul", &x, &wb, 1, NULL, 0, &y);
}

static void pools(void **state)
{
    struct bd_tensor x = real(F(1, 2, 3, 4, 5, 6, 7, 8, 9), D(1, 1, 3, 3), 4);
    struct bd_attr k[] = {INTS("kernel_shape", 2, 2), INTS("strides", 2, 2),
                          INT("ceil_mode", 1), INTS("pads", 1, 1, 1, 1),
                          INT("count_include_pad", 1)};
    struct bd_tensor y = real(F(5, 6, 8, 9), D(1, 1, 2, 2), 4);
    (void)state;
    gives("MaxPool", &x, NULL, 0, k, 3, &y);
    y = real(F(3, 4.5f, 7.5f, 9), D(1, 1, 2, 2), 4);
    gives("AveragePool", &x, NULL, 0, k, 3, &y);
    y = real(F(0.25f, 1.25f, 2.75f, 7), D(1, 1, 2, 2), 4);
    struct bd_attr padded[] = {k[0], k[1], k[3], k[4]};
    gives("AveragePool", &x, NULL, 0, padded, 4, &y);
    y = real(F(5), D(1, 1, 1, 1), 4);
    gives("GlobalAveragePool", &x, NULL, 0, NULL, 0, &y);
}

static void pointwise(void **state)
{
    struct bd_tensor x = real(F(-2, -0.5f, 0, 3, NAN), D(5), 1);
    struct bd_tensor y = real(F(0, 0, 0, 3, NAN), D(5), 1);
    (void)state;
    gives("Relu", &x, NULL, 0, NULL, 0, &y);
    y = real(F(-0.02f, -0.005f, 0, 3, NAN), D(5), 1);
    gives("LeakyRelu", &x, NULL, 0, NULL, 0, &y);
    y = real(F(-1.0f / 3, -0.5f * 2.5f / 6, 0, 3, NAN), D(5), 1);
    gives("HardSwish", &x, NULL, 0, NULL, 0, &y);
    struct bd_tensor lim[2] = {real(F(-1), NULL, 0), real(F(1), NULL, 0)};
    y = real(F(-1, -0.5f, 0, 1, NAN), D(5), 1);
    gives("Clip", &x, lim, 2, NULL, 0, &y);
    struct bd_attr old[] = {FLOAT("min", -1), FLOAT("max", 1)};
    gives("Clip", &x, NULL, 0, old, 2, &y);
    struct bd_tensor m = real(F(1, 2, 3, 4), D(2, 2), 2);
    struct bd_tensor c = real(F(10, 20), D(2, 1), 2);
    y = real(F(-9, -8, -17, -16), D(2, 2), 2);
    gives("Sub", &m, &c, 1, NULL, 0, &y);
    y = real(F(0.5f, 0.5f, 0.5f, 0.5f), D(2, 2), 2);
    struct bd_tensor same = real(F(7, 7, 7, 7), D(2, 2), 2);
    gives("Softmax", &same, NULL, 0, NULL, 0, &y);
}

static void movements(void **state)
{
    struct bd_tensor x = real(F(1, 2, 3, 4, 5, 6), D(2, 3), 2);
    struct bd_tensor y = real(F(1, 4, 2, 5, 3, 6), D(3, 2), 2);
    (void)state;
    gives("Transpose", &x, NULL, 0, NULL, 0, &y);
    struct bd_tensor cut[4] = {list(D(INT64_MAX, 0), 2),
                               list(D(INT64_MIN, 9), 2), list(D(1, 0), 2),
                               list(D(-2, 1), 2)};
    y = real(F(3, 1, 6, 4), D(2, 2), 2);
    gives("Slice", &x, cut, 4, NULL, 0, &y);
    struct bd_tensor shape = list(D(0, -1, 1), 3);
    y = real(F(1, 2, 3, 4, 5, 6), D(2, 3, 1), 3);
    gives("Reshape", &x, &shape, 1, NULL, 0, &y);
    struct bd_tensor pads = list(D(0, 1, 0, 2), 4);
    struct bd_attr mirror = WORD("mode", "reflect");
    y = real(F(2, 1, 2, 3, 2, 1, 5, 4, 5, 6, 5, 4), D(2, 6), 2);
    gives("Pad", &x, &pads, 1, &mirror, 1, &y);
    struct bd_tensor pick = list(D(-1, 0), 2);
    struct bd_attr one = INT("axis", 1);
    y = real(F(3, 1, 6, 4), D(2, 2), 2);
    gives("Gather", &x, &pick, 1, &one, 1, &y);
    struct bd_tensor axes = list(D(1), 1);
    y = real(F(2, 5), D(2, 1), 2);
    gives("ReduceMean", &x, &axes, 1, NULL, 0, &y);
}

static void refused(const char *op, const struct bd_tensor *x,
                    const struct bd_tensor *in, int n, const struct bd_attr *a,
                    size_t nattr)
{
    struct once o;
    bd_status s = open_once(&o, op, x, in, n, a, nattr);
    if (s == BD_OK)
        fail_msg("%s was not refused", op);
    if (o.err.code != s || !o.err.msg[0])
        fail_msg("%s: %s", op, o.err.msg);
    close_once(&o);
}

static void refusals(void **state)
{
    struct bd_tensor x = real(F(1, 2, 3, 4), D(1, 1, 2, 2), 4);
    struct bd_tensor w = real(F(1, 2, 3, 4), D(1, 1, 2, 2), 4);
    struct bd_tensor three = list(D(3), 1);
    struct bd_attr zero = INTS("strides", 0, 1);
    struct bd_attr huge = INTS("pads", INT64_MAX, 0, 0, 0);
    struct bd_attr group = INT("group", 0);
    (void)state;
    refused("Conv", &x, &w, 1, &zero, 1);
    refused("Conv", &x, &w, 1, &huge, 1);
    refused("Conv", &x, &w, 1, &group, 1);
    refused("Conv", &x, NULL, 0, NULL, 0);
    refused("Reshape", &x, &three, 1, NULL, 0);
    refused("Gemm", &x, &w, 1, NULL, 0);
    refused("MaxPool", &x, NULL, 0, NULL, 0);
    refused("Concat", NULL, NULL, 0, NULL, 0);
    refused("Nonsense", &x, NULL, 0, NULL, 0);
}

/* A shape computed from the input is settled while planning, and the batch
 * goes where the graph lets it. */
static struct bd_model *reshaper(int64_t rows)
{
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    struct bd_tensor w = real(F(1, 2, 3, 4, 5, 6, 7, 8), D(4, 2), 2);
    struct bd_tensor to = list(D(rows, 4), 2);
    int x = bd_build_input(b, "x", D(1, 2, 2), 3);
    int s = bd_build_const(b, "shape", &to), c = bd_build_const(b, "w", &w);
    int y = bd_build_node(b, "Reshape", "r", (int[]){x, s}, 2, NULL, 0);
    y = bd_build_node(b, "MatMul", "m", (int[]){y, c}, 2, NULL, 0);
    bd_build_output(b, y);
    if (bd_build_finish(&m, b, true, &err) != BD_OK)
        fail_msg("%s", err.msg);
    return m;
}

static void batches(void **state)
{
    (void)state;
    for (int64_t rows = -1; rows <= 1; rows += 2) {
        struct bd_model *m = reshaper(rows);
        struct bd_plan_opts o = {.batch = 8};
        struct bd_plan *p = NULL;
        assert_int_equal(bd_plan_new(&p, m, &o, NULL), BD_OK);
        assert_int_equal(bd_plan_batch(p), rows == 1 ? 1 : 8);
        int node = m->layer[0].node;
        assert_int_equal(bd_plan_macs(p, node), 8);
        bd_plan_free(p);
        bd_model_free(m);
    }
}

/* y = conv(q(x)) + x: the shortcut keeps the unquantized numbers, and a
 * quantizer's weights replace the model's. */
static void quantized_inputs(void **state)
{
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    struct bd_plan *p = NULL;
    struct bd_exec *e = NULL;
    struct bd_err err = {0};
    struct bd_tensor w = real(F(1), D(1, 1, 1, 1), 4);
    int x = bd_build_input(b, "x", D(1, 1, 1, 3), 4);
    int c = bd_build_const(b, "w", &w);
    int y = bd_build_node(b, "Conv", "c", (int[]){x, c}, 2, NULL, 0);
    y = bd_build_node(b, "Add", "a", (int[]){y, x}, 2, NULL, 0);
    bd_build_output(b, y);
    (void)state;
    assert_int_equal(bd_build_finish(&m, b, true, &err), BD_OK);
    assert_int_equal(bd_plan_new(&p, m, NULL, &err), BD_OK);
    assert_int_equal(bd_exec_new(&e, p, &err), BD_OK);
    struct bd_qparam a = {.q = bd_quantizer_at(bd_quantizer_find("uniform")),
                          .bits = 2,
                          .clip = 3,
                          .sigma = 1};
    assert_int_equal(a.q->fit(&a, NULL, 0, &err), BD_OK);
    struct bd_qlayer q = {.w = F(10), .a = &a, .key = 1};
    struct bd_exec_run run = {.q = &q};
    const float in[3] = {0.4f, 1.2f, 7};
    memcpy(bd_exec_input(e, 0), in, sizeof in);
    float want[3];
    a.q->apply(want, in, 3, &a);
    for (int k = 0; k < 2; k++) { /* twice: inputs survive a run */
        assert_int_equal(bd_exec_run(e, &run, &err), BD_OK);
        const float *out = bd_exec_value(e, m->output[0])->f;
        for (int i = 0; i < 3; i++)
            assert_float_equal(out[i], 10 * want[i] + in[i], 1e-6f);
    }
    assert_true(want[2] != in[2]);
    bd_exec_free(e);
    bd_plan_free(p);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions), cmocka_unit_test(products),
        cmocka_unit_test(pools),        cmocka_unit_test(pointwise),
        cmocka_unit_test(movements),    cmocka_unit_test(refusals),
        cmocka_unit_test(batches),      cmocka_unit_test(quantized_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
