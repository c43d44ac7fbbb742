/* Widths per channel: every output channel of every layer is a layer of the
 * problem, so a bit goes where it helps most, whichever layer that is in.
 *
 * Errors per channel are exact.  A layer's loss is taken to be proportional
 * to its error at the rate of the layer's own answer for the same budget: the
 * price of an error is a property of the layer, not of the channel.  Costs
 * are those of bd_calib_stored_bits: codes, one scale per channel that has
 * any, five bits for each width. */
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EXACT_CHANNELS = 1500 }; /* more than that: one price for all */
static const char out_of_memory[] = "out of memory for the channels";

struct chans {
    const struct bd_search_ask *a;
    const struct bd_search_result *base; /* the answer per layer */
    struct bd_ctl *ctl;
    struct bd_err *err;
    int nbits, bits[16];
    size_t n;                      /* channels of unlocked layers */
    struct bd_alloc_layer *layer;  /* [n] */
    struct bd_alloc_option *option; /* [n * nbits] */
    size_t *first;                 /* [layers+1]; no channels = locked */
    double *err2;                  /* [most channels] */
};

/* Squared error of each channel, from the quantized weights. */
static void channel_errors(double *err2, const struct bd_weights *w,
                           const float *q)
{
    const struct bd_slices *s = &w->slices;
    for (int64_t c = 0; c < s->channels; c++) {
        struct bd_sum sum = {0};
        for (int64_t o = 0; o < s->outer; o++)
            for (int64_t k = 0; k < s->inner; k++) {
                int64_t at = (o * s->channels + c) * s->inner + k;
                double d = (double)w->x[at] - (double)q[at];
                bd_sum_add(&sum, d * d);
            }
        err2[c] = bd_sum_get(&sum);
    }
}

/* The form of a layer: its own method, one grid per channel, clip by mse. */
static struct bd_tensorcfg form_of(const struct chans *h, size_t i)
{
    struct bd_tensorcfg t = h->base->cfg.layer[i].w;
    t.channel = NULL;
    t.planes = NULL;
    t.grain = BD_GRAIN_CHANNEL;
    t.group = 0;
    if (t.clip != BD_CLIP_LEARNED) {
        t.clip = BD_CLIP_MSE;
        t.clip_value = 0;
    }
    return t;
}

static bool has_width(const struct chans *h, size_t i, int bits)
{
    struct bd_tensorcfg t = form_of(h, i);
    t.bits = (int8_t)bits;
    return bd_config_allows(h->a->m, (int)i, true, &t, NULL) == BD_OK;
}

/* Loss per squared error, where the layer stands now. */
static double rate_of(const struct chans *h, size_t i)
{
    const struct bd_cands *c = h->a->cands;
    for (size_t k = c->first[i]; k < c->first[i + 1]; k++)
        if (bd_tensorcfg_same(&c->c[k].t, &h->base->cfg.layer[i].w) &&
            c->c[k].err2 > 0)
            return c->c[k].loss / c->c[k].err2;
    return c->power[i] > 0 ? 1 / c->power[i] : 0;
}

static bd_status price_width(struct chans *h, size_t i, int b)
{
    struct bd_weights w = bd_fits_weights(h->a->fits, (int)i);
    struct bd_tensorcfg t = form_of(h, i);
    struct bd_qset set;
    int64_t len = w.slices.outer * w.slices.inner;
    float *q = bd_alloc((size_t)(len * w.slices.channels), sizeof *q);
    double rate = rate_of(h, i);
    if (!q)
        return bd_fail(h->err, BD_ENOMEM, out_of_memory);
    t.bits = (int8_t)h->bits[b];
    bd_status st = bd_calib_weights(&set, &w, &t, h->ctl, h->err);
    if (st == BD_OK) {
        bd_qset_apply(q, &w, &set);
        channel_errors(h->err2, &w, q);
        bd_qset_done(&set);
    }
    bd_free(q);
    for (int64_t c = 0; st == BD_OK && c < w.slices.channels; c++) {
        struct bd_alloc_layer *l = &h->layer[h->first[i] + (size_t)c];
        struct bd_alloc_option *o =
            h->option + (h->first[i] + (size_t)c) * (size_t)h->nbits;
        l->option = o;
        l->name = h->a->m->layer[i].name;
        l->tie = l->locked = -1;
        o[l->n++] = (struct bd_alloc_option){
            t.bits,
            (double)(t.bits * len + bd_quantizer_at(t.quant)->side_bits + 5),
            rate * h->err2[c]};
    }
    return st;
}

static bd_status price_all(struct chans *h)
{
    bd_status st = BD_OK;
    size_t n = h->a->m->nlayers;
    for (size_t i = 0; i < n && st == BD_OK; i++)
        for (int b = 0; b < h->nbits && st == BD_OK; b++) {
            if (h->first[i] == h->first[i + 1] || !has_width(h, i, h->bits[b]))
                continue;
            st = bd_ctl_stale(h->ctl) ? BD_ECANCELLED : price_width(h, i, b);
            bd_ctl_progress(h->ctl, (int64_t)i * h->nbits + b,
                            (int64_t)n * h->nbits);
        }
    return st;
}

static bd_status count_channels(struct chans *h)
{
    const struct bd_model *m = h->a->m;
    size_t most = 1;
    h->first = bd_calloc(m->nlayers + 1, sizeof *h->first);
    if (!h->first)
        return bd_fail(h->err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; i < m->nlayers; i++) {
        size_t c = (size_t)bd_config_channels(m, (int)i);
        const struct bd_tensorcfg *t = &h->base->cfg.layer[i].w;
        bool out = bd_search_locked(h->a, i) || bd_session_is_float(t);
        for (int b = 0; b < h->nbits && !out; b++)
            out = !has_width(h, i, h->bits[b]) && b + 1 == h->nbits &&
                  !has_width(h, i, h->bits[0]);
        h->first[i + 1] = h->first[i] + (out ? 0 : c);
        most = c > most ? c : most;
    }
    h->n = h->first[m->nlayers];
    h->layer = bd_calloc(h->n + 1, sizeof *h->layer);
    h->option = bd_calloc((h->n + 1) * (size_t)h->nbits, sizeof *h->option);
    h->err2 = bd_alloc(most, sizeof *h->err2);
    return h->layer && h->option && h->err2
               ? BD_OK
               : bd_fail(h->err, BD_ENOMEM, out_of_memory);
}

/* Layers that took no part keep what the base gave them. */
static double fixed_cost(const struct chans *h)
{
    double sum = 0;
    for (size_t i = 0; i < h->a->m->nlayers; i++)
        if (h->first[i] == h->first[i + 1])
            sum += (double)bd_stored_bits(h->a->m, (int)i,
                                          &h->base->cfg.layer[i].w);
    return sum;
}

/* Layers whose channels agree store one width, which saves the list. */
static bd_status set_layer(struct bd_search_result *res, const struct chans *h,
                           size_t i, const int *pick)
{
    size_t n = h->first[i + 1] - h->first[i];
    struct bd_tensorcfg t = form_of(h, i);
    int8_t *bits = bd_alloc(n + 1, 1);
    bool equal = true;
    double sum = 0;
    if (!bits)
        return BD_ENOMEM;
    for (size_t c = 0; c < n; c++) {
        const struct bd_alloc_layer *l = &h->layer[h->first[i] + c];
        bits[c] = (int8_t)l->option[pick[h->first[i] + c]].bits;
        equal = equal && bits[c] == bits[0];
        sum += bits[c];
    }
    t.bits = (int8_t)rint(sum / (double)n);
    t.channel = equal ? NULL : bd_chanbits_new(bits, (int)n);
    bd_free(bits);
    if (!equal && !t.channel)
        return BD_ENOMEM;
    bd_layercfg_set(&res->cfg.layer[i], true, &t);
    bd_chanbits_unref(t.channel);
    return BD_OK;
}

/* Widths of channels cost a list: what layers fit, channels may not. */
static double least_cost(const struct chans *h)
{
    double sum = fixed_cost(h);
    for (size_t i = 0; i < h->n; i++) {
        double least = (double)INFINITY;
        for (size_t k = 0; k < h->layer[i].n; k++)
            least = fmin(least, h->layer[i].option[k].cost);
        sum += least;
    }
    return sum;
}

static bd_status solve(struct bd_search_result *res, struct chans *h,
                       const struct bd_search_problem *sp)
{
    struct bd_alloc_problem p = {h->n, h->layer,
                                 sp->p.budget - fixed_cost(h)};
    double least = least_cost(h);
    struct bd_alloc_result r = {
        .pick = bd_calloc(h->n + 1, sizeof *r.pick)};
    const char *how = h->n > EXACT_CHANNELS ? "lagrange" : "dp";
    if (least > sp->p.budget) {
        bd_free(r.pick);
        return bd_search_too_small(sp, least, h->a, h->err);
    }
    bd_status st = r.pick ? bd_allocator_find(how)->solve(&r, &p, h->err)
                          : bd_fail(h->err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; st == BD_OK && i < h->a->m->nlayers; i++)
        if (h->first[i] < h->first[i + 1] &&
            set_layer(res, h, i, r.pick) != BD_OK)
            st = bd_fail(h->err, BD_ENOMEM, out_of_memory);
    res->loss = r.loss;
    res->bound = r.bound;
    res->optimal = r.optimal;
    bd_free(r.pick);
    return st;
}

static bd_status run(struct bd_search_result *res, struct chans *h)
{
    struct bd_search_problem sp;
    bd_status st = count_channels(h);
    if (st == BD_OK)
        st = price_all(h);
    if (st == BD_OK)
        st = bd_search_problem_init(&sp, h->a, h->err);
    if (st != BD_OK)
        return st;
    st = solve(res, h, &sp);
    bd_search_problem_done(&sp);
    if (st == BD_OK)
        bd_search_label(res, h->a);
    return st;
}

bd_status bd_search_channel(struct bd_search_result *out,
                            const struct bd_search_ask *a, struct bd_ctl *ctl,
                            struct bd_err *err)
{
    struct bd_search_opts o = *a->o;
    struct bd_search_ask dp = *a;
    struct bd_search_result base, res;
    struct chans h = {.a = a, .base = &base, .ctl = ctl, .err = err,
                      .nbits = o.nbits > 0 ? o.nbits : 7};
    int64_t start = bd_now_ns();
    if (o.budget != BD_BUDGET_AVG_BITS && o.budget != BD_BUDGET_SIZE)
        return bd_fail(err, BD_EINVALID, "'channel' spends avg-bits or size");
    if (bd_search_no_ties(&o, err) != BD_OK)
        return BD_EINVALID;
    for (int k = 0; k < h.nbits; k++)
        h.bits[k] = o.nbits > 0 ? o.bits[k] : k + 2;
    o.method = BD_SEARCH_DP;
    dp.o = &o;
    bd_status st = bd_search_solve(&base, &dp, err);
    if (st != BD_OK)
        return st;
    st = bd_search_result_copy(&res, &base);
    if (st == BD_OK)
        st = run(&res, &h);
    else
        bd_fail(err, st, out_of_memory);
    bd_free(h.layer);
    bd_free(h.option);
    bd_free(h.first);
    bd_free(h.err2);
    bd_search_result_done(&base);
    if (st != BD_OK) {
        bd_search_result_done(&res);
        return st;
    }
    res.seconds = (double)(bd_now_ns() - start) / 1e9;
    *out = res;
    return BD_OK;
}
