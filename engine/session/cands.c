/* What every layer may take.
 *
 * A form is a way to quantize without its width: "uniform, per channel, clip
 * by mse".  Forms times widths are the candidates.  Their squared error is
 * exact (calib), their cost is bd_stored_bits, and their loss is
 *
 *   with a sweep:  the loss the sweep measured for this layer at that error.
 *     Between measured errors it is interpolated on logarithmic axes, beyond
 *     them it grows in proportion, as the second-order term does.  So a sweep
 *     of a few widths prices every form.
 *   without:       the noise-to-signal ratio of the weights, err2 / power.
 *
 * Inputs, where asked for, go the same way; their error is the noise-to-signal
 * ratio on the calibration images.  Where a sweep measured weights alone, an
 * input's ratio counts at the rate the weights show, so that both add up.
 *
 * Gathering runs over the pool in small batches; grids per tensor, which the
 * distortion index prices in microseconds, come first and are posted. */
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char out_of_memory[] = "out of memory for the candidates";

struct bd_cands *bd_cands_ref(struct bd_cands *c)
{
    if (c)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void bd_cands_unref(struct bd_cands *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    bd_free(c->first);
    bd_free(c->c);
    bd_free(c->first_in);
    bd_free(c->in);
    bd_free(c->power);
    bd_free(c);
}

/* ------------------------------------------------------------------- slots
 * A slot is a choice whose error is wanted: a candidate, or what a sweep
 * measured (key -1). */
struct slot {
    size_t layer;
    bool input; /* else weights */
    struct bd_tensorcfg t;
    int key;
    const struct bd_sens_point *point; /* of a measured one */
    bool done;
    double err2, psnr_db;
    double power; /* of the weights: their sum of squares */
};
enum { BATCH = 16 };
struct gather {
    const struct bd_cands_ask *a;
    struct slot *slot;
    size_t n, cap, from;
    double *power;
    int *tie; /* of inputs */
    struct bd_ctl *ctl;
    struct bd_err *err;
    struct bd_err batch[BATCH]; /* of the batch under way */
    bd_status status[BATCH];
};

static bd_status add_slot(struct gather *g, struct slot slot)
{
    if (!bd_grow((void **)&g->slot, &g->cap, g->n + 1, sizeof *g->slot))
        return bd_fail(g->err, BD_ENOMEM, out_of_memory);
    g->slot[g->n++] = slot;
    return BD_OK;
}

static bd_status add_layer(struct gather *g, size_t i, bool input)
{
    const struct bd_cands_ask *a = g->a;
    struct bd_forms f = {0};
    size_t before = g->n;
    bd_status st = BD_OK;
    if (input)
        bd_cands_forms_in(&f, a, i, g->tie);
    else
        st = bd_cands_forms(&f, a, i, g->err);
    for (int k = 0; k < f.n && st == BD_OK; k++)
        for (int b = 0; b < a->nbits && st == BD_OK; b++) {
            struct bd_tensorcfg t = f.t[k];
            t.bits = (int8_t)a->bits[b];
            if (bd_config_allows(a->m, (int)i, !input, &t, NULL) == BD_OK &&
                !(a->bits[b] == 32 && k > 0))
                st = add_slot(g, (struct slot){
                    .layer = i, .input = input, .t = t,
                    .key = a->bits[b] * BD_CAND_FORMS + k});
        }
    if (st == BD_OK && g->n == before) {
        char shown[128];
        bd_text_show(shown, sizeof shown, a->m->layer[i].name, 40);
        st = bd_fail(g->err, BD_EINVALID,
                     "layer '%s': the method of its %s has none of these "
                     "widths", shown, input ? "input" : "weights");
    }
    return st;
}

/* Only layers alone and one side alone: other kinds price something else. */
static bd_status add_measured(struct gather *g)
{
    const struct bd_sens_table *s = &g->a->sens;
    bd_status st = BD_OK;
    for (size_t i = 0; i < s->n && s->mode == BD_SENS_ALONE_ON && st == BD_OK;
         i++) {
        const struct bd_sens_point *p = &s->point[i];
        bool input = p->what == BD_SENS_A;
        const struct bd_tensorcfg *t = input ? &p->a : &p->w;
        if (p->what == BD_SENS_WA || (input && !g->a->inputs) ||
            p->layer < 0 || (size_t)p->layer >= g->a->m->nlayers ||
            bd_session_is_float(t) || t->channel ||
            bd_config_allows(g->a->m, p->layer, !input, t, NULL) != BD_OK)
            continue;
        st = add_slot(g, (struct slot){.layer = (size_t)p->layer,
                                       .input = input, .t = *t, .key = -1,
                                       .point = p});
    }
    return st;
}

/* ------------------------------------------------------------------ errors */

/* An input of zeros alone loses nothing. */
static bd_status price_input(struct slot *s, const struct gather *g,
                             struct bd_err *err)
{
    struct bd_calib_input in = bd_bench_input(g->a->bench, (int)s->layer);
    struct bd_act_error e = {.psnr_db = INFINITY, .sqnr_db = INFINITY};
    bd_status st = BD_OK;
    in.ctl = g->ctl;
    if (!bd_session_is_float(&s->t))
        st = bd_acts_error(&e, &in, &s->t, err);
    s->err2 = isfinite(e.sqnr_db) ? pow(10, -e.sqnr_db / 10) : 0;
    s->psnr_db = isnan(e.psnr_db) ? INFINITY : e.psnr_db;
    s->done = st == BD_OK;
    return st;
}

static bd_status price(struct slot *s, const struct gather *g,
                       struct bd_err *err)
{
    if (s->input)
        return price_input(s, g, err);
    struct bd_fits *fits = g->a->fits;
    struct bd_weights w = bd_fits_weights(fits, (int)s->layer);
    const struct bd_basic *b;
    struct bd_qset set = {0};
    struct bd_error_stats e;
    bd_status st = bd_fits_basic(&b, fits, (int)s->layer, g->ctl, err);
    if (st != BD_OK)
        return st;
    w.index = b->index;
    s->power = b->stats.sumsq;
    if (bd_session_is_float(&s->t)) {
        s->psnr_db = INFINITY;
    } else if (bd_calib_index_error(&s->err2, NULL, &w, &s->t)) {
        double n = b->stats.n > 0 ? (double)b->stats.n : 1;
        s->psnr_db = bd_psnr_db(b->stats.absmax, s->err2 / n);
    } else {
        st = bd_calib_weights(&set, &w, &s->t, g->ctl, err);
        if (st == BD_OK)
            st = bd_error_of(&e, &w, &set, err);
        bd_qset_done(&set);
        if (st == BD_OK) {
            s->err2 = e.mse * (double)e.n;
            s->psnr_db = e.psnr_db;
        }
    }
    s->done = st == BD_OK;
    return st;
}

static bool price_one(void *arg, int64_t i, int worker)
{
    struct gather *g = arg;
    (void)worker;
    g->status[i] = bd_ctl_stale(g->ctl)
                       ? BD_ECANCELLED
                       : price(&g->slot[g->from + (size_t)i], g,
                               &g->batch[i]);
    return g->status[i] == BD_OK;
}

/* Slots [from, to), a batch at a time so that others get the pool too. */
static bd_status price_range(struct gather *g, size_t from, size_t to)
{
    struct bd_err *e = g->batch;
    bd_status *st = g->status;
    for (; from < to; from += BATCH) {
        size_t n = to - from < BATCH ? to - from : BATCH;
        for (size_t i = 0; i < n; i++) {
            e[i] = (struct bd_err){0};
            st[i] = BD_ECANCELLED;
        }
        g->from = from;
        bd_pool_for(g->a->pool, (int64_t)n, price_one, g);
        /* Cancellation is the echo of a failure: look for the cause. */
        for (size_t i = 0; i < n; i++)
            if (st[i] != BD_OK && st[i] != BD_ECANCELLED)
                return bd_fail(g->err, st[i], "%s", e[i].msg);
        for (size_t i = 0; i < n; i++)
            if (st[i] != BD_OK)
                return BD_ECANCELLED;
        for (size_t i = 0; i < n; i++) {
            const struct slot *s = &g->slot[from + i];
            if (!s->input) /* several slots of one layer: here, not there */
                g->power[s->layer] = s->power;
        }
        bd_ctl_progress(g->ctl, (int64_t)(from + n), (int64_t)g->n);
    }
    return BD_OK;
}

/* ------------------------------------------------------------------ losses */

struct side { /* of the network: its weights, or its inputs */
    const struct gather *g;
    bool input;
    int metric;             /* -1 = nothing was measured */
    struct bd_loss_pair *p; /* scratch */
    double rate;            /* loss per noise-to-signal ratio */
};

/* Gathers what was measured of one layer into p; returns the count. */
static size_t pairs_of(const struct side *d, size_t layer)
{
    size_t n = 0;
    for (size_t i = 0; i < d->g->n && d->metric >= 0; i++) {
        const struct slot *s = &d->g->slot[i];
        if (s->point && s->done && s->layer == layer && s->input == d->input)
            d->p[n++] = (struct bd_loss_pair){s->err2,
                                              s->point->value[d->metric]};
    }
    return bd_loss_tidy(d->p, n);
}

/* What noise-to-signal ratios are of. */
static double power_of(const struct side *d, size_t layer)
{
    return d->input ? 1 : d->g->power[layer];
}

/* Layers a sweep has not reached yet: their noise-to-signal ratio, at the
 * rate the others show. */
static void set_rate(struct side *d)
{
    double loss = 0, ratio = 0;
    for (size_t i = 0; i < d->g->a->m->nlayers; i++) {
        size_t n = pairs_of(d, i);
        for (size_t k = 0; k < n && power_of(d, i) > 0; k++) {
            loss += d->p[k].loss;
            ratio += d->p[k].err2 / power_of(d, i);
        }
    }
    if (ratio > 0 && loss > 0)
        d->rate = loss / ratio;
}

static void say_source(char *out, size_t cap, const struct side *d,
                       size_t known)
{
    size_t n = d->g->a->m->nlayers;
    const char *name = known > 0 ? bd_sens_metric_names[d->metric] : "";
    long long images = (long long)d->g->a->sens.images;
    char from[48] = "from a file"; /* others do not say of how many */
    if (images > 0)
        snprintf(from, sizeof from, "of %lld images", images);
    if (known == 0)
        snprintf(out, cap, "noise-to-signal ratio of the %s",
                 d->input ? "inputs" : "weights");
    else if (known < n)
        snprintf(out, cap, "%s %s, %zu of %zu layers", name, from, known, n);
    else
        snprintf(out, cap, "%s %s", name, from);
}

/* Of one side; the count of layers that were measured. */
static size_t set_side(struct bd_cands *c, struct side *d)
{
    const size_t *first = d->input ? c->first_in : c->first;
    struct bd_cand *list = d->input ? c->in : c->c;
    size_t known = 0;
    set_rate(d);
    for (size_t i = 0; i < c->n; i++) {
        size_t n = pairs_of(d, i);
        double power = power_of(d, i);
        known += n > 0;
        for (size_t k = first[i]; k < first[i + 1]; k++)
            list[k].loss = n > 0 ? bd_loss_at(d->p, n, list[k].err2)
                           : power > 0 ? d->rate * list[k].err2 / power
                                       : 0;
    }
    return known;
}

static bd_status set_losses(struct bd_cands *c, const struct gather *g,
                            struct bd_err *err)
{
    struct side d = {.g = g, .metric = bd_loss_metric(&g->a->sens), .rate = 1,
                     .p = bd_alloc(g->a->sens.n + 1, sizeof *d.p)};
    if (!d.p)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    size_t known = set_side(c, &d);
    c->measured = known > 0;
    say_source(c->source, sizeof c->source, &d, known);
    if (c->in) { /* at the weights' rate, unless they have their own */
        d.input = true;
        known = set_side(c, &d);
        say_source(c->source_in, sizeof c->source_in, &d, known);
    }
    bd_free(d.p);
    return BD_OK;
}

/* ---------------------------------------------------------------- the table */

static int by_cost(const void *a, const void *b)
{
    const struct bd_cand *x = a, *y = b;
    if (x->stored != y->stored)
        return x->stored < y->stored ? -1 : 1;
    return x->key - y->key;
}

/* The candidates of one side, layer by layer. */
static void fill_side(struct bd_cand *to, size_t *first,
                      const struct gather *g, bool input)
{
    const struct bd_model *m = g->a->m;
    size_t at = 0;
    for (size_t i = 0; i < m->nlayers; i++) {
        first[i] = at;
        for (size_t k = 0; k < g->n; k++) {
            const struct slot *s = &g->slot[k];
            if (s->layer == i && s->done && !s->point && s->input == input)
                to[at++] = (struct bd_cand){
                    s->t, s->key,
                    input ? s->t.bits : bd_stored_bits(m, (int)i, &s->t),
                    s->err2, s->psnr_db, 0};
        }
        qsort(to + first[i], at - first[i], sizeof *to, by_cost);
    }
    first[m->nlayers] = at;
}

/* A table of the candidates priced so far. */
static bd_status make(struct bd_cands **out, const struct gather *g,
                      bool partial, struct bd_err *err)
{
    size_t n = g->a->m->nlayers;
    bool in = g->a->inputs;
    struct bd_cands *c = bd_calloc(1, sizeof *c);
    if (!c)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    atomic_init(&c->refs, 1);
    c->n = n;
    c->partial = partial;
    c->first = bd_calloc(n + 1, sizeof *c->first);
    c->c = bd_calloc(g->n + 1, sizeof *c->c);
    c->power = bd_calloc(n + 1, sizeof *c->power);
    c->first_in = in ? bd_calloc(n + 1, sizeof *c->first_in) : NULL;
    c->in = in ? bd_calloc(g->n + 1, sizeof *c->in) : NULL;
    if (!c->first || !c->c || !c->power || (in && (!c->first_in || !c->in))) {
        bd_cands_unref(c);
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    }
    memcpy(c->power, g->power, n * sizeof *c->power);
    fill_side(c->c, c->first, g, false);
    if (in)
        fill_side(c->in, c->first_in, g, true);
    bd_status st = set_losses(c, g, err);
    if (st != BD_OK)
        bd_cands_unref(c);
    else
        *out = c;
    return st;
}

/* Quick ones first: one grid per tensor, answered by the index. */
static int quick_first(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    int qx = x->t.grain != BD_GRAIN_TENSOR, qy = y->t.grain != BD_GRAIN_TENSOR;
    if (qx != qy)
        return qx - qy;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    if (x->input != y->input)
        return (int)x->input - (int)y->input;
    return x->key != y->key ? x->key - y->key
                            : (int)x->t.bits - (int)y->t.bits;
}

/* A table without a choice for some layer answers nothing. */
static bool all_have_some(const struct bd_cands *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->first[i] == c->first[i + 1])
            return false;
    return true;
}

static bd_status price_all(struct gather *g, struct bd_err *err)
{
    struct bd_cands *c;
    size_t quick = 0;
    qsort(g->slot, g->n, sizeof *g->slot, quick_first);
    while (quick < g->n && g->slot[quick].t.grain == BD_GRAIN_TENSOR)
        quick++;
    bd_status st = price_range(g, 0, quick);
    if (st == BD_OK && quick < g->n && !g->a->inputs &&
        make(&c, g, true, err) == BD_OK &&
        !(all_have_some(c) && bd_ctl_post(g->ctl, c)))
        bd_cands_unref(c);
    return st == BD_OK ? price_range(g, quick, g->n) : st;
}

/* What inputs are priced by. */
static bd_status begin_inputs(struct gather *g, struct bd_err *err)
{
    g->tie = bd_alloc(g->a->m->nlayers + 1, sizeof *g->tie);
    if (!g->tie)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    bd_status st = bd_session_ties(g->tie, g->a->m, false, err);
    return st == BD_OK ? bd_bench_calibrate(g->a->bench, g->ctl, err) : st;
}

bd_status bd_cands_build(struct bd_cands **out, const struct bd_cands_ask *a,
                         struct bd_ctl *ctl, struct bd_err *err)
{
    struct gather g = {.a = a, .ctl = ctl, .err = err};
    bd_status st = BD_OK;
    g.power = bd_calloc(a->m->nlayers + 1, sizeof *g.power);
    if (!g.power)
        st = bd_fail(err, BD_ENOMEM, out_of_memory);
    else if (a->inputs)
        st = begin_inputs(&g, err);
    for (size_t i = 0; i < a->m->nlayers && st == BD_OK; i++) {
        st = add_layer(&g, i, false);
        if (st == BD_OK && a->inputs)
            st = add_layer(&g, i, true);
    }
    if (st == BD_OK)
        st = add_measured(&g);
    if (st == BD_OK)
        st = price_all(&g, err);
    if (st == BD_OK)
        st = make(out, &g, false, err);
    bd_free(g.slot);
    bd_free(g.tie);
    bd_free(g.power);
    return st;
}

/* Between candidates the loss is taken in proportion to the error. */
double bd_cands_loss(const struct bd_cands *c, size_t layer, double err2)
{
    double best = INFINITY, loss = 0;
    for (size_t k = c->first[layer]; k < c->first[layer + 1]; k++) {
        double e = c->c[k].err2;
        double far = e > 0 && err2 > 0 ? fabs(log(e / err2)) : INFINITY;
        if (far < best) {
            best = far;
            loss = c->c[k].loss * err2 / e;
        }
    }
    return loss;
}
