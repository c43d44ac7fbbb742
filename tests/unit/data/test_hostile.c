/* Data files as a stranger would write them: each is refused with its name
 * and a cause, or read; none crashes.  Run under sanitizers too. */
#include "data_files.h"

#include <png.h>

static void not_files(void **state)
{
    struct box b;

    (void)state;
    box_open(&b);
    open_refused(box_path(&b, "absent.bin"), BD_EIO, "no such file");
    open_refused(b.dir, BD_EFORMAT, "no pictures");
    assert_int_equal(mkfifo(box_path(&b, "pipe"), 0600), 0);
    open_refused(b.path, BD_EFORMAT, "named pipe");
    box_put(&b, "empty", "", 0);
    open_refused(b.path, BD_EFORMAT, "empty");
    box_put(&b, "one", "x", 1);
    open_refused(b.path, BD_EFORMAT, "1 bytes");
    box_put(&b, "page.bin", "<html><body>404</body></html>", 29);
    open_refused(b.path, BD_EFORMAT, "29 bytes");
    box_close(&b);
}

static void cifar(void **state)
{
    uint8_t *p = cifar_bytes(3);
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "short.bin", p, 3 * 3073 - 1);
    open_refused(b.path, BD_EFORMAT, "cut short");
    p[3073] = 10;
    box_put(&b, "label.bin", p, 3 * 3073);
    open_refused(b.path, BD_EFORMAT, "image 1: label 10");
    free(p);
    box_close(&b);
}

static void idx_cases(void **state)
{
    static const struct {
        uint32_t dim[3], labels;
        const char *words;
    } cases[] = {
        {{5, 3, 4}, 4, "4 labels for 5 pictures"},
        {{0, 3, 4}, 0, "no images"},
        {{4294967295U, 4294967295U, 4294967295U}, 5, ""},
        {{5, 0, 4}, 5, ""},
    };
    struct box b;
    uint8_t x[128], y[64];

    (void)state;
    box_open(&b);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        uint32_t ny[1] = {cases[k].labels}, small[3] = {5, 3, 4};
        size_t n = idx_bytes(x, 3, k == 2 ? small : cases[k].dim, 0);

        if (k == 2)
            memset(x + 4, 0xff, 12);
        box_put(&b, "a-labels-idx1-ubyte", y, idx_bytes(y, 1, ny, 0));
        box_put(&b, "a-images-idx3-ubyte", x, n);
        if (k == 3) { /* pictures of no pixels: refused when fetched */
            struct bd_data *d = NULL;

            if (bd_data_open(&d, b.path, NULL) == BD_OK) {
                struct bd_prep p;
                float v[4];

                bd_prep_parse(&p, "raw255", NULL);
                assert_int_not_equal(bd_data_fetch(d, &p, 0, v, 4, NULL),
                                     BD_OK);
                bd_data_free(d);
            }
            continue;
        }
        open_refused(b.path, BD_EFORMAT, cases[k].words);
    }
    box_close(&b);
}

static void idx_labels(void **state)
{
    const uint32_t xs[] = {2, 2, 2}, ys[] = {2};
    uint8_t x[64], y[64];
    size_t nx = idx_bytes(x, 3, xs, 0);
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "b-images-idx3-ubyte", x, nx);
    open_refused(b.path, BD_EFORMAT, "no labels beside it");
    box_put(&b, "pictures", x, nx);
    open_refused(b.path, BD_EFORMAT, "no labels beside it");
    box_put(&b, "b-labels-idx1-ubyte", y, idx_bytes(y, 1, ys, 0));
    open_refused(b.path, BD_EFORMAT, "labels or a plain list");
    x[2] = 0x0d;
    box_put(&b, "b-images-idx3-ubyte", x, nx);
    open_refused(b.path, BD_EUNSUPPORTED, "0x0d");
    box_close(&b);
}

/* Every cut of small good files, and every bit of them turned over: any
 * outcome but a crash, and no set without pictures. */
static void try_any(const char *path)
{
    struct bd_err err = {0};
    struct bd_data *d = NULL;
    struct bd_prep p;
    float x[64];

    if (bd_data_open(&d, path, &err) != BD_OK) {
        assert_true(err.msg[0] && err.file[0]);
        return;
    }
    assert_true(bd_data_count(d) > 0);
    bd_prep_parse(&p, "raw255", NULL);
    for (int64_t i = 0; i < bd_data_count(d) && i < 4; i++)
        (void)bd_data_fetch(d, &p, i, x, 8, NULL);
    bd_data_free(d);
}

static void cut_and_flip(struct box *b, const char *name, uint8_t *p, size_t n,
                         size_t flips)
{
    for (size_t cut = 0; cut < n; cut++) {
        box_put(b, name, p, cut);
        try_any(b->path);
    }
    for (size_t bit = 0; bit < flips * 8 && bit < n * 8; bit++) {
        p[bit / 8] ^= (uint8_t)(1U << bit % 8);
        box_put(b, name, p, n);
        try_any(b->path);
        p[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    box_put(b, name, p, n);
    try_any(b->path);
}

static void cuts_and_flips(void **state)
{
    const uint32_t xs[] = {2, 2, 2}, ys[] = {2};
    const uint8_t px[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t x[512], y[64];
    size_t n;
    struct box b;
    FILE *f;

    (void)state;
    box_open(&b);
    box_put(&b, "c-labels-idx1-ubyte", y, idx_bytes(y, 1, ys, 0));
    cut_and_flip(&b, "c-images-idx3-ubyte", x, idx_bytes(x, 3, xs, 0), 64);
    n = idx_bytes(x, 3, xs, 0);
    box_put_gz(&b, "c-images-idx3-ubyte", x, n);
    f = fopen(b.path, "rb");
    assert_non_null(f);
    n = fread(x, 1, sizeof x, f);
    fclose(f);
    cut_and_flip(&b, "c-images-idx3-ubyte", x, n, 64);
    cut_and_flip(&b, "x.npy", x, npy_bytes(x, "|u1", "(2, 2, 2)", px, 8), 160);
    box_close(&b);
}

/* All values are there, but not the end with its checksum; or too many. */
static void gzip_ends(void **state)
{
    const uint32_t xs[] = {2, 2, 2}, ys[] = {2};
    uint8_t x[512], y[64];
    size_t n = idx_bytes(x, 3, xs, 0);
    struct box b;
    FILE *f;

    (void)state;
    box_open(&b);
    box_put(&b, "e-labels-idx1-ubyte", y, idx_bytes(y, 1, ys, 0));
    x[n] = 7;
    box_put_gz(&b, "e-images-idx3-ubyte.gz", x, n + 1);
    open_refused(b.path, BD_EFORMAT, "more than the 8 bytes");
    box_put_gz(&b, "e-images-idx3-ubyte.gz", x, n);
    f = fopen(b.path, "rb");
    assert_non_null(f);
    n = fread(x, 1, sizeof x, f);
    fclose(f);
    box_put(&b, "e-images-idx3-ubyte.gz", x, n - 1);
    open_refused(b.path, BD_EFORMAT, "without its end");
    x[n - 5] ^= 1;
    box_put(&b, "e-images-idx3-ubyte.gz", x, n);
    open_refused(b.path, BD_EFORMAT, "damaged");
    box_close(&b);
}

static void gzip_bomb(void **state)
{
    const uint32_t huge[] = {60000, 1000, 1000};
    uint8_t x[64];
    struct box b;

    (void)state;
    memcpy(x, (uint8_t[]){0, 0, 8, 3}, 4);
    for (int k = 0; k < 3; k++) {
        for (int s = 0; s < 4; s++)
            x[4 + 4 * k + s] = (uint8_t)(huge[k] >> (24 - 8 * s));
    }
    memset(x + 16, 0, 48);
    box_open(&b);
    box_put_gz(&b, "d-images-idx3-ubyte.gz", x, sizeof x);
    open_refused(b.path, BD_EFORMAT, "header needs");
    box_close(&b);
}

static void npy_cases(void **state)
{
    const float bad[2] = {1.0F, 1.5F}, nan2[2] = {1.0F, __builtin_nanf("")};
    const int64_t minus[2] = {0, -3};
    const uint8_t px[8] = {0};
    uint8_t file[512];
    struct bd_prep p;
    struct bd_err err = {0};
    struct bd_data *d;
    float v[1];
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "x.npy", file, npy_bytes(file, "|u1", "(2, 4)", px, 8));
    box_put(&b, "y.npy", file, npy_bytes(file, "<f4", "(2,)", bad, 8));
    open_refused(box_path(&b, "x.npy"), BD_EFORMAT, "no whole number");
    box_put(&b, "y.npy", file, npy_bytes(file, "<i8", "(2,)", minus, 16));
    open_refused(box_path(&b, "x.npy"), BD_EFORMAT, "label -3");
    box_put(&b, "y.npy", file, npy_bytes(file, "|u1", "(3,)", px, 3));
    open_refused(box_path(&b, "x.npy"), BD_EFORMAT, "3 labels for 2");
    box_put(&b, "lone.npy", file, npy_bytes(file, "|u1", "(8,)", px, 8));
    open_refused(b.path, BD_EFORMAT, "[n,c,h,w]");
    box_put(&b, "nan.npy", file, npy_bytes(file, "<f4", "(2, 1)", nan2, 8));
    d = open_ok(b.path);
    bd_prep_parse(&p, "raw255", NULL);
    assert_int_equal(bd_data_fetch(d, &p, 0, v, 1, &err), BD_OK);
    assert_int_equal(bd_data_fetch(d, &p, 1, v, 1, &err), BD_EFORMAT);
    assert_non_null(strstr(err.file, "nan.npy"));
    bd_data_free(d);
    box_close(&b);
}

static void folders(void **state)
{
    static const struct {
        const char *csv, *words;
    } cases[] = {
        {"a.png\n", "no comma"},
        {"a.png,1\nb.png,zwei\n", "line 2"},
        {"a.png,-1\na.png,-1\n", "line 2"},
        {"../../etc/passwd,1\n", "outside the folder"},
        {"/etc/passwd,1\n", "outside the folder"},
        {"gone.png,1\n", "does not exist"},
        {"file,label\n", "no pictures"},
        {"a.png,99999999999\n", "no pictures"},
    };
    struct box b;

    (void)state;
    box_open(&b);
    box_put(&b, "a.png", "\x89PNG\r\n\x1a\n", 8);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        box_put(&b, "labels.csv", cases[k].csv, strlen(cases[k].csv));
        open_refused(b.dir, BD_EFORMAT, cases[k].words);
    }
    box_put(&b, "labels.csv", "a\0b,1\n", 6);
    open_refused(b.dir, BD_EFORMAT, "not a text file");
    box_put(&b, "labels.csv", "a.png,1\n", 8);
    open_refused(b.dir, BD_EFORMAT, "PNG: ");
    box_put(&b, "a.png", "GIF89a..", 8);
    open_refused(b.dir, BD_EFORMAT, "neither PNG nor JPEG");
    box_close(&b);
}

/* A PNG cut and flipped everywhere, and one that claims to be enormous. */
static void pngs(void **state)
{
    uint8_t px[4 * 4 * 3] = {9}, file[1024];
    png_image im = {.version = PNG_IMAGE_VERSION,
                    .width = 4,
                    .height = 4,
                    .format = PNG_FORMAT_RGB};
    png_alloc_size_t n = sizeof file;
    struct box b;

    (void)state;
    assert_true(png_image_write_to_memory(&im, file, &n, 0, px, 0, NULL));
    box_open(&b);
    for (size_t cut = 0; cut < n; cut++) {
        box_put(&b, "a.png", file, cut);
        try_any(b.dir);
    }
    for (size_t bit = 0; bit < n * 8; bit++) {
        file[bit / 8] ^= (uint8_t)(1U << bit % 8);
        box_put(&b, "a.png", file, n);
        try_any(b.dir);
        file[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    memset(file + 16, 0x7f, 8); /* width and height; the checksum is wrong */
    box_put(&b, "a.png", file, n);
    open_refused(b.dir, BD_EFORMAT, "PNG: ");
    box_close(&b);
}

static void jpegs(void **state)
{
    static const uint8_t noise[] = {
        0xff, 0xd8, 0xff, 0xe0, 0,    16,   'J',  'F', 'I', 'F',  0,
        1,    1,    0,    0,    1,    0,    1,    0,   0,   0xff, 0xc0,
        0,    17,   8,    0xff, 0xff, 0xff, 0xff, 3,   1,   0x11, 0,
        2,    0x11, 1,    3,    0x11, 1,    0xff, 0xd9};
    struct box b;

    (void)state;
    box_open(&b);
    for (size_t cut = 3; cut <= sizeof noise; cut++) {
        box_put(&b, "a.jpg", noise, cut);
        open_refused(b.dir, BD_EFORMAT, "JPEG: ");
    }
    box_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_files),      cmocka_unit_test(cifar),
        cmocka_unit_test(idx_cases),      cmocka_unit_test(idx_labels),
        cmocka_unit_test(cuts_and_flips), cmocka_unit_test(gzip_ends),
        cmocka_unit_test(gzip_bomb),
        cmocka_unit_test(npy_cases),      cmocka_unit_test(folders),
        cmocka_unit_test(pngs),           cmocka_unit_test(jpegs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
