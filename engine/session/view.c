/* What the screen and the command line see: accessors only.  Freshness is
 * decided here, by comparing digests (see live.c). */
#include "session/session_priv.h"

#include <math.h>

const struct bd_model *bd_session_model(const struct bd_session *s)
{
    return s->m;
}

const struct bd_bitcfg *bd_session_cfg(const struct bd_session *s)
{
    return &s->cfg;
}

const struct bd_data *bd_session_data(const struct bd_session *s)
{
    return s->data;
}

const struct bd_plan *bd_session_plan(const struct bd_session *s)
{
    return s->plan;
}

const char *bd_session_why_no_accuracy(const struct bd_session *s)
{
    return s->bench ? NULL : s->why;
}

struct bd_pool *bd_session_pool(struct bd_session *s)
{
    return s->pool;
}

/* ------------------------------------------------------------- one layer */

/* A layer left in float has no error, and knowing that takes no job. */
static struct bd_error_stats no_error(const struct bd_basic *b, int64_t n)
{
    return (struct bd_error_stats){
        .psnr_db = INFINITY, .sqnr_db = INFINITY, .cosine = 1,
        .peak = b ? b->stats.absmax : 0, .n = n,
        .zeros = b ? b->stats.zeros : 0, .stored_bits = 32 * n,
        .entropy_bits = NAN, .clip = NAN};
}

static void view_weights(struct bd_layer_view *v, const struct bd_session *s,
                         int layer)
{
    const struct bd_layer_live *l = &s->live[layer];
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].w;
    const struct bd_basic *b = bd_fits_peek_basic(s->fits, layer);
    v->stats = b ? &b->stats : NULL;
    v->bins = b ? b->bins : NULL;
    if (bd_session_is_float(t)) {
        v->fresh = BD_EXACT;
        v->w_full = true;
        v->w = no_error(b, v->params);
        return;
    }
    v->w = l->w;
    v->fresh = !l->have_w                                ? BD_ABSENT
               : l->w_digest == bd_tensorcfg_digest(t)   ? BD_EXACT
                                                         : BD_STALE;
    v->w_full = v->fresh == BD_EXACT && l->w_full;
}

static void view_acts(struct bd_layer_view *v, const struct bd_session *s,
                      int layer)
{
    const struct bd_layer_live *l = &s->live[layer];
    const struct bd_tensorcfg *t = &s->cfg.layer[layer].a;
    const struct bd_actstat *st =
        s->bench ? bd_bench_stat(s->bench, layer) : NULL;
    v->a_psnr_db = v->a_sqnr_db = v->a_clip = NAN;
    v->a_min = st ? bd_actstat_min(st) : NAN;
    v->a_max = st ? bd_actstat_max(st) : NAN;
    if (bd_session_is_float(t)) {
        v->a_fresh = BD_EXACT;
        v->a_psnr_db = v->a_sqnr_db = INFINITY;
        return;
    }
    if (!l->have_a)
        return; /* BD_ABSENT */
    v->a_fresh = l->a.digest == bd_tensorcfg_digest(t) ? BD_EXACT : BD_STALE;
    v->a_psnr_db = l->a.psnr_db;
    v->a_sqnr_db = l->a.sqnr_db;
    v->a_clip = l->a.p.clip;
}

void bd_session_layer(struct bd_layer_view *out, const struct bd_session *s,
                      int layer)
{
    const struct bd_layer *l = &s->m->layer[layer];
    struct bd_layer_view v = {0};
    v.params = bd_tensor_count(&s->m->value[l->weight].t);
    v.macs = s->plan && l->node >= 0 ? bd_plan_macs(s->plan, l->node) : 0;
    v.failed = s->live[layer].failed;
    view_weights(&v, s, layer);
    view_acts(&v, s, layer);
    *out = v;
}

/* ----------------------------------------------------------------- grids */

/* Which parameter set stands for a channel: sets lie channel by channel. */
static const struct bd_qparam *param_of(const struct bd_fit *f, int channel)
{
    size_t at = 0;
    if (f->cfg.grain != BD_GRAIN_TENSOR) {
        size_t groups = f->set.groups ? f->set.groups : 1;
        at = (size_t)(channel < 0 ? 0 : channel) * groups;
    }
    return f->set.p && at < f->set.n ? &f->set.p[at] : NULL;
}

static bool fill_grid(struct bd_grid_cache *g, const struct bd_qparam *p)
{
    size_t n = p->q && p->bits > 0 && p->bits < 32 ? p->q->levels(NULL, 0, p)
                                                   : 0;
    bd_free(g->levels);
    bd_free(g->cuts);
    g->n = 0;
    g->levels = bd_alloc(n + 1, sizeof *g->levels);
    g->cuts = bd_alloc(n + 1, sizeof *g->cuts);
    if (!g->levels || !g->cuts)
        return false;
    g->n = n;
    if (n == 0)
        return true;
    p->q->levels(g->levels, n, p);
    if (p->q->cuts)
        p->q->cuts(g->cuts, n - 1, p);
    else
        for (size_t i = 0; i + 1 < n; i++)
            g->cuts[i] = 0.5 * (g->levels[i] + g->levels[i + 1]);
    return true;
}

void bd_session_grid(struct bd_grid_view *out, const struct bd_session *s,
                     int layer, int channel)
{
    const struct bd_fit *fit = s->live[layer].fit;
    struct bd_grid_cache *g = s->grid;
    *out = (struct bd_grid_view){0};
    if (bd_session_is_float(&s->cfg.layer[layer].w) || !fit || !g)
        return;
    if (g->fit != fit || g->channel != channel) {
        const struct bd_qparam *p = param_of(fit, channel);
        if (!p || !fill_grid(g, p))
            return;
        /* Holding a reference keeps the address from being reused. */
        const struct bd_fit *mine = bd_fits_peek(s->fits, layer, &fit->cfg);
        bd_fits_unref(s->fits, g->fit);
        g->fit = mine == fit ? mine : NULL;
        if (mine != fit)
            bd_fits_unref(s->fits, mine);
        g->channel = channel;
    }
    out->n = g->n;
    out->levels = g->levels;
    out->cuts = g->cuts;
    if (g->n > 0) {
        out->clip_lo = g->levels[0];
        out->clip_hi = g->levels[g->n - 1];
    }
}

bool bd_session_histogram(const struct bd_session *s, int layer,
                          struct bd_bins b)
{
    const struct bd_basic *basic = bd_fits_peek_basic(s->fits, layer);
    if (!basic || !basic->index || !(b.hi > b.lo))
        return false;
    bd_index_histogram(basic->index, b.lo, b.hi, b.count, b.n);
    return true;
}

const struct bd_channel_view *bd_session_channels(struct bd_session *s,
                                                  int layer, int *n,
                                                  enum bd_fresh *fresh)
{
    const struct bd_chan_answer *c = s->live[layer].chan;
    uint64_t now = bd_tensorcfg_digest(&s->cfg.layer[layer].w);
    if (s->started)
        bd_live_channels(s, layer);
    *n = c ? c->n : 0;
    *fresh = !c ? BD_ABSENT : c->digest == now ? BD_EXACT : BD_STALE;
    return c ? c->c : NULL;
}

/* ------------------------------------------------------------ the network */

void bd_session_net(struct bd_net_view *out, const struct bd_session *s)
{
    const struct bd_net_eval *f =
        s->bench ? bd_bench_float_eval(s->bench) : NULL;
    struct bd_net_view v = {.images = s->images};
    bd_cost_of(&v.cost, s->m, s->plan, &s->cfg);
    if (f) {
        v.float_fresh = BD_EXACT;
        v.float_acc = *f;
    } else if (s->float_acc.have) {
        v.float_fresh = BD_PARTIAL;
        v.float_acc = s->float_acc.eval;
    }
    if (bd_session_is_original(s)) {
        v.fresh = v.float_fresh;
        v.acc = v.float_acc;
    } else if (s->acc.have) {
        v.acc = s->acc.eval;
        v.fresh = s->acc.digest != s->digest ? BD_STALE
                  : s->acc.partial           ? BD_PARTIAL
                                             : BD_EXACT;
    } else if (v.float_fresh != BD_ABSENT) {
        /* The first edit: the float network is the configuration before. */
        v.acc = v.float_acc;
        v.fresh = BD_STALE;
    }
    *out = v;
}
