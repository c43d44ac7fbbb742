/* Whatever bytes: a model or a sentence.  What loads must be writable and,
 * written, load again with the same layers: that reads every number, every
 * index and every name the loader let through. */
#include "fuzz.h"
#include "model/model.h"

#include <assert.h>
#include <string.h>

static void check(const struct bd_model *m)
{
    for (size_t k = 0; k < m->nnodes; k++) {
        for (int i = 0; i < m->node[k].nin; i++)
            assert(m->node[k].in[i] < (int)m->nvalues);
        for (int i = 0; i < m->node[k].nin; i++)
            if (m->node[k].in[i] >= 0)
                assert(m->value[m->node[k].in[i]].producer < (int)k);
    }
    for (size_t k = 0; k < m->nlayers; k++) {
        const struct bd_layer *l = &m->layer[k];
        const struct bd_tensor *w = &m->value[l->weight].t;
        assert(w->f && w->rank >= 2 && l->axis < w->rank);
        assert(bd_model_find_layer(m, l->name) == (int)k);
    }
}

static void write_and_read(const struct bd_model *m)
{
    struct bd_str s = {0};
    struct bd_model *back = NULL;
    struct fuzz_file f;
    struct bd_err err = {0};
    bd_status st = bd_onnx_write(&s, m, NULL, &err);
    if (st == BD_OK) {
        fuzz_open(&f, (const uint8_t *)s.s, s.n);
        st = bd_model_load(&back, f.path, NULL, &err);
        fuzz_close(&f);
        assert(st == BD_OK);
        assert(back->nnodes == m->nnodes && back->nlayers == m->nlayers);
        bd_model_free(back);
    }
    bd_str_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file f;
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    fuzz_open(&f, data, size);
    bd_status s = bd_model_load(&m, f.path, NULL, &err);
    fuzz_close(&f);
    assert((s == BD_OK) == (m != NULL));
    assert((s == BD_OK) == (err.msg[0] == 0));
    if (m) {
        check(m);
        write_and_read(m);
    }
    bd_model_free(m);
    return 0;
}

/* A network with one of everything the loader treats specially. */
static bool small_network(struct bd_str *out)
{
    static float w[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    static int64_t shape[2] = {2, 4};
    static const int64_t xd[] = {-1, 4}, perm[] = {1, 0};
    const struct bd_attr turn = {
        .name = "perm", .kind = BD_ATTR_INTS, .n = 2, .ints = perm};
    const struct bd_attr some[] = {
        {.name = "alpha", .kind = BD_ATTR_FLOAT, .f = 0.5f},
        {.name = "mode", .kind = BD_ATTR_STR, .s = "linear"},
        {.name = "axis", .kind = BD_ATTR_INT, .i = -1}};
    struct bd_tensor flat = {.type = BD_F32, .rank = 1, .dim = {8}, .f = w};
    struct bd_tensor half = flat;
    struct bd_tensor dims = {.type = BD_I64, .rank = 1, .dim = {2}, .i = shape};
    struct bd_builder *b = bd_builder_new();
    struct bd_model *m = NULL;
    half.type = BD_F16;
    int x = bd_build_input(b, "x", xd, 2);
    int move[2] = {bd_build_const(b, "a.weight", &flat),
                   bd_build_const(b, "shape", &dims)};
    int r = bd_build_node(b, "Reshape", "r", move, 2, NULL, 0);
    r = bd_build_node(b, "Transpose", "t", &r, 1, &turn, 1);
    int mul[2] = {x, r};
    x = bd_build_node(b, "MatMul", "m", mul, 2, NULL, 0);
    x = bd_build_node(b, "com.example.Odd", "o", &x, 1, some, 3);
    int gemm[2] = {x, bd_build_const(b, "h", &half)};
    gemm[1] = bd_build_node(b, "Reshape", "r2", (int[]){gemm[1], move[1]}, 2,
                            NULL, 0);
    bd_build_output(b, bd_build_node(b, "Gemm", "g", gemm, 2, NULL, 0));
    bool ok = bd_build_finish(&m, b, true, NULL) == BD_OK &&
              bd_onnx_write(out, m, NULL, NULL) == BD_OK;
    bd_model_free(m);
    return ok;
}

static bool drawn_network(struct bd_str *out)
{
    static const int64_t dim[] = {1, 2, 2};
    struct bd_model *m = NULL;
    bool ok = bd_arch_new(&m, "mlp:4-3-2", dim, 3, 2, 0, NULL) == BD_OK &&
              bd_onnx_write(out, m, NULL, NULL) == BD_OK;
    bd_model_free(m);
    return ok;
}

/* An archive of one array, as NumPy writes it; the checksum stops most
 * mutations of the data, not those of directory and headers. */
static bool archive(struct bd_str *out)
{
    static const char npz[] =
        "PK\3\4\x14\0\0\0\0\0\0\0\0\0\x24\x9f\x2b\x65\x40\0\0\0\x40\0\0\0\5\0\0"
        "\0w.npy"
        "\x93NUMPY\1\0\x36\0{'descr':'<f4','fortran_order':False,'shape':(0,5),"
        "}  "
        "PK\1\2\x14\0\x14\0\0\0\0\0\0\0\0\0\x24\x9f\x2b\x65\x40\0\0\0\x40\0\0\0"
        "\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0w.npy"
        "PK\5\6\0\0\0\0\1\0\1\0\x33\0\0\0\x63\0\0\0\0\0";
    bd_str_put(out, npz, sizeof npz - 1);
    return !out->failed;
}

static bool array(struct bd_str *out)
{
    static const char npy[] = "\x93NUMPY\1\0\x3c\0{'descr': '>f2', "
                              "'fortran_order': True, 'shape': (2, 3), }  \n"
                              "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c";
    bd_str_put(out, npy, sizeof npy - 1);
    return !out->failed;
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    switch (k) {
    case 0:
        return small_network(out);
    case 1:
        return drawn_network(out);
    case 2:
        return array(out);
    case 3:
        return archive(out);
    default:
        return false;
    }
}
