/* The exact optimum, proven: dynamic programming over the groups.
 *
 * A label is a partial choice for the first groups: its cost and its loss.
 * Of two labels the one that costs and loses no less goes (dominance).  A
 * label also goes when even the best completion cannot beat the incumbent,
 * the better of the greedy and the Lagrangian answer: with the price `u` that
 * is optimal for the whole problem, the groups still open lose at least
 *     sum of min (loss + u * cost)  -  u * (budget that is left).
 * Costs may be any real numbers.  A problem made to defeat both rules could
 * fill any memory, so beyond LABELS the incumbent stands, without proof and
 * with the dual bound.  Invariant: the labels of a stage are sorted
 * by rising cost and strictly falling loss. */
#include "bitalloc_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS = 1 << 21 }; /* 64 MB */

struct label {
    double cost, loss;
    size_t from; /* label of the stage before */
    int pick;
};

struct search {
    const struct reduced *r;
    double price;
    double *rest;   /* [n+1] sum of min(loss + price*cost) of groups >= g */
    double *cheap;  /* [n+1] least cost of groups >= g */
    double best;    /* loss of the incumbent */
    struct label *label; /* of all stages */
    size_t *begin;  /* [n+2] where each stage begins */
    size_t cap;
    bool full; /* LABELS were not enough */
};

static double min_priced(const struct search *s, size_t g)
{
    const struct bd_alloc_option *o = bd_alloc_options(s->r, g);
    double least = INFINITY;

    for (size_t k = 0; k < s->r->group[g].n; k++)
        least = fmin(least, o[k].loss + s->price * o[k].cost);
    return least;
}

static bool hopeless(const struct search *s, size_t next, double cost,
                     double loss)
{
    double left = s->r->budget - cost;

    if (s->cheap[next] > left)
        return true;
    return loss + s->rest[next] - s->price * left >=
           s->best - 1e-12 * fabs(s->best);
}

static int by_cost(const void *a, const void *b)
{
    const struct label *x = a, *y = b;

    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->loss != y->loss)
        return x->loss < y->loss ? -1 : 1;
    return x->pick - y->pick;
}

/* Stage g + 1 from stage g; false on exhaustion. */
static bool extend(struct search *s, size_t g)
{
    const struct bd_alloc_option *o = bd_alloc_options(s->r, g);
    size_t from = s->begin[g], end = s->begin[g + 1], n = end, kept = end;

    for (size_t i = from; i < end; i++) {
        s->full = s->full || n + s->r->group[g].n > LABELS;
        if (s->full)
            return true;
        if (!bd_grow((void **)&s->label, &s->cap, n + s->r->group[g].n,
                     sizeof *s->label))
            return false;
        for (size_t k = 0; k < s->r->group[g].n; k++) {
            double cost = s->label[i].cost + o[k].cost;
            double loss = s->label[i].loss + o[k].loss;

            if (!hopeless(s, g + 1, cost, loss))
                s->label[n++] = (struct label){cost, loss, i, (int)k};
        }
    }
    qsort(s->label + end, n - end, sizeof *s->label, by_cost);
    for (size_t i = end; i < n; i++)
        if (kept == end || s->label[i].loss < s->label[kept - 1].loss)
            s->label[kept++] = s->label[i];
    s->begin[g + 2] = kept;
    return true;
}

static bool prepare(struct search *s)
{
    size_t n = s->r->n;

    s->rest = bd_calloc(n + 1, sizeof *s->rest);
    s->cheap = bd_calloc(n + 1, sizeof *s->cheap);
    s->begin = bd_calloc(n + 2, sizeof *s->begin);
    if (s->rest == NULL || s->cheap == NULL || s->begin == NULL ||
        !bd_grow((void **)&s->label, &s->cap, 1, sizeof *s->label))
        return false;
    for (size_t g = n; g-- > 0;) {
        s->rest[g] = s->rest[g + 1] + min_priced(s, g);
        s->cheap[g] = s->cheap[g + 1] + bd_alloc_options(s->r, g)[0].cost;
    }
    s->label[0] = (struct label){0, 0, 0, 0};
    s->begin[1] = 1;
    return true;
}

/* The last label loses least.  Without any, the incumbent was optimal. */
static bool trace_back(int *pick, const struct search *s)
{
    size_t n = s->r->n, at = s->begin[n + 1];

    if (at == s->begin[n])
        return false;
    at--;
    for (size_t g = n; g-- > 0;) {
        pick[g] = s->label[at].pick;
        at = s->label[at].from;
    }
    return true;
}

/* Whatever stands in *out afterwards is optimal, unless the labels ran
 * out. */
static bd_status improve(struct bd_alloc_result *out,
                         const struct bd_alloc_problem *p,
                         const struct reduced *r)
{
    struct search s = {.r = r, .best = out->loss};
    size_t nsteps;
    struct hull_step *step = bd_alloc_hull(&nsteps, r);
    int *pick = bd_calloc(r->n, sizeof *pick);
    bool ok = step != NULL && pick != NULL;

    if (ok) {
        bd_alloc_dual(&s.price, r, step, nsteps);
        ok = prepare(&s);
    }
    for (size_t g = 0; g < r->n && ok && !s.full; g++)
        ok = extend(&s, g);
    if (ok && !s.full && trace_back(pick, &s))
        bd_alloc_expand(out, r, p, pick);
    if (ok && !s.full)
        out->bound = out->loss;
    out->optimal = out->loss <= out->bound;
    bd_free(s.label);
    bd_free(s.rest);
    bd_free(s.cheap);
    bd_free(s.begin);
    bd_free(pick);
    bd_free(step);
    return ok ? BD_OK : BD_ENOMEM;
}

static bd_status solve_dp(struct bd_alloc_result *out,
                          const struct bd_alloc_problem *p, struct bd_err *err)
{
    struct bd_alloc_result other = *out;
    struct reduced r;
    bd_status s = bd_alloc_greedy.solve(out, p, err);

    if (s != BD_OK)
        return s;
    other.pick = bd_alloc(p->n + 1, sizeof *other.pick);
    if (other.pick == NULL)
        return bd_fail(err, BD_ENOMEM, "out of memory for the allocation");
    s = bd_alloc_lagrange.solve(&other, p, err);
    if (s == BD_OK && other.loss < out->loss) {
        memcpy(out->pick, other.pick, p->n * sizeof *out->pick);
        out->cost = other.cost;
        out->loss = other.loss;
        out->bound = other.bound;
    }
    bd_free(other.pick);
    if (s == BD_OK)
        s = bd_alloc_reduce(&r, p, err);
    if (s != BD_OK)
        return s;
    s = improve(out, p, &r);
    bd_alloc_reduced_done(&r);
    if (s != BD_OK)
        return bd_fail(err, s, "out of memory for the allocation");
    return BD_OK;
}

const struct bd_allocator bd_alloc_dp = {
    "dp", "exact, proven",
    "multiple-choice knapsack: dominance and Lagrangian bound",
    solve_dp};
