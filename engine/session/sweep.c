/* The sweep as a tool of the session: a job on the long lane whose results
 * so far are shown while it runs, and stay when it is stopped.
 *
 * What is asked of the results: how much does this layer, as it is now, hurt?
 * Widths between measured ones are interpolated in the logarithm of the loss,
 * where quantization error is a straight line of 6 dB per bit; wider ones go
 * on along it; narrower ones are not known. */
#include "session/sweep_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct order { /* the job's argument */
    struct bd_sens_table t;
    struct bd_sweep_ask ask;
};

struct answer { /* a partial or final result */
    struct bd_sens_table t;
    char note[600];
};

struct tool {
    struct bd_sens_table t; /* points NULL = none yet */
    unsigned sides;         /* 1 << enum bd_sens_what, those of t */
    int common[4];          /* by that: a width measured, 4 or nearest */
    bool running;
    struct bd_why *why; /* NULL = not asked, or on its way */
};

static void free_order(void *p)
{
    struct order *o = p;

    bd_sens_done(&o->t);
    bd_free(o);
}

static void free_answer(void *p)
{
    struct answer *a = p;

    bd_sens_done(&a->t);
    bd_free(a);
}

/* ------------------------------------------------------------------ the job */

static void post(void *arg, const struct bd_sens_table *t)
{
    struct answer *a = bd_calloc(1, sizeof *a);

    if (!a)
        return;
    if (bd_sens_copy(&a->t, t) != BD_OK || !bd_ctl_post(arg, a))
        free_answer(a);
}

/* A sweep that was stopped still delivers what it has. */
static bd_status run(void **result, void *arg, struct bd_ctl *ctl,
                     struct bd_err *err)
{
    struct order *o = arg;
    struct answer *a = bd_calloc(1, sizeof *a);
    bd_status st;

    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    o->ask.post = post;
    o->ask.arg = ctl;
    st = bd_sweep_run(&o->t, &o->ask, ctl, err);
    if (st == BD_ECANCELLED && o->t.evaluations > 0)
        st = BD_OK;
    if (st != BD_OK) {
        bd_free(a);
        return st;
    }
    memcpy(a->note, o->ask.note, sizeof a->note);
    a->t = o->t;
    o->t = (struct bd_sens_table){0};
    *result = a;
    return BD_OK;
}

/* Into the log, and under the eyes. */
static void say_end(struct bd_session *s, const struct bd_sens_table *t,
                    const char *note)
{
    char *text = s->news.text;

    if (note[0])
        bd_session_say(s, "%s", note);
    if (t->complete)
        snprintf(text, sizeof s->news.text,
                 "sensitivity: %zu choices on %lld images", t->n,
                 (long long)t->images);
    else
        snprintf(text, sizeof s->news.text,
                 "sensitivity: stopped; what was measured is kept, and the "
                 "same sweep goes on from there");
    bd_session_say(s, "%s", text);
    s->news.have = true;
    s->news.refused = false;
}

/* What is asked of the table on every drawing, once. */
static void look_over(struct tool *t)
{
    t->sides = 0;
    memset(t->common, 0, sizeof t->common);
    for (size_t i = 0; i < t->t.n; i++) {
        const struct bd_sens_point *p = &t->t.point[i];
        int b = p->what == BD_SENS_A ? p->a.bits : p->w.bits;
        int *best = &t->common[p->what];

        t->sides |= 1u << p->what;
        if (!*best || abs(b - 4) < abs(*best - 4))
            *best = b;
    }
}

enum { SWEEP, WHY }; /* the tool's jobs */

/* The answer to `why`, or nothing. */
static void accept_why(struct tool *t, struct bd_done *d)
{
    bd_free(t->why);
    t->why = d->result;
}

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    struct tool *t = state;
    struct answer *a = d->result;

    if (sub == WHY) {
        accept_why(t, d);
        return;
    }
    if (!d->partial)
        t->running = false;
    if (!a) {
        if (d->status != BD_ECANCELLED)
            bd_session_say(s, "sweep: %s", d->err.msg);
        return;
    }
    bd_sens_done(&t->t);
    t->t = a->t;
    a->t = (struct bd_sens_table){0};
    look_over(t);
    if (!d->partial)
        say_end(s, &t->t, a->note);
    free_answer(a);
}

static void done(void *state)
{
    struct tool *t = state;

    bd_sens_done(&t->t);
    bd_free(t->why);
}

const struct bd_tool bd_sweep_tool = {
    .state_size = sizeof(struct tool), .accept = accept, .done = done};

/* ---------------------------------------------------------------- starting */

static void fill_ask(struct bd_sweep_ask *a, struct bd_session *s,
                     const struct bd_sweep_opts *o)
{
    *a = (struct bd_sweep_ask){.m = s->m, .fits = s->fits, .bench = s->bench,
                               .pool = s->pool,
                               .no_early_stop = o->no_early_stop,
                               .no_cache = o->no_cache};
}

bd_status bd_session_sweep(struct bd_session *s, const struct bd_sweep_opts *o,
                           struct bd_err *err)
{
    struct tool *t = bd_tool_state(s, BD_TOOL_SWEEP);
    uint64_t key = bd_tool_key(BD_TOOL_SWEEP, SWEEP);

    if (!s->bench)
        return bd_fail(err, BD_EUNSUPPORTED, "%s", s->why);
    struct order *order = bd_calloc(1, sizeof *order);
    if (!order || !t) {
        bd_free(order);
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    }
    bd_status st = bd_sweep_points(&order->t, s, o, err);
    if (st != BD_OK) {
        free_order(order);
        return st;
    }
    fill_ask(&order->ask, s, o);
    bd_lanes_touch(s->lanes, key);
    t->running = true;
    return bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_LONG, .title = "sensitivity",
        .arg = order, .run = run, .free_arg = free_order,
        .free_result = free_answer});
}

void bd_session_sweep_stop(struct bd_session *s)
{
    bd_lanes_cancel(s->lanes, bd_tool_key(BD_TOOL_SWEEP, SWEEP));
}

bd_status bd_session_ask_why(struct bd_session *s, int layer,
                             struct bd_err *err)
{
    struct tool *t = bd_tool_state(s, BD_TOOL_SWEEP);
    struct bd_why_ask *a = t ? bd_why_ask_new(s, layer) : NULL;
    uint64_t key = bd_tool_key(BD_TOOL_SWEEP, WHY);

    if (!a)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_free(t->why);
    t->why = NULL;
    bd_lanes_touch(s->lanes, key);
    return bd_live_submit(s, &(struct bd_job){
        .key = key, .lane = BD_LANE_FAST, .title = "why", .arg = a,
        .run = bd_why_run, .free_arg = bd_why_ask_free,
        .free_result = bd_free});
}

const struct bd_why *bd_session_why(const struct bd_session *s)
{
    const struct tool *t = bd_tool_peek(s, BD_TOOL_SWEEP);

    return t ? t->why : NULL;
}

bd_status bd_session_now_sweep(struct bd_sens_table *out,
                               struct bd_session *s,
                               const struct bd_sweep_opts *o,
                               struct bd_ctl *ctl, struct bd_err *err)
{
    struct bd_sweep_ask ask;
    struct bd_sens_table t = {0};

    if (!s->bench)
        return bd_fail(err, BD_EUNSUPPORTED, "%s", s->why);
    bd_status st = bd_sweep_points(&t, s, o, err);
    if (st != BD_OK)
        return st;
    fill_ask(&ask, s, o);
    st = bd_sweep_run(&t, &ask, ctl, err);
    if (ask.note[0])
        bd_session_say(s, "%s", ask.note);
    /* Stopped on the way: what is there is an answer, not complete. */
    if (st == BD_OK || (st == BD_ECANCELLED && t.evaluations > 0))
        *out = t;
    else
        bd_sens_done(&t);
    return st;
}

/* -------------------------------------------------------------- the results */

const struct bd_sens_table *bd_session_sens(const struct bd_session *s)
{
    const struct tool *t = bd_tool_peek(s, BD_TOOL_SWEEP);

    return t && t->t.point ? &t->t : NULL;
}

bool bd_session_sweeping(const struct bd_session *s)
{
    const struct tool *t = bd_tool_peek(s, BD_TOOL_SWEEP);

    return t && t->running;
}

/* The same choice but for the width. */
static bool same_kind(const struct bd_tensorcfg *a,
                      const struct bd_tensorcfg *b)
{
    return a->quant == b->quant && a->clip == b->clip &&
           a->grain == b->grain && a->group == b->group;
}

/* Any table of a layer: the losses of one side by width, in a kind, or in
 * whatever kind is there. */
struct curve {
    double loss[33], half[33]; /* NaN = no point */
    int first, last;           /* widths, first > last = none */
};

/* Where a layer's points begin: they lie in order of layers. */
static size_t first_of(const struct bd_sens_table *t, int layer)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (t->point[mid].layer < layer)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void read_curve(struct curve *c, const struct bd_sens_table *t,
                       int layer, enum bd_sens_what what,
                       const struct bd_tensorcfg *kind)
{
    int k = t->lead;

    c->first = 33;
    c->last = 0;
    for (int b = 0; b < 33; b++)
        c->loss[b] = c->half[b] = NAN;
    for (size_t i = first_of(t, layer);
         i < t->n && t->point[i].layer == layer; i++) {
        const struct bd_sens_point *p = &t->point[i];
        const struct bd_tensorcfg *x = what == BD_SENS_A ? &p->a : &p->w;
        int b = x->bits;

        if (p->what != what || b < 1 || b > 16 ||
            (kind && !same_kind(kind, x)) || isnan(p->value[k]) ||
            !isnan(c->loss[b]))
            continue;
        c->loss[b] = p->value[k];
        c->half[b] = p->half[k];
        c->first = b < c->first ? b : c->first;
        c->last = b > c->last ? b : c->last;
    }
}

static double positive(double v)
{
    return v > 1e-12 ? v : 1e-12;
}

static double at_width(const struct curve *c, int bits)
{
    int lo = bits, hi = bits;

    if (bits > c->last && c->first <= c->last)
        return c->loss[c->last] * pow(0.25, bits - c->last);
    if (bits < c->first)
        return NAN;
    while (isnan(c->loss[lo]))
        lo--;
    while (isnan(c->loss[hi]))
        hi++;
    if (lo == hi)
        return c->loss[lo];
    double f = (double)(bits - lo) / (double)(hi - lo);
    return exp((1 - f) * log(positive(c->loss[lo])) +
               f * log(positive(c->loss[hi])));
}

/* Of one side as it is now. */
static double side_loss(const struct bd_sens_table *t, int layer,
                        enum bd_sens_what what, const struct bd_tensorcfg *now)
{
    struct curve c;

    if (bd_session_is_float(now))
        return 0;
    read_curve(&c, t, layer, what, now);
    if (c.first > c.last)
        read_curve(&c, t, layer, what, NULL);
    return at_width(&c, now->bits);
}

double bd_sweep_side(const struct bd_session *s, int layer,
                     enum bd_sens_what what)
{
    const struct tool *tool = bd_tool_peek(s, BD_TOOL_SWEEP);
    const struct bd_layercfg *l = &s->cfg.layer[layer];

    if (!bd_session_sens(s) || !(tool->sides & 1u << what))
        return NAN;
    return side_loss(&tool->t, layer, what,
                     what == BD_SENS_A ? &l->a : &l->w);
}

double bd_session_layer_sens(const struct bd_session *s, int layer)
{
    const struct tool *tool = bd_tool_peek(s, BD_TOOL_SWEEP);
    const struct bd_sens_table *t = bd_session_sens(s);
    const struct bd_layercfg *l = &s->cfg.layer[layer];
    double loss = 0;

    if (!t || t->mode != BD_SENS_ALONE_ON)
        return NAN;
    bool w = tool->sides & 1u << BD_SENS_W, a = tool->sides & 1u << BD_SENS_A;
    if (!w && !a)
        return side_loss(t, layer, BD_SENS_WA, &l->w);
    if (w)
        loss += side_loss(t, layer, BD_SENS_W, &l->w);
    if (a)
        loss += side_loss(t, layer, BD_SENS_A, &l->a);
    return loss;
}

/* ----------------------------------------------------------- for the column */

/* Float layers: what 4 bits, or the nearest width measured, would do. */
static void judge(struct bd_sens_view *v, const struct bd_session *s,
                  int layer, enum bd_sens_what what)
{
    const struct tool *tool = bd_tool_peek(s, BD_TOOL_SWEEP);
    const struct bd_sens_table *t = &tool->t;
    const struct bd_layercfg *l = &s->cfg.layer[layer];
    const struct bd_tensorcfg *now = what == BD_SENS_A ? &l->a : &l->w;
    struct curve c;

    v->here = !bd_session_is_float(now);
    v->bits = v->here ? now->bits : tool->common[what];
    read_curve(&c, t, layer, what, v->here ? now : NULL);
    if (c.first > c.last)
        read_curve(&c, t, layer, what, NULL);
    v->loss = at_width(&c, v->bits);
    v->half = v->bits >= 1 && v->bits <= 16 ? c.half[v->bits] : NAN;
}

void bd_session_sens_of(struct bd_sens_view *out, const struct bd_session *s,
                        int layer)
{
    const struct tool *tool = bd_tool_peek(s, BD_TOOL_SWEEP);
    const struct bd_sens_table *t = bd_session_sens(s);
    struct bd_sens_view v = {.loss = NAN, .half = NAN, .per_bit = NAN};
    const struct bd_layer *l = &s->m->layer[layer];
    double n = (double)bd_tensor_count(&s->m->value[l->weight].t);

    if (t) {
        v.metric = t->lead;
        judge(&v, s, layer,
              tool->sides & 1u << BD_SENS_W   ? BD_SENS_W
              : tool->sides & 1u << BD_SENS_A ? BD_SENS_A
                                              : BD_SENS_WA);
        if (v.here && t->mode == BD_SENS_ALONE_ON)
            v.loss = bd_session_layer_sens(s, layer);
        if (n > 0 && v.bits > 0 && v.bits < 32)
            v.per_bit = v.loss / (n * (32 - v.bits));
    }
    *out = v;
}
