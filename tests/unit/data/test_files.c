/* CIFAR, IDX, npy and npz: numbers come out as they went in. */
#include "data_files.h"

static void fetch(const struct bd_data *d, int64_t i, float *x, size_t want)
{
    struct bd_prep raw;
    struct bd_err err = {0};

    assert_int_equal(bd_prep_parse(&raw, "raw255", NULL), BD_OK);
    if (bd_data_fetch(d, &raw, i, x, want, &err) != BD_OK)
        fail_msg("%s", err.msg);
}

static void cifar10(void **state)
{
    struct box b;
    uint8_t *p = cifar_bytes(12);
    static float x[3072];
    struct bd_data *d;

    (void)state;
    box_open(&b);
    box_put(&b, "set.bin", p, 12 * 3073);
    d = open_ok(b.path);
    assert_int_equal(bd_data_count(d), 12);
    assert_int_equal(bd_data_classes(d), 10);
    assert_string_equal(bd_data_name(d), "set.bin");
    fetch(d, 11, x, 3072);
    for (int k = 0; k < 3072; k++)
        assert_true(x[k] == (float)((11 + k) & 255));
    assert_int_equal(bd_data_label(d, 11), 1);
    bd_data_free(d);
    free(p);
    box_close(&b);
}

static void cifar100(void **state)
{
    struct box b;
    static uint8_t p[2 * 3074];
    static float x[3072];
    struct bd_data *d;

    (void)state;
    p[0] = 19;
    p[1] = 99; /* the fine label counts */
    p[3074 + 1] = 5;
    p[3074 + 2] = 200;
    box_open(&b);
    box_put(&b, "set.bin", p, sizeof p);
    d = open_ok(b.path);
    assert_int_equal(bd_data_classes(d), 100);
    assert_int_equal(bd_data_label(d, 0), 99);
    assert_int_equal(bd_data_label(d, 1), 5);
    fetch(d, 1, x, 3072);
    assert_true(x[0] == 200);
    bd_data_free(d);
    box_close(&b);
}

static void check_idx(const char *path)
{
    struct bd_data *d = open_ok(path);
    float x[12];
    int64_t dim[3];

    bd_data_shape(d, dim);
    assert_true(dim[0] == 1 && dim[1] == 3 && dim[2] == 4);
    assert_int_equal(bd_data_count(d), 5);
    assert_int_equal(bd_data_label(d, 4), 7);
    assert_int_equal(bd_data_classes(d), 8);
    fetch(d, 1, x, 12); /* values run 0..9 again and again */
    assert_true(x[0] == 2 && x[11] == 3);
    bd_data_free(d);
}

static void idx(void **state)
{
    const uint32_t xs[] = {5, 3, 4}, ys[] = {5};
    uint8_t x[128], y[64];
    size_t nx = idx_bytes(x, 3, xs, 0), ny = idx_bytes(y, 1, ys, 3);
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "t10k-labels-idx1-ubyte", y, ny);
    box_put(&b, "t10k-images-idx3-ubyte", x, nx);
    check_idx(b.path);
    box_put_gz(&b, "t10k-images-idx3-ubyte.gz", x, nx);
    check_idx(b.path); /* gzipped pictures, plain labels */
    box_put_gz(&b, "train-labels-idx1-ubyte.gz", y, ny);
    box_put(&b, "train-images-idx3-ubyte", x, nx);
    check_idx(b.path); /* and the other way round */
    box_close(&b);
}

static void npy_pair(void **state)
{
    const uint8_t px[2][2][2][3] = {
        {{{1, 2, 3}, {4, 5, 6}}, {{7, 8, 9}, {10, 11, 12}}},
        {{{13, 14, 15}, {16, 17, 18}}, {{19, 20, 21}, {22, 23, 24}}}};
    const int64_t labels[2] = {4, 0};
    uint8_t file[512];
    float x[12];
    struct bd_data *d;
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "y_test.npy", file,
            npy_bytes(file, "<i8", "(2,)", labels, sizeof labels));
    box_put(&b, "x_test.npy", file,
            npy_bytes(file, "|u1", "(2, 2, 2, 3)", px, sizeof px));
    d = open_ok(b.path);
    assert_int_equal(bd_data_count(d), 2);
    assert_int_equal(bd_data_label(d, 0), 4);
    fetch(d, 1, x, 12); /* channels moved to the front */
    assert_true(x[0] == 13 && x[1] == 16 && x[4] == 14 && x[11] == 24);
    bd_data_free(d);
    box_close(&b);
}

static void npy_floats_alone(void **state)
{
    const float v[] = {0.5F, -1.0F, 2.0F, 3.0F, 4.0F, 5.0F};
    uint8_t file[512];
    float x[3];
    struct bd_data *d;
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "calib.npy", file,
            npy_bytes(file, "<f4", "(2, 3)", v, sizeof v));
    d = open_ok(b.path);
    assert_int_equal(bd_data_label(d, 0), -1);
    fetch(d, 0, x, 3);
    assert_true(x[0] == 0.5F && x[1] == -1.0F);
    bd_data_free(d);
    box_close(&b);
}

static void wrong_size(void **state)
{
    struct bd_data *d = open_ok("synth:glyphs");
    struct bd_prep raw;
    struct bd_err err = {0};
    float x[784];

    (void)state;
    assert_int_equal(bd_prep_parse(&raw, "raw255", NULL), BD_OK);
    assert_int_equal(bd_data_fetch(d, &raw, 0, x, 784, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "3x32x32"));
    assert_non_null(strstr(err.msg, "784"));
    assert_int_equal(bd_data_fetch(d, &raw, 5000, x, 784, &err), BD_EINVALID);
    bd_data_free(d);
}

/* The real sets, when they are there. */
static void real(void **state)
{
    const char *root = getenv("BITDIAL_DATA");
    char path[512];
    struct bd_data *d;

    (void)state;
    if (!root) {
        print_message("BITDIAL_DATA is not set: real sets are not read\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/cifar10/test_first1017.bin", root);
    d = open_ok(path);
    assert_int_equal(bd_data_count(d), 1017);
    assert_int_equal(bd_data_label(d, 0), 3); /* a cat */
    bd_data_free(d);
    snprintf(path, sizeof path, "%s/mnist/t10k-images-idx3-ubyte.gz", root);
    d = open_ok(path);
    assert_int_equal(bd_data_count(d), 10000);
    assert_int_equal(bd_data_label(d, 0), 7);
    bd_data_free(d);
    snprintf(path, sizeof path, "%s/imagenet100", root);
    d = open_ok(path);
    assert_int_equal(bd_data_count(d), 100);
    assert_int_equal(bd_data_label(d, 1), 13);
    bd_data_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cifar10),
        cmocka_unit_test(cifar100),
        cmocka_unit_test(idx),
        cmocka_unit_test(npy_pair),
        cmocka_unit_test(npy_floats_alone),
        cmocka_unit_test(wrong_size),
        cmocka_unit_test(real),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
