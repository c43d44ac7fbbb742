/* A person who does everything at once: edits, undo, sweeps, searches that
 * measure, repairs, comparisons, bit planes, channels of a feature, pictures
 * and files, while all of them run, and leaves in the middle.  What it shows
 * is that nothing is refused without a sentence, no configuration is ever
 * illegal, and nobody hangs; under -Db_sanitize=thread also that no two
 * threads touch the same thing. */
#include "bed.h"

struct storm {
    struct bd_session *s;
    const struct bed *b;
    struct bd_rng r;
};
static const int all[3] = {0, 1, 2};

static struct bd_sel some(struct storm *x)
{
    size_t n = 1 + bd_rng_below(&x->r, 3);
    return (struct bd_sel){all + bd_rng_below(&x->r, 4 - n), n};
}

static enum bd_part part(struct storm *x)
{
    return bd_rng_below(&x->r, 2) ? BD_PART_W : BD_PART_A;
}

static bd_status widths(struct storm *x, struct bd_err *e)
{
    int bits = 2 + (int)bd_rng_below(&x->r, 7);
    return bd_session_set_bits(x->s, some(x), part(x), bits, e);
}

static bd_status methods(struct storm *x, struct bd_err *e)
{
    int row = bd_quantizer_find(bd_rng_below(&x->r, 2) ? "apot" : "uniform");
    return bd_session_set_method(x->s, some(x), part(x), row, e);
}

static bd_status back_and_forth(struct storm *x, struct bd_err *e)
{
    (void)e;
    bd_session_undo(x->s);
    if (bd_rng_below(&x->r, 2))
        bd_session_redo(x->s);
    return BD_OK;
}

static bd_status sweeps(struct storm *x, struct bd_err *e)
{
    struct bd_sweep_opts o = {.what = 1u << BD_SENS_W, .nbits = 2,
                              .bits = {2, 4},
                              .no_cache = bd_rng_below(&x->r, 2)};
    if (bd_session_sweeping(x->s)) {
        bd_session_sweep_stop(x->s);
        return BD_OK;
    }
    return bd_session_sweep(x->s, &o, e);
}

static bd_status searches(struct storm *x, struct bd_err *e)
{
    struct bd_search_opts o = {
        .method = bd_rng_below(&x->r, 2) ? BD_SEARCH_MEASURED : BD_SEARCH_DP,
        .target = 3 + (double)bd_rng_below(&x->r, 8) / 8, .nbits = 3, .bits = {2, 4, 6},
        .methods = "uniform", .evaluations = 5};
    return bd_session_search(x->s, &o, e);
}

static bd_status takes(struct storm *x, struct bd_err *e)
{
    struct bd_search_view v;
    bd_session_search_view(&v, x->s);
    if (bd_rng_below(&x->r, 2))
        bd_session_search_stop(x->s);
    return bd_session_search_take(x->s, e);
}

static bd_status points(struct storm *x, struct bd_err *e)
{
    struct bd_trade_point p[64];
    size_t n = bd_session_trade(x->s, p, 64);
    if (n == 0)
        return BD_OK;
    int id = p[bd_rng_below(&x->r, n < 64 ? n : 64)].id;
    return bd_rng_below(&x->r, 2) ? bd_session_trade_take(x->s, id, e)
                                  : bd_session_trade_measure(x->s, id, e);
}

static bd_status repairs(struct storm *x, struct bd_err *e)
{
    static const char *const name[] = {"adaround", "bias-correction",
                                       "mse-clip", "equalize"};
    struct bd_repair_ask ask = {.name = name[bd_rng_below(&x->r, 4)],
                                .sel = {all, 1}, .iterations = 20};
    return bd_session_repair(x->s, &ask, e);
}

static bd_status compares(struct storm *x, struct bd_err *e)
{
    bd_status st = bd_session_keep(NULL, x->s, "k", NULL, e);
    if (st != BD_OK)
        return st;
    return bd_session_compare(x->s, "here", "k", e) ? BD_OK : BD_ENOMEM;
}

static bd_status planes(struct storm *x, struct bd_err *e)
{
    struct bd_threshold t = {.db = 20 + (double)bd_rng_below(&x->r, 20)};
    if (bd_rng_below(&x->r, 3) == 0)
        bd_session_plane_channels(x->s, 1, &(int){0});
    return bd_session_set_planes(x->s, some(x), part(x), &t, e);
}

static bd_status features(struct storm *x, struct bd_err *e)
{
    struct bd_feature_ask ask = {
        .lab = {.split = bd_rng_below(&x->r, 2) ? "fc2" : "fc3", .images = 2},
        .solve = {.avg_bits = 3, .p = {0.9, 0.1}}, .runs = 5};
    if (bd_rng_below(&x->r, 3) == 0) {
        bd_session_feature_stop(x->s);
        return BD_OK;
    }
    return bd_session_feature_start(x->s, &ask, e);
}

static bd_status files(struct storm *x, struct bd_err *e)
{
    char path[128];
    snprintf(path, sizeof path, "%s/out", x->b->dir);
    if (bd_rng_below(&x->r, 2))
        return bd_session_export_soon(x->s, path, true, e);
    struct bd_plot_ask ask = {.path = path, .force = true, .w = 64, .h = 48};
    return bd_session_plot_soon(x->s, &ask, e);
}

static bd_status looks(struct storm *x, struct bd_err *e)
{
    struct bd_layer_view l;
    struct bd_net_view n;
    struct bd_planes_view p;
    struct bd_feature_view f;
    char news[300];
    bool refused;
    (void)e;
    for (int i = 0; i < 3; i++) {
        bd_session_layer(&l, x->s, i);
        bd_session_planes(&p, x->s, i, BD_PART_A);
        bd_session_channels(x->s, i, &(int){0}, &(enum bd_fresh){BD_ABSENT});
    }
    bd_session_net(&n, x->s);
    bd_session_feature(&f, x->s);
    bd_session_sens(x->s);
    bd_session_why(x->s);
    bd_session_news(x->s, news, sizeof news, &refused);
    bd_session_tick(x->s);
    return BD_OK;
}

static bd_status asks(struct storm *x, struct bd_err *e)
{
    if (bd_rng_below(&x->r, 4) == 0)
        bd_session_cancel(x->s);
    return bd_session_ask_why(x->s, -1, e);
}

static void one_step(struct storm *x)
{
    static bd_status (*const does[])(struct storm *, struct bd_err *) = {
        widths, methods, back_and_forth, sweeps, searches, takes, points,
        repairs, compares, planes, features, files, looks, looks, asks};
    size_t k = bd_rng_below(&x->r, sizeof does / sizeof *does);
    struct bd_err e = {0};
    bd_status st = does[k](x, &e);
    if (st != BD_OK && !e.msg[0])
        fail_msg("step %zu: status %d without a sentence", k, (int)st);
    if (bd_config_check(bd_session_cfg(x->s), bd_session_model(x->s), &e) !=
        BD_OK)
        fail_msg("after step %zu: %s", k, e.msg);
    if (bd_rng_below(&x->r, 3) == 0) {
        usleep((useconds_t)bd_rng_below(&x->r, 3000));
        bd_session_collect(x->s);
    }
}

static void everything_at_once(void **state)
{
    for (uint64_t seed = 0; seed < 24; seed++) {
        struct storm x = {.b = *state, .r = bd_rng_fork(1, seed)};
        struct bd_session_opts o = bed_opts(x.b);
        o.limit = 20;
        o.no_state = seed % 2;
        x.s = open_session(&o);
        bd_session_start(x.s);
        for (int i = 0; i < 100; i++)
            one_step(&x);
        bd_session_close(x.s); /* whatever runs */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(everything_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
