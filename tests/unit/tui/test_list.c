/* The list: whatever is sorted, filtered or moved, the cursor is a layer. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "list.h"

enum { N = 9 };
struct world { /* facts of N layers */
    char name[N][16];
    double psnr[N];
    int bits[N];
    int64_t params[N];
};

static void facts(void *arg, int i, struct ui_facts *f)
{
    struct world *w = arg;
    *f = (struct ui_facts){.name = w->name[i], .op = "Conv",
                           .method = "apot", .wbits = w->bits[i],
                           .abits = 32, .psnr = w->psnr[i],
                           .sqnr = w->psnr[i], .kb = (double)w->params[i],
                           .params = w->params[i]};
}

static struct ui_source source(struct world *w)
{
    return (struct ui_source){N, facts, w};
}

static void build(struct world *w, struct ui_list *l)
{
    static const double psnr[N] = {50, 20, NAN, 30, 30, 10, 25, NAN, 40};
    static const int bits[N] = {8, 4, 32, 5, 5, 2, 4, 32, 8};
    for (int i = 0; i < N; i++) {
        snprintf(w->name[i], sizeof w->name[i], "layer%d.conv%d", i / 3,
                 i % 3);
        w->psnr[i] = psnr[i];
        w->bits[i] = bits[i];
        w->params[i] = 100 * (i * 7 % N);
    }
    assert_true(ui_list_init(l, N));
    struct ui_source s = source(w);
    ui_list_refresh(l, &s);
}

static void order(struct ui_list *l, struct world *w, enum ui_order by)
{
    struct ui_source s = source(w);
    l->order = by;
    ui_list_refresh(l, &s);
}

static void filter(struct ui_list *l, struct world *w, const char *text)
{
    struct ui_source s = source(w);
    char why[200];
    assert_true(ui_filter_parse(&l->filter, text, why, sizeof why));
    ui_list_refresh(l, &s);
}

static void cursor_stays_on_its_layer(void **state)
{
    (void)state;
    struct world w;
    struct ui_list l;
    build(&w, &l);
    ui_list_to_layer(&l, 6);
    for (int by = 0; by < UI_ORDERS; by++)
        for (int rev = 0; rev < 2; rev++) {
            l.reverse = rev;
            order(&l, &w, (enum ui_order)by);
            assert_int_equal(l.cur, 6);
            assert_int_equal(l.row[l.at], 6);
            assert_int_equal(l.n, N);
        }
    filter(&l, &w, "bits<5");
    assert_int_equal(l.cur, 6);
    w.psnr[6] = 60; /* a fresh number moves the row, not the cursor */
    order(&l, &w, UI_BY_PSNR);
    assert_int_equal(l.cur, 6);
    ui_list_done(&l);
}

static void orders_are_stable_and_unknown_comes_last(void **state)
{
    (void)state;
    static const int want[N] = {5, 1, 6, 3, 4, 8, 0, 2, 7};
    struct world w;
    struct ui_list l;
    build(&w, &l);
    order(&l, &w, UI_BY_PSNR);
    assert_memory_equal(l.row, want, sizeof want);
    order(&l, &w, UI_BY_BITS);
    assert_int_equal(l.row[0], 5);
    assert_int_equal(l.row[1], 1); /* 1 before 6: both 4 bits */
    assert_int_equal(l.row[2], 6);
    ui_list_done(&l);
}

/* A filter that hides the cursor's layer moves it to the nearest one; one
 * that hides all keeps it, so that clearing brings it back. */
static void hidden_cursor_goes_to_the_nearest(void **state)
{
    (void)state;
    struct world w;
    struct ui_list l;
    build(&w, &l);
    ui_list_to_layer(&l, 4);
    filter(&l, &w, "bits=4");
    assert_int_equal(l.n, 2);
    assert_int_equal(l.cur, 6);
    filter(&l, &w, "nosuchname");
    assert_int_equal(l.n, 0);
    assert_int_equal(l.at, -1);
    ui_list_move(&l, 3); /* nothing to move in: no harm */
    ui_list_mark_all(&l);
    assert_int_equal(l.nmarked, 0);
    filter(&l, &w, "");
    assert_int_equal(l.cur, 6);
    ui_list_done(&l);
}

static void moving_stops_at_the_ends(void **state)
{
    (void)state;
    struct world w;
    struct ui_list l;
    build(&w, &l);
    ui_list_move(&l, INT_MAX);
    assert_int_equal(l.at, N - 1);
    ui_list_move(&l, INT_MIN + 1);
    assert_int_equal(l.at, 0);
    ui_list_to_row(&l, 99);
    assert_int_equal(l.at, N - 1);
    for (int h = -1; h < 20; h++) {
        ui_list_scroll(&l, h);
        assert_true(l.top >= 0 && l.top <= l.at);
        assert_true(l.at < l.top + (h < 1 ? 1 : h));
    }
    ui_list_done(&l);
}

static void marks_count_once(void **state)
{
    (void)state;
    struct world w;
    struct ui_list l;
    build(&w, &l);
    ui_list_mark(&l, 2, true);
    ui_list_mark(&l, 2, true);
    ui_list_mark(&l, -1, true);
    ui_list_mark(&l, N, true);
    assert_int_equal(l.nmarked, 1);
    filter(&l, &w, "layer1");
    ui_list_mark_all(&l);
    assert_int_equal(l.nmarked, 4);
    ui_list_mark_all(&l); /* all shown are marked: the marks go */
    assert_int_equal(l.nmarked, 1);
    filter(&l, &w, "");
    ui_list_to_row(&l, 5);
    l.anchor = l.cur;
    ui_list_to_row(&l, 3);
    ui_list_mark_range(&l);
    assert_int_equal(l.nmarked, 4);
    assert_int_equal(l.anchor, -1);
    ui_list_done(&l);
}

static void finding_wraps_both_ways(void **state)
{
    (void)state;
    struct world w;
    struct ui_list l;
    build(&w, &l);
    struct ui_source s = source(&w);
    ui_list_to_row(&l, 4);
    struct ui_match m = ui_list_find(&l, &s, "CONV0", 1, true);
    assert_int_equal(m.row, 6);
    assert_int_equal(m.nth, 3);
    assert_int_equal(m.all, 3);
    m = ui_list_find(&l, &s, "conv1", 1, true); /* the cursor's own row */
    assert_int_equal(m.row, 4);
    m = ui_list_find(&l, &s, "conv1", 1, false);
    assert_int_equal(m.row, 7);
    m = ui_list_find(&l, &s, "conv1", -1, false);
    assert_int_equal(m.row, 1);
    ui_list_to_row(&l, 8);
    m = ui_list_find(&l, &s, "conv0", 1, false);
    assert_int_equal(m.row, 0);
    m = ui_list_find(&l, &s, "pool", 1, true);
    assert_int_equal(m.row, -1);
    assert_int_equal(m.all, 0);
    ui_list_done(&l);
}

static void an_empty_list_is_a_list(void **state)
{
    (void)state;
    struct world w;
    struct ui_list l;
    struct ui_source s = source(&w);
    assert_true(ui_list_init(&l, 0));
    ui_list_refresh(&l, &s);
    ui_list_move(&l, 1);
    ui_list_to_layer(&l, 0);
    ui_list_scroll(&l, 10);
    assert_int_equal(l.cur, -1);
    assert_int_equal(ui_list_find(&l, &s, "x", 1, true).row, -1);
    ui_list_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursor_stays_on_its_layer),
        cmocka_unit_test(orders_are_stable_and_unknown_comes_last),
        cmocka_unit_test(hidden_cursor_goes_to_the_nearest),
        cmocka_unit_test(moving_stops_at_the_ends),
        cmocka_unit_test(marks_count_once),
        cmocka_unit_test(finding_wraps_both_ways),
        cmocka_unit_test(an_empty_list_is_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
