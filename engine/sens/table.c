/* The table of results: names, copies, look-up. */
#include "sens/sens.h"

#include <string.h>

const char *const bd_sens_metric_names[] = {"kl",      "top1",   "loss",
                                            "out-mse", "fisher", NULL};
const char *const bd_sens_mode_names[] = {"alone-on", "alone-off",
                                          "cumulative", NULL};

const char *const bd_sens_what_names[] = {"", "w", "a", "wa", NULL};

void bd_sens_done(struct bd_sens_table *t)
{
    bd_free(t->point);
    bd_free(t->base);
    bd_free(t->sums);
    *t = (struct bd_sens_table){0};
}

/* NULL on exhaustion, also for nothing at all: a pointer then. */
static void *copy(const void *from, size_t n, size_t size)
{
    void *to = bd_alloc(n ? n : 1, size);

    if (to && n)
        memcpy(to, from, n * size);
    return to;
}

bd_status bd_sens_copy(struct bd_sens_table *to,
                       const struct bd_sens_table *from)
{
    struct bd_sens_table t = *from;

    t.point = copy(from->point, from->n, sizeof *t.point);
    t.base = copy(from->base, from->nbase, sizeof *t.base);
    t.sums = NULL;
    if (from->sums)
        t.sums = copy(from->sums, from->n + from->nbase + 1, sizeof *t.sums);
    if (!t.point || !t.base || (from->sums && !t.sums)) {
        bd_sens_done(&t);
        return BD_ENOMEM;
    }
    *to = t;
    return BD_OK;
}

const struct bd_sens_point *bd_sens_find(const struct bd_sens_table *t,
                                         int layer, enum bd_sens_what what,
                                         const struct bd_tensorcfg *cfg)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct bd_sens_point *p = &t->point[i];
        const struct bd_tensorcfg *c = what == BD_SENS_A ? &p->a : &p->w;

        if (p->layer == layer && p->what == what && bd_tensorcfg_same(c, cfg))
            return p;
    }
    return NULL;
}
