/* Fitted weights, built once per layer and choice, then shared.  Both lanes
 * come here: the fast one for the error of an edited layer, the eval one for
 * the quantized weights of all layers.
 *
 * Two kinds of lock.  A layer's `build` is held while something of that layer
 * is computed, so that the second comer waits for the first instead of doing
 * the work again.  `lock` is held for moments, to publish or look up; the
 * interface's thread takes only that one.  What is published never changes,
 * except that quantized values of long unused fits are dropped while nobody
 * holds a reference.
 *
 * A repaired network has fits of its own, but layers whose weights the repair
 * left alone are answered by those of the network before (home()): their
 * indexes and fits are neither built nor held twice. */
#include "session/session_priv.h"

#include <math.h>
#include <string.h>

enum {
    KEEP_FITS = 16,  /* per layer: the widths of one or two methods */
    KEEP_VALUES = 2  /* of those, with their quantized weights */
};

struct slot {
    pthread_mutex_t build;
    struct bd_basic *basic;
    struct bd_fit *fit[KEEP_FITS]; /* newest first */
    int n;
};

struct bd_fits {
    const struct bd_model *m;
    struct bd_fits *before;     /* of the network before a repair, or NULL */
    const struct bd_model *ref; /* whose weights errors are measured against;
                                   NULL = m */
    pthread_mutex_t lock;
    struct slot *slot; /* [nlayers] */
};

bool bd_session_is_float(const struct bd_tensorcfg *t)
{
    return t->bits == 32 && !t->channel;
}

bool bd_session_all_float(const struct bd_bitcfg *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!bd_session_is_float(&c->layer[i].w) ||
            !bd_session_is_float(&c->layer[i].a))
            return false;
    return true;
}

bd_status bd_fits_new(struct bd_fits **out, const struct bd_model *m,
                      struct bd_err *err)
{
    struct bd_fits *f = bd_calloc(1, sizeof *f);
    struct slot *slot = bd_calloc(m->nlayers, sizeof *slot);
    if (!f || !slot) {
        bd_free(f);
        bd_free(slot);
        return bd_fail(err, BD_ENOMEM, "out of memory");
    }
    f->m = m;
    f->slot = slot;
    pthread_mutex_init(&f->lock, NULL);
    for (size_t i = 0; i < m->nlayers; i++)
        pthread_mutex_init(&slot[i].build, NULL);
    *out = f;
    return BD_OK;
}

static const float *data_of(const struct bd_model *m, int layer)
{
    return m->value[m->layer[layer].weight].t.f;
}

static bool same_clip(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* The fits that answer for a layer. */
static struct bd_fits *home(struct bd_fits *f, int layer)
{
    while (f->before &&
           data_of(f->m, layer) == data_of(f->before->m, layer) &&
           same_clip(f->m->layer[layer].learned_w,
                     f->before->m->layer[layer].learned_w))
        f = f->before;
    return f;
}

bd_status bd_fits_after(struct bd_fits **out, const struct bd_model *m,
                        struct bd_fits *before, const struct bd_model *ref,
                        struct bd_err *err)
{
    bd_status st = bd_fits_new(out, m, err);
    if (st != BD_OK)
        return st;
    (*out)->before = before;
    (*out)->ref = ref;
    return BD_OK;
}

const float *bd_fits_reference(struct bd_fits *f, int layer)
{
    f = home(f, layer);
    const float *x = f->ref ? data_of(f->ref, layer) : NULL;
    return x && x != data_of(f->m, layer) ? x : NULL;
}

/* ---------------------------------------------------------------- the end */

static void free_fit(struct bd_fit *f)
{
    if (!f)
        return;
    bd_qset_done(&f->set);
    bd_tensorcfg_done(&f->cfg);
    bd_free(f->values);
    bd_free(f);
}

void bd_fits_free(struct bd_fits *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->m->nlayers; i++) {
        struct slot *s = &f->slot[i];
        for (int k = 0; k < s->n; k++)
            free_fit(s->fit[k]);
        if (s->basic)
            bd_index_free(s->basic->index);
        bd_free(s->basic);
        pthread_mutex_destroy(&s->build);
    }
    pthread_mutex_destroy(&f->lock);
    bd_free(f->slot);
    bd_free(f);
}

void bd_fits_unref(struct bd_fits *f, const struct bd_fit *fit)
{
    if (!fit)
        return;
    struct bd_fit *own = (struct bd_fit *)(uintptr_t)fit;
    f = home(f, fit->layer);
    pthread_mutex_lock(&f->lock);
    bool last = atomic_fetch_sub(&own->refs, 1) == 1;
    pthread_mutex_unlock(&f->lock);
    if (last)
        free_fit(own);
}

/* ------------------------------------------------- whatever the choice */

struct bd_weights bd_fits_weights(const struct bd_fits *f, int layer)
{
    const struct bd_layer *l = &f->m->layer[layer];
    const struct bd_tensor *t = &f->m->value[l->weight].t;
    return (struct bd_weights){.x = t->f, .slices = bd_slices_of(t, l->axis),
                               .learned_clip = l->learned_w};
}

static size_t count_of(const struct bd_weights *w)
{
    return (size_t)(w->slices.outer * w->slices.channels * w->slices.inner);
}

/* What the index found while it was built, so that the weights are not read
 * again only for the display. */
static void stats_of_index(struct bd_stats *out, const struct bd_index *ix,
                           const float *x, size_t n)
{
    const struct bd_moments *m = bd_index_moments(ix);
    int64_t zeros = 0;
    for (size_t i = 0; i < n; i++)
        zeros += x[i] == 0;
    *out = (struct bd_stats){
        .n = (int64_t)n, .finite = (int64_t)n, .zeros = zeros,
        .min = (float)m->min, .max = (float)m->max, .mean = m->mean,
        .std = m->std * sqrt((double)(n - 1) / (double)n), /* population */
        .absmax = m->absmax, .absmean = m->absmean, .sumsq = m->sumsq};
}

/* Non-finite weights have no exact grid error; such layers do without. */
static bd_status build_basic(struct bd_basic *b, const struct bd_weights *w,
                             struct bd_err *err)
{
    size_t n = count_of(w);
    bd_status st = bd_index_new(&b->index, w->x, n, err);
    if (st != BD_OK)
        return st;
    if (n == 0 || bd_index_moments(b->index)->n != n) {
        bd_index_free(b->index);
        b->index = NULL;
        bd_stats_of(&b->stats, w->x, n);
        return BD_OK;
    }
    stats_of_index(&b->stats, b->index, w->x, n);
    if (b->stats.absmax > 0)
        bd_index_histogram(b->index, -b->stats.absmax, b->stats.absmax,
                           b->bins, BD_VIEW_BINS);
    return BD_OK;
}

/* Under the layer's build lock. */
static bd_status need_basic(const struct bd_basic **out, struct bd_fits *f,
                            int layer, struct bd_err *err)
{
    struct slot *s = &f->slot[layer];
    if (!s->basic) { /* written under `build` only: reading it here is safe */
        struct bd_weights w = bd_fits_weights(f, layer);
        struct bd_basic *b = bd_calloc(1, sizeof *b);
        if (!b)
            return bd_fail(err, BD_ENOMEM, "out of memory");
        bd_status st = build_basic(b, &w, err);
        if (st != BD_OK) {
            bd_free(b);
            return st;
        }
        pthread_mutex_lock(&f->lock);
        s->basic = b;
        pthread_mutex_unlock(&f->lock);
    }
    *out = s->basic;
    return BD_OK;
}

const struct bd_basic *bd_fits_peek_basic(struct bd_fits *f, int layer)
{
    f = home(f, layer);
    pthread_mutex_lock(&f->lock);
    const struct bd_basic *b = f->slot[layer].basic;
    pthread_mutex_unlock(&f->lock);
    return b;
}

bd_status bd_fits_basic(const struct bd_basic **out, struct bd_fits *f,
                        int layer, struct bd_ctl *ctl, struct bd_err *err)
{
    f = home(f, layer);
    struct slot *s = &f->slot[layer];
    pthread_mutex_lock(&s->build);
    bd_status st = bd_ctl_stale(ctl) ? BD_ECANCELLED
                                     : need_basic(out, f, layer, err);
    pthread_mutex_unlock(&s->build);
    return st;
}

/* ------------------------------------------------------------------- fits */

/* Under `lock`.  Moves what was found to the front. */
static struct bd_fit *find(struct slot *s, const struct bd_tensorcfg *cfg)
{
    uint64_t digest = bd_tensorcfg_digest(cfg);
    for (int k = 0; k < s->n; k++) {
        struct bd_fit *hit = s->fit[k];
        if (hit->digest != digest || !bd_tensorcfg_same(&hit->cfg, cfg))
            continue;
        memmove(s->fit + 1, s->fit, (size_t)k * sizeof *s->fit);
        s->fit[0] = hit;
        return hit;
    }
    return NULL;
}

const struct bd_fit *bd_fits_peek(struct bd_fits *f, int layer,
                                  const struct bd_tensorcfg *cfg)
{
    f = home(f, layer);
    pthread_mutex_lock(&f->lock);
    struct bd_fit *hit = find(&f->slot[layer], cfg);
    if (hit)
        atomic_fetch_add(&hit->refs, 1);
    pthread_mutex_unlock(&f->lock);
    return hit;
}

/* Publishes with one reference of its own; returns what fell out. */
static struct bd_fit *publish(struct bd_fits *f, struct bd_fit *fit)
{
    struct slot *s = &f->slot[fit->layer];
    struct bd_fit *out = NULL;
    pthread_mutex_lock(&f->lock);
    if (s->n == KEEP_FITS) {
        out = s->fit[--s->n];
        if (out && atomic_fetch_sub(&out->refs, 1) > 1)
            out = NULL; /* still used: its last user frees it */
    }
    memmove(s->fit + 1, s->fit, (size_t)s->n * sizeof *s->fit);
    s->fit[0] = fit;
    s->n++;
    pthread_mutex_unlock(&f->lock);
    return out;
}

/* Rounded weights lie on their grid: the error that counts is against the
 * weights they were rounded from. */
static bd_status error_against(struct bd_fit *fit, const float *ref,
                               const struct bd_weights *w, struct bd_err *err)
{
    size_t n = count_of(w);
    float *q = bd_alloc(n, sizeof *q);
    double err2 = 0, power = 0, dot = 0, qq = 0, peak = 0, most = 0;
    if (!q)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    bd_qset_apply(q, w, &fit->set);
    for (size_t i = 0; i < n; i++) {
        double x = (double)ref[i], y = (double)q[i], d = x - y;
        err2 += d * d;
        power += x * x;
        dot += x * y;
        qq += y * y;
        peak = fmax(peak, fabs(x));
        most = fmax(most, fabs(d));
    }
    bd_free(q);
    struct bd_error_stats *e = &fit->err;
    double count = n > 0 ? (double)n : 1;
    e->mse = err2 / count;
    e->peak = peak;
    e->max_err = most;
    e->psnr_db = bd_psnr_db(peak, e->mse);
    e->sqnr_db = bd_sqnr_db(power / count, e->mse);
    e->cosine = power > 0 && qq > 0 ? dot / sqrt(power * qq) : 1;
    return BD_OK;
}

static bd_status build_fit(struct bd_fit **out, struct bd_fits *f,
                           struct bd_fit_ask ask, struct bd_ctl *ctl,
                           struct bd_err *err)
{
    const struct bd_basic *basic;
    bd_status st = need_basic(&basic, f, ask.layer, err);
    if (st != BD_OK)
        return st;
    if (bd_ctl_stale(ctl))
        return BD_ECANCELLED;
    struct bd_fit *fit = bd_calloc(1, sizeof *fit);
    if (!fit)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    struct bd_weights w = bd_fits_weights(f, ask.layer);
    w.index = basic->index;
    atomic_init(&fit->refs, 1);
    fit->layer = ask.layer;
    bd_tensorcfg_set(&fit->cfg, ask.cfg);
    fit->digest = bd_tensorcfg_digest(ask.cfg);
    st = bd_calib_weights(&fit->set, &w, ask.cfg, ctl, err);
    if (st == BD_OK && bd_ctl_stale(ctl))
        st = BD_ECANCELLED;
    if (st == BD_OK)
        st = bd_error_of(&fit->err, &w, &fit->set, err);
    const float *ref = bd_fits_reference(f, ask.layer);
    if (st == BD_OK && ref)
        st = error_against(fit, ref, &w, err);
    if (st != BD_OK) {
        free_fit(fit);
        return st;
    }
    *out = fit;
    return BD_OK;
}

bd_status bd_fits_get(const struct bd_fit **out, struct bd_fits *f,
                      struct bd_fit_ask ask, struct bd_ctl *ctl,
                      struct bd_err *err)
{
    f = home(f, ask.layer);
    struct slot *s = &f->slot[ask.layer];
    struct bd_fit *fit = NULL, *old = NULL;
    bd_status st = BD_OK;
    pthread_mutex_lock(&s->build);
    const struct bd_fit *hit = bd_fits_peek(f, ask.layer, ask.cfg);
    if (!hit) {
        st = build_fit(&fit, f, ask, ctl, err);
        if (st == BD_OK && fit) {
            atomic_fetch_add(&fit->refs, 1); /* the caller's */
            old = publish(f, fit);
            hit = fit;
        }
    }
    pthread_mutex_unlock(&s->build);
    free_fit(old);
    if (st == BD_OK)
        *out = hit;
    return st;
}

/* --------------------------------------------------------- quantized values */

/* Under `lock`: older fits that nobody uses give their values back. */
static void drop_values(struct slot *s)
{
    int kept = 0;
    for (int k = 0; k < s->n; k++) {
        struct bd_fit *fit = s->fit[k];
        if (!fit->values || kept++ < KEEP_VALUES)
            continue;
        if (atomic_load(&fit->refs) == 1) {
            bd_free(fit->values);
            fit->values = NULL;
        }
    }
}

bd_status bd_fits_values(const float **out, struct bd_fits *f,
                         const struct bd_fit *fit, struct bd_err *err)
{
    f = home(f, fit->layer);
    struct slot *s = &f->slot[fit->layer];
    struct bd_fit *own = (struct bd_fit *)(uintptr_t)fit;
    struct bd_weights w = bd_fits_weights(f, fit->layer);
    size_t n = count_of(&w);
    bd_status st = BD_OK;
    pthread_mutex_lock(&s->build); /* values are written under it only */
    if (!own->values) {
        float *y = bd_alloc(n, sizeof *y);
        if (y) {
            bd_qset_apply(y, &w, &own->set);
            pthread_mutex_lock(&f->lock);
            own->values = y;
            drop_values(s);
            pthread_mutex_unlock(&f->lock);
        } else {
            st = bd_fail(err, BD_ENOMEM,
                         "out of memory for %zu quantized weights", n);
        }
    }
    if (st == BD_OK)
        *out = own->values;
    pthread_mutex_unlock(&s->build);
    return st;
}
