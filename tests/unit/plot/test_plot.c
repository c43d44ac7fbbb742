/* Pictures: what is drawn where, at any size, and files that read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plot/plot_priv.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t bins[4] = {1, 100, 50, 0};
static const double levels[3] = {-1, 0, 1};

static struct bd_plot_hist hist(void)
{
    return (struct bd_plot_hist){.title = "conv1",
                                 .subtitle = "all of it",
                                 .xlabel = "weight",
                                 .bins = bins,
                                 .nbins = 4,
                                 .lo = -2,
                                 .hi = 2,
                                 .levels = levels,
                                 .nlevels = 3,
                                 .clip_lo = -1,
                                 .clip_hi = 1};
}

static const uint8_t *at(const struct bd_canvas *c, int x, int y)
{
    return c->rgb + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
}

static bool is(const uint8_t *p, struct plot_rgb k)
{
    return p[0] == k.r && p[1] == k.g && p[2] == k.b;
}

static int count(const struct bd_canvas *c, struct plot_rgb k)
{
    int n = 0;

    for (int y = 0; y < c->h; y++) {
        for (int x = 0; x < c->w; x++)
            n += is(at(c, x, y), k);
    }
    return n;
}

static void themes(void **state)
{
    (void)state;
    assert_non_null(bd_plot_theme_find("light"));
    assert_non_null(bd_plot_theme_find("dark"));
    assert_null(bd_plot_theme_find("blue"));
}

/* The tallest bin reaches higher than the half-tall one, the empty bin shows
 * ground, and the comb has its own colour below the axis. */
static void histogram_shape(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_hist h = hist();
    struct bd_canvas c;
    int top[4] = {0};

    (void)state;
    assert_int_equal(bd_canvas_init(&c, 600, 400, NULL), BD_OK);
    assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_OK);
    for (int k = 0; k < 4; k++) {
        int x = 48 + (int)((k + 0.62) * (600 - 48 - 22) / 4);

        for (top[k] = 0; top[k] < 400; top[k]++) {
            if (is(at(&c, x, top[k]), t->fill))
                break;
        }
    }
    assert_true(top[1] < top[2] && top[2] < top[0]);
    assert_int_equal(top[3], 400);
    assert_true(count(&c, t->mark) > 20);
    bd_canvas_done(&c);
}

static void log_counts_lift_small_bins(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("dark");
    struct bd_plot_hist h = hist();
    struct bd_canvas c;
    int plain, logged;

    (void)state;
    assert_int_equal(bd_canvas_init(&c, 600, 400, NULL), BD_OK);
    assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_OK);
    plain = count(&c, t->fill);
    h.log_counts = true;
    assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_OK);
    logged = count(&c, t->fill);
    assert_true(logged > plain);
    bd_canvas_done(&c);
}

/* Drawing is clipped: any size, any text, no matter how unsuitable. */
static void any_size(void **state)
{
    static const int sizes[][2] = {{1, 1},   {2, 300}, {300, 2},
                                   {60, 40}, {97, 31}, {1200, 800}};
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_hist h = hist();
    struct bd_plot_grid g = {.title = "a\x01\xff%s%n",
                             .subtitle = NULL,
                             .levels = levels,
                             .nlevels = 3,
                             .lo = -1.5,
                             .hi = 1.5};

    (void)state;
    h.title = NULL;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct bd_canvas c;

        assert_int_equal(bd_canvas_init(&c, sizes[k][0], sizes[k][1], NULL),
                         BD_OK);
        assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_OK);
        assert_int_equal(bd_plot_staircase(&c, &g, t, NULL), BD_OK);
        bd_canvas_done(&c);
    }
}

static void refusals(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_hist h = hist();
    struct bd_plot_grid g = {.levels = levels, .nlevels = 0, .lo = 0, .hi = 1};
    struct bd_canvas c;
    struct bd_err err = {0};

    (void)state;
    assert_int_equal(bd_canvas_init(&c, 0, 5, NULL), BD_EINVALID);
    assert_int_equal(bd_canvas_init(&c, 20000, 5, &err), BD_EINVALID);
    assert_non_null(strstr(err.msg, "20000x5"));
    assert_int_equal(bd_canvas_init(&c, 16000, 16000, NULL), BD_EINVALID);
    assert_int_equal(bd_canvas_init(&c, 40, 30, NULL), BD_OK);
    h.hi = h.lo;
    assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_EINVALID);
    h.hi = INFINITY;
    assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_EINVALID);
    h = hist();
    h.nbins = 0;
    assert_int_equal(bd_plot_histogram(&c, &h, t, NULL), BD_EINVALID);
    assert_int_equal(bd_plot_staircase(&c, &g, t, NULL), BD_EINVALID);
    bd_canvas_done(&c);
}

/* The staircase runs along the diagonal: at each level's own position the
 * step passes through the point (level, level). */
static void staircase_passes_levels(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_grid g = {
        .title = "t", .levels = levels, .nlevels = 3, .lo = -2, .hi = 2};
    struct bd_canvas c;

    (void)state;
    assert_int_equal(bd_canvas_init(&c, 1200, 800, NULL), BD_OK);
    assert_int_equal(bd_plot_staircase(&c, &g, t, NULL), BD_OK);
    for (int k = 0; k < 3; k++) {
        double centre = k == 1 ? 0.2 : levels[k] * 1.3;
        struct plot_axis ax = {-2, 2, 96, 1200 - 44 - 26};
        struct plot_axis ay = {-2.16, 2.16, 800 - 84, 142};
        int px = (int)bd_plot_at(&ax, centre);
        int py = (int)bd_plot_at(&ay, levels[k]);
        bool hit = false;

        for (int d = -2; d <= 2; d++)
            hit = hit || is(at(&c, px, py + d), t->fill);
        assert_true(hit);
    }
    bd_canvas_done(&c);
}

static void round_steps(void **state)
{
    struct plot_axis a = {-0.213, 0.207, 0, 100};
    double first, step = bd_plot_step(&a, 9, &first);
    char text[32];

    (void)state;
    assert_true(fabs(step - 0.05) < 1e-12);
    assert_true(fabs(first + 0.2) < 1e-12);
    bd_plot_number(text, sizeof text, 0.15, step);
    assert_string_equal(text, "0.15");
    bd_plot_number(text, sizeof text, -1e-17, step);
    assert_string_equal(text, "0");
    bd_plot_number(text, sizeof text, 12000, 2000);
    assert_string_equal(text, "12k");
}

/* Every printable character is drawn, differs from the others, and text is
 * as wide as it says. */
static void font(void **state)
{
    static uint8_t seen[95][40 * 40];
    struct bd_canvas c;

    (void)state;
    assert_int_equal(bd_canvas_init(&c, 40, 40, NULL), BD_OK);
    for (int k = 1; k < 95; k++) {
        char s[2] = {(char)(32 + k), 0};
        struct plot_text t = {
            .x = 5, .y = 28, .size = 18, .k = {255, 255, 255}};
        int right = 0;

        memset(c.rgb, 0, 40 * 40 * 3);
        bd_plot_text(&c, &t, s);
        for (int i = 0; i < 1600; i++) {
            seen[k][i] = c.rgb[3 * i];
            if (seen[k][i] > 60 && i % 40 > right)
                right = i % 40;
        }
        assert_true(right > 0);
        assert_true((float)right <= 5 + bd_plot_text_width(18, s) + 3);
        for (int j = 1; j < k; j++) {
            bool alike = (j == 'l' - 32 || j == 'I' - 32) &&
                         (k == '|' - 32 || k == 'l' - 32);

            if (!alike && memcmp(seen[j], seen[k], 1600) == 0)
                fail_msg("'%c' looks like '%c'", 32 + k, 32 + j);
        }
    }
    bd_canvas_done(&c);
}

static void png_reads_back(void **state)
{
    char path[] = "/tmp/bd_plot_XXXXXX";
    int fd = mkstemp(path);
    png_image im = {.version = PNG_IMAGE_VERSION};
    struct bd_canvas c;
    struct bd_err err = {0};
    uint8_t *back;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(bd_canvas_init(&c, 33, 21, NULL), BD_OK);
    for (size_t i = 0; i < 33 * 21 * 3; i++)
        c.rgb[i] = (uint8_t)(i * 7);
    assert_int_equal(bd_png_write(path, &c, false, &err), BD_EIO);
    assert_int_equal(bd_png_write(path, &c, true, NULL), BD_OK);
    assert_true(png_image_begin_read_from_file(&im, path));
    im.format = PNG_FORMAT_RGB;
    assert_true(im.width == 33 && im.height == 21);
    back = malloc(PNG_IMAGE_SIZE(im));
    assert_true(png_image_finish_read(&im, NULL, back, 0, NULL));
    assert_memory_equal(back, c.rgb, 33 * 21 * 3);
    free(back);
    bd_canvas_done(&c);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(themes),
        cmocka_unit_test(histogram_shape),
        cmocka_unit_test(log_counts_lift_small_bins),
        cmocka_unit_test(any_size),
        cmocka_unit_test(refusals),
        cmocka_unit_test(staircase_passes_levels),
        cmocka_unit_test(round_steps),
        cmocka_unit_test(font),
        cmocka_unit_test(png_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
