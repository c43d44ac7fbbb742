/* The filter language: what it accepts, what it means, what it says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "list.h"

static const struct ui_facts conv = {
    .name = "layer2.0.downsample.0", .op = "Conv", .method = "apot",
    .wbits = 3, .abits = 8, .psnr = 24.5, .sqnr = 15, .kb = 4.0,
    .params = 8192, .marked = true};
static const struct ui_facts fresh = {
    .name = "fc", .op = "Gemm", .method = "uniform", .wbits = 8, .abits = 32,
    .psnr = NAN, .sqnr = NAN, .kb = 0.6, .params = 640};

static bool holds(const char *text, const struct ui_facts *x)
{
    struct ui_filter f = {0};
    char why[200];
    assert_true(ui_filter_parse(&f, text, why, sizeof why));
    return ui_filter_match(&f, x);
}

static void each_word_means_what_it_says(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "", "   ", "down", "DOWN", "name~down", "op:Conv", "op:conv",
        "op=Co*", "method:apot", "method!=uniform", "bits<4", "bits<=3",
        "bits=3", "bits!=4", "w>2", "abits>=8", "a:8", "psnr<25",
        "sqnr>14.5", "kb>=4", "params>1000", "marked", "failed=0",
        "op:Conv bits<4 psnr<25 name~down"};
    static const char *const no[] = {
        "up", "name:down", "op:Gemm", "method~uni", "bits<3", "bits>3",
        "psnr>25", "kb<4", "failed", "marked=0", "a<8",
        "op:Conv bits<4 psnr<24"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!holds(yes[i], &conv))
            fail_msg("'%s' should hold", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (holds(no[i], &conv))
            fail_msg("'%s' should not hold", no[i]);
}

/* A number nobody knows yet is neither small nor large. */
static void unknown_numbers_satisfy_nothing(void **state)
{
    (void)state;
    assert_false(holds("psnr<25", &fresh));
    assert_false(holds("psnr>=0", &fresh));
    assert_false(holds("psnr!=25", &fresh));
    assert_true(holds("abits=float", &fresh));
}

static void mistakes_are_named_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"colour<3", "colour"}, {"bits<many", "bits<many"},
        {"bits~3", "bits~3"},   {"op<Conv", "op<Conv"},
        {"bits<", "bits<"},     {"bits<1e999", "bits<1e999"},
        {"a b c d e f g h i j k l m", "12"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ui_filter f = {0};
        char why[200] = "";
        assert_true(ui_filter_parse(&f, "op:Conv", why, sizeof why));
        assert_false(ui_filter_parse(&f, bad[i].text, why, sizeof why));
        if (!strstr(why, bad[i].word))
            fail_msg("'%s' should name '%s'", why, bad[i].word);
        assert_int_equal(f.n, 1);
        assert_string_equal(f.text, "op:Conv");
    }
}

/* Long words are refused, not cut: a cut filter would show other layers. */
static void long_words_are_refused(void **state)
{
    (void)state;
    char text[300], why[200];
    struct ui_filter f = {0};
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_false(ui_filter_parse(&f, text, why, sizeof why));
    text[95] = 0;
    assert_true(ui_filter_parse(&f, text, why, sizeof why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_means_what_it_says),
        cmocka_unit_test(unknown_numbers_satisfy_nothing),
        cmocka_unit_test(mistakes_are_named_and_change_nothing),
        cmocka_unit_test(long_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
