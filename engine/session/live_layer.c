/* The fast lane: error of one layer's weights, error of its input, its
 * channels.  Each is a run() for the lane and an accept() for the interface's
 * thread, as live.c explains. */
#include "session/live_priv.h"

#include <math.h>

void bd_live_order_free(void *p)
{
    struct bd_live_order *o = p;
    bd_tensorcfg_done(&o->t);
    bd_bitcfg_done(&o->cfg);
    bd_free(o);
}

bd_status bd_live_submit(struct bd_session *s, const struct bd_job *j)
{
    struct bd_err err = {0};
    bd_status st = bd_lanes_submit(s->lanes, j, &err);
    if (st != BD_OK)
        bd_session_say(s, "%s", err.msg);
    return st;
}

struct bd_live_order *bd_live_order_new(struct bd_session *s, int layer,
                               const struct bd_tensorcfg *t)
{
    struct bd_live_order *o = bd_calloc(1, sizeof *o);
    if (!o) {
        bd_session_say(s, "out of memory for a job");
        return NULL;
    }
    o->fits = s->fits;
    o->bench = s->bench;
    o->layer = layer;
    if (t)
        bd_tensorcfg_set(&o->t, t);
    return o;
}

/* ------------------------------------------------------ weights of a layer */

/* Two kinds of answer: the index's, which prices a scalar grid in
 * microseconds and knows its squared error only; and the fit's, from a pass
 * over the weights.  The first comes as a partial result when the second
 * takes a moment. */
struct w_answer {
    struct bd_fits *fits;
    const struct bd_fit *fit; /* NULL: in float, or from the index */
    bool from_index; /* or from a quick pass before it stands */
    uint64_t digest;
    struct bd_error_stats err; /* from_index: mse and what follows from it */
};

static void w_free(void *p)
{
    struct w_answer *a = p;
    bd_fits_unref(a->fits, a->fit);
    bd_free(a);
}

/* Squared error through the index, for grids it can judge in no time. */
static bool ask_index(struct bd_error_stats *e, struct bd_fits *f,
                      const struct bd_basic *b, int layer,
                      const struct bd_tensorcfg *t)
{
    struct bd_weights w = bd_fits_weights(f, layer);
    double err2, clip;
    /* A clip search tries a hundred grids; wide ones take too long. */
    if (bd_fits_reference(f, layer)) /* its error is not that of its grid */
        return false;
    if (!b || !b->index || t->bits > (t->clip == BD_CLIP_MSE ? 8 : 12))
        return false;
    w.index = b->index;
    if (!bd_calib_index_error(&err2, &clip, &w, t))
        return false;
    double n = b->stats.n > 0 ? (double)b->stats.n : 1;
    *e = (struct bd_error_stats){.mse = err2 / n, .peak = b->stats.absmax,
                                 .clip = clip, .n = b->stats.n};
    e->psnr_db = bd_psnr_db(e->peak, e->mse);
    e->sqnr_db = bd_sqnr_db(b->stats.sumsq / n, e->mse);
    return true;
}

/* Weights nobody has read yet: sorting millions of them into an index takes
 * longer than a frame, one plain pass does not. */
static void post_quick(const struct bd_live_order *o, struct bd_ctl *ctl)
{
    enum { LARGE = 300000 };
    struct bd_weights w = bd_fits_weights(o->fits, o->layer);
    struct w_answer *a;
    if (w.slices.outer * w.slices.channels * w.slices.inner < LARGE ||
        bd_session_is_float(&o->t) || bd_fits_reference(o->fits, o->layer) ||
        bd_fits_peek_basic(o->fits, o->layer))
        return;
    a = bd_calloc(1, sizeof *a);
    if (!a)
        return;
    a->fits = o->fits;
    a->digest = bd_tensorcfg_digest(&o->t);
    a->from_index = bd_error_quick(&a->err, &w, &o->t, ctl, NULL) == BD_OK &&
                    isfinite(a->err.mse);
    if (!a->from_index || !bd_ctl_post(ctl, a))
        w_free(a);
}

/* Between the index and the full pass. */
static void post_index(const struct bd_live_order *o, const struct bd_basic *b,
                       struct bd_ctl *ctl)
{
    struct w_answer *a = bd_calloc(1, sizeof *a);
    if (!a)
        return;
    a->fits = o->fits;
    a->from_index = ask_index(&a->err, o->fits, b, o->layer, &o->t);
    a->digest = bd_tensorcfg_digest(&o->t);
    if (!a->from_index || !bd_ctl_post(ctl, a))
        w_free(a);
}

static bd_status w_run(void **result, void *arg, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct bd_live_order *o = arg;
    const struct bd_basic *basic;
    struct w_answer *a = bd_calloc(1, sizeof *a);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    a->fits = o->fits;
    post_quick(o, ctl);
    bd_status st = bd_fits_basic(&basic, o->fits, o->layer, ctl, err);
    if (st == BD_OK && !bd_session_is_float(&o->t)) {
        struct bd_fit_ask ask = {o->layer, &o->t};
        post_index(o, basic, ctl);
        st = bd_fits_get(&a->fit, o->fits, ask, ctl, err);
    }
    if (st == BD_OK)
        *result = a;
    else
        w_free(a);
    return st;
}

/* Takes over the reference. */
static void show_fit(struct bd_session *s, int layer, const struct bd_fit *fit)
{
    struct bd_layer_live *l = &s->live[layer];
    bd_fits_unref(s->fits, l->fit);
    l->fit = fit;
    l->have_w = l->w_full = true;
    l->w_digest = fit->digest;
    l->w = fit->err;
    l->failed = false;
}

/* The members the index does not know keep what they showed before. */
static void show_index(struct bd_layer_live *l, const struct bd_error_stats *e,
                       uint64_t digest)
{
    l->w.mse = e->mse;
    l->w.psnr_db = e->psnr_db;
    l->w.sqnr_db = e->sqnr_db;
    l->w.peak = e->peak;
    l->w.clip = e->clip;
    l->w.n = e->n;
    l->have_w = true;
    l->w_full = false;
    l->w_digest = digest;
}

void bd_live_accept_w(struct bd_session *s, struct bd_done *d, int layer)
{
    struct w_answer *a = d->result;
    s->live[layer].failed = false;
    if (a->fit)
        show_fit(s, layer, a->fit);
    else if (a->from_index)
        show_index(&s->live[layer], &a->err, a->digest);
    bd_free(a); /* the reference went into the session */
}

static void answer_at_once(struct bd_session *s, int layer,
                           const struct bd_tensorcfg *t)
{
    struct bd_error_stats e;
    if (ask_index(&e, s->fits, bd_fits_peek_basic(s->fits, layer), layer, t))
        show_index(&s->live[layer], &e, bd_tensorcfg_digest(t));
}

void bd_live_ask_w(struct bd_session *s, int layer, int64_t until_ns)
{
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].w;
    uint64_t key = bd_live_key(BD_LIVE_W, layer);
    bd_lanes_touch(s->lanes, key);
    if (bd_session_is_float(t)) {
        if (bd_fits_peek_basic(s->fits, layer))
            return;
    } else {
        const struct bd_fit *hit = bd_fits_peek(s->fits, layer, t);
        if (hit) {
            show_fit(s, layer, hit);
            return;
        }
        if (bd_now_ns() < until_ns)
            answer_at_once(s, layer, t);
    }
    struct bd_live_order *o = bd_live_order_new(s, layer, t);
    if (o)
        bd_live_submit(s, &(struct bd_job){
            .key = key, .lane = BD_LANE_FAST, .title = "layer errors",
            .arg = o, .run = w_run, .free_arg = bd_live_order_free,
            .free_result = w_free});
}

/* -------------------------------------------------- activations of a layer */

static bd_status a_run(void **result, void *arg, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct bd_live_order *o = arg;
    struct bd_act_error *a = bd_alloc(1, sizeof *a);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    struct bd_calib_input in = bd_bench_input(o->bench, o->layer);
    in.ctl = ctl;
    bd_status st = bd_acts_error(a, &in, &o->t, err);
    if (st == BD_OK)
        *result = a;
    else
        bd_free(a);
    return st;
}

void bd_live_accept_a(struct bd_session *s, struct bd_done *d, int layer)
{
    struct bd_act_error *a = d->result;
    s->live[layer].a = *a;
    s->live[layer].have_a = true;
    s->live[layer].failed = false;
    bd_free(a);
}

void bd_live_ask_a(struct bd_session *s, int layer)
{
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].a;
    uint64_t key = bd_live_key(BD_LIVE_A, layer);
    bd_lanes_touch(s->lanes, key);
    if (bd_session_is_float(t) || !s->bench || !bd_bench_stat(s->bench, layer))
        return; /* asked again when calibration comes in */
    struct bd_live_order *o = bd_live_order_new(s, layer, t);
    if (!o)
        return;
    bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_FAST, .title = "input errors", .arg = o,
        .run = a_run, .free_arg = bd_live_order_free, .free_result = bd_free});
}

/* ------------------------------------------------------ channels of a layer */

static void one_channel(struct bd_channel_view *v, const struct bd_weights *w,
                        const float *q, int64_t c)
{
    double err2 = 0;
    float lo = INFINITY, hi = -INFINITY;
    const struct bd_slices *s = &w->slices;
    for (int64_t o = 0; o < s->outer; o++)
        for (int64_t k = 0; k < s->inner; k++) {
            int64_t at = (o * s->channels + c) * s->inner + k;
            float x = w->x[at];
            double d = q ? (double)x - (double)q[at] : 0;
            lo = x < lo ? x : lo;
            hi = x > hi ? x : hi;
            err2 += d * d;
        }
    int64_t n = s->outer * s->inner;
    v->min = n > 0 ? lo : 0;
    v->max = n > 0 ? hi : 0;
    v->mse = n > 0 ? err2 / (double)n : 0;
}

static bd_status channels(struct bd_chan_answer *a,
                          const struct bd_live_order *o,
                          struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_weights w = bd_fits_weights(o->fits, o->layer);
    struct bd_fit_ask ask = {o->layer, &o->t};
    const struct bd_fit *fit = NULL;
    const float *q = NULL;
    bd_status st = BD_OK;
    if (!bd_session_is_float(&o->t)) {
        st = bd_fits_get(&fit, o->fits, ask, ctl, err);
        if (st == BD_OK)
            st = bd_fits_values(&q, o->fits, fit, err);
    }
    for (int c = 0; c < a->n && st == BD_OK; c++) {
        one_channel(&a->c[c], &w, q, c);
        a->c[c].bits = o->t.channel ? o->t.channel->bits[c] : o->t.bits;
        if (bd_ctl_stale(ctl))
            st = BD_ECANCELLED;
    }
    bd_fits_unref(o->fits, fit);
    return st;
}

static bd_status c_run(void **result, void *arg, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    const struct bd_live_order *o = arg;
    struct bd_weights w = bd_fits_weights(o->fits, o->layer);
    size_t n = (size_t)w.slices.channels;
    struct bd_chan_answer *a =
        bd_calloc(1, sizeof *a + n * sizeof a->c[0]);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    a->n = (int)n;
    a->digest = bd_tensorcfg_digest(&o->t);
    bd_status st = channels(a, o, ctl, err);
    if (st == BD_OK)
        *result = a;
    else
        bd_free(a);
    return st;
}

void bd_live_accept_c(struct bd_session *s, struct bd_done *d, int layer)
{
    bd_free(s->live[layer].chan);
    s->live[layer].chan = d->result;
}

void bd_live_channels(struct bd_session *s, int layer)
{
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].w;
    uint64_t digest = bd_tensorcfg_digest(t);
    struct bd_layer_live *l = &s->live[layer];
    if (l->chan_asked == digest || (l->chan && l->chan->digest == digest))
        return;
    struct bd_live_order *o = bd_live_order_new(s, layer, t);
    if (!o)
        return;
    uint64_t key = bd_live_key(BD_LIVE_CHANNELS, layer);
    bd_lanes_touch(s->lanes, key);
    l->chan_asked = digest;
    bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_FAST, .title = "channels", .arg = o,
        .run = c_run, .free_arg = bd_live_order_free, .free_result = bd_free});
}

bd_status bd_live_channels_now(struct bd_session *s, int layer,
                               struct bd_err *err)
{
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].w;
    struct bd_layer_live *l = &s->live[layer];
    void *answer = NULL;
    if (l->chan && l->chan->digest == bd_tensorcfg_digest(t))
        return BD_OK;
    struct bd_live_order *o = bd_live_order_new(s, layer, t);
    if (!o)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = c_run(&answer, o, NULL, err);
    bd_live_order_free(o);
    if (st != BD_OK)
        return st;
    bd_free(l->chan);
    l->chan = answer;
    return BD_OK;
}
