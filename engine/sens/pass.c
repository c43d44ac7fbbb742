/* A pass in memory: its quantized layers, taken from the caller and given
 * back.  The order of variants is what makes forking right; sweep.c orders
 * them, and here stands what each needs. */
#include "sens_priv.h"

#include <string.h>

/* The base: float, or every layer by the column's choice. */
static bd_status take_base(struct bd_sens_pass *p,
                           const struct bd_sens_list *l, struct bd_err *err)
{
    size_t n = p->ask->m->nlayers;
    bd_status st = BD_OK;

    p->base = bd_calloc(n + 1, sizeof *p->base);
    p->held = bd_calloc(n + 1, sizeof *p->held);
    p->base_at = SIZE_MAX;
    if (!p->base || !p->held)
        return bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    if (l->base == SIZE_MAX)
        return BD_OK;
    p->base_at = p->t->n + l->base;
    /* A column holds every layer it can: each by its own point. */
    for (size_t i = 0; i < l->n && st == BD_OK; i++) {
        const struct bd_sens_point *c = &p->t->point[l->point[i]];

        st = p->ask->take(&p->base[c->layer], &p->held[c->layer], p->ask->arg,
                          c, err);
    }
    return st;
}

static bd_status take_variant(struct bd_sens_pass *p, size_t at,
                              struct bd_err *err)
{
    const struct bd_sens_point *c = &p->t->point[at];
    struct bd_sens_variant *v = &p->v[p->n];
    const struct bd_layer *l = &p->ask->m->layer[c->layer];

    *v = (struct bd_sens_variant){.at = at, .layer = c->layer,
                                  .from = (size_t)l->node,
                                  .runs = !c->settled};
    p->n++;
    if (p->base_at != SIZE_MAX)
        return BD_OK; /* becomes float */
    return p->ask->take(&v->q, &v->held, p->ask->arg, c, err);
}

bd_status bd_sens_pass_init(struct bd_sens_pass *p,
                            const struct bd_sens_list *l, struct bd_err *err)
{
    bd_status st = take_base(p, l, err);

    p->v = bd_calloc(l->n + 1, sizeof *p->v);
    if (!p->v && st == BD_OK)
        st = bd_fail(err, BD_ENOMEM, "out of memory for the sweep");
    p->back = p->t->mode != BD_SENS_CUMULATIVE;
    for (size_t i = 0; i < l->n && st == BD_OK; i++)
        st = take_variant(p, l->point[i], err);
    if (st != BD_OK)
        bd_sens_pass_done(p);
    return st;
}

void bd_sens_pass_done(struct bd_sens_pass *p)
{
    for (size_t i = 0; p->held && i < p->ask->m->nlayers; i++)
        if (p->held[i])
            p->ask->give(p->ask->arg, p->held[i]);
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].held)
            p->ask->give(p->ask->arg, p->v[i].held);
    bd_free(p->base);
    bd_free(p->held);
    bd_free(p->v);
    p->base = NULL;
    p->held = NULL;
    p->v = NULL;
    p->n = 0;
}
