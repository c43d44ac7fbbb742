/* The table of results: names, copies, look-up. */
#include "sens/sens.h"

#include <string.h>

const char *const bd_sens_metric_names[] = {"kl",      "top1",   "loss",
                                            "out-mse", "fisher", NULL};
const char *const bd_sens_mode_names[] = {"alone-on", "alone-off",
                                          "cumulative", NULL};

void bd_sens_done(struct bd_sens_table *t)
{
    bd_free(t->point);
    *t = (struct bd_sens_table){0};
}

bd_status bd_sens_copy(struct bd_sens_table *to,
                       const struct bd_sens_table *from)
{
    struct bd_sens_point *p = bd_alloc(from->n ? from->n : 1, sizeof *p);

    if (!p)
        return BD_ENOMEM;
    if (from->n)
        memcpy(p, from->point, from->n * sizeof *p);
    *to = *from;
    to->point = p;
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
