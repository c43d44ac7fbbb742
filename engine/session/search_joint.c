/* Weights and inputs chosen together.
 *
 * A layer's choice is a pair, and under bit operations the cost of a pair is
 * a product: no sum over sides, as the allocators want it.  Ties bind one
 * side of several layers.  So layers that any tie links become one group,
 * and the group's list of options is made here: every pair of cost and loss
 * some choice of its layers reaches and no other one betters (Pareto).
 * Groups are independent, and bitalloc takes them as its layers.
 *
 *   Of a group, what is shared on one side is fixed first, each way in turn;
 *   the side with fewer ties is taken, mostly none.  The rest falls into
 *   parts that share something on the other side alone; their lists are added
 *   pair by pair, and after every addition options that cost more without
 *   losing less go.
 *
 * Exact, up to two caps: a list keeps some options of very many (joint_list.c),
 * and at most WAYS of fixing are tried; beyond them shared choices move
 * together.  An answer from a capped group is not called optimal. */
#include "session/joint_priv.h"

#include <math.h>
#include <string.h>

enum { WAYS = 512 };
enum { W, A, SIDES };
static const char out_of_memory[] = "out of memory for the search";

struct choices { /* of one side of one layer */
    const struct bd_cand *c;
    size_t n;
};
struct bd_joint {
    const struct bd_search_ask *a;
    size_t n;
    struct choices *choice[SIDES]; /* [n] */
    struct bd_cand *stay[SIDES];   /* [n] what a side has that is not chosen */
    int *tie[SIDES];               /* [n] group of that side; -1 = alone */
    int *group;                    /* [n] of both sides, from 0 */
    int *pick[SIDES];              /* [n] scratch: fixed choice, -1 = any */
    struct bd_sums sums;
    int *of; /* [options] node of each */
};

/* ---------------------------------------------------------------- choices */

/* The choice another layer calls the same: forms of weights are counted
 * alike, and inputs that share a grid share all of it. */
static int same_choice(const struct choices *c, int side,
                       const struct bd_cand *as)
{
    for (size_t k = 0; k < c->n; k++)
        if (side == W ? c->c[k].key == as->key
                      : bd_tensorcfg_same(&c->c[k].t, &as->t))
            return (int)k;
    return -1;
}

static void set_choices(struct bd_joint *j, size_t i, int side)
{
    const struct bd_search_ask *a = j->a;
    const struct bd_cands *c = a->cands;
    const size_t *first = side == W ? c->first : c->first_in;
    const struct bd_cand *list = side == W ? c->c : c->in;
    const struct bd_layercfg *l = &a->cfg->layer[i];
    bool chosen = a->o->what & (side == W ? BD_SENS_W : BD_SENS_A);
    struct bd_cand *stay = &j->stay[side][i];
    *stay = (struct bd_cand){.t = side == W ? l->w : l->a,
                             .key = -1, .psnr_db = INFINITY};
    if (!chosen || bd_search_locked(a, i))
        j->choice[side][i] = (struct choices){stay, 1};
    else
        j->choice[side][i] = (struct choices){list + first[i],
                                              first[i + 1] - first[i]};
}

/* A floor leaves those that reach it. */
static bd_status keep_floor(struct bd_joint *j, size_t i, int side,
                            struct bd_err *err)
{
    struct choices *c = &j->choice[side][i];
    double want = bd_search_floor(j->a->o, c->c, c->n), best = -INFINITY;
    char shown[128];
    for (size_t k = 0; k < c->n; k++)
        best = fmax(best, c->c[k].psnr_db);
    if (best >= want)
        return BD_OK;
    return bd_fail(err, BD_EUNSUPPORTED,
                   "layer '%s': its %s reach %.1f dB at most, below %.1f; "
                   "more widths or a lock help",
                   bd_text_show(shown, sizeof shown, j->a->m->layer[i].name,
                                40),
                   side == W ? "weights" : "inputs", best, want);
}

/* A locked layer binds the inputs tied to it, where they know its choice;
 * else, and for weights, the others need not follow it. */
static void follow_locks(struct bd_joint *j)
{
    for (size_t i = 0; i < j->n; i++) {
        if (!bd_search_locked(j->a, i))
            continue;
        for (size_t k = 0; k < j->n && j->tie[A][i] >= 0; k++) {
            struct choices *c = &j->choice[A][k];
            int at = same_choice(c, A, &j->stay[A][i]);
            if (k != i && j->tie[A][k] == j->tie[A][i] && at >= 0)
                *c = (struct choices){c->c + at, 1};
        }
        j->tie[W][i] = j->tie[A][i] = -1;
    }
}

/* --------------------------------------------------------------- one group */

static double cost_of(const struct bd_joint *j, size_t i,
                      const struct bd_cand *w, const struct bd_cand *in)
{
    return bd_search_layer_cost(j->a, i, &w->t, &in->t);
}

/* Floors are kept by leaving out, and then what counts is the cost. */
static bool below(const struct bd_joint *j, size_t i, int side, size_t k)
{
    const struct choices *c = &j->choice[side][i];
    return bd_search_floors(j->a->o) &&
           c->c[k].psnr_db < bd_search_floor(j->a->o, c->c, c->n);
}

static void layer_list(struct bd_joint *j, struct bd_list *out, size_t i)
{
    const struct choices *w = &j->choice[W][i], *in = &j->choice[A][i];
    bool floors = bd_search_floors(j->a->o);
    for (size_t x = 0; x < w->n; x++)
        for (size_t y = 0; y < in->n && !j->sums.no_memory; y++) {
            if ((j->pick[W][i] >= 0 && j->pick[W][i] != (int)x) ||
                (j->pick[A][i] >= 0 && j->pick[A][i] != (int)y) ||
                below(j, i, W, x) || below(j, i, A, y))
                continue;
            double cost = cost_of(j, i, &w->c[x], &in->c[y]);
            double loss = w->c[x].loss + in->c[y].loss;
            bd_list_push(&j->sums, out, (struct bd_item){floors ? 0 : cost,
                                       floors ? cost : loss,
                                       {(int)i, (int)x, (int)y}, -1});
        }
    bd_list_settle(&j->sums, out);
}

/* Fixes a side of a tie, or frees it (k < 0); false where one of its layers
 * lacks the choice. */
static bool fix(struct bd_joint *j, int side, size_t lead, int k)
{
    int tie = j->tie[side][lead];
    const struct bd_cand *as = k < 0 ? NULL : &j->choice[side][lead].c[k];
    bool all = true;
    for (size_t i = 0; i < j->n; i++) {
        if (i != lead && (tie < 0 || j->tie[side][i] != tie))
            continue;
        j->pick[side][i] = k < 0 ? -1
                           : same_choice(&j->choice[side][i], side, as);
        all = all && j->pick[side][i] >= 0;
    }
    return all || k < 0;
}

/* Whether layer i is the first of its tie. */
static bool leads(const struct bd_joint *j, int side, size_t i)
{
    for (size_t k = 0; j->tie[side][i] >= 0 && k < i; k++)
        if (j->tie[side][k] == j->tie[side][i])
            return false;
    return true;
}

static bool shared(const struct bd_joint *j, int side, size_t lead)
{
    for (size_t k = lead + 1; j->tie[side][lead] >= 0 && k < j->n; k++)
        if (j->tie[side][k] == j->tie[side][lead])
            return true;
    return false;
}

/* Sums over the layers of one tie, as they are fixed now. */
static void tied_sum(struct bd_joint *j, struct bd_list *out, int side,
                     size_t lead)
{
    layer_list(j, out, lead);
    for (size_t i = lead + 1; i < j->n && j->tie[side][lead] >= 0; i++) {
        struct bd_list one = {0};
        if (j->tie[side][i] != j->tie[side][lead])
            continue;
        layer_list(j, &one, i);
        bd_list_add(&j->sums, out, &one);
    }
}

/* A tie of the side that was not fixed: its layers depend on each other
 * through it alone. */
static void part_list(struct bd_joint *j, struct bd_list *out, int side,
                      size_t lead)
{
    if (!shared(j, side, lead)) {
        tied_sum(j, out, side, lead);
        return;
    }
    for (size_t k = 0; k < j->choice[side][lead].n; k++) {
        struct bd_list way = {0};
        if (fix(j, side, lead, (int)k))
            tied_sum(j, &way, side, lead);
        bd_list_join(&j->sums, out, &way);
    }
    fix(j, side, lead, -1);
    bd_list_settle(&j->sums, out);
}

/* Everything of a group, with one side's shared choices fixed. */
static void way_list(struct bd_joint *j, struct bd_list *out, int other, int g)
{
    bool any = false;
    for (size_t i = 0; i < j->n; i++) {
        struct bd_list part = {0};
        if (j->group[i] != g || !leads(j, other, i))
            continue;
        part_list(j, &part, other, i);
        if (any) {
            bd_list_add(&j->sums, out, &part);
        } else {
            *out = part;
            any = true;
        }
    }
}

struct ways { /* of fixing the shared choices of one side of a group */
    size_t *lead; /* [n] first layers of its ties */
    size_t n;
    size_t count, step; /* step 0: all of them move together */
};

static void count_ways(struct ways *w, struct bd_joint *j, int side, int g)
{
    double all = 1;
    w->n = w->count = 0;
    for (size_t i = 0; i < j->n; i++)
        if (j->group[i] == g && leads(j, side, i) && shared(j, side, i)) {
            w->lead[w->n++] = i;
            all *= (double)j->choice[side][i].n;
            if (j->choice[side][i].n > w->count)
                w->count = j->choice[side][i].n;
        }
    w->step = all <= WAYS;
    if (w->step)
        w->count = (size_t)all;
    else
        j->sums.exact = false;
}

static bool fix_way(struct bd_joint *j, const struct ways *w, int side,
                    size_t way)
{
    bool ok = true;
    for (size_t t = 0; t < w->n; t++) {
        size_t n = j->choice[side][w->lead[t]].n;
        size_t k = w->step ? way % n : way < n ? way : n - 1;
        way = w->step ? way / n : way;
        ok = fix(j, side, w->lead[t], (int)k) && ok;
    }
    return ok;
}

/* The side with fewer ties is the one to fix. */
static int side_to_fix(const struct bd_joint *j, int g)
{
    size_t ties[SIDES] = {0, 0};
    for (size_t i = 0; i < j->n; i++)
        for (int s = 0; s < SIDES; s++)
            ties[s] += j->group[i] == g && leads(j, s, i) && shared(j, s, i);
    return ties[W] < ties[A] ? W : A;
}

static bd_status group_list(struct bd_joint *j, struct bd_list *out, int g,
                            struct bd_err *err)
{
    int side = side_to_fix(j, g);
    struct ways w = {.lead = bd_alloc(j->n + 1, sizeof *w.lead)};
    char shown[128];
    if (!w.lead)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    count_ways(&w, j, side, g);
    for (size_t k = 0; k < w.count && !j->sums.no_memory; k++) {
        struct bd_list way = {0};
        if (fix_way(j, &w, side, k))
            way_list(j, &way, side == A ? W : A, g);
        bd_list_join(&j->sums, out, &way);
    }
    for (size_t t = 0; t < w.n; t++)
        fix(j, side, w.lead[t], -1);
    bd_free(w.lead);
    bd_list_settle(&j->sums, out);
    if (j->sums.no_memory)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    if (out->n > 0)
        return BD_OK;
    size_t i = 0;
    while (j->group[i] != g)
        i++;
    return bd_fail(err, BD_EUNSUPPORTED, "the layers tied to '%s' share no "
                   "choice%s",
                   bd_text_show(shown, sizeof shown, j->a->m->layer[i].name,
                                40),
                   bd_search_floors(j->a->o) ? " that keeps the floor" : "");
}

/* ------------------------------------------------------------- the problem */

/* Layers linked by ties of either side; the count of groups. */
static int number_groups(struct bd_joint *j)
{
    int next = 0;
    for (size_t i = 0; i < j->n; i++)
        j->group[i] = (int)i;
    for (size_t i = 0; i < j->n; i++)
        for (size_t k = 0; k < i; k++) {
            bool linked = false;
            for (int s = 0; s < SIDES; s++)
                linked = linked || (j->tie[s][i] >= 0 &&
                                    j->tie[s][i] == j->tie[s][k]);
            int from = j->group[i], to = j->group[k];
            for (size_t x = 0; linked && from != to && x <= i; x++)
                if (j->group[x] == from)
                    j->group[x] = to;
        }
    int *number = j->pick[W]; /* all -1, and left so */
    for (size_t i = 0; i < j->n; i++) {
        int *to = &number[j->group[i]];
        *to = *to < 0 ? next++ : *to;
        j->group[i] = *to;
    }
    for (size_t i = 0; i < j->n; i++)
        number[i] = -1;
    return next;
}

static bd_status joint_new(struct bd_joint **out,
                           const struct bd_search_ask *a, struct bd_err *err)
{
    struct bd_joint *j = bd_calloc(1, sizeof *j);
    bool ok = j != NULL;
    if (ok) {
        j->a = a;
        j->n = a->m->nlayers;
        j->sums.exact = true;
        ok = (j->group = bd_calloc(j->n + 1, sizeof *j->group)) != NULL;
    }
    for (int s = 0; s < SIDES && ok; s++) {
        j->choice[s] = bd_calloc(j->n + 1, sizeof *j->choice[s]);
        j->stay[s] = bd_calloc(j->n + 1, sizeof *j->stay[s]);
        j->tie[s] = bd_calloc(j->n + 1, sizeof *j->tie[s]);
        j->pick[s] = bd_calloc(j->n + 1, sizeof *j->pick[s]);
        ok = j->choice[s] && j->stay[s] && j->tie[s] && j->pick[s];
    }
    *out = j;
    return ok ? BD_OK : bd_fail(err, BD_ENOMEM, out_of_memory);
}

/* ties false: every layer for itself, which any tied answer also is. */
static bd_status fill(struct bd_joint *j, bool ties, struct bd_err *err)
{
    bd_status st = BD_OK;
    for (int s = 0; s < SIDES && st == BD_OK; s++) {
        if (ties)
            st = bd_search_ties(j->tie[s], j->a, s == A, err);
        for (size_t i = 0; i < j->n && st == BD_OK; i++) {
            j->tie[s][i] = ties ? j->tie[s][i] : -1;
            j->pick[s][i] = -1;
            set_choices(j, i, s);
            if (bd_search_floors(j->a->o))
                st = keep_floor(j, i, s, err);
        }
        if (!(j->a->o->what & (s == W ? BD_SENS_W : BD_SENS_A)))
            for (size_t i = 0; i < j->n; i++)
                j->tie[s][i] = -1; /* stays as it is */
    }
    if (st == BD_OK && ties)
        follow_locks(j);
    return st;
}

/* Options of all groups, one after the other. */
struct table {
    struct bd_alloc_option *option;
    size_t n, option_cap, of_cap;
};

static bd_status add_options(struct table *t, struct bd_joint *j,
                             const struct bd_list *l, struct bd_err *err)
{
    if (!bd_grow((void **)&t->option, &t->option_cap, t->n + l->n,
                 sizeof *t->option) ||
        !bd_grow((void **)&j->of, &t->of_cap, t->n + l->n, sizeof *j->of))
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    for (size_t k = 0; k < l->n; k++) {
        t->option[t->n] = (struct bd_alloc_option){(int)k, l->v[k].cost,
                                                   l->v[k].loss};
        j->of[t->n++] = l->v[k].node;
    }
    return BD_OK;
}

static bd_status build(struct bd_search_problem *sp,
                       const struct bd_search_ask *a, bool ties,
                       struct bd_err *err)
{
    struct table t = {0};
    size_t groups = 0, at = 0;
    bd_status st = joint_new(&sp->joint, a, err);
    struct bd_joint *j = sp->joint;
    if (st == BD_OK)
        st = fill(j, ties, err);
    if (st == BD_OK) {
        groups = (size_t)number_groups(j);
        sp->layer = bd_calloc(groups + 1, sizeof *sp->layer);
        if (!sp->layer)
            st = bd_fail(err, BD_ENOMEM, out_of_memory);
    }
    for (size_t g = 0; g < groups && st == BD_OK; g++) {
        struct bd_list l = {0};
        st = group_list(j, &l, (int)g, err);
        if (st == BD_OK)
            st = add_options(&t, j, &l, err);
        if (st == BD_OK)
            sp->layer[g] = (struct bd_alloc_layer){"", l.n, NULL, -1, -1};
        bd_free(l.v);
    }
    sp->option = t.option;
    for (size_t g = 0; g < groups && st == BD_OK; g++) {
        sp->layer[g].option = sp->option + at;
        at += sp->layer[g].n;
    }
    sp->p.n = groups;
    sp->p.layer = sp->layer;
    return st;
}

bd_status bd_joint_init(struct bd_search_problem *sp,
                        const struct bd_search_ask *a, struct bd_err *err)
{
    return build(sp, a, true, err);
}

void bd_joint_free(struct bd_joint *j)
{
    if (!j)
        return;
    for (int s = 0; s < SIDES; s++) {
        bd_free(j->choice[s]);
        bd_free(j->stay[s]);
        bd_free(j->tie[s]);
        bd_free(j->pick[s]);
    }
    bd_free(j->group);
    bd_free(j->sums.node);
    bd_free(j->of);
    bd_free(j);
}

bd_status bd_joint_bound(struct bd_alloc_result *r,
                         const struct bd_search_problem *sp)
{
    struct bd_search_problem loose = {0};
    struct bd_alloc_result best = {0};
    if (sp->joint->sums.exact)
        return BD_OK;
    bd_status st = build(&loose, sp->joint->a, false, NULL);
    loose.p.budget = sp->p.budget;
    best.pick = bd_calloc(sp->joint->n + 1, sizeof *best.pick);
    if (st == BD_OK)
        st = best.pick ? bd_allocator_find("lagrange")->solve(&best, &loose.p,
                                                              NULL)
                       : BD_ENOMEM;
    r->optimal = false;
    r->bound = st == BD_OK && loose.joint->sums.exact ? best.bound : 0;
    bd_free(best.pick);
    bd_search_problem_done(&loose);
    return st == BD_ENOMEM ? st : BD_OK;
}

/* ------------------------------------------------------------- the answers */

static void pick_node(struct bd_joint *j, int at)
{
    const struct bd_item_from *n = &j->sums.node[at];
    if (n->layer >= 0) {
        j->pick[W][n->layer] = n->a;
        j->pick[A][n->layer] = n->b;
    } else { /* as deep as a group has layers */
        pick_node(j, n->a);
        pick_node(j, n->b);
    }
}

double bd_joint_set(struct bd_bitcfg *cfg, const struct bd_search_problem *sp,
                    const int *pick)
{
    struct bd_joint *j = sp->joint;
    double loss = 0;
    for (size_t g = 0; pick && g < sp->p.n; g++)
        pick_node(j, j->of[(size_t)(sp->layer[g].option - sp->option) +
                           (size_t)pick[g]]);
    for (size_t i = 0; i < j->n; i++)
        for (int s = 0; s < SIDES; s++) {
            const struct bd_cand *c =
                &j->choice[s][i].c[j->pick[s][i] < 0 ? 0 : j->pick[s][i]];
            loss += c->loss;
            bd_layercfg_set(&cfg->layer[i], s == W, &c->t);
        }
    return loss;
}

/* All layers as layer `as` has it under x and y; infinite where one lacks
 * it.  Sides that stay do. */
static double uniform_loss(double *cost, struct bd_joint *j, size_t as,
                           const int *at)
{
    double loss = 0;
    *cost = 0;
    for (size_t i = 0; i < j->n; i++) {
        for (int s = 0; s < SIDES; s++) {
            const struct choices *c = &j->choice[s][i];
            bool stays = c->c == &j->stay[s][i];
            int k = stays ? 0 : same_choice(c, s, &j->choice[s][as].c[at[s]]);
            if (k < 0)
                return INFINITY;
            j->pick[s][i] = k;
            loss += c->c[k].loss;
        }
        *cost += cost_of(j, i, &j->choice[W][i].c[j->pick[W][i]],
                         &j->choice[A][i].c[j->pick[A][i]]);
    }
    return loss;
}

bool bd_joint_uniform(struct bd_alloc_result *r, double *least,
                      const struct bd_search_problem *sp)
{
    struct bd_joint *j = sp->joint;
    double cost, room = sp->p.budget + 1e-9 * fabs(sp->p.budget);
    int best[SIDES] = {-1, -1}, at[SIDES];
    size_t as = 0;
    while (as + 1 < j->n && bd_search_locked(j->a, as))
        as++;
    r->loss = *least = INFINITY;
    for (at[W] = 0; at[W] < (int)j->choice[W][as].n; at[W]++)
        for (at[A] = 0; at[A] < (int)j->choice[A][as].n; at[A]++) {
            double loss = uniform_loss(&cost, j, as, at);
            if (isinf(loss))
                continue;
            *least = fmin(*least, cost);
            if (cost > room || loss >= r->loss)
                continue;
            r->loss = loss;
            r->cost = cost;
            memcpy(best, at, sizeof best);
        }
    if (best[W] >= 0)
        uniform_loss(&cost, j, as, best);
    return best[W] >= 0;
}
