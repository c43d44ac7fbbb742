/* Whole configurations as points: what they cost and what they reach.
 *
 * Four kinds stand side by side.  Here: the present configuration.
 * Evaluated: whatever was measured since the session began, with its
 * configuration, so that it can be taken back.  Baselines: one width for all.
 * Estimated: answers of the exact search along the front of the candidates'
 * losses, not measured.  The last two follow the present inputs, locks and
 * methods and are made anew when those change; what was measured of the same
 * configuration stays known by its digest.
 *
 * Measuring happens on the eval lane, one configuration at a time, so that
 * the person's own accuracy never waits for more than the step under way: an
 * edit withdraws ours and queues it again behind.  First what was asked for,
 * then baselines from coarse to fine. */
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 400, FRONT_POINTS = 20, KEY_MEASURE = 0 };

struct point {
    enum bd_trade_kind kind;
    char name[48];
    struct bd_bitcfg cfg; /* owned */
    struct bd_stage *stage; /* the network it is a configuration of */
    struct bd_cost cost;
    uint64_t digest;
    double loss;
    bool measured, asked;
    struct bd_net_eval acc;
    int id;
};
struct tool {
    struct point p[POINTS];
    int n, next_id;
    uint64_t made_for;    /* what estimated and baselines follow */
    bool open;            /* somebody looked */
    bool resting;         /* a person stopped the background */
    uint64_t busy;        /* digest under way, 0 = none */
};

static struct tool *tool_of(struct bd_session *s)
{
    return bd_tool_state(s, BD_TOOL_TRADE);
}

/* ------------------------------------------------------------- the points */

static void drop(struct tool *t, int i)
{
    bd_bitcfg_done(&t->p[i].cfg);
    memmove(&t->p[i], &t->p[i + 1],
            (size_t)(t->n - i - 1) * sizeof t->p[0]);
    t->n--;
}

static struct point *with_digest(struct tool *t, uint64_t digest)
{
    for (int i = 0; i < t->n; i++)
        if (t->p[i].digest == digest)
            return &t->p[i];
    return NULL;
}

/* A configuration stands once, under the kind it came with first. */
static struct point *add(struct bd_session *s, struct tool *t,
                         const struct bd_bitcfg *cfg, enum bd_trade_kind kind)
{
    uint64_t digest = bd_session_digest(s, cfg);
    struct point *p = with_digest(t, digest);
    const struct bd_net_eval *acc = bd_live_known(s, digest);
    if (p)
        return p;
    if (t->n == POINTS)
        drop(t, 0);
    p = &t->p[t->n];
    *p = (struct point){.kind = kind, .digest = digest, .stage = s->at,
                        .loss = (double)NAN};
    if (bd_bitcfg_copy(&p->cfg, cfg) != BD_OK)
        return NULL;
    p->id = ++t->next_id;
    bd_cost_of(&p->cost, s->m, s->plan, cfg);
    if (acc) {
        p->measured = true;
        p->acc = *acc;
    }
    t->n++;
    return p;
}

/* By the candidates; NaN where a choice is not among them. */
static double loss_of(const struct bd_session *s, const struct bd_cands *c,
                      const struct bd_bitcfg *cfg)
{
    double sum = 0;
    for (size_t i = 0; c && i < s->m->nlayers; i++) {
        size_t k = c->first[i];
        while (k < c->first[i + 1] &&
               !bd_tensorcfg_same(&c->c[k].t, &cfg->layer[i].w))
            k++;
        sum += k < c->first[i + 1] ? c->c[k].loss : (double)NAN;
    }
    return c ? sum : (double)NAN;
}

static void add_baseline(struct bd_session *s, struct tool *t, int bits)
{
    struct bd_bitcfg cfg;
    int row = bd_quantizer_find("uniform");
    if (bd_bitcfg_copy(&cfg, &s->cfg) != BD_OK)
        return;
    for (size_t i = 0; i < cfg.n; i++) {
        struct bd_tensorcfg w = {.bits = (int8_t)bits, .clip = BD_CLIP_MSE,
                                 .quant = (uint8_t)row};
        if (!cfg.layer[i].locked)
            bd_layercfg_set(&cfg.layer[i], true, &w);
    }
    struct point *p = add(s, t, &cfg, BD_TRADE_BASELINE);
    if (p) {
        p->kind = BD_TRADE_BASELINE;
        snprintf(p->name, sizeof p->name, "uniform %d", bits);
    }
    bd_bitcfg_done(&cfg);
}

static void add_estimate(struct bd_session *s, struct tool *t,
                         const struct bd_cands *c, double avg)
{
    struct bd_search_opts o = {.budget = BD_BUDGET_AVG_BITS, .target = avg};
    struct bd_search_ask a = {.m = s->m, .plan = s->plan, .cfg = &s->cfg,
                              .cands = c, .o = &o, .fits = s->fits};
    struct bd_search_result r;
    if (bd_search_solve(&r, &a, NULL) != BD_OK)
        return;
    struct point *p = add(s, t, &r.cfg, BD_TRADE_ESTIMATED);
    if (p && !p->name[0])
        snprintf(p->name, sizeof p->name, "%s", r.name);
    bd_search_result_done(&r);
}

/* From the cheapest choices to the dearest, in even steps. */
static void add_estimates(struct bd_session *s, struct tool *t,
                          const struct bd_cands *c)
{
    double lo = 0, hi = 0, weights = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct bd_tensorcfg *now = &s->cfg.layer[i].w;
        bool locked = s->cfg.layer[i].locked;
        double own = (double)bd_stored_bits(s->m, (int)i, now);
        weights +=
            (double)bd_tensor_count(&s->m->value[s->m->layer[i].weight].t);
        lo += locked ? own : (double)c->c[c->first[i]].stored;
        hi += locked ? own : (double)c->c[c->first[i + 1] - 1].stored;
    }
    for (int k = 0; k < FRONT_POINTS && weights > 0; k++)
        add_estimate(s, t, c,
                     (lo + (hi - lo) * k / (FRONT_POINTS - 1)) / weights *
                         (1 + 1e-12));
}

/* What baselines and estimates depend on: everything but the widths. */
static uint64_t basis(const struct bd_session *s, const struct bd_cands *c)
{
    uint64_t d = c ? bd_digest(c->c, c->first[c->n] * sizeof *c->c, 1) : 0;
    d += s->at->salt;
    for (size_t i = 0; i < s->cfg.n; i++) {
        const struct bd_layercfg *l = &s->cfg.layer[i];
        uint64_t v[4] = {d, bd_tensorcfg_digest(&l->a), l->locked,
                         l->locked ? bd_tensorcfg_digest(&l->w) : 0};
        d = bd_digest(v, sizeof v, 0);
    }
    return d | 1;
}

static void refresh(struct bd_session *s, struct tool *t)
{
    const struct bd_cands *c = bd_search_cands(s);
    uint64_t d = basis(s, c);
    if (d == t->made_for)
        return;
    t->made_for = d;
    for (int i = t->n - 1; i >= 0; i--) {
        if (t->p[i].kind == BD_TRADE_EVALUATED)
            continue;
        if (t->p[i].measured)
            t->p[i].kind = BD_TRADE_EVALUATED;
        else
            drop(t, i);
    }
    for (int bits = 2; bits <= 8; bits++)
        add_baseline(s, t, bits);
    if (c)
        add_estimates(s, t, c);
    for (int i = 0; i < t->n; i++)
        t->p[i].loss = loss_of(s, c, &t->p[i].cfg);
}

/* ------------------------------------------------------------- measuring */

static struct point *next_point(struct tool *t)
{
    static const int coarse[] = {4, 8, 2, 6, 3, 5, 7};
    char name[16];
    for (int i = 0; i < t->n; i++)
        if (t->p[i].asked && !t->p[i].measured)
            return &t->p[i];
    for (size_t k = 0; k < 7 && !t->resting; k++) {
        snprintf(name, sizeof name, "uniform %d", coarse[k]);
        for (int i = 0; i < t->n; i++)
            if (t->p[i].kind == BD_TRADE_BASELINE && !t->p[i].measured &&
                strcmp(t->p[i].name, name) == 0)
                return &t->p[i];
    }
    return NULL;
}

static void measure_next(struct bd_session *s, struct tool *t)
{
    struct point *p = t->open && !t->busy && s->bench ? next_point(t) : NULL;
    uint64_t key = bd_tool_key(BD_TOOL_TRADE, KEY_MEASURE);
    if (!p)
        return;
    bd_lanes_touch(s->lanes, key);
    if (bd_live_measure(s, key, "trade-off accuracy", p->stage->bench,
                        &p->cfg))
        t->busy = p->digest;
}

static void accept(struct bd_session *s, void *state, struct bd_done *d,
                   uint32_t sub)
{
    struct tool *t = state;
    struct bd_acc_answer *a = d->result;
    struct point *p = a ? with_digest(t, a->digest) : NULL;
    (void)sub;
    if (p) {
        p->acc = a->eval;
        p->measured = !d->partial;
    }
    if (!d->partial) {
        struct point *failed = with_digest(t, t->busy);
        t->busy = 0;
        if (a)
            bd_live_remember(s, a);
        if (!a && failed)
            failed->asked = false;
        t->resting = t->resting || d->status != BD_OK;
        if (d->status != BD_OK && d->status != BD_ECANCELLED)
            bd_session_say(s, "trade-off accuracy: %s", d->err.msg);
        measure_next(s, t);
    }
    bd_free(a);
}

/* The person's accuracy was queued a moment ago; ours goes behind it. */
static void edited(struct bd_session *s, void *state)
{
    struct tool *t = state;
    if (!t->busy)
        return;
    bd_lanes_touch(s->lanes, bd_tool_key(BD_TOOL_TRADE, KEY_MEASURE));
    t->busy = 0;
    measure_next(s, t);
}

static void done(void *state)
{
    struct tool *t = state;
    while (t->n > 0)
        drop(t, t->n - 1);
}

const struct bd_tool bd_trade_tool = {sizeof(struct tool), accept, edited,
                                      done};

/* The accuracy of the present configuration came in. */
void bd_trade_seen(struct bd_session *s, const struct bd_acc_answer *a)
{
    struct tool *t = a->digest == s->digest ? tool_of(s) : NULL;
    struct point *p = t ? add(s, t, &s->cfg, BD_TRADE_EVALUATED) : NULL;
    if (!p)
        return;
    if (!p->name[0])
        snprintf(p->name, sizeof p->name, "%.2f b", p->cost.avg_bits_w);
    if (p->kind == BD_TRADE_ESTIMATED)
        p->kind = BD_TRADE_EVALUATED;
    p->measured = true;
    p->acc = a->eval;
}

/* ------------------------------------------------------------- the view */

static void show(struct bd_trade_point *out, const struct point *p)
{
    bool some = p->acc.images > 0;
    *out = (struct bd_trade_point){
        .kind = p->kind == BD_TRADE_ESTIMATED && p->measured
                    ? BD_TRADE_EVALUATED
                    : p->kind,
        .avg_bits = p->cost.avg_bits_w,
        .size_bytes = (double)((p->cost.size_bits + 7) / 8),
        .bops = p->cost.bops, .loss = p->loss,
        .top1 = some ? p->acc.top1 : (double)NAN,
        .ci_lo = some ? p->acc.ci_lo : (double)NAN,
        .ci_hi = some ? p->acc.ci_hi : (double)NAN, .id = p->id};
    snprintf(out->name, sizeof out->name, "%s", p->name);
}

static void show_here(struct bd_trade_point *out, struct bd_session *s)
{
    struct bd_net_view net;
    struct point p = {.kind = BD_TRADE_HERE, .name = "here"};
    bd_session_net(&net, s);
    p.cost = net.cost;
    p.loss = loss_of(s, bd_search_cands(s), &s->cfg);
    if (net.fresh == BD_EXACT || net.fresh == BD_PARTIAL)
        p.acc = net.acc;
    show(out, &p);
}

static int by_bits(const void *a, const void *b)
{
    const struct bd_trade_point *x = a, *y = b;
    if (x->avg_bits != y->avg_bits)
        return x->avg_bits < y->avg_bits ? -1 : 1;
    return x->id - y->id;
}

/* Among what was measured: no larger and better, or as good and smaller. */
static void mark_dominated(struct bd_trade_point *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && !isnan(p[i].top1); k++)
            if (!isnan(p[k].top1) &&
                ((p[k].avg_bits <= p[i].avg_bits && p[k].top1 > p[i].top1) ||
                 (p[k].avg_bits < p[i].avg_bits && p[k].top1 >= p[i].top1)))
                p[i].dominated = true;
}

/* Top-1 of points that were not measured: on a line, over the logarithm of
 * the loss, between the measured points next to it; the float network has no
 * loss.  Good for drawing, and called a guess. */
static double guess(const struct bd_trade_point *p, size_t n, double loss)
{
    const struct bd_trade_point *lo = NULL, *hi = NULL;
    int known = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(p[i].top1) || !(p[i].loss > 0))
            continue;
        known++;
        if (p[i].loss <= loss && (!lo || p[i].loss > lo->loss))
            lo = &p[i];
        if (p[i].loss >= loss && (!hi || p[i].loss < hi->loss))
            hi = &p[i];
    }
    if (known < 3) /* a level line through one point says nothing */
        return (double)NAN;
    if (!lo || !hi)
        return lo ? lo->top1 : hi ? hi->top1 : (double)NAN;
    if (!(hi->loss > lo->loss))
        return lo->top1;
    double f = log(loss / lo->loss) / log(hi->loss / lo->loss);
    return lo->top1 + f * (hi->top1 - lo->top1);
}

size_t bd_session_trade(struct bd_session *s, struct bd_trade_point *out,
                        size_t cap)
{
    struct tool *t = tool_of(s);
    size_t n = 0;
    if (!t)
        return 0;
    t->open = true;
    refresh(s, t);
    measure_next(s, t);
    struct bd_trade_point *all =
        bd_calloc((size_t)t->n + 1, sizeof *all);
    if (!all)
        return 0;
    show_here(&all[n++], s);
    for (int i = 0; i < t->n; i++)
        if (t->p[i].digest != s->digest)
            show(&all[n++], &t->p[i]);
    for (size_t i = 0; i < n; i++)
        all[i].guess = isnan(all[i].top1) && all[i].loss > 0
                           ? guess(all, n, all[i].loss)
                           : (double)NAN;
    mark_dominated(all, n);
    qsort(all, n, sizeof *all, by_bits);
    if (cap > 0) /* else out may be NULL: only the count is wanted */
        memcpy(out, all, (n < cap ? n : cap) * sizeof *all);
    bd_free(all);
    return n;
}

static struct point *with_id(struct tool *t, int id)
{
    for (int i = 0; t && i < t->n; i++)
        if (t->p[i].id == id)
            return &t->p[i];
    return NULL;
}

bd_status bd_session_trade_take(struct bd_session *s, int id,
                                struct bd_err *err)
{
    struct point *p = with_id(tool_of(s), id);
    struct bd_bitcfg cfg;
    char what[80];
    if (id == 0)
        return BD_OK; /* here already */
    if (!p)
        return bd_fail(err, BD_EINVALID, "this point is no longer there");
    if (bd_bitcfg_copy(&cfg, &p->cfg) != BD_OK)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    snprintf(what, sizeof what, "trade-off: %s", p->name);
    bd_status st = bd_history_take(s, p->stage, &cfg, what, err);
    bd_bitcfg_done(&cfg);
    return st;
}

bd_status bd_session_trade_measure(struct bd_session *s, int id,
                                   struct bd_err *err)
{
    struct tool *t = tool_of(s);
    struct point *p = with_id(t, id);
    if (!s->bench)
        return bd_fail(err, BD_EINVALID, "%s", s->why);
    if (id == 0)
        return BD_OK; /* measured after every edit */
    if (!p)
        return bd_fail(err, BD_EINVALID, "this point is no longer there");
    p->asked = !p->measured;
    measure_next(s, t);
    return BD_OK;
}
