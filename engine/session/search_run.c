/* Answers that measure: the true accuracy in the loop.
 *
 * max-drop  walks the front from cheap to dear by bisection: accuracy is
 *   taken to rise with the budget, each step is measured, and what is
 *   returned did measure within the drop.
 * measured  starts from the exact answer for the estimated losses and moves
 *   bits: one layer takes the next dearer choice, another pays for it with
 *   the next cheaper one.  Pairs are tried in the order in which the
 *   estimates like them, and only what answers more images rightly stays
 *   (or as many, at a smaller cross-entropy).  The order is fixed and so is
 *   every number, whatever the number of threads.
 *
 * Images run in slices, and the bench is given back between them, so that
 * the accuracy of an edit never waits for a whole evaluation of ours. */
#include "session/search_priv.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 128, EVALUATIONS = 200 };
static const char out_of_memory[] = "out of memory for the search";

struct run {
    const struct bd_search_ask *a;
    struct bd_ctl *ctl;
    struct bd_err *err;
    float *logits;
    int64_t start_ns;
    int evaluations, most;
    struct bd_search_result best; /* cfg.n 0 = none */
};

/* ------------------------------------------------------------- accuracies */

static bd_status slice(struct run *r, const struct bd_qrun *q, int64_t first)
{
    struct bd_bench *b = r->a->bench;
    int64_t left = b->o.images - first;
    struct bd_runner_run run = {.q = q->q, .first = first,
                                .images = left < SLICE ? left : SLICE};
    pthread_mutex_lock(&b->turn);
    bd_status st = bd_runner_run(b->runner, &run,
                                 r->logits + first * b->outputs, r->ctl,
                                 r->err);
    pthread_mutex_unlock(&b->turn);
    return st;
}

static bd_status measure(struct bd_net_eval *out, struct run *r,
                         const struct bd_bitcfg *cfg)
{
    struct bd_bench *b = r->a->bench;
    struct bd_qrun q;
    bd_status st = bd_bench_prepare(b, cfg, r->ctl, r->err);
    if (st == BD_OK)
        st = bd_qrun_init(&q, b, cfg, r->ctl, r->err);
    if (st != BD_OK)
        return st;
    for (int64_t i = 0; i < b->o.images && st == BD_OK; i += SLICE)
        st = bd_ctl_stale(r->ctl) ? BD_ECANCELLED : slice(r, &q, i);
    bd_qrun_done(&q);
    if (st != BD_OK)
        return st;
    bd_bench_logits_done(b, r->logits);
    bd_eval_logits(out, r->logits, b->float_logits, b->label, b->o.images,
                   b->outputs);
    out->total = b->o.images;
    r->evaluations++;
    bd_ctl_progress(r->ctl, r->evaluations, r->most);
    return BD_OK;
}

/* More images right, or as many with less doubt. */
static bool better(const struct bd_net_eval *a, const struct bd_net_eval *b)
{
    if (b->total == 0 || a->right1 != b->right1)
        return b->total == 0 || a->right1 > b->right1;
    return a->loss < b->loss;
}

static void stamp(struct run *r)
{
    r->best.evaluations = r->evaluations;
    r->best.seconds = (double)(bd_now_ns() - r->start_ns) / 1e9;
}

/* Somebody may look at the best so far. */
static void post(struct run *r)
{
    struct bd_search_result *copy = bd_calloc(1, sizeof *copy);
    stamp(r);
    if (copy && bd_search_result_copy(copy, &r->best) == BD_OK &&
        bd_ctl_post(r->ctl, copy))
        return;
    if (copy)
        bd_search_result_done(copy);
    bd_free(copy);
}

/* Takes over *res if it measures better. */
static bool keep(struct run *r, struct bd_search_result *res)
{
    if (r->best.cfg.n && !better(&res->acc, &r->best.acc)) {
        bd_search_result_done(res);
        return false;
    }
    bd_search_result_done(&r->best);
    r->best = *res;
    post(r);
    return true;
}

/* ---------------------------------------------------------------- max-drop */

static int by_cost(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What the walk counts: of both sides only bit operations do. */
static enum bd_budget walk_by(const struct bd_search_ask *a)
{
    return a->o->what == BD_SENS_WA && a->plan ? BD_BUDGET_BOPS
                                               : BD_BUDGET_AVG_BITS;
}

/* Costs worth trying, ascending: those of the convex front. */
static bd_status front_costs(double **out, size_t *n, struct run *r)
{
    struct bd_search_opts o = *r->a->o;
    struct bd_search_ask a = *r->a;
    struct bd_search_problem sp;
    o.budget = walk_by(r->a);
    o.target = 0;
    a.o = &o;
    bd_status st = bd_search_problem_init(&sp, &a, r->err);
    if (st != BD_OK)
        return st;
    *n = bd_alloc_front(NULL, 0, &sp.p);
    struct bd_alloc_point *p = bd_alloc(*n + 1, sizeof *p);
    *out = bd_alloc(*n + 1, sizeof **out);
    if (*n == 0)
        st = bd_fail(r->err, BD_EINVALID, "tied layers share no choice");
    else if (!p || !*out)
        st = bd_fail(r->err, BD_ENOMEM, out_of_memory);
    else
        bd_alloc_front(p, *n, &sp.p);
    for (size_t i = 0; st == BD_OK && i < *n; i++)
        (*out)[i] = p[i].cost / sp.unit;
    if (st == BD_OK)
        qsort(*out, *n, sizeof **out, by_cost);
    bd_free(p);
    bd_search_problem_done(&sp);
    return st;
}

/* The estimate's answer at that cost, measured. */
static bd_status at_cost(struct bd_search_result *out, struct run *r,
                         double cost)
{
    struct bd_search_opts o = *r->a->o;
    struct bd_search_ask a = *r->a;
    o.budget = walk_by(r->a);
    o.target = cost;
    if (o.method == BD_SEARCH_MEASURED)
        o.method = BD_SEARCH_DP;
    a.o = &o;
    bd_status st = bd_search_solve(out, &a, r->err);
    if (st == BD_OK)
        st = measure(&out->acc, r, &out->cfg);
    if (st != BD_OK)
        bd_search_result_done(out);
    return st;
}

static bd_status max_drop(struct run *r)
{
    const struct bd_net_eval *f = bd_bench_float_eval(r->a->bench);
    double need = f->top1 - r->a->o->target / 100, top = 0, *cost = NULL;
    size_t n = 0, lo = 0, hi;
    bd_status st = front_costs(&cost, &n, r);
    hi = n; /* cost[hi] is known to do, or n = nothing is */
    for (r->most = 2; (size_t)1 << r->most < n; r->most++)
        ;
    while (st == BD_OK && lo < hi) {
        size_t mid = hi == n && lo == 0 ? n - 1 : lo + (hi - lo) / 2;
        struct bd_search_result res = {0};
        st = at_cost(&res, r, cost[mid]);
        if (st != BD_OK)
            break;
        top = fmax(top, res.acc.top1);
        if (res.acc.top1 >= need - 1e-12) {
            bd_search_result_done(&r->best);
            r->best = res;
            r->best.budget = r->a->o->target;
            r->best.cost = (f->top1 - res.acc.top1) * 100;
            hi = mid;
            post(r);
        } else {
            bd_search_result_done(&res);
            if (mid == n - 1)
                break; /* not even the widest */
            lo = mid + 1;
        }
    }
    bd_free(cost);
    if (st == BD_OK && !r->best.cfg.n)
        return bd_fail(r->err, BD_EUNSUPPORTED,
                       "max-drop=%.4g: the smallest drop reached is %.2f "
                       "points; wider widths or other methods help",
                       r->a->o->target, (f->top1 - top) * 100);
    return st;
}

/* ---------------------------------------------------------------- measured */

struct move { /* one layer to a dearer choice, another to a cheaper one */
    size_t up, down;
    const struct bd_cand *to_up, *to_down;
    double gain; /* estimated */
};

static const struct bd_cand *present_of(const struct bd_cands *c, size_t i,
                                        const struct bd_tensorcfg *t)
{
    for (size_t k = c->first[i]; k < c->first[i + 1]; k++)
        if (bd_tensorcfg_same(&c->c[k].t, t))
            return &c->c[k];
    return NULL;
}

/* The next choice that costs more and loses less, or the reverse. */
static const struct bd_cand *next_of(const struct bd_cands *c, size_t i,
                                     const struct bd_cand *now, int dir)
{
    const struct bd_cand *best = NULL;
    for (size_t k = c->first[i]; now && k < c->first[i + 1]; k++) {
        const struct bd_cand *x = &c->c[k];
        bool ok = dir > 0 ? x->stored > now->stored && x->loss < now->loss
                          : x->stored < now->stored && x->loss > now->loss;
        if (ok && (!best || (dir > 0 ? x->stored < best->stored
                                     : x->loss < best->loss)))
            best = x;
    }
    return best;
}

static int by_gain(const void *a, const void *b)
{
    const struct move *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain > y->gain ? -1 : 1;
    if (x->up != y->up)
        return x->up < y->up ? -1 : 1;
    return x->down < y->down ? -1 : x->down > y->down;
}

/* What a pair would cost and gain; d == u: the step up without a payer.
 * false: there is no such pair. */
static bool pair_of(struct move *m, double *cost, const struct run *r,
                    size_t u, size_t d)
{
    const struct bd_cands *c = r->a->cands;
    const struct bd_cand *up = present_of(c, u, &r->best.cfg.layer[u].w);
    const struct bd_cand *down = present_of(c, d, &r->best.cfg.layer[d].w);
    *m = (struct move){u, d, next_of(c, u, up, 1), NULL, 0};
    if (!m->to_up)
        return false;
    *cost = (double)(m->to_up->stored - up->stored);
    m->gain = up->loss - m->to_up->loss;
    if (d == u)
        return true;
    m->to_down = bd_search_locked(r->a, d) ? NULL : next_of(c, d, down, -1);
    if (!m->to_down)
        return false;
    *cost -= (double)(down->stored - m->to_down->stored);
    m->gain -= m->to_down->loss - down->loss;
    return true;
}

/* Pairs that keep the budget, the best estimates first. */
static bd_status list_moves(struct move **out, size_t *n, struct run *r,
                            double room)
{
    size_t layers = r->a->cands->n, cap = 0;
    struct move *m = NULL, next;
    double cost;
    *n = 0;
    for (size_t u = 0; u < layers; u++)
        for (size_t d = 0; !bd_search_locked(r->a, u) && d < layers; d++) {
            if (!pair_of(&next, &cost, r, u, d) || cost > room)
                continue;
            if (!bd_grow((void **)&m, &cap, *n + 1, sizeof *m)) {
                bd_free(m);
                return bd_fail(r->err, BD_ENOMEM, out_of_memory);
            }
            m[(*n)++] = next;
        }
    if (*n)
        qsort(m, *n, sizeof *m, by_gain);
    *out = m;
    return BD_OK;
}

static bd_status try_move(bool *improved, struct run *r, const struct move *m)
{
    struct bd_search_result res;
    bd_status st = bd_search_result_copy(&res, &r->best);
    *improved = false;
    if (st != BD_OK)
        return bd_fail(r->err, st, out_of_memory);
    res.loss -= m->gain;
    bd_layercfg_set(&res.cfg.layer[m->up], true, &m->to_up->t);
    if (m->to_down)
        bd_layercfg_set(&res.cfg.layer[m->down], true, &m->to_down->t);
    bd_search_label(&res, r->a);
    st = measure(&res.acc, r, &res.cfg);
    if (st == BD_OK)
        *improved = keep(r, &res);
    else
        bd_search_result_done(&res);
    return st;
}

/* Bits the best leaves unspent. */
static double room_of(const struct run *r, const struct bd_search_problem *sp)
{
    double used = 0;
    for (size_t i = 0; i < r->best.cfg.n; i++)
        used += (double)bd_stored_bits(r->a->m, (int)i,
                                       &r->best.cfg.layer[i].w);
    return sp->p.budget - used;
}

/* Until nothing improves or the evaluations are used up. */
static bd_status climb(struct run *r, const struct bd_search_problem *sp)
{
    bd_status st = BD_OK;
    for (bool any = true; any && st == BD_OK;) {
        struct move *m = NULL;
        size_t n;
        any = false;
        st = list_moves(&m, &n, r, room_of(r, sp));
        for (size_t i = 0; i < n && st == BD_OK && !any; i++) {
            if (r->evaluations >= r->most)
                break;
            st = try_move(&any, r, &m[i]);
        }
        bd_free(m);
    }
    return st;
}

static bd_status measured(struct run *r)
{
    struct bd_search_problem sp;
    struct bd_search_opts o = *r->a->o;
    struct bd_search_ask a = *r->a;
    struct bd_search_result res;
    if (o.budget != BD_BUDGET_AVG_BITS && o.budget != BD_BUDGET_SIZE)
        return bd_fail(r->err, BD_EINVALID,
                       "'measured' spends avg-bits or size; dp takes the "
                       "other budgets");
    bd_status st = bd_search_no_ties(&o, r->err);
    o.method = BD_SEARCH_DP;
    a.o = &o;
    if (st == BD_OK)
        st = bd_search_solve(&res, &a, r->err);
    if (st != BD_OK)
        return st;
    bd_search_label(&res, r->a);
    res.optimal = false;
    st = measure(&res.acc, r, &res.cfg);
    if (st != BD_OK) {
        bd_search_result_done(&res);
        return st;
    }
    keep(r, &res);
    st = bd_search_problem_init(&sp, &a, r->err);
    if (st == BD_OK)
        st = climb(r, &sp);
    bd_search_problem_done(&sp);
    return st;
}

/* Stopped with something in hand is an answer. */
bd_status bd_search_run(struct bd_search_result *out,
                        const struct bd_search_ask *a, struct bd_ctl *ctl,
                        struct bd_err *err)
{
    struct bd_bench *b = a->bench;
    struct run r = {.a = a, .ctl = ctl, .err = err, .start_ns = bd_now_ns(),
                    .most = a->o->evaluations > 0 ? a->o->evaluations
                                                  : EVALUATIONS};
    if (!b)
        return bd_fail(err, BD_EINVALID,
                       "measuring needs images: give --data");
    bd_status st = bd_bench_float(b, ctl, err);
    if (st != BD_OK)
        return st;
    r.logits = bd_alloc((size_t)(b->o.images * b->outputs), sizeof *r.logits);
    if (!r.logits)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    st = a->o->budget == BD_BUDGET_MAX_DROP ? max_drop(&r) : measured(&r);
    bd_free(r.logits);
    if (st == BD_ECANCELLED && r.best.cfg.n)
        st = BD_OK;
    stamp(&r);
    if (st == BD_OK)
        *out = r.best;
    else
        bd_search_result_done(&r.best);
    return st;
}
