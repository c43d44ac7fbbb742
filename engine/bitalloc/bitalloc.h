/* bitalloc: spends a budget over layers (or channels).  Each layer has a few
 * widths, each with a cost and a loss; one is picked per layer so that the
 * costs stay within the budget and the sum of losses is small.  Where losses
 * come from (sensitivity, PSNR, feature error) and what a cost is (bits,
 * bytes, operations) is the caller's. */
#ifndef BD_BITALLOC_H
#define BD_BITALLOC_H

#include "base/base.h"

struct bd_alloc_option {
    int bits;
    double cost, loss; /* cost >= 0, finite both */
};

struct bd_alloc_layer {
    const char *name;
    size_t n;                             /* options, at least 1 */
    const struct bd_alloc_option *option; /* ascending bits */
    int tie;    /* layers of one tie >= 0 take the same bits; -1 = free */
    int locked; /* the only option allowed, -1 = any */
};

struct bd_alloc_problem {
    size_t n;
    const struct bd_alloc_layer *layer;
    double budget;
};

struct bd_alloc_result {
    int *pick; /* [n] option of each layer; the caller's array */
    double cost, loss;
    double bound; /* no allocation within the budget has a smaller loss */
    bool optimal; /* proven */
};

/* One method.  BD_EINVALID with a sentence when even the smallest options
 * exceed the budget, or when a tie shares no width.  Deterministic.  Any
 * thread. */
struct bd_allocator {
    const char *name, *title, *source;
    bd_status (*solve)(struct bd_alloc_result *out,
                       const struct bd_alloc_problem *p, struct bd_err *err);
};
/* NULL-ended: uniform greedy lagrange dp. */
const struct bd_allocator *const *bd_allocators(void);
const struct bd_allocator *bd_allocator_find(const char *name); /* or NULL */

/* The convex front: every allocation some price per unit of cost makes best,
 * from cheapest to smallest loss; the budget plays no part.  Returns the
 * count needed, which may exceed cap; 0 on exhaustion or bad ties. */
struct bd_alloc_point {
    double cost, loss;
};
size_t bd_alloc_front(struct bd_alloc_point *out, size_t cap,
                      const struct bd_alloc_problem *p);

/* A document bitdial.problem/1: layers with options of given cost and loss,
 * a budget, ties.  Strict: doubled or missing keys, numbers that are not
 * finite, widths that do not rise, ties of unknown layers are refused with
 * the path of the key.  `file` owns everything p points to. */
enum { BD_ALLOC_LAYERS = 4096, BD_ALLOC_OPTIONS = 64 };
struct bd_alloc_file {
    struct bd_alloc_problem p;
    const char *title, *cost_unit; /* "" when not said */
    struct bd_arena arena;
};
bd_status bd_alloc_file_read(struct bd_alloc_file *out, const char *text,
                             size_t n, struct bd_err *err);
void bd_alloc_file_done(struct bd_alloc_file *f);

#endif
