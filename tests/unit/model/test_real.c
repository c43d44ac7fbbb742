/* Real files: counts known from their authors, and every conformance model
 * of ONNX loads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#include "scratch.h"

static const char *data_path(char *out, size_t cap, const char *file)
{
    const char *dir = getenv("BITDIAL_DATA");
    if (!dir || !dir[0]) {
        print_message("BITDIAL_DATA is not set: real data not tested\n");
        skip();
    }
    snprintf(out, cap, "%s/%s", dir, file);
    return out;
}

static struct bd_model *open_model(const char *file)
{
    char path[512];
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    bd_status s =
        bd_model_load(&m, data_path(path, sizeof path, file), NULL, &err);
    if (s != BD_OK)
        print_error("%s: %s\n", file, err.msg);
    assert_int_equal(s, BD_OK);
    return m;
}

static void test_onnx_files(void **state)
{
    static const struct {
        const char *file;
        int64_t opset;
        size_t nodes, layers;
        int64_t params;
    } row[] = {
        {"onnx/cifar10_resnet_4b.onnx", 9, 28, 13, 123734},
        {"onnx/cifar10_vit_ibp_3_3_8.onnx", 9, 146, 20, 67594},
        {"onnx/espcn_subpixel_float.onnx", 11, 8, 4, 68032},
        {"onnx/mnist_cntk.onnx", 8, 11, 3, 5994},
        {"onnx/mnist_fc_256x2.onnx", 9, 6, 3, 269322},
        {"onnx/squeezenet10_deepcompression.onnx", 12, 67, 26, 1248424},
    };
    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        struct bd_model *m = open_model(row[k].file);
        assert_string_equal(m->format, "onnx");
        assert_int_equal(m->opset, row[k].opset);
        assert_int_equal(m->nnodes, row[k].nodes);
        assert_int_equal(m->nlayers, row[k].layers);
        assert_int_equal(m->params, row[k].params);
        assert_int_equal(m->ninputs, 1);
        assert_int_equal(m->noutputs, 1);
        assert_int_equal(m->nwarnings, 0);
        bd_model_free(m);
    }
}

/* Reading what we wrote gives the same layers with the same bits. */
static void test_rewrite(void **state)
{
    static const char *const files[] = {
        "onnx/mnist_cntk.onnx", "onnx/cifar10_vit_ibp_3_3_8.onnx",
        "onnx/squeezenet10_deepcompression.onnx", "res20_apot/w4a4.npz"};
    (void)state;
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        struct bd_model *m = open_model(files[k]), *back = NULL;
        struct bd_str s = {0};
        assert_int_equal(bd_onnx_write(&s, m, NULL, NULL), BD_OK);
        assert_int_equal(mem_load(&back, s.s, s.n, NULL), BD_OK);
        assert_int_equal(m->nnodes, back->nnodes);
        assert_int_equal(m->nlayers, back->nlayers);
        assert_int_equal(m->params, back->params);
        for (size_t l = 0; l < m->nlayers; l++) {
            const struct bd_layer *x = &m->layer[l], *y = &back->layer[l];
            const struct bd_tensor *t = &m->value[x->weight].t;
            assert_string_equal(x->name, y->name);
            assert_memory_equal(t->f, back->value[y->weight].t.f,
                                (size_t)bd_tensor_count(t) * sizeof(float));
            assert_true(isnan(x->learned_a) ? isnan(y->learned_a)
                                            : x->learned_a == y->learned_a);
        }
        bd_model_free(back);
        bd_model_free(m);
        bd_str_done(&s);
    }
}

static size_t constants_of(const struct bd_model *m)
{
    size_t n = 0;
    for (size_t v = 0; v < m->nvalues; v++)
        n += m->value[v].initializer;
    return n;
}

static void test_resnet_npz(void **state)
{
    (void)state;
    struct bd_model *m = open_model("res20_apot/fp32.npz");
    assert_string_equal(m->arch, "resnet20");
    assert_int_equal(constants_of(m), 128);
    assert_int_equal(m->nlayers, 22);
    assert_int_equal(m->params, 272474);
    assert_true(isnan(m->layer[5].learned_w));
    bd_model_free(m);

    m = open_model("res20_apot/w4a4.npz");
    assert_string_equal(m->arch, "resnet20");
    assert_int_equal(constants_of(m), 168);
    assert_int_equal(m->nlayers, 22);
    assert_string_equal(m->layer[1].name, "layer1.0.conv1");
    assert_true(fabsf(m->layer[1].learned_a - 1.45357f) < 1e-5f);
    assert_true(fabsf(m->layer[1].learned_w - 2.06444f) < 1e-5f);
    assert_true(isnan(m->layer[0].learned_a)); /* edges are 8 bits, no clip */
    assert_true(isnan(m->layer[21].learned_w));
    size_t clips = 0;
    for (size_t k = 0; k < m->nlayers; k++)
        clips += !isnan(m->layer[k].learned_w) && !isnan(m->layer[k].learned_a);
    assert_int_equal(clips, 20);
    bd_model_free(m);
}

static void test_bare_weights(void **state)
{
    (void)state;
    struct bd_model *m = open_model("npz/squeezenet10_deepcompression.npz");
    assert_int_equal(m->nnodes, 0);
    assert_int_equal(m->ninputs, 0);
    assert_int_equal(m->nlayers, 26);
    assert_int_equal(m->params, 1248424);
    assert_string_equal(m->layer[0].name, "conv1");
    assert_true(m->layer[0].bias >= 0);
    bd_model_free(m);
}

static void test_not_yet(void **state)
{
    static const char *const files[] = {
        "pytorch/cifar10_resnet_4b_zip.pth",
        "resnet20_akamaster/resnet20-12fca82f.th",
        "safetensors/mnist_tinygrad_mlp.safetensors", "gguf/valid-small.gguf"};
    (void)state;
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        char path[512];
        struct bd_model *m = NULL;
        struct bd_err err = {0};
        data_path(path, sizeof path, files[k]);
        assert_int_equal(bd_model_load(&m, path, NULL, &err), BD_EUNSUPPORTED);
        assert_non_null(strstr(err.msg, "not read yet"));
    }
}

/* All conformance models load; all their tensors read. */
static void test_conformance(void **state)
{
    char root[512], path[1024];
    size_t models = 0, tensors = 0;
    (void)state;
    DIR *d = opendir(data_path(root, sizeof root, "onnx_node"));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct bd_model *m = NULL;
        struct bd_err err = {0};
        struct bd_arena a = {0};
        struct bd_tensor t;
        if (strncmp(e->d_name, "test_", 5) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s/model.onnx", root, e->d_name);
        bd_status s = bd_model_load(&m, path, NULL, &err);
        if (s != BD_OK)
            print_error("%s: %s\n", e->d_name, err.msg);
        assert_int_equal(s, BD_OK);
        models++;
        bd_model_free(m);
        snprintf(path, sizeof path, "%s/%s/test_data_set_0/output_0.pb", root,
                 e->d_name);
        s = bd_tensor_load(&t, &a, path, &err);
        if (s != BD_OK)
            print_error("%s: %s\n", e->d_name, err.msg);
        assert_int_equal(s, BD_OK);
        tensors++;
        bd_arena_done(&a);
    }
    closedir(d);
    assert_int_equal(models, 556);
    assert_int_equal(tensors, 556);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onnx_files), cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_resnet_npz), cmocka_unit_test(test_bare_weights),
        cmocka_unit_test(test_not_yet),    cmocka_unit_test(test_conformance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
