/* The repairs that look at images: what they promise about outputs, that
 * threads change nothing, and that they stop. */
#include "nets.h"

enum { IMAGES = 12 };

struct world {
    struct bd_model *m;
    struct bd_bitcfg cfg;
    struct bd_qlayer *q;
    float **w; /* quantized weights */
    size_t each;
    struct bd_pool *pool;
    struct bd_repair_in in;
};

static float *quantized(const struct bd_model *m, size_t i,
                        const struct bd_tensorcfg *cfg)
{
    const struct bd_layer *l = &m->layer[i];
    const struct bd_tensor *t = &m->value[l->weight].t;
    struct bd_weights w = {.x = t->f, .slices = bd_slices_of(t, l->axis),
                           .learned_clip = NAN};
    struct bd_qset set;
    float *y = bd_alloc((size_t)bd_tensor_count(t), sizeof *y);
    assert_non_null(y);
    assert_int_equal(bd_calib_weights(&set, &w, cfg, NULL, NULL), BD_OK);
    bd_qset_apply(y, &w, &set);
    bd_qset_done(&set);
    return y;
}

static void open_world(struct world *d, const char *choice, int threads)
{
    struct bd_err e = {0};
    *d = (struct world){.m = stirred_by("mobilenet-glyphs", 21, 0.3),
                        .each = PIXELS};
    d->cfg = all_float(d->m);
    if (bd_config_all(&d->cfg, true, choice, &e) != BD_OK)
        fail_msg("%s", e.msg);
    d->q = bd_calloc(d->m->nlayers, sizeof *d->q);
    d->w = bd_calloc(d->m->nlayers, sizeof *d->w);
    for (size_t i = 0; i < d->m->nlayers; i++) {
        d->w[i] = quantized(d->m, i, &d->cfg.layer[i].w);
        d->q[i] = (struct bd_qlayer){.w = d->w[i], .key = i + 1};
    }
    assert_int_equal(bd_pool_new(&d->pool, threads, NULL), BD_OK);
    d->in = (struct bd_repair_in){
        .m = d->m, .cfg = &d->cfg, .q = d->q, .pool = d->pool,
        .images = {fetch, &d->each, IMAGES}, .iterations = 300, .seed = 4};
}

static void close_world(struct world *d)
{
    for (size_t i = 0; i < d->m->nlayers; i++)
        bd_free(d->w[i]);
    bd_free(d->w);
    bd_free(d->q);
    bd_bitcfg_done(&d->cfg);
    bd_pool_free(d->pool);
    bd_model_free(d->m);
}

/* Per layer and channel: the mean over all images of what comes in, and of
 * the last layer's outputs (row 63). */
struct means {
    double sum[64][256];
    int last;
};

static void add_means(double sum[256], const struct bd_tensor *t)
{
    struct bd_slices s = bd_slices_of(t, 1);
    assert_true(s.channels <= 256);
    for (int64_t c = 0; c < s.channels; c++)
        for (int64_t i = 0; i < s.inner; i++)
            sum[c] +=
                (double)t->f[c * s.inner + i] / (double)s.inner / IMAGES;
}

static void note_means(void *arg, int layer, const struct bd_tensor *in,
                       const struct bd_tensor *out)
{
    struct means *k = arg;
    assert_true(layer < 63);
    add_means(k->sum[layer], in);
    if (layer == k->last)
        add_means(k->sum[63], out);
}

static void means_of(struct means *k, const struct bd_model *m,
                     const struct bd_qlayer *q)
{
    struct bd_plan_opts o = {.batch = 1};
    struct bd_plan *p = NULL;
    struct bd_exec *x = NULL;
    struct bd_exec_run run = {.q = q, .observe = note_means, .arg = k};
    k->last = (int)m->nlayers - 1;
    assert_int_equal(bd_plan_new(&p, m, &o, NULL), BD_OK);
    assert_int_equal(bd_exec_new(&x, p, NULL), BD_OK);
    for (int64_t i = 0; i < IMAGES; i++) {
        picture(bd_exec_input(x, 0), PIXELS, i);
        assert_int_equal(bd_exec_run(x, &run, NULL), BD_OK);
    }
    bd_exec_free(x);
    bd_plan_free(p);
}

static double mean_error(const struct means *a, const struct means *b,
                         size_t layer)
{
    double e = 0;
    for (int c = 0; c < 256; c++)
        e += fabs(a->sum[layer][c] - b->sum[layer][c]);
    return e;
}

/* With a BatchNormalization behind the layer the shift acts there, so it is
 * the inputs of the next layer that show it. */
static void bias_correction_moves_means_back(void **state)
{
    static struct means f, q, c;
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_model *fixed = NULL;
    struct bd_err e = {0};
    double before = 0, after = 0;
    (void)state;
    open_world(&d, "uniform:4:channel:max", 2);
    size_t last = d.m->nlayers - 1;
    if (bd_repair_run(&o, bd_repair_find("bias-correction", NULL), &d.in,
                      NULL, &e) != BD_OK ||
        bd_repair_model(&fixed, d.m, &o, &e) != BD_OK)
        fail_msg("%s", e.msg);
    means_of(&f, d.m, NULL);
    means_of(&q, d.m, d.q);
    means_of(&c, fixed, d.q);
    for (size_t i = 1; i <= last; i++) {
        before += mean_error(&f, &q, i);
        after += mean_error(&f, &c, i);
    }
    if (!(after < 0.5 * before))
        fail_msg("mean errors %g, before %g", after, before);
    /* The last layer has its bias itself: there the means agree. */
    assert_true(mean_error(&f, &c, 63) <
                1e-3 * mean_error(&f, &q, 63) + 1e-6);
    bd_repair_out_done(&o);
    bd_model_free(fixed);
    close_world(&d);
}

/* Mean and variance of channel c of a value, as the quantized network with
 * its new statistics produces it: straight from the definition. */
static void moments(double *mean, double *var, const struct world *d,
                    const struct bd_model *m, int value, int64_t c)
{
    struct bd_plan_opts o = {.batch = 1, .keep = true};
    struct bd_plan *p = NULL;
    struct bd_exec *x = NULL;
    struct bd_exec_run run = {.q = d->q};
    double sum = 0, sum2 = 0, n = 0;
    assert_int_equal(bd_plan_new(&p, m, &o, NULL), BD_OK);
    assert_int_equal(bd_exec_new(&x, p, NULL), BD_OK);
    for (int64_t i = 0; i < IMAGES; i++) {
        picture(bd_exec_input(x, 0), PIXELS, i);
        assert_int_equal(bd_exec_run(x, &run, NULL), BD_OK);
        const struct bd_tensor *t = bd_exec_value(x, value);
        struct bd_slices s = bd_slices_of(t, 1);
        for (int64_t k = 0; k < s.inner; k++, n++) {
            double v = (double)t->f[c * s.inner + k];
            sum += v;
            sum2 += v * v;
        }
    }
    *mean = sum / n;
    *var = sum2 / n - *mean * *mean;
    bd_exec_free(x);
    bd_plan_free(p);
}

static void has_statistics_of_its_input(const struct world *d,
                                        const struct bd_model *m,
                                        const struct bd_node *bn)
{
    int64_t n = bd_tensor_count(&m->value[bn->in[3]].t);
    for (int64_t c = 0; c < n; c += n - 1) {
        double mean, var, is = (double)m->value[bn->in[3]].t.f[c];
        double spread = (double)m->value[bn->in[4]].t.f[c];
        moments(&mean, &var, d, m, bn->in[0], c);
        if (fabs(is - mean) > 1e-5 * sqrt(var) + 1e-6 * fabs(mean) ||
            fabs(spread - var) > 1e-4 * var)
            fail_msg("%s channel %d: %g and %g, its input has %g and %g",
                     bn->name ? bn->name : "", (int)c, is, spread, mean, var);
    }
}

static struct bd_model *run_images(const struct world *d, const char *what)
{
    struct bd_repair_out o = {0};
    struct bd_model *m = NULL;
    struct bd_err e = {0};
    if (bd_repair_run(&o, bd_repair_find(what, NULL), &d->in, NULL, &e) !=
            BD_OK ||
        bd_repair_model(&m, d->in.m, &o, &e) != BD_OK)
        fail_msg("%s: %s", what, e.msg);
    bd_repair_out_done(&o);
    return m;
}

static bool is_norm(const struct bd_node *n)
{
    return strcmp(n->op, "BatchNormalization") == 0;
}

static void tuning_gives_the_inputs_statistics(void **state)
{
    struct world d;
    int norms = 0;
    (void)state;
    open_world(&d, "uniform:3:tensor:max", 2);
    struct bd_model *m = run_images(&d, "bn-tune");
    for (size_t i = 0; i < m->nnodes; i++)
        if (is_norm(&m->node[i])) {
            has_statistics_of_its_input(&d, m, &m->node[i]);
            norms++;
        }
    assert_int_equal(norms, 13);
    bd_model_free(m);
    close_world(&d);
}

/* With a chosen layer, only the normalisation right behind it. */
static void tuning_keeps_to_chosen_layers(void **state)
{
    struct world d;
    bool chosen[64] = {[4] = true};
    (void)state;
    open_world(&d, "uniform:3:tensor:max", 1);
    d.in.layer = chosen;
    struct bd_model *m = run_images(&d, "bn-tune");
    int out = m->node[m->layer[4].node].out[0], norms = 0;
    for (size_t i = 0; i < m->nnodes; i++) {
        const struct bd_node *bn = &m->node[i];
        if (!is_norm(bn))
            continue;
        bool same = m->value[bn->in[3]].t.f == d.m->value[bn->in[3]].t.f &&
                    m->value[bn->in[4]].t.f == d.m->value[bn->in[4]].t.f;
        assert_int_equal(!same, bn->in[0] == out);
        norms += !same;
    }
    assert_int_equal(norms, 1);
    bd_model_free(m);
    close_world(&d);
}

/* Folded statistics mean nothing any more, and are left alone. */
static void tuning_refuses_what_is_folded(void **state)
{
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_err e = {0};
    (void)state;
    open_world(&d, "uniform:4:tensor:max", 1);
    struct bd_model *f = repaired(d.m, "bn-fold");
    d.in.m = f;
    assert_int_equal(bd_repair_run(&o, bd_repair_find("bn-tune", NULL), &d.in,
                                   NULL, &e), BD_EINVALID);
    if (!strstr(e.msg, "is folded") || !strstr(e.msg, "bias-correction"))
        fail_msg("%s", e.msg);
    bd_model_free(f);
    close_world(&d);
}

/* Means that tuning has put right are not moved a second time: behind every
 * normalisation they become the float network's. */
static void correction_after_tuning(void **state)
{
    static struct means f, t, c;
    struct world d;
    double before = 0, after = 0;
    (void)state;
    open_world(&d, "uniform:4:channel:max", 2);
    struct bd_model *tuned = run_images(&d, "bn-tune");
    d.in.m = tuned;
    d.in.ref = d.m;
    struct bd_model *fixed = run_images(&d, "bias-correction");
    means_of(&f, d.m, NULL);
    means_of(&t, tuned, d.q);
    means_of(&c, fixed, d.q);
    for (size_t i = 1; i < d.m->nlayers; i++) {
        before += mean_error(&f, &t, i);
        after += mean_error(&f, &c, i);
    }
    if (!(after < 0.45 * before))
        fail_msg("mean errors %g, before %g", after, before);
    bd_model_free(fixed);
    bd_model_free(tuned);
    close_world(&d);
}

/* Squared error of one layer's output over the images, the float network's
 * as reference; the layer's input is quantized by all before it. */
struct out_error {
    int layer;
    float *ref[IMAGES];
    int64_t image;
    double err2;
};

static void keep_out(void *arg, int layer, const struct bd_tensor *in,
                     const struct bd_tensor *out)
{
    struct out_error *k = arg;
    size_t n = (size_t)bd_tensor_count(out);
    (void)in;
    if (layer != k->layer)
        return;
    if (!k->ref[k->image]) {
        k->ref[k->image] = bd_alloc(n, sizeof(float));
        memcpy(k->ref[k->image], out->f, n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double e = (double)out->f[i] - (double)k->ref[k->image][i];
        k->err2 += e * e;
    }
}

static double run_error(struct out_error *k, const struct world *d,
                        const struct bd_qlayer *q)
{
    struct bd_plan_opts o = {.batch = 1};
    struct bd_plan *p = NULL;
    struct bd_exec *x = NULL;
    struct bd_exec_run run = {.q = q, .observe = keep_out, .arg = k};
    assert_int_equal(bd_plan_new(&p, d->m, &o, NULL), BD_OK);
    assert_int_equal(bd_exec_new(&x, p, NULL), BD_OK);
    k->err2 = 0;
    for (k->image = 0; k->image < IMAGES; k->image++) {
        picture(bd_exec_input(x, 0), PIXELS, k->image);
        assert_int_equal(bd_exec_run(x, &run, NULL), BD_OK);
    }
    bd_exec_free(x);
    bd_plan_free(p);
    return k->err2;
}

static void adaround_at(const char *choice, int layer)
{
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_err e = {0};
    bool chosen[64] = {false};
    struct out_error k = {.layer = layer};
    open_world(&d, choice, 2);
    for (size_t i = 0; i < d.m->nlayers; i++)
        if ((int)i != layer) /* its own error, not what came in */
            d.q[i] = (struct bd_qlayer){0};
    chosen[layer] = true;
    d.in.layer = chosen;
    if (bd_repair_run(&o, bd_repair_find("adaround", NULL), &d.in, NULL,
                      &e) != BD_OK)
        fail_msg("%s layer %d: %s", choice, layer, e.msg);
    run_error(&k, &d, NULL);
    double nearest = run_error(&k, &d, d.q);
    d.q[layer].w = o.value[d.m->layer[layer].weight];
    double ours = run_error(&k, &d, d.q);
    if (!(ours < 0.998 * nearest))
        fail_msg("%s layer %d: %g, nearest rounding %g", choice, layer, ours,
                 nearest);
    /* And it stays what it is under the choice that comes with it. */
    const struct bd_tensorcfg *t = &o.cfg.layer[layer].w;
    assert_int_equal(t->clip, BD_CLIP_MAX);
    for (int i = 0; i < IMAGES; i++)
        bd_free(k.ref[i]);
    bd_repair_out_done(&o);
    close_world(&d);
}

static void adaround_beats_nearest_rounding(void **state)
{
    (void)state;
    adaround_at("uniform:3:tensor:mse", 2);   /* 1x1 */
    adaround_at("uniform:3:channel:mse", 2);
    adaround_at("uniform:4:channel:max", 1);  /* depthwise */
    adaround_at("uniform:3:group8:max", 13);  /* the matrix at the end */
}

static uint64_t digest_of(const char *what, int threads, uint64_t seed)
{
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_model *m = NULL;
    bool chosen[64] = {[2] = true, [13] = true};
    struct bd_err e = {0};
    open_world(&d, "uniform:3:tensor:mse", threads);
    d.in.layer = chosen;
    d.in.seed = seed;
    if (bd_repair_run(&o, bd_repair_find(what, NULL), &d.in, NULL, &e) !=
            BD_OK ||
        bd_repair_model(&m, d.m, &o, &e) != BD_OK)
        fail_msg("%s", e.msg);
    uint64_t digest = m->digest;
    bd_model_free(m);
    bd_repair_out_done(&o);
    close_world(&d);
    return digest;
}

static void threads_change_nothing(void **state)
{
    static const char *const all[] = {"adaround", "bias-correction",
                                      "bn-tune", NULL};
    (void)state;
    for (const char *const *w = all; *w; w++) {
        uint64_t one = digest_of(*w, 1, 4);
        assert_true(one == digest_of(*w, 3, 4));
        assert_true(one == digest_of(*w, 2, 4));
    }
}

static void a_stale_control_stops_it(void **state)
{
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_ctl *ctl = bd_ctl_new();
    (void)state;
    assert_non_null(ctl);
    open_world(&d, "uniform:3:tensor:mse", 2);
    bd_ctl_cancel(ctl);
    for (const struct bd_repair *const *r = bd_repairs(); *r; r++) {
        if ((*r)->traits & BD_REPAIR_CHOICES)
            continue;
        assert_int_equal(bd_repair_run(&o, *r, &d.in, ctl, NULL),
                         BD_ECANCELLED);
        assert_null(o.value);
    }
    bd_ctl_free(ctl);
    close_world(&d);
}

static void choices_turn_what_they_say(void **state)
{
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_err e = {0};
    (void)state;
    open_world(&d, "uniform:4:tensor:max", 1);
    size_t last = d.m->nlayers - 1;
    assert_int_equal(bd_repair_run(&o, bd_repair_find("mse-clip", NULL),
                                   &d.in, NULL, NULL), BD_OK);
    assert_false(bd_repair_changes_model(&o));
    for (size_t i = 0; i <= last; i++)
        assert_int_equal(o.cfg.layer[i].w.clip, BD_CLIP_MSE);
    struct bd_bitcfg mse = o.cfg;
    o.cfg = (struct bd_bitcfg){0};
    bd_repair_out_done(&o);
    d.in.cfg = &mse;
    assert_int_equal(bd_repair_run(&o,
                                   bd_repair_find("last-layer-no-clip", NULL),
                                   &d.in, NULL, NULL), BD_OK);
    assert_int_equal(o.cfg.layer[last].w.clip, BD_CLIP_MAX);
    assert_int_equal(o.cfg.layer[0].w.clip, BD_CLIP_MSE);
    bd_repair_out_done(&o);
    assert_int_equal(bd_repair_run(&o, bd_repair_find("mse-clip", NULL),
                                   &d.in, NULL, &e), BD_EINVALID);
    assert_int_equal(bd_repair_run(&o, bd_repair_find("channel-grids", NULL),
                                   &d.in, NULL, NULL), BD_OK);
    for (size_t i = 0; i <= last; i++)
        assert_int_equal(o.cfg.layer[i].w.grain == BD_GRAIN_CHANNEL,
                         bd_repair_range_ratio(d.m, (int)i) >=
                             BD_REPAIR_RATIO);
    bd_repair_out_done(&o);
    bd_bitcfg_done(&mse);
    close_world(&d);
}

/* A grid that follows from more than the largest weight is refused. */
static void adaround_refuses_what_does_not_stay(void **state)
{
    struct world d;
    struct bd_repair_out o = {0};
    struct bd_err e = {0};
    bool chosen[64] = {[2] = true};
    (void)state;
    open_world(&d, "apot:4:tensor:mse", 1);
    d.in.layer = chosen;
    assert_int_equal(bd_repair_run(&o, bd_repair_find("adaround", NULL),
                                   &d.in, NULL, &e), BD_EUNSUPPORTED);
    assert_non_null(strstr(e.msg, "'uniform' does"));
    close_world(&d);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(bias_correction_moves_means_back),
        cmocka_unit_test(tuning_gives_the_inputs_statistics),
        cmocka_unit_test(tuning_keeps_to_chosen_layers),
        cmocka_unit_test(tuning_refuses_what_is_folded),
        cmocka_unit_test(correction_after_tuning),
        cmocka_unit_test(adaround_beats_nearest_rounding),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_stale_control_stops_it),
        cmocka_unit_test(choices_turn_what_they_say),
        cmocka_unit_test(adaround_refuses_what_does_not_stay),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
