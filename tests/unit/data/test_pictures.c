/* Folders of PNG and JPEG; resizing, cropping, channel order. */
#include "data_files.h"

#include <math.h>

#include <jpeglib.h>
#include <png.h>

static void put_png(struct box *b, const char *name, int w, int h, bool grey,
                    const uint8_t *px)
{
    png_image im = {.version = PNG_IMAGE_VERSION,
                    .width = (png_uint_32)w,
                    .height = (png_uint_32)h,
                    .format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};

    assert_true(
        png_image_write_to_file(&im, box_path(b, name), 0, px, 0, NULL));
}

static void put_jpeg(struct box *b, const char *name, int w, int h,
                     const uint8_t *px)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    FILE *f = fopen(box_path(b, name), "wb");

    assert_non_null(f);
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, f);
    c.image_width = (JDIMENSION)w;
    c.image_height = (JDIMENSION)h;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 95, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(px + c.next_scanline * (unsigned)w * 3);

        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fclose(f);
}

static void fetch(const struct bd_data *d, const char *prep, int64_t i,
                  float *x, size_t want)
{
    struct bd_prep p;
    struct bd_err err = {0};

    if (bd_prep_parse(&p, prep, &err) != BD_OK ||
        bd_data_fetch(d, &p, i, x, want, &err) != BD_OK)
        fail_msg("%s: %s", err.file, err.msg);
}

static void sub_folders(void **state)
{
    const uint8_t px[12] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3};
    struct bd_data *d;
    float x[12];
    struct box b;

    (void)state;
    box_open(&b);
    box_mkdir(&b, "cat");
    box_mkdir(&b, "dog");
    put_png(&b, "dog/b.png", 2, 2, false, px);
    put_png(&b, "dog/a.png", 2, 2, true, px);
    put_png(&b, "cat/z.PNG", 2, 2, false, px);
    box_put(&b, "dog/notes.txt", "x", 1);
    d = open_ok(b.dir);
    assert_int_equal(bd_data_count(d), 3);
    assert_int_equal(bd_data_label(d, 0), 0);
    assert_int_equal(bd_data_label(d, 1), 1);
    fetch(d, "raw255", 0, x, 12);
    assert_true(x[0] == 10 && x[3] == 1 && x[4] == 20 && x[11] == 3);
    fetch(d, "raw255,order=bgr", 0, x, 12);
    assert_true(x[0] == 30 && x[8] == 10);
    fetch(d, "raw255", 1, x, 12); /* grey becomes three equal planes */
    assert_true(x[1] == 20 && x[5] == 20 && x[9] == 20);
    bd_data_free(d);
    box_close(&b);
}

static void labels_csv(void **state)
{
    static const char csv[] = "file,class_index,name\r\nb.png,7,seven\r\n"
                              "\r\na.jpg,2\n";
    uint8_t px[16 * 16 * 3];
    struct bd_data *d;
    float x[768];
    struct box b;

    (void)state;
    memset(px, 100, sizeof px);
    box_open(&b);
    box_mkdir(&b, "img"); /* the list leaves this folder out */
    put_png(&b, "img/b.png", 16, 16, false, px);
    put_jpeg(&b, "img/a.jpg", 16, 16, px);
    box_put(&b, "labels.csv", csv, sizeof csv - 1);
    d = open_ok(b.dir);
    assert_int_equal(bd_data_count(d), 2);
    assert_int_equal(bd_data_label(d, 0), 7);
    assert_int_equal(bd_data_label(d, 1), 2);
    assert_int_equal(bd_data_classes(d), 8);
    fetch(d, "raw255", 1, x, 768);
    assert_true(fabsf(x[0] - 100) <= 2);
    bd_data_free(d);
    box_close(&b);
}

/* Widths 4 to 2: each output is the triangle (1 3 3 1)/8 inside, with the
 * weights that fall outside left out and the rest made to sum to 1. */
static void resize_antialiased(void **state)
{
    uint8_t px[16];
    struct bd_data *d;
    float x[4];
    struct box b;

    (void)state;
    for (int i = 0; i < 16; i++)
        px[i] = (uint8_t)((i % 4) * 80); /* 0 80 160 240 in every row */
    box_open(&b);
    put_png(&b, "a.png", 4, 4, true, px);
    d = open_ok(b.dir);
    fetch(d, "raw255,resize=2", 0, x, 4);
    /* (3*0 + 3*80 + 1*160)/7 = 57.14; (1*80 + 3*160 + 3*240)/7 = 182.86 */
    assert_true(x[0] == 57 && x[2] == 57);
    assert_true(x[1] == 183 && x[3] == 183);
    bd_data_free(d);
    box_close(&b);
}

static void resize_up_and_crop(void **state)
{
    const uint8_t px[2] = {0, 100};
    uint8_t wide[6 * 2];
    struct bd_data *d;
    float x[16];
    struct box b;

    (void)state;
    for (int i = 0; i < 12; i++)
        wide[i] = (uint8_t)(i % 6);
    box_open(&b);
    put_png(&b, "a.png", 2, 1, true, px);
    put_png(&b, "b.png", 6, 2, true, wide);
    d = open_ok(b.dir);
    fetch(d, "raw255,resize=2", 0, x, 8); /* 2x1 becomes 4x2 */
    assert_true(x[0] == 0 && x[1] == 25 && x[2] == 75 && x[3] == 100);
    fetch(d, "raw255,crop=2", 1, x, 4); /* the middle columns */
    assert_true(x[0] == 2 && x[1] == 3);
    fetch(d, "raw255,crop=net", 1, x, 4); /* the same, side from the network */
    assert_true(x[0] == 2 && x[1] == 3);
    bd_data_free(d);
    box_close(&b);
}

static void grey_for_grey_networks(void **state)
{
    uint8_t px[3] = {255, 0, 0};
    struct bd_data *d;
    float x[1];
    struct box b;

    (void)state;
    box_open(&b);
    put_png(&b, "a.png", 1, 1, false, px);
    d = open_ok(b.dir);
    fetch(d, "raw255", 0, x, 1);
    assert_true(x[0] == 76); /* .299 of 255 */
    bd_data_free(d);
    box_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sub_folders),
        cmocka_unit_test(labels_csv),
        cmocka_unit_test(resize_antialiased),
        cmocka_unit_test(resize_up_and_crop),
        cmocka_unit_test(grey_for_grey_networks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
