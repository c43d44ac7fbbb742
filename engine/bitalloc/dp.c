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

struct span { /* of labels */
    size_t from, end;
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
    int *order;    /* [n] groups as the stages take them */
};

/* How much worse, at the price, a group's second choice is than its first. */
struct gap {
    int group;
    double gap;
};

static int widest_first(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;

    if (x->gap != y->gap)
        return x->gap > y->gap ? -1 : 1;
    return x->group - y->group;
}

static double min_priced(const struct search *s, size_t g)
{
    const struct bd_alloc_option *o = bd_alloc_options(s->r, g);
    double least = INFINITY;

    for (size_t k = 0; k < s->r->group[g].n; k++)
        least = fmin(least, o[k].loss + s->price * o[k].cost);
    return least;
}

/* Groups whose first choice is clear come first: there the bound leaves one
 * label of many, and the stages that multiply labels come last. */
static bool set_order(struct search *s)
{
    struct gap *v = bd_alloc(s->r->n + 1, sizeof *v);

    s->order = bd_alloc(s->r->n + 1, sizeof *s->order);
    for (size_t g = 0; v != NULL && g < s->r->n; g++) {
        const struct bd_alloc_option *o = bd_alloc_options(s->r, g);
        double first = INFINITY, second = INFINITY;

        for (size_t k = 0; k < s->r->group[g].n; k++) {
            double z = o[k].loss + s->price * o[k].cost;

            second = fmin(second, fmax(first, z));
            first = fmin(first, z);
        }
        v[g] = (struct gap){(int)g, second - first};
    }
    if (v != NULL && s->order != NULL) {
        qsort(v, s->r->n, sizeof *v, widest_first);
        for (size_t g = 0; g < s->r->n; g++)
            s->order[g] = v[g].group;
    }
    bd_free(v);
    return v != NULL && s->order != NULL;
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

/* The next label of the stage in the making, by cost and then by loss: each
 * option shifts the sorted labels of the stage before, so this is a merge of
 * sorted lists.  next[k]: how far option k has come.  false: all taken. */
static bool pop(struct label *out, const struct search *s, size_t group,
                struct span before, size_t *next)
{
    const struct bd_alloc_option *o = bd_alloc_options(s->r, group);
    bool any = false;

    for (size_t k = 0; k < s->r->group[group].n; k++) {
        const struct label *l = &s->label[before.from + next[k]];
        double cost, loss;

        if (before.from + next[k] >= before.end)
            continue;
        cost = l->cost + o[k].cost;
        loss = l->loss + o[k].loss;
        if (any && (cost > out->cost ||
                    (cost == out->cost && loss >= out->loss)))
            continue;
        *out = (struct label){cost, loss, before.from + next[k], (int)k};
        any = true;
    }
    if (any)
        next[out->pick]++;
    return any;
}

/* Stage g + 1 from stage g; false on exhaustion. */
static bool extend(struct search *s, size_t g)
{
    size_t at = (size_t)s->order[g];
    struct span before = {s->begin[g], s->begin[g + 1]};
    size_t n = before.end;
    size_t *next = bd_calloc(s->r->group[at].n + 1, sizeof *next);
    struct label l;
    bool ok = next != NULL;

    while (ok && !s->full && pop(&l, s, at, before, next)) {
        if (n > before.end && l.loss >= s->label[n - 1].loss)
            continue;
        if (hopeless(s, g + 1, l.cost, l.loss))
            continue;
        s->full = n == LABELS;
        ok = bd_grow((void **)&s->label, &s->cap, n + 1, sizeof *s->label);
        if (ok)
            s->label[n++] = l;
    }
    bd_free(next);
    s->begin[g + 2] = n;
    return ok;
}

static bool prepare(struct search *s)
{
    size_t n = s->r->n;

    s->rest = bd_calloc(n + 1, sizeof *s->rest);
    s->cheap = bd_calloc(n + 1, sizeof *s->cheap);
    s->begin = bd_calloc(n + 2, sizeof *s->begin);
    if (s->rest == NULL || s->cheap == NULL || s->begin == NULL ||
        !bd_grow((void **)&s->label, &s->cap, 1, sizeof *s->label) ||
        !set_order(s))
        return false;
    for (size_t g = n; g-- > 0;) {
        size_t at = (size_t)s->order[g];

        s->rest[g] = s->rest[g + 1] + min_priced(s, at);
        s->cheap[g] = s->cheap[g + 1] + bd_alloc_options(s->r, at)[0].cost;
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
        pick[s->order[g]] = s->label[at].pick;
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
    bd_free(s.order);
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
