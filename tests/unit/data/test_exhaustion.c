/* Opening and fetching while memory runs out at any one moment, in every
 * format: refused with a sentence, outputs untouched. */
#include "data_files.h"

#include "../exhaust.h"

#include <jpeglib.h>
#include <png.h>

enum { MOST = 3072 };

/* Opens, fetches the last picture, and closes. */
static bd_status visit(const void *spec, struct bd_err *err)
{
    static float x[MOST];
    struct bd_data *d = NULL;
    struct bd_prep p;
    int64_t dim[3];
    bd_status st = bd_prep_parse(&p, "resize=2,crop=2,scale=1/255", err);
    if (st == BD_OK)
        st = bd_data_open(&d, spec, err);
    assert_true((st == BD_OK) == (d != NULL));
    if (st != BD_OK)
        return st;
    bd_data_shape(d, dim);
    size_t planes = dim[0] == 1 ? 1 : 3;
    st = bd_data_fetch(d, &p, bd_data_count(d) - 1, x, planes * 4, err);
    bd_data_free(d);
    return st;
}

static void idx(void **state)
{
    const uint32_t xs[] = {5, 3, 4}, ys[] = {5};
    uint8_t x[128], y[64];
    struct box b;
    (void)state;
    box_open(&b);
    size_t n = idx_bytes(y, 1, ys, 3);
    box_put(&b, "t-labels-idx1-ubyte", y, n);
    box_put_gz(&b, "t-labels-idx1-ubyte.gz", y, n);
    n = idx_bytes(x, 3, xs, 0);
    box_put_gz(&b, "t-images-idx3-ubyte.gz", x, n);
    assert_true(exhaust(visit, b.path, false) > 2);
    box_put(&b, "t-images-idx3-ubyte", x, n);
    assert_true(exhaust(visit, b.path, false) > 1);
    box_close(&b);
}

static void cifar(void **state)
{
    uint8_t *p = cifar_bytes(3);
    struct box b;
    (void)state;
    box_open(&b);
    box_put(&b, "set.bin", p, 3 * 3073);
    assert_true(exhaust(visit, b.path, false) > 1);
    free(p);
    box_close(&b);
}

static void npy(void **state)
{
    uint8_t file[512], px[3 * 4 * 4 * 3];
    struct box b;
    (void)state;
    for (size_t k = 0; k < sizeof px; k++)
        px[k] = (uint8_t)k;
    box_open(&b);
    size_t n = npy_bytes(file, "|u1", "(3, 4, 4, 3)", px, sizeof px);
    box_put(&b, "set.npy", file, n);
    assert_true(exhaust(visit, b.path, false) > 2);
    box_close(&b);
}

static void put_jpeg(const char *path)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    uint8_t line[8 * 3] = {200, 100, 50};
    JSAMPROW row = line;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, f);
    c.image_width = c.image_height = 8;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height)
        jpeg_write_scanlines(&c, &row, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fclose(f);
}

/* A folder of folders, and one with a list of labels. */
static void folders(void **state)
{
    static const char csv[] = "file,label\na.png,1\ncat/z.png,0\n";
    static const uint8_t px[27] = {10, 20, 30, 40, 50, 60, 70, 80, 90};
    png_image im = {.version = PNG_IMAGE_VERSION, .width = 3, .height = 3,
                    .format = PNG_FORMAT_RGB};
    struct box b;
    (void)state;
    box_open(&b);
    box_mkdir(&b, "cat");
    box_mkdir(&b, "dog");
    for (int k = 0; k < 2; k++)
        assert_true(png_image_write_to_file(
            &im, box_path(&b, k ? "dog/a.png" : "cat/z.png"), 0, px, 0,
            NULL));
    assert_true(exhaust(visit, b.dir, false) > 5);
    put_jpeg(box_path(&b, "dog/b.jpg")); /* the last one is fetched */
    assert_true(exhaust(visit, b.dir, false) > 5);
    assert_true(png_image_write_to_file(&im, box_path(&b, "a.png"), 0, px, 0,
                                        NULL));
    box_put(&b, "labels.csv", csv, sizeof csv - 1);
    assert_true(exhaust(visit, b.dir, false) > 5);
    box_close(&b);
}

static void glyphs(void **state)
{
    (void)state;
    assert_true(exhaust(visit, "synth:glyphs", false) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx),     cmocka_unit_test(cifar),
        cmocka_unit_test(npy),     cmocka_unit_test(folders),
        cmocka_unit_test(glyphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
