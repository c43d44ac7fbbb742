/* Numbers as text: exact, stale and partial look as they must. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ui.h"

static void sizes_have_three_digits(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(ui_fmt_size(b, sizeof b, 0), "0 B");
    assert_string_equal(ui_fmt_size(b, sizeof b, 999), "999 B");
    assert_string_equal(ui_fmt_size(b, sizeof b, 1000), "0.98 KB");
    assert_string_equal(ui_fmt_size(b, sizeof b, 18432), "18.0 KB");
    assert_string_equal(ui_fmt_size(b, sizeof b, 6.61 * 1048576), "6.61 MB");
    assert_string_equal(ui_fmt_size(b, sizeof b, 5e13), "45.5 TB");
}

static void counts_are_grouped(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(ui_fmt_count(b, sizeof b, 7), "7");
    assert_string_equal(ui_fmt_count(b, sizeof b, 999), "999");
    assert_string_equal(ui_fmt_count(b, sizeof b, 36864), "36 864");
    assert_string_equal(ui_fmt_count(b, sizeof b, -1234567), "-1 234 567");
}

static void decibels_show_their_freshness(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(ui_fmt_db(b, sizeof b, BD_EXACT, 27.94), "27.9");
    assert_string_equal(ui_fmt_db(b, sizeof b, BD_STALE, 27.94), "~27.9");
    assert_string_equal(ui_fmt_db(b, sizeof b, BD_ABSENT, 27.94), "");
    assert_string_equal(ui_fmt_db(b, sizeof b, BD_EXACT, (double)INFINITY),
                        "inf");
    assert_string_equal(ui_fmt_db(b, sizeof b, BD_EXACT, (double)NAN), "");
}

static void accuracy_shows_its_freshness(void **state)
{
    (void)state;
    char b[64];
    struct ui ui = {.glyphs = WG_BLOCKS};
    struct bd_net_eval e = {.images = 1024, .total = 10000, .top1 = 0.689,
                            .ci_lo = 0.661, .ci_hi = 0.717};
    assert_string_equal(ui_fmt_top1(b, sizeof b, &ui, BD_EXACT, &e),
                        "68.9 %");
    assert_string_equal(ui_fmt_top1(b, sizeof b, &ui, BD_STALE, &e),
                        "~68.9 %");
    assert_string_equal(ui_fmt_top1(b, sizeof b, &ui, BD_PARTIAL, &e),
                        "68.9 \xc2\xb1" "2.8 [ 1024/10000]");
    ui.glyphs = WG_ASCII;
    assert_string_equal(ui_fmt_top1(b, sizeof b, &ui, BD_PARTIAL, &e),
                        "68.9 +-2.8 [ 1024/10000]");
}

static void times_are_short(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(ui_fmt_time(b, sizeof b, -3), "0 s");
    assert_string_equal(ui_fmt_time(b, sizeof b, 40.2), "41 s");
    assert_string_equal(ui_fmt_time(b, sizeof b, 150), "3 min");
    assert_string_equal(ui_fmt_time(b, sizeof b, 9000), "2.5 h");
}

/* Any size gives rectangles inside it that do not overlap. */
static void frames_fit_any_size(void **state)
{
    (void)state;
    for (int h = UI_MIN_H; h < 120; h++) {
        struct ui_frame f;
        ui_frame_of(&f, 80, h);
        assert_int_equal(f.tabs.y, 0);
        assert_true(f.body.y > f.head.y);
        assert_true(f.body.h >= 10);
        assert_int_equal(f.body.y + f.body.h, f.note.y);
        assert_true(f.progress.y >= f.note.y);
        assert_int_equal(f.keys.y, h - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_three_digits),
        cmocka_unit_test(counts_are_grouped),
        cmocka_unit_test(decibels_show_their_freshness),
        cmocka_unit_test(accuracy_shows_its_freshness),
        cmocka_unit_test(times_are_short),
        cmocka_unit_test(frames_fit_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
