/* Preprocessing texts: presets, lists, presets with changes, and refusals. */
#include "data_files.h"

static struct bd_prep parsed(const char *text)
{
    struct bd_err err = {0};
    struct bd_prep p;

    if (bd_prep_parse(&p, text, &err) != BD_OK)
        fail_msg("%s: %s", text, err.msg);
    return p;
}

static void presets(void **state)
{
    struct bd_prep p = parsed("imagenet");

    (void)state;
    assert_int_equal(p.resize, 256);
    assert_int_equal(p.crop, 224);
    assert_true(p.scale == 1.0 / 255 && p.mean[1] == .456 && p.std[2] == .225);
    p = parsed("cifar10");
    assert_true(p.mean[0] == .4914 && p.std[0] == .2471 && p.resize == 0);
    p = parsed("cifar10-apot");
    assert_true(p.mean[0] == .491 && p.std[2] == .262);
    p = parsed("cifar10-akamaster");
    assert_true(p.mean[0] == .485 && p.std[0] == .229 && p.crop == 0);
    p = parsed("raw255");
    assert_true(p.scale == 1.0 && p.mean[0] == 0.0 && p.std[0] == 1.0);
    p = parsed("mnist01");
    assert_true(p.scale == 1.0 / 255 && p.mean[0] == 0.0);
    p = parsed("caffe-bgr");
    assert_true(p.bgr && p.mean[0] == 104 && p.mean[2] == 123);
}

static void preset_with_changes(void **state)
{
    struct bd_prep p = parsed("caffe-bgr,crop=227");

    (void)state;
    assert_true(p.bgr && p.crop == 227 && p.mean[1] == 117);
}

static void lists(void **state)
{
    struct bd_prep p = parsed("resize=256,crop=224,scale=1/255,"
                              "mean=.485:.456:.406,std=.229:.224:.225,"
                              "order=rgb");
    struct bd_prep preset = parsed("imagenet");

    (void)state;
    assert_memory_equal(&p.mean, &preset.mean, sizeof p.mean);
    assert_true(p.scale == preset.scale && p.crop == preset.crop);
    p = parsed("mean=.5,std=.25");
    assert_true(p.mean[2] == .5 && p.std[0] == .25 && p.scale == 1.0);
}

/* Text and back is the same thing, for presets and for odd numbers. */
static void round_trip(void **state)
{
    static const char *const texts[] = {
        "imagenet",
        "cifar10-akamaster",
        "caffe-bgr",
        "caffe-bgr,crop=227",
        "scale=1/3,mean=.1:.2:.3,std=.7,order=bgr",
        "resize=10,crop=net"};

    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        struct bd_prep a = parsed(texts[k]), b;
        char text[256];

        b = parsed(bd_prep_text(text, sizeof text, &a));
        assert_true(a.scale == b.scale && a.crop == b.crop &&
                    a.resize == b.resize && a.bgr == b.bgr);
        assert_memory_equal(a.mean, b.mean, sizeof a.mean);
        assert_memory_equal(a.std, b.std, sizeof a.std);
    }
}

static void refusals(void **state)
{
    static const char *const bad[] = {"",
                                      "imagnet",
                                      "crop",
                                      "crop=-1",
                                      "crop=99999999",
                                      "crop=2.5",
                                      "scale=1/0",
                                      "scale=",
                                      "mean=1:2",
                                      "mean=1:2:3:4",
                                      "std=0",
                                      "std=2,mean=1,std=2",
                                      "std=1:0:1",
                                      "order=rbg",
                                      "mean=nan",
                                      "scale=inf",
                                      "crop=224,imagenet",
                                      "what=3",
                                      ",",
                                      "crop==2"};
    struct bd_prep p = {.crop = 77};

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct bd_err err = {0};

        if (bd_prep_parse(&p, bad[k], &err) != BD_EINVALID || !err.msg[0])
            fail_msg("'%s' was not refused", bad[k]);
        assert_int_equal(p.crop, 77);
    }
}

static void suggests(void **state)
{
    struct bd_err err = {0};
    struct bd_prep p;

    (void)state;
    assert_int_equal(bd_prep_parse(&p, "imagnet", &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "did you mean 'imagenet'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),  cmocka_unit_test(preset_with_changes),
        cmocka_unit_test(lists),    cmocka_unit_test(round_trip),
        cmocka_unit_test(refusals), cmocka_unit_test(suggests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
