/* The problem after ties and locks: independent groups, each with options of
 * rising cost and falling loss. */
#ifndef BD_BITALLOC_PRIV_H
#define BD_BITALLOC_PRIV_H

#include "bitalloc/bitalloc.h"

struct group {
    size_t first, n; /* its options in `option` */
};

struct reduced {
    size_t n;
    struct group *group;
    struct bd_alloc_option *option;
    int *of;      /* [layers] group of each layer */
    double least; /* cost of the cheapest options together */
    double budget; /* with room for rounding */
};

/* One step along a group's lower convex hull. */
struct hull_step {
    int group, to; /* option within the group */
    double cost, gain; /* both positive */
};

bd_status bd_alloc_reduce(struct reduced *r, const struct bd_alloc_problem *p,
                          struct bd_err *err);
void bd_alloc_reduced_done(struct reduced *r);
/* Turns picks of groups into the result's picks of layers, with sums. */
void bd_alloc_expand(struct bd_alloc_result *out, const struct reduced *r,
                     const struct bd_alloc_problem *p, const int *pick);
/* All hull steps, largest gain per cost first; *n gets the count.  Caller
 * frees.  NULL on exhaustion. */
struct hull_step *bd_alloc_hull(size_t *n, const struct reduced *r);
/* Losses at the best dual price for the budget: *price, and the bound. */
double bd_alloc_dual(double *price, const struct reduced *r,
                     const struct hull_step *step, size_t nsteps);

static inline const struct bd_alloc_option *
bd_alloc_options(const struct reduced *r, size_t g)
{
    return r->option + r->group[g].first;
}

extern const struct bd_allocator bd_alloc_uniform, bd_alloc_greedy,
    bd_alloc_lagrange, bd_alloc_dp;

#endif
