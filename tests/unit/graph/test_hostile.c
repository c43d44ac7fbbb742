/* Nonsense must be refused in a sentence, never crash: every operator is
 * given random inputs of random kinds and shapes, and random attributes with
 * extreme values among them.  Whatever plans must also run.  Meant for the
 * sanitizers; without them it still finds traps and hangs. */
#include "graph/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ops[] = {"Conv",
                                  "ConvTranspose",
                                  "Gemm",
                                  "MatMul",
                                  "Add",
                                  "Div",
                                  "Pow",
                                  "PRelu",
                                  "Mod",
                                  "Sum",
                                  "Max",
                                  "Mean",
                                  "Equal",
                                  "Less",
                                  "And",
                                  "BitShift",
                                  "BitwiseXor",
                                  "Relu",
                                  "Clip",
                                  "Gelu",
                                  "LeakyRelu",
                                  "Neg",
                                  "Not",
                                  "IsInf",
                                  "BatchNormalization",
                                  "LayerNormalization",
                                  "RMSNormalization",
                                  "InstanceNormalization",
                                  "GroupNormalization",
                                  "LRN",
                                  "LpNormalization",
                                  "MaxPool",
                                  "AveragePool",
                                  "LpPool",
                                  "GlobalMaxPool",
                                  "GlobalAveragePool",
                                  "Identity",
                                  "Reshape",
                                  "Flatten",
                                  "Squeeze",
                                  "Unsqueeze",
                                  "Dropout",
                                  "Cast",
                                  "CastLike",
                                  "Constant",
                                  "Shape",
                                  "Size",
                                  "ConstantOfShape",
                                  "Range",
                                  "Transpose",
                                  "Expand",
                                  "Slice",
                                  "Tile",
                                  "Split",
                                  "Concat",
                                  "DepthToSpace",
                                  "SpaceToDepth",
                                  "Trilu",
                                  "Pad",
                                  "Softmax",
                                  "LogSoftmax",
                                  "Hardmax",
                                  "ReduceSum",
                                  "ReduceMax",
                                  "ReduceL2",
                                  "ReduceLogSumExp",
                                  "ArgMax",
                                  "CumSum",
                                  "Gather",
                                  "GatherElements",
                                  "GatherND",
                                  "Where",
                                  "OneHot",
                                  "TopK",
                                  "Resize",
                                  "Upsample",
                                  "QuantizeLinear",
                                  "DequantizeLinear",
                                  "DynamicQuantizeLinear",
                                  "QLinearMatMul",
                                  "MatMulInteger",
                                  "ConvInteger",
                                  "Attention",
                                  "RotaryEmbedding",
                                  "RNN",
                                  "LSTM",
                                  "GRU",
                                  "Einsum",
                                  NULL};

static const char *const int_attrs[] = {"axis",
                                        "group",
                                        "keepdims",
                                        "blocksize",
                                        "transA",
                                        "size",
                                        "to",
                                        "start",
                                        "end",
                                        "allowzero",
                                        "ceil_mode",
                                        "count_include_pad",
                                        "storage_order",
                                        "num_groups",
                                        "block_size",
                                        "q_num_heads",
                                        "kv_num_heads",
                                        "num_heads",
                                        "is_causal",
                                        "batch_dims",
                                        "exclusive",
                                        "reverse",
                                        "upper",
                                        "k",
                                        "p",
                                        "training_mode",
                                        "layout",
                                        "interleaved",
                                        "rotary_embedding_dim",
                                        "antialias",
                                        "exclude_outside",
                                        "fmod",
                                        "qk_matmul_output_mode",
                                        "value"};
static const char *const list_attrs[] = {
    "axes",      "kernel_shape", "strides",        "pads",
    "dilations", "perm",         "shape",          "split",
    "starts",    "ends",         "output_padding", "output_shape"};
static const struct {
    const char *name, *value;
} words[] = {{"auto_pad", "SAME_LOWER"},
             {"auto_pad", "VALID"},
             {"mode", "reflect"},
             {"mode", "edge"},
             {"mode", "wrap"},
             {"mode", "cubic"},
             {"mode", "linear"},
             {"mode", "CRD"},
             {"equation", "ab,bc->ac"},
             {"equation", "aa->a"},
             {"equation", "a,,->"},
             {"direction", "bidirectional"},
             {"coordinate_transformation_mode", "align_corners"},
             {"coordinate_transformation_mode", "tf_crop_and_resize"},
             {"keep_aspect_ratio_policy", "not_larger"}};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Mostly small, at times beyond all sense; nothing in between, which would
 * only be slow. */
static int64_t number(struct bd_rng *r)
{
    static const int64_t extreme[] = {INT64_MAX, INT64_MIN, (int64_t)1 << 62,
                                      (int64_t)1 << 45, -((int64_t)1 << 45)};
    if (bd_rng_below(r, 12) == 0)
        return extreme[bd_rng_below(r, COUNT(extreme))];
    return (int64_t)bd_rng_below(r, 8) - 2;
}

static struct bd_tensor tensor(struct bd_rng *r, struct bd_arena *a)
{
    static const enum bd_dtype types[] = {BD_F32, BD_F32, BD_F32,  BD_I64,
                                          BD_I64, BD_U8,  BD_BOOL, BD_U64};
    struct bd_tensor t = {.type = types[bd_rng_below(r, COUNT(types))]};
    t.rank = (int)bd_rng_below(r, 6);
    for (int k = 0; k < t.rank; k++)
        t.dim[k] = (int64_t)bd_rng_below(r, 5);
    if (bd_rng_below(r, 3) == 0) { /* something square fits more often */
        t.rank = 4;
        t.dim[0] = t.dim[1] = t.dim[2] = t.dim[3] = 2;
    }
    size_t n = (size_t)bd_tensor_count(&t);
    if (bd_dtype_is_real(t.type)) {
        t.f = bd_arena_alloc(a, n + 1, sizeof *t.f);
        for (size_t k = 0; k < n; k++)
            t.f[k] = (float)bd_rng_normal(r);
        return t;
    }
    t.i = bd_arena_alloc(a, n + 1, sizeof *t.i);
    for (size_t k = 0; k < n; k++)
        t.i[k] = t.type == BD_BOOL ? (int64_t)bd_rng_below(r, 2)
                 : t.type == BD_U8 ? (int64_t)bd_rng_below(r, 6)
                                   : number(r);
    return t;
}

static size_t attributes(struct bd_attr *out, int64_t (*lists)[8],
                         struct bd_rng *r)
{
    size_t n = 0;
    for (; n < 4 && bd_rng_below(r, 4); n++) {
        uint64_t kind = bd_rng_below(r, 5);
        out[n] = (struct bd_attr){.kind = BD_ATTR_INT, .i = number(r)};
        out[n].name = int_attrs[bd_rng_below(r, COUNT(int_attrs))];
        if (kind < 2) {
            out[n].kind = BD_ATTR_INTS;
            out[n].name = list_attrs[bd_rng_below(r, COUNT(list_attrs))];
            out[n].n = bd_rng_below(r, 7);
            out[n].ints = lists[n];
            for (size_t k = 0; k < out[n].n; k++)
                lists[n][k] = number(r);
        } else if (kind == 2) {
            size_t w = (size_t)bd_rng_below(r, COUNT(words));
            out[n].kind = BD_ATTR_STR;
            out[n].name = words[w].name;
            out[n].s = words[w].value;
        }
    }
    return n;
}

/* One node with some inputs known and some not, then Identity. */
static struct bd_model *make(const char *op, struct bd_rng *r,
                             struct bd_arena *a)
{
    struct bd_builder *b = bd_builder_new();
    struct bd_attr attr[4];
    int64_t lists[4][8];
    struct bd_model *m = NULL;
    int in[9], nin = 1 + (int)bd_rng_below(r, 8);
    const char *const names[] = {"i0", "i1", "i2", "i3", "i4",
                                 "i5", "i6", "i7", "i8"};
    assert_non_null(b);
    nin = nin > 5 && bd_rng_below(r, 3) ? nin - 4 : nin;
    for (int k = 0; k < nin; k++) {
        struct bd_tensor t = tensor(r, a);
        bool real = bd_dtype_is_real(t.type);
        if (real && bd_rng_below(r, 3) == 0)
            in[k] = bd_build_input(b, names[k], t.dim, t.rank);
        else
            in[k] = bd_build_const(b, names[k], &t);
    }
    size_t n = attributes(attr, lists, r);
    int y = bd_build_node(b, op, "n", in, nin, attr, n);
    bd_build_output(b, bd_build_node(b, "Identity", "id", &y, 1, NULL, 0));
    if (bd_build_finish(&m, b, true, NULL) != BD_OK)
        return NULL;
    return m;
}

static int try_one(const char *op, uint64_t seed)
{
    struct bd_rng r = bd_rng_fork(seed, 1);
    struct bd_arena a = {0};
    struct bd_err err = {0};
    struct bd_plan *p = NULL;
    struct bd_exec *e = NULL;
    struct bd_model *m = make(op, &r, &a);
    struct bd_plan_opts o = {.batch = (int64_t)bd_rng_below(&r, 3)};
    int ran = 0;
    if (m && bd_plan_new(&p, m, &o, &err) == BD_OK &&
        bd_exec_new(&e, p, &err) == BD_OK)
        ran = bd_exec_run(e, NULL, &err) == BD_OK;
    else if (m)
        assert_true(err.code != BD_OK && err.msg[0]);
    bd_exec_free(e);
    bd_plan_free(p);
    bd_model_free(m);
    bd_arena_done(&a);
    return ran;
}

static void nonsense_is_refused(void **state)
{
    const char *many = getenv("BITDIAL_FUZZ");
    uint64_t rounds = many ? strtoull(many, NULL, 10) : 60;
    (void)state;
    for (const char *const *op = ops; *op; op++) {
        int ran = 0;
        assert_true(bd_graph_has_op(*op));
        for (uint64_t k = 0; k < rounds; k++)
            ran += try_one(*op, k * 1000 + (uint64_t)(op - ops));
        if (getenv("BITDIAL_FUZZ"))
            print_message("%s: %d of %d ran\n", *op, ran, (int)rounds);
    }
}

/* Deep and wide graphs: ten thousand layers plan in a moment. */
static void long_chain(void **state)
{
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    struct bd_plan *p = NULL;
    struct bd_err err = {0};
    int64_t dim[2] = {1, 4};
    float eye[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    struct bd_tensor w = {.type = BD_F32, .rank = 2, .dim = {4, 4}, .f = eye};
    int x = bd_build_input(b, "x", dim, 2), c = bd_build_const(b, "w", &w);
    (void)state;
    for (int k = 0; k < 10000; k++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", k);
        x = bd_build_node(b, "MatMul", name, (int[]){x, c}, 2, NULL, 0);
    }
    bd_build_output(b, x);
    if (bd_build_finish(&m, b, true, &err) != BD_OK)
        fail_msg("%s", err.msg);
    int64_t t0 = bd_now_ns();
    assert_int_equal(bd_plan_new(&p, m, NULL, &err), BD_OK);
    assert_true(bd_now_ns() - t0 < 5000000000);
    bd_plan_free(p);
    bd_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
