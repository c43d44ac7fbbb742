/* Files beside a model: the sidecar, single tensors, external weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "scratch.h"

struct folder {
    char dir[64], file[160];
};

static const char *in(struct folder *f, const char *name)
{
    snprintf(f->file, sizeof f->file, "%s/%s", f->dir, name);
    return f->file;
}

static void write_file(struct folder *f, const char *name, const void *p,
                       size_t n)
{
    FILE *o = fopen(in(f, name), "wb");
    assert_non_null(o);
    assert_int_equal(fwrite(p, 1, n, o), n);
    assert_int_equal(fclose(o), 0);
}

static int set_up(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/bitdial-model-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"net.bitdial.json",
                                        "net.onnx.bitdial.json",
                                        "net.onnx",
                                        "t.pb",
                                        "t.npy",
                                        "w.bin",
                                        "link",
                                        "hard",
                                        "sub/w.bin",
                                        "fifo"};
    struct folder *f = *state;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        unlink(in(f, names[k]));
    rmdir(in(f, "sub"));
    int rc = rmdir(f->dir);
    free(f);
    return rc;
}

/* ----------------------------------------------------------------- sidecar */

static bd_status sidecar(struct bd_sidecar *s, struct bd_arena *a,
                         struct folder *f, const char *json, struct bd_err *err)
{
    char model[160];
    write_file(f, "net.bitdial.json", json, strlen(json));
    snprintf(model, sizeof model, "%s", in(f, "net.onnx"));
    return bd_sidecar_load(s, a, model, err);
}

static void test_sidecar(void **state)
{
    struct folder *f = *state;
    struct bd_sidecar s;
    struct bd_arena a = {0};
    struct bd_err err = {0};
    char model[160];
    snprintf(model, sizeof model, "%s", in(f, "net.onnx"));
    assert_int_equal(bd_sidecar_load(&s, &a, model, &err), BD_OK);
    assert_null(s.preprocess);
    assert_int_equal(
        sidecar(&s, &a, f,
                "{\"schema\":\"bitdial.model/1\",\"input\":{\"scale\":"
                "\"1/255\",\"mean\":[0.485,0.456,0.406],\"std\":[0.1,1,2],"
                "\"order\":\"rgb\"},\"labels\":\"labels.txt\",\"arch\":"
                "\"resnet20\",\"data\":\"synth:glyphs\"}",
                &err),
        BD_OK);
    assert_string_equal(s.preprocess,
                        "scale=1/255,mean=0.485:0.456:0.406,std=0.1:1:2,"
                        "order=rgb");
    assert_string_equal(s.arch, "resnet20");
    assert_string_equal(s.data, "synth:glyphs");
    assert_string_equal(s.labels, in(f, "labels.txt"));
    assert_int_equal(sidecar(&s, &a, f,
                             "{\"schema\":\"bitdial.model/1\",\"input\":{"
                             "\"preset\":\"cifar10\"}}",
                             &err),
                     BD_OK);
    assert_string_equal(s.preprocess, "cifar10");
    assert_null(s.labels);
    bd_arena_done(&a);
}

static void test_bad_sidecars(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"schema\":\"bitdial.model/2\"}",
        "{\"schema\":\"bitdial.model/1\",\"schema\":\"bitdial.model/1\"}",
        "{\"schema\":\"bitdial.model/1\",\"input\":3}",
        "{\"schema\":\"bitdial.model/1\",\"input\":{\"scale\":null}}",
        "{\"schema\":\"bitdial.model/1\",\"input\":{\"mean\":[]}}",
        "{\"schema\":\"bitdial.model/1\",\"input\":{\"mean\":[[1]]}}",
        "{\"schema\":\"bitdial.model/1\",\"input\":{\"scale\":\"1,std=2\"}}",
        ("{\"schema\":\"bitdial.model/1\",\"input\":{\"preset\":\"a\","
         "\"scale\":1}}"),
        "{\"schema\":\"bitdial.model/1\",\"labels\":7}",
        "{\"schema\":\"bitdial.model/1\",\"arch\":\"\"}",
        "{\"schema\":\"bitdial.model/1\"} x",
    };
    struct folder *f = *state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct bd_sidecar s;
        struct bd_arena a = {0};
        struct bd_err err = {0};
        assert_int_equal(sidecar(&s, &a, f, bad[k], &err), BD_EFORMAT);
        assert_true(err.msg[0] != 0);
        assert_non_null(strstr(err.file, "net.bitdial.json"));
        assert_null(s.preprocess);
        bd_arena_done(&a);
    }
}

/* ----------------------------------------------------------- single tensors */

static void test_tensor_files(void **state)
{
    static const int64_t dim[] = {2};
    static const float v[] = {1.5f, -4.0f};
    static const char npy[] =
        "\x93NUMPY\1\0\x32\0{'descr':'<f4','fortran_order':False,'shape':(2,)}";
    struct folder *f = *state;
    struct bd_arena a = {0};
    struct bd_err err = {0};
    struct bd_tensor t;
    struct pbuf p = {.n = 0};
    onnx_tensor(&p, "t", 1, 1, dim);
    pb_raw(&p, 9, v, sizeof v);
    write_file(f, "t.pb", p.b, p.n);
    assert_int_equal(bd_tensor_load(&t, &a, in(f, "t.pb"), &err), BD_OK);
    assert_memory_equal(t.f, v, sizeof v);

    p.n = 0;
    for (size_t k = 0; k < sizeof npy - 1; k++)
        pb_byte(&p, (uint8_t)npy[k]);
    memcpy(p.b + p.n, v, sizeof v);
    write_file(f, "t.npy", p.b, p.n + sizeof v);
    bd_status s = bd_tensor_load(&t, &a, in(f, "t.npy"), &err);
    if (s != BD_OK)
        print_error("%s\n", err.msg);
    assert_int_equal(s, BD_OK);
    assert_memory_equal(t.f, v, sizeof v);

    write_file(f, "t.pb", "", 0);
    assert_int_equal(bd_tensor_load(&t, &a, in(f, "t.pb"), &err), BD_EFORMAT);
    assert_non_null(strstr(err.file, "t.pb"));
    bd_arena_done(&a);
}

/* --------------------------------------------------------- external weights */

struct entry {
    const char *key, *value;
};

/* A graph whose one weight lies in another file; n entries describe where. */
static bd_status external(struct bd_model **m, struct folder *f,
                          const struct entry *e, size_t n, struct bd_err *err)
{
    static const int64_t dim[] = {2, 2};
    struct pbuf g = {.n = 0}, o = {.n = 0}, t = {.n = 0};
    onnx_tensor(&t, "w", 1, 2, dim);
    for (size_t k = 0; k < n; k++) {
        struct pbuf x = {.n = 0};
        pb_str(&x, 1, e[k].key);
        pb_str(&x, 2, e[k].value);
        pb_msg(&t, 13, &x);
    }
    pb_int(&t, 14, 1);
    pb_msg(&g, 5, &t);
    onnx_model(&o, &g, 13);
    write_file(f, "net.onnx", o.b, o.n);
    return bd_model_load(m, in(f, "net.onnx"), NULL, err);
}

static const float weights[] = {9, 1, 2, 3, 4};

static void test_external(void **state)
{
    struct folder *f = *state;
    struct bd_model *m = NULL;
    struct bd_err err = {0};
    const struct entry flat[] = {
        {"location", "w.bin"}, {"offset", "4"}, {"length", "16"}};
    const struct entry deep[] = {{"location", "sub/w.bin"}};
    write_file(f, "w.bin", weights, sizeof weights);
    bd_status s = external(&m, f, flat, 3, &err);
    if (s != BD_OK)
        print_error("%s\n", err.msg);
    assert_int_equal(s, BD_OK);
    assert_memory_equal(m->value[0].t.f, weights + 1, 16);
    bd_model_free(m);
    assert_int_equal(mkdir(in(f, "sub"), 0700), 0);
    write_file(f, "sub/w.bin", weights, sizeof weights);
    assert_int_equal(external(&m, f, deep, 1, &err), BD_OK);
    assert_memory_equal(m->value[0].t.f, weights, 16);
    bd_model_free(m);
}

static void test_external_hostile(void **state)
{
    static const char *const where[] = {
        "../w.bin",   "sub/../w.bin", "/etc/passwd", "",     "nothing", "a\\b",
        "http://x/w", "link",         "hard",        "fifo", "sub",     ".",
        "w.bin/",     "//w.bin"};
    struct folder *f = *state;
    char target[160];
    write_file(f, "w.bin", weights, sizeof weights);
    assert_int_equal(mkdir(in(f, "sub"), 0700), 0);
    snprintf(target, sizeof target, "%s", in(f, "w.bin"));
    assert_int_equal(symlink(target, in(f, "link")), 0);
    assert_int_equal(mkfifo(in(f, "fifo"), 0600), 0);
    write_file(f, "sub/w.bin", weights, sizeof weights);
    snprintf(target, sizeof target, "%s", in(f, "sub/w.bin"));
    assert_int_equal(link(target, in(f, "hard")), 0);
    for (size_t k = 0; k < sizeof where / sizeof *where; k++) {
        struct bd_model *m = NULL;
        struct bd_err err = {0};
        const struct entry e[] = {{"location", where[k]}};
        bd_status s = external(&m, f, e, 1, &err);
        if (s == BD_OK)
            print_error("'%s' was read\n", where[k]);
        assert_int_not_equal(s, BD_OK);
        assert_non_null(strstr(err.msg, "external data"));
    }
}

static void test_external_numbers(void **state)
{
    static const struct entry bad[][3] = {
        {{"location", "w.bin"}, {"offset", "-1"}, {"x", ""}},
        {{"location", "w.bin"}, {"offset", "abc"}, {"x", ""}},
        {{"location", "w.bin"}, {"offset", "9223372036854775807"}, {"x", ""}},
        {{"location", "w.bin"}, {"offset", "99999999999999999999"}, {"x", ""}},
        {{"location", "w.bin"}, {"offset", "8"}, {"x", ""}},
        {{"location", "w.bin"}, {"length", "15"}, {"x", ""}},
        {{"location", "w.bin"}, {"length", "-16"}, {"x", ""}},
        {{"location", "w.bin"}, {"location", "w.bin"}, {"x", ""}},
        {{"location", "w.bin"}, {"offset", "0"}, {"offset", "0"}},
        {{"x", ""}, {"y", ""}, {"z", ""}},
    };
    struct folder *f = *state;
    write_file(f, "w.bin", weights, sizeof weights);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct bd_model *m = NULL;
        struct bd_err err = {0};
        assert_int_equal(external(&m, f, bad[k], 3, &err), BD_EFORMAT);
        assert_true(err.msg[0] != 0);
    }
}

#define IN_FOLDER(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_sidecar),          IN_FOLDER(test_bad_sidecars),
        IN_FOLDER(test_tensor_files),     IN_FOLDER(test_external),
        IN_FOLDER(test_external_hostile), IN_FOLDER(test_external_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
