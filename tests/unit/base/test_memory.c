/* Sizes are checked before they are multiplied; arenas align and grow. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void arithmetic_does_not_wrap(void **state)
{
    size_t n = 7;

    (void)state;
    assert_false(bd_mul(&n, SIZE_MAX, 2));
    assert_false(bd_add(&n, SIZE_MAX, 1));
    assert_int_equal(n, 7);
    assert_true(bd_mul(&n, 6, 7) && n == 42);
    assert_null(bd_alloc(SIZE_MAX / 4, 8));
    assert_null(bd_calloc(SIZE_MAX, SIZE_MAX));
}

static void arena_gives_zeroed_aligned_memory(void **state)
{
    struct bd_arena a = {0};

    (void)state;
    for (size_t i = 1; i < 200; i++) {
        size_t n = i * i * 7 % 90000 + 1;
        unsigned char *p = bd_arena_alloc(&a, n, 1);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (n > 64 ? 64 : 16), 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xAA, n);
    }
    assert_string_equal(bd_arena_strdup(&a, "abcdef", 3), "abc");
    assert_null(bd_arena_alloc(&a, SIZE_MAX / 2, 4));
    bd_arena_done(&a);
    assert_null(a.head);
}

static void strings_grow(void **state)
{
    struct bd_str b = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        bd_str_printf(&b, "%d,", i);
    bd_str_printf(&b, "%0500d", 1);
    assert_int_equal(b.n, strlen(b.s));
    assert_int_equal(b.n, 10 * 2 + 90 * 3 + 900 * 4 + 500);
    bd_str_done(&b);
    assert_null(b.s);
}

static void reader_never_passes_the_end(void **state)
{
    const uint8_t bytes[] = {1, 2, 3, 4, 5};
    struct bd_reader r = {bytes, sizeof bytes, 0};
    uint32_t v;
    uint64_t w;

    (void)state;
    assert_true(bd_take_u32le(&r, &v) && v == 0x04030201);
    assert_false(bd_take_u32le(&r, &v));
    assert_int_equal(r.pos, 4);
    assert_null(bd_take(&r, SIZE_MAX));
    assert_false(bd_take_u64le(&r, &w));
    assert_non_null(bd_take(&r, 1));
    assert_null(bd_take(&r, 1));
    r.pos = 0;
    assert_true(bd_take_u32be(&r, &v) && v == 0x01020304);
}

/* The reference vectors of channel allocation start from this sequence. */
static void splitmix64_matches_its_reference(void **state)
{
    struct bd_rng r = {0};

    (void)state;
    assert_true(bd_rng_u64(&r) == 0xE220A8397B1DCDAFu);
    assert_true(bd_rng_u64(&r) == 0x6E789E6AA1B965F4u);
    for (int i = 0; i < 1000; i++) {
        double u = bd_rng_unit(&r);

        assert_true(u > 0 && u < 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_does_not_wrap),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(strings_grow),
        cmocka_unit_test(reader_never_passes_the_end),
        cmocka_unit_test(splitmix64_matches_its_reference)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
