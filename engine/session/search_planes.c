/* Bit planes of inputs as an answer of the search, beside the others.  The
 * tables are those of the bit planes tool; counting them takes images, the
 * answer itself does not. */
#include "session/planes_priv.h"
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>

static bd_status wish_of(struct bd_planes_wish *w, const struct bd_session *s,
                         const struct bd_search_opts *o, struct bd_err *err)
{
    const struct bd_search_ask a = {.m = s->m, .cfg = &s->cfg, .o = o};
    struct bd_planes_net net;
    bd_status st = bd_search_no_ties(o, err);
    if (st == BD_OK)
        st = bd_search_locks(&a, err);
    if (st != BD_OK)
        return st;
    bd_session_planes_net(&net, s, BD_PART_A);
    double now = net.layers > 0 ? net.weighted : BD_PLANES;
    *w = (struct bd_planes_wish){.part = BD_PART_A,
                                 .rate = o->target > 0 ? o->target : now};
    if (o->budget != BD_BUDGET_AVG_BITS)
        return bd_fail(err, BD_EINVALID,
                       "'bottleneck' spends avg-bits=N, planes of the "
                       "layers' inputs");
    if (!(w->rate >= 1 && w->rate <= BD_PLANES))
        return bd_fail(err, BD_EINVALID,
                       "%.4g planes per value: 1 to %d work", w->rate,
                       BD_PLANES);
    w->layer = bd_alloc(s->m->nlayers + 1, sizeof *w->layer);
    if (!w->layer)
        return bd_fail(err, BD_ENOMEM, "out of memory for the search");
    for (size_t i = 0; i < s->m->nlayers; i++)
        if (!bd_search_locked(&a, i))
            w->layer[w->n++] = (int)i;
    if (w->n > 0)
        return BD_OK;
    bd_free(w->layer);
    return bd_fail(err, BD_EINVALID,
                   "all layers are locked: nothing to spend on");
}

/* Noise-to-signal of the inputs that took planes. */
static double input_loss(const struct bd_session *s,
                         const struct bd_planes_wish *w,
                         const struct bd_bitcfg *cfg)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        struct bd_planes_view v;
        bd_session_planes(&v, s, w->layer[i], BD_PART_A);
        for (int k = 0; k < v.table->nrow; k++)
            if (v.table->row[k].k == cfg->layer[w->layer[i]].a.bits)
                sum += pow(10, -v.table->row[k].sqnr_db / 10);
    }
    return sum;
}

/* Planes per value, each layer by its number of values. */
static double rate_of(const struct bd_session *s,
                      const struct bd_planes_wish *w,
                      const struct bd_bitcfg *cfg)
{
    double planes = 0, values = 0;
    for (size_t i = 0; i < w->n; i++) {
        double n = bd_planes_values(s, w->layer[i], BD_PART_A);
        planes += n * cfg->layer[w->layer[i]].a.bits;
        values += n;
    }
    return planes / values;
}

bool bd_search_planes_counted(const struct bd_session *s)
{
    for (size_t i = 0; i < s->m->nlayers; i++) {
        struct bd_planes_view v;
        bd_session_planes(&v, s, (int)i, BD_PART_A);
        if (!s->cfg.layer[i].locked && (!v.table || v.fresh != BD_EXACT))
            return false;
    }
    return true;
}

bd_status bd_search_planes(struct bd_search_result *out,
                           const struct bd_session *s,
                           const struct bd_search_opts *o, struct bd_err *err)
{
    struct bd_search_result r = {.optimal = true, .bound = (double)NAN,
                                 .what = BD_SENS_A};
    struct bd_planes_wish w;
    bd_status st = wish_of(&w, s, o, err);
    if (st != BD_OK)
        return st;
    st = bd_planes_spent(&r.cfg, s, &w, err);
    if (st == BD_OK) {
        bd_cost_of(&r.size, s->m, s->plan, &r.cfg);
        r.budget = w.rate;
        r.cost = rate_of(s, &w, &r.cfg);
        r.loss = input_loss(s, &w, &r.cfg);
        snprintf(r.name, sizeof r.name, "bottleneck %.2f", r.cost);
        snprintf(r.source, sizeof r.source, "squared error of the inputs");
        *out = r;
    }
    bd_free(w.layer);
    return st;
}
