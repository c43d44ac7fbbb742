/* One request answered from the candidates.
 *
 * The request becomes a problem of bitalloc: one layer per layer, one option
 * per candidate, costs in stored bits or bit operations, which are sums over
 * layers exactly as bd_cost_of adds them up.  A locked layer has one option,
 * what it has now.  The answer becomes a configuration, and its cost is then
 * read from bd_cost_of: what is reported is what will be stored. */
#include "session/search_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const bd_budget_names[] = {"avg-bits",  "size",     "bops",
                                       "psnr-min", "psnr-loss", "max-drop",
                                       NULL};
const char *const bd_search_names[] = {"dp",       "uniform", "greedy",
                                       "lagrange", "channel", "measured",
                                       "bottleneck", NULL};
static const char out_of_memory[] = "out of memory for the search";

void bd_search_result_done(struct bd_search_result *r)
{
    bd_bitcfg_done(&r->cfg);
    *r = (struct bd_search_result){0};
}

bd_status bd_search_result_copy(struct bd_search_result *to,
                                const struct bd_search_result *from)
{
    struct bd_bitcfg cfg;
    bd_status st = bd_bitcfg_copy(&cfg, &from->cfg);
    if (st != BD_OK)
        return st;
    *to = *from;
    to->cfg = cfg;
    return BD_OK;
}

void bd_words_done(struct bd_words *w)
{
    bd_free(w->text);
    *w = (struct bd_words){0};
}

bd_status bd_words_copy(struct bd_words *to, const char *const *from)
{
    size_t n = 0, at = 0, k = 0;
    *to = (struct bd_words){0};
    for (k = 0; from && from[k]; k++)
        n += strlen(from[k]) + 1;
    if (k == 0)
        return BD_OK;
    to->text = bd_alloc(n, 1);
    if (!to->text)
        return BD_ENOMEM;
    for (k = 0; from[k] && k < BD_MOST_WORDS; k++) {
        size_t len = strlen(from[k]) + 1;
        memcpy(to->text + at, from[k], len);
        to->v[k] = to->text + at;
        at += len;
    }
    return BD_OK;
}

bool bd_search_measures(const struct bd_search_opts *o)
{
    return o->method == BD_SEARCH_MEASURED ||
           o->budget == BD_BUDGET_MAX_DROP;
}

bool bd_search_needs_images(const struct bd_search_opts *o)
{
    return bd_search_measures(o) || o->method == BD_SEARCH_BOTTLENECK;
}

double bd_search_cost(const struct bd_cost *c, const struct bd_search_opts *o)
{
    if (o->budget == BD_BUDGET_SIZE)
        return (double)((c->size_bits + 7) / 8);
    if (o->budget == BD_BUDGET_BOPS)
        return c->bops;
    return o->what == BD_SENS_A ? c->avg_bits_a : c->avg_bits_w;
}

static void say_source(struct bd_search_result *r, const struct bd_cands *c)
{
    bool both = r->what == BD_SENS_WA && strcmp(c->source, c->source_in) != 0;
    static const char ratio[] = "noise-to-signal ratio of ";
    size_t n = sizeof ratio - 1;
    if (both && strncmp(c->source, ratio, n) == 0 &&
        strncmp(c->source_in, ratio, n) == 0) {
        snprintf(r->source, sizeof r->source, "%sweights and inputs", ratio);
        return;
    }
    snprintf(r->source, sizeof r->source, "%s%s%s",
             r->what == BD_SENS_A ? c->source_in : c->source,
             both ? "; of inputs: " : "", both ? c->source_in : "");
}

/* "dp 4.50 b": what the undo list and the points of the front call it. */
void bd_search_label(struct bd_search_result *r, const struct bd_search_ask *a)
{
    bd_cost_of(&r->size, a->m, a->plan, &r->cfg);
    r->cost = bd_search_cost(&r->size, a->o);
    r->what = a->o->what;
    const char *how = bd_search_names[a->o->method];
    if (!(r->what & BD_SENS_A))
        snprintf(r->name, sizeof r->name, "%s %.2f b", how,
                 r->size.avg_bits_w);
    else if (r->what == BD_SENS_A)
        snprintf(r->name, sizeof r->name, "%s inputs %.2f b", how,
                 r->size.avg_bits_a);
    else
        snprintf(r->name, sizeof r->name, "%s %.2f/%.2f b", how,
                 r->size.avg_bits_w, r->size.avg_bits_a);
    say_source(r, a->cands);
}

/* ------------------------------------------------------------- the problem */

/* Stored bits or bit operations; the floors of both sides have no common
 * cost, and take the bits of the weights and of the values that come in. */
double bd_search_layer_cost(const struct bd_search_ask *a, size_t i,
                            const struct bd_tensorcfg *w,
                            const struct bd_tensorcfg *in)
{
    const struct bd_search_opts *o = a->o;
    double cost = 0;
    if (o->budget == BD_BUDGET_BOPS)
        return a->plan ? (double)bd_plan_macs(a->plan, a->m->layer[i].node) *
                             bd_code_bits(w) * in->bits
                       : 0;
    if (o->what != BD_SENS_A)
        cost = (double)bd_stored_bits(a->m, (int)i, w);
    if (o->what == BD_SENS_A || (o->what == BD_SENS_WA && bd_search_floors(o)))
        cost += bd_input_size(a->m, a->plan, (int)i) * in->bits;
    return cost;
}

/* Of one layer with the input it has. */
static double cost_of(const struct bd_search_ask *a, size_t i,
                      const struct bd_tensorcfg *t)
{
    return bd_search_layer_cost(a, i, t, &a->cfg->layer[i].a);
}

static int64_t weights_of(const struct bd_model *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->nlayers; i++)
        n += bd_tensor_count(&m->value[m->layer[i].weight].t);
    return n;
}

static double inputs_of(const struct bd_search_ask *a)
{
    double n = 0;
    for (size_t i = 0; i < a->m->nlayers; i++)
        n += bd_input_size(a->m, a->plan, (int)i);
    return n;
}

/* What the configuration costs now, as the problem counts. */
static double present_cost(const struct bd_search_ask *a)
{
    double sum = 0;
    for (size_t i = 0; i < a->m->nlayers; i++)
        sum += cost_of(a, i, &a->cfg->layer[i].w);
    return sum;
}

static void set_budget(struct bd_search_problem *sp,
                       const struct bd_search_ask *a)
{
    int64_t weights = weights_of(a->m);
    sp->offset = 0;
    sp->unit = 1;
    if (a->o->budget == BD_BUDGET_SIZE) {
        sp->unit = 8;
        sp->offset = 32.0 * (double)(a->m->params - weights);
    } else if (a->o->budget != BD_BUDGET_BOPS) {
        sp->unit = a->o->what == BD_SENS_A ? inputs_of(a) : (double)weights;
    }
    sp->p.budget = a->o->target > 0
                       ? a->o->target * sp->unit - sp->offset
                       : present_cost(a);
    if (sp->joint && bd_search_floors(a->o))
        sp->p.budget = 0; /* nothing that is there costs any */
}

static void add_layer(struct bd_search_problem *sp,
                      const struct bd_search_ask *a, size_t i, size_t *at)
{
    struct bd_alloc_layer *l = &sp->layer[i];
    const struct bd_cands *c = a->cands;
    *l = (struct bd_alloc_layer){a->m->layer[i].name, 0, sp->option + *at,
                                 -1, -1};
    if (bd_search_locked(a, i)) {
        const struct bd_tensorcfg *t = &a->cfg->layer[i].w;
        sp->option[*at] = (struct bd_alloc_option){
            t->bits * BD_CAND_FORMS, cost_of(a, i, t), 0};
        sp->cand[(*at)++] = NULL;
        l->n = 1;
        return;
    }
    for (size_t k = c->first[i]; k < c->first[i + 1]; k++) {
        sp->option[*at] = (struct bd_alloc_option){
            c->c[k].key, cost_of(a, i, &c->c[k].t), c->c[k].loss};
        sp->cand[(*at)++] = &c->c[k];
        l->n++;
    }
}

/* ----------------------------------------------------------------- ties */

static bd_status set_ties(struct bd_search_problem *sp,
                          const struct bd_search_ask *a, struct bd_err *err)
{
    int *tie = bd_alloc(a->m->nlayers + 1, sizeof *tie);
    bd_status st = tie ? bd_search_ties(tie, a, false, err)
                       : bd_fail(err, BD_ENOMEM, out_of_memory);
    /* A locked layer keeps what it has; others need not follow it into a
     * form they may not even know. */
    for (size_t i = 0; st == BD_OK && i < a->m->nlayers; i++)
        sp->layer[i].tie = bd_search_locked(a, i) ? -1 : tie[i];
    bd_free(tie);
    return st;
}

static bd_status weights_alone(struct bd_search_problem *sp,
                               const struct bd_search_ask *a,
                               struct bd_err *err)
{
    size_t n = a->m->nlayers, all = a->cands->first[n] + n + 1, at = 0;
    sp->layer = bd_calloc(n + 1, sizeof *sp->layer);
    sp->option = bd_calloc(all, sizeof *sp->option);
    sp->cand = bd_calloc(all, sizeof *sp->cand);
    if (!sp->layer || !sp->option || !sp->cand)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; i < n; i++)
        add_layer(sp, a, i, &at);
    sp->p.n = n;
    sp->p.layer = sp->layer;
    return set_ties(sp, a, err);
}

static bd_status check(const struct bd_search_ask *a, struct bd_err *err)
{
    if (a->o->budget == BD_BUDGET_BOPS && !a->plan)
        return bd_fail(err, BD_EINVALID,
                       "bit operations need a graph; avg-bits or size works");
    return bd_search_locks(a, err);
}

bd_status bd_search_problem_init(struct bd_search_problem *sp,
                                 const struct bd_search_ask *a,
                                 struct bd_err *err)
{
    *sp = (struct bd_search_problem){0};
    bd_status st = check(a, err);
    if (st == BD_OK)
        st = a->o->what & BD_SENS_A ? bd_joint_init(sp, a, err)
                                    : weights_alone(sp, a, err);
    if (st == BD_OK)
        set_budget(sp, a);
    else
        bd_search_problem_done(sp);
    return st;
}

void bd_search_problem_done(struct bd_search_problem *sp)
{
    bd_free(sp->layer);
    bd_free(sp->option);
    bd_free(sp->cand);
    bd_joint_free(sp->joint);
    *sp = (struct bd_search_problem){0};
}

/* ---------------------------------------------------------------- picking */

static const struct bd_cand *picked(const struct bd_search_problem *sp,
                                    size_t i, int pick)
{
    return sp->cand[(size_t)(sp->layer[i].option - sp->option) +
                    (size_t)pick];
}

/* One key everywhere; -1 where a layer lacks it. */
static double uniform_loss(int *pick, double *cost,
                           const struct bd_search_problem *sp, int key)
{
    double loss = 0;
    *cost = 0;
    for (size_t i = 0; i < sp->p.n; i++) {
        const struct bd_alloc_layer *l = &sp->layer[i];
        bool locked = !picked(sp, i, 0);
        size_t k = 0;
        while (k < l->n && !locked && l->option[k].bits != key)
            k++;
        if (k == l->n)
            return INFINITY;
        pick[i] = (int)k;
        *cost += l->option[k].cost;
        loss += l->option[k].loss;
    }
    return loss;
}

/* The baseline: one width and one form for all, the best that fits.  false:
 * none does; *least is what the cheapest one costs, infinite where nothing
 * suits all layers. */
static bool solve_uniform(struct bd_alloc_result *r, int *pick, double *least,
                          const struct bd_search_problem *sp)
{
    double cost, room = sp->p.budget + 1e-9 * fabs(sp->p.budget);
    r->loss = *least = INFINITY;
    for (int key = 0; key < 33 * BD_CAND_FORMS; key++) {
        double loss = uniform_loss(pick, &cost, sp, key);
        if (isinf(loss))
            continue;
        *least = fmin(*least, cost);
        if (cost > room || loss >= r->loss)
            continue;
        r->loss = loss;
        r->cost = cost;
        memcpy(r->pick, pick, sp->p.n * sizeof *pick);
    }
    return !isinf(r->loss);
}

double bd_search_floor(const struct bd_search_opts *o,
                       const struct bd_cand *c, size_t n)
{
    double best = -INFINITY;
    if (o->budget == BD_BUDGET_PSNR_MIN)
        return o->target;
    for (size_t k = 0; k < n; k++)
        if (isfinite(c[k].psnr_db))
            best = fmax(best, c[k].psnr_db);
    return best - o->target;
}

static bd_status below_floor(const struct bd_search_problem *sp, size_t i,
                             double want, struct bd_err *err)
{
    double best = -INFINITY;
    char shown[128];
    for (size_t k = 0; k < sp->layer[i].n; k++)
        best = fmax(best, picked(sp, i, (int)k)->psnr_db);
    return bd_fail(err, BD_EUNSUPPORTED,
                   "layer '%s' reaches %.1f dB at most, below %.1f; more "
                   "widths or a lock help",
                   bd_text_show(shown, sizeof shown, sp->layer[i].name, 40),
                   best, want);
}

/* Cheapest choice of each group that keeps the floor; exact, since groups
 * are independent.  Options below the floor are priced out of reach, then the
 * cheapest sum wins: the problem with cost and loss exchanged, no budget. */
static bd_status solve_floor(struct bd_alloc_result *r,
                             const struct bd_search_problem *sp,
                             const struct bd_search_opts *o,
                             struct bd_err *err)
{
    struct bd_alloc_problem p = sp->p;
    size_t n = sp->p.n, all = 0, at = 0;
    bd_status st = BD_OK;
    for (size_t i = 0; i < n; i++)
        all += sp->layer[i].n;
    struct bd_alloc_layer *layer = bd_alloc(n + 1, sizeof *layer);
    struct bd_alloc_option *opt = bd_alloc(all + 1, sizeof *opt);
    if (!layer || !opt)
        st = bd_fail(err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; i < n && st == BD_OK; i++) {
        const struct bd_cand *of = picked(sp, i, 0);
        double want = of ? bd_search_floor(o, of, sp->layer[i].n) : 0;
        bool any = false;
        layer[i] = sp->layer[i];
        layer[i].option = opt + at;
        for (size_t k = 0; k < sp->layer[i].n; k++) {
            const struct bd_cand *c = picked(sp, i, (int)k);
            bool ok = !c || c->psnr_db >= want;
            opt[at] = sp->layer[i].option[k];
            opt[at].loss = opt[at].cost;
            opt[at++].cost = ok ? 0 : 1;
            any = any || ok;
        }
        if (!any)
            st = below_floor(sp, i, want, err);
    }
    p.layer = layer;
    p.budget = 0;
    if (st == BD_OK && bd_allocator_find("dp")->solve(r, &p, NULL) != BD_OK)
        st = bd_fail(err, BD_EUNSUPPORTED, "tied layers share no choice "
                                           "that keeps the floor");
    r->loss = 0; /* what was minimised is the cost */
    for (size_t i = 0; i < n && st == BD_OK; i++)
        r->loss += sp->layer[i].option[r->pick[i]].loss;
    r->bound = (double)NAN;
    bd_free(layer);
    bd_free(opt);
    return st;
}

/* The smallest budget, in its own unit, in place of the allocator's words.
 * Rounded up, so that it can be typed back. */
bd_status bd_search_too_small(const struct bd_search_problem *sp,
                              double least, const struct bd_search_ask *a,
                              struct bd_err *err)
{
    double unit = sp->unit, target = (sp->p.budget + sp->offset) / unit;
    const char *name = bd_budget_names[a->o->budget];
    const char *who = a->o->method == BD_SEARCH_UNIFORM
                          ? "one choice for all layers needs"
                          : "the smallest possible is";
    if (!isfinite(least))
        return bd_fail(err, BD_EUNSUPPORTED,
                       "no choice suits all layers that are tied or alike");
    least = (least + sp->offset) / unit;
    if (a->o->budget == BD_BUDGET_AVG_BITS)
        return bd_fail(err, BD_EUNSUPPORTED, "%s=%.4g: %s %.4f", name, target,
                       who, ceil(least * 1e4) / 1e4);
    return bd_fail(err, BD_EUNSUPPORTED, "%s=%.10g: %s %.10g", name, target,
                   who, ceil(least));
}

static bd_status pick_uniform(struct bd_alloc_result *r,
                              const struct bd_search_problem *sp,
                              const struct bd_search_ask *a,
                              struct bd_err *err)
{
    int *pick = bd_alloc(sp->p.n + 1, sizeof *pick);
    double least;
    if (!pick)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    bool ok = sp->joint ? bd_joint_uniform(r, &least, sp)
                        : solve_uniform(r, pick, &least, sp);
    bd_free(pick);
    r->bound = 0;
    return ok ? BD_OK : bd_search_too_small(sp, least, a, err);
}

static bd_status pick_all(struct bd_alloc_result *r,
                          const struct bd_search_problem *sp,
                          const struct bd_search_ask *a, struct bd_err *err)
{
    static const char *const row[BD_SEARCHES] = {
        [BD_SEARCH_GREEDY] = "greedy", [BD_SEARCH_LAGRANGE] = "lagrange"};
    const char *name = row[a->o->method] ? row[a->o->method] : "dp";
    struct bd_err why = {0};
    struct bd_alloc_point front;
    bd_status st;
    bool floors = bd_search_floors(a->o);
    if (floors && !sp->joint)
        return solve_floor(r, sp, a->o, err);
    if (a->o->method == BD_SEARCH_UNIFORM && !floors)
        return pick_uniform(r, sp, a, err);
    st = bd_allocator_find(floors ? "dp" : name)->solve(r, &sp->p, &why);
    if (st == BD_OK && sp->joint)
        st = bd_joint_bound(r, sp);
    if (st != BD_EINVALID)
        return st == BD_OK ? st : bd_fail(err, st, "%s", why.msg);
    bool some = bd_alloc_front(&front, 1, &sp->p) > 0;
    return bd_search_too_small(sp, some ? front.cost : INFINITY, a, err);
}

/* ------------------------------------------------------------- the answer */

/* Under a floor the allocator's losses are costs. */
static void set_joint(struct bd_search_result *res,
                      const struct bd_search_problem *sp,
                      const struct bd_search_ask *a,
                      const struct bd_alloc_result *r)
{
    bool floors = bd_search_floors(a->o);
    bool uniform = a->o->method == BD_SEARCH_UNIFORM && !floors;
    double loss = bd_joint_set(&res->cfg, sp, uniform ? NULL : r->pick);
    if (floors) {
        res->loss = loss;
        res->bound = (double)NAN;
    }
}

static bd_status answer(struct bd_search_result *out,
                        const struct bd_search_problem *sp,
                        const struct bd_search_ask *a,
                        const struct bd_alloc_result *r)
{
    struct bd_search_result res = {.loss = r->loss, .bound = r->bound,
                                   .optimal = r->optimal};
    bd_status st = bd_bitcfg_copy(&res.cfg, a->cfg);
    if (st != BD_OK)
        return st;
    if (sp->joint)
        set_joint(&res, sp, a, r);
    for (size_t i = 0; i < sp->p.n && !sp->joint; i++) {
        const struct bd_cand *c = picked(sp, i, r->pick[i]);
        if (c)
            bd_layercfg_set(&res.cfg.layer[i], true, &c->t);
    }
    res.budget = a->o->budget <= BD_BUDGET_BOPS && !(a->o->target > 0)
                     ? (sp->p.budget + sp->offset) / sp->unit
                     : a->o->target;
    bd_search_label(&res, a);
    *out = res;
    return BD_OK;
}

bd_status bd_search_solve(struct bd_search_result *out,
                          const struct bd_search_ask *a, struct bd_err *err)
{
    struct bd_search_problem sp;
    struct bd_alloc_result r = {0};
    int64_t start = bd_now_ns();
    bd_status st = bd_search_problem_init(&sp, a, err);
    if (st != BD_OK)
        return st;
    r.pick = bd_calloc(a->m->nlayers + 1, sizeof *r.pick);
    st = r.pick ? pick_all(&r, &sp, a, err)
                : bd_fail(err, BD_ENOMEM, out_of_memory);
    if (st == BD_OK && answer(out, &sp, a, &r) != BD_OK)
        st = bd_fail(err, BD_ENOMEM, out_of_memory);
    if (st == BD_OK)
        out->seconds = (double)(bd_now_ns() - start) / 1e9;
    bd_free(r.pick);
    bd_search_problem_done(&sp);
    return st;
}
