/* Counting codes.  Ranges come from the calibration's statistics; then the
 * calibration images run once more, and every wanted layer's input falls into
 * its 2^of codes.  A second pass, because the statistics kept from the first
 * know values to 1 % only, which is a whole code near the top of an 8-bit
 * range; with the table everything after is exact.
 *
 * Workers share a layer's table under its lock; sums are whole numbers, so
 * their order changes nothing. */
#include "session/planes_priv.h"

#include <math.h>
#include <string.h>

static const char no_memory[] = "out of memory for the bit planes";

/* ----------------------------------------------------- a pass over images */
/* What one layer's input is shown to, under the layer's lock. */
typedef void seen_fn(void *arg, int layer, const struct bd_tensor *in);

struct pass {
    seen_fn *seen;
    void *arg;
    pthread_mutex_t *lock; /* [nlayers] */
};

static void observe(void *arg, int layer, const struct bd_tensor *in,
                    const struct bd_tensor *out)
{
    struct pass *p = arg;
    (void)out;
    pthread_mutex_lock(&p->lock[layer]);
    p->seen(p->arg, layer, in);
    pthread_mutex_unlock(&p->lock[layer]);
}

static bd_status run_images(struct bd_bench *b, struct pass *p,
                            struct bd_ctl *ctl, struct bd_err *err)
{
    size_t workers = (size_t)bd_pool_threads(b->o.pool);
    void **arg = bd_calloc(workers, sizeof *arg);
    float *out =
        bd_alloc((size_t)(b->o.calib_images * b->outputs), sizeof *out);
    bd_status st = arg && out ? BD_OK : bd_fail(err, BD_ENOMEM, no_memory);
    for (size_t i = 0; i < workers && st == BD_OK; i++)
        arg[i] = p;
    struct bd_runner_run run = {.images = b->o.calib_images,
                                .observe = observe, .observe_arg = arg,
                                .no_cache = true};
    if (st == BD_OK) {
        pthread_mutex_lock(&b->turn);
        st = bd_runner_run(b->calib, &run, out, ctl, err);
        pthread_mutex_unlock(&b->turn);
    }
    bd_free(arg);
    bd_free(out);
    return st;
}

static bd_status each_image(struct bd_bench *b, seen_fn *seen, void *arg,
                            struct bd_ctl *ctl, struct bd_err *err)
{
    size_t n = b->o.m->nlayers;
    struct pass p = {seen, arg, bd_calloc(n, sizeof *p.lock)};
    if (!p.lock)
        return bd_fail(err, BD_ENOMEM, no_memory);
    for (size_t i = 0; i < n; i++)
        pthread_mutex_init(&p.lock[i], NULL);
    bd_status st = run_images(b, &p, ctl, err);
    for (size_t i = 0; i < n; i++)
        pthread_mutex_destroy(&p.lock[i]);
    bd_free(p.lock);
    return st;
}

/* ------------------------------------------------- the largest magnitudes */
enum { TOP = 64 };
struct largest { /* descending */
    int n;
    float v[TOP];
};

static void see_one(struct largest *l, int keep, float x)
{
    float a = fabsf(x);
    int at = l->n;
    if (!isfinite(a) || (l->n == keep && a <= l->v[keep - 1]))
        return;
    if (l->n < keep)
        l->n++;
    else
        at = keep - 1;
    for (; at > 0 && l->v[at - 1] < a; at--)
        l->v[at] = l->v[at - 1];
    l->v[at] = a;
}

struct tops {
    struct largest *l; /* [nlayers] */
    int keep;
};

static void see_tops(void *arg, int layer, const struct bd_tensor *in)
{
    struct tops *t = arg;
    int64_t n = bd_tensor_count(in);
    for (int64_t i = 0; i < n; i++)
        see_one(&t->l[layer], t->keep, in->f[i]);
}

/* k-th largest; or the published rule: the second largest when the largest
 * is more than 10 code units above it (section 2). */
static float range_of(const struct largest *l, const struct bd_planes_opts *o)
{
    double top = (double)((1 << o->of) - 1);
    if (l->n == 0)
        return 0;
    if (!o->outlier)
        return l->v[o->largest < l->n ? o->largest - 1 : l->n - 1];
    bool far = l->n > 1 && (double)(l->v[0] - l->v[1]) / (double)l->v[0] *
                                   top > 10;
    return l->v[far ? 1 : 0];
}

static bd_status ranges_by_hand(struct bd_planes_count *c, struct bd_ctl *ctl,
                                struct bd_err *err)
{
    struct tops t = {bd_calloc(c->n, sizeof *t.l),
                     c->o.outlier ? 2 : c->o.largest};
    bd_status st = t.l ? BD_OK : bd_fail(err, BD_ENOMEM, no_memory);
    if (st == BD_OK && c->part == BD_PART_A)
        st = each_image(c->bench, see_tops, &t, ctl, err);
    for (size_t i = 0; i < c->n && st == BD_OK; i++) {
        struct bd_weights w = bd_fits_weights(c->fits, (int)i);
        int64_t n = w.slices.outer * w.slices.channels * w.slices.inner;
        for (int64_t k = 0; k < n && c->part == BD_PART_W; k++)
            see_one(&t.l[i], t.keep, w.x[k]);
        c->layer[i].clip = range_of(&t.l[i], &c->o);
    }
    bd_free(t.l);
    return st;
}

/* ------------------------------------------------------------- the ranges */
/* M by the choice's clip rule, as the quantizer itself would take it. */
static bd_status range_by_rule(double *range, const struct bd_planes_count *c,
                               size_t i, struct bd_ctl *ctl,
                               struct bd_err *err)
{
    struct bd_tensorcfg t = c->cfg[i];
    bd_status st;
    t.quant = (uint8_t)bd_quantizer_find("bottleneck");
    t.bits = (int8_t)c->o.of;
    t.grain = BD_GRAIN_TENSOR;
    if (c->layer[i].clip > 0) {
        *range = (double)c->layer[i].clip;
        return BD_OK;
    }
    if (c->part == BD_PART_A) {
        struct bd_calib_input in = bd_bench_input(c->bench, (int)i);
        struct bd_qparam p;
        if (!(bd_actstat_absmax(in.all) > 0)) {
            *range = 0;
            return BD_OK;
        }
        st = bd_calib_acts(&p, in.all, in.learned, &t, err);
        if (st == BD_OK)
            *range = p.clip;
        return st;
    }
    struct bd_weights w = bd_fits_weights(c->fits, (int)i);
    struct bd_qset set = {0};
    st = bd_calib_weights(&set, &w, &t, ctl, err);
    if (st == BD_OK)
        *range = set.p[0].clip;
    bd_qset_done(&set);
    return st;
}

static void see_codes(void *arg, int layer, const struct bd_tensor *in)
{
    struct bd_planes_count *c = arg;
    if (c->layer[layer].key)
        bd_codetable_add(&c->layer[layer].codes, in->f,
                         (size_t)bd_tensor_count(in));
}

static bd_status count_weights(struct bd_planes_count *c, struct bd_ctl *ctl)
{
    for (size_t i = 0; i < c->n; i++) {
        struct bd_weights w = bd_fits_weights(c->fits, (int)i);
        if (bd_ctl_stale(ctl))
            return BD_ECANCELLED;
        if (c->layer[i].key)
            bd_codetable_add(&c->layer[i].codes, w.x,
                             (size_t)(w.slices.outer * w.slices.channels *
                                      w.slices.inner));
    }
    return BD_OK;
}

bd_status bd_planes_count(struct bd_planes_count *c, struct bd_ctl *ctl,
                          struct bd_err *err)
{
    bd_status st = BD_OK;
    if (c->part == BD_PART_A)
        st = bd_bench_calibrate(c->bench, ctl, err);
    if (st == BD_OK && (c->o.outlier || c->o.largest > 0))
        st = ranges_by_hand(c, ctl, err);
    for (size_t i = 0; i < c->n && st == BD_OK; i++) {
        double range = 0;
        if (c->layer[i].key)
            st = range_by_rule(&range, c, i, ctl, err);
        bd_codetable_init(&c->layer[i].codes, c->o.of, range);
        c->layer[i].codes.dither = c->o.dither;
    }
    if (st == BD_OK)
        st = c->part == BD_PART_A
                 ? each_image(c->bench, see_codes, c, ctl, err)
                 : count_weights(c, ctl);
    for (size_t i = 0; i < c->n && st == BD_OK; i++)
        if (c->layer[i].key)
            bd_planes_solve(&c->layer[i].table, &c->layer[i].codes);
    return st;
}

/* --------------------------------------------------------------- channels */
struct channels {
    const struct bd_bench *b;
    int layer, n;
    bool ranges; /* first pass: largest magnitudes; second: codes */
    float *most; /* [n] */
    struct bd_codetable *t; /* [n] */
};

static void see_channels(void *arg, int layer, const struct bd_tensor *in)
{
    struct channels *c = arg;
    if (layer != c->layer)
        return;
    struct bd_slices s = bd_graph_input_slices(c->b->o.m, layer, in);
    for (int64_t o = 0; o < s.outer; o++)
        for (int64_t k = 0; k < s.channels && k < c->n; k++) {
            const float *x = in->f + (o * s.channels + k) * s.inner;
            if (!c->ranges)
                bd_codetable_add(&c->t[k], x, (size_t)s.inner);
            for (int64_t i = 0; i < s.inner && c->ranges; i++)
                if (isfinite(x[i]) && fabsf(x[i]) > c->most[k])
                    c->most[k] = fabsf(x[i]);
        }
}

/* Ranges are those of the statistics kept per channel, where there are. */
static bd_status channel_ranges(struct channels *c, struct bd_bench *b,
                                struct bd_ctl *ctl, struct bd_err *err)
{
    const struct bd_chanstat *s = bd_bench_chanstat(b, c->layer);
    c->ranges = !s;
    if (!s)
        return each_image(b, see_channels, c, ctl, err);
    for (int k = 0; k < c->n; k++) {
        const struct bd_actstat *a = bd_chanstat_at(s, k);
        c->most[k] = a ? (float)bd_actstat_absmax(a) : 0;
    }
    return BD_OK;
}

static int channels_of(const struct bd_bench *b, int layer)
{
    int v = b->o.m->layer[layer].input;
    if (v < 0)
        return 1;
    return (int)bd_graph_input_slices(b->o.m, layer,
                                      bd_plan_value(bd_bench_plan(b), v))
        .channels;
}

bd_status bd_planes_count_channels(struct bd_planes_channels **out,
                                   const struct bd_channels_ask *a,
                                   struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_bench *b = a->bench;
    struct channels c = {.b = b, .layer = a->layer,
                         .n = channels_of(b, a->layer)};
    size_t n = (size_t)c.n;
    struct bd_planes_channels *r =
        bd_calloc(1, sizeof *r + n * sizeof r->table[0]);
    c.most = bd_calloc(n, sizeof *c.most);
    c.t = bd_calloc(n, sizeof *c.t);
    bd_status st = r && c.most && c.t ? BD_OK
                                      : bd_fail(err, BD_ENOMEM, no_memory);
    if (st == BD_OK)
        st = bd_bench_calibrate(b, ctl, err);
    if (st == BD_OK)
        st = channel_ranges(&c, b, ctl, err);
    for (int k = 0; k < c.n && st == BD_OK; k++)
        bd_codetable_init(&c.t[k], BD_PLANES, (double)c.most[k]);
    c.ranges = false;
    if (st == BD_OK)
        st = each_image(b, see_channels, &c, ctl, err);
    for (int k = 0; k < c.n && st == BD_OK; k++)
        bd_planes_solve(&r->table[k], &c.t[k]);
    if (st == BD_OK) {
        r->key = a->key;
        r->layer = a->layer;
        r->n = c.n;
        *out = r;
    } else {
        bd_free(r);
    }
    bd_free(c.most);
    bd_free(c.t);
    return st;
}
