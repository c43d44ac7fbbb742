/* Memory runs out at the n-th allocation, for every n: loading, building and
 * writing answer BD_ENOMEM with a sentence, leak nothing and never crash.
 * The linker sends the engine's two allocators through here first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "scratch.h"

int __real_posix_memalign(void **p, size_t align, size_t n);
void *__real_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **p, size_t align, size_t n);
void *__wrap_realloc(void *p, size_t n);

/* Allocations left before the failure; negative = never fail. */
static long left = -1;

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}

int __wrap_posix_memalign(void **p, size_t align, size_t n)
{
    return fails() ? 12 : __real_posix_memalign(p, align, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

typedef bd_status step(const void *arg, struct bd_err *err);

/* Runs step with every allocation failing once; returns how many there are. */
static long walk(step *run, const void *arg)
{
    for (long n = 0;; n++) {
        struct bd_err err = {0};
        left = n;
        bd_status s = run(arg, &err);
        bool failed = left < 0;
        left = -1;
        if (!failed) {
            assert_int_equal(s, BD_OK);
            return n;
        }
        if (s != BD_ENOMEM)
            print_error("allocation %ld: status %d '%s'\n", n, s, err.msg);
        assert_int_equal(s, BD_ENOMEM);
        assert_true(err.msg[0] != 0);
        assert_true(n < 100000);
    }
}

static bd_status load(const void *path, struct bd_err *err)
{
    struct bd_model *m = NULL;
    bd_status s = bd_model_load(&m, path, NULL, err);
    assert_true((s == BD_OK) == (m != NULL));
    bd_model_free(m);
    return s;
}

static bd_status build(const void *arch, struct bd_err *err)
{
    static const int64_t dim[] = {3, 32, 32};
    struct bd_model *m = NULL;
    bd_status s = bd_arch_new(&m, arch, dim, 3, 10, 0, err);
    assert_true((s == BD_OK) == (m != NULL));
    bd_model_free(m);
    return s;
}

static bd_status write_out(const void *model, struct bd_err *err)
{
    struct bd_str s = {0};
    bd_status st = bd_onnx_write(&s, model, NULL, err);
    bd_str_done(&s);
    return st;
}

static void test_onnx(void **state)
{
    (void)state;
    struct pbuf m = {.n = 0};
    struct mem_file f;
    onnx_small(&m);
    mem_open(&f, m.b, m.n);
    assert_true(walk(load, f.path) > 10);
    mem_close(&f);
}

static void test_build(void **state)
{
    (void)state;
    assert_true(walk(build, "mobilenet-glyphs") > 10);
    assert_true(walk(build, "mlp:3072-4-10") > 10);
}

/* A network with everything: written, then read, under exhaustion. */
static void test_write_and_read(void **state)
{
    static const int64_t dim[] = {3, 32, 32};
    (void)state;
    struct bd_model *m = NULL;
    struct bd_str s = {0};
    struct mem_file f;
    assert_int_equal(bd_arch_new(&m, "mobilenet-glyphs", dim, 3, 10, 0, NULL),
                     BD_OK);
    assert_true(walk(write_out, m) > 10);
    assert_int_equal(bd_onnx_write(&s, m, NULL, NULL), BD_OK);
    mem_open(&f, s.s, s.n);
    assert_true(walk(load, f.path) > 10);
    mem_close(&f);
    bd_str_done(&s);
    bd_model_free(m);
}

static void test_npy(void **state)
{
    static const char npy[] = "\x93NUMPY\1\0\x34\0"
                              "{'descr':'<f4','fortran_order':False,'shape':(0"
                              ",0,)}";
    (void)state;
    struct mem_file f;
    mem_open(&f, npy, sizeof npy - 1);
    assert_true(walk(load, f.path) > 3);
    mem_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onnx),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_npy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
