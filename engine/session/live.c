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
#include "session/live_priv.h"

#include <string.h>

/* An edit may answer this much from indexes at once, before the lanes. */
static const int64_t at_once_ns = 1000000;

uint64_t bd_live_key(enum bd_live_kind kind, int layer)
{
    return (uint64_t)kind << 32 | (uint32_t)layer;
}

/* --------------------------------------------------------- the eval lane */

static bd_status calib_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_live_order *o = arg;
    (void)result;
    return bd_bench_calibrate(o->bench, ctl, err);
}

static bd_status float_run(void **result, void *arg, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    struct bd_live_order *o = arg;
    (void)result;
    return bd_bench_float(o->bench, ctl, err);
}

static bd_status acc_run(void **result, void *arg, struct bd_ctl *ctl,
                         struct bd_err *err)
{
    struct bd_live_order *o = arg;
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

void bd_live_remember(struct bd_session *s, const struct bd_acc_answer *a)
{
    if (!s->acc_cache)
        return;
    s->acc_cache[s->acc_next] = *a;
    s->acc_next = (s->acc_next + 1) % BD_ACC_CACHE;
    if (s->acc_n < BD_ACC_CACHE)
        s->acc_n++;
}

const struct bd_net_eval *bd_live_known(const struct bd_session *s,
                                        uint64_t digest)
{
    for (size_t i = 0; i < s->acc_n; i++)
        if (s->acc_cache[i].digest == digest)
            return &s->acc_cache[i].eval;
    return NULL;
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
    if (a && !d->partial) {
        bd_live_remember(s, a);
        bd_trade_seen(s, a);
    }
    bd_free(a);
    bd_repair_measured(s);
}

static void eval_job(struct bd_session *s, enum bd_live_kind kind,
                     const char *title,
                     bd_status (*run)(void **, void *, struct bd_ctl *,
                                      struct bd_err *))
{
    struct bd_live_order *o = bd_live_order_new(s, 0, NULL);
    if (!o)
        return;
    bd_live_submit(s, &(struct bd_job){
        .key = bd_live_key(kind, 0), .lane = BD_LANE_EVAL, .title = title,
        .arg = o, .run = run, .free_arg = bd_live_order_free,
        .free_result = bd_free});
}

bool bd_live_measure(struct bd_session *s, uint64_t key, const char *title,
                     struct bd_bench *bench, const struct bd_bitcfg *cfg)
{
    struct bd_live_order *o = bd_live_order_new(s, 0, NULL);
    if (!o)
        return false;
    o->bench = bench;
    if (bd_bitcfg_copy(&o->cfg, cfg) != BD_OK) {
        bd_live_order_free(o);
        bd_session_say(s, "out of memory for a job");
        return false;
    }
    return bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_EVAL, .title = title, .arg = o,
        .run = acc_run, .free_arg = bd_live_order_free,
        .free_result = bd_free}) == BD_OK;
}

void bd_live_accuracy(struct bd_session *s)
{
    if (!s->bench)
        return;
    bd_lanes_touch(s->lanes, bd_live_key(BD_LIVE_ACC, 0));
    if (bd_session_is_original(s))
        return; /* the float run answers */
    const struct bd_net_eval *known = bd_live_known(s, s->digest);
    if (known) {
        s->acc = (struct bd_acc_live){true, false, s->digest, *known};
        bd_repair_measured(s);
        return;
    }
    bd_live_measure(s, bd_live_key(BD_LIVE_ACC, 0), "accuracy", s->bench,
                    &s->cfg);
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
        bd_live_ask_w(s, (int)i, 0);
    raise_visible(s);
    if (!s->bench)
        return;
    eval_job(s, BD_LIVE_CALIB, "calibration", calib_run);
    eval_job(s, BD_LIVE_FLOAT, "float accuracy", float_run);
    bd_live_accuracy(s);
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
            bd_live_ask_w(s, c->layer, until);
        if (a)
            bd_live_ask_a(s, c->layer);
        any = any || w || a;
    }
    if (step->n > 1)
        raise_visible(s);
    else if (step->n == 1) /* what was just turned comes before the rest */
        bd_lanes_raise(s->lanes, bd_live_key(BD_LIVE_W, step->change->layer));
    if (any)
        bd_live_accuracy(s);
    bd_tools_edited(s);
}

/* ------------------------------------------------------------ other stages */

static void no_grid(struct bd_session *s)
{
    if (!s->grid)
        return;
    bd_fits_unref(s->fits, s->grid->fit);
    s->grid->fit = NULL;
    s->grid->n = 0;
}

/* Numbers stay to be shown as stale; what they point at goes. */
void bd_live_leave(struct bd_session *s)
{
    no_grid(s);
    for (size_t i = 0; i < s->m->nlayers; i++) {
        struct bd_layer_live *l = &s->live[i];
        bd_fits_unref(s->fits, l->fit);
        l->fit = NULL;
        l->w_full = l->failed = false;
        l->w_digest = l->a.digest = l->chan_asked = 0;
        if (l->chan)
            l->chan->digest = 0;
        bd_lanes_touch(s->lanes, bd_live_key(BD_LIVE_CHANNELS, (int)i));
    }
}

void bd_live_network(struct bd_session *s)
{
    int64_t until = bd_now_ns() + at_once_ns;
    s->shown_changed = true;
    if (!s->started)
        return;
    for (size_t i = 0; i < s->m->nlayers; i++) {
        bd_live_ask_w(s, (int)i, until);
        bd_live_ask_a(s, (int)i);
    }
    raise_visible(s);
    if (s->bench && !bd_bench_stat(s->bench, 0))
        eval_job(s, BD_LIVE_CALIB, "calibration", calib_run);
    if (s->bench && !bd_bench_float_eval(s->bench))
        eval_job(s, BD_LIVE_FLOAT, "float accuracy", float_run);
    bd_live_accuracy(s);
    bd_tools_edited(s);
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

/* Memory for channels is bounded: where there was none, one grid serves. */
static void say_without_channels(struct bd_session *s)
{
    for (size_t i = 0; i < s->m->nlayers; i++) {
        char shown[256];
        if (bd_bench_chanstat(s->bench, (int)i) || s->m->layer[i].input < 0)
            continue;
        bd_text_show(shown, sizeof shown, s->m->layer[i].name, 0);
        bd_session_say(s, "inputs of '%s': %lld channels are too many for "
                          "statistics of each; one grid serves all", shown,
                       (long long)bd_config_inputs(s->m, (int)i));
    }
}

static void calibrated(struct bd_session *s)
{
    say_without_channels(s);
    for (size_t i = 0; i < s->m->nlayers; i++)
        bd_live_ask_a(s, (int)i);
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
    case BD_LIVE_WRITE:
    case BD_LIVE_TOOL:
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
        bd_live_accept_w(s, d, layer);
        break;
    case BD_LIVE_A:
        bd_live_accept_a(s, d, layer);
        break;
    case BD_LIVE_CHANNELS:
        bd_live_accept_c(s, d, layer);
        break;
    case BD_LIVE_CALIB:
        calibrated(s);
        break;
    case BD_LIVE_ACC:
    case BD_LIVE_FLOAT:
        acc_accept(s, d);
        break;
    case BD_LIVE_SAVE:
    case BD_LIVE_WRITE:
    case BD_LIVE_TOOL:
        break;
    }
}

/* Only what a person stopped arrives as cancelled.  A layer whose number is
 * not coming is marked, or its ~ would promise one for ever. */
static void stopped(struct bd_session *s, enum bd_live_kind kind, int layer)
{
    char shown[256];
    if (kind == BD_LIVE_CHANNELS)
        s->live[layer].chan_asked = 0;
    if (kind != BD_LIVE_W && kind != BD_LIVE_A)
        return;
    s->live[layer].failed = true;
    bd_text_show(shown, sizeof shown, s->m->layer[layer].name, 0);
    bd_session_say(s, "error of '%s': stopped; the next edit of the layer "
                      "asks again", shown);
}

static void receive(void *arg, struct bd_done *d)
{
    struct bd_session *s = arg;
    enum bd_live_kind kind = (enum bd_live_kind)(d->key >> 32);
    int layer = (int)(d->key & 0xffffffffu);
    if (kind == BD_LIVE_SAVE)
        s->saving = false;
    s->shown_changed = true;
    if (kind == BD_LIVE_WRITE)
        bd_write_done(s, d);
    else if (kind == BD_LIVE_TOOL)
        bd_tools_accept(s, d, (uint32_t)d->key);
    else if (d->status == BD_OK)
        accept(s, d, kind, layer);
    else if (d->status != BD_ECANCELLED)
        failed(s, d, kind, layer);
    else
        stopped(s, kind, layer);
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
    bd_tools_done(s);
    bd_free(s->acc_cache);
    bd_free(s->visible);
}
