/* The canvas: clipping, wide characters, marks, tints, dumps, folding. */
#include "wg_test.h"

static const struct wg_rect all = {0, 0, 100, 100};

static void text_is_cut_at_the_rectangle(void **state)
{
    struct wg_canvas c = wgt_canvas(10, 2, '.');
    struct wg_rect r = {2, 0, 5, 1};

    (void)state;
    assert_int_equal(wg_text(&c, r, 0, 0, WG_TEXT, "abcdefgh"), 5);
    wgt_shows(&c, "..abcde...\n..........\n");
    assert_int_equal(wg_text(&c, r, 0, 1, WG_TEXT, "below"), 5);
    assert_int_equal(wg_text(&c, r, -2, 0, WG_TEXT, "ABCD"), 4);
    wgt_shows(&c, "..CDcde...\n..........\n");
    assert_int_equal(wg_text(&c, r, 9, 0, WG_TEXT, "x"), 0);
    wg_canvas_done(&c);
}

static void wide_characters_stay_whole(void **state)
{
    struct wg_canvas c = wgt_canvas(8, 1, '.');

    (void)state;
    wg_text(&c, all, 0, 0, WG_TEXT, "\u5c64\u5c64");
    wgt_shows(&c, "\u5c64\u5c64....\n");
    wg_text(&c, all, 1, 0, WG_TEXT, "x"); /* right half of the first */
    wgt_shows(&c, " x\u5c64....\n");
    wg_text(&c, all, 2, 0, WG_TEXT, "y"); /* left half of the second */
    wgt_shows(&c, " xy ....\n");
    wg_text(&c, all, 7, 0, WG_TEXT, "\u5c64"); /* does not fit: blank */
    wgt_shows(&c, " xy ...\n");
    wg_text(&c, (struct wg_rect){3, 0, 2, 1}, 1, 0, WG_TEXT, "\u5c64");
    wgt_shows(&c, " xy  ..\n"); /* would leave its rectangle */
    wg_canvas_done(&c);
}

static void marks_join_and_do_not_pile_up(void **state)
{
    struct wg_canvas c = wgt_canvas(4, 1, '.');

    (void)state;
    wg_text(&c, all, 0, 0, WG_TEXT, "\u0301e\u0301\u0302\u0303x");
    wgt_shows(&c, "e\u0301x..\n");
    wg_text(&c, all, 0, 0, WG_TEXT, "\u5c64\u0301");
    wgt_shows(&c, "\u5c64\u0301..\n");
    wg_text(&c, all, 0, 0, WG_TEXT, "a\x1b\x7f");
    wgt_shows(&c, "a??.\n");
    wg_canvas_done(&c);
}

static void roles_and_grounds_are_in_the_dump(void **state)
{
    struct wg_canvas c = wgt_canvas(4, 2, ' ');

    (void)state;
    wg_text(&c, all, 0, 0, WG_DIM, "ab");
    wg_tint(&c, (struct wg_rect){0, 0, 4, 1}, WG_CURSOR);
    wg_text(&c, all, 2, 0, WG_BAD, "c");        /* keeps the tinted ground */
    wg_text(&c, all, 0, 1, WG_TAB_ACTIVE, "t"); /* brings its own */
    char *got = wg_canvas_dump(&c, true);
    assert_string_equal(got, "abc\nt\n-- roles\nBBK\nE\n-- ground\nGGGG\nE\n");
    free(got);
    wg_canvas_done(&c);
}

static void folding_says_the_same_with_less(void **state)
{
    struct wg_canvas c = wgt_canvas(6, 2, ' ');
    struct wg_cell heat = {0x2580, 0, WG_HEAT0 + 31, WG_HEAT0 + 31};
    struct wg_cell blue = {' ', 0, WG_TEXT, WG_DIV0};

    (void)state;
    wg_put(&c, all, 0, 0, heat);
    wg_put(&c, all, 1, 0, blue);
    wg_text(&c, all, 2, 0, WG_TEXT, "\u00b1\u5c64");
    wg_text(&c, all, 0, 1, WG_TEXT, "e\u0301\u2026");
    wg_canvas_fold(&c, false, true);
    wgt_shows(&c, "\u2588=\u00b1\u5c64\ne\u0301\u2026\n");
    wg_put(&c, all, 0, 0, heat);
    wg_canvas_fold(&c, true, true);
    wgt_shows(&c, "9=+?\ne~\n"); /* a cut is no full stop */
    wg_canvas_done(&c);
}

static void any_size_is_legal(void **state)
{
    static const int sizes[][2] = {
        {0, 0}, {1, 1}, {1000, 500}, {-5, 3}, {3, 0}};
    struct wg_canvas c = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(wg_canvas_resize(&c, sizes[i][0], sizes[i][1]));
        wg_fill(&c, (struct wg_rect){-3, -3, 5000, 5000}, 'x', WG_TEXT);
        wg_tint(&c, (struct wg_rect){-3, -3, 5000, 5000}, WG_CURSOR);
        wg_text(&c, all, 0, 0, WG_TEXT, "text");
        char *dump = wg_canvas_dump(&c, true);
        assert_non_null(dump);
        free(dump);
    }
    wg_canvas_done(&c);
}

/* Random writing anywhere keeps characters whole and inside. */
static void random_writing_keeps_the_invariant(void **state)
{
    static const char *const piece[] = {"a\u5c64b", "\u5c64\u5c64", "e\u0301",
                                        "plain", "\u5c64"};
    unsigned r = 11;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        int w = 1 + (int)(wgt_random(&r) % 12), h = 1 + (int)(r >> 9) % 4;
        struct wg_canvas c = wgt_canvas(w, h, '@');
        struct wg_rect in = {
            (int)(wgt_random(&r) % 8) - 2, (int)(wgt_random(&r) % 4) - 1,
            (int)(wgt_random(&r) % 10), (int)(wgt_random(&r) % 4)};
        for (int k = 0; k < 6; k++) {
            wg_text(&c, in, (int)(wgt_random(&r) % 10) - 2,
                    (int)(wgt_random(&r) % 4), WG_TEXT,
                    piece[wgt_random(&r) % 5]);
            if (k == 4) {
                wg_fill(&c, (struct wg_rect){in.x, in.y, 1, in.h}, 'f',
                        WG_TEXT);
            }
        }
        wgt_whole(&c);
        wg_canvas_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_at_the_rectangle),
        cmocka_unit_test(wide_characters_stay_whole),
        cmocka_unit_test(marks_join_and_do_not_pile_up),
        cmocka_unit_test(roles_and_grounds_are_in_the_dump),
        cmocka_unit_test(folding_says_the_same_with_less),
        cmocka_unit_test(any_size_is_legal),
        cmocka_unit_test(random_writing_keeps_the_invariant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
