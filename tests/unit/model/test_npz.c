/* .npy and .npz made by hand: every type, order and packing must read right,
 * and every lie of a header or a zip directory must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "scratch.h"

/* ------------------------------------------------------------ making arrays */

struct bytes {
    uint8_t b[16384];
    size_t n;
};

static void put(struct bytes *o, const void *p, size_t n)
{
    assert_true(o->n + n <= sizeof o->b);
    memcpy(o->b + o->n, p, n);
    o->n += n;
}

static void put_le(struct bytes *o, uint64_t v, int n)
{
    for (int k = 0; k < n; k++) {
        uint8_t c = (uint8_t)(v >> (8 * k) & 0xff);
        put(o, &c, 1);
    }
}

static void npy(struct bytes *o, const char *dict, const void *data, size_t n)
{
    o->n = 0;
    put(o, "\x93NUMPY\1\0", 8);
    put_le(o, strlen(dict), 2);
    put(o, dict, strlen(dict));
    put(o, data, n);
}

static bd_status load(struct bd_npz_entry **e, size_t *n, struct bd_arena *a,
                      const struct bytes *o, struct bd_err *err)
{
    struct bd_file f = {o->b, o->n};
    return bd_npz_load(e, n, a, &f, err);
}

static void refused(const struct bytes *o, const char *part)
{
    struct bd_arena a = {0};
    struct bd_err err = {0};
    struct bd_npz_entry *e;
    size_t n;
    assert_int_not_equal(load(&e, &n, &a, o, &err), BD_OK);
    const char *found = part ? strstr(err.msg, part) : NULL;
    if (!found)
        print_error("expected '%s' in '%s'\n", part ? part : "", err.msg);
    assert_non_null(found);
    bd_arena_done(&a);
}

/* --------------------------------------------------------------- one array */

static void test_types(void **state)
{
    static const struct {
        const char *descr;
        const char *data; /* 1, 2 */
        size_t n;
        enum bd_dtype type;
    } row[] = {
        {"<f4", "\0\0\x80\x3f\0\0\0\x40", 8, BD_F32},
        {">f4", "\x3f\x80\0\0\x40\0\0\0", 8, BD_F32},
        {"<f8", "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40", 16, BD_F64},
        {">f8", "\x3f\xf0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0", 16, BD_F64},
        {"<f2", "\0\x3c\0\x40", 4, BD_F16},
        {"<i8", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16, BD_I64},
        {">i4", "\0\0\0\1\0\0\0\2", 8, BD_I32},
        {"<u2", "\1\0\2\0", 4, BD_U16},
        {"|u1", "\1\2", 2, BD_U8},
        {"|i1", "\1\2", 2, BD_I8},
    };
    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        struct bytes o;
        char dict[96];
        struct bd_arena a = {0};
        struct bd_npz_entry *e = NULL;
        size_t n = 0;
        snprintf(dict, sizeof dict,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n",
                 row[k].descr);
        npy(&o, dict, row[k].data, row[k].n);
        assert_int_equal(load(&e, &n, &a, &o, NULL), BD_OK);
        assert_int_equal(n, 1);
        const struct bd_tensor *t = &e->t;
        assert_int_equal(t->type, row[k].type);
        assert_int_equal(t->dim[0], 2);
        double one = t->f ? (double)t->f[0] : (double)t->i[0];
        double two = t->f ? (double)t->f[1] : (double)t->i[1];
        assert_true(one == 1.0 && two == 2.0);
        bd_arena_done(&a);
    }
}

static void test_fortran(void **state)
{
    static const float column_major[] = {1, 4, 2, 5, 3, 6};
    static const float want[] = {1, 2, 3, 4, 5, 6};
    (void)state;
    struct bytes o;
    struct bd_arena a = {0};
    struct bd_npz_entry *e;
    size_t n;
    npy(&o, "{'shape': (2, 3), 'fortran_order': True, 'descr': '<f4'}",
        column_major, sizeof column_major);
    assert_int_equal(load(&e, &n, &a, &o, NULL), BD_OK);
    assert_int_equal(e->t.dim[0], 2);
    assert_int_equal(e->t.dim[1], 3);
    assert_memory_equal(e->t.f, want, sizeof want);
    bd_arena_done(&a);
}

static void test_empty_and_scalar(void **state)
{
    static const float x = 7.0f;
    (void)state;
    struct bytes o;
    struct bd_arena a = {0};
    struct bd_npz_entry *e;
    size_t n;
    npy(&o, "{'descr':'<f4','fortran_order':False,'shape':()}", &x, 4);
    assert_int_equal(load(&e, &n, &a, &o, NULL), BD_OK);
    assert_int_equal(e->t.rank, 0);
    assert_true(e->t.f[0] == 7.0f);
    npy(&o, "{'descr':'<f4','fortran_order':False,'shape':(0,5)}", "", 0);
    assert_int_equal(load(&e, &n, &a, &o, NULL), BD_OK);
    assert_int_equal(bd_tensor_count(&e->t), 0);
    assert_non_null(e->t.f);
    bd_arena_done(&a);
}

static void test_bad_headers(void **state)
{
    static const struct {
        const char *dict, *part;
    } row[] = {
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", "objects"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
         "records"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8'"},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (2,)}", "'f4'"},
        {"{'descr': '|f4', 'fortran_order': False, 'shape': (2,)}", "order"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999,)}",
         "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': "
         "(1099511627776,1099511627776)}",
         "2^40"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
         "8 bytes of data, 3 float32 needs 12"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "needs 4"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': "
         "(2,)}",
         "twice"},
        {"{'descr': '<f4', 'fortran_order': False}", "missing"},
        {"{'descr': __import__('os'), 'fortran_order': False}", "plain"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + 1",
         "follows"},
        {"", "plain"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        struct bytes o;
        npy(&o, row[k].dict, "12345678", 8);
        refused(&o, row[k].part);
    }
    struct bytes o;
    npy(&o, "{'descr':'<f4','fortran_order':False,'shape':(2,)}", "12345678",
        8);
    o.b[6] = 9;
    refused(&o, "version 9");
    o.b[6] = 2; /* the length is now four bytes of nonsense */
    refused(&o, "header");
}

/* ----------------------------------------------------------------- archives */

struct zip_file {
    const char *name;
    struct bytes plain;
    int method;
    size_t at; /* of the local header */
    uint32_t crc;
    size_t packed;
};

static void pack(struct bytes *o, struct zip_file *f)
{
    static const uint8_t none[1];
    uint8_t out[16384];
    const uint8_t *p = f->plain.n ? f->plain.b : none;
    f->packed = f->plain.n;
    f->crc = (uint32_t)crc32(crc32(0, NULL, 0), p, (uInt)f->plain.n);
    if (f->method == 8) {
        z_stream s = {0};
        deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
        s.next_in = f->plain.b;
        s.avail_in = (uInt)f->plain.n;
        s.next_out = out;
        s.avail_out = sizeof out;
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        f->packed = sizeof out - s.avail_out;
        deflateEnd(&s);
        p = out;
    }
    f->at = o->n;
    put_le(o, 0x04034b50, 4);
    put_le(o, 20, 2);
    put_le(o, 0, 2);
    put_le(o, (uint64_t)f->method, 2);
    put_le(o, 0, 4);
    put_le(o, f->crc, 4);
    put_le(o, 0xffffffff, 4); /* sizes left to the directory, as NumPy does */
    put_le(o, 0xffffffff, 4);
    put_le(o, strlen(f->name), 2);
    put_le(o, 0, 2);
    put(o, f->name, strlen(f->name));
    put(o, p, f->packed);
}

static void list(struct bytes *o, const struct zip_file *f)
{
    put_le(o, 0x02014b50, 4);
    put_le(o, 20, 2);
    put_le(o, 20, 2);
    put_le(o, 0, 2);
    put_le(o, (uint64_t)f->method, 2);
    put_le(o, 0, 4);
    put_le(o, f->crc, 4);
    put_le(o, f->packed, 4);
    put_le(o, f->plain.n, 4);
    put_le(o, strlen(f->name), 2);
    put_le(o, 0, 2);
    put_le(o, 0, 2);
    put_le(o, 0, 8);
    put_le(o, f->at, 4);
    put(o, f->name, strlen(f->name));
}

static void zip(struct bytes *o, struct zip_file *f, size_t n)
{
    o->n = 0;
    for (size_t k = 0; k < n; k++)
        pack(o, &f[k]);
    size_t dir = o->n;
    for (size_t k = 0; k < n; k++)
        list(o, &f[k]);
    size_t size = o->n - dir;
    put_le(o, 0x06054b50, 4);
    put_le(o, 0, 4);
    put_le(o, n, 2);
    put_le(o, n, 2);
    put_le(o, size, 4);
    put_le(o, dir, 4);
    put_le(o, 0, 2);
}

/* Two arrays, the first stored, the second deflated. */
static void good(struct bytes *o, struct zip_file f[2])
{
    static const float w[] = {1, 2, 3, 4, 5, 6};
    static const float b[64] = {0.5f};
    f[0] = (struct zip_file){.name = "w.npy"};
    f[1] = (struct zip_file){.name = "b.npy", .method = 8};
    npy(&f[0].plain, "{'descr':'<f4','fortran_order':False,'shape':(2,3)}", w,
        sizeof w);
    npy(&f[1].plain, "{'descr':'<f4','fortran_order':False,'shape':(64,)}", b,
        sizeof b);
    zip(o, f, 2);
}

static void test_zip(void **state)
{
    (void)state;
    struct bytes o;
    struct zip_file f[2];
    struct bd_arena a = {0};
    struct bd_npz_entry *e;
    size_t n;
    good(&o, f);
    assert_int_equal(load(&e, &n, &a, &o, NULL), BD_OK);
    assert_int_equal(n, 2);
    assert_string_equal(e[0].name, "w");
    assert_string_equal(e[1].name, "b");
    assert_true(e[0].t.f[5] == 6.0f && e[1].t.f[0] == 0.5f);
    assert_int_equal(e[1].t.dim[0], 64);
    bd_arena_done(&a);
}

static void test_zip_every_cut(void **state)
{
    (void)state;
    struct bytes o;
    struct zip_file f[2];
    good(&o, f);
    size_t whole = o.n;
    for (o.n = 0; o.n < whole; o.n++)
        refused(&o, "");
}

/* A flip is either refused or, in fields nobody needs, harmless: the numbers
 * are guarded by the checksum. */
static void test_zip_every_flip(void **state)
{
    static const float want[] = {1, 2, 3, 4, 5, 6};
    (void)state;
    struct bytes o;
    struct zip_file f[2];
    good(&o, f);
    for (size_t bit = 0; bit < o.n * 8; bit++) {
        struct bd_arena a = {0};
        struct bd_err err = {0};
        struct bd_npz_entry *e;
        size_t n;
        o.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (load(&e, &n, &a, &o, &err) == BD_OK) {
            assert_true(n == 2 || n == 1);
            if (strcmp(e[0].name, "w") == 0)
                assert_memory_equal(e[0].t.f, want, sizeof want);
        } else {
            assert_true(err.msg[0] != 0);
        }
        bd_arena_done(&a);
        o.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_zip_lies(void **state)
{
    (void)state;
    struct bytes o;
    struct zip_file f[2];

    good(&o, f); /* damaged data */
    o.b[f[0].at + 30 + 5 + f[0].plain.n - 1] ^= 1;
    refused(&o, "checksum");

    good(&o, f); /* encrypted */
    size_t entry = f[1].at + 30 + 5 + f[1].packed;
    o.b[entry + 8] = 1;
    refused(&o, "encrypted");

    good(&o, f); /* unknown packing */
    o.b[entry + 10] = 99;
    refused(&o, "method 99");

    good(&o, f); /* claims to unpack to far more than it can */
    o.b[entry + 51 + 24 + 3] = 0x7f;
    refused(&o, "both be true");

    good(&o, f); /* the second entry points at the first one's bytes */
    memcpy(&o.b[entry + 51], &o.b[entry], 51);
    refused(&o, "same");

    good(&o, f); /* more entries than the directory holds */
    o.b[o.n - 12] = o.b[o.n - 14] = 200;
    refused(&o, "more files");

    good(&o, f); /* something before the archive */
    memmove(o.b + 1, o.b, o.n);
    o.b[0] = 'P';
    o.b[1] = 'K';
    o.n++;
    refused(&o, "");

    good(&o, f); /* something after it */
    put(&o, "x", 1);
    refused(&o, "directory");

    f[1].name = "w.npy";
    zip(&o, f, 2);
    refused(&o, "same name");

    f[0].name = "w.txt";
    f[1].name = "b.txt";
    zip(&o, f, 2);
    refused(&o, "no .npy");

    zip(&o, f, 0);
    refused(&o, "no .npy");
}

/* Twelve thousand zeros in a few bytes, where the shape says two numbers. */
static void test_zip_bomb(void **state)
{
    (void)state;
    struct bytes o;
    struct zip_file f = {.name = "w.npy", .method = 8};
    static const uint8_t zeros[12000];
    npy(&f.plain, "{'descr':'<f4','fortran_order':False,'shape':(2,)}", zeros,
        sizeof zeros);
    zip(&o, &f, 1);
    refused(&o, "its shape needs 68");
}

/* ------------------------------------------------------------------- models */

static bd_status load_model(struct bd_model **m, struct zip_file *f, size_t n,
                            struct bd_err *err)
{
    struct bytes o;
    zip(&o, f, n);
    return mem_load(m, o.b, o.n, err);
}

static void matrix(struct zip_file *f, const char *name, int out, int in)
{
    static const float w[64] = {0.25f};
    char dict[96];
    *f = (struct zip_file){.name = name};
    snprintf(dict, sizeof dict,
             "{'descr':'<f4','fortran_order':False,'shape':(%d,%d)}", out, in);
    npy(&f->plain, dict, w, (size_t)(out * in) * 4);
}

static void test_mlp(void **state)
{
    (void)state;
    struct zip_file f[3];
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    matrix(&f[0], "module.l1.weight.npy", 5, 4);
    matrix(&f[1], "module.l2.weight.npy", 3, 5);
    assert_int_equal(load_model(&m, f, 2, &err), BD_OK);
    assert_string_equal(m->arch, "mlp");
    assert_int_equal(m->nlayers, 2);
    assert_string_equal(m->layer[0].name, "l1");
    assert_int_equal(m->layer[0].axis, 0);
    assert_int_equal(m->nnodes, 3);
    assert_int_equal(m->value[m->input[0]].t.dim[1], 4);
    bd_model_free(m);

    matrix(&f[1], "module.l2.weight.npy", 3, 4); /* no chain */
    m = NULL;
    assert_int_equal(load_model(&m, f, 2, &err), BD_OK);
    assert_string_equal(m->arch, "");
    assert_int_equal(m->nnodes, 0);
    assert_int_equal(m->nlayers, 2);
    assert_int_equal(m->layer[0].node, -1);
    assert_int_equal(m->nwarnings, 1);
    bd_model_free(m);
}

static void test_named_arch(void **state)
{
    (void)state;
    struct zip_file f[1];
    struct bytes o;
    struct mem_file file;
    struct bd_model *m = NULL;
    struct bd_err err = {0}, typo = {0};
    matrix(&f[0], "conv1.weight.npy", 4, 4);
    zip(&o, f, 1);
    mem_open(&file, o.b, o.n);
    assert_int_equal(bd_model_load(&m, file.path, "resnet20", &err),
                     BD_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "'conv1.weight' is 4x4"));
    assert_int_equal(bd_model_load(&m, file.path, "resnet2O", &typo),
                     BD_EINVALID);
    assert_non_null(strstr(typo.msg, "resnet20"));
    mem_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_fortran),
        cmocka_unit_test(test_empty_and_scalar),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_zip),
        cmocka_unit_test(test_zip_every_cut),
        cmocka_unit_test(test_zip_every_flip),
        cmocka_unit_test(test_zip_lies),
        cmocka_unit_test(test_zip_bomb),
        cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_named_arch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
