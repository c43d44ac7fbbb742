/* The pass over the calibration images, and grids of inputs per channel. */
#include "bed.h"

#include "session/session_priv.h"

static struct bd_session *calibrated(const struct bed *b, int threads)
{
    struct bd_session_opts o = bed_opts(b);
    struct bd_err e = {0};
    o.threads = threads;
    o.calib_limit = 40; /* three batches, the last one short */
    struct bd_session *s = open_session(&o);
    if (bd_bench_calibrate(s->bench, NULL, &e) != BD_OK)
        fail_msg("%s", e.msg);
    return s;
}

static void same_stat(const struct bd_actstat *a, const struct bd_actstat *b)
{
    double top = bd_actstat_absmax(a) + 1;
    int64_t h[2][32];
    assert_int_equal(bd_actstat_count(a), bd_actstat_count(b));
    assert_true(bd_actstat_sumsq(a) == bd_actstat_sumsq(b));
    assert_true(bd_actstat_mean(a) == bd_actstat_mean(b));
    assert_true(bd_actstat_min(a) == bd_actstat_min(b));
    assert_true(bd_actstat_max(a) == bd_actstat_max(b));
    for (int hi = 0; hi < 2; hi++)
        assert_true(bd_actstat_average(a, hi, 0.2) ==
                    bd_actstat_average(b, hi, 0.2));
    bd_actstat_histogram(a, -top, top, h[0], 32);
    bd_actstat_histogram(b, -top, top, h[1], 32);
    assert_memory_equal(h[0], h[1], sizeof h[0]);
}

/* Layers and channels, on one thread, two and three. */
static void threads_do_not_matter(void **state)
{
    struct bd_session *one = calibrated(*state, 1);
    size_t n = bd_session_model(one)->nlayers;
    for (int threads = 2; threads <= 3; threads++) {
        struct bd_session *s = calibrated(*state, threads);
        for (int i = 0; i < (int)n; i++) {
            const struct bd_chanstat *a = bd_bench_chanstat(one->bench, i);
            const struct bd_chanstat *b = bd_bench_chanstat(s->bench, i);
            same_stat(bd_bench_stat(one->bench, i),
                      bd_bench_stat(s->bench, i));
            assert_non_null(a);
            assert_int_equal(bd_chanstat_channels(a),
                             bd_config_inputs(bd_session_model(s), i));
            for (int64_t c = 0; c < bd_chanstat_channels(a); c++)
                same_stat(bd_chanstat_at(a, c), bd_chanstat_at(b, c));
        }
        bd_session_close(s);
    }
    bd_session_close(one);
}

/* The channels of a layer are the layer. */
static void channels_add_up(void **state)
{
    struct bd_session *s = calibrated(*state, 2);
    for (int i = 0; i < (int)bd_session_model(s)->nlayers; i++) {
        const struct bd_actstat *all = bd_bench_stat(s->bench, i);
        const struct bd_chanstat *c = bd_bench_chanstat(s->bench, i);
        int64_t n = 0;
        double lo = 0, hi = 0, squares = 0;
        for (int64_t k = 0; k < bd_chanstat_channels(c); k++) {
            const struct bd_actstat *one = bd_chanstat_at(c, k);
            n += bd_actstat_count(one);
            lo = fmin(lo, bd_actstat_min(one));
            hi = fmax(hi, bd_actstat_max(one));
            squares += bd_actstat_sumsq(one);
        }
        assert_int_equal(n, bd_actstat_count(all));
        assert_true(lo == fmin(bd_actstat_min(all), 0));
        assert_true(hi == bd_actstat_max(all));
        assert_true(fabs(squares - bd_actstat_sumsq(all)) <= 1e-5 * squares);
    }
    bd_session_close(s);
}

static struct bd_net_eval answer(const struct bed *b, const char *acts,
                                 int threads, double *a_psnr)
{
    struct bd_session_opts o = bed_opts(b);
    struct bd_layer_errors layers[4];
    struct bd_net_eval e = {0};
    struct bd_err err = {0};
    o.threads = threads;
    o.activations = acts;
    struct bd_session *s = open_session(&o);
    if (bd_session_now_eval(&e, NULL, layers, s, NULL, &err) != BD_OK)
        fail_msg("%s: %s", acts, err.msg);
    *a_psnr = layers[1].a_psnr_db;
    bd_session_close(s);
    return e;
}

/* Every rule, per tensor and per channel: the same for any thread count, and
 * finer grids do not hurt the inputs. */
static void rules(void **state)
{
    static const char *const rule[] = {"max", "percentile99", "mse", "kl",
                                       "aciq", "ema", "moving-average0.3"};
    for (size_t k = 0; k < sizeof rule / sizeof *rule; k++) {
        char text[2][64];
        double psnr[2], again;
        for (int g = 0; g < 2; g++) {
            snprintf(text[g], sizeof text[g], "uniform:4:%s:%s",
                     g ? "channel" : "tensor", rule[k]);
            struct bd_net_eval a = answer(*state, text[g], 1, &psnr[g]);
            struct bd_net_eval b = answer(*state, text[g], 3, &again);
            assert_true(a.loss == b.loss && a.kl == b.kl && a.kl > 0);
            assert_true(psnr[g] == again && isfinite(again));
        }
        if (strcmp(rule[k], "mse") == 0)
            assert_true(psnr[1] > psnr[0]);
    }
}

/* The errors of a channel's grid are those of its values. */
static void documents(void **state)
{
    struct bed *b = *state;
    struct bd_session_opts o = bed_opts(b);
    struct bd_err e = {0};
    char path[128], *text = NULL;
    size_t n;
    o.activations = "uniform:4:channel:mse";
    struct bd_session *s = open_session(&o);
    assert_int_equal(bd_bench_calibrate(s->bench, NULL, &e), BD_OK);
    snprintf(path, sizeof path, "%s/config.json", b->dir);
    if (bd_session_export(s, path, true, &e) != BD_OK)
        fail_msg("%s", e.msg);
    bd_session_close(s);
    assert_int_equal(bd_file_read(&text, &n, path, 1 << 20, &e), BD_OK);
    assert_non_null(strstr(text, "\"grain\": \"channel\""));
    o.activations = NULL;
    o.config = path;
    s = open_session(&o);
    for (size_t i = 0; i < bd_session_model(s)->nlayers; i++) {
        const struct bd_tensorcfg *a = &bd_session_cfg(s)->layer[i].a;
        assert_int_equal(a->grain, BD_GRAIN_CHANNEL);
        assert_int_equal(a->clip, BD_CLIP_MSE);
    }
    bd_session_close(s);
    bd_free(text);
}

/* A choice fitted before is the same object again, until eight others came;
 * whoever still holds it keeps it. */
static void input_fits_are_kept(void **state)
{
    struct bd_session *s = calibrated(*state, 1);
    struct bd_tensorcfg cfg = {.bits = 4, .clip = BD_CLIP_MSE};
    struct bd_input_ask ask = {&cfg, bd_bench_input(s->bench, 1)};
    struct bd_inputs *kept = s->bench->inputs;
    const struct bd_input_fit *first, *again, *other;
    assert_int_equal(bd_inputs_get(&first, kept, 1, &ask, NULL), BD_OK);
    assert_int_equal(bd_inputs_get(&again, kept, 1, &ask, NULL), BD_OK);
    assert_ptr_equal(first, again);
    bd_inputs_unref(again);
    for (cfg.bits = 5; cfg.bits < 13; cfg.bits++) {
        assert_int_equal(bd_inputs_get(&other, kept, 1, &ask, NULL), BD_OK);
        bd_inputs_unref(other);
    }
    cfg.bits = 4;
    assert_int_equal(bd_inputs_get(&again, kept, 1, &ask, NULL), BD_OK);
    assert_ptr_not_equal(first, again);
    assert_true(first->set.p[0].clip == again->set.p[0].clip);
    bd_inputs_unref(first);
    bd_inputs_unref(again);
    bd_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(threads_do_not_matter), CASE(channels_add_up), CASE(rules),
        CASE(documents), CASE(input_fits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
