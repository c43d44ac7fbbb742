/* Units over the pool.  A slice lasts some 50 ms and leaves every lane where
 * it is; finished units wait in a ring of slots until those before them are
 * finished too, and are added in order.  What is computed depends on the
 * units alone, not on lanes, slices or threads. */
#include "sens_priv.h"

#include <string.h>

static const int64_t slice_ns = 50000000;
static const size_t most_bytes = (size_t)1 << 30; /* of activations */

/* ------------------------------------------------------------- the lanes */

/* What an executor of a plan that keeps every value takes, about. */
static size_t bytes_of(const struct bd_plan *plan, const struct bd_model *m)
{
    size_t n = 1;

    for (size_t v = 0; v < m->nvalues; v++) {
        const struct bd_tensor *t = bd_plan_value(plan, (int)v);

        if (m->value[v].producer >= 0 && t->rank >= 0)
            n += (size_t)bd_tensor_count(t) * sizeof(float);
    }
    return n;
}

static size_t largest_input(const struct bd_plan *plan,
                            const struct bd_model *m)
{
    size_t most = 0;

    for (size_t k = 0; k < m->nlayers; k++) {
        int v = m->layer[k].input;
        size_t n =
            v < 0 ? 0 : (size_t)bd_tensor_count(bd_plan_value(plan, v));

        most = n > most ? n : most;
    }
    return most;
}

static bd_status open_lane(struct bd_sens_lane *l,
                           const struct bd_sens_work *w,
                           const struct bd_model *m, struct bd_err *err)
{
    size_t z = (size_t)(w->per_unit * w->classes) + 1;

    l->unit = -1;
    l->q = bd_calloc(m->nlayers + 1, sizeof *l->q);
    l->f = bd_alloc(z, sizeof *l->f);
    l->z = bd_alloc(z, sizeof *l->z);
    l->image = bd_calloc((size_t)w->per_unit, sizeof *l->image);
    l->spare = bd_alloc(largest_input(w->plan, m) + 1, sizeof *l->spare);
    l->score = bd_calloc(BD_SENS_MOST, sizeof *l->score);
    if (!l->q || !l->f || !l->z || !l->image || !l->spare || !l->score)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    return bd_exec_new(&l->e, w->plan, err);
}

static void close_lane(struct bd_sens_lane *l)
{
    bd_exec_free(l->e);
    bd_free(l->q);
    bd_free(l->f);
    bd_free(l->z);
    bd_free(l->image);
    bd_free(l->spare);
    bd_free(l->score);
}

bd_status bd_sens_work_init(struct bd_sens_work *w,
                            const struct bd_sens_ask *ask,
                            const struct bd_plan *plan, struct bd_err *err)
{
    const struct bd_model *m = ask->m;
    size_t room = most_bytes / bytes_of(plan, m) + 1;
    bd_status st = BD_OK;

    w->plan = plan;
    w->pool = ask->pool;
    w->per_unit = bd_plan_batch(plan);
    w->logits = m->output[0];
    w->classes =
        bd_tensor_count(bd_plan_value(plan, w->logits)) / w->per_unit;
    w->nlanes = ask->pool ? bd_pool_threads(ask->pool) : 1;
    if (room < (size_t)w->nlanes)
        w->nlanes = (int)room;
    pthread_mutex_init(&w->lock, NULL);
    w->lane = bd_calloc((size_t)w->nlanes, sizeof *w->lane);
    if (!w->lane)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    for (int k = 0; k < w->nlanes && st == BD_OK; k++)
        st = open_lane(&w->lane[k], w, m, err);
    return st;
}

void bd_sens_work_done(struct bd_sens_work *w)
{
    if (!w->plan)
        return;
    for (int k = 0; w->lane && k < w->nlanes; k++)
        close_lane(&w->lane[k]);
    bd_free(w->lane);
    pthread_mutex_destroy(&w->lock);
    w->plan = NULL;
}

/* ------------------------------------------------------------- the units */

static struct bd_sens_sums *slot_of(const struct bd_sens_work *w,
                                    int64_t unit)
{
    return w->slot + (size_t)(unit % w->nslots) * (w->pass->n + 2);
}

static bool take_unit(struct bd_sens_work *w, struct bd_sens_lane *l)
{
    pthread_mutex_lock(&w->lock);
    if (w->handed < w->end && w->handed < w->added + w->nslots)
        l->unit = w->handed++;
    pthread_mutex_unlock(&w->lock);
    if (l->unit < 0)
        return false;
    l->begun = false;
    l->slot = slot_of(w, l->unit);
    memset(l->slot, 0, (w->pass->n + 2) * sizeof *l->slot);
    return true;
}

static bool slice(void *arg, int64_t k, int worker)
{
    struct bd_sens_work *w = arg;
    struct bd_sens_lane *l = &w->lane[k];

    (void)worker;
    do {
        bool done = false;

        if (l->unit < 0 && !take_unit(w, l))
            break;
        l->st = w->advance(w, l, &done);
        if (l->st == BD_OK && done) {
            w->full[l->unit % w->nslots] = true;
            l->unit = -1;
        }
    } while (l->st == BD_OK && bd_now_ns() < w->until_ns &&
             !bd_ctl_stale(w->ctl));
    return true;
}

/* In order, and only what the pass measures. */
static void add_unit(struct bd_sens_work *w, int64_t unit)
{
    const struct bd_sens_pass *p = w->pass;
    const struct bd_sens_sums *s = slot_of(w, unit);
    struct bd_sens_sums *all = p->t->sums;

    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].runs)
            bd_sens_add(&all[p->v[i].at], &s[i]);
    if (p->base_at != SIZE_MAX)
        bd_sens_add(&all[p->base_at], &s[p->n]);
    if (p->counts_float)
        bd_sens_add(&all[p->t->n + p->t->nbase], &s[p->n + 1]);
}

static bd_status collect(struct bd_sens_work *w, struct bd_err *err)
{
    for (; w->added < w->end && w->full[w->added % w->nslots]; w->added++) {
        add_unit(w, w->added);
        w->full[w->added % w->nslots] = false;
    }
    for (int k = 0; k < w->nlanes; k++) {
        if (w->lane[k].st != BD_OK) {
            if (err && !err->msg[0])
                *err = w->lane[k].err;
            return w->lane[k].st;
        }
    }
    return BD_OK;
}

static bd_status open_slots(struct bd_sens_work *w, struct bd_err *err)
{
    w->nslots = 2 * w->nlanes + 2;
    w->slot = bd_calloc((size_t)w->nslots, (w->pass->n + 2) * sizeof *w->slot);
    w->full = bd_calloc((size_t)w->nslots, sizeof *w->full);
    w->added = w->handed = w->first;
    for (int k = 0; k < w->nlanes; k++)
        w->lane[k].unit = -1;
    return w->slot && w->full
               ? BD_OK
               : bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
}

bd_status bd_sens_drive(struct bd_sens_work *w, struct bd_sens_pass *p,
                        void (*tell)(void *arg), void *arg,
                        struct bd_err *err)
{
    bd_status st;

    w->pass = p;
    st = open_slots(w, err);
    while (st == BD_OK && w->added < w->end) {
        if (bd_ctl_stale(w->ctl)) {
            st = BD_ECANCELLED;
            break;
        }
        w->until_ns = bd_now_ns() + slice_ns;
        if (w->pool)
            bd_pool_for(w->pool, w->nlanes, slice, w);
        else
            slice(w, 0, 0);
        st = collect(w, err);
        tell(arg);
    }
    bd_free(w->slot);
    bd_free(w->full);
    w->slot = NULL;
    w->full = NULL;
    return st;
}
