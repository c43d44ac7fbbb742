/* Names from files become harmless on their way to a screen. */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void shows(const char *in, size_t cells, const char *want)
{
    char out[512];

    assert_string_equal(bd_text_show(out, sizeof out, in, cells), want);
}

static void plain_text_stays(void **state)
{
    (void)state;
    shows("layer1.0.conv1", 0, "layer1.0.conv1");
    shows("gr\xC3\xBC\xC3\x9F", 0, "gr\xC3\xBC\xC3\x9F");
    shows("100%s%n", 0, "100%s%n");
    shows("", 0, "");
}

static void controls_become_escapes(void **state)
{
    (void)state;
    shows("\x1b]0;x\x07", 0, "\\x1b]0;x\\x07");
    shows("a\nb\x7f", 0, "a\\x0ab\\x7f");
    shows("\xC2\x9B" "31m", 0, "\\x9b31m");        /* C1 as UTF-8 */
    shows("\xE2\x80\xAE" "txt", 0, "\\u202etxt");  /* right-to-left */
    shows("\xE2\x80\x8B", 0, "\\u200b");           /* zero width */
    shows("\xEE\x80\x80", 0, "\\ue000");           /* private use */
}

static void broken_utf8_is_shown_by_byte(void **state)
{
    (void)state;
    shows("\xFF\xC0\x80", 0, "\\xff\\xc0\\x80");
    shows("\xED\xA0\x80", 0, "\\xed\\xa0\\x80"); /* a surrogate */
    shows("\xE2\x82", 0, "\\xe2\\x82");          /* cut short */
}

static void one_mark_per_cell(void **state)
{
    (void)state;
    shows("a\xCC\x81", 0, "a\xCC\x81");
    shows("a\xCC\x81\xCC\x81", 0, "a\xCC\x81\\u0301");
}

static void long_names_are_cut_in_the_middle(void **state)
{
    char out[8];

    (void)state;
    shows("abcdefghij", 7, "abc\xE2\x80\xA6hij");
    shows("abcdefg", 7, "abcdefg");
    shows("abcdefgh", 1, "\xE2\x80\xA6");
    assert_true(strlen(bd_text_show(out, sizeof out, "abcdefghijk", 0)) < 8);
    bd_text_show(out, 1, "x", 0);
    assert_string_equal(out, "");
}

static void utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t cp = 1; cp < 0x110000; cp += 13) {
        char buf[4];
        uint32_t back = 0;
        size_t n;

        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        n = bd_utf8_encode(buf, cp);
        assert_int_equal(bd_utf8_decode(&back, buf, n), n);
        assert_int_equal(back, cp);
        assert_int_equal(n > 1 ? bd_utf8_decode(&back, buf, n - 1) : 0, 0);
    }
}

static void nearest_word(void **state)
{
    static const char *const verbs[] = {"info", "analyze", "export", NULL};

    (void)state;
    assert_string_equal(bd_nearest("analyse", verbs), "analyze");
    assert_string_equal(bd_nearest("exprot", verbs), "export");
    assert_null(bd_nearest("zzzzzz", verbs));
}

static void strict_numbers(void **state)
{
    double d;
    int64_t i;

    (void)state;
    assert_true(bd_parse_double(&d, "-1.5e-3") && d == -1.5e-3);
    assert_false(bd_parse_double(&d, "nan"));
    assert_false(bd_parse_double(&d, "1e400"));
    assert_false(bd_parse_double(&d, "0x10"));
    assert_false(bd_parse_double(&d, "1 "));
    assert_true(bd_parse_int(&i, "16", 1, 16) && i == 16);
    assert_false(bd_parse_int(&i, "17", 1, 16));
    assert_false(bd_parse_int(&i, "1.0", 0, 9));
    assert_false(bd_parse_int(&i, "99999999999999999999", 0, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_stays),
        cmocka_unit_test(controls_become_escapes),
        cmocka_unit_test(broken_utf8_is_shown_by_byte),
        cmocka_unit_test(one_mark_per_cell),
        cmocka_unit_test(long_names_are_cut_in_the_middle),
        cmocka_unit_test(utf8_round_trip),
        cmocka_unit_test(nearest_word),
        cmocka_unit_test(strict_numbers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
