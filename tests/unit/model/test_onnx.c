/* The ONNX reader on files made by hand: right ones give the right network,
 * wrong ones one sentence, whatever is cut or flipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

/* The sentence of a refusal; fails when the file loads. */
static struct bd_err refused(const struct pbuf *m)
{
    struct bd_model *model = NULL;
    struct bd_err err = {0};
    bd_status s = mem_load(&model, m->b, m->n, &err);
    assert_int_not_equal(s, BD_OK);
    assert_null(model);
    assert_true(err.msg[0] != 0);
    assert_int_equal(err.code, s);
    return err;
}

static struct bd_model *loaded(const struct pbuf *m)
{
    struct bd_model *model = NULL;
    struct bd_err err = {0};
    bd_status s = mem_load(&model, m->b, m->n, &err);
    if (s != BD_OK)
        print_error("%s\n", err.msg);
    assert_int_equal(s, BD_OK);
    return model;
}

static void expect(const struct pbuf *m, const char *part)
{
    struct bd_err err = refused(m);
    const char *found = part ? strstr(err.msg, part) : NULL;
    if (!found)
        print_error("expected '%s' in '%s'\n", part ? part : "", err.msg);
    assert_non_null(found);
}

/* ------------------------------------------------------------- good files */

static void test_small(void **state)
{
    (void)state;
    struct pbuf m = {.n = 0};
    onnx_small(&m);
    struct bd_model *k = loaded(&m);
    assert_string_equal(k->format, "onnx");
    assert_int_equal(k->opset, 13);
    assert_int_equal(k->nnodes, 1);
    assert_string_equal(k->node[0].name, "MatMul_0");
    assert_int_equal(k->nlayers, 1);
    assert_string_equal(k->layer[0].name, "w");
    assert_int_equal(k->layer[0].axis, 1);
    assert_int_equal(k->params, 6);
    const struct bd_tensor *w = &k->value[k->layer[0].weight].t;
    assert_true(w->f[1] == -2.0f && w->f[5] == -0.125f);
    const struct bd_tensor *x = &k->value[k->input[0]].t;
    assert_int_equal(x->rank, 2);
    assert_int_equal(x->dim[0], -1);
    assert_int_equal(x->dim[1], 2);
    bd_model_free(k);
}

/* Every typed field and raw form of one row of numbers reads as 1, -2, 3. */
static void add_numbers(struct pbuf *t, int type, bool packed)
{
    static const float f[] = {1.0f, -2.0f, 3.0f};
    static const double d[] = {1.0, -2.0, 3.0};
    static const uint16_t half[] = {0x3c00, 0xc000, 0x4200};
    static const uint16_t brain[] = {0x3f80, 0xc000, 0x4040};
    struct pbuf p = {.n = 0};
    unsigned field = type == BD_F32   ? 4
                     : type == BD_F64 ? 10
                     : type == BD_I64 ? 7
                                      : 5;
    unsigned wire = type == BD_F32 ? 5 : type == BD_F64 ? 1 : 0;
    for (int k = 0; k < 3; k++) {
        uint64_t v = (uint64_t)(int64_t)f[k];
        const void *bytes = type == BD_F32 ? (const void *)&f[k] : &d[k];
        if (type == BD_F16)
            v = half[k];
        if (type == BD_BF16)
            v = brain[k];
        if (!packed)
            pb_key(t, field, wire);
        struct pbuf *to = packed ? &p : t;
        for (size_t b = 0; wire && b < (wire == 5 ? 4u : 8u); b++)
            pb_byte(to, ((const uint8_t *)bytes)[b]);
        if (!wire)
            pb_vint(to, v);
    }
    if (packed)
        pb_msg(t, field, &p);
}

static void check_numbers(int type, bool packed)
{
    static const int64_t dim[] = {3};
    struct pbuf m = {.n = 0}, g = {.n = 0}, t = {.n = 0};
    onnx_tensor(&t, "c", type, 1, dim);
    add_numbers(&t, type, packed);
    pb_msg(&g, 5, &t);
    onnx_model(&m, &g, 13);
    struct bd_model *k = loaded(&m);
    const struct bd_tensor *c = &k->value[0].t;
    assert_int_equal(c->type, type);
    for (int i = 0; i < 3; i++) {
        double want = i == 0 ? 1 : i == 1 ? -2 : 3;
        assert_true(c->f ? (double)c->f[i] == want : (double)c->i[i] == want);
    }
    bd_model_free(k);
}

static void test_typed_fields(void **state)
{
    static const int types[] = {BD_F32, BD_F64, BD_F16, BD_BF16,
                                BD_I8,  BD_I16, BD_I32, BD_I64};
    (void)state;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        check_numbers(types[k], true);
        check_numbers(types[k], false);
    }
}

/* Weights listed among the inputs, fields in any order, nodes unsorted. */
static void test_old_style(void **state)
{
    static const int64_t one[] = {1};
    static const float w = 2.0f;
    (void)state;
    struct pbuf m = {.n = 0}, g = {.n = 0}, t = {.n = 0};
    onnx_info(&g, 12, "z", 1, one);
    onnx_info(&g, 11, "w", 1, one);
    onnx_info(&g, 11, "x", 1, one);
    onnx_node(&g, "Relu", "y", NULL, "z");
    onnx_node(&g, "Mul", "x", "w", "y");
    onnx_tensor(&t, "w", 1, 1, one);
    pb_raw(&t, 9, &w, sizeof w);
    pb_msg(&g, 5, &t);
    onnx_model(&m, &g, 7);
    struct bd_model *k = loaded(&m);
    assert_int_equal(k->ninputs, 1);
    assert_string_equal(k->value[k->input[0]].name, "x");
    assert_string_equal(k->node[0].op, "Mul");
    assert_string_equal(k->node[1].op, "Relu");
    assert_int_equal(k->value[k->node[1].in[0]].producer, 0);
    bd_model_free(k);
}

static void add_ints(struct pbuf *node, const char *name, const int64_t *v,
                     int n)
{
    struct pbuf a = {.n = 0};
    pb_str(&a, 1, name);
    for (int k = 0; k < n; k++)
        pb_int(&a, 8, v[k]);
    pb_int(&a, 20, 7);
    pb_msg(node, 5, &a);
}

/* Reshape, Transpose and Identity over a weight vanish; the layer bears the
 * name of the tensor in the file. */
static void test_fold(void **state)
{
    static const int64_t wd[] = {6}, sd[] = {2}, shape[] = {3, -1};
    static const int64_t perm[] = {1, 0}, xd[] = {1, 2}, yd[] = {1, 3};
    static const float w[] = {1, 2, 3, 4, 5, 6};
    (void)state;
    struct pbuf m = {.n = 0}, g = {.n = 0}, t = {.n = 0}, s = {.n = 0},
                n = {.n = 0};
    onnx_tensor(&t, "body.weight", 1, 1, wd);
    pb_raw(&t, 9, w, sizeof w);
    pb_msg(&g, 5, &t);
    onnx_tensor(&s, "shape", 7, 1, sd);
    pb_raw(&s, 9, shape, sizeof shape);
    pb_msg(&g, 5, &s);
    onnx_node(&g, "Reshape", "body.weight", "shape", "r");
    pb_str(&n, 1, "r");
    pb_str(&n, 2, "tr");
    pb_str(&n, 4, "Transpose");
    add_ints(&n, "perm", perm, 2);
    pb_msg(&g, 1, &n);
    onnx_node(&g, "Identity", "tr", NULL, "id");
    onnx_node(&g, "MatMul", "x", "id", "y");
    onnx_info(&g, 11, "x", 2, xd);
    onnx_info(&g, 12, "y", 2, yd);
    onnx_model(&m, &g, 13);
    struct bd_model *k = loaded(&m);
    assert_int_equal(k->nnodes, 1);
    assert_int_equal(k->nlayers, 1);
    assert_string_equal(k->layer[0].name, "body");
    const struct bd_value *v = &k->value[k->layer[0].weight];
    assert_string_equal(k->value[v->origin].name, "body.weight");
    const float want[] = {1, 3, 5, 2, 4, 6};
    assert_memory_equal(v->t.f, want, sizeof want);
    assert_int_equal(v->t.dim[0], 2);
    assert_int_equal(v->t.dim[1], 3);
    assert_int_equal(k->params, 6);
    bd_model_free(k);
}

/* f(a, b) = Relu(a + b) called twice, once through another function. */
static void test_function(void **state)
{
    static const int64_t one[] = {1};
    (void)state;
    struct pbuf m = {.n = 0}, g = {.n = 0}, f = {.n = 0}, h = {.n = 0},
                n = {.n = 0}, c = {.n = 0};
    pb_str(&f, 1, "F");
    pb_str(&f, 4, "a");
    pb_str(&f, 4, "b");
    pb_str(&f, 5, "o");
    pb_str(&n, 1, "a");
    pb_str(&n, 1, "b");
    pb_str(&n, 2, "sum");
    pb_str(&n, 4, "Add");
    pb_msg(&f, 7, &n);
    n.n = 0;
    pb_str(&n, 1, "sum");
    pb_str(&n, 2, "o");
    pb_str(&n, 4, "Relu");
    pb_msg(&f, 7, &n);
    pb_str(&f, 10, "local");
    pb_str(&h, 1, "H");
    pb_str(&h, 4, "p");
    pb_str(&h, 5, "q");
    pb_str(&h, 10, "local");
    pb_str(&c, 1, "p");
    pb_str(&c, 1, "p");
    pb_str(&c, 2, "q");
    pb_str(&c, 4, "F");
    pb_str(&c, 7, "local");
    pb_msg(&h, 7, &c);
    c.n = 0;
    pb_str(&c, 1, "x");
    pb_str(&c, 2, "t");
    pb_str(&c, 4, "H");
    pb_str(&c, 7, "local");
    pb_msg(&g, 1, &c);
    c.n = 0;
    pb_str(&c, 1, "t");
    pb_str(&c, 1, "x");
    pb_str(&c, 2, "y");
    pb_str(&c, 4, "F");
    pb_str(&c, 7, "local");
    pb_msg(&g, 1, &c);
    onnx_info(&g, 11, "x", 1, one);
    onnx_info(&g, 12, "y", 1, one);
    onnx_model(&m, &g, 13);
    pb_msg(&m, 25, &f);
    pb_msg(&m, 25, &h);
    struct bd_model *k = loaded(&m);
    assert_int_equal(k->nnodes, 4);
    assert_string_equal(k->node[0].op, "Add");
    assert_string_equal(k->node[3].op, "Relu");
    assert_string_equal(k->value[k->node[1].out[0]].name, "t");
    assert_string_equal(k->value[k->node[3].out[0]].name, "y");
    assert_int_equal(k->node[0].in[0], k->node[0].in[1]);
    bd_model_free(k);
}

/* ------------------------------------------------------------ hostile files */

static void test_every_cut(void **state)
{
    (void)state;
    struct pbuf m = {.n = 0};
    onnx_small(&m);
    size_t whole = m.n;
    for (m.n = 0; m.n < whole; m.n++)
        refused(&m);
}

static void test_every_flip(void **state)
{
    (void)state;
    struct pbuf m = {.n = 0};
    onnx_small(&m);
    for (size_t bit = 0; bit < m.n * 8; bit++) {
        struct bd_model *k = NULL;
        struct bd_err err = {0};
        m.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bd_status s = mem_load(&k, m.b, m.n, &err);
        assert_true((s == BD_OK) == (k != NULL));
        assert_true((s == BD_OK) == (err.msg[0] == 0));
        bd_model_free(k);
        m.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_wire(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } bad[] = {
        {"\x08\x08\x3b", 3, "wire type 3"}, /* group */
        {"\x08\x08\x3c", 3, "wire type 4"}, /* end of group */
        {"\x08\x08\x02\x01x", 5, "field number 0"},
        {"\x08\x08\x38\x01", 4, "wire type 0"}, /* graph as a number */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "past"},
        {"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, "past"},
        {"\x08\x08\x3a\x05xx", 6, "past"},
        {"\x08\x08", 2, "no graph"},
        {"\x08\x08\x3a\x00\x3a\x00", 6, "two graphs"},
        {"\x08\x08\x3a\x00", 4, "operator set"},
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct pbuf m = {.n = bad[k].n};
        memcpy(m.b, bad[k].bytes, bad[k].n);
        expect(&m, bad[k].part);
    }
}

/* A graph that holds one tensor "w", described by the caller. */
static void tensor_model(struct pbuf *m, const struct pbuf *t)
{
    struct pbuf g = {.n = 0};
    pb_msg(&g, 5, t);
    onnx_model(m, &g, 13);
}

static void expect_tensor(const struct pbuf *t, const char *part)
{
    struct pbuf m = {.n = 0};
    tensor_model(&m, t);
    expect(&m, part);
}

static void test_tensor_shape(void **state)
{
    static const int64_t negative[] = {-1, 4};
    static const int64_t huge[] = {INT64_MAX, 2};
    static const int64_t wrap[] = {(int64_t)1 << 32, (int64_t)1 << 32};
    static const int64_t *const bad[] = {negative, huge, wrap};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct pbuf t = {.n = 0};
        onnx_tensor(&t, "w", 1, 2, bad[k]);
        pb_raw(&t, 9, "12345678", 8);
        expect_tensor(&t, "tensor 'w'");
    }
    struct pbuf t = {.n = 0};
    for (int k = 0; k < 17; k++)
        pb_int(&t, 1, 1);
    pb_int(&t, 2, 1);
    pb_str(&t, 8, "w");
    pb_raw(&t, 9, "1234", 4);
    expect_tensor(&t, "17 dimensions");
}

static void test_tensor_data(void **state)
{
    static const int64_t two[] = {2};
    (void)state;
    static const struct {
        size_t raw;
        const char *part;
    } size[] = {{7, "7 bytes of data, 2 float32 needs 8"},
                {12, "12 bytes of data"},
                {0, "0 bytes of data"}};
    for (size_t k = 0; k < 3; k++) {
        struct pbuf t = {.n = 0};
        onnx_tensor(&t, "w", 1, 1, two);
        pb_raw(&t, 9, "123456789012", size[k].raw);
        expect_tensor(&t, size[k].part);
    }
    struct pbuf absent = {.n = 0}, twice = {.n = 0}, both = {.n = 0},
                other = {.n = 0}, type = {.n = 0}, text = {.n = 0};
    onnx_tensor(&absent, "w", 1, 1, two);
    expect_tensor(&absent, "holds 0 numbers");
    onnx_tensor(&twice, "w", 1, 1, two);
    pb_raw(&twice, 9, "12345678", 8);
    pb_raw(&twice, 9, "12345678", 8);
    expect_tensor(&twice, "twice");
    onnx_tensor(&both, "w", 1, 1, two);
    pb_raw(&both, 9, "12345678", 8);
    pb_raw(&both, 4, "12345678", 8);
    expect_tensor(&both, "twice");
    onnx_tensor(&other, "w", 1, 1, two);
    pb_raw(&other, 7, "\1\2", 2);
    expect_tensor(&other, "another type");
    onnx_tensor(&type, "w", 99, 1, two);
    pb_raw(&type, 9, "12345678", 8);
    expect_tensor(&type, "element type 99");
    onnx_tensor(&text, "w", 8, 1, two);
    pb_str(&text, 6, "a");
    pb_str(&text, 6, "b");
    expect_tensor(&text, "string");
}

static void test_graph_mistakes(void **state)
{
    static const int64_t one[] = {1};
    (void)state;
    struct pbuf t = {.n = 0};
    onnx_tensor(&t, "w", 1, 1, one);
    pb_raw(&t, 9, "1234", 4);

    struct pbuf g = {.n = 0}, m = {.n = 0};
    pb_msg(&g, 5, &t);
    pb_msg(&g, 5, &t);
    onnx_model(&m, &g, 13);
    expect(&m, "tensor 'w' is there twice");

    g.n = m.n = 0; /* an input nobody makes */
    onnx_node(&g, "Relu", "nowhere", NULL, "y");
    onnx_model(&m, &g, 13);
    expect(&m, "reads 'nowhere'");

    g.n = m.n = 0; /* two nodes, one output */
    onnx_info(&g, 11, "x", 1, one);
    onnx_node(&g, "Relu", "x", NULL, "y");
    onnx_node(&g, "Tanh", "x", NULL, "y");
    onnx_model(&m, &g, 13);
    expect(&m, "'y' is made twice");

    g.n = m.n = 0; /* a cycle behind a tail */
    onnx_node(&g, "Tail", "b", NULL, "z");
    onnx_node(&g, "One", "b", NULL, "a");
    onnx_node(&g, "Two", "a", NULL, "b");
    onnx_model(&m, &g, 13);
    expect(&m, "cycle");
    assert_null(strstr(refused(&m).msg, "Tail"));

    g.n = m.n = 0; /* an output nobody makes */
    onnx_info(&g, 12, "y", 1, one);
    onnx_model(&m, &g, 13);
    expect(&m, "output 'y'");

    g.n = m.n = 0; /* a node without an operator */
    struct pbuf n = {.n = 0};
    pb_str(&n, 2, "y");
    pb_msg(&g, 1, &n);
    onnx_model(&m, &g, 13);
    expect(&m, "no operator");

    g.n = m.n = n.n = 0; /* an operator that looks like a domain */
    onnx_info(&g, 11, "x", 1, one);
    onnx_node(&g, "Flatten.", "x", NULL, "y");
    onnx_model(&m, &g, 13);
    expect(&m, "holds a dot");
}

static void test_names(void **state)
{
    (void)state;
    struct pbuf g = {.n = 0}, m = {.n = 0}, n = {.n = 0};
    pb_raw(&n, 1, "a\0b", 3);
    pb_str(&n, 4, "Relu");
    pb_msg(&g, 1, &n);
    onnx_model(&m, &g, 13);
    expect(&m, "zero byte");

    g.n = m.n = n.n = 0; /* terminal controls never reach a message */
    pb_str(&n, 1, "\x1b[2J");
    pb_str(&n, 4, "Relu");
    pb_msg(&g, 1, &n);
    onnx_model(&m, &g, 13);
    assert_null(strchr(refused(&m).msg, '\x1b'));
}

static void test_conv_attributes(void **state)
{
    static const int64_t wd[] = {2, 1, 1, 1}, xd[] = {1, 1, 4, 4};
    static const int64_t zero[] = {0, 1};
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct pbuf g = {.n = 0}, m = {.n = 0}, t = {.n = 0}, n = {.n = 0},
                    a = {.n = 0};
        onnx_tensor(&t, "w", 1, 4, wd);
        pb_raw(&t, 9, "12345678", 8);
        pb_msg(&g, 5, &t);
        pb_str(&n, 1, "x");
        pb_str(&n, 1, "w");
        pb_str(&n, 2, "y");
        pb_str(&n, 4, "Conv");
        if (which == 0) {
            add_ints(&n, "strides", zero, 2);
        } else {
            pb_str(&a, 1, "group");
            pb_int(&a, 3, 0);
            pb_int(&a, 20, 2);
            pb_msg(&n, 5, &a);
        }
        pb_msg(&g, 1, &n);
        onnx_info(&g, 11, "x", 4, xd);
        onnx_model(&m, &g, 13);
        expect(&m, which == 0 ? "strides holds 0" : "group 0");
    }
}

/* A function that calls itself, and one that doubles twenty times. */
static void test_function_bombs(void **state)
{
    (void)state;
    for (int doubling = 0; doubling < 2; doubling++) {
        struct pbuf g = {.n = 0}, m = {.n = 0}, n = {.n = 0};
        pb_str(&n, 4, "f0");
        pb_str(&n, 7, "d");
        pb_msg(&g, 1, &n);
        onnx_model(&m, &g, 13);
        for (int k = 0; k < 20; k++) {
            struct pbuf f = {.n = 0}, c = {.n = 0};
            char name[16];
            snprintf(name, sizeof name, "f%d", k);
            pb_str(&f, 1, name);
            pb_str(&f, 10, "d");
            snprintf(name, sizeof name, "f%d", doubling ? k + 1 : k);
            pb_str(&c, 4, name);
            pb_str(&c, 7, "d");
            pb_msg(&f, 7, &c);
            pb_msg(&f, 7, &c);
            pb_msg(&m, 25, &f);
        }
        expect(&m, doubling ? "unfold" : "calls itself");
    }
}

static void test_lookalikes(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } row[] = {
        {"", 0, "empty"},
        {"x", 1, "not a model"},
        {"\n<!DOCTYPE html><html>", 22, "web page"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "LFS"},
        {"GGUF\3\0\0\0", 8, "GGUF"},
        {"\x80\x02\x8a\x0al\xfc\x9c\x46", 8, "PyTorch"},
        {"\x02\0\0\0\0\0\0\0{}", 10, "safetensors"},
        {"\x1f\x8b\x08\0", 4, "gzip"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        struct pbuf m = {.n = row[k].n};
        memcpy(m.b, row[k].bytes, row[k].n);
        expect(&m, row[k].part);
    }
}

/* Ten thousand layers are no reason to recurse. */
static void test_long_chain(void **state)
{
    enum { N = 10000 };
    (void)state;
    struct bd_builder *b = bd_builder_new();
    const int64_t dim[] = {1, 4};
    int x = bd_build_input(b, "x", dim, 2);
    for (int k = 0; k < N; k++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", k);
        x = bd_build_node(b, "Relu", name, &x, 1, NULL, 0);
    }
    bd_build_output(b, x);
    struct bd_model *m = NULL;
    assert_int_equal(bd_build_finish(&m, b, false, NULL), BD_OK);
    assert_int_equal(m->nnodes, N);
    struct bd_str s = {0};
    assert_int_equal(bd_onnx_write(&s, m, NULL, NULL), BD_OK);
    bd_model_free(m);
    assert_int_equal(mem_load(&m, s.s, s.n, NULL), BD_OK);
    assert_int_equal(m->nnodes, N);
    bd_model_free(m);
    bd_str_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_typed_fields),
        cmocka_unit_test(test_old_style),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_function),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_flip),
        cmocka_unit_test(test_wire),
        cmocka_unit_test(test_tensor_shape),
        cmocka_unit_test(test_tensor_data),
        cmocka_unit_test(test_graph_mistakes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_conv_attributes),
        cmocka_unit_test(test_function_bombs),
        cmocka_unit_test(test_lookalikes),
        cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
