/* Each widget as a picture, at its usual size and at the sizes where something
 * has to leave. */
#include "wg_test.h"

#include <math.h>

/* ----------------------------------------------------------------- table */

static const struct wg_column columns[] = {
    {"", 1, 1, 0, false, false},      {"layer", 6, 14, 0, false, true},
    {"shape", 7, 9, 2, false, false}, {"W", 2, 2, 0, true, false},
    {"PSNR", 5, 6, 1, true, false},
};

static void table_cell(void *arg, int row, int col, struct wg_table_cell *out)
{
    static const char *const name[] = {"conv1", "layer1.0.conv1",
                                       "layer1.0.conv2", "fc"};
    static const char *const text[][4] = {{"", "*", "!", ""},
                                          {0, 0, 0, 0},
                                          {"16x3", "16x16", "16x16", "10x64"},
                                          {"8", "4", "5", "8"},
                                          {"51.2", "27.9", "~31", "40.0"}};
    (void)arg;
    snprintf(out->text, sizeof out->text, "%s",
             col == 1 ? name[row % 4] : text[col][row % 4]);
    out->role = col == 4 && row == 2 ? WG_STALE : WG_TEXT;
}

static struct wg_table table_of(int nrow, int cursor)
{
    return (struct wg_table){.col = columns,
                             .ncol = 5,
                             .nrow = nrow,
                             .cursor = cursor,
                             .sort_col = 4,
                             .sort_down = true,
                             .cell = table_cell};
}

static void table_shows(int w, int h, int cursor, enum wg_glyphs g,
                        const char *want)
{
    struct wg_canvas c = wgt_canvas(w, h, ' ');
    struct wg_table t = table_of(4, cursor);

    wg_table_scroll(&t, h - 1);
    wg_table_draw(&c, (struct wg_rect){0, 0, w, h}, &t, g);
    wgt_shows(&c, want);
    wg_canvas_done(&c);
}

static void table_columns_line_up_and_leave(void **state)
{
    (void)state;
    table_shows(46, 5, 1, WG_BLOCKS,
                "    layer               shape       W   ▾PSNR\n"
                "    conv1               16x3        8    51.2\n"
                "▌*  layer1.0.conv1      16x16       4    27.9\n"
                " !  layer1.0.conv2      16x16       5     ~31\n"
                "    fc                  10x64       8    40.0\n");
    table_shows(22, 5, 2, WG_ASCII,
                "   layer   shape    W\n"
                "   conv1   16x3     8\n"
                " * lay…nv1 16x16    4\n"
                ">! lay…nv2 16x16    5\n"
                "   fc      10x64    8\n");
    table_shows(1, 1, 0, WG_BLOCKS, "\n");
}

static void table_scrolls_with_a_thumb(void **state)
{
    (void)state;
    table_shows(22, 3, 3, WG_BLOCKS,
                "   layer   shape    W\n"
                " ! lay…nv2 16x16    5\n"
                "▌  fc      10x64    8▐\n");
}

static void table_tells_what_was_clicked(void **state)
{
    struct wg_table t = table_of(4, 0);
    struct wg_rect r = {10, 5, 46, 5};
    int col;

    (void)state;
    assert_int_equal(wg_table_hit(&t, r, 16, 5, &col), -1);
    assert_int_equal(col, 1);
    assert_int_equal(wg_table_hit(&t, r, 16, 7, &col), 1);
    assert_int_equal(wg_table_hit(&t, r, 9, 7, &col), -2);
    assert_int_equal(wg_table_hit(&t, r, 16, 20, &col), -2);
    t.nrow = 1;
    assert_int_equal(wg_table_hit(&t, r, 16, 7, &col), -2);
}

/* ------------------------------------------------------------- histogram */

static const double levels[] = {-0.2,  -0.1, -0.05, -0.04, -0.035, 0,
                                0.035, 0.04, 0.05,  0.1,   0.2};

static struct wg_hist hist_of(const int64_t *bins, int n)
{
    return (struct wg_hist){.bins = bins,
                            .nbins = n,
                            .lo = -0.25,
                            .hi = 0.25,
                            .levels = levels,
                            .nlevels = 11,
                            .clip_lo = -0.2,
                            .clip_hi = 0.2,
                            .level_at = -1};
}

static void bell(int64_t bins[64])
{
    for (int i = 0; i < 64; i++) {
        double z = (i - 31.5) / 9;
        bins[i] = (int64_t)(4000 * exp(-z * z / 2));
    }
}

static void hist_shows(int w, int h, enum wg_glyphs g, const char *want)
{
    struct wg_canvas c = wgt_canvas(w, h, ' ');
    int64_t bins[64];
    struct wg_hist hist = hist_of(bins, 64);

    bell(bins);
    wg_hist_draw(&c, (struct wg_rect){0, 0, w, h}, &hist, g);
    wgt_shows(&c, want);
    wg_canvas_done(&c);
}

static void histogram_with_its_grid(void **state)
{
    (void)state;
    hist_shows(50, 10, WG_BLOCKS,
               "                        ▁▅▇█▇▅▁\n"
               "   5k                  ▃███████▃\n"
               "                      ▆█████████▆\n"
               "                    ▁▇███████████▇▁\n"
               "                   ▃███████████████▃\n"
               "                  ▅█████████████████▅\n"
               "               ▁▄█████████████████████▄▁\n"
               "      ▁▁▁▁▁▂▃▄▆█████████████████████████▆▄▃▂▁▁▁▁▁\n"
               "    0 ───{┬───────┬────┬┰──┬──┰┬────┬───────┬}───\n"
               "         -.2     -.1       0       .1      .2\n");
    hist_shows(50, 8, WG_ASCII,
               "                        _:###:_\n"
               "   5k                 _#########_\n"
               "                    _:###########:_\n"
               "                   .###############.\n"
               "                _.###################._\n"
               "      _______.:#########################:._______\n"
               "    0 ---{|-------|----|#--|--#|----|-------|}---\n"
               "         -.2     -.1       0       .1      .2\n");
    hist_shows(20, 3, WG_BLOCKS,
               "       ▃▆██▆▃\n"
               "▁▁▁▁▂▅████████▅▂▁▁▁▁\n"
               "{┬────┬─┰─┬┰┬─┬───┬}\n");
    hist_shows(12, 1, WG_BLOCKS, "▁▁▁▃▆██▆▃▁▁▁\n");
    hist_shows(1, 1, WG_ASCII, "#\n");
}

static void overlay_covers_the_same_area(void **state)
{
    struct wg_canvas c = wgt_canvas(50, 10, ' ');
    int64_t bins[64], quant[64] = {0};
    struct wg_hist hist = hist_of(bins, 64);

    (void)state;
    bell(bins);
    for (int i = 0; i < 64; i++) {
        double v = -0.25 + (i + 0.5) / 128;
        int best = 0;
        for (int k = 1; k < 11; k++) {
            best = fabs(levels[k] - v) < fabs(levels[best] - v) ? k : best;
        }
        quant[(int)((levels[best] + 0.25) * 128)] += bins[i];
    }
    hist.quant_bins = quant;
    hist.level_at = 5;
    wg_hist_draw(&c, (struct wg_rect){0, 0, 50, 10}, &hist, WG_BLOCKS);
    wgt_shows(&c, "                        ▔▔▁▁▁▔▔\n"
                  "   5k                ▁▁▁███████▁▁▁\n"
                  "                      ▆█████████▆\n"
                  "                    ▁▇███████████▇▁\n"
                  "                   ▃███████████████▃\n"
                  "               ──────█████████████──────\n"
                  "               ▁▄█████████████████████▄▁\n"
                  "      ▁▁▁▁─────█████████████████████████─────▁▁▁▁\n"
                  "    0 ───{┬───────┬────┬┰──▴──┰┬────┬───────┬}───\n"
                  "         -.2     -.1       0       .1      .2\n");
    wg_canvas_done(&c);
}

static void odd_histograms_are_drawn(void **state)
{
    static const int64_t one[1] = {5};
    static const int64_t none[4] = {0, 0, 0, 0};
    static const int64_t huge[3] = {INT64_MAX, -7, 1};
    static const double spans[][2] = {{0, 0},          {1, -1},
                                      {NAN, 1},        {0, INFINITY},
                                      {-1e-30, 1e-30}, {-1e300, 1e300}};

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct wg_canvas c = wgt_canvas(50, 8, ' ');
        struct wg_hist h = hist_of(i & 1 ? one : huge, i & 1 ? 1 : 3);
        h.lo = spans[i][0];
        h.hi = spans[i][1];
        h.log_counts = i > 2;
        wg_hist_draw(&c, (struct wg_rect){0, 0, 50, 8}, &h, WG_BLOCKS);
        h.bins = none;
        h.nbins = i > 3 ? 0 : 4;
        wg_hist_draw(&c, (struct wg_rect){0, 0, 50, 8}, &h, WG_BLOCKS);
        wg_canvas_done(&c);
    }
}

static void spark_shows_what_exists(void **state)
{
    static const int64_t bins[8] = {0, 1, 50, 100, 50, 1, 0, 0};
    struct wg_canvas c = wgt_canvas(8, 2, ' ');
    struct wg_rect r = {0, 0, 8, 2};
    struct wg_cell out[8];

    (void)state;
    for (int y = 0; y < 2; y++) {
        wg_spark(out, 8, bins, 8, y ? WG_ASCII : WG_BLOCKS);
        for (int x = 0; x < 8; x++) {
            wg_put(&c, r, x, y, out[x]);
        }
    }
    wgt_shows(&c, " \u2581\u2584\u2587\u2584\u2581\n _.#._\n");
    wg_spark(out, 8, NULL, 0, WG_BLOCKS);
    assert_int_equal(out[3].ch, ' ');
    wg_canvas_done(&c);
}

/* -------------------------------------------------------------- heat map */

static double ramp(void *arg, int row, int col)
{
    (void)arg;
    return row == 2 ? NAN : col / 9.0;
}

static void heat_map_by_halves_and_digits(void **state)
{
    struct wg_heat h = {3, 10, 0, 0, -1, -1, ramp, NULL, false, 1};
    struct wg_canvas c = wgt_canvas(10, 3, ' ');
    struct wg_rect r = {0, 0, 10, 3};

    (void)state;
    wg_heat_draw(&c, r, &h, WG_BLOCKS);
    assert_int_equal(c.cell[0].bg, WG_HEAT0);
    assert_int_equal(c.cell[9].bg, WG_HEAT0 + 31);
    assert_int_equal(c.cell[10].bg, WG_TEXT); /* no value: own ground */
    wg_heat_draw(&c, r, &h, WG_ASCII);
    wgt_shows(&c, "0123456789\n0123456789\n\n");
    h.diverging = true;
    wg_heat_draw(&c, r, &h, WG_ASCII);
    wgt_shows(&c, "==--..++##\n==--..++##\n\n");
    wg_canvas_done(&c);
}

/* Brackets, a half, or a sign: the cursor is seen in colour and without. */
static void heat_map_cursor_is_seen(void **state)
{
    struct wg_heat h = {4, 4, 0, 0, 1, 2, ramp, NULL, false, 1};
    struct wg_canvas c = wgt_canvas(12, 2, ' ');
    struct wg_rect r = {0, 0, 12, 2};

    (void)state;
    wg_heat_draw(&c, r, &h, WG_BLOCKS);
    assert_int_equal(c.cell[2].ch, '+'); /* both halves look alike */
    h.cur_row = 3;                       /* row 2 has no values */
    wg_heat_draw(&c, r, &h, WG_BLOCKS);
    assert_int_equal(c.cell[14].ch, 0x2580);
    h.cell_w = 3;
    h.cur_row = 0;
    wg_heat_draw(&c, r, &h, WG_BLOCKS);
    assert_int_equal(c.cell[6].ch, '[');
    assert_int_equal(c.cell[7].bg, WG_HEAT0 + 7);
    assert_int_equal(c.cell[8].ch, ']');
    wg_canvas_fold(&c, true, true);
    wgt_shows(&c, "000111[2]333\n000111222333\n");
    wg_heat_draw(&c, r, &h, WG_ASCII);
    wgt_shows(&c, "000111[2]333\n000111222333\n");
    wg_canvas_done(&c);
}

static void heat_map_follows_its_cursor(void **state)
{
    struct wg_heat h = {64, 200, 0, 0, 0, 0, ramp, NULL, false, 3};
    struct wg_rect r = {0, 0, 31, 5};
    unsigned s = 1;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        enum wg_glyphs g = i & 1 ? WG_ASCII : WG_BLOCKS;
        h.cur_row = (int)(wgt_random(&s) % 64);
        h.cur_col = (int)(wgt_random(&s) % 200);
        wg_heat_scroll(&h, r, g);
        int rows = g == WG_ASCII ? 5 : 10;
        assert_in_range(h.cur_row - h.top, 0, rows - 1);
        assert_in_range(h.cur_col - h.left, 0, 9);
    }
}

/* ------------------------------------------------------------ small ones */

static void bar_shows(int w, double f, enum wg_glyphs g, const char *want)
{
    struct wg_canvas c = wgt_canvas(w, 1, ' ');

    wg_bar(&c, (struct wg_rect){0, 0, w, 1}, f, g);
    wgt_shows(&c, want);
    wg_canvas_done(&c);
}

static void progress_to_half_a_cell(void **state)
{
    (void)state;
    bar_shows(6, 0, WG_BLOCKS, "\u2500\u2500\u2500\u2500\u2500\u2500\n");
    bar_shows(6, 0.42, WG_BLOCKS, "\u2501\u2501\u2578\u2500\u2500\u2500\n");
    bar_shows(6, 1, WG_BLOCKS, "\u2501\u2501\u2501\u2501\u2501\u2501\n");
    bar_shows(6, 7, WG_BLOCKS, "\u2501\u2501\u2501\u2501\u2501\u2501\n");
    bar_shows(6, NAN, WG_BLOCKS, "\u2500\u2500\u2500\u2500\u2500\u2500\n");
    bar_shows(8, 0.5, WG_ASCII, "[###...]\n");
    bar_shows(1, 1, WG_ASCII, "#\n");
}

static const struct wg_tab tabs[] = {
    {"1", "Layers"}, {"2", "Layer"}, {"3", "Channels"}, {"8", "Export"}};

static void tabs_show(int w, const char *right, const char *want)
{
    struct wg_canvas c = wgt_canvas(w, 1, ' ');

    wg_tabs_draw(&c, (struct wg_rect){0, 0, w, 1}, tabs, 4, 1, right);
    wgt_shows(&c, want);
    wg_canvas_done(&c);
}

static void tabs_shrink_and_are_hit_where_drawn(void **state)
{
    struct wg_rect r = {0, 0, 60, 1};

    (void)state;
    tabs_show(60, "resnet20.onnx",
              " 1Layers  2Layer  3Channels  8Export          resnet20.onnx\n");
    tabs_show(50, "a_very_long_model.onnx",
              " 1Layers  2Layer  3Channels  8Export   a_ver\u2026onnx\n");
    tabs_show(30, "x", "1Layers 2Layer 3Chann\u2026 8Export\n");
    tabs_show(13, "", " 1  2  3  8\n");
    tabs_show(3, "", "1 2\n");
    assert_int_equal(wg_tabs_hit(r, tabs, 4, 1), 0);
    assert_int_equal(wg_tabs_hit(r, tabs, 4, 10), 1);
    assert_int_equal(wg_tabs_hit(r, tabs, 4, 50), -1);
    assert_int_equal(wg_tabs_hit(r, tabs, 4, -1), -1);
}

static void key_hints_are_whole_or_absent(void **state)
{
    static const struct wg_tab keys[] = {
        {"F1", "Help"}, {"+ -", "bits"}, {"u", "undo"}};
    struct wg_canvas c = wgt_canvas(24, 1, ' ');

    (void)state;
    wg_keybar_draw(&c, (struct wg_rect){0, 0, 24, 1}, keys, 3);
    wgt_shows(&c, " F1 Help  + - bits\n");
    wg_canvas_done(&c);
}

static const char *item(void *arg, int i)
{
    static const char *const name[] = {"bits up", "method", "clip rule",
                                       "export the configuration"};
    (void)arg;
    return name[i % 4];
}

static const char *hint(void *arg, int i)
{
    (void)arg;
    return i == 1 ? "" : "+";
}

static void menu_and_pager_in_their_frames(void **state)
{
    struct wg_canvas c = wgt_canvas(24, 6, '@');
    struct wg_menu m = {
        .title = "Commands", .n = 9, .cursor = 3, .item = item, .right = hint};
    struct wg_pager p = {.title = "Help", .n = 9, .top = 99, .line = item};

    (void)state;
    wg_menu_draw(&c, (struct wg_rect){1, 0, 22, 6}, &m, WG_BLOCKS);
    wgt_shows(&c, "@╭─ Commands ─────────╮@\n"
                  "@│  bits up        + ▐│@\n"
                  "@│  method            │@\n"
                  "@│  clip rule      +  │@\n"
                  "@│▌ export the c…  +  │@\n"
                  "@╰────────────────────╯@\n");
    wg_pager_draw(&c, (struct wg_rect){1, 0, 22, 6}, &p, WG_ASCII);
    assert_int_equal(p.top, 5);
    wgt_shows(&c, "@+- Help -------------+@\n"
                  "@| method             |@\n"
                  "@| clip rule          |@\n"
                  "@| export the configu |@\n"
                  "@| bits up           ||@\n"
                  "@+------------- 100% -+@\n");
    m.n = m.cursor = 0;
    wg_menu_draw(&c, (struct wg_rect){1, 0, 22, 3}, &m, WG_ASCII);
    wg_canvas_done(&c);
}

/* ------------------------------------------------------------- all sizes */

static void draw_any(struct wg_canvas *c, struct wg_rect r, int which,
                     enum wg_glyphs g)
{
    static int64_t bins[64];
    struct wg_table t = table_of(9, 7);
    struct wg_hist hist = hist_of(bins, 64);
    struct wg_heat heat = {7, 30, 0, 0, 3, 4, ramp, NULL, which & 1, 2};
    struct wg_menu m = {.title = "Title", .n = 9, .item = item, .right = hint};
    struct wg_pager p = {.title = "T", .n = 9, .line = item};
    struct wg_input in = {0};

    bell(bins);
    hist.quant_bins = which == 1 ? bins : NULL;
    wg_input_set(&in, "some \u5c64 text");
    switch (which) {
    case 0:
        wg_table_scroll(&t, r.h - 1);
        wg_table_draw(c, r, &t, g);
        break;
    case 1:
    case 2:
        wg_hist_draw(c, r, &hist, g);
        break;
    case 3:
    case 4:
        wg_heat_draw(c, r, &heat, g);
        break;
    case 5:
        wg_bar(c, r, 0.4, g);
        break;
    case 6:
        wg_tabs_draw(c, r, tabs, 4, 2, "model");
        break;
    case 7:
        wg_keybar_draw(c, r, tabs, 4);
        break;
    case 8:
        wg_frame(c, r, "title", g);
        break;
    case 9:
        wg_input_draw(c, r, &in, ":");
        break;
    case 10:
        wg_menu_draw(c, r, &m, g);
        break;
    default:
        wg_pager_draw(c, r, &p, g);
    }
}

/* Every widget in rectangles of every size, partly off the canvas too: never
 * a cell outside, never half a character, never a crash. */
static void no_widget_leaves_its_rectangle(void **state)
{
    unsigned s = 9;

    (void)state;
    for (int i = 0; i < 12 * 1500; i++) {
        struct wg_canvas c = wgt_canvas(1 + (int)(wgt_random(&s) % 70),
                                        1 + (int)(wgt_random(&s) % 20), '@');
        struct wg_rect r = {
            (int)(wgt_random(&s) % 30) - 8, (int)(wgt_random(&s) % 12) - 4,
            (int)(wgt_random(&s) % 80) - 2, (int)(wgt_random(&s) % 24) - 2};
        if (i % 5 == 0) {
            r = (struct wg_rect){0, 0, c.w, c.h};
        }
        draw_any(&c, r, i % 12, i / 12 % 2 ? WG_ASCII : WG_BLOCKS);
        wgt_untouched(&c, r);
        wgt_whole(&c);
        assert_true(c.cursor_x < c.w || c.cursor_x < r.x + r.w);
        wg_canvas_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_columns_line_up_and_leave),
        cmocka_unit_test(table_scrolls_with_a_thumb),
        cmocka_unit_test(table_tells_what_was_clicked),
        cmocka_unit_test(histogram_with_its_grid),
        cmocka_unit_test(overlay_covers_the_same_area),
        cmocka_unit_test(odd_histograms_are_drawn),
        cmocka_unit_test(spark_shows_what_exists),
        cmocka_unit_test(heat_map_by_halves_and_digits),
        cmocka_unit_test(heat_map_cursor_is_seen),
        cmocka_unit_test(heat_map_follows_its_cursor),
        cmocka_unit_test(progress_to_half_a_cell),
        cmocka_unit_test(tabs_shrink_and_are_hit_where_drawn),
        cmocka_unit_test(key_hints_are_whole_or_absent),
        cmocka_unit_test(menu_and_pager_in_their_frames),
        cmocka_unit_test(no_widget_leaves_its_rectangle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
