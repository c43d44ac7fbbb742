/* Lower convex hulls of the groups, and what follows from them at once: the
 * front for every price, and the dual bound for one budget. */
#include "bitalloc_priv.h"

#include <math.h>
#include <stdlib.h>

static int by_slope(const void *a, const void *b)
{
    const struct hull_step *x = a, *y = b;
    /* gain / cost without a division: both costs are positive */
    double l = x->gain * y->cost, r = y->gain * x->cost;

    if (l != r)
        return l > r ? -1 : 1;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->to - y->to;
}

/* The steepest way down from option `from`; the farther of equal ones. */
static bool steepest(struct hull_step *s, const struct bd_alloc_option *o,
                     int from, int n)
{
    bool found = false;

    for (int k = from + 1; k < n; k++) {
        double cost = o[k].cost - o[from].cost;
        double gain = o[from].loss - o[k].loss;

        if (found && gain * s->cost < s->gain * cost)
            continue;
        s->to = k;
        s->cost = cost;
        s->gain = gain;
        found = true;
    }
    return found;
}

struct hull_step *bd_alloc_hull(size_t *n, const struct reduced *r)
{
    struct hull_step *step;
    size_t all = 0, m = 0;

    for (size_t g = 0; g < r->n; g++)
        all += r->group[g].n;
    step = bd_alloc(all + 1, sizeof *step);
    if (step == NULL)
        return NULL;
    for (size_t g = 0; g < r->n; g++) {
        int at = 0;

        step[m].group = (int)g;
        while (steepest(&step[m], bd_alloc_options(r, g), at,
                        (int)r->group[g].n)) {
            at = step[m++].to;
            step[m].group = (int)g;
        }
    }
    qsort(step, m, sizeof *step, by_slope);
    *n = m;
    return step;
}

double bd_alloc_dual(double *price, const struct reduced *r,
                     const struct hull_step *step, size_t nsteps)
{
    double left = r->budget - r->least, loss = 0;

    for (size_t g = 0; g < r->n; g++)
        loss += bd_alloc_options(r, g)[0].loss;
    *price = 0;
    for (size_t k = 0; k < nsteps; k++) {
        if (step[k].cost > left) { /* the step that fits in part */
            *price = step[k].gain / step[k].cost;
            return loss - *price * left;
        }
        left -= step[k].cost;
        loss -= step[k].gain;
    }
    return loss;
}

size_t bd_alloc_front(struct bd_alloc_point *out, size_t cap,
                      const struct bd_alloc_problem *p)
{
    struct bd_alloc_problem all = *p;
    struct bd_alloc_point at = {0, 0};
    struct reduced r;
    struct hull_step *step;
    size_t n, points = 0;

    all.budget = INFINITY;
    if (bd_alloc_reduce(&r, &all, NULL) != BD_OK)
        return 0;
    step = bd_alloc_hull(&n, &r);
    at.cost = r.least;
    for (size_t g = 0; g < r.n; g++)
        at.loss += bd_alloc_options(&r, g)[0].loss;
    for (size_t k = 0; step != NULL && k <= n; k++) {
        if (points < cap)
            out[points] = at;
        points++;
        if (k < n) {
            at.cost += step[k].cost;
            at.loss -= step[k].gain;
        }
    }
    bd_free(step);
    bd_alloc_reduced_done(&r);
    return points;
}
