/* Charts of points, of cells and of strips: what is drawn where, what is left
 * out, and numbers no chart is made for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plot/plot_priv.h"

#include <math.h>
#include <string.h>

static const int sizes[][2] = {{1, 1}, {2, 300}, {300, 2}, {60, 40},
                               {97, 31}, {600, 400}, {1200, 800}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static bool is(const struct bd_canvas *c, float x, float y, struct plot_rgb k)
{
    const uint8_t *p = c->rgb + ((size_t)y * (size_t)c->w + (size_t)x) * 3;

    return p[0] == k.r && p[1] == k.g && p[2] == k.b;
}

static int count(const struct bd_canvas *c, struct plot_rgb k)
{
    int n = 0;

    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++)
            n += is(c, (float)x, (float)y, k);
    return n;
}

static void canvas(struct bd_canvas *c, int w, int h)
{
    assert_int_equal(bd_canvas_init(c, w, h, NULL), BD_OK);
}

/* ----------------------------------------------------------------- scatter */

/* A point stands at the middle of the box, as far as its neighbours say. */
static void points_in_place(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    const struct bd_plot_point p[3] = {
        {0, 0, NAN, NAN, NULL}, {5, 50, NAN, NAN, NULL},
        {10, 100, NAN, NAN, NULL}};
    const struct bd_plot_point here[1] = {{5, 100, 90, NAN, NULL}};
    const struct bd_plot_series s[2] = {
        {"all", p, 3, BD_MARK_DOT, false, false},
        {"here", here, 1, BD_MARK_DIAMOND, false, true}};
    const struct bd_plot_scatter sc = {.title = "t", .series = s,
                                       .nseries = 2, .level = NAN};
    const struct plot_axis x = {-0.5, 10.5, 96, 1156};
    const struct plot_axis y = {-7, 107, 716, 142};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    for (int i = 0; i < 3; i++)
        assert_true(is(&c, bd_plot_at(&x, p[i].x), bd_plot_at(&y, p[i].y),
                       t->fill));
    assert_true(is(&c, bd_plot_at(&x, 5), bd_plot_at(&y, 100), t->mark));
    assert_false(is(&c, bd_plot_at(&x, 2), bd_plot_at(&y, 100), t->fill));
    bd_canvas_done(&c);
}

/* The line joins points in their order and jumps over what is no number. */
static void front_is_a_line(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("dark");
    const struct bd_plot_point p[3] = {
        {0, 0, NAN, NAN, NULL}, {3, NAN, NAN, NAN, NULL},
        {10, 10, NAN, NAN, NULL}};
    const struct bd_plot_series s[1] = {
        {"front", p, 3, BD_MARK_NONE, true, false}};
    const struct bd_plot_scatter sc = {.series = s, .nseries = 1,
                                       .level = NAN};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    /* the middle of the box, give or take a pixel of smoothing */
    assert_true(is(&c, 626, 428, t->fill) || is(&c, 626, 429, t->fill) ||
                is(&c, 625, 429, t->fill));
    assert_true(is(&c, 626, 500, t->ground) && is(&c, 626, 350, t->ground));
    bd_canvas_done(&c);
}

/* 99 and 98 per cent are as far apart as 90 and 80. */
static void stretched_towards_100(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    const struct bd_plot_point p[5] = {
        {0, 98, NAN, NAN, NULL}, {1, 96, NAN, NAN, NULL},
        {2, 84, NAN, NAN, NULL}, {3, 68, NAN, NAN, NULL},
        {4, 36, NAN, NAN, NULL}};
    const struct bd_plot_series s[1] = {
        {"x", p, 5, BD_MARK_DOT, false, false}};
    struct bd_plot_scatter sc = {.series = s, .nseries = 1, .level = NAN,
                                 .percent = true};
    const struct plot_axis x = {-0.2, 4.2, 96, 1156};
    struct plot_axis y = {-0.35, 5.35, 716, 142}; /* doublings of 64 % */
    const double doublings[5] = {5, 4, 2, 1, 0};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    for (int i = 0; i < 5; i++)
        assert_true(is(&c, bd_plot_at(&x, p[i].x),
                       bd_plot_at(&y, doublings[i]), t->fill));
    sc.percent = false;
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    assert_false(is(&c, bd_plot_at(&x, 2), bd_plot_at(&y, 2), t->fill));
    bd_canvas_done(&c);
}

/* An interval is drawn from end to end, a level from side to side. */
static void interval_and_level(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    const struct bd_plot_point p[2] = {{0, 0, NAN, NAN, NULL},
                                       {10, 50, 20, 80, "here"}};
    const struct bd_plot_series s[1] = {
        {"x", p, 2, BD_MARK_DIAMOND, false, true}};
    struct bd_plot_scatter sc = {.series = s, .nseries = 1, .level = 100,
                                 .level_name = "float"};
    const struct plot_axis x = {-0.5, 10.5, 96, 1156};
    const struct plot_axis y = {-7, 107, 716, 142};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    for (int at = 22; at < 80; at += 8)
        assert_true(is(&c, bd_plot_at(&x, 10), bd_plot_at(&y, at), t->mark));
    assert_true(count(&c, t->clip) > 400);
    sc.level = NAN;
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    assert_true(count(&c, t->clip) < 20);
    bd_canvas_done(&c);
}

/* Two points in one place: one label, not two over each other. */
static void labels_do_not_cover(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_point p[40];
    const struct bd_plot_series s[1] = {
        {"x", p, 40, BD_MARK_RING, false, false}};
    const struct bd_plot_scatter sc = {.series = s, .nseries = 1,
                                       .level = NAN};
    struct bd_canvas c;
    int one, all;

    (void)state;
    for (int i = 0; i < 40; i++)
        p[i] = (struct bd_plot_point){1, 1, NAN, NAN, i ? NULL : "MMMM"};
    canvas(&c, 600, 400);
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    one = count(&c, t->dim);
    for (int i = 0; i < 40; i++)
        p[i].label = "MMMM";
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
    all = count(&c, t->dim);
    assert_true(all > one);     /* some find a place around the point */
    assert_true(all < 11 * one); /* but not forty */
    bd_canvas_done(&c);
}

static void hostile_points(void **state)
{
    static char name[3000];
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_point p[4] = {{1, 1, NAN, INFINITY, name},
                                 {NAN, 2, 1, 3, "a\x01\xff%s%n"},
                                 {INFINITY, 1, NAN, NAN, NULL},
                                 {1, -INFINITY, NAN, NAN, NULL}};
    struct bd_plot_series s[2] = {{name, p, 4, BD_MARK_DOT, true, false},
                                  {NULL, NULL, 0, BD_MARK_RING, true, true}};
    struct bd_plot_scatter sc = {.title = name, .subtitle = name,
                                 .xlabel = name, .ylabel = name, .series = s,
                                 .nseries = 2, .level = INFINITY};
    struct bd_err err = {0};
    struct bd_canvas c;

    (void)state;
    memset(name, 'W', sizeof name - 1);
    for (int i = 0; i < SIZES; i++) {
        canvas(&c, sizes[i][0], sizes[i][1]);
        sc.level = i % 2 ? INFINITY : 1;
        assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_OK);
        bd_canvas_done(&c);
    }
    canvas(&c, 60, 40);
    s[0].n = 0;
    sc.level = 1;
    assert_int_equal(bd_plot_scatter(&c, &sc, t, &err), BD_EINVALID);
    assert_true(strlen(err.msg) > 0);
    s[0].n = 4;
    p[0].x = -1e308;
    p[2] = (struct bd_plot_point){1e308, 1, NAN, NAN, NULL};
    assert_int_equal(bd_plot_scatter(&c, &sc, t, NULL), BD_EINVALID);
    bd_canvas_done(&c);
}

/* ---------------------------------------------------------------- heat map */

static const char *const two[2] = {"a", "b"};

/* More is further along the scale, and what is unknown has no colour. */
static void cells_in_place(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    const double value[4] = {0, 1, NAN, 0.5};
    const struct bd_plot_heat h = {.title = "t", .rows = 2, .cols = 2,
                                   .row = two, .col = two, .value = value};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_heat(&c, &h, t, NULL), BD_OK);
    /* quarters of the box, away from the numbers in their middles */
    assert_true(is(&c, 150, 200, t->scale[0]));
    assert_true(is(&c, 700, 200, t->scale[4]));
    assert_true(is(&c, 150, 500, t->ground));
    assert_true(is(&c, 700, 500, t->scale[2]));
    bd_canvas_done(&c);
}

/* Many decades: equal ratios are equal steps of the scale. */
static void decades(void **state)
{
    static const char *const three[3] = {"1", "2", "3"};
    const struct bd_plot_theme *t = bd_plot_theme_find("dark");
    const double value[3] = {1e-4, 1e-2, 1};
    const struct bd_plot_heat h = {.rows = 3, .cols = 1, .row = three,
                                   .col = three, .value = value};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_heat(&c, &h, t, NULL), BD_OK);
    assert_true(is(&c, 200, 160, t->scale[0]));
    assert_true(is(&c, 200, 360, t->scale[2]));
    assert_true(is(&c, 200, 550, t->scale[4]));
    bd_canvas_done(&c);
}

static void hostile_cells(void **state)
{
    static char name[3000];
    static double value[400];
    static const char *names[400];
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    struct bd_plot_heat h = {.title = name, .subtitle = name, .xlabel = name,
                             .unit = name, .rows = 400, .cols = 1,
                             .row = names, .col = names, .value = value};
    struct bd_canvas c;

    (void)state;
    memset(name, '\x07', sizeof name - 1);
    for (int i = 0; i < 400; i++) {
        names[i] = i % 3 ? "" : name;
        value[i] = i % 4 ? NAN : i % 8 ? -1e300 : INFINITY;
    }
    for (int i = 0; i < 2 * SIZES; i++) {
        canvas(&c, sizes[i / 2][0], sizes[i / 2][1]);
        h.rows = i % 2 ? 400 : 20;
        h.cols = i % 2 ? 1 : 20;
        assert_int_equal(bd_plot_heat(&c, &h, t, NULL), BD_OK);
        bd_canvas_done(&c);
    }
    canvas(&c, 60, 40);
    for (int i = 0; i < 400; i++)
        value[i] = NAN;
    assert_int_equal(bd_plot_heat(&c, &h, t, NULL), BD_EINVALID);
    value[7] = 1;
    value[8] = -1e308;
    value[9] = 1e308;
    assert_int_equal(bd_plot_heat(&c, &h, t, NULL), BD_EINVALID);
    h.rows = 0;
    assert_int_equal(bd_plot_heat(&c, &h, t, NULL), BD_EINVALID);
    bd_canvas_done(&c);
}

/* ------------------------------------------------------------------- strips */

/* Every bar in its column and as high as its value; the outlier marked. */
static void bars_in_place(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    const double v[4] = {1, 2, 4, 0};
    const bool accent[4] = {false, false, true, false};
    const struct bd_plot_strip strip = {"x", NULL, v, false};
    const struct bd_plot_strips s = {.strip = &strip, .nstrips = 1, .n = 4,
                                     .accent = accent};
    const struct plot_axis y = {0, 4.24, 716, 142};
    struct bd_canvas c;

    (void)state;
    canvas(&c, 1200, 800);
    assert_int_equal(bd_plot_strips(&c, &s, t, NULL), BD_OK);
    for (int i = 0; i < 3; i++) {
        float x = 96 + 265 * ((float)i + 0.6F);
        float top = bd_plot_at(&y, v[i]);

        assert_true(is(&c, x, top + 2, i == 2 ? t->mark : t->fill));
        assert_false(is(&c, x, top - 2, i == 2 ? t->mark : t->fill));
    }
    assert_true(is(&c, 1050, 600, t->ground));
    bd_canvas_done(&c);
}

/* One outlier among more channels than pixels is still drawn. */
static void outlier_survives(void **state)
{
    static double lo[20000], hi[20000];
    static bool accent[20000];
    const struct bd_plot_theme *t = bd_plot_theme_find("dark");
    const struct bd_plot_strip strip = {"x", lo, hi, false};
    const struct bd_plot_strips s = {.strip = &strip, .nstrips = 1,
                                     .n = 20000, .accent = accent};
    struct bd_canvas c;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        lo[i] = -1;
        hi[i] = 1;
    }
    hi[12345] = 50;
    accent[12345] = true;
    canvas(&c, 600, 400);
    assert_int_equal(bd_plot_strips(&c, &s, t, NULL), BD_OK);
    assert_true(count(&c, t->mark) > 100);
    bd_canvas_done(&c);
}

static void hostile_strips(void **state)
{
    const struct bd_plot_theme *t = bd_plot_theme_find("light");
    double a[3] = {NAN, INFINITY, -1}, b[3] = {0, 0, 0};
    double e[3] = {NAN, NAN, NAN};
    const struct bd_plot_strip strip[4] = {{"log", NULL, a, true},
                                           {NULL, a, b, false},
                                           {"none", NULL, e, false},
                                           {"zero", b, b, false}};
    struct bd_plot_strips s = {.strip = strip, .nstrips = 4, .n = 3};
    struct bd_canvas c;

    (void)state;
    for (int i = 0; i < SIZES; i++) {
        canvas(&c, sizes[i][0], sizes[i][1]);
        assert_int_equal(bd_plot_strips(&c, &s, t, NULL), BD_OK);
        bd_canvas_done(&c);
    }
    canvas(&c, 60, 40);
    s.n = 0;
    assert_int_equal(bd_plot_strips(&c, &s, t, NULL), BD_EINVALID);
    s.n = 3;
    s.nstrips = 0;
    assert_int_equal(bd_plot_strips(&c, &s, t, NULL), BD_EINVALID);
    bd_canvas_done(&c);
}

/* Names differ at their ends, so a cut keeps both and is never too wide. */
static void cut_in_the_middle(void **state)
{
    struct bd_canvas a, b;
    const struct plot_text t = {.x = 4, .y = 30, .size = 12,
                                .k = {255, 255, 255}};

    (void)state;
    canvas(&a, 400, 40);
    canvas(&b, 400, 40);
    bd_plot_text_fit(&a, &t, "layer1.0.conv1.of.a.very.long.name", 150);
    bd_plot_text_fit(&b, &t, "layer1.0.conv1.of.a.very.long.nama", 150);
    assert_memory_not_equal(a.rgb, b.rgb, 400 * 40 * 3);
    for (int y = 0; y < 40; y++)
        for (int x = 160; x < 400; x++)
            assert_true(is(&a, (float)x, (float)y, (struct plot_rgb){0}));
    bd_canvas_done(&a);
    bd_canvas_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_in_place),
        cmocka_unit_test(front_is_a_line),
        cmocka_unit_test(stretched_towards_100),
        cmocka_unit_test(interval_and_level),
        cmocka_unit_test(labels_do_not_cover),
        cmocka_unit_test(hostile_points),
        cmocka_unit_test(cells_in_place),
        cmocka_unit_test(decades),
        cmocka_unit_test(hostile_cells),
        cmocka_unit_test(bars_in_place),
        cmocka_unit_test(outlier_survives),
        cmocka_unit_test(hostile_strips),
        cmocka_unit_test(cut_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
