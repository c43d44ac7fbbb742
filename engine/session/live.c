/* What runs on lanes and what comes back.
 *
 * Freshness is never stored: a result carries the digest of the choice it
 * belongs to, and it is exact when that is the digest of the present choice.
 * So no edit has to remember to mark anything stale, and undo finds an old
 * result valid again by itself.
 *
 * Each kind of job is a pair of plain functions: run() on the lane, and an
 * accept() on the interface's thread that moves the result into the session.
 * A job's argument is a copy of what it needs (its choice, pointers to the
 * shared fits and bench, which outlive the lanes). */
#include "session/session_priv.h"

#include <math.h>
#include <string.h>

/* An edit may answer this much from indexes at once, before the lanes. */
static const int64_t at_once_ns = 1000000;

uint64_t bd_live_key(enum bd_live_kind kind, int layer)
{
    return (uint64_t)kind << 32 | (uint32_t)layer;
}

struct order { /* argument of every kind of job */
    struct bd_fits *fits;
    struct bd_bench *bench;
    int layer;
    struct bd_tensorcfg t; /* of a layer's job */
    struct bd_bitcfg cfg;  /* of the accuracy job */
    float learned;
};

static void order_free(void *p)
{
    struct order *o = p;
    if (o->t.channel)
        bd_chanbits_unref(o->t.channel);
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

static struct order *order_new(struct bd_session *s, int layer,
                               const struct bd_tensorcfg *t)
{
    struct order *o = bd_calloc(1, sizeof *o);
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

struct w_answer {
    struct bd_fits *fits;
    const struct bd_fit *fit; /* NULL: the layer is in float */
};

static void w_free(void *p)
{
    struct w_answer *a = p;
    bd_fits_unref(a->fits, a->fit);
    bd_free(a);
}

static bd_status w_run(void **result, void *arg, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct order *o = arg;
    const struct bd_basic *basic;
    struct w_answer *a = bd_calloc(1, sizeof *a);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    a->fits = o->fits;
    bd_status st = bd_fits_basic(&basic, o->fits, o->layer, ctl, err);
    if (st == BD_OK && !bd_session_is_float(&o->t)) {
        struct bd_fit_ask ask = {o->layer, &o->t};
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

static void w_accept(struct bd_session *s, struct bd_done *d, int layer)
{
    struct w_answer *a = d->result;
    if (a->fit)
        show_fit(s, layer, a->fit);
    s->live[layer].failed = false;
    bd_free(a); /* the reference went into the session */
}

/* PSNR through the index, for grids it can judge in no time. */
static bool answer_at_once(struct bd_session *s, int layer,
                           const struct bd_tensorcfg *t)
{
    struct bd_layer_live *l = &s->live[layer];
    const struct bd_basic *b = bd_fits_peek_basic(s->fits, layer);
    struct bd_weights w = bd_fits_weights(s->fits, layer);
    double err2, clip, n;
    /* A clip search tries a hundred grids; wide ones go to the lane. */
    if (!b || !b->index || t->bits > (t->clip == BD_CLIP_MSE ? 8 : 12))
        return false;
    w.index = b->index;
    if (!bd_calib_index_error(&err2, &clip, &w, t))
        return false;
    n = (double)b->stats.n;
    l->w.mse = n > 0 ? err2 / n : 0;
    l->w.peak = b->stats.absmax;
    l->w.psnr_db = bd_psnr_db(l->w.peak, l->w.mse);
    l->w.sqnr_db = bd_sqnr_db(n > 0 ? b->stats.sumsq / n : 0, l->w.mse);
    l->w.clip = clip;
    l->w.n = b->stats.n;
    l->have_w = true;
    l->w_full = false;
    l->w_digest = bd_tensorcfg_digest(t);
    return true;
}

static void ask_w(struct bd_session *s, int layer, int64_t until_ns)
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
    struct order *o = order_new(s, layer, t);
    if (o)
        bd_live_submit(s, &(struct bd_job){
            .key = key, .lane = BD_LANE_FAST, .title = "layer errors",
            .arg = o, .run = w_run, .free_arg = order_free,
            .free_result = w_free});
}

/* -------------------------------------------------- activations of a layer */

static bd_status a_run(void **result, void *arg, struct bd_ctl *ctl,
                       struct bd_err *err)
{
    struct order *o = arg;
    struct bd_act_error *a = bd_alloc(1, sizeof *a);
    (void)ctl; /* milliseconds */
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = bd_acts_error(a, bd_bench_stat(o->bench, o->layer),
                                 o->learned, &o->t, err);
    if (st == BD_OK)
        *result = a;
    else
        bd_free(a);
    return st;
}

static void a_accept(struct bd_session *s, struct bd_done *d, int layer)
{
    struct bd_act_error *a = d->result;
    s->live[layer].a = *a;
    s->live[layer].have_a = true;
    s->live[layer].failed = false;
    bd_free(a);
}

static void ask_a(struct bd_session *s, int layer)
{
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].a;
    uint64_t key = bd_live_key(BD_LIVE_A, layer);
    bd_lanes_touch(s->lanes, key);
    if (bd_session_is_float(t) || !s->bench || !bd_bench_stat(s->bench, layer))
        return; /* asked again when calibration comes in */
    struct order *o = order_new(s, layer, t);
    if (!o)
        return;
    o->learned = s->m->layer[layer].learned_a;
    bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_FAST, .title = "input errors", .arg = o,
        .run = a_run, .free_arg = order_free, .free_result = bd_free});
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

static bd_status channels(struct bd_chan_answer *a, const struct order *o,
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
    const struct order *o = arg;
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

static void c_accept(struct bd_session *s, struct bd_done *d, int layer)
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
    struct order *o = order_new(s, layer, t);
    if (!o)
        return;
    uint64_t key = bd_live_key(BD_LIVE_CHANNELS, layer);
    bd_lanes_touch(s->lanes, key);
    l->chan_asked = digest;
    bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_FAST, .title = "channels", .arg = o,
        .run = c_run, .free_arg = order_free, .free_result = bd_free});
}

/* --------------------------------------------------------- the eval lane */

static bd_status calib_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct order *o = arg;
    (void)result;
    return bd_bench_calibrate(o->bench, ctl, err);
}

static bd_status float_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct order *o = arg;
    (void)result;
    return bd_bench_float(o->bench, ctl, err);
}

static bd_status acc_run(void **result, void *arg, struct bd_ctl *ctl,
                         struct bd_err *err)
{
    struct order *o = arg;
    struct bd_acc_answer *a = bd_alloc(1, sizeof *a);
    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_status st = bd_bench_accuracy(a, o->bench, &o->cfg, ctl, err);
    if (st == BD_OK)
        *result = a;
    else
        bd_free(a);
    return st;
}

static void show_acc(struct bd_session *s, const struct bd_acc_answer *a,
                     bool partial)
{
    s->acc = (struct bd_acc_live){true, partial, a->digest, a->eval};
}

static void remember_acc(struct bd_session *s, const struct bd_acc_answer *a)
{
    if (!s->acc_cache)
        return;
    s->acc_cache[s->acc_next] = *a;
    s->acc_next = (s->acc_next + 1) % BD_ACC_CACHE;
    if (s->acc_n < BD_ACC_CACHE)
        s->acc_n++;
}

/* Also of the float job, whose final result is read from the bench; and a
 * float run may be part of an accuracy job when it was cancelled before. */
static void acc_accept(struct bd_session *s, struct bd_done *d)
{
    struct bd_acc_answer *a = d->result;
    if (a && a->digest == 0)
        s->float_acc = (struct bd_acc_live){true, true, 0, a->eval};
    else if (a)
        show_acc(s, a, d->partial);
    if (a && !d->partial)
        remember_acc(s, a);
    bd_free(a);
}

static void eval_job(struct bd_session *s, enum bd_live_kind kind,
                     const char *title,
                     bd_status (*run)(void **, void *, struct bd_ctl *,
                                      struct bd_err *))
{
    struct order *o = order_new(s, 0, NULL);
    if (!o)
        return;
    if (kind == BD_LIVE_ACC && bd_bitcfg_copy(&o->cfg, &s->cfg) != BD_OK) {
        order_free(o);
        bd_session_say(s, "out of memory for a job");
        return;
    }
    bd_live_submit(s, &(struct bd_job){
        .key = bd_live_key(kind, 0), .lane = BD_LANE_EVAL, .title = title,
        .arg = o, .run = run, .free_arg = order_free,
        .free_result = bd_free});
}

static void ask_acc(struct bd_session *s)
{
    if (!s->bench)
        return;
    bd_lanes_touch(s->lanes, bd_live_key(BD_LIVE_ACC, 0));
    if (bd_session_all_float(&s->cfg))
        return; /* the float run answers */
    for (size_t i = 0; i < s->acc_n; i++)
        if (s->acc_cache[i].digest == s->digest) {
            show_acc(s, &s->acc_cache[i], false);
            return;
        }
    eval_job(s, BD_LIVE_ACC, "accuracy", acc_run);
}

/* ---------------------------------------------------------------- starting */

static void raise_visible(struct bd_session *s)
{
    /* Backwards, so that the first one ends up first. */
    for (size_t i = s->nvisible; i-- > 0;) {
        bd_lanes_raise(s->lanes, bd_live_key(BD_LIVE_A, s->visible[i]));
        bd_lanes_raise(s->lanes, bd_live_key(BD_LIVE_W, s->visible[i]));
    }
}

void bd_live_start(struct bd_session *s)
{
    s->started = true;
    for (size_t i = 0; i < s->m->nlayers; i++)
        ask_w(s, (int)i, 0);
    raise_visible(s);
    if (!s->bench)
        return;
    eval_job(s, BD_LIVE_CALIB, "calibration", calib_run);
    eval_job(s, BD_LIVE_FLOAT, "float accuracy", float_run);
    ask_acc(s);
}

void bd_live_follow(struct bd_session *s, const struct bd_step *step)
{
    bool any = false;
    int64_t until = bd_now_ns() + at_once_ns;
    s->shown_changed = true;
    if (!s->started)
        return;
    for (size_t i = 0; i < step->n; i++) {
        const struct bd_change *c = &step->change[i];
        bool w = !bd_tensorcfg_same(&c->before.w, &c->after.w);
        bool a = !bd_tensorcfg_same(&c->before.a, &c->after.a);
        if (w)
            ask_w(s, c->layer, until);
        if (a)
            ask_a(s, c->layer);
        any = any || w || a;
    }
    if (step->n > 1)
        raise_visible(s);
    else if (step->n == 1) /* what was just turned comes before the rest */
        bd_lanes_raise(s->lanes, bd_live_key(BD_LIVE_W, step->change->layer));
    if (any)
        ask_acc(s);
}

void bd_session_visible(struct bd_session *s, const int *layers, size_t n)
{
    if (n == s->nvisible &&
        (n == 0 || memcmp(layers, s->visible, n * sizeof *layers) == 0))
        return;
    if (!bd_grow((void **)&s->visible, &s->visible_cap, n, sizeof *layers))
        return;
    if (n > 0)
        memcpy(s->visible, layers, n * sizeof *layers);
    s->nvisible = n;
    raise_visible(s);
}

/* -------------------------------------------------------------- collecting */

static void calibrated(struct bd_session *s)
{
    for (size_t i = 0; i < s->m->nlayers; i++)
        ask_a(s, (int)i);
    raise_visible(s);
}

static void failed(struct bd_session *s, struct bd_done *d,
                   enum bd_live_kind kind, int layer)
{
    char shown[256];
    switch (kind) {
    case BD_LIVE_W:
    case BD_LIVE_A:
    case BD_LIVE_CHANNELS:
        s->live[layer].failed = true;
        s->live[layer].chan_asked = 0;
        bd_text_show(shown, sizeof shown, s->m->layer[layer].name, 0);
        bd_session_say(s, "%s of '%s': %s", d->job->title, shown,
                       d->err.msg);
        break;
    case BD_LIVE_CALIB:
    case BD_LIVE_FLOAT:
    case BD_LIVE_ACC:
    case BD_LIVE_SAVE:
        bd_session_say(s, "%s: %s%s%s", d->job->title,
                       d->err.file[0] ? d->err.file : "",
                       d->err.file[0] ? ": " : "", d->err.msg);
        break;
    }
}

static void accept(struct bd_session *s, struct bd_done *d,
                   enum bd_live_kind kind, int layer)
{
    switch (kind) {
    case BD_LIVE_W:
        w_accept(s, d, layer);
        break;
    case BD_LIVE_A:
        a_accept(s, d, layer);
        break;
    case BD_LIVE_CHANNELS:
        c_accept(s, d, layer);
        break;
    case BD_LIVE_CALIB:
        calibrated(s);
        break;
    case BD_LIVE_ACC:
    case BD_LIVE_FLOAT:
        acc_accept(s, d);
        break;
    case BD_LIVE_SAVE:
        break;
    }
}

static void receive(void *arg, struct bd_done *d)
{
    struct bd_session *s = arg;
    enum bd_live_kind kind = (enum bd_live_kind)(d->key >> 32);
    int layer = (int)(d->key & 0xffffffffu);
    if (kind == BD_LIVE_SAVE)
        s->saving = false;
    s->shown_changed = true;
    if (d->status == BD_OK)
        accept(s, d, kind, layer);
    else if (d->status != BD_ECANCELLED)
        failed(s, d, kind, layer);
    else if (kind == BD_LIVE_CHANNELS)
        s->live[layer].chan_asked = 0;
}

bool bd_session_collect(struct bd_session *s)
{
    s->shown_changed = false;
    bd_lanes_collect(s->lanes, receive, s);
    return s->shown_changed;
}

int bd_session_fd(const struct bd_session *s)
{
    return bd_lanes_fd(s->lanes);
}

bool bd_session_idle(const struct bd_session *s)
{
    return bd_lanes_idle(s->lanes);
}

void bd_session_wait(struct bd_session *s)
{
    bd_lanes_wait(s->lanes);
}

size_t bd_session_progress(const struct bd_session *s,
                           struct bd_progress *out, size_t cap)
{
    return bd_lanes_progress(s->lanes, out, cap);
}

/* The youngest of the running jobs a person would call one: the eval and
 * long lanes before the layer errors, which are over in a moment. */
void bd_session_cancel(struct bd_session *s)
{
    struct bd_progress p[BD_LANES];
    size_t n = bd_lanes_progress(s->lanes, p, BD_LANES), best = n;
    for (size_t i = 0; i < n; i++) {
        if (!p[i].running)
            continue;
        if (best == n || (p[best].lane == BD_LANE_FAST &&
                          p[i].lane != BD_LANE_FAST) ||
            (p[i].lane != BD_LANE_FAST &&
             p[i].started_ns > p[best].started_ns))
            best = i;
    }
    if (best < n)
        bd_lanes_cancel(s->lanes, p[best].key);
}

void bd_live_done(struct bd_session *s)
{
    for (size_t i = 0; s->live && i < s->m->nlayers; i++) {
        bd_fits_unref(s->fits, s->live[i].fit);
        bd_free(s->live[i].chan);
    }
    bd_free(s->live);
    if (s->grid) {
        bd_fits_unref(s->fits, s->grid->fit);
        bd_free(s->grid->levels);
        bd_free(s->grid->cuts);
    }
    bd_free(s->grid);
    bd_free(s->acc_cache);
    bd_free(s->visible);
}
