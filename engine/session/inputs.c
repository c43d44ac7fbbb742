/* Fitted quantizers of layers' inputs, kept from one run to the next: an edit
 * of one layer must not search the clips of all the others again, which for
 * one grid per channel takes longer than the run.
 *
 * Statistics are immutable once published, so a choice always fits alike.
 * The lock is held for moments; two threads that miss at once both compute,
 * and the second finds the first's answer in place. */
#include "session/session_priv.h"

#include <string.h>

enum { KEEP = 8 }; /* choices per layer, the newest first */

struct slot {
    int n;
    struct bd_input_fit *fit[KEEP];
};

struct bd_inputs {
    pthread_mutex_t lock;
    size_t n;
    struct slot slot[];
};

bd_status bd_inputs_new(struct bd_inputs **out, size_t layers,
                        struct bd_err *err)
{
    struct bd_inputs *c =
        bd_calloc(1, sizeof *c + layers * sizeof *c->slot);
    if (!c)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    c->n = layers;
    *out = c;
    return BD_OK;
}

static void free_fit(struct bd_input_fit *f)
{
    bd_actset_done(&f->set);
    bd_tensorcfg_done(&f->cfg);
    bd_free(f);
}

void bd_inputs_unref(const struct bd_input_fit *fit)
{
    struct bd_input_fit *own = (struct bd_input_fit *)(uintptr_t)fit;
    if (own && atomic_fetch_sub(&own->refs, 1) == 1)
        free_fit(own);
}

void bd_inputs_free(struct bd_inputs *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        for (int k = 0; k < c->slot[i].n; k++)
            bd_inputs_unref(c->slot[i].fit[k]);
    pthread_mutex_destroy(&c->lock);
    bd_free(c);
}

/* A counted reference to the fit of this choice, moved to the front. */
static const struct bd_input_fit *find(struct bd_inputs *c, size_t layer,
                                       const struct bd_tensorcfg *cfg)
{
    struct slot *s = &c->slot[layer];
    const struct bd_input_fit *hit = NULL;
    pthread_mutex_lock(&c->lock);
    for (int k = 0; k < s->n && !hit; k++) {
        struct bd_input_fit *f = s->fit[k];
        if (!bd_tensorcfg_same(&f->cfg, cfg))
            continue;
        memmove(s->fit + 1, s->fit, (size_t)k * sizeof s->fit[0]);
        s->fit[0] = f;
        atomic_fetch_add(&f->refs, 1);
        hit = f;
    }
    pthread_mutex_unlock(&c->lock);
    return hit;
}

static void publish(struct bd_inputs *c, size_t layer, struct bd_input_fit *f)
{
    struct slot *s = &c->slot[layer];
    struct bd_input_fit *out = NULL;
    pthread_mutex_lock(&c->lock);
    if (s->n == KEEP)
        out = s->fit[--s->n];
    memmove(s->fit + 1, s->fit, (size_t)s->n * sizeof s->fit[0]);
    s->fit[0] = f;
    s->n++;
    atomic_fetch_add(&f->refs, 1);
    pthread_mutex_unlock(&c->lock);
    bd_inputs_unref(out);
}

bd_status bd_inputs_get(const struct bd_input_fit **out, struct bd_inputs *c,
                        size_t layer, const struct bd_input_ask *ask,
                        struct bd_err *err)
{
    *out = find(c, layer, ask->cfg);
    if (*out)
        return BD_OK;
    struct bd_input_fit *f = bd_calloc(1, sizeof *f);
    if (!f)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    atomic_init(&f->refs, 1);
    bd_tensorcfg_set(&f->cfg, ask->cfg);
    bd_status st = bd_calib_actset(&f->set, &ask->in, ask->cfg, err);
    if (st != BD_OK) {
        free_fit(f);
        return st;
    }
    publish(c, layer, f);
    *out = f;
    return BD_OK;
}
