/* The ImageNet architectures: as many parameters as published, tensors by
 * torchvision's names, and a bag of such tensors recognised by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/arch.h"
#include "scratch.h"

static const int64_t picture[3] = {3, 224, 224};

static void test_drawn(void **state)
{
    static const struct {
        const char *name;
        int64_t params;
        int layers;
        const char *first, *inner;
    } row[] = {{"resnet18", 11689512, 21, "conv1", "layer2.0.downsample.0"},
               {"resnet34", 21797672, 37, "conv1", "layer3.5.conv2"},
               {"resnet50", 25557032, 54, "conv1", "layer4.2.conv3"},
               {"alexnet", 61100840, 8, "features.0", "classifier.6"}};
    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        struct bd_model *m = NULL;
        assert_int_equal(bd_arch_new(&m, row[k].name, picture, 3, 1000, 1,
                                     NULL),
                         BD_OK);
        assert_int_equal(m->params, row[k].params);
        assert_int_equal(m->nlayers, row[k].layers);
        assert_string_equal(m->layer[0].name, row[k].first);
        assert_true(bd_model_find_layer(m, row[k].inner) > 0);
        bd_model_free(m);
    }
}

static void test_other_pictures_refused(void **state)
{
    static const int64_t small[3] = {3, 32, 32};
    struct bd_model *m;
    struct bd_err err = {0};
    (void)state;
    assert_int_equal(bd_arch_new(&m, "vgg11", small, 3, 10, 1, &err),
                     BD_EINVALID);
    assert_non_null(strstr(err.msg, "224"));
}

/* ------------------------------------------------- tensors without numbers
 * Recognition looks at names and shapes only, so a bag of VGG's needs no
 * half gigabyte: every tensor borrows the same number. */
struct bag {
    struct bd_builder *b;
    float number;
    int64_t params;
};

static void put(struct bag *g, const char *name, const char *tail,
                struct bd_tensor t)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", name, tail);
    t.type = BD_F32;
    t.f = &g->number;
    assert_true(bd_build_const(g->b, full, &t) >= 0);
    g->params += bd_tensor_count(&t);
}

static void put_conv(struct bag *g, int at, int64_t in, int64_t out, int64_t k)
{
    char name[32];
    snprintf(name, sizeof name, "features.%d", at);
    put(g, name, "weight",
        (struct bd_tensor){.rank = 4, .dim = {out, in, k, k}});
    put(g, name, "bias", (struct bd_tensor){.rank = 1, .dim = {out}});
}

static void put_full(struct bag *g, int at, int64_t in, int64_t out)
{
    char name[32];
    snprintf(name, sizeof name, "classifier.%d", at);
    put(g, name, "weight", (struct bd_tensor){.rank = 2, .dim = {out, in}});
    put(g, name, "bias", (struct bd_tensor){.rank = 1, .dim = {out}});
}

/* The name of the only architecture that takes the bag, or NULL. */
static const char *taken_by(const struct bag *g)
{
    const char *who = NULL;
    for (const struct bd_arch *a = bd_archs; a->name; a++) {
        struct bd_arch_ctx c = {
            .b = g->b, .mode = BD_ARCH_CHECK, .param = ""};
        if (strcmp(a->name, "mlp") == 0)
            continue;
        a->build(&c, a);
        if (c.status == BD_OK) {
            assert_null(who);
            who = a->name;
        }
    }
    return who;
}

static void test_vgg(void **state)
{
    /* torchvision's places of the convolutions, widths of their outputs */
    static const int at11[] = {0, 3, 6, 8, 11, 13, 16, 18};
    static const int at16[] = {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28};
    static const int64_t w11[] = {64, 128, 256, 256, 512, 512, 512, 512};
    static const int64_t w16[] = {64,  64,  128, 128, 256, 256, 256,
                                  512, 512, 512, 512, 512, 512};
    (void)state;
    for (int deep = 0; deep < 2; deep++) {
        struct bag g = {.b = bd_builder_new(), .number = 1};
        int n = deep ? 13 : 8;
        int64_t in = 3;
        for (int k = 0; k < n; k++) {
            put_conv(&g, deep ? at16[k] : at11[k], in, deep ? w16[k] : w11[k],
                     3);
            in = deep ? w16[k] : w11[k];
        }
        put_full(&g, 0, 25088, 4096);
        put_full(&g, 3, 4096, 4096);
        assert_null(taken_by(&g)); /* one matrix is missing */
        put_full(&g, 6, 4096, 1000);
        assert_string_equal(taken_by(&g), deep ? "vgg16" : "vgg11");
        assert_int_equal(g.params, deep ? 138357544 : 132863336);
        bd_builder_free(g.b);
    }
}

static void test_alexnet(void **state)
{
    struct bag g = {.b = bd_builder_new(), .number = 1};
    (void)state;
    put_conv(&g, 0, 3, 64, 11);
    put_conv(&g, 3, 64, 192, 5);
    put_conv(&g, 6, 192, 384, 3);
    put_conv(&g, 8, 384, 256, 3);
    put_conv(&g, 10, 256, 256, 3);
    put_full(&g, 1, 9216, 4096);
    put_full(&g, 4, 4096, 4096);
    put_full(&g, 6, 4096, 21); /* other classes than ImageNet's */
    assert_string_equal(taken_by(&g), "alexnet");
    bd_builder_free(g.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_other_pictures_refused),
        cmocka_unit_test(test_vgg), cmocka_unit_test(test_alexnet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
