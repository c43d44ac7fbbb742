/* Characters: UTF-8 there and back, widths, cutting. */
#include "wg_priv.h"
#include "wg_test.h"

#include <math.h>

static void every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t cp = 1; cp < 0x110000; cp++) {
        if (cp >= 0xd800 && cp < 0xe000) {
            continue;
        }
        char buf[8] = {0};
        int n = wg_utf8_put(buf, cp);
        const char *p = buf;
        if (wg_utf8_next(&p) != cp || p != buf + n) {
            fail_msg("U+%04X", cp);
        }
    }
}

static void broken_bytes_give_one_sign_each(void **state)
{
    static const char *const bad[] = {
        "\xff",
        "\xc0\x80",
        "\x80",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xe0\x80\x80",
        "\xc3",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *p = bad[i];
        size_t n = 0;
        while (*p) {
            const char *before = p;
            assert_int_equal(wg_utf8_next(&p), 0xfffd);
            assert_ptr_equal(p, before + 1);
            n++;
        }
        assert_int_equal(n, strlen(bad[i]));
    }
    const char *end = "";
    assert_int_equal(wg_utf8_next(&end), 0);
}

static void widths_are_cells(void **state)
{
    (void)state;
    assert_int_equal(wg_width(""), 0);
    assert_int_equal(wg_width("layer1"), 6);
    assert_int_equal(wg_width("\u00e9\u00d7\u00b1"), 3);
    assert_int_equal(wg_width("e\u0301"), 1);
    assert_int_equal(wg_width("\u5c64"), 2);
    assert_int_equal(wg_width("\u2581\u2588\u2580\u28ff\u2500"), 5);
    assert_int_equal(wg_width("\uac00\uff21"), 4);
}

static void cut_to(const char *s, int w, bool middle, const char *want)
{
    char out[64];

    assert_string_equal(wg_cut(out, sizeof out, s, w, middle), want);
}

static void cutting_keeps_both_ends_or_the_front(void **state)
{
    (void)state;
    cut_to("layer1.0.conv2", 14, true, "layer1.0.conv2");
    cut_to("layer1.0.conv2", 13, true, "layer1\u2026.conv2");
    cut_to("layer1.0.conv2", 8, false, "layer1.\u2026");
    cut_to("layer1", 1, true, "\u2026");
    cut_to("layer1", 2, true, "l\u2026");
    cut_to("layer1", 0, true, "");
    cut_to("layer1", -3, false, "");
    cut_to("\u5c64\u5c64\u5c64", 5, true, "\u5c64\u2026\u5c64");
    cut_to("\u5c64\u5c64\u5c64", 4, true, "\u5c64\u2026"); /* no half ones */
    cut_to("ae\u0301bcdef", 4, true, "ae\u0301\u2026f");
}

/* Whatever the text, the width and the buffer: within both, and whole. */
static void cutting_never_exceeds(void **state)
{
    static const char *const piece[] = {
        "a", "\u00e9", "\u0301", "\u5c64", "\U0001f600", "\xff", " "};
    unsigned r = 7;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char s[128] = "", out[40];
        for (unsigned n = wgt_random(&r) % 20; n > 0; n--) {
            strcat(s, piece[wgt_random(&r) % 7]);
        }
        int w = (int)(wgt_random(&r) % 24) - 2;
        size_t cap = 1 + wgt_random(&r) % sizeof out;
        wg_cut(out, cap, s, w, i & 1);
        assert_true(strlen(out) < cap);
        assert_true(wg_width(out) <= (w < 0 ? 0 : w) || wg_width(s) <= w);
    }
}

static void ascii_relatives_are_ascii(void **state)
{
    (void)state;
    assert_int_equal(wg_ascii_of(0xb1), '+');
    assert_int_equal(wg_ascii_of(0x2588), '#');
    assert_int_equal(wg_ascii_of('x'), 'x');
    for (uint32_t cp = 0; cp < 0x30000; cp++) {
        uint32_t a = wg_ascii_of(cp);
        assert_true(a >= 32 && a < 127);
    }
}

static void number(double v, double step, const char *want)
{
    char out[32];

    assert_string_equal(wg_tidy_number(out, sizeof out, v, step), want);
}

static void count(double v, const char *want)
{
    char out[32];

    assert_string_equal(wg_tidy_count(out, sizeof out, v), want);
}

static void numbers_on_axes_are_short(void **state)
{
    (void)state;
    number(0.17, 0.01, ".17");
    number(-0.17, 0.01, "-.17");
    number(0, 0.1, "0");
    number(-1e-17, 0.1, "0");
    number(1.5, 0.5, "1.5");
    number(-20, 10, "-20");
    number(3e-6, 1e-6, "3e-06");
    number(250000, 50000, "2.5e+05");
    number(INFINITY, 1, "inf");
    count(0, "0");
    count(950, "950");
    count(4000, "4k");
    count(1250000, "1.2M");
    count(999.9, "1k");
    count(36864, "37k");
}

static void steps_are_one_two_five(void **state)
{
    (void)state;
    assert_true(wg_nice_step(10, 5) == 2);
    assert_true(wg_nice_step(0.3, 3) > 0.0999 && wg_nice_step(0.3, 3) < 0.1001);
    assert_true(wg_nice_step(7, 2) == 5);
    assert_true(wg_nice_step(0, 3) == 1);
    assert_true(wg_nice_step(1, 0) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(broken_bytes_give_one_sign_each),
        cmocka_unit_test(widths_are_cells),
        cmocka_unit_test(cutting_keeps_both_ends_or_the_front),
        cmocka_unit_test(cutting_never_exceeds),
        cmocka_unit_test(ascii_relatives_are_ascii),
        cmocka_unit_test(numbers_on_axes_are_short),
        cmocka_unit_test(steps_are_one_two_five),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
