/* Networks made in memory: architectures, writing them, reading them back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "scratch.h"

static struct bd_model *fresh(const char *arch, const int64_t *dim, int rank,
                              uint64_t seed)
{
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    bd_status s = bd_arch_new(&m, arch, dim, rank, 10, seed, &err);
    if (s != BD_OK)
        print_error("%s\n", err.msg);
    assert_int_equal(s, BD_OK);
    return m;
}

static const int64_t picture[] = {3, 32, 32};

/* --------------------------------------------------------------- comparing */

static void same_tensor(const struct bd_tensor *a, const struct bd_tensor *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->rank, b->rank);
    for (int k = 0; k < a->rank; k++)
        assert_int_equal(a->dim[k], b->dim[k]);
    assert_true((a->f == NULL) == (b->f == NULL));
    assert_true((a->i == NULL) == (b->i == NULL));
    size_t n = (size_t)bd_tensor_count(a);
    if (a->f)
        assert_memory_equal(a->f, b->f, n * sizeof(float));
    if (a->i)
        assert_memory_equal(a->i, b->i, n * sizeof(int64_t));
}

/* Constants bear the name of the tensor they were folded from. */
static const char *file_name(const struct bd_model *m, int v)
{
    int o = m->value[v].origin;
    return m->value[o >= 0 ? o : v].name;
}

static void same_edges(const struct bd_model *a, const struct bd_model *b,
                       const struct bd_node *x, const struct bd_node *y)
{
    for (int k = 0; k < x->nin; k++) {
        assert_true((x->in[k] < 0) == (y->in[k] < 0));
        if (x->in[k] < 0)
            continue;
        assert_string_equal(file_name(a, x->in[k]), file_name(b, y->in[k]));
        const struct bd_tensor *t = &a->value[x->in[k]].t;
        if (t->f || t->i)
            same_tensor(t, &b->value[y->in[k]].t);
    }
}

static void same_attr(const struct bd_attr *a, const struct bd_attr *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    if (a->kind == BD_ATTR_INT)
        assert_int_equal(a->i, b->i);
    if (a->kind == BD_ATTR_FLOAT)
        assert_true(a->f == b->f);
    if (a->kind == BD_ATTR_STR)
        assert_string_equal(a->s, b->s);
    if (a->kind == BD_ATTR_INTS || a->kind == BD_ATTR_FLOATS)
        assert_int_equal(a->n, b->n);
    if (a->kind == BD_ATTR_INTS)
        assert_memory_equal(a->ints, b->ints, a->n * sizeof *a->ints);
    if (a->kind == BD_ATTR_FLOATS)
        assert_memory_equal(a->floats, b->floats, a->n * sizeof *a->floats);
}

static void same_node(const struct bd_model *a, const struct bd_model *b,
                      size_t k)
{
    const struct bd_node *x = &a->node[k], *y = &b->node[k];
    assert_string_equal(x->name, y->name);
    assert_string_equal(x->op, y->op);
    assert_int_equal(x->nin, y->nin);
    assert_int_equal(x->nout, y->nout);
    assert_int_equal(x->nattr, y->nattr);
    same_edges(a, b, x, y);
    for (size_t i = 0; i < x->nattr; i++)
        same_attr(&x->attr[i], &y->attr[i]);
}

static bool same_clip(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void same_network(const struct bd_model *a, const struct bd_model *b)
{
    assert_int_equal(a->opset, b->opset);
    assert_int_equal(a->nnodes, b->nnodes);
    assert_int_equal(a->nlayers, b->nlayers);
    assert_int_equal(a->ninputs, b->ninputs);
    assert_int_equal(a->noutputs, b->noutputs);
    assert_int_equal(a->params, b->params);
    for (size_t k = 0; k < a->nnodes; k++)
        same_node(a, b, k);
    for (size_t k = 0; k < a->ninputs; k++)
        same_tensor(&a->value[a->input[k]].t, &b->value[b->input[k]].t);
    for (size_t k = 0; k < a->nlayers; k++) {
        const struct bd_layer *x = &a->layer[k], *y = &b->layer[k];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->axis, y->axis);
        assert_int_equal(x->group, y->group);
        assert_true(same_clip(x->learned_w, y->learned_w));
        assert_true(same_clip(x->learned_a, y->learned_a));
        same_tensor(&a->value[x->weight].t, &b->value[y->weight].t);
    }
}

static void round_trip(const struct bd_model *m)
{
    struct bd_str first = {0}, second = {0};
    struct bd_model *back = NULL;
    struct bd_err err = {0};
    assert_int_equal(bd_onnx_write(&first, m, NULL, &err), BD_OK);
    bd_status s = mem_load(&back, first.s, first.n, &err);
    if (s != BD_OK)
        print_error("%s\n", err.msg);
    assert_int_equal(s, BD_OK);
    same_network(m, back);
    assert_int_equal(bd_onnx_write(&second, m, NULL, &err), BD_OK);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.s, second.s, first.n);
    bd_model_free(back);
    bd_str_done(&first);
    bd_str_done(&second);
}

/* ----------------------------------------------------------- architectures */

static void test_resnet(void **state)
{
    (void)state;
    struct bd_model *m = fresh("resnet20", picture, 3, 1);
    assert_string_equal(m->arch, "resnet20");
    assert_int_equal(m->nlayers, 22);
    assert_string_equal(m->layer[0].name, "conv1");
    assert_string_equal(m->layer[9].name, "layer2.0.downsample.0");
    assert_string_equal(m->layer[21].name, "fc");
    assert_int_equal(m->params, 272474);
    round_trip(m);
    bd_model_free(m);
}

static void test_mobilenet(void **state)
{
    (void)state;
    struct bd_model *m = fresh("mobilenet-glyphs", picture, 3, 1);
    assert_int_equal(m->nlayers, 14);
    assert_true(m->params > 20000 && m->params <= 150000);
    assert_string_equal(m->layer[1].name, "block1.dw");
    assert_int_equal(m->layer[1].group, 16);
    round_trip(m);
    bd_model_free(m);
}

static void test_mlp(void **state)
{
    static const int64_t dim[] = {1, 4, 4};
    (void)state;
    struct bd_model *m = fresh("mlp:16-8-10", dim, 3, 1);
    assert_int_equal(m->nlayers, 2);
    assert_string_equal(m->node[0].op, "Flatten");
    assert_string_equal(m->layer[0].name, "fc1");
    round_trip(m);
    bd_model_free(m);
}

/* The weights depend on the seed alone, have He's variance, and the rest of
 * a BatchNorm is neutral. */
static void test_drawn(void **state)
{
    (void)state;
    struct bd_model *a = fresh("resnet20", picture, 3, 7);
    struct bd_model *b = fresh("resnet20", picture, 3, 7);
    struct bd_model *c = fresh("resnet20", picture, 3, 8);
    same_network(a, b);
    const struct bd_tensor *w = &a->value[a->layer[20].weight].t;
    const struct bd_tensor *other = &c->value[c->layer[20].weight].t;
    int64_t n = bd_tensor_count(w);
    assert_memory_not_equal(w->f, other->f, (size_t)n * sizeof(float));
    struct bd_stats s;
    bd_stats_of(&s, w->f, (size_t)n);
    double want = sqrt(2.0 / (64 * 9));
    assert_true(fabs(s.mean) < 0.05 * want);
    assert_true(fabs(s.std / want - 1.0) < 0.02);
    int gamma = bd_model_find_value(a, "bn1.weight");
    int mean = bd_model_find_value(a, "bn1.running_mean");
    assert_true(a->value[gamma].t.f[3] == 1.0f);
    assert_true(a->value[mean].t.f[3] == 0.0f);
    bd_model_free(a);
    bd_model_free(b);
    bd_model_free(c);
}

static void test_refusals(void **state)
{
    static const int64_t dim[] = {1, 4, 4};
    static const char *const bad[] = {"mlp:16-8-11", "mlp:15-10", "mlp:16",
                                      "mlp:16--10",  "mlp:x",     "resnet21",
                                      "resnet20",    ""};
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct bd_model *m = NULL;
        struct bd_err err = {0};
        assert_int_equal(bd_arch_new(&m, bad[k], dim, 3, 10, 0, &err),
                         BD_EINVALID);
        assert_null(m);
        assert_true(err.msg[0] != 0);
    }
}

/* ------------------------------------------------------------------ writing */

/* override replaces data by value; other types than float32 keep theirs. */
static void test_override(void **state)
{
    static const int64_t xd[] = {-1, 2};
    static const float half[] = {0.5f, -0.25f}, other[] = {2.0f, 4.0f};
    (void)state;
    struct bd_builder *b = bd_builder_new();
    struct bd_tensor t = {.type = BD_F16,
                          .rank = 2,
                          .dim = {2, 1},
                          .f = (float *)(uintptr_t)half};
    int in[2] = {bd_build_input(b, "x", xd, 2), bd_build_const(b, "w", &t)};
    bd_build_output(b, bd_build_node(b, "MatMul", "m", in, 2, NULL, 0));
    struct bd_model *m = NULL, *back = NULL;
    assert_int_equal(bd_build_finish(&m, b, true, NULL), BD_OK);
    const float *const override[] = {NULL, other, NULL};
    struct bd_str s = {0};
    assert_int_equal(bd_onnx_write(&s, m, override, NULL), BD_OK);
    assert_int_equal(mem_load(&back, s.s, s.n, NULL), BD_OK);
    const struct bd_tensor *w = &back->value[back->layer[0].weight].t;
    assert_int_equal(w->type, BD_F16);
    assert_memory_equal(w->f, other, sizeof other);
    assert_memory_equal(m->value[1].t.f, half, sizeof half);
    bd_model_free(back);
    bd_model_free(m);
    bd_str_done(&s);
}

/* Names given twice are kept apart, and the user is told. */
static void test_doubled_names(void **state)
{
    static const int64_t xd[] = {1, 2};
    (void)state;
    struct bd_builder *b = bd_builder_new();
    int x = bd_build_input(b, "x", xd, 2);
    for (int k = 0; k < 3; k++)
        x = bd_build_node(b, "Relu", "same", &x, 1, NULL, 0);
    bd_build_output(b, x);
    struct bd_model *m = NULL;
    assert_int_equal(bd_build_finish(&m, b, false, NULL), BD_OK);
    assert_string_equal(m->node[0].name, "same");
    assert_string_equal(m->node[1].name, "same_2");
    assert_string_equal(m->node[2].name, "same_3");
    assert_int_equal(m->nwarnings, 1);
    assert_non_null(strstr(m->warning[0], "2 nodes"));
    bd_model_free(m);
}

/* One weight, two nodes: the second layer is named by its node. */
static void test_shared_weight(void **state)
{
    static const int64_t xd[] = {-1, 2};
    static const float w[] = {1, NAN, 3, 4};
    (void)state;
    struct bd_builder *b = bd_builder_new();
    struct bd_tensor t = {
        .type = BD_F32, .rank = 2, .dim = {2, 2}, .f = (float *)(uintptr_t)w};
    int k = bd_build_const(b, "body.weight", &t);
    int in[2] = {bd_build_input(b, "x", xd, 2), k};
    in[0] = bd_build_node(b, "MatMul", "first", in, 2, NULL, 0);
    bd_build_output(b, bd_build_node(b, "MatMul", "second", in, 2, NULL, 0));
    struct bd_model *m = NULL;
    assert_int_equal(bd_build_finish(&m, b, false, NULL), BD_OK);
    assert_int_equal(m->nlayers, 2);
    assert_string_equal(m->layer[0].name, "body");
    assert_string_equal(m->layer[1].name, "second");
    assert_int_equal(bd_model_find_layer(m, "second"), 1);
    assert_int_equal(bd_model_find_layer(m, "third"), -1);
    assert_int_equal(m->params, 4);
    assert_int_equal(m->nwarnings, 1); /* NaN is data, but said */
    assert_non_null(strstr(m->warning[0], "body.weight"));
    bd_model_free(m);
}

/* A constant on the left: its rows are the output channels. */
static void test_left_operand(void **state)
{
    static const int64_t xd[] = {2, 5};
    static const float w[] = {1, 2, 3, 4, 5, 6};
    (void)state;
    struct bd_builder *b = bd_builder_new();
    struct bd_tensor t = {
        .type = BD_F32, .rank = 2, .dim = {3, 2}, .f = (float *)(uintptr_t)w};
    int in[2];
    in[1] = bd_build_input(b, "x", xd, 2);
    in[0] = bd_build_const(b, "w", &t);
    bd_build_output(b, bd_build_node(b, "MatMul", "m", in, 2, NULL, 0));
    struct bd_model *m = NULL;
    assert_int_equal(bd_build_finish(&m, b, false, NULL), BD_OK);
    assert_int_equal(m->layer[0].axis, 0);
    assert_int_equal(m->layer[0].input, in[1]);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resnet),
        cmocka_unit_test(test_mobilenet),
        cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_override),
        cmocka_unit_test(test_doubled_names),
        cmocka_unit_test(test_shared_weight),
        cmocka_unit_test(test_left_operand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
