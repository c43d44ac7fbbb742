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

struct zip { /* stored, one entry after the other, then the directory */
    uint8_t out[2048], dir[512];
    size_t n, ndir;
    uint16_t entries;
};

static size_t le(uint8_t *to, uint64_t v, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++)
        to[k] = (uint8_t)(v >> (8 * k));
    return bytes;
}

static void zip_add(struct zip *z, const char *name, const uint8_t *p,
                    size_t n)
{
    size_t len = strlen(name), at = z->n;
    uint8_t common[26] = {20};
    le(common + 10, crc32(0, p, (unsigned)n), 4);
    le(common + 14, n, 4);
    le(common + 18, n, 4);
    le(common + 22, len, 2);
    z->n += le(z->out + z->n, 0x04034b50, 4);
    memcpy(z->out + z->n, common, 26);
    memcpy(z->out + z->n + 26, name, len);
    memcpy(z->out + z->n + 26 + len, p, n);
    z->n += 26 + len + n;
    uint8_t *d = z->dir + z->ndir;
    d += le(d, 0x02014b50, 4) + le(d + 4, 20, 2);
    memcpy(d, common, 26);
    memset(d + 26, 0, 10);
    d += 36;
    d += le(d, at, 4);
    memcpy(d, name, len);
    z->ndir = (size_t)(d - z->dir) + len;
    z->entries++;
}

static void zip_end(struct zip *z)
{
    size_t at = z->n;
    memcpy(z->out + z->n, z->dir, z->ndir);
    z->n += z->ndir;
    z->n += le(z->out + z->n, 0x06054b50, 8);
    z->n += le(z->out + z->n, z->entries, 2);
    z->n += le(z->out + z->n, z->entries, 2);
    z->n += le(z->out + z->n, z->ndir, 4);
    z->n += le(z->out + z->n, at, 6);
}

static void npz(void **state)
{
    static const uint8_t px[3 * 16] = {1, 2, 3}, y[3] = {0, 2, 1};
    static struct zip z;
    uint8_t file[512];
    struct box b;
    (void)state;
    size_t n = npy_bytes(file, "|u1", "(3, 4, 4)", px, sizeof px);
    zip_add(&z, "x_test.npy", file, n);
    n = npy_bytes(file, "|u1", "(3,)", y, sizeof y);
    zip_add(&z, "y_test.npy", file, n);
    zip_end(&z);
    box_open(&b);
    box_put(&b, "set.npz", z.out, z.n);
    assert_true(exhaust(visit, b.path, false) > 3);
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

/* A sidecar is written with it: half a text would be another preprocessing. */
static bd_status describe(const void *want, struct bd_err *err)
{
    struct bd_prep p;
    char text[256];
    bd_status st = bd_prep_parse(&p, want, err);
    if (st == BD_OK)
        assert_string_equal(bd_prep_text(text, sizeof text, &p), want);
    return st;
}

static void preprocessing(void **state)
{
    (void)state;
    exhaust(describe, "imagenet", false);
    exhaust(describe, "resize=9,crop=8,scale=1/255,mean=0.25:0.5:0.125,"
                      "std=1:2:0.1,order=bgr", false);
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
        cmocka_unit_test(npy),     cmocka_unit_test(npz),
        cmocka_unit_test(folders), cmocka_unit_test(glyphs),
        cmocka_unit_test(preprocessing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
