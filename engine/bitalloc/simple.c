/* Three allocators that never look back: the same width everywhere, the best
 * step at a time, and one price for all. */
#include "bitalloc_priv.h"

#include <string.h>

static const char out_of_memory[] = "out of memory for the allocation";

/* A method as it picks options of groups; pick[] starts at the cheapest. */
typedef bd_status pick_fn(int *pick, const struct reduced *r);

static bd_status solve(struct bd_alloc_result *out,
                       const struct bd_alloc_problem *p, pick_fn *fn,
                       struct bd_err *err)
{
    struct reduced r;
    struct hull_step *step = NULL;
    size_t nsteps;
    int *pick = NULL;
    double price;
    bd_status s = bd_alloc_reduce(&r, p, err);

    if (s != BD_OK)
        return s;
    pick = bd_calloc(r.n, sizeof *pick);
    step = bd_alloc_hull(&nsteps, &r);
    s = pick != NULL && step != NULL ? fn(pick, &r) : BD_ENOMEM;
    if (s == BD_OK) {
        bd_alloc_expand(out, &r, p, pick);
        out->bound = bd_alloc_dual(&price, &r, step, nsteps);
        out->optimal = out->loss <= out->bound;
    } else {
        bd_fail(err, BD_ENOMEM, out_of_memory);
    }
    bd_free(step);
    bd_free(pick);
    bd_alloc_reduced_done(&r);
    return s;
}

/* ---------------------------------------------------------------- uniform */
/* The option of at most `bits`, or the cheapest. */
static int at_most(const struct reduced *r, size_t g, int bits)
{
    const struct bd_alloc_option *o = bd_alloc_options(r, g);
    int best = 0;

    for (int k = 1; k < (int)r->group[g].n; k++)
        if (o[k].bits <= bits)
            best = k;
    return best;
}

static bd_status pick_uniform(int *pick, const struct reduced *r)
{
    for (int bits = 32; bits >= 0; bits--) {
        double cost = 0;

        for (size_t g = 0; g < r->n; g++) {
            pick[g] = at_most(r, g, bits);
            cost += bd_alloc_options(r, g)[pick[g]].cost;
        }
        if (cost <= r->budget)
            return BD_OK;
    }
    return BD_OK; /* the cheapest of all fit: reduce() checked */
}

static bd_status solve_uniform(struct bd_alloc_result *out,
                               const struct bd_alloc_problem *p,
                               struct bd_err *err)
{
    return solve(out, p, pick_uniform, err);
}

const struct bd_allocator bd_alloc_uniform = {
    "uniform", "one width for all", "baseline", solve_uniform};

/* ---------------------------------------------------------------- greedy */
struct move {
    size_t group;
    int to;
    double cost, rate;
};

/* The step, of any number of options, with the most gain per cost that still
 * fits; the first of equal ones.  `next` allows single steps only. */
static bool best_move(struct move *m, const struct reduced *r,
                      const int *pick, double left, bool next)
{
    bool found = false;

    for (size_t g = 0; g < r->n; g++) {
        const struct bd_alloc_option *o = bd_alloc_options(r, g);
        int at = pick[g], end = (int)r->group[g].n;

        if (next && at + 2 < end)
            end = at + 2;
        for (int k = at + 1; k < end; k++) {
            double cost = o[k].cost - o[at].cost;
            double rate = (o[at].loss - o[k].loss) / cost;

            if (cost > left || (found && !(rate > m->rate * (1 + 1e-12))))
                continue;
            *m = (struct move){g, k, cost, rate};
            found = true;
        }
    }
    return found;
}

static void spend(int *pick, const struct reduced *r, double left, bool next)
{
    struct move m;

    while (best_move(&m, r, pick, left, next)) {
        pick[m.group] = m.to;
        left -= m.cost;
    }
}

static bd_status pick_greedy(int *pick, const struct reduced *r)
{
    spend(pick, r, r->budget - r->least, false);
    return BD_OK;
}

static bd_status solve_greedy(struct bd_alloc_result *out,
                              const struct bd_alloc_problem *p,
                              struct bd_err *err)
{
    return solve(out, p, pick_greedy, err);
}

const struct bd_allocator bd_alloc_greedy = {
    "greedy", "best step at a time", "marginal analysis, Fox 1966",
    solve_greedy};

/* -------------------------------------------------------------- lagrange */
/* Hull steps in the order of falling price until one does not fit; what is
 * left goes to single steps. */
static bd_status pick_lagrange(int *pick, const struct reduced *r)
{
    double left = r->budget - r->least;
    size_t n;
    struct hull_step *step = bd_alloc_hull(&n, r);

    if (step == NULL)
        return BD_ENOMEM;
    for (size_t k = 0; k < n && step[k].cost <= left; k++) {
        pick[step[k].group] = step[k].to;
        left -= step[k].cost;
    }
    bd_free(step);
    spend(pick, r, left, true);
    return BD_OK;
}

static bd_status solve_lagrange(struct bd_alloc_result *out,
                                const struct bd_alloc_problem *p,
                                struct bd_err *err)
{
    return solve(out, p, pick_lagrange, err);
}

const struct bd_allocator bd_alloc_lagrange = {
    "lagrange", "one price for all", "Shoham and Gersho 1988",
    solve_lagrange};
