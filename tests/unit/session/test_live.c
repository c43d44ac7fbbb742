/* Live results: freshness that never lies, grids, channels, and ten thousand
 * edits under load. */
#include <sched.h>

#include "bed.h"

enum { LAYERS = 3, WIDTHS = 7 }; /* 2 to 8 bits */

static const int every[LAYERS] = {0, 1, 2};

static void everything_becomes_exact(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.weights = "uniform:4";
    o.activations = "uniform:8";
    struct bd_session *s = open_session(&o);
    struct bd_layer_view v;
    struct bd_net_view net;
    bd_session_layer(&v, s, 0);
    assert_int_equal(v.fresh, BD_ABSENT);
    assert_null(v.stats);
    bd_session_net(&net, s);
    assert_int_equal(net.fresh, BD_ABSENT);
    assert_true(net.cost.avg_bits_w > 4 && net.cost.avg_bits_w < 4.1);
    bd_session_start(s);
    settle(s);
    for (int i = 0; i < LAYERS; i++) {
        int64_t in_bins = 0;
        bd_session_layer(&v, s, i);
        assert_int_equal(v.fresh, BD_EXACT);
        assert_true(v.w_full);
        assert_int_equal(v.a_fresh, BD_EXACT);
        assert_true(v.a_psnr_db > 10 && v.a_psnr_db < 100);
        assert_false(v.failed);
        assert_true(v.w.psnr_db > 10 && v.w.psnr_db < 60);
        for (int k = 0; k < BD_VIEW_BINS; k++)
            in_bins += v.bins[k];
        assert_int_equal(in_bins, v.params);
        assert_int_equal(v.macs, v.params); /* a matrix: one each */
        assert_true(v.a_max > v.a_min);
    }
    bd_session_net(&net, s);
    assert_int_equal(net.fresh, BD_EXACT);
    assert_int_equal(net.float_fresh, BD_EXACT);
    assert_int_equal(net.acc.images, 100);
    assert_int_equal(net.images, 100);
    assert_true(net.acc.ci_lo <= net.acc.top1);
    assert_true(net.acc.ci_hi >= net.acc.top1);
    bd_session_close(s);
}

static void a_float_layer_needs_no_job(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_session *s = open_session(&o);
    struct bd_layer_view v;
    struct bd_net_view net;
    bd_session_layer(&v, s, 1);
    assert_int_equal(v.fresh, BD_EXACT);
    assert_true(isinf(v.w.psnr_db) && v.w.mse == 0);
    bd_session_start(s);
    settle(s);
    bd_session_net(&net, s);
    assert_int_equal(net.fresh, BD_EXACT);
    assert_int_equal(net.acc.right1, net.float_acc.right1);
    assert_true(net.acc.kl == 0 && net.acc.agreement == 1);
    bd_session_close(s);
}

/* What the index answers at once is what the full pass finds. */
static void at_once_is_right(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.data = NULL;
    struct bd_session *s = open_session(&o);
    struct bd_layer_view a, b;
    bd_session_start(s);
    settle(s);
    for (int bits = 2; bits <= 8; bits++) {
        assert_int_equal(bd_session_set_bits(s, one(every), BD_PART_W, bits,
                                             NULL), BD_OK);
        bd_session_layer(&a, s, 0);
        settle(s);
        bd_session_layer(&b, s, 0);
        assert_int_equal(b.fresh, BD_EXACT);
        assert_true(b.w_full);
        if (a.fresh == BD_EXACT)
            assert_true(fabs(a.w.mse - b.w.mse) <= 1e-9 * b.w.mse);
    }
    bd_session_close(s);
}

static double psnr_of(struct bd_session *s, int layer, int bits)
{
    struct bd_error_stats e;
    struct bd_tensorcfg t = bd_session_cfg(s)->layer[layer].w;
    t.bits = (int8_t)bits;
    assert_int_equal(bd_session_now_layer(&e, s, layer, &t, NULL), BD_OK);
    return e.psnr_db;
}

/* "Nothing lies": after every step each layer that claims to be exact shows
 * the number of its present width; in the end all are exact, none lost. */
static void ten_thousand_edits(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_rng r = {5};
    double truth[LAYERS][WIDTHS + 2];
    o.weights = "uniform:4";
    struct bd_session *ref = open_session(&o), *s = open_session(&o);
    for (int i = 0; i < LAYERS; i++)
        for (int b = 2; b <= 8; b++)
            truth[i][b] = psnr_of(ref, i, b);
    bd_session_start(s);
    for (int k = 0; k < 10000; k++) {
        int layer = (int)bd_rng_below(&r, LAYERS);
        switch (bd_rng_below(&r, 8)) {
        case 0:
            bd_session_undo(s);
            break;
        case 1:
            bd_session_redo(s);
            break;
        case 2:
            bd_session_cancel(s);
            break;
        case 3:
            bd_session_visible(s, &layer, 1);
            break;
        default:
            assert_int_equal(
                bd_session_set_bits(s, one(&layer), BD_PART_W,
                                    2 + (int)bd_rng_below(&r, WIDTHS), NULL),
                BD_OK);
        }
        if (bd_rng_below(&r, 3) == 0)
            bd_session_collect(s);
        for (int i = 0; i < LAYERS; i++) {
            struct bd_layer_view v;
            int bits = bd_session_cfg(s)->layer[i].w.bits;
            bd_session_layer(&v, s, i);
            if (v.fresh == BD_EXACT)
                assert_true(fabs(v.w.psnr_db - truth[i][bits]) < 1e-6);
        }
    }
    /* A cancelled layer job is asked again by the next edit of its layer. */
    for (int b = 2; b <= 3; b++)
        bd_session_set_bits(s, (struct bd_sel){every, LAYERS}, BD_PART_W, b,
                            NULL);
    settle(s);
    struct bd_net_view net;
    bd_session_net(&net, s);
    assert_int_equal(net.fresh, BD_EXACT);
    for (int i = 0; i < LAYERS; i++) {
        struct bd_layer_view v;
        bd_session_layer(&v, s, i);
        assert_int_equal(v.fresh, BD_EXACT);
        assert_true(v.w_full);
        assert_true(v.w.psnr_db == truth[i][3]);
    }
    bd_session_close(s);
    bd_session_close(ref);
}

static bool anything_runs(struct bd_session *s)
{
    struct bd_progress p[8];
    size_t n = bd_session_progress(s, p, 8);
    bool running = false;
    for (size_t i = 0; i < n; i++)
        running = running || p[i].running;
    return running;
}

/* A person stops the job of a layer: its row is marked and the log says
 * what to do, until the next edit asks again.  A clip search of 65,535 levels
 * for every eight weights takes longer than any hand. */
static void a_stopped_layer_says_so(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    struct bd_grain_choice eights = {BD_GRAIN_GROUP, 8};
    struct bd_clip_choice search = {BD_CLIP_MSE, 0};
    struct bd_layer_view v = {0};
    o.data = NULL; /* the newest job is the layer's */
    struct bd_session *s = open_session(&o);
    bd_session_start(s);
    bd_session_set_bits(s, one(every), BD_PART_W, 16, NULL);
    bd_session_set_grain(s, one(every), BD_PART_W, eights, NULL);
    settle(s);
    assert_false(log_has(s, "stopped"));
    bd_session_set_clip(s, one(every), BD_PART_W, search, NULL);
    while (!anything_runs(s))
        sched_yield();
    bd_session_cancel(s);
    settle(s);
    bd_session_layer(&v, s, 0);
    assert_true(v.failed);
    assert_true(log_has(s, "stopped; the next edit of the layer asks again"));
    bd_session_set_bits(s, one(every), BD_PART_W, 3, NULL);
    settle(s);
    bd_session_layer(&v, s, 0);
    assert_false(v.failed);
    assert_int_equal(v.fresh, BD_EXACT);
    bd_session_close(s);
}

static void grids(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.data = NULL;
    o.weights = "apot:4:channel";
    struct bd_session *s = open_session(&o);
    struct bd_grid_view g, h;
    bd_session_grid(&g, s, 0, 0);
    assert_int_equal(g.n, 0);
    bd_session_start(s);
    settle(s);
    bd_session_grid(&g, s, 0, 0);
    assert_in_range(g.n, 15, 16);
    double first_hi = g.clip_hi;
    for (size_t i = 0; i + 1 < g.n; i++) {
        assert_true(g.levels[i] < g.levels[i + 1]);
        assert_true(g.cuts[i] >= g.levels[i] &&
                    g.cuts[i] <= g.levels[i + 1]);
    }
    bd_session_grid(&h, s, 0, 5);
    assert_true(h.clip_hi != first_hi); /* each channel has its own */
    bd_session_set_bits(s, one(every), BD_PART_W, 3, NULL);
    settle(s);
    bd_session_grid(&g, s, 0, 0);
    assert_in_range(g.n, 7, 8);
    bd_session_set_bits(s, one(every), BD_PART_W, 32, NULL);
    bd_session_grid(&g, s, 0, 0);
    assert_int_equal(g.n, 0);
    int64_t bins[10], sum = 0;
    struct bd_layer_view v;
    bd_session_layer(&v, s, 0);
    struct bd_bins b = {v.stats->min, (double)v.stats->max * 1.001, bins, 10};
    assert_true(bd_session_histogram(s, 0, b));
    for (int i = 0; i < 10; i++)
        sum += bins[i];
    assert_int_equal(sum, v.params);
    b.lo = b.hi;
    assert_false(bd_session_histogram(s, 0, b));
    bd_session_close(s);
}

static void channels(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.data = NULL;
    o.weights = "uniform:4:channel";
    struct bd_session *s = open_session(&o);
    enum bd_fresh fresh;
    int n;
    bd_session_start(s);
    assert_null(bd_session_channels(s, 0, &n, &fresh));
    assert_int_equal(fresh, BD_ABSENT);
    settle(s);
    const struct bd_channel_view *c = bd_session_channels(s, 0, &n, &fresh);
    assert_int_equal(n, 24);
    assert_int_equal(fresh, BD_EXACT);
    struct bd_layer_view v;
    bd_session_layer(&v, s, 0);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        assert_int_equal(c[i].bits, 4);
        assert_true(c[i].min < 0 && c[i].max > 0);
        sum += c[i].mse;
    }
    assert_true(fabs(sum / n - v.w.mse) < 1e-6 * v.w.mse);
    assert_int_equal(bd_session_set_channel(s, 0, 3, 8, NULL), BD_OK);
    c = bd_session_channels(s, 0, &n, &fresh);
    assert_int_equal(fresh, BD_STALE);
    double before = c[3].mse;
    settle(s);
    c = bd_session_channels(s, 0, &n, &fresh);
    assert_int_equal(fresh, BD_EXACT);
    assert_int_equal(c[3].bits, 8);
    assert_true(c[3].mse < before / 50);
    bd_session_close(s);
}

static void progress_and_descriptor(void **state)
{
    struct bd_session_opts o = bed_opts(*state);
    o.limit = 2000;
    o.weights = "uniform:4";
    struct bd_session *s = open_session(&o);
    struct bd_progress p[8];
    assert_int_equal(bd_session_progress(s, p, 8), 0);
    assert_true(bd_session_fd(s) >= 0);
    bd_session_start(s);
    bool seen = false;
    while (!bd_session_idle(s)) {
        size_t n = bd_session_progress(s, p, 8);
        for (size_t i = 0; i < n; i++)
            if (p[i].running && strstr(p[i].title, "accuracy") &&
                p[i].total == 2000)
                seen = true;
        bd_session_collect(s);
        usleep(500);
    }
    assert_true(seen);
    assert_false(bd_session_collect(s));
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(everything_becomes_exact), CASE(a_float_layer_needs_no_job),
        CASE(at_once_is_right),         CASE(ten_thousand_edits), CASE(a_stopped_layer_says_so),
        CASE(grids),                    CASE(channels),
        CASE(progress_and_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
