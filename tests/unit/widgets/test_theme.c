/* Themes: every role looks like something in every theme and tier, what colour
 * says is said without it too, and the scales run evenly. */
#include "wg_priv.h"
#include "wg_test.h"

#include <math.h>

static const enum wg_colors tiers[] = {
    WG_COLORS_NONE, WG_COLORS_8, WG_COLORS_16, WG_COLORS_256, WG_COLORS_TRUE};
static const int limits[] = {0, 8, 16, 256, 1 << 24};

static void looks_stay_within_their_tier(void **state)
{
    (void)state;
    for (int k = 0; wg_theme_names[k]; k++) {
        const struct wg_theme *th = wg_theme_find(wg_theme_names[k]);
        assert_non_null(th);
        for (int i = 0; i < 5 * WG_ROLES * WG_ROLES; i++) {
            int tier = i / (WG_ROLES * WG_ROLES);
            struct wg_cell cell = {' ', 0, (uint8_t)(i % WG_ROLES),
                                   (uint8_t)(i / WG_ROLES % WG_ROLES)};
            struct wg_look look = wg_theme_look(th, tiers[tier], &cell);
            assert_true(look.fg >= -1 && look.fg < limits[tier] + (tier == 0));
            assert_true(look.bg >= -1 && look.bg < limits[tier] + (tier == 0));
            assert_true(tier > 0 || (look.fg == -1 && look.bg == -1));
        }
    }
    assert_null(wg_theme_find("nope"));
}

/* The terminal's own background stays under everything that is no surface. */
static void grounds_are_kept(void **state)
{
    (void)state;
    for (int k = 0; wg_theme_names[k]; k++) {
        for (int fg = 0; fg <= WG_SPARK; fg++) {
            struct wg_cell cell = {'x', 0, (uint8_t)fg, WG_TEXT};
            struct wg_look look = wg_theme_look(
                wg_theme_find(wg_theme_names[k]), WG_COLORS_TRUE, &cell);
            assert_int_equal(look.bg, -1);
        }
    }
}

static unsigned mono_attr(uint8_t fg, uint8_t bg)
{
    struct wg_cell cell = {'x', 0, fg, bg};

    return wg_theme_look(wg_theme_find("mono"), WG_COLORS_TRUE, &cell).attr;
}

static void mono_tells_what_matters(void **state)
{
    (void)state;
    assert_true(mono_attr(WG_TEXT, WG_CURSOR) & WG_A_REV);
    assert_true(mono_attr(WG_TAB_ACTIVE, WG_TAB_ACTIVE) & WG_A_REV);
    assert_true(mono_attr(WG_TITLE, WG_TEXT) & WG_A_BOLD);
    assert_true(mono_attr(WG_BAD, WG_TEXT) & WG_A_BOLD);
    assert_true(mono_attr(WG_KEY, WG_TEXT) & WG_A_BOLD);
    assert_true(mono_attr(WG_MATCH, WG_TEXT) & WG_A_UNDER);
    assert_true(mono_attr(WG_BAR_ALT, WG_BAR) & WG_A_REV);
}

static double linear(unsigned byte)
{
    double x = byte / 255.0;
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

/* Relative luminance, for contrast as the accessibility guidelines define. */
static double luminance(int rgb)
{
    unsigned c = (unsigned)rgb;
    return 0.2126 * linear(c >> 16 & 255) + 0.7152 * linear(c >> 8 & 255) +
           0.0722 * linear(c & 255);
}

static double contrast(int a, int b)
{
    double la = luminance(a) + 0.05, lb = luminance(b) + 0.05;
    return la > lb ? la / lb : lb / la;
}

/* Text roles stay legible on the usual ground of their theme. */
static void text_is_legible(void **state)
{
    static const struct {
        const char *name;
        int ground;
    } themes[] = {{"dark", 0x1e1e2e},
                  {"dark", 0},
                  {"light", 0xffffff},
                  {"light", 0xf5f0e6},
                  {"high-contrast", 0x000000}};

    (void)state;
    for (int k = 0; k < 5; k++) {
        for (int fg = 0; fg <= WG_SPARK; fg++) {
            struct wg_cell cell = {'x', 0, (uint8_t)fg, WG_TEXT};
            struct wg_look look = wg_theme_look(wg_theme_find(themes[k].name),
                                                WG_COLORS_TRUE, &cell);
            /* lines and pictures may be fainter than words */
            bool line = fg == WG_AXIS || fg == WG_FRAME || fg == WG_SPARK ||
                        fg == WG_BAR || fg == WG_BAR_ALT || fg == WG_TAB_ACTIVE;
            double least = line ? (fg == WG_TAB_ACTIVE ? 1 : 2.4) : 4.5;
            if (look.fg >= 0 && contrast(look.fg, themes[k].ground) < least) {
                fail_msg("%s: role %d has contrast %.2f", themes[k].name, fg,
                         contrast(look.fg, themes[k].ground));
            }
        }
    }
}

/* Whatever the terminal's own colours are: text on a surface has a colour,
 * and another one than the surface; words on it can be read. */
static void surfaces_bring_their_ink(void **state)
{
    static const uint8_t surface[] = {WG_CURSOR, WG_TAB_ACTIVE};

    (void)state;
    for (int i = 0; i < 4 * 5 * 2 * (WG_SPARK + 1); i++) {
        const char *name = wg_theme_names[i % 4];
        enum wg_colors tier = tiers[i / 4 % 5];
        struct wg_cell cell = {'x', 0, (uint8_t)(i / 40), surface[i / 20 % 2]};
        struct wg_look look = wg_theme_look(wg_theme_find(name), tier, &cell);
        /* without a ground of its own the surface is reverse video */
        assert_true(look.bg >= 0 || look.attr & WG_A_REV);
        if (look.bg >= 0 && (look.fg < 0 || look.fg == look.bg)) {
            fail_msg("%s, tier %d: role %d on %d is %d on %d", name, (int)tier,
                     cell.fg, cell.bg, look.fg, look.bg);
        }
        bool words = cell.fg == WG_TEXT || cell.fg == WG_NUMBER ||
                     cell.fg == WG_TITLE || cell.fg == cell.bg;
        if (tier == WG_COLORS_TRUE && look.bg >= 0 && words) {
            assert_true(contrast(look.fg, look.bg) >= 4.5);
        }
    }
}

/* The same, role by role: what has a ground of its own names a colour for
 * text on it (in bars the two are one). */
static void grounds_name_a_foreground(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * 5 * (WG_SPARK + 1); i++) {
        struct wg_cell cell = {'x', 0, (uint8_t)(i / 20), (uint8_t)(i / 20)};
        struct wg_look look = wg_theme_look(
            wg_theme_find(wg_theme_names[i % 4]), tiers[i / 4 % 5], &cell);
        assert_true(look.bg < 0 || look.fg >= 0);
    }
}

/* Lightness in OKLab. */
static double lightness(int rgb)
{
    unsigned c = (unsigned)rgb;
    double r = linear(c >> 16 & 255), g = linear(c >> 8 & 255);
    double b = linear(c & 255);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
}

static double step_lightness(const char *theme, int role)
{
    struct wg_cell cell = {' ', 0, WG_TEXT, (uint8_t)role};

    return lightness(
        wg_theme_look(wg_theme_find(theme), WG_COLORS_TRUE, &cell).bg);
}

static void scales_run_evenly(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const char *theme = wg_theme_names[k];
        double sign = k == 0 ? 1 : -1; /* light themes run downwards */
        for (int i = 0; i < 31; i++) {
            double d = step_lightness(theme, WG_HEAT0 + i + 1) -
                       step_lightness(theme, WG_HEAT0 + i);
            assert_true(sign * d > 0.012 && sign * d < 0.028);
            d = step_lightness(theme, WG_DIV0 + i + 1) -
                step_lightness(theme, WG_DIV0 + i);
            assert_true(fabs(d) < 0.036); /* down to the middle, up again */
            assert_true(i == 15 || (i < 15) == (sign * d < 0));
        }
    }
}

static void letters_on_a_scale_are_legible(void **state)
{
    (void)state;
    for (int role = WG_HEAT0; role < WG_ROLES; role++) {
        for (int k = 0; k < 2; k++) {
            struct wg_cell cell = {'5', 0, WG_TEXT, (uint8_t)role};
            struct wg_look look = wg_theme_look(
                wg_theme_find(wg_theme_names[k]), WG_COLORS_TRUE, &cell);
            assert_true(contrast(look.fg, look.bg) > 3.5);
        }
    }
}

static void nearest_fixed_colours(void **state)
{
    (void)state;
    assert_int_equal(wg_rgb_to_256(0x000000), 16);
    assert_int_equal(wg_rgb_to_256(0xffffff), 231);
    assert_int_equal(wg_rgb_to_256(0x5fafd7), 74);
    assert_int_equal(wg_rgb_to_256(0x808080), 244);
    assert_int_equal(wg_rgb_to_256(0xff0000), 196);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_stay_within_their_tier),
        cmocka_unit_test(grounds_are_kept),
        cmocka_unit_test(mono_tells_what_matters),
        cmocka_unit_test(text_is_legible),
        cmocka_unit_test(surfaces_bring_their_ink),
        cmocka_unit_test(grounds_name_a_foreground),
        cmocka_unit_test(scales_run_evenly),
        cmocka_unit_test(letters_on_a_scale_are_legible),
        cmocka_unit_test(nearest_fixed_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
