/* From layers to independent groups: ties are summed width by width, locks
 * leave one option, and options that cost more without losing less go. */
#include "bitalloc_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char out_of_memory[] = "out of memory for the allocation";

/* Groups in the order in which their first layers stand. */
static bool number_groups(struct reduced *r, const struct bd_alloc_problem *p)
{
    for (size_t i = 0; i < p->n; i++) {
        int tie = p->layer[i].tie;

        r->of[i] = -1;
        for (size_t k = 0; tie >= 0 && k < i; k++)
            if (p->layer[k].tie == tie) {
                r->of[i] = r->of[k];
                break;
            }
        if (r->of[i] < 0)
            r->of[i] = (int)r->n++;
    }
    r->group = bd_calloc(r->n, sizeof *r->group);
    return r->group != NULL;
}

/* Where a layer's option of that width stands, or l->n. */
static size_t with_bits(const struct bd_alloc_layer *l, int bits)
{
    size_t k = 0;

    while (k < l->n && (l->option[k].bits != bits ||
                        (l->locked >= 0 && (size_t)l->locked != k)))
        k++;
    return k;
}

/* Sum of one width over a group's layers; false when one lacks it. */
static bool sum_width(struct bd_alloc_option *o, const struct reduced *r,
                      const struct bd_alloc_problem *p, int g, int bits)
{
    *o = (struct bd_alloc_option){.bits = bits};
    for (size_t i = 0; i < p->n; i++) {
        const struct bd_alloc_layer *l = &p->layer[i];
        size_t k;

        if (r->of[i] != g)
            continue;
        k = with_bits(l, bits);
        if (k == l->n)
            return false;
        o->cost += l->option[k].cost;
        o->loss += l->option[k].loss;
    }
    return true;
}

static int by_cost(const void *a, const void *b)
{
    const struct bd_alloc_option *x = a, *y = b;

    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->loss != y->loss)
        return x->loss < y->loss ? -1 : 1;
    return x->bits - y->bits;
}

/* Keeps options that lose strictly less than every cheaper one. */
static size_t undominated(struct bd_alloc_option *o, size_t n)
{
    size_t kept = 0;

    qsort(o, n, sizeof *o, by_cost);
    for (size_t k = 0; k < n; k++)
        if (kept == 0 || o[k].loss < o[kept - 1].loss)
            o[kept++] = o[k];
    return kept;
}

static bd_status fill_group(struct reduced *r,
                            const struct bd_alloc_problem *p, size_t lead,
                            size_t *used, struct bd_err *err)
{
    const struct bd_alloc_layer *l = &p->layer[lead];
    int g = r->of[lead];
    struct bd_alloc_option *o = r->option + *used;
    size_t n = 0;
    char shown[128];

    for (size_t k = 0; k < l->n; k++)
        n += sum_width(&o[n], r, p, g, l->option[k].bits);
    if (n == 0)
        return bd_fail(err, BD_EINVALID,
                       "the layers tied to '%s' share no width",
                       bd_text_show(shown, sizeof shown, l->name, 40));
    r->group[g] = (struct group){*used, undominated(o, n)};
    *used += r->group[g].n;
    r->least += o[0].cost;
    return BD_OK;
}

static bd_status fill_groups(struct reduced *r,
                             const struct bd_alloc_problem *p,
                             struct bd_err *err)
{
    size_t used = 0, all = 0;
    bd_status s = BD_OK;

    for (size_t i = 0; i < p->n; i++)
        all += p->layer[i].n;
    r->option = bd_alloc(all + 1, sizeof *r->option);
    if (r->option == NULL || !number_groups(r, p))
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    for (size_t i = 0; i < p->n && s == BD_OK; i++)
        if (r->group[r->of[i]].n == 0)
            s = fill_group(r, p, i, &used, err);
    return s;
}

bd_status bd_alloc_reduce(struct reduced *r, const struct bd_alloc_problem *p,
                          struct bd_err *err)
{
    bd_status s;

    *r = (struct reduced){.of = bd_alloc(p->n + 1, sizeof *r->of)};
    if (r->of == NULL)
        return bd_fail(err, BD_ENOMEM, out_of_memory);
    s = fill_groups(r, p, err);
    /* Sums of costs are rounded; a budget met on paper must be met here. */
    r->budget = p->budget + 1e-9 * fabs(p->budget);
    if (s == BD_OK && r->least > r->budget)
        s = bd_fail(err, BD_EINVALID,
                    "the budget %g is below %g, what the smallest widths cost",
                    p->budget, r->least);
    if (s != BD_OK)
        bd_alloc_reduced_done(r);
    return s;
}

void bd_alloc_reduced_done(struct reduced *r)
{
    bd_free(r->group);
    bd_free(r->option);
    bd_free(r->of);
    *r = (struct reduced){0};
}

void bd_alloc_expand(struct bd_alloc_result *out, const struct reduced *r,
                     const struct bd_alloc_problem *p, const int *pick)
{
    out->cost = out->loss = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct bd_alloc_layer *l = &p->layer[i];
        size_t g = (size_t)r->of[i];
        int bits = bd_alloc_options(r, g)[pick[g]].bits;
        size_t k = with_bits(l, bits);

        out->pick[i] = (int)k;
        out->cost += l->option[k].cost;
        out->loss += l->option[k].loss;
    }
}
