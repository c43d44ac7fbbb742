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
    bd_free(c->power);
    bd_free(c);
}

void bd_cands_ask_done(struct bd_cands_ask *a)
{
    bd_bitcfg_done(&a->cfg);
    bd_sens_done(&a->sens);
}

/* ------------------------------------------------------------------- forms */

struct forms {
    int n;
    struct bd_tensorcfg t[BD_CAND_FORMS]; /* bits not meant */
};

static bool same_form(const struct bd_tensorcfg *a,
                      const struct bd_tensorcfg *b)
{
    struct bd_tensorcfg x = *a, y = *b;
    x.bits = y.bits = 8;
    return bd_tensorcfg_same(&x, &y);
}

static void add_form(struct forms *f, struct bd_tensorcfg t)
{
    t.channel = NULL;
    t.planes = NULL;
    if (f->n == BD_CAND_FORMS)
        return;
    for (int i = 0; i < f->n; i++)
        if (same_form(&f->t[i], &t))
            return;
    f->t[f->n++] = t;
}

/* The layer's own method with better clips and finer grains: what any target
 * of that method can run.  A clip learned in training belongs to its grid and
 * stays alone. */
static void own_forms(struct forms *f, const struct bd_tensorcfg *own)
{
    struct bd_tensorcfg t = *own;
    if (bd_session_is_float(own))
        t = (struct bd_tensorcfg){
            .bits = 8, .quant = (uint8_t)bd_quantizer_find("uniform")};
    if (t.clip == BD_CLIP_LEARNED) {
        add_form(f, t);
        return;
    }
    struct bd_tensorcfg present = t;
    t.clip = BD_CLIP_MSE;
    t.clip_value = 0;
    t.grain = BD_GRAIN_TENSOR;
    t.group = 0;
    add_form(f, t);
    t.grain = BD_GRAIN_CHANNEL;
    add_form(f, t);
    add_form(f, present);
    present.clip = BD_CLIP_MSE;
    present.clip_value = 0;
    add_form(f, present);
}

/* One word of the list: METHOD[:GRAIN[:CLIP]]; a method alone takes both
 * grains with the clip by mse. */
static bd_status word_forms(struct forms *f, const char *word,
                            struct bd_err *err)
{
    char spec[160], name[64];
    size_t len = strcspn(word, ":");
    if (strcmp(word, "own") == 0)
        return BD_OK; /* the caller's */
    snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), word);
    int row = bd_quantizer_find(name);
    int bits = row >= 0 ? bd_quantizer_at(row)->max_bits : 8;
    struct bd_tensorcfg t = {.bits = 32, .clip = BD_CLIP_MSE};
    snprintf(spec, sizeof spec, "%s:%d%s", name, bits, word + len);
    bd_status st = bd_tensorcfg_parse(&t, spec, err);
    if (st != BD_OK)
        return st;
    if (!(bd_quantizer_at(t.quant)->traits & BD_Q_WEIGHTS))
        return bd_fail(err, BD_EINVALID, "'%s' does not quantize weights",
                       name);
    add_form(f, t);
    if (!word[len]) {
        t.grain = BD_GRAIN_CHANNEL;
        add_form(f, t);
    }
    return BD_OK;
}

static bd_status forms_of(struct forms *f, const struct bd_cands_ask *a,
                          size_t layer, struct bd_err *err)
{
    char copy[sizeof a->methods], *save = NULL;
    bd_status st = BD_OK;
    f->n = 0;
    memcpy(copy, a->methods, sizeof copy);
    for (char *w = strtok_r(copy, ",", &save); w && st == BD_OK;
         w = strtok_r(NULL, ",", &save)) {
        if (strcmp(w, "own") == 0)
            own_forms(f, &a->cfg.layer[layer].w);
        st = word_forms(f, w, err);
    }
    if (!a->methods[0])
        own_forms(f, &a->cfg.layer[layer].w);
    return st;
}

/* ------------------------------------------------------------------- slots
 * A slot is a choice whose error is wanted: a candidate, or what a sweep
 * measured (key -1). */
struct slot {
    size_t layer;
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
    struct bd_ctl *ctl;
    struct bd_err *err;
    struct bd_err batch[BATCH]; /* of the batch under way */
    bd_status status[BATCH];
};

static bool add_slot(struct gather *g, size_t layer,
                     const struct bd_tensorcfg *t, int key)
{
    if (!bd_grow((void **)&g->slot, &g->cap, g->n + 1, sizeof *g->slot))
        return false;
    g->slot[g->n++] = (struct slot){.layer = layer, .t = *t, .key = key};
    return true;
}

static bd_status add_layer(struct gather *g, size_t i, struct bd_err *err)
{
    const struct bd_cands_ask *a = g->a;
    struct forms f;
    size_t before = g->n;
    bd_status st = forms_of(&f, a, i, err);
    for (int k = 0; k < f.n && st == BD_OK; k++)
        for (int b = 0; b < a->nbits && st == BD_OK; b++) {
            struct bd_tensorcfg t = f.t[k];
            t.bits = (int8_t)a->bits[b];
            if (bd_config_allows(a->m, (int)i, true, &t, NULL) == BD_OK &&
                !(a->bits[b] == 32 && k > 0) &&
                !add_slot(g, i, &t, a->bits[b] * BD_CAND_FORMS + k))
                st = bd_fail(err, BD_ENOMEM, out_of_memory);
        }
    if (st == BD_OK && g->n == before) {
        char shown[128];
        bd_text_show(shown, sizeof shown, a->m->layer[i].name, 40);
        st = bd_fail(err, BD_EINVALID,
                     "layer '%s': its method has none of these widths", shown);
    }
    return st;
}

/* Only layers alone, weights alone: other kinds price something else. */
static bd_status add_measured(struct gather *g, struct bd_err *err)
{
    const struct bd_sens_table *s = &g->a->sens;
    for (size_t i = 0; i < s->n && s->mode == BD_SENS_ALONE_ON; i++) {
        const struct bd_sens_point *p = &s->point[i];
        if (p->what != BD_SENS_W || p->layer < 0 ||
            (size_t)p->layer >= g->a->m->nlayers ||
            bd_session_is_float(&p->w) || p->w.channel ||
            bd_config_allows(g->a->m, p->layer, true, &p->w, NULL) != BD_OK)
            continue;
        if (!add_slot(g, (size_t)p->layer, &p->w, -1))
            return bd_fail(err, BD_ENOMEM, out_of_memory);
        g->slot[g->n - 1].point = p;
    }
    return BD_OK;
}

/* ------------------------------------------------------------------ errors */

static bd_status price(struct slot *s, const struct gather *g,
                       struct bd_err *err)
{
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
        /* Here, not there: several slots are of one layer. */
        for (size_t i = 0; i < n; i++)
            g->power[g->slot[from + i].layer] = g->slot[from + i].power;
        bd_ctl_progress(g->ctl, (int64_t)(from + n), (int64_t)g->n);
    }
    return BD_OK;
}

/* ------------------------------------------------------------------ losses */

struct pair {
    double err2, loss;
};

static int by_err(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->err2 != y->err2)
        return x->err2 < y->err2 ? -1 : 1;
    return x->loss < y->loss ? -1 : x->loss > y->loss;
}

/* Sorted, positive, never falling. */
static size_t tidy(struct pair *p, size_t n)
{
    size_t kept = 0;
    qsort(p, n, sizeof *p, by_err);
    for (size_t i = 0; i < n; i++) {
        if (!(p[i].err2 > 0) || !isfinite(p[i].loss))
            continue;
        p[kept] = p[i];
        if (kept > 0 && p[kept].err2 == p[kept - 1].err2)
            kept--;
        p[kept].loss = fmax(p[i].loss, kept > 0 ? p[kept - 1].loss : 1e-12);
        kept++;
    }
    return kept;
}

static double interpolate(const struct pair *p, size_t n, double err2)
{
    size_t k = 1;
    if (!(err2 > 0))
        return 0;
    if (err2 <= p[0].err2)
        return p[0].loss * err2 / p[0].err2;
    while (k < n && p[k].err2 < err2)
        k++;
    if (k == n)
        return p[n - 1].loss * err2 / p[n - 1].err2;
    double f = log(err2 / p[k - 1].err2) / log(p[k].err2 / p[k - 1].err2);
    return exp(log(p[k - 1].loss) + f * log(p[k].loss / p[k - 1].loss));
}

/* The kind of loss to use of those a sweep measured. */
static int metric_of(const struct bd_sens_table *t)
{
    static const enum bd_sens_metric order[] = {
        BD_SENS_KL, BD_SENS_LOSS, BD_SENS_OUT_MSE, BD_SENS_FISHER,
        BD_SENS_TOP1};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (t->metrics & 1u << order[i])
            return order[i];
    return -1;
}

/* Gathers what was measured of one layer into p; returns the count. */
static size_t pairs_of(struct pair *p, const struct gather *g, size_t layer,
                       int metric)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        if (g->slot[i].point && g->slot[i].done && g->slot[i].layer == layer)
            p[n++] = (struct pair){g->slot[i].err2,
                                   g->slot[i].point->value[metric]};
    return tidy(p, n);
}

/* Layers a sweep has not reached yet: their noise-to-signal ratio, at the
 * rate the others show. */
static double rate_of(const struct gather *g, struct pair *p, int metric)
{
    double loss = 0, ratio = 0;
    for (size_t i = 0; i < g->a->m->nlayers; i++) {
        size_t n = pairs_of(p, g, i, metric);
        for (size_t k = 0; k < n && g->power[i] > 0; k++) {
            loss += p[k].loss;
            ratio += p[k].err2 / g->power[i];
        }
    }
    return ratio > 0 && loss > 0 ? loss / ratio : 1;
}

static bd_status set_losses(struct bd_cands *c, const struct gather *g,
                            struct bd_err *err)
{
    const struct bd_sens_table *s = &g->a->sens;
    int metric = metric_of(s);
    struct pair *p = bd_alloc(s->n + 1, sizeof *p);
    size_t known = 0;
    if (!p)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    double rate = metric >= 0 ? rate_of(g, p, metric) : 1;
    for (size_t i = 0; i < c->n; i++) {
        size_t n = metric >= 0 ? pairs_of(p, g, i, metric) : 0;
        known += n > 0;
        for (size_t k = c->first[i]; k < c->first[i + 1]; k++) {
            double e = c->c[k].err2;
            c->c[k].loss = n > 0 ? interpolate(p, n, e)
                           : c->power[i] > 0 ? rate * e / c->power[i]
                                             : 0;
        }
    }
    bd_free(p);
    c->measured = known > 0;
    if (known == 0)
        snprintf(c->source, sizeof c->source,
                 "noise-to-signal ratio of the weights");
    else if (known < c->n)
        snprintf(c->source, sizeof c->source,
                 "%s of %lld images, %zu of %zu layers",
                 bd_sens_metric_names[metric], (long long)s->images, known,
                 c->n);
    else
        snprintf(c->source, sizeof c->source, "%s of %lld images",
                 bd_sens_metric_names[metric], (long long)s->images);
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

/* A table of the candidates priced so far. */
static bd_status make(struct bd_cands **out, const struct gather *g,
                      bool partial, struct bd_err *err)
{
    size_t n = g->a->m->nlayers, at = 0;
    struct bd_cands *c = bd_calloc(1, sizeof *c);
    if (!c)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    atomic_init(&c->refs, 1);
    c->n = n;
    c->partial = partial;
    c->first = bd_calloc(n + 1, sizeof *c->first);
    c->c = bd_calloc(g->n + 1, sizeof *c->c);
    c->power = bd_calloc(n + 1, sizeof *c->power);
    if (!c->first || !c->c || !c->power) {
        bd_cands_unref(c);
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    }
    memcpy(c->power, g->power, n * sizeof *c->power);
    for (size_t i = 0; i < n; i++) {
        c->first[i] = at;
        for (size_t k = 0; k < g->n; k++) {
            const struct slot *s = &g->slot[k];
            if (s->layer == i && s->done && !s->point)
                c->c[at++] = (struct bd_cand){
                    s->t, s->key, bd_stored_bits(g->a->m, (int)i, &s->t),
                    s->err2, s->psnr_db, 0};
        }
        qsort(c->c + c->first[i], at - c->first[i], sizeof *c->c, by_cost);
    }
    c->first[n] = at;
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
    if (st == BD_OK && quick < g->n && make(&c, g, true, err) == BD_OK &&
        !(all_have_some(c) && bd_ctl_post(g->ctl, c)))
        bd_cands_unref(c);
    return st == BD_OK ? price_range(g, quick, g->n) : st;
}

bd_status bd_cands_build(struct bd_cands **out, const struct bd_cands_ask *a,
                         struct bd_ctl *ctl, struct bd_err *err)
{
    struct gather g = {.a = a, .ctl = ctl, .err = err};
    bd_status st = BD_OK;
    g.power = bd_calloc(a->m->nlayers + 1, sizeof *g.power);
    if (!g.power)
        st = bd_fail(err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; i < a->m->nlayers && st == BD_OK; i++)
        st = add_layer(&g, i, err);
    if (st == BD_OK)
        st = add_measured(&g, err);
    if (st == BD_OK)
        st = price_all(&g, err);
    if (st == BD_OK)
        st = make(out, &g, false, err);
    bd_free(g.slot);
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
