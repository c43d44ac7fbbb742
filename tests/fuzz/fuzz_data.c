/* Whatever bytes: a set of pictures or a sentence, as a file of its own and
 * as a picture in a folder.  What opens has labels in range, and each of its
 * first pictures is fetched or refused with a sentence. */
#include "data/data.h"
#include "fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>

struct place { /* a folder with a class folder in it */
    char dir[40], file[80], labels[80], class[64], picture[64];
};

static bool place_open(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/bitdial-fuzz-XXXXXX");
    if (!mkdtemp(p->dir))
        return false;
    snprintf(p->file, sizeof p->file, "%s/t-images-idx3-ubyte", p->dir);
    snprintf(p->labels, sizeof p->labels, "%s/t-labels-idx1-ubyte", p->dir);
    snprintf(p->class, sizeof p->class, "%s/c", p->dir);
    snprintf(p->picture, sizeof p->picture, "%s/c/a.png", p->dir);
    return mkdir(p->class, 0700) == 0;
}

static void place_close(const struct place *p)
{
    unlink(p->picture);
    unlink(p->file);
    unlink(p->labels);
    rmdir(p->class);
    rmdir(p->dir);
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return;
    fwrite(data, 1, size, f);
    fclose(f);
}

static void fetch(const struct bd_data *d, int64_t i)
{
    static const char *const preps[] = {"raw255", "resize=4,crop=4,mean=0.5"};
    for (size_t k = 0; k < sizeof preps / sizeof *preps; k++)
        for (size_t planes = 1; planes <= 3; planes += 2) {
            struct bd_prep p;
            struct bd_err err = {0};
            float x[3 * 16];
            assert(bd_prep_parse(&p, preps[k], &err) == BD_OK);
            bd_status st = bd_data_fetch(d, &p, i, x, planes * 16, &err);
            assert((st == BD_OK) == (err.msg[0] == 0));
        }
}

static void open_and_look(const char *path)
{
    struct bd_data *d = NULL;
    struct bd_err err = {0};
    bd_status st = bd_data_open(&d, path, &err);
    assert((st == BD_OK) == (d != NULL));
    assert((st == BD_OK) == (err.msg[0] == 0));
    if (!d)
        return;
    int64_t n = bd_data_count(d), dim[3];
    assert(n > 0);
    bd_data_shape(d, dim);
    for (int64_t i = 0; i < n && i < 4; i++) {
        assert(bd_data_label(d, i) < bd_data_classes(d));
        fetch(d, i);
    }
    fetch(d, n - 1);
    bd_data_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t two[] = "\0\0\x08\1\0\0\0\2\3\1"; /* classes */
    struct place p;
    if (place_open(&p)) {
        put(p.labels, two, sizeof two - 1);
        put(p.file, data, size);
        open_and_look(p.file);
        unlink(p.file);
        put(p.picture, data, size);
        open_and_look(p.dir);
    }
    place_close(&p);
    return 0;
}

/* ------------------------------------------------------------------ seeds */

static void idx(struct bd_str *out)
{
    static const char head[] = "\0\0\x08\3\0\0\0\2\0\0\0\4\0\0\0\4";
    bd_str_put(out, head, sizeof head - 1);
    for (int k = 0; k < 32; k++)
        bd_str_put(out, (char[]){(char)(8 * k)}, 1);
}

static void cifar(struct bd_str *out)
{
    for (int k = 0; k < 2 * 3073; k++)
        bd_str_put(out, (char[]){(char)(k % 3073 ? k : k / 3073 + 3)}, 1);
}

static void npy(struct bd_str *out)
{
    static const char head[] = "\x93NUMPY\1\0\x42\0{'descr': '|u1', "
                               "'fortran_order': False, 'shape': (2, 4, 4, 1)"
                               ", }\n";
    bd_str_put(out, head, sizeof head - 1);
    for (int k = 0; k < 32; k++)
        bd_str_put(out, (char[]){(char)(8 * k)}, 1);
}

/* Two by two, 8-bit RGB, one stored block. */
static void png(struct bd_str *out)
{
    static const char bytes[] =
        "\x89PNG\r\n\x1a\n"
        "\0\0\0\x0dIHDR\0\0\0\2\0\0\0\2\x08\2\0\0\0\xfd\xd4\x9a\x73"
        "\0\0\0\x19IDAT\x78\1\1\x0e\0\xf1\xff\0\1\2\3\4\5\6\0\7\x08\x09\x0a"
        "\x0b\x0c\x01\x8f\0\x4f\x9e\x35\x89\x49"
        "\0\0\0\0IEND\xae\x42\x60\x82";
    bd_str_put(out, bytes, sizeof bytes - 1);
}

/* Eight by eight; no checksums, so mutations reach the decoder. */
static void jpeg(struct bd_str *out)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    uint8_t line[24] = {200, 100, 50, 40, 30, 20, 10};
    JSAMPROW row = line;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = c.image_height = 8;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (int k = 0; k < 8; k++)
        jpeg_write_scanlines(&c, &row, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    bd_str_put(out, (const char *)bytes, n);
    free(bytes);
}

bool fuzz_seed(struct bd_str *out, size_t k)
{
    static void (*const make[])(struct bd_str *) = {idx, cifar, npy, png,
                                                  jpeg};
    if (k >= sizeof make / sizeof *make)
        return false;
    make[k](out);
    return !out->failed;
}
